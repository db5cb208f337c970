// SPDX-License-Identifier: Apache-2.0
#include "vios/virtual_io.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "vios/private.h"

namespace baton::vios {

using hypervisor::LogicalLan;
using hypervisor::Partition;

// -- the LUNs of a partition

std::shared_ptr<devices::BlockDevice> Fabric::Client::open(const Vios& server, const std::string& backing) {
  std::shared_ptr<devices::BlockDevice> device = server.open(backing);
  const ViosConfig::Disk disk = server.disk(backing)
                                    ? *server.disk(backing)
                                    : ViosConfig::Disk{.name = backing, .uri = "logical volume"};
  // Two descriptors of one file would be two holders of its reservation.
  const Lun& lun = luns.try_emplace(device->unique_id(), Lun{&server, disk, device}).first->second;
  constexpr std::string_view kOneServer = "single_path";
  for (const ViosConfig::Disk* end : {&lun.disk, &disk}) {
    if (lun.server == &server || end->reserve_policy != kOneServer) continue;
    throw std::runtime_error("partition " + partition->name() + ": " + lun.disk.name + " of " +
                             lun.server->config().name + " and " + disk.name + " of " + server.config().name +
                             " are one LUN, and the reserve policy of " + end->name +
                             " lets one server use it; set reserve_policy = \"no_reserve\" for both");
  }
  return lun.device;
}

void Fabric::Client::reserve(const hypervisor::SystemIdentity& identity) {
  const std::string owner = "system " + identity.name + ", partition " + partition->name();
  for (auto& [unique_id, lun] : luns) {
    std::string holder;
    const auto error = lun.device->reserve(owner, &holder);
    if (error == 0) continue;
    if (!reserved) release();
    const std::string why =
        error == EBUSY ? fmt::format("is in use by {}; shut that partition down, or map another disk", holder)
                       : fmt::format("cannot be reserved: {}", std::strerror(error));
    throw std::runtime_error(
        fmt::format("partition {}: disk {} ({}) {}", partition->name(), lun.disk.name, lun.disk.uri, why));
  }
  reserved = true;
}

void Fabric::Client::release() {
  for (auto& [unique_id, lun] : luns) lun.device->release();
  reserved = false;
}

Fabric::Client* Fabric::find(Partition& partition) {
  const auto found = clients.find(partition.id());
  return found == clients.end() || found->second.partition != &partition ? nullptr : &found->second;
}

// -- the servers

VirtualIo::VirtualIo(hypervisor::ManagedSystem& system, std::vector<ViosConfig> configs)
    : system_(system), fabric_(std::make_unique<Fabric>()) {
  for (ViosConfig& config : configs)
    servers_.push_back(std::unique_ptr<Vios>(new Vios(system, std::move(config), *fabric_)));
  try {
    for (const auto& server : servers_) start(*server);
  } catch (...) {
    for (const auto& server : servers_) server->p_->close_bridge();
    throw;
  }
}

VirtualIo::~VirtualIo() {
  if (system_.io_server() == this) system_.set_io_server(nullptr);
  stopped_ = {};
  std::lock_guard guard(fabric_->lock);
  for (const auto& server : servers_)
    while (!server->p_->attachments.empty()) server->p_->disconnect(server->p_->attachments.begin()->first);
  for (auto& [id, client] : fabric_->clients) {
    for (auto& lan : client.lans) {
      lan.adapter->connect(nullptr);
      fabric_->lan_switch.remove(lan.port);
    }
  }
  for (const auto& server : servers_) server->p_->close_bridge();
}

Vios* VirtualIo::find(const std::string& name_or_id) const {
  for (const auto& server : servers_)
    if (server->config().name == name_or_id) return server.get();
  for (const auto& server : servers_)
    if (std::to_string(server->config().id) == name_or_id) return server.get();
  return nullptr;
}

Vios* VirtualIo::find(u32 id) const {
  const auto found = std::ranges::find(servers_, id, [](const auto& server) { return server->config().id; });
  return found == servers_.end() ? nullptr : found->get();
}

Vios* VirtualIo::server_of(const hypervisor::Profile& profile, u32 slot) const {
  const auto found = std::ranges::find(profile.scsi, slot, &hypervisor::VirtualScsiSlot::slot);
  return found == profile.scsi.end() ? nullptr : find(found->server_id);
}

std::string VirtualIo::names() const {
  std::string all;
  for (const auto& server : servers_) all += (all.empty() ? "" : ", ") + server->config().name;
  return all;
}

std::string VirtualIo::server_name(u32 id) const {
  const Vios* server = find(id);
  return server ? server->config().name : "";
}

Vios* VirtualIo::find(const ServerName& name) const {
  const auto found =
      std::ranges::find_if(servers_, [&](const auto& server) { return name.means(server->config()); });
  return found == servers_.end() ? nullptr : found->get();
}

Vios* VirtualIo::mover(const ServerName& name) const {
  for (const auto& server : servers_) {
    const bool asked = !name.given() || name.means(server->config());
    if (asked && server->config().msp && server->running()) return server.get();
  }
  return nullptr;
}

void VirtualIo::on_stop(std::function<void(Vios&)> callback) {
  std::lock_guard guard(fabric_->lock);
  stopped_ = std::move(callback);
}

void VirtualIo::before_media_change(std::function<void(const Partition&)> callback) {
  std::lock_guard guard(fabric_->lock);
  fabric_->before_media_change = std::move(callback);
}

void VirtualIo::stop(Vios& server) {
  std::function<void(Vios&)> stopped;
  {
    std::lock_guard guard(fabric_->lock);
    if (!server.running()) return;
    server.p_->running = false;
    if (server.p_->mover_service) server.p_->mover_service->stop();
    while (!server.p_->attachments.empty()) server.p_->disconnect(server.p_->attachments.begin()->first);
    server.p_->close_bridge();
    elect_bridges();
    stopped = stopped_;
  }
  if (stopped) stopped(server);
}

void VirtualIo::start(Vios& server) {
  // The client's initialization message (VIO 1): it logs in as after a start of its own.
  constexpr hypervisor::CrqEntry kInitialize{0xC001000000000000, 0};
  std::lock_guard guard(fabric_->lock);
  if (server.running()) return;
  server.p_->open_bridge(server.config());
  if (server.p_->mover_service) server.p_->mover_service->start();
  server.p_->running = true;
  for (auto& [id, client] : fabric_->clients) {
    const auto luns = client.luns;
    try {
      server.p_->prepare(server, client);
      if (client.reserved) client.reserve(system_.identity());
    } catch (const std::runtime_error& problem) {
      // The others are served; this one has its other paths, if any.
      spdlog::error("{}: {}: {}", system_.identity().name, server.config().name, problem.what());
      server.p_->attachments.erase(id);
      client.luns = luns;
      continue;
    }
    server.p_->connect(server, client);
    if (!client.reserved) continue;
    for (auto& scsi : server.p_->attachments[id]) scsi.adapter->deliver(kInitialize);
  }
  elect_bridges();
}

/// Each VLAN goes through one Shared Ethernet Adapter, or frames would go round: that of the first server
/// which is on and has it. One that takes a VLAN over says so to the switches outside.
void VirtualIo::elect_bridges() {
  std::vector<u16> taken;
  for (const auto& server : servers_) {
    auto& sea = server->p_->sea;
    if (!sea) continue;
    std::vector<u16> its, gained;
    for (const u16 vlan : server->config().bridged_vlans) {
      if (std::ranges::find(taken, vlan) != taken.end()) continue;
      taken.push_back(vlan);
      its.push_back(vlan);
      if (std::ranges::find(sea->vlans, vlan) == sea->vlans.end()) gained.push_back(vlan);
    }
    if (its == sea->vlans) continue;
    server->p_->bridge(server->config(), std::move(its));
    if (gained.empty()) continue;
    for (auto& [id, client] : fabric_->clients)
      if (client.reserved) server->p_->announce(server->config(), client, gained);
  }
}

// -- partitions

void VirtualIo::connect(Partition& partition) {
  if (const auto found = fabric_->clients.find(partition.id()); found != fabric_->clients.end()) {
    if (found->second.partition == &partition) return;
    // A partition of the same number that is no more.
    for (const auto& server : servers_) server->p_->disconnect(partition.id());
    for (auto& lan : found->second.lans) fabric_->lan_switch.remove(lan.port);
    fabric_->clients.erase(found);
  }
  Fabric::Client client;
  client.partition = &partition;
  client.id = partition.id();
  const hypervisor::Profile& profile = partition.profile();
  const auto fail = [&](const std::string& why) {
    throw std::runtime_error("partition " + partition.name() + ": " + why);
  };

  // Everything that can fail comes before the first adapter is connected.
  for (const auto& slot : profile.scsi)
    if (!find(slot.server_id))
      fail("slot " + std::to_string(slot.slot) + " is served by partition number " +
           std::to_string(slot.server_id) + ", which is no Virtual I/O Server");
  for (const auto& disk : profile.disks)
    if (!server_of(profile, disk.slot))
      fail("disk " + disk.backing + " is mapped to slot " + std::to_string(disk.slot) +
           ", which is not a virtual SCSI adapter");
  for (const auto& slot : profile.ethernet) {
    auto* adapter = dynamic_cast<LogicalLan*>(partition.adapter(0x30000000 | slot.slot));
    if (!adapter) fail("slot " + std::to_string(slot.slot) + " has no virtual Ethernet adapter");
    client.lans.push_back({adapter, nullptr, &slot});
  }
  try {
    for (const auto& server : servers_)
      if (server->running()) server->p_->prepare(*server, client);
  } catch (...) {
    for (const auto& server : servers_) server->p_->attachments.erase(client.id);
    throw;
  }

  for (const auto& server : servers_)
    if (server->running()) server->p_->connect(*server, client);
  for (auto& lan : client.lans) {
    lan.port = fabric_->lan_switch.add(
        {lan.slot->pvid, lan.slot->vlans},
        [adapter = lan.adapter](std::span<const u8> frame) { adapter->receive(frame); });
    lan.adapter->connect(lan.port);
  }
  fabric_->clients[partition.id()] = std::move(client);
}

void VirtualIo::attach_shell(Partition& partition) {
  std::lock_guard guard(fabric_->lock);
  connect(partition);
}

void VirtualIo::attach(Partition& partition) {
  try {
    std::lock_guard guard(fabric_->lock);
    connect(partition);
    Fabric::Client& client = *fabric_->find(partition);
    client.reserve(system_.identity());
    client.quiet = false;  // It may be left over from a move that failed.
    for (const auto& server : servers_)
      for (auto& scsi : server->p_->attachments[partition.id()]) scsi.server->resume();
  } catch (...) {
    detach(partition);
    throw;
  }
}

void VirtualIo::detach(Partition& partition) {
  std::lock_guard guard(fabric_->lock);
  Fabric::Client* client = fabric_->find(partition);
  if (!client) return;
  for (auto& lan : client->lans) {
    lan.adapter->connect(nullptr);
    fabric_->lan_switch.remove(lan.port);
  }
  for (const auto& server : servers_) server->p_->disconnect(partition.id());
  client->release();
  fabric_->clients.erase(partition.id());
}

void VirtualIo::quiesce(Partition& partition) {
  std::lock_guard guard(fabric_->lock);
  Fabric::Client* client = fabric_->find(partition);
  if (!client) return;
  client->quiet = true;
  for (const auto& server : servers_) {
    // It is about to be announced elsewhere.
    if (server->p_->sea) server->p_->sea->announcer->cancel(partition.id());
    for (auto& scsi : server->p_->attachments[partition.id()]) scsi.server->quiesce();
  }
  client->release();
}

void VirtualIo::resume(Partition& partition) {
  std::lock_guard guard(fabric_->lock);
  Fabric::Client* client = fabric_->find(partition);
  if (!client) throw std::runtime_error("partition " + partition.name() + ": its adapters are not connected");
  client->reserve(system_.identity());
  client->quiet = false;
  for (const auto& server : servers_)
    for (auto& scsi : server->p_->attachments[partition.id()]) scsi.server->resume();
}

void VirtualIo::announce(Partition& partition) {
  std::lock_guard guard(fabric_->lock);
  Fabric::Client* client = fabric_->find(partition);
  if (!client) return;
  for (const auto& server : servers_)
    if (server->p_->sea) server->p_->announce(server->config(), *client, server->p_->sea->vlans);
}

// -- questions

bool VirtualIo::bridges_vlan(u16 vlan) const {
  return std::ranges::any_of(
      servers_, [&](const auto& server) { return server->running() && server->bridges_vlan(vlan); });
}

std::vector<Mapping> VirtualIo::loaded_drives(const Partition& partition) const {
  std::vector<Mapping> found;
  for (const auto& server : servers_) {
    for (Mapping& mapping : server->mappings()) {
      const bool loaded = mapping.kind == Mapping::Kind::kOptical && !mapping.backing.empty();
      if (loaded && mapping.client_id == partition.id()) found.push_back(std::move(mapping));
    }
  }
  return found;
}

bool VirtualIo::mac_in_use(const std::array<u8, 6>& mac) const {
  for (const auto& partition : system_.partitions())
    for (const auto& [slot, adapter] : partition->adapters())
      if (const auto* lan = dynamic_cast<const LogicalLan*>(adapter.get()); lan && lan->mac() == mac)
        return true;
  return false;
}

bool VirtualIo::clients_migratable(Partition& partition) const {
  std::lock_guard guard(fabric_->lock);
  if (!fabric_->find(partition)) return false;
  return std::ranges::all_of(servers_, [&](const auto& server) {
    const auto found = server->p_->attachments.find(partition.id());
    return found == server->p_->attachments.end() ||
           std::ranges::all_of(found->second, [](const auto& scsi) { return scsi.server->migratable(); });
  });
}

}  // namespace baton::vios
