#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Linux counts and samples with the processor's performance monitor, and accounts for processor time with PURR."""
import re

import guest_programs
import harness
from guest_programs import Program


# What Linux's lparcfg makes of H_GET_PPP, H_PIC, the SPLPAR characteristics, the areas of the processors and PURR.
LPARCFG = """serial_number system_type partition_id partition_name MinEntCap MinEntCapPerVP MinMem MinProcs DesEntCap DesMem DesProcs
             DesVarCapWt CapInc DisWheRotPer partition_max_entitled_capacity system_potential_processors
             partition_entitled_capacity group system_active_processors pool pool_capacity pool_idle_time pool_num_procs
             unallocated_capacity_weight capacity_weight capped unallocated_capacity
             physical_procs_allocated_to_virtualization max_proc_capacity_available entitled_proc_capacity_available
             dispatches dispatch_dispersions purr tbr shared_processor_mode slb_size""".split()
PLATFORM = 8  # processors, as harness.Site.config has them


class Perf(guest_programs.GuestPrograms):
    def before_programs(self, console):
        self.assertIn("POWER6 performance monitor hardware support registered", console.shell("dmesg"))
        # No fewer samples because interrupts take long on a busy machine.
        console.shell("echo 0 >/proc/sys/kernel/perf_cpu_time_max_percent")
        lparcfg = console.shell("cat /proc/powerpc/lparcfg")
        self.assertEqual([key for key in LPARCFG if not re.search(rf"(?m)^{key}=", lparcfg)], [], lparcfg)
        self.processors(console)
        idle, busy = self.lparstat(console, ""), self.lparstat(console, "timeout 4 sh -c 'while :; do :; done' & ")
        self.assertLess(idle["physc"], 0.4)
        self.assertGreater(busy["physc"], idle["physc"] + 0.3)
        self.assertLess(busy["physc"], 1.4)
        self.assertAlmostEqual(busy["%entc"], 50 * busy["physc"], delta=1)
        self.assertAlmostEqual(busy["app"], PLATFORM - busy["physc"], delta=0.2)
        self.assertGreater(idle["vcsw"], 0)

    def processors(self, console):
        """PURR and SPURR of a busy processor and an idle one, as Linux shows them."""
        def now():
            text = console.shell("cd /sys/devices/system/cpu; grep . cpu[01]/*purr; grep ^tbr /proc/powerpc/lparcfg")
            values = {name: int(value, 16) for name, value in re.findall(r"(?m)^(\S+):(\S+)$", text)}
            return values, int(re.search(r"tbr=(\d+)", text)[1])
        before, start = now()
        console.shell("taskset 2 timeout 3 sh -c 'while :; do :; done'; true")
        after, end = now()
        used = {name: (after[name] - before[name]) / (end - start) for name in after}
        print("of the time: " + ", ".join(f"{name} {share:.3f}" for name, share in sorted(used.items())), flush=True)
        for cpu in ("cpu0", "cpu1"):
            self.assertAlmostEqual(used[f"{cpu}/spurr"], used[f"{cpu}/purr"], delta=0.05)
            self.assertLessEqual(used[f"{cpu}/idle_purr"], used[f"{cpu}/purr"] + 0.05)
            self.assertLess(used[f"{cpu}/purr"], 1.05)
        self.assertGreater(used["cpu1/purr"], used["cpu0/purr"] + 0.3)

    def lparstat(self, console, beside):
        """{column: value} of three seconds."""
        header, values = console.shell(f"{beside}lparstat 3 1").split("\n")[-3:-1]
        print(f"{header}\n{values}", flush=True)
        return dict(zip(header.split(), map(float, values.split())))

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
