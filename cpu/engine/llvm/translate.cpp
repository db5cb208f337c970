// SPDX-License-Identifier: Apache-2.0
#include "cpu/engine/llvm/translate.h"

#include <llvm/Bitcode/BitcodeReader.h>
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/MDBuilder.h>
#include <llvm/Transforms/Utils/Cloning.h>

#include <algorithm>
#include <map>
#include <stdexcept>

#include "cpu/semantics/branch.h"

namespace baton::cpu::llvm_engine {
namespace {

using isa::Id;

/// The functions of semantics.cpp.
constexpr const char* kRowNames[] = {
#define INSN(id, ...) "baton_row_" #id,
#include "cpu/isa/instructions.def"
};
/// Those in regions that leave FPSCR open.
constexpr const char* kDeferringRowNames[] = {
#define BATON_Base(id) "baton_row_" #id,
#define BATON_FP(id) "baton_deferring_row_" #id,
#define BATON_VMX(id) "baton_row_" #id,
#define BATON_DFP(id) "baton_row_" #id,
#define INSN(id, mnemonic, form, mask, value, operands, imm, privilege, facility, semantics) \
  BATON_##facility(id)
#include "cpu/isa/instructions.def"
};

bool is_branch(Id id) {
  switch (id) {
    case Id::b:
    case Id::bl:
    case Id::bc:
    case Id::bcl:
    case Id::bclr:
    case Id::bclrl:
    case Id::bcctr:
    case Id::bcctrl:
      return true;
    default:
      return false;
  }
}
bool is_direct(Id id) { return id == Id::b || id == Id::bl || id == Id::bc || id == Id::bcl; }
/// Those of them that do nothing unless they branch.
bool is_conditional(Id id) { return id == Id::bc || id == Id::bclr || id == Id::bcctr; }
bool is_call(Id id) { return id == Id::bl || id == Id::bcl || id == Id::bcctrl || id == Id::bclrl; }

/// Where in a row's function the region is left, and the instruction executed by the interpreter instead:
/// what does not return when all goes well, is rare, and may take translations away.
constexpr const char* kLeaves[] = {"load_reserve_slow", "store_conditional_slow"};

/// Builds the function block by block; it calls the rows' functions, which are then inlined.
class Builder {
 public:
  Builder(Semantics& semantics, const Region& region, std::span<const Native> natives)
      : semantics_(semantics),
        region_(region),
        natives_(natives),
        context_(semantics.context()),
        module_(std::make_unique<llvm::Module>("region", context_)),
        b_(context_) {
    module_->setDataLayout(semantics.module().getDataLayout());
    module_->setTargetTriple(semantics.module().getTargetTriple());
    i32_ = b_.getInt32Ty();
    i64_ = b_.getInt64Ty();
    ptr_ = b_.getPtrTy();
    handler_ = llvm::FunctionType::get(b_.getVoidTy(), {ptr_, ptr_}, false);
    unlikely_ = llvm::MDBuilder(context_).createBranchWeights(1, 2000);
  }

  std::unique_ptr<llvm::Module> build() {
    f_ = llvm::Function::Create(handler_, llvm::Function::ExternalLinkage, "region", *module_);
    f_->setCallingConv(llvm::CallingConv::PreserveNone);
    f_->setDoesNotThrow();
    f_->addFnAttr("target-cpu", "x86-64-v3");
    f_->addFnAttr("no-jump-tables", "true");
    s_ = f_->getArg(0);
    f_->addParamAttr(0, llvm::Attribute::NoAlias);
    f_->addParamAttr(0, llvm::Attribute::NonNull);
    f_->addDereferenceableParamAttr(0, sizeof(State));
    auto* entry = block("entry");
    for (const Block& of : region_.blocks) {
      blocks_.push_back(block("b"));
      at_[{of.page, of.index}] = static_cast<u32>(blocks_.size() - 1);
    }
    make_exits();
    b_.SetInsertPoint(entry);
    enter();
    for (u32 i = 0; i < region_.blocks.size(); i++) translate(i);
    inline_all();
    const u64 facilities = region_.defers ? msr::FP : 0;
    promote_registers(*f_, {.ea_mask = region_.ea_mask,
                            .msr_mask = msr::SF | facilities,
                            .msr = (region_.ea_mask == ~u64{0} ? msr::SF : 0) | facilities});
    return std::move(module_);
  }

