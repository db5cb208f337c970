// SPDX-License-Identifier: Apache-2.0
// Privileged instructions against QEMU's pseries machine with a POWER7: differential/system_runner.S runs on
// both.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <random>
#include <vector>

#include "cpu/isa/assembly.h"
#include "cpu/thread.h"
#include "tests/cpu/coverage.h"
#include "tests/cpu/differential/native.h"
#include "tests/cpu/ledger.h"

namespace baton::cpu {
namespace {

constexpr u64 kCases = 0x100000, kAnswers = 0x800000, kSlot = 0x4000, kScratch = 0x700000;
constexpr std::size_t kWords = 8;

/// As system_runner.S has it, in host byte order.
struct Case {
  const char* kind;
  std::array<u32, kWords> words;
  std::array<u64, 8> gpr;  ///< r3 to r10
};
struct Answer {
  std::array<u64, 8> gpr;
  u64 cr, msr, vector, srr0, srr1, dar, dsisr, ctr;
  bool operator==(const Answer&) const = default;
};
static_assert(sizeof(Answer) == 128);

std::vector<u8> stream(const std::vector<Case>& cases) {
  std::vector<u8> bytes(16 + cases.size() * 96);
  store_be<u64>(bytes.data(), cases.size());
  u8* at = bytes.data() + 16;
  for (const Case& c : cases) {
    for (u32 word : c.words) store_be(at, word), at += 4;
    for (u64 r : c.gpr) store_be(at, r), at += 8;
  }
  return bytes;
}

std::vector<Answer> answers_of(const std::vector<u8>& bytes) {
  std::vector<Answer> answers(bytes.size() / sizeof(Answer));
  for (std::size_t i = 0; i < answers.size(); i++) {
    std::array<u64, 16> values;
    for (std::size_t n = 0; n < values.size(); n++)
      values[n] = load_be<u64>(&bytes[i * sizeof(Answer) + 8 * n]);
    std::memcpy(&answers[i], values.data(), sizeof(Answer));
  }
  return answers;
}

/// Empty: QEMU did not say as much as it should.
std::vector<Answer> run_qemu(const std::vector<Case>& cases) {
  const std::string file = testing::TempDir() + "baton_isa_system." + std::to_string(getpid());
  const std::vector<u8> input = stream(cases);
  std::ofstream(file, std::ios::binary)
      .write(reinterpret_cast<const char*>(input.data()), static_cast<std::streamsize>(input.size()));
  const std::string loader = "loader,file=" + file + ",addr=" + std::to_string(kCases) + ",force-raw=on";
  int from[2];
  if (pipe(from) != 0) std::abort();
  const pid_t child = fork();
  if (child == 0) {
    const int null = open("/dev/null", O_RDWR);
    dup2(null, 0);
    dup2(from[1], 1);
    dup2(null, 2);
    close(from[0]);
    execlp("qemu-system-ppc64", "qemu-system-ppc64", "-cpu", "power7", "-M",
           "pseries,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off", "-m", "256",
           "-nodefaults", "-vga", "none", "-display", "none", "-serial", "stdio", "-bios",
           BATON_SYSTEM_RUNNER, "-device", loader.c_str(), nullptr);
    _exit(127);
  }
  close(from[1]);
  std::vector<u8> bytes(cases.size() * sizeof(Answer));
  std::size_t got = 0;
  alarm(60);
  while (got < bytes.size()) {
    const ssize_t n = read(from[0], &bytes[got], bytes.size() - got);
    if (n <= 0) break;
    got += static_cast<std::size_t>(n);
  }
  alarm(0);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  close(from[0]);
  std::filesystem::remove(file);
  return got == bytes.size() ? answers_of(bytes) : std::vector<Answer>{};
}

std::vector<Answer> run_ours(const std::vector<Case>& cases) {
  baton::test::Hardware machine(1, 16 << 20, 18);
  Thread& thread = machine.thread();
  std::ifstream image(BATON_SYSTEM_RUNNER, std::ios::binary);
  const std::vector<char> code{std::istreambuf_iterator<char>(image), {}};
  machine.memory().write(0, std::span(reinterpret_cast<const u8*>(code.data()), code.size()));
  machine.memory().write(kCases, stream(cases));
  thread.reset(0x100, 0, true);
  // The first H_PUT_TERM_CHAR: all answers are in memory.
  if (thread.run(cases.size() * 1000 + 1000) != Exit::kHypercall) return {};
  std::vector<u8> bytes(cases.size() * sizeof(Answer));
  machine.memory().read(kAnswers, bytes);
  return answers_of(bytes);
}

/// Makes the cases.
class Author {
 public:
  std::vector<Case> cases;

