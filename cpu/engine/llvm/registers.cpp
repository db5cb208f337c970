// SPDX-License-Identifier: Apache-2.0
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/IntrinsicInst.h>
#include <llvm/Support/raw_ostream.h>

#include <map>
#include <set>
#include <stdexcept>

#include "cpu/engine/llvm/translate.h"

namespace baton::cpu::llvm_engine {
namespace {

/// Registers of State that have local variables: where they begin, how many, how large each. What is written
/// is written to State too, so that every way out finds it there and need not have it ready; all but NIA,
/// which only a branch on its way out says.
struct Bank {
  u64 offset, count, size;
  bool flag = false;  ///< 0 or 1.
};
constexpr Bank kBanks[] = {
    {offsetof(State, gpr), 33, 8},         {offsetof(State, nia), 1, 8},
    {offsetof(State, lr), 1, 8},           {offsetof(State, ctr), 1, 8},
    {offsetof(State, msr), 1, 8},          {offsetof(State, ea_mask), 1, 8},
    {offsetof(State, cr), 8, 1},           {offsetof(State, xer_so), 1, 1, true},
    {offsetof(State, xer_ov), 1, 1, true}, {offsetof(State, xer_ca), 1, 1, true},
    {offsetof(State, xer_count), 1, 1},    {offsetof(State, dtlb), 1, 8},
    {offsetof(State, itlb), 1, 8},         {offsetof(State, fpr), 32, 8},
    {offsetof(State, fpscr), 1, 8},        {offsetof(State, vr), 32, 16},
    {offsetof(State, vscr), 1, 4},
};

struct Cell {
  u64 offset, size;
  bool flag;
};
bool find_cell(u64 offset, Cell& cell) {
  for (const Bank& bank : kBanks) {
    if (offset < bank.offset || offset >= bank.offset + bank.count * bank.size) continue;
    cell = {bank.offset + (offset - bank.offset) / bank.size * bank.size, bank.size, bank.flag};
    return true;
  }
  return false;
}

/// What a function of Baton does with registers.
struct Contract {
  const char* part;  ///< Of its symbol.
  bool fpscr;        ///< Reads and writes FPSCR.
  int fpr;           ///< The argument that is the number of an FPR that it writes, or -1.
  int crf;           ///< The argument that is the number of a CR field that it writes, or -1.
};
constexpr Contract kContracts[] = {
    {"10probe_loadE", false, -1, -1},         {"10zero_blockE", false, -1, -1},
    {"3fpu10arithmeticE", true, 2, -1},       {"3fpu20arithmetic_deferringE", true, 2, -1},
    {"3fpu15settle_deferredE", true, -1, -1}, {"3fpu10to_integerE", true, 3, -1},
    {"3fpu11to_integralE", true, 2, -1},      {"3fpu17compare_unorderedE", true, -1, 2},
};

class Promoter {
 public:
  Promoter(llvm::Function& f, const AtEntry& known)
      : f_(f), known_(known), s_(f.getArg(0)), b_(f.getContext()) {}

  void run() {
    split_choices();
    collect(s_, 0);
    for (llvm::LoadInst* load : loads_) rewrite(load);
    for (llvm::StoreInst* store : stores_) rewrite(store);
    for (llvm::CallBase* call : calls_) around(call);
    std::vector<llvm::CallInst*> marks;
    for (llvm::BasicBlock& bb : f_)
      for (llvm::Instruction& i : bb)
        if (auto* call = llvm::dyn_cast<llvm::CallInst>(&i))
          if (auto* to = call->getCalledFunction(); to && to->getName() == kStoreNia) marks.push_back(call);
    for (llvm::CallInst* mark : marks) {
      b_.SetInsertPoint(mark);
      if (locals_.contains(kNia)) to_state(kNia);
      mark->eraseFromParent();
    }
    for (auto& [call, changes] : changed_) {
      b_.SetInsertPoint(call->getNextNode());
      for (auto& [offset, local] : locals_)
        if ((changes.all && offset != kNia) || changes.offsets.contains(offset)) from_state(offset);
    }
    b_.SetInsertPoint(&*f_.getEntryBlock().getFirstNonPHIOrDbgOrAlloca());
    for (auto& [offset, local] : locals_) at_entry(offset);
  }

