// SPDX-License-Identifier: Apache-2.0
// The reference engine: threaded code over pages of predecoded instructions.
//
// Each 4 KB frame that a thread executes has an OpPage: one Op an instruction, each with the function that
// executes it and tail-calls the next. Ops start as "decode me" and return to that when their bytes are
// written. Instruction counts are kept by difference at taken branches and exits, so that straight-line code
// pays nothing and the count is still exact.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "cpu/engine/code_room.h"
#include "cpu/memory.h"
#include "cpu/state.h"

namespace baton::cpu {

namespace stencil {
class PageCode;
}
namespace llvm_engine {
struct Hot;
}
class Domain;

struct Op;
using Handler = void(__attribute__((preserve_none)) *)(State&, const Op*);

/// One predecoded instruction. `fn` may be reset by another thread; the operands are the owner's.
struct Op {
  std::atomic<Handler> fn;
  u8 a, b, c, d;
  i32 imm;
};
static_assert(sizeof(Op) == 16);

inline constexpr u64 kOpsPerPage = 1024;

/// What a counting op does once it has counted.
struct CountedOp {
  Handler fn;
  u8 classes;  ///< Of the instruction (cpu/event_counts.h).
};

struct OpPage {
  std::array<Op, kOpsPerPage + 1> ops;  ///< The last one goes on to the next page.
  u64 frame = 0;
  bool little = false;  ///< Words are read in little-endian order (MSR[LE]).
  bool narrow = false;  ///< Executed with MSR[SF]=0 only; a page that is none of the three with MSR[SF]=1.
  bool live = false;  ///< Some op is decoded: the frame is marked as holding code. Guarded by the code lock.
  u32 stores = 0;     ///< Stores to the frame since it went live.

  /// With the stencil engine: what is compiled of it.
  std::unique_ptr<stencil::PageCode> code;
  /// With the LLVM engine: the regions that have instructions of it. Code lock.
  std::vector<std::shared_ptr<llvm_engine::Hot>> hot;
  /// On a counting page every op's `fn` counts for the performance monitor, then goes on to the one here. Of
  /// the owner alone. Nothing is compiled of such a page.
  std::unique_ptr<std::array<CountedOp, kOpsPerPage>> counted;

  /// A frame has a page for each way in which it is executed.
  enum Kind : u8 { kPlain = 0, kLittle = 1, kCounted = 2, kLittleCounted = 3, kNarrow = 4 };
  static constexpr Kind kKinds[] = {kPlain, kLittle, kCounted, kLittleCounted, kNarrow};
  OpPage(u64 frame, Kind kind);
  ~OpPage();
  static CodeRoom& room();
  static void* operator new(std::size_t) { return room().take(); }
  static void operator delete(void* place) { room().give_back(place); }
  /// Forgets ops whose bytes lie in [offset, offset+length) of the frame. Code lock held. True if some were
  /// compiled.
  bool forget(u64 offset, u64 length);
  bool forget_all() { return forget(0, kOpsPerPage * 4); }
};

/// Operands of a predecoded instruction in the form that semantics take (cpu/semantics/semantics.h).
struct InterpreterOperands {
  const Op* op;
  u32 a() const { return op->a; }
  u32 b() const { return op->b; }
  u32 c() const { return op->c; }
  u32 d() const { return op->d; }
  i64 imm() const { return op->imm; }
  u64 cia(const State& s) const { return s.page_ea + static_cast<u64>(op - s.page_ops) * 4; }
};

/// Instructions of the current run that are complete, `extra` counting the one at `op` in.
[[gnu::always_inline]] inline void count(State& s, const Op* op, u64 extra) {
  const u64 run = static_cast<u64>(op - s.run_start) + extra;
  s.instructions.store(s.instructions.load(std::memory_order_relaxed) + run, std::memory_order_relaxed);
}

/// True if the engine must go back to Thread::run at a taken branch or the end of a page, where
/// State::instructions is exact.
[[gnu::always_inline]] inline bool asked_back(const State& s) {
  const u32 asked = s.pending.load(std::memory_order_relaxed);
  if (__builtin_expect(asked == 0, 1)) return false;
  return asked != pending::kBounded || s.instructions.load(std::memory_order_relaxed) >= s.limit;
}

/// Ends a run at a taken branch whose target is s.nia.
[[gnu::always_inline]] inline const Op* take_branch(State& s, const Op* op) {
  count(s, op, 1);
  const u64 nia = s.nia;
  if (asked_back(s)) {
    s.cia = InterpreterOperands{op}.cia(s);
    s.stop = Stop::kPending;
    return nullptr;
  }
  if ((nia ^ s.page_ea) >= kFrameSize) {
    const FetchEntry& entry = s.itlb[nia >> 12 & (kFetchEntries - 1)];
    if (__builtin_expect(entry.tag.load(std::memory_order_relaxed) != nia >> 12, 0)) {
      s.stop = Stop::kPending;
      return nullptr;
    }
    s.page_ea = nia & ~(kFrameSize - 1);
    s.page_ops = entry.page->ops.data();
  }
  return s.run_start = s.page_ops + (nia >> 2 & (kOpsPerPage - 1));
}

/// Ends a run whose instruction at `op` has set State::stop.
[[clang::preserve_none]] void stop_at(State& s, const Op* op);
/// Ends a run in front of `op`, with Stop::kPending.
[[clang::preserve_none]] void return_at(State& s, const Op* op);
/// State::pending is not zero, at a branch to `op`: the same, unless there is nothing but a limit that is not
/// reached.
[[clang::preserve_none]] void asked_at(State& s, const Op* op);
// -- how compiled regions are left (cpu/engine/llvm); State is current in all of them
/// A taken branch at `op` to State::nia.
[[clang::preserve_none]] void leave_by_branch(State& s, const Op* op);
/// Straight on to `op`.
[[clang::preserve_none]] void leave_in_front(State& s, const Op* op);
/// The interpreter's handler of `op`, whatever Op::fn is.
[[clang::preserve_none]] void interpret_here(State& s, const Op* op);
// The same, of regions that leave FPSCR open.
[[clang::preserve_none]] void settle_stop_at(State& s, const Op* op);
[[clang::preserve_none]] void settle_return_at(State& s, const Op* op);
[[clang::preserve_none]] void settle_leave_by_branch(State& s, const Op* op);
[[clang::preserve_none]] void settle_leave_in_front(State& s, const Op* op);
[[clang::preserve_none]] void settle_interpret_here(State& s, const Op* op);
/// False until the op's bytes have been decoded since they were written.
bool is_decoded(const Op& op);
/// Makes it so. Code lock held.
void forget_op(Op& op);
/// The word that `page.ops[index]` is decoded from. Code lock held.
u32 word_at(Domain& domain, const OpPage& page, u64 index);
/// Counts the instruction that stopped the engine, if it is complete.
void finish_counting(State& s);

/// Runs from the op of s.nia (page_ea and page_ops current) until something stops it: s.stop says what.
void interpret(State& s);
/// The same for one instruction.
void interpret_one(State& s);

}  // namespace baton::cpu
