// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/vasi_service.h"

#include <algorithm>

#include "hypervisor/hcall.h"

namespace baton::hypervisor {
namespace {

constexpr u8 kHeader = 0x80, kResponse = 0x80, kValidDescriptor = 0x80;
constexpr u64 kCorrelatorBytes = 8;  ///< The server's own, at the start of each buffer.
constexpr u64 kSpecifierBytes = 24;  ///< TOP/BOTTOM, opcode and offset, operation correlator.
constexpr u64 kSegmentHeader = 4, kEnd = 4;
constexpr u64 kLeastBuffer = kCorrelatorBytes + kSpecifierBytes + kSegmentHeader + kEnd + 8;
constexpr u8 kWriteSequential = 0x80;
constexpr u8 kIndirect = 0x80;      ///< Of a segment of a Download.
constexpr u64 kMostData = 4 << 20;  ///< Of one Download: indirect segments reach beyond their buffer.
/// What we support of bytes 13 to 15 of a capability string: several opens, indirect buffers, both forms of
/// Download; Write Sequential Immediate.
constexpr u8 kCapabilities13 = 0x40 | 0x04 | 0x03, kCapabilities14 = 0x08;

u32 length_of(u64 descriptor) { return static_cast<u32>(descriptor >> 32 & 0xFFFFFF); }
u64 address_of(u64 descriptor) { return descriptor & 0xFFFFFFFF; }
bool is_valid(u64 descriptor) { return descriptor >> 56 == kValidDescriptor; }

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

bool vasi_may_follow(VasiRole role, VasiState from, VasiState to) {
  return std::ranges::any_of(
      kTransitions, [&](const Transition& t) { return t.role == role && t.from == from && t.to == to; });
}

/// What is known of a request before it is looked at: which bytes must be zero, bit n for byte n.
struct VasiService::Row {
  VasiFormat format;
  u16 reserved;
  VasiStatus (VasiService::*handle)(const Message& request, Message& response, Hold& hold);
};
const VasiService::Row VasiService::kRows[] = {
    {VasiFormat::kCapabilities, 1 << 2, &VasiService::capabilities},
    {VasiFormat::kOpen, 1 << 2, &VasiService::open},
    {VasiFormat::kClose, 0xFF0C, &VasiService::close},
    {VasiFormat::kAddBuffer, 0x000C, &VasiService::add_buffer},
    {VasiFormat::kFreeBuffer, 0x1F0C, &VasiService::free_buffer},
    {VasiFormat::kDownload, 0x000C, &VasiService::download},
    {VasiFormat::kSignal, 0xC00C, &VasiService::signal},
    {VasiFormat::kProgress, 0xFF0C, &VasiService::progress},
    {VasiFormat::kAddBufferIndirect, 1 << 2, &VasiService::add_indirect},
};

VasiService::VasiService(TceTable& window, std::function<bool(const CrqEntry&)> deliver)
    : window_(window), deliver_(std::move(deliver)) {}

// -- the platform's side

bool VasiService::expect(u64 stream_id, VasiRole role, VasiOperation& operation) {
  const std::lock_guard hold(lock_);
  if (stream_id == 0 || streams_.size() >= kStreams) return false;
  return streams_.try_emplace(stream_id, Stream{role, &operation, VasiState::kEnabled}).second;
}

void VasiService::forget(u64 stream_id) {
  const std::lock_guard hold(lock_);
  streams_.erase(stream_id);
  std::erase_if(sessions_, [&](const auto& entry) { return entry.second.stream_id == stream_id; });
  std::erase_if(operations_, [&](const auto& entry) { return entry.second == stream_id; });
}

bool VasiService::enter(u64 stream_id, VasiState to, u32 reason) {
  std::vector<u32> tops;
  {
    const std::lock_guard hold(lock_);
    const auto stream = streams_.find(stream_id);
    if (stream == streams_.end() || !vasi_may_follow(stream->second.role, stream->second.state, to))
      return false;
    stream->second.state = to;
    for (const auto& [bottom, session] : sessions_)
      if (session.stream_id == stream_id) tops.push_back(session.top);
  }
  for (const u32 top : tops) {
    Message message{kHeader, static_cast<u8>(VasiFormat::kState)};
    store_be<u32>(&message[4], top);
    store_be<u32>(&message[8], reason);
    store_be<u16>(&message[12], static_cast<u16>(to));
    send(message);
  }
  return true;
}

VasiState VasiService::state(u64 stream_id) const {
  const std::lock_guard hold(lock_);
  const auto stream = streams_.find(stream_id);
  return stream == streams_.end() ? VasiState::kInvalid : stream->second.state;
}

u64 VasiService::upload(u64 stream_id, std::span<const u8> slice) {
  Message message{kHeader, static_cast<u8>(VasiFormat::kOperation)};
  u64 correlator = 0;
  {
    const std::lock_guard hold(lock_);
    const u64 needed = kCorrelatorBytes + kSpecifierBytes + kSegmentHeader + slice.size() + kEnd;
    for (auto& [bottom, session] : sessions_) {
      if (session.stream_id != stream_id) continue;
      const auto pool = std::ranges::find_if(
          session.pools, [&](const Pool& p) { return p.length >= needed && !p.descriptors.empty(); });
      if (pool == session.pools.end()) continue;
      const u64 at = address_of(pool->descriptors.back());
      std::vector<u8> specifier(needed - kCorrelatorBytes);
      store_be<u32>(specifier.data(), session.top);
      store_be<u32>(&specifier[4], bottom);
      specifier[8] = kWriteSequential;  // Appended: the offset stays zero.
      store_be<u64>(&specifier[16], next_correlator_);
      store_be<u32>(&specifier[kSpecifierBytes],
                    static_cast<u32>(slice.size()));  // Immediate: control bits 00.
      std::ranges::copy(slice, specifier.begin() + kSpecifierBytes + kSegmentHeader);
      // The server may have taken the mapping away since it added the buffer.
      if (!window_.read(at, std::span(message).subspan(8, 8)) ||
          !window_.write(at + kCorrelatorBytes, specifier)) {
        pool->descriptors.pop_back();
        return 0;
      }
      pool->descriptors.pop_back();
      correlator = next_correlator_++;
      operations_[correlator] = stream_id;
      break;
    }
  }
  if (correlator) send(message);
  return correlator;
}

// -- the server's side

void VasiService::send(const Message& message) {
  deliver_({load_be<u64>(message.data()), load_be<u64>(message.data() + 8)});
}

void VasiService::receive(const CrqEntry& entry) {
  Message request;
  store_be<u64>(request.data(), entry.high);
  store_be<u64>(request.data() + 8, entry.low);
  if (request[0] != kHeader) return;  // Transport: the adapter's.
  if (request[1] == (static_cast<u8>(VasiFormat::kOperation) | kResponse)) return answered(request);

  Message response = request;
  response[1] |= kResponse;
  const auto row =
      std::ranges::find_if(kRows, [&](const Row& r) { return static_cast<u8>(r.format) == request[1]; });
  std::vector<std::function<void()>> after;
  if (row == std::end(kRows)) {
    response[2] = static_cast<u8>(VasiStatus::kInvalidFormat);
  } else {
    bool sound = true;
    for (std::size_t n = 2; n < request.size(); ++n) sound &= !(row->reserved >> n & 1) || request[n] == 0;
    Hold hold(lock_);
    response[2] =
        static_cast<u8>(sound ? (this->*row->handle)(request, response, hold) : VasiStatus::kUnknownReserved);
    after.swap(after_);
  }
  send(response);
  for (const auto& call : after) call();
}

VasiStatus VasiService::capabilities(const Message& request, Message& response, Hold& hold) {
  std::fill(response.begin() + 4, response.begin() + 13, u8{0});
  response[13] &= kCapabilities13;
  response[14] &= kCapabilities14;
  response[15] = std::min(request[15], kOpens);
  return VasiStatus::kSuccess;
}

VasiStatus VasiService::open(const Message& request, Message& response, Hold& hold) {
  const u64 stream_id = load_be<u64>(&request[8]);
  const auto stream = streams_.find(stream_id);
  if (stream == streams_.end()) return VasiStatus::kInvalidStream;
  if (request[3] != static_cast<u8>(stream->second.role)) return VasiStatus::kInvalidService;
  if (stream->second.state == VasiState::kAborted) return VasiStatus::kStreamAborted;
  const auto opens = std::ranges::count_if(
      sessions_, [&](const auto& entry) { return entry.second.stream_id == stream_id; });
  if (opens >= kOpens) return VasiStatus::kTooManyOpens;
  const u32 bottom = next_bottom_++;
  sessions_[bottom] = {load_be<u32>(&request[4]), stream_id, {}};
  store_be<u32>(&response[4], bottom);
  return VasiStatus::kSuccess;
}

/// The session that bytes 4 to 7 name; its TOP goes into the response. Null: there is none.
VasiService::Session* VasiService::session_of(const Message& message, Message& response) {
  const auto session = sessions_.find(load_be<u32>(&message[4]));
  if (session == sessions_.end()) return nullptr;
  store_be<u32>(&response[4], session->second.top);
  return &session->second;
}

VasiStatus VasiService::close(const Message& request, Message& response, Hold& hold) {
  if (!session_of(request, response)) return VasiStatus::kInvalidBottom;
  sessions_.erase(load_be<u32>(&request[4]));
  return VasiStatus::kSuccess;
}

VasiStatus VasiService::enqueue(Session& session, u64 descriptor, Pool*& pool) {
  if (!is_valid(descriptor)) return VasiStatus::kInvalidDescriptor;
  const u32 length = length_of(descriptor);
  if (!window_.check(address_of(descriptor), std::max<u64>(length, 1), true))
    return VasiStatus::kInvalidDescriptor;
  if (length < kLeastBuffer) return VasiStatus::kInvalidLength;
  auto found = std::ranges::find(session.pools, length, &Pool::length);
  if (found == session.pools.end()) found = std::ranges::find(session.pools, 0u, &Pool::length);
  if (found == session.pools.end()) return VasiStatus::kInvalidLength;
  if (found->descriptors.size() >= 0xFFFF) return VasiStatus::kHardware;  // The count has two bytes.
  found->length = length;
  found->descriptors.push_back(descriptor);
  pool = &*found;
  return VasiStatus::kSuccess;
}

VasiStatus VasiService::add_buffer(const Message& request, Message& response, Hold& hold) {
  Session* session = session_of(request, response);
  if (!session) return VasiStatus::kInvalidBottom;
  const u64 descriptor = load_be<u64>(&request[8]);
  Pool* pool = nullptr;
  const VasiStatus status = enqueue(*session, descriptor, pool);
  if (status == VasiStatus::kSuccess) {
    store_be<u64>(&response[8], u64{pool->descriptors.size()} << 24 | pool->length);
  } else if (status != VasiStatus::kInvalidDescriptor) {
    window_.read(address_of(descriptor), std::span(response).subspan(8, 8));  // The server's correlator.
  }
  return status;
}

VasiStatus VasiService::add_indirect(const Message& request, Message& response, Hold& hold) {
  const u8 count = request[3];
  response[3] = 0;
  Session* session = session_of(request, response);
  if (!session) return VasiStatus::kInvalidBottom;
  const u64 list = load_be<u64>(&request[8]);
  if (!is_valid(list) || !window_.check(address_of(list), std::max<u64>(length_of(list), 1), false))
    return VasiStatus::kInvalidIndirectDescriptor;
  std::vector<u8> content(8 + 8 * std::size_t{count});
  if (length_of(list) < content.size()) {
    window_.read(address_of(list), std::span(response).subspan(8, 8));
    return VasiStatus::kInvalidIndirectLength;
  }
  if (!window_.read(address_of(list), content)) return VasiStatus::kInvalidIndirectDescriptor;
  std::copy_n(content.begin(), 8, response.begin() + 8);
  for (; response[3] < count; ++response[3]) {
    Pool* pool = nullptr;
    const VasiStatus status = enqueue(*session, load_be<u64>(&content[8 + 8 * response[3]]), pool);
    if (status != VasiStatus::kSuccess) return status;
  }
  return VasiStatus::kSuccess;
}

VasiStatus VasiService::free_buffer(const Message& request, Message& response, Hold& hold) {
  std::fill(response.begin() + 8, response.end(), u8{0});
  Session* session = session_of(request, response);
  if (!session) return VasiStatus::kInvalidBottom;
  const u32 length = load_be<u32>(&request[12]) & 0xFFFFFF;
  const auto pool = std::ranges::find(session->pools, length, &Pool::length);
  if (length == 0 || pool == session->pools.end()) return VasiStatus::kInvalidLength;
  if (pool->descriptors.empty()) return VasiStatus::kEmpty;
  window_.read(address_of(pool->descriptors.back()), std::span(response).subspan(8, 8));
  pool->descriptors.pop_back();
  return VasiStatus::kSuccess;
}

/// The segments of a Download Request Specifier. False: it is malformed.
bool VasiService::take_apart(std::span<const u8> specifier, std::vector<u8>& data) {
  while (specifier.size() >= kEnd) {
    const u32 head = load_be<u32>(specifier.data());
    if (head == 0) return true;
    const u32 length = head & 0xFFFFFF;
    const u8 control = head >> 24;
    if (control & ~kIndirect || length == 0 || data.size() + length > kMostData) return false;
    specifier = specifier.subspan(kSegmentHeader);
    const std::size_t at = data.size();
    data.resize(at + length);
    if (control & kIndirect) {
      if (specifier.size() < 4 || !window_.read(load_be<u32>(specifier.data()), std::span(data).subspan(at)))
        return false;
      specifier = specifier.subspan(4);
    } else {
      if (specifier.size() < length) return false;
      std::copy_n(specifier.begin(), length, data.begin() + static_cast<std::ptrdiff_t>(at));
      specifier = specifier.subspan(length);
    }
  }
  return false;  // The four zero bytes are missing.
}

VasiStatus VasiService::download(const Message& request, Message& response, Hold& hold) {
  Session* session = session_of(request, response);
  if (!session) return VasiStatus::kInvalidBottom;
  const u64 descriptor = load_be<u64>(&request[8]);
  const u32 length = length_of(descriptor);
  if (!is_valid(descriptor) || !window_.check(address_of(descriptor), std::max<u64>(length, 8), false))
    return VasiStatus::kInvalidDescriptor;
  std::vector<u8> buffer(std::max<u32>(length, 8));
  if (!window_.read(address_of(descriptor), buffer)) return VasiStatus::kInvalidDescriptor;
  std::copy_n(buffer.begin(), 8, response.begin() + 8);
  std::vector<u8> data;
  if (!take_apart(std::span<const u8>(buffer).subspan(kCorrelatorBytes), data))
    return VasiStatus::kInvalidDownload;
  const auto stream = streams_.find(session->stream_id);
  if (stream->second.state == VasiState::kAborted) return VasiStatus::kSuccess;  // Flushed.
  VasiOperation* operation = stream->second.operation;
  const u64 stream_id = session->stream_id;
  hold.unlock();
  const bool sound = operation->download(data);
  hold.lock();
  if (sound) return VasiStatus::kSuccess;
  after_.emplace_back(
      [this, stream_id] { enter(stream_id, VasiState::kAborted, vasi_reason(VasiEntity::kPlatform, 1)); });
  return VasiStatus::kInvalidDownloadData;
}

VasiStatus VasiService::signal(const Message& request, Message& response, Hold& hold) {
  Session* session = session_of(request, response);
  if (!session) return VasiStatus::kInvalidBottom;
  const auto signal = static_cast<VasiSignal>(load_be<u16>(&request[12]));
  const u32 reason = load_be<u32>(&request[8]);
  const Stream& stream = streams_.at(session->stream_id);
  const auto fits = [&](const SignalRow& row) { return row.signal == signal && row.role == stream.role; };
  if (std::ranges::none_of(kSignals, fits)) return VasiStatus::kInvalidSignal;
  if (std::ranges::none_of(kSignals,
                           [&](const SignalRow& row) { return fits(row) && row.in == stream.state; }))
    return VasiStatus::kInvalidTransition;
  after_.emplace_back(
      [operation = stream.operation, signal, reason] { operation->signalled(signal, reason); });
  return VasiStatus::kSuccess;
}

VasiStatus VasiService::progress(const Message& request, Message& response, Hold& hold) {
  Session* session = session_of(request, response);
  if (!session) return VasiStatus::kInvalidBottom;
  VasiOperation* operation = streams_.at(session->stream_id).operation;
  hold.unlock();
  store_be<u64>(&response[8], operation->bytes_left());
  hold.lock();
  return VasiStatus::kSuccess;
}

/// Operation Response: one that nobody waits for is discarded.
void VasiService::answered(const Message& response) {
  const u64 correlator = load_be<u64>(&response[8]);
  VasiOperation* operation = nullptr;
  {
    const std::lock_guard hold(lock_);
    const auto outstanding = operations_.find(correlator);
    if (outstanding == operations_.end()) return;
    const auto stream = streams_.find(outstanding->second);
    operations_.erase(outstanding);
    if (stream != streams_.end()) operation = stream->second.operation;
  }
  if (operation) operation->uploaded(correlator, static_cast<VasiStatus>(response[2]));
}

i64 VasiService::donate(u64 top_bottom) {
  VasiOperation* operation = nullptr;
  {
    const std::lock_guard hold(lock_);
    const auto session = sessions_.find(static_cast<u32>(top_bottom));
    if (session == sessions_.end() || session->second.top != top_bottom >> 32) return h::Parameter;
    const Stream& stream = streams_.at(session->second.stream_id);
    if (stream.state == VasiState::kAborted) return h::Aborted;
    if (stream.state == VasiState::kCompleted) return h::Success;
    operation = stream.operation;
  }
  switch (operation->donated()) {
    case VasiOperation::Work::kMore:
      return h::InProgress;
    case VasiOperation::Work::kBlocked:
      return h::LongBusy1ms;
    case VasiOperation::Work::kDone:
      return h::Success;
  }
  return h::Hardware;
}

void VasiService::reset() {
  const std::lock_guard hold(lock_);
  sessions_.clear();
  operations_.clear();
}

}  // namespace baton::hypervisor
