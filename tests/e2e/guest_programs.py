# SPDX-License-Identifier: Apache-2.0
"""Many foreign programs in one boot of the guest: they go in on a disk, their exit codes and outputs come out on it.

A test derives from `GuestPrograms`, builds its files below a `cached` folder and calls `run_programs`.
"""
import collections
import contextlib
import csv
import fcntl
import glob
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import time
from typing import NamedTuple

import harness

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "..", "..", "guest"))
import debian  # noqa: E402

CACHE = os.path.abspath(os.environ.get("BATON_PROGRAMS", os.path.join(HERE, "..", "..", "build", "programs")))
CC64, CC32 = "powerpc64-linux-gnu-gcc", "powerpc-linux-gnu-gcc"
LONG = bool(os.environ.get("BATON_LONG"))  # everything, not the sample of the standard run

RUNNER = r"""#!/bin/sh
# run NAME LIMIT COMMAND: the command's exit code and output go to files of the disk.
cd /var/work/files
export PATH=$PATH:/var/work/files
n=0
run() {
    n=$((n + 1))
    setsid timeout -s KILL "$2" sh -c "$3" >../out/"$n".out 2>../out/"$n".err </dev/null
    code=$?
    echo $code >../out/"$n".code
    echo "ran $n of $total: $1 $code"
}
. /var/work/list
sync
echo all''done
"""


class Program(NamedTuple):
    name: str
    command: str  # for the guest's shell, in the folder of the files
    limit: int = 120  # seconds


class Result(NamedTuple):
    code: int  # of the shell; 137 when the limit ended it, None when it never ran
    out: bytes
    err: bytes


def digest(*parts):
    h = hashlib.sha256()
    for part in parts:
        h.update(part if isinstance(part, bytes) else str(part).encode())
        h.update(b"\0")
    return h.hexdigest()[:16]


def content(path):
    """The file's bytes; none if it does not exist."""
    if not os.path.exists(path):
        return b""
    with open(path, "rb") as f:
        return f.read()


def compiler(name):
    return subprocess.run([name, "--version"], stdout=subprocess.PIPE, check=True).stdout.decode().splitlines()[0]


