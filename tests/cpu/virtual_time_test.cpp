// SPDX-License-Identifier: Apache-2.0
// Time that counts instructions: every engine sees the same time base at the same instruction and takes the
// decrementer at the same one.
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace baton::cpu
