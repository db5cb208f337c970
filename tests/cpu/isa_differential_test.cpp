// SPDX-License-Identifier: Apache-2.0
// Our integer semantics against qemu-user's, on random operands: 64-bit mode against qemu-ppc64 -cpu power7,
// 32-bit mode against qemu-ppc, little-endian mode against qemu-ppc64le. What the architecture leaves
// undefined (POWER6-ISA 4.2-4.9) is not compared.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <vector>

#include "tests/cpu/coverage.h"
#include "tests/cpu/differential/native.h"
#include "tests/cpu/differential/protocol.h"
#include "tests/cpu/differential/words.h"

namespace baton::cpu {
namespace {

using test::Machine;

/// One run: registers and, if the group says so, storage.
struct Trial {
  Set set{};
  std::array<u8, kMemoryBytes> memory{};
};

struct Case {
  const isa::Row* row;
  Group group{};
  std::vector<Trial> runs;
  std::vector<u32> words;  ///< Those of the group that are under test.
};

// ---- the stream: every field in the byte order of the runner

void swap_fields(Set& set) {
  for (u64& r : set.gpr) r = byteswap(r);
  for (u64* r : {&set.lr, &set.ctr, &set.outcome}) *r = byteswap(*r);
  for (u32* r : {&set.cr, &set.xer}) *r = byteswap(*r);
}

struct Reference {
  std::string command;
  bool sixty_four;
  bool little_endian;
};

std::vector<Trial> run_qemu(const Reference& reference, const std::vector<Case>& cases) {
  const std::string in = testing::TempDir() + "baton_isa_in." + std::to_string(getpid()),
                    out = testing::TempDir() + "baton_isa_out." + std::to_string(getpid());
  {
    std::ofstream file(in, std::ios::binary);
    for (const Case& c : cases) {
      Group group = c.group;
      if (!reference.little_endian) {
        for (u32& word : group.words) word = byteswap(word);
        for (u32* field : {&group.target, &group.sets, &group.with_memory}) *field = byteswap(*field);
      }
      file.write(reinterpret_cast<const char*>(&group), sizeof group);
      for (const Trial& run : c.runs) {
        Set set = run.set;
        if (!reference.little_endian) swap_fields(set);
        file.write(reinterpret_cast<const char*>(&set), sizeof set);
        if (c.group.with_memory) file.write(reinterpret_cast<const char*>(run.memory.data()), kMemoryBytes);
      }
    }
  }
  std::vector<Trial> answers;
  if (std::system((reference.command + " <" + in + " >" + out).c_str()) != 0) return answers;
  std::ifstream file(out, std::ios::binary);
  for (const Case& c : cases) {
    for (std::size_t i = 0; i < c.runs.size(); i++) {
      Trial& answer = answers.emplace_back();
      file.read(reinterpret_cast<char*>(&answer.set), sizeof answer.set);
      if (c.group.with_memory) file.read(reinterpret_cast<char*>(answer.memory.data()), kMemoryBytes);
      if (!file) return {};
      if (!reference.little_endian) swap_fields(answer.set);
    }
  }
  std::filesystem::remove(in);
  std::filesystem::remove(out);
  return answers;
}

// ---- our side

void load_state(Machine& machine, const Trial& run, bool with_memory) {
  State& s = machine.s;
  for (unsigned i = 0; i < 32; i++) s.gpr[i] = run.set.gpr[i];
  s.lr = run.set.lr;
  s.ctr = run.set.ctr;
  sem::set_cr(s, run.set.cr);
  sem::set_xer(s, run.set.xer);
  s.reserved = false;
  s.fault = {};
  if (with_memory) machine.memory().write(kMemory, run.memory);
}

Trial save_state(Machine& machine, bool with_memory) {
  const State& s = machine.s;
  Trial result;
  for (unsigned i = 0; i < 32; i++) result.set.gpr[i] = s.gpr[i];
  result.set.lr = s.lr;
  result.set.ctr = s.ctr;
  result.set.cr = sem::get_cr(s);
  result.set.xer = static_cast<u32>(sem::get_xer(s));
  if (with_memory) machine.memory().read(kMemory, result.memory);
  return result;
}

Trial run_ours(Machine& machine, const Case& c, const Trial& run) {
  load_state(machine, run, c.group.with_memory);
  const auto outcome = machine.execute(kCode, c.words);
  Trial result = save_state(machine, c.group.with_memory);
  EXPECT_EQ(machine.s.gpr[32], 0u);
  switch (outcome.flow) {
    case Flow::kNext:
      result.set.outcome = kFellThrough;
      break;
    case Flow::kBranch:
      result.set.outcome = outcome.next == c.group.target ? kTaken : 99;
      break;
    case Flow::kStop:
      result.set.outcome = kOtherSignal;
      if (machine.s.fault.vector == Vector::kProgram)
        result.set.outcome = machine.s.fault.srr1 == program::kTrap ? kSigtrap : kSigill;
      break;
  }
  return result;
}

// ---- operands

class Generator {
 public:
  Generator(unsigned seed, bool sixty_four) : random_(seed), sixty_four_(sixty_four) {}

