// SPDX-License-Identifier: Apache-2.0
// The migration stream: a preamble and checked frames, over anything that carries bytes.
//
// Preamble, once, from the source: magic "BATONMIG", u32 version, u32 zero, u64 stream id, 32 bytes key.
// Frame, either way: u32 type, u32 flags (zero), u64 length, u64 sequence (from 0 in each direction), u64
// checksum (XXH3-64 of the payload, seeded by the XXH3-64 of the 24 bytes before it), payload. All
// little-endian.
#pragma once

#include <array>
#include <functional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "cpu/bits.h"

namespace baton::migration {

inline constexpr u32 kStreamVersion = 1;
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
};

enum class FrameType : u32 {
  kMemory = 1,  ///< Pages of logical real memory (page_engine.h).
  kTable,       ///< Pages of the hash page table.
  kRound,       ///< A pre-copy round ended; also keeps the connection alive. Empty.
  kState,       ///< baton.state.Partition.
  kPrepare,     ///< Everything is sent. Empty.
  kReady,       ///< Target: everything is restored, waiting for kCommit. Empty.
  kCommit,      ///< Source: the partition is the target's from here on. Empty.
  kResumed,     ///< Target: the partition runs here. Empty.
  kCompleted,   ///< Source: nothing of it is left there. Empty.
  kRefused,     ///< Target: it cannot go on; the text says why. Nothing was started.
  kAbort,       ///< Source: the move is off; the text says why.
};
inline constexpr u32 kFrameTypes = 11;
/// The longest payload of a type; longer ones are refused before a byte of them is stored.
u64 longest_payload(FrameType type);

struct Frame {
  FrameType type{};
  std::span<const u8> payload;  ///< Valid until the next read.
  std::string text() const { return {reinterpret_cast<const char*>(payload.data()), payload.size()}; }
};

class FrameWriter {
 public:
  explicit FrameWriter(ByteStream& stream) : stream_(stream) {}
  void send(FrameType type, std::span<const u8> payload = {});
  /// The payload in up to six parts, so that pages need not be copied together.
  void send_parts(FrameType type, std::span<const std::span<const u8>> parts);
  void send_text(FrameType type, std::string_view text);
  u64 bytes() const { return bytes_; }  ///< Written so far, headers included.

 private:
  ByteStream& stream_;
  u64 sequence_ = 0, bytes_ = 0;
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
};

using Key = std::array<u8, 32>;
struct Preamble {
  u64 stream_id = 0;
  Key key{};
};
void write_preamble(ByteStream& stream, const Preamble& preamble);
Preamble read_preamble(ByteStream& stream);

std::string key_to_hex(const Key& key);
bool key_from_hex(std::string_view text, Key& key);
Key random_key();
u64 random_stream_id();  ///< Never zero.

}  // namespace baton::migration
