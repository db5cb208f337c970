// SPDX-License-Identifier: Apache-2.0
#include "app/config.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace baton::app {
namespace {

constexpr const char* kPath = "/etc/baton/a.toml";

std::string problem_of(const std::string& text) {
  try {
    parse_config(text, kPath);
  } catch (const std::runtime_error& problem) {
    return problem.what();
  }
  return "";
}

const std::string kGood = R"(
[system]
name = "A"
memory = "4 GB"
[vios]
uplink = "vde://lan"
bridged_vlans = [1, 10]
[[vios.disk]]
name = "hdisk0"
uri = "file:lun.img"
[[partition]]
name = "one"
memory = 512
kernel = "boot/vmlinux"
[[partition.disk]]
backing = "hdisk0"
[[partition.ethernet]]
mac = "32:43:ee:20:00:02"
[[partition]]
name = "two"
id = 2
)";

TEST(Config, ReadsASystem) {
  const Config config = parse_config(kGood, kPath);
  EXPECT_EQ(config.identity.name, "A");
  EXPECT_EQ(config.identity.memory, 4ull << 30);
  EXPECT_EQ(config.servers.at(0).uplink, "vde:///etc/baton/lan");
  EXPECT_EQ(config.servers.at(0).disks.at(0).uri, "file:/etc/baton/lun.img");
  ASSERT_EQ(config.partitions.size(), 2u);
  const hypervisor::Profile& one = config.partitions[0];
  EXPECT_EQ(one.id, 3u) << "2 is given to the other one";
  EXPECT_EQ(one.memory, 512ull << 20);
  EXPECT_EQ(one.kernel, "/etc/baton/boot/vmlinux");
  ASSERT_EQ(one.scsi.size(), 1u);
  EXPECT_EQ(one.scsi[0].slot, 2u);
  EXPECT_EQ(one.ethernet.at(0).slot, 3u);
  EXPECT_EQ(one.ethernet[0].mac[5], 2);
  EXPECT_EQ(config.mover_address, "127.0.0.1");
}

TEST(Config, LocalStorageAndMedia) {
  const Config config = parse_config(R"(
[system]
name = "A"
[vios]
media = "images"
[[vios.volume_group]]
name = "datavg"
directory = "vg"
size = "1 GB"
[[vios.logical_volume]]
name = "lv1"
volume_group = "datavg"
size = 64
[[partition]]
name = "one"
[[partition.disk]]
backing = "lv1"
[[partition.disk]]
backing = "made_with_mklv"
[[partition.optical]]
vtd = "cd"
)",
                                     kPath);
  const vios::ViosConfig& server = config.servers.at(0);
  EXPECT_EQ(server.media, "/etc/baton/images");
  EXPECT_EQ(server.volume_groups.at(0).directory, "/etc/baton/vg");
  EXPECT_EQ(server.volume_groups[0].bytes, 1ull << 30);
  EXPECT_EQ(server.logical_volumes.at(0).bytes, 64ull << 20);
  const auto& disks = config.partitions.at(0).disks;
  ASSERT_EQ(disks.size(), 3u);
  EXPECT_FALSE(disks[1].optical);
  EXPECT_TRUE(disks[2].optical);
  EXPECT_EQ(disks[2].vtd, "cd");
  EXPECT_EQ(disks[2].target, 2u);
  EXPECT_EQ(config.partitions[0].scsi.size(), 1u) << "one adapter for all";
}

TEST(Config, TheExampleIsSound) {
  const Config config = load_config(EXAMPLE_CONFIG);
  EXPECT_EQ(config.partitions.size(), 1u);
}

struct Wrong {
  const char* text;
  const char* line;   ///< What the message must say of the place,
  const char* about;  ///< and of the trouble.
};

class WrongConfig : public testing::TestWithParam<Wrong> {};

TEST_P(WrongConfig, OneSentenceWithFileLineKeyAndRemedy) {
  const std::string problem = problem_of(GetParam().text);
  EXPECT_NE(problem.find(std::string(kPath) + ", line " + GetParam().line + ":"), std::string::npos)
      << problem;
  EXPECT_NE(problem.find(GetParam().about), std::string::npos) << problem;
}

