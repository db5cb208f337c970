#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The kernel's own perf in the guest: perf stat counts, perf record finds the hot function, and both go on over a live move.

perf is built from the source of the guest's kernel, with libelf and zlib from Debian's sources.
"""
import glob
import os
import re
import subprocess

import guest_programs
import harness
from guest_programs import CC64, debian
from harness import PARTITION

PREFIX = CC64[:-len("gcc")]
CFLAGS = "-O2 -w -mcpu=power5 -mtune=power6 -mno-altivec"
# What perf stat and perf record do not need, or what cannot be linked statically.
WITHOUT = """LIBDW DWARF LIBUNWIND LIBPERL LIBPYTHON SLANG GTK2 LIBNUMA LIBAUDIT LIBCRYPTO LIBBPF LIBZSTD LZMA LIBCAP SDT JVMTI
             LIBTRACEEVENT DEMANGLE AUXTRACE LIBDEBUGINFOD JEVENTS""".split()
EVENTS = {"instructions": 4, "branches": 1, "cycles": None}  # in each round of perf_loops; None: not known
TOLERANCE = 0.001


def libraries():
    """A folder with include/ and lib/: zlib and libelf."""
    zlib, elfutils = guest_programs.debian_source("zlib"), guest_programs.debian_source("elfutils")
    with guest_programs.cached("perf-libraries", zlib, elfutils, CFLAGS, guest_programs.compiler(CC64)) as (out, empty):
        if empty:
            print("compiling libelf", flush=True)
            log, env = f"{out}.log", dict(os.environ, CFLAGS=CFLAGS, CHOST=PREFIX[:-1])
            for folder in ("zlib", "elfutils", "include/elfutils", "lib"):
                os.makedirs(f"{out}/{folder}")
            debian.run([f"{zlib}/configure", "--static", f"--prefix={out}"], log, cwd=f"{out}/zlib", env=env)
            debian.run(["make", "libz.a", "zconf.h"], log, cwd=f"{out}/zlib")
            debian.run(["cp", "libz.a", f"{out}/lib"], log, cwd=f"{out}/zlib")
            debian.run(["cp", f"{zlib}/zlib.h", f"{out}/zlib/zconf.h", f"{out}/include"], log)
            debian.run([f"{elfutils}/configure", f"--host={PREFIX[:-1]}", "--disable-debuginfod", "--disable-libdebuginfod",
                        "--disable-demangler", "--disable-nls", "--without-bzlib", "--without-lzma", "--without-zstd",
                        f"CPPFLAGS=-I{out}/include", f"LDFLAGS=-L{out}/lib"], log, cwd=f"{out}/elfutils", env=env)
            for folder, target in (("lib", "all"), ("libelf", "libelf.a")):
                debian.run(["make", f"-j{os.cpu_count()}", "-C", folder, target], log, cwd=f"{out}/elfutils")
            debian.run(["cp", "libelf/libelf.a", f"{out}/lib"], log, cwd=f"{out}/elfutils")
            debian.run(["cp", "version.h", f"{out}/include/elfutils"], log, cwd=f"{out}/elfutils")
            debian.run(["cp", *(f"{elfutils}/libelf/{name}.h" for name in ("libelf", "gelf", "nlist")), f"{out}/include"], log)
        return out


def perf(source):
    """A folder with perf, statically linked."""
    root = libraries()
    with guest_programs.cached("perf", source, os.path.getmtime(f"{source}/Makefile"), root, CFLAGS, WITHOUT) as (out, empty):
        if empty:
            print("compiling perf", flush=True)
            os.makedirs(f"{out}/build")
            debian.run(["make", "-C", f"{source}/tools/perf", f"O={out}/build", "ARCH=powerpc", f"CROSS_COMPILE={PREFIX}",
                        f"-j{os.environ.get('JOBS', os.cpu_count())}", f"EXTRA_CFLAGS=-I{root}/include {CFLAGS}",
                        f"LDFLAGS=-static -L{root}/lib", "WERROR=0", *(f"NO_{name}=1" for name in WITHOUT)], f"{out}.log")
            os.makedirs(f"{out}/files")
            debian.run([PREFIX + "strip", "-o", f"{out}/files/perf", f"{out}/build/perf"], f"{out}.log")
            debian.run(["rm", "-r", f"{out}/build"], f"{out}.log")
        return f"{out}/files"


class PerfTool(guest_programs.GuestPrograms):
    def start_systems(self, processors, names=("POWER6-A",)):
        """One system or two with one disk, the partition running; its console, in the folder of the programs."""
        files = f"{self.folder}/files"
        os.makedirs(files)
        for folder in (perf(self.kernel_source()), guest_programs.own_program("perf_loops", "-mcpu=power6", "-mno-altivec")):
            subprocess.run(["cp", *(path for path in glob.glob(f"{folder}/*")), files], check=True)
        disk = self.programs_disk(files, [])
        partition = self.partition(processors, 512, "baton.data=/dev/sda", disk=True)
        for n, name in enumerate(names):
            self.start(name, self.config(name, f"10BA70{'AB'[n]}", disk=disk, partition=partition if n == 0 else None))
        console = self.activate(names[0])
        console.shell("cd /var/work/files; export PATH=$PATH:$PWD")
        return console

    def begin(self, console, *commands):
        """Starts each command with a perf_loops until /tmp/stop."""
        console.shell("rm -f /tmp/stop /tmp/rounds*")
        for n, command in enumerate(commands):
            console.shell(f"({command} perf_loops until /tmp/stop >/tmp/rounds{n} 2>/tmp/errors{n} &) ; true")

    def end(self, console):
        """Lets them end; the rounds of each."""
        console.shell("touch /tmp/stop; while pidof perf >/dev/null; do usleep 100000; done")
        return [int(line) for line in console.shell("cat /tmp/rounds*").split()]

    def counts(self, console, file, rounds):
        """Checks what perf stat wrote about so many rounds."""
        text = console.shell(f"cat {file}")
        found = {event: value for value, event in re.findall(r"(?m)^(\d+),,([a-z]+):u,", text)}
        print(f"{rounds} rounds: {found}", flush=True)
        self.assertEqual(set(found), set(EVENTS), text)
        for event, each in EVENTS.items():
            if each:
                self.assertAlmostEqual(int(found[event]) / (each * rounds), 1, delta=TOLERANCE, msg=text)
            else:
                self.assertGreater(int(found[event]), rounds, text)

    def hot_function(self, console, file):
        """Checks that perf report names the loop's function as the hot one."""
        text = console.shell(f"perf report -i {file} --stdio --sort symbol 2>/dev/null | cat")
        found = re.findall(r"(?m)^ +(\d+\.\d+)% +\[(.)\] (\S+)", text)
        print(f"perf report: {found[:3]}", flush=True)
        self.assertTrue(found, text)
        self.assertIn(found[0][1:], ((".", "hot"), (".", "hot_code")), text)
        self.assertGreater(float(found[0][0]), 80, text)

    def stat_and_report(self, processors):
        console = self.start_systems(processors)
        for cpu in range(processors):
            pin = f"taskset {1 << cpu:x}"
            self.begin(console, f"{pin} perf stat -x, -o /tmp/stat -e {','.join(event + ':u' for event in EVENTS)} --")
            console.shell("sleep 2")
            self.counts(console, "/tmp/stat", self.end(console)[0])
            self.begin(console, f"{pin} perf record -q -o /tmp/record -e cycles:u --")
            console.shell("sleep 2")
            self.end(console)
            self.hot_function(console, "/tmp/record")
        # The whole system, with the kernel's symbols.
        console.shell("perf record -q -a -o /tmp/all -e cycles -- dd if=/dev/zero of=/dev/null bs=1M count=2000 2>/dev/null")
        text = console.shell("perf report -i /tmp/all --stdio --sort symbol 2>/dev/null | cat")
        found = re.findall(r"(?m)^ +(\d+\.\d+)% +\[k\] (\S+)", text)
        print(f"the whole system: {found[:3]}", flush=True)
        self.assertTrue(any("clear_user" in name for _, name in found[:5]), text)
        places = console.shell("perf script -i /tmp/all -F ip 2>/dev/null | sort -u").split()
        self.assertEqual([place for place in places if int(place, 16) % 4], [], "samples where no instruction can be")
        self.shut_down(console)

    def test_one_processor(self):
        self.stat_and_report(1)

    def test_two_processors(self):
        self.stat_and_report(2)

    def test_live_move(self):
        console = self.start_systems(2, ("POWER6-A", "POWER6-B"))
        self.begin(console, f"perf stat -x, -o /tmp/stat -e {','.join(event + ':u' for event in EVENTS)} --",
                   "perf record -q -o /tmp/record -e cycles:u --")
        console.shell("sleep 1")
        self.do(f"migrlpar -o m -m POWER6-A -t POWER6-B -p {PARTITION}")
        self.assertEqual(self.state("POWER6-B"), "Running")
        # perf's clock has its own zero: a command's sample says where it stands.
        console.shell("perf record -q -o /tmp/now -e cycles -c 100000 -- sleep 0")
        moved = self.times(console, "/tmp/now")[0]
        console.shell("sleep 2")
        rounds = self.end(console)
        self.counts(console, "/tmp/stat", rounds[0])
        self.hot_function(console, "/tmp/record")
        times = self.times(console, "/tmp/record")
        later = sum(time > moved for time in times)
        print(f"{len(times)} samples, {later} of them after the move", flush=True)
        self.assertGreater(len(times) - later, 10)
        self.assertGreater(later, 10)
        self.shut_down(console, "POWER6-B")

    def times(self, console, file):
        """When each sample was taken, in seconds."""
        text = console.shell(f"perf script -i {file} -F time 2>/dev/null | cat")
        times = [float(word) for word in re.findall(r"(\d+\.\d+):", text)]
        self.assertTrue(times, text)
        return times


if __name__ == "__main__":
    harness.main()
