// SPDX-License-Identifier: Apache-2.0
// Every decimal instruction against QEMU's user mode, which executes it in tests/cpu/dfp_runner.c.
#include <gtest/gtest.h>

#include "cpu/fpu/fpu.h"
#include "tests/cpu/coverage.h"
#include "tests/cpu/dfp_harness.h"
#include "tests/cpu/differential/peer.h"
#include "tests/cpu/ledger.h"

namespace baton::test {
namespace {

/// Executes the instruction once with each state in QEMU; false when it has gone.
bool run_qemu(Peer& qemu, u32 word, std::vector<DfpState>& states) {
  constexpr std::size_t kRecord = 72;
  const auto put = [](u8* at, const DfpState& s) {
    for (int i = 0; i < 6; i++) store_be(at + 8 * i, s.fpr[i]);
    store_be(at + 48, s.fpscr);
    store_be(at + 56, u64{s.cr});
  };
  const auto get = [](const u8* at, DfpState& s) {
    for (int i = 0; i < 6; i++) s.fpr[i] = load_be<u64>(at + 8 * i);
    s.fpscr = load_be<u64>(at + 48);
    s.cr = static_cast<u32>(load_be<u64>(at + 56));
    s.interrupt = load_be<u64>(at + 64) != 0;
  };
  return qemu.run(word, states, kRecord, put, get);
}

namespace f = cpu::fpscr;

struct Case {
  std::string name;  ///< Mnemonic without the dot.
  bool quad;
  u32 word;
  DfpState in, ours, theirs;

