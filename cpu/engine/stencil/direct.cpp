// SPDX-License-Identifier: Apache-2.0
// The registers of straight code, joins and loops.
#include <algorithm>
#include <bit>

#include "cpu/engine/stencil/direct_private.h"

namespace baton::cpu::stencil {

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

/// host <- a register, wherever it is.
void DirectCode::fetch(Host host, u8 guest, Assembler& a) const {
  if (hosts_[guest] == kNowhere)
    a.load(host, slot(guest));
  else
    a.mov(host, hosts_[guest]);
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

}  // namespace baton::cpu::stencil
