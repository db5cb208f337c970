// SPDX-License-Identifier: Apache-2.0
// The decDouble, decQuad and decSingle cases of decTest, each by the instruction that does what it asks for.
// Debian has them in libpython3.*-testsuite.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <set>

#include "cpu/fpu/fpu.h"
#include "tests/cpu/coverage.h"
#include "tests/cpu/dfp_harness.h"
#include "tests/cpu/fp_harness.h"

namespace baton::test {
namespace {

namespace f = cpu::fpscr;
namespace fs = std::filesystem;

fs::path directory() {
  if (const char* asked = std::getenv("BATON_DECTEST")) return asked;
  for (const auto& entry : fs::directory_iterator("/usr/lib")) {
    const fs::path at = entry.path() / "test/decimaltestdata";
    if (entry.path().filename().string().starts_with("python3.") && fs::exists(at)) return at;
  }
  return {};
}

struct Case {
  std::string id, operation;
  std::vector<std::string> operands;
  std::string result;
  u64 flags = 0;  ///< Of VX, OX, UX, ZX, XX.
};

/// Words of a line; quotes hold one together, and "--" begins a comment.
std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> words;
  for (std::size_t at = 0; at < line.size();) {
    if (std::isspace(static_cast<unsigned char>(line[at]))) {
      at++;
    } else if (line.compare(at, 2, "--") == 0) {
      break;
    } else if (line[at] == '\'' || line[at] == '"') {
      const std::size_t end = line.find(line[at], at + 1);
      words.push_back(line.substr(at + 1, end - at - 1));
      at = end == std::string::npos ? end : end + 1;
    } else {
      std::size_t end = at;
      while (end < line.size() && !std::isspace(static_cast<unsigned char>(line[end]))) end++;
      words.push_back(line.substr(at, end - at));
      at = end;
    }
  }
  return words;
}

std::optional<Case> parse_case(const std::vector<std::string>& words) {
  const auto arrow = std::ranges::find(words, "->");
  if (arrow == words.end() || arrow + 1 == words.end() || words.size() < 4) return std::nullopt;
  Case c{words[0], words[1], {words.begin() + 2, arrow}, *(arrow + 1)};
  std::ranges::transform(c.operation, c.operation.begin(),
                         [](unsigned char x) { return static_cast<char>(std::tolower(x)); });
  static const std::map<std::string, u64> kConditions = {
      {"inexact", f::XX},          {"overflow", f::OX},          {"underflow", f::UX},
      {"division_by_zero", f::ZX}, {"invalid_operation", f::VX}, {"division_undefined", f::VX},
      {"conversion_syntax", f::VX}};
  for (auto at = arrow + 2; at < words.end(); ++at) {
    std::string condition = *at;
    std::ranges::transform(condition, condition.begin(),
                           [](unsigned char x) { return static_cast<char>(std::tolower(x)); });
    if (const auto found = kConditions.find(condition); found != kConditions.end()) c.flags |= found->second;
  }
  return c;
}

u128 parse_hex(const std::string& text) {
  u128 bits = 0;
  for (char c : text) bits = bits << 4 | static_cast<u32>(std::stoul(std::string(1, c), nullptr, 16));
  return bits;
}

/// The encoding of a number without rounding; another exponent if that is what it takes.
std::optional<u128> encode_exactly(const DecimalFormat& format, DecimalText v) {
  const auto precision = static_cast<std::size_t>(format.digits);
  if (v.kind != DecimalText::kFinite) {
    if (v.digits.size() >= precision) return std::nullopt;
    return encode_decimal(format, v);
  }
  if (v.digits.empty()) {
    v.exponent = std::clamp(v.exponent, format.least(), format.greatest());
  } else {
    while ((v.digits.size() > precision || v.exponent < format.least()) && v.digits.ends_with('0')) {
      v.digits.pop_back();
      v.exponent++;
    }
    while (v.exponent > format.greatest() && v.digits.size() < precision) {
      v.digits += '0';
      v.exponent--;
    }
  }
  if (v.digits.size() > precision || v.exponent < format.least() || v.exponent > format.greatest()) {
    return std::nullopt;
  }
  return encode_decimal(format, v);
}

/// Operations that no instruction of POWER6 does.
const std::map<std::string, std::string> kInapplicable = {
    {"and", "no logical operation on digits"},
    {"or", "no logical operation on digits"},
    {"xor", "no logical operation on digits"},
    {"invert", "no logical operation on digits"},
    {"rotate", "digits are shifted, not rotated"},
    {"comparetotal", "no comparison of encodings"},
    {"comparetotmag", "no comparison of encodings"},
    {"max", "no maximum or minimum"},
    {"maxmag", "no maximum or minimum"},
    {"min", "no maximum or minimum"},
    {"minmag", "no maximum or minimum"},
    {"nextminus", "no neighbours"},
    {"nextplus", "no neighbours"},
    {"nexttoward", "no neighbours"},
    {"divideint", "no integer quotient"},
    {"remainder", "no remainder"},
    {"remaindernear", "no remainder"},
    {"fma", "no multiply-add"},
    {"logb", "dxex gives the exponent of the last digit"},
    {"scaleb", "diex takes a whole exponent"},
    {"reduce", "zeros at the end are not taken away"},
};

struct Verdict {
  enum { kPassed, kFailed, kInapplicable } kind = kPassed;
  std::string why = {};
};
Verdict passed_if(bool good, const std::string& why) {
  return good ? Verdict{} : Verdict{Verdict::kFailed, why};
}
Verdict inapplicable(const std::string& why) { return {Verdict::kInapplicable, why}; }

class Runner {
 public:
  explicit Runner(const DecimalFormat& format) : format_(format) {}

