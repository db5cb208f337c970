// SPDX-License-Identifier: Apache-2.0
// Where the channels of a move wait for each other at the target.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>

#include "cpu/bits.h"

namespace baton::migration {

/// After each round every channel's pages are stored before one of the next round is, so that no page is
/// overwritten by an older one; and the stream goes on with the partition's state when no channel has a page
/// under way. Each channel is one thread.
class RoundGate {
 public:
  /// So many channels, the stream among them, which is there from the start.
  explicit RoundGate(u32 channels) : channels_(channels) {}
  /// A channel came; false: none more is expected. Every one that came leaves, or calls close().
  bool enter();
  /// A channel has stored its pages of a round: returns when all have. Throws StreamError when one is lost,
  /// has left, or does not come.
  void pass();
  /// No more pages come by this channel.
  void leave();
  /// For the stream: returns when all others have left. Throws as pass().
  void wait_until_left();
  /// A channel, or the move, is lost; the first says why. Nobody waits any more.
  void close(const std::string& why);
  /// What the first close() said; empty: none did.
  std::string why_closed() const;

 private:
  template <class Done>
  void wait(std::unique_lock<std::mutex>& hold, Done&& done);

  const u32 channels_;
  mutable std::mutex lock_;
  std::condition_variable changed_;
  u32 entered_ = 1, left_ = 0, waiting_ = 0;
  u64 rounds_ = 0;
  bool closed_ = false;
  std::string why_;
};

}  // namespace baton::migration
