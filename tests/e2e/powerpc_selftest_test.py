#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The kernel's tools/testing/selftests/powerpc, as far as it means something on ISA 2.05, from the source of the guest's kernel."""
import glob
import os
import shutil

import guest_programs
import harness
from guest_programs import CC64, Program, debian

FOLDERS = ("alignment", "cache_shape", "copyloops", "dscr", "math", "mce", "mm", "papr_attributes", "pmu", "primitives",
           "ptrace", "security", "signal", "stringloops", "switch_endian", "syscalls", "vphn")
TARGETS = {"pmu": ["count_instructions", "count_stcx_fail", "l3_bank_test", "per_event_excludes"]}
PREPARE = {}  # program: shell commands before it
ARGUMENTS = {}
EXCUSED_FOLDERS = {
    "benchmarks": "measure speed and give no verdict",
    "eeh": "needs a PCI device whose errors can be injected; Baton's partitions have none",
    "nx-gzip": "needs POWER9's compression unit",
    "pmu/ebb": "needs event-based branches (ISA 2.07)",
    "pmu/event_code_tests": "needs POWER9's or POWER10's event codes",
    "pmu/sampling_tests": "needs POWER9's or POWER10's sampling",
    "tm": "needs transactional memory (ISA 2.07)",
}
EXCUSED = {
    "mm/tlbie_test": "runs until it is stopped, and is not among those that the kernel's makefile runs",
    "mm/tempfile": "a file that another uses",
}
LIMIT = 3600  # seconds for each program, in place of 120
SKIPPED = 4  # the exit code by which these programs say that they do not apply


class PowerpcSelftests(guest_programs.GuestPrograms):
    def source(self):
        """The kernel's source that the guest was built from."""
        found = sorted(path for path in glob.glob(f"{harness.GUEST}/work/linux-source-*") if os.path.isdir(path))
        self.assertTrue(found, "the kernel's source is missing; build it with: ./run guest")
        return found[-1]

    @staticmethod
    def copy(source, tree):
        """The folder of the tests, in a tree whose other folders are the source's; with a limit for slow machines."""
        for folder in ("arch", "include", "scripts", "tools/include", "tools/scripts"):
            os.makedirs(os.path.dirname(f"{tree}/{folder}"), exist_ok=True)
            os.symlink(f"{source}/{folder}", f"{tree}/{folder}")
        tests = "tools/testing/selftests"
        os.makedirs(f"{tree}/{tests}")
        for path in glob.glob(f"{source}/{tests}/*.h") + [f"{source}/{tests}/lib.mk"]:
            shutil.copy(path, f"{tree}/{tests}")
        shutil.copytree(f"{source}/{tests}/powerpc", f"{tree}/{tests}/powerpc", symlinks=True)
        limit = f"{tree}/{tests}/powerpc/harness.c"
        with open(limit) as f:
            text = f.read()
        with open(limit, "w") as f:
            f.write(text.replace("timeout = 120;", f"timeout = {LIMIT};"))
        return f"{tree}/{tests}/powerpc"

    def build(self, source):
        """A folder with a folder of programs for each of FOLDERS."""
        compiler = f"{CC64} -static -s -mcpu=power6 -Wa,-many"
        with guest_programs.cached("powerpc-selftests", source, os.path.getmtime(f"{source}/Makefile"), compiler, LIMIT,
                                   guest_programs.compiler(CC64), FOLDERS, TARGETS) as (out, empty):
            if empty:
                print("compiling the kernel's selftests/powerpc", flush=True)
                tests = self.copy(source, f"{out}/tree")
                env = dict(os.environ, CFLAGS=f"-std=gnu99 -O2 -w -DGIT_VERSION='\"debian\"' -I{tests}/include -I{tests}/pmu")
                for folder in FOLDERS:
                    made = f"{out}/files/{folder}"
                    os.makedirs(made)
                    targets = [f"{made}/{name}" for name in TARGETS.get(folder, [])] or ["all"]
                    debian.run(["make", "-k", "-s", f"-j{os.environ.get('JOBS', os.cpu_count())}", "-C", f"{tests}/{folder}",
                                f"OUTPUT={made}", "ARCH=powerpc", f"CROSS_COMPILE={CC64[:-len('gcc')]}", "KHDR_INCLUDES=",
                                f"CC={compiler}", *targets], f"{out}.log", env=env)
                for path in glob.glob(f"{out}/files/*/*.[oS]"):
                    os.remove(path)
                shutil.rmtree(f"{out}/tree")
            return f"{out}/files"

    def test_selftests(self):
        files = self.build(self.source())
        names = sorted(os.path.relpath(path, files) for path in glob.glob(f"{files}/*/*")
                       if os.access(path, os.X_OK) and os.path.isfile(path))
        excused = {f"{folder}/*": why for folder, why in EXCUSED_FOLDERS.items()}
        excused.update({name: why for name, why in EXCUSED.items() if name in names})
        programs = [Program(name, f"cd {os.path.dirname(name)}; {PREPARE.get(name, '')} "
                                  f"./{os.path.basename(name)} {ARGUMENTS.get(name, '')}", LIMIT)
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
