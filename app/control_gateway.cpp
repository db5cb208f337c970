// SPDX-License-Identifier: Apache-2.0
#include "app/control_gateway.h"

#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "devices/tcp.h"

namespace baton::app {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMostConnections = 64;

int connect_local(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), std::min(path.size(), sizeof address.sun_path - 1));
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
  const std::string why = std::strerror(errno);
  if (fd >= 0) ::close(fd);
  throw std::runtime_error("the control service does not answer: " + why + ".");
}

}  // namespace

ControlGateway::ControlGateway(const std::string& address, migration::TlsIdentity identity,
                               std::string socket)
    : identity_(std::move(identity)),
      socket_(std::move(socket)),
      listener_(address, nullptr, "control_address") {
  acceptor_ = std::thread([this] { accept_loop(); });
}

ControlGateway::~ControlGateway() {
  listener_.shut_down();
  acceptor_.join();
  {
    const std::lock_guard hold(lock_);
    closing_ = true;
    for (Connection& connection : connections_) {
      if (connection.over) continue;
      if (connection.tunnel)
        connection.tunnel->close();
      else
        ::shutdown(connection.fd, SHUT_RDWR);
    }
  }
  for (Connection& connection : connections_) connection.thread.join();
}

void ControlGateway::accept_loop() {
  for (int fd; (fd = listener_.accept_descriptor()) >= 0;) {
    const std::lock_guard hold(lock_);
    forget_those_over();
    if (connections_.size() >= kMostConnections) {
      ::close(fd);
      continue;
    }
    Connection& connection = connections_.emplace_back();
    connection.fd = fd;
    connection.thread = std::thread([this, &connection] { serve(connection); });
  }
}

void ControlGateway::forget_those_over() {
  for (auto it = connections_.begin(); it != connections_.end();) {
    if (it->over) {
      it->thread.join();
      it = connections_.erase(it);
    } else {
      ++it;
    }
  }
}

void ControlGateway::serve(Connection& connection) {
  devices::TlsTunnel* tunnel = nullptr;
  try {
    devices::set_socket_timeout(connection.fd, 5s);
    auto channel =
        std::make_unique<devices::TlsChannel>(identity_, connection.fd, devices::TlsChannel::Role::kServer);
    channel->handshake();
    devices::set_socket_timeout(connection.fd, 0s);
    const int local = connect_local(socket_);
    const std::lock_guard hold(lock_);
    connection.tunnel = std::make_unique<devices::TlsTunnel>(std::move(channel), connection.fd, local);
    tunnel = connection.tunnel.get();
    if (closing_) tunnel->close();
  } catch (const std::exception& problem) {
    spdlog::warn("control: a connection was refused: {}", problem.what());
  }
  if (tunnel) tunnel->wait();
  const std::lock_guard hold(lock_);
  connection.tunnel.reset();
  if (!tunnel) ::close(connection.fd);
  connection.over = true;
}

}  // namespace baton::app
