// SPDX-License-Identifier: Apache-2.0
// What is known of one move, for everybody who asks.
#pragma once

#include <chrono>
#include <mutex>
#include <utility>
#include <vector>

#include "migration/migration.h"

namespace baton::migration {

namespace phase {
inline constexpr const char *kNone = "Not Migrating", *kStarting = "Migration Starting",
                            *kInProgress = "Migration In Progress", *kComplete = "Migration Complete",
                            *kFailed = "Migration Failed", *kInDoubt = "Migration Recovery Required";
}

inline double milliseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

class MoveRecord {
 public:
  Progress get() const {
    const std::lock_guard hold(lock_);
    Progress copy = progress_;
    if (!copy.finished) copy.total_ms = milliseconds_since(start_);
    return copy;
  }
  template <class Change>
  void change(Change&& change) {
    const std::lock_guard hold(lock_);
    change(progress_);
  }
  /// The stream is in a VASI state.
  void note(hypervisor::VasiState state) {
    const std::lock_guard hold(lock_);
    progress_.vasi_state = hypervisor::to_string(state);
    progress_.states.push_back(progress_.vasi_state);
    progress_.state_ms.push_back(milliseconds_since(start_));
  }
  /// Something that keeps the partition suspended is done; a few lower-case words that stay.
  void note_step(const char* what) {
    const std::lock_guard hold(lock_);
    steps_.emplace_back(what, milliseconds_since(start_));
  }
  /// A round of copying that ended now.
  void note_round(double took_ms, u64 pages, u64 bytes) {
    const std::lock_guard hold(lock_);
    if (progress_.rounds.size() == kRoundsKept) progress_.rounds.erase(progress_.rounds.begin() + 1);
    progress_.rounds.push_back({milliseconds_since(start_) - took_ms, took_ms, pages, bytes});
  }
  /// When each state was entered, each step done and each round made, in a line.
  std::string course() const;
  void finish(bool ok, const std::string& error) {
    const std::lock_guard hold(lock_);
    progress_.total_ms = milliseconds_since(start_);
    progress_.finished = true;
    progress_.ok = ok;
    progress_.error = error;
    progress_.migration_state = ok ? phase::kComplete : phase::kFailed;
    if (ok) progress_.bytes_remaining = progress_.dirty_pages = 0;
  }

 private:
  static constexpr std::size_t kRoundsKept = 100;  ///< The first and the latest.
  mutable std::mutex lock_;
  Progress progress_;
  std::vector<std::pair<const char*, double>> steps_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace baton::migration
