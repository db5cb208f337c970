// SPDX-License-Identifier: Apache-2.0
// Registers of a region go to State as they are written (registers.cpp). What is overwritten before anybody
// can see it need not: only ways out and functions that are called look at State.
#include <llvm/ADT/PostOrderIterator.h>
#include <llvm/IR/CFG.h>
#include <llvm/IR/Instructions.h>

#include <bitset>
#include <map>

#include "cpu/engine/llvm/translate.h"

namespace baton::cpu::llvm_engine {
namespace {

/// Those of State's bytes, from its first on, that are written before they are read.
using Overwritten = std::bitset<2048>;
static_assert(offsetof(State, cfar) + 8 <= 2048);

class Eraser {
 public:
  explicit Eraser(llvm::Function& f) : f_(f), s_(f.getArg(0)), layout_(f.getDataLayout()) {}

  void run() {
    // Successors first; what a loop goes back to is not known yet and counts as seeing everything.
    for (llvm::BasicBlock* block : llvm::post_order(&f_)) {
      Overwritten bytes;
      bool first = true;
      for (const llvm::BasicBlock* next : llvm::successors(block)) {
        const auto known = at_begin_.find(next);
        const Overwritten there = known == at_begin_.end() ? Overwritten{} : known->second;
        bytes = first ? there : bytes & there;
        first = false;
      }
      erase(*block, bytes);
      at_begin_[block] = bytes;
    }
  }

 private:
  /// `bytes` is what is known behind the block, then in front of it.
  void erase(llvm::BasicBlock& block, Overwritten& bytes) {
    for (llvm::Instruction& i : llvm::make_early_inc_range(llvm::reverse(block))) {
      if (auto* store = llvm::dyn_cast<llvm::StoreInst>(&i)) {
        Overwritten touched;
        if (!find(store->getPointerOperand(), store->getValueOperand()->getType(), touched) ||
            !store->isSimple())
          continue;
        if ((touched & ~bytes).none())
          store->eraseFromParent();
        else
          bytes |= touched;
      } else if (auto* load = llvm::dyn_cast<llvm::LoadInst>(&i)) {
        Overwritten touched;
        if (find(load->getPointerOperand(), load->getType(), touched)) bytes &= ~touched;
      } else if (i.mayReadFromMemory()) {
        bytes.reset();
      }
    }
  }

  /// False if it is not State that is accessed, or no part of it that is watched.
  bool find(llvm::Value* pointer, llvm::Type* type, Overwritten& touched) const {
    llvm::APInt distance(64, 0);
    if (pointer->stripAndAccumulateConstantOffsets(layout_, distance, true) != s_) return false;
    const u64 first = distance.getZExtValue(), size = layout_.getTypeStoreSize(type);
    // Other threads read the number of instructions.
    if (first + size > touched.size() || first == offsetof(State, instructions)) return false;
    for (u64 i = first; i < first + size; i++) touched.set(i);
    return true;
  }

  llvm::Function& f_;
  llvm::Argument* s_;
  const llvm::DataLayout& layout_;
  std::map<const llvm::BasicBlock*, Overwritten> at_begin_;
};

}  // namespace

void erase_dead_stores(llvm::Function& function) { Eraser(function).run(); }

}  // namespace baton::cpu::llvm_engine
