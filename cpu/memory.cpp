// SPDX-License-Identifier: Apache-2.0
#include "cpu/memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

namespace baton::cpu {

/// On each side of the memory; the size of a huge page, so that alignment stays as mmap chose it.
static constexpr u64 kGuard = 2 << 20;
static constexpr u64 kHuge = 2 << 20;

void FrameSet::set_all() {
  for (u64 i = 0; i < words_.size(); i++) {
    const u64 left = frames_ - i * 64;
    words_[i].store(left >= 64 ? ~u64{0} : (u64{1} << left) - 1, std::memory_order_seq_cst);
  }
}

void FrameSet::clear_all() {
  for (auto& word : words_) word.store(0, std::memory_order_seq_cst);
}

u64 FrameSet::count() const {
  u64 total = 0;
  for (const auto& word : words_) total += std::popcount(word.load(std::memory_order_relaxed));
  return total;
}

void FrameSet::harvest(std::vector<u64>& out) {
  for (u64 i = 0; i < words_.size(); i++) {
    if (words_[i].load(std::memory_order_relaxed) == 0) continue;
    for (u64 bits = words_[i].exchange(0, std::memory_order_seq_cst); bits; bits &= bits - 1)
      out.push_back(i * 64 + std::countr_zero(bits));
  }
}

Memory::Memory(u64 size)
    : size_(size & ~(kFrameSize - 1)),
      dirty_(size_ >> kFrameShift),
      absent_(size_ >> kFrameShift),
      code_(std::make_unique<std::atomic<bool>[]>(size_ >> kFrameShift)) {
  // An access that misses the memory by a little must not hit something else of this process.
  void* at = mmap(nullptr, size_ + 2 * kGuard, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) throw std::bad_alloc();
  base_ = static_cast<u8*>(at) + kGuard;
  if (mprotect(base_, size_, PROT_READ | PROT_WRITE) != 0) {
    munmap(at, size_ + 2 * kGuard);
    throw std::bad_alloc();
  }
  set_huge(true);
}

void Memory::set_huge(bool on) { madvise(base_, size_, on ? MADV_HUGEPAGE : MADV_NOHUGEPAGE); }

void Memory::gather(const std::function<bool()>& go_on) {
  constexpr int kCollapse = 25;  // MADV_COLLAPSE, Linux 6.1; Debian 12's headers do not have it.
  const FrameSet empty = untouched();
  const u64 begin = reinterpret_cast<u64>(base_), words = kHuge / kFrameSize / 64;
  for (u64 at = (begin + kHuge - 1) & ~(kHuge - 1); at + kHuge <= begin + size_; at += kHuge) {
    u64 touched = 0;
    for (u64 frame = (at - begin) >> kFrameShift, i = 0; i < words * 64; i++)
      touched += !empty.test(frame + i);
    if (touched < words * 32) continue;
    if (!go_on() || (madvise(reinterpret_cast<void*>(at), kHuge, kCollapse) != 0 && errno == EINVAL)) return;
  }
}

Memory::~Memory() {
  // Piece by piece, and not by munmap(), which would keep every other thread of the process from getting a
  // page of the host's as long as it takes.
  constexpr u64 kPiece = 8 << 20;
  for (u64 at = 0; at < size_; at += kPiece) madvise(base_ + at, std::min(kPiece, size_ - at), MADV_DONTNEED);
  munmap(base_ - kGuard, size_ + 2 * kGuard);
}

// Guest code may race with a device's transfer just as it may on a real machine. Aligned doublewords are
// moved whole so that a race never shows half of one (VIO 1: CRQ headers, TCE entries).
static void copy_racy(u8* to, const u8* from, u64 length) {
  while (length && (reinterpret_cast<std::uintptr_t>(to) & 7 || reinterpret_cast<std::uintptr_t>(from) & 7)) {
    if (length >= 8 && ((reinterpret_cast<std::uintptr_t>(to) ^ reinterpret_cast<std::uintptr_t>(from)) & 7))
      break;
    __atomic_store_n(to++, __atomic_load_n(from++, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
    length--;
  }
  if (!((reinterpret_cast<std::uintptr_t>(to) | reinterpret_cast<std::uintptr_t>(from)) & 7)) {
    for (; length >= 8; length -= 8, to += 8, from += 8) {
      const u64 value = __atomic_load_n(reinterpret_cast<const u64*>(from), __ATOMIC_RELAXED);
      __atomic_store_n(reinterpret_cast<u64*>(to), value, __ATOMIC_RELAXED);
    }
  }
  for (; length; length--)
    __atomic_store_n(to++, __atomic_load_n(from++, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
}

bool Memory::read(u64 ra, std::span<u8> out) const {
  if (!contains(ra, out.size()) || !await_range(ra, out.size())) return false;
  copy_racy(out.data(), base_ + ra, out.size());
  return true;
}

bool Memory::write(u64 ra, std::span<const u8> data) {
  if (!contains(ra, data.size()) || !await_range(ra, data.size())) return false;
  copy_racy(base_ + ra, data.data(), data.size());
  written(ra, data.size());
  return true;
}

bool Memory::fill(u64 ra, u8 value, u64 length) {
  if (!contains(ra, length) || !await_range(ra, length)) return false;
  // As copy_racy(): not memset, which is no atomic access.
  u8 *at = base_ + ra, *const end = at + length;
  for (; at != end && reinterpret_cast<std::uintptr_t>(at) & 7; at++)
    __atomic_store_n(at, value, __ATOMIC_RELAXED);
  for (; end - at >= 8; at += 8)
    __atomic_store_n(reinterpret_cast<u64*>(at), u64{value} * 0x0101010101010101, __ATOMIC_RELAXED);
  for (; at != end; at++) __atomic_store_n(at, value, __ATOMIC_RELAXED);
  written(ra, length);
  return true;
}

FrameSet Memory::untouched() const {
  // In the kernel's pagemap a page has a doubleword (Documentation/admin-guide/mm/pagemap.rst).
  constexpr u64 kThere = u64{3} << 62;  // In memory, or swapped out.
  FrameSet found(frames());
  const int file = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  std::vector<u64> entries(16384);
  for (u64 frame = 0; file >= 0 && frame < frames();) {
    const u64 count = std::min<u64>(entries.size(), frames() - frame);
    const auto at = static_cast<off_t>((reinterpret_cast<u64>(base_) / kFrameSize + frame) * 8);
    if (pread(file, entries.data(), count * 8, at) != static_cast<ssize_t>(count * 8)) break;
    for (u64 i = 0; i < count; i++, frame++)
      if (!(entries[i] & kThere)) found.set(frame);
  }
  if (file >= 0) close(file);
  return found;
}

void Memory::written(u64 ra, u64 length) {
  if (length == 0) return;
  // Pairs with set_tracking() and set_holds_code(): either we see the flag, or they see the bytes.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const u64 first = ra >> kFrameShift, last = (ra + length - 1) >> kFrameShift;
  bool code = false;
  const bool mark = tracking();
  for (u64 frame = first; frame <= last; frame++) {
    if (mark) dirty_.set(frame);
    code |= holds_code(frame);
  }
  if (code && watcher_) watcher_->code_written(ra, length);
}

// ---- frames that are still elsewhere

void Memory::expect(const FrameSet& frames, std::shared_ptr<FrameSource> source) {
  const std::lock_guard lock(arrival_lock_);
  for (u64 i = 0; i < absent_.words(); i++) absent_.set_word(i, frames.word(i));
  source_ = std::move(source);
  waits_ = {};
  given_up_ = false;
  expected_ = absent_.count();
}

bool Memory::await_range(u64 ra, u64 length) const {
  if (length == 0 || expected() == 0) return true;
  for (u64 frame = ra >> kFrameShift; frame <= (ra + length - 1) >> kFrameShift; frame++)
    if (!await(frame)) return false;
  return true;
}

bool Memory::await(u64 frame) const {
  if (present(frame)) return true;
  const auto start = std::chrono::steady_clock::now();
  std::unique_lock lock(arrival_lock_);
  const auto decided = [&] { return !absent_.test(frame) || given_up_; };
  if (!decided()) {
    awaited_.push_back(frame);
    const std::shared_ptr<FrameSource> source = source_;
    lock.unlock();
    source->want(frame);
    lock.lock();
    arrived_.wait(lock, decided);
    awaited_.erase(std::ranges::find(awaited_, frame));
    const auto took = std::chrono::steady_clock::now() - start;
    if (waits_.count++ == 0) waits_.first = took;
    waits_.total += took;
    waits_.longest = std::max<std::chrono::nanoseconds>(waits_.longest, took);
  }
  return !absent_.test(frame);
}

std::vector<u64> Memory::awaited() const {
  const std::lock_guard lock(arrival_lock_);
  return awaited_;
}

bool is_zero_frame(const u8* bytes) {
  // Most pages with data show it in the first line; the rest is read in blocks that the compiler vectorises.
  for (u64 at = 0; at < kFrameSize; at += 256) {
    u64 any = 0;
    for (u64 i = 0; i < 256; i += 8) {
      u64 word;
      std::memcpy(&word, bytes + at + i, 8);
      any |= word;
    }
    if (any) return false;
  }
  return true;
}

void Memory::arrive(u64 frame, const u8* bytes) {
  bool awaited;
  {
    const std::lock_guard lock(arrival_lock_);
    if (given_up_ || frame >= frames() || !absent_.test(frame)) return;
    u8* to = base_ + (frame << kFrameShift);
    // Looking is cheaper than having the host clear memory that is clear.
    if (bytes)
      std::memcpy(to, bytes, kFrameSize);
    else if (!is_zero_frame(to))
      std::memset(to, 0, kFrameSize);
    absent_.take(frame);
    if (expected_.fetch_sub(1) == 1) source_.reset();
    awaited = std::ranges::find(awaited_, frame) != awaited_.end();
  }
  if (awaited) arrived_.notify_all();
}

void Memory::give_up() {
  {
    const std::lock_guard lock(arrival_lock_);
    if (expected() == 0) return;
    given_up_ = true;
    source_.reset();
  }
  arrived_.notify_all();
}

void Memory::reset_expected() {
  const std::lock_guard lock(arrival_lock_);
  absent_.clear_all();
  expected_ = 0;
  given_up_ = false;
  source_.reset();
}

Memory::Waits Memory::waits() const {
  const std::lock_guard lock(arrival_lock_);
  return waits_;
}

}  // namespace baton::cpu
