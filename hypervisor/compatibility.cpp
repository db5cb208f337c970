// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/compatibility.h"

#include <algorithm>
#include <stdexcept>

#include "hypervisor/device_tree.h"

namespace baton::hypervisor {
namespace {

using cpu::isa::Level;

constexpr u8 kVersion204 = 0x08, kVersion205 = 0x04;  // Bits of option vector 1.

// ibm,pa-features: PAPR 8.2. POWER5+ lacks the data streams of 2.05, little-endian mode and CFAR.
constexpr std::array<u8, 8> kFeatures205{0x06, 0x00, 0xF6, 0x1F, 0xC6, 0x00, 0x00, 0xC0};
constexpr std::array<u8, 8> kFeatures204{0x06, 0x00, 0xF6, 0x1F, 0x86, 0x00, 0x00, 0x00};

constexpr CompatibilityMode kModes[] = {
    {"POWER6_enhanced", Level::kPower6, 0, kVersion205, true, true, true, true, kFeatures205},
    {"POWER6", Level::k205, 0x0F000002, kVersion205, true, true, true, true, kFeatures205},
    {"POWER5+", Level::k204, 0x0F000001, kVersion204, false, false, false, false, kFeatures204},
};
constexpr const CompatibilityMode *kEnhanced = &kModes[0], *kPower6 = &kModes[1], *kPower5 = &kModes[2];

}  // namespace

std::span<const CompatibilityMode> compatibility_modes() { return kModes; }

const CompatibilityMode& mode_of(Level level) {
  return *std::ranges::find(kModes, level, &CompatibilityMode::level);
}

const CompatibilityMode* mode_of_version(u32 version, u32 pvr) {
  const auto* found = std::ranges::find_if(
      kModes, [&](const CompatibilityMode& mode) { return mode.version(pvr) == version; });
  return found == std::end(kModes) ? nullptr : found;
}

bool is_mode_wish(std::string_view wish) {
  return wish == kDefaultMode ||
         std::ranges::find(kModes, wish, &CompatibilityMode::name) != std::end(kModes);
}

std::string mode_wishes() {
  std::string all(kDefaultMode);
  for (const CompatibilityMode& mode : kModes) all.append(",").append(mode.name);
  return all;
}

std::vector<const CompatibilityMode*> modes_for(std::string_view wish) {
  // What every later processor has too comes first: the partition can move there.
  if (wish == kDefaultMode) return {kPower6, kEnhanced, kPower5};
  std::vector<const CompatibilityMode*> modes;
  for (const CompatibilityMode& mode : kModes)
    if (mode.name == wish || !modes.empty()) modes.push_back(&mode);
  return modes;
}

void describe_mode(TreeNode& cpu, const CompatibilityMode& mode, u32 pvr) {
  cpu.cells("cpu-version", {mode.version(pvr)});
  cpu.bytes("ibm,pa-features", mode.pa_features);
  const auto option = [&](const char* name, bool there) {
    if (there)
      cpu.cells(name, {1});
    else
      cpu.remove(name);
  };
  option("ibm,vmx", mode.vmx);
  option("ibm,dfp", mode.dfp);
  option("ibm,spurr", mode.spurr);
  // Base shift, SLB bits, number of pairs, then (actual shift, PTE code) pairs: 4K, 64K, 16M.
  if (mode.mixed_pages)
    cpu.cells("ibm,segment-page-sizes", {12, 0, 2, 12, 0, 16, 7, 16, 0x110, 1, 16, 1, 24, 0x100, 1, 24, 0});
  else
    cpu.cells("ibm,segment-page-sizes", {12, 0, 1, 12, 0, 16, 0x110, 1, 16, 1, 24, 0x100, 1, 24, 0});
}

}  // namespace baton::hypervisor
