// SPDX-License-Identifier: Apache-2.0
// The decimal interchange formats with densely packed digits (POWER6-ISA 4.12): to numbers and back.
#pragma once

#include <array>
#include <type_traits>

#include "cpu/bits.h"

namespace baton::cpu::dfp {

struct Format {
  int digits;          ///< Precision.
  int bias;            ///< The least exponent is -bias.
  int greatest;        ///< Exponent.
  int continuation;    ///< Bits of the combination field behind its first five.
  int declets;         ///< Of the trailing significand.
  int wrap;            ///< Exponent adjustment of an enabled overflow or underflow ...
  int narrowing_wrap;  ///< ... and of one when a number of this format is narrowed.

  constexpr int least() const { return -bias; }
  /// Exponents of the first digit of the least and the greatest normal number.
  constexpr int first_normal() const { return digits - 1 - bias; }
  constexpr int last_normal() const { return greatest + digits - 1; }
  constexpr int width() const { return 6 + continuation + 10 * declets; }
};
inline constexpr Format kShort{7, 101, 90, 6, 2, 0, 0};
inline constexpr Format kLong{16, 398, 369, 8, 5, 576, 192};
inline constexpr Format kExtended{34, 6176, 6111, 12, 11, 9216, 3072};

enum class Kind : u8 { kFinite, kInfinity, kQuietNan, kSignallingNan };

/// (-1)^negative * coefficient * 10^exponent. Of an infinity or a NaN the coefficient is the trailing
/// significand, and the exponent means nothing.
struct Decimal {
  bool negative = false;
  Kind kind = Kind::kFinite;
  int exponent = 0;
  u128 coefficient = 0;

