// SPDX-License-Identifier: Apache-2.0
#include "migration/validation.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <functional>
#include <thread>

#include "hypervisor/compatibility.h"
#include "migration/rmc_agent.h"
#include "migration/stream.h"

namespace baton::migration {
namespace {

using hypervisor::PartitionState;
using hypervisor::Profile;
using namespace std::chrono_literals;

constexpr auto kCheckTimeout = 90s;  ///< A hook may take a minute (guest/PROTOCOL.md 2).
constexpr auto kBusyTimeout = 15s;
constexpr auto kBusyPause = 100ms;
constexpr std::string_view kAgentBusy = "a move is under way";  // guest/PROTOCOL.md, section 2
constexpr i64 kClockTolerance = 10;                             ///< Seconds.

std::string megabytes(u64 bytes) { return std::to_string(bytes >> 20); }

std::string mac_text(const std::array<u8, 6>& mac) {
  char text[20];
  std::snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
                mac[5]);
  return text;
}

// -- the source's

void state(SourceSide& s, Report& report) {
  const PartitionState now = s.partition.state();
  if (now != PartitionState::kRunning && now != PartitionState::kNotActivated)
    report({s.partition.name(), hypervisor::to_string(now)});
}

void concurrency(SourceSide& s, Report& report) {
  if (s.moves_under_way >= kMoveLimit) report({s.system.identity().name, std::to_string(kMoveLimit)});
}

void source_mover(SourceSide& s, Report& report) {
  if (!s.vios.config().msp) report({s.vios.config().name, s.system.identity().name});
}

void physical_adapters(SourceSide& s, Report& report) {
  for (const std::string& slot : s.partition.profile().io_slots) report({s.partition.name(), slot});
}

void huge_pages(SourceSide& s, Report& report) {
  if (const u32 pages = s.partition.profile().huge_pages) report({s.partition.name(), std::to_string(pages)});
}

void disk_identity(SourceSide& s, Report& report) {
  for (const auto& disk : s.partition.profile().disks) {
    try {
      s.vios.unique_id(disk.backing);
    } catch (const std::runtime_error& problem) {
      report({disk.backing, s.partition.name(), problem.what()});
    }
  }
}

void each_disk(SourceSide& s, const std::function<void(const vios::ViosConfig::Disk&)>& look) {
  for (const auto& mapping : s.partition.profile().disks) {
    if (const auto* disk = s.vios.disk(mapping.backing)) look(*disk);
  }
}

void source_reserve_policy(SourceSide& s, Report& report) {
  each_disk(s, [&](const vios::ViosConfig::Disk& disk) {
    if (disk.reserve_policy != "no_reserve")
      report({disk.name, s.system.identity().name, disk.reserve_policy});
  });
}

void logical_volumes(SourceSide& s, Report& report) {
  each_disk(s, [&](const vios::ViosConfig::Disk& disk) {
    if (disk.kind == "logical_volume") report({disk.name, s.partition.name()});
  });
}

void optical_media(SourceSide& s, Report& report) {
  each_disk(s, [&](const vios::ViosConfig::Disk& disk) {
    if (disk.kind == "optical") report({disk.name, s.partition.name()});
  });
}

void clients(SourceSide& s, Report& report) {
  if (!s.vios.clients_migratable(s.partition)) report({s.partition.name()});
}

void agent(SourceSide& s, Report& report) {
  if (!s.agent.active()) report({s.partition.name()});
}

void agent_capability(SourceSide& s, Report& report) {
  if (s.agent.active() && !s.agent.can_migrate()) report({s.partition.name()});
}

void readiness(SourceSide& s, Report& report) {
  if (!s.agent.active() || !s.agent.can_migrate()) return;
  s.readiness.emplace(s.agent);
  if (!s.wait_for_guest) return;
  if (const auto refusal = s.readiness->refusal()) report.add(*refusal);
}

constexpr Check<SourceSide> kSourceChecks[] = {
    {"state of the partition", kActive | kInactive, Message::kWrongState, state},
    {"concurrent moves, source", kLive, Message::kTooManyMoves, concurrency},
    {"mover service partition, source", kLive, Message::kNoMover, source_mover},
    {"physical adapters", kLive, Message::kPhysicalAdapter, physical_adapters},
    {"huge pages", kLive, Message::kHugePages, huge_pages},
    {"disks can be identified", kAny, Message::kDiskUnreadable, disk_identity},
    {"reserve policy, source", kAny, Message::kReservePolicy, source_reserve_policy},
    {"whole LUNs, no logical volumes", kAny, Message::kLogicalVolume, logical_volumes},
    {"no optical media", kAny, Message::kOptical, optical_media},
    {"virtual SCSI clients can migrate", kActive, Message::kClientNotMigratable, clients},
    {"management connection", kActive, Message::kNoAgent, agent},
    {"operating system can migrate", kActive, Message::kAgentCannot, agent_capability},
    {"partition is ready, hooks agree", kActive, Message::kVeto, readiness},
};

// -- the destination's

const std::string& here(const TargetSide& t) { return t.system.identity().name; }

void stream_version(TargetSide& t, Report& report) {
  const u32 version = t.description.stream_version;
  if (version < kOldestStreamVersion || version > kStreamVersion)
    report({std::to_string(version), here(t), std::to_string(kStreamVersion)});
}

void target_concurrency(TargetSide& t, Report& report) {
  if (t.moves_under_way >= kMoveLimit) report({here(t), std::to_string(kMoveLimit)});
}

void target_mover(TargetSide& t, Report& report) {
  if (!t.vios.config().msp) report({t.vios.config().name, here(t)});
}

void clocks(TargetSide& t, Report& report) {
  const i64 apart = (time_of_day_ns() - t.description.time_of_day_ns) / 1'000'000'000;
  if (apart > kClockTolerance || apart < -kClockTolerance)
    report({here(t), std::to_string(apart < 0 ? -apart : apart)});
}

void partition_name(TargetSide& t, Report& report) {
  const std::string& name = t.description.profile.name;
  const auto other = t.system.find(name);
  // find() takes numbers too.
  if ((other && other->name() == name) || name == t.vios.config().name) report({here(t), name});
}

void partition_number(TargetSide& t, Report& report) {
  const u32 wanted = t.description.wanted_id;
  for (const auto& other : t.system.partitions()) {
    if (other->id() == wanted) report({std::to_string(wanted), here(t), other->name()});
  }
}

void memory_block(TargetSide& t, Report& report) {
  const u64 ours = t.system.identity().memory_block;
  if (t.description.lmb_bytes != ours) report({megabytes(t.description.lmb_bytes), megabytes(ours), here(t)});
}

// A partition's resources are its own from its definition on, as in ManagedSystem::create.
void memory(TargetSide& t, Report& report) {
  const u64 needed = t.description.profile.memory, free = t.system.free_memory();
  if (needed > free) report({megabytes(needed), here(t), megabytes(free)});
}

void processors(TargetSide& t, Report& report) {
  const u32 needed = t.description.profile.processors, free = t.system.free_processors();
  if (needed > free) report({std::to_string(needed), here(t), std::to_string(free)});
}

void compatibility_mode(TargetSide& t, Report& report) {
  const std::string& wish = t.description.profile.proc_compat_mode;
  const std::string& current = t.description.current_mode;
  if (!hypervisor::is_mode_wish(wish))
    report({here(t), wish});
  else if (!current.empty() && !hypervisor::is_mode_wish(current))
    report({here(t), current});
}

void virtual_slots(TargetSide& t, Report& report) {
  const u32 needed = static_cast<u32>(t.description.profile.scsi.size()), free = t.vios.free_virtual_slots();
  if (needed > free) report({std::to_string(needed), t.vios.config().name, here(t), std::to_string(free)});
}

/// Calls `look` with each LUN that the partition needs and its name here; empty: it is not visible.
void each_lun(TargetSide& t, const std::function<void(const hypervisor::DiskMapping&, const std::string& id,
                                                      const std::string& hdisk)>& look) {
  const Profile& p = t.description.profile;
  for (std::size_t i = 0; i < p.disks.size(); ++i) {
    const std::string& id = t.description.disk_ids[i];
    if (!id.empty()) look(p.disks[i], id, t.vios.hdisk_by_unique_id(id));  // Else the source says so.
  }
}

void luns(TargetSide& t, Report& report) {
  each_lun(t, [&](const auto& disk, const std::string& id, const std::string& hdisk) {
    if (hdisk.empty()) report({std::to_string(disk.slot), here(t), id, disk.backing});
  });
}

void luns_free(TargetSide& t, Report& report) {
  each_lun(t, [&](const auto&, const std::string& id, const std::string& hdisk) {
    if (hdisk.empty()) return;
    for (const auto& other : t.system.partitions()) {
      for (const auto& mapped : other->profile().disks) {
        if (mapped.backing == hdisk) report({id, hdisk, here(t), std::to_string(other->id())});
      }
    }
  });
}

void target_reserve_policy(TargetSide& t, Report& report) {
  each_lun(t, [&](const auto&, const std::string&, const std::string& hdisk) {
    const auto* disk = t.vios.disk(hdisk);
    if (disk && disk->reserve_policy != "no_reserve") report({disk->name, here(t), disk->reserve_policy});
  });
}

void vlans(TargetSide& t, Report& report) {
  const Description& d = t.description;
  if (d.ignore_vlans) return;
  for (const auto& slot : d.profile.ethernet) {
    std::vector<u16> needed = slot.vlans;
    needed.push_back(slot.pvid);
    for (const u16 vlan : needed) {
      // A VLAN that leads nowhere at the source need not lead anywhere here.
      const bool used = std::ranges::find(d.bridged_vlans, vlan) != d.bridged_vlans.end();
      if (used && !t.vios.bridges_vlan(vlan))
        report({std::to_string(slot.slot), std::to_string(vlan), here(t)});
    }
  }
}

void macs(TargetSide& t, Report& report) {
  for (const auto& slot : t.description.profile.ethernet) {
    if (slot.mac != std::array<u8, 6>{} && t.vios.mac_in_use(slot.mac))
      report({mac_text(slot.mac), std::to_string(slot.slot), here(t)});
  }
}

constexpr Check<TargetSide> kTargetChecks[] = {
    {"version of the stream", kAny, Message::kStreamVersion, stream_version},
    {"concurrent moves, destination", kLive, Message::kTooManyMovesThere, target_concurrency},
    {"mover service partition, destination", kLive, Message::kNoMover, target_mover},
    {"clocks", kLive, Message::kClock, clocks},
    {"name of the partition is free", kAny, Message::kNameInUse, partition_name},
    {"wanted number is free", kAny, Message::kIdInUse, partition_number},
    {"size of the logical memory block", kAny, Message::kMemoryBlock, memory_block},
    {"memory", kAny, Message::kMemory, memory},
    {"processors", kAny, Message::kProcessors, processors},
    {"processor compatibility mode", kAny, Message::kCompatMode, compatibility_mode},
    {"virtual slots of the Virtual I/O Server", kAny, Message::kVirtualSlots, virtual_slots},
    {"LUNs are visible", kAny, Message::kNoLun, luns},
    {"LUNs are not mapped already", kAny, Message::kLunInUse, luns_free},
    {"reserve policy, destination", kAny, Message::kReservePolicy, target_reserve_policy},
    {"VLANs are bridged", kAny, Message::kVlan, vlans},
    {"MAC addresses are free", kAny, Message::kMac, macs},
};

}  // namespace

