// SPDX-License-Identifier: Apache-2.0
// Moves of a partition that runs, its pages by several channels.
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <map>
#include <optional>

#include "devices/authority.h"
#include "tests/migration/running_move.h"

namespace baton::migration {
namespace {

using PostCopy = MoveOptions::PostCopy;

constexpr u64 kStill = 32 << 20, kStillBytes = 24 << 20;  ///< Memory that the program leaves alone.

/// Not all zeros, and easily compressed.
std::vector<u8> still_bytes() {
  std::vector<u8> out(kStillBytes);
  for (std::size_t i = 0; i < out.size(); i += 8) {
    const u64 value = i / 64 % 1000;
    std::memcpy(out.data() + i, &value, 8);
  }
  return out;
}

class Channels : public testing::Test {
 protected:
  std::shared_ptr<hypervisor::Partition> start(Machine& machine) {
    hypervisor::Profile profile = small_profile("hdisk0");
    profile.processors = 1;
    profile.firmware = restless_program(directory_);
    const auto partition = machine.system.create(profile);
    partition->power_on();
    partition->memory().write(kStill, still_bytes());
    EXPECT_TRUE(runs_on(machine));
    return partition;
  }
  /// It runs there alone, has all its memory, and in the last state of each page.
  void expect_whole(Machine& there, Machine& elsewhere) {
    EXPECT_FALSE(elsewhere.system.find("lpar1"));
    ASSERT_TRUE(runs_on(there));
    const auto partition = there.system.find("lpar1");
    for (int pass = 0; pass < 2; pass++) EXPECT_TRUE(runs_on(there));  // It has looked at each of its pages.
    EXPECT_EQ(partition->memory().load<u64>(kMismatch), 0u);
    std::vector<u8> still(kStillBytes);
    EXPECT_TRUE(partition->memory().read(kStill, still));
    EXPECT_TRUE(still == still_bytes());
  }
  static MoveOptions by(u32 channels, PostCopy post_copy) {
    MoveOptions options;
    options.transparent = true;
    options.channels = channels;
    options.post_copy = post_copy;
    // Slower than the program writes, so that there are many rounds.
    if (post_copy == PostCopy::kNever) options.bytes_per_second = 100'000'000;
    return options;
  }

