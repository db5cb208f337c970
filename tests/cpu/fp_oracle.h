// SPDX-License-Identifier: Apache-2.0
// A second opinion on the arithmetic instructions: exact rational numbers (GMP), rounded by comparing.
#pragma once

#include <optional>
#include <string>

#include "tests/cpu/fp_harness.h"

namespace baton::test {

/// The state after an arithmetic, conversion or rounding instruction (operands as in fp_word), with FE0 and
/// FE1 on. Nothing when the architecture leaves the result undefined. Where it leaves only some FPSCR bits
/// undefined, they are in `undefined`.
struct Expected {
  FpState state;
  u64 undefined = 0;
};
std::optional<Expected> expect(const std::string& mnemonic, const FpState& in);

}  // namespace baton::test
