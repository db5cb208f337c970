// SPDX-License-Identifier: Apache-2.0
#include "app/attributes.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <type_traits>

#include "hmc/records.h"
#include "hypervisor/compatibility.h"
#include "migration/rmc_agent.h"

namespace baton::app {
namespace {

using hypervisor::Partition;
using hypervisor::PartitionState;
using hypervisor::Profile;

std::string megabytes(u64 bytes) { return std::to_string(bytes >> 20); }
std::string id_of(const Subject& s) {
  return std::to_string(s.partition ? s.partition->id() : s.vios->config().id);
}
std::string name_of(const Subject& s) { return s.partition ? s.partition->name() : s.vios->config().name; }
const Profile* profile_of(const Subject& s) { return s.partition ? &s.partition->profile() : nullptr; }

std::string state_of(const Subject& s) {
  if (!s.partition) return s.vios->running() ? "Running" : "Not Activated";
  const std::string state = hypervisor::to_string(s.partition->state());
  const bool moving = s.move.stream_id != 0 && !s.move.finished;
  return moving ? "Migrating - " + state : state;
}

std::string local_time(u64 seconds, const char* form) {
  return fmt::format(fmt::runtime(form), fmt::localtime(static_cast<std::time_t>(seconds)));
}

u64 now_seconds() {
  return static_cast<u64>(
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
          .count());
}

std::string agent_os(const Subject& s) {
  if (!s.partition) return s.vios->running() ? "Baton VIOS" : "";
  const auto agent = s.mover.agent(s.partition);
  return agent->active() ? agent->os() : "";
}

std::string rmc_state(const Subject& s) {
  if (!s.partition) return s.vios->running() ? "active" : "none";
  if (s.partition->state() == PartitionState::kNotActivated) return "none";
  return s.mover.agent(s.partition)->active() ? "active" : "inactive";
}

std::string scsi_adapters(const Subject& s) {
  std::vector<std::string> list;
  // A server has an adapter for each that partitions have by it.
  for (const auto& partition : s.vios ? s.system.partitions() : std::vector<std::shared_ptr<Partition>>()) {
    for (const auto& slot : partition->profile().scsi) {
      if (slot.server_id != s.vios->config().id) continue;
      list.push_back(fmt::format("{}/server/{}/{}/{}/1", s.vios->server_slot(partition->id(), slot),
                                 partition->id(), partition->name(), slot.slot));
    }
  }
  if (const Profile* p = profile_of(s)) {
    for (const auto& slot : p->scsi) {
      list.push_back(fmt::format("{}/client/{}/{}/{}/1", slot.slot, slot.server_id,
                                 s.io.server_name(slot.server_id),
                                 slot.server_slot ? std::to_string(slot.server_slot) : "any"));
    }
  }
  return list.empty() ? "none" : hmc::format_list(list);
}

std::string ethernet_adapters(const Subject& s) {
  std::vector<std::string> list;
  if (const Profile* p = profile_of(s)) {
    for (const auto& slot : p->ethernet) {
      std::string vlans;
      for (const u16 vlan : slot.vlans) vlans += (vlans.empty() ? "" : ",") + std::to_string(vlan);
      list.push_back(fmt::format("{}/{}/{}/{}/0/1", slot.slot, vlans.empty() ? 0 : 1, slot.pvid, vlans));
    }
  }
  return list.empty() ? "none" : hmc::format_list(list);
}

u32 moves_under_way(const Subject& s, std::string_view kind) {
  u32 count = 0;
  for (const migration::Progress& p : s.mover.progress()) count += !p.finished && p.kind == kind;
  return count;
}

std::string desired_mode(const Subject& s) {
  return std::string(s.partition ? s.partition->profile().proc_compat_mode : hypervisor::kDefaultMode);
}

constexpr u32 kClientSlots = 200;  ///< Slots of client partitions are below (app/config.cpp).

std::string host_of(const std::string& address) { return address.substr(0, address.rfind(':')); }

/// No drawer of ours has anything in it: the location is all there is to a slot.
std::string io_slots(const Subject& s) {
  std::vector<std::string> list;
  if (const Profile* p = profile_of(s)) {
    for (const std::string& slot : p->io_slots) list.push_back(slot + "/none/0");
  }
  return list.empty() ? "none" : hmc::format_list(list);
}

/// Slot of the client, name and number of a Virtual I/O Server of the destination that can serve it.
std::string possible_mappings(const Subject& s) {
  std::vector<std::string> list;
  for (const auto& server : s.destination)
    for (const u32 slot : server.hostable_slots)
      list.push_back(fmt::format("{}/{}/{}", slot, server.name, server.id));
  return list.empty() ? "none" : hmc::format_list(list);
}

/// One for each slot. Slots of different servers go to different ones, as a move does it, if that can be.
std::string suggested_mappings(const Subject& s) {
  if (!s.partition) return "none";
  std::vector<std::string> list;
  std::map<const Subject::Server*, u32> taken;  // By the slots of a server here.
  for (const auto& slot : s.partition->profile().scsi) {
    const Subject::Server* chosen = nullptr;
    bool alone = false;
    for (const auto& server : s.destination) {
      if (std::ranges::find(server.hostable_slots, slot.slot) == server.hostable_slots.end()) continue;
      const auto user = taken.find(&server);
      const bool free = user == taken.end() || user->second == slot.server_id;
      if (chosen && (alone || !free)) continue;
      chosen = &server;
      alone = free;
    }
    if (!chosen) continue;
    taken.try_emplace(chosen, slot.server_id);
    list.push_back(fmt::format("{}/{}/{}", slot.slot, chosen->name, chosen->id));
  }
  return list.empty() ? "none" : hmc::format_list(list);
}

/// Names or numbers of the destination's movers.
std::string movers_there(const Subject& s, std::string Subject::Server::* what) {
  std::vector<std::string> list;
  for (const auto& server : s.destination)
    if (server.mover) list.push_back(server.*what);
  return hmc::format_list(list);
}

struct AttributeRow {
  std::string_view resource, name;
  std::string (*value)(const Subject&);
};

/// A figure of the partition's latest move, with so many decimals if it is no whole number; empty without a
/// move.
template <auto kFigure, int kDecimals = 0>
std::string figure(const Subject& s) {
  if (!s.move.stream_id) return "";
  const auto value = s.move.*kFigure;
  if constexpr (std::is_floating_point_v<std::remove_const_t<decltype(value)>>)
    return fmt::format("{:.{}f}", value, kDecimals);
  else
    return std::to_string(value);
}

/// Every attribute of every resource, in the order of output: what -F may name and what is there without -F.
constexpr AttributeRow kAttributes[] = {
    {"sys", "name", [](const Subject& s) { return s.system.identity().name; }},
    {"sys", "type_model", [](const Subject& s) { return s.system.identity().type_model; }},
    {"sys", "serial_num", [](const Subject& s) { return s.system.identity().serial; }},
    {"sys", "ipaddr", [](const Subject& s) { return s.control_address; }},
    {"sys", "state", [](const Subject&) { return std::string("Operating"); }},
    {"sys", "sys_time", [](const Subject&) { return local_time(now_seconds(), "{:%m/%d/%Y %H:%M:%S}"); }},
    {"sys", "capabilities",
     [](const Subject&) {
       return std::string(
           "active_lpar_mobility_capable,inactive_lpar_mobility_capable,lpar_proc_compat_mode_capable");
     }},
    {"sys", "active_lpar_mobility_capable", [](const Subject&) { return std::string("1"); }},
    {"sys", "inactive_lpar_mobility_capable", [](const Subject&) { return std::string("1"); }},
    {"sys", "lpar_proc_compat_modes", [](const Subject&) { return hypervisor::mode_wishes(); }},
    {"sys", "configurable_sys_mem", [](const Subject& s) { return megabytes(s.system.identity().memory); }},
    {"sys", "curr_avail_sys_mem", [](const Subject& s) { return megabytes(s.system.free_memory()); }},
    {"sys", "mem_region_size", [](const Subject& s) { return megabytes(s.system.identity().memory_block); }},
    {"sys", "configurable_sys_proc_units",
     [](const Subject& s) { return std::to_string(s.system.identity().processors); }},
    {"sys", "curr_avail_sys_proc_units",
     [](const Subject& s) { return std::to_string(s.system.free_processors()); }},

    {"lpar", "name", name_of},
    {"lpar", "lpar_id", id_of},
    {"lpar", "lpar_env",
     [](const Subject& s) { return std::string(s.partition ? "aixlinux" : "vioserver"); }},
    {"lpar", "state", state_of},
    {"lpar", "os_version", agent_os},
    {"lpar", "logical_serial_num",
     [](const Subject& s) {
       return s.system.identity().serial + fmt::format("{:X}", s.partition ? s.partition->id() : 1);
     }},
    {"lpar", "default_profile",
     [](const Subject& s) {
       return s.partition ? s.partition->profile().profile_name : std::string("default");
     }},
    {"lpar", "curr_profile",
     [](const Subject& s) {
       return s.partition ? s.partition->profile().profile_name : std::string("default");
     }},
    {"lpar", "auto_start",
     [](const Subject& s) {
       return std::string(!s.partition || s.partition->profile().auto_start ? "1" : "0");
     }},
    {"lpar", "rmc_state", rmc_state},
    {"lpar", "desired_lpar_proc_compat_mode", desired_mode},
    {"lpar", "curr_lpar_proc_compat_mode",
     [](const Subject& s) { return std::string(s.partition ? s.partition->mode().name : "POWER6"); }},
    {"lpar", "curr_mem",
     [](const Subject& s) {
       return s.partition ? megabytes(s.partition->profile().memory) : std::string("0");
     }},
    {"lpar", "curr_procs",
     [](const Subject& s) { return std::to_string(s.partition ? s.partition->profile().processors : 0); }},
    {"lpar", "refcode",
     [](const Subject& s) { return s.partition ? s.partition->reference_code() : std::string(); }},
    {"lpar", "msp",
     [](const Subject& s) { return std::string(!s.partition && s.vios->config().msp ? "1" : "0"); }},
    {"lpar", "rmc_ipaddr",
     [](const Subject& s) { return s.partition ? std::string() : host_of(s.mover.address()); }},
    {"lpar", "vasi_state",
     [](const Subject& s) {
       return std::string(s.partition ? hypervisor::to_string(s.partition->vasi_state()) : "");
     }},
    {"lpar", "instructions",
     [](const Subject& s) { return std::to_string(s.partition ? s.partition->instructions() : 0); }},

    {"prof", "name",
     [](const Subject& s) {
       return s.partition ? s.partition->profile().profile_name : std::string("default");
     }},
    {"prof", "lpar_name", name_of},
    {"prof", "lpar_id", id_of},
    {"prof", "lpar_env",
     [](const Subject& s) { return std::string(s.partition ? "aixlinux" : "vioserver"); }},
    {"prof", "min_mem",
     [](const Subject& s) {
       return s.partition ? megabytes(s.partition->profile().memory) : std::string("0");
     }},
    {"prof", "desired_mem",
     [](const Subject& s) {
       return s.partition ? megabytes(s.partition->profile().memory) : std::string("0");
     }},
    {"prof", "max_mem",
     [](const Subject& s) {
       return s.partition ? megabytes(s.partition->profile().memory) : std::string("0");
     }},
    {"prof", "mem_mode", [](const Subject&) { return std::string("ded"); }},
    {"prof", "proc_mode", [](const Subject&) { return std::string("shared"); }},
    {"prof", "desired_procs",
     [](const Subject& s) { return std::to_string(s.partition ? s.partition->profile().processors : 0); }},
    {"prof", "lpar_proc_compat_mode", desired_mode},
    {"prof", "virtual_serial_adapters",
     [](const Subject&) { return hmc::format_list({"0/server/1/any//any/1", "1/server/1/any//any/1"}); }},
    {"prof", "virtual_scsi_adapters", scsi_adapters},
    {"prof", "virtual_eth_adapters", ethernet_adapters},
    {"prof", "io_slots", io_slots},
    {"prof", "desired_num_huge_pages",
     [](const Subject& s) { return std::to_string(s.partition ? s.partition->profile().huge_pages : 0); }},
    {"prof", "max_virtual_slots",
     [](const Subject& s) {
       return std::to_string(s.partition ? kClientSlots : s.vios->config().max_virtual_slots);
     }},
    {"prof", "boot_mode", [](const Subject&) { return std::string("norm"); }},
    {"prof", "auto_start",
     [](const Subject& s) {
       return std::string(!s.partition || s.partition->profile().auto_start ? "1" : "0");
     }},

    {"scsi", "lpar_name", name_of},
    {"scsi", "lpar_id", id_of},
    {"scsi", "slot_num", [](const Subject& s) { return std::to_string(s.scsi.slot); }},
    {"scsi", "state",
     [](const Subject& s) {
       const bool on =
           s.partition ? s.partition->state() != PartitionState::kNotActivated : s.vios->running();
       return std::string(on ? "1" : "0");
     }},
    {"scsi", "is_required", [](const Subject&) { return std::string("1"); }},
    {"scsi", "adapter_type", [](const Subject& s) { return std::string(s.partition ? "client" : "server"); }},
    {"scsi", "remote_lpar_id", [](const Subject& s) { return std::to_string(s.scsi.remote_id); }},
    {"scsi", "remote_lpar_name", [](const Subject& s) { return s.scsi.remote_name; }},
    {"scsi", "remote_slot_num", [](const Subject& s) { return std::to_string(s.scsi.remote_slot); }},
    {"scsi", "backing_devices",
     [](const Subject& s) {
       return s.scsi.devices.empty() ? std::string("none") : hmc::format_list(s.scsi.devices);
     }},

    {"refcode", "lpar_name", name_of},
    {"refcode", "lpar_id", id_of},
    {"refcode", "time_stamp",
     [](const Subject& s) {
       return s.code_time ? local_time(s.code_time, "{:%m/%d/%Y %H:%M:%S}") : std::string();
     }},
    {"refcode", "refcode", [](const Subject& s) { return s.code; }},

    {"migr-lpar", "name", name_of},
    {"migr-lpar", "lpar_id", id_of},
    {"migr-lpar", "migration_state", [](const Subject& s) { return s.move.migration_state; }},
    {"migr-lpar", "migration_type", [](const Subject& s) { return s.move.kind; }},
    {"migr-lpar", "migration_role", [](const Subject& s) { return s.move.role; }},
    {"migr-lpar", "remote_sys_name", [](const Subject& s) { return s.move.remote_system; }},
    {"migr-lpar", "remote_lpar_id",
     [](const Subject& s) {
       return s.move.stream_id
                  ? std::to_string(s.move.remote_partition_id ? s.move.remote_partition_id : 65535)
                  : std::string();
     }},
    {"migr-lpar", "stream_id",
     [](const Subject& s) {
       return s.move.stream_id ? fmt::format("{:016x}", s.move.stream_id) : std::string();
     }},
    {"migr-lpar", "vasi_state", [](const Subject& s) { return s.move.vasi_state; }},
    {"migr-lpar", "bytes_transmitted", figure<&migration::Progress::bytes_transmitted>},
    {"migr-lpar", "bytes_remaining", figure<&migration::Progress::bytes_remaining>},
    {"migr-lpar", "round", figure<&migration::Progress::round>},
    {"migr-lpar", "total_ms", figure<&migration::Progress::total_ms, 1>},
    {"migr-lpar", "suspended_ms", figure<&migration::Progress::suspended_ms, 2>},
    {"migr-lpar", "slowed_percent", figure<&migration::Progress::throttle>},
    {"migr-lpar", "postcopy_pages", figure<&migration::Progress::postcopy_pages>},
    {"migr-lpar", "postcopy_faults", figure<&migration::Progress::postcopy_faults>},
    {"migr-lpar", "postcopy_wait_ms", figure<&migration::Progress::postcopy_wait_ms, 3>},
    {"migr-lpar", "postcopy_longest_ms", figure<&migration::Progress::postcopy_longest_ms, 3>},
    {"migr-lpar", "source_msp_name", [](const Subject& s) { return s.move.source_mover; }},
    {"migr-lpar", "dest_msp_name", [](const Subject& s) { return s.move.target_mover; }},
    {"migr-lpar", "error", [](const Subject& s) { return s.move.error; }},

    {"migr-msp", "source_msp_name",
     [](const Subject& s) { return s.vios ? s.vios->config().name : std::string(); }},
    {"migr-msp", "source_msp_id",
     [](const Subject& s) { return s.vios ? std::to_string(s.vios->config().id) : std::string(); }},
    {"migr-msp", "dest_msp_names", [](const Subject& s) { return movers_there(s, &Subject::Server::name); }},
    {"migr-msp", "dest_msp_ids", [](const Subject& s) { return movers_there(s, &Subject::Server::id); }},
    {"migr-msp", "ipaddr_mappings",
     [](const Subject& s) {
       std::vector<std::string> list;
       for (const auto& server : s.destination) {
         if (s.vios && server.mover)
           list.push_back(
               fmt::format("{}//{}/{}/{}/", host_of(s.mover.address()), server.id, server.name, server.host));
       }
       return hmc::format_list(list);
     }},

    {"migr-virtualio", "possible_virtual_scsi_mappings", possible_mappings},
    {"migr-virtualio", "suggested_virtual_scsi_mappings", suggested_mappings},

    {"migr-procpool", "shared_proc_pool_ids", [](const Subject&) { return std::string("0"); }},
    {"migr-procpool", "shared_proc_pool_names", [](const Subject&) { return std::string("DefaultPool"); }},

    {"migr-sys", "name", [](const Subject& s) { return s.system.identity().name; }},
    {"migr-sys", "inactive_lpar_mobility_capable", [](const Subject&) { return std::string("1"); }},
    {"migr-sys", "num_inactive_migrations_supported",
     [](const Subject& s) { return std::to_string(s.mover.active_limit()); }},
    {"migr-sys", "num_inactive_migrations_in_progress",
     [](const Subject& s) { return std::to_string(moves_under_way(s, "inactive")); }},
    {"migr-sys", "active_lpar_mobility_capable", [](const Subject&) { return std::string("1"); }},
    {"migr-sys", "num_active_migrations_supported",
     [](const Subject& s) { return std::to_string(s.mover.active_limit()); }},
    {"migr-sys", "num_active_migrations_in_progress",
     [](const Subject& s) { return std::to_string(moves_under_way(s, "active")); }},
};

/// Some values come from the guest (its operator panel): they end on a terminal and in a UTF-8 field.
std::string printable(std::string text) {
  for (char& c : text) {
    if (c < 0x20 || c > 0x7E) c = '?';
  }
  return text;
}

}  // namespace

void add_record(control::Records& out, std::string_view resource, const Subject& subject) {
  control::Record* record = out.add_records();
  for (const AttributeRow& row : kAttributes) {
    if (row.resource != resource) continue;
    control::Attribute* attribute = record->add_attributes();
    attribute->set_name(std::string(row.name));
    attribute->set_value(printable(row.value(subject)));
  }
}

std::vector<std::string_view> attribute_names(std::string_view resource) {
  std::vector<std::string_view> names;
  for (const AttributeRow& row : kAttributes) {
    if (row.resource == resource) names.push_back(row.name);
  }
  return names;
}

}  // namespace baton::app
