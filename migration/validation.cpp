// SPDX-License-Identifier: Apache-2.0
#include "migration/validation.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <functional>
#include <map>
#include <thread>

#include "hypervisor/compatibility.h"
#include "migration/rmc_agent.h"
#include "migration/stream.h"

namespace baton::migration {
namespace {

using hypervisor::PartitionState;
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

// Movers of the source and of the destination are checked alike.

void mover_exists(const vios::VirtualIo& io, const vios::ServerName& wanted, const std::string& system,
                  Report& report) {
  if (wanted.given() && !io.find(wanted)) report({system, wanted.text(), io.names()});
}

void mover_is_one(const vios::VirtualIo& io, const vios::ServerName& wanted, const std::string& system,
                  Report& report) {
  if (wanted.given()) {
    const vios::Vios* server = io.find(wanted);
    if (server && !server->config().msp) report({server->config().name, system});
    return;
  }
  if (std::ranges::none_of(io.servers(), [](const auto& server) { return server->config().msp; }))
    report({io.names(), system});
}

void mover_runs(const vios::VirtualIo& io, const vios::ServerName& wanted, const std::string& system,
                Report& report) {
  if (io.mover(wanted)) return;
  std::string down;
  for (const auto& server : io.servers()) {
    const bool asked = !wanted.given() || wanted.means(server->config());
    if (asked && server->config().msp) down += (down.empty() ? "" : ", ") + server->config().name;
  }
  if (!down.empty()) report({down, system});
}

void source_mover_exists(SourceSide& s, Report& report) {
  mover_exists(s.vios, s.wanted_mover, s.system.identity().name, report);
}
void source_mover(SourceSide& s, Report& report) {
  mover_is_one(s.vios, s.wanted_mover, s.system.identity().name, report);
}
void source_mover_runs(SourceSide& s, Report& report) {
  mover_runs(s.vios, s.wanted_mover, s.system.identity().name, report);
}

void source_servers(SourceSide& s, Report& report) {
  for (const auto& slot : s.partition.profile().scsi) {
    const vios::Vios* server = s.vios.find(slot.server_id);
    if (server && !server->running())
      report(
          {server->config().name, s.system.identity().name, std::to_string(slot.slot), s.partition.name()});
  }
}

void mapped_slots(SourceSide& s, Report& report) {
  for (const ScsiMapping& mapping : s.mappings) {
    if (!s.vios.server_of(s.partition.profile(), mapping.slot))
      report({std::to_string(mapping.slot), mapping.server.text(), "that is asked for",
              s.partition.name() + " has no virtual SCSI client adapter in that slot"});
  }
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
      const auto* server = s.vios.server_of(s.partition.profile(), disk.slot);
      if (server && !disk.optical) (void)server->unique_id(disk.backing);
    } catch (const std::runtime_error& problem) {
      report({disk.backing, s.partition.name(), problem.what()});
    }
  }
}

void source_reserve_policy(SourceSide& s, Report& report) {
  for (const auto& mapping : s.partition.profile().disks) {
    const auto* server = s.vios.server_of(s.partition.profile(), mapping.slot);
    const auto* disk = server ? server->disk(mapping.backing) : nullptr;
    if (disk && disk->reserve_policy != "no_reserve")
      report({disk->name, s.system.identity().name, disk->reserve_policy});
  }
}

void logical_volumes(SourceSide& s, Report& report) {
  for (const auto& mapping : s.partition.profile().disks) {
    const auto* server = s.vios.server_of(s.partition.profile(), mapping.slot);
    if (server && server->logical_volume(mapping.backing)) report({mapping.backing, s.partition.name()});
  }
}

void optical_media(SourceSide& s, Report& report) {
  for (const vios::Mapping& drive : s.vios.loaded_drives(s.partition))
    report({drive.backing, drive.vtd, s.partition.name()});
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
    {"mover that is named, source", kAny, Message::kNoSuchServer, source_mover_exists},
    {"mover service partition, source", kLive, Message::kNoMover, source_mover},
    {"mover runs, source", kLive, Message::kMoverDown, source_mover_runs},
    {"Virtual I/O Servers of the partition run", kLive, Message::kServerDown, source_servers},
    {"slots of virtual_scsi_mappings", kAny, Message::kMapping, mapped_slots},
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
  mover_is_one(t.vios, t.description.wanted_mover, here(t), report);
}
void target_mover_exists(TargetSide& t, Report& report) {
  mover_exists(t.vios, t.description.wanted_mover, here(t), report);
}
void target_mover_runs(TargetSide& t, Report& report) {
  mover_runs(t.vios, t.description.wanted_mover, here(t), report);
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
  const vios::Vios* server = t.vios.find(name);
  if ((other && other->name() == name) || (server && server->config().name == name)) report({here(t), name});
}

