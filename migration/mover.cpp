// SPDX-License-Identifier: Apache-2.0
// The migration room of one system: validation, and who moves.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <list>
#include <optional>
#include <set>
#include <thread>

#include "hypervisor/compatibility.h"
#include "migration/description.h"
#include "migration/messages.h"
#include "migration/migration.h"
#include "migration/ownership.h"
#include "migration/rmc_agent.h"
#include "migration/shell_profile.h"
#include "migration/source_move.h"
#include "migration/suspend_file.h"
#include "migration/target_move.h"
#include "migration/validation.h"

namespace baton::migration {
namespace {

using hypervisor::Partition;
using hypervisor::PartitionState;
using namespace std::chrono_literals;

constexpr auto kTick = 500ms;
constexpr int kHelloTicks = 60;  ///< How long a restored partition is asked for its agent.
/// Beside those of moves, which cannot be told apart before they have said who they are.
constexpr std::size_t kMostStrangers = 32;
constexpr std::size_t kMostConnections = kMoveLimit * (kMostChannels + 1) + kMostStrangers;

}  // namespace

struct Mover::Private {
  Private(hypervisor::ManagedSystem& managed, vios::VirtualIo& server, const std::string& address,
          const std::string& moves, TlsIdentity identity)
      : system(managed), vios(server), tls(std::move(identity)), listener(address, tls), ownership(moves) {}

  hypervisor::ManagedSystem& system;
  vios::VirtualIo& vios;
  const TlsIdentity tls;
  ListeningSocket listener;
  std::function<void(Partition&, const std::string&)> departure;

  mutable std::mutex lock;
  std::map<const Partition*, std::shared_ptr<GuestAgent>> agents;
  std::map<const Partition*, int> hello_ticks;  ///< Partitions whose agent is asked to announce itself.
  std::list<std::shared_ptr<SourceMove>> sources;
  std::list<std::shared_ptr<TargetMove>> targets;
  std::map<std::string, Progress> history;  ///< The last move of each partition that is over.
  Ownership ownership;
  bool closing = false;
  std::condition_variable closed;

  struct Connection {
    std::thread thread;
    std::shared_ptr<std::atomic<bool>> done = std::make_shared<std::atomic<bool>>(false);
  };
  std::list<Connection> connections;
  std::thread acceptor, ticker;

