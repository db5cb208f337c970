// SPDX-License-Identifier: Apache-2.0
#include "app/demo/socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>
#include <system_error>

namespace baton::demo {
namespace {

sockaddr_in local(u16 port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

bool not_now() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

}  // namespace

Socket::Socket(u16 port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const sockaddr_in address = local(port);
  const int on = 1;
  // Connecting blocks; on this machine that takes no time.
  if (fd_ < 0 || connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) ||
      setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on)) {
    const std::system_error problem(errno, std::generic_category(), "connect");
    close();
    throw problem;
  }
}

void Socket::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

bool Socket::wait(Clock::time_point until, bool writing) const {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
  pollfd p{fd_, static_cast<short>(writing ? POLLIN | POLLOUT : POLLIN), 0};
  return poll(&p, 1, static_cast<int>(std::max<decltype(left)>(left, 0))) > 0;
}

std::size_t Socket::receive(std::span<u8> into) {
  const ssize_t n = recv(fd_, into.data(), into.size(), MSG_DONTWAIT);
  if (n > 0) return static_cast<std::size_t>(n);
  if (n == 0) throw std::runtime_error("the partition closed the connection");
  if (!not_now()) fail("receive");
  return 0;
}

std::size_t Socket::send(std::span<const u8> data) {
  const ssize_t n = ::send(fd_, data.data(), data.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (n < 0 && !not_now()) fail("send");
  return n < 0 ? 0 : static_cast<std::size_t>(n);
}

u16 free_port() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = local(0);
  socklen_t size = sizeof address;
  if (fd < 0 || bind(fd, reinterpret_cast<const sockaddr*>(&address), size) ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size)) {
    fail("free port");
  }
  ::close(fd);
  return ntohs(address.sin_port);
}

}  // namespace baton::demo
