# SPDX-License-Identifier: Apache-2.0
"""Managed systems as a user runs them: the baton program, its configuration files and its console.

Environment: BATON (the program), BATON_GUEST (the guest's folder), BATON_E2E (a folder for logs, kept after a failure).
Waits have limits, never expectations of speed.
"""
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

BATON = os.environ.get("BATON", "build/release/bin/baton")
GUEST = os.path.abspath(os.environ.get("BATON_GUEST", "build/guest"))
LOGS = os.path.abspath(os.environ.get("BATON_E2E", "build/e2e"))
PARTITION = "lpar1"
LIMIT = 300
os.environ["PATH"] += ":/usr/sbin:/sbin"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(done, what, limit=LIMIT):
    """Polls until `done()` is true and returns its value."""
    end = time.monotonic() + limit
    while True:
        value = done()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {limit} s")
        time.sleep(0.05)


class Lines:
    """A program's output, collected by a thread."""

    def __init__(self, stream):
        self.text, self.closed, self.changed = "", False, threading.Condition()
        threading.Thread(target=self.read, args=(stream.fileno(),), daemon=True).start()

    def read(self, fd):
        while True:
            try:
                piece = os.read(fd, 65536)
            except OSError:
                piece = b""
            with self.changed:
                self.text += piece.decode(errors="replace")
                self.closed = not piece
                self.changed.notify_all()
            if not piece:
                return

    def wait(self, pattern, limit=LIMIT):
        """Waits for the regular expression; takes everything up to its end and returns the match."""
        found = None

        def look():
            nonlocal found
            found = re.search(pattern, self.text)
            return found or self.closed

        with self.changed:
            self.changed.wait_for(look, limit)
            if not found:
                raise AssertionError(f"{pattern!r} did not appear; the output ends with:\n{self.text[-2000:]}")
            self.text = self.text[found.end():]
            return found


