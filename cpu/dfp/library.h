// SPDX-License-Identifier: Apache-2.0
// Intel's decimal library (libintelrdfpmath) as the arithmetic sees it: its encoding, whose coefficient is a
// binary integer, and its operations by format.
//
// Debian's variant "000" keeps no state: operands, rounding mode and flags are arguments, so that threads do
// not meet. It leaves the control bits of MXCSR and of the x87 unit alone and counts on their defaults; it
// may set their sticky status, which no engine looks at across an instruction.
#pragma once

#include <bid_conf.h>
#include <bid_functions.h>

#include "cpu/dfp/format.h"

namespace baton::cpu::dfp {

/// The library's encoding of a number or an infinity; NaNs do not go there.
template <Format kF>
[[gnu::always_inline]] inline Bits<kF> pack(const NumberOf<kF>& n) {
  using B = Bits<kF>;
  constexpr int kWidth = kF.width(), kField = kWidth - 3 - kF.continuation;
  const B sign = static_cast<B>(n.negative) << (kWidth - 1);
  if (!n.finite()) [[unlikely]]
    return sign | B{0x1E} << (kWidth - 6);
  const B biased = static_cast<B>(static_cast<u32>(n.exponent + kF.bias)),
          coefficient = static_cast<B>(n.coefficient);
  // A coefficient with one bit more than its field begins with 100, and only what follows is stored.
  if (coefficient >> kField)
    return sign | B{3} << (kWidth - 3) | biased << (kField - 2) |
           (coefficient & ((B{1} << (kField - 2)) - 1));
  return sign | biased << kField | coefficient;
}

/// What the library gave. A NaN is the default one.
template <Format kF>
[[gnu::always_inline]] inline NumberOf<kF> unpack(Bits<kF> bits) {
  using B = Bits<kF>;
  constexpr int kWidth = kF.width(), kField = kWidth - 3 - kF.continuation;
  constexpr B kExponents = (B{4} << kF.continuation) - 1;
  NumberOf<kF> n{.negative = (bits >> (kWidth - 1)) != 0};
  if ((bits >> (kWidth - 3) & 3) != 3) [[likely]] {
    n.exponent = static_cast<int>(bits >> kField & kExponents) - kF.bias;
    n.coefficient = bits & ((B{1} << kField) - 1);
  } else if ((bits >> (kWidth - 5) & 3) != 3) {
    n.exponent = static_cast<int>(bits >> (kField - 2) & kExponents) - kF.bias;
    n.coefficient = (bits & ((B{1} << (kField - 2)) - 1)) | B{1} << kField;
  } else if (bits >> (kWidth - 6) & 1) {
    n = {.kind = Kind::kQuietNan};
  } else {
    n.kind = Kind::kInfinity;
  }
  return n;
}

namespace detail {

inline BID_UINT128 native(u128 v) { return std::bit_cast<BID_UINT128>(v); }
template <class T>
T native(T v) {
  return v;
}
inline u128 ours(BID_UINT128 v) { return std::bit_cast<u128>(v); }
inline u64 ours(BID_UINT64 v) { return v; }
inline u64 ours(BID_SINT64 v) { return static_cast<u64>(v); }
inline u32 ours(BID_UINT32 v) { return v; }
inline bool ours(int truth) { return truth; }

/// A function of the library, with our integers for its own.
template <auto kFunction>
struct Function {
  template <class... A>
  [[gnu::always_inline]] auto operator()(A... arguments) const {
    return ours(kFunction(native(arguments)...));
  }
};

}  // namespace detail

/// The operations on a format. Those that round take the library's rounding mode and, as all that can signal
/// do, a pointer to the library's flags, which they only set.
template <Format kF>
struct Library;

#define BATON_DFP_LIBRARY(format, width)                                          \
  template <>                                                                     \
  struct Library<format> {                                                        \
    static constexpr detail::Function<bid##width##_add> add{};                    \
    static constexpr detail::Function<bid##width##_sub> subtract{};               \
    static constexpr detail::Function<bid##width##_mul> multiply{};               \
    static constexpr detail::Function<bid##width##_div> divide{};                 \
    static constexpr detail::Function<bid##width##_fma> multiply_add{};           \
    static constexpr detail::Function<bid##width##_quantize> quantize{};          \
    static constexpr detail::Function<bid##width##_round_integral_exact> round{}; \
    static constexpr detail::Function<bid##width##_to_int64_xint> to_integer{};   \
    static constexpr detail::Function<bid##width##_quiet_less> less{};            \
    static constexpr detail::Function<bid##width##_quiet_less_equal> at_most{};   \
    static constexpr detail::Function<bid##width##_quiet_equal> equal{};          \
  }
BATON_DFP_LIBRARY(kLong, 64);
BATON_DFP_LIBRARY(kExtended, 128);
#undef BATON_DFP_LIBRARY

/// From a format to the next narrower.
template <Format kWide>
struct Narrowing;
template <>
struct Narrowing<kLong> {
  static constexpr Format kNarrow = kShort;
  static constexpr detail::Function<bid64_to_bid32> narrow{};
};
template <>
struct Narrowing<kExtended> {
  static constexpr Format kNarrow = kLong;
  static constexpr detail::Function<bid128_to_bid64> narrow{};
};

}  // namespace baton::cpu::dfp
