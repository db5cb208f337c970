// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/alarm_clock.h"

#include <pthread.h>
#include <sys/prctl.h>

#include <algorithm>

namespace baton::hypervisor {

AlarmClock::AlarmClock() : thread_([this] { run(); }) {}

AlarmClock::~AlarmClock() {
  {
    std::lock_guard lock(lock_);
    ending_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void AlarmClock::enroll(Sleeper& sleeper) {
  std::lock_guard lock(lock_);
  sleepers_.push_back(&sleeper);
}

void AlarmClock::withdraw(Sleeper& sleeper) {
  std::lock_guard lock(lock_);
  std::erase(sleepers_, &sleeper);
}

void AlarmClock::arm(Sleeper& sleeper, Time due) {
  std::lock_guard lock(lock_);
  sleeper.due_ = due;
  // Guests reprogram the decrementer thousands of times a second, mostly to later: the thread is only woken
  // for what comes before its next look.
  if (due < next_) {
    next_ = due;
    changed_.notify_one();
  }
}

void AlarmClock::run() {
  pthread_setname_np(pthread_self(), "alarm");
  prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL);  // The default of 50 us would delay every guest timer.
  std::unique_lock lock(lock_);
  while (!ending_) {
    const Time now = std::chrono::steady_clock::now();
    next_ = Time::max();
    for (Sleeper* sleeper : sleepers_) {
      if (sleeper->due_ <= now) {
        sleeper->due_ = Time::max();
        sleeper->alarm();
      }
      next_ = std::min(next_, sleeper->due_);
    }
    if (next_ == Time::max())
      changed_.wait(lock);
    else
      changed_.wait_until(lock, next_);
  }
}

}  // namespace baton::hypervisor
