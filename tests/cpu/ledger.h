// SPDX-License-Identifier: Apache-2.0
// The ledger of differences: where an outside reference and Baton disagree, and who is right and why. Only an
// entry of tests/cpu/data/ledger.csv excuses a difference, and an entry that excuses none is to go.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cpu/bits.h"

namespace baton::coverage {

class Ledger {
 public:
  /// The entries of one suite: a comparison with one reference in one test.
  explicit Ledger(std::string_view suite);
  ~Ledger();  ///< Notes how often each entry was used, for the coverage page.
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;

  /// Notes that the entry excused `n` differences; aborts if the suite has no such entry.
  void excuse(std::string_view id, u64 n = 1);
  /// Ids of the entries that excused nothing.
  std::vector<std::string> unused() const;

 private:
  std::string suite_;
  std::map<std::string, u64, std::less<>> used_;
};

}  // namespace baton::coverage
