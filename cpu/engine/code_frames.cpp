// SPDX-License-Identifier: Apache-2.0
#include "cpu/engine/code_frames.h"

#include <elf.h>

#include <cstddef>
#include <cstring>
#include <mutex>
#include <string_view>
#include <vector>

#include "cpu/state.h"

// GDB's JIT compilation interface (GDB manual, "JIT Interface"): the names and layouts are what GDB looks
// for.
extern "C" {

struct jit_code_entry {
  jit_code_entry *next_entry, *prev_entry;
  const char* symfile_addr;
  uint64_t symfile_size;
};

struct jit_descriptor {
  uint32_t version;
  uint32_t action_flag;
  jit_code_entry *relevant_entry, *first_entry;
};

extern jit_descriptor __jit_debug_descriptor;
jit_descriptor __jit_debug_descriptor{1, 0, nullptr, nullptr};

/// GDB has a breakpoint here.
void __jit_debug_register_code();
[[gnu::noinline, gnu::used]] void __jit_debug_register_code() { asm volatile("" ::: "memory"); }

}  // extern "C"

namespace baton::cpu {
namespace {

enum Action : uint32_t { kRegister = 1, kUnregister = 2 };

/// Of the descriptor and the list that it begins.
std::mutex& list_lock() {
  static std::mutex lock;
  return lock;
}

void tell(Action action, jit_code_entry& entry) {
  __jit_debug_descriptor.action_flag = action;
  __jit_debug_descriptor.relevant_entry = &entry;
  __jit_debug_register_code();
  __jit_debug_descriptor.relevant_entry = nullptr;
}

/// Bytes in the order of the host.
class Bytes {
 public:
  template <class T>
  void put(const T& value) {
    const auto* from = reinterpret_cast<const char*>(&value);
    bytes_.insert(bytes_.end(), from, from + sizeof value);
  }
  void put(std::string_view text) { bytes_.insert(bytes_.end(), text.begin(), text.end()); }
  /// SLEB128 (DWARF 7.6).
  void put_signed(i64 value) {
    for (bool more = true; more;) {
      const auto low = static_cast<u8>(value & 0x7F);
      value >>= 7;
      more = !(value == 0 && !(low & 0x40)) && !(value == -1 && low & 0x40);
      put(static_cast<u8>(low | (more ? 0x80 : 0)));
    }
  }
  void align(u64 to) {
    while (bytes_.size() % to) bytes_.push_back(0);
  }
  u64 size() const { return bytes_.size(); }
  std::string_view text() const { return {bytes_.data(), bytes_.size()}; }

 private:
  std::vector<char> bytes_;
};

/// An entry of .debug_frame: its length, what it holds, padded with DW_CFA_nop.
void put_entry(Bytes& to, Bytes entry) {
  while ((entry.size() + 4) % 8) entry.put(u8{0});
  to.put(static_cast<u32>(entry.size()));
  to.put(entry.text());
}

/// Call frame information (DWARF 6.4): the caller's frame begins where State::stack_at says, with the address
/// that is returned to in front of it.
Bytes frame_section(u64 code, u64 bytes, StateRegister state) {
  constexpr u8 kVersion = 1, kReturnAddress = 16;
  constexpr u8 kDefCfaExpression = 0x0F, kOffset = 0x80, kBreg0 = 0x70, kDeref = 0x06;
  Bytes where;
  where.put(static_cast<u8>(kBreg0 + static_cast<u8>(state)));
  where.put_signed(static_cast<i64>(offsetof(State, stack_at)) -
                   (state == StateRegister::kRbp ? static_cast<i64>(kMiddle) : 0));
  where.put(kDeref);
  Bytes common;
  common.put(~u32{0});  // It is a common entry.
  common.put(kVersion);
  common.put(u8{0});      // No augmentation.
  common.put(u8{1});      // Alignment of code,
  common.put_signed(-8);  // and what offsets are multiples of.
  common.put(kReturnAddress);
  common.put(kDefCfaExpression);
  common.put(static_cast<u8>(where.size()));
  common.put(where.text());
  common.put(static_cast<u8>(kOffset | kReturnAddress));
  common.put(u8{1});
  Bytes range;
  range.put(u32{0});  // Of the common entry at the section's beginning.
  range.put(code);
  range.put(bytes);
  Bytes section;
  put_entry(section, std::move(common));
  put_entry(section, std::move(range));
  return section;
}

/// An ELF file without the code itself, which is in memory already: one symbol, and the frames.
std::vector<char> object_file(std::string_view name, u64 code, u64 bytes, StateRegister state) {
  constexpr std::string_view kSections("\0.text\0.debug_frame\0.symtab\0.strtab\0.shstrtab\0", 47);
  const auto called = [&](std::string_view section) {
    return static_cast<Elf64_Word>(kSections.find(section, 1));
  };
  enum : Elf64_Half { kNull, kText, kFrame, kSymbols, kStrings, kNames, kCount };
  const Bytes frames = frame_section(code, bytes, state);
  Elf64_Sym symbols[2] = {};
  symbols[1].st_name = 1;
  symbols[1].st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC);
  symbols[1].st_shndx = kText;
  symbols[1].st_value = code;
  symbols[1].st_size = bytes;
  Bytes strings;
  strings.put(u8{0});
  strings.put(name);
  strings.put(u8{0});

