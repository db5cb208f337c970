// SPDX-License-Identifier: Apache-2.0
// The third way: LLVM bitcode. Operands are arguments, which become constants when a call is inlined into a
// region.
#include "cpu/engine/proof/instructions.h"

namespace baton::cpu::proof {

struct BitcodeOperands {
  u32 a_, b_, c_, d_;
  i64 imm_;
  u64 cia_;
  u32 a() const { return a_; }
  u32 b() const { return b_; }
  u32 c() const { return c_; }
  u32 d() const { return d_; }
  i64 imm() const { return imm_; }
  u64 cia(const State&) const { return cia_; }
};

using O = BitcodeOperands;
#define SAMPLE(name, semantics)                                                                  \
  extern "C" Flow baton_bitcode_##name(State& s, u32 a, u32 b, u32 c, u32 d, i64 imm, u64 cia) { \
    return perform<semantics>(s, O{a, b, c, d, imm, cia});                                       \
  }
BATON_PROOF_SAMPLES(SAMPLE)
#undef SAMPLE

}  // namespace baton::cpu::proof
