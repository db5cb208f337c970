// SPDX-License-Identifier: Apache-2.0
// RTAS: the device tree after a move, and connectors (PAPR 13; LoPAR ibm,update-nodes,
// ibm,update-properties).
#include <algorithm>
#include <string>
#include <vector>

#include "hypervisor/device_tree.h"
#include "hypervisor/partition.h"
#include "hypervisor/rtas.h"
#include "hypervisor/rtas_functions.h"

namespace baton::hypervisor {
namespace {

constexpr u64 kWorkArea = 4096;
/// Scopes: negative for resource reassignment, 1 migration, 2 firmware activation, 3 device reconfiguration.
constexpr i32 kMigration = 1, kLastScope = 3;

/// Reads the work area at argument 0; false unless it is a page of memory.
bool read_area(RtasContext& call, std::vector<u8>& area) {
  area.resize(kWorkArea);
  return call.arg(0) % kWorkArea == 0 && call.partition().memory().read(call.arg(0), area);
}

void put(std::vector<u8>& area, std::size_t at, u32 value) { store_be<u32>(area.data() + at, value); }

}  // namespace

i32 rtas_update_nodes(RtasContext& call) {
  constexpr u32 kUpdate = 0x02000000;
  constexpr std::size_t kHeader = 16;
  constexpr std::size_t kMost = (kWorkArea - kHeader) / 4 - 2;  // Operator and terminator.
  const i32 scope = static_cast<i32>(call.arg(1));
  std::vector<u8> area;
  if (scope == 0 || scope > kLastScope || !read_area(call, area)) return rtas::kParameter;
  std::lock_guard lock(call.partition().tree_lock());
  DeviceTree& tree = call.partition().device_tree();
  static const std::vector<NodeUpdate> kNone;
  const auto& updates = scope == kMigration ? tree.updates() : kNone;
  const std::size_t first = load_be<u32>(area.data());
  if (first > updates.size()) return rtas::kParameter;
  const std::size_t count = std::min(updates.size() - first, kMost);
  std::ranges::fill(area, u8{0});
  std::size_t at = kHeader;
  if (count) {
    put(area, at, kUpdate | static_cast<u32>(count));
    for (std::size_t i = 0; i < count; i++) put(area, at += 4, updates[first + i].phandle);
  }
  const bool more = first + count < updates.size();
  if (more) put(area, 0, static_cast<u32>(first + count));
  call.partition().memory().write(call.arg(0), area);
  return more ? 1 : rtas::kSuccess;
}

// The state word counts reported properties from 1; the first reserved word says how much of the next value
// has gone already.
i32 rtas_update_properties(RtasContext& call) {
  constexpr u32 kDelete = 0x80000000;
  constexpr std::size_t kCount = 16, kHeader = 20;
  const i32 scope = static_cast<i32>(call.arg(1));
  std::vector<u8> area;
  if (scope == 0 || scope > kLastScope || !read_area(call, area)) return rtas::kParameter;
  std::lock_guard lock(call.partition().tree_lock());
  DeviceTree& tree = call.partition().device_tree();
  const u32 phandle = load_be<u32>(area.data()), state = load_be<u32>(area.data() + 4);
  std::size_t skipped = load_be<u32>(area.data() + 8);
  std::string path;
  if (!tree.by_phandle(phandle, &path)) return rtas::kParameter;
  static const std::vector<NodeUpdate::Change> kNone;
  const NodeUpdate* update = scope == kMigration ? tree.update(phandle) : nullptr;
  const auto& changes = update ? update->changes : kNone;
  std::size_t next = state == 0 ? 0 : state - 1;
  if (next > changes.size() || (next < changes.size() && skipped > changes[next].value.size()))
    return rtas::kParameter;
  if (state == 0) skipped = 0;

  std::ranges::fill(area, u8{0});
  put(area, 0, phandle);
  std::size_t at = kHeader;
  u32 reported = 0;
  const auto add = [&](const std::string& name, u32 descriptor, std::span<const u8> value) {
    std::ranges::copy(name, area.begin() + static_cast<std::ptrdiff_t>(at));
    at += name.size() + 1;
    put(area, at, descriptor);
    std::ranges::copy(value, area.begin() + static_cast<std::ptrdiff_t>(at + 4));
    at += 4 + value.size();
    reported++;
  };
  if (state == 0) {
    const std::vector<u8> text(path.begin(), path.end());
    std::vector<u8> value = text;
    value.push_back(0);
    add("", static_cast<u32>(value.size()), value);
  }
  for (; next < changes.size(); next++, skipped = 0) {
    const NodeUpdate::Change& change = changes[next];
    const std::size_t overhead = change.name.size() + 1 + 4;
    const std::size_t left = change.value.size() - skipped;
    if (at + overhead + std::min<std::size_t>(left, 16) > kWorkArea) break;
    const std::size_t piece = std::min(left, kWorkArea - at - overhead);
    const auto value = std::span(change.value).subspan(skipped, piece);
    if (change.deleted) {
      add(change.name, kDelete, {});
    } else if (piece == left) {
      add(change.name, static_cast<u32>(piece), value);
    } else {
      add(change.name, static_cast<u32>(-static_cast<i32>(piece)), value);
      skipped += piece;
      break;
    }
  }
  put(area, kCount, reported);
  const bool more = next < changes.size();
  if (more) {
    put(area, 4, static_cast<u32>(next + 1));
    put(area, 8, static_cast<u32>(skipped));
  } else {
    tree.acknowledge(phandle);
  }
  call.partition().memory().write(call.arg(0), area);
  return more ? 1 : rtas::kSuccess;
}

i32 rtas_activate_firmware(RtasContext&) { return rtas::kSuccess; }

namespace {

/// One step of the walk that configure-connector reports.
struct Step {
  i32 status;
  const std::string* name = nullptr;
  const std::vector<u8>* value = nullptr;
};
enum : i32 { kNextChild = 2, kNextProperty = 3, kPreviousParent = 4 };

void steps(const TreeNode& node, bool top, std::vector<Step>& out) {
  out.push_back({kNextChild, &node.name(), nullptr});
  for (const TreeProperty& property : node.properties())
    out.push_back({kNextProperty, &property.name, &property.value});
  for (const TreeNode& child : node.children()) steps(child, false, out);
  if (!top) out.push_back({kPreviousParent});
}

}  // namespace

i32 rtas_configure_connector(RtasContext& call) {
  constexpr std::size_t kText = 64;
  std::vector<u8> area;
  if (!read_area(call, area)) return rtas::kHardware;
  Partition& partition = call.partition();
  const u32 index = load_be<u32>(area.data()), step = load_be<u32>(area.data() + 4);
  std::lock_guard lock(partition.tree_lock());
  const TreeNode* node = partition.device_tree().by_drc_index(index);
  const PlatformState state = partition.platform();
  const auto connector = state.connectors.find(index);
  if (!node || (connector != state.connectors.end() && !connector->second.usable)) return rtas::kUnusable;
  // The walk is repeated from its beginning each time: nothing has to be remembered but the step number.
  std::vector<Step> walk;
  steps(*node, true, walk);
  if (step >= walk.size()) return rtas::kSuccess;
  const Step& now = walk[step];
  put(area, 4, step + 1);
  std::size_t at = kText;
  if (now.name) {
    put(area, 8, static_cast<u32>(at));
    std::ranges::copy(*now.name, area.begin() + static_cast<std::ptrdiff_t>(at));
    area[at + now.name->size()] = 0;
    at = (at + now.name->size() + 8) & ~std::size_t{7};
  }
  if (now.value) {
    if (at + now.value->size() > kWorkArea) return rtas::kHardware;
    put(area, 12, static_cast<u32>(now.value->size()));
    put(area, 16, static_cast<u32>(at));
    std::ranges::copy(*now.value, area.begin() + static_cast<std::ptrdiff_t>(at));
  }
  partition.memory().write(call.arg(0), area);
  return now.status;
}

}  // namespace baton::hypervisor
