// SPDX-License-Identifier: Apache-2.0
// The rules of decimal floating point by hand (POWER6-ISA 2.4, 4.11, 4.12).
#include <gtest/gtest.h>
#include <immintrin.h>

#include "cpu/dfp/format.h"
#include "cpu/fpu/fpu.h"
#include "tests/cpu/dfp_harness.h"

namespace baton::test {
namespace {

namespace f = cpu::fpscr;

constexpr u64 kUntouched = 0x0123456789ABCDEF;
constexpr u64 kQuietNan = 0x11000, kSignallingNan = 0x1000, kMinusInfinity = 0x9000, kPlusInfinity = 0x5000,
              kMinusNormal = 0x8000, kPlusNormal = 0x4000, kPlusSubnormal = 0x14000, kMinusZero = 0x12000,
              kPlusZero = 0x2000;

u128 encoded(const DecimalFormat& format, const std::string& text) {
  DecimalText v = parse_decimal(text).value();
  for (; v.exponent > format.greatest(); v.exponent--) v.digits += '0';
  return encode_decimal(format, v);
}
void put(DfpState& s, unsigned at, u128 bits, bool quad) {
  s.fpr[at] = static_cast<u64>(quad ? bits >> 64 : bits);
  if (quad) s.fpr[at + 1] = static_cast<u64>(bits);
}

/// Runs `mnemonic` on numbers given as text, in long format or, if it is a quad instruction, in extended
/// format.
struct Try {
  std::string mnemonic;
  std::vector<u32> immediates = {};
  std::string a = "0", b = "0";
  u64 fpscr = 0;

