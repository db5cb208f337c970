// SPDX-License-Identifier: Apache-2.0
// Which interrupt every instruction takes, in each state, with each facility on and off, and with storage
// that is not there: illegal before privileged before unavailable before storage (POWER6-ISA 6). Who may
// execute what comes from tests/cpu/data/power6-opcodes.csv, not from the instruction table.
#include <map>
#include <random>
#include <set>

#include "cpu/isa/isa.h"
#include "tests/cpu/bare_metal/machine.h"
#include "tests/cpu/coverage.h"
#include "tests/cpu/csv.h"
#include "tests/cpu/differential/words.h"

namespace baton::bare_metal {
namespace {

using cpu::isa::Row;

/// What the opcode list says of a mnemonic.
struct Facts {
  char privilege = 'U';  ///< U, P (supervisor), H (nobody in a partition).
  bool illegal = false;
  u64 facility = 0;  ///< The MSR bit that must be on, or 0.
  bool storage = false;
};

std::map<std::string, Facts> opcode_list() {
  enum Column {
    kMnemonic,
    kForm,
    kMask,
    kOpcode,
    kPo,
    kXo,
    kOe,
    kRc,
    kOperands,
    kPriv,
    kCategory,
    kOnPower6
  };
  std::map<std::string, Facts> list;
  for (const auto& cells : coverage::read_csv(BATON_SOURCE_DIR "/tests/cpu/data/power6-opcodes.csv")) {
    if (cells.size() <= kOnPower6 || cells[kMnemonic] == "mnemonic" || cells[kOnPower6] == "no") continue;
    Facts& facts = list[cells[kMnemonic]];
    const std::string& name = cells[kMnemonic];
    const std::string& category = cells[kCategory];
    if (!cells[kPriv].empty()) facts.privilege = cells[kPriv][0];
    facts.illegal = name == "attn";
    // Stream hints are no-ops without vectors, too.
    const bool stream = name.starts_with("ds");
    if (category == "VMX" && !stream) facts.facility = msr::VEC;
    if (category == "FP" || category == "DFP" || cells[kOperands].find("FPR") != std::string::npos)
      facts.facility = msr::FP;
    // A load, a store, or a cache instruction that translates.
    const std::set<std::string> blocks{"dcbf", "dcbst", "dcbz", "dcbzl", "icbi"};
    const bool named = (name[0] == 'l' && name != "lvsl" && name != "lvsr") || name.starts_with("st");
    facts.storage = (named && name != "stop") || blocks.contains(name);
  }
  return list;
}

class Privilege : public OneThread {
 protected:
  static constexpr u64 kSupervisor = msr::SF | msr::ME | msr::DR;
  static constexpr u64 kProblem = kSupervisor | msr::PR | msr::EE | msr::IR;
  /// No segment is there.
  static constexpr u64 kNowhere = 0x0200'0000'0000'0100;

  void SetUp() override { m.map_code(); }

