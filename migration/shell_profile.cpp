// SPDX-License-Identifier: Apache-2.0
#include "migration/shell_profile.h"

#include <algorithm>

namespace baton::migration {
namespace {

bool is_default_vtd(const std::string& name) {
  return name.starts_with("vtscsi") &&
         std::all_of(name.begin() + 6, name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

hypervisor::Profile shell_profile(const hypervisor::ManagedSystem& system, const vios::Vios& vios,
                                  const Description& description) {
  hypervisor::Profile profile = description.profile;
  if (description.wanted_id)
    profile.id = description.wanted_id;
  else if (system.find(std::to_string(profile.id)))
    profile.id = system.next_free_id();
  for (std::size_t i = 0; i < profile.disks.size(); ++i) {
    profile.disks[i].backing = vios.hdisk_by_unique_id(description.disk_ids[i]);
    // A name that the administrator gave stays, a chosen one is chosen anew (LPM 1.2, step 3).
    if (is_default_vtd(profile.disks[i].vtd)) profile.disks[i].vtd.clear();
  }
  const std::vector<vios::Mapping> mappings = vios.mappings();
  for (auto& slot : profile.scsi) {
    const std::string end = "-C" + std::to_string(slot.server_slot);
    const bool taken = std::ranges::any_of(
        mappings, [&](const vios::Mapping& mapping) { return mapping.physloc.ends_with(end); });
    if (taken) slot.server_slot = 0;
  }
  return profile;
}

}  // namespace baton::migration
