// SPDX-License-Identifier: Apache-2.0
#include "cpu/engine/interpreter.h"

#include <chrono>
#include <type_traits>

#include "cpu/engine/llvm/compiler.h"
#include "cpu/engine/llvm/regions.h"
#include "cpu/engine/stencil/code_cache.h"
#include "cpu/isa/isa.h"
#include "cpu/semantics/branch.h"
#include "cpu/semantics/cache_sync.h"
#include "cpu/semantics/condition.h"
#include "cpu/semantics/decimal.h"
#include "cpu/semantics/fixed_point.h"
#include "cpu/semantics/floating_point.h"
#include "cpu/semantics/load_store.h"
#include "cpu/semantics/logical.h"
#include "cpu/semantics/priority.h"
#include "cpu/semantics/rotate.h"
#include "cpu/semantics/system.h"
#include "cpu/semantics/vector.h"
#include "cpu/thread.h"

// Compiled code has nothing in front of it that a sanitizer could read the type of a function from.
#define CALLS_COMPILED_CODE clang::no_sanitize("function")
#define HANDLER [[clang::preserve_none, gnu::section("baton_interpreter"), CALLS_COMPILED_CODE]] void
#define GO_ON(s, op) [[clang::musttail]] return (op)->fn.load(std::memory_order_relaxed)((s), (op))

