// SPDX-License-Identifier: Apache-2.0
// Random instruction words for the tests of cpu/isa.
#pragma once

#include <random>
#include <string_view>

#include "cpu/isa/assembly.h"

namespace baton::cpu::test {

/// POWER6-ISA 4.1, 4.5, 4.7 by the names of the instructions: update forms with RA=0, loads also with RA=RT,
/// lq too, and bcctr that decrements.
inline bool invalid_form(const isa::Row& row, u32 word) {
  const std::string_view name = row.mnemonic;
  const u32 rt = field(word, 6, 10), ra = field(word, 11, 15);
  if (name == "lq") return ra == rt;
  if (name.starts_with("bcctr")) return field(word, 8, 8) == 0;
  if (!name.starts_with("l") && !name.starts_with("st")) return false;
  if (!name.ends_with("u") && !name.ends_with("ux")) return false;
  return ra == 0 || (ra == rt && name.starts_with("l") && !name.starts_with("lf"));
}

/// A word of the row with random operands and all reserved bits zero.
template <class Random>
u32 random_word(const isa::Row& row, Random& random) {
  return row.value | (static_cast<u32>(random()) & isa::operand_bits(row) & ~row.mask);
}

}  // namespace baton::cpu::test
