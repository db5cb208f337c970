// SPDX-License-Identifier: Apache-2.0
// The outside's view of the workload's formats, against what guest/PROTOCOL.md says, written here a second
// time.
#include "app/demo/formats.h"

#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <vector>

namespace baton::demo {
namespace {

TEST(Echo, RequestIsAsWrittenDown) {
  const EchoRecord r = echo_request(1);
  EXPECT_EQ(std::string(r.begin(), r.begin() + 4), "BTN1");
  EXPECT_EQ(load_be<u64>(&r[4]), 1u);
  EXPECT_EQ(load_be<u64>(&r[12]), 0x2A7B67AF6C6AD50Eu);
  EXPECT_EQ(load_be<u64>(&echo_request(2)[12 + 40]), 0x846EB9673349F8E4u);
  EXPECT_EQ(load_be<u32>(&r[60]), ::crc32(0, r.data(), 60));
}

EchoRecord answer(u64 seq) {
  EchoRecord r = echo_request(seq);
  r[3] = '2';
  store_be<u32>(&r[60], ::crc32(0, r.data(), 60));
  return r;
}

TEST(Echo, FaultsAreNamed) {
  EXPECT_EQ(echo_fault(answer(7), 7), "");
  EXPECT_EQ(echo_fault(answer(7), 8), "the answer to record 8 is that to record 7");
  EchoRecord damaged = answer(7);
  damaged[20] ^= 1;
  EXPECT_EQ(echo_fault(damaged, 7), "the answer to record 7 is damaged");
  EchoRecord refused{'B', 'T', 'N', 'E'};
  store_be<u64>(&refused[4], 6);
  store_be<u32>(&refused[20], 3);
  store_be<u32>(&refused[60], ::crc32(0, refused.data(), 60));
  EXPECT_EQ(echo_fault(refused, 7), "the partition found a wrong order in record 7; it expected number 6");
}

std::vector<u8> disk_record(u64 seq) {
  std::vector<u8> r{'B', 'T', 'N', 'D', 'I', 'S', 'K', '1'};
  const auto put = [&](u64 value, int bytes) {
    for (int shift = 56; bytes-- > 0; shift -= 8) r.push_back(static_cast<u8>(value >> shift));
  };
  put(seq, 8);
  put(123456789, 8);
  for (u64 j = 0; r.size() < 508; ++j) {
    u64 z = (seq * 64 + j + 1) * 0x9E3779B97F4A7C15;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    put(z ^ z >> 31, r.size() + 8 > 508 ? 4 : 8);
  }
  put(static_cast<u64>(::crc32(0, r.data(), 508)) << 32, 4);
  return r;
}

class DiskRecords : public testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "records-" + std::to_string(getpid());
    std::ofstream file(path_, std::ios::binary);
    for (u64 seq = 1; seq <= 20; ++seq) {
      std::vector<u8> record = disk_record(seq == 12 ? 11 : seq);
      if (seq == 5) record[300] ^= 0x10;
      file.write(reinterpret_cast<const char*>(record.data()), 512);
    }
  }
  void TearDown() override { std::filesystem::remove(path_); }
  std::string path_;
};

TEST_F(DiskRecords, WholeOnesCount) {
  const DiskCheck check = check_disk_records(path_, 4);
  EXPECT_EQ(check.verified, 4u);
  EXPECT_EQ(check.lost, 0u);
}

TEST_F(DiskRecords, DamagedSwappedAndMissingOnesAreLost) {
  const DiskCheck check = check_disk_records(path_, 25);
  EXPECT_EQ(check.verified, 18u);
  EXPECT_EQ(check.lost, 7u);
  EXPECT_EQ(check.first_lost, 5u);
}

TEST_F(DiskRecords, MissingFileIsSaid) {
  EXPECT_THROW(check_disk_records(path_ + "-no", 1), std::runtime_error);
}

TEST(Compute, ChainIsAsWrittenDown) {
  EXPECT_EQ(compute_hash(100000), 0x39da69672b838f41u);
  EXPECT_EQ(compute_hash(1000000), 0xf5c6c767c5ecb340u);
}

}  // namespace
}  // namespace baton::demo