  void rounding(const std::string& name) {
    static const std::vector<std::string> kNames = {"half_even", "down",      "ceiling", "floor",
                                                    "half_up",   "half_down", "up",      "05up"};
    const auto at = std::ranges::find(kNames, name);
    ASSERT_NE(at, kNames.end()) << name;
    drn_ = static_cast<u64>(at - kNames.begin());
  }

  Verdict run(const Case& c) {
    using Method = Verdict (Runner::*)(const Case&);
    static const std::map<std::string, std::pair<Method, const char*>> kOperations = {
        {"add", {&Runner::arithmetic, "dadd"}},      {"subtract", {&Runner::arithmetic, "dsub"}},
        {"multiply", {&Runner::arithmetic, "dmul"}}, {"divide", {&Runner::arithmetic, "ddiv"}},
        {"quantize", {&Runner::quantize, "dqua"}},   {"tointegralx", {&Runner::integral, "drintx"}},
        {"compare", {&Runner::compare, "dcmpu"}},    {"comparesig", {&Runner::compare, "dcmpo"}},
        {"plus", {&Runner::from_zero, "dadd"}},      {"minus", {&Runner::from_zero, "dsub"}},
        {"abs", {&Runner::from_zero, "dadd"}},       {"samequantum", {&Runner::same_quantum, "dtstex"}},
        {"class", {&Runner::classify, "dtstdc"}},    {"shift", {&Runner::shift, "dscli"}},
        {"canonical", {&Runner::canonical, ""}},     {"copy", {&Runner::move, "fmr"}},
        {"copyabs", {&Runner::move, "fabs"}},        {"copynegate", {&Runner::move, "fneg"}},
        {"copysign", {&Runner::move, "fcpsgn"}},     {"apply", {&Runner::convert, ""}},
        {"tosci", {&Runner::convert, ""}},           {"toeng", {&Runner::convert, ""}},
    };
    if (std::ranges::count(c.operands, "#")) return inapplicable("null reference");
    if (const auto none = kInapplicable.find(c.operation); none != kInapplicable.end())
      return inapplicable(none->first + ": " + none->second);
    const auto operation = kOperations.find(c.operation);
    if (operation == kOperations.end()) return {Verdict::kFailed, "unknown operation"};
    trouble_.clear();
    base_ = operation->second.second;
    const Verdict verdict = (this->*operation->second.first)(c);
    return trouble_.empty() ? verdict : Verdict{Verdict::kFailed, trouble_};
  }

