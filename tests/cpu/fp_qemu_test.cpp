// SPDX-License-Identifier: Apache-2.0
// Every floating-point instruction against QEMU's user mode, which executes it in tests/cpu/fp_runner.c.
#include <gtest/gtest.h>

#include <map>

#include "cpu/fpu/fpu.h"
#include "tests/cpu/coverage.h"
#include "tests/cpu/differential/peer.h"
#include "tests/cpu/fp_harness.h"
#include "tests/cpu/ledger.h"

namespace baton::test {
namespace {

/// Executes the instruction in QEMU once with each state and puts in what it left; false when QEMU has gone.
bool run_qemu(Peer& qemu, u32 word, std::vector<FpState>& states) {
  const bool le = qemu.little_endian();
  return qemu.run(
      word, states, 72,
      [&](u8* at, const FpState& s) {
        for (int i = 0; i < 4; i++) store(at + 8 * i, s.fpr[i], le);
        store(at + 32, s.fpscr, le);
        store(at + 40, u64{s.cr}, le);
        for (int i = 0; i < 2; i++) store(at + 48 + 8 * i, s.memory[i], le);
      },
      [&](const u8* at, FpState& s) {
        for (int i = 0; i < 4; i++) s.fpr[i] = load<u64>(at + 8 * i, le);
        s.fpscr = load<u64>(at + 32, le);
        s.cr = static_cast<u32>(load<u64>(at + 40, le));
        for (int i = 0; i < 2; i++) s.memory[i] = load<u64>(at + 48 + 8 * i, le);
        s.interrupt = load<u64>(at + 64, le) != 0;
      });
}

namespace f = cpu::fpscr;

struct Case {
  std::string name;  ///< Mnemonic without the dot.
  u32 word;
  FpState in, ours, theirs;

