// SPDX-License-Identifier: Apache-2.0
// The device tree of a partition (PAPR 8): building, flattening, and what changed after a move (PAPR 13).
#pragma once

#include <functional>
#include <initializer_list>
#include <list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cpu/bits.h"

namespace baton::hypervisor {

class Partition;

struct TreeProperty {
  std::string name;
  std::vector<u8> value;
};

class TreeNode {
 public:
  explicit TreeNode(std::string name) : name_(std::move(name)) {}

  const std::string& name() const { return name_; }  ///< With unit address; the root's is empty.
  TreeNode& add(std::string name);
  std::list<TreeNode>& children() { return children_; }
  const std::list<TreeNode>& children() const { return children_; }
  const std::vector<TreeProperty>& properties() const { return properties_; }

  // Setting creates or replaces.
  void bytes(std::string_view name, std::span<const u8> value);
  void flag(std::string_view name) { bytes(name, {}); }  ///< "encode-null"
  void cells(std::string_view name, std::initializer_list<u32> values);
  void cells(std::string_view name, std::span<const u32> values);
  void number(std::string_view name, u64 value);  ///< Two cells.
  void string(std::string_view name, std::string_view value);
  void strings(std::string_view name, std::span<const std::string> values);
  void remove(std::string_view name);
  void copy_content(const TreeNode& from);  ///< Properties and children, not the name.

  const std::vector<u8>* find(std::string_view name) const;  ///< nullptr: no such property.
  u32 cell(std::string_view name, u32 otherwise) const;
  std::string text(std::string_view name) const;  ///< Up to the first NUL; empty if missing.

 private:
  std::string name_;
  std::vector<TreeProperty> properties_;
  std::list<TreeNode> children_;
};

/// A changed node, as ibm,update-nodes and ibm,update-properties report it.
struct NodeUpdate {
  u32 phandle = 0;
  std::string path;
  struct Change {
    std::string name;
    bool deleted = false;
    std::vector<u8> value;
  };
  std::vector<Change> changes;
};

/// What the guest knows, and the updates that it may fetch.
class DeviceTree {
 public:
  DeviceTree() : root_("") {}
  /// The tree of the partition as it is here and now. `kernel_bytes`: size of the kernel image in memory, 0
  /// if none; `initrd`: its address range, empty if none.
  struct Boot {
    u64 kernel_address = 0, kernel_bytes = 0, initrd_start = 0, initrd_end = 0;
  };
  static DeviceTree build(Partition& partition, const Boot& boot);
  /// Throws std::runtime_error if the blob is no sound flattened tree.
  static DeviceTree parse(std::span<const u8> blob);

  TreeNode& root() { return root_; }
  const TreeNode& root() const { return root_; }
  TreeNode* find(std::string_view path);
  TreeNode* by_phandle(u32 phandle, std::string* path = nullptr);
  /// The node below a connector (ibm,my-drc-index).
  const TreeNode* by_drc_index(u32 index) const;
  /// Calls for each node with its path, parents first.
  void walk(const std::function<void(TreeNode&, const std::string& path)>& visit);
  /// Each name of a property once, which takes a look at all before it, or again with each property: several
  /// times as fast, for a blob that a partition waits for.
  enum class Names { kOnce, kRepeated };
  std::vector<u8> flatten(Names names = Names::kOnce) const;

  /// Reconfiguration happened: from now on `updates` has what differs between this tree and `now`, as far as
  /// LoPAR lets it be reported for scope 1.
  void arm_updates(DeviceTree now);
  const std::vector<NodeUpdate>& updates() const { return updates_; }
  const NodeUpdate* update(u32 phandle) const;
  /// The guest has read all updates of a node: they are part of what it knows.
  void acknowledge(u32 phandle);

 private:
  TreeNode root_;
  std::vector<NodeUpdate> updates_;
};

}  // namespace baton::hypervisor
