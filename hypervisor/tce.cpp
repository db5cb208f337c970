// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/tce.h"

#include <algorithm>
#include <atomic>

namespace baton::hypervisor {
namespace {

// TCE bits (PAPR 4.2): what the device may do with the page.
constexpr u64 kDeviceReads = 1, kDeviceWrites = 2, kPermissions = 3;
constexpr u64 kPageMask = ~u64{0xFFF};

}  // namespace

TceTable::TceTable(u32 liobn, cpu::Memory& memory, u64 window_bytes)
    : liobn_(liobn), memory_(memory), entries_(window_bytes >> 12) {}

u64 TceTable::entry(u64 ioba) const {
  return std::atomic_ref(entries_[ioba >> 12]).load(std::memory_order_acquire);
}

bool TceTable::put(u64 ioba, u64 tce) {
  if (!valid(ioba)) return false;
  if ((tce & kPermissions) && !memory_.contains(tce & kPageMask, cpu::kFrameSize)) return false;
  std::atomic_ref(entries_[ioba >> 12]).store(tce, std::memory_order_release);
  return true;
}

bool TceTable::get(u64 ioba, u64& tce) const {
  if (!valid(ioba)) return false;
  tce = entry(ioba);
  return true;
}

void TceTable::clear() {
  for (auto& entry : entries_) std::atomic_ref(entry).store(0, std::memory_order_release);
}

bool TceTable::check(u64 ioba, u64 length, bool write) const {
  if (length > window_bytes() || ioba > window_bytes() - length) return false;
  if (length == 0) return true;
  const u64 permission = write ? kDeviceWrites : kDeviceReads;
  for (u64 page = ioba & kPageMask; page < ioba + length; page += cpu::kFrameSize)
    if (!(entry(page) & permission)) return false;
  return true;
}

/// Calls move(real address, offset, bytes) page by page. Each entry is looked at again when its page is
/// moved: the guest may take a page away at any time, and then nothing more goes there.
template <typename Move>
bool TceTable::transfer(u64 ioba, u64 length, u64 permission, Move&& move) const {
  if (!check(ioba, length, permission == kDeviceWrites)) return false;
  for (u64 done = 0; done < length;) {
    const u64 at = ioba + done;
    const u64 tce = entry(at);
    if (!(tce & permission)) return false;
    const u64 within = at & ~kPageMask;
    const u64 bytes = std::min(length - done, cpu::kFrameSize - within);
    if (!move((tce & kPageMask) | within, done, bytes)) return false;
    done += bytes;
  }
  return true;
}

bool TceTable::read(u64 ioba, std::span<u8> out) const {
  return transfer(ioba, out.size(), kDeviceReads, [&](u64 ra, u64 offset, u64 bytes) {
    return memory_.read(ra, out.subspan(offset, bytes));
  });
}

bool TceTable::write(u64 ioba, std::span<const u8> data) {
  return transfer(ioba, data.size(), kDeviceWrites, [&](u64 ra, u64 offset, u64 bytes) {
    return memory_.write(ra, data.subspan(offset, bytes));
  });
}

TceTable::Pages TceTable::await_pages(u32 most) const {
  for (u64 ioba = 0; ioba < window_bytes() && memory_.expected(); ioba += cpu::kFrameSize) {
    const u64 tce = entry(ioba), frame = tce >> cpu::kFrameShift;
    if (!(tce & kPermissions) || memory_.present(frame)) continue;
    if (most-- == 0) return Pages::kSomeMissing;
    if (!memory_.await(frame)) return Pages::kLost;
  }
  return Pages::kHere;
}

std::vector<TceRun> TceTable::save() const {
  std::vector<TceRun> saved;
  for (u64 i = 0, next = 0; i < entries_.size(); i++) {
    const u64 tce = entry(i << 12);
    if (tce == 0) continue;
    if (saved.empty() || i != next) saved.push_back({i, {}});
    saved.back().entries.push_back(tce);
    next = i + 1;
  }
  return saved;
}

void TceTable::restore(std::span<const TceRun> runs) {
  clear();
  for (const TceRun& run : runs)
    for (u64 i = 0; i < run.entries.size() && run.first + i < entries_.size(); i++)
      put((run.first + i) << 12, run.entries[i]);
}

}  // namespace baton::hypervisor
