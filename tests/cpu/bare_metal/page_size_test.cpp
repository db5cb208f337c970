// SPDX-License-Identifier: Apache-2.0
// Pages of 16 GB, 64 KB pages in segments of 4 KB pages, encodings that name no size, groups that are full,
// long virtual addresses (POWER6-ISA 7.2 to 7.4).
#include "tests/cpu/bare_metal/machine.h"

namespace baton::bare_metal {
namespace {

constexpr u64 kDataOn = msr::SF | msr::ME | msr::DR;
constexpr u64 kGigabyte = u64{1} << 30, kHuge = 16 * kGigabyte;

class Sizes : public testing::Test {
 protected:
  /// Far more memory than the host has: only what is touched is there.
  Machine m{2, 64 * kGigabyte, 18};
  std::optional<u64> load(u64 ea, unsigned i = 0) {
    m.gpr(4, i) = ea;
    const Stop stop = m.run("do_ld", kDataOn, i);
    if (stop.vector == Vector::kNone) return m.gpr(5, i);
    EXPECT_TRUE(interrupted(m, stop, Vector::kDataStorage,
                            {.srr0 = m.at("do_ld"), .dar = ea, .dsisr = 0x40000000}, i));
    return std::nullopt;
  }
  Stop store(u64 ea, u64 value) {
    m.gpr(4) = ea;
    m.gpr(5) = value;
    return m.run("do_std", kDataOn);
  }
};

TEST_F(Sizes, SixteenGigabytePages) {
  const Segment segment{.ea = 0x5'0000'0000'0000, .vsid = 0x31'2345'6789, .terabyte = true, .llp = k16G};
  m.slb(segment);
  // The first, the second and the last page of the segment; real memory in another order.
  const std::pair<u64, u64> pages[] = {{0, 3 * kHuge}, {kHuge, kHuge}, {63 * kHuge, 2 * kHuge}};
  const u64 offsets[] = {0, 8, 0xFFF8, 0xFF'FFF8, 0x1'2345'6780, kHuge / 2, kHuge - 8};
  for (const auto& [ea, ra] : pages) {
    EXPECT_FALSE(load(segment.ea + ea));
    const u64 ptex = m.map(segment, {.ea = segment.ea + ea, .ra = ra, .slot = 3});
    for (u64 offset : offsets) {
      m.store(ra + offset, ra + offset + 1);
      EXPECT_EQ(load(segment.ea + ea + offset), ra + offset + 1);
    }
    EXPECT_EQ(m.hpt().get(ptex).r & 0x180, 0x100u);
    for (u64 offset : offsets) {
      ASSERT_TRUE(completed(store(segment.ea + ea + offset, offset + 7)));
      EXPECT_EQ(m.load(ra + offset), offset + 7);
    }
    EXPECT_EQ(m.hpt().get(ptex).r & 0x180, 0x180u);
  }
  EXPECT_FALSE(load(segment.ea + 2 * kHuge));
  EXPECT_FALSE(load(segment.ea + 62 * kHuge));
}

TEST_F(Sizes, SixteenGigabytesInTheSecondaryGroupAndTakenAway) {
  const Segment segment{.ea = 0x5'0000'0000'0000, .vsid = 0x31'2345'6789, .terabyte = true, .llp = k16G};
  m.slb(segment, 0);
  m.slb(segment, 1);
  const u64 ptex = m.map(segment, {.ea = segment.ea, .ra = kHuge, .secondary = true, .slot = 7});
  // Small pages all over it are cached by both threads; none is left when the entry goes.
  std::vector<u64> offsets;
  for (u64 i = 0; i < 300; i++) offsets.push_back(i * 0x0355'5000 & (kHuge - 8));
  for (u64 offset : offsets)
    for (unsigned i = 0; i < 2; i++) EXPECT_TRUE(load(segment.ea + offset, i));
  m.unmap(ptex);
  for (u64 offset : offsets)
    for (unsigned i = 0; i < 2; i++) ASSERT_FALSE(load(segment.ea + offset, i)) << offset;
}

TEST_F(Sizes, SixteenGigabytesOnlyInSegmentsOfOneTerabyte) {
  const Segment small{.ea = 0x1000'0000, .vsid = 0x99, .llp = k16G};
  m.slb(small);
  for (bool secondary : {false, true})
    for (unsigned slot = 0; slot < 8; slot++)
      m.map(small, {.ea = small.ea, .ra = kHuge, .secondary = secondary, .slot = slot});
  EXPECT_FALSE(load(small.ea));
  // And only with the code that means it.
  const Segment large{.ea = 0x5'0000'0000'0000, .vsid = 0x77, .terabyte = true, .llp = k16G};
  m.slb(large);
  const Page page{.ea = large.ea, .ra = kHuge};
  const cpu::Hpte right = Machine::entry(large, page);
  for (u64 code = 0; code < 256; code++) {
    m.hpt().set(m.ptex(large, page), {right.v, (right.r & ~u64{0xFF000}) | code << 12});
    EXPECT_EQ(load(large.ea).has_value(), code == 3) << code;
    m.unmap(m.ptex(large, page));
  }
}

TEST_F(Sizes, OtherEncodingsNameNoSize) {
  const Segment segment{.ea = 0x5'0000'0000'0000, .vsid = 0x77, .terabyte = true};
  for (u64 llp : {0x010, 0x020, 0x030, 0x130}) {
    m.thread().slbmte(segment.rs() | llp, segment.rb());
    m.map(segment, {.ea = segment.ea, .ra = kGigabyte});
    EXPECT_FALSE(load(segment.ea)) << llp;
  }
}

TEST_F(Sizes, EachPartOfA64KilobytePageInA4KilobyteSegment) {
  for (bool terabyte : {false, true}) {
    const Segment segment{
        .ea = terabyte ? u64{0x7'0000'0000'0000} : u64{0x2000'0000}, .vsid = 0x51, .terabyte = terabyte};
    m.slb(segment);
    constexpr u64 kRa = 0x123'0000;
    for (u64 i = 0; i < 16; i++) m.store(kRa + i * 0x1000 + 0x18, i + 100);
    // One entry for each 4 KB that is touched; all name the same 64 KB.
    for (u64 i = 0; i < 16; i++) {
      const u64 ea = segment.ea + 0x5'0000 + i * 0x1000;
      EXPECT_FALSE(load(ea + 0x18));
      const u64 ptex = m.map(segment, {.ea = ea,
                                       .ra = kRa,
                                       .shift = 16,
                                       .secondary = (i & 1) != 0,
                                       .slot = static_cast<unsigned>(i / 2)});
      EXPECT_EQ(load(ea + 0x18), i + 100);
      if (i % 3 == 0) {
        m.unmap(ptex);
        EXPECT_FALSE(load(ea + 0x18));
      }
    }
    // A 4 KB page beside them.
    m.map(segment, {.ea = segment.ea + 0x6'0000, .ra = kRa + 0x2000});
    EXPECT_EQ(load(segment.ea + 0x6'0018), 102u);
  }
}

TEST_F(Sizes, FullGroups) {
  const Segment segment{.ea = 0x2000'0000, .vsid = 0x51};
  m.slb(segment);
  const Page page{.ea = 0x2000'3000, .ra = 0x20'0000};
  Page second = page;
  second.secondary = true;
  const cpu::Hpte mine = Machine::entry(segment, page), mine_second = Machine::entry(segment, second);
  m.store(0x20'0000, 42);
  // Fifteen entries of others, of which some differ in one bit of the tag only.
  for (unsigned place = 0; place < 16; place++) {
    for (unsigned i = 0; i < 16; i++) {
      const bool secondary = i >= 8;
      const u64 ptex = m.ptex(segment, secondary ? second : page) + i % 8;
      cpu::Hpte entry = secondary ? mine_second : mine;
      if (i != place) entry.v ^= u64{1} << (7 + (i * 3) % 50);
      m.hpt().set(ptex, entry);
    }
    m.domain().forget_all_translations();
    EXPECT_EQ(load(page.ea), 42u) << place;
    // Without it, there is none.
    const u64 ptex = m.ptex(segment, place >= 8 ? second : page) + place % 8;
    const cpu::Hpte entry = m.hpt().get(ptex);
    m.unmap(ptex);
    EXPECT_FALSE(load(page.ea)) << place;
    m.hpt().set(ptex, entry);
  }
}

TEST_F(Sizes, LongVirtualAddresses) {
  // Segments whose names differ in one bit, from the lowest to the highest that an SLB entry holds: VSIDs of
  // 50 and 38 bits make virtual addresses of 78.
  for (bool terabyte : {false, true}) {
    const unsigned bits = terabyte ? 38 : 50;
    for (unsigned bit = 0; bit < bits; bit++) {
      Segment segment{.ea = terabyte ? u64{0x7'0000'0000'0000} : u64{0x2000'0000},
                      .vsid = 0x0155'5555'5555 & ((u64{1} << bits) - 1),
                      .terabyte = terabyte};
      Segment other = segment;
      other.vsid ^= u64{1} << bit;
      for (u64 offset : {u64{0x5000}, segment.size_mask() & ~u64{0xFFF}}) {
        m.store(0x20'0000 + 8, bit + 1);
        const u64 ptex = m.map(other, {.ea = segment.ea + offset, .ra = 0x20'0000});
        // Where this one would be looked for, the other's entry does not serve.
        const u64 mine = m.ptex(segment, {.ea = segment.ea + offset});
        if (mine != ptex) m.hpt().set(mine, m.hpt().get(ptex));
        m.slb(segment);
        EXPECT_FALSE(load(segment.ea + offset + 8)) << bit;
        m.slb(other);
        EXPECT_EQ(load(segment.ea + offset + 8), bit + 1u) << bit;
        m.unmap(ptex);
        m.unmap(mine);
      }
    }
  }
}

}  // namespace
}  // namespace baton::bare_metal
