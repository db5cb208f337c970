// SPDX-License-Identifier: Apache-2.0
// What the parts of the VIOS share.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <tuple>

#include "hypervisor/adapter.h"
#include "vios/announcer.h"
#include "vios/ethernet_switch.h"
#include "vios/mover_service.h"
#include "vios/optical_drive.h"
#include "vios/scsi_disk.h"
#include "vios/vios.h"
#include "vios/vscsi_server.h"

namespace baton::vios {

/// What the servers of a managed system share.
struct Fabric {
  /// A LUN of a partition, whatever the number of its paths.
  struct Lun {
    const Vios* server;     ///< Of the first path that was opened.
    ViosConfig::Disk disk;  ///< As that path names it.
    std::shared_ptr<devices::BlockDevice> device;
  };
  struct Lan {
    hypervisor::LogicalLan* adapter;
    EthernetSwitch::Port* port;
    const hypervisor::VirtualEthernetSlot* slot;
  };
  /// A partition whose adapters are connected.
  struct Client {
    hypervisor::Partition* partition = nullptr;
    u32 id = 0;
    std::map<std::string, Lun> luns;  ///< By unique id.
    std::vector<Lan> lans;
    bool reserved = false;  ///< It has its reservations.
    bool quiet = false;     ///< It is suspended: no server answers.

    /// The device of a LUN, opened if no other path has done so. Throws std::runtime_error, also if the path
    /// would be one by a second server to a LUN that may have one.
    std::shared_ptr<devices::BlockDevice> open(const Vios& server, const std::string& backing);
    /// Takes the reservation of each LUN, or none. Throws std::runtime_error naming disk and holder.
    void reserve(const hypervisor::SystemIdentity& identity);
    void release();
  };

  Client* find(hypervisor::Partition& partition);

  /// Never taken by a worker, a receiver or an hcall, so it may be held while those are waited for.
  std::mutex lock;
  std::map<u32, Client> clients;  ///< By partition number.
  std::function<void(const hypervisor::Partition&)> before_media_change;
  EthernetSwitch lan_switch;
};

/// All but questions with the fabric's lock held.
struct Vios::Private {
  explicit Private(Fabric& shared) : fabric(shared) {}

  /// Number and slot of a server adapter; it keeps both as long as its partition is defined.
  struct Vhost {
    u32 number = 0, server_slot = 0;
  };
  /// The server end of one adapter.
  struct Scsi {
    hypervisor::CrqAdapter* adapter;
    std::map<u32, std::shared_ptr<ScsiUnit>> units;  ///< By target.
    std::unique_ptr<VscsiServer> server;             ///< Null until connect().
  };
  /// The Shared Ethernet Adapter.
  struct Bridge {
    EthernetSwitch::Port* trunk = nullptr;
    std::unique_ptr<devices::LanConnection> lan;
    std::atomic<devices::LanConnection*> uplink{nullptr};
    std::unique_ptr<Announcer> announcer;
    std::vector<u16> vlans;  ///< That it bridges now: another server's may be preferred.
  };

  Vhost vhost(u32 partition, const hypervisor::VirtualScsiSlot& slot);
  std::string vtd(u32 partition, const hypervisor::DiskMapping& disk);
  /// The drive of a mapping. It and what is in it are there as long as the partition is defined.
  std::shared_ptr<OpticalDrive> drive(const std::string& partition, const hypervisor::DiskMapping& disk);

  /// Checks and opens everything that connect() will need, and so can fail: throws std::runtime_error.
  void prepare(const Vios& vios, Fabric::Client& client);
  void connect(const Vios& vios, Fabric::Client& client);
  void disconnect(u32 client);
  void open_bridge(const ViosConfig& config);
  void close_bridge();
  /// From now on it bridges these of its VLANs.
  void bridge(const ViosConfig& config, std::vector<u16> vlans);
  /// Announces the partition's addresses in these VLANs, of which it bridges some.
  void announce(const ViosConfig& config, Fabric::Client& client, const std::vector<u16>& vlans);

  Fabric& fabric;
  std::atomic<bool> running{false};
  std::map<u32, std::vector<Scsi>> attachments;  ///< By partition number.
  std::map<std::pair<u32, u32>, Vhost> vhosts;
  std::map<std::tuple<u32, u32, u32>, std::string> vtds;
  /// By name of the partition, slot and target.
  std::map<std::tuple<std::string, u32, u32>, std::shared_ptr<OpticalDrive>> drives;
  std::unique_ptr<Bridge> sea;  ///< Null: there is none, or the server is shut down.
  std::unique_ptr<MoverService> mover_service;
};

/// "U9117.MMA.10BA70A-V1-C12": a slot of the VIOS with that number.
std::string location(const hypervisor::SystemIdentity& identity, u32 vios, u32 slot);
/// "0x8100000000000000"
std::string lun_text(u32 target);
/// Where an hdisk is: a port of the system's adapter and the number of the LUN there.
std::string disk_location(const Vios& vios, const hypervisor::SystemIdentity& identity,
                          const std::string& hdisk);

}  // namespace baton::vios
