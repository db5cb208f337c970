// SPDX-License-Identifier: Apache-2.0
// The rules of POWER6-ISA 2.4, 4.7 and 4.11 one by one, and the arithmetic instructions against exact
// arithmetic.
#include <gtest/gtest.h>

#include <cmath>

#include "cpu/fpu/fpu.h"
#include "cpu/isa/isa.h"
#include "tests/cpu/fp_oracle.h"
#include "tests/cpu/hardware.h"

namespace baton::test {
namespace {

namespace f = cpu::fpscr;
using cpu::Flow;

constexpr u64 kOne = 0x3FF0000000000000, kInf = 0x7FF0000000000000, kMax = 0x7FEFFFFFFFFFFFFF,
              kMin = 0x0010000000000000, kQnan = 0x7FF8000000000000, kSnan = 0x7FF4000000000001,
              kSign = u64{1} << 63;
constexpr u64 kUntouched = 0x123456789ABCDEF0;

u64 bits(double value) { return std::bit_cast<u64>(value); }

/// Executes `mnemonic` with FRA, FRB, FRC; the target holds kUntouched before.
FpState run(const char* mnemonic, u64 a, u64 b, u64 c = 0, u64 fpscr = 0) {
  return run_semantics(fp_word(mnemonic), {.fpr = {kUntouched, a, b, c}, .fpscr = fpscr, .cr = 0});
}
u64 target(const char* mnemonic, u64 a, u64 b, u64 c = 0, u64 fpscr = 0) {
  return run(mnemonic, a, b, c, fpscr).fpr[0];
}
u64 fpscr_after(const char* mnemonic, u64 a, u64 b, u64 c = 0, u64 fpscr = 0) {
  return run(mnemonic, a, b, c, fpscr).fpscr;
}
u64 fprf_after(const char* mnemonic, u64 b) { return (fpscr_after(mnemonic, b, b, b) & f::FPRF) >> 12; }

TEST(FloatingPoint, EveryInstructionNeedsMsrFp) {
  for (const std::string& name : fp_mnemonics()) {
    cpu::State s;
    s.msr = cpu::msr::SF;
    s.fpr[1] = kUntouched;
    s.fpscr = f::XX;
    EXPECT_EQ(execute_fp(s, fp_word(name)), Flow::kStop) << name;
    EXPECT_EQ(s.fault.vector, cpu::Vector::kFpUnavailable) << name;
    EXPECT_EQ(s.stop, cpu::Stop::kInterrupt) << name;
    EXPECT_EQ(s.fpr[1], kUntouched) << name;
    EXPECT_EQ(s.fpscr, f::XX) << name;
  }
  for (u32 word : {0x7C2004BEu, 0x7C2005BEu}) {  // mffgpr, mftgpr
    cpu::State s;
    EXPECT_EQ(execute_fp(s, word), Flow::kStop);
    EXPECT_EQ(s.fault.vector, cpu::Vector::kFpUnavailable);
  }
}

TEST(FloatingPoint, ResultClasses) {
  EXPECT_EQ(fprf_after("frsp", kQnan), 0x11u);
  EXPECT_EQ(fprf_after("frsp", kInf | kSign), 0x09u);
  EXPECT_EQ(fprf_after("frsp", bits(-1)), 0x08u);
  EXPECT_EQ(fprf_after("friz", bits(-0.5)), 0x12u);
  EXPECT_EQ(fprf_after("friz", bits(0.5)), 0x02u);
  EXPECT_EQ(fprf_after("frsp", kOne), 0x04u);
  EXPECT_EQ(fprf_after("frsp", kInf), 0x05u);
  EXPECT_EQ((fpscr_after("fadd", 0, 1) & f::FPRF) >> 12, 0x14u);
  EXPECT_EQ((fpscr_after("fsub", 0, 1) & f::FPRF) >> 12, 0x18u);
  // A denormal single is a normal double.
  EXPECT_EQ(fprf_after("frsp", 0x36A0000000000000), 0x04u);
}

TEST(FloatingPoint, InexactSetsFxOnlyOnce) {
  const u64 third = fpscr_after("fdiv", kOne, bits(3));
  EXPECT_EQ(third, f::FX | f::XX | f::FI | 0x4000);
  // 1/3 rounds down, 1/5 up.
  EXPECT_EQ(fpscr_after("fdiv", kOne, bits(5)), f::FX | f::XX | f::FI | f::FR | 0x4000);
  EXPECT_EQ(fpscr_after("fdiv", kOne, bits(3), 0, f::XX), f::XX | f::FI | 0x4000);
  EXPECT_EQ(fpscr_after("fadd", kOne, kOne, 0, f::XX | f::FI | f::FR), f::XX | 0x4000);
}

TEST(FloatingPoint, NanOfTheFirstOperandWins) {
  const u64 a = kQnan | 0xA, b = kQnan | 0xB | kSign, c = kQnan | 0xC;
  EXPECT_EQ(target("fadd", a, b), a);
  EXPECT_EQ(target("fadd", kOne, b), b);
  EXPECT_EQ(target("fmul", kOne, kOne, c), c);
  EXPECT_EQ(target("fmadd", a, b, c), a);
  EXPECT_EQ(target("fmadd", kOne, b, c), b);
  EXPECT_EQ(target("fnmsub", kOne, kOne, c), c);
  EXPECT_EQ(target("fnmadd", kOne, b, c), b);  // keeps its sign
  // A quiet NaN before a signalling one: still the first, but VXSNAN.
  const FpState mixed = run("fsub", a, kSnan);
  EXPECT_EQ(mixed.fpr[0], a);
  EXPECT_EQ(mixed.fpscr, f::FX | f::VX | f::VXSNAN | 0x11000);
  EXPECT_EQ(target("fadd", kSnan, b), kSnan | u64{1} << 51);
  EXPECT_EQ(target("frsp", 0, kSnan | 0x0000000030000000), 0x7FFC000020000000u);
  // The payload is cut to a single's; of a signalling NaN whose payload is gone the quiet bit is left.
  const u64 long_payload = kQnan | 0x2345'6789'ABCD, cut = kQnan | 0x2345'6000'0000;
  for (const char* name : {"fadds", "fsubs", "fdivs", "fmadds", "fmsubs", "fnmadds", "fnmsubs", "fsqrts",
                           "fres", "frsqrtes", "frsp"}) {
    EXPECT_EQ(target(name, bits(1.0), long_payload, bits(1.0)), cut) << name;
    EXPECT_EQ(target(name, bits(1.0), 0x7FF0000000000001, bits(1.0)), kQnan) << name;
  }
  EXPECT_EQ(target("fmuls", bits(1.0), 0, long_payload), cut);
  EXPECT_EQ(target("fadd", 0, long_payload), long_payload);
}

TEST(FloatingPoint, InvalidOperations) {
  struct {
    const char* name;
    u64 a, b, c, cause;
  } const cases[] = {
      {"fadd", kInf, kInf | kSign, 0, f::VXISI},
      {"fsub", kInf, kInf, 0, f::VXISI},
      {"fmadd", kInf, kInf | kSign, kOne, f::VXISI},
      {"fnmsub", kInf, kInf, kOne, f::VXISI},
      {"fdiv", kInf, kInf | kSign, 0, f::VXIDI},
      {"fdivs", 0, kSign, 0, f::VXZDZ},
      {"fmul", 0, 0, kInf, f::VXIMZ},
      {"fmsub", kInf, kOne, kSign, f::VXIMZ},
      {"fsqrt", 0, bits(-1), 0, f::VXSQRT},
      {"fsqrts", 0, kInf | kSign, 0, f::VXSQRT},
      {"frsqrte", 0, kSign | 1, 0, f::VXSQRT},
  };
  for (const auto& c : cases) {
    const FpState off = run(c.name, c.a, c.b, c.c, f::XX | f::FI | f::FR);
    EXPECT_EQ(off.fpr[0], kQnan) << c.name;
    EXPECT_EQ(off.fpscr, f::FX | f::VX | f::XX | c.cause | 0x11000) << c.name;
    EXPECT_FALSE(off.interrupt) << c.name;
    const FpState on = run(c.name, c.a, c.b, c.c, f::VE | f::FI | f::FR | 0x4000);
    EXPECT_EQ(on.fpr[0], kUntouched) << c.name;
    EXPECT_EQ(on.fpscr, f::FX | f::FEX | f::VX | c.cause | f::VE | 0x4000) << c.name;
    EXPECT_TRUE(on.interrupt) << c.name;
  }
  // Infinity times zero plus a NaN: VXIMZ, and the NaN.
  const FpState both = run("fmadd", kInf, kQnan | 7, 0);
  EXPECT_EQ(both.fpr[0], kQnan | 7);
  EXPECT_EQ(both.fpscr, f::FX | f::VX | f::VXIMZ | 0x11000);
  EXPECT_EQ(fpscr_after("fmadd", kInf, kSnan, 0), f::FX | f::VX | f::VXIMZ | f::VXSNAN | 0x11000);
  EXPECT_EQ(target("fsqrt", 0, kSign), kSign);
}

TEST(FloatingPoint, EnabledExceptionsInterruptOnlyWithFe) {
  for (u64 fe : {u64{0}, cpu::msr::FE0, cpu::msr::FE1}) {
    cpu::State s;
    s.msr = cpu::msr::SF | cpu::msr::FP | fe;
    s.fpr[1] = kUntouched;
    s.fpr[2] = s.fpr[3] = 0;
    s.fpscr = f::VE;
    EXPECT_EQ(execute_fp(s, fp_word("fdiv.")), fe ? Flow::kStop : Flow::kNext);
    EXPECT_EQ(s.fpr[1], kUntouched);
    EXPECT_EQ(s.fpscr, f::FX | f::FEX | f::VX | f::VXZDZ | f::VE);
    EXPECT_EQ(s.cr[1], 0xE);
    if (fe) {
      EXPECT_EQ(s.fault.vector, cpu::Vector::kProgram);
      EXPECT_EQ(s.fault.srr1, cpu::program::kFloat);
      EXPECT_FALSE(s.fault.at_next);
    }
  }
}

TEST(FloatingPoint, DivisionByZero) {
  EXPECT_EQ(target("fdiv", bits(-1), 0), kInf | kSign);
  EXPECT_EQ(fpscr_after("fdiv", bits(-1), 0), f::FX | f::ZX | 0x9000);
  const FpState on = run("fdiv", kOne, 0, 0, f::ZE | 0x4000);
  EXPECT_EQ(on.fpr[0], kUntouched);
  EXPECT_EQ(on.fpscr, f::FX | f::FEX | f::ZX | f::ZE | 0x4000);
  EXPECT_TRUE(on.interrupt);
  EXPECT_EQ(fpscr_after("fdiv", kInf, 0), 0x5000u);  // no exception
  for (const char* name : {"fre", "fres", "frsqrte", "frsqrtes"}) {
    EXPECT_EQ(target(name, 0, kSign), kInf | kSign) << name;
    EXPECT_EQ(fpscr_after(name, 0, kSign), f::FX | f::ZX | 0x9000) << name;
  }
}

TEST(FloatingPoint, OverflowFollowsTheRoundingMode) {
  const u64 flags = f::FX | f::OX | f::XX;
  const u64 want[4] = {kInf, kMax, kInf, kMax}, negative[4] = {kInf, kMax, kMax, kInf};
  for (u64 rn = 0; rn < 4; rn++) {
    EXPECT_EQ(target("fadd", kMax, kMax, 0, rn), want[rn]) << rn;
    EXPECT_EQ(target("fmul", kMax | kSign, 0, kMax, rn), negative[rn] | kSign) << rn;
    EXPECT_EQ(fpscr_after("fadd", kMax, kMax, 0, rn) & (flags | f::FI), flags | f::FI) << rn;
  }
  EXPECT_EQ(target("frsp", 0, kMax, 0, 1), 0x47EFFFFFE0000000u);
  // Enabled: the exponent is lower by 1536 or 192, and XX only if bits were lost.
  const FpState on = run("fmul", kMax, 0, bits(4), f::OE);
  EXPECT_EQ(on.fpr[0], kMax - (u64{1536 - 2} << 52));
  EXPECT_EQ(on.fpscr, f::FX | f::FEX | f::OX | f::OE | 0x4000);
  EXPECT_TRUE(on.interrupt);
  EXPECT_EQ(target("fmuls", 0x47EFFFFFE0000000, 0, bits(4), f::OE),
            0x47EFFFFFE0000000 - (u64{192 - 2} << 52));
}

TEST(FloatingPoint, TininessIsFoundBeforeRounding) {
  // (1 - 2^-53) * 2^-1022 rounds up to the least normal number: tiny all the same.
  const FpState off = run("fmul", bits(1 - 0x1p-53), 0, kMin);
  EXPECT_EQ(off.fpr[0], kMin);
  EXPECT_EQ(off.fpscr, f::FX | f::UX | f::XX | f::FI | f::FR | 0x4000);
  // Tiny but exact: nothing, unless UE is on.
  EXPECT_EQ(fpscr_after("fmul", kMin, 0, bits(0.5)), 0x14000u);
  const FpState on = run("fmul", kMin, 0, bits(0.5), f::UE);
  EXPECT_EQ(on.fpr[0], kMin + (u64{1535} << 52));
  EXPECT_EQ(on.fpscr, f::FX | f::FEX | f::UX | f::UE | 0x4000);
  EXPECT_TRUE(on.interrupt);
  EXPECT_EQ(fpscr_after("frsp", 0, bits(0x1p-126 - 0x1p-152)),
            f::FX | f::UX | f::XX | f::FI | f::FR | 0x4000);
  EXPECT_EQ(target("fmuls", bits(0x1p-126), 0, bits(0.5), f::UE), bits(0x1p65));
}

TEST(FloatingPoint, EnabledInexactKeepsTheResult) {
  const FpState on = run("fdiv.", kOne, bits(3), 0, f::XE);
  EXPECT_EQ(on.fpr[0], bits(1.0 / 3));
  EXPECT_EQ(on.fpscr, f::FX | f::FEX | f::XX | f::FI | f::XE | 0x4000);
  EXPECT_EQ(on.cr, 0x0C000000u);
  EXPECT_TRUE(on.interrupt);
  EXPECT_FALSE(run("fdiv", kOne, bits(4), 0, f::XE).interrupt);
}

TEST(FloatingPoint, SingleResultsAreRoundedOnce) {
  // 1 + 2^-24 + 2^-54: a double on the way would lose the last term and leave a tie.
  EXPECT_EQ(target("fmadds", bits(1 + 0x1p-12), bits(0x1p-54 - 0x1p-11), bits(1 + 0x1p-12)),
            bits(1 + 0x1p-23));
  EXPECT_EQ(target("fadds", bits(1 + 0x1p-24), bits(0x1p-54)), bits(1 + 0x1p-23));
  EXPECT_EQ(target("fadds", bits(1 + 0x1p-24), 0), kOne);
  // Operands are not rounded first.
  EXPECT_EQ(target("fsubs", bits(1 + 0x1p-40), kOne), bits(0x1p-40));
}

TEST(FloatingPoint, NegationComesAfterRounding) {
  const u64 a = kOne, b = bits(0x1p-60);
  EXPECT_EQ(target("fnmadd", a, b, kOne, 2), bits(-(1 + 0x1p-52)));  // up, then negated
  EXPECT_EQ(target("fnmadd", a, b, kOne, 3), bits(-1));
  EXPECT_EQ(target("fnmsubs", a, b, kOne, 1), bits(-(1 - 0x1p-24)));
  EXPECT_EQ(target("fnmsub", kOne, kOne, kOne), kSign);  // 1 - 1 = +0
  EXPECT_EQ(target("fnmsub", kOne, kOne, kOne, 3), 0u);
  EXPECT_EQ(target("fnmadd", 0, 0, kInf), kQnan);
}

TEST(FloatingPoint, ZeroSums) {
  EXPECT_EQ(target("fsub", kOne, kOne, 0, 0), 0u);
  EXPECT_EQ(target("fsub", kOne, kOne, 0, 3), kSign);
  EXPECT_EQ(target("fadd", kSign, kSign, 0, 2), kSign);
  EXPECT_EQ(target("fadd", 0, kSign, 0, 2), 0u);
  EXPECT_EQ(target("fadd", 0, kSign, 0, 3), kSign);
  EXPECT_EQ(target("fmadd", kOne, 0, kSign, 0), 0u);
  EXPECT_EQ(target("fmadd", kOne, kSign, kSign, 0), kSign);
}

TEST(FloatingPoint, Comparisons) {
  auto compare = [](const char* name, u64 a, u64 b, u64 fpscr = 0) {
    FpState s = run_semantics(fp_word(name), {.fpr = {0, a, b, 0}, .fpscr = fpscr, .cr = 0x11111111});
    EXPECT_EQ(s.cr & 0xFF0FFFFF, 0x11011111u);
    EXPECT_EQ(s.cr >> 20 & 15, s.fpscr >> 12 & 15);
    return s;
  };
  const u64 kept = f::C | f::FR | f::FI;
  EXPECT_EQ(compare("fcmpu", bits(-1), kOne, kept).fpscr, kept | 0x8000);
  EXPECT_EQ(compare("fcmpu", kInf, kMax, kept).fpscr, kept | 0x4000);
  EXPECT_EQ(compare("fcmpu", 0, kSign, kept).fpscr, kept | 0x2000);
  EXPECT_EQ(compare("fcmpu", kQnan, kOne, kept).fpscr, kept | 0x1000);
  EXPECT_EQ(compare("fcmpu", kOne, kSnan).fpscr, f::FX | f::VX | f::VXSNAN | 0x1000);
  EXPECT_EQ(compare("fcmpo", kOne, kQnan, kept).fpscr, kept | f::FX | f::VX | f::VXVC | 0x1000);
  EXPECT_EQ(compare("fcmpo", kSnan, kQnan).fpscr, f::FX | f::VX | f::VXSNAN | f::VXVC | 0x1000);
  const FpState enabled = compare("fcmpo", kSnan, kQnan, f::VE);
  EXPECT_EQ(enabled.fpscr, f::FX | f::FEX | f::VX | f::VXSNAN | f::VE | 0x1000);
  EXPECT_TRUE(enabled.interrupt);
}

TEST(FloatingPoint, ConversionsToIntegers) {
  auto low = [](const char* name, double b, u64 fpscr = 0) {
    return static_cast<u32>(target(name, 0, bits(b), 0, fpscr));
  };
  EXPECT_EQ(low("fctiw", 2.5), 2u);
  EXPECT_EQ(low("fctiw", 3.5), 4u);
  EXPECT_EQ(low("fctiw", -2.5, 3), static_cast<u32>(-3));
  EXPECT_EQ(low("fctiw", 2.5, 2), 3u);
  EXPECT_EQ(low("fctiwz", -2.9), static_cast<u32>(-2));
  EXPECT_EQ(low("fctiw", 2147483647.25), 0x7FFFFFFFu);
  EXPECT_EQ(low("fctiw", -2147483648.5), 0x80000000u);
  EXPECT_EQ(fpscr_after("fctiw", 0, bits(-2147483648.5)), f::FX | f::XX | f::FI);
  EXPECT_EQ(low("fctiw", 2147483647.5), 0x7FFFFFFFu);
  EXPECT_EQ(fpscr_after("fctiw", 0, bits(2147483647.5)), f::FX | f::VX | f::VXCVI);
  EXPECT_EQ(low("fctiw", -2147483649.0), 0x80000000u);
  EXPECT_EQ(target("fctid", 0, bits(0x1p63)), 0x7FFFFFFFFFFFFFFFu);
  EXPECT_EQ(target("fctid", 0, bits(-0x1p63)), kSign);
  EXPECT_EQ(fpscr_after("fctid", 0, bits(-0x1p63)), 0u);
  EXPECT_EQ(target("fctidz", 0, kInf | kSign), kSign);
  EXPECT_EQ(target("fctid", 0, kQnan), kSign);
  EXPECT_EQ(fpscr_after("fctid", 0, kSnan), f::FX | f::VX | f::VXCVI | f::VXSNAN);
  EXPECT_EQ(low("fctiw", std::nan("")), 0x80000000u);
  EXPECT_EQ(fpscr_after("fctid", 0, bits(0.75)), f::FX | f::XX | f::FI | f::FR);
  EXPECT_EQ(target("fctid", 0, kInf, 0, f::VE), kUntouched);
}

TEST(FloatingPoint, ConversionFromIntegers) {
  EXPECT_EQ(target("fcfid", 0, static_cast<u64>(-1)), bits(-1));
  EXPECT_EQ(target("fcfid", 0, 0), 0u);
  EXPECT_EQ(fpscr_after("fcfid", 0, 0), 0x2000u);
  EXPECT_EQ(target("fcfid", 0, (u64{1} << 53) + 1), bits(0x1p53));
  EXPECT_EQ(target("fcfid", 0, (u64{1} << 53) + 1, 0, 2), bits(0x1p53 + 2));
  EXPECT_EQ(target("fcfid", 0, kSign), bits(-0x1p63));
  EXPECT_EQ(target("fcfid", 0, ~kSign), bits(0x1p63));
  EXPECT_EQ(fpscr_after("fcfid", 0, ~kSign), f::FX | f::XX | f::FI | f::FR | 0x4000);
  // A pattern that is a NaN as a double is still an integer.
  EXPECT_EQ(target("fcfid", 0, kSnan), bits(static_cast<double>(kSnan)));
}

TEST(FloatingPoint, RoundingToIntegral) {
  EXPECT_EQ(target("frin", 0, bits(2.5)), bits(3));
  EXPECT_EQ(target("frin", 0, bits(-2.5)), bits(-3));
  EXPECT_EQ(target("frin", 0, bits(0.5)), kOne);
  EXPECT_EQ(target("frin", 0, bits(-0.49999999999999994)), kSign);
  EXPECT_EQ(target("frin", 0, bits(0x1p52 - 0.5)), bits(0x1p52));
  EXPECT_EQ(target("friz", 0, bits(-2.9)), bits(-2));
  EXPECT_EQ(target("frip", 0, bits(-0.5)), kSign);
  EXPECT_EQ(target("frip", 0, bits(2.1)), bits(3));
  EXPECT_EQ(target("frim", 0, bits(-2.1)), bits(-3));
  // No rounding mode, no inexact.
  EXPECT_EQ(fpscr_after("frip", 0, bits(2.1), 0, f::XE | f::FI | f::FR | 1), f::XE | 0x4000 | 1);
  EXPECT_EQ(target("frim", 0, kSnan), kSnan | u64{1} << 51);
  EXPECT_EQ(fpscr_after("frim", 0, kSnan), f::FX | f::VX | f::VXSNAN | 0x11000);
  EXPECT_EQ(target("frin", 0, kSnan, 0, f::VE), kUntouched);
}

TEST(FloatingPoint, EstimatesAreClose) {
  Operands operands(3);
  for (int i = 0; i < 100000; i++) {
    const double b = std::bit_cast<double>(operands.value());
    if (!std::isnormal(b) || std::fabs(b) > 0x1p1000 || std::fabs(b) < 0x1p-1000) continue;
    EXPECT_LT(std::fabs(std::bit_cast<double>(target("fre", 0, bits(b))) * b - 1), 0x1p-50);
    const double r = std::bit_cast<double>(target("frsqrte", 0, bits(std::fabs(b))));
    EXPECT_LT(std::fabs(r * std::sqrt(std::fabs(b)) - 1), 0x1p-50);
    if (std::fabs(b) > 0x1p100 || std::fabs(b) < 0x1p-100) continue;
    EXPECT_LT(std::fabs(std::bit_cast<double>(target("fres", 0, bits(b))) * b - 1), 0x1p-23);
    const double s = std::bit_cast<double>(target("frsqrtes", 0, bits(std::fabs(b))));
    EXPECT_LT(std::fabs(s * std::sqrt(std::fabs(b)) - 1), 0x1p-23);
    EXPECT_EQ(bits(static_cast<float>(s)), bits(s));
  }
  EXPECT_EQ(target("fre", 0, kInf | kSign), kSign);
  EXPECT_EQ(target("frsqrte", 0, kInf), 0u);
  EXPECT_EQ(fpscr_after("fre", 0, bits(3), 0, f::FI | f::FR | f::XE), f::XE | 0x4000);
}

TEST(FloatingPoint, MovesDoNotTouchFpscr) {
  const u64 all = f::FX | f::XX | f::FR | f::FI | f::FPRF | 3;
  for (const char* name : {"fmr", "fneg", "fabs", "fnabs", "fcpsgn", "fsel"}) {
    EXPECT_EQ(fpscr_after(name, kSnan, kSnan, kSnan, all), all) << name;
  }
  EXPECT_EQ(target("fneg", 0, kSnan), kSnan | kSign);
  EXPECT_EQ(target("fabs", 0, kSnan | kSign), kSnan);
  EXPECT_EQ(target("fnabs", 0, kOne), kOne | kSign);
  EXPECT_EQ(target("fcpsgn", kSign, kSnan), kSnan | kSign);
  EXPECT_EQ(target("fcpsgn", kOne, bits(-2)), bits(2));
  const u64 b = bits(2), c = bits(3);
  EXPECT_EQ(target("fsel", kSign, b, c), c);
  EXPECT_EQ(target("fsel", kInf, b, c), c);
  EXPECT_EQ(target("fsel", kSign | 1, b, c), b);
  EXPECT_EQ(target("fsel", kQnan, b, c), b);
  EXPECT_EQ(run("fmr.", 0, kOne, 0, f::FX | f::OX).cr, 0x09000000u);
}

/// FPSCR after an instruction word of the FPSCR group; FRB is f3.
u64 status(u32 word, u64 fpscr, u64 b = 0) {
  return run_semantics(word, {.fpr = {0, 0, b, 0}, .fpscr = fpscr}).fpscr;
}
u32 mtfsf(u32 flm, u32 l = 0, u32 w = 0) { return 0xFC00058E | l << 25 | flm << 17 | w << 16 | 3 << 11; }
u32 mtfsfi(u32 bf, u32 u, u32 w = 0) { return 0xFC00010C | bf << 23 | w << 16 | u << 12; }
u32 mtfsb(u32 set, u32 bit) { return (set ? 0xFC00004C : 0xFC00008C) | bit << 21; }
u32 mcrfs(u32 bf, u32 bfa) { return 0xFC000080 | bf << 23 | bfa << 18; }

TEST(FloatingPoint, ReadingAndWritingFpscr) {
  EXPECT_EQ(target("mffs", 0, 0, 0, f::DRN | f::FX | 3), f::DRN | f::FX | 3);
  EXPECT_EQ(status(mtfsf(0xFF), 0, ~u64{0}), (f::kWritable & 0xFFFFFFFF) | f::FEX | f::VX);
  EXPECT_EQ(status(mtfsf(0, 1), 0, ~u64{0}), f::kWritable | f::FEX | f::VX);
  EXPECT_EQ(status(mtfsf(0xFF, 0, 1), 3, ~u64{0}), f::DRN | 3);
  EXPECT_EQ(status(mtfsf(0x01, 0, 1), 0, u64{5} << 32 | 0xFF), u64{5} << 32);
  EXPECT_EQ(status(mtfsf(0x01), f::FX | f::XX, ~u64{0}), f::FX | f::XX | 7 | f::XE | (f::FEX));
  // FX comes from the source, and only with field 0; FEX and VX never do.
  EXPECT_EQ(status(mtfsf(0x40), 0, f::XX), f::XX);
  EXPECT_EQ(status(mtfsf(0x80), f::FX, f::FEX | f::VX | f::OX), f::OX);
  EXPECT_EQ(status(mtfsf(0x80), 0, f::FX), f::FX);
  EXPECT_EQ(status(mtfsfi(7, 2), 1), 2u);
  EXPECT_EQ(status(mtfsfi(7, 15, 1), 0), f::DRN);
  EXPECT_EQ(status(mtfsfi(0, 9), 0), f::FX | f::OX);
  EXPECT_EQ(status(mtfsfi(3, 8), 0), f::VX | f::VXVC);
  EXPECT_EQ(run_semantics(mtfsfi(0, 9) | 1, {}).cr, 0x09000000u);
  // Setting FEX interrupts.
  EXPECT_TRUE(run_semantics(mtfsfi(1, 2), {.fpscr = f::XE}).interrupt);
  EXPECT_FALSE(run_semantics(mtfsfi(1, 2), {}).interrupt);
}

TEST(FloatingPoint, SingleFpscrBits) {
  EXPECT_EQ(status(mtfsb(1, 3), 0), f::FX | f::OX);
  EXPECT_EQ(status(mtfsb(1, 3), f::OX), f::OX);
  EXPECT_EQ(status(mtfsb(1, 1), 0), 0u);
  EXPECT_EQ(status(mtfsb(1, 2), 0), 0u);
  EXPECT_EQ(status(mtfsb(1, 20), 0), 0u);
  EXPECT_EQ(status(mtfsb(1, 13), 0), f::FR);
  EXPECT_EQ(status(mtfsb(1, 31), 0), 1u);
  EXPECT_EQ(status(mtfsb(1, 21), 0), f::FX | f::VX | f::VXSOFT);
  EXPECT_EQ(status(mtfsb(0, 21), f::FX | f::VX | f::VXSOFT), f::FX);
  EXPECT_EQ(status(mtfsb(0, 2), f::VX | f::VXSOFT), f::VX | f::VXSOFT);
  EXPECT_EQ(status(mtfsb(0, 24), f::FX | f::FEX | f::VX | f::VXSOFT | f::VE), f::FX | f::VX | f::VXSOFT);
  EXPECT_TRUE(run_semantics(mtfsb(1, 28), {.fpscr = f::XX}).interrupt);
}

TEST(FloatingPoint, FpscrFieldsToCr) {
  const u64 all = cpu::fpu::summarise(f::kWritable & ~(f::VE | f::OE | f::UE | f::ZE | f::XE));
  struct {
    u32 field, cr;
    u64 cleared;
  } const cases[] = {{0, 0xB, f::FX | f::OX},
                     {1, 0xF, f::UX | f::ZX | f::XX | f::VXSNAN},
                     {2, 0xF, f::VXISI | f::VXIDI | f::VXZDZ | f::VXIMZ},
                     {3, 0xF, f::VXVC},
                     {4, 0xF, 0},
                     {5, 0x7, f::VXSOFT | f::VXSQRT | f::VXCVI},
                     {6, 0x0, 0},
                     {7, 0x7, 0}};
  for (const auto& c : cases) {
    const FpState s = run_semantics(mcrfs(6, c.field), {.fpscr = all, .cr = 0x12345678});
    EXPECT_EQ(s.cr, 0x12345608u | c.cr << 4) << c.field;
    EXPECT_EQ(s.fpscr, all & ~c.cleared) << c.field;
  }
  // VX goes with its last cause.
  EXPECT_EQ(status(mcrfs(0, 3), f::FX | f::VX | f::VXVC), f::FX);
}

TEST(FloatingPoint, SinglesInStorage) {
  auto loaded = [](u32 word) {
    return run_semantics(fp_word("lfs"), {.memory = {u64{word} << 32, 0}}).fpr[0];
  };
  auto stored = [](u64 value) {
    return static_cast<u32>(run_semantics(fp_word("stfs"), {.fpr = {value, 0, 0, 0}}).memory[0] >> 32);
  };
  struct {
    u32 single;
    u64 value;
  } const cases[] = {{0, 0},
                     {0x80000000, kSign},
                     {0x3F800000, kOne},
                     {0x00000001, 0x36A0000000000000},
                     {0x807FFFFF, 0xB80FFFFFC0000000},
                     {0x00800000, 0x3810000000000000},
                     {0x7F7FFFFF, 0x47EFFFFFE0000000},
                     {0xFF800000, kInf | kSign},
                     {0x7FC00000, kQnan},
                     {0x7F800001, 0x7FF0000020000000},
                     {0xFFBFFFFF, 0xFFF7FFFFE0000000}};
  for (const auto& c : cases) {
    EXPECT_EQ(loaded(c.single), c.value) << c.single;
    EXPECT_EQ(stored(c.value), c.single) << c.single;
  }
  for (u32 exponent = 0; exponent < 256; exponent++) {
    for (u32 word : {exponent << 23 | 0x2AAAAA, exponent << 23 | 0x80555555})
      EXPECT_EQ(stored(loaded(word)), word);
  }
  EXPECT_EQ(stored(0x3690000000000000), 0u);               // below the least denormal
  EXPECT_EQ(stored(0x3810000000000000 - 1), 0x007FFFFFu);  // bits are dropped, not rounded
  EXPECT_EQ(stored(0x3FF000001FFFFFFF), 0x3F800000u);
}

TEST(FloatingPoint, OtherLoadsAndStores) {
  EXPECT_EQ(run_semantics(fp_word("lfiwax"), {.memory = {0x80000001FFFFFFFF, 0}}).fpr[0],
            0xFFFFFFFF80000001u);
  EXPECT_EQ(run_semantics(fp_word("stfiwx"), {.fpr = {kUntouched, 0, 0, 0}}).memory[0], 0x9ABCDEF000000000u);
  const FpState pair = run_semantics(fp_word("lfdp"), {.memory = {1, 2}});
  EXPECT_EQ(pair.fpr[1], 1u);
  EXPECT_EQ(pair.fpr[2], 2u);
  const FpState out = run_semantics(fp_word("stfdpx"), {.fpr = {0, 3, 4, 0}});
  EXPECT_EQ(out.memory, (std::array<u64, 2>{3, 4}));
  cpu::State s;
  s.msr = cpu::msr::FP;
  s.gpr[7] = kSnan;
  execute_fp(s, 0x7C6004BE | 7 << 11);  // mffgpr f3,r7
  EXPECT_EQ(s.fpr[3], kSnan);
  execute_fp(s, 0x7D0005BE | 3 << 11);  // mftgpr r8,f3
  EXPECT_EQ(s.gpr[8], kSnan);
}

TEST(FloatingPoint, UpdateFormsAndFaults) {
  Hardware machine(1, 1 << 20, 18);
  cpu::Thread& thread = machine.thread();
  cpu::State& s = thread.state();
  s.msr |= cpu::msr::FP;
  thread.state_changed();
  machine.memory().store<u64>(0x1FFC, kOne);
  s.gpr[4] = 0x2000;
  EXPECT_EQ(execute_fp(s, 0xCC240000 | 0xFFFC), Flow::kNext);  // lfdu f1,-4(r4), across a page
  EXPECT_EQ(s.fpr[1], kOne);
  EXPECT_EQ(s.gpr[4], 0x1FFCu);
  s.gpr[5] = 0x1004;
  EXPECT_EQ(execute_fp(s, fp_word("stfsux")), Flow::kNext);
  EXPECT_EQ(machine.memory().load<u32>(0x3000), 0x3F800000u);
  EXPECT_EQ(s.gpr[4], 0x3000u);
  // 32-bit mode: the address wraps, and the base with it.
  s.ea_mask = 0xFFFFFFFF;
  s.gpr[4] = 0xFFFFFFFF00003008, s.gpr[5] = static_cast<u64>(-8);
  EXPECT_EQ(execute_fp(s, fp_word("lfsux")), Flow::kNext);
  EXPECT_EQ(s.gpr[4], 0x3000u);
  s.ea_mask = ~u64{0};
  // Beyond the end of memory: nothing changes.
  s.gpr[4] = 0x7FFFFFF0, s.gpr[5] = 0x20;
  s.fpr[1] = s.fpr[2] = s.fpr[3] = kUntouched;
  for (const char* name : {"lfsux", "lfdux", "lfsu", "lfdu", "stfsux", "stfdu", "lfdp", "lfdpx", "stfdp",
                           "lfiwax", "stfiwx", "lfs", "stfd"}) {
    EXPECT_EQ(execute_fp(s, fp_word(name)), Flow::kStop) << name;
    EXPECT_EQ(s.fault.vector, cpu::Vector::kDataStorage) << name;
    EXPECT_EQ(s.gpr[4], 0x7FFFFFF0u) << name;
    EXPECT_EQ(s.fpr[1], kUntouched) << name;
  }
  // The second half of a pair faults: neither register changes.
  s.gpr[4] = machine.memory().size() - 8;
  EXPECT_EQ(execute_fp(s, fp_word("lfdp")), Flow::kStop);
  EXPECT_EQ(s.fpr[2], kUntouched);
}

TEST(FloatingPoint, AgreesWithExactArithmetic) {
  Operands operands(1);
  const u64 cases = case_count(4000);
  for (const std::string& name : fp_mnemonics()) {
    if (!expect(name, {.fpr = {0, kOne, kOne, kOne}})) continue;
    const u32 word = fp_word(name);
    const bool singles =
        name.find("s.") != std::string::npos || name.back() == 's' || name.starts_with("frsp");
    u64 compared = 0, failures = 0;
    for (u64 i = 0; i < cases * 4 && failures < 5; i++) {
      const auto [a, b, c] = operands.triple(singles);
      FpState in{.fpr = {kUntouched, a, b, c}, .fpscr = operands.fpscr(i % 4), .cr = 0x12345678};
      if (name.starts_with("fcfid") && operands.below(2)) in.fpr[2] = operands.word() >> operands.below(64);
      const auto want = expect(name, in);
      if (!want) continue;
      compared++;
      FpState got = run_semantics(word, in), wanted = want->state;
      got.fpscr &= ~want->undefined;
      wanted.fpscr &= ~want->undefined;
      if (want->undefined & f::FX && name.back() == '.') got.cr = wanted.cr;
      if (got != wanted) {
        failures++;
        ADD_FAILURE() << name << "\nin   " << in << "\nwant " << wanted << "\ngot  " << got;
      }
    }
    EXPECT_GT(compared, cases * 2) << name;
  }
}

}  // namespace
}  // namespace baton::test
