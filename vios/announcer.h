// SPDX-License-Identifier: Apache-2.0
// Repeats the announcements of a partition that has arrived (LPM 1.9).
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "cpu/bits.h"

namespace baton::vios {

/// A switch may hold on to the old port of an address for some seconds, so the frames are sent at once and
/// again, ever less often, for six seconds.
class Announcer {
 public:
  using Frames = std::vector<std::vector<u8>>;
  /// `send` must not block; it is called from a thread of the announcer's and from start().
  explicit Announcer(std::function<void(std::span<const u8>)> send);
  ~Announcer();
  /// Replaces what is announced under `key`, a partition number.
  void start(u32 key, Frames frames);
  void cancel(u32 key);

 private:
  using Clock = std::chrono::steady_clock;
  struct Job {
    Frames frames;
    std::size_t round = 0;
    Clock::time_point next;
  };
  void loop();

  std::function<void(std::span<const u8>)> send_;
  std::mutex lock_;
  std::condition_variable changed_;
  std::map<u32, Job> jobs_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace baton::vios
