// SPDX-License-Identifier: Apache-2.0
// One POWER6 hardware thread as the hypervisor sees it.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>

#include "cpu/domain.h"
#include "cpu/engine/interpreter.h"
#include "cpu/mmu/look_aside.h"
#include "cpu/pmu.h"
#include "cpu/state.h"

namespace baton::cpu {

namespace stencil {
class CodeCache;
struct Decoded;
}  // namespace stencil
namespace llvm_engine {
class Regions;
}

/// Why Thread::run came back.
enum class Exit {
  kHypercall,  ///< `sc 1`: token and arguments in r3.., state.nia is the instruction after it.
  kKicked,     ///< kick() was called, or the thread is stepping and one instruction is done.
  kBudget,     ///< The instruction budget is used up.
};

enum class Access { kLoad, kStore, kFetch };

/// What a data access asks of the storage that it finds (POWER6-ISA 4.7, 4.9).
enum class Use : u8 {
  kPlain,   ///< Any; aligned if the storage is cache-inhibited.
  kPart,    ///< Part of an access that crosses a page: never aligned.
  kAtomic,  ///< larx, stcx., lq, stq: neither cache-inhibited nor write-through.
  kBlock,   ///< dcbz: the same, but the interrupt is an alignment interrupt.
  kTouch,   ///< dcbst, dcbf, icbi: any, and no breakpoint.
};

/// What a translation gives, or the interrupt that it raises instead.
struct Translated {
  bool ok = false;
  u64 ra = 0;                  ///< Logical real address.
  bool inhibited = false;      ///< I=1.
  bool write_through = false;  ///< W=1.
  u8 page_shift = 12;          ///< Size of the page that was found.
  u32 ptex = kRealPtex;
  bool may_read = true;
  bool may_write = false;  ///< Access rights allow stores (C may still be clear).
  bool changed = false;    ///< C is set (always true in real mode).
  u8 key = 0;              ///< Storage key of the page.
  Vector vector = Vector::kNone;
  u32 cause = 0;   ///< DSISR or SRR1 bits.
  u64 update = 0;  ///< R and C bits that the access has to set in the entry.
  Hpte entry;
};

class Thread {
 public:
  /// `pir`: the interrupt server number of the thread. The domain must outlive it.
  Thread(Domain& domain, u32 pir, Alarm* alarm);
  ~Thread();
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;

  /// Runs guest code until there is something to do. Only the thread's own host thread calls it.
  /// Interrupts that are enabled and pending are delivered inside.
  Exit run(u64 max_instructions = kNoLimit);
  static constexpr u64 kNoLimit = ~u64{0};

  State& state() { return state_; }
  const State& state() const { return state_; }
  Domain& domain() { return domain_; }

  /// State at power-on or start-cpu: real mode, entry at `nia` with r3, everything else zero, SLB empty.
  void reset(u64 nia, u64 r3, bool sf);
  /// Has the host give memory for the code that will be executed first, all of it cold. Before run().
  void prepare();
  /// Call after the state was changed from outside run() (MSR, SLB, a restored snapshot): drops what is
  /// cached.
  void state_changed();
  /// Instructions completed since reset; exact when outside run(). Any thread may ask.
  u64 instructions() const { return state_.instructions.load(std::memory_order_relaxed); }
  /// Outside run(): true if no interrupt was delivered after the last instruction that was completed. Only
  /// then does instructions() say how far the thread is: one that cannot be completed does not count.
  bool instructions_tell() const { return instructions() != interrupted_at_; }

  // -- from any host thread
  void set_external(bool up);  ///< The external interrupt line of this thread (XICS).
  void alarm_expired();        ///< Alarm's answer.
  void decrementer_expired();  ///< DEC became negative.
  void kick();                 ///< Makes run() return kKicked soon; sticky until it does.
  void system_reset();         ///< Pends a 0x100 interrupt.
  /// True if an enabled interrupt would be taken now with MSR[EE]=1 (H_CEDE's test).
  bool interrupt_pending() const { return state_.lines.load(std::memory_order_seq_cst) != 0; }

