// SPDX-License-Identifier: Apache-2.0
// Frames that come after the partition has started.
#include "migration/post_copy.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <thread>

#include "migration/page_engine.h"
#include "tests/migration/support.h"

namespace baton::migration {
namespace {

constexpr u64 kFrames = 300;

u64 content(u64 frame) { return frame % 5 ? frame * 0x9E3779B97F4A7C15u | 1 : 0; }  // Some pages are zeros.

void fill(cpu::Memory& memory) {
  for (u64 frame = 0; frame < kFrames; frame++)
    memory.store<u64>(frame * cpu::kFrameSize + 8 * (frame % 512), content(frame));
}

struct Pair {
  Pair() {
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds)) throw std::runtime_error("socketpair");
    source = std::make_unique<Socket>(fds[0]);
    target = std::make_unique<Socket>(fds[1]);
  }
  std::unique_ptr<Socket> source, target;
};

class Nobody final : public cpu::FrameSource {
 public:
  void want(u64) override { asked++; }
  std::atomic<int> asked{0};
};

TEST(AbsentFrames, AreWaitedForAndWaitersAreLetGo) {
  cpu::Memory memory(kFrames * cpu::kFrameSize);
  cpu::FrameSet absent(kFrames);
  absent.set(3);
  absent.set(4);
  auto source = std::make_shared<Nobody>();
  memory.expect(absent, source);
  EXPECT_EQ(memory.expected(), 2u);
  EXPECT_EQ(memory.load<u64>(0), 0u) << "one that is here needs nobody";
  u64 seen = 0;
  std::thread reader([&] { seen = memory.load<u64>(3 * cpu::kFrameSize + 16).value_or(1); });
  while (source->asked == 0) std::this_thread::yield();
  std::vector<u8> page(cpu::kFrameSize, 0x11);
  memory.arrive(3, page.data());
  reader.join();
  EXPECT_EQ(seen, 0x1111111111111111u);
  std::fill(page.begin(), page.end(), 0x22);
  memory.arrive(3, page.data());
  EXPECT_EQ(memory.load<u64>(3 * cpu::kFrameSize), 0x1111111111111111u)
      << "it came, and may have changed since";
  EXPECT_EQ(memory.waits().count, 1u);

  bool read = true;
  std::thread stuck([&] { read = memory.load<u64>(4 * cpu::kFrameSize).has_value(); });
  while (source->asked == 1) std::this_thread::yield();
  memory.give_up();
  stuck.join();
  EXPECT_FALSE(read) << "nothing is made up";
  memory.arrive(4, page.data());
  EXPECT_FALSE(memory.load<u64>(4 * cpu::kFrameSize));
  memory.reset_expected();
  EXPECT_EQ(memory.load<u64>(4 * cpu::kFrameSize), 0u);
}

TEST(AbsentFrames, TravelAsASet) {
  cpu::FrameSet frames(kFrames), back(kFrames);
  for (u64 frame = 0; frame < kFrames; frame += 7) frames.set(frame);
  decode_frames(encode_frames(frames), back);
  EXPECT_EQ(back.count(), frames.count());
  EXPECT_TRUE(back.test(7) && !back.test(8));
  std::vector<u8> bytes = encode_frames(frames);
  bytes.back() = 0x80;  // Frame 319.
  EXPECT_THROW(decode_frames(bytes, back), StreamError);
  bytes.pop_back();
  EXPECT_THROW(decode_frames(bytes, back), StreamError);
}

TEST(PostCopy, WhatIsWantedComesFirstAndTheRestFollows) {
  cpu::Memory from(kFrames * cpu::kFrameSize), to(kFrames * cpu::kFrameSize);
  fill(from);
  cpu::FrameSet absent(kFrames);
  absent.set_all();
  auto client = std::make_shared<PageClient>(to);
  to.expect(absent, client);
  PageServer server(from);
  server.left().set_all();
  Pair demand, stream;
  Pace pace(0);
  std::thread answers([&] { server.answer(*demand.source, pace); });
  std::thread asks([&] { client->serve(*demand.target, [] {}); });
  // Without anything being pushed.
  EXPECT_EQ(to.load<u64>(201 * cpu::kFrameSize + 8 * 201), content(201));
  EXPECT_EQ(to.load<u64>(5 * cpu::kFrameSize + 8 * 5), content(5));
  EXPECT_LE(to.expected(), kFrames - 2);
  std::thread pushes([&] {
    FrameWriter writer(*stream.source);
    server.push(writer, [](u64) {});
    stream.source->shut_down();
  });
  PageReceiver receiver(to);
  receiver.running();
  FrameReader reader(*stream.target);
  try {
    while (true) receiver.apply(reader.read().payload);
  } catch (const StreamError&) {
  }
  pushes.join();
  for (u64 frame = 0; frame < kFrames; frame++)
    EXPECT_EQ(to.load<u64>(frame * cpu::kFrameSize + 8 * (frame % 512)), content(frame)) << frame;
  EXPECT_EQ(to.expected(), 0u);
  EXPECT_EQ(server.left().count(), 0u);
  client->shut_down();
  answers.join();
  asks.join();
}

TEST(PostCopy, WhatIsAwaitedIsAskedForAgainOnANewChannel) {
  cpu::Memory from(kFrames * cpu::kFrameSize), to(kFrames * cpu::kFrameSize);
  fill(from);
  cpu::FrameSet absent(kFrames);
  absent.set_all();
  auto client = std::make_shared<PageClient>(to);
  to.expect(absent, client);
  u64 seen = 0;
  std::thread reader([&] { seen = to.load<u64>(7 * cpu::kFrameSize + 8 * 7).value_or(0); });
  while (to.awaited().empty()) std::this_thread::yield();
  PageServer server(from);
  Pace pace(0);
  Pair demand;
  std::atomic<int> arrivals{0};
  std::thread answers([&] { server.answer(*demand.source, pace); });
  std::thread asks([&] { client->serve(*demand.target, [&] { arrivals++; }); });
  reader.join();
  EXPECT_EQ(seen, content(7));
  client->shut_down();
  answers.join();
  asks.join();
  EXPECT_GT(arrivals, 0) << "whoever waits for the last page is told";
}

TEST(PostCopy, AWishOutsideThePartitionEndsTheChannel) {
  cpu::Memory from(kFrames * cpu::kFrameSize);
  PageServer server(from);
  Pace pace(0);
  Pair demand;
  std::thread answers([&] { server.answer(*demand.source, pace); });
  FrameWriter writer(*demand.target);
  const u64 wish = kFrames;
  writer.send(FrameType::kWant, {reinterpret_cast<const u8*>(&wish), sizeof wish});
  FrameReader reader(*demand.target);
  EXPECT_THROW(reader.read(), StreamError);
  answers.join();
}

}  // namespace
}  // namespace baton::migration
