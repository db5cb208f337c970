#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The guest boots with each page size, number of processors, processor compatibility mode and amount of memory.

A set of boots in which every two choices meet; with BATON_LONG every combination.
"""
import itertools
import os
import re
from typing import NamedTuple

import guest_programs
import harness
from guest_programs import Program

PAGES = {"4k": (4096, "vmlinux"), "64k": (65536, "vmlinux-64k")}
PROCESSORS = (1, 2, 4)
MEMORY = (64, 8192)  # MB
# A self-test of the kernel wants 32 MB for itself, which with pages of 64 KB is more than 64 MB leave; and a tmpfs for
# the root has room for fewer files than there are, one for each two pages.
LITTLE = "initcall_blacklist=.test_code_patching rootfstype=ramfs"


class Mode(NamedTuple):
    """What Linux makes of a mode."""
    cpu: str       # of /proc/cpuinfo
    platform: str  # AT_PLATFORM
    hwcap: int     # AT_HWCAP
    there: str     # instructions that a program may execute
    illegal: str


HWCAP = {"64 bits": 0xC0000000, "VMX": 0x10000000, "FPU": 0x08000000, "MMU": 0x04000000, "POWER5+": 0x20000, "SMT": 0x4000,
         "I-cache snoop": 0x2000, "2.05": 0x1000, "DFP": 0x400, "POWER6x": 0x200, "perfmon": 0x40, "little-endian": 0x2}
MAY_HAVE = HWCAP["little-endian"]  # as ibm,pa-features says
ALWAYS = sum(HWCAP[name] for name in ("64 bits", "FPU", "MMU", "SMT", "I-cache snoop"))
POWER6 = ALWAYS + sum(HWCAP[name] for name in ("VMX", "2.05", "DFP", "perfmon"))
OLD = "frin popcntb"
NEW = "cmpb prtyd addg6s fcpsgn lfiwax lfdp stfdpx dadd dctfixq vor lvx"
MOVES = "mftgpr mffgpr"
MODES = {
    "POWER6": Mode("POWER6 (architected), altivec supported", "power6", POWER6, f"{OLD} {NEW}", f"{MOVES} popcntd"),
    "POWER6_enhanced": Mode("POWER6 (raw), altivec supported", "power6x", POWER6 + HWCAP["POWER6x"], f"{OLD} {NEW} {MOVES}",
                            "popcntd"),
    "POWER5+": Mode("POWER5+", "power5+", ALWAYS + HWCAP["POWER5+"], OLD, f"{NEW} {MOVES} popcntd"),
}
CHOICES = [list(PAGES), PROCESSORS, list(MODES), MEMORY]


def pairs(row):
    return {((i, row[i]), (j, row[j])) for i, j in itertools.combinations(range(len(row)), 2)}


def covering(rows):
    """A few of the rows in which each pair of choices of any of them occurs; greedily, so the same every time."""
    left, chosen = set().union(*map(pairs, rows)), []
    while left:
        best = max(rows, key=lambda row: len(pairs(row) & left))
        chosen.append(best)
        left -= pairs(best)
    return chosen


class BootMatrix(guest_programs.GuestPrograms):
    def boots(self, pages, processors, mode, memory):
        page, kernel = PAGES[pages]
        want = MODES[mode]
        # One process each: with pages of 64 KB a process is large, and more of them would not fit in 64 MB.
        work = "i=0; while [ $i -lt 4 ]; do md5sum processor processor processor & i=$((i + 1)); done; wait"
        got = self.run_programs(guest_programs.own_program("processor", "-mcpu=power5"), [
            Program("cpuinfo", "cat /proc/cpuinfo"), Program("nproc", "nproc"), Program("meminfo", "cat /proc/meminfo"),
            Program("smaps", "grep PageSize /proc/self/smaps | sort -u"), Program("processor", "processor"),
            Program("work", work), Program("disk", "cat processor processor processor > copy; sync; md5sum copy; rm copy"),
            Program("log", "dmesg | grep -ci 'BUG\\|WARNING\\|oops\\|call trace'; true"),
        ], 120, processors=processors, mode=mode, memory=memory, kernel=f"{harness.GUEST}/{kernel}",
           bootargs=LITTLE if memory == 64 else "")
        texts = {name: result.out.decode() for name, result in got.items()}
        for name, result in got.items():
            self.assertEqual(result.code, 0, f"{name}: {texts[name]}{result.err.decode()}")
        cpus = re.findall(r"^cpu\t\t: (.*)$", texts["cpuinfo"], re.M)
        self.assertEqual(cpus, [want.cpu] * processors)
        self.assertIn("(pvr 003e 0301)", texts["cpuinfo"])
        self.assertEqual(int(texts["nproc"]), processors)
        total = int(re.search(r"MemTotal: *(\d+)", texts["meminfo"])[1]) >> 10
        self.assertLess(total, memory)
        self.assertGreater(total, memory * 0.95 - 28)  # the kernel, its tables
        self.assertIn(f"KernelPageSize: {page >> 10:8} kB", texts["smaps"])
        seen = dict(line.split(" ", 1) for line in texts["processor"].splitlines())
        self.assertEqual(int(seen["page"]), page)
        self.assertEqual(seen["pvr"], "003e0301")
        self.assertEqual(seen["platform"], want.platform)
        self.assertEqual(int(seen["hwcap"], 16) & ~MAY_HAVE, want.hwcap, seen["hwcap"])
        for instructions, answer in ((want.there, "there"), (want.illegal, "illegal")):
            self.assertEqual({seen[name] for name in instructions.split()}, {answer}, texts["processor"])
        self.assertEqual(len(set(texts["work"].splitlines())), 1, texts["work"])
        self.assertEqual(texts["work"].count("\n"), 12)
        self.assertEqual(int(texts["log"]), 0)

    def after_programs(self, console):
        wish, current = self.do("lssyscfg -r lpar -m POWER6-A -F desired_lpar_proc_compat_mode,curr_lpar_proc_compat_mode "
                                f"--filter lpar_names={harness.PARTITION}").strip().split(",")
        self.assertEqual(wish, current)


def add_test(row):
    name = "test_{}_pages_{}_processors_{}_{}_mb".format(row[0], row[1], row[2].replace("+", "_plus"), row[3])
    setattr(BootMatrix, name, lambda self: self.boots(*row))


ALL = list(itertools.product(*CHOICES))
for each in ALL if guest_programs.LONG else covering(ALL):
    add_test(each)

if __name__ == "__main__":
    for needed, file in PAGES.values():
        if not os.path.exists(f"{harness.GUEST}/{file}"):
            raise SystemExit(f"{harness.GUEST}/{file} is missing; build it with ./run guest.")
    harness.main()
