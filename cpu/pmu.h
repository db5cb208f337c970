// SPDX-License-Identifier: Apache-2.0
// The performance monitor of POWER6 as a partition sees it (POWER6-ISA 9). The registers are in State.
//
// Every event has a total that only grows; a counter that counts remembers the total at which its register
// was last brought up to date. So counting costs nothing until a register is read, the machine state that a
// freeze bit names changes, or a counter may overflow. docs/power6-choices.md says what is counted and what
// is not.
#pragma once

#include <span>

#include "cpu/event_counts.h"

namespace baton::cpu {

class Thread;
struct State;
namespace isa {
struct Row;
}

/// MMCR0 (POWER6-ISA 9).
namespace mmcr0 {
inline constexpr u32 FC = 0x80000000, FCS = 0x40000000, FCP = 0x20000000, FCM1 = 0x10000000,
                     FCM0 = 0x08000000, PMXE = 0x04000000, FCECE = 0x02000000, TBSEL = 0x01800000,
                     TBEE = 0x00400000, PMC1CE = 0x8000, PMCjCE = 0x4000, TRIGGER = 0x2000, PMAO = 0x80,
                     SHRFC = 0x40, FC56 = 0x10, FCTI = 0x08, FCTA = 0x04, FCWAIT = 0x02, FCHV = 0x01;
}
/// MMCRA: the state that the sampled instruction ran in.
namespace mmcra {
inline constexpr u64 SDSYNC = 0x0000080000000000, SIHV = 0x0000040000000000, SIPR = 0x0000020000000000;
}

/// An event code of POWER6 and what it counts here. The code is what `perf` takes: counter (0: any of 1 to
/// 4), unit, byte and selection (POWER6-ISA 9).
struct EventRow {
  u32 code;
  Event event;
  bool run_only;  ///< Counts while CTRL[RUN]=1.
};
std::span<const EventRow> pmu_events();

/// The classes that an instruction counts in, as a mask of events.
u8 instruction_classes(const isa::Row& row);

/// Called by the thread's own host thread alone.
class Pmu {
 public:
  static constexpr unsigned kCounters = 6, kProgrammable = 4;

  explicit Pmu(Thread& thread) : thread_(thread) {}

  // -- registers; `completed` is the number of instructions that the values cover: up to the mfspr, or with
  // the mtspr
  u32 counter(unsigned n, u64 completed);  ///< PMC n+1, up to date.
  void set_counter(unsigned n, u32 value, u64 completed);
  void set_mmcr0(u32 value, u64 completed);
  void set_mmcr1(u64 value, u64 completed);
  void set_ctrl(u64 value, u64 completed);

  // -- the thread's life
  /// The registers were written from outside.
  void restored();
  /// MSR changed from `old` after `completed` instructions, the last of them at `at`.
  void mode_changed(u64 old, u64 completed, u64 at);
  /// Outside guest code: looks whether a counter has overflowed. `at` is the address for SIAR.
  void poll(u64 at);
  void dispatched();
  void undispatched();
  /// Code in this state executes from counting pages.
  bool counts_instructions(bool problem) const { return detailed_[problem]; }

 private:
  struct Counter {
    Event event = Event::kNothing;
    bool run_only = false;
    bool counting = false;
    u64 since = 0;  ///< Total of the event when the register was up to date.
  };

  State& state() const;
  u64 total(Event event, u64 completed) const;
  void settle(unsigned n, u64 completed);
  void settle_all(u64 completed);
  void select_events();
  bool counts_in(bool problem) const;
  bool can_count(unsigned n) const;
  /// Decides what counts from here on, and how an overflow will be noticed.
  void configure(u64 completed);
  void arm(u64 completed);
  /// Acts on conditions that exist: TRIGGER, FCECE, alert.
  void check(u64 completed, u64 at, bool problem);
  bool condition() const;

  Thread& thread_;
  Counter counters_[kCounters];
  bool detailed_[2] = {};  ///< By problem state.
  u64 transitions_seen_ = 0;
};

}  // namespace baton::cpu