  u32 below(u32 n) { return static_cast<u32>(random_() % n); }
  u32 word() { return static_cast<u32>(random_()); }
  u64 uniform() { return random_(); }
  /// Values at which instructions change their minds, as often as any.
  u64 value() {
    const u64 r = random_();
    switch (below(8)) {
      case 0:
        return r;
      case 1:
        return r & 0xFFFFFFFF;
      case 2:
        return static_cast<u64>(i64{static_cast<i32>(r)});
      case 3:
        return (u64{1} << below(64)) + below(3) - 1;
      case 4:
        return ~((u64{1} << below(64)) + below(3) - 1);
      case 5:
        return u64{below(5)} - 2;
      case 6:
        return (std::array<u64, 8>{0, 0x80000000, 0x7FFFFFFF, 0xFFFFFFFF80000000, 0x8000000000000000,
                                   0x7FFFFFFFFFFFFFFF, 0xFFFFFFFF, ~u64{0}})[r & 7];
      default:
        return r >> below(64);
    }
  }
  Trial run() {
    Trial result;
    // Few different values, so that equal operands happen.
    std::array<u64, 12> pool;
    for (u64& v : pool) v = value();
    for (u64& r : result.set.gpr) r = below(2) ? value() : pool[below(12)];
    result.set.lr = value();
    result.set.ctr = below(4) ? value() : below(3);
    result.set.cr = word();
    result.set.xer = (word() & 0xE0000000) | below(128);
    for (u8& byte : result.memory) byte = static_cast<u8>(random_());
    return result;
  }