 private:
  llvm::BasicBlock* block(const char* name) { return llvm::BasicBlock::Create(context_, name, f_); }
  llvm::Value* field(u64 offset) { return b_.CreateConstInBoundsGEP1_64(b_.getInt8Ty(), s_, offset); }
  llvm::Value* load(u64 offset) { return b_.CreateAlignedLoad(i64_, field(offset), llvm::Align(8)); }
  void store(u64 offset, llvm::Value* value) { b_.CreateAlignedStore(value, field(offset), llvm::Align(8)); }
  llvm::Value* relaxed(llvm::Type* type, llvm::Value* at, unsigned alignment) {
    auto* load = b_.CreateAlignedLoad(type, at, llvm::Align(alignment));
    load->setAtomic(llvm::AtomicOrdering::Monotonic);
    return load;
  }
  llvm::Value* pending() { return relaxed(i32_, field(offsetof(State, pending)), 4); }
  llvm::Constant* op_at(u32 page, u32 index) {
    const u64 at = reinterpret_cast<u64>(region_.pages[page].ops) + u64{index} * sizeof(Op);
    return llvm::ConstantExpr::getIntToPtr(b_.getInt64(at), ptr_);
  }
  llvm::Value* address(u32 page, u32 index) {
    return b_.CreateAdd(
        base_, b_.getInt64(static_cast<u64>(region_.pages[page].distance) * kFrameSize + u64{index} * 4));
  }
  void branch_unlikely(llvm::Value* condition, llvm::BasicBlock* rarely, llvm::BasicBlock* usually) {
    b_.CreateCondBr(condition, rarely, usually, unlikely_);
  }
  void tail_call(llvm::Value* callee, llvm::Value* op) {
    auto* call = b_.CreateCall(handler_, callee, {s_, op});
    call->setCallingConv(llvm::CallingConv::PreserveNone);
    call->setTailCallKind(llvm::CallInst::TCK_MustTail);
    b_.CreateRetVoid();
  }
  llvm::Value* native(const char* name) { return address_of(find_native(natives_, name), context_); }

  /// A way out that ends in the named handler; the Op is a phi.
  struct Exit {
    llvm::BasicBlock* block;
    llvm::PHINode* op;
  };
  Exit exit_to(const char* name, bool with_nia = false) {
    Exit exit{block(name), nullptr};
    b_.SetInsertPoint(exit.block);
    exit.op = b_.CreatePHI(ptr_, 8);
    if (with_nia)
      b_.CreateCall(module_->getOrInsertFunction(kStoreNia, llvm::FunctionType::get(b_.getVoidTy(), false)));
    tail_call(address_of(handler(name, region_, natives_), context_), exit.op);
    return exit;
  }
  void make_exits() {
    stop_ = exit_to("stop_at");
    branch_ = exit_to("leave_by_branch", true);
    next_ = exit_to("leave_in_front");
    miss_ = exit_to("interpret_here");
  }
  void go(Exit& exit, llvm::Value* op) {
    exit.op->addIncoming(op, b_.GetInsertBlock());
    b_.CreateBr(exit.block);
  }
  llvm::BasicBlock* way_to(Exit& exit, llvm::Value* op) {
    auto* here = b_.GetInsertBlock();
    auto* way = block("out");
    b_.SetInsertPoint(way);
    go(exit, op);
    b_.SetInsertPoint(here);
    return way;
  }

