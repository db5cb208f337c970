// SPDX-License-Identifier: Apache-2.0
#include "app/managed_control.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <span>
#include <stdexcept>
#include <string_view>
#include <thread>

#include "hmc/records.h"
#include "hypervisor/compatibility.h"
#include "migration/rmc_agent.h"

namespace baton::app {
namespace {

using hypervisor::Partition;
using hypervisor::PartitionState;
using hypervisor::Profile;
using namespace std::chrono_literals;

/// Whose attributes are asked for. `partition` is null for the VIOS and for the system itself.
struct Subject {
  hypervisor::ManagedSystem& system;
  vios::Vios& vios;
  migration::Mover& mover;
  std::shared_ptr<Partition> partition;
  u64 code_time = 0;  ///< Of a reference code record.
  std::string code;
  migration::Progress move;  ///< Of an lpar: its latest move.
};

std::string megabytes(u64 bytes) { return std::to_string(bytes >> 20); }
std::string id_of(const Subject& s) { return s.partition ? std::to_string(s.partition->id()) : "1"; }
std::string name_of(const Subject& s) { return s.partition ? s.partition->name() : s.vios.config().name; }
const Profile* profile_of(const Subject& s) { return s.partition ? &s.partition->profile() : nullptr; }

std::string state_of(const Subject& s) {
  if (!s.partition) return "Running";
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
  if (!s.partition) return "Baton VIOS";
  const auto agent = s.mover.agent(s.partition);
  return agent->active() ? agent->os() : "";
}

std::string rmc_state(const Subject& s) {
  if (!s.partition) return "active";
  if (s.partition->state() == PartitionState::kNotActivated) return "none";
  return s.mover.agent(s.partition)->active() ? "active" : "inactive";
}

std::string scsi_adapters(const Subject& s) {
  std::vector<std::string> list;
  if (const Profile* p = profile_of(s)) {
    for (const auto& slot : p->scsi) {
      list.push_back(fmt::format("{}/client/1/{}/{}/1", slot.slot, s.vios.config().name,
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

struct AttributeRow {
  std::string_view resource, name;
  std::string (*value)(const Subject&);
};

/// Every attribute of every resource, in the order of output: what -F may name and what is there without -F.
constexpr AttributeRow kAttributes[] = {
    {"sys", "name", [](const Subject& s) { return s.system.identity().name; }},
    {"sys", "type_model", [](const Subject& s) { return s.system.identity().type_model; }},
    {"sys", "serial_num", [](const Subject& s) { return s.system.identity().serial; }},
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
    {"sys", "mem_region_size", [](const Subject&) { return std::string("16"); }},
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
    {"lpar", "msp", [](const Subject& s) { return std::string(s.partition ? "0" : "1"); }},
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
    {"prof", "boot_mode", [](const Subject&) { return std::string("norm"); }},
    {"prof", "auto_start",
     [](const Subject& s) {
       return std::string(!s.partition || s.partition->profile().auto_start ? "1" : "0");
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
    {"migr-lpar", "bytes_transmitted",
     [](const Subject& s) {
       return s.move.stream_id ? std::to_string(s.move.bytes_transmitted) : std::string();
     }},
    {"migr-lpar", "bytes_remaining",
     [](const Subject& s) {
       return s.move.stream_id ? std::to_string(s.move.bytes_remaining) : std::string();
     }},
    {"migr-lpar", "round",
     [](const Subject& s) { return s.move.stream_id ? std::to_string(s.move.round) : std::string(); }},
    {"migr-lpar", "error", [](const Subject& s) { return s.move.error; }},

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

void add_record(control::Records& out, std::string_view resource, const Subject& subject) {
  control::Record* record = out.add_records();
  for (const AttributeRow& row : kAttributes) {
    if (row.resource != resource) continue;
    control::Attribute* attribute = record->add_attributes();
    attribute->set_name(std::string(row.name));
    attribute->set_value(printable(row.value(subject)));
  }
}

std::set<std::string> filter_values(const control::ListRequest& request, const std::string& name) {
  const auto found = request.filter().find(name);
  if (found == request.filter().end()) return {};
  const std::vector<std::string> values = hmc::split_quoted(found->second);
  return {values.begin(), values.end()};
}

control::Outcome outcome(int rc, std::string text) {
  control::Outcome out;
  out.set_rc(rc);
  out.set_text(std::move(text));
  return out;
}

std::string shown(const migration::Finding& finding) {
  return finding.code.empty() ? finding.text : finding.code + " " + finding.text;
}

}  // namespace

ManagedControl::ManagedControl(hypervisor::ManagedSystem& system, vios::Vios& vios, migration::Mover& mover,
                               Connect connect, std::function<void()> stop)
    : system_(system), vios_(vios), mover_(mover), connect_(std::move(connect)), stop_(std::move(stop)) {
  mover_.on_departure([this](Partition& partition, const std::string& remote) {
    terminals_.close(partition, "The partition " + partition.name() + " moved to " + remote + ".", true);
  });
}

ManagedControl::~ManagedControl() {
  mover_.on_departure({});
  shut_down();
}

void ManagedControl::shut_down() {
  terminals_.close_all("The managed system " + system_.identity().name + " stops.");
  std::list<Running> moves;
  {
    const std::lock_guard hold(lock_);
    moves.swap(moves_);
  }
  for (Running& move : moves) move.thread.join();
}

std::shared_ptr<Partition> ManagedControl::partition(const std::string& name_or_id) {
  std::shared_ptr<Partition> found = system_.find(name_or_id);
  if (!found) {
    if (name_or_id == vios_.config().name || name_or_id == "1") {
      throw std::runtime_error("The Virtual I/O Server " + vios_.config().name +
                               " is always on and cannot be used here; name a client partition.");
    }
    std::string known;
    for (const auto& other : system_.partitions()) known += (known.empty() ? "" : ", ") + other->name();
    throw std::runtime_error("The managed system " + system_.identity().name + " has no partition " +
                             name_or_id +
                             (known.empty() ? "; it has none at all." : "; it has " + known + "."));
  }
  return found;
}

control::Records ManagedControl::list(const control::ListRequest& request) {
  const std::string& resource = request.resource();
  control::Records out;
  if (resource == "attributes") {
    control::Record* record = out.add_records();
    const auto of = request.filter().find("resource");
    for (const AttributeRow& row : kAttributes) {
      if (of != request.filter().end() && row.resource == of->second)
        record->add_attributes()->set_name(std::string(row.name));
    }
    return out;
  }
  Subject subject{system_, vios_, mover_, nullptr, 0, {}, {}};
  if (resource == "sys" || resource == "migr-sys") {
    add_record(out, resource, subject);
    return out;
  }
  if (resource != "lpar" && resource != "prof" && resource != "refcode" && resource != "migr-lpar") {
    throw std::runtime_error("There is no resource \"" + resource + "\" to list.");
  }
  const std::set<std::string> names = filter_values(request, "lpar_names"),
                              ids = filter_values(request, "lpar_ids");
  u64 codes_wanted = 1;
  if (const auto count = request.filter().find("count"); count != request.filter().end()) {
    codes_wanted = std::strtoull(count->second.c_str(), nullptr, 10);
  }
  const auto wanted = [&](const std::string& name, const std::string& id) {
    return (names.empty() || names.contains(name)) && (ids.empty() || ids.contains(id));
  };
  if (resource != "migr-lpar" && resource != "refcode" && wanted(vios_.config().name, "1")) {
    add_record(out, resource, subject);
  }
  for (const auto& partition : system_.partitions()) {
    if (!wanted(partition->name(), std::to_string(partition->id()))) continue;
    subject.partition = partition;
    subject.move = mover_.progress_of(partition->name());
    if (resource != "refcode") {
      add_record(out, resource, subject);
      continue;
    }
    u64 count = 0;
    for (const auto& [time, code] : partition->reference_codes()) {
      if (count++ == codes_wanted) break;
      subject.code_time = time;
      subject.code = code;
      add_record(out, resource, subject);
    }
    if (count == 0) {
      subject.code_time = 0;
      subject.code.clear();
      add_record(out, resource, subject);
    }
  }
  return out;
}

void ManagedControl::operating_system(const std::shared_ptr<Partition>& partition, const std::string& verb) {
  const auto agent = mover_.agent(partition);
  const u32 sequence = agent->send(verb);
  const migration::AgentReply reply = agent->wait_started(sequence, 10s);
  if (reply.rc.value_or(0) != 0) {
    throw std::runtime_error("The operating system of " + partition->name() + " refused: " + reply.text);
  }
  if (!reply.started && !reply.rc) {
    throw std::runtime_error(
        "The management agent of " + partition->name() +
        " did not answer in 10 seconds; use chsysstate -o shutdown --immed to stop it at once.");
  }
}

control::Outcome ManagedControl::change_state(const control::StateRequest& request) {
  const std::shared_ptr<Partition> p = partition(request.lpar());
  const std::string& operation = request.operation();
  const migration::Progress move = mover_.progress_of(p->name());
  if (move.stream_id && !move.finished) {
    throw std::runtime_error("The partition " + p->name() +
                             " is being moved; wait for the end of the move or stop it with migrlpar -o s.");
  }
  if (!request.profile().empty() && request.profile() != p->profile().profile_name) {
    throw std::runtime_error("The partition " + p->name() + " has no profile " + request.profile() +
                             "; it has " + p->profile().profile_name + ".");
  }
  const PartitionState state = p->state();
  if (operation == "on") {
    if (state != PartitionState::kNotActivated && state != PartitionState::kError) {
      throw std::runtime_error("The partition " + p->name() + " is already on: its state is " +
                               hypervisor::to_string(state) + ".");
    }
    mover_.agent(p)->forget();
    if (state == PartitionState::kError) p->power_off();
    p->power_on();
    return outcome(0, "");
  }
  if (state == PartitionState::kNotActivated) {
    throw std::runtime_error("The partition " + p->name() +
                             " is not activated; start it with chsysstate -o on.");
  }
  if (operation == "immed" || (operation == "shutdown" && !mover_.agent(p)->active())) {
    mover_.agent(p)->forget();
    p->power_off();
  } else if (operation == "reboot" ||
             (operation == "osreboot" && !mover_.agent(p)->active() && state != PartitionState::kRunning)) {
    mover_.agent(p)->forget();
    p->reboot();
  } else if (operation == "shutdown" || operation == "osshutdown") {
    operating_system(p, "shutdown");
  } else if (operation == "osreboot") {
    operating_system(p, "reboot");
  } else {
    throw std::runtime_error("There is no operation \"" + operation + "\" on a partition.");
  }
  return outcome(0, "");
}

std::unique_ptr<hmc::Terminal> ManagedControl::open_terminal(const std::string& lpar, bool force,
                                                             hmc::TerminalHandler handler) {
  return terminals_.open(partition(lpar), force, std::move(handler));
}

control::Outcome ManagedControl::close_terminal(const std::string& lpar) {
  const std::shared_ptr<Partition> p = partition(lpar);
  if (!terminals_.close(*p, "The virtual terminal was closed by rmvterm.", false)) {
    return outcome(1, "Nobody has the virtual terminal of " + p->name() + " open.");
  }
  return outcome(0, "");
}

control::MigrateOutcome ManagedControl::migrate(const control::MigrateRequest& request) {
  control::MigrateOutcome out;
  const std::string& operation = request.operation();
  const auto remote_at = [&](const std::string& address) {
    return std::make_unique<ControlRemote>(connect_(address));
  };
  if (operation == "r") {
    std::string name = request.lpar();
    if (const auto found = system_.find(name)) name = found->name();
    std::string address = request.destination();
    if (address.empty()) {
      const std::lock_guard hold(lock_);
      if (const auto found = destinations_.find(name); found != destinations_.end()) address = found->second;
    }
    const auto remote = address.empty() ? nullptr : remote_at(address);
    out.add_messages(mover_.recover(name, remote.get()));
    return out;
  }
  const std::shared_ptr<Partition> p = partition(request.lpar());
  if (operation == "s") {
    mover_.stop(*p);
    return out;
  }
  if (operation != "v" && operation != "m")
    throw std::runtime_error("There is no operation \"" + operation + "\" on a move.");
  const auto refuse = [](control::MigrateOutcome& to, const std::vector<migration::Finding>& findings) {
    for (const migration::Finding& finding : findings) to.add_messages(shown(finding));
    to.set_rc(findings.empty() ? 0 : 1);
  };
  if (operation == "v") {
    refuse(out, mover_.validate(*p, *remote_at(request.destination())));
    return out;
  }
  {
    const std::lock_guard hold(lock_);
    destinations_[p->name()] = request.destination();
  }
  if (!request.wait()) {
    std::shared_ptr<ControlRemote> remote = remote_at(request.destination());
    const std::lock_guard hold(lock_);
    for (auto it = moves_.begin(); it != moves_.end();) {
      if (*it->done) {
        it->thread.join();
        it = moves_.erase(it);
      } else {
        ++it;
      }
    }
    Running& move = moves_.emplace_back();
    move.thread = std::thread([this, p, remote, done = move.done] {
      try {
        mover_.migrate(p, *remote);
      } catch (const std::exception&) {
        // The mover keeps the error in the progress of the partition.
      }
      *done = true;
    });
    return out;
  }
  try {
    mover_.migrate(p, *remote_at(request.destination()));
  } catch (const migration::Refused& refused) {
    refuse(out, refused.findings());
  } catch (const std::runtime_error& problem) {
    out.set_rc(1);
    out.add_messages(problem.what());
  }
  return out;
}

control::MigrationProgresses ManagedControl::progress(const std::string& lpar) {
  control::MigrationProgresses out;
  for (const migration::Progress& p : mover_.progress()) {
    if (!lpar.empty() && p.partition != lpar && std::to_string(p.partition_id) != lpar) continue;
    control::MigrationProgress* m = out.add_moves();
    m->set_stream_id(p.stream_id);
    m->set_role(p.role);
    m->set_kind(p.kind);
    m->set_migration_state(p.migration_state);
    m->set_vasi_state(p.vasi_state);
    for (const std::string& state : p.states) m->add_states(state);
    m->set_remote_system(p.remote_system);
    m->set_total_bytes(p.total_bytes);
    m->set_bytes_transmitted(p.bytes_transmitted);
    m->set_bytes_remaining(p.bytes_remaining);
    m->set_round(p.round);
    m->set_dirty_pages(p.dirty_pages);
    m->set_bytes_per_second(p.bytes_per_second);
    m->set_total_ms(p.total_ms);
    m->set_suspended_ms(p.suspended_ms);
    m->set_finished(p.finished);
    m->set_ok(p.ok);
    m->set_error(p.error);
    m->set_lpar(p.partition);
  }
  return out;
}

control::Outcome ManagedControl::vios_command(const control::ViosRequest& request) {
  if (request.vios() != vios_.config().name && request.vios() != "1") {
    throw std::runtime_error("The managed system " + system_.identity().name + " has no Virtual I/O Server " +
                             request.vios() + "; it has " + vios_.config().name + ".");
  }
  std::string text;
  const int rc = vios_.padmin(request.command(), text);
  return outcome(rc, std::move(text));
}

control::Outcome ManagedControl::stop() {
  stop_();
  return outcome(0, "The managed system " + system_.identity().name + " stops.");
}

control::Findings ManagedControl::validate_incoming(const control::DescriptionRequest& request) {
  control::Findings out;
  for (const migration::Finding& finding : mover_.validate_incoming(request.description())) {
    control::Finding* f = out.add_findings();
    f->set_code(finding.code);
    f->set_text(finding.text);
  }
  return out;
}

control::Shell ManagedControl::create_shell(const control::DescriptionRequest& request) {
  const migration::RemoteSystem::Shell shell =
      mover_.create_shell(request.description(), request.stream_id());
  control::Shell out;
  out.set_mover_address(shell.mover_address);
  out.set_key(shell.key);
  out.set_lpar_id(shell.lpar_id);
  return out;
}

void ManagedControl::abandon_shell(control::StreamRequest request) {
  mover_.abandon_shell(request.stream_id());
}

control::Outcome ManagedControl::settle_move(control::StreamRequest request) {
  return outcome(mover_.settle(request.stream_id()) ? 0 : 1, "");
}

}  // namespace baton::app
