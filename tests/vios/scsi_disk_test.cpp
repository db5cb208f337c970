// SPDX-License-Identifier: Apache-2.0
#include "vios/scsi_disk.h"

#include <gtest/gtest.h>

#include "fakes.h"

namespace baton::vios::testing {
namespace {

class ScsiDiskTest : public ::testing::Test {
 protected:
  ScsiResult run(std::vector<u8> cdb, std::vector<u8> out = {}, u64 room = 1 << 20) {
    cdb.resize(16);
    PlainBuffer buffer(room, std::move(out));
    const auto result = disk_.execute(cdb, buffer, scratch_);
    in_ = buffer.in;
    return result;
  }
  std::shared_ptr<MemoryDisk> back_ = std::make_shared<MemoryDisk>(4 << 20);
  ScsiDisk disk_{back_};
  std::vector<u8> scratch_ = std::vector<u8>(64 << 10);
  std::vector<u8> in_;
};

TEST_F(ScsiDiskTest, Capacity) {
  EXPECT_EQ(run({0x25}).status, 0);
  EXPECT_EQ(load_be<u32>(&in_[0]), (4u << 20) / 512 - 1);
  EXPECT_EQ(load_be<u32>(&in_[4]), 512u);
  EXPECT_EQ(run({0x9E, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32}).status, 0);
  EXPECT_EQ(in_.size(), 32u);
  EXPECT_EQ(load_be<u64>(&in_[0]), (4u << 20) / 512 - 1);
  EXPECT_EQ(in_[14] & 0x80, 0x80);
}

TEST_F(ScsiDiskTest, VitalProductData) {
  EXPECT_EQ(run({0x12, 1, 0, 0, 255}).status, 0);
  const std::vector<u8> pages(in_.begin() + 4, in_.end());
  for (const u8 page : pages) {
    EXPECT_EQ(run({0x12, 1, page, 0, 255}).status, 0);
    EXPECT_EQ(in_[1], page);
    EXPECT_EQ(load_be<u16>(&in_[2]) + 4u, in_.size()) << int(page);
  }
  EXPECT_EQ(run({0x12, 1, 0x55, 0, 255}).sense.asc, 0x24);
  EXPECT_EQ(run({0x12, 1, 0x83, 0, 255}).status, 0);
  EXPECT_EQ(in_[8] >> 4, 3);  // NAA 3.
  const std::string all(in_.begin(), in_.end());
  EXPECT_NE(all.find("AIX     VDASD           MEMORYDISK0"), std::string::npos);
  // The same LUN seen from elsewhere has the same names.
  const auto first = in_;
  ScsiDisk other(std::make_shared<MemoryDisk>(4 << 20));
  std::vector<u8> cdb{0x12, 1, 0x83, 0, 255};
  cdb.resize(16);
  PlainBuffer buffer(1000);
  other.execute(cdb, buffer, scratch_);
  EXPECT_EQ(buffer.in, first);
}

TEST_F(ScsiDiskTest, AllocationLengthCuts) {
  EXPECT_EQ(run({0x12, 0, 0, 0, 5}).status, 0);
  EXPECT_EQ(in_.size(), 5u);
  EXPECT_EQ(run({0x12, 0, 0, 0, 96}, {}, 10).status, 0);
  EXPECT_EQ(in_.size(), 10u);
}

TEST_F(ScsiDiskTest, ModeSense) {
  EXPECT_EQ(run({0x1A, 0, 0x08, 0, 255}).status, 0);
  EXPECT_EQ(in_[0] + 1u, in_.size());
  EXPECT_EQ(in_[3], 8);
  EXPECT_EQ(in_[12], 0x08);
  EXPECT_EQ(in_[14] & 4, 4);  // WCE
  EXPECT_EQ(run({0x5A, 8, 0x3F, 0, 0, 0, 0, 0, 255}).status, 0);
  EXPECT_EQ(load_be<u16>(&in_[0]) + 2u, in_.size());
  EXPECT_EQ(run({0x1A, 0, 0xC8, 0, 255}).sense.asc, 0x39);
  EXPECT_EQ(run({0x1A, 0, 0x1D, 0, 255}).sense.asc, 0x24);
}

TEST_F(ScsiDiskTest, AllReadAndWriteForms) {
  const auto what = pattern(1024, 5);
  const std::vector<std::pair<std::vector<u8>, std::vector<u8>>> forms = {
      {{0x0A, 0, 0, 9, 2}, {0x08, 0, 0, 9, 2}},
      {{0x2A, 0, 0, 0, 0, 9, 0, 0, 2}, {0x28, 0, 0, 0, 0, 9, 0, 0, 2}},
      {{0xAA, 0, 0, 0, 0, 9, 0, 0, 0, 2}, {0xA8, 0, 0, 0, 0, 9, 0, 0, 0, 2}},
      {{0x8A, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 2}, {0x88, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 2}}};
  for (const auto& [write, read] : forms) {
    back_->discard(0, 1 << 20);
    EXPECT_EQ(run(write, what).status, 0);
    EXPECT_EQ(back_->at(9 * 512, 1024), what);
    EXPECT_EQ(run(read).status, 0);
    EXPECT_EQ(in_, what);
  }
}

TEST_F(ScsiDiskTest, EndOfTheDisk) {
  std::vector<u8> cdb = read10((4 << 20) / 512 - 1, 1);
  EXPECT_EQ(run(cdb).status, 0);
  EXPECT_EQ(run(read10((4 << 20) / 512 - 1, 2)).sense.asc, 0x21);
  EXPECT_EQ(run({0x88, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 1}).sense.asc, 0x21);
  EXPECT_EQ(run(read10(0, 0)).status, 0);
  EXPECT_TRUE(in_.empty());
}

TEST_F(ScsiDiskTest, UnmapZeroes) {
  back_->put(0, pattern(8192, 1));
  std::vector<u8> list(8 + 32);
  store_be<u16>(&list[0], 38);
  store_be<u16>(&list[2], 32);
  store_be<u64>(&list[8], 2);
  store_be<u32>(&list[16], 3);
  store_be<u64>(&list[24], 10);
  store_be<u32>(&list[32], 1);
  EXPECT_EQ(run({0x42, 0, 0, 0, 0, 0, 0, 0, 40}, list).status, 0);
  EXPECT_EQ(back_->discarded, 4u * 512);
  EXPECT_EQ(back_->at(1024, 1536), std::vector<u8>(1536));
  EXPECT_NE(back_->at(0, 512), std::vector<u8>(512));
  store_be<u64>(&list[24], ~u64{0});
  EXPECT_EQ(run({0x42, 0, 0, 0, 0, 0, 0, 0, 40}, list).sense.asc, 0x21);
  EXPECT_EQ(back_->discarded, 4u * 512);
  EXPECT_EQ(run({0x42, 0, 0, 0, 0, 0, 0, 0, 4}, list).sense.asc, 0x1A);
}

TEST_F(ScsiDiskTest, WriteSame) {
  const auto block = pattern(512, 7);
  EXPECT_EQ(run({0x93, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 200}, block).status, 0);
  for (int i = 4; i < 204; i++) EXPECT_EQ(back_->at(i * 512, 512), block);
  EXPECT_EQ(run({0x93, 0x08, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 200}, std::vector<u8>(512)).status, 0);
  EXPECT_EQ(back_->at(4 * 512, 200 * 512), std::vector<u8>(200 * 512));
  EXPECT_EQ(back_->discarded, 200u * 512);
}

}  // namespace
}  // namespace baton::vios::testing
