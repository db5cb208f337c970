#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The kernel's tools/testing/selftests/powerpc, as far as it means something on ISA 2.05, from the source of the guest's kernel."""
import glob
import os
import re
import shutil

import guest_programs
import harness
from guest_programs import CC64, Program, debian

FOLDERS = ("alignment", "cache_shape", "copyloops", "dscr", "math", "mce", "mm", "papr_attributes", "pmu", "primitives",
           "ptrace", "security", "signal", "stringloops", "switch_endian", "syscalls", "vphn")
TESTS = "tools/testing/selftests/powerpc"
TARGETS = {"pmu": ["count_instructions", "count_stcx_fail", "l3_bank_test", "per_event_excludes"]}
LIMIT = 3600  # seconds for each program


class PowerpcSelftests(guest_programs.GuestPrograms):
    def setUp(self):
        super().setUp()
        self.ledger = guest_programs.Ledger("powerpc-selftests")

    def copy(self, source, tree):
        """The folder of the tests, mended, in a tree whose other folders are the source's."""
        for folder in ("arch", "include", "scripts", "tools/include", "tools/scripts"):
            os.makedirs(os.path.dirname(f"{tree}/{folder}"), exist_ok=True)
            os.symlink(f"{source}/{folder}", f"{tree}/{folder}")
        tests = "tools/testing/selftests"
        os.makedirs(f"{tree}/{tests}")
        for path in glob.glob(f"{source}/{tests}/*.h") + [f"{source}/{tests}/lib.mk"]:
            shutil.copy(path, f"{tree}/{tests}")
        shutil.copytree(f"{source}/{tests}/powerpc", f"{tree}/{tests}/powerpc", symlinks=True)
        for row in self.ledger.of("mend"):
            path = f"{tree}/{tests}/powerpc/{row['name']}"
            with open(path) as f:
                text = f.read()
            self.assertIn(row["there"], text, f"{row['name']} has nothing to mend; take it out of {self.ledger.name}.csv")
            with open(path, "w") as f:
                f.write(text.replace(row["there"], row["instead"]))
        return f"{tree}/{tests}/powerpc"

    def build(self, source):
        """A folder with a folder of programs for each of FOLDERS."""
        compiler = f"{CC64} -static -s -mcpu=power6 -Wa,-many"
        with guest_programs.cached("powerpc-selftests", source, os.path.getmtime(f"{source}/Makefile"), compiler,
                                   self.ledger.of("mend"), guest_programs.compiler(CC64), FOLDERS, TARGETS) as (out, empty):
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
        files = self.build(self.kernel_source())
        names = sorted(os.path.relpath(path, files) for path in glob.glob(f"{files}/*/*")
                       if os.access(path, os.X_OK) and os.path.isfile(path))
        for row in self.ledger.of("mend"):
            self.ledger.excuse(row)  # or build() had failed
        excuses = {row["name"]: row for row in self.ledger.of("excuse")}
        missing = [name for name in excuses if name not in names and glob.glob(f"{self.kernel_source()}/{TESTS}/{name}/Makefile")]
        excused = {f"{name}/*": self.ledger.excuse(excuses[name]) for name in missing}
        endless = "mm/tlbie_test"
        excused[endless] = self.ledger.excuse(excuses[endless])
        programs = [Program(name, f"cd {os.path.dirname(name)}; ./{os.path.basename(name)}", LIMIT)
                    for name in names if name not in excused]
        results = self.run_programs(files, programs, memory=1024, processors=2)
        passed, failed = {}, {}
        for name, result in results.items():
            out = (result.out + result.err).decode(errors="replace")
            with open(f"{self.folder}/{name.replace('/', '-')}.out", "w") as f:
                f.write(out)
            parts = {verdict: len(re.findall(rf"(?m)^{verdict}: ", out)) for verdict in ("success", "failure", "skip")}
            if result.code != 0 or parts["failure"]:
                failed[name] = f"exit code {result.code}: " + " | ".join(out.strip().splitlines()[-4:])
            elif parts["skip"] and not parts["success"]:
                if name in excuses:
                    excused[name] = self.ledger.excuse(excuses[name])
                else:
                    failed[name] = "says that it does not apply: " + " | ".join(out.strip().splitlines()[-2:])
            else:
                passed[name] = f"{parts['success']} parts" + (f", {parts['skip']} do not apply" if parts["skip"] else "")
        for name, parts in passed.items():
            print(f"  passed {name} {parts}")
        failed.update(self.ledger.unused())
        self.verdicts("selftests/powerpc", passed, failed, excused)


if __name__ == "__main__":
    harness.main()
