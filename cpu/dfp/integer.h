// SPDX-License-Identifier: Apache-2.0
// Integers of 64 and 128 bits in decimal.
#pragma once

#include <array>
#include <bit>

#include "cpu/bits.h"

namespace baton::cpu::dfp {

/// Powers of ten: all that the integer can hold.
template <class T>
inline constexpr auto kPower = [] {
  std::array<T, sizeof(T) == 8 ? 20 : 39> powers{};
  powers[0] = 1;
  for (unsigned i = 1; i < powers.size(); i++) powers[i] = powers[i - 1] * 10;
  return powers;
}();

inline int bit_width(u64 value) { return 64 - std::countl_zero(value); }
inline int bit_width(u128 value) {
  const u64 high = static_cast<u64>(value >> 64);
  return high ? 64 + bit_width(high) : bit_width(static_cast<u64>(value));
}

/// Decimal digits; 0 has none.
template <class T>
inline int digits(T value) {
  const int least = bit_width(value) * 1233 >> 12;  // log10(2) is a little more than 1233/4096
  return least + (value >= kPower<T>[static_cast<unsigned>(least)]);
}

struct Divided {
  u64 quotient, remainder;
};

/// The quotient has to fit in 64 bits.
inline Divided divide(u128 dividend, u64 divisor) {
  u64 quotient, remainder;
  asm("divq %4"
      : "=a"(quotient), "=d"(remainder)
      : "a"(static_cast<u64>(dividend)), "d"(static_cast<u64>(dividend >> 64)), "r"(divisor)
      : "cc");
  return {quotient, remainder};
}

}  // namespace baton::cpu::dfp
