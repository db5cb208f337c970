// SPDX-License-Identifier: Apache-2.0
// Pages by several channels from one memory into another, without a move.
#include "migration/page_channels.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstring>
#include <list>
#include <random>
#include <thread>

#include "migration/round_gate.h"
#include "migration/socket.h"
#include "tests/migration/support.h"

namespace baton::migration {
namespace {

using cpu::kFrameSize;
using cpu::Memory;

constexpr u64 kMemory = 8 << 20;
const std::atomic<bool> kWhole{false};

void ignore(u64) {}

/// Both ends: each channel a pair of sockets, its target a thread.
class Rig {
 public:
  explicit Rig(u32 channels) : gate(channels) {
    for (u32 i = 0; i < channels; i++) {
      int fds[2];
      if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds)) throw std::runtime_error("socketpair");
      Lane& lane = lanes.emplace_back(fds[0], fds[1]);
      if (i == 0) {
        sender.emplace(from, from_table, lane.writer, [this] {
          ++lost;
          for (Lane& other : lanes) other.source.shut_down();
        });
      } else {
        sender->add(lane.writer);
        EXPECT_TRUE(gate.enter());
      }
      lane.thread = std::thread([this, &lane, i] { receive(lane, i); });
    }
  }
  ~Rig() { finish(); }
  void finish() {
    for (Lane& lane : lanes)
      if (lane.thread.joinable()) lane.thread.join();
  }
  void lose(u32 channel) { std::next(lanes.begin(), channel)->source.shut_down(); }

  struct Lane {
    Lane(int source_fd, int target_fd) : source(source_fd), target(target_fd) {}
    Socket source, target;
    FrameWriter writer{source};
    std::thread thread;
    u64 bytes = 0;
    u64 pages = 0;  ///< Frames of pages.
  };
  Memory from{kMemory}, to{kMemory};
  cpu::HashPageTable from_table{18}, to_table{18};
  PageReceiver memory{to}, table{to_table};
  std::list<Lane> lanes;
  RoundGate gate;
  std::optional<PageChannels> sender;
  std::atomic<int> lost{0};

 private:
  void receive(Lane& lane, u32 number) {
    std::minstd_rand random(number);
    try {
      FrameReader reader(lane.target);
      while (true) {
        const Frame frame = reader.read();
        lane.bytes = reader.bytes();
        if (random() % 4 == 0) std::this_thread::sleep_for(std::chrono::microseconds(random() % 1000));
        if (frame.type == FrameType::kRound) {
          gate.pass();
        } else if (frame.type == FrameType::kDrained) {
          if (number == 0)
            gate.wait_until_left();
          else
            gate.leave();
          return;
        } else {
          ++lane.pages;
          (frame.type == FrameType::kMemory ? memory : table).apply(frame.payload);
        }
      }
    } catch (const StreamError& problem) {
      gate.close(problem.what());
      lane.target.shut_down();
    }
  }
};

/// Rounds follow each other without waiting for the target, whose channels are not equally fast.
TEST(PageChannels, NoPageIsOverwrittenByAnOlderOne) {
  for (const u32 channels : {1u, 2u, 4u, 8u}) {
    Rig rig(channels);
    rig.from.set_tracking(true);
    rig.sender->skip_unchanged();
    std::mt19937_64 random(channels);
    std::vector<u64> frames(rig.from.frames()), table(rig.from_table.bytes() / kFrameSize);
    std::iota(frames.begin(), frames.end(), u64{0});
    std::iota(table.begin(), table.end(), u64{0});
    u64 bytes_before = 0;
    for (int round = 0; round < 40; round++) {
      EXPECT_EQ(rig.sender->send(table, frames, ignore, kWhole), table.size() + frames.size());
      rig.sender->end_round();
      EXPECT_GT(rig.sender->bytes(), bytes_before);
      bytes_before = rig.sender->bytes();
      for (int i = 0; i < 300; i++)
        rig.from.store<u64>(random() % rig.from.frames() * kFrameSize + 8 * (random() % 512), random());
      for (int i = 0; i < 20; i++)
        rig.from_table.set(random() % rig.from_table.entries(), {.v = random() | 1, .r = random()});
      frames.clear();
      table.clear();
      rig.from.dirty().harvest(frames);
      rig.from_table.dirty().harvest(table);
    }
    rig.sender->send(table, frames, ignore, kWhole);
    rig.sender->drain();
    if (channels == 1) rig.lose(0);  // It needs no frame to say that it was all.
    rig.finish();
    EXPECT_TRUE(rig.memory.complete() && rig.table.complete());
    EXPECT_EQ(std::memcmp(rig.from.host(0), rig.to.host(0), kMemory), 0) << channels;
    for (u64 ptex = 0; ptex < rig.from_table.entries(); ++ptex)
      ASSERT_EQ(rig.from_table.get(ptex).r, rig.to_table.get(ptex).r);
    u64 bytes = 0;
    for (const Rig::Lane& lane : rig.lanes) {
      bytes += lane.bytes;
      EXPECT_GT(lane.pages, 0u) << "each has its part";
    }
    EXPECT_EQ(rig.sender->bytes(), bytes);
  }
}

