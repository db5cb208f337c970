// SPDX-License-Identifier: Apache-2.0
// The segment look-aside buffer: instructions on it, and what happens without an entry.
#include "tests/cpu/bare_metal/machine.h"

namespace baton::bare_metal {
namespace {

constexpr u64 kDataOn = msr::SF | msr::ME | msr::DR;
constexpr u64 kBothOn = kDataOn | msr::IR;
constexpr u64 kA = Machine::kData;

TEST_F(OneThread, DataSegmentInterrupt) {
  for (u64 ea : {u64{0x1000'0000}, u64{0xC000'0000'0000'1238}, u64{0x0FFF'FFFF'FFFF'FFFF}, u64{0}}) {
    m.gpr(4) = ea;
    m.gpr(5) = 0x55;
    s.dsisr = 0xFFFFFFFF;
    EXPECT_TRUE(interrupted(m, m.run("do_lbz", kDataOn), Vector::kDataSegment,
                            {.srr0 = m.at("do_lbz"), .dar = ea, .dsisr = 0}));
    EXPECT_TRUE(interrupted(m, m.run("do_stb", kDataOn), Vector::kDataSegment,
                            {.srr0 = m.at("do_stb"), .dar = ea, .dsisr = 0}));
    EXPECT_EQ(m.gpr(5), 0x55u);
  }
}

TEST_F(OneThread, InstructionSegmentInterrupt) {
  m.map_code();
  s.dar = 0x1111;
  s.dsisr = 0x2222;
  m.gpr(4) = 0xC000'0000'0000'4000;
  EXPECT_TRUE(interrupted(m, m.run("do_branch", kBothOn), Vector::kInstructionSegment,
                          {.srr0 = 0xC000'0000'0000'4000, .dar = 0x1111, .dsisr = 0x2222}));
  // Problem state: SRR1 tells.
  EXPECT_TRUE(interrupted(m, m.run("do_branch", kBothOn | msr::PR | msr::EE | msr::FP),
                          Vector::kInstructionSegment, {.srr0 = 0xC000'0000'0000'4000}));
  // At the very first instruction.
  m.go(u64{0x2000'0000}, kBothOn);
  EXPECT_TRUE(interrupted(m, m.run(), Vector::kInstructionSegment, {.srr0 = 0x2000'0000}));
}

TEST_F(OneThread, SegmentsOf256MegabytesAndOneTerabyte) {
  const Segment small{.ea = 0x1000'0000, .vsid = 0x3'1234'5678'9ABC, .index = 5};
  const Segment large{.ea = 0x1234'5600'0000'0000, .vsid = 0x37'ABCD'1234, .terabyte = true, .index = 6};
  m.slb(small);
  m.slb(large);
  m.map(small, {.ea = 0x1FFF'F000, .ra = kA});
  m.map(large, {.ea = 0x1234'56FF'FFFF'F000, .ra = kA + 4096});
  m.map(large, {.ea = 0x1234'5600'1000'0000, .ra = kA + 8192});
  m.store(kA + 0xFF8, 1);
  m.store(kA + 4096 + 0xFF8, 2);
  m.store(kA + 8192, 3);
  const std::pair<u64, u64> good[] = {
      {0x1FFF'FFF8, 1}, {0x1234'56FF'FFFF'FFF8, 2}, {0x1234'5600'1000'0000, 3}};
  for (const auto& [ea, value] : good) {
    m.gpr(4) = ea;
    ASSERT_TRUE(completed(m.run("do_ld", kDataOn)));
    EXPECT_EQ(m.gpr(5), value);
  }
  // The neighbours of both.
  for (u64 ea :
       {u64{0x2000'0000}, u64{0x0FFF'FFF8}, u64{0x1234'5700'0000'0000}, u64{0x1234'55FF'FFFF'FFF8}}) {
    m.gpr(4) = ea;
    EXPECT_TRUE(
        interrupted(m, m.run("do_ld", kDataOn), Vector::kDataSegment, {.srr0 = m.at("do_ld"), .dar = ea}));
  }
}

TEST_F(OneThread, SlbmteByTheGuest) {
  const Segment segment{.ea = 0x1000'0000, .vsid = 0x77, .index = 40};
  m.map(segment, {.ea = 0x1000'0000, .ra = kA});
  m.store(kA, 99);
  m.gpr(5) = segment.rs();
  m.gpr(4) = segment.rb();
  ASSERT_TRUE(completed(m.run("do_slbmte", kDataOn)));
  m.gpr(4) = 0x1000'0000;
  ASSERT_TRUE(completed(m.run("do_ld", kDataOn)));
  EXPECT_EQ(m.gpr(5), 99u);
}

TEST_F(OneThread, SlbmteReplacesAtOnce) {
  // Entry 5 maps the segment to another VSID; what was cached from the old one is gone.
  Segment one{.ea = 0x1000'0000, .vsid = 0x77, .index = 5},
      other{.ea = 0x1000'0000, .vsid = 0x78, .index = 5};
  m.map(one, {.ea = 0x1000'0000, .ra = kA});
  m.map(other, {.ea = 0x1000'0000, .ra = kA + 4096});
  m.store(kA, 1);
  m.store(kA + 4096, 2);
  for (unsigned round = 0; round < 4; round++) {
    const Segment& now = round & 1 ? other : one;
    m.gpr(5) = now.rs();
    m.gpr(4) = now.rb();
    ASSERT_TRUE(completed(m.run("do_slbmte", kDataOn)));
    m.gpr(4) = 0x1000'0000;
    ASSERT_TRUE(completed(m.run("do_ld", kDataOn)));
    EXPECT_EQ(m.gpr(5), round & 1 ? 2u : 1u);
    m.gpr(5) = round + 10;
    ASSERT_TRUE(completed(m.run("do_std", kDataOn)));
    EXPECT_EQ(m.load(round & 1 ? kA + 4096 : kA), round + 10);
    m.store(round & 1 ? kA + 4096 : kA, round & 1 ? 2 : 1);
  }
  // Its place can be taken by a segment elsewhere: then the old one is a miss.
  const Segment elsewhere{.ea = 0x5000'0000, .vsid = 0x79, .index = 5};
  m.slb(elsewhere);
  m.gpr(4) = 0x1000'0000;
  EXPECT_TRUE(interrupted(m, m.run("do_ld", kDataOn), Vector::kDataSegment, {.srr0 = m.at("do_ld")}));
}

TEST_F(OneThread, SlbieInvalidatesOneSegment) {
  const Segment a{.ea = 0x1000'0000, .vsid = 1, .index = 3}, b{.ea = 0x2000'0000, .vsid = 2, .index = 4};
  const Segment t{.ea = 0x0500'0000'0000, .vsid = 3, .terabyte = true, .index = 7};
  for (const Segment& segment : {a, b, t}) {
    m.slb(segment);
    m.map(segment, {.ea = segment.ea, .ra = kA});
  }
  const auto mapped = [&](u64 ea) {
    m.gpr(4) = ea;
    const Stop stop = m.run("do_ld", kDataOn);
    if (stop.vector == Vector::kDataSegment) return false;
    EXPECT_TRUE(completed(stop));
    return true;
  };
  EXPECT_TRUE(mapped(a.ea) && mapped(b.ea) && mapped(t.ea));
  m.gpr(4) = a.ea;
  ASSERT_TRUE(completed(m.run("do_slbie", kDataOn)));
  EXPECT_FALSE(mapped(a.ea));
  EXPECT_TRUE(mapped(b.ea) && mapped(t.ea));
  m.gpr(4) = t.ea | 0x02000000;
  ASSERT_TRUE(completed(m.run("do_slbie", kDataOn)));
  EXPECT_FALSE(mapped(t.ea));
  EXPECT_TRUE(mapped(b.ea));
  // Of entry 0, too.
  const Segment zero{.ea = 0x3000'0000, .vsid = 4, .index = 0};
  m.slb(zero);
  m.map(zero, {.ea = zero.ea, .ra = kA});
  EXPECT_TRUE(mapped(zero.ea));
  m.gpr(4) = zero.ea;
  ASSERT_TRUE(completed(m.run("do_slbie", kDataOn)));
  EXPECT_FALSE(mapped(zero.ea));
}

TEST_F(OneThread, SlbiaSparesEntryZero) {
  for (unsigned i = 0; i < 64; i++) {
    const Segment segment{.ea = (u64{i} + 1) << 28, .vsid = 0x100 + i, .index = i};
    m.slb(segment);
    m.map(segment, {.ea = segment.ea, .ra = kA});
    m.gpr(4) = segment.ea;
    ASSERT_TRUE(completed(m.run("do_ld", kDataOn)));
  }
  ASSERT_TRUE(completed(m.run("do_slbia", kDataOn)));
  for (unsigned i = 0; i < 64; i++) {
    m.gpr(4) = (u64{i} + 1) << 28;
    const Stop stop = m.run("do_ld", kDataOn);
    if (i == 0)
      EXPECT_TRUE(completed(stop));
    else
      EXPECT_TRUE(interrupted(m, stop, Vector::kDataSegment, {.srr0 = m.at("do_ld"), .dar = m.gpr(4)}));
  }
}

TEST_F(OneThread, SlbCanBeRead) {
  const u64 all = 0x800 | 0x400 | 0x200 | 0x100 | 0x80 | 0x30;
  for (unsigned i = 0; i < 64; i++) {
    const u64 ea = (u64{i} * 0x0123'4567 + 0x1000) << 28;
    const u64 rs = i & 1 ? u64{1} << 62 | (u64{0x1234567} + i) << 24 | (i * 16 & all)
                         : (u64{0x3'1234'5678'9ABC} + i) << 12 | (i * 16 & all);
    m.gpr(4) = (ea & ~u64{0x0FFFFFFF}) | kEsidValid | i;
    m.gpr(5) = rs;
    ASSERT_TRUE(completed(m.run("do_slbmte", kDataOn)));
    m.gpr(4) = i;
    ASSERT_TRUE(completed(m.run("do_slbmfee", kDataOn)));
    EXPECT_EQ(m.gpr(5), ea | kEsidValid);
    ASSERT_TRUE(completed(m.run("do_slbmfev", kDataOn)));
    EXPECT_EQ(m.gpr(5), rs);
    for (u8 so : {0, 1}) {
      set_so(s, so);
      m.gpr(4) = ea + 0x123;
      ASSERT_TRUE(completed(m.run("do_slbfee", kDataOn)));
      EXPECT_EQ(m.gpr(5), rs);
      EXPECT_EQ(m.gpr(6) >> 28, 2u | so);
    }
  }
  set_so(s, false);
  m.gpr(4) = 0xEEEE'0000'0000'0000;
  ASSERT_TRUE(completed(m.run("do_slbfee", kDataOn)));
  EXPECT_EQ(m.gpr(5), 0u);
  EXPECT_EQ(m.gpr(6) >> 28, 0u);
  // Entries that are not valid read as zero.
  m.gpr(4) = 7;
  m.gpr(5) = 0x1234000;
  ASSERT_TRUE(completed(m.run("do_slbmte", kDataOn)));
  ASSERT_TRUE(completed(m.run("do_slbmfee", kDataOn)));
  EXPECT_EQ(m.gpr(5), 0u);
  ASSERT_TRUE(completed(m.run("do_slbmfev", kDataOn)));
  EXPECT_EQ(m.gpr(5), 0u);
}

TEST_F(OneThread, SegmentRegistersAreTheFirstSlbEntries) {
  m.gpr(4) = 0x3000'0000;
  m.gpr(5) = 0x20000ABC;  // Kp, VSID 0xABC
  ASSERT_TRUE(completed(m.run("do_mtsrin", kDataOn)));
  EXPECT_EQ(s.slb[3].esid & ~u64{0xFFF}, 0x3000'0000u | kEsidValid);
  EXPECT_EQ(s.slb[3].vsid, u64{0xABC} << 12 | kKp);
  ASSERT_TRUE(completed(m.run("do_mfsrin", kDataOn)));
  EXPECT_EQ(m.gpr(5), 0x20000ABCu);
}

TEST_F(OneThread, SixtyFourSegmentsOfEverySize) {
  // Both sizes, each page size, all entries; a page of each at the segment's end.
  std::vector<Segment> segments;
  constexpr u64 kSizes[] = {k4K, k64K, k16M};
  for (unsigned i = 0; i < 64; i++) {
    const bool terabyte = i & 1;
    segments.push_back({.ea = terabyte ? u64{i + 1} << 52 : u64{i + 1} << 28,
                        .vsid = 0x1000 + i,
                        .terabyte = terabyte,
                        .llp = kSizes[i % 3],
                        .index = i});
  }
  for (const Segment& segment : segments) {
    m.gpr(4) = segment.rb();
    m.gpr(5) = segment.rs();
    ASSERT_TRUE(completed(m.run("do_slbmte", kDataOn)));
    const u64 ra = segment.llp == k16M ? u64{0x100'0000} : 0x20'0000 + u64{segment.index} * 0x1'0000;
    m.map(segment, {.ea = segment.ea | segment.size_mask(), .ra = ra});
    m.store(ra + (u64{1} << segment.base_shift()) - 8 - segment.index * (segment.llp == k16M ? 8 : 0),
            segment.index + 1);
  }
  for (unsigned round = 0; round < 2; round++) {
    for (const Segment& segment : segments) {
      m.gpr(4) = (segment.ea | segment.size_mask()) - 7 - segment.index * (segment.llp == k16M ? 8 : 0);
      ASSERT_TRUE(completed(m.run("do_ld", kDataOn))) << segment.index;
      EXPECT_EQ(m.gpr(5), segment.index + 1);
    }
  }
  // One goes, by any address in it, whatever the class bit says; the others stay.
  for (unsigned gone : {0u, 17u, 42u, 63u}) {
    m.gpr(4) = (segments[gone].ea & ~u64{0x0FFFFFFF}) | (gone == 17 ? 0x55'5000'0000 : 0) |
               (segments[gone].terabyte ? 0x02000000 : 0) | (gone == 42 ? 0x08000000 : 0);
    ASSERT_TRUE(completed(m.run("do_slbie", kDataOn)));
    segments[gone].vsid = 0;
    for (const Segment& segment : segments) {
      m.gpr(4) = (segment.ea | segment.size_mask()) - 7 - segment.index * (segment.llp == k16M ? 8 : 0);
      EXPECT_EQ(m.run("do_ld", kDataOn).vector, segment.vsid ? Vector::kNone : Vector::kDataSegment);
    }
  }
  // slbie of the other size does not match.
  m.gpr(4) = segments[2].ea | 0x02000000;
  ASSERT_TRUE(completed(m.run("do_slbie", kDataOn)));
  m.gpr(4) = (segments[2].ea | segments[2].size_mask()) - 7 - (segments[2].llp == k16M ? 16 : 0);
  EXPECT_TRUE(completed(m.run("do_ld", kDataOn)));
}

/// Code that takes its own segment away may run on until something synchronises; here it does not run on at
/// all.
TEST_F(OneThread, CodeThatTakesItsOwnSegmentAway) {
  constexpr u64 kEa = 0x4000'0000;
  const Segment own{.ea = kEa, .vsid = 0x44, .index = 5};
  m.map(own, {.ea = kEa, .ra = Machine::kScratch});
  m.map({.ea = kEa, .vsid = 0x45}, {.ea = kEa, .ra = kA});
  constexpr u32 kIsync = 0x4C00012C, kAdd = 0x38C60001;
  const u32 takers[] = {0x7C002364, 0x7C0003E4,
                        0x7CA02324};  // slbie 4; slbia; slbmte 5,4 of an invalid entry
  for (u32 taker : takers) {
    for (bool cached : {false, true}) {
      if (!cached) m.thread().flush_translations();
      m.slb(own);
      m.gpr(4) = taker == takers[2] ? 5 : kEa;
      m.gpr(5) = m.gpr(6) = 0;
      m.assemble({taker, kIsync, kAdd, kAdd});
      m.go(kEa, kBothOn);
      EXPECT_TRUE(interrupted(m, m.run(), Vector::kInstructionSegment, {.srr0 = kEa + 4}))
          << std::hex << taker;
      EXPECT_EQ(m.gpr(6), 0u);
    }
  }
  // Another page in its place: the code behind is that page's.
  const Segment other{.ea = kEa, .vsid = 0x45, .index = 5};
  m.slb(own);
  m.gpr(4) = other.rb();
  m.gpr(5) = other.rs();
  m.gpr(6) = 0;
  m.store32(kA + 4, kIsync);
  m.store32(kA + 8, 0x38C00002);  // li 6,2
  m.store32(kA + 12, 0x44000022);
  m.assemble({takers[2], kIsync, kAdd});
  m.go(kEa, kBothOn);
  const Stop stop = m.run();
  EXPECT_EQ(stop.at, kEa + 12);
  EXPECT_EQ(m.gpr(6), 2u);
  // isync without such a reason is nothing but an instruction.
  m.assemble({kIsync, kAdd, kIsync, kAdd});
  m.go(Machine::kScratch, kDataOn);
  m.gpr(6) = 0;
  const u64 from = s.instructions;
  EXPECT_TRUE(completed(m.run()));
  EXPECT_EQ(m.gpr(6), 2u);
  EXPECT_EQ(s.instructions - from, 5u);
}

TEST_F(OneThread, SegmentNoExecute) {
  m.map_code();
  const Segment segment{.ea = 0x1000'0000, .vsid = 0x12, .protection = kSegmentNoExecute};
  m.slb(segment);
  m.map(segment, {.ea = 0x1000'0000, .ra = kA});
  m.store32(kA, 0x44000022);
  m.gpr(4) = 0x1000'0000;
  EXPECT_TRUE(completed(m.run("do_ld", kBothOn)));
  for (u64 state : {u64{0}, msr::PR | msr::EE})
    EXPECT_TRUE(interrupted(m, m.run("do_branch", kBothOn | state), Vector::kInstructionStorage,
                            {.srr0 = 0x1000'0000, .cause = 0x10000000}));
}

TEST_F(OneThread, SlbIsPrivateToTheThread) {
  Machine two(2);
  const Segment segment{.ea = 0x1000'0000, .vsid = 0x12};
  two.slb(segment, 0);
  two.map(segment, {.ea = 0x1000'0000, .ra = kA});
  two.gpr(4, 0) = two.gpr(4, 1) = 0x1000'0000;
  EXPECT_TRUE(completed(two.run("do_ld", kDataOn, 0)));
  EXPECT_TRUE(
      interrupted(two, two.run("do_ld", kDataOn, 1), Vector::kDataSegment, {.srr0 = two.at("do_ld")}, 1));
}

}  // namespace
}  // namespace baton::bare_metal
