// SPDX-License-Identifier: Apache-2.0
// What stands in the way of a move (LPM 1.3): a table of checks for each side. All of them are made and every
// failure is reported; none changes anything but the guest's own, which is told afterwards that no move came.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string_view>

#include "migration/description.h"
#include "migration/messages.h"
#include "migration/rmc_agent.h"
#include "migration/server_choice.h"

namespace baton::migration {

class GuestAgent;

/// Which moves a check is made for.
enum Kinds : u8 { kActive = 1, kInactive = 2, kTransparent = 4, kLive = kActive | kTransparent, kAny = 7 };

/// What the checks of the source look at.
/// The guest's own check, asked for when this is made: its hooks and its kernel take their time, and may
/// refuse (guest/PROTOCOL.md 2).
class Readiness {
 public:
  /// Throws std::runtime_error without an agent.
  explicit Readiness(GuestAgent& agent);
  /// Whether the answer is there. A guest that is busy with the hooks of an earlier move is asked again.
  bool answered();
  /// Waits for it, for a minute and a half at most; nothing if the guest agrees.
  std::optional<Finding> refusal();
  /// No move follows: the applications, which were told that one may come, hear so, unless it was them who
  /// refused. Waits as refusal() does.
  void undo();

 private:
  GuestAgent* agent_;
  std::chrono::steady_clock::time_point asked_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point ask_again_{};
  std::optional<u32> sequence_;
  std::optional<AgentReply> reply_;
};

struct SourceSide {
  hypervisor::ManagedSystem& system;
  vios::VirtualIo& vios;
  hypervisor::Partition& partition;
  GuestAgent& agent;
  u32 moves_under_way;  ///< Of running partitions, not counting this one.
  bool wait_for_guest = true;
  vios::ServerName wanted_mover = {};
  std::vector<ScsiMapping> mappings = {};   ///< virtual_scsi_mappings.
  std::optional<Readiness> readiness = {};  ///< The guest was asked.
};
/// What the checks of the destination look at.
struct TargetSide {
  hypervisor::ManagedSystem& system;
  vios::VirtualIo& vios;
  const Description& description;
  u32 moves_under_way;
  std::vector<ServerChoice> choices = choose_servers(vios, description);
};

/// Where a check reports: once for each object that fails, with the arguments of its message.
class Report {
 public:
  explicit Report(std::vector<Finding>& findings) : findings_(findings) {}
  void begin(Message message) { message_ = message; }
  void operator()(const std::vector<std::string>& arguments) {
    findings_.push_back(make_finding(message_, arguments));
  }
  void add(Finding finding) { findings_.push_back(std::move(finding)); }

 private:
  std::vector<Finding>& findings_;
  Message message_{};
};

template <class Side>
struct Check {
  std::string_view name;  ///< What is checked, as docs/migration.md lists it.
  u8 kinds;
  Message message;  ///< Its one way to fail.
  void (*run)(Side& side, Report& report);
};
/// In the order in which they are made. The guest's readiness is last: it makes applications prepare.
std::span<const Check<SourceSide>> source_checks();
std::span<const Check<TargetSide>> target_checks();

template <class Side>
void run_checks(std::span<const Check<Side>> checks, Kinds kind, Side& side, std::vector<Finding>& findings) {
  Report report(findings);
  for (const Check<Side>& check : checks) {
    if (!(check.kinds & kind)) continue;
    report.begin(check.message);
    check.run(side, report);
  }
}

/// Moves of running partitions that a system takes part in at a time, as source and destination together: the
/// limit of POWER6 systems on gigabit links (LPM 2.4).
inline constexpr u32 kMoveLimit = 4;

}  // namespace baton::migration
