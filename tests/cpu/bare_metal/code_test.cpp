// SPDX-License-Identifier: Apache-2.0
// Instructions that are written while they are in use: the new ones are executed, whoever wrote them, without
// icbi or isync (POWER6 keeps its instruction caches coherent).
#include <random>

#include "tests/cpu/bare_metal/machine.h"

namespace baton::bare_metal {
namespace {

constexpr u64 kReal = msr::SF | msr::ME;
constexpr u64 kBothOn = kReal | msr::IR | msr::DR;
constexpr u64 kProblem = kBothOn | msr::PR | msr::EE;
constexpr u64 kA = Machine::kData;
constexpr u32 kLi5 = 0x38A00000, kScOne = 0x44000022, kNop = 0x60000000;

class Code : public OneThread {
 protected:
  void SetUp() override { m.map_code(); }
  /// Runs what is at `ra` in real mode until its sc 1; what it leaves in r5.
  u64 execute(u64 ra) {
    m.go(ra, kReal);
    EXPECT_TRUE(completed(m.run()));
    return m.gpr(5);
  }
  void put(u64 ra, std::initializer_list<u32> words) {
    for (u32 word : words) m.store32(ra, word), ra += 4;
  }
};

TEST_F(Code, OwnStores) {
  for (const char* program : {"patch_and_call", "patch_among_data", "patch_next"}) {
    for (u64 msr : {kReal, kBothOn, kProblem}) {
      m.gpr(3) = 3000;
      EXPECT_TRUE(completed(m.run(program, msr)));
      EXPECT_EQ(m.gpr(6), 3000u);
      EXPECT_EQ(m.gpr(8), 0u) << program;
    }
  }
}

TEST_F(Code, OwnStoresOneInstructionAtATime) {
  for (const char* program : {"patch_and_call", "patch_among_data", "patch_next"}) {
    m.gpr(3) = 200;
    m.go(program, kReal);
    while (m.run(0, 1).exit == Exit::kBudget) {
    }
    EXPECT_EQ(m.gpr(6), 200u);
    EXPECT_EQ(m.gpr(8), 0u) << program;
  }
}

TEST_F(Code, CountsStayExact) {
  for (u64 rounds : {1, 100, 3000}) {
    m.gpr(3) = rounds;
    const u64 from = s.instructions;
    EXPECT_TRUE(completed(m.run("patch_and_call", kReal)));
    EXPECT_EQ(s.instructions - from, 7 + rounds * 11 + 1);
  }
}

TEST_F(Code, EveryKindOfStore) {
  struct {
    const char* snippet;
    u64 offset;  // of the address from the code
  } const kinds[] = {{"do_stb", 3},   {"do_sth", 2},  {"do_stw", 0},   {"do_std", 0},    {"do_stwu", u64(-8)},
                     {"do_stfd", 0},  {"do_stmw", 0}, {"do_stswi", 0}, {"do_stwbrx", 0}, {"do_stwcx", 0},
                     {"do_stdcx", 0}, {"do_stq", 0},  {"do_stfs", 0}};
  u32 value = 1;
  for (u64 msr : {kReal, kBothOn}) {
    for (const auto& kind : kinds) {
      SCOPED_TRACE(kind.snippet);
      put(kA, {kLi5 | 0x77, kScOne, kScOne, kScOne});
      ASSERT_EQ(execute(kA), 0x77u);
      ASSERT_TRUE(m.memory().holds_code(kA >> 12));
      value++;
      const std::string name = kind.snippet;
      const u64 word = kLi5 | value;
      m.gpr(5) = name == "do_stb"                         ? value
                 : name == "do_sth"                       ? value
                 : name == "do_std" || name == "do_stdcx" ? word << 32 | kScOne
                 : name == "do_stwbrx"                    ? __builtin_bswap32(static_cast<u32>(word))
                                                          : word;
      m.gpr(6) = word << 32 | kScOne;
      m.gpr(7) = u64{kScOne} << 32 | kScOne;
      m.gpr(28) = word;
      m.gpr(29) = m.gpr(30) = m.gpr(31) = kScOne;
      s.fpr[1] = name == "do_stfs" ? 0 : word << 32 | kScOne;
      m.gpr(4) = kA;
      if (name == "do_stwcx") {
        m.gpr(5) = word;
        ASSERT_TRUE(completed(m.run("do_lwarx", kReal)));
        m.gpr(5) = word;
      } else if (name == "do_stdcx") {
        ASSERT_TRUE(completed(m.run("do_ldarx", kReal)));
        m.gpr(5) = word << 32 | kScOne;
      }
      if (msr & msr::DR) {
        const Segment segment{.ea = 0x1000'0000, .vsid = 3};
        m.slb(segment);
        m.map(segment, {.ea = 0x1000'0000, .ra = kA});
        m.map(segment, {.ea = 0x0FFF'F000, .ra = kA});
        m.gpr(4) = 0x1000'0000;
      }
      m.gpr(4) += kind.offset;
      if (name == "do_stwu" && (msr & msr::DR)) m.slb({.ea = 0, .vsid = 3, .index = 2});
      ASSERT_TRUE(completed(m.run(kind.snippet, msr | msr::FP)));
      if (name == "do_stfs") {
        EXPECT_EQ(m.load32(kA), 0u);
        m.go(kA, kReal);
        EXPECT_TRUE(interrupted(m, m.run(), Vector::kProgram, {.srr0 = kA, .cause = 0x00080000}));
      } else {
        EXPECT_EQ(execute(kA), value);
      }
    }
  }
}

TEST_F(Code, StoreAcrossTwoPagesOfCode) {
  const u64 page = kA + 4096;
  for (u32 i = 1; i < 100; i++) {
    put(page - 4, {kLi5 | 0x77, kScOne, kScOne});
    ASSERT_EQ(execute(page - 4), 0x77u);
    m.gpr(4) = page - 4;
    m.gpr(5) = u64{kNop} << 32 | kLi5 | i;
    ASSERT_TRUE(completed(m.run("do_std", kReal)));
    EXPECT_EQ(execute(page - 4), i);
    put(page, {kLi5 | 0x78, kScOne});
    EXPECT_EQ(execute(page), 0x78u);
    m.gpr(4) = page - 2;
    m.gpr(5) = u64{0x5555} << 16 | (kLi5 >> 16);
    ASSERT_TRUE(completed(m.run("do_stw", kReal)));
    m.gpr(4) = page + 2;
    m.gpr(5) = i;
    ASSERT_TRUE(completed(m.run("do_sth", kReal)));
    EXPECT_EQ(execute(page), i);
  }
}

TEST_F(Code, Dcbz) {
  // The block is run, zeroed and run again.
  const u64 block = m.at("zero_me");
  m.go(block, kReal);
  EXPECT_TRUE(completed(m.run()));
  m.gpr(4) = block;
  EXPECT_TRUE(
      interrupted(m, m.run("zero_code", kReal), Vector::kProgram, {.srr0 = block, .cause = 0x00080000}));
}

TEST_F(Code, WritesByDevices) {
  for (u32 i = 1; i < 300; i++) {
    // Memory::store, write over a whole page and more, and a writer that uses host().
    put(kA, {kLi5 | i, kScOne});
    EXPECT_EQ(execute(kA), i);
    std::vector<u8> bytes(3 * 4096, 0);
    store_be<u32>(&bytes[4096 + 8], kLi5 | (i + 1));
    store_be<u32>(&bytes[4096 + 12], kScOne);
    ASSERT_TRUE(m.memory().write(kA - 4096 + 0x10000, bytes));
    EXPECT_EQ(execute(kA + 0x10000 + 8), i + 1);
    store_be<u32>(m.memory().host(kA), kLi5 | (i + 2));
    m.memory().written(kA, 4);
    EXPECT_EQ(execute(kA), i + 2);
    ASSERT_TRUE(m.memory().fill(kA, 0, 4));
    m.go(kA, kReal);
    EXPECT_EQ(m.run().vector, Vector::kProgram);
  }
}

TEST_F(Code, PageThatIsDataAndCodeByTurns) {
  // Many stores make a frame data; then it is code again; and so on.
  for (u32 i = 1; i < 60; i++) {
    m.gpr(4) = kA;
    for (u32 j = 0; j < i; j++) {
      m.gpr(4) = kA + 64 + 8 * j;
      m.gpr(5) = j;
      ASSERT_TRUE(completed(m.run("do_std", kReal)));
    }
    m.gpr(4) = kA;
    m.gpr(5) = u64{kLi5 | i} << 32 | kScOne;
    ASSERT_TRUE(completed(m.run("do_std", kReal)));
    EXPECT_EQ(execute(kA), i);
    for (u32 j = 0; j < i; j++) ASSERT_EQ(m.load(kA + 64 + 8 * j), j);
  }
}

TEST_F(Code, ThroughAnotherAddress) {
  // Executed at one effective address, written through another.
  const Segment segment{.ea = 0x1000'0000, .vsid = 3};
  m.slb(segment);
  m.map(segment, {.ea = 0x1000'0000, .ra = kA, .rights = 3});
  m.map(segment, {.ea = 0x1000'9000, .ra = kA, .rights = 2 | 4});
  put(kA, {kNop, kScOne});
  for (u32 i = 1; i < 100; i++) {
    m.gpr(4) = 0x1000'9000;
    m.gpr(5) = u64{kLi5 | i} << 32 | kScOne;
    ASSERT_TRUE(completed(m.run("do_std", kBothOn)));
    m.go(u64{0x1000'0000}, kProblem);
    ASSERT_TRUE(completed(m.run()));
    EXPECT_EQ(m.gpr(5), i);
  }
}

TEST_F(Code, AnotherFrameForThePage) {
  const Segment segment{.ea = 0x1000'0000, .vsid = 3};
  m.slb(segment);
  put(kA, {kLi5 | 1, kScOne});
  put(kA + 4096, {kLi5 | 2, kScOne});
  for (unsigned i = 0; i < 50; i++) {
    const u64 ptex = m.map(segment, {.ea = 0x1000'0000, .ra = kA + 4096 * (i & 1)});
    m.go(u64{0x1000'0000}, kBothOn);
    ASSERT_TRUE(completed(m.run()));
    EXPECT_EQ(m.gpr(5), 1 + (i & 1));
    m.unmap(ptex);
    m.go(u64{0x1000'0000}, kBothOn);
    EXPECT_EQ(m.run().vector, Vector::kInstructionStorage);
  }
}

TEST_F(Code, MoreCodeThanTheDecoderKeeps) {
  // A page of code in more frames than a thread keeps decoded, twice.
  Machine big(1, u64{80} << 20);
  const u64 first = 0x20'0000;
  const u64 frames = 5000;
  // Each: li 5,n; b to the next page.
  for (u64 i = 0; i < frames; i++) {
    big.store32(first + i * 4096, kLi5 | static_cast<u32>(i & 0x7FFF));
    big.store32(first + i * 4096 + 4, i + 1 == frames ? kScOne : 0x48000FFC);
  }
  for (unsigned round = 0; round < 2; round++) {
    big.go(first, kReal);
    const u64 from = big.state().instructions;
    ASSERT_TRUE(completed(big.run()));
    EXPECT_EQ(big.gpr(5), (frames - 1) & 0x7FFF);
    EXPECT_EQ(big.state().instructions - from, 2 * frames);
  }
}

TEST_F(Code, DeviceWritesWhileItRuns) {
  const u64 target = m.at("patched_elsewhere");
  for (u64 msr : {kReal, kProblem}) {
    constexpr u32 kLast = 3000;
    m.gpr(3) = kLast;
    m.go("call_until", msr);
    Runner runner(m, 0);
    for (u32 i = 0; i <= kLast; i++) {
      m.store32(target, kLi5 | i);
      if (i % 64 == 0) std::this_thread::yield();
    }
    runner.join();
    EXPECT_EQ(m.gpr(5), kLast);
    m.store32(target, kLi5);
  }
}

TEST(CodeTwoThreads, OneWritesWhatTheOtherExecutes) {
  Machine m(2);
  for (u64 msr : {kReal, kBothOn}) {
    m.map_code(0);
    m.map_code(1);
    m.store32(m.at("patched_elsewhere"), kLi5);
    constexpr u64 kLast = 2'000;
    m.gpr(3, 0) = m.gpr(3, 1) = kLast;
    m.gpr(4, 1) = m.at("patched_elsewhere") + (msr & msr::DR ? Machine::kCode : 0);
    m.go("call_until", msr, 0);
    m.go("patch_elsewhere", msr, 1);
    Runner caller(m, 0), patcher(m, 1);
    patcher.join();
    caller.join();
    EXPECT_EQ(m.gpr(5, 0), kLast);
  }
}

TEST(CodeTwoThreads, BothExecuteAndOneWrites) {
  // Two threads execute the same page; each of them and a device change it.
  Machine m(2);
  const u64 target = m.at("patched_elsewhere");
  for (Rounds rounds(300); rounds.next();) {
    const u32 round = rounds.round() + 1;
    for (unsigned i = 0; i < 2; i++) {
      m.gpr(3, i) = round;
      m.go("call_until", kReal, i);
    }
    Runner a(m, 0), b(m, 1);
    m.store32(target, kLi5 | round);
    a.join();
    b.join();
    EXPECT_EQ(m.gpr(5, 0), round);
    EXPECT_EQ(m.gpr(5, 1), round);
  }
}

TEST(CodeTwoThreads, EachPatchesItsOwnRoutineInASharedPage) {
  Machine m(2);
  // patch_and_call and patch_next lie in one page.
  for (unsigned i = 0; i < 2; i++) m.gpr(3, i) = 20'000;
  m.go("patch_and_call", kReal, 0);
  m.go("patch_next", kReal, 1);
  Runner a(m, 0), b(m, 1);
  a.join();
  b.join();
  for (unsigned i = 0; i < 2; i++) {
    EXPECT_EQ(m.gpr(6, i), 20'000u);
    EXPECT_EQ(m.gpr(8, i), 0u);
  }
}

}  // namespace
}  // namespace baton::bare_metal
