// SPDX-License-Identifier: Apache-2.0
#include "vios/mover_service.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "hypervisor/hcall.h"

namespace baton::vios {

using hypervisor::CrqEntry;
using hypervisor::VasiFormat;
using hypervisor::VasiService;
using hypervisor::VasiStatus;

namespace {

constexpr u8 kHeader = 0x80, kResponse = 0x80;
constexpr u32 kLiobn = 0x10000001;
/// Of each session: a buffer for operations, and one for downloads.
constexpr u64 kBufferBytes = 512 << 10, kSessionBytes = 2 * kBufferBytes;
constexpr u64 kReadWrite = 3;
/// What we ask for: several opens, both forms of Download, Write Sequential Immediate (LPM 1.5).
constexpr u8 kCapabilities13 = 0x43, kCapabilities14 = 0x08;
/// Of an Operation Request Specifier, after our correlator.
constexpr u64 kTopAt = 8, kOperationCorrelatorAt = 24, kSegmentAt = 32, kDataAt = 36;
/// Of a Download Request Specifier.
constexpr u64 kFirstSegmentAt = 8, kImmediateAt = 12, kEndBytes = 4;
constexpr u64 kMostDownload = kBufferBytes - kImmediateAt - kEndBytes;

u64 descriptor(u64 at, u64 length) { return u64{0x80} << 56 | length << 32 | at; }
/// TOPs are numbers of the places in memory.
u64 place(u32 top) { return top * kSessionBytes; }

}  // namespace

MoverService::MoverService(hypervisor::VasiService& hypervisor)
    : hypervisor_(hypervisor),
      memory_(VasiService::kStreams * kSessionBytes),
      window_(kLiobn, memory_, memory_.size()),
      adapter_{window_, [this](const CrqEntry& entry) { deliver(entry); }} {
  for (u64 at = 0; at < memory_.size(); at += cpu::kFrameSize) window_.put(at, at | kReadWrite);
}

MoverService::~MoverService() { hypervisor_.reset(adapter_); }

void MoverService::stop() {
  running_ = false;
  hypervisor_.reset(adapter_);
}

std::unique_ptr<MoverService::Session> MoverService::open(u64 stream_id, hypervisor::VasiRole role,
                                                          Ship ship) {
  if (!running_) throw std::runtime_error("The mover's Virtual I/O Server is not running.");
  std::unique_ptr<Session> session;
  {
    const std::lock_guard hold(lock_);
    u32 top = 0;
    while (sessions_.contains(top)) ++top;
    if (top < VasiService::kStreams) {
      session.reset(new Session(*this, top, std::move(ship)));
      sessions_[top] = session.get();
    }
  }
  const auto refuse = [](VasiStatus status) {
    throw std::runtime_error("The hypervisor did not open the migration stream for the mover (VASI status " +
                             std::to_string(static_cast<u32>(status)) + ").");
  };
  if (!session) refuse(VasiStatus::kTooManyOpens);
  Message request{kHeader, static_cast<u8>(VasiFormat::kCapabilities), 0, static_cast<u8>(role)};
  request[13] = kCapabilities13;
  request[14] = kCapabilities14;
  request[15] = 1;
  Message answer = ask(request);
  if (answer[13] != kCapabilities13 || answer[14] != kCapabilities14) refuse(VasiStatus::kInvalidFormat);

  request = {kHeader, static_cast<u8>(VasiFormat::kOpen), 0, static_cast<u8>(role)};
  store_be<u32>(&request[4], session->top_);
  store_be<u64>(&request[8], stream_id);
  answer = ask(request);
  if (answer[2]) refuse(static_cast<VasiStatus>(answer[2]));
  session->bottom_ = load_be<u32>(&answer[4]);
  session->total_bytes_ = session->progress();
  session->lend();
  return session;
}

/// The hypervisor answers on our thread, and other messages may come on any.
MoverService::Message MoverService::ask(const Message& request) {
  const std::lock_guard turn(turn_);
  if (!running_)
    return {kHeader, static_cast<u8>(request[1] | kResponse), static_cast<u8>(VasiStatus::kHardware)};
  hypervisor_.receive(adapter_, {load_be<u64>(request.data()), load_be<u64>(request.data() + 8)});
  const std::lock_guard hold(lock_);
  return answer_;
}

void MoverService::deliver(const CrqEntry& entry) {
  Message message;
  store_be<u64>(message.data(), entry.high);
  store_be<u64>(message.data() + 8, entry.low);
  if (message[1] == static_cast<u8>(VasiFormat::kOperation)) return operate(message);
  const std::lock_guard hold(lock_);
  if (message[1] & kResponse) {
    answer_ = message;
  } else if (message[1] == static_cast<u8>(VasiFormat::kState)) {
    const auto session = sessions_.find(load_be<u32>(&message[4]));
    if (session == sessions_.end()) return;
    session->second->states_.emplace_back(static_cast<hypervisor::VasiState>(load_be<u16>(&message[12])),
                                          load_be<u32>(&message[8]));
  }
}

/// A slice of the stream is in the buffer whose correlator, its address, the message has.
void MoverService::operate(const Message& message) {
  const u64 at = load_be<u64>(&message[8]);
  std::array<u8, kDataAt> specifier;
  memory_.read(at, specifier);
  Session* session;
  {
    const std::lock_guard hold(lock_);
    session = sessions_.at(load_be<u32>(&specifier[kTopAt]));
  }
  VasiStatus status = VasiStatus::kSuccess;
  try {
    session->ship_({memory_.host(at + kDataAt), load_be<u32>(&specifier[kSegmentAt])});
  } catch (...) {
    status = VasiStatus::kHardware;
    const std::lock_guard hold(lock_);
    session->failure_ = std::current_exception();
  }
  session->lend();
  const u64 head = u64{kHeader} << 56 | u64{static_cast<u8>(VasiFormat::kOperation) | kResponse} << 48 |
                   u64{static_cast<u8>(status)} << 40;
  hypervisor_.receive(adapter_, {head, load_be<u64>(&specifier[kOperationCorrelatorAt])});
}

// -- a session

MoverService::Session::Session(MoverService& service, u32 top, Ship ship)
    : service_(service), top_(top), ship_(std::move(ship)) {}

MoverService::Session::~Session() {
  if (bottom_) service_.ask(request(VasiFormat::kClose));
  const std::lock_guard hold(service_.lock_);
  service_.sessions_.erase(top_);
}

MoverService::Message MoverService::Session::request(VasiFormat format, u64 low) const {
  Message message{kHeader, static_cast<u8>(format)};
  store_be<u32>(&message[4], bottom_);
  store_be<u64>(&message[8], low);
  return message;
}

void MoverService::Session::lend() {
  const u64 at = place(top_);
  service_.memory_.store<u64>(at, at);
  service_.ask(request(VasiFormat::kAddBuffer, descriptor(at, kBufferBytes)));
}

u64 MoverService::Session::longest_slice() { return VasiService::longest_slice(kBufferBytes); }

u64 MoverService::Session::progress() {
  const Message answer = service_.ask(request(VasiFormat::kProgress));
  return answer[2] ? 0 : load_be<u64>(&answer[8]);
}

i64 MoverService::Session::donate() {
  if (!service_.running_) return hypervisor::h::Hardware;
  return service_.hypervisor_.donate(service_.adapter_, u64{top_} << 32 | bottom_);
}

VasiStatus MoverService::Session::signal(hypervisor::VasiSignal signal, u32 reason) {
  return static_cast<VasiStatus>(
      service_.ask(request(VasiFormat::kSignal, u64{reason} << 32 | u64{static_cast<u16>(signal)} << 16))[2]);
}

VasiStatus MoverService::Session::download(std::span<const u8> data) {
  const u64 at = place(top_) + kBufferBytes;
  cpu::Memory& memory = service_.memory_;
  do {
    const auto piece = data.first(std::min<u64>(data.size(), kMostDownload));
    data = data.subspan(piece.size());
    memory.store<u64>(at, at);
    memory.store<u32>(at + kFirstSegmentAt, static_cast<u32>(piece.size()));
    memory.write(at + kImmediateAt, piece);
    memory.store<u32>(at + kImmediateAt + piece.size(), 0);
    const u64 length = kImmediateAt + piece.size() + kEndBytes;
    const auto status =
        static_cast<VasiStatus>(service_.ask(request(VasiFormat::kDownload, descriptor(at, length)))[2]);
    if (status != VasiStatus::kSuccess) return status;
  } while (!data.empty());
  return VasiStatus::kSuccess;
}

void MoverService::Session::check() {
  std::exception_ptr failure;
  {
    const std::lock_guard hold(service_.lock_);
    failure = std::exchange(failure_, nullptr);
  }
  if (failure) std::rethrow_exception(failure);
}

std::vector<std::pair<hypervisor::VasiState, u32>> MoverService::Session::states() const {
  const std::lock_guard hold(service_.lock_);
  return states_;
}

}  // namespace baton::vios
