// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "migration/description.h"
#include "vios/vios.h"

namespace baton::migration {

/// The profile that a described partition gets on this system: its LUNs by their names here, a free number,
/// slots of the Virtual I/O Server that are free.
hypervisor::Profile shell_profile(const hypervisor::ManagedSystem& system, const vios::Vios& vios,
                                  const Description& description);

}  // namespace baton::migration