 private:
  struct Local {
    llvm::AllocaInst* at;
    llvm::Type* type;
  };
  /// What a call writes in State.
  struct Changes {
    bool all = false;
    std::set<u64> offsets;
  };
  static constexpr u64 kNia = offsetof(State, nia);

  /// Makes a load of a register whose number is one of two (fsel) a choice between two loads.
  void split_choices() {
    std::vector<std::pair<llvm::GetElementPtrInst*, llvm::SelectInst*>> found;
    for (llvm::BasicBlock& bb : f_)
      for (llvm::Instruction& i : bb)
        if (auto* gep = llvm::dyn_cast<llvm::GetElementPtrInst>(&i)) {
          llvm::Value* index = gep->getOperand(gep->getNumOperands() - 1);
          if (auto* wide = llvm::dyn_cast<llvm::ZExtInst>(index)) index = wide->getOperand(0);
          auto* choice = llvm::dyn_cast<llvm::SelectInst>(index);
          if (choice && llvm::isa<llvm::ConstantInt>(choice->getTrueValue()) &&
              llvm::isa<llvm::ConstantInt>(choice->getFalseValue()))
            found.emplace_back(gep, choice);
        }
    for (const auto& [gep, choice] : found) {
      const auto with = [&, gep = gep](llvm::Value* number) {
        auto* one = gep->clone();
        one->insertBefore(gep);
        one->setOperand(gep->getNumOperands() - 1,
                        b_.getInt64(llvm::cast<llvm::ConstantInt>(number)->getZExtValue()));
        return one;
      };
      auto *yes = with(choice->getTrueValue()), *no = with(choice->getFalseValue());
      for (llvm::User* user : llvm::make_early_inc_range(gep->users())) {
        auto* load = llvm::dyn_cast<llvm::LoadInst>(user);
        if (!load) throw std::runtime_error("a register that is computed, and not loaded");
        b_.SetInsertPoint(load);
        auto* value = b_.CreateSelect(choice->getCondition(), b_.CreateLoad(load->getType(), yes),
                                      b_.CreateLoad(load->getType(), no));
        load->replaceAllUsesWith(value);
        load->eraseFromParent();
      }
      gep->eraseFromParent();
    }
  }

  void collect(llvm::Value* pointer, u64 offset) {
    for (llvm::User* user : pointer->users()) {
      if (auto* gep = llvm::dyn_cast<llvm::GetElementPtrInst>(user)) {
        llvm::APInt distance(64, 0);
        if (!gep->accumulateConstantOffset(f_.getDataLayout(), distance)) {
          std::string text;
          llvm::raw_string_ostream stream(text);
          gep->print(stream);
          if (auto* index = llvm::dyn_cast<llvm::Instruction>(gep->getOperand(gep->getNumOperands() - 1)))
            index->print(stream);
          throw std::runtime_error("a register that is computed:" + text);
        }
        collect(gep, offset + distance.getZExtValue());
      } else if (auto* load = llvm::dyn_cast<llvm::LoadInst>(user)) {
        if (load->isVolatile()) continue;
        loads_.push_back(load);
        offsets_[load] = offset;
      } else if (auto* store = llvm::dyn_cast<llvm::StoreInst>(user)) {
        if (store->getPointerOperand() != pointer) throw std::runtime_error("an address of State is stored");
        stores_.push_back(store);
        offsets_[store] = offset;
      } else if (auto* call = llvm::dyn_cast<llvm::CallBase>(user)) {
        Cell cell;
        if (call->isMustTailCall() || llvm::isa<llvm::LifetimeIntrinsic>(call) ||
            llvm::isa<llvm::AssumeInst>(call))
          continue;
        if (offset && find_cell(offset, cell)) throw std::runtime_error("a register is passed by address");
        if (llvm::isa<llvm::IntrinsicInst>(call)) throw std::runtime_error("an intrinsic function on State");
        if (!offset) calls_.push_back(call);
      } else if (auto* change = llvm::dyn_cast<llvm::AtomicRMWInst>(user)) {
        Cell cell;
        if (change->getPointerOperand() != pointer || find_cell(offset, cell))
          throw std::runtime_error("a register is changed atomically");
      } else {
        throw std::runtime_error("an address of State is computed");
      }
    }
  }