@contextlib.contextmanager
def cached(name, *inputs):
    """A folder for what is made of these inputs. Yields (folder, whether it must be filled); older ones go."""
    os.makedirs(CACHE, exist_ok=True)
    with open(f"{CACHE}/{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = f"{CACHE}/{name}-{digest(*inputs)}"
        if os.path.exists(folder + "/.made"):
            yield folder, False
            return
        for old in glob.glob(f"{CACHE}/{name}-" + "?" * 16):
            shutil.rmtree(old)
        os.makedirs(folder)
        yield folder, True
        open(folder + "/.made", "w").close()


class Ledger:
    """The rows of tests/cpu/data/NAME.csv, which excuse what is not as expected. One that excuses nothing is to go."""

    def __init__(self, name):
        self.name = name
        with open(f"{HERE}/../cpu/data/{name}.csv", newline="") as f:
            self.rows = list(csv.DictReader(line for line in f if not line.startswith("#")))
        self.used = set()

    def of(self, kind):
        return [row for row in self.rows if row["kind"] == kind]

    def excuse(self, row):
        """Notes that the row was needed; its reason."""
        self.used.add(self.rows.index(row))
        return row["reason"]

    def unused(self):
        return {f"{self.name}.csv: " + ",".join(value for value in row.values() if value): "excused nothing"
                for n, row in enumerate(self.rows) if n not in self.used}


def debian_source(package, *paths):
    """The folder with Debian's source of the package, unpacked (only the paths named, if any)."""
    log = f"{CACHE}/{package}.log"
    packages = debian.Packages(f"{CACHE}/apt")
    with cached(f"source-{package}", debian.os_release().get("VERSION_ID"), *paths) as (folder, empty):
        if empty:
            print(f"fetching the source of {package}", flush=True)
            description = packages.source(package, f"{folder}/package", log)
            debian.run(["dpkg-source", "--no-check", "--skip-patches", "-x", description, f"{folder}/source"], log)
            shutil.rmtree(f"{folder}/package")
        return f"{folder}/source"


def coverage(layer, names):
    """Counts a case of each instruction named (names come as often as there are cases) for the coverage page, as
    tests/cpu/coverage.h does; names may have the dot of Rc and the o of OE, which the table's may not have."""
    folder = os.environ.get("BATON_COVERAGE")
    if not folder:
        return
    table = subprocess.run([harness.BATON, "isa", "--csv"], stdout=subprocess.PIPE, check=True).stdout.decode().splitlines()
    rows = {line.split(",")[0] for line in table[1:]}
    cases = collections.Counter()
    for name in names:
        forms = (name, name.rstrip("."), name.rstrip(".").removesuffix("o"))
        cases[next((form for form in forms if form in rows), None)] += 1
    with open(f"{folder}/{os.getpid()}.csv", "a") as f:
        f.writelines(f"{layer},{name},interpreter,{count}\n" for name, count in cases.items() if name)


def compile_all(commands, cwd=None):
    """Runs compilers (argument lists), one per processor at a time; the index of each that failed with its output."""
    failed, running, left = {}, {}, list(enumerate(commands))
    jobs = int(os.environ.get("JOBS", os.cpu_count()))
    while left or running:
        while left and len(running) < jobs:
            index, command = left.pop(0)
            running[index] = subprocess.Popen(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                              stderr=subprocess.STDOUT)
        index = next(iter(running))
        out = running[index].communicate()[0].decode(errors="replace")
        if running.pop(index).returncode:
            failed[index] = out
    return failed


def own_program(name, *flags):
    """The folder with a program of guest-programs/, compiled for the guest."""
    source = f"{HERE}/guest-programs/{name}.c"
    command = [CC64, "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-static", *flags]
    with cached(name, content(source), command, compiler(CC64)) as (folder, empty):
        if empty:
            subprocess.run([*command, "-o", f"{folder}/{name}", source], check=True)
        return folder


class GuestPrograms(harness.Site):
    def kernel_source(self):
        """The folder of the kernel's source that the guest was built from."""
        found = sorted(path for path in glob.glob(f"{harness.GUEST}/work/linux-source-*") if os.path.isdir(path))
        self.assertTrue(found, "the kernel's source is missing; build it with: ./run guest")
        return found[-1]

    def programs_disk(self, files, programs):
        """An ext4 image: files/ (that folder), run, list, out/."""
        stage, image = self.folder + "/stage", self.folder + "/programs.img"
        os.makedirs(stage + "/out")
        shutil.copytree(files, stage + "/files", symlinks=True)
        with open(stage + "/run", "w") as f:
            f.write(RUNNER)
        with open(stage + "/list", "w") as f:
            f.write(f"total={len(programs)}\n")
            for program in programs:
                f.write(f"run {shlex.quote(program.name)} {program.limit} {shlex.quote(program.command)}\n")
        size = sum(os.path.getsize(os.path.join(folder, name)) + 8192 for folder, _, names in os.walk(stage) for name in names
                   if not os.path.islink(os.path.join(folder, name)))
        with open(image, "wb") as f:
            f.truncate((size + size // 4 + len(programs) * 12288 + (128 << 20)) >> 20 << 20)
        subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0", "-N", str(4096 + 8 * len(programs)),
                        "-E", "root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0", "-d", stage, image], check=True)
        shutil.rmtree(stage)
        return image

    def run_programs(self, files, programs, limit=3600, start_limit=harness.LIMIT, **partition):
        """Boots the guest with the files, runs the programs in their order, shuts down. {name: Result}

        `limit` in seconds bounds the wait for each next program, `start_limit` that for the guest to come up; `partition` goes
        to Site.partition.
        """
        self.assertEqual(len({program.name for program in programs}), len(programs), "names are not unique")
        image = self.programs_disk(files, programs)
        options = dict({"memory": 512, "disk": True}, **partition)
        options["bootargs"] = f"baton.data=/dev/sda {options.get('bootargs', '')}"
        self.start("POWER6-A", self.config("POWER6-A", disk=image, partition=self.partition(**options)))
        console = self.activate(limit=start_limit)
        self.before_programs(console)
        console.type("sh /var/work/run\n")
        shown, start = 0.0, time.monotonic()
        while True:
            found = console.wait(r"ran (\d+) of (\d+): ([^\r\n]*)\r?\n|alldone\r?\n", limit)
            if not found[1]:
                break
            if time.monotonic() - shown > 5 or found[1] == found[2]:
                shown = time.monotonic()
                print(f"  {shown - start:4.0f} s  {found[0].strip()}", flush=True)
        self.after_programs(console)
        self.shut_down(console)
        return self.results(image, programs)

    def before_programs(self, console):
        """A hook: the guest is up and nothing has run."""

    def after_programs(self, console):
        """A hook: all has run and the guest is still up."""

    def results(self, image, programs):
        out = self.folder + "/out"
        subprocess.run(["debugfs", "-R", f"rdump /out {self.folder}", image], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        os.remove(image)

        results = {}
        for n, program in enumerate(programs, 1):
            code, stdout, stderr = (content(f"{out}/{n}.{kind}") for kind in ("code", "out", "err"))
            results[program.name] = Result(int(code) if code.strip() else None, stdout, stderr)
        return results

    def verdicts(self, title, passed, failed, excused):
        """Prints counts and why; fails the test if anything failed. `failed` and `excused` are {name: reason}."""
        print(f"{title}: {len(passed)} passed, {len(failed)} failed, {len(excused)} excused", flush=True)
        for name, reason in sorted(excused.items()):
            print(f"  excused {name}: {reason}")
        for name, reason in sorted(failed.items()):
            print(f"  FAILED {name}: {reason}")
        sys.stdout.flush()
        self.assertFalse(sorted(failed), f"{title}: {len(failed)} failed")
        self.assertTrue(passed, f"{title}: nothing ran")
