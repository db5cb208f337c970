#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Linux uses every page and segment size: 4 KB and 64 KB bases, 16 MB pages of hugetlbfs, segments turned from 64 KB to
4 KB pages, segments of 1 TB; and what it cannot have, it does without."""
import os
import re

import guest_programs
import harness
from guest_programs import Program

HUGE_KB = 16384


class Pages(guest_programs.GuestPrograms):
    def run_pages(self, programs, **partition):
        got = self.run_programs(guest_programs.own_program("pages", "-mcpu=power5"), programs, 300, **partition)
        texts = {name: result.out.decode() for name, result in got.items()}
        for name, result in got.items():
            self.assertEqual(result.code, 0, f"{name}: {texts[name]}{result.err.decode()}")
        return texts

    def large(self, kernel, page_kb, **partition):
        """Huge pages, far addresses and the kernel's own mappings."""
        texts = self.run_pages([
            Program("reserve", "echo 8 >/proc/sys/vm/nr_hugepages; grep -i huge /proc/meminfo"),
            Program("huge", "pages huge 4"), Program("huge again", "pages huge 6"),
            Program("left", "grep -i huge /proc/meminfo"),
            Program("release", "echo 0 >/proc/sys/vm/nr_hugepages; grep -i huge /proc/meminfo"),
            Program("far", "pages far"), Program("bolted", "pages bolted"), Program("log", "dmesg"),
        ], memory=512, processors=2, kernel=f"{harness.GUEST}/{kernel}", **partition)

        def meminfo(name, field):
            return int(re.search(rf"{field}: *(\d+)", texts[name])[1])
        self.assertEqual(meminfo("reserve", "Hugepagesize"), HUGE_KB)
        self.assertEqual(meminfo("reserve", "HugePages_Total"), 8)
        self.assertEqual(meminfo("left", "HugePages_Free"), 8)
        self.assertEqual(meminfo("release", "HugePages_Total"), 0)
        for name in ("huge", "huge again"):
            self.assertIn(f"MMUPageSize {HUGE_KB}\n", texts[name])
            self.assertIn("ok\n", texts[name])
        self.assertIn("ok\n", texts["far"])
        self.assertIn("Using 1TB segments", texts["log"])
        # The kernel's own segments: B = 1 TB, L||LP = 16 MB. One buffer a processor.
        entries = {int(line.split()[2], 16) for line in texts["bolted"].splitlines() if line.startswith("entry")}
        self.assertTrue(entries, texts["bolted"])
        for vsid in entries:
            self.assertEqual(vsid >> 62, 1, texts["bolted"])
            self.assertEqual(vsid & 0x130, 0x100, texts["bolted"])
        self.assertRegex(texts["log"], rf"Page orders: linear mapping = 24, virtual = {12 if page_kb == 4 else 16}")

    def test_4k_kernel(self):
        self.large("vmlinux", 4)

    def test_64k_kernel(self):
        self.large("vmlinux-64k", 64)

    def test_64k_kernel_power5_plus(self):
        self.large("vmlinux-64k", 64, mode="POWER5+")

    def test_segments_turned_to_small_pages(self):
        """A cache-inhibited page cannot be 64 KB large on POWER6: Linux turns its segment to one of 4 KB pages."""
        text = self.run_pages([Program("mixed", "pages mixed")], memory=256, processors=2, kernel=f"{harness.GUEST}/vmlinux-64k")["mixed"]
        self.assertIn("before 64\n", text)
        self.assertIn("after 4 of 64\n", text)
        self.assertIn("other 64\n", text)
        self.assertIn("ok\n", text)

    def test_little_memory_has_no_huge_pages(self):
        texts = self.run_pages([
            Program("reserve", "echo 4 >/proc/sys/vm/nr_hugepages; grep HugePages_Total /proc/meminfo"),
            Program("huge", "pages huge 4; test $? = 1"),
        ], memory=64, kernel=f"{harness.GUEST}/vmlinux")
        self.assertLess(int(texts["reserve"].split()[1]), 4)
        self.assertIn("mmap: Cannot allocate memory", texts["huge"])


if __name__ == "__main__":
    for needed in ("vmlinux", "vmlinux-64k"):
        if not os.path.exists(f"{harness.GUEST}/{needed}"):
            raise SystemExit(f"{harness.GUEST}/{needed} is missing; build it with ./run guest.")
    harness.main()