  Local& local(const Cell& cell) {
    const auto it = locals_.find(cell.offset);
    if (it != locals_.end()) return it->second;
    llvm::IRBuilder<> entry(&f_.getEntryBlock(), f_.getEntryBlock().begin());
    llvm::Type* type = entry.getIntNTy(static_cast<unsigned>(cell.size * 8));
    auto* at = entry.CreateAlloca(type);
    at->setAlignment(llvm::Align(cell.size));
    flags_[cell.offset] = cell.flag;
    return locals_[cell.offset] = {at, type};
  }
  llvm::Value* in_state(u64 offset) { return b_.CreateConstInBoundsGEP1_64(b_.getInt8Ty(), s_, offset); }
  void to_state(u64 offset) {
    Local& l = locals_.at(offset);
    b_.CreateAlignedStore(b_.CreateLoad(l.type, l.at), in_state(offset), l.at->getAlign());
  }
  void from_state(u64 offset) {
    Local& l = locals_.at(offset);
    llvm::Value* value = b_.CreateAlignedLoad(l.type, in_state(offset), l.at->getAlign());
    b_.CreateStore(value, l.at);
  }

  /// What the local variable begins as. The entry has looked whether that is so.
  void at_entry(u64 offset) {
    Local& l = locals_.at(offset);
    if (offset == offsetof(State, xer_so)) {
      b_.CreateStore(b_.getInt8(0), l.at);
    } else if (offset == offsetof(State, ea_mask)) {
      b_.CreateStore(b_.getInt64(known_.ea_mask), l.at);
    } else {
      from_state(offset);
      if (offset != offsetof(State, msr)) return;
      llvm::Value* rest = b_.CreateAnd(b_.CreateLoad(l.type, l.at), b_.getInt64(~known_.msr_mask));
      b_.CreateStore(b_.CreateOr(rest, b_.getInt64(known_.msr)), l.at);
    }
  }

  /// The cells of an access, each with its own part of it.
  struct Part {
    Cell cell;
    u64 in_cell, in_access, size;
  };
  bool parts(u64 offset, u64 size, std::vector<Part>& list) {
    Cell cell;
    if (!find_cell(offset, cell)) {
      for (u64 i = 1; i < size; i++)
        if (find_cell(offset + i, cell))
          throw std::runtime_error("an access to a register and something else");
      return false;
    }
    for (u64 done = 0; done < size;) {
      if (!find_cell(offset + done, cell))
        throw std::runtime_error("an access to a register and something else");
      const u64 in_cell = offset + done - cell.offset, n = std::min(cell.size - in_cell, size - done);
      list.push_back({cell, in_cell, done, n});
      done += n;
    }
    return true;
  }
  llvm::Value* place(const Part& part) {
    Local& l = local(part.cell);
    return part.in_cell ? b_.CreateConstInBoundsGEP1_64(b_.getInt8Ty(), l.at, part.in_cell) : l.at;
  }

