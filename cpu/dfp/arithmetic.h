// SPDX-License-Identifier: Apache-2.0
// Decimal arithmetic on numbers and infinities by Intel's library, and around it what POWER6 asks for besides
// (POWER6-ISA 4.12): three more rounding modes, FR, and the wrapped results of enabled exceptions.
#pragma once

#include <algorithm>

#include "cpu/dfp/dfp.h"
#include "cpu/dfp/library.h"
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
template <Format kF>
using Result = Outcome<Word<kF>>;

/// An encoded result and its flags, as the library has them.
template <class B>
struct Rounded {
  B value{};
  unsigned flags = 0;
  bool up = false;  ///< FR: the magnitude is greater than the exact one.
};

/// As below, of an inexact result, `first` being that of the mode, or of rounding to zero where the library
/// does not have the mode.
template <Format kF, class Run, class Half>
[[gnu::noinline]] Rounded<Bits<kF>> choose(Rounding rounding, Rounded<Bits<kF>> first, const Run& run,
                                           const Half& at_most_half) {
  const auto in = [&](unsigned mode) {
    Rounded<Bits<kF>> r;
    r.value = run(mode, &r.flags);
    return r;
  };
  const bool lacking = rounding > Rounding::kHalfAway;
  const auto truncated = lacking || rounding == Rounding::kZero ? first : in(BID_ROUNDING_TO_ZERO);
  const auto number = [&] { return unpack<kF>(truncated.value); };
  auto result = first;
  if (rounding == Rounding::kAway || (rounding == Rounding::kShorter && number().coefficient % 5 == 0)) {
    result = in(number().negative ? BID_ROUNDING_DOWN : BID_ROUNDING_UP);
  } else if (rounding == Rounding::kHalfZero) {
    const auto nearest = in(BID_ROUNDING_TIES_AWAY);
    const bool below = nearest.value == truncated.value;
    const bool beyond = truncated.flags & BID_OVERFLOW_EXCEPTION;  // truncated to the greatest number
    if (!below && (beyond || !at_most_half(number()))) result = nearest;
  }
  result.up = result.value != truncated.value;
  return result;
}

/// The result of `run(mode, flags)` rounded to the format kF in any mode. Those that the library does not
/// have give one of the two neighbours that others give; `at_most_half(truncated)` says for rounding to
/// nearest with halves to zero whether the exact result lies not more than half a unit of the last digit
/// beyond the truncated one; it is asked only if it is half a unit or more.
template <Format kF, class Run, class Half>
[[gnu::always_inline]] inline Rounded<Bits<kF>> rounded(Rounding rounding, const Run& run,
                                                        const Half& at_most_half) {
  static constexpr unsigned kModes[] = {BID_ROUNDING_TO_NEAREST, BID_ROUNDING_TO_ZERO,   BID_ROUNDING_UP,
                                        BID_ROUNDING_DOWN,       BID_ROUNDING_TIES_AWAY, BID_ROUNDING_TO_ZERO,
                                        BID_ROUNDING_TO_ZERO,    BID_ROUNDING_TO_ZERO};
  Rounded<Bits<kF>> r;
  r.value = run(kModes[static_cast<u32>(rounding)], &r.flags);
  if (!(r.flags & BID_INEXACT_EXCEPTION)) [[likely]]
    return r;
  return choose<kF>(rounding, r, run, at_most_half);
}

/// FPSCR bits for the library's flags; `invalid` is the cause of an invalid operation.
template <class B>
u64 status(const Rounded<B>& r, u64 invalid) {
  return (r.flags & BID_INVALID_EXCEPTION ? invalid : 0) |
         (r.flags & BID_ZERO_DIVIDE_EXCEPTION ? fpscr::ZX : 0) |
         (r.flags & BID_OVERFLOW_EXCEPTION ? fpscr::OX : 0) |
         (r.flags & BID_UNDERFLOW_EXCEPTION ? fpscr::UX : 0) |
         (r.flags & BID_INEXACT_EXCEPTION ? fpscr::XX | fpscr::FI : 0) | (r.up ? fpscr::FR : 0);
}

/// Not zero, and smaller than every normal number.
template <Format kF, class W>
bool subnormal(const Number<W>& n) {
  return n.finite() && n.coefficient && n.exponent < kF.first_normal() &&
         n.exponent + digits(n.coefficient) - 1 < kF.first_normal();
}

/// The enabled exception for which the exponent of the result is adjusted: OX, UX or 0. An exact result can
/// be one as well.
template <Format kF, class W>
u64 wrapping(u64 fpscr, const Outcome<W>& out) {
  if (out.flags & fpscr::OX) return fpscr & fpscr::OE ? fpscr::OX : 0;
  if (!(fpscr & fpscr::UE)) return 0;
  return out.flags & fpscr::UX || subnormal<kF>(out.value) ? fpscr::UX : 0;
}