  u64 random() { return random_(); }
  /// A case of these lines; r3 to r10 hold `gpr`, then random values.
  void add(const char* kind, std::initializer_list<std::string> lines, std::initializer_list<u64> gpr) {
    Case c{kind, {}, {}};
    c.words.fill(0x60000000);
    std::size_t n = 0;
    for (const std::string& line : lines) {
      const auto assembled = isa::assemble(kSlot + 4 * n, line);
      ASSERT_TRUE(assembled.word) << assembled.problem;
      c.words[n++] = *assembled.word;
    }
    for (u64& r : c.gpr) r = random();
    std::copy(gpr.begin(), gpr.end(), c.gpr.begin());
    cases.push_back(c);
  }

 private:
  std::mt19937_64 random_{1};
};

constexpr u64 kHv = u64{1} << 60;
/// Bits of MSR to try: all but those that trace, LE, and VSX, which POWER6 does not have. FE0 and FE1: no
/// exception is enabled.
constexpr u64 kMsrBits = msr::SF | msr::VEC | msr::EE | msr::PR | msr::FP | msr::FE0 | msr::FE1 | msr::IR |
                         msr::DR | msr::PMM | msr::RI | msr::ME | kHv;

void write_msr(Author& a, int n) {
  for (int i = 0; i < n; i++) {
    // Half of them stay in problem-free real mode, so that the next instruction can tell.
    const u64 mask = i % 2 ? ~u64{0} : ~(msr::PR | msr::IR);
    a.add("mtmsrd", {"mtmsrd r3,0", "mfmsr r4"}, {a.random() & kMsrBits & mask});
    a.add("mtmsrd 1", {"mtmsrd r3,0", "mtmsrd r4,1", "mfmsr r5"},
          {msr::SF | (a.random() & kMsrBits & ~(msr::PR | msr::IR)), a.random()});
    a.add("mtmsr", {"mtmsr r3,0", "mfmsr r4"}, {a.random() & kMsrBits & mask});
    a.add("mtmsr 1", {"mtmsr r3,1", "mfmsr r4"}, {a.random()});
    const u64 srr1 = a.random() & ((kMsrBits & ~kHv) | 0x783F0000) & mask;
    // The upper half of SRR0 counts in 64-bit mode only, where this is the way to nowhere.
    const u64 high = srr1 & msr::SF ? 0 : a.random() << 32;
    a.add("rfid", {"mtspr 26,r3", "mtspr 27,r4", "rfid", ".long 0", "mfmsr r5"},
          {high | (kSlot + 16 + (a.random() & 3)), srr1});
  }
}

void segments(Author& a, int n) {
  const auto esid = [&](u64 b) { return a.random() & (b ? 0xFFFFFF0000000000 : 0xFFFFFFFFF0000000); };
  for (int i = 0; i < n; i++) {
    // A POWER7 has 32 entries.
    const u64 index = 1 + a.random() % 31, b = a.random() & 1, where = esid(b),
              class_bit = (a.random() & 1) << 7;
    constexpr std::array<u64, 2> kSizes{0, 0x110};  // 4K and 64K; this QEMU has no 16M
    const u64 vsid = b ? (a.random() & 0x3FFFFFF000000) : (a.random() & 0x3FFFFFFFFFFFF000);
    const u64 rs = b << 62 | vsid | (a.random() & 0xE00) | class_bit | kSizes[a.random() % 2];
    const u64 rb = where | 0x08000000 | index;
    a.add("slbmte", {"slbmte r3,r4", "slbmfee r5,r6", "slbmfev r7,r6", "slbfee. r8,r9", "slbfee. r10,r10"},
          {rs, rb, 0, index, 0, 0, where | (a.random() & 0x0FFFFFFF), a.random()});
    // Another entry stays; slbie hits or misses.
    const u64 victim = i % 2 ? where : esid(b);
    a.add("slbie", {"slbmte r3,r4", "slbie r5", "isync", "slbmfee r8,r6", "slbmfev r9,r6"},
          {rs, rb, victim | b << 25 | class_bit << 20, index});
    const u64 other = 1 + (index + 5) % 31;
    a.add("slbia",
          {"slbmte r3,r4", "slbmte r3,r5", "slbia 0", "slbmfee r8,r6", "slbmfee r9,r7", "slbmfev r10,r7"},
          {rs, rb, (esid(b) & ~u64{0xFFF}) | 0x08000000 | (i % 2 ? 0 : other), index, i % 2 ? 0 : other});
    const u64 sr = a.random() & 15;
    a.add("mtsr", {"mtsr " + std::to_string(sr) + ",r3", "slbmfee r5,r4", "slbmfev r6,r4"},
          {a.random() & 0x77FFFFFF, sr});
    a.add("mtsrin", {"mtsrin r3,r7", "slbmfee r5,r4", "slbmfev r6,r4"},
          {a.random() & 0x77FFFFFF, sr, 0, 0, sr << 28 | (a.random() & 0x0FFFFFFF)});
  }
}

void quadwords(Author& a, int n) {
  for (int i = 0; i < n; i++) {
    const u64 at = kScratch + (a.random() & 0xFF0);
    a.add("lq", {"std r5,0(r3)", "std r6,8(r3)", "lq r8,0(r3)"}, {at});
    a.add("stq", {"stq r4,16(r3)", "ld r8,16(r3)", "ld r9,24(r3)"}, {at});
  }
}

void registers(Author& a, int n) {
  // DSCR has fewer bits on a POWER7, CTRL and the PMU others. What is beyond the 32 bits of DSISR and VRSAVE,
  // QEMU keeps.
  for (const u32 spr : {18, 256, 8, 9, 19, 26, 27, 28, 272, 273, 274, 275})
    for (int i = 0; i < n; i++)
      a.add("spr", {"mtspr " + std::to_string(spr) + ",r3", "mfspr r4," + std::to_string(spr)},
            {a.random() >> (spr == 18 || spr == 256 ? 32 : 0)});
}

void interrupts(Author& a, int n) {
  for (int i = 0; i < n; i++) {
    a.add("sc", {"sc 0"}, {});
    a.add(
        "mftb",
        {"mftb r3,268", "mfspr r4,268", "subf r5,r3,r4", "rldicl r5,r5,32,32", "addi r3,0,0", "addi r4,0,0"},
        {});
    a.add("trap", {"tw " + std::to_string(a.random() & 31) + ",r3,r4"}, {});
    a.add("illegal", {".long 0"}, {});
    // Of the hypervisor's instructions this machine executes all but attn.
    a.add("attn", {"attn"}, {});
    // Facilities that are off.
    for (const char* line :
         {"fadd f1,f2,f3", "lfd f1,0(r3)", "dadd f1,f2,f3", "vor v1,v2,v3", "lvx v1,0,r3", "mffs f1"})
      a.add("unavailable", {line}, {kScratch});
  }
}

std::string describe(const Case& c, const Answer& theirs, const Answer& ours) {
  std::string text = std::string(c.kind) + ":";
  for (u32 word : c.words)
    if (word != 0x60000000) text += " " + isa::table_text(kSlot, word) + ";";
  char line[160];
  const auto add = [&](const std::string& name, u64 qemu, u64 mine) {
    if (qemu == mine) return;
    std::snprintf(line, sizeof line, "\n  %-6s qemu %016llx ours %016llx", name.c_str(),
                  static_cast<unsigned long long>(qemu), static_cast<unsigned long long>(mine));
    text += line;
  };
  for (std::size_t i = 0; i < 8; i++) {
    std::snprintf(line, sizeof line, " %llx", static_cast<unsigned long long>(c.gpr[i]));
    text += line;
  }
  for (std::size_t i = 0; i < 8; i++) add("r" + std::to_string(i + 3), theirs.gpr[i], ours.gpr[i]);
  add("cr", theirs.cr, ours.cr);
  add("msr", theirs.msr, ours.msr);
  add("vector", theirs.vector, ours.vector);
  add("srr0", theirs.srr0, ours.srr0);
  add("srr1", theirs.srr1, ours.srr1);
  add("dar", theirs.dar, ours.dar);
  add("dsisr", theirs.dsisr, ours.dsisr);
  return text;
}

/// Makes theirs as ours where an entry of the ledger says so.
void explain(const Case& c, Answer& theirs, const Answer& ours, coverage::Ledger& ledger) {
  const std::string_view kind = c.kind;
  const auto me = [&](u64& value, u64 mine) {
    if ((value ^ mine) == msr::ME) value = mine, ledger.excuse("machine-check");
  };
  me(theirs.msr, ours.msr);
  if (theirs.vector != 0) me(theirs.srr1, ours.srr1);
  if (kind.starts_with("mtmsr") || kind == "rfid")
    for (std::size_t r : {1, 2}) me(theirs.gpr[r], ours.gpr[r]);
  // An invalidated entry, by slbmfee and slbmfev: QEMU turns V off and shows the rest.
  const auto invalid = [&](std::size_t fee, std::size_t fev) {
    if (theirs.gpr[fee] == 0 || theirs.gpr[fee] & 0x08000000) return;
    ledger.excuse("invalid-slb-entry");
    theirs.gpr[fee] = 0;
    if (fev != 0) theirs.gpr[fev] = 0;
  };
  if (kind == "slbie") invalid(5, 6);
  if (kind == "slbia") invalid(5, 0), invalid(6, 7);
}

TEST(IsaSystem, AgreesWithQemu) {
  if (!*BATON_SYSTEM_RUNNER || std::system("qemu-system-ppc64 --version >/dev/null 2>&1") != 0)
    GTEST_SKIP() << "no qemu-system-ppc64 or no cross compiler";
  coverage::Ledger ledger("qemu-system");
  Author author;
  write_msr(author, 300);
  segments(author, 300);
  quadwords(author, 300);
  registers(author, 100);
  interrupts(author, 50);
  const auto& cases = author.cases;
  const auto theirs = run_qemu(cases), ours = run_ours(cases);
  ASSERT_EQ(theirs.size(), cases.size()) << "QEMU did not finish";
  ASSERT_EQ(ours.size(), cases.size());
  std::map<std::string, int> wrong;
  for (std::size_t i = 0; i < cases.size(); i++) {
    const Case& c = cases[i];
    for (u32 word : c.words)
      if (const isa::Row* row = isa::decode(word); row && word != 0x60000000)
        coverage::cases("qemu-system", row->mnemonic, 1);
    Answer excused = theirs[i];
    explain(c, excused, ours[i], ledger);
    if (excused != ours[i] && wrong[c.kind]++ < 4) ADD_FAILURE() << describe(c, excused, ours[i]);
  }
  for (const auto& [kind, n] : wrong) std::printf("%s: %d differ\n", kind.c_str(), n);
  EXPECT_EQ(ledger.unused(), std::vector<std::string>{});
  std::printf("%zu cases\n", cases.size());
}

}  // namespace
}  // namespace baton::cpu
