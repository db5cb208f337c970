// SPDX-License-Identifier: Apache-2.0
// The messages of validation and moving, as data.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "migration/migration.h"

namespace baton::migration {

enum class Message {
  kPeerUnreachable,
  kBeingMoved,
  kWrongState,
  kNoAgent,
  kAgentCannot,
  kVeto,
  kClientNotMigratable,
  kDiskUnreadable,
  kTooManyMoves,
  kTooManyMovesThere,
  kStreamVersion,
  kBadDescription,
  kSameSystem,
  kNameInUse,
  kMemory,
  kMemoryBlock,
  kProcessors,
  kCompatMode,
  kNoLun,
  kLunInUse,
  kVlan,
  kMac,
  kClock,
  kNotMoving,
  kPastSuspend,
  kStopped,
  kInDoubt,
  kNoMover,
  kVirtualSlots,
  kReservePolicy,
  kLogicalVolume,
  kOptical,
  kPhysicalAdapter,
  kHugePages,
  kIdInUse,
  kPagesUndelivered,
  kPagesLost,
  kNoSuchServer,
  kMoverDown,
  kServerDown,
  kMapping,
  kNotRedundant,
  kMoverLost,
  kFailed,
};

struct MessageRow {
  Message message;
  std::string_view code;  ///< As the console shows it.
  /// Where the number is from: "HMC" = seen with this meaning in public material (LPM 1.3), "HMC?" = from
  /// memory and not verified there, "Baton" = ours, no HMC number is known.
  std::string_view provenance;
  std::string_view text;  ///< Our own words; {} are the arguments in order.
};

/// Why a destination has removed a shell that its source did not want any more.
inline constexpr std::string_view kCalledOff = "The source called the move off.";

const std::vector<MessageRow>& message_table();
/// Code and text with its arguments filled in.
Finding make_finding(Message message, const std::vector<std::string>& arguments = {});
/// "BATM001 The partition..."
std::string shown(const Finding& finding);
/// The move's mover was shut down (kMoverLost).
std::string lost_mover(const vios::Vios& mover, const hypervisor::ManagedSystem& system);

}  // namespace baton::migration
