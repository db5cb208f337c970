// SPDX-License-Identifier: Apache-2.0
#include "cpu/engine/llvm/translate.h"

asm(".section .rodata\n"
    ".balign 16\n"
    "baton_bitcode_begin: .incbin \"" BATON_BITCODE
    "\"\n"
    "baton_bitcode_end:\n"
    ".text\n");
extern "C" {
[[gnu::visibility("hidden")]] extern const char baton_bitcode_begin[], baton_bitcode_end[];
}

namespace baton::cpu::llvm_engine {

std::span<const char> bitcode() { return {baton_bitcode_begin, baton_bitcode_end}; }

}  // namespace baton::cpu::llvm_engine
