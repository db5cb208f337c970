// SPDX-License-Identifier: Apache-2.0
// Line input for the console shell: editing keys and history on a terminal, plain lines otherwise.
#pragma once

#include <termios.h>

#include <optional>
#include <string>
#include <vector>

namespace baton::hmc {

/// Terminal in raw mode while it lives.
class RawMode {
 public:
  explicit RawMode(int fd);
  ~RawMode();
  RawMode(const RawMode&) = delete;
  RawMode& operator=(const RawMode&) = delete;

 private:
  int fd_;
  bool active_ = false;
  termios saved_{};
};

class LineEditor {
 public:
  /// The next line without its end; nothing at end of input.
  std::optional<std::string> read(const std::string& prompt);

 private:
  std::optional<std::string> edit(const std::string& prompt);
  std::vector<std::string> history_;
};

}  // namespace baton::hmc
