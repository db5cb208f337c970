// SPDX-License-Identifier: Apache-2.0
// What the tests of decimal floating point share: running one instruction, decimal text, and operands that
// hurt.
#pragma once

#include <array>
#include <cstdlib>
#include <optional>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "cpu/bits.h"

namespace baton::test {

/// The state that one decimal instruction sees and leaves. fpr[0..5] are f2..f7: the target (pair), FRA and
/// FRB.
struct DfpState {
  std::array<u64, 6> fpr{};
  u64 fpscr = 0;
  u32 cr = 0;
  bool interrupt = false;  ///< Out: an enabled-exception program interrupt was raised.
  bool operator==(const DfpState&) const = default;

  /// The register or pair that begins at fpr[at].
  u128 operand(unsigned at, bool quad) const {
    return quad ? static_cast<u128>(fpr[at]) << 64 | fpr[at + 1] : fpr[at];
  }
};
std::ostream& operator<<(std::ostream& out, const DfpState& state);

/// Executes the instruction with the semantics under test. MSR[FP], FE0 and FE1 are on.
DfpState run_decimal(u32 word, const DfpState& in);
/// The same with MSR[FP] off: whether it ended in a floating-point unavailable interrupt and left all alone.
bool unavailable_without_fp(u32 word);

/// The instruction word of `mnemonic` with f2, f4, f6 as FRT, FRA, FRB, and its CR field and immediate fields
/// in the order in which the assembler has them.
u32 dfp_word(const std::string& mnemonic, const std::vector<u32>& immediates = {});
/// How many values each of these fields can have.
std::vector<u32> dfp_immediates(const std::string& mnemonic);
/// Every mnemonic of the facility.
std::vector<std::string> dfp_mnemonics();
/// The instruction is for pairs.
bool is_quad(const std::string& mnemonic);

/// A decimal format by its parameters; nothing of this is shared with the code under test.
struct DecimalFormat {
  int digits, bias, exponent_bits, width;
  int least() const { return -bias; }
  int greatest() const { return 3 * (1 << (exponent_bits - 2)) - 1 - bias; }
};
inline constexpr DecimalFormat kDecimal32{7, 101, 8, 32}, kDecimal64{16, 398, 10, 64},
    kDecimal128{34, 6176, 14, 128};

/// A decimal as sign, digits, exponent. Of a NaN the digits are the payload.
struct DecimalText {
  enum Kind { kFinite, kInfinity, kQuiet, kSignalling } kind = kFinite;
  bool negative = false;
  std::string digits{};  ///< Without leading zeros; "" is zero.
  int exponent = 0;
};
/// Encodes digit by digit; the value has to fit.
u128 encode_decimal(const DecimalFormat& format, const DecimalText& value);
DecimalText decode_decimal(const DecimalFormat& format, u128 bits);
/// Scientific notation, and NaN123, sNaN, Infinity.
std::optional<DecimalText> parse_decimal(const std::string& text);
std::string to_string(const DecimalText& value);

/// Pseudo-random operands, chosen so that special cases meet often.
class DecimalOperands {
 public:
  explicit DecimalOperands(u64 seed) : random_(seed) {}
  /// An encoding; a few of them are not canonical.
  u128 value(const DecimalFormat& format);
  /// Two that are related often enough: cancelling, halfway, at the ends of the range.
  std::array<u128, 2> pair(const DecimalFormat& format);
  /// FPSCR with any DRN; FEX is off. Enables in half of the cases if `enables`.
  u64 fpscr(bool enables);
  /// A state with such operands, and the small integers and BCD numbers that some instructions take.
  DfpState state(const std::string& mnemonic, bool enables);
  /// The instruction with any immediates.
  u32 word_of(const std::string& mnemonic);
  u64 below(u64 n) { return random_() % n; }
  u64 word() { return random_(); }

 private:
  DecimalText text(const DecimalFormat& format);
  std::string digits(int count);
  std::mt19937_64 random_;
};

/// Cases for each instruction; BATON_DFP_CASES overrides it.
inline u64 dfp_case_count(u64 normal) {
  const char* asked = std::getenv("BATON_DFP_CASES");
  return asked ? std::strtoull(asked, nullptr, 0) : normal;
}

}  // namespace baton::test
