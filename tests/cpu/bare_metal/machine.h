// SPDX-License-Identifier: Apache-2.0
// A machine without a hypervisor: memory with the guest image at 0, a page table that the harness fills, and
// hardware threads that the harness runs. `sc 1` stops a thread, in a program or in an interrupt vector.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/cpu/bare_metal/image.h"
#include "tests/cpu/hardware.h"

namespace baton::bare_metal {

using cpu::Access;
using cpu::Exit;
using cpu::Vector;
namespace msr = cpu::msr;
namespace pte = cpu::pte;
namespace dsisr = cpu::dsisr;
namespace program = cpu::program;

/// Page sizes of a segment by its SLB encoding, spelled out here rather than taken from the code under test.
inline constexpr u64 k4K = 0x000, k64K = 0x110, k16M = 0x100, k16G = 0x120;
inline constexpr u64 kKs = 0x800, kKp = 0x400, kSegmentNoExecute = 0x200;
inline constexpr u64 kEsidValid = 0x08000000;

/// A segment: what `slbmte` makes of it, and what the hash function needs.
struct Segment {
  u64 ea = 0;  ///< Any address in it.
  u64 vsid = 0;
  bool terabyte = false;
  u64 llp = k4K;
  u64 protection = 0;  ///< kKs, kKp, kSegmentNoExecute.
  unsigned index = 1;  ///< SLB entry.

  u64 size_mask() const { return terabyte ? 0xFFFFFFFFFF : 0x0FFFFFFF; }
  unsigned base_shift() const { return llp == k4K ? 12 : llp == k64K ? 16 : llp == k16M ? 24 : 34; }
  u64 rb() const { return (ea & ~size_mask()) | kEsidValid | index; }
  u64 rs() const { return (terabyte ? u64{1} << 62 | vsid << 24 : vsid << 12) | protection | llp; }
};

/// A page to enter in the table.
struct Page {
  u64 ea = 0;
  u64 ra = 0;
  u64 rights = 2;  ///< Doubleword 1 bits: PP, N, G, PP0, key, R, C...
  u8 shift = 0;    ///< log2 of its size; 0: the segment's base size.
  bool secondary = false;
  unsigned slot = 0;  ///< In its group.
};

/// How a run ended.
struct Stop {
  Exit exit = Exit::kKicked;
  u64 at = 0;                     ///< Address of the `sc 1`, if that was it.
  Vector vector = Vector::kNone;  ///< If it lies at an interrupt vector.
};
std::ostream& operator<<(std::ostream& out, const Stop& stop);

class Machine : public test::Hardware {
 public:
  /// Where the image can be executed with MSR[IR]=1 after map_code(): effective = kCode + real.
  static constexpr u64 kCode = 0x7000'0000;
  /// Data pages of tests start here (real address); the image lies below.
  static constexpr u64 kData = 0x10'0000;
  /// Where assemble() puts what it is given.
  static constexpr u64 kScratch = 0xF'0000;

  explicit Machine(unsigned threads = 1, u64 memory = u64{64} << 20, unsigned hpt_log2 = 18);
  u64& gpr(unsigned r, unsigned i = 0) { return state(i).gpr[r]; }

  u64 at(const std::string& symbol) const { return image_.at(symbol); }
  u64 load(u64 ra) { return memory().load<u64>(ra).value(); }
  void store(u64 ra, u64 value) { ASSERT_TRUE(memory().store<u64>(ra, value)); }
  u32 load32(u64 ra) { return memory().load<u32>(ra).value(); }
  void store32(u64 ra, u32 value) { ASSERT_TRUE(memory().store<u32>(ra, value)); }
  /// Puts instructions at real address kScratch, and `sc 1` behind them.
  void assemble(const std::vector<u32>& words, bool little_endian = false);
  /// Puts a branch to the symbol at the vector; unhook restores `sc 1`.
  void hook(Vector vector, const std::string& symbol);
  void unhook(Vector vector);

