// SPDX-License-Identifier: Apache-2.0
// The mover service partition and the hypervisor talk about one stream, both as they are in a move.
#include "vios/mover_service.h"

#include <gtest/gtest.h>

#include <numeric>
#include <stdexcept>

#include "hypervisor/hcall.h"

namespace baton::vios {
namespace {

using hypervisor::VasiEntity;
using hypervisor::VasiRole;
using hypervisor::VasiService;
using hypervisor::VasiSignal;
using hypervisor::VasiState;
using hypervisor::VasiStatus;

constexpr u64 kStream = 0x1122334455667788;

class Operation final : public hypervisor::VasiOperation {
 public:
  u64 bytes_left() override { return left; }
  bool download(std::span<const u8> data) override {
    downloads++;
    downloaded.insert(downloaded.end(), data.begin(), data.end());
    return sound;
  }
  void signalled(VasiSignal signal, u32) override { signals.push_back(signal); }
  void entered(VasiState, u32) override {}
  void uploaded(u64, VasiStatus status) override { answers.push_back(status); }
  Work donated() override { return Work::kMore; }
  bool suspended() override { return true; }

  u64 left = 5000;
  bool sound = true;
  u32 downloads = 0;
  std::vector<u8> downloaded;
  std::vector<VasiSignal> signals;
  std::vector<VasiStatus> answers;
};

class MoverServiceTest : public testing::Test {
 protected:
  std::unique_ptr<MoverService::Session> open(VasiRole role = VasiRole::kSourceMover, u64 stream = kStream) {
    hypervisor_.expect(stream, role, operation_);
    return mover_.open(stream, role, [this](std::span<const u8> slice) {
      if (broken_) throw std::runtime_error("the peer is gone");
      shipped_.insert(shipped_.end(), slice.begin(), slice.end());
    });
  }
  static std::vector<u8> pattern(std::size_t size) {
    std::vector<u8> out(size);
    std::iota(out.begin(), out.end(), u8{1});
    return out;
  }
  VasiService hypervisor_;
  MoverService mover_{hypervisor_};
  Operation operation_;
  std::vector<u8> shipped_;
  bool broken_ = false;
};

TEST_F(MoverServiceTest, ProgressIsAskedAtTheOpening) {
  const auto session = open();
  EXPECT_EQ(session->total_bytes(), 5000u);
  operation_.left = 10;
  EXPECT_EQ(session->total_bytes(), 5000u);
  EXPECT_EQ(session->progress(), 10u);
  EXPECT_EQ(session->donate(), hypervisor::h::InProgress);
}

TEST_F(MoverServiceTest, WhatIsNotAnnouncedIsNotOpened) {
  EXPECT_THROW(mover_.open(kStream, VasiRole::kSourceMover, {}), std::runtime_error);
  hypervisor_.expect(kStream, VasiRole::kTargetMover, operation_);
  EXPECT_THROW(mover_.open(kStream, VasiRole::kSourceMover, {}), std::runtime_error) << "the other role";
  EXPECT_NE(mover_.open(kStream, VasiRole::kTargetMover, {}), nullptr) << "a refusal leaves nothing behind";
}

TEST_F(MoverServiceTest, AsManyStreamsAsTheAdapterHas) {
  std::vector<std::unique_ptr<MoverService::Session>> all;
  for (u64 n = 0; n < VasiService::kStreams; n++) all.push_back(open(VasiRole::kSourceMover, kStream + n));
  EXPECT_THROW(open(VasiRole::kSourceMover, kStream + 99), std::runtime_error);
  all.pop_back();
  EXPECT_NE(open(VasiRole::kSourceMover, kStream + 100), nullptr);
}

TEST_F(MoverServiceTest, SlicesAreShippedInOrderAndTheBufferComesBack) {
  const auto session = open();
  const std::vector<u8> whole = pattern(3 * session->longest_slice());
  std::span<const u8> left = whole;
  for (; !left.empty(); left = left.subspan(session->longest_slice()))
    ASSERT_NE(hypervisor_.upload(kStream, left.first(session->longest_slice())), 0u);
  EXPECT_EQ(shipped_, whole);
  EXPECT_EQ(operation_.answers, std::vector(3, VasiStatus::kSuccess));
  EXPECT_EQ(hypervisor_.upload(kStream, pattern(session->longest_slice() + 1)), 0u);
  EXPECT_NO_THROW(session->check());
}

TEST_F(MoverServiceTest, APeerThatIsGoneIsAHardwareErrorAndIsTold) {
  const auto session = open();
  broken_ = true;
  EXPECT_NE(hypervisor_.upload(kStream, pattern(100)), 0u);
  EXPECT_EQ(operation_.answers, std::vector{VasiStatus::kHardware});
  EXPECT_THROW(session->check(), std::runtime_error);
  EXPECT_NO_THROW(session->check()) << "once";
}

TEST_F(MoverServiceTest, DownloadsAreCutToTheBuffer) {
  const auto session = open(VasiRole::kTargetMover);
  const std::vector<u8> data = pattern(1300000);
  EXPECT_EQ(session->download(data), VasiStatus::kSuccess);
  EXPECT_EQ(operation_.downloaded, data);
  EXPECT_EQ(operation_.downloads, 3u);
  operation_.sound = false;
  EXPECT_EQ(session->download(data), VasiStatus::kInvalidDownloadData);
  EXPECT_EQ(hypervisor_.state(kStream), VasiState::kAborted);
}

TEST_F(MoverServiceTest, StatesAndTheirReasonsAreTold) {
  const auto session = open();
  EXPECT_EQ(session->signal(VasiSignal::kSuspend, 0x02000000), VasiStatus::kSuccess);
  EXPECT_EQ(operation_.signals, std::vector{VasiSignal::kSuspend});
  hypervisor_.enter(kStream, VasiState::kSuspending);
  EXPECT_EQ(session->signal(VasiSignal::kSuspend, 0x02000000), VasiStatus::kInvalidTransition);
  const u32 reason = hypervisor::vasi_reason(VasiEntity::kPartition, 16);
  hypervisor_.enter(kStream, VasiState::kAborted, reason);
  EXPECT_EQ(session->states(), (std::vector<std::pair<VasiState, u32>>{{VasiState::kSuspending, 0},
                                                                       {VasiState::kAborted, reason}}));
  EXPECT_EQ(session->donate(), hypervisor::h::Aborted);
}

}  // namespace
}  // namespace baton::vios
