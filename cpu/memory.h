// SPDX-License-Identifier: Apache-2.0
// Logical real memory of one partition.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "cpu/bits.h"

namespace baton::cpu {

inline constexpr u64 kFrameShift = 12;
inline constexpr u64 kFrameSize = u64{1} << kFrameShift;

/// Told when memory that holds predecoded or compiled code is written by anything but a CPU store.
class CodeWatcher {
 public:
  virtual ~CodeWatcher() = default;
  /// [ra, ra+length) was written; called after the bytes are in memory.
  virtual void code_written(u64 ra, u64 length) = 0;
};

/// A set of 4 KB frames, one bit each, that many threads may mark at once.
class FrameSet {
 public:
  explicit FrameSet(u64 frames) : frames_(frames), words_((frames + 63) / 64) {}
  u64 frames() const { return frames_; }
  void set(u64 frame) { words_[frame / 64].fetch_or(u64{1} << (frame % 64), std::memory_order_seq_cst); }
  bool test(u64 frame) const {
    return words_[frame / 64].load(std::memory_order_acquire) >> (frame % 64) & 1;
  }
  void set_all();
  void clear_all();
  u64 count() const;
  /// Moves every marked frame into `out` (frame numbers, ascending) and clears the marks.
  void harvest(std::vector<u64>& out);

 private:
  u64 frames_;
  std::vector<std::atomic<u64>> words_;
};

/// RAM from logical real address 0 to size(), with the two kinds of write tracking that a partition needs:
/// frames written since the last migration round, and frames that hold decoded code.
/// Reads and writes may come from any thread; guest-visible atomicity is that of naturally aligned accesses.
class Memory {
 public:
  /// `size` in bytes, a multiple of 4 KB. Throws std::bad_alloc when the host has no room.
  explicit Memory(u64 size);
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  u64 size() const { return size_; }
  u64 frames() const { return size_ >> kFrameShift; }
  bool contains(u64 ra, u64 length) const { return length <= size_ && ra <= size_ - length; }
  /// Host address; the caller has checked contains(). Writing through it is up to the caller to report.
  u8* host(u64 ra) { return base_ + ra; }
  const u8* host(u64 ra) const { return base_ + ra; }

  /// Copies out; false (and nothing copied) when any byte lies outside.
  bool read(u64 ra, std::span<u8> out) const;
  /// Copies in, marks frames dirty and tells the code watcher; false (nothing written) when any byte is
  /// outside.
  bool write(u64 ra, std::span<const u8> data);
  bool fill(u64 ra, u8 value, u64 length);
  template <std::unsigned_integral T>
  std::optional<T> load(u64 ra) const {
    u8 bytes[sizeof(T)];
    if (!read(ra, bytes)) return std::nullopt;
    return load_be<T>(bytes);
  }
  template <std::unsigned_integral T>
  bool store(u64 ra, T value) {
    u8 bytes[sizeof(T)];
    store_be<T>(bytes, value);
    return write(ra, bytes);
  }
  /// For a writer that used host(): marks the range dirty and tells the code watcher. Call it after the
  /// write.
  void written(u64 ra, u64 length);

  // -- migration: frames written. The order is always: write, then mark.
  bool tracking() const { return tracking_.load(std::memory_order_acquire); }
  void set_tracking(bool on) { tracking_.store(on, std::memory_order_seq_cst); }
  FrameSet& dirty() { return dirty_; }

  // -- code: set by the decoder (cpu::Domain owns the protocol).
  bool holds_code(u64 frame) const { return code_[frame].load(std::memory_order_acquire); }
  void set_holds_code(u64 frame, bool on) { code_[frame].store(on, std::memory_order_seq_cst); }
  void set_code_watcher(CodeWatcher* watcher) { watcher_ = watcher; }

 private:
  u8* base_ = nullptr;
  u64 size_ = 0;
  FrameSet dirty_;
  std::atomic<bool> tracking_{false};
  std::unique_ptr<std::atomic<bool>[]> code_;
  CodeWatcher* watcher_ = nullptr;
};

}  // namespace baton::cpu
