// SPDX-License-Identifier: Apache-2.0
// What the listing commands show: one table of every attribute of every resource.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "hmc/control.pb.h"
#include "hypervisor/system.h"
#include "migration/migration.h"
#include "vios/virtual_io.h"

namespace baton::app {

/// Whose attributes are asked for. `partition` is null for a VIOS and for the system itself.
struct Subject {
  hypervisor::ManagedSystem& system;
  vios::VirtualIo& io;
  migration::Mover& mover;
  std::shared_ptr<hypervisor::Partition> partition;
  vios::Vios* vios = nullptr;   ///< Null for a partition and for the system.
  std::string control_address;  ///< Of the system, for other hosts.
  u64 code_time = 0;            ///< Of a reference code record.
  std::string code = {};
  migration::Progress move = {};  ///< Of an lpar: its latest move.
  /// Of a virtual SCSI adapter: its client (with `partition`) or its server (with `vios`), and the other end.
  struct ScsiAdapter {
    u32 slot = 0, remote_id = 0, remote_slot = 0;
    std::string remote_name;
    std::vector<std::string> devices = {};  ///< LUN/kind/backing device of what the server has mapped to it.
  } scsi = {};
  /// What `lslparmigr -t` asks about the destination.
  struct Server {
    std::string name, id, host;
    bool mover = false;  ///< A mover service partition that is on.
    /// Of the partition's virtual SCSI clients, those whose disks it can host.
    std::vector<u32> hostable_slots;
  };
  std::vector<Server> destination = {};
};

/// Adds the subject's record of a resource ("lpar", "migr-sys"...), every attribute in the table's order.
void add_record(control::Records& out, std::string_view resource, const Subject& subject);
/// The names of a resource's attributes; empty: there is no such resource.
std::vector<std::string_view> attribute_names(std::string_view resource);

}  // namespace baton::app
