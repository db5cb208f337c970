// SPDX-License-Identifier: Apache-2.0
// Where a case takes its choices from: a seed, or the bytes of a fuzzing engine and then a seed made of them.
#pragma once

#include <initializer_list>
#include <iterator>
#include <span>

#include "cpu/bits.h"

namespace baton::fuzz {

/// Copies give the same numbers as the original.
class Random {
 public:
  explicit Random(u64 seed) : state_(seed * 0x9E3779B97F4A7C15 + 0x1234567) {}
  explicit Random(std::span<const u8> bytes) : Random(bytes.size()) {
    bytes_ = bytes;
    for (const u8 byte : bytes) state_ = (state_ ^ byte) * 0x100000001B3;
  }

  u64 next() {
    if (bytes_.size() >= 8) {
      const u64 value = load_be<u64>(bytes_.data());
      bytes_ = bytes_.subspan(8);
      return value;
    }
    // SplitMix64.
    u64 z = state_ += 0x9E3779B97F4A7C15;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return z ^ z >> 31;
  }
  /// 0 to n-1; n is not zero.
  u64 below(u64 n) { return next() % n; }
  bool one_in(u64 n) { return below(n) == 0; }
  /// A number with few or many bits.
  u64 number() { return next() >> below(64); }
  template <class Range>
  auto pick(const Range& range) {
    return *std::next(std::begin(range), static_cast<std::ptrdiff_t>(below(std::size(range))));
  }
  template <class T>
  T pick(std::initializer_list<T> list) {
    return *(list.begin() + below(list.size()));
  }

 private:
  u64 state_;
  std::span<const u8> bytes_;
};

}  // namespace baton::fuzz