TEST(PageChannels, WhatIsCutOffIsTheEnd) {
  Rig rig(4);
  std::vector<u64> frames(rig.from.frames());
  std::iota(frames.begin(), frames.end(), u64{0});
  for (const u64 frame : frames) rig.from.store<u64>(frame * kFrameSize, frame + 1);
  std::atomic<bool> cut{false};
  const u64 went = rig.sender->send({}, frames, [&](u64) { cut = true; }, cut);
  EXPECT_GT(went, 0u);
  rig.sender->drain();
  rig.finish();
  EXPECT_EQ(rig.memory.missing(), frames.size() - went);
  for (const u64 frame : frames)
    EXPECT_EQ(rig.to.load<u64>(frame * kFrameSize).value_or(0), frame < went ? frame + 1 : 0);
}

TEST(PageChannels, ALostChannelEndsTheOthers) {
  for (const u32 which : {0u, 2u}) {
    Rig rig(4);
    std::vector<u64> frames(rig.from.frames());
    std::iota(frames.begin(), frames.end(), u64{0});
    for (const u64 frame : frames) rig.from.store<u64>(frame * kFrameSize, frame + 1);
    rig.lose(which);
    EXPECT_THROW(
        {
          for (int i = 0; i < 10; i++) {
            rig.sender->send({}, frames, ignore, kWhole);
            rig.sender->end_round();
          }
        },
        StreamError);
    for (Rig::Lane& lane : rig.lanes) lane.source.shut_down();
    rig.finish();
    EXPECT_FALSE(rig.gate.why_closed().empty());
  }
}

TEST(PageChannels, WhoeverCallsItOffFindsNothingUnderWay) {
  Rig rig(3);
  std::vector<u64> frames(rig.from.frames());
  std::iota(frames.begin(), frames.end(), u64{0});
  for (const u64 frame : frames) rig.from.store<u64>(frame * kFrameSize, frame + 1);
  const auto off = [](u64) { throw std::runtime_error("off"); };
  try {
    rig.sender->send({}, frames, off, kWhole);
    ADD_FAILURE() << "it goes on";
  } catch (const std::runtime_error& problem) {
    EXPECT_STREQ(problem.what(), "off");
  }
  rig.sender->end_round();
  const u64 bytes = rig.sender->bytes();
  EXPECT_EQ(rig.lost, 0) << "the connections are sound";
  EXPECT_EQ(rig.sender->send({}, frames, ignore, kWhole), frames.size()) << "and can be used";
  EXPECT_GT(rig.sender->bytes(), bytes);
  rig.sender->drain();
  rig.finish();
  EXPECT_TRUE(rig.memory.complete());
}

TEST(RoundGate, OpensForAllAtOnce) {
  RoundGate gate(3);
  EXPECT_TRUE(gate.enter());
  EXPECT_TRUE(gate.enter());
  EXPECT_FALSE(gate.enter()) << "one that nobody expects";
  std::atomic<int> stored[3] = {};
  std::list<std::thread> threads;
  for (int channel = 0; channel < 3; channel++) {
    threads.emplace_back([&, channel] {
      for (int round = 1; round <= 200; round++) {
        stored[channel] = round;
        gate.pass();
        for (const auto& other : stored) EXPECT_GE(other, round);
      }
      if (channel == 0)
        gate.wait_until_left();
      else
        gate.leave();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THROW(gate.pass(), StreamError) << "without the others";
  gate.wait_until_left();
}

TEST(RoundGate, NobodyWaitsForOneThatIsLost) {
  RoundGate gate(3);
  gate.enter();
  gate.enter();
  const auto expect_lost = [&](auto&& wait) {
    try {
      wait();
      ADD_FAILURE() << "it opened";
    } catch (const StreamError& problem) {
      EXPECT_STREQ(problem.what(), "cut");
    }
  };
  std::thread one([&] { expect_lost([&] { gate.pass(); }); });
  std::thread stream([&] { expect_lost([&] { gate.wait_until_left(); }); });
  gate.close("cut");
  gate.close("because of that");
  one.join();
  stream.join();
  expect_lost([&] { gate.pass(); });
  EXPECT_EQ(gate.why_closed(), "cut");
}

/// All of them together send no faster than one may.
TEST(Pace, HoldsOverAllChannels) {
  constexpr u64 kRate = 1'000'000, kFrame = 10'000;
  Pace pace(kRate);
  const Pace::Time now{std::chrono::hours(1)};
  std::mutex lock;
  std::vector<Pace::Time> times;
  std::list<std::thread> threads;
  for (int channel = 0; channel < 4; channel++) {
    threads.emplace_back([&] {
      for (int i = 0; i < 25; i++) {
        const Pace::Time time = pace.reserve(kFrame, now);
        const std::lock_guard hold(lock);
        times.push_back(time);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::ranges::sort(times);
  for (std::size_t i = 1; i < times.size(); i++)
    EXPECT_EQ(times[i] - times[i - 1], std::chrono::milliseconds(10));
  EXPECT_GE(times.back() - now, std::chrono::milliseconds(940)) << "all but what may be made up for";
}

}  // namespace
}  // namespace baton::migration
