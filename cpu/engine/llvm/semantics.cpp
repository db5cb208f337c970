// SPDX-License-Identifier: Apache-2.0
// The semantics as LLVM bitcode: a function for each row of the instruction table that the problem state may
// execute, whose operands are arguments. They become constants where region.cpp has a call inlined.
#include <type_traits>

#include "cpu/semantics/branch.h"
#include "cpu/semantics/cache_sync.h"
#include "cpu/semantics/condition.h"
#include "cpu/semantics/fixed_point.h"
#include "cpu/semantics/floating_point.h"
#include "cpu/semantics/load_store.h"
#include "cpu/semantics/logical.h"
#include "cpu/semantics/rotate.h"
#include "cpu/semantics/system.h"
#include "cpu/semantics/vector.h"

namespace baton::cpu::llvm_engine {
namespace {

struct Arguments {
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

template <auto kSemantics>
[[gnu::always_inline]] inline Flow perform(State& s, auto o) {
  if constexpr (std::is_void_v<decltype(kSemantics(s, o))>) {
    kSemantics(s, o);
    return Flow::kNext;
  } else {
    return kSemantics(s, o);
  }
}

/// For the regions that State::deferred is for.
struct DeferringArguments : Arguments {};

}  // namespace
}  // namespace baton::cpu::llvm_engine

template <>
inline constexpr bool baton::cpu::sem::fp::kDefers<baton::cpu::llvm_engine::DeferringArguments> = true;

namespace baton::cpu::llvm_engine {

/// Whether bc, bclr or bcctr branches. Its row with BO "always" is what it does if it does.
extern "C" bool baton_taken(State& s, u32 a, u32 b, u32 c, u32 d, i64 imm, u64 cia) {
  return sem::detail::taken<sem::BranchKind::kAny>(s, Arguments{a, b, c, d, imm, cia});
}

#define ROW(id, semantics)                                                                 \
  extern "C" Flow baton_row_##id(State& s, u32 a, u32 b, u32 c, u32 d, i64 imm, u64 cia) { \
    return perform<semantics>(s, Arguments{a, b, c, d, imm, cia});                         \
  }

using O = Arguments;
#define INSN(id, mnemonic, form, mask, value, operands, imm, privilege, facility, semantics) \
  BATON_##privilege##_##facility(id, (semantics))
#define BATON_User_Base(id, semantics) ROW(id, semantics)
#define BATON_User_FP(id, semantics) ROW(id, semantics)
#define BATON_User_VMX(id, semantics) ROW(id, semantics)
#define BATON_User_DFP(id, semantics)
#define BATON_Privileged_Base(id, semantics)
#define BATON_Hypervisor_Base(id, semantics)
#include "cpu/isa/instructions.def"
#undef ROW
#undef BATON_User_Base
#undef BATON_User_FP
#undef BATON_User_VMX

namespace deferring {
using O = DeferringArguments;
#define ROW(id, semantics)                                                                           \
  extern "C" Flow baton_deferring_row_##id(State& s, u32 a, u32 b, u32 c, u32 d, i64 imm, u64 cia) { \
    return perform<semantics>(s, O{{a, b, c, d, imm, cia}});                                         \
  }
#define INSN(id, mnemonic, form, mask, value, operands, imm, privilege, facility, semantics) \
  BATON_##privilege##_##facility(id, (semantics))
#define BATON_User_Base(id, semantics)
#define BATON_User_FP(id, semantics) ROW(id, semantics)
#define BATON_User_VMX(id, semantics)
#include "cpu/isa/instructions.def"
}  // namespace deferring

}  // namespace baton::cpu::llvm_engine
