// SPDX-License-Identifier: Apache-2.0
// The second way: relocatable stencils. Compiled with -O2 -fno-pic -mcmodel=kernel -ffunction-sections, never
// linked: what the compiler wants the linker to fill in is what the block compiler fills in.
#include "cpu/engine/proof/instructions.h"

// Operands are addresses of symbols that do not exist. Under the kernel code model an address is a
// sign-extended 32-bit number, so a hole may hold a negative immediate. Weak, so that the compiler does not
// conclude that no two holes are equal and none is 0. The register holes are scaled: they hold 8 times the
// number, which their alignment tells the compiler, so that State::gpr[o.a()] becomes one displacement.
#define BATON_HOLE [[gnu::weak, gnu::visibility("hidden")]] extern char
extern "C" {
BATON_HOLE baton_hole_a8 alignas(8), baton_hole_b8 alignas(8), baton_hole_c8 alignas(8),
    baton_hole_d8 alignas(8);
BATON_HOLE baton_hole_imm, baton_hole_offset;
}

namespace baton::cpu::proof {

struct StencilOperands {
  static u64 scaled(const char& hole) { return reinterpret_cast<u64>(&hole) / 8; }
  u64 a() const { return scaled(baton_hole_a8); }
  u64 b() const { return scaled(baton_hole_b8); }
  u64 c() const { return scaled(baton_hole_c8); }
  u64 d() const { return scaled(baton_hole_d8); }
  i64 imm() const { return reinterpret_cast<i64>(&baton_hole_imm); }
  /// A 64-bit address does not fit a hole; its offset in the page does.
  u64 cia(const State& s) const { return s.page_ea + reinterpret_cast<u64>(&baton_hole_offset); }
};

extern "C" {
[[clang::preserve_none]] void baton_next(State& s);
[[clang::preserve_none]] void baton_branch(State& s);
[[clang::preserve_none]] void baton_stop(State& s);
}

using O = StencilOperands;
// The tail calls stand here and not in a helper: inlining would make ordinary calls of them.
#define SAMPLE(name, semantics)                                             \
  extern "C" [[clang::preserve_none]] void baton_stencil_##name(State& s) { \
    const Flow flow = perform<semantics>(s, O{});                           \
    if (flow == Flow::kBranch) [[clang::musttail]]                          \
      return baton_branch(s);                                               \
    if (__builtin_expect(flow == Flow::kStop, 0)) [[clang::musttail]]       \
      return baton_stop(s);                                                 \
    [[clang::musttail]] return baton_next(s);                               \
  }
BATON_PROOF_SAMPLES(SAMPLE)
#undef SAMPLE

}  // namespace baton::cpu::proof
