// SPDX-License-Identifier: Apache-2.0
#include "vios/vscsi_server.h"

#include <algorithm>
#include <array>
#include <chrono>

namespace baton::vios {
namespace {

using hypervisor::CrqEntry;

// CRQ elements (VIO 1 and 2.2).
constexpr u8 kCommandHeader = 0x80, kInitHeader = 0xC0;
constexpr u8 kInit = 0x01, kInitComplete = 0x02;
constexpr u8 kSrpFormat = 1, kMadFormat = 2, kMessageFormat = 6;
constexpr u8 kPing = 0xF5, kPingResponse = 0xF6;
constexpr u8 kStatusOk = 0, kStatusFailed = 1;

// Information units (VIO 2.5).
enum : u8 {
  kLoginRequest = 0x00,
  kTaskManagement = 0x01,
  kCommand = 0x02,
  kLogout = 0x03,
  kLoginResponse = 0xC0,
  kResponse = 0xC1,
  kLoginReject = 0xC2,
};
constexpr u16 kDirect = 0x2, kIndirect = 0x4;
constexpr u32 kRejectNoReason = 0x00010000, kRejectLongIu = 0x00010002, kRejectFormats = 0x00010004;
constexpr u8 kResponseValid = 0x01, kSenseValid = 0x02, kOutOver = 0x04, kInOver = 0x10;
constexpr u8 kTaskComplete = 0, kFieldsInvalid = 2, kTaskNotSupported = 4;
constexpr u8 kAbortTask = 0x01, kAbortTaskSet = 0x02, kClearTaskSet = 0x04, kLunReset = 0x08;
constexpr std::size_t kResponseBytes = 36, kCommandBytes = 48, kLoginBytes = 52, kTaskBytes = 40;
constexpr u8 kOrdered = 2;

// Management datagrams (VIO 2.4).
enum : u32 { kEmptyIu = 1, kErrorLog = 2, kAdapterInfo = 3, kCapabilities = 5, kFastFail = 8 };
constexpr u16 kMadOk = 0, kMadNotSupported = 0xF1, kMadFailed = 0xF7;
constexpr std::size_t kMadBytes = 16, kMadWithBuffer = 24, kAdapterInfoBytes = 148;
constexpr u32 kOsTypeAix = 3;  // What a VIOS is; Linux asks only such a server for capabilities.
constexpr u32 kMostTransfer = 1 << 20;

/// Requests that the client may have outstanding; the server takes some more before it says H_DROPPED.
constexpr u32 kCredits = 128;
constexpr std::size_t kMostOutstanding = 1024;
constexpr std::size_t kMostSegments = 4096;
constexpr std::size_t kScratch = 256 << 10;

constexpr u64 kReportLunsWellKnown = 0xC101000000000000;

std::string text_field(std::span<const u8> field) {
  std::string text;
  for (const u8 c : field) {
    if (c == 0) break;
    text += c >= 0x20 && c < 0x7F ? static_cast<char>(c) : '?';
  }
  return text;
}

}  // namespace

/// An information unit as it was when it was read: what the client does to its copy afterwards changes
/// nothing.
struct VscsiServer::Request {
  u64 ioba = 0, epoch = 0, tag = 0;
  std::array<u8, kMostIu> iu{};
  std::size_t length = 0;
  std::atomic<bool> cancelled{false};
  bool done = false;

  u64 lun() const { return load_be<u64>(&iu[20]); }
  u8 attribute() const { return iu[29] & 7; }
};

/// A command's data descriptors (VIO 2.5).
class VscsiServer::Buffer final : public ScsiBuffer {
 public:
  struct Segment {
    u64 ioba, length;
  };

  Buffer(VscsiServer& server, const Request& request) : server_(server), request_(request) {}

  /// False: the descriptors make no sense. Data-out descriptors come first.
  bool parse() {
    const std::span<const u8> iu(request_.iu.data(), request_.length);
    std::size_t at = kCommandBytes + (iu[31] & ~3u);
    return parse(iu, at, iu[5] >> 4, iu[6], out_) && parse(iu, at, iu[5] & 15, iu[7], in_);
  }

