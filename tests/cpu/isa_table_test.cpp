// SPDX-License-Identifier: Apache-2.0
// The instruction table against the facts file and itself.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

#include "cpu/isa/isa.h"
#include "tests/cpu/csv.h"
#include "tests/cpu/differential/words.h"

namespace baton::cpu {
namespace {

struct Fact {
  std::string mnemonic, on_power6, privilege, category;
  u32 mask, value;
};

std::vector<Fact> facts() {
  std::vector<Fact> result;
  for (const auto& cells : coverage::read_csv(BATON_SOURCE_DIR "/tests/cpu/data/power6-opcodes.csv"))
    result.push_back({cells.at(0), cells.at(11), cells.at(9), cells.at(10),
                      static_cast<u32>(std::stoul(cells.at(2), nullptr, 16)),
                      static_cast<u32>(std::stoul(cells.at(3), nullptr, 16))});
  return result;
}

TEST(IsaTable, HasEveryPower6InstructionOnce) {
  std::map<std::string, Fact> expected;
  for (const Fact& fact : facts())
    if (fact.on_power6 != "no") expected.emplace(fact.mnemonic, fact);
  EXPECT_EQ(expected.size(), 663u);
  EXPECT_EQ(isa::table().size(), expected.size());
  for (const isa::Row& row : isa::table()) {
    ASSERT_TRUE(expected.contains(row.mnemonic)) << row.mnemonic;
    const Fact& fact = expected.at(row.mnemonic);
    // Our mask drops reserved bits (and adds the evenness of register pairs): same value where it looks.
    EXPECT_EQ(row.value, fact.value) << row.mnemonic;
    EXPECT_EQ(fact.value & row.mask, row.value) << row.mnemonic;
    EXPECT_EQ(row.privilege == isa::Privilege::Privileged, fact.privilege == "P") << row.mnemonic;
    EXPECT_EQ(row.privilege == isa::Privilege::Hypervisor, fact.privilege == "H") << row.mnemonic;
    EXPECT_EQ(row.facility == isa::Facility::DFP, fact.category == "DFP") << row.mnemonic;
    expected.erase(row.mnemonic);
  }
  EXPECT_TRUE(expected.empty()) << expected.begin()->first;
}

TEST(IsaTable, IsInOrderAndDisjoint) {
  const auto rows = isa::table();
  for (std::size_t i = 0; i < rows.size(); i++) {
    EXPECT_EQ(static_cast<std::size_t>(rows[i].id), i);
    EXPECT_EQ(rows[i].value & ~rows[i].mask, 0u) << rows[i].mnemonic;
    for (std::size_t j = i + 1; j < rows.size(); j++) {
      const u32 both = rows[i].mask & rows[j].mask;
      EXPECT_NE(rows[i].value & both, rows[j].value & both)
          << rows[i].mnemonic << " and " << rows[j].mnemonic;
    }
  }
}

TEST(IsaDecode, FindsEveryRowWithAnyOperands) {
  std::mt19937 random(1);
  for (const isa::Row& row : isa::table()) {
    for (int i = 0; i < 2000; i++) {
      const u32 word = row.value | (random() & ~row.mask);
      const isa::Row* found = isa::decode(word);
      ASSERT_EQ(!found, test::invalid_form(row, word)) << row.mnemonic;
      if (!found) continue;
      ASSERT_EQ(found->id, row.id) << row.mnemonic << " as " << found->mnemonic;
    }
  }
}

TEST(IsaDecode, AgreesWithALinearSearch) {
  std::mt19937 random(2);
  for (int i = 0; i < 300'000; i++) {
    // Opcode-rich words: random ones are mostly D-forms.
    u32 word = random();
    if (i % 3 == 1) word = 31u << 26 | (word & 0x03FFFFFF);
    if (i % 3 == 2)
      word = (std::array{0u, 4u, 19u, 30u, 57u, 58u, 59u, 61u, 62u, 63u})[word >> 28 & 7] << 26 |
             (word & 0x03FFFFFF);
    const isa::Row* expected = nullptr;
    for (const isa::Row& row : isa::table())
      if ((word & row.mask) == row.value) expected = &row;
    const isa::Row* found = isa::decode(word);
    if (expected && test::invalid_form(*expected, word)) expected = nullptr;
    ASSERT_EQ(found, expected) << std::hex << word;
  }
}

TEST(IsaDecode, RefusesWhatPower6DoesNotHave) {
  EXPECT_EQ(isa::decode(0), nullptr);
  // Words that the sheet names: later or embedded instructions that software probes for.
  const std::map<std::string, u32> absent = {
      {"isel 3,4,5,6", 0x7C64299E}, {"popcntw 3,4", 0x7C8302F4}, {"popcntd 3,4", 0x7C8303F4},
      {"bpermd 3,4,5", 0x7C8329F8}, {"ldbrx 3,4,5", 0x7C642C28}, {"stdbrx 3,4,5", 0x7C642D28},
      {"lbarx 3,4,5", 0x7C642868},  {"lharx 3,4,5", 0x7C6428E8}, {"divde 3,4,5", 0x7C642B52},
      {"divwe 3,4,5", 0x7C642B56},  {"fcfids 1,2", 0xEC20169C},  {"fcfidu 1,2", 0xFC20179C},
      {"fctidu 1,2", 0xFC20175C},   {"fctiwu 1,2", 0xFC20111C},  {"lfiwzx 1,4,5", 0x7C242EEE},
      {"dcffix 1,2", 0xEC201644},   {"ftdiv 0,1,2", 0xFC011100}, {"ftsqrt 0,1", 0xFC000940},
      {"lxvd2x 1,4,5", 0x7C242E98}, {"rfi", 0x4C000064},         {"tlbia", 0x7C0002E4},
      {"mcrxr 0", 0x7C000400},      {"dcba 4,5", 0x7C042DEC},    {"dcbi 4,5", 0x7C042BAC},
      {"wait", 0x7C00007C},         {"msgsnd 3", 0x7C00199C},    {"scv 0", 0x44000001},
      {"tbegin.", 0x7C00051D},      {"eciwx 3,4,5", 0x7C642A6C}, {"mtvsrd", 0x7C230166},
      {"lxsd 1,2(3)", 0xE4230002},  {"xxlor", 0xF0010490},
  };
  for (const auto& [text, word] : absent) {
    const isa::Row* row = isa::decode(word);
    EXPECT_EQ(row, nullptr) << text << " as " << (row ? row->mnemonic : "");
  }
  for (u32 primary : {1u, 5u, 6u, 9u, 22u, 60u})
    for (u32 low = 0; low < 0x800; low++) EXPECT_EQ(isa::decode(primary << 26 | low), nullptr) << primary;
}

TEST(IsaDecode, RefusesInvalidForms) {
  const auto named = [](u32 word) {
    return std::string(isa::decode(word) ? isa::decode(word)->mnemonic : "-");
  };
  EXPECT_EQ(named(0x84640004), "lwzu");
  EXPECT_EQ(named(0x84600004), "-") << "RA=0";
  EXPECT_EQ(named(0x84630004), "-") << "RA=RT";
  EXPECT_EQ(named(0x94630004), "stwu") << "stores may have RA=RS";
  EXPECT_EQ(named(0x94600004), "-");
  EXPECT_EQ(named(0xE8630009), "-") << "ldu RA=RT";
  EXPECT_EQ(named(0xC4600004), "-") << "lfsu RA=0";
  EXPECT_EQ(named(0xC4630004), "lfsu");
  EXPECT_EQ(named(0x4E800420), "bcctr");
  EXPECT_EQ(named(0x4E000420), "-") << "bcctr that decrements";
  EXPECT_EQ(named(0xE0800000), "lq");
  EXPECT_EQ(named(0xE0A00000), "-") << "odd pair";
  EXPECT_EQ(named(0xE0840000), "-") << "lq RA=RT";
  EXPECT_EQ(named(0xFC820804), "-") << "quad DFP with an odd source";
}

TEST(IsaDecode, IgnoresReservedBits) {
  const auto named = [](u32 word) {
    return std::string(isa::decode(word) ? isa::decode(word)->mnemonic : "-");
  };
  for (u32 bits = 0; bits < 32; bits++)
    EXPECT_EQ(named(0xFC00048E | bits << 16), "mffs") << "mffscrn and kin";
  EXPECT_EQ(named(0x7C0004AC), "sync");
  EXPECT_EQ(named(0x7C2004AC), "sync") << "lwsync";
  EXPECT_EQ(named(0x7C4004AC), "sync") << "ptesync";
  EXPECT_EQ(named(0x7C6004AC), "sync");
  EXPECT_EQ(named(0x7C8104AD), "sync") << "later hints";
  for (u32 th = 0; th < 32; th++) EXPECT_EQ(named(0x7C00022C | th << 21), "dcbt");
  EXPECT_EQ(named(0x44000002), "sc");
  EXPECT_EQ(named(0x44000022), "sc");
  EXPECT_EQ(named(0x44FF0002), "sc");
  EXPECT_EQ(named(0x7C600026), "mfcr");
  EXPECT_EQ(named(0x7C700026), "mfocrf");
  EXPECT_EQ(named(0x7C6FF120), "mtcrf");
  EXPECT_EQ(named(0x7C701120), "mtocrf");
  EXPECT_EQ(named(0x7C64282F), "lwzx") << "Rc without meaning";
  EXPECT_EQ(named(0x7C64292C), "-") << "stwcx without Rc";
  EXPECT_EQ(named(0x7C64292D), "stwcx.");
  EXPECT_EQ(named(0x7C64287F), "-");
  EXPECT_EQ(named(0x7C642C92), "mulhd") << "OE without meaning";
  EXPECT_EQ(named(0x7E00066C), "dssall");
  EXPECT_EQ(named(0x7C2007EC), "dcbzl");
  EXPECT_EQ(named(0x4C000025), "rfid");
}

isa::Operands fields(u32 word) { return isa::operands(*isa::decode(word), word); }

TEST(IsaOperands, FollowImmKind) {
  EXPECT_EQ(fields(0x3860FFFF).imm, -1);  // addi 3,0,-1
  EXPECT_EQ(fields(0x3860FFFF).a, 3);
  EXPECT_EQ(fields(0x3860FFFF).b, 32) << "RA|0";
  EXPECT_EQ(fields(0x30600001).b, 0) << "addic has a real r0";
  EXPECT_EQ(fields(0x3C60ABCD).imm, static_cast<i32>(0xABCD0000));
  EXPECT_EQ(fields(0x6083FFFF).imm, 0xFFFF);
  EXPECT_EQ(fields(0x6483FFFF).imm, static_cast<i32>(0xFFFF0000));
  const auto cmpd = fields(0x2FA3FFFE);  // cmpdi cr7,r3,-2
  EXPECT_EQ(cmpd.a, 7);
  EXPECT_EQ(cmpd.b, 3);
  EXPECT_EQ(cmpd.d, 0);
  EXPECT_EQ(cmpd.imm, -2);
  EXPECT_EQ(fields(0x2F83FFFE).d, 32);        // cmpwi
  EXPECT_EQ(fields(0x2B83FFFE).imm, 0xFFFE);  // cmplwi
  EXPECT_EQ(fields(0xE863FFF8).imm, -8);      // ld 3,-8(3)
  EXPECT_EQ(fields(0xE863FFFA).imm, -8);      // lwa
  EXPECT_EQ(fields(0x4BFFFFFC).imm, -4);      // b .-4
  EXPECT_EQ(fields(0x4BFFFFFF).imm, -4);      // bla
  const auto bc = fields(0x4182FFF0);         // beq .-16
  EXPECT_EQ(bc.imm, -16);
  EXPECT_EQ(bc.a, 12);
  EXPECT_EQ(bc.b, 2);
  EXPECT_EQ(bc.c, 0);
  EXPECT_EQ(bc.d, 2);
  EXPECT_EQ(fields(0x41BDFFF0).c, 7);  // cr7, GT
  EXPECT_EQ(fields(0x41BDFFF0).d, 4);
  EXPECT_EQ(fields(0x7C0802A6).imm, 8);    // mflr
  EXPECT_EQ(fields(0x7C6C42E6).imm, 268);  // mftb
  const auto rlwinm = fields(0x5464103A);  // slwi 4,3,2
  EXPECT_EQ(rlwinm.c, 2);
  EXPECT_EQ(static_cast<u32>(rlwinm.imm), 0xFFFFFFFC);
  EXPECT_EQ(rlwinm.d, 0);
  const auto wrap = fields(0x546407BE | 31u << 6);  // MB=31
  EXPECT_EQ(wrap.d, 0);
  EXPECT_EQ(static_cast<u32>(wrap.imm), 1u);
  const auto wrapped = fields(0x54640000 | 24u << 6 | 7u << 1);  // MB=24, ME=7
  EXPECT_EQ(wrapped.d, 1);
  EXPECT_EQ(static_cast<u32>(wrapped.imm), 0xFF0000FF);
  const auto rldicl = fields(0x78830022);  // srdi 3,4,32
  EXPECT_EQ(rldicl.imm, 32);
  EXPECT_EQ(rldicl.d, 32);
  EXPECT_EQ(fields(0x78830020).d, 32);  // clrldi 3,4,32
  EXPECT_EQ(fields(0x78830020).imm, 0);
  EXPECT_EQ(fields(0x788307C6).d, 31);    // sldi 3,4,32
  const auto sradi = fields(0x7C830676);  // sh = 32
  EXPECT_EQ(sradi.imm, 32);
  EXPECT_EQ(fields(0x7C6FF120).imm, 0xFF);
  EXPECT_EQ(fields(0x44000022).imm, 1);
  const auto mtfsf = fields(0xFDFE058E | 0x00010000);  // mtfsf 255,0,0,1
  EXPECT_EQ(mtfsf.imm, 0xFF);
  EXPECT_EQ(mtfsf.d, 0);
  EXPECT_EQ(mtfsf.b, 1);
  EXPECT_EQ(fields(0xFFFE058E).d, 1);
}

TEST(IsaDisassemble, SpeaksEveryRow) {
  EXPECT_EQ(isa::disassemble(0x1000, 0x38600001), "li r3, 1");
  EXPECT_EQ(isa::disassemble(0x1000, 0), ".long 0x00000000");
  EXPECT_FALSE(isa::disassemble(0x1000, 0xEC221804).empty());
  std::mt19937 random(3);
  for (const isa::Row& row : isa::table()) {
    u32 word = test::random_word(row, random);
    while (!isa::decode(word)) word = test::random_word(row, random);
    EXPECT_FALSE(isa::disassemble(0x1000, word).starts_with(".long")) << row.mnemonic;
  }
}

}  // namespace
}  // namespace baton::cpu
