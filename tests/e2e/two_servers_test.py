#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two Virtual I/O Servers: a LUN by two paths, a server shut down alone, and a mover shut down in the middle of a move."""
import os
import subprocess

import harness
from harness import PARTITION

SOURCE, TARGET = "POWER6-A", "POWER6-B"
SERIAL = {SOURCE: "10BA70A", TARGET: "10BA70B"}
BLOCKS = 4096
MOVE = f"migrlpar -o m -m {SOURCE} -t {TARGET} -p {PARTITION}"

# Writes the number of each block to it past the page cache, by whichever path takes it, and notes what was acknowledged.
WRITER = r"""
path=/dev/sda; n=0
while [ ! -f /tmp/enough ]; do
    printf '%-512d' $n > /tmp/block
    until dd if=/tmp/block of=$path bs=512 seek=$n oflag=direct conv=notrunc 2>/dev/null; do
        [ $path = /dev/sda ] && path=/dev/sdb || path=/dev/sda
        echo $n $path >> /tmp/failover
        usleep 20000
    done
    echo $n > /tmp/acknowledged.new; mv /tmp/acknowledged.new /tmp/acknowledged
    n=$((n + 1)); [ $n -lt %d ] || n=0
done
touch /tmp/ended
""".replace("%d", str(BLOCKS))


