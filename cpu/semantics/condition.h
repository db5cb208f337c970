// SPDX-License-Identifier: Apache-2.0
// Condition register logic and moves (POWER6-ISA 2.3, 3).
#pragma once

#include "cpu/semantics/semantics.h"

namespace baton::cpu::sem {

namespace detail {

/// BT <- f(BA, BB); only bit 0 of what f returns counts.
template <class O, class F>
[[gnu::always_inline]] inline void cr_logic(State& s, O o, F f) {
  const u32 bt = o.a(), shift = 3 - (bt & 3);
  const u32 value = f(u32{cr_bit(s, o.b())}, u32{cr_bit(s, o.c())}) & 1;
  u8& field = s.cr[bt >> 2];
  field = static_cast<u8>((field & ~(1u << shift)) | value << shift);
}

}  // namespace detail

BATON_SEMANTICS void crand(State& s, O o) {
  detail::cr_logic(s, o, [](u32 x, u32 y) { return x & y; });
}
BATON_SEMANTICS void crandc(State& s, O o) {
  detail::cr_logic(s, o, [](u32 x, u32 y) { return x & ~y; });
}
BATON_SEMANTICS void creqv(State& s, O o) {
  detail::cr_logic(s, o, [](u32 x, u32 y) { return ~(x ^ y); });
}
BATON_SEMANTICS void crnand(State& s, O o) {
  detail::cr_logic(s, o, [](u32 x, u32 y) { return ~(x & y); });
}
BATON_SEMANTICS void crnor(State& s, O o) {
  detail::cr_logic(s, o, [](u32 x, u32 y) { return ~(x | y); });
}
BATON_SEMANTICS void cror(State& s, O o) {
  detail::cr_logic(s, o, [](u32 x, u32 y) { return x | y; });
}
BATON_SEMANTICS void crorc(State& s, O o) {
  detail::cr_logic(s, o, [](u32 x, u32 y) { return x | ~y; });
}
BATON_SEMANTICS void crxor(State& s, O o) {
  detail::cr_logic(s, o, [](u32 x, u32 y) { return x ^ y; });
}

BATON_SEMANTICS void mcrf(State& s, O o) { s.cr[o.a() >> 2] = s.cr[o.b() >> 2]; }
BATON_SEMANTICS void mfcr(State& s, O o) { s.gpr[o.a()] = get_cr(s); }
/// One field in its place. Everything else is undefined; we clear it, and take any set of fields.
BATON_SEMANTICS void mfocrf(State& s, O o) {
  u32 value = 0;
  for (unsigned i = 0; i < 8; i++)
    if (o.imm() >> (7 - i) & 1) value |= u32{s.cr[i]} << (28 - 4 * i);
  s.gpr[o.a()] = value;
}
BATON_SEMANTICS void mtcrf(State& s, O o) {
  const u32 value = static_cast<u32>(s.gpr[o.a()]);
  if (o.imm() == 0xFF) return set_cr(s, value);
  for (unsigned i = 0; i < 8; i++)
    if (o.imm() >> (7 - i) & 1) s.cr[i] = value >> (28 - 4 * i) & 15;
}
BATON_SEMANTICS void mtocrf(State& s, O o) { mtcrf(s, o); }

}  // namespace baton::cpu::sem
