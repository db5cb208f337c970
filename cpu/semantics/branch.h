// SPDX-License-Identifier: Apache-2.0
// Branches (POWER6-ISA 4.5). Lk writes LR, also when the branch is not taken; Aa is an absolute target.
#pragma once

#include "cpu/semantics/semantics.h"

namespace baton::cpu::sem {

namespace detail {

[[gnu::always_inline]] inline Flow take(State& s, u64 from, u64 target) {
  s.cfar = from;
  s.nia = ea(s, target);
  return Flow::kBranch;
}
[[gnu::always_inline]] inline void link(State& s, u64 from) { s.lr = ea(s, from + 4); }

/// BO and BI: a() is BO, c() the CR field and d() the bit in it.
template <class O>
[[gnu::always_inline]] inline bool condition(const State& s, O o) {
  const u32 bo = o.a();
  return bo & 16 || ((s.cr[o.c()] & o.d()) != 0) == ((bo & 8) != 0);
}
/// The CTR half of BO: decrements unless BO says not to.
template <class O>
[[gnu::always_inline]] inline bool count(State& s, O o) {
  const u32 bo = o.a();
  if (bo & 4) return true;
  s.ctr--;
  return (ea(s, s.ctr) == 0) == ((bo & 2) != 0);
}

template <bool Aa, class O>
[[gnu::always_inline]] inline u64 target(O o, u64 from) {
  return static_cast<u64>(o.imm()) + (Aa ? 0 : from);
}

}  // namespace detail

template <class O, bool Lk, bool Aa>
[[gnu::always_inline]] inline Flow b(State& s, O o) {
  const u64 from = o.cia(s);
  if constexpr (Lk) detail::link(s, from);
  return detail::take(s, from, detail::target<Aa>(o, from));
}

template <class O, bool Lk, bool Aa>
[[gnu::always_inline]] inline Flow bc(State& s, O o) {
  const u64 from = o.cia(s);
  if constexpr (Lk) detail::link(s, from);
  const bool counted = detail::count(s, o);
  if (!counted || !detail::condition(s, o)) return Flow::kNext;
  return detail::take(s, from, detail::target<Aa>(o, from));
}

template <class O, bool Lk>
[[gnu::always_inline]] inline Flow bclr(State& s, O o) {
  const u64 from = o.cia(s), target = s.lr & ~u64{3};
  if constexpr (Lk) detail::link(s, from);
  const bool counted = detail::count(s, o);
  if (!counted || !detail::condition(s, o)) return Flow::kNext;
  return detail::take(s, from, target);
}

/// The form that decrements CTR is invalid; the decoder refuses it.
template <class O, bool Lk>
[[gnu::always_inline]] inline Flow bcctr(State& s, O o) {
  const u64 from = o.cia(s);
  if constexpr (Lk) detail::link(s, from);
  if (!detail::condition(s, o)) return Flow::kNext;
  return detail::take(s, from, s.ctr & ~u64{3});
}

// -- bc without LK and AA when BO is known at decode time: what nearly every conditional branch is. An engine
// may take these in place of bc; branch_kind() says which.

enum class BranchKind { kAny, kAlways, kIfTrue, kIfFalse, kCountNotZero, kCountZero };

/// For the BO field of bc, bclr and bcctr.
constexpr BranchKind branch_kind(u32 bo) {
  switch (bo & 0b10100) {
    case 0b10100:
      return BranchKind::kAlways;
    case 0b00100:
      return bo & 8 ? BranchKind::kIfTrue : BranchKind::kIfFalse;
    case 0b10000:
      return bo & 2 ? BranchKind::kCountZero : BranchKind::kCountNotZero;
    default:
      return BranchKind::kAny;
  }
}

inline constexpr u32 kBranchAlways = 0b10100;  ///< BO

namespace detail {
template <BranchKind Kind, class O>
[[gnu::always_inline]] inline bool taken(State& s, O o) {
  if constexpr (Kind == BranchKind::kAlways) return true;
  if constexpr (Kind == BranchKind::kIfTrue) return s.cr[o.c()] & o.d();
  if constexpr (Kind == BranchKind::kIfFalse) return !(s.cr[o.c()] & o.d());
  if constexpr (Kind == BranchKind::kCountNotZero) return ea(s, --s.ctr) != 0;
  if constexpr (Kind == BranchKind::kCountZero) return ea(s, --s.ctr) == 0;
  if constexpr (Kind == BranchKind::kAny) {
    const bool counted = count(s, o);
    return counted && condition(s, o);
  }
}
}  // namespace detail

template <class O, BranchKind Kind>
[[gnu::always_inline]] inline Flow bc_kind(State& s, O o) {
  if (!detail::taken<Kind>(s, o)) return Flow::kNext;
  const u64 from = o.cia(s);
  return detail::take(s, from, detail::target<false>(o, from));
}
template <class O, BranchKind Kind>
[[gnu::always_inline]] inline Flow bclr_kind(State& s, O o) {
  if (!detail::taken<Kind>(s, o)) return Flow::kNext;
  return detail::take(s, o.cia(s), s.lr & ~u64{3});
}

}  // namespace baton::cpu::sem
