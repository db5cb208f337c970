#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The demonstration itself: its exit code and every promise of its report."""
import json
import os
import subprocess
import unittest

import harness


class Demonstration(unittest.TestCase):
    def setUp(self):
        self.work = os.path.join(harness.LOGS, "demo")

    def demo(self, *options):
        return subprocess.run([harness.BATON, "demo", "--guest", harness.GUEST, "--work", self.work, "--plain", *options],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=3000)

    def loses_nothing(self, moves, *options):
        done = self.demo("--moves", str(moves), *options)
        text = done.stdout.decode(errors="replace")
        print(text)
        self.assertEqual(done.returncode, 0, text)
        with open(self.work + "/report.json") as f:
            report = json.load(f)
        self.assertTrue(report["ok"])
        ends = ("POWER6-A", "POWER6-B")
        self.assertEqual([(m["from"], m["to"]) for m in report["moves"]],
                         [(ends[i % 2], ends[1 - i % 2]) for i in range(moves)])
        for move in report["moves"]:
            self.assertEqual(move["states"], ["Enabled", "Suspending", "Suspended", "Resumed", "Completed"])
            self.assertGreater(move["bytes"], 0)
            self.assertGreater(move["rounds"], 0)
            self.assertEqual(len(move["interrupts"]), 2)
            for row in move["interrupts"]:
                self.assertTrue(row["timer"] and row["console"] and row["disk"] and row["network"], row)
        self.assertGreater(report["boot"]["instructions"], 0)
        self.assertGreater(report["disk"]["acknowledged"], 0)
        self.assertEqual(report["disk"]["verified"], report["disk"]["acknowledged"])
        self.assertEqual(report["disk"]["lost"], 0)
        self.assertGreater(report["tcp"]["records"], 0)
        self.assertEqual(report["tcp"]["errors"], 0)
        self.assertEqual(report["clock"]["backward_steps"], 0)
        self.assertTrue(report["compute"]["right"])
        self.assertTrue(report["file_system"]["clean"])

    def test_three_moves_lose_nothing(self):
        self.loses_nothing(3)

    @unittest.skipUnless(os.environ.get("BATON_LONG"), "takes ten minutes")
    def test_two_hundred_moves_lose_nothing(self):
        self.loses_nothing(200, "--pause", "0")

    def test_missing_guest_is_said(self):
        done = subprocess.run([harness.BATON, "demo", "--guest", "/no/such/folder", "--work", self.work + "-none", "--plain"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("/no/such/folder/vmlinux is missing", done.stdout.decode())
        with open(self.work + "-none/report.json") as f:
            self.assertFalse(json.load(f)["ok"])


if __name__ == "__main__":
    harness.main()
