// SPDX-License-Identifier: Apache-2.0
// Logical instructions, sign extension, counts (POWER6-ISA 4.2). Source RS is a(), target RA is b().
#pragma once

#include <bit>

#include "cpu/semantics/fixed_point.h"

namespace baton::cpu::sem {

template <class O, bool Rc>
[[gnu::always_inline]] inline void and_op(State& s, O o) {
  detail::result<Rc>(s, o.b(), s.gpr[o.a()] & s.gpr[o.c()]);
}
template <class O, bool Rc>
[[gnu::always_inline]] inline void or_op(State& s, O o) {
  detail::result<Rc>(s, o.b(), s.gpr[o.a()] | s.gpr[o.c()]);
}
template <class O, bool Rc>
[[gnu::always_inline]] inline void xor_op(State& s, O o) {
  detail::result<Rc>(s, o.b(), s.gpr[o.a()] ^ s.gpr[o.c()]);
}
template <class O, bool Rc>
[[gnu::always_inline]] inline void nand(State& s, O o) {
  detail::result<Rc>(s, o.b(), ~(s.gpr[o.a()] & s.gpr[o.c()]));
}
template <class O, bool Rc>
[[gnu::always_inline]] inline void nor(State& s, O o) {
  detail::result<Rc>(s, o.b(), ~(s.gpr[o.a()] | s.gpr[o.c()]));
}
template <class O, bool Rc>
[[gnu::always_inline]] inline void eqv(State& s, O o) {
  detail::result<Rc>(s, o.b(), ~(s.gpr[o.a()] ^ s.gpr[o.c()]));
}
template <class O, bool Rc>
[[gnu::always_inline]] inline void andc(State& s, O o) {
  detail::result<Rc>(s, o.b(), s.gpr[o.a()] & ~s.gpr[o.c()]);
}
template <class O, bool Rc>
[[gnu::always_inline]] inline void orc(State& s, O o) {
  detail::result<Rc>(s, o.b(), s.gpr[o.a()] | ~s.gpr[o.c()]);
}

// The shifted forms (oris, xoris, andis.) come here too: the immediate is 32 bits, zero-extended.
BATON_SEMANTICS void ori(State& s, O o) { s.gpr[o.b()] = s.gpr[o.a()] | static_cast<u32>(o.imm()); }
BATON_SEMANTICS void xori(State& s, O o) { s.gpr[o.b()] = s.gpr[o.a()] ^ static_cast<u32>(o.imm()); }
BATON_SEMANTICS void andi_rc(State& s, O o) {
  detail::result<true>(s, o.b(), s.gpr[o.a()] & static_cast<u32>(o.imm()));
}

template <class O, bool Rc>
[[gnu::always_inline]] inline void extsb(State& s, O o) {
  detail::result<Rc>(s, o.b(), static_cast<u64>(i64{static_cast<i8>(s.gpr[o.a()])}));
}
template <class O, bool Rc>
[[gnu::always_inline]] inline void extsh(State& s, O o) {
  detail::result<Rc>(s, o.b(), static_cast<u64>(i64{static_cast<i16>(s.gpr[o.a()])}));
}
template <class O, bool Rc>
[[gnu::always_inline]] inline void extsw(State& s, O o) {
  detail::result<Rc>(s, o.b(), static_cast<u64>(i64{static_cast<i32>(s.gpr[o.a()])}));
}
template <class O, bool Rc>
[[gnu::always_inline]] inline void cntlzw(State& s, O o) {
  detail::result<Rc>(s, o.b(), static_cast<u64>(std::countl_zero(static_cast<u32>(s.gpr[o.a()]))));
}
template <class O, bool Rc>
[[gnu::always_inline]] inline void cntlzd(State& s, O o) {
  detail::result<Rc>(s, o.b(), static_cast<u64>(std::countl_zero(s.gpr[o.a()])));
}

/// Ones in each byte.
BATON_SEMANTICS void popcntb(State& s, O o) {
  u64 x = s.gpr[o.a()];
  x -= x >> 1 & 0x5555555555555555;
  x = (x & 0x3333333333333333) + (x >> 2 & 0x3333333333333333);
  s.gpr[o.b()] = (x + (x >> 4)) & 0x0F0F0F0F0F0F0F0F;
}
/// Parity of the low bits of each word's bytes.
BATON_SEMANTICS void prtyw(State& s, O o) {
  u64 x = s.gpr[o.a()];
  x ^= x >> 16;
  x ^= x >> 8;
  s.gpr[o.b()] = x & 0x0000000100000001;
}
BATON_SEMANTICS void prtyd(State& s, O o) {
  u64 x = s.gpr[o.a()];
  x ^= x >> 32;
  x ^= x >> 16;
  x ^= x >> 8;
  s.gpr[o.b()] = x & 1;
}
/// 0xFF where the bytes of RS and RB are equal.
BATON_SEMANTICS void cmpb(State& s, O o) {
  const u64 differ = s.gpr[o.a()] ^ s.gpr[o.c()];
  constexpr u64 kLow = 0x7F7F7F7F7F7F7F7F;
  // The top bit of each byte says "differs": from the low seven by a carry that stays in the byte, or its
  // own.
  const u64 different = ((differ & kLow) + kLow) | differ;
  const u64 equal = ~different & ~kLow;
  s.gpr[o.b()] = (equal >> 7) * 0xFF;
}

}  // namespace baton::cpu::sem
