// SPDX-License-Identifier: Apache-2.0
// Loads and stores.
#include <algorithm>
#include <bit>

#include "cpu/engine/stencil/direct_private.h"

namespace baton::cpu::stencil {

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

}  // namespace baton::cpu::stencil
