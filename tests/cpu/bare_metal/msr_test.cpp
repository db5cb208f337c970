// SPDX-License-Identifier: Apache-2.0
// What rfid, mtmsrd, mtmsr and interrupts make of the MSR.
#include <random>

#include "tests/cpu/bare_metal/machine.h"

namespace baton::bare_metal {
namespace {

constexpr u64 kBase = msr::SF | msr::ME;
/// Bits that the partition's software can set.
constexpr u64 kTaken =
    0x8000000002000000 | 0x8000 | 0x4000 | 0x2000 | 0x800 | 0x400 | 0x200 | 0x100 | 0x20 | 0x10 | 4 | 2;

u64 implied(u64 value) { return value & 0x4000 ? value | 0x8000 | 0x20 | 0x10 : value; }

class Msr : public OneThread {
 protected:
  void SetUp() override {
    m.map_code();
    // The same addresses in real and in translated mode, so that a change of IR goes on at the next word.
    const Segment same{.ea = 0, .vsid = 0x1D, .index = 9};
    m.slb(same);
    for (u64 ra = 0; ra < 0x10000; ra += 4096) m.map(same, {.ea = ra, .ra = ra, .slot = 2});
  }
  /// Values to try: each bit alone, all of them, pairs of those that matter, and noise. Trace bits are left
  /// out; they have tests of their own.
  std::vector<u64> values() const {
    std::vector<u64> v{0, ~u64{0}};
    for (unsigned bit = 0; bit < 64; bit++) v.push_back(u64{1} << bit);
    for (unsigned i = 0; i < 16; i++)
      v.push_back((i & 1 ? msr::PR : 0) | (i & 2 ? msr::EE : 0) | (i & 4 ? msr::IR : 0) |
                  (i & 8 ? msr::DR : 0) | msr::SF);
    std::mt19937_64 random(4);
    for (unsigned i = 0; i < 200; i++) v.push_back(random());
    for (u64& value : v) value &= ~(msr::SE | msr::BE);
    return v;
  }
};

TEST_F(Msr, Rfid) {
  for (u64 value : values()) {
    value &= ~msr::LE;  // little_endian_test.cpp
    for (u64 old : {kBase, kBase | msr::DR | msr::FP | msr::RI}) {
      s.srr0 = m.at("done") | 3;
      s.srr1 = value;
      const Stop stop = m.run("do_rfid", old);
      ASSERT_TRUE(completed(stop));
      EXPECT_EQ(stop.at, m.at("done") + 4);
      EXPECT_EQ(s.msr, implied((value & kTaken) | (old & ~kTaken))) << std::hex << value;
      EXPECT_EQ(s.ea_mask, s.msr & msr::SF ? ~u64{0} : 0xFFFFFFFF);
    }
  }
}

TEST_F(Msr, Mtmsrd) {
  for (u64 value : values()) {
    m.gpr(4) = value;
    m.gpr(5) = 0x55;
    const Stop stop = m.run("do_mtmsrd", kBase | msr::RI);
    const u64 expected = implied((value & kTaken) | msr::ME);
    EXPECT_EQ(stop.exit, Exit::kHypercall);
    if (expected & msr::PR) {
      // The mfmsr behind it is not for problem state.
      EXPECT_EQ(stop.vector, Vector::kProgram);
      EXPECT_EQ(s.srr1, (expected & ~u64{0x783F0000}) | 0x00040000) << std::hex << value;
    } else {
      ASSERT_TRUE(completed(stop));
      EXPECT_EQ(s.msr, expected) << std::hex << value;
      EXPECT_EQ(m.gpr(5), expected);
    }
  }
}

TEST_F(Msr, MtmsrdL1AndMtmsrL1) {
  for (const char* snippet : {"do_mtmsrd_1", "do_mtmsr_1"}) {
    for (u64 value : values()) {
      for (u64 old : {kBase, kBase | msr::FP | msr::EE | msr::RI | msr::DR | msr::IR}) {
        m.gpr(4) = value;
        ASSERT_TRUE(completed(m.run(snippet, old)));
        EXPECT_EQ(s.msr, (old & ~u64{0x8002}) | (value & 0x8002));
        EXPECT_EQ(m.gpr(5), s.msr);
      }
    }
  }
}

TEST_F(Msr, MtmsrKeepsTheUpperHalf) {
  for (u64 value : values()) {
    for (u64 old : {kBase, kBase & ~msr::SF}) {
      m.gpr(4) = value;
      const Stop stop = m.run("do_mtmsr", old);
      const u64 taken = kTaken & 0xFFFFFFFF;
      const u64 expected = implied((value & taken) | (old & ~taken));
      if (expected & msr::PR) {
        EXPECT_EQ(stop.vector, Vector::kProgram);
        EXPECT_EQ(s.srr1, (expected & ~u64{0x783F0000}) | 0x00040000) << std::hex << value;
      } else {
        ASSERT_TRUE(completed(stop));
        EXPECT_EQ(s.msr, expected) << std::hex << value;
      }
    }
  }
}

TEST_F(Msr, InterruptsClearItAndSrr1KeepsIt) {
  std::mt19937_64 random(5);
  for (unsigned i = 0; i < 200; i++) {
    const u64 old = implied((random() & kTaken & ~(msr::SE | msr::BE)) | msr::ME);
    m.go(m.at("do_sc"), old);
    const Stop stop = m.run();
    // The harness's own `msr` in SRR1: no cause bits, and bits 33-36, 42-47 zero.
    EXPECT_TRUE(interrupted(m, stop, Vector::kSystemCall, {.srr0 = m.at("do_sc") + 4}));
  }
}

TEST_F(Msr, RfidChangesTranslationAtOnce) {
  // From real mode into problem state at a translated address, and back by sc.
  for (unsigned i = 0; i < 100; i++) {
    s.srr0 = Machine::kCode + m.at("do_sc");
    s.srr1 = kBase | msr::PR;
    const Stop stop = m.run("do_rfid", kBase);
    EXPECT_TRUE(interrupted(
        m, stop, Vector::kSystemCall,
        {.srr0 = Machine::kCode + m.at("do_sc") + 4, .msr = kBase | msr::PR | msr::EE | msr::IR | msr::DR}));
  }
  // Into the first page, where the vectors are.
  for (u64 target : {u64{0x100}, u64{0x700}, u64{0xC00}, u64{0xF20}, u64{0x1000}, u64{0x2FFC}}) {
    s.srr0 = target;
    s.srr1 = kBase;
    const Stop stop = m.run("do_rfid", kBase);
    EXPECT_EQ(stop.exit, Exit::kHypercall);
    EXPECT_EQ(stop.at, target);
  }
  // To somewhere that is not mapped.
  s.srr0 = 0x4000'0000;
  s.srr1 = kBase | msr::IR;
  EXPECT_TRUE(interrupted(m, m.run("do_rfid", kBase), Vector::kInstructionSegment,
                          {.srr0 = 0x4000'0000, .msr = kBase | msr::IR}));
}

TEST_F(Msr, MtmsrdChangesTranslationForTheNextInstruction) {
  // IR on: the next word is fetched from the translated address, here a different frame.
  const Segment other{.ea = 0x0800'0000, .vsid = 0x77, .index = 10};
  Machine fresh;
  const u64 ra = Machine::kData;
  // Real page at ra: mtmsrd r4; then li r5,1; sc 1. Mapped page for the same address: li r5,2 there.
  fresh.slb({.ea = ra, .vsid = 0x77, .index = 10});
  const Segment low{.ea = 0, .vsid = 0x77, .index = 10};
  fresh.map(low, {.ea = ra, .ra = ra + 4096});
  fresh.store32(ra, 0x7C800164);
  fresh.store32(ra + 4, 0x38A00001);
  fresh.store32(ra + 8, 0x44000022);
  fresh.store32(ra + 4096, 0x60000000);
  fresh.store32(ra + 4096 + 4, 0x38A00002);
  fresh.store32(ra + 4096 + 8, 0x44000022);
  fresh.gpr(4) = kBase | msr::IR;
  fresh.go(ra, kBase);
  EXPECT_TRUE(completed(fresh.run()));
  EXPECT_EQ(fresh.gpr(5), 2u);
  (void)other;
}

}  // namespace
}  // namespace baton::bare_metal
