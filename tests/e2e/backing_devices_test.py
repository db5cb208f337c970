#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a Virtual I/O Server has beside LUNs: logical volumes, which stay and cannot move, and optical media, which come and go."""
import hashlib
import os
import random
import struct

import harness
from harness import PARTITION

SOURCE, TARGET = "POWER6-A", "POWER6-B"
MOVE = f"-m {SOURCE} -t {TARGET} -p {PARTITION}"
SECTOR = 2048


def image(path, files):
    """Writes an ISO 9660 image with these files in its root."""
    def both(form, value):
        return struct.pack("<" + form, value) + struct.pack(">" + form, value)

    def padded(data):
        return data + bytes(-len(data) % SECTOR)

    def record(name, sector, size, directory):
        body = (b"\0" + both("I", sector) + both("I", size) + bytes([126, 1, 1, 0, 0, 0, 0]) + bytes([2 * directory, 0, 0]) +
                both("H", 1) + bytes([len(name)]) + name)
        body += bytes((len(body) + 1) % 2)
        return bytes([len(body) + 1]) + body

    paths, root, first = 18, 20, 21
    directory, contents = record(b"\0", root, SECTOR, True) + record(b"\1", root, SECTOR, True), b""
    for name, data in sorted(files.items()):
        directory += record(name.upper().encode() + b";1", first + len(contents) // SECTOR, len(data), False)
        contents += padded(data)
    volume = (b"\1CD001\1\0" + b" " * 32 + b"BATON".ljust(32) + bytes(8) + both("I", first + len(contents) // SECTOR) + bytes(32) +
              both("H", 1) * 2 + both("H", SECTOR) + both("I", 10) + struct.pack("<II", paths, 0) + struct.pack(">II", paths + 1, 0) +
              record(b"\0", root, SECTOR, True) + b" " * (128 * 4 + 37 * 3) + (b"0" * 16 + b"\0") * 4 + b"\1")
    table = [struct.pack(order + "BBIH2s", 1, 0, root, 1, b"\0\0") for order in "<>"]
    with open(path, "wb") as f:
        f.write(bytes(16 * SECTOR))
        for block in (volume, b"\xffCD001\1", *table, directory):
            f.write(padded(block))
        f.write(contents)


class BackingDevices(harness.Site):
    def site(self, name, servers, partition=""):
        serial = {SOURCE: "10BA70A", TARGET: "10BA70B"}[name]
        text = f'[system]\nname = "{name}"\nserial = "{serial}"\nmemory = "8 GB"\nprocessors = 8\n[vios]\n{servers}'
        return self.start(name, text + partition)

    def vios(self, command, system=SOURCE):
        return self.do(f'viosvrcmd -m {system} -p vios1 -c "{command}"')

    def vios_refuses(self, command, *words, system=SOURCE):
        self.refused(f'viosvrcmd -m {system} -p vios1 -c "{command}"', *words)

    def lun(self):
        path = os.path.join(self.folder, "lun.img")
        if not os.path.exists(path):
            with open(path, "wb") as f:
                f.truncate(4 << 20)
        return f'[[vios.disk]]\nname = "hdisk0"\nuri = "file:{path}"\n'

    def test_a_logical_volume(self):
        store = os.path.join(self.folder, "datavg")
        servers = (f'[[vios.volume_group]]\nname = "datavg"\ndirectory = "{store}"\nsize = "1 GB"\n'
                   '[[vios.logical_volume]]\nname = "lv_data"\nvolume_group = "datavg"\nsize = "256 MB"\n')
        partition = self.partition() + ('[[partition.disk]]\nbacking = "lv_data"\nslot = 2\n'
                                        '[[partition.disk]]\nbacking = "made_later"\nslot = 2\n')
        system = self.site(SOURCE, servers, partition)
        self.site(TARGET, self.lun())
        # One that the configuration has only mapped is made by hand.
        self.refused(f"chsysstate -r lpar -m {SOURCE} -o on -n {PARTITION}", "made_later", "vios1")
        self.vios_refuses("mklv -lv made_later datavg 2G", "datavg", "768 MB")
        self.vios("mklv -lv made_later datavg 16M")
        self.assertIn("made_later  1    16        vtscsi1", self.vios("lsvg -lv datavg"))
        console = self.activate(SOURCE)
        self.assertEqual(console.shell("blockdev --getsize64 /dev/sda").split()[-1], str(256 << 20))
        self.assertEqual(console.shell("blockdev --getsize64 /dev/sdb").split()[-1], str(16 << 20))
        wwid = console.shell("cat /sys/block/sda/device/wwid").strip()
        # The first blocks, and some near the end.
        console.shell("dd if=/dev/urandom of=/tmp/data bs=64k count=16 && dd if=/tmp/data of=/dev/sda bs=64k oflag=direct && "
                      "dd if=/tmp/data of=/dev/sda bs=64k seek=4000 oflag=direct && sync")
        digest = console.shell("md5sum < /tmp/data").split()[0]
        self.assertLess(os.stat(store + "/lv_data").st_blocks * 512, 4 << 20, "it takes the room of what was written")
        self.assertEqual(self.do(f"lshwres -r virtualio --rsubtype scsi -m {SOURCE} --filter lpar_names=vios1 -F backing_devices"),
                         '"0x8000000000000000/lv/lv_data,0x8100000000000000/lv/made_later"\n')
        self.vios_refuses("rmlv made_later", "vtscsi1")
        errors = self.refused(f"migrlpar -o m {MOVE}", "BATM025", "lv_data", "made_later")
        self.assertEqual(errors.count("BATM025"), 2, errors)
        self.assertEqual(self.state(SOURCE), "Running")
        self.shut_down(console, SOURCE)

        # The store is one system's at a time; the volumes outlive it.
        self.systems.remove(system)
        other = harness.System(self, "other", f'[system]\nname = "other"\n[vios]\n{servers}')
        self.assertNotEqual(other.process.wait(harness.LIMIT), 0)
        self.complains(other.said(), "datavg", "in use")
        self.assertEqual(system.end(), 0)
        self.site(SOURCE, servers, partition)
        console = self.activate(SOURCE)
        self.assertEqual(console.shell("cat /sys/block/sda/device/wwid").strip(), wwid)
        for skip in (0, 4000):
            self.assertEqual(console.shell(f"dd if=/dev/sda bs=64k count=16 skip={skip} 2>/dev/null | md5sum").split()[0], digest)
        self.shut_down(console, SOURCE)

    def test_optical_media(self):
        numbers = random.Random(6)
        files = {system: {"hello.txt": f"of {system}\n".encode(), "data.bin": numbers.randbytes(3_000_000)} for system in (SOURCE, TARGET)}
        for system, its in files.items():
            os.mkdir(os.path.join(self.folder, "media-" + system))
            image(os.path.join(self.folder, "media-" + system, f"{system}.iso"), its)
        servers = {system: f'media = "{self.folder}/media-{system}"\n' + self.lun() for system in files}
        partition = self.partition() + ('[[partition.disk]]\nbacking = "hdisk0"\nslot = 2\n'
                                        '[[partition.optical]]\nslot = 2\ntarget = 5\n')
        self.site(SOURCE, servers[SOURCE], partition)
        self.site(TARGET, servers[TARGET])
        console = self.activate(SOURCE)
        self.assertIn("VOPTA", console.shell("cat /sys/block/sr0/device/model"))
        self.assertEqual(console.shell("cat /sys/block/sr0/removable").split()[-1], "1")
        empty = "if dd if=/dev/sr0 of=/dev/null bs=2048 count=1 2>/tmp/why; then echo it reads; else cat /tmp/why; fi"
        self.assertIn("No medium found", console.shell(empty))

        def mounts(system):
            console.shell("mkdir -p /tmp/cd && mount -t iso9660 -o ro /dev/sr0 /tmp/cd")
            self.assertEqual(console.shell("cat /tmp/cd/hello.txt"), f"of {system}\n")
            self.assertEqual(console.shell("md5sum < /tmp/cd/data.bin").split()[0], hashlib.md5(files[system]["data.bin"]).hexdigest())

        self.vios_refuses(f"loadopt -vtd vtopt0 -disk {TARGET}.iso", TARGET + ".iso", "lsrep")
        self.vios(f"loadopt -vtd vtopt0 -disk {SOURCE}.iso")
        self.assertIn("no", console.shell("dd if=/dev/zero of=/dev/sr0 bs=2048 count=1 2>/dev/null || echo no"))
        mounts(SOURCE)
        self.assertIn(f"{SOURCE}.iso  3         vtopt0", self.vios("lsrep"))
        # Linux has locked it in; and with it, or only with it in the drive, there is no move.
        self.vios_refuses("unloadopt -vtd vtopt0", "vtopt0", "-release")
        self.refused(f"migrlpar -o m {MOVE}", "BATM026", SOURCE + ".iso", "vtopt0")
        self.refused(f"chlparstate -o suspend -m {SOURCE} -p {PARTITION} --file {self.folder}/lpar", SOURCE + ".iso", "vtopt0")
        console.shell("umount /tmp/cd")
        self.refused(f"migrlpar -o v {MOVE}", "BATM026")
        self.vios("unloadopt -vtd vtopt0")
        self.assertIn("No medium found", console.shell(empty))
        # Loaded again it is another medium to the guest, which may also eject it.
        self.vios(f"loadopt -vtd vtopt0 -disk {SOURCE}.iso")
        mounts(SOURCE)
        console.shell("umount /tmp/cd && eject /dev/sr0")
        self.assertIn("No Media", self.vios("lsvopt"))
        self.vios(f"loadopt -vtd vtopt0 -disk {SOURCE}.iso")
        mounts(SOURCE)
        # Torn out: reads fail, and the guest goes on.
        self.vios("unloadopt -vtd vtopt0 -release")
        console.shell("echo 3 > /proc/sys/vm/drop_caches; if md5sum /tmp/cd/data.bin 2>/dev/null; then false; fi")
        console.shell("umount /tmp/cd")

        # While it moves, nothing is loaded that would be left behind.
        self.do(f'migrlpar -o m {MOVE} -i "bandwidth=200" --async')

        def moving():
            return self.hmc(f"lslparmigr -r lpar -m {SOURCE} -F vasi_state --filter lpar_names={PARTITION}")[1].strip()

        harness.wait_until(lambda: moving() == "Enabled", "the move begins")
        self.vios_refuses(f"loadopt -vtd vtopt0 -disk {SOURCE}.iso", PARTITION, "being moved")
        harness.wait_until(lambda: self.hmc(f"lssyscfg -r lpar -m {SOURCE} --filter lpar_names={PARTITION}")[0] != 0, "it moves")
        self.assertEqual(self.state(TARGET), "Running")
        self.assertIn("No Media", self.vios("lsvopt", TARGET))
        self.assertIn("No medium found", console.shell(empty))
        self.vios(f"loadopt -vtd vtopt0 -disk {TARGET}.iso", TARGET)
        mounts(TARGET)
        console.shell("umount /tmp/cd")
        self.shut_down(console, TARGET)


if __name__ == "__main__":
    harness.main()
