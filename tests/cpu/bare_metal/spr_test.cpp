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
          if (number == 896) s.ppr = 0;
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
  } const plain[] = {{8, ~u64{0}},   {9, ~u64{0}},   {18, 0xFFFFFFFF},  {19, ~u64{0}},     {26, ~u64{0}},
                     {27, ~u64{0}},  {29, ~u64{0}},  {256, 0xFFFFFFFF}, {272, ~u64{0}},    {273, ~u64{0}},
                     {274, ~u64{0}}, {275, ~u64{0}}, {1, 0xE000007F},   {787, 0xFFFFFFFF}, {790, 0xFFFFFFFF},
                     {796, ~u64{0}}, {797, ~u64{0}}, {798, ~u64{0}},    {786, ~u64{0}}};
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
