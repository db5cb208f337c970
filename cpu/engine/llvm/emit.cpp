// SPDX-License-Identifier: Apache-2.0
#include <llvm/Analysis/AliasAnalysis.h>
#include <llvm/IR/InstIterator.h>
#include <llvm/IR/LegacyPassManager.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Object/ELFObjectFile.h>
#include <llvm/Passes/PassBuilder.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Support/raw_ostream.h>
#include <llvm/Target/TargetMachine.h>
#include <llvm/Transforms/InstCombine/InstCombine.h>
#include <llvm/Transforms/Scalar/SROA.h>
#include <llvm/Transforms/Scalar/SimplifyCFG.h>

#include <map>
#include <stdexcept>

#include "cpu/engine/llvm/translate.h"

namespace baton::cpu::llvm_engine {
namespace {

constexpr const char* kTriple = "x86_64-unknown-linux-gnu";

/// Of the calling thread: a TargetMachine keeps what it is asked.
llvm::TargetMachine& target() {
  thread_local const std::unique_ptr<llvm::TargetMachine> machine = [] {
    static const llvm::Target* const found = [] {
      llvm::InitializeNativeTarget();
      llvm::InitializeNativeTargetAsmPrinter();
      std::string error;
      const llvm::Target* t = llvm::TargetRegistry::lookupTarget(kTriple, error);
      if (!t) throw std::runtime_error(error);
      return t;
    }();
    return std::unique_ptr<llvm::TargetMachine>(
        found->createTargetMachine(kTriple, "x86-64-v3", "", {}, llvm::Reloc::PIC_, llvm::CodeModel::Small,
                                   llvm::CodeGenOptLevel::Default, true));
  }();
  return *machine;
}

struct ExpandConditions : llvm::PassInfoMixin<ExpandConditions> {
  static llvm::PreservedAnalyses run(llvm::Function& f, llvm::FunctionAnalysisManager&) {
    expand_conditions(f);
    return llvm::PreservedAnalyses::none();
  }
};

/// The partition's accesses become plain ones, which code generation may extend and swap as it loads. From
/// here on nothing takes a load apart, does it twice or moves it over a barrier, and the order of others is
/// free.
void make_plain(llvm::Function& f) {
  for (llvm::Instruction& i : llvm::instructions(f)) {
    const auto plain = [](auto& access) {
      if (access.getOrdering() != llvm::AtomicOrdering::Monotonic ||
          !llvm::isa<llvm::IntToPtrInst>(access.getPointerOperand()))
        return;
      access.setAtomic(llvm::AtomicOrdering::NotAtomic);
      access.setAlignment(llvm::Align(1));
    };
    if (auto* load = llvm::dyn_cast<llvm::LoadInst>(&i)) plain(*load);
    if (auto* store = llvm::dyn_cast<llvm::StoreInst>(&i)) plain(*store);
  }
}

void optimise(llvm::Function& f, llvm::Constant* leave) {
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager calls;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder passes(&target());
  passes.registerModuleAnalyses(modules);
  passes.registerCGSCCAnalyses(calls);
  passes.registerFunctionAnalyses(functions);
  passes.registerLoopAnalyses(loops);
  passes.crossRegisterProxies(loops, functions, calls, modules);
  llvm::FunctionPassManager all;
  all.addPass(llvm::SimplifyCFGPass());
  all.addPass(llvm::SROAPass(llvm::SROAOptions::ModifyCFG));
  all.addPass(llvm::SimplifyCFGPass());
  all.addPass(ExpandConditions());
  all.addPass(llvm::InstCombinePass());
  all.addPass(llvm::SimplifyCFGPass());
  all.run(f, functions);
  make_plain(f);
  expand_look_ups(f, leave);
  erase_dead_stores(f);
}

template <class T>
T unwrap(llvm::Expected<T> value) {
  if (!value) throw std::runtime_error(llvm::toString(value.takeError()));
  return std::move(*value);
}

/// Lays the sections of an object one behind the other, the code first, and fills in what lies between them.
class Linker {
 public:
  Linker(llvm::StringRef object, std::span<const Native> natives)
      : natives_(natives),
        file_(
            unwrap(llvm::object::ObjectFile::createELFObjectFile(llvm::MemoryBufferRef(object, "region")))) {}

  std::vector<u8> link() {
    for (const bool code : {true, false})
      for (const llvm::object::SectionRef& section : file_->sections())
        if (wanted(section) && section.isText() == code) place(section);
    for (const llvm::object::SectionRef& section : file_->sections()) {
      const auto of = unwrap(section.getRelocatedSection());
      if (of == file_->section_end() || !at_.contains(of->getIndex())) continue;
      for (const llvm::object::RelocationRef& r : section.relocations()) relocate(at_[of->getIndex()], r);
    }
    return std::move(bytes_);
  }