  /// Executions by mnemonic.
  const std::map<std::string, u64>& executed() const { return executed_; }

 private:
  bool quad() const { return format_.width == 128; }
  std::string name(const std::string& base) const { return quad() ? base + "q" : base; }

  /// Also in the form that sets CR1, if there is one.
  DfpState execute(const std::string& mnemonic, const std::vector<u32>& immediates, const DfpState& in) {
    static const std::set<std::string> kRecording = [] {
      const auto all = dfp_mnemonics();
      return std::set<std::string>(all.begin(), all.end());
    }();
    const DfpState out = run_decimal(dfp_word(mnemonic, immediates), in);
    executed_[mnemonic]++;
    if (const std::string dot = mnemonic + '.'; kRecording.contains(dot)) {
      executed_[dot]++;
      DfpState want = out;
      want.cr = (in.cr & ~0x0F000000u) | static_cast<u32>(out.fpscr >> 28 & 15) << 24;
      if (!(run_decimal(dfp_word(dot, immediates), in) == want)) trouble_ = dot + " differs";
    }
    return out;
  }

  u128 operand(const std::string& text) const {
    if (text.starts_with('#')) return parse_hex(text.substr(1));
    return encode_exactly(format_, parse_decimal(text).value()).value();
  }
  DecimalText decoded(u128 bits) const { return decode_decimal(format_, bits); }
  bool nan(u128 bits) const { return decoded(bits).kind >= DecimalText::kQuiet; }

  DfpState state(u128 a, u128 b) const {
    DfpState s;
    s.fpscr = drn_ << 32;
    put(s, 2, a, quad());
    put(s, 4, b, quad());
    return s;
  }
  static void put(DfpState& s, unsigned at, u128 value, bool quad) {
    s.fpr[at] = static_cast<u64>(quad ? value >> 64 : value);
    if (quad) s.fpr[at + 1] = static_cast<u64>(value);
  }

  static std::string flags_of(u64 flags) {
    std::string s;
    for (const auto& [name, bit] : std::map<std::string, u64>{
             {"VX", f::VX}, {"OX", f::OX}, {"UX", f::UX}, {"ZX", f::ZX}, {"XX", f::XX}}) {
      if (flags & bit) s += ' ' + name;
    }
    return s;
  }
  /// Compares what an instruction left with what the case wants.
  static Verdict judge(const Case& c, const DecimalFormat& format, const DfpState& out,
                       u64 checked = ~u64{0}) {
    constexpr u64 kAll = f::VX | f::OX | f::UX | f::ZX | f::XX;
    const u128 bits = out.operand(0, format.width == 128);
    DecimalText value = decode_decimal(format, bits);
    std::string got = to_string(value), want = c.result;
    if (want.starts_with('#')) {
      if (bits == parse_hex(want.substr(1))) got = want;
    } else {
      DecimalText wanted = parse_decimal(want).value();
      if (c.operation == "toeng") {
        // This notation does not tell how many zeros are at the end.
        for (DecimalText* v : {&value, &wanted}) {
          for (; v->digits.ends_with('0'); v->exponent++) v->digits.pop_back();
          if (v->digits.empty()) v->exponent = 0;
        }
        got = to_string(value);
      }
      want = to_string(wanted);
    }
    got += flags_of(out.fpscr & kAll & checked), want += flags_of(c.flags & checked);
    return passed_if(got == want, "want " + want + ", got " + got);
  }

