// SPDX-License-Identifier: Apache-2.0
#include "app/managed_control.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <stdexcept>
#include <string_view>
#include <thread>

#include "app/attributes.h"
#include "hmc/records.h"
#include "migration/messages.h"
#include "migration/rmc_agent.h"
#include "migration/stream.h"

namespace baton::app {
namespace {

/// A decimal number in these bounds; else throws `rule`, which says what may be there, with the text.
u32 number_of(const std::string& text, u32 least, u32 most, const std::string& rule) {
  u32 number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < least || number > most)
    throw std::runtime_error(rule + ", not \"" + text + "\".");
  return number;
}

/// The one of `choices` that the text names; else throws `rule`.
template <class T>
T one_of(const std::string& text, const std::map<std::string, T>& choices, const std::string& rule) {
  const auto found = choices.find(text);
  if (found == choices.end()) throw std::runtime_error(rule + ", not \"" + text + "\".");
  return found->second;
}

using migration::MoveOptions;

void take_name(vios::ServerName& server, const std::string& value, const std::string& attribute) {
  if (value.empty() || value.size() > 31)
    throw std::runtime_error(attribute + " must name a Virtual I/O Server.");
  server.name = value;
}

/// "SLOT/NAME/NUMBER[/SLOT THERE]" of virtual_scsi_mappings: name or number, or both.
migration::ScsiMapping mapping_of(const std::string& text) {
  const std::string rule =
      "virtual_scsi_mappings is a list of SLOT/VIOS NAME/VIOS ID[/VIOS SLOT], such as 2/vios1/1";
  const std::vector<std::string> parts = hmc::split_quoted(text, '/');
  if (parts.size() < 3 || parts.size() > 4 || (parts[1].empty() && parts[2].empty()) || parts[1].size() > 31)
    throw std::runtime_error(rule + ", not \"" + text + "\".");
  migration::ScsiMapping mapping;
  mapping.slot = number_of(parts[0], 2, 65535, rule);
  mapping.server.name = parts[1];
  mapping.server.id = parts[2].empty() ? 0 : number_of(parts[2], 1, 254, rule);
  if (parts.size() == 4 && !parts[3].empty()) mapping.server_slot = number_of(parts[3], 2, 65535, rule);
  return mapping;
}

/// The attributes of -i (LPM 3.1) that say how to move.
const std::map<std::string, void (*)(MoveOptions&, const std::string&)> kMoveAttributes = {
    {"bandwidth",
     [](MoveOptions& options, const std::string& value) {
       constexpr u64 kMegabit = 125'000;
       options.bytes_per_second =
           number_of(value, 1, 1'000'000, "bandwidth is in Mb/s, from 1 to 1000000") * kMegabit;
     }},
    {"channels",
     [](MoveOptions& options, const std::string& value) {
       static const std::string kRule = fmt::format("channels is from 1 to {}", migration::kMostChannels);
       options.channels = number_of(value, 1, migration::kMostChannels, kRule);
     }},
    {"compression",
     [](MoveOptions& options, const std::string& value) {
       using enum MoveOptions::Compression;
       options.compression =
           one_of<MoveOptions::Compression>(value, {{"zstd", kZstd}, {"none", kNone}, {"auto", kWhenItPays}},
                                            "compression is zstd, none or auto");
     }},
    {"dest_lpar_id",
     [](MoveOptions& options, const std::string& value) {
       options.dest_lpar_id = number_of(value, 2, 254, "dest_lpar_id must be a number from 2 to 254");
     }},
    {"dest_msp_id",
     [](MoveOptions& options, const std::string& value) {
       options.target_mover.id = number_of(value, 1, 254, "dest_msp_id must be a number from 1 to 254");
     }},
    {"dest_msp_name",
     [](MoveOptions& options, const std::string& value) {
       take_name(options.target_mover, value, "dest_msp_name");
     }},
    {"post_copy",
     [](MoveOptions& options, const std::string& value) {
       using enum MoveOptions::PostCopy;
       options.post_copy = one_of<MoveOptions::PostCopy>(
           value, {{"auto", kWhenItHelps}, {"never", kNever}, {"always", kAlways}},
           "post_copy is auto, never or always");
     }},
    {"source_msp_id",
     [](MoveOptions& options, const std::string& value) {
       options.source_mover.id = number_of(value, 1, 254, "source_msp_id must be a number from 1 to 254");
     }},
    {"source_msp_name",
     [](MoveOptions& options, const std::string& value) {
       take_name(options.source_mover, value, "source_msp_name");
     }},
    {"throttle",
     [](MoveOptions& options, const std::string& value) {
       options.throttle = number_of(value, 0, 99, "throttle is a percentage from 0 to 99");
     }},
    {"transparent",
     [](MoveOptions& options, const std::string& value) {
       options.transparent = one_of<bool>(value, {{"yes", true}, {"no", false}}, "transparent is yes or no");
     }},
    {"virtual_scsi_mappings",
     [](MoveOptions& options, const std::string& value) {
       std::set<u32> slots;
       for (const std::string& part : hmc::split_quoted(value)) {
         options.mappings.push_back(mapping_of(part));
         if (!slots.insert(options.mappings.back().slot).second)
           throw std::runtime_error("virtual_scsi_mappings names slot " +
                                    std::to_string(options.mappings.back().slot) + " twice.");
       }
     }},
};

using hypervisor::Partition;
using hypervisor::PartitionState;
using namespace std::chrono_literals;

std::set<std::string> filter_values(const control::ListRequest& request, const std::string& name) {
  const auto found = request.filter().find(name);
  if (found == request.filter().end()) return {};
  const std::vector<std::string> values = hmc::split_quoted(found->second);
  return {values.begin(), values.end()};
}

/// Whether the filter of the request lets a partition of that name and number through.
std::function<bool(const std::string& name, const std::string& id)> filter_of(
    const control::ListRequest& request) {
  return [names = filter_values(request, "lpar_names"), ids = filter_values(request, "lpar_ids")](
             const std::string& name, const std::string& id) {
    return (names.empty() || names.contains(name)) && (ids.empty() || ids.contains(id));
  };
}

control::Outcome outcome(int rc, std::string text) {
  control::Outcome out;
  out.set_rc(rc);
  out.set_text(std::move(text));
  return out;
}

void need_running(const vios::Vios& server) {
  if (!server.running())
    throw std::runtime_error("The Virtual I/O Server " + server.config().name +
                             " is not running; start it with chsysstate -o on.");
}

}  // namespace

