// SPDX-License-Identifier: Apache-2.0
// The architected state of one POWER6 hardware thread, and what the engines keep beside it.
#pragma once

#include <atomic>

#include "cpu/bits.h"
#include "cpu/event_counts.h"

namespace baton::cpu {

class Thread;
struct OpPage;
struct Op;

/// MSR bits (POWER6-ISA 2.1).
namespace msr {
inline constexpr u64 SF = ibm_bit(0), HV = ibm_bit(3), VEC = ibm_bit(38), EE = ibm_bit(48), PR = ibm_bit(49),
                     FP = ibm_bit(50), ME = ibm_bit(51), FE0 = ibm_bit(52), SE = ibm_bit(53),
                     BE = ibm_bit(54), FE1 = ibm_bit(55), IR = ibm_bit(58), DR = ibm_bit(59),
                     PMM = ibm_bit(61), RI = ibm_bit(62), LE = ibm_bit(63);
}

/// Interrupt vectors as offsets from logical real address 0 (POWER6-ISA 6).
enum class Vector : u32 {
  kNone = 0,
  kSystemReset = 0x100,
  kMachineCheck = 0x200,
  kDataStorage = 0x300,
  kDataSegment = 0x380,
  kInstructionStorage = 0x400,
  kInstructionSegment = 0x480,
  kExternal = 0x500,
  kAlignment = 0x600,
  kProgram = 0x700,
  kFpUnavailable = 0x800,
  kDecrementer = 0x900,
  kSystemCall = 0xC00,
  kTrace = 0xD00,
  kPerformanceMonitor = 0xF00,
  kVmxUnavailable = 0xF20,
};

/// SRR1 cause bits of a program interrupt.
namespace program {
inline constexpr u64 kFloat = 0x00100000, kIllegal = 0x00080000, kPrivileged = 0x00040000, kTrap = 0x00020000,
                     kNotTheCause = 0x00010000;
}

/// DSISR bits of a data storage interrupt (SRR1 uses the same values for instruction storage).
namespace dsisr {
inline constexpr u32 kNoTranslation = 0x40000000, kNoExecute = 0x10000000, kProtection = 0x08000000,
                     kInhibited = 0x04000000, kStore = 0x02000000, kDabr = 0x00400000, kKey = 0x00200000;
}

/// What a semantic function tells its engine.
enum class Flow : u32 {
  kNext,    ///< Go on with the following instruction.
  kBranch,  ///< Go on at State::nia.
  kStop,    ///< Leave the engine; State::stop says why.
};

/// Why an engine returned to Thread::run.
enum class Stop : u32 {
  kNone,
  kInterrupt,  ///< State::fault is to be delivered; SRR0 is the current instruction (or nia if
               ///< fault.at_next).
  kHypercall,  ///< `sc 1`; nia is the instruction after it.
  kResync,     ///< Look everything up again at nia; the instruction that asks for it is never traced (rfid).
  kPending,    ///< The same, after any other instruction: State::pending is not zero, or the mode changed.
  kRetry,  ///< The instruction at cia has to be executed again: its translation went away meanwhile, or the
           ///< frame that it accesses was not in memory yet.
  kAgain,  ///< Inside the engine only: its store has killed compiled code, perhaps its own.
};

/// What FPSCR does not say yet, inside a compiled region only: FR, FI and FPRF of the last arithmetic
/// instruction, and what later ones change of that (fpu::settle_deferred).
struct DeferredFpscr {
  u32 op = 0;       ///< fpu::Op + 1 of the arithmetic instruction; 0 if FPSCR has its bits.
  u32 changes = 0;  ///< Any of those below.
  u64 a = 0, b = 0, c = 0;
  static constexpr u32 kFpcc = 1, kFrFi = 2;  ///< Bits 12 to 15, 17 and 18 are as in FPSCR.
};

/// An interrupt that an instruction raised and that is not yet delivered.
struct Fault {
  Vector vector = Vector::kNone;
  u64 srr1 = 0;          ///< Cause bits to be ORed into SRR1.
  bool at_next = false;  ///< SRR0 = nia (system call, trace) rather than the address of the instruction.
};

/// State::lines: interrupt conditions, whether enabled or not.
namespace line {
inline constexpr u32 kExternal = 1,  ///< XICS presents an interrupt.
    kDecrementer = 2,                ///< DEC has its sign bit set.
    kSystemReset = 4, kPerformanceMonitor = 8;
}

/// State::pending: any of these takes the engine to Thread::run at the next taken branch.
namespace pending {
inline constexpr u32 kLines = 1,  ///< A line came up: look whether it is enabled.
    kKick = 2,                    ///< run() is to return kKicked.
    kSafepoint = 4,               ///< Somebody waits for the thread to pass a safepoint (cpu::Domain).
    kStep = 8,                    ///< The thread executes one instruction.
    kBounded = 16,                ///< It is to come back when State::limit instructions are completed.
    kSample = 32;                 ///< Where is it? (cpu/engine/llvm)
}

/// SLB entry in the formats of `slbmte` (POWER6-ISA 7.2).
struct SlbEntry {
  u64 esid = 0;  ///< RB form: ESID, V (0x08000000); index bits zero.
  u64 vsid = 0;  ///< RS form: B, VSID, Ks, Kp, N, L, C, LP.
};

/// One entry of the data translation look-aside: tags are EA >> 12, or kNoTag.
struct TlbEntry {
  static constexpr u64 kNoTag = ~u64{0};
  std::atomic<u64> read_tag{kNoTag};
  std::atomic<u64> write_tag{kNoTag};  ///< Withheld from clean pages, pages that hold code, and C=0 pages.
  u64 addend = 0;                      ///< Host address = EA + addend.
  u32 ptex = 0;                        ///< HPTE index that it came from; kRealPtex for real mode.
  u32 frame = 0;                       ///< Logical real address >> 12.
};
inline constexpr u32 kRealPtex = ~u32{0};
inline constexpr u64 kTlbEntries = 16384;

/// Instruction look-aside: page of EA to OpPage.
struct FetchEntry {
  std::atomic<u64> tag{TlbEntry::kNoTag};
  OpPage* page = nullptr;
  u32 ptex = 0;  ///< HPTE index that it came from; kRealPtex for real mode.
};
inline constexpr u64 kFetchEntries = 1024;

/// Bytes from the beginning of State to what generated code keeps in a register beside it.
inline constexpr u64 kMiddle = 256;

/// Everything that an instruction can touch. Layout is plain so that generated code can address it.
struct State {
  u64 gpr[33] = {};  ///< gpr[32] is always 0: the decoder maps "RA|0 with RA = 0" to it.
  // -- what generated code touches most: the fields up to nia are less than 128 bytes behind kMiddle
  u64 lr = 0, ctr = 0;
  u8 cr[8] = {};                                         ///< One CR field each: LT 8, GT 4, EQ 2, SO 1.
  u8 xer_so = 0, xer_ov = 0, xer_ca = 0, xer_count = 0;  ///< xer_so: by set_so().
  /// What a comparison puts into a CR field, XER[SO] included: of what is equal, greater, less.
  u8 conditions[4] = {2, 4, 8};
  /// Where accesses look: an array of kTlbEntries for the current MSR[DR], MSR[PR]. With MSR[LE] one without
  /// any entry, so that every access takes the slow path, which knows of byte order.
  TlbEntry* dtlb = nullptr;
  // -- engine bookkeeping; see cpu/engine/interpreter.cpp
  u64 page_ea = 0;         ///< EA of the page that is being executed.
  Op* page_ops = nullptr;  ///< Predecoded instructions of that page.
  const Op* run_start = nullptr;
  /// Completed before run_start. Written by the owner only; others may read how far the thread is.
  std::atomic<u64> instructions{0};
  std::atomic<u32> pending{0};
  std::atomic<u32> lines{0};
  FetchEntry* itlb = nullptr;  ///< Array of kFetchEntries for the current MSR[IR], MSR[PR], MSR[LE], MSR[SF].
  u64 cfar = 0;
  u64 msr = 0;
  u64 slow_value = 0;     ///< Where the cold paths of storage accesses leave or find an operand.
  u64 nia = 0;            ///< Next instruction address; valid when the engine is left.
  u64 cia = 0;            ///< Address of the instruction that stopped the engine, or that moves an SPR.
  u64 ea_mask = ~u64{0};  ///< All ones with MSR[SF], else 0xFFFFFFFF.
  u64 limit = 0;  ///< With pending::kBounded. What comes behind it is at most a page of straight code.
  TlbEntry* translations =
      nullptr;       ///< What dtlb is without MSR[LE]: where the slow path keeps what it finds.
  u64 stack_at = 0;  ///< Of the host, in front of the call that entered compiled code (CodeFrames).
  Stop stop = Stop::kNone;
  Fault fault;
  Thread* thread = nullptr;
  EventCounts events;
  // -- floating point
  alignas(16) u64 fpr[32] = {};  ///< Double format bit patterns.
  u64 fpscr = 0;
  DeferredFpscr deferred;
  // -- vectors
  alignas(16) u128 vr[32] = {};  ///< As numbers: element 0 in the most significant bits.
  u32 vscr = 0;
  // -- interrupts and supervisor registers
  u64 srr0 = 0, srr1 = 0, dar = 0;
  u32 dsisr = 0;
  u64 sprg[4] = {};
  u64 dscr = 0, amr = 0, ppr = u64{4} << 50, ctrl = 1;
  u32 vrsave = 0;
  u64 dabr = 0, dabrx = 0;
  u64 mmcr1 = 0, mmcra = 0, siar = 0, sdar = 0;
  u32 mmcr0 = 0x80000000, pmc[6] = {};
  u64 dec_deadline = 0;  ///< Time-base value at which DEC goes from 0 to -1.
  SlbEntry slb[64];
  // -- reservation
  bool reserved = false;
  u32 reserved_size = 0;
  u64 reserved_ra = 0;     ///< Logical real address of the operand.
  u64 reserved_value = 0;  ///< What the load returned, host order.
  u32 pvr = 0x003E0301, pir = 0;
};

inline void set_so(State& s, bool so) {
  s.xer_so = so;
  for (u8& condition : s.conditions) condition = static_cast<u8>((condition & ~1) | s.xer_so);
}

/// Counts an event where it happens.
inline void happened(State& s, Event event) {
  const auto n = static_cast<unsigned>(event);
  s.events.totals[n]++;
  if (__builtin_expect(s.events.armed >> n & 1, 0)) s.pending.fetch_or(pending::kLines);
}

}  // namespace baton::cpu
