// SPDX-License-Identifier: Apache-2.0
// VMX floating point (see vector.h): singles, rounded to nearest, no exceptions.
//
// The host's arithmetic is that, but for two things. NaNs: which one an operation returns is found out when
// there is one, in cpu/vmx. VSCR[NJ], which Linux sets: denormal operands are made zeros beforehand, and
// what would be denormal afterwards. A result that the host has rounded up to the least normal number is to
// be a zero too if it was smaller before rounding; only products with a sum get there.
#pragma once

#include "cpu/semantics/vector_lanes.h"

namespace baton::cpu::sem {

namespace vmx {

BATON_VMX_INLINE bool non_java(const State& s) { return s.vscr & vscr::NJ; }

BATON_VMX_INLINE Words magnitudes(Floats value) { return as<u32>(value) & 0x7FFFFFFF; }
/// Denormals become zeros of the same sign.
BATON_VMX_INLINE Floats flush(Floats value) {
  const Words bits = as<u32>(value), no_exponent = as<u32>((bits & 0x7F800000) == 0);
  return as<float>(bits & ~(no_exponent >> 1));
}
/// Operands of instructions that need no more than this.
BATON_VMX_INLINE Floats operand(const State& s, u64 number) {
  const auto value = get<float>(s, number);
  return __builtin_expect(non_java(s), 1) ? flush(value) : value;
}

BATON_VMX_INLINE bool any_nan(Floats value) { return _mm_movemask_ps(_mm_cmpunord_ps(value, value)); }
/// What NaNs come to; no operand has been a NaN if `result` is none.
BATON_VMX_INLINE Floats settled(Floats result, Floats a, Floats b, Floats c) {
  return __builtin_expect(any_nan(result), 0) ? settle_nans(result, a, b, c) : result;
}

/// Arithmetic on one and on two operands; `op` gives a NaN if an operand is one.
template <class O, class Op>
BATON_VMX_INLINE Flow float_unary(State& s, O o, Op op) {
  if (!available(s)) return unavailable(s);
  const auto b = get<float>(s, o.c());
  const Floats result = __builtin_expect(non_java(s), 1) ? flush(op(flush(b))) : op(b);
  return deliver(s, o.a(), settled(result, b, b, b));
}
template <class O, class Op>
BATON_VMX_INLINE Flow float_binary(State& s, O o, Op op) {
  if (!available(s)) return unavailable(s);
  const auto a = get<float>(s, o.b()), b = get<float>(s, o.c());
  const Floats result = __builtin_expect(non_java(s), 1) ? flush(op(flush(a), flush(b))) : op(a, b);
  return deliver(s, o.a(), settled(result, a, b, b));
}

/// VRA * VRC + VRB, or -(VRA * VRC - VRB).
template <bool kNegated, class O>
BATON_VMX_INLINE Flow multiply_add(State& s, O o) {
  if (!available(s)) return unavailable(s);
  const auto a = get<float>(s, o.b()), b = get<float>(s, o.c()), c = get<float>(s, o.d());
  Floats result;
  if (__builtin_expect(non_java(s), 1)) {
    const Floats x = flush(a), z = flush(c), y = kNegated ? -flush(b) : flush(b);
    result = __builtin_elementwise_fma(x, z, y);
    if (__builtin_expect(any(magnitudes(result) == 0x00800000), 0)) result = settle_tiny(result, x, y, z);
    result = flush(result);
  } else {
    result = __builtin_elementwise_fma(a, c, kNegated ? -b : b);
  }
  return deliver(s, o.a(), settled(kNegated ? -result : result, a, b, c));
}

/// The host returns its second operand if neither is greater.
template <bool kGreatest, class O>
BATON_VMX_INLINE Flow float_extreme(State& s, O o) {
  if (!available(s)) return unavailable(s);
  const auto a = get<float>(s, o.b()), b = get<float>(s, o.c());
  const Floats x = operand(s, o.b()), y = operand(s, o.c());
  const Floats first = kGreatest ? _mm_max_ps(x, y) : _mm_min_ps(x, y);
  const Floats second = kGreatest ? _mm_max_ps(y, x) : _mm_min_ps(y, x);
  // They differ if x and y are zeros of different sign, or if one is a NaN.
  const Words result = kGreatest ? as<u32>(first) & as<u32>(second) : as<u32>(first) | as<u32>(second);
  const bool nan = _mm_movemask_ps(_mm_cmpunord_ps(x, y));
  const Floats value = as<float>(result);
  return deliver(s, o.a(), __builtin_expect(nan, 0) ? settle_nans(value, a, b, b) : value);
}

template <bool Rc, class O, class Op>
BATON_VMX_INLINE Flow float_compare(State& s, O o, Op op) {
  if (!available(s)) return unavailable(s);
  const auto truth = op(operand(s, o.b()), operand(s, o.c()));
  record<Rc>(s, truth);
  return deliver(s, o.a(), truth);
}

/// 2^exponent.
BATON_VMX_INLINE Floats power(i64 exponent) {
  return as<float>(splat<u32>(static_cast<u32>(127 + exponent) << 23));
}
template <class T, class O>
BATON_VMX_INLINE Flow from_integer(State& s, O o) {
  const Floats scale = power(-static_cast<i64>(o.b()));
  return unary<T>(s, o, [=](auto b) BATON_VMX_OP { return __builtin_convertvector(b, Floats) * scale; });
}
BATON_VMX_INLINE Lanes<i32> truncated(Floats value) { return as<i32>(_mm_cvttps_epi32(value)); }

}  // namespace vmx

// Arithmetic
BATON_SEMANTICS Flow vaddfp(State& s, O o) {
  return vmx::float_binary(s, o, [](auto a, auto b) BATON_VMX_OP { return a + b; });
}
BATON_SEMANTICS Flow vsubfp(State& s, O o) {
  return vmx::float_binary(s, o, [](auto a, auto b) BATON_VMX_OP { return a - b; });
}
BATON_SEMANTICS Flow vmaddfp(State& s, O o) { return vmx::multiply_add<false>(s, o); }
BATON_SEMANTICS Flow vnmsubfp(State& s, O o) { return vmx::multiply_add<true>(s, o); }
BATON_SEMANTICS Flow vmaxfp(State& s, O o) { return vmx::float_extreme<true>(s, o); }
BATON_SEMANTICS Flow vminfp(State& s, O o) { return vmx::float_extreme<false>(s, o); }

// Estimates. The first two are exact, rounded once or twice.
BATON_SEMANTICS Flow vrefp(State& s, O o) {
  return vmx::float_unary(s, o, [](auto b) BATON_VMX_OP { return 1.0f / b; });
}
BATON_SEMANTICS Flow vrsqrtefp(State& s, O o) {
  return vmx::float_unary(s, o, [](auto b) BATON_VMX_OP { return 1.0f / __builtin_elementwise_sqrt(b); });
}
BATON_SEMANTICS Flow vexptefp(State& s, O o) {
  if (!vmx::available(s)) return vmx::unavailable(s);
  const auto b = vmx::get<float>(s, o.c());
  return vmx::deliver(s, o.a(), vmx::settled(vmx::exp2_estimate(b, !vmx::non_java(s)), b, b, b));
}
BATON_SEMANTICS Flow vlogefp(State& s, O o) {
  if (!vmx::available(s)) return vmx::unavailable(s);
  const auto b = vmx::get<float>(s, o.c());
  return vmx::deliver(s, o.a(), vmx::settled(vmx::log2_estimate(b, !vmx::non_java(s)), b, b, b));
}

// Rounding to integers
BATON_SEMANTICS Flow vrfin(State& s, O o) {
  return vmx::float_unary(s, o, [](auto b) BATON_VMX_OP { return __builtin_elementwise_roundeven(b); });
}
BATON_SEMANTICS Flow vrfiz(State& s, O o) {
  return vmx::float_unary(s, o, [](auto b) BATON_VMX_OP { return __builtin_elementwise_trunc(b); });
}
BATON_SEMANTICS Flow vrfip(State& s, O o) {
  return vmx::float_unary(s, o, [](auto b) BATON_VMX_OP { return __builtin_elementwise_ceil(b); });
}
BATON_SEMANTICS Flow vrfim(State& s, O o) {
  return vmx::float_unary(s, o, [](auto b) BATON_VMX_OP { return __builtin_elementwise_floor(b); });
}

// Conversions, by 2^UIM
BATON_SEMANTICS Flow vcfsx(State& s, O o) { return vmx::from_integer<i32>(s, o); }
BATON_SEMANTICS Flow vcfux(State& s, O o) { return vmx::from_integer<u32>(s, o); }
/// NaNs become 0 and do not saturate. Denormals are below 1 however they are scaled.
BATON_SEMANTICS Flow vctsxs(State& s, O o) {
  if (!vmx::available(s)) return vmx::unavailable(s);
  const auto b = vmx::get<float>(s, o.c()) * vmx::power(o.b());
  // The host gives -2^31 for what does not fit.
  const auto above = b >= 0x1p31f, below = b < -0x1p31f;
  vmx::saturate(s, above | below);
  return vmx::deliver(s, o.a(), (vmx::truncated(b) ^ above) & (b == b));
}
BATON_SEMANTICS Flow vctuxs(State& s, O o) {
  if (!vmx::available(s)) return vmx::unavailable(s);
  const auto b = vmx::get<float>(s, o.c()) * vmx::power(o.b());
  const auto above = b >= 0x1p32f, below = b <= -1.0f;
  vmx::saturate(s, above | below);
  // Zero for NaNs too; the upper half of the range in the reach of a signed conversion.
  const vmx::Floats positive = _mm_max_ps(b, vmx::Floats{});
  const auto upper = positive >= 0x1p31f;
  const vmx::Floats reach = positive - vmx::as<float>(upper & vmx::as<i32>(vmx::splat(0x1p31f)));
  return vmx::deliver(s, o.a(), (vmx::truncated(reach) ^ (upper & i32{-0x7FFFFFFF - 1})) | above);
}

// Compares
#define BATON_VMX_COMPARE(name, expression)                                                      \
  template <class O, bool Rc>                                                                    \
  [[gnu::always_inline]] inline Flow name(State& s, O o) {                                       \
    return vmx::float_compare<Rc>(s, o, [](auto a, auto b) BATON_VMX_OP { return expression; }); \
  }
BATON_VMX_COMPARE(vcmpeqfp, a == b)
BATON_VMX_COMPARE(vcmpgefp, a >= b)
BATON_VMX_COMPARE(vcmpgtfp, a > b)
#undef BATON_VMX_COMPARE
/// Bit 0 of an element: not a <= b; bit 1: not a >= -b. CR6 says whether all are within bounds.
template <class O, bool Rc>
[[gnu::always_inline]] inline Flow vcmpbfp(State& s, O o) {
  if (!vmx::available(s)) return vmx::unavailable(s);
  const vmx::Floats a = vmx::operand(s, o.b()), b = vmx::operand(s, o.c());
  const auto inside_above = vmx::as<u32>(a <= b), inside_below = vmx::as<u32>(a >= -b);
  const vmx::Words out = (~inside_above & 0x80000000) | (~inside_below & 0x40000000);
  if constexpr (Rc) s.cr[6] = vmx::any(out) ? 0 : 2;
  return vmx::deliver(s, o.a(), out);
}

}  // namespace baton::cpu::sem
