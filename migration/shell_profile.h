// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "migration/description.h"
#include "vios/virtual_io.h"

namespace baton::migration {

/// The profile that a described partition gets on this system: its LUNs by their names here, a free number,
/// Virtual I/O Servers that see them and free slots there.
hypervisor::Profile shell_profile(const hypervisor::ManagedSystem& system, const vios::VirtualIo& io,
                                  const Description& description);

}  // namespace baton::migration
