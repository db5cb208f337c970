// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/partition.h"

#include "support.h"

namespace baton::hypervisor::test {
namespace {

using PartitionTest = PartitionFixture;

std::string refused(const std::function<void()>& action) {
  try {
    action();
  } catch (const std::runtime_error& problem) {
    return problem.what();
  }
  return "";
}

TEST_F(PartitionTest, LookupByUnitAddressAndLiobn) {
  ASSERT_TRUE(partition->adapter(0x30000002));
  EXPECT_EQ(partition->adapter(0x30000002)->slot(), 2U);
  EXPECT_FALSE(partition->adapter(0x20000002));
  EXPECT_FALSE(partition->adapter(0x30000009));
  ASSERT_TRUE(partition->tce(0x10000003));
  EXPECT_FALSE(partition->tce(0x10000000));  // A terminal has no window.
  EXPECT_FALSE(partition->tce(0x30000003));
  EXPECT_EQ(partition->processor(1)->server(), 1U);
  EXPECT_FALSE(partition->processor(2));
}

TEST_F(PartitionTest, SystemGivesOutWhatItHas) {
  EXPECT_EQ(system.free_memory(), (1024ULL - 64) << 20);
  EXPECT_EQ(system.free_processors(), 6U);
  EXPECT_EQ(system.next_free_id(), 3U);
  EXPECT_NE(refused([&] { system.create(small_profile("lpar2", 3)); }).find("already has a partition named"),
            std::string::npos);
  EXPECT_NE(refused([&] { system.create(small_profile("other", 2)); }).find("belongs to lpar2"),
            std::string::npos);
  EXPECT_NE(refused([&] { system.create(small_profile("other", 1)); }).find("Virtual I/O Server"),
            std::string::npos);
  EXPECT_NE(refused([&] { system.create(small_profile("other", 3, 7)); }).find("6 left"), std::string::npos);
  auto large = small_profile("other", 3);
  large.memory = u64{2} << 30;
  EXPECT_NE(refused([&] { system.create(large); }).find("960 MB left"), std::string::npos);
  EXPECT_EQ(system.find("lpar2"), partition);
  EXPECT_EQ(system.find("2"), partition);
  EXPECT_FALSE(system.find("3"));
  EXPECT_FALSE(system.remove(3));
  EXPECT_TRUE(system.remove(2));
  EXPECT_EQ(system.free_processors(), 8U);
}

TEST_F(PartitionTest, ProfilesThatCannotBe) {
  auto profile = small_profile("other", 3);
  profile.memory += 4096;
  EXPECT_NE(refused([&] { system.create(profile); }).find("multiple of 16 MB"), std::string::npos);
  profile = small_profile("other", 3);
  profile.ethernet[0].slot = 2;
  EXPECT_NE(refused([&] { system.create(profile); }).find("slot 2 is used twice"), std::string::npos);
  profile = small_profile("other", 3);
  profile.proc_compat_mode = "POWER7";
  EXPECT_NE(refused([&] { system.create(profile); }).find("POWER7"), std::string::npos);
}

TEST_F(PartitionTest, MissingFilesAreNamedWithTheRemedy) {
  EXPECT_NE(refused([&] { partition->power_on(); }).find("has no firmware"), std::string::npos);
  EXPECT_EQ(partition->state(), PartitionState::kNotActivated);
  auto profile = small_profile("other", 3);
  profile.firmware = "/nonexistent/firmware.bin";
  auto other = system.create(profile);
  const std::string text = refused([&] { other->power_on(); });
  EXPECT_NE(text.find("/nonexistent/firmware.bin"), std::string::npos);
  EXPECT_NE(text.find("correct the firmware setting"), std::string::npos);
  EXPECT_EQ(other->state(), PartitionState::kNotActivated);
}

TEST_F(PartitionTest, DerivedMacsDiffer) {
  auto other = system.create(small_profile("other", 3));
  const auto mac = partition->profile().ethernet[0].mac;
  EXPECT_NE(mac, other->profile().ethernet[0].mac);
  EXPECT_EQ(mac[0] & 3, 2);
}

TEST(PartitionClock, GoesOnFromWhereItIsSet) {
  PartitionClock clock;
  clock.set_time_base(u64{1} << 40);
  const u64 first = clock.time_base();
  EXPECT_GE(first, u64{1} << 40);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const u64 passed = clock.time_base() - first;
  EXPECT_GE(passed, cpu::kTimeBaseHz / 50);
  EXPECT_LT(passed, cpu::kTimeBaseHz);
}

TEST_F(PartitionTest, PlatformStateTravels) {
  partition->change_platform([](PlatformState& state) {
    state.indicators[{9007, 0}] = 1;
    state.connectors[0x30000002] = {false, true};
    state.parameters[21] = std::string(1, '\1');
    state.time_of_day_offset = -5;
    state.nmi_check = 0x8000;
    state.perfmon = u64{1} << 63;
    state.entitled_capacity = 130;
    state.capacity_weight = 7;
  });
  partition->progress("Linux ppc64");
  ManagedSystem there({"B", "9117-MMA", "10F6A0B", 1 << 30, 8}, "");
  auto moved = there.create(partition->profile());
  const auto blob = partition->save_platform();
  moved->restore_platform(blob);
  const PlatformState state = moved->platform();
  EXPECT_EQ(state.indicators.at({9007, 0}), 1U);
  EXPECT_FALSE(state.connectors.at(0x30000002).usable);
  EXPECT_EQ(state.parameters.at(21), std::string(1, '\1'));
  EXPECT_EQ(state.time_of_day_offset, -5);
  EXPECT_EQ(state.nmi_check, 0x8000U);
  EXPECT_EQ(state.perfmon, u64{1} << 63);
  EXPECT_EQ(state.entitled_capacity, 130U);
  EXPECT_EQ(state.capacity_weight, 7);
  EXPECT_EQ(moved->reference_code(), "Linux ppc64");
  for (std::size_t at = 0; at < blob.size(); at += 53) {
    auto damaged = blob;
    damaged[at] ^= 0x5A;
    refused([&] { moved->restore_platform(damaged); });
  }
}

}  // namespace
}  // namespace baton::hypervisor::test
