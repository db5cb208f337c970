// SPDX-License-Identifier: Apache-2.0
// VMX rules of the reference sheet (POWER6-ISA 2.5, 4.7, 4.13, 6), worked out by hand.
#include <gtest/gtest.h>

#include <cmath>

#include "cpu/vmx/vmx.h"
#include "tests/cpu/differential/native.h"
#include "tests/cpu/vmx_harness.h"

namespace baton::test {
namespace {

using cpu::Flow;
using cpu::Vector;
using cpu::test::Machine;
namespace isa = cpu::isa;
namespace msr = cpu::msr;
namespace vscr = cpu::vscr;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr u32 kQuiet = 0x7FC00000;

u32 word_of(const char* mnemonic, u32 t, u32 a, u32 b, u32 c = 0) {
  const isa::Row& row = row_named(mnemonic);
  return row.value | t << 21 | a << 16 | b << 11 | (row.form == isa::Form::VA ? c << 6 : 0);
}

struct Answer {
  Quad value;
  u32 vscr, cr6;
  bool operator==(const Answer&) const = default;
};

/// v0 = what `mnemonic` makes of v1, v2, v3. CR6 is 15 beforehand.
Answer run(const char* mnemonic, const Quad& a, const Quad& b, const Quad& c = {}, u32 vscr = 0) {
  VmxState in;
  in.vr = {every<u8>(0xEE), a, b, c};
  in.vscr = vscr;
  in.cr = ~u32{0};
  const VmxState out = run_semantics(word_of(mnemonic, 0, 1, 2, 3), in);
  EXPECT_EQ(out.cr | 0xF0, ~u32{0}) << "other fields of CR";
  return {out.vr[0], out.vscr, out.cr >> 4 & 15};
}
Quad value(const char* mnemonic, const Quad& a, const Quad& b, const Quad& c = {}, u32 vscr = 0) {
  return run(mnemonic, a, b, c, vscr).value;
}
/// Of one operand, and with UIM or SIM in the place of VRA.
Quad value_of(const char* mnemonic, const Quad& b, u32 vscr = 0) { return value(mnemonic, {}, b, {}, vscr); }
Answer scaled(const char* mnemonic, u32 immediate, const Quad& b) {
  VmxState in;
  in.vr = {every<u8>(0xEE), {}, b};
  const VmxState out = run_semantics(word_of(mnemonic, 0, immediate, 2), in);
  return {out.vr[0], out.vscr, 0};
}
Quad bytes(std::array<u8, 16> elements) { return elements; }
Quad halfwords(std::array<u16, 8> elements) { return quad_of<u16>(elements); }
const Quad kCounting = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
const Quad kOnwards = {16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};

// ---- the facility

TEST(VmxRules, EveryInstructionAsksForTheFacilityFirst) {
  Machine machine;
  VmxOperands operands(1);
  for (const isa::Row* row : vmx_rows()) {
    const u32 word = operands.instruction(*row);
    // No storage is here: 0xF20 comes before storage interrupts.
    machine.s.gpr[4] = machine.s.gpr[5] = u64{1} << 40;
    machine.s.fault = {};
    machine.s.vscr = vscr::NJ;
    EXPECT_EQ(machine.execute(word).flow, Flow::kStop) << row->mnemonic;
    EXPECT_EQ(machine.s.fault.vector, Vector::kVmxUnavailable) << row->mnemonic;
    EXPECT_EQ(machine.s.fault.srr1, 0u) << row->mnemonic;
    EXPECT_FALSE(machine.s.fault.at_next) << row->mnemonic;
    for (u128 r : machine.s.vr) EXPECT_TRUE(r == 0) << row->mnemonic;
    EXPECT_EQ(machine.s.vscr, vscr::NJ) << row->mnemonic;
    for (u8 f : machine.s.cr) EXPECT_EQ(f, 0) << row->mnemonic;
  }
}

TEST(VmxRules, UnavailableIsDeliveredAtTheInstruction) {
  Machine machine;
  machine.s.msr |= msr::EE | msr::RI;
  const u64 before = machine.s.msr;
  machine.memory().store<u32>(0x4000, word_of("vxor", 1, 1, 1));
  machine.s.nia = 0x4000;
  machine.thread().run(1);
  EXPECT_EQ(machine.s.nia, 0xF20u);
  EXPECT_EQ(machine.s.srr0, 0x4000u);
  EXPECT_EQ(machine.s.srr1, before);
  EXPECT_EQ(machine.s.msr & (msr::VEC | msr::EE | msr::RI), 0u);
}

TEST(VmxRules, StreamHintsDoNothingWithoutTheFacility) {
  Machine machine;
  machine.s.gpr[4] = machine.s.gpr[5] = u64{1} << 40;
  for (const char* name : {"dst", "dstt", "dstst", "dststt", "dss", "dssall"})
    EXPECT_EQ(machine.execute(row_named(name).value | 4 << 16 | 5 << 11).flow, Flow::kNext) << name;
}

TEST(VmxRules, ResetClearsTheRegisters) {
  Machine machine;
  machine.s.vr[31] = 5;
  machine.s.vscr = vscr::SAT;
  machine.thread().reset(0, 0, true);
  EXPECT_TRUE(machine.s.vr[31] == 0);
  EXPECT_EQ(machine.s.vscr, 0u);
}

TEST(VmxRules, ThereAreThirtyTwoRegisters) {
  Machine machine;
  machine.s.msr |= msr::VEC;
  for (u32 i = 0; i < 32; i++) {
    for (u32 r = 0; r < 32; r++) machine.s.vr[r] = r + 1;
    const u32 a = (i * 7 + 3) & 31, b = (i * 11 + 5) & 31;
    ASSERT_EQ(machine.execute(word_of("vadduwm", i, a, b)).flow, Flow::kNext);
    for (u32 r = 0; r < 32; r++) EXPECT_TRUE(machine.s.vr[r] == (r == i ? a + b + 2 : r + 1)) << r;
  }
}

// ---- VSCR

TEST(VmxRules, VscrIsInTheLastWord) {
  VmxState in;
  in.vr[2] = words(0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0x00010001);
  EXPECT_EQ(run_semantics(word_of("mtvscr", 0, 0, 2), in).vscr, vscr::NJ | vscr::SAT);
  in.vscr = vscr::NJ | vscr::SAT;
  in.vr[0] = every<u8>(0xFF);
  EXPECT_EQ(run_semantics(word_of("mfvscr", 0, 0, 0), in).vr[0], words(0, 0, 0, 0x00010001));
}

TEST(VmxRules, SatIsSticky) {
  EXPECT_EQ(run("vaddubs", every<u8>(1), every<u8>(1), {}, vscr::SAT | vscr::NJ).vscr, vscr::SAT | vscr::NJ);
  EXPECT_EQ(run("vaddubs", every<u8>(1), every<u8>(1)).vscr, 0u);
  // One element is enough.
  for (unsigned i = 0; i < 16; i++) {
    Quad a{};
    a[i] = 255;
    EXPECT_EQ(run("vaddubs", a, every<u8>(1)).vscr, vscr::SAT);
    EXPECT_EQ(run("vaddubs", a, every<u8>(0)).vscr, 0u);
  }
}

// ---- integers

TEST(VmxRules, SaturatingArithmetic) {
  EXPECT_EQ(value("vaddsbs", every<u8>(0x7F), every<u8>(1)), every<u8>(0x7F));
  EXPECT_EQ(value("vaddshs", every<u16>(0x8000), every<u16>(0xFFFF)), every<u16>(0x8000));
  EXPECT_EQ(value("vaddsws", every<u32>(0x7FFFFFFF), every<u32>(2)), every<u32>(0x7FFFFFFF));
  EXPECT_EQ(value("vadduws", every<u32>(0xFFFFFFFF), every<u32>(2)), every<u32>(0xFFFFFFFF));
  EXPECT_EQ(value("vsubuws", every<u32>(1), every<u32>(2)), every<u32>(0));
  EXPECT_EQ(value("vsubsws", every<u32>(0x80000000), every<u32>(1)), every<u32>(0x80000000));
}

TEST(VmxRules, CarriesAreNumbers) {
  EXPECT_EQ(value("vaddcuw", words(0xFFFFFFFF, 0xFFFFFFFF, 5, 0x80000000), words(1, 0, 6, 0x80000000)),
            words(1, 0, 0, 1));
  // One if nothing was borrowed.
  EXPECT_EQ(value("vsubcuw", words(0, 1, 5, 0xFFFFFFFF), words(1, 1, 4, 0)), words(0, 1, 1, 1));
}

TEST(VmxRules, AveragesRoundUp) {
  EXPECT_EQ(value("vavgub", every<u8>(0xFF), every<u8>(0xFE)), every<u8>(0xFF));
  EXPECT_EQ(value("vavgsw", every<u32>(0xFFFFFFFE), every<u32>(0xFFFFFFFF)), every<u32>(0xFFFFFFFF));
  EXPECT_EQ(value("vavgsh", every<u16>(0x8000), every<u16>(0x7FFF)), every<u16>(0));
}

TEST(VmxRules, EvenElementsAreTheLeftOnes) {
  const Quad a = {2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255};
  const Quad b = {5, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 1};
  EXPECT_EQ(value("vmuleub", a, b), halfwords({10, 0, 0, 0, 0, 0, 0, 65025}));
  EXPECT_EQ(value("vmuloub", a, b), halfwords({21, 0, 0, 0, 0, 0, 0, 255}));
  EXPECT_EQ(value("vmulesb", a, b), halfwords({10, 0, 0, 0, 0, 0, 0, 1}));
  EXPECT_EQ(value("vmulosb", a, b), halfwords({21, 0, 0, 0, 0, 0, 0, 0xFFFF}));
}

TEST(VmxRules, HighProductsWithASum) {
  const Quad most = every<u16>(0x8000);
  EXPECT_EQ(run("vmhaddshs", most, most, every<u16>(0)), (Answer{every<u16>(0x7FFF), vscr::SAT, 15}));
  EXPECT_EQ(run("vmhaddshs", most, most, every<u16>(0xFFFF)), (Answer{every<u16>(0x7FFF), 0, 15}));
  // 3 * 0x2000 = 0x6000: less than 1, but more than a half of it.
  EXPECT_EQ(value("vmhaddshs", every<u16>(3), every<u16>(0x2000), every<u16>(7)), every<u16>(7));
  EXPECT_EQ(value("vmhraddshs", every<u16>(3), every<u16>(0x2000), every<u16>(7)), every<u16>(8));
  EXPECT_EQ(value("vmladduhm", every<u16>(0x100), every<u16>(0x101), every<u16>(0xFFFF)), every<u16>(0xFF));
}

TEST(VmxRules, SumsOfProducts) {
  EXPECT_EQ(value("vmsumubm", every<u8>(255), every<u8>(255), every<u32>(1)), every<u32>(260101));
  EXPECT_EQ(value("vmsummbm", every<u8>(0x80), every<u8>(255), every<u32>(0)), every<u32>(0xFFFE0200));
  EXPECT_EQ(run("vmsumuhs", every<u16>(0xFFFF), every<u16>(0xFFFF), every<u32>(0)),
            (Answer{every<u32>(0xFFFFFFFF), vscr::SAT, 15}));
  // 2^31 comes back into the range before it is saturated.
  EXPECT_EQ(run("vmsumshs", every<u16>(0x8000), every<u16>(0x8000), every<u32>(0xFFFFFFFF)),
            (Answer{every<u32>(0x7FFFFFFF), 0, 15}));
  EXPECT_EQ(run("vmsumshs", every<u16>(0x8000), every<u16>(0x8000), every<u32>(0)),
            (Answer{every<u32>(0x7FFFFFFF), vscr::SAT, 15}));
  EXPECT_EQ(value("vmsumshm", every<u16>(0x8000), every<u16>(0x8000), every<u32>(1)), every<u32>(0x80000001));
}

TEST(VmxRules, SumsAcross) {
  const Quad a = words(1, 2, 3, 4), b = words(100, 200, 300, 400);
  EXPECT_EQ(value("vsumsws", a, b), words(0, 0, 0, 410));
  EXPECT_EQ(value("vsum2sws", a, b), words(0, 203, 0, 407));
  EXPECT_EQ(value("vsum4ubs", every<u8>(255), b), words(1120, 1220, 1320, 1420));
  EXPECT_EQ(value("vsum4sbs", every<u8>(255), b), words(96, 196, 296, 396));
  EXPECT_EQ(value("vsum4shs", every<u16>(0x8000), b), words(0xFFFF0064, 0xFFFF00C8, 0xFFFF012C, 0xFFFF0190));
  EXPECT_EQ(run("vsumsws", every<u32>(0x7FFFFFFF), every<u32>(0x80000000)),
            (Answer{words(0, 0, 0, 0x7FFFFFFF), vscr::SAT, 15}));
  EXPECT_EQ(run("vsum2sws", words(0x7FFFFFFF, 1, 0, 0), words(0, 0xFFFFFFFF, 0, 0)),
            (Answer{words(0, 0x7FFFFFFF, 0, 0), 0, 15}));
}

TEST(VmxRules, CountsOfShiftsAreTakenModuloTheSize) {
  EXPECT_EQ(value("vslb", every<u8>(0x81), every<u8>(0x09)), every<u8>(0x02));
  EXPECT_EQ(value("vrlb", every<u8>(0x81), every<u8>(0xF9)), every<u8>(0x03));
  EXPECT_EQ(value("vrlb", every<u8>(0x81), every<u8>(0xF8)), every<u8>(0x81));
  EXPECT_EQ(value("vsrah", every<u16>(0x8000), every<u16>(0xFFFF)), every<u16>(0xFFFF));
  EXPECT_EQ(value("vsrw", every<u32>(0x80000000), every<u32>(0x3F)), every<u32>(1));
  EXPECT_EQ(value("vrlw", every<u32>(0x80000001), every<u32>(0x21)), every<u32>(3));
}

TEST(VmxRules, ComparesSetAllAndNone) {
  const Quad ones = every<u8>(0xFF), zeros{};
  EXPECT_EQ(run("vcmpequb.", kCounting, kCounting), (Answer{ones, 0, 8}));
  EXPECT_EQ(run("vcmpequb.", kCounting, kOnwards), (Answer{zeros, 0, 2}));
  Quad some = kCounting;
  some[9] = 0;
  Quad mask = ones;
  mask[9] = 0;
  EXPECT_EQ(run("vcmpequb.", kCounting, some), (Answer{mask, 0, 0}));
  EXPECT_EQ(run("vcmpequb", kCounting, some), (Answer{mask, 0, 15}));
  EXPECT_EQ(run("vcmpgtub.", every<u8>(0x80), every<u8>(0x7F)), (Answer{ones, 0, 8}));
  EXPECT_EQ(run("vcmpgtsb.", every<u8>(0x80), every<u8>(0x7F)), (Answer{zeros, 0, 2}));
}

// ---- moving elements

TEST(VmxRules, MergesPacksUnpacks) {
  EXPECT_EQ(value("vmrghb", kCounting, kOnwards),
            bytes({0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23}));
  EXPECT_EQ(value("vmrglw", kCounting, kOnwards),
            bytes({8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31}));
  EXPECT_EQ(value("vpkuhum", kCounting, kOnwards),
            bytes({1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31}));
  const Quad a = halfwords({0, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF});
  EXPECT_EQ(run("vpkuhus", a, a),
            (Answer{bytes({0, 127, 128, 255, 255, 255, 255, 255, 0, 127, 128, 255, 255, 255, 255, 255}),
                    vscr::SAT, 15}));
  EXPECT_EQ(
      run("vpkshus", a, a),
      (Answer{bytes({0, 127, 128, 255, 255, 255, 0, 0, 0, 127, 128, 255, 255, 255, 0, 0}), vscr::SAT, 15}));
  EXPECT_EQ(run("vpkshss", a, a),
            (Answer{bytes({0, 127, 127, 127, 127, 127, 128, 255, 0, 127, 127, 127, 127, 127, 128, 255}),
                    vscr::SAT, 15}));
  EXPECT_EQ(run("vpkshss", every<u16>(0xFF80), every<u16>(0x7F)).vscr, 0u);
  EXPECT_EQ(value_of("vupkhsb", bytes({0x80, 1, 0x7F, 0xFF})),
            halfwords({0xFF80, 1, 0x7F, 0xFFFF, 0, 0, 0, 0}));
  EXPECT_EQ(value_of("vupklsh", halfwords({1, 2, 3, 4, 0x8000, 6, 7, 0xFFFF})),
            words(0xFFFF8000, 6, 7, 0xFFFFFFFF));
}

TEST(VmxRules, Pixels) {
  const Quad a = words(0x01F8F8F8, 0xFE070707, 0x01000000, 0x00F80000);
  const Quad b = words(0x0000F800, 0x000000F8, 0, 0xFFFFFFFF);
  EXPECT_EQ(value("vpkpx", a, b), halfwords({0xFFFF, 0, 0x8000, 0x7C00, 0x03E0, 0x001F, 0, 0xFFFF}));
  const Quad packed = halfwords({0xFFFF, 0x8000, 0x7C00, 0x03E0, 0x001F, 0x8421, 0, 0x7FFF});
  EXPECT_EQ(value_of("vupkhpx", packed), words(0xFF1F1F1F, 0xFF000000, 0x001F0000, 0x00001F00));
  EXPECT_EQ(value_of("vupklpx", packed), words(0x0000001F, 0xFF010101, 0, 0x001F1F1F));
}

TEST(VmxRules, PermuteAndSelect) {
  EXPECT_EQ(value("vperm", kCounting, kOnwards, bytes({0, 31, 15, 16, 0xE0, 0xFF, 1, 2})),
            bytes({0, 31, 15, 16, 0, 31, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(value("vsel", every<u8>(0xF0), every<u8>(0xAA), every<u8>(0x0F)), every<u8>(0xFA));
  EXPECT_EQ(scaled("vspltb", 15, kCounting).value, every<u8>(15));
  EXPECT_EQ(scaled("vsplth", 0, kCounting).value, every<u16>(0x0001));
  EXPECT_EQ(scaled("vspltw", 2, kCounting).value, every<u32>(0x08090A0B));
  EXPECT_EQ(scaled("vspltisb", 0x10, {}).value, every<u8>(0xF0));
  EXPECT_EQ(scaled("vspltish", 0x1F, {}).value, every<u16>(0xFFFF));
  EXPECT_EQ(scaled("vspltisw", 0x0F, {}).value, every<u32>(15));
}

TEST(VmxRules, ShiftsOfTheWholeRegister) {
  VmxState in;
  in.vr = {Quad{}, kCounting, kOnwards};
  for (u32 count = 0; count < 16; count++) {
    // Bit 21 is reserved, and ignored.
    for (u32 reserved : {0u, 16u}) {
      const Quad out = run_semantics(word_of("vsldoi", 0, 1, 2, count | reserved), in).vr[0];
      for (unsigned i = 0; i < 16; i++) EXPECT_EQ(out[i], i + count);
    }
    // 121:124 of VRB, whatever is around them.
    Quad b = every<u8>(0xFF);
    b[15] = static_cast<u8>(count << 3 | 0x87);
    const Quad left = value("vslo", kOnwards, b), right = value("vsro", kOnwards, b);
    for (unsigned i = 0; i < 16; i++) {
      EXPECT_EQ(left[i], i + count < 16 ? kOnwards[i + count] : 0);
      EXPECT_EQ(right[i], i >= count ? kOnwards[i - count] : 0);
    }
  }
  EXPECT_EQ(value("vsl", words(0x80000001, 0x80000001, 0x80000001, 0x80000001), every<u8>(0xF9)),
            words(0x00000003, 0x00000003, 0x00000003, 0x00000002));
  EXPECT_EQ(value("vsr", words(0x80000001, 0x80000001, 0x80000001, 0x80000001), every<u8>(1)),
            words(0x40000000, 0xC0000000, 0xC0000000, 0xC0000000));
  EXPECT_EQ(value("vsl", kCounting, every<u8>(0)), kCounting);
}

// ---- storage

class VmxStorage : public testing::Test {
 protected:
  VmxStorage() { machine.s.msr |= msr::VEC; }
  Quad read(u64 at) {
    Quad quad;
    machine.memory().read(at, quad);
    return quad;
  }
  Quad vr(u32 number) {
    const u128 r = machine.s.vr[number];
    Quad quad;
    store_be(quad.data(), static_cast<u64>(r >> 64));
    store_be(quad.data() + 8, static_cast<u64>(r));
    return quad;
  }
  Flow execute(const char* mnemonic, u32 t) { return machine.execute(word_of(mnemonic, t, 0, 4)).flow; }
  Machine machine;
};

TEST_F(VmxStorage, TheLowBitsOfAddressesAreIgnored) {
  machine.memory().write(0x6000, kCounting);
  for (u64 low = 0; low < 16; low++) {
    machine.s.gpr[4] = 0x6000 + low;
    for (const char* load : {"lvx", "lvxl"}) {
      machine.s.vr[7] = 0;
      ASSERT_EQ(execute(load, 7), Flow::kNext);
      EXPECT_EQ(vr(7), kCounting);
    }
    for (const char* store : {"stvx", "stvxl"}) {
      machine.memory().write(0x6010, Quad{});
      machine.s.gpr[4] = 0x6010 + low;
      ASSERT_EQ(execute(store, 7), Flow::kNext);
      EXPECT_EQ(read(0x6010), kCounting);
      EXPECT_EQ(read(0x6000), kCounting);
    }
  }
}

TEST_F(VmxStorage, ElementsGoWhereTheirAddressSays) {
  machine.memory().write(0x6000, kCounting);
  const std::pair<const char*, unsigned> loads[] = {{"lvebx", 1}, {"lvehx", 2}, {"lvewx", 4}};
  const std::pair<const char*, unsigned> stores[] = {{"stvebx", 1}, {"stvehx", 2}, {"stvewx", 4}};
  for (unsigned at = 0; at < 16; at++) {
    for (auto [name, size] : loads) {
      machine.s.gpr[4] = 0x6000 + at;
      machine.s.vr[1] = ~u128{0};
      ASSERT_EQ(execute(name, 1), Flow::kNext);
      for (unsigned i = 0; i < 16; i++) EXPECT_EQ(vr(1)[i], i / size == at / size ? kCounting[i] : 0xFF);
    }
    for (auto [name, size] : stores) {
      machine.s.gpr[4] = 0x6020 + at;
      machine.memory().write(0x6020, every<u8>(0xEE));
      machine.s.gpr[5] = 0x6000;
      ASSERT_EQ(machine.execute(word_of("lvx", 2, 0, 5)).flow, Flow::kNext);
      ASSERT_EQ(execute(name, 2), Flow::kNext);
      for (unsigned i = 0; i < 16; i++)
        EXPECT_EQ(read(0x6020)[i], i / size == at / size ? kCounting[i] : 0xEE);
    }
  }
}

TEST_F(VmxStorage, ControlVectors) {
  for (u64 low = 0; low < 16; low++) {
    machine.s.gpr[4] = 0x123456789ABCDEF0 | low;
    ASSERT_EQ(execute("lvsl", 1), Flow::kNext);
    ASSERT_EQ(execute("lvsr", 2), Flow::kNext);
    for (unsigned i = 0; i < 16; i++) {
      EXPECT_EQ(vr(1)[i], low + i);
      EXPECT_EQ(vr(2)[i], 16 - low + i);
    }
  }
}

TEST_F(VmxStorage, FaultsLeaveEverything) {
  machine.s.gpr[4] = 0x00200005;  // beyond the megabyte
  for (const char* name : {"lvx", "lvxl", "lvebx", "lvehx", "lvewx", "stvx", "stvebx", "stvehx", "stvewx"}) {
    machine.s.vr[3] = 5;
    machine.s.fault = {};
    EXPECT_EQ(execute(name, 3), Flow::kStop) << name;
    EXPECT_EQ(machine.s.fault.vector, Vector::kDataStorage) << name;
    EXPECT_EQ(machine.s.dar & ~u64{15}, 0x00200000u) << name;
    EXPECT_EQ((machine.s.dsisr & cpu::dsisr::kStore) != 0, name[0] == 's') << name;
    EXPECT_TRUE(machine.s.vr[3] == 5) << name;
  }
}

TEST_F(VmxStorage, AddressesWrapIn32BitMode) {
  Machine narrow(false);
  narrow.s.msr |= msr::VEC;
  narrow.memory().write(0x6000, kCounting);
  narrow.s.gpr[4] = 0xFFFFFFFF80000000;
  narrow.s.gpr[5] = 0x0000000180006003;
  ASSERT_EQ(narrow.execute(word_of("lvx", 9, 4, 5)).flow, Flow::kNext);
  EXPECT_TRUE(narrow.s.vr[9] == (u128{0x0001020304050607} << 64 | 0x08090A0B0C0D0E0F));
}

/// A frame with code is stored to on the slow path, and its code is forgotten.
TEST_F(VmxStorage, StoresToCodeAreExecuted) {
  const u32 first[] = {0x38600001, 0x60000000, 0x60000000, 0x60000000};   // li r3,1
  const u32 second[] = {0x38600002, 0x60000000, 0x60000000, 0x60000000};  // li r3,2
  for (int i = 0; i < 4; i++) machine.memory().store<u32>(0x6000 + 4 * i, second[i]);
  machine.run(0x8000, first);
  EXPECT_EQ(machine.s.gpr[3], 1u);
  machine.s.gpr[4] = 0x6000;
  ASSERT_EQ(execute("lvx", 1), Flow::kNext);
  machine.s.gpr[4] = 0x8000;
  const u32 store = word_of("stvx", 1, 0, 4);
  machine.run(0x9000, std::span(&store, 1));
  EXPECT_EQ(read(0x8000), read(0x6000));
  machine.s.nia = 0x8000;
  machine.thread().run(4);
  EXPECT_EQ(machine.s.gpr[3], 2u);
}

// ---- floating point

TEST(VmxRules, NansAreQuietedCopiesOfTheFirst) {
  const u32 a = 0x7F800001, b = 0xFF812345, c = 0x7FCABCDE;
  const Quad one = floats(1, 1, 1, 1);
  const Quad first = words(a, a, 0x3F800000, a), second = words(b, 0x3F800000, b, b);
  for (const char* name : {"vaddfp", "vsubfp", "vmaxfp", "vminfp"})
    for (u32 nj : {0u, vscr::NJ})
      EXPECT_EQ(value(name, first, second, {}, nj),
                words(a | 0x400000, a | 0x400000, b | 0x400000, a | 0x400000))
          << name;
  for (const char* name : {"vmaddfp", "vnmsubfp"}) {
    // The order is VRA, VRB, VRC, though VRB is the addend; no sign is changed.
    EXPECT_EQ(value(name, words(a, a, a, 0x3F800000), words(b, 0x3F800000, b, b), words(c, c, 0, c)),
              words(a | 0x400000, a | 0x400000, a | 0x400000, b | 0x400000))
        << name;
    EXPECT_EQ(value(name, one, one, every<u32>(c)), every<u32>(c)) << name;
    // Infinity times zero with a NaN for an addend.
    EXPECT_EQ(value(name, floats(kInfinity, 0, kInfinity, 0), words(b, b, 0, 0),
                    floats(0, kInfinity, 0, kInfinity)),
              words(b | 0x400000, b | 0x400000, kQuiet, kQuiet))
        << name;
  }
  for (const char* name : {"vrefp", "vrsqrtefp", "vexptefp", "vlogefp", "vrfin", "vrfiz", "vrfip", "vrfim"})
    EXPECT_EQ(value_of(name, words(a, b, c, 0xFFFFFFFF)), words(a | 0x400000, b | 0x400000, c, 0xFFFFFFFF))
        << name;
}

TEST(VmxRules, GeneratedNansArePositive) {
  EXPECT_EQ(value("vaddfp", floats(kInfinity, -kInfinity, 1, 1), floats(-kInfinity, kInfinity, 1, 1)),
            words(kQuiet, kQuiet, 0x40000000, 0x40000000));
  EXPECT_EQ(value("vsubfp", floats(kInfinity, -kInfinity, 1, 1), floats(kInfinity, -kInfinity, 1, 1)),
            words(kQuiet, kQuiet, 0, 0));
  EXPECT_EQ(value_of("vrsqrtefp", floats(-1, -kInfinity, 4, -4)), words(kQuiet, kQuiet, 0x3F000000, kQuiet));
  EXPECT_EQ(value_of("vlogefp", floats(-1, -kInfinity, 8, -4)), words(kQuiet, kQuiet, 0x40400000, kQuiet));
}

TEST(VmxRules, DenormalsWithNj) {
  const Quad tiny = words(0x00000001, 0x807FFFFF, 0x00400000, 0x80000001);
  const Quad zeros = words(0, 0x80000000, 0, 0x80000000);
  EXPECT_EQ(value("vaddfp", tiny, zeros), tiny);
  EXPECT_EQ(value("vaddfp", tiny, zeros, {}, vscr::NJ), zeros);
  EXPECT_EQ(value("vmaxfp", tiny, tiny, {}, vscr::NJ), zeros);
  EXPECT_EQ(value("vminfp", tiny, tiny), tiny);
  // The difference of normal numbers is denormal.
  const Quad a = words(0x00800001, 0x80800001, 0x00800003, 0x01000000);
  const Quad b = words(0x00800000, 0x80800000, 0x00800001, 0x00800000);
  EXPECT_EQ(value("vsubfp", a, b), words(1, 0x80000001, 2, 0x00800000));
  EXPECT_EQ(value("vsubfp", a, b, {}, vscr::NJ), words(0, 0x80000000, 0, 0x00800000));
  // Compares see zeros.
  const Quad nothing{}, everything = every<u8>(0xFF);
  EXPECT_EQ(run("vcmpeqfp.", tiny, zeros, {}, vscr::NJ), (Answer{everything, vscr::NJ, 8}));
  EXPECT_EQ(run("vcmpeqfp.", tiny, zeros), (Answer{nothing, 0, 2}));
  EXPECT_EQ(run("vcmpgtfp.", words(1, 1, 1, 1), nothing, {}, vscr::NJ), (Answer{nothing, vscr::NJ, 2}));
  EXPECT_EQ(run("vcmpbfp.", words(1, 1, 1, 1), nothing, {}, vscr::NJ), (Answer{nothing, vscr::NJ, 2}));
  // Rounding up what is not there.
  EXPECT_EQ(value_of("vrfip", words(1, 1, 1, 0x80000001)),
            words(0x3F800000, 0x3F800000, 0x3F800000, 0x80000000));
  EXPECT_EQ(value_of("vrfip", words(1, 1, 1, 0x80000001), vscr::NJ), words(0, 0, 0, 0x80000000));
  EXPECT_EQ(value_of("vrefp", tiny, vscr::NJ), floats(kInfinity, -kInfinity, kInfinity, -kInfinity));
  EXPECT_EQ(value_of("vrefp", floats(0x1p127f, -0x1p127f, 0x1p126f, 0x1p125f), vscr::NJ),
            floats(0, -0.0f, 0x1p-126f, 0x1p-125f));
  EXPECT_EQ(value_of("vrsqrtefp", words(0x80000001, 1, 0, 0x80000000), vscr::NJ),
            floats(-kInfinity, kInfinity, kInfinity, -kInfinity));
  EXPECT_EQ(value_of("vlogefp", tiny, vscr::NJ), floats(-kInfinity, -kInfinity, -kInfinity, -kInfinity));
  EXPECT_EQ(value_of("vexptefp", floats(-127, -126, -149, 0), vscr::NJ), floats(0, 0x1p-126f, 0, 1));
  EXPECT_EQ(value_of("vexptefp", floats(-127, -126, -149, -151)), floats(0x1p-127f, 0x1p-126f, 0x1p-149f, 0));
}

/// 2^-126 * (1 - 2^-24) rounds to 2^-126 but was below it.
TEST(VmxRules, UnderflowIsFoundBeforeRounding) {
  const float below_one = 0x0.ffffffp0f;  // 1 - 2^-24
  const Quad a = floats(below_one, -below_one, below_one, 1);
  const Quad c = every<u32>(0x00800000);
  const Quad b = floats(0, -0.0f, 0x1p-126f, 0);
  EXPECT_EQ(value("vmaddfp", a, b, c), words(0x00800000, 0x80800000, 0x01000000, 0x00800000));
  EXPECT_EQ(value("vmaddfp", a, b, c, vscr::NJ), words(0, 0x80000000, 0x01000000, 0x00800000));
  EXPECT_EQ(value("vnmsubfp", a, b, c, vscr::NJ), words(0x80000000, 0, 0, 0x80800000));
  // (1 - 2^-24) * (1 + 2^-23) is a little more than 1, which it rounds to: no underflow.
  EXPECT_EQ(value("vmaddfp", a, floats(0, -0.0f, 0, 0), every<u32>(0x00800001), vscr::NJ),
            words(0x00800000, 0x80800000, 0x00800000, 0x00800001));
}

TEST(VmxRules, ProductsWithASumAreRoundedOnce) {
  // (1 + 2^-12)^2 - (1 + 2^-11) = 2^-24, which a product rounded first would lose.
  const Quad a = every<u32>(std::bit_cast<u32>(1 + 0x1p-12f)),
             b = every<u32>(std::bit_cast<u32>(-1 - 0x1p-11f));
  EXPECT_EQ(value("vmaddfp", a, b, a), floats(0x1p-24f, 0x1p-24f, 0x1p-24f, 0x1p-24f));
  // -(a * c - b): the zero of a difference changes its sign.
  const Quad one = floats(1, 1, -1, 2);
  EXPECT_EQ(value("vnmsubfp", one, floats(1, 3, 1, 0), floats(1, 1, -1, 3)), floats(-0.0f, 2, -0.0f, -6));
  EXPECT_EQ(value("vmaddfp", one, floats(-1, 3, -1, 0), floats(1, 1, -1, 3)), floats(0, 4, 0, 6));
}

TEST(VmxRules, ZerosHaveAnOrderInMaximumAndMinimum) {
  const Quad a = floats(0, -0.0f, 0, -0.0f), b = floats(-0.0f, 0, 0, -0.0f);
  EXPECT_EQ(value("vmaxfp", a, b), floats(0, 0, 0, -0.0f));
  EXPECT_EQ(value("vminfp", a, b), floats(-0.0f, -0.0f, 0, -0.0f));
  EXPECT_EQ(value("vmaxfp", floats(1, -1, kInfinity, 2), floats(-1, 1, 0, 3)), floats(1, 1, kInfinity, 3));
  EXPECT_EQ(value("vminfp", floats(1, -1, kInfinity, 2), floats(-1, 1, 0, 3)), floats(-1, -1, 0, 2));
}

TEST(VmxRules, FloatCompares) {
  const Quad nan = every<u32>(kQuiet), one = floats(1, 1, 1, 1), nothing{}, everything = every<u8>(0xFF);
  for (const char* name : {"vcmpeqfp.", "vcmpgefp.", "vcmpgtfp."})
    EXPECT_EQ(run(name, nan, nan), (Answer{nothing, 0, 2})) << name;
  EXPECT_EQ(run("vcmpeqfp.", nothing, every<u32>(0x80000000)), (Answer{everything, 0, 8}));
  EXPECT_EQ(run("vcmpgefp.", floats(1, 2, 1, 0), one), (Answer{words(~0u, ~0u, ~0u, 0), 0, 0}));
  EXPECT_EQ(run("vcmpbfp.", floats(1, -1, 0.5f, -0.0f), one), (Answer{nothing, 0, 2}));
  EXPECT_EQ(run("vcmpbfp.", floats(2, -2, 1, 0), one), (Answer{words(0x80000000, 0x40000000, 0, 0), 0, 0}));
  EXPECT_EQ(run("vcmpbfp.", nan, one), (Answer{every<u32>(0xC0000000), 0, 0}));
  // A negative bound leaves nothing inside.
  EXPECT_EQ(run("vcmpbfp", floats(0, -1, 1, -2), floats(-1, -1, -1, -1)),
            (Answer{words(0xC0000000, 0x40000000, 0x80000000, 0x40000000), 0, 15}));
}

TEST(VmxRules, Rounding) {
  const Quad in = floats(0.5f, 1.5f, -2.5f, -0.25f);
  EXPECT_EQ(value_of("vrfin", in), floats(0, 2, -2, -0.0f));
  EXPECT_EQ(value_of("vrfiz", in), floats(0, 1, -2, -0.0f));
  EXPECT_EQ(value_of("vrfip", in), floats(1, 2, -2, -0.0f));
  EXPECT_EQ(value_of("vrfim", in), floats(0, 1, -3, -1));
  const Quad large = floats(0x1.000002p23f, -kInfinity, 0x1.fffffep127f, -0.0f);
  for (const char* name : {"vrfin", "vrfiz", "vrfip", "vrfim"})
    EXPECT_EQ(value_of(name, large), large) << name;
}

TEST(VmxRules, Conversions) {
  EXPECT_EQ(scaled("vctsxs", 0, floats(1.9f, -1.9f, 0x1p31f, -0x1p31f)),
            (Answer{words(1, ~0u, 0x7FFFFFFF, 0x80000000), vscr::SAT, 0}));
  EXPECT_EQ(scaled("vctsxs", 0, floats(0x1.fffffep30f, -0x1p31f, 0, -0.5f)),
            (Answer{words(0x7FFFFF80, 0x80000000, 0, 0), 0, 0}));
  EXPECT_EQ(scaled("vctsxs", 31, floats(0.5f, -1, 0x1p-31f, -kInfinity)),
            (Answer{words(0x40000000, 0x80000000, 1, 0x80000000), vscr::SAT, 0}));
  EXPECT_EQ(scaled("vctsxs", 5, words(kQuiet, 0xFF800001, 0x7F800001, 0)), (Answer{Quad{}, 0, 0}));
  EXPECT_EQ(scaled("vctuxs", 0, floats(0x1.fffffep31f, -0.99f, 0x1p31f, 3.99f)),
            (Answer{words(0xFFFFFF00, 0, 0x80000000, 3), 0, 0}));
  EXPECT_EQ(scaled("vctuxs", 0, floats(-1, 0, 0, 0)), (Answer{Quad{}, vscr::SAT, 0}));
  EXPECT_EQ(scaled("vctuxs", 1, floats(0x1p31f, kInfinity, -kInfinity, 2.25f)),
            (Answer{words(~0u, ~0u, 0, 4), vscr::SAT, 0}));
  EXPECT_EQ(scaled("vctuxs", 5, words(kQuiet, 0xFF800001, 0x7F800001, 0)), (Answer{Quad{}, 0, 0}));
  EXPECT_EQ(scaled("vcfsx", 0, words(1, ~0u, 0x80000000, 0x7FFFFFFF)).value,
            floats(1, -1, -0x1p31f, 0x1p31f));
  EXPECT_EQ(scaled("vcfux", 0, words(1, ~0u, 0x80000000, 0x80000080)).value,
            floats(1, 0x1p32f, 0x1p31f, 0x1p31f));
  EXPECT_EQ(scaled("vcfux", 0, words(0x01000001, 0x01000003, 0x80000081, 0xFFFFFF7F)).value,
            floats(0x1p24f, 0x1.000004p24f, 0x1.000002p31f, 0x1.fffffep31f));
  EXPECT_EQ(scaled("vcfsx", 31, words(1, 0x80000000, 0, 0x40000000)).value, floats(0x1p-31f, -1, 0, 0.5f));
}

TEST(VmxRules, Estimates) {
  EXPECT_EQ(value_of("vrefp", floats(0, -0.0f, kInfinity, 4)), floats(kInfinity, -kInfinity, 0, 0.25f));
  EXPECT_EQ(value_of("vrsqrtefp", floats(0, -0.0f, kInfinity, 16)), floats(kInfinity, -kInfinity, 0, 0.25f));
  EXPECT_EQ(value_of("vlogefp", floats(0, -0.0f, kInfinity, 1)),
            floats(-kInfinity, -kInfinity, kInfinity, 0));
  EXPECT_EQ(value_of("vexptefp", floats(kInfinity, -kInfinity, 128, -200)),
            floats(kInfinity, 0, kInfinity, 0));
  for (int n = -126; n < 128; n++) {
    const float whole = static_cast<float>(n), power = std::ldexp(1.0f, n);
    EXPECT_EQ(value_of("vexptefp", floats(whole, whole, 0, 0)), floats(power, power, 1, 1));
    EXPECT_EQ(value_of("vlogefp", floats(power, power, 1, 2)), floats(whole, whole, 0, 1));
  }
  VmxOperands operands(5);
  const auto near = [](u32 bits, double exact, double error) {
    const double value = std::bit_cast<float>(bits);
    return std::fabs(value - exact) <= std::fabs(exact) * error;
  };
  constexpr double kPlace = 0x1p-23;
  for (int n = 0; n < 100000; n++) {
    const float x = static_cast<float>(static_cast<i32>(operands.word())) * 0x1.f8p-25f;  // up to 126
    const u32 power = element<u32>(value_of("vexptefp", floats(x, 0, 0, 0)), 0);
    EXPECT_TRUE(near(power, std::exp2(static_cast<double>(x)), kPlace)) << x;
    const u32 positive = 0x00800000 + static_cast<u32>(operands.below(0x7F000000));
    const double y = std::bit_cast<float>(positive);
    EXPECT_TRUE(near(element<u32>(value_of("vlogefp", every<u32>(positive)), 0), std::log2(y), kPlace)) << y;
    EXPECT_TRUE(near(element<u32>(value_of("vrsqrtefp", every<u32>(positive)), 0), 1 / std::sqrt(y), kPlace));
    if (y < 0x1p126)
      EXPECT_TRUE(near(element<u32>(value_of("vrefp", every<u32>(positive)), 0), 1 / y, kPlace));
  }
}

}  // namespace
}  // namespace baton::test
