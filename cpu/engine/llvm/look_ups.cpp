// SPDX-License-Identifier: Apache-2.0
// Storage accesses of a region: one look-up for what lies together.
//
// A look-aside entry that the thread found stays valid for it until its next safepoint, which is outside the
// region, as long as nothing in between fills the look-aside; whoever takes the translation away waits for
// that safepoint (Domain::forget_translation). So one look-up serves all accesses behind it, loops included,
// whose addresses are that of the first plus a constant, if all of them lie on one page. Where they do not,
// or the look-aside has no answer, the region is left, and the instruction that comes first is the
// interpreter's.
#include <llvm/ADT/DepthFirstIterator.h>
#include <llvm/IR/Dominators.h>
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/IntrinsicInst.h>
#include <llvm/IR/MDBuilder.h>

#include <algorithm>
#include <map>
#include <stdexcept>

#include "cpu/engine/llvm/translate.h"

namespace baton::cpu::llvm_engine {
namespace {

struct LookUp {
  llvm::CallInst* call;
  llvm::BasicBlock* block;
  u32 stretch;  ///< Of the block, which begins behind a call that may fill the look-aside.
  llvm::Value* base;
  i64 first, last;  ///< Bytes, relative to the base.
  bool write;
};

/// What one look-up in the code answers.
struct Answer {
  llvm::BasicBlock* block;
  u32 stretch;
  i64 first, last;
  bool read, write;
  llvm::Value* addend;
};

/// The more bytes are looked up together, the more often they lie on two pages.
constexpr i64 kMostBytes = 256;
/// Parts of the symbols of functions that leave the look-aside alone.
constexpr const char* kFillNothing[] = {"3fpu", "3vmx"};

class Expander {
 public:
  Expander(llvm::Function& f, llvm::Constant* leave)
      : f_(f),
        b_(f.getContext()),
        leave_(leave),
        unlikely_(llvm::MDBuilder(f.getContext()).createBranchWeights(1, 2000)) {}

  void run() {
    find();
    if (look_ups_.empty()) return;
    llvm::IRBuilder<> entry(&*f_.getEntryBlock().getFirstNonPHIOrDbgOrAlloca());
    auto* table_at = entry.CreateConstInBoundsGEP1_64(b_.getInt8Ty(), f_.getArg(0), offsetof(State, dtlb));
    table_ = entry.CreateAlignedLoad(b_.getPtrTy(), table_at, llvm::Align(8));
    // The tree is of the blocks as they are now; of a block that is split it means the first part.
    const llvm::DominatorTree tree(f_);
    dominators_ = &tree;
    std::map<llvm::BasicBlock*, std::vector<LookUp*>> by_block;
    for (LookUp& of : look_ups_) by_block[of.block].push_back(&of);
    for (const auto* node : llvm::depth_first(tree.getRootNode()))
      if (const auto it = by_block.find(node->getBlock()); it != by_block.end())
        for (LookUp* of : it->second) answer(*of);
  }

 private:
  void find() {
    for (llvm::BasicBlock& block : f_) {
      u32 stretch = 0;
      for (llvm::Instruction& i : block) {
        auto* call = llvm::dyn_cast<llvm::CallInst>(&i);
        if (!call || call->isMustTailCall() || llvm::isa<llvm::IntrinsicInst>(call)) continue;
        const auto* to = call->getCalledFunction();
        if (to && to->getName() == kLookUpRead) {
          note(call, stretch, false);
        } else if (to && to->getName() == kLookUpWrite) {
          note(call, stretch, true);
        } else if (!to || std::ranges::none_of(
                              kFillNothing, [&](const char* part) { return to->getName().contains(part); })) {
          filled_ = true;
          stretch++;
        }
      }
    }
  }

  void note(llvm::CallInst* call, u32 stretch, bool write) {
    LookUp of{call, call->getParent(), stretch, call->getArgOperand(0), 0, 0, write};
    const auto* size = llvm::dyn_cast<llvm::ConstantInt>(call->getArgOperand(1));
    if (!size) throw std::runtime_error("an access whose size is computed");
    for (;;) {
      auto* sum = llvm::dyn_cast<llvm::BinaryOperator>(of.base);
      if (!sum || sum->getOpcode() != llvm::Instruction::Add) break;
      const auto* distance = llvm::dyn_cast<llvm::ConstantInt>(sum->getOperand(1));
      if (!distance) break;
      of.first += distance->getSExtValue();
      of.base = sum->getOperand(0);
    }
    of.last = of.first + static_cast<i64>(size->getZExtValue()) - 1;
    look_ups_.push_back(of);
  }

  /// True if a look-up at the first place is good at the second, which is executed later in the order of
  /// run().
  template <class Place>
  bool holds(const Place& there, const LookUp& here) const {
    if (there.block == here.block) return there.stretch == here.stretch;
    return !filled_ && dominators_->dominates(there.block, here.block);
  }

