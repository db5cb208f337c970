// SPDX-License-Identifier: Apache-2.0
// What each level of the architecture lets problem state and the supervisor execute (cpu/isa/level.h).
#include "cpu/isa/level.h"

#include <set>
#include <string_view>

#include "tests/cpu/bare_metal/machine.h"
#include "tests/cpu/coverage.h"

namespace baton::bare_metal {
namespace {

namespace isa = cpu::isa;

constexpr u64 kSupervisor = msr::SF | msr::ME | msr::IR | msr::DR | msr::FP | msr::VEC;
constexpr u64 kProblem = kSupervisor | msr::PR | msr::EE;

/// New in ISA 2.05 beside decimal floating point, by the book's own list of instructions; the decimal-assist
/// three are POWER6's.
const std::set<std::string_view> kNewIn205{"cmpb",    "prtyw",  "prtyd",  "fcpsgn", "fcpsgn.",
                                           "lfiwax",  "lfdp",   "lfdpx",  "stfdp",  "stfdpx",
                                           "slbfee.", "addg6s", "cbcdtd", "cdtbcd"};

class Level : public OneThread {
 protected:
  void SetUp() override { m.map_code(); }
  /// True if the instruction is illegal in that state.
  bool illegal(u32 word, u64 msr) {
    m.store32(m.at("spr_slot"), word);
    m.go("spr_slot", msr);
    const Stop stop = m.run(0, 4);  // Branches go anywhere.
    return stop.vector == Vector::kProgram && s.srr1 & program::kIllegal;
  }
};

TEST_F(Level, TakesFromProblemStateWhatCameLater) {
  unsigned gated = 0;
  for (const isa::Level level : {isa::Level::k204, isa::Level::k205, isa::Level::kPower6}) {
    m.domain().set_level(level);
    for (const isa::Row& row : isa::table()) {
      if (row.privilege != isa::Privilege::User || row.id == isa::Id::attn) continue;
      // Register fields that make no update form invalid; addresses that nothing is mapped at.
      const u32 word = row.value | (~row.mask & 0x00600000) | (~row.mask & 0x00080000);
      if (!isa::decode(word)) continue;
      for (unsigned r = 0; r < 32; r++) m.gpr(r) = 0;
      const bool power6 = row.id == isa::Id::mftgpr || row.id == isa::Id::mffgpr;
      const bool later = row.facility == isa::Facility::VMX || row.facility == isa::Facility::DFP ||
                         kNewIn205.contains(row.mnemonic);
      const bool off = power6 && level != isa::Level::kPower6;
      const bool problem_off = off || (later && level == isa::Level::k204);
      gated += problem_off;
      ASSERT_EQ(illegal(word, kProblem), problem_off) << row.mnemonic;
      ASSERT_EQ(illegal(word, kSupervisor), off) << row.mnemonic;
      coverage::cases("privilege", row.mnemonic, 2);
    }
  }
  EXPECT_GT(gated, 250U);
}

TEST_F(Level, IllegalComesBeforeUnavailable) {
  m.domain().set_level(isa::Level::k204);
  constexpr u32 kVor = 0x10000484, kDadd = 0xEC000004;
  for (const u32 word : {kVor, kDadd}) {
    EXPECT_TRUE(illegal(word, kProblem & ~(msr::FP | msr::VEC)));
    m.store32(m.at("spr_slot"), word);
    const Stop stop = m.run("spr_slot", kSupervisor & ~(msr::FP | msr::VEC));
    EXPECT_EQ(stop.vector, word == kVor ? Vector::kVmxUnavailable : Vector::kFpUnavailable);
  }
}

TEST_F(Level, SupervisorsInstructionHasItsOperands) {
  m.domain().set_level(isa::Level::k204);
  m.gpr(4) = 0x1122334455667788;
  m.gpr(5) = 0x1100330055007700;
  m.store32(m.at("spr_slot"), 0x7C832BF8);  // cmpb r3,r4,r5
  EXPECT_TRUE(completed(m.run("spr_slot", kSupervisor)));
  EXPECT_EQ(m.gpr(3), 0xFF00FF00FF00FF00);
}

TEST_F(Level, ChangesTakeEffectOnDecodedCode) {
  constexpr u32 kCmpb = 0x7C832BF8;
  EXPECT_FALSE(illegal(kCmpb, kProblem));
  m.domain().set_level(isa::Level::k204);
  m.go("spr_slot", kProblem);  // The same bytes, not written again.
  EXPECT_EQ(m.run().vector, Vector::kProgram);
  m.domain().set_level(isa::Level::kPower6);
  EXPECT_TRUE(completed(m.run("spr_slot", kProblem)));
}

}  // namespace
}  // namespace baton::bare_metal
