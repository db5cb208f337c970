// SPDX-License-Identifier: Apache-2.0
#include "app/symbols.h"

#include <fmt/format.h>

#include <fstream>
#include <sstream>
#include <stdexcept>

namespace baton::app {

Symbols::Symbols(const std::string& path) {
  if (path.empty()) return;
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream fields(line);
    u64 address = 0;
    char type = 0;
    std::string name;
    if (!(fields >> std::hex >> address >> type >> name)) {
      symbols_.clear();
      break;
    }
    // Functions only; of several names for one address the first.
    if (type == 't' || type == 'T' || type == 'W' || type == 'w') symbols_.try_emplace(address, name);
  }
  if (symbols_.empty())
    throw std::runtime_error(path + " is no table of symbols; name the System.map of the kernel that runs.");
}

std::string Symbols::at(u64 address) const {
  auto found = symbols_.upper_bound(address);
  if (found == symbols_.begin()) return "";
  found--;
  constexpr u64 kFar = 1 << 20;
  if (address - found->first > kFar) return "";
  return fmt::format("{}+0x{:x}", found->second, address - found->first);
}

}  // namespace baton::app
