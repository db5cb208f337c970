// SPDX-License-Identifier: Apache-2.0
// Instruction words as operands and as text, both ways, from the table's operand descriptions. The text is
// that of binutils without extended mnemonics (objdump -Mpower6,raw): "addi r3,0,1", "lwz r4,-8(r1)", "bc
// 12,4*cr1+eq,0x1000".
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cpu/isa/isa.h"

namespace baton::cpu::isa {

/// One operand of a row, and where it is in the word.
struct OperandField {
  enum class Kind : u8 {
    Gpr,
    GprOrZero,  ///< Register 0 means the number 0.
    Fpr,
    Vr,
    CrField,
    CrBit,
    Unsigned,
    Signed,
    Offset,  ///< Signed, before the register in parentheses that it is added to.
    Target,  ///< Branch target; the value is the displacement, or the address if the row is an absolute
             ///< branch.
  };
  Kind kind;
  u8 first, last;  ///< IBM bit numbers; the more significant part first.
  u8 low_first = 0,
     low_last = 0;  ///< The less significant part of a value in two parts; last 0: there is none.
  u8 shift = 0;     ///< The value is the bits shifted left by it: pairs, displacements.

  u32 bits() const;  ///< Those of the word that it occupies.
};

/// The operands of a row in assembler order.
std::span<const OperandField> operand_fields(const Row& row);

/// The bits of the row's words that are operands; what neither they nor its mask has is reserved.
u32 operand_bits(const Row& row);

/// The values of the word's operands in assembler order.
std::vector<i64> operand_values(const Row& row, u32 word);

/// The word with these operand values and reserved bits zero; nothing if their number is wrong, one does not
/// fit its field, or the form is invalid (as decode() has it).
std::optional<u32> encode(const Row& row, std::span<const i64> values);

/// Text of the instruction at `ea` (bytes) as the table has it; ".long 0x..." if POWER6 has no such
/// instruction.
std::string table_text(u64 ea, u32 word);

/// What assemble() made of a line.
struct Assembled {
  std::optional<u32> word;
  std::string problem;  ///< A sentence, if there is no word.
};

/// The word of a line of table_text(). Registers may be plain numbers; the row is found by its mnemonic.
Assembled assemble(u64 ea, std::string_view line);

}  // namespace baton::cpu::isa