class Shell:
    """A program whose standard input and output are a partition's console, with a shell on it."""

    def __init__(self, process):
        self.process = process
        self.lines = Lines(self.process.stdout)
        self.wait = self.lines.wait
        self.commands = 0

    def type(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def log_in(self):
        self.wait("login: ")
        self.type("root\n")
        self.wait("# ")
        self.type("stty columns 1000\n")  # or the shell's line editor breaks long commands into lines
        self.wait("1000\r?\n.*# ")
        self.shell("dmesg -n 1")  # what the kernel says, after a move for instance, would break into output

    def shell(self, command, limit=LIMIT):
        """Runs a command in the partition; its output. Fails if the exit code is not 0."""
        # The markers are spelled differently where the terminal echoes the command.
        self.commands += 1
        n = self.commands
        self.type(f"echo beg''in-{n}; {command}; echo en''d-{n} $?\n")
        found = self.wait(rf"(?s)begin-{n}\r?\n(.*?)end-{n} (\d+)", limit)
        assert found[2] == "0", f"{command!r} failed with {found[2]}: {found[1]}"
        return found[1].replace("\r", "")

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Console(Shell):
    """mkvterm, with a shell behind it."""

    def __init__(self, site, system):
        super().__init__(subprocess.Popen([BATON, "--run-dir", site.run_dir, "hmc", "-c", f"mkvterm -m {system} -p {PARTITION}"],
                                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT))


class System:
    def __init__(self, site, name, config, words=(), run_dir=None):
        self.name = name
        self.config = os.path.join(site.folder, name + ".toml")
        self.log = os.path.join(site.folder, name + ".log")
        with open(self.config, "w") as f:
            f.write(config)
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([BATON, "--run-dir", run_dir or site.run_dir, "system", self.config, *words],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)

    def said(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    def alive(self):
        return self.process.poll() is None

    def end(self):
        if self.alive():
            self.process.terminate()
            try:
                return self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"{self.name} did not end on SIGTERM")
        return self.process.returncode


class Site(unittest.TestCase):
    """A test with a folder, a run directory and systems that end with it."""

    def setUp(self):
        self.folder = os.path.join(LOGS, self.id().split(".", 1)[-1])
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        self.run_dir = tempfile.mkdtemp(prefix="baton-e2e-")  # short: unix sockets have short names
        self.addCleanup(shutil.rmtree, self.run_dir, True)
        os.environ["BATON_STATE_DIR"] = self.run_dir + "/state"
        self.systems, self.children = [], []

    def tearDown(self):
        for system in self.systems:
            system.end()
        for child in self.children:
            child.kill()
            child.wait()

    def child(self, *words, **options):
        with open(os.path.join(self.folder, os.path.basename(words[0]) + ".log"), "wb") as log:
            child = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT, **options)
        self.children.append(child)
        return child

    # -- configuration

    def disk(self, name="lun0.img"):
        path = os.path.join(self.folder, name)
        if not os.path.exists(path):
            subprocess.run(["cp", "--sparse=always", GUEST + "/rootfs.ext4", path], check=True)
        return path

    def config(self, name, serial="10BA70A", disk=None, uplink=None, partition=None):
        text = f'[system]\nname = "{name}"\nserial = "{serial}"\nmemory = "16 GB"\nprocessors = 8\n[vios]\n'
        if uplink:
            text += f'uplink = "{uplink}"\n'
        if disk:
            text += f'[[vios.disk]]\nname = "hdisk0"\nuri = "file:{disk}"\n'
        return text + (partition or "")

    def partition(self, processors=1, memory=256, bootargs="", disk=False, ethernet=False, kernel=None, initrd=None,
                  mode=None):
        text = (f'[[partition]]\nname = "{PARTITION}"\nid = 2\nmemory = {memory}\nprocessors = {processors}\n'
                f'kernel = "{kernel or GUEST + "/vmlinux"}"\ninitrd = "{initrd or GUEST + "/initramfs.cpio.gz"}"\n'
                f'bootargs = "console=hvc0 {bootargs}"\n')
        if mode:
            text += f'proc_compat_mode = "{mode}"\n'
        if disk:
            text += '[[partition.disk]]\nbacking = "hdisk0"\nslot = 2\n'
        if ethernet:
            text += '[[partition.ethernet]]\nslot = 3\n'
        return text

    # -- running

    def start(self, name, config, *words):
        """Starts a system; `words` go to the end of its command line."""
        system = System(self, name, config, words)
        self.systems.append(system)
        wait_until(lambda: not system.alive() or self.hmc(f"lssyscfg -r sys -m {name} -F name")[0] == 0, f"{name} starts")
        self.assertTrue(system.alive(), system.said())
        return system

    def hmc(self, command, run_dir=None):
        """(return code, output, errors) of one console command."""
        done = subprocess.run([BATON, "--run-dir", run_dir or self.run_dir, "hmc", "-c", command], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def do(self, command):
        rc, out, errors = self.hmc(command)
        self.assertEqual(rc, 0, f"{command}: {out}{errors}")
        return out

    def refused(self, command, *words):
        """The command fails, in few lines that say all the words."""
        rc, out, errors = self.hmc(command)
        self.assertNotEqual(rc, 0, f"{command} went through: {out}")
        self.complains(errors, *words)
        return errors

    def complains(self, text, *words):
        for word in words:
            self.assertIn(word, text)
        self.assertLessEqual(len(text.strip().splitlines()), 3, text)
        self.assertNotIn("terminate called", text)

    def state(self, system="POWER6-A"):
        return self.do(f"lssyscfg -r lpar -m {system} -F state --filter lpar_names={PARTITION}").strip()

    def console(self, system="POWER6-A"):
        console = Console(self, system)
        self.addCleanup(console.close)
        return console

    def activate(self, system="POWER6-A", limit=LIMIT):
        """Starts the partition and logs in."""
        self.do(f"chsysstate -r lpar -m {system} -o on -n {PARTITION}")
        console = self.console(system)
        console.wait("baton: guest is up", limit)
        console.log_in()
        return console

    def shut_down(self, console, system="POWER6-A"):
        self.do(f"chsysstate -r lpar -m {system} -o osshutdown -n {PARTITION}")
        console.wait("baton: guest is down")
        wait_until(lambda: self.state(system) == "Not Activated", "the partition shuts down")

    def lan(self, *forwards):
        """A switch with a gateway at 10.0.2.2; (port here, port of the partition) pairs. Returns the locator."""
        where = os.path.join(self.run_dir, "lan")
        switch = self.child("vde_switch", "-s", where, "-m", "600", stdin=subprocess.PIPE)
        # An address follows its owner at once, not 3 s after its last frame.
        switch.stdin.write(b"hash/setminper -1\n")
        switch.stdin.flush()
        self.addCleanup(switch.stdin.close)
        wait_until(lambda: os.path.exists(where + "/ctl"), "the switch starts")
        redirections = [word for here, there in forwards for word in ("-L", f"{here}:10.0.2.15:{there}")]
        self.child("slirpvde", "-s", where, *redirections, stdin=subprocess.DEVNULL)
        return "vde://" + where

    def file_system_clean(self, disk):
        done = subprocess.run(["e2fsck", "-fn", disk], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 0, done.stdout.decode(errors="replace"))


def main():
    for path in (BATON, GUEST + "/vmlinux", GUEST + "/initramfs.cpio.gz", GUEST + "/rootfs.ext4"):
        if not os.path.exists(path):
            sys.exit(f"{path} is missing; build it with ./run build and ./run guest.")
    unittest.main(verbosity=2)
