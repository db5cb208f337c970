#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Builds Berkeley TestFloat's generator from Debian's QEMU source package and prints its path.

Exit status 77: the package could not be fetched. Everything is kept below build/testfloat.
"""
import fcntl
import glob
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
FOLDER = os.path.join(ROOT, "build", "testfloat")
sys.path.insert(0, os.path.join(ROOT, "guest"))
import debian  # noqa: E402

GENERATOR = f"{FOLDER}/testfloat_gen"
FOLDERS = ("berkeley-softfloat-3", "berkeley-testfloat-3")


def unpack(archive):
    """Only the two folders, which lie in tests/fp or, in newer versions, in subprojects."""
    shutil.rmtree(f"{FOLDER}/source", ignore_errors=True)
    os.makedirs(f"{FOLDER}/source")
    # dirname/tests/fp/NAME/... or dirname/subprojects/NAME/...
    names = [f"*/{place}/{name}/*" for place in ("tests/fp", "subprojects") for name in FOLDERS]
    subprocess.run(["tar", "-C", f"{FOLDER}/source", "--wildcards", "-xf", archive, *names], stderr=subprocess.DEVNULL,
                   check=False)  # tar complains of the place that is not there
    found = {name: glob.glob(f"{FOLDER}/source/*/*/{name}") + glob.glob(f"{FOLDER}/source/*/*/*/{name}") for name in FOLDERS}
    for name, places in found.items():
        if not places:
            raise debian.Failure(f"{os.path.basename(archive)} holds no {name}")
        os.rename(places[0], f"{FOLDER}/source/{name}")


def build():
    os.makedirs(FOLDER, exist_ok=True)
    log = f"{FOLDER}/log"
    with open(f"{FOLDER}/lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(GENERATOR):
            return 0
        try:
            debian.Packages(f"{ROOT}/build/programs/apt").source("qemu", f"{FOLDER}/package", log)
        except debian.Failure as failure:
            print(failure, file=sys.stderr)
            return 77
        unpack(glob.glob(f"{FOLDER}/package/qemu_*.orig.tar.*")[0])
        place = "build/Linux-x86_64-GCC"
        # The specialisation decides NaNs and integer overflow alone, which are compared by the PowerPC's rules.
        make = ["make", "-s", f"-j{os.cpu_count()}"]
        debian.run(make + ["SPECIALIZE_TYPE=8086-SSE"], log, cwd=f"{FOLDER}/source/berkeley-softfloat-3/{place}")
        debian.run(make + ["TESTFLOAT_OPTS=-DFLOAT64", "testfloat_gen"], log,
                   cwd=f"{FOLDER}/source/berkeley-testfloat-3/{place}")
        os.rename(f"{FOLDER}/source/berkeley-testfloat-3/{place}/testfloat_gen", GENERATOR)
        shutil.rmtree(f"{FOLDER}/source")
        shutil.rmtree(f"{FOLDER}/package")
    return 0


if __name__ == "__main__":
    try:
        status = build()
    except debian.Failure as failure:
        print(failure, file=sys.stderr)
        status = 1
    if status == 0:
        print(GENERATOR)
    sys.exit(status)
