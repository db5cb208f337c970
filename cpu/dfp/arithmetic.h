// SPDX-License-Identifier: Apache-2.0
// Decimal arithmetic on finite numbers: exact, then rounded once, in any of the eight modes
// (POWER6-ISA 4.12).
#pragma once

#include <algorithm>

#include "cpu/dfp/format.h"
#include "cpu/fpu/fpu.h"

namespace baton::cpu::dfp {

/// FPSCR[DRN].
enum class Rounding : u32 { kHalfEven, kZero, kUp, kDown, kHalfAway, kHalfZero, kAway, kShorter };

/// What an operation gives and the FPSCR bits that it sets: exceptions, FR, FI.
template <class W>
struct Outcome {
  Number<W> value;
  u64 flags = 0;
  bool source_format = false;  ///< A wrapped result of narrowing stays in the format of its operand.
};

/// An intermediate result: coefficient * 10^exponent, and if `rest` something more that is less than
/// 10^exponent. With a rest the coefficient has at least two digits more than the precision.
template <class Word>
struct Exact {
  bool negative = false;
  int exponent = 0;
  Word coefficient = 0;
  bool rest = false;
};

/// Whether the coefficient has to be incremented; half tells how what was cut off compares with a half.
template <class W>
bool rounds_up(Rounding rounding, bool negative, W coefficient, int half) {
  switch (rounding) {
    case Rounding::kHalfEven:
      return half > 0 || (half == 0 && coefficient & 1);
    case Rounding::kZero:
      return false;
    case Rounding::kUp:
      return !negative;
    case Rounding::kDown:
      return negative;
    case Rounding::kHalfAway:
      return half >= 0;
    case Rounding::kHalfZero:
      return half > 0;
    case Rounding::kAway:
      return true;
    case Rounding::kShorter:
      return divided(coefficient, W{5}).remainder == 0;
  }
  return false;
}

/// A coefficient without its last digits, and FR, FI, XX of that.
template <class Word>
struct Cut {
  Word coefficient;
  u64 flags;
};
template <class Word>
Cut<Word> cut(Word value, int count, bool rest, bool negative, Rounding rounding) {
  if (count <= 0 && !rest) return {value, 0};
  Word kept = 0;
  int half = -1;
  if (count < static_cast<int>(kPower<Word>.size())) {
    const Word unit = kPower<Word>[static_cast<unsigned>(count)];
    const auto [quotient, dropped] = divided(value, unit);
    kept = quotient;
    if (!dropped && !rest) return {kept, 0};
    half = dropped < unit / 2 ? -1 : dropped > unit / 2 || rest ? 1 : 0;
  } else if (!value) {
    return {0, 0};
  }
  const bool up = rounds_up(rounding, negative, kept, half);
  return {static_cast<Word>(kept + up), fpscr::XX | fpscr::FI | (up ? fpscr::FR : 0)};
}

/// Takes zeros off the end until the exponent is `ideal`.
template <class Word>
void strip(Word& coefficient, int& exponent, int ideal) {
  for (unsigned step : {16u, 8u, 4u, 2u, 1u}) {
    while (ideal - exponent >= static_cast<int>(step)) {
      if (coefficient & ((Word{1} << step) - 1)) break;  // not even a multiple of that power of two
      const auto [quotient, remainder] = divided(coefficient, kPower<Word>[step]);
      if (remainder) break;
      coefficient = quotient;
      exponent += static_cast<int>(step);
    }
  }
}

/// As below, for what has to be changed.
template <Format kTarget, class Word, Format kSource>
[[gnu::noinline]] Outcome<Word> round_any(u64 fpscr, Exact<Word> x, int ideal) {
  constexpr bool kNarrowing = kSource.digits != kTarget.digits;
  constexpr int kWrap = kNarrowing ? kSource.narrowing_wrap : kTarget.wrap;
  const auto rounding = static_cast<Rounding>(fpscr >> 32 & 7);
  Outcome<Word> out;
  out.value.negative = x.negative;
  if (!x.coefficient) {
    out.value.exponent = std::clamp(ideal, kTarget.least(), kTarget.greatest);
    return out;
  }
  const int length = digits(x.coefficient);
  const bool tiny = x.exponent + length - 1 < kTarget.first_normal();
  int drop = length - kTarget.digits;
  int wrap = 0;
  if (tiny) {
    if (fpscr & fpscr::UE) {
      out.flags |= fpscr::UX;
      wrap = kWrap;
    } else {
      drop = std::max(drop, kTarget.least() - x.exponent);
    }
  }
  drop = std::max(drop, 0);
  auto [coefficient, flags] = cut(x.coefficient, drop, x.rest, x.negative, rounding);
  int exponent = x.exponent + drop;
  if (coefficient == kPower<Word>[kTarget.digits]) {
    coefficient /= 10;
    exponent++;
  }
  if (!tiny && exponent + digits(coefficient) - 1 > kTarget.last_normal()) {
    out.flags |= fpscr::OX;
    if (!(fpscr & fpscr::OE)) {
      const bool finite = rounding == Rounding::kZero || rounding == Rounding::kShorter ||
                          rounding == (x.negative ? Rounding::kUp : Rounding::kDown);
      out.value.kind = finite ? Kind::kFinite : Kind::kInfinity;
      if (finite) {
        out.value.exponent = kTarget.greatest;
        out.value.coefficient = kPower<Word>[kTarget.digits] - 1;
      }
      // FR is undefined here.
      out.flags |= fpscr::XX | fpscr::FI | (finite ? 0 : fpscr::FR);
      return out;
    }
    wrap = -kWrap;
  }
  exponent += wrap;
  ideal += wrap;
  out.source_format = kNarrowing && wrap;
  out.flags |= flags;
  if (flags) {
    if (tiny) out.flags |= fpscr::UX;
  } else {
    if (!out.source_format) ideal = std::clamp(ideal, kTarget.least(), kTarget.greatest);
    if (exponent < ideal) strip(coefficient, exponent, ideal);
  }
  // Zeros at the end, towards the ideal exponent or because the exponent is too great.
  int pad = 0;
  if (!flags && exponent > ideal) pad = std::min(exponent - ideal, kTarget.digits - digits(coefficient));
  if (!out.source_format) pad = std::max(pad, exponent - kTarget.greatest);
  if (pad > 0) {
    coefficient *= kPower<Word>[static_cast<unsigned>(pad)];
    exponent -= pad;
  }
  out.value.exponent = exponent;
  out.value.coefficient = coefficient;
  return out;
}

/// The delivered result. `ideal` is the exponent that an exact one comes as near to as it can. Narrowing has
/// a source format other than the target.
template <Format kTarget, class Word, Format kSource = kTarget>
[[gnu::always_inline]] inline Outcome<Word> round(u64 fpscr, const Exact<Word>& x, int ideal) {
  if (x.exponent == ideal && x.coefficient < kPower<Word>[kTarget.digits] &&
      x.exponent >= kTarget.first_normal() && x.exponent <= kTarget.greatest) [[likely]] {
    // As it stands. There is no rest with so few digits.
    return {{x.negative, Kind::kFinite, x.exponent, x.coefficient}};
  }
  return round_any<kTarget, Word, kSource>(fpscr, x, ideal);
}

/// The sign of a zero sum of numbers with different signs.
inline bool cancelled_sign(u64 fpscr) { return static_cast<Rounding>(fpscr >> 32 & 7) == Rounding::kDown; }

/// high + low or high - low, both times 10^exponent; `rest` belongs to `low`.
template <class W>
[[gnu::always_inline]] inline Exact<W> sum(u64 fpscr, bool negative, bool subtract, W high, W low,
                                           int exponent, bool rest = false) {
  if (!subtract) return {negative, exponent, high + low, rest};
  if (high > low) return {negative, exponent, high - low - rest, rest};
  return {high == low ? cancelled_sign(fpscr) : !negative, exponent, low - high};
}

/// The sum of numbers with different exponents, the first one greater.
template <class W>
[[gnu::noinline]] Exact<W> aligned_sum(u64 fpscr, const Number<W>& a, const Number<W>& b) {
  constexpr int kRoom = sizeof(W) == 8 ? 19 : 38;  // all digits that fit, and a carry does too
  const bool differ = a.negative != b.negative;
  if (!a.coefficient) {
    const bool negative = !b.coefficient && differ ? cancelled_sign(fpscr) : b.negative;
    return {negative, b.exponent, b.coefficient};
  }
  if (!b.coefficient) return {a.negative, a.exponent, a.coefficient};
  const int distance = a.exponent - b.exponent, room = std::min(distance, kRoom - digits(a.coefficient));
  const W high = a.coefficient * kPower<W>[static_cast<unsigned>(room)];
  const int below = distance - room;
  if (below <= 0) return sum(fpscr, a.negative, differ, high, b.coefficient, b.exponent);
  // What lies below the last digit of `high` counts only as something.
  Divided<W> low{0, 1};
  if (below < kRoom) low = divided(b.coefficient, kPower<W>[static_cast<unsigned>(below)]);
  return sum(fpscr, a.negative, differ, high, low.quotient, b.exponent + below, low.remainder != 0);
}

template <Format kFormat, class W = Word<kFormat>>
[[gnu::always_inline]] inline Outcome<W> add(u64 fpscr, const Number<W>& a, const Number<W>& b) {
  const Exact<W> exact = a.exponent == b.exponent  ? sum(fpscr, a.negative, a.negative != b.negative,
                                                         a.coefficient, b.coefficient, a.exponent)
                         : a.exponent > b.exponent ? aligned_sum(fpscr, a, b)
                                                   : aligned_sum(fpscr, b, a);
  return round<kFormat, W>(fpscr, exact, std::min(a.exponent, b.exponent));
}

/// A long coefficient cut to two or more digits than any precision needs.
inline Exact<u64> shorten(bool negative, int exponent, u128 coefficient) {
  if (coefficient < kPower<u64>[19]) return {negative, exponent, static_cast<u64>(coefficient)};
  const int count = digits_of_bits(bit_width(coefficient)) + 1 - 19;
  const auto [quotient, remainder] = divide(coefficient, kPower<u64>[static_cast<unsigned>(count)]);
  return {negative, exponent + count, quotient, remainder != 0};
}
inline Exact<u128> shorten(bool negative, int exponent, U256 coefficient) {
  if (!coefficient.high && coefficient.low < kPower<u128>[38]) return {negative, exponent, coefficient.low};
  const int count = digits_of_bits(bit_width(coefficient)) + 1 - 38;
  const auto [quotient, remainder] = divide(coefficient, kPower<u128>[static_cast<unsigned>(count)]);
  return {negative, exponent + count, quotient, remainder != 0};
}

template <Format kFormat, class W = Word<kFormat>>
[[gnu::always_inline]] inline Outcome<W> multiply(u64 fpscr, const Number<W>& a, const Number<W>& b) {
  const int exponent = a.exponent + b.exponent;
  const auto product = multiply(a.coefficient, b.coefficient);
  return round<kFormat>(fpscr, shorten(a.negative != b.negative, exponent, product), exponent);
}

/// b is not zero.
template <Format kFormat, class W = Word<kFormat>>
[[gnu::always_inline]] inline Outcome<W> divide(u64 fpscr, const Number<W>& a, const Number<W>& b) {
  const bool negative = a.negative != b.negative;
  const int ideal = a.exponent - b.exponent;
  if (!a.coefficient) return round<kFormat, W>(fpscr, {negative}, ideal);
  // A dividend that makes one or two digits more than the precision: enough to tell, with the remainder.
  const W dividend = a.coefficient, divisor = b.coefficient;
  const int fill = kFormat.digits - digits(dividend), more = digits(divisor) + 1;
  const auto [quotient, remainder] =
      divide(multiply(static_cast<W>(dividend * kPower<W>[static_cast<unsigned>(fill)]),
                      kPower<W>[static_cast<unsigned>(more)]),
             divisor);
  return round<kFormat, W>(fpscr, {negative, ideal - fill - more, quotient, remainder != 0}, ideal);
}

/// -1, 0, 1 as a is less than, equal to, greater than b.
template <class W>
int compare(const Number<W>& a, const Number<W>& b) {
  W x = a.coefficient, y = b.coefficient;
  if (!x || !y) return x ? (a.negative ? -1 : 1) : y ? (b.negative ? 1 : -1) : 0;
  if (a.negative != b.negative) return a.negative ? -1 : 1;
  const int distance = a.exponent - b.exponent, top = digits(x) - digits(y) + distance;
  int magnitude = top;
  if (top == 0) {
    (distance > 0 ? x : y) *= kPower<W>[static_cast<unsigned>(std::abs(distance))];
    magnitude = x < y ? -1 : x > y;
  }
  if (magnitude == 0) return 0;
  return (magnitude > 0) != a.negative ? 1 : -1;
}

/// `value` with another exponent; false if that takes more digits than there are.
template <Format kFormat, class W = Word<kFormat>>
bool quantize(const Number<W>& value, int exponent, Rounding rounding, Outcome<W>& out) {
  const W coefficient = value.coefficient;
  out.value = value;
  out.value.exponent = exponent;
  const int distance = value.exponent - exponent;
  if (!coefficient) return true;
  if (distance > 0) {
    if (digits(coefficient) + distance > kFormat.digits) return false;
    out.value.coefficient = coefficient * kPower<W>[static_cast<unsigned>(distance)];
    return true;
  }
  const auto [kept, flags] = cut(coefficient, -distance, false, value.negative, rounding);
  out.value.coefficient = kept;
  out.flags |= flags;
  return true;
}

}  // namespace baton::cpu::dfp
