// SPDX-License-Identifier: Apache-2.0
// Rules of the ISA worked out by hand (POWER6-ISA 4.1-4.10): what a reader would look up, and what QEMU
// cannot tell.
#include <gtest/gtest.h>

#include "tests/cpu/differential/native.h"

namespace baton::cpu {
namespace {

using test::Machine;

// ---- a very small assembler

constexpr u32 d_form(u32 primary, u32 rt, u32 ra, u32 imm) {
  return primary << 26 | rt << 21 | ra << 16 | (imm & 0xFFFF);
}
constexpr u32 x_form(u32 rt, u32 ra, u32 rb, u32 extended, u32 rc = 0) {
  return 31u << 26 | rt << 21 | ra << 16 | rb << 11 | extended << 1 | rc;
}
constexpr u32 kOe = 1 << 10;
constexpr u32 add(u32 rt, u32 ra, u32 rb) { return x_form(rt, ra, rb, 266); }
constexpr u32 m_form(u32 primary, u32 ra, u32 rs, u32 sh, u32 mb, u32 me) {
  return primary << 26 | rs << 21 | ra << 16 | sh << 11 | mb << 6 | me << 1;
}
constexpr u32 bc(u32 bo, u32 bi, u32 displacement, u32 aa = 0, u32 lk = 0) {
  return 16u << 26 | bo << 21 | bi << 16 | (displacement & 0xFFFC) | aa << 1 | lk;
}
constexpr u32 xl_form(u32 bo, u32 bi, u32 extended, u32 lk = 0) {
  return 19u << 26 | bo << 21 | bi << 16 | extended << 1 | lk;
}

constexpr u64 kMin64 = 0x8000000000000000, kMax64 = 0x7FFFFFFFFFFFFFFF;

struct Flags {
  int ca, ov, so, cr0;
  bool operator==(const Flags&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Flags& f) {
  return out << "CA " << f.ca << " OV " << f.ov << " SO " << f.so << " CR0 " << f.cr0;
}

class IsaRules : public testing::Test {
 protected:
  IsaRules() { m.layer = "rules"; }
  /// rt=3 <- ra=4, rb=5, with XER and CR0 cleared first.
  u64 run(u32 word, u64 ra, u64 rb, u64 xer = 0) {
    m.s.gpr[4] = ra;
    m.s.gpr[5] = rb;
    m.s.cr[0] = 0;
    sem::set_xer(m.s, xer);
    EXPECT_EQ(m.execute(word).flow, Flow::kNext);
    return m.s.gpr[3];
  }
  Flags flags() const { return {m.s.xer_ca, m.s.xer_ov, m.s.xer_so, m.s.cr[0]}; }