  void enter() {
    llvm::Value* op = f_->getArg(1);
    auto* other = block("other_mode");
    auto* mode = block("mode");
    // Volatile: what State has, not what promote_registers() is told.
    const auto in_state = [&](llvm::Type* type, u64 offset) {
      return b_.CreateLoad(type, field(offset), true);
    };
    llvm::Value* wrong =
        b_.CreateOr(b_.CreateICmpNE(in_state(i64_, offsetof(State, ea_mask)), b_.getInt64(region_.ea_mask)),
                    b_.CreateICmpNE(in_state(b_.getInt8Ty(), offsetof(State, xer_so)), b_.getInt8(0)));
    if (region_.defers) {
      const auto differs = [&](u64 offset, u64 mask, u64 value) {
        return b_.CreateICmpNE(b_.CreateAnd(in_state(i64_, offset), b_.getInt64(mask)), b_.getInt64(value));
      };
      wrong = b_.CreateOr(wrong, differs(offsetof(State, msr), msr::FP, msr::FP));
      wrong = b_.CreateOr(
          wrong, differs(offsetof(State, fpscr), fpu::kDeferringMode.mask, fpu::kDeferringMode.value));
    }
    branch_unlikely(wrong, other, mode);
    b_.SetInsertPoint(other);
    tail_call(native("baton_interpret_here"), op);
    b_.SetInsertPoint(mode);
    auto* asked = block("asked");
    auto* limited = block("limited");
    auto* back = block("back");
    auto* dispatch = block("dispatch");
    auto* p = pending();
    branch_unlikely(b_.CreateICmpNE(p, b_.getInt32(0)), asked, dispatch);
    b_.SetInsertPoint(asked);
    b_.CreateCondBr(b_.CreateICmpEQ(p, b_.getInt32(pending::kBounded)), limited, back);
    b_.SetInsertPoint(limited);
    auto* distance = b_.CreateAShr(
        b_.CreateSub(b_.CreatePtrToInt(op, i64_), load(offsetof(State, run_start))), b_.getInt64(4));
    auto* completed = b_.CreateAdd(load(offsetof(State, instructions)), distance);
    b_.CreateCondBr(b_.CreateICmpULT(completed, load(offsetof(State, limit))), dispatch, back);
    b_.SetInsertPoint(back);
    tail_call(native("baton_return_at"), op);
    b_.SetInsertPoint(dispatch);
    auto* page_ea = load(offsetof(State, page_ea));
    auto* start = llvm::BasicBlock::Create(context_, "start", f_);
    auto* lost = block("lost");
    std::vector<u32> entries;
    for (u32 i = 0; i < region_.blocks.size(); i++)
      if (region_.blocks[i].entry) entries.push_back(i);
    // Where page 0 is mapped.
    const auto base = [&](u32 page) {
      return b_.CreateSub(page_ea, b_.getInt64(static_cast<u64>(region_.pages[page].distance) * kFrameSize));
    };
    b_.SetInsertPoint(lost);
    b_.CreateUnreachable();
    b_.SetInsertPoint(dispatch);
    b_.CreateBr(start);
    b_.SetInsertPoint(start);
    // Few constants of 64 bits, and nothing to choose for entries on one page: the region may soon be left.
    const u64 first = op_number(entries[0]);
    const u32 page = region_.blocks[entries[0]].page;
    auto* which = b_.CreateSub(b_.CreatePtrToInt(op, i64_), b_.getInt64(first));
    base_ = base(page);
    for (const u32 i : entries) {
      if (region_.blocks[i].page == page) continue;
      base_ = b_.CreateSelect(b_.CreateICmpEQ(which, b_.getInt64(op_number(i) - first)),
                              base(region_.blocks[i].page), base_);
    }
    auto* choose = b_.CreateSwitch(which, entries.size() == 1 ? blocks_[entries[0]] : lost);
    if (entries.size() > 1)
      for (const u32 i : entries) choose->addCase(b_.getInt64(op_number(i) - first), blocks_[i]);
  }
  u64 op_number(u32 i) {
    const Block& of = region_.blocks[i];
    return reinterpret_cast<u64>(region_.pages[of.page].ops) + u64{of.index} * sizeof(Op);
  }

  void translate(u32 number) {
    const Block& of = region_.blocks[number];
    b_.SetInsertPoint(blocks_[number]);
    u32 index = of.index;
    for (const Instruction& instruction : of.instructions) {
      perform(of.page, index, instruction, of.targets);
      index++;
    }
    // Falls through.
    const auto following = at_.find({of.page, index});
    if (following != at_.end())
      b_.CreateBr(blocks_[following->second]);
    else
      go(next_, op_at(of.page, index));
  }

