// SPDX-License-Identifier: Apache-2.0
// From a region to LLVM's intermediate code, and from that to machine code.
#pragma once

#include <llvm/IR/Module.h>

#include <array>
#include <memory>

#include "cpu/engine/llvm/region.h"
#include "cpu/fpu/fpu.h"

namespace baton::cpu::llvm_engine {

/// The semantics (semantics.cpp) as bitcode.
std::span<const char> bitcode();

/// The semantics of the instructions as LLVM's functions, of one thread. What is asked for is read once.
class Semantics {
 public:
  struct Row {
    llvm::Function* function = nullptr;
    bool always_goes_on = false;  ///< Returns Flow::kNext and nothing else.
  };
  Semantics();
  llvm::LLVMContext& context() { return context_; }
  llvm::Module& module() { return *module_; }
  /// Throws std::runtime_error if there is none.
  const Row& row(isa::Id id, bool defers);
  /// True if the function, of module(), has a body, which is then there.
  static bool define(llvm::Function& f);
  /// Whether bc, bclr or bcctr branches, as the rows are called.
  llvm::Function& taken() { return *module_->getFunction("baton_taken"); }

 private:
  llvm::LLVMContext context_;
  std::unique_ptr<llvm::Module> module_;
  std::array<Row, isa::kRows> rows_[2];
};

/// A module with one function, the region's handler, in which every register is an alloca. Throws
/// std::runtime_error if the region does what cannot be compiled.
std::unique_ptr<llvm::Module> translate(Semantics& semantics, const Region& region,
                                        std::span<const Native> natives);
/// What State is known to be where a region is entered: the bits of msr in `msr_mask`, XER[SO] clear.
struct AtEntry {
  u64 ea_mask, msr_mask, msr;
};
/// Makes registers of State, as far as the function uses them, local to it (registers.cpp).
void promote_registers(llvm::Function& function, const AtEntry& known);
/// Stands in the function where State::nia must be current, until promote_registers(). All else always is.
inline constexpr const char* kStoreNia = "baton_store_nia";

/// Stands in the function for LT, GT or EQ of a comparison (cpu/semantics/semantics.h), until
/// expand_conditions().
inline constexpr const char* kCondition = "baton_condition";
/// Has branches see the comparisons that their CR bits are of, and makes code of those (conditions.cpp).
void expand_conditions(llvm::Function& function);

/// Stand in the function where an access is looked up, until expand_look_ups(). (EA, bytes, Op) to the
/// addend.
inline constexpr const char* kLookUpRead = "baton_look_up_read";
inline constexpr const char* kLookUpWrite = "baton_look_up_write";
/// Makes code of the look-ups, one of those that it can show to be on one page (look_ups.cpp).
void expand_look_ups(llvm::Function& function, llvm::Constant* leave);

/// Erases what is written to State and overwritten before anybody can see it (dead_stores.cpp).
void erase_dead_stores(llvm::Function& function);

/// Throws std::runtime_error if there is none of that name.
const void* find_native(std::span<const Native> natives, llvm::StringRef name);
/// How the region is left (cpu/engine/interpreter.h), with FPSCR brought up to date if it leaves that open.
const void* handler(std::string_view name, const Region& region, std::span<const Native> natives);
llvm::Constant* address_of(const void* native, llvm::LLVMContext& context);

/// Optimises the module's function and assembles it.
std::vector<u8> emit(llvm::Module& module, const Region& region, std::span<const Native> natives);

}  // namespace baton::cpu::llvm_engine
