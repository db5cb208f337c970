// SPDX-License-Identifier: Apache-2.0
// What the platform remembers about a partition beside memory, processors and adapters; moves with it.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "cpu/bits.h"

namespace baton::hypervisor {

/// Dynamic reconfiguration connector (PAPR 13).
struct Connector {
  bool usable = true, isolated = false;
};

struct PlatformState {
  std::map<std::pair<u32, u32>, u32> indicators;  ///< (token, index) -> state of set-indicator.
  std::map<u32, Connector> connectors;            ///< By DRC index; absent: usable and not isolated.
  std::map<u32, std::string> parameters;          ///< Set by ibm,set-system-parameter.
  i64 time_of_day_offset = 0;        ///< Nanoseconds between the partition's clock and the host's.
  u32 nmi_reset = 0, nmi_check = 0;  ///< ibm,nmi-register.
  u64 perfmon = 0;                   ///< H_PERFMON modes.
  u32 entitled_capacity = 100;       ///< Hundredths of a processor.
  u8 capacity_weight = 128;
  std::string termination;  ///< ibm,os-term's text.
};

}  // namespace baton::hypervisor
