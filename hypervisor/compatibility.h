// SPDX-License-Identifier: Apache-2.0
// Processor compatibility modes: what of the POWER6 a partition is shown (LPM 1.10, PAPR 8.2 and 10).
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cpu/isa/level.h"

namespace baton::hypervisor {

class TreeNode;

struct CompatibilityMode {
  std::string_view name;  ///< As the HMC spells it.
  cpu::isa::Level level;  ///< What problem state may execute.
  u32 logical_version;    ///< For cpu-version; 0: the processor's own.
  u8 level_bit;           ///< Byte 2 of option vector 1.
  bool vmx, dfp, spurr;
  bool mixed_pages;               ///< 64 KB pages in segments of 4 KB pages.
  std::array<u8, 8> pa_features;  ///< ibm,pa-features (PAPR 8.2).

  /// The value of cpu-version on a processor with this PVR.
  u32 version(u32 pvr) const { return logical_version ? logical_version : pvr; }
};

/// A profile's wish that leaves the choice to client and platform.
inline constexpr std::string_view kDefaultMode = "default";

/// Every mode, the most capable first.
std::span<const CompatibilityMode> compatibility_modes();
const CompatibilityMode& mode_of(cpu::isa::Level level);
/// The mode that a cpu-version stands for; nullptr: none.
const CompatibilityMode* mode_of_version(u32 version, u32 pvr);

/// True for the name of a mode and for "default".
bool is_mode_wish(std::string_view wish);
/// What a profile may wish for, comma-separated, as `lssyscfg -r sys -F lpar_proc_compat_modes` has it.
std::string mode_wishes();
/// The modes that fulfil a wish, the best first: which of them it is depends on the client.
std::vector<const CompatibilityMode*> modes_for(std::string_view wish);

/// Sets or removes the properties of a processor's node that follow from the mode.
void describe_mode(TreeNode& cpu, const CompatibilityMode& mode, u32 pvr);

}  // namespace baton::hypervisor
