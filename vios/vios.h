// SPDX-License-Identifier: Apache-2.0
// A Virtual I/O Server of a managed system (DESIGN 6): a partition wherever a user looks.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "devices/block.h"
#include "devices/ethernet.h"
#include "hypervisor/system.h"
#include "vios/volume_group.h"

namespace baton::vios {

/// Configuration of a VIOS.
struct ViosConfig {
  std::string name = "vios1";
  u32 id = 1;  ///< Its partition number.
  struct Disk {
    std::string name;                           ///< "hdisk0"
    std::string uri;                            ///< "file:/san/lun0.img"
    std::string reserve_policy = "no_reserve";  ///< Or "single_path", which keeps partitions from moving.
  };
  std::vector<Disk> disks;  ///< LUNs of the SAN.
  struct VolumeGroup {
    std::string name;       ///< "datavg"
    std::string directory;  ///< Where its logical volumes are.
    u64 bytes = 0;
  };
  std::vector<VolumeGroup> volume_groups;
  struct LogicalVolume {
    std::string name, group;
    u64 bytes = 0;
  };
  std::vector<LogicalVolume> logical_volumes;  ///< Those are made with the server that are not there yet.
  std::string media;                           ///< Directory of images for optical drives; empty: none.
  std::string uplink;                          ///< libvdeplug locator of the SEA; empty: no SEA.
  bool msp = true;                    ///< It is a mover service partition: running partitions can move.
  u32 max_virtual_slots = 1000;       ///< Its server adapters are in lower slots.
  std::vector<u16> bridged_vlans{1};  ///< VLANs that the SEA bridges; the first is the untagged one.
};

/// How an administrator names a server: by its name, its partition number, or both.
struct ServerName {
  std::string name;  ///< Empty: any.
  u32 id = 0;        ///< 0: any.
  bool given() const { return !name.empty() || id; }
  bool means(const ViosConfig& server) const {
    return given() && (name.empty() || name == server.name) && (!id || id == server.id);
  }
  std::string text() const;  ///< "vios1", "number 1", "vios1 (number 1)"
};

class MoverService;
class OpticalDrive;
struct Fabric;

/// One row of `lsmap -all`.
struct Mapping {
  std::string svsa;     ///< "vhost0"
  std::string physloc;  ///< "U9117.MMA.10BA70A-V1-C12"
  u32 client_id = 0;
  u32 client_slot = 0;
  std::string vtd, status, lun, backing, backing_physloc;  ///< Of a drive, `backing` is its medium.
  enum class Kind : u8 { kDisk, kLogicalVolume, kOptical } kind = Kind::kDisk;
};

const char* to_string(Mapping::Kind kind);  ///< "disk", "lv", "file_opt": as lsmap's -type names it.

/// Made, started and stopped by VirtualIo, which also connects partitions to it.
class Vios final {
 public:
  ~Vios();

  const ViosConfig& config() const { return config_; }
  /// Whether it is on. Questions about its configuration are answered all the same.
  bool running() const;

  std::vector<Mapping> mappings() const;
  /// The hdisk or logical volume here with this unique id; empty if none is visible.
  std::string backing_by_unique_id(const std::string& unique_id) const;
  /// How an hdisk is configured; nullptr: there is none of that name.
  const ViosConfig::Disk* disk(const std::string& hdisk) const;
  u32 free_virtual_slots() const;
  /// The slot here to which a partition's virtual SCSI client is wired.
  u32 server_slot(u32 partition, const hypervisor::VirtualScsiSlot& slot) const;
  /// Null: there is none of that name.
  std::optional<LogicalVolume> logical_volume(const std::string& name) const;
  /// Opens an hdisk or a logical volume; throws std::runtime_error.
  std::shared_ptr<devices::BlockDevice> open(const std::string& backing) const;
  /// Unique id of an hdisk or a logical volume; throws std::runtime_error when it cannot be opened.
  std::string unique_id(const std::string& backing) const;
  /// It exists and can be opened.
  bool usable(const std::string& backing) const;
  /// Its SEA is configured with this VLAN, be it the one that bridges it now or the one that stands by.
  bool bridges_vlan(u16 vlan) const;
  /// Null: it is no mover service partition. It says itself whether it runs.
  MoverService* mover_service();

  /// A padmin command ("lsmap -all", "lsdev -virtual", "ioslevel", "help"): its output; rc non-zero and one
  /// sentence on a wrong command.
  int padmin(const std::string& command, std::string& output);

  // -- optical media
  /// Loads an image of the media repository into a drive that has no medium or, with `release`, instead of
  /// the one that it has. Throws std::runtime_error with one sentence.
  void load_medium(const std::string& vtd, const std::string& medium, bool release);
  /// Takes the medium out; with `release` even if the client has locked it in. Throws as above.
  void unload_medium(const std::string& vtd, bool release);

  // -- logical volumes
  const std::vector<std::unique_ptr<VolumeGroup>>& volume_groups() const { return groups_; }
  /// Throws std::runtime_error with one sentence.
  LogicalVolume make_logical_volume(const std::string& name, const std::string& group, u64 bytes);
  /// Throws as above, also when a partition's profile has it.
  void remove_logical_volume(const std::string& name);

 private:
  friend class VirtualIo;
  struct Private;
  struct Padmin;
  /// Throws std::runtime_error when there is none.
  const std::string& media_repository() const;
  /// The drive of that name, if its medium may be changed now; throws std::runtime_error.
  std::shared_ptr<OpticalDrive> drive_to_change(const std::string& vtd);
  Vios(hypervisor::ManagedSystem& system, ViosConfig config, Fabric& fabric);

  hypervisor::ManagedSystem& system_;
  ViosConfig config_;
  std::vector<std::unique_ptr<VolumeGroup>> groups_;
  std::unique_ptr<Private> p_;
};

}  // namespace baton::vios
