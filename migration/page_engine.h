// SPDX-License-Identifier: Apache-2.0
// Pages of memory and of the page table in the stream.
//
// Payload of kMemory and kTable: u32 pages with data (d), u32 pages of zeros (z), d + z frame numbers (u64),
// then d times 4096 bytes. At most kBatchPages numbers in one payload.
#pragma once

#include <atomic>
#include <vector>

#include "cpu/memory.h"
#include "cpu/mmu/hash_page_table.h"
#include "migration/stream.h"

namespace baton::migration {

inline constexpr u32 kBatchPages = 512;
inline constexpr u32 kBatchData = 64;  ///< Pages with data in one batch: what a processor's cache holds.

/// What each frame of memory held when it went, so that one that holds the same again need not go again. Many
/// threads may ask, each of its own frames.
class SentPages {
 public:
  explicit SentPages(u64 frames) : sent_(frames) {}
  /// Whether the frame went with these bytes (nullptr: zeros) the last time; if not, it goes now.
  bool unchanged(u64 frame, const u8* page);

 private:
  struct Fingerprint {
    u64 low = 0, high = 0;  ///< XXH3-128; zeros: not sent yet.
    bool operator==(const Fingerprint&) const = default;
  };
  std::vector<Fingerprint> sent_;  ///< One of zeros has one too.
};

/// Collects frames and sends them in batches.
class PageSender {
 public:
  /// Memory or table as the source.
  PageSender(FrameWriter& writer, const cpu::Memory& memory);
  PageSender(FrameWriter& writer, const cpu::HashPageTable& table);

  /// From now on a frame of memory that went with the same bytes is not sent again.
  void skip_unchanged(SentPages& sent) { sent_ = &sent; }
  /// Whether a frame of memory that is marked as written is left to whoever takes the marks: now it would go
  /// twice.
  void skip_written(bool on) { skip_written_ = on; }
  /// Until the next call these frames of memory (null: none) are zeros and not looked at.
  void set_untouched(const cpu::FrameSet* frames) { untouched_ = frames; }
  void add(u64 frame);
  void flush();
  u64 data_pages() const { return data_pages_; }
  u64 zero_pages() const { return zero_pages_; }
  u64 unchanged_pages() const { return unchanged_pages_; }
  u64 written_pages() const { return written_pages_; }  ///< Left to the next round.
  /// Frames dealt with: all but untouched ones. From any thread, as it goes.
  u64 looked_at() const { return looked_at_.load(std::memory_order_relaxed); }

 private:
  FrameWriter& writer_;
  const FrameType type_;
  const cpu::Memory* memory_ = nullptr;
  const cpu::HashPageTable* table_ = nullptr;
  const cpu::FrameSet* untouched_ = nullptr;
  SentPages* sent_ = nullptr;
  bool skip_written_ = false;
  std::vector<u64> data_numbers_, zero_numbers_;
  std::vector<u8> head_;   ///< Of a batch: counts and numbers.
  std::vector<u8> pages_;  ///< Room for a batch; the first data_numbers_.size() pages are filled.
  u64 data_pages_ = 0, zero_pages_ = 0, unchanged_pages_ = 0, written_pages_ = 0;
  std::atomic<u64> looked_at_{0};
};

/// Takes batches apart and stores them; remembers which frames came. Several threads may apply batches at
/// once if no frame is in two of them; the rest is for when nobody does.
class PageReceiver {
 public:
  explicit PageReceiver(cpu::Memory& memory);
  explicit PageReceiver(cpu::HashPageTable& table);
  /// Throws StreamError; nothing of a wrong batch is stored.
  void apply(std::span<const u8> payload);
  /// The memory, or table, has never been written: zeros that come first change nothing.
  void fresh() { fresh_ = true; }
  /// These frames come once the partition runs, and are not missing before.
  void follow(const cpu::FrameSet& frames);
  /// From now on the partition runs: only frames that memory expects are stored.
  void running() { running_ = true; }
  bool complete() const { return missing() == 0; }
  u64 missing() const { return missing_count_.load(std::memory_order_relaxed); }  ///< From any thread.

 private:
  void store(u64 frame, const u8* page);
  explicit PageReceiver(u64 frames) : missing_(frames), missing_count_(frames) { missing_.set_all(); }
  void note(u64 frame);
  void populate(std::span<const u64> frames);
  cpu::Memory* memory_ = nullptr;
  cpu::HashPageTable* table_ = nullptr;
  bool running_ = false, fresh_ = false;
  cpu::FrameSet missing_;
  std::atomic<u64> missing_count_;
};

}  // namespace baton::migration
