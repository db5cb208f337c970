// SPDX-License-Identifier: Apache-2.0
// The control API beyond this host: TLS connections from those that the authority knows are led to the
// control service's own socket.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "devices/tls_tunnel.h"
#include "migration/socket.h"

namespace baton::app {

class ControlGateway {
 public:
  /// Listens on "HOST:PORT"; `socket` is the path of the control service's. Throws std::runtime_error.
  ControlGateway(const std::string& address, migration::TlsIdentity identity, std::string socket);
  ~ControlGateway();
  const std::string& address() const { return listener_.address(); }

 private:
  struct Connection {
    int fd = -1;
    std::unique_ptr<devices::TlsTunnel> tunnel;
    bool over = false;
    std::thread thread;
  };
  void accept_loop();
  void serve(Connection& connection);
  void forget_those_over();

  const migration::TlsIdentity identity_;
  const std::string socket_;
  migration::ListeningSocket listener_;
  std::mutex lock_;
  std::list<Connection> connections_;
  bool closing_ = false;
  std::thread acceptor_;
};

}  // namespace baton::app
