// SPDX-License-Identifier: Apache-2.0
// TLS 1.3 with certificates on both sides, over a connected socket.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "cpu/bits.h"

namespace baton::devices {

/// PEM files: the authority whose certificates are believed, and our own certificate with its key.
struct TlsFiles {
  std::string authority, certificate, key;
};

/// The handshake failed, the peer is not who it must be, or what it sent is not TLS.
class TlsError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Who we are and whom we believe. Thread-safe.
class TlsIdentity {
 public:
  /// Throws std::runtime_error naming the file that is wrong.
  explicit TlsIdentity(const TlsFiles& files);
  ~TlsIdentity();

 private:
  friend class TlsChannel;
  struct Private;
  std::unique_ptr<Private> p_;
};

/// One connection. Reading and writing may happen at the same time, each by one thread at a time. Timeouts
/// are the socket's (SO_RCVTIMEO, SO_SNDTIMEO).
class TlsChannel {
 public:
  enum class Role { kClient, kServer };
  /// Does not own `fd`. `peer_name`: the name that the peer's certificate must bear; empty: any that the
  /// authority signed.
  TlsChannel(std::shared_ptr<const TlsIdentity> identity, int fd, Role role,
             const std::string& peer_name = {});
  ~TlsChannel();

  /// Both sides prove who they are. The first read or write does it otherwise. Throws TlsError; nothing of
  /// ours but the certificate was sent then.
  void handshake();
  /// At least one byte; 0: the peer ended the connection in order. Throws TlsError, and std::system_error
  /// when the socket fails.
  std::size_t read(std::span<u8> out);
  /// Everything.
  void write(std::span<const std::span<const u8>> parts);
  void write(std::span<const u8> data) {
    const std::span<const u8> parts[] = {data};
    write(parts);
  }
  /// Tells the peer that no more will come.
  void end();

 private:
  void encrypt(std::span<const u8> data);  ///< With write_lock_ held.
  void send_pending();                     ///< With write_lock_ held.
  void send_answers();                     ///< What reading made, unless somebody who is sending will.
  bool receive();                          ///< Waits for bytes from the peer; false at the end.
  [[noreturn]] void fail(const char* doing);

  struct Private;
  std::unique_ptr<Private> p_;
  std::mutex write_lock_, tls_lock_;  ///< In this order.
};

}  // namespace baton::devices