  Directory directory_;
  Machine a_{"A", "10BA70A", {{"hdisk0", directory_.disk("lun0")}}, directory_.path() / "A.moves"};
  Machine b_{"B", "10BA70B", {{"hdisk0", directory_.disk("lun0")}}, directory_.path() / "B.moves"};
};

TEST_F(Channels, AWriterMovesByFourAndBack) {
  const auto partition = start(a_);
  Relayed to(b_), back(a_);
  a_.mover.migrate(partition, to, by(4, PostCopy::kNever));
  expect_whole(b_, a_);
  EXPECT_GT(a_.mover.progress_of("lpar1").round, 1u);
  b_.mover.migrate(b_.system.find("lpar1"), back, by(8, PostCopy::kWhenItHelps));
  expect_whole(a_, b_);
  a_.mover.migrate(a_.system.find("lpar1"), to, by(2, PostCopy::kAlways));
  expect_whole(b_, a_);
  b_.system.find("lpar1")->power_off();
}

TEST_F(Channels, OverTls) {
  const std::string state = devices::state_directory(directory_.path() / "state");
  const auto who = [&](const std::string& name) {
    return std::make_shared<devices::TlsIdentity>(devices::local_identity(state, name));
  };
  Machine s("S", "10BA70S", {{"hdisk0", directory_.disk("lun1")}}, {}, who("S"));
  Machine t("T", "10BA70T", {{"hdisk0", directory_.disk("lun1")}}, {}, who("T"));
  Relayed remote(t);
  const auto partition = start(s);
  s.mover.migrate(partition, remote, by(4, PostCopy::kNever));
  expect_whole(t, s);
  t.system.find("lpar1")->power_off();
}

TEST_F(Channels, EachCarriesPagesAndAllAreCounted) {
  const auto partition = start(a_);
  Relayed remote(b_);
  std::atomic<int> drained{0}, memory{0};
  remote.look([&](Channel channel, FrameType type) {
    memory += channel == Channel::kPages && type == FrameType::kMemory;
    drained += type == FrameType::kDrained;
    return true;
  });
  a_.mover.migrate(partition, remote, by(4, PostCopy::kNever));
  remote.look_away();
  EXPECT_EQ(drained, 4);
  EXPECT_GT(memory, 10);
  EXPECT_GT(a_.mover.progress_of("lpar1").bytes_transmitted, kStillBytes);
  EXPECT_GT(b_.mover.progress_of("lpar1").bytes_transmitted, kStillBytes);
  expect_whole(b_, a_);
  b_.system.find("lpar1")->power_off();
}

TEST_F(Channels, OneChannelIsAsBefore) {
  const auto partition = start(a_);
  Relayed remote(b_);
  std::atomic<int> others{0};
  remote.look([&](Channel channel, FrameType type) {
    others += channel == Channel::kPages || type == FrameType::kDrained;
    return true;
  });
  a_.mover.migrate(partition, remote, by(1, PostCopy::kNever));
  remote.look_away();
  EXPECT_EQ(others, 0);
  expect_whole(b_, a_);
  b_.system.find("lpar1")->power_off();
}

struct Cut {
  const char* name;
  FrameType at;
  int count;  ///< Of such frames on the channels for pages that pass before.
  bool before;
  bool moves;
};

class ChannelCut : public Channels, public testing::WithParamInterface<Cut> {};

TEST_P(ChannelCut, IsTheLossOfTheLink) {
  const Cut& cut = GetParam();
  const auto partition = start(a_);
  Relayed remote(b_);
  std::atomic<int> seen{0};
  const auto look = [&](Channel channel, FrameType type) {
    return channel != Channel::kPages || type != cut.at || seen++ != cut.count;
  };
  remote.look(look, cut.before);
  std::string problem;
  try {
    a_.mover.migrate(partition, remote, by(4, PostCopy::kNever));
  } catch (const std::runtime_error& error) {
    problem = error.what();
  }
  remote.look_away();
  EXPECT_GT(seen, cut.count) << "it was not cut";
  EXPECT_EQ(problem.empty(), cut.moves) << problem;
  if (!problem.empty()) {
    EXPECT_NE(problem.find("rolled back"), std::string::npos) << problem;
    EXPECT_FALSE(b_.system.find("lpar1"));
    EXPECT_TRUE(runs_on(a_));
    // Nothing is left that would hinder another attempt.
    a_.mover.migrate(partition, remote, by(4, PostCopy::kAlways));
  }
  expect_whole(b_, a_);
  b_.system.find("lpar1")->power_off();
}

INSTANTIATE_TEST_SUITE_P(Mover, ChannelCut,
                         testing::Values(Cut{"BeforeTheFirstPages", FrameType::kMemory, 0, true, false},
                                         Cut{"AmongPages", FrameType::kMemory, 20, false, false},
                                         Cut{"BeforeARoundsEnd", FrameType::kRound, 1, true, false},
                                         Cut{"AfterARoundsEnd", FrameType::kRound, 4, false, false},
                                         Cut{"BeforeTheEnd", FrameType::kDrained, 1, true, false},
                                         Cut{"AfterTheEnd", FrameType::kDrained, 2, false, true}),
                         [](const auto& info) { return info.param.name; });

/// Connections that are not of the move, while it is under way.
TEST_F(Channels, AStrangerLearnsNothingAndHarmsNothing) {
  const auto partition = start(a_);
  Relayed remote(b_);
  std::atomic<bool> tried{false};
  const auto refused = [&](Preamble preamble) {
    const auto socket = connect_to(b_.mover.address(), std::chrono::seconds(5));
    try {
      write_preamble(*socket, preamble);
      FrameWriter writer(*socket);
      const std::vector<u8> pages(8);
      writer.send(FrameType::kMemory, pages);
      writer.send(FrameType::kRound);
      writer.send(FrameType::kDrained);
    } catch (const StreamError&) {
      // It was refused before all of that had gone.
    }
    u8 byte;
    EXPECT_THROW(socket->read({&byte, 1}), StreamError) << "it was told something";
  };
  const auto look = [&](Channel, FrameType type) {
    // By then all channels are there: one more is refused even if it has the key.
    if (type != FrameType::kRound || tried.exchange(true)) return true;
    Preamble preamble{.channel = Channel::kPages, .stream_id = remote.stream_id};
    refused(preamble);
    EXPECT_TRUE(key_from_hex(remote.shell.key, preamble.key));
    refused(preamble);
    ++preamble.stream_id;
    refused(preamble);
    return true;
  };
  remote.look(look, false);
  a_.mover.migrate(partition, remote, by(3, PostCopy::kNever));
  remote.look_away();
  EXPECT_TRUE(tried);
  expect_whole(b_, a_);
  // Nor when the move is over.
  Preamble late{.channel = Channel::kPages, .stream_id = remote.stream_id};
  EXPECT_TRUE(key_from_hex(remote.shell.key, late.key));
  refused(late);
  expect_whole(b_, a_);
  b_.system.find("lpar1")->power_off();
}

/// A channel comes, and its stream does not: the shell goes as if nobody had come.
TEST_F(Channels, OneWithoutItsStream) {
  Description d;
  d.stream_version = kStreamVersion;
  d.active = true;
  d.channels = 3;
  d.profile = small_profile();
  d.profile.ethernet.clear();
  d.hpt_bytes = [&] {
    const auto like = a_.system.create(d.profile);
    const u64 bytes = like->hpt().bytes();
    a_.system.remove(like->id());
    return bytes;
  }();
  d.time_of_day_ns = time_of_day_ns();
  Preamble preamble{.channel = Channel::kPages, .stream_id = 42};
  const RemoteSystem::Shell shell = b_.mover.create_shell(encode(d), preamble.stream_id);
  ASSERT_TRUE(key_from_hex(shell.key, preamble.key));
  std::vector<std::unique_ptr<Socket>> channels;
  for (int i = 0; i < 2; i++) {
    channels.push_back(connect_to(shell.mover_address, std::chrono::seconds(5)));
    write_preamble(*channels.back(), preamble);
    FrameWriter(*channels.back()).send(FrameType::kRound);
  }
  EXPECT_TRUE(b_.system.find("lpar1"));
  b_.mover.abandon_shell(preamble.stream_id);
  EXPECT_FALSE(b_.system.find("lpar1"));
  for (const auto& channel : channels) {
    u8 byte;
    EXPECT_THROW(channel->read({&byte, 1}), StreamError);
  }
}

TEST_F(Channels, CompressionTurnsItselfOnForASlowLink) {
  const auto partition = start(a_);
  Relayed remote(b_);
  MoveOptions options = by(2, PostCopy::kAlways);
  options.bytes_per_second = 4'000'000;
  options.compression = MoveOptions::Compression::kWhenItPays;
  a_.mover.migrate(partition, remote, options);
  EXPECT_LT(a_.mover.progress_of("lpar1").bytes_transmitted, kStillBytes / 2);
  expect_whole(b_, a_);
  b_.system.find("lpar1")->power_off();
}

}  // namespace
}  // namespace baton::migration