ManagedControl::ManagedControl(hypervisor::ManagedSystem& system, vios::VirtualIo& vios,
                               migration::Mover& mover, Connect connect, std::function<void()> stop)
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
    if (const vios::Vios* server = vios_.find(name_or_id)) {
      throw std::runtime_error("The partition " + server->config().name +
                               " is a Virtual I/O Server and cannot be used here; name a client partition.");
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
    if (of != request.filter().end()) {
      for (const std::string_view name : attribute_names(of->second))
        record->add_attributes()->set_name(std::string(name));
    }
    return out;
  }
  Subject subject{
      .system = system_, .io = vios_, .mover = mover_, .partition = nullptr, .control_address = address_};
  if (resource == "sys" || resource == "migr-sys") {
    add_record(out, resource, subject);
    return out;
  }
  const bool of_destination =
      resource == "migr-msp" || resource == "migr-virtualio" || resource == "migr-procpool";
  if (of_destination) {
    add_of_destination(out, request, subject);
    return out;
  }
  if (resource == "scsi") {
    add_scsi_adapters(out, request, subject);
    return out;
  }
  if (resource != "lpar" && resource != "prof" && resource != "refcode" && resource != "migr-lpar") {
    throw std::runtime_error("There is no resource \"" + resource + "\" to list.");
  }
  u64 codes_wanted = 1;
  if (const auto count = request.filter().find("count"); count != request.filter().end()) {
    codes_wanted = std::strtoull(count->second.c_str(), nullptr, 10);
  }
  const auto wanted = filter_of(request);
  for (const auto& server : vios_.servers()) {
    if (resource == "migr-lpar" || resource == "refcode" ||
        !wanted(server->config().name, std::to_string(server->config().id)))
      continue;
    subject.vios = server.get();
    add_record(out, resource, subject);
  }
  subject.vios = nullptr;
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

