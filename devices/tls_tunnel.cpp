// SPDX-License-Identifier: Apache-2.0
#include "devices/tls_tunnel.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace baton::devices {
namespace {

constexpr std::size_t kPiece = 64 << 10;

bool send_all(int fd, std::span<const u8> data) {
  while (!data.empty()) {
    const ssize_t n = ::send(fd, data.data(), data.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    data = data.subspan(static_cast<std::size_t>(n));
  }
  return true;
}

}  // namespace

TlsTunnel::TlsTunnel(std::unique_ptr<TlsChannel> channel, int tls_fd, int local_fd)
    : channel_(std::move(channel)), tls_fd_(tls_fd), local_fd_(local_fd) {
  outward_ = std::thread([this] {
    std::vector<u8> piece(kPiece);
    try {
      while (true) {
        const ssize_t n = ::recv(local_fd_, piece.data(), piece.size(), 0);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        channel_->write(std::span(piece).first(static_cast<std::size_t>(n)));
      }
      channel_->end();
    } catch (const std::exception&) {
      // Either end may go at any time: the other is closed.
    }
    close();
  });
  inward_ = std::thread([this] {
    std::vector<u8> piece(kPiece);
    try {
      while (const std::size_t n = channel_->read(piece)) {
        if (!send_all(local_fd_, std::span(piece).first(n))) break;
      }
    } catch (const std::exception&) {
    }
    close();
  });
}

TlsTunnel::~TlsTunnel() {
  close();
  wait();
  ::close(tls_fd_);
  ::close(local_fd_);
}

void TlsTunnel::wait() {
  for (std::thread* thread : {&outward_, &inward_}) {
    if (thread->joinable()) thread->join();
  }
}

void TlsTunnel::close() {
  over_ = true;
  ::shutdown(local_fd_, SHUT_RDWR);
  ::shutdown(tls_fd_, SHUT_RDWR);
}

}  // namespace baton::devices
