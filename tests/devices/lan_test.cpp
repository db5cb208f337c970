// SPDX-License-Identifier: Apache-2.0
// A LAN on a real vde_switch, with slirpvde behind it (devices/README.md).
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "devices/ethernet.h"

namespace baton::devices {
namespace {

namespace fs = std::filesystem;
using Frame = std::vector<u8>;
using Mac = std::array<u8, 6>;
constexpr Mac kBroadcast{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
constexpr Mac kGuest{0x02, 0xBA, 0x70, 0xA0, 0x00, 0x03};
constexpr u32 kGuestIp = 0x0A00020F, kHostIp = 0x0A000202;  // 10.0.2.15, 10.0.2.2

pid_t start(const std::vector<std::string>& words) {
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    std::vector<char*> argv;
    for (const auto& word : words) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    // Without a terminal the switch ends at once when it is not a daemon; a pipe that stays open keeps it.
    int in[2];
    if (pipe(in) == 0) dup2(in[0], 0);
    [[maybe_unused]] FILE* out = freopen("/dev/null", "w", stdout);
    out = freopen("/dev/null", "w", stderr);
    execvp(argv[0], argv.data());
    _exit(127);
  }
  return child;
}

void stop(pid_t& child) {
  if (child <= 0) return;
  kill(child, SIGTERM);
  for (int i = 0; i < 100 && waitpid(child, nullptr, WNOHANG) == 0; i++) {
    if (i == 50) kill(child, SIGKILL);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  child = 0;
}

bool installed(const char* program) {
  for (const char* directory : {"/usr/bin/", "/usr/local/bin/", "/bin/"})
    if (access((std::string(directory) + program).c_str(), X_OK) == 0) return true;
  return false;
}

/// What arrived on one connection.
class Inbox {
 public:
  void put(std::span<const u8> frame) {
    std::lock_guard guard(lock_);
    frames_.emplace_back(frame.begin(), frame.end());
    total_++;
    changed_.notify_all();
  }
  std::optional<Frame> wait(const std::function<bool(const Frame&)>& wanted, int ms = 5000) {
    std::unique_lock guard(lock_);
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(ms);
    for (;;) {
      while (!frames_.empty()) {
        Frame frame = std::move(frames_.front());
        frames_.pop_front();
        if (wanted(frame)) return frame;
      }
      if (changed_.wait_until(guard, until) == std::cv_status::timeout && frames_.empty()) return {};
    }
  }
  u64 total() {
    std::lock_guard guard(lock_);
    return total_;
  }

 private:
  std::mutex lock_;
  std::condition_variable changed_;
  std::deque<Frame> frames_;
  u64 total_ = 0;
};

Frame header(const Mac& to, const Mac& from, u16 type) {
  Frame frame(to.begin(), to.end());
  frame.insert(frame.end(), from.begin(), from.end());
  frame.push_back(static_cast<u8>(type >> 8));
  frame.push_back(static_cast<u8>(type));
  return frame;
}

void put16(Frame& frame, u16 value) {
  frame.push_back(static_cast<u8>(value >> 8));
  frame.push_back(static_cast<u8>(value));
}
void put32(Frame& frame, u32 value) {
  put16(frame, static_cast<u16>(value >> 16));
  put16(frame, static_cast<u16>(value));
}

Frame arp(u16 operation, const Mac& to, const Mac& from, u32 from_ip, const Mac& target, u32 target_ip) {
  Frame frame = header(to, from, operation == 3 ? 0x8035 : 0x0806);
  put16(frame, 1);
  put16(frame, 0x0800);
  put16(frame, 0x0604);
  put16(frame, operation);
  frame.insert(frame.end(), from.begin(), from.end());
  put32(frame, from_ip);
  frame.insert(frame.end(), target.begin(), target.end());
  put32(frame, target_ip);
  frame.resize(60);
  return frame;
}

bool is_arp(const Frame& frame, u16 operation) {
  return frame.size() >= 42 && load_be<u16>(&frame[12]) == 0x0806 && load_be<u16>(&frame[20]) == operation;
}

u16 checksum(std::span<const u8> data) {
  u32 sum = 0;
  for (std::size_t i = 0; i + 1 < data.size(); i += 2) sum += load_be<u16>(&data[i]);
  while (sum >> 16) sum = (sum & 0xFFFF) + (sum >> 16);
  return static_cast<u16>(~sum);
}

Frame dhcp_discover() {
  Frame bootp(240);
  bootp[0] = 1;
  bootp[1] = 1;
  bootp[2] = 6;
  store_be<u32>(&bootp[4], 0x12345678);
  std::copy(kGuest.begin(), kGuest.end(), bootp.begin() + 28);
  store_be<u32>(&bootp[236], 0x63825363);
  bootp.insert(bootp.end(), {53, 1, 1, 255});
  bootp.resize(300);
  Frame frame = header(kBroadcast, kGuest, 0x0800);
  Frame ip(20);
  ip[0] = 0x45;
  store_be<u16>(&ip[2], static_cast<u16>(28 + bootp.size()));
  ip[8] = 64;
  ip[9] = 17;
  store_be<u32>(&ip[16], 0xFFFFFFFF);
  store_be<u16>(&ip[10], checksum(ip));
  frame.insert(frame.end(), ip.begin(), ip.end());
  put16(frame, 68);
  put16(frame, 67);
  put16(frame, static_cast<u16>(8 + bootp.size()));
  put16(frame, 0);
  frame.insert(frame.end(), bootp.begin(), bootp.end());
  return frame;
}

bool is_syn(const Frame& frame, u16 port) {
  return frame.size() >= 54 && load_be<u16>(&frame[12]) == 0x0800 && frame[23] == 6 &&
         load_be<u32>(&frame[30]) == kGuestIp && load_be<u16>(&frame[36]) == port &&
         (frame[47] & 0x12) == 0x02;
}

u16 free_port() {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address));
  socklen_t length = sizeof(address);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length);
  close(fd);
  return ntohs(address.sin_port);
}

