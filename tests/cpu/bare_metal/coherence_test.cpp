// SPDX-License-Identifier: Apache-2.0
// What the domain promises while threads run: a translation that was taken away is not used any more, and no
// store escapes the tracking of a migration.
#include <cstring>
#include <random>

#include "tests/cpu/bare_metal/machine.h"

namespace baton::bare_metal {
namespace {

constexpr u64 kReal = msr::SF | msr::ME;
constexpr u64 kDataOn = kReal | msr::DR;
constexpr u64 kBothOn = kDataOn | msr::IR;
constexpr u64 kProblem = kBothOn | msr::PR | msr::EE;
constexpr u64 kA = 0x20'0000;
constexpr u64 kEa = 0x9'0000'1000'0000;  // in no segment of any size that holds the code
constexpr u64 kReferenced = 0x100, kChanged = 0x80;

void settle() {
  for (unsigned i = 0; i < 50; i++) std::this_thread::yield();
}

/// True when the page is there, false when it is time to end.
bool wait_for(const std::atomic<bool>& there, const std::atomic<bool>& over) {
  while (!there && !over) std::this_thread::yield();
  return !over;
}

struct Program {
  const char* name;
  u64 msr;
  bool terabyte;
  u64 llp;
};

/// A thread stores through a page for ever; the page comes and goes.
class TakenAway : public testing::TestWithParam<Program> {
 protected:
  Machine m;
  std::atomic<bool> there{false};
  std::atomic<u64> faults{0};
  Segment segment{
      .ea = kEa, .vsid = 0x777, .terabyte = GetParam().terabyte, .llp = GetParam().llp, .index = 1};

