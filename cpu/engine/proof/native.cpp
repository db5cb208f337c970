// SPDX-License-Identifier: Apache-2.0
#include "cpu/engine/proof/native.h"

#include "cpu/engine/proof/instructions.h"

namespace baton::cpu::proof {
namespace {
using O = InterpreterOperands;
#define SAMPLE(name, semantics) \
  Flow native_##name(State& s, const Op* op) { return perform<semantics>(s, O{op}); }
BATON_PROOF_SAMPLES(SAMPLE)
#undef SAMPLE
}  // namespace

const NativeSample kNativeSamples[] = {
#define SAMPLE(name, semantics) {#name, native_##name},
    BATON_PROOF_SAMPLES(SAMPLE)
#undef SAMPLE
        {nullptr, nullptr}};

}  // namespace baton::cpu::proof
