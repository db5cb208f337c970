// SPDX-License-Identifier: Apache-2.0
// Fixed-point arithmetic, compare, trap and BCD assist (POWER6-ISA 4.2, 4.3, 4.6).
// Oe and Rc say whether XER[OV,SO] and CR0 are written.
#pragma once

#include "cpu/semantics/semantics.h"

namespace baton::cpu::sem {

// Register numbers are passed on as u64: in a stencil they are relocation holes, and a narrower type would
// cost a mask.
namespace detail {

template <bool Rc>
[[gnu::always_inline]] inline void result(State& s, u64 to, u64 value) {
  s.gpr[to] = value;
  if constexpr (Rc) set_cr0(s, value);
}

inline void set_ov(State& s, bool overflow) {
  s.xer_ov = overflow;
  set_so(s, s.xer_so | overflow);
}

/// x + y + carry_in; CA and OV come from bit 0 or bit 32 of the adder by MSR[SF] (4.1). OV before CR0, which
/// copies SO.
template <bool Ca, bool Oe, bool Rc>
[[gnu::always_inline]] inline void add(State& s, u64 to, u64 x, u64 y, u64 carry_in) {
  u64 sum;
  const bool wrapped = __builtin_add_overflow(x, y, &sum);
  const bool wrapped_again = __builtin_add_overflow(sum, carry_in, &sum);
  if constexpr (Ca) {
    const bool carry32 = (x ^ y ^ sum) >> 32 & 1;
    s.xer_ca = sixty_four(s) ? wrapped | wrapped_again : carry32;
  }
  if constexpr (Oe) {
    const u64 overflow = (x ^ sum) & (y ^ sum);
    set_ov(s, overflow >> (sixty_four(s) ? 63 : 31) & 1);
  }
  result<Rc>(s, to, sum);
}

/// CR field of a comparison; `less` and `greater` exclude each other.
[[gnu::always_inline]] inline void compare(State& s, u64 field, bool less, bool greater) {
  s.cr[field] = static_cast<u8>(condition_of(less, greater) | s.xer_so);
}

/// TO is the five conditions <s, >s, =, <u, >u from its high bit down.
template <class Signed, class Unsigned>
[[gnu::always_inline]] inline Flow trap(State& s, u64 to, Signed x, Signed y) {
  const auto ux = static_cast<Unsigned>(x), uy = static_cast<Unsigned>(y);
  const u32 met =
      (x < y ? 16u : 0u) | (x > y ? 8u : 0u) | (x == y ? 4u : 0u) | (ux < uy ? 2u : 0u) | (ux > uy ? 1u : 0u);
  if (__builtin_expect((to & met) != 0, 0)) return raise(s, Vector::kProgram, program::kTrap);
  return Flow::kNext;
}

}  // namespace detail

// -- add and subtract. subf is ~RA + RB + 1, so CA is the carry of that, not a borrow.

/// addi, addis.
BATON_SEMANTICS void addi(State& s, O o) { s.gpr[o.a()] = s.gpr[o.b()] + static_cast<u64>(o.imm()); }
template <class O, bool Rc>
[[gnu::always_inline]] inline void addic(State& s, O o) {
  detail::add<true, false, Rc>(s, o.a(), s.gpr[o.b()], static_cast<u64>(o.imm()), 0);
}
BATON_SEMANTICS void subfic(State& s, O o) {
  detail::add<true, false, false>(s, o.a(), ~s.gpr[o.b()], static_cast<u64>(o.imm()), 1);
}
template <class O, bool Oe, bool Rc>
[[gnu::always_inline]] inline void add(State& s, O o) {
  detail::add<false, Oe, Rc>(s, o.a(), s.gpr[o.b()], s.gpr[o.c()], 0);
}
template <class O, bool Oe, bool Rc>
[[gnu::always_inline]] inline void addc(State& s, O o) {
  detail::add<true, Oe, Rc>(s, o.a(), s.gpr[o.b()], s.gpr[o.c()], 0);
}
template <class O, bool Oe, bool Rc>
[[gnu::always_inline]] inline void adde(State& s, O o) {
  detail::add<true, Oe, Rc>(s, o.a(), s.gpr[o.b()], s.gpr[o.c()], s.xer_ca);
}
template <class O, bool Oe, bool Rc>
[[gnu::always_inline]] inline void addme(State& s, O o) {
  detail::add<true, Oe, Rc>(s, o.a(), s.gpr[o.b()], ~u64{0}, s.xer_ca);
}
template <class O, bool Oe, bool Rc>
[[gnu::always_inline]] inline void addze(State& s, O o) {
  detail::add<true, Oe, Rc>(s, o.a(), s.gpr[o.b()], 0, s.xer_ca);
}
template <class O, bool Oe, bool Rc>
[[gnu::always_inline]] inline void subf(State& s, O o) {
  detail::add<false, Oe, Rc>(s, o.a(), ~s.gpr[o.b()], s.gpr[o.c()], 1);
}
template <class O, bool Oe, bool Rc>
[[gnu::always_inline]] inline void subfc(State& s, O o) {
  detail::add<true, Oe, Rc>(s, o.a(), ~s.gpr[o.b()], s.gpr[o.c()], 1);
}
template <class O, bool Oe, bool Rc>
[[gnu::always_inline]] inline void subfe(State& s, O o) {
  detail::add<true, Oe, Rc>(s, o.a(), ~s.gpr[o.b()], s.gpr[o.c()], s.xer_ca);
}
template <class O, bool Oe, bool Rc>
[[gnu::always_inline]] inline void subfme(State& s, O o) {
  detail::add<true, Oe, Rc>(s, o.a(), ~s.gpr[o.b()], ~u64{0}, s.xer_ca);
}
template <class O, bool Oe, bool Rc>
[[gnu::always_inline]] inline void subfze(State& s, O o) {
  detail::add<true, Oe, Rc>(s, o.a(), ~s.gpr[o.b()], 0, s.xer_ca);
}
template <class O, bool Oe, bool Rc>
[[gnu::always_inline]] inline void neg(State& s, O o) {
  detail::add<false, Oe, Rc>(s, o.a(), ~s.gpr[o.b()], 0, 1);
}

// -- multiply

BATON_SEMANTICS void mulli(State& s, O o) { s.gpr[o.a()] = s.gpr[o.b()] * static_cast<u64>(o.imm()); }
template <class O, bool Oe, bool Rc>
[[gnu::always_inline]] inline void mulld(State& s, O o) {
  const u64 x = s.gpr[o.b()], y = s.gpr[o.c()];
  if constexpr (Oe) {
    i64 product;
    detail::set_ov(s, __builtin_mul_overflow(static_cast<i64>(x), static_cast<i64>(y), &product));
  }
  detail::result<Rc>(s, o.a(), x * y);
}
template <class O, bool Oe, bool Rc>
[[gnu::always_inline]] inline void mullw(State& s, O o) {
  const i64 product = i64{static_cast<i32>(s.gpr[o.b()])} * static_cast<i32>(s.gpr[o.c()]);
  if constexpr (Oe) detail::set_ov(s, product != static_cast<i32>(product));
  detail::result<Rc>(s, o.a(), static_cast<u64>(product));
}
template <class O, bool Rc>
[[gnu::always_inline]] inline void mulhd(State& s, O o) {
  const i128 product = i128{static_cast<i64>(s.gpr[o.b()])} * static_cast<i64>(s.gpr[o.c()]);
  detail::result<Rc>(s, o.a(), static_cast<u64>(product >> 64));
}
template <class O, bool Rc>
[[gnu::always_inline]] inline void mulhdu(State& s, O o) {
  detail::result<Rc>(s, o.a(), static_cast<u64>(u128{s.gpr[o.b()]} * s.gpr[o.c()] >> 64));
}
// The upper word of mulhw, mulhwu, divw and divwu is undefined; we clear it.
template <class O, bool Rc>
[[gnu::always_inline]] inline void mulhw(State& s, O o) {
  const i64 product = i64{static_cast<i32>(s.gpr[o.b()])} * static_cast<i32>(s.gpr[o.c()]);
  detail::result<Rc>(s, o.a(), static_cast<u64>(product) >> 32);
}
template <class O, bool Rc>
[[gnu::always_inline]] inline void mulhwu(State& s, O o) {
  const u64 product = u64{static_cast<u32>(s.gpr[o.b()])} * static_cast<u32>(s.gpr[o.c()]);
  detail::result<Rc>(s, o.a(), product >> 32);
}

// -- divide: never an interrupt; an impossible quotient is undefined and is 0 here.

namespace detail {
template <class T, bool Oe, bool Rc>
[[gnu::always_inline]] inline void divide(State& s, u64 to, T dividend, T divisor) {
  using U = std::make_unsigned_t<T>;
  bool impossible = divisor == 0;
  if constexpr (std::is_signed_v<T>)
    impossible |= divisor == -1 && static_cast<U>(dividend) == U{1} << (sizeof(T) * 8 - 1);
  u64 quotient = 0;
  if (__builtin_expect(!impossible, 1)) quotient = static_cast<U>(dividend / divisor);
  if constexpr (Oe) set_ov(s, impossible);
  result<Rc>(s, to, quotient);
}
}  // namespace detail

template <class O, bool Oe, bool Rc>
[[gnu::always_inline]] inline void divd(State& s, O o) {
  detail::divide<i64, Oe, Rc>(s, o.a(), static_cast<i64>(s.gpr[o.b()]), static_cast<i64>(s.gpr[o.c()]));
}
template <class O, bool Oe, bool Rc>
[[gnu::always_inline]] inline void divdu(State& s, O o) {
  detail::divide<u64, Oe, Rc>(s, o.a(), s.gpr[o.b()], s.gpr[o.c()]);
}
template <class O, bool Oe, bool Rc>
[[gnu::always_inline]] inline void divw(State& s, O o) {
  detail::divide<i32, Oe, Rc>(s, o.a(), static_cast<i32>(s.gpr[o.b()]), static_cast<i32>(s.gpr[o.c()]));
}
template <class O, bool Oe, bool Rc>
[[gnu::always_inline]] inline void divwu(State& s, O o) {
  detail::divide<u32, Oe, Rc>(s, o.a(), static_cast<u32>(s.gpr[o.b()]), static_cast<u32>(s.gpr[o.c()]));
}

// -- compare: d() is 32 for words, 0 for doublewords.

namespace detail {
template <class Word, class Doubleword, class O>
[[gnu::always_inline]] inline void compare(State& s, O o, u64 x, u64 y) {
#ifdef BATON_REGION
  // d() is a constant there.
  if (o.d()) {
    const auto word_x = static_cast<Word>(x), word_y = static_cast<Word>(y);
    return compare(s, o.a(), word_x<word_y, word_x> word_y);
  }
#endif
  // Shifted up, words compare like doublewords.
  const auto wide_x = static_cast<Doubleword>(x << o.d()), wide_y = static_cast<Doubleword>(y << o.d());
  compare(s, o.a(), wide_x<wide_y, wide_x> wide_y);
}
}  // namespace detail

BATON_SEMANTICS void cmp(State& s, O o) { detail::compare<i32, i64>(s, o, s.gpr[o.b()], s.gpr[o.c()]); }
BATON_SEMANTICS void cmpl(State& s, O o) { detail::compare<u32, u64>(s, o, s.gpr[o.b()], s.gpr[o.c()]); }
BATON_SEMANTICS void cmpi(State& s, O o) {
  detail::compare<i32, i64>(s, o, s.gpr[o.b()], static_cast<u64>(o.imm()));
}
BATON_SEMANTICS void cmpli(State& s, O o) {
  detail::compare<u32, u64>(s, o, s.gpr[o.b()], static_cast<u64>(o.imm()));
}

// -- trap

BATON_SEMANTICS Flow tw(State& s, O o) {
  return detail::trap<i32, u32>(s, o.a(), static_cast<i32>(s.gpr[o.b()]), static_cast<i32>(s.gpr[o.c()]));
}
BATON_SEMANTICS Flow td(State& s, O o) {
  return detail::trap<i64, u64>(s, o.a(), static_cast<i64>(s.gpr[o.b()]), static_cast<i64>(s.gpr[o.c()]));
}
BATON_SEMANTICS Flow twi(State& s, O o) {
  return detail::trap<i32, u32>(s, o.a(), static_cast<i32>(s.gpr[o.b()]), static_cast<i32>(o.imm()));
}
BATON_SEMANTICS Flow tdi(State& s, O o) {
  return detail::trap<i64, u64>(s, o.a(), static_cast<i64>(s.gpr[o.b()]), o.imm());
}

// -- BCD assist

/// 6 in every digit position out of which RA + RB does not carry.
BATON_SEMANTICS void addg6s(State& s, O o) {
  const u64 x = s.gpr[o.b()], y = s.gpr[o.c()];
  u64 sum;
  const bool carry = __builtin_add_overflow(x, y, &sum);
  const u64 carries = (x ^ y ^ sum) >> 4 | u64{carry} << 60;
  s.gpr[o.a()] = (~carries & 0x1111111111111111) * 6;
}

namespace detail {

/// Three BCD digits (12 bits) to a declet (10 bits). A digit of 8 or 9 is "large" and needs only its low bit.
inline u32 bcd_to_dpd(u32 bcd) {
  const u32 x = bcd >> 8 & 15, y = bcd >> 4 & 15, z = bcd & 15;
  switch ((x >> 3) << 2 | (y >> 3) << 1 | z >> 3) {
    case 0:
      return x << 7 | y << 4 | z;
    case 1:
      return x << 7 | y << 4 | 8 | (z & 1);
    case 2:
      return x << 7 | (z & 6) << 4 | (y & 1) << 4 | 0xA | (z & 1);
    case 3:
      return x << 7 | 0x40 | (y & 1) << 4 | 0xE | (z & 1);
    case 4:
      return (z & 6) << 7 | (x & 1) << 7 | y << 4 | 0xC | (z & 1);
    case 5:
      return (y & 6) << 7 | (x & 1) << 7 | 0x20 | (y & 1) << 4 | 0xE | (z & 1);
    case 6:
      return (z & 6) << 7 | (x & 1) << 7 | (y & 1) << 4 | 0xE | (z & 1);
    default:
      return (x & 1) << 7 | 0x60 | (y & 1) << 4 | 0xE | (z & 1);
  }
}

/// A declet to three BCD digits; all 1024 declets have a value.
inline u32 dpd_to_bcd(u32 dpd) {
  const u32 pq = dpd >> 8 & 3, st = dpd >> 5 & 3;
  const u32 pqr = dpd >> 7 & 7, stu = dpd >> 4 & 7, wxy = dpd & 7, r = pqr & 1, u = stu & 1, y = dpd & 1;
  const auto digits = [](u32 first, u32 second, u32 third) { return first << 8 | second << 4 | third; };
  if (!(dpd & 8)) return digits(pqr, stu, wxy);
  switch (wxy >> 1) {
    case 0:
      return digits(pqr, stu, 8 | y);
    case 1:
      return digits(pqr, 8 | u, st << 1 | y);
    case 2:
      return digits(8 | r, stu, pq << 1 | y);
    default:
      break;
  }
  switch (st) {
    case 0:
      return digits(8 | r, 8 | u, pq << 1 | y);
    case 1:
      return digits(8 | r, pq << 1 | u, 8 | y);
    case 2:
      return digits(pqr, 8 | u, 8 | y);
    default:
      return digits(8 | r, 8 | u, 8 | y);
  }
}

}  // namespace detail

/// Six BCD digits of each word to two declets.
BATON_SEMANTICS void cbcdtd(State& s, O o) {
  const u64 bcd = s.gpr[o.a()];
  u64 dpd = 0;
  for (unsigned word = 0; word < 64; word += 32) {
    const u32 high = detail::bcd_to_dpd(bcd >> (word + 12) & 0xFFF);
    dpd |= u64{high << 10 | detail::bcd_to_dpd(bcd >> word & 0xFFF)} << word;
  }
  s.gpr[o.b()] = dpd;
}
/// Two declets of each word to six BCD digits.
BATON_SEMANTICS void cdtbcd(State& s, O o) {
  const u64 dpd = s.gpr[o.a()];
  u64 bcd = 0;
  for (unsigned word = 0; word < 64; word += 32) {
    const u32 high = detail::dpd_to_bcd(dpd >> (word + 10) & 0x3FF);
    bcd |= u64{high << 12 | detail::dpd_to_bcd(dpd >> word & 0x3FF)} << word;
  }
  s.gpr[o.b()] = bcd;
}

}  // namespace baton::cpu::sem
