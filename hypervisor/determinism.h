// SPDX-License-Identifier: Apache-2.0
// Deterministic mode (DESIGN 4) as it is asked for.
#pragma once

#include <functional>
#include <string>

#include "cpu/state.h"

namespace baton::hypervisor {

class Partition;

/// Deterministic mode of a managed system's partitions, each of which must have one processor: time is the
/// number of instructions, disks answer within the call that asks them, and the rest of the world enters
/// through OutsideEvents.
struct Determinism {
  bool on = false;
  u32 seed = 1;        ///< What partitions are given as randomness follows from it.
  std::string record;  ///< File that outside events are written to; empty: none.
  std::string replay;  ///< File that they are read from instead of from outside; empty: none.
  u64 stop_at = 0;     ///< Instructions after which a partition is stopped for good; 0: never.
  /// Called on the processor's thread when it has stopped there.
  std::function<void(Partition&)> stopped;
  u64 digest_every =
      0;  ///< Instructions between two calls of `digested`, on the processor's thread; 0: none.
  std::function<void(Partition&)> digested;
  /// Called before each of `trace_count` instructions from number trace_from on (counted from 0), and behind
  /// the last.
  std::function<void(const cpu::State&)> traced;
  u64 trace_from = 0, trace_count = 0;
};

}  // namespace baton::hypervisor
