// SPDX-License-Identifier: Apache-2.0
// MPFR's result and ternary value as the judge of results, FI, FR, XX, OX, UX and FPRF: every arithmetic
// instruction, every rounding mode, with exceptions disabled and enabled. Finite operands; the rules for the
// others are tested by hand and against exact arithmetic (fp_semantics_test.cpp).
#include <gtest/gtest.h>
#include <mpfr.h>

#include <cmath>

#include "cpu/fpu/fpu.h"
#include "tests/cpu/coverage.h"
#include "tests/cpu/fp_harness.h"

namespace baton::test {
namespace {

namespace f = cpu::fpscr;

constexpr u64 kSign = u64{1} << 63, kUntouched = 0x123456789ABCDEF0;
constexpr mpfr_rnd_t kModes[] = {MPFR_RNDN, MPFR_RNDZ, MPFR_RNDU, MPFR_RNDD};

double real(u64 bits) { return std::bit_cast<double>(bits); }
u64 bits(double value) { return std::bit_cast<u64>(value); }

/// A double as its bits.
struct Pattern {
  u64 bits;
};

class Number {
 public:
  explicit Number(mpfr_prec_t precision = 53) { mpfr_init2(value_, precision); }
  explicit Number(Pattern pattern) : Number(mpfr_prec_t{53}) {
    mpfr_set_d(value_, real(pattern.bits), MPFR_RNDN);
  }
  ~Number() { mpfr_clear(value_); }
  Number(const Number&) = delete;
  Number& operator=(const Number&) = delete;
  operator mpfr_ptr() { return value_; }
  operator mpfr_srcptr() const { return value_; }

