// SPDX-License-Identifier: Apache-2.0
// Integer loads and stores (POWER6-ISA 4.7, 4.8, 4.9). An access that faults leaves every register as it was;
// invalid update forms do not get here (cpu/isa decode).
#pragma once

#include <type_traits>

#include "cpu/semantics/semantics.h"

namespace baton::cpu::sem {

namespace detail {

template <class O>
[[gnu::always_inline]] inline u64 d_address(const State& s, O o) {
  return ea(s, s.gpr[o.b()] + static_cast<u64>(o.imm()));
}
template <class O>
[[gnu::always_inline]] inline u64 x_address(const State& s, O o) {
  return ea(s, s.gpr[o.b()] + s.gpr[o.c()]);
}

/// Loads a T, extended as T's signedness says. Update writes the address to b(), after the load has
/// succeeded.
template <class T, bool Update, class O>
[[gnu::always_inline]] inline Flow load_into(State& s, O o, u64 address) {
  std::make_unsigned_t<T> value;
  if (!load(s, address, value)) return Flow::kStop;
  s.gpr[o.a()] = static_cast<u64>(static_cast<T>(value));
  if constexpr (Update) s.gpr[o.b()] = address;
  return Flow::kNext;
}
template <class T, bool Update, class O>
[[gnu::always_inline]] inline Flow store_from(State& s, O o, u64 address) {
  if (!store(s, address, static_cast<T>(s.gpr[o.a()]))) return Flow::kStop;
  if constexpr (Update) s.gpr[o.b()] = address;
  return Flow::kNext;
}

}  // namespace detail

// D and DS forms.
BATON_SEMANTICS Flow lbz(State& s, O o) {
  return detail::load_into<u8, false>(s, o, detail::d_address(s, o));
}
BATON_SEMANTICS Flow lhz(State& s, O o) {
  return detail::load_into<u16, false>(s, o, detail::d_address(s, o));
}
BATON_SEMANTICS Flow lwz(State& s, O o) {
  return detail::load_into<u32, false>(s, o, detail::d_address(s, o));
}
BATON_SEMANTICS Flow ld(State& s, O o) {
  return detail::load_into<u64, false>(s, o, detail::d_address(s, o));
}
BATON_SEMANTICS Flow lha(State& s, O o) {
  return detail::load_into<i16, false>(s, o, detail::d_address(s, o));
}
BATON_SEMANTICS Flow lwa(State& s, O o) {
  return detail::load_into<i32, false>(s, o, detail::d_address(s, o));
}
BATON_SEMANTICS Flow lbzu(State& s, O o) {
  return detail::load_into<u8, true>(s, o, detail::d_address(s, o));
}
BATON_SEMANTICS Flow lhzu(State& s, O o) {
  return detail::load_into<u16, true>(s, o, detail::d_address(s, o));
}
BATON_SEMANTICS Flow lwzu(State& s, O o) {
  return detail::load_into<u32, true>(s, o, detail::d_address(s, o));
}
BATON_SEMANTICS Flow ldu(State& s, O o) {
  return detail::load_into<u64, true>(s, o, detail::d_address(s, o));
}
BATON_SEMANTICS Flow lhau(State& s, O o) {
  return detail::load_into<i16, true>(s, o, detail::d_address(s, o));
}
BATON_SEMANTICS Flow stb(State& s, O o) {
  return detail::store_from<u8, false>(s, o, detail::d_address(s, o));
}
BATON_SEMANTICS Flow sth(State& s, O o) {
  return detail::store_from<u16, false>(s, o, detail::d_address(s, o));
}
BATON_SEMANTICS Flow stw(State& s, O o) {
  return detail::store_from<u32, false>(s, o, detail::d_address(s, o));
}
BATON_SEMANTICS Flow std(State& s, O o) {
  return detail::store_from<u64, false>(s, o, detail::d_address(s, o));
}
BATON_SEMANTICS Flow stbu(State& s, O o) {
  return detail::store_from<u8, true>(s, o, detail::d_address(s, o));
}
BATON_SEMANTICS Flow sthu(State& s, O o) {
  return detail::store_from<u16, true>(s, o, detail::d_address(s, o));
}
BATON_SEMANTICS Flow stwu(State& s, O o) {
  return detail::store_from<u32, true>(s, o, detail::d_address(s, o));
}
BATON_SEMANTICS Flow stdu(State& s, O o) {
  return detail::store_from<u64, true>(s, o, detail::d_address(s, o));
}

// X forms.
BATON_SEMANTICS Flow lbzx(State& s, O o) {
  return detail::load_into<u8, false>(s, o, detail::x_address(s, o));
}
BATON_SEMANTICS Flow lhzx(State& s, O o) {
  return detail::load_into<u16, false>(s, o, detail::x_address(s, o));
}
BATON_SEMANTICS Flow lwzx(State& s, O o) {
  return detail::load_into<u32, false>(s, o, detail::x_address(s, o));
}
BATON_SEMANTICS Flow ldx(State& s, O o) {
  return detail::load_into<u64, false>(s, o, detail::x_address(s, o));
}
BATON_SEMANTICS Flow lhax(State& s, O o) {
  return detail::load_into<i16, false>(s, o, detail::x_address(s, o));
}
BATON_SEMANTICS Flow lwax(State& s, O o) {
  return detail::load_into<i32, false>(s, o, detail::x_address(s, o));
}
BATON_SEMANTICS Flow lbzux(State& s, O o) {
  return detail::load_into<u8, true>(s, o, detail::x_address(s, o));
}
BATON_SEMANTICS Flow lhzux(State& s, O o) {
  return detail::load_into<u16, true>(s, o, detail::x_address(s, o));
}
BATON_SEMANTICS Flow lwzux(State& s, O o) {
  return detail::load_into<u32, true>(s, o, detail::x_address(s, o));
}
BATON_SEMANTICS Flow ldux(State& s, O o) {
  return detail::load_into<u64, true>(s, o, detail::x_address(s, o));
}
BATON_SEMANTICS Flow lhaux(State& s, O o) {
  return detail::load_into<i16, true>(s, o, detail::x_address(s, o));
}
BATON_SEMANTICS Flow lwaux(State& s, O o) {
  return detail::load_into<i32, true>(s, o, detail::x_address(s, o));
}
BATON_SEMANTICS Flow stbx(State& s, O o) {
  return detail::store_from<u8, false>(s, o, detail::x_address(s, o));
}
BATON_SEMANTICS Flow sthx(State& s, O o) {
  return detail::store_from<u16, false>(s, o, detail::x_address(s, o));
}
BATON_SEMANTICS Flow stwx(State& s, O o) {
  return detail::store_from<u32, false>(s, o, detail::x_address(s, o));
}
BATON_SEMANTICS Flow stdx(State& s, O o) {
  return detail::store_from<u64, false>(s, o, detail::x_address(s, o));
}
BATON_SEMANTICS Flow stbux(State& s, O o) {
  return detail::store_from<u8, true>(s, o, detail::x_address(s, o));
}
BATON_SEMANTICS Flow sthux(State& s, O o) {
  return detail::store_from<u16, true>(s, o, detail::x_address(s, o));
}
BATON_SEMANTICS Flow stwux(State& s, O o) {
  return detail::store_from<u32, true>(s, o, detail::x_address(s, o));
}
BATON_SEMANTICS Flow stdux(State& s, O o) {
  return detail::store_from<u64, true>(s, o, detail::x_address(s, o));
}

// Byte-reversed.
namespace detail {
template <class T, class O>
[[gnu::always_inline]] inline Flow load_reversed(State& s, O o) {
  T value;
  if (!load(s, x_address(s, o), value)) return Flow::kStop;
  s.gpr[o.a()] = byteswap(value);
  return Flow::kNext;
}
template <class T, class O>
[[gnu::always_inline]] inline Flow store_reversed(State& s, O o) {
  return store(s, x_address(s, o), byteswap(static_cast<T>(s.gpr[o.a()]))) ? Flow::kNext : Flow::kStop;
}
}  // namespace detail
BATON_SEMANTICS Flow lhbrx(State& s, O o) { return detail::load_reversed<u16>(s, o); }
BATON_SEMANTICS Flow lwbrx(State& s, O o) { return detail::load_reversed<u32>(s, o); }
BATON_SEMANTICS Flow sthbrx(State& s, O o) { return detail::store_reversed<u16>(s, o); }
BATON_SEMANTICS Flow stwbrx(State& s, O o) { return detail::store_reversed<u32>(s, o); }

// -- multiple and string. Registers change only when every access has succeeded, so a fault can restart them,
// RA in the range or not. Stores may be done in part. None of them exists in little-endian mode.

BATON_SEMANTICS Flow lmw(State& s, O o) {
  const u32 first = o.a();
  const u64 address = s.gpr[o.b()] + static_cast<u64>(o.imm());
  if (little_endian(s)) return misaligned(s, ea(s, address));
  u32 words[32];
  for (u32 r = first; r < 32; r++)
    if (!load(s, ea(s, address + 4 * (r - first)), words[r])) return Flow::kStop;
  for (u32 r = first; r < 32; r++) s.gpr[r] = words[r];
  return Flow::kNext;
}
BATON_SEMANTICS Flow stmw(State& s, O o) {
  const u32 first = o.a();
  const u64 address = s.gpr[o.b()] + static_cast<u64>(o.imm());
  if (little_endian(s)) return misaligned(s, ea(s, address));
  for (u32 r = first; r < 32; r++)
    if (!store(s, ea(s, address + 4 * (r - first)), static_cast<u32>(s.gpr[r]))) return Flow::kStop;
  return Flow::kNext;
}

namespace detail {

/// `count` bytes (0..128) fill the low words of `first` and the registers after it, from the left; r31 is
/// followed by r0. The rest of the last word is zero.
inline Flow load_string(State& s, u32 first, u64 address, u32 count) {
  if (little_endian(s)) return misaligned(s, ea(s, address));
  u32 words[32];
  const u32 whole = count / 4, rest = count % 4;
  for (u32 i = 0; i < whole; i++)
    if (!load(s, ea(s, address + 4 * i), words[i])) return Flow::kStop;
  if (rest != 0) {
    words[whole] = 0;
    for (u32 i = 0; i < rest; i++) {
      u8 byte;
      if (!load(s, ea(s, address + 4 * whole + i), byte)) return Flow::kStop;
      words[whole] |= u32{byte} << (24 - 8 * i);
    }
  }
  for (u32 i = 0; i < whole + (rest != 0); i++) s.gpr[(first + i) & 31] = words[i];
  return Flow::kNext;
}
inline Flow store_string(State& s, u32 first, u64 address, u32 count) {
  if (little_endian(s)) return misaligned(s, ea(s, address));
  const u32 whole = count / 4, rest = count % 4;
  for (u32 i = 0; i < whole; i++)
    if (!store(s, ea(s, address + 4 * i), static_cast<u32>(s.gpr[(first + i) & 31]))) return Flow::kStop;
  const u32 last = static_cast<u32>(s.gpr[(first + whole) & 31]);
  for (u32 i = 0; i < rest; i++)
    if (!store(s, ea(s, address + 4 * whole + i), static_cast<u8>(last >> (24 - 8 * i)))) return Flow::kStop;
  return Flow::kNext;
}
/// NB of lswi and stswi: 0 means 32.
inline u32 string_bytes(u32 nb) { return nb == 0 ? 32 : nb; }

}  // namespace detail

BATON_SEMANTICS Flow lswi(State& s, O o) {
  return detail::load_string(s, o.a(), s.gpr[o.b()], detail::string_bytes(o.c()));
}
BATON_SEMANTICS Flow lswx(State& s, O o) {
  return detail::load_string(s, o.a(), s.gpr[o.b()] + s.gpr[o.c()], s.xer_count);
}
BATON_SEMANTICS Flow stswi(State& s, O o) {
  return detail::store_string(s, o.a(), s.gpr[o.b()], detail::string_bytes(o.c()));
}
BATON_SEMANTICS Flow stswx(State& s, O o) {
  return detail::store_string(s, o.a(), s.gpr[o.b()] + s.gpr[o.c()], s.xer_count);
}

// -- reservations: these, unlike other accesses, must be aligned.

namespace detail {
template <class T, class O>
[[gnu::always_inline]] inline Flow load_and_reserve(State& s, O o) {
  const u64 address = x_address(s, o);
  if (address % sizeof(T) != 0) return misaligned(s, address);
  T value;
  if (!load_reserve(s, address, value)) return Flow::kStop;
  s.gpr[o.a()] = value;
  return Flow::kNext;
}
template <class T, class O>
[[gnu::always_inline]] inline Flow store_if_reserved(State& s, O o) {
  const u64 address = x_address(s, o);
  if (address % sizeof(T) != 0) return misaligned(s, address);
  bool stored = false;
  if (!store_conditional(s, address, static_cast<T>(s.gpr[o.a()]), stored)) return Flow::kStop;
  s.cr[0] = static_cast<u8>((stored ? 2 : 0) | s.xer_so);
  return Flow::kNext;
}
}  // namespace detail
BATON_SEMANTICS Flow lwarx(State& s, O o) { return detail::load_and_reserve<u32>(s, o); }
BATON_SEMANTICS Flow ldarx(State& s, O o) { return detail::load_and_reserve<u64>(s, o); }
BATON_SEMANTICS Flow stwcx(State& s, O o) { return detail::store_if_reserved<u32>(s, o); }
BATON_SEMANTICS Flow stdcx(State& s, O o) { return detail::store_if_reserved<u64>(s, o); }

}  // namespace baton::cpu::sem