  Verdict arithmetic(const Case& c) {
    return judge(c, format_, execute(name(base_), {}, state(operand(c.operands[0]), operand(c.operands[1]))));
  }
  Verdict quantize(const Case& c) {
    u128 value = operand(c.operands[0]), quantum = operand(c.operands[1]);
    // FRA is the quantum here and the second operand there; of two NaNs the first one counts in both.
    if (nan(value) && nan(quantum)) std::swap(value, quantum);
    const DecimalText q = decoded(quantum);
    if (q.kind == DecimalText::kFinite && q.exponent >= -16 && q.exponent < 16) {
      const Verdict immediate =
          judge(c, format_, execute(name("dquai"), {static_cast<u32>(q.exponent & 31), 3}, state(0, value)));
      if (immediate.kind == Verdict::kFailed) return immediate;
    }
    return judge(c, format_, execute(name("dqua"), {3}, state(quantum, value)));
  }
  Verdict integral(const Case& c) {
    const DfpState in = state(0, operand(c.operands[0]));
    const Verdict quietly = judge(c, format_, execute(name("drintn"), {0, 3}, in), ~f::XX);
    return quietly.kind == Verdict::kFailed ? quietly
                                            : judge(c, format_, execute(name("drintx"), {0, 3}, in));
  }
  /// plus and minus are defined as sums with a zero that does not lower the exponent.
  Verdict from_zero(const Case& c) {
    const u128 b = operand(c.operands[0]), zero = encode_decimal(format_, {.exponent = format_.greatest()});
    if (c.operation == "abs" && decoded(b).negative) base_ = "dsub";
    return judge(c, format_, execute(name(base_), {}, state(zero, b)));
  }
  Verdict compare(const Case& c) {
    const DfpState out = execute(name(base_), {0}, state(operand(c.operands[0]), operand(c.operands[1])));
    const u32 field = out.cr >> 28;
    std::string want = c.result;
    if (want.starts_with('#')) want = to_string(decoded(parse_hex(want.substr(1))));
    if (want.find("aN") != std::string::npos) want = "NaN";
    if (want.ends_with("E0")) want.resize(want.size() - 2);
    const std::string got = field == 8 ? "-1" : field == 4 ? "1" : field == 2 ? "0" : "NaN";
    return passed_if(got == want && ((out.fpscr ^ c.flags) & f::VX) == 0, "want " + want + ", got " + got);
  }
  Verdict same_quantum(const Case& c) {
    const DfpState out = execute(name(base_), {0}, state(operand(c.operands[0]), operand(c.operands[1])));
    return passed_if((out.cr >> 28 == 2) == (c.result == "1") && (out.fpscr & ~f::FPCC) == drn_ << 32,
                     "want " + c.result);
  }
  Verdict classify(const Case& c) {
    static const std::vector<std::string> kClasses = {"sNaN",   "NaN",       "Infinity",
                                                      "Normal", "Subnormal", "Zero"};
    std::string got;
    for (u32 i = 0; i < kClasses.size(); i++) {
      const DfpState out = execute(name(base_), {0, 1u << i}, state(operand(c.operands[0]), 0));
      if (out.cr >> 28 & 2) got += (i < 2 ? "" : out.cr >> 31 ? "-" : "+") + kClasses[i];
    }
    return passed_if(got == c.result, "want " + c.result + ", got " + got);
  }
  Verdict shift(const Case& c) {
    const u128 a = operand(c.operands[0]);
    const DecimalText count = decoded(operand(c.operands[1]));
    if (c.flags & f::VX || count.kind != DecimalText::kFinite)
      return inapplicable("shift: the count is an immediate");
    if (nan(a)) return inapplicable("shift: dscli and dscri shift payloads, too");
    const u32 by = count.digits.empty() ? 0 : static_cast<u32>(std::stoul(count.digits));
    return judge(c, format_, execute(name(count.negative ? "dscri" : "dscli"), {by}, state(a, 0)));
  }
  /// What writes its operand anew: a shift by no digits, which keeps the digits of an infinity, or rounding.
  Verdict canonical(const Case& c) {
    const u128 a = operand(c.operands[0]);
    return judge(c, format_,
                 decoded(a).kind == DecimalText::kInfinity ? execute(name("drintn"), {0, 3}, state(0, a))
                                                           : execute(name("dscli"), {0}, state(a, 0)));
  }
  /// Moves know nothing of decimals; the sign of a pair is in the first register.
  Verdict move(const Case& c) {
    const u128 a = operand(c.operands[0]);
    FpState s;
    s.fpr[2] = static_cast<u64>(quad() ? a >> 64 : a);
    if (c.operation == "copysign") {
      const u128 b = operand(c.operands[1]);
      s.fpr[1] = static_cast<u64>(quad() ? b >> 64 : b);
    }
    s = run_semantics(fp_word(base_), s);
    executed_[base_]++;
    DfpState out{.fpr = {s.fpr[0], static_cast<u64>(a)}, .fpscr = s.fpscr};
    return judge(c, format_, out);
  }

