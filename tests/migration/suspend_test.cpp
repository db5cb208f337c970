// SPDX-License-Identifier: Apache-2.0
// A bare-metal program goes into a file and comes out of it on another system; nothing of it takes part.
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <thread>

#include "hypervisor/virtual_processor.h"
#include "migration/suspend_file.h"
#include "tests/migration/support.h"

namespace baton::migration {
namespace {

using hypervisor::Dispatch;
using hypervisor::PartitionState;

constexpr u64 kCounter = 0x2000;

class Suspend : public testing::Test {
 protected:
  Suspend() {
    hypervisor::Profile profile = small_profile("hdisk0");
    profile.firmware = directory_.path() / "firmware";
    std::ofstream file(profile.firmware, std::ios::binary);
    std::vector<u8> image(0x200);
    // r5 counts, and so does the doubleword at kCounter.
    constexpr u32 kProgram[] = {0x38A50001, 0xF8A02000, 0x4BFFFFF8};
    for (u32 i = 0; i < std::size(kProgram); ++i) store_be<u32>(&image[0x100 + 4 * i], kProgram[i]);
    file.write(reinterpret_cast<const char*>(image.data()), static_cast<std::streamsize>(image.size()));
    file.close();
    partition_ = a_.system.create(profile);
    path_ = directory_.path() / "lpar1.suspended";
  }

  static u64 counter(hypervisor::Partition& partition) {
    return partition.memory().load<u64>(kCounter).value_or(0);
  }
  static void wait_for(const std::function<bool()>& done) {
    while (!done()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  Directory directory_;
  Machine a_{"A", "10BA70A", {{.name = "hdisk0", .uri = directory_.disk("lun0")}}};
  Machine b_{"B", "10BA70B", {{.name = "hdisk9", .uri = directory_.disk("lun0")}}};
  std::shared_ptr<hypervisor::Partition> partition_;
  std::string path_;
};

TEST_F(Suspend, AProgramGoesOnElsewhere) {
  partition_->power_on();
  wait_for([&] { return counter(*partition_) > 1000; });
  partition_->nvram()[100] = 0x77;
  EXPECT_GT(a_.mover.suspend(partition_, path_), 0u);
  EXPECT_FALSE(a_.system.find("lpar1"));
  const u64 then = counter(*partition_);
  partition_ = nullptr;

  const auto resumed = b_.mover.resume(path_);
  EXPECT_FALSE(std::filesystem::exists(path_)) << "it can be resumed once";
  EXPECT_EQ(resumed->state(), PartitionState::kRunning);
  EXPECT_EQ(resumed->profile().disks.at(0).backing, "hdisk9");
  EXPECT_EQ(resumed->nvram()[100], 0x77);
  EXPECT_GE(counter(*resumed), then) << "no step is lost";
  const u64 first = counter(*resumed);
  wait_for([&] { return counter(*resumed) > first + 1000; });
  EXPECT_THROW(b_.mover.resume(path_), std::runtime_error);
  // And back, by another file.
  b_.mover.suspend(resumed, path_);
  const auto back = a_.mover.resume(path_);
  const u64 second = counter(*back);
  EXPECT_GE(second, first);
  wait_for([&] { return counter(*back) > second; });
  back->power_off();
}

TEST_F(Suspend, WhatStandsInTheWayLeavesTheFile) {
  partition_->power_on();
  EXPECT_THROW(a_.mover.suspend(partition_, "/no/such/place/x"), std::runtime_error);
  const u64 before = counter(*partition_);
  wait_for([&] { return counter(*partition_) > before; });
  std::ofstream(path_) << "mine";
  EXPECT_THROW(a_.mover.suspend(partition_, path_), std::runtime_error)
      << "a file that is there is not written over";
  std::filesystem::remove(path_);
  a_.mover.suspend(partition_, path_);
  Machine bare("C", "10BA70C", {});
  EXPECT_THROW(bare.mover.resume(path_), Refused);
  EXPECT_TRUE(bare.system.partitions().empty());
  EXPECT_TRUE(std::filesystem::exists(path_));
  EXPECT_TRUE(a_.mover.resume(path_));
  a_.system.find("lpar1")->power_off();
}

TEST_F(Suspend, BackingDevicesOfOneSystem) {
  hypervisor::Profile profile = partition_->profile();
  profile.name = "lpar2";
  profile.id = 3;
  profile.disks = {{2, "", "lv1", 0}, {2, "", "", 1, true}};
  vios::ViosConfig config;
  config.disks = {{.name = "hdisk0", .uri = directory_.disk("lun0")}};
  config.volume_groups = {{"datavg", directory_.path() / "datavg", 64 << 20}};
  config.logical_volumes = {{"lv1", "datavg", 16 << 20}};
  config.media = directory_.path();
  hypervisor::ManagedSystem own(
      {.name = "C", .type_model = "9117-MMA", .serial = "10BA70C", .memory = 1ull << 30, .processors = 4},
      "");
  vios::VirtualIo io(own, {config});
  own.set_io_server(&io);
  Mover mover(own, io, "127.0.0.1");
  vios::Vios& server = *io.servers().front();
  const auto partition = own.create(profile);
  partition->power_on();
  wait_for([&] { return counter(*partition) > 10; });
  server.load_medium("vtopt0", "lun0", false);
  try {
    mover.suspend(partition, path_);
    ADD_FAILURE() << "with a medium";
  } catch (const std::runtime_error& problem) {
    EXPECT_NE(std::string(problem.what()).find("lun0 is loaded in vtopt0 of lpar2"), std::string::npos);
  }
  server.unload_medium("vtopt0", false);
  mover.suspend(partition, path_);
  EXPECT_THROW(b_.mover.resume(path_), Refused) << "nobody else has the volume";
  const auto resumed = mover.resume(path_);
  EXPECT_EQ(resumed->profile().disks.at(0).backing, "lv1");
  EXPECT_TRUE(resumed->profile().disks.at(1).optical);
  wait_for([&] { return counter(*resumed) > 10; });
  resumed->power_off();
}

TEST_F(Suspend, DamagedFilesAreRefused) {
  EXPECT_THROW(a_.mover.suspend(partition_, path_), std::runtime_error) << "it is off";
  partition_->power_on();
  wait_for([&] { return counter(*partition_) > 10; });
  a_.mover.suspend(partition_, path_);
  std::ifstream in(path_, std::ios::binary);
  const std::string good{std::istreambuf_iterator<char>(in), {}};
  const auto with = [&](const std::string& content) { std::ofstream(path_, std::ios::binary) << content; };
  for (const std::size_t at : {std::size_t{0}, std::size_t{9}, std::size_t{13}, std::size_t{30},
                               good.size() / 3, good.size() / 2, good.size() - 40}) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x40);
    with(bad);
    EXPECT_THROW(b_.mover.resume(path_), std::runtime_error) << at;
    with(good.substr(0, at));
    EXPECT_THROW(b_.mover.resume(path_), std::runtime_error) << at;
    EXPECT_TRUE(b_.system.partitions().empty()) << at;
  }
  with(good);
  EXPECT_TRUE(b_.mover.resume(path_));
  b_.system.find("lpar1")->power_off();
}

}  // namespace
}  // namespace baton::migration