  bool finite() const { return kind == Kind::kFinite; }
  bool infinite() const { return kind == Kind::kInfinity; }
  bool nan() const { return kind >= Kind::kQuietNan; }
  bool signalling() const { return kind == Kind::kSignallingNan; }
  bool zero() const { return finite() && coefficient == 0; }
};

/// Integers that hold an encoding, and a coefficient with room to spare.
template <Format kFormat>
using Bits =
    std::conditional_t<kFormat.width() == 32, u32, std::conditional_t<kFormat.width() == 64, u64, u128>>;
template <Format kFormat>
using Word = std::conditional_t<(kFormat.digits <= 16), u64, u128>;

/// Powers of ten: all that the integer can hold.
template <class T>
inline constexpr auto kPower = [] {
  std::array<T, sizeof(T) == 8 ? 20 : 39> powers{};
  powers[0] = 1;
  for (unsigned i = 1; i < powers.size(); i++) powers[i] = powers[i - 1] * 10;
  return powers;
}();

namespace detail {

/// The three digits of a declet, as a number. All 1024 patterns mean something.
constexpr u16 declet_value(u32 declet) {
  const auto bits = [&](unsigned high, unsigned low) { return declet >> low & ((2u << (high - low)) - 1); };
  // Three small digits as they stand; bits that make a digit large take its upper bits away for others.
  const u32 p_q = bits(9, 8), r = bits(7, 7), s_t = bits(6, 5), u = bits(4, 4), w_x = bits(2, 1),
            y = bits(0, 0);
  u32 first = p_q << 1 | r, second = s_t << 1 | u, third = w_x << 1 | y;
  const u32 large_first = 8 | r, large_second = 8 | u, large_third = 8 | y;
  if (bits(3, 3)) {
    switch (w_x) {
      case 0:
        third = large_third;
        break;
      case 1:
        second = large_second, third = s_t << 1 | y;
        break;
      case 2:
        first = large_first, third = p_q << 1 | y;
        break;
      default:
        third = large_third;
        if (s_t != 2) first = large_first;
        if (s_t != 1) second = large_second;
        if (s_t == 0) third = p_q << 1 | y;
        if (s_t == 1) second = p_q << 1 | u;
    }
  }
  return static_cast<u16>(first * 100 + second * 10 + third);
}

}  // namespace detail

inline constexpr auto kDecletValue = [] {
  std::array<u16, 1024> values{};
  for (u32 i = 0; i < values.size(); i++) values[i] = detail::declet_value(i);
  return values;
}();
/// Canonical: of several declets that mean the same the least.
inline constexpr auto kDeclet = [] {
  std::array<u16, 1000> declets{};
  for (u32 i = 1024; i-- > 0;) declets[kDecletValue[i]] = static_cast<u16>(i);
  return declets;
}();

/// Declets `count` - 1 .. 0 of `bits` as a number; at most six.
constexpr u64 from_declets(u64 bits, int count) {
  u64 value = 0;
  for (int i = count; i-- > 0;) value = value * 1000 + kDecletValue[bits >> (10 * i) & 1023];
  return value;
}
constexpr u64 to_declets(u64 value, int count) {
  u64 bits = 0;
  for (int i = 0; i < count; i++, value /= 1000) bits |= u64{kDeclet[value % 1000]} << (10 * i);
  return bits;
}

template <Format kFormat>
constexpr Decimal decode(Bits<kFormat> bits) {
  constexpr int kTrailing = 10 * kFormat.declets, kContinuation = kFormat.continuation;
  const u32 combination = static_cast<u32>(bits >> kTrailing) & ((u32{1} << (5 + kContinuation)) - 1);
  const u32 lead = combination >> kContinuation;
  Decimal d;
  d.negative = bits >> (kFormat.width() - 1) & 1;
  if constexpr (kFormat.declets <= 6) {
    d.coefficient = from_declets(bits, kFormat.declets);
  } else {
    d.coefficient =
        static_cast<u128>(from_declets(static_cast<u64>(bits >> 60), kFormat.declets - 6)) * kPower<u64>[18] +
        from_declets(static_cast<u64>(bits), 6);
  }
  if (lead >= 30) {
    const bool signalling = combination >> (kContinuation - 1) & 1;
    d.kind = lead == 30 ? Kind::kInfinity : signalling ? Kind::kSignallingNan : Kind::kQuietNan;
    return d;
  }
  const bool large = lead >= 24;
  const u32 digit = large ? 8 | (lead & 1) : lead & 7;
  const u32 top = large ? lead >> 1 & 3 : lead >> 3;
  d.exponent =
      static_cast<int>(top << kContinuation | (combination & ((u32{1} << kContinuation) - 1))) - kFormat.bias;
  d.coefficient += static_cast<u128>(kPower<Word<kFormat>>[3 * kFormat.declets]) * digit;
  return d;
}

/// Canonical. Of an infinity or NaN too long digits lose their first ones.
template <Format kFormat>
constexpr Bits<kFormat> encode(const Decimal& d) {
  using B = Bits<kFormat>;
  constexpr int kTrailing = 10 * kFormat.declets, kContinuation = kFormat.continuation;
  u32 digit;
  B bits;
  if constexpr (kFormat.declets <= 6) {
    constexpr u64 kUnit = kPower<u64>[3 * kFormat.declets];
    const u64 coefficient =
        d.finite() ? static_cast<u64>(d.coefficient) : static_cast<u64>(d.coefficient % kUnit);
    digit = static_cast<u32>(coefficient / kUnit);
    bits = static_cast<B>(to_declets(coefficient % kUnit, kFormat.declets));
  } else {
    constexpr u64 kUnit = kPower<u64>[3 * (kFormat.declets - 6)];
    const u64 high = static_cast<u64>(d.coefficient / kPower<u64>[18]),
              low = static_cast<u64>(d.coefficient % kPower<u64>[18]);
    digit = static_cast<u32>(high / kUnit);
    bits = static_cast<B>(to_declets(high % kUnit, kFormat.declets - 6)) << 60 | to_declets(low, 6);
  }
  u32 combination;
  if (d.finite()) {
    const u32 biased = static_cast<u32>(d.exponent + kFormat.bias);
    const u32 top = biased >> kContinuation, rest = biased & ((u32{1} << kContinuation) - 1);
    const u32 lead = digit >= 8 ? 24 | top << 1 | (digit & 1) : top << 3 | digit;
    combination = lead << kContinuation | rest;
  } else {
    combination = (d.infinite() ? 30u : 31u) << kContinuation | u32{d.signalling()} << (kContinuation - 1);
  }
  return bits | static_cast<B>(combination) << kTrailing |
         static_cast<B>(d.negative) << (kFormat.width() - 1);
}

}  // namespace baton::cpu::dfp