  /// Outside run(): what run() would do before the next instruction.
  void take_interrupts();

  /// Enters the interrupt after `completed` instructions: SRR0/SRR1/MSR/NIA.
  void deliver(Vector vector, u64 srr0, u64 srr1_cause, u64 completed);

  // -- decrementer and time, as mtspr/mfspr see them
  u64 time_base() const { return domain_.clock().time_base(); }
  u32 dec() const;
  void set_dec(u32 value);
  /// Waits for DEC to become negative at State::dec_deadline.
  void arm_decrementer();
  /// Takes the decrementer's line down if DEC has run on until it is positive again. For the thread's own
  /// host thread, before it looks at the lines.
  void settle_decrementer();
  /// Data storage keys that may not be used; forgets only what it changes for.
  void set_amr(u64 value);
  /// PURR ticks (time-base units) while dispatched; hypervisor brackets dispatch with these.
  void dispatched();
  void undispatched();
  u64 purr() const;
  u64 spurr() const { return purr(); }
  void set_purr(u64 value);

  // -- performance monitor
  Pmu& pmu() { return pmu_; }
  /// Counts an event where it happens.
  void happened(Event event) { cpu::happened(state_, event); }
  void set_performance_monitor(bool up);  ///< The interrupt line: MMCR0[PMAO].
  void wake_pmu(u64 deadline);            ///< The monitor is polled once the time base is there.
  /// Makes code in this state look its pages up again.
  void forget_fetches(bool problem);

  // -- MMU
  /// Translates without side effects on R and C (hcalls, debugger).
  Translated translate(u64 ea, Access access) const;
  const SlbEntry* slb_find(u64 ea) const;  ///< nullptr: SLB miss.
  void slbmte(u64 rs, u64 rb);
  void slbie(u64 rb);
  void slbia();
  void flush_translations();

  // -- slow paths of the access functions (cpu/mmu/access.h)
  /// Host address for an access that stays inside one page, or nullptr with state().fault set. On success the
  /// TLB entry is filled as far as is allowed; storage that is watched, cache-inhibited or write-through
  /// never gets one. Stores to frames with code are made under the domain's code lock, followed by
  /// code_stored().
  u8* access_slow(u64 ea, u64 size, Access access, Use use, u64* ra);

  // -- safepoints (Domain's protocol)
  /// Odd while in guest code.
  std::atomic<u64> run_sequence{0};
  std::mutex tlb_lock;
  void enter_guest();
  void leave_guest();

  // -- used by the engine
  /// Compiled code of the thread was killed, maybe what it is executing.
  std::atomic<bool> code_killed{false};
  /// Makes page_ea and page_ops current for `ea`; false with a fault recorded.
  bool fetch_page(u64 ea);
  /// False if the translation of the page that is being executed was taken away. To be asked after the thread
  /// was outside guest code in the middle of an instruction.
  bool still_fetched() const {
    const u64 page = state_.page_ea >> 12;
    return state_.itlb[page & (kFetchEntries - 1)].tag.load(std::memory_order_seq_cst) == page;
  }
  /// Decodes the instructions from `op` of the current page on. Passes a safepoint.
  void decode(const Op* op);
  const EngineStatistics& statistics() const { return statistics_; }
  EngineStatistics& statistics() { return statistics_; }
  /// Has what is interpreted of the page decoded again, and compiled. Passes a safepoint.
  void compile_again(OpPage& page);
  /// Compiled runs of the page that hold the instruction are given up: it gets a way in of its own. Outside
  /// guest code; code lock held.
  void dissolve_runs(OpPage& page, u64 index);
  /// After a change of MSR: the translation mode and address width.
  void update_mode();

 private:
  friend class Domain;
  static constexpr unsigned kModes = 3;  ///< real, supervisor, problem state

