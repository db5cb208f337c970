// SPDX-License-Identifier: Apache-2.0
#include "app/demo/child.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>

namespace baton::demo {
namespace {

std::mutex registry_lock;
std::set<pid_t> registry;

}  // namespace

Child::Child(std::string name, const std::vector<std::string>& words, std::string log)
    : name_(std::move(name)), log_(std::move(log)) {
  int input[2], failure[2];
  const int output = open(log_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (output < 0)
    throw std::runtime_error("The log " + log_ + " cannot be written: " + std::strerror(errno) + ".");
  if (pipe2(input, O_CLOEXEC) || pipe2(failure, O_CLOEXEC))
    throw std::runtime_error("No more files can be opened: " + std::string(std::strerror(errno)) + ".");
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ == 0) {
    // Only calls that are safe after a fork of a program with threads.
    setpgid(0, 0);  // The terminal's Ctrl-C is for the demonstration; it ends its children itself.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    if (getppid() != parent) _exit(1);
    dup2(input[0], 0);
    dup2(output, 1);
    dup2(output, 2);
    execvp(arguments[0], arguments.data());
    const int why = errno;
    [[maybe_unused]] const ssize_t n = write(failure[1], &why, sizeof why);
    _exit(127);
  }
  const int fork_error = errno;
  close(output);
  close(input[0]);
  close(failure[1]);
  input_ = input[1];
  int why = 0;
  const bool failed = pid_ > 0 && read(failure[0], &why, sizeof why) == sizeof why;
  close(failure[0]);
  if (pid_ > 0 && !failed) {
    const std::lock_guard hold(registry_lock);
    registry.insert(pid_);
    return;
  }
  close(input_);
  if (failed) waitpid(pid_, nullptr, 0);
  throw std::runtime_error("The program " + words[0] + " cannot be started (" +
                           std::strerror(failed ? why : fork_error) +
                           "); \"./run demo\" installs what is missing.");
}

Child::~Child() {
  close(input_);
  if (pid_ > 0) {
    kill(pid_, SIGTERM);
    if (!wait(std::chrono::seconds(5))) {
      kill(pid_, SIGKILL);
      wait(std::chrono::seconds(5));
    }
  }
}

void Child::type(const std::string& text) {
  if (write(input_, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    throw std::runtime_error(obituary());
}

bool Child::running() { return !wait(std::chrono::milliseconds(0)); }

bool Child::wait(std::chrono::milliseconds limit) {
  const auto until = std::chrono::steady_clock::now() + limit;
  while (pid_ > 0) {
    if (waitpid(pid_, nullptr, WNOHANG) == pid_) {
      const std::lock_guard hold(registry_lock);
      registry.erase(pid_);
      pid_ = -1;
      return true;
    }
    if (std::chrono::steady_clock::now() >= until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

std::string Child::obituary() const {
  const std::string last = last_line(log_);
  return name_ + " ended" + (last.empty() ? ", saying nothing" : ": " + last) + " (its log is " + log_ + ").";
}

void Child::kill_all() {
  const std::lock_guard hold(registry_lock);
  for (const pid_t pid : registry) kill(pid, SIGKILL);
}

std::string last_line(const std::string& path) {
  std::ifstream file(path);
  std::string line, last;
  while (std::getline(file, line)) {
    while (!line.empty() && std::isspace(static_cast<unsigned char>(line.back()))) line.pop_back();
    if (!line.empty()) last = line;
  }
  return last;
}

}  // namespace baton::demo
