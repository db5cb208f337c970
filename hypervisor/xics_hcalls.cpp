// SPDX-License-Identifier: Apache-2.0
// Interrupt calls (PAPR 4.5, 6).
#include "hypervisor/hcall.h"
#include "hypervisor/partition.h"
#include "hypervisor/virtual_processor.h"

namespace baton::hypervisor {
namespace {

i64 h_eoi(HcallContext& call) {
  const u32 xirr = static_cast<u32>(call.arg(0));
  return call.partition().xics().eoi(call.processor().server(), xirr) ? h::Success : h::Parameter;
}

i64 h_cppr(HcallContext& call) {
  call.partition().xics().set_cppr(call.processor().server(), static_cast<u8>(call.arg(0)));
  return h::Success;
}

i64 h_ipi(HcallContext& call) {
  const u64 server = call.arg(0);
  if (server >= call.partition().processors().size()) return h::Parameter;
  call.partition().xics().ipi(static_cast<u32>(server), static_cast<u8>(call.arg(1)));
  return h::Success;
}

i64 h_ipoll(HcallContext& call) {
  const u64 server = call.arg(0);
  u32 xirr = 0;
  u8 mfrr = 0;
  if (server >= call.partition().processors().size() ||
      !call.partition().xics().poll(static_cast<u32>(server), xirr, mfrr))
    return h::Parameter;
  call.out(0, xirr);
  call.out(1, mfrr);
  return h::Success;
}

i64 h_xirr(HcallContext& call) {
  call.out(0, call.partition().xics().accept(call.processor().server()));
  return h::Success;
}

constexpr HcallRow kRows[] = {
    {0x64, "H_EOI", "hcall-interrupt", h_eoi},   {0x68, "H_CPPR", "hcall-interrupt", h_cppr},
    {0x6C, "H_IPI", "hcall-interrupt", h_ipi},   {0x70, "H_IPOLL", "hcall-interrupt", h_ipoll},
    {0x74, "H_XIRR", "hcall-interrupt", h_xirr},
};

}  // namespace

std::span<const HcallRow> xics_hcalls() { return kRows; }

}  // namespace baton::hypervisor
