// SPDX-License-Identifier: Apache-2.0
// The demonstration's output: lines that stay, and on a terminal a block of lines that is drawn again and
// again.
#pragma once

#include <chrono>
#include <deque>
#include <string>
#include <vector>

#include "cpu/bits.h"

namespace baton::demo {

class Screen {
 public:
  /// Draws only if standard output is a terminal that can, and `plain` is false.
  explicit Screen(bool plain);
  ~Screen() { settle(); }
  bool draws() const { return draws_; }
  void line(const std::string& text);
  /// Replaces the block. Does nothing if the screen does not draw.
  void block(const std::vector<std::string>& lines);
  /// Leaves the block where it is.
  void settle();

 private:
  void erase_block();
  bool draws_;
  std::vector<std::string> block_;
};

/// The guest's pulse as it arrives outside: one sample for each twentieth of a second.
class Pulse {
 public:
  /// Takes the count of wake-ups that is known at `now`.
  void sample(std::chrono::steady_clock::time_point now, u64 count);
  /// The last `width` samples, oldest first: a bar for each, a blank for none.
  std::string picture(std::size_t width) const;
  /// Wake-ups a second, over the last second.
  u64 rate() const;

 private:
  struct Sample {
    std::chrono::steady_clock::time_point time;
    u64 count;
  };
  std::deque<Sample> samples_;
};

/// A move as it is drawn.
struct MoveView {
  u32 number = 0, of = 0;
  std::string from, to, state;
  double seconds = 0;
  u64 sent = 0, remaining = 0, dirty_pages = 0;
  u32 round = 0;
  double bytes_per_second = 0;
  std::string pulse;
  u64 pulse_rate = 0, disk_records = 0, tcp_records = 0, compute_steps = 0;
  std::vector<int> cpu;
};

/// As a block for a terminal of 80 columns and more.
std::vector<std::string> drawn(const MoveView& view);
/// As one plain line.
std::string told(const MoveView& view);

}  // namespace baton::demo