  /// Text to a number, by an instruction that rounds; what is encoded, or no finite number, is written anew.
  Verdict convert(const Case& c) {
    const std::string& text = c.operands[0];
    if (text.starts_with('#')) return encoded(c, operand(text));
    const auto value = parse_decimal(text);
    if (!value || (value->kind != DecimalText::kFinite && !encode_exactly(format_, *value)))
      return inapplicable("no number: no instruction reads text");
    if (value->kind != DecimalText::kFinite) return encoded(c, operand(text));
    if (const auto bits = encode_exactly(format_, *value); bits && c.operation != "toeng") {
      const Verdict packed = through_bcd(*bits);
      if (packed.kind == Verdict::kFailed) return packed;
    }
    const auto delivered = quad() ? extended(*value) : narrowed(*value);
    if (!delivered) return inapplicable("no operand is so great, so small or so long");
    return judge(c, format_, *delivered);
  }
  Verdict encoded(const Case& c, u128 bits) {
    const DecimalText v = decoded(bits);
    if (format_.width != 32) {
      const Verdict packed = v.kind == DecimalText::kFinite ? through_bcd(bits) : Verdict{};
      return packed.kind == Verdict::kFailed ? packed : canonical(c);
    }
    // To long and back.
    if (v.kind == DecimalText::kInfinity && !v.digits.empty())
      return inapplicable("an infinity of the short format keeps its digits");
    DfpState s;
    s.fpr[4] = static_cast<u64>(bits);
    s.fpr[4] = execute("dctdp", {}, s).fpr[0];
    return judge(c, format_, execute("drsp", {}, s));
  }
  /// A finite number taken to its exponent and binary coded digits and put together again.
  Verdict through_bcd(u128 bits) {
    const DecimalText v = decoded(bits);
    const std::size_t digits = quad() ? 31 : 15;
    if (format_.width == 32 || v.digits.size() > digits) return {};
    const DfpState coded = execute(name("ddedpd"), {2}, state(0, bits));
    const u128 want = parse_hex((v.digits.empty() ? "0" : v.digits) + (v.negative ? "D" : "C"));
    if (coded.operand(0, quad()) != want) return {Verdict::kFailed, "ddedpd of " + to_string(v)};
    const u64 exponent = execute(name("dxex"), {}, state(0, bits)).fpr[0];
    if (exponent != static_cast<u64>(i64{v.exponent + format_.bias}))
      return {Verdict::kFailed, "dxex of " + to_string(v)};
    DfpState s = execute(name("denbcd"), {1}, state(0, want));
    s = state(0, s.operand(0, quad()));
    s.fpr[2] = exponent;
    const u128 again = execute(name("diex"), {}, s).operand(0, quad());
    return passed_if(again == encode_decimal(format_, v), "denbcd and diex of " + to_string(v));
  }
  /// From the next wider format.
  std::optional<DfpState> narrowed(const DecimalText& value) {
    const DecimalFormat& wider = format_.width == 64 ? kDecimal128 : kDecimal64;
    const auto bits = encode_exactly(wider, value);
    if (!bits) return std::nullopt;
    DfpState s;
    s.fpscr = drn_ << 32;
    put(s, 4, *bits, wider.width == 128);
    return execute(format_.width == 64 ? "drdpq" : "drsp", {}, s);
  }
  /// The sum of the first 34 digits and the others, or if that has no exponents a product.
  std::optional<DfpState> extended(const DecimalText& value) {
    DecimalText high = value, low = value;
    const std::size_t cut = std::min<std::size_t>(value.digits.size(), 34);
    high.digits = value.digits.substr(0, cut);
    high.exponent += static_cast<int>(value.digits.size() - cut);
    low.digits = value.digits.substr(cut);
    low.digits.erase(0, std::min(low.digits.find_first_not_of('0'), low.digits.size()));
    const auto a = encode_exactly(format_, value.digits.empty() ? low : high),
               b = encode_exactly(format_, low);
    if (a && b && (value.digits.empty() || low.exponent >= format_.least()))
      return execute("daddq", {}, state(*a, *b));
    DecimalText left = value, right{.digits = "1"};
    if (cut < value.digits.size()) {
      // A digit too many: its product with a small factor.
      for (u32 factor = 2; factor < 10 && left.digits == value.digits; factor++) {
        std::string quotient;
        u32 rest = 0;
        for (char digit : value.digits) {
          rest = rest * 10 + static_cast<u32>(digit - '0');
          quotient += static_cast<char>('0' + rest / factor);
          rest %= factor;
        }
        if (rest) continue;
        left.digits = quotient.substr(quotient.find_first_not_of('0'));
        right.digits = std::to_string(factor);
      }
    }
    left.exponent = value.exponent / 2;
    right.exponent = value.exponent - left.exponent;
    const auto x = encode_exactly(format_, left), y = encode_exactly(format_, right);
    if (!x || !y) return std::nullopt;
    return execute("dmulq", {}, state(*x, *y));
  }

