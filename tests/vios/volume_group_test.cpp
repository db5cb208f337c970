// SPDX-License-Identifier: Apache-2.0
#include "vios/volume_group.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "devices/file_block.h"
#include "tests/vios/fakes.h"

namespace baton::vios {
namespace {

namespace fs = std::filesystem;
using testing::failure;
constexpr u64 kMegabyte = 1 << 20;

class VolumeGroupTest : public ::testing::Test {
 protected:
  VolumeGroupTest() {
    char name[] = "/tmp/baton-vg-XXXXXX";
    directory_ = mkdtemp(name);
  }
  ~VolumeGroupTest() override { fs::remove_all(directory_); }
  static std::unique_ptr<devices::BlockDevice> open(const LogicalVolume& volume) {
    return devices::open_file_block(volume.path, volume.path, volume.unique_id);
  }
  std::string where() const { return directory_ / "datavg"; }
  fs::path directory_;
};

TEST_F(VolumeGroupTest, VolumesStay) {
  std::string id, unique;
  const std::vector<u8> text(512, 0x5A);
  {
    VolumeGroup group("datavg", where(), 256 * kMegabyte);
    id = group.id();
    EXPECT_EQ(id.size(), 32u);
    const LogicalVolume volume = group.create("lv1", 20 * kMegabyte);
    EXPECT_EQ(volume.bytes, 32 * kMegabyte) << "whole partitions";
    EXPECT_EQ(group.free_bytes(), 224 * kMegabyte);
    const auto device = open(volume);
    unique = device->unique_id();
    EXPECT_EQ(unique, id + ".lv1");
    std::string holder;
    ASSERT_EQ(device->reserve("one", &holder), 0);
    ASSERT_EQ(device->write(31 * kMegabyte, text), 0);
    ASSERT_EQ(device->flush(), 0);
    struct stat status{};
    ASSERT_EQ(stat(volume.path.c_str(), &status), 0);
    EXPECT_LT(u64(status.st_blocks) * 512, kMegabyte) << "sparse";
  }
  VolumeGroup group("datavg", where(), 256 * kMegabyte);
  EXPECT_EQ(group.id(), id);
  ASSERT_EQ(group.volumes().size(), 1u);
  const auto device = open(*group.find("lv1"));
  EXPECT_EQ(device->unique_id(), unique);
  std::vector<u8> back(512);
  ASSERT_EQ(device->read(31 * kMegabyte, back), 0);
  EXPECT_EQ(back, text);
  // A group elsewhere has other ids: nobody takes its volumes for these.
  VolumeGroup other("datavg", directory_ / "other", 256 * kMegabyte);
  EXPECT_NE(other.create("lv1", 16 * kMegabyte).unique_id, unique);
}

TEST_F(VolumeGroupTest, OneSystemHasIt) {
  VolumeGroup group("datavg", where(), 256 * kMegabyte);
  EXPECT_NE(failure([&] { VolumeGroup second("vg2", where(), 256 * kMegabyte); }).find("in use"),
            std::string::npos);
  std::ofstream(directory_ / "file").close();
  EXPECT_NE(failure([&] { VolumeGroup none("vg2", directory_ / "file", 256 * kMegabyte); }), "");
  fs::create_directory(directory_ / "letters");
  std::ofstream(directory_ / "letters/to_my_aunt").close();
  EXPECT_NE(
      failure([&] { VolumeGroup bad("vg4", directory_ / "letters", 256 * kMegabyte); }).find("other files"),
      std::string::npos);
  EXPECT_FALSE(fs::exists(directory_ / "letters/.volume_group"));
  fs::create_directory(directory_ / "damaged");
  std::ofstream(directory_ / "damaged/.volume_group") << "what is this?";
  EXPECT_NE(failure([&] { VolumeGroup bad("vg3", directory_ / "damaged", 256 * kMegabyte); }).find("damaged"),
            std::string::npos);
}

TEST_F(VolumeGroupTest, HasWhatItsSizeIs) {
  VolumeGroup group("datavg", where(), 64 * kMegabyte);
  group.create("lv1", 48 * kMegabyte);
  const auto text = failure([&] { group.create("lv2", 32 * kMegabyte); });
  EXPECT_NE(text.find("16 MB free"), std::string::npos) << text;
  group.create("lv2", 16 * kMegabyte);
  EXPECT_NE(failure([&] { group.create("lv3", 1); }), "");
  EXPECT_NE(failure([&] { group.create("lv3", 0); }), "");
  EXPECT_NE(failure([&] { group.create("lv3", ~u64{0}); }), "");
  EXPECT_NE(failure([&] { group.create("lv1", 1); }).find("already"), std::string::npos);
  group.remove("lv1");
  EXPECT_FALSE(group.find("lv1"));
  group.create("lv3", 48 * kMegabyte);
}

TEST_F(VolumeGroupTest, NamesAndUses) {
  VolumeGroup group("datavg", where(), 64 * kMegabyte);
  for (const char* name :
       {"", "../x", "a/b", ".volume_group", "a.owner", "-x", "a b", "12345678901234567890123456789012"})
    EXPECT_NE(failure([&] { group.create(name, 1); }), "") << name;
  EXPECT_TRUE(group.volumes().empty());
  const auto device = open(group.create("lv1", 1));
  std::string holder;
  ASSERT_EQ(device->reserve("system A, partition one", &holder), 0);
  EXPECT_NE(failure([&] { group.remove("lv1"); }).find("partition one"), std::string::npos);
  EXPECT_EQ(group.volumes().size(), 1u) << "and the file that names the holder is no volume";
  device->release();
  group.remove("lv1");
  EXPECT_NE(failure([&] { group.remove("lv1"); }), "");
}

}  // namespace
}  // namespace baton::vios
