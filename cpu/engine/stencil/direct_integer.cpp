// SPDX-License-Identifier: Apache-2.0
// Instructions on registers.
#include "cpu/engine/stencil/direct_private.h"
#include "cpu/semantics/branch.h"
#include "cpu/semantics/priority.h"
#include "cpu/semantics/system.h"

namespace baton::cpu::stencil {

/// From the flags of a comparison, which it leaves alone.
void DirectCode::set_field(u8 number, bool is_signed) {
  // Four bytes are read, and one of them counts.
  const auto condition = [](u64 i) { return field(offsetof(State, conditions) + i); };
  a_.op(false, 0x8B, rcx, condition(0));
  a_.move_if(is_signed ? If::greater : If::above, rcx, condition(1));
  a_.move_if(is_signed ? If::less : If::carry, rcx, condition(2));
  a_.op(false, kStoreByte, rcx, field(offsetof(State, cr) + number));
  flags_ = {number, is_signed};
}

/// CR0 of a result.
void DirectCode::record(Host value) {
  a_.op(!narrow_, kTest, value, value);
  set_field(0, true);
}

void DirectCode::compare(const isa::Operands& o, bool is_signed, bool with_immediate) {
  const Host x = use(o.b);
  const Host y = with_immediate ? kNowhere : use(o.c);
  if (with_immediate)
    a_.immediate(o.d == 0, kCmp, x, o.imm);
  else
    a_.op(o.d == 0, opcode(kCmp), x, y);
  set_field(o.a, is_signed);
}

bool DirectCode::compute(const Decoded& instruction) {
  const isa::Operands& o = instruction.operands;
  const Id id = instruction.row->id;
  // `to` <- x op y, whichever registers are the same.
  const auto both = [&](Alu operation, u8 to, u8 x, u8 y) {
    const Host hx = use(x), hy = use(y), d = define(to);
    if (d == hy) return a_.op(true, opcode(operation), d, hx);
    if (d != hx) a_.mov(d, hx);
    a_.op(true, opcode(operation), d, hy);
  };
  // `to` <- from, to be changed in place.
  const auto copy = [&](u8 to, u8 from) {
    const Host h = use(from), d = define(to);
    if (d != h) a_.mov(d, h);
    return d;
  };
  const auto finish = [&](bool recorded, u8 to) {
    if (recorded) record(hosts_[to]);
    return true;
  };
  const auto unsigned_imm = static_cast<u32>(o.imm);
  switch (id) {
    // -- arithmetic
    case Id::addi:
    case Id::addis: {
      if (o.b == 32) {
        a_.set(define(o.a), static_cast<u64>(i64{o.imm}));
        return true;
      }
      const Host b = use(o.b), d = define(o.a);
      if (d == b)
        a_.immediate(true, kAdd, d, o.imm);
      else
        a_.lea(true, d, {b, o.imm});
      return true;
    }
    case Id::add:
    case Id::add_rc: {
      const Host b = use(o.b), c = use(o.c), d = define(o.a);
      if (d == b)
        a_.op(true, opcode(kAdd), d, c);
      else if (d == c)
        a_.op(true, opcode(kAdd), d, b);
      else
        a_.lea(true, d, {b, 0, c});
      return finish(id == Id::add_rc, o.a);
    }
    case Id::subf:
    case Id::subf_rc: {
      const Host b = use(o.b), c = use(o.c), d = define(o.a);
      if (d == b && d != c) {
        a_.unary(true, kNegate, d);
        a_.op(true, opcode(kAdd), d, c);
      } else {
        if (d != c) a_.mov(d, c);
        a_.op(true, opcode(kSub), d, b);
      }
      return finish(id == Id::subf_rc, o.a);
    }
    case Id::neg:
    case Id::neg_rc:
      a_.unary(true, kNegate, copy(o.a, o.b));
      return finish(id == Id::neg_rc, o.a);
    case Id::mulli: {
      const Host b = use(o.b), d = define(o.a);
      a_.op(true, kMultiplyBy, d, b);
      std::memcpy(a_.at, &o.imm, 4);
      a_.at += 4;
      return true;
    }
    case Id::mulld: {
      const Host b = use(o.b), c = use(o.c), d = define(o.a);
      if (d != b && d != c) a_.mov(d, b);
      a_.op(true, kMultiply, d, d == c ? b : c);
      return true;
    }
    case Id::mullw: {
      a_.op(true, kExtendWord, rax, use(o.b));
      a_.op(true, kExtendWord, rcx, use(o.c));
      a_.op(true, kMultiply, rax, rcx);
      a_.mov(define(o.a), rax);
      return true;
    }
    // -- logic
    case Id::or_op:
      if (sem::is_priority_nop(o.a, o.b, o.c)) return false;
      if (o.a == o.c) {
        copy(o.b, o.a);
        return true;
      }
      both(kOr, o.b, o.a, o.c);
      return true;
    case Id::or_rc:
      both(kOr, o.b, o.a, o.c);
      return finish(true, o.b);
    case Id::and_op:
    case Id::and_rc:
      both(kAnd, o.b, o.a, o.c);
      return finish(id == Id::and_rc, o.b);
    case Id::xor_op:
      both(kXor, o.b, o.a, o.c);
      return true;
    case Id::nor:
      both(kOr, o.b, o.a, o.c);
      a_.unary(true, kNot, hosts_[o.b]);
      return true;
    case Id::nand:
      both(kAnd, o.b, o.a, o.c);
      a_.unary(true, kNot, hosts_[o.b]);
      return true;
    case Id::eqv:
      both(kXor, o.b, o.a, o.c);
      a_.unary(true, kNot, hosts_[o.b]);
      return true;
    case Id::andc:
    case Id::andc_rc: {
      const Host x = use(o.a), y = use(o.c);
      a_.andn(define(o.b), y, x);
      return finish(id == Id::andc_rc, o.b);
    }
    case Id::ori:
    case Id::oris:
    case Id::xori:
    case Id::xoris: {
      const bool is_or = id == Id::ori || id == Id::oris;
      if (unsigned_imm == 0 && o.a == o.b) return true;
      const Host d = copy(o.b, o.a);
      if (unsigned_imm == 0) return true;
      if (o.imm > 0) {
        a_.immediate(true, is_or ? kOr : kXor, d, o.imm);
      } else {
        a_.set(rax, unsigned_imm);
        a_.op(true, opcode(is_or ? kOr : kXor), d, rax);
      }
      return true;
    }
    case Id::andi_rc:
    case Id::andis_rc: {
      const Host a = use(o.a), d = define(o.b);
      if (unsigned_imm == 0xFF) {
        a_.op(false, kZeroByte, d, a, true);
      } else if (unsigned_imm == 0xFFFF) {
        a_.op(false, kZeroHalf, d, a);
      } else {
        if (d != a) a_.mov32(d, a);
        a_.immediate(false, kAnd, d, o.imm);
      }
      return finish(true, o.b);
    }
    case Id::extsb: {
      const Host a = use(o.a);
      a_.op(true, kSignByte, define(o.b), a, true);
      return true;
    }
    case Id::extsh: {
      const Host a = use(o.a);
      a_.op(true, kSignHalf, define(o.b), a);
      return true;
    }
    case Id::extsw:
    case Id::extsw_rc: {
      const Host a = use(o.a);
      a_.op(true, kExtendWord, define(o.b), a);
      return finish(id == Id::extsw_rc, o.b);
    }
    case Id::cntlzw:
    case Id::cntlzd: {
      const Host a = use(o.a);
      a_.op(id == Id::cntlzd, kLeadingZeros, define(o.b), a);
      return true;
    }
    // -- shifts
    case Id::slw: {
      const Host a = use(o.a), c = use(o.c);
      a_.shift_by(1, rax, a, c);
      a_.mov32(define(o.b), rax);
      return true;
    }
    case Id::srw: {
      const Host a = use(o.a), c = use(o.c);
      a_.mov32(rax, a);
      a_.shift_by(3, define(o.b), rax, c);
      return true;
    }
    case Id::sld:
    case Id::srd: {
      const Host a = use(o.a), c = use(o.c);
      a_.shift_by(id == Id::sld ? 1 : 3, rax, a, c);
      a_.set(rcx, 0);
      a_.set(rsi, 64);
      a_.op(false, kTest, c, rsi);
      a_.move_if(If::differ, rax, rcx);
      a_.mov(define(o.b), rax);
      return true;
    }
    case Id::srawi:
    case Id::sradi: {
      const u32 by = id == Id::srawi ? o.c : unsigned_imm;
      const Host a = use(o.a);
      if (id == Id::srawi)
        a_.op(true, kExtendWord, rax, a);
      else
        a_.mov(rax, a);
      if (by == 0) {
        a_.store_byte(FIELD(xer_ca), 0);
      } else {
        // Of a negative number the bits that are lost; of others none.
        a_.mov(rcx, rax);
        a_.shift(true, kRightSigned, rcx, 63);
        a_.op(true, opcode(kAnd), rcx, rax);
        a_.shift(true, kLeft, rcx, 64 - by);
        a_.set_if(If::differ, FIELD(xer_ca));
        a_.shift(true, kRightSigned, rax, by);
      }
      a_.mov(define(o.b), rax);
      return true;
    }
    // -- rotates
    case Id::rlwinm:
    case Id::rlwinm_rc: {
      if (o.d != 0) return false;
      const Host a = use(o.a), d = define(o.b);
      if (o.c == 0 && unsigned_imm == 0xFF) {
        a_.op(false, kZeroByte, d, a, true);
      } else if (o.c == 0 && unsigned_imm == 0xFFFF) {
        a_.op(false, kZeroHalf, d, a);
      } else {
        if (o.c != 0)
          a_.rorx(false, d, a, 32u - o.c);
        else if (d != a || unsigned_imm == ~u32{0})
          a_.mov32(d, a);
        if (unsigned_imm != ~u32{0}) a_.immediate(false, kAnd, d, o.imm);
      }
      return finish(id == Id::rlwinm_rc, o.b);
    }
    case Id::rlwimi: {
      if (o.d != 0) return false;
      const Host a = use(o.a);
      a_.rorx(false, rax, a, (32u - o.c) & 31);
      a_.immediate(false, kAnd, rax, o.imm);
      use(o.b);
      const Host d = define(o.b);
      a_.set(rcx, ~u64{unsigned_imm});
      a_.op(true, opcode(kAnd), d, rcx);
      a_.op(true, opcode(kOr), d, rax);
      return true;
    }
    case Id::rldicl:
    case Id::rldicl_rc: {
      const u32 by = unsigned_imm & 63, clear = o.d;
      const Host a = use(o.a), d = define(o.b);
      if (by == 0 && clear == 32) {
        a_.mov32(d, a);
      } else if (by == 0 && clear == 48) {
        a_.op(false, kZeroHalf, d, a);
      } else if (by == 0 && clear == 56) {
        a_.op(false, kZeroByte, d, a, true);
      } else if (by != 0 && clear == 64 - by) {
        if (d != a) a_.mov(d, a);
        a_.shift(true, kRight, d, clear);
      } else {
        if (by != 0)
          a_.rorx(true, d, a, 64 - by);
        else if (d != a)
          a_.mov(d, a);
        if (clear > 32) {
          a_.immediate(false, kAnd, d, static_cast<i32>(~u64{0} >> clear));
        } else if (clear == 32) {
          a_.mov32(d, d);
        } else if (clear != 0) {
          a_.shift(true, kLeft, d, clear);
          a_.shift(true, kRight, d, clear);
        }
      }
      return finish(id == Id::rldicl_rc, o.b);
    }
    case Id::rldicr: {
      const u32 by = unsigned_imm & 63, clear = 63u - o.d;  // from the right
      const Host a = use(o.a), d = define(o.b);
      if (by != 0 && clear == by) {
        if (d != a) a_.mov(d, a);
        a_.shift(true, kLeft, d, by);
        return true;
      }
      if (by != 0)
        a_.rorx(true, d, a, 64 - by);
      else if (d != a)
        a_.mov(d, a);
      if (clear != 0 && clear < 32) {
        a_.immediate(true, kAnd, d, static_cast<i32>(~u32{0} << clear));
      } else if (clear != 0) {
        a_.shift(true, kRight, d, clear);
        a_.shift(true, kLeft, d, clear);
      }
      return true;
    }
    case Id::rldic: {
      const u32 by = unsigned_imm & 63, clear = o.d;
      if (clear + by > 63) return false;
      const Host d = copy(o.b, o.a);
      if (by + clear != 0) a_.shift(true, kLeft, d, by + clear);
      if (clear != 0) a_.shift(true, kRight, d, clear);
      return true;
    }
    case Id::rldimi: {
      const u32 by = unsigned_imm & 63, first = o.d;
      if (first + by > 63) return false;
      const Host a = use(o.a);
      const u64 mask = (~u64{0} >> first) & (~u64{0} << by);
      a_.rorx(true, rax, a, (64 - by) & 63);
      a_.set(rcx, mask);
      a_.op(true, opcode(kAnd), rax, rcx);
      use(o.b);
      const Host d = define(o.b);
      a_.unary(true, kNot, rcx);
      a_.op(true, opcode(kAnd), d, rcx);
      a_.op(true, opcode(kOr), d, rax);
      return true;
    }
    // -- comparisons
    case Id::cmp:
    case Id::cmpi:
      return compare(o, true, id == Id::cmpi), true;
    case Id::cmpl:
    case Id::cmpli:
      return compare(o, false, id == Id::cmpli), true;
    // -- moves
    case Id::dcbt:
    case Id::dcbtst:
      return true;
    case Id::mfspr:
      if (o.imm != sem::kSprLr && o.imm != sem::kSprCtr) return false;
      copy(o.a, o.imm == sem::kSprLr ? kLr : kCtr);
      return true;
    case Id::mtspr:
      if (o.imm != sem::kSprLr && o.imm != sem::kSprCtr) return false;
      copy(o.imm == sem::kSprLr ? kLr : kCtr, o.a);
      return true;
    default:
      return !narrow_ && carry(id, o);
  }
}

/// The carry flag <- XER[CA]. Only its byte is read: it may just have been written.
void DirectCode::carry_in() {
  a_.op(false, kZeroByte, rcx, FIELD(xer_ca));
  a_.unary(false, kNegate, rcx);
}

/// Those that write XER[CA] as a 64-bit addition does.
bool DirectCode::carry(Id id, const isa::Operands& o) {
  const auto result = [&](If condition, bool recorded) {
    a_.set_if(condition, FIELD(xer_ca));
    const Host d = define(o.a);
    a_.mov(d, rax);
    if (recorded) record(d);
    return true;
  };
  switch (id) {
    case Id::addic:
    case Id::addic_rc:
      a_.mov(rax, use(o.b));
      a_.immediate(true, kAdd, rax, o.imm);
      return result(If::carry, id == Id::addic_rc);
    case Id::subfic:
      a_.set(rax, static_cast<u64>(i64{o.imm}));
      a_.op(true, opcode(kSub), rax, use(o.b));
      return result(If::no_carry, false);
    case Id::addc:
      a_.mov(rax, use(o.b));
      a_.op(true, opcode(kAdd), rax, use(o.c));
      return result(If::carry, false);
    case Id::subfc:
      a_.mov(rax, use(o.c));
      a_.op(true, opcode(kSub), rax, use(o.b));
      return result(If::no_carry, false);
    case Id::adde:
    case Id::subfe: {
      const Host b = use(o.b), c = use(o.c);
      a_.mov(rax, b);
      if (id == Id::subfe) a_.unary(true, kNot, rax);
      carry_in();
      a_.op(true, opcode(kAdc), rax, c);
      return result(If::carry, false);
    }
    case Id::addze:
    case Id::addme:
    case Id::subfze:
    case Id::subfme:
      a_.mov(rax, use(o.b));
      if (id == Id::subfze || id == Id::subfme) a_.unary(true, kNot, rax);
      carry_in();
      a_.immediate(true, kAdc, rax, id == Id::addme || id == Id::subfme ? -1 : 0);
      return result(If::carry, false);
    default:
      return false;
  }
}

namespace {

/// A special purpose register of the supervisor that is a field of State and nothing more.
struct PlainSpr {
  At at;
  bool wide;
};
PlainSpr plain_spr(i32 number) {
  switch (number) {
    case 18:
      return {FIELD(dsisr), false};
    case 19:
      return {FIELD(dar), true};
    case 26:
      return {FIELD(srr0), true};
    case 27:
      return {FIELD(srr1), true};
    case 272:
    case 273:
    case 274:
    case 275:
      return {field(offsetof(State, sprg) + 8u * static_cast<u32>(number - 272)), true};
    default:
      return {{rax}, false};
  }
}

}  // namespace

/// Moves of the supervisor. In problem state, and with a line up, the interpreter does what they say.
bool DirectCode::privileged(const Decoded& instruction, i32 index) {
  const isa::Operands& o = instruction.operands;
  const Id id = instruction.row->id;
  const bool moves_spr = id == Id::mfspr || id == Id::mtspr;
  const PlainSpr spr = plain_spr(moves_spr ? o.imm : 0);
  if (moves_spr ? spr.at.base == rax : id != Id::mfmsr && !(id == Id::mtmsrd && o.b & 1)) return false;
  clean();
  const u64 out = cold([&](Piece& p) {
    p.load(r13, FIELD(page_ops));
    p.lea(true, r13, {r13, 16 * index});
    p.go(p.jump(), shared_.interpret_here);
  });
  const auto out_if_not_zero = [&] { put(static_cast<u64>(a_.jump_if(If::differ) - bytes_), out); };
  a_.test_byte(field(offsetof(State, msr) + 1), msr::PR >> 8);
  out_if_not_zero();
  if (id == Id::mtspr || id == Id::mtmsrd) {
    a_.immediate(false, kCmp, FIELD(lines), 0);
    out_if_not_zero();
  }
  switch (id) {
    case Id::mfspr:
      a_.op(spr.wide, 0x8B, define(o.a), spr.at);
      break;
    case Id::mtspr:
      a_.op(spr.wide, 0x89, use(o.a), spr.at);
      break;
    case Id::mfmsr:
      a_.load(define(o.a), FIELD(msr));
      break;
    default:
      // EE and RI alone.
      a_.load(rax, FIELD(msr));
      a_.mov(rcx, rax);
      a_.op(true, opcode(kXor), rcx, use(o.a));
      a_.immediate(false, kAnd, rcx, msr::EE | msr::RI);
      a_.op(true, opcode(kXor), rax, rcx);
      a_.store(FIELD(msr), rax);
  }
  return true;
}

}  // namespace baton::cpu::stencil
