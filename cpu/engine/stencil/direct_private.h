// SPDX-License-Identifier: Apache-2.0
// What the files of DirectCode share: registers and opcodes of the host, and a piece of code being written.
#pragma once

#include "cpu/engine/stencil/direct.h"
#include "cpu/mmu/access.h"

namespace baton::cpu::stencil {

using isa::Id;
using enum Host;

/// Those of State's fields, whose address is in r12. kMiddle behind it is in rbp all the time, so that what
/// is touched most takes a displacement of one byte.
constexpr At field(u64 offset) {
  const i64 from_middle = static_cast<i64>(offset) - static_cast<i64>(kMiddle);
  if (offset >= 128 && from_middle < 128) return {rbp, static_cast<i32>(from_middle)};
  return {r12, static_cast<i32>(offset)};
}
#define FIELD(name) field(offsetof(State, name))

/// rax, rcx and rsi are what an instruction needs for itself, r12 and rbp are State.
/// Those that functions preserve come first.
inline constexpr Host kHosts[] = {rbx, r13, r14, r15, rdx, rdi, r8, r9, r10, r11};
constexpr bool preserved(Host host) { return host == rbx || host >= r13; }

enum Alu : unsigned { kAdd, kOr, kAdc, kAnd = 4, kSub, kXor, kCmp };
/// The two-operand opcodes of those, register from register or memory.
constexpr u32 opcode(Alu operation) { return operation * 8 + 3; }
enum Shift : unsigned { kLeft = 4, kRight = 5, kRightSigned = 7 };
enum Unary : unsigned { kNot = 2, kNegate = 3 };
inline constexpr u32 kTest = 0x85, kMultiply = 0x0FAF, kMultiplyBy = 0x69, kExtendWord = 0x63,
                     kSwap16 = 0x660F38F0, kSwap = 0x0F38F0, kStoreSwapped16 = 0x660F38F1,
                     kStoreSwapped = 0x0F38F1, kZeroByte = 0x0FB6, kZeroHalf = 0x0FB7, kSignByte = 0x0FBE,
                     kSignHalf = 0x0FBF, kLeadingZeros = 0xF3000FBD, kStoreByte = 0x88;

/// Code that is being written, and the distances in it that are not known before it has its place.
struct DirectCode::Piece : Assembler {
  explicit Piece(u8* first) : Assembler(first), begin(first) {}
  u8* begin;
  struct Distance {
    u8* at;
    u64 to;
    bool op;    ///< `to` is the index of an Op of the run.
    bool back;  ///< It lies in front.
  };
  std::array<Distance, 8> distances{};
  unsigned count = 0;
  void go(u8* at_distance, u64 to) { distances[count++] = {at_distance, to, false, false}; }
  void go_to_op(u8* at_distance, i32 op, bool back) {
    distances[count++] = {at_distance, static_cast<u64>(op), true, back};
  }
};

/// What is in registers of the host at some point.
struct DirectCode::Kept {
  std::array<u8, 16> guests;
  u64 changed;
};

struct DirectCode::Storage {
  unsigned size = 0;
  bool is_signed = false, store = false, update = false, indexed = false;
};

/// Where the bytes are, and where the distance belongs of the way that is taken if that is not known.
struct DirectCode::Found {
  At at;
  u8* otherwise;
  bool alone;           ///< Nobody uses later what is in at.base.
  bool address = true;  ///< The address is in rsi.
};

template <class Write>
u64 DirectCode::cold(Write&& write) {
  u8 buffer[kLargest];
  Piece piece(buffer);
  write(piece);
  const u64 size = static_cast<u64>(piece.at - buffer);
  cold_ -= size;
  std::memcpy(bytes_ + cold_, buffer, size);
  place(piece, cold_);
  return cold_;
}

}  // namespace baton::cpu::stencil
