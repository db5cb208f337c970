// SPDX-License-Identifier: Apache-2.0
// The decDouble, decQuad and decSingle cases of decTest, as far as an instruction does what they ask for.
// Debian has them in libpython3.*-testsuite.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>

#include "cpu/fpu/fpu.h"
#include "tests/cpu/dfp_harness.h"

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

  /// "" if the case passed; a reason to skip it begins with '-', anything else is a failure.
  std::string run(const Case& c) {
    for (const std::string& operand : c.operands) {
      if (operand == "#") return "-null reference";
    }
    if (c.result == "#" || c.result == "?") return "-no defined result";
    const auto binary = [&](const char* name, std::vector<u32> immediates = {}) {
      return arithmetic(c, name, immediates);
    };
    const std::string& op = c.operation;
    if (op == "add") return binary("dadd");
    if (op == "subtract") return binary("dsub");
    if (op == "multiply") return binary("dmul");
    if (op == "divide") return binary("ddiv");
    if (op == "quantize") return quantize(c);
    if (op == "tointegralx") return unary(c, "drintx", {0, 3});
    if (op == "tointegral") return unary(c, "drintn", {0, 3});
    if (op == "compare") return compare(c, "dcmpu");
    if (op == "comparesig") return compare(c, "dcmpo");
    if (op == "samequantum") return same_quantum(c);
    if (op == "class") return classify(c);
    if (op == "shift") return shift(c);
    if (op == "plus" || op == "minus" || op == "abs") return from_zero(c);
    if (op == "canonical") return canonical(c);
    if (op == "apply" || op == "tosci" || op == "toeng") return convert(c);
    return "-no instruction: " + op;
  }

 private:
  bool quad() const { return format_.width == 128; }
  std::string name(const std::string& base) const { return quad() ? base + "q" : base; }

  std::optional<u128> operand(const std::string& text) const {
    if (text.starts_with('#')) return parse_hex(text.substr(1));
    const auto value = parse_decimal(text);
    return value ? encode_exactly(format_, *value) : std::nullopt;
  }

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
  std::string judge(const Case& c, const DecimalFormat& format, const DfpState& out, u64 checked) const {
    constexpr u64 kAll = f::VX | f::OX | f::UX | f::ZX | f::XX;
    const u128 bits = out.operand(0, format.width == 128);
    DecimalText value = decode_decimal(format, bits);
    std::string got = to_string(value), want = c.result;
    if (want.starts_with('#')) {
      if (bits == parse_hex(want.substr(1))) got = want;
    } else {
      auto wanted = parse_decimal(want);
      if (!wanted) return "-result cannot be read: " + want;
      if (c.operation == "toeng") {
        // This notation does not tell how many zeros are at the end.
        for (DecimalText* v : {&value, &*wanted}) {
          for (; v->digits.ends_with('0'); v->exponent++) v->digits.pop_back();
          if (v->digits.empty()) v->exponent = 0;
        }
        got = to_string(value);
      }
      want = to_string(*wanted);
    }
    got += flags_of(out.fpscr & kAll & checked), want += flags_of(c.flags & checked);
    return got == want ? "" : "want " + want + ", got " + got;
  }

  std::string arithmetic(const Case& c, const char* base, const std::vector<u32>& immediates) const {
    const auto a = operand(c.operands[0]), b = operand(c.operands[1]);
    if (!a || !b) return "-operand does not fit";
    return judge(c, format_, run_decimal(dfp_word(name(base), immediates), state(*a, *b)), ~u64{0});
  }
  std::string quantize(const Case& c) const {
    const auto value = operand(c.operands[0]), quantum = operand(c.operands[1]);
    if (!value || !quantum) return "-operand does not fit";
    const DfpState out = run_decimal(dfp_word(name("dqua"), {3}), state(*quantum, *value));
    // Of two NaNs the first operand's counts, and here that is the other one.
    const auto nan = [&](u128 bits) { return decode_decimal(format_, bits).kind >= DecimalText::kQuiet; };
    if (nan(*value) && nan(*quantum)) return "-two NaNs in the other order";
    return judge(c, format_, out, ~u64{0});
  }
  std::string unary(const Case& c, const char* base, const std::vector<u32>& immediates) const {
    const auto b = operand(c.operands[0]);
    if (!b) return "-operand does not fit";
    return judge(c, format_, run_decimal(dfp_word(name(base), immediates), state(0, *b)), ~u64{0});
  }
  /// plus and minus are defined as sums with a zero that does not lower the exponent.
  std::string from_zero(const Case& c) const {
    const auto b = operand(c.operands[0]);
    if (!b) return "-operand does not fit";
    const u128 zero = encode_decimal(format_, {.exponent = format_.greatest()});
    const bool minus =
        c.operation == "minus" || (c.operation == "abs" && decode_decimal(format_, *b).negative);
    return judge(c, format_, run_decimal(dfp_word(name(minus ? "dsub" : "dadd")), state(zero, *b)), ~u64{0});
  }
  std::string compare(const Case& c, const char* base) const {
    const auto a = operand(c.operands[0]), b = operand(c.operands[1]);
    if (!a || !b) return "-operand does not fit";
    const DfpState out = run_decimal(dfp_word(name(base), {0}), state(*a, *b));
    const u32 field = out.cr >> 28;
    std::string want = c.result;
    if (want.starts_with('#')) want = to_string(decode_decimal(format_, parse_hex(want.substr(1))));
    if (want.find("aN") != std::string::npos) want = "NaN";
    if (want.ends_with("E0")) want.resize(want.size() - 2);
    const std::string got = field == 8 ? "-1" : field == 4 ? "1" : field == 2 ? "0" : "NaN";
    const bool invalid = out.fpscr & f::VX;
    return got == want && invalid == ((c.flags & f::VX) != 0) ? "" : "want " + want + ", got " + got;
  }
  std::string same_quantum(const Case& c) const {
    const auto a = operand(c.operands[0]), b = operand(c.operands[1]);
    if (!a || !b) return "-operand does not fit";
    const DfpState out = run_decimal(dfp_word(name("dtstex"), {0}), state(*a, *b));
    return (out.cr >> 28 == 2) == (c.result == "1") && (out.fpscr & ~f::FPCC) == drn_ << 32
               ? ""
               : "want " + c.result;
  }
  std::string classify(const Case& c) const {
    const auto a = operand(c.operands[0]);
    if (!a) return "-operand does not fit";
    static const std::vector<std::string> kClasses = {"sNaN",   "NaN",       "Infinity",
                                                      "Normal", "Subnormal", "Zero"};
    std::string got;
    for (u32 i = 0; i < kClasses.size(); i++) {
      const DfpState out = run_decimal(dfp_word(name("dtstdc"), {0, 1u << i}), state(*a, 0));
      if (out.cr >> 28 & 2) got += (i < 2 ? "" : out.cr >> 31 ? "-" : "+") + kClasses[i];
    }
    return got == c.result ? "" : "want " + c.result + ", got " + got;
  }
  std::string shift(const Case& c) const {
    const auto a = operand(c.operands[0]);
    const auto count = parse_decimal(c.operands[1]);
    if (!a) return "-operand does not fit";
    if (c.flags & f::VX || !count || count->kind != DecimalText::kFinite || count->exponent != 0) {
      return "-shift count is no immediate";
    }
    if (decode_decimal(format_, *a).kind >= DecimalText::kQuiet) return "-payloads are shifted, too";
    const u32 by = count->digits.empty() ? 0 : static_cast<u32>(std::stoul(count->digits));
    return judge(c, format_,
                 run_decimal(dfp_word(name(count->negative ? "dscri" : "dscli"), {by}), state(*a, 0)),
                 ~u64{0});
  }
  /// A shift by no digits writes the operand anew.
  std::string canonical(const Case& c) const {
    const auto a = operand(c.operands[0]);
    if (!a) return "-operand does not fit";
    const DecimalText v = decode_decimal(format_, *a);
    if (v.kind == DecimalText::kInfinity && !v.digits.empty()) return "-an infinity keeps its digits";
    return judge(c, format_, run_decimal(dfp_word(name("dscli"), {0}), state(*a, 0)), ~u64{0});
  }
  /// Text to a number, by an instruction that rounds; what is encoded, or no finite number, is written anew.
  std::string convert(const Case& c) const {
    const std::string& text = c.operands[0];
    const auto value = parse_decimal(text);
    if (text.starts_with('#') || (value && value->kind != DecimalText::kFinite)) {
      if (format_.width != 32) return canonical(c);
      const auto bits = operand(text);
      if (!bits) return "-operand does not fit";
      const DecimalText v = decode_decimal(format_, *bits);
      if (v.kind == DecimalText::kInfinity && !v.digits.empty()) return "-an infinity keeps its digits";
      // To long and back.
      DfpState s;
      s.fpr[4] = static_cast<u64>(*bits);
      s.fpr[4] = run_decimal(dfp_word("dctdp"), s).fpr[0];
      return judge(c, format_, run_decimal(dfp_word("drsp"), s), ~u64{0});
    }
    if (!value) return "-no number";
    if (quad()) {
      // The sum of the first 34 digits and the others.
      DecimalText high = *value, low = *value;
      const std::size_t cut = std::min<std::size_t>(value->digits.size(), 34);
      high.digits = value->digits.substr(0, cut);
      high.exponent += static_cast<int>(value->digits.size() - cut);
      low.digits = value->digits.substr(cut);
      low.digits.erase(0, std::min(low.digits.find_first_not_of('0'), low.digits.size()));
      const auto a = encode_exactly(format_, high), b = encode_exactly(format_, low);
      if (!a || !b || (value->digits.empty() ? false : low.exponent < format_.least()))
        return "-operand does not fit";
      DfpState s = state(*a, *b);
      if (value->digits.empty()) put(s, 2, *b, true);
      return judge(c, format_, run_decimal(dfp_word("daddq"), s), ~u64{0});
    }
    const DecimalFormat& wider = format_.width == 64 ? kDecimal128 : kDecimal64;
    const auto bits = encode_exactly(wider, *value);
    if (!bits) return "-operand does not fit";
    DfpState s;
    s.fpscr = drn_ << 32;
    put(s, 4, *bits, wider.width == 128);
    return judge(c, format_, run_decimal(dfp_word(format_.width == 64 ? "drdpq" : "drsp"), s), ~u64{0});
  }

  const DecimalFormat& format_;
  u64 drn_ = 0;
};

