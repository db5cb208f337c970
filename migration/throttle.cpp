// SPDX-License-Identifier: Apache-2.0
#include "migration/throttle.h"

#include "hypervisor/virtual_processor.h"

namespace baton::migration {
namespace {

/// Long beside what it costs to take a processor away, short beside what a user notices.
constexpr std::chrono::milliseconds kTurn{20};

}  // namespace

void Throttle::end() {
  {
    const std::lock_guard hold(lock_);
    ending_ = true;
  }
  ended_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Throttle::take(unsigned percent) {
  percent_ = percent;
  if (percent && !thread_.joinable()) thread_ = std::thread([this] { turn(); });
}

void Throttle::turn() {
  std::unique_lock hold(lock_);
  for (auto start = std::chrono::steady_clock::now(); !ending_; start += kTurn) {
    for (const auto& processor : partition_.processors())
      processor->preempt_until(start + kTurn * percent_.load() / 100);
    ended_.wait_until(hold, start + kTurn, [this] { return ending_; });
  }
}

}  // namespace baton::migration