  /// A valid word of the row that stays within what the test has set up; 0: none found.
  u32 word_of(const Row& row) {
    for (unsigned attempt = 0; attempt < 200; attempt++) {
      u32 word = cpu::test::random_word(row, random);
      const std::string_view name = row.mnemonic;
      if (name == "mfspr" || name == "mtspr") word = (word & ~0x001FF800u) | 0x00080000;  // LR
      if (name == "mftb") word = (word & ~0x001FF800u) | 0x000C4000;                      // TBL
      if (cpu::isa::decode(word) == &row) return word;
    }
    return 0;
  }
  /// Executes one instruction with every register prepared.
  Stop one(u32 word, u64 msr) {
    for (unsigned r = 0; r < 32; r++) m.gpr(r) = kNowhere;
    s.srr0 = Machine::kScratch;
    s.srr1 = msr::SF | msr::ME;
    s.lr = s.ctr = Machine::kScratch;
    s.fpscr = 0;
    s.xer_count = 4;
    s.stop = {};
    m.assemble({word});
    m.go(Machine::kScratch + (msr & msr::IR ? Machine::kCode : 0), msr);
    return m.run(0, 1);
  }
  std::mt19937_64 random{20050};
};

TEST_F(Privilege, EveryRowInEveryState) {
  const auto list = opcode_list();
  ASSERT_GT(list.size(), 600u);
  u64 tried = 0, rows = 0;
  for (const Row& row : cpu::isa::table()) {
    const auto found = list.find(row.mnemonic);
    ASSERT_NE(found, list.end()) << row.mnemonic;
    const Facts& facts = found->second;
    rows++;
    u64 cases = 0;
    for (unsigned sample = 0; sample < 4; sample++) {
      const u32 word = word_of(row);
      ASSERT_NE(word, 0u) << row.mnemonic;
      for (u64 state : {kSupervisor, kProblem}) {
        for (u64 facilities : {u64{0}, msr::FP, msr::VEC, msr::FP | msr::VEC}) {
          const u64 msr = state | facilities;
          const u64 at = Machine::kScratch + (msr & msr::IR ? Machine::kCode : 0);
          if (facts.privilege == 'P') m.map_code();  // It may have taken the segment away.
          const Stop stop = one(word, msr);
          SCOPED_TRACE(testing::Message() << row.mnemonic << std::hex << " " << word << " MSR " << msr);
          cases++;
          const bool problem = state & msr::PR;
          if (facts.illegal) {
            EXPECT_TRUE(interrupted(m, stop, Vector::kProgram, {.srr0 = at, .cause = 0x80000}));
          } else if (facts.privilege == 'H' || (facts.privilege == 'P' && problem)) {
            EXPECT_TRUE(interrupted(m, stop, Vector::kProgram, {.srr0 = at, .cause = 0x40000}));
          } else if (facts.facility & ~msr) {
            const Vector vector =
                facts.facility == msr::FP ? Vector::kFpUnavailable : Vector::kVmxUnavailable;
            EXPECT_TRUE(interrupted(m, stop, vector, {.srr0 = at}));
          } else if (facts.storage) {
            // lq and stq: their displacement need not be a multiple of 16.
            const bool quad = std::string_view(row.mnemonic) == "stq";
            if (quad && stop.vector == Vector::kAlignment) continue;
            EXPECT_TRUE(interrupted(m, stop, Vector::kDataSegment, {.srr0 = at}));
          } else if (stop.vector == Vector::kProgram) {
            EXPECT_EQ(s.srr1 & 0x1F0000, 0x20000u);  // A trap, which is what it is for.
            EXPECT_EQ(row.mnemonic[0], 't');
          } else if (std::string_view(row.mnemonic) == "sc") {
            // The system call is complete, and the budget with it; an odd level is the hypervisor's.
            if (!(word & 0x20)) {
              EXPECT_EQ(s.nia, static_cast<u64>(Vector::kSystemCall));
              EXPECT_EQ(s.srr0, at + 4);
            }
          } else {
            EXPECT_EQ(stop.exit, Exit::kBudget) << stop;
          }
          if (::testing::Test::HasFailure()) return;
        }
      }
    }
    tried += cases;
    coverage::cases("privilege", row.mnemonic, cases);
  }
  std::printf("%llu rows, %llu cases\n", static_cast<unsigned long long>(rows),
              static_cast<unsigned long long>(tried));
}

/// Words that no row claims are illegal in every state, whatever else is wrong.
TEST_F(Privilege, WhatIsNoInstruction) {
  unsigned tried = 0;
  while (tried < 2000) {
    const u32 word = static_cast<u32>(random());
    if (cpu::isa::decode(word)) continue;
    tried++;
    for (u64 msr : {kSupervisor, kProblem}) {
      const u64 at = Machine::kScratch + (msr & msr::IR ? Machine::kCode : 0);
      ASSERT_TRUE(interrupted(m, one(word, msr), Vector::kProgram, {.srr0 = at, .cause = 0x80000}))
          << std::hex << word;
    }
  }
}

}  // namespace
}  // namespace baton::bare_metal
