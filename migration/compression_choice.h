// SPDX-License-Identifier: Apache-2.0
// Whether compressing pages pays, found out while they are sent (compression=auto, docs/migration.md).
#pragma once

#include <chrono>
#include <mutex>
#include <optional>

#include "cpu/bits.h"

namespace baton::migration {

/// Compares what a byte of pages costs with and without compression: the time of the sender in compressing it
/// and in giving it to the link, which takes no more than it carries. For all channels of a move together;
/// from any thread. It has no clock of its own.
class CompressionChoice {
 public:
  /// One payload of pages.
  struct Sent {
    bool tried = false;          ///< compress_next() said so.
    u64 plain = 0, written = 0;  ///< Bytes before and after.
    std::chrono::nanoseconds compressing{0}, sending{0};
  };
  /// `channels` that are in use.
  explicit CompressionChoice(u32 channels) : settle_bytes_(channels * kSettleBytes) {}
  bool compress_next();
  void note(const Sent& sent);
  bool on() const;
  u32 changes() const;  ///< How often it was turned on or off.

  static constexpr u64 kSettleBytes = 1 << 20;  ///< What a channel's buffer takes without the link.
  static constexpr u64 kWindowBytes = 2 << 20;  ///< Plain; as much says what a byte costs.
  /// Ends a window before it has as much: a slow link needs no more.
  static constexpr std::chrono::milliseconds kLongWindow{100};
  static constexpr u64 kFirstGap = 4 << 20, kLongestGap = 256 << 20;  ///< Plain, between two trials.

 private:
  void measure(const Sent& sent);
  void turn(bool on);
  void begin_window();
  const u64 settle_bytes_;
  mutable std::mutex lock_;
  bool on_ = false, trial_ = false;  ///< A trial while it is on: some payloads go plain.
  bool proved_ = false;              ///< A window since it was turned on cost as little as was promised.
  bool sampled_ = true;              ///< While it is off: one payload is compressed once this is false.
  u32 changes_ = 0;
  u64 sample_gap_ = 0, trial_gap_ = kFirstGap;  ///< They become longer as long as nothing comes of it.
  u64 since_trial_ = 0;                         ///< Or sample.
  /// Nanoseconds a byte: in the latest two windows without compression the lower, for what else the host does
  /// makes it higher; in the latest one; and what it was at the latest sample.
  std::optional<double> plain_cost_, latest_cost_;
  double sampled_cost_ = 0;
  // The window, which all payloads of one way count in.
  bool settled_ = false;
  u64 plain_ = 0, written_ = 0;
  std::chrono::nanoseconds compressing_{0}, sending_{0};
};

}  // namespace baton::migration
