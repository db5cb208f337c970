// SPDX-License-Identifier: Apache-2.0
// Every SPR number, read and written, in both states: what works, what is privileged, what is illegal.
#include <map>

#include "tests/cpu/bare_metal/machine.h"

namespace baton::bare_metal {
namespace {

enum Right : u8 { kR = 1, kW = 2 };
struct Rights {
  u8 problem, supervisor;
  bool hypervisor = false;
};

/// From the reference sheet (POWER6-ISA 5), independent of cpu/spr.cpp.
const std::map<u32, Rights>& registers() {
  static const std::map<u32, Rights> all = [] {
    std::map<u32, Rights> r;
    for (u32 n : {1, 8, 9, 256, 896}) r[n] = {kR | kW, kR | kW};
    for (u32 n : {17,  18,  19,  22,  26,  27,  28,  29,  272, 273, 274, 275,
                  786, 787, 788, 789, 790, 791, 792, 795, 796, 797, 798})
      r[n] = {0, kR | kW};
    for (u32 n : {136, 259, 268, 269, 770, 771, 772, 773, 774, 775, 776, 779, 780, 781, 782}) r[n] = {kR, kR};
    r[152] = {0, kW};
    for (u32 n : {287, 308, 309, 1013, 1015, 1023}) r[n] = {0, kR};
    for (u32 n : {25,  282, 284, 285, 286, 304, 305,  306,  307,  310,  312, 313,
                  314, 315, 316, 318, 319, 921, 1008, 1009, 1012, 1014, 276, 277})
      r[n] = {0, 0, true};
    return r;
  }();
  return all;
}

u32 move_spr(bool write, u32 number) {
  return (write ? 0x7C0003A6 : 0x7C0002A6) | 4u << 21 | (number & 31) << 16 | (number >> 5) << 11;
}

class Spr : public OneThread {
 protected:
  static constexpr u64 kSupervisor = msr::SF | msr::ME | msr::IR | msr::DR;
  static constexpr u64 kProblem = kSupervisor | msr::PR | msr::EE;
  void SetUp() override { m.map_code(); }
  Stop move(bool write, u32 number, u64 msr) {
    m.store32(m.at("spr_slot"), move_spr(write, number));
    return m.run("spr_slot", msr);
  }
};

TEST_F(Spr, EveryNumber) {
  for (u32 number = 0; number < 1024; number++) {
    const auto it = registers().find(number);
    const Rights rights = it == registers().end() ? Rights{0, 0} : it->second;
    for (bool write : {false, true}) {
      for (u64 msr : {kSupervisor, kProblem}) {
        const bool problem = msr & msr::PR;
        SCOPED_TRACE(testing::Message()
                     << (write ? "mtspr " : "mfspr ") << number << (problem ? " problem" : " supervisor"));
        m.gpr(4) = 0x7FFF0000;  // as DEC: not negative
        const Stop stop = move(write, number, msr);
        if ((problem ? rights.problem : rights.supervisor) & (write ? kW : kR)) {
          EXPECT_TRUE(completed(stop));
          continue;
        }
        // Problem state: the number says it. Supervisor state: hypervisor resources are privileged, and so
        // is the direction that a register lacks; what does not exist is illegal.
        const bool privileged = problem ? (number & 0x10) != 0 : it != registers().end();
        EXPECT_TRUE(interrupted(
            m, stop, Vector::kProgram,
            {.srr0 = m.at("spr_slot") + Machine::kCode, .cause = privileged ? 0x00040000u : 0x00080000u}));
        EXPECT_EQ(m.gpr(4), 0x7FFF0000u);
      }
    }
  }
}

TEST_F(Spr, PlainRegistersKeepWhatIsWritten) {
  struct {
    u32 number;
    u64 mask;
  } const plain[] = {{8, ~u64{0}},      {9, ~u64{0}},      {17, ~u64{0}},  {28, ~u64{0}},  {18, 0xFFFFFFFF},
                     {19, ~u64{0}},     {26, ~u64{0}},     {27, ~u64{0}},  {29, ~u64{0}},  {256, 0xFFFFFFFF},
                     {272, ~u64{0}},    {273, ~u64{0}},    {274, ~u64{0}}, {275, ~u64{0}}, {1, 0xE000007F},
                     {787, 0xFFFFFFFF}, {790, 0xFFFFFFFF}, {796, ~u64{0}}, {797, ~u64{0}}, {798, ~u64{0}},
                     {786, ~u64{0}}};
  u64 value = 0x0123456789ABCDEF;
  for (const auto& reg : plain) {
    value = value * 0x9E3779B97F4A7C15 + 1;
    m.gpr(4) = value;
    ASSERT_TRUE(completed(move(true, reg.number, kSupervisor)));
    m.gpr(4) = 0;
    ASSERT_TRUE(completed(move(false, reg.number, kSupervisor)));
    EXPECT_EQ(m.gpr(4), value & reg.mask) << "SPR " << reg.number;
  }
  // Counters 5 and 6 only run.
  s.ctrl = 0;
  for (u32 number : {791, 792}) {
    m.gpr(4) = 77;
    ASSERT_TRUE(completed(move(true, number, kSupervisor)));
    ASSERT_TRUE(completed(move(false, number, kSupervisor)));
    EXPECT_NE(m.gpr(4), 77u);
  }
  // SPRG3 from problem state; CTRL's run bit.
  m.gpr(4) = 0x1234;
  ASSERT_TRUE(completed(move(true, 275, kSupervisor)));
  ASSERT_TRUE(completed(move(false, 259, kProblem)));
  EXPECT_EQ(m.gpr(4), 0x1234u);
  for (u64 run : {0, 1}) {
    m.gpr(4) = run;
    ASSERT_TRUE(completed(move(true, 152, kSupervisor)));
    ASSERT_TRUE(completed(move(false, 136, kProblem)));
    EXPECT_EQ(m.gpr(4) & 1, run);
  }
}

TEST_F(Spr, Identity) {
  ASSERT_TRUE(completed(move(false, 287, kSupervisor)));
  EXPECT_EQ(m.gpr(4) >> 16, 0x3Eu);
  Machine many(3);
  many.map_code(2);
  many.store32(many.at("spr_slot"), move_spr(false, 1023));
  ASSERT_TRUE(completed(many.run("spr_slot", kSupervisor, 2)));
  EXPECT_EQ(many.gpr(4, 2), 2u);
}

/// Levels that a state may ask for, by `or n,n,n` and by mtspr; other levels and other registers change
/// nothing.
TEST_F(Spr, ThreadPriority) {
  const std::map<u32, u64> level_of{{31, 1}, {1, 2}, {6, 3}, {2, 4}, {5, 5}, {3, 6}, {7, 7}};
  const auto level = [](u64 n) { return n << 50; };
  const auto may = [](u64 n, u64 msr) { return msr & msr::PR ? n >= 2 && n <= 4 : n >= 1 && n <= 6; };
  EXPECT_EQ(s.ppr, level(4));
  // Not only the nops but what looks like them: another destination, another source, Rc.
  constexpr u32 kOr = 0x7C000378;
  std::vector<u32> words;
  const auto or_word = [](u32 rs, u32 ra, u32 rb) { return kOr | rs << 21 | ra << 16 | rb << 11; };
  for (u32 n = 0; n < 32; n++)
    for (u32 word :
         {or_word(n, n, n), or_word(n, 9, n), or_word(n, n, 9), or_word(9, n, n), or_word(n, n, n) | 1})
      words.insert(words.end(), {word, 0x44000022});
  m.assemble(words);
  for (u64 msr : {kSupervisor, kProblem}) {
    for (std::size_t i = 0; i < words.size(); i += 2) {
      for (unsigned r = 0; r < 32; r++) m.gpr(r) = 0x1000 + r;
      // A level that no case asks for.
      s.ppr = 0;
      m.go(Machine::kCode + Machine::kScratch + 4 * i, msr);
      ASSERT_TRUE(completed(m.run()));
      const auto asked = level_of.find(static_cast<u32>(i / 10));
      const bool nop = i % 10 == 0 || i / 10 == 9;  // or 9,9,9 is all of them but the last.
      const bool sets = i % 10 == 0 && asked != level_of.end() && may(asked->second, msr);
      EXPECT_EQ(s.ppr, sets ? level(asked->second) : 0) << std::hex << words[i] << " MSR " << msr;
      if (nop) {
        for (unsigned r = 0; r < 32; r++) EXPECT_EQ(m.gpr(r), 0x1000 + r);
      }
    }
    for (u64 n = 0; n < 8; n++) {
      s.ppr = 0;
      m.gpr(4) = ~level(7) | level(n);
      ASSERT_TRUE(completed(move(true, 896, msr)));
      ASSERT_TRUE(completed(move(false, 896, msr)));
      EXPECT_EQ(m.gpr(4), may(n, msr) ? level(n) : 0) << n;
    }
  }
}

/// CFAR: where the last branch was that was taken.
TEST_F(Spr, ComeFrom) {
  const u64 at = Machine::kCode + Machine::kScratch;
  s.lr = s.ctr = at + 16;
  struct {
    u32 word;
    bool taken;
  } const cases[] = {
      {0x48000010, true}, {0x48000011, true},                      // b, bl
      {0x41820010, true}, {0x40820010, false},                     // beq, bne
      {0x42800010, true}, {0x4E800020, true},                      // bc 20, blr
      {0x4D820020, true}, {0x4C820020, false}, {0x4E800420, true}  // beqlr, bnelr, bctr
  };
  for (const auto& c : cases) {
    m.assemble({c.word, 0x60000000, 0x60000000, 0x60000000, 0x60000000});
    for (u64 msr : {kSupervisor, kProblem}) {
      s.cfar = 0x123;
      s.cr[0] = 2;
      s.lr = at + 16;
      m.go(at, msr);
      ASSERT_TRUE(completed(m.run()));
      EXPECT_EQ(s.cfar, c.taken ? at : 0x123) << std::hex << c.word;
    }
  }
}

TEST_F(Spr, TimeBase) {
  m.advance(0x3'1234'5678);
  const u64 now = m.clock().time_base();
  for (u64 msr : {kSupervisor, kProblem}) {
    ASSERT_TRUE(completed(m.run("do_mftb", msr)));
    EXPECT_EQ(m.gpr(5), now);
    EXPECT_EQ(m.gpr(6), now);
    EXPECT_EQ(m.gpr(7), now >> 32);
  }
}

}  // namespace
}  // namespace baton::bare_metal
