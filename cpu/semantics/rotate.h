// SPDX-License-Identifier: Apache-2.0
// Shifts and rotates (POWER6-ISA 4.4). Source RS is a(), target RA is b().
#pragma once

#include <bit>

#include "cpu/semantics/fixed_point.h"

namespace baton::cpu::sem {

namespace detail {

/// The low word rotated, in both halves.
[[gnu::always_inline]] inline u64 rotate_word(u64 value, u32 by) {
  const u64 word = std::rotl(static_cast<u32>(value), static_cast<int>(by & 31));
  return word << 32 | word;
}
/// The 64-bit mask of an M-form: a wrapping one takes in the whole upper word.
template <class O>
[[gnu::always_inline]] inline u64 word_mask(O o) {
  return (u64{0} - o.d()) << 32 | static_cast<u32>(o.imm());
}
[[gnu::always_inline]] inline u64 rotate(u64 value, u64 by) {
  return std::rotl(value, static_cast<int>(by & 63));
}
/// MASK(first, last) of 64 bits.
[[gnu::always_inline]] inline u64 mask(u32 first, u32 last) {
  const u64 from = ~u64{0} >> first, to = ~u64{0} << (63 - last);
  return first <= last ? from & to : from | to;
}

}  // namespace detail

template <class O, bool Rc>
[[gnu::always_inline]] inline void rlwinm(State& s, O o) {
  detail::result<Rc>(s, o.b(), detail::rotate_word(s.gpr[o.a()], o.c()) & detail::word_mask(o));
}
template <class O, bool Rc>
[[gnu::always_inline]] inline void rlwnm(State& s, O o) {
  const u64 rotated = detail::rotate_word(s.gpr[o.a()], static_cast<u32>(s.gpr[o.c()]));
  detail::result<Rc>(s, o.b(), rotated & detail::word_mask(o));
}
template <class O, bool Rc>
[[gnu::always_inline]] inline void rlwimi(State& s, O o) {
  const u64 mask = detail::word_mask(o), rotated = detail::rotate_word(s.gpr[o.a()], o.c());
  detail::result<Rc>(s, o.b(), (rotated & mask) | (s.gpr[o.b()] & ~mask));
}
template <class O, bool Rc>
[[gnu::always_inline]] inline void rldicl(State& s, O o) {
  detail::result<Rc>(s, o.b(), detail::rotate(s.gpr[o.a()], static_cast<u64>(o.imm())) & (~u64{0} >> o.d()));
}
template <class O, bool Rc>
[[gnu::always_inline]] inline void rldicr(State& s, O o) {
  const u64 rotated = detail::rotate(s.gpr[o.a()], static_cast<u64>(o.imm()));
  detail::result<Rc>(s, o.b(), rotated & (~u64{0} << (63 - o.d())));
}
template <class O, bool Rc>
[[gnu::always_inline]] inline void rldic(State& s, O o) {
  const u32 by = static_cast<u32>(o.imm());
  detail::result<Rc>(s, o.b(), detail::rotate(s.gpr[o.a()], by) & detail::mask(o.d(), 63 - by));
}
template <class O, bool Rc>
[[gnu::always_inline]] inline void rldimi(State& s, O o) {
  const u32 by = static_cast<u32>(o.imm());
  const u64 mask = detail::mask(o.d(), 63 - by), rotated = detail::rotate(s.gpr[o.a()], by);
  detail::result<Rc>(s, o.b(), (rotated & mask) | (s.gpr[o.b()] & ~mask));
}
template <class O, bool Rc>
[[gnu::always_inline]] inline void rldcl(State& s, O o) {
  detail::result<Rc>(s, o.b(), detail::rotate(s.gpr[o.a()], s.gpr[o.c()]) & (~u64{0} >> o.d()));
}
template <class O, bool Rc>
[[gnu::always_inline]] inline void rldcr(State& s, O o) {
  detail::result<Rc>(s, o.b(), detail::rotate(s.gpr[o.a()], s.gpr[o.c()]) & (~u64{0} << (63 - o.d())));
}

// Word shifts: counts of 32..63 shift everything out, which a 64-bit shift by the same count gives for free.
template <class O, bool Rc>
[[gnu::always_inline]] inline void slw(State& s, O o) {
  detail::result<Rc>(s, o.b(), static_cast<u32>(s.gpr[o.a()] << (s.gpr[o.c()] & 63)));
}
template <class O, bool Rc>
[[gnu::always_inline]] inline void srw(State& s, O o) {
  detail::result<Rc>(s, o.b(), u64{static_cast<u32>(s.gpr[o.a()])} >> (s.gpr[o.c()] & 63));
}
template <class O, bool Rc>
[[gnu::always_inline]] inline void sld(State& s, O o) {
  const u64 by = s.gpr[o.c()];
  detail::result<Rc>(s, o.b(), by & 64 ? 0 : s.gpr[o.a()] << (by & 63));
}
template <class O, bool Rc>
[[gnu::always_inline]] inline void srd(State& s, O o) {
  const u64 by = s.gpr[o.c()];
  detail::result<Rc>(s, o.b(), by & 64 ? 0 : s.gpr[o.a()] >> (by & 63));
}

namespace detail {
/// CA says that a negative number lost ones: then the quotient by 2^count is result + CA.
template <bool Rc>
[[gnu::always_inline]] inline void shift_right_algebraic(State& s, u64 to, i64 value, u32 by) {
  // Without a branch: nobody can foresee it.
  s.xer_ca = (static_cast<u64>(value >> 63) & static_cast<u64>(value) & ~(~u64{0} << by)) != 0;
  result<Rc>(s, to, static_cast<u64>(value >> by));
}
}  // namespace detail

template <class O, bool Rc>
[[gnu::always_inline]] inline void sraw(State& s, O o) {
  detail::shift_right_algebraic<Rc>(s, o.b(), static_cast<i32>(s.gpr[o.a()]), s.gpr[o.c()] & 63);
}
template <class O, bool Rc>
[[gnu::always_inline]] inline void srawi(State& s, O o) {
  detail::shift_right_algebraic<Rc>(s, o.b(), static_cast<i32>(s.gpr[o.a()]), o.c());
}
template <class O, bool Rc>
[[gnu::always_inline]] inline void srad(State& s, O o) {
  const i64 value = static_cast<i64>(s.gpr[o.a()]);
  const u32 by = s.gpr[o.c()] & 127;
  if (by < 64) return detail::shift_right_algebraic<Rc>(s, o.b(), value, by);
  s.xer_ca = value < 0;
  detail::result<Rc>(s, o.b(), static_cast<u64>(value >> 63));
}
template <class O, bool Rc>
[[gnu::always_inline]] inline void sradi(State& s, O o) {
  const i64 value = static_cast<i64>(s.gpr[o.a()]);
  detail::shift_right_algebraic<Rc>(s, o.b(), value, static_cast<u32>(o.imm()));
}

}  // namespace baton::cpu::sem