namespace baton::cpu {

using O = InterpreterOperands;

[[gnu::cold]] HANDLER stop_at(State& s, const Op* op) {
  if (s.stop == Stop::kAgain) {
    // By its handler, not by its bytes: the store may have overwritten the instruction itself.
    s.stop = Stop::kNone;
    [[clang::musttail]] return reinterpret_cast<OpPage*>(s.page_ops)->code->plain[op - s.page_ops](s, op);
  }
  s.cia = O{op}.cia(s);
  if (s.stop == Stop::kRetry) s.nia = s.cia;
  count(s, op, s.stop == Stop::kInterrupt ? s.fault.at_next : s.stop != Stop::kRetry);
}

HANDLER return_at(State& s, const Op* op) {
  count(s, op, 0);
  s.nia = O{op}.cia(s) & s.ea_mask;
  s.cia = s.nia - 4;
  s.stop = Stop::kPending;
}

HANDLER asked_at(State& s, const Op* op) {
  count(s, op, 0);
  s.run_start = op;
  if (asked_back(s)) [[clang::musttail]]
    return return_at(s, op);
  GO_ON(s, op);
}

namespace {

template <auto kSemantics>
HANDLER execute(State& s, const Op* op) {
  if constexpr (std::is_void_v<decltype(kSemantics(s, O{op}))>) {
    kSemantics(s, O{op});
  } else {
    const Flow flow = kSemantics(s, O{op});
    if (flow == Flow::kBranch) {
      const Op* target = take_branch(s, op);
      if (!target) return;
      GO_ON(s, target);
    }
    if (__builtin_expect(flow == Flow::kStop, 0)) [[clang::musttail]]
      return stop_at(s, op);
  }
  GO_ON(s, op + 1);
}

HANDLER execute_illegal(State& s, const Op* op) {
  sem::illegal(s);
  stop_at(s, op);
}

/// First execution since the bytes were written.
HANDLER decode_op(State& s, const Op* op) {
  count(s, op, 0);
  s.nia = O{op}.cia(s);
  s.stop = Stop::kPending;
  s.thread->decode(op);
}

/// Where another engine compiles: an instruction that has not been executed often. Much code, of a kernel
/// that starts or arrives above all, never is.
HANDLER execute_cold(State& s, const Op* op) {
  stencil::PageCode& code = *reinterpret_cast<OpPage*>(s.page_ops)->code;
  const auto index = static_cast<u64>(op - s.page_ops);
  if (__builtin_expect(code.executed(index), 0)) {
    count(s, op, 0);
    s.nia = O{op}.cia(s);
    s.stop = Stop::kPending;
    return s.thread->decode(op);
  }
  [[clang::musttail]] return code.plain[index](s, op);
}

/// An instruction of a page whose code writes have killed too often: interpreted for a while.
HANDLER interpret_for_now(State& s, const Op* op) {
  OpPage& page = *reinterpret_cast<OpPage*>(s.page_ops);
  if (__builtin_expect(page.code->interpreted(), 0)) {
    count(s, op, 0);
    s.nia = O{op}.cia(s);
    s.stop = Stop::kPending;
    return s.thread->compile_again(page);
  }
  [[clang::musttail]] return page.code->plain[op - s.page_ops](s, op);
}

/// Runs off the end of the page.
HANDLER page_end(State& s, const Op* op) {
  s.nia = (s.page_ea + kFrameSize) & s.ea_mask;
  count(s, op, 0);
  s.stop = Stop::kPending;
  if (asked_back(s)) return;
  const FetchEntry& entry = s.itlb[s.nia >> 12 & (kFetchEntries - 1)];
  if (entry.tag.load(std::memory_order_relaxed) != s.nia >> 12) return;
  s.page_ea = s.nia;
  s.page_ops = entry.page->ops.data();
  s.run_start = s.page_ops;
  GO_ON(s, s.run_start);
}

[[gnu::always_inline]] inline void count_in_progress(EventCounts& e) {
  for (unsigned i = 0; i < kInstructionClasses; i++) e.totals[i] += e.in_progress >> i & 1;
}

/// In front of every instruction of a counting page. The one before is complete.
HANDLER count_op(State& s, const Op* op) {
  EventCounts& e = s.events;
  count_in_progress(e);
  const u64 completed = s.instructions.load(std::memory_order_relaxed) + static_cast<u64>(op - s.run_start);
  if (__builtin_expect(completed >= e.stop_at, 0)) {
    e.in_progress = 0;
    return return_at(s, op);
  }
  const CountedOp& real =
      (*reinterpret_cast<const OpPage*>(s.page_ops)->counted)[static_cast<u64>(op - s.page_ops)];
  e.in_progress = real.classes;
  [[clang::musttail]] return real.fn(s, op);
}

template <auto kSemantics>
HANDLER execute_privileged(State& s, const Op* op) {
  if (sem::problem_state(s)) {
    sem::privileged(s);
    return stop_at(s, op);
  }
  [[clang::musttail]] return execute<kSemantics>(s, op);
}

/// Resources of the hypervisor: a partition may not, in any state.
HANDLER execute_hypervisor(State& s, const Op* op) {
  sem::privileged(s);
  stop_at(s, op);
}

struct NotThere {};
#define NONE (NotThere{})
template <isa::Privilege kPrivilege, auto kSemantics>
constexpr Handler handler_for() {
  if constexpr (kPrivilege == isa::Privilege::Hypervisor)
    return &execute_hypervisor;
  else if constexpr (std::is_same_v<std::remove_const_t<decltype(kSemantics)>, NotThere>)
    return &execute_illegal;
  else if constexpr (kPrivilege == isa::Privilege::Privileged)
    return &execute_privileged<kSemantics>;
  else
    return &execute<kSemantics>;
}

constexpr Handler kHandlers[] = {
#define INSN(id, mnemonic, form, mask, value, operands, imm, privilege, facility, semantics) \
  handler_for<isa::Privilege::privilege, semantics>(),
#include "cpu/isa/instructions.def"
};
#undef NONE

/// Conditional branches whose BO is usual, by sem::BranchKind.
template <template <sem::BranchKind> class Pick>
constexpr std::array<Handler, 6> by_branch_kind() {
  using enum sem::BranchKind;
  return {Pick<kAny>::fn,     Pick<kAlways>::fn,       Pick<kIfTrue>::fn,
          Pick<kIfFalse>::fn, Pick<kCountNotZero>::fn, Pick<kCountZero>::fn};
}
template <sem::BranchKind kKind>
struct BcOfKind {
  static constexpr Handler fn = &execute<sem::bc_kind<O, kKind>>;
};
template <sem::BranchKind kKind>
struct BclrOfKind {
  static constexpr Handler fn = &execute<sem::bclr_kind<O, kKind>>;
};
constexpr auto kBc = by_branch_kind<BcOfKind>();
constexpr auto kBclr = by_branch_kind<BclrOfKind>();

Handler handler_of(const isa::Row& row, const Op& op) {
  const auto kind = static_cast<unsigned>(sem::branch_kind(op.a));
  if (row.id == isa::Id::bc) return kBc[kind];
  if (row.id == isa::Id::bclr) return kBclr[kind];
  if (row.id == isa::Id::or_op && sem::is_priority_nop(op.a, op.b, op.c))
    return &execute<sem::priority_nop<O>>;
  return kHandlers[static_cast<u64>(row.id)];
}

void set_operands(Op& op, const isa::Row& row, u32 word) {
  const isa::Operands operands = isa::operands(row, word);
  op.a = operands.a;
  op.b = operands.b;
  op.c = operands.c;
  op.d = operands.d;
  op.imm = operands.imm;
}

/// An instruction of a later level than the partition's (isa::Availability::kSupervisor). A supervisor that
/// uses what its partition was not given is rare enough to decode it again each time.
HANDLER execute_in_supervisor(State& s, const Op* op) {
  if (sem::problem_state(s)) {
    sem::illegal(s);
    return stop_at(s, op);
  }
  const OpPage& page = *reinterpret_cast<const OpPage*>(s.page_ops);
  const u32 word = word_at(s.thread->domain(), page, static_cast<u64>(op - s.page_ops));
  const isa::Row* row = isa::decode(word);
  Op again{};
  if (row) set_operands(again, *row, word);
  if (!row || again.a != op->a || again.b != op->b || again.c != op->c || again.d != op->d ||
      again.imm != op->imm) {
    // The bytes are being written this moment: look again.
    s.events.in_progress = 0;
    count(s, op, 0);
    s.nia = O{op}.cia(s);
    s.stop = Stop::kPending;
    return;
  }
  [[clang::musttail]] return handler_of(*row, *op)(s, op);
}

Handler handler_at(const isa::Row& row, const Op& op, isa::Level level) {
  switch (isa::availability(row, level)) {
    case isa::Availability::kAlways:
      return handler_of(row, op);
    case isa::Availability::kSupervisor:
      return execute_in_supervisor;
    case isa::Availability::kNever:
      break;
  }
  return execute_illegal;
}

}  // namespace

bool is_decoded(const Op& op) { return op.fn.load(std::memory_order_relaxed) != decode_op; }

void forget_op(Op& op) { op.fn.store(decode_op, std::memory_order_relaxed); }

u32 word_at(Domain& domain, const OpPage& page, u64 index) {
  const u8* bytes = domain.memory().host(page.frame << kFrameShift);
  const u32 raw = __atomic_load_n(reinterpret_cast<const u32*>(bytes + index * 4), __ATOMIC_RELAXED);
  return page.little ? raw : byteswap(raw);
}

HANDLER leave_by_branch(State& s, const Op* op) {
  const Op* target = take_branch(s, op);
  if (!target) return;
  GO_ON(s, target);
}

HANDLER leave_in_front(State& s, const Op* op) {
  const u32 asked = s.pending.load(std::memory_order_relaxed);
  if (__builtin_expect(asked != 0, 0)) {
    const u64 completed = s.instructions.load(std::memory_order_relaxed) + static_cast<u64>(op - s.run_start);
    if (asked != pending::kBounded || completed >= s.limit) [[clang::musttail]]
      return return_at(s, op);
  }
  GO_ON(s, op);
}

HANDLER interpret_here(State& s, const Op* op) {
  const OpPage& page = *reinterpret_cast<const OpPage*>(s.page_ops);
  [[clang::musttail]] return page.code->plain[static_cast<u64>(op - s.page_ops)](s, op);
}

#define BATON_SETTLE(handler)                        \
  HANDLER settle_##handler(State& s, const Op* op) { \
    fpu::settle_deferred(s);                         \
    [[clang::musttail]] return handler(s, op);       \
  }
