// SPDX-License-Identifier: Apache-2.0
// TCP between movers, encrypted where both know an authority (devices/tls.h).
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "devices/tls.h"
#include "migration/stream.h"

namespace baton::migration {

class Socket final : public ByteStream {
 public:
  /// Takes the descriptor. `tls` null: what is sent can be read on its way.
  explicit Socket(int fd, std::unique_ptr<devices::TlsChannel> tls = nullptr);
  ~Socket() override;
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  /// How long a read or write may make no progress.
  void set_timeout(std::chrono::milliseconds timeout);
  /// How many bytes may be under way unread, about.
  void set_send_buffer(int bytes);
  void read(std::span<u8> out) override;
  void write(std::span<const std::span<const u8>> parts) override;
  bool authenticated() const override { return tls_ != nullptr; }
  /// Ends both directions, from any thread: whoever is in read or write throws.
  void shut_down();

 private:
  int fd_;
  std::unique_ptr<devices::TlsChannel> tls_;
};

using TlsIdentity = std::shared_ptr<const devices::TlsIdentity>;

/// Connects to "HOST:PORT" (IPv4 numbers); with `tls` only to a mover whose certificate bears `peer_name`
/// (any name, if it is empty). Throws StreamError.
std::unique_ptr<Socket> connect_to(const std::string& address, std::chrono::milliseconds timeout,
                                   const TlsIdentity& tls = nullptr, const std::string& peer_name = {});

class ListeningSocket {
 public:
  /// "127.0.0.1" (any port) or "127.0.0.1:4711". Throws std::runtime_error for the user. With `tls`, the
  /// first read of a connection fails unless the peer's certificate is one of the authority's.
  explicit ListeningSocket(const std::string& address, TlsIdentity tls = nullptr,
                           const std::string& configured_by = "mover_address");
  ~ListeningSocket();
  const std::string& address() const { return address_; }  ///< With the port.
  /// Waits for a connection; null when shut_down() was called.
  std::unique_ptr<Socket> accept();
  int accept_descriptor();  ///< The same without TLS; -1 when shut_down() was called.
  void shut_down();

 private:
  int fd_ = -1, stop_ = -1;
  const TlsIdentity tls_;
  std::string address_;
};

}  // namespace baton::migration
