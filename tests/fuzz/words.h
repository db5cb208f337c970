// SPDX-License-Identifier: Apache-2.0
// Instruction words and register contents that reach far into the processor, and what executes them.
#pragma once

#include "cpu/engine/engine.h"
#include "tests/fuzz/random.h"

namespace baton::fuzz {

cpu::Engine random_engine(Random& random);
/// Bytes of compiled code for each thread: few, so that they also fill up.
inline constexpr u64 kCodeCache = 1 << 20;

/// A word: mostly an instruction of the table with random operands, sometimes anything.
u32 random_word(Random& random);
/// A register value: small, large, signed limits, MSR and SLB images, floating-point patterns.
u64 random_value(Random& random);
/// The bits of MSR that a partition may have.
u64 random_msr(Random& random);

}  // namespace baton::fuzz
