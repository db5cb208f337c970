// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>

#include "cpu/fpu/fpu.h"
#include "tests/cpu/fp_oracle.h"

namespace baton::test {
namespace {

namespace f = cpu::fpscr;

TEST(FloatingPoint, AgreesWithExactArithmetic) {
  Operands operands(1);
  const u64 cases = case_count(4000);
  for (const std::string& name : fp_mnemonics()) {
    if (!expect(name, {.fpr = {0, 0x4000000000000000, 0x4000000000000000, 0x4000000000000000}})) continue;
    const u32 word = fp_word(name);
    const bool singles =
        name.find("s.") != std::string::npos || name.back() == 's' || name.starts_with("frsp");
    u64 compared = 0, failures = 0;
    for (u64 i = 0; i < cases * 4 && failures < 5; i++) {
      const auto [a, b, c] = operands.triple(singles);
      FpState in{.fpr = {0xDEADBEEF, a, b, c}, .fpscr = operands.fpscr(i % 4), .cr = 0x12345678};
      if (name.starts_with("fcfid") && operands.below(2)) in.fpr[2] = operands.word() >> operands.below(64);
      const auto want = expect(name, in);
      if (!want) continue;
      compared++;
      FpState got = run_semantics(word, in), wanted = want->state;
      got.fpscr &= ~want->undefined;
      wanted.fpscr &= ~want->undefined;
      if (want->undefined & f::FX && name.back() == '.') got.cr = wanted.cr;
      if (got != wanted) {
        failures++;
        ADD_FAILURE() << name << "\nin   " << in << "\nwant " << wanted << "\ngot  " << got;
      }
    }
    EXPECT_GT(compared, cases * 2) << name;
  }
}

}  // namespace
}  // namespace baton::test
