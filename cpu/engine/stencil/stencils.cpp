// SPDX-License-Identifier: Apache-2.0
// The semantics as relocatable code, which the build reads (make_table.cpp) and nothing links. Compiled once
// for each BATON_STENCIL_GROUP with -O2 -fno-pic -mcmodel=kernel and a section for each basic block: what the
// compiler wants the linker to fill in is what the block compiler fills in.
//
// Every stencil has the interpreter's calling convention, but the second argument is an Op only where a
// handler is entered: within compiled code the instruction is known from where the code lies, and the
// argument is the general register that was written last (forwards.def).
#include <array>
#include <string_view>
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
[[clang::preserve_none]] void baton_next(baton::cpu::State& s, const baton::cpu::Op* last);
/// Where a branch within its run goes.
[[clang::preserve_none]] void baton_target(baton::cpu::State& s, const baton::cpu::Op* last);
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

/// Operand texts of the rows, and which operand numbers the register that a row writes (forwards.def); here
/// rather than in the functions that read them, which the compiler would copy them into each time.
constexpr std::string_view kOperands[] = {
#define INSN(id, mnemonic, form, mask, value, operands, ...) operands,
#include "cpu/isa/instructions.def"
};
constexpr auto kResults = [] {
  std::array<char, isa::kRows> results{};
#define RESULT(row, field) results[static_cast<u64>(isa::Id::row)] = #field[0];
#define KEEPS(row)
#define FORWARD(...)
#include "cpu/engine/stencil/forwards.def"
  return results;
}();
consteval Scales scales_of(isa::Id id) { return scales(kOperands[static_cast<u64>(id)]); }

/// The register that `field` numbers.
template <char kField, class O>
[[gnu::always_inline]] inline u64& reg(State& s, O o) {
  static_assert(kField == 'a' || kField == 'b' || kField == 'c');
  return s.gpr[kField == 'a' ? o.a() : kField == 'b' ? o.b() : o.c()];
}

template <auto kSemantics, char kFrom = 0, class O>
[[gnu::always_inline]] inline Flow perform(State& s, O o, const Op* last = nullptr) {
  assume(s);
  if constexpr (kFrom != 0) {
    const u64 forwarded = reinterpret_cast<u64>(last), value = reg<kFrom>(s, o);
    __builtin_assume(value == forwarded);
  }
  if constexpr (std::is_void_v<decltype(kSemantics(s, o))>) {
    kSemantics(s, o);
    return Flow::kNext;
  } else {
    return kSemantics(s, o);
  }
}

/// What goes to the next instruction.
template <isa::Id kId, class O>
[[gnu::always_inline]] inline const Op* result(State& s, O o, const Op* last) {
  constexpr char kField = kResults[static_cast<u64>(kId)];
  if constexpr (kField == 0)
    return last;
  else
    return reinterpret_cast<const Op*>(reg<kField>(s, o));
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

#define ROW_STENCIL(name, row, fixed, from, semantics)                          \
  STENCIL_FUNCTION baton_stencil_##name(State& s, const Op* last) {             \
    using O = Operands<scales_of(isa::Id::row), fixed>;                         \
    const Flow flow = perform<semantics, from>(s, O{}, last);                   \
    if (flow == Flow::kBranch) {                                                \
      const Op* to = take_branch(s, here(s));                                   \
      if (!to) return;                                                          \
      MUSTTAIL to->fn.load(std::memory_order_relaxed)(s, to);                   \
    }                                                                           \
    if (__builtin_expect(flow == Flow::kStop, 0)) MUSTTAIL stop_at(s, here(s)); \
    MUSTTAIL baton_next(s, result<isa::Id::row>(s, O{}, last));                 \
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
#define BATON_User_Base(id, operands, semantics) ROW_STENCIL(id, id, Fixed{}, 0, semantics)
#elif BATON_STENCIL_GROUP == 1
#undef BATON_User_FP
#define BATON_User_FP(id, operands, semantics) ROW_STENCIL(id, id, Fixed{}, 0, semantics)
#elif BATON_STENCIL_GROUP == 2
#undef BATON_User_VMX
#define BATON_User_VMX(id, operands, semantics) ROW_STENCIL(id, id, Fixed{}, 0, semantics)
#endif
#include "cpu/isa/instructions.def"

#if BATON_STENCIL_GROUP == 3
/// Behind the last instruction of a run: whatever its Op says, compiled or not.
STENCIL_FUNCTION baton_stencil_go_on(State& s, const Op*) {
  const Op* to = op_at(s, BATON_HOLE_VALUE(target_op));
  MUSTTAIL to->fn.load(std::memory_order_relaxed)(s, to);
}

/// Where code is entered from elsewhere whose first instruction takes a forwarded register.
STENCIL_FUNCTION baton_stencil_enter(State& s, const Op*) {
  MUSTTAIL baton_target(s, reinterpret_cast<const Op*>(s.gpr[BATON_HOLE_VALUE(a8) / 8]));
}

// -- special cases

#define VARIANT(row, suffix, semantics, condition, ...) \
  ROW_STENCIL(row##__##suffix, row, (Fixed{__VA_ARGS__}), 0, semantics)
/// A conditional branch up to where it leaves for `to`.
#define TAKE_BRANCH(row, last, taken, link)        \
  using O = Operands<scales_of(isa::Id::row)>;     \
  [[maybe_unused]] const O o{};                    \
  if (!(taken)) MUSTTAIL baton_next(s, last);      \
  const u64 from = O{}.cia(s);                     \
  if constexpr (link) s.lr = sem::ea(s, from + 4); \
  const Op* to = take_branch_here(s, from)
// `__inside`: the target lies in the run.
#define BRANCH(row, suffix, condition, taken, link)                                      \
  STENCIL_FUNCTION baton_stencil_##row##__##suffix(State& s, const Op* last) {           \
    TAKE_BRANCH(row, last, taken, link);                                                 \
    GO_TO(to);                                                                           \
  }                                                                                      \
  STENCIL_FUNCTION baton_stencil_##row##__##suffix##__inside(State& s, const Op* last) { \
    TAKE_BRANCH(row, last, taken, link);                                                 \
    if (asked(s)) MUSTTAIL asked_at(s, to);                                              \
    MUSTTAIL baton_target(s, last);                                                      \
  }
