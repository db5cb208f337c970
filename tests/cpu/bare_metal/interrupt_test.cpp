// SPDX-License-Identifier: Apache-2.0
// Every interrupt that a partition can see: when it is taken and what it leaves.
#include "tests/cpu/bare_metal/machine.h"

namespace baton::bare_metal {
namespace {

constexpr u64 kReal = msr::SF | msr::ME;
constexpr u64 kBothOn = kReal | msr::IR | msr::DR;
constexpr u64 kProblem = kBothOn | msr::PR | msr::EE;
constexpr u64 kA = Machine::kData;

class Interrupt : public OneThread {
 protected:
  void SetUp() override { m.map_code(); }
  u64 where(const char* symbol, u64 msr) { return m.at(symbol) + (msr & msr::IR ? Machine::kCode : 0); }
};

// ---- program

TEST_F(Interrupt, Illegal) {
  for (u64 msr : {kReal, kBothOn, kProblem, kReal & ~msr::SF}) {
    for (const char* snippet : {"do_illegal_zero", "do_illegal_form", "do_attn"})
      EXPECT_TRUE(interrupted(m, m.run(snippet, msr), Vector::kProgram,
                              {.srr0 = where(snippet, msr), .cause = 0x00080000}))
          << snippet;
  }
}

TEST_F(Interrupt, Privileged) {
  for (const char* snippet :
       {"do_rfid", "do_mtmsrd", "do_mtmsrd_1", "do_mtmsr", "do_mfmsr", "do_slbmte", "do_slbie", "do_slbia",
        "do_slbmfee", "do_slbmfev", "do_slbfee", "do_lq", "do_stq", "do_tlbiel", "do_mtsrin", "do_mfsrin"}) {
    m.gpr(5) = 0x55;
    EXPECT_TRUE(interrupted(m, m.run(snippet, kProblem), Vector::kProgram,
                            {.srr0 = where(snippet, kProblem), .cause = 0x00040000}))
        << snippet;
    EXPECT_EQ(m.gpr(5), 0x55u);
  }
  // What belongs to the hypervisor is privileged for the supervisor, too.
  for (const char* snippet : {"do_hrfid", "do_tlbie", "do_tlbsync"})
    for (u64 msr : {kReal, kBothOn, kProblem})
      EXPECT_TRUE(interrupted(m, m.run(snippet, msr), Vector::kProgram,
                              {.srr0 = where(snippet, msr), .cause = 0x00040000}))
          << snippet;
}

TEST_F(Interrupt, Trap) {
  for (u64 msr : {kReal, kProblem}) {
    EXPECT_TRUE(interrupted(m, m.run("do_trap", msr), Vector::kProgram,
                            {.srr0 = where("do_trap", msr), .cause = 0x00020000}));
    m.gpr(3) = 5;
    EXPECT_TRUE(interrupted(m, m.run("do_tweqi", msr), Vector::kProgram,
                            {.srr0 = where("do_tweqi", msr), .cause = 0x00020000}));
    m.gpr(3) = 6;
    EXPECT_TRUE(completed(m.run("do_tweqi", msr)));
    m.gpr(3) = u64{1} << 32 | 5;
    EXPECT_TRUE(interrupted(m, m.run("do_tweqi", msr), Vector::kProgram,
                            {.srr0 = where("do_tweqi", msr), .cause = 0x00020000}));
    m.gpr(3) = 6;
    EXPECT_TRUE(interrupted(m, m.run("do_tdlgti", msr), Vector::kProgram,
                            {.srr0 = where("do_tdlgti", msr), .cause = 0x00020000}));
    m.gpr(3) = 5;
    EXPECT_TRUE(completed(m.run("do_tdlgti", msr)));
  }
}

// ---- facilities

TEST_F(Interrupt, FloatingPointUnavailable) {
  m.gpr(4) = 0x4444'0000'0000;  // not mapped: the facility goes first
  for (u64 msr : {kReal, kBothOn, kProblem}) {
    for (const char* snippet : {"do_fadd", "do_mffs", "do_lfd", "do_stfd", "do_lfdu", "do_stfs"}) {
      EXPECT_TRUE(interrupted(m, m.run(snippet, msr), Vector::kFpUnavailable, {.srr0 = where(snippet, msr)}))
          << snippet;
    }
    EXPECT_EQ(m.gpr(4), 0x4444'0000'0000u);
    EXPECT_TRUE(completed(m.run("do_fadd", msr | msr::FP)));
  }
}

TEST_F(Interrupt, VmxUnavailable) {
  if (m.run("do_vaddubm", kReal | msr::VEC).vector == Vector::kProgram) GTEST_SKIP() << "no VMX yet";
  for (u64 msr : {kReal, kProblem}) {
    for (const char* snippet : {"do_vaddubm", "do_lvx"})
      EXPECT_TRUE(
          interrupted(m, m.run(snippet, msr), Vector::kVmxUnavailable, {.srr0 = where(snippet, msr)}));
    EXPECT_TRUE(completed(m.run("do_vaddubm", msr | msr::VEC)));
  }
}

TEST_F(Interrupt, DssallNeedsNoFacility) { EXPECT_TRUE(completed(m.run("do_dssall", kProblem))); }

TEST_F(Interrupt, DecimalNeedsTheFloatingPointFacility) {
  if (m.run("do_dadd", kReal | msr::FP).vector == Vector::kProgram) GTEST_SKIP() << "no DFP yet";
  EXPECT_TRUE(interrupted(m, m.run("do_dadd", kReal), Vector::kFpUnavailable, {.srr0 = m.at("do_dadd")}));
}

TEST_F(Interrupt, EnabledFloatingPointException) {
  // 0/0 with VE: a program interrupt at the instruction if FE0 or FE1, none otherwise.
  s.fpr[2] = s.fpr[3] = 0;
  m.store32(m.at("spr_slot"), 0xFC221824);  // fdiv 1,2,3
  for (u64 modes : {u64{0}, msr::FE0, msr::FE1, msr::FE0 | msr::FE1}) {
    s.fpscr = 0x80;
    s.fpr[1] = 0x1111;
    const Stop stop = m.run("spr_slot", kReal | msr::FP | modes);
    if (modes)
      EXPECT_TRUE(interrupted(m, stop, Vector::kProgram, {.srr0 = m.at("spr_slot"), .cause = 0x00100000}));
    else
      EXPECT_TRUE(completed(stop));
    EXPECT_EQ(s.fpr[1], 0x1111u);
    EXPECT_EQ(s.fpscr & 0xE0200000, 0xE0200000u);
  }
}

TEST_F(Interrupt, EnablingModesWithAnExceptionPending) {
  // FEX=1 already: rfid and mtmsrd that make FE0 or FE1 one are followed by the interrupt, and SRR1 says that
  // SRR0 is not the cause.
  s.fpscr = 0x80 | 0x80000000 | 0x40000000 | 0x20000000 | 0x00200000;
  s.srr0 = m.at("done");
  s.srr1 = kReal | msr::FP | msr::FE0 | msr::FE1;
  EXPECT_TRUE(interrupted(m, m.run("do_rfid", kReal), Vector::kProgram,
                          {.srr0 = m.at("done"), .cause = 0x00110000, .msr = s.srr1 & ~u64{0x110000}}));
  m.gpr(4) = kReal | msr::FP | msr::FE0;
  EXPECT_TRUE(interrupted(m, m.run("do_mtmsrd", kReal), Vector::kProgram,
                          {.srr0 = m.at("do_mtmsrd") + 4, .cause = 0x00110000, .msr = m.gpr(4)}));
}

// ---- system call

TEST_F(Interrupt, SystemCall) {
  for (u64 msr : {kReal, kBothOn, kProblem, kReal & ~msr::SF, kProblem | msr::FP | msr::RI}) {
    const std::vector<u64> before(s.gpr, s.gpr + 33);
    EXPECT_TRUE(interrupted(m, m.run("do_sc", msr), Vector::kSystemCall, {.srr0 = where("do_sc", msr) + 4}));
    EXPECT_EQ(before, std::vector<u64>(s.gpr, s.gpr + 33));
  }
}

TEST_F(Interrupt, SystemCallWithAHandler) {
  // The handler is code at the vector: rfid right away.
  m.store32(0xC00, 0x4C000024);
  for (u64 msr : {kReal, kBothOn, kProblem}) {
    const Stop stop = m.run("do_sc", msr);
    EXPECT_TRUE(completed(stop));
    EXPECT_EQ(stop.at, where("do_sc", msr) + 4);
    EXPECT_EQ(s.msr, msr);
  }
}

// ---- external

TEST_F(Interrupt, ExternalIsMasked) {
  m.thread().set_external(true);
  EXPECT_TRUE(completed(m.run("do_nothing", kReal)));
  EXPECT_TRUE(m.thread().interrupt_pending());
  // Level: taken as soon as EE is one, again and again until it goes away.
  for (unsigned i = 0; i < 3; i++)
    EXPECT_TRUE(interrupted(m, m.run("do_nothing", kReal | msr::EE), Vector::kExternal,
                            {.srr0 = m.at("do_nothing")}));
  m.thread().set_external(false);
  EXPECT_TRUE(completed(m.run("do_nothing", kReal | msr::EE)));
  EXPECT_FALSE(m.thread().interrupt_pending());
}

TEST_F(Interrupt, ExternalAfterEachWayToEnable) {
  m.thread().set_external(true);
  for (const char* way : {"ee_by_mtmsrd", "ee_by_mtmsrd_1", "ee_by_mtmsr"}) {
    m.gpr(4) = kReal | msr::EE | msr::RI;
    m.gpr(5) = 0;
    EXPECT_TRUE(interrupted(m, m.run(way, kReal), Vector::kExternal,
                            {.srr0 = m.at(std::string(way) + "_end"), .msr = kReal | msr::EE | msr::RI}))
        << way;
    EXPECT_EQ(m.gpr(5), 0u);
  }
  // Enabling for one instruction is enough.
  m.gpr(4) = msr::EE;
  m.gpr(6) = 0;
  m.gpr(5) = 0;
  EXPECT_TRUE(interrupted(m, m.run("ee_window", kReal), Vector::kExternal,
                          {.srr0 = m.at("ee_window_open"), .msr = kReal | msr::EE}));
  // rfid: before the first instruction of the target.
  for (u64 msr : {kReal | msr::EE, kProblem}) {
    s.srr0 = where("do_nothing", msr);
    s.srr1 = msr;
    EXPECT_TRUE(interrupted(m, m.run("do_rfid", kReal), Vector::kExternal,
                            {.srr0 = where("do_nothing", msr), .msr = msr}));
  }
  // ...even if that cannot be fetched.
  s.srr0 = 0x4444'0000'0000;
  s.srr1 = kProblem;
  EXPECT_TRUE(interrupted(m, m.run("do_rfid", kReal), Vector::kExternal,
                          {.srr0 = 0x4444'0000'0000, .msr = kProblem}));
}

TEST_F(Interrupt, ExternalStopsALoop) {
  for (u64 msr : {kReal | msr::EE, kProblem}) {
    for (unsigned i = 0; i < 20; i++) {
      m.go("spin", msr);
      std::thread later([&] { m.thread().set_external(true); });
      const Stop stop = m.run();
      later.join();
      EXPECT_EQ(stop.vector, Vector::kExternal);
      EXPECT_GE(s.srr0, where("spin", msr));
      EXPECT_LT(s.srr0, where("spin_end", msr));
      m.thread().set_external(false);
    }
  }
}

TEST_F(Interrupt, KickStopsALoop) {
  for (unsigned i = 0; i < 20; i++) {
    m.go("spin", kReal);
    std::thread later([&] { m.thread().kick(); });
    EXPECT_EQ(m.run().exit, Exit::kKicked);
    later.join();
  }
  // It is remembered, once.
  m.thread().kick();
  m.thread().kick();
  m.go("do_nothing", kReal);
  EXPECT_EQ(m.run().exit, Exit::kKicked);
  EXPECT_EQ(s.nia, m.at("do_nothing"));
  EXPECT_TRUE(completed(m.run()));
}

TEST_F(Interrupt, KickDoesNotLoseALine) {
  m.thread().set_external(true);
  m.thread().kick();
  m.go("do_nothing", kReal | msr::EE);
  EXPECT_EQ(m.run().exit, Exit::kKicked);
  EXPECT_TRUE(interrupted(m, m.run(), Vector::kExternal, {.srr0 = m.at("do_nothing")}));
}

// ---- decrementer

TEST_F(Interrupt, DecrementerCounts) {
  m.gpr(4) = 1000;
  ASSERT_TRUE(completed(m.run("do_mtdec", kReal)));
  for (u64 passed : {0, 1, 500, 1000, 1001, 70000}) {
    m.advance(passed - (m.clock().time_base() - 1'000'000));
    ASSERT_TRUE(completed(m.run("do_mfdec", kReal)));
    EXPECT_EQ(m.gpr(5), static_cast<u32>(1000 - passed));
  }
}

TEST_F(Interrupt, DecrementerExpiresBelowZero) {
  m.gpr(4) = 100;
  ASSERT_TRUE(completed(m.run("do_mtdec", kReal)));
  m.advance(100);
  EXPECT_TRUE(completed(m.run("do_nothing", kReal | msr::EE)));  // DEC = 0
  m.advance(1);
  // -1, masked: nothing happens, and nothing is lost.
  EXPECT_TRUE(completed(m.run("do_nothing", kReal)));
  m.advance(5000);
  for (unsigned i = 0; i < 3; i++)
    EXPECT_TRUE(interrupted(m, m.run("do_nothing", kReal | msr::EE), Vector::kDecrementer,
                            {.srr0 = m.at("do_nothing")}));
  // Gone with a value that is not negative.
  m.gpr(4) = 0x7FFFFFFF;
  ASSERT_TRUE(completed(m.run("do_mtdec", kReal)));
  EXPECT_TRUE(completed(m.run("do_nothing", kReal | msr::EE)));
  EXPECT_FALSE(m.thread().interrupt_pending());
}

TEST_F(Interrupt, NegativeDecrementerIsPendingAtOnce) {
  for (u64 value : {u64{0xFFFFFFFF}, u64{0x80000000}, u64{0xFFFFFFFFFFFFFFFE}}) {
    m.gpr(4) = value;
    m.gpr(5) = 0;
    EXPECT_TRUE(interrupted(m, m.run("mtdec_then", kReal | msr::EE), Vector::kDecrementer,
                            {.srr0 = m.at("mtdec_then_end")}));
    EXPECT_EQ(m.gpr(5), 0u);
    EXPECT_TRUE(completed(m.run("mtdec_then", kReal)));
    m.gpr(4) = 5;
    ASSERT_TRUE(completed(m.run("do_mtdec", kReal)));
    EXPECT_TRUE(completed(m.run("do_nothing", kReal | msr::EE)));
  }
}

TEST_F(Interrupt, DecrementerReplacedBeforeItExpires) {
  m.gpr(4) = 100;
  ASSERT_TRUE(completed(m.run("do_mtdec", kReal)));
  m.advance(90);
  m.gpr(4) = 1000;
  ASSERT_TRUE(completed(m.run("do_mtdec", kReal)));
  m.advance(500);
  EXPECT_TRUE(completed(m.run("do_nothing", kReal | msr::EE)));
  m.advance(501);
  EXPECT_EQ(m.run("do_nothing", kReal | msr::EE).vector, Vector::kDecrementer);
}

TEST_F(Interrupt, DecrementerInALoop) {
  m.hook(Vector::kDecrementer, "tick_handler");
  m.gpr(3) = 50;
  m.gpr(4) = 1000;
  std::atomic<bool> over{false};
  std::thread time([&] {
    while (!over) {
      m.advance(1000);
      std::this_thread::yield();
    }
  });
  EXPECT_TRUE(completed(m.run("wait_ticks", kReal)));
  over = true;
  time.join();
  // One may come between the last look and the end.
  EXPECT_GE(m.gpr(5), 50u);
}

TEST_F(Interrupt, DecrementerRunsOnUntilItIsPositiveAgain) {
  constexpr u64 kHalf = u64{1} << 31;
  m.gpr(4) = 100;
  ASSERT_TRUE(completed(m.run("do_mtdec", kReal)));
  m.advance(200);
  EXPECT_EQ(m.run("do_nothing", kReal | msr::EE).vector, Vector::kDecrementer);
  // Nobody has looked at it: pending while the sign bit is set, and then no more, until it is set again.
  for (unsigned round = 0; round < 3; round++) {
    m.advance(kHalf);
    EXPECT_TRUE(completed(m.run("do_nothing", kReal | msr::EE))) << round;
    EXPECT_FALSE(m.thread().interrupt_pending());
    m.advance(kHalf);
    EXPECT_TRUE(m.thread().interrupt_pending());
    EXPECT_EQ(m.run("do_nothing", kReal | msr::EE).vector, Vector::kDecrementer) << round;
  }
  // Also when software has made it negative itself.
  m.gpr(4) = 0x80000000;
  ASSERT_TRUE(completed(m.run("do_mtdec", kReal)));
  m.advance(1);
  EXPECT_TRUE(completed(m.run("do_nothing", kReal | msr::EE)));
  m.advance(kHalf);
  EXPECT_EQ(m.run("do_nothing", kReal | msr::EE).vector, Vector::kDecrementer);
}

TEST_F(Interrupt, ExternalGoesBeforeDecrementer) {
  m.gpr(4) = ~u64{0};
  ASSERT_TRUE(completed(m.run("do_mtdec", kReal)));
  m.thread().set_external(true);
  EXPECT_EQ(m.run("do_nothing", kReal | msr::EE).vector, Vector::kExternal);
  m.thread().set_external(false);
  EXPECT_EQ(m.run("do_nothing", kReal | msr::EE).vector, Vector::kDecrementer);
}

// ---- system reset

TEST_F(Interrupt, SystemReset) {
  for (u64 msr : {kReal, kProblem, kReal | msr::EE | msr::RI}) {
    m.thread().system_reset();
    EXPECT_TRUE(
        interrupted(m, m.run("do_nothing", msr), Vector::kSystemReset, {.srr0 = where("do_nothing", msr)}));
    // Once.
    EXPECT_TRUE(completed(m.run("do_nothing", msr)));
  }
  m.thread().system_reset();
  m.thread().set_external(true);
  EXPECT_EQ(m.run("do_nothing", kReal | msr::EE).vector, Vector::kSystemReset);
  EXPECT_EQ(m.run("do_nothing", kReal | msr::EE).vector, Vector::kExternal);
}

// ---- trace

TEST_F(Interrupt, SingleStep) {
  m.gpr(3) = 1;
  struct {
    const char *from, *to;
  } const steps[] = {{"traced", "traced_2"}, {"traced_4", "traced_5"}, {"traced_5", "traced_6"}};
  for (u64 msr : {kReal, kProblem}) {
    for (const auto& step : steps) {
      s.cr[0] = 2;  // EQ: the bne does not branch
      EXPECT_TRUE(
          interrupted(m, m.run(step.from, msr | msr::SE), Vector::kTrace, {.srr0 = where(step.to, msr)}))
          << step.from;
    }
    // A taken branch.
    s.cr[0] = 4;
    EXPECT_TRUE(
        interrupted(m, m.run("traced_4", msr | msr::SE), Vector::kTrace, {.srr0 = where("traced_6", msr)}));
  }
}

TEST_F(Interrupt, SingleStepThroughARoutine) {
  // What a debugger does: step, look, go on.
  m.gpr(3) = 1;
  std::vector<u64> seen;
  m.go("traced", kReal | msr::SE);
  const u64 from = s.instructions;
  for (unsigned i = 0; i < 10; i++) {
    const Stop stop = m.run();
    if (stop.vector != Vector::kTrace) {
      EXPECT_EQ(stop.at, m.at("traced_6"));
      break;
    }
    seen.push_back(s.srr0);
    m.go(s.srr0, s.srr1);
  }
  const u64 path[] = {m.at("traced_2"), m.at("traced_2") + 4, m.at("traced_4"), m.at("traced_5"),
                      m.at("traced_6")};
  EXPECT_EQ(seen, std::vector<u64>(std::begin(path), std::end(path)));
  // Five traced, five `sc 1` at the vector, one `sc 1` at the end.
  EXPECT_EQ(s.instructions - from, 11u);
}

TEST_F(Interrupt, TraceGivesWayToInterruptsOfTheInstruction) {
  EXPECT_TRUE(interrupted(m, m.run("do_trap", kReal | msr::SE), Vector::kProgram,
                          {.srr0 = m.at("do_trap"), .cause = 0x00020000}));
  EXPECT_TRUE(
      interrupted(m, m.run("do_sc", kReal | msr::SE), Vector::kSystemCall, {.srr0 = m.at("do_sc") + 4}));
  EXPECT_TRUE(
      interrupted(m, m.run("do_sc", kReal | msr::BE), Vector::kSystemCall, {.srr0 = m.at("do_sc") + 4}));
  m.gpr(4) = 0x4444'0000'0000;
  EXPECT_TRUE(interrupted(m, m.run("do_ld", kReal | msr::DR | msr::SE), Vector::kDataSegment,
                          {.srr0 = m.at("do_ld")}));
}

TEST_F(Interrupt, RfidIsNotTraced) {
  // Neither by the old MSR nor by the new one: the first instruction of the target is done first.
  s.srr0 = m.at("traced");
  s.srr1 = kReal | msr::SE;
  EXPECT_TRUE(interrupted(m, m.run("do_rfid", kReal), Vector::kTrace,
                          {.srr0 = m.at("traced_2"), .msr = kReal | msr::SE}));
  s.srr0 = m.at("done");
  s.srr1 = kReal;
  const Stop stop = m.run("do_rfid", kReal | msr::SE);
  EXPECT_TRUE(completed(stop));
  EXPECT_EQ(stop.at, m.at("done") + 4);
}

TEST_F(Interrupt, MtmsrdIsTraced) {
  // By the MSR that was.
  for (u64 value : {kReal | msr::SE | msr::RI, kReal | msr::SE | msr::DR, kReal}) {
    m.gpr(4) = value;
    EXPECT_TRUE(interrupted(m, m.run("traced_mtmsrd", kReal | msr::SE), Vector::kTrace,
                            {.srr0 = m.at("traced_mtmsrd_next"), .msr = value}))
        << std::hex << value;
  }
}

TEST_F(Interrupt, TraceOfAStoreToTheNextInstruction) {
  m.gpr(4) = m.at("traced_self_next");
  m.gpr(5) = 0x38C00001;  // li 6,1
  EXPECT_TRUE(interrupted(m, m.run("traced_self", kReal | msr::SE), Vector::kTrace,
                          {.srr0 = m.at("traced_self_next")}));
  EXPECT_TRUE(interrupted(m, m.run("traced_self_next", kReal | msr::SE), Vector::kTrace,
                          {.srr0 = m.at("traced_self_next") + 4}));
  EXPECT_EQ(m.gpr(6), 1u);
}

TEST_F(Interrupt, BranchTrace) {
  m.gpr(3) = 1;
  EXPECT_TRUE(interrupted(m, m.run("traced", kReal | msr::BE), Vector::kTrace,
                          {.srr0 = m.at("traced_4"), .msr = kReal | msr::BE}));
  s.cr[0] = 4;
  EXPECT_TRUE(interrupted(m, m.run("traced_3", kReal | msr::BE), Vector::kTrace,
                          {.srr0 = m.at("traced_6"), .msr = kReal | msr::BE}));
  // Not taken, it is a branch all the same.
  s.cr[0] = 2;
  EXPECT_TRUE(interrupted(m, m.run("traced_3", kReal | msr::BE), Vector::kTrace,
                          {.srr0 = m.at("traced_5"), .msr = kReal | msr::BE}));
}

TEST_F(Interrupt, BranchTraceOfEveryBranch) {
  constexpr u64 kBranchTrace = kReal | msr::BE;
  const u64 at = Machine::kScratch;
  s.ctr = s.lr = at + 4;  // A branch to where it would go anyway counts, too.
  for (u32 branch : {0x48000004u, 0x48000005u, 0x42800004u, 0x41820004u, 0x41820005u, 0x4E800020u,
                     0x4D820020u, 0x4E800421u, 0x4D820420u, 0x42000004u}) {
    for (u8 cr : {2, 4}) {
      s.cr[0] = cr;
      s.ctr = s.lr = at + 4;
      if (branch == 0x42000004u) s.ctr = 1;
      m.assemble({0x60000000, branch, 0x60000000});
      m.go(at, kBranchTrace);
      s.ctr = branch == 0x42000004u ? 1 : at + 8;
      s.lr = at + 8;
      EXPECT_TRUE(interrupted(m, m.run(), Vector::kTrace, {.srr0 = at + 8})) << std::hex << branch;
    }
  }
  // What only moves conditions does not, nor do isync and rfid.
  m.assemble({0x4C631B82, 0x4C000000, 0x4C00012C});  // cror, mcrf, isync
  m.go(at, kBranchTrace);
  EXPECT_TRUE(completed(m.run()));
}

TEST_F(Interrupt, TraceGoesBeforeExternal) {
  m.go("do_nothing", kReal | msr::SE);
  m.thread().set_external(true);
  EXPECT_TRUE(interrupted(m, m.run(), Vector::kTrace, {.srr0 = m.at("do_nothing") + 4}));
}

// ---- what survives

TEST_F(Interrupt, ReservationSurvives) {
  m.store(kA, 1);
  m.gpr(4) = kA;
  m.gpr(5) = 2;
  m.hook(Vector::kSystemCall, "report_and_return");
  ASSERT_TRUE(completed(m.run("do_lwarx", kReal)));
  m.go("do_sc", kReal);
  Stop stop = m.run();  // the handler's sc 1
  EXPECT_EQ(stop.at, m.at("report_and_return"));
  stop = m.run();  // its rfid, then the end of do_sc
  EXPECT_EQ(stop.at, m.at("do_sc") + 4);
  m.gpr(5) = 2;
  ASSERT_TRUE(completed(m.run("do_stwcx", kReal)));
  EXPECT_EQ(m.load32(kA), 2u);
}

TEST_F(Interrupt, StateAtReset) {
  m.gpr(7) = 7;
  m.slb({.ea = 0x1000'0000, .vsid = 1});
  m.thread().reset(m.at("done"), 0x1234, true);
  EXPECT_EQ(s.msr, msr::SF | msr::ME);
  EXPECT_EQ(m.gpr(3), 0x1234u);
  EXPECT_EQ(m.gpr(7), 0u);
  EXPECT_EQ(m.thread().slb_find(0x1000'0000), nullptr);
  EXPECT_EQ(m.thread().instructions(), 0u);
  EXPECT_TRUE(completed(m.run()));
  EXPECT_EQ(m.thread().instructions(), 2u);
  m.thread().reset(m.at("done"), 0, false);
  EXPECT_EQ(s.msr, msr::ME);
  EXPECT_TRUE(completed(m.run()));
}

}  // namespace
}  // namespace baton::bare_metal
