// SPDX-License-Identifier: Apache-2.0
// VMX integer arithmetic, logic, shifts within elements, compares (see vector.h).
#pragma once

#include <limits>

#include "cpu/semantics/vector_lanes.h"

namespace baton::cpu::sem {

namespace vmx {

/// An integer of twice the size and the same signedness.
template <class T>
using Twice =
    std::conditional_t<std::is_signed_v<T>,
                       std::conditional_t<sizeof(T) == 1, i16, std::conditional_t<sizeof(T) == 2, i32, i64>>,
                       std::conditional_t<sizeof(T) == 1, u16, std::conditional_t<sizeof(T) == 2, u32, u64>>>;
template <class T>
using Unsigned = std::make_unsigned_t<T>;
template <class T>
inline constexpr int kBits = 8 * sizeof(T);

/// The even or the odd elements, extended as T's signedness says.
template <class T, class V>
BATON_VMX_INLINE Lanes<Twice<T>> even(V value) {
  return as<Twice<T>>(value) >> kBits<T>;
}
template <class T, class V>
BATON_VMX_INLINE Lanes<Twice<T>> odd(V value) {
  return as<Twice<T>>(as<Unsigned<Twice<T>>>(value) << kBits<T>) >> kBits<T>;
}
/// Sums of two neighbours, of four.
template <class T, class V>
BATON_VMX_INLINE Lanes<Twice<T>> pairs(V value) {
  return even<T>(value) + odd<T>(value);
}
template <class T, class V>
BATON_VMX_INLINE Lanes<Twice<Twice<T>>> fours(V value) {
  return pairs<Twice<T>>(pairs<T>(value));
}

/// Twice as many bytes, for results that do not fit.
template <class T>
using Wide = Twice<T> __attribute__((vector_size(32)));
template <class T, class V>
BATON_VMX_INLINE Wide<T> widen(V value) {
  return __builtin_convertvector(as<T>(value), Wide<T>);
}
template <class T>
BATON_VMX_INLINE Lanes<T> clamp(State& s, Wide<T> value) {
  const Wide<T> least = Wide<T>{} + std::numeric_limits<T>::min();
  const Wide<T> greatest = Wide<T>{} + std::numeric_limits<T>::max();
  const Wide<T> clamped = __builtin_elementwise_min(__builtin_elementwise_max(value, least), greatest);
  const auto changed = std::bit_cast<__m256i>(clamped ^ value);
  if (__builtin_expect(!_mm256_testz_si256(changed, changed), 0)) s.vscr |= vscr::SAT;
  return __builtin_convertvector(clamped, Lanes<T>);
}
BATON_VMX_INLINE u32 clamp_word(State& s, i64 value) {
  const auto word = static_cast<i32>(value);
  if (__builtin_expect(word == value, 1)) return static_cast<u32>(word);
  s.vscr |= vscr::SAT;
  return value < 0 ? 0x80000000 : 0x7FFFFFFF;
}

template <class T>
BATON_VMX_INLINE Lanes<T> add_saturated(State& s, Lanes<T> a, Lanes<T> b) {
  const Lanes<T> sum = __builtin_elementwise_add_sat(a, b);
  saturate(s, as<Unsigned<T>>(sum) ^ (as<Unsigned<T>>(a) + as<Unsigned<T>>(b)));
  return sum;
}
template <class T, class O>
BATON_VMX_INLINE Flow saturating_add(State& s, O o) {
  if (!available(s)) return unavailable(s);
  return deliver(s, o.a(), add_saturated<T>(s, get<T>(s, o.b()), get<T>(s, o.c())));
}
template <class T, class O>
BATON_VMX_INLINE Flow saturating_subtract(State& s, O o) {
  if (!available(s)) return unavailable(s);
  const auto a = get<T>(s, o.b()), b = get<T>(s, o.c());
  const Lanes<T> difference = __builtin_elementwise_sub_sat(a, b);
  saturate(s, as<Unsigned<T>>(difference) ^ (as<Unsigned<T>>(a) - as<Unsigned<T>>(b)));
  return deliver(s, o.a(), difference);
}

// T is unsigned where only the low bits of a result are wanted.
inline constexpr auto kAdd = [](auto a, auto b) BATON_VMX_OP { return a + b; };
inline constexpr auto kSubtract = [](auto a, auto b) BATON_VMX_OP { return a - b; };
inline constexpr auto kCarryOut = [](auto a, auto b) BATON_VMX_OP { return (a + b < a) & 1; };
inline constexpr auto kNoBorrow = [](auto a, auto b) BATON_VMX_OP { return (a >= b) & 1; };
inline constexpr auto kAverage = [](auto a, auto b) BATON_VMX_OP { return (a | b) - ((a ^ b) >> 1); };
inline constexpr auto kMaximum = [](auto a, auto b) BATON_VMX_OP { return __builtin_elementwise_max(a, b); };
inline constexpr auto kMinimum = [](auto a, auto b) BATON_VMX_OP { return __builtin_elementwise_min(a, b); };
inline constexpr auto kEqual = [](auto a, auto b) BATON_VMX_OP { return a == b; };
inline constexpr auto kGreater = [](auto a, auto b) BATON_VMX_OP { return a > b; };

/// Shift counts: as many low bits of each element as an element of T can use.
template <class T>
BATON_VMX_INLINE Lanes<T> counts(Lanes<T> b) {
  return b & static_cast<T>(kBits<T> - 1);
}
template <class T, class O>
BATON_VMX_INLINE Flow shift_left(State& s, O o) {
  return binary<T>(s, o, [](auto a, auto b) BATON_VMX_OP { return a << counts<T>(b); });
}
template <class T, class O>
BATON_VMX_INLINE Flow shift_right(State& s, O o) {
  return binary<T>(s, o, [](auto a, auto b) BATON_VMX_OP { return a >> counts<T>(b); });
}
template <class T, class O>
BATON_VMX_INLINE Flow rotate(State& s, O o) {
  return binary<T>(s, o, [](auto a, auto b) BATON_VMX_OP { return a << counts<T>(b) | a >> counts<T>(-b); });
}

template <class T, class O>
BATON_VMX_INLINE Flow multiply_even(State& s, O o) {
  return binary<T>(s, o, [](auto a, auto b) BATON_VMX_OP { return even<T>(a) * even<T>(b); });
}
template <class T, class O>
BATON_VMX_INLINE Flow multiply_odd(State& s, O o) {
  return binary<T>(s, o, [](auto a, auto b) BATON_VMX_OP { return odd<T>(a) * odd<T>(b); });
}
/// (VRA * VRB + kRounding) >> 15, + VRC.
template <i32 kRounding, class O>
BATON_VMX_INLINE Flow multiply_high_add(State& s, O o) {
  if (!available(s)) return unavailable(s);
  const auto a = widen<i16>(get<i16>(s, o.b())), b = widen<i16>(get<i16>(s, o.c()));
  return deliver(s, o.a(), clamp<i16>(s, ((a * b + kRounding) >> 15) + widen<i16>(get<i16>(s, o.d()))));
}

template <class T, bool Rc, class O, class Op>
BATON_VMX_INLINE Flow compare(State& s, O o, Op op) {
  if (!available(s)) return unavailable(s);
  const auto truth = op(get<T>(s, o.b()), get<T>(s, o.c()));
  record<Rc>(s, truth);
  return deliver(s, o.a(), truth);
}

}  // namespace vmx

// Sums and differences
BATON_SEMANTICS Flow vaddubm(State& s, O o) { return vmx::binary<u8>(s, o, vmx::kAdd); }
BATON_SEMANTICS Flow vadduhm(State& s, O o) { return vmx::binary<u16>(s, o, vmx::kAdd); }
BATON_SEMANTICS Flow vadduwm(State& s, O o) { return vmx::binary<u32>(s, o, vmx::kAdd); }
BATON_SEMANTICS Flow vsububm(State& s, O o) { return vmx::binary<u8>(s, o, vmx::kSubtract); }
BATON_SEMANTICS Flow vsubuhm(State& s, O o) { return vmx::binary<u16>(s, o, vmx::kSubtract); }
BATON_SEMANTICS Flow vsubuwm(State& s, O o) { return vmx::binary<u32>(s, o, vmx::kSubtract); }
BATON_SEMANTICS Flow vaddubs(State& s, O o) { return vmx::saturating_add<u8>(s, o); }
BATON_SEMANTICS Flow vadduhs(State& s, O o) { return vmx::saturating_add<u16>(s, o); }
BATON_SEMANTICS Flow vadduws(State& s, O o) { return vmx::saturating_add<u32>(s, o); }
BATON_SEMANTICS Flow vaddsbs(State& s, O o) { return vmx::saturating_add<i8>(s, o); }
BATON_SEMANTICS Flow vaddshs(State& s, O o) { return vmx::saturating_add<i16>(s, o); }
BATON_SEMANTICS Flow vaddsws(State& s, O o) { return vmx::saturating_add<i32>(s, o); }
BATON_SEMANTICS Flow vsububs(State& s, O o) { return vmx::saturating_subtract<u8>(s, o); }
BATON_SEMANTICS Flow vsubuhs(State& s, O o) { return vmx::saturating_subtract<u16>(s, o); }
BATON_SEMANTICS Flow vsubuws(State& s, O o) { return vmx::saturating_subtract<u32>(s, o); }
BATON_SEMANTICS Flow vsubsbs(State& s, O o) { return vmx::saturating_subtract<i8>(s, o); }
BATON_SEMANTICS Flow vsubshs(State& s, O o) { return vmx::saturating_subtract<i16>(s, o); }
BATON_SEMANTICS Flow vsubsws(State& s, O o) { return vmx::saturating_subtract<i32>(s, o); }
BATON_SEMANTICS Flow vaddcuw(State& s, O o) { return vmx::binary<u32>(s, o, vmx::kCarryOut); }
BATON_SEMANTICS Flow vsubcuw(State& s, O o) { return vmx::binary<u32>(s, o, vmx::kNoBorrow); }

// Averages, greatest, least
BATON_SEMANTICS Flow vavgub(State& s, O o) { return vmx::binary<u8>(s, o, vmx::kAverage); }
BATON_SEMANTICS Flow vavguh(State& s, O o) { return vmx::binary<u16>(s, o, vmx::kAverage); }
BATON_SEMANTICS Flow vavguw(State& s, O o) { return vmx::binary<u32>(s, o, vmx::kAverage); }
BATON_SEMANTICS Flow vavgsb(State& s, O o) { return vmx::binary<i8>(s, o, vmx::kAverage); }
BATON_SEMANTICS Flow vavgsh(State& s, O o) { return vmx::binary<i16>(s, o, vmx::kAverage); }
BATON_SEMANTICS Flow vavgsw(State& s, O o) { return vmx::binary<i32>(s, o, vmx::kAverage); }
BATON_SEMANTICS Flow vmaxub(State& s, O o) { return vmx::binary<u8>(s, o, vmx::kMaximum); }
BATON_SEMANTICS Flow vmaxuh(State& s, O o) { return vmx::binary<u16>(s, o, vmx::kMaximum); }
BATON_SEMANTICS Flow vmaxuw(State& s, O o) { return vmx::binary<u32>(s, o, vmx::kMaximum); }
BATON_SEMANTICS Flow vmaxsb(State& s, O o) { return vmx::binary<i8>(s, o, vmx::kMaximum); }
BATON_SEMANTICS Flow vmaxsh(State& s, O o) { return vmx::binary<i16>(s, o, vmx::kMaximum); }
BATON_SEMANTICS Flow vmaxsw(State& s, O o) { return vmx::binary<i32>(s, o, vmx::kMaximum); }
BATON_SEMANTICS Flow vminub(State& s, O o) { return vmx::binary<u8>(s, o, vmx::kMinimum); }
BATON_SEMANTICS Flow vminuh(State& s, O o) { return vmx::binary<u16>(s, o, vmx::kMinimum); }
BATON_SEMANTICS Flow vminuw(State& s, O o) { return vmx::binary<u32>(s, o, vmx::kMinimum); }
BATON_SEMANTICS Flow vminsb(State& s, O o) { return vmx::binary<i8>(s, o, vmx::kMinimum); }
BATON_SEMANTICS Flow vminsh(State& s, O o) { return vmx::binary<i16>(s, o, vmx::kMinimum); }
BATON_SEMANTICS Flow vminsw(State& s, O o) { return vmx::binary<i32>(s, o, vmx::kMinimum); }

// Products
BATON_SEMANTICS Flow vmuleub(State& s, O o) { return vmx::multiply_even<u8>(s, o); }
BATON_SEMANTICS Flow vmuleuh(State& s, O o) { return vmx::multiply_even<u16>(s, o); }
BATON_SEMANTICS Flow vmulesb(State& s, O o) { return vmx::multiply_even<i8>(s, o); }
BATON_SEMANTICS Flow vmulesh(State& s, O o) { return vmx::multiply_even<i16>(s, o); }
BATON_SEMANTICS Flow vmuloub(State& s, O o) { return vmx::multiply_odd<u8>(s, o); }
BATON_SEMANTICS Flow vmulouh(State& s, O o) { return vmx::multiply_odd<u16>(s, o); }
BATON_SEMANTICS Flow vmulosb(State& s, O o) { return vmx::multiply_odd<i8>(s, o); }
BATON_SEMANTICS Flow vmulosh(State& s, O o) { return vmx::multiply_odd<i16>(s, o); }
BATON_SEMANTICS Flow vmhaddshs(State& s, O o) { return vmx::multiply_high_add<0>(s, o); }
BATON_SEMANTICS Flow vmhraddshs(State& s, O o) { return vmx::multiply_high_add<0x4000>(s, o); }
BATON_SEMANTICS Flow vmladduhm(State& s, O o) {
  return vmx::ternary<u16>(s, o, [](auto a, auto b, auto c) BATON_VMX_OP { return a * b + c; });
}

// Sums of products
BATON_SEMANTICS Flow vmsumubm(State& s, O o) {
  return vmx::ternary<u32>(s, o, [](auto a, auto b, auto c) BATON_VMX_OP {
    return vmx::pairs<u16>(vmx::even<u8>(a) * vmx::even<u8>(b)) +
           vmx::pairs<u16>(vmx::odd<u8>(a) * vmx::odd<u8>(b)) + c;
  });
}
/// VRA is signed, VRB is not: their products fit 16 bits.
BATON_SEMANTICS Flow vmsummbm(State& s, O o) {
  return vmx::ternary<u32>(s, o, [](auto a, auto b, auto c) BATON_VMX_OP {
    const auto evens = vmx::even<i8>(a) * vmx::as<i16>(vmx::even<u8>(b));
    const auto odds = vmx::odd<i8>(a) * vmx::as<i16>(vmx::odd<u8>(b));
    return vmx::as<u32>(vmx::pairs<i16>(evens) + vmx::pairs<i16>(odds)) + c;
  });
}
BATON_SEMANTICS Flow vmsumuhm(State& s, O o) {
  return vmx::ternary<u32>(s, o, [](auto a, auto b, auto c) BATON_VMX_OP {
    return vmx::even<u16>(a) * vmx::even<u16>(b) + vmx::odd<u16>(a) * vmx::odd<u16>(b) + c;
  });
}
BATON_SEMANTICS Flow vmsumshm(State& s, O o) {
  return vmx::ternary<u32>(s, o, [](auto a, auto b, auto c) BATON_VMX_OP {
    return vmx::as<u32>(vmx::even<i16>(a) * vmx::even<i16>(b)) +
           vmx::as<u32>(vmx::odd<i16>(a) * vmx::odd<i16>(b)) + c;
  });
}
BATON_SEMANTICS Flow vmsumuhs(State& s, O o) {
  if (!vmx::available(s)) return vmx::unavailable(s);
  const auto a = vmx::get<u16>(s, o.b()), b = vmx::get<u16>(s, o.c());
  const auto evens = vmx::even<u16>(a) * vmx::even<u16>(b), odds = vmx::odd<u16>(a) * vmx::odd<u16>(b);
  const auto sum = vmx::add_saturated<u32>(s, evens, odds);
  return vmx::deliver(s, o.a(), vmx::add_saturated<u32>(s, sum, vmx::get<u32>(s, o.d())));
}
/// Saturated once: the sum of the products may need 33 bits before VRC brings it back.
BATON_SEMANTICS Flow vmsumshs(State& s, O o) {
  if (!vmx::available(s)) return vmx::unavailable(s);
  const auto a = vmx::get<i16>(s, o.b()), b = vmx::get<i16>(s, o.c());
  const auto evens = vmx::even<i16>(a) * vmx::even<i16>(b), odds = vmx::odd<i16>(a) * vmx::odd<i16>(b);
  return vmx::deliver(s, o.a(),
                      vmx::clamp<i32>(s, vmx::widen<i32>(evens) + vmx::widen<i32>(odds) +
                                             vmx::widen<i32>(vmx::get<i32>(s, o.d()))));
}

// Sums across
BATON_SEMANTICS Flow vsum4ubs(State& s, O o) {
  if (!vmx::available(s)) return vmx::unavailable(s);
  const auto sums = vmx::fours<u8>(vmx::get<u8>(s, o.b()));
  return vmx::deliver(s, o.a(), vmx::add_saturated<u32>(s, sums, vmx::get<u32>(s, o.c())));
}
BATON_SEMANTICS Flow vsum4sbs(State& s, O o) {
  if (!vmx::available(s)) return vmx::unavailable(s);
  const auto sums = vmx::fours<i8>(vmx::get<i8>(s, o.b()));
  return vmx::deliver(s, o.a(), vmx::add_saturated<i32>(s, sums, vmx::get<i32>(s, o.c())));
}
BATON_SEMANTICS Flow vsum4shs(State& s, O o) {
  if (!vmx::available(s)) return vmx::unavailable(s);
  const auto sums = vmx::pairs<i16>(vmx::get<i16>(s, o.b()));
  return vmx::deliver(s, o.a(), vmx::add_saturated<i32>(s, sums, vmx::get<i32>(s, o.c())));
}
BATON_SEMANTICS Flow vsum2sws(State& s, O o) {
  if (!vmx::available(s)) return vmx::unavailable(s);
  const auto a = vmx::get<i32>(s, o.b()), b = vmx::get<i32>(s, o.c());
  const u64 high = vmx::clamp_word(s, i64{a[3]} + a[2] + b[2]);
  const u64 low = vmx::clamp_word(s, i64{a[1]} + a[0] + b[0]);
  return vmx::deliver(s, o.a(), vmx::Lanes<u64>{low, high});
}
BATON_SEMANTICS Flow vsumsws(State& s, O o) {
  if (!vmx::available(s)) return vmx::unavailable(s);
  const auto a = vmx::get<i32>(s, o.b());
  const u64 sum = vmx::clamp_word(s, i64{a[3]} + a[2] + a[1] + a[0] + vmx::get<i32>(s, o.c())[0]);
  return vmx::deliver(s, o.a(), vmx::Lanes<u64>{sum, 0});
}

// Logic
BATON_SEMANTICS Flow vand(State& s, O o) {
  return vmx::binary<u64>(s, o, [](auto a, auto b) BATON_VMX_OP { return a & b; });
}
BATON_SEMANTICS Flow vandc(State& s, O o) {
  return vmx::binary<u64>(s, o, [](auto a, auto b) BATON_VMX_OP { return a & ~b; });
}
BATON_SEMANTICS Flow vor(State& s, O o) {
  return vmx::binary<u64>(s, o, [](auto a, auto b) BATON_VMX_OP { return a | b; });
}
BATON_SEMANTICS Flow vnor(State& s, O o) {
  return vmx::binary<u64>(s, o, [](auto a, auto b) BATON_VMX_OP { return ~(a | b); });
}
BATON_SEMANTICS Flow vxor(State& s, O o) {
  return vmx::binary<u64>(s, o, [](auto a, auto b) BATON_VMX_OP { return a ^ b; });
}

// Shifts within elements
BATON_SEMANTICS Flow vslb(State& s, O o) { return vmx::shift_left<u8>(s, o); }
BATON_SEMANTICS Flow vslh(State& s, O o) { return vmx::shift_left<u16>(s, o); }
BATON_SEMANTICS Flow vslw(State& s, O o) { return vmx::shift_left<u32>(s, o); }
BATON_SEMANTICS Flow vsrb(State& s, O o) { return vmx::shift_right<u8>(s, o); }
BATON_SEMANTICS Flow vsrh(State& s, O o) { return vmx::shift_right<u16>(s, o); }
BATON_SEMANTICS Flow vsrw(State& s, O o) { return vmx::shift_right<u32>(s, o); }
BATON_SEMANTICS Flow vsrab(State& s, O o) { return vmx::shift_right<i8>(s, o); }
BATON_SEMANTICS Flow vsrah(State& s, O o) { return vmx::shift_right<i16>(s, o); }
BATON_SEMANTICS Flow vsraw(State& s, O o) { return vmx::shift_right<i32>(s, o); }
BATON_SEMANTICS Flow vrlb(State& s, O o) { return vmx::rotate<u8>(s, o); }
BATON_SEMANTICS Flow vrlh(State& s, O o) { return vmx::rotate<u16>(s, o); }
BATON_SEMANTICS Flow vrlw(State& s, O o) { return vmx::rotate<u32>(s, o); }

// Compares
#define BATON_VMX_COMPARE(name, T, kOp)                    \
  template <class O, bool Rc>                              \
  [[gnu::always_inline]] inline Flow name(State& s, O o) { \
    return vmx::compare<T, Rc>(s, o, vmx::kOp);            \
  }
BATON_VMX_COMPARE(vcmpequb, u8, kEqual)
BATON_VMX_COMPARE(vcmpequh, u16, kEqual)
BATON_VMX_COMPARE(vcmpequw, u32, kEqual)
BATON_VMX_COMPARE(vcmpgtub, u8, kGreater)
BATON_VMX_COMPARE(vcmpgtuh, u16, kGreater)
BATON_VMX_COMPARE(vcmpgtuw, u32, kGreater)
BATON_VMX_COMPARE(vcmpgtsb, i8, kGreater)
BATON_VMX_COMPARE(vcmpgtsh, i16, kGreater)
BATON_VMX_COMPARE(vcmpgtsw, i32, kGreater)
#undef BATON_VMX_COMPARE

}  // namespace baton::cpu::sem