#define FUSED_FROM(name, from, row, width_shift, value, truth)                     \
  STENCIL_FUNCTION baton_stencil_##name(State& s, const Op* last) {                \
    using O = Operands<scales_of(isa::Id::row), Fixed{.d = width_shift}>;          \
    perform<(sem::row<O>), from>(s, O{}, last);                                    \
    if (((s.cr[O{}.a()] & (value)) != 0) != (truth)) MUSTTAIL baton_next(s, last); \
    const Op* to = take_branch_here(s, O{}.cia(s));                                \
    GO_TO(to);                                                                     \
  }                                                                                \
  STENCIL_FUNCTION baton_stencil_##name##__inside(State& s, const Op* last) {      \
    using O = Operands<scales_of(isa::Id::row), Fixed{.d = width_shift}>;          \
    perform<(sem::row<O>), from>(s, O{}, last);                                    \
    if (((s.cr[O{}.a()] & (value)) != 0) != (truth)) MUSTTAIL baton_next(s, last); \
    const Op* to = take_branch_here(s, O{}.cia(s));                                \
    if (asked(s)) MUSTTAIL asked_at(s, to);                                        \
    MUSTTAIL baton_target(s, last);                                                \
  }
#define FUSED(row, width, width_shift, bit, value, suffix, truth)                  \
  FUSED_FROM(row##__##width##_##bit##_##suffix, 0, row, width_shift, value, truth) \
  FUSED_FROM(row##__##width##_##bit##_##suffix##__b, 'b', row, width_shift, value, truth)
#include "cpu/engine/stencil/variants.def"
#endif

#if BATON_STENCIL_GROUP == 4
namespace {
/// The semantics of a row by its number.
template <isa::Id kId, class O>
struct Row;
#undef BATON_User_Base
#define BATON_User_Base(id, operands, semantics)  \
  template <class O>                              \
  struct Row<isa::Id::id, O> {                    \
    static constexpr auto kSemantics = semantics; \
  };
#define INSN(id, mnemonic, form, mask, value, operands, imm, privilege, facility, semantics) \
  BATON_##privilege##_##facility(id, operands, semantics)
#include "cpu/isa/instructions.def"
}  // namespace

#define RESULT(row, field)
#define KEEPS(row)
#define FORWARD(row, field, suffix, condition, ...)                         \
  ROW_STENCIL(row##__##field##suffix, row, (Fixed{__VA_ARGS__}), #field[0], \
              (Row<isa::Id::row, O>::kSemantics))
#include "cpu/engine/stencil/forwards.def"
#endif

}  // namespace baton::cpu::stencil
