// SPDX-License-Identifier: Apache-2.0
// The Virtual I/O Server of a managed system (DESIGN 6): partition 1 wherever a user looks.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "devices/block.h"
#include "devices/ethernet.h"
#include "hypervisor/system.h"

namespace baton::vios {

/// Configuration of the VIOS.
struct ViosConfig {
  std::string name = "vios1";
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

class MoverService;
class VscsiServer;
class EthernetSwitch;

/// One row of `lsmap -all`.
struct Mapping {
  std::string svsa;     ///< "vhost0"
  std::string physloc;  ///< "U9117.MMA.10BA70A-V1-C12"
  u32 client_id = 0;
  std::string vtd, status, lun, backing, backing_physloc;
};

class Vios final : public hypervisor::IoServer {
 public:
  /// Opens nothing yet but the uplink. Throws std::runtime_error for the user.
  Vios(hypervisor::ManagedSystem& system, ViosConfig config);
  ~Vios() override;

  const ViosConfig& config() const { return config_; }

  void attach(hypervisor::Partition& partition) override;
  void detach(hypervisor::Partition& partition) override;

  std::vector<Mapping> mappings() const;
  /// The hdisk here that is the LUN with this unique id; empty if it is not visible.
  std::string hdisk_by_unique_id(const std::string& unique_id) const;
  /// How an hdisk is configured; nullptr: there is none of that name.
  const ViosConfig::Disk* disk(const std::string& hdisk) const;
  u32 free_virtual_slots() const;
  /// Unique id of an hdisk; throws std::runtime_error when it cannot be opened.
  std::string unique_id(const std::string& hdisk) const;
  /// The hdisk exists and can be opened.
  bool hdisk_usable(const std::string& hdisk) const;
  bool bridges_vlan(u16 vlan) const;
  bool mac_in_use(const std::array<u8, 6>& mac) const;
  /// True if each virtual SCSI client of the partition announced the migration capability (MAD type 5).
  bool clients_migratable(hypervisor::Partition& partition) const;

  // -- mobility
  /// Null: it is no mover service partition.
  MoverService* mover_service();
  /// Destination: connects adapters and opens the disks, but takes no reservation (the shell partition).
  void attach_shell(hypervisor::Partition& partition);
  /// Source at suspension: finishes every request in flight, drops what was not started, answers nothing
  /// more; then gives up the write reservations. On return no write of this partition can reach a disk from
  /// here.
  void quiesce(hypervisor::Partition& partition);
  /// Takes the reservations again (source after an abort) or for the first time (destination before Resumed).
  /// Throws std::runtime_error naming disk and holder.
  void resume(hypervisor::Partition& partition);
  /// Sends a RARP for each MAC of the partition out of the SEA, and again for some seconds.
  void announce(hypervisor::Partition& partition);

  /// A padmin command ("lsmap -all", "lsdev -virtual", "ioslevel", "help"): its output; rc non-zero and one
  /// sentence on a wrong command.
  int padmin(const std::string& command, std::string& output);

 private:
  struct Private;
  hypervisor::ManagedSystem& system_;
  ViosConfig config_;
  std::unique_ptr<Private> p_;
};

}  // namespace baton::vios