TEST(DecimalVectors, AgreesWithDecTest) {
  const fs::path at = directory();
  if (at.empty()) GTEST_SKIP() << "no decTest: install libpython3-testsuite, or set BATON_DECTEST";
  std::map<std::string, u64> passed, skipped;
  u64 cases = 0;
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
      int failures = 0;
      for (std::string line; std::getline(file, line);) {
        if (line.ends_with('\r')) line.pop_back();
        const std::vector<std::string> words = words_of(line);
        if (words.size() == 2 && words[0] == "rounding:") runner.rounding(words[1]);
        const auto c = parse_case(words);
        if (!c) continue;
        cases++;
        const std::string verdict = runner.run(*c);
        if (verdict.empty()) {
          passed[prefix + (' ' + c->operation)]++;
        } else if (verdict[0] == '-') {
          skipped[verdict.substr(1)]++;
        } else if (failures++ < 5) {
          ADD_FAILURE() << path.filename().string() << ": " << line << "\n  " << verdict;
        }
      }
    }
  }
  u64 passes = 0, skips = 0;
  for (const auto& [name, count] : passed) {
    std::cout << count << "\tpassed\t" << name << '\n';
    passes += count;
  }
  for (const auto& [reason, count] : skipped) {
    std::cout << count << "\tskipped\t" << reason << '\n';
    skips += count;
  }
  std::cout << cases << " cases, " << passes << " passed, " << skips << " skipped\n";
  EXPECT_EQ(cases, passes + skips);
  EXPECT_GT(passes, 10000u);
}

}  // namespace
}  // namespace baton::test