  void perform(u32 page, u32 index, const Instruction& instruction, const std::vector<i64>& targets) {
    const Semantics::Row& row = semantics_.row(instruction.row, region_.defers);
    const isa::Operands& o = instruction.operands;
    const auto call = [&](llvm::Function* function, u32 a) {
      auto* flow =
          b_.CreateCall(function, {s_, b_.getInt32(a), b_.getInt32(o.b), b_.getInt32(o.c), b_.getInt32(o.d),
                                   b_.getInt64(static_cast<u64>(i64{o.imm})), address(page, index)});
      rows_.push_back({flow, op_at(page, index)});
      return flow;
    };
    if (is_conditional(instruction.row)) {
      auto *taken = block("taken"), *next = block("i");
      b_.CreateCondBr(call(&semantics_.taken(), o.a), taken, next);
      b_.SetInsertPoint(taken);
      call(row.function, sem::kBranchAlways);
      go_where(page, index, instruction, targets);
      b_.SetInsertPoint(next);
      return;
    }
    auto* flow = call(row.function, o.a);
    if (row.always_goes_on) return;
    auto* next = block("i");
    if (!is_branch(instruction.row)) {
      auto* stops = b_.CreateICmpEQ(flow, b_.getInt32(static_cast<u32>(Flow::kStop)));
      branch_unlikely(stops, way_to(stop_, op_at(page, index)), next);
      b_.SetInsertPoint(next);
      return;
    }
    auto* taken = block("taken");
    b_.CreateCondBr(b_.CreateICmpEQ(flow, b_.getInt32(static_cast<u32>(Flow::kBranch))), taken, next);
    b_.SetInsertPoint(taken);
    go_where(page, index, instruction, targets);
    b_.SetInsertPoint(next);
  }

  /// Ends the block of a branch that is taken.
  void go_where(u32 page, u32 index, const Instruction& instruction, const std::vector<i64>& targets) {
    const isa::Operands& o = instruction.operands;
    if (is_direct(instruction.row)) {
      const i64 target = region_.pages[page].distance * static_cast<i64>(kFrameSize) + i64{index} * 4 + o.imm;
      if (const auto to = block_at(target)) {
        follow(page, index, *to);
      } else {
        go(branch_, op_at(page, index));
      }
    } else {
      for (const u32 i : reached(instruction.row, targets)) {
        auto* here = block("here");
        auto* other = block("other");
        b_.CreateCondBr(b_.CreateICmpEQ(load(offsetof(State, nia)),
                                        address(region_.blocks[i].page, region_.blocks[i].index)),
                        here, other);
        b_.SetInsertPoint(here);
        follow(page, index, i);
        b_.SetInsertPoint(other);
      }
      go(branch_, op_at(page, index));
    }
  }

  /// The block at a distance from the EA of page 0.
  const u32* block_at(i64 target) const {
    const i64 distance = target >> kFrameShift;
    for (u32 p = 0; p < region_.pages.size(); p++) {
      if (region_.pages[p].distance != distance) continue;
      const auto it = at_.find({p, static_cast<u32>(target >> 2 & (kOpsPerPage - 1))});
      return it == at_.end() ? nullptr : &it->second;
    }
    return nullptr;
  }

  /// The blocks that an indirect branch may go to: those where it was seen to go, and returns to what lies
  /// behind a call of the region.
  std::vector<u32> reached(Id branch, const std::vector<i64>& targets) const {
    std::vector<u32> list;
    for (const i64 target : targets)
      if (const auto to = block_at(target)) list.push_back(*to);
    if (branch != Id::bclr) return list;
    for (const Block& from : region_.blocks) {
      if (!is_call(from.instructions.back().row)) continue;
      const auto it = at_.find({from.page, static_cast<u32>(from.index + from.instructions.size())});
      if (it != at_.end() && std::ranges::find(list, it->second) == list.end()) list.push_back(it->second);
    }
    return list;
  }

