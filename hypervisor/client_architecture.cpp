// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/client_architecture.h"

#include <array>
#include <optional>
#include <vector>

#include "hypervisor/device_tree.h"
#include "hypervisor/partition.h"

namespace baton::hypervisor {
namespace {

constexpr u32 kLogical205 = 0x0F000002;
constexpr unsigned kMostProcessors = 64;  ///< Entries of the processor list that are looked at.
/// Vector 5 by byte (byte 1 is the first after the length): what this platform can do. LPAR, SPLPAR, large
/// pages and form-1 affinity; no dynamic-reconfiguration memory, no CMO.
constexpr std::array<u8, 6> kOption5{0, 0, 0x80 | 0x40 | 0x10, 0, 0, 0x80};
constexpr unsigned kOption5Bytes = 22;

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

/// The processor level for cpu-version: the profile's wish if the client knows it, else the other one.
std::optional<u32> choose_level(Reader& reader, u32 pvr, bool prefer_raw) {
  bool raw = false, architected = false, last = false;
  for (unsigned i = 0; i < kMostProcessors && !last && reader.ok; i++) {
    const u32 mask = reader.take<u32>(), value = reader.take<u32>();
    raw = raw || ((pvr ^ value) & mask) == 0;
    architected = architected || ((kLogical205 ^ value) & mask) == 0;
    last = (~mask & value) != 0;
  }
  if (!reader.ok || !last) return std::nullopt;
  if (raw && (prefer_raw || !architected)) return pvr;
  if (architected) return kLogical205;
  return std::nullopt;
}

}  // namespace

bool client_architecture_support(Partition& partition, u32 pvr, u64 vectors, u64 buffer, u64 size) {
  Reader reader{partition.memory(), vectors};
  const bool prefer_raw = partition.profile().proc_compat_mode == "POWER6_enhanced";
  const auto level = choose_level(reader, pvr, prefer_raw);
  if (!level) return false;

  std::array<u8, kOption5Bytes + 1> wanted{};  // Byte 0 is the length; bytes not sent count as 0.
  const unsigned count = reader.take<u8>() + 1U;
  for (unsigned vector = 1; vector <= count && reader.ok; vector++) {
    const unsigned length = reader.take<u8>() + 1U;
    for (unsigned byte = 1; byte <= length && reader.ok; byte++) {
      const u8 value = reader.take<u8>();
      if (vector == 5 && byte < wanted.size()) wanted[byte] = value;
    }
  }
  if (!reader.ok) return false;

  std::array<u8, kOption5Bytes + 1> granted{};
  granted[0] = kOption5Bytes - 1;  // Length byte as in the vectors: one less than the bytes that follow.
  for (unsigned byte = 1; byte < kOption5.size(); byte++) granted[byte] = wanted[byte] & kOption5[byte];

  std::lock_guard lock(partition.tree_lock());
  DeviceTree changes;
  DeviceTree& known = partition.device_tree();
  TreeNode& cpus = changes.root().add("cpus");
  known.walk([&](TreeNode& node, const std::string&) {
    if (node.text("device_type") != "cpu") return;
    node.cells("cpu-version", {*level});
    cpus.add(node.name()).cells("cpu-version", {*level});
  });
  changes.root().add("chosen").bytes("ibm,architecture-vec-5", granted);
  if (TreeNode* chosen = known.find("/chosen")) chosen->bytes("ibm,architecture-vec-5", granted);

  const std::vector<u8> blob = changes.flatten();
  return blob.size() <= size && partition.memory().write(buffer, blob);
}

}  // namespace baton::hypervisor
