// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>
#include <stdexcept>

#include "devices/file_block.h"
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
  for (const auto& group : config_.volume_groups)
    groups_.push_back(std::make_unique<VolumeGroup>(group.name, group.directory, group.bytes));
  for (const auto& wanted : config_.logical_volumes) {
    const auto found = logical_volume(wanted.name);
    if (!found) {
      make_logical_volume(wanted.name, wanted.group, wanted.bytes);
    } else if (found->group != wanted.group || found->bytes != wanted.bytes) {
      throw std::runtime_error(
          "The logical volume " + wanted.name + " of " + config_.name + " is in " + found->group +
          " and has " + std::to_string(found->bytes >> 20) +
          " MB already; write that in the configuration, or take it out there and remove "
          "the volume with rmlv.");
    }
  }
  if (config_.msp) p_->mover_service = std::make_unique<MoverService>(system.vasi());
}

Vios::~Vios() = default;

bool Vios::running() const { return p_->running; }
MoverService* Vios::mover_service() { return p_->mover_service.get(); }

// -- names

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
  const std::string kind = disk.optical ? "vtopt" : "vtscsi";
  u32 number = 0;
  while (taken(kind + std::to_string(number))) number++;
  return vtds[key] = kind + std::to_string(number);
}

std::shared_ptr<OpticalDrive> Vios::Private::drive(const std::string& partition,
                                                   const hypervisor::DiskMapping& disk) {
  auto& found = drives[{partition, disk.slot, disk.target}];
  // Another drive in another system, but the same one to its partition after a move.
  if (!found)
    found = std::make_shared<OpticalDrive>("vtopt " + partition + " " + std::to_string(disk.slot) + " " +
                                           std::to_string(disk.target));
  return found;
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
      if (scsi.units.contains(disk.target))
        fail("target " + std::to_string(disk.target) + " of slot " + std::to_string(slot.slot) +
             " is used twice");
      if (disk.optical) {
        scsi.units[disk.target] = drive(client.partition->name(), disk);
      } else {
        if (!vios.disk(disk.backing) && !vios.logical_volume(disk.backing))
          fail("the VIOS " + vios.config_.name + " has no disk " + disk.backing);
        scsi.units[disk.target] = std::make_shared<ScsiDisk>(client.open(vios, disk.backing));
      }
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
    for (const auto& [target, unit] : scsi.units) scsi.server->map(target, unit);
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
  std::erase_if(p_->drives, [&](const auto& entry) {
    return std::ranges::none_of(
        partitions, [&](const auto& partition) { return partition->name() == std::get<0>(entry.first); });
  });

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
      row.client_slot = slot.slot;
      auto& rows = by_number[vhost.number];
      for (const auto& disk : profile.disks) {
        if (disk.slot != slot.slot) continue;
        Mapping target = row;
        target.vtd = p_->vtd(profile.id, disk);
        target.lun = lun_text(disk.target);
        if (disk.optical) {
          const auto medium = p_->drive(profile.name, disk)->medium();
          target.kind = Mapping::Kind::kOptical;
          target.backing = medium ? medium->name() : "";
          target.status = "Available";
        } else {
          if (logical_volume(disk.backing)) target.kind = Mapping::Kind::kLogicalVolume;
          target.backing = disk.backing;
          target.status = usable(disk.backing) ? "Available" : "Defined";
          target.backing_physloc = disk_location(*this, system_.identity(), disk.backing);
        }
        rows.push_back(std::move(target));
      }
      if (rows.empty()) rows.push_back(std::move(row));
    }
  }
  std::vector<Mapping> all;
  for (auto& [number, rows] : by_number) all.insert(all.end(), rows.begin(), rows.end());
  return all;
}

const ViosConfig::Disk* Vios::disk(const std::string& hdisk) const {
  const auto found = std::ranges::find(config_.disks, hdisk, &ViosConfig::Disk::name);
  return found == config_.disks.end() ? nullptr : &*found;
}

std::optional<LogicalVolume> Vios::logical_volume(const std::string& name) const {
  for (const auto& group : groups_)
    if (auto found = group->find(name)) return found;
  return {};
}

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

std::shared_ptr<devices::BlockDevice> Vios::open(const std::string& backing) const {
  if (const auto* hdisk = disk(backing)) return devices::open_block_device(hdisk->uri);
  if (const auto volume = logical_volume(backing))
    return devices::open_file_block(volume->path, volume->path, volume->unique_id);
  throw std::runtime_error("the VIOS " + config_.name + " has no disk " + backing);
}

std::string Vios::unique_id(const std::string& backing) const { return open(backing)->unique_id(); }

bool Vios::usable(const std::string& backing) const {
  try {
    unique_id(backing);
    return true;
  } catch (const std::runtime_error&) {
    return false;
  }
}

