// SPDX-License-Identifier: Apache-2.0
#include "cpu/mmu/look_aside.h"

#include <algorithm>

namespace baton::cpu {
namespace {

/// What is kept of an EA page's 256 MB segment.
constexpr u32 segment_of(u64 page) { return static_cast<u32>(page >> (28 - 12)) & 0x7FFFFFFF; }

/// `action(index)` for each element that matches. Most of a table does not, which is found out many elements
/// at a time.
template <class T, std::size_t kEntries, class Matches, class Action>
void for_each_match(const std::array<T, kEntries>& table, Matches&& matches, Action&& action) {
  constexpr u64 kTogether = 128;
  static_assert(kEntries % kTogether == 0);
  for (u64 from = 0; from < kEntries; from += kTogether) {
    u32 any = 0;
    for (u64 i = 0; i < kTogether; i++) any |= u32{matches(table[from + i])};
    if (!any) continue;
    for (u64 i = from; i < from + kTogether; i++)
      if (matches(table[i])) action(i);
  }
}

/// For each element whose page, as `page_of(index)` says, lies in the segment.
template <std::size_t kEntries, class PageOf, class Action>
void for_each_in_segment(const std::array<u32, kEntries>& segments, u64 want, u64 mask, PageOf&& page_of,
                         Action&& action) {
  const u32 low_mask = segment_of(mask), low = segment_of(want);
  for_each_match(
      segments, [low, low_mask](u32 segment) { return ((segment ^ low) & low_mask) == 0; },
      [&](u64 i) {
        const u64 page = page_of(i);
        if (page != TlbEntry::kNoTag && (page & mask) == want) action(i);
      });
}

/// For each of the pages' elements that has the HPTE's number, which is taken from it. True if there was one.
template <class Entry, std::size_t kEntries, class Action>
bool for_each_of_ptex(std::array<Entry, kEntries>& entries, u32 ptex, u64 first, u64 pages, Action&& action) {
  bool had = false;
  for (u64 i = 0; i < std::min(pages, u64{kEntries}); i++) {
    const u64 index = (first + i) & (kEntries - 1);
    if (entries[index].ptex != ptex) continue;
    had = true;
    entries[index].ptex = kRealPtex;
    action(index);
  }
  return had;
}

constexpr bool is_kept(u32 segment) { return segment != kNoSegment; }

}  // namespace

LookAside::LookAside() { segment_.fill(kNoSegment); }

void LookAside::keep(u64 page, const Kept& what) {
  const u64 index = page & (kTlbEntries - 1);
  TlbEntry& entry = entries_[index];
  entry.addend = what.addend;
  entry.ptex = what.ptex;
  entry.frame = what.frame;
  entry.read_tag.store(what.may_read ? page : TlbEntry::kNoTag, std::memory_order_relaxed);
  entry.write_tag.store(what.may_write ? page : TlbEntry::kNoTag, std::memory_order_relaxed);
  segment_[index] = segment_of(page);
  frame_[index] = what.frame;
  key_[index] = what.key;
}

void LookAside::drop(u64 index) {
  entries_[index].read_tag.store(TlbEntry::kNoTag, std::memory_order_relaxed);
  entries_[index].write_tag.store(TlbEntry::kNoTag, std::memory_order_relaxed);
  segment_[index] = kNoSegment;
}

void LookAside::note_use(u64 page, u32 ptex) {
  drop(page & (kTlbEntries - 1));
  entries_[page & (kTlbEntries - 1)].ptex = ptex;
}

void LookAside::forget_all() {
  for_each_match(segment_, is_kept, [&](u64 i) { drop(i); });
}

void LookAside::forget_writes() {
  for (TlbEntry& entry : entries_) entry.write_tag.store(TlbEntry::kNoTag, std::memory_order_relaxed);
}

void LookAside::forget_writes_of(u32 frame) {
  for_each_match(
      frame_, [frame](u32 of) { return of == frame; },
      [&](u64 i) { entries_[i].write_tag.store(TlbEntry::kNoTag, std::memory_order_relaxed); });
}

void LookAside::forget_segment(u64 want, u64 mask) {
  const auto page_of = [&](u64 i) {
    const u64 read = entries_[i].read_tag.load(std::memory_order_relaxed);
    return read != TlbEntry::kNoTag ? read : entries_[i].write_tag.load(std::memory_order_relaxed);
  };
  for_each_in_segment(segment_, want, mask, page_of, [&](u64 i) { drop(i); });
}

bool LookAside::forget_ptex(u32 ptex, u64 first, u64 pages) {
  return for_each_of_ptex(entries_, ptex, first, pages, [&](u64 i) { drop(i); });
}

void LookAside::forget_keys(u32 keys) {
  const auto meant = [keys](u8 key) { return (keys >> (key & 31) & 1) != 0; };
  for_each_match(key_, meant, [&](u64 i) { drop(i); });
}

void FetchLookAside::keep(u64 page, OpPage* ops, u32 ptex) {
  const u64 index = page & (kFetchEntries - 1);
  entries_[index].page = ops;
  entries_[index].ptex = ptex;
  segment_[index] = segment_of(page);
  entries_[index].tag.store(page, std::memory_order_relaxed);
}

void FetchLookAside::drop(u64 index) {
  entries_[index].tag.store(TlbEntry::kNoTag, std::memory_order_relaxed);
  segment_[index] = kNoSegment;
}

void FetchLookAside::forget_all() {
  for_each_match(segment_, is_kept, [&](u64 i) { drop(i); });
}

void FetchLookAside::forget_segment(u64 want, u64 mask) {
  const auto page_of = [&](u64 i) { return entries_[i].tag.load(std::memory_order_relaxed); };
  for_each_in_segment(segment_, want, mask, page_of, [&](u64 i) { drop(i); });
}

bool FetchLookAside::forget_ptex(u32 ptex, u64 first, u64 pages) {
  return for_each_of_ptex(entries_, ptex, first, pages, [&](u64 i) { drop(i); });
}

}  // namespace baton::cpu
