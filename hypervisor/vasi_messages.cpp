// SPDX-License-Identifier: Apache-2.0
// The messages of a VASI adapter (LPM 1.5).
#include <algorithm>

#include "hypervisor/vasi_private.h"

namespace baton::hypervisor {
namespace {

constexpr u8 kResponse = 0x80, kValidDescriptor = 0x80;
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

}  // namespace

/// What is known of a request before it is looked at: which bytes must be zero, bit n for byte n.
struct VasiService::Row {
  VasiFormat format;
  u16 reserved;
  VasiStatus (VasiService::*handle)(Exchange& exchange);
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

u64 VasiService::longest_slice(u64 buffer_bytes) {
  constexpr u64 kAround = kCorrelatorBytes + kSpecifierBytes + kSegmentHeader + kEnd;
  return buffer_bytes > kAround ? buffer_bytes - kAround : 0;
}

/// Writes an Operation Request Specifier into a buffer of the session's and makes the message of it.
bool VasiService::fill(Session& session, u32 bottom, u64 at, std::span<const u8> slice, Message& message) {
  std::vector<u8> specifier(kSpecifierBytes + kSegmentHeader + slice.size() + kEnd);
  store_be<u32>(specifier.data(), session.top);
  store_be<u32>(&specifier[4], bottom);
  specifier[8] = kWriteSequential;  // Appended: the offset stays zero.
  store_be<u64>(&specifier[16], next_correlator_);
  store_be<u32>(&specifier[kSpecifierBytes], static_cast<u32>(slice.size()));  // Immediate: control bits 00.
  std::ranges::copy(slice, specifier.begin() + kSpecifierBytes + kSegmentHeader);
  TceTable& window = session.adapter->window;
  return window.read(at, std::span(message).subspan(8, 8)) && window.write(at + kCorrelatorBytes, specifier);
}

u64 VasiService::upload(u64 stream_id, std::span<const u8> slice) {
  Message message{vasi::kHeader, static_cast<u8>(VasiFormat::kOperation)};
  Hold hold(lock_);
  for (auto& [bottom, session] : sessions_) {
    if (session.stream_id != stream_id) continue;
    const auto pool = std::ranges::find_if(session.pools, [&](const Pool& p) {
      return longest_slice(p.length) >= slice.size() && !p.descriptors.empty();
    });
    if (pool == session.pools.end()) continue;
    const u64 at = address_of(pool->descriptors.back());
    pool->descriptors.pop_back();
    // The server may have taken the mapping away since it added the buffer.
    if (!fill(session, bottom, at, slice, message)) return 0;
    const u64 correlator = next_correlator_++;
    operations_[correlator] = stream_id;
    const VasiAdapter& adapter = *session.adapter;
    hold.unlock();
    send(adapter, message);
    return correlator;
  }
  return 0;
}

void VasiService::send(const VasiAdapter& adapter, const Message& message) {
  adapter.deliver({load_be<u64>(message.data()), load_be<u64>(message.data() + 8)});
}

void VasiService::receive(VasiAdapter& adapter, const CrqEntry& entry) {
  Message request;
  store_be<u64>(request.data(), entry.high);
  store_be<u64>(request.data() + 8, entry.low);
  if (request[0] != vasi::kHeader) return;  // Transport: the adapter's.
  if (request[1] == (static_cast<u8>(VasiFormat::kOperation) | kResponse)) return answered(request);

  Message response = request;
  response[1] |= kResponse;
  const auto row =
      std::ranges::find_if(kRows, [&](const Row& r) { return static_cast<u8>(r.format) == request[1]; });
  std::function<void()> after;
  if (row == std::end(kRows)) {
    response[2] = static_cast<u8>(VasiStatus::kInvalidFormat);
  } else {
    bool sound = true;
    for (std::size_t n = 2; n < request.size(); ++n) sound &= !(row->reserved >> n & 1) || request[n] == 0;
    Hold hold(lock_);
    Exchange exchange{adapter, request, response, hold, {}};
    response[2] = static_cast<u8>(sound ? (this->*row->handle)(exchange) : VasiStatus::kUnknownReserved);
    after = std::move(exchange.after);
  }
  send(adapter, response);
  if (after) after();
}

VasiStatus VasiService::capabilities(Exchange& x) {
  std::fill(x.response.begin() + 4, x.response.begin() + 13, u8{0});
  x.response[13] &= kCapabilities13;
  x.response[14] &= kCapabilities14;
  x.response[15] = std::min(x.request[15], kOpens);
  return VasiStatus::kSuccess;
}

VasiStatus VasiService::open(Exchange& x) {
  const u64 stream_id = x.low();
  const auto stream = streams_.find(stream_id);
  if (stream == streams_.end()) return VasiStatus::kInvalidStream;
  if (x.request[3] != static_cast<u8>(stream->second.role)) return VasiStatus::kInvalidService;
  if (stream->second.state == VasiState::kAborted) return VasiStatus::kStreamAborted;
  std::map<u64, u32> opens;
  for (const auto& [bottom, session] : sessions_)
    if (session.adapter == &x.adapter || session.stream_id == stream_id) ++opens[session.stream_id];
  const auto mine = opens.find(stream_id);
  if (mine == opens.end() ? opens.size() >= kStreams : mine->second >= kOpens)
    return VasiStatus::kTooManyOpens;
  const u32 bottom = next_bottom_++;
  sessions_[bottom] = {&x.adapter, x.word(4), stream_id, {}};
  store_be<u32>(&x.response[4], bottom);
  return VasiStatus::kSuccess;
}

/// The session that bytes 4 to 7 name; its TOP goes into the response. Null: there is none.
VasiService::Session* VasiService::session_of(Exchange& x) {
  const auto session = sessions_.find(x.word(4));
  if (session == sessions_.end() || session->second.adapter != &x.adapter) return nullptr;
  store_be<u32>(&x.response[4], session->second.top);
  return &session->second;
}

VasiStatus VasiService::close(Exchange& x) {
  if (!session_of(x)) return VasiStatus::kInvalidBottom;
  sessions_.erase(x.word(4));
  return VasiStatus::kSuccess;
}

VasiStatus VasiService::enqueue(Session& session, u64 descriptor, Pool*& pool) {
  if (!is_valid(descriptor)) return VasiStatus::kInvalidDescriptor;
  const u32 length = length_of(descriptor);
  if (!session.adapter->window.check(address_of(descriptor), std::max<u64>(length, 1), true))
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

VasiStatus VasiService::add_buffer(Exchange& x) {
  Session* session = session_of(x);
  if (!session) return VasiStatus::kInvalidBottom;
  const u64 descriptor = x.low();
  Pool* pool = nullptr;
  const VasiStatus status = enqueue(*session, descriptor, pool);
  if (status == VasiStatus::kSuccess) {
    store_be<u64>(&x.response[8], u64{pool->descriptors.size()} << 24 | pool->length);
  } else if (status != VasiStatus::kInvalidDescriptor) {
    x.adapter.window.read(address_of(descriptor),
                          std::span(x.response).subspan(8, 8));  // The server's correlator.
  }
  return status;
}

VasiStatus VasiService::add_indirect(Exchange& x) {
  const u8 count = x.request[3];
  const TceTable& window = x.adapter.window;
  x.response[3] = 0;
  Session* session = session_of(x);
  if (!session) return VasiStatus::kInvalidBottom;
  const u64 list = x.low();
  if (!is_valid(list) || !window.check(address_of(list), std::max<u64>(length_of(list), 1), false))
    return VasiStatus::kInvalidIndirectDescriptor;
  std::vector<u8> content(8 + 8 * std::size_t{count});
  if (length_of(list) < content.size()) {
    window.read(address_of(list), std::span(x.response).subspan(8, 8));
    return VasiStatus::kInvalidIndirectLength;
  }
  if (!window.read(address_of(list), content)) return VasiStatus::kInvalidIndirectDescriptor;
  std::copy_n(content.begin(), 8, x.response.begin() + 8);
  for (; x.response[3] < count; ++x.response[3]) {
    Pool* pool = nullptr;
    const VasiStatus status = enqueue(*session, load_be<u64>(&content[8 + 8 * x.response[3]]), pool);
    if (status != VasiStatus::kSuccess) return status;
  }
  return VasiStatus::kSuccess;
}

VasiStatus VasiService::free_buffer(Exchange& x) {
  std::fill(x.response.begin() + 8, x.response.end(), u8{0});
  Session* session = session_of(x);
  if (!session) return VasiStatus::kInvalidBottom;
  const u32 length = x.word(12) & 0xFFFFFF;
  const auto pool = std::ranges::find(session->pools, length, &Pool::length);
  if (length == 0 || pool == session->pools.end()) return VasiStatus::kInvalidLength;
  if (pool->descriptors.empty()) return VasiStatus::kEmpty;
  x.adapter.window.read(address_of(pool->descriptors.back()), std::span(x.response).subspan(8, 8));
  pool->descriptors.pop_back();
  return VasiStatus::kSuccess;
}

/// The segments of a Download Request Specifier. False: it is malformed.
bool VasiService::take_apart(const TceTable& window, std::span<const u8> specifier, std::vector<u8>& data) {
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
      if (specifier.size() < 4 || !window.read(load_be<u32>(specifier.data()), std::span(data).subspan(at)))
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

VasiStatus VasiService::download(Exchange& x) {
  Session* session = session_of(x);
  if (!session) return VasiStatus::kInvalidBottom;
  const TceTable& window = x.adapter.window;
  const u64 descriptor = x.low();
  const u32 length = length_of(descriptor);
  if (!is_valid(descriptor) || !window.check(address_of(descriptor), std::max<u64>(length, 8), false))
    return VasiStatus::kInvalidDescriptor;
  std::vector<u8> buffer(std::max<u32>(length, 8));
  if (!window.read(address_of(descriptor), buffer)) return VasiStatus::kInvalidDescriptor;
  std::copy_n(buffer.begin(), 8, x.response.begin() + 8);
  std::vector<u8> data;
  if (!take_apart(window, std::span<const u8>(buffer).subspan(kCorrelatorBytes), data))
    return VasiStatus::kInvalidDownload;
  const u64 stream_id = session->stream_id;
  Stream& stream = streams_.at(stream_id);
  if (stream.state == VasiState::kAborted) return VasiStatus::kSuccess;  // Flushed.
  {
    const Call call(*this, x.hold, stream);
    if (stream.operation->download(data)) return VasiStatus::kSuccess;
  }
  x.after = [this, stream_id] {
    enter(stream_id, VasiState::kAborted, vasi_reason(VasiEntity::kPlatform, 1));
  };
  return VasiStatus::kInvalidDownloadData;
}

VasiStatus VasiService::signal(Exchange& x) {
  Session* session = session_of(x);
  if (!session) return VasiStatus::kInvalidBottom;
  const auto code = static_cast<VasiSignal>(load_be<u16>(&x.request[12]));
  const u64 stream_id = session->stream_id;
  const VasiStatus status = may_signal(streams_.at(stream_id), code);
  if (status == VasiStatus::kSuccess)
    x.after = [this, stream_id, code, reason = x.word(8)] { signal(stream_id, code, reason); };
  return status;
}

VasiStatus VasiService::progress(Exchange& x) {
  Session* session = session_of(x);
  if (!session) return VasiStatus::kInvalidBottom;
  Stream& stream = streams_.at(session->stream_id);
  const Call call(*this, x.hold, stream);
  store_be<u64>(&x.response[8], stream.operation->bytes_left());
  return VasiStatus::kSuccess;
}

/// Operation Response: one that nobody waits for is discarded.
void VasiService::answered(const Message& response) {
  const u64 correlator = load_be<u64>(&response[8]);
  Hold hold(lock_);
  const auto outstanding = operations_.find(correlator);
  if (outstanding == operations_.end()) return;
  const auto stream = streams_.find(outstanding->second);
  operations_.erase(outstanding);
  if (stream == streams_.end()) return;
  const Call call(*this, hold, stream->second);
  stream->second.operation->uploaded(correlator, static_cast<VasiStatus>(response[2]));
}

}  // namespace baton::hypervisor
