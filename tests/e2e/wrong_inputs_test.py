#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is wrong is said in one sentence that names the thing, and nothing is left behind."""
import os
import subprocess

import harness
from harness import PARTITION


class WrongConfiguration(harness.Site):
    def fails(self, config, *words):
        system = harness.System(self, "POWER6-A", config)
        self.systems.append(system)
        self.assertNotEqual(system.process.wait(60), 0)
        self.complains(system.said(), *words)

    def test_unknown_key(self):
        self.fails('[system]\nname = "POWER6-A"\nmemroy = "8 GB"\n', "POWER6-A.toml", "line 3", '"memroy"', "memory")

    def test_not_toml(self):
        self.fails('[system\nname = "POWER6-A"\n', "POWER6-A.toml", "line 1")

    def test_wrong_kind_of_value(self):
        self.fails('[system]\nname = "POWER6-A"\nprocessors = "many"\n', "line 3", '"processors"', "1 to 64")

    def test_missing_file(self):
        done = subprocess.run([harness.BATON, "--run-dir", self.run_dir, "system", self.folder + "/none.toml"],
                              stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        self.assertNotEqual(done.returncode, 0)
        self.complains(done.stderr.decode(), "none.toml", "cannot be read")

    def test_name_of_a_running_system(self):
        self.start("POWER6-A", self.config("POWER6-A"))
        second = harness.System(self, "again", self.config("POWER6-A"))
        self.systems.append(second)
        self.assertNotEqual(second.process.wait(60), 0)
        self.complains(second.said(), "POWER6-A", "runs already")
        self.assertEqual(self.do("lssyscfg -r sys -F name").strip(), "POWER6-A")


class WrongPartition(harness.Site):
    def stays_off(self, partition, *words, disk=None):
        self.start("POWER6-A", self.config("POWER6-A", disk=disk, partition=partition))
        self.refused(f"chsysstate -r lpar -m POWER6-A -o on -n {PARTITION}", *words)
        self.assertEqual(self.state(), "Not Activated")
        self.assertTrue(self.systems[0].alive())

    def test_missing_kernel(self):
        self.stays_off(self.partition(kernel="/no/such/vmlinux"), "/no/such/vmlinux")

    def test_missing_initrd(self):
        self.stays_off(self.partition(initrd="/no/such/initrd"), "/no/such/initrd")

    def test_missing_disk(self):
        self.stays_off(self.partition(disk=True), "/no/such/disk", disk="/no/such/disk")

    def test_damaged_kernel(self):
        """Whatever its content, the partition stops with a message and the system lives on."""
        kernel = os.path.join(self.folder, "vmlinux")
        with open(kernel, "wb") as f:
            f.write(b"this is not a kernel" * 1000)
        self.start("POWER6-A", self.config("POWER6-A", partition=self.partition(kernel=kernel)))
        rc, _, errors = self.hmc(f"chsysstate -r lpar -m POWER6-A -o on -n {PARTITION}")
        if rc == 0:
            console = self.console()
            console.wait("(?i)(not an? .*(ELF|executable|kernel)|ELF)")
        else:
            self.complains(errors, kernel)
        self.assertTrue(self.systems[0].alive())
        self.hmc(f"chsysstate -r lpar -m POWER6-A -o shutdown --immed -n {PARTITION}")
        self.assertEqual(self.state(), "Not Activated")

    def test_disk_in_use(self):
        disk = self.disk()
        boot = self.partition(bootargs="root=/dev/sda rw", disk=True)
        self.start("POWER6-A", self.config("POWER6-A", disk=disk, partition=boot))
        self.start("POWER6-B", self.config("POWER6-B", "10BA70B", disk=disk, partition=boot))
        console = self.activate("POWER6-A")
        self.refused(f"chsysstate -r lpar -m POWER6-B -o on -n {PARTITION}", "hdisk0")
        self.assertEqual(self.state("POWER6-B"), "Not Activated")
        console.shell("touch /root/still-mine && sync")
        self.shut_down(console)
        console = self.activate("POWER6-B")
        console.shell("test -f /root/still-mine")


class WrongCommands(harness.Site):
    def test_each_is_explained(self):
        self.start("POWER6-A", self.config("POWER6-A", partition=self.partition()))
        for command, words in (
                ("lssyscgf -r sys", ["lssyscgf", "help"]),
                ("lssyscfg -r moon", ["moon"]),
                ("lssyscfg -r lpar -F colour", ["colour", "state"]),
                ("lssyscfg -r lpar -m POWER7", ["POWER7", "POWER6-A"]),
                ("chsysstate -r lpar -m POWER6-A -o on -n nobody", ["nobody", PARTITION]),
                ("chsysstate -r lpar -m POWER6-A -o explode -n " + PARTITION, ["explode", "on"]),
                ("chsysstate -r lpar -m POWER6-A -o on -n vios1", ["vios1", "already on"]),
                ("migrlpar -o m -m POWER6-A -t POWER6-B -p " + PARTITION, ["POWER6-B"]),
                ("migrlpar -o m -m POWER6-A -t POWER6-A -p " + PARTITION, ["destination is the source"]),
                ("migrlpar -o s -m POWER6-A -p " + PARTITION, [PARTITION]),
                ("mkvterm -m POWER6-A", ["-p"]),
        ):
            with self.subTest(command):
                self.refused(command, *words)
        self.assertTrue(self.systems[0].alive())


class RefusedMoves(harness.Site):
    """Validation through the console; the partition is off. Each check has its unit test in tests/migration/validation_test.cpp."""

    def test_all_at_once(self):
        disk = self.disk()
        source = self.config("POWER6-A", disk=disk, partition=self.partition(disk=True, ethernet=True))
        target = self.config("POWER6-B", "10BA70B", partition=self.partition(memory=16384))
        volume = ('[[vios.volume_group]]\nname = "datavg"\ndirectory = "datavg"\nsize = 64\n[[vios.logical_volume]]\nname = "lv1"\n'
                  'volume_group = "datavg"\nsize = 16\n[[partition]]\n')
        source = source.replace(disk + '"\n', disk + '"\nreserve_policy = "single_path"\n').replace("[[partition]]\n", volume)
        self.start("POWER6-A", source + '[[partition.disk]]\nbacking = "lv1"\nslot = 2\n')
        self.start("POWER6-B", target.replace("processors = 8", 'processors = 8\nmemory_block = "64 MB"'))
        rc, _, errors = self.hmc(f"migrlpar -o v -m POWER6-A -t POWER6-B -p {PARTITION}")
        self.assertNotEqual(rc, 0)
        codes = sorted(line.split()[0] for line in errors.splitlines())
        # Name in use, no memory left, size of the memory block, LUN not visible, reserve policy, logical volume.
        self.assertEqual(codes, ["BATM009", "BATM010", "BATM011", "BATM024", "BATM025", "HSCLA24E"], errors)
        self.refused(f"migrlpar -o v -m POWER6-A -t POWER6-B -p {PARTITION} -i colour=red", "colour", "dest_lpar_id")

    def test_wanted_number(self):
        disk = self.disk()
        other = self.partition().replace(PARTITION, "other").replace("id = 2", "id = 7")
        self.start("POWER6-A", self.config("POWER6-A", disk=disk, partition=self.partition(disk=True)))
        self.start("POWER6-B", self.config("POWER6-B", "10BA70B", disk=disk, partition=other))
        move = f"migrlpar -o m -m POWER6-A -t POWER6-B -p {PARTITION} -i "
        self.refused(move + "dest_lpar_id=7", "BATM029", "other")
        self.refused(move + "dest_msp_name=vios9", "vios9", "vios1")
        self.refused(move + "channels=9", "channels", "1 to 8", "9")
        self.refused(move + "compression=lzma", "zstd, none or auto", "lzma")
        self.assertEqual(self.do("lslparmigr -r msp -m POWER6-A -t POWER6-B -F source_msp_name,source_msp_id,dest_msp_names,"
                                 "dest_msp_ids").strip(), "vios1,1,vios1,1")
        self.assertEqual(self.do("lslparmigr -r virtualio -m POWER6-A -t POWER6-B --filter lpar_names=" + PARTITION +
                                 " -F suggested_virtual_scsi_mappings").strip(), "2/vios1/1")
        self.assertEqual(self.do("lslparmigr -r procpool -m POWER6-A -t POWER6-B -F shared_proc_pool_names").strip(), "DefaultPool")
        self.assertEqual(self.do("lslparmigr -r manager").strip(), "remote_lpar_mobility_capable=0")
        self.do(move + '"dest_lpar_id=9,dest_msp_name=vios1"')
        self.assertEqual(self.do("lssyscfg -r lpar -m POWER6-B --filter lpar_ids=9 -F name,state").strip(), PARTITION + ",Not Activated")


if __name__ == "__main__":
    harness.main()
