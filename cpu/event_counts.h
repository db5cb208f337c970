// SPDX-License-Identifier: Apache-2.0
// What a hardware thread counts for its performance monitor while it runs (cpu/pmu.h).
#pragma once

#include "cpu/bits.h"

namespace baton::cpu {

/// What a counter can count. Those before kInstructions have a running total in EventCounts.
enum class Event : u8 {
  // One an instruction, counted by the engine on pages of the counting kind (OpPage::counted).
  kLoads,
  kStores,
  kBranches,
  // Counted where they happen.
  kDataLookasideMisses,   ///< A data access that the thread's look-aside did not answer.
  kFetchLookasideMisses,  ///< The same for instruction fetch.
  kTableReloads,          ///< A translation was taken from the hashed page table.
  kDataSlbMisses,
  kFetchSlbMisses,
  kSlbMisses,  ///< Both.
  kExternalInterrupts,
  kRunPeriods,  ///< CTRL[RUN] went from 0 to 1.
  kReservations,
  kConditionalStores,
  kConditionalStoresFailed,
  // Functions of what is counted or measured anyway.
  kInstructions,
  kCycles,
  kPurr,                 ///< Time-base ticks while dispatched.
  kTimeBaseTransitions,  ///< 0 to 1 of the time-base bit that MMCR0[TBSEL] names.
  kNothing,
};
inline constexpr unsigned kTotals = static_cast<unsigned>(Event::kInstructions);
/// The first so many events are the classes of instructions; bit n of a class mask is event n.
inline constexpr unsigned kInstructionClasses = 3;

struct EventCounts {
  u64 totals[kTotals] = {};
  /// Instruction count at which code on counting pages stops, for a counter that may overflow there.
  u64 stop_at = ~u64{0};
  /// Classes of the instruction that is being executed: counted when it is complete.
  u8 in_progress = 0;
  bool watching = false;  ///< Counters depend on MSR, or can overflow.
  bool resync = false;    ///< The kind of page to execute from has changed.
  u32 armed = 0;          ///< Events (1 << number) after which a counter may have overflowed.
};

}  // namespace baton::cpu