  /// Storage interrupts wait until the page is there again.
  bool at_stop(const Stop& stop, const std::atomic<bool>& over) {
    EXPECT_EQ(stop.at, m.at("report_and_return")) << stop;
    faults++;
    return wait_for(there, over);
  }
  void start() {
    m.map_code();
    m.slb(segment);
    m.hook(Vector::kDataStorage, "report_and_return");
    m.hook(Vector::kInstructionStorage, "report_and_return");
    m.gpr(4) = kEa;
    m.gpr(5) = 1;
    m.go(GetParam().name, GetParam().msr);
  }
  std::vector<u8> page() {
    std::vector<u8> bytes(4096);
    EXPECT_TRUE(m.memory().read(kA, bytes));
    return bytes;
  }
};

TEST_P(TakenAway, NoStoreLandsAfterwards) {
  start();
  Runner runner(m, 0,
                [this](const Stop& stop, const std::atomic<bool>& over) { return at_stop(stop, over); });
  for (Rounds rounds(2000); rounds.next();) {
    const unsigned round = rounds.round();
    const std::vector<u8> before = page();
    const u64 ptex = m.map(segment, {.ea = kEa, .ra = kA, .secondary = (round & 2) != 0, .slot = round & 7});
    there = true;
    // Sometimes before the first store, sometimes after many.
    if (round % 3) ASSERT_TRUE(eventually([&] { return page() != before; }));
    if (round % 3 == 2) settle();
    there = false;
    const u64 r = m.unmap(ptex);
    const std::vector<u8> after = page();
    if (after != before) EXPECT_EQ(r & (kReferenced | kChanged), kReferenced | kChanged) << "round " << round;
    // Something else lives in the frame now.
    ASSERT_TRUE(m.memory().fill(kA, 0x5A, 4096));
    if (round % 8 == 0)
      settle();
    else
      std::this_thread::yield();
    ASSERT_EQ(page(), std::vector<u8>(4096, 0x5A)) << "round " << round;
    ASSERT_TRUE(m.memory().write(kA, after));
  }
  runner.stop();
  EXPECT_GE(faults, 1u);
}

TEST_P(TakenAway, NoStoreLandsInAReadOnlyPage) {
  start();
  Runner runner(m, 0,
                [this](const Stop& stop, const std::atomic<bool>& over) { return at_stop(stop, over); });
  const u64 ptex = m.ptex(segment, {.ea = kEa});
  for (Rounds rounds(1000); rounds.next();) {
    const unsigned round = rounds.round();
    const std::vector<u8> before = page();
    m.map(segment, {.ea = kEa, .ra = kA});
    there = true;
    if (round % 2) ASSERT_TRUE(eventually([&] { return page() != before; }));
    there = false;
    // As H_PROTECT does, and then as the next user of the frame.
    const cpu::Hpte old = m.hpt().get(ptex);
    m.hpt().set(ptex, {old.v, old.r | 3});
    m.domain().forget_translation(ptex, old);
    const std::vector<u8> after = page();
    std::this_thread::yield();
    ASSERT_EQ(page(), after) << "round " << round;
  }
  runner.stop();
}

TEST_P(TakenAway, ForgetAll) {
  start();
  Runner runner(m, 0,
                [this](const Stop& stop, const std::atomic<bool>& over) { return at_stop(stop, over); });
  const u64 ptex = m.ptex(segment, {.ea = kEa});
  for (Rounds rounds(500); rounds.next();) {
    const unsigned round = rounds.round();
    const std::vector<u8> before = page();
    m.map(segment, {.ea = kEa, .ra = kA});
    there = true;
    ASSERT_TRUE(eventually([&] { return page() != before; }));
    there = false;
    m.hpt().set(ptex, {0, 0});
    m.domain().forget_all_translations();
    const std::vector<u8> after = page();
    std::this_thread::yield();
    ASSERT_EQ(page(), after) << "round " << round;
  }
  runner.stop();
}

INSTANTIATE_TEST_SUITE_P(Stores, TakenAway,
                         testing::Values(Program{"store_forever", kDataOn, false, k4K},
                                         Program{"store_forever", kProblem, true, k64K},
                                         Program{"store_ways_forever", kBothOn, true, k4K},
                                         Program{"store_ways_forever", kProblem, false, k4K}),
                         [](const auto& info) {
                           return std::string(info.param.name) + std::to_string(info.index);
                         });

/// The same for a page that is executed: a routine that counts in memory.
TEST(TakenAwayCode, NoInstructionIsExecutedAfterwards) {
  Machine m;
  std::atomic<bool> there{false};
  const Segment segment{.ea = kEa, .vsid = 0x777};
  const u64 counter = 0x30'0000;
  m.map_code();
  m.slb(segment);
  m.map(segment, {.ea = kEa + 0x10000, .ra = counter});
  m.hook(Vector::kInstructionStorage, "report_and_return");
  // 1: addi 6,6,1; std 6,0(5); b 1b -- never leaves the page by itself.
  m.store32(kA, 0x38C60001);
  m.store32(kA + 4, 0xF8C50000);
  m.store32(kA + 8, 0x4BFFFFF8);
  m.gpr(5) = kEa + 0x10000;
  m.go(kEa, kProblem);
  Runner runner(m, 0, [&](const Stop& stop, const std::atomic<bool>& over) {
    EXPECT_EQ(stop.at, m.at("report_and_return"));
    return wait_for(there, over);
  });
  for (Rounds rounds(1500); rounds.next();) {
    const unsigned round = rounds.round();
    const u64 before = m.load(counter);
    const u64 ptex = m.map(segment, {.ea = kEa, .ra = kA});
    there = true;
    ASSERT_TRUE(eventually([&] { return m.load(counter) != before; }));
    there = false;
    m.unmap(ptex);
    const u64 after = m.load(counter);
    if (round % 8 == 0)
      settle();
    else
      std::this_thread::yield();
    ASSERT_EQ(m.load(counter), after) << "round " << round;
  }
  runner.stop();
}

/// A page that is executed, stores to its own frame, and loses its translation: the thread then waits for the
/// code lock now and then.
TEST(TakenAwayCode, EvenIfItChangesItself) {
  Machine m(2);
  std::atomic<bool> there{false};
  const Segment segment{.ea = kEa, .vsid = 0x777};
  const u64 data = kEa + 0x10000;
  m.map_code(0);
  m.map_code(1);
  m.slb(segment);
  m.hook(Vector::kInstructionStorage, "report_and_return");
  // 1: addi 6,6,1; std 6,0x800(5); b 1b, with r5 -> the same frame through a mapping that stays.
  m.map(segment, {.ea = data, .ra = kA, .rights = 2 | 4, .slot = 1});
  m.store32(kA, 0x38C60001);
  m.store32(kA + 4, 0xF8C50800);
  m.store32(kA + 8, 0x4BFFFFF8);
  m.gpr(5) = data;
  m.go(kEa, kProblem);
  Runner runner(m, 0, [&](const Stop& stop, const std::atomic<bool>& over) {
    EXPECT_EQ(stop.at, m.at("report_and_return"));
    return wait_for(there, over);
  });
  // The other thread keeps the frame decoded and the lock busy.
  m.gpr(3, 1) = u64{1} << 40;
  m.go("patch_and_call", kReal, 1);
  Runner busy(m, 1);
  for (Rounds rounds(1500); rounds.next();) {
    const unsigned round = rounds.round();
    const u64 before = m.load(kA + 0x800);
    const u64 ptex = m.map(segment, {.ea = kEa, .ra = kA});
    there = true;
    ASSERT_TRUE(eventually([&] { return m.load(kA + 0x800) != before; }));
    there = false;
    m.unmap(ptex);
    const u64 after = m.load(kA + 0x800);
    settle();
    ASSERT_EQ(m.load(kA + 0x800), after) << "round " << round;
  }
  busy.stop();
  runner.stop();
}

TEST(Moved, LoadsComeFromTheNewFrame) {
  Machine m;
  std::atomic<bool> there{false};
  const Segment segment{.ea = kEa, .vsid = 0x777};
  m.map_code();
  m.slb(segment);
  m.hook(Vector::kDataStorage, "report_and_return");
  m.store(kA, 0);
  m.store(kA + 4096, 1);
  m.gpr(4) = kEa;
  m.go("load_forever", kBothOn);
  u64 ptex = m.map(segment, {.ea = kEa, .ra = kA});
  for (Rounds rounds(300); rounds.next();) {
    const unsigned round = rounds.round();
    const u64 loads = m.gpr(6);
    Runner runner(m, 0, [&](const Stop&, const std::atomic<bool>& over) { return wait_for(there, over); });
    there = false;
    m.unmap(ptex);
    // Not mapped anywhere: the old frame's value must not come any more.
    m.store(kA + 4096 * (round & 1), 0xDEAD);
    ptex = m.map(segment, {.ea = kEa, .ra = kA + 4096 * ((round + 1) & 1)});
    there = true;
    settle();
    runner.stop();
    EXPECT_GE(m.gpr(6), loads);
    EXPECT_NE(m.gpr(5), 0xDEADu) << "round " << round;
    m.store(kA + 4096 * (round & 1), round & 1);
  }
}

// ---- tracking

/// A copy of memory that is kept as a migration keeps it: by what was harvested.
class Copy {
 public:
  explicit Copy(Machine& machine)
      : m_(machine), bytes_(machine.memory().size()), table_(machine.hpt().bytes()) {}

