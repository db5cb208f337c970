// SPDX-License-Identifier: Apache-2.0
#include "vios/optical_drive.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <stdexcept>

#include "fakes.h"

namespace baton::vios::testing {
namespace {

namespace fs = std::filesystem;

class OpticalDriveTest : public ::testing::Test {
 protected:
  static constexpr u64 kBlocks = 40;

  OpticalDriveTest() {
    char name[] = "/tmp/baton-drive-XXXXXX";
    directory_ = mkdtemp(name);
  }
  ~OpticalDriveTest() override { fs::remove_all(directory_); }

  /// An image: block n is made of n + `first`.
  std::shared_ptr<const OpticalMedium> medium(const std::string& name, u8 first = 0,
                                              u64 bytes = kBlocks * OpticalMedium::kBlock) {
    const std::string path = directory_ / name;
    std::ofstream file(path, std::ios::binary);
    for (u64 at = 0; at < bytes; at++)
      file.put(static_cast<char>(first + static_cast<u8>(at / OpticalMedium::kBlock)));
    file.close();
    return std::make_shared<OpticalMedium>(name, path);
  }
  ScsiResult run(std::vector<u8> cdb, u64 room = 1 << 20) {
    cdb.resize(16);
    PlainBuffer buffer(room);
    const auto result = drive_.execute(cdb, buffer, scratch_);
    in_ = buffer.in;
    return result;
  }
  /// Status and sense as text: "0", "2/3A/00".
  std::string said(const std::vector<u8>& cdb, u64 room = 1 << 20) {
    const ScsiResult result = run(cdb, room);
    if (result.status == 0) return "0";
    char text[32];
    std::snprintf(text, sizeof text, "%X/%02X/%02X", result.sense.key, result.sense.asc, result.sense.ascq);
    return text;
  }
  void load(const std::string& name = "a.iso") {
    ASSERT_TRUE(drive_.load(medium(name)));
    EXPECT_EQ(said(kTestUnitReady), "6/28/00");
  }

