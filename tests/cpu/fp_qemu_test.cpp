// SPDX-License-Identifier: Apache-2.0
// Every floating-point instruction against QEMU's user mode, which executes it in tests/cpu/fp_runner.c.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>

#include "cpu/fpu/fpu.h"
#include "tests/cpu/coverage.h"
#include "tests/cpu/fp_harness.h"
#include "tests/cpu/ledger.h"

namespace baton::test {
namespace {

/// QEMU with the runner in it.
class Qemu {
 public:
  Qemu() {
    int to[2], from[2];
    if (pipe(to) != 0 || pipe(from) != 0) std::abort();
    child_ = fork();
    if (child_ == 0) {
      dup2(to[0], 0);
      dup2(from[1], 1);
      for (int fd : {to[0], to[1], from[0], from[1]}) close(fd);
      execl(BATON_QEMU_PPC64, "qemu-ppc64", "-cpu", "power7", BATON_FP_RUNNER, nullptr);
      _exit(127);
    }
    close(to[0]);
    close(from[1]);
    to_ = to[1];
    from_ = from[0];
  }
  ~Qemu() {
    close(to_);
    close(from_);
    waitpid(child_, nullptr, 0);
  }
  Qemu(const Qemu&) = delete;
  Qemu& operator=(const Qemu&) = delete;

  /// Executes the instruction once with each state and puts in what it left; false when QEMU has gone.
  bool run(u32 word, std::vector<FpState>& states) {
    std::vector<u8> buffer(8 + states.size() * kRecord);
    store_be<u32>(buffer.data(), word);
    store_be<u32>(buffer.data() + 4, static_cast<u32>(states.size()));
    u8* at = buffer.data() + 8;
    for (const FpState& s : states) {
      for (int i = 0; i < 4; i++) store_be(at + 8 * i, s.fpr[i]);
      store_be(at + 32, s.fpscr);
      store_be(at + 40, u64{s.cr});
      for (int i = 0; i < 2; i++) store_be(at + 48 + 8 * i, s.memory[i]);
      at += kRecord;
    }
    if (!transfer(buffer.data(), buffer.size(), true)) return false;
    if (!transfer(buffer.data(), buffer.size() - 8, false)) return false;
    at = buffer.data();
    for (FpState& s : states) {
      for (int i = 0; i < 4; i++) s.fpr[i] = load_be<u64>(at + 8 * i);
      s.fpscr = load_be<u64>(at + 32);
      s.cr = static_cast<u32>(load_be<u64>(at + 40));
      for (int i = 0; i < 2; i++) s.memory[i] = load_be<u64>(at + 48 + 8 * i);
      s.interrupt = load_be<u64>(at + 64) != 0;
      at += kRecord;
    }
    return true;
  }

 private:
  static constexpr std::size_t kRecord = 72;

  bool transfer(u8* data, std::size_t size, bool out) {
    while (size) {
      const ssize_t n = out ? write(to_, data, size) : read(from_, data, size);
      if (n <= 0) return false;
      data += n;
      size -= static_cast<std::size_t>(n);
    }
    return true;
  }

  pid_t child_;
  int to_, from_;
};

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

TEST(FloatingPointPeer, AgreesWithQemu) {
  Qemu qemu;
  coverage::Ledger ledger("fp-qemu");
  Operands operands(2);
  u64 compared = 0;
  for (const std::string& name : fp_mnemonics()) {
    const bool rc = name.back() == '.';
    const std::string base = rc ? name.substr(0, name.size() - 1) : name;
    const std::vector<u32> words = fp_words(name);
    const u64 cases = (case_count(20000) + words.size() - 1) / words.size();
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
      ASSERT_TRUE(qemu.run(word, theirs)) << name;
      for (u64 i = 0; i < cases && failures < 3; i++) {
        const Case c{base, word, in[i], run_semantics(word, in[i]), theirs[i]};
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
