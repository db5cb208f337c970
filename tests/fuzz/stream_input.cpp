// SPDX-License-Identifier: Apache-2.0
// libFuzzer's way in to what is read from other systems. With BATON_CORPUS the sound inputs are written there
// first: a corpus to begin with.
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/stream.h"

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  const char* folder = std::getenv("BATON_CORPUS");
  if (!folder) return 0;
  int number = 0;
  for (const auto& bytes : baton::fuzz::stream_corpus()) {
    std::ofstream file(std::string(folder) + "/sound" + std::to_string(number++), std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  try {
    baton::fuzz::read_stream({data, size});
  } catch (const baton::fuzz::Finding& finding) {
    std::fprintf(stderr, "%s\n", finding.what());
    std::abort();
  }
  return 0;
}