  const std::vector<u8> kTestUnitReady{0x00}, kCapacity{0x25};
  const std::vector<u8> kToc{0x43, 0, 0, 0, 0, 0, 0, 0x10, 0}, kEject{0x1B, 0, 0, 0, 2};
  fs::path directory_;
  OpticalDrive drive_{"vtopt lpar1 2 0"};
  std::vector<u8> scratch_ = std::vector<u8>(64 << 10);
  std::vector<u8> in_;
};

TEST_F(OpticalDriveTest, IsARemovableCdDrive) {
  EXPECT_EQ(said({0x12, 0, 0, 0, 96}), "0");
  EXPECT_EQ(in_[0], 0x05);
  EXPECT_EQ(in_[1], 0x80);
  EXPECT_EQ(std::string(in_.begin() + 8, in_.begin() + 32), "AIX     VOPTA           ");
  EXPECT_EQ(said({0x12, 1, 0, 0, 255}), "0");
  const std::vector<u8> pages(in_.begin() + 4, in_.end());
  EXPECT_EQ(pages, (std::vector<u8>{0x00, 0x80, 0x83}));
  for (const u8 page : pages) {
    EXPECT_EQ(said({0x12, 1, page, 0, 255}), "0");
    EXPECT_EQ(in_[0], 0x05);
    EXPECT_EQ(in_[1], page);
    EXPECT_EQ(load_be<u16>(&in_[2]) + 4u, in_.size());
  }
  EXPECT_EQ(said({0x12, 1, 0xB0, 0, 255}), "5/24/00");
}

TEST_F(OpticalDriveTest, SaysThatItIsEmpty) {
  for (const auto& cdb :
       {kTestUnitReady, kCapacity, kToc, read10(0, 1), std::vector<u8>{0x08, 0, 0, 0, 1},
        std::vector<u8>{0xA8, 0, 0, 0, 0, 0, 0, 0, 0, 1}, std::vector<u8>{0x1B, 0, 0, 0, 1}})
    EXPECT_EQ(said(cdb), "2/3A/00") << int(cdb[0]);
  for (const auto& cdb :
       {std::vector<u8>{0x1E, 0, 0, 0, 1}, kEject, std::vector<u8>{0x1B, 0, 0, 0, 0},
        std::vector<u8>{0x1B, 0, 0, 0, 3}, std::vector<u8>{0xA0, 0, 0, 0, 0, 0, 0, 0, 0, 16},
        std::vector<u8>{0x16}, std::vector<u8>{0x17}, std::vector<u8>{0x56}, std::vector<u8>{0x57}})
    EXPECT_EQ(said(cdb), "0") << int(cdb[0]);
  EXPECT_EQ(said({0x03, 0, 0, 0, 18}), "0");
  EXPECT_EQ(in_[2], 0);
}

TEST_F(OpticalDriveTest, ReadsWhatIsLoaded) {
  load();
  EXPECT_EQ(said(kTestUnitReady), "0");
  EXPECT_EQ(said(kCapacity), "0");
  EXPECT_EQ(load_be<u32>(&in_[0]), kBlocks - 1);
  EXPECT_EQ(load_be<u32>(&in_[4]), 2048u);
  for (const auto& cdb :
       {std::vector<u8>{0x08, 0, 0, 7, 2}, read10(7, 2), std::vector<u8>{0xA8, 0, 0, 0, 0, 7, 0, 0, 0, 2}}) {
    EXPECT_EQ(said(cdb), "0");
    ASSERT_EQ(in_.size(), 4096u);
    EXPECT_EQ(std::set<u8>(in_.begin(), in_.begin() + 2048), std::set<u8>{7});
    EXPECT_EQ(std::set<u8>(in_.begin() + 2048, in_.end()), std::set<u8>{8});
  }
  // More than the scratch memory at once, and no more than the initiator has room for.
  EXPECT_EQ(said(read10(0, kBlocks)), "0");
  EXPECT_EQ(in_.size(), kBlocks * 2048);
  EXPECT_EQ(said(read10(0, 3), 3000), "0");
  EXPECT_EQ(in_.size(), 3000u);
  EXPECT_EQ(said(read10(kBlocks, 0)), "0");
  // Beyond the end.
  EXPECT_EQ(said(read10(kBlocks - 1, 2)), "5/21/00");
  EXPECT_EQ(said(read10(0xFFFFFFFF, 1)), "5/21/00");
  EXPECT_EQ(said({0x08, 0x1F, 0xFF, 0xFF, 1}), "5/21/00");
  EXPECT_EQ(said({0x08, 0, 0, 0, 0}), "5/21/00") << "0 is 256";
  EXPECT_EQ(said({0xA8, 0, 0, 0, 0, 0, 0, 0, 0x20, 1}), "5/24/00") << "more than 16 MB";
  EXPECT_EQ(said({0xA8, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}), "5/24/00");
  EXPECT_EQ(said({0x25, 0, 0, 0, 0, 1}), "5/24/00");
  EXPECT_EQ(said({0x25, 0, 0, 0, 0, 0, 0, 0, 1}), "5/24/00");
}

TEST_F(OpticalDriveTest, TheLastBlockIsFilledUp) {
  ASSERT_TRUE(drive_.load(medium("odd.iso", 5, 2048 + 100)));
  run(kTestUnitReady);
  EXPECT_EQ(said(kCapacity), "0");
  EXPECT_EQ(load_be<u32>(&in_[0]), 1u);
  EXPECT_EQ(said(read10(1, 1)), "0");
  EXPECT_EQ(std::set<u8>(in_.begin(), in_.begin() + 100), std::set<u8>{6});
  EXPECT_EQ(std::set<u8>(in_.begin() + 100, in_.end()), std::set<u8>{0});
}

TEST_F(OpticalDriveTest, AnImageCutShortIsAReadError) {
  load();
  fs::resize_file(directory_ / "a.iso", 2048);
  EXPECT_EQ(said(read10(0, 1)), "0");
  EXPECT_EQ(said(read10(1, 1)), "3/11/00");
}

TEST_F(OpticalDriveTest, NothingWrites) {
  load();
  for (const u8 opcode : {0x0A, 0x2A, 0xAA, 0x8A, 0x2E, 0x35, 0x41, 0x42, 0x93, 0x04, 0x55})
    EXPECT_EQ(said({opcode, 0, 0, 0, 1, 0, 0, 0, 1}), "5/20/00") << int(opcode);
  EXPECT_EQ(said({0xC0}), "5/20/00");
  PlainBuffer buffer(100);
  EXPECT_EQ(drive_.execute({}, buffer, scratch_).sense.asc, 0x20);
  EXPECT_EQ(drive_.execute(std::vector<u8>{0x28, 0, 0}, buffer, scratch_).sense.asc, 0x20) << "cut short";
}

TEST_F(OpticalDriveTest, TableOfContents) {
  load();
  EXPECT_EQ(said(kToc), "0");
  EXPECT_EQ(in_,
            (std::vector<u8>{0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0, 0, 0x14, 0xAA, 0, 0, 0, 0, kBlocks}));
  EXPECT_EQ(said({0x43, 2, 0, 0, 0, 0, 0, 0x10, 0}), "0");  // In minutes, seconds and frames.
  EXPECT_EQ(in_,
            (std::vector<u8>{0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 2, 0, 0, 0x14, 0xAA, 0, 0, 0, 2, kBlocks}));
  EXPECT_EQ(said({0x43, 0, 0, 0, 0, 0, 0xAA, 0x10, 0}), "0");
  EXPECT_EQ(in_, (std::vector<u8>{0, 10, 1, 1, 0, 0x14, 0xAA, 0, 0, 0, 0, kBlocks}));
  for (const auto& sessions : {std::vector<u8>{0x43, 0, 1, 0, 0, 0, 0, 0, 12, 0},
                               std::vector<u8>{0x43, 0, 0, 0, 0, 0, 0, 0, 12, 0x40}}) {
    EXPECT_EQ(said(sessions), "0");
    EXPECT_EQ(in_, (std::vector<u8>{0, 10, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0}));
  }
  EXPECT_EQ(said({0x43, 0, 0, 0, 0, 0, 0, 0, 5}), "0");
  EXPECT_EQ(in_.size(), 5u);
  EXPECT_EQ(said({0x43, 0, 0, 0, 0, 0, 2, 0x10, 0}), "5/24/00") << "there is no track 2";
  EXPECT_EQ(said({0x43, 0, 2, 0, 0, 0, 0, 0x10, 0}), "5/24/00") << "format";
}

TEST_F(OpticalDriveTest, Configuration) {
  const auto features = [&](u8 wanted, u16 from) {
    EXPECT_EQ(said({0x46, wanted, static_cast<u8>(from >> 8), static_cast<u8>(from), 0, 0, 0, 2, 0}), "0");
    EXPECT_EQ(load_be<u32>(&in_[0]) + 4, in_.size());
    std::vector<u16> codes;
    std::size_t at = 8;
    for (; at + 4 <= in_.size(); at += 4 + in_[at + 3]) codes.push_back(load_be<u16>(&in_[at]));
    EXPECT_EQ(at, in_.size());
    return codes;
  };
  EXPECT_EQ(features(0, 0), (std::vector<u16>{0, 1, 3, 0x10, 0x1E, 0x1F}));
  EXPECT_EQ(load_be<u16>(&in_[6]), 0) << "no medium, no profile";
  EXPECT_EQ(features(1, 0), (std::vector<u16>{0, 1, 3}));
  ASSERT_TRUE(drive_.load(medium("a.iso")));
  EXPECT_EQ(features(1, 0), (std::vector<u16>{0, 1, 3, 0x10, 0x1E}));
  EXPECT_EQ(load_be<u16>(&in_[6]), 0x0008) << "CD-ROM; and the unit attention is for another command";
  EXPECT_EQ(features(1, 0x10), (std::vector<u16>{0x10, 0x1E}));
  EXPECT_EQ(features(2, 3), (std::vector<u16>{3}));
  EXPECT_EQ(features(2, 2), (std::vector<u16>{}));
  EXPECT_EQ(said({0x46, 3, 0, 0, 0, 0, 0, 2, 0}), "5/24/00");
  EXPECT_EQ(said({0x46, 0, 0, 0, 0, 0, 0, 0, 6}), "0");
  EXPECT_EQ(in_.size(), 6u);
  EXPECT_EQ(said(kTestUnitReady), "6/28/00");
  // What is larger than a CD is a DVD.
  ASSERT_TRUE(drive_.unload(false));
  std::ofstream(directory_ / "dvd.iso").close();
  fs::resize_file(directory_ / "dvd.iso", u64{4} << 30);
  ASSERT_TRUE(drive_.load(std::make_shared<OpticalMedium>("dvd.iso", directory_ / "dvd.iso")));
  EXPECT_EQ(features(1, 0x10), (std::vector<u16>{0x10, 0x1F}));
  EXPECT_EQ(load_be<u16>(&in_[6]), 0x0010);
}

TEST_F(OpticalDriveTest, EventsAreToldOnce) {
  const std::vector<u8> ask{0x4A, 1, 0, 0, 0x10, 0, 0, 0, 8};
  const auto event = [&] {
    EXPECT_EQ(said(ask), "0");
    EXPECT_EQ(load_be<u16>(&in_[0]), 4);
    EXPECT_EQ(in_[2], 4);
    return std::pair(int(in_[4]), int(in_[5]));
  };
  EXPECT_EQ(event(), std::pair(0, 0));
  ASSERT_TRUE(drive_.load(medium("a.iso")));
  EXPECT_EQ(said({0x4A, 1, 0, 0, 0x10, 0, 0, 0, 4}), "0") << "no room for it yet";
  EXPECT_EQ(event(), std::pair(2, 2)) << "new medium, present";
  EXPECT_EQ(event(), std::pair(0, 2));
  ASSERT_TRUE(drive_.unload(false));
  EXPECT_EQ(event(), std::pair(3, 0)) << "removed";
  EXPECT_EQ(said({0x4A, 0, 0, 0, 0x10, 0, 0, 0, 8}), "5/24/00") << "not polled";
  EXPECT_EQ(said({0x4A, 1, 0, 0, 0x40, 0, 0, 0, 8}), "0");
  EXPECT_EQ(in_, (std::vector<u8>{0, 0, 0x80, 0x10})) << "no such class";
}

TEST_F(OpticalDriveTest, ModePages) {
  EXPECT_EQ(said({0x1A, 0, 0x2A, 0, 128}), "0");
  ASSERT_EQ(in_.size(), 24u);
  EXPECT_EQ(in_[0], 23);
  EXPECT_EQ(in_[3], 0) << "no block descriptor";
  EXPECT_EQ(in_[4], 0x2A);
  EXPECT_EQ(in_[4 + 3], 0) << "it writes nothing";
  EXPECT_EQ(in_[4 + 6], 0x29);
  run({0x1E, 0, 0, 0, 1});
  run({0x1A, 0, 0x2A, 0, 128});
  EXPECT_EQ(in_[4 + 6], 0x2B) << "locked";
  EXPECT_EQ(said({0x5A, 0, 0x3F, 0, 0, 0, 0, 0, 255}), "0");
  EXPECT_EQ(load_be<u16>(&in_[0]) + 2u, in_.size());
  EXPECT_EQ(in_.size(), 8u + 12 + 20);
  EXPECT_EQ(said({0x1A, 0, 0x6A, 0, 128}), "0") << "changeable";
  EXPECT_EQ(std::set<u8>(in_.begin() + 6, in_.end()), std::set<u8>{0});
  EXPECT_EQ(said({0x1A, 0, 0xEA, 0, 128}), "5/39/00");
  EXPECT_EQ(said({0x1A, 0, 0x08, 0, 128}), "5/24/00");
  EXPECT_EQ(said({0x1A, 0, 0x2A, 7, 128}), "5/24/00");
  EXPECT_EQ(said({0x1A, 0, 0x2A, 0, 3}), "0");
  EXPECT_EQ(in_.size(), 3u);
}

TEST_F(OpticalDriveTest, AClientKeepsItsMedium) {
  load();
  EXPECT_EQ(said({0x1E, 0, 0, 0, 3}), "5/24/00") << "persistently";
  EXPECT_EQ(said({0x1E, 0, 0, 0, 1}), "0");
  EXPECT_FALSE(drive_.unload(false));
  EXPECT_EQ(said(kEject), "5/53/02");
  EXPECT_FALSE(drive_.load(medium("b.iso"))) << "there is one in it";
  EXPECT_EQ(drive_.medium()->name(), "a.iso");
  EXPECT_EQ(said({0x1E, 0, 0, 0, 0}), "0");
  EXPECT_EQ(said(kEject), "0");
  EXPECT_EQ(drive_.medium(), nullptr);
  EXPECT_EQ(said(kTestUnitReady), "2/3A/00");
  EXPECT_TRUE(drive_.unload(false)) << "as it is";
  // By force; and a client that logs in anew, or a reset, has locked nothing.
  for (const int how : {0, 1, 2}) {
    ASSERT_TRUE(drive_.load(medium("b.iso")));
    run(kTestUnitReady);
    run({0x1E, 0, 0, 0, 1});
    EXPECT_FALSE(drive_.unload(false));
    if (how == 1) drive_.logged_in();
    if (how == 2) drive_.reset();
    EXPECT_TRUE(drive_.unload(how == 0));
  }
}

TEST_F(OpticalDriveTest, AttentionsInTurn) {
  ASSERT_TRUE(drive_.load(medium("a.iso")));
  drive_.reset();
  EXPECT_EQ(said({0x12, 0, 0, 0, 96}), "0") << "INQUIRY is exempt";
  EXPECT_EQ(said(kTestUnitReady), "6/29/03");
  EXPECT_EQ(said({0x03, 0, 0, 0, 18}), "0");
  EXPECT_EQ(in_[2], 0x06);
  EXPECT_EQ(in_[12], 0x28);
  EXPECT_EQ(said(kTestUnitReady), "0");
  // A medium for another one, with no command in between.
  ASSERT_TRUE(drive_.unload(false));
  ASSERT_TRUE(drive_.load(medium("b.iso", 100)));
  EXPECT_EQ(said(read10(0, 1)), "6/28/00");
  EXPECT_EQ(said(read10(0, 1)), "0");
  EXPECT_EQ(in_[0], 100);
}

TEST_F(OpticalDriveTest, MediaThatAreNone) {
  const auto problem = [&](const std::string& name) -> std::string {
    try {
      const OpticalMedium none(name, directory_ / name);
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_NE(problem("none.iso").find("none.iso does not exist"), std::string::npos) << problem("none.iso");
  fs::create_directory(directory_ / "folder");
  EXPECT_NE(problem("folder").find("regular file"), std::string::npos);
  std::ofstream(directory_ / "empty.iso").close();
  EXPECT_NE(problem("empty.iso").find("0 bytes"), std::string::npos);
}

/// A read is of one medium, whatever happens meanwhile, or says why it is not done.
TEST_F(OpticalDriveTest, ChangedWhileInUse) {
  const auto a = medium("a.iso", 0, 4 * 2048), b = medium("b.iso", 100, 4 * 2048);
  std::atomic<bool> stop{false};
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; i++) {
    readers.emplace_back([&] {
      std::vector<u8> scratch(64 << 10), cdb = read10(0, 4);
      cdb.resize(16);
      while (!stop) {
        PlainBuffer buffer(1 << 20);
        const ScsiResult result = drive_.execute(cdb, buffer, scratch);
        if (result.status == 0) {
          ASSERT_EQ(buffer.in.size(), 4u * 2048);
          ASSERT_EQ(buffer.in.back(), buffer.in.front() + 3);
        } else {
          ASSERT_TRUE(result.sense.asc == 0x3A || result.sense.asc == 0x28);
        }
      }
    });
  }
  for (int i = 0; i < 2000; i++) {
    EXPECT_TRUE(drive_.load(i % 2 ? a : b));
    EXPECT_TRUE(drive_.unload(i % 3 == 0));
  }
  stop = true;
  for (auto& reader : readers) reader.join();
}

/// Every operation code, with whatever follows it, with or without a medium.
TEST_F(OpticalDriveTest, NonsenseDoesNotHurt) {
  std::mt19937_64 random(20261130);
  const auto a = medium("a.iso");
  for (int i = 0; i < 200'000; i++) {
    std::vector<u8> cdb(random() % 17);
    for (u8& byte : cdb) byte = random() % 2 ? 0 : static_cast<u8>(random());
    if (!cdb.empty()) cdb[0] = static_cast<u8>(i);
    PlainBuffer buffer(random() % 4 ? random() % 64 : 1 << 20, std::vector<u8>(random() % 64));
    const ScsiResult result = drive_.execute(cdb, buffer, scratch_);
    ASSERT_TRUE(result.status == scsi::kGood || result.status == scsi::kCheckCondition);
    ASSERT_TRUE(result.status == scsi::kGood || result.sense.key != 0);
    ASSERT_LE(buffer.in.size(), buffer.in_length());
    if (i % 97 == 0) drive_.load(a);
    if (i % 389 == 0) drive_.unload(true);
  }
}

}  // namespace
}  // namespace baton::vios::testing
