// SPDX-License-Identifier: Apache-2.0
// What is compiled at a time, and the one function of the module that compiles it.
//
// LLVM is large, so that what uses it is a shared object of its own (translate.cpp, emit.cpp), which is
// loaded when the first region is hot. It knows Baton's headers and none of its code: what it calls it is
// given.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "cpu/engine/interpreter.h"
#include "cpu/isa/isa.h"

namespace baton::cpu::llvm_engine {

struct Instruction {
  isa::Id row;
  isa::Operands operands;
};

/// Instructions one behind the other; the last may be a branch.
struct Block {
  u32 page = 0;   ///< Of Region::pages.
  u32 index = 0;  ///< Of the first instruction in its page.
  bool entry = false;
  std::vector<Instruction> instructions;
  /// Where an indirect branch at its end was seen to go, most often first: bytes from the EA of page 0.
  std::vector<i64> targets;
};

struct Page {
  OpPage* ops = nullptr;
  i64 distance = 0;  ///< Of its EA from that of page 0, in pages.
};

/// Blocks of one thread's code that branch to each other. A region does not say where it is mapped: only how
/// its pages lie to each other.
struct Region {
  std::vector<Page> pages;
  std::vector<Block> blocks;
  u64 ea_mask = 0;  ///< State::ea_mask that it is compiled for.
  /// It does floating point and leaves FPSCR open (State::deferred): entered in fpu::kDeferringMode only.
  bool defers = false;
};

/// A function or object of Baton that compiled code refers to, by its symbol.
struct Native {
  const char* name;
  const void* address;
};
std::span<const Native> natives();

/// Machine code that may lie anywhere, or why there is none.
struct Compiled {
  std::vector<u8> code;  ///< A Handler begins at its first byte. Alignment 64.
  std::string error;
};
using Compile = void (*)(const Region& region, std::span<const Native> natives, Compiled& result);
inline constexpr const char* kCompileSymbol = "baton_compile_region";

}  // namespace baton::cpu::llvm_engine