  /// A taken branch to a block of the region.
  void follow(u32 page, u32 index, u32 to) {
    const Block& target = region_.blocks[to];
    const i64 forward =
        (region_.pages[target.page].distance - region_.pages[page].distance) * i64{kOpsPerPage} +
        i64{target.index} - index;
    if (forward <= 0 || target.page != page) {
      // Every loop and every change of page looks whether somebody waits.
      auto* go_on = block("go_on");
      branch_unlikely(b_.CreateICmpNE(pending(), b_.getInt32(0)), way_to(branch_, op_at(page, index)), go_on);
      b_.SetInsertPoint(go_on);
    }
    constexpr u64 kCount = offsetof(State, instructions);
    if (target.page == page) {
      store(kCount, b_.CreateAdd(load(kCount), b_.getInt64(static_cast<u64>(i64{index} + 1 - target.index))));
    } else {
      // NIA lies there: the branch is direct, or was compared. Only addresses of 32 bits may have begun anew.
      auto* number = b_.CreateLShr(address(target.page, 0), b_.getInt64(kFrameShift));
      auto* slot =
          b_.CreateMul(b_.CreateAnd(number, b_.getInt64(kFetchEntries - 1)), b_.getInt64(sizeof(FetchEntry)));
      auto* itlb = b_.CreateAlignedLoad(ptr_, field(offsetof(State, itlb)), llvm::Align(8));
      auto* entry = b_.CreateGEP(b_.getInt8Ty(), itlb, slot);
      auto* tag = relaxed(i64_, entry, 8);
      auto* ops = b_.CreateAlignedLoad(
          i64_, b_.CreateConstGEP1_64(b_.getInt8Ty(), entry, offsetof(FetchEntry, page)), llvm::Align(8));
      auto* wrong = b_.CreateOr(
          b_.CreateICmpNE(tag, number),
          b_.CreateICmpNE(ops, b_.getInt64(reinterpret_cast<u64>(region_.pages[target.page].ops))));
      if (region_.ea_mask != ~u64{0})
        wrong = b_.CreateOr(
            wrong,
            b_.CreateICmpNE(b_.CreateLShr(load(offsetof(State, nia)), b_.getInt64(kFrameShift)), number));
      auto* right = block("crossed");
      branch_unlikely(wrong, way_to(branch_, op_at(page, index)), right);
      b_.SetInsertPoint(right);
      auto* op = b_.CreatePtrToInt(op_at(page, index), i64_);
      auto* run = b_.CreateAShr(b_.CreateSub(op, load(offsetof(State, run_start))), b_.getInt64(4));
      store(kCount, b_.CreateAdd(load(kCount), b_.CreateAdd(run, b_.getInt64(1))));
      store(offsetof(State, page_ea), address(target.page, 0));
      store(offsetof(State, page_ops), b_.CreatePtrToInt(op_at(target.page, 0), i64_));
      store(offsetof(State, run_start), b_.CreatePtrToInt(op_at(target.page, target.index), i64_));
    }
    b_.CreateBr(blocks_[to]);
  }

  /// Inlines the semantics.
  void inline_all() {
    for (const RowCall& row : rows_) {
      std::vector<llvm::CallBase*> calls{row.call};
      while (!calls.empty()) {
        llvm::CallBase* call = calls.back();
        calls.pop_back();
        llvm::Function* to = call->getCalledFunction();
        if (!to) throw std::runtime_error("a call of something computed");
        if (to->isIntrinsic()) {
          call->setCalledFunction(here(to));
        } else if (to->getName() == "baton_read_addend") {
          mark_look_up(call, kLookUpRead, row.op);
        } else if (to->getName() == "baton_write_addend") {
          mark_look_up(call, kLookUpWrite, row.op);
        } else if (std::ranges::any_of(kLeaves,
                                       [&](const char* leaves) { return to->getName().contains(leaves); })) {
          leave_instead(call, row.op);
        } else if (semantics_.define(*to)) {
          llvm::InlineFunctionInfo info;
          if (!llvm::InlineFunction(*call, info).isSuccess()) throw std::runtime_error("not to be inlined");
          calls.insert(calls.end(), info.InlinedCallSites.begin(), info.InlinedCallSites.end());
        } else {
          call->setCalledFunction(here(to));
        }
      }
    }
  }
  /// A declaration of the semantics' module in that of the region.
  llvm::Function* here(llvm::Function* f) {
    return llvm::cast<llvm::Function>(
        module_->getOrInsertFunction(f->getName(), f->getFunctionType(), f->getAttributes()).getCallee());
  }