  // -- translation
  /// Sets an SLB entry of thread `i`.
  void slb(const Segment& segment, unsigned i = 0) { thread(i).slbmte(segment.rs(), segment.rb()); }
  /// The entry that translates `page.ea`.
  static cpu::Hpte entry(const Segment& segment, const Page& page);
  /// Where it belongs.
  u64 ptex(const Segment& segment, const Page& page);
  /// Enters it, in place of what was there; returns its index.
  u64 map(const Segment& segment, const Page& page);
  /// Takes an entry out as H_REMOVE does; returns doubleword 1 with the final R and C.
  u64 unmap(u64 ptex);
  /// Maps the whole image at kCode, executable and writable in every state, through SLB entry 63.
  void map_code(unsigned i = 0);

  // -- running
  /// Sets NIA and MSR. With MSR[IR] the symbol's address at kCode is meant. Keeps cached translations.
  void go(const std::string& symbol, u64 msr, unsigned i = 0);
  void go(u64 nia, u64 msr, unsigned i = 0);
  /// Runs until `sc 1`, a kick, or the end of the budget.
  Stop run(unsigned i = 0, u64 budget = ~u64{0});
  Stop run(const std::string& symbol, u64 msr, unsigned i = 0) {
    go(symbol, msr, i);
    return run(i);
  }
  /// What the last go() said.
  u64 start_msr(unsigned i = 0) const { return starts_[i].msr; }
  u64 start_nia(unsigned i = 0) const { return starts_[i].nia; }

 private:
  struct Start {
    u64 msr = 0, nia = 0;
  };

  const Image& image_;
  std::vector<Start> starts_;
};

/// True if the program reached its own `sc 1`.
testing::AssertionResult completed(const Stop& stop);

/// What an interrupt must have left behind. SRR1 is the MSR of go() and the cause, unless `msr` is given.
struct Left {
  u64 srr0 = 0;
  u64 cause = 0;
  std::optional<u64> dar{};
  std::optional<u32> dsisr{};
  std::optional<u64> msr{};
};
testing::AssertionResult interrupted(Machine& machine, const Stop& stop, Vector vector, const Left& left,
                                     unsigned i = 0);

/// Runs a hardware thread on a host thread of its own. At each `sc 1` it asks `at_stop`: true goes on.
class Runner {
 public:
  /// `over` becomes true when the runner is to end; who waits must look at it.
  using AtStop = std::function<bool(const Stop&, const std::atomic<bool>& over)>;
  Runner(Machine& machine, unsigned i, AtStop at_stop = nullptr);
  ~Runner();
  /// Kicks and joins.
  void stop();
  /// Waits for it to end by itself.
  void join();
  bool ended() const { return ended_; }

 private:
  cpu::Thread& thread_;
  std::atomic<bool> stopping_{false}, ended_{false};
  std::thread host_;
};

/// Waits for something that another host thread does; false if it does not come in half a minute.
template <class Condition>
[[nodiscard]] bool eventually(Condition&& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

/// Rounds of a test that races: a number of them, or as many as fit into the time. Shared machines are slow.
class Rounds {
 public:
  explicit Rounds(unsigned most, unsigned milliseconds = 1000)
      : most_(most), end_(std::chrono::steady_clock::now() + std::chrono::milliseconds(milliseconds)) {}
  /// True if there is another one, which `round` counts.
  bool next() {
    return ++round_ < most_ && (round_ < 4 || std::chrono::steady_clock::now() < end_) &&
           !testing::Test::HasFailure();
  }
  unsigned round() const { return round_; }

 private:
  unsigned most_, round_ = ~0u;
  std::chrono::steady_clock::time_point end_;
};

/// One machine with one thread.
class OneThread : public testing::Test {
 protected:
  Machine m;
  cpu::State& s = m.state();
};

}  // namespace baton::bare_metal
