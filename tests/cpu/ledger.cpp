// SPDX-License-Identifier: Apache-2.0
#include "tests/cpu/ledger.h"

#include <cstdio>
#include <cstdlib>

#include "tests/cpu/coverage.h"
#include "tests/cpu/csv.h"

namespace baton::coverage {

Ledger::Ledger(std::string_view suite) : suite_(suite) {
  for (const auto& cells : read_csv(BATON_SOURCE_DIR "/tests/cpu/data/ledger.csv"))
    if (cells.at(0) == suite) used_.emplace(cells.at(1), 0);
}

Ledger::~Ledger() {
  for (const auto& [id, n] : used_) {
    std::printf("%10llu  %s\n", static_cast<unsigned long long>(n), id.c_str());
    if (n != 0) cases("ledger", suite_ + "/" + id, n);
  }
}

void Ledger::excuse(std::string_view id, u64 n) {
  const auto at = used_.find(id);
  if (at == used_.end()) {
    std::fprintf(stderr, "tests/cpu/data/ledger.csv has no \"%.*s\" in this suite\n",
                 static_cast<int>(id.size()), id.data());
    std::abort();
  }
  at->second += n;
}

std::vector<std::string> Ledger::unused() const {
  std::vector<std::string> ids;
  for (const auto& [id, n] : used_)
    if (n == 0) ids.push_back(id);
  return ids;
}

}  // namespace baton::coverage
