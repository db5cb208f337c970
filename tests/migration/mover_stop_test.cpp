// SPDX-License-Identifier: Apache-2.0
// The Virtual I/O Server of either mover is shut down at each message of a move of a partition that runs.
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <thread>

#include "migration/socket.h"
#include "tests/hypervisor/guest_program.h"
#include "tests/migration/support.h"

namespace baton::migration {
namespace {

/// Sits between the movers and does something when the first frame of one type passes.
class Relay {
 public:
  Relay(std::string target, FrameType type, bool before, std::function<void()> what)
      : target_(std::move(target)), type_(type), before_(before), what_(std::move(what)) {
    acceptor_ = std::thread([this] {
      while (auto client = listener_.accept()) {
        const std::lock_guard hold(lock_);
        connections_.emplace_back([this, c = client.release()] { serve(std::unique_ptr<Socket>(c)); });
      }
    });
  }
  ~Relay() {
    listener_.shut_down();
    acceptor_.join();
    for (std::thread& connection : connections_) connection.join();
  }
  const std::string& address() const { return listener_.address(); }

 private:
  void serve(std::unique_ptr<Socket> client) {
    std::unique_ptr<Socket> server;
    try {
      server = connect_to(target_, std::chrono::seconds(5));
      write_preamble(*server, read_preamble(*client));
    } catch (const StreamError&) {
      return;
    }
    std::thread back([&] { pump(*server, *client); });
    pump(*client, *server);
    back.join();
  }
  void pump(Socket& from, Socket& to) {
    try {
      FrameReader reader(from);
      FrameWriter writer(to);
      while (true) {
        const Frame frame = reader.read();
        const bool due = frame.type == type_ && !done_.exchange(true);
        if (due && before_) what_();
        writer.send(frame.type, frame.payload);
        if (due && !before_) what_();
      }
    } catch (const StreamError&) {
    }
    from.shut_down();
    to.shut_down();
  }

  const std::string target_;
  const FrameType type_;
  const bool before_;
  const std::function<void()> what_;
  std::atomic<bool> done_{false};
  ListeningSocket listener_{"127.0.0.1"};
  std::mutex lock_;
  std::list<std::thread> connections_;
  std::thread acceptor_;
};

/// The destination by direct calls, its mover behind the relay.
class Relayed final : public RemoteSystem {
 public:
  explicit Relayed(Machine& machine) : machine_(machine) {}
  std::string name() override { return machine_.system.identity().name; }
  std::vector<Finding> validate(const std::string& description) override {
    return machine_.mover.validate_incoming(description);
  }
  Shell create_shell(const std::string& description, u64 stream_id) override {
    Shell shell = machine_.mover.create_shell(description, stream_id);
    if (relay) shell.mover_address = relay(shell.mover_address);
    return shell;
  }
  void abandon_shell(u64 stream_id) override { machine_.mover.abandon_shell(stream_id); }
  Outcome settle(u64 stream_id) override { return machine_.mover.settle(stream_id); }
  std::string failure(u64 stream_id) override {
    for (const Progress& p : machine_.mover.progress())
      if (p.stream_id == stream_id && p.finished && !p.ok) return p.error;
    return {};
  }
  std::function<std::string(const std::string& address)> relay;

 private:
  Machine& machine_;
};

constexpr u32 kCounter = 0x800000, kPages = 0x1000000, kPageCount = 1024;

/// Writes to many pages again and again, and counts.
std::string restless_program(const Directory& directory) {
  hypervisor::test::GuestProgram program;
  program.prologue();
  const u32 start = program.here();
  program.load(4, kPages);
  program.load(5, kPageCount);
  program.mtspr(9, 5);  // CTR
  const u32 loop = program.here();
  program.std(6, 0, 4);
  program.addi(4, 4, 0x1000);
  program.word(16u << 26 | 16u << 21 | ((loop - program.here()) & 0xFFFC));  // bdnz loop
  program.addi(6, 6, 1);
  program.load(7, kCounter);
  program.std(6, 0, 7);
  program.branch(start);
  return program.save(directory.path() / "restless");
}

struct Stop {
  FrameType at;
  bool before;     ///< It passes only after the server was shut down.
  bool at_source;  ///< Whose server.
  /// Where the partition is in the end; nothing: either, depending on what comes first.
  std::optional<bool> moves;
};

class MoverStop : public testing::TestWithParam<Stop> {
 protected:
  bool runs_on(Machine& machine) {
    const auto partition = machine.system.find("lpar1");
    if (!partition) return false;
    const auto count = [&] { return partition->memory().load<u64>(kCounter).value_or(0); };
    const u64 before = count();
    for (int i = 0; i < 2000 && count() == before; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return count() != before;
  }

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
  std::unique_ptr<Relay> relay;
  std::thread starts_again;
  Relayed remote(b_);
  remote.relay = [&](const std::string& address) {
    relay = std::make_unique<Relay>(address, stop.at, stop.before, [&] {
      io.stop(server);
      EXPECT_FALSE(server.running());
      starts_again = std::thread([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        io.start(server);
      });
    });
    return relay->address();
  };
  MoveOptions options;
  options.transparent = true;
  options.post_copy = MoveOptions::PostCopy::kAlways;
  std::string problem;
  try {
    a_.mover.migrate(partition, remote, options);
  } catch (const std::runtime_error& error) {
    problem = error.what();
  }
  relay.reset();  // On return nothing passes any more.
  ASSERT_TRUE(starts_again.joinable()) << "the message did not pass: " << problem;
  starts_again.join();
  if (stop.moves) EXPECT_EQ(*stop.moves, problem.empty()) << problem;
  if (!problem.empty()) {
    EXPECT_NE(problem.find("rolled back"), std::string::npos) << problem;
    EXPECT_NE(problem.find("BATM037"), std::string::npos) << problem;
    EXPECT_FALSE(b_.system.find("lpar1"));
    EXPECT_TRUE(runs_on(a_));
    // Nothing is left that would hinder another attempt.
    remote.relay = {};
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
