// SPDX-License-Identifier: Apache-2.0
// Real mode, accesses that cross pages, alignment, dcbz, DABR, 32-bit addresses.
#include "tests/cpu/bare_metal/machine.h"

namespace baton::bare_metal {
namespace {

constexpr u64 kReal = msr::SF | msr::ME;
constexpr u64 kDataOn = kReal | msr::DR;
constexpr u64 kA = Machine::kData, kB = Machine::kData + 0x5000;  // two frames that are not neighbours

/// Fills a frame with a pattern that says which byte is where.
void pattern(Machine& m, u64 ra, u8 seed) {
  std::vector<u8> bytes(4096);
  for (unsigned i = 0; i < bytes.size(); i++) bytes[i] = static_cast<u8>(i * 7 + seed + (i >> 8));
  ASSERT_TRUE(m.memory().write(ra, bytes));
}

// ---- real mode

TEST_F(OneThread, RealModeIgnoresTheTopFourBits) {
  m.store(kA, 0x1122334455667788);
  for (u64 top = 0; top < 16; top++) {
    m.gpr(4) = top << 60 | kA;
    m.gpr(5) = 0;
    ASSERT_TRUE(completed(m.run("do_ld", kReal)));
    EXPECT_EQ(m.gpr(5), 0x1122334455667788);
    m.gpr(5) = top;
    ASSERT_TRUE(completed(m.run("do_std", kReal)));
    EXPECT_EQ(m.load(kA), top);
    m.store(kA, 0x1122334455667788);
    // And code.
    m.gpr(4) = top << 60 | m.at("done");
    const Stop stop = m.run("do_branch", kReal);
    EXPECT_EQ(stop.exit, Exit::kHypercall);
    EXPECT_EQ(stop.at, (top << 60 | m.at("done")) + 4);
  }
}

TEST_F(OneThread, RealModeEndsWithMemory) {
  const u64 end = m.memory().size();
  m.store(end - 8, 42);
  m.gpr(4) = end - 8;
  ASSERT_TRUE(completed(m.run("do_ld", kReal)));
  EXPECT_EQ(m.gpr(5), 42u);
  for (u64 ea : {end, u64{1} << 59, end | u64{0xC} << 60, ~u64{7}}) {
    m.gpr(4) = ea;
    m.gpr(5) = 0x55;
    EXPECT_TRUE(interrupted(m, m.run("do_ld", kReal), Vector::kDataStorage,
                            {.srr0 = m.at("do_ld"), .dar = ea, .dsisr = 0x08000000}));
    EXPECT_EQ(m.gpr(5), 0x55u);
    EXPECT_TRUE(interrupted(m, m.run("do_std", kReal), Vector::kDataStorage,
                            {.srr0 = m.at("do_std"), .dar = ea, .dsisr = 0x0A000000}));
    const u64 target = ea & ~u64{3};
    EXPECT_TRUE(interrupted(m, m.run("do_branch", kReal), Vector::kInstructionStorage,
                            {.srr0 = target, .cause = 0x08000000, .dar = ea}));
  }
}

TEST_F(OneThread, RealModeLimit) {
  m.domain().real_mode_limit = 16 << 20;
  m.thread().state_changed();
  const u64 limit = 16 << 20;
  m.gpr(4) = limit - 8;
  EXPECT_TRUE(completed(m.run("do_ld", kReal)));
  m.gpr(4) = limit;
  EXPECT_TRUE(interrupted(m, m.run("do_ld", kReal), Vector::kDataStorage,
                          {.srr0 = m.at("do_ld"), .dar = limit, .dsisr = 0x08000000}));
  EXPECT_TRUE(interrupted(m, m.run("do_branch", kReal), Vector::kInstructionStorage,
                          {.srr0 = limit, .cause = 0x08000000}));
  // The limit is one of addresses, not of memory: translated accesses go further.
  const Segment segment{.ea = 0x1000'0000, .vsid = 5};
  m.slb(segment);
  m.map(segment, {.ea = 0x1000'0000, .ra = limit});
  m.store(limit, 77);
  m.gpr(4) = 0x1000'0000;
  EXPECT_TRUE(completed(m.run("do_ld", kDataOn)));
  EXPECT_EQ(m.gpr(5), 77u);
}

TEST_F(OneThread, RealModeHasNoProtectionAndTouchesNoEntry) {
  // Code with IR=0, DR=0 runs on an empty page table; keys do not matter either.
  s.amr = ~u64{0};
  m.gpr(4) = kA;
  m.gpr(5) = 9;
  EXPECT_TRUE(completed(m.run("do_std", kReal)));
  EXPECT_EQ(m.load(kA), 9u);
}

// ---- crossing pages

struct Crossing {
  const char* snippet;
  unsigned size;
  bool store;
  u64 displacement = 0;
};

class PageCrossing : public OneThread, public testing::WithParamInterface<Crossing> {
 protected:
  static constexpr u64 kEa = 0x1000'8000;  // second page; the first is before it
  Segment segment{.ea = 0x1000'0000, .vsid = 0x1234};
  u64 first = 0, second = 0;

  void SetUp() override {
    m.slb(segment);
    first = m.map(segment, {.ea = kEa - 4096, .ra = kA});
    second = m.map(segment, {.ea = kEa, .ra = kB});
    pattern(m, kA, 3);
    pattern(m, kB, 100);
    registers();
  }
  void registers() {
    for (unsigned r = 5; r < 32; r++) m.gpr(r) = 0x0101010101010101 * r;
    m.gpr(6) = 8;
    s.fpr[1] = 0x3FF8000000000000;
  }
  u8 byte(u64 ra) { return m.memory().load<u8>(ra).value(); }
};

TEST_P(PageCrossing, BothPages) {
  const Crossing& c = GetParam();
  const u64 msr = kDataOn | msr::FP;
  for (unsigned head = 1; head < c.size; head++) {
    // What a copy of the two pages in neighbouring frames gives in real mode.
    SetUp();
    const u64 flat = Machine::kData + 0x10000;
    pattern(m, flat, 3);
    pattern(m, flat + 4096, 100);
    m.gpr(4) = flat + 4096 - head - c.displacement;
    ASSERT_TRUE(completed(m.run(c.snippet, kReal | msr::FP)));
    std::vector<u64> expected(s.gpr + 5, s.gpr + 32);
    const u64 f1 = s.fpr[1];

    registers();
    m.gpr(4) = kEa - head - c.displacement;
    ASSERT_TRUE(completed(m.run(c.snippet, msr)));
    EXPECT_EQ(expected, std::vector<u64>(s.gpr + 5, s.gpr + 32)) << "head " << head;
    EXPECT_EQ(f1, s.fpr[1]);
    EXPECT_EQ(m.gpr(4), c.displacement ? kEa - head : kEa - head);
    for (unsigned i = 0; i < 64; i++) {
      ASSERT_EQ(byte(kA + 4095 - i), byte(flat + 4095 - i)) << "head " << head << " byte -" << i;
      ASSERT_EQ(byte(kB + i), byte(flat + 4096 + i)) << "head " << head << " byte " << i;
    }
  }
}

TEST_P(PageCrossing, SecondPageMissing) {
  const Crossing& c = GetParam();
  m.unmap(second);
  const u64 msr = kDataOn | msr::FP;
  for (unsigned head = 1; head < c.size; head++) {
    registers();
    s.fpr[1] = 0x3FF8000000000000;
    m.gpr(4) = kEa - head - c.displacement;
    const std::vector<u64> before(s.gpr, s.gpr + 33);
    EXPECT_TRUE(
        interrupted(m, m.run(c.snippet, msr), Vector::kDataStorage,
                    {.srr0 = m.at(c.snippet), .dar = kEa, .dsisr = 0x40000000 | (c.store ? 0x02000000 : 0)}))
        << "head " << head;
    EXPECT_EQ(before, std::vector<u64>(s.gpr, s.gpr + 33)) << "head " << head;
    EXPECT_EQ(s.fpr[1], 0x3FF8000000000000);
    // Nothing in the other page but, for a store, perhaps the first part of the access.
    const unsigned may_change = c.store ? head : 0;
    for (unsigned i = may_change; i < 256; i++)
      ASSERT_EQ(byte(kA + 4095 - i), static_cast<u8>((4095 - i) * 7 + 3 + 15));
  }
}

TEST_P(PageCrossing, FirstPageMissing) {
  const Crossing& c = GetParam();
  m.unmap(first);
  const u64 msr = kDataOn | msr::FP;
  const unsigned head = c.size / 2;
  m.gpr(4) = kEa - head - c.displacement;
  const std::vector<u64> before(s.gpr, s.gpr + 33);
  EXPECT_TRUE(interrupted(
      m, m.run(c.snippet, msr), Vector::kDataStorage,
      {.srr0 = m.at(c.snippet), .dar = kEa - head, .dsisr = 0x40000000 | (c.store ? 0x02000000 : 0)}));
  EXPECT_EQ(before, std::vector<u64>(s.gpr, s.gpr + 33));
  for (unsigned i = 0; i < 64; i++) ASSERT_EQ(byte(kB + i), static_cast<u8>(i * 7 + 100));
}

TEST_P(PageCrossing, SecondPageReadOnly) {
  const Crossing& c = GetParam();
  m.unmap(second);
  m.map(segment, {.ea = kEa, .ra = kB, .rights = 3});
  m.gpr(4) = kEa - c.size / 2 - c.displacement;
  const Stop stop = m.run(c.snippet, kDataOn | msr::FP);
  if (!c.store) {
    EXPECT_TRUE(completed(stop));
  } else {
    EXPECT_TRUE(interrupted(m, stop, Vector::kDataStorage,
                            {.srr0 = m.at(c.snippet), .dar = kEa, .dsisr = 0x0A000000}));
    EXPECT_EQ(m.gpr(4), kEa - c.size / 2 - c.displacement);
  }
}

INSTANTIATE_TEST_SUITE_P(Access, PageCrossing,
                         testing::Values(Crossing{"do_lhz", 2, false}, Crossing{"do_lha", 2, false},
                                         Crossing{"do_lwz", 4, false}, Crossing{"do_lwa", 4, false},
                                         Crossing{"do_ld", 8, false}, Crossing{"do_lhbrx", 2, false},
                                         Crossing{"do_lwbrx", 4, false}, Crossing{"do_ldx", 8, false},
                                         Crossing{"do_lwzu", 4, false, 8}, Crossing{"do_ldu", 8, false, 8},
                                         Crossing{"do_ldux", 8, false, 8}, Crossing{"do_lfs", 4, false},
                                         Crossing{"do_lfd", 8, false}, Crossing{"do_lfdu", 8, false, 8},
                                         Crossing{"do_sth", 2, true}, Crossing{"do_stw", 4, true},
                                         Crossing{"do_std", 8, true}, Crossing{"do_sthbrx", 2, true},
                                         Crossing{"do_stwbrx", 4, true}, Crossing{"do_stwu", 4, true, 8},
                                         Crossing{"do_stdu", 8, true, 8}, Crossing{"do_stdux", 8, true, 8},
                                         Crossing{"do_stfs", 4, true}, Crossing{"do_stfd", 8, true},
                                         Crossing{"do_stfdu", 8, true, 8}, Crossing{"do_lmw", 16, false},
                                         Crossing{"do_stmw", 16, true}),
                         [](const auto& info) { return std::string(info.param.snippet); });

TEST_F(OneThread, MultipleWithItsBaseInTheRange) {
  const Segment segment{.ea = 0x1000'0000, .vsid = 0x1234};
  m.slb(segment);
  m.map(segment, {.ea = 0x1000'0000, .ra = kA});
  pattern(m, kA, 1);
  m.gpr(4) = 0x1000'1000 - 8;
  const std::vector<u64> before(s.gpr, s.gpr + 33);
  EXPECT_TRUE(interrupted(m, m.run("do_lmw_own_base", kDataOn), Vector::kDataStorage,
                          {.srr0 = m.at("do_lmw_own_base"), .dar = 0x1000'1000, .dsisr = 0x40000000}));
  EXPECT_EQ(before, std::vector<u64>(s.gpr, s.gpr + 33));
  m.map(segment, {.ea = 0x1000'1000, .ra = kB});
  m.go("do_lmw_own_base", kDataOn);
  ASSERT_TRUE(completed(m.run()));
  EXPECT_EQ(m.gpr(4), m.load32(kA + 4096 - 8));
  EXPECT_EQ(m.gpr(31), m.load32(kB + 26 * 4 - 4));
}

TEST_F(OneThread, CrossingIntoTheNextSegment) {
  const Segment low{.ea = 0x1000'0000, .vsid = 0x11, .index = 1};
  m.slb(low);
  m.map(low, {.ea = 0x1FFF'F000, .ra = kA});
  m.gpr(4) = 0x1FFF'FFFD;
  EXPECT_TRUE(interrupted(m, m.run("do_ld", kDataOn), Vector::kDataSegment,
                          {.srr0 = m.at("do_ld"), .dar = 0x2000'0000}));
  const Segment high{.ea = 0x2000'0000, .vsid = 0x22, .index = 2};
  m.slb(high);
  m.map(high, {.ea = 0x2000'0000, .ra = kB});
  m.store(kA + 4096 - 8, 0x0102030405060708);
  m.store(kB, 0x1112131415161718);
  EXPECT_TRUE(completed(m.run("do_ld", kDataOn)));
  EXPECT_EQ(m.gpr(5), 0x0607081112131415u);
}

// ---- alignment

TEST_F(OneThread, UnalignedScalarsWork) {
  pattern(m, kA, 9);
  for (unsigned offset = 0; offset < 16; offset++) {
    m.gpr(4) = kA + offset;
    ASSERT_TRUE(completed(m.run("do_ld", kReal)));
    u64 expected = 0;
    for (unsigned i = 0; i < 8; i++) expected = expected << 8 | m.memory().load<u8>(kA + offset + i).value();
    EXPECT_EQ(m.gpr(5), expected);
  }
}

TEST_F(OneThread, AlignmentInterrupt) {
  struct {
    const char* snippet;
    unsigned size;
  } const kinds[] = {{"do_lwarx", 4}, {"do_stwcx", 4}, {"do_ldarx", 8},
                     {"do_stdcx", 8}, {"do_lq", 16},   {"do_stq", 16}};
  for (const auto& kind : kinds) {
    for (unsigned offset = 0; offset < 16; offset++) {
      m.gpr(4) = kA + offset;
      m.gpr(5) = 0x77;
      const Stop stop = m.run(kind.snippet, kReal);
      if (offset % kind.size == 0) {
        EXPECT_TRUE(completed(stop)) << kind.snippet << " " << offset;
      } else {
        EXPECT_TRUE(
            interrupted(m, stop, Vector::kAlignment, {.srr0 = m.at(kind.snippet), .dar = kA + offset}))
            << kind.snippet << " " << offset;
        EXPECT_EQ(m.gpr(5), 0x77u);
      }
    }
  }
  // The address is judged before it is translated.
  m.gpr(4) = 0x1000'0001;
  EXPECT_TRUE(interrupted(m, m.run("do_lwarx", kDataOn), Vector::kAlignment,
                          {.srr0 = m.at("do_lwarx"), .dar = 0x1000'0001}));
}

TEST_F(OneThread, QuadwordsAreEvenRegisterFirst) {
  m.store(kA, 0x1111);
  m.store(kA + 8, 0x2222);
  m.gpr(4) = kA;
  ASSERT_TRUE(completed(m.run("do_lq", kReal)));
  EXPECT_EQ(m.gpr(6), 0x1111u);
  EXPECT_EQ(m.gpr(7), 0x2222u);
  m.gpr(4) = kA + 16;
  ASSERT_TRUE(completed(m.run("do_stq", kReal)));
  EXPECT_EQ(m.load(kA + 16), 0x1111u);
  EXPECT_EQ(m.load(kA + 24), 0x2222u);
}

// ---- cache instructions

TEST_F(OneThread, DcbzClearsOneBlock) {
  for (unsigned offset : {0u, 1u, 64u, 127u}) {
    ASSERT_TRUE(m.memory().fill(kA, 0xFF, 4096));
    m.gpr(4) = kA + 1024 + offset;
    ASSERT_TRUE(completed(m.run("do_dcbz", kReal)));
    for (unsigned i = 0; i < 4096; i++)
      ASSERT_EQ(m.memory().load<u8>(kA + i).value(), i / 128 == 8 ? 0 : 0xFF) << i;
  }
}

TEST_F(OneThread, CacheInstructionsTranslate) {
  const Segment segment{.ea = 0x1000'0000, .vsid = 0x1234};
  m.slb(segment);
  m.gpr(4) = 0x1000'0080;
  for (const char* load : {"do_dcbst", "do_dcbf", "do_icbi"})
    EXPECT_TRUE(interrupted(m, m.run(load, kDataOn), Vector::kDataStorage,
                            {.srr0 = m.at(load), .dar = 0x1000'0080, .dsisr = 0x40000000}));
  EXPECT_TRUE(interrupted(m, m.run("do_dcbz", kDataOn), Vector::kDataStorage,
                          {.srr0 = m.at("do_dcbz"), .dar = 0x1000'0080, .dsisr = 0x42000000}));
  for (const char* hint : {"do_dcbt", "do_dcbtst"}) EXPECT_TRUE(completed(m.run(hint, kDataOn)));
  // Read-only is enough for all but dcbz, and C stays clear.
  const u64 ptex = m.map(segment, {.ea = 0x1000'0000, .ra = kA, .rights = 3});
  for (const char* load : {"do_dcbst", "do_dcbf", "do_icbi"}) EXPECT_TRUE(completed(m.run(load, kDataOn)));
  EXPECT_EQ(m.hpt().get(ptex).r & 0x180, 0x100u);
  EXPECT_TRUE(interrupted(m, m.run("do_dcbz", kDataOn), Vector::kDataStorage,
                          {.srr0 = m.at("do_dcbz"), .dsisr = 0x0A000000}));
}

// ---- DABR

TEST_F(OneThread, DabrMatches) {
  const Segment segment{.ea = 0x1000'0000, .vsid = 0x1234};
  m.slb(segment);
  m.map_code();
  m.map(segment, {.ea = 0x1000'0000, .ra = kA});
  constexpr u64 kWatched = 0x1000'0100;
  constexpr u64 kTranslated = 4, kStore = 2, kLoad = 1;        // DABR
  constexpr u64 kIgnoreBt = 8, kSupervisor = 2, kProblem = 1;  // DABRX
  const u64 supervisor = kDataOn | msr::IR, problem = supervisor | msr::PR | msr::EE;
  const auto hit = [&](const char* snippet, u64 ea, u64 msr) {
    m.gpr(4) = ea;
    const Stop stop = m.run(snippet, msr);
    if (stop.vector != Vector::kDataStorage) {
      EXPECT_TRUE(completed(stop));
      return false;
    }
    EXPECT_TRUE(
        interrupted(m, stop, Vector::kDataStorage, {.srr0 = m.at(snippet) + Machine::kCode, .dar = ea}));
    EXPECT_EQ(s.dsisr & ~0x02000000u, 0x00400000u);
    return true;
  };
  for (u64 kinds = 0; kinds < 4; kinds++) {
    for (u64 who = 1; who < 4; who++) {
      s.dabr = kWatched | kTranslated | kinds;
      s.dabrx = who;
      m.thread().state_changed();
      for (u64 msr : {supervisor, problem}) {
        const bool mine = who & (msr & msr::PR ? kProblem : kSupervisor);
        EXPECT_EQ(hit("do_ld", kWatched, msr), mine && (kinds & kLoad));
        m.store(kA + 0x100, 5);
        m.gpr(5) = 6;
        const bool stored = hit("do_std", kWatched, msr);
        EXPECT_EQ(stored, mine && (kinds & kStore));
        EXPECT_EQ(m.load(kA + 0x100), stored ? 5u : 6u);
        // Neighbours are free, and stay so after the page was used.
        EXPECT_FALSE(hit("do_ld", kWatched + 8, msr));
        EXPECT_FALSE(hit("do_ld", kWatched - 8, msr));
        EXPECT_FALSE(hit("do_std", kWatched + 8, msr));
        // Any byte of the doubleword counts.
        EXPECT_EQ(hit("do_lbz", kWatched + 7, msr), mine && (kinds & kLoad));
        EXPECT_EQ(hit("do_ld", kWatched - 1, msr), mine && (kinds & kLoad));
        EXPECT_EQ(hit("do_ld", kWatched + 7, msr), mine && (kinds & kLoad));
      }
    }
  }
  // BT says which addresses are meant, unless DABRX[BTI].
  s.dabr = kWatched | kLoad;
  s.dabrx = kSupervisor;
  m.thread().state_changed();
  EXPECT_FALSE(hit("do_ld", kWatched, supervisor));
  s.dabrx = kSupervisor | kIgnoreBt;
  m.thread().state_changed();
  EXPECT_TRUE(hit("do_ld", kWatched, supervisor));
}

// ---- 32-bit mode

class Narrow : public OneThread {
 protected:
  static constexpr u64 kNarrow = msr::ME | msr::DR;
  Segment top{.ea = 0xF000'0000, .vsid = 0xF0, .index = 1};
  Segment bottom{.ea = 0, .vsid = 0xB0, .index = 2};
  void SetUp() override {
    m.slb(top);
    m.slb(bottom);
    m.map(top, {.ea = 0xFFFF'F000, .ra = kA});
    m.map(bottom, {.ea = 0, .ra = kB});
    pattern(m, kA, 3);
    pattern(m, kB, 100);
  }
};

TEST_F(Narrow, AddressesWrap) {
  m.gpr(4) = 0xDEADBEEF'FFFFF008;
  ASSERT_TRUE(completed(m.run("do_ld", kNarrow)));
  EXPECT_EQ(m.gpr(5), m.load(kA + 8));
  m.gpr(4) = 0xFFFFFFFF'FFFFFFFC;
  ASSERT_TRUE(completed(m.run("do_ld", kNarrow)));
  EXPECT_EQ(m.gpr(5), u64{m.load32(kA + 0xFFC)} << 32 | m.load32(kB));
  m.gpr(4) = 0xFFFFFFFC;
  m.gpr(5) = 0x0123456789ABCDEF;
  ASSERT_TRUE(completed(m.run("do_std", kNarrow)));
  EXPECT_EQ(m.load32(kA + 0xFFC), 0x01234567u);
  EXPECT_EQ(m.load32(kB), 0x89ABCDEFu);
  // The sum wraps, too.
  m.gpr(4) = 0xFFFFFFF8;
  ASSERT_TRUE(completed(m.run("do_lwzu", kNarrow)));
  EXPECT_EQ(m.gpr(5), m.load32(kB));
  EXPECT_EQ(static_cast<u32>(m.gpr(4)), 0u);
  // A multiple access goes round the end.
  m.gpr(4) = 0xFFFFFFF8;
  ASSERT_TRUE(completed(m.run("do_lmw", kNarrow)));
  EXPECT_EQ(m.gpr(29), m.load32(kA + 0xFFC));
  EXPECT_EQ(m.gpr(30), m.load32(kB));
  // DAR holds 32 bits.
  m.gpr(4) = 0xFFFFFFFF'20000000;
  EXPECT_TRUE(interrupted(m, m.run("do_ld", kNarrow), Vector::kDataSegment,
                          {.srr0 = m.at("do_ld"), .dar = 0x20000000}));
}

TEST_F(Narrow, InstructionAddressesWrap) {
  const u64 msr = msr::ME | msr::IR | msr::DR;
  // bl at the last word of the address space; its link is 0.
  m.store32(kA + 0xFF4, 0x60000000);
  m.store32(kA + 0xFF8, 0x60000000);
  m.store32(kA + 0xFFC, 0x48000000 | 0x14 | 1);  // bl to 0x10
  m.store32(kB + 0x10, 0x44000022);
  m.go(0xFFFFFFF4, msr);
  Stop stop = m.run();
  EXPECT_EQ(stop.exit, Exit::kHypercall);
  EXPECT_EQ(stop.at, 0x10u);
  EXPECT_EQ(s.lr, 0u);
  EXPECT_EQ(s.instructions, 4u);
  // Straight on over the end.
  m.store32(kA + 0xFFC, 0x60000000);
  m.store32(kB, 0x60000000);
  m.store32(kB + 4, 0x44000022);
  m.go(0xFFFFFFF4, msr);
  stop = m.run();
  EXPECT_EQ(stop.at, 4u);
  EXPECT_EQ(s.nia, 8u);
  // sc and rfid: 32-bit SRR0, and the target's upper half is dropped.
  m.store32(kA + 0xFFC, 0x44000002);
  m.go(0xFFFFFFFC, msr);
  EXPECT_TRUE(interrupted(m, m.run(), Vector::kSystemCall, {.srr0 = 0}));
  s.srr0 = 0xFFFFFFFF'00000010;
  s.srr1 = msr;
  m.go("do_rfid", msr::SF | msr::ME);
  stop = m.run();
  EXPECT_EQ(stop.at, 0x10u);
  EXPECT_EQ(s.msr, msr);
}

TEST_F(OneThread, NarrowCounter) {
  m.gpr(3) = 0xFFFFFFFF'00000003;
  ASSERT_TRUE(completed(m.run("ctr_loop_32", msr::ME)));
  EXPECT_EQ(m.gpr(5), 3u);
  EXPECT_EQ(s.ctr, 0xFFFFFFFF'00000000u);
}

}  // namespace
}  // namespace baton::bare_metal
