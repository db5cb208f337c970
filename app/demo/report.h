// SPDX-License-Identifier: Apache-2.0
// What the demonstration found: the table at its end and report.json.
#pragma once

#include <string>
#include <vector>

#include "cpu/bits.h"

namespace baton::demo {

/// Interrupts that one processor took after a move. All true: all is well.
struct ProcessorCheck {
  int cpu = 0;
  bool timer = false, console = false, disk = false, network = false;
  bool ok() const { return timer && console && disk && network; }
};

struct MoveReport {
  std::string from, to;
  double total_ms = 0, suspended_ms = 0, guest_gap_ms = 0, tcp_gap_ms = 0;
  u64 bytes = 0;
  u32 rounds = 0;
  std::vector<std::string> states;
  std::vector<ProcessorCheck> interrupts;
};

struct Report {
  double boot_seconds = 0;
  u64 boot_instructions = 0;
  std::vector<MoveReport> moves;
  u64 disk_acknowledged = 0, disk_verified = 0, disk_lost = 0;
  u64 tcp_records = 0, tcp_errors = 0;
  u64 clock_backward_steps = 0;
  u64 compute_steps = 0;
  bool compute_right = false, file_system_clean = false;
  std::vector<std::string> problems;  ///< Sentences. Empty: everything is right.
  bool ok() const { return problems.empty(); }
};

inline constexpr double kTargetSuspendedMs = 300;

std::string to_json(const Report& report);
/// Lines for a person.
std::string to_table(const Report& report);

/// "1,234,567"
std::string grouped(u64 number);
/// "12.3 MB"
std::string megabytes(double bytes);

}  // namespace baton::demo