int connect_to(u16 port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  [[maybe_unused]] const int rc = connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address));
  return fd;
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define BATON_NO_VDE 1
#endif
#endif

class LanTest : public ::testing::Test {
 protected:
  void SetUp() override {
#ifdef BATON_NO_VDE
    GTEST_SKIP() << "libvdeplug loads its modules in a way that sanitizers do not allow";
#endif
    if (!installed("vde_switch")) GTEST_SKIP() << "vde_switch is not installed (package vde2)";
    char name[] = "/tmp/baton-lan-XXXXXX";
    directory_ = mkdtemp(name);
    start_switch();
  }
  void TearDown() override {
    stop(slirp_);
    stop(switch_);
    if (!directory_.empty()) fs::remove_all(directory_);
  }
  std::string path() const { return (directory_ / "lan.ctl").string(); }
  std::string locator() const { return "vde://" + path(); }
  void start_switch() {
    // A switch as it is out of the box keeps an address at its port for 3 seconds, and would send frames to
    // the source of a move meanwhile.
    const auto rc = directory_ / "rc";
    std::ofstream(rc) << "hash/setminper -1\n";
    switch_ = start({"vde_switch", "-s", path(), "-M", (directory_ / "mgmt").string(), "-f", rc.string()});
    for (int i = 0; i < 300 && !fs::exists(path() + "/ctl"); i++)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  void start_slirp(u16 port, u16 guest_port) {
    slirp_ = start({"slirpvde", "-s", path(), "--dhcp", "-L",
                    std::to_string(port) + ":10.0.2.15:" + std::to_string(guest_port)});
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
  }
  std::unique_ptr<LanConnection> plug(Inbox& inbox) {
    return open_lan(locator(), [&inbox](std::span<const u8> frame) { inbox.put(frame); });
  }
  fs::path directory_;
  pid_t switch_ = 0, slirp_ = 0;
};

Frame numbered(u32 number, std::size_t length = 1514) {
  Frame frame = header({2, 0, 0, 0, 0, 2}, {2, 0, 0, 0, 0, 1}, 0x88B5);
  put32(frame, number);
  frame.resize(length, static_cast<u8>(number));
  return frame;
}

TEST_F(LanTest, TwoConnectionsExchangeFrames) {
  Inbox a, b;
  auto left = plug(a), right = plug(b);
  Frame hello = header(kBroadcast, {2, 0, 0, 0, 0, 2}, 0x88B5);
  hello.resize(60);
  right->send(hello);
  EXPECT_EQ(a.wait([&](const Frame& frame) { return frame == hello; }), hello);
  for (u32 i = 0; i < 100; i++) left->send(numbered(i, 60 + i * 14));
  for (u32 i = 0; i < 100; i++) {
    const auto got = b.wait([](const Frame&) { return true; });
    ASSERT_TRUE(got) << i;
    EXPECT_EQ(*got, numbered(i, 60 + i * 14));
  }
}

TEST_F(LanTest, BurstIsQueuedAndASenderNeverWaits) {
  Inbox a, b;
  auto left = plug(a), right = plug(b);
  constexpr u32 kFrames = 3000;
  const auto begin = std::chrono::steady_clock::now();
  for (u32 i = 0; i < kFrames; i++) left->send(numbered(i));
  const auto sent = std::chrono::steady_clock::now() - begin;
  EXPECT_LT(sent, std::chrono::seconds(2));
  b.wait([](const Frame& frame) { return load_be<u32>(&frame[14]) == kFrames - 1; }, 1000);
  // The switch may drop what its ports do not take in time (net.unix.max_dgram_qlen is often 10), but goes
  // on.
  EXPECT_GT(b.total(), 0u);
  left->send(numbered(kFrames, 60));
  EXPECT_TRUE(b.wait([](const Frame& frame) { return load_be<u32>(&frame[14]) == kFrames; }));
  RecordProperty("arrived", static_cast<int>(b.total()));
}

TEST_F(LanTest, ComesBackAfterTheSwitchDid) {
  Inbox a, b;
  auto left = plug(a), right = plug(b);
  stop(switch_);
  for (u32 i = 0; i < 10; i++) left->send(numbered(i));  // Nobody is there: dropped, and nobody hurt.
  fs::remove_all(path());
  start_switch();
  std::optional<Frame> got;
  for (int i = 0; i < 100 && !got; i++) {
    left->send(numbered(77, 60));
    got = b.wait([](const Frame& frame) { return frame == numbered(77, 60); }, 100);
  }
  EXPECT_TRUE(got);
}

TEST_F(LanTest, WithoutASwitchTheErrorSaysSo) {
  try {
    open_lan("vde://" + (directory_ / "none").string(), [](std::span<const u8>) {});
    FAIL();
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find("vde_switch -s"), std::string::npos) << error.what();
  }
  EXPECT_THROW(open_lan("", [](std::span<const u8>) {}), std::runtime_error);
  EXPECT_THROW(open_lan("nonsense://x", [](std::span<const u8>) {}), std::runtime_error);
}

