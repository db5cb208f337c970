// SPDX-License-Identifier: Apache-2.0
// Cache management, synchronisation, hints (POWER6-ISA 4.10).
#pragma once

#include <atomic>

#include "cpu/semantics/load_store.h"

namespace baton::cpu::sem {

/// dcbt, dcbtst, icbt, dst, dss and their kin: hints that never fault, and need no facility.
BATON_SEMANTICS void no_op(State&, O) {}

/// Caches are coherent: these only translate, as a load does.
BATON_SEMANTICS Flow dcbst(State& s, O o) {
  return probe_load(s, detail::x_address(s, o)) ? Flow::kNext : Flow::kStop;
}
BATON_SEMANTICS Flow dcbf(State& s, O o) { return dcbst(s, o); }
/// Stores to code are seen by whoever writes them (Domain), not through icbi.
BATON_SEMANTICS Flow icbi(State& s, O o) { return dcbst(s, o); }
/// dcbz and dcbzl: 128 bytes, whatever bit 10.
BATON_SEMANTICS Flow dcbz(State& s, O o) {
  return zero_block(s, detail::x_address(s, o)) ? Flow::kNext : Flow::kStop;
}

/// Whatever changes a context leaves nothing to synchronise (next_if_fetched() in system.h).
BATON_SEMANTICS void isync(State&, O) {}
/// lwsync (L=1) asks for no more than x86 gives; the others order stores before later loads.
BATON_SEMANTICS void sync(State&, O o) {
  if ((o.a() & 3) == 1)
    std::atomic_signal_fence(std::memory_order_seq_cst);
  else
    std::atomic_thread_fence(std::memory_order_seq_cst);
}
BATON_SEMANTICS void eieio(State&, O) { std::atomic_signal_fence(std::memory_order_seq_cst); }

/// What a partition may not do in any state: cache-inhibited accesses, hrfid, nap, tlbie and so on.
BATON_SEMANTICS Flow hypervisor_only(State& s, O) { return privileged(s); }

}  // namespace baton::cpu::sem
