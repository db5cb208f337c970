// SPDX-License-Identifier: Apache-2.0
// The x86-64 instructions that the emitter writes, as bytes.
#pragma once

#include <cstring>

#include "cpu/bits.h"

namespace baton::cpu::stencil {

/// A general register of the host.
enum class Host : u8 { rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15 };

/// Conditions as jcc, setcc and cmovcc number them.
enum class If : u8 { carry = 2, no_carry = 3, equal = 4, differ = 5, above = 7, less = 0xC, greater = 0xF };
constexpr If opposite(If condition) { return static_cast<If>(static_cast<u8>(condition) ^ 1); }

/// [base + scale * index + displacement]; index rsp: none.
struct At {
  Host base;
  i32 displacement = 0;
  Host index = Host::rsp;
  u8 scale = 1;
};

/// Writes instructions at `at`, one behind the other. Widths: true means 64 bits, false 32.
class Assembler {
 public:
  explicit Assembler(u8* begin) : at(begin) {}
  u8* at;

  // Opcodes as numbers: a mandatory prefix in the high byte if there are four.
  void op(bool wide, u32 opcode, Host reg, Host rm, bool bytes = false) {
    prefix(wide, opcode, reg, Host::rsp, rm, bytes && (is_new_byte(reg) || is_new_byte(rm)));
    byte(0xC0 | low(reg) << 3 | low(rm));
  }
  void op(bool wide, u32 opcode, Host reg, At m, bool bytes = false) {
    prefix(wide, opcode, reg, m.index, m.base, bytes && is_new_byte(reg));
    address(low(reg), m);
  }
  void mov(Host to, Host from) { op(true, 0x8B, to, from); }
  void mov32(Host to, Host from) { op(false, 0x8B, to, from); }
  void load(Host to, At from) { op(true, 0x8B, to, from); }
  void store(At to, Host from) { op(true, 0x89, from, to); }
  void lea(bool wide, Host to, At from) { op(wide, 0x8D, to, from); }
  /// Any number, in the shortest way that leaves the flags alone.
  void set(Host to, u64 value) {
    if (value == static_cast<u32>(value)) {
      prefix(false, 0xB8u | low(to), Host::rax, Host::rsp, to, false);
      word(static_cast<u32>(value));
    } else if (static_cast<i64>(value) == static_cast<i32>(value)) {
      prefix(true, 0xC7, Host::rax, Host::rsp, to, false);
      byte(0xC0 | low(to));
      word(static_cast<u32>(value));
    } else {
      prefix(true, 0xB8u | low(to), Host::rax, Host::rsp, to, false);
      std::memcpy(at, &value, 8);
      at += 8;
    }
  }
  /// add 0, or 1, adc 2, and 4, sub 5, xor 6, cmp 7
  void immediate(bool wide, unsigned operation, Host to, i32 value) {
    const bool small = value == static_cast<i8>(value);
    prefix(wide, small ? 0x83 : 0x81, Host::rax, Host::rsp, to, false);
    byte(0xC0 | operation << 3 | low(to));
    small ? byte(static_cast<u8>(value)) : word(static_cast<u32>(value));
  }
  void immediate(bool wide, unsigned operation, At to, i32 value) {
    const bool small = value == static_cast<i8>(value);
    prefix(wide, small ? 0x83 : 0x81, Host::rax, to.index, to.base, false);
    address(operation, to);
    small ? byte(static_cast<u8>(value)) : word(static_cast<u32>(value));
  }
  /// rol 0, shl 4, shr 5, sar 7
  void shift(bool wide, unsigned operation, Host to, unsigned by) {
    prefix(wide, 0xC1, Host::rax, Host::rsp, to, false);
    byte(0xC0 | operation << 3 | low(to));
    byte(by);
  }
  /// not 2, neg 3
  void unary(bool wide, unsigned operation, Host to) {
    prefix(wide, 0xF7, Host::rax, Host::rsp, to, false);
    byte(0xC0 | operation << 3 | low(to));
  }
  /// Rotated right, without flags.
  void rorx(bool wide, Host to, Host from, unsigned by) {
    vex(wide, 3, 3, to, Host::rax, from);
    byte(0xF0);
    byte(0xC0 | low(to) << 3 | low(from));
    byte(by);
  }
  /// Shifts without flags: shlx 1, sarx 2, shrx 3.
  void shift_by(unsigned operation, Host to, Host from, Host by) {
    vex(true, 2, operation, to, by, from);
    byte(0xF7);
    byte(0xC0 | low(to) << 3 | low(from));
  }
  /// `to` = ~x & y
  void andn(Host to, Host x, Host y) {
    vex(true, 2, 0, to, x, y);
    byte(0xF2);
    byte(0xC0 | low(to) << 3 | low(y));
  }
  void set_if(If condition, At to) {
    prefix(false, 0x0F90u | static_cast<u32>(condition), Host::rax, to.index, to.base, false);
    address(0, to);
  }
  void move_if(If condition, Host to, Host from) {
    op(true, 0x0F40u | static_cast<u32>(condition), to, from);
  }
  void move_if(If condition, Host to, At from) { op(false, 0x0F40u | static_cast<u32>(condition), to, from); }
  void store_byte(At to, u8 value) {
    prefix(false, 0xC6, Host::rax, to.index, to.base, false);
    address(0, to);
    byte(value);
  }
  void test_byte(At m, u8 bits) {
    prefix(false, 0xF6, Host::rax, m.index, m.base, false);
    address(0, m);
    byte(bits);
  }
  void push(Host reg) { prefix(false, 0x50u | low(reg), Host::rax, Host::rsp, reg, false); }
  void pop(Host reg) { prefix(false, 0x58u | low(reg), Host::rax, Host::rsp, reg, false); }
  void jump(At to) {
    prefix(false, 0xFF, Host::rax, to.index, to.base, false);
    address(4, to);
  }
  void call(Host to) {
    prefix(false, 0xFF, Host::rax, Host::rsp, to, false);
    byte(0xD0 | low(to));
  }
  void ret() { byte(0xC3); }
  /// These end in the 32-bit distance, which is returned for somebody to fill in.
  u8* jump() { return byte(0xE9), distance(); }
  u8* call() { return byte(0xE8), distance(); }
  /// The jump with this distance leads here.
  void land(u8* distance) const {
    const i32 length = static_cast<i32>(at - (distance + 4));
    std::memcpy(distance, &length, 4);
  }
  u8* jump_if(If condition) { return byte(0x0F), byte(0x80 | static_cast<u32>(condition)), distance(); }

