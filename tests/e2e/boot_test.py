#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Linux boots to a shell on 1 and on 4 processors; its disk and its network work."""
import hashlib
import socket
import struct
import subprocess
import zlib

import harness


class Boot(harness.Site):
    def boots_on(self, processors):
        self.start("POWER6-A", self.config("POWER6-A", partition=self.partition(processors)))
        self.assertEqual(self.state(), "Not Activated")
        console = self.activate()
        self.assertEqual(self.state(), "Running")
        self.assertIn("POWER6", console.shell("grep -m 1 ^cpu /proc/cpuinfo"))
        self.assertEqual(int(console.shell("nproc")), processors)
        self.assertIn("ppc64", console.shell("uname -m"))
        # Every processor does work of its own.
        for cpu in range(processors):
            self.assertEqual(console.shell(f"taskset -c {cpu} sh -c 'echo $((6 * 7))'").strip(), "42")
        self.assertGreater(int(self.do(f"lssyscfg -r lpar -m POWER6-A -F instructions --filter lpar_names={harness.PARTITION}")), 0)
        self.shut_down(console)

    def test_one_processor(self):
        self.boots_on(1)

    def test_four_processors(self):
        self.boots_on(4)

    def test_again_after_shutdown_and_after_power_off(self):
        self.start("POWER6-A", self.config("POWER6-A", partition=self.partition()))
        console = self.activate()
        self.shut_down(console)
        console.close()
        console = self.activate()
        console.close()
        self.do(f"chsysstate -r lpar -m POWER6-A -o shutdown --immed -n {harness.PARTITION}")
        self.assertEqual(self.state(), "Not Activated")
        self.activate()


class Devices(harness.Site):
    def test_disk_keeps_what_was_written(self):
        disk = self.disk()
        self.start("POWER6-A", self.config("POWER6-A", disk=disk, partition=self.partition(2, bootargs="root=/dev/sda rw", disk=True)))
        console = self.activate()
        self.assertIn("/dev/sda / ext4 rw", console.shell("cat /proc/mounts").replace("/dev/root", "/dev/sda"))
        console.shell("dd if=/dev/urandom of=/root/data bs=64k count=64 2>/dev/null && sync")
        inside = console.shell("md5sum < /root/data").split()[0]
        console.shell("echo 3 > /proc/sys/vm/drop_caches")
        self.assertEqual(console.shell("md5sum < /root/data").split()[0], inside)
        self.shut_down(console)
        self.file_system_clean(disk)
        copy = self.folder + "/data"
        subprocess.run(["debugfs", "-R", f"dump /root/data {copy}", disk], check=True, stderr=subprocess.DEVNULL)
        with open(copy, "rb") as f:
            self.assertEqual(hashlib.md5(f.read()).hexdigest(), inside)

    def test_network_carries_traffic_both_ways(self):
        echo = harness.free_port()
        uplink = self.lan((echo, 7001))
        self.start("POWER6-A", self.config("POWER6-A", uplink=uplink, partition=self.partition(
            2, bootargs="baton.ip=10.0.2.15/24 baton.gw=10.0.2.2 baton.work", ethernet=True)))
        console = self.activate()
        self.assertIn("3 packets received", console.shell("ping -c 3 10.0.2.2"))
        # Large packets are several fragments.
        self.assertIn("3 packets received", console.shell("ping -c 3 -s 4000 10.0.2.2"))

        def record(magic, seq):
            body = magic + struct.pack(">Q", seq)
            for j in range(6):
                z = (seq * 64 + j + 1) * 0x9E3779B97F4A7C15 & (1 << 64) - 1
                z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & (1 << 64) - 1
                z = (z ^ z >> 27) * 0x94D049BB133111EB & (1 << 64) - 1
                body += struct.pack(">Q", z ^ z >> 31)
            return body + struct.pack(">I", zlib.crc32(body))

        def connect():
            try:
                s = socket.create_connection(("127.0.0.1", echo), 5)
                s.sendall(record(b"BTN1", 1))
                if s.makefile("rb", 0).read(64) == record(b"BTN2", 1):
                    return s
            except OSError:
                pass
            return None

        with harness.wait_until(connect, "the record service answers") as s:
            s.settimeout(harness.LIMIT)
            s.sendall(b"".join(record(b"BTN1", seq) for seq in range(2, 2002)))
            with s.makefile("rb") as answers:
                for seq in range(2, 2002):
                    self.assertEqual(answers.read(64), record(b"BTN2", seq), seq)


if __name__ == "__main__":
    harness.main()
