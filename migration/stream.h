// SPDX-License-Identifier: Apache-2.0
// The migration stream: a preamble and checked frames, over anything that carries bytes.
//
// Preamble, once, from the source: magic "BATONMIG", u32 version, u32 channel, u64 stream id, 32 bytes key.
// Frame, either way: u32 type, u32 flags, u64 length, u64 sequence (from 0 in each direction), u64 checksum
// (XXH3-64 of the payload, seeded by the XXH3-64 of the 24 bytes before it), payload. All little-endian.
// Flags: bit 0, in kMemory and kTable from version 3 on: the payload is a zstd frame that knows its size. Bit
// 1, under TLS from version 5 on: the checksum is that of no payload, which TLS answers for. The others are
// zero. Channels for pages, and kDrained, from version 6 on.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "cpu/bits.h"
#include "migration/compression.h"

namespace baton::migration {

inline constexpr u32 kStreamVersion = 6;        ///< What is written, and the newest that is read.
inline constexpr u32 kOldestStreamVersion = 2;  ///< The oldest that is read.
inline constexpr std::size_t kFrameHeaderBytes = 32;

/// The stream ended, timed out or is damaged.
class StreamError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A connection. Both calls move everything or throw StreamError.
class ByteStream {
 public:
  virtual ~ByteStream() = default;
  virtual void read(std::span<u8> out) = 0;
  virtual void write(std::span<const std::span<const u8>> parts) = 0;
  /// What is read is what was written, byte by byte, or read() throws: TLS. Checksums say nothing more then.
  virtual bool authenticated() const { return false; }
};

enum class FrameType : u32 {
  kMemory = 1,  ///< Pages of logical real memory (page_engine.h).
  kTable,       ///< Pages of the hash page table.
  kRound,       ///< On each channel: a pre-copy round ended; also keeps the connection alive. Empty.
  kState,       ///< baton.state.Partition.
  kPrepare,     ///< Everything is sent. Empty.
  kReady,       ///< Target: everything is restored, waiting for kCommit. Empty.
  kCommit,      ///< Source: the partition is the target's from here on. Empty.
  kResumed,     ///< Target: the partition runs here. Empty.
  kCompleted,   ///< Source: nothing of it is left there. Empty.
  kRefused,     ///< Target: it cannot go on; the text says why. Nothing was started.
  kAbort,       ///< Source: the move is off; the text says why.
  kAbsent,      ///< The frames of memory that come after kResumed: a bit each, in u64 words. From the target
                ///< after a connection was lost.
  kWant,        ///< Target, on the demand channel: frame numbers (u64) that are needed at once.
  kReceived,    ///< Target: no page is missing any more. Empty.
  kDrained,     ///< Source, on each of several channels: no more pages come by it before kPrepare. Empty.
};
const char* to_string(FrameType type);  ///< "Memory"...
inline constexpr u32 kFrameTypes = 15;
inline constexpr u32 kMostWanted = 64;  ///< Frame numbers in a kWant.
/// The longest payload of a type; longer ones are refused before a byte of them is stored.
u64 longest_payload(FrameType type);

struct Frame {
  FrameType type{};
  std::span<const u8> payload;  ///< Valid until the next read.
  u64 bytes = 0;                ///< That it took in the stream.
  std::string text() const { return {reinterpret_cast<const char*>(payload.data()), payload.size()}; }
};

/// Keeps what several connections send below a limit.
class Pace {
 public:
  /// 0: no limit.
  explicit Pace(u64 bytes_per_second) : bytes_per_second_(bytes_per_second) {}
  using Time = std::chrono::steady_clock::time_point;
  /// Returns when so many bytes would have left.
  void spend(u64 bytes);
  /// When that will be, after all that was reserved before, if it is `now`.
  Time reserve(u64 bytes, Time now);

 private:
  const u64 bytes_per_second_;
  std::mutex lock_;
  Time free_{};
};

// For tests, the environment variable BATON_MOVE_FAULT="WHAT WHEN FRAME", such as "kill before-send Commit",
// makes a process fail at a frame: WHAT is "kill" (the process) or "cut" (the connection, once), WHEN is
// "before-send", "after-send" or "receive".

class CompressionChoice;

/// Used by one thread at a time.
class FrameWriter {
 public:
  /// `pace` may be null.
  explicit FrameWriter(ByteStream& stream, Pace* pace = nullptr) : stream_(stream), pace_(pace) {}
  void send(FrameType type, std::span<const u8> payload = {});
  /// The payload in up to six parts, so that pages need not be copied together.
  void send_parts(FrameType type, std::span<const std::span<const u8>> parts);
  void send_text(FrameType type, std::string_view text);
  /// From now on pages are compressed: all of them, or those that `choice` says.
  void compress(CompressionChoice* choice = nullptr) {
    compressor_.emplace();
    choice_ = choice;
  }
  /// Written so far, headers included. From any thread.
  u64 bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  void write(FrameType type, std::span<const std::span<const u8>> parts, bool compressed);
  ByteStream& stream_;
  Pace* const pace_;
  u64 sequence_ = 0;
  std::atomic<u64> bytes_{0};
  std::optional<Compressor> compressor_;
  CompressionChoice* choice_ = nullptr;
};

class FrameReader {
 public:
  explicit FrameReader(ByteStream& stream) : stream_(stream) {}
  /// Throws StreamError on anything that is not a sound next frame.
  Frame read();
  u64 bytes() const { return bytes_; }

 private:
  ByteStream& stream_;
  u64 sequence_ = 0, bytes_ = 0;
  std::vector<u8> payload_;
  std::optional<Decompressor> decompressor_;  ///< Once it is needed.
};

using Key = std::array<u8, 32>;
/// The connections of a move, all from the source.
enum class Channel : u32 {
  kStream,  ///< Everything but...
  kDemand,  ///< ...pages that the target asks for: kWant, and kMemory in answer; and
  kPages,   ///< some of the pages that go before the target has the partition: kMemory, kTable, kRound,
            ///< kDrained.
};
inline constexpr u32 kMostChannels = 8;  ///< Of a move, for pages: the stream, and those of kPages.
struct Preamble {
  Channel channel = Channel::kStream;
  u64 stream_id = 0;
  Key key{};
  u32 version = kStreamVersion;
};
void write_preamble(ByteStream& stream, const Preamble& preamble);
Preamble read_preamble(ByteStream& stream);

std::string key_to_hex(const Key& key);
bool key_from_hex(std::string_view text, Key& key);
Key random_key();
u64 random_stream_id();  ///< Never zero.

}  // namespace baton::migration
