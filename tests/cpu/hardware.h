// SPDX-License-Identifier: Apache-2.0
// A machine for tests: memory, page table and hardware threads, with nothing above them.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "cpu/domain.h"
#include "cpu/thread.h"

namespace baton::test {

/// Time stands still but for advance().
class StillClock final : public cpu::Clock {
 public:
  u64 time_base() const override { return now_.load(); }
  void advance(u64 ticks) { now_ += ticks; }

 private:
  std::atomic<u64> now_{1'000'000};
};

class Hardware {
 public:
  /// By default the reference engine executes what runs, or that of BATON_ENGINE.
  Hardware(unsigned threads, u64 memory, unsigned hpt_log2,
           cpu::EngineOptions engine = cpu::EngineOptions::from_environment(cpu::Engine::kInterpreter))
      : domain_(memory, hpt_log2, clock_, engine) {
    for (unsigned i = 0; i < threads; i++) processors_.push_back(std::make_unique<Processor>(domain_, i));
  }

  cpu::Domain& domain() { return domain_; }
  const cpu::Domain& domain() const { return domain_; }
  cpu::Memory& memory() { return domain_.memory(); }
  cpu::HashPageTable& hpt() { return domain_.hpt(); }
  unsigned threads() const { return static_cast<unsigned>(processors_.size()); }
  cpu::Thread& thread(unsigned i = 0) { return processors_[i]->thread; }
  const cpu::Thread& thread(unsigned i = 0) const { return processors_[i]->thread; }
  cpu::State& state(unsigned i = 0) { return thread(i).state(); }
  StillClock& clock() { return clock_; }

  /// Lets time pass; decrementers whose alarm is due expire.
  void advance(u64 ticks) {
    clock_.advance(ticks);
    for (auto& processor : processors_) {
      u64 deadline = processor->deadline;
      if (clock_.time_base() < deadline) continue;
      if (processor->deadline.compare_exchange_strong(deadline, ~u64{0})) processor->thread.alarm_expired();
    }
  }

 private:
  struct Processor final : cpu::Alarm {
    Processor(cpu::Domain& domain, u32 pir) : thread(domain, pir, this) {}
    void arm(u64 when) override { deadline = when; }
    std::atomic<u64> deadline{~u64{0}};
    cpu::Thread thread;
  };

  StillClock clock_;
  cpu::Domain domain_;
  std::vector<std::unique_ptr<Processor>> processors_;
};

}  // namespace baton::test
