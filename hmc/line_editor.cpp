// SPDX-License-Identifier: Apache-2.0
#include "hmc/line_editor.h"

#include <unistd.h>

#include <cerrno>
#include <iostream>

namespace baton::hmc {
namespace {

void put(const std::string& text) {
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = ::write(STDOUT_FILENO, text.data() + done, text.size() - done);
    if (n < 0 && errno != EINTR) return;
    if (n > 0) done += static_cast<std::size_t>(n);
  }
}

/// Keys as small numbers; what a terminal sends as an escape sequence gets one of these.
enum Key : int { kEnd = -1, kLeft = 1000, kRight, kUp, kDown, kHome, kLast, kDelete, kUnknown };

int read_byte() {
  unsigned char c;
  ssize_t n;
  do n = ::read(STDIN_FILENO, &c, 1);
  while (n < 0 && errno == EINTR);
  return n == 1 ? c : kEnd;
}

int read_key() {
  const int c = read_byte();
  if (c != 0x1B) return c;
  const int kind = read_byte();
  if (kind != '[' && kind != 'O') return kUnknown;
  int code = read_byte(), number = 0;
  while (code >= '0' && code <= '9') {
    number = number * 10 + (code - '0');
    code = read_byte();
  }
  switch (code) {
    case 'A':
      return kUp;
    case 'B':
      return kDown;
    case 'C':
      return kRight;
    case 'D':
      return kLeft;
    case 'H':
      return kHome;
    case 'F':
      return kLast;
    case '~':
      return number == 3                  ? kDelete
             : number == 1 || number == 7 ? kHome
             : number == 4 || number == 8 ? kLast
                                          : kUnknown;
    default:
      return code == kEnd ? kEnd : kUnknown;
  }
}

}  // namespace

RawMode::RawMode(int fd) : fd_(fd) {
  if (tcgetattr(fd, &saved_)) return;
  termios raw = saved_;
  cfmakeraw(&raw);
  active_ = tcsetattr(fd, TCSADRAIN, &raw) == 0;
}

RawMode::~RawMode() {
  if (active_) tcsetattr(fd_, TCSADRAIN, &saved_);
}

std::optional<std::string> LineEditor::read(const std::string& prompt) {
  std::optional<std::string> line;
  if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)) {
    line = edit(prompt);
  } else {
    std::string text;
    if (std::getline(std::cin, text)) line = text;
  }
  if (line && !line->empty() && (history_.empty() || history_.back() != *line)) history_.push_back(*line);
  return line;
}

std::optional<std::string> LineEditor::edit(const std::string& prompt) {
  const RawMode raw(STDIN_FILENO);
  std::string line, kept;
  std::size_t at = 0, place = history_.size();
  const auto show = [&] {
    put("\r" + prompt + line + "\x1B[K");
    if (at < line.size()) put("\x1B[" + std::to_string(line.size() - at) + "D");
  };
  const auto recall = [&](std::size_t to) {
    if (place == history_.size()) kept = line;
    place = to;
    line = place == history_.size() ? kept : history_[place];
    at = line.size();
  };
  while (true) {
    show();
    const int key = read_key();
    if (key == kEnd || (key == 4 && line.empty())) {
      put("\r\n");
      return std::nullopt;
    }
    switch (key) {
      case '\r':
      case '\n':
        put("\r\n");
        return line;
      case 3:  // Ctrl-C: a fresh line
        put("^C\r\n");
        line.clear();
        at = 0;
        break;
      case kLeft:
      case 2:
        at -= at > 0;
        break;
      case kRight:
      case 6:
        at += at < line.size();
        break;
      case kHome:
      case 1:
        at = 0;
        break;
      case kLast:
      case 5:
        at = line.size();
        break;
      case kUp:
      case 16:
        if (place > 0) recall(place - 1);
        break;
      case kDown:
      case 14:
        if (place < history_.size()) recall(place + 1);
        break;
      case 8:
      case 127:
        if (at > 0) line.erase(--at, 1);
        break;
      case 4:
      case kDelete:
        if (at < line.size()) line.erase(at, 1);
        break;
      case 11:
        line.resize(at);
        break;
      case 21:
        line.erase(0, at);
        at = 0;
        break;
      case 23: {
        std::size_t from = at;
        while (from > 0 && line[from - 1] == ' ') --from;
        while (from > 0 && line[from - 1] != ' ') --from;
        line.erase(from, at - from);
        at = from;
        break;
      }
      case 12:
        put("\x1B[H\x1B[2J");
        break;
      default:
        if (key >= 32 && key < 256) line.insert(at++, 1, static_cast<char>(key));
    }
  }
}

}  // namespace baton::hmc
