// SPDX-License-Identifier: Apache-2.0
// What real processors gave: the expected output of Valgrind's test_dfp1 to test_dfp5. No Debian package has
// it but the source of valgrind; BATON_VALGRIND names the unpacked source (with_source.py fetches it).
#include <gtest/gtest.h>

#include <fstream>
#include <iostream>
#include <map>
#include <regex>

#include "cpu/fpu/fpu.h"
#include "tests/cpu/coverage.h"
#include "tests/cpu/dfp_harness.h"

namespace baton::test {
namespace {

struct Line {
  std::string mnemonic;
  std::vector<u64> operands, results;  ///< Doublewords.
  std::string fields;                  ///< What stands in front of "=>".
  u32 drn;
};

std::optional<i64> number_behind(const std::string& text, const std::string& name) {
  std::smatch match;
  if (!std::regex_search(text, match, std::regex(name + "= *(-?[0-9]+)"))) return std::nullopt;
  return std::stoll(match[1]);
}

std::vector<u64> doublewords(const std::string& text) {
  static const std::regex kDoubleword("[0-9a-f]{16}");
  std::vector<u64> all;
  for (std::sregex_iterator at(text.begin(), text.end(), kDoubleword), end; at != end; ++at) {
    all.push_back(std::stoull(at->str(), nullptr, 16));
  }
  return all;
}

std::optional<Line> parse_line(std::string text, u32& drn) {
  static const std::regex kMode("^test with rounding mode ([0-7])");
  static const std::regex kNumbered("^test #[0-9]+: (\\S+) with rounding mode ([0-7]):");
  std::smatch match;
  u32 mode = drn;
  if (std::regex_search(text, match, kMode)) {
    drn = static_cast<u32>(std::stoul(match[1]));
    return std::nullopt;
  }
  if (std::regex_search(text, match, kNumbered)) {
    mode = static_cast<u32>(std::stoul(match[2]));
    text = match[1].str() + ' ' + match.suffix().str();
  }
  const auto arrow = text.find("=>");
  if (arrow == std::string::npos || text[0] != 'd') return std::nullopt;
  const auto end = text.find(' ');
  Line line{text.substr(0, end), doublewords(text.substr(end, arrow - end)), doublewords(text.substr(arrow)),
            text, mode};
  return line;
}

/// The instruction with its immediates, and the registers; nothing for what POWER6 does not have or the
/// output does not tell enough of.
struct Prepared {
  u32 word;
  DfpState state;
};
std::optional<Prepared> prepare(const Line& line) {
  std::string base = line.mnemonic;
  if (base.ends_with('.')) base.pop_back();
  const bool quad = is_quad(base);
  const auto starts = [&](const char* with) { return base.starts_with(with); };
  // Only half of the operand is printed.
  if (base == "dscliq" || base == "dscriq") return std::nullopt;
  const auto immediate = [&](const char* name) {
    return static_cast<u32>(*number_behind(line.fields, name));
  };
  Prepared p;
  p.state.fpscr = u64{line.drn} << 32;
  std::vector<u32> immediates;
  std::size_t next = 0;
  const auto put = [&](unsigned at, bool pair) {
    p.state.fpr[at] = line.operands[next++];
    if (pair) p.state.fpr[at + 1] = line.operands[next++];
  };
  const bool is_test = starts("dtst"), is_compare = starts("dcmp");
  if (is_test || is_compare) immediates.push_back(number_behind(line.fields, "BF").value_or(0) & 7);
  if (starts("dtstdc") || starts("dtstdg")) {
    immediates.push_back(1u << immediate("DG"));
    put(2, quad);
  } else if (starts("dtstsf")) {
    p.state.fpr[2] = immediate("sig");
    put(4, quad);
  } else if (starts("dscli") || starts("dscri")) {
    static const std::regex kCount("(?:>>|<<) ([0-9]+)");
    std::smatch match;
    std::regex_search(line.fields, match, kCount);
    immediates = {static_cast<u32>(std::stoul(match[1]))};
    put(2, false);
  } else if (starts("drrnd")) {
    immediates = {immediate("RMC")};
    p.state.fpr[2] = immediate("sig");
    put(4, quad);
  } else if (starts("dquai")) {
    immediates = {immediate("TE"), immediate("RMC")};
    put(4, quad);
  } else if (starts("drint")) {
    immediates = {immediate("RM") >> 2, immediate("RM") & 3};
    put(4, quad);
  } else if (starts("ddedpd") || starts("denbcd")) {
    immediates = {immediate(starts("dd") ? "SP" : "S")};
    put(4, quad);
  } else if (starts("diex")) {
    static const std::regex kExponent(">> *(-?[0-9]+)");
    std::smatch match;
    std::regex_search(line.fields, match, kExponent);
    p.state.fpr[2] = static_cast<u64>(std::stoll(match[1]));
    put(4, quad);
  } else if (starts("dxex") || starts("dct") || starts("drsp") || starts("drdpq") || starts("dcffix")) {
    put(4, base == "dctfixq" || base == "drdpq" || base == "dxexq");
  } else {
    if (starts("dqua")) immediates = {immediate("RMC")};
    put(2, quad);
    put(4, quad);
  }
  for (const std::string& name : dfp_mnemonics()) {
    if (name == line.mnemonic) {
      p.word = dfp_word(name, immediates);
      return p;
    }
  }
  return std::nullopt;
}

TEST(DecimalVectors, AgreesWithRealProcessors) {
  const char* source = std::getenv("BATON_VALGRIND");
  if (!source) GTEST_SKIP() << "BATON_VALGRIND does not name the source of valgrind";
  u64 compared = 0, skipped = 0;
  std::map<std::string, u64> tried;
  for (int i = 1; i <= 5; i++) {
    std::ifstream file(std::string(source) + "/none/tests/ppc64/test_dfp" + std::to_string(i) +
                       ".stdout.exp");
    ASSERT_TRUE(file);
    u32 drn = 0;
    int failures = 0;
    for (std::string text; std::getline(file, text);) {
      const auto line = parse_line(text, drn);
      if (!line) continue;
      const auto prepared = prepare(*line);
      if (!prepared) {
        skipped++;
        continue;
      }
      const DfpState out = run_decimal(prepared->word, prepared->state);
      bool same;
      if (line->results.empty()) {
        static const std::regex kField("=> ([0-9a-f]) \\(BF=([0-7])\\)");
        std::smatch match;
        ASSERT_TRUE(std::regex_search(text, match, kField)) << text;
        const u32 field = static_cast<u32>(std::stoul(match[2])),
                  value = static_cast<u32>(std::stoul(match[1], nullptr, 16));
        same = (out.cr >> (28 - 4 * field) & 15) == value;
      } else {
        // Where the target is one register the other one printed says nothing.
        const std::string& name = line->mnemonic;
        const bool pair = line->results.size() == 2 && is_quad(name) && name != "dctfixq" && name != "dxexq";
        same = out.fpr[0] == line->results[0] && (!pair || out.fpr[1] == line->results[1]);
      }
      compared++;
      tried[line->mnemonic]++;
      if (same || failures++ >= 10) continue;
      ADD_FAILURE() << text << '\n' << out;
    }
  }
  for (const auto& [mnemonic, cases] : tried) coverage::cases("hardware", mnemonic, cases);
  std::cout << compared << " cases, " << skipped << " skipped\n";
  EXPECT_GT(compared, 5000u);
}

}  // namespace
}  // namespace baton::test
