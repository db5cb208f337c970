// SPDX-License-Identifier: Apache-2.0
// Client virtual terminal (VIO 4.1).
#include <algorithm>

#include "hypervisor/adapter.h"
#include "hypervisor/hcall.h"
#include "hypervisor/outside_events.h"
#include "hypervisor/partition.h"

namespace baton::hypervisor {
namespace {

constexpr u64 kCharsPerCall = 16;
constexpr std::size_t kHistory = 64 << 10, kMostInput = 64 << 10;

}  // namespace

Vterm::Vterm(Partition& partition, u32 slot) : VirtualAdapter(partition, slot) {}

void Vterm::reset() {
  VirtualAdapter::reset();
  std::lock_guard guard(lock_);
  input_.clear();
}

i64 Vterm::h_put_term_char(u64 length, u64 data_high, u64 data_low) {
  if (length > kCharsPerCall) return h::Parameter;
  u8 data[kCharsPerCall];
  store_be<u64>(data, data_high);
  store_be<u64>(data + 8, data_low);
  const std::span<const u8> text(data, length);
  std::lock_guard sink_guard(sink_lock_);
  {
    std::lock_guard guard(lock_);
    history_.append(reinterpret_cast<const char*>(data), length);
    // Cut in large steps: erasing the front moves everything behind it.
    if (history_.size() > 2 * kHistory) history_.erase(0, history_.size() - kHistory);
  }
  if (sink_ && length) sink_->output(text);
  return h::Success;
}

i64 Vterm::h_get_term_char(u64& length, u64& data_high, u64& data_low) {
  u8 data[kCharsPerCall] = {};
  std::lock_guard guard(lock_);
  length = std::min<u64>(input_.size(), kCharsPerCall);
  std::copy_n(input_.begin(), length, data);
  input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(length));
  data_high = load_be<u64>(data);
  data_low = load_be<u64>(data + 8);
  return h::Success;
}

std::string Vterm::set_sink(TerminalSink* sink) {
  std::lock_guard sink_guard(sink_lock_);
  sink_ = sink;
  return history();
}

void Vterm::input(std::span<const u8> data) {
  if (OutsideEvents* events = partition_.outside_events())
    events->submit(OutsideEvents::Kind::kTerminal, slot(), data);
  else
    arrived(data);
}

void Vterm::arrived(std::span<const u8> data) {
  {
    std::lock_guard guard(lock_);
    const auto room = kMostInput - std::min(kMostInput, input_.size());
    const auto taken = data.first(std::min(room, data.size()));
    input_.insert(input_.end(), taken.begin(), taken.end());
  }
  // Not signal(): Linux's console driver asks for this interrupt without ever enabling it by H_VIO_SIGNAL,
  // and does not poll once it has it.
  if (!data.empty()) partition_.xics().pulse(irq());
}

std::string Vterm::history() const {
  std::lock_guard guard(lock_);
  return history_.size() > kHistory ? history_.substr(history_.size() - kHistory) : history_;
}

Vterm::Snapshot Vterm::save() const {
  Snapshot snapshot{signal_enabled(), {}, history()};
  std::lock_guard guard(lock_);
  snapshot.pending_input.assign(input_.begin(), input_.end());
  return snapshot;
}

void Vterm::restore(const Snapshot& snapshot) {
  set_signal(snapshot.signal);
  std::lock_guard guard(lock_);
  const auto taken = std::min(kMostInput, snapshot.pending_input.size());
  input_.assign(snapshot.pending_input.begin(),
                snapshot.pending_input.begin() + static_cast<std::ptrdiff_t>(taken));
  history_ = snapshot.history.substr(snapshot.history.size() - std::min(kHistory, snapshot.history.size()));
}

}  // namespace baton::hypervisor
