// SPDX-License-Identifier: Apache-2.0
// What the source tells the destination before anything moves.
#pragma once

#include <string>
#include <vector>

#include "hypervisor/profile.h"
#include "vios/vios.h"

namespace baton::migration {

/// Where the administrator wants a virtual SCSI client to be served (virtual_scsi_mappings of migrlpar).
struct ScsiMapping {
  u32 slot = 0;             ///< Of the client.
  vios::ServerName server;  ///< Of the destination.
  u32 server_slot = 0;      ///< There; 0: the VIOS chooses.
};

struct Description {
  u32 stream_version = 0;
  std::string source_system, source_type_model, source_serial;
  bool active = false;
  u64 hpt_bytes = 0, lmb_bytes = 16ull << 20;
  i64 time_of_day_ns = 0;
  hypervisor::Profile profile;        ///< `backing` of a disk is the source's hdisk name.
  std::vector<std::string> disk_ids;  ///< Unique ids, one for each of profile.disks; of a drive empty.
  std::string current_mode;        ///< Processor compatibility mode that it runs in; empty: it does not run.
  u32 wanted_id = 0;               ///< The partition number that the administrator asks for; 0: any.
  bool ignore_vlans = false;       ///< It may lose VLANs that the destination does not bridge.
  std::vector<u16> bridged_vlans;  ///< Of the partition's VLANs, those that the source bridges.
  std::vector<ScsiMapping> wanted_mappings;
  vios::ServerName wanted_mover;   ///< Of the destination; not given: any.
  std::string source_mover;        ///< Name of the source's, for whoever asks; empty: there is none.
  u32 channels = 1;                ///< By which its pages come (MoveOptions::channels).
  bool ignore_redundancy = false;  ///< Paths through several servers may become paths through one.
};

std::string encode(const Description& description);
/// Throws std::runtime_error with one sentence when the bytes are no description or a number is out of range.
Description decode(const std::string& bytes);

i64 time_of_day_ns();

}  // namespace baton::migration
