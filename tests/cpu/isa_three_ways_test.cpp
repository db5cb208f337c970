// SPDX-License-Identifier: Apache-2.0
// One semantics, three engines (DESIGN 3): the same source as native functions, as relocatable stencils that
// are patched and run, and as bitcode that LLVM compiles and runs, all with the same effect.
#include <gtest/gtest.h>
#include <llvm/ExecutionEngine/Orc/LLJIT.h>
#include <llvm/IR/Module.h>
#include <llvm/IRReader/IRReader.h>
#include <llvm/Object/ELFObjectFile.h>
#include <llvm/Object/ObjectFile.h>
#include <llvm/Support/MemoryBuffer.h>
#include <llvm/Support/SourceMgr.h>
#include <llvm/Support/TargetSelect.h>
#include <sys/mman.h>

#include <map>
#include <random>
#include <set>
#include <vector>

#include "cpu/engine/proof/native.h"
#include "tests/cpu/differential/native.h"
#include "tests/cpu/differential/words.h"

namespace baton::cpu {
namespace {

using proof::kNativeSamples;
using proof::NativeSample;

// ---- stencils

struct Relocation {
  u64 offset;
  u64 type;
  std::string symbol;
  i64 addend;
};
struct Stencil {
  std::vector<u8> code;
  std::vector<Relocation> relocations;
};

std::map<std::string, Stencil> read_stencils() {
  std::map<std::string, Stencil> result;
  auto file = llvm::object::ObjectFile::createObjectFile(BATON_PROOF_STENCILS);
  if (!file) {
    ADD_FAILURE() << llvm::toString(file.takeError());
    return result;
  }
  const auto* elf = llvm::dyn_cast<llvm::object::ELF64LEObjectFile>(file->getBinary());
  const std::string prefix = ".text.baton_stencil_";
  for (const llvm::object::ELFSectionRef section : elf->sections()) {
    const std::string name = llvm::cantFail(section.getName()).str();
    if (!name.starts_with(prefix)) continue;
    Stencil& stencil = result[name.substr(prefix.size())];
    const llvm::StringRef bytes = llvm::cantFail(section.getContents());
    stencil.code.assign(bytes.begin(), bytes.end());
  }
  for (const llvm::object::ELFSectionRef section : elf->sections()) {
    const auto target = llvm::cantFail(section.getRelocatedSection());
    if (target == elf->section_end()) continue;
    const std::string name = llvm::cantFail(target->getName()).str();
    if (!name.starts_with(prefix)) continue;
    for (const llvm::object::ELFRelocationRef relocation : section.relocations())
      result[name.substr(prefix.size())].relocations.push_back(
          {relocation.getOffset(), relocation.getType(),
           llvm::cantFail(relocation.getSymbol()->getName()).str(), llvm::cantFail(relocation.getAddend())});
  }
  return result;
}

enum class Way { kNext, kBranch, kStop };
Way last_way;
[[clang::preserve_none]] void on_next(State&) { last_way = Way::kNext; }
[[clang::preserve_none]] void on_branch(State&) { last_way = Way::kBranch; }
[[clang::preserve_none]] void on_stop(State&) { last_way = Way::kStop; }
using Entry = void(__attribute__((preserve_none)) *)(State&);

/// What a block compiler will be: copies stencils one behind the other and fills their holes.
class Block {
 public:
  Block() {
    buffer_ = static_cast<u8*>(
        mmap(nullptr, kSize, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    EXPECT_NE(buffer_, MAP_FAILED);
    end_ = buffer_;
  }
  ~Block() { munmap(buffer_, kSize); }

  /// Appends an instruction; `last` ones go on to on_next(), others to what is appended after them.
  void append(const Stencil& stencil, const isa::Operands& o, u32 offset, bool last) {
    u8* const code = end_;
    std::copy(stencil.code.begin(), stencil.code.end(), code);
    end_ += stencil.code.size();
    u8* const following = end_;
    for (const Relocation& r : stencil.relocations) {
      u8* const at = code + r.offset;
      if (r.type == llvm::ELF::R_X86_64_32S) {
        put(at, static_cast<u32>(hole(r.symbol, o, offset) + r.addend));
        continue;
      }
      ASSERT_TRUE(r.type == llvm::ELF::R_X86_64_PLT32 || r.type == llvm::ELF::R_X86_64_PC32) << r.symbol;
      const u8* to = r.symbol == "baton_next" && !last ? following : thunk(r.symbol);
      put(at, static_cast<u32>(to - at + r.addend));
    }
    if (last) return;
    // The thunks of this stencil lie behind it: jump over them.
    if (end_ != following) {
      std::vector<u8> thunks(following, end_);
      ADD_FAILURE() << "a middle stencil needs no thunks in this test";
    }
  }
  /// UBSan would read a type tag in front of the function, where there is none.
  [[clang::no_sanitize("function")]] void run(State& s) { reinterpret_cast<Entry>(buffer_)(s); }

 private:
  static constexpr std::size_t kSize = 65536;

  static void put(u8* at, u32 value) { std::memcpy(at, &value, sizeof value); }
  static i64 hole(const std::string& name, const isa::Operands& o, u32 offset) {
    if (name == "baton_hole_a8") return 8 * o.a;
    if (name == "baton_hole_b8") return 8 * o.b;
    if (name == "baton_hole_c8") return 8 * o.c;
    if (name == "baton_hole_d8") return 8 * o.d;
    if (name == "baton_hole_imm") return o.imm;
    if (name == "baton_hole_offset") return offset;
    ADD_FAILURE() << "no such hole: " << name;
    return 0;
  }
  /// A jump to something that may be further away than 2 GB.
  const u8* thunk(const std::string& name) {
    static const std::map<std::string, u64> known = {
        {"baton_next", reinterpret_cast<u64>(&on_next)},
        {"baton_branch", reinterpret_cast<u64>(&on_branch)},
        {"baton_stop", reinterpret_cast<u64>(&on_stop)},
        {"_ZN5baton3cpu9load_slowERNS0_5StateEmmPv", reinterpret_cast<u64>(&load_slow)},
        {"_ZN5baton3cpu10store_slowERNS0_5StateEmmPKv", reinterpret_cast<u64>(&store_slow)}};
    const auto it = known.find(name);
    EXPECT_NE(it, known.end()) << name;
    u8* const at = end_;
    at[0] = 0x48;  // movabs $target, %rax; jmp *%rax
    at[1] = 0xB8;
    std::memcpy(at + 2, &it->second, 8);
    at[10] = 0xFF;
    at[11] = 0xE0;
    end_ += 12;
    return at;
  }

  u8* buffer_;
  u8* end_;
};

TEST(IsaThreeWays, StencilsHaveTheirHoles) {
  const auto stencils = read_stencils();
  const std::map<std::string, std::set<std::string>> expected = {
      {"addi", {"a8", "b8", "imm"}},       {"add", {"a8", "b8", "c8"}},
      {"add_rc", {"a8", "b8", "c8"}},      {"or_op", {"a8", "b8", "c8"}},
      {"mulld", {"a8", "b8", "c8"}},       {"rlwinm", {"a8", "b8", "c8", "d8", "imm"}},
      {"cmpi", {"a8", "b8", "d8", "imm"}}, {"bc", {"a8", "c8", "d8", "imm", "offset"}},
      {"lwz", {"a8", "b8", "imm"}},        {"ld", {"a8", "b8", "imm"}},
      {"stw", {"a8", "b8", "imm"}},        {"std", {"a8", "b8", "imm"}}};
  EXPECT_EQ(stencils.size(), expected.size());
  for (const auto& [name, holes] : expected) {
    ASSERT_TRUE(stencils.contains(name)) << name;
    std::set<std::string> found;
    bool goes_on = false;
    for (const Relocation& r : stencils.at(name).relocations) {
      if (r.symbol.starts_with("baton_hole_")) {
        found.insert(r.symbol.substr(11));
        EXPECT_EQ(r.type, u64{llvm::ELF::R_X86_64_32S}) << name << " " << r.symbol;
      } else {
        EXPECT_EQ(r.type, u64{llvm::ELF::R_X86_64_PLT32}) << name << " " << r.symbol;
        goes_on |= r.symbol == "baton_next";
      }
    }
    EXPECT_EQ(found, holes) << name;
    EXPECT_TRUE(goes_on) << name;
  }
}

/// A register operand is one displacement, an addition two loads, a store and the jump: no call, no stack, no
/// decoding.
TEST(IsaThreeWays, StencilsAreAsShortAsTheyShouldBe) {
  const auto stencils = read_stencils();
  EXPECT_LE(stencils.at("addi").code.size(), 28u);
  EXPECT_LE(stencils.at("add").code.size(), 29u);
  EXPECT_LE(stencils.at("or_op").code.size(), 29u);
}

TEST(IsaThreeWays, TwoStencilsInARow) {
  const auto stencils = read_stencils();
  test::Machine machine;
  machine.s.gpr[4] = 1000;
  machine.s.gpr[5] = 7;
  Block block;
  block.append(stencils.at("addi"), {.a = 3, .b = 4, .c = 0, .d = 0, .imm = -30000}, 0, false);
  block.append(stencils.at("add"), {.a = 6, .b = 3, .c = 5, .d = 0, .imm = 0}, 4, true);
  last_way = Way::kStop;
  block.run(machine.s);
  EXPECT_EQ(last_way, Way::kNext);
  EXPECT_EQ(machine.s.gpr[3], static_cast<u64>(-29000));
  EXPECT_EQ(machine.s.gpr[6], static_cast<u64>(-28993));
}

// ---- bitcode

using BitcodeFunction = Flow (*)(State&, u32, u32, u32, u32, i64, u64);

std::unique_ptr<llvm::Module> read_bitcode(llvm::LLVMContext& context) {
  llvm::SMDiagnostic diagnostic;
  auto module = llvm::parseIRFile(BATON_PROOF_BITCODE, diagnostic, context);
  EXPECT_TRUE(module) << diagnostic.getMessage().str();
  return module;
}

TEST(IsaThreeWays, BitcodeHasEveryFunctionAndNoData) {
  llvm::LLVMContext context;
  const auto module = read_bitcode(context);
  ASSERT_TRUE(module);
  for (const NativeSample* sample = kNativeSamples; sample->name; sample++) {
    const llvm::Function* function = module->getFunction("baton_bitcode_" + std::string(sample->name));
    ASSERT_TRUE(function) << sample->name;
    EXPECT_FALSE(function->isDeclaration()) << sample->name;
  }
  for (const llvm::GlobalVariable& variable : module->globals())
    EXPECT_TRUE(variable.isConstant()) << "semantics keep no data: " << variable.getName().str();
  for (const llvm::Function& function : *module)
    if (function.isDeclaration() && !function.isIntrinsic()) {
      const std::string name = function.getName().str();
      EXPECT_TRUE(name.find("load_slow") != std::string::npos || name.find("store_slow") != std::string::npos)
          << "only declared cold paths: " << name;
    }
}

/// UBSan would read a type tag in front of the function.
[[clang::no_sanitize("function")]] Flow call(BitcodeFunction function, State& s, const isa::Operands& o,
                                             u64 cia) {
  return function(s, o.a, o.b, o.c, o.d, o.imm, cia);
}

class Jit {
 public:
  Jit() {
    llvm::InitializeNativeTarget();
    llvm::InitializeNativeTargetAsmPrinter();
    jit_ = llvm::cantFail(llvm::orc::LLJITBuilder().create());
    const auto define = [&](const char* name, auto* function) {
      llvm::orc::SymbolMap map;
      map[jit_->mangleAndIntern(name)] = {llvm::orc::ExecutorAddr::fromPtr(function),
                                          llvm::JITSymbolFlags::Exported | llvm::JITSymbolFlags::Callable};
      llvm::cantFail(jit_->getMainJITDylib().define(llvm::orc::absoluteSymbols(map)));
    };
    define("_ZN5baton3cpu9load_slowERNS0_5StateEmmPv", &load_slow);
    define("_ZN5baton3cpu10store_slowERNS0_5StateEmmPKv", &store_slow);
    auto context = std::make_unique<llvm::LLVMContext>();
    auto module = read_bitcode(*context);
    llvm::cantFail(jit_->addIRModule(llvm::orc::ThreadSafeModule(std::move(module), std::move(context))));
  }
  BitcodeFunction find(const std::string& name) {
    return llvm::cantFail(jit_->lookup(name)).toPtr<BitcodeFunction>();
  }

 private:
  std::unique_ptr<llvm::orc::LLJIT> jit_;
};

// ---- all three

struct Effect {
  std::array<u64, 33> gpr;
  std::array<u8, 8> cr;
  u64 lr, ctr, nia, cfar;
  u8 so, ov, ca;
  Way way;
  std::array<u8, 64> memory;
  bool operator==(const Effect&) const = default;
};

constexpr u64 kStorage = 0x6FE0;  // unaligned ones cross a page, through load_slow() and store_slow()

const isa::Row& row_of(const std::string& sample) {
  static const std::map<std::string, std::string> other = {{"add_rc", "add."}, {"or_op", "or"}};
  const std::string name = other.contains(sample) ? other.at(sample) : sample;
  for (const isa::Row& row : isa::table())
    if (row.mnemonic == name) return row;
  ADD_FAILURE() << sample;
  return isa::table()[0];
}

TEST(IsaThreeWays, SameEffect) {
  const auto stencils = read_stencils();
  Jit jit;
  test::Machine machine;
  State& s = machine.s;
  std::vector<Op> ops(kOpsPerPage);
  std::mt19937_64 random(1);
  std::map<Way, int> ways;

  for (const NativeSample* sample = kNativeSamples; sample->name; sample++) {
    const isa::Row& row = row_of(sample->name);
    const BitcodeFunction bitcode = jit.find("baton_bitcode_" + std::string(sample->name));
    for (int n = 0; n < 500; n++) {
      u32 word = test::random_word(row, random);
      const bool storage =
          row.form != isa::Form::X && std::set<std::string>{"lwz", "ld", "stw", "std"}.contains(sample->name);
      if (storage && field(word, 11, 15) == 0) continue;
      const isa::Operands o = isa::operands(row, word);
      std::array<u64, 33> gpr;
      for (u64& r : gpr) r = random() >> (random() % 64);
      gpr[32] = 0;
      // Most accesses in storage, some outside: those must stop.
      if (storage)
        gpr[o.b] = (random() % 8 ? kStorage + random() % 56 : 0x400000) - static_cast<u64>(i64{o.imm});
      const u32 index = static_cast<u32>(random() % kOpsPerPage);
      const u64 ctr = random() % 3, cr = random();
      std::array<u8, 64> memory;
      for (u8& byte : memory) byte = static_cast<u8>(random());

      const auto attempt = [&](auto run) {
        std::copy(gpr.begin(), gpr.end(), s.gpr);
        sem::set_cr(s, static_cast<u32>(cr));
        sem::set_xer(s, 0x80000000 & cr);
        s.lr = 5;
        s.ctr = ctr;
        s.nia = s.cfar = 0;
        s.page_ea = 0x4000;
        s.page_ops = ops.data();
        s.fault = {};
        machine.memory().write(kStorage, memory);
        const Way way = run();
        Effect e{};
        std::copy(std::begin(s.gpr), std::end(s.gpr), e.gpr.begin());
        std::copy(std::begin(s.cr), std::end(s.cr), e.cr.begin());
        e.lr = s.lr;
        e.ctr = s.ctr;
        e.nia = s.nia;
        e.cfar = s.cfar;
        e.so = s.xer_so;
        e.ov = s.xer_ov;
        e.ca = s.xer_ca;
        e.way = way;
        machine.memory().read(kStorage, e.memory);
        return e;
      };
      const auto way_of = [](Flow flow) {
        return flow == Flow::kNext ? Way::kNext : flow == Flow::kBranch ? Way::kBranch : Way::kStop;
      };

      const Effect native = attempt([&] {
        Op& op = ops[index];
        op.a = o.a;
        op.b = o.b;
        op.c = o.c;
        op.d = o.d;
        op.imm = o.imm;
        return way_of(sample->function(s, &op));
      });
      const Effect stencil = attempt([&] {
        Block block;
        block.append(stencils.at(sample->name), o, index * 4, true);
        block.run(s);
        return last_way;
      });
      const Effect compiled = attempt([&] { return way_of(call(bitcode, s, o, 0x4000 + index * 4)); });
      ways[native.way]++;
      for (const char* engine : {"interpreter", "stencil", "llvm"})
        coverage::cases("three-ways", row.mnemonic, 1, engine);
      ASSERT_TRUE(native == stencil) << isa::disassemble(0, word);
      ASSERT_TRUE(native == compiled) << isa::disassemble(0, word);
    }
  }
  EXPECT_EQ(ways.size(), 3u) << "next, branch and stop have all been seen";
}

}  // namespace
}  // namespace baton::cpu
