// SPDX-License-Identifier: Apache-2.0
// Instructions are counted exactly, and a budget ends exactly.
#include "tests/cpu/bare_metal/machine.h"

namespace baton::bare_metal {
namespace {

constexpr u64 kReal = msr::SF | msr::ME;
constexpr u64 kBothOn = kReal | msr::IR | msr::DR;

class Count : public OneThread {
 protected:
  void SetUp() override { m.map_code(); }
  /// Instructions of a run, straight and in pieces of `budget`.
  u64 whole(const char* program, u64 msr, u64 r3) {
    m.gpr(3) = r3;
    m.gpr(5) = 0;
    const u64 from = s.instructions;
    EXPECT_TRUE(completed(m.run(program, msr)));
    return s.instructions - from;
  }
  u64 in_pieces(const char* program, u64 msr, u64 r3, u64 budget) {
    m.gpr(3) = r3;
    m.gpr(5) = 0;
    m.go(program, msr);
    const u64 from = s.instructions;
    for (u64 pieces = 1;; pieces++) {
      const Stop stop = m.run(0, budget);
      if (stop.exit == Exit::kHypercall) break;
      EXPECT_EQ(stop.exit, Exit::kBudget);
      EXPECT_EQ(s.instructions - from, pieces * budget);
      if (testing::Test::HasFailure()) break;
    }
    return s.instructions - from;
  }
};

TEST_F(Count, KnownPrograms) {
  struct {
    const char* program;
    u64 r3, count, r5;
  } const programs[] = {
      {"count_loop", 1, 4, 1},
      {"count_loop", 1000, 2002, 1000},
      {"count_straight", 0, 13, 12},
      {"count_cross", 1, 6, 3},
      {"count_cross", 100, 402, 300},
      // bl, addi, andi., bnelr, bdnz when odd; nop and blr more when even.
      {"count_calls", 1, 3 + 5 + 2, 1},
      {"count_calls", 2, 3 + 5 + 7 + 2, 2},
      {"count_calls", 100, 3 + 50 * 5 + 50 * 7 + 2, 100},
  };
  for (const auto& p : programs) {
    for (u64 msr : {kReal, kBothOn}) {
      SCOPED_TRACE(testing::Message() << p.program << " " << p.r3);
      EXPECT_EQ(whole(p.program, msr, p.r3), p.count);
      EXPECT_EQ(m.gpr(5), p.r5);
      for (u64 budget : {1, 2, 3, 7, 1000}) {
        EXPECT_EQ(in_pieces(p.program, msr, p.r3, budget), p.count) << "budget " << budget;
        EXPECT_EQ(m.gpr(5), p.r5);
      }
    }
  }
}

TEST_F(Count, BudgetStopsAtTheNextInstruction) {
  m.go("count_straight", kReal);
  m.gpr(5) = 0;
  for (u64 i = 1; i <= 12; i++) {
    EXPECT_EQ(m.run(0, 1).exit, Exit::kBudget);
    EXPECT_EQ(s.nia, m.at("count_straight") + 4 * i);
    EXPECT_EQ(m.gpr(5), i);
  }
  EXPECT_TRUE(completed(m.run(0, 1)));
  // A budget of nothing does nothing.
  m.go("count_straight", kReal);
  const u64 from = s.instructions;
  EXPECT_EQ(m.run(0, 0).exit, Exit::kBudget);
  EXPECT_EQ(s.instructions, from);
  EXPECT_EQ(s.nia, m.at("count_straight"));
}

TEST_F(Count, InterruptedInstructionsDoNotCount) {
  struct {
    const char* program;
    u64 msr, count;  // up to and with the vector's sc 1
  } const programs[] = {
      {"do_trap", kReal, 1},
      {"do_illegal_zero", kReal, 1},
      {"do_fadd", kReal, 1},
      {"do_ld", kReal | msr::DR, 1},
      {"do_std", kReal | msr::DR, 1},
      {"do_rfid", kBothOn | msr::PR | msr::EE, 1},
      {"do_sc", kReal, 2},
      {"do_lwarx", kReal, 1},
  };
  m.gpr(4) = 0x4444'0000'0001;
  for (const auto& p : programs) {
    SCOPED_TRACE(p.program);
    u64 from = s.instructions;
    EXPECT_NE(m.run(p.program, p.msr).vector, Vector::kNone);
    EXPECT_EQ(s.instructions - from, p.count);
    // The same one at a time.
    from = s.instructions;
    m.go(p.program, p.msr);
    unsigned pieces = 0;
    for (; m.run(0, 1).exit == Exit::kBudget && pieces < 10; pieces++) {
    }
    EXPECT_EQ(s.instructions - from, p.count);
    EXPECT_EQ(pieces + 1, p.count);
  }
}

TEST_F(Count, PendingInterruptsDoNotDisturb) {
  // A line that is up but masked makes the loop look at it at each branch.
  m.thread().set_external(true);
  EXPECT_EQ(whole("count_loop", kReal, 1000), 2002u);
  EXPECT_EQ(whole("count_cross", kReal, 1000), 4002u);
  m.thread().set_external(false);
}

TEST_F(Count, SafepointsDoNotDisturb) {
  std::atomic<bool> over{false};
  std::thread other([&] {
    while (!over) m.domain().synchronise();
  });
  for (unsigned i = 0; i < 5; i++) EXPECT_EQ(whole("count_calls", kBothOn, 100'000), 3 + 50'000 * 12 + 2u);
  over = true;
  other.join();
}

TEST_F(Count, InvalidationsDoNotDisturb) {
  std::atomic<bool> over{false};
  std::thread other([&] {
    while (!over) m.domain().forget_all_translations();
  });
  for (unsigned i = 0; i < 3; i++) EXPECT_EQ(whole("count_cross", kBothOn, 30'000), 120'002u);
  over = true;
  other.join();
}

TEST_F(Count, TracedRunsCountTheSame) {
  m.gpr(3) = 20;
  m.gpr(5) = 0;
  m.go("count_cross", kReal | msr::SE);
  u64 from = s.instructions, traps = 0;
  for (;;) {
    const Stop stop = m.run();
    ASSERT_EQ(stop.exit, Exit::kHypercall);
    if (stop.vector != Vector::kTrace) break;
    traps++;
    m.go(s.srr0, s.srr1);
  }
  EXPECT_EQ(traps, 81u);
  EXPECT_EQ(s.instructions - from - traps, 82u);
  EXPECT_EQ(m.gpr(5), 60u);
}

}  // namespace
}  // namespace baton::bare_metal
