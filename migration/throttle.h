// SPDX-License-Identifier: Apache-2.0
// Slowing a partition down that writes faster than its pages can be sent.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "hypervisor/partition.h"

namespace baton::migration {

/// Takes its processors away for a share of the time, in short turns. The partition has all of it again when
/// this ends. Nobody stops or starts its processors meanwhile but itself.
class Throttle {
 public:
  explicit Throttle(hypervisor::Partition& partition) : partition_(partition) {}
  ~Throttle() { end(); }
  /// Of the time, 0 to 99 percent.
  void take(unsigned percent);
  unsigned percent() const { return percent_; }
  void end();

 private:
  void turn();
  hypervisor::Partition& partition_;
  std::atomic<unsigned> percent_{0};
  std::mutex lock_;
  std::condition_variable ended_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace baton::migration
