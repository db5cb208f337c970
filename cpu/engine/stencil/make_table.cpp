// SPDX-License-Identifier: Apache-2.0
// make_table OUTPUT OBJECT...: reads the object files of stencils.cpp and writes the table (table.h) as C++.
//
// Each basic block has a section of its own. A stencil's hot part is its entry and whatever block the last
// jump of each block goes to, in that order and without those jumps, up to the one to baton_next; all other
// blocks that it reaches are its cold part. What it refers to outside of itself becomes an item of the pool
// or is found by the linker.
#include <llvm/Object/ELFObjectFile.h>
#include <llvm/Object/ObjectFile.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "cpu/engine/stencil/table.h"

namespace {

using baton::i32;
using baton::i64;
using baton::u16;
using baton::u32;
using baton::u64;
using baton::u8;
using baton::cpu::stencil::Fill;

constexpr const char* kHoles[] = {
#define HOLE(name, alignment, value) "baton_hole_" #name,
#include "cpu/engine/stencil/holes.def"
};
constexpr std::string_view kStencilPrefix = "baton_stencil_";

/// Something in the input that the table cannot express. A stencil that meets one is left to the interpreter.
struct Unsupported {
  std::string why;
};

struct Reference {
  u64 at;
  u32 type;
  std::string symbol;  ///< Empty: `section` + `value`.
  const struct Section* section;
  u64 value;
  i64 addend;
};

struct Section {
  std::string name;
  bool code = false;
  u64 alignment = 1;
  std::vector<u8> bytes;
  std::vector<Reference> references;
  bool block = false;  ///< Part of a function, and not where it begins.
};

struct Object {
  std::map<u64, Section> sections;
  std::map<std::string, const Section*> stencils;
};

template <class T>
T expect(llvm::Expected<T> value) {
  if (!value) throw Unsupported{llvm::toString(value.takeError())};
  return std::move(*value);
}

Object read(const std::string& path) {
  Object object;
  auto file = expect(llvm::object::ObjectFile::createObjectFile(path));
  const auto* elf = llvm::dyn_cast<llvm::object::ELF64LEObjectFile>(file.getBinary());
  if (!elf) throw Unsupported{path + " is no ELF file for x86-64"};
  for (const llvm::object::ELFSectionRef section : elf->sections()) {
    const std::string name = expect(section.getName()).str();
    if (!name.starts_with(".text") && !name.starts_with(".rodata")) continue;
    Section& s = object.sections[section.getIndex()];
    s.name = name;
    s.code = name.starts_with(".text");
    s.alignment = section.getAlignment().value();
    const llvm::StringRef bytes = expect(section.getContents());
    s.bytes.assign(bytes.begin(), bytes.end());
    s.block = name.find(".__part.") != std::string::npos || name.starts_with(".text.split.");
  }
  for (const llvm::object::ELFSymbolRef symbol : elf->symbols()) {
    const std::string name = expect(symbol.getName()).str();
    if (!name.starts_with(kStencilPrefix) || name.find(".__part.") != std::string::npos) continue;
    object.stencils[name.substr(kStencilPrefix.size())] =
        &object.sections.at(expect(symbol.getSection())->getIndex());
  }
  for (const llvm::object::ELFSectionRef section : elf->sections()) {
    const auto target = expect(section.getRelocatedSection());
    if (target == elf->section_end() || !object.sections.contains(target->getIndex())) continue;
    Section& s = object.sections[target->getIndex()];
    for (const llvm::object::ELFRelocationRef r : section.relocations()) {
      const auto symbol = r.getSymbol();
      Reference reference{r.getOffset(),        static_cast<u32>(r.getType()), {}, nullptr, 0,
                          expect(r.getAddend())};
      const auto where = expect(symbol->getSection());
      if (where == elf->section_end()) {
        reference.symbol = expect(symbol->getName()).str();
      } else {
        const auto known = object.sections.find(where->getIndex());
        if (known == object.sections.end())
          throw Unsupported{"a reference to " + expect(where->getName()).str()};
        reference.section = &known->second;
        reference.value = expect(symbol->getValue());
      }
      s.references.push_back(reference);
    }
  }
  return object;
}

struct Relocation {
  u64 at;
  Fill fill;
  u64 index;
  i64 addend;
};
struct Code {
  std::vector<u8> hot, cold;
  std::vector<Relocation> relocations;
};

class Table {
 public:
  void add(const std::string& name, const Section* entry) {
    try {
      stencils_.emplace(name, lay_out(entry, false));
    } catch (const Unsupported& reason) {
      left_out_.push_back(name + ": " + reason.why);
    }
  }

  std::string text() const;

 private:
  static bool ends_in_jump(const Section& s, const Reference** jump) {
    const auto it =
        std::ranges::find_if(s.references, [&](const Reference& r) { return r.at + 4 == s.bytes.size(); });
    if (it == s.references.end() || s.bytes.size() < 5 || s.bytes[s.bytes.size() - 5] != 0xE9) return false;
    *jump = &*it;
    return it->addend == -4;
  }

