// SPDX-License-Identifier: Apache-2.0
// The data translations that a hardware thread has at hand in one translation mode.
#pragma once

#include <array>

#include "cpu/state.h"

namespace baton::cpu {

/// Stands where EA >> 28 of a translation would, if there is none.
inline constexpr u32 kNoSegment = ~u32{0};

/// A translation to be kept.
struct Kept {
  u64 addend = 0;  ///< Host address = EA + addend.
  u32 ptex = kRealPtex, frame = 0;
  u8 key = 0;  ///< Storage key of the page.
  bool may_read = false, may_write = false;
};

/// Found by the low bits of the EA's page number. The owner reads entries without a lock; every member is
/// called under the thread's TLB lock. By what translations are taken away is kept apart from them and
/// densely, so that to look for the few that are meant is cheap, however many there are.
class LookAside {
 public:
  LookAside();
  TlbEntry* entries() { return entries_.data(); }
  /// Keeps the translation of an EA page.
  void keep(u64 page, const Kept& what);
  /// The page was used and is not kept: only its HPTE's number is.
  void note_use(u64 page, u32 ptex);

  // -- taking away
  void forget_all();
  void forget_writes();
  void forget_writes_of(u32 frame);
  /// Pages whose number is `want` in the bits of `mask`, which has all bits of a 256 MB segment's or fewer.
  void forget_segment(u64 want, u64 mask);
  /// Those of the `pages` EA pages from `first` on (their low bits) that came from the HPTE, or were noted to
  /// use it. True if there was one.
  bool forget_ptex(u32 ptex, u64 first, u64 pages);
  /// Pages whose storage key's bit is set.
  void forget_keys(u32 keys);

 private:
  void drop(u64 index);

  std::array<TlbEntry, kTlbEntries> entries_;
  alignas(64) std::array<u32, kTlbEntries> segment_;  ///< EA >> 28, its low 31 bits; kNoSegment if not kept.
  alignas(64) std::array<u32, kTlbEntries> frame_{};  ///< Logical real address >> 12.
  alignas(64) std::array<u8, kTlbEntries> key_{};
};

/// The same for instructions: which OpPage an EA page is. Locks as above.
class FetchLookAside {
 public:
  FetchLookAside() { segment_.fill(kNoSegment); }
  FetchEntry* entries() { return entries_.data(); }
  void keep(u64 page, OpPage* ops, u32 ptex);
  void forget_all();
  void forget_segment(u64 want, u64 mask);
  bool forget_ptex(u32 ptex, u64 first, u64 pages);

 private:
  void drop(u64 index);

  std::array<FetchEntry, kFetchEntries> entries_;
  alignas(64) std::array<u32, kFetchEntries> segment_;  ///< As that of LookAside.
};

}  // namespace baton::cpu
