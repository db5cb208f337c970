// SPDX-License-Identifier: Apache-2.0
// Payloads of the migration stream, made smaller by zstd.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "cpu/bits.h"

namespace baton::migration {

class Compressor {
 public:
  Compressor();
  ~Compressor();
  /// The parts together as one zstd frame that knows its size; empty if that would save too little. Valid
  /// until the next call.
  std::span<const u8> compress(std::span<const std::span<const u8>> parts);

 private:
  struct Private;
  std::unique_ptr<Private> p_;
};

class Decompressor {
 public:
  Decompressor();
  ~Decompressor();
  /// What the zstd frame holds, if it says that this is `most` bytes or less; valid until the next call.
  /// Throws StreamError.
  std::span<const u8> decompress(std::span<const u8> packed, u64 most);

 private:
  struct Private;
  std::unique_ptr<Private> p_;
};

}  // namespace baton::migration
