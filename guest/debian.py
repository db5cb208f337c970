# SPDX-License-Identifier: Apache-2.0
"""Debian's packages, sources among them, fetched without touching the machine's own apt; and commands with a log."""
import fcntl
import glob
import os
import subprocess

MIRROR = os.environ.get("BATON_DEBIAN_MIRROR", "http://deb.debian.org/debian")


class Failure(Exception):
    """One sentence for the user."""


def run(command, log, cwd=None, env=None, text=None):
    """Runs a command quietly; on failure says which and where its output is."""
    with open(log, "ab") as out:
        done = subprocess.run(command, cwd=cwd, env=env, stdout=out, stderr=subprocess.STDOUT,
                              input=text.encode() if text else None, stdin=None if text else subprocess.DEVNULL)
    if done.returncode != 0:
        with open(log, errors="replace") as f:
            lines = [line.strip() for line in f if line.strip()]
        errors = [line for line in lines if "error" in line.lower() or line.startswith("E: ")]
        why = (errors or lines or ["it said nothing"])[-1][:300]
        raise Failure(f"{os.path.basename(command[0])} failed ({why}); the whole output is in {log}")


def os_release():
    with open("/etc/os-release") as f:
        return dict(line.strip().replace('"', "").split("=", 1) for line in f if "=" in line)


class Packages:
    """An apt of its own below a folder: lists and cache."""

    def __init__(self, folder):
        self.folder = folder

    def apt(self):
        for folder in ("state/lists/partial", "cache/archives/partial"):
            os.makedirs(os.path.join(self.folder, folder), exist_ok=True)
        name = os_release().get("VERSION_CODENAME")
        if not name:
            raise Failure("this machine is not a Debian release, so its source packages cannot be found")
        with open(os.path.join(self.folder, "sources.list"), "w") as f:
            for kind in ("deb", "deb-src"):
                f.write(f"{kind} {MIRROR} {name} main\n{kind} {MIRROR}-security {name}-security main\n")
        open(os.path.join(self.folder, "status"), "a").close()  # what this machine has installed shall not matter
        return ["apt-get", "-q", "-o", f"Dir::Etc::SourceList={self.folder}/sources.list",
                "-o", "Dir::Etc::SourceParts=/dev/null", "-o", f"Dir::State={self.folder}/state",
                "-o", f"Dir::State::status={self.folder}/status", "-o", f"Dir::Cache={self.folder}/cache",
                "-o", "APT::Sandbox::User=", "-o", "Acquire::Retries=3", "-o", "APT::Update::Error-Mode=any"]

    def fetch(self, folder, log, *verb):
        """Brings the package lists up to date, then apt-get VERB in that folder."""
        os.makedirs(folder, exist_ok=True)
        os.makedirs(self.folder, exist_ok=True)
        with open(os.path.join(self.folder, "lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            apt = self.apt()
            try:
                run(apt + ["update"], log)
                run(apt + list(verb), log, cwd=folder)
            except Failure as failure:
                raise Failure(f"{verb[-1]} could not be fetched from {MIRROR} (BATON_DEBIAN_MIRROR names another mirror): "
                              f"{failure}")

    def source(self, package, folder, log):
        """The .dsc of the package's source, fetched into the folder unless it is there."""
        if not glob.glob(f"{folder}/{package}_*.dsc"):
            self.fetch(folder, log, "source", "--download-only", package)
        return glob.glob(f"{folder}/{package}_*.dsc")[0]
