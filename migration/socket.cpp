// SPDX-License-Identifier: Apache-2.0
#include "migration/socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "devices/tcp.h"

namespace baton::migration {
namespace {

/// In bytes; Linux takes twice as much. What is in the first stands before the state of a partition that has
/// suspended itself. The second is no smaller than what Linux accounts for the pages in flight: else it drops
/// some of them, and the sender waits for its timer.
constexpr int kSendBuffer = 512 << 10, kReceiveBuffer = 4 << 20;

[[noreturn]] void fail() {
  if (errno == EAGAIN || errno == EWOULDBLOCK) throw StreamError("The other mover did not go on in time.");
  throw StreamError(std::string("The connection between the movers broke: ") + std::strerror(errno) + ".");
}

}  // namespace

Socket::Socket(int fd, std::unique_ptr<devices::TlsChannel> tls) : fd_(fd), tls_(std::move(tls)) {
  const int one = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  setsockopt(fd_, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
  setsockopt(fd_, SOL_SOCKET, SO_SNDBUF, &kSendBuffer, sizeof kSendBuffer);
  setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &kReceiveBuffer, sizeof kReceiveBuffer);
}

Socket::~Socket() { ::close(fd_); }

void Socket::set_timeout(std::chrono::milliseconds timeout) { devices::set_socket_timeout(fd_, timeout); }

namespace {

/// What can go wrong below becomes what can go wrong in a stream.
template <class Transfer>
void over_tls(Transfer&& transfer) try {
  transfer();
} catch (const devices::TlsError& problem) {
  throw StreamError("The connection between the movers was refused: " + std::string(problem.what()));
} catch (const std::system_error& problem) {
  errno = problem.code().value();
  fail();
}

}  // namespace

void Socket::set_send_buffer(int bytes) { setsockopt(fd_, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes); }

void Socket::read(std::span<u8> out) {
  if (tls_) {
    over_tls([&] {
      while (!out.empty()) {
        const std::size_t n = tls_->read(out);
        if (n == 0) throw StreamError("The other mover closed the connection.");
        out = out.subspan(n);
      }
    });
    return;
  }
  while (!out.empty()) {
    const ssize_t n = ::recv(fd_, out.data(), out.size(), 0);
    if (n == 0) throw StreamError("The other mover closed the connection.");
    if (n < 0) {
      if (errno == EINTR) continue;
      fail();
    }
    out = out.subspan(static_cast<std::size_t>(n));
  }
}

void Socket::write(std::span<const std::span<const u8>> parts) {
  if (tls_) {
    over_tls([&] { tls_->write(parts); });
    return;
  }
  iovec vectors[8];
  std::size_t count = 0;
  for (const std::span<const u8>& part : parts) {
    if (part.empty()) continue;
    if (count == std::size(vectors)) throw StreamError("Too many parts in one write.");
    vectors[count++] = {const_cast<u8*>(part.data()), part.size()};
  }
  iovec* at = vectors;
  while (count) {
    msghdr message{};
    message.msg_iov = at;
    message.msg_iovlen = count;
    ssize_t n = ::sendmsg(fd_, &message, MSG_NOSIGNAL);
    if (n < 0) {
      if (errno == EINTR) continue;
      fail();
    }
    while (n > 0) {
      const auto step = std::min(static_cast<std::size_t>(n), at->iov_len);
      at->iov_base = static_cast<u8*>(at->iov_base) + step;
      at->iov_len -= step;
      n -= static_cast<ssize_t>(step);
      if (at->iov_len == 0) {
        ++at;
        --count;
      }
    }
  }
}

void Socket::shut_down() { ::shutdown(fd_, SHUT_RDWR); }

std::unique_ptr<Socket> connect_to(const std::string& address, std::chrono::milliseconds timeout,
                                   const TlsIdentity& tls, const std::string& peer_name) {
  int fd;
  try {
    fd = devices::connect_tcp(address, timeout);
  } catch (const std::runtime_error& problem) {
    throw StreamError("The mover at " + std::string(problem.what()));
  }
  std::unique_ptr<devices::TlsChannel> channel;
  if (tls) {
    channel = std::make_unique<devices::TlsChannel>(tls, fd, devices::TlsChannel::Role::kClient, peer_name);
  }
  auto* handshake = channel.get();
  auto out = std::make_unique<Socket>(fd, std::move(channel));
  out->set_timeout(timeout);
  if (handshake) over_tls([&] { handshake->handshake(); });
  return out;
}

ListeningSocket::ListeningSocket(const std::string& address, TlsIdentity tls,
                                 const std::string& configured_by)
    : tls_(std::move(tls)) {
  const auto parsed = devices::parse_address(address);
  if (!parsed)
    throw std::runtime_error("The address " + address + " is not HOST or HOST:PORT; change \"" +
                             configured_by + "\".");
  sockaddr_in to = *parsed;
  fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  stop_ = eventfd(0, EFD_CLOEXEC);
  const int one = 1;
  setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  socklen_t length = sizeof to;
  if (::bind(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) || ::listen(fd_, 16) ||
      ::getsockname(fd_, reinterpret_cast<sockaddr*>(&to), &length)) {
    const std::string why = std::strerror(errno);
    ::close(fd_);
    ::close(stop_);
    throw std::runtime_error("The system cannot listen on " + address + ": " + why + "; change \"" +
                             configured_by + "\".");
  }
  char host[INET_ADDRSTRLEN];
  inet_ntop(AF_INET, &to.sin_addr, host, sizeof host);
  address_ = std::string(host) + ":" + std::to_string(ntohs(to.sin_port));
}

ListeningSocket::~ListeningSocket() {
  ::close(fd_);
  ::close(stop_);
}

std::unique_ptr<Socket> ListeningSocket::accept() {
  const int fd = accept_descriptor();
  if (fd < 0) return nullptr;
  if (!tls_) return std::make_unique<Socket>(fd);
  return std::make_unique<Socket>(
      fd, std::make_unique<devices::TlsChannel>(tls_, fd, devices::TlsChannel::Role::kServer));
}

int ListeningSocket::accept_descriptor() {
  while (true) {
    pollfd fds[2] = {{fd_, POLLIN, 0}, {stop_, POLLIN, 0}};
    if (poll(fds, 2, -1) < 0 && errno != EINTR) return -1;
    if (fds[1].revents) return -1;
    const int fd = ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd >= 0) return fd;
    // Out of descriptors: the connection stays in the queue; do not spin on it.
    if (errno == EMFILE || errno == ENFILE) usleep(100'000);
  }
}

void ListeningSocket::shut_down() {
  const u64 one = 1;
  if (::write(stop_, &one, sizeof one) < 0) return;
}

}  // namespace baton::migration
