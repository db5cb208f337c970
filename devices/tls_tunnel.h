// SPDX-License-Identifier: Apache-2.0
// Carries bytes between a TLS connection and a local socket, for a protocol that knows nothing of TLS.
#pragma once

#include <atomic>
#include <thread>

#include "devices/tls.h"

namespace baton::devices {

class TlsTunnel {
 public:
  /// Takes both descriptors. The handshake must be done.
  TlsTunnel(std::unique_ptr<TlsChannel> channel, int tls_fd, int local_fd);
  /// Ends both connections.
  ~TlsTunnel();
  TlsTunnel(const TlsTunnel&) = delete;
  TlsTunnel& operator=(const TlsTunnel&) = delete;
  /// One of the connections has ended, and so will the other.
  bool over() const { return over_; }
  void wait();   ///< Until it is over.
  void close();  ///< From any thread.

 private:
  std::unique_ptr<TlsChannel> channel_;
  const int tls_fd_, local_fd_;
  std::atomic<bool> over_{false};
  std::thread outward_, inward_;
};

}  // namespace baton::devices
