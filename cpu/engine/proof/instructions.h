// SPDX-License-Identifier: Apache-2.0
// The sample on which the three ways of compiling semantics (DESIGN 3) are proved: one list, three
// translation units.
#pragma once

#include <type_traits>

#include "cpu/semantics/branch.h"
#include "cpu/semantics/fixed_point.h"
#include "cpu/semantics/load_store.h"
#include "cpu/semantics/logical.h"
#include "cpu/semantics/rotate.h"

// SAMPLE(name, semantics in terms of O)
#define BATON_PROOF_SAMPLES(SAMPLE)            \
  SAMPLE(addi, (sem::addi<O>))                 \
  SAMPLE(add, (sem::add<O, false, false>))     \
  SAMPLE(add_rc, (sem::add<O, false, true>))   \
  SAMPLE(or_op, (sem::or_op<O, false>))        \
  SAMPLE(mulld, (sem::mulld<O, false, false>)) \
  SAMPLE(rlwinm, (sem::rlwinm<O, false>))      \
  SAMPLE(cmpi, (sem::cmpi<O>))                 \
  SAMPLE(bc, (sem::bc<O, false, false>))       \
  SAMPLE(lwz, (sem::lwz<O>))                   \
  SAMPLE(ld, (sem::ld<O>))                     \
  SAMPLE(stw, (sem::stw<O>))                   \
  SAMPLE(std, (sem::std<O>))

namespace baton::cpu::proof {

/// Calls semantics of either shape.
template <auto kSemantics, class O>
[[gnu::always_inline]] inline Flow perform(State& s, O o) {
  if constexpr (std::is_void_v<decltype(kSemantics(s, o))>) {
    kSemantics(s, o);
    return Flow::kNext;
  } else {
    return kSemantics(s, o);
  }
}

}  // namespace baton::cpu::proof