 private:
  static constexpr u32 low(Host reg) { return static_cast<u32>(reg) & 7; }
  static constexpr u32 high(Host reg) { return static_cast<u32>(reg) >> 3; }
  /// spl, bpl, sil, dil need a REX prefix.
  static constexpr bool is_new_byte(Host reg) { return reg >= Host::rsp && reg <= Host::rdi; }
  void byte(u32 value) { *at++ = static_cast<u8>(value); }
  void word(u32 value) {
    std::memcpy(at, &value, 4);
    at += 4;
  }
  u8* distance() {
    at += 4;
    return at - 4;
  }
  void prefix(bool wide, u32 opcode, Host reg, Host index, Host base, bool always) {
    if (opcode >> 24) byte(opcode >> 24);
    // rsp stands for no index, and its number has no high bit.
    const u32 rex = u32{wide} << 3 | high(reg) << 2 | high(index) << 1 | high(base);
    if (rex || always) byte(0x40 | rex);
    if (opcode >> 16 & 0xFF) byte(opcode >> 16 & 0xFF);
    if (opcode >> 8 & 0xFF) byte(opcode >> 8 & 0xFF);
    byte(opcode & 0xFF);
  }
  void vex(bool wide, u32 map, u32 prefix, Host reg, Host second, Host rm) {
    byte(0xC4);
    byte((high(reg) ^ 1) << 7 | 1 << 6 | (high(rm) ^ 1) << 5 | map);
    byte(u32{wide} << 7 | (~static_cast<u32>(second) & 15) << 3 | prefix);
  }
  void address(u32 reg, At m) {
    const bool sib = m.index != Host::rsp || low(m.base) == 4;
    // Without a displacement rbp and r13 would mean something else.
    const u32 mode = m.displacement == 0 && low(m.base) != 5             ? 0
                     : m.displacement == static_cast<i8>(m.displacement) ? 1
                                                                         : 2;
    byte(mode << 6 | reg << 3 | (sib ? 4 : low(m.base)));
    if (sib)
      byte((m.scale == 8   ? 3u
            : m.scale == 4 ? 2u
            : m.scale == 2 ? 1u
                           : 0u)
               << 6 |
           low(m.index) << 3 | low(m.base));
    if (mode == 1) byte(static_cast<u8>(m.displacement));
    if (mode == 2) word(static_cast<u32>(m.displacement));
  }
};

}  // namespace baton::cpu::stencil
