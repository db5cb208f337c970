// SPDX-License-Identifier: Apache-2.0
// Deterministic mode (DESIGN 4): what a partition hears from outside enters at a known instruction, is
// written to a log, and comes out of the log again.
#pragma once

#include <atomic>
#include <deque>
#include <fstream>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cpu/thread.h"
#include "hypervisor/determinism.h"

namespace baton::hypervisor {

class Partition;
class VirtualProcessor;

/// The outside events of one partition. Instructions are counted from power-on.
class OutsideEvents {
 public:
  enum class Kind : u8 { kTerminal, kFrame, kShutdown };
  struct Event {
    u64 instructions = 0, time_base = 0;  ///< When it is applied.
    Kind kind = Kind::kTerminal;
    u32 slot = 0;
    std::vector<u8> data;
  };

  /// Opens the files; throws std::runtime_error with a sentence for the user.
  OutsideEvents(Partition& partition, const Determinism& how);

  /// From any thread: to be applied once the processor is outside guest code. Dropped when replaying.
  void submit(Kind kind, u32 slot, std::span<const u8> data);
  bool waiting() const { return waiting_.load(); }
  bool replaying() const { return !how_.replay.empty(); }

  // -- on the processor's thread, outside guest code
  /// Applies what is due and says how many instructions may be executed until something else is; 0: stop for
  /// good.
  u64 apply();
  /// While the processor waits, and replaying: the time base of the next event if it comes during this wait.
  std::optional<u64> next_in_wait() const;
  /// Runs at most `budget` instructions, each shown to the tracer if it is its turn.
  cpu::Exit run(cpu::Thread& thread, u64 budget);

 private:
  u64 now() const;
  void perform(const Event& event);
  void read(const std::string& path);

  Partition& partition_;
  const Determinism& how_;
  std::mutex lock_;  ///< Guards queue_.
  std::deque<Event> queue_;
  std::atomic<bool> waiting_{false};
  // The processor's thread alone:
  std::deque<Event> replay_;
  u64 digested_ = 0;
  std::ofstream log_;
};

/// State, memory and page table of a partition at rest in one line: two partitions that print the same are
/// equal as far as software can tell.
std::string digest(Partition& partition);

}  // namespace baton::hypervisor
