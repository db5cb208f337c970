// SPDX-License-Identifier: Apache-2.0
// A partition's part in its own move (PAPR 4.9, 13; LPM 1.5 to 1.9).
#include <fmt/format.h>

#include <stdexcept>

#include "hypervisor/compatibility.h"
#include "hypervisor/device_tree.h"
#include "hypervisor/partition.h"
#include "hypervisor/partition_private.h"
#include "hypervisor/rtas.h"
#include "hypervisor/system.h"
#include "hypervisor/virtual_processor.h"

namespace baton::hypervisor {
namespace {

constexpr u8 kPartnerSuspended = 0x06;  ///< CRQ transport event (VIO 1).

}  // namespace

void Partition::set_stream(u64 stream_id) { p_->stream = stream_id; }
u64 Partition::stream_id() const { return p_->stream; }
VasiState Partition::vasi_state() const { return system_.vasi().state(p_->stream); }

bool Partition::others_active(const VirtualProcessor& self) {
  for (const auto& processor : processors_)
    if (processor.get() != &self && !processor->at_rest()) return true;
  return false;
}

i32 Partition::suspend(VirtualProcessor& caller, u64 status_address) {
  VasiService& vasi = system_.vasi();
  const u64 stream = stream_id();
  if (vasi.state(stream) != VasiState::kSuspending) return rtas::kNotSuspendable;
  const auto release_all = [&] {
    for (const auto& processor : processors_) processor->release();
  };
  {
    std::lock_guard lock(join_lock_);
    for (const auto& processor : processors_) {
      if (processor.get() == &caller || processor->hold()) continue;
      release_all();
      return rtas::kThreadsActive;
    }
  }
  if (!vasi.enter(stream, VasiState::kSuspended)) {  // Called off meanwhile.
    release_all();
    return rtas::kNotSuspendable;
  }
  // What the destination finds: the call has returned 0.
  memory().store<u32>(status_address, rtas::kSuccess);
  caller.thread().state().gpr[3] = 0;
  caller.enter_suspension();
  if (!vasi.suspended(stream)) {
    caller.halt();  // The others stay held until stop_processors().
    return rtas::kSuccess;
  }
  caller.leave_suspension();
  release_all();
  return rtas::kAborted;
}

void Partition::quiesce_adapters() {
  for (const auto& [slot, adapter] : adapters_) {
    if (auto* crq = dynamic_cast<CrqAdapter*>(adapter.get())) {
      crq->disable();
      crq->transport_event(kPartnerSuspended);
    } else if (auto* lan = dynamic_cast<LogicalLan*>(adapter.get())) {
      lan->pause(true);
    }
  }
}

void Partition::resume_adapters() {
  // CRQs stay disabled until the client, which finds the transport event, calls H_ENABLE_CRQ.
  for (const auto& [slot, adapter] : adapters_)
    if (auto* lan = dynamic_cast<LogicalLan*>(adapter.get())) lan->pause(false);
  std::lock_guard lock(tree_lock_);
  device_tree_->arm_updates(DeviceTree::build(*this, {}));
}

void Partition::start_restored() {
  std::lock_guard life(p_->life);
  p_->used = true;
  p_->attached = true;  // The shell was; power-off gives its disks back.
  p_->state = PartitionState::kRunning;
  domain_.real_mode_limit = memory().size();
  domain_.forget_all_translations();
  for (const auto& processor : processors_) processor->start_restored(processor->dispatch());
}

void Partition::stop_processors() {
  std::lock_guard life(p_->life);
  stop_all();
  p_->state = PartitionState::kNotActivated;
}

// ---- the platform's share of the stream: a flattened tree, so that later versions can add to it

std::vector<u8> Partition::save_platform() const {
  DeviceTree blob;
  TreeNode& root = blob.root();
  const PlatformState state = platform();
  root.cells("version", {1});
  std::vector<u32> cells;
  for (const auto& [key, value] : state.indicators) cells.insert(cells.end(), {key.first, key.second, value});
  root.cells("indicators", cells);
  cells.clear();
  for (const auto& [index, c] : state.connectors) cells.insert(cells.end(), {index, c.usable, c.isolated});
  root.cells("connectors", cells);
  root.number("time-of-day-offset", static_cast<u64>(state.time_of_day_offset));
  root.cells("nmi", {state.nmi_reset, state.nmi_check});
  root.number("perfmon", state.perfmon);
  root.cells("capacity", {state.entitled_capacity, state.capacity_weight});
  root.string("termination", state.termination);
  root.string("reference-code", reference_code());
  TreeNode& parameters = root.add("parameters");
  for (const auto& [token, value] : state.parameters)
    parameters.bytes(std::to_string(token), {reinterpret_cast<const u8*>(value.data()), value.size()});
  std::lock_guard lock(const_cast<std::mutex&>(tree_lock_));
  root.add("device-tree").copy_content(device_tree_->root());
  return blob.flatten(DeviceTree::Names::kRepeated);
}

void Partition::restore_platform(std::span<const u8> data) {
  DeviceTree blob = DeviceTree::parse(data);
  const TreeNode& root = blob.root();
  const auto numbers = [&](const char* name) {
    std::vector<u32> values;
    if (const auto* value = root.find(name))
      for (std::size_t at = 0; at + 4 <= value->size(); at += 4)
        values.push_back(load_be<u32>(value->data() + at));
    return values;
  };
  const auto number = [&](const char* name) {
    const auto* value = root.find(name);
    return value && value->size() == 8 ? load_be<u64>(value->data()) : 0;
  };
  if (root.cell("version", 0) != 1)
    throw std::runtime_error("The platform state of the partition has an unknown version.");
  TreeNode *tree = blob.find("/device-tree"), *parameters = blob.find("/parameters");
  const auto nmi = numbers("nmi"), capacity = numbers("capacity");
  if (!tree || !parameters || nmi.size() != 2 || capacity.size() != 2)
    throw std::runtime_error("The platform state of the partition is incomplete.");
  PlatformState state;
  const auto indicators = numbers("indicators"), connectors = numbers("connectors");
  for (std::size_t i = 0; i + 3 <= indicators.size(); i += 3)
    state.indicators[{indicators[i], indicators[i + 1]}] = indicators[i + 2];
  for (std::size_t i = 0; i + 3 <= connectors.size(); i += 3)
    state.connectors[connectors[i]] = {connectors[i + 1] != 0, connectors[i + 2] != 0};
  for (const TreeProperty& property : parameters->properties()) {
    if (property.name.empty() || property.name.size() > 5 ||
        property.name.find_first_not_of("0123456789") != std::string::npos)
      throw std::runtime_error("The platform state of the partition has a damaged system parameter.");
    state.parameters[static_cast<u32>(std::stoul(property.name))] = {property.value.begin(),
                                                                     property.value.end()};
  }
  state.time_of_day_offset = static_cast<i64>(number("time-of-day-offset"));
  state.nmi_reset = nmi[0];
  state.nmi_check = nmi[1];
  state.perfmon = number("perfmon");
  state.entitled_capacity = capacity[0];
  state.capacity_weight = static_cast<u8>(capacity[1]);
  state.termination = root.text("termination");
  change_platform([&](PlatformState& mine) { mine = state; });
  const std::string code = root.text("reference-code");
  if (!code.empty()) progress(code);
  std::lock_guard lock(tree_lock_);
  DeviceTree known;
  known.root().copy_content(*tree);
  // The mode was negotiated at boot and stays until the next.
  known.walk([&](TreeNode& node, const std::string&) {
    if (node.text("device_type") != "cpu") return;
    const u32 version = node.cell("cpu-version", 0);
    const CompatibilityMode* mode = mode_of_version(version, processors_[0]->thread().state().pvr);
    if (!mode)
      throw std::runtime_error(fmt::format(
          "The partition runs at processor level {:#010x}, which this system does not have.", version));
    domain_.set_level(mode->level);
  });
  *device_tree_ = std::move(known);
}

}  // namespace baton::hypervisor
