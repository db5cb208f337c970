# SPDX-License-Identifier: Apache-2.0
"""The two emulators with the same guest in them: Baton, and QEMU's pseries machine. Each gives a shell on the console."""
import os
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
import harness  # noqa: E402

# "fixed": without a flush of the L1 at each way into and out of the kernel, as on Baton.
QEMU_CAPABILITIES = "max-cpu-compat=power6,cap-cfpc=fixed,cap-sbbc=broken,cap-ibs=broken"


class Qemu:
    """qemu-system-ppc64 with the processor nearest to a POWER6, under TCG."""

    name = "qemu"

    def __init__(self, initrd, processors=1, memory=512, firmware="vof"):
        machine = f"pseries,{QEMU_CAPABILITIES}" + (",x-vof=on" if firmware == "vof" else "")
        command = ["qemu-system-ppc64", "-M", machine, "-cpu", "power7", "-accel", "tcg,thread=multi", "-m", str(memory),
                   "-smp", str(processors), "-nodefaults", "-display", "none", "-chardev", "stdio,id=c,signal=off",
                   "-device", "spapr-vty,chardev=c,reg=0x30000000", "-kernel", harness.GUEST + "/vmlinux", "-initrd", initrd,
                   "-append", "console=hvc0"]
        self.started = time.monotonic()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.console = harness.Shell(self.process)

    def since_power_on(self):
        return time.monotonic() - self.started

    def peak_memory(self):
        return resident(self.process.pid)

    def close(self):
        self.process.kill()
        self.process.wait()


class Baton(harness.Site):
    """A managed system with one partition."""

    name = "baton"

    def runTest(self):
        pass

    def __init__(self, initrd, processors=1, memory=512, engine=None):
        super().__init__()
        self.setUp()
        try:
            config = self.config("POWER6-A", partition=self.partition(processors, memory, initrd=initrd))
            if engine:
                config = config.replace("[system]\n", f'[system]\nengine = "{engine}"\n', 1)
            self.system = self.start("POWER6-A", config)
            self.started = time.monotonic()
            self.do(f"chsysstate -r lpar -m POWER6-A -o on -n {harness.PARTITION}")
            self.console = harness.Console(self, "POWER6-A")
        except BaseException:
            self.close()
            raise

    def since_power_on(self):
        return time.monotonic() - self.started

    def peak_memory(self):
        return resident(self.system.process.pid)

    def close(self):
        if hasattr(self, "console"):
            self.console.close()
        self.tearDown()
        self.doCleanups()


def resident(pid):
    """Most memory that the process has had, in bytes."""
    with open(f"/proc/{pid}/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0