INSTANTIATE_TEST_SUITE_P(
    Config, WrongConfig,
    testing::Values(
        Wrong{"[system]\nname = \"A\"\nmemroy = 1\n", "3", "\"memroy\" in [system] is not a key of ours"},
        Wrong{"[system]\nname = \"A\"\nmemory = 100\n", "3", "multiple of 16 MB"},
        Wrong{"[system]\nname = \"A\"\nmemory = \"4 XB\"\n", "3", "multiple of 16 MB"},
        Wrong{"[system]\nname = 5\n", "2", "must be text"},
        Wrong{"[system]\nserial = \"10BA70A\"\n", "1", "\"name\" in [system] is missing"},
        Wrong{"[system]\nname = \"../x\"\n", "2", "letters"},
        Wrong{"[system]\nname = \"A\"\nprocessors = 0\n", "3", "from 1 to 64"},
        Wrong{"[system]\nname = \"A\"\nmover_address = \"0.0.0.0\"\n", "3", "address of this host"},
        Wrong{"[system]\nname = \"A\"\nencryption = false\nmover_address = \"192.0.2.7\"\n", "4", "loopback"},
        Wrong{"[system]\nname = \"A\"\nencryption = false\ncontrol_address = \"127.0.0.1:99\"\n", "4",
              "encryption"},
        Wrong{"[system]\nname = \"A\"\ntls_key = \"a.key\"\n", "1", "all three or none"},
        Wrong{"[system]\nname = \"A\"\nmemory_block = 48\n", "3", "16, 32, 64"},
        Wrong{"[system]\nname = \"A\"\n[vios]\n[[vios.disk]]\nname = \"hdisk0\"\nuri = \"file:x\"\nkind = "
              "\"lun\"\n",
              "7", "is not a key of ours"},
        Wrong{"[system]\nname = \"A\"\n[vios]\n[[vios.volume_group]]\nname = \"vg\"\nsize = \"1 GB\"\n", "4",
              "\"directory\" in [vios.volume_group] is missing"},
        Wrong{"[system]\nname = \"A\"\n[vios]\n[[vios.volume_group]]\nname = \"vg\"\ndirectory = "
              "\"vg\"\nsize = 17\n",
              "7", "multiple of 16 MB"},
        Wrong{"[system]\nname = \"A\"\n[vios]\n[[vios.logical_volume]]\nname = \"lv\"\nvolume_group = "
              "\"vg\"\nsize = 16\n",
              "6", "[[vios.volume_group]]"},
        Wrong{"[system]\nname = \"A\"\n[vios]\n[[vios.disk]]\nname = \"d\"\nuri = "
              "\"file:x\"\n[[vios.volume_group]]\nname = \"vg\"\n"
              "directory = \"vg\"\nsize = 64\n[[vios.logical_volume]]\nname = \"d\"\nvolume_group = \"vg\"\n"
              "size = 16\n",
              "12", "twice"},
        Wrong{"[system]\nname = \"A\"\n[vios]\n[[vios.volume_group]]\nname = \"vg\"\ndirectory = "
              "\"vg\"\nsize = 64\n"
              "[[vios.logical_volume]]\nname = \"a.b\"\n",
              "8", "is missing"},
        Wrong{"[system]\nname = \"A\"\n[[partition]]\nname = \"p\"\n[[partition.optical]]\nbacking = \"x\"\n",
              "6", "is not a key of ours"},
        Wrong{"[system]\nname = \"A\"\n[[partition]]\nname = "
              "\"p\"\n[[partition.optical]]\n[[partition.optical]]\n"
              "target = 0\n",
              "7", "another device of the slot"},
        Wrong{"[system]\nname = \"A\"\ncontrol = \"0.0.0.0:80\"\n", "3", "unix:PATH"},
        Wrong{"[system]\nname = \"A\"\n[[partition]]\nname = \"p\"\nmemory =\n", "5", "not TOML"},
        Wrong{
            "[system]\nname = \"A\"\n[[partition]]\nname = \"p\"\n[[partition.disk]]\nbacking = \"hdisk7\"\n",
            "6", "hdisk7"},
        Wrong{"[system]\nname = \"A\"\n[[vios]]\nname = \"v\"\n[[vios]]\nname = \"v\"\n", "3",
              "two servers named v"},
        Wrong{"[system]\nname = \"A\"\n[[vios]]\nname = \"v\"\n[[vios]]\nid = 1\n", "3", "the id 1"},
        Wrong{"[system]\nname = \"A\"\n[[vios]]\nid = 255\n", "4", "from 1 to 254"},
        Wrong{"[system]\nname = \"A\"\n[[vios]]\nname = \"v1\"\n[[vios]]\nname = \"v2\"\n[[partition]]\n"
              "name = \"p\"\n[[partition.scsi]]\nvios = \"v3\"\n",
              "10", "v1, v2"},
        Wrong{
            "[system]\nname = \"A\"\n[[vios]]\nname = \"v1\"\n[[vios.disk]]\nname = \"d\"\nuri = \"file:d\"\n"
            "[[vios]]\nname = \"v2\"\n[[partition]]\nname = \"p\"\n[[partition.disk]]\nbacking = \"d\"\n"
            "[[partition.disk]]\nbacking = \"d\"\nslot = 2\nvios = \"v2\"\n",
            "17", "served by v1"},
        Wrong{"[system]\nname = \"A\"\n[[vios]]\nname = \"v1\"\n[[partition]]\nname = \"v1\"\n", "6",
              "twice"},
        Wrong{"[system]\nname = \"A\"\n[[vios]]\nname = \"v1\"\n[[partition]]\nname = \"p\"\nid = 1\n", "7",
              "from 2 to 254"},
        Wrong{"[system]\nname = \"A\"\n[[partition]]\nname = \"p\"\n[[partition]]\nname = \"p\"\n", "6",
              "twice"},
        Wrong{"[system]\nname = \"A\"\n[[partition]]\nname = \"p\"\n[[partition.ethernet]]\nmac = "
              "\"01:00:00:00:00:01\"\n",
              "6", "station address"},
        Wrong{"[system]\nname = \"A\"\n[partition]\nname = \"p\"\n", "3", "[[partition]]"},
        Wrong{"[system]\nname = \"A\"\n[[partition]]\nname = \"p\"\nproc_compat_mode = \"POWER7\"\n", "5",
              "must be one of default,POWER6_enhanced,POWER6,POWER5+."},
        Wrong{"[system]\nname = \"A\"\n[other]\n", "3", "\"other\""}));