std::string Vios::backing_by_unique_id(const std::string& unique_id) const {
  for (const auto& disk : config_.disks) {
    try {
      if (devices::open_block_device(disk.uri)->unique_id() == unique_id) return disk.name;
    } catch (const std::runtime_error&) {  // A disk that cannot be opened is not visible.
    }
  }
  for (const auto& group : groups_)
    for (const LogicalVolume& volume : group->volumes())
      if (volume.unique_id == unique_id) return volume.name;
  return "";
}

bool Vios::bridges_vlan(u16 vlan) const {
  return !config_.uplink.empty() &&
         std::ranges::find(config_.bridged_vlans, vlan) != config_.bridged_vlans.end();
}

// -- logical volumes

LogicalVolume Vios::make_logical_volume(const std::string& name, const std::string& group, u64 bytes) {
  const auto found = std::ranges::find(groups_, group, [](const auto& each) { return each->name(); });
  if (found == groups_.end())
    throw std::runtime_error("the VIOS " + config_.name + " has no volume group " + group +
                             "; lsvg lists those that it has");
  if (disk(name) || logical_volume(name))
    throw std::runtime_error("the VIOS " + config_.name + " has a disk " + name +
                             " already; give the logical volume another name");
  return (*found)->create(name, bytes);
}

void Vios::remove_logical_volume(const std::string& name) {
  const auto volume = logical_volume(name);
  if (!volume)
    throw std::runtime_error("the VIOS " + config_.name + " has no logical volume " + name +
                             "; lsvg -lv lists those that it has");
  for (const Mapping& mapping : mappings()) {
    if (mapping.kind == Mapping::Kind::kLogicalVolume && mapping.backing == name)
      throw std::runtime_error("the logical volume " + name + " is mapped to partition number " +
                               std::to_string(mapping.client_id) + " by " + mapping.vtd +
                               "; take it out of that partition first");
  }
  const auto group = std::ranges::find(groups_, volume->group, [](const auto& each) { return each->name(); });
  (*group)->remove(name);
}

// -- optical media

std::shared_ptr<OpticalDrive> Vios::drive_to_change(const std::string& vtd) {
  std::shared_ptr<hypervisor::Partition> owner;
  std::shared_ptr<OpticalDrive> drive;
  std::function<void(const hypervisor::Partition&)> ask;
  {
    const auto partitions = system_.partitions();
    std::lock_guard guard(p_->fabric.lock);
    ask = p_->fabric.before_media_change;
    for (const auto& partition : partitions) {
      const auto& profile = partition->profile();
      for (const auto& disk : profile.disks) {
        const auto slot = std::ranges::find(profile.scsi, disk.slot, &hypervisor::VirtualScsiSlot::slot);
        if (slot == profile.scsi.end() || slot->server_id != config_.id) continue;
        if (p_->vtd(profile.id, disk) != vtd) continue;
        if (!disk.optical) throw std::runtime_error(vtd + " is a disk, not a drive; lsvopt lists the drives");
        owner = partition;
        drive = p_->drive(profile.name, disk);
      }
    }
  }
  if (!drive) throw std::runtime_error("there is no virtual optical device " + vtd + "; lsvopt lists them");
  if (owner->outside_events() && owner->state() != hypervisor::PartitionState::kNotActivated)
    throw std::runtime_error(
        "the partition " + owner->name() + " of " + vtd +
        " runs in deterministic mode, where no medium can be changed; shut it down first");
  if (ask) ask(*owner);
  return drive;
}

const std::string& Vios::media_repository() const {
  if (config_.media.empty())
    throw std::runtime_error("the VIOS " + config_.name +
                             " has no media repository; give media = \"DIRECTORY\" in its [vios]");
  return config_.media;
}

void Vios::load_medium(const std::string& vtd, const std::string& medium, bool release) {
  const std::string& repository = media_repository();
  if (medium.empty() || medium[0] == '.' || medium.find('/') != std::string::npos)
    throw std::runtime_error("a medium has the name of a file in the media repository, not \"" + medium +
                             "\"; lsrep lists them");
  const auto drive = drive_to_change(vtd);
  const auto image = std::make_shared<const OpticalMedium>(medium, repository + "/" + medium);
  if (release) drive->unload(true);
  if (drive->load(image)) return;
  const auto inside = drive->medium();
  throw std::runtime_error("there is a medium" + (inside ? " (" + inside->name() + ")" : "") + " in " + vtd +
                           " already; unload it with unloadopt, or give -release");
}

void Vios::unload_medium(const std::string& vtd, bool release) {
  const auto drive = drive_to_change(vtd);
  if (!drive->medium()) throw std::runtime_error("there is no medium in " + vtd);
  if (!drive->unload(release))
    throw std::runtime_error("the client has locked the medium in " + vtd +
                             "; unmount it there, or give -release");
}

}  // namespace baton::vios
