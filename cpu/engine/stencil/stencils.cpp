// SPDX-License-Identifier: Apache-2.0
// The semantics as relocatable code, which the build reads (make_table.cpp) and nothing links. Compiled once
// for each BATON_STENCIL_GROUP with -O2 -fno-pic -mcmodel=kernel and a section for each basic block: what the
// compiler wants the linker to fill in is what the block compiler fills in.
//
// Every stencil has the interpreter's calling convention, but `op` is only set where a handler is entered:
// within compiled code the instruction is known from where the code lies.
#include <type_traits>

#include "cpu/engine/interpreter.h"
#include "cpu/engine/stencil/operands.h"
#include "cpu/isa/isa.h"
#include "cpu/semantics/branch.h"
#include "cpu/semantics/cache_sync.h"
#include "cpu/semantics/condition.h"
#include "cpu/semantics/fixed_point.h"
#include "cpu/semantics/floating_point.h"
#include "cpu/semantics/load_store.h"
#include "cpu/semantics/logical.h"
#include "cpu/semantics/priority.h"
#include "cpu/semantics/rotate.h"
#include "cpu/semantics/system.h"
#include "cpu/semantics/vector.h"

#define STENCIL_FUNCTION extern "C" [[clang::preserve_none]] void
#define MUSTTAIL [[clang::musttail]] return

extern "C" {
/// What lies behind this stencil.
[[clang::preserve_none]] void baton_next(baton::cpu::State& s, const baton::cpu::Op* op);
}

namespace baton::cpu::stencil {
namespace {

[[gnu::always_inline]] inline const Op* op_at(const State& s, i64 bytes) {
  return reinterpret_cast<const Op*>(reinterpret_cast<const char*>(s.page_ops) + bytes);
}
/// The Op of this instruction.
[[gnu::always_inline]] inline const Op* here(const State& s) { return op_at(s, BATON_HOLE_VALUE(op)); }

/// Facts about State that the compiler cannot know.
[[gnu::always_inline]] inline void assume(const State& s) {
  const u8 so = s.xer_so;
  __builtin_assume(so <= 1);
}

template <auto kSemantics, class O>
[[gnu::always_inline]] inline Flow perform(State& s, O o) {
  assume(s);
  if constexpr (std::is_void_v<decltype(kSemantics(s, o))>) {
    kSemantics(s, o);
    return Flow::kNext;
  } else {
    return kSemantics(s, o);
  }
}

/// A branch to an instruction of the same page: State::instructions is kept such that adding the distance
/// from State::run_start still gives the count.
[[gnu::always_inline, maybe_unused]] inline const Op* take_branch_here(State& s, u64 from) {
  s.cfar = from;
  s.instructions.store(
      s.instructions.load(std::memory_order_relaxed) + static_cast<u64>(BATON_HOLE_VALUE(count)),
      std::memory_order_relaxed);
  return op_at(s, BATON_HOLE_VALUE(target_op));
}
[[gnu::always_inline, maybe_unused]] inline bool asked(const State& s) {
  return __builtin_expect(s.pending.load(std::memory_order_relaxed) != 0, 0);
}

}  // namespace

// The tail calls stand in macros: inlining would make ordinary calls of those in a function.
#define GO_TO(to)                         \
  if (asked(s)) MUSTTAIL asked_at(s, to); \
  MUSTTAIL(to)->fn.load(std::memory_order_relaxed)(s, to)

#define ROW_STENCIL(name, operands, fixed, semantics)                           \
  STENCIL_FUNCTION baton_stencil_##name(State& s, const Op* op) {               \
    using O = Operands<scales(operands), fixed>;                                \
    const Flow flow = perform<semantics>(s, O{});                               \
    if (flow == Flow::kBranch) {                                                \
      const Op* to = take_branch(s, here(s));                                   \
      if (!to) return;                                                          \
      MUSTTAIL to->fn.load(std::memory_order_relaxed)(s, to);                   \
    }                                                                           \
    if (__builtin_expect(flow == Flow::kStop, 0)) MUSTTAIL stop_at(s, here(s)); \
    MUSTTAIL baton_next(s, op);                                                 \
  }

// -- every row that the problem state may execute and that does not leave most of its work to a function

#define INSN(id, mnemonic, form, mask, value, operands, imm, privilege, facility, semantics) \
  BATON_##privilege##_##facility(id, operands, semantics)
#define BATON_User_Base(id, operands, semantics)
#define BATON_User_FP(id, operands, semantics)
#define BATON_User_VMX(id, operands, semantics)
#define BATON_User_DFP(id, operands, semantics)
#define BATON_Privileged_Base(id, operands, semantics)
#define BATON_Hypervisor_Base(id, operands, semantics)

#if BATON_STENCIL_GROUP == 0
#undef BATON_User_Base
#define BATON_User_Base(id, operands, semantics) ROW_STENCIL(id, operands, Fixed{}, semantics)
#elif BATON_STENCIL_GROUP == 1
#undef BATON_User_FP
#define BATON_User_FP(id, operands, semantics) ROW_STENCIL(id, operands, Fixed{}, semantics)
#elif BATON_STENCIL_GROUP == 2
#undef BATON_User_VMX
#define BATON_User_VMX(id, operands, semantics) ROW_STENCIL(id, operands, Fixed{}, semantics)
#endif
#include "cpu/isa/instructions.def"

#if BATON_STENCIL_GROUP == 3
/// Behind the last instruction of a run: whatever its Op says, compiled or not.
STENCIL_FUNCTION baton_stencil_go_on(State& s, const Op*) {
  const Op* to = op_at(s, BATON_HOLE_VALUE(target_op));
  MUSTTAIL to->fn.load(std::memory_order_relaxed)(s, to);
}

// -- special cases

namespace {
/// Operand text of a row.
consteval std::string_view text(isa::Id id) {
  constexpr std::string_view kText[] = {
#define INSN(id, mnemonic, form, mask, value, operands, ...) operands,
#include "cpu/isa/instructions.def"
  };
  return kText[static_cast<u64>(id)];
}
}  // namespace

#define VARIANT(row, suffix, semantics, condition, ...) \
  ROW_STENCIL(row##__##suffix, text(isa::Id::row), (Fixed{__VA_ARGS__}), semantics)
#define BRANCH(row, suffix, condition, taken, link)                          \
  STENCIL_FUNCTION baton_stencil_##row##__##suffix(State& s, const Op* op) { \
    using O = Operands<scales(text(isa::Id::row))>;                          \
    [[maybe_unused]] const O o{};                                            \
    if (!(taken)) MUSTTAIL baton_next(s, op);                                \
    const u64 from = O{}.cia(s);                                             \
    if constexpr (link) s.lr = sem::ea(s, from + 4);                         \
    const Op* to = take_branch_here(s, from);                                \
    GO_TO(to);                                                               \
  }
#define FUSED(row, width, width_shift, bit, value, suffix, truth)                              \
  STENCIL_FUNCTION baton_stencil_##row##__##width##_##bit##_##suffix(State& s, const Op* op) { \
    using O = Operands<scales(text(isa::Id::row)), Fixed{.d = width_shift}>;                   \
    perform<(sem::row<O>)>(s, O{});                                                            \
    if (((s.cr[O{}.a()] & (value)) != 0) != (truth)) MUSTTAIL baton_next(s, op);               \
    const Op* to = take_branch_here(s, O{}.cia(s));                                            \
    GO_TO(to);                                                                                 \
  }
#include "cpu/engine/stencil/variants.def"
#endif

}  // namespace baton::cpu::stencil
