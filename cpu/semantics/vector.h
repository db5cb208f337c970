// SPDX-License-Identifier: Apache-2.0
// VMX (POWER6-ISA 4.13), all of it.
//
// For the instruction table: the compares are `name<O, Rc>`, everything else `name<O>`. Operands are those of
// isa::operands(): VRT or VRS = a, VRA, UIM, SIM or RA = b, VRB or RB = c, VRC or SHB = d.
//
// State::vr holds a register as a 128-bit number, element 0 most significant: the reverse of storage. Seen as
// a host vector of any element size every element is a host number, lane 0 the ISA's last element; so
// arithmetic runs on the lanes as they are, and only storage access and what counts elements turns them
// round.
//
// Written for x86-64-v3. Masks and lane numbers come from constant pools. MSR[VEC] is asked first, by every
// instruction.
#pragma once

#include "cpu/semantics/vector_float.h"
#include "cpu/semantics/vector_integer.h"
#include "cpu/semantics/vector_permute.h"
#include "cpu/semantics/vector_storage.h"
