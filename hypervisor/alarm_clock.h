// SPDX-License-Identifier: Apache-2.0
// One host thread that wakes virtual processors when their decrementers expire.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace baton::hypervisor {

class AlarmClock {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// Somebody who can be woken. Destroyed only after withdraw().
  class Sleeper {
   public:
    virtual ~Sleeper() = default;
    /// Called on the clock's thread with the clock's lock held: short, and no call back into the clock.
    virtual void alarm() = 0;

   private:
    friend class AlarmClock;
    Time due_ = Time::max();
  };

  AlarmClock();
  ~AlarmClock();
  AlarmClock(const AlarmClock&) = delete;
  AlarmClock& operator=(const AlarmClock&) = delete;

  void enroll(Sleeper& sleeper);
  void withdraw(Sleeper& sleeper);
  /// One alarm at `due`; replaces the sleeper's earlier request.
  void arm(Sleeper& sleeper, Time due);

 private:
  void run();
  std::mutex lock_;
  std::condition_variable changed_;
  std::vector<Sleeper*> sleepers_;
  Time next_ = Time::max();  ///< When the thread will look again.
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace baton::hypervisor
