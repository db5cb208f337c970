// SPDX-License-Identifier: Apache-2.0
// Integers of 64, 128 and 256 bits as decimal arithmetic needs them.
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

struct U256 {
  u128 high, low;
};

inline int bit_width(u64 value) { return 64 - std::countl_zero(value); }
inline int bit_width(u128 value) {
  const u64 high = static_cast<u64>(value >> 64);
  return high ? 64 + bit_width(high) : bit_width(static_cast<u64>(value));
}
inline int bit_width(U256 value) { return value.high ? 128 + bit_width(value.high) : bit_width(value.low); }

/// Decimal digits of a number of that many bits, or one less.
inline int digits_of_bits(int bits) { return bits * 1233 >> 12; }

/// Decimal digits; 0 has none.
template <class T>
inline int digits(T value) {
  const int least = digits_of_bits(bit_width(value));
  return least + (value >= kPower<T>[static_cast<unsigned>(least)]);
}

inline u128 multiply(u64 a, u64 b) { return static_cast<u128>(a) * b; }
inline U256 multiply(u128 a, u128 b) {
  const u64 a1 = static_cast<u64>(a >> 64), a0 = static_cast<u64>(a), b1 = static_cast<u64>(b >> 64),
            b0 = static_cast<u64>(b);
  const u128 low = multiply(a0, b0), left = multiply(a1, b0), right = multiply(a0, b1);
  const u128 middle = (low >> 64) + static_cast<u64>(left) + static_cast<u64>(right);
  return {multiply(a1, b1) + (left >> 64) + (right >> 64) + (middle >> 64),
          middle << 64 | static_cast<u64>(low)};
}

template <class T>
struct Divided {
  T quotient, remainder;
};

/// The quotient has to fit in 64 bits.
inline Divided<u64> divide(u128 dividend, u64 divisor) {
  u64 quotient, remainder;
  asm("divq %4"
      : "=a"(quotient), "=d"(remainder)
      : "a"(static_cast<u64>(dividend)), "d"(static_cast<u64>(dividend >> 64)), "r"(divisor)
      : "cc");
  return {quotient, remainder};
}

/// The quotient has to fit in 128 bits.
inline Divided<u128> divide(U256 dividend, u128 divisor) {
  // Long division by two digits of 64 bits (Knuth, D), the divisor with its top bit set.
  const int shift = 128 - bit_width(divisor);
  const u128 d = divisor << shift;
  const u64 d1 = static_cast<u64>(d >> 64), d0 = static_cast<u64>(d);
  u128 rest = shift ? dividend.high << shift | dividend.low >> (128 - shift) : dividend.high;
  const u128 low = dividend.low << shift;
  const auto step = [&](u64 next) {
    const u64 top = static_cast<u64>(rest >> 64);
    u64 q = ~u64{0};
    u128 r = static_cast<u128>(static_cast<u64>(rest)) + d1;
    if (top < d1) {
      const auto [quotient, remainder] = divide(rest, d1);
      q = quotient;
      r = remainder;
    }
    for (; !(r >> 64) && multiply(q, d0) > (r << 64 | next); q--) r += d1;
    rest = (rest << 64 | next) - d * q;
    return q;
  };
  const u64 high = step(static_cast<u64>(low >> 64));
  const u64 last = step(static_cast<u64>(low));
  return {static_cast<u128>(high) << 64 | last, rest >> shift};
}

inline Divided<u64> divided(u64 dividend, u64 divisor) { return {dividend / divisor, dividend % divisor}; }
inline Divided<u128> divided(u128 dividend, u128 divisor) {
  if (divisor >> 64) return divide(U256{0, dividend}, divisor);
  const u64 by = static_cast<u64>(divisor), top = static_cast<u64>(dividend >> 64), high = top / by;
  const auto [low, remainder] = divide(static_cast<u128>(top % by) << 64 | static_cast<u64>(dividend), by);
  return {static_cast<u128>(high) << 64 | low, remainder};
}

}  // namespace baton::cpu::dfp
