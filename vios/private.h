// SPDX-License-Identifier: Apache-2.0
// What the parts of the VIOS share.
#pragma once

#include <atomic>
#include <tuple>

#include "hypervisor/adapter.h"
#include "vios/announcer.h"
#include "vios/ethernet_switch.h"
#include "vios/mover_service.h"
#include "vios/vios.h"
#include "vios/vscsi_server.h"

namespace baton::vios {

struct Vios::Private {
  /// Number and slot of a server adapter; it keeps both as long as its partition is defined.
  struct Vhost {
    u32 number = 0, server_slot = 0;
  };

  /// The server ends of one partition's adapters.
  struct Attachment {
    struct Disk {
      u32 target;
      std::string hdisk, uri;
      std::shared_ptr<devices::BlockDevice> device;
    };
    struct Scsi {
      hypervisor::CrqAdapter* adapter;
      std::unique_ptr<VscsiServer> server;
      std::vector<Disk> disks;
    };
    struct Lan {
      hypervisor::LogicalLan* adapter;
      EthernetSwitch::Port* port;
      const hypervisor::VirtualEthernetSlot* slot;
    };
    hypervisor::Partition* partition = nullptr;
    u32 partition_id = 0;
    std::vector<Scsi> scsi;
    std::vector<Lan> lans;
  };

  static const ViosConfig::Disk* find(const ViosConfig& config, const std::string& hdisk);
  Attachment* find(hypervisor::Partition& partition);
  Vhost vhost(u32 partition, const hypervisor::VirtualScsiSlot& slot);
  std::string vtd(u32 partition, const hypervisor::DiskMapping& disk);
  Attachment& connect(Vios& vios, hypervisor::Partition& partition);
  void disconnect(Attachment& attachment);
  void reserve(Vios& vios, Attachment& attachment);
  static void release(Attachment& attachment);

  /// Never taken by a worker, a receiver or an hcall, so it may be held while those are waited for.
  std::mutex lock;
  std::map<u32, Attachment> attachments;  ///< By partition number.
  std::map<std::pair<u32, u32>, Vhost> vhosts;
  std::map<std::tuple<u32, u32, u32>, std::string> vtds;
  EthernetSwitch lan_switch;
  EthernetSwitch::Port* trunk = nullptr;
  std::unique_ptr<devices::LanConnection> lan;
  std::atomic<devices::LanConnection*> uplink{nullptr};
  std::unique_ptr<Announcer> announcer;
  std::unique_ptr<MoverService> mover_service;
};

/// "U9117.MMA.10BA70A-V1-C12": a slot of the VIOS.
std::string location(const hypervisor::SystemIdentity& identity, u32 slot);
/// "0x8100000000000000"
std::string lun_text(u32 target);
/// Where an hdisk is: a port of the system's adapter and the number of the LUN there.
std::string disk_location(const Vios& vios, const hypervisor::SystemIdentity& identity,
                          const std::string& hdisk);

}  // namespace baton::vios