  /// A chain of blocks from `entry`; `placed` says where each begins.
  static std::vector<u8> chain(const Section* entry, std::map<const Section*, u64>& placed,
                               std::vector<std::pair<u64, const Reference*>>& references, bool fall_through) {
    std::vector<u8> bytes;
    for (const Section* at = entry; at;) {
      placed[at] = bytes.size();
      const Reference* jump = nullptr;
      const Section* following = nullptr;
      bool drop = false;
      if (ends_in_jump(*at, &jump)) {
        if (jump->section && jump->section->block && jump->value == 0 && !placed.contains(jump->section)) {
          following = jump->section;
          drop = true;
        } else if (fall_through && jump->symbol == "baton_next") {
          drop = true;
        }
      }
      for (const Reference& r : at->references)
        if (!drop || &r != jump) references.emplace_back(bytes.size() + r.at, &r);
      bytes.insert(bytes.end(), at->bytes.begin(), at->bytes.end() - (drop ? 5 : 0));
      at = following;
    }
    return bytes;
  }

  /// `pooled`: a function for the pool, which returns and has no cold part.
  Code lay_out(const Section* entry, bool pooled) {
    Code code;
    std::map<const Section*, u64> hot, cold;
    std::vector<std::pair<u64, const Reference*>> in_hot, in_cold;
    code.hot = chain(entry, hot, in_hot, !pooled);
    for (bool more = true; more;) {
      more = false;
      const auto reach = [&](const std::vector<std::pair<u64, const Reference*>>& references) {
        for (const auto& [at, r] : references) {
          if (!r->section || !r->section->block || hot.contains(r->section) || cold.contains(r->section))
            continue;
          std::map<const Section*, u64> placed = cold;
          placed.insert(hot.begin(), hot.end());
          std::set<const Section*> before;
          for (const auto& [section, where] : placed) before.insert(section);
          std::vector<std::pair<u64, const Reference*>> fresh;
          const std::vector<u8> bytes = chain(r->section, placed, fresh, false);
          for (const auto& [section, where] : placed)
            if (!before.contains(section)) cold[section] = code.cold.size() + where;
          for (const auto& [where, reference] : fresh)
            in_cold.emplace_back(code.cold.size() + where, reference);
          code.cold.insert(code.cold.end(), bytes.begin(), bytes.end());
          return true;
        }
        return false;
      };
      more = reach(in_hot) || reach(in_cold);
    }
    const auto relocate = [&](u64 base, const std::vector<std::pair<u64, const Reference*>>& references) {
      for (const auto& [at, r] : references) code.relocations.push_back(relocation(base + at, *r, hot, cold));
    };
    relocate(0, in_hot);
    relocate(code.hot.size(), in_cold);
    if (pooled) {
      // One piece: what was to be filled in between the parts is a distance within it.
      const u64 hot_size = code.hot.size();
      code.hot.insert(code.hot.end(), code.cold.begin(), code.cold.end());
      code.cold.clear();
      for (Relocation& r : code.relocations)
        if (r.fill == Fill::kCold) {
          r.fill = Fill::kHot;
          r.addend += static_cast<i64>(hot_size);
        }
    }
    if (code.hot.size() + code.cold.size() > 0xFFFF) throw Unsupported{"too large"};
    return code;
  }

  Relocation relocation(u64 at, const Reference& r, const std::map<const Section*, u64>& hot,
                        const std::map<const Section*, u64>& cold) {
    const bool distance = r.type == llvm::ELF::R_X86_64_PLT32 || r.type == llvm::ELF::R_X86_64_PC32;
    const bool number = r.type == llvm::ELF::R_X86_64_32S || r.type == llvm::ELF::R_X86_64_32;
    if (r.symbol.starts_with("baton_hole_")) {
      if (!number) throw Unsupported{"a hole that is no 32-bit number"};
      const auto it = std::ranges::find(kHoles, r.symbol);
      if (it == std::end(kHoles)) throw Unsupported{"no such hole: " + r.symbol};
      return {at, Fill::kHole, static_cast<u64>(it - kHoles), r.addend};
    }
    if (!distance) throw Unsupported{"the address of " + (r.section ? r.section->name : r.symbol)};
    if (r.symbol == "baton_next") return {at, Fill::kNext, 0, r.addend};
    if (r.symbol == "baton_target") {
      if (r.addend != -4) throw Unsupported{"a target that is not jumped to"};
      return {at, Fill::kTarget, 0, r.addend};
    }
    if (!r.section) return {at, Fill::kNative, native(r.symbol), r.addend};
    const i64 addend = r.addend + static_cast<i64>(r.value);
    if (const auto it = hot.find(r.section); it != hot.end())
      return {at, Fill::kHot, 0, addend + static_cast<i64>(it->second)};
    if (const auto it = cold.find(r.section); it != cold.end())
      return {at, Fill::kCold, 0, addend + static_cast<i64>(it->second)};
    return {at, Fill::kPool, pool(r.section), addend};
  }