  u64 out_length() const override { return out_.total; }
  u64 in_length() const override { return in_.total; }
  u64 fetched() const { return out_.moved; }
  u64 stored() const { return in_.moved; }

  bool fetch(std::span<u8> out) override {
    return move(out_, out.size(), [&](u64 ioba, u64 offset, u64 bytes) {
      return server_.client_.tce.read(ioba, out.subspan(offset, bytes));
    });
  }

  bool store(std::span<const u8> data) override {
    return move(in_, data.size(), [&](u64 ioba, u64 offset, u64 bytes) {
      return server_.client_.tce.write(ioba, data.subspan(offset, bytes));
    });
  }

 private:
  struct Direction {
    std::vector<Segment> segments;
    u64 total = 0, moved = 0;
    std::size_t segment = 0;  ///< Where the next byte goes.
    u64 offset = 0;
  };

  static void add(Direction& to, std::span<const u8> descriptor) {
    const Segment segment{load_be<u64>(descriptor.data()), load_be<u32>(&descriptor[12])};
    if (segment.length == 0) return;
    to.segments.push_back(segment);
    to.total += segment.length;
  }

  bool parse(std::span<const u8> iu, std::size_t& at, u8 format, u8 count, Direction& to) const {
    const auto left = [&] { return iu.size() - std::min(at, iu.size()); };
    if (format == 0) return true;
    if (format == 1) {
      if (left() < 16) return false;
      add(to, iu.subspan(at, 16));
      at += 16;
      return true;
    }
    if (format != 2 || left() < 20) return false;
    const auto table = iu.subspan(at, 16);
    const u64 table_ioba = load_be<u64>(table.data());
    const std::size_t entries = load_be<u32>(&table[12]) / 16;
    const u64 total = load_be<u32>(&iu[at + 16]);
    at += 20;
    if (entries > kMostSegments) return false;
    // All of them inline, or else the complete list where the table descriptor says.
    if (entries <= count) {
      if (left() < entries * 16) return false;
      for (std::size_t i = 0; i < entries; i++) add(to, iu.subspan(at + i * 16, 16));
    } else {
      std::vector<u8> list(entries * 16);
      if (!server_.client_.tce.read(table_ioba, list)) return false;
      for (std::size_t i = 0; i < entries; i++) add(to, std::span(list).subspan(i * 16, 16));
    }
    at += std::min<std::size_t>(count * std::size_t{16}, left());
    to.total = std::min(to.total, total);
    return true;
  }

  template <typename Move>
  bool move(Direction& direction, u64 length, Move&& part) {
    if (length > direction.total - direction.moved) return false;
    for (u64 done = 0; done < length;) {
      if (request_.cancelled || !server_.current(request_.epoch)) return false;
      const Segment& segment = direction.segments[direction.segment];
      const u64 bytes = std::min(length - done, segment.length - direction.offset);
      if (!part(segment.ioba + direction.offset, done, bytes)) return false;
      done += bytes;
      direction.moved += bytes;
      direction.offset += bytes;
      if (direction.offset == segment.length) {
        direction.segment++;
        direction.offset = 0;
      }
    }
    return true;
  }

