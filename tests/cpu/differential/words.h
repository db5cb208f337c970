// SPDX-License-Identifier: Apache-2.0
// Random instruction words for the tests of cpu/isa.
#pragma once

#include <cstdio>
#include <random>
#include <string_view>

#include "cpu/isa/isa.h"

namespace baton::cpu::test {

/// The bits of a row's words that are operands, from its operand string.
inline u32 operand_bits(const isa::Row& row) {
  u32 bits = 0;
  const auto set = [&](unsigned first, unsigned last) {
    for (unsigned bit = first; bit <= last; bit++) bits |= 1u << (31 - bit);
  };
  std::string_view rest = row.operands;
  while (true) {
    const std::size_t open = rest.find('[');
    if (open == std::string_view::npos) break;
    const std::string_view inside = rest.substr(open + 1, rest.find(']') - open - 1);
    unsigned first = 0, last = 0, extra = 0;
    const std::string text(inside);
    if (text.find("||") != std::string::npos) {
      set(11, 20);
    } else if (std::sscanf(text.c_str(), "%u:%u+%u", &first, &last, &extra) >= 2) {
      set(first, last);
      if (extra != 0) set(extra, extra);
    } else {
      set(first, first);
    }
    rest.remove_prefix(open + inside.size() + 2);
  }
  return bits;
}

/// A word of the row with random operands and all reserved bits zero.
template <class Random>
u32 random_word(const isa::Row& row, Random& random) {
  return row.value | (static_cast<u32>(random()) & operand_bits(row) & ~row.mask);
}

}  // namespace baton::cpu::test
