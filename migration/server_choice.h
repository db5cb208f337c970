// SPDX-License-Identifier: Apache-2.0
// Which Virtual I/O Servers of the destination serve a partition that comes (LPM 1.2, step 3).
#pragma once

#include <string>
#include <vector>

#include "migration/description.h"
#include "vios/virtual_io.h"

namespace baton::migration {

struct ServerChoice {
  struct Lun {
    std::size_t disk;  ///< Of the profile's disks.
    std::string unique_id;
  };
  u32 slot = 0, source_server = 0;  ///< Of the client; the server's number at the source.
  std::vector<Lun> luns;            ///< Those that the source could identify.
  /// Servers that are on and see all of its LUNs; only the wanted one, if one is wanted.
  std::vector<vios::Vios*> possible;
  vios::Vios* chosen = nullptr;  ///< Of `possible`; nullptr: there is none.
  const ScsiMapping* wanted = nullptr;
};

/// One for each virtual SCSI slot of the profile. Paths to one LUN that go through different servers at the
/// source do so here, if that can be.
std::vector<ServerChoice> choose_servers(const vios::VirtualIo& io, const Description& description);

/// Both lead to one LUN, by different servers at the source.
bool redundant(const ServerChoice& one, const ServerChoice& other);

}  // namespace baton::migration
