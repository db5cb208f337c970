// SPDX-License-Identifier: Apache-2.0
// "baton isa": the instruction table, and words of it as text.
#pragma once

#include <string>
#include <vector>

namespace baton::app {

/// What was asked for; empty members ask for everything.
struct IsaOptions {
  bool csv = false;
  std::vector<std::string> mnemonics;
  std::string privilege, facility;       ///< As the table spells them, in any case.
  std::vector<std::string> disassemble;  ///< Words in hexadecimal.
  std::string assemble;                  ///< A line of assembly.
};

/// Prints it; the exit code. Throws std::runtime_error with one sentence about a wrong argument.
int run_isa(const IsaOptions& options);

}  // namespace baton::app
