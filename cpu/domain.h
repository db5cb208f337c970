// SPDX-License-Identifier: Apache-2.0
// The coherence domain of one partition: memory, page table and the hardware threads that share them.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "cpu/clock.h"
#include "cpu/engine/engine.h"
#include "cpu/isa/level.h"
#include "cpu/memory.h"
#include "cpu/mmu/hash_page_table.h"

namespace baton::cpu {

class Thread;
namespace llvm_engine {
class Compiler;
}

/// Keeps every thread's cached translations and decoded code true to memory and page table.
///
/// The protocol. A thread in guest code looks translations up and uses them without a lock. Whoever takes a
/// translation away edits the page table or the tracking state first, then clears the cached entries of every
/// thread under that thread's TLB lock, then waits until every thread that was in guest code has passed a
/// safepoint (left guest code, if only for an instant). A thread that waits (for a lock, in an hcall, ceded)
/// is outside guest code, so nobody waits for it.
class Domain final : public CodeWatcher {
 public:
  Domain(u64 memory_bytes, unsigned hpt_log2_bytes, const Clock& clock,
         EngineOptions engine = EngineOptions::from_environment());
  ~Domain() override;

  Memory& memory() { return memory_; }
  HashPageTable& hpt() { return hpt_; }
  /// Never Engine::kAuto.
  const EngineOptions& engine() const { return engine_; }
  /// With the LLVM engine, else nullptr.
  llvm_engine::Compiler* compiler() { return compiler_.get(); }
  const Clock& clock() const { return clock_; }
  const std::vector<Thread*>& threads() const { return threads_; }

  /// Real-mode limit: real-mode addresses at or above it give a protection fault (POWER6-ISA 7.1).
  u64 real_mode_limit = ~u64{0};
  /// Clock frequency of the cores: what the performance monitor counts as cycles.
  u64 core_hz = 4'208'000'000;

  /// The level of the architecture that the partition has; all of POWER6 unless set. May be set while no
  /// thread is in guest code.
  isa::Level level() const { return level_.load(std::memory_order_relaxed); }
  void set_level(isa::Level level);

  /// H_REMOVE, H_PROTECT, ...: forget what was cached from this entry, everywhere, before returning. The
  /// calling thread, if it is one of ours, must be outside guest code. `old` is the entry as it was.
  void forget_translation(u64 ptex, const Hpte& old);
  /// Forget every cached translation everywhere (migration, reset).
  void forget_all_translations();
  /// Start of a migration round: from now on the first store to each frame marks it dirty again.
  void withhold_writes();
  /// Returns when every thread has been outside guest code at least once since the call.
  void synchronise();

  void code_written(u64 ra, u64 length) override;
  /// The same by a CPU store, with code_lock() held.
  void code_stored(u64 ra, u64 length);
  /// A frame is about to be decoded: withhold writes to it everywhere. Called with code_lock() held.
  void frame_gets_code(u64 frame);
  std::mutex& code_lock() { return code_lock_; }
  /// A thread is about to ask whether the frame holds code, and if not, will store to it without the code
  /// lock, now or later.
  void note_storable(u64 frame) {
    if (!storable_.test(frame)) storable_.set(frame);
  }

 private:
  friend class Thread;
  void wait_for_safepoint(Thread& thread);
  void add(Thread* thread);
  void remove(Thread* thread);

  Memory memory_;
  HashPageTable hpt_;
  FrameSet storable_;  ///< What note_storable() was ever told of: most code is in none of these frames.
  const Clock& clock_;
  EngineOptions engine_;
  std::unique_ptr<llvm_engine::Compiler> compiler_;
  std::vector<Thread*> threads_;  ///< Fixed after the partition is built.
  std::mutex code_lock_;
  std::atomic<isa::Level> level_{isa::Level::kPower6};
};

}  // namespace baton::cpu
