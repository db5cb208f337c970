// SPDX-License-Identifier: Apache-2.0
// The decimal interchange formats with densely packed digits (POWER6-ISA 4.12): to numbers and back.
#pragma once

#include <array>
#include <type_traits>

#include "cpu/dfp/integer.h"

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

/// Integers that hold an encoding, and a coefficient with room to spare.
template <Format kFormat>
using Bits =
    std::conditional_t<kFormat.width() == 32, u32, std::conditional_t<kFormat.width() == 64, u64, u128>>;
template <Format kFormat>
using Word = std::conditional_t<(kFormat.digits <= 16), u64, u128>;

/// (-1)^negative * coefficient * 10^exponent. Of an infinity or a NaN the coefficient is the trailing
/// significand, and the exponent means nothing.
template <class W>
struct Number {
  bool negative = false;
  Kind kind = Kind::kFinite;
  int exponent = 0;
  W coefficient = 0;

  bool finite() const { return kind == Kind::kFinite; }
  bool infinite() const { return kind == Kind::kInfinity; }
  bool nan() const { return kind >= Kind::kQuietNan; }
  bool signalling() const { return kind == Kind::kSignallingNan; }
  bool zero() const { return finite() && coefficient == 0; }
};
template <Format kFormat>
using NumberOf = Number<Word<kFormat>>;

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

/// Two, five or six declets as a number and back.
template <int kCount>
constexpr u64 from_declets(u64 bits) {
  const auto at = [&](int i) { return u64{kDecletValue[bits >> (10 * i) & 1023]}; };
  const u64 low = at(1) * 1000 + at(0);
  if constexpr (kCount == 2) return low;
  const u64 middle = at(3) * 1000 + at(2);
  const u64 high = kCount == 5 ? at(4) : at(5) * 1000 + at(4);
  return (high * 1000000 + middle) * 1000000 + low;
}
template <int kCount>
constexpr u64 to_declets(u64 value) {
  const auto six = [](u32 digits) {
    return static_cast<u64>(kDeclet[digits / 1000]) << 10 | kDeclet[digits % 1000];
  };
  if constexpr (kCount == 2) return six(static_cast<u32>(value));
  // 32-bit divisions as soon as they do.
  const u32 high = static_cast<u32>(value / 1000000000), low = static_cast<u32>(value % 1000000000);
  const u64 last = u64{kDeclet[low / 1000000]} << 20 | six(low % 1000000);
  if constexpr (kCount == 5) return six(high) << 30 | last;
  return (u64{kDeclet[high / 1000000]} << 20 | six(high % 1000000)) << 30 | last;
}

template <Format kFormat>
[[gnu::always_inline]] inline NumberOf<kFormat> decode(Bits<kFormat> bits) {
  constexpr int kTrailing = 10 * kFormat.declets, kContinuation = kFormat.continuation;
  using W = Word<kFormat>;
  const u32 combination = static_cast<u32>(bits >> kTrailing) & ((u32{1} << (5 + kContinuation)) - 1);
  const u32 lead = combination >> kContinuation;
  NumberOf<kFormat> n;
  n.negative = bits >> (kFormat.width() - 1) & 1;
  if constexpr (kFormat.declets <= 6) {
    n.coefficient = from_declets<kFormat.declets>(bits);
  } else {
    n.coefficient = static_cast<W>(from_declets<5>(static_cast<u64>(bits >> 60))) * kPower<u64>[18] +
                    from_declets<6>(static_cast<u64>(bits));
  }
  if (lead >= 30) [[unlikely]] {
    const bool signalling = combination >> (kContinuation - 1) & 1;
    n.kind = lead == 30 ? Kind::kInfinity : signalling ? Kind::kSignallingNan : Kind::kQuietNan;
    return n;
  }
  const bool large = lead >= 24;
  const u32 digit = large ? 8 | (lead & 1) : lead & 7;
  const u32 top = large ? lead >> 1 & 3 : lead >> 3;
  n.exponent =
      static_cast<int>(top << kContinuation | (combination & ((u32{1} << kContinuation) - 1))) - kFormat.bias;
  n.coefficient += kPower<W>[3 * kFormat.declets] * digit;
  return n;
}

/// Canonical. Of an infinity or NaN too long digits lose their first ones.
template <Format kFormat, class W>
[[gnu::always_inline]] inline Bits<kFormat> encode(const Number<W>& n) {
  using B = Bits<kFormat>;
  constexpr int kTrailing = 10 * kFormat.declets, kContinuation = kFormat.continuation;
  u32 digit;
  B bits;
  if constexpr (kFormat.declets <= 6) {
    constexpr u64 kUnit = kPower<u64>[3 * kFormat.declets];
    const u64 coefficient = static_cast<u64>(n.finite() ? n.coefficient : n.coefficient % kUnit);
    const u64 rest = coefficient % kUnit;
    digit = static_cast<u32>(coefficient / kUnit);
    bits = static_cast<B>(to_declets<kFormat.declets>(rest));
  } else {
    constexpr u64 kUnit = kPower<u64>[3 * (kFormat.declets - 6)];
    const auto [high, low] = divide(static_cast<u128>(n.coefficient), kPower<u64>[18]);
    digit = static_cast<u32>(high / kUnit);
    bits = static_cast<B>(to_declets<kFormat.declets - 6>(high % kUnit)) << 60 | to_declets<6>(low);
  }
  u32 combination;
  if (n.finite()) [[likely]] {
    const u32 biased = static_cast<u32>(n.exponent + kFormat.bias);
    const u32 top = biased >> kContinuation, rest = biased & ((u32{1} << kContinuation) - 1);
    const u32 lead = digit >= 8 ? 24 | top << 1 | (digit & 1) : top << 3 | digit;
    combination = lead << kContinuation | rest;
  } else {
    combination = (n.infinite() ? 30u : 31u) << kContinuation | u32{n.signalling()} << (kContinuation - 1);
  }
  return bits | static_cast<B>(combination) << kTrailing |
         static_cast<B>(n.negative) << (kFormat.width() - 1);
}

}  // namespace baton::cpu::dfp
