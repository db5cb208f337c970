// SPDX-License-Identifier: Apache-2.0
// The level of the architecture that a partition has: what processor compatibility modes take away
// (docs/compatibility-modes.md).
#pragma once

#include "cpu/isa/isa.h"

namespace baton::cpu::isa {

/// In order: each has what those before it have.
enum class Level : u8 {
  k204,     ///< ISA 2.04, POWER5+: neither vectors nor decimal.
  k205,     ///< ISA 2.05, what every POWER6 and later processor has.
  kPower6,  ///< Also what POWER6 alone has: mftgpr, mffgpr.
};

/// The first level that has the instruction.
Level level_of(const Row& row);

/// Who may execute an instruction of a later level than the partition's.
enum class Availability : u8 {
  kAlways,
  kSupervisor,  ///< Illegal in problem state.
  kNever,       ///< Illegal.
};
Availability availability(const Row& row, Level level);

}  // namespace baton::cpu::isa
