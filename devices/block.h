// SPDX-License-Identifier: Apache-2.0
// A LUN on the SAN, behind a URI: file:PATH (nbd: and iscsi: follow the same interface).
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "cpu/bits.h"

namespace baton::devices {

/// Result of a block operation: 0 or a positive errno.
using BlockResult = int;

/// Thread-safe. Operations are synchronous; callers that want many in flight use many threads.
class BlockDevice {
 public:
  virtual ~BlockDevice() = default;
  virtual u64 size() const = 0;  ///< Bytes, a multiple of 512.
  /// World-wide identity of the LUN: equal on every system that sees the same LUN.
  virtual std::string unique_id() const = 0;
  virtual BlockResult read(u64 offset, std::span<u8> out) = 0;
  virtual BlockResult write(u64 offset, std::span<const u8> data) = 0;
  virtual BlockResult flush() = 0;  ///< Durable when it returns 0.
  virtual BlockResult discard(u64 offset, u64 length) = 0;
  /// Takes the write reservation; EBUSY with *holder set when somebody else has it. Writes without the
  /// reservation fail with EROFS.
  virtual BlockResult reserve(const std::string& owner, std::string* holder) = 0;
  virtual void release() = 0;
};

/// Opens a back end. Throws std::runtime_error with one sentence naming the URI and the remedy.
std::unique_ptr<BlockDevice> open_block_device(const std::string& uri);

}  // namespace baton::devices
