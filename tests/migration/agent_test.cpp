// SPDX-License-Identifier: Apache-2.0
// The peer of the guest's agent; this test speaks the guest's part (guest/PROTOCOL.md 2).
#include <gtest/gtest.h>

#include <stdexcept>

#include "migration/rmc_agent.h"
#include "tests/migration/support.h"

namespace baton::migration {
namespace {

using namespace std::chrono_literals;

class Agent : public testing::Test {
 protected:
  hypervisor::ManagedSystem system_{
      {.name = "A", .type_model = "9117-MMA", .serial = "10BA70A", .memory = 1 << 30, .processors = 4}, ""};
  std::shared_ptr<hypervisor::Partition> partition_ = system_.create(small_profile());
  GuestAgent agent_{partition_};

  void say(std::string_view text) {
    // In pieces, as hypercalls deliver them.
    for (; !text.empty(); text.remove_prefix(std::min<std::size_t>(3, text.size()))) {
      const std::string_view piece = text.substr(0, 3);
      agent_.output({reinterpret_cast<const u8*>(piece.data()), piece.size()});
    }
  }
};

TEST_F(Agent, AHelloTellsWhatItCan) {
  EXPECT_FALSE(agent_.can_migrate());
  say("login: hello\r\nhello baton-agent 1 pmig=yes os=Linux%206.1\n");
  EXPECT_TRUE(agent_.can_migrate());
  EXPECT_EQ(agent_.os(), "Linux 6.1");
  EXPECT_FALSE(agent_.active()) << "the partition is off";
  EXPECT_THROW(agent_.send("check"), std::runtime_error);
  say("hello baton-agent 1 pmig=no os=6\n");
  EXPECT_FALSE(agent_.can_migrate());
  agent_.forget();
  EXPECT_EQ(agent_.os(), "");
}

TEST_F(Agent, OverlongAndForeignLinesArePassedOver) {
  say(std::string(100000, 'x') +
      "\nresult\nresult x y\nstarted 99999999999999999999\nresult 5 0 ok\nerror malformed\n");
  say("hello baton-agent 1 pmig=yes\n");
  EXPECT_TRUE(agent_.can_migrate());
}

TEST(PercentCode, BothWays) {
  EXPECT_EQ(percent_decode("a%20b%"), "a b%");
  EXPECT_EQ(percent_decode("%zz%41"), "%zzA");
  EXPECT_EQ(percent_decode(percent_encode("x y%\n\xFF")), "x y%\n\xFF");
}

}  // namespace
}  // namespace baton::migration
