#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A kernel built with its own self-tests boots: each that it has reports that it passed, and nothing failed.

The kernel is made by guest/build --variant selftest. What is built in runs at boot; what is a module is loaded afterwards.
"""
import glob
import os
import re
import shutil
import subprocess

import guest_programs
import harness
from guest_programs import Program

# What the log must have: (test, pattern). A pattern's group, if any, is a count of cases that passed.
REPORTS = [
    ("feature fixups (FTR_FIXUP)", r"Running feature fixup self-tests"),
    ("code patching (CODE_PATCHING)", r"Running code patching self-tests"),
    ("MSI bitmap (MSI_BITMAP)", r"Running MSI bitmap self-tests"),
    ("instruction emulation (EMULATE_STEP)", r"Running instruction emulation self-tests"),
    ("atomic64", r"atomic64_test: passed"),
    ("crc32", r"crc32: self tests passed"),
    ("crc32c", r"crc32c: self tests passed"),
    ("random32", r"prandom: (\d+) self tests passed"),
    ("glob", r"glob: (\d+) self-tests passed, 0 failed"),
    ("string", r"String selftests succeeded"),
    ("bitmap", r"test_bitmap: all (\d+) tests passed"),
    ("div64", r"test_div64: Completed 64bit/32bit division and modulo test"),
    ("hexdump", r"test_hexdump: all (\d+) tests passed"),
    ("ida", r"IDA: (\d+) of \1 tests passed"),
    ("memcat_p", r"test_memcat_p: test passed"),
    ("meminit", r"test_meminit: all (\d+) tests passed"),
    ("min_heap", r"min_heap_test: test passed"),
    ("printf", r"test_printf: all (\d+) tests passed"),
    ("scanf", r"test_scanf: all (\d+) tests passed"),
    ("siphash", r"test_siphash: self-tests: pass"),
    ("string_helpers", r"test_string_helpers: Running tests"),
    ("strscpy", r"strscpy: all (\d+) tests passed|test_strscpy: all (\d+) tests passed"),
    ("uuid", r"test_uuid: all (\d+) tests passed"),
    ("red-black trees", r"rbtree testing"),
    ("interval trees", r"interval tree insert/remove"),
    ("raid6 syndromes", r"raid6: using algorithm altivec"),
    ("raid6 recovery", r"raid6test: complete \((\d+) tests, 0 failures\)"),
    # modules
    ("maple_tree", r"maple_tree: (\d+) of \d+ tests passed"),  # all but one, which fails under QEMU too: checked below
    ("xarray", r"XArray: (\d+) of \1 tests passed"),
    ("rhashtable", r"Started \d+ threads, 0 failed"),
    ("bpf", r"test_bpf: Summary: (\d+) PASSED, 0 FAILED, \[(?!0/)\d+/\d+ JIT"),
    ("user copy", r"test_user_copy: tests passed"),
    ("percpu", r"percpu test done"),
    ("bitops", r"test_bitops: Completed bitops test"),
    ("module loading", r"test_module: Hello, world"),
]
# KUnit on; memory cleared when it is given out, for meminit; no complaint about the speed of this machine; the Reed-Solomon test takes
# hours and has nothing that the others lack.
BOOTARGS = "loglevel=1 kunit.enable=1 init_on_alloc=1 init_on_free=1 rcupdate.rcu_cpu_stall_suppress=1 initcall_blacklist=.test_rslib_init"
FAILURE = re.compile(r"\bnot ok \d|: FAIL|[1-9]\d* FAILED\b|failed at line|[Tt]est failed|WARNING: CPU|BUG:|Oops|alg: .*failed|mismatch, exp")
# The KUnit suites that must report, each with at least one case; others may.
KUNIT = """time_test_cases hw_breakpoint resource sysctl_test binfmt_elf compat_binfmt_elf ext4_inode_test cpumask hash list_sort lib_sort
           kprobes_test kunit_executor_test kunit-try-catch-test kunit-resource-test kunit-log-test kunit_status string-stream-test
           example bitfields list-kunit-test hlist bits-test cmdline slub_test memcpy is_signed_type overflow stackinit
           qos-kunit-test property-entry rtc_lib_test_cases""".split()


class KernelSelftest(guest_programs.GuestPrograms):
    def build(self):
        recipe = os.path.join(guest_programs.HERE, "..", "..", "guest", "build")
        subprocess.run([recipe, "--only", "kernel", "--variant", "selftest", harness.GUEST], check=True)
        files = self.folder + "/files"
        os.makedirs(files)
        modules = glob.glob(f"{harness.GUEST}/work/kernel-selftest/**/*.ko", recursive=True)
        for path in modules:
            shutil.copy(path, files)
        return files, sorted(os.path.basename(path) for path in modules)

    def test_reports(self):
        files, modules = self.build()
        jit = Program("bpf_jit", "echo 1 >/proc/sys/net/core/bpf_jit_enable")  # or test_bpf's programs are interpreted
        programs = [jit] + [Program(name, f"insmod {name}", 1800) for name in modules]
        programs += [Program("log", "dmesg"), Program("ciphers", "cat /proc/crypto")]
        results = self.run_programs(files, programs, kernel=f"{harness.GUEST}/vmlinux-selftest", memory=1024, processors=2,
                                    bootargs=BOOTARGS, start_limit=1800)
        log, ciphers = (results[name].out.decode(errors="replace") for name in ("log", "ciphers"))
        for name, text in (("dmesg", log), ("crypto", ciphers)):
            with open(f"{self.folder}/{name}", "w") as f:
                f.write(text)
        self.judge(log, ciphers)

    def judge(self, log, ciphers):
        """What the kernel's log and /proc/crypto say, against what they should."""
        passed, failed, excused = {}, {}, {}
        ledger = guest_programs.Ledger("kernel-selftests")
        for name, pattern in REPORTS:
            found = re.search(pattern, log)
            if not found:
                failed[name] = "no report"
                continue
            count = next((group for group in found.groups() if group), None)
            passed[name] = f"{count} cases" if count else ""
        trees = re.search(r"maple_tree: (\d+) of (\d+) tests passed", log)
        if trees and int(trees[2]) - int(trees[1]) > 1:
            failed["maple_tree"] = trees[0]
        suites = kunit(log)
        for suite in KUNIT:
            if not suites.get(suite):
                failed[f"KUnit {suite}"] = "no report"
        passed.update({f"KUnit {suite}": f"{cases} cases" for suite, cases in suites.items()})
        steps = re.findall(r"emulate_step_test: (\S+) +: (.*?)(PASS|FAIL|SKIP)(.*)", log)
        passed["instruction emulation (EMULATE_STEP)"] = f"{sum(step[2] == 'PASS' for step in steps)} cases"
        for step in steps:
            if step[2] == "SKIP":
                excused[f"emulate_step {step[0]}"] = "of a newer ISA" + step[3]
        tested = re.findall(r"(?ms)^driver +: (\S+)$.*?^selftest +: (\S+)$", ciphers)
        for driver, state in tested:
            if state != "passed":
                failed[f"cipher {driver}"] = state
        passed["ciphers and digests"] = f"{len(tested)} algorithms"
        for line in log.splitlines():
            if not FAILURE.search(line):
                continue
            row = next((row for row in ledger.of("line") if re.search(row["pattern"], line)), None)
            if row:
                ledger.excuse(row)
            else:
                failed[line.strip()] = "in the log"
        failed.update(ledger.unused())
        for name, count in passed.items():
            print(f"  passed {name} {count}")
        self.verdicts("kernel self-tests", passed, failed, excused)


def kunit(log):
    """{suite: cases that passed} of each KUnit suite that reports ok."""
    suites, cases = {}, 0
    for indent, name in re.findall(r"(?m)^\[[^\]]*\]( +)ok \d+ (?:- )?([^\n#]+?)(?: #.*)?$", log):
        if len(indent) > 1:
            cases += 1
        else:
            suites[name] = cases
            cases = 0
    return suites


if __name__ == "__main__":
    harness.main()