  void answer(LookUp& of) {
    std::vector<Answer>& answers = answers_[of.base];
    const auto known = std::ranges::find_if(answers, [&](const Answer& a) {
      return holds(a, of) && of.first >= a.first && of.last <= a.last && (of.write ? a.write : a.read);
    });
    llvm::Value* addend = known != answers.end() ? known->addend : nullptr;
    if (!addend) {
      Answer all{of.block, of.stretch, of.first, of.last, !of.write, of.write, nullptr};
      // All that follows in the block, and what else is served by the same tags.
      for (const bool in_block : {true, false})
        for (const LookUp& other : look_ups_) {
          if (!other.call || other.base != of.base || !holds(of, other)) continue;
          if (in_block != (other.block == of.block)) continue;
          if (!in_block && !(other.write ? all.write : all.read)) continue;
          const i64 first = std::min(all.first, other.first), last = std::max(all.last, other.last);
          if (last - first >= kMostBytes) continue;
          all.first = first, all.last = last;
          (other.write ? all.write : all.read) = true;
        }
      addend = all.addend = expand(of, all);
      answers.push_back(all);
    }
    of.call->replaceAllUsesWith(addend);
    of.call->eraseFromParent();
    of.call = nullptr;
  }

  /// Code in front of the call of `of`, which becomes a block of its own; returns the addend there.
  llvm::Value* expand(const LookUp& of, const Answer& all) {
    llvm::BasicBlock* before = of.call->getParent();
    llvm::Value* op = of.call->getArgOperand(2);
    llvm::BasicBlock* hit = before->splitBasicBlock(of.call, "hit");
    before->getTerminator()->eraseFromParent();
    b_.SetInsertPoint(before);
    const auto ea = [&](i64 distance) {
      return distance ? b_.CreateAdd(of.base, b_.getInt64(static_cast<u64>(distance))) : of.base;
    };
    constexpr u64 kMask = (kTlbEntries - 1) * sizeof(TlbEntry);
    static_assert(sizeof(TlbEntry) == 32);
    llvm::Value* slot = b_.CreateAnd(b_.CreateLShr(ea(all.first), b_.getInt64(7)), b_.getInt64(kMask));
    // Each address by itself, so that none has to be computed where it can be part of the instruction.
    const auto field = [&](u64 offset) {
      return b_.CreateInBoundsGEP(b_.getInt8Ty(), table_, b_.CreateAdd(slot, b_.getInt64(offset)));
    };
    // The page of the last byte has another slot if it is another page.
    llvm::Value* page = b_.CreateLShr(ea(all.last), b_.getInt64(kFrameShift));
    const auto differs = [&](u64 offset) {
      // A plain load, which a comparison takes in: behind the optimiser nothing takes it apart.
      return b_.CreateICmpNE(b_.CreateAlignedLoad(b_.getInt64Ty(), field(offset), llvm::Align(8)), page);
    };
    if (all.read && all.write) {
      auto* writes = llvm::BasicBlock::Create(f_.getContext(), "writes", &f_, hit);
      leave_if(differs(offsetof(TlbEntry, read_tag)), op, writes);
      b_.SetInsertPoint(writes);
    }
    leave_if(differs(all.write ? offsetof(TlbEntry, write_tag) : offsetof(TlbEntry, read_tag)), op, hit);
    b_.SetInsertPoint(of.call);
    return b_.CreateAlignedLoad(b_.getInt64Ty(), field(offsetof(TlbEntry, addend)), llvm::Align(8));
  }

  /// Ends the block.
  void leave_if(llvm::Value* condition, llvm::Value* op, llvm::BasicBlock* otherwise) {
    llvm::BasicBlock* here = b_.GetInsertBlock();
    if (!out_) {
      out_ = llvm::BasicBlock::Create(f_.getContext(), "miss", &f_);
      b_.SetInsertPoint(out_);
      op_ = b_.CreatePHI(b_.getPtrTy(), 8);
      auto* call = b_.CreateCall(f_.getFunctionType(), leave_, {f_.getArg(0), op_});
      call->setCallingConv(f_.getCallingConv());
      call->setTailCallKind(llvm::CallInst::TCK_MustTail);
      b_.CreateRetVoid();
      b_.SetInsertPoint(here);
    }
    op_->addIncoming(op, here);
    b_.CreateCondBr(condition, out_, otherwise, unlikely_);
  }

  llvm::Function& f_;
  llvm::IRBuilder<> b_;
  llvm::Constant* leave_;
  llvm::MDNode* unlikely_;
  llvm::Value* table_ = nullptr;
  llvm::BasicBlock* out_ = nullptr;
  llvm::PHINode* op_ = nullptr;
  const llvm::DominatorTree* dominators_ = nullptr;
  bool filled_ = false;  ///< Something in the region may fill the look-aside.
  std::vector<LookUp> look_ups_;
  std::map<llvm::Value*, std::vector<Answer>> answers_;
};

}  // namespace

void expand_look_ups(llvm::Function& function, llvm::Constant* leave) { Expander(function, leave).run(); }

}  // namespace baton::cpu::llvm_engine