  Elf64_Shdr sections[kCount] = {};
  Elf64_Shdr& text = sections[kText];
  text.sh_name = called(".text");
  text.sh_type = SHT_NOBITS;
  text.sh_flags = SHF_ALLOC | SHF_EXECINSTR;
  text.sh_addr = code;
  text.sh_size = bytes;
  text.sh_addralign = 16;
  Bytes file;
  Elf64_Ehdr header = {};
  file.put(header);
  const auto add = [&](Elf64_Half number, std::string_view section, Elf64_Word type, std::string_view data) {
    file.align(8);
    sections[number].sh_name = called(section);
    sections[number].sh_type = type;
    sections[number].sh_offset = file.size();
    sections[number].sh_size = data.size();
    sections[number].sh_addralign = 8;
    file.put(data);
  };
  add(kFrame, ".debug_frame", SHT_PROGBITS, frames.text());
  add(kSymbols, ".symtab", SHT_SYMTAB, {reinterpret_cast<const char*>(symbols), sizeof symbols});
  sections[kSymbols].sh_link = kStrings;
  sections[kSymbols].sh_info = 1;  // The first that is not local.
  sections[kSymbols].sh_entsize = sizeof(Elf64_Sym);
  add(kStrings, ".strtab", SHT_STRTAB, strings.text());
  add(kNames, ".shstrtab", SHT_STRTAB, kSections);
  file.align(8);
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_EXEC;
  header.e_machine = EM_X86_64;
  header.e_version = EV_CURRENT;
  header.e_shoff = file.size();
  header.e_ehsize = sizeof header;
  header.e_shentsize = sizeof(Elf64_Shdr);
  header.e_shnum = kCount;
  header.e_shstrndx = kNames;
  for (const Elf64_Shdr& section : sections) file.put(section);
  std::vector<char> result(file.text().begin(), file.text().end());
  std::memcpy(result.data(), &header, sizeof header);
  return result;
}

}  // namespace

struct CodeFrames::Description {
  std::vector<char> file;
  jit_code_entry entry;
};

CodeFrames::CodeFrames(const char* name, const void* code, u64 bytes, StateRegister state)
    : description_(std::make_unique<Description>()) {
  description_->file = object_file(name, reinterpret_cast<u64>(code), bytes, state);
  jit_code_entry& entry = description_->entry;
  const std::lock_guard hold(list_lock());
  entry = {__jit_debug_descriptor.first_entry, nullptr, description_->file.data(), description_->file.size()};
  if (entry.next_entry) entry.next_entry->prev_entry = &entry;
  __jit_debug_descriptor.first_entry = &entry;
  tell(kRegister, entry);
}

CodeFrames::~CodeFrames() {
  jit_code_entry& entry = description_->entry;
  const std::lock_guard hold(list_lock());
  (entry.prev_entry ? entry.prev_entry->next_entry : __jit_debug_descriptor.first_entry) = entry.next_entry;
  if (entry.next_entry) entry.next_entry->prev_entry = entry.prev_entry;
  tell(kUnregister, entry);
}

}  // namespace baton::cpu
