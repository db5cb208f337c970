// SPDX-License-Identifier: Apache-2.0
// TCP between movers.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "migration/stream.h"

namespace baton::migration {

class Socket final : public ByteStream {
 public:
  explicit Socket(int fd);
  ~Socket() override;
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  /// How long a read or write may make no progress.
  void set_timeout(std::chrono::milliseconds timeout);
  void read(std::span<u8> out) override;
  void write(std::span<const std::span<const u8>> parts) override;
  /// Ends both directions, from any thread: whoever is in read or write throws.
  void shut_down();

 private:
  int fd_;
};

/// Connects to "HOST:PORT" (IPv4 numbers). Throws StreamError.
std::unique_ptr<Socket> connect_to(const std::string& address, std::chrono::milliseconds timeout);

class ListeningSocket {
 public:
  /// "127.0.0.1" (any port) or "127.0.0.1:4711". Throws std::runtime_error for the user.
  explicit ListeningSocket(const std::string& address);
  ~ListeningSocket();
  const std::string& address() const { return address_; }  ///< With the port.
  /// Waits for a connection; null when shut_down() was called.
  std::unique_ptr<Socket> accept();
  void shut_down();

 private:
  int fd_ = -1, stop_ = -1;
  std::string address_;
};

}  // namespace baton::migration
