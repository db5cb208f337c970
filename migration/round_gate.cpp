// SPDX-License-Identifier: Apache-2.0
#include "migration/round_gate.h"

#include <chrono>

#include "migration/stream.h"

namespace baton::migration {
namespace {

/// For a channel to come that the source has opened before it sent anything.
constexpr std::chrono::seconds kComeTimeout{30};

}  // namespace

bool RoundGate::enter() {
  const std::lock_guard hold(lock_);
  if (closed_ || entered_ == channels_) return false;
  ++entered_;
  return true;
}

/// A channel that is there may take as long as its connection does.
template <class Done>
void RoundGate::wait(std::unique_lock<std::mutex>& hold, Done&& done) {
  while (!changed_.wait_for(hold, kComeTimeout, [&] { return closed_ || done(); }))
    if (entered_ != channels_) throw StreamError("A channel of the move did not come.");
  if (!done()) throw StreamError(why_);
}

void RoundGate::pass() {
  std::unique_lock hold(lock_);
  if (closed_) throw StreamError(why_);
  if (left_) throw StreamError("The migration stream is damaged: a round ends without one of its channels.");
  if (++waiting_ == channels_) {
    waiting_ = 0;
    ++rounds_;
    changed_.notify_all();
    return;
  }
  wait(hold, [this, round = rounds_] { return rounds_ != round; });
}

void RoundGate::leave() {
  const std::lock_guard hold(lock_);
  ++left_;
  changed_.notify_all();
}

void RoundGate::wait_until_left() {
  std::unique_lock hold(lock_);
  wait(hold, [this] { return left_ == channels_ - 1; });
}

void RoundGate::close(const std::string& why) {
  const std::lock_guard hold(lock_);
  if (!closed_) why_ = why;
  closed_ = true;
  changed_.notify_all();
}

std::string RoundGate::why_closed() const {
  const std::lock_guard hold(lock_);
  return why_;
}

}  // namespace baton::migration
