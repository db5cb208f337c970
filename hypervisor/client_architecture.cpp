// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/client_architecture.h"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "hypervisor/compatibility.h"
#include "hypervisor/device_tree.h"
#include "hypervisor/partition.h"

namespace baton::hypervisor {
namespace {

constexpr unsigned kMostProcessors = 64;         ///< Entries of the processor list that are looked at.
constexpr u8 kIgnore = 0x80, kCessation = 0x40;  ///< Byte 1 of most vectors.
constexpr u8 kVmx = 0x40, kDfp = 0x20;           ///< Vector 3, byte 2.
/// Vector 5 by byte (byte 1 is the first after the length): what this platform can do. LPAR, SPLPAR, large
/// pages and form-1 affinity; no dynamic-reconfiguration memory, no CMO.
constexpr std::array<u8, 6> kOption5{0, 0, 0x80 | 0x40 | 0x10, 0, 0, 0x80};
constexpr unsigned kOption5Bytes = 22;
/// Property of a node of the changes: names of properties that go, each with its NUL (firmware/README.md).
constexpr std::string_view kDeleted = "baton,delete-properties";

struct Reader {
  const cpu::Memory& memory;
  u64 at;
  bool ok = true;

  template <class T>
  T take() {
    const auto value = memory.load<T>(at);
    at += sizeof(T);
    ok = ok && value.has_value();
    return value.value_or(0);
  }
};

/// What a client supports: its list of processors, and the first bytes of the option vectors. Bytes that were
/// not sent are 0.
struct Client {
  struct Processor {
    u32 mask, value;
    bool is(u32 version) const { return ((version ^ value) & mask) == 0; }
  };
  std::vector<Processor> processors;
  std::array<std::array<u8, kOption5Bytes + 1>, 6> vectors{};  ///< By number; byte 0 is 1 if it was sent.

  bool knows(u32 version) const {
    return std::ranges::any_of(processors, [&](const Processor& p) { return p.is(version); });
  }
  /// A vector that says which options the client supports, and does not leave them to the platform.
  bool limits(unsigned vector) const { return vectors[vector][0] && !(vectors[vector][1] & kIgnore); }
};

std::optional<Client> read_client(const cpu::Memory& memory, u64 at) {
  Reader reader{memory, at};
  Client client;
  bool last = false;
  while (!last && reader.ok && client.processors.size() < kMostProcessors) {
    const u32 mask = reader.take<u32>(), value = reader.take<u32>();
    client.processors.push_back({mask, value});
    last = (~mask & value) != 0;
  }
  if (!reader.ok || !last) return std::nullopt;
  const unsigned count = reader.take<u8>() + 1U;
  for (unsigned vector = 1; vector <= count && reader.ok; vector++) {
    const unsigned length = reader.take<u8>() + 1U;
    for (unsigned byte = 1; byte <= length && reader.ok; byte++) {
      const u8 value = reader.take<u8>();
      if (vector >= client.vectors.size() || byte > kOption5Bytes) continue;
      client.vectors[vector][0] = 1;
      client.vectors[vector][byte] = value;
    }
  }
  if (!reader.ok) return std::nullopt;
  return client;
}

/// The best mode of those that fulfil the profile's wish; nullptr: the client knows none, and is not to run.
const CompatibilityMode* choose_mode(const Client& client, std::string_view wish, u32 pvr) {
  const auto modes = modes_for(wish);
  std::vector<const CompatibilityMode*> known;
  for (const CompatibilityMode* mode : modes)
    if (client.knows(mode->version(pvr))) known.push_back(mode);
  // Who knows the very processor knows it at whatever level it is run.
  if (known.empty() && client.knows(pvr)) known.push_back(modes.front());
  if (!client.limits(1)) return known.empty() ? nullptr : known.front();
  for (const CompatibilityMode* mode : known)
    if (client.vectors[1][2] & mode->level_bit) return mode;
  // More than the client supports, but benign: what it does not use does nothing.
  return known.empty() || client.vectors[1][1] & kCessation ? nullptr : known.back();
}

/// What became different in a node, as firmware merges it.
void note_changes(TreeNode& changes, const TreeNode& before, const TreeNode& now) {
  std::vector<u8> deleted;
  for (const TreeProperty& property : before.properties()) {
    if (now.find(property.name)) continue;
    deleted.insert(deleted.end(), property.name.begin(), property.name.end());
    deleted.push_back(0);
  }
  if (!deleted.empty()) changes.bytes(kDeleted, deleted);
  for (const TreeProperty& property : now.properties()) {
    const auto* old = before.find(property.name);
    if (!old || *old != property.value || property.name == "cpu-version")
      changes.bytes(property.name, property.value);
  }
}

}  // namespace

bool client_architecture_support(Partition& partition, u32 pvr, u64 vectors, u64 buffer, u64 size) {
  const auto client = read_client(partition.memory(), vectors);
  if (!client) return false;
  const std::string& wish = partition.profile().proc_compat_mode;
  const CompatibilityMode* mode = choose_mode(*client, wish, pvr);
  if (!mode) {
    partition.set_error(
        "The operating system supports no processor compatibility mode that the profile allows (" + wish +
        "); choose another mode or another kernel.");
    return false;
  }

  std::array<u8, kOption5Bytes + 1> granted{};
  granted[0] = kOption5Bytes - 1;  // Length byte as in the vectors: one less than the bytes that follow.
  for (unsigned byte = 1; byte < kOption5.size(); byte++)
    granted[byte] = client->vectors[5][byte] & kOption5[byte];

  std::lock_guard lock(partition.tree_lock());
  DeviceTree changes;
  DeviceTree& known = partition.device_tree();
  TreeNode& cpus = changes.root().add("cpus");
  known.walk([&](TreeNode& node, const std::string&) {
    if (node.text("device_type") != "cpu") return;
    const TreeNode before = node;
    describe_mode(node, *mode, pvr);
    if (client->limits(3) && !(client->vectors[3][2] & kVmx)) node.remove("ibm,vmx");
    if (client->limits(3) && !(client->vectors[3][2] & kDfp)) node.remove("ibm,dfp");
    note_changes(cpus.add(node.name()), before, node);
  });
  changes.root().add("chosen").bytes("ibm,architecture-vec-5", granted);
  if (TreeNode* chosen = known.find("/chosen")) chosen->bytes("ibm,architecture-vec-5", granted);
  partition.domain().set_level(mode->level);

  const std::vector<u8> blob = changes.flatten();
  return blob.size() <= size && partition.memory().write(buffer, blob);
}

}  // namespace baton::hypervisor
