// SPDX-License-Identifier: Apache-2.0
// How an instruction's semantics is written (DESIGN 3): once, and compiled by every engine.
//
// Each row of the instruction table (cpu/isa/instructions.def) names one function template here:
//
//   template <class O> void add(State& s, O o);    cannot fault, falls through
//   template <class O> Flow lwz(State& s, O o);    may fault, branch or stop
//
// `O` gives the operands. The interpreter's O reads the predecoded Op; a stencil's O yields relocation holes;
// the bitcode's O yields arguments that LLVM makes constant. A semantic function must therefore use nothing
// of an instruction but O's accessors, keep no static data, and call only inline functions or the declared
// cold paths.
//
// Accessors (register numbers and immediates as unsigned unless said):
//   o.a() o.b() o.c() o.d()   the fields in instruction bits 6:10, 11:15, 16:20, 21:25. Where the table says
//                             "RA|0", b() is 32 for register 0, and State::gpr[32] is always zero.
//   o.imm()                   i64: SI, UI, SI<<16, DS/DQ displacement, branch displacement, SPR number
//   (unsplit),
//                             rotate mask in the low word, FXM, shift count of MD/XS forms, as the row's form
//                             says.
//   o.cia(s)                  address of the instruction.
#pragma once

#include "cpu/mmu/access.h"
#include "cpu/state.h"

#define BATON_SEMANTICS \
  template <class O>    \
  [[gnu::always_inline]] inline

namespace baton::cpu::sem {

/// Records an interrupt; the caller returns the result.
[[gnu::cold]] inline Flow raise(State& s, Vector vector, u64 srr1 = 0) {
  s.fault = {vector, srr1, false};
  s.stop = Stop::kInterrupt;
  return Flow::kStop;
}
inline Flow illegal(State& s) { return raise(s, Vector::kProgram, program::kIllegal); }
inline Flow privileged(State& s) { return raise(s, Vector::kProgram, program::kPrivileged); }
/// Alignment interrupt at `ea`. Thread::run puts what the instruction is into DSISR.
inline Flow misaligned(State& s, u64 ea) {
  s.dar = ea;
  return raise(s, Vector::kAlignment);
}
inline bool problem_state(const State& s) { return s.msr & msr::PR; }
inline bool little_endian(const State& s) { return s.msr & msr::LE; }
inline bool sixty_four(const State& s) { return s.msr & msr::SF; }

/// Storage addresses wrap at 2^32 with MSR[SF]=0.
inline u64 ea(const State& s, u64 address) { return address & s.ea_mask; }

#ifdef BATON_REGION
// What the bits say is seen by branches, too (cpu/engine/llvm/conditions.cpp).
extern "C" u8 baton_condition(bool less, bool greater) __attribute__((const));
inline u8 condition_of(bool less, bool greater) { return baton_condition(less, greater); }
#else
/// LT, GT or EQ, without SO; `less` and `greater` exclude each other.
constexpr u8 condition_of(bool less, bool greater) { return less ? 8 : greater ? 4 : 2; }
#endif

/// CR0 from a result and XER[SO] (POWER6-ISA 2.3).
inline void set_cr0(State& s, u64 result) {
  const i64 value = sixty_four(s) ? static_cast<i64>(result) : static_cast<i32>(result);
  s.cr[0] = static_cast<u8>(condition_of(value < 0, value > 0) | s.xer_so);
}

inline u32 get_cr(const State& s) {
  u32 value = 0;
  for (u8 f : s.cr) value = value << 4 | f;
  return value;
}
inline void set_cr(State& s, u32 value) {
  for (int i = 7; i >= 0; i--, value >>= 4) s.cr[i] = value & 15;
}
inline u64 get_xer(const State& s) {
  return u64{s.xer_so} << 31 | u64{s.xer_ov} << 30 | u64{s.xer_ca} << 29 | s.xer_count;
}
inline void set_xer(State& s, u64 value) {
  set_so(s, value >> 31 & 1);
  s.xer_ov = value >> 30 & 1;
  s.xer_ca = value >> 29 & 1;
  s.xer_count = value & 0x7F;
}
inline bool cr_bit(const State& s, unsigned bit) { return s.cr[bit >> 2] >> (3 - (bit & 3)) & 1; }

}  // namespace baton::cpu::sem