  bool quad() const { return is_quad(mnemonic); }
  DfpState in() const {
    const DecimalFormat& format = quad() ? kDecimal128 : kDecimal64;
    DfpState s{.fpr = {kUntouched, kUntouched}, .fpscr = fpscr};
    put(s, 2, encoded(format, a), quad());
    put(s, 4, encoded(format, b), quad());
    return s;
  }
  DfpState out() const { return run_decimal(dfp_word(mnemonic, immediates), in()); }
};
std::string text(const DfpState& s, bool quad) {
  return to_string(decode_decimal(quad ? kDecimal128 : kDecimal64, s.operand(0, quad)));
}

TEST(DecimalRules, EveryInstructionAsksForFloatingPointFirst) {
  DecimalOperands operands(7);
  EXPECT_EQ(dfp_mnemonics().size(), 86u);
  for (const std::string& name : dfp_mnemonics())
    EXPECT_TRUE(unavailable_without_fp(operands.word_of(name))) << name;
}

TEST(DecimalRules, TablesOfDeclets) {
  using namespace cpu::dfp;
  EXPECT_EQ(kDeclet[0], 0);
  EXPECT_EQ(kDeclet[5], 5);
  EXPECT_EQ(kDeclet[9], 9);
  EXPECT_EQ(kDeclet[55], 0x55);
  EXPECT_EQ(kDeclet[79], 0x79);
  EXPECT_EQ(kDeclet[80], 0xA);
  EXPECT_EQ(kDeclet[99], 0x5F);
  EXPECT_EQ(kDeclet[555], 0x2D5);
  EXPECT_EQ(kDeclet[999], 0xFF);
  int redundant = 0;
  for (u32 i = 0; i < 1024; i++) redundant += kDeclet[kDecletValue[i]] != i;
  EXPECT_EQ(redundant, 24);
  for (u32 declet : {0xFFu, 0x1FFu, 0x2FFu, 0x3FFu}) EXPECT_EQ(kDecletValue[declet], 999);
}

TEST(DecimalRules, Encodings) {
  using namespace cpu::dfp;
  EXPECT_EQ(encode<kLong>(NumberOf<kLong>{.coefficient = 1}), 0x2238000000000001);
  EXPECT_EQ(encode<kLong>(NumberOf<kLong>{.negative = true, .coefficient = 9999999999999999}),
            0xEE38FF3FCFF3FCFF);
  EXPECT_EQ(encode<kLong>(NumberOf<kLong>{.exponent = 369, .coefficient = 9999999999999999}),
            0x77FCFF3FCFF3FCFF);
  EXPECT_EQ(encode<kLong>(NumberOf<kLong>{.kind = Kind::kSignallingNan, .coefficient = 1}),
            0x7E00000000000001);
  EXPECT_EQ(encode<kShort>(NumberOf<kShort>{.coefficient = 1}), 0x22500001u);
  EXPECT_EQ(encode<kExtended>(NumberOf<kExtended>{.coefficient = 1}),
            static_cast<u128>(0x2208000000000000) << 64 | 1);
  // Any bits of a number, an infinity or a NaN that mean nothing are gone afterwards.
  EXPECT_EQ(encode<kLong>(decode<kLong>(0x7BFC000000000000)), 0x7800000000000000);
  EXPECT_EQ(encode<kLong>(decode<kLong>(0xFDFC000000000000)), 0xFC00000000000000);
  EXPECT_EQ(encode<kLong>(decode<kLong>(0x22380000000003FF)), 0x22380000000000FF);
}

struct Rounds {
  const char* b;
  const char*
      results[8];  ///< By DRN: half even, to zero, up, down, half away, half to zero, away, for shorter.
};
TEST(DecimalRules, RoundsInEightModes) {
  static constexpr Rounds kCases[] = {
      {"0.25", {"2", "2", "3", "2", "3", "2", "3", "2"}},  {"0.35", {"4", "3", "4", "3", "4", "3", "4", "3"}},
      {"-0.25", {"2", "2", "2", "3", "3", "2", "3", "2"}}, {"0.26", {"3", "2", "3", "2", "3", "3", "3", "2"}},
      {"-0.34", {"3", "3", "3", "4", "3", "3", "4", "3"}}, {"0.01", {"", "", "1", "", "", "", "1", "1"}},
      {"-0.01", {"", "", "", "1", "", "", "1", "1"}},      {"0.51", {"5", "5", "6", "5", "5", "5", "6", "6"}},
      {"0.30", {"3", "3", "3", "3", "3", "3", "3", "3"}},  {"0.05", {"", "", "1", "", "1", "", "1", "1"}},
      {"-0.05", {"", "", "", "1", "1", "", "1", "1"}},     {"0.15", {"2", "1", "2", "1", "2", "1", "2", "1"}},
  };
  for (const Rounds& c : kCases) {
    for (u64 drn = 0; drn < 8; drn++) {
      for (const char* name : {"dqua", "dquaq"}) {
        const Try run{name, {3}, "1E-1", c.b, drn << 32};
        const DecimalText got =
            decode_decimal(run.quad() ? kDecimal128 : kDecimal64, run.out().operand(0, run.quad()));
        EXPECT_EQ(got.digits, c.results[drn]) << name << ' ' << c.b << " DRN " << drn;
        EXPECT_EQ(got.exponent, -1);
        EXPECT_EQ(got.negative, c.b[0] == '-');
      }
    }
  }
}

TEST(DecimalRules, RoundingFields) {
  // RMC: half even, to zero, half away, DRN.
  const char* quantized[] = {"2E-1", "2E-1", "3E-1", "3E-1"};
  for (u32 rmc = 0; rmc < 4; rmc++) {
    const DfpState out = Try{"dqua", {rmc}, "1E-1", "0.25", u64{6} << 32}.out();
    EXPECT_EQ(text(out, false), quantized[rmc]);
  }
  // The second set: up, down, away, half to zero.
  const char* rounded[] = {"3E0", "2E0", "3E0", "2E0"};
  const char* negative[] = {"-2E0", "-3E0", "-3E0", "-2E0"};
  for (u32 rmc = 0; rmc < 4; rmc++) {
    for (const char* name : {"drintx", "drintn"}) {
      EXPECT_EQ(text(Try{name, {1, rmc}, "0", "2.5"}.out(), false), rounded[rmc]);
      EXPECT_EQ(text(Try{name, {1, rmc}, "0", "-2.5"}.out(), false), negative[rmc]);
    }
  }
}

struct Sum {
  const char *mnemonic, *a, *b, *result;
  u64 fpscr;  ///< Out, FX not counted.
};
TEST(DecimalRules, ArithmeticAndPreferredExponents) {
  static const Sum kCases[] = {
      {"dadd", "1.20", "2.3", "350E-2", kPlusNormal},
      {"dadd", "1E5", "1", "100001E0", kPlusNormal},
      {"dadd", "0E5", "1E10", "100000E5", kPlusNormal},
      {"dadd", "0E-20", "1", "1000000000000000E-15", kPlusNormal},
      {"dadd", "9999999999999999", "1", "1000000000000000E1", kPlusNormal},
      {"dadd", "9999999999999999", "0.5", "1000000000000000E1", kPlusNormal | f::XX | f::FI | f::FR},
      {"dadd", "9999999999999998", "0.5", "9999999999999998E0", kPlusNormal | f::XX | f::FI},
      {"dadd", "1E300", "1E-300", "1000000000000000E285", kPlusNormal | f::XX | f::FI},
      {"dsub", "1E300", "1E-300", "1000000000000000E285", kPlusNormal | f::XX | f::FI | f::FR},
      {"dsub", "1.50", "1.5", "0E-2", kPlusZero},
      {"dadd", "-0E3", "-0E1", "-0E1", kMinusZero},
      {"dadd", "-0", "0", "0E0", kPlusZero},
      {"dsub", "-0", "0", "-0E0", kMinusZero},
      {"dmul", "1.20", "3", "360E-2", kPlusNormal},
      {"dmul", "-0E-200", "1E-300", "-0E-398", kMinusZero},
      {"dmul", "0E200", "1E300", "0E369", kPlusZero},
      {"dmul", "1E300", "1E80", "100000000000E369", kPlusNormal},
      {"dmul", "1E-200", "1E-198", "1E-398", kPlusSubnormal},
      {"ddiv", "1", "4", "25E-2", kPlusNormal},
      {"ddiv", "100", "4", "25E0", kPlusNormal},
      {"ddiv", "2.40", "2", "120E-2", kPlusNormal},
      {"ddiv", "1E20", "1E3", "1E17", kPlusNormal},
      {"ddiv", "1", "3", "3333333333333333E-16", kPlusNormal | f::XX | f::FI},
      {"ddiv", "2", "3", "6666666666666667E-16", kPlusNormal | f::XX | f::FI | f::FR},
      {"ddiv", "-0", "4E5", "-0E-5", kMinusZero},
      {"ddiv", "5", "-Infinity", "-0E-398", kMinusZero},
      {"dadd", "Infinity", "-1", "Infinity", kPlusInfinity},
      {"dsub", "5", "Infinity", "-Infinity", kMinusInfinity},
      {"dmul", "-Infinity", "-2", "Infinity", kPlusInfinity},
      // Quad: 34 digits.
      {"daddq", "9999999999999999999999999999999999", "1", "1000000000000000000000000000000000E1",
       kPlusNormal},
      {"daddq", "1E6000", "-1E-6000", "1000000000000000000000000000000000E5967",
       kPlusNormal | f::XX | f::FI | f::FR},
      {"dmulq", "1111111111111111111111111111111111", "9", "9999999999999999999999999999999999E0",
       kPlusNormal},
      {"dmulq", "-9999999999999999999999999999999999", "9999999999999999999999999999999999",
       "-9999999999999999999999999999999998E34", kMinusNormal | f::XX | f::FI},
      {"ddivq", "1", "7", "1428571428571428571428571428571429E-34", kPlusNormal | f::XX | f::FI | f::FR},
      {"ddivq", "1E10", "8", "125E7", kPlusNormal},
  };
  for (const Sum& c : kCases) {
    const Try run{c.mnemonic, {}, c.a, c.b};
    const DfpState out = run.out();
    EXPECT_EQ(text(out, run.quad()), c.result) << c.mnemonic << ' ' << c.a << ' ' << c.b;
    EXPECT_EQ(out.fpscr & ~f::FX, c.fpscr) << c.mnemonic << ' ' << c.a << ' ' << c.b;
    EXPECT_EQ((out.fpscr & f::FX) != 0, (c.fpscr & f::XX) != 0);
  }
  // A sum that cancels is negative in one mode only.
  for (u64 drn = 0; drn < 8; drn++) {
    EXPECT_EQ(text(Try{"dadd", {}, "7", "-7", drn << 32}.out(), false), drn == 3 ? "-0E0" : "0E0");
  }
}

TEST(DecimalRules, OverflowAndUnderflowDisabled) {
  for (u64 drn = 0; drn < 8; drn++) {
    for (const bool negative : {false, true}) {
      const DfpState out = Try{"dmul", {}, negative ? "-9E384" : "9E384", "9", drn << 32}.out();
      const bool greatest = drn == 1 || drn == 7 || drn == (negative ? 2 : 3);
      const std::string sign = negative ? "-" : "";
      EXPECT_EQ(text(out, false), sign + (greatest ? "9999999999999999E369" : "Infinity")) << drn;
      EXPECT_EQ(out.fpscr & (f::OX | f::UX | f::XX | f::FI | f::FX), f::OX | f::XX | f::FI | f::FX);
      EXPECT_EQ(out.fpscr & f::FPRF, greatest ? (negative ? kMinusNormal : kPlusNormal)
                                              : (negative ? kMinusInfinity : kPlusInfinity));
    }
  }
  // Tiny before rounding, and inexact.
  DfpState out = Try{"dmul", {}, "9999999999999995E-398", "1E-1"}.out();
  EXPECT_EQ(text(out, false), "1000000000000000E-398");
  EXPECT_EQ(out.fpscr, f::FX | f::UX | f::XX | f::FR | f::FI | kPlusNormal);
  out = Try{"dmul", {}, "1E-398", "1E-398"}.out();
  EXPECT_EQ(text(out, false), "0E-398");
  EXPECT_EQ(out.fpscr, f::FX | f::UX | f::XX | f::FI | kPlusZero);
  // Tiny and exact.
  out = Try{"dmul", {}, "1000E-398", "1E-2"}.out();
  EXPECT_EQ(text(out, false), "10E-398");
  EXPECT_EQ(out.fpscr, kPlusSubnormal);
}

struct Enabled {
  const char *mnemonic, *a, *b;
  u64 enable;
  const char* result;  ///< nullptr: the target stays.
  u64 fpscr;           ///< Exceptions, FR, FI, FPRF.
};
TEST(DecimalRules, EnabledExceptionsInterrupt) {
  static const Enabled kCases[] = {
      {"dadd", "sNaN1", "1", f::VE, nullptr, f::VXSNAN},
      {"dadd", "Infinity", "-Infinity", f::VE, nullptr, f::VXISI},
      {"dsub", "Infinity", "Infinity", f::VE, nullptr, f::VXISI},
      {"dmul", "Infinity", "0", f::VE, nullptr, f::VXIMZ},
      {"ddiv", "Infinity", "Infinity", f::VE, nullptr, f::VXIDI},
      {"ddiv", "0", "0", f::VE, nullptr, f::VXZDZ},
      {"ddiv", "1", "0", f::ZE, nullptr, f::ZX},
      {"dadd", "1", "1E-50", f::XE, "1000000000000000E-15", f::XX | f::FI | kPlusNormal},
      // The exponent is lower by 576 or 9216, or higher.
      {"dmul", "1E369", "1E25", f::OE, "1E-182", f::OX | kPlusNormal},
      {"dmul", "9999999999999999E369", "9", f::OE, "8999999999999999E-206",
       f::OX | f::XX | f::FI | kPlusNormal},
      {"dmul", "1E-300", "1E-300", f::UE, "1E-24", f::UX | kPlusNormal},
      {"dmul", "1000E-398", "1E-2", f::UE, "1000E176", f::UX | kPlusNormal},
      {"ddiv", "1E-390", "3", f::UE, "3333333333333333E170", f::UX | f::XX | f::FI | kPlusNormal},
      {"dmulq", "1E6000", "1E1000", f::OE, "1E-2216", f::OX | kPlusNormal},
      {"dmulq", "1E-6000", "1E-1000", f::UE, "1E2216", f::UX | kPlusNormal},
  };
  for (const Enabled& c : kCases) {
    for (const char* dot : {"", "."}) {
      const Try run{c.mnemonic + std::string(dot), {}, c.a, c.b, c.enable | f::FR | f::FI | kMinusZero};
      const DfpState out = run_decimal(dfp_word(run.mnemonic), run.in());
      EXPECT_TRUE(out.interrupt) << c.mnemonic << ' ' << c.a << ' ' << c.b;
      const u64 status = c.fpscr | (c.result ? 0 : kMinusZero);
      EXPECT_EQ(out.fpscr, cpu::fpu::summarise(status | f::FX | c.enable))
          << c.mnemonic << ' ' << c.a << ' ' << c.b;
      if (c.result)
        EXPECT_EQ(text(out, is_quad(c.mnemonic)), c.result);
      else
        EXPECT_EQ(out.fpr[0], kUntouched);
      EXPECT_EQ(out.cr, *dot ? static_cast<u32>(out.fpscr >> 28 & 15) << 24 : 0u);
    }
  }
}

TEST(DecimalRules, NarrowingWithEnabledExceptionsStaysInTheWiderFormat) {
  // Rounded to the narrower precision, the exponent adjusted by 192 or 3072.
  DfpState out = Try{"drsp", {}, "0", "1234567891E200", f::OE}.out();
  EXPECT_EQ(text(out, false), "1234568E11");
  EXPECT_EQ(out.fpscr & ~(f::FX | f::FEX), f::OE | f::OX | f::XX | f::FI | f::FR | kPlusNormal);
  out = Try{"drsp", {}, "0", "12E-200", f::UE}.out();
  EXPECT_EQ(text(out, false), "12E-8");
  EXPECT_EQ(out.fpscr & ~(f::FX | f::FEX), f::UE | f::UX | kPlusNormal);
  out = Try{"drdpq", {}, "0", "-12345678912345678E4000", f::OE}.out();
  EXPECT_EQ(text(out, true), "-1234567891234568E929");
}

TEST(DecimalRules, NansPropagate) {
  struct Propagation {
    const char *a, *b, *result;
    bool invalid;
  };
  static constexpr Propagation kCases[] = {
      {"NaN1", "2", "NaN1", false},       {"2", "-NaN7", "-NaN7", false},    {"NaN1", "NaN2", "NaN1", false},
      {"sNaN3", "NaN2", "NaN3", true},    {"NaN1", "-sNaN2", "-NaN2", true}, {"sNaN3", "sNaN4", "NaN3", true},
      {"Infinity", "NaN5", "NaN5", false}};
  for (const char* name :
       {"dadd", "dsub", "dmul", "ddiv", "daddq", "dsubq", "dmulq", "ddivq", "dqua", "dquaq"}) {
    for (const Propagation& c : kCases) {
      Try run{name, {}, c.a, c.b};
      if (!dfp_immediates(name).empty()) run.immediates = {0};
      const DfpState out = run.out();
      EXPECT_EQ(text(out, run.quad()), c.result) << name << ' ' << c.a << ' ' << c.b;
      EXPECT_EQ(out.fpscr, kQuietNan | (c.invalid ? f::VXSNAN | f::VX | f::FX : 0));
    }
  }
  // What an invalid operation makes is positive and has no payload.
  const DfpState out = Try{"dsub", {}, "-Infinity", "-Infinity"}.out();
  EXPECT_EQ(out.fpr[0], 0x7C00000000000000);
  EXPECT_EQ(out.fpscr, kQuietNan | f::VXISI | f::VX | f::FX);
}

TEST(DecimalRules, Comparisons) {
  struct Order {
    const char *a, *b;
    u32 field;
  };
  static constexpr Order kCases[] = {{"1", "1.000", 2},
                                     {"-0", "0E300", 2},
                                     {"1", "2", 8},
                                     {"-1", "-2", 4},
                                     {"1E10", "9999999999", 4},
                                     {"-Infinity", "1", 8},
                                     {"Infinity", "9E384", 4},
                                     {"Infinity", "Infinity", 2},
                                     {"-Infinity", "Infinity", 8},
                                     {"0", "1E-398", 8},
                                     {"-1E-398", "0", 8},
                                     {"NaN", "1", 1},
                                     {"1E384", "1000000000000000E369", 2},
                                     {"1", "sNaN", 1}};
  for (const Order& c : kCases) {
    for (const char* name : {"dcmpu", "dcmpo", "dcmpuq", "dcmpoq"}) {
      const DfpState out = Try{name, {5}, c.a, c.b, f::FR | f::FI | f::C | f::FPCC}.out();
      EXPECT_EQ(out.cr, c.field << 8) << name << ' ' << c.a << ' ' << c.b;
      const bool ordered = std::string(name).starts_with("dcmpo"), signalling = std::string(c.b) == "sNaN";
      u64 causes = signalling ? f::VXSNAN : 0;
      if (ordered && c.field == 1) causes |= f::VXVC;
      EXPECT_EQ(out.fpscr, f::FR | f::FI | f::C | u64{c.field} << 12 | causes | (causes ? f::VX | f::FX : 0))
          << name;
    }
  }
  // With VE = 1 a signalling NaN is the only cause; CR and FPCC are set all the same.
  const DfpState out = Try{"dcmpo", {0}, "sNaN", "1", f::VE}.out();
  EXPECT_TRUE(out.interrupt);
  EXPECT_EQ(out.cr, 0x10000000u);
  EXPECT_EQ(out.fpscr, f::VE | f::VXSNAN | f::VX | f::FX | f::FEX | 0x1000);
}

TEST(DecimalRules, Tests) {
  struct Classified {
    const char* a;
    u32 classes, groups;
  };
  static constexpr Classified kCases[] = {{"0", 0x20, 0x20},
                                          {"-0E-398", 0x20, 0x10},
                                          {"0E369", 0x20, 0x10},
                                          {"1E-398", 0x10, 0x08},
                                          {"-1E-390", 0x10, 0x08},
                                          {"1E369", 0x08, 0x08},
                                          {"1000000000000000E-398", 0x08, 0x08},
                                          {"12", 0x08, 0x04},
                                          {"1234567890123456", 0x08, 0x02},
                                          {"-Infinity", 0x04, 0x01},
                                          {"NaN", 0x02, 0x01},
                                          {"-sNaN3", 0x01, 0x01}};
  for (const Classified& c : kCases) {
    const u32 sign = c.a[0] == '-' ? 8 : 0;
    for (u32 mask = 0; mask < 64; mask++) {
      EXPECT_EQ(Try({"dtstdc", {0, mask}, c.a}).out().cr >> 28, sign | (mask & c.classes ? 2 : 0))
          << c.a << mask;
      const DfpState out = Try{"dtstdg", {0, mask}, c.a, "0", f::C | f::FR | f::FI}.out();
      EXPECT_EQ(out.cr >> 28, sign | (mask & c.groups ? 2 : 0)) << c.a << ' ' << mask;
      EXPECT_EQ(out.fpscr, f::C | f::FR | f::FI | u64{out.cr >> 28} << 12);
    }
  }
  EXPECT_EQ(Try({"dtstex", {0}, "1E5", "2E6"}).out().cr >> 28, 8u);
  EXPECT_EQ(Try({"dtstex", {0}, "0E7", "2E6"}).out().cr >> 28, 4u);
  EXPECT_EQ(Try({"dtstex", {0}, "-1E6", "2E6"}).out().cr >> 28, 2u);
  EXPECT_EQ(Try({"dtstex", {0}, "NaN", "sNaN"}).out().cr >> 28, 2u);
  EXPECT_EQ(Try({"dtstex", {0}, "Infinity", "-Infinity"}).out().cr >> 28, 2u);
  EXPECT_EQ(Try({"dtstex", {0}, "Infinity", "NaN"}).out().cr >> 28, 1u);
  EXPECT_EQ(Try({"dtstex", {0}, "sNaN", "1"}).out().fpscr, 0x1000u);
  // The significance is the low six bits of one register.
  for (const auto& [significance, field] : {std::pair{0u, 4u}, {1u, 8u}, {3u, 2u}, {4u, 4u}, {63u, 4u}}) {
    DfpState in = Try{"dtstsf", {}, "0", "100"}.in();
    in.fpr[2] = ~u64{63} | significance;
    EXPECT_EQ(run_decimal(dfp_word("dtstsf", {0}), in).cr >> 28, field);
    DfpState wide = Try{"dtstsfq", {}, "0", "100"}.in();
    wide.fpr[2] = significance;
    EXPECT_EQ(run_decimal(dfp_word("dtstsfq", {0}), wide).cr >> 28, field);
  }
}

TEST(DecimalRules, QuantumAdjustment) {
  DfpState out = Try{"dqua", {0}, "1E-2", "-3"}.out();
  EXPECT_EQ(text(out, false), "-300E-2");
  EXPECT_EQ(out.fpscr, kMinusNormal);
  out = Try{"dqua", {0}, "1E-15", "31"}.out();
  EXPECT_EQ(text(out, false), "NaN");
  EXPECT_EQ(out.fpscr, kQuietNan | f::VXCVI | f::VX | f::FX);
  EXPECT_EQ(text(Try{"dqua", {0}, "1E300", "0E-300"}.out(), false), "0E300");
  EXPECT_EQ(text(Try{"dqua", {0}, "-Infinity", "Infinity"}.out(), false), "Infinity");
  EXPECT_EQ(Try({"dqua", {0}, "Infinity", "1"}).out().fpscr, kQuietNan | f::VXCVI | f::VX | f::FX);
  EXPECT_EQ(Try({"dqua", {0}, "1", "Infinity"}).out().fpscr, kQuietNan | f::VXCVI | f::VX | f::FX);
  EXPECT_EQ(Try({"dquai", {0, 0}, "0", "Infinity"}).out().fpscr, kQuietNan | f::VXCVI | f::VX | f::FX);
  // Inexact and below the normal numbers is no underflow.
  EXPECT_EQ(Try({"dqua", {2}, "1E-398", "15E-398"}).out().fpscr, kPlusSubnormal);
  EXPECT_EQ(Try({"dqua", {2}, "1E-397", "15E-398"}).out().fpscr,
            kPlusSubnormal | f::FX | f::XX | f::FI | f::FR);
  EXPECT_EQ(text(Try{"dquai", {0x1E, 0}, "0", "1.2345"}.out(), false), "123E-2");
  EXPECT_EQ(text(Try{"dquaiq", {15, 1}, "0", "99E15"}.out(), true), "99E15");

  const auto reround = [](u64 significance, const char* b, u64 drn = 0) {
    DfpState in = Try{"drrnd", {3}, "0", b, drn << 32}.in();
    in.fpr[2] = significance;
    return run_decimal(dfp_word("drrnd", {3}), in);
  };
  EXPECT_EQ(text(reround(3, "123456"), false), "123E3");
  EXPECT_EQ(text(reround(3, "999500"), false), "100E4");
  EXPECT_EQ(text(reround(0, "999500"), false), "999500E0");
  EXPECT_EQ(text(reround(6, "999500"), false), "999500E0");
  EXPECT_EQ(text(reround(3, "-Infinity"), false), "-Infinity");
  EXPECT_EQ(reround(2, "123E369").fpscr, kQuietNan | f::VXCVI | f::VX | f::FX);
  EXPECT_EQ(reround(2, "995E368").fpscr, kQuietNan | f::VXCVI | f::VX | f::FX);
  EXPECT_EQ(text(reround(2, "994E368"), false), "99E369");

  EXPECT_EQ(text(Try{"drintx", {0, 0}, "0", "12E5"}.out(), false), "12E5");
  EXPECT_EQ(Try({"drintx", {0, 0}, "0", "1.5"}).out().fpscr, kPlusNormal | f::FX | f::XX | f::FI | f::FR);
  EXPECT_EQ(Try({"drintn", {0, 0}, "0", "1.5", f::FR | f::FI}).out().fpscr, kPlusNormal);
  EXPECT_EQ(Try({"drintn", {0, 0}, "0", "sNaN"}).out().fpscr, kQuietNan | f::VXSNAN | f::VX | f::FX);
  EXPECT_EQ(text(Try{"drintx", {0, 0}, "0", "-0E-5"}.out(), false), "-0E0");
}

TEST(DecimalRules, ConversionsBetweenFormats) {
  DfpState s;
  const auto convert = [&](const char* mnemonic, u128 bits, bool pair) {
    s = {.fpr = {kUntouched, kUntouched, 0, 0, kUntouched, kUntouched}};
    put(s, 4, bits, pair);
    return s = run_decimal(dfp_word(mnemonic), s);
  };
  // The upper word counts for nothing, and becomes 0.
  convert("dctdp", u128{0xFFFFFFFF} << 32 | encoded(kDecimal32, "-1234567E-8"), false);
  EXPECT_EQ(text(s, false), "-1234567E-8");
  EXPECT_EQ(s.fpr[1], kUntouched);
  convert("dctdp", encoded(kDecimal32, "sNaN123"), false);
  EXPECT_EQ(text(s, false), "sNaN123");
  EXPECT_EQ(s.fpscr, kSignallingNan);
  convert("drsp", encoded(kDecimal64, "-sNaN1234567890"), false);
  EXPECT_EQ(s.fpr[0], encoded(kDecimal32, "-sNaN567890"));
  EXPECT_EQ(s.fpscr, kSignallingNan);
  convert("drsp", encoded(kDecimal64, "12345678"), false);
  EXPECT_EQ(s.fpr[0], encoded(kDecimal32, "1234568E1"));
  EXPECT_EQ(s.fpscr, kPlusNormal | f::FX | f::XX | f::FI | f::FR);
  convert("drsp", encoded(kDecimal64, "1E-101"), false);
  EXPECT_EQ(s.fpscr, kPlusSubnormal);
  convert("dctqpq", encoded(kDecimal64, "sNaN9"), false);
  EXPECT_EQ(text(s, true), "NaN9");
  EXPECT_EQ(s.fpscr, kQuietNan | f::VXSNAN | f::VX | f::FX);
  convert("dctqpq", encoded(kDecimal64, "-123E-398"), false);
  EXPECT_EQ(text(s, true), "-123E-398");
  EXPECT_EQ(s.fpscr, kMinusNormal);
  convert("drdpq", encoded(kDecimal128, "12345678901234567890"), true);
  EXPECT_EQ(text(s, false), "1234567890123457E4");
  EXPECT_EQ(s.fpr[1], 0u);
  convert("drdpq", encoded(kDecimal128, "sNaN9912345678901234567"), true);
  EXPECT_EQ(text(s, false), "NaN345678901234567");
  EXPECT_EQ(s.fpscr, kQuietNan | f::VXSNAN | f::VX | f::FX);
  for (const i64 number : {i64{0}, i64{-1}, INT64_MAX, INT64_MIN}) {
    convert("dcffixq", static_cast<u64>(number), false);
    EXPECT_EQ(text(s, true), std::to_string(number) + "E0");
  }
}

TEST(DecimalRules, ConversionsToIntegers) {
  struct Integer {
    const char* b;
    i64 result;
    u64 fpscr;
  };
  constexpr u64 kInvalid = f::VXCVI | f::VX | f::FX;
  static const Integer kCases[] = {
      {"-12.50E1", -125, 0},
      {"2.5", 2, f::FX | f::XX | f::FI},
      {"-3.5", -4, f::FX | f::XX | f::FI | f::FR},
      {"1E-398", 0, f::FX | f::XX | f::FI},
      {"0E300", 0, 0},
      {"1E18", 1000000000000000000, 0},
      {"1E19", INT64_MAX, kInvalid},
      {"-1E300", INT64_MIN, kInvalid},
      {"Infinity", INT64_MAX, kInvalid},
      {"-Infinity", INT64_MIN, kInvalid},
      {"NaN", INT64_MIN, kInvalid},
      {"-sNaN", INT64_MIN, kInvalid | f::VXSNAN},
  };
  for (const Integer& c : kCases) {
    for (const char* name : {"dctfix", "dctfixq"}) {
      const DfpState out = Try{name, {}, "0", c.b, f::FR | f::FI | kMinusZero}.out();
      EXPECT_EQ(static_cast<i64>(out.fpr[0]), c.result) << c.b;
      EXPECT_EQ(out.fpr[1], kUntouched);
      EXPECT_EQ(out.fpscr, c.fpscr | kMinusZero) << c.b;
    }
  }
  const auto quad = [](const char* b) { return Try{"dctfixq", {}, "0", b}.out(); };
  EXPECT_EQ(static_cast<i64>(quad("9223372036854775807").fpr[0]), INT64_MAX);
  EXPECT_EQ(quad("9223372036854775807").fpscr, 0u);
  EXPECT_EQ(quad("9223372036854775807.5").fpscr, kInvalid);
  EXPECT_EQ(quad("-9223372036854775808").fpscr, 0u);
  EXPECT_EQ(quad("-9223372036854775808.5").fpscr, f::FX | f::XX | f::FI);
  EXPECT_EQ(quad("-9223372036854775808.51").fpscr, kInvalid);
  EXPECT_EQ(Try({"dctfix", {}, "0", "NaN", f::VE}).out().fpr[0], kUntouched);
}

TEST(DecimalRules, BinaryCodedDecimal) {
  const auto decode = [](u32 sp, const char* b) { return Try{"ddedpd", {sp}, "0", b}.out().fpr[0]; };
  EXPECT_EQ(decode(0, "-1234567890123456E5"), 0x1234567890123456u);
  EXPECT_EQ(decode(1, "-7"), 0x7u);
  EXPECT_EQ(decode(2, "1234567890123456"), 0x234567890123456Cu);
  EXPECT_EQ(decode(3, "12"), 0x12Fu);
  EXPECT_EQ(decode(2, "-12"), 0x12Du);
  EXPECT_EQ(decode(3, "-12"), 0x12Du);
  EXPECT_EQ(decode(0, "sNaN345"), 0x345u);
  DfpState out = Try{"ddedpdq", {2}, "0", "-1234567890123456789012345678901234"}.out();
  EXPECT_EQ(out.fpr[0], 0x4567890123456789u);
  EXPECT_EQ(out.fpr[1], 0x012345678901234Du);
  EXPECT_EQ(out.fpscr, 0u);

  const auto encode = [](u32 s, u64 bcd) {
    return run_decimal(dfp_word("denbcd", {s}),
                       {.fpr = {kUntouched, kUntouched, 0, 0, bcd, 0}, .fpscr = f::FR});
  };
  out = encode(0, 0x9234567890123456);
  EXPECT_EQ(text(out, false), "9234567890123456E0");
  EXPECT_EQ(out.fpscr, kPlusNormal);
  for (u64 sign = 0; sign < 16; sign++) {
    out = encode(1, 0x120 | sign);
    EXPECT_EQ(text(out, false), sign < 10 ? "NaN" : sign == 0xB || sign == 0xD ? "-12E0" : "12E0");
    if (sign < 10) EXPECT_EQ(out.fpscr, kQuietNan | f::VXCVI | f::VX | f::FX);
  }
  for (u64 digit = 10; digit < 16; digit++) EXPECT_EQ(text(encode(0, digit << 60), false), "NaN");
  EXPECT_EQ(text(encode(1, 0xD), false), "-0E0");
  out = run_decimal(dfp_word("denbcdq", {1}), {.fpr = {0, 0, 0, 0, 0x1234567890123456, 0x789012345678901D}});
  EXPECT_EQ(text(out, true), "-1234567890123456789012345678901E0");
}

TEST(DecimalRules, Exponents) {
  const auto extract = [](const char* name, const char* b) {
    return static_cast<i64>(Try{name, {}, "0", b}.out().fpr[0]);
  };
  EXPECT_EQ(extract("dxex", "1E-398"), 0);
  EXPECT_EQ(extract("dxex", "-0E369"), 767);
  EXPECT_EQ(extract("dxexq", "5"), 6176);
  EXPECT_EQ(extract("dxex", "-Infinity"), -1);
  EXPECT_EQ(extract("dxex", "NaN1"), -2);
  EXPECT_EQ(extract("dxexq", "sNaN"), -3);
  const auto insert = [](i64 exponent, const char* b) {
    DfpState in = Try{"diex", {}, "0", b}.in();
    in.fpr[2] = static_cast<u64>(exponent);
    return text(run_decimal(dfp_word("diex"), in), false);
  };
  EXPECT_EQ(insert(400, "-9123456789012345E-7"), "-9123456789012345E2");
  EXPECT_EQ(insert(767, "sNaN12"), "12E369");
  EXPECT_EQ(insert(768, "-12"), "-NaN12");
  EXPECT_EQ(insert(-1, "7"), "Infinity");
  EXPECT_EQ(insert(-2, "9123456789012345"), "NaN123456789012345");
  EXPECT_EQ(insert(-3, "-12"), "-sNaN12");
  EXPECT_EQ(insert(-4, "12"), "NaN12");
  EXPECT_EQ(insert(INT64_MIN, "12"), "NaN12");
}

TEST(DecimalRules, Shifts) {
  const auto shift = [](const char* name, u32 count, const char* a) {
    return text(Try{name, {count}, a}.out(), is_quad(name));
  };
  EXPECT_EQ(shift("dscli", 3, "12E5"), "12000E5");
  EXPECT_EQ(shift("dscli", 15, "12"), "2000000000000000E0");
  EXPECT_EQ(shift("dscli", 16, "-12"), "-0E0");
  EXPECT_EQ(shift("dscri", 2, "-12345E5"), "-123E5");
  EXPECT_EQ(shift("dscri", 63, "12345"), "0E0");
  EXPECT_EQ(shift("dscli", 14, "sNaN12"), "sNaN200000000000000");
  EXPECT_EQ(shift("dscli", 15, "NaN12"), "NaN");
  EXPECT_EQ(shift("dscri", 1, "-NaN12"), "-NaN1");
  EXPECT_EQ(shift("dscliq", 33, "12"), "2000000000000000000000000000000000E0");
  EXPECT_EQ(shift("dscriq", 33, "9000000000000000000000000000000000"), "9E0");
}

TEST(DecimalRules, TargetsMayBeOperands) {
  DfpState in = Try{"daddq", {}, "1E20", "3"}.in();
  // daddq f4,f4,f6 and drdpq f6,f6.
  u32 word = (dfp_word("daddq") & ~(31u << 21)) | 4 << 21;
  DfpState out = run_decimal(word, in);
  EXPECT_EQ(to_string(decode_decimal(kDecimal128, out.operand(2, true))), "100000000000000000003E0");
  word = (dfp_word("drdpq") & ~(31u << 21)) | 6 << 21;
  out = run_decimal(word, in);
  EXPECT_EQ(to_string(decode_decimal(kDecimal64, out.fpr[4])), "3E0");
  EXPECT_EQ(out.fpr[5], 0u);
}

/// The binary floating point of the host is that of the guest as well.
TEST(DecimalRules, TheHostsFloatingPointControlIsLeftAlone) {
  const auto control = [] {
    u16 x87;
    asm volatile("fnstcw %0" : "=m"(x87));
    return u32{x87} << 16 | (_mm_getcsr() & ~static_cast<u32>(_MM_EXCEPT_MASK));
  };
  const u32 before = control();
  DecimalOperands operands(8);
  for (const std::string& name : dfp_mnemonics()) {
    for (int i = 0; i < 500; i++) {
      run_decimal(operands.word_of(name), operands.state(name, true));
      ASSERT_EQ(control(), before) << name;
    }
  }
}

}  // namespace
}  // namespace baton::test
