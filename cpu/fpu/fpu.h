// SPDX-License-Identifier: Apache-2.0
// Binary floating point: FPSCR, and the part of the semantics that is too long to be inlined into every
// engine.
//
// State::fpscr is exact after every instruction: whoever reads it needs no synchronisation. Only inside a
// compiled region may bits of it be open (State::deferred).
#pragma once

#include "cpu/state.h"

namespace baton::cpu {

/// FPSCR bits (POWER6-ISA 2.4).
namespace fpscr {
inline constexpr u64 DRN = u64{7} << 32, FX = 0x80000000, FEX = 0x40000000, VX = 0x20000000, OX = 0x10000000,
                     UX = 0x08000000, ZX = 0x04000000, XX = 0x02000000, VXSNAN = 0x01000000,
                     VXISI = 0x00800000, VXIDI = 0x00400000, VXZDZ = 0x00200000, VXIMZ = 0x00100000,
                     VXVC = 0x00080000, FR = 0x00040000, FI = 0x00020000, FPRF = 0x0001F000, C = 0x00010000,
                     FPCC = 0x0000F000, VXSOFT = 0x400, VXSQRT = 0x200, VXCVI = 0x100, VE = 0x80, OE = 0x40,
                     UE = 0x20, ZE = 0x10, XE = 0x08, NI = 0x04, RN = 0x03;
/// Every cause of VX.
inline constexpr u64 kInvalid = VXSNAN | VXISI | VXIDI | VXZDZ | VXIMZ | VXVC | VXSOFT | VXSQRT | VXCVI;
/// The exception bits that software may set, and whose setting sets FX.
inline constexpr u64 kExceptions = kInvalid | OX | UX | ZX | XX;
/// Bits that hold what is written to them; FEX and VX are computed, the rest reads as zero.
inline constexpr u64 kWritable = DRN | FX | kExceptions | FR | FI | FPRF | VE | OE | UE | ZE | XE | NI | RN;
}  // namespace fpscr

namespace fpu {

enum class Op : u32 {
  kAdd,
  kSub,
  kMul,
  kDiv,
  kSqrt,
  kMadd,
  kMsub,
  kNmadd,
  kNmsub,
  kRound,
  kReciprocal,
  kReciprocalRoot,
  kFromInteger,
  kSingle = 0x100,  ///< ORed to the operation: round to single precision.
};
constexpr Op single(Op op) { return static_cast<Op>(static_cast<u32>(op) | static_cast<u32>(Op::kSingle)); }

enum class Rounding : u32 { kNearest, kZero, kUp, kDown, kNearestAway };

/// FPSCR with VX and FEX recomputed.
constexpr u64 summarise(u64 value) {
  value &= ~(fpscr::VX | fpscr::FEX);
  if (value & fpscr::kInvalid) value |= fpscr::VX;
  // Each of VX, OX, UX, ZX, XX lies 22 bits above its enable.
  if (value >> 22 & value & (fpscr::VE | fpscr::OE | fpscr::UE | fpscr::ZE | fpscr::XE)) value |= fpscr::FEX;
  return value;
}

/// An enabled exception is recorded and MSR asks for the interrupt. Whoever sets MSR[FE0] or MSR[FE1] (rfid,
/// mtmsr) asks this too: the interrupt is then program::kFloat | program::kNotTheCause at the next
/// instruction.
constexpr bool interrupt_due(const State& s) {
  return (s.fpscr & fpscr::FEX) != 0 && (s.msr & (msr::FE0 | msr::FE1)) != 0;
}

/// What fctiw leaves in the FPR. The upper word is undefined; this is what the older server cores put there.
constexpr u64 word_result(u32 word) { return u64{0xFFF80000} << 32 | word; }

/// Does an arithmetic instruction in integer arithmetic: any operands, any mode, all exceptions. FMA
/// operations compute a*c+b; kSqrt, kRound, kReciprocal*, and kFromInteger take b. Sets FPR `frt` and FPSCR.
Flow arithmetic(State& s, Op op, u32 frt, u64 a, u64 b, u64 c);
/// The same in a region that leaves FPSCR open, where the region's own arithmetic does not hold. What the
/// host still gives, exact zeros above all, is left open too.
Flow arithmetic_deferring(State& s, Op op, u32 frt, u64 a, u64 b, u64 c);
/// Brings FPSCR up to date with State::deferred. The instruction gave a normal number, or an exact zero, with
/// FPSCR[XX] set and rounding to nearest.
void settle_deferred(State& s);
/// A condition on FPSCR: under `mask` it is `value`.
struct FpscrMode {
  u64 mask, value;
};
/// Sticky bits cannot change but by what is not in the common case.
inline constexpr FpscrMode kDeferringMode{fpscr::XX | fpscr::XE | fpscr::RN, fpscr::XX};
/// fctiw and fctid with any operand.
Flow to_integer(State& s, bool word, Rounding rounding, u32 frt, u64 b);
/// frin, friz, frip, frim with any operand.
Flow to_integral(State& s, Rounding rounding, u32 frt, u64 b);
/// fcmpu, fcmpo when an operand is a NaN.
Flow compare_unordered(State& s, bool ordered, u32 crf, u64 a, u64 b);
/// Replaces the bits of FPSCR under `mask`; FX is taken as given.
Flow write_fpscr(State& s, u64 mask, u64 value);

}  // namespace fpu
}  // namespace baton::cpu
