// SPDX-License-Identifier: Apache-2.0
// Page-table calls (PAPR 4.1; LoPAR "Page Frame Table Access").
#include "hypervisor/hcall.h"
#include "hypervisor/partition.h"
#include "hypervisor/virtual_processor.h"

namespace baton::hypervisor {
namespace {

using cpu::Hpte;
namespace pte = cpu::pte;

/// Bits of the flags word (PAPR 1).
constexpr u64 kExact = 0x0000008000000000, kRead4 = 0x0000002000000000, kAvpnFlag = 0x80000000,
              kAndCond = 0x40000000, kIcacheInvalidate = 0x00800000, kIcacheSync = 0x00400000,
              kZeroPage = 0x8000, kProtectPp0 = 0x100;
/// What H_ENTER lets through in doubleword 1. Eight storage keys are offered (ibm,processor-storage-keys):
/// the low three bits.
constexpr u64 kPteLow = pte::kPp0 | pte::kRpn | pte::kKeyLow | pte::kReferenced | pte::kChanged | pte::kWimg |
                        pte::kNoExecute | pte::kPp;
/// What H_PROTECT replaces by its flags.
constexpr u64 kProtected = pte::kKeyLow | pte::kNoExecute | pte::kPp;
/// Pages of 16 GB have to be given to a partition by its profile, which cannot say so.
constexpr u8 kLargestPageShift = 24;
constexpr u64 kEntriesPerGroup = 8;

/// Takes a valid entry out of the table and out of every look-aside; `old` has its final R and C.
bool remove(Partition& partition, u64 ptex, u64 flags, u64 avpn, Hpte& old) {
  cpu::HashPageTable& hpt = partition.hpt();
  old = hpt.get(ptex);
  if (!(old.v & pte::kValid)) return false;
  if ((flags & kAvpnFlag) && (old.v & pte::kAvpnCompare) != avpn) return false;
  if ((flags & kAndCond) && (old.v & avpn)) return false;
  hpt.invalidate(ptex);
  partition.domain().forget_translation(ptex, old);
  old.r = hpt.get(ptex).r;
  hpt.set(ptex, {0, 0});
  return true;
}

i64 h_remove(HcallContext& call) {
  Partition& partition = call.partition();
  const u64 ptex = call.arg(1);
  if (ptex >= partition.hpt().entries()) return h::Parameter;
  std::lock_guard lock(partition.hpt_lock());
  Hpte old;
  if (!remove(partition, ptex, call.arg(0), call.arg(2), old)) return h::NotFound;
  call.out(0, old.v);
  call.out(1, old.r);
  return h::Success;
}

i64 h_enter(HcallContext& call) {
  Partition& partition = call.partition();
  cpu::HashPageTable& hpt = partition.hpt();
  const u64 flags = call.arg(0);
  u64 ptex = call.arg(1);
  Hpte entry{call.arg(2), call.arg(3)};
  if (ptex >= hpt.entries()) return h::Parameter;
  // A segment size of 256 MB or 1 TB; anything but a valid entry would be lost in the table.
  if (!(entry.v & pte::kValid) || entry.v >> 63) return h::Parameter;
  const cpu::PageSize* size = cpu::HashPageTable::decode_size(entry);
  if (!size || size->actual_shift > kLargestPageShift) return h::Parameter;
  const u64 bytes = u64{1} << size->actual_shift;
  const u64 offset = entry.r & pte::kRpn & (bytes - 1);
  if (offset != (entry.v & pte::kLarge ? u64{size->pte_lp} << cpu::kFrameShift : 0)) return h::Parameter;
  const u64 address = entry.r & pte::kRpn & ~(bytes - 1);
  if (!partition.memory().contains(address, bytes)) return h::Parameter;
  if ((entry.r & pte::kWimg) != pte::kCoherent) return h::Parameter;
  if (bytes > 64 << 10 && flags & (kZeroPage | kIcacheInvalidate | kIcacheSync)) return h::TooBig;
  entry.v &= ~pte::kHypervisorLock;
  entry.r &= kPteLow;

  std::lock_guard lock(partition.hpt_lock());
  u64 end = ptex + 1;
  if (!(flags & kExact)) {
    ptex &= ~(kEntriesPerGroup - 1);
    end = ptex + kEntriesPerGroup;
  }
  while (ptex < end && hpt.get(ptex).v & pte::kValid) ptex++;
  if (ptex == end) return h::PtegFull;
  if (flags & kZeroPage) partition.memory().fill(address, 0, bytes);
  // Nothing is cached from an invalid entry, and instruction caches are coherent here.
  hpt.set(ptex, entry);
  call.out(0, ptex);
  return h::Success;
}

i64 h_read(HcallContext& call) {
  cpu::HashPageTable& hpt = call.partition().hpt();
  u64 ptex = call.arg(1);
  if (ptex >= hpt.entries()) return h::Parameter;
  const bool four = call.arg(0) & kRead4;
  if (four) ptex &= ~u64{3};
  for (unsigned i = 0; i < (four ? 4U : 1U); i++) {
    const Hpte entry = hpt.get(ptex + i);
    call.out(2 * i, entry.v);
    call.out(2 * i + 1, entry.r);
  }
  return h::Success;
}

i64 clear_bit(HcallContext& call, u64 bit) {
  Partition& partition = call.partition();
  const u64 ptex = call.arg(1);
  if (ptex >= partition.hpt().entries()) return h::Parameter;
  std::lock_guard lock(partition.hpt_lock());
  Hpte old = partition.hpt().get(ptex);
  if (!(old.v & pte::kValid)) return h::NotFound;
  old.r = partition.hpt().and_r(ptex, ~bit);
  if (old.r & bit) partition.domain().forget_translation(ptex, old);
  call.out(0, old.r);
  return h::Success;
}

i64 h_clear_mod(HcallContext& call) { return clear_bit(call, pte::kChanged); }
i64 h_clear_ref(HcallContext& call) { return clear_bit(call, pte::kReferenced); }

i64 h_protect(HcallContext& call) {
  Partition& partition = call.partition();
  cpu::HashPageTable& hpt = partition.hpt();
  const u64 flags = call.arg(0), ptex = call.arg(1), avpn = call.arg(2);
  if (ptex >= hpt.entries()) return h::Parameter;
  std::lock_guard lock(partition.hpt_lock());
  const Hpte old = hpt.get(ptex);
  if (!(old.v & pte::kValid)) return h::NotFound;
  if ((flags & kAvpnFlag) && (old.v & pte::kAvpnCompare) != avpn) return h::NotFound;
  u64 set = flags & kProtected;
  if (flags & kProtectPp0) set |= pte::kPp0;
  hpt.change_r(ptex, pte::kPp0 | kProtected | pte::kReferenced, set);
  partition.domain().forget_translation(ptex, old);
  return h::Success;
}

i64 h_bulk_remove(HcallContext& call) {
  constexpr u64 kPtexMask = 0x00FFFFFFFFFFFFFF;
  constexpr u8 kRequest = 0x40, kResponse = 0x80, kEnd = 0xC0, kType = 0xC0;
  constexpr u8 kNotFoundCode = 0x10, kParameterCode = 0x20, kReferencedBit = 0x08, kChangedBit = 0x04;
  Partition& partition = call.partition();
  std::lock_guard lock(partition.hpt_lock());
  for (unsigned i = 0; i < 4; i++) {
    const u64 high = call.arg(2 * i), avpn = call.arg(2 * i + 1);
    const u8 control = high >> 56;
    const u64 ptex = high & kPtexMask;
    const auto respond = [&](u8 code) { call.out(2 * i, u64{code} << 56 | ptex); };
    if ((control & kType) == kEnd) return h::Success;
    if ((control & kType) != kRequest) return h::Parameter;
    const u8 condition = control & 3;
    if (condition == 3 || ptex >= partition.hpt().entries()) {
      respond(kResponse | kParameterCode);
      return h::Parameter;
    }
    const u64 flags = condition == 1 ? kAndCond : condition == 2 ? kAvpnFlag : 0;
    Hpte old;
    if (!remove(partition, ptex, flags, avpn, old)) {
      respond(kResponse | kNotFoundCode);
      continue;
    }
    respond(static_cast<u8>(kResponse | (old.r & pte::kReferenced ? kReferencedBit : 0) |
                            (old.r & pte::kChanged ? kChangedBit : 0)));
  }
  return h::Success;
}

constexpr HcallRow kRows[] = {
    {0x04, "H_REMOVE", "hcall-pft", h_remove},
    {0x08, "H_ENTER", "hcall-pft", h_enter},
    {0x0C, "H_READ", "hcall-pft", h_read},
    {0x10, "H_CLEAR_MOD", "hcall-pft", h_clear_mod},
    {0x14, "H_CLEAR_REF", "hcall-pft", h_clear_ref},
    {0x18, "H_PROTECT", "hcall-pft", h_protect},
    {0x124, "H_BULK_REMOVE", "hcall-bulk", h_bulk_remove},
};

}  // namespace

std::span<const HcallRow> hpt_hcalls() { return kRows; }

}  // namespace baton::hypervisor
