// SPDX-License-Identifier: Apache-2.0
// The hypervisor calls of virtual I/O (PAPR 4.2 and 4.8, VIO 1, 3 and 4).
#pragma once

#include <span>

#include "hypervisor/hcall.h"

namespace baton::hypervisor {

/// Ascending by token.
std::span<const HcallRow> vio_hcalls();

}  // namespace baton::hypervisor