 private:
  mpfr_t value_;
};

enum class Op { kAdd, kSub, kMul, kDiv, kSqrt, kMadd, kMsub, kRound, kFromInteger };

struct Instruction {
  const char* mnemonic;
  Op op;
  bool single, negate;
};
using enum Op;
constexpr Instruction kInstructions[] = {
    {"fadd", kAdd, false, false},   {"fadds", kAdd, true, false},          {"fsub", kSub, false, false},
    {"fsubs", kSub, true, false},   {"fmul", kMul, false, false},          {"fmuls", kMul, true, false},
    {"fdiv", kDiv, false, false},   {"fdivs", kDiv, true, false},          {"fsqrt", kSqrt, false, false},
    {"fsqrts", kSqrt, true, false}, {"fmadd", kMadd, false, false},        {"fmadds", kMadd, true, false},
    {"fmsub", kMsub, false, false}, {"fmsubs", kMsub, true, false},        {"fnmadd", kMadd, false, true},
    {"fnmadds", kMadd, true, true}, {"fnmsub", kMsub, false, true},        {"fnmsubs", kMsub, true, true},
    {"frsp", kRound, true, false},  {"fcfid", kFromInteger, false, false},
};

/// The operation, rounded once with an unbounded exponent; the ternary value.
int compute(mpfr_ptr to, const Instruction& i, const FpState& in, mpfr_rnd_t mode) {
  const Number a(Pattern{in.fpr[1]}), b(Pattern{in.fpr[2]}), c(Pattern{in.fpr[3]});
  switch (i.op) {
    case kAdd:
      return mpfr_add(to, a, b, mode);
    case kSub:
      return mpfr_sub(to, a, b, mode);
    case kMul:
      return mpfr_mul(to, a, c, mode);
    case kDiv:
      return mpfr_div(to, a, b, mode);
    case kSqrt:
      return mpfr_sqrt(to, b, mode);
    case kMadd:
      return mpfr_fma(to, a, c, b, mode);
    case kMsub:
      return mpfr_fms(to, a, c, b, mode);
    case kRound:
      return mpfr_set(to, b, mode);
    case kFromInteger:
      return mpfr_set_sj(to, static_cast<i64>(in.fpr[2]), mode);
  }
  std::abort();
}

/// Operands for which MPFR's answer is the whole story.
bool suits(const Instruction& i, const FpState& in) {
  const auto finite = [](u64 v) { return std::isfinite(real(v)); };
  switch (i.op) {
    case kAdd:
    case kSub:
      return finite(in.fpr[1]) && finite(in.fpr[2]);
    case kMul:
      return finite(in.fpr[1]) && finite(in.fpr[3]);
    case kDiv:
      return finite(in.fpr[1]) && finite(in.fpr[2]) && real(in.fpr[2]) != 0;
    case kSqrt:
      return finite(in.fpr[2]) && real(in.fpr[2]) >= 0;
    case kMadd:
    case kMsub:
      return finite(in.fpr[1]) && finite(in.fpr[2]) && finite(in.fpr[3]);
    case kRound:
      return finite(in.fpr[2]);
    case kFromInteger:
      return true;
  }
  std::abort();
}

u64 classify(u64 v) {
  const bool negative = v >> 63;
  switch (std::fpclassify(real(v))) {
    case FP_INFINITE:
      return negative ? 0x9000 : 0x5000;
    case FP_NORMAL:
      return negative ? 0x8000 : 0x4000;
    case FP_SUBNORMAL:
      return negative ? 0x18000 : 0x14000;
    default:
      return negative ? 0x12000 : 0x2000;
  }
}

/// The state after an instruction that delivers `value` and raises `raised`.
FpState finish(const FpState& in, u64 value, u64 raised, bool set_class) {
  FpState out = in;
  out.fpr[0] = value;
  u64 fpscr = in.fpscr & ~(f::FR | f::FI);
  if (set_class) fpscr = (fpscr & ~f::FPRF) | classify(value);
  if (raised & f::kExceptions & ~in.fpscr) fpscr |= f::FX;
  fpscr |= raised;
  out.fpscr = cpu::fpu::summarise(fpscr);
  // Each of OX, UX, ZX, XX lies 22 bits above its enable.
  out.interrupt = ((raised & (f::OX | f::UX | f::ZX | f::XX)) >> 22 & in.fpscr) != 0;
  return out;
}

struct Expected {
  FpState state;
  u64 undefined = 0;
  bool known = true;  ///< False: an enabled exception whose adjusted result still does not fit.
};

Expected expect(const Instruction& i, const FpState& in) {
  const mpfr_prec_t precision = i.single ? 24 : 53;
  const long least = i.single ? -126 : -1022, greatest = i.single ? 127 : 1023,
             adjust = i.single ? 192 : 1536;
  const mpfr_rnd_t mode = kModes[in.fpscr & f::RN];
  // MPFR's exponents belong to significands in [1/2, 1).
  mpfr_set_emin(mpfr_get_emin_min());
  mpfr_set_emax(mpfr_get_emax_max());
  Number x(precision), truncated(precision);
  int ternary = compute(x, i, in, mode);
  compute(truncated, i, in, MPFR_RNDZ);
  const bool tiny = !mpfr_zero_p(truncated) && mpfr_get_exp(truncated) - 1 < least;
  u64 raised = 0;
  Expected e;
  if (tiny && in.fpscr & f::UE) {
    raised |= f::UX;
    mpfr_mul_2si(x, x, adjust, MPFR_RNDN);
  } else if (tiny) {
    mpfr_set_emin(least - precision + 2);
    ternary = mpfr_check_range(x, ternary, mode);
    ternary = mpfr_subnormalize(x, ternary, mode);
    if (ternary) raised |= f::UX;
  } else if (!mpfr_zero_p(x) && mpfr_get_exp(x) - 1 > greatest) {
    raised |= f::OX;
    if (in.fpscr & f::OE) {
      mpfr_mul_2si(x, x, -adjust, MPFR_RNDN);
    } else {
      mpfr_set_emax(greatest + 1);
      ternary = mpfr_check_range(x, ternary, mode);
      e.undefined = f::FR;
    }
  }
  if (ternary) raised |= f::XX | f::FI;
  const bool negative = mpfr_signbit(x);
  if (ternary && (ternary > 0) != negative) raised |= f::FR;
  mpfr_set_emin(mpfr_get_emin_min());
  mpfr_set_emax(mpfr_get_emax_max());
  u64 value = bits(mpfr_get_d(x, MPFR_RNDN));
  Number back(Pattern{value});
  e.known = std::isinf(real(value)) ? !(raised & f::OX && in.fpscr & f::OE) : mpfr_equal_p(back, x);
  if (i.negate) value ^= kSign;
  e.state = finish(in, value, raised, true);
  return e;
}

/// Operands about the borders of the formats: results half way between neighbours, about the least normal
/// number, and subnormal ones with few bits.
void border(Operands& operands, const Instruction& i, FpState& in) {
  const int least = i.single ? -126 : -1022, precision = i.single ? 24 : 53;
  const auto significand = [&] {
    return 1 + std::ldexp(static_cast<double>(operands.below(u64{1} << (precision - 1))), 1 - precision);
  };
  const double sign = operands.below(2) ? 1 : -1;
  const int e = least - static_cast<int>(operands.below(static_cast<u64>(precision) + 3)) + 2;
  switch (i.op) {
    case kMul:
    case kMadd:
    case kMsub:
      in.fpr[1] = bits(sign * std::ldexp(significand(), e / 2));
      in.fpr[3] = bits(std::ldexp(operands.below(2) ? significand() : 1, e - e / 2));
      in.fpr[2] = bits(operands.below(2)
                           ? sign * 0.0
                           : std::ldexp(significand(), least + static_cast<int>(operands.below(40)) - 30));
      break;
    case kDiv:
      in.fpr[1] = bits(sign * std::ldexp(significand(), e / 2));
      in.fpr[2] = bits(std::ldexp(operands.below(2) ? significand() : 1, e / 2 - e));
      break;
    case kRound: {
      // A double between two singles, half way or nearly.
      const u64 odd[] = {0x10000000, 0x10000001, 0x0FFFFFFF, 0, 1, 0x1FFFFFFF};
      in.fpr[2] = (bits(sign * std::ldexp(significand(), e)) & ~u64{0x1FFFFFFF}) | odd[operands.below(6)];
      break;
    }
    case kAdd:
    case kSub: {
      // The second operand is about half a unit of the first.
      const int top = static_cast<int>(operands.below(60)) - 30;
      in.fpr[1] = bits(sign * std::ldexp(significand(), top));
      in.fpr[2] =
          bits(std::ldexp(operands.below(2) ? 1 : significand(), top - precision)) + operands.below(3) - 1;
      break;
    }
    case kSqrt: {
      // Squares of numbers with half the bits and a little more.
      const double root = 1 + std::ldexp(static_cast<double>(operands.below(u64{1} << 26)), -26);
      in.fpr[2] = bits(root * root) + operands.below(3) - 1;
      break;
    }
    case kFromInteger:
      in.fpr[2] = (u64{1} << (53 + operands.below(11))) * (1 + operands.below(3)) + operands.below(5) - 2;
      break;
  }
}

TEST(FloatingPointMpfr, ResultsAndFlags) {
  Operands operands(20);
  const u64 cases = case_count(60000);
  u64 total = 0;
  for (const Instruction& i : kInstructions) {
    const u32 word = fp_word(i.mnemonic);
    u64 compared = 0, failures = 0;
    for (u64 n = 0; n < cases && failures < 5; n++) {
      const auto [a, b, c] = operands.triple(i.single);
      FpState in{.fpr = {kUntouched, a, b, c}, .fpscr = operands.fpscr(n % 4), .cr = 0};
      if (i.op == kFromInteger) in.fpr[2] = operands.word() >> operands.below(64);
      if (operands.below(3) == 0) border(operands, i, in);
      if (!suits(i, in)) continue;
      const Expected want = expect(i, in);
      if (!want.known) continue;
      compared++;
      FpState got = run_semantics(word, in), wanted = want.state;
      got.fpscr &= ~want.undefined;
      wanted.fpscr &= ~want.undefined;
      if (got == wanted) continue;
      failures++;
      ADD_FAILURE() << i.mnemonic << "\nin   " << in << "\nwant " << wanted << "\ngot  " << got;
    }
    EXPECT_GT(compared, cases / 2) << i.mnemonic;
    coverage::cases("mpfr", i.mnemonic, compared);
    total += compared;
  }
  std::cout << total << " cases\n";
}

/// fctiw, fctid and the roundings to integral values.
struct ToInteger {
  const char* mnemonic;
  int bits;  ///< 0: stays a floating-point number.
  int mode;  ///< -1: FPSCR[RN]; -2: nearest, ties away.
};
constexpr ToInteger kToInteger[] = {{"fctiw", 32, -1}, {"fctiwz", 32, 1}, {"fctid", 64, -1},
                                    {"fctidz", 64, 1}, {"frin", 0, -2},   {"friz", 0, 1},
                                    {"frip", 0, 2},    {"frim", 0, 3}};

TEST(FloatingPointMpfr, Integers) {
  Operands operands(21);
  const u64 cases = case_count(60000);
  for (const ToInteger& i : kToInteger) {
    const u32 word = fp_word(i.mnemonic);
    u64 compared = 0, failures = 0;
    for (u64 n = 0; n < cases && failures < 5; n++) {
      FpState in{.fpr = {kUntouched, 0, operands.value(), 0}, .fpscr = operands.fpscr(n % 4), .cr = 0};
      if (operands.below(2)) {
        // An integer, a half, or next to one.
        const double whole =
            static_cast<double>(static_cast<i64>(operands.word()) >> (operands.below(63) + 1));
        in.fpr[2] = bits(whole + (operands.below(2) ? 0.5 : 0)) + operands.below(3) - 1;
      }
      if (!std::isfinite(real(in.fpr[2]))) continue;
      const Number b(Pattern{in.fpr[2]});
      Number x(64);
      const int ternary =
          i.mode == -2 ? mpfr_round(x, b)
                       : mpfr_rint(x, b, kModes[i.mode == -1 ? static_cast<int>(in.fpscr & f::RN) : i.mode]);
      FpState wanted;
      u64 undefined = 0;
      if (i.bits == 0) {
        // Nothing is raised.
        wanted = finish(in, bits(mpfr_get_d(x, MPFR_RNDN)), 0, true);
      } else {
        undefined = f::FPRF;
        Number most(64);
        mpfr_set_ui_2exp(most, 1, i.bits - 1, MPFR_RNDN);
        const bool high = mpfr_cmp(x, most) >= 0;
        mpfr_neg(most, most, MPFR_RNDN);
        if (high || mpfr_cmp(x, most) < 0) continue;  // VXCVI: tested by hand and by TestFloat
        const u64 value = static_cast<u64>(mpfr_get_sj(x, MPFR_RNDN));
        const bool grew = ternary && (ternary > 0) == (mpfr_sgn(static_cast<mpfr_srcptr>(b)) > 0);
        wanted = finish(in, i.bits == 32 ? cpu::fpu::word_result(static_cast<u32>(value)) : value,
                        (ternary ? f::XX | f::FI : 0) | (grew ? f::FR : 0), false);
      }
      FpState got = run_semantics(word, in);
      compared++;
      got.fpscr &= ~undefined;
      wanted.fpscr &= ~undefined;
      if (got == wanted) continue;
      failures++;
      ADD_FAILURE() << i.mnemonic << "\nin   " << in << "\nwant " << wanted << "\ngot  " << got;
    }
    EXPECT_GT(compared, cases / 4) << i.mnemonic;
    coverage::cases("mpfr", i.mnemonic, compared);
  }
}

/// The estimates: how far they may be off (ISA 4.6.6), and what they raise.
TEST(FloatingPointMpfr, Estimates) {
  Operands operands(22);
  struct {
    const char* mnemonic;
    bool root;
    double bound;
  } const kEstimates[] = {
      {"fre", false, 0x1p-8}, {"fres", false, 0x1p-8}, {"frsqrte", true, 0x1p-5}, {"frsqrtes", true, 0x1p-5}};
  for (const auto& estimate : kEstimates) {
    const bool single = std::string_view(estimate.mnemonic).ends_with("s");
    const u64 cases = case_count(60000);
    u64 compared = 0;
    for (u64 n = 0; n < cases && !HasFailure(); n++) {
      FpState in{.fpr = {kUntouched, 0, operands.value(single), 0}, .fpscr = n % 4, .cr = 0};
      const double b = real(in.fpr[2]);
      if (!std::isfinite(b) || b == 0 || (estimate.root && b < 0)) continue;
      Number exact(80);
      const Number operand(Pattern{in.fpr[2]});
      if (estimate.root)
        mpfr_rec_sqrt(exact, operand, MPFR_RNDN);
      else
        mpfr_ui_div(exact, 1, operand, MPFR_RNDN);
      const long e = mpfr_get_exp(exact) - 1;
      if (e <= (single ? -126 : -1022) || e >= (single ? 127 : 1023)) continue;
      const FpState got = run_semantics(fp_word(estimate.mnemonic), in);
      const Number result(Pattern{got.fpr[0]});
      Number error(80);
      mpfr_sub(error, result, exact, MPFR_RNDN);
      mpfr_div(error, error, exact, MPFR_RNDN);
      EXPECT_LE(std::fabs(mpfr_get_d(error, MPFR_RNDN)), estimate.bound) << estimate.mnemonic << ' ' << b;
      // XX, FX, FR and FI are undefined for estimates; nothing else happens.
      EXPECT_EQ(got.fpscr & ~(f::XX | f::FX | f::FR | f::FI), classify(got.fpr[0]) | n % 4)
          << estimate.mnemonic;
      if (single) EXPECT_EQ(got.fpr[0] & 0x1FFFFFFF, 0u) << estimate.mnemonic;
      compared++;
    }
    EXPECT_GT(compared, cases / 4) << estimate.mnemonic;
    coverage::cases("mpfr", estimate.mnemonic, compared);
  }
}

}  // namespace
}  // namespace baton::test
