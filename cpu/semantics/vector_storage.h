// SPDX-License-Identifier: Apache-2.0
// VMX loads and stores, the control vectors for unaligned data, VSCR (see vector.h). No address is unaligned:
// its low bits are ignored.
#pragma once

#include "cpu/semantics/load_store.h"
#include "cpu/semantics/vector_lanes.h"
#include "cpu/semantics/vector_permute.h"

namespace baton::cpu::sem {

namespace vmx {

/// The lane that storage at `address` belongs to.
template <class T>
BATON_VMX_INLINE u64 lane_at(const State& s, u64 address) {
  return ((little_endian(s) ? address : ~address) & 15) / sizeof(T);
}

/// The elements beside the one that is loaded are undefined: they stay.
template <class T, class O>
BATON_VMX_INLINE Flow load_element(State& s, O o) {
  if (!available(s)) return unavailable(s);
  const u64 address = detail::x_address(s, o) & ~u64{sizeof(T) - 1};
  T value;
  if (!cpu::load(s, address, value)) return Flow::kStop;
  Lanes<T> lanes = get<T>(s, o.a());
  lanes[lane_at<T>(s, address)] = value;
  return deliver(s, o.a(), lanes);
}
template <class T, class O>
BATON_VMX_INLINE Flow store_element(State& s, O o) {
  if (!available(s)) return unavailable(s);
  const u64 address = detail::x_address(s, o) & ~u64{sizeof(T) - 1};
  const T value = get<T>(s, o.a())[lane_at<T>(s, address)];
  return cpu::store(s, address, value) ? Flow::kNext : Flow::kStop;
}

}  // namespace vmx

BATON_SEMANTICS Flow lvx(State& s, O o) {
  if (!vmx::available(s)) return vmx::unavailable(s);
  Quadword value;
  if (!load_vector(s, detail::x_address(s, o) & ~u64{15}, value)) return Flow::kStop;
  return vmx::deliver(s, o.a(), value);
}
BATON_SEMANTICS Flow stvx(State& s, O o) {
  if (!vmx::available(s)) return vmx::unavailable(s);
  const Quadword value = vmx::get<u8>(s, o.a());
  return store_vector(s, detail::x_address(s, o) & ~u64{15}, value) ? Flow::kNext : Flow::kStop;
}
/// The hint that the block will not be needed soon is not taken.
BATON_SEMANTICS Flow lvxl(State& s, O o) { return lvx(s, o); }
BATON_SEMANTICS Flow stvxl(State& s, O o) { return stvx(s, o); }
BATON_SEMANTICS Flow lvebx(State& s, O o) { return vmx::load_element<u8>(s, o); }
BATON_SEMANTICS Flow lvehx(State& s, O o) { return vmx::load_element<u16>(s, o); }
BATON_SEMANTICS Flow lvewx(State& s, O o) { return vmx::load_element<u32>(s, o); }
BATON_SEMANTICS Flow stvebx(State& s, O o) { return vmx::store_element<u8>(s, o); }
BATON_SEMANTICS Flow stvehx(State& s, O o) { return vmx::store_element<u16>(s, o); }
BATON_SEMANTICS Flow stvewx(State& s, O o) { return vmx::store_element<u32>(s, o); }

BATON_SEMANTICS Flow lvsl(State& s, O o) {
  if (!vmx::available(s)) return vmx::unavailable(s);
  const u64 offset = detail::x_address(s, o) & 15;
  return vmx::deliver(s, o.a(), static_cast<u8>(offset + 15) - vmx::numbers());
}
BATON_SEMANTICS Flow lvsr(State& s, O o) {
  if (!vmx::available(s)) return vmx::unavailable(s);
  const u64 offset = detail::x_address(s, o) & 15;
  return vmx::deliver(s, o.a(), static_cast<u8>(31 - offset) - vmx::numbers());
}

BATON_SEMANTICS Flow mfvscr(State& s, O o) {
  if (!vmx::available(s)) return vmx::unavailable(s);
  return vmx::deliver(s, o.a(), vmx::Words{s.vscr, 0, 0, 0});
}
/// Reserved bits read as zero.
BATON_SEMANTICS Flow mtvscr(State& s, O o) {
  if (!vmx::available(s)) return vmx::unavailable(s);
  s.vscr = vmx::get<u32>(s, o.c())[0] & (vscr::NJ | vscr::SAT);
  return Flow::kNext;
}

}  // namespace baton::cpu::sem
