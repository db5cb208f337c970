// SPDX-License-Identifier: Apache-2.0
// The hashed page table: search, page sizes, rights, reference and change, storage keys.
#include "tests/cpu/bare_metal/machine.h"

namespace baton::bare_metal {
namespace {

constexpr u64 kDataOn = msr::SF | msr::ME | msr::DR;
constexpr u64 kBothOn = kDataOn | msr::IR;
constexpr u64 kProblem = kBothOn | msr::PR | msr::EE;
constexpr u64 kA = 0x20'0000, kB = 0x21'0000;
constexpr u64 kReferenced = 0x100, kChanged = 0x80;

class PageTable : public OneThread {
 protected:
  const Segment small{.ea = 0x1000'0000, .vsid = 0x3'1234'5678'9ABC, .index = 1};
  const Segment large{.ea = 0x5'0000'0000'0000, .vsid = 0x31'2345'6789, .terabyte = true, .index = 2};

  void SetUp() override {
    m.slb(small);
    m.slb(large);
    m.map_code();
  }
  /// The value that a load finds, or nothing if there is no translation.
  std::optional<u64> load(u64 ea) {
    m.gpr(4) = ea;
    const Stop stop = m.run("do_ld", kDataOn);
    if (stop.vector == Vector::kNone) return m.gpr(5);
    EXPECT_TRUE(
        interrupted(m, stop, Vector::kDataStorage, {.srr0 = m.at("do_ld"), .dar = ea, .dsisr = 0x40000000}));
    return std::nullopt;
  }
};

TEST_F(PageTable, NotFound) {
  m.gpr(4) = 0x1000'0010;
  EXPECT_TRUE(interrupted(m, m.run("do_ld", kDataOn), Vector::kDataStorage,
                          {.srr0 = m.at("do_ld"), .dar = 0x1000'0010, .dsisr = 0x40000000}));
  EXPECT_TRUE(interrupted(m, m.run("do_std", kDataOn), Vector::kDataStorage,
                          {.srr0 = m.at("do_std"), .dar = 0x1000'0010, .dsisr = 0x42000000}));
  s.dar = s.dsisr = 0;
  EXPECT_TRUE(interrupted(m, m.run("do_branch", kBothOn), Vector::kInstructionStorage,
                          {.srr0 = 0x1000'0010, .cause = 0x40000000, .dar = 0, .dsisr = 0}));
}

TEST_F(PageTable, EverySlotOfBothGroups) {
  m.store(kA, 0xABCD);
  for (const Segment& segment : {small, large}) {
    for (u64 offset : {u64{0}, u64{0x0123'4000}, u64{0x0FFF'F000}}) {
      for (bool secondary : {false, true}) {
        for (unsigned slot = 0; slot < 8; slot++) {
          const Page page{.ea = segment.ea + offset, .ra = kA, .secondary = secondary, .slot = slot};
          EXPECT_FALSE(load(page.ea));
          const u64 ptex = m.map(segment, page);
          EXPECT_EQ(load(page.ea), 0xABCDu) << std::hex << page.ea << " slot " << slot;
          m.unmap(ptex);
        }
      }
    }
  }
}

TEST_F(PageTable, EntriesOfTheWrongGroupDoNotMatch) {
  const Page page{.ea = 0x1000'3000, .ra = kA};
  cpu::Hpte entry = Machine::entry(small, page);
  const u64 primary = m.ptex(small, page);
  Page other = page;
  other.secondary = true;
  const u64 secondary = m.ptex(small, other);
  // H says which hash an entry belongs to.
  m.hpt().set(primary, {entry.v | 2, entry.r});
  EXPECT_FALSE(load(page.ea));
  m.hpt().set(primary, {0, 0});
  m.hpt().set(secondary, entry);
  EXPECT_FALSE(load(page.ea));
  m.hpt().set(secondary, {entry.v | 2, entry.r});
  EXPECT_TRUE(load(page.ea));
}

TEST_F(PageTable, PrimaryGroupGoesFirst) {
  m.store(kA, 1);
  m.store(kB, 2);
  m.map(small, {.ea = 0x1000'3000, .ra = kB, .secondary = true});
  const u64 primary = m.map(small, {.ea = 0x1000'3000, .ra = kA, .slot = 7});
  EXPECT_EQ(load(0x1000'3000), 1u);
  m.unmap(primary);
  EXPECT_EQ(load(0x1000'3000), 2u);
}

TEST_F(PageTable, EveryBitOfTheTagCounts) {
  for (const Segment& segment : {small, large}) {
    const Page page{.ea = segment.ea + 0x0123'4000, .ra = kA, .slot = 3};
    const cpu::Hpte entry = Machine::entry(segment, page);
    const u64 ptex = m.ptex(segment, page);
    for (unsigned bit = 0; bit < 64; bit++) {
      const cpu::Hpte changed{entry.v ^ u64{1} << bit, entry.r};
      m.hpt().set(ptex, changed);
      // Software's bits do not matter; L makes it a large page of no known size (its LP code is 0: 16 MB, not
      // in a segment of 4 KB pages).
      const bool software = bit >= 3 && bit < 7;
      EXPECT_EQ(load(page.ea).has_value(), software) << "bit " << bit;
      m.hpt().set(ptex, {0, 0});
      m.domain().forget_translation(ptex, entry);
    }
  }
}

TEST_F(PageTable, SixtyFourKilobytePages) {
  const Segment segment{.ea = 0x2000'0000, .vsid = 0x2222, .llp = k64K, .index = 3};
  m.slb(segment);
  m.map(segment, {.ea = 0x2001'0000, .ra = kB});
  for (u64 offset = 0; offset < 0x10000; offset += 0xFF8) m.store(kB + offset, offset + 1);
  for (u64 offset = 0; offset < 0x10000; offset += 0xFF8) EXPECT_EQ(load(0x2001'0000 + offset), offset + 1);
  EXPECT_FALSE(load(0x2000'0000));
  EXPECT_FALSE(load(0x2002'0000));
  // Neither a 4 KB entry nor one with another code is a page of this segment.
  const Page page{.ea = 0x2003'0000, .ra = kA};
  const cpu::Hpte entry = Machine::entry(segment, page);
  m.hpt().set(m.ptex(segment, page), {entry.v & ~u64{4}, entry.r});
  EXPECT_FALSE(load(page.ea));
  for (u64 code = 0; code < 16; code++) {
    m.hpt().set(m.ptex(segment, page), {entry.v, (entry.r & ~u64{0xF000}) | code << 12});
    EXPECT_EQ(load(page.ea).has_value(), code == 1) << code;
    m.unmap(m.ptex(segment, page));
  }
}

TEST_F(PageTable, SixtyFourKilobytePagesInSegmentsOf4K) {
  m.store(kB + 0x3008, 3);
  m.store(kB + 0xF008, 15);
  // Entered once for each 4 KB of it that is used.
  m.map(small, {.ea = 0x1000'3000, .ra = kB, .shift = 16});
  EXPECT_EQ(load(0x1000'3008), 3u);
  EXPECT_FALSE(load(0x1000'F008));
  EXPECT_FALSE(load(0x1000'2008));
  const u64 ptex = m.map(small, {.ea = 0x1000'F000, .ra = kB, .shift = 16});
  EXPECT_EQ(load(0x1000'F008), 15u);
  // Other codes are none.
  const cpu::Hpte entry = m.hpt().get(ptex);
  for (u64 code = 0; code < 16; code++) {
    m.unmap(ptex);
    m.hpt().set(ptex, {entry.v, (entry.r & ~u64{0xF000}) | code << 12});
    EXPECT_EQ(load(0x1000'F008).has_value(), code == 7) << code;
  }
}

TEST_F(PageTable, SixteenMegabytePages) {
  for (bool terabyte : {false, true}) {
    const Segment segment{.ea = terabyte ? u64{0x7'0000'0000'0000} : u64{0x3000'0000},
                          .vsid = 0x3333,
                          .terabyte = terabyte,
                          .llp = k16M,
                          .index = 3};
    m.slb(segment);
    const u64 ea = segment.ea + 0x0200'0000, ra = 0x0200'0000;
    const u64 ptex = m.map(segment, {.ea = ea, .ra = ra});
    m.store(ra, 7);
    m.store(ra + 0x0080'0000, 8);
    m.store(ra + 0x00FF'FFF8, 9);
    EXPECT_EQ(load(ea), 7u);
    EXPECT_EQ(load(ea + 0x0080'0000), 8u);
    EXPECT_EQ(load(ea + 0x00FF'FFF8), 9u);
    EXPECT_FALSE(load(ea - 8));
    EXPECT_FALSE(load(ea + 0x0100'0000));
    // The lowest AVPN bit lies inside the page.
    const cpu::Hpte entry = m.hpt().get(ptex);
    m.unmap(ptex);
    EXPECT_FALSE(load(ea));
    EXPECT_FALSE(load(ea + 0x0080'0000));
    EXPECT_FALSE(load(ea + 0x00FF'FFF8));
    m.hpt().set(ptex, {entry.v ^ 0x80, entry.r});
    EXPECT_EQ(load(ea), 7u);
    m.unmap(ptex);
    m.hpt().set(ptex, {entry.v & ~u64{4}, entry.r});
    EXPECT_FALSE(load(ea));
    m.hpt().set(ptex, {0, 0});
  }
}

TEST_F(PageTable, BeyondMemoryThereIsNothing) {
  m.map(small, {.ea = 0x1000'0000, .ra = m.memory().size()});
  m.gpr(4) = 0x1000'0000;
  const Stop stop = m.run("do_ld", kDataOn);
  EXPECT_EQ(stop.vector, Vector::kDataStorage);
}

TEST(PageTableLarge, ManyPagesThroughAFewCacheEntries) {
  // More pages than the look-aside can hold, at distances that collide in it.
  Machine m(1, u64{64} << 20, 24);
  const Segment small{.ea = 0x1000'0000, .vsid = 0x3'1234'5678'9ABC, .index = 1};
  m.slb(small);
  for (u64 stride : {u64{0x1000}, u64{0x40'0000}, u64{0x100'0000}}) {
    const unsigned pages = stride == 0x1000 ? 2500 : 16;
    u64 expected = 0;
    std::vector<u64> entered;
    for (unsigned i = 0; i < pages; i++) {
      const u64 ea = small.ea + i * stride, ra = 0x40'0000 + u64{i} * 4096;
      u64 ptex = 0;
      for (unsigned slot = 0; slot < 8; slot++) {
        ptex = m.ptex(small, {.ea = ea, .slot = slot});
        if (!(m.hpt().get(ptex).v & 1)) break;
      }
      m.hpt().set(ptex, Machine::entry(small, {.ea = ea, .ra = ra}));
      entered.push_back(ptex);
      m.store(ra, i * 3 + 1);
      expected += i * 3 + 1;
    }
    for (unsigned round = 0; round < 3; round++) {
      m.gpr(3) = pages;
      m.gpr(4) = small.ea;
      m.gpr(5) = stride;
      ASSERT_TRUE(completed(m.run("sum_strided", kDataOn)));
      EXPECT_EQ(m.gpr(6), expected);
    }
    for (u64 ptex : entered) m.unmap(ptex);
  }
}

// ---- rights

struct Allowed {
  bool read, write;
};
/// The table of the architecture, by PP0 || PP and key.
Allowed allowed(unsigned pp, bool key) {
  switch (pp) {
    case 0b000:
      return key ? Allowed{false, false} : Allowed{true, true};
    case 0b001:
      return key ? Allowed{true, false} : Allowed{true, true};
    case 0b010:
      return {true, true};
    case 0b011:
      return {true, false};
    case 0b110:
      return key ? Allowed{false, false} : Allowed{true, false};
    default:
      return {false, false};
  }
}

TEST_F(PageTable, PageProtection) {
  for (bool terabyte : {false, true}) {
    for (unsigned keys = 0; keys < 4; keys++) {
      const u64 protection = (keys & 2 ? kKs : 0) | (keys & 1 ? kKp : 0);
      const Segment segment{.ea = terabyte ? u64{0x7'0000'0000'0000} : u64{0x3000'0000},
                            .vsid = 0x3333 + keys,
                            .terabyte = terabyte,
                            .protection = protection,
                            .index = 3};
      m.slb(segment);
      for (unsigned pp = 0; pp < 8; pp++) {
        const u64 rights = (pp & 4 ? u64{1} << 63 : 0) | (pp & 3);
        const u64 ea = segment.ea + pp * 0x1000;
        const u64 ptex = m.map(segment, {.ea = ea, .ra = kA, .rights = rights});
        m.store(kA, u64{0x44000022} << 32);
        for (u64 msr : {kBothOn, kProblem}) {
          const bool key = protection & (msr & msr::PR ? kKp : kKs);
          const Allowed may = allowed(pp, key);
          SCOPED_TRACE(testing::Message() << "pp " << pp << " key " << key << " PR " << !!(msr & msr::PR));
          // Both orders, so that one kind of access does not open the way for another.
          for (unsigned order = 0; order < 2; order++) {
            m.domain().forget_all_translations();
            for (unsigned which = 0; which < 3; which++) {
              m.gpr(4) = ea;
              const unsigned kind = order ? 2 - which : which;
              if (kind == 0) {
                const Stop stop = m.run("do_ld", msr);
                if (may.read)
                  EXPECT_TRUE(completed(stop));
                else
                  EXPECT_TRUE(
                      interrupted(m, stop, Vector::kDataStorage,
                                  {.srr0 = m.at("do_ld") + Machine::kCode, .dar = ea, .dsisr = 0x08000000}));
              } else if (kind == 1) {
                m.gpr(5) = u64{0x44000022} << 32 | (pp + 1);
                const u64 before = m.load(kA);
                const Stop stop = m.run("do_std", msr);
                if (may.write) {
                  EXPECT_TRUE(completed(stop));
                  EXPECT_EQ(m.load(kA), m.gpr(5));
                } else {
                  EXPECT_TRUE(
                      interrupted(m, stop, Vector::kDataStorage,
                                  {.srr0 = m.at("do_std") + Machine::kCode, .dar = ea, .dsisr = 0x0A000000}));
                  EXPECT_EQ(m.load(kA), before);
                }
              } else {
                const Stop stop = m.run("do_branch", msr);
                if (may.read) {
                  EXPECT_TRUE(completed(stop));
                  EXPECT_EQ(stop.at, ea);
                } else {
                  EXPECT_TRUE(
                      interrupted(m, stop, Vector::kInstructionStorage, {.srr0 = ea, .cause = 0x08000000}));
                }
              }
            }
          }
        }
        m.unmap(ptex);
      }
    }
  }
}

TEST_F(PageTable, SupervisorAndProblemStateDoNotShareRights) {
  // Warm in one state, refused in the other.
  const Segment segment{.ea = 0x3000'0000, .vsid = 0x3333, .protection = kKp, .index = 3};
  m.slb(segment);
  m.map(segment, {.ea = 0x3000'0000, .ra = kA, .rights = 0});
  m.store32(kA, 0x44000022);
  for (unsigned round = 0; round < 3; round++) {
    m.gpr(4) = 0x3000'0000;
    m.gpr(5) = u64{0x44000022} << 32;
    EXPECT_TRUE(completed(m.run("do_ld", kBothOn)));
    EXPECT_TRUE(completed(m.run("do_std", kBothOn)));
    EXPECT_TRUE(completed(m.run("do_branch", kBothOn)));
    EXPECT_EQ(m.run("do_ld", kProblem).vector, Vector::kDataStorage);
    EXPECT_EQ(m.run("do_std", kProblem).vector, Vector::kDataStorage);
    EXPECT_EQ(m.run("do_branch", kProblem).vector, Vector::kInstructionStorage);
  }
}

TEST_F(PageTable, NoExecuteAndGuarded) {
  m.store32(kA, 0x44000022);
  for (u64 bit : {u64{4}, u64{8}, u64{12}}) {
    const u64 ptex = m.map(small, {.ea = 0x1000'0000, .ra = kA, .rights = 2 | bit});
    m.gpr(4) = 0x1000'0000;
    for (u64 msr : {kBothOn, kProblem}) {
      EXPECT_TRUE(interrupted(m, m.run("do_branch", msr), Vector::kInstructionStorage,
                              {.srr0 = 0x1000'0000, .cause = 0x10000000}));
      EXPECT_EQ(m.hpt().get(ptex).r & (kReferenced | kChanged), 0u);
      EXPECT_TRUE(completed(m.run("do_ld", msr)));
      EXPECT_TRUE(interrupted(m, m.run("do_branch", msr), Vector::kInstructionStorage,
                              {.srr0 = 0x1000'0000, .cause = 0x10000000}));
      m.unmap(ptex);
      m.map(small, {.ea = 0x1000'0000, .ra = kA, .rights = 2 | bit});
    }
    m.unmap(ptex);
  }
  // No-execute is found before missing rights.
  m.map(small, {.ea = 0x1000'0000, .ra = kA, .rights = u64{1} << 63 | 4});
  EXPECT_TRUE(interrupted(m, m.run("do_branch", kBothOn), Vector::kInstructionStorage,
                          {.srr0 = 0x1000'0000, .cause = 0x10000000}));
}

// ---- reference and change

TEST_F(PageTable, ReferenceAndChange) {
  struct {
    const char* snippet;
    u64 bits;
  } const kinds[] = {
      {"do_lbz", kReferenced},
      {"do_ld", kReferenced},
      {"do_lfd", kReferenced},
      {"do_lmw", kReferenced},
      {"do_lwarx", kReferenced},
      {"do_dcbst", kReferenced},
      {"do_icbi", kReferenced},
      {"do_dcbt", 0},
      {"do_branch", kReferenced},
      {"do_stb", kReferenced | kChanged},
      {"do_std", kReferenced | kChanged},
      {"do_stfd", kReferenced | kChanged},
      {"do_stmw", kReferenced | kChanged},
      {"do_stwcx", kReferenced | kChanged},
      {"do_dcbz", kReferenced | kChanged},
      {"do_stq", kReferenced | kChanged},
      {"do_lq", kReferenced},
  };
  for (const Segment& segment : {small, large}) {
    for (const auto& kind : kinds) {
      const u64 ea = segment.ea + 0x7000;
      const u64 ptex = m.map(segment, {.ea = ea, .ra = kA});
      m.store32(kA, 0x44000022);
      m.gpr(4) = ea;
      ASSERT_EQ(m.run(kind.snippet, kBothOn | msr::FP).exit, Exit::kHypercall) << kind.snippet;
      EXPECT_EQ(m.hpt().get(ptex).r & (kReferenced | kChanged), kind.bits) << kind.snippet;
      EXPECT_EQ(m.hpt().get(ptex).r & ~(kReferenced | kChanged), Machine::entry(segment, {.ra = kA}).r);
      m.unmap(ptex);
    }
  }
}

TEST_F(PageTable, ChangeIsSetAfterManyLoads) {
  const u64 ptex = m.map(small, {.ea = 0x1000'0000, .ra = kA});
  m.gpr(4) = 0x1000'0000;
  for (unsigned i = 0; i < 10; i++) {
    ASSERT_TRUE(completed(m.run("do_ld", kDataOn)));
    EXPECT_EQ(m.hpt().get(ptex).r & (kReferenced | kChanged), kReferenced);
  }
  ASSERT_TRUE(completed(m.run("do_std", kDataOn)));
  EXPECT_EQ(m.hpt().get(ptex).r & (kReferenced | kChanged), kReferenced | kChanged);
}

TEST_F(PageTable, NoBitsForRefusedAccesses) {
  const u64 ptex = m.map(small, {.ea = 0x1000'0000, .ra = kA, .rights = 3});
  m.gpr(4) = 0x1000'0000;
  EXPECT_EQ(m.run("do_std", kDataOn).vector, Vector::kDataStorage);
  EXPECT_EQ(m.hpt().get(ptex).r & kChanged, 0u);
  // A conditional store without a reservation counts as a store or not at all, but must be refused.
  s.reserved = false;
  EXPECT_TRUE(interrupted(m, m.run("do_stwcx", kDataOn), Vector::kDataStorage,
                          {.srr0 = m.at("do_stwcx"), .dar = 0x1000'0000, .dsisr = 0x0A000000}));
  EXPECT_EQ(m.hpt().get(ptex).r & kChanged, 0u);
}

TEST_F(PageTable, ClearedBitsAreSetAgain) {
  const u64 ptex = m.map(small, {.ea = 0x1000'0000, .ra = kA});
  m.gpr(4) = 0x1000'0000;
  for (unsigned i = 0; i < 5; i++) {
    ASSERT_TRUE(completed(m.run("do_std", kDataOn)));
    EXPECT_EQ(m.hpt().get(ptex).r & (kReferenced | kChanged), kReferenced | kChanged);
    const cpu::Hpte old = m.hpt().get(ptex);
    m.hpt().and_r(ptex, ~(kReferenced | kChanged));
    m.domain().forget_translation(ptex, old);
    EXPECT_EQ(m.hpt().get(ptex).r & (kReferenced | kChanged), 0u);
    ASSERT_TRUE(completed(m.run("do_ld", kDataOn)));
    EXPECT_EQ(m.hpt().get(ptex).r & (kReferenced | kChanged), kReferenced);
  }
}

TEST_F(PageTable, BitsMakeTheTableDirty) {
  std::vector<u64> frames;
  const u64 ptex = m.map(small, {.ea = 0x1000'0000, .ra = kA});
  m.hpt().dirty().harvest(frames);
  EXPECT_EQ(std::count(frames.begin(), frames.end(), ptex / 256), 1);
  frames.clear();
  m.gpr(4) = 0x1000'0000;
  ASSERT_TRUE(completed(m.run("do_std", kDataOn)));
  m.hpt().dirty().harvest(frames);
  EXPECT_EQ(frames, std::vector<u64>{ptex / 256});
  frames.clear();
  ASSERT_TRUE(completed(m.run("do_std", kDataOn)));
  m.hpt().dirty().harvest(frames);
  EXPECT_TRUE(frames.empty());
}

// ---- storage keys

TEST_F(PageTable, StorageKeys) {
  m.store32(kA, 0x44000022);
  for (unsigned key = 0; key < 32; key++) {
    const u64 bits = u64{key >> 3} << 60 | u64{key & 7} << 9;
    const u64 ptex = m.map(small, {.ea = 0x1000'0000, .ra = kA, .rights = 2 | bits});
    for (unsigned denied = 0; denied < 4; denied++) {
      for (bool others : {false, true}) {
        // Every other key denied or free: only this page's pair counts.
        const unsigned shift = 62 - 2 * key;
        const u64 amr = (others ? ~(u64{3} << shift) : 0) | u64{denied} << shift;
        m.store32(m.at("spr_slot"), 0x7C9D03A6);  // mtspr 29,r4
        m.gpr(4) = amr;
        ASSERT_TRUE(completed(m.run("spr_slot", kDataOn)));
        SCOPED_TRACE(testing::Message() << "key " << key << " denied " << denied);
        m.gpr(4) = 0x1000'0000;
        for (u64 msr : {kDataOn, kProblem}) {
          const u64 code = msr & msr::IR ? Machine::kCode : 0;
          // The code's own pages have key 0.
          if ((msr & msr::IR) && (amr >> 62)) continue;
          const Stop load = m.run("do_ld", msr);
          if (denied & 1)
            EXPECT_TRUE(interrupted(m, load, Vector::kDataStorage,
                                    {.srr0 = m.at("do_ld") + code, .dar = 0x1000'0000, .dsisr = 0x00200000}));
          else
            EXPECT_TRUE(completed(load));
          m.gpr(5) = u64{0x44000022} << 32;
          const Stop store = m.run("do_std", msr);
          if (denied & 2)
            EXPECT_TRUE(
                interrupted(m, store, Vector::kDataStorage,
                            {.srr0 = m.at("do_std") + code, .dar = 0x1000'0000, .dsisr = 0x02200000}));
          else
            EXPECT_TRUE(completed(store));
        }
        // Instructions are fetched whatever the keys say.
        m.gpr(4) = 0x1000'0000;
        EXPECT_TRUE(completed(m.run("do_branch", kBothOn)));
      }
    }
    m.unmap(ptex);
  }
}

TEST_F(PageTable, KeysDoNotHideProtection) {
  s.amr = ~u64{0};
  m.thread().state_changed();
  m.map(small, {.ea = 0x1000'0000, .ra = kA, .rights = 3});
  m.gpr(4) = 0x1000'0000;
  const Stop stop = m.run("do_std", kDataOn);
  ASSERT_EQ(stop.vector, Vector::kDataStorage);
  EXPECT_TRUE(s.dsisr & 0x08000000);
}

}  // namespace
}  // namespace baton::bare_metal
