#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""GCC's execute torture tests and decimal tests, compiled for POWER6, in the guest: exit code 0 is a pass.

They come from Debian's source of the cross compiler. All tests of a variant are linked into one program (each test's main
renamed, its other symbols local) that runs each in a process of its own. BATON_LONG runs all; else a seeded sample.
"""
import glob
import os
import random
import re
import subprocess

import guest_programs
import harness
from guest_programs import CC32, CC64, Program, debian

SAMPLE, SEED = 200, 20050
POWER6 = ["-mcpu=power6", "-static", "-w"]
VARIANTS = {"O0": (CC64, ["-O0"]), "O2": (CC64, ["-O2"])}
LONG_VARIANTS = {"O3-altivec": (CC64, ["-O3", "-maltivec"]), "O2-32bit": (CC32, ["-O2"])}
TORTURE = "gcc.c-torture/execute"
# What the suites' .exp and .x files add.
FOLDERS = {
    TORTURE: [], TORTURE + "/ieee": ["-fno-inline"],
    TORTURE + "/builtins": ["-fno-tree-dse", "-fno-tree-loop-distribute-patterns", "-fno-tracer", "-fno-ipa-ra",
                            "-fno-inline-functions"],
    "gcc.dg/dfp": ["-std=gnu99"], "c-c++-common/dfp": ["-std=gnu99"],
}
OPTIONS = {"compare-fp-3": ["-fno-trapping-math"], "compare-fp-4": ["-fno-trapping-math"], "fp-cmp-7": ["-fno-trapping-math"],
           "pr38016": ["-fno-ivopts", "-fno-gcse"], "abs-1": ["-fno-builtin-abs"],
           # About the rounding mode and flags of libgcc's software, not of the processor.
           **dict.fromkeys(("convert-dfp-round", "fe-binop", "fe-convert-1"), ["-mno-hard-dfp"])}


def source():
    """The testsuite folders of Debian's source of the cross compiler."""
    major = subprocess.run([CC64, "-dumpversion"], stdout=subprocess.PIPE, check=True).stdout.decode().split(".")[0].strip()
    package = f"gcc-{major}"
    log = f"{guest_programs.CACHE}/{package}.log"
    with guest_programs.cached(f"source-{package}", debian.os_release().get("VERSION_ID"), sorted(FOLDERS)) as (folder, empty):
        if empty:
            print(f"fetching the source of {package}", flush=True)
            debian.Packages(f"{guest_programs.CACHE}/apt").source(package, f"{folder}/package", log)
            outer = glob.glob(f"{folder}/package/*.orig.tar.*")[0]
            debian.run(["tar", "-C", f"{folder}/package", "-xf", outer, "--wildcards", "*/gcc-*.tar.*"], log)
            inner = glob.glob(f"{folder}/package/*/gcc-*.tar.*")[0]
            debian.run(["tar", "-C", folder, "--strip-components=2", "-xf", inner, "--wildcards"] +
                       [f"*/gcc/testsuite/{name}" for name in (TORTURE, "gcc.dg/dfp", "c-c++-common/dfp")], log)
            debian.run(["rm", "-r", f"{folder}/package"], log)
        return f"{folder}/testsuite"


class Test:
    def __init__(self, suite, path):
        self.folder, self.stem = os.path.relpath(os.path.dirname(path), suite), os.path.basename(path)[:-len(".c")]
        self.name = f"{self.folder}/{self.stem}"
        with open(path, errors="replace") as f:
            self.text = f.read()
        self.sources = [path]
        if self.folder.endswith("/builtins"):
            self.sources += [path[:-len(".c")] + "-lib.c", os.path.dirname(path) + "/lib/main.c"]

    def excuse(self):
        what = re.search(r"dg-do\s+(\w+)(.*)", self.text)
        if what and what[1] != "run":
            return f"not to be run (dg-do {what[1]})"
        if what and "86-*-" in what[2]:
            return "for x86 only (its dg-do)"
        return None

    def options(self):
        words = FOLDERS[self.folder] + OPTIONS.get(self.stem, [])
        for options, target in re.findall(r'dg-(?:additional-)?options\s+(?:\{\s*)?"([^"]*)"(?:\s*\})?\s*(\{[^}]*)?', self.text):
            if not target.strip():
                words += options.split()
        return words


