// SPDX-License-Identifier: Apache-2.0
// The threads that compile regions, and where code is that is hot.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "cpu/engine/llvm/region.h"

namespace baton::cpu {
class Thread;
}

namespace baton::cpu::llvm_engine {

/// A region from when it is chosen until its code is gone.
struct Hot {
  Region region;
  Compiled compiled;
  // -- guarded by the code lock
  bool dead = false;              ///< Bytes that it was made from were written.
  std::vector<Handler> replaced;  ///< Op::fn of each entry before; empty unless installed.
  const u8* code = nullptr;
  u64 ea = 0;  ///< Where it was found, for people.

  /// Calls `visit(op)` for each entry.
  template <class Visit>
  void entries(Visit&& visit) const {
    for (const Block& block : region.blocks)
      if (block.entry) visit(region.pages[block.page].ops->ops[block.index]);
  }
  /// True if an instruction at [first, last] of the page is one of its own.
  bool overlaps(const OpPage& page, u64 first, u64 last) const;
  /// Its entries lead to what was there before. Code lock held.
  void die();
};

/// Where a hardware thread finds what is compiled for it.
struct Inbox {
  std::mutex lock;
  std::vector<std::shared_ptr<Hot>> finished;
  std::atomic<bool> any{false};
};

/// What the engine did, for people.
struct Statistics {
  std::atomic<u64> regions{0}, failed{0}, dropped{0}, instructions{0}, code_bytes{0}, nanoseconds{0};
};

/// True if what compiles regions is installed; loading it may still fail.
bool module_there();

class Compiler {
 public:
  /// `threads`: 0 compiles where it is asked, at once.
  explicit Compiler(unsigned threads);
  ~Compiler();
  Compiler(const Compiler&) = delete;
  Compiler& operator=(const Compiler&) = delete;

  /// False if there is too much to do already.
  bool submit(std::shared_ptr<Hot> hot, std::shared_ptr<Inbox> inbox);
  bool at_once() const { return thread_count_ == 0; }
  /// The partition is about to leave: nothing more is begun, and what is being compiled, which cannot be
  /// stopped, gets out of everybody's way. Until resume().
  void rest();
  void resume();
  /// Asks the thread, while it runs guest code, where it is, about a thousand times a second.
  void watch(Thread* thread);
  void unwatch(Thread* thread);
  const Statistics& statistics() const { return statistics_; }

 private:
  struct Job {
    std::shared_ptr<Hot> hot;
    std::shared_ptr<Inbox> inbox;
  };
  static constexpr std::size_t kQueue = 32;
  void compile(const Job& job);
  void start_workers();  ///< lock_ held.
  void work(unsigned generation);
  void sample();

  unsigned thread_count_;
  std::mutex lock_;
  std::condition_variable wake_;
  std::deque<Job> queue_;
  bool stopping_ = false, resting_ = false;
  unsigned generation_ = 1;  ///< Of workers: those of an earlier one end after the job that they have.
  unsigned started_ = 0;     ///< The generation whose workers were started last.
  std::vector<std::thread> workers_;  ///< From the first region on, with those that end.
  std::vector<int> tasks_;            ///< The host's numbers of this generation's workers.
  std::mutex watch_lock_;
  std::condition_variable watch_wake_;
  std::vector<Thread*> watched_;
  bool watch_stopping_ = false;
  std::thread sampler_;
  Statistics statistics_;
};

}  // namespace baton::cpu::llvm_engine
