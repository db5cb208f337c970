// SPDX-License-Identifier: Apache-2.0
#include "app/demo/console_log.h"

#include "hmc/virtual_terminal.h"

namespace baton::demo {
namespace {

constexpr std::size_t kSeenKept = 4096, kFreshKept = 1 << 18;

}  // namespace

void ConsoleLog::open(hmc::Control& system) {
  close();
  terminal_ = system.open_terminal(lpar_, true, [this](const control::TerminalOutput& m) { output(m); });
}

void ConsoleLog::close() { terminal_.reset(); }

void ConsoleLog::type(const std::string& text) {
  if (terminal_) terminal_->input(text);
}

void ConsoleLog::output(const control::TerminalOutput& message) {
  const std::lock_guard hold(lock_);
  std::string_view data = message.data();
  if (message.history()) data = hmc::unseen(data, seen_);
  file_ << data << std::flush;
  seen_ += data;
  fresh_ += data;
  if (seen_.size() > kSeenKept) seen_.erase(0, seen_.size() - kSeenKept);
  if (fresh_.size() > kFreshKept) fresh_.erase(0, fresh_.size() - kFreshKept);
}

bool ConsoleLog::take(const std::string& text) {
  const std::lock_guard hold(lock_);
  const std::size_t at = fresh_.find(text);
  if (at == std::string::npos) return false;
  fresh_.erase(0, at + text.size());
  return true;
}

std::string ConsoleLog::last_line() const {
  const std::lock_guard hold(lock_);
  const std::size_t end = seen_.find_last_not_of("\r\n ");
  if (end == std::string::npos) return {};
  const std::size_t before = seen_.find_last_of("\r\n", end);
  return seen_.substr(before == std::string::npos ? 0 : before + 1,
                      end - (before == std::string::npos ? -1 : before));
}

}  // namespace baton::demo
