// SPDX-License-Identifier: Apache-2.0
// The Virtual I/O Servers of a managed system, and what they share: the virtual Ethernet switch and the LUNs
// of its partitions.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "hypervisor/system.h"
#include "vios/vios.h"

namespace baton::vios {

/// A partition's adapters may be served by several servers. A LUN is opened and reserved once for a
/// partition, by the managed system, however many of its paths lead there: the reservation stays while any
/// server is shut down, and keeps another system from writing.
class VirtualIo final : public hypervisor::IoServer {
 public:
  /// The servers are on, in the order of their preference as Shared Ethernet Adapters. Opens nothing yet but
  /// their uplinks. Throws std::runtime_error for the user.
  VirtualIo(hypervisor::ManagedSystem& system, std::vector<ViosConfig> configs);
  ~VirtualIo() override;

  std::span<const std::unique_ptr<Vios>> servers() const { return servers_; }
  Vios* find(const std::string& name_or_id) const;  ///< nullptr: there is none.
  Vios* find(u32 id) const;
  Vios* find(const ServerName& name) const;
  /// The server of a partition's virtual SCSI slot; nullptr: of neither there is one.
  Vios* server_of(const hypervisor::Profile& profile, u32 slot) const;
  /// "vios1, vios2"
  std::string names() const;

  // -- the state of a server
  /// Shuts one down. What runs is finished, the clients of its adapters get the transport event of a partner
  /// that is gone, another Shared Ethernet Adapter takes its VLANs over, moves through its mover end.
  void stop(Vios& server);
  /// Starts one. Its clients are asked to log in again. Throws std::runtime_error if its uplink cannot be
  /// had.
  void start(Vios& server);
  /// Called after a server was shut down, from the thread that did.
  void on_stop(std::function<void(Vios&)> callback);
  /// Asked, with no lock held, before a medium of a partition is changed: refuses by std::runtime_error with
  /// one sentence.
  void before_media_change(std::function<void(const hypervisor::Partition&)> callback);

  // -- hypervisor::IoServer
  void attach(hypervisor::Partition& partition) override;
  void detach(hypervisor::Partition& partition) override;
  std::string server_name(u32 id) const override;

  // -- questions
  bool bridges_vlan(u16 vlan) const;  ///< A server that is on does.
  /// The partition's optical drives that have a medium, whoever serves them.
  std::vector<Mapping> loaded_drives(const hypervisor::Partition& partition) const;
  bool mac_in_use(const std::array<u8, 6>& mac) const;
  /// True if each virtual SCSI client of the partition whose server is on announced the migration capability
  /// (MAD type 5).
  bool clients_migratable(hypervisor::Partition& partition) const;

  // -- mobility
  /// The mover service partition that is asked for, or any that is on; nullptr: there is none that is on.
  Vios* mover(const ServerName& name = {}) const;
  /// Destination: connects adapters and opens the disks, but takes no reservation (the shell partition).
  void attach_shell(hypervisor::Partition& partition);
  /// Source at suspension: finishes every request in flight, drops what was not started, answers nothing
  /// more; then gives up the write reservations. On return no write of this partition can reach a disk from
  /// here.
  void quiesce(hypervisor::Partition& partition);
  /// Takes the reservations again (source after an abort) or for the first time (destination before Resumed).
  /// Throws std::runtime_error naming disk and holder.
  void resume(hypervisor::Partition& partition);
  /// Sends a RARP for each MAC of the partition out of the SEA of each VLAN, and again for some seconds.
  void announce(hypervisor::Partition& partition);

 private:
  void connect(hypervisor::Partition& partition);
  void elect_bridges();

  hypervisor::ManagedSystem& system_;
  std::unique_ptr<Fabric> fabric_;
  std::vector<std::unique_ptr<Vios>> servers_;
  std::function<void(Vios&)> stopped_;
};

}  // namespace baton::vios
