// SPDX-License-Identifier: Apache-2.0
// Guest instructions a second of the processor engine on small loops. Items are instructions.
#include <benchmark/benchmark.h>

#include <initializer_list>

#include "cpu/domain.h"
#include "cpu/thread.h"

namespace baton {
namespace {

// -- the few instruction forms that the loops use

constexpr u32 d_form(u32 opcode, u32 t, u32 a, i32 imm) {
  return opcode << 26 | t << 21 | a << 16 | static_cast<u16>(imm);
}
constexpr u32 x_form(u32 xo, u32 t, u32 a, u32 b) {
  return 31u << 26 | t << 21 | a << 16 | b << 11 | xo << 1;
}
constexpr u32 addi(u32 t, u32 a, i32 imm) { return d_form(14, t, a, imm); }
constexpr u32 add(u32 t, u32 a, u32 b) { return x_form(266, t, a, b); }
constexpr u32 xor_(u32 a, u32 s, u32 b) { return x_form(316, s, a, b); }
constexpr u32 rlwinm(u32 a, u32 s, u32 shift, u32 first, u32 last) {
  return 21u << 26 | s << 21 | a << 16 | shift << 11 | first << 6 | last << 1;
}
constexpr u32 mulld(u32 t, u32 a, u32 b) { return x_form(233, t, a, b); }
constexpr u32 ld(u32 t, u32 a, i32 offset) { return d_form(58, t, a, offset); }
constexpr u32 std_(u32 s, u32 a, i32 offset) { return d_form(62, s, a, offset); }
constexpr u32 lwz(u32 t, u32 a, i32 offset) { return d_form(32, t, a, offset); }
constexpr u32 stb(u32 s, u32 a, i32 offset) { return d_form(38, s, a, offset); }
constexpr u32 fmadd(u32 t, u32 a, u32 c, u32 b) {
  return 63u << 26 | t << 21 | a << 16 | b << 11 | c << 6 | 29 << 1;
}
constexpr u32 bdnz(i32 by) { return 16u << 26 | 16 << 21 | (static_cast<u32>(by) & 0xFFFC); }
constexpr u32 bl(i32 by) { return 18u << 26 | (static_cast<u32>(by) & 0x3FFFFFC) | 1; }
constexpr u32 kBlr = 0x4E800020, kHypercall = 0x44000022;

class StoppedClock final : public cpu::Clock {
 public:
  u64 time_base() const override { return 1; }
};

constexpr u64 kCode = 0x10000, kData = 0x100000, kRounds = 5'000'000;

void run_loop(benchmark::State& state, std::initializer_list<u32> code) {
  const StoppedClock clock;
  cpu::Domain domain(16 << 20, 18, clock);
  cpu::Thread thread(domain, 0, nullptr);
  u64 at = kCode;
  for (const u32 instruction : code) {
    domain.memory().store<u32>(at, instruction);
    at += 4;
  }
  domain.memory().store<u32>(at, kHypercall);
  thread.reset(kCode, 0, true);
  cpu::State& s = thread.state();
  s.msr |= cpu::msr::FP;
  s.gpr[4] = kData;
  s.gpr[5] = 0x123456789ABCDEF;
  for (u64& f : s.fpr) f = std::bit_cast<u64>(0.5);
  thread.state_changed();
  u64 instructions = 0;
  for (auto _ : state) {
    const u64 before = thread.instructions();
    s.nia = kCode;
    s.ctr = kRounds;
    if (thread.run() != cpu::Exit::kHypercall) {
      state.SkipWithError("the guest left its loop");
      break;
    }
    instructions += thread.instructions() - before;
  }
  state.SetItemsProcessed(static_cast<int64_t>(instructions));
}

void integer(benchmark::State& state) {
  run_loop(state,
           {add(3, 3, 5), xor_(6, 3, 5), rlwinm(7, 6, 5, 0, 26), addi(8, 7, 12), mulld(5, 8, 3), bdnz(-20)});
}
BENCHMARK(integer)->Unit(benchmark::kMillisecond);

void memory(benchmark::State& state) {
  run_loop(state, {ld(3, 4, 0), addi(3, 3, 1), std_(3, 4, 8), lwz(6, 4, 64), stb(6, 4, 65), bdnz(-20)});
}
BENCHMARK(memory)->Unit(benchmark::kMillisecond);

void calls(benchmark::State& state) {
  run_loop(state, {bl(16), addi(3, 3, 1), bdnz(-8), kHypercall, addi(6, 6, 1), kBlr});
}
BENCHMARK(calls)->Unit(benchmark::kMillisecond);

void floating_point(benchmark::State& state) {
  run_loop(state, {fmadd(1, 1, 2, 3), fmadd(4, 4, 2, 3), fmadd(5, 5, 2, 3), fmadd(6, 6, 2, 3), bdnz(-16)});
}
BENCHMARK(floating_point)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace baton
