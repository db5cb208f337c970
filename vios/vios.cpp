// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>
#include <stdexcept>

#include "vios/private.h"

namespace baton::vios {

using hypervisor::CrqAdapter;

namespace {

constexpr u32 kFirstServerSlot = 11;
constexpr u32 kHighestTarget = 63;

}  // namespace

std::string ServerName::text() const {
  const std::string number = "number " + std::to_string(id);
  return !id ? name : name.empty() ? number : name + " (" + number + ")";
}

Vios::Vios(hypervisor::ManagedSystem& system, ViosConfig config, Fabric& fabric)
    : system_(system), config_(std::move(config)), p_(std::make_unique<Private>(fabric)) {
  if (config_.msp) p_->mover_service = std::make_unique<MoverService>(system.vasi());
}

Vios::~Vios() = default;

bool Vios::running() const { return p_->running; }
MoverService* Vios::mover_service() { return p_->mover_service.get(); }

// -- names

const ViosConfig::Disk* Vios::Private::find(const ViosConfig& config, const std::string& hdisk) {
  const auto found = std::ranges::find(config.disks, hdisk, &ViosConfig::Disk::name);
  return found == config.disks.end() ? nullptr : &*found;
}

Vios::Private::Vhost Vios::Private::vhost(u32 partition, const hypervisor::VirtualScsiSlot& slot) {
  const auto key = std::make_pair(partition, slot.slot);
  if (const auto found = vhosts.find(key); found != vhosts.end()) return found->second;
  const auto taken = [&](auto member, u32 value) {
    return std::ranges::any_of(vhosts, [&](const auto& entry) { return entry.second.*member == value; });
  };
  Vhost made;
  while (taken(&Vhost::number, made.number)) made.number++;
  made.server_slot = slot.server_slot ? slot.server_slot : kFirstServerSlot + made.number;
  while (!slot.server_slot && taken(&Vhost::server_slot, made.server_slot)) made.server_slot++;
  return vhosts[key] = made;
}

std::string Vios::Private::vtd(u32 partition, const hypervisor::DiskMapping& disk) {
  if (!disk.vtd.empty()) return disk.vtd;
  const auto key = std::make_tuple(partition, disk.slot, disk.target);
  if (const auto found = vtds.find(key); found != vtds.end()) return found->second;
  const auto taken = [&](const std::string& name) {
    return std::ranges::any_of(vtds, [&](const auto& entry) { return entry.second == name; });
  };
  u32 number = 0;
  while (taken("vtscsi" + std::to_string(number))) number++;
  return vtds[key] = "vtscsi" + std::to_string(number);
}

// -- attachment

void Vios::Private::prepare(const Vios& vios, Fabric::Client& client) {
  const hypervisor::Profile& profile = client.partition->profile();
  const auto fail = [&](const std::string& why) {
    throw std::runtime_error("partition " + client.partition->name() + ": " + why);
  };
  std::vector<Scsi> prepared;
  for (const auto& slot : profile.scsi) {
    if (slot.server_id != vios.config_.id) continue;
    auto* adapter = dynamic_cast<CrqAdapter*>(client.partition->adapter(0x30000000 | slot.slot));
    if (!adapter) fail("slot " + std::to_string(slot.slot) + " has no virtual SCSI adapter");
    vhost(client.id, slot);
    Scsi scsi{adapter, {}, nullptr};
    for (const auto& disk : profile.disks) {
      if (disk.slot != slot.slot) continue;
      if (disk.target > kHighestTarget)
        fail("disk " + disk.backing + ": target " + std::to_string(disk.target) + " is above " +
             std::to_string(kHighestTarget));
      if (scsi.disks.contains(disk.target))
        fail("target " + std::to_string(disk.target) + " of slot " + std::to_string(slot.slot) +
             " is used twice");
      const auto* known = find(vios.config_, disk.backing);
      if (!known) fail("the VIOS " + vios.config_.name + " has no disk " + disk.backing);
      scsi.disks[disk.target] = client.open(vios, *known);
    }
    prepared.push_back(std::move(scsi));
  }
  attachments[client.id] = std::move(prepared);
}

void Vios::Private::connect(const Vios& vios, Fabric::Client& client) {
  for (auto& scsi : attachments[client.id]) {
    scsi.server = std::make_unique<VscsiServer>(
        VscsiServer::Client{*scsi.adapter->tce(),
                            [adapter = scsi.adapter](const auto& entry) { return adapter->deliver(entry); }},
        vios.config_.name, vios.config_.id);
    for (const auto& [target, device] : scsi.disks)
      scsi.server->map(target, std::make_shared<ScsiDisk>(device));
    if (client.quiet) scsi.server->quiesce();
    scsi.adapter->connect(scsi.server.get());
  }
}

/// On return no server writes to a disk of the partition.
void Vios::Private::disconnect(u32 client) {
  if (sea && sea->announcer) sea->announcer->cancel(client);
  const auto found = attachments.find(client);
  if (found == attachments.end()) return;
  for (auto& scsi : found->second) {
    if (!scsi.server) continue;
    scsi.server->quiesce();
    scsi.adapter->connect(nullptr);
  }
  attachments.erase(found);
}

// -- Shared Ethernet Adapter

void Vios::Private::open_bridge(const ViosConfig& config) {
  if (config.uplink.empty() || config.bridged_vlans.empty()) return;
  sea = std::make_unique<Bridge>();
  Bridge& made = *sea;
  made.trunk = fabric.lan_switch.add({.pvid = 0, .vlans = {}}, [&made](std::span<const u8> frame) {
    if (auto* lan = made.uplink.load()) lan->send(frame);
  });
  try {
    made.lan = devices::open_lan(config.uplink,
                                 [trunk = made.trunk](std::span<const u8> frame) { trunk->transmit(frame); });
  } catch (...) {
    fabric.lan_switch.remove(made.trunk);
    sea.reset();
    throw;
  }
  made.uplink = made.lan.get();
  made.announcer =
      std::make_unique<Announcer>([lan = made.lan.get()](std::span<const u8> frame) { lan->send(frame); });
}

void Vios::Private::close_bridge() {
  if (!sea) return;
  sea->announcer.reset();
  fabric.lan_switch.change(sea->trunk, {.pvid = 0, .vlans = {}});  // On return nobody sends to the uplink.
  sea->uplink = nullptr;
  sea->lan.reset();  // Ends its thread before the port goes.
  fabric.lan_switch.remove(sea->trunk);
  sea.reset();
}

void Vios::Private::bridge(const ViosConfig& config, std::vector<u16> vlans) {
  if (!sea) return;
  EthernetSwitch::PortConfig trunk{.pvid = 0, .vlans = {}};
  for (const u16 vlan : vlans) {
    if (vlan == config.bridged_vlans.front())
      trunk.pvid = vlan;
    else
      trunk.vlans.push_back(vlan);
  }
  fabric.lan_switch.change(sea->trunk, std::move(trunk));
  sea->vlans = std::move(vlans);
}

void Vios::Private::announce(const ViosConfig& config, Fabric::Client& client,
                             const std::vector<u16>& among) {
  if (!sea) return;
  Announcer::Frames frames;
  for (const auto& lan : client.lans) {
    auto vlans = lan.slot->vlans;
    vlans.push_back(lan.slot->pvid);
    for (const u16 vlan : vlans) {
      if (std::ranges::find(sea->vlans, vlan) == sea->vlans.end() ||
          std::ranges::find(among, vlan) == among.end())
        continue;
      const bool untagged = vlan == config.bridged_vlans.front();
      frames.push_back(make_announcement(lan.adapter->mac(), untagged ? 0 : vlan));
    }
  }
  if (!frames.empty()) sea->announcer->start(client.id, std::move(frames));
}

// -- questions

std::vector<Mapping> Vios::mappings() const {
  const auto partitions = system_.partitions();
  std::lock_guard guard(p_->fabric.lock);
  // Numbers of partitions that are no more become free.
  const auto gone = [&](u32 id) {
    return std::ranges::none_of(partitions, [&](const auto& partition) { return partition->id() == id; });
  };
  std::erase_if(p_->vhosts, [&](const auto& entry) { return gone(entry.first.first); });
  std::erase_if(p_->vtds, [&](const auto& entry) { return gone(std::get<0>(entry.first)); });

  std::map<u32, std::vector<Mapping>> by_number;
  for (const auto& partition : partitions) {
    const auto& profile = partition->profile();
    for (const auto& slot : profile.scsi) {
      if (slot.server_id != config_.id) continue;
      const auto vhost = p_->vhost(profile.id, slot);
      Mapping row;
      row.svsa = "vhost" + std::to_string(vhost.number);
      row.physloc = location(system_.identity(), config_.id, vhost.server_slot);
      row.client_id = profile.id;
      auto& rows = by_number[vhost.number];
      for (const auto& disk : profile.disks) {
        if (disk.slot != slot.slot) continue;
        Mapping target = row;
        target.vtd = p_->vtd(profile.id, disk);
        target.lun = lun_text(disk.target);
        target.backing = disk.backing;
        target.status = hdisk_usable(disk.backing) ? "Available" : "Defined";
        target.backing_physloc = disk_location(*this, system_.identity(), disk.backing);
        rows.push_back(std::move(target));
      }
      if (rows.empty()) rows.push_back(std::move(row));
    }
  }
  std::vector<Mapping> all;
  for (auto& [number, rows] : by_number) all.insert(all.end(), rows.begin(), rows.end());
  return all;
}

const ViosConfig::Disk* Vios::disk(const std::string& hdisk) const { return Private::find(config_, hdisk); }

u32 Vios::free_virtual_slots() const {
  std::set<std::string> used;
  for (const Mapping& mapping : mappings()) used.insert(mapping.svsa);
  const u32 taken = kFirstServerSlot + static_cast<u32>(used.size());
  return config_.max_virtual_slots > taken ? config_.max_virtual_slots - taken : 0;
}

u32 Vios::server_slot(u32 partition, const hypervisor::VirtualScsiSlot& slot) const {
  std::lock_guard guard(p_->fabric.lock);
  return p_->vhost(partition, slot).server_slot;
}

std::string Vios::unique_id(const std::string& hdisk) const {
  const auto* disk = Private::find(config_, hdisk);
  if (!disk) throw std::runtime_error("the VIOS " + config_.name + " has no disk " + hdisk);
  return devices::open_block_device(disk->uri)->unique_id();
}

bool Vios::hdisk_usable(const std::string& hdisk) const {
  try {
    unique_id(hdisk);
    return true;
  } catch (const std::runtime_error&) {
    return false;
  }
}

std::string Vios::hdisk_by_unique_id(const std::string& unique_id) const {
  for (const auto& disk : config_.disks) {
    try {
      if (devices::open_block_device(disk.uri)->unique_id() == unique_id) return disk.name;
    } catch (const std::runtime_error&) {  // A disk that cannot be opened is not visible.
    }
  }
  return "";
}

bool Vios::bridges_vlan(u16 vlan) const {
  return !config_.uplink.empty() &&
         std::ranges::find(config_.bridged_vlans, vlan) != config_.bridged_vlans.end();
}

}  // namespace baton::vios
