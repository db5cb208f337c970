// SPDX-License-Identifier: Apache-2.0
// Code for the integer instructions that programs are made of, written directly rather than copied from
// stencils: within straight code it keeps guest registers in registers of the host, which copies of code that
// know nothing of each other cannot. What such an instruction does is what cpu/semantics says;
// tests/cpu/stencil_test.cpp holds it to that.
#pragma once

#include <array>
#include <span>
#include <utility>
#include <vector>

#include "cpu/engine/stencil/assembler.h"
#include "cpu/engine/stencil/code_cache.h"

namespace baton::cpu::stencil {

/// Writes a block's code that is not copied, between the copies. Offsets are those of the code cache's
/// mapping.
class DirectCode {
 public:
  /// Writes what all code shares to `bytes` from offset `at` on, and moves `at` behind it.
  static SharedCode share(u8* bytes, u64& at);
  /// More than an instruction's code takes, hot or cold.
  static constexpr u64 kLargest = 768;

  /// `bytes`: the mapping; `hot` and `cold`: its ends of hot and cold code, moved by what is written.
  /// `first`: index of the block's first Op.
  DirectCode(u8* bytes, u64& hot, u64& cold, const SharedCode& shared, u64 first, u64 instructions,
             bool narrow)
      : bytes_(bytes),
        hot_(hot),
        cold_(cold),
        shared_(shared),
        first_(static_cast<i32>(first)),
        narrow_(narrow),
        labels_(instructions) {
    guests_.fill(kNobody);
    hosts_.fill(kNowhere);
  }

  /// Where an instruction stands: index of its Op; that of a direct branch's target, or -1 if it leaves the
  /// page; whether the branch may jump there.
  struct Place {
    i32 index, target;
    bool inside;
  };
  /// How an instruction was written.
  struct Written {
    bool at_all = false;
    u64 entry = 0;  ///< Where it is entered from elsewhere; 0: only through what is in front of it.
  };
  /// `code`: the instruction and those that follow it before any that control may come to from elsewhere.
  Written write(std::span<const Decoded> code, const Place& place);

  /// The general register `guest` is in r13, as it is in State.
  void adopt(u8 guest);
  /// Makes State current and keeps nothing: what follows is no code of this kind.
  void settle();
  /// Control comes to the Op `index` from elsewhere too. What every branch of this code that leads there and
  /// the instruction in front of it leave in the same registers stays there. `falls_in`: the one in front
  /// goes on here. `loop`: the instructions from here to the last branch back to here, if there is one.
  void arrive(i32 index, bool falls_in, std::span<const Decoded> loop);
  /// The block is written: branches are told where their targets are.
  void finish();

 private:
  static constexpr u8 kNobody = 0xFF;
  static constexpr Host kNowhere = Host::rsp;
  /// Behind the general registers (32 is zero): two more of the guest's; the look-aside's address; what was
  /// found there for the accesses that window_ is of, 0 if they have to look themselves.
  static constexpr u8 kLr = 33, kCtr = 34, kLookAside = 35, kAddend = 36;
  static constexpr u8 kGuests = 37;

  struct Piece;
  struct Kept;
  struct Storage;
  /// Accesses from one base that straight code makes before it changes that: one look-up is for all of them.
  struct Window {
    u8 base = kNobody;
    i32 least = 0, end = 0;  ///< The bytes that they touch, from the base.
    bool write = false;      ///< Some of them store.
    unsigned accesses = 0;
  };
  struct Flags {
    u8 field = kNobody;  ///< The CR field whose comparison the host's flags hold.
    bool is_signed = false;
  };

  /// What an Op that control comes to from elsewhere finds in registers.
  struct Label {
    std::array<u8, 16> guests;
    bool reached = false;    ///< By a branch or an instruction that is written: `guests` is what they share.
    u64 join = 0, loop = 0;  ///< Where branches from before it and from behind it lead.
  };
  struct Jump {
    u64 at;
    i32 target;
    bool back;
  };
  Label& label(i32 op) { return labels_[static_cast<u64>(op - first_)]; }
  void reach(Label& label);
  void preload(std::span<const Decoded> loop);
  void conform(const Label& head, Piece& piece);

  Host use(u8 guest);
  Host define(u8 guest);
  Host take();
  void map(u8 guest, Host host);
  void drop(Host host);
  void clean();
  void clean(Assembler& a) const;
  Kept kept() const;

  bool compute(const Decoded& instruction);
  bool carry(isa::Id id, const isa::Operands& o);
  static const Storage* storage_of(isa::Id id);
  static Window window_of(std::span<const Decoded> code);
  bool access(std::span<const Decoded> code, const Place& place);
  bool branch(const Decoded& instruction, const Place& place, const Flags& flags);
  bool privileged(const Decoded& instruction, i32 index);
  void load(const Storage& what, std::span<const Decoded> code, i32 index);
  void store(const Storage& what, std::span<const Decoded> code, i32 index);
  void address(const Storage& what, const isa::Operands& o, Assembler& a);
  struct Found;
  Found look_up(const Storage& what, std::span<const Decoded> code);
  u8* look_up_alone(const Storage& what, Piece& piece);
  template <class Move>
  void miss(const Storage& what, const isa::Operands& o, const Found& found, const Kept& before, i32 index,
            Host register_of, Move&& move);
  void forget_addend();
  static At slot(u8 guest);
  static u64 named(const Decoded& instruction);
  void bring(Host host, u8 guest, Assembler& a);
  void fetch(Host host, u8 guest, Assembler& a) const;
  void reload(const Kept& kept, u8 except, Piece& piece);
  void fail(u8* from, i32 index, Piece& piece);
  void compare(const isa::Operands& o, bool is_signed, bool with_immediate);
  void record(Host value);
  void set_field(u8 field, bool is_signed);
  void carry_in();
  void taken(Piece& piece, const Place& place);
  void far(Piece& piece, i32 index);
  void link(Piece& piece, i32 index);

  template <class Write>
  u64 cold(Write&& write);
  u64 enter(const Kept& kept, u64 at);
  void place(const Piece& piece, u64 at);
  void put(u64 at, u64 to);
  u64 here() const { return static_cast<u64>(a_.at - bytes_); }

  u8* bytes_;
  u64& hot_;
  u64& cold_;
  const SharedCode& shared_;
  i32 first_;
  bool narrow_;
  std::vector<Label> labels_;
  std::vector<Jump> jumps_;
  Assembler a_{nullptr};
  std::array<u8, 16> guests_;        ///< What each host register holds.
  std::array<Host, kGuests> hosts_;  ///< Where each guest register is.
  std::array<u32, 16> used_{};       ///< When each host register was used last.
  u32 now_ = 0;
  u64 changed_ = 0;  ///< Bits of guest registers that State does not have yet.
  u32 locked_ = 0;   ///< Bits of host registers that the current instruction uses.
  Flags flags_;
  Window window_;
};

}  // namespace baton::cpu::stencil
