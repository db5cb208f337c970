// SPDX-License-Identifier: Apache-2.0
// Reservations and what two threads may see of each other's stores.
#include "tests/cpu/bare_metal/machine.h"

namespace baton::bare_metal {
namespace {

constexpr u64 kReal = msr::SF | msr::ME;
constexpr u64 kA = Machine::kData;
constexpr u64 kSuccess = 0x20000000;

class Reservation : public OneThread {
 protected:
  bool stored() { return (m.gpr(8) & 0xF0000000) == kSuccess; }
};

TEST_F(Reservation, OneThread) {
  for (const char* pair : {"lwarx_stwcx", "ldarx_stdcx"}) {
    m.store(kA, 0x1111111122222222);
    m.gpr(4) = m.gpr(6) = kA;
    m.gpr(5) = 0x3333333344444444;
    ASSERT_TRUE(completed(m.run(pair, kReal)));
    EXPECT_TRUE(stored());
    EXPECT_EQ(m.gpr(7), pair[1] == 'w' ? 0x11111111u : 0x1111111122222222u);
    EXPECT_EQ(m.load(kA), pair[1] == 'w' ? 0x4444444422222222u : 0x3333333344444444u);
  }
}

TEST_F(Reservation, NoneNoStore) {
  m.store(kA, 7);
  m.gpr(4) = kA;
  m.gpr(5) = 9;
  for (u8 so : {0, 1}) {
    set_so(s, so);
    s.cr[0] = 15;
    ASSERT_TRUE(completed(m.run("do_stdcx", kReal)));
    EXPECT_EQ(s.cr[0], so);
    EXPECT_EQ(m.load(kA), 7u);
  }
}

TEST_F(Reservation, UsedUpBySuccessAndFailure) {
  m.store(kA, 0);
  m.gpr(4) = kA;
  m.gpr(5) = 1;
  m.gpr(6) = 2;
  ASSERT_TRUE(completed(m.run("lwarx_stwcx_twice", kReal)));
  EXPECT_EQ(m.gpr(8) >> 28, 2u);
  EXPECT_EQ(m.gpr(9) >> 28, 0u);
  EXPECT_EQ(m.load32(kA), 1u);
  // A failure elsewhere ends it as well.
  m.gpr(6) = kA + 256;
  ASSERT_TRUE(completed(m.run("lwarx_stwcx", kReal)));
  EXPECT_FALSE(stored());
  ASSERT_TRUE(completed(m.run("do_stwcx", kReal)));
  EXPECT_EQ(s.cr[0], 0u);
}

TEST_F(Reservation, OtherGranule) {
  m.store(kA, 5);
  m.store(kA + 128, 5);
  m.gpr(4) = kA;
  m.gpr(6) = kA + 128;
  m.gpr(5) = 6;
  for (const char* pair : {"lwarx_stwcx", "ldarx_stdcx"}) {
    ASSERT_TRUE(completed(m.run(pair, kReal)));
    EXPECT_FALSE(stored());
  }
  EXPECT_EQ(m.load(kA), 5u);
  EXPECT_EQ(m.load(kA + 128), 5u);
}

TEST_F(Reservation, OtherSizeFails) {
  m.store(kA, 0x0000000500000005);
  m.gpr(4) = m.gpr(6) = kA;
  m.gpr(5) = 6;
  for (const char* pair : {"lwarx_stdcx", "ldarx_stwcx"}) {
    ASSERT_TRUE(completed(m.run(pair, kReal)));
    EXPECT_FALSE(stored());
  }
  EXPECT_EQ(m.load(kA), 0x0000000500000005u);
}

TEST_F(Reservation, OwnStoreToTheGranuleKeepsIt) {
  m.store(kA, 1);
  m.gpr(4) = kA;
  m.gpr(5) = 2;
  ASSERT_TRUE(completed(m.run("lwarx_store_stwcx", kReal)));
  EXPECT_TRUE(stored());
}

TEST_F(Reservation, TheNewestCounts) {
  m.store(kA, 1);
  m.store(kA + 256, 1);
  m.gpr(4) = kA;
  m.gpr(6) = kA + 256;
  m.gpr(5) = 2;
  ASSERT_TRUE(completed(m.run("lwarx_lwarx_stwcx", kReal)));
  EXPECT_FALSE(stored());
}

TEST_F(Reservation, ChangedMeanwhile) {
  for (const char* pair : {"lwarx_sc_stwcx", "ldarx_sc_stdcx"}) {
    m.store(kA, 0x0000000100000001);
    m.gpr(4) = kA;
    m.gpr(5) = 2;
    ASSERT_TRUE(completed(m.run(pair, kReal)));
    m.store(kA, 0x0000000300000003);  // by DMA
    ASSERT_TRUE(completed(m.run()));
    EXPECT_FALSE(stored());
    EXPECT_EQ(m.load(kA), 0x0000000300000003u);
  }
}

TEST_F(Reservation, TheSameRealGranuleThroughAnotherAddress) {
  // Reservations are on real addresses.
  const u64 data_on = kReal | msr::DR;
  const Segment segment{.ea = 0x1000'0000, .vsid = 1};
  m.slb(segment);
  m.map(segment, {.ea = 0x1000'0000, .ra = kA});
  m.map(segment, {.ea = 0x1000'5000, .ra = kA});
  m.store(kA, 0);
  m.gpr(4) = 0x1000'0000;
  m.gpr(6) = 0x1000'5000;
  m.gpr(5) = 2;
  ASSERT_TRUE(completed(m.run("lwarx_stwcx", data_on)));
  EXPECT_TRUE(stored());
  EXPECT_EQ(m.load32(kA), 2u);
}

TEST_F(Reservation, AFaultKeepsIt) {
  const u64 data_on = kReal | msr::DR;
  const Segment segment{.ea = 0x1000'0000, .vsid = 1};
  m.slb(segment);
  u64 ptex = m.map(segment, {.ea = 0x1000'0000, .ra = kA, .rights = 3});
  m.store(kA, 0);
  m.gpr(4) = m.gpr(6) = 0x1000'0000;
  m.gpr(5) = 2;
  EXPECT_EQ(m.run("lwarx_stwcx", data_on).vector, Vector::kDataStorage);
  m.unmap(ptex);
  m.map(segment, {.ea = 0x1000'0000, .ra = kA});
  m.go(s.srr0, s.srr1);
  ASSERT_TRUE(completed(m.run()));
  EXPECT_TRUE(stored());
}

// ---- two threads

class TwoThreads : public testing::Test {
 protected:
  Machine m{2};
  void both(const char* program, u64 msr = kReal) {
    m.go(program, msr, 0);
    m.go(program, msr, 1);
    Runner a(m, 0), b(m, 1);
    a.join();
    b.join();
  }
};

TEST_F(TwoThreads, IncrementAMillionTimes) {
  constexpr u64 kEach = 500'000;
  for (const char* program : {"increment_words", "increment_doublewords"}) {
    m.store(kA, 0);
    for (unsigned i = 0; i < 2; i++) {
      m.gpr(3, i) = kEach;
      m.gpr(4, i) = kA;
    }
    both(program);
    EXPECT_EQ(program[10] == 'w' ? m.load32(kA) : m.load(kA), 2 * kEach);
    // Each failure is one more turn: the count is exact on both.
    for (unsigned i = 0; i < 2; i++) {
      const u64 turns = kEach + m.gpr(8, i);
      EXPECT_EQ(m.state(i).instructions, 3 + 4 * turns + kEach + m.gpr(8, i) + 1) << program;
      m.state(i).instructions = 0;
    }
  }
}

TEST_F(TwoThreads, WordsOfOneGranule) {
  // Neighbours in a granule may disturb each other, but nothing is lost.
  m.store(kA, 0);
  for (unsigned i = 0; i < 2; i++) {
    m.gpr(3, i) = 200'000;
    m.gpr(4, i) = kA + 4 * i;
  }
  both("increment_words");
  EXPECT_EQ(m.load(kA), u64{200'000} << 32 | 200'000);
}

TEST_F(TwoThreads, LockedIncrements) {
  constexpr u64 kEach = 100'000;
  for (u64 offset : {0, 128, 256}) m.store(kA + offset, 0);
  for (unsigned i = 0; i < 2; i++) {
    m.gpr(3, i) = kEach;
    m.gpr(4, i) = kA;
  }
  both("locked_increments");
  EXPECT_EQ(m.load(kA + 128), 2 * kEach);
  EXPECT_EQ(m.load(kA + 256), 2 * kEach);
}

TEST_F(TwoThreads, SyncOrdersStoreBeforeLoad) {
  // Both write their flag and then read the other's: after sync at least one must see the other's write.
  constexpr u64 kRounds = 4'000, kResults = 0x100'0000;
  for (u64 offset = 0; offset < 1024; offset += 8) m.store(kA + offset, 0);
  for (unsigned i = 0; i < 2; i++) {
    m.gpr(3, i) = kRounds;
    m.gpr(4, i) = kA + 128 * i;
    m.gpr(5, i) = kA + 128 * (1 - i);
    m.gpr(6, i) = kResults + kRounds * 8 * i;
    m.gpr(7, i) = kA + 256 + 128 * i;
    m.gpr(8, i) = kA + 256 + 128 * (1 - i);
  }
  both("dekker");
  for (u64 i = 0; i < kRounds; i++) {
    const u64 a = m.load(kResults + 8 * i), b = m.load(kResults + 8 * (kRounds + i));
    ASSERT_TRUE(a >= i + 1 || b >= i + 1) << i;
  }
}

TEST_F(TwoThreads, MessagesArriveInOrder) {
  constexpr u64 kRounds = 200'000;
  m.store(kA, 0);
  m.store(kA + 256, 0);
  for (unsigned i = 0; i < 2; i++) {
    m.gpr(3, i) = kRounds;
    m.gpr(4, i) = kA;
    m.gpr(5, i) = kA + 256;
  }
  m.go("message_writer", kReal, 0);
  m.go("message_reader", kReal, 1);
  Runner reader(m, 1), writer(m, 0);
  writer.join();
  reader.join();
  EXPECT_EQ(m.gpr(8, 1), 0u);
}

}  // namespace
}  // namespace baton::bare_metal
