// SPDX-License-Identifier: Apache-2.0
// mkvterm: a partition's console on this terminal.
#pragma once

#include <string>
#include <string_view>

#include "hmc/systems.h"

namespace baton::hmc {

/// Takes "~." at the start of a line out of what is typed: close. "~~" there is one "~".
class EscapeFilter {
 public:
  /// What goes to the partition; `close` is set when the user wants to leave.
  std::string feed(std::string_view typed, bool& close);

 private:
  bool line_start_ = true, tilde_ = false;
};

/// Of a history that another system sends after a move, the part that the user has not seen: what follows the
/// last occurrence of the end of `seen`. All of it if nothing of `seen` is in it.
std::string_view unseen(std::string_view history, std::string_view seen);

/// Joins standard input and output to the console of `lpar` until the user types "~." or the terminal is
/// closed. When the partition moves to another system, opens it there and goes on. Returns 0, or throws with
/// a sentence.
int run_virtual_terminal(Systems& systems, const std::string& system, const std::string& lpar, bool force);

}  // namespace baton::hmc