  /// Says at which instruction the look-up of an access (cpu/mmu/access.h) is.
  void mark_look_up(llvm::CallBase* call, const char* name, llvm::Value* op) {
    auto* type = llvm::FunctionType::get(i64_, {i64_, i64_, ptr_}, false);
    auto look_up = module_->getOrInsertFunction(name, type);
    auto* f = llvm::cast<llvm::Function>(look_up.getCallee());
    // It reads State where it leaves, and is where it is.
    f->setMemoryEffects(llvm::MemoryEffects::readOnly() | llvm::MemoryEffects::inaccessibleMemOnly());
    f->setDoesNotThrow();
    b_.SetInsertPoint(call);
    call->replaceAllUsesWith(b_.CreateCall(look_up, {call->getArgOperand(0), call->getArgOperand(1), op}));
    call->eraseFromParent();
  }

  void leave_instead(llvm::CallBase* call, llvm::Value* op) {
    llvm::BasicBlock* before = call->getParent();
    before->splitBasicBlock(call, "never");
    before->getTerminator()->eraseFromParent();
    b_.SetInsertPoint(before);
    go(miss_, op);
  }

  struct RowCall {
    llvm::CallBase* call;
    llvm::Value* op;
  };
  Semantics& semantics_;
  const Region& region_;
  std::span<const Native> natives_;
  llvm::LLVMContext& context_;
  std::unique_ptr<llvm::Module> module_;
  llvm::IRBuilder<> b_;
  std::vector<RowCall> rows_;
  llvm::Type *i32_, *i64_;
  llvm::PointerType* ptr_;
  llvm::FunctionType* handler_;
  llvm::MDNode* unlikely_;
  llvm::Function* f_ = nullptr;
  llvm::Value* s_ = nullptr;
  llvm::Value* base_ = nullptr;  ///< EA of page 0.
  std::vector<llvm::BasicBlock*> blocks_;
  std::map<std::pair<u32, u32>, u32> at_;  ///< Page and index to block.
  Exit stop_, branch_, next_, miss_;
};

}  // namespace

Semantics::Semantics() {
  const auto code = bitcode();
  auto parsed = llvm::getLazyBitcodeModule(
      llvm::MemoryBufferRef(llvm::StringRef(code.data(), code.size()), "semantics"), context_);
  if (!parsed) throw std::runtime_error(llvm::toString(parsed.takeError()));
  module_ = std::move(*parsed);
}

bool Semantics::define(llvm::Function& f) {
  if (f.isMaterializable())
    if (auto error = f.materialize()) throw std::runtime_error(llvm::toString(std::move(error)));
  return !f.isDeclaration();
}

const Semantics::Row& Semantics::row(isa::Id id, bool defers) {
  Row& row = rows_[defers][static_cast<u64>(id)];
  if (row.function) return row;
  const char* name = (defers ? kDeferringRowNames : kRowNames)[static_cast<u64>(id)];
  llvm::Function* f = module_->getFunction(name);
  if (!f || !define(*f)) throw std::runtime_error(std::string("no semantics: ") + name);
  row.always_goes_on = std::ranges::all_of(*f, [](const llvm::BasicBlock& block) {
    const auto* end = llvm::dyn_cast<llvm::ReturnInst>(block.getTerminator());
    const auto* flow = end ? llvm::dyn_cast<llvm::ConstantInt>(end->getReturnValue()) : nullptr;
    return !end || (flow && flow->getZExtValue() == static_cast<u64>(Flow::kNext));
  });
  row.function = f;
  return row;
}

std::unique_ptr<llvm::Module> translate(Semantics& semantics, const Region& region,
                                        std::span<const Native> natives) {
  return Builder(semantics, region, natives).build();
}

}  // namespace baton::cpu::llvm_engine
