// SPDX-License-Identifier: Apache-2.0
// Special-purpose registers: one row each (POWER6-ISA 5).
#pragma once

#include <span>
#include <string_view>

#include "cpu/state.h"

namespace baton::cpu {

/// Who may do what; an absent right of a defined SPR gives the privileged (or illegal) program interrupt.
enum SprAccess : u8 { kUserRead = 1, kUserWrite = 2, kPrivilegedRead = 4, kPrivilegedWrite = 8 };

struct SprRow {
  u16 number;
  std::string_view name;
  u8 access;  ///< SprAccess bits; 0 = hypervisor resource
  u64 (*read)(State&);
  void (*write)(State&, u64);
};

std::span<const SprRow> spr_table();
/// mfspr and mtspr: false with the program interrupt recorded.
bool read_spr(State& s, u32 number, u64& value);
bool write_spr(State& s, u32 number, u64 value);

}  // namespace baton::cpu
