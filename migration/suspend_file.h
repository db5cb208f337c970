// SPDX-License-Identifier: Apache-2.0
// A partition goes into a file and comes out of it, here or on another system, by the stream that a move
// uses. Its software does not take part: it finds its clock advanced and its disks reconnected (transport
// event 06).
//
// File: "BATONSUS", u32 version, u32 length of the description, u64 XXH3-64 of the description, the
// description (state.proto), then preamble and frames of the stream: memory, page table, state, Completed.
// Little-endian.
#pragma once

#include <functional>
#include <string>

#include "migration/description.h"
#include "migration/migration.h"

namespace baton::migration {

/// Stops every processor where it is and says so in dispatch(), for save_state().
void freeze(hypervisor::Partition& partition);
/// Every processor goes on where freeze() stopped it.
void thaw(hypervisor::Partition& partition);

/// Writes the partition to a new file and takes it out of the system; how many bytes the file has. Throws
/// std::runtime_error with one sentence; the partition goes on here then and no file is left.
u64 suspend_to_file(hypervisor::ManagedSystem& system, vios::VirtualIo& vios,
                    const std::shared_ptr<hypervisor::Partition>& partition, const Description& description,
                    const std::string& path);

/// What a file holds, for a validation. Throws std::runtime_error.
std::string description_in(const std::string& path);
/// Makes the partition from the file, starts it and removes the file: it can be resumed once. `profile` is
/// the description's as it is to be here. Throws std::runtime_error; the file stays and nothing else is left
/// then.
std::shared_ptr<hypervisor::Partition> resume_from_file(hypervisor::ManagedSystem& system,
                                                        vios::VirtualIo& vios,
                                                        const hypervisor::Profile& profile,
                                                        const std::string& path);

}  // namespace baton::migration