/// Both ends of each virtual SCSI adapter: of a server those that it has, of a partition its own.
void ManagedControl::add_scsi_adapters(control::Records& out, const control::ListRequest& request,
                                       Subject subject) {
  const auto wanted = filter_of(request);
  const auto partitions = system_.partitions();
  std::map<std::pair<u32, u32>, std::vector<std::string>> devices;  // By partition and its slot.
  for (const auto& server : vios_.servers()) {
    for (const vios::Mapping& mapping : server->mappings()) {
      if (mapping.vtd.empty()) continue;
      devices[{mapping.client_id, mapping.client_slot}].push_back(
          fmt::format("{}/{}/{}", mapping.lun, vios::to_string(mapping.kind), mapping.backing));
    }
  }
  for (const auto& server : vios_.servers()) {
    const vios::ViosConfig& config = server->config();
    if (!wanted(config.name, std::to_string(config.id))) continue;
    subject.vios = server.get();
    for (const auto& partition : partitions) {
      for (const auto& slot : partition->profile().scsi) {
        if (slot.server_id != config.id) continue;
        subject.scsi = {.slot = server->server_slot(partition->id(), slot),
                        .remote_id = partition->id(),
                        .remote_slot = slot.slot,
                        .remote_name = partition->name(),
                        .devices = devices[{partition->id(), slot.slot}]};
        add_record(out, request.resource(), subject);
      }
    }
  }
  subject.vios = nullptr;
  for (const auto& partition : partitions) {
    if (!wanted(partition->name(), std::to_string(partition->id()))) continue;
    subject.partition = partition;
    for (const auto& slot : partition->profile().scsi) {
      const vios::Vios* server = vios_.find(slot.server_id);
      subject.scsi = {.slot = slot.slot,
                      .remote_id = slot.server_id,
                      .remote_slot = server ? server->server_slot(partition->id(), slot) : slot.server_slot,
                      .remote_name = vios_.server_name(slot.server_id),
                      .devices = devices[{partition->id(), slot.slot}]};
      add_record(out, request.resource(), subject);
    }
  }
}

