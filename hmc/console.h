// SPDX-License-Identifier: Apache-2.0
// The management console: HMC commands over the control API (LPM 3.1).
#pragma once

#include <iosfwd>
#include <string>

#include "hmc/systems.h"

namespace baton::hmc {

class Console {
 public:
  Console(Systems& systems, std::ostream& out, std::ostream& error)
      : systems_(systems), out_(out), error_(error) {}

  /// Runs one command line; its return code. A wrong one costs one sentence on the error stream.
  int execute(const std::string& line);
  /// Reads and runs commands until "exit" or end of input; the last return code.
  int interactive();

  Systems& systems() { return systems_; }
  std::ostream& out() { return out_; }
  std::ostream& error() { return error_; }

 private:
  Systems& systems_;
  std::ostream& out_;
  std::ostream& error_;
  bool leave_ = false;
};

}  // namespace baton::hmc
