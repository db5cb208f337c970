// SPDX-License-Identifier: Apache-2.0
#include "migration/page_engine.h"

#include <sys/mman.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>

namespace baton::migration {

using cpu::kFrameSize;

namespace {

/// Where to look at a page of a partition that runs. It may be written meanwhile, which marks it, and then it
/// comes again; ThreadSanitizer cannot know that and gets a copy of it made word by word.
const u8* place_to_look([[maybe_unused]] u8* copy, const u8* page) {
#if __has_feature(thread_sanitizer)
  for (u64 at = 0; at < kFrameSize; at += 8) {
    const u64 word = __atomic_load_n(reinterpret_cast<const u64*>(page + at), __ATOMIC_RELAXED);
    std::memcpy(copy + at, &word, 8);
  }
  return copy;
#else
  return page;
#endif
}

}  // namespace

PageSender::PageSender(FrameWriter& writer, const cpu::Memory& memory)
    : writer_(writer), type_(FrameType::kMemory), memory_(&memory) {
  pages_.resize(kBatchData * kFrameSize);
}

PageSender::PageSender(FrameWriter& writer, const cpu::HashPageTable& table)
    : writer_(writer), type_(FrameType::kTable), table_(&table) {
  pages_.resize(kBatchData * kFrameSize);
}

bool SentPages::unchanged(u64 frame, const u8* page) {
  Fingerprint now{0, 1};
  if (page) {
    const XXH128_hash_t hash = XXH3_128bits(page, kFrameSize);
    now = {hash.low64, hash.high64};
  }
  if (sent_[frame] == now) return true;
  sent_[frame] = now;
  return false;
}

void PageSender::add(u64 frame) {
  // The page may be written while it is copied: it is then marked dirty and comes again. What must not change
  // is the copy, between checksum and send.
  u8* to = pages_.data() + data_numbers_.size() * kFrameSize;
  bool zero;
  if (memory_) {
    if (skip_written_ && memory_->dirty().test(frame)) {
      ++written_pages_;
      looked_at_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    const u8* from = place_to_look(to, memory_->host(frame * kFrameSize));
    const bool untouched = untouched_ && untouched_->test(frame);
    zero = untouched || cpu::is_zero_frame(from);
    looked_at_.fetch_add(!untouched, std::memory_order_relaxed);
    if (!zero && from != to) std::memcpy(to, from, kFrameSize);
    if (sent_ && sent_->unchanged(frame, zero ? nullptr : to)) {
      ++unchanged_pages_;
      return;
    }
  } else {
    table_->export_frame(frame, std::span<u8, kFrameSize>(to, kFrameSize));
    zero = cpu::is_zero_frame(to);
  }
  (zero ? zero_numbers_ : data_numbers_).push_back(frame);
  if (data_numbers_.size() == kBatchData || data_numbers_.size() + zero_numbers_.size() == kBatchPages)
    flush();
}

void PageSender::flush() {
  const u32 counts[2] = {static_cast<u32>(data_numbers_.size()), static_cast<u32>(zero_numbers_.size())};
  if (counts[0] + counts[1] == 0) return;
  const auto raw = [](const auto& values) {
    return std::span(reinterpret_cast<const u8*>(std::data(values)), sizeof values[0] * std::size(values));
  };
  head_.clear();  // One part, so that TLS makes one record of it.
  for (const std::span<const u8> part : {raw(counts), raw(data_numbers_), raw(zero_numbers_)})
    head_.insert(head_.end(), part.begin(), part.end());
  const std::span<const u8> parts[] = {head_, std::span(pages_).first(data_numbers_.size() * kFrameSize)};
  writer_.send_parts(type_, parts);
  data_pages_ += counts[0];
  zero_pages_ += counts[1];
  data_numbers_.clear();
  zero_numbers_.clear();
}

PageReceiver::PageReceiver(cpu::Memory& memory) : PageReceiver(memory.frames()) { memory_ = &memory; }
PageReceiver::PageReceiver(cpu::HashPageTable& table) : PageReceiver(table.bytes() / kFrameSize) {
  table_ = &table;
}

void PageReceiver::apply(std::span<const u8> payload) {
  u32 counts[2];
  if (payload.size() < sizeof counts)
    throw StreamError("The migration stream is damaged: a batch of pages is too short.");
  std::memcpy(counts, payload.data(), sizeof counts);
  if (counts[0] > kBatchPages || counts[1] > kBatchPages || counts[0] + counts[1] > kBatchPages) {
    throw StreamError("The migration stream is damaged: a batch has too many pages.");
  }
  const std::size_t numbers = counts[0] + counts[1], head = sizeof counts + 8 * numbers;
  if (payload.size() != head + counts[0] * kFrameSize) {
    throw StreamError("The migration stream is damaged: a batch of pages has the wrong length.");
  }
  u64 frames[kBatchPages];
  std::memcpy(frames, payload.data() + sizeof counts, 8 * numbers);
  for (std::size_t i = 0; i < numbers; ++i) {
    if (frames[i] >= missing_.frames())
      throw StreamError("The migration stream is damaged: a page lies outside the partition.");
  }
  if (fresh_ && memory_ && !running_) populate({frames, counts[0]});
  for (std::size_t i = 0; i < numbers; ++i) {
    store(frames[i], i < counts[0] ? payload.data() + head + i * kFrameSize : nullptr);
    note(frames[i]);
  }
}

/// The host gives pages that lie side by side at once for less than one by one when each is written.
void PageReceiver::populate(std::span<const u64> frames) {
  constexpr std::size_t kFewest = 4;
  for (std::size_t i = 0; i < frames.size();) {
    std::size_t end = i;
    while (end < frames.size() && frames[end] == frames[i] + (end - i) && missing_.test(frames[end])) ++end;
    if (end - i >= kFewest)
      madvise(memory_->host(frames[i] * kFrameSize), (end - i) * kFrameSize, MADV_POPULATE_WRITE);
    i = std::max(end, i + 1);
  }
}

void PageReceiver::note(u64 frame) {
  if (missing_.test(frame) && missing_.take(frame)) missing_count_.fetch_sub(1, std::memory_order_relaxed);
}

void PageReceiver::follow(const cpu::FrameSet& frames) {
  for (u64 frame = 0; frame < missing_.frames(); ++frame)
    if (frames.test(frame)) note(frame);
}

void PageReceiver::store(u64 frame, const u8* page) {
  if (running_) {
    memory_->arrive(frame, page);
    return;
  }
  if (fresh_ && !page && missing_.test(frame)) return;
  if (memory_) {
    u8* to = memory_->host(frame * kFrameSize);
    // Looking is cheaper than making the host allocate memory.
    if (page)
      std::memcpy(to, page, kFrameSize);
    else if (!cpu::is_zero_frame(to))
      std::memset(to, 0, kFrameSize);
    return;
  }
  static constexpr u8 kZeros[kFrameSize] = {};
  table_->import_frame(frame, std::span<const u8, kFrameSize>(page ? page : kZeros, kFrameSize));
}

}  // namespace baton::migration
