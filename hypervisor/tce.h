// SPDX-License-Identifier: Apache-2.0
// Translation control entries: the DMA window of one virtual adapter (PAPR 4.2).
#pragma once

#include <span>
#include <vector>

#include "cpu/memory.h"

namespace baton::hypervisor {

inline constexpr u64 kTceWindowBytes = 256ull << 20;

/// Mapped pages that follow each other in a window: entries, in host order, from page `first` on.
struct TceRun {
  u64 first = 0;
  std::vector<u64> entries;
};

/// One LIOBN. I/O bus addresses 0..window-1, 4 KB pages. Thread-safe. All transfers check every page's
/// read/write permission and the partition's memory bounds before the first byte is moved.
class TceTable {
 public:
  TceTable(u32 liobn, cpu::Memory& memory, u64 window_bytes = kTceWindowBytes);
  u32 liobn() const { return liobn_; }
  u64 window_bytes() const { return entries_.size() << 12; }

  bool valid(u64 ioba) const { return ioba < window_bytes(); }
  bool put(u64 ioba, u64 tce);  ///< False: outside the window, or not the partition's memory.
  bool get(u64 ioba, u64& tce) const;
  void clear();

  /// DMA. False: unmapped, no permission, or outside. `read` is memory to device.
  bool read(u64 ioba, std::span<u8> out) const;
  bool write(u64 ioba, std::span<const u8> data);
  /// True if [ioba, +length) is mapped with the permission.
  bool check(u64 ioba, u64 length, bool write) const;

  /// After a move: waits for mapped pages that are still at the source, at most for so many, each of which
  /// brings neighbours along. Outside guest code, without locks.
  enum class Pages { kHere, kSomeMissing, kLost };
  Pages await_pages(u32 most) const;

  std::vector<TceRun> save() const;  ///< What is mapped: of a window that is large, little.
  void restore(std::span<const TceRun> runs);

 private:
  u64 entry(u64 ioba) const;
  template <typename Move>
  bool transfer(u64 ioba, u64 length, u64 permission, Move&& move) const;

  u32 liobn_;
  cpu::Memory& memory_;
  /// Read and written as atomics: a transfer must never wait for a guest that maps pages on another
  /// processor.
  mutable std::vector<u64> entries_;
};

}  // namespace baton::hypervisor