BATON_SETTLE(stop_at)
BATON_SETTLE(return_at)
BATON_SETTLE(leave_by_branch)
BATON_SETTLE(leave_in_front)
BATON_SETTLE(interpret_here)
#undef BATON_SETTLE

OpPage::OpPage(u64 of_frame, Kind kind) : frame(of_frame), little(kind & kLittle), narrow(kind == kNarrow) {
  if (kind & kCounted) counted = std::make_unique<std::array<CountedOp, kOpsPerPage>>();
  forget_all();
  ops[kOpsPerPage].fn.store(page_end, std::memory_order_relaxed);
}

OpPage::~OpPage() = default;

CodeRoom& OpPage::room() {
  static CodeRoom& room = *new CodeRoom(sizeof(OpPage));  // As that of PageCode.
  return room;
}

bool OpPage::forget(u64 offset, u64 length) {
  const bool compiled = code && length && code->kill(offset / 4, (offset + length - 1) / 4, [this](u64 i) {
    ops[i].fn.store(decode_op, std::memory_order_relaxed);
  });
  for (u64 i = offset / 4; i * 4 < offset + length; i++)
    ops[i].fn.store(decode_op, std::memory_order_relaxed);
  const bool cold = std::erase_if(hot, [&](const std::shared_ptr<llvm_engine::Hot>& region) {
    if (!region->dead && !region->overlaps(*this, offset / 4, (offset + length - 1) / 4)) return false;
    if (!region->dead) region->die();
    return true;
  });
  return compiled || cold;
}

