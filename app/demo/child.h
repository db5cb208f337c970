// SPDX-License-Identifier: Apache-2.0
// Programs that the demonstration starts. None outlives it, however it ends.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

namespace baton::demo {

class Child {
 public:
  /// Runs the program with its output in `log`; its input is a pipe that stays open. `name` is for messages.
  /// Throws std::runtime_error naming the program and the remedy. Call it on the main thread: the child is
  /// killed when the thread that started it ends.
  Child(std::string name, const std::vector<std::string>& words, std::string log);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  /// Feeds the program's input.
  void type(const std::string& text);
  bool running();
  /// True if it ended in time.
  bool wait(std::chrono::milliseconds limit);
  /// One sentence: that it ended, with the last thing it said.
  std::string obituary() const;

  /// SIGKILL to every child, from any thread.
  static void kill_all();

 private:
  std::string name_, log_;
  pid_t pid_ = -1;
  int input_ = -1;
};

/// The last line of a file that says something.
std::string last_line(const std::string& path);

}  // namespace baton::demo
