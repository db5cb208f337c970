// SPDX-License-Identifier: Apache-2.0
// Text for people: with extended mnemonics, as Capstone has it where Capstone is right.
#include <capstone/capstone.h>

#include <algorithm>
#include <bit>

#include "cpu/isa/assembly.h"

namespace baton::cpu::isa {
namespace {

/// Capstone's handle is not shareable between threads.
class Capstone {
 public:
  Capstone() {
    const auto mode = static_cast<cs_mode>(CS_MODE_64 | CS_MODE_BIG_ENDIAN);
    if (cs_open(CS_ARCH_PPC, mode, &handle_) != CS_ERR_OK) handle_ = 0;
  }
  ~Capstone() {
    if (handle_ != 0) cs_close(&handle_);
  }
  std::string text(u64 ea, u32 word) {
    if (handle_ == 0) return {};
    u8 bytes[4];
    store_be(bytes, word);
    cs_insn* instruction = nullptr;
    if (cs_disasm(handle_, bytes, sizeof bytes, ea, 1, &instruction) == 0) return {};
    std::string result = instruction->mnemonic;
    if (*instruction->op_str) result = result + " " + instruction->op_str;
    cs_free(instruction, 1);
    return result;
  }

 private:
  csh handle_ = 0;
};

// Where Capstone 4.0 is wrong: what it says does not assemble, or to something else (found by the test of the
// texts).

bool always(u32) { return true; }
/// It prints negative immediates as large positive ones.
bool negative(u32 word) { return word & 0x8000; }
/// It prints one field for any number of them.
bool several_fields(u32 word) { return std::popcount(field(word, 12, 19)) != 1; }
/// It has names of embedded processors' registers.
bool special(u32 word) {
  const u32 spr = field(word, 16, 20) << 5 | field(word, 11, 15);
  return spr != 1 && spr != 8 && spr != 9;
}
/// It takes hints for conditions.
bool odd_hint(u32 word) {
  const u32 bo = field(word, 6, 10);
  switch (bo & 0x14) {
    case 0x00:
      return bo & 1;
    case 0x04:
      return (bo & 3) == 1;
    case 0x10:
      return (bo & 9) == 1;
    default:
      return bo != 0x14;
  }
}
/// And what is always taken for a counting branch.
bool odd_branch(u32 word) { return odd_hint(word) || (word & 0x02800000) == 0x02800000; }
/// And leaves out the address 0.
bool odd_absolute(u32 word) { return odd_branch(word) || field(word, 16, 29) == 0; }
/// And prints BH as an address.
bool odd_register_branch(u32 word) {
  return odd_hint(word) || field(word, 19, 20) != 0 ||
         ((word & 0x02800000) == 0x02800000 && field(word, 11, 15) != 0);
}

constexpr struct {
  Id id;
  bool (*wrong)(u32 word);
} kDoubts[] = {
    {Id::tdi, negative},
    {Id::twi, negative},
    {Id::mulli, negative},
    {Id::subfic, negative},
    {Id::cmpi, negative},
    {Id::addic, negative},
    {Id::addic_rc, negative},
    {Id::addi, negative},
    {Id::cntlzw, always},
    {Id::cntlzw_rc, always},
    {Id::mfspr, special},
    {Id::mtspr, special},
    {Id::mfocrf, several_fields},
    {Id::mtocrf, several_fields},
    {Id::bc, odd_branch},
    {Id::bca, odd_absolute},
    {Id::bcl, odd_branch},
    {Id::bcla, odd_absolute},
    {Id::bclr, odd_register_branch},
    {Id::bclrl, odd_register_branch},
    {Id::bcctr, odd_register_branch},
    {Id::bcctrl, odd_register_branch},
};

bool doubtful(const Row& row, u32 word) {
  return std::any_of(std::begin(kDoubts), std::end(kDoubts),
                     [&](const auto& doubt) { return doubt.id == row.id && doubt.wrong(word); });
}

}  // namespace

std::string disassemble(u64 ea, u32 word) {
  thread_local Capstone capstone;
  if (const Row* row = decode(word); row && !doubtful(*row, word))
    if (std::string text = capstone.text(ea, word); !text.empty()) return text;
  return table_text(ea, word);
}

}  // namespace baton::cpu::isa