  bool take_pending();
  /// Has the code at nia compiled by LLVM before it runs.
  void look_at_once();
  /// In virtual time: raises the decrementer's line once DEC is negative.
  void expire_in_virtual_time();
  /// In virtual time: State::instructions when DEC next changes its sign.
  u64 next_decrementer() const;
  /// The word at `ea` as an instruction; 0 if it cannot be fetched.
  u32 instruction_at(u64 ea) const;
  void deliver(Vector vector, u64 srr0, u64 srr1_cause) {
    deliver(vector, srr0, srr1_cause, state_.instructions.load(std::memory_order_relaxed));
  }
  void arm_alarm();
  /// What decode() has decoded, compiled by the stencil engine. Code lock held.
  void compile(OpPage& page, u64 first, std::span<const stencil::Decoded> instructions);
  u64 close_loop(const OpPage& page, u64 first, u64 count, std::span<stencil::Decoded> decoded) const;
  OpPage* op_page(u64 frame);
  /// The code cache is full: every compiled Op is decoded again. Code lock held.
  void forget_compiled();
  OpPage* known_op_page(u64 frame, OpPage::Kind kind);  ///< nullptr if there is none; code lock held.
  bool record(u64 ea, Access access, const Translated& t);
  /// True, and recorded, if the storage does not allow the use or DABR watches it.
  bool refused(u64 ea, u64 size, Access access, Use use, const Translated& t);
  bool watched_page(u64 ea) const;
  LookAside& look_aside();  ///< Of the current mode.
  unsigned fetch_mode() const;
  FetchLookAside& fetch_look_aside() { return (*itlb_)[fetch_mode()]; }  ///< Of the current mode.
  auto fetch_modes() { return std::span(*itlb_).first(fetch_modes_); }
  u8* access_uncached(u64 ea, u64 size, Access access, Use use, u64* ra);
  /// Clears entries of the translated modes that lie in the segment of an SLB entry.
  void forget_segment(const SlbEntry& entry);
  // Domain's side of the protocol; each takes tlb_lock.
  /// True if the thread may be using the entry: whatever it uses until its next safepoint left its number in
  /// the look-aside under tlb_lock.
  bool forget_ptex(u32 ptex, u64 first_page, u64 pages);
  void forget_write_tags();
  void forget_write_tags_of(u32 frame);

  Domain& domain_;
  Alarm* alarm_;
  State state_;
  std::unique_ptr<std::array<LookAside, kModes>> dtlb_;
  u32 keys_cached_ = 0;  ///< Storage keys of entries in dtlb_, perhaps of some that are gone.
  /// The modes with MSR[SF]=1, then with MSR[SF]=0, then with MSR[LE]. Nothing is in those that were never
  /// used.
  std::unique_ptr<std::array<FetchLookAside, 3 * kModes>> itlb_;
  u64 fetch_modes_ = kModes;  ///< How many of them have been used, all before those counted.
  /// Bound on op_pages_: 64 MB a thread.
  static constexpr u64 kMaxOpPages = 4096;
  /// By frame and kind (op_page_key()); guarded by the code lock.
  std::unordered_map<u64, std::unique_ptr<OpPage>> op_pages_;
  std::unique_ptr<stencil::CodeCache> code_cache_;  ///< With the stencil engine.
  std::unique_ptr<llvm_engine::Regions> regions_;   ///< With the LLVM engine.
  u64 interrupted_at_ = ~u64{0};                    ///< State::instructions at the latest interrupt.
  u64 purr_base_ = 0, purr_since_ = 0;
  bool dispatched_ = false;
  EngineStatistics statistics_;
  Pmu pmu_{*this};
  /// Time bases that the alarm is set for: the earlier one counts.
  static constexpr u64 kNoAlarm = ~u64{0};
  std::atomic<u64> decrementer_alarm_{kNoAlarm};
  u64 pmu_alarm_ = kNoAlarm;
};

}  // namespace baton::cpu
