// SPDX-License-Identifier: Apache-2.0
// Logical real memory of one partition.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
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

/// Where frames are that memory does not have yet.
class FrameSource {
 public:
  virtual ~FrameSource() = default;
  /// Asks for a frame, which Memory::arrive() brings later. From any thread; must not block for long.
  virtual void want(u64 frame) = 0;
};

/// A set of 4 KB frames, one bit each, that many threads may mark at once.
class FrameSet {
 public:
  explicit FrameSet(u64 frames) : frames_(frames), words_((frames + 63) / 64) {}
  u64 frames() const { return frames_; }
  void set(u64 frame) { words_[frame / 64].fetch_or(u64{1} << (frame % 64), std::memory_order_seq_cst); }
  bool test(u64 frame) const {
    return words_[frame / 64].load(std::memory_order_seq_cst) >> (frame % 64) & 1;
  }
  /// Takes the mark away; whether it was there.
  bool take(u64 frame) {
    const u64 bit = u64{1} << (frame % 64);
    return words_[frame / 64].fetch_and(~bit, std::memory_order_seq_cst) & bit;
  }
  void set_all();
  void clear_all();
  u64 count() const;
  /// 64 frames from 64 * `index` on, the first in the lowest bit; words() of them.
  u64 word(u64 index) const { return words_[index].load(std::memory_order_acquire); }
  void set_word(u64 index, u64 marks) { words_[index].store(marks, std::memory_order_seq_cst); }
  u64 words() const { return words_.size(); }
  /// Moves every marked frame into `out` (frame numbers, ascending) and clears the marks.
  void harvest(std::vector<u64>& out);

 private:
  u64 frames_;
  std::vector<std::atomic<u64>> words_;
};

/// True if all bytes of the frame there are 0.
bool is_zero_frame(const u8* bytes);

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

  /// Copies out; false (and nothing copied) when any byte lies outside, or in a frame that never came. Waits
  /// for frames that are expected, as write() and fill() do.
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

  /// Whether the host gives memory by huge pages, as it does unless told otherwise: fewer misses of its
  /// look-aside, but what lies here and there costs several times as much when it is first written.
  void set_huge(bool on);
  /// Makes a huge page of each of those that the host has given in small ones, if it gave at least half; as
  /// long as `go_on` says so before each. Takes a while.
  void gather(const std::function<bool()>& go_on);
  /// Frames that the host has never given, so that they are zeros and not even read. None if the host does
  /// not say. What is written meanwhile may be among them.
  FrameSet untouched() const;

  // -- migration: frames written. The order is always: write, then mark.
  bool tracking() const { return tracking_.load(std::memory_order_acquire); }
  void set_tracking(bool on) { tracking_.store(on, std::memory_order_seq_cst); }
  FrameSet& dirty() { return dirty_; }
  const FrameSet& dirty() const { return dirty_; }

  // -- a move's destination, while frames are still at the source. Whoever uses host() awaits the frame
  // first.
  /// From now on these frames, marked in the set, are to come from `source`. While nobody uses the memory.
  void expect(const FrameSet& frames, std::shared_ptr<FrameSource> source);
  u64 expected() const { return expected_.load(std::memory_order_acquire); }
  bool present(u64 frame) const { return expected() == 0 || !absent_.test(frame); }
  const FrameSet& absent() const { return absent_; }
  /// Waits for the frame; false: it never comes, because of give_up(). Outside guest code, without locks.
  bool await(u64 frame) const;
  std::vector<u64> awaited() const;  ///< What somebody waits for now.
  /// The frame's bytes, nullptr for zeros. Nothing happens if it is not expected (any more).
  void arrive(u64 frame, const u8* bytes);
  /// Nobody waits any longer, nothing arrives any more: what is absent stays so until reset_expected().
  void give_up();
  bool given_up() const { return given_up_.load(std::memory_order_acquire); }
  /// All of memory is here, with whatever bytes it has. While nobody uses it.
  void reset_expected();
  /// Accesses that had to wait since expect().
  struct Waits {
    u64 count = 0;
    std::chrono::nanoseconds total{0}, first{0}, longest{0};
  };
  Waits waits() const;

  // -- code: set by the decoder (cpu::Domain owns the protocol).
  bool holds_code(u64 frame) const { return code_[frame].load(std::memory_order_seq_cst); }
  void set_holds_code(u64 frame, bool on) { code_[frame].store(on, std::memory_order_seq_cst); }
  void set_code_watcher(CodeWatcher* watcher) { watcher_ = watcher; }

 private:
  bool await_range(u64 ra, u64 length) const;

  u8* base_ = nullptr;
  u64 size_ = 0;
  FrameSet dirty_;
  FrameSet absent_;
  std::atomic<u64> expected_{0};  ///< Frames in absent_.
  std::atomic<bool> given_up_{false};
  std::shared_ptr<FrameSource> source_;
  mutable std::mutex arrival_lock_;  ///< Over the rest, and over the bytes of a frame that arrives.
  mutable std::condition_variable arrived_;
  mutable std::vector<u64> awaited_;  ///< A frame for each waiter.
  mutable Waits waits_;
  std::atomic<bool> tracking_{false};
  std::unique_ptr<std::atomic<bool>[]> code_;
  CodeWatcher* watcher_ = nullptr;
};

}  // namespace baton::cpu