inline Rounding current_rounding(u64 fpscr) { return static_cast<Rounding>(fpscr >> 32 & 7); }

// ---- whether a result is more than half a unit beyond the truncated one

/// Half a unit of the last digit.
template <Format kF>
Bits<kF> half_unit(const NumberOf<kF>& of) {
  return pack<kF>({.exponent = of.exponent - 1, .coefficient = 5});
}

/// The result stands for `exact`: the difference has no more digits than that.
template <Format kF>
bool at_most_half(NumberOf<kF> exact, NumberOf<kF> truncated) {
  unsigned flags = 0;
  exact.negative = truncated.negative = false;
  const auto rest = Library<kF>::subtract(pack<kF>(exact), pack<kF>(truncated), BID_ROUNDING_TO_ZERO, &flags);
  return Library<kF>::at_most(rest, half_unit<kF>(truncated), &flags);
}

template <Op kOp, Format kF>
[[gnu::always_inline]] inline Bits<kF> run(const NumberOf<kF>& a, const NumberOf<kF>& b, unsigned mode,
                                           unsigned* flags) {
  const Bits<kF> x = pack<kF>(a), y = pack<kF>(b);
  switch (kOp) {
    case Op::kAdd:
      return Library<kF>::add(x, y, mode, flags);
    case Op::kSubtract:
      return Library<kF>::subtract(x, y, mode, flags);
    case Op::kMultiply:
      return Library<kF>::multiply(x, y, mode, flags);
    case Op::kDivide:
      return Library<kF>::divide(x, y, mode, flags);
  }
  __builtin_unreachable();
}

/// As above, for the operation on a and b.
template <Op kOp, Format kF>
bool at_most_half(NumberOf<kF> a, NumberOf<kF> b, NumberOf<kF> truncated) {
  using L = Library<kF>;
  unsigned flags = 0;
  if constexpr (kOp == Op::kAdd || kOp == Op::kSubtract) {
    // Both the sum and the half are multiples of the last place of the operands. With one of that less,
    // halves away from zero are halves to zero.
    const bool subtract = kOp == Op::kSubtract, second = b.exponent < a.exponent;
    NumberOf<kF>& low = second ? b : a;
    const bool negative = low.negative != (second && subtract);
    if (negative == truncated.negative) {
      low.coefficient--;
    } else if (++low.coefficient == kPower<Word<kF>>[kF.digits]) {
      low.coefficient /= 10;
      low.exponent++;
    }
    return run<kOp, kF>(a, b, BID_ROUNDING_TIES_AWAY, &flags) == pack<kF>(truncated);
  }
  // Magnitudes, with exponents that take the remainder, which is a number of the format, out of all limits.
  a.negative = b.negative = false;
  const auto scaled = [&](int exponent, bool negative) {
    return pack<kF>({.negative = negative, .exponent = exponent, .coefficient = truncated.coefficient});
  };
  if constexpr (kOp == Op::kMultiply) {
    truncated.exponent -= a.exponent + b.exponent;
    a.exponent = b.exponent = 0;
    const auto rest = L::multiply_add(pack<kF>(a), pack<kF>(b), scaled(truncated.exponent, true),
                                      BID_ROUNDING_TO_ZERO, &flags);
    return L::at_most(rest, half_unit<kF>(truncated), &flags);
  } else {
    a.exponent -= b.exponent + truncated.exponent;
    b.exponent = 0;
    const auto rest =
        L::multiply_add(pack<kF>(b), scaled(0, true), pack<kF>(a), BID_ROUNDING_TO_ZERO, &flags);
    return L::at_most(L::add(rest, rest, BID_ROUNDING_UP, &flags), pack<kF>(b), &flags);
  }
}

// ---- the operations

template <Op kOp, class W>
u64 invalid_cause(const Number<W>& a) {
  switch (kOp) {
    case Op::kAdd:
    case Op::kSubtract:
      return fpscr::VXISI;
    case Op::kMultiply:
      return fpscr::VXIMZ;
    case Op::kDivide:
      return a.infinite() ? fpscr::VXIDI : fpscr::VXZDZ;
  }
  __builtin_unreachable();
}

template <Op kOp, Format kF>
[[gnu::always_inline]] inline Result<kF> unwrapped(u64 fpscr, const NumberOf<kF>& a, const NumberOf<kF>& b) {
  const auto r = rounded<kF>(
      current_rounding(fpscr),
      [&](unsigned mode, unsigned* flags) { return run<kOp, kF>(a, b, mode, flags); },
      [&](const NumberOf<kF>& truncated) { return at_most_half<kOp, kF>(a, b, truncated); });
  Result<kF> out{unpack<kF>(r.value)};
  if (r.flags) [[unlikely]]
    out.flags = status(r, invalid_cause<kOp>(a));
  return out;
}