  void rewrite(llvm::LoadInst* load) {
    const u64 size = f_.getDataLayout().getTypeStoreSize(load->getType());
    std::vector<Part> list;
    if (!parts(offsets_[load], size, list)) return;
    b_.SetInsertPoint(load);
    llvm::Value* value;
    if (list.size() == 1) {
      if (list[0].cell.offset == offsetof(State, gpr) + 32 * 8) {
        value = llvm::Constant::getNullValue(load->getType());
      } else {
        value = b_.CreateAlignedLoad(load->getType(), place(list[0]), llvm::Align(1));
        if (list[0].cell.flag && load->getType()->isIntegerTy(8)) value = b_.CreateAnd(value, b_.getInt8(1));
      }
    } else {
      llvm::Type* whole = b_.getIntNTy(static_cast<unsigned>(size * 8));
      value = llvm::ConstantInt::get(whole, 0);
      for (const Part& part : list) {
        llvm::Value* piece = b_.CreateAlignedLoad(b_.getIntNTy(static_cast<unsigned>(part.size * 8)),
                                                  place(part), llvm::Align(1));
        value = b_.CreateOr(value, b_.CreateShl(b_.CreateZExt(piece, whole), part.in_access * 8));
      }
      if (load->getType()->isPointerTy())
        value = b_.CreateIntToPtr(value, load->getType());
      else
        value = b_.CreateBitCast(value, load->getType());
    }
    load->replaceAllUsesWith(value);
    load->eraseFromParent();
  }

  void rewrite(llvm::StoreInst* store) {
    llvm::Value* value = store->getValueOperand();
    const u64 size = f_.getDataLayout().getTypeStoreSize(value->getType());
    std::vector<Part> list;
    if (!parts(offsets_[store], size, list)) return;
    b_.SetInsertPoint(store);
    if (list.size() == 1) {
      b_.CreateAlignedStore(value, place(list[0]), llvm::Align(1));
    } else {
      llvm::Type* whole = b_.getIntNTy(static_cast<unsigned>(size * 8));
      value =
          value->getType()->isPointerTy() ? b_.CreatePtrToInt(value, whole) : b_.CreateBitCast(value, whole);
      for (const Part& part : list) {
        auto* piece = b_.CreateTrunc(b_.CreateLShr(value, part.in_access * 8),
                                     b_.getIntNTy(static_cast<unsigned>(part.size * 8)));
        b_.CreateAlignedStore(piece, place(part), llvm::Align(1));
      }
    }
    if (list[0].cell.offset == kNia) store->eraseFromParent();
  }

  /// A call that is given State.
  void around(llvm::CallBase* call) {
    llvm::Function* to = call->getCalledFunction();
    if (!to) throw std::runtime_error("a call of something computed");
    Changes& changes = changed_[call];
    for (const Contract& contract : kContracts) {
      if (!to->getName().contains(contract.part)) continue;
      const auto number = [&](int argument) -> u64 {
        auto* constant =
            llvm::dyn_cast<llvm::ConstantInt>(call->getArgOperand(static_cast<unsigned>(argument)));
        if (!constant) throw std::runtime_error("a register that is computed");
        return constant->getZExtValue();
      };
      if (contract.fpscr) changes.offsets.insert(offsetof(State, fpscr));
      if (contract.fpr >= 0) changes.offsets.insert(offsetof(State, fpr) + 8 * number(contract.fpr));
      if (contract.crf >= 0) changes.offsets.insert(offsetof(State, cr) + number(contract.crf));
      return;
    }
    changes.all = true;
  }

  llvm::Function& f_;
  const AtEntry& known_;
  llvm::Argument* s_;
  llvm::IRBuilder<> b_;
  std::vector<llvm::LoadInst*> loads_;
  std::vector<llvm::StoreInst*> stores_;
  std::vector<llvm::CallBase*> calls_;
  std::map<llvm::Instruction*, u64> offsets_;
  std::map<u64, Local> locals_;
  std::map<u64, bool> flags_;
  std::map<llvm::CallBase*, Changes> changed_;
};

}  // namespace

void promote_registers(llvm::Function& function, const AtEntry& known) { Promoter(function, known).run(); }

}  // namespace baton::cpu::llvm_engine
