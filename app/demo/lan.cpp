// SPDX-License-Identifier: Apache-2.0
#include "app/demo/lan.h"

#include <arpa/inet.h>
#include <poll.h>
extern "C" {
#include <slirp/libvdeslirp.h>
}

#include <array>
#include <atomic>
#include <filesystem>
#include <stdexcept>
#include <thread>

namespace baton::demo {

using namespace std::chrono_literals;

/// The host's TCP/IP on the LAN (libslirp), plugged into the switch.
class Lan::Gateway {
 public:
  Gateway(const std::string& locator, const std::vector<Forward>& forwards) {
    SlirpConfig config;
    vdeslirp_init(&config, VDE_INIT_DEFAULT);
    config.in6_enabled = false;
    inet_pton(AF_INET, kGatewayAddress, &config.vhost);
    slirp_ = vdeslirp_open(&config);
    if (!slirp_) throw std::runtime_error("The LAN's gateway (libvdeslirp) cannot be started.");
    in_addr here{}, there{};
    inet_pton(AF_INET, "127.0.0.1", &here);
    inet_pton(AF_INET, kPartitionAddress, &there);
    for (const Forward& forward : forwards) {
      if (vdeslirp_add_fwd(slirp_, 0, here, forward.here, there, forward.there)) {
        vdeslirp_close(slirp_);
        throw std::runtime_error("The port 127.0.0.1:" + std::to_string(forward.here) +
                                 " was taken meanwhile; start the demonstration again.");
      }
    }
    port_ = devices::open_lan(
        locator, [this](std::span<const u8> frame) { vdeslirp_send(slirp_, frame.data(), frame.size()); });
    thread_ = std::thread([this] { run(); });
  }

  ~Gateway() {
    stop_ = true;
    thread_.join();
    port_.reset();
    vdeslirp_close(slirp_);
  }

 private:
  void run() {
    std::array<u8, 9234> frame;
    pollfd p{vdeslirp_fd(slirp_), POLLIN, 0};
    while (!stop_) {
      if (poll(&p, 1, 100) <= 0) continue;
      const ssize_t n = vdeslirp_recv(slirp_, frame.data(), frame.size());
      if (n > 0) port_->send({frame.data(), static_cast<std::size_t>(n)});
    }
  }

  struct vdeslirp* slirp_ = nullptr;
  std::unique_ptr<devices::LanConnection> port_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

Lan::Lan(const std::string& folder, const std::string& log, const std::vector<Forward>& forwards)
    : locator_("vde://" + folder),
      switch_("The LAN's switch", {"vde_switch", "-s", folder, "-m", "600"}, log) {
  // A switch of this kind keeps an address at its port for 3 s after the last frame. A partition is faster.
  switch_.type("hash/setminper -1\n");
  for (int i = 0; !std::filesystem::exists(folder + "/ctl"); ++i) {
    if (i == 500 || !switch_.running()) throw std::runtime_error(switch_.obituary());
    std::this_thread::sleep_for(10ms);
  }
  gateway_ = std::make_unique<Gateway>(locator_, forwards);
}

Lan::~Lan() = default;

}  // namespace baton::demo
