// SPDX-License-Identifier: Apache-2.0
#include "migration/messages.h"

namespace baton::migration {

const std::vector<MessageRow>& message_table() {
  static const std::vector<MessageRow> table = {
      {Message::kPeerUnreachable, "HSCLA318", "HMC?",
       "The destination system cannot be asked: {} Check that it runs, then try again."},
      {Message::kBeingMoved, "BATM001", "Baton",
       "The partition {} is being moved already; wait for the end of that move or stop it with migrlpar -o "
       "s."},
      {Message::kWrongState, "BATM002", "Baton",
       "The partition {} is in state {}; only one that is Running or Not Activated can move."},
      {Message::kNoAgent, "HSCLA246", "HMC",
       "There is no management connection with the partition {}; start baton-agent in it (rmc_state must be "
       "active)."},
      {Message::kAgentCannot, "HSCLA257", "HMC?",
       "The operating system of {} says that it cannot take part in a move; use a kernel with "
       "/sys/kernel/mobility/migration, or shut the partition down and move it inactive."},
      {Message::kVeto, "HSCLA257", "HMC?",
       "The partition {} is not ready to move. A check in it said (code {}): {}"},
      {Message::kClientNotMigratable, "BATM003", "Baton",
       "A virtual SCSI client of {} has not announced that it can migrate; wait until its operating system "
       "has "
       "started its disks, or update its driver."},
      {Message::kDiskUnreadable, "HSCLA27C", "HMC?",
       "The disk {} of {} cannot be identified: {} Repair the mapping, then try again."},
      {Message::kTooManyMoves, "BATM004", "Baton",
       "The system {} already moves {} partitions, which is its limit; wait for one of them to end."},
      {Message::kTooManyMovesThere, "BATM005", "Baton",
       "The destination {} already takes part in {} moves, which is its limit; wait for one of them to end."},
      {Message::kStreamVersion, "BATM006", "Baton",
       "The source writes migration stream version {}, the destination {} reads version {}; use the same "
       "release on "
       "both."},
      {Message::kBadDescription, "BATM007", "Baton",
       "The destination {} does not understand the description: {}"},
      {Message::kSameSystem, "BATM008", "Baton",
       "The source and the destination are the same system {}; name another destination."},
      {Message::kNameInUse, "BATM009", "Baton",
       "The destination {} has a partition named {} already; rename or remove that one."},
      {Message::kMemory, "BATM010", "Baton",
       "The partition needs {} MB of memory, the destination {} has {} MB free; free some there."},
      {Message::kMemoryBlock, "BATM011", "Baton",
       "The logical memory block is {} MB at the source and {} MB at the destination {}; make them equal."},
      {Message::kProcessors, "BATM012", "Baton",
       "The partition needs {} processors, the destination {} has {} free; free some there."},
      {Message::kCompatMode, "BATM013", "Baton",
       "The destination {} does not support the processor compatibility mode {}; choose another mode and "
       "activate the "
       "partition again."},
      {Message::kNoLun, "HSCLA24E", "HMC?",
       "The virtual SCSI client adapter in slot {} cannot be hosted by the destination {}: the LUN {} ({} at "
       "the "
       "source) is not visible there; map it to the Virtual I/O Server."},
      {Message::kLunInUse, "BATM014", "Baton",
       "The LUN {} is {} at the destination {}, where it is mapped to partition number {} already; unmap it "
       "there."},
      {Message::kVlan, "BATM015", "Baton",
       "The virtual Ethernet adapter in slot {} uses VLAN {}, which no Shared Ethernet Adapter of the "
       "destination {} "
       "bridges; add it to bridged_vlans there."},
      {Message::kMac, "BATM016", "Baton",
       "The MAC address {} of slot {} is in use at the destination {}; give the adapters different ones."},
      {Message::kClock, "BATM017", "Baton",
       "The clocks of source and destination {} differ by {} seconds; set them right, the partition's clock "
       "would "
       "jump."},
      {Message::kNotMoving, "BATM018", "Baton",
       "The partition {} is not being moved; there is nothing to stop."},
      {Message::kPastSuspend, "BATM019", "Baton",
       "The move of {} cannot be stopped any more: the partition is suspended or has left."},
      {Message::kStopped, "BATM020", "Baton", "The move was stopped by the administrator."},
      {Message::kInDoubt, "BATM021", "Baton",
       "It is not known whether {} was started at the destination {}: {} It stays suspended here; run "
       "migrlpar -o r "
       "when the destination can be reached again."},
      {Message::kNoMover, "BATM022", "Baton",
       "The Virtual I/O Server {} of the system {} is no mover service partition; set msp = true in its "
       "[vios] "
       "and start the system again, or shut the partition down and move it inactive."},
      {Message::kVirtualSlots, "BATM023", "Baton",
       "The partition needs {} virtual slots of the Virtual I/O Server {} at the destination {}, which has "
       "{} "
       "free; raise max_virtual_slots there."},
      {Message::kReservePolicy, "BATM024", "Baton",
       "The disk {} of the system {} has the reserve policy {}, so that only one system could use it; set "
       "reserve_policy = \"no_reserve\"."},
      {Message::kLogicalVolume, "BATM025", "Baton",
       "The disk {} of {} is a logical volume, which no other system can see; map a whole LUN instead."},
      {Message::kOptical, "BATM026", "Baton",
       "The optical medium {} is loaded in {} of {}; unload it with unloadopt."},
      {Message::kPhysicalAdapter, "BATM027", "Baton",
       "The partition {} owns the physical adapter in slot {}, which cannot move with it; take it out of "
       "io_slots, "
       "or shut the partition down and move it inactive."},
      {Message::kHugePages, "BATM028", "Baton",
       "The partition {} uses {} huge pages of 16 GB, which cannot move while it runs; take them out of its "
       "profile, or shut it down and move it inactive."},
      {Message::kIdInUse, "BATM029", "Baton",
       "The partition number {} is used at the destination {} by {}; ask for another dest_lpar_id or for "
       "none."},
      {Message::kPagesUndelivered, "BATM030", "Baton",
       "The partition {} runs at {}, which lacks pages that are here and cannot be reached: {} Make it "
       "reachable; migrlpar -o r gives the pages up, and with them the partition."},
      {Message::kPagesLost, "BATM031", "Baton",
       "The partition {} came from {} and lacks {} pages that are lost with it; activate it again."},
      {Message::kNoSuchServer, "BATM032", "Baton", "The system {} has no Virtual I/O Server {}; it has {}."},
      {Message::kMoverDown, "BATM033", "Baton",
       "The mover service partition {} of the system {} is not running; start it with chsysstate -o on, or "
       "shut the partition down and move it inactive."},
      {Message::kServerDown, "BATM034", "Baton",
       "The Virtual I/O Server {} of the system {}, which serves slot {} of {}, is not running; start it "
       "with "
       "chsysstate -o on."},
      {Message::kMapping, "BATM035", "Baton",
       "virtual_scsi_mappings cannot have slot {} served by {} at the destination {}: {}."},
      {Message::kNotRedundant, "BATM036", "Baton",
       "The slots {} and {} lead to one LUN by different Virtual I/O Servers; at the destination {} only {} "
       "can serve them. Give the LUN to another one there, or move with --redundantvios 2."},
      {Message::kMoverLost, "BATM037", "Baton",
       "The mover service partition {} of the system {} was shut down; start it with chsysstate -o on, or "
       "name another one, and try again."},
      {Message::kFailed, "HSCLA2CF", "HMC", "The move of {} failed and was rolled back, it goes on here: {}"},
  };
  return table;
}

Finding make_finding(Message message, const std::vector<std::string>& arguments) {
  for (const MessageRow& row : message_table()) {
    if (row.message != message) continue;
    Finding finding{std::string(row.code), {}};
    std::size_t next = 0;
    for (std::size_t i = 0; i < row.text.size(); ++i) {
      if (row.text.substr(i, 2) == "{}") {
        if (next < arguments.size()) finding.text += arguments[next];
        ++next;
        ++i;
      } else {
        finding.text += row.text[i];
      }
    }
    return finding;
  }
  return {"", "An unknown error."};
}

std::string lost_mover(const vios::Vios& mover, const hypervisor::ManagedSystem& system) {
  return shown(make_finding(Message::kMoverLost, {mover.config().name, system.identity().name}));
}

std::string shown(const Finding& finding) {
  return finding.code.empty() ? finding.text : finding.code + " " + finding.text;
}

}  // namespace baton::migration
