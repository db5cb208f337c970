// SPDX-License-Identifier: Apache-2.0
// The demonstration's LAN: a real vde_switch and the gateway outside it.
#include "app/demo/lan.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <vector>

#include "app/demo/socket.h"

namespace baton::demo {
namespace {

using namespace std::chrono_literals;
using Frame = std::vector<u8>;

constexpr std::array<u8, 6> kMac{0x32, 0x43, 0xEE, 0, 0, 2};

/// Who has 10.0.2.2? Tell 10.0.2.15.
Frame question() {
  Frame f(6, 0xFF);
  f.insert(f.end(), kMac.begin(), kMac.end());
  f.insert(f.end(), {8, 6, 0, 1, 8, 0, 6, 4, 0, 1});
  f.insert(f.end(), kMac.begin(), kMac.end());
  f.insert(f.end(), {10, 0, 2, 15, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2});
  f.resize(60);
  return f;
}

/// A place at the switch that counts the answers to its address.
class Plug {
 public:
  explicit Plug(const std::string& locator)
      : lan_(devices::open_lan(locator, [this](std::span<const u8> frame) {
          if (frame.size() < 42 || !std::equal(kMac.begin(), kMac.end(), frame.begin())) return;
          const std::lock_guard hold(lock_);
          ++answers_;
          changed_.notify_all();
        })) {}
  void ask() { lan_->send(question()); }
  bool answered(int times) {
    std::unique_lock hold(lock_);
    return changed_.wait_for(hold, 30s, [&] { return answers_ >= times; });
  }
  int answers() {
    const std::lock_guard hold(lock_);
    return answers_;
  }

 private:
  std::mutex lock_;
  std::condition_variable changed_;
  int answers_ = 0;
  std::unique_ptr<devices::LanConnection> lan_;
};

class LanTest : public testing::Test {
 protected:
  void SetUp() override {
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    GTEST_SKIP() << "libvdeplug loads its modules in a way that sanitizers do not allow";
#endif
    char name[] = "/tmp/baton-lan-test-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder_ = name;
  }
  void TearDown() override {
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }
  std::string folder_;
};

TEST_F(LanTest, AddressFollowsItsOwnerAtOnce) {
  const Lan lan(folder_ + "/lan", folder_ + "/log", {{free_port(), 7001}});
  Plug before(lan.locator()), after(lan.locator());
  before.ask();
  ASSERT_TRUE(before.answered(1));
  for (int i = 1; i <= 5; ++i) {
    after.ask();
    ASSERT_TRUE(after.answered(i));
    before.ask();
    ASSERT_TRUE(before.answered(i + 1));
  }
  EXPECT_EQ(after.answers(), 5);
  EXPECT_EQ(before.answers(), 6);
}

TEST(ChildTest, EndIsTold) {
  const std::string log = testing::TempDir() + "baton-child." + std::to_string(getpid());
  Child child("The parrot", {"sh", "-c", "echo bereft of life; exit 3"}, log);
  ASSERT_TRUE(child.wait(30s));
  EXPECT_EQ(child.obituary(), "The parrot ended: bereft of life (its log is " + log + ").");
}

TEST(ChildTest, MissingProgramIsSaid) {
  EXPECT_THROW(Child("x", {"/no/such/program"}, testing::TempDir() + "none.log"), std::runtime_error);
}

}  // namespace
}  // namespace baton::demo
