#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Either system killed, or the connection cut, at every message of a move: the partition is on exactly one side.

BATON_MOVE_FAULT names the message (migration/stream.h). BATON_LONG=1: also with a running Linux.
"""
import os
import subprocess
import unittest

import harness
from harness import PARTITION

SOURCE, TARGET = "POWER6-A", "POWER6-B"
SERIAL = {SOURCE: "10BA70A", TARGET: "10BA70B"}
# Message, who sends it.
QUIET = (("State", SOURCE), ("Prepare", SOURCE), ("Ready", TARGET), ("Commit", SOURCE), ("Resumed", TARGET), ("Completed", SOURCE))
RUNNING = (("Memory", SOURCE), ("Table", SOURCE), ("Round", SOURCE), ("Absent", SOURCE), ("Drained", SOURCE), *QUIET, ("Want", TARGET),
           ("Received", TARGET))
MOVE = f"migrlpar -o m -m {SOURCE} -t {TARGET} -p {PARTITION}"


def other(system):
    return TARGET if system == SOURCE else SOURCE


class Failures(harness.Site):
    def start_with(self, name, fault=None, **options):
        """Starts a system; a fault for it alone."""
        if fault:
            os.environ["BATON_MOVE_FAULT"] = fault
        try:
            return self.start(name, self.config(name, SERIAL[name], **options))
        finally:
            os.environ.pop("BATON_MOVE_FAULT", None)

    def owners(self):
        return [name for name in (SOURCE, TARGET)
                if f"{PARTITION}\n" in self.do(f"lssyscfg -r lpar -m {name} -F name")]

    def end_all(self):
        for system in self.systems:
            if system.alive():
                system.process.kill()
                system.process.wait()
        self.systems = []

    def recover(self):
        """What an administrator does afterwards, on both sides; refusals say that nothing is left to do."""
        self.hmc(f"migrlpar -o r -m {SOURCE} -t {TARGET} -p {PARTITION}")
        self.hmc(f"migrlpar -o r -m {TARGET} -p {PARTITION}")

    def settled(self, what):
        """One owner, and the other side has nothing that hinders another move."""
        def one():
            self.recover()
            return len(self.owners()) == 1 and self.owners()
        return harness.wait_until(one, f"{what}: one owner", 60)[0]

    def point(self, message, sender, when, what, **options):
        name = f"{what} {when} {message}"
        victim = sender if when.endswith("send") else other(sender)
        for file in os.listdir(self.run_dir):
            if file.endswith(".moves"):
                os.remove(os.path.join(self.run_dir, file))
        both = {SOURCE: dict(options), TARGET: {key: value for key, value in options.items() if key != "partition"}}
        systems = {who: self.start_with(who, name if who == victim else None, **both[who]) for who in (TARGET, SOURCE)}
        return name, victim, systems, both

    def test_not_activated(self):
        partition = self.partition(1, 64)
        for message, sender in QUIET:
            for when in ("before-send", "after-send", "receive"):
                with self.subTest(message=message, when=when):
                    name, victim, systems, both = self.point(message, sender, when, "kill", partition=partition)
                    self.hmc(MOVE)
                    self.assertIsNotNone(systems[victim].process.wait(60), name)
                    self.start_with(victim, None, **both[victim])
                    owner = self.settled(name)
                    # Before it sends or gets Commit, the destination cannot have it; after Resumed the source cannot.
                    if message in ("State", "Prepare", "Ready"):
                        self.assertEqual(owner, SOURCE, name)
                    if message in ("Resumed", "Completed"):
                        self.assertEqual(owner, TARGET, name)
                self.end_all()

    @unittest.skipUnless(os.environ.get("BATON_LONG"), "takes ten minutes")
    def test_running(self):
        disk = self.disk()
        for message, sender in RUNNING:
            for what in ("kill", "cut"):
                with self.subTest(message=message, what=what):
                    when = "receive" if message == "Want" else "after-send"
                    partition = self.partition(1, 128, "root=/dev/sda rw", disk=True)
                    name, victim, systems, both = self.point(message, sender, when, what, partition=partition, disk=disk)
                    console = self.activate(SOURCE)
                    console.shell("(while :; do dd if=/dev/urandom of=/dev/shm/churn bs=64k count=400 conv=notrunc; done) >/dev/null 2>&1 & true")
                    move = subprocess.Popen([harness.BATON, "--run-dir", self.run_dir, "hmc", "-c", MOVE + ' -i "post_copy=always,channels=2"'],
                                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                    if what == "kill":
                        self.assertIsNotNone(systems[victim].process.wait(60), name)
                        self.start_with(victim, None, **both[victim])
                    move.communicate(timeout=harness.LIMIT)
                    owner = self.settled(name)
                    # Gone with the system that was killed is what ran there, and what still had pages there only.
                    lost = what == "kill" and (owner == victim or message in ("Commit", "Want"))
                    ends = ("Not Activated", "Error") if lost else ("Running",)

                    def ended():
                        self.recover()  # Until the destination has noticed that nobody brings the rest.
                        return self.state(owner) in ends
                    harness.wait_until(ended, f"{name}: {ends}", 60)
                    if not lost and what == "cut":
                        console.shell("sync && echo alive")
                self.end_all()


if __name__ == "__main__":
    harness.main()
