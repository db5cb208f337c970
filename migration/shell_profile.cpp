// SPDX-License-Identifier: Apache-2.0
#include "migration/shell_profile.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "migration/server_choice.h"

namespace baton::migration {
namespace {

bool is_default_vtd(const std::string& name) {
  return std::ranges::any_of(std::array{"vtscsi", "vtopt"}, [&](std::string_view kind) {
    return name.starts_with(kind) && std::ranges::all_of(std::string_view(name).substr(kind.size()),
                                                         [](char c) { return c >= '0' && c <= '9'; });
  });
}

}  // namespace

hypervisor::Profile shell_profile(const hypervisor::ManagedSystem& system, const vios::VirtualIo& io,
                                  const Description& description) {
  hypervisor::Profile profile = description.profile;
  if (description.wanted_id)
    profile.id = description.wanted_id;
  else if (system.find(std::to_string(profile.id)) || !io.server_name(profile.id).empty())
    profile.id = system.next_free_id();
  // A name that the administrator gave stays, a chosen one is chosen anew (LPM 1.2, step 3).
  for (auto& disk : profile.disks)
    if (is_default_vtd(disk.vtd)) disk.vtd.clear();
  const std::vector<ServerChoice> choices = choose_servers(io, description);
  for (std::size_t i = 0; i < choices.size(); ++i) {
    const ServerChoice& choice = choices[i];
    if (!choice.chosen) continue;  // The checks have refused that.
    auto& slot = profile.scsi[i];
    slot.server_id = choice.chosen->config().id;
    if (choice.wanted && choice.wanted->server_slot) slot.server_slot = choice.wanted->server_slot;
    for (const auto& lun : choice.luns)
      profile.disks[lun.disk].backing = choice.chosen->backing_by_unique_id(lun.unique_id);
    const std::string end = "-C" + std::to_string(slot.server_slot);
    const std::vector<vios::Mapping> mappings = choice.chosen->mappings();
    const bool taken = std::ranges::any_of(
        mappings, [&](const vios::Mapping& mapping) { return mapping.physloc.ends_with(end); });
    if (taken) slot.server_slot = 0;
  }
  return profile;
}

}  // namespace baton::migration