  bool is(std::initializer_list<const char*> names) const {
    for (const char* n : names) {
      if (name == n) return true;
    }
    return false;
  }
  bool single() const {
    return name.back() == 's' && name != "fabs" && name != "fnabs" && name != "mcrfs" && name != "mffs";
  }
  bool estimate() const { return is({"fre", "fres", "frsqrte", "frsqrtes"}); }
  bool conversion() const { return is({"fctiw", "fctiwz", "fctid", "fctidz"}); }
  bool touches_status() const {
    return !is({"fmr", "fneg", "fabs", "fnabs", "fcpsgn", "fsel", "mffs"}) && name[0] == 'f';
  }
  u64 target() const { return ours.fpr[0]; }
};

bool is_nan(u64 v) { return v << 1 > u64{0x7FF} << 53; }
int exponent(u64 v) { return static_cast<int>(v >> 52 & 0x7FF) - 1023; }
/// Whether a value that a trapped single operation left has the range of a single.
bool single_range(u64 v) { return exponent(v) >= -126 && exponent(v) <= 127; }

/// Where QEMU 7.2 differs, by the entries of the ledger (suite "fp-qemu"): when, and in what.
struct Difference {
  const char* id;
  bool (*applies)(const Case& c);
  u64 fpscr = 0;           ///< FPSCR bits (and those of CR1 that mirror them) that may differ.
  u64 target = 0;          ///< Bits of the target register that may differ.
  bool interrupt = false;  ///< Whether the interrupt may differ.
  bool cr1 = false;        ///< Whether CR1 may differ (Rc forms).
};

Difference differences[] = {
    {"fx-every",
     [](const Case& c) {
       return (c.ours.fpscr & f::kExceptions & ~c.in.fpscr) == 0 && (c.theirs.fpscr & f::FX);
     },
     f::FX},
    {"fr-old", [](const Case& c) { return c.touches_status() && !((c.theirs.fpscr ^ c.in.fpscr) & f::FR); },
     f::FR},
    {"fi-old",
     [](const Case& c) {
       return c.ours.interrupt && (c.in.fpscr & (f::VE | f::ZE)) && !((c.theirs.fpscr ^ c.in.fpscr) & f::FI);
     },
     f::FI},
    {"fcmp-fi", [](const Case& c) { return c.is({"fcmpu", "fcmpo"}) && !(c.theirs.fpscr & f::FI); }, f::FI},
    {"fcmpo-c",
     [](const Case& c) { return c.is({"fcmpo"}) && (c.ours.fpscr & 0x1000) && (c.theirs.fpscr & f::C); },
     f::C},
    {"fcmpo-vxvc",
     [](const Case& c) { return c.is({"fcmpo"}) && (c.in.fpscr & f::VE) && (c.ours.fpscr & f::VXSNAN); },
     f::VXVC},
    {"fcti-fprf", [](const Case& c) { return c.conversion(); }, f::FPRF},
    {"fctiw-high", [](const Case& c) { return c.is({"fctiw", "fctiwz"}); }, 0, 0xFFFFFFFF00000000},
    {"estimate-inexact", [](const Case& c) { return c.estimate(); }, f::XX | f::FI | f::FX | f::FEX, 0, true},
    {"estimate-root",
     [](const Case& c) {
       constexpr u64 kNear = u64{1} << 46;  // 1/64 or less
       const bool close = c.target() - c.theirs.fpr[0] + kNear <= 2 * kNear;
       const bool no_single = exponent(c.target()) < -126;  // of an operand that was none either
       return c.is({"frsqrte", "frsqrtes"}) && !is_nan(c.target()) && (close || (c.single() && no_single));
     },
     f::UX | f::FX, ~u64{0}},
    {"cr1-trap", [](const Case& c) { return c.theirs.interrupt && !((c.theirs.cr ^ c.in.cr) & 0x0F000000); },
     0, 0, false, true},
    {"fre-zero", [](const Case& c) { return c.is({"fre", "fres"}) && c.in.fpr[2] << 1 == 0; }, f::FPRF,
     ~u64{0}},
    {"fnmadd-directed",
     [](const Case& c) {
       if (!c.name.starts_with("fnm") || !(c.in.fpscr & 2)) return false;
       FpState in = c.in;
       in.fpscr ^= 1;
       const FpState swapped = run_semantics(c.word, in);
       return swapped.fpr == c.theirs.fpr && !((swapped.fpscr ^ c.theirs.fpscr) & ~(f::FX | f::FR | 1));
     },
     f::FPRF | f::FI | f::XX | f::UX | f::OX | f::FX | f::FEX, ~u64{0}, true},
    {"vximz-vxsnan",
     [](const Case& c) {
       return c.name.find("m") != std::string::npos && (c.ours.fpscr & f::VXIMZ) &&
              (c.theirs.fpscr & f::VXIMZ);
     },
     f::VXSNAN},
    {"mtfsb1-fx",
     [](const Case& c) { return c.is({"mtfsb1"}) && (f::kExceptions << (c.word >> 21 & 31) & 0x80000000); },
     f::FX},
    {"mtfsb1-ni", [](const Case& c) { return c.is({"mtfsb1"}); }, f::NI},
    {"single-adjusted",
     [](const Case& c) {
       return (c.single() || c.is({"frsp"})) && c.ours.interrupt && (c.ours.fpscr & (f::OX | f::UX)) &&
              (!single_range(c.target()) || !single_range(c.theirs.fpr[0]));
     },
     f::FPRF, ~u64{0}},
    {"fcfid-xe",
     [](const Case& c) { return c.is({"fcfid"}) && c.ours.interrupt && c.theirs.fpr[0] == c.in.fpr[0]; },
     f::FPRF, ~u64{0}},
};

/// Whether the ledger explains every difference; notes the entries that were needed.
bool explained(const Case& c, bool rc, coverage::Ledger& ledger) {
  u64 fpscr = 0, target = 0;
  bool interrupt = false, cr1 = false;
  const u64 status = c.ours.fpscr ^ c.theirs.fpscr, value = c.ours.fpr[0] ^ c.theirs.fpr[0];
  for (const Difference& entry : differences) {
    if (!entry.applies(c)) continue;
    const bool trap = entry.interrupt && c.ours.interrupt != c.theirs.interrupt;
    if (status & entry.fpscr || value & entry.target || trap ||
        (rc && entry.cr1 && c.ours.cr != c.theirs.cr)) {
      ledger.excuse(entry.id);
    }
    fpscr |= entry.fpscr;
    target |= entry.target;
    interrupt |= entry.interrupt;
    cr1 |= entry.cr1;
  }
  FpState ours = c.ours, theirs = c.theirs;
  ours.fpscr |= fpscr, theirs.fpscr |= fpscr;
  ours.fpr[0] |= target, theirs.fpr[0] |= target;
  if (interrupt) theirs.interrupt = ours.interrupt;
  if (rc) {
    const u32 mirrored = cr1 ? 0x0F000000 : static_cast<u32>(fpscr >> 28 & 15) << 24;
    ours.cr |= mirrored, theirs.cr |= mirrored;
  }
  return ours == theirs;
}

/// `count` cases of each row. `all`: each entry of the ledger has to come up.
void compare(Peer& qemu, u64 count, bool all) {
  coverage::Ledger ledger("fp-qemu");
  Operands operands(2);
  u64 compared = 0;
  for (const std::string& name : fp_mnemonics()) {
    const bool rc = name.back() == '.';
    const std::string base = rc ? name.substr(0, name.size() - 1) : name;
    const std::vector<u32> words = fp_words(name);
    const u64 cases = (count + words.size() - 1) / words.size();
    int failures = 0;
    for (u32 word : words) {
      std::vector<FpState> in, theirs;
      for (u64 i = 0; i < cases; i++) {
        const auto [a, b, c] = operands.triple(operands.below(2));
        in.push_back({.fpr = {operands.word(), a, b, c},
                      .fpscr = operands.fpscr(operands.below(4)),
                      .cr = static_cast<u32>(operands.word()),
                      .memory = {operands.value(), operands.word()}});
        if (base.starts_with("mtfs")) in.back().fpr[2] = operands.word();
      }
      theirs = in;
      ASSERT_TRUE(run_qemu(qemu, word, theirs)) << name;
      for (u64 i = 0; i < cases && failures < 3; i++) {
        const Case c{base, word, in[i], run_semantics(word, in[i], qemu.little_endian()), theirs[i]};
        if (i < 32)
          EXPECT_EQ(run_engine(word, in[i], qemu.little_endian()), c.ours) << name << std::hex << ' ' << word;
        if (c.ours == c.theirs || explained(c, rc, ledger)) continue;
        failures++;
        ADD_FAILURE() << name << std::hex << ' ' << word << "\nin   " << c.in << "\nours " << c.ours
                      << "\nqemu " << c.theirs;
      }
      compared += cases;
      coverage::cases("qemu", name, cases);
    }
  }
  std::cout << compared << " cases\n";
  if (all) EXPECT_EQ(ledger.unused(), std::vector<std::string>{});
}

TEST(FloatingPointPeer, AgreesWithQemu) {
  Peer qemu(BATON_QEMU_PPC64, BATON_FP_RUNNER, false);
  compare(qemu, case_count(20000), true);
}
/// Arithmetic knows no byte order; that it is right here means that loads and stores are.
TEST(FloatingPointPeer, AgreesWithQemuInLittleEndianMode) {
  Peer qemu(BATON_QEMU_PPC64LE, BATON_FP_RUNNER_LE, true);
  compare(qemu, case_count(2000), false);
}

}  // namespace
}  // namespace baton::test
