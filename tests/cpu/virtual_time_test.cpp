// SPDX-License-Identifier: Apache-2.0
// Time that counts instructions: every engine sees the same time base at the same instruction and takes the
// decrementer at the same one.
#include <gtest/gtest.h>

#include <stop_token>
#include <thread>
#include <vector>

#include "cpu/domain.h"
#include "cpu/isa/assembly.h"
#include "cpu/thread.h"

namespace baton::cpu {
namespace {

constexpr u64 kMemory = 1 << 20, kCode = 0x4000, kLog = 0x8000;

class CountingClock final : public Clock {
 public:
  u64 time_base() const override { return 1'000'000 + (instructions ? instructions->load() : 0); }
  bool counts_instructions() const override { return true; }
  const std::atomic<u64>* instructions = nullptr;
};

struct Machine {
  explicit Machine(Engine engine) : domain(kMemory, 18, clock, EngineOptions{.engine = engine}) {
    clock.instructions = &thread.state().instructions;
  }
  void program(u64 at, std::initializer_list<const char*> lines) {
    for (const char* line : lines) {
      const isa::Assembled made = isa::assemble(at, line);
      ASSERT_TRUE(made.word) << line << ": " << made.problem;
      domain.memory().store<u32>(at, *made.word);
      at += 4;
    }
  }
  CountingClock clock;
  Domain domain;
  Thread thread{domain, 0, nullptr};
};

/// Logs each decrementer interrupt (where, when) in a loop that reads the time, too.
std::vector<u64> run(Engine engine, u64 piece, u64 instructions) {
  Machine m(engine);
  m.program(0x900, {"mfspr r20,26", "mftb r21,268", "std r20,0(r10)", "std r21,8(r10)", "addi r10,r10,16",
                    "addi r11,r11,777", "mtspr 22,r11", "rfid"});
  m.program(kCode, {"mtspr 22,r11", "addi r3,r3,1", "mftb r4,268", "add r5,r5,r4", "cmpi 0,0,r3,100",
                    "bc 4,2,0x4004", "addi r3,0,0", "mfspr r6,22", "add r5,r5,r6", "b 0x4004"});
  State& s = m.thread.state();
  m.thread.reset(kCode, 0, true);
  s.msr |= msr::EE;
  s.gpr[0] = 0;
  s.gpr[10] = kLog;
  s.gpr[11] = 3;
  m.thread.state_changed();
  for (u64 left = instructions; left != 0;) {
    const u64 now = std::min(left, piece);
    EXPECT_EQ(m.thread.run(now), Exit::kBudget);
    left -= now;
  }
  EXPECT_EQ(s.instructions.load(), instructions);
  std::vector<u64> all(std::begin(s.gpr), std::end(s.gpr));
  all.push_back(s.nia);
  for (u64 at = kLog; at < s.gpr[10]; at += 8) all.push_back(*m.domain.memory().load<u64>(at));
  return all;
}

TEST(VirtualTime, IsTheSameUnderEveryEngineHoweverItIsCut) {
  constexpr u64 kInstructions = 400'000;
  const std::vector<u64> expected = run(Engine::kInterpreter, kInstructions, kInstructions);
  EXPECT_GT(expected.size(), 34u + 20);  // Interrupts came.
  for (const Engine engine : {Engine::kInterpreter, Engine::kStencil})
    for (const u64 piece : {kInstructions, u64{50'000}, u64{1777}, u64{1}})
      EXPECT_EQ(run(engine, piece, kInstructions), expected) << piece;
}

/// A program that is interrupted at every other instruction: by traps, which complete none, and by the
/// decrementer. The external interrupt is taken down by a hypercall of its handler.
struct Interrupted : Machine {
  explicit Interrupted(Engine engine) : Machine(engine) {
    program(0x500, {"addi r20,r20,1", "xor r21,r21,r22", "sc 1", "rfid"});
    program(0x700, {"mfspr r12,26", "addi r12,r12,4", "mtspr 26,r12", "rfid"});
    program(0x900, {"addi r22,r22,1", "mtspr 22,r11", "rfid"});
    program(kCode, {"mtspr 22,r11", "tw 31,r0,r0", "addi r3,r3,1", "tw 31,r0,r0", "tw 31,r0,r0", "b 0x4004"});
    thread.reset(kCode, 0, true);
    thread.state().msr |= msr::EE;
    thread.state().gpr[11] = 57;
    thread.state_changed();
  }
  /// One run() of at most so many instructions.
  Exit go(u64 budget) {
    const Exit exit = thread.run(budget);
    if (exit == Exit::kHypercall) thread.set_external(false);
    return exit;
  }
  std::vector<u64> result() const {
    const State& s = thread.state();
    std::vector<u64> all(std::begin(s.gpr), std::end(s.gpr));
    all.insert(all.end(), {s.nia, s.msr, s.srr0, s.srr1, s.instructions});
    return all;
  }
};

TEST(VirtualTime, AKickedThreadIsWhereItsInstructionsSay) {
  for (const Engine engine : {Engine::kInterpreter, Engine::kStencil}) {
    constexpr unsigned kPlaces = 200;
    Interrupted recorded(engine);
    std::vector<u64> places;
    {
      std::jthread kicker([&](const std::stop_token& stop) {
        for (; !stop.stop_requested(); std::this_thread::yield()) recorded.thread.kick();
      });
      while (places.size() < kPlaces) {
        if (recorded.go(Thread::kNoLimit) != Exit::kKicked || !recorded.thread.instructions_tell()) continue;
        places.push_back(recorded.thread.instructions());
        recorded.thread.set_external(true);
      }
    }
    Interrupted replayed(engine);
    for (const u64 place : places) {
      while (replayed.thread.instructions() < place) replayed.go(place - replayed.thread.instructions());
      replayed.thread.set_external(true);
    }
    EXPECT_GT(recorded.thread.state().gpr[20], kPlaces / 10);  // So often was there time to be interrupted.
    EXPECT_EQ(replayed.result(), recorded.result());
  }
}

}  // namespace
}  // namespace baton::cpu