void Thread::decode(const Op* at) {
  State& s = state_;
  OpPage& page = *reinterpret_cast<OpPage*>(s.page_ops);
  const u64 first = static_cast<u64>(at - s.page_ops);
  const bool compiles = code_cache_ && !page.counted;
  // Otherwise what is decoded now is cold, and nothing is compiled before it was executed a few times.
  const bool warm =
      domain_.engine().compile_threads == 0 || at->fn.load(std::memory_order_relaxed) == execute_cold;
  // How far to go: about a run of code between branches, or as far as one piece of compiled code may reach.
  constexpr u64 kMostDecoded = 64;
  const u64 batch = compiles && warm ? kMostDecoded : 16;
  leave_guest();
  {
    std::lock_guard lock(domain_.code_lock());
    if (!page.live) {
      page.live = true;
      page.stores = 0;
      domain_.frame_gets_code(page.frame);
    }
    std::array<stencil::Decoded, kMostDecoded> decoded;
    u64 count = 0;
    i32 farthest = -1;  // that a branch of this code goes to
    if (compiles && !page.code) page.code = std::make_unique<stencil::PageCode>();
    for (u64 i = first; i < std::min(first + batch, kOpsPerPage); i++) {
      Op& op = page.ops[i];
      const Handler now = op.fn.load(std::memory_order_relaxed);
      if (i != first && now != decode_op && !(warm && now == execute_cold)) break;
      const u32 word = word_at(domain_, page, i);
      statistics_.decoded++;
      Handler fn = execute_illegal;
      const isa::Row* const known = isa::decode(word);
      const isa::Row* row = known;
      if (row) {
        set_operands(op, *row, word);
        fn = handler_at(*row, op, domain_.level());
        if (isa::availability(*row, domain_.level()) != isa::Availability::kAlways) row = nullptr;
      }
      if (page.counted) {
        (*page.counted)[i] = {fn, known ? instruction_classes(*known) : u8{0}};
        fn = count_op;
      }
      if (compiles) {
        page.code->plain[i] = fn;
        if (!page.code->worth_compiling())
          fn = interpret_for_now;
        else if (!warm)
          fn = page.code->cold(i, execute_cold);
      }
      op.fn.store(fn, std::memory_order_relaxed);
      if (!compiles) continue;
      decoded[count] = {row, {op.a, op.b, op.c, op.d, op.imm}};
      const stencil::Decoded& last = decoded[count++];
      farthest = std::max(farthest, stencil::target_in_page(last, i));
      if (stencil::ends_run(last) && farthest <= static_cast<i32>(i)) break;
    }
    if (warm && compiles && page.code->worth_compiling()) {
      count = close_loop(page, first, count, decoded);
      compile(page, first, std::span(decoded).first(count));
    }
  }
  enter_guest();
}

