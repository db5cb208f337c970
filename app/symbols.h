// SPDX-License-Identifier: Apache-2.0
// Names of the functions of a partition's kernel.
#pragma once

#include <map>
#include <string>

#include "cpu/bits.h"

namespace baton::app {

class Symbols {
 public:
  /// `path`: a System.map (address, type, name on each line), or empty: no symbols. Throws std::runtime_error
  /// with a sentence if it is none.
  explicit Symbols(const std::string& path);
  /// "name+0x1c" of the function before the address; empty if there is none near.
  std::string at(u64 address) const;

 private:
  std::map<u64, std::string> symbols_;
};

}  // namespace baton::app