class TwoServers(harness.Site):
    def lun(self):
        path = os.path.join(self.folder, "lun.img")
        if not os.path.exists(path):
            with open(path, "wb") as f:
                f.truncate(BLOCKS * 512)
        return path

    def servers(self, name, uplink=None, second=True):
        text = f'[system]\nname = "{name}"\nserial = "{SERIAL[name]}"\nmemory = "8 GB"\nprocessors = 8\n'
        for server, disk in (("vios1", "hdisk0"), ("vios2", "hdisk7"))[:2 if second else 1]:
            text += f'[[vios]]\nname = "{server}"\n'
            if uplink:
                text += f'uplink = "{uplink}"\n'
            text += f'[[vios.disk]]\nname = "{disk}"\nuri = "file:{self.lun()}"\n'
        return text

    def client(self, bootargs="", memory=256):
        text = self.partition(1, memory, bootargs)
        for slot, server, disk in ((2, "vios1", "hdisk0"), (4, "vios2", "hdisk7")):
            text += f'[[partition.disk]]\nbacking = "{disk}"\nslot = {slot}\nvios = "{server}"\n'
        return text + '[[partition.ethernet]]\nslot = 5\n'

    def server_state(self, server, system=SOURCE):
        return self.do(f"lssyscfg -r lpar -m {system} -F state --filter lpar_names={server}").strip()

    def power(self, server, operation, system=SOURCE):
        self.do(f"chsysstate -r lpar -m {system} -o {operation} -n {server}")

    def acknowledged(self, console):
        return int(console.shell("cat /tmp/acknowledged").split()[-1])

    def goes_on(self, console, what):
        """Writes are acknowledged."""
        before = self.acknowledged(console)
        harness.wait_until(lambda: self.acknowledged(console) != before, what + ": writes go on", 60)

    def usable(self, console, path, what):
        harness.wait_until(lambda: "yes" in console.shell(
            f"dd if={path} of=/dev/null bs=4096 count=1 iflag=direct 2>/dev/null && echo yes; true"), f"{what}: {path} is back", 60)

    def start_writer(self, console):
        console.shell("cat > /tmp/writer <<'EOF'\n" + WRITER.strip() + "\nEOF\ntrue")
        console.shell("(sh /tmp/writer > /tmp/writer.log 2>&1 &) ; true")
        harness.wait_until(lambda: "yes" in console.shell("[ -f /tmp/acknowledged ] && echo yes; true"), "the first write")

    def end_writer(self, console):
        """Nothing that was acknowledged is lost: neither by the paths nor on the LUN."""
        console.shell("touch /tmp/enough")
        harness.wait_until(lambda: "yes" in console.shell("[ -f /tmp/ended ] && echo yes; true"), "the writer ends")
        last = self.acknowledged(console)
        with open(self.lun(), "rb") as f:
            blocks = f.read()
        written = [blocks[i * 512:i * 512 + 512].rstrip(b" \0") for i in range(BLOCKS)]
        for i in range(last + 1):
            self.assertEqual(written[i], str(i).encode(), f"block {i} of {last}")
        self.assertEqual(len({*console.shell("md5sum < /dev/sda; md5sum < /dev/sdb").split("\n")[:2]}), 1)

    def test_a_server_shut_down_alone(self):
        uplink = self.lan()
        self.start(SOURCE, self.servers(SOURCE, uplink) + self.client("baton.ip=10.0.2.15/24 baton.gw=10.0.2.2"))
        self.start(TARGET, self.servers(TARGET) + self.client())
        console = self.activate(SOURCE)
        wwids = console.shell("cat /sys/block/sda/device/wwid /sys/block/sdb/device/wwid").split("\n")[:2]
        self.assertEqual(len({*wwids}), 1, wwids)
        self.start_writer(console)
        for server, path in (("vios1", "/dev/sda"), ("vios2", "/dev/sdb")):
            # One of them bridges, or frames would come twice.
            self.assertNotIn("DUP", console.shell("ping -c 3 -i 0.1 10.0.2.2"))
            self.power(server, "shutdown --immed")
            self.assertEqual(self.server_state(server), "Not Activated")
            self.refused(f"viosvrcmd -m {SOURCE} -p {server} -c \"lsmap -all\"", server, "-o on")
            self.goes_on(console, server + " is down")
            self.assertIn("no", console.shell(f"dd if={path} of=/dev/null bs=4096 count=1 iflag=direct 2>/dev/null || echo no"))
            console.shell("ping -c 1 10.0.2.2")
            # The reservation is the partition's, not the server's.
            self.assertEqual(self.state(TARGET), "Not Activated")
            self.refused(f"chsysstate -r lpar -m {TARGET} -o on -n {PARTITION}", "in use by", SOURCE)
            self.power(server, "on")
            self.assertEqual(self.server_state(server), "Running")
            self.usable(console, path, server)
        self.assertIn("/dev/sdb", console.shell("cat /tmp/failover"))
        self.power("vios1", "shutdown --restart --immed")
        self.usable(console, "/dev/sda", "vios1")
        self.end_writer(console)
        self.shut_down(console)

    # -- moves

    def begin(self, *attributes):
        """A move under way, slow enough to do something meanwhile."""
        text = ",".join(("bandwidth=200", *attributes))
        return subprocess.Popen([harness.BATON, "--run-dir", self.run_dir, "hmc", "-c", f'{MOVE} -i "{text}"'],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def vasi(self, system=SOURCE):
        return self.hmc(f"lslparmigr -r lpar -m {system} -F vasi_state --filter lpar_names={PARTITION}")[1].strip()

    def until(self, move, state, system=SOURCE):
        harness.wait_until(lambda: self.vasi(system) == state or move.poll() is not None, state)
        self.assertIsNone(move.poll(), "the move was over before " + state)

    def failed(self, move, *words):
        output = move.communicate(timeout=harness.LIMIT)[0].decode()
        self.assertNotEqual(move.returncode, 0, output)
        self.complains(output, PARTITION, *words)

    def test_a_mover_shut_down_in_a_move(self):
        self.start(SOURCE, self.servers(SOURCE) + self.client())
        self.start(TARGET, self.servers(TARGET))
        self.do("lslparmigr -r manager")
        self.assertEqual(self.do(f"lslparmigr -r msp -m {SOURCE} -t {TARGET} -F source_msp_name,source_msp_id,dest_msp_names,dest_msp_ids"),
                         'vios1,1,"vios1,vios2","1,2"\nvios2,3,"vios1,vios2","1,2"\n')
        console = self.activate(SOURCE)
        self.assertEqual(self.do(f"lslparmigr -r virtualio -m {SOURCE} -t {TARGET} --filter lpar_names={PARTITION}"),
                         '"possible_virtual_scsi_mappings=2/vios1/1,4/vios1/1,2/vios2/2,4/vios2/2",'
                         '"suggested_virtual_scsi_mappings=2/vios1/1,4/vios2/2"\n')
        for attributes, words in (("source_msp_name=vios9", ("BATM032", "vios9")), ("dest_msp_id=7", ("BATM032", TARGET)),
                                  ("virtual_scsi_mappings=2/vios1", ("virtual_scsi_mappings",)),
                                  ("\"virtual_scsi_mappings=2/vios1/,4/vios1/\"", ("BATM036", "--redundantvios"))):
            self.refused(f"{MOVE} -i '{attributes}'", *words)
        console.shell("(while :; do dd if=/dev/urandom of=/dev/shm/churn bs=1M count=64 conv=notrunc; done) >/dev/null 2>&1 & true")
        self.start_writer(console)
        # Before the hand-over it fails, by the mover of either side, and the partition goes on where it was.
        for system, attribute in ((SOURCE, "source_msp_name=vios2"), (TARGET, "dest_msp_name=vios2")):
            move = self.begin(attribute)
            self.until(move, "Enabled", system)
            self.refused(f"chsysstate -r lpar -m {system} -o shutdown -n vios2", "moves", PARTITION, "--immed")
            self.power("vios2", "shutdown --immed", system)
            self.failed(move, "rolled back", "BATM037", "vios2", system)
            self.goes_on(console, "after the failed move")
            self.hmc(f"migrlpar -o r -m {SOURCE} -t {TARGET} -p {PARTITION}")
            self.assertNotIn(PARTITION, self.do(f"lssyscfg -r lpar -m {TARGET} -F name"))
            if system == SOURCE:
                self.refused(f'{MOVE} -i "source_msp_name=vios2"', "BATM033", "BATM034")
            self.power("vios2", "on", system)
        self.usable(console, "/dev/sdb", "vios2")
        # After it, the partition is there, and its pages come when there is a mover again.
        move = self.begin("source_msp_name=vios1", "dest_msp_name=vios2", "post_copy=always")
        self.until(move, "Enabled", TARGET)
        self.power("vios1", "shutdown --immed", TARGET)  # That is no mover: the partition arrives without this path.
        self.until(move, "Resumed", TARGET)
        for server in ("vios1", "vios2"):
            self.power(server, "shutdown --immed", SOURCE)
        self.assertIsNone(move.poll(), "the move was over before its mover was shut down")
        self.power("vios2", "on", SOURCE)
        output = move.communicate(timeout=harness.LIMIT)[0].decode()
        self.assertEqual(move.returncode, 0, output)
        self.assertEqual(self.state(TARGET), "Running")
        # Of the source's, the one that sent the rest is known there only.
        self.assertEqual(self.do(f"lslparmigr -r lpar -m {TARGET} -F source_msp_name,dest_msp_name"), "vios1,vios2\n")
        self.assertNotIn(PARTITION, self.do(f"lssyscfg -r lpar -m {SOURCE} -F name"))
        self.assertIn("2/client/1/vios1", self.do(f"lssyscfg -r prof -m {TARGET} -F virtual_scsi_adapters"))
        self.assertIn("4/client/2/vios2", self.do(f"lssyscfg -r prof -m {TARGET} -F virtual_scsi_adapters"))
        self.goes_on(console, "after the move")
        self.power("vios1", "on", TARGET)
        for path in ("/dev/sda", "/dev/sdb"):
            self.usable(console, path, "the move")
        self.end_writer(console)
        self.shut_down(console, TARGET)


if __name__ == "__main__":
    harness.main()
