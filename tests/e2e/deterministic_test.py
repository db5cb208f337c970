#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Deterministic mode: the same inputs give the same bits, under every engine; a log replays; a trace can be read."""
import os
import re
import shutil
import subprocess

import harness

ENGINES = ("interpreter", "stencil", "llvm")


class Deterministic(harness.Site):
    def baton(self, *words):
        return subprocess.run([harness.BATON, "--run-dir", self.run_dir, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=harness.LIMIT, text=True)

    def file(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def digests(self, text):
        return re.findall(r"(?m)^partition lpar1 (?:reached|stopped): .*", text)

    def boot_under_each_engine(self, instructions, every, **partition):
        results = []
        for engine in ENGINES:
            disk = None
            if partition.get("disk"):
                disk = self.disk()
                shutil.copy(harness.GUEST + "/rootfs.ext4", disk)  # The same identity, the same contents.
            path = self.file(engine + ".toml", self.config("POWER6-A", disk=disk, partition=self.partition(1, **partition)))
            done = self.baton("system", path, "--engine", engine, "--stop-at", str(instructions), "--digest-every", str(every))
            self.assertEqual(done.returncode, 0, done.stderr)
            results.append(self.digests(done.stdout))
        self.assertEqual(len(results[0]), instructions // every + 1)
        self.assertIn(f"instructions {instructions} ", results[0][-1])
        for other in results[1:]:
            self.assertEqual(other, results[0])

    def test_linux_boots_the_same_under_every_engine(self):
        self.boot_under_each_engine(160_000_000, 5_000_000)

    def test_linux_boots_the_same_from_a_disk(self):
        self.boot_under_each_engine(160_000_000, 20_000_000, disk=True, bootargs="root=/dev/sda rw")

    def test_a_log_replays(self):
        log = os.path.join(self.folder, "events")
        partition = self.partition(1)
        system = self.start("POWER6-A", self.config("POWER6-A", partition=partition), "--engine", "stencil", "--record", log,
                            "--digest-every", "10000000")
        console = self.activate()
        self.assertIn("2026", console.shell("date"))
        console.shell("seq 1 20000 | md5sum; sleep 1; cat /proc/interrupts")
        random = console.shell("head -c 16 /dev/urandom | md5sum").strip()
        self.assertEqual(system.end(), 0)
        recorded = self.digests(system.said())
        self.assertGreater(len(recorded), 20)
        with open(log) as f:
            self.assertIn(" terminal 0 ", f.read())
        for engine in ENGINES:
            last = recorded[-1]
            stop = int(re.search(r"instructions (\d+)", last)[1])
            path = self.file(engine + ".toml", self.config("POWER6-A", partition=partition))
            done = self.baton("system", path, "--engine", engine, "--replay", log, "--stop-at", str(stop), "--digest-every", "10000000")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(self.digests(done.stdout)[:-1], recorded)
        self.assertTrue(random)

    def test_trace(self):
        path = self.file("a.toml", self.config("POWER6-A", partition=self.partition(1)))
        done = self.baton("trace", path, "--from", "100000000", "--count", "200", "--symbols", harness.GUEST + "/System.map")
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = [line for line in done.stdout.splitlines() if re.match(r" *10000\d{4} ", line)]
        self.assertEqual(len(lines), 200)
        self.assertTrue(all(re.match(r" *\d+ c[0-9a-f]{15} <\S+\+0x[0-9a-f]+> [0-9a-f]{8} [a-z]", line) for line in lines), lines[0])
        self.assertTrue(any(re.search(r" r\d+=", line) for line in lines))

    def test_what_the_engines_did(self):
        path = self.file("a.toml", self.config("POWER6-A", partition=self.partition(1)))
        done = self.baton("system", path, "--engine", "stencil", "--stop-at", "60000000", "--engine-stats", "--perf-map", "--symbols",
                          harness.GUEST + "/System.map")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"processor 0: 60000000 instructions")
        self.assertGreater(int(re.search(r"decoded, (\d+) compiled", done.stdout)[1]), 10000)
        self.assertGreater(int(re.search(r"hypervisor call (\d+)", done.stdout)[1]), 100)
        shares = [float(share) for share in re.findall(r"([\d.]+) %", done.stdout)]
        self.assertEqual(len(shares), 4)

    def test_what_a_debugger_sees(self):
        """gdb shows compiled code as a frame and, below it, who called it, wherever the guest is stopped."""
        system = self.start("POWER6-A", self.config("POWER6-A", partition=self.partition(1)))
        console = self.activate()
        console.shell("(while :; do echo; done > /dev/null &)")
        look = "python [thread.switch() for thread in gdb.selected_inferior().threads() if thread.name == 'lpar1:0']"
        commands = self.file("gdb", f"attach {system.process.pid}\n{look}\nbacktrace\necho \\nend\\n\ndetach\nshell sleep 0.1\n" * 8)
        done = subprocess.run(["gdb", "-q", "-nx", "-batch", "-ex", "set pagination off", "-x", commands], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=harness.LIMIT, text=True)
        if "ptrace" in done.stderr and "not permitted" in done.stderr:
            self.skipTest("this host lets no debugger attach")
        stacks = [stack for stack in re.findall(r"(?ms)^#0 .*?^end$", done.stdout) if re.search(r" guest_(code|region) \(", stack)]
        self.assertTrue(stacks, done.stdout + done.stderr)
        for stack in stacks:
            self.assertRegex(stack, r"(?s) guest_(code|region) \(.* at \S*hypervisor/virtual_processor\.cpp:", stack)
        self.assertIn("2026", console.shell("date"))

    def test_what_is_asked_wrongly(self):
        two = self.file("two.toml", self.config("POWER6-A", partition=self.partition(2)))
        one = self.file("one.toml", self.config("POWER6-A", partition=self.partition(1)))
        for words, said in ((("system", two, "--deterministic"), ("lpar1", "must have one")),
                            (("system", one, "--replay", two), (two, "no log of outside events")),
                            (("system", one, "--record", "/nowhere/log"), ("/nowhere/log", "cannot be written")),
                            (("trace", one, "--symbols", two), (two, "System.map"))):
            done = self.baton(*words)
            self.assertNotEqual(done.returncode, 0, words)
            self.complains(done.stderr, *said)


if __name__ == "__main__":
    harness.main()
