// SPDX-License-Identifier: Apache-2.0
// The instruction table, the decoder and the disassembler (POWER6-ISA 3).
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "cpu/bits.h"

namespace baton::cpu::isa {

/// One enumerator a row of instructions.def, in its order.
enum class Id : u16 {
#define INSN(id, ...) id,
#include "cpu/isa/instructions.def"
  kCount
};

inline constexpr std::size_t kRows = static_cast<std::size_t>(Id::kCount);

/// Instruction formats.
enum class Form : u8 { D, B, SC, I, M, MD, MDS, X, XL, XFX, XFL, XO, XS, A, DS, DQ, VA, VX, VC, Z22, Z23 };

/// What Operands hold. Unless said otherwise: a = bits 6:10, b = 11:15, c = 16:20, d = 21:25, imm = 0, and
/// for "GPR|0[11:15]" b = 32 when the field is 0.
enum class ImmKind : u8 {
  None,
  SI,         ///< imm = bits 16:31, signed (also the displacement of D-form loads and stores)
  UI,         ///< imm = bits 16:31, unsigned
  SIShifted,  ///< imm = SI << 16
  UIShifted,  ///< imm = UI << 16: take its low 32 bits
  CmpSI,      ///< a = BF; d = 32 if L=0, else 0: shift both operands left by it; imm = SI
  CmpUI,      ///< as CmpSI, imm = UI
  Cmp,        ///< a = BF; d as CmpSI; registers b, c
  DS,         ///< imm = bits 16:29 || 00, signed
  DQ,         ///< imm = bits 16:27 || 0000, signed
  LI,         ///< imm = bits 6:29 || 00, signed
  BD,    ///< imm = bits 16:29 || 00, signed; a = BO; b = BI; c = BI >> 2, d = 8 >> (BI & 3): CR field and bit
  BI,    ///< a, b, c, d as BD; BH is dropped
  SPR,   ///< imm = SPR number, halves put in order
  TBR,   ///< imm = TBR number, halves put in order
  Mask,  ///< c = SH or RB; imm = MASK(MB+32, ME+32), low 32 bits; d = 1 if MB > ME: all of bits 0:31 belong
         ///< to it
  SH6,  ///< c = RB or low SH; imm = 6-bit SH (bit 30 is its high bit); d = 6-bit MB or ME (bit 26 is its high
        ///< bit)
  FXM,  ///< imm = bits 12:19
  FLM,  ///< imm = bits 7:14; d = L (bit 6); b = W (bit 15)
  U,    ///< imm = bits 16:19; a = BF; b = W (bit 15)
  LEV,  ///< imm = bits 20:26
};

/// Who may execute it. In a partition a Hypervisor instruction is privileged even for the supervisor.
enum class Privilege : u8 { User, Privileged, Hypervisor };

/// The facility that MSR must make available first.
enum class Facility : u8 { Base, FP, VMX, DFP };

/// A row of instructions.def.
struct Row {
  Id id;
  const char* mnemonic;
  Form form;
  u32 mask;
  u32 value;
  const char* operands;
  ImmKind imm;
  Privilege privilege;
  Facility facility;
  bool ra_or_zero;  ///< `operands` has GPR|0[11:15].
};

/// All rows; table()[i].id == i.
std::span<const Row> table();

/// The row of an instruction word, or nullptr when POWER6 takes an illegal-instruction interrupt: no such
/// opcode, or an invalid form (4.1: update with RA=0, loads also with RA=RT, and lq; 4.5: bcctr that
/// decrements; odd pairs).
const Row* decode(u32 word);

/// The fields of an instruction as semantics take them; `imm` is used sign-extended.
struct Operands {
  u8 a = 0, b = 0, c = 0, d = 0;
  i32 imm = 0;
};
Operands operands(const Row& row, u32 word);

/// True for b, bc, bclr, bcctr and their kin: what branch trace traces.
bool is_branch(u32 word);

/// What an alignment interrupt puts into DSISR: which instruction and registers (POWER6-ISA 4.7); 0 if it is
/// none.
u32 alignment_dsisr(u32 word);

/// Text of the instruction at `ea` for people, extended mnemonics included; ".long" if POWER6 has none. For
/// what has to be read back: table_text() in assembly.h.
std::string disassemble(u64 ea, u32 word);

/// MASK(first, last) of the ISA for 32-bit words: ones from bit `first` round to bit `last` (0..31).
constexpr u32 mask32(unsigned first, unsigned last) {
  const u32 from = ~u32{0} >> first, to = ~u32{0} << (31 - last);
  return first <= last ? from & to : from | to;
}

}  // namespace baton::cpu::isa
