// SPDX-License-Identifier: Apache-2.0
// Comparisons of a region. What one writes into a CR field is a call (semantics.h, condition_of) until here,
// so that a branch that tests a bit of it takes the comparison itself; only the field is left to be computed
// from the comparison, and nothing waits for it.
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/InstIterator.h>

#include <vector>

#include "cpu/engine/llvm/translate.h"

namespace baton::cpu::llvm_engine {
namespace {

class Expander {
 public:
  explicit Expander(llvm::Function& f) : f_(f), b_(f.getContext()) {}

  void run() {
    std::vector<llvm::BinaryOperator*> tests;
    for (llvm::Instruction& i : llvm::instructions(f_)) {
      if (auto* call = llvm::dyn_cast<llvm::CallInst>(&i)) {
        if (const auto* to = call->getCalledFunction(); to && to->getName() == kCondition)
          conditions_.push_back(call);
      } else if (i.getOpcode() == llvm::Instruction::And) {
        tests.push_back(llvm::cast<llvm::BinaryOperator>(&i));
      }
    }
    for (llvm::BinaryOperator* test : tests) {
      const auto* mask = llvm::dyn_cast<llvm::ConstantInt>(test->getOperand(1));
      if (!mask || !mask->getValue().isPowerOf2()) continue;
      b_.SetInsertPoint(test);
      found_ = false;
      llvm::Value* bit = bit_of(test->getOperand(0), mask->getValue().countr_zero(), 0);
      if (!bit || !found_) continue;
      test->replaceAllUsesWith(
          b_.CreateSelect(bit, test->getOperand(1), llvm::Constant::getNullValue(test->getType())));
      test->eraseFromParent();
    }
    for (llvm::CallInst* call : conditions_) {
      b_.SetInsertPoint(call);
      auto* not_less = b_.CreateSelect(call->getArgOperand(1), b_.getInt8(4), b_.getInt8(2));
      call->replaceAllUsesWith(b_.CreateSelect(call->getArgOperand(0), b_.getInt8(8), not_less));
      call->eraseFromParent();
    }
  }

 private:
  /// A bit of a value that is put together from conditions and constants; nullptr if it is something else.
  llvm::Value* bit_of(llvm::Value* value, unsigned bit, unsigned depth) {
    constexpr unsigned kDeepest = 6;
    if (depth == kDeepest) return nullptr;
    if (bit >= value->getType()->getIntegerBitWidth()) return b_.getFalse();
    if (const auto* constant = llvm::dyn_cast<llvm::ConstantInt>(value))
      return b_.getInt1(constant->getValue()[bit]);
    if (llvm::isa<llvm::ZExtInst, llvm::TruncInst>(value))
      return bit_of(llvm::cast<llvm::CastInst>(value)->getOperand(0), bit, depth + 1);
    if (auto* call = llvm::dyn_cast<llvm::CallInst>(value)) {
      const auto* to = call->getCalledFunction();
      if (!to || to->getName() != kCondition) return nullptr;
      found_ = true;
      llvm::Value *less = call->getArgOperand(0), *greater = call->getArgOperand(1);
      if (bit == 3) return less;
      if (bit == 2) return greater;
      return bit == 1 ? b_.CreateNot(b_.CreateOr(less, greater)) : b_.getFalse();
    }
    auto* both = llvm::dyn_cast<llvm::BinaryOperator>(value);
    if (!both || (both->getOpcode() != llvm::Instruction::Or && both->getOpcode() != llvm::Instruction::And))
      return nullptr;
    const bool any = both->getOpcode() == llvm::Instruction::Or;
    llvm::Value* right = bit_of(both->getOperand(1), bit, depth + 1);
    if (!any && right == b_.getFalse()) return right;
    llvm::Value* left = right ? bit_of(both->getOperand(0), bit, depth + 1) : nullptr;
    if (!left) return nullptr;
    return any ? b_.CreateOr(left, right) : b_.CreateAnd(left, right);
  }

  llvm::Function& f_;
  llvm::IRBuilder<> b_;
  std::vector<llvm::CallInst*> conditions_;
  bool found_ = false;  ///< bit_of() came to a condition.
};

}  // namespace

void expand_conditions(llvm::Function& function) { Expander(function).run(); }

}  // namespace baton::cpu::llvm_engine
