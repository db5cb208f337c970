// SPDX-License-Identifier: Apache-2.0
// Which instructions a test run has tried, layer by layer: the raw material of the coverage page
// (tests/cpu/coverage.py).
#pragma once

#include <string_view>

#include "cpu/bits.h"

namespace baton::coverage {

/// What BATON_ENGINE says, or "interpreter".
std::string_view engine_asked();

/// Notes that the layer (a name of tests/cpu/data/layers.csv) compared `n` cases of the instruction,
/// `mnemonic` as the table has it, that the engine executed. Thread-safe; call it once a batch rather than
/// once a case. At the end of the process the counts are appended to a file of its own in the folder that the
/// environment's BATON_COVERAGE names; without it nothing is kept. The engine is that of BATON_ENGINE unless
/// named.
void cases(std::string_view layer, std::string_view mnemonic, u64 n,
           std::string_view engine = engine_asked());

}  // namespace baton::coverage
