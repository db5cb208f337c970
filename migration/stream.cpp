// SPDX-License-Identifier: Apache-2.0
#include "migration/stream.h"

#include <sys/random.h>
#define XXH_STATIC_LINKING_ONLY  // The state as a local variable.
#include <xxhash.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <thread>

#include "migration/compression_choice.h"

namespace baton::migration {
namespace {

static_assert(std::endian::native == std::endian::little, "the stream is little-endian and so are we");

constexpr std::chrono::milliseconds kPaceCredit{50};
constexpr char kMagic[8] = {'B', 'A', 'T', 'O', 'N', 'M', 'I', 'G'};
constexpr std::size_t kPreambleBytes = 56;

struct Header {
  u32 type, flags;
  u64 length, sequence, checksum;
};
static_assert(sizeof(Header) == kFrameHeaderBytes);

/// Of the payload in parts, none if TLS answers for it.
u64 checksum(const Header& header, std::span<const std::span<const u8>> parts) {
  const u64 seed = XXH3_64bits(&header, offsetof(Header, checksum));
  if (parts.size() == 1) return XXH3_64bits_withSeed(parts[0].data(), parts[0].size(), seed);
  alignas(64) XXH3_state_t state;
  XXH3_INITSTATE(&state);
  XXH3_64bits_reset_withSeed(&state, seed);
  for (const std::span<const u8>& part : parts) XXH3_64bits_update(&state, part.data(), part.size());
  return XXH3_64bits_digest(&state);
}

void fill_random(void* out, std::size_t size) {
  auto* at = static_cast<u8*>(out);
  while (size) {
    const ssize_t n = getrandom(at, size, 0);
    if (n < 0) throw std::runtime_error("The host gives no random numbers.");
    at += n;
    size -= static_cast<std::size_t>(n);
  }
}

constexpr const char* kFrameNames[] = {"",       "Memory", "Table",    "Round",     "State",   "Prepare",
                                       "Ready",  "Commit", "Resumed",  "Completed", "Refused", "Abort",
                                       "Absent", "Want",   "Received", "Drained"};
static_assert(std::size(kFrameNames) == kFrameTypes + 1);

// In Header::flags.
constexpr u32 kCompressed = 1;
constexpr u32 kAuthenticated = 2;  ///< The checksum is that of the header alone: TLS answers for the rest.

bool may_be_compressed(FrameType type) { return type == FrameType::kMemory || type == FrameType::kTable; }

/// BATON_MOVE_FAULT (stream.h).
void fail_if_told(std::string_view when, FrameType type) {
  struct Fault {
    std::string what, when, frame;
    std::atomic<bool> done{false};
    Fault() {
      if (const char* text = std::getenv("BATON_MOVE_FAULT"))
        std::istringstream(text) >> what >> when >> frame;
    }
  };
  static Fault fault;
  if (fault.what.empty() || when != fault.when || fault.frame != to_string(type) || fault.done.exchange(true))
    return;
  if (fault.what == "kill") ::raise(SIGKILL);
  throw StreamError("The connection was cut as BATON_MOVE_FAULT says.");
}

}  // namespace

const char* to_string(FrameType type) { return kFrameNames[static_cast<u32>(type)]; }

u64 longest_payload(FrameType type) {
  switch (type) {
    case FrameType::kMemory:
    case FrameType::kTable:
      return 4 << 20;
    case FrameType::kAbsent:
      return 8 << 20;  // 256 GB
    case FrameType::kWant:
      return kMostWanted * 8;
    case FrameType::kState:
      return 64 << 20;
    case FrameType::kRefused:
    case FrameType::kAbort:
      return 4096;
    default:
      return 0;
  }
}

void Pace::spend(u64 bytes) {
  if (bytes_per_second_) std::this_thread::sleep_until(reserve(bytes, std::chrono::steady_clock::now()));
}

Pace::Time Pace::reserve(u64 bytes, Time now) {
  if (!bytes_per_second_) return now;
  const std::chrono::nanoseconds time(
      static_cast<u64>(static_cast<u128>(bytes) * 1'000'000'000 / bytes_per_second_));
  const std::lock_guard hold(lock_);
  // What a late awakening left unused may be made up for.
  return free_ = std::max(free_, now - kPaceCredit) + time;
}

void FrameWriter::send(FrameType type, std::span<const u8> payload) {
  const std::span<const u8> parts[] = {payload};
  send_parts(type, parts);
}

void FrameWriter::send_parts(FrameType type, std::span<const std::span<const u8>> parts) {
  if (!compressor_ || !may_be_compressed(type)) return write(type, parts, false);
  using Clock = std::chrono::steady_clock;
  const bool wanted = !choice_ || choice_->compress_next();
  const auto start = Clock::now();
  std::span<const u8> packed;
  if (wanted) packed = compressor_->compress(parts);
  const bool compressed = !packed.empty();
  const auto begin = Clock::now();
  const u64 before = bytes();
  write(type, compressed ? std::span(&packed, 1) : parts, compressed);
  if (!choice_) return;
  u64 plain = 0;
  for (const std::span<const u8>& part : parts) plain += part.size();
  choice_->note({.tried = wanted,
                 .plain = plain,
                 .written = bytes() - before,
                 .compressing = begin - start,
                 .sending = Clock::now() - begin});
}

void FrameWriter::write(FrameType type, std::span<const std::span<const u8>> parts, bool compressed) {
  std::vector<std::span<const u8>> all(1);
  const bool authenticated = stream_.authenticated();
  const u32 flags = (compressed ? kCompressed : 0) | (authenticated ? kAuthenticated : 0);
  Header header{static_cast<u32>(type), flags, 0, sequence_++, 0};
  for (const std::span<const u8>& part : parts) {
    header.length += part.size();
    all.push_back(part);
  }
  if (header.length > longest_payload(type)) {
    throw StreamError("A part of the partition's state is larger than the stream can carry.");
  }
  header.checksum = checksum(header, authenticated ? std::span<const std::span<const u8>>() : parts);
  all[0] = {reinterpret_cast<const u8*>(&header), sizeof header};
  if (pace_) pace_->spend(sizeof header + header.length);
  fail_if_told("before-send", type);
  stream_.write(all);
  fail_if_told("after-send", type);
  bytes_.fetch_add(sizeof header + header.length, std::memory_order_relaxed);
}

void FrameWriter::send_text(FrameType type, std::string_view text) {
  text = text.substr(0, longest_payload(type));
  send(type, {reinterpret_cast<const u8*>(text.data()), text.size()});
}

Frame FrameReader::read() {
  Header header;
  stream_.read({reinterpret_cast<u8*>(&header), sizeof header});
  const auto type = static_cast<FrameType>(header.type);
  if (header.type == 0 || header.type > kFrameTypes || header.flags & ~(kCompressed | kAuthenticated) ||
      (header.flags & kCompressed && !may_be_compressed(type)) ||
      (header.flags & kAuthenticated && !stream_.authenticated()) || header.length > longest_payload(type) ||
      header.sequence != sequence_) {
    throw StreamError("The migration stream is damaged: a frame's header makes no sense.");
  }
  if (payload_.size() < header.length) payload_.resize(header.length);
  const std::span<u8> payload = std::span(payload_).first(header.length);
  stream_.read(payload);
  const std::span<const u8> whole[] = {payload};
  const std::span<const std::span<const u8>> covered(whole, header.flags & kAuthenticated ? 0 : 1);
  if (checksum(header, covered) != header.checksum) {
    throw StreamError("The migration stream is damaged: a frame's checksum does not match.");
  }
  ++sequence_;
  bytes_ += sizeof header + header.length;
  fail_if_told("receive", type);
  const u64 bytes = sizeof header + header.length;
  if (!(header.flags & kCompressed)) return {type, payload, bytes};
  if (!decompressor_) decompressor_.emplace();
  return {type, decompressor_->decompress(payload, longest_payload(type)), bytes};
}

void write_preamble(ByteStream& stream, const Preamble& preamble) {
  u8 bytes[kPreambleBytes] = {};
  std::memcpy(bytes, kMagic, 8);
  std::memcpy(bytes + 8, &preamble.version, 4);
  std::memcpy(bytes + 12, &preamble.channel, 4);
  std::memcpy(bytes + 16, &preamble.stream_id, 8);
  std::memcpy(bytes + 24, preamble.key.data(), 32);
  const std::span<const u8> parts[] = {bytes};
  stream.write(parts);
}

Preamble read_preamble(ByteStream& stream) {
  u8 bytes[kPreambleBytes];
  stream.read(bytes);
  Preamble preamble;
  u32 channel;
  std::memcpy(&preamble.version, bytes + 8, 4);
  std::memcpy(&channel, bytes + 12, 4);
  if (std::memcmp(bytes, kMagic, 8) != 0 || channel > static_cast<u32>(Channel::kPages))
    throw StreamError("This is not a migration stream.");
  if (preamble.version < kOldestStreamVersion || preamble.version > kStreamVersion) {
    throw StreamError("The migration stream has version " + std::to_string(preamble.version) +
                      ", we read versions " + std::to_string(kOldestStreamVersion) + " to " +
                      std::to_string(kStreamVersion) + ".");
  }
  preamble.channel = static_cast<Channel>(channel);
  std::memcpy(&preamble.stream_id, bytes + 16, 8);
  std::memcpy(preamble.key.data(), bytes + 24, 32);
  return preamble;
}

std::string key_to_hex(const Key& key) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const u8 byte : key) {
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

bool key_from_hex(std::string_view text, Key& key) {
  if (text.size() != 2 * key.size()) return false;
  const auto digit = [](char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  };
  for (std::size_t i = 0; i < key.size(); ++i) {
    const int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    key[i] = static_cast<u8>(high * 16 + low);
  }
  return true;
}

Key random_key() {
  Key key;
  fill_random(key.data(), key.size());
  return key;
}

u64 random_stream_id() {
  u64 id = 0;
  while (id == 0) fill_random(&id, sizeof id);
  return id;
}

}  // namespace baton::migration
