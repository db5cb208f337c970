// SPDX-License-Identifier: Apache-2.0
// The outside client of the partition's record echo: numbered records all the time, every answer checked.
#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <thread>

#include "app/demo/socket.h"

namespace baton::demo {

class RecordClient {
 public:
  struct Totals {
    u64 sent = 0, checked = 0, errors = 0;
    std::string first_error;  ///< One clause.
  };

  /// Connects and begins; tries again until the first record is answered or `until` comes, then throws
  /// std::runtime_error. From the first answer on, one connection carries everything.
  RecordClient(u16 port, Clock::time_point until);
  ~RecordClient();

  /// Begins a measurement of the longest time without an answer.
  void mark();
  double longest_gap_ms() const;
  Totals totals() const;
  /// Sends no more, takes the answers that are due until `until` (those missing are one error), and ends.
  Totals finish(Clock::time_point until);

 private:
  bool probe(Clock::time_point until);
  void run();
  void exchange_records();
  void error(const std::string& what);

  const u16 port_;
  Socket socket_;
  u64 next_ = 1, expected_ = 1;  ///< The thread's own, after the constructor.
  mutable std::mutex lock_;
  Totals totals_;
  Clock::time_point last_answer_;
  Clock::duration longest_{};
  Clock::time_point finish_at_ = Clock::time_point::max();
  std::atomic<bool> finishing_{false};
  std::thread thread_;
};

}  // namespace baton::demo