/// What follows the first `count` instructions from Op `first` on may be compiled already: it is compiled
/// once more up to the last branch back to those, so that a loop is in one piece wherever it was entered
/// first. Returns how many instructions there are then.
u64 Thread::close_loop(const OpPage& page, u64 first, u64 count, std::span<stencil::Decoded> decoded) const {
  u64 closed = count;
  for (u64 n = count; n < decoded.size() && first + n < kOpsPerPage; n++) {
    const u64 index = first + n;
    const Op& op = page.ops[index];
    if (!code_cache_->holds(op.fn.load(std::memory_order_relaxed))) break;
    const isa::Row* row = isa::decode(word_at(domain_, page, index));
    if (!row || isa::availability(*row, domain_.level()) != isa::Availability::kAlways) break;
    decoded[n] = {row, {op.a, op.b, op.c, op.d, op.imm}};
    const i32 target = stencil::target_in_page(decoded[n], index);
    if (target >= static_cast<i32>(first) && target < static_cast<i32>(first + count)) closed = n + 1;
    if (stencil::ends_run(decoded[n])) break;
  }
  return closed;
}

void Thread::compile(OpPage& page, u64 first, std::span<const stencil::Decoded> instructions) {
  const EngineOptions& options = domain_.engine();
  const auto began =
      options.statistics ? std::chrono::steady_clock::now() : std::chrono::steady_clock::time_point();
  if (!code_cache_->has_room(instructions.size())) {
    forget_compiled();
    statistics_.cache_full++;
  }
  const u8* code = code_cache_->next();
  code_cache_->compile(page, first, instructions);
  statistics_.compiled += instructions.size();
  if (options.statistics)
    statistics_.compile_ns += static_cast<u64>((std::chrono::steady_clock::now() - began).count());
  if (options.listener)
    options.listener->compiled(code, static_cast<u64>(code_cache_->next() - code),
                               state_.page_ea + first * 4);
}

void Thread::compile_again(OpPage& page) {
  leave_guest();
  {
    std::lock_guard lock(domain_.code_lock());
    page.forget_all();
    page.code->compile_again();
  }
  enter_guest();
}

void finish_counting(State& s) {
  const bool undone = (s.stop == Stop::kInterrupt && !s.fault.at_next) || s.stop == Stop::kRetry;
  if (!undone) count_in_progress(s.events);
  s.events.in_progress = 0;
}

namespace {

/// A handler, entered as compiled code expects it: rbp is kMiddle behind State, and no handler changes it.
/// The arguments are in r12, r13 and r14.
[[gnu::naked, clang::preserve_none]] void enter(State&, const Op*, Handler) {
  asm("push %%rbp\n"
      ".cfi_adjust_cfa_offset 8\n"
      ".cfi_rel_offset %%rbp, 0\n"
      "lea %c0(%%r12), %%rbp\n"
      "mov %%rsp, %c1(%%r12)\n"
      "call *%%r14\n"
      "pop %%rbp\n"
      ".cfi_adjust_cfa_offset -8\n"
      ".cfi_restore %%rbp\n"
      "ret"
      :
      : "i"(kMiddle), "i"(offsetof(State, stack_at)));
}

}  // namespace

void interpret(State& s) {
  const Op* op = s.run_start = s.page_ops + (s.nia >> 2 & (kOpsPerPage - 1));
  enter(s, op, op->fn.load(std::memory_order_relaxed));
}

void interpret_one(State& s) {
  const u64 index = s.nia >> 2 & (kOpsPerPage - 1);
  Op* op = s.page_ops + index;
  s.run_start = op;
  Handler fn = op->fn.load(std::memory_order_relaxed);
  if (fn == decode_op) return decode_op(s, op);
  if (const auto& code = reinterpret_cast<OpPage*>(s.page_ops)->code) fn = code->plain[index];
  s.pending.fetch_or(pending::kStep);
  const Handler following = op[1].fn.exchange(return_at);
  enter(s, op, fn);
  // Unless it was forgotten meanwhile.
  Handler stop = return_at;
  op[1].fn.compare_exchange_strong(stop, following);
}

}  // namespace baton::cpu
