// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/xics.h"

#include <gtest/gtest.h>

namespace baton::hypervisor {
namespace {

constexpr u32 kDisk = 0xA0002, kNet = 0xA0003;

class XicsTest : public testing::Test {
 protected:
  XicsTest() {
    xics.add_source(kDisk);
    xics.add_source(kNet);
    for (u32 server = 0; server < 2; server++) xics.set_cppr(server, 0xFF);
    xics.set_xive(kDisk, 0, 5);
    xics.set_xive(kNet, 0, 5);
  }
  bool line[2] = {};
  Xics xics{2, [this](u32 server, bool up) { line[server] = up; }};
};

TEST_F(XicsTest, PulseIsPresentedAcceptedAndEnded) {
  xics.pulse(kDisk);
  EXPECT_TRUE(line[0]);
  EXPECT_EQ(xics.accept(0), 0xFF000000 | kDisk);
  EXPECT_FALSE(line[0]);
  EXPECT_EQ(xics.accept(0), 0x05000000U);  // Spurious; CPPR is that of the interrupt in service.
  EXPECT_TRUE(xics.eoi(0, 0xFF000000 | kDisk));
  EXPECT_FALSE(line[0]);
}

TEST_F(XicsTest, PulseDuringServiceComesAgainAfterEoi) {
  xics.pulse(kDisk);
  xics.accept(0);
  xics.pulse(kDisk);
  xics.pulse(kDisk);
  EXPECT_FALSE(line[0]);
  xics.eoi(0, 0xFF000000 | kDisk);
  EXPECT_TRUE(line[0]);
  EXPECT_EQ(xics.accept(0) & 0xFFFFFF, kDisk);
  xics.eoi(0, 0xFF000000 | kDisk);
  EXPECT_FALSE(line[0]);
}

TEST_F(XicsTest, PulsesBeforeAcceptanceAreOneInterrupt) {
  xics.pulse(kDisk);
  xics.pulse(kDisk);
  xics.accept(0);
  xics.eoi(0, 0xFF000000 | kDisk);
  EXPECT_FALSE(line[0]);
}

TEST_F(XicsTest, EoiOfAnotherSourceDoesNotLoseOne) {
  xics.pulse(kDisk);
  xics.eoi(0, 0xFF000000 | kDisk);  // Nobody has accepted it.
  EXPECT_TRUE(line[0]);
  EXPECT_EQ(xics.accept(0) & 0xFFFFFF, kDisk);
}

TEST_F(XicsTest, CpprHoldsBackAndRejects) {
  xics.set_cppr(0, 5);
  xics.pulse(kDisk);
  EXPECT_FALSE(line[0]);  // Equal is not more favoured.
  xics.set_cppr(0, 6);
  EXPECT_TRUE(line[0]);
  xics.set_cppr(0, 4);
  EXPECT_FALSE(line[0]);
  EXPECT_EQ(xics.accept(0) & 0xFFFFFF, 0U);
  xics.set_cppr(0, 0xFF);
  EXPECT_EQ(xics.accept(0) & 0xFFFFFF, kDisk);
}

TEST_F(XicsTest, TwoSourcesOneAfterTheOther) {
  xics.pulse(kDisk);
  xics.pulse(kNet);
  EXPECT_EQ(xics.accept(0), 0xFF000000 | kDisk);
  EXPECT_FALSE(line[0]);
  xics.eoi(0, 0xFF000000 | kDisk);
  EXPECT_EQ(xics.accept(0), 0xFF000000 | kNet);
}

TEST_F(XicsTest, MoreFavouredDisplacesWhatIsNotAccepted) {
  xics.pulse(kDisk);
  xics.ipi(0, 4);
  EXPECT_EQ(xics.accept(0), 0xFF000000 | kXicsIpi);
  xics.ipi(0, 0xFF);
  xics.eoi(0, 0xFF000000 | kXicsIpi);
  EXPECT_TRUE(line[0]);
  EXPECT_EQ(xics.accept(0), 0xFF000000 | kDisk);
}

TEST_F(XicsTest, IpiStaysUntilMfrrIsCleared) {
  EXPECT_TRUE(xics.ipi(1, 4));
  EXPECT_TRUE(line[1]);
  u32 xirr = 0;
  u8 mfrr = 0;
  EXPECT_TRUE(xics.poll(1, xirr, mfrr));
  EXPECT_EQ(xirr, 0xFF000000 | kXicsIpi);
  EXPECT_EQ(mfrr, 4);
  EXPECT_EQ(xics.accept(1), 0xFF000000 | kXicsIpi);
  xics.eoi(1, 0xFF000000 | kXicsIpi);
  EXPECT_TRUE(line[1]);  // MFRR still asks.
  xics.accept(1);
  xics.ipi(1, 0xFF);
  xics.eoi(1, 0xFF000000 | kXicsIpi);
  EXPECT_FALSE(line[1]);
  EXPECT_FALSE(xics.ipi(2, 4));
}

TEST_F(XicsTest, WithdrawnIpiIsNotPresented) {
  xics.ipi(0, 4);
  xics.ipi(0, 0xFF);
  EXPECT_FALSE(line[0]);
  EXPECT_EQ(xics.accept(0) & 0xFFFFFF, 0U);
}

TEST_F(XicsTest, MaskedSourceRemembersThePulse) {
  xics.int_off(kDisk);
  xics.pulse(kDisk);
  EXPECT_FALSE(line[0]);
  u32 server = 9;
  u8 priority = 0;
  EXPECT_TRUE(xics.get_xive(kDisk, server, priority));
  EXPECT_EQ(priority, 0xFF);
  xics.int_on(kDisk);
  EXPECT_TRUE(line[0]);
}

TEST_F(XicsTest, LinuxMaskAndUnmask) {
  xics.int_off(kDisk);
  xics.set_xive(kDisk, 0, 0xFF);
  xics.pulse(kDisk);
  xics.set_xive(kDisk, 1, 5);
  xics.int_on(kDisk);
  EXPECT_TRUE(line[1]);
  EXPECT_FALSE(line[0]);
}

TEST_F(XicsTest, GlobalQueueTakesTheFirstThreadThatMay) {
  EXPECT_TRUE(xics.set_xive(kDisk, kGlobalServer, 5));
  EXPECT_TRUE(xics.set_xive(kNet, kGlobalServer, 5));
  xics.pulse(kDisk);
  EXPECT_TRUE(line[0]);
  xics.accept(0);
  xics.pulse(kNet);  // Server 0 is busy at that priority.
  EXPECT_TRUE(line[1]);
  xics.accept(1);
  xics.eoi(1, 0xFF000000 | kNet);
  xics.eoi(0, 0xFF000000 | kDisk);
  EXPECT_FALSE(line[0] || line[1]);
  xics.set_global_queue(0, false);
  xics.pulse(kDisk);
  EXPECT_FALSE(line[0]);
  EXPECT_TRUE(line[1]);
}

TEST_F(XicsTest, RejectedFromTheGlobalQueueGoesToAnotherThread) {
  xics.set_xive(kDisk, kGlobalServer, 5);
  xics.pulse(kDisk);
  ASSERT_TRUE(line[0]);
  xics.set_cppr(0, 0);
  EXPECT_FALSE(line[0]);
  EXPECT_TRUE(line[1]);
}

TEST_F(XicsTest, ErrorsOfArguments) {
  EXPECT_FALSE(xics.set_xive(0x1234, 0, 5));
  EXPECT_FALSE(xics.set_xive(kDisk, 2, 5));
  EXPECT_FALSE(xics.int_on(0x1234));
  EXPECT_FALSE(xics.eoi(0, 0xFF001234));
  xics.pulse(0x1234);
  EXPECT_FALSE(line[0] || line[1]);
}

TEST_F(XicsTest, SnapshotCarriesEverythingPending) {
  xics.pulse(kDisk);
  xics.accept(0);
  xics.pulse(kDisk);
  xics.ipi(1, 4);
  const auto snapshot = xics.save();
  bool there[2] = {};
  Xics other(2, [&](u32 server, bool up) { there[server] = up; });
  other.add_source(kDisk);
  other.add_source(kNet);
  other.restore(snapshot);
  EXPECT_FALSE(there[0]);
  EXPECT_TRUE(there[1]);
  other.eoi(0, 0xFF000000 | kDisk);
  EXPECT_TRUE(there[0]);
}

TEST_F(XicsTest, ResetServerGivesBackWhatItWasPresented) {
  xics.set_xive(kDisk, 1, 5);
  xics.pulse(kDisk);
  xics.reset_server(1);
  EXPECT_FALSE(line[1]);
  xics.set_cppr(1, 0xFF);
  EXPECT_TRUE(line[1]);
}

}  // namespace
}  // namespace baton::hypervisor
