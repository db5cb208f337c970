// SPDX-License-Identifier: Apache-2.0
// A random machine: memory, page table and hardware threads, all made from one source of choices.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "cpu/domain.h"
#include "cpu/thread.h"
#include "tests/fuzz/random.h"

namespace baton::fuzz {

/// Stands still but for advance().
class StillClock final : public cpu::Clock {
 public:
  u64 time_base() const override { return now_.load(); }
  void advance(u64 ticks) { now_ += ticks; }

 private:
  std::atomic<u64> now_{1'000'000};
};

class Machine {
 public:
  Machine(Random& random, unsigned threads, cpu::Engine engine);

  cpu::Domain& domain() { return domain_; }
  unsigned threads() const { return static_cast<unsigned>(processors_.size()); }
  cpu::Thread& thread(unsigned i) { return processors_[i]->thread; }
  const cpu::Thread& thread(unsigned i) const { return processors_[i]->thread; }
  StillClock& clock() { return clock_; }

  /// What a hypervisor does when a thread calls it: returns from the interrupt, starts it somewhere else, or
  /// changes registers. Only the host thread of thread `i`.
  void resume(Random& random, unsigned i);
  /// An edit from outside: page table, code, interrupt lines. Any host thread, outside guest code.
  void disturb(Random& random);
  /// Time passes; decrementers expire.
  void advance(u64 ticks);

  /// Throws Finding if a thread, that is outside run(), is in a state that the architecture does not have.
  void check(unsigned i) const;
  /// check() of everything that is cached besides.
  void check_cached(unsigned i);
  /// Throws Finding at the first difference between two machines, which should have done the same.
  static void compare(Machine& one, Machine& other);
  static void compare_page_tables(Machine& one, Machine& other);

 private:
  struct Processor final : cpu::Alarm {
    Processor(cpu::Domain& domain, u32 pir) : thread(domain, pir, this) {}
    void arm(u64 when) override { deadline = when; }
    std::atomic<u64> deadline{~u64{0}};
    cpu::Thread thread;
  };
  struct Segment {
    u64 ea, vsid, slb_vsid, slb_esid;
    unsigned base_shift;
    bool terabyte;
  };

  u64 address(Random& random) const;
  u64 code_address(Random& random, bool translated) const;
  void fill_code(Random& random, u64 frame);
  void map(Random& random, const Segment& segment);
  void start(Random& random, unsigned i);
  void fill_registers(Random& random, unsigned i);

  StillClock clock_;
  cpu::Domain domain_;
  std::vector<std::unique_ptr<Processor>> processors_;
  std::vector<u64> code_frames_;
  std::vector<Segment> segments_;
  std::vector<u64> mapped_;       ///< Effective addresses of pages.
  std::vector<u64> mapped_code_;  ///< Those that show code.
};

}  // namespace baton::fuzz
