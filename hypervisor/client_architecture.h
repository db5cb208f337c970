// SPDX-License-Identifier: Apache-2.0
// ibm,client-architecture-support: what client and platform agree on (PAPR 10).
#pragma once

#include "cpu/bits.h"

namespace baton::hypervisor {

class Partition;

/// Reads the option vectors at `vectors`, chooses the processor level and the options of vector 5, and writes
/// a flattened tree with the properties to merge to `buffer`. False: bad addresses, no level in common, or no
/// room.
bool client_architecture_support(Partition& partition, u32 pvr, u64 vectors, u64 buffer, u64 size);

}  // namespace baton::hypervisor
