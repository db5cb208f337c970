// SPDX-License-Identifier: Apache-2.0
// The partition's console while the demonstration runs: kept in a file, watched, typed on.
#pragma once

#include <fstream>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "hmc/control.h"

namespace baton::demo {

class ConsoleLog {
 public:
  ConsoleLog(std::string lpar, const std::string& path) : lpar_(std::move(lpar)), file_(path) {}
  ~ConsoleLog() { close(); }
  /// Opens the partition's terminal on this system, after closing the one before.
  void open(hmc::Control& system);
  void close();
  void type(const std::string& text);
  /// True if the partition has written `text`; what came before is then forgotten.
  bool take(const std::string& text);
  /// The last line, for messages.
  std::string last_line() const;

 private:
  void output(const control::TerminalOutput& message);
  const std::string lpar_;
  mutable std::mutex lock_;
  std::ofstream file_;
  std::string seen_;   ///< The last of it, to find where a history goes on.
  std::string fresh_;  ///< Not taken yet.
  std::unique_ptr<hmc::Terminal> terminal_;
};

}  // namespace baton::demo
