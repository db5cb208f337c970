// SPDX-License-Identifier: Apache-2.0
// Life-cycle, operator panel and mobility state of a Partition; only partition.cpp and mobility.cpp see it.
#pragma once

#include <atomic>
#include <deque>

#include "hypervisor/partition.h"

namespace baton::hypervisor {

struct Partition::Private {
  // Life. The warden does what a virtual processor asks for and cannot do itself, as it would have to wait
  // for its own end.
  enum class Request { kPowerOff, kReboot, kHalt };
  std::mutex life;  ///< One power operation at a time.
  std::atomic<PartitionState> state{PartitionState::kNotActivated};
  bool used = false;      ///< Memory has contents.
  bool attached = false;  ///< The I/O server knows the partition.
  std::atomic<bool> shutdown{false};
  std::mutex request_lock;
  std::condition_variable requested;
  std::deque<Request> requests;
  bool ending = false;
  std::thread warden;

  void power_up(Partition& partition);    ///< `life` held.
  void power_down(Partition& partition);  ///< `life` held.
  void wipe(Partition& partition);        ///< `life` held.
  void request(Request what);
  void end();
  void run(Partition& partition);

  // Operator panel.
  mutable std::mutex panel_lock;
  std::string lines[2];
  std::size_t row = 0, column = 0;
  std::deque<std::pair<u64, std::string>> codes;  ///< Newest first.
  void publish(const std::string& code);

  mutable std::mutex platform_lock;
  PlatformState platform;

  std::atomic<u64> stream{0};  ///< Mobility.
};

}  // namespace baton::hypervisor
