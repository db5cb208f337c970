// SPDX-License-Identifier: Apache-2.0
#include "devices/tcp.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <stdexcept>

namespace baton::devices {

std::optional<sockaddr_in> parse_address(const std::string& text) {
  std::string host = text;
  unsigned port = 0;
  if (const std::size_t colon = text.find(':'); colon != std::string::npos) {
    const char* end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data() + colon + 1, end, port);
    if (error != std::errc() || rest != end || port > 65535) return std::nullopt;
    host.resize(colon);
  }
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(static_cast<uint16_t>(port));
  if (inet_pton(AF_INET, host.c_str(), &out.sin_addr) != 1) return std::nullopt;
  return out;
}

void set_socket_timeout(int fd, std::chrono::milliseconds timeout) {
  const timeval value{timeout.count() / 1000, (timeout.count() % 1000) * 1000};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &value, sizeof value);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &value, sizeof value);
}

int connect_tcp(const std::string& address, std::chrono::milliseconds timeout) {
  const auto to = parse_address(address);
  if (!to) throw std::runtime_error("The address " + address + " is not HOST:PORT.");
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0) set_socket_timeout(fd, timeout);
  if (fd < 0 || ::connect(fd, reinterpret_cast<const sockaddr*>(&*to), sizeof *to)) {
    const std::string why = std::strerror(errno);
    if (fd >= 0) ::close(fd);
    throw std::runtime_error(address + " cannot be reached: " + why + ".");
  }
  return fd;
}

}  // namespace baton::devices
