// SPDX-License-Identifier: Apache-2.0
// The thread's priority, PPR[PRI] (POWER6-ISA 10): a hint, which nothing acts upon.
#pragma once

#include "cpu/semantics/semantics.h"

namespace baton::cpu::sem {

inline constexpr unsigned kPriorityShift = 50;

/// The level that `or n,n,n` asks for; 0: it is an ordinary instruction.
constexpr u64 priority_asked(u64 n) {
  constexpr u32 kUpToSeven = 0x73506420;
  return n == 31 ? 1 : n < 8 ? kUpToSeven >> 4 * n & 7 : 0;
}
/// Whether an `or` with these register numbers is a priority nop.
constexpr bool is_priority_nop(u64 a, u64 b, u64 c) { return a == b && a == c && priority_asked(a) != 0; }

/// Sets the level, if the state may: low to medium everybody, very low to high the supervisor.
[[gnu::always_inline]] inline void set_priority(State& s, u64 level) {
  const u32 allowed = problem_state(s) ? 0b0011100 : 0b1111110;
  if (allowed >> level & 1) s.ppr = level << kPriorityShift;
}

/// `or n,n,n`. Engines take it in place of or_op where is_priority_nop(), so that no other `or` pays for it.
BATON_SEMANTICS void priority_nop(State& s, O o) { set_priority(s, priority_asked(o.a())); }

}  // namespace baton::cpu::sem