/// The result with an adjusted exponent: the operation where there is room, and then as far away as it has to
/// be.
template <Op kOp, Format kF>
[[gnu::noinline]] Result<kF> wrapped(u64 fpscr, u64 exception, NumberOf<kF> a, NumberOf<kF> b) {
  int moved;
  if constexpr (kOp == Op::kMultiply || kOp == Op::kDivide) {
    moved = kOp == Op::kMultiply ? a.exponent + b.exponent : a.exponent - b.exponent;
    a.exponent = b.exponent = 0;
  } else {
    // The exponent that decides; how far away the other is does not matter outside of the format's range, for
    // an operand so small only makes the sum inexact, and one so great is a zero.
    moved = exception == fpscr::OX ? std::max(a.exponent, b.exponent) : std::min(a.exponent, b.exponent);
    for (auto* n : {&a, &b}) n->exponent = std::clamp(n->exponent - moved, kF.least(), kF.greatest);
  }
  Result<kF> out = unwrapped<kOp, kF>(fpscr, a, b);
  out.value.exponent += moved + (exception == fpscr::OX ? -kF.wrap : kF.wrap);
  out.flags |= exception;
  return out;
}

/// a op b; neither is a NaN.
template <Op kOp, Format kF>
[[gnu::always_inline]] inline Result<kF> compute(u64 fpscr, const NumberOf<kF>& a, const NumberOf<kF>& b) {
  Result<kF> out = unwrapped<kOp, kF>(fpscr, a, b);
  if (fpscr & (fpscr::OE | fpscr::UE)) [[unlikely]] {
    if (const u64 exception = wrapping<kF>(fpscr, out)) return wrapped<kOp, kF>(fpscr, exception, a, b);
  }
  return out;
}

/// -1, 0, 1 as a is less than, equal to, greater than b; neither is a NaN.
template <Format kF>
int compare(const NumberOf<kF>& a, const NumberOf<kF>& b) {
  unsigned flags = 0;
  const auto x = pack<kF>(a), y = pack<kF>(b);
  return Library<kF>::less(x, y, &flags) ? -1 : !Library<kF>::equal(x, y, &flags);
}

/// `b` with the exponent of `quantum`; VXCVI if that takes more digits than there are. Neither is a NaN.
template <Format kF>
Result<kF> quantize(const NumberOf<kF>& quantum, const NumberOf<kF>& b, Rounding rounding) {
  const auto x = pack<kF>(b), y = pack<kF>(quantum);
  const auto r = rounded<kF>(
      rounding, [&](unsigned mode, unsigned* flags) { return Library<kF>::quantize(x, y, mode, flags); },
      [&](const NumberOf<kF>& truncated) { return at_most_half<kF>(b, truncated); });
  return {unpack<kF>(r.value), status(r, fpscr::VXCVI)};
}

/// `b` as an integer whose exponent is not negative; no NaN.
template <Format kF>
Result<kF> integral(const NumberOf<kF>& b, Rounding rounding) {
  const auto x = pack<kF>(b);
  const auto r = rounded<kF>(
      rounding, [&](unsigned mode, unsigned* flags) { return Library<kF>::round(x, mode, flags); },
      [&](const NumberOf<kF>& truncated) { return at_most_half<kF>(b, truncated); });
  return {unpack<kF>(r.value), status(r, 0)};
}

/// `b`, which is no NaN, in the next narrower format.
template <Format kF>
Result<kF> narrow(u64 fpscr, const NumberOf<kF>& b) {
  using N = Narrowing<kF>;
  static constexpr Format kNarrow = N::kNarrow;
  const auto unwrapped = [fpscr](const NumberOf<kF>& value) -> Result<kF> {
    const auto x = pack<kF>(value);
    const auto r = rounded<kNarrow>(
        current_rounding(fpscr), [&](unsigned mode, unsigned* flags) { return N::narrow(x, mode, flags); },
        [&](const NumberOf<kNarrow>& t) {
          return at_most_half<kF>(value, {t.negative, t.kind, t.exponent, t.coefficient});
        });
    const auto n = unpack<kNarrow>(r.value);
    return {{n.negative, n.kind, n.exponent, n.coefficient}, status(r, 0)};
  };
  Result<kF> out = unwrapped(b);
  const u64 exception = wrapping<kNarrow>(fpscr, out);
  if (!exception) return out;
  out = unwrapped({b.negative, b.kind, 0, b.coefficient});
  out.value.exponent += b.exponent + (exception == fpscr::OX ? -kF.narrowing_wrap : kF.narrowing_wrap);
  out.flags |= exception;
  out.source_format = true;
  return out;
}

}  // namespace baton::cpu::dfp
