#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""with_source.py PACKAGE VARIABLE COMMAND...: runs the command with Debian's source of the package, unpacked, in VARIABLE."""
import os
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import guest_programs  # noqa: E402

package, variable, *command = sys.argv[1:]
try:
    os.environ[variable] = guest_programs.debian_source(package)
except guest_programs.debian.Failure as failure:
    sys.exit(f"with_source.py: {failure}")
os.execv(command[0], command)