  void start() {
    m_.memory().set_tracking(true);
    m_.memory().dirty().set_all();
    m_.hpt().dirty().set_all();
  }
  /// One round; returns the number of frames that went over.
  u64 round() {
    frames_.clear();
    m_.memory().dirty().harvest(frames_);
    m_.domain().withhold_writes();
    for (u64 frame : frames_)
      EXPECT_TRUE(m_.memory().read(frame << 12, std::span(bytes_).subspan(frame << 12, 4096)));
    std::vector<u64> table;
    m_.hpt().dirty().harvest(table);
    for (u64 frame : table)
      m_.hpt().export_frame(frame, std::span<u8, 4096>(table_.data() + frame * 4096, 4096));
    return frames_.size();
  }
  void expect_equal() {
    std::vector<u8> now(4096);
    unsigned shown = 0;
    for (u64 frame = 0; frame < m_.memory().frames() && shown < 5; frame++) {
      ASSERT_TRUE(m_.memory().read(frame << 12, now));
      if (std::memcmp(now.data(), &bytes_[frame << 12], 4096) == 0) continue;
      ADD_FAILURE() << "frame " << std::hex << frame << " differs";
      shown++;
    }
    std::array<u8, 4096> entries;
    for (u64 frame = 0; frame < m_.hpt().bytes() / 4096 && shown < 10; frame++) {
      m_.hpt().export_frame(frame, entries);
      if (std::memcmp(entries.data(), &table_[frame << 12], 4096) == 0) continue;
      ADD_FAILURE() << "page table frame " << std::hex << frame << " differs";
      shown++;
    }
  }
  void stop() { m_.memory().set_tracking(false); }

 private:
  Machine& m_;
  std::vector<u8> bytes_, table_;
  std::vector<u64> frames_;
};

/// Two threads that store at random (one translated, one in real mode), one that changes its own code, and a
/// device.
class Tracking : public testing::Test {
 protected:
  static constexpr u64 kWindow = 0x40'0000, kSize = 0x10'0000;  // real addresses of the stores
  static constexpr u64 kOrders = 0x30'0000;
  Machine m{3, u64{8} << 20, 18};
  const Segment segment{.ea = kEa, .vsid = 0x4711};

