// SPDX-License-Identifier: Apache-2.0
#include "migration/compression_choice.h"

#include <algorithm>

namespace baton::migration {
namespace {

/// It is turned on if a sample promises this share of the cost, and off if the first window does not keep
/// that, for a sample is too short to be interrupted as often as a window is, or a later one costs more than
/// before.
constexpr double kPromising = 0.8;
/// A link that takes so many times longer than at the latest sample is worth another one at once.
constexpr double kSlower = 1.5;
/// The link is what holds the sender up if it waits for it for this share of the time. Plain bytes would make
/// it wait longer then, and are not tried.
constexpr double kHeldUp = 0.25;

void make_longer(u64& gap) {
  gap = std::clamp(2 * gap, CompressionChoice::kFirstGap, CompressionChoice::kLongestGap);
}

double cost_of(std::chrono::nanoseconds time, u64 bytes) {
  return static_cast<double>(time.count()) / static_cast<double>(bytes);
}

}  // namespace

bool CompressionChoice::on() const {
  const std::lock_guard hold(lock_);
  return on_;
}

u32 CompressionChoice::changes() const {
  const std::lock_guard hold(lock_);
  return changes_;
}

bool CompressionChoice::compress_next() {
  const std::lock_guard hold(lock_);
  if (on_) return !trial_;
  if (sampled_) return false;
  sampled_ = true;
  return true;
}

void CompressionChoice::note(const Sent& sent) {
  const std::lock_guard hold(lock_);
  if (!sent.plain) return;
  since_trial_ += sent.plain;
  if (!on_ && sent.tried) {
    // A sample: what it would cost, if the link takes a byte in the time that it takes one now.
    if (!plain_cost_) return;
    const double share = static_cast<double>(sent.written) / static_cast<double>(sent.plain);
    if (cost_of(sent.compressing, sent.plain) + share * *plain_cost_ < kPromising * *plain_cost_)
      turn(true);
    else
      make_longer(sample_gap_);
    return;
  }
  if (sent.tried != (on_ && !trial_)) return;  // It was under way when that changed.
  measure(sent);
}

void CompressionChoice::measure(const Sent& sent) {
  plain_ += sent.plain;
  written_ += sent.written;
  compressing_ += sent.compressing;
  sending_ += sent.sending;
  const auto took = compressing_ + sending_;
  if (!settled_) {
    if (written_ < settle_bytes_ && took < kLongWindow) return;
    begin_window();
    settled_ = true;
    return;
  }
  if (plain_ < kWindowBytes && took < kLongWindow) return;
  const double cost = cost_of(took, plain_);
  const bool held_up = static_cast<double>(sending_.count()) > kHeldUp * static_cast<double>(took.count());
  begin_window();
  if (!on_) {
    if (latest_cost_) plain_cost_ = std::min(*latest_cost_, cost);
    latest_cost_ = cost;
    if (!plain_cost_ || (since_trial_ < sample_gap_ && *plain_cost_ < kSlower * sampled_cost_)) return;
    since_trial_ = 0;
    sampled_cost_ = *plain_cost_;
    sampled_ = false;
    return;
  }
  if (trial_) {
    plain_cost_ = cost;
    trial_ = settled_ = false;
    return;
  }
  if (cost > (proved_ ? 1 : kPromising) * *plain_cost_) {
    make_longer(sample_gap_);  // The samples promise more than comes of it.
    return turn(false);
  }
  proved_ = true;
  if (held_up || since_trial_ < trial_gap_) return;
  make_longer(trial_gap_);
  since_trial_ = 0;
  trial_ = true;
  settled_ = false;
}

void CompressionChoice::begin_window() {
  plain_ = written_ = 0;
  compressing_ = sending_ = {};
}

void CompressionChoice::turn(bool on) {
  on_ = on;
  ++changes_;
  since_trial_ = 0;
  trial_gap_ = kFirstGap;
  trial_ = settled_ = proved_ = false;
  latest_cost_.reset();
  begin_window();
}

}  // namespace baton::migration
