// SPDX-License-Identifier: Apache-2.0
#include "migration/server_choice.h"

#include <algorithm>
#include <map>
#include <numeric>

namespace baton::migration {

bool redundant(const ServerChoice& one, const ServerChoice& other) {
  if (one.source_server == other.source_server) return false;
  return std::ranges::any_of(one.luns, [&](const ServerChoice::Lun& lun) {
    return std::ranges::find(other.luns, lun.unique_id, &ServerChoice::Lun::unique_id) != other.luns.end();
  });
}

std::vector<ServerChoice> choose_servers(const vios::VirtualIo& io, const Description& d) {
  std::map<std::pair<vios::Vios*, std::string>, bool> seen;  // To look at a LUN means to open it.
  const auto sees = [&](vios::Vios* server, const std::string& unique_id) {
    const auto [entry, fresh] = seen.try_emplace({server, unique_id});
    if (fresh) entry->second = !server->backing_by_unique_id(unique_id).empty();
    return entry->second;
  };
  std::vector<ServerChoice> choices;
  for (const auto& slot : d.profile.scsi) {
    ServerChoice& choice = choices.emplace_back();
    choice.slot = slot.slot;
    choice.source_server = slot.server_id;
    for (std::size_t i = 0; i < d.profile.disks.size(); ++i) {
      if (d.profile.disks[i].slot == slot.slot && i < d.disk_ids.size() && !d.disk_ids[i].empty())
        choice.luns.push_back({i, d.disk_ids[i]});
    }
    const auto wanted = std::ranges::find(d.wanted_mappings, slot.slot, &ScsiMapping::slot);
    if (wanted != d.wanted_mappings.end()) choice.wanted = &*wanted;
    for (const auto& server : io.servers()) {
      if (!server->running() || (choice.wanted && !choice.wanted->server.means(server->config()))) continue;
      if (std::ranges::all_of(choice.luns,
                              [&](const auto& lun) { return sees(server.get(), lun.unique_id); }))
        choice.possible.push_back(server.get());
    }
  }
  // Those that can choose least come first; each takes a server that no other path to its LUNs has.
  std::vector<std::size_t> order(choices.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, [&](std::size_t i) { return std::pair(choices[i].possible.size(), i); });
  for (const std::size_t i : order) {
    ServerChoice& choice = choices[i];
    const auto free = std::ranges::find_if(choice.possible, [&](vios::Vios* server) {
      return std::ranges::none_of(choices, [&](const ServerChoice& other) {
        return other.chosen == server && redundant(choice, other);
      });
    });
    if (free != choice.possible.end())
      choice.chosen = *free;
    else if (!choice.possible.empty())
      choice.chosen = choice.possible.front();
  }
  return choices;
}

}  // namespace baton::migration
