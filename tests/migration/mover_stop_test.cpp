// SPDX-License-Identifier: Apache-2.0
// The Virtual I/O Server of either mover is shut down at each message of a move of a partition that runs.
#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <thread>

#include "tests/migration/running_move.h"

namespace baton::migration {
namespace {

struct Stop {
  FrameType at;
  bool before;     ///< It passes only after the server was shut down.
  bool at_source;  ///< Whose server.
  /// Where the partition is in the end; nothing: either, depending on what comes first.
  std::optional<bool> moves;
};

class MoverStop : public testing::TestWithParam<Stop> {
 protected:
  Directory directory_;
  Machine a_{"A", "10BA70A", {{"hdisk0", directory_.disk("lun0")}}, directory_.path() / "A.moves"};
  Machine b_{"B", "10BA70B", {{"hdisk0", directory_.disk("lun0")}}, directory_.path() / "B.moves"};
};

TEST_P(MoverStop, OneOwnerThatRuns) {
  const Stop& stop = GetParam();
  hypervisor::Profile profile = small_profile("hdisk0");
  profile.processors = 1;
  profile.firmware = restless_program(directory_);
  const auto partition = a_.system.create(profile);
  partition->power_on();
  ASSERT_TRUE(runs_on(a_));

  vios::VirtualIo& io = stop.at_source ? a_.vios : b_.vios;
  vios::Vios& server = *io.servers().front();
  std::atomic<bool> done{false};
  std::thread starts_again;
  Relayed remote(b_);
  const auto stop_it = [&] {
    io.stop(server);
    EXPECT_FALSE(server.running());
    starts_again = std::thread([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      io.start(server);
    });
  };
  // At the first frame of the type, before or after it passes.
  const auto look = [&](Channel, FrameType type) {
    if (type == stop.at && !done.exchange(true)) stop_it();
    return true;
  };
  remote.look(look, stop.before);
  MoveOptions options;
  options.transparent = true;
  options.post_copy = MoveOptions::PostCopy::kAlways;
  if (stop.at == FrameType::kDrained) options.channels = 3;
  std::string problem;
  try {
    a_.mover.migrate(partition, remote, options);
  } catch (const std::runtime_error& error) {
    problem = error.what();
  }
  remote.look_away();
  ASSERT_TRUE(starts_again.joinable()) << "the message did not pass: " << problem;
  starts_again.join();
  if (stop.moves) EXPECT_EQ(*stop.moves, problem.empty()) << problem;
  if (!problem.empty()) {
    EXPECT_NE(problem.find("rolled back"), std::string::npos) << problem;
    EXPECT_NE(problem.find("BATM037"), std::string::npos) << problem;
    EXPECT_FALSE(b_.system.find("lpar1"));
    EXPECT_TRUE(runs_on(a_));
    // Nothing is left that would hinder another attempt.
    a_.mover.migrate(partition, remote, options);
  }
  EXPECT_FALSE(a_.system.find("lpar1"));
  EXPECT_TRUE(runs_on(b_));
  b_.system.find("lpar1")->power_off();
}

std::string name_of(const testing::TestParamInfo<Stop>& info) {
  const Stop& stop = info.param;
  return std::string(stop.at_source ? "Source" : "Target") + (stop.before ? "Before" : "After") +
         to_string(stop.at);
}

INSTANTIATE_TEST_SUITE_P(
    Mover, MoverStop,
    testing::Values(
        Stop{FrameType::kMemory, true, true, false}, Stop{FrameType::kMemory, true, false, false},
        Stop{FrameType::kAbsent, false, true, false}, Stop{FrameType::kAbsent, false, false, false},
        Stop{FrameType::kDrained, true, true, false}, Stop{FrameType::kDrained, false, true, false},
        Stop{FrameType::kDrained, true, false, false}, Stop{FrameType::kDrained, false, false, false},
        Stop{FrameType::kState, true, true, false}, Stop{FrameType::kState, false, false, false},
        Stop{FrameType::kPrepare, true, true, false}, Stop{FrameType::kPrepare, false, false, false},
        Stop{FrameType::kReady, true, true, false}, Stop{FrameType::kReady, true, false, false},
        Stop{FrameType::kCommit, true, true, std::nullopt},  // It has left.
        Stop{FrameType::kCommit, true, false, false}, Stop{FrameType::kCommit, false, true, std::nullopt},
        Stop{FrameType::kCommit, false, false, std::nullopt}, Stop{FrameType::kResumed, true, true, true},
        Stop{FrameType::kResumed, true, false, true}, Stop{FrameType::kResumed, false, true, true},
        Stop{FrameType::kResumed, false, false, true}, Stop{FrameType::kReceived, true, true, true},
        Stop{FrameType::kReceived, true, false, true}, Stop{FrameType::kCompleted, true, true, true},
        Stop{FrameType::kCompleted, false, false, true}),
    name_of);

}  // namespace
}  // namespace baton::migration