  Machine m;
};

// ---- add and subtract

TEST_F(IsaRules, AddRecordsOverflowAndSummary) {
  const u32 word = add(3, 4, 5) | kOe | 1;
  EXPECT_EQ(run(word, kMax64, 1), kMin64);
  EXPECT_EQ(flags(), (Flags{0, 1, 1, 9}));
  EXPECT_EQ(run(word, 1, 1, 0xC0000000), 2u) << "OV is cleared, SO stays";
  EXPECT_EQ(flags(), (Flags{0, 0, 1, 5}));
  EXPECT_EQ(run(word, kMin64, kMin64), 0u);
  EXPECT_EQ(flags(), (Flags{0, 1, 1, 3}));
  EXPECT_EQ(run(add(3, 4, 5) | 1, 0xFFFFFFFF, 1, 0x20000000), 0x100000000u);
  EXPECT_EQ(flags(), (Flags{1, 0, 0, 4})) << "add leaves CA alone";
}

TEST_F(IsaRules, CarryIsThatOfTheAdder) {
  EXPECT_EQ(run(x_form(3, 4, 5, 8), 5, 5), 0u);  // subfc
  EXPECT_EQ(flags().ca, 1) << "no borrow is a carry";
  EXPECT_EQ(run(x_form(3, 4, 5, 8), 6, 5), ~u64{0});
  EXPECT_EQ(flags().ca, 0);
  EXPECT_EQ(run(x_form(3, 4, 5, 138), ~u64{0}, 0, 0x20000000), 0u);  // adde: carry from the carry in
  EXPECT_EQ(flags().ca, 1);
  EXPECT_EQ(run(x_form(3, 4, 5, 138), ~u64{0}, ~u64{0}, 0x20000000), ~u64{0});  // both carries
  EXPECT_EQ(flags().ca, 1);
  EXPECT_EQ(run(x_form(3, 4, 0, 234), 0, 0), ~u64{0});  // addme: 0 + 0 - 1
  EXPECT_EQ(flags().ca, 0);
  EXPECT_EQ(run(x_form(3, 4, 0, 234), 0, 0, 0x20000000), 0u);
  EXPECT_EQ(flags().ca, 1);
  EXPECT_EQ(run(x_form(3, 4, 0, 200), 0, 0), ~u64{0});  // subfze: ~0 + 0
  EXPECT_EQ(flags().ca, 0);
  EXPECT_EQ(run(x_form(3, 4, 0, 232), ~u64{0}, 0), ~u64{0});  // subfme: 0 + 0 - 1
  EXPECT_EQ(flags().ca, 0);
  EXPECT_EQ(run(d_form(8, 3, 4, 0xFFFF), ~u64{0}, 0), 0u);  // subfic: -1 - -1
  EXPECT_EQ(flags().ca, 1);
  EXPECT_EQ(run(d_form(12, 3, 4, 0xFFFF), 1, 0), 0u);  // addic -1
  EXPECT_EQ(flags().ca, 1);
}

TEST_F(IsaRules, ThirtyTwoBitModeCountsCarriesAtBit32) {
  Machine narrow(false);
  narrow.s.gpr[4] = 0xFFFFFFFF;
  narrow.s.gpr[5] = 1;
  sem::set_xer(narrow.s, 0);
  narrow.execute(x_form(3, 4, 5, 10) | 1);  // addc.
  EXPECT_EQ(narrow.s.xer_ca, 1);
  EXPECT_EQ(narrow.s.cr[0], 2) << "the low word is zero";
  EXPECT_EQ(narrow.s.gpr[3], 0x100000000u) << "the register still gets 64 bits";
  narrow.s.gpr[4] = 0x7FFFFFFF;
  narrow.execute(add(3, 4, 5) | kOe | 1);
  EXPECT_EQ(narrow.s.xer_ov, 1);
  EXPECT_EQ(narrow.s.cr[0], 9);
  narrow.s.gpr[4] = 0x80000000;
  narrow.execute(x_form(3, 4, 0, 104) | kOe);  // nego
  EXPECT_EQ(narrow.s.xer_ov, 1);
  narrow.s.gpr[4] = kMin64;
  narrow.execute(x_form(3, 4, 0, 104) | kOe);
  EXPECT_EQ(narrow.s.xer_ov, 0);
}

TEST_F(IsaRules, NegOverflowsForOneValueOnly) {
  const u32 word = x_form(3, 4, 0, 104) | kOe;
  EXPECT_EQ(run(word, kMin64, 0), kMin64);
  EXPECT_EQ(flags(), (Flags{0, 1, 1, 0}));
  EXPECT_EQ(run(word, 0x80000000, 0), static_cast<u64>(-0x80000000ll));
  EXPECT_EQ(flags().ov, 0);
  EXPECT_EQ(run(word, 0, 0), 0u);
  EXPECT_EQ(flags().ov, 0);
}

TEST_F(IsaRules, RegisterZero) {
  m.s.gpr[0] = 77;
  EXPECT_EQ(run(d_form(14, 3, 0, 5), 0, 0), 5u) << "li";
  EXPECT_EQ(run(d_form(15, 3, 0, 0x8000), 0, 0), 0xFFFFFFFF80000000u) << "lis";
  EXPECT_EQ(run(d_form(12, 3, 0, 5), 0, 0), 82u) << "addic takes r0";
  EXPECT_EQ(run(d_form(7, 3, 0, 2), 0, 0), 154u) << "mulli takes r0";
}

// ---- multiply and divide

TEST_F(IsaRules, MultiplyOverflow) {
  EXPECT_EQ(run(x_form(3, 4, 5, 235) | kOe, 0x10000, 0x8000), 0x80000000u);  // mullwo
  EXPECT_EQ(flags().ov, 1);
  EXPECT_EQ(run(x_form(3, 4, 5, 235) | kOe, 0xFFFFFFFFFFFF0000, 0x8000), 0xFFFFFFFF80000000u);
  EXPECT_EQ(flags().ov, 0);
  EXPECT_EQ(run(x_form(3, 4, 5, 233) | kOe, kMin64, ~u64{0}), kMin64);  // mulldo
  EXPECT_EQ(flags().ov, 1);
  EXPECT_EQ(run(x_form(3, 4, 5, 73), ~u64{0}, 2), ~u64{0}) << "mulhd is signed";
  EXPECT_EQ(run(x_form(3, 4, 5, 9), ~u64{0}, 2), 1u) << "mulhdu is not";
  EXPECT_EQ(run(x_form(3, 4, 5, 75), 0x80000000, 0x80000000) & 0xFFFFFFFF, 0x40000000u);
  EXPECT_EQ(run(x_form(3, 4, 5, 235), 0xDEADBEEF00000003, 0xFFFFFFFE), static_cast<u64>(-6));
}

TEST_F(IsaRules, ImpossibleDivisionsSetOverflowAndInterruptNothing) {
  for (u32 extended : {489u, 457u, 491u, 459u}) {
    EXPECT_EQ(run(x_form(3, 4, 5, extended) | kOe, 9, 0), 0u);
    EXPECT_EQ(flags().ov, 1) << extended;
    EXPECT_EQ(flags().so, 1) << extended;
    EXPECT_EQ(run(x_form(3, 4, 5, extended) | kOe, 9, 2, 0xC0000000), 4u);
    EXPECT_EQ(flags().ov, 0) << extended;
    EXPECT_EQ(flags().so, 1) << extended;
  }
  EXPECT_EQ(run(x_form(3, 4, 5, 489) | kOe, kMin64, ~u64{0}), 0u);
  EXPECT_EQ(flags().ov, 1);
  EXPECT_EQ(run(x_form(3, 4, 5, 491) | kOe, 0x80000000, 0xFFFFFFFF), 0u);
  EXPECT_EQ(flags().ov, 1);
  EXPECT_EQ(run(x_form(3, 4, 5, 457) | kOe, kMin64, ~u64{0}), 0u);
  EXPECT_EQ(flags().ov, 0);
  EXPECT_EQ(run(x_form(3, 4, 5, 489), static_cast<u64>(-7), 2), static_cast<u64>(-3)) << "towards zero";
}

// ---- shifts and rotates; rs=4, ra=3

TEST_F(IsaRules, ShiftRightAlgebraicCarry) {
  const auto sraw = [&](u64 value, u64 by) { return run(x_form(4, 3, 5, 792), value, by, 0x20000000); };
  EXPECT_EQ(sraw(0x80000001, 0), 0xFFFFFFFF80000001);
  EXPECT_EQ(flags().ca, 0) << "nothing shifted out";
  EXPECT_EQ(sraw(0x80000001, 1), 0xFFFFFFFFC0000000);
  EXPECT_EQ(flags().ca, 1);
  EXPECT_EQ(sraw(0x80000000, 1), 0xFFFFFFFFC0000000);
  EXPECT_EQ(flags().ca, 0);
  EXPECT_EQ(sraw(0x80000000, 32), ~u64{0});
  EXPECT_EQ(flags().ca, 1);
  EXPECT_EQ(sraw(0x7FFFFFFF, 63), 0u);
  EXPECT_EQ(flags().ca, 0) << "positive";
  EXPECT_EQ(sraw(0x80000000, 64), 0xFFFFFFFF80000000) << "six bits of count";
  EXPECT_EQ(flags().ca, 0);
  const auto srad = [&](u64 value, u64 by) { return run(x_form(4, 3, 5, 794), value, by); };
  EXPECT_EQ(srad(kMin64, 64), ~u64{0});
  EXPECT_EQ(flags().ca, 1);
  EXPECT_EQ(srad(kMin64 | 1, 127), ~u64{0});
  EXPECT_EQ(flags().ca, 1);
  EXPECT_EQ(srad(kMin64, 63), ~u64{0});
  EXPECT_EQ(flags().ca, 0);
  EXPECT_EQ(run(0x7C830676, kMin64 | 1, 0), 0xFFFFFFFF80000000);  // sradi 3,4,32
  EXPECT_EQ(flags().ca, 1);
}

TEST_F(IsaRules, LogicalShiftCounts) {
  EXPECT_EQ(run(x_form(4, 3, 5, 24), 0xFFFFFFFF00000001, 31), 0x80000000u) << "slw clears the upper word";
  EXPECT_EQ(run(x_form(4, 3, 5, 24), 1, 32), 0u);
  EXPECT_EQ(run(x_form(4, 3, 5, 24), 1, 64), 1u) << "bit 57 is not looked at";
  EXPECT_EQ(run(x_form(4, 3, 5, 536), 0xFFFFFFFF80000000, 31), 1u);
  EXPECT_EQ(run(x_form(4, 3, 5, 27), 1, 64), 0u);
  EXPECT_EQ(run(x_form(4, 3, 5, 27), 1, 128), 1u);
  EXPECT_EQ(run(x_form(4, 3, 5, 539), kMin64, 63), 1u);
}

TEST_F(IsaRules, WordRotatesAndWrappingMasks) {
  const u64 value = 0xAAAAAAAA12345678;
  EXPECT_EQ(run(m_form(21, 3, 4, 8, 0, 31), value, 0), 0x34567812u);
  EXPECT_EQ(run(m_form(21, 3, 4, 8, 24, 31), value, 0), 0x12u);
  EXPECT_EQ(run(m_form(21, 3, 4, 0, 28, 3), value, 0), 0x1234567810000008u) << "the mask takes in bits 0:31";
  EXPECT_EQ(run(m_form(21, 3, 4, 4, 31, 0), value, 0), 0x2345678100000001u);
  EXPECT_EQ(run(m_form(21, 3, 4, 0, 16, 15), value, 0), 0x1234567812345678u) << "all ones by wrapping";
  m.s.gpr[3] = 0x1111111122222222;
  EXPECT_EQ(run(m_form(20, 3, 4, 0, 24, 31), value, 0), 0x1111111122222278u) << "rlwimi keeps the upper half";
  m.s.gpr[3] = 0x1111111122222222;
  EXPECT_EQ(run(m_form(20, 3, 4, 0, 28, 3), value, 0), 0x1234567812222228u);
  EXPECT_EQ(run(m_form(23, 3, 4, 5, 0, 31), value, 40), 0x34567812u) << "rlwnm: five bits of count";
}

TEST_F(IsaRules, DoublewordRotates) {
  const u64 value = 0x0123456789ABCDEF;
  const auto md = [](u32 xo, u32 sh, u32 mbe) {
    return 30u << 26 | 4u << 21 | 3u << 16 | (sh & 31) << 11 | (mbe & 31) << 6 | (mbe >> 5) << 5 | xo << 2 |
           (sh >> 5) << 1;
  };
  EXPECT_EQ(run(md(0, 8, 0), value, 0), 0x23456789ABCDEF01u);
  EXPECT_EQ(run(md(0, 36, 32), value, 0), 0x12345678u);
  EXPECT_EQ(run(md(1, 12, 51), value, 0), 0x3456789ABCDEF000u);
  EXPECT_EQ(run(md(2, 8, 40), value, 0), 0xCDEF00u);
  EXPECT_EQ(run(md(2, 16, 60), value, 0), 0x456789ABCDEF0003u) << "rldic wraps when MB > 63-SH";
  m.s.gpr[3] = ~u64{0};
  EXPECT_EQ(run(md(3, 16, 32), 0, 0), 0xFFFFFFFF0000FFFFu) << "rldimi inserts MB..63-SH";
}

// ---- compare, count, bytes

TEST_F(IsaRules, CompareWordsAndDoublewords) {
  m.s.gpr[4] = 0x00000001FFFFFFFF;
  m.s.gpr[5] = 1;
  set_so(m.s, true);
  const auto field7 = [&](u32 word) {
    m.execute(word);
    return m.s.cr[7];
  };
  EXPECT_EQ(field7(x_form(28, 4, 5, 0)), 9) << "cmpw: -1 < 1, SO copied";
  EXPECT_EQ(field7(x_form(29, 4, 5, 0)), 5) << "cmpd";
  EXPECT_EQ(field7(x_form(28, 4, 5, 32)), 5) << "cmplw";
  EXPECT_EQ(field7(d_form(11, 28, 4, 0xFFFF)), 3) << "cmpwi -1";
  EXPECT_EQ(field7(d_form(11, 29, 4, 0xFFFF)), 5) << "cmpdi -1";
  EXPECT_EQ(field7(d_form(10, 28, 4, 0xFFFF)), 5) << "cmplwi zero-extends";
  m.s.gpr[4] = ~u64{0};
  EXPECT_EQ(field7(d_form(10, 29, 4, 0xFFFF)), 5);
}

TEST_F(IsaRules, BytesAndDigits) {
  EXPECT_EQ(run(x_form(4, 3, 5, 508), 0x1122334455667788, 0x1100330055007700), 0xFF00FF00FF00FF00u) << "cmpb";
  EXPECT_EQ(run(x_form(4, 3, 5, 508), 0x80007F01FF00FE80, 0x0080017FFF00FE80), 0x00000000FFFFFFFFu);
  EXPECT_EQ(run(x_form(4, 3, 0, 122), 0x00FF01800F7F3355, 0), 0x0008010104070404u) << "popcntb";
  EXPECT_EQ(run(x_form(4, 3, 0, 154), 0x0101010001000000, 0), 0x0000000100000001u) << "prtyw";
  EXPECT_EQ(run(x_form(4, 3, 0, 186), 0x0101010001000000, 0), 0u) << "prtyd";
  EXPECT_EQ(run(x_form(4, 3, 0, 26), 0xFFFFFFFF00000000, 0), 32u) << "cntlzw";
  EXPECT_EQ(run(x_form(4, 3, 0, 58), 0, 0), 64u) << "cntlzd";
  EXPECT_EQ(run(x_form(3, 4, 5, 74), 0x9999999999999999, 1), 0x6666666666666666u) << "addg6s: binary carries";
  EXPECT_EQ(run(x_form(3, 4, 5, 74), 0xF00000000000000F, 0x1000000000000001), 0x0666666666666660u);
}

/// BCD addition as the assist instructions are meant: a + b = (a + 6666 + b) minus 6 where no digit carried.
TEST_F(IsaRules, DecimalAdditionThroughAddg6s) {
  const u64 a = 0x0000123456789012, b = 0x0000987654321098, sixes = 0x0666666666666666;
  const u64 biased = a + sixes;
  const u64 fix = run(x_form(3, 4, 5, 74), biased, b);
  EXPECT_EQ(biased + b - (fix & 0x0FFFFFFFFFFFFFFF), 0x0001111111110110u);
}

TEST_F(IsaRules, PackedDecimal) {
  // All 1000 declets there and back, both words.
  for (u32 value = 0; value < 1000; value++) {
    const u64 bcd = value / 100 << 8 | value / 10 % 10 << 4 | value % 10;
    const u64 dpd = run(x_form(4, 3, 0, 314), bcd << 12 | bcd | bcd << 32, 0);  // cbcdtd
    EXPECT_EQ(dpd >> 10 & 0x3FF, dpd & 0x3FF);
    EXPECT_EQ(dpd >> 32, dpd & 0x3FF);
    EXPECT_EQ(run(x_form(4, 3, 0, 282), dpd, 0), bcd << 12 | bcd | bcd << 32);  // cdtbcd
  }
  // Known declets: 005 -> 0x005, 009 -> 0x009, 055 -> 0x055, 079 -> 0x079, 080 -> 0x00A, 099 -> 0x05F, 999 ->
  // 0x0FF.
  const auto declet = [&](u64 bcd) { return run(x_form(4, 3, 0, 314), bcd, 0); };
  EXPECT_EQ(declet(0x005), 0x005u);
  EXPECT_EQ(declet(0x009), 0x009u);
  EXPECT_EQ(declet(0x055), 0x055u);
  EXPECT_EQ(declet(0x079), 0x079u);
  EXPECT_EQ(declet(0x080), 0x00Au);
  EXPECT_EQ(declet(0x099), 0x05Fu);
  EXPECT_EQ(declet(0x555), 0x2D5u);
  EXPECT_EQ(declet(0x999), 0x0FFu);
}

// ---- branches

TEST_F(IsaRules, LinkIsWrittenWhenNotTaken) {
  m.s.lr = 5;
  m.s.cr[0] = 0;
  const auto outcome = m.execute(bc(12, 2, 16, 0, 1));  // beql
  EXPECT_EQ(outcome.flow, Flow::kNext);
  EXPECT_EQ(m.s.lr, 0x4004u);
}

TEST_F(IsaRules, BranchTargets) {
  m.s.cr[0] = 2;
  EXPECT_EQ(m.execute(bc(12, 2, 0xFFF0)).next, 0x3FF0u);
  EXPECT_EQ(m.s.cfar, 0x4000u);
  EXPECT_EQ(m.execute(bc(12, 2, 0xFFF0, 1)).next, 0xFFFFFFFFFFFFFFF0u)
      << "absolute targets are sign-extended";
  m.s.lr = 0x12345677;
  EXPECT_EQ(m.execute(xl_form(20, 0, 16, 1)).next, 0x12345674u) << "bclrl goes to the old LR";
  EXPECT_EQ(m.s.lr, 0x4004u);
  m.s.ctr = 0x8003;
  EXPECT_EQ(m.execute(xl_form(20, 0, 528)).next, 0x8000u);
  EXPECT_EQ(m.s.ctr, 0x8003u);
}

TEST_F(IsaRules, CountedBranches) {
  m.s.ctr = 1;
  EXPECT_EQ(m.execute(bc(16, 0, 8)).flow, Flow::kNext) << "bdnz: 1 becomes 0";
  EXPECT_EQ(m.s.ctr, 0u);
  EXPECT_EQ(m.execute(bc(16, 0, 8)).flow, Flow::kBranch) << "0 becomes all ones";
  EXPECT_EQ(m.s.ctr, ~u64{0});
  m.s.ctr = 0x100000001;
  EXPECT_EQ(m.execute(bc(18, 0, 8)).flow, Flow::kNext) << "bdz looks at 64 bits";
  // Both conditions are needed, and CTR counts in any case.
  m.s.ctr = 5;
  m.s.cr[0] = 0;
  EXPECT_EQ(m.execute(bc(8, 2, 8)).flow, Flow::kNext);
  EXPECT_EQ(m.s.ctr, 4u);
  m.s.cr[0] = 2;
  EXPECT_EQ(m.execute(bc(8, 2, 8)).flow, Flow::kBranch);
  EXPECT_EQ(m.s.ctr, 3u);
}

TEST_F(IsaRules, ThirtyTwoBitModeBranches) {
  Machine narrow(false);
  narrow.s.ctr = 0x100000001;
  EXPECT_EQ(narrow.execute(bc(18, 0, 8), 0x4000).flow, Flow::kBranch) << "the low word of CTR is zero";
  EXPECT_EQ(narrow.s.ctr, 0x100000000u);
  EXPECT_EQ(narrow.execute(0x48000008 | 1, 0xFFFFFFFC).next, 4u) << "addresses wrap";
  EXPECT_EQ(narrow.s.lr, 0u);
  narrow.s.lr = 0xABCD00001000;
  EXPECT_EQ(narrow.execute(xl_form(20, 0, 16)).next, 0x00001000u);
}

TEST_F(IsaRules, BranchKinds) {
  for (u32 bo = 0; bo < 32; bo++) {
    const bool counts = !(bo & 4), tests = !(bo & 16);
    const sem::BranchKind kind = sem::branch_kind(bo);
    EXPECT_EQ(kind == sem::BranchKind::kAny, counts && tests) << bo;
    EXPECT_EQ(kind == sem::BranchKind::kAlways, !counts && !tests) << bo;
    EXPECT_EQ(kind == sem::BranchKind::kIfTrue, !counts && tests && (bo & 8)) << bo;
    EXPECT_EQ(kind == sem::BranchKind::kCountZero, counts && !tests && (bo & 2)) << bo;
  }
}

// ---- traps

TEST_F(IsaRules, TrapsNameTheirCause) {
  m.s.gpr[4] = 0xFFFFFFFF00000005;
  EXPECT_EQ(m.execute(d_form(3, 4, 4, 5)).flow, Flow::kStop);  // tweqi
  EXPECT_EQ(m.s.fault.vector, Vector::kProgram);
  EXPECT_EQ(m.s.fault.srr1, program::kTrap);
  EXPECT_FALSE(m.s.fault.at_next);
  EXPECT_EQ(m.execute(d_form(2, 4, 4, 5)).flow, Flow::kNext) << "tdeqi compares 64 bits";
  EXPECT_EQ(m.execute(d_form(2, 16, 4, 5)).flow, Flow::kStop) << "less, signed";
  EXPECT_EQ(m.execute(d_form(2, 1, 4, 5)).flow, Flow::kStop) << "greater, unsigned";
  EXPECT_EQ(m.execute(0x7FE00008).flow, Flow::kStop) << "trap";
}

// ---- condition register

TEST_F(IsaRules, ConditionRegisterMoves) {
  m.s.gpr[4] = 0x12345678;
  m.execute(0x7C8FF120);  // mtcrf 0xFF,4
  EXPECT_EQ(sem::get_cr(m.s), 0x12345678u);
  m.s.gpr[4] = 0xFFFFFFFFFFFFFFFF;
  m.execute(0x7C840120 | 0);  // mtcrf 0x40,4
  EXPECT_EQ(sem::get_cr(m.s), 0x1F345678u);
  m.execute(0x7C600026);  // mfcr 3
  EXPECT_EQ(m.s.gpr[3], 0x1F345678u);
  m.execute(0x7C702026);  // mfocrf 3,0x02
  EXPECT_EQ(m.s.gpr[3], 0x00000070u);
  m.execute(19u << 26 | 0u << 23 | 1u << 18);  // mcrf cr0,cr1
  EXPECT_EQ(m.s.cr[0], 0xF);
  m.execute(19u << 26 | 31u << 21 | 31u << 16 | 31u << 11 | 289u << 1);  // crset 31
  EXPECT_EQ(m.s.cr[7], 0x9);
  m.execute(19u << 26 | 28u << 21 | 0u << 16 | 0u << 11 | 193u << 1);  // crclr 28 by crxor
  EXPECT_EQ(m.s.cr[7], 0x1);
}

// ---- loads and stores

TEST_F(IsaRules, FaultsLeaveRegistersAlone) {
  // The megabyte ends at 0x100000.
  m.s.gpr[4] = 0x200000;
  m.s.gpr[3] = 7;
  for (u32 word : {d_form(33, 3, 4, 8), d_form(37, 3, 4, 8), d_form(35, 3, 4, 8), d_form(41, 3, 4, 8),
                   (58u << 26 | 3 << 21 | 4 << 16 | 9), (62u << 26 | 3 << 21 | 4 << 16 | 9)}) {
    EXPECT_EQ(m.execute(word).flow, Flow::kStop);
    EXPECT_EQ(m.s.fault.vector, Vector::kDataStorage);
    EXPECT_EQ(m.s.dar, 0x200008u);
    EXPECT_EQ(m.s.gpr[3], 7u);
    EXPECT_EQ(m.s.gpr[4], 0x200000u);
  }
}

TEST_F(IsaRules, MultipleRestartsAfterAFault) {
  m.s.gpr[28] = 1;
  m.s.gpr[29] = 0xFFFF8;  // two words before the end, and in the range that is loaded
  m.s.gpr[30] = 3;
  m.memory().store<u32>(0xFFFF8, 0x11111111);
  EXPECT_EQ(m.execute(d_form(46, 28, 29, 0)).flow, Flow::kStop);  // lmw 28,0(29)
  EXPECT_EQ(m.s.gpr[28], 1u);
  EXPECT_EQ(m.s.gpr[29], 0xFFFF8u);
  EXPECT_EQ(m.s.gpr[30], 3u);
  EXPECT_EQ(m.s.dar, 0x100000u);
  m.s.gpr[29] = 0xFFFF0;
  for (u32 i = 0; i < 4; i++) m.memory().store<u32>(0xFFFF0 + 4 * i, 0x80000000 + i);
  EXPECT_EQ(m.execute(d_form(46, 28, 29, 0)).flow, Flow::kNext);
  for (u32 i = 0; i < 4; i++) EXPECT_EQ(m.s.gpr[28 + i], 0x80000000u + i) << "upper halves are cleared";
}

TEST_F(IsaRules, Strings) {
  for (u32 i = 0; i < 16; i++) m.memory().store<u8>(0x6000 + i, static_cast<u8>(0xA0 + i));
  m.s.gpr[4] = 0x6000;
  m.s.gpr[0] = m.s.gpr[1] = ~u64{0};
  m.execute(x_form(31, 4, 5, 597));  // lswi 31,4,5
  EXPECT_EQ(m.s.gpr[31], 0xA0A1A2A3u);
  EXPECT_EQ(m.s.gpr[0], 0xA4000000u) << "r31 is followed by r0, the rest is zero";
  EXPECT_EQ(m.s.gpr[1], ~u64{0});
  m.s.gpr[5] = 1;
  m.s.xer_count = 3;
  m.execute(x_form(8, 4, 5, 533));  // lswx
  EXPECT_EQ(m.s.gpr[8], 0xA1A2A300u);
  m.s.xer_count = 0;
  m.s.gpr[8] = 9;
  EXPECT_EQ(m.execute(x_form(8, 4, 5, 533)).flow, Flow::kNext);
  EXPECT_EQ(m.s.gpr[8], 9u) << "count 0 transfers nothing";
  m.s.gpr[4] = 0x300000;
  EXPECT_EQ(m.execute(x_form(8, 4, 5, 533)).flow, Flow::kNext) << "and cannot fault";
  m.s.gpr[4] = 0x6100;
  m.s.gpr[8] = 0x11223344;
  m.s.gpr[9] = 0x55667788;
  m.execute(x_form(8, 4, 6, 725));  // stswi 8,4,6
  EXPECT_EQ(*m.memory().load<u32>(0x6100), 0x11223344u);
  EXPECT_EQ(*m.memory().load<u32>(0x6104), 0x55660000u);
  m.s.gpr[4] = 0x6000;
  m.execute(x_form(8, 4, 0, 597));  // NB 0: 32 bytes
  EXPECT_EQ(m.s.gpr[11], 0xACADAEAFu);
}

TEST_F(IsaRules, UnalignedAccessesWorkAcrossPages) {
  m.s.gpr[4] = 0x6FFD;
  m.s.gpr[3] = 0x0102030405060708;
  EXPECT_EQ(m.execute(62u << 26 | 3 << 21 | 4 << 16).flow, Flow::kNext);  // std
  EXPECT_EQ(*m.memory().load<u64>(0x6FFD), 0x0102030405060708u);
  m.s.gpr[3] = 0;
  EXPECT_EQ(m.execute(58u << 26 | 3 << 21 | 4 << 16).flow, Flow::kNext);  // ld
  EXPECT_EQ(m.s.gpr[3], 0x0102030405060708u);
  m.s.gpr[4] = 0x6FFF;
  EXPECT_EQ(m.execute(d_form(42, 3, 4, 0)).flow, Flow::kNext);  // lha
  EXPECT_EQ(m.s.gpr[3], 0x0304u);
}

TEST_F(IsaRules, ReservationsMustBeAligned) {
  m.s.gpr[4] = 0x6002;
  for (u32 word :
       {x_form(3, 0, 4, 20), x_form(3, 0, 4, 84), x_form(3, 0, 4, 150, 1), x_form(3, 0, 4, 214, 1)}) {
    EXPECT_EQ(m.execute(word).flow, Flow::kStop);
    EXPECT_EQ(m.s.fault.vector, Vector::kAlignment);
    EXPECT_EQ(m.s.dar, 0x6002u);
  }
  m.s.gpr[4] = 0x6004;
  EXPECT_EQ(m.execute(x_form(3, 0, 4, 20)).flow, Flow::kNext);
  EXPECT_EQ(m.execute(x_form(3, 0, 4, 84)).flow, Flow::kStop) << "ldarx needs 8";
}

TEST_F(IsaRules, ThirtyTwoBitAddresses) {
  Machine narrow(false);
  narrow.memory().store<u32>(0x6004, 0xCAFE);
  narrow.s.gpr[4] = 0xFFFFFFFF00006000;
  EXPECT_EQ(narrow.execute(d_form(33, 3, 4, 4)).flow, Flow::kNext);  // lwzu
  EXPECT_EQ(narrow.s.gpr[3], 0xCAFEu);
  EXPECT_EQ(narrow.s.gpr[4], 0x6004u);
  narrow.s.gpr[4] = 0xFFFFFFF0;
  narrow.memory().store<u32>(0x10, 0xBEEF);
  EXPECT_EQ(narrow.execute(d_form(32, 3, 4, 0x20)).flow, Flow::kNext);
  EXPECT_EQ(narrow.s.gpr[3], 0xBEEFu) << "the sum wraps";
}

// ---- caches

TEST_F(IsaRules, CacheBlocksAre128Bytes) {
  for (u64 at = 0x6000; at < 0x6200; at += 8) m.memory().store<u64>(at, ~u64{0});
  m.s.gpr[4] = 0x60C5;
  EXPECT_EQ(m.execute(x_form(0, 0, 4, 1014)).flow, Flow::kNext);  // dcbz
  for (u64 at = 0x6000; at < 0x6200; at += 8)
    EXPECT_EQ(*m.memory().load<u64>(at), at >= 0x6080 && at < 0x6100 ? 0 : ~u64{0}) << std::hex << at;
  EXPECT_EQ(m.execute(x_form(1, 0, 4, 1014)).flow, Flow::kNext) << "dcbzl";
}

TEST_F(IsaRules, HintsNeverFaultAndFlushesDo) {
  m.s.gpr[4] = 0x300000;
  EXPECT_EQ(m.execute(x_form(0, 0, 4, 278)).flow, Flow::kNext) << "dcbt";
  EXPECT_EQ(m.execute(x_form(16, 0, 4, 246)).flow, Flow::kNext) << "dcbtst";
  EXPECT_EQ(m.execute(x_form(0, 0, 4, 22)).flow, Flow::kNext) << "icbt";
  EXPECT_EQ(m.execute(x_form(0, 4, 4, 342)).flow, Flow::kNext) << "dst";
  EXPECT_EQ(m.execute(0x7E00066C).flow, Flow::kNext) << "dssall, without MSR[VEC]";
  for (u32 extended : {54u, 86u, 982u}) {  // dcbst, dcbf, icbi
    EXPECT_EQ(m.execute(x_form(0, 0, 4, extended)).flow, Flow::kStop);
    EXPECT_EQ(m.s.fault.vector, Vector::kDataStorage);
    EXPECT_EQ(m.s.dsisr & dsisr::kStore, 0u);
  }
  EXPECT_EQ(m.execute(x_form(0, 0, 4, 1014)).flow, Flow::kStop);
  EXPECT_EQ(m.s.dsisr & dsisr::kStore, dsisr::kStore);
}

TEST_F(IsaRules, FencesAndNops) {
  for (u32 word : {0x7C0004ACu, 0x7C2004ACu, 0x7C4004ACu, 0x7C0006ACu, 0x4C00012Cu, 0x60000000u})
    EXPECT_EQ(m.execute(word).flow, Flow::kNext);
  // Priority hints move a register to itself.
  m.s.gpr[31] = 0x1234;
  EXPECT_EQ(m.execute(x_form(31, 31, 31, 444)).flow, Flow::kNext);
  EXPECT_EQ(m.s.gpr[31], 0x1234u);
}

}  // namespace
}  // namespace baton::cpu
