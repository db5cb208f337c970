// SPDX-License-Identifier: Apache-2.0
#include "cpu/domain.h"

#include <algorithm>
#include <thread>

#include "cpu/engine/llvm/compiler.h"
#include "cpu/thread.h"

namespace baton::cpu {

Domain::Domain(u64 memory_bytes, unsigned hpt_log2_bytes, const Clock& clock, EngineOptions engine)
    : memory_(memory_bytes),
      hpt_(hpt_log2_bytes),
      storable_(memory_.frames()),
      clock_(clock),
      engine_(engine.resolved()) {
  memory_.set_code_watcher(this);
  if (engine_.engine == Engine::kLlvm)
    compiler_ = std::make_unique<llvm_engine::Compiler>(engine_.compile_threads);
}

Domain::~Domain() { memory_.set_code_watcher(nullptr); }

void Domain::add(Thread* thread) { threads_.push_back(thread); }
void Domain::remove(Thread* thread) { std::erase(threads_, thread); }

void Domain::set_level(isa::Level level) {
  if (level_.exchange(level, std::memory_order_relaxed) == level) return;
  code_written(0, memory_.size());  // What was decoded at the old level.
}

void Domain::wait_for_safepoint(Thread& thread) {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const u64 seen = thread.run_sequence.load(std::memory_order_seq_cst);
  if (!(seen & 1)) return;
  thread.state().pending.fetch_or(pending::kSafepoint, std::memory_order_seq_cst);
  for (unsigned spins = 0; thread.run_sequence.load(std::memory_order_seq_cst) == seen; spins++)
    if (spins > 100) std::this_thread::yield();
}

void Domain::synchronise() {
  for (Thread* thread : threads_) wait_for_safepoint(*thread);
}

void Domain::forget_translation(u64 ptex, const Hpte& old) {
  // Which EA pages can have used the entry: the low bits of the page number follow from group and VSID.
  const PageSize* size = HashPageTable::decode_size(old);
  u64 first = 0, pages = kTlbEntries;
  if (size && size->base_shift < 24) {
    const bool terabyte = (old.v & pte::kSizeMask) == u64{1} << 62;
    const u64 vsid = (old.v & pte::kAvpn) >> (terabyte ? 24 : 12);
    const u64 group = old.v & pte::kSecondary ? ~(ptex >> 3) : ptex >> 3;
    pages = u64{1} << (size->base_shift - 12);
    first = ((group ^ vsid) & 0x7FF) * pages;
    // The smallest table gives 11 bits; those above are in the AVPN.
    if (size->base_shift == 12) first |= (old.v >> 7 & 0x1F) << 11;
    static_assert(kTlbEntries <= u64{1} << (11 + 4));
  }
  // Only threads that had the entry need to be waited for: with more threads than host processors each wait
  // lasts until the host schedules them, and most entries belong to a process that ran on one processor.
  for (Thread* thread : threads_)
    if (thread->forget_ptex(static_cast<u32>(ptex), first, pages)) wait_for_safepoint(*thread);
}

void Domain::forget_all_translations() {
  for (Thread* thread : threads_) thread->flush_translations();
  synchronise();
}

void Domain::withhold_writes() {
  for (Thread* thread : threads_) thread->forget_write_tags();
  synchronise();
}

void Domain::frame_gets_code(u64 frame) {
  memory_.set_holds_code(frame, true);
  // All four accesses are in one order: either we see a thread that is about to store, or it sees that the
  // frame holds code.
  if (!storable_.test(frame)) return;
  for (Thread* thread : threads_) thread->forget_write_tags_of(static_cast<u32>(frame));
  synchronise();
}

void Domain::code_written(u64 ra, u64 length) {
  std::lock_guard lock(code_lock_);
  code_stored(ra, length);
}

void Domain::code_stored(u64 ra, u64 length) {
  // After this many stores the frame is taken for data again, so that reuse of a page costs little.
  constexpr u32 kStoresUntilData = 16;
  const u64 end = ra + length;
  for (u64 frame = ra >> kFrameShift; frame << kFrameShift < end; frame++) {
    if (!memory_.holds_code(frame)) continue;
    const u64 base = frame << kFrameShift;
    const u64 from = std::max(ra, base) - base, to = std::min(end, base + kFrameSize) - base;
    bool live = false;
    for (Thread* thread : threads_) {
      for (const OpPage::Kind kind : OpPage::kKinds) {
        OpPage* page = thread->known_op_page(frame, kind);
        if (!page || !page->live) continue;
        page->stores++;
        bool killed;
        if (to - from == kFrameSize || page->stores >= kStoresUntilData) {
          killed = page->forget_all();
          page->live = false;
          page->stores = 0;
        } else {
          killed = page->forget(from, to - from);
        }
        if (killed) {
          thread->code_killed.store(true, std::memory_order_relaxed);
          // A loop of compiled code looks at nothing else.
          thread->state().pending.fetch_or(pending::kSafepoint, std::memory_order_relaxed);
        }
        live |= page->live;
      }
    }
    if (!live) memory_.set_holds_code(frame, false);
  }
}

}  // namespace baton::cpu
