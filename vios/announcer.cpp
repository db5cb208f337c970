// SPDX-License-Identifier: Apache-2.0
#include "vios/announcer.h"

#include <algorithm>
#include <array>

namespace baton::vios {
namespace {

constexpr std::array<int, 8> kPausesMs = {50, 200, 750, 1000, 1000, 1000, 1000, 1000};

}  // namespace

Announcer::Announcer(std::function<void(std::span<const u8>)> send)
    : send_(std::move(send)), thread_([this] { loop(); }) {}

Announcer::~Announcer() {
  {
    std::lock_guard guard(lock_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Announcer::start(u32 key, Frames frames) {
  for (const auto& frame : frames) send_(frame);
  std::lock_guard guard(lock_);
  jobs_[key] = {std::move(frames), 0, Clock::now() + std::chrono::milliseconds(kPausesMs[0])};
  changed_.notify_all();
}

void Announcer::cancel(u32 key) {
  std::lock_guard guard(lock_);
  jobs_.erase(key);
}

void Announcer::loop() {
  std::unique_lock guard(lock_);
  while (!stop_) {
    if (jobs_.empty()) {
      changed_.wait(guard);
      continue;
    }
    const auto soonest =
        std::ranges::min_element(jobs_, {}, [](const auto& job) { return job.second.next; })->second.next;
    changed_.wait_until(guard, soonest);
    const auto now = Clock::now();
    for (auto it = jobs_.begin(); it != jobs_.end() && !stop_;) {
      Job& job = it->second;
      if (job.next > now) {
        ++it;
        continue;
      }
      for (const auto& frame : job.frames) send_(frame);
      if (++job.round == kPausesMs.size()) {
        it = jobs_.erase(it);
      } else {
        job.next = now + std::chrono::milliseconds(kPausesMs[job.round]);
        ++it;
      }
    }
  }
}

}  // namespace baton::vios
