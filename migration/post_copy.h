// SPDX-License-Identifier: Apache-2.0
// Pages that follow a partition which runs at the destination already (docs/migration-protocol.md).
#pragma once

#include <algorithm>
#include <atomic>
#include <functional>
#include <mutex>
#include <span>
#include <vector>

#include "cpu/memory.h"
#include "migration/socket.h"
#include "migration/stream.h"

namespace baton::migration {

/// Payload of kAbsent.
std::vector<u8> encode_frames(const cpu::FrameSet& frames);
/// Throws StreamError when the payload is not one for a set of this size.
void decode_frames(std::span<const u8> payload, cpu::FrameSet& frames);

/// The source: which pages are still to go, pushing them, and answering those that are wanted first. The
/// memory does not change any more.
class PageServer {
 public:
  explicit PageServer(cpu::Memory& memory) : memory_(memory), left_(memory.frames()) {}
  cpu::FrameSet& left() { return left_; }
  /// Sends all that is left, from where the target last wanted something on. Throws StreamError. `note` is
  /// told how many frames are left, now and then.
  void push(FrameWriter& writer, const std::function<void(u64)>& note);
  /// Answers what is wanted on a demand channel, until it ends.
  void answer(Socket& demand, Pace& pace);

 private:
  bool next(u64& frame);
  cpu::Memory& memory_;
  cpu::FrameSet left_;
  std::atomic<u64> cursor_{0};
};

/// The target: asks for what the partition waits for, and stores what comes in answer.
class PageClient final : public cpu::FrameSource {
 public:
  explicit PageClient(cpu::Memory& memory) : memory_(memory) {}
  void want(u64 frame) override;
  /// Serves a demand channel until it ends; then asks on the one that comes next for all that is awaited.
  /// `arrived` is called after each answer.
  void serve(Socket& demand, const std::function<void()>& arrived);
  /// Ends the demand channel, if there is one.
  void shut_down();

 private:
  cpu::Memory& memory_;
  std::mutex lock_;
  Socket* socket_ = nullptr;
  FrameWriter* writer_ = nullptr;
};

}  // namespace baton::migration
