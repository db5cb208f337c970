// SPDX-License-Identifier: Apache-2.0
// VMX: VSCR, the types of a vector register, and the part of the semantics that is too long or too rare to be
// inlined into every engine.
#pragma once

#include "cpu/state.h"

namespace baton::cpu {

/// VSCR bits (POWER6-ISA 2.5).
namespace vscr {
inline constexpr u32 NJ = 0x00010000,  ///< Denormals are zeros.
    SAT = 0x00000001;                  ///< An integer was saturated; sticky.
}  // namespace vscr

namespace vmx {

/// A register as 16 / sizeof(T) elements in host order: lane 0 is the *last* element of the ISA.
template <class T>
using Lanes = T __attribute__((vector_size(16)));
using Words = Lanes<u32>;
using Floats = Lanes<float>;

/// `result` with every NaN in it made what the ISA wants: the first operand of a, b, c that is a NaN, made
/// quiet, or else the default NaN. For fewer operands repeat one.
Floats settle_nans(Floats result, Floats a, Floats b, Floats c);

/// a * c + b of flushed operands, with zeros for what is smaller than any normal number *before* rounding.
/// `result` is what it gives when rounded.
Floats settle_tiny(Floats result, Floats a, Floats b, Floats c);

/// vexptefp and vlogefp, NaNs not settled. To the last place but one; whole results are exact.
Floats exp2_estimate(Floats b, bool denormals);
Floats log2_estimate(Floats b, bool denormals);

}  // namespace vmx
}  // namespace baton::cpu
