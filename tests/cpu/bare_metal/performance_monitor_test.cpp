// SPDX-License-Identifier: Apache-2.0
// The performance monitor: what is counted exactly, what freezes it, and its interrupt (POWER6-ISA 9).
#include "tests/cpu/bare_metal/machine.h"

namespace baton::bare_metal {
namespace {

constexpr u64 kReal = msr::SF | msr::ME;
constexpr u64 kBothOn = kReal | msr::IR | msr::DR;
constexpr u64 kProblem = kBothOn | msr::PR | msr::EE;

/// MMCR0 bits, spelled out again.
constexpr u32 kFc = 0x80000000, kFcs = 0x40000000, kFcp = 0x20000000, kFcm1 = 0x10000000, kFcm0 = 0x08000000,
              kPmxe = 0x04000000, kFcece = 0x02000000, kTbee = 0x00400000, kPmc1ce = 0x8000, kPmcjce = 0x4000,
              kTrigger = 0x2000, kPmao = 0x80, kFc56 = 0x10, kFcti = 0x08, kFcwait = 0x02, kFchv = 0x01;
constexpr u32 kAct = kPmxe | kFcece | kPmc1ce | kPmcjce;
constexpr u64 kSipr = 0x0000020000000000;

constexpr u32 kInstructions = 0x2, kCycles = 0x1E, kLoads = 0x80082, kStores = 0x80086, kBranches = 0x410A0;

class Monitor : public OneThread {
 protected:
  void SetUp() override {
    m.map_code();
    m.gpr(4) = Machine::kData;
    Segment data{.ea = 0, .vsid = 77, .index = 2};
    m.slb(data);
    for (u64 page = 0; page < 2; page++)
      m.map(data, {.ea = Machine::kData + page * 4096, .ra = Machine::kData + page * 4096});
    m.thread().dispatched();
  }
  cpu::Pmu& pmu() { return m.thread().pmu(); }
  /// MMCR1 for one event code a counter (0: nothing), as the codes are made (POWER6-ISA 9).
  void select(std::initializer_list<u32> codes) {
    u64 mmcr1 = 0;
    unsigned n = 0;
    for (const u32 code : codes) {
      u64 psel = code & 0xFF;
      const u64 unit = code >> 16 & 15, byte = code >> 12 & 3;
      if (unit) mmcr1 |= unit << (60 - 4 * byte);
      if (unit && n >= 2 && (psel & 0x90) == 0x80) psel ^= 0x20;
      mmcr1 |= psel << (24 - 8 * n++);
    }
    pmu().set_mmcr1(mmcr1, s.instructions);
  }
  void control(u32 mmcr0) { pmu().set_mmcr0(mmcr0, s.instructions); }
  void preset(unsigned pmc, u32 value) { pmu().set_counter(pmc - 1, value, s.instructions); }
  u32 counter(unsigned pmc) { return pmu().counter(pmc - 1, s.instructions); }
  void clear() {
    for (unsigned pmc = 1; pmc <= 4; pmc++) preset(pmc, 0);
  }
  Stop mix(u64 rounds, u64 msr) {
    m.gpr(3) = rounds;
    return m.run("monitor_mix", msr);
  }
};

TEST_F(Monitor, CountsClassesExactly) {
  select({kLoads, kStores, kBranches, kInstructions});
  control(0);
  for (u64 msr : {kReal, kBothOn, kProblem}) {
    for (u64 rounds : {1, 2, 1000}) {
      SCOPED_TRACE(testing::Message() << "MSR " << msr << " rounds " << rounds);
      clear();
      ASSERT_TRUE(completed(mix(rounds, msr)));
      EXPECT_EQ(counter(1), 3 * rounds);
      EXPECT_EQ(counter(2), 3 * rounds);
      EXPECT_EQ(counter(3), 3 * rounds);
      EXPECT_EQ(counter(4), 9 * rounds + 2);
    }
  }
  // The same one instruction at a time.
  clear();
  m.gpr(3) = 5;
  m.go("monitor_mix", kBothOn);
  while (m.run(0, 1).exit == Exit::kBudget) {
  }
  EXPECT_EQ(counter(1), 15u);
  EXPECT_EQ(counter(4), 47u);
}

TEST_F(Monitor, EveryCounterSeesTheEventBus) {
  for (const auto& [code, many] :
       {std::pair{kLoads, 30u}, {kStores, 30u}, {kBranches, 30u}, {kInstructions, 92u}}) {
    select({code, code, code, code});
    control(0);
    clear();
    ASSERT_TRUE(completed(mix(10, kBothOn)));
    for (unsigned pmc = 1; pmc <= 4; pmc++)
      EXPECT_EQ(counter(pmc), many) << std::hex << code << " PMC" << pmc;
  }
  // Codes that belong to one counter, then codes that are not counted.
  select({0x180032, 0x280030, 0x30000C, 0x400052});
  clear();
  ASSERT_TRUE(completed(mix(10, kBothOn)));
  EXPECT_EQ(counter(1), 30u);
  EXPECT_EQ(counter(2), 30u);
  EXPECT_EQ(counter(3), 0u);
  EXPECT_EQ(counter(4), 0u);
  select({0x280030, 0x180032});
  clear();
  ASSERT_TRUE(completed(mix(10, kBothOn)));
  EXPECT_EQ(counter(1), 0u);
  EXPECT_EQ(counter(2), 0u);
  // Reservations, conditional stores, and those that fail.
  select({0x830EA, 0x830E6, 0x830EE});
  clear();
  ASSERT_TRUE(completed(mix(10, kBothOn)));
  EXPECT_EQ(counter(1), 10u);
  EXPECT_EQ(counter(2), 10u);
  EXPECT_EQ(counter(3), 0u);
}

TEST_F(Monitor, InterruptedInstructionsAreNotCounted) {
  select({kLoads, kStores, kBranches, kInstructions});
  control(0);
  m.gpr(4) = 0x4444'0000'0001;
  EXPECT_EQ(m.run("do_ld", kBothOn).vector, Vector::kDataSegment);
  EXPECT_EQ(m.run("do_std", kBothOn).vector, Vector::kDataSegment);
  EXPECT_EQ(counter(1), 0u);
  EXPECT_EQ(counter(2), 0u);
  EXPECT_EQ(counter(4), 2u);  // sc 1 of the vectors
  select({0x183034, 0x830E8, 0, 0x400007});
  clear();
  EXPECT_EQ(m.run("do_ld", kBothOn).vector, Vector::kDataSegment);
  EXPECT_EQ(counter(1), 1u);
  EXPECT_EQ(counter(2), 1u);
  EXPECT_EQ(counter(4), 1u);
}

TEST_F(Monitor, BetweenTwoMoves) {
  select({kLoads, kStores, kBranches, kInstructions});
  for (u64 msr : {kReal, kBothOn}) {
    control(kFc);
    clear();
    m.gpr(3) = 100;
    m.gpr(10) = 0;
    m.gpr(11) = kFc;
    ASSERT_TRUE(completed(m.run("monitor_between", msr)));
    EXPECT_EQ(counter(1), 100u);
    EXPECT_EQ(counter(2), 100u);
    EXPECT_EQ(counter(3), 100u);
    EXPECT_EQ(counter(4), 301u);  // with the move that freezes
  }
  select({kInstructions});
  control(0);
  ASSERT_TRUE(completed(m.run("monitor_read", kBothOn)));
  EXPECT_EQ(m.gpr(6) - m.gpr(5), 4u);
  control(kFc);
  ASSERT_TRUE(completed(m.run("monitor_read", kProblem & ~msr::PR)));
  EXPECT_EQ(m.gpr(6), m.gpr(5));
}

TEST_F(Monitor, FreezeBits) {
  select({kLoads, kInstructions});
  struct {
    u32 mmcr0;
    u64 msr;
    bool run, counts;
  } const cases[] = {
      {0, kBothOn, true, true},
      {kFc, kBothOn, true, false},
      {kFcs, kBothOn, true, false},
      {kFcs, kProblem, true, true},
      {kFcp, kBothOn, true, true},
      {kFcp, kProblem, true, false},
      {kFcs | kFcp, kReal, true, false},
      {kFcm1, kProblem, true, true},
      {kFcm0, kProblem, true, false},
      {kFcm1, kProblem | msr::PMM, true, false},
      {kFcm0, kProblem | msr::PMM, true, true},
      {kFcwait, kBothOn, true, true},
      {kFcwait, kBothOn, false, false},
      {0, kBothOn, false, true},
      {kFchv, kBothOn, true, true},
      {kFcti, kBothOn, true, false},
      {kFc56, kBothOn, true, true},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(testing::Message() << std::hex << "MMCR0 " << c.mmcr0 << " MSR " << c.msr << " run "
                                    << c.run);
    pmu().set_ctrl(c.run, s.instructions);
    control(c.mmcr0);
    clear();
    ASSERT_TRUE(completed(mix(7, c.msr)));
    EXPECT_EQ(counter(1), c.counts ? 21u : 0u);
    EXPECT_EQ(counter(2), c.counts ? 65u : 0u);
  }
}

TEST_F(Monitor, MarksInTheMiddleOfARun) {
  select({kInstructions, kBranches});
  for (const bool frozen_when_marked : {true, false}) {
    control(frozen_when_marked ? kFcm1 : kFcm0);
    clear();
    m.gpr(3) = 50;
    m.gpr(10) = kBothOn | msr::PMM;
    m.gpr(11) = kBothOn;
    ASSERT_TRUE(completed(m.run("monitor_marked", kBothOn)));
    // mtctr and the mtmsrd that marks; sc 1 after the one that ends it.
    EXPECT_EQ(counter(1), frozen_when_marked ? 3u : 51u);
    EXPECT_EQ(counter(2), frozen_when_marked ? 0u : 50u);
  }
}

TEST_F(Monitor, PrivilegeChangesInTheMiddleOfARun) {
  m.hook(Vector::kSystemCall, "monitor_call_handler");
  select({kLoads, kInstructions, kBranches});
  for (const u32 freeze : {kFcs, kFcp, 0U}) {
    control(freeze);
    clear();
    m.gpr(3) = 20;
    ASSERT_TRUE(completed(m.run("monitor_calls", kProblem)));
    const u32 user = 1 + 2 * 20 + 1, supervisor = 20 * 6;
    EXPECT_EQ(counter(1), freeze == kFcs ? 0u : 40u);
    EXPECT_EQ(counter(2), freeze == kFcs ? user : freeze == kFcp ? supervisor : user + supervisor);
    EXPECT_EQ(counter(3), freeze == kFcs ? 20u : freeze == kFcp ? 20u : 40u);
  }
  // An overflow by the handler's rfid, noticed because it changes what counts: the sample lies there.
  control(kFc);
  clear();
  preset(2, 0x80000000 - 6);
  control(kAct | kFcp);
  m.gpr(3) = 20;
  const Stop stop = m.run("monitor_calls", kProblem);
  EXPECT_EQ(stop.vector, Vector::kPerformanceMonitor) << stop;
  EXPECT_EQ(s.siar, m.at("monitor_call_handler") + 16);
  EXPECT_EQ(s.mmcra & kSipr, 0u);
  m.unhook(Vector::kSystemCall);
}

TEST_F(Monitor, RunCounters) {
  // Counters 5 and 6 see neither FC nor privilege; they stop with the run latch and FC56.
  control(kFc);
  u32 before = counter(5);
  ASSERT_TRUE(completed(mix(10, kProblem)));
  EXPECT_EQ(counter(5) - before, 92u);
  control(kFc | kFc56);
  before = counter(5);
  const u32 cycles = counter(6);
  m.advance(512);
  ASSERT_TRUE(completed(mix(10, kBothOn)));
  EXPECT_EQ(counter(5), before);
  EXPECT_EQ(counter(6), cycles);
  control(0);
  m.advance(512);
  EXPECT_EQ(counter(6) - cycles, 4208u);
  before = counter(5);
  select({0, 0x2000F5});
  clear();
  m.gpr(3) = 10;
  ASSERT_TRUE(completed(m.run("monitor_latch", kReal)));
  EXPECT_EQ(counter(5) - before, 4u + 10 * 2 + 1 - 1);
  EXPECT_EQ(counter(2), 10u);
}

TEST_F(Monitor, Cycles) {
  m.domain().core_hz = 4'000'000'000;
  select({kCycles, 0x2000F4, 0x30000E, 0x400010});
  control(0);
  clear();
  m.advance(1024);
  EXPECT_EQ(counter(1), 8000u);
  EXPECT_EQ(counter(2), 8000u);
  EXPECT_EQ(counter(3), 0u);
  EXPECT_EQ(counter(4), 1024u);
  m.thread().undispatched();
  m.advance(1024);
  EXPECT_EQ(s.pmc[0], 8000u);
  m.thread().dispatched();
  m.advance(512);
  EXPECT_EQ(counter(1), 12000u);
  pmu().set_ctrl(0, s.instructions);
  m.advance(512);
  EXPECT_EQ(counter(1), 16000u);
  EXPECT_EQ(counter(2), 12000u);
  // The alarm of an overflow, and that of the decrementer, whichever comes first.
  for (const i32 dec : {100'000, 1000, 300}) {
    preset(1, 0x80000000 - 4000);  // 512 ticks
    control(kAct);
    m.thread().set_dec(static_cast<u32>(dec));
    m.advance(511);
    EXPECT_EQ(s.lines & cpu::line::kPerformanceMonitor, 0u);
    m.go("monitor_mix", kReal);
    (void)m.run(0, 1);
    m.advance(1);
    m.go("count_loop", kReal | msr::EE);
    m.gpr(3) = 1;
    const Stop stop = m.run();
    EXPECT_EQ(stop.vector, Vector::kPerformanceMonitor) << stop;
    EXPECT_EQ(counter(1), 0x80000000u);
    EXPECT_EQ((s.lines & cpu::line::kDecrementer) != 0, dec == 300);
    m.advance(static_cast<u64>(dec));
    EXPECT_NE(s.lines & cpu::line::kDecrementer, 0u);
    control(kFc);
    m.thread().set_dec(0x7FFFFFFF);
  }
}

TEST_F(Monitor, OverflowInterruptsAfterTheInstruction) {
  for (const u32 event : {kInstructions, kLoads, kBranches}) {
    for (const u64 msr : {kReal | msr::EE, kBothOn | msr::EE, kProblem}) {
      SCOPED_TRACE(testing::Message() << "event " << event << " MSR " << msr);
      select({0, event});
      control(kFc);
      preset(2, 0x80000000 - 12);
      control(kAct);
      const u64 from = s.instructions;
      const Stop stop = mix(100, msr);
      // 12th instruction: lbz of the second round; 12th load: lwarx of the fourth; 12th branch: its bdnz.
      const u64 done = event == kInstructions ? 12 : event == kLoads ? 1 + 3 * 9 + 5 : 1 + 4 * 9;
      const u64 skipped = event == kInstructions ? 2 : event == kLoads ? 5 : 0;
      const u64 start = m.at("monitor_mix") + 4 + (msr & msr::IR ? Machine::kCode : 0);
      EXPECT_TRUE(interrupted(m, stop, Vector::kPerformanceMonitor, {.srr0 = start + 4 * skipped}));
      EXPECT_EQ(s.instructions - from, done + 1);  // sc 1 of the vector
      EXPECT_EQ(counter(2), 0x80000000u);
      EXPECT_EQ(s.mmcr0, (kAct & ~kPmxe) | kFc | kPmao);
      EXPECT_EQ(s.siar, s.srr0);
      EXPECT_EQ(s.mmcra & kSipr, msr & msr::PR ? kSipr : 0);
      control(kFc);
    }
  }
}

TEST_F(Monitor, FarOverflowIsFoundByTime) {
  // 1.2 million instructions before the overflow; time passes while they run.
  select({kInstructions});
  control(kFc);
  preset(1, 0x80000000 - 1'200'000);
  control(kAct & ~kFcece);
  std::atomic<bool> over{false};
  std::thread time([&] {
    while (!over) m.advance(100);
  });
  // Long enough for the thread that makes time pass to be scheduled on a busy host.
  constexpr u64 kRounds = 500'000'000;
  m.gpr(3) = kRounds;
  m.gpr(5) = 0;
  const Stop stop = m.run("count_loop", kReal | msr::EE);
  over = true;
  time.join();
  EXPECT_EQ(stop.vector, Vector::kPerformanceMonitor);
  EXPECT_GE(counter(1), 0x80000000u);
  // mtctr, addi, bdnz, and sc 1 of the vector.
  EXPECT_EQ(counter(1), 0x80000000u - 1'200'000 + static_cast<u32>(1 + m.gpr(5) + (kRounds - s.ctr) + 1));
}

TEST_F(Monitor, TheAlertIsALevel) {
  select({kInstructions});
  control(kFc);
  preset(1, 0x80000000);
  control(kAct);  // The condition exists: at once.
  EXPECT_EQ(s.mmcr0 & (kPmao | kFc | kPmxe), kPmao | kFc);
  m.gpr(10) = msr::EE;
  m.gpr(11) = 0;
  for (unsigned i = 0; i < 2; i++) {
    const Stop stop = m.run("monitor_enable", kReal);
    EXPECT_TRUE(interrupted(m, stop, Vector::kPerformanceMonitor,
                            {.srr0 = m.at("monitor_enable") + 8, .msr = kReal | msr::EE}));
  }
  EXPECT_TRUE(m.thread().interrupt_pending());
  control(kFc);  // PMAO cleared
  EXPECT_FALSE(m.thread().interrupt_pending());
  EXPECT_TRUE(completed(m.run("monitor_enable", kReal)));
  // Software can set PMAO itself; without the condition enable there is no alert.
  control(kFc | kPmao);
  EXPECT_TRUE(m.thread().interrupt_pending());
  control(kPmxe | kFcece | kPmcjce);
  EXPECT_EQ(s.mmcr0, kPmxe | kFcece | kPmcjce);
  EXPECT_FALSE(m.thread().interrupt_pending());
}

TEST_F(Monitor, PeriodicSamples) {
  // An interrupt each 1000 instructions of user code, none lost.
  m.hook(Vector::kPerformanceMonitor, "monitor_handler");
  select({kInstructions});
  control(kFc);
  preset(1, 0x80000000 - 1000);
  m.gpr(10) = kFcs | kAct;
  m.gpr(12) = 0x80000000 - 1000;
  m.gpr(13) = 0;
  control(kFcs | kAct);
  ASSERT_TRUE(completed(mix(10'000, kProblem)));
  EXPECT_EQ(m.gpr(13), (2 + 90'000) / 1000u);
  EXPECT_EQ(counter(1), 0x80000000 - 1000 + 2);
  m.unhook(Vector::kPerformanceMonitor);
}

TEST_F(Monitor, TriggerHoldsTheOthersBack) {
  select({kLoads, kInstructions});
  control(kTrigger);
  preset(1, 0x80000000 - 10);
  preset(2, 0);
  ASSERT_TRUE(completed(mix(100, kReal)));
  EXPECT_EQ(s.mmcr0, 0u);
  // Ten loads are done in the first of the fourth round's instructions.
  EXPECT_EQ(counter(1), 0x80000000 + 290u);
  EXPECT_EQ(counter(2), 902u - (1 + 27 + 1));
}

TEST_F(Monitor, TimeBaseTransitions) {
  struct {
    u32 tbsel;
    unsigned bit;
  } const cases[] = {{0, 0}, {1, 8}, {2, 12}, {3, 16}};
  for (const auto& c : cases) {
    SCOPED_TRACE(c.tbsel);
    const u64 period = u64{2} << c.bit;
    m.advance(period - m.clock().time_base() % period);  // the bit is 0 now, and all below it
    select({0x100026});
    control(c.tbsel << 23);
    preset(1, 0);
    m.advance(period / 2 - 1);
    EXPECT_EQ(counter(1), 0u);
    m.advance(1);
    EXPECT_EQ(counter(1), 1u);
    m.advance(period * 9);
    EXPECT_EQ(counter(1), 10u);
    // The transition as a condition.
    control(c.tbsel << 23 | kTbee | kPmxe);
    m.advance(period - 1);
    if (period > 2) {
      ASSERT_TRUE(completed(mix(1, kReal)));
      EXPECT_EQ(s.mmcr0 & kPmao, 0u);
    }
    m.advance(1);
    EXPECT_EQ(mix(1, kReal | msr::EE).vector, Vector::kPerformanceMonitor);
    control(kFc);
  }
}

TEST_F(Monitor, ExternalInterrupts) {
  select({0, 0x2000F8, 0x300010});
  control(0);
  m.thread().set_external(true);
  for (unsigned i = 1; i <= 3; i++) {
    EXPECT_EQ(mix(1, kReal | msr::EE).vector, Vector::kExternal);
    EXPECT_EQ(counter(2), i);
    EXPECT_EQ(counter(3), i);
  }
  m.thread().set_external(false);
}

TEST_F(Monitor, StateGoesOutAndIn) {
  // What a move does: the registers are read while not dispatched, and written into another thread.
  select({kLoads, kInstructions});
  control(kAct);
  clear();
  ASSERT_TRUE(completed(mix(10, kReal)));
  m.thread().undispatched();
  EXPECT_EQ(s.pmc[0], 30u);
  EXPECT_EQ(s.pmc[1], 92u);
  Machine other;
  cpu::State& t = other.state();
  std::copy(s.pmc, s.pmc + 6, t.pmc);
  t.mmcr0 = s.mmcr0;
  t.mmcr1 = s.mmcr1;
  other.thread().state_changed();
  other.thread().dispatched();
  other.gpr(3) = 10;
  other.gpr(4) = Machine::kData;
  ASSERT_TRUE(completed(other.run("monitor_mix", kReal)));
  EXPECT_EQ(other.thread().pmu().counter(0, t.instructions), 60u);
  EXPECT_EQ(other.thread().pmu().counter(1, t.instructions), 184u);
}

}  // namespace
}  // namespace baton::bare_metal
