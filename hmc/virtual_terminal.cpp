// SPDX-License-Identifier: Apache-2.0
#include "hmc/virtual_terminal.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "hmc/line_editor.h"

namespace baton::hmc {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kSeenKept = 64 << 10;  ///< As much as a partition's console remembers.
constexpr auto kFindTime = 30s;

void put(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(STDOUT_FILENO, text.data(), text.size());
    if (n < 0 && errno != EINTR && errno != EAGAIN) return;
    if (n > 0) text.remove_prefix(static_cast<std::size_t>(n));
  }
}

/// What the terminal's thread tells the loop. Lives on the heap: the thread may outlast the loop by a moment.
struct Session {
  Session() : event(eventfd(0, EFD_CLOEXEC)) {}
  ~Session() { ::close(event); }
  const int event;
  std::mutex lock;
  std::string seen;
  bool closed = false, moved = false;
  std::string reason;
  std::chrono::steady_clock::time_point last_output = std::chrono::steady_clock::now();

  void handle(const control::TerminalOutput& message) {
    const std::lock_guard hold(lock);
    std::string_view data = message.data();
    if (message.history()) data = unseen(data, seen);
    put(data);
    if (!data.empty()) last_output = std::chrono::steady_clock::now();
    seen += data;
    if (seen.size() > kSeenKept) seen.erase(0, seen.size() - kSeenKept);
    if (message.closed()) {
      closed = true;
      moved = message.moved();
      reason = message.reason();
      const std::uint64_t one = 1;
      if (::write(event, &one, sizeof one) < 0) return;
    }
  }
};

/// The system that has the partition now: a shell that waits for one does not count.
std::string find_partition(Systems& systems, const std::string& lpar) {
  const auto until = std::chrono::steady_clock::now() + kFindTime;
  do {
    for (const std::string& name : systems.names()) try {
        control::ListRequest request;
        request.set_resource("lpar");
        (*request.mutable_filter())["lpar_names"] = lpar;
        const control::Records answer = systems.connect(name)->list(request);
        for (const control::Record& record : answer.records()) {
          for (const control::Attribute& attribute : record.attributes()) {
            if (attribute.name() == "state" && attribute.value() != "Migrating - Not Activated") return name;
          }
        }
      } catch (const std::runtime_error&) {
        // A system that has just gone: look at the others.
      }
    std::this_thread::sleep_for(100ms);
  } while (std::chrono::steady_clock::now() < until);
  return {};
}

}  // namespace

std::string EscapeFilter::feed(std::string_view typed, bool& close) {
  std::string out;
  for (const char c : typed) {
    if (tilde_) {
      tilde_ = false;
      if (c == '.') {
        close = true;
        return out;
      }
      if (c != '~') out += '~';
    } else if (line_start_ && c == '~') {
      tilde_ = true;
      continue;
    }
    out += c;
    line_start_ = c == '\r' || c == '\n' || c == 3 || c == 4;
  }
  return out;
}

std::string_view unseen(std::string_view history, std::string_view seen) {
  // The longest end of `seen` that is found wins; a few hundred bytes are as good as unique.
  for (std::size_t length = std::min<std::size_t>(seen.size(), 512); length > 0; length /= 2) {
    const std::string_view tail = seen.substr(seen.size() - length);
    if (const std::size_t at = history.rfind(tail); at != std::string_view::npos)
      return history.substr(at + length);
  }
  return history;
}

int run_virtual_terminal(Systems& systems, const std::string& system, const std::string& lpar, bool force) {
  auto session = std::make_shared<Session>();
  const auto handler = [session](const control::TerminalOutput& message) { session->handle(message); };
  std::shared_ptr<Control> control = systems.connect(system);
  const RawMode raw(STDIN_FILENO);
  std::unique_ptr<Terminal> terminal = control->open_terminal(lpar, force, handler);
  EscapeFilter escape;
  const bool interactive = isatty(STDIN_FILENO);
  bool input_open = true;
  while (true) {
    pollfd fds[2] = {{session->event, POLLIN, 0}, {input_open ? STDIN_FILENO : -1, POLLIN, 0}};
    if (poll(fds, 2, input_open ? -1 : 200) < 0 && errno != EINTR) return 1;
    if (fds[0].revents & POLLIN) {
      std::uint64_t count;
      if (::read(session->event, &count, sizeof count) < 0) return 1;
      terminal.reset();
      bool moved;
      std::string reason;
      {
        const std::lock_guard hold(session->lock);
        moved = session->moved;
        reason = session->reason;
        session->closed = false;
      }
      put("\r\n[" + reason + "]\r\n");
      if (!moved) return 0;
      const std::string now = find_partition(systems, lpar);
      if (now.empty())
        throw std::runtime_error("The partition " + lpar + " is on none of the managed systems.");
      control = systems.connect(now);
      put("[Virtual terminal opened again on " + now + ".]\r\n");
      terminal = control->open_terminal(lpar, true, handler);
      continue;
    }
    if (fds[1].revents & (POLLIN | POLLHUP)) {
      char buffer[4096];
      const ssize_t n = ::read(STDIN_FILENO, buffer, sizeof buffer);
      if (n <= 0) {
        if (interactive) return 0;
        input_open = false;
        continue;
      }
      bool close = false;
      const std::string typed = escape.feed({buffer, static_cast<std::size_t>(n)}, close);
      if (!typed.empty()) terminal->input(typed);
      if (close) {
        terminal.reset();
        put("\r\n[Virtual terminal closed.]\r\n");
        return 0;
      }
    } else if (!input_open) {
      // Input came from a pipe that ended: leave once the partition has been silent for a second.
      const std::lock_guard hold(session->lock);
      if (std::chrono::steady_clock::now() - session->last_output > 1s) break;
    }
  }
  return 0;
}

}  // namespace baton::hmc
