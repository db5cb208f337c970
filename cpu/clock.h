// SPDX-License-Identifier: Apache-2.0
// The one source of time (DESIGN 4).
#pragma once

#include "cpu/bits.h"

namespace baton::cpu {

inline constexpr u64 kTimeBaseHz = 512'000'000;

/// Time base of a partition. Never goes back, also across a migration. Any thread may ask.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual u64 time_base() const = 0;
  /// True if time is the number of instructions that the partition's only thread has completed (one a tick)
  /// and what was skipped while it waited: then every engine takes the decrementer at the same instruction.
  virtual bool counts_instructions() const { return false; }
};

/// Wakes a hardware thread when its decrementer expires or its performance monitor is to be looked at.
class Alarm {
 public:
  virtual ~Alarm() = default;
  /// Calls Thread::alarm_expired() once Clock::time_base() >= `deadline`; replaces the earlier request.
  virtual void arm(u64 deadline) = 0;
};

}  // namespace baton::cpu
