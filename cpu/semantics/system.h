// SPDX-License-Identifier: Apache-2.0
// System linkage, MSR, SPR, SLB and what belongs to the hypervisor (POWER6-ISA 2.1, 4.6, 4.14, 5).
// Privilege is checked by the engine from the instruction table's row, before the semantics run.
#pragma once

#include <utility>

#include "cpu/fpu/fpu.h"
#include "cpu/semantics/semantics.h"
#include "cpu/spr.h"
#include "cpu/thread.h"

namespace baton::cpu::sem {

/// Bits that mtmsrd takes from its source; rfid takes LE, too.
inline constexpr u64 kMsrWritable = msr::SF | msr::VEC | msr::EE | msr::PR | msr::FP | msr::FE0 | msr::SE |
                                    msr::BE | msr::FE1 | msr::IR | msr::DR | msr::PMM | msr::RI;
/// Problem state implies EE, IR and DR.
constexpr u64 with_problem_state(u64 msr) { return msr & msr::PR ? msr | msr::EE | msr::IR | msr::DR : msr; }

/// True if an interrupt that is waiting became possible.
inline bool interruptible(const State& s) {
  return (s.msr & msr::EE) && s.lines.load(std::memory_order_relaxed) != 0;
}

/// Instructions completed before the one at `cia`.
inline u64 completed(const State& s, u64 cia) {
  const u64 run = (cia - s.page_ea) / 4 - static_cast<u64>(s.run_start - s.page_ops);
  return s.instructions.load(std::memory_order_relaxed) + run;
}
/// Makes State::instructions count all that is completed before the one at `cia`.
inline void settle_count(State& s, u64 cia) {
  s.instructions.store(completed(s, cia), std::memory_order_relaxed);
  s.run_start = s.page_ops + (cia - s.page_ea) / 4;
}
/// What MSR says to the performance monitor.
inline constexpr u64 kMsrCounted = msr::PR | msr::PMM;

/// Ends an instruction after which pending interrupts must be looked at.
BATON_SEMANTICS Flow next_interruptible(State& s, O o) {
  if (__builtin_expect(!interruptible(s), 1)) return Flow::kNext;
  s.nia = (o.cia(s) + 4) & s.ea_mask;
  s.stop = Stop::kPending;
  return Flow::kStop;
}

/// Ends an instruction that changed how everything after it is translated or executed.
inline Flow resync(State& s, u64 nia) {
  s.nia = nia;
  s.stop = Stop::kPending;
  return Flow::kStop;
}

/// After MSR[FE0,FE1] were written: the interrupt of an exception that FPSCR enables, at nia.
inline Flow float_interrupt(State& s) {
  s.fault = {Vector::kProgram, program::kFloat | program::kNotTheCause, true};
  s.stop = Stop::kInterrupt;
  return Flow::kStop;
}

BATON_SEMANTICS Flow attn(State& s, O) { return illegal(s); }

BATON_SEMANTICS Flow sc(State& s, O o) {
  s.nia = (o.cia(s) + 4) & s.ea_mask;
  if (o.imm() & 1) {
    s.stop = Stop::kHypercall;
    return Flow::kStop;
  }
  if (s.msr & (msr::SE | msr::BE)) {
    // Not traced: an interrupt like any other.
    s.fault = {Vector::kSystemCall, 0, true};
    s.stop = Stop::kInterrupt;
    return Flow::kStop;
  }
  s.thread->deliver(Vector::kSystemCall, s.nia, 0, completed(s, o.cia(s)) + 1);
  return Flow::kBranch;
}

BATON_SEMANTICS Flow rfid(State& s, O o) {
  const u64 old = s.msr, at = o.cia(s), done = completed(s, at) + 1;
  constexpr u64 kReturned = kMsrWritable | msr::LE;
  s.msr = with_problem_state((old & ~kReturned) | (s.srr1 & kReturned));
  s.nia = s.srr0 & (s.msr & msr::SF ? ~u64{3} : 0xFFFFFFFC);
  s.thread->update_mode();
  if (__builtin_expect(s.events.watching, 0) && (old ^ s.msr) & kMsrCounted)
    s.thread->pmu().mode_changed(old, done, at);
  if (fpu::interrupt_due(s)) return float_interrupt(s);
  if (interruptible(s) || ((old | s.msr) & (msr::SE | msr::BE))) {
    s.stop = Stop::kResync;
    return Flow::kStop;
  }
  return Flow::kBranch;
}

BATON_SEMANTICS void mfmsr(State& s, O o) { s.gpr[o.a()] = s.msr; }

BATON_SEMANTICS Flow write_msr(State& s, O o, u64 value) {
  const u64 old = s.msr, nia = o.cia(s) + 4;
  s.msr = value;
  if (__builtin_expect(s.events.watching, 0) && (old ^ value) & kMsrCounted)
    s.thread->pmu().mode_changed(old, completed(s, o.cia(s)) + 1, o.cia(s));
  const bool replaced = std::exchange(s.events.resync, false);
  constexpr u64 kMode = msr::SF | msr::PR | msr::IR | msr::DR | msr::SE | msr::BE;
  if ((old ^ value) & kMode || replaced) {
    s.nia = nia & (value & msr::SF ? ~u64{0} : 0xFFFFFFFF);
    s.thread->update_mode();
    if (fpu::interrupt_due(s)) return float_interrupt(s);
    return resync(s, s.nia);
  }
  if (fpu::interrupt_due(s)) {
    s.nia = nia & s.ea_mask;
    return float_interrupt(s);
  }
  return next_interruptible(s, o);
}

BATON_SEMANTICS Flow mtmsrd(State& s, O o) {
  const u64 rs = s.gpr[o.a()];
  if (o.b() & 1) {
    constexpr u64 kOnly = msr::EE | msr::RI;
    s.msr = (s.msr & ~kOnly) | (rs & kOnly);
    return next_interruptible(s, o);
  }
  return write_msr(s, o, with_problem_state((s.msr & ~kMsrWritable) | (rs & kMsrWritable)));
}

BATON_SEMANTICS Flow mtmsr(State& s, O o) {
  if (o.b() & 1) return mtmsrd(s, o);
  constexpr u64 kLow = kMsrWritable & 0xFFFFFFFF;
  return write_msr(s, o, with_problem_state((s.msr & ~kLow) | (s.gpr[o.a()] & kLow)));
}

inline constexpr i64 kSprLr = 8, kSprCtr = 9;

BATON_SEMANTICS Flow mfspr(State& s, O o) {
  if (o.imm() == kSprLr) {
    s.gpr[o.a()] = s.lr;
  } else if (o.imm() == kSprCtr) {
    s.gpr[o.a()] = s.ctr;
  } else {
    u64 value;
    s.cia = o.cia(s);
    if (!read_spr(s, static_cast<u32>(o.imm()), value)) return Flow::kStop;
    s.gpr[o.a()] = value;
  }
  return Flow::kNext;
}

BATON_SEMANTICS Flow mftb(State& s, O o) {
  u64 value;
  s.cia = o.cia(s);
  if (!read_spr(s, static_cast<u32>(o.imm()), value)) return Flow::kStop;
  s.gpr[o.a()] = value;
  return Flow::kNext;
}

BATON_SEMANTICS Flow mtspr(State& s, O o) {
  if (o.imm() == kSprLr) {
    s.lr = s.gpr[o.a()];
  } else if (o.imm() == kSprCtr) {
    s.ctr = s.gpr[o.a()];
  } else {
    s.cia = o.cia(s);
    if (!write_spr(s, static_cast<u32>(o.imm()), s.gpr[o.a()])) return Flow::kStop;
    if (__builtin_expect(s.events.resync, 0)) {
      s.events.resync = false;
      return resync(s, (o.cia(s) + 4) & s.ea_mask);
    }
    return next_interruptible(s, o);
  }
  return Flow::kNext;
}

// ---- SLB

/// Ends an instruction that took segments away. Without a context synchronisation the code that follows might
/// still come from its old translation; here it never does, so that every engine does the same.
BATON_SEMANTICS Flow next_if_fetched(State& s, O o) {
  if (__builtin_expect(s.thread->still_fetched(), 1)) return Flow::kNext;
  return resync(s, (o.cia(s) + 4) & s.ea_mask);
}

BATON_SEMANTICS Flow slbmte(State& s, O o) {
  s.thread->slbmte(s.gpr[o.a()], s.gpr[o.c()]);
  return next_if_fetched(s, o);
}
BATON_SEMANTICS Flow slbie(State& s, O o) {
  s.thread->slbie(s.gpr[o.c()]);
  return next_if_fetched(s, o);
}
BATON_SEMANTICS Flow slbia(State& s, O o) {
  s.thread->slbia();
  return next_if_fetched(s, o);
}

inline constexpr u64 kSlbEntryValid = 0x08000000;

BATON_SEMANTICS void slbmfee(State& s, O o) {
  const SlbEntry& entry = s.slb[s.gpr[o.c()] & 63];
  s.gpr[o.a()] = entry.esid & kSlbEntryValid ? entry.esid : 0;
}
BATON_SEMANTICS void slbmfev(State& s, O o) {
  const SlbEntry& entry = s.slb[s.gpr[o.c()] & 63];
  s.gpr[o.a()] = entry.esid & kSlbEntryValid ? entry.vsid : 0;
}
BATON_SEMANTICS void slbfee_rc(State& s, O o) {
  const SlbEntry* entry = s.thread->slb_find(s.gpr[o.c()]);
  s.gpr[o.a()] = entry ? entry->vsid : 0;
  s.cr[0] = (entry ? 2 : 0) | s.xer_so;
}

/// The bridge to segment registers: SR n is the SLB entry n for ESID n.
inline void write_segment_register(State& s, unsigned n, u64 rs) {
  const u64 vsid = (rs & 0x07FFFFFF) << 12;
  const u64 protection = (rs >> 30 & 1) << 11 | (rs >> 29 & 1) << 10 | (rs >> 28 & 1) << 9;
  s.thread->slbmte(vsid | protection, u64{n} << 28 | kSlbEntryValid | n);
}
inline u64 read_segment_register(const State& s, unsigned n) {
  const u64 rs = s.slb[n].vsid;
  return (rs >> 12 & 0x07FFFFFF) | (rs >> 11 & 1) << 30 | (rs >> 10 & 1) << 29 | (rs >> 9 & 1) << 28;
}
BATON_SEMANTICS Flow mtsr(State& s, O o) {
  write_segment_register(s, o.b() & 15, s.gpr[o.a()]);
  return next_if_fetched(s, o);
}
BATON_SEMANTICS Flow mtsrin(State& s, O o) {
  write_segment_register(s, s.gpr[o.c()] >> 28 & 15, s.gpr[o.a()]);
  return next_if_fetched(s, o);
}
BATON_SEMANTICS void mfsr(State& s, O o) { s.gpr[o.a()] = read_segment_register(s, o.b() & 15); }
BATON_SEMANTICS void mfsrin(State& s, O o) {
  s.gpr[o.a()] = read_segment_register(s, s.gpr[o.c()] >> 28 & 15);
}

// ---- TLB: the partition's own cached translations may go at any time; the rest is the hypervisor's.
BATON_SEMANTICS Flow tlbiel(State& s, O o) {
  s.thread->flush_translations();
  return resync(s, (o.cia(s) + 4) & s.ea_mask);
}

// ---- quadwords: big-endian only

BATON_SEMANTICS Flow lq(State& s, O o) {
  const u64 at = ea(s, s.gpr[o.b()] + static_cast<u64>(o.imm()));
  if (at & 15 || little_endian(s)) return misaligned(s, at);
  u64 high, low;
  if (!load_quad(s, at, high, low)) return Flow::kStop;
  s.gpr[o.a()] = high;
  s.gpr[o.a() + 1] = low;
  return Flow::kNext;
}
BATON_SEMANTICS Flow stq(State& s, O o) {
  const u64 at = ea(s, s.gpr[o.b()] + static_cast<u64>(o.imm()));
  if (at & 15 || little_endian(s)) return misaligned(s, at);
  return store_quad(s, at, s.gpr[o.a()], s.gpr[o.a() + 1]) ? Flow::kNext : Flow::kStop;
}

}  // namespace baton::cpu::sem
