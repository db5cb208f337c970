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
#include <charconv>
#include <cstring>

namespace baton::migration {
namespace {

bool parse_address(const std::string& text, sockaddr_in& out) {
  std::string host = text;
  unsigned port = 0;
  if (const std::size_t colon = text.find(':'); colon != std::string::npos) {
    const char* end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data() + colon + 1, end, port);
    if (error != std::errc() || rest != end || port > 65535) return false;
    host.resize(colon);
  }
  out = {};
  out.sin_family = AF_INET;
  out.sin_port = htons(static_cast<u16>(port));
  return inet_pton(AF_INET, host.c_str(), &out.sin_addr) == 1;
}

[[noreturn]] void fail() {
  if (errno == EAGAIN || errno == EWOULDBLOCK) throw StreamError("The other mover did not go on in time.");
  throw StreamError(std::string("The connection between the movers broke: ") + std::strerror(errno) + ".");
}

}  // namespace

Socket::Socket(int fd) : fd_(fd) {
  const int one = 1, buffer = 4 << 20;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  setsockopt(fd_, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
  setsockopt(fd_, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
  setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
}

Socket::~Socket() { ::close(fd_); }

void Socket::set_timeout(std::chrono::milliseconds timeout) {
  const timeval value{timeout.count() / 1000, (timeout.count() % 1000) * 1000};
  setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &value, sizeof value);
  setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &value, sizeof value);
}

void Socket::read(std::span<u8> out) {
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

std::unique_ptr<Socket> connect_to(const std::string& address, std::chrono::milliseconds timeout) {
  sockaddr_in to;
  if (!parse_address(address, to)) throw StreamError("The mover's address " + address + " is not HOST:PORT.");
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) fail();
  auto out = std::make_unique<Socket>(fd);
  out->set_timeout(timeout);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to)) {
    throw StreamError("The mover at " + address + " cannot be reached: " + std::strerror(errno) + ".");
  }
  return out;
}

ListeningSocket::ListeningSocket(const std::string& address) {
  sockaddr_in to;
  if (!parse_address(address, to))
    throw std::runtime_error("The mover address " + address + " is not HOST or HOST:PORT.");
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
    throw std::runtime_error("The mover cannot listen on " + address + ": " + why +
                             "; change \"mover_address\".");
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
  while (true) {
    pollfd fds[2] = {{fd_, POLLIN, 0}, {stop_, POLLIN, 0}};
    if (poll(fds, 2, -1) < 0 && errno != EINTR) return nullptr;
    if (fds[1].revents) return nullptr;
    const int fd = ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd >= 0) return std::make_unique<Socket>(fd);
    // Out of descriptors: the connection stays in the queue; do not spin on it.
    if (errno == EMFILE || errno == ENFILE) usleep(100'000);
  }
}

void ListeningSocket::shut_down() {
  const u64 one = 1;
  if (::write(stop_, &one, sizeof one) < 0) return;
}

}  // namespace baton::migration
