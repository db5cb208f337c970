// SPDX-License-Identifier: Apache-2.0
// For people who look at the engines: what --engine-stats prints, and a map of compiled code for perf.
#pragma once

#include <fstream>
#include <mutex>
#include <string>

#include "app/symbols.h"
#include "cpu/engine/statistics.h"
#include "hypervisor/system.h"

namespace baton::app {

/// Lines for each virtual processor of a system whose partitions are at rest: where its host thread's time
/// went, what was decoded and compiled, why engines were left, what the look-asides missed.
std::string engine_report(hypervisor::ManagedSystem& system);

/// Writes /tmp/perf-PID.map, which perf reads: a name for each piece of compiled code, "[guest]
/// start_kernel+0x10".
class PerfMap final : public cpu::CodeListener {
 public:
  /// Throws std::runtime_error with a sentence if the file cannot be written.
  explicit PerfMap(Symbols symbols);
  void compiled(const void* code, u64 bytes, u64 ea) override;

 private:
  Symbols symbols_;
  std::mutex lock_;
  std::ofstream file_;
};

}  // namespace baton::app
