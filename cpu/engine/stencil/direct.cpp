// SPDX-License-Identifier: Apache-2.0
#include "cpu/engine/stencil/direct.h"

#include <algorithm>
#include <bit>

#include "cpu/mmu/access.h"
#include "cpu/semantics/branch.h"
#include "cpu/semantics/priority.h"
#include "cpu/semantics/system.h"

namespace baton::cpu::stencil {

using isa::Id;
using enum Host;

namespace {

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
constexpr Host kHosts[] = {rbx, r13, r14, r15, rdx, rdi, r8, r9, r10, r11};
constexpr bool preserved(Host host) { return host == rbx || host >= r13; }

enum Alu : unsigned { kAdd, kOr, kAdc, kAnd = 4, kSub, kXor, kCmp };
/// The two-operand opcodes of those, register from register or memory.
constexpr u32 opcode(Alu operation) { return operation * 8 + 3; }
enum Shift : unsigned { kLeft = 4, kRight = 5, kRightSigned = 7 };
enum Unary : unsigned { kNot = 2, kNegate = 3 };
constexpr u32 kTest = 0x85, kMultiply = 0x0FAF, kMultiplyBy = 0x69, kExtendWord = 0x63, kSwap16 = 0x660F38F0,
              kSwap = 0x0F38F0, kStoreSwapped16 = 0x660F38F1, kStoreSwapped = 0x0F38F1, kZeroByte = 0x0FB6,
              kZeroHalf = 0x0FB7, kSignByte = 0x0FBE, kSignHalf = 0x0FBF, kLeadingZeros = 0xF3000FBD,
              kStoreByte = 0x88;

}  // namespace

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

/// Where State has it.
At DirectCode::slot(u8 guest) {
  switch (guest) {
    case kLr:
      return FIELD(lr);
    case kCtr:
      return FIELD(ctr);
    case kLookAside:
      return FIELD(dtlb);
    default:
      return field(offsetof(State, gpr) + 8u * guest);
  }
}

void DirectCode::put(u64 at, u64 to) {
  const u32 distance = static_cast<u32>(to - at - 4);
  std::memcpy(bytes_ + at, &distance, 4);
}

void DirectCode::place(const Piece& piece, u64 at) {
  for (unsigned i = 0; i < piece.count; i++) {
    const auto& d = piece.distances[i];
    const u64 from = at + static_cast<u64>(d.at - piece.begin);
    if (d.op)
      jumps_.push_back({from, static_cast<i32>(d.to), d.back});
    else
      put(from, d.to);
  }
}

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

SharedCode DirectCode::share(u8* bytes, u64& at) {
  SharedCode shared;
  Assembler a(bytes + at);
  const auto begin = [&](u64& offset) { offset = static_cast<u64>(a.at - bytes); };
  const auto way_out = [&](u64& offset, Handler to) {
    begin(offset);
    a.set(rax, reinterpret_cast<u64>(to));
    a.op(false, 0xFF, static_cast<Host>(4), rax);  // jmp rax
  };
  way_out(shared.stop_at, &stop_at);
  way_out(shared.asked_at, &asked_at);
  way_out(shared.leave_by_branch, &leave_by_branch);
  way_out(shared.interpret_here, &interpret_here);
  // (address in rsi, size in edx), called with the stack as a handler finds it; not equal: done.
  const auto slow = [&](u64& offset, u64 function) {
    begin(offset);
    a.mov(rdi, r12);
    a.lea(true, rcx, FIELD(slow_value));
    a.set(rax, function);
    a.call(rax);
    a.op(false, 0x84, rax, rax);  // test al, al
    a.ret();
  };
  slow(shared.load, reinterpret_cast<u64>(&load_slow));
  slow(shared.store, reinterpret_cast<u64>(&store_slow));
  at = static_cast<u64>(a.at - bytes);
  return shared;
}

// ---- registers

Host DirectCode::take() {
  Host oldest = kNowhere;
  for (const Host host : kHosts) {
    const u8 i = static_cast<u8>(host);
    if (locked_ >> i & 1) continue;
    if (guests_[i] == kNobody) {
      oldest = host;
      break;
    }
    if (oldest == kNowhere || used_[i] < used_[static_cast<u8>(oldest)]) oldest = host;
  }
  drop(oldest);
  locked_ |= 1u << static_cast<u8>(oldest);
  return oldest;
}

void DirectCode::drop(Host host) {
  u8& guest = guests_[static_cast<u8>(host)];
  if (guest == kNobody) return;
  if (changed_ >> guest & 1) a_.store(slot(guest), host);
  changed_ &= ~(u64{1} << guest);
  hosts_[guest] = kNowhere;
  guest = kNobody;
}

void DirectCode::map(u8 guest, Host host) {
  guests_[static_cast<u8>(host)] = guest;
  hosts_[guest] = host;
  used_[static_cast<u8>(host)] = ++now_;
  locked_ |= 1u << static_cast<u8>(host);
}

/// The register that holds `guest`.
Host DirectCode::use(u8 guest) {
  if (hosts_[guest] == kNowhere) {
    const Host host = take();
    a_.load(host, slot(guest));
    map(guest, host);
  } else {
    map(guest, hosts_[guest]);
  }
  return hosts_[guest];
}

/// The register that is about to hold a new value of `guest`. If the old value is at hand, it is in there.
Host DirectCode::define(u8 guest) {
  if (guest == window_.base) forget_addend();
  map(guest, hosts_[guest] == kNowhere ? take() : hosts_[guest]);
  changed_ |= u64{1} << guest;
  return hosts_[guest];
}

/// Makes State current; the flags stay as they are.
void DirectCode::clean() {
  clean(a_);
  changed_ = 0;
}
void DirectCode::clean(Assembler& a) const {
  for (u64 left = changed_; left != 0; left &= left - 1) {
    const u8 guest = static_cast<u8>(std::countr_zero(left));
    a.store(slot(guest), hosts_[guest]);
  }
}

DirectCode::Kept DirectCode::kept() const { return {guests_, changed_}; }

void DirectCode::adopt(u8 guest) {
  locked_ = 0;
  if (hosts_[guest] == kNowhere && guests_[static_cast<u8>(r13)] == kNobody) map(guest, r13);
}

void DirectCode::settle() {
  a_.at = bytes_ + hot_;
  clean();
  hot_ = here();
  guests_.fill(kNobody);
  hosts_.fill(kNowhere);
  flags_ = {};
  window_ = {};
}

// ---- where control comes from elsewhere

/// Somebody who goes there has what registers hold now, and State is current.
void DirectCode::reach(Label& label) {
  std::array<u8, 16> here = guests_;
  // What was found for accesses is for those in front of the label.
  if (hosts_[kAddend] != kNowhere) here[static_cast<u8>(hosts_[kAddend])] = kNobody;
  if (!std::exchange(label.reached, true)) {
    label.guests = here;
    return;
  }
  for (std::size_t i = 0; i < here.size(); i++)
    if (label.guests[i] != here[i]) label.guests[i] = kNobody;
}

void DirectCode::arrive(i32 index, bool falls_in, std::span<const Decoded> loop) {
  Label& here_is = label(index);
  a_.at = bytes_ + hot_;
  clean();
  if (falls_in) reach(here_is);
  flags_ = {};
  window_ = {};
  hosts_.fill(kNowhere);
  guests_.fill(kNobody);
  if (here_is.reached) guests_ = here_is.guests;
  for (const Host host : kHosts)
    if (const u8 guest = guests_[static_cast<u8>(host)]; guest != kNobody) hosts_[guest] = host;
  here_is.join = here();
  if (!loop.empty()) preload(loop);
  hot_ = here_is.loop = here();
  here_is.guests = guests_;
}

/// The registers that an instruction names, as bits.
u64 DirectCode::named(const Decoded& instruction) {
  struct Fields {
    bool a, b, c;
  };
  static const std::vector<Fields> fields = [] {
    std::vector<Fields> all;
    for (const isa::Row& row : isa::table()) {
      const std::string_view operands = row.operands;
      const auto has = [&](std::string_view bits) {
        return operands.find(std::string("GPR").append(bits)) != std::string_view::npos ||
               operands.find(std::string("GPR|0").append(bits)) != std::string_view::npos;
      };
      all.push_back({has("[6:10]"), has("[11:15]"), has("[16:20]")});
    }
    return all;
  }();
  const auto& [a, b, c] = fields[static_cast<std::size_t>(instruction.row->id)];
  const isa::Operands& o = instruction.operands;
  const auto bit = [](bool is_one, u8 number) { return is_one && number < 32 ? u64{1} << number : 0; };
  u64 bits = bit(a, o.a) | bit(b, o.b) | bit(c, o.c);
  if (instruction.row->id == Id::bc && !(o.a & 4)) bits |= u64{1} << kCtr;
  return bits;
}

/// Brings what a loop names most often, so that it finds it in registers each time.
void DirectCode::preload(std::span<const Decoded> loop) {
  std::array<u32, kGuests> times{};
  for (const Decoded& instruction : loop) {
    if (!instruction.row) return;
    for (u64 left = named(instruction); left != 0; left &= left - 1) times[std::countr_zero(left)]++;
    times[kLookAside] += storage_of(instruction.row->id) != nullptr;
  }
  std::array<u8, kGuests> order;
  for (u8 i = 0; i < kGuests; i++) order[i] = i;
  std::ranges::sort(order, [&](u8 x, u8 y) { return times[x] != times[y] ? times[x] > times[y] : x < y; });
  // One register is left for what was found.
  const std::span most = std::span(order).first(std::size(kHosts) - 1);
  for (const Host host : kHosts)
    if (const u8 guest = guests_[static_cast<u8>(host)];
        guest != kNobody && std::ranges::find(most, guest) == most.end())
      drop(host);
  for (const u8 guest : most) {
    locked_ = 0;
    if (times[guest] != 0) use(guest);
  }
}

/// Has registers hold what the loop to whose head a branch goes back expects.
void DirectCode::conform(const Label& head, Piece& p) {
  for (const Host host : kHosts) {
    const u8 guest = head.guests[static_cast<u8>(host)];
    if (guest != kNobody && guest != guests_[static_cast<u8>(host)]) bring(host, guest, p);
  }
}

void DirectCode::finish() {
  for (const Jump& jump : jumps_) {
    const Label& to = label(jump.target);
    put(jump.at, jump.back ? to.loop : to.join);
  }
}

u64 DirectCode::enter(const Kept& kept, u64 at) {
  return cold([&](Piece& p) {
    for (const Host host : kHosts)
      if (const u8 guest = kept.guests[static_cast<u8>(host)]; guest != kNobody) bring(host, guest, p);
    p.go(p.jump(), at);
  });
}

// ---- instructions

DirectCode::Written DirectCode::write(std::span<const Decoded> code, const Place& place) {
  const Decoded& instruction = code.front();
  if (!instruction.row) return {};
  const Kept before = kept();
  const u64 begin = hot_;
  a_.at = bytes_ + hot_;
  locked_ = 0;
  const Flags flags = std::exchange(flags_, {});
  if (!compute(instruction) && !access(code, place) && !branch(instruction, place, flags) &&
      !privileged(instruction, place.index))
    return {};
  hot_ = here();
  const bool empty = std::ranges::all_of(before.guests, [](u8 guest) { return guest == kNobody; });
  // Who comes from elsewhere brings no flags.
  if (flags.field != kNobody && (instruction.row->id == Id::bc || instruction.row->id == Id::bclr))
    return {true, 0};
  return {true, empty ? begin : enter(before, begin)};
}

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

// ---- storage

/// rsi <- the address.
void DirectCode::address(const Storage& what, const isa::Operands& o, Assembler& a) {
  const Host base = o.b == 32 ? kNowhere : hosts_[o.b];
  if (!what.indexed) {
    if (base == kNowhere)
      a.set(rsi, narrow_ ? u64{static_cast<u32>(o.imm)} : static_cast<u64>(i64{o.imm}));
    else
      a.lea(!narrow_, rsi, {base, o.imm});
    return;
  }
  const Host index = hosts_[o.c];
  if (base == kNowhere)
    narrow_ ? a.mov32(rsi, index) : a.mov(rsi, index);
  else
    a.lea(!narrow_, rsi, {base, 0, index});
}

/// Where the bytes are, and where the distance belongs of the way that is taken if that is not known.
struct DirectCode::Found {
  At at;
  u8* otherwise;
  bool alone;           ///< Nobody uses later what is in at.base.
  bool address = true;  ///< The address is in rsi.
};

void DirectCode::forget_addend() {
  if (hosts_[kAddend] != kNowhere) drop(hosts_[kAddend]);
  window_ = {};
}

/// What is found for a window stays in a register.
DirectCode::Found DirectCode::look_up(const Storage& what, std::span<const Decoded> code) {
  const isa::Operands& o = code.front().operands;
  const bool in_window = !what.indexed && o.b == window_.base && hosts_[kAddend] != kNowhere &&
                         o.imm >= window_.least && o.imm + static_cast<i32>(what.size) <= window_.end &&
                         (window_.write || !what.store);
  if (in_window) {
    const Host addend = use(kAddend), base = use(o.b);
    const bool whole = narrow_ || what.update;
    if (whole) address(what, o, a_);
    a_.op(true, kTest, addend, addend);
    u8* const otherwise = a_.jump_if(If::equal);
    return {whole ? At{addend, 0, rsi} : At{addend, o.imm, base}, otherwise, false, whole};
  }
  // Base and displacement need no register of their own.
  const bool plain = !what.indexed && !what.update && !narrow_ && o.b != 32;
  if (!plain) address(what, o, a_);
  const Host from = plain ? hosts_[o.b] : rsi;
  const i32 displacement = plain ? o.imm : 0;
  i32 first = displacement, last = displacement + static_cast<i32>(what.size) - 1;
  bool write = what.store;
  const Window window = window_of(code);
  const bool alone = window.accesses < 2;
  Host addend = rcx;
  if (!alone) {
    forget_addend();
    window_ = window;
    first += window.least - o.imm;
    last = displacement + window.end - o.imm - 1;
    write = window.write;
    addend = take();
  }
  const Host table = use(kLookAside);
  static_assert(sizeof(TlbEntry) == 1u << (kFrameShift - 7));
  if (first == 0) {
    a_.rorx(true, rcx, from, 7);
  } else {
    a_.lea(false, rcx, {from, first});
    a_.shift(false, kRight, rcx, 7);
  }
  a_.immediate(false, kAnd, rcx, (kTlbEntries - 1) * sizeof(TlbEntry));
  if (last == 0)
    a_.mov(rax, from);
  else
    a_.lea(true, rax, {from, last});
  a_.shift(true, kRight, rax, kFrameShift);
  a_.op(true, opcode(kCmp), rax,
        {table, static_cast<i32>(write ? offsetof(TlbEntry, write_tag) : offsetof(TlbEntry, read_tag)), rcx});
  u8* const otherwise = a_.jump_if(If::differ);
  a_.load(addend, {table, offsetof(TlbEntry, addend), rcx});
  if (!alone) map(kAddend, addend);
  return {{addend, displacement, from}, otherwise, alone, !plain};
}

/// rcx <- what is to be added to rsi for this access by itself; where the distance belongs of the way that is
/// taken if nothing is known.
u8* DirectCode::look_up_alone(const Storage& what, Piece& p) {
  p.mov32(rcx, rsi);
  p.shift(false, kRight, rcx, 7);
  p.immediate(false, kAnd, rcx, (kTlbEntries - 1) * sizeof(TlbEntry));
  p.op(true, opcode(kAdd), rcx, FIELD(dtlb));
  p.lea(true, rax, {rsi, static_cast<i32>(what.size - 1)});
  p.shift(true, kRight, rax, 12);
  p.op(true, opcode(kCmp), rax,
       {rcx, static_cast<i32>(what.store ? offsetof(TlbEntry, write_tag) : offsetof(TlbEntry, read_tag))});
  u8* const otherwise = p.jump_if(If::differ);
  p.load(rcx, {rcx, offsetof(TlbEntry, addend)});
  return otherwise;
}

/// What `host` holds, from State.
void DirectCode::bring(Host host, u8 guest, Assembler& a) {
  if (guest == kAddend)
    a.op(false, opcode(kXor), host, host);
  else
    a.load(host, slot(guest));
}

/// What a function may have changed in registers.
void DirectCode::reload(const Kept& kept, u8 except, Piece& p) {
  for (const Host host : kHosts) {
    const u8 guest = kept.guests[static_cast<u8>(host)];
    if (guest == kNobody || guest == except || (preserved(host) && guest != kAddend)) continue;
    bring(host, guest, p);
  }
}

/// The instruction at `index` stops the engine if `from` is reached by its jump.
void DirectCode::fail(u8* from, i32 index, Piece& p) {
  p.go(from, 0);
  Piece::Distance& stop = p.distances[p.count - 1];
  stop.to = cold([&](Piece& q) {
    q.load(r13, FIELD(page_ops));
    q.lea(true, r13, {r13, 16 * index});
    q.go(q.jump(), shared_.stop_at);
  });
}

/// Behind an access that found nothing: by itself if it asked for others too, then by Baton's function.
/// `move`: the access; `register_of`: what it loads or stores.
template <class Move>
void DirectCode::miss(const Storage& what, const isa::Operands& o, const Found& found, const Kept& before,
                      i32 index, Host register_of, Move&& move) {
  const u64 rejoin = here();
  put(static_cast<u64>(found.otherwise - bytes_), cold([&](Piece& p) {
        if (!found.address) address(what, o, p);
        if (!found.alone) {
          u8* const slow = look_up_alone(what, p);
          move(p, {rcx, 0, rsi});
          bring(found.at.base, kAddend, p);
          p.go(p.jump(), rejoin);
          p.land(slow);
        }
        for (u64 left = before.changed; left != 0; left &= left - 1) {
          const u8 guest = static_cast<u8>(std::countr_zero(left));
          p.store(slot(guest), hosts_[guest]);
        }
        const At value = FIELD(slow_value);
        if (what.store) p.store(value, register_of);
        p.set(rdx, what.size);
        if (what.update) p.push(rsi), p.push(rsi);
        p.go(p.call(), what.store ? shared_.store : shared_.load);
        if (what.update) p.pop(rsi), p.pop(rsi);
        u8* const failed = p.jump_if(If::equal);
        reload(before, what.store ? kNobody : o.a, p);
        if (!what.store) {
          if (what.size == 1) p.op(false, kZeroByte, register_of, value);
          if (what.size == 2)
            p.op(what.is_signed, what.is_signed ? kSignHalf : kZeroHalf, register_of, value);
          if (what.size == 4)
            what.is_signed ? p.op(true, kExtendWord, register_of, value)
                           : p.op(false, 0x8B, register_of, value);
          if (what.size == 8) p.load(register_of, value);
        }
        p.go(p.jump(), rejoin);
        fail(failed, index, p);
      }));
}

void DirectCode::load(const Storage& what, std::span<const Decoded> code, i32 index) {
  const isa::Operands& o = code.front().operands;
  if (o.b != 32) use(o.b);
  if (what.indexed) use(o.c);
  const bool known = hosts_[o.a] != kNowhere;
  const Host d = known ? hosts_[o.a] : take();
  locked_ |= 1u << static_cast<u8>(d);
  const Found found = look_up(what, code);
  const Kept before = kept();
  const auto move = [&](Assembler& a, const At& at) {
    switch (what.size) {
      case 1:
        return a.op(false, kZeroByte, d, at);
      case 2:
        a.op(false, kSwap16, rax, at);
        return a.op(what.is_signed, what.is_signed ? kSignHalf : kZeroHalf, d, rax);
      case 4:
        a.op(false, kSwap, what.is_signed ? rax : d, at);
        if (what.is_signed) a.op(true, kExtendWord, d, rax);
        return;
      default:
        return a.op(true, kSwap, d, at);
    }
  };
  move(a_, found.at);
  miss(what, o, found, before, index, d, move);
  if (o.a == window_.base) forget_addend();
  map(o.a, d);
  changed_ |= u64{1} << o.a;
  if (what.update) a_.mov(define(o.b), rsi);
}

void DirectCode::store(const Storage& what, std::span<const Decoded> code, i32 index) {
  const isa::Operands& o = code.front().operands;
  if (o.b != 32) use(o.b);
  if (what.indexed) use(o.c);
  const Host value = use(o.a);
  const Found found = look_up(what, code);
  const Kept before = kept();
  const auto move = [&](Assembler& a, const At& at) {
    switch (what.size) {
      case 1:
        return a.op(false, kStoreByte, value, at, true);
      case 2:
        return a.op(false, kStoreSwapped16, value, at);
      default:
        return a.op(what.size == 8, kStoreSwapped, value, at);
    }
  };
  move(a_, found.at);
  miss(what, o, found, before, index, value, move);
  if (what.update) a_.mov(define(o.b), rsi);
}

/// What a row does with storage; nullptr if it is none that is written here.
const DirectCode::Storage* DirectCode::storage_of(Id id) {
  static const std::vector<Storage> all = [] {
    std::vector<Storage> rows(isa::kRows);
    const auto row = [&](Id of) -> Storage& { return rows[static_cast<std::size_t>(of)]; };
#define LOAD(id, bytes, with_sign)                                           \
  row(Id::id) = {.size = bytes, .is_signed = with_sign};                     \
  row(Id::id##x) = {.size = bytes, .is_signed = with_sign, .indexed = true}; \
  row(Id::id##ux) = {.size = bytes, .is_signed = with_sign, .update = true, .indexed = true};
#define LOAD_UPDATE(id, bytes, with_sign) \
  row(Id::id##u) = {.size = bytes, .is_signed = with_sign, .update = true};
#define STORE(id, bytes)                                            \
  row(Id::id) = {.size = bytes, .store = true};                     \
  row(Id::id##u) = {.size = bytes, .store = true, .update = true};  \
  row(Id::id##x) = {.size = bytes, .store = true, .indexed = true}; \
  row(Id::id##ux) = {.size = bytes, .store = true, .update = true, .indexed = true};
    LOAD(lbz, 1, false)
    LOAD(lhz, 2, false)
    LOAD(lha, 2, true)
    LOAD(lwz, 4, false)
    LOAD(lwa, 4, true)
    LOAD(ld, 8, false)
    LOAD_UPDATE(lbz, 1, false)
    LOAD_UPDATE(lhz, 2, false)
    LOAD_UPDATE(lha, 2, true)
    LOAD_UPDATE(lwz, 4, false)
    LOAD_UPDATE(ld, 8, false)
    STORE(stb, 1)
    STORE(sth, 2)
    STORE(stw, 4)
    STORE(std, 8)
#undef LOAD
#undef LOAD_UPDATE
#undef STORE
    return rows;
  }();
  const Storage& what = all[static_cast<std::size_t>(id)];
  return what.size != 0 ? &what : nullptr;
}

/// The window that begins with the access at the front. It need not be right about where the base changes:
/// define() is.
DirectCode::Window DirectCode::window_of(std::span<const Decoded> code) {
  constexpr i32 kWidest = 512;  // More would often not lie on one page.
  constexpr std::size_t kFarthest = 24;
  const Storage& first = *storage_of(code.front().row->id);
  const isa::Operands& o = code.front().operands;
  if (first.indexed || first.update || o.b == 32) return {};
  Window window{.base = o.b, .least = o.imm, .end = o.imm};
  for (const Decoded& instruction : code.first(std::min(code.size(), kFarthest))) {
    if (!instruction.row) break;
    const isa::Operands& of = instruction.operands;
    const Storage* const what = storage_of(instruction.row->id);
    if (what && !what->indexed && of.b == o.b) {
      const i32 least = std::min(window.least, of.imm),
                end = std::max(window.end, of.imm + static_cast<i32>(what->size));
      if (end - least > kWidest) break;
      window = {o.b, least, end, window.write || what->store, window.accesses + 1};
      if (what->update) break;
    }
    if (of.a == o.b && !(what && what->store)) break;
  }
  return window;
}

bool DirectCode::access(std::span<const Decoded> code, const Place& place) {
  const Storage* const what = storage_of(code.front().row->id);
  if (!what) return false;
  what->store ? store(*what, code, place.index) : load(*what, code, place.index);
  return true;
}

// ---- branches; State is current where they leave

/// A branch within the page, as take_branch_here() of the stencils. Only one that goes back looks whether
/// somebody waits: what lies between two of them is no more than a page of code.
void DirectCode::taken(Piece& p, const Place& place) {
  const bool back = place.target <= place.index;
  p.load(rax, FIELD(page_ea));
  if (place.index != 0) p.lea(true, rax, {rax, 4 * place.index});
  p.store(FIELD(cfar), rax);
  if (const i32 count = place.index + 1 - place.target; count != 0)
    p.immediate(true, kAdd, FIELD(instructions), count);
  const auto op = [&](Piece& q) {
    q.load(r13, FIELD(page_ops));
    q.lea(true, r13, {r13, 16 * place.target});
  };
  if (!place.inside) op(p);
  if (back) {
    p.immediate(false, kCmp, FIELD(pending), 0);
    p.go(p.jump_if(If::differ), !place.inside ? shared_.asked_at : cold([&](Piece& q) {
           op(q);
           q.go(q.jump(), shared_.asked_at);
         }));
  }
  if (!place.inside) return p.jump(At{r13, offsetof(Op, fn)});
  back ? conform(label(place.target), p) : reach(label(place.target));
  p.go_to_op(p.jump(), place.target, back);
}

/// A branch to the address in rax, as take_branch().
void DirectCode::far(Piece& p, i32 index) {
  p.load(rcx, FIELD(page_ea));
  p.lea(true, rdx, {rcx, 4 * index});
  p.store(FIELD(cfar), rdx);
  p.load(rdi, FIELD(page_ops));
  p.lea(true, rdx, {rdi, 16 * (index + 1)});
  p.op(true, opcode(kSub), rdx, FIELD(run_start));
  p.shift(true, kRightSigned, rdx, 4);
  p.immediate(false, kCmp, FIELD(pending), 0);
  u8* const asked = p.jump_if(If::differ);
  p.op(true, opcode(kXor), rcx, rax);
  p.immediate(true, kCmp, rcx, kFrameSize - 1);
  u8* const other_page = p.jump_if(If::above);
  u8* const same = p.at;
  p.op(true, 0x01, rdx, FIELD(instructions));
  p.mov32(rcx, rax);
  p.immediate(false, kAnd, rcx, 4 * (kOpsPerPage - 1));
  p.lea(true, r13, {rdi, 0, rcx, 4});
  p.store(FIELD(run_start), r13);
  p.jump(At{r13, offsetof(Op, fn)});
  p.land(other_page);
  p.load(r9, FIELD(itlb));
  p.mov(r10, rax);
  p.shift(true, kRight, r10, kFrameShift);
  static_assert(sizeof(FetchEntry) == 24);
  p.mov32(r11, r10);
  p.immediate(false, kAnd, r11, kFetchEntries - 1);
  p.lea(true, r11, {r11, 0, r11, 2});
  p.op(true, opcode(kCmp), r10, {r9, offsetof(FetchEntry, tag), r11, 8});
  u8* const unknown = p.jump_if(If::differ);
  p.load(rdi, {r9, offsetof(FetchEntry, page), r11, 8});
  p.store(FIELD(page_ops), rdi);
  p.mov(rcx, rax);
  p.immediate(true, kAnd, rcx, -static_cast<i32>(kFrameSize));
  p.store(FIELD(page_ea), rcx);
  u8* const back = p.jump();
  const i32 distance = static_cast<i32>(same - (back + 4));
  std::memcpy(back, &distance, 4);
  const u64 out = cold([&](Piece& q) {
    q.store(FIELD(nia), rax);
    q.load(r13, FIELD(page_ops));
    q.lea(true, r13, {r13, 16 * index});
    q.go(q.jump(), shared_.leave_by_branch);
  });
  p.go(asked, out);
  p.go(unknown, out);
}

/// host <- a register, wherever it is.
void DirectCode::fetch(Host host, u8 guest, Assembler& a) const {
  if (hosts_[guest] == kNowhere)
    a.load(host, slot(guest));
  else
    a.mov(host, hosts_[guest]);
}

/// LR <- the address behind.
void DirectCode::link(Piece& p, i32 index) {
  if (const Host old = std::exchange(hosts_[kLr], kNowhere); old != kNowhere)
    guests_[static_cast<u8>(old)] = kNobody;
  p.load(rcx, FIELD(page_ea));
  p.lea(!narrow_, rcx, {rcx, 4 * (index + 1)});
  p.store(FIELD(lr), rcx);
}

bool DirectCode::branch(const Decoded& instruction, const Place& at, const Flags& flags) {
  const isa::Operands& o = instruction.operands;
  const Id id = instruction.row->id;
  const auto inline_piece = [&](auto&& write) {
    Piece p(a_.at);
    const u64 begin = here();
    write(p);
    a_.at = p.at;
    place(p, begin);
  };
  const auto to_imm = [&](Piece& p) {
    p.load(rax, FIELD(page_ea));
    const i32 distance = 4 * at.index + o.imm;
    p.lea(!narrow_, rax, {rax, distance});
  };
  switch (id) {
    case Id::b:
    case Id::bl:
      clean();
      inline_piece([&](Piece& p) {
        if (id == Id::bl) link(p, at.index);
        if (at.target >= 0) return taken(p, at);
        to_imm(p);
        far(p, at.index);
      });
      return true;
    case Id::bcctr:
    case Id::bcctrl:
      if (sem::branch_kind(o.a) != sem::BranchKind::kAlways) return false;
      clean();
      inline_piece([&](Piece& p) {
        fetch(rax, kCtr, p);
        if (id == Id::bcctrl) link(p, at.index);
        p.immediate(!narrow_, kAnd, rax, -4);
        far(p, at.index);
      });
      return true;
    case Id::bc:
    case Id::bclr:
      break;
    default:
      return false;
  }
  // What goes on behind the branch need not be in State for that.
  const auto leave = [&](Piece& p) {
    clean(p);
    if (id == Id::bc && at.target >= 0) return taken(p, at);
    if (id == Id::bc) {
      to_imm(p);
    } else {
      fetch(rax, kLr, p);
      p.immediate(!narrow_, kAnd, rax, -4);
    }
    far(p, at.index);
  };
  If condition;
  const sem::BranchKind kind = sem::branch_kind(o.a);
  switch (kind) {
    case sem::BranchKind::kAlways:
      clean();
      inline_piece(leave);
      return true;
    case sem::BranchKind::kIfTrue:
    case sem::BranchKind::kIfFalse:
      if (flags.field == o.c && o.d != 1) {
        condition = o.d == 2   ? If::equal
                    : o.d == 8 ? (flags.is_signed ? If::less : If::carry)
                               : (flags.is_signed ? If::greater : If::above);
      } else {
        a_.test_byte(field(offsetof(State, cr) + o.c), o.d);
        condition = If::differ;
      }
      if (kind == sem::BranchKind::kIfFalse) condition = opposite(condition);
      break;
    case sem::BranchKind::kCountNotZero:
    case sem::BranchKind::kCountZero:
      if (hosts_[kCtr] != kNowhere) {
        const Host counter = define(kCtr);
        a_.immediate(true, kSub, counter, 1);
        if (narrow_) a_.op(false, kTest, counter, counter);
      } else {
        a_.immediate(true, kSub, FIELD(ctr), 1);
        if (narrow_) a_.immediate(false, kCmp, FIELD(ctr), 0);
      }
      condition = kind == sem::BranchKind::kCountZero ? If::equal : If::differ;
      break;
    default:
      return false;
  }
  if (id == Id::bc && at.inside && at.target <= at.index) {
    // A loop: what is taken goes straight on.
    u8* const over = a_.jump_if(opposite(condition));
    inline_piece(leave);
    put(static_cast<u64>(over - bytes_), here());
    return true;
  }
  u8* const out = a_.jump_if(condition);
  put(static_cast<u64>(out - bytes_), cold(leave));
  return true;
}

}  // namespace baton::cpu::stencil
