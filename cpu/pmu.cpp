// SPDX-License-Identifier: Apache-2.0
#include "cpu/pmu.h"

#include <algorithm>

#include "cpu/isa/isa.h"
#include "cpu/thread.h"

namespace baton::cpu {
namespace {

using enum Event;

constexpr EventRow kRows[] = {
    {0x000002, kInstructions, false},
    {0x00001E, kCycles, false},
    {0x10000A, kCycles, true},
    {0x2000F4, kCycles, true},
    {0x10000B, kRunPeriods, false},
    {0x2000F5, kRunPeriods, false},
    {0x10000E, kPurr, false},
    {0x400010, kPurr, false},
    {0x4000F4, kPurr, true},
    {0x100026, kTimeBaseTransitions, false},
    {0x3000F8, kTimeBaseTransitions, false},
    {0x2000F8, kExternalInterrupts, false},
    {0x300010, kExternalInterrupts, false},
    {0x080082, kLoads, false},
    {0x280030, kLoads, false},
    {0x080086, kStores, false},
    {0x180032, kStores, false},
    {0x100054, kStores, false},
    {0x2000F0, kStores, false},
    {0x0410A0, kBranches, false},
    {0x0830EA, kReservations, false},
    {0x0830E6, kConditionalStores, false},
    {0x0830EE, kConditionalStoresFailed, false},
    {0x20000E, kDataLookasideMisses, false},
    {0x400007, kDataLookasideMisses, false},
    {0x0420CE, kFetchLookasideMisses, false},
    {0x0130E8, kTableReloads, false},
    {0x2000F6, kTableReloads, false},
    {0x3000FC, kTableReloads, false},
    {0x0830E8, kDataSlbMisses, false},
    {0x0830E0, kFetchSlbMisses, false},
    {0x183034, kSlbMisses, false},
};

constexpr u32 kNegative = 0x80000000;
constexpr u64 kNever = ~u64{0};
/// An overflow that is further away is waited for by time: no processor completes more than
/// this many a time-base tick.
constexpr u64 kNearInstructions = 1 << 18, kNearEvents = 1 << 12, kMostInstructionsPerTick = 8;

/// The selection of counter n in MMCR1 as event codes have it: counters 3 and 4 see the bytes of the event
/// bus in pairs the other way round.
u32 selection(u64 mmcr1, unsigned n) {
  const u32 psel = mmcr1 >> (24 - 8 * n) & 0xFF;
  return n >= 2 && (psel & 0x90) == 0x80 ? psel ^ 0x20 : psel;
}

bool selects(const EventRow& row, u64 mmcr1, unsigned n) {
  const u32 counter = row.code >> 20 & 7, unit = row.code >> 16 & 15, byte = row.code >> 12 & 3;
  if ((counter && counter != n + 1) || (row.code & 0xFF) != selection(mmcr1, n)) return false;
  // Load look-ahead never happens here: what counts in it counts nothing.
  if (mmcr1 >> (44 - n) & 1 && mmcr1 >> (39 - n) & 1) return false;
  return !unit || (mmcr1 >> (60 - 4 * byte) & 15) == unit;
}

bool is_class(Event event) { return static_cast<unsigned>(event) < kInstructionClasses; }
bool is_total(Event event) { return static_cast<unsigned>(event) < kTotals; }

/// The time-base bit of MMCR0[TBSEL], as a power of two.
unsigned selected_bit(u32 mmcr0) {
  constexpr unsigned kBits[] = {0, 8, 12, 16};  // bits 63, 55, 51, 47
  return kBits[(mmcr0 & mmcr0::TBSEL) / (mmcr0::TBSEL & -mmcr0::TBSEL)];
}

u64 scaled(u64 value, u64 by, u64 over) { return static_cast<u64>(u128{value} * by / over); }

}  // namespace

std::span<const EventRow> pmu_events() { return kRows; }

u8 instruction_classes(const isa::Row& row) {
  const std::string_view name = row.mnemonic;
  constexpr auto bit = [](Event event) { return static_cast<u8>(1 << static_cast<unsigned>(event)); };
  if (name.starts_with('b')) return bit(kBranches);
  if (name.starts_with("st") || name == "dcbz") return bit(kStores);
  return name.starts_with('l') && !name.starts_with("lvs") ? bit(kLoads) : 0;
}

State& Pmu::state() const { return thread_.state(); }

u64 Pmu::total(Event event, u64 completed) const {
  if (is_total(event)) return state().events.totals[static_cast<unsigned>(event)];
  switch (event) {
    case kInstructions:
      return completed;
    case kCycles:
      return scaled(thread_.purr(), thread_.domain().core_hz, kTimeBaseHz);
    case kPurr:
      return thread_.purr();
    case kTimeBaseTransitions: {
      const unsigned bit = selected_bit(state().mmcr0);
      return (thread_.time_base() + (u64{1} << bit)) >> (bit + 1);
    }
    default:
      return 0;
  }
}

void Pmu::settle(unsigned n, u64 completed) {
  Counter& counter = counters_[n];
  if (!counter.counting) return;
  const u64 now = total(counter.event, completed);
  state().pmc[n] += static_cast<u32>(now - counter.since);
  counter.since = now;
}

void Pmu::settle_all(u64 completed) {
  for (unsigned n = 0; n < kCounters; n++) settle(n, completed);
}

void Pmu::select_events() {
  for (unsigned n = 0; n < kProgrammable; n++) {
    const auto* row =
        std::ranges::find_if(kRows, [&](const EventRow& r) { return selects(r, state().mmcr1, n); });
    const bool found = row != std::end(kRows);
    counters_[n].event = found ? row->event : kNothing;
    counters_[n].run_only = found && row->run_only;
  }
  counters_[4] = {kInstructions, true, counters_[4].counting, counters_[4].since};
  counters_[5] = {kCycles, true, counters_[5].counting, counters_[5].since};
}

/// The freeze bits that concern the programmable counters, for a privilege state.
bool Pmu::counts_in(bool problem) const {
  const State& s = state();
  const u32 r = s.mmcr0;
  // Tags are never active outside IBM i.
  if (r & (mmcr0::FC | mmcr0::FCTI) || r & (problem ? mmcr0::FCP : mmcr0::FCS)) return false;
  if (r & (s.msr & msr::PMM ? mmcr0::FCM1 : mmcr0::FCM0)) return false;
  return !(r & mmcr0::FCWAIT) || s.ctrl & 1;
}

bool Pmu::can_count(unsigned n) const {
  const State& s = state();
  const Counter& counter = counters_[n];
  if (counter.event == kNothing || (counter.run_only && !(s.ctrl & 1))) return false;
  if (n >= kProgrammable) return !(s.mmcr0 & mmcr0::FC56);
  return counts_in(s.msr & msr::PR) && !(n > 0 && s.mmcr0 & mmcr0::TRIGGER);
}

void Pmu::configure(u64 completed) {
  State& s = state();
  bool programmed = false, classes = false;
  for (unsigned n = 0; n < kCounters; n++) {
    Counter& counter = counters_[n];
    counter.counting = can_count(n);
    if (counter.counting) counter.since = total(counter.event, completed);
    programmed |= n < kProgrammable && counter.event != kNothing;
    classes |= n < kProgrammable && is_class(counter.event);
  }
  const bool frozen = s.mmcr0 & mmcr0::FC;
  s.events.watching = !frozen && (programmed || s.mmcr0 & mmcr0::TBEE);
  bool detailed[2];
  for (const bool problem : {false, true})
    detailed[problem] = classes && !frozen && !(s.mmcr0 & (problem ? mmcr0::FCP : mmcr0::FCS));
  arm(completed);
  if (s.events.stop_at != kNever) detailed[(s.msr & msr::PR) != 0] = true;
  for (const bool problem : {false, true}) {
    if (detailed_[problem] == detailed[problem]) continue;
    detailed_[problem] = detailed[problem];
    thread_.forget_fetches(problem);
    s.events.resync = true;
  }
}

void Pmu::arm(u64 completed) {
  State& s = state();
  const u32 r = s.mmcr0;
  s.events.stop_at = kNever;
  s.events.armed = 0;
  const bool acts = r & (mmcr0::PMXE | mmcr0::FCECE | mmcr0::TRIGGER);
  if (!s.events.watching || !acts) return;
  u64 ticks = kNever;  // until something may have happened
  const auto until_transitions = [&](u64 many) {
    const unsigned bit = selected_bit(r);
    const u64 now = thread_.time_base(), have = (now + (u64{1} << bit)) >> (bit + 1);
    return ((have + many) << (bit + 1)) - (u64{1} << bit) - now;
  };
  for (unsigned n = 0; n < kProgrammable; n++) {
    const Counter& counter = counters_[n];
    const bool matters = r & (n ? mmcr0::PMCjCE : mmcr0::PMC1CE) || (n == 0 && r & mmcr0::TRIGGER);
    if (!counter.counting || !matters || s.pmc[n] & kNegative) continue;
    const u64 left = kNegative - s.pmc[n];
    if (is_class(counter.event)) {
      s.events.stop_at = std::min(s.events.stop_at, completed + left);
    } else if (is_total(counter.event)) {
      if (left <= kNearEvents)
        s.events.armed |= 1u << static_cast<unsigned>(counter.event);
      else
        ticks = std::min(ticks, left / kMostInstructionsPerTick);
    } else if (counter.event == kInstructions) {
      if (left <= kNearInstructions)
        s.events.stop_at = std::min(s.events.stop_at, completed + left);
      else
        ticks = std::min(ticks, left / kMostInstructionsPerTick);
    } else if (counter.event == kTimeBaseTransitions) {
      ticks = std::min(ticks, until_transitions(left));
    } else {
      ticks = std::min(
          ticks, counter.event == kPurr ? left : scaled(left, kTimeBaseHz, thread_.domain().core_hz) + 1);
    }
  }
  if (r & mmcr0::TBEE) ticks = std::min(ticks, until_transitions(1));
  if (ticks != kNever) thread_.wake_pmu(thread_.time_base() + ticks);
}

/// An enabled condition exists.
bool Pmu::condition() const {
  const State& s = state();
  if (s.mmcr0 & mmcr0::PMC1CE && s.pmc[0] & kNegative) return true;
  if (s.mmcr0 & mmcr0::PMCjCE)
    for (unsigned n = 1; n < kProgrammable; n++)
      if (s.pmc[n] & kNegative) return true;
  return s.mmcr0 & mmcr0::TBEE && total(kTimeBaseTransitions, 0) != transitions_seen_;
}

void Pmu::check(u64 completed, u64 at, bool problem) {
  State& s = state();
  const bool exists = condition();
  const u32 before = s.mmcr0;
  if (before & mmcr0::TRIGGER) {
    if (exists || s.pmc[0] & kNegative) s.mmcr0 &= ~mmcr0::TRIGGER;
  } else if (exists && before & mmcr0::FCECE) {
    s.mmcr0 |= mmcr0::FC;
  }
  if (exists && before & mmcr0::PMXE) {
    s.mmcr0 = (s.mmcr0 & ~mmcr0::PMXE) | mmcr0::PMAO;
    s.siar = at;
    s.mmcra = (s.mmcra & ~(mmcra::SDSYNC | mmcra::SIHV | mmcra::SIPR)) | (problem ? mmcra::SIPR : 0);
    thread_.set_performance_monitor(true);
  }
  transitions_seen_ = total(kTimeBaseTransitions, 0);
  configure(completed);
}

u32 Pmu::counter(unsigned n, u64 completed) {
  settle(n, completed);
  return state().pmc[n];
}

void Pmu::set_counter(unsigned n, u32 value, u64 completed) {
  if (n >= kProgrammable) return;  // Counters 5 and 6 only run.
  settle_all(completed);
  state().pmc[n] = value;
  check(completed, state().cia, false);
}

void Pmu::set_mmcr0(u32 value, u64 completed) {
  State& s = state();
  settle_all(completed);
  if ((s.mmcr0 ^ value) & (mmcr0::TBEE | mmcr0::TBSEL)) {
    s.mmcr0 = value;
    transitions_seen_ = total(kTimeBaseTransitions, 0);
  }
  s.mmcr0 = value;
  thread_.set_performance_monitor(value & mmcr0::PMAO);
  check(completed, s.cia, false);
}

void Pmu::set_mmcr1(u64 value, u64 completed) {
  settle_all(completed);
  state().mmcr1 = value;
  select_events();
  check(completed, state().cia, false);
}

void Pmu::set_ctrl(u64 value, u64 completed) {
  State& s = state();
  if (value & ~s.ctrl & 1) thread_.happened(kRunPeriods);
  settle_all(completed);
  s.ctrl = (s.ctrl & ~u64{1}) | (value & 1);
  check(completed, s.cia, false);
}

void Pmu::restored() {
  State& s = state();
  select_events();
  s.events.in_progress = 0;
  transitions_seen_ = total(kTimeBaseTransitions, 0);
  thread_.set_performance_monitor(s.mmcr0 & mmcr0::PMAO);
  configure(s.instructions.load(std::memory_order_relaxed));
}

void Pmu::mode_changed(u64 old, u64 completed, u64 at) {
  settle_all(completed);
  check(completed, at, old & msr::PR);
}

void Pmu::poll(u64 at) {
  State& s = state();
  const u64 completed = s.instructions.load(std::memory_order_relaxed);
  settle_all(completed);
  check(completed, at, s.msr & msr::PR);
  s.events.resync = false;  // Whoever polls looks the page up again.
}

void Pmu::dispatched() {
  // Not what was counted by time while somebody else had the processor.
  transitions_seen_ = total(kTimeBaseTransitions, 0);
  configure(state().instructions.load(std::memory_order_relaxed));
}

void Pmu::undispatched() { settle_all(state().instructions.load(std::memory_order_relaxed)); }

}  // namespace baton::cpu
