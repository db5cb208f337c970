// SPDX-License-Identifier: Apache-2.0
// What "baton trace" prints of each instruction.
#pragma once

#include <array>
#include <optional>
#include <ostream>
#include <string>

#include "app/symbols.h"
#include "cpu/thread.h"

namespace baton::app {

/// Prints a line for each instruction: its number, address, symbol, word, text, and the registers that it
/// changed.
class Tracer {
 public:
  Tracer(Symbols symbols, std::ostream& out) : symbols_(std::move(symbols)), out_(out) {}

  /// Before each instruction and behind the last, on the processor's thread.
  void see(const cpu::State& state);

 private:
  /// Registers by name, in the order in which they are printed.
  struct Registers {
    std::array<u64, 32> gpr, fpr;
    std::array<u128, 32> vr;
    u32 cr;
    u64 xer, lr, ctr, msr;
  };
  static Registers registers_of(const cpu::State& state);
  std::string changes(const Registers& now) const;

  Symbols symbols_;
  std::ostream& out_;
  std::optional<Registers> before_;
  std::string line_;  ///< The instruction that is being executed.
};

}  // namespace baton::app
