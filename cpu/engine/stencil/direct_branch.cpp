// SPDX-License-Identifier: Apache-2.0
// Branches. State is current where they leave.
#include "cpu/engine/stencil/direct_private.h"
#include "cpu/semantics/branch.h"
#include "cpu/semantics/system.h"

namespace baton::cpu::stencil {

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