  void SetUp() override {
    m.map_code(0);
    m.slb(segment, 0);
    for (u64 offset = 0; offset <= kSize; offset += 4096)
      m.map(segment,
            {.ea = kEa + offset, .ra = kWindow + offset, .slot = static_cast<unsigned>(offset >> 12 & 3)});
    m.map(segment, {.ea = kEa + 0x0800'0000, .ra = kOrders, .slot = 4});
  }
  /// Lets thread `i` do `stores` stores.
  void order(unsigned i, u64 seed, u64 stores) {
    const u64 at = kOrders + 4096 * i;
    m.store(at, seed);
    m.store(at + 8, i == 0 ? kEa : kWindow);
    m.store(at + 16, kSize - 1);
    m.store(at + 24, stores);
    m.gpr(3, i) = i == 0 ? kEa + 0x0800'0000 : at;
    m.gpr(1, i) = 0;
    const u64 msr = i == 0 ? kProblem : kReal;
    m.gpr(12, i) = m.at("random_stores") + (i == 0 ? Machine::kCode : 0);
    m.go("random_stores", msr, i);
  }
};

TEST_F(Tracking, FinalMemoryEqualsWhatWasHarvested) {
  std::mt19937_64 random(2024);
  Copy copy(m);
  for (Rounds rounds(12, 2000); rounds.next();) {
    const unsigned migration = rounds.round();
    std::atomic<bool> over{false};
    order(0, random() | 1, ~u64{0} >> 1);
    order(1, random() | 1, ~u64{0} >> 1);
    m.gpr(3, 2) = u64{1} << 40;
    m.go(migration & 1 ? "patch_among_data" : "patch_and_call", kReal, 2);
    Runner a(m, 0), b(m, 1), c(m, 2);
    std::thread device([&, seed = random()] {
      std::mt19937_64 dice(seed);
      std::vector<u8> bytes(5000);
      while (!over) {
        for (u64 i = 0; i < 64; i++) bytes[dice() % bytes.size()] = static_cast<u8>(dice());
        const u64 length = dice() % 4 ? dice() % 64 : dice() % bytes.size();
        EXPECT_TRUE(m.memory().write(kWindow + dice() % kSize, std::span(bytes).first(length)));
        std::this_thread::yield();
      }
    });
    if (migration % 3 == 2) settle();
    copy.start();
    for (unsigned round = 0; round < 12; round++) {
      copy.round();
      if (round % 2) settle();
    }
    a.stop();
    b.stop();
    c.stop();
    over = true;
    device.join();
    copy.round();
    copy.expect_equal();
    copy.stop();
  }
}

TEST_F(Tracking, OnlyWhatIsWrittenIsSentAgain) {
  Copy copy(m);
  copy.start();
  EXPECT_EQ(copy.round(), m.memory().frames());
  EXPECT_EQ(copy.round(), 0u);
  m.gpr(5, 1) = 1;
  // Loads do not count.
  m.gpr(4, 1) = kWindow;
  ASSERT_TRUE(completed(m.run("do_ld", kReal, 1)));
  EXPECT_EQ(copy.round(), 0u);
  // The first store counts, and so does the first after each round.
  for (unsigned i = 0; i < 5; i++) {
    ASSERT_TRUE(completed(m.run("do_std", kReal, 1)));
    ASSERT_TRUE(completed(m.run("do_std", kReal, 1)));
    EXPECT_TRUE(m.memory().dirty().test(kWindow >> 12));
    EXPECT_EQ(copy.round(), 1u);
  }
  // Each kind of store, each time alone.
  m.gpr(4, 0) = kEa;
  for (const char* snippet : {"do_stb", "do_sth", "do_stw", "do_std", "do_stdux", "do_stmw", "do_stswi",
                              "do_dcbz", "do_stfd", "do_stq", "do_sthbrx"}) {
    m.gpr(4, 0) = kEa;
    m.gpr(6, 0) = 0;
    ASSERT_TRUE(completed(m.run(snippet, kBothOn | msr::FP, 0)));
    EXPECT_TRUE(m.memory().dirty().test(kWindow >> 12)) << snippet;
    EXPECT_EQ(copy.round(), 1u) << snippet;
  }
  m.gpr(4, 0) = m.gpr(6, 0) = kEa;
  ASSERT_TRUE(completed(m.run("ldarx_stdcx", kBothOn, 0)));
  EXPECT_EQ(copy.round(), 1u);
  // A store across two pages dirties both.
  m.gpr(4, 0) = kEa + 4096 - 3;
  ASSERT_TRUE(completed(m.run("do_std", kBothOn, 0)));
  EXPECT_EQ(copy.round(), 2u);
  // A device.
  ASSERT_TRUE(m.memory().fill(kWindow + 4096 * 5 - 1, 1, 2));
  EXPECT_EQ(copy.round(), 2u);
  copy.stop();
  ASSERT_TRUE(completed(m.run("do_std", kReal, 1)));
  EXPECT_EQ(m.memory().dirty().count(), 0u);
  copy.expect_equal();
}

}  // namespace
}  // namespace baton::bare_metal
