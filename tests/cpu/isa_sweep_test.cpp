// SPDX-License-Identifier: Apache-2.0
// All 2^32 instruction words: no two rows claim one, and the decoder finds the row that does.
#include <gtest/gtest.h>

#include <cstdio>
#include <vector>

#include "tests/cpu/differential/words.h"

namespace baton::cpu {
namespace {

TEST(IsaSweep, EveryWordHasOneRowOrNone) {
  constexpr u32 kWords = 1u << 26;  // of a primary opcode
  constexpr u16 kNobody = 0xFFFF;
  std::vector<u16> owner(kWords);
  u64 instructions = 0, invalid = 0;
  for (u32 primary = 0; primary < 64; primary++) {
    std::fill(owner.begin(), owner.end(), kNobody);
    for (const isa::Row& row : isa::table()) {
      ASSERT_EQ(row.mask >> 26, 63u) << row.mnemonic;
      if (row.value >> 26 != primary) continue;
      // Every setting of the bits that the row leaves free, the last one 0.
      const u32 free = ~row.mask, fixed = row.value & (kWords - 1);
      for (u32 bits = free;; bits = (bits - 1) & free) {
        u16& claimed = owner[fixed | bits];
        ASSERT_EQ(claimed, kNobody) << row.mnemonic << " and " << isa::table()[claimed].mnemonic;
        claimed = static_cast<u16>(row.id);
        if (bits == 0) break;
      }
    }
    for (u32 low = 0; low < kWords; low++) {
      const u32 word = primary << 26 | low;
      const isa::Row* expected = owner[low] == kNobody ? nullptr : &isa::table()[owner[low]];
      if (expected && test::invalid_form(*expected, word)) expected = nullptr, invalid++;
      if (isa::decode(word) != expected) FAIL() << std::hex << word;
      instructions += expected != nullptr;
    }
  }
  std::printf("%llu words are instructions, %llu invalid forms, %llu nothing\n",
              static_cast<unsigned long long>(instructions), static_cast<unsigned long long>(invalid),
              static_cast<unsigned long long>((u64{1} << 32) - instructions - invalid));
}

}  // namespace
}  // namespace baton::cpu