  std::mt19937_64 random_;
  bool sixty_four_;
};

const std::set<std::string_view> kNotHere = {
    // System instructions and what a user program cannot try.
    "sc", "mfspr", "mtspr", "mftb", "attn",
    // Hints that qemu's power7 does not have.
    "icbt", "dst", "dstt", "dstst", "dststt", "dss", "dssall",
    // Their own test below.
    "lwarx", "ldarx", "stwcx.", "stdcx."};

// And the 7447 of qemu-ppc has blocks of 32 bytes.
const std::set<std::string_view> kSixtyFourOnly = {
    "dcbz", "dcbzl", "ld", "ldu", "ldx",     "ldux",  "lwa",   "lwax", "lwaux",  "std",    "stdu",
    "stdx", "stdux", "td", "tdi", "popcntb", "prtyw", "prtyd", "cmpb", "addg6s", "cbcdtd", "cdtbcd"};

bool sixty_four_only(const isa::Row& row) {
  std::string_view name = row.mnemonic;
  if (kSixtyFourOnly.contains(name)) return true;
  for (std::string_view prefix : {"rld", "sld", "srd", "srad", "mulld", "mulhd", "divd", "extsw", "cntlzd"})
    if (name.starts_with(prefix)) return true;
  return false;
}

bool is(const isa::Row& row, std::string_view name) { return row.mnemonic == name; }

/// Bytes that a load or store may touch from its address on; 0 for other rows.
u32 touches(const isa::Row& row) {
  const std::string_view name = row.mnemonic;
  if (row.facility != isa::Facility::Base) return 0;
  if (name == "lmw" || name == "stmw" || name == "lswi" || name == "stswi" || name == "lswx" ||
      name == "stswx")
    return 128;
  if (name.starts_with("dcb") || name == "icbi") return 1;
  if (name.starts_with("lb") || name.starts_with("lh") || name.starts_with("lw") || name.starts_with("ld"))
    return 8;
  if (name.starts_with("stb") || name.starts_with("sth") || name.starts_with("stw") ||
      name.starts_with("std"))
    return 8;
  return 0;
}

bool is_branch(const isa::Row& row) {
  return row.form == isa::Form::I || row.form == isa::Form::B ||
         std::string_view(row.mnemonic).starts_with("bc");
}

u32 pad_address(Generator& g) {
  while (true) {
    const u32 at = kPads + 4 * g.below((kPadsEnd - kPads) / 4);
    if (at < kCode || at > kCode + 4 * kSlots) return at;
  }
}

/// False: this word is not to be tried.
bool prepare_word(Generator& g, const isa::Row& row, Case& c) {
  u32 word = test::random_word(row, g.random_);
  if (is_branch(row)) {
    c.group.target = pad_address(g);
    if (row.form == isa::Form::I || row.form == isa::Form::B) {
      const u32 bits = row.form == isa::Form::I ? 0x03FFFFFC : 0x0000FFFC;
      const u32 to = word & 2 ? c.group.target : c.group.target - kCode;
      word = (word & ~bits) | (to & bits);
    }
  }
  if (is(row, "mtocrf") || is(row, "mfocrf")) word = (word & ~0x000FF000u) | 0x1000u << g.below(8);
  if (is(row, "sync")) word = row.value | g.below(3) << 21;
  if (is(row, "dcbf")) word &= ~0x00600000u;
  if (!g.sixty_four_ && std::string_view(row.mnemonic).starts_with("cmp")) word &= ~0x00200000u;
  if (!isa::decode(word)) return false;
  const u32 rt = field(word, 6, 10), ra = field(word, 11, 15), rb = field(word, 16, 20);
  if (touches(row) != 0) {
    // Loads that overwrite their own address registers are invalid forms, which QEMU refuses.
    const u32 span = is(row, "lmw") ? 32 - rt : ((rb == 0 ? 32 : rb) + 3) / 4;
    const auto loaded = [&](u32 r) { return ((r - rt) & 31) < span; };
    if ((is(row, "lmw") || is(row, "lswi")) && loaded(ra)) return false;
    // RA=0 would mean address 0, which nobody maps.
    if ((is(row, "lswi") || is(row, "stswi")) && ra == 0) return false;
    if (is(row, "lswx")) {
      // Leave the last eight registers before RT for the address.
      const u32 clear = (rt - 1) & 31;
      word = (word & ~0x001FF800u) | clear << 11 | ((rt - 2) & 31) << 16;
      if (clear == 0) return false;
    }
    // RA=0: the address is the displacement alone.
    if (ra == 0 && row.form != isa::Form::X)
      word = (word & 0xFFFF0000) | (kMemory + (g.below(128) & ~3u)) | (word & 3);
  }
  c.words = {word};
  c.row = &row;
  std::fill(std::begin(c.group.words), std::end(c.group.words), 0x60000000);
  c.group.words[0] = word;
  c.group.with_memory = touches(row) != 0;
  return isa::decode(word) == &row;
}

Trial prepare_run(Generator& g, const Case& c) {
  Trial run = g.run();
  const u32 word = c.words[0], rt = field(word, 6, 10), ra = field(word, 11, 15), rb = field(word, 16, 20);
  const isa::Row& row = *c.row;
  if (is_branch(row)) {
    const std::string_view name = row.mnemonic;
    if (name.starts_with("bclr")) run.set.lr = c.group.target | g.below(4);
    if (name.starts_with("bcctr")) run.set.ctr = c.group.target | g.below(4);
  }
  if (is(row, "cbcdtd")) {
    u64& bcd = run.set.gpr[rt];
    bcd = 0;
    for (int digit = 0; digit < 16; digit++) bcd = bcd << 4 | g.below(10);
    bcd &= 0x00FFFFFF00FFFFFF;
  }
  if (const u32 size = touches(row); size != 0) {
    u64 address = kMemory + g.below(kMemoryBytes - size + 1);
    if (row.form == isa::Form::X) {
      if (is(row, "lswi") || is(row, "stswi")) {
        run.set.gpr[ra] = address;
      } else if (ra == 0) {
        run.set.gpr[rb] = address;
      } else if (ra == rb) {
        run.set.gpr[ra] = (address &= ~u64{1}) / 2;
      } else {
        run.set.gpr[rb] = address - run.set.gpr[ra];
      }
    } else if (ra != 0) {
      run.set.gpr[ra] = address - static_cast<u64>(isa::operands(row, word).imm);
    }
    // lswx: leave the address registers, the two before RT, alone.
    if (is(row, "lswx")) run.set.xer = (run.set.xer & ~127u) | (1 + g.below(120));
    if (is(row, "stswx")) run.set.xer = (run.set.xer & ~127u) | g.below(128);
  }
  if (!g.sixty_four_) {
    // Nothing may depend on the upper halves.
    for (u64& r : run.set.gpr) r = (r & 0xFFFFFFFF) | (g.below(2) ? g.uniform() << 32 : 0);
    for (u64* r : {&run.set.lr, &run.set.ctr}) *r = (*r & 0xFFFFFFFF) | (g.below(2) ? g.uniform() << 32 : 0);
  }
  return run;
}

// ---- what is undefined

bool starts(const isa::Row& row, std::string_view prefix) {
  return std::string_view(row.mnemonic).starts_with(prefix);
}
bool records(const isa::Row& row) { return std::string_view(row.mnemonic).ends_with("."); }

/// Overwrites the undefined parts of both results alike.
void forget_undefined(const Case& c, const Trial& in, Trial& result, bool sixty_four) {
  const isa::Row& row = *c.row;
  const u32 word = c.words[0];
  u64& rt = result.set.gpr[field(word, 6, 10)];
  const u64 ra = in.set.gpr[field(word, 11, 15)], rb = in.set.gpr[field(word, 16, 20)];
  if (result.set.outcome == kSigtrap) {
    // The signal handler has overwritten the registers in qemu's report.
    result.set = {};
    result.set.outcome = kSigtrap;
    return;
  }
  if (starts(row, "mulhw") || starts(row, "divw")) {
    rt &= 0xFFFFFFFF;
    if (records(row) && sixty_four) result.set.cr &= 0x1FFFFFFF;
  }
  bool impossible = false;
  if (starts(row, "divdu"))
    impossible = rb == 0;
  else if (starts(row, "divd"))
    impossible = rb == 0 || (rb == ~u64{0} && ra == u64{1} << 63);
  else if (starts(row, "divwu"))
    impossible = static_cast<u32>(rb) == 0;
  else if (starts(row, "divw"))
    impossible =
        static_cast<u32>(rb) == 0 || (static_cast<i32>(rb) == -1 && static_cast<u32>(ra) == u32{1} << 31);
  if (impossible) {
    rt = 0;
    if (records(row)) result.set.cr &= 0x1FFFFFFF;
  }
  if (is(row, "mfocrf")) rt &= u64{0xF} << (28 - 4 * std::countl_zero(static_cast<u8>(field(word, 12, 19))));
  if (!sixty_four) {
    for (u64& r : result.set.gpr) r &= 0xFFFFFFFF;
    result.set.lr &= 0xFFFFFFFF;
    result.set.ctr &= 0xFFFFFFFF;
  }
}

// ---- the tests

std::string describe(const Case& c, const Trial& in, const Trial& theirs, const Trial& ours) {
  std::string text;
  char line[160];
  const auto add = [&](const char* name, u64 before, u64 qemu, u64 mine) {
    std::snprintf(line, sizeof line, "  %-7s %016llx -> qemu %016llx ours %016llx%s\n", name,
                  static_cast<unsigned long long>(before), static_cast<unsigned long long>(qemu),
                  static_cast<unsigned long long>(mine), qemu == mine ? "" : "  <--");
    text += line;
  };
  for (u32 word : c.words) text += isa::disassemble(kCode, word) + "; ";
  text += "\n";
  for (unsigned i = 0; i < 32; i++) {
    const u32 word = c.words[0];
    if (theirs.set.gpr[i] != ours.set.gpr[i] || field(word, 6, 10) == i || field(word, 11, 15) == i ||
        field(word, 16, 20) == i)
      add(("r" + std::to_string(i)).c_str(), in.set.gpr[i], theirs.set.gpr[i], ours.set.gpr[i]);
  }
  add("lr", in.set.lr, theirs.set.lr, ours.set.lr);
  add("ctr", in.set.ctr, theirs.set.ctr, ours.set.ctr);
  add("cr", in.set.cr, theirs.set.cr, ours.set.cr);
  add("xer", in.set.xer, theirs.set.xer, ours.set.xer);
  add("outcome", 0, theirs.set.outcome, ours.set.outcome);
  for (unsigned i = 0; i < kMemoryBytes; i++)
    if (theirs.memory[i] != ours.memory[i]) {
      add(("[" + std::to_string(i) + "]").c_str(), in.memory[i], theirs.memory[i], ours.memory[i]);
      break;
    }
  return text;
}

bool equal(const Trial& x, const Trial& y) {
  return std::equal(std::begin(x.set.gpr), std::end(x.set.gpr), std::begin(y.set.gpr)) &&
         x.set.lr == y.set.lr && x.set.ctr == y.set.ctr && x.set.cr == y.set.cr && x.set.xer == y.set.xer &&
         x.set.outcome == y.set.outcome && x.memory == y.memory;
}

/// nullopt: skip.
std::optional<Reference> reference(bool sixty_four, bool little_endian = false) {
  const std::string runner = little_endian ? BATON_QEMU_RUNNER_64LE
                             : sixty_four  ? BATON_QEMU_RUNNER_64
                                           : BATON_QEMU_RUNNER_32;
  const std::string qemu = little_endian ? "qemu-ppc64le -cpu power7"
                           : sixty_four  ? "qemu-ppc64 -cpu power7"
                                         : "qemu-ppc -cpu 7447";
  const std::string command = qemu + " -B 0x10000000 " + runner;
  if (runner.empty() || std::system((command + " </dev/null >/dev/null 2>&1").c_str()) != 0)
    return std::nullopt;
  return Reference{command, sixty_four, little_endian};
}

/// Runs the cases on both sides, ours also as programs by the engine.
void compare(const Reference& reference, const std::vector<Case>& cases, u64* compared) {
  const std::vector<Trial> answers = run_qemu(reference, cases);
  ASSERT_FALSE(answers.empty()) << "qemu failed";
  Machine machine(reference.sixty_four, reference.little_endian);
  test::Machines machines(reference.sixty_four, reference.little_endian, 0);
  std::size_t at = 0;
  std::map<const isa::Row*, int> wrong;
  int wrong_programs = 0;
  std::map<const isa::Row*, u32> outcomes;
  for (const Case& c : cases) {
    for (u32 word : c.words)
      if (const isa::Row* row = isa::decode(word)) coverage::cases("qemu", row->mnemonic, c.runs.size());
    Machine& program = machines.next();
    for (std::size_t i = 0; i < c.runs.size(); i++, at++) {
      const Trial& in = c.runs[i];
      Trial theirs = answers[at], ours = run_ours(machine, c, in);
      const Trial direct = ours;
      outcomes[c.row] |= 1u << std::min<u64>(theirs.set.outcome, 31);
      forget_undefined(c, in, theirs, reference.sixty_four);
      forget_undefined(c, in, ours, reference.sixty_four);
      if (!equal(theirs, ours) && wrong[c.row]++ < 2) ADD_FAILURE() << describe(c, in, theirs, ours);
      (*compared)++;
      if (direct.set.outcome > kTaken) continue;
      load_state(program, in, c.group.with_memory);
      const u64 next = program.run(kCode, c.words, c.group.target);
      Trial engine = save_state(program, c.group.with_memory);
      engine.set.outcome = direct.set.outcome;
      if (!equal(engine, direct) && wrong_programs++ < 4)
        ADD_FAILURE() << "engine: " << describe(c, in, engine, direct);
      EXPECT_EQ(next, direct.set.outcome == kTaken ? c.group.target : kCode + 4 * c.words.size());
    }
  }
  // That nothing is vacuous: every row runs to its end under QEMU, branches both ways, traps trap.
  for (const auto& [row, seen] : outcomes) {
    const bool trap = starts(*row, "tw") || starts(*row, "td");
    const bool always = row->form == isa::Form::I;
    const u32 expected = trap              ? 1 << kFellThrough | 1 << kSigtrap
                         : always          ? 1 << kTaken
                         : is_branch(*row) ? 1 << kFellThrough | 1 << kTaken
                                           : 1 << kFellThrough;
    EXPECT_EQ(seen, expected) << row->mnemonic;
  }
  for (const auto& [row, count] : wrong) std::printf("%-10s %d wrong\n", row->mnemonic, count);
}

constexpr unsigned kWords = 32, kRuns = 64;

void compare_all_rows(bool sixty_four, unsigned seed, bool little_endian = false) {
  const auto qemu = reference(sixty_four, little_endian);
  if (!qemu) GTEST_SKIP() << "no qemu-user or no cross compiler";
  Generator g(seed, sixty_four);
  std::vector<Case> cases;
  unsigned rows = 0;
  u64 compared = 0;
  for (const isa::Row& row : isa::table()) {
    if (row.facility != isa::Facility::Base || row.privilege != isa::Privilege::User) continue;
    if (kNotHere.contains(row.mnemonic) || (!sixty_four && sixty_four_only(row))) continue;
    if (little_endian && touches(row) == 128) continue;  // An alignment interrupt, which ends qemu-user.
    rows++;
    for (unsigned n = 0; n < kWords; n++) {
      Case c;
      if (!prepare_word(g, row, c)) continue;
      for (unsigned i = 0; i < kRuns; i++) c.runs.push_back(prepare_run(g, c));
      c.group.sets = kRuns;
      cases.push_back(std::move(c));
    }
    // Bounded: a gigabyte would be too much for the streams.
    if (cases.size() > 1000) {
      compare(*qemu, cases, &compared);
      cases.clear();
    }
  }
  compare(*qemu, cases, &compared);
  std::printf("%u rows, %llu runs compared\n", rows, static_cast<unsigned long long>(compared));
}

TEST(IsaDifferential, SixtyFourBitMode) { compare_all_rows(true, 1); }
TEST(IsaDifferential, ThirtyTwoBitMode) { compare_all_rows(false, 2); }

TEST(IsaDifferential, LittleEndianMode) { compare_all_rows(true, 6, true); }

void compare_reservations(bool little_endian) {
  const auto qemu = reference(true, little_endian);
  if (!qemu) GTEST_SKIP() << "no qemu-user or no cross compiler";
  Generator g(3, true);
  std::vector<Case> cases;
  for (int n = 0; n < 200; n++) {
    const bool wide = g.below(2);
    const u32 load = wide ? 0x7C0000A8 : 0x7C000028, store = wide ? 0x7C0001AD : 0x7C00012D;
    Case c;
    // larx 3,4,5; stcx. 6,7,8; and a second stcx., which must fail.
    c.words = {load | 3 << 21 | 4 << 16 | 5 << 11, store | 6 << 21 | 7 << 16 | 8 << 11,
               store | 9 << 21 | 4 << 16 | 5 << 11};
    std::fill(std::begin(c.group.words), std::end(c.group.words), 0x60000000);
    std::copy(c.words.begin(), c.words.end(), std::begin(c.group.words));
    c.row = isa::decode(c.words[1]);
    c.group.with_memory = 1;
    c.group.sets = 20;
    for (int i = 0; i < 20; i++) {
      Trial run = g.run();
      const u64 first = kMemory + g.below(8) * 8, second = g.below(2) ? first : kMemory + g.below(8) * 8;
      run.set.gpr[4] = g.uniform();
      run.set.gpr[5] = first - run.set.gpr[4];
      run.set.gpr[7] = g.uniform();
      run.set.gpr[8] = second - run.set.gpr[7];
      c.runs.push_back(run);
    }
    cases.push_back(std::move(c));
  }
  u64 compared = 0;
  compare(*qemu, cases, &compared);
}

TEST(IsaDifferential, Reservations) { compare_reservations(false); }
TEST(IsaDifferential, LittleEndianReservations) { compare_reservations(true); }

/// mtxer and mfxer, mtlr and mfctr as programs use them.
TEST(IsaDifferential, UserRegisters) {
  const auto qemu = reference(true);
  if (!qemu) GTEST_SKIP() << "no qemu-user or no cross compiler";
  Generator g(4, true);
  std::vector<Case> cases;
  for (u32 spr : {1u, 8u, 9u}) {
    Case c;
    c.words = {0x7C6003A6 | spr << 16, 0x7C8002A6 | spr << 16};  // mtspr spr,3; mfspr 4,spr
    std::fill(std::begin(c.group.words), std::end(c.group.words), 0x60000000);
    std::copy(c.words.begin(), c.words.end(), std::begin(c.group.words));
    c.row = isa::decode(c.words[0]);
    c.group.sets = 200;
    for (int i = 0; i < 200; i++) {
      Trial run = g.run();
      if (spr == 1) run.set.gpr[3] &= 0xE000007F;
      c.runs.push_back(run);
    }
    cases.push_back(std::move(c));
  }
  u64 compared = 0;
  compare(*qemu, cases, &compared);
}

/// Words that must be illegal for us are for QEMU's POWER7 too, where it does not have the instruction.
TEST(IsaDifferential, InvalidForms) {
  const auto qemu = reference(true);
  if (!qemu) GTEST_SKIP() << "no qemu-user or no cross compiler";
  Generator g(5, true);
  std::vector<Case> cases;
  for (u32 word : {0x84600004u, 0x84630004u, 0x94600004u, 0x8C600004u, 0x8C630004u, 0xA4630004u, 0xAC630004u,
                   0xE8630009u, 0xE8600009u, 0xF8600009u, 0x9C600004u, 0xB4600004u, 0x7C63206Eu, 0x7C60206Eu,
                   0x7C60216Eu, 0x00000000u, 0x04000000u, 0x58000000u, 0x4C000064u}) {
    Case c;
    c.words = {word};
    EXPECT_EQ(isa::decode(word), nullptr) << std::hex << word;
    std::fill(std::begin(c.group.words), std::end(c.group.words), 0x60000000);
    c.group.words[0] = word;
    c.row = &isa::table()[0];
    c.group.sets = 1;
    c.runs.push_back(g.run());
    cases.push_back(std::move(c));
  }
  const auto answers = run_qemu(*qemu, cases);
  ASSERT_EQ(answers.size(), cases.size());
  for (std::size_t i = 0; i < cases.size(); i++)
    EXPECT_EQ(answers[i].set.outcome, u64{kSigill}) << std::hex << cases[i].words[0];
}

}  // namespace
}  // namespace baton::cpu
