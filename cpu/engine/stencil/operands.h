// SPDX-License-Identifier: Apache-2.0
// Operands of a stencil in the form that semantics take (cpu/semantics/semantics.h): relocation holes.
#pragma once

#include <string_view>

#include "cpu/state.h"

// Holes are addresses of symbols that do not exist. Under the kernel code model an address is a sign-extended
// 32-bit number, so that a hole may hold a negative immediate. Weak, so that the compiler does not conclude
// that no two holes are equal and none is 0.
extern "C" {
#define HOLE(name, alignment, value) \
  [[gnu::weak, gnu::visibility("hidden")]] extern char baton_hole_##name alignas(alignment);
#include "cpu/engine/stencil/holes.def"
}

namespace baton::cpu::stencil {

#define BATON_HOLE_VALUE(name) reinterpret_cast<i64>(&baton_hole_##name)

/// Sizes in State of what the operand fields a to d number; 1 for what is no register.
struct Scales {
  u8 a = 1, b = 1, c = 1, d = 1;
};

/// From the operands of a table row (cpu/isa/instructions.def).
consteval Scales scales(std::string_view operands) {
  const auto of = [&](std::string_view bits) -> u8 {
    const auto at = operands.find(bits);
    if (at == std::string_view::npos) return 1;
    std::string_view kind = operands.substr(0, at);
    if (const auto space = kind.rfind(' '); space != std::string_view::npos) kind.remove_prefix(space + 1);
    return kind == "VR" ? 16 : kind == "GPR" || kind == "GPR|0" || kind == "FPR" ? 8 : 1;
  };
  return {of("[6:10]"), of("[11:15]"), of("[16:20]"), of("[21:25]")};
}

/// Operands that a variant of a stencil knows: -1 are holes. `c_is_a`: the two are the same.
struct Fixed {
  i64 a = -1, b = -1, c = -1, d = -1, imm = -1;
  bool c_is_a = false;
};

#define BATON_FIELD(name)                                        \
  u64 name() const {                                             \
    if constexpr (kFixed.name >= 0)                              \
      return kFixed.name;                                        \
    else if constexpr (kScales.name == 16)                       \
      return reinterpret_cast<u64>(&baton_hole_##name##16) / 16; \
    else if constexpr (kScales.name == 8)                        \
      return reinterpret_cast<u64>(&baton_hole_##name##8) / 8;   \
    else                                                         \
      return reinterpret_cast<u64>(&baton_hole_##name##1);       \
  }

template <Scales kScales, Fixed kFixed = Fixed{}>
struct Operands {
  BATON_FIELD(a)
  BATON_FIELD(b)
  BATON_FIELD(d)
  u64 c() const {
    if constexpr (kFixed.c_is_a)
      return a();
    else
      return number_c();
  }
  i64 imm() const {
    if constexpr (kFixed.imm >= 0)
      return kFixed.imm;
    else
      return BATON_HOLE_VALUE(imm);
  }
  /// A 64-bit address does not fit a hole; its offset in the page does.
  u64 cia(const State& s) const { return s.page_ea + static_cast<u64>(BATON_HOLE_VALUE(offset)); }

 private:
  u64 number_c() const {
    if constexpr (kFixed.c >= 0)
      return kFixed.c;
    else if constexpr (kScales.c == 16)
      return reinterpret_cast<u64>(&baton_hole_c16) / 16;
    else if constexpr (kScales.c == 8)
      return reinterpret_cast<u64>(&baton_hole_c8) / 8;
    else
      return reinterpret_cast<u64>(&baton_hole_c1);
  }
};

}  // namespace baton::cpu::stencil
