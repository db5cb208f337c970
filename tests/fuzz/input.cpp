// SPDX-License-Identifier: Apache-2.0
// libFuzzer's way in: its bytes are the choices of a processor case.
#include <cstdio>
#include <cstdlib>

#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  try {
    baton::fuzz::run_processor_case(baton::fuzz::Random(std::span(data, size)));
  } catch (const baton::fuzz::Finding& finding) {
    std::fprintf(stderr, "%s\n", finding.what());
    std::abort();
  }
  return 0;
}