  bool is(std::initializer_list<const char*> names) const {
    for (const char* n : names) {
      if (name == n || name == n + std::string("q")) return true;
    }
    return false;
  }
};

/// Where QEMU 7.2 differs, by the entries of the ledger (suite "dfp-qemu"): when, and in what.
struct Difference {
  const char* id;
  bool (*applies)(const Case& c);
  u64 fpscr = 0;           ///< FPSCR bits (and those of CR1 that mirror them) that may differ.
  bool target = false;     ///< The target may differ.
  bool interrupt = false;  ///< Whether the interrupt may differ.
  bool cr1 = false;        ///< Whether CR1 may differ (Rc forms).
};

Difference differences[] = {
    {"fx-every",
     [](const Case& c) {
       return (c.ours.fpscr & f::kExceptions & ~c.in.fpscr) == 0 && (c.theirs.fpscr & f::FX);
     },
     f::FX},
    {"fr-old", [](const Case& c) { return !((c.theirs.fpscr ^ c.in.fpscr) & f::FR); }, f::FR},
    {"fi-old",
     [](const Case& c) { return !(c.ours.fpscr & f::FI) && !((c.theirs.fpscr ^ c.in.fpscr) & f::FI); },
     f::FI},
    {"no-interrupt", [](const Case& c) { return c.ours.interrupt && !c.theirs.interrupt; }, 0, false, true},
    {"target-enabled",
     [](const Case& c) {
       return c.ours.interrupt && c.ours.fpr == c.in.fpr && c.ours.fpscr & (f::VX | f::ZX);
     },
     f::FPRF, true},
    {"adjusted-exponent",
     [](const Case& c) {
       return c.ours.interrupt && (c.ours.fpscr & (c.ours.fpscr << 22) & (f::OX | f::UX));
     },
     f::FPRF | f::FI | f::XX | f::UX | f::OX | f::FX | f::FEX, true},
    {"dcmpo-vxvc",
     [](const Case& c) { return c.is({"dcmpo"}) && (c.in.fpscr & f::VE) && (c.ours.fpscr & f::VXSNAN); },
     f::VXVC},
    {"denbcd-fprf", [](const Case& c) { return c.is({"denbcd"}) && c.ours.fpscr & f::VXCVI; }, f::FPRF},
    {"fex", [](const Case& c) { return c.is({"denbcd", "drrnd"}) && c.ours.fpscr & f::VX; }, f::FEX},
    {"denbcd-a",
     [](const Case& c) {
       if (!c.is({"denbcd"})) return false;
       const bool with_sign = c.word >> 20 & 1;
       for (unsigned i = with_sign ? 4 : 0; i < (c.quad ? 128 : 64); i += 4) {
         if ((c.in.operand(4, c.quad) >> i & 15) == 10) return true;
       }
       return false;
     },
     f::VXCVI | f::VX | f::FEX | f::FX | f::FPRF, true},
    {"diex-declets",
     [](const Case& c) {
       const i64 biased = static_cast<i64>(c.in.fpr[2]);
       return c.is({"diex"}) && (biased < 0 || biased > (c.quad ? 12287 : 767));
     },
     0, true},
    {"drrnd-sign",
     [](const Case& c) { return c.is({"drrnd"}) && c.ours.fpscr & f::VXCVI && c.in.fpr[4] >> 63; }, 0, true},
    {"dscli-reserved",
     [](const Case& c) {
       const DecimalText b = decode_decimal(c.quad ? kDecimal128 : kDecimal64, c.in.operand(2, c.quad));
       return c.is({"dscli", "dscri"}) && b.kind != DecimalText::kFinite;
     },
     0, true},
    {"infinity-digits",
     [](const Case& c) {
       if (!c.is({"diex", "dscli", "dscri", "ddedpd", "dctdp"})) return false;
       const unsigned at = c.is({"dscli", "dscri"}) ? 2 : 4;
       const DecimalFormat& format = c.quad ? kDecimal128 : c.is({"dctdp"}) ? kDecimal32 : kDecimal64;
       return decode_decimal(format, c.in.operand(at, c.quad)).kind == DecimalText::kInfinity;
     },
     0, true},
    {"drsp-nan",
     [](const Case& c) {
       return c.is({"drsp"}) && decode_decimal(kDecimal64, c.in.fpr[4]).kind != DecimalText::kFinite;
     },
     f::FPRF, true},
    {"drdpq-odd",
     [](const Case& c) {
       return c.is({"drdp"}) && c.theirs.fpr[0] == 0 &&
              (c.theirs.fpr[1] == c.ours.fpr[0] || c.ours.interrupt);
     },
     0, true},
    {"drdpq-nan",
     [](const Case& c) {
       return c.is({"drdp"}) &&
              decode_decimal(kDecimal128, c.in.operand(4, true)).kind >= DecimalText::kQuiet;
     },
     f::VXSNAN | f::VX | f::FEX | f::FX | f::FPRF, true},
    {"dctfixq-least",
     [](const Case& c) {
       return c.is({"dctfix"}) && c.ours.fpr[0] == u64{1} << 63 && c.theirs.fpr[0] == c.ours.fpr[0] &&
              decode_decimal(kDecimal128, c.in.operand(4, true)).digits.starts_with("922337203685477580");
     },
     f::VXCVI | f::VX | f::FEX | f::FX | f::FI | f::FR | f::XX, false, true},
};

/// Whether the ledger explains every difference; notes the entries that were needed.
bool explained(const Case& c, bool rc, coverage::Ledger& ledger) {
  u64 fpscr = 0;
  bool target = false, interrupt = false, cr1 = false;
  const u64 status = c.ours.fpscr ^ c.theirs.fpscr;
  for (const Difference& entry : differences) {
    if (!entry.applies(c)) continue;
    const bool trap = entry.interrupt && c.ours.interrupt != c.theirs.interrupt;
    if (status & entry.fpscr || (entry.target && c.ours.fpr != c.theirs.fpr) || trap ||
        (rc && entry.cr1 && c.ours.cr != c.theirs.cr)) {
      ledger.excuse(entry.id);
    }
    fpscr |= entry.fpscr;
    target |= entry.target;
    interrupt |= entry.interrupt;
    cr1 |= entry.cr1;
  }
  DfpState ours = c.ours, theirs = c.theirs;
  ours.fpscr |= fpscr, theirs.fpscr |= fpscr;
  if (target) {
    for (unsigned i : {0u, 1u}) theirs.fpr[i] = ours.fpr[i];
  }
  if (interrupt) theirs.interrupt = ours.interrupt;
  if (rc) {
    const u32 mirrored = cr1 ? 0x0F000000 : static_cast<u32>(fpscr >> 28 & 15) << 24;
    ours.cr |= mirrored, theirs.cr |= mirrored;
  }
  return ours == theirs;
}

TEST(DecimalPeer, AgreesWithQemu) {
  Peer qemu(BATON_QEMU_PPC64, BATON_DFP_RUNNER, false);
  coverage::Ledger ledger("dfp-qemu");
  DecimalOperands operands(3);
  u64 compared = 0;
  for (const std::string& name : dfp_mnemonics()) {
    const bool rc = name.back() == '.';
    const std::string base = rc ? name.substr(0, name.size() - 1) : name;
    const u64 words = dfp_immediates(name).empty() ? 1 : 64;
    const u64 cases = (dfp_case_count(10000) + words - 1) / words;
    int failures = 0;
    for (u64 w = 0; w < words; w++) {
      const u32 word = operands.word_of(name);
      std::vector<DfpState> in;
      for (u64 i = 0; i < cases; i++) in.push_back(operands.state(name, true));
      std::vector<DfpState> theirs = in;
      ASSERT_TRUE(run_qemu(qemu, word, theirs)) << name;
      for (u64 i = 0; i < cases && failures < 3; i++) {
        const Case c{base, is_quad(name), word, in[i], run_decimal(word, in[i]), theirs[i]};
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
  EXPECT_EQ(ledger.unused(), std::vector<std::string>{});
}

}  // namespace
}  // namespace baton::test
