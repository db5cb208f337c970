// SPDX-License-Identifier: Apache-2.0
// Streams and their states; the messages are in vasi_messages.cpp.
#include "hypervisor/vasi_service.h"

#include <algorithm>

#include "hypervisor/hcall.h"
#include "hypervisor/vasi_private.h"

namespace baton::hypervisor {
namespace {

struct Transition {
  VasiRole role;
  VasiState from, to;
};
constexpr Transition kTransitions[] = {
    {VasiRole::kSourceMover, VasiState::kEnabled, VasiState::kSuspending},
    {VasiRole::kSourceMover, VasiState::kEnabled, VasiState::kAborted},
    {VasiRole::kSourceMover, VasiState::kEnabled,
     VasiState::kCompleted},  // Inactive: moved as a single unit.
    {VasiRole::kSourceMover, VasiState::kSuspending, VasiState::kSuspended},
    {VasiRole::kSourceMover, VasiState::kSuspending, VasiState::kAborted},
    {VasiRole::kSourceMover, VasiState::kSuspended, VasiState::kResumed},
    {VasiRole::kSourceMover, VasiState::kSuspended, VasiState::kAborted},
    {VasiRole::kSourceMover, VasiState::kResumed, VasiState::kCompleted},
    {VasiRole::kTargetMover, VasiState::kEnabled, VasiState::kResumed},
    {VasiRole::kTargetMover, VasiState::kEnabled, VasiState::kAborted},
    {VasiRole::kTargetMover, VasiState::kEnabled, VasiState::kCompleted},
    {VasiRole::kTargetMover, VasiState::kResumed, VasiState::kCompleted},
};

/// When a server may signal what; an administrator's stop is refused from Suspended on.
struct SignalRow {
  VasiSignal signal;
  VasiRole role;
  VasiState in;
};
constexpr SignalRow kSignals[] = {
    {VasiSignal::kSuspend, VasiRole::kSourceMover, VasiState::kEnabled},
    {VasiSignal::kCancel, VasiRole::kSourceMover, VasiState::kEnabled},
    {VasiSignal::kCancel, VasiRole::kSourceMover, VasiState::kSuspending},
    {VasiSignal::kCancel, VasiRole::kTargetMover, VasiState::kEnabled},
    {VasiSignal::kAbort, VasiRole::kSourceMover, VasiState::kEnabled},
    {VasiSignal::kAbort, VasiRole::kSourceMover, VasiState::kSuspending},
    {VasiSignal::kAbort, VasiRole::kTargetMover, VasiState::kEnabled},
};

}  // namespace

const char* to_string(VasiState state) {
  constexpr const char* kNames[] = {"Invalid",   "Enabled", "Aborted",  "Suspending",
                                    "Suspended", "Resumed", "Completed"};
  return static_cast<u32>(state) < std::size(kNames) ? kNames[static_cast<u32>(state)] : "Invalid";
}

bool vasi_may_follow(VasiRole role, VasiState from, VasiState to) {
  return std::ranges::any_of(
      kTransitions, [&](const Transition& t) { return t.role == role && t.from == from && t.to == to; });
}

VasiService::Call::Call(VasiService& service, Hold& hold, Stream& stream)
    : service_(service), hold_(hold), stream_(stream) {
  ++stream_.calls;
  hold_.unlock();
}

VasiService::Call::~Call() {
  hold_.lock();
  --stream_.calls;
  service_.idle_.notify_all();
}

bool VasiService::expect(u64 stream_id, VasiRole role, VasiOperation& operation) {
  const std::lock_guard in_order(order_);
  Hold hold(lock_);
  if (stream_id == 0) return false;
  const auto [stream, fresh] =
      streams_.try_emplace(stream_id, Stream{role, &operation, VasiState::kEnabled, 0});
  if (!fresh) return false;
  const Call call(*this, hold, stream->second);
  operation.entered(VasiState::kEnabled, 0);
  return true;
}

void VasiService::forget(u64 stream_id) {
  Hold hold(lock_);
  const auto busy = [&] {
    const auto stream = streams_.find(stream_id);
    return stream != streams_.end() && stream->second.calls;
  };
  idle_.wait(hold, [&] { return !busy(); });
  streams_.erase(stream_id);
  std::erase_if(sessions_, [&](const auto& entry) { return entry.second.stream_id == stream_id; });
  std::erase_if(operations_, [&](const auto& entry) { return entry.second == stream_id; });
}

bool VasiService::enter(u64 stream_id, VasiState to, u32 reason) {
  const std::lock_guard in_order(order_);
  Hold hold(lock_);
  const auto found = streams_.find(stream_id);
  if (found == streams_.end() || !vasi_may_follow(found->second.role, found->second.state, to)) return false;
  Stream& stream = found->second;
  stream.state = to;
  std::vector<std::pair<const VasiAdapter*, u32>> told;
  for (const auto& [bottom, session] : sessions_)
    if (session.stream_id == stream_id) told.emplace_back(session.adapter, session.top);
  const Call call(*this, hold, stream);
  stream.operation->entered(to, reason);
  for (const auto& [adapter, top] : told) {
    Message message{vasi::kHeader, static_cast<u8>(VasiFormat::kState)};
    store_be<u32>(&message[4], top);
    store_be<u32>(&message[8], reason);
    store_be<u16>(&message[12], static_cast<u16>(to));
    send(*adapter, message);
  }
  return true;
}

VasiState VasiService::state(u64 stream_id) const {
  const std::lock_guard hold(lock_);
  const auto stream = streams_.find(stream_id);
  return stream == streams_.end() ? VasiState::kInvalid : stream->second.state;
}

VasiStatus VasiService::may_signal(const Stream& stream, VasiSignal signal) {
  const auto fits = [&](const SignalRow& row) { return row.signal == signal && row.role == stream.role; };
  if (std::ranges::none_of(kSignals, fits)) return VasiStatus::kInvalidSignal;
  const auto now = [&](const SignalRow& row) { return fits(row) && row.in == stream.state; };
  return std::ranges::any_of(kSignals, now) ? VasiStatus::kSuccess : VasiStatus::kInvalidTransition;
}

VasiStatus VasiService::signal(u64 stream_id, VasiSignal signal, u32 reason) {
  Hold hold(lock_);
  const auto stream = streams_.find(stream_id);
  if (stream == streams_.end()) return VasiStatus::kInvalidStream;
  const VasiStatus status = may_signal(stream->second, signal);
  if (status != VasiStatus::kSuccess) return status;
  const Call call(*this, hold, stream->second);
  stream->second.operation->signalled(signal, reason);
  return status;
}

bool VasiService::suspended(u64 stream_id) {
  Hold hold(lock_);
  const auto stream = streams_.find(stream_id);
  if (stream == streams_.end()) return true;  // It was given up meanwhile.
  const Call call(*this, hold, stream->second);
  return stream->second.operation->suspended();
}

i64 VasiService::donate(const VasiAdapter& adapter, u64 top_bottom) {
  using enum VasiOperation::Work;
  constexpr struct {
    VasiOperation::Work work;
    i64 status;
  } kAnswers[] = {
      {kMore, h::InProgress}, {kBlocked, h::LongBusy1ms}, {kDone, h::Success}, {kFailed, h::Hardware}};
  Hold hold(lock_);
  const auto session = sessions_.find(static_cast<u32>(top_bottom));
  if (session == sessions_.end() || session->second.adapter != &adapter ||
      session->second.top != top_bottom >> 32)
    return h::Parameter;
  Stream& stream = streams_.at(session->second.stream_id);
  if (stream.state == VasiState::kAborted) return h::Aborted;
  if (stream.state == VasiState::kCompleted) return h::Success;
  const Call call(*this, hold, stream);
  const VasiOperation::Work work = stream.operation->donated();
  return std::ranges::find(kAnswers, work, &std::remove_cvref_t<decltype(kAnswers[0])>::work)->status;
}

void VasiService::reset(const VasiAdapter& adapter) {
  const std::lock_guard in_order(order_);
  const std::lock_guard hold(lock_);
  std::erase_if(sessions_, [&](const auto& entry) { return entry.second.adapter == &adapter; });
}

}  // namespace baton::hypervisor
