// SPDX-License-Identifier: Apache-2.0
// What the floating-point tests share: running one instruction, and operands that hurt.
#pragma once

#include <array>
#include <cstdlib>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "cpu/bits.h"
#include "cpu/state.h"

namespace baton::test {

/// The state that one floating-point instruction sees and leaves. fpr[0..3] are f1..f4.
struct FpState {
  std::array<u64, 4> fpr{};
  u64 fpscr = 0;
  u32 cr = 0;
  std::array<u64, 2> memory{};  ///< Two doublewords, as numbers; r4 holds their address.
  bool interrupt = false;       ///< Out: an enabled-exception program interrupt was raised.
  bool operator==(const FpState&) const = default;
};
std::ostream& operator<<(std::ostream& out, const FpState& state);

inline constexpr u64 kMemoryEa = 0x10000;

/// Executes one floating-point instruction of the table; the operands and the TLB are the caller's.
cpu::Flow execute_fp(cpu::State& s, u32 word);
/// Executes a floating-point instruction word with the semantics under test. MSR[FP] is on, and FE0 and FE1
/// are.
FpState run_semantics(u32 word, const FpState& in, bool little_endian = false);
/// The same as a program by the engine.
FpState run_engine(u32 word, const FpState& in, bool little_endian = false);
/// The instruction word of `mnemonic` with f1 = target, f2 = FRA, f3 = FRB, f4 = FRC, crf2 as target, RA =
/// r4. For loads and stores displacement 0 and RB = r0 (which is 0).
u32 fp_word(const std::string& mnemonic);
/// The same with every value (or many values) of the fields that say what is done: bit numbers, masks, CR
/// fields.
std::vector<u32> fp_words(const std::string& mnemonic);
/// The mnemonics of the table that take the floating-point facility and only touch FpState.
std::vector<std::string> fp_mnemonics();

/// Pseudo-random operands, chosen so that special cases meet often.
class Operands {
 public:
  explicit Operands(u64 seed) : random_(seed) {}
  /// A register value. About half are singles if `singles`.
  u64 value(bool singles = false);
  /// Three operands that are related often enough: cancelling, halfway, exact quotients and squares.
  std::array<u64, 3> triple(bool singles = false);
  /// FPSCR with the given rounding mode; FEX is off. Enables in half of the cases.
  u64 fpscr(u32 rounding);
  u64 below(u64 n) { return random_() % n; }
  u64 word() { return random_(); }

 private:
  u64 near(u64 value);
  std::mt19937_64 random_;
};

/// Cases for each instruction and rounding mode; BATON_FP_CASES overrides it.
inline u64 case_count(u64 normal) {
  const char* asked = std::getenv("BATON_FP_CASES");
  return asked ? std::strtoull(asked, nullptr, 0) : normal;
}

}  // namespace baton::test
