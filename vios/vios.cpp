// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>
#include <stdexcept>

#include "vios/private.h"

namespace baton::vios {

using hypervisor::CrqAdapter;
using hypervisor::LogicalLan;
using hypervisor::Partition;

namespace {

constexpr u32 kFirstServerSlot = 11;
constexpr u32 kHighestTarget = 63;

}  // namespace

Vios::Vios(hypervisor::ManagedSystem& system, ViosConfig config)
    : system_(system), config_(std::move(config)), p_(std::make_unique<Private>()) {
  if (config_.msp) p_->mover_service = std::make_unique<MoverService>(system.vasi());
  if (config_.uplink.empty() || config_.bridged_vlans.empty()) return;
  EthernetSwitch::PortConfig trunk;
  trunk.pvid = config_.bridged_vlans.front();
  trunk.vlans.assign(config_.bridged_vlans.begin() + 1, config_.bridged_vlans.end());
  p_->trunk = p_->lan_switch.add(std::move(trunk), [this](std::span<const u8> frame) {
    if (auto* lan = p_->uplink.load()) lan->send(frame);
  });
  p_->lan =
      devices::open_lan(config_.uplink, [this](std::span<const u8> frame) { p_->trunk->transmit(frame); });
  p_->uplink = p_->lan.get();
  p_->announcer =
      std::make_unique<Announcer>([lan = p_->lan.get()](std::span<const u8> frame) { lan->send(frame); });
}

Vios::~Vios() {
  if (system_.io_server() == this) system_.set_io_server(nullptr);
  p_->announcer.reset();
  for (auto& [id, attachment] : p_->attachments) p_->disconnect(attachment);
  p_->uplink = nullptr;
  p_->lan.reset();  // Ends its thread before the switch goes.
}

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

Vios::Private::Attachment& Vios::Private::connect(Vios& vios, Partition& partition) {
  if (const auto found = attachments.find(partition.id()); found != attachments.end()) {
    if (found->second.partition == &partition) return found->second;
    disconnect(found->second);  // A partition of the same number that is no more.
    attachments.erase(found);
  }
  Attachment attachment;
  attachment.partition = &partition;
  attachment.partition_id = partition.id();
  const hypervisor::Profile& profile = partition.profile();
  const auto fail = [&](const std::string& why) {
    throw std::runtime_error("partition " + partition.name() + ": " + why);
  };

  // Everything that can fail comes before the first adapter is connected.
  for (const auto& slot : profile.scsi) {
    auto* adapter = dynamic_cast<CrqAdapter*>(partition.adapter(0x30000000 | slot.slot));
    if (!adapter) fail("slot " + std::to_string(slot.slot) + " has no virtual SCSI adapter");
    vhost(partition.id(), slot);
    attachment.scsi.push_back({adapter, nullptr, {}});
    auto& scsi = attachment.scsi.back();
    for (const auto& disk : profile.disks) {
      if (disk.slot != slot.slot) continue;
      if (disk.target > kHighestTarget)
        fail("disk " + disk.backing + ": target " + std::to_string(disk.target) + " is above " +
             std::to_string(kHighestTarget));
      if (std::ranges::find(scsi.disks, disk.target, &Attachment::Disk::target) != scsi.disks.end())
        fail("target " + std::to_string(disk.target) + " of slot " + std::to_string(slot.slot) +
             " is used twice");
      const auto* known = find(vios.config_, disk.backing);
      if (!known) fail("the VIOS has no disk " + disk.backing);
      scsi.disks.push_back({disk.target, disk.backing, known->uri, devices::open_block_device(known->uri)});
    }
  }
  for (const auto& disk : profile.disks)
    if (std::ranges::find(profile.scsi, disk.slot, &hypervisor::VirtualScsiSlot::slot) == profile.scsi.end())
      fail("disk " + disk.backing + " is mapped to slot " + std::to_string(disk.slot) +
           ", which is not a virtual SCSI adapter");
  for (const auto& slot : profile.ethernet) {
    auto* adapter = dynamic_cast<LogicalLan*>(partition.adapter(0x30000000 | slot.slot));
    if (!adapter) fail("slot " + std::to_string(slot.slot) + " has no virtual Ethernet adapter");
    attachment.lans.push_back({adapter, nullptr, &slot});
  }

  for (auto& scsi : attachment.scsi) {
    scsi.server = std::make_unique<VscsiServer>(
        VscsiServer::Client{*scsi.adapter->tce(),
                            [adapter = scsi.adapter](const auto& entry) { return adapter->deliver(entry); }},
        vios.config_.name);
    for (const auto& disk : scsi.disks)
      scsi.server->map(disk.target, std::make_shared<ScsiDisk>(disk.device));
    scsi.adapter->connect(scsi.server.get());
  }
  for (auto& lan : attachment.lans) {
    lan.port =
        lan_switch.add({lan.slot->pvid, lan.slot->vlans},
                       [adapter = lan.adapter](std::span<const u8> frame) { adapter->receive(frame); });
    lan.adapter->connect(lan.port);
  }
  return attachments[partition.id()] = std::move(attachment);
}

void Vios::Private::disconnect(Attachment& attachment) {
  if (announcer && attachment.partition_id) announcer->cancel(attachment.partition_id);
  for (auto& lan : attachment.lans) {
    lan.adapter->connect(nullptr);
    lan_switch.remove(lan.port);
  }
  for (auto& scsi : attachment.scsi) {
    scsi.server->quiesce();
    for (auto& disk : scsi.disks) disk.device->release();
    scsi.adapter->connect(nullptr);
    scsi.server.reset();
  }
  attachment.lans.clear();
  attachment.scsi.clear();
}

void Vios::Private::reserve(Vios& vios, Attachment& attachment) {
  const Partition& partition = *attachment.partition;
  const std::string owner = "system " + vios.system_.identity().name + ", partition " + partition.name();
  for (auto& scsi : attachment.scsi) {
    for (auto& disk : scsi.disks) {
      std::string holder;
      const auto error = disk.device->reserve(owner, &holder);
      if (error == 0) continue;
      release(attachment);
      const std::string what =
          "partition " + partition.name() + ": disk " + disk.hdisk + " (" + disk.uri + ") ";
      if (error == EBUSY)
        throw std::runtime_error(what + "is in use by " + holder +
                                 "; shut that partition down, or map another disk");
      throw std::runtime_error(what + "cannot be reserved: " + std::strerror(error));
    }
  }
}

void Vios::Private::release(Attachment& attachment) {
  for (auto& scsi : attachment.scsi)
    for (auto& disk : scsi.disks) disk.device->release();
}

Vios::Private::Attachment* Vios::Private::find(Partition& partition) {
  const auto found = attachments.find(partition.id());
  return found == attachments.end() || found->second.partition != &partition ? nullptr : &found->second;
}

MoverService* Vios::mover_service() { return p_->mover_service.get(); }

void Vios::attach_shell(Partition& partition) {
  std::lock_guard guard(p_->lock);
  p_->connect(*this, partition);
}

void Vios::attach(Partition& partition) {
  std::lock_guard guard(p_->lock);
  auto& attachment = p_->connect(*this, partition);
  try {
    p_->reserve(*this, attachment);
    for (auto& scsi : attachment.scsi) scsi.server->resume();  // It may be left over from a move that failed.
  } catch (...) {
    p_->disconnect(attachment);
    p_->attachments.erase(partition.id());
    throw;
  }
}

void Vios::detach(Partition& partition) {
  std::lock_guard guard(p_->lock);
  auto* attachment = p_->find(partition);
  if (!attachment) return;
  p_->disconnect(*attachment);
  p_->attachments.erase(partition.id());
}

void Vios::quiesce(Partition& partition) {
  std::lock_guard guard(p_->lock);
  auto* attachment = p_->find(partition);
  if (!attachment) return;
  if (p_->announcer) p_->announcer->cancel(partition.id());  // It is about to be announced elsewhere.
  for (auto& scsi : attachment->scsi) scsi.server->quiesce();
  p_->release(*attachment);
}

void Vios::resume(Partition& partition) {
  std::lock_guard guard(p_->lock);
  auto* attachment = p_->find(partition);
  if (!attachment)
    throw std::runtime_error("partition " + partition.name() + ": its adapters are not connected");
  p_->reserve(*this, *attachment);
  for (auto& scsi : attachment->scsi) scsi.server->resume();
}

// -- questions

std::vector<Mapping> Vios::mappings() const {
  const auto partitions = system_.partitions();
  std::lock_guard guard(p_->lock);
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
      const auto vhost = p_->vhost(profile.id, slot);
      Mapping row;
      row.svsa = "vhost" + std::to_string(vhost.number);
      row.physloc = location(system_.identity(), vhost.server_slot);
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
  return p_->trunk && std::ranges::find(config_.bridged_vlans, vlan) != config_.bridged_vlans.end();
}

bool Vios::mac_in_use(const std::array<u8, 6>& mac) const {
  for (const auto& partition : system_.partitions())
    for (const auto& [slot, adapter] : partition->adapters())
      if (const auto* lan = dynamic_cast<const LogicalLan*>(adapter.get()); lan && lan->mac() == mac)
        return true;
  return false;
}

bool Vios::clients_migratable(Partition& partition) const {
  std::lock_guard guard(p_->lock);
  const auto* attachment = p_->find(partition);
  return attachment &&
         std::ranges::all_of(attachment->scsi, [](const auto& scsi) { return scsi.server->migratable(); });
}

void Vios::announce(Partition& partition) {
  std::lock_guard guard(p_->lock);
  const auto* attachment = p_->find(partition);
  if (!attachment || !p_->announcer) return;
  Announcer::Frames frames;
  for (const auto& lan : attachment->lans) {
    auto vlans = lan.slot->vlans;
    vlans.push_back(lan.slot->pvid);
    for (const u16 vlan : vlans) {
      if (!bridges_vlan(vlan)) continue;
      const bool untagged = vlan == config_.bridged_vlans.front();
      frames.push_back(make_announcement(lan.adapter->mac(), untagged ? 0 : vlan));
    }
  }
  p_->announcer->start(partition.id(), std::move(frames));
}

}  // namespace baton::vios
