// SPDX-License-Identifier: Apache-2.0
// The table of stencils as the build makes it (make_table.cpp) from the object files of stencils.cpp.
#pragma once

#include <span>

#include "cpu/bits.h"

namespace baton::cpu::stencil {

enum class Hole : u8 {
#define HOLE(name, alignment, value) name,
#include "cpu/engine/stencil/holes.def"
  kCount
};

/// What a relocation's 32 bits become.
enum class Fill : u8 {
  kHole,    ///< The value of hole `index` plus the addend.
  kNext,    ///< Distance to what follows the hot part. Likewise the distance to:
  kTarget,  ///< where a branch within its run goes;
  kNative,  ///< a function of this program, by way of its thunk;
  kHot,     ///< the stencil's own hot part;
  kCold,    ///< its cold part;
  kPool,    ///< an item of the pool.
};

struct Relocation {
  u16 at;  ///< Offset in the hot part, or in the cold part behind it: hot_size + offset.
  Fill fill;
  u16 index;
  i32 addend;  ///< Distances are target + addend - place.
};

/// Machine code with holes. Hot and cold parts are placed apart; the hot part falls through to what follows
/// it.
struct Stencil {
  const char* name;
  const u8* bytes;  ///< Hot part, then cold part.
  u16 hot_size, cold_size;
  const Relocation* relocations;
  u16 relocation_count;
};

/// What stencils call or read that is neither in this program nor in themselves: constants and functions that
/// the compiler did not inline. Each code cache has a copy.
struct PoolItem {
  Stencil code;  ///< All of it hot; relocations are of the kinds kNative and kPool.
  u16 alignment;
};

/// Sorted by name.
std::span<const Stencil> table();
std::span<const PoolItem> pool();
std::span<const void* const> natives();
/// nullptr if there is none of that name.
const Stencil* find(const char* name);

}  // namespace baton::cpu::stencil
