// SPDX-License-Identifier: Apache-2.0
// The state section of the stream: everything of a partition but its pages.
#pragma once

#include <span>
#include <string>

#include "hypervisor/partition.h"

namespace baton::migration {

/// The partition must be suspended (or never started, with `active` false: then only NVRAM and the panel).
std::string save_state(hypervisor::Partition& partition, bool active);
/// Into a partition that was made from the same profile and never started. Throws std::runtime_error naming
/// what is wrong; the partition is then good for nothing but removal.
void restore_state(hypervisor::Partition& partition, std::span<const u8> bytes, bool active);

}  // namespace baton::migration
