#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Moves that fail before the partition is suspended leave it running where it was, and it can move afterwards."""
import os
import re
import subprocess

import harness
from harness import PARTITION

MOVE = f"migrlpar -o m -m POWER6-A -t POWER6-B -p {PARTITION}"
SLOW_MOVE = MOVE + ' -i "bandwidth=100"'  # megabits a second: time to do something meanwhile


class FailedMove(harness.Site):
    def two_systems(self, destination_sees_disk=True, mode=None):
        disk, uplink = self.disk(), self.lan()
        partition = self.partition(2, 512, "root=/dev/sda rw baton.ip=10.0.2.15/24 baton.gw=10.0.2.2 baton.work",
                                   disk=True, ethernet=True, mode=mode)
        self.start("POWER6-A", self.config("POWER6-A", disk=disk, uplink=uplink, partition=partition))
        self.start("POWER6-B", self.config("POWER6-B", "10BA70B", disk=disk if destination_sees_disk else None, uplink=uplink))
        return self.activate("POWER6-A")

    def runs_on(self, system, other, console):
        self.assertEqual(self.state(system), "Running")
        others = self.hmc(f"lssyscfg -r lpar -m {other} -F name,state")[1]
        self.assertNotIn(f"{PARTITION},", others)
        # Disk, network and time go on.
        console.shell("echo alive >> /root/alive && sync")
        self.assertIn("2 packets received", console.shell("ping -c 2 10.0.2.2"))
        console.shell("usleep 100000")

    def moves(self, console):
        """And now it does move; the virtual terminal follows."""
        self.do(MOVE)
        self.runs_on("POWER6-B", "POWER6-A", console)
        self.shut_down(console, "POWER6-B")
        self.file_system_clean(self.folder + "/lun0.img")

    def test_veto_of_a_hook(self):
        console = self.two_systems()
        console.shell("echo 'the books are being closed' > /etc/baton-veto")
        self.refused(MOVE, "the books are being closed")
        self.runs_on("POWER6-A", "POWER6-B", console)
        console.shell("rm /etc/baton-veto")
        self.moves(console)

    def test_compatibility_mode_stays(self):
        console = self.two_systems(mode="POWER5+")
        self.assertIn("POWER5+", console.shell("grep -m 1 ^cpu /proc/cpuinfo"))
        self.do(MOVE)
        self.runs_on("POWER6-B", "POWER6-A", console)
        self.assertEqual(self.do("lssyscfg -r lpar -m POWER6-B -F desired_lpar_proc_compat_mode,curr_lpar_proc_compat_mode "
                                 f"--filter lpar_names={PARTITION}").strip(), "POWER5+,POWER5+")
        self.assertIn("POWER5+", console.shell("grep -m 1 ^cpu /proc/cpuinfo"))
        self.shut_down(console, "POWER6-B")

    def test_compressed(self):
        console = self.two_systems()
        self.do(MOVE + ' -i "compression=zstd,channels=4"')
        self.runs_on("POWER6-B", "POWER6-A", console)
        self.do(f"migrlpar -o m -m POWER6-B -t POWER6-A -p {PARTITION}")
        self.runs_on("POWER6-A", "POWER6-B", console)
        self.do(MOVE + ' -i "compression=auto,channels=2,bandwidth=100"')  # It finds out that the link is slow.
        self.runs_on("POWER6-B", "POWER6-A", console)
        (always, found_out), (plain,) = ([float(sent) for sent in re.findall(r"moved to \S+: \d+ ms, ([\d.]+) MB", system.said())]
                                         for system in self.systems)
        self.assertLess(always, 0.7 * plain)
        self.assertLess(found_out, 0.7 * plain)
        self.shut_down(console, "POWER6-B")
        self.file_system_clean(self.folder + "/lun0.img")

    def test_slowed_down(self):
        console = self.two_systems()
        self.refused(MOVE + ' -i "throttle=100"', "throttle", "0 to 99", "100")
        console.shell("(while :; do dd if=/dev/zero of=/dev/shm/churn bs=64k count=1600 conv=notrunc; done) >/dev/null 2>&1 & true")
        self.do(MOVE + ' -i "bandwidth=500,post_copy=never,throttle=60"')
        self.runs_on("POWER6-B", "POWER6-A", console)
        self.do(f'migrlpar -o m -m POWER6-B -t POWER6-A -p {PARTITION} -i "bandwidth=500,post_copy=never,throttle=0"')
        self.runs_on("POWER6-A", "POWER6-B", console)
        lost = [int(re.search(r"slowed down by (\d+) %", system.said())[1]) for system in self.systems]
        self.assertEqual(lost, [60, 0])

    def test_destination_without_the_lun(self):
        console = self.two_systems(destination_sees_disk=False)
        self.refused(f"migrlpar -o v -m POWER6-A -t POWER6-B -p {PARTITION}", "hdisk0")
        self.refused(MOVE, "hdisk0")
        self.runs_on("POWER6-A", "POWER6-B", console)

    def test_stopped_by_the_administrator(self):
        console = self.two_systems()
        # Something to copy, so that the copying takes a while: a tenth of the memory changes all the time.
        console.shell("(while :; do dd if=/dev/urandom of=/dev/shm/churn bs=1M count=48 conv=notrunc; done) >/dev/null 2>&1 & true")
        move = subprocess.Popen([harness.BATON, "--run-dir", self.run_dir, "hmc", "-c", SLOW_MOVE], stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT)
        stopped = harness.wait_until(
            lambda: self.hmc(f"migrlpar -o s -m POWER6-A -p {PARTITION}")[0] == 0 or move.poll() is not None, "the stop")
        output = move.communicate(timeout=harness.LIMIT)[0].decode()
        self.assertTrue(stopped)
        self.assertNotEqual(move.returncode, 0, "the move was over before it could be stopped: " + output)
        self.complains(output, PARTITION)
        console.shell("kill %1")
        self.runs_on("POWER6-A", "POWER6-B", console)
        self.moves(console)

    def test_suspended_to_a_file(self):
        """Linux goes into a file in the middle of its work and goes on from it on the other system."""
        console = self.two_systems()
        console.shell("(while :; do date >> /root/dates; done) & true")
        image = self.folder + "/lpar1.suspended"
        self.do(f"chlparstate -o suspend -m POWER6-A -p {PARTITION} --file {image}")
        self.assertNotIn(PARTITION, self.hmc("lssyscfg -r lpar -F name")[1])
        self.assertTrue(os.path.exists(image))
        self.refused(f"chlparstate -o resume -m POWER6-A --file {image}.not", image + ".not")
        self.do(f"chlparstate -o resume -m POWER6-B --file {image}")
        self.assertFalse(os.path.exists(image))
        # The virtual terminal found it there.
        self.runs_on("POWER6-B", "POWER6-A", console)
        console.shell("kill %1; sync")
        self.shut_down(console, "POWER6-B")
        self.file_system_clean(self.folder + "/lun0.img")

    def test_transparent(self):
        """A Linux that has no agent moves all the same if it is told that its software takes no part."""
        console = self.two_systems()
        console.shell("(while :; do date >> /root/dates; done) & true")
        console.shell("killall baton-agent; true")
        self.do(MOVE + ' -i "transparent=yes"')
        self.runs_on("POWER6-B", "POWER6-A", console)
        self.do(f'migrlpar -o m -m POWER6-B -t POWER6-A -p {PARTITION} -i "transparent=yes"')
        self.runs_on("POWER6-A", "POWER6-B", console)
        console.shell("kill %1; sync")
        self.refused(MOVE + ' -i "transparent=perhaps"', "transparent", "yes or no")

    def test_four_at_once_in_both_directions(self):
        """Partitions that wait at their firmware's prompt; a fifth move has to wait."""
        def partitions(names, first):
            return "".join(f'[[partition]]\nname = "{name}"\nid = {first + i}\nmemory = 256\nprocessors = 1\nauto_start = true\n'
                           for i, name in enumerate(names))
        here, there = ["a1", "a2", "a3"], ["b1", "b2"]
        self.start("POWER6-A", self.config("POWER6-A", partition=partitions(here, 2)))
        self.start("POWER6-B", self.config("POWER6-B", "10BA70B", partition=partitions(there, 12)))
        slow = '-i "transparent=yes,bandwidth=4"'
        moves = {name: subprocess.Popen([harness.BATON, "--run-dir", self.run_dir, "hmc", "-c",
                                         f"migrlpar -o m -m {source} -t {target} -p {name} {slow}"],
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                 for source, target, names in (("POWER6-A", "POWER6-B", here[:2]), ("POWER6-B", "POWER6-A", there)) for name in names}

        def under_way():
            return sum("Enabled" in line for line in self.hmc("lslparmigr -r lpar -m POWER6-A -F name,vasi_state")[1].splitlines())

        harness.wait_until(lambda: under_way() == 4 or any(move.poll() is not None for move in moves.values()), "four moves")
        self.assertEqual(under_way(), 4)
        self.refused("migrlpar -o m -m POWER6-A -t POWER6-B -p a3 -i \"transparent=yes\"", "4")
        for name, move in moves.items():
            output = move.communicate(timeout=harness.LIMIT)[0].decode()
            self.assertEqual(move.returncode, 0, name + ": " + output)
        for system, names, gone in (("POWER6-A", ["a3", *there], here[:2]), ("POWER6-B", here[:2], there)):
            listed = set(self.do(f"lssyscfg -r lpar -m {system} -F name").split())
            self.assertTrue(set(names) <= listed and not listed & set(gone), listed)
            for name in names:
                self.assertIn(self.do(f"lssyscfg -r lpar -m {system} -F state --filter lpar_names={name}").strip(),
                              ("Running", "Open Firmware"))

    def test_destination_that_is_gone(self):
        console = self.two_systems()
        self.systems[1].process.kill()
        self.systems[1].process.wait()
        self.refused(MOVE, "POWER6-B")
        self.runs_alone(console)

    def copying(self, command):
        """The console that was given the command of a slow move, once the copying has begun."""
        move = subprocess.Popen([harness.BATON, "--run-dir", self.run_dir, "hmc", "-c", command], stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT)
        harness.wait_until(lambda: "Enabled" in self.hmc("lslparmigr -r lpar -m POWER6-A -F vasi_state")[1] or
                           move.poll() is not None, "the copying")
        return move

    def test_console_that_dies_during_the_copying(self):
        """The movers need no console: the move goes on, and any other console can look at it or stop it."""
        console = self.two_systems()
        move = self.copying(SLOW_MOVE)
        move.kill()
        move.communicate()
        harness.wait_until(lambda: f"{PARTITION}," in self.hmc("lssyscfg -r lpar -m POWER6-B -F name,state")[1]
                           and self.state("POWER6-B") == "Running", "the move without its console")
        self.runs_on("POWER6-B", "POWER6-A", console)
        self.shut_down(console, "POWER6-B")
        self.file_system_clean(self.folder + "/lun0.img")

    def test_destination_that_dies_during_the_copying(self):
        console = self.two_systems()
        move = self.copying(SLOW_MOVE)
        self.systems[1].process.kill()
        self.systems[1].process.wait()
        output = move.communicate(timeout=harness.LIMIT)[0].decode()
        self.assertNotEqual(move.returncode, 0, output)
        self.runs_alone(console)

    def runs_alone(self, console):
        self.assertEqual(self.state("POWER6-A"), "Running")
        console.shell("echo alive >> /root/alive && sync")
        self.assertIn("2 packets received", console.shell("ping -c 2 10.0.2.2"))


if __name__ == "__main__":
    harness.main()
