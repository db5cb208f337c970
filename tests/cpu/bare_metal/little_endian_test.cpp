// SPDX-License-Identifier: Apache-2.0
// True little-endian mode: MSR[LE] reverses the bytes of data and instructions, and nothing else
// (POWER6-ISA 2.1, 4.7).
#include <cstring>
#include <functional>

#include "tests/cpu/bare_metal/machine.h"

namespace baton::bare_metal {
namespace {

constexpr u64 kReal = msr::SF | msr::ME | msr::LE | msr::FP | msr::VEC;
constexpr u64 kTranslated = kReal | msr::DR;
constexpr u64 kA = 0x20'0000;
constexpr u64 kEa = 0x1000'0000;

constexpr u32 d_form(u32 opcode, u32 rt, u32 ra, u32 d = 0) { return opcode << 26 | rt << 21 | ra << 16 | d; }
constexpr u32 x_form(u32 xo, u32 rt, u32 ra, u32 rb) {
  return 31u << 26 | rt << 21 | ra << 16 | rb << 11 | xo << 1;
}
constexpr u32 kNop = 0x60000000;

class LittleEndian : public OneThread {
 protected:
  void SetUp() override {
    m.map_code();
    const Segment segment{.ea = kEa, .vsid = 0x1E, .index = 1};
    m.slb(segment);
    // Two pages that are neighbours in effective addresses only.
    m.map(segment, {.ea = kEa, .ra = kA});
    m.map(segment, {.ea = kEa + 4096, .ra = kA + 0x8000});
    for (u64 i = 0; i < 4096; i++) {
      put(kEa + i, static_cast<u8>(i * 7 + 1));
      put(kEa + 4096 + i, static_cast<u8>(i * 11 + 5));
    }
  }
  static u64 real(u64 ea) { return ea < kEa + 4096 ? ea - kEa + kA : ea - kEa - 4096 + kA + 0x8000; }
  void put(u64 ea, u8 byte) { ASSERT_TRUE(m.memory().store<u8>(real(ea), byte)); }
  u8 byte(u64 ea) { return m.memory().load<u8>(real(ea)).value(); }
  /// The number in `size` bytes at `ea`, least significant byte first.
  u64 number(u64 ea, unsigned size) {
    u64 value = 0;
    for (unsigned i = 0; i < size; i++) value |= u64{byte(ea + i)} << 8 * i;
    return value;
  }
  Stop run(const std::vector<u32>& words, u64 msr) {
    m.assemble(words, true);
    m.go(Machine::kScratch + (msr & msr::IR ? Machine::kCode : 0), msr);
    return m.run();
  }
  /// Addresses: each alignment, and each way across a page.
  static std::vector<u64> addresses(unsigned size) {
    std::vector<u64> all;
    for (u64 i = 0; i < 16; i++) all.push_back(kEa + 0x100 + i);
    for (u64 i = 1; i < size; i++) all.push_back(kEa + 4096 - i);
    return all;
  }
};

u64 reversed(u64 value, unsigned size) { return byteswap(value) >> (64 - 8 * size); }
u64 extended(u64 value, unsigned size) { return static_cast<u64>(sign_extend(value, 8 * size)); }

TEST_F(LittleEndian, Loads) {
  struct {
    u32 word;
    unsigned size;
    std::function<u64(u64)> result;
  } const loads[] = {
      {d_form(34, 5, 4), 1, [](u64 v) { return v; }},                   // lbz
      {d_form(40, 5, 4), 2, [](u64 v) { return v; }},                   // lhz
      {d_form(42, 5, 4), 2, [](u64 v) { return extended(v, 2); }},      // lha
      {d_form(32, 5, 4), 4, [](u64 v) { return v; }},                   // lwz
      {d_form(58, 5, 4, 2), 4, [](u64 v) { return extended(v, 4); }},   // lwa
      {d_form(58, 5, 4), 8, [](u64 v) { return v; }},                   // ld
      {x_form(790, 5, 0, 4), 2, [](u64 v) { return reversed(v, 2); }},  // lhbrx
      {x_form(534, 5, 0, 4), 4, [](u64 v) { return reversed(v, 4); }},  // lwbrx
      {x_form(21, 5, 0, 4), 8, [](u64 v) { return v; }},                // ldx
      {x_form(341, 5, 0, 4), 4, [](u64 v) { return extended(v, 4); }},  // lwax
  };
  for (const auto& load : loads) {
    for (u64 at : addresses(load.size)) {
      m.gpr(4) = at;
      ASSERT_TRUE(completed(run({load.word}, kTranslated)));
      EXPECT_EQ(m.gpr(5), load.result(number(at, load.size))) << std::hex << load.word << " " << at;
    }
  }
  // With update, in real mode and from translated code.
  m.gpr(4) = kA + 0x200;
  ASSERT_TRUE(completed(run({d_form(33, 5, 4, 8)}, kReal)));  // lwzu
  EXPECT_EQ(m.gpr(5), number(kEa + 0x208, 4));
  EXPECT_EQ(m.gpr(4), kA + 0x208);
  m.gpr(4) = kEa + 0x200;
  ASSERT_TRUE(completed(run({d_form(58, 5, 4, 9)}, kTranslated | msr::IR | msr::PR | msr::EE)));  // ldu
  EXPECT_EQ(m.gpr(5), number(kEa + 0x208, 8));
}

TEST_F(LittleEndian, Stores) {
  struct {
    u32 word;
    unsigned size;
    bool reverse;
  } const stores[] = {
      {d_form(38, 5, 4), 1, false},    {d_form(44, 5, 4), 2, false},     {d_form(36, 5, 4), 4, false},
      {d_form(62, 5, 4), 8, false},    {x_form(149, 5, 0, 4), 8, false},  // stb sth stw std stdx
      {x_form(918, 5, 0, 4), 2, true}, {x_form(662, 5, 0, 4), 4, true},   // sthbrx stwbrx
  };
  u64 value = 0x0123456789ABCDEF;
  for (const auto& store : stores) {
    for (u64 at : addresses(store.size)) {
      value = value * 0x9E3779B97F4A7C15 + 1;
      const u64 mask = store.size == 8 ? ~u64{0} : (u64{1} << 8 * store.size) - 1;
      const u8 before = byte(at - 1), after = byte(at + store.size);
      m.gpr(4) = at;
      m.gpr(5) = value;
      ASSERT_TRUE(completed(run({store.word}, kTranslated)));
      EXPECT_EQ(number(at, store.size), store.reverse ? reversed(value & mask, store.size) : value & mask);
      EXPECT_EQ(byte(at - 1), before);
      EXPECT_EQ(byte(at + store.size), after);
    }
  }
}

TEST_F(LittleEndian, FloatingPoint) {
  for (u64 at : addresses(8)) {
    m.gpr(4) = at;
    ASSERT_TRUE(completed(run({d_form(50, 1, 4)}, kTranslated)));  // lfd
    EXPECT_EQ(s.fpr[1], number(at, 8));
    s.fpr[1] = 0x4009'21FB'5444'2D18 + at;
    ASSERT_TRUE(completed(run({d_form(54, 1, 4)}, kTranslated)));  // stfd
    EXPECT_EQ(number(at, 8), 0x4009'21FB'5444'2D18 + at);
    s.fpr[1] = 0x4000'0000'2000'0000;
    ASSERT_TRUE(completed(run({d_form(52, 1, 4)}, kTranslated)));  // stfs
    EXPECT_EQ(number(at, 4), 0x4000'0001u);
    ASSERT_TRUE(completed(run({d_form(48, 2, 4)}, kTranslated)));  // lfs
    EXPECT_EQ(s.fpr[2], 0x4000'0000'2000'0000);
    s.fpr[1] = 0x1111'2222'8765'4321;
    ASSERT_TRUE(completed(run({x_form(983, 1, 0, 4)}, kTranslated)));  // stfiwx
    EXPECT_EQ(number(at, 4), 0x8765'4321u);
    ASSERT_TRUE(completed(run({x_form(855, 3, 0, 4)}, kTranslated)));  // lfiwax
    EXPECT_EQ(s.fpr[3], 0xFFFF'FFFF'8765'4321);
  }
}

TEST_F(LittleEndian, FloatingPointPairsAreAQuadword) {
  m.gpr(4) = kEa + 0x40;
  m.gpr(6) = 0;
  for (u32 load : {d_form(57, 6, 4), x_form(791, 6, 0, 4)}) {
    s.fpr[6] = s.fpr[7] = 0;
    ASSERT_TRUE(completed(run({load}, kTranslated)));
    EXPECT_EQ(s.fpr[6], number(kEa + 0x48, 8));
    EXPECT_EQ(s.fpr[7], number(kEa + 0x40, 8));
  }
  for (u32 store : {d_form(61, 6, 4), x_form(919, 6, 0, 4)}) {
    s.fpr[6]++;
    s.fpr[7]--;
    ASSERT_TRUE(completed(run({store}, kTranslated)));
    EXPECT_EQ(s.fpr[6], number(kEa + 0x48, 8));
    EXPECT_EQ(s.fpr[7], number(kEa + 0x40, 8));
  }
}

TEST_F(LittleEndian, Vectors) {
  const auto in_storage = [&](u64 at) { return u128{number(at + 8, 8)} << 64 | number(at, 8); };
  for (u64 offset = 0; offset < 16; offset++) {
    const u64 at = kEa + 0x80;
    m.gpr(4) = at + offset;
    for (u32 xo : {103, 359}) {  // lvx lvxl
      ASSERT_TRUE(completed(run({x_form(xo, 1, 0, 4)}, kTranslated)));
      EXPECT_TRUE(s.vr[1] == in_storage(at));
    }
    for (u32 xo : {231, 487}) {  // stvx stvxl
      s.vr[1] = s.vr[1] * 3 + 1;
      ASSERT_TRUE(completed(run({x_form(xo, 1, 0, 4)}, kTranslated)));
      EXPECT_TRUE(s.vr[1] == in_storage(at));
    }
    // An element has the place that a whole load would give it.
    struct {
      u32 load, store;
      unsigned size;
    } const elements[] = {{7, 135, 1}, {39, 167, 2}, {71, 199, 4}};
    for (const auto& element : elements) {
      const u64 from = offset & ~u64{element.size - 1};
      const u128 mask = ((u128{1} << 8 * element.size) - 1) << 8 * from;
      s.vr[2] = 0;
      ASSERT_TRUE(completed(run({x_form(element.load, 2, 0, 4)}, kTranslated)));
      EXPECT_TRUE((s.vr[2] & mask) == (in_storage(at) & mask)) << element.load << " " << offset;
      s.vr[2] = ~s.vr[2];
      const u128 expected = (in_storage(at) & ~mask) | (s.vr[2] & mask);
      ASSERT_TRUE(completed(run({x_form(element.store, 2, 0, 4)}, kTranslated)));
      EXPECT_TRUE(in_storage(at) == expected) << element.store << " " << offset;
    }
    // What these make has nothing to do with storage.
    ASSERT_TRUE(completed(run({x_form(6, 3, 0, 4)}, kTranslated)));  // lvsl
    EXPECT_EQ(static_cast<u8>(s.vr[3] >> 120), offset);
    ASSERT_TRUE(completed(run({x_form(38, 3, 0, 4)}, kTranslated)));  // lvsr
    EXPECT_EQ(static_cast<u8>(s.vr[3] >> 120), 16 - offset);
  }
}

TEST_F(LittleEndian, Reservations) {
  for (bool wide : {false, true}) {
    const unsigned size = wide ? 8 : 4;
    const u32 load = x_form(wide ? 84 : 20, 5, 0, 4), store = x_form(wide ? 214 : 150, 6, 0, 4) | 1;
    const u64 mask = wide ? ~u64{0} : 0xFFFFFFFF;
    m.gpr(4) = kEa + 0x40;
    m.gpr(6) = 0x0123'4567'89AB'CDEF;
    const u64 old = number(kEa + 0x40, size);
    ASSERT_TRUE(completed(run({load, store}, kTranslated)));
    EXPECT_EQ(m.gpr(5), old);
    EXPECT_EQ(s.cr[0], 2);
    EXPECT_EQ(number(kEa + 0x40, size), m.gpr(6) & mask);
    m.gpr(6)++;
    ASSERT_TRUE(completed(run({store}, kTranslated)));
    EXPECT_EQ(s.cr[0], 0);
    EXPECT_EQ(number(kEa + 0x40, size), (m.gpr(6) - 1) & mask);
    // Between the two, somebody else.
    ASSERT_TRUE(completed(run({load, x_form(75, 7, 5, 5), d_form(38, 7, 4), store}, kTranslated)));
    EXPECT_EQ(s.cr[0], byte(kEa + 0x40) == static_cast<u8>(m.gpr(5)) ? 2 : 0);
  }
}

TEST_F(LittleEndian, NeitherMultipleNorStringNorQuadword) {
  s.xer_count = 9;
  struct {
    u32 word;
    bool privileged;
  } const refused[] = {
      {d_form(46, 28, 4), false},      {d_form(47, 28, 4), false},      // lmw stmw
      {x_form(597, 28, 4, 15), false}, {x_form(533, 28, 4, 6), false},  // lswi lswx
      {x_form(725, 28, 4, 15), false}, {x_form(661, 28, 4, 6), false},  // stswi stswx
      {d_form(56, 8, 4), true},        {d_form(62, 8, 4, 2), true},     // lq stq
  };
  m.gpr(4) = kEa + 0x40;
  m.gpr(6) = 0;
  m.gpr(28) = m.gpr(8) = 0x77;
  const u64 storage = number(kEa + 0x40, 8);
  for (const auto& [word, privileged] : refused) {
    const u32 registers = word >> 16 & 0x3FF;
    EXPECT_TRUE(interrupted(m, run({word}, kTranslated), Vector::kAlignment,
                            {.srr0 = Machine::kScratch, .dar = kEa + 0x40}))
        << std::hex << word;
    EXPECT_EQ(s.dsisr & 0x3FF, registers);
    EXPECT_EQ(m.gpr(28), 0x77u);
    EXPECT_EQ(m.gpr(8), 0x77u);
    EXPECT_EQ(number(kEa + 0x40, 8), storage);
    if (privileged)
      EXPECT_TRUE(interrupted(m, run({word}, kTranslated | msr::IR | msr::PR | msr::EE), Vector::kProgram,
                              {.srr0 = Machine::kScratch + Machine::kCode, .cause = 0x40000}));
  }
}

TEST_F(LittleEndian, BlocksHaveNoOrder) {
  m.gpr(4) = kEa + 0x1AB;
  ASSERT_TRUE(completed(run({x_form(1014, 0, 0, 4)}, kTranslated)));  // dcbz
  for (u64 i = 0; i < 4096; i++) ASSERT_EQ(byte(kEa + i), i / 128 == 3 ? 0 : static_cast<u8>(i * 7 + 1)) << i;
}

TEST_F(LittleEndian, FaultsAreTheSame) {
  m.gpr(4) = kEa + 0x2000 - 4;
  EXPECT_TRUE(interrupted(m, run({d_form(58, 5, 4)}, kTranslated), Vector::kDataStorage,
                          {.srr0 = Machine::kScratch, .dar = kEa + 0x2000, .dsisr = 0x40000000}));
  m.gpr(5) = 0x1111;
  const u64 storage = number(kEa + 0x2000 - 4, 4);
  EXPECT_TRUE(interrupted(m, run({d_form(62, 5, 4)}, kTranslated), Vector::kDataStorage,
                          {.srr0 = Machine::kScratch, .dar = kEa + 0x2000, .dsisr = 0x42000000}));
  EXPECT_EQ(number(kEa + 0x2000 - 4, 4), storage);
}

TEST_F(LittleEndian, RfidEntersItAndInterruptsLeaveIt) {
  m.assemble({d_form(32, 5, 4), 0x44000002}, true);  // lwz, sc
  m.gpr(4) = kEa + 0x10;
  s.srr0 = Machine::kScratch;
  s.srr1 = kTranslated;
  const Stop stop = m.run("do_rfid", msr::SF | msr::ME);
  EXPECT_TRUE(interrupted(m, stop, Vector::kSystemCall, {.srr0 = Machine::kScratch + 8, .msr = kTranslated}));
  EXPECT_EQ(m.gpr(5), number(kEa + 0x10, 4));
  EXPECT_EQ(s.srr1 & msr::LE, msr::LE);
  // And back.
  s.srr0 = m.at("do_lwz");
  s.srr1 = kTranslated & ~msr::LE;
  ASSERT_TRUE(completed(m.run("do_rfid", msr::SF | msr::ME)));
  EXPECT_EQ(m.gpr(5), reversed(number(kEa + 0x10, 4), 4));
}

TEST_F(LittleEndian, MtmsrdDoesNotChangeIt) {
  for (u32 word : {0x7C800164u, 0x7C810164u, 0x7C800124u}) {  // mtmsrd 4; mtmsrd 4,1; mtmsr 4
    m.gpr(4) = kReal;
    m.assemble({word, d_form(14, 5, 0, 77)});
    m.go(Machine::kScratch, msr::SF | msr::ME);
    ASSERT_TRUE(completed(m.run()));
    EXPECT_EQ(s.msr & msr::LE, 0u);
    m.gpr(4) = kReal & ~msr::LE;
    ASSERT_TRUE(completed(run({word, d_form(14, 5, 0, 78)}, kReal)));
    EXPECT_EQ(s.msr & msr::LE, msr::LE);
    EXPECT_EQ(m.gpr(5), 78u);
  }
}

TEST_F(LittleEndian, TheSameWordsAreOtherInstructions) {
  // addi 5,5,0x38 is 38A50038: backwards it is addi 0xA538 to r0 from nothing. Each order keeps its own
  // decoding.
  constexpr u64 at = Machine::kScratch;
  const auto go = [&](bool little) {
    m.go(at, little ? kReal : kReal & ~msr::LE);
    return m.run(0, 1);
  };
  for (u64 address : {at, at + 4}) m.store32(address, d_form(14, 5, 5, 0x38));
  for (unsigned round = 0; round < 3; round++) {
    m.gpr(5) = 1;
    go(false);
    EXPECT_EQ(m.gpr(5), 0x39u);
    m.gpr(0) = 1;
    go(true);
    EXPECT_EQ(m.gpr(0), 0xFFFF'FFFF'FFFF'A538u);
    EXPECT_EQ(m.gpr(5), 0x39u);
  }
  // A write is seen by both.
  m.store32(at, d_form(14, 5, 5, 0x3838));
  m.gpr(5) = 1;
  go(false);
  EXPECT_EQ(m.gpr(5), 0x3839u);
  m.gpr(24) = 0;
  go(true);
  EXPECT_EQ(m.gpr(1), 0xFFFF'FFFF'FFFF'A538u) << "addi 1,24";
}

TEST_F(LittleEndian, CodeThatChangesItself) {
  // Stores to the next instruction, in its own order, many times: through the cached decoding.
  const u32 li = d_form(14, 7, 0);
  for (u32 i = 0; i < 40; i++) {
    m.gpr(4) = Machine::kScratch + 8;
    m.gpr(5) = li | i;
    m.assemble({kNop, d_form(36, 5, 4), kNop}, true);
    m.go(Machine::kScratch, kReal);
    ASSERT_TRUE(completed(m.run()));
    ASSERT_EQ(m.gpr(7), i);
  }
}

TEST_F(LittleEndian, CodeAcrossPages) {
  // Falls through the end of a page, and branches over it and back.
  const Segment segment{.ea = 0x2000'0000, .vsid = 0x2E, .index = 2};
  m.slb(segment);
  m.map(segment, {.ea = 0x2000'0000, .ra = kA + 0x10000});
  m.map(segment, {.ea = 0x2000'1000, .ra = kA + 0x14000});
  const auto place = [&](u64 ra, u32 word) { m.store32(ra, byteswap(word)); };
  place(kA + 0x10FFC, d_form(14, 5, 5, 1));
  place(kA + 0x14000, d_form(14, 5, 5, 2));
  place(kA + 0x14004, 0x48000000 | ((0xFF8 - 0x1004) & 0x03FFFFFC));
  place(kA + 0x10FF8, 0x44000022);
  m.gpr(5) = 0;
  m.go(u64{0x2000'0FFC}, kTranslated | msr::IR);
  const Stop stop = m.run();
  EXPECT_EQ(stop.at, 0x2000'0FF8u);
  EXPECT_EQ(m.gpr(5), 3u);
  EXPECT_EQ(s.cfar, 0x2000'1004u);
}

TEST_F(LittleEndian, TracedAndCounted) {
  m.assemble({d_form(14, 5, 0, 1), 0x48000004, d_form(14, 5, 0, 2)}, true);
  m.go(Machine::kScratch, kReal | msr::SE);
  EXPECT_TRUE(interrupted(m, m.run(), Vector::kTrace, {.srr0 = Machine::kScratch + 4}));
  m.go(Machine::kScratch, kReal | msr::BE);
  EXPECT_TRUE(interrupted(m, m.run(), Vector::kTrace, {.srr0 = Machine::kScratch + 8}));
  m.go(Machine::kScratch, kReal);
  const u64 from = s.instructions;
  ASSERT_TRUE(completed(m.run()));
  EXPECT_EQ(s.instructions - from, 4u);
}

TEST_F(LittleEndian, BothOrdersShareTranslations) {
  // What one order has stored in a clean page marks it changed; taken away, it is gone for the other.
  const Segment segment{.ea = 0x3000'0000, .vsid = 0x3E, .index = 3};
  m.slb(segment);
  const u64 ptex = m.map(segment, {.ea = 0x3000'0000, .ra = kA + 0x20000});
  m.gpr(4) = 0x3000'0000;
  m.gpr(5) = 0x0102'0304;
  ASSERT_TRUE(completed(run({d_form(36, 5, 4)}, kTranslated)));
  EXPECT_EQ(m.hpt().get(ptex).r & 0x180, 0x180u);
  ASSERT_TRUE(completed(m.run("do_lwz", kTranslated & ~msr::LE)));
  EXPECT_EQ(m.gpr(5), 0x0403'0201u);
  m.unmap(ptex);
  EXPECT_TRUE(interrupted(m, run({d_form(32, 5, 4)}, kTranslated), Vector::kDataStorage,
                          {.srr0 = Machine::kScratch, .dsisr = 0x40000000}));
}

}  // namespace
}  // namespace baton::bare_metal