/// What a destination offers a partition; `subject` is of no partition yet.
void ManagedControl::add_of_destination(control::Records& out, const control::ListRequest& request,
                                        Subject subject) {
  if (request.destination().empty()) throw std::runtime_error("Name the destination with -t.");
  const std::shared_ptr<hmc::Control> remote = connect_(request.destination());
  control::ListRequest servers;
  servers.set_resource("lpar");
  const control::Records answer = remote->list(servers);
  for (const control::Record& record : answer.records()) {
    std::map<std::string, std::string> values;
    for (const control::Attribute& a : record.attributes()) values[a.name()] = a.value();
    if (values["lpar_env"] != "vioserver") continue;
    subject.destination.push_back({.name = values["name"],
                                   .id = values["lpar_id"],
                                   .host = values["rmc_ipaddr"],
                                   .mover = values["msp"] == "1" && values["state"] == "Running",
                                   .hostable_slots = {}});
  }
  if (request.resource() == "migr-virtualio") {
    std::set<std::string> wanted = filter_values(request, "lpar_names");
    for (const std::string& id : filter_values(request, "lpar_ids")) wanted.insert(id);
    if (wanted.size() != 1)
      throw std::runtime_error("lslparmigr -r virtualio needs one partition: --filter lpar_names=NAME.");
    subject.partition = partition(*wanted.begin());
    ControlRemote destination(remote);
    for (auto& server : subject.destination)
      server.hostable_slots =
          mover_.hostable_slots(*subject.partition, destination, {.name = server.name, .id = 0});
  }
  if (request.resource() != "migr-msp") return add_record(out, request.resource(), subject);
  // One for each mover here; without one, one that says so.
  for (const auto& server : vios_.servers()) {
    if (!server->config().msp || !server->running()) continue;
    subject.vios = server.get();
    add_record(out, request.resource(), subject);
  }
  if (!subject.vios) add_record(out, request.resource(), subject);
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

control::Outcome ManagedControl::resume(const std::string& file) try {
  const std::shared_ptr<Partition> resumed = mover_.resume(file);
  return outcome(0, "");
} catch (const migration::Refused& refused) {
  std::string text;
  for (const migration::Finding& finding : refused.findings()) text += migration::shown(finding) + "\n";
  return outcome(1, text);
}

/// How an operation of chsysstate changes a Virtual I/O Server. It has no operating system that could be
/// asked to do it, and no profile but one: its shutdown differs from the immediate one in what it waits for.
struct ServerOperation {
  std::string_view name;
  bool stops, starts, immediate;
};
constexpr ServerOperation kServerOperations[] = {
    {"on", false, true, false},   {"shutdown", true, false, false}, {"osshutdown", true, false, false},
    {"immed", true, false, true}, {"reboot", true, true, true},     {"osreboot", true, true, false},
};

control::Outcome ManagedControl::change_server(vios::Vios& server, const std::string& operation) {
  const std::string& name = server.config().name;
  const auto how = std::ranges::find(kServerOperations, operation, &ServerOperation::name);
  if (how == std::end(kServerOperations))
    throw std::runtime_error("There is no operation \"" + operation + "\" on a Virtual I/O Server.");
  for (const auto& partition : system_.partitions()) {
    if (partition->outside_events() && partition->state() != PartitionState::kNotActivated)
      throw std::runtime_error("The partition " + partition->name() +
                               " runs in deterministic mode, where no Virtual I/O Server can be shut down.");
  }
  if (how->stops) need_running(server);
  if (how->stops && !how->immediate) {
    for (const migration::Progress& move : mover_.progress()) {
      if (!move.finished && move.own_mover() == name)
        throw std::runtime_error(
            "The Virtual I/O Server " + name + " moves " + move.partition +
            "; wait for the end of the move, stop it with migrlpar -o s, or give --immed.");
    }
  }
  if (!how->stops && server.running())
    throw std::runtime_error("The Virtual I/O Server " + name + " is already on: its state is Running.");
  if (how->stops) vios_.stop(server);
  if (how->starts) vios_.start(server);
  return outcome(0, "");
}

control::Outcome ManagedControl::change_state(const control::StateRequest& request) {
  if (request.operation() == "resume") return resume(request.file());
  if (vios::Vios* server = system_.find(request.lpar()) ? nullptr : vios_.find(request.lpar()))
    return change_server(*server, request.operation());
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
  if (operation == "suspend") {
    mover_.suspend(p, request.file());
    return outcome(0, "");
  }
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

migration::MoveOptions ManagedControl::options_of(const control::MigrateRequest& request) {
  migration::MoveOptions options;
  options.ignore_vlans = request.ignore_vlans();
  options.ignore_redundancy = request.ignore_redundancy();
  // There is one pool of processors, and it can be named.
  const std::map<std::string, std::string> only = {{"shared_proc_pool_name", "DefaultPool"},
                                                   {"shared_proc_pool_id", "0"}};
  for (const auto& [name, value] : request.attributes()) {
    if (const auto chosen = kMoveAttributes.find(name); chosen != kMoveAttributes.end()) {
      chosen->second(options, value);
    } else if (const auto named = only.find(name); named != only.end()) {
      if (value != named->second)
        throw std::runtime_error(fmt::format(
            "The attribute {} is \"{}\", but there is only {}; leave it out.", name, value, named->second));
    } else {
      std::set<std::string> known;
      for (const auto& [of, set] : kMoveAttributes) known.insert(of);
      for (const auto& [of, there] : only) known.insert(of);
      throw std::runtime_error(
          fmt::format("-i does not know \"{}\"; it knows {}.", name, fmt::join(known, ", ")));
    }
  }
  return options;
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
    for (const migration::Finding& finding : findings) to.add_messages(migration::shown(finding));
    to.set_rc(findings.empty() ? 0 : 1);
  };
  const migration::MoveOptions options = options_of(request);
  if (operation == "v") {
    refuse(out, mover_.validate(*p, *remote_at(request.destination()), options));
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
    move.thread = std::thread([this, p, remote, options, done = move.done] {
      try {
        mover_.migrate(p, *remote, options);
      } catch (const std::exception&) {
        // The mover keeps the error in the progress of the partition.
      }
      *done = true;
    });
    return out;
  }
  try {
    mover_.migrate(p, *remote_at(request.destination()), options);
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
    m->set_postcopy_pages(p.postcopy_pages);
    m->set_postcopy_faults(p.postcopy_faults);
    m->set_postcopy_wait_ms(p.postcopy_wait_ms);
    m->set_postcopy_longest_ms(p.postcopy_longest_ms);
  }
  return out;
}

control::Outcome ManagedControl::vios_command(const control::ViosRequest& request) {
  vios::Vios* server = vios_.find(request.vios());
  if (!server) {
    throw std::runtime_error("The managed system " + system_.identity().name + " has no Virtual I/O Server " +
                             request.vios() + "; it has " + vios_.names() + ".");
  }
  need_running(*server);
  std::string text;
  const int rc = server->padmin(request.command(), text);
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
  out.set_mover(shell.mover);
  return out;
}

void ManagedControl::abandon_shell(control::StreamRequest request) {
  mover_.abandon_shell(request.stream_id());
}

control::Outcome ManagedControl::settle_move(control::StreamRequest request) {
  return outcome(static_cast<int>(mover_.settle(request.stream_id())), "");
}

}  // namespace baton::app
