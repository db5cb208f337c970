// SPDX-License-Identifier: Apache-2.0
// Copying a partition while it runs: rounds over all pages, then over those that were written since.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <vector>

#include "hypervisor/partition.h"
#include "migration/convergence.h"
#include "migration/migration.h"
#include "migration/move_record.h"
#include "migration/page_channels.h"
#include "migration/throttle.h"

namespace baton::migration {

/// Order in each round: take the marks, withhold writes (which waits for stores under way), copy. A store
/// that comes after the copy marks its page again.
class PreCopy {
 public:
  /// Begins to track writes; all pages are due. `check` is called now and then in a round and may throw.
  PreCopy(hypervisor::Partition& partition, PageChannels& channels, MoveRecord& record,
          const MoveOptions& options, std::function<void()> check);

  /// Whether the partition is to be suspended before the next round: that would be short, or rounds do not
  /// become shorter.
  bool enough() const;
  /// In the first round: what is left of it takes no longer than a partition takes to suspend itself.
  bool nearly_over() const;
  /// Sends what is due, unless put_back() was called for good.
  void round();
  /// From any thread: the partition is suspended. Pages that can follow it are not sent before.
  void cut() { cut_ = true; }
  /// What was written since is due. Not after the last round: its marks say what is left.
  void next();
  /// The pages that are due are marked again and stay so. `for_good`: what would be sent now would be written
  /// again before the partition is suspended, so that nothing is.
  void put_back(bool for_good);
  /// The partition is not slowed down any more. No round after it.
  void end() { throttle_.end(); }
  bool may_follow() const { return options_.post_copy != MoveOptions::PostCopy::kNever; }
  bool small() const;
  double rate() const { return rate_; }  ///< Bytes of pages a millisecond; 0: not known yet.

 private:
  void slow_down();
  void mark(u64 from);  ///< Of what is due, all that comes from there on.
  u64 due() const { return frames_.size() + table_frames_.size(); }

  hypervisor::Partition& partition_;
  PageChannels& channels_;
  MoveRecord& record_;
  const MoveOptions& options_;
  const std::function<void()> check_;
  std::vector<u64> frames_, table_frames_;
  std::atomic<bool> cut_{false};
  u32 round_ = 1;
  u64 touched_ = 0;  ///< Frames that the first round has to read.
  std::chrono::steady_clock::time_point first_start_{};
  u64 last_pages_ = 0;
  bool resting_ = false;
  double rate_ = 0;
  Convergence convergence_;
  Throttle throttle_;
  std::chrono::steady_clock::time_point alive_ = std::chrono::steady_clock::now();
};

/// Sends frames of the page table, which cannot follow the partition, and then of memory, and notes how it
/// goes; `check` may throw. Returns how many were sent: fewer than all if `cut` becomes true.
u64 send_pages(PageChannels& channels, const std::vector<u64>& table_frames, const std::vector<u64>& frames,
               MoveRecord& record, const std::function<void()>& check, const std::atomic<bool>& cut);

}  // namespace baton::migration
