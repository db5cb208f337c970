// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "cpu/isa/isa.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/machine.h"
#include "tests/fuzz/words.h"

namespace baton::fuzz {
namespace {

using cpu::Exit;
using namespace std::chrono_literals;

/// Kicks the threads of a machine when its time is over. A program may loop, also without completing an
/// instruction: an interrupt vector that cannot be executed.
class TimeLimit {
 public:
  TimeLimit(Machine& machine, std::chrono::milliseconds limit) : machine_(machine) {
    waiter_ = std::thread([this, limit] {
      std::unique_lock lock(lock_);
      if (over_.wait_for(lock, limit, [&] { return done_; })) return;
      for (unsigned i = 0; i < machine_.threads(); i++) machine_.thread(i).kick();
    });
  }
  ~TimeLimit() {
    {
      std::lock_guard lock(lock_);
      done_ = true;
    }
    over_.notify_one();
    waiter_.join();
  }

 private:
  Machine& machine_;
  std::mutex lock_;
  std::condition_variable over_;
  bool done_ = false;
  std::thread waiter_;
};

void print_step(Machine& machine, unsigned i) {
  cpu::Thread& thread = machine.thread(i);
  const cpu::State& s = thread.state();
  const cpu::Translated at = thread.translate(s.nia, cpu::Access::kFetch);
  fmt::print("{}: {:6} MSR {:016x} {:16x}: {}\n", i, thread.instructions(), s.msr, s.nia,
             at.ok ? cpu::isa::disassemble(s.nia, machine.domain().memory().load<u32>(at.ra).value_or(0))
                   : "cannot be fetched");
}

constexpr unsigned kRuns = 12, kMostSteps = 400;

}  // namespace

void run_processor_case(Random random) {
  Random random_other = random;
  const unsigned threads = 1 + static_cast<unsigned>(random.one_in(3));
  random_other.one_in(3);
  const cpu::EngineOptions engine = random_engine(random);
  random_engine(random_other);
  Machine one(random, threads, {.engine = cpu::Engine::kInterpreter}), other(random_other, threads, engine);
  Machine::compare(one, other);
  const TimeLimit limit(one, 500ms), other_limit(other, 20s);
  for (unsigned run = 0; run < kRuns; run++) {
    const auto i = static_cast<unsigned>(random.below(threads));
    random_other.below(threads);
    // One instruction at a time...
    Exit exit = Exit::kBudget;
    unsigned steps = 0;
    while (exit == Exit::kBudget && steps < kMostSteps) {
      if (trace) print_step(one, i);
      exit = one.thread(i).run(1);
      steps++;
      one.check(i);
    }
    if (exit == Exit::kKicked) return;
    // ...and at full speed, if it ends by itself.
    const Exit other_exit = other.thread(i).run(exit == Exit::kHypercall ? ~u64{0} : steps);
    if (trace) fmt::print("run {}: exit {} after {} steps\n", run, static_cast<int>(exit), steps);
    if (exit != other_exit)
      throw Finding(fmt::format("run {} of thread {} ends with exit {} after {} steps, at full speed with {}",
                                run, i, static_cast<int>(exit), steps, static_cast<int>(other_exit)));
    Machine::compare(one, other);
    one.check_cached(i);
    other.check_cached(i);
    one.resume(random, i);
    other.resume(random_other, i);
    if (random.one_in(2)) one.disturb(random);
    if (random_other.one_in(2)) other.disturb(random_other);
  }
  Machine::compare_page_tables(one, other);
}

void run_parallel_case(Random random) {
  const unsigned threads = 2 + static_cast<unsigned>(random.below(2));
  Machine machine(random, threads, random_engine(random));
  std::atomic<bool> stop{false};
  std::mutex first_lock;
  std::string first;
  std::vector<std::thread> hosts;
  for (unsigned i = 0; i < threads; i++) {
    hosts.emplace_back([&, i, own = Random(random.next())]() mutable {
      try {
        while (!stop) {
          if (machine.thread(i).run() == Exit::kHypercall) machine.resume(own, i);
          machine.check(i);
        }
      } catch (const Finding& finding) {
        std::lock_guard lock(first_lock);
        if (first.empty()) first = finding.what();
      }
    });
  }
  for (int n = 0; n < 40; n++) {
    std::this_thread::sleep_for(100us);
    machine.disturb(random);
    // A thread that loops starts anew.
    if (n % 4 == 0) machine.thread(static_cast<unsigned>(random.below(threads))).system_reset();
  }
  stop = true;
  for (unsigned i = 0; i < threads; i++) machine.thread(i).kick();
  for (std::thread& host : hosts) host.join();
  if (!first.empty()) throw Finding(first);
  for (unsigned i = 0; i < threads; i++) machine.check_cached(i);
}

}  // namespace baton::fuzz
