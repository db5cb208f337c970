// SPDX-License-Identifier: Apache-2.0
#include "tests/cpu/coverage.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <mutex>
#include <string>
#include <tuple>

namespace baton::coverage {
namespace {

class Record {
 public:
  Record() {
    if (const char* folder = std::getenv("BATON_COVERAGE"); folder && *folder) folder_ = folder;
  }
  Record(const Record&) = delete;
  Record& operator=(const Record&) = delete;
  // Appending, and one file a process: processes of a parallel run do not meet, and a number that comes again
  // adds.
  ~Record() {
    if (counts_.empty()) return;
    std::ofstream file(folder_ + "/" + std::to_string(getpid()) + ".csv", std::ios::app);
    for (const auto& [key, n] : counts_) {
      const auto& [layer, mnemonic, engine] = key;
      file << layer << ',' << mnemonic << ',' << engine << ',' << n << '\n';
    }
  }

  void add(std::string_view layer, std::string_view mnemonic, u64 n, std::string_view engine) {
    if (folder_.empty()) return;
    const std::scoped_lock lock(mutex_);
    counts_[{std::string(layer), std::string(mnemonic), std::string(engine)}] += n;
  }

 private:
  std::string folder_;
  std::mutex mutex_;
  std::map<std::tuple<std::string, std::string, std::string>, u64> counts_;
};

}  // namespace

std::string_view engine_asked() {
  const char* name = std::getenv("BATON_ENGINE");
  return name ? name : "interpreter";
}

void cases(std::string_view layer, std::string_view mnemonic, u64 n, std::string_view engine) {
  static Record record;
  record.add(layer, mnemonic, n, engine);
}

}  // namespace baton::coverage
