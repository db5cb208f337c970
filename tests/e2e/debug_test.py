#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Little-endian mode, watchpoints, single steps and branch steps as programs use them through Linux."""
import os
import shutil

import guest_programs
import harness
from guest_programs import CC64, Program

NAMES = ("little_endian", "debugger")
FLAGS = ["-O1", "-mcpu=power6", "-static", "-Wall", "-Wextra", "-Werror"]


class Debug(guest_programs.GuestPrograms):
    def test_debug(self):
        sources = [os.path.join(guest_programs.HERE, "guest-programs", f"{name}.c") for name in NAMES]
        with guest_programs.cached("debug", guest_programs.compiler(CC64), FLAGS,
                                   *map(guest_programs.content, sources)) as (out, empty):
            if empty:
                failed = guest_programs.compile_all([[CC64, *FLAGS, "-o", f"{out}/{name}", source]
                                                     for name, source in zip(NAMES, sources)])
                self.assertFalse(failed)
            os.makedirs(f"{self.folder}/files")
            for name in NAMES:
                shutil.copy(f"{out}/{name}", f"{self.folder}/files/{name}")
        results = self.run_programs(f"{self.folder}/files", [Program(name, f"./{name}") for name in NAMES])
        passed, failed = {}, {}
        for name, result in results.items():
            print(f"{name}: {result.out.decode(errors='replace').strip()}")
            if result.code == 0:
                passed[name] = ""
            else:
                failed[name] = f"exit code {result.code}: {(result.out + result.err).decode(errors='replace')}"
        self.verdicts("debugging", passed, failed, {})


if __name__ == "__main__":
    harness.main()