void partition_number(TargetSide& t, Report& report) {
  const u32 wanted = t.description.wanted_id;
  for (const auto& other : t.system.partitions()) {
    if (other->id() == wanted) report({std::to_string(wanted), here(t), other->name()});
  }
  if (const std::string server = wanted ? t.vios.server_name(wanted) : ""; !server.empty())
    report({std::to_string(wanted), here(t), server});
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
  for (const auto& server : t.vios.servers()) {
    const auto needed = static_cast<u32>(std::ranges::count(t.choices, server.get(), &ServerChoice::chosen));
    const u32 free = server->free_virtual_slots();
    if (needed > free) report({std::to_string(needed), server->config().name, here(t), std::to_string(free)});
  }
}

void wanted_servers(TargetSide& t, Report& report) {
  for (const ServerChoice& choice : t.choices) {
    if (!choice.wanted || choice.chosen) continue;
    const vios::Vios* server = t.vios.find(choice.wanted->server);
    report({std::to_string(choice.slot), choice.wanted->server.text(), here(t),
            !server              ? "there is no such Virtual I/O Server; there are " + t.vios.names()
            : !server->running() ? "it is not running"
                                 : "it does not see all LUNs of the slot"});
  }
}

void luns(TargetSide& t, Report& report) {
  for (const ServerChoice& choice : t.choices) {
    if (choice.chosen || choice.wanted) continue;
    // What no server has or, if each LUN is somewhere, what the first one lacks.
    bool reported = false;
    const auto report_unless = [&](auto&& visible) {
      for (const auto& lun : choice.luns) {
        if (visible(lun.unique_id)) continue;
        reported = true;
        report({std::to_string(choice.slot), here(t), lun.unique_id,
                t.description.profile.disks[lun.disk].backing});
      }
    };
    report_unless([&](const std::string& id) {
      return std::ranges::any_of(t.vios.servers(), [&](const auto& server) {
        return server->running() && !server->backing_by_unique_id(id).empty();
      });
    });
    if (!reported)
      report_unless(
          [&](const std::string& id) { return !t.vios.servers().front()->backing_by_unique_id(id).empty(); });
  }
}

void redundancy(TargetSide& t, Report& report) {
  if (t.description.ignore_redundancy) return;
  for (std::size_t i = 0; i < t.choices.size(); ++i) {
    for (std::size_t k = 0; k < i; ++k) {
      const ServerChoice &one = t.choices[k], &other = t.choices[i];
      if (one.chosen && one.chosen == other.chosen && redundant(one, other))
        report({std::to_string(one.slot), std::to_string(other.slot), here(t), one.chosen->config().name});
    }
  }
}

/// Calls `look` with the LUNs that the partition needs, where they were found.
void each_lun(TargetSide& t, const std::function<void(const std::string& id, const vios::Vios& server,
                                                      const std::string& hdisk)>& look) {
  for (const ServerChoice& choice : t.choices) {
    if (!choice.chosen) continue;
    for (const auto& lun : choice.luns)
      look(lun.unique_id, *choice.chosen, choice.chosen->backing_by_unique_id(lun.unique_id));
  }
}

void luns_free(TargetSide& t, Report& report) {
  // By unique id: another partition may have the LUN by another server.
  std::map<std::string, u32> mapped;
  for (const auto& other : t.system.partitions()) {
    for (const auto& disk : other->profile().disks) {
      const vios::Vios* server = t.vios.server_of(other->profile(), disk.slot);
      if (!server || !server->usable(disk.backing)) continue;
      mapped.emplace(server->unique_id(disk.backing), other->id());
    }
  }
  each_lun(t, [&](const std::string& id, const vios::Vios&, const std::string& hdisk) {
    if (const auto found = mapped.find(id); found != mapped.end())
      report({id, hdisk, here(t), std::to_string(found->second)});
  });
}

void target_reserve_policy(TargetSide& t, Report& report) {
  each_lun(t, [&](const std::string&, const vios::Vios& server, const std::string& hdisk) {
    const auto* disk = server.disk(hdisk);
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
    {"mover that is named, destination", kAny, Message::kNoSuchServer, target_mover_exists},
    {"mover service partition, destination", kLive, Message::kNoMover, target_mover},
    {"mover runs, destination", kLive, Message::kMoverDown, target_mover_runs},
    {"clocks", kLive, Message::kClock, clocks},
    {"name of the partition is free", kAny, Message::kNameInUse, partition_name},
    {"wanted number is free", kAny, Message::kIdInUse, partition_number},
    {"size of the logical memory block", kAny, Message::kMemoryBlock, memory_block},
    {"memory", kAny, Message::kMemory, memory},
    {"processors", kAny, Message::kProcessors, processors},
    {"processor compatibility mode", kAny, Message::kCompatMode, compatibility_mode},
    {"virtual slots of the Virtual I/O Server", kAny, Message::kVirtualSlots, virtual_slots},
    {"servers of virtual_scsi_mappings", kAny, Message::kMapping, wanted_servers},
    {"LUNs are visible", kAny, Message::kNoLun, luns},
    {"paths stay redundant", kAny, Message::kNotRedundant, redundancy},
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
