// SPDX-License-Identifier: Apache-2.0
// The hashed page table of a partition and how a hardware thread searches it (POWER6-ISA 7.3 to 7.5).
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>

#include "cpu/bits.h"
#include "cpu/memory.h"

namespace baton::cpu {

/// PTE doubleword 0 and 1 bits (POWER6-ISA 7.4).
namespace pte {
inline constexpr u64 kValid = 0x1, kSecondary = 0x2, kLarge = 0x4, kBolted = 0x10, kHypervisorLock = 0x60,
                     kAvpn = 0x3FFFFFFFFFFFFF80, kSizeMask = 0xC000000000000000, kAvpnCompare = ~u64{0x7F};
inline constexpr u64 kPp0 = 0x8000000000000000, kKeyHigh = 0x3000000000000000, kRpn = 0x0FFFFFFFFFFFF000,
                     kKeyLow = 0x0E00, kReferenced = 0x100, kChanged = 0x80, kWimg = 0x78,
                     kWriteThrough = 0x40, kInhibited = 0x20, kCoherent = 0x10, kGuarded = 0x08,
                     kNoExecute = 0x04, kPp = 0x03;
}  // namespace pte

/// A pair of doublewords in host order.
struct Hpte {
  u64 v = 0;  ///< Doubleword 0.
  u64 r = 0;  ///< Doubleword 1.
};

/// What a base/actual page size pair is called in the two tables: SLB L||LP and the LP code in the PTE.
struct PageSize {
  u8 base_shift;    ///< log2 of the segment's base page size.
  u8 actual_shift;  ///< log2 of the page's own size.
  u16 slb_llp;      ///< L (0x100) and LP (0x30) bits of the SLB VSID doubleword.
  u8 pte_lp;        ///< Code in the low RPN bits when L=1; unused for 4 KB pages.
};
/// The sizes that POWER6 has: 4K, 64K in 4K segments, 64K, 16M, and in segments of 1 TB 16G.
inline constexpr std::array<PageSize, 5> kPageSizes{
    {{12, 12, 0x000, 0}, {12, 16, 0x000, 7}, {16, 16, 0x110, 1}, {24, 24, 0x100, 0}, {34, 34, 0x120, 3}}};

/// The table itself. Entries are kept in host order as atomics: hcalls edit them under the partition's
/// page-table lock, hardware threads search and set R and C without it.
class HashPageTable {
 public:
  /// `log2_bytes` from 18 to 40.
  explicit HashPageTable(unsigned log2_bytes);
  unsigned log2_bytes() const { return log2_bytes_; }
  u64 entries() const { return u64{1} << (log2_bytes_ - 4); }
  u64 groups() const { return u64{1} << (log2_bytes_ - 7); }

  Hpte get(u64 ptex) const;
  /// Replaces an entry; v is made invalid first, then r, then v, so that a search never sees a mixture.
  void set(u64 ptex, Hpte entry);
  /// ORs bits into doubleword 1 unless the entry was invalidated or replaced meanwhile (then false).
  bool set_bits(u64 ptex, const Hpte& seen, u64 r_bits);
  void set_r(u64 ptex, u64 r);  ///< Replaces doubleword 1 of a valid entry; searches never miss it meanwhile.
  /// The same, but keeps what threads may set in it meanwhile: bits `clear` go, then bits `set` come.
  void change_r(u64 ptex, u64 clear, u64 set);
  /// Makes an entry invalid. Threads that have found it may still set R and C in doubleword 1 until
  /// Domain::forget_translation() has returned; only then they are final.
  void invalidate(u64 ptex);
  u64 and_r(u64 ptex, u64 mask);  ///< doubleword 1 &= mask; returns the old value.

  struct Found {
    u64 ptex;
    Hpte entry;
    u8 actual_shift;
  };
  /// Searches primary then secondary group for the page of `ea` in the segment of SLB entry doubleword
  /// `slb_vsid`.
  std::optional<Found> search(u64 ea, u64 slb_vsid) const;

  /// The page size that PTE (v, r) has in a segment of base size `base_shift`; nullptr if it has none.
  static const PageSize* decode_size(const Hpte& entry, unsigned base_shift);
  /// The size of a PTE whose segment is not known (H_ENTER's checks); nullptr if the LP code is none of ours.
  static const PageSize* decode_size(const Hpte& entry);

  /// 4 KB frames of the table written since the last harvest (R and C count); for migration.
  FrameSet& dirty() { return dirty_; }
  u64 bytes() const { return u64{1} << log2_bytes_; }
  /// Copies one 4 KB frame of the table in guest (big-endian) layout.
  void export_frame(u64 frame, std::span<u8, kFrameSize> out) const;
  void import_frame(u64 frame, std::span<const u8, kFrameSize> in);

 private:
  struct Slot {
    std::atomic<u64> v{0}, r{0};
  };
  unsigned log2_bytes_;
  std::unique_ptr<Slot[]> slots_;
  FrameSet dirty_;
};

}  // namespace baton::cpu
