// SPDX-License-Identifier: Apache-2.0
// From a region to LLVM's intermediate code, and from that to machine code.
#pragma once

#include <llvm/IR/Module.h>

#include <memory>

#include "cpu/engine/llvm/region.h"

namespace baton::cpu::llvm_engine {

/// The semantics (semantics.cpp) as bitcode.
std::span<const char> bitcode();

/// A module with one function, the region's handler, in which every register is an alloca. Throws
/// std::runtime_error if the region does what cannot be compiled.
std::unique_ptr<llvm::Module> translate(llvm::LLVMContext& context, const Region& region,
                                        std::span<const Native> natives);
/// Makes registers of State, as far as the function uses them, local to it (registers.cpp).
void promote_registers(llvm::Function& function);
/// Stands in the function where State must be current, until promote_registers().
inline constexpr const char* kFlush = "baton_flush";

/// Optimises the module's function and assembles it.
std::vector<u8> emit(llvm::Module& module, std::span<const Native> natives);

}  // namespace baton::cpu::llvm_engine