  const DecimalFormat& format_;
  u64 drn_ = 0;
  std::string base_;     ///< Mnemonic for the operation, of the long format.
  std::string trouble_;  ///< What an execution found beside its result.
  std::map<std::string, u64> executed_;
};

TEST(DecimalVectors, AgreesWithDecTest) {
  const fs::path at = directory();
  if (at.empty())
    GTEST_SKIP() << "no decTest: install libpython3.11-testsuite (3.13 on Debian 13), or set BATON_DECTEST";
  std::map<std::string, u64> passed, inapplicable;
  u64 cases = 0, failed = 0;
  for (const auto& [prefix, format] :
       {std::pair{"ds", &kDecimal32}, {"dd", &kDecimal64}, {"dq", &kDecimal128}}) {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(at)) {
      if (entry.path().filename().string().starts_with(prefix)) files.push_back(entry.path());
    }
    std::ranges::sort(files);
    for (const fs::path& path : files) {
      Runner runner(*format);
      std::ifstream file(path);
      int shown = 0;
      for (std::string line; std::getline(file, line);) {
        if (line.ends_with('\r')) line.pop_back();
        const std::vector<std::string> words = words_of(line);
        if (words.size() == 2 && words[0] == "rounding:") runner.rounding(words[1]);
        const auto c = parse_case(words);
        if (!c) continue;
        cases++;
        const auto [kind, why] = runner.run(*c);
        if (kind == Verdict::kPassed) passed[prefix + (' ' + c->operation)]++;
        if (kind == Verdict::kInapplicable) inapplicable[why]++;
        if (kind != Verdict::kFailed) continue;
        failed++;
        if (shown++ < 5) ADD_FAILURE() << path.filename().string() << ": " << line << "\n  " << why;
      }
      for (const auto& [mnemonic, count] : runner.executed()) coverage::cases("dectest", mnemonic, count);
    }
  }
  u64 passes = 0, none = 0;
  for (const auto& [name, count] : passed) {
    std::cout << count << "\tpassed\t" << name << '\n';
    passes += count;
  }
  for (const auto& [reason, count] : inapplicable) {
    std::cout << count << "\tinapplicable\t" << reason << '\n';
    none += count;
  }
  std::cout << cases << " cases: " << passes << " passed, " << failed << " failed, " << none
            << " ask for what no instruction does\n";
  EXPECT_EQ(cases, passes + failed + none);
  EXPECT_GT(passes, 15000u);
}

}  // namespace
}  // namespace baton::test
