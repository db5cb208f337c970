// SPDX-License-Identifier: Apache-2.0
// Instruction words and register contents that reach far into the processor, and what executes them.
#pragma once

#include "cpu/engine/engine.h"
#include "tests/fuzz/random.h"

namespace baton::fuzz {

/// Any engine, with little room for what it compiles, so that it also fills up. Regions are compiled at once.
cpu::EngineOptions random_engine(Random& random);

/// A word: mostly an instruction of the table with random operands, sometimes anything.
u32 random_word(Random& random);
/// A register value: small, large, signed limits, MSR and SLB images, floating-point patterns.
u64 random_value(Random& random);
/// The bits of MSR that a partition may have.
u64 random_msr(Random& random);

}  // namespace baton::fuzz
