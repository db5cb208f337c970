// SPDX-License-Identifier: Apache-2.0
// What all VMX semantics are made of (see vector.h).
#pragma once

#include <immintrin.h>

#include <bit>
#include <type_traits>

#include "cpu/semantics/semantics.h"
#include "cpu/vmx/vmx.h"

namespace baton::cpu::sem::vmx {

#define BATON_VMX_INLINE [[gnu::always_inline]] inline

using namespace cpu::vmx;

BATON_VMX_INLINE bool available(const State& s) { return s.msr & msr::VEC; }
[[gnu::cold]] inline Flow unavailable(State& s) { return raise(s, Vector::kVmxUnavailable); }

/// The same bits as lanes of T.
template <class T, class V>
BATON_VMX_INLINE Lanes<T> as(V value) {
  return std::bit_cast<Lanes<T>>(value);
}

template <class T>
BATON_VMX_INLINE Lanes<T> get(const State& s, u64 number) {
  return *reinterpret_cast<const Lanes<T>*>(&s.vr[number]);
}
template <class V>
BATON_VMX_INLINE void put(State& s, u64 number, V value) {
  static_assert(sizeof(V) == 16);
  *reinterpret_cast<V*>(&s.vr[number]) = value;
}
template <class V>
BATON_VMX_INLINE Flow deliver(State& s, u64 number, V value) {
  put(s, number, value);
  return Flow::kNext;
}

/// Some bit is set.
template <class V>
BATON_VMX_INLINE bool any(V value) {
  const auto bits = std::bit_cast<__m128i>(value);
  return !_mm_testz_si128(bits, bits);
}
/// Every bit is set.
template <class V>
BATON_VMX_INLINE bool all(V value) {
  return _mm_test_all_ones(std::bit_cast<__m128i>(value));
}

template <class T>
BATON_VMX_INLINE Lanes<T> splat(T value) {
  return Lanes<T>{} + value;
}

/// What an instruction does to its operands: `[](auto a) BATON_VMX_OP { return ...; }`.
#define BATON_VMX_OP __attribute__((always_inline))

/// Instructions of one, two and three operands: `op` makes the result from lanes of T.
template <class T, class O, class Op>
BATON_VMX_INLINE Flow unary(State& s, O o, Op op) {
  if (!available(s)) return unavailable(s);
  return deliver(s, o.a(), op(get<T>(s, o.c())));
}
template <class T, class O, class Op>
BATON_VMX_INLINE Flow binary(State& s, O o, Op op) {
  if (!available(s)) return unavailable(s);
  return deliver(s, o.a(), op(get<T>(s, o.b()), get<T>(s, o.c())));
}
template <class T, class O, class Op>
BATON_VMX_INLINE Flow ternary(State& s, O o, Op op) {
  if (!available(s)) return unavailable(s);
  return deliver(s, o.a(), op(get<T>(s, o.b()), get<T>(s, o.c()), get<T>(s, o.d())));
}

/// VSCR[SAT], if a bit of `saturated` is set.
template <class V>
BATON_VMX_INLINE void saturate(State& s, V saturated) {
  if (__builtin_expect(any(saturated), 0)) s.vscr |= vscr::SAT;
}

/// CR6 of the Rc forms from lanes that are all ones or all zeros.
template <bool Rc, class V>
BATON_VMX_INLINE void record(State& s, V truth) {
  if constexpr (Rc) s.cr[6] = all(truth) ? 8 : any(truth) ? 0 : 2;
}

}  // namespace baton::cpu::sem::vmx
