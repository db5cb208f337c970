// SPDX-License-Identifier: Apache-2.0
// What stands in the way of a move (LPM 1.3): a table of checks for each side. All of them are made and every
// failure is reported; none changes anything but the guest's own, which is told afterwards that no move came.
#pragma once

#include <span>
#include <string_view>

#include "migration/description.h"
#include "migration/messages.h"

namespace baton::migration {

class GuestAgent;

/// Which moves a check is made for.
enum Kinds : u8 { kActive = 1, kInactive = 2, kTransparent = 4, kLive = kActive | kTransparent, kAny = 7 };

/// What the checks of the source look at.
struct SourceSide {
  hypervisor::ManagedSystem& system;
  vios::Vios& vios;
  hypervisor::Partition& partition;
  GuestAgent& agent;
  u32 moves_under_way;   ///< Of running partitions, not counting this one.
  bool checked = false;  ///< The guest's applications were asked: send "undocheck" if no move follows.
};
/// What the checks of the destination look at.
struct TargetSide {
  hypervisor::ManagedSystem& system;
  vios::Vios& vios;
  const Description& description;
  u32 moves_under_way;
};

/// Where a check reports: once for each object that fails, with the arguments of its message.
class Report {
 public:
  explicit Report(std::vector<Finding>& findings) : findings_(findings) {}
  void begin(Message message) { message_ = message; }
  void operator()(const std::vector<std::string>& arguments) {
    findings_.push_back(make_finding(message_, arguments));
  }

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