  VscsiServer& server_;
  const Request& request_;
  Direction out_, in_;
};

// -- life

VscsiServer::VscsiServer(Client client, std::string server_name, u32 server_partition, unsigned io_threads)
    : client_(std::move(client)), server_name_(std::move(server_name)), server_partition_(server_partition) {
  threads_.emplace_back([this] { take_messages(); });
  for (unsigned i = 0; i < io_threads; i++) threads_.emplace_back([this] { run_commands(); });
}

VscsiServer::~VscsiServer() {
  quiesce();
  {
    std::lock_guard guard(lock_);
    stop_ = true;
  }
  messages_changed_.notify_all();
  commands_changed_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void VscsiServer::map(u32 target, std::shared_ptr<ScsiUnit> unit) { units_[target] = std::move(unit); }

std::string VscsiServer::client_name() const {
  std::lock_guard guard(lock_);
  return client_name_;
}

void VscsiServer::client_registered() {
  std::lock_guard guard(lock_);
  epoch_++;
  logged_in_ = false;
}

void VscsiServer::client_closed() {
  std::lock_guard guard(lock_);
  epoch_++;  // What runs stops at its next transfer and answers nobody.
  logged_in_ = false;
  migratable_ = false;
  messages_.clear();
  commands_.clear();
  idle_.notify_all();
}

bool VscsiServer::receive(const CrqEntry& entry) {
  {
    std::lock_guard guard(lock_);
    if (quiesced_) return true;  // The client asks again after its transport event.
    if (messages_.size() + commands_.size() + running_.size() >= kMostOutstanding) return false;
    messages_.push_back(entry);
  }
  messages_changed_.notify_one();
  return true;
}

void VscsiServer::quiesce() {
  std::unique_lock guard(lock_);
  quiesced_ = true;
  messages_.clear();
  commands_.clear();
  idle_.notify_all();
  idle_.wait(guard, [&] { return !taking_ && running_.empty(); });
  // The message in hand may have queued one more.
  commands_.clear();
}

void VscsiServer::resume() {
  std::lock_guard guard(lock_);
  quiesced_ = false;
}

void VscsiServer::settle() {
  std::unique_lock guard(lock_);
  idle_.wait(guard, [&] {
    return quiesced_ || (messages_.empty() && !taking_ && commands_.empty() && running_.empty());
  });
}

// -- threads

void VscsiServer::take_messages() {
  std::unique_lock guard(lock_);
  for (;;) {
    messages_changed_.wait(guard, [&] { return stop_ || !messages_.empty(); });
    if (stop_) return;
    const CrqEntry entry = messages_.front();
    messages_.pop_front();
    taking_ = true;
    guard.unlock();
    handle(entry);
    guard.lock();
    taking_ = false;
    idle_.notify_all();
  }
}

void VscsiServer::run_commands() {
  const auto scratch = std::make_unique<std::array<u8, kScratch>>();
  std::unique_lock guard(lock_);
  for (;;) {
    commands_changed_.wait(guard, [&] { return stop_ || (!commands_.empty() && !quiesced_); });
    if (stop_) return;
    const std::shared_ptr<Request> request = commands_.front();
    commands_.pop_front();
    running_.push_back(request);
    guard.unlock();
    command(*request, *scratch);
    guard.lock();
    request->done = true;
    running_.remove(request);
    idle_.notify_all();
  }
}

// -- messages

void VscsiServer::handle(const CrqEntry& entry) {
  const u8 header = entry.high >> 56, format = entry.high >> 48;
  if (header == kInitHeader) return handshake(format);
  if (header != kCommandHeader) return;  // Reserved headers are nobody's.
  const u64 length = entry.high & 0xFFFF;
  switch (format) {
    case kSrpFormat:
      return information_unit(entry.low, length);
    case kMadFormat:
      return datagram(entry.low, length);
    case kMessageFormat:
      if ((entry.high >> 32 & 0xFF) == kPing) notify(kMessageFormat, kPingResponse, 0, 0, epoch_);
      return;
    default:
      return notify(format, kStatusFailed, 0, 0, epoch_);
  }
}

void VscsiServer::handshake(u8 format) {
  if (format == kInitComplete) return;
  if (format != kInit) return;
  {
    // The client begins anew and has forgotten whatever it had asked before. Nothing of that may reach a disk
    // after this, or it could overwrite what the client writes next.
    std::unique_lock guard(lock_);
    epoch_++;
    logged_in_ = false;
    commands_.clear();
    idle_.wait(guard, [&] { return running_.empty(); });
  }
  client_.deliver({u64{kInitHeader} << 56 | u64{kInitComplete} << 48, 0});
}

void VscsiServer::notify(u8 format, u8 status, u64 length, u64 tag, u64 epoch) {
  const CrqEntry entry{u64{kCommandHeader} << 56 | u64{format} << 48 | u64{status} << 32 | (length & 0xFFFF),
                       tag};
  // The client's queue has room for all its credits. One that lets its queue fill up is waited for a little.
  for (int attempt = 0; attempt < 100; attempt++) {
    if (!current(epoch) || client_.deliver(entry)) return;
    {
      std::lock_guard guard(lock_);
      if (quiesced_) return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

// -- management datagrams

void VscsiServer::datagram(u64 ioba, u64 length) {
  const u64 epoch = epoch_;
  std::array<u8, kMadWithBuffer> mad{};
  const std::size_t bytes = std::min<std::size_t>(length, mad.size());
  if (bytes < kMadBytes || !client_.tce.read(ioba, std::span(mad).first(bytes)))
    return notify(kMadFormat, kStatusFailed, 0, 0, epoch);
  const u32 type = load_be<u32>(mad.data());
  const u64 buffer_length = load_be<u16>(&mad[6]), tag = load_be<u64>(&mad[8]),
            buffer = load_be<u64>(&mad[16]);
  const bool has_buffer = bytes == kMadWithBuffer;
  u16 status = kMadNotSupported;
  switch (type) {
    case kEmptyIu:
      return;  // Kept for a logout by the server, which never comes.
    case kErrorLog:
    case kFastFail:
      status = kMadOk;
      break;
    case kAdapterInfo:
      status = has_buffer ? adapter_info(buffer, buffer_length) : kMadFailed;
      break;
    case kCapabilities:
      status = has_buffer ? capabilities(buffer, buffer_length) : kMadFailed;
      break;
    default:
      break;
  }
  store_be<u16>(&mad[4], status);
  const bool written = current(epoch) && client_.tce.write(ioba, std::span(mad).first(kMadBytes));
  notify(kMadFormat, written ? kStatusOk : kStatusFailed, kMadBytes, tag, epoch);
}

u16 VscsiServer::adapter_info(u64 buffer, u64 length) {
  std::array<u8, kAdapterInfoBytes> info{};
  const auto part = std::span(info).first(std::min<std::size_t>(length, info.size()));
  if (!client_.tce.read(buffer, part)) return kMadFailed;
  {
    std::lock_guard guard(lock_);
    client_name_ = text_field(std::span(info).subspan(8, 96));
  }
  info = {};
  constexpr std::string_view kVersion = "16.a";
  std::ranges::copy(kVersion, info.begin());
  std::ranges::copy(server_name_.substr(0, 95), info.begin() + 8);
  store_be<u32>(&info[104], server_partition_);
  store_be<u32>(&info[108], 1);  // Version of these datagrams.
  store_be<u32>(&info[112], kOsTypeAix);
  store_be<u32>(&info[116], kMostTransfer);
  return client_.tce.write(buffer, part) ? kMadOk : kMadFailed;
}

u16 VscsiServer::capabilities(u64 buffer, u64 length) {
  constexpr std::size_t kFixed = 68, kMost = 1024;
  constexpr u32 kListSupported = 4;
  constexpr u32 kMigration = 1, kReservation = 2;
  std::array<u8, kMost> list{};
  if (length < kFixed || length > kMost) return kMadFailed;
  const auto data = std::span(list).first(length);
  if (!client_.tce.read(buffer, data)) return kMadFailed;
  u32 flags = load_be<u32>(data.data()) | kListSupported;
  bool migration = false;
  for (std::size_t at = kFixed; at + 8 <= length;) {
    const u32 type = load_be<u32>(&data[at]);
    const u16 bytes = load_be<u16>(&data[at + 4]);
    if (bytes < 8 || bytes > length - at) break;
    const bool supported = (type == kMigration || type == kReservation) && bytes >= 12;
    if (type == kMigration && supported) migration = load_be<u32>(&data[at + 8]) >= 1;
    store_be<u16>(&data[at + 6], supported ? 1 : 0);
    if (!supported) flags &= ~kListSupported;
    at += bytes;
  }
  store_be<u32>(data.data(), flags);
  if (!client_.tce.write(buffer, data)) return kMadFailed;
  migratable_ = migration;
  return kMadOk;
}

// -- information units

void VscsiServer::information_unit(u64 ioba, u64 length) {
  auto request = std::make_shared<Request>();
  request->ioba = ioba;
  request->epoch = epoch_;
  request->length = std::min<std::size_t>(length, request->iu.size());
  if (request->length < 16 || !client_.tce.read(ioba, std::span(request->iu).first(request->length)))
    return notify(kSrpFormat, kStatusFailed, 0, 0, request->epoch);
  request->tag = load_be<u64>(&request->iu[8]);
  const u8 opcode = request->iu[0];
  if (opcode == kLoginRequest) return login(*request);
  if (opcode == kLogout) {
    logged_in_ = false;
    return;
  }
  if (!logged_in_) return respond_code(*request, kFieldsInvalid);
  if (opcode == kTaskManagement) return manage_task(*request);
  if (opcode != kCommand || request->length < kCommandBytes) return respond_code(*request, kFieldsInvalid);

  std::unique_lock guard(lock_);
  const auto idle = [&] { return quiesced_ || (commands_.empty() && running_.empty()); };
  // An ordered task starts when all before it have ended, and those behind it wait for it (SAM-5 8.6).
  const bool ordered = request->attribute() == kOrdered;
  if (ordered) idle_.wait(guard, idle);
  if (quiesced_ || !current(request->epoch)) return;
  commands_.push_back(request);
  commands_changed_.notify_one();
  if (ordered) idle_.wait(guard, idle);
}

void VscsiServer::login(const Request& request) {
  std::array<u8, kLoginBytes> response{};
  const auto reject = [&](u32 reason) {
    response[0] = kLoginReject;
    store_be<u32>(&response[4], reason);
    store_be<u64>(&response[8], request.tag);
    store_be<u16>(&response[24], kDirect | kIndirect);
    respond(request, std::span(response).first(32));
  };
  if (request.length < 48) return reject(kRejectNoReason);
  if (load_be<u32>(&request.iu[16]) > kMostIu) return reject(kRejectLongIu);
  if (!(load_be<u16>(&request.iu[24]) & (kDirect | kIndirect))) return reject(kRejectFormats);
  logged_in_ = true;
  for (const auto& [target, unit] : units_) unit->logged_in();
  response[0] = kLoginResponse;
  store_be<u32>(&response[4], kCredits);
  store_be<u64>(&response[8], request.tag);
  store_be<u32>(&response[16], kMostIu);
  store_be<u32>(&response[20], kMostIu);
  store_be<u16>(&response[24], kDirect | kIndirect);
  respond(request, response);
}

std::vector<std::shared_ptr<VscsiServer::Request>> VscsiServer::cancel(
    const std::function<bool(const Request&)>& which) {
  std::lock_guard guard(lock_);
  std::erase_if(commands_, [&](const auto& request) { return which(*request); });
  std::vector<std::shared_ptr<Request>> found;
  for (const auto& request : running_) {
    if (!which(*request)) continue;
    request->cancelled = true;
    found.push_back(request);
  }
  return found;
}

void VscsiServer::wait_until_gone(const std::vector<std::shared_ptr<Request>>& requests) {
  std::unique_lock guard(lock_);
  idle_.wait(guard, [&] {
    return std::ranges::all_of(requests, [](const auto& request) { return request->done; });
  });
}

void VscsiServer::manage_task(const Request& request) {
  if (request.length < kTaskBytes) return respond_code(request, kFieldsInvalid);
  const u64 lun = request.lun(), managed = load_be<u64>(&request.iu[32]);
  const u8 function = request.iu[30];
  if (function == kAbortTask) {
    // The answer means that the task moves no more data: the client frees its memory then.
    wait_until_gone(cancel([&](const Request& other) { return other.tag == managed && other.lun() == lun; }));
    return respond_code(request, kTaskComplete);
  }
  if (function == kAbortTaskSet || function == kClearTaskSet || function == kLunReset) {
    ScsiUnit* unit = unit_at(lun);
    if (!unit) return respond_code(request, kFieldsInvalid);
    wait_until_gone(cancel([&](const Request& other) { return other.lun() == lun; }));
    if (function == kLunReset) unit->reset();
    return respond_code(request, kTaskComplete);
  }
  respond_code(request, kTaskNotSupported);
}

void VscsiServer::respond(const Request& request, std::span<const u8> iu) {
  if (request.cancelled || !current(request.epoch)) return;
  const bool written = client_.tce.write(request.ioba, iu);
  notify(kSrpFormat, written ? kStatusOk : kStatusFailed, iu.size(), request.tag, request.epoch);
}

void VscsiServer::respond_code(const Request& request, u8 code) {
  std::array<u8, kResponseBytes + 4> response{};
  response[0] = kResponse;
  store_be<u32>(&response[4], 1);
  store_be<u64>(&response[8], request.tag);
  response[18] = kResponseValid;
  store_be<u32>(&response[32], 4);
  response[39] = code;
  respond(request, response);
}

// -- commands

/// The unit of a LUN in logical unit addressing: 0x8000 | target << 8 | bus << 5 | lun, the rest zero.
ScsiUnit* VscsiServer::unit_at(u64 lun) const {
  const u64 first = lun >> 48;
  if (lun & 0xFFFFFFFFFFFF || first >> 14 != 2 || (first & 0xFF) != 0) return nullptr;
  const auto found = units_.find(first >> 8 & 0x3F);
  return found == units_.end() ? nullptr : found->second.get();
}

/// Commands to an address without a unit: the virtual server itself says what there is.
ScsiResult VscsiServer::without_unit(std::span<const u8> cdb, u64 lun, Buffer& buffer) {
  const auto reply = [&](std::span<const u8> data, u64 allocation) {
    const auto cut = data.first(std::min({u64{data.size()}, allocation, buffer.in_length()}));
    return buffer.store(cut) ? ScsiResult{} : scsi::kDataPhaseError;
  };
  switch (cdb[0]) {
    case 0x12: {  // INQUIRY: nothing can be here.
      if (cdb[1] & 1) return scsi::kInvalidField;
      std::array<u8, 36> data{0x7F, 0, 0x05, 0x12, 31};
      return reply(data, load_be<u16>(&cdb[3]));
    }
    case 0x03: {  // REQUEST SENSE
      u8 sense[Sense::kBytes];
      scsi::kLunNotSupported.sense.store(sense);
      return reply(sense, cdb[4]);
    }
    case 0xA0: {  // REPORT LUNS: the whole server.
      if (lun != 0 && lun != kReportLunsWellKnown) return scsi::kLunNotSupported;
      std::vector<u8> list(8 + units_.size() * 8);
      store_be<u32>(list.data(), static_cast<u32>(list.size() - 8));
      std::size_t at = 8;
      for (const auto& [target, unit] : units_) {
        store_be<u16>(&list[at], static_cast<u16>(0x8000 | target << 8));
        at += 8;
      }
      return reply(list, load_be<u32>(&cdb[6]));
    }
    default:
      return scsi::kLunNotSupported;
  }
}

ScsiResult VscsiServer::run(Request& request, Buffer& buffer, std::span<u8> scratch) {
  const auto cdb = std::span<const u8>(request.iu).subspan(32, 16);
  ScsiUnit* unit = unit_at(request.lun());
  return unit ? unit->execute(cdb, buffer, scratch) : without_unit(cdb, request.lun(), buffer);
}

void VscsiServer::command(Request& request, std::span<u8> scratch) {
  if (!current(request.epoch)) return;
  Buffer buffer(*this, request);
  if (!buffer.parse()) return respond_code(request, kFieldsInvalid);
  const ScsiResult result = run(request, buffer, scratch);

  std::array<u8, kResponseBytes + Sense::kBytes> response{};
  std::size_t length = kResponseBytes;
  response[0] = kResponse;
  store_be<u32>(&response[4], 1);
  store_be<u64>(&response[8], request.tag);
  u8 flags = 0;
  // Linux reads a residual only under the "over" flags, so that they say here what "under" should (VIO 2.5).
  if (const u64 left = buffer.out_length() - buffer.fetched()) {
    flags |= kOutOver;
    store_be<u32>(&response[20], static_cast<u32>(std::min<u64>(left, 0x7FFFFFFF)));
  }
  if (const u64 left = buffer.in_length() - buffer.stored()) {
    flags |= kInOver;
    store_be<u32>(&response[24], static_cast<u32>(std::min<u64>(left, 0x7FFFFFFF)));
  }
  response[19] = result.status;
  if (result.status == scsi::kCheckCondition) {
    flags |= kSenseValid;
    store_be<u32>(&response[28], Sense::kBytes);
    result.sense.store(std::span(response).subspan<kResponseBytes, Sense::kBytes>());
    length += Sense::kBytes;
  }
  response[18] = flags;
  respond(request, std::span(response).first(length));
}

}  // namespace baton::vios
