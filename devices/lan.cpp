// SPDX-License-Identifier: Apache-2.0
// A LAN behind libvdeplug (libvdeplug(3), vdeplug4).
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

extern "C" {
#include <libvdeplug.h>
}

#include <atomic>
#include <cerrno>
#include <cstring>
#include <deque>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include "devices/ethernet.h"

namespace baton::devices {
namespace {

constexpr std::size_t kShortestFrame = 14, kLongestFrame = VDE_ETHBUFSIZE;
constexpr std::size_t kMostQueued = 4096;
constexpr int kReconnectMs = 500;

VDECONN* open_connection(const std::string& locator) {
  // Both strings are read only, but the interface says char*.
  std::string url = locator, description = "baton SEA";
  return vde_open(url.data(), description.data(), nullptr);
}

std::string remedy(const std::string& locator, int error) {
  if (locator.starts_with("slirp:"))
    return "; install the plug-in (apt install libvdeplug-slirp), or run slirpvde on a vde_switch";
  if (locator.starts_with("tap:")) return "; create the tap interface for this user first (ip tuntap add)";
  if (locator.starts_with("vde:") || locator.starts_with("/")) {
    const std::string path = locator.starts_with("vde://") ? locator.substr(6) : locator;
    if (error == EACCES || error == EPERM) return "; start the switch with -m 666, or as this user";
    return "; start a switch there first: vde_switch -s " + (path.empty() ? "DIRECTORY" : path) + " -d";
  }
  return "; see libvdeplug's manual for the form of a locator";
}

/// One thread receives, reconnects, and sends what the LAN did not take at once. A sender never waits.
class VdeLan final : public LanConnection {
 public:
  VdeLan(std::string locator, VDECONN* connection, std::function<void(std::span<const u8>)> receive)
      : locator_(std::move(locator)),
        receive_(std::move(receive)),
        wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    adopt(connection);
    thread_ = std::thread([this] { loop(); });
  }

  ~VdeLan() override {
    stop_ = true;
    wake();
    thread_.join();
    drop_connection();
    close(wake_);
  }

  void send(std::span<const u8> frame) override {
    if (frame.size() < kShortestFrame || frame.size() > kLongestFrame) return;
    std::lock_guard guard(lock_);
    if (!connection_) return;
    if (waiting_.empty()) {
      if (vde_send(connection_, frame.data(), frame.size(), 0) >= 0 || !would_block(errno)) return;
    }
    if (waiting_.size() >= kMostQueued) return;
    waiting_.emplace_back(frame.begin(), frame.end());
    if (waiting_.size() == 1) wake();
  }

 private:
  static bool would_block(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == ENOBUFS; }

  void wake() {
    const u64 one = 1;
    [[maybe_unused]] const ssize_t n = write(wake_, &one, sizeof(one));
  }

  void adopt(VDECONN* connection) {
    const int fd = vde_datafd(connection);
    if (fd >= 0) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    std::lock_guard guard(lock_);
    connection_ = connection;
  }

  void drop_connection() {
    std::lock_guard guard(lock_);
    if (connection_) vde_close(connection_);
    connection_ = nullptr;
    waiting_.clear();
  }

  /// Sends what waits; true when nothing is left.
  bool drain() {
    std::lock_guard guard(lock_);
    while (!waiting_.empty()) {
      const auto& frame = waiting_.front();
      if (vde_send(connection_, frame.data(), frame.size(), 0) < 0 && would_block(errno)) return false;
      waiting_.pop_front();
    }
    return true;
  }

  /// Takes what has arrived; false when the LAN is gone.
  bool take() {
    for (int i = 0; i < 64; i++) {
      const ssize_t n = vde_recv(connection_, buffer_, sizeof(buffer_), 0);
      if (n < 0) return would_block(errno) || errno == EINTR;
      if (static_cast<std::size_t>(n) >= kShortestFrame) receive_({buffer_, static_cast<std::size_t>(n)});
      if (n == 0) break;
    }
    return true;
  }

  void loop() {
    while (!stop_) {
      if (!connection_) {  // Only this thread changes it, so it may look without the lock.
        pollfd waker{wake_, POLLIN, 0};
        poll(&waker, 1, kReconnectMs);
        clear_wake();
        if (stop_) return;
        if (VDECONN* connection = open_connection(locator_)) adopt(connection);
        continue;
      }
      const bool all_sent = drain();
      pollfd fds[3] = {{vde_datafd(connection_), static_cast<short>(POLLIN | (all_sent ? 0 : POLLOUT)), 0},
                       {vde_ctlfd(connection_), POLLIN, 0},
                       {wake_, POLLIN, 0}};
      if (poll(fds, 3, -1) < 0 && errno != EINTR) return;
      clear_wake();
      if (stop_) return;
      bool alive =
          !(fds[1].revents & (POLLIN | POLLHUP | POLLERR)) && !(fds[0].revents & (POLLHUP | POLLNVAL));
      // A datagram socket reports an error once and goes on; whether the LAN is gone shows on receiving.
      if (fds[0].revents & (POLLIN | POLLERR)) alive = take() && alive;
      if (!alive) drop_connection();
    }
  }

  void clear_wake() const {
    u64 count;
    [[maybe_unused]] const ssize_t n = read(wake_, &count, sizeof(count));
  }

  std::string locator_;
  std::function<void(std::span<const u8>)> receive_;
  int wake_;
  std::mutex lock_;  ///< connection_ for senders, waiting_.
  VDECONN* connection_ = nullptr;
  std::deque<std::vector<u8>> waiting_;
  std::atomic<bool> stop_{false};
  alignas(8) u8 buffer_[kLongestFrame];
  std::thread thread_;
};

}  // namespace

std::unique_ptr<LanConnection> open_lan(const std::string& locator,
                                        std::function<void(std::span<const u8>)> receive) {
  if (locator.empty())
    throw std::runtime_error("LAN: the locator is empty; give one such as vde:///run/lan.ctl");
  errno = 0;
  VDECONN* connection = open_connection(locator);
  if (!connection) {
    const int error = errno;
    throw std::runtime_error("LAN " + locator + ": cannot be joined" +
                             (error ? std::string(" (") + std::strerror(error) + ")" : "") +
                             remedy(locator, error));
  }
  return std::make_unique<VdeLan>(locator, connection, std::move(receive));
}

}  // namespace baton::devices
