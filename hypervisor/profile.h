// SPDX-License-Identifier: Apache-2.0
// What an administrator configures: the profile of a partition and the identity of a managed system.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "cpu/bits.h"
#include "cpu/engine/engine.h"
#include "hypervisor/determinism.h"

namespace baton::hypervisor {

/// Client slot of a virtual SCSI adapter and the server slot in the VIOS that it is wired to.
struct VirtualScsiSlot {
  u32 slot = 2;
  u32 server_slot = 0;  ///< 0: the VIOS chooses.
  u32 server_id = 1;    ///< Partition number of the VIOS.
};
struct VirtualEthernetSlot {
  u32 slot = 3;
  std::array<u8, 6> mac{};  ///< All zero: derived from system serial, partition id and slot.
  u16 pvid = 1;             ///< Port VLAN id, 1..4094.
  std::vector<u16> vlans;   ///< Additional tagged VLANs.
};

/// One disk that a VIOS maps to the partition (a virtual target device), or a drive for optical media.
struct DiskMapping {
  u32 slot = 2;          ///< Client virtual SCSI slot.
  std::string vtd;       ///< "vtscsi0"; empty: chosen.
  std::string backing;   ///< hdisk or logical volume in the VIOS that serves the slot; of a drive empty.
  u32 target = 0;        ///< LUN 0x81tt000000000000.
  bool optical = false;  ///< A drive: what is in it is the VIOS's, and does not travel.
};

/// Partition profile. Travels with the partition in a migration.
struct Profile {
  std::string name;  ///< Partition name, unique in a system.
  u32 id = 0;        ///< Partition number, 2..; a VIOS has 1, another one may have any.
  std::string profile_name = "default";
  u64 memory = 512ull << 20;                 ///< Bytes, multiple of the LMB size (16 MB).
  u32 processors = 1;                        ///< Virtual processors (one thread each), 1..64.
  std::string proc_compat_mode = "default";  ///< Or the name of a mode (hypervisor/compatibility.h).
  std::string firmware;                      ///< Path of an image; empty: Baton's own.
  std::string kernel;                        ///< Path; empty: firmware stops at its prompt.
  std::string initrd;
  std::string bootargs;
  std::vector<VirtualScsiSlot> scsi;
  std::vector<VirtualEthernetSlot> ethernet;
  std::vector<DiskMapping> disks;
  /// Location codes of physical adapters and a number of 16 GB pages that it wishes for. Our systems have
  /// neither; an active move is refused all the same.
  std::vector<std::string> io_slots;
  u32 huge_pages = 0;
  bool auto_start = false;
};

/// Identity of a managed system, visible to its partitions.
struct SystemIdentity {
  std::string name = "POWER6-A";
  std::string type_model = "9117-MMA";
  std::string serial = "10BA70A";  ///< Seven characters: appears in loc-codes and system-id.
  u64 memory = 8ull << 30;         ///< Memory for partitions, bytes.
  u64 memory_block = 16ull << 20;  ///< Size of a logical memory block, bytes.
  u32 processors = 8;              ///< Processors for partitions.
  /// What executes their code; no partition sees it.
  cpu::EngineOptions engine = cpu::EngineOptions::from_environment();
  Determinism determinism = {};  ///< Whether and how its partitions repeat exactly.
};

}  // namespace baton::hypervisor
