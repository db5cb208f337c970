// SPDX-License-Identifier: Apache-2.0
// Decimal floating point (POWER6-ISA 4.12).
//
// For the instruction table: every template with an Rc form is `name<O, Rc>`, the others `name<O>`. All rows
// have ImmKind::None, so FRT = a, or BF = a >> 2; FRA, TE or R = b, SP = b >> 3, S = b >> 4; FRB = c;
// RMC = d >> 3; SH, DCM and DGM lie across c and d. Odd pairs never come here. The arithmetic is in cpu/dfp.
#pragma once

#include "cpu/dfp/dfp.h"
#include "cpu/semantics/floating_point.h"

namespace baton::cpu::sem {

namespace decimal {

/// MSR[FP] first, CR1 last.
template <bool Rc, class Function>
[[gnu::always_inline]] inline Flow perform(State& s, Function function) {
  if (!fp::available(s)) return fp::unavailable(s);
  if constexpr (std::is_void_v<decltype(function())>) {
    function();
    return fp::record<Rc>(s, Flow::kNext);
  } else {
    return fp::record<Rc>(s, function());
  }
}

/// Bits 16:21.
template <class O>
[[gnu::always_inline]] inline u32 six_bits(O o) {
  return o.c() << 1 | o.d() >> 4;
}
template <class O>
[[gnu::always_inline]] inline u32 rmc(O o) {
  return o.d() >> 3;
}

#define BATON_DFP_GROUP                   \
  template <bool kQuad, bool Rc, class O> \
  [[gnu::always_inline]] inline

template <dfp::Op kOp, bool kQuad, bool Rc, class O>
[[gnu::always_inline]] inline Flow arithmetic(State& s, O o) {
  return perform<Rc>(s, [&] { return dfp::arithmetic<kQuad, kOp>(s, o.a(), o.b(), o.c()); });
}
BATON_DFP_GROUP Flow compare(State& s, O o, bool ordered) {
  return perform<Rc>(s, [&] { return dfp::compare<kQuad>(s, ordered, o.a() >> 2, o.b(), o.c()); });
}
BATON_DFP_GROUP Flow test_class(State& s, O o) {
  return perform<Rc>(s, [&] { dfp::test_class<kQuad>(s, o.a() >> 2, o.b(), six_bits(o)); });
}
BATON_DFP_GROUP Flow test_group(State& s, O o) {
  return perform<Rc>(s, [&] { dfp::test_group<kQuad>(s, o.a() >> 2, o.b(), six_bits(o)); });
}
BATON_DFP_GROUP Flow test_exponent(State& s, O o) {
  return perform<Rc>(s, [&] { dfp::test_exponent<kQuad>(s, o.a() >> 2, o.b(), o.c()); });
}
BATON_DFP_GROUP Flow test_significance(State& s, O o) {
  return perform<Rc>(s, [&] { dfp::test_significance<kQuad>(s, o.a() >> 2, o.b(), o.c()); });
}
BATON_DFP_GROUP Flow quantize(State& s, O o) {
  return perform<Rc>(s, [&] { return dfp::quantize<kQuad>(s, o.a(), o.b(), o.c(), rmc(o)); });
}
BATON_DFP_GROUP Flow quantize_immediate(State& s, O o) {
  return perform<Rc>(s, [&] {
    const int exponent = static_cast<int>(sign_extend(o.b(), 5));
    return dfp::quantize_immediate<kQuad>(s, o.a(), exponent, o.c(), rmc(o));
  });
}
BATON_DFP_GROUP Flow reround(State& s, O o) {
  return perform<Rc>(s, [&] { return dfp::reround<kQuad>(s, o.a(), o.b(), o.c(), rmc(o)); });
}
BATON_DFP_GROUP Flow to_integral(State& s, O o, bool exact) {
  return perform<Rc>(s, [&] { return dfp::to_integral<kQuad>(s, exact, o.a(), o.c(), o.b() & 1, rmc(o)); });
}
BATON_DFP_GROUP Flow to_integer(State& s, O o) {
  return perform<Rc>(s, [&] { return dfp::to_integer<kQuad>(s, o.a(), o.c()); });
}
BATON_DFP_GROUP Flow to_bcd(State& s, O o) {
  return perform<Rc>(s, [&] { dfp::to_bcd<kQuad>(s, o.a(), o.c(), o.b() >> 3); });
}
BATON_DFP_GROUP Flow from_bcd(State& s, O o) {
  return perform<Rc>(s, [&] { return dfp::from_bcd<kQuad>(s, o.a(), o.c(), o.b() >> 4); });
}
BATON_DFP_GROUP Flow extract_exponent(State& s, O o) {
  return perform<Rc>(s, [&] { dfp::extract_exponent<kQuad>(s, o.a(), o.c()); });
}
BATON_DFP_GROUP Flow insert_exponent(State& s, O o) {
  return perform<Rc>(s, [&] { dfp::insert_exponent<kQuad>(s, o.a(), o.b(), o.c()); });
}
BATON_DFP_GROUP Flow shift(State& s, O o, int direction) {
  return perform<Rc>(s,
                     [&] { dfp::shift<kQuad>(s, o.a(), o.b(), direction * static_cast<int>(six_bits(o))); });
}

#undef BATON_DFP_GROUP

}  // namespace decimal

#define BATON_DFP_RC          \
  template <class O, bool Rc> \
  [[gnu::always_inline]] inline

// Arithmetic
BATON_DFP_RC Flow dadd(State& s, O o) { return decimal::arithmetic<dfp::Op::kAdd, false, Rc>(s, o); }
BATON_DFP_RC Flow daddq(State& s, O o) { return decimal::arithmetic<dfp::Op::kAdd, true, Rc>(s, o); }
BATON_DFP_RC Flow dsub(State& s, O o) { return decimal::arithmetic<dfp::Op::kSubtract, false, Rc>(s, o); }
BATON_DFP_RC Flow dsubq(State& s, O o) { return decimal::arithmetic<dfp::Op::kSubtract, true, Rc>(s, o); }
BATON_DFP_RC Flow dmul(State& s, O o) { return decimal::arithmetic<dfp::Op::kMultiply, false, Rc>(s, o); }
BATON_DFP_RC Flow dmulq(State& s, O o) { return decimal::arithmetic<dfp::Op::kMultiply, true, Rc>(s, o); }
BATON_DFP_RC Flow ddiv(State& s, O o) { return decimal::arithmetic<dfp::Op::kDivide, false, Rc>(s, o); }
BATON_DFP_RC Flow ddivq(State& s, O o) { return decimal::arithmetic<dfp::Op::kDivide, true, Rc>(s, o); }

// Comparisons and tests
BATON_SEMANTICS Flow dcmpu(State& s, O o) { return decimal::compare<false, false>(s, o, false); }
BATON_SEMANTICS Flow dcmpuq(State& s, O o) { return decimal::compare<true, false>(s, o, false); }
BATON_SEMANTICS Flow dcmpo(State& s, O o) { return decimal::compare<false, false>(s, o, true); }
BATON_SEMANTICS Flow dcmpoq(State& s, O o) { return decimal::compare<true, false>(s, o, true); }
BATON_SEMANTICS Flow dtstdc(State& s, O o) { return decimal::test_class<false, false>(s, o); }
BATON_SEMANTICS Flow dtstdcq(State& s, O o) { return decimal::test_class<true, false>(s, o); }
BATON_SEMANTICS Flow dtstdg(State& s, O o) { return decimal::test_group<false, false>(s, o); }
BATON_SEMANTICS Flow dtstdgq(State& s, O o) { return decimal::test_group<true, false>(s, o); }
BATON_SEMANTICS Flow dtstex(State& s, O o) { return decimal::test_exponent<false, false>(s, o); }
BATON_SEMANTICS Flow dtstexq(State& s, O o) { return decimal::test_exponent<true, false>(s, o); }
BATON_SEMANTICS Flow dtstsf(State& s, O o) { return decimal::test_significance<false, false>(s, o); }
BATON_SEMANTICS Flow dtstsfq(State& s, O o) { return decimal::test_significance<true, false>(s, o); }

// Quantum adjustment
BATON_DFP_RC Flow dqua(State& s, O o) { return decimal::quantize<false, Rc>(s, o); }
BATON_DFP_RC Flow dquaq(State& s, O o) { return decimal::quantize<true, Rc>(s, o); }
BATON_DFP_RC Flow dquai(State& s, O o) { return decimal::quantize_immediate<false, Rc>(s, o); }
BATON_DFP_RC Flow dquaiq(State& s, O o) { return decimal::quantize_immediate<true, Rc>(s, o); }
BATON_DFP_RC Flow drrnd(State& s, O o) { return decimal::reround<false, Rc>(s, o); }
BATON_DFP_RC Flow drrndq(State& s, O o) { return decimal::reround<true, Rc>(s, o); }
BATON_DFP_RC Flow drintx(State& s, O o) { return decimal::to_integral<false, Rc>(s, o, true); }
BATON_DFP_RC Flow drintxq(State& s, O o) { return decimal::to_integral<true, Rc>(s, o, true); }
BATON_DFP_RC Flow drintn(State& s, O o) { return decimal::to_integral<false, Rc>(s, o, false); }
BATON_DFP_RC Flow drintnq(State& s, O o) { return decimal::to_integral<true, Rc>(s, o, false); }

// Conversions
BATON_DFP_RC Flow dctdp(State& s, O o) {
  return decimal::perform<Rc>(s, [&] { return dfp::short_to_long(s, o.a(), o.c()); });
}
BATON_DFP_RC Flow dctqpq(State& s, O o) {
  return decimal::perform<Rc>(s, [&] { return dfp::long_to_extended(s, o.a(), o.c()); });
}
BATON_DFP_RC Flow drsp(State& s, O o) {
  return decimal::perform<Rc>(s, [&] { return dfp::long_to_short(s, o.a(), o.c()); });
}
BATON_DFP_RC Flow drdpq(State& s, O o) {
  return decimal::perform<Rc>(s, [&] { return dfp::extended_to_long(s, o.a(), o.c()); });
}
BATON_DFP_RC Flow dcffixq(State& s, O o) {
  return decimal::perform<Rc>(s, [&] { return dfp::extended_from_integer(s, o.a(), o.c()); });
}
BATON_DFP_RC Flow dctfix(State& s, O o) { return decimal::to_integer<false, Rc>(s, o); }
BATON_DFP_RC Flow dctfixq(State& s, O o) { return decimal::to_integer<true, Rc>(s, o); }

// Formats
BATON_DFP_RC Flow ddedpd(State& s, O o) { return decimal::to_bcd<false, Rc>(s, o); }
BATON_DFP_RC Flow ddedpdq(State& s, O o) { return decimal::to_bcd<true, Rc>(s, o); }
BATON_DFP_RC Flow denbcd(State& s, O o) { return decimal::from_bcd<false, Rc>(s, o); }
BATON_DFP_RC Flow denbcdq(State& s, O o) { return decimal::from_bcd<true, Rc>(s, o); }
BATON_DFP_RC Flow dxex(State& s, O o) { return decimal::extract_exponent<false, Rc>(s, o); }
BATON_DFP_RC Flow dxexq(State& s, O o) { return decimal::extract_exponent<true, Rc>(s, o); }
BATON_DFP_RC Flow diex(State& s, O o) { return decimal::insert_exponent<false, Rc>(s, o); }
BATON_DFP_RC Flow diexq(State& s, O o) { return decimal::insert_exponent<true, Rc>(s, o); }
BATON_DFP_RC Flow dscli(State& s, O o) { return decimal::shift<false, Rc>(s, o, 1); }
BATON_DFP_RC Flow dscliq(State& s, O o) { return decimal::shift<true, Rc>(s, o, 1); }
BATON_DFP_RC Flow dscri(State& s, O o) { return decimal::shift<false, Rc>(s, o, -1); }
BATON_DFP_RC Flow dscriq(State& s, O o) { return decimal::shift<true, Rc>(s, o, -1); }

#undef BATON_DFP_RC

}  // namespace baton::cpu::sem
