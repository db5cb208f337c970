// SPDX-License-Identifier: Apache-2.0
#include "devices/block.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <thread>
#include <vector>

namespace baton::devices {
namespace {

namespace fs = std::filesystem;

class BlockTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/baton-block-XXXXXX";
    directory_ = mkdtemp(name);
    path_ = directory_ / "lun0.img";
    std::ofstream(path_).close();
    fs::resize_file(path_, 1 << 20);
  }
  void TearDown() override { fs::remove_all(directory_); }
  std::string error(const std::string& uri) {
    try {
      open_block_device(uri);
    } catch (const std::runtime_error& e) {
      return e.what();
    }
    return "";
  }
  fs::path directory_, path_;
};

TEST_F(BlockTest, ReadsWhatWasWritten) {
  auto device = open_block_device("file:" + path_.string());
  EXPECT_EQ(device->size(), 1u << 20);
  std::vector<u8> what(8192, 0x5A), got(8192);
  EXPECT_EQ(device->write(4096, what), EROFS);
  EXPECT_EQ(device->discard(4096, 512), EROFS);
  ASSERT_EQ(device->reserve("me", nullptr), 0);
  EXPECT_EQ(device->write(4096, what), 0);
  EXPECT_EQ(device->flush(), 0);
  EXPECT_EQ(device->read(4096, got), 0);
  EXPECT_EQ(got, what);
  EXPECT_EQ(device->discard(4096, 4096), 0);
  EXPECT_EQ(device->read(4096, got), 0);
  EXPECT_EQ(std::vector<u8>(got.begin(), got.begin() + 4096), std::vector<u8>(4096));
  EXPECT_EQ(got[4096], 0x5A);
  EXPECT_EQ(device->write((1 << 20) - 512, what), EINVAL);
  EXPECT_EQ(device->read(~u64{0} - 100, got), EINVAL);
}

TEST_F(BlockTest, OneWriterAtATime) {
  auto a = open_block_device(path_.string()), b = open_block_device("file://" + path_.string());
  EXPECT_EQ(a->unique_id(), b->unique_id());
  std::string holder;
  ASSERT_EQ(a->reserve("system A, partition one", &holder), 0);
  EXPECT_EQ(b->reserve("system B", &holder), EBUSY);
  EXPECT_EQ(holder, "system A, partition one");
  const std::vector<u8> data(512, 1);
  EXPECT_EQ(b->write(0, data), EROFS);
  EXPECT_EQ(a->write(0, data), 0);
  a->release();
  EXPECT_FALSE(fs::exists(path_.string() + ".owner"));
  EXPECT_EQ(a->write(0, data), EROFS);
  EXPECT_EQ(b->reserve("system B", &holder), 0);
  EXPECT_EQ(b->write(0, data), 0);
  b.reset();
  EXPECT_EQ(a->reserve("system A", &holder), 0);
}

TEST_F(BlockTest, AnotherProcessHoldsItUntilItIsKilled) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    auto device = open_block_device(path_.string());
    const char result = device->reserve("the other process", nullptr) == 0 ? 'y' : 'n';
    [[maybe_unused]] auto n = write(ready[1], &result, 1);
    pause();
    _exit(0);
  }
  char result = 0;
  ASSERT_EQ(read(ready[0], &result, 1), 1);
  ASSERT_EQ(result, 'y');
  auto device = open_block_device(path_.string());
  std::string holder;
  EXPECT_EQ(device->reserve("me", &holder), EBUSY);
  EXPECT_EQ(holder, "the other process");
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_EQ(device->reserve("me", &holder), 0);
  close(ready[0]);
  close(ready[1]);
}

TEST_F(BlockTest, NoWriteGetsThroughAfterRelease) {
  auto device = open_block_device(path_.string());
  ASSERT_EQ(device->reserve("me", nullptr), 0);
  std::atomic<bool> stop{false};
  std::atomic<u8> value{1};
  std::vector<std::thread> writers;
  for (int i = 0; i < 3; i++)
    writers.emplace_back([&, i] {
      while (!stop) device->write(i * 4096, std::vector<u8>(4096, value));
    });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  device->release();
  value = 2;
  std::vector<u8> before(12288), after(12288);
  device->read(0, before);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  device->read(0, after);
  EXPECT_EQ(before, after);
  stop = true;
  for (auto& writer : writers) writer.join();
}

