// SPDX-License-Identifier: Apache-2.0
#include "cpu/mmu/hash_page_table.h"

#include <cassert>

namespace baton::cpu {
namespace {

constexpr u64 kEntriesPerFrame = kFrameSize / 16;
constexpr u64 kOneTerabyte = 0x4000000000000000;  // B = 01 in both tables

/// True if the LP code of a large PTE is that of `size`.
bool has_lp(u64 r, const PageSize& size) {
  const u64 mask = (u64{1} << std::min(size.actual_shift - 12, 8)) - 1;
  return (r >> 12 & mask) == size.pte_lp;
}

}  // namespace

HashPageTable::HashPageTable(unsigned log2_bytes)
    : log2_bytes_(log2_bytes),
      slots_(std::make_unique<Slot[]>(u64{1} << (log2_bytes - 4))),
      dirty_(u64{1} << (log2_bytes - kFrameShift)) {
  assert(log2_bytes >= 18 && log2_bytes <= 40);
}

Hpte HashPageTable::get(u64 ptex) const {
  return {slots_[ptex].v.load(std::memory_order_acquire), slots_[ptex].r.load(std::memory_order_acquire)};
}

void HashPageTable::set(u64 ptex, Hpte entry) {
  Slot& slot = slots_[ptex];
  slot.v.store(0, std::memory_order_seq_cst);
  slot.r.store(entry.r, std::memory_order_release);
  slot.v.store(entry.v, std::memory_order_seq_cst);
  dirty_.set(ptex / kEntriesPerFrame);
}

bool HashPageTable::set_bits(u64 ptex, const Hpte& seen, u64 r_bits) {
  Slot& slot = slots_[ptex];
  u64 r = slot.r.load(std::memory_order_acquire);
  do {
    if (slot.v.load(std::memory_order_acquire) != seen.v) return false;
    if ((r ^ seen.r) & ~(pte::kReferenced | pte::kChanged)) return false;
    if ((r & r_bits) == r_bits) return true;
  } while (!slot.r.compare_exchange_weak(r, r | r_bits, std::memory_order_acq_rel));
  dirty_.set(ptex / kEntriesPerFrame);
  return true;
}

void HashPageTable::set_r(u64 ptex, u64 r) {
  slots_[ptex].r.store(r, std::memory_order_seq_cst);
  dirty_.set(ptex / kEntriesPerFrame);
}

void HashPageTable::change_r(u64 ptex, u64 clear, u64 set) {
  std::atomic<u64>& slot = slots_[ptex].r;
  u64 r = slot.load(std::memory_order_acquire);
  while (!slot.compare_exchange_weak(r, (r & ~clear) | set, std::memory_order_seq_cst)) {
  }
  dirty_.set(ptex / kEntriesPerFrame);
}

void HashPageTable::invalidate(u64 ptex) {
  slots_[ptex].v.store(0, std::memory_order_seq_cst);
  dirty_.set(ptex / kEntriesPerFrame);
}

u64 HashPageTable::and_r(u64 ptex, u64 mask) {
  const u64 old = slots_[ptex].r.fetch_and(mask, std::memory_order_acq_rel);
  dirty_.set(ptex / kEntriesPerFrame);
  return old;
}

const PageSize* HashPageTable::decode_size(const Hpte& entry, unsigned base_shift) {
  for (const PageSize& size : kPageSizes) {
    if (size.base_shift != base_shift) continue;
    const bool large = size.actual_shift != 12;
    if (large != ((entry.v & pte::kLarge) != 0)) continue;
    if (!large || has_lp(entry.r, size)) return &size;
  }
  return nullptr;
}

const PageSize* HashPageTable::decode_size(const Hpte& entry) {
  for (const PageSize& size : kPageSizes)
    if (decode_size(entry, size.base_shift) == &size) return &size;
  return nullptr;
}

std::optional<HashPageTable::Found> HashPageTable::search(u64 ea, u64 slb_vsid) const {
  const PageSize* base = nullptr;
  for (const PageSize& size : kPageSizes)
    if (size.base_shift == size.actual_shift && size.slb_llp == (slb_vsid & 0x130)) base = &size;
  const bool terabyte = slb_vsid & kOneTerabyte;
  if (!base || (base->base_shift > 28 && !terabyte)) return std::nullopt;
  const u64 vsid = (slb_vsid & ~pte::kSizeMask) >> (terabyte ? 24 : 12);
  const u64 offset = ea & (terabyte ? 0xFFFFFFFFFF : 0x0FFFFFFF);
  u64 hash = vsid ^ (offset >> base->base_shift);
  if (terabyte) hash ^= vsid << 25;
  u64 avpn = terabyte ? (vsid << 17 | offset >> 23) << 7 : (vsid << 5 | offset >> 23) << 7;
  // Pages of 16 MB and more do not have their own address bits in the AVPN.
  u64 mask = pte::kSizeMask | pte::kAvpn | pte::kValid | pte::kSecondary;
  if (base->base_shift > 23) mask &= ~(((u64{1} << (base->base_shift - 23)) - 1) << 7);
  u64 want = (slb_vsid & pte::kSizeMask) | (avpn & pte::kAvpn) | pte::kValid;
  const u64 group_mask = groups() - 1;
  for (int secondary = 0; secondary < 2; secondary++) {
    if (secondary) {
      hash = ~hash;
      want |= pte::kSecondary;
    }
    const u64 first = (hash & group_mask) * 8;
    for (u64 ptex = first; ptex < first + 8; ptex++) {
      if ((slots_[ptex].v.load(std::memory_order_acquire) ^ want) & mask) continue;
      const Hpte entry = get(ptex);
      if ((entry.v ^ want) & mask) continue;
      if (const PageSize* size = decode_size(entry, base->base_shift))
        return Found{ptex, entry, size->actual_shift};
    }
  }
  return std::nullopt;
}

void HashPageTable::export_frame(u64 frame, std::span<u8, kFrameSize> out) const {
  for (u64 i = 0; i < kEntriesPerFrame; i++) {
    const Hpte entry = get(frame * kEntriesPerFrame + i);
    store_be(out.data() + i * 16, entry.v);
    store_be(out.data() + i * 16 + 8, entry.r);
  }
}

void HashPageTable::import_frame(u64 frame, std::span<const u8, kFrameSize> in) {
  for (u64 i = 0; i < kEntriesPerFrame; i++)
    set(frame * kEntriesPerFrame + i,
        {load_be<u64>(in.data() + i * 16), load_be<u64>(in.data() + i * 16 + 8)});
}

}  // namespace baton::cpu
