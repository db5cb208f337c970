// SPDX-License-Identifier: Apache-2.0
#include "cpu/thread.h"

#include <utility>

#include "cpu/engine/llvm/regions.h"
#include "cpu/engine/stencil/code_cache.h"
#include "cpu/isa/isa.h"

namespace baton::cpu {
namespace {

constexpr u64 kSlbValid = 0x08000000;
constexpr u64 kOneTerabyte = 0x4000000000000000;
constexpr u64 kKs = 0x800, kKp = 0x400, kNoExecuteSegment = 0x200;
/// MSR bits that an interrupt replaces by its cause in SRR1 (POWER6-ISA 6): bits 33-36 and 42-47.
constexpr u64 kSrr1Cause = 0x783F0000;

constexpr u64 op_page_key(u64 frame, OpPage::Kind kind) { return frame << 3 | kind; }

constexpr u64 segment_mask(const SlbEntry& entry) {
  return entry.vsid & kOneTerabyte ? ~u64{0xFFFFFFFFFF} : ~u64{0x0FFFFFFF};
}
constexpr bool in_segment(const SlbEntry& entry, u64 ea) {
  return (entry.esid & kSlbValid) && !((entry.esid ^ ea) & segment_mask(entry));
}

struct Rights {
  bool read, write;
};
/// POWER6-ISA 7.5, table of step 4. `pp` = PP0 || PP.
constexpr Rights rights(unsigned pp, bool key) {
  switch (pp) {
    case 0:
      return {!key, !key};
    case 1:
      return {true, !key};
    case 2:
      return {true, true};
    case 3:
      return {true, false};
    case 6:
      return {!key, false};
    default:
      return {false, false};
  }
}

}  // namespace

Thread::Thread(Domain& domain, u32 pir, Alarm* alarm)
    : domain_(domain),
      alarm_(alarm),
      dtlb_(std::make_unique<std::array<LookAside, kModes>>()),
      itlb_(std::make_unique<std::array<FetchLookAside, 3 * kModes>>()) {
  state_.thread = this;
  state_.pir = pir;
  const EngineOptions& engine = domain_.engine();
  if (engine.engine != Engine::kInterpreter)
    code_cache_ = std::make_unique<stencil::CodeCache>(engine.code_cache_bytes);
  if (domain_.compiler())
    regions_ = std::make_unique<llvm_engine::Regions>(*this, *domain_.compiler(), engine.region_cache_bytes);
  domain_.add(this);
  reset(0, 0, true);
}

Thread::~Thread() { domain_.remove(this); }

void Thread::reset(u64 nia, u64 r3, bool sf) {
  State& s = state_;
  std::fill(std::begin(s.gpr), std::end(s.gpr), 0);
  std::fill(std::begin(s.fpr), std::end(s.fpr), 0);
  std::fill(std::begin(s.vr), std::end(s.vr), 0);
  std::fill(std::begin(s.cr), std::end(s.cr), 0);
  std::fill(std::begin(s.sprg), std::end(s.sprg), 0);
  std::fill(std::begin(s.pmc), std::end(s.pmc), 0);
  std::fill(std::begin(s.slb), std::end(s.slb), SlbEntry{});
  set_so(s, false);
  s.xer_ov = s.xer_ca = s.xer_count = 0;
  s.lr = s.ctr = s.fpscr = s.srr0 = s.srr1 = s.dar = s.cfar = s.dscr = s.amr = 0;
  s.dabr = s.dabrx = s.mmcr1 = s.mmcra = s.siar = s.sdar = 0;
  s.dsisr = s.vrsave = s.vscr = 0;
  s.mmcr0 = 0x80000000;
  s.ppr = u64{4} << 50;
  s.ctrl = 1;
  s.reserved = false;
  s.nia = nia;
  s.gpr[3] = r3;
  s.msr = msr::ME | (sf ? msr::SF : 0);
  s.instructions = 0;
  interrupted_at_ = ~u64{0};
  s.events = {};
  s.fault = {};
  s.stop = Stop::kNone;
  s.lines.store(0);
  s.pending.store(0);
  s.dec_deadline = ~u64{0} >> 1;
  purr_base_ = 0;
  dispatched_ = false;
  decrementer_alarm_ = pmu_alarm_ = kNoAlarm;
  state_changed();
}

void Thread::prepare() {
  isa::decode(0);                    // Its tables are made when they are asked first.
  constexpr u64 kPagesOfCode = 640;  // What Linux executes on two processors when it has arrived.
  OpPage::room().reserve(kPagesOfCode);
  if (!code_cache_) return;
  stencil::PageCode::room().reserve(kPagesOfCode);
  code_cache_->prepare();
}

void Thread::state_changed() {
  flush_translations();
  update_mode();
  pmu_.restored();
  if (state_.lines.load()) state_.pending.fetch_or(pending::kLines);
}

unsigned Thread::fetch_mode() const {
  const u64 now = state_.msr;
  const unsigned first = now & msr::LE ? 2 * kModes : now & msr::SF ? 0 : kModes;
  return first + (now & msr::IR ? (now & msr::PR ? 2 : 1) : 0);
}

void Thread::update_mode() {
  State& s = state_;
  s.translations = look_aside().entries();
  static std::array<TlbEntry, kTlbEntries> nothing;
  s.dtlb = s.msr & msr::LE ? nothing.data() : s.translations;
  if (const unsigned mode = fetch_mode(); __builtin_expect(mode >= fetch_modes_, 0)) {
    std::lock_guard lock(tlb_lock);
    fetch_modes_ = mode / kModes * kModes + kModes;
  }
  s.itlb = fetch_look_aside().entries();
  s.ea_mask = s.msr & msr::SF ? ~u64{0} : 0xFFFFFFFF;
  // A page that nia does not lie in, so that a branch to nia looks it up in the new mode.
  s.page_ea = ~s.nia;
  s.page_ops = nullptr;
}

void Thread::enter_guest() { run_sequence.fetch_add(1, std::memory_order_seq_cst); }
void Thread::leave_guest() { run_sequence.fetch_add(1, std::memory_order_seq_cst); }

Exit Thread::run(u64 max_instructions) {
  State& s = state_;
  const bool virtual_time = domain_.clock().counts_instructions();
  const u64 end = max_instructions == kNoLimit ? kNoLimit : s.instructions + max_instructions;
  for (;;) {
    const u32 asked = s.pending.exchange(0, std::memory_order_seq_cst);
    const bool kicked = asked & pending::kKick;
    // Before any interrupt is taken: it is the same place if it is reached in other steps.
    if (kicked || s.instructions >= end) {
      s.pending.fetch_or(asked & ~pending::kKick, std::memory_order_seq_cst);
      return kicked ? Exit::kKicked : Exit::kBudget;
    }
    if (regions_ && (asked & pending::kSample || regions_->anything_finished()))
      regions_->look(asked & pending::kSample);
    if (asked & pending::kLines && pmu_alarm_ <= time_base()) arm_alarm();
    take_interrupts();
    const u64 until = virtual_time ? std::min(end, next_decrementer()) : end;
    const u64 traced = s.msr & (msr::SE | msr::BE);
    const u64 completed = s.instructions;
    // Branch trace does not ask whether the branch is taken.
    const bool trace = traced & msr::SE || (traced && isa::is_branch(instruction_at(s.nia)));
    s.stop = Stop::kNone;
    if (regions_ && regions_->at_once()) look_at_once();
    enter_guest();
    if (!fetch_page(s.nia)) {
      s.cia = s.nia;
    } else if (traced || until - s.instructions <= kOpsPerPage) {
      interpret_one(s);
    } else {
      if (until != kNoLimit) {
        // Between two looks at the limit there is at most a page of straight code.
        s.limit = until - kOpsPerPage;
        s.pending.fetch_or(pending::kBounded);
      }
      interpret(s);
    }
    leave_guest();
    statistics_.stops[static_cast<std::size_t>(s.stop)]++;
    if (s.events.in_progress) finish_counting(s);
    if (s.stop == Stop::kHypercall) return Exit::kHypercall;
    if (s.stop == Stop::kInterrupt) {
      if (s.fault.vector == Vector::kAlignment) s.dsisr = isa::alignment_dsisr(instruction_at(s.cia));
      deliver(s.fault.vector, s.fault.at_next ? s.nia : s.cia, s.fault.srr1);
      s.fault = {};
    } else if (trace && s.stop == Stop::kPending && s.instructions != completed) {
      deliver(Vector::kTrace, s.nia, 0);
    }
  }
}

void Thread::take_interrupts() {
  State& s = state_;
  if (domain_.clock().counts_instructions() && time_base() >= s.dec_deadline) expire_in_virtual_time();
  if (s.events.watching) pmu_.poll(s.nia);
  take_pending();
}

void Thread::look_at_once() {
  enter_guest();
  const bool fetched = fetch_page(state_.nia);
  leave_guest();
  if (fetched) regions_->look(true);
}

void Thread::expire_in_virtual_time() {
  settle_decrementer();
  if (!(state_.lines.load() & line::kDecrementer) && time_base() >= state_.dec_deadline)
    decrementer_expired();
}

u64 Thread::next_decrementer() const {
  // While DEC is negative: when it becomes positive again.
  constexpr u64 kNegative = u64{1} << 31;
  const u64 now = time_base(), deadline = state_.dec_deadline;
  return state_.instructions + (deadline > now ? deadline : deadline + kNegative) - now;
}

bool Thread::take_pending() {
  State& s = state_;
  settle_decrementer();
  const u32 lines = s.lines.load(std::memory_order_seq_cst);
  if (!lines) return false;
  if (lines & line::kSystemReset) {
    s.lines.fetch_and(~line::kSystemReset);
    deliver(Vector::kSystemReset, s.nia, 0);
    return true;
  }
  if (!(s.msr & msr::EE)) return false;
  if (lines & line::kExternal) {
    deliver(Vector::kExternal, s.nia, 0);
  } else if (lines & line::kPerformanceMonitor) {
    deliver(Vector::kPerformanceMonitor, s.nia, 0);
  } else {
    deliver(Vector::kDecrementer, s.nia, 0);
  }
  return true;
}

void Thread::deliver(Vector vector, u64 srr0, u64 srr1_cause, u64 completed) {
  State& s = state_;
  interrupted_at_ = completed;
  if (vector == Vector::kExternal) happened(Event::kExternalInterrupts);
  if (vector == Vector::kDataSegment) happened(Event::kDataSlbMisses);
  if (vector == Vector::kInstructionSegment) happened(Event::kFetchSlbMisses);
  if (vector == Vector::kDataSegment || vector == Vector::kInstructionSegment) happened(Event::kSlbMisses);
  s.srr0 = srr0;
  s.srr1 = (s.msr & ~kSrr1Cause) | srr1_cause;
  const u64 old = s.msr;
  s.msr = (s.msr & (msr::ME | msr::HV)) | msr::SF;
  s.nia = static_cast<u64>(vector);
  update_mode();
  if (s.events.watching) pmu_.mode_changed(old, completed, srr0);
}

void Thread::set_external(bool up) {
  if (up) {
    state_.lines.fetch_or(line::kExternal, std::memory_order_seq_cst);
    state_.pending.fetch_or(pending::kLines, std::memory_order_seq_cst);
  } else {
    state_.lines.fetch_and(~line::kExternal, std::memory_order_seq_cst);
  }
}

void Thread::decrementer_expired() {
  state_.lines.fetch_or(line::kDecrementer, std::memory_order_seq_cst);
  state_.pending.fetch_or(pending::kLines, std::memory_order_seq_cst);
}

void Thread::alarm_expired() {
  if (time_base() >= decrementer_alarm_.load(std::memory_order_seq_cst)) decrementer_expired();
  // For the performance monitor; run() sets the alarm for what is left.
  state_.pending.fetch_or(pending::kLines, std::memory_order_seq_cst);
}

void Thread::arm_alarm() {
  const u64 now = time_base();
  if (pmu_alarm_ <= now) {
    pmu_alarm_ = kNoAlarm;
    state_.pending.fetch_or(pending::kLines, std::memory_order_seq_cst);
  }
  u64 decrementer = decrementer_alarm_.load(std::memory_order_seq_cst);
  if (decrementer <= now) {
    decrementer = kNoAlarm;
    decrementer_expired();
  }
  const u64 next = std::min(decrementer, pmu_alarm_);
  if (alarm_ && next != kNoAlarm) alarm_->arm(next);
}

void Thread::set_performance_monitor(bool up) {
  if (up) {
    state_.lines.fetch_or(line::kPerformanceMonitor, std::memory_order_seq_cst);
    state_.pending.fetch_or(pending::kLines, std::memory_order_seq_cst);
  } else {
    state_.lines.fetch_and(~line::kPerformanceMonitor, std::memory_order_seq_cst);
  }
}

void Thread::wake_pmu(u64 deadline) {
  // An alarm that comes too early costs a look, setting it to later costs the clock's lock each time.
  deadline = std::min(deadline, time_base() + (u64{1} << 31));
  if (!dispatched_ || (deadline >= pmu_alarm_ && pmu_alarm_ > time_base())) return;
  pmu_alarm_ = deadline;
  arm_alarm();
}

void Thread::kick() { state_.pending.fetch_or(pending::kKick, std::memory_order_seq_cst); }

void Thread::system_reset() {
  state_.lines.fetch_or(line::kSystemReset, std::memory_order_seq_cst);
  state_.pending.fetch_or(pending::kLines, std::memory_order_seq_cst);
}

u32 Thread::dec() const { return static_cast<u32>(state_.dec_deadline - 1 - time_base()); }

void Thread::set_dec(u32 value) {
  state_.dec_deadline = time_base() + static_cast<u64>(static_cast<i64>(static_cast<i32>(value))) + 1;
  if (value >> 31) return decrementer_expired();
  arm_decrementer();
}

void Thread::arm_decrementer() {
  State& s = state_;
  // The new alarm replaces the old one before the line goes down, so that the old one cannot raise it again;
  // the new one may have gone off in between.
  decrementer_alarm_.store(s.dec_deadline, std::memory_order_seq_cst);
  arm_alarm();
  s.lines.fetch_and(~line::kDecrementer, std::memory_order_seq_cst);
  if (time_base() >= s.dec_deadline) decrementer_expired();
}

void Thread::settle_decrementer() {
  State& s = state_;
  if (!(s.lines.load(std::memory_order_seq_cst) & line::kDecrementer)) return;
  const u64 now = time_base();
  const u32 dec = static_cast<u32>(s.dec_deadline - 1 - now);
  if (dec >> 31) return;
  s.dec_deadline = now + dec + 1;
  arm_decrementer();
}

void Thread::dispatched() {
  if (dispatched_) return;
  purr_since_ = time_base();
  dispatched_ = true;
  pmu_.dispatched();
}

void Thread::undispatched() {
  if (!dispatched_) return;
  pmu_.undispatched();
  if (std::exchange(pmu_alarm_, kNoAlarm) != kNoAlarm) arm_alarm();
  purr_base_ += time_base() - purr_since_;
  dispatched_ = false;
}

u64 Thread::purr() const { return purr_base_ + (dispatched_ ? time_base() - purr_since_ : 0); }

void Thread::set_purr(u64 value) {
  purr_base_ = value;
  purr_since_ = time_base();
}

// ---- translation

const SlbEntry* Thread::slb_find(u64 ea) const {
  for (const SlbEntry& entry : state_.slb)
    if (in_segment(entry, ea)) return &entry;
  return nullptr;
}

Translated Thread::translate(u64 ea, Access access) const {
  const State& s = state_;
  Translated t;
  const bool fetch = access == Access::kFetch;
  const auto fail = [&](u32 cause) {
    t.vector = fetch ? Vector::kInstructionStorage : Vector::kDataStorage;
    t.cause = cause | (access == Access::kStore ? dsisr::kStore : 0);
    return t;
  };
  if (!(s.msr & (fetch ? msr::IR : msr::DR))) {
    t.ra = ea & 0x0FFFFFFFFFFFFFFF;
    if (t.ra >= domain_.real_mode_limit || !domain_.memory().contains(t.ra & ~u64{0xFFF}, kFrameSize))
      return fail(dsisr::kProtection);
    t.ok = t.may_write = t.changed = true;
    return t;
  }
  const SlbEntry* slb = slb_find(ea);
  if (!slb) {
    t.vector = fetch ? Vector::kInstructionSegment : Vector::kDataSegment;
    return t;
  }
  if (fetch && (slb->vsid & kNoExecuteSegment)) return fail(dsisr::kNoExecute);
  const auto found = domain_.hpt().search(ea, slb->vsid);
  if (!found) return fail(dsisr::kNoTranslation);
  const u64 r = found->entry.r;
  if (fetch && (r & (pte::kNoExecute | pte::kGuarded))) return fail(dsisr::kNoExecute);
  const bool key = slb->vsid & (s.msr & msr::PR ? kKp : kKs);
  const Rights allowed = rights((r & pte::kPp0 ? 4 : 0) | (r & pte::kPp), key);
  if (access == Access::kStore ? !allowed.write : !allowed.read) return fail(dsisr::kProtection);
  u64 denied = 0;  // AMR pair of the page's key: 2 = stores, 1 = loads
  if (!fetch) {
    const unsigned storage_key = (r & pte::kKeyHigh) >> 57 | (r & pte::kKeyLow) >> 9;
    denied = s.amr >> (62 - 2 * storage_key) & 3;
    if (denied & (access == Access::kStore ? 2 : 1)) return fail(dsisr::kKey);
    t.key = static_cast<u8>(storage_key);
  }
  const u64 size_mask = (u64{1} << found->actual_shift) - 1;
  t.ra = (r & pte::kRpn & ~size_mask) | (ea & size_mask);
  if (!domain_.memory().contains(t.ra & ~u64{0xFFF}, kFrameSize)) return fail(dsisr::kNoTranslation);
  t.ok = true;
  t.inhibited = r & pte::kInhibited;
  t.write_through = r & pte::kWriteThrough;
  t.page_shift = found->actual_shift;
  t.ptex = static_cast<u32>(found->ptex);
  t.may_read = !(denied & 1);
  t.may_write = allowed.write && !(denied & 2);
  // R and C: the caller's use of the entry sets them (POWER6-ISA 7.5 step 6).
  t.changed = r & pte::kChanged;
  const u64 bits = pte::kReferenced | (access == Access::kStore ? pte::kChanged : 0);
  t.update = (r & bits) != bits ? bits : 0;
  t.entry = found->entry;
  return t;
}

/// Records the interrupt of a failed translation.
bool Thread::record(u64 ea, Access access, const Translated& t) {
  State& s = state_;
  s.stop = Stop::kInterrupt;
  s.fault = {t.vector, access == Access::kFetch ? t.cause : 0, false};
  if (access != Access::kFetch) {
    s.dar = ea;
    s.dsisr = t.cause;
  }
  return false;
}

bool Thread::watched_page(u64 ea) const {
  const State& s = state_;
  return s.dabrx & 3 && s.dabr & 3 && ((s.dabr ^ ea) & ~u64{0xFFF}) == 0;
}

bool Thread::refused(u64 ea, u64 size, Access access, Use use, const Translated& t) {
  State& s = state_;
  const bool store = access == Access::kStore;
  const auto stop = [&](Vector vector, u32 cause) {
    s.stop = Stop::kInterrupt;
    s.fault = {vector, 0, false};
    s.dar = ea;
    s.dsisr = cause | (store ? dsisr::kStore : 0);
    return true;
  };
  if (t.inhibited || t.write_through) {
    if (use == Use::kAtomic) return stop(Vector::kDataStorage, dsisr::kInhibited);
    if (use == Use::kBlock) return stop(Vector::kAlignment, 0);
    const bool unaligned = use == Use::kPart || (use == Use::kPlain && ea & (size - 1));
    if (t.inhibited && unaligned) return stop(Vector::kAlignment, 0);
  }
  if (use != Use::kTouch && watched_page(ea)) {
    const bool mode = s.dabrx & (s.msr & msr::PR ? 1 : 2);
    const bool kind = s.dabr & (store ? 2 : 1);
    const bool translation = s.dabrx & 8 || ((s.dabr & 4) != 0) == ((s.msr & msr::DR) != 0);
    const u64 doubleword = s.dabr & ~u64{7};
    if (mode && kind && translation && ea < doubleword + 8 && ea + size > doubleword)
      return stop(Vector::kDataStorage, dsisr::kDabr);
  }
  return false;
}

u8* Thread::access_slow(u64 ea, u64 size, Access access, Use use, u64* ra) {
  State& s = state_;
  const bool store = access == Access::kStore;
  happened(Event::kDataLookasideMisses);
  std::unique_lock lock(tlb_lock);
  Translated t = translate(ea, access);
  if (!t.ok) {
    record(ea, access, t);
    return nullptr;
  }
  if (refused(ea, size, access, use, t)) return nullptr;
  if (!domain_.memory().present(t.ra >> kFrameShift)) {
    lock.unlock();
    leave_guest();
    domain_.memory().await(t.ra >> kFrameShift);
    enter_guest();
    s.stop = Stop::kRetry;
    return nullptr;
  }
  if (t.update && !domain_.hpt().set_bits(t.ptex, t.entry, t.update)) {
    // The entry changed between search and update.
    return access_uncached(ea, size, access, use, ra);
  }
  if (t.update & pte::kChanged) t.changed = true;
  if (t.ptex != kRealPtex) happened(Event::kTableReloads);
  cpu::Memory& memory = domain_.memory();
  const u64 frame = t.ra >> kFrameShift;
  if (store && memory.tracking()) memory.dirty().set(frame);
  if (store || (t.may_write && t.changed)) domain_.note_storable(frame);
  *ra = t.ra;
  if (t.inhibited || t.write_through || watched_page(ea)) {
    look_aside().note_use(ea >> 12, t.ptex);
    return memory.host(t.ra);
  }
  const u64 page = ea >> 12;
  const bool writable = t.may_write && t.changed && !memory.holds_code(frame) &&
                        (!memory.tracking() || memory.dirty().test(frame));
  keys_cached_ |= u32{1} << t.key;
  look_aside().keep(page, {.addend = reinterpret_cast<u64>(memory.host(frame << kFrameShift)) - (page << 12),
                           .ptex = t.ptex,
                           .frame = static_cast<u32>(frame),
                           .key = t.key,
                           .may_read = t.may_read,
                           .may_write = writable});
  return memory.host(t.ra);
}

/// The access alone, without filling the TLB; tlb_lock held.
u8* Thread::access_uncached(u64 ea, u64 size, Access access, Use use, u64* ra) {
  for (;;) {
    Translated t = translate(ea, access);
    if (!t.ok) {
      record(ea, access, t);
      return nullptr;
    }
    if (refused(ea, size, access, use, t)) return nullptr;
    if (!domain_.memory().present(t.ra >> kFrameShift)) {
      state_.stop = Stop::kRetry;  // access_slow() waits for it.
      return nullptr;
    }
    if (t.update && !domain_.hpt().set_bits(t.ptex, t.entry, t.update)) continue;
    if (access == Access::kStore && domain_.memory().tracking())
      domain_.memory().dirty().set(t.ra >> kFrameShift);
    if (access == Access::kStore) domain_.note_storable(t.ra >> kFrameShift);
    look_aside().note_use(ea >> 12, t.ptex);  // For forget_ptex().
    *ra = t.ra;
    return domain_.memory().host(t.ra);
  }
}

LookAside& Thread::look_aside() {
  return (*dtlb_)[state_.msr & msr::DR ? (state_.msr & msr::PR ? 2 : 1) : 0];
}

void Thread::set_amr(u64 value) {
  State& s = state_;
  const u64 changed = s.amr ^ value;
  u32 keys = 0;
  for (unsigned key = 0; key < 32; key++)
    if (changed >> (62 - 2 * key) & 3) keys |= u32{1} << key;
  s.amr = value;
  std::lock_guard lock(tlb_lock);
  if (!(keys & keys_cached_)) return;
  keys_cached_ &= ~keys;
  for (unsigned mode = 1; mode < kModes; mode++) (*dtlb_)[mode].forget_keys(keys);
}

void Thread::slbmte(u64 rs, u64 rb) {
  SlbEntry& entry = state_.slb[rb & 63];
  forget_segment(entry);
  entry.esid = rb & 0xFFFFFFFFF8000000;
  entry.vsid = rs;
}

void Thread::slbie(u64 rb) {
  SlbEntry probe{(rb & 0xFFFFFFFFF0000000) | kSlbValid, rb & 0x02000000 ? kOneTerabyte : 0};
  for (SlbEntry& entry : state_.slb)
    if (entry.esid & kSlbValid && ((entry.vsid ^ probe.vsid) & kOneTerabyte) == 0 &&
        in_segment(entry, probe.esid))
      entry.esid &= ~kSlbValid;
  forget_segment(probe);
}

void Thread::slbia() {
  for (unsigned i = 1; i < 64; i++) {
    forget_segment(state_.slb[i]);
    state_.slb[i].esid &= ~kSlbValid;
  }
}

void Thread::forget_segment(const SlbEntry& entry) {
  if (!(entry.esid & kSlbValid)) return;
  const u64 mask = segment_mask(entry) >> 12, want = (entry.esid & segment_mask(entry)) >> 12;
  std::lock_guard lock(tlb_lock);
  for (unsigned mode = 1; mode < kModes; mode++) (*dtlb_)[mode].forget_segment(want, mask);
  for (FetchLookAside& mode : fetch_modes()) mode.forget_segment(want, mask);
}

void Thread::flush_translations() {
  std::lock_guard lock(tlb_lock);
  keys_cached_ = 0;
  for (LookAside& mode : *dtlb_) mode.forget_all();
  for (FetchLookAside& mode : fetch_modes()) mode.forget_all();
}

void Thread::forget_fetches(bool problem) {
  std::lock_guard lock(tlb_lock);
  for (unsigned mode = 0; mode < fetch_modes_; mode++) {
    if ((mode % kModes == 2) == problem) (*itlb_)[mode].forget_all();
  }
}

bool Thread::forget_ptex(u32 ptex, u64 first_page, u64 pages) {
  std::lock_guard lock(tlb_lock);
  bool had = false;
  for (unsigned mode = 1; mode < kModes; mode++) had |= (*dtlb_)[mode].forget_ptex(ptex, first_page, pages);
  for (FetchLookAside& mode : fetch_modes()) had |= mode.forget_ptex(ptex, first_page, pages);
  return had;
}

void Thread::forget_write_tags() {
  std::lock_guard lock(tlb_lock);
  for (LookAside& mode : *dtlb_) mode.forget_writes();
}

void Thread::forget_write_tags_of(u32 frame) {
  std::lock_guard lock(tlb_lock);
  for (LookAside& mode : *dtlb_) mode.forget_writes_of(frame);
}

// ---- instruction fetch

u32 Thread::instruction_at(u64 ea) const {
  const Translated t = translate(ea, Access::kFetch);
  if (!t.ok) return 0;
  const u32 word = domain_.memory().load<u32>(t.ra).value_or(0);
  return state_.msr & msr::LE ? byteswap(word) : word;
}

OpPage* Thread::known_op_page(u64 frame, OpPage::Kind kind) {
  const auto it = op_pages_.find(op_page_key(frame, kind));
  return it == op_pages_.end() ? nullptr : it->second.get();
}

void Thread::forget_compiled() {
  for (auto& [frame, page] : op_pages_)
    if (page->code) page->forget_all();
  if (regions_) regions_->forget_all();
  code_cache_->clear();
}

void Thread::dissolve_runs(OpPage& page, u64 index) {
  if (!page.code) return;
  page.code->dissolve(index, index, [&](u64 i) {
    if (code_cache_->holds(page.ops[i].fn.load(std::memory_order_relaxed))) forget_op(page.ops[i]);
  });
}

OpPage* Thread::op_page(u64 frame) {
  std::lock_guard lock(domain_.code_lock());
  const u64 msr = state_.msr;
  const auto kind = pmu_.counts_instructions(msr & msr::PR)
                        ? (msr & msr::LE ? OpPage::kLittleCounted : OpPage::kCounted)
                    : msr & msr::LE ? OpPage::kLittle
                    : msr & msr::SF ? OpPage::kPlain
                                    : OpPage::kNarrow;
  if (op_pages_.size() >= kMaxOpPages && !known_op_page(frame, kind)) {
    std::lock_guard tlb(tlb_lock);
    for (FetchLookAside& mode : fetch_modes()) mode.forget_all();
    if (regions_) regions_->forget_all();
    op_pages_.clear();
    if (code_cache_) code_cache_->clear();
    state_.page_ea = ~state_.nia;
    state_.page_ops = nullptr;
  }
  auto& slot = op_pages_[op_page_key(frame, kind)];
  if (!slot) slot = std::make_unique<OpPage>(frame, kind);
  return slot.get();
}

bool Thread::fetch_page(u64 ea) {
  State& s = state_;
  const u64 page = ea >> 12;
  FetchEntry* entry = &s.itlb[page & (kFetchEntries - 1)];
  if (entry->tag.load(std::memory_order_relaxed) != page) happened(Event::kFetchLookasideMisses);
  while (entry->tag.load(std::memory_order_relaxed) != page) {
    const Translated probe = translate(ea, Access::kFetch);
    if (!probe.ok) return record(ea, Access::kFetch, probe);
    leave_guest();
    const bool here = domain_.memory().await(probe.ra >> kFrameShift);
    OpPage* ops = op_page(probe.ra >> kFrameShift);
    enter_guest();
    if (!here) {
      s.stop = Stop::kResync;  // The thread is being stopped.
      return false;
    }
    std::lock_guard lock(tlb_lock);
    const Translated t = translate(ea, Access::kFetch);
    if (!t.ok || t.ra >> kFrameShift != ops->frame) continue;
    if (t.update && !domain_.hpt().set_bits(t.ptex, t.entry, t.update)) continue;
    if (t.ptex != kRealPtex) happened(Event::kTableReloads);
    fetch_look_aside().keep(page, ops, t.ptex);
  }
  s.page_ea = page << 12;
  s.page_ops = entry->page->ops.data();
  return true;
}

}  // namespace baton::cpu