TEST_F(LanTest, SlirpAnswersArpAndDhcp) {
  if (!installed("slirpvde")) GTEST_SKIP() << "slirpvde is not installed (package vde2)";
  start_slirp(free_port(), 7);
  Inbox inbox;
  auto lan = plug(inbox);
  lan->send(arp(1, kBroadcast, kGuest, kGuestIp, {}, kHostIp));
  const auto answer = inbox.wait([](const Frame& frame) { return is_arp(frame, 2); });
  ASSERT_TRUE(answer);
  EXPECT_EQ(load_be<u32>(&(*answer)[28]), kHostIp);
  lan->send(dhcp_discover());
  const auto offer = inbox.wait([](const Frame& frame) {
    return frame.size() > 282 && load_be<u16>(&frame[12]) == 0x0800 && frame[23] == 17 &&
           load_be<u16>(&frame[36]) == 68 && load_be<u32>(&frame[46]) == 0x12345678;
  });
  ASSERT_TRUE(offer);
  EXPECT_EQ(load_be<u32>(&(*offer)[58]), kGuestIp);  // yiaddr
}

/// What the demonstration does: a client of the host reaches the guest wherever it is, after its
/// announcement.
TEST_F(LanTest, RedirectFollowsTheGuestToTheOtherSystem) {
  if (!installed("slirpvde")) GTEST_SKIP() << "slirpvde is not installed (package vde2)";
  const u16 port = free_port();
  start_slirp(port, 7);
  Inbox a, b;
  auto source = plug(a), destination = plug(b);
  // The guest on the source makes itself known to slirp and to the switch.
  source->send(arp(1, kBroadcast, kGuest, kGuestIp, {}, kHostIp));
  ASSERT_TRUE(a.wait([](const Frame& frame) { return is_arp(frame, 2); }));
  const int first = connect_to(port);
  EXPECT_TRUE(a.wait([](const Frame& frame) { return is_syn(frame, 7); }));
  EXPECT_FALSE(b.wait([](const Frame& frame) { return is_syn(frame, 7); }, 200));
  // It moves: the other system's SEA sends the reverse ARP.
  destination->send(arp(3, kBroadcast, kGuest, 0, kGuest, 0));
  EXPECT_TRUE(a.wait([](const Frame& frame) { return load_be<u16>(&frame[12]) == 0x8035; }));
  const int second = connect_to(port);
  EXPECT_TRUE(b.wait([](const Frame& frame) { return is_syn(frame, 7); }));
  close(first);
  close(second);
}

}  // namespace
}  // namespace baton::devices
