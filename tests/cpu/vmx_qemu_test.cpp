// SPDX-License-Identifier: Apache-2.0
// Every VMX instruction against QEMU's user mode, which executes it in tests/cpu/vmx_runner.c.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

#include "cpu/vmx/vmx.h"
#include "tests/cpu/coverage.h"
#include "tests/cpu/differential/peer.h"
#include "tests/cpu/ledger.h"
#include "tests/cpu/vmx_harness.h"

#ifdef BATON_VMX_RUNNER

namespace baton::test {
namespace {

namespace isa = cpu::isa;

/// Executes the instruction in QEMU once with each state and puts in what it left; false when QEMU has gone.
bool run_qemu(Peer& qemu, u32 word, std::vector<VmxState>& states) {
  const bool le = qemu.little_endian();
  // Registers go through lvx and stvx.
  const auto copy = [&](u8* to, const u8* from) {
    if (le)
      std::reverse_copy(from, from + 16, to);
    else
      std::copy_n(from, 16, to);
  };
  return qemu.run(
      word, states, 256,
      [&](u8* at, const VmxState& s) {
        for (std::size_t i = 0; i < s.vr.size(); i++) copy(at + 16 * i, s.vr[i].data());
        store(at + (le ? 128 : 140), s.vscr, le);
        store(at + 144, s.delta, le);
        store(at + 152, s.index, le);
        store(at + 160, u64{s.cr}, le);
        std::memcpy(at + 176, s.memory.data(), 64);
      },
      [&](const u8* at, VmxState& s) {
        for (std::size_t i = 0; i < s.vr.size(); i++) copy(s.vr[i].data(), at + 16 * i);
        s.vscr = load<u32>(at + (le ? 128 : 140), le);
        s.cr = static_cast<u32>(load<u64>(at + 160, le));
        std::memcpy(s.memory.data(), at + 176, 64);
      });
}

struct Case {
  const isa::Row* row;
  u32 word;
  VmxState in, ours, theirs;

  bool is(std::initializer_list<const char*> names) const {
    for (const char* n : names)
      if (std::strcmp(row->mnemonic, n) == 0) return true;
    return false;
  }
  const Quad& quad(const VmxState& state, unsigned first) const {
    const u32 number = field(word, first, first + 4);
    for (std::size_t i = 0; i < kNumbers.size(); i++)
      if (kNumbers[i] == number) return state.vr[i];
    std::abort();
  }
  Quad& target(VmxState& state) const { return const_cast<Quad&>(quad(state, 6)); }
};

/// Where QEMU 7.2 differs, by the entries of the ledger (suite "vmx-qemu"): when, and in what.
struct Difference {
  const char* id;
  /// Makes theirs as ours where the entry explains it.
  std::function<void(const Case& c, VmxState& theirs)> explain;
};

Difference differences[] = {
    {"vexptefp",
     [](const Case& c, VmxState& theirs) {
       if (!c.is({"vexptefp"})) return;
       for (unsigned i = 0; i < 4; i++)
         if (std::fabs(std::bit_cast<float>(element<u32>(c.quad(c.in, 16), i))) > 2)
           set_element(c.target(theirs), i, element<u32>(c.quad(c.ours, 6), i));
     }},
    {"mtvscr-reserved",
     [](const Case& c, VmxState& theirs) {
       if (c.is({"mtvscr"})) theirs.vscr &= cpu::vscr::NJ | cpu::vscr::SAT;
     }},
};

bool explained(const Case& c, coverage::Ledger& ledger) {
  VmxState theirs = c.theirs;
  for (const Difference& entry : differences) {
    const VmxState before = theirs;
    entry.explain(c, theirs);
    if (theirs != before) ledger.excuse(entry.id);
  }
  return theirs == c.ours;
}

/// 4.13: the instructions that set SAT.
bool saturates(const isa::Row& row) {
  const std::string_view name = row.mnemonic;
  if (name == "mtvscr" || name.starts_with("vct") || name.starts_with("vmh") || name.starts_with("vsum"))
    return true;
  if (name.starts_with("vpk")) return name != "vpkpx" && name.ends_with("s");
  return (name.starts_with("vadd") || name.starts_with("vsub") || name.starts_with("vmsum")) &&
         name.ends_with("s");
}
bool records(const isa::Row& row) { return std::string_view(row.mnemonic).ends_with("."); }
bool is_bounds(const isa::Row& row) { return std::string_view(row.mnemonic) == "vcmpbfp."; }

/// `count` cases of each row.
void compare(Peer& qemu, u64 count) {
  const bool le = qemu.little_endian();
  coverage::Ledger ledger("vmx-qemu");
  VmxOperands operands(3);
  u64 compared = 0;
  for (const isa::Row* row : vmx_rows()) {
    constexpr u64 kWords = 64;
    const u64 cases = (count + kWords - 1) / kWords;
    int failures = 0;
    // That nothing is vacuous: QEMU changes something, sets SAT, and CR6 to each value that there is.
    bool changed = false, saturated = false;
    u32 conditions = 0;
    for (u64 n = 0; n < kWords; n++) {
      const u32 word = operands.instruction(*row);
      ASSERT_EQ(isa::decode(word), row);
      std::vector<VmxState> in, theirs;
      for (u64 i = 0; i < cases; i++) in.push_back(operands.state(word));
      theirs = in;
      ASSERT_TRUE(run_qemu(qemu, word, theirs)) << row->mnemonic;
      for (u64 i = 0; i < cases; i++) {
        const Case c{row, word, in[i], run_semantics(word, in[i], le), theirs[i]};
        changed |= c.theirs != c.in;
        saturated |= c.theirs.vscr & ~c.in.vscr & cpu::vscr::SAT;
        conditions |= 1u << (c.theirs.cr >> 4 & 15);
        if (i < 2) EXPECT_EQ(run_engine(word, in[i], le), c.ours) << row->mnemonic;
        if (c.ours == c.theirs || explained(c, ledger) || failures++ >= 3) continue;
        ADD_FAILURE() << isa::disassemble(0, word) << std::hex << "   " << word << "\nin  " << c.in
                      << "\nours" << c.ours << "\nqemu" << c.theirs;
      }
      compared += cases;
      coverage::cases("qemu", row->mnemonic, cases);
    }
    EXPECT_TRUE(changed) << row->mnemonic;
    EXPECT_EQ(saturated, saturates(*row)) << row->mnemonic;
    if (records(*row)) EXPECT_EQ(conditions, is_bounds(*row) ? 0b101u : 0b100000101u) << row->mnemonic;
    if (failures) std::cout << row->mnemonic << ": " << failures << " wrong\n";
  }
  std::cout << vmx_rows().size() << " rows, " << compared << " cases\n";
  EXPECT_EQ(ledger.unused(), std::vector<std::string>{});
}

TEST(VmxPeer, AgreesWithQemu) {
  Peer qemu(BATON_QEMU_PPC64, BATON_VMX_RUNNER, false);
  compare(qemu, vmx_case_count(6400));
}
/// Arithmetic knows no byte order; that it is right here means that loads and stores are.
TEST(VmxPeer, AgreesWithQemuInLittleEndianMode) {
  Peer qemu(BATON_QEMU_PPC64LE, BATON_VMX_RUNNER_LE, true);
  compare(qemu, vmx_case_count(1920));
}

}  // namespace
}  // namespace baton::test

#endif
