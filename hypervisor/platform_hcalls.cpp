// SPDX-License-Identifier: Apache-2.0
// Registers, pages, debugger access, VASI, and the private calls of the partition firmware
// (PAPR 4.3, 4.4, 4.7, 4.9).
#include <optional>
#include <string>

#include "hypervisor/client_architecture.h"
#include "hypervisor/hcall.h"
#include "hypervisor/partition.h"
#include "hypervisor/rtas.h"
#include "hypervisor/system.h"
#include "hypervisor/virtual_processor.h"

namespace baton::hypervisor {
namespace {

constexpr u64 kPage = 4096;

// ---- registers

i64 h_set_sprg0(HcallContext& call) {
  call.processor().thread().state().sprg[0] = call.arg(0);
  return h::Success;
}

void set_dabr(HcallContext& call, u64 dabr, u64 dabrx) {
  cpu::Thread& thread = call.processor().thread();
  thread.state().dabr = dabr;
  thread.state().dabrx = dabrx;
  thread.flush_translations();  // Watched pages stay out of the look-aside.
}

i64 h_set_dabr(HcallContext& call) {
  set_dabr(call, call.arg(0), 3);
  return h::Success;
}

i64 h_set_xdabr(HcallContext& call) {
  constexpr u64 kHypervisorBit = 4;
  const u64 dabrx = call.arg(1);
  if (dabrx > 0xF || dabrx & kHypervisorBit || !(dabrx & 3)) return h::Parameter;
  set_dabr(call, call.arg(0), dabrx);
  return h::Success;
}

i64 h_perfmon(HcallContext& call) {
  constexpr u64 kModes = u64{3} << 62;
  const u64 set = call.arg(0), reset = call.arg(1);
  if ((set | reset) & ~kModes) return h::Parameter;
  u64 now = 0;
  call.partition().change_platform(
      [&](PlatformState& state) { now = state.perfmon = (state.perfmon | set) & ~reset; });
  call.out(0, now);
  return h::Success;
}

// ---- pages and debugger access

i64 h_page_init(HcallContext& call) {
  constexpr u64 kZero = 0x8000, kCopy = 0x4000;
  cpu::Memory& memory = call.partition().memory();
  const u64 flags = call.arg(0), to = call.arg(1), from = call.arg(2);
  if (to % kPage || !memory.contains(to, kPage)) return h::Parameter;
  if (flags & kCopy && (from % kPage || !memory.contains(from, kPage))) return h::Parameter;
  if (flags & kZero) memory.fill(to, 0, kPage);
  if (flags & kCopy) {
    u8 page[kPage];
    memory.read(from, page);
    memory.write(to, page);
  }
  return h::Success;
}

bool valid_access(HcallContext& call) {
  const u64 size = call.arg(0), address = call.arg(1);
  return (size == 1 || size == 2 || size == 4 || size == 8) && address % size == 0 &&
         call.partition().memory().contains(address, size);
}

// There is no memory-mapped I/O in these partitions; memory may be accessed, as other firmware expects.
i64 h_logical_load(HcallContext& call) {
  if (!valid_access(call)) return h::Parameter;
  const cpu::Memory& memory = call.partition().memory();
  const u64 address = call.arg(1);
  switch (call.arg(0)) {
    case 1:
      call.out(0, *memory.load<u8>(address));
      break;
    case 2:
      call.out(0, *memory.load<u16>(address));
      break;
    case 4:
      call.out(0, *memory.load<u32>(address));
      break;
    default:
      call.out(0, *memory.load<u64>(address));
  }
  return h::Success;
}

i64 h_logical_store(HcallContext& call) {
  if (!valid_access(call)) return h::Parameter;
  cpu::Memory& memory = call.partition().memory();
  const u64 address = call.arg(1), value = call.arg(2);
  switch (call.arg(0)) {
    case 1:
      memory.store<u8>(address, static_cast<u8>(value));
      break;
    case 2:
      memory.store<u16>(address, static_cast<u16>(value));
      break;
    case 4:
      memory.store<u32>(address, static_cast<u32>(value));
      break;
    default:
      memory.store<u64>(address, value);
  }
  return h::Success;
}

/// Caches are coherent.
i64 h_cache_block(HcallContext& call) {
  return call.partition().memory().contains(call.arg(0), 1) ? h::Success : h::Parameter;
}

// ---- VASI, client side

i64 h_vasi_state(HcallContext& call) {
  Partition& partition = call.partition();
  const u64 handle = call.arg(0);
  if (handle == 0 || handle != partition.stream_id()) return h::Parameter;
  call.out(0, static_cast<u64>(partition.vasi_state()));
  return h::Success;
}

i64 h_vasi_signal(HcallContext& call) {
  Partition& partition = call.partition();
  const u64 handle = call.arg(0);
  if (handle == 0 || handle != partition.stream_id()) return h::Parameter;
  // The only one of the codes that is valid here.
  if (call.arg(1) != static_cast<u64>(VasiSignal::kCancel)) return h::P2;
  const VasiStatus status =
      partition.system().vasi().signal(handle, VasiSignal::kCancel, static_cast<u32>(call.arg(2)));
  return status == VasiStatus::kSuccess ? h::Success : h::Noop;
}

// ---- private: the partition firmware

/// A NUL-terminated string of at most `limit` characters.
std::optional<std::string> guest_string(const cpu::Memory& memory, u64 address, u64 limit) {
  std::string text;
  for (u64 i = 0; i < limit; i++) {
    const auto c = memory.load<u8>(address + i);
    if (!c) return std::nullopt;
    if (*c == 0) return text;
    text += static_cast<char>(*c);
  }
  return text;
}

i64 h_rtas(HcallContext& call) { return rtas_call(call.processor(), call.arg(0)); }

i64 h_client_architecture(HcallContext& call) {
  Partition& partition = call.partition();
  if (!client_architecture_support(partition, call.processor().thread().state().pvr, call.arg(0), call.arg(1),
                                   call.arg(2)))
    return h::Parameter;
  partition.note_running();
  return h::Success;
}

i64 h_progress(HcallContext& call) {
  std::string code;
  for (unsigned i = 0; i < 8; i++) {
    const char c = static_cast<char>(call.arg(0) >> (56 - 8 * i));
    if (c < 0x20 || c > 0x7E) break;
    code += c;
  }
  while (code.ends_with(' ')) code.pop_back();
  if (code.empty()) return h::Parameter;
  call.partition().progress(code);
  return h::Success;
}

i64 h_fatal(HcallContext& call) {
  const auto text = guest_string(call.partition().memory(), call.arg(0), 512);
  if (!text) return h::Parameter;
  call.partition().set_error("Partition firmware stopped: " + *text);
  return h::Success;
}

constexpr HcallRow kRows[] = {
    {0x24, "H_SET_SPRG0", "hcall-sprg0", h_set_sprg0},
    {0x28, "H_SET_DABR", "hcall-dabr", h_set_dabr},
    {0x2C, "H_PAGE_INIT", "hcall-copy", h_page_init},
    {0x3C, "H_LOGICAL_CI_LOAD", "hcall-debug", h_logical_load},
    {0x40, "H_LOGICAL_CI_STORE", "hcall-debug", h_logical_store},
    {0x44, "H_LOGICAL_CACHE_LOAD", "hcall-debug", h_logical_load},
    {0x48, "H_LOGICAL_CACHE_STORE", "hcall-debug", h_logical_store},
    {0x4C, "H_LOGICAL_ICBI", "hcall-debug", h_cache_block},
    {0x50, "H_LOGICAL_DCBF", "hcall-debug", h_cache_block},
    {0x7C, "H_PERFMON", "hcall-perfmon", h_perfmon},
    {0x134, "H_SET_XDABR", "hcall-xdabr", h_set_xdabr},
    {0x2A0, "H_VASI_SIGNAL", "hcall-vasi", h_vasi_signal},
    {0x2A4, "H_VASI_STATE", "hcall-vasi", h_vasi_state},
    {0xF000, "H_BATON_RTAS", "", h_rtas},
    {0xF004, "H_BATON_CLIENT_ARCHITECTURE", "", h_client_architecture},
    {0xF008, "H_BATON_PROGRESS", "", h_progress},
    {0xF00C, "H_BATON_FATAL", "", h_fatal},
};

}  // namespace

std::span<const HcallRow> platform_hcalls() { return kRows; }

}  // namespace baton::hypervisor
