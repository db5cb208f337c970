// SPDX-License-Identifier: Apache-2.0
// The table's words and texts, there and back: by itself, and against binutils, which reads and writes them
// too.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <sstream>
#include <vector>

#include "cpu/isa/assembly.h"
#include "tests/cpu/coverage.h"
#include "tests/cpu/differential/words.h"
#include "tests/cpu/ledger.h"

namespace baton::cpu {
namespace {

/// A word of the row that is no invalid form.
template <class Random>
u32 valid_word(const isa::Row& row, Random& random) {
  while (true)
    if (const u32 word = test::random_word(row, random); isa::decode(word) == &row) return word;
}

TEST(IsaText, EveryRowEncodesDecodesAndReadsBack) {
  std::mt19937 random(1);
  for (const isa::Row& row : isa::table()) {
    const u32 known = isa::operand_bits(row) | row.mask;
    for (int i = 0; i < 2000; i++) {
      const u32 word = valid_word(row, random);
      const auto values = isa::operand_values(row, word);
      ASSERT_EQ(isa::encode(row, values), word) << row.mnemonic;
      const u64 ea = random() & ~3u;
      const std::string text = isa::table_text(ea, word);
      const auto again = isa::assemble(ea, text);
      ASSERT_EQ(again.word, word) << text << ": " << again.problem;
      // Reserved bits are lost, and nothing else.
      const u32 reserved = word | (random() & ~known);
      if (isa::decode(reserved) == &row)
        ASSERT_EQ(isa::encode(row, isa::operand_values(row, reserved)), word);
    }
  }
}

TEST(IsaText, RefusesWhatDoesNotFit) {
  const auto problem = [](const char* line) { return isa::assemble(0x1000, line).problem; };
  EXPECT_EQ(
      problem("frobnicate r1"),
      "\"frobnicate r1\": POWER6 has no instruction of that name (extended mnemonics are not known here).");
  EXPECT_EQ(problem("add r1,r2"), "\"add r1,r2\": 3 operands are needed, not 2.");
  EXPECT_EQ(problem("add r1,r2,r32"), "\"add r1,r2,r32\": \"r32\" is no operand number 3 of it.");
  EXPECT_EQ(problem("addi r1,r2,32768"), "\"addi r1,r2,32768\": \"32768\" is no operand number 3 of it.");
  EXPECT_EQ(problem("ld r1,2(r2)"), "\"ld r1,2(r2)\": \"2\" is no operand number 2 of it.");
  EXPECT_EQ(problem("lwzu r1,4(r1)"), "\"lwzu r1,4(r1)\": these registers make it an invalid form.");
  EXPECT_EQ(problem("daddq f0,f2,f3"), "\"daddq f0,f2,f3\": \"f3\" is no operand number 3 of it.");
  EXPECT_EQ(problem("b 0x2000002"), "\"b 0x2000002\": \"0x2000002\" is no operand number 1 of it.");
  EXPECT_EQ(isa::assemble(0x1000, "b 0xffc").word, 0x4BFFFFFCu);
  EXPECT_EQ(isa::assemble(0x1000, "lwz 3,-8(1)").word, 0x8061FFF8u);
  EXPECT_EQ(isa::assemble(0x1000, ".long 0x12345678").word, 0x12345678u);
}

// ---- binutils

class Scratch {
 public:
  explicit Scratch(const char* what)
      : path_(testing::TempDir() + "baton_isa_" + what + "." + std::to_string(getpid())) {}
  ~Scratch() { std::filesystem::remove(path_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

bool binutils() { return std::system("powerpc64-linux-gnu-objdump --version >/dev/null 2>&1") == 0; }

/// What the command writes, line by line.
template <class Line>
void read_lines(const std::string& command, Line line) {
  FILE* const pipe = popen(command.c_str(), "r");
  ASSERT_TRUE(pipe);
  char* text = nullptr;
  std::size_t size = 0;
  for (ssize_t n; (n = getline(&text, &size, pipe)) > 0;)
    line(std::string_view(text, n - (text[n - 1] == '\n')));
  free(text);
  pclose(pipe);
}

/// objdump's text of each word, the first one at 0; spaces as table_text() has them.
std::vector<std::string> objdump(const std::vector<u32>& words, const char* options) {
  const Scratch file("words");
  {
    std::ofstream out(file.path(), std::ios::binary);
    for (u32 word : words) {
      char bytes[4];
      store_be(bytes, word);
      out.write(bytes, 4);
    }
  }
  std::vector<std::string> texts;
  read_lines("powerpc64-linux-gnu-objdump -D -z -b binary -m powerpc:common64 -EB --no-show-raw-insn -M" +
                 std::string(options) + " " + file.path(),
             [&](std::string_view line) {
               const std::size_t colon = line.find(":\t");
               if (colon == line.npos || !line.starts_with(" ")) return;
               std::string text(line.substr(colon + 2));
               if (const std::size_t comment = text.find(" <"); comment != text.npos) text.resize(comment);
               const std::size_t space = text.find(' ');
               if (space != text.npos) text.erase(space, text.find_first_not_of(' ', space) - space - 1);
               while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.pop_back();
               texts.push_back(text);
             });
  return texts;
}

/// The ledger's entry for a word that objdump does not know or writes otherwise; "" if there is none.
std::string_view excuse(const isa::Row& row, u32 word, const std::string& theirs) {
  const std::string_view name = row.mnemonic;
  const bool unknown = theirs.starts_with(".long");
  const auto is = [&](auto... names) { return ((name == names) || ...); };
  if (unknown && (word & ~(row.mask | isa::operand_bits(row)))) return "binutils-reserved-bits";
  if (is("mtsr", "mtsrin", "mfsr", "mfsrin") && unknown) return "binutils-bridge";
  if (is("mftb") && (unknown || theirs.starts_with("mfspr"))) return "binutils-mftb";
  if (is("mfcr") && theirs == isa::table_text(0, word) + ",-1") return "binutils-mfcr";
  if (is("mfocrf", "mtocrf") && unknown && std::popcount(field(word, 12, 19)) != 1)
    return "binutils-ocrf-fields";
  if (is("dcbf") && unknown && field(word, 9, 10) == 2) return "binutils-dcbf-l";
  if (is("sync") && unknown && field(word, 9, 10) == 3) return "binutils-sync-l";
  if (is("lswi", "stswi") && field(word, 16, 20) == 0 && theirs.ends_with(",32")) return "binutils-lsw-32";
  const u32 rt = field(word, 6, 10), ra = field(word, 11, 15), rb = field(word, 16, 20);
  if (is("lmw") && unknown && ra >= rt) return "binutils-string-range";
  if (is("lswi") && unknown && ((ra - rt) & 31) < ((rb == 0 ? 32 : rb) + 3) / 4)
    return "binutils-string-range";
  if (is("lswx") && unknown && (ra == rt || rb == rt)) return "binutils-string-range";
  if (!name.starts_with("b")) return "";
  if (unknown) {
    // Of the bits that say nothing about the condition: at (of 001at, 011at, 1a00t, 1a01t) is no hint as 01,
    // z is 0.
    const u32 bo = rt, count_only = (bo & 0x14) == 0x10, condition_only = (bo & 0x14) == 0x04;
    const u32 hint = condition_only ? bo & 3 : count_only ? (bo >> 2 & 2) | (bo & 1) : 0;
    const bool reserved = (bo & 0x14) == 0 ? bo & 1 : (bo & 0x14) == 0x14 ? bo != 0x14 : hint == 1;
    if (reserved) return "binutils-branch-hints";
  } else if (word & 2 && row.form != isa::Form::XL) {
    std::string ours = isa::table_text(0, word);
    if (const std::size_t high = ours.find("0xffffffff"); high != ours.npos) ours.erase(high + 2, 8);
    if (ours == theirs) return "binutils-absolute";
  }
  return "";
}

/// The words that the assembler makes of the lines (nothing: it refuses the line), each line at 0 of a
/// section.
std::vector<std::optional<u32>> assembled(const std::vector<std::string>& lines) {
  const Scratch source("source"), object("object"), complaints("complaints");
  std::vector<bool> refused(lines.size() + 1);
  std::vector<std::optional<u32>> words(lines.size());
  // A refused line produces no word: find those first.
  for (int pass = 0; pass < 2; pass++) {
    {
      std::ofstream out(source.path());
      for (std::size_t i = 0; i < lines.size(); i++)
        out << (refused[i] || lines[i].empty() ? "nop" : lines[i]) << '\n';
    }
    const std::string command = "powerpc64-linux-gnu-as -mpower6 -mregnames -o " + object.path() + " " +
                                source.path() + " 2>" + complaints.path();
    if (std::system(command.c_str()) == 0) break;
    std::ifstream in(complaints.path());
    for (std::string line; std::getline(in, line);) {
      const std::size_t at = line.find(source.path() + ":");
      if (at != line.npos && line.find("Error") != line.npos)
        refused[std::stoul(line.substr(at + source.path().size() + 1)) - 1] = true;
    }
  }
  const Scratch binary("binary");
  const std::string command =
      "powerpc64-linux-gnu-objcopy -O binary -j .text " + object.path() + " " + binary.path() + " 2>&1";
  if (std::system(command.c_str()) != 0) return words;
  std::ifstream in(binary.path(), std::ios::binary);
  char bytes[4];
  for (std::size_t i = 0; i < lines.size() && in.read(bytes, 4); i++)
    if (!refused[i] && !lines[i].empty()) words[i] = load_be<u32>(bytes);
  return words;
}

/// The line for as: branches have no target in it, so the displacement is written from here.
std::string for_assembler(const isa::Row& row, u64 ea, u32 word, const std::string& line) {
  if (row.form != isa::Form::I && row.form != isa::Form::B) return line;
  const std::size_t at = line.rfind("0x");
  if (at == line.npos) return line;
  const u64 target = std::stoull(line.substr(at), nullptr, 16);
  return line.substr(0, at) + (word & 2 ? "" : ".+") +
         std::to_string(static_cast<i64>(word & 2 ? target : target - ea));
}

/// The word with what extended mnemonics do not say left out: BI where BO looks at no condition, and one
/// field's mtcrf.
u32 without_unsaid(const isa::Row& row, u32 word) {
  const bool branch = std::string_view(row.mnemonic).starts_with("bc");
  if (branch && field(word, 6, 6) == 1) word &= ~0x001F0000u;
  if (row.id == isa::Id::mtcrf && std::popcount(field(word, 12, 19)) == 1) word |= 0x00100000;
  return word;
}

/// Counts and shows words that differ; whether the ledger excuses one.
class Comparison {
 public:
  template <class Text>
  void differs(const isa::Row& row, u32 word, const std::string& ours, const Text& theirs,
               bool no_instruction) {
    const std::string text = no_instruction ? ".long" : theirs;
    if (const std::string_view id = excuse(row, word, text); !id.empty())
      ledger_.excuse(id);
    else if (wrong_[&row]++ < 2)
      ADD_FAILURE() << std::hex << word << " ours " << ours << " theirs " << theirs;
  }
  /// A word that is no instruction for us.
  void only_theirs(u32 word, const std::string& text) {
    static const std::set<std::string> other_processors = {"dcbi", "eciwx", "ecowx", "mtsrd", "mtsrdin",
                                                           "rfi",  "tlbia", "tlbld", "tlbli"};
    const std::string name = text.substr(0, text.find(' '));
    if (other_processors.contains(name))
      ledger_.excuse("binutils-other-processors");
    else if (name == "bcctr" || name == "bcctrl")
      ledger_.excuse("binutils-bcctr");
    else if (name.starts_with("lfdp") || name.starts_with("stfdp") ||
             (name.starts_with("d") && name.find("q") != name.npos))
      ledger_.excuse("binutils-odd-pairs");
    else
      ADD_FAILURE() << std::hex << word << " only objdump: " << text;
  }
  ~Comparison() { EXPECT_EQ(ledger_.unused(), std::vector<std::string>{}); }

 private:
  coverage::Ledger ledger_{"binutils"};
  std::map<const isa::Row*, int> wrong_;
};

constexpr std::size_t kEach = 2000;

const isa::Row& row_of(std::size_t i) { return isa::table()[i / kEach]; }

/// Words of every row: objdump writes the table's text.
void compare_texts(const std::vector<u32>& words, Comparison& comparison) {
  const auto texts = objdump(words, "power6,raw");
  ASSERT_EQ(texts.size(), words.size());
  for (std::size_t i = 0; i < words.size(); i++)
    if (const std::string ours = isa::table_text(4 * i, words[i]); ours != texts[i])
      comparison.differs(row_of(i), words[i], ours, texts[i], texts[i].starts_with(".long"));
  for (const isa::Row& row : isa::table()) coverage::cases("binutils", row.mnemonic, kEach);
}

/// And the other way: the table's lines, or those for people, assemble to the word.
void compare_lines(const std::vector<u32>& words, bool people, Comparison& comparison) {
  constexpr u64 kEa = 0x1000;
  constexpr std::size_t kStep = 4;  // every fourth word: the assembler is slow
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < words.size(); i += kStep)
    lines.push_back(for_assembler(row_of(i), kEa, words[i],
                                  people ? isa::disassemble(kEa, words[i]) : isa::table_text(kEa, words[i])));
  const auto theirs = assembled(lines);
  for (std::size_t i = 0; i < lines.size(); i++) {
    const u32 word = words[i * kStep];
    const isa::Row& row = row_of(i * kStep);
    if (theirs[i] && without_unsaid(row, *theirs[i]) == without_unsaid(row, word)) continue;
    comparison.differs(row, word, lines[i], theirs[i] ? isa::table_text(kEa, *theirs[i]) : "nothing",
                       !theirs[i]);
  }
}

/// Words of every primary opcode and every value of the low eleven bits, some with few other bits: what is an
/// instruction for one is one for the other.
void compare_knowledge(std::mt19937& random, Comparison& comparison) {
  std::vector<u32> words;
  for (u32 top = 0; top < 64; top++)
    for (u32 low = 0; low < 2048; low++)
      for (int i = 0; i < 6; i++) {
        const u32 fields = i < 2 ? random() : random() & random() & random();
        words.push_back(top << 26 | (fields & 0x03FFF800) | low);
      }
  const auto texts = objdump(words, "power6,raw");
  ASSERT_EQ(texts.size(), words.size());
  for (std::size_t i = 0; i < words.size(); i++) {
    const isa::Row* const row = isa::decode(words[i]);
    const bool theirs = !texts[i].starts_with(".long");
    const std::string ours = isa::table_text(4 * i, words[i]);
    if (ours == texts[i] || (!row && !theirs)) continue;
    if (row)
      comparison.differs(*row, words[i], ours, texts[i], !theirs);
    else
      comparison.only_theirs(words[i], texts[i]);
  }
}

TEST(IsaText, AgreesWithBinutils) {
  if (!binutils()) GTEST_SKIP() << "no cross binutils";
  Comparison comparison;
  std::mt19937 random(4);
  std::vector<u32> words;
  for (const isa::Row& row : isa::table())
    for (std::size_t i = 0; i < kEach; i++) words.push_back(valid_word(row, random));
  compare_texts(words, comparison);
  compare_lines(words, false, comparison);
  compare_lines(words, true, comparison);
  compare_knowledge(random, comparison);
}

}  // namespace
}  // namespace baton::cpu
