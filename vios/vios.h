// SPDX-License-Identifier: Apache-2.0
// A Virtual I/O Server of a managed system (DESIGN 6): a partition wherever a user looks.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "devices/block.h"
#include "devices/ethernet.h"
#include "hypervisor/system.h"

namespace baton::vios {

/// Configuration of a VIOS.
struct ViosConfig {
  std::string name = "vios1";
  u32 id = 1;  ///< Its partition number.
  struct Disk {
    std::string name;                           ///< "hdisk0"
    std::string uri;                            ///< "file:/san/lun0.img"
    std::string reserve_policy = "no_reserve";  ///< Or "single_path", which keeps partitions from moving.
    std::string kind = "lun";                   ///< Or "logical_volume", "optical": neither can move.
  };
  std::vector<Disk> disks;
  std::string uplink;                 ///< libvdeplug locator of the SEA; empty: no SEA.
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
struct Fabric;

/// One row of `lsmap -all`.
struct Mapping {
  std::string svsa;     ///< "vhost0"
  std::string physloc;  ///< "U9117.MMA.10BA70A-V1-C12"
  u32 client_id = 0;
  std::string vtd, status, lun, backing, backing_physloc;
};

/// Made, started and stopped by VirtualIo, which also connects partitions to it.
class Vios final {
 public:
  ~Vios();

  const ViosConfig& config() const { return config_; }
  /// Whether it is on. Questions about its configuration are answered all the same.
  bool running() const;

  std::vector<Mapping> mappings() const;
  /// The hdisk here that is the LUN with this unique id; empty if it is not visible.
  std::string hdisk_by_unique_id(const std::string& unique_id) const;
  /// How an hdisk is configured; nullptr: there is none of that name.
  const ViosConfig::Disk* disk(const std::string& hdisk) const;
  u32 free_virtual_slots() const;
  /// The slot here to which a partition's virtual SCSI client is wired.
  u32 server_slot(u32 partition, const hypervisor::VirtualScsiSlot& slot) const;
  /// Unique id of an hdisk; throws std::runtime_error when it cannot be opened.
  std::string unique_id(const std::string& hdisk) const;
  /// The hdisk exists and can be opened.
  bool hdisk_usable(const std::string& hdisk) const;
  /// Its SEA is configured with this VLAN, be it the one that bridges it now or the one that stands by.
  bool bridges_vlan(u16 vlan) const;
  /// Null: it is no mover service partition. It says itself whether it runs.
  MoverService* mover_service();

  /// A padmin command ("lsmap -all", "lsdev -virtual", "ioslevel", "help"): its output; rc non-zero and one
  /// sentence on a wrong command.
  int padmin(const std::string& command, std::string& output);

 private:
  friend class VirtualIo;
  struct Private;
  Vios(hypervisor::ManagedSystem& system, ViosConfig config, Fabric& fabric);

  hypervisor::ManagedSystem& system_;
  ViosConfig config_;
  std::unique_ptr<Private> p_;
};

}  // namespace baton::vios
