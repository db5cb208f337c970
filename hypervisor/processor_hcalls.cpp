// SPDX-License-Identifier: Apache-2.0
// Calls about virtual processors: dispatch, areas, capacity (PAPR 4.6, 5; LoPAR "Shared Processor LPAR").
#include <algorithm>
#include <thread>

#include "hypervisor/hcall.h"
#include "hypervisor/partition.h"
#include "hypervisor/platform_state.h"
#include "hypervisor/system.h"
#include "hypervisor/virtual_processor.h"

namespace baton::hypervisor {
namespace {

constexpr u64 kCacheLine = 128, kPage = 4096;
constexpr u64 kSmallestVpa = 640, kSmallestDtl = 48, kSmallestShadow = 8;
/// Fields of the VPA that the platform writes (PAPR 5.1).
constexpr u64 kVpaStatus = 0x09, kVpaYieldCount = 0x100;
constexpr u8 kVpaShared = 0x02;

/// The virtual processor that a 64-bit argument names, or nullptr.
VirtualProcessor* named(Partition& partition, u64 server) {
  return server < partition.processors().size() ? partition.processor(static_cast<u32>(server)) : nullptr;
}

i64 register_vpa(Partition& partition, VirtualProcessor& target, u64 at) {
  cpu::Memory& memory = partition.memory();
  const auto size = memory.load<u16>(at + 4);
  if (!size || *size < kSmallestVpa || at % kPage + *size > kPage || !memory.contains(at, *size))
    return h::Parameter;
  constexpr struct {
    u64 at, length;
  } kOurs[] = {{0x18, 8}, {0x58, 8}, {0x100, 0x70}, {0x218, 8}};
  for (const auto& field : kOurs) memory.fill(at + field.at, 0, field.length);
  memory.store<u8>(at + kVpaStatus, kVpaShared);
  target.vpa = at;
  memory.store<u32>(at + kVpaYieldCount, target.yield_count);
  partition.note_running();
  return h::Success;
}

i64 register_area(Partition& partition, VirtualProcessor& target, u64 at, bool log) {
  cpu::Memory& memory = partition.memory();
  const auto size = memory.load<u32>(at + 4);
  if (!size || !memory.contains(at, *size)) return h::Parameter;
  if (log) {
    if (*size < kSmallestDtl) return h::Parameter;
    if (!target.vpa) return h::Resource;
    target.dtl = at;
    target.dtl_bytes = *size;
    target.dtl_index = 0;
    return h::Success;
  }
  if (*size < kSmallestShadow || at % kPage + *size > kPage) return h::Parameter;
  if (!target.vpa) return h::Resource;
  target.slb_shadow = at;
  return h::Success;
}

i64 h_register_vpa(HcallContext& call) {
  enum : u64 { kVpa = 1, kDtl = 2, kShadow = 3, kDropVpa = 5, kDropDtl = 6, kDropShadow = 7 };
  const u64 function = call.arg(0) >> 45 & 7, at = call.arg(2);
  Partition& partition = call.partition();
  VirtualProcessor* target = named(partition, call.arg(1));
  if (function == 0 || function == 4) return h::Function;
  if (!target) return h::Parameter;
  if (function < kDropVpa && (at % kCacheLine || !partition.memory().contains(at, kCacheLine)))
    return h::Parameter;
  // The areas are read and written without a lock by the processor that owns them.
  const bool log = function == kDtl || function == kDropDtl;
  if (!log && target != &call.processor() && target->dispatch() != Dispatch::kStopped) return h::State;
  switch (function) {
    case kVpa:
      return register_vpa(partition, *target, at);
    case kDtl:
      return register_area(partition, *target, at, true);
    case kShadow:
      return register_area(partition, *target, at, false);
    case kDropVpa:
      if (target->dtl || target->slb_shadow) return h::Resource;
      target->vpa = 0;
      return h::Success;
    case kDropDtl:
      target->dtl = target->dtl_bytes = target->dtl_index = 0;
      return h::Success;
    default:
      target->slb_shadow = 0;
      return h::Success;
  }
}

i64 h_cede(HcallContext& call) {
  call.processor().cede();
  return h::Success;
}

i64 h_confer(HcallContext& call) {
  // A processor number or -1, as 32 bits (LoPAR H_CONFER).
  const i32 number = static_cast<i32>(call.arg(0));
  if (number == -1) {
    std::this_thread::yield();
    return h::Success;
  }
  VirtualProcessor* target = number < 0 ? nullptr : named(call.partition(), static_cast<u64>(number));
  if (!target) return h::Parameter;
  if (target == &call.processor()) {
    call.processor().confer_until_prodded();
    return h::Success;
  }
  const u32 count = target->yield_count;
  if (count == static_cast<u32>(call.arg(1)) && count & 1) std::this_thread::yield();
  return h::Success;
}

i64 h_prod(HcallContext& call) {
  VirtualProcessor* target = named(call.partition(), call.arg(0));
  if (!target) return h::Parameter;
  target->prod();
  return h::Success;
}

i64 h_join(HcallContext& call) { return call.processor().join(); }

/// Capacity is counted in hundredths of a processor; the partition's share is its virtual processors.
i64 h_get_ppp(HcallContext& call) {
  Partition& partition = call.partition();
  const ManagedSystem& system = partition.system();
  const u64 platform = system.identity().processors;
  const PlatformState state = partition.platform();
  call.out(0, state.entitled_capacity);
  call.out(1, u64{system.free_processors()} * 100);
  call.out(2, 0);  // Group 0, pool 0.
  call.out(3, u64{state.capacity_weight} << 40 | platform << 16 | platform);
  call.out(4, platform << 48 | platform * 100 << 24 | platform * 100);
  return h::Success;
}

i64 h_set_ppp(HcallContext& call) {
  const u64 entitled = call.arg(0), weight = call.arg(1);
  if (weight > 255) return h::Parameter;
  const u64 most = call.partition().processors().size() * 100, least = most / 10;
  const u64 granted = std::clamp(entitled, least, most);
  call.partition().change_platform([&](PlatformState& state) {
    state.entitled_capacity = static_cast<u32>(granted);
    state.capacity_weight = static_cast<u8>(weight);
  });
  return granted == entitled ? h::Success : h::Constrained;
}

i64 h_purr(HcallContext& call) {
  call.out(0, call.processor().thread().purr());
  call.out(1, call.processor().thread().spurr());
  return h::Success;
}

i64 h_pic(HcallContext& call) {
  Partition& partition = call.partition();
  const u64 processors = partition.system().identity().processors;
  const u64 total = partition.clock().time_base() * processors;
  u64 busy = 0;
  for (const auto& processor : partition.processors()) busy += processor->purr();
  call.out(0, total - std::min(total, busy));
  call.out(1, processors);
  call.out(2, total);
  call.out(3, busy);
  call.out(4, busy);
  call.out(5, 0);
  for (unsigned i = 6; i < 9; i++) call.out(i, ~u64{0});  // No authority over the whole platform.
  return h::Success;
}

i64 h_poll_pending(HcallContext&) { return h::Success; }

/// Which precautions against speculation pay here: none does. What a host processor speculates about is not
/// what the partition's caches hold, and displacing its L1 at each entry and exit costs a thousand loads.
/// LoPAR gives 0x1C8 to H_RESCIND_LOGICAL, which is not for client partitions; Linux has this there
/// (arch/powerpc/include/asm/hvcall.h).
i64 h_get_cpu_characteristics(HcallContext& call) {
  constexpr auto bit = [](unsigned ibm) { return u64{1} << (63 - ibm); };
  constexpr u64 kFavourSecurity = bit(0), kNoFlushOnEntry = bit(7), kNoFlushOnUserAccess = bit(8),
                kNoStoreForwardingBarrier = bit(9);  // Bit 1, flush on the way out, is clear.
  call.out(0, 0);                                    // No special instruction serves for a flush.
  call.out(1, kFavourSecurity | kNoFlushOnEntry | kNoFlushOnUserAccess | kNoStoreForwardingBarrier);
  return h::Success;
}

i64 h_get_em_parms(HcallContext& call) {
  constexpr u64 kNominal = 0x0002;
  call.out(0, kNominal << 48 | kNominal << 32 | kNominal << 16 | kNominal);
  for (unsigned i = 1; i < 6; i++) call.out(i, 0);
  return h::Success;
}

constexpr HcallRow kRows[] = {
    {0xDC, "H_REGISTER_VPA", "hcall-splpar SLB-Buffer", h_register_vpa},
    {0xE0, "H_CEDE", "hcall-splpar", h_cede},
    {0xE4, "H_CONFER", "hcall-splpar", h_confer},
    {0xE8, "H_PROD", "hcall-splpar", h_prod},
    {0xEC, "H_GET_PPP", "hcall-splpar", h_get_ppp},
    {0xF0, "H_SET_PPP", "hcall-splpar", h_set_ppp},
    {0xF4, "H_PURR", "hcall-splpar", h_purr},
    {0xF8, "H_PIC", "hcall-pic", h_pic},
    {0x1C8, "H_GET_CPU_CHARACTERISTICS", "", h_get_cpu_characteristics},
    {0x1D8, "H_POLL_PENDING", "hcall-poll-pending", h_poll_pending},
    {0x298, "H_JOIN", "hcall-join", h_join},
    {0x2B8, "H_GET_EM_PARMS", "hcall-get-emparm", h_get_em_parms},
};

}  // namespace

std::span<const HcallRow> processor_hcalls() { return kRows; }

}  // namespace baton::hypervisor
