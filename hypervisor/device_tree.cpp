// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/device_tree.h"

#include <algorithm>
#include <array>
#include <stdexcept>

extern "C" {
#include <libfdt.h>
}

namespace baton::hypervisor {

// ---- nodes

TreeNode& TreeNode::add(std::string name) { return children_.emplace_back(std::move(name)); }

void TreeNode::bytes(std::string_view name, std::span<const u8> value) {
  const auto found = std::ranges::find(properties_, name, &TreeProperty::name);
  if (found != properties_.end())
    found->value.assign(value.begin(), value.end());
  else
    properties_.push_back({std::string(name), {value.begin(), value.end()}});
}

void TreeNode::cells(std::string_view name, std::span<const u32> values) {
  std::vector<u8> value(values.size() * 4);
  for (std::size_t i = 0; i < values.size(); i++) store_be<u32>(value.data() + 4 * i, values[i]);
  bytes(name, value);
}

void TreeNode::cells(std::string_view name, std::initializer_list<u32> values) {
  cells(name, std::span(values.begin(), values.size()));
}

void TreeNode::number(std::string_view name, u64 value) {
  cells(name, {static_cast<u32>(value >> 32), static_cast<u32>(value)});
}

void TreeNode::string(std::string_view name, std::string_view value) {
  std::vector<u8> text(value.begin(), value.end());
  text.push_back(0);
  bytes(name, text);
}

void TreeNode::strings(std::string_view name, std::span<const std::string> values) {
  std::vector<u8> text;
  for (const std::string& value : values) {
    text.insert(text.end(), value.begin(), value.end());
    text.push_back(0);
  }
  bytes(name, text);
}

void TreeNode::remove(std::string_view name) {
  std::erase_if(properties_, [&](const TreeProperty& p) { return p.name == name; });
}

void TreeNode::copy_content(const TreeNode& from) {
  properties_ = from.properties_;
  children_ = from.children_;
}

const std::vector<u8>* TreeNode::find(std::string_view name) const {
  const auto found = std::ranges::find(properties_, name, &TreeProperty::name);
  return found == properties_.end() ? nullptr : &found->value;
}

u32 TreeNode::cell(std::string_view name, u32 otherwise) const {
  const auto* value = find(name);
  return value && value->size() == 4 ? load_be<u32>(value->data()) : otherwise;
}

std::string TreeNode::text(std::string_view name) const {
  const auto* value = find(name);
  if (!value) return {};
  return {value->begin(), std::ranges::find(*value, u8{0})};
}

// ---- the tree

namespace {

template <class Node, class Visit>
bool walk_nodes(Node& node, const std::string& path, const Visit& visit) {
  if (visit(node, path)) return true;
  for (auto& child : node.children())
    if (walk_nodes(child, (path == "/" ? "" : path) + "/" + child.name(), visit)) return true;
  return false;
}

void check(int result) {
  if (result < 0) throw std::runtime_error(std::string("device tree: ") + fdt_strerror(result));
}

void flatten_node(void* blob, const TreeNode& node) {
  check(fdt_begin_node(blob, node.name().c_str()));
  for (const TreeProperty& property : node.properties())
    check(fdt_property(blob, property.name.c_str(), property.value.data(),
                       static_cast<int>(property.value.size())));
  for (const TreeNode& child : node.children()) flatten_node(blob, child);
  check(fdt_end_node(blob));
}

std::size_t flat_size(const TreeNode& node) {
  // Token, name and end; then token, length, name offset, value and the name itself for each property.
  std::size_t size = 16 + node.name().size();
  for (const TreeProperty& property : node.properties())
    size += 24 + property.value.size() + property.name.size();
  for (const TreeNode& child : node.children()) size += flat_size(child);
  return size;
}

// Bounds on a tree from a migration stream: a path fits a work area of update-properties, and so does any
// name.
constexpr int kDeepest = 16;
constexpr int kLongestNodeName = 96;
constexpr std::size_t kLongestPropertyName = 96;

void parse_node(const void* blob, int offset, TreeNode& node, int depth) {
  if (depth > kDeepest) throw std::runtime_error("device tree: nested too deeply");
  int property = 0;
  fdt_for_each_property_offset(property, blob, offset) {
    const char* name = nullptr;
    int length = 0;
    const void* value = fdt_getprop_by_offset(blob, property, &name, &length);
    if (!value || std::string_view(name).size() > kLongestPropertyName)
      throw std::runtime_error("device tree: damaged property");
    node.bytes(name, {static_cast<const u8*>(value), static_cast<std::size_t>(length)});
  }
  if (property != -FDT_ERR_NOTFOUND) check(property);
  int child = 0;
  fdt_for_each_subnode(child, blob, offset) {
    int length = 0;
    const char* name = fdt_get_name(blob, child, &length);
    if (!name) check(length);
    if (length > kLongestNodeName) throw std::runtime_error("device tree: name too long");
    parse_node(blob, child, node.add(name), depth + 1);
  }
  if (child != -FDT_ERR_NOTFOUND) check(child);
}

/// LoPAR, "Properties of the Nodes That May Be Reported by ibm,update-properties", scope 1.
bool reportable(const TreeNode& node, const std::string& path, const std::string& property) {
  const auto any = [&](std::initializer_list<std::string_view> names) {
    return std::ranges::find(names, std::string_view(property)) != names.end();
  };
  const std::string type = node.text("device_type");
  if (path == "/")
    return any({"ibm,model-class", "clock-frequency", "ibm,extended-clock-frequency", "model", "compatible",
                "system-id", "ibm,partition-no", "ibm,drc-indexes", "ibm,drc-names", "ibm,drc-power-domains",
                "ibm,drc-types", "ibm,platform-hardware-notification"});
  if (path == "/openprom") return property == "model";
  if (path == "/rtas")
    return any(
        {"power-on-max-latency", "ibm,associativity-reference-points", "ibm,max-associativity-domains"});
  if (path == "/vdevice") return property == "ibm,drc-names";
  if (path.starts_with("/vdevice/")) return property == "ibm,loc-code";
  if (type == "cpu")
    return any({"d-cache-sets",
                "d-cache-size",
                "i-cache-sets",
                "i-cache-size",
                "bus-frequency",
                "ibm,extended-bus-frequency",
                "ibm,extended-clock-frequency",
                "clock-frequency",
                "timebase-frequency",
                "performance-monitor",
                "ibm,associativity",
                "slb-size",
                "ibm,tbu40-offset",
                "ibm,pi-features",
                "ibm,spurr",
                "ibm,pa-optimizations",
                "tlb-size",
                "tlb-sets",
                "d-tlb-size",
                "d-tlb-sets",
                "i-tlb-size",
                "i-tlb-sets"});
  if (type == "memory") return property == "ibm,associativity";
  return false;
}

}  // namespace

void DeviceTree::walk(const std::function<void(TreeNode&, const std::string&)>& visit) {
  walk_nodes(root_, "/", [&](TreeNode& node, const std::string& path) {
    visit(node, path);
    return false;
  });
}

TreeNode* DeviceTree::find(std::string_view path) {
  TreeNode* found = nullptr;
  walk_nodes(root_, "/", [&](TreeNode& node, const std::string& at) {
    if (at == path) found = &node;
    return found != nullptr;
  });
  return found;
}

TreeNode* DeviceTree::by_phandle(u32 phandle, std::string* path) {
  TreeNode* found = nullptr;
  walk_nodes(root_, "/", [&](TreeNode& node, const std::string& at) {
    if (node.cell("ibm,phandle", 0) != phandle || phandle == 0) return false;
    found = &node;
    if (path) *path = at;
    return true;
  });
  return found;
}

const TreeNode* DeviceTree::by_drc_index(u32 index) const {
  const TreeNode* found = nullptr;
  walk_nodes(root_, "/", [&](const TreeNode& node, const std::string&) {
    if (const auto* value = node.find("ibm,my-drc-index"); value && node.cell("ibm,my-drc-index", 0) == index)
      found = &node;
    return found != nullptr;
  });
  return found;
}

std::vector<u8> DeviceTree::flatten(Names names) const {
  std::vector<u8> blob(flat_size(root_) + 1024);
  check(fdt_create_with_flags(blob.data(), static_cast<int>(blob.size()),
                              names == Names::kRepeated ? FDT_CREATE_FLAG_NO_NAME_DEDUP : 0));
  check(fdt_finish_reservemap(blob.data()));
  flatten_node(blob.data(), root_);
  check(fdt_finish(blob.data()));
  blob.resize(fdt_totalsize(blob.data()));
  return blob;
}

DeviceTree DeviceTree::parse(std::span<const u8> blob) {
  if (blob.size() < sizeof(fdt_header)) throw std::runtime_error("device tree: too short");
  check(fdt_check_full(blob.data(), blob.size()));
  DeviceTree tree;
  parse_node(blob.data(), 0, tree.root_, 0);
  return tree;
}

void DeviceTree::arm_updates(DeviceTree now) {
  updates_.clear();
  walk([&](TreeNode& known, const std::string& path) {
    const TreeNode* current = now.find(path);
    if (!current) return;  // The logical configuration is static across a move (LoPAR ibm,suspend-me R1-16).
    NodeUpdate update{known.cell("ibm,phandle", 0), path, {}};
    for (const TreeProperty& property : current->properties()) {
      const auto* before = known.find(property.name);
      if (reportable(known, path, property.name) && (!before || *before != property.value))
        update.changes.push_back({property.name, false, property.value});
    }
    for (const TreeProperty& property : known.properties())
      if (reportable(known, path, property.name) && !current->find(property.name))
        update.changes.push_back({property.name, true, {}});
    if (!update.changes.empty()) updates_.push_back(std::move(update));
  });
}

const NodeUpdate* DeviceTree::update(u32 phandle) const {
  const auto found = std::ranges::find(updates_, phandle, &NodeUpdate::phandle);
  return found == updates_.end() ? nullptr : &*found;
}

void DeviceTree::acknowledge(u32 phandle) {
  const NodeUpdate* done = update(phandle);
  TreeNode* node = by_phandle(phandle);
  if (!done || !node) return;
  for (const NodeUpdate::Change& change : done->changes) {
    if (change.deleted)
      node->remove(change.name);
    else
      node->bytes(change.name, change.value);
  }
}

}  // namespace baton::hypervisor
