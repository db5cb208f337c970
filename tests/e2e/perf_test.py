#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Linux counts and samples with the processor's performance monitor, and accounts for processor time with PURR."""
import re

import guest_programs
import harness
from guest_programs import Program


class Perf(guest_programs.GuestPrograms):
    def before_programs(self, console):
        self.assertIn("POWER6 performance monitor hardware support registered", console.shell("dmesg"))
        idle, busy = (self.share(console, command) for command in ("sleep 3", "(timeout 3 sh -c 'while :; do :; done'; true)"))
        print(f"PURR: idle {idle:.2f}, busy {busy:.2f} processors", flush=True)
        self.assertLess(idle, 0.4)
        self.assertGreater(busy, idle + 0.3)
        self.assertLess(busy, 1.4)

    def share(self, console, command):
        """Processors used while the command runs: PURR of all against the time base."""
        def now():
            text = console.shell("cat /proc/powerpc/lparcfg; cat /proc/uptime")
            return int(re.search(r"^purr=(\d+)", text, re.M)[1]), float(text.split("\n")[-2].split()[0])
        purr, time = now()
        console.shell(command)
        purr_after, time_after = now()
        return (purr_after - purr) / 512e6 / (time_after - time)

    def test_counts_and_samples(self):
        files = guest_programs.own_program("perf_loops", "-mcpu=power6", "-mno-altivec")
        programs = [Program(f"{verb} on processor {cpu}", f"perf_loops {verb} {cpu}") for cpu in (0, 1) for verb in ("stat", "record")]
        results = self.run_programs(files, programs, processors=2)
        for name, result in results.items():
            print(name + "\n" + result.out.decode() + result.err.decode(), end="", flush=True)
        self.verdicts("perf", [name for name, r in results.items() if r.code == 0],
                      {name: f"exit code {r.code}" for name, r in results.items() if r.code != 0}, {})


if __name__ == "__main__":
    harness.main()
