// SPDX-License-Identifier: Apache-2.0
#include "migration/description.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <stdexcept>

#include "migration/messages.h"
#include "tests/migration/support.h"

namespace baton::migration {
namespace {

Description sample() {
  Description d;
  d.stream_version = kStreamVersion;
  d.source_system = "A";
  d.active = true;
  d.hpt_bytes = 1 << 20;
  d.time_of_day_ns = 12345;
  d.profile = small_profile("hdisk0");
  d.profile.ethernet[0].mac = {0x32, 1, 2, 3, 4, 5};
  d.profile.ethernet[0].vlans = {10};
  d.profile.bootargs = "console=hvc0";
  d.disk_ids = {"id-of-lun"};
  d.bridged_vlans = {1, 10};
  d.profile.scsi[0].server_id = 9;
  d.wanted_mappings = {{2, {"vios2", 0}, 17}};
  d.wanted_mover = {"", 9};
  d.ignore_redundancy = true;
  d.channels = 4;
  d.source_mover = "vios1";
  return d;
}

TEST(Description, ComesBack) {
  const Description back = decode(encode(sample()));
  EXPECT_TRUE(back.active);
  EXPECT_EQ(back.profile.name, "lpar1");
  EXPECT_EQ(back.profile.memory, 64ull << 20);
  EXPECT_EQ(back.profile.ethernet.at(0).mac[5], 5);
  EXPECT_EQ(back.profile.ethernet[0].vlans, std::vector<u16>{10});
  EXPECT_EQ(back.disk_ids, std::vector<std::string>{"id-of-lun"});
  EXPECT_EQ(back.bridged_vlans, (std::vector<u16>{1, 10}));
  EXPECT_EQ(back.profile.scsi.at(0).server_id, 9u);
  EXPECT_EQ(back.wanted_mappings.at(0).slot, 2u);
  EXPECT_EQ(back.wanted_mappings[0].server.name, "vios2");
  EXPECT_EQ(back.wanted_mappings[0].server_slot, 17u);
  EXPECT_EQ(back.wanted_mover.id, 9u);
  EXPECT_TRUE(back.ignore_redundancy);
  EXPECT_EQ(back.channels, 4u);
  EXPECT_EQ(back.source_mover, "vios1");
}

TEST(Description, OfATimeWithOneServer) {
  Description d = sample();
  d.profile.scsi[0].server_id = 0;
  d.wanted_mappings.clear();
  d.wanted_mover = {};
  d.channels = 0;  // And of one with one channel.
  const Description back = decode(encode(d));
  EXPECT_EQ(back.profile.scsi.at(0).server_id, 1u);
  EXPECT_FALSE(back.wanted_mover.given());
  EXPECT_EQ(back.channels, 1u);
}

TEST(Description, NumbersOutOfRangeAreRefused) {
  Description d = sample();
  d.profile.processors = 0;
  EXPECT_THROW(decode(encode(d)), std::runtime_error);
  d = sample();
  d.profile.memory = 12345;
  EXPECT_THROW(decode(encode(d)), std::runtime_error);
  d = sample();
  d.profile.ethernet[0].slot = 2;  // The virtual SCSI adapter's.
  EXPECT_THROW(decode(encode(d)), std::runtime_error);
  d = sample();
  d.profile.scsi[0].server_id = 0x10000;
  EXPECT_THROW(decode(encode(d)), std::runtime_error);
  d = sample();
  d.wanted_mover.name = std::string(65, 'v');
  EXPECT_THROW(decode(encode(d)), std::runtime_error);
  d = sample();
  d.wanted_mappings[0].server_slot = 0x10000;
  EXPECT_THROW(decode(encode(d)), std::runtime_error);
  d = sample();
  d.profile.id = 1;
  EXPECT_THROW(decode(encode(d)), std::runtime_error);
  d = sample();
  d.channels = kMostChannels + 1;
  EXPECT_THROW(decode(encode(d)), std::runtime_error);
}

TEST(Description, DamageNeverCrashes) {
  const std::string good = encode(sample());
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (int value = 0; value < 256; ++value) {
      std::string bad = good;
      bad[at] = static_cast<char>(value);
      try {
        decode(bad);
      } catch (const std::runtime_error&) {
      }
    }
    try {
      decode(good.substr(0, at));
    } catch (const std::runtime_error&) {
    }
  }
}

TEST(Messages, EveryMessageIsOneRowWithItsOrigin) {
  std::set<Message> seen;
  for (const MessageRow& row : message_table()) {
    EXPECT_TRUE(seen.insert(row.message).second);
    EXPECT_TRUE(row.provenance == "HMC" || row.provenance == "HMC?" || row.provenance == "Baton");
    EXPECT_EQ(row.provenance == "Baton", row.code.starts_with("BATM")) << row.code;
  }
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(Message::kFailed) + 1);
  EXPECT_EQ(make_finding(Message::kNameInUse, {"B", "x"}).text,
            "The destination B has a partition named x already; rename or remove that one.");
}

}  // namespace
}  // namespace baton::migration
