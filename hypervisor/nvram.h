// SPDX-License-Identifier: Apache-2.0
// Contents of a partition's NVRAM when it is new (PAPR 12.3).
#pragma once

#include <vector>

#include "cpu/bits.h"

namespace baton::hypervisor {

inline constexpr std::size_t kNvramBytes = 64 << 10;

/// The system partition "common" (name=value settings), then free space.
std::vector<u8> fresh_nvram();

}  // namespace baton::hypervisor