Readiness::Readiness(GuestAgent& agent) : agent_(&agent), sequence_(agent.send("check")) {}

bool Readiness::answered() {
  const auto now = std::chrono::steady_clock::now();
  if (reply_) return true;
  if (!sequence_) {
    if (now < ask_again_) return false;
    sequence_ = agent_->send("check");
  }
  AgentReply reply = agent_->peek(*sequence_);
  if (!reply.rc && now < asked_ + kCheckTimeout) return false;
  if (reply.rc == EBUSY && reply.text == kAgentBusy && now < asked_ + kBusyTimeout) {
    sequence_.reset();
    ask_again_ = now + kBusyPause;
    return false;
  }
  reply_ = std::move(reply);
  return true;
}

std::optional<Finding> Readiness::refusal() {
  while (!answered()) {
    if (sequence_)
      agent_->wait_result(*sequence_, kCheckTimeout);
    else
      std::this_thread::sleep_until(ask_again_);
  }
  if (reply_->rc == 0) return {};
  return make_finding(Message::kVeto,
                      {agent_->partition().name(), reply_->rc ? std::to_string(*reply_->rc) : "none",
                       reply_->rc ? reply_->text : "it did not answer in time."});
}

void Readiness::undo() {
  if (agent_->active() && !refusal()) agent_->send("undocheck");
}

std::span<const Check<SourceSide>> source_checks() { return kSourceChecks; }
std::span<const Check<TargetSide>> target_checks() { return kTargetChecks; }

}  // namespace baton::migration
