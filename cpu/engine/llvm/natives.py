# SPDX-License-Identifier: Apache-2.0
"""natives.py NM BITCODE OUTPUT: a table in C++ of what the semantics' bitcode refers to and does not define."""
import subprocess
import sys

nm, bitcode, output = sys.argv[1:]
listing = subprocess.run([nm, "--undefined-only", "--format=just-symbols", bitcode],
                         check=True, capture_output=True, text=True).stdout
# What is the translator's own is no function (baton_read_addend, baton_condition).
listing = [s for s in listing.split() if not s.startswith("baton_")]
# What the engine itself calls, and what LLVM may make of loads and stores.
HANDLERS = ["stop_at", "return_at", "leave_by_branch", "leave_in_front", "interpret_here"]
HANDLERS += ["settle_" + handler for handler in HANDLERS]
symbols = {s: s for s in sorted(set(listing)) + ["memcpy", "memmove", "memset"]}
symbols |= {f"baton_{h}": f"_ZN5baton3cpu{len(h)}{h}ERNS0_5StateEPKNS0_2OpE" for h in HANDLERS}
with open(output, "w", encoding="utf-8") as file:
    file.write('#include "cpu/engine/llvm/region.h"\n\nextern "C" {\n')
    for i, symbol in enumerate(symbols.values()):
        file.write(f'extern const char baton_native_{i}[] asm("{symbol}");\n')
    file.write("}\n\nnamespace baton::cpu::llvm_engine {\nstd::span<const Native> natives() {\n")
    file.write("  static const Native kNatives[] = {\n")
    for i, symbol in enumerate(symbols):
        file.write(f'      {{"{symbol}", baton_native_{i}}},\n')
    file.write("  };\n  return kNatives;\n}\n}  // namespace baton::cpu::llvm_engine\n")
