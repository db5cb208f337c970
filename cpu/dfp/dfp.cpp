// SPDX-License-Identifier: Apache-2.0
#include "cpu/dfp/dfp.h"

#include "cpu/dfp/arithmetic.h"
#include "cpu/semantics/semantics.h"

namespace baton::cpu::dfp {
namespace {

template <bool kQuad>
inline constexpr Format kFormat = kQuad ? kExtended : kLong;

template <bool kQuad>
Bits<kFormat<kQuad>> bits(const State& s, u32 r) {
  if constexpr (kQuad)
    return static_cast<u128>(s.fpr[r]) << 64 | s.fpr[r + 1];
  else
    return s.fpr[r];
}
template <bool kQuad>
void put_bits(State& s, u32 r, Bits<kFormat<kQuad>> value) {
  if constexpr (kQuad) {
    s.fpr[r] = static_cast<u64>(value >> 64);
    s.fpr[r + 1] = static_cast<u64>(value);
  } else {
    s.fpr[r] = value;
  }
}
template <bool kQuad>
NumberOf<kFormat<kQuad>> get(const State& s, u32 r) {
  return decode<kFormat<kQuad>>(bits<kQuad>(s, r));
}
template <bool kQuad>
void put(State& s, u32 r, const NumberOf<kFormat<kQuad>>& d) {
  put_bits<kQuad>(s, r, encode<kFormat<kQuad>>(d));
}

/// FPRF of a result.
template <Format kF, class W>
u64 classify(const Number<W>& n) {
  u64 code;
  if (!n.finite()) [[unlikely]] {
    if (n.nan())
      code = n.signalling() ? 0x01 : 0x11;
    else
      code = n.negative ? 0x09 : 0x05;
  } else if (!n.coefficient) {
    code = n.negative ? 0x12 : 0x02;
  } else if (subnormal<kF>(n)) {
    code = n.negative ? 0x18 : 0x14;
  } else {
    code = n.negative ? 0x08 : 0x04;
  }
  return code << 12;
}

/// The default NaN.
template <class W>
Outcome<W> invalid(u64 cause) {
  return {{.kind = Kind::kQuietNan}, cause};
}
template <class W>
Outcome<W> infinity(bool negative, u64 flags = 0) {
  return {{.negative = negative, .kind = Kind::kInfinity}, flags};
}

/// Whether the outcome is a NaN because an operand is one: the first signalling one, else the first.
template <class W>
bool propagates(const Number<W>& a, const Number<W>& b, Outcome<W>& out) {
  if (!a.nan() && !b.nan()) [[likely]]
    return false;
  out.value = a.signalling() ? a : b.signalling() ? b : a.nan() ? a : b;
  out.value.kind = Kind::kQuietNan;
  if (a.signalling() || b.signalling()) out.flags = fpscr::VXSNAN;
  return true;
}
template <class W>
bool propagates(const Number<W>& b, Outcome<W>& out) {
  return propagates(b, b, out);
}

/// Writes FPSCR and, unless an enabled exception forbids it, the target by `store`, which gives the FPRF to
/// be set or ~0.
template <class Store>
Flow complete(State& s, u64 flags, Store store) {
  const u64 exceptions = flags & fpscr::kExceptions;
  u64 f = s.fpscr & ~(fpscr::FR | fpscr::FI);
  if (exceptions & ~f) f |= fpscr::FX;
  f |= flags;
  const bool suppressed =
      (exceptions & fpscr::kInvalid && f & fpscr::VE) || (exceptions & fpscr::ZX && f & fpscr::ZE);
  if (!suppressed) {
    const u64 fprf = store();
    if (fprf != ~u64{0}) f = (f & ~fpscr::FPRF) | fprf;
  }
  s.fpscr = fpu::summarise(f);
  // Only what this instruction did counts for the interrupt, not what was pending before.
  const bool enabled =
      fpu::summarise(exceptions | (f & (fpscr::VE | fpscr::OE | fpscr::UE | fpscr::ZE | fpscr::XE))) &
      fpscr::FEX;
  if (enabled && fpu::interrupt_due(s)) return sem::raise(s, Vector::kProgram, program::kFloat);
  return Flow::kNext;
}

template <bool kQuad>
Flow complete(State& s, u32 frt, const Result<kFormat<kQuad>>& out) {
  return complete(s, out.flags, [&] {
    put<kQuad>(s, frt, out.value);
    return classify<kFormat<kQuad>>(out.value);
  });
}

/// A CR field and FPCC.
void set_condition(State& s, u32 crf, u32 value) {
  s.cr[crf] = static_cast<u8>(value);
  s.fpscr = (s.fpscr & ~fpscr::FPCC) | u64{value} << 12;
}

/// RMC of quantize, reround and, with `r` 0, of rounding to an integer.
Rounding rounding_of(const State& s, u32 rmc) {
  static constexpr Rounding kFirst[] = {Rounding::kHalfEven, Rounding::kZero, Rounding::kHalfAway};
  return rmc == 3 ? current_rounding(s.fpscr) : kFirst[rmc];
}
Rounding second_rounding(u32 rmc) {
  static constexpr Rounding kSecond[] = {Rounding::kUp, Rounding::kDown, Rounding::kAway,
                                         Rounding::kHalfZero};
  return kSecond[rmc];
}

template <Format kF>
Result<kF> rerounded(const NumberOf<kF>& b, int significance, Rounding rounding) {
  if (b.infinite()) return infinity<Word<kF>>(b.negative);
  const int excess = digits(b.coefficient) - significance;
  if (significance == 0 || excess <= 0) return {b};
  if (b.exponent + excess > kF.greatest) return invalid<Word<kF>>(fpscr::VXCVI);
  Result<kF> out = dfp::quantize<kF>({.exponent = b.exponent + excess}, b, rounding);
  if (digits(out.value.coefficient) > significance) {
    out.value.coefficient /= 10;
    out.value.exponent++;
  }
  return out.value.exponent > kF.greatest ? invalid<Word<kF>>(fpscr::VXCVI) : out;
}

/// Digits as BCD and back, 16 of them at most.
u64 bcd_of(u64 value) {
  u64 bcd = 0;
  for (int at = 0; value; at += 12, value /= 1000) {
    const u64 three = value % 1000;
    bcd |= (three / 100 << 8 | three / 10 % 10 << 4 | three % 10) << at;
  }
  return bcd;
}
/// False if a nibble is no digit.
bool digits_of_bcd(u64 bcd, int count, u64& value) {
  value = 0;
  for (int i = count; i-- > 0;) {
    const u64 digit = bcd >> (4 * i) & 15;
    if (digit > 9) return false;
    value = value * 10 + digit;
  }
  return true;
}

}  // namespace

template <bool kQuad, Op kOp>
[[gnu::noinline]] Flow arithmetic(State& s, u32 frt, u32 fra, u32 frb) {
  const auto a = get<kQuad>(s, fra), b = get<kQuad>(s, frb);
  Result<kFormat<kQuad>> out;
  if (!propagates(a, b, out)) out = compute<kOp, kFormat<kQuad>>(s.fpscr, a, b);
  if (out.flags) return complete<kQuad>(s, frt, out);
  // Nothing happened.
  put<kQuad>(s, frt, out.value);
  s.fpscr = (s.fpscr & ~(fpscr::FR | fpscr::FI | fpscr::FPRF)) | classify<kFormat<kQuad>>(out.value);
  return Flow::kNext;
}

template <bool kQuad>
[[gnu::noinline]] Flow compare(State& s, bool ordered, u32 crf, u32 fra, u32 frb) {
  const auto a = get<kQuad>(s, fra), b = get<kQuad>(s, frb);
  if (a.nan() || b.nan()) {
    u64 causes = 0;
    if (a.signalling() || b.signalling()) {
      causes = fpscr::VXSNAN;
      if (ordered && !(s.fpscr & fpscr::VE)) causes |= fpscr::VXVC;
    } else if (ordered) {
      causes = fpscr::VXVC;
    }
    set_condition(s, crf, 1);
    if (causes & ~s.fpscr) s.fpscr |= fpscr::FX;
    s.fpscr = fpu::summarise(s.fpscr | causes);
    if (causes && s.fpscr & fpscr::VE && fpu::interrupt_due(s))
      return sem::raise(s, Vector::kProgram, program::kFloat);
    return Flow::kNext;
  }
  const int order = dfp::compare<kFormat<kQuad>>(a, b);
  set_condition(s, crf, order < 0 ? 8 : order > 0 ? 4 : 2);
  return Flow::kNext;
}

template <bool kQuad>
[[gnu::noinline]] void test_class(State& s, u32 crf, u32 fra, u32 classes) {
  const auto a = get<kQuad>(s, fra);
  const u32 is = a.signalling()                 ? 0x01
                 : a.nan()                      ? 0x02
                 : a.infinite()                 ? 0x04
                 : !a.coefficient               ? 0x20
                 : subnormal<kFormat<kQuad>>(a) ? 0x10
                                                : 0x08;
  set_condition(s, crf, u32{a.negative} << 3 | (classes & is ? 2 : 0));
}

template <bool kQuad>
[[gnu::noinline]] void test_group(State& s, u32 crf, u32 fra, u32 groups) {
  constexpr Format kF = kFormat<kQuad>;
  const auto a = get<kQuad>(s, fra);
  const bool extreme = a.exponent == kF.least() || a.exponent == kF.greatest;
  const u32 is = !a.finite()                         ? 0x01
                 : !a.coefficient                    ? (extreme ? 0x10 : 0x20)
                 : extreme || subnormal<kF>(a)       ? 0x08
                 : digits(a.coefficient) < kF.digits ? 0x04
                                                     : 0x02;
  set_condition(s, crf, u32{a.negative} << 3 | (groups & is ? 2 : 0));
}

template <bool kQuad>
[[gnu::noinline]] void test_exponent(State& s, u32 crf, u32 fra, u32 frb) {
  const auto a = get<kQuad>(s, fra), b = get<kQuad>(s, frb);
  u32 result;
  if (a.finite() && b.finite())
    result = a.exponent < b.exponent ? 8 : a.exponent > b.exponent ? 4 : 2;
  else
    result = (a.nan() && b.nan()) || (a.infinite() && b.infinite()) ? 2 : 1;
  set_condition(s, crf, result);
}

template <bool kQuad>
[[gnu::noinline]] void test_significance(State& s, u32 crf, u32 fra, u32 frb) {
  const int wanted = static_cast<int>(s.fpr[fra] & 63);
  const auto b = get<kQuad>(s, frb);
  u32 result = 1;
  if (b.finite()) {
    const int have = digits(b.coefficient);
    result = wanted == 0 || wanted > have ? 4 : wanted < have ? 8 : 2;
  }
  set_condition(s, crf, result);
}

template <bool kQuad>
[[gnu::noinline]] Flow quantize(State& s, u32 frt, u32 fra, u32 frb, u32 rmc) {
  const auto a = get<kQuad>(s, fra), b = get<kQuad>(s, frb);
  Result<kFormat<kQuad>> out;
  if (!propagates(a, b, out)) out = dfp::quantize<kFormat<kQuad>>(a, b, rounding_of(s, rmc));
  return complete<kQuad>(s, frt, out);
}

template <bool kQuad>
[[gnu::noinline]] Flow quantize_immediate(State& s, u32 frt, int exponent, u32 frb, u32 rmc) {
  const auto b = get<kQuad>(s, frb);
  Result<kFormat<kQuad>> out;
  if (!propagates(b, out))
    out = dfp::quantize<kFormat<kQuad>>({.exponent = exponent}, b, rounding_of(s, rmc));
  return complete<kQuad>(s, frt, out);
}

template <bool kQuad>
[[gnu::noinline]] Flow reround(State& s, u32 frt, u32 fra, u32 frb, u32 rmc) {
  const auto b = get<kQuad>(s, frb);
  Result<kFormat<kQuad>> out;
  if (!propagates(b, out)) {
    out = rerounded<kFormat<kQuad>>(b, static_cast<int>(s.fpr[fra] & 63), rounding_of(s, rmc));
  }
  return complete<kQuad>(s, frt, out);
}

template <bool kQuad>
[[gnu::noinline]] Flow to_integral(State& s, bool exact, u32 frt, u32 frb, bool r, u32 rmc) {
  const auto b = get<kQuad>(s, frb);
  Result<kFormat<kQuad>> out;
  if (!propagates(b, out)) {
    out = integral<kFormat<kQuad>>(b, r ? second_rounding(rmc) : rounding_of(s, rmc));
    if (!exact) out.flags = 0;
  }
  return complete<kQuad>(s, frt, out);
}

[[gnu::noinline]] Flow short_to_long(State& s, u32 frt, u32 frb) {
  // A signalling NaN stays one: the short format is one of storage.
  return complete<false>(s, frt, {decode<kShort>(static_cast<u32>(s.fpr[frb]))});
}

[[gnu::noinline]] Flow long_to_extended(State& s, u32 frt, u32 frb) {
  const auto b = get<false>(s, frb);
  const Number<u128> wide{b.negative, b.kind, b.exponent, b.coefficient};
  Outcome<u128> out;
  if (!propagates(wide, out)) out = b.infinite() ? infinity<u128>(b.negative) : Outcome<u128>{wide};
  return complete<true>(s, frt, out);
}

[[gnu::noinline]] Flow long_to_short(State& s, u32 frt, u32 frb) {
  const auto b = get<false>(s, frb);
  Outcome<u64> out{b};
  if (b.finite()) out = narrow<kLong>(s.fpscr, b);
  return complete(s, out.flags, [&] {
    if (out.source_format) {
      put<false>(s, frt, out.value);
      return classify<kLong>(out.value);
    }
    s.fpr[frt] = encode<kShort>(out.value);
    return classify<kShort>(out.value);
  });
}

[[gnu::noinline]] Flow extended_to_long(State& s, u32 frt, u32 frb) {
  const auto b = get<true>(s, frb);
  Outcome<u128> out;
  if (!propagates(b, out)) out = narrow<kExtended>(s.fpscr, b);
  return complete(s, out.flags, [&] {
    if (out.source_format) {
      put<true>(s, frt, out.value);
      return classify<kExtended>(out.value);
    }
    s.fpr[frt] = encode<kLong>(out.value);
    s.fpr[frt + 1] = 0;
    return classify<kLong>(out.value);
  });
}

[[gnu::noinline]] Flow extended_from_integer(State& s, u32 frt, u32 frb) {
  const u64 b = s.fpr[frb];
  const bool negative = b >> 63;
  return complete<true>(s, frt, {{.negative = negative, .coefficient = negative ? 0 - b : b}});
}

template <bool kQuad>
[[gnu::noinline]] Flow to_integer(State& s, u32 frt, u32 frb) {
  constexpr Format kF = kFormat<kQuad>;
  constexpr u64 kLimit = u64{1} << 63;
  const auto b = get<kQuad>(s, frb);
  u64 integer = kLimit, flags = 0;
  if (b.nan()) {
    flags = fpscr::VXCVI | (b.signalling() ? fpscr::VXSNAN : 0);
  } else {
    const auto [n, status, _] = integral<kF>(b, current_rounding(s.fpscr));
    flags = status;
    if (n.finite() && n.exponent == 0 && n.coefficient < kLimit) {
      // Nearly always; the library takes three times as long.
      const u64 magnitude = static_cast<u64>(n.coefficient);
      integer = n.negative ? 0 - magnitude : magnitude;
    } else {
      unsigned invalid = 0;
      integer = Library<kF>::to_integer(pack<kF>(n), &invalid);
      if (invalid) flags = fpscr::VXCVI, integer = b.negative ? kLimit : kLimit - 1;
    }
  }
  return complete(s, flags, [&] {
    s.fpr[frt] = integer;
    return ~u64{0};
  });
}

template <bool kQuad>
[[gnu::noinline]] void to_bcd(State& s, u32 frt, u32 frb, u32 sp) {
  const auto b = get<kQuad>(s, frb);
  Bits<kFormat<kQuad>> bcd;
  if constexpr (kQuad) {
    const auto [high, low] = divide(b.coefficient, kPower<u64>[16]);
    bcd = static_cast<u128>(bcd_of(high % kPower<u64>[16])) << 64 | bcd_of(low);
  } else {
    bcd = bcd_of(b.coefficient);
  }
  if (sp & 2) bcd = bcd << 4 | (b.negative ? 0xD : sp == 2 ? 0xC : 0xF);
  put_bits<kQuad>(s, frt, bcd);
}

template <bool kQuad>
[[gnu::noinline]] Flow from_bcd(State& s, u32 frt, u32 frb, bool with_sign) {
  auto bcd = bits<kQuad>(s, frb);
  Result<kFormat<kQuad>> out;
  bool valid = true;
  if (with_sign) {
    const u32 sign = static_cast<u32>(bcd & 15);
    valid = sign > 9;
    out.value.negative = sign == 0xB || sign == 0xD;
    bcd >>= 4;
  }
  u64 low = 0, high = 0;
  valid = valid && digits_of_bcd(static_cast<u64>(bcd), 16, low);
  if constexpr (kQuad) valid = valid && digits_of_bcd(static_cast<u64>(bcd >> 64), 16, high);
  if (valid)
    out.value.coefficient = static_cast<u128>(high) * kPower<u64>[16] + low;
  else
    out = invalid<Word<kFormat<kQuad>>>(fpscr::VXCVI);
  return complete<kQuad>(s, frt, out);
}

template <bool kQuad>
[[gnu::noinline]] void extract_exponent(State& s, u32 frt, u32 frb) {
  const auto b = get<kQuad>(s, frb);
  const int result = b.finite() ? b.exponent + kFormat<kQuad>.bias : -static_cast<int>(b.kind);
  s.fpr[frt] = static_cast<u64>(i64{result});
}

template <bool kQuad>
[[gnu::noinline]] void insert_exponent(State& s, u32 frt, u32 fra, u32 frb) {
  constexpr Format kF = kFormat<kQuad>;
  const i64 biased = static_cast<i64>(s.fpr[fra]);
  auto b = get<kQuad>(s, frb);
  if (biased >= 0 && biased <= kF.bias + kF.greatest) {
    // The trailing significand of an infinity or NaN becomes the digits.
    b.kind = Kind::kFinite;
    b.exponent = static_cast<int>(biased) - kF.bias;
  } else {
    b.coefficient %= kPower<Word<kF>>[kF.digits - 1];
    b.kind = biased == -1 ? Kind::kInfinity : biased == -3 ? Kind::kSignallingNan : Kind::kQuietNan;
  }
  put<kQuad>(s, frt, b);
}

template <bool kQuad>
[[gnu::noinline]] void shift(State& s, u32 frt, u32 fra, int count) {
  constexpr Format kF = kFormat<kQuad>;
  using W = Word<kF>;
  auto a = get<kQuad>(s, fra);
  // Infinities and NaNs have one digit less.
  const int places = kF.digits - !a.finite();
  W coefficient = a.coefficient;
  if (std::abs(count) >= places)
    coefficient = 0;
  else if (count < 0)
    coefficient /= kPower<W>[static_cast<unsigned>(-count)];
  else
    coefficient = coefficient % kPower<W>[static_cast<unsigned>(places - count)] *
                  kPower<W>[static_cast<unsigned>(count)];
  a.coefficient = coefficient;
  put<kQuad>(s, frt, a);
}

#define BATON_DFP_INSTANTIATE(quad)                                     \
  template Flow arithmetic<quad, Op::kAdd>(State&, u32, u32, u32);      \
  template Flow arithmetic<quad, Op::kSubtract>(State&, u32, u32, u32); \
  template Flow arithmetic<quad, Op::kMultiply>(State&, u32, u32, u32); \
  template Flow arithmetic<quad, Op::kDivide>(State&, u32, u32, u32);   \
  template Flow compare<quad>(State&, bool, u32, u32, u32);             \
  template void test_class<quad>(State&, u32, u32, u32);                \
  template void test_group<quad>(State&, u32, u32, u32);                \
  template void test_exponent<quad>(State&, u32, u32, u32);             \
  template void test_significance<quad>(State&, u32, u32, u32);         \
  template Flow quantize<quad>(State&, u32, u32, u32, u32);             \
  template Flow quantize_immediate<quad>(State&, u32, int, u32, u32);   \
  template Flow reround<quad>(State&, u32, u32, u32, u32);              \
  template Flow to_integral<quad>(State&, bool, u32, u32, bool, u32);   \
  template Flow to_integer<quad>(State&, u32, u32);                     \
  template void to_bcd<quad>(State&, u32, u32, u32);                    \
  template Flow from_bcd<quad>(State&, u32, u32, bool);                 \
  template void extract_exponent<quad>(State&, u32, u32);               \
  template void insert_exponent<quad>(State&, u32, u32, u32);           \
  template void shift<quad>(State&, u32, u32, int);
BATON_DFP_INSTANTIATE(false)
BATON_DFP_INSTANTIATE(true)
#undef BATON_DFP_INSTANTIATE

}  // namespace baton::cpu::dfp
