#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Valgrind's none/tests/ppc32 and ppc64 (and memcheck's power_ISA2_05) against the output that real processors gave.

The programs come from Debian's source of valgrind and run without Valgrind, so their output is the processor's.
"""
import glob
import os
import re

import guest_programs
import harness
from guest_programs import CC32, CC64, Program

FOLDERS = ("none/tests/ppc32", "none/tests/ppc64", "memcheck/tests/ppc32", "memcheck/tests/ppc64")
# Newer than ISA 2.05: what a vgtest's prerequisite asks for.
NEWER = {"arch_2_06": "needs ISA 2.06", "arch_2_07": "needs ISA 2.07", "arch_3_00": "needs ISA 3.0", "arch_3_1": "needs ISA 3.1",
         "htm": "needs transactional memory (ISA 2.07)"}
CFLAGS = ["-O", "-fno-pie", "-g", "-w", "-mregnames", "-static", "-fcommon", "-DHAS_ALTIVEC", "-DHAS_DFP", "-DHAS_ISA_2_05", "-DHAVE_AS_PPC_MFTOCRF",
          "-DHAVE_AS_PPC_FPPO", "-maltivec"]
FLAGS = {
    "jm-insns": ["-Wl,-z,norelro"],  # it writes instructions where function descriptors are
    "testVMX": ["-DALTIVEC", "-DGCC_COMPILER", "-mabi=altivec"],
    # Their assembler text names POWER7's dcffix, which they run only where VSX is.
    **{f"test_dfp{n}": ["-mcpu=power6", "-mhard-dfp", "-Wa,-many"] for n in range(1, 6)},
    "power_ISA2_05": ["-mcpu=power6", "-mhard-dfp"],
}
# What has to have happened before a program.
PREPARE = {"bug139050-ppc32": "while ! awk '$1 < 9 { exit 1 }' /proc/uptime; do sleep 1; done; "}  # time base over 2^32


def vgtest(path):
    """The lines of a .vgtest file: {"prog": ..., "args": ..., "prereq": ...}; more than one of a kind are joined."""
    with open(path) as f:
        lines = re.findall(r"(?m)^(\w+):\s*(.*)", f.read())
    return {kind: " ".join(text for k, text in lines if k == kind) for kind, _ in lines}


def newer(name, test):
    """Why the program means nothing on ISA 2.05, or None."""
    if name.startswith("test_dfp"):
        return None  # the prerequisite of ppc64's is for dcffix alone, which they look for themselves
    return next((why for capability, why in NEWER.items() if re.search(rf"\b{capability}\b", test.get("prereq", ""))), None)


def differences(name, expected, got, ledger):
    """What differs that the ledger does not allow, and the ledger's rows for what it allows."""
    bad, rows = [], []
    expected, got = expected.split("\n"), got.split("\n")
    if len(expected) != len(got):
        bad.append(f"{len(got)} lines instead of {len(expected)}")
    for number, (there, here) in enumerate(zip(expected, got), 1):
        if there == here:
            continue
        for row in ledger.of("difference"):
            allowed = re.fullmatch(row["pattern"], there), re.fullmatch(row["pattern"], here)
            if re.search(f"{row['test']}$", name) and all(allowed) and allowed[0].groups() == allowed[1].groups():
                if row not in rows:
                    rows.append(row)
                break
        else:
            bad.append(f"line {number}: expected {there!r}, got {here!r}")
    return bad, rows


class Valgrind(guest_programs.GuestPrograms):
    def build(self, source, programs):
        """A folder with every program, compiled: bits/name."""
        with guest_programs.cached("valgrind", source, guest_programs.compiler(CC64), guest_programs.compiler(CC32), CFLAGS, FLAGS,
                                   sorted(programs)) as (out, empty):
            if empty:
                commands = []
                for folder, name in sorted(programs):
                    os.makedirs(f"{out}/{folder}", exist_ok=True)
                    bits = folder[-2:]
                    platform = ["-DVGA_ppc64be=1", "-DVGP_ppc64be_linux=1"] if bits == "64" else ["-DVGA_ppc32=1", "-DVGP_ppc32_linux=1"]
                    commands.append([CC64 if bits == "64" else CC32, *CFLAGS, *platform, "-DVGO_linux=1", *FLAGS.get(name, []),
                                     f"-I{out}", f"-I{source}", f"-I{source}/include", "-o", f"{out}/{folder}/{name}",
                                     f"{source}/{folder}/{name}.c", "-lm"])
                open(f"{out}/config.h", "w").close()
                failed = guest_programs.compile_all(commands)
                self.assertFalse(failed, "\n".join(failed.values()))
            return out

    def test_programs(self):
        source = guest_programs.debian_source("valgrind")
        ledger = guest_programs.Ledger("valgrind")
        tests, excused = {}, {}
        for folder in FOLDERS:
            for path in sorted(glob.glob(f"{source}/{folder}/*.vgtest")):
                test, name = vgtest(path), os.path.basename(path)[:-len(".vgtest")]
                program, _, arguments = test["prog"].partition(" ")
                why = newer(name, test)
                if why:
                    excused[f"{folder}/{name}"] = why
                else:
                    tests[f"{folder}/{name}"] = (folder, program, f"{arguments} {test.get('args', '')}".strip())
            named = {vgtest(path)["prog"].split()[0] for path in glob.glob(f"{source}/{folder}/*.vgtest")}
            for path in glob.glob(f"{source}/{folder}/*.c"):
                if os.path.basename(path)[:-len(".c")] not in named:
                    excused[f"{folder}/{os.path.basename(path)}"] = "a part of another, or without an expected output"
        files = self.build(source, {(folder, program) for folder, program, _ in tests.values()})
        programs = [Program(name, f"{PREPARE.get(program, '')}{folder}/{program} {arguments}")
                    for name, (folder, program, arguments) in tests.items()]
        programs.sort(key=lambda program: program.name.endswith(tuple(PREPARE)))  # which are then likely to be ready
        results = self.run_programs(files, programs)
        passed, failed, allowed, instructions = {}, {}, [], []
        for name, result in results.items():
            expected = [guest_programs.content(path).decode(errors="replace")
                        for path in sorted(glob.glob(f"{source}/{name}.stdout.exp*"))]
            got = result.out.decode(errors="replace")
            with open(f"{self.folder}/{os.path.basename(os.path.dirname(name))}-{os.path.basename(name)}.out", "wb") as f:
                f.write(result.out)
            bad, rows = min((differences(name, text, got, ledger) for text in expected), key=lambda pair: (len(pair[0]), len(pair[1])))
            if result.code != 0:
                bad.append(f"exit code {result.code}")
            if bad:
                failed[name] = "; ".join(bad[:4]) + f" ({len(bad)} in all)"
            else:
                passed[name] = ""
                instructions += re.findall(r"(?m)^ *([a-z]\w+\.?)\b.*=>", got)
                allowed += [f"{name}: {ledger.excuse(row)}" for row in rows]
        print(f"passed with lines that the ledger allows: {len(allowed)}")
        for line in allowed:
            print(f"  {line}")
        guest_programs.coverage("valgrind", instructions)
        failed.update(ledger.unused())
        self.verdicts("Valgrind", passed, failed, excused)


if __name__ == "__main__":
    harness.main()
