// SPDX-License-Identifier: Apache-2.0
// A guest program as the build made it: bytes for real address 0, and its symbols.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cpu/bits.h"

namespace baton::bare_metal {

class Image {
 public:
  /// The image of that name in the build directory; read once.
  static const Image& get(const std::string& name);

  const std::vector<u8>& bytes() const { return bytes_; }
  const std::string& path() const { return path_; }
  /// Address of a symbol; throws std::out_of_range if there is none.
  u64 at(const std::string& symbol) const;

 private:
  explicit Image(const std::string& name);
  std::string path_;
  std::vector<u8> bytes_;
  std::map<std::string, u64> symbols_;
};

}  // namespace baton::bare_metal