  u64 native(const std::string& symbol) {
    const auto it = std::ranges::find(natives_, symbol);
    if (it != natives_.end()) return static_cast<u64>(it - natives_.begin());
    natives_.push_back(symbol);
    return natives_.size() - 1;
  }
  u64 pool(const Section* section) {
    const auto it = std::ranges::find(pool_, section, &Item::section);
    if (it != pool_.end()) return static_cast<u64>(it - pool_.begin());
    const u64 index = pool_.size();
    pool_.push_back({section, {}});
    Code code;
    if (section->code) {
      code = lay_out(section, true);
    } else {
      if (!section->references.empty()) throw Unsupported{"addresses in " + section->name};
      code.hot = section->bytes;
    }
    pool_[index].code = std::move(code);
    return index;
  }

  struct Item {
    const Section* section;
    Code code;
  };
  std::map<std::string, Code> stencils_;
  std::vector<Item> pool_;
  std::vector<std::string> natives_;
  std::vector<std::string> left_out_;
};

std::string Table::text() const {
  std::ostringstream out;
  out << "// Made by make_table from stencils.cpp.\n#include <algorithm>\n#include <string_view>\n\n"
         "#include \"cpu/engine/stencil/table.h\"\n\n";
  for (const std::string& name : left_out_) out << "// left out: " << name << "\n";
  for (std::size_t i = 0; i < natives_.size(); i++)
    out << "extern \"C\" const char baton_native_" << i << " __asm__(\"" << natives_[i] << "\");\n";
  out << "\nnamespace baton::cpu::stencil {\nnamespace {\n\nconstexpr u8 kBytes[] = {";
  std::ostringstream relocations;
  u64 bytes = 0, fills = 0;
  const auto put = [&](const Code& code) {
    for (const auto* part : {&code.hot, &code.cold})
      for (const u8 byte : *part) out << (bytes++ % 32 ? "" : "\n") << u32{byte} << ',';
    for (const Relocation& r : code.relocations)
      relocations << '{' << r.at << ",static_cast<Fill>(" << static_cast<u32>(r.fill) << ")," << r.index
                  << ',' << r.addend << "},\n";
    fills += code.relocations.size();
  };
  std::ostringstream rows, items;
  const auto describe = [&](const std::string& name, const Code& code) {
    std::ostringstream row;
    row << "{\"" << name << "\",kBytes+" << bytes << ',' << code.hot.size() << ',' << code.cold.size()
        << ",kRelocations+" << fills << ',' << code.relocations.size() << '}';
    put(code);
    return row.str();
  };
  for (const auto& [name, code] : stencils_) rows << describe(name, code) << ",\n";
  for (const Item& item : pool_)
    items << '{' << describe(item.section->name, item.code) << ',' << item.section->alignment << "},\n";
  out << "};\nconstexpr Relocation kRelocations[] = {\n" << relocations.str() << "};\n";
  out << "constexpr Stencil kStencils[] = {\n" << rows.str() << "};\n";
  out << "constexpr PoolItem kPool[] = {\n" << items.str() << "};\n";
  out << "const void* const kNatives[] = {\n";
  for (std::size_t i = 0; i < natives_.size(); i++) out << "&baton_native_" << i << ",\n";
  out << "};\n\n}  // namespace\n\n"
         "std::span<const Stencil> table() { return kStencils; }\n"
         "std::span<const PoolItem> pool() { return kPool; }\n"
         "std::span<const void* const> natives() { return kNatives; }\n"
         "const Stencil* find(const char* name) {\n"
         "  const std::string_view wanted = name;\n"
         "  const auto* it = std::ranges::lower_bound(kStencils, wanted, {}, [](const Stencil& s) { return "
         "std::string_view(s.name); });\n"
         "  return it != std::end(kStencils) && it->name == wanted ? it : nullptr;\n"
         "}\n\n}  // namespace baton::cpu::stencil\n";
  return out.str();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: make_table OUTPUT OBJECT...\n";
    return 2;
  }
  try {
    std::vector<Object> objects;
    objects.reserve(static_cast<std::size_t>(argc));
    Table table;
    for (int i = 2; i < argc; i++) {
      objects.push_back(read(argv[i]));
      for (const auto& [name, section] : objects.back().stencils) table.add(name, section);
    }
    std::ofstream out(argv[1]);
    out << table.text();
    if (!out.flush()) throw Unsupported{std::string("cannot write ") + argv[1]};
  } catch (const Unsupported& reason) {
    std::cerr << "make_table: " << reason.why << '\n';
    return 1;
  }
  return 0;
}