  std::shared_ptr<GuestAgent> agent(const std::shared_ptr<Partition>& partition);
  void forget_agent(const Partition* partition);
  /// Of running partitions, not counting `except`'s. With the lock held.
  u32 moves_under_way(const Partition* except) const;
  std::shared_ptr<SourceMove> source_of(const std::string& partition) const;
  std::shared_ptr<TargetMove> target_of(u64 stream_id) const;
  Description describe(Partition& partition, bool active, const MoveOptions& options);
  std::vector<Finding> validate(const std::shared_ptr<Partition>& partition, RemoteSystem& remote,
                                Description& description, const MoveOptions& options, bool wait_for_guest,
                                std::optional<Readiness>& readiness);
  std::vector<Finding> check_incoming(const Description& description);
  std::string settle_after_restart(const Ownership::Entry& entry, RemoteSystem* remote);
  void server_stopped(vios::Vios& server);
  void accept_loop();
  void serve(std::unique_ptr<Socket> socket);
  void tick_loop();
  void tick();
};

// -- agents

std::shared_ptr<GuestAgent> Mover::Private::agent(const std::shared_ptr<Partition>& partition) {
  const std::lock_guard hold(lock);
  std::shared_ptr<GuestAgent>& agent = agents[partition.get()];
  if (!agent) agent = std::make_shared<GuestAgent>(partition);
  return agent;
}

void Mover::Private::forget_agent(const Partition* partition) {
  std::shared_ptr<GuestAgent> agent;  // Ends outside the lock.
  const std::lock_guard hold(lock);
  hello_ticks.erase(partition);
  if (const auto found = agents.find(partition); found != agents.end()) {
    agent = std::move(found->second);
    agents.erase(found);
  }
}

// -- who moves

u32 Mover::Private::moves_under_way(const Partition* except) const {
  const auto counts = [except](const auto& move, const Partition& partition) {
    return move->active() && !move->record().get().finished && &partition != except;
  };
  u32 count = 0;
  for (const auto& move : sources) count += counts(move, move->partition());
  for (const auto& move : targets) count += counts(move, *move->partition());
  return count;
}

std::shared_ptr<SourceMove> Mover::Private::source_of(const std::string& partition) const {
  const std::lock_guard hold(lock);
  for (const auto& move : sources) {
    if (move->partition().name() == partition) return move;
  }
  return nullptr;
}

std::shared_ptr<TargetMove> Mover::Private::target_of(u64 stream_id) const {
  const std::lock_guard hold(lock);
  for (const auto& move : targets) {
    if (move->stream_id() == stream_id) return move;
  }
  return nullptr;
}

// -- validation

/// What the destination must know. A disk that cannot be identified has no id.
Description Mover::Private::describe(Partition& partition, bool active, const MoveOptions& options) {
  Description d;
  d.stream_version = kStreamVersion;
  d.source_system = system.identity().name;
  d.source_type_model = system.identity().type_model;
  d.source_serial = system.identity().serial;
  d.active = active;
  d.hpt_bytes = partition.hpt().bytes();
  d.lmb_bytes = system.identity().memory_block;
  d.time_of_day_ns = time_of_day_ns();
  if (active) d.current_mode = partition.mode().name;
  d.wanted_id = options.dest_lpar_id;
  d.ignore_vlans = options.ignore_vlans;
  d.ignore_redundancy = options.ignore_redundancy;
  d.wanted_mappings = options.mappings;
  d.wanted_mover = options.target_mover;
  d.channels = options.channels;
  d.profile = partition.profile();
  for (const auto& disk : d.profile.disks) {
    try {
      const vios::Vios* server = vios.server_of(d.profile, disk.slot);
      d.disk_ids.push_back(server && !disk.optical ? server->unique_id(disk.backing) : "");
    } catch (const std::runtime_error&) {
      d.disk_ids.emplace_back();
    }
  }
  for (auto& slot : d.profile.ethernet) {
    // The address of an adapter stays, even if it was derived from the source's serial number.
    const auto found = partition.adapters().find(slot.slot);
    if (found != partition.adapters().end()) {
      if (const auto* lan = dynamic_cast<const hypervisor::LogicalLan*>(found->second.get()))
        slot.mac = lan->mac();
    }
    std::vector<u16> vlans = slot.vlans;
    vlans.push_back(slot.pvid);
    for (const u16 vlan : vlans) {
      if (vios.bridges_vlan(vlan)) d.bridged_vlans.push_back(vlan);
    }
  }
  return d;
}

std::vector<Finding> Mover::Private::validate(const std::shared_ptr<Partition>& partition,
                                              RemoteSystem& remote, Description& description,
                                              const MoveOptions& options, bool wait_for_guest,
                                              std::optional<Readiness>& readiness) {
  std::vector<Finding> findings;
  const Kinds kind = partition->state() == PartitionState::kNotActivated ? kInactive
                     : options.transparent                               ? kTransparent
                                                                         : kActive;
  description = describe(*partition, kind != kInactive, options);
  // The destination cannot have a logical volume of ours: our own check says so, with a remedy that helps.
  for (std::size_t i = 0; i < description.disk_ids.size(); ++i) {
    const auto& disk = description.profile.disks[i];
    const vios::Vios* server = vios.server_of(description.profile, disk.slot);
    if (server && server->logical_volume(disk.backing)) description.disk_ids[i].clear();
  }
  try {
    if (remote.name() == system.identity().name) {
      findings.push_back(make_finding(Message::kSameSystem, {system.identity().name}));
    } else {
      description.time_of_day_ns = time_of_day_ns();
      const std::vector<Finding> theirs = remote.validate(encode(description));
      findings.insert(findings.end(), theirs.begin(), theirs.end());
    }
  } catch (const std::runtime_error& problem) {
    findings.push_back(make_finding(Message::kPeerUnreachable, {problem.what()}));
  }
  u32 moves;
  {
    const std::lock_guard hold(lock);
    moves = moves_under_way(partition.get());
  }
  SourceSide side{.system = system,
                  .vios = vios,
                  .partition = *partition,
                  .agent = *agent(partition),
                  .moves_under_way = moves,
                  .wait_for_guest = wait_for_guest,
                  .wanted_mover = options.source_mover,
                  .mappings = options.mappings};
  run_checks(source_checks(), kind, side, findings);
  readiness = std::move(side.readiness);
  // Whoever is refused hears everything at once.
  if (readiness && !wait_for_guest && !findings.empty()) {
    if (const auto refusal = readiness->refusal()) findings.push_back(*refusal);
  }
  return findings;
}

std::vector<Finding> Mover::Private::check_incoming(const Description& d) {
  std::vector<Finding> findings;
  u32 moves;
  {
    const std::lock_guard hold(lock);
    moves = moves_under_way(nullptr);
  }
  TargetSide side{system, vios, d, moves};
  run_checks(target_checks(), d.active ? kActive : kInactive, side, findings);
  return findings;
}

/// A mover that is gone ends its moves, or interrupts them.
void Mover::Private::server_stopped(vios::Vios& server) {
  std::vector<std::shared_ptr<SourceMove>> leaving;
  std::vector<std::shared_ptr<TargetMove>> arriving;
  {
    const std::lock_guard hold(lock);
    leaving.assign(sources.begin(), sources.end());
    arriving.assign(targets.begin(), targets.end());
  }
  for (const auto& move : leaving) move->server_stopped(server);
  for (const auto& move : arriving) move->server_stopped(server);
}

// -- threads

void Mover::Private::accept_loop() {
  while (std::unique_ptr<Socket> socket = listener.accept()) {
    const std::lock_guard hold(lock);
    for (auto it = connections.begin(); it != connections.end();) {
      if (*it->done) {
        it->thread.join();
        it = connections.erase(it);
      } else {
        ++it;
      }
    }
    if (closing || connections.size() >= kMostConnections) continue;
    Connection& connection = connections.emplace_back();
    connection.thread = std::thread([this, done = connection.done, s = socket.release()] {
      serve(std::unique_ptr<Socket>(s));
      *done = true;
    });
  }
}

void Mover::Private::serve(std::unique_ptr<Socket> socket) try {
  socket->set_timeout(5s);
  const Preamble preamble = read_preamble(*socket);
  const std::shared_ptr<TargetMove> move = target_of(preamble.stream_id);
  if (!move || !move->take(preamble.key, preamble.channel)) {
    spdlog::warn("migmover: a connection without a valid key was refused");
    return;
  }
  if (preamble.channel == Channel::kDemand) {
    socket->set_timeout(0s);
    move->serve_demand(*socket);
    return;
  }
  if (preamble.channel == Channel::kPages) return move->serve_pages(*socket);
  move->serve(std::move(socket));
  if (move->incomplete()) return;
  if (move->record().get().ok && move->active()) {
    {
      const auto guest = agent(move->partition());
      const std::lock_guard hold(lock);
      hello_ticks[move->partition().get()] = kHelloTicks;
      guest->hello();
    }
    move->settle_memory();
  } else if (!move->record().get().ok) {
    forget_agent(move->partition().get());
  }
} catch (const std::exception& problem) {
  spdlog::warn("migmover: a connection was refused: {}", problem.what());
}

void Mover::Private::tick_loop() {
  std::unique_lock hold(lock);
  while (!closed.wait_for(hold, kTick, [this] { return closing; })) {
    hold.unlock();
    tick();
    hold.lock();
  }
}

void Mover::Private::tick() {
  std::vector<std::shared_ptr<TargetMove>> all_targets;
  std::vector<std::shared_ptr<GuestAgent>> all_agents;
  {
    const std::lock_guard hold(lock);
    all_targets.assign(targets.begin(), targets.end());
    for (const auto& [partition, agent] : agents) all_agents.push_back(agent);
  }
  for (const auto& move : all_targets) {
    move->tick();
    if (!move->over()) continue;
    const std::lock_guard hold(lock);
    if (!move->superseded) history[move->record().get().partition] = move->record().get();
    targets.remove(move);
  }
  const auto partitions = system.partitions();
  for (const auto& agent : all_agents) {
    Partition& partition = agent->partition();
    const bool here = std::any_of(partitions.begin(), partitions.end(),
                                  [&](const auto& p) { return p.get() == &partition; });
    if (!here) {
      forget_agent(&partition);
      continue;
    }
    const PartitionState state = partition.state();
    if (state != PartitionState::kRunning && state != PartitionState::kShuttingDown) agent->forget();
    const std::lock_guard hold(lock);
    const auto ask = hello_ticks.find(&partition);
    if (ask == hello_ticks.end()) continue;
    if (agent->active() || --ask->second == 0)
      hello_ticks.erase(ask);
    else
      agent->hello();
  }
}

// -- Mover

Mover::Mover(hypervisor::ManagedSystem& system, vios::VirtualIo& vios, const std::string& listen_address,
             const std::string& moves_file, std::shared_ptr<const devices::TlsIdentity> tls)
    : p_(std::make_unique<Private>(system, vios, listen_address, moves_file, std::move(tls))) {
  vios.on_stop([this](vios::Vios& server) { p_->server_stopped(server); });
  // The checks have seen what is in its drives.
  vios.before_media_change([this](const Partition& partition) {
    if (p_->source_of(partition.name()))
      throw std::runtime_error(make_finding(Message::kBeingMoved, {partition.name()}).text);
  });
  p_->acceptor = std::thread([this] { p_->accept_loop(); });
  p_->ticker = std::thread([this] { p_->tick_loop(); });
}

Mover::~Mover() {
  p_->vios.on_stop({});
  p_->vios.before_media_change({});
  shut_down();
  p_->listener.shut_down();
  p_->acceptor.join();
  p_->ticker.join();
  for (auto& connection : p_->connections) connection.thread.join();
}

void Mover::shut_down() {
  std::vector<std::shared_ptr<SourceMove>> sources;
  std::vector<std::shared_ptr<TargetMove>> targets;
  {
    const std::lock_guard hold(p_->lock);
    p_->closing = true;
    p_->closed.notify_all();
    sources.assign(p_->sources.begin(), p_->sources.end());
    targets.assign(p_->targets.begin(), p_->targets.end());
  }
  for (const auto& move : sources) move->shut_down();
  for (const auto& move : targets) move->shut_down();
}

void Mover::on_departure(std::function<void(Partition&, const std::string&)> callback) {
  const std::lock_guard hold(p_->lock);
  p_->departure = std::move(callback);
}

std::shared_ptr<GuestAgent> Mover::agent(const std::shared_ptr<Partition>& partition) {
  return p_->agent(partition);
}

std::vector<Finding> Mover::validate(Partition& partition, RemoteSystem& remote, const MoveOptions& options) {
  const std::shared_ptr<Partition> shared = p_->system.find(partition.name());
  if (!shared || p_->source_of(partition.name()))
    return {make_finding(Message::kBeingMoved, {partition.name()})};
  Description description;
  std::optional<Readiness> readiness;
  std::vector<Finding> findings = p_->validate(shared, remote, description, options, true, readiness);
  if (readiness) readiness->undo();
  return findings;
}

void Mover::migrate(const std::shared_ptr<Partition>& partition, RemoteSystem& remote,
                    const MoveOptions& options) {
  const bool active = partition->state() != PartitionState::kNotActivated;
  std::string remote_name;
  try {
    remote_name = remote.name();
  } catch (const std::runtime_error& problem) {
    throw Refused({make_finding(Message::kPeerUnreachable, {problem.what()})});
  }
  const auto guest = p_->agent(partition);
  std::shared_ptr<SourceMove> move;
  {
    const std::lock_guard hold(p_->lock);
    if (p_->closing) throw std::runtime_error("The managed system stops.");
    for (const auto& other : p_->sources) {
      if (&other->partition() == partition.get())
        throw Refused({make_finding(Message::kBeingMoved, {partition->name()})});
    }
    for (const auto& other : p_->targets) {
      if (other->partition() == partition && !other->record().get().finished) {
        throw Refused({make_finding(Message::kBeingMoved, {partition->name()})});
      }
    }
    if (active && p_->moves_under_way(nullptr) >= kMoveLimit) {
      throw Refused(
          {make_finding(Message::kTooManyMoves, {p_->system.identity().name, std::to_string(kMoveLimit)})});
    }
    move =
        std::make_shared<SourceMove>(p_->system, p_->vios, p_->tls, p_->ownership, partition, guest, active,
                                     remote_name, options, [this](Partition& leaving, const std::string& to) {
                                       p_->forget_agent(&leaving);
                                       decltype(p_->departure) callback;
                                       {
                                         const std::lock_guard inner(p_->lock);
                                         callback = p_->departure;
                                       }
                                       if (callback) callback(leaving, to);
                                     });
    p_->sources.push_back(move);
    for (const auto& other : p_->targets) {
      if (other->partition() == partition) other->superseded = true;
    }
  }
  const auto drop = [&] {
    const std::lock_guard hold(p_->lock);
    p_->history[partition->name()] = move->record().get();
    p_->sources.remove(move);
  };
  Description description;
  std::optional<Readiness> readiness;
  try {
    const std::vector<Finding> findings =
        p_->validate(partition, remote, description, options, false, readiness);
    if (!findings.empty()) throw Refused(findings);
    if (description.active != active) {
      throw Refused({make_finding(Message::kWrongState,
                                  {partition->name(), hypervisor::to_string(partition->state())})});
    }
  } catch (const std::runtime_error& problem) {
    if (readiness) readiness->undo();
    move->give_up(problem.what());
    drop();
    throw;
  }
  try {
    move->run(remote, description, std::move(readiness));
  } catch (const std::runtime_error&) {
    // A move in doubt stays in the list until migrlpar -o r settles it.
    if (!move->in_doubt()) drop();
    throw;
  }
  drop();
}

void Mover::stop(Partition& partition) {
  const std::shared_ptr<SourceMove> move = p_->source_of(partition.name());
  if (!move) throw std::runtime_error(make_finding(Message::kNotMoving, {partition.name()}).text);
  move->stop();
}

std::string Mover::recover(const std::string& partition_name, RemoteSystem* remote) {
  if (const std::shared_ptr<SourceMove> move = p_->source_of(partition_name)) {
    if (move->serving_in_vain() && !move->in_doubt()) {
      move->drop();
      return "The pages of " + partition_name + " that are here are given up.";
    }
    if (!move->in_doubt()) {
      throw std::runtime_error("The move of " + partition_name +
                               " is under way; stop it with migrlpar -o s first.");
    }
    if (!remote) {
      throw std::runtime_error("The outcome of the move of " + partition_name +
                               " can only be settled by its destination; name it with -t.");
    }
    const std::string text = move->settle(*remote);
    const std::lock_guard hold(p_->lock);
    p_->history[partition_name] = move->record().get();
    p_->sources.remove(move);
    return text;
  }
  std::shared_ptr<TargetMove> left_over;
  {
    const std::lock_guard hold(p_->lock);
    for (const auto& move : p_->targets) {
      if (move->partition()->name() == partition_name && !move->record().get().finished) left_over = move;
    }
  }
  if (left_over) {
    if (left_over->lose()) return left_over->record().get().error;
    if (left_over->incomplete())
      return "The partition " + partition_name + " runs here; the last of its pages are on their way.";
    if (left_over->call_off("The move was recovered: the shell is removed.")) {
      return "The partition " + partition_name + " has arrived here; nothing was left to do.";
    }
    return "The shell of " + partition_name + " was removed.";
  }
  const auto entries = p_->ownership.entries();
  const auto entry = entries.find(partition_name);
  if (entry != entries.end() && entry->second.where == Ownership::Where::kInDoubt)
    return p_->settle_after_restart(entry->second, remote);
  const std::lock_guard hold(p_->lock);
  const auto last = p_->history.find(partition_name);
  if (last == p_->history.end()) {
    throw std::runtime_error("There is no move of " + partition_name + " to recover on this system.");
  }
  const bool failed = !last->second.ok;
  p_->history.erase(last);
  return failed ? "The failed move of " + partition_name + " left nothing behind; its record was cleared."
                : "The move of " + partition_name + " had completed; its record was cleared.";
}

/// A move was under way when an earlier process of this system ended.
std::string Mover::Private::settle_after_restart(const Ownership::Entry& entry, RemoteSystem* remote) {
  const std::string& name = entry.profile.name;
  if (!remote) {
    throw std::runtime_error("The outcome of the move of " + name +
                             " can only be settled by its destination " + entry.remote +
                             "; name it with -t.");
  }
  if (remote->settle(entry.stream_id) == RemoteSystem::Outcome::kNotOwned) {
    ownership.stays(entry.stream_id);
    system.create(entry.profile);
    return "The partition " + name + " had not been started on " + entry.remote +
           "; it is defined here again.";
  }
  ownership.left(entry.stream_id);
  return "The partition " + name + " had been started on " + entry.remote +
         "; it is not defined here any more.";
}

std::vector<hypervisor::Profile> Mover::define(std::vector<hypervisor::Profile> configured) const {
  const auto entries = p_->ownership.entries();
  const std::string& record = p_->ownership.path();
  std::erase_if(configured, [&](const hypervisor::Profile& profile) {
    const auto found = entries.find(profile.name);
    if (found == entries.end() || found->second.where == Ownership::Where::kHere) return false;
    if (found->second.where == Ownership::Where::kElsewhere) {
      spdlog::warn("The partition {} has moved to {} and is not defined here (recorded in {}).", profile.name,
                   found->second.remote, record);
    }
    return true;
  });
  for (const auto& [name, entry] : entries) {
    if (entry.where == Ownership::Where::kInDoubt) {
      spdlog::warn(
          "The partition {} was being moved to {} when this system ended and is not defined until it is "
          "known who has it; run migrlpar -o r -m {} -t {} -p {}.",
          name, entry.remote, p_->system.identity().name, entry.remote, name);
    }
    if (entry.where != Ownership::Where::kHere ||
        std::ranges::any_of(configured, [&](const auto& profile) { return profile.name == name; }))
      continue;
    configured.push_back(entry.profile);
    configured.back().auto_start = false;  // What ran here was lost.
  }
  return configured;
}

std::vector<Finding> Mover::validate_incoming(const std::string& description) {
  try {
    return p_->check_incoming(decode(description));
  } catch (const std::runtime_error& problem) {
    return {make_finding(Message::kBadDescription, {p_->system.identity().name, problem.what()})};
  }
}

RemoteSystem::Shell Mover::create_shell(const std::string& bytes, u64 stream_id) {
  if (stream_id == 0 || p_->target_of(stream_id)) throw std::runtime_error("The stream id is not usable.");
  const Description description = decode(bytes);
  const std::vector<Finding> findings = p_->check_incoming(description);
  if (!findings.empty()) throw Refused(findings);
  const hypervisor::Profile profile = shell_profile(p_->system, p_->vios, description);
  auto move =
      std::make_shared<TargetMove>(p_->system, p_->vios, description, profile, stream_id, p_->ownership);
  p_->agent(move->partition());
  {
    const std::lock_guard hold(p_->lock);
    if (!p_->closing) {
      p_->targets.push_back(move);
      return {p_->listener.address(), key_to_hex(move->key()), move->partition()->id(),
              move->record().get().target_mover};
    }
  }
  move->call_off("The destination system stops.");
  throw std::runtime_error("The destination system stops.");
}

void Mover::abandon_shell(u64 stream_id) {
  if (const std::shared_ptr<TargetMove> move = p_->target_of(stream_id))
    move->call_off(std::string(kCalledOff));
}

RemoteSystem::Outcome Mover::settle(u64 stream_id) {
  using enum RemoteSystem::Outcome;
  const std::shared_ptr<TargetMove> move = p_->target_of(stream_id);
  const auto owned = [&] { return move && move->incomplete() ? kIncomplete : kOwned; };
  // In this order: it may become ours, without all its pages, between the two questions.
  if (p_->ownership.arrived(stream_id)) return owned();
  // An unknown stream has no key any more, so that nothing can come of it.
  return move && move->call_off("The source lost the connection.") ? owned() : kNotOwned;
}

u64 Mover::suspend(const std::shared_ptr<Partition>& partition, const std::string& path) {
  const PartitionState state = partition->state();
  if (state == PartitionState::kNotActivated || state == PartitionState::kError) {
    throw std::runtime_error("The partition " + partition->name() + " is in state " +
                             hypervisor::to_string(state) + "; only one that is on can be suspended.");
  }
  if (partition->outside_events()) {
    throw std::runtime_error("The partition " + partition->name() +
                             " runs in deterministic mode, where it cannot be suspended.");
  }
  const Progress move = progress_of(partition->name());
  if (move.stream_id && !move.finished)
    throw std::runtime_error(make_finding(Message::kBeingMoved, {partition->name()}).text);
  // Wherever it is resumed, its drives are empty.
  for (const vios::Mapping& drive : p_->vios.loaded_drives(*partition))
    throw std::runtime_error(
        make_finding(Message::kOptical, {drive.backing, drive.vtd, partition->name()}).text);
  const u64 bytes =
      suspend_to_file(p_->system, p_->vios, partition, p_->describe(*partition, true, {}), path);
  p_->forget_agent(partition.get());
  decltype(p_->departure) callback;
  {
    const std::lock_guard hold(p_->lock);
    callback = p_->departure;
  }
  if (callback) callback(*partition, "the file " + path);
  return bytes;
}

std::shared_ptr<Partition> Mover::resume(const std::string& path, const MoveOptions& options) {
  Description description = decode(description_in(path));
  description.active = false;  // No mover takes part, and clocks may differ: time has passed.
  description.wanted_id = options.dest_lpar_id;
  description.ignore_vlans = options.ignore_vlans;
  const std::vector<Finding> findings = p_->check_incoming(description);
  if (!findings.empty()) throw Refused(findings);
  const std::shared_ptr<Partition> partition =
      resume_from_file(p_->system, p_->vios, shell_profile(p_->system, p_->vios, description), path);
  const auto guest = p_->agent(partition);
  const std::lock_guard hold(p_->lock);
  p_->hello_ticks[partition.get()] = kHelloTicks;
  guest->hello();
  return partition;
}

std::vector<Progress> Mover::progress() const {
  const std::lock_guard hold(p_->lock);
  std::vector<Progress> out;
  for (const auto& move : p_->sources) out.push_back(move->record().get());
  for (const auto& move : p_->targets) {
    if (!move->superseded) out.push_back(move->record().get());
  }
  for (const auto& [name, last] : p_->history) {
    if (std::none_of(out.begin(), out.end(), [&](const Progress& p) { return p.partition == name; }))
      out.push_back(last);
  }
  return out;
}

Progress Mover::progress_of(const std::string& partition_name) const {
  for (Progress& p : progress()) {
    if (p.partition == partition_name) return p;
  }
  Progress none;
  none.partition = partition_name;
  none.migration_state = phase::kNone;
  return none;
}

std::vector<u32> Mover::hostable_slots(Partition& partition, RemoteSystem& remote,
                                       const vios::ServerName& server) {
  const Description whole = p_->describe(partition, false, {});
  const std::set<std::string> not_hosted = {make_finding(Message::kNoLun).code,
                                            make_finding(Message::kMapping).code};
  std::vector<u32> out;
  for (const auto& slot : whole.profile.scsi) {
    Description one = whole;
    one.profile.scsi = {slot};
    if (server.given()) one.wanted_mappings = {{slot.slot, server, 0}};
    one.profile.disks.clear();
    one.disk_ids.clear();
    bool identified = true;
    for (std::size_t i = 0; i < whole.profile.disks.size(); ++i) {
      if (whole.profile.disks[i].slot != slot.slot) continue;
      one.profile.disks.push_back(whole.profile.disks[i]);
      one.disk_ids.push_back(whole.disk_ids[i]);
      identified &= whole.profile.disks[i].optical || !whole.disk_ids[i].empty();
    }
    const std::vector<Finding> findings = remote.validate(encode(one));
    const bool hosted =
        std::ranges::none_of(findings, [&](const Finding& f) { return not_hosted.contains(f.code); });
    if (identified && hosted) out.push_back(slot.slot);
  }
  return out;
}

std::string Mover::address() const { return p_->listener.address(); }
u32 Mover::active_limit() const { return kMoveLimit; }

}  // namespace baton::migration