TEST(Config, TwoServers) {
  const Config config = parse_config(
      "[system]\nname = \"A\"\n"
      "[[vios]]\n[[vios.disk]]\nname = \"d\"\nuri = \"file:d\"\n"
      "[[vios]]\nname = \"vios2\"\nmsp = false\n[[vios.disk]]\nname = \"e\"\nuri = \"file:d\"\n"
      "[[partition]]\nname = \"p\"\nid = 2\n[[partition.scsi]]\nslot = 7\nvios = \"vios2\"\n"
      "[[partition.disk]]\nbacking = \"d\"\n[[partition.disk]]\nbacking = \"e\"\nslot = 7\n"
      "[[partition.disk]]\nbacking = \"e\"\nslot = 8\nvios = \"vios2\"\n"
      "[[partition]]\nname = \"q\"\n",
      kPath);
  ASSERT_EQ(config.servers.size(), 2u);
  EXPECT_EQ(config.servers[0].name, "vios1");
  EXPECT_EQ(config.servers[0].id, 1u);
  EXPECT_EQ(config.servers[1].id, 3u);  // 2 is a partition's.
  EXPECT_FALSE(config.servers[1].msp);
  ASSERT_EQ(config.partitions[0].scsi.size(), 3u);
  for (const auto& slot : config.partitions[0].scsi) EXPECT_EQ(slot.server_id, slot.slot == 2 ? 1u : 3u);
  EXPECT_EQ(config.partitions[1].id, 4u);
}

TEST(Config, AMissingFileIsNamed) {
  try {
    load_config("/nowhere/x.toml");
    FAIL();
  } catch (const std::runtime_error& problem) {
    EXPECT_NE(std::string(problem.what()).find("/nowhere/x.toml"), std::string::npos);
  }
}

}  // namespace
}  // namespace baton::app
