// SPDX-License-Identifier: Apache-2.0
// The semantics of every row as plain functions, and a processor in real mode to run them on.
#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>

#include "cpu/isa/isa.h"
#include "cpu/semantics/branch.h"
#include "cpu/semantics/cache_sync.h"
#include "cpu/semantics/condition.h"
#include "cpu/semantics/decimal.h"
#include "cpu/semantics/fixed_point.h"
#include "cpu/semantics/floating_point.h"
#include "cpu/semantics/load_store.h"
#include "cpu/semantics/logical.h"
#include "cpu/semantics/rotate.h"
#include "cpu/semantics/system.h"
#include "cpu/semantics/vector.h"
#include "tests/cpu/coverage.h"
#include "tests/cpu/hardware.h"

namespace baton::cpu::test {

/// Operands decoded on the spot.
struct Native {
  isa::Operands fields;
  u64 at;
  u32 a() const { return fields.a; }
  u32 b() const { return fields.b; }
  u32 c() const { return fields.c; }
  u32 d() const { return fields.d; }
  i64 imm() const { return fields.imm; }
  u64 cia(const State&) const { return at; }
};

using NativeFunction = Flow (*)(State&, Native);

struct NoSemantics {};

template <auto kSemantics>
Flow call_native(State& s, Native o) {
  if constexpr (std::is_same_v<std::remove_const_t<decltype(kSemantics)>, NoSemantics>) {
    return sem::illegal(s);
  } else if constexpr (std::is_void_v<decltype(kSemantics(s, o))>) {
    kSemantics(s, o);
    return Flow::kNext;
  } else {
    return kSemantics(s, o);
  }
}

inline NativeFunction native(isa::Id id) {
  using O = Native;
#define NONE (NoSemantics{})
  static constexpr NativeFunction kFunctions[] = {
#define INSN(id, mnemonic, form, mask, value, operands, imm, privilege, facility, semantics) \
  &call_native<semantics>,
#include "cpu/isa/instructions.def"
  };
#undef NONE
  return kFunctions[static_cast<std::size_t>(id)];
}

/// One thread, 1 MB, real mode, MSR[SF] and MSR[LE] as asked.
class Machine : public baton::test::Hardware {
 public:
  explicit Machine(bool sf = true, bool le = false) : Hardware(1, 1 << 20, 18) {
    thread().reset(0, 0, sf);
    s.msr |= msr::FP | (le ? msr::LE : 0);
    thread().update_mode();
    // Interrupt vectors: an interrupt that nobody expected stays where it can be seen.
    for (u64 at = 0x100; at < 0x1000; at += 4) memory().store<u32>(at, 0x48000000);
  }

  struct Outcome {
    Flow flow;
    u64 next;  ///< Where execution goes on, if it does.
  };
  /// Executes words from `at` until one branches or stops, or all are done.
  Outcome execute(u64 at, std::span<const u32> words) {
    for (u32 word : words) {
      const isa::Row* row = isa::decode(word);
      if (row && layer) coverage::cases(layer, row->mnemonic, 1);
      const Flow flow = row ? native(row->id)(s, {isa::operands(*row, word), at}) : sem::illegal(s);
      if (flow == Flow::kBranch) return {flow, s.nia};
      if (flow == Flow::kStop) return {flow, at};
      at += 4;
    }
    return {Flow::kNext, at};
  }
  Outcome execute(u32 word, u64 at = 0x4000) { return execute(at, std::span(&word, 1)); }
  /// The same by the engine, at full speed: the address that it gets to, past all words, at `target`, where a
  /// branch may go (0: nowhere), or in an interrupt vector.
  u64 run(u64 at, std::span<const u32> words, u64 target = 0) {
    const auto put = [&](u64 to, u32 word) {
      memory().store<u32>(to, s.msr & msr::LE ? byteswap(word) : word);
    };
    constexpr u32 kHypercall = 0x44000022;
    if (!std::ranges::equal(words, loaded_)) {
      loaded_.assign(words.begin(), words.end());
      for (std::size_t i = 0; i < words.size(); i++) put(at + 4 * i, words[i]);
      put(at + 4 * words.size(), kHypercall);
      if (target != 0) put(target, kHypercall);
    }
    s.nia = at;
    return thread().run(4 * kOpsPerPage) == Exit::kHypercall ? s.nia - 4 : s.nia;
  }

 private:
  std::vector<u32> loaded_;

 public:
  State& s = state();
  const char* layer = nullptr;  ///< Of tests, that what is executed counts for (tests/cpu/coverage.h).
};

/// Machines for many programs at one place. An engine that has compiled a place again and again takes to
/// interpreting it, so each machine gets a few.
class Machines {
 public:
  Machines(bool sf, bool le, u64 msr) : sf_(sf), le_(le), msr_(msr) {}
  Machine& next() {
    if (given_++ % 8 == 0) {
      machine_ = std::make_unique<Machine>(sf_, le_);
      machine_->s.msr |= msr_;
    }
    return *machine_;
  }

 private:
  bool sf_, le_;
  u64 msr_;
  u64 given_ = 0;
  std::unique_ptr<Machine> machine_;
};

}  // namespace baton::cpu::test