 private:
  static bool wanted(const llvm::object::SectionRef& section) {
    const u64 flags = llvm::object::ELFSectionRef(section).getFlags();
    const auto name = unwrap(section.getName());
    return flags & llvm::ELF::SHF_ALLOC && section.getSize() && name != ".eh_frame";
  }
  void place(const llvm::object::SectionRef& section) {
    const u64 alignment = section.getAlignment().value();
    bytes_.resize((bytes_.size() + alignment - 1) & ~(alignment - 1));
    at_[section.getIndex()] = bytes_.size();
    const auto contents = unwrap(section.getContents());
    bytes_.insert(bytes_.end(), contents.begin(), contents.end());
  }
  u64 thunk(llvm::StringRef name) {
    const auto [it, fresh] = thunks_.try_emplace(name.str(), 0);
    if (!fresh) return it->second;
    bytes_.resize((bytes_.size() + 15) & ~u64{15});
    it->second = bytes_.size();
    const u8 jump[] = {0xFF, 0x25, 0, 0, 0, 0};  // jmp *0(%rip), and the address
    bytes_.insert(bytes_.end(), std::begin(jump), std::end(jump));
    const u64 address = reinterpret_cast<u64>(find_native(natives_, name));
    bytes_.insert(bytes_.end(), reinterpret_cast<const u8*>(&address),
                  reinterpret_cast<const u8*>(&address + 1));
    return it->second;
  }
  void relocate(u64 section, const llvm::object::RelocationRef& r) {
    const auto symbol = r.getSymbol();
    const u64 type = r.getType();
    const i64 addend = unwrap(llvm::object::ELFRelocationRef(r).getAddend());
    const u64 place = section + r.getOffset();
    if (type != llvm::ELF::R_X86_64_PC32 && type != llvm::ELF::R_X86_64_PLT32)
      throw std::runtime_error("relocation of type " + std::to_string(type));
    const auto in = unwrap(symbol->getSection());
    const u64 to = in == file_->section_end() ? thunk(unwrap(symbol->getName()))
                                              : at_.at(in->getIndex()) + unwrap(symbol->getValue());
    const u32 value = static_cast<u32>(to + static_cast<u64>(addend) - place);
    std::memcpy(bytes_.data() + place, &value, sizeof value);
  }

  std::span<const Native> natives_;
  std::unique_ptr<llvm::object::ObjectFile> file_;
  std::vector<u8> bytes_;
  std::map<u64, u64> at_;  ///< Section to offset.
  std::map<std::string, u64> thunks_;
};

}  // namespace

const void* find_native(std::span<const Native> natives, llvm::StringRef name) {
  for (const Native& n : natives)
    if (name == n.name) return n.address;
  throw std::runtime_error("no native " + name.str());
}

const void* handler(std::string_view name, const Region& region, std::span<const Native> natives) {
  return find_native(natives, std::string(region.defers ? "baton_settle_" : "baton_").append(name));
}

llvm::Constant* address_of(const void* native, llvm::LLVMContext& context) {
  return llvm::ConstantExpr::getIntToPtr(
      llvm::ConstantInt::get(llvm::Type::getInt64Ty(context), reinterpret_cast<u64>(native)),
      llvm::PointerType::getUnqual(context));
}

std::vector<u8> emit(llvm::Module& module, const Region& region, std::span<const Native> natives) {
  llvm::Function& f = *module.getFunction("region");
  module.setDataLayout(target().createDataLayout());
  optimise(f, address_of(handler("interpret_here", region, natives), module.getContext()));
  for (llvm::Function& g : llvm::make_early_inc_range(module)) {
    if (&g == &f || g.isIntrinsic()) continue;
    if (g.use_empty()) {
      g.eraseFromParent();
    } else if (g.isDeclaration()) {
      g.replaceAllUsesWith(address_of(find_native(natives, g.getName()), module.getContext()));
    }
  }
  llvm::SmallVector<char, 0> object;
  llvm::raw_svector_ostream stream(object);
  llvm::legacy::PassManager codegen;
  if (target().addPassesToEmitFile(codegen, stream, nullptr, llvm::CodeGenFileType::ObjectFile))
    throw std::runtime_error("no code generator");
  codegen.run(module);
  return Linker(llvm::StringRef(object.data(), object.size()), natives).link();
}

}  // namespace baton::cpu::llvm_engine

extern "C" __attribute__((visibility("default"))) void baton_compile_region(
    const baton::cpu::llvm_engine::Region& region, std::span<const baton::cpu::llvm_engine::Native> natives,
    baton::cpu::llvm_engine::Compiled& result) {
  using namespace baton::cpu::llvm_engine;
  try {
    // What a context has seen, constants above all, it keeps.
    constexpr unsigned kRegionsOfAContext = 1000;
    thread_local std::unique_ptr<Semantics> semantics;
    thread_local unsigned regions = 0;
    if (regions++ % kRegionsOfAContext == 0) semantics = std::make_unique<Semantics>();
    const auto module = translate(*semantics, region, natives);
    result.code = emit(*module, region, natives);
  } catch (const std::exception& e) {
    result.error = e.what();
  }
}
