// SPDX-License-Identifier: Apache-2.0
// What lies on the stack below compiled code, for whoever looks at the process from outside.
#pragma once

#include <memory>

#include "cpu/bits.h"

namespace baton::cpu {

/// The host register that State is found by in some compiled code (DWARF's numbers for x86-64).
enum class StateRegister : u8 { kRbp = 6, kR12 = 12 };

/// Tells a debugger, by GDB's JIT interface, that `bytes` from `code` on are compiled code called `name`, and
/// that State::stack_at says what is below. So a debugger that is attached at any place of that code shows it
/// as a frame, and those that it was called from. Thread-safe; ends with the object.
class CodeFrames {
 public:
  CodeFrames(const char* name, const void* code, u64 bytes, StateRegister state);
  ~CodeFrames();
  CodeFrames(const CodeFrames&) = delete;
  CodeFrames& operator=(const CodeFrames&) = delete;

 private:
  struct Description;
  std::unique_ptr<Description> description_;
};

}  // namespace baton::cpu
