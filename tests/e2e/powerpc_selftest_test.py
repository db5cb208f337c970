#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The kernel's tools/testing/selftests/powerpc, as far as it means something on ISA 2.05, from the source of the guest's kernel."""
import glob
import os

import guest_programs
import harness
from guest_programs import CC64, Program, debian

FOLDERS = ("alignment", "benchmarks", "cache_shape", "copyloops", "dscr", "math", "mce", "mm", "papr_attributes", "pmu", "primitives",
           "ptrace", "security", "signal", "stringloops", "switch_endian", "syscalls", "vphn")
TARGETS = {"pmu": ["count_instructions", "count_stcx_fail", "l3_bank_test", "per_event_excludes"]}
PREPARE = {}  # program: shell commands before it
ARGUMENTS = {}
EXCUSED_FOLDERS = {
    "eeh": "needs a PCI device whose errors can be injected; Baton's partitions have none",
    "nx-gzip": "needs POWER9's compression unit",
    "pmu/ebb": "needs event-based branches (ISA 2.07)",
    "pmu/event_code_tests": "needs POWER9's or POWER10's event codes",
    "pmu/sampling_tests": "needs POWER9's or POWER10's sampling",
    "tm": "needs transactional memory (ISA 2.07)",
}
EXCUSED = {}
SKIPPED = 4  # the exit code by which these programs say that they do not apply


class PowerpcSelftests(guest_programs.GuestPrograms):
    def source(self):
        found = [path for path in glob.glob(f"{harness.GUEST}/work/linux-source-*/tools/testing/selftests/powerpc")
                 if "-selftest/" not in path]
        self.assertTrue(found, "the kernel's source is missing; build it with: ./run guest")
        return sorted(found)[-1]

    def build(self, source):
        """A folder with a folder of programs for each of FOLDERS."""
        compiler = f"{CC64} -static -s -mcpu=power6 -Wa,-many"
        with guest_programs.cached("powerpc-selftests", source.split("/tools/")[0], os.path.getmtime(source), compiler,
                                   guest_programs.compiler(CC64), FOLDERS, TARGETS) as (out, empty):
            if empty:
                print("compiling the kernel's selftests/powerpc", flush=True)
                env = dict(os.environ, CFLAGS=f"-std=gnu99 -O2 -w -DGIT_VERSION='\"debian\"' -I{source}/include -I{source}/pmu")
                for folder in FOLDERS:
                    os.makedirs(f"{out}/{folder}")
                    debian.run(["make", "-k", "-s", f"-j{os.environ.get('JOBS', os.cpu_count())}", "-C", f"{source}/{folder}",
                                f"OUTPUT={out}/{folder}", "ARCH=powerpc", f"CROSS_COMPILE={CC64[:-len('gcc')]}", "KHDR_INCLUDES=",
                                f"CC={compiler}", *(f"{out}/{folder}/{name}" for name in TARGETS.get(folder, [])),
                                *([] if folder in TARGETS else ["all"])], f"{out}.log", env=env)
                for path in glob.glob(f"{out}/*/*.[oS]"):
                    os.remove(path)
            return out

    def test_selftests(self):
        files = self.build(self.source())
        names = sorted(os.path.relpath(path, files) for path in glob.glob(f"{files}/*/*")
                       if os.access(path, os.X_OK) and os.path.isfile(path))
        excused = {f"{folder}/*": why for folder, why in EXCUSED_FOLDERS.items()}
        excused.update({name: why for name, why in EXCUSED.items() if name in names})
        programs = [Program(name, f"cd {os.path.dirname(name)}; {PREPARE.get(name, '')} "
                                  f"./{os.path.basename(name)} {ARGUMENTS.get(name, '')}", 300)
                    for name in names if name not in excused]
        results = self.run_programs(files, programs, memory=1024, processors=2)
        passed, failed = {}, {}
        for name, result in results.items():
            out = (result.out + result.err).decode(errors="replace")
            with open(f"{self.folder}/{name.replace('/', '-')}.out", "w") as f:
                f.write(out)
            if result.code == 0:
                passed[name] = ""
            else:
                lines = out.strip().splitlines()[-4:]
                failed[name] = f"exit code {result.code}{' (skipped)' if result.code == SKIPPED else ''}: " + " | ".join(lines)
        self.verdicts("selftests/powerpc", passed, failed, excused)


if __name__ == "__main__":
    harness.main()
