// SPDX-License-Identifier: Apache-2.0
// Storage control attributes (W, I, M, G), what alignment interrupts tell, breakpoints, and keys that change
// while translations are in use (POWER6-ISA 4.7, 4.9, 7.5, 11).
#include "tests/cpu/bare_metal/machine.h"

namespace baton::bare_metal {
namespace {

constexpr u64 kReal = msr::SF | msr::ME | msr::FP | msr::VEC;
constexpr u64 kDataOn = kReal | msr::DR;
constexpr u64 kProblem = kDataOn | msr::IR | msr::PR | msr::EE;
constexpr u64 kA = 0x20'0000, kB = 0x28'0000;
constexpr u64 kEa = 0x1000'0000;
constexpr u64 kWriteThrough = 0x40, kInhibited = 0x20, kCoherent = 0x10, kGuarded = 0x08;

class Storage : public OneThread {
 protected:
  const Segment segment{.ea = kEa, .vsid = 0x57, .index = 1};
  void SetUp() override {
    m.slb(segment);
    m.map_code();
  }
  Stop at(const char* snippet, u64 ea, u64 msr = kDataOn) {
    m.gpr(4) = ea;
    m.gpr(6) = 0;
    return m.run(snippet, msr);
  }
};

// ---- W, I, M, G

TEST_F(Storage, CacheInhibitedAndWriteThrough) {
  for (u64 wimg : {kWriteThrough, kInhibited, kInhibited | kGuarded, kWriteThrough | kCoherent,
                   kInhibited | kWriteThrough}) {
    const u64 ptex = m.map(segment, {.ea = kEa, .ra = kA, .rights = 2 | wimg});
    SCOPED_TRACE(testing::Message() << std::hex << "WIMG " << wimg);
    m.store(kA + 0x40, 0x1122'3344'5566'7788);
    for (unsigned round = 0; round < 2; round++) {
      // Plain accesses work, aligned ones in any storage.
      ASSERT_TRUE(completed(at("do_ld", kEa + 0x40)));
      EXPECT_EQ(m.gpr(5), 0x1122'3344'5566'7788u);
      m.gpr(5) = 0x1122'3344'5566'7788;
      ASSERT_TRUE(completed(at("do_std", kEa + 0x40)));
      for (const char* touch : {"do_dcbst", "do_dcbf", "do_icbi", "do_dcbt", "do_lbz", "do_lmw", "do_lvx"})
        EXPECT_TRUE(completed(at(touch, kEa + 0x40)));
      // Reservations and quadwords do not.
      for (const char* load : {"do_lwarx", "do_ldarx", "do_lq"})
        EXPECT_TRUE(interrupted(m, at(load, kEa + 0x40), Vector::kDataStorage,
                                {.srr0 = m.at(load), .dar = kEa + 0x40, .dsisr = 0x04000000}))
            << load;
      for (const char* store : {"do_stwcx", "do_stdcx", "do_stq"})
        EXPECT_TRUE(interrupted(m, at(store, kEa + 0x40), Vector::kDataStorage,
                                {.srr0 = m.at(store), .dar = kEa + 0x40, .dsisr = 0x06000000}))
            << store;
      EXPECT_TRUE(interrupted(m, at("do_dcbz", kEa + 0x44), Vector::kAlignment,
                              {.srr0 = m.at("do_dcbz"), .dar = kEa + 0x44}));
      EXPECT_EQ(m.load(kA + 0x40), 0x1122'3344'5566'7788u);
      // Unaligned: only cache-inhibited storage refuses.
      for (const char* access :
           {"do_lhz", "do_lwz", "do_ld", "do_lwbrx", "do_lfd", "do_sth", "do_stw", "do_std", "do_stfd"}) {
        m.gpr(5) = 0x99;
        const Stop stop = at(access, kEa + 0x81);
        if (wimg & kInhibited)
          EXPECT_TRUE(interrupted(m, stop, Vector::kAlignment, {.srr0 = m.at(access), .dar = kEa + 0x81}))
              << access;
        else
          EXPECT_TRUE(completed(stop)) << access;
      }
    }
    m.unmap(ptex);
  }
}

TEST_F(Storage, UnalignedAcrossPagesOfWhichOneIsInhibited) {
  for (bool first : {false, true}) {
    m.map(segment, {.ea = kEa, .ra = kA, .rights = first ? 2 | kInhibited : 2});
    m.map(segment, {.ea = kEa + 0x1000, .ra = kB, .rights = first ? 2 : 2 | kInhibited});
    m.domain().forget_all_translations();
    // Parts that happen to be aligned are parts all the same.
    for (u64 back : {1, 2, 4, 6}) {
      const u64 ea = kEa + 0x1000 - back;
      m.store(kA + 0xFF8, 7);
      m.store(kB, 8);
      EXPECT_TRUE(interrupted(m, at("do_ld", ea), Vector::kAlignment, {.srr0 = m.at("do_ld"), .dar = ea}));
      m.gpr(5) = ~u64{0};
      EXPECT_TRUE(interrupted(m, at("do_std", ea), Vector::kAlignment, {.srr0 = m.at("do_std"), .dar = ea}));
      EXPECT_EQ(m.load(kA + 0xFF8), 7u);
      EXPECT_EQ(m.load(kB), 8u);
    }
  }
}

TEST_F(Storage, InhibitedPagesAreMarkedAndTakenAwayLikeOthers) {
  const u64 ptex = m.map(segment, {.ea = kEa, .ra = kA, .rights = 2 | kInhibited});
  ASSERT_TRUE(completed(at("do_ld", kEa)));
  EXPECT_EQ(m.hpt().get(ptex).r & 0x180, 0x100u);
  ASSERT_TRUE(completed(at("do_std", kEa)));
  EXPECT_EQ(m.hpt().get(ptex).r & 0x180, 0x180u);
  m.unmap(ptex);
  EXPECT_TRUE(
      interrupted(m, at("do_ld", kEa), Vector::kDataStorage, {.srr0 = m.at("do_ld"), .dsisr = 0x40000000}));
  // The page table comes first: no rights, no attributes.
  m.map(segment, {.ea = kEa, .ra = kA, .rights = 3 | kInhibited});
  EXPECT_TRUE(interrupted(m, at("do_stwcx", kEa), Vector::kDataStorage,
                          {.srr0 = m.at("do_stwcx"), .dsisr = 0x0A000000}));
}

TEST_F(Storage, InhibitedCodeRunsUnlessGuarded) {
  m.store32(kA, 0x44000022);
  m.map(segment, {.ea = kEa, .ra = kA, .rights = 2 | kInhibited});
  EXPECT_TRUE(completed(at("do_branch", kEa, kDataOn | msr::IR)));
  m.map(segment, {.ea = kEa, .ra = kA, .rights = 2 | kInhibited | kGuarded});
  m.domain().forget_all_translations();
  EXPECT_TRUE(interrupted(m, at("do_branch", kEa, kDataOn | msr::IR), Vector::kInstructionStorage,
                          {.srr0 = kEa, .cause = 0x10000000}));
}

// ---- alignment

TEST_F(Storage, AlignmentTellsTheInstruction) {
  // Instructions of each form at an address that they refuse, and by how much it is off.
  const std::pair<u32, u64> cases[] = {{0x7CA02028, 2},   // lwarx 5,0,4
                                       {0x7CA020A8, 4},   // ldarx 5,0,4
                                       {0x7CA0212D, 1},   // stwcx. 5,0,4
                                       {0x7CA021AD, 4},   // stdcx. 5,0,4
                                       {0xE0C40000, 8},   // lq 6,0(4)
                                       {0xF8C40002, 8}};  // stq 6,0(4)
  for (const auto& [word, off] : cases) {
    for (u64 msr : {kReal, kReal | msr::SE}) {
      m.assemble({word});
      m.gpr(4) = kA + off;
      s.dsisr = 0xFFFFFFFF;
      m.go(Machine::kScratch, msr);
      EXPECT_TRUE(interrupted(m, m.run(), Vector::kAlignment, {.srr0 = Machine::kScratch, .dar = kA + off}));
      // Bits 12:13 from DS forms, 15:16 from X forms, 17 and 18:21 from the opcode, 22:31 the registers.
      const u32 opcode = word >> 26, xo = word >> 1 & 0x3FF;
      const bool x_form = opcode == 31, ds_form = opcode == 62;
      const u32 expected = (ds_form ? (word & 3) << 18 : 0) | (x_form ? (xo & 3) << 15 : 0) |
                           (x_form ? xo >> 5 & 1 : opcode & 1) << 14 |
                           (x_form ? xo >> 6 & 15 : opcode >> 1 & 15) << 10 | (word >> 16 & 0x3FF);
      EXPECT_EQ(s.dsisr, expected) << std::hex << word;
    }
  }
}

// ---- breakpoints

class Breakpoint : public Storage {
 protected:
  static constexpr u64 kWatched = kEa + 0x1FF8;  // The last doubleword of its page.
  static constexpr u64 kLoad = 1, kStore = 2, kTranslated = 4;
  static constexpr u64 kSupervisorState = 2;
  void SetUp() override {
    Storage::SetUp();
    for (u64 i = 0; i < 4; i++) m.map(segment, {.ea = kEa + i * 4096, .ra = kA + i * 0x3000});
  }
  u64 real(u64 ea) { return kA + (ea - kEa) / 4096 * 0x3000 + (ea & 0xFFF); }
  void watch(u64 ea, u64 kind, u64 who = kSupervisorState) {
    s.dabr = ea | kind;
    s.dabrx = who;
    m.thread().flush_translations();
  }
  /// True if the access hits; then nothing may have happened.
  bool hit(const char* snippet, u64 ea, bool store, u64 msr = kDataOn) {
    const u64 r5 = m.gpr(5);
    const Stop stop = at(snippet, ea, msr);
    if (stop.vector != Vector::kDataStorage) {
      EXPECT_TRUE(completed(stop)) << snippet;
      return false;
    }
    EXPECT_EQ(s.dsisr, store ? 0x02400000u : 0x00400000u);
    EXPECT_EQ(s.srr0, m.at(snippet) + (msr & msr::IR ? Machine::kCode : 0));
    EXPECT_EQ(m.gpr(5), r5);
    return true;
  }
};

TEST_F(Breakpoint, EveryCombinationOfBits) {
  // BT, DW, DR; BTI and the states; accesses in real and in translated mode, of both kinds.
  const u64 virtual_ea = kEa + 0x1FF8;
  for (u64 kind = 0; kind < 8; kind++) {
    for (u64 who = 0; who < 16; who++) {
      if (who & 4) continue;  // The hypervisor's.
      for (bool translated : {false, true}) {
        for (bool problem : {false, true}) {
          if (problem && !translated) continue;
          const u64 ea = translated ? virtual_ea : real(virtual_ea);
          watch(ea, kind, who);
          const u64 msr = problem ? kProblem : translated ? kDataOn : kReal;
          const bool state = who & (problem ? 1 : 2);  // DABRX: problem, supervisor, BTI 8.
          const bool translation = who & 8 || ((kind & 4) != 0) == translated;
          SCOPED_TRACE(testing::Message()
                       << "DABR " << kind << " DABRX " << who << " MSR " << std::hex << msr);
          EXPECT_EQ(hit("do_ld", ea, false, msr), state && translation && (kind & kLoad));
          EXPECT_EQ(hit("do_std", ea, true, msr), state && translation && (kind & kStore));
        }
      }
    }
  }
}

TEST_F(Breakpoint, BeforeTheAccessOfEveryInstruction) {
  const char* const loads[] = {"do_lbz",   "do_lhz",   "do_lha", "do_lwz", "do_lwa", "do_ld",
                               "do_lhbrx", "do_lwbrx", "do_ldx", "do_lfs", "do_lfd", "do_lwarx",
                               "do_ldarx", "do_lvx",   "do_lmw", "do_lswi"};
  const char* const stores[] = {"do_stb",    "do_sth",   "do_stw",  "do_std",  "do_sthbrx",
                                "do_stwbrx", "do_stfs",  "do_stfd", "do_stmw", "do_stswi",
                                "do_stwcx",  "do_stdcx", "do_dcbz"};
  constexpr u64 kDoubleword = kEa + 0x2100;
  for (u64 kind : {kLoad, kStore, kLoad | kStore}) {
    watch(kDoubleword, kTranslated | kind);
    for (const char* load : loads) EXPECT_EQ(hit(load, kDoubleword, false), (kind & kLoad) != 0) << load;
    for (const char* store : stores) {
      m.store(real(kDoubleword), 0xAAAA'BBBB'CCCC'DDDD);
      m.gpr(5) = 1;
      const bool stopped = hit(store, kDoubleword, true);
      EXPECT_EQ(stopped, (kind & kStore) != 0) << store;
      if (stopped) EXPECT_EQ(m.load(real(kDoubleword)), 0xAAAA'BBBB'CCCC'DDDDu) << store;
    }
    // Cache instructions other than dcbz, and hints, never.
    for (const char* touch : {"do_dcbst", "do_dcbf", "do_icbi", "do_dcbt", "do_dcbtst"})
      EXPECT_FALSE(hit(touch, kDoubleword, false)) << touch;
  }
}

TEST_F(Breakpoint, AnyByteOfAnAccess) {
  // The watched doubleword ends a page: accesses into it, out of it, and across it.
  watch(kWatched, kTranslated | kLoad | kStore);
  for (i64 from = -20; from < 20; from++) {
    const u64 ea = kWatched + static_cast<u64>(from);
    EXPECT_EQ(hit("do_ld", ea, false), from > -8 && from < 8) << from;
    EXPECT_EQ(hit("do_std", ea, true), from > -8 && from < 8) << from;
    EXPECT_EQ(hit("do_lwz", ea, false), from > -4 && from < 8) << from;
    EXPECT_EQ(hit("do_lbz", ea, false), from >= 0 && from < 8) << from;
    // 16 bytes in four registers; 15 bytes.
    EXPECT_EQ(hit("do_lmw", ea, false), from > -16 && from < 8) << from;
    EXPECT_EQ(hit("do_lswi", ea, false), from > -15 && from < 8) << from;
  }
  // The first of the next page.
  watch(kEa + 0x2000, kTranslated | kLoad | kStore);
  for (i64 from = -10; from < 10; from++) {
    const u64 ea = kEa + 0x2000 + static_cast<u64>(from);
    m.store(real(kEa + 0x1FF8), 0x1111);
    m.gpr(5) = ~u64{0};
    const bool stopped = hit("do_std", ea, true);
    EXPECT_EQ(stopped, from > -8 && from < 8) << from;
    if (stopped) EXPECT_EQ(m.load(real(kEa + 0x1FF8)), 0x1111u) << "no part of it is done";
    EXPECT_EQ(hit("do_ld", ea, false), from > -8 && from < 8) << from;
  }
  // A block.
  watch(kEa + 0x2140, kTranslated | kStore);
  for (u64 offset : {u64{0x100}, u64{0x140}, u64{0x17F}})
    EXPECT_TRUE(hit("do_dcbz", kEa + 0x2000 + offset, true));
  EXPECT_FALSE(hit("do_dcbz", kEa + 0x2080, true));
  EXPECT_FALSE(hit("do_dcbz", kEa + 0x2180, true));
}

TEST_F(Breakpoint, AfterTheRightsAndNotForNothing) {
  // A page that is not there, or may not be written, says so.
  watch(kEa + 0x9000, kTranslated | kLoad | kStore);
  EXPECT_TRUE(interrupted(m, at("do_ld", kEa + 0x9000), Vector::kDataStorage,
                          {.srr0 = m.at("do_ld"), .dsisr = 0x40000000}));
  m.map(segment, {.ea = kEa + 0x9000, .ra = kB, .rights = 3});
  EXPECT_TRUE(interrupted(m, at("do_std", kEa + 0x9000), Vector::kDataStorage,
                          {.srr0 = m.at("do_std"), .dsisr = 0x0A000000}));
  EXPECT_TRUE(hit("do_ld", kEa + 0x9000, false));
  // A reservation is not lost to it.
  watch(kEa + 0x100, kTranslated | kStore);
  m.gpr(4) = m.gpr(6) = kEa + 0x100;
  m.run("do_lwarx", kDataOn);
  EXPECT_TRUE(s.reserved);
  EXPECT_TRUE(hit("do_stwcx", kEa + 0x100, true));
  EXPECT_TRUE(s.reserved);
}

// ---- storage keys

class Keys : public Storage {
 protected:
  static u64 bits(unsigned key) { return u64{key >> 3} << 60 | u64{key & 7} << 9; }
  void amr(u64 value) {
    m.gpr(4) = value;
    m.assemble({0x7C9D03A6});  // mtspr 29,4
    m.go(Machine::kScratch, kReal);
    ASSERT_TRUE(completed(m.run()));
  }
  /// 0 both, 1 loads denied, 2 stores denied.
  unsigned denied(u64 ea, u64 msr = kDataOn) {
    unsigned result = 0;
    if (at("do_ld", ea, msr).vector == Vector::kDataStorage) {
      EXPECT_EQ(s.dsisr, 0x00200000u);
      result |= 1;
    }
    if (at("do_std", ea, msr).vector == Vector::kDataStorage) {
      EXPECT_EQ(s.dsisr, 0x02200000u);
      result |= 2;
    }
    return result;
  }
};

TEST_F(Keys, ChangesAreSeenAtOnce) {
  // Pages of many keys in use; the register goes through random values, also back to old ones.
  for (unsigned key = 0; key < 32; key++)
    m.map(segment, {.ea = kEa + key * 0x1000, .ra = kA + key * 0x1000, .rights = 2 | bits(key)});
  u64 value = 0, random = 1;
  for (unsigned round = 0; round < 300; round++) {
    random = random * 6364136223846793005 + 1442695040888963407;
    // One pair, a few, or all.
    const u64 mask = round % 3 == 0   ? u64{3} << (random >> 58 & ~u64{1})
                     : round % 3 == 1 ? random & random << 7
                                      : ~u64{0};
    value ^= random * 0x9E3779B97F4A7C15 & mask;
    amr(value);
    for (unsigned i = 0; i < 6; i++) {
      random = random * 6364136223846793005 + 1442695040888963407;
      const unsigned key = random >> 59;
      ASSERT_EQ(denied(kEa + key * 0x1000), value >> (62 - 2 * key) & 3)
          << "key " << key << " round " << round;
    }
  }
}

TEST_F(Keys, NeitherRealModeNorInstructions) {
  m.map(segment, {.ea = kEa, .ra = kA, .rights = 2 | bits(5)});
  m.store32(kA, 0x44000022);
  amr(u64{3} << 52);
  EXPECT_EQ(denied(kEa), 3u);
  EXPECT_TRUE(completed(at("do_branch", kEa, kDataOn | msr::IR)));
  m.gpr(5) = u64{0x44000022} << 32;
  EXPECT_EQ(denied(kA, kReal), 0u);
  EXPECT_TRUE(completed(at("do_branch", kEa, kDataOn | msr::IR)));
  // Every kind of access; cache instructions as loads, dcbz as a store.
  for (const char* load :
       {"do_lwarx", "do_lq", "do_lmw", "do_lvx", "do_lfd", "do_dcbst", "do_dcbf", "do_icbi"})
    EXPECT_TRUE(
        interrupted(m, at(load, kEa), Vector::kDataStorage, {.srr0 = m.at(load), .dsisr = 0x00200000}));
  for (const char* store : {"do_stwcx", "do_stq", "do_stmw", "do_stfd", "do_dcbz"})
    EXPECT_TRUE(
        interrupted(m, at(store, kEa), Vector::kDataStorage, {.srr0 = m.at(store), .dsisr = 0x02200000}));
  for (const char* hint : {"do_dcbt", "do_dcbtst"}) EXPECT_TRUE(completed(at(hint, kEa)));
}

TEST_F(Keys, BothStatesAndOtherThreads) {
  m.map(segment, {.ea = kEa, .ra = kA, .rights = 2 | bits(3)});
  amr(u64{2} << 56);
  EXPECT_EQ(denied(kEa), 2u);
  EXPECT_EQ(denied(kEa, kProblem), 2u);
  // Problem state has no access to the register: neither by this number nor by the one of later processors.
  for (u32 spr : {29u, 13u}) {
    m.assemble({0x7C8003A6 | spr << 16});
    m.go(Machine::kScratch + Machine::kCode, kProblem);
    EXPECT_TRUE(
        interrupted(m, m.run(), Vector::kProgram,
                    {.srr0 = Machine::kScratch + Machine::kCode, .cause = spr == 29 ? 0x40000u : 0x80000u}));
  }
  EXPECT_EQ(s.amr, u64{2} << 56);
  Machine two(2);
  for (unsigned i = 0; i < 2; i++) two.slb(segment, i);
  two.map(segment, {.ea = kEa, .ra = kA, .rights = 2 | bits(3)});
  two.state(0).amr = u64{3} << 56;
  two.gpr(4, 0) = two.gpr(4, 1) = kEa;
  EXPECT_EQ(two.run("do_ld", kDataOn, 0).vector, Vector::kDataStorage);
  EXPECT_TRUE(completed(two.run("do_ld", kDataOn, 1)));
}

}  // namespace
}  // namespace baton::bare_metal
