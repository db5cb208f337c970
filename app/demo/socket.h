// SPDX-License-Identifier: Apache-2.0
// TCP to this machine, for the demonstration's clients.
#pragma once

#include <chrono>
#include <span>
#include <utility>

#include "cpu/bits.h"

namespace baton::demo {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::duration<double, std::milli>;

/// An owned, non-blocking TCP connection to 127.0.0.1.
class Socket {
 public:
  Socket() = default;
  explicit Socket(u16 port);  ///< Throws std::system_error.
  ~Socket() { close(); }
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  int fd() const { return fd_; }
  void close();

  /// Waits until there is something to read, or a place to write if `writing`. False: `until` came first.
  bool wait(Clock::time_point until, bool writing = false) const;
  /// Bytes taken; 0 = nothing there now. Throws std::system_error when the connection broke, and
  /// std::runtime_error when the other side closed it.
  std::size_t receive(std::span<u8> into);
  /// Bytes sent; 0 = no room now. Throws std::system_error when the connection broke.
  std::size_t send(std::span<const u8> data);

 private:
  int fd_ = -1;
};

/// A port of this machine that nobody listens on, at the time of asking.
u16 free_port();

}  // namespace baton::demo
