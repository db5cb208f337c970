// SPDX-License-Identifier: Apache-2.0
// Berkeley TestFloat's vectors (tininess before rounding) through our instructions: result and flags.
//
// What TestFloat leaves to the processor is compared by the PowerPC's rules: the NaN of an operation with
// NaNs, the default NaN, and the integer of an invalid conversion.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "cpu/fpu/fpu.h"
#include "tests/cpu/coverage.h"
#include "tests/cpu/fp_harness.h"

namespace baton::test {
namespace {

namespace f = cpu::fpscr;

constexpr u64 kSign = u64{1} << 63, kQuiet = u64{1} << 51;

/// What an operand or result is.
enum class Type { kSingle, kDouble, kWord, kLong, kBool };

/// How one of TestFloat's functions is done here.
struct Function {
  const char* name;
  const char* mnemonic;
  Type operand, result;
  unsigned operands;  ///< 1: FRB; 2: FRA and FRB (FRC for products); 3: FRA, FRC, FRB.
  bool modes = true;  ///< Once in each rounding mode; otherwise only as `options` says.
  const char* options = "";
  u32 condition = 0;                                  ///< Comparisons: the CR bits that make it true.
  bool negate_addend = false, negate_result = false;  ///< fmsub and the like by way of mulAdd.
};

using enum Type;
constexpr Function kFunctions[] = {
    {"f64_add", "fadd", kDouble, kDouble, 2},
    {"f64_sub", "fsub", kDouble, kDouble, 2},
    {"f64_mul", "fmul", kDouble, kDouble, 2},
    {"f64_div", "fdiv", kDouble, kDouble, 2},
    {"f64_sqrt", "fsqrt", kDouble, kDouble, 1},
    {"f64_mulAdd", "fmadd", kDouble, kDouble, 3},
    {"f64_mulAdd", "fmsub", kDouble, kDouble, 3, true, "", 0, true, false},
    {"f64_mulAdd", "fnmadd", kDouble, kDouble, 3, true, "", 0, false, true},
    {"f64_mulAdd", "fnmsub", kDouble, kDouble, 3, true, "", 0, true, true},
    {"f32_add", "fadds", kSingle, kSingle, 2},
    {"f32_sub", "fsubs", kSingle, kSingle, 2},
    {"f32_mul", "fmuls", kSingle, kSingle, 2},
    {"f32_div", "fdivs", kSingle, kSingle, 2},
    {"f32_sqrt", "fsqrts", kSingle, kSingle, 1},
    {"f32_mulAdd", "fmadds", kSingle, kSingle, 3},
    {"f32_mulAdd", "fmsubs", kSingle, kSingle, 3, true, "", 0, true, false},
    {"f32_mulAdd", "fnmadds", kSingle, kSingle, 3, true, "", 0, false, true},
    {"f32_mulAdd", "fnmsubs", kSingle, kSingle, 3, true, "", 0, true, true},
    {"f64_to_f32", "frsp", kDouble, kSingle, 1},
    {"i64_to_f64", "fcfid", kLong, kDouble, 1},
    {"i32_to_f64", "fcfid", kWord, kDouble, 1},
    {"f64_to_i32", "fctiw", kDouble, kWord, 1, true, "-exact"},
    {"f64_to_i64", "fctid", kDouble, kLong, 1, true, "-exact"},
    {"f32_to_i32", "fctiw", kSingle, kWord, 1, true, "-exact"},
    {"f32_to_i64", "fctid", kSingle, kLong, 1, true, "-exact"},
    {"f64_to_i32", "fctiwz", kDouble, kWord, 1, false, "-exact -rminMag"},
    {"f64_to_i64", "fctidz", kDouble, kLong, 1, false, "-exact -rminMag"},
    {"f64_roundToInt", "frin", kDouble, kDouble, 1, false, "-notexact -rnear_maxMag"},
    {"f64_roundToInt", "friz", kDouble, kDouble, 1, false, "-notexact -rminMag"},
    {"f64_roundToInt", "frip", kDouble, kDouble, 1, false, "-notexact -rmax"},
    {"f64_roundToInt", "frim", kDouble, kDouble, 1, false, "-notexact -rmin"},
    {"f32_roundToInt", "frin", kSingle, kSingle, 1, false, "-notexact -rnear_maxMag"},
    {"f32_roundToInt", "friz", kSingle, kSingle, 1, false, "-notexact -rminMag"},
    {"f32_roundToInt", "frip", kSingle, kSingle, 1, false, "-notexact -rmax"},
    {"f32_roundToInt", "frim", kSingle, kSingle, 1, false, "-notexact -rmin"},
    {"f64_eq", "fcmpu", kDouble, kBool, 2, false, "", 2},
    {"f64_le_quiet", "fcmpu", kDouble, kBool, 2, false, "", 8 | 2},
    {"f64_lt_quiet", "fcmpu", kDouble, kBool, 2, false, "", 8},
    {"f64_eq_signaling", "fcmpo", kDouble, kBool, 2, false, "", 2},
    {"f64_le", "fcmpo", kDouble, kBool, 2, false, "", 8 | 2},
    {"f64_lt", "fcmpo", kDouble, kBool, 2, false, "", 8},
    {"f32_eq", "fcmpu", kSingle, kBool, 2, false, "", 2},
    {"f32_lt", "fcmpo", kSingle, kBool, 2, false, "", 8},
};

/// The rounding modes by FPSCR[RN].
constexpr const char* kModes[] = {"-rnear_even", "-rminMag", "-rmax", "-rmin"};

bool is_nan(u64 v) { return (v & ~kSign) > u64{0x7FF} << 52; }

/// As lfs does.
u64 widen(u64 word) {
  const u64 sign = (word >> 31) << 63;
  if ((word & 0x7FFFFFFF) > 0x7F800000) return sign | u64{0x7FF} << 52 | (word & 0x7FFFFF) << 29;
  return sign |
         std::bit_cast<u64>(static_cast<double>(std::bit_cast<float>(static_cast<u32>(word & 0x7FFFFFFF))));
}

u64 to_register(Type type, u64 value) {
  if (type == kSingle) return widen(value);
  if (type == kWord) return static_cast<u64>(sign_extend(value, 32));
  return value;
}

/// TestFloat's flags as FPSCR bits, VX for all the invalid operations.
u64 to_fpscr(u32 flags) {
  return (flags & 1 ? f::XX : 0) | (flags & 2 ? f::UX : 0) | (flags & 4 ? f::OX : 0) |
         (flags & 8 ? f::ZX : 0) | (flags & 16 ? f::VX : 0);
}

struct Vector {
  u64 operands[3] = {}, result = 0;
  u32 flags = 0;
};

/// Fields of a line: hexadecimal numbers.
bool parse(const char* line, unsigned operands, Vector& v) {
  const auto number = [&](u64& value) {
    while (*line == ' ') line++;
    value = 0;
    const char* first = line;
    for (; *line > ' '; line++) {
      const unsigned char c = static_cast<unsigned char>(*line);
      value = value << 4 | static_cast<u64>(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return line != first;
  };
  for (unsigned i = 0; i < operands; i++)
    if (!number(v.operands[i])) return false;
  u64 flags;
  if (!number(v.result) || !number(flags)) return false;
  v.flags = static_cast<u32>(flags);
  return true;
}

class Check {
 public:
  Check(const Function& function, u64 rn) : function_(function), rn_(rn), word_(fp_word(function.mnemonic)) {
    if (function_.result == kBool) word_ = (word_ & ~(7u << 23));  // CR0
  }

  /// True if the instruction does what the vector says.
  bool agrees(const Vector& v) {
    FpState in;
    in.fpscr = rn_;
    u64* const o[] = {&in.fpr[1], &in.fpr[2], &in.fpr[3]};  // FRA, FRB, FRC
    const u64 first = to_register(function_.operand, v.operands[0]),
              second = to_register(function_.operand, v.operands[1]),
              third = to_register(function_.operand, v.operands[2]);
    const std::string_view name = function_.mnemonic;
    if (function_.operands == 1) {
      *o[1] = first;
    } else if (function_.operands == 3 || name.starts_with("fmul")) {
      *o[0] = first;
      *o[2] = second;
      *o[1] = function_.negate_addend ? third ^ kSign : third;
    } else {
      *o[0] = first;
      *o[1] = second;
    }
    out_ = run_semantics(word_, in);
    want_ = expected(in, v);
    constexpr u64 kCompared = f::XX | f::UX | f::OX | f::ZX | f::VX;
    flags_ = to_fpscr(v.flags);
    if ((out_.fpscr & kCompared) != flags_) return false;
    switch (function_.result) {
      case kBool:
        return ((out_.cr >> 28 & function_.condition) != 0) == (v.result != 0);
      case kWord:
        return static_cast<u32>(out_.fpr[0]) == static_cast<u32>(want_);
      default:
        return out_.fpr[0] == want_;
    }
  }
  u64 got() const { return out_.fpr[0]; }
  u64 got_fpscr() const { return out_.fpscr; }
  u64 wanted() const { return want_; }
  u64 wanted_flags() const { return flags_; }

 private:
  u64 expected(const FpState& in, const Vector& v) const {
    const bool invalid = v.flags & 16;
    if (function_.result == kWord || function_.result == kLong) {
      if (!invalid) return v.result;
      const u64 most = function_.result == kWord ? 0x7FFFFFFF : ~kSign;
      return is_nan(in.fpr[2]) || in.fpr[2] & kSign ? most + 1 : most;
    }
    if (function_.operand != kLong && function_.operand != kWord) {
      // The first NaN of FRA, FRB, FRC, made quiet; else the default one.
      for (const u64 operand : {in.fpr[1], in.fpr[2], in.fpr[3]}) {
        if (!is_nan(operand)) continue;
        const u64 quiet = operand | kQuiet;
        return function_.operand == kDouble && function_.result == kSingle ? quiet & 0xFFFFFFFFE0000000
                                                                           : quiet;
      }
      if (invalid) return u64{0x7FF8} << 48;
    }
    const u64 result = to_register(function_.result, v.result);
    return function_.negate_result ? result ^ kSign : result;
  }

  const Function& function_;
  u64 rn_;
  u32 word_;
  FpState out_;
  u64 want_ = 0, flags_ = 0;
};

/// The generator, or the reason why there is none.
std::string generator(std::string& why) {
  static std::string path, reason;
  static const int status = [] {
    FILE* script = popen(BATON_TESTFLOAT_SCRIPT " 2>&1", "r");
    if (!script) return -1;
    char line[4096];
    std::string text;
    while (fgets(line, sizeof line, script)) text += line;
    const int result = pclose(script);
    while (!text.empty() && text.back() == '\n') text.pop_back();
    (result == 0 ? path : reason) = text;
    return result;
  }();
  why = reason;
  if (status != 0 && WEXITSTATUS(status) != 77) ADD_FAILURE() << "TestFloat could not be built: " << reason;
  return path;
}

class TestFloat : public testing::TestWithParam<Function> {};

TEST_P(TestFloat, Vectors) {
  const Function& function = GetParam();
  std::string why;
  const std::string program = generator(why);
  if (program.empty()) {
    if (!HasFailure()) GTEST_SKIP() << why;
    return;
  }
  // Every vector, or of the millions of mulAdd one in some by a seed.
  const bool full = std::getenv("BATON_TESTFLOAT_FULL") != nullptr;
  const bool two = full && function.operands < 3 && std::getenv("BATON_TESTFLOAT_FULL") == std::string("2");
  const u64 stride = !full && function.operands == 3 ? 61 : 1;
  u64 compared = 0, wrong = 0;
  for (u64 rn = 0; rn < (function.modes ? 4 : 1); rn++) {
    // Making mulAdd's vectors takes most of the time: all modes with fmadd, one each with its relatives.
    const u64 only = (function.negate_addend ? 1 : 0) + (function.negate_result ? 2 : 0);
    if (stride != 1 && only && rn != only) continue;
    std::ostringstream command;
    command << program << " -level " << (two ? 2 : 1) << " -tininessbefore " << function.options << ' '
            << (function.modes ? kModes[rn] : "") << ' ' << function.name << " 2>&1";
    FILE* vectors = popen(command.str().c_str(), "r");
    ASSERT_TRUE(vectors);
    Check check(function, function.modes ? rn : 0);
    char line[256];
    u64 number = rn * 17;
    while (fgets(line, sizeof line, vectors)) {
      if (number++ % stride != 0) continue;
      Vector v;
      ASSERT_TRUE(parse(line, function.operands, v)) << line;
      compared++;
      if (check.agrees(v)) continue;
      if (++wrong <= 5)
        ADD_FAILURE() << function.mnemonic << " RN=" << rn << ": " << line << std::hex << "  got "
                      << check.got() << ", FPSCR " << check.got_fpscr() << "; wanted " << check.wanted()
                      << ", " << check.wanted_flags();
    }
    ASSERT_EQ(pclose(vectors), 0) << command.str();
  }
  EXPECT_EQ(wrong, 0u);
  EXPECT_GT(compared, 100u);
  coverage::cases("testfloat", function.mnemonic, compared);
  std::cout << compared << " vectors, " << wrong << " wrong\n";
}

INSTANTIATE_TEST_SUITE_P(All, TestFloat, testing::ValuesIn(kFunctions), [](const auto& info) {
  return std::string(info.param.name) + "_" + info.param.mnemonic + "_" + std::to_string(info.index);
});

}  // namespace
}  // namespace baton::test