class Torture(guest_programs.GuestPrograms):
    def build(self, tests, name, compiler, flags):
        """A folder with one program named `name` that runs these tests, and those that do not compile or link."""
        prefix = compiler[:-len("gcc")]
        driver = os.path.join(guest_programs.HERE, "guest-programs", "torture_driver.c")
        with open(driver, "rb") as f:
            inputs = (f.read(), guest_programs.compiler(compiler), flags, [(test.name, test.options(), test.text) for test in tests])
        kind = "all" if guest_programs.LONG else "sample"
        with guest_programs.cached(f"torture-{kind}-{name}", *inputs) as (out, empty):
            if empty:
                print(f"compiling {len(tests)} tests with {' '.join(flags)}", flush=True)
                os.makedirs(f"{out}/objects")
                failed = guest_programs.compile_all([self.commands(out, n, test, prefix, flags) for n, test in enumerate(tests)])
                with open(f"{out}/failed", "w") as f:
                    f.writelines(f"{tests[n].name}\t{text.strip().splitlines()[0][:200]}\n" for n, text in failed.items())
                with open(f"{out}/table.c", "w") as f:
                    good = [n for n in range(len(tests)) if n not in failed]
                    f.writelines(f"int t{n}(int, char**, char**);\n" for n in good)
                    f.write("const struct { const char* name; int (*main)(int, char**, char**); } tests[] = {\n")
                    f.writelines(f'{{"{tests[n].name}", t{n}}},\n' for n in good)
                    f.write("{0, 0}};\n")
                with open(f"{out}/objects.list", "w") as f:
                    f.writelines(f"{out}/objects/{n}.o\n" for n in good)
                os.makedirs(f"{out}/files")
                debian.run([compiler, "-O1", *POWER6, "-o", f"{out}/files/{name}", driver, f"{out}/table.c", f"@{out}/objects.list",
                            "-Wl,--warn-unresolved-symbols", "-lm"], f"{out}/link.log")
                debian.run([prefix + "strip", f"{out}/files/{name}"], f"{out}/link.log")
                debian.run(["rm", "-r", f"{out}/objects"], f"{out}/link.log")
            with open(f"{out}/failed") as f:
                return f"{out}/files/{name}", dict(line.rstrip("\n").split("\t", 1) for line in f)

    @staticmethod
    def commands(out, n, test, prefix, flags):
        """A shell line that makes objects/N.o, whose only symbol to the outside is its main, now called tN."""
        parts = []
        for place, path in enumerate(test.sources):
            parts.append(f"{out}/objects/{n}-{place}.o")
        lines = [" ".join([prefix + "gcc", *flags, *POWER6, *test.options(), "-c", "-o", part, path])
                 for part, path in zip(parts, test.sources)]
        whole = parts[0]
        if len(parts) > 1:
            whole = f"{out}/objects/{n}-whole.o"
            lines.append(f"{prefix}ld -r -o {whole} {' '.join(parts)}")
        lines.append(f"{prefix}objcopy --keep-global-symbol=t{n} --redefine-sym main=t{n} {whole} {out}/objects/{n}.o")
        lines.append(f"rm {out}/objects/{n}-*.o")
        return ["sh", "-c", " && ".join(lines)]

    def test_torture(self):
        suite = source()
        paths = [path for folder in FOLDERS for path in sorted(glob.glob(f"{suite}/{folder}/*.c")) if not path.endswith("-lib.c")]
        tests = [Test(suite, path) for path in paths]
        ledger = guest_programs.Ledger("torture")
        excuses = {(row["test"], row["variant"]): row for row in ledger.of("excuse")}
        excused = {test.name: test.excuse() for test in tests if test.excuse()}
        excused.update({test.name: ledger.excuse(excuses[test.name, ""]) for test in tests if (test.name, "") in excuses})
        tests = [test for test in tests if test.name not in excused]
        variants = dict(VARIANTS)
        if guest_programs.LONG:
            variants.update(LONG_VARIANTS)
        else:
            tests, excused = random.Random(SEED).sample(tests, SAMPLE), {}
        os.makedirs(f"{self.folder}/files")
        programs, not_built = [], {}
        for name, (compiler, flags) in variants.items():
            path, not_built[name] = self.build(tests, name, compiler, flags)
            os.link(path, f"{self.folder}/files/{name}")
            programs.append(Program(name, f"./{name}", 7200))
        results = self.run_programs(f"{self.folder}/files", programs, limit=7200, memory=1024)
        passed, failed = {}, {}
        excused = {f"{name} of every variant": why for name, why in excused.items()}
        for variant in variants:
            result = results[variant]
            said = dict(line.split(" ", 1) for line in result.out.decode(errors="replace").splitlines())
            for test in tests:
                name = f"{test.name} {variant}"
                row = excuses.get((test.name, variant))
                outcome = not_built[variant].get(test.name) and "does not compile: " + not_built[variant][test.name]
                outcome = outcome or said.get(test.name, f"did not run (driver's exit code {result.code})")
                if outcome == "exit 0":
                    passed[name] = ""
                elif row:
                    excused[name] = f"{ledger.excuse(row)} ({outcome})"
                else:
                    failed[name] = outcome
        if guest_programs.LONG:
            failed.update(ledger.unused())
        self.verdicts("GCC torture", passed, failed, excused)


if __name__ == "__main__":
    harness.main()
