# SPDX-License-Identifier: Apache-2.0
"""Builds what the benchmark runs in the guest: our own programs, and others from Debian's sources."""
import glob
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
from guest_programs import CC64, cached, compiler, content, debian_source  # noqa: E402

PROGRAMS = os.path.join(ROOT, "bench", "programs")
STRICT = ["-std=gnu11", "-Wall", "-Wextra", "-Werror"]
TARGET = ["-O2", "-mcpu=power6", "-mno-vsx", "-static"]
SCALAR = TARGET + ["-mno-altivec"]


def run(command, cwd=None, **environment):
    """Runs a command; its output is shown only when it fails."""
    done = subprocess.run(command, cwd=cwd, env=dict(os.environ, **environment), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        sys.exit(f"bench: {' '.join(command[:3])}... failed:\n{done.stdout.decode(errors='replace')[-3000:]}")


def build_ours(folder):
    objects = []
    for name, source, flags in (("scalar", "float.c", SCALAR + ["-DSCALAR"]),
                                ("vector", "float.c", TARGET + ["-O3", "-maltivec", "-ffast-math"]),
                                *((name, name + ".c", SCALAR) for name in ("main", "integer", "memory", "system", "smp"))):
        objects.append(f"{folder}/{name}.o")
        run([CC64, *STRICT, *flags, "-c", f"{PROGRAMS}/{source}", "-o", objects[-1]])
    run([CC64, *SCALAR, *objects, "-lm", "-s", "-o", f"{folder}/baton-bench"])
    for made in objects:
        os.remove(made)


def build_lua(source, folder):
    files = [f for f in glob.glob(source + "/src/*.c") if os.path.basename(f) != "luac.c"]
    run([CC64, *SCALAR, "-DLUA_USE_POSIX", "-w", *files, "-lm", "-s", "-o", folder + "/lua"])


def build_bzip2(source, folder):
    files = [f"{source}/{name}.c" for name in "bzip2 blocksort huffman crctable randtable compress decompress bzlib".split()]
    run([CC64, *SCALAR, "-w", "-D_FILE_OFFSET_BITS=64", *files, "-s", "-o", folder + "/bzip2"])


def build_gzip(source, folder):
    files = [f for f in glob.glob(source + "/*.c")]
    run([CC64, *SCALAR, "-w", "-D_LARGEFILE64_SOURCE", "-DHAVE_UNISTD_H", f"-I{source}", *files, source + "/test/minigzip.c", "-s",
         "-o", folder + "/minigzip"])


def build_xz(source, folder):
    work = folder + "/xz-work"
    os.makedirs(work)
    run([source + "/configure", "--host=powerpc64-linux-gnu", "--disable-shared", "--disable-nls", "--disable-threads",
         "--disable-scripts", "--disable-doc", "--disable-lzmadec", "--disable-lzmainfo"], work, CFLAGS=" ".join(SCALAR + ["-w"]))
    run(["make", "-j2", "LDFLAGS=-all-static"], work)
    run(["powerpc64-linux-gnu-strip", "-o", folder + "/xz", work + "/src/xz/xz"])
    shutil.rmtree(work)


def build_sqlite(source, folder):
    work = folder + "/sqlite-work"
    os.makedirs(work)
    run([source + "/configure", "--disable-tcl", "--disable-readline"], work)
    run(["make", "sqlite3.c"], work)
    run([CC64, *SCALAR, "-w", "-DSQLITE_THREADSAFE=0", "-DSQLITE_OMIT_LOAD_EXTENSION", f"-I{work}", work + "/sqlite3.c",
         source + "/test/speedtest1.c", "-lm", "-s", "-o", folder + "/speedtest1"])
    shutil.rmtree(work)


def build_tcc(source, folder):
    """The Tiny C Compiler as a cross compiler for x86-64: the work is what counts, not what it makes."""
    with open(folder + "/config.h", "w") as f:
        f.write('#define TCC_VERSION "0.9"\n#define CONFIG_TCCDIR "/nowhere"\n#define CONFIG_TCC_BACKTRACE 0\n')
    run([CC64, *SCALAR, "-w", "-DONE_SOURCE=1", "-DTCC_TARGET_X86_64", "-DCONFIG_TCC_STATIC", f"-I{folder}", f"-I{source}", source + "/tcc.c", "-lm",
         "-s", "-o", folder + "/tcc"])
    os.remove(folder + "/config.h")


OTHERS = {"lua5.4": build_lua, "bzip2": build_bzip2, "zlib": build_gzip, "xz-utils": build_xz, "sqlite3": build_sqlite,
          "tcc": build_tcc}


def build():
    """A folder with everything, made once."""
    ours = [content(f) for f in sorted(glob.glob(PROGRAMS + "/*"))]
    with cached("bench-ours", compiler(CC64), *ours, content(__file__)) as (folder, empty):
        if empty:
            print("building the benchmark's own programs", flush=True)
            build_ours(folder)
        folders = [folder]
    for package, action in OTHERS.items():
        source = debian_source(package)
        with cached("bench-" + package, compiler(CC64), source, content(__file__)) as (folder, empty):
            if empty:
                print(f"building {package}", flush=True)
                action(source, folder)
            folders.append(folder)
    return folders


if __name__ == "__main__":
    print("\n".join(build()))