TEST_F(BlockTest, UniqueIdsDiffer) {
  const auto other = directory_ / "lun1.img";
  std::ofstream(other).close();
  fs::resize_file(other, 1 << 20);
  EXPECT_NE(open_block_device(path_.string())->unique_id(), open_block_device(other.string())->unique_id());
  fs::create_symlink(path_, directory_ / "link");
  EXPECT_EQ(open_block_device(path_.string())->unique_id(),
            open_block_device((directory_ / "link").string())->unique_id());
  const auto id = open_block_device(path_.string())->unique_id();
  EXPECT_EQ(std::stoul(id.substr(0, 2), nullptr, 16), id.size() - 2) << id;
}

TEST_F(BlockTest, ErrorsSayWhatToDo) {
  EXPECT_NE(error((directory_ / "none").string()).find("no such file"), std::string::npos);
  EXPECT_NE(error(directory_.string()).find("directory"), std::string::npos);
  EXPECT_NE(error("/dev/null").find("not a regular file"), std::string::npos);
  fs::resize_file(path_, 1000);
  EXPECT_NE(error(path_.string()).find("multiple of 512"), std::string::npos);
  fs::resize_file(path_, 0);
  EXPECT_NE(error(path_.string()).find("multiple of 512"), std::string::npos);
  EXPECT_NE(error("nbd://host/x").find("not supported in this build"), std::string::npos);
  EXPECT_NE(error("iscsi://host/iqn/0").find("not supported in this build"), std::string::npos);
  EXPECT_NE(error("ftp://host/x").find("unknown kind"), std::string::npos);
  EXPECT_NE(error("file:").find("path is missing"), std::string::npos);
  fs::resize_file(path_, 512);
  fs::permissions(path_, fs::perms::owner_read);
  if (geteuid() != 0) {
    EXPECT_NE(error(path_.string()).find("no permission"), std::string::npos);
  }
  const auto fifo = directory_ / "fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_NE(error(fifo.string()).find("not a regular file"), std::string::npos);
}

/// In a file system with 64 KB, in a child with its own mounts.
TEST_F(BlockTest, FullHostDiskIsSaidAndLosesNothing) {
  const auto full = directory_ / "full";
  fs::create_directory(full);
  const pid_t child = fork();
  if (child == 0) {
    if (unshare(CLONE_NEWNS | (geteuid() ? CLONE_NEWUSER : 0)) != 0 ||
        mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("tmpfs", full.c_str(), "tmpfs", 0, "size=64k") != 0)
      _exit(77);
    const auto path = full / "lun.img";
    std::ofstream(path).close();
    if (truncate(path.c_str(), 1 << 20) != 0) _exit(77);
    auto device = open_block_device(path.string());
    if (device->reserve("me", nullptr) != 0) _exit(2);
    const std::vector<u8> data(4096, 7);
    u64 written = 0;
    int result = 0;
    while (written < (1 << 20) && (result = device->write(written, data)) == 0) written += data.size();
    if (result != ENOSPC) _exit(3);
    std::vector<u8> got(4096);
    for (u64 at = 0; at < written; at += data.size())
      if (device->read(at, got) != 0 || got != data) _exit(4);
    if (device->discard(0, 8192) != 0) _exit(5);
    if (device->write(written, data) != 0) _exit(6);  // Room again: the disk goes on.
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "no private mounts here";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(BlockTest, ShortenedFileIsAnError) {
  auto device = open_block_device(path_.string());
  fs::resize_file(path_, 4096);
  std::vector<u8> got(8192);
  EXPECT_EQ(device->read(0, got), EIO);
}

}  // namespace
}  // namespace baton::devices
