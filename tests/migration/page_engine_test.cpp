// SPDX-License-Identifier: Apache-2.0
#include "migration/page_engine.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "tests/migration/support.h"

namespace baton::migration {
namespace {

using cpu::kFrameSize;
using cpu::Memory;

u32 load_le(std::span<const u8> bytes, std::size_t at) {
  u32 value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

TEST(PageEngine, MemoryArrivesAsItWas) {
  Memory from(16 << 20), to(16 << 20);
  std::mt19937_64 random(1);
  for (u64 frame = 0; frame < from.frames(); frame += 1 + random() % 3) {
    for (u64 i = 0; i < 32; ++i)
      from.host(frame * kFrameSize)[random() % kFrameSize] = static_cast<u8>(random() | 1);
  }
  // A frame that has data there already and is zero at the source now.
  std::memset(to.host(5 * kFrameSize), 7, kFrameSize);
  std::memset(from.host(5 * kFrameSize), 0, kFrameSize);
  Buffer buffer;
  FrameWriter writer(buffer);
  PageSender sender(writer, from);
  for (u64 frame = 0; frame < from.frames(); ++frame) sender.add(frame);
  sender.flush();
  EXPECT_EQ(sender.data_pages() + sender.zero_pages(), from.frames());
  EXPECT_GT(sender.zero_pages(), 0u);

  FrameReader reader(buffer);
  PageReceiver receiver(to);
  while (!receiver.complete()) receiver.apply(reader.read().payload);
  EXPECT_EQ(std::memcmp(from.host(0), to.host(0), from.size()), 0);
}

TEST(PageEngine, UnchangedPagesAreNotSentAgain) {
  Memory from(16 * kFrameSize), to(16 * kFrameSize);
  Buffer buffer;
  FrameWriter writer(buffer);
  PageSender sender(writer, from);
  SentPages sent(from.frames());
  sender.skip_unchanged(sent);
  const auto send_all = [&] {
    for (u64 frame = 0; frame < from.frames(); ++frame) sender.add(frame);
    sender.flush();
  };
  from.store<u64>(3 * kFrameSize, 1);
  send_all();
  EXPECT_EQ(sender.unchanged_pages(), 0u) << "zeros too are sent once: what is there is not known";
  from.store<u64>(3 * kFrameSize, 1);
  from.store<u64>(4 * kFrameSize, 1);
  send_all();
  EXPECT_EQ(sender.unchanged_pages(), 15u);
  from.store<u64>(4 * kFrameSize, 0);
  send_all();
  EXPECT_EQ(sender.unchanged_pages(), 30u);
  FrameReader reader(buffer);
  PageReceiver receiver(to);
  for (int batch = 0; batch < 3; ++batch) receiver.apply(reader.read().payload);
  EXPECT_EQ(std::memcmp(from.host(0), to.host(0), from.size()), 0);
}

TEST(PageEngine, WhatIsWrittenAgainIsLeftToTheNextRound) {
  Memory from(16 * kFrameSize), to(16 * kFrameSize);
  from.set_tracking(true);
  Buffer buffer;
  FrameWriter writer(buffer);
  PageSender sender(writer, from);
  sender.skip_written(true);
  from.store<u64>(3 * kFrameSize, 1);
  for (u64 frame = 0; frame < from.frames(); ++frame) sender.add(frame);
  EXPECT_EQ(sender.written_pages(), 1u);
  EXPECT_EQ(sender.looked_at(), from.frames());
  std::vector<u64> due;
  from.dirty().harvest(due);
  ASSERT_EQ(due, std::vector<u64>{3});
  sender.add(due[0]);
  sender.flush();
  FrameReader reader(buffer);
  PageReceiver receiver(to);
  receiver.apply(reader.read().payload);
  EXPECT_TRUE(receiver.complete());
  EXPECT_EQ(std::memcmp(from.host(0), to.host(0), from.size()), 0);
}

TEST(PageEngine, WhatTheHostHasNotGivenIsNotLookedAt) {
  Memory from(16 << 20), to(16 << 20);
  EXPECT_EQ(from.untouched().count(), from.frames());
  from.store<u64>(9 << 20, 1);
  cpu::FrameSet untouched = from.untouched();
  EXPECT_FALSE(untouched.test((9 << 20) / kFrameSize));
  EXPECT_TRUE(untouched.test(0));
  from.store<u64>(0, 1);  // After the question.
  Buffer buffer;
  FrameWriter writer(buffer);
  PageSender sender(writer, from);
  sender.set_untouched(&untouched);
  for (u64 frame = 0; frame < from.frames(); ++frame) sender.add(frame);
  sender.set_untouched(nullptr);
  sender.add(0);
  sender.flush();
  EXPECT_EQ(sender.data_pages(), 2u);
  EXPECT_LE(sender.looked_at(), (2 << 20) / kFrameSize + 1);
  EXPECT_EQ(to.untouched().count(), to.frames());
  FrameReader reader(buffer);
  PageReceiver receiver(to);
  receiver.fresh();
  for (u64 frames = 0; frames < from.frames() + 1;) {
    const Frame frame = reader.read();
    receiver.apply(frame.payload);
    frames += load_le(frame.payload, 0) + load_le(frame.payload, 4);
  }
  EXPECT_TRUE(to.untouched().test((4 << 20) / kFrameSize)) << "zeros make the host allocate nothing";
  EXPECT_EQ(std::memcmp(from.host(0), to.host(0), from.size()), 0);
}

TEST(PageEngine, WhatFollowsIsNotMissing) {
  Memory from(16 * kFrameSize), to(16 * kFrameSize);
  Buffer buffer;
  FrameWriter writer(buffer);
  PageSender sender(writer, from);
  cpu::FrameSet follows(from.frames());
  for (u64 frame = 0; frame < from.frames(); ++frame) frame % 5 ? sender.add(frame) : follows.set(frame);
  sender.flush();
  FrameReader reader(buffer);
  PageReceiver receiver(to);
  receiver.apply(reader.read().payload);
  EXPECT_EQ(receiver.missing(), 4u);
  receiver.follow(follows);
  EXPECT_TRUE(receiver.complete());
}

TEST(PageEngine, ThePageTableArrivesAsItWas) {
  cpu::HashPageTable from(18), to(18);
  from.set(3, {.v = 0x123480 | cpu::pte::kValid, .r = 0x5000 | cpu::pte::kReferenced});
  from.set(16000, {.v = 0x777780 | cpu::pte::kValid, .r = 0x9000});
  to.set(5, {.v = 1, .r = 1});
  Buffer buffer;
  FrameWriter writer(buffer);
  PageSender sender(writer, from);
  for (u64 frame = 0; frame < from.bytes() / kFrameSize; ++frame) sender.add(frame);
  sender.flush();
  FrameReader reader(buffer);
  PageReceiver receiver(to);
  while (!receiver.complete()) receiver.apply(reader.read().payload);
  for (u64 ptex = 0; ptex < from.entries(); ++ptex) {
    EXPECT_EQ(from.get(ptex).v, to.get(ptex).v);
    EXPECT_EQ(from.get(ptex).r, to.get(ptex).r);
  }
}

TEST(PageEngine, ZeroTestSeesTheLastByte) {
  std::vector<u8> page(kFrameSize);
  EXPECT_TRUE(cpu::is_zero_frame(page.data()));
  for (const std::size_t at : {std::size_t{0}, std::size_t{255}, std::size_t{256}, std::size_t{4095}}) {
    page[at] = 1;
    EXPECT_FALSE(cpu::is_zero_frame(page.data()));
    page[at] = 0;
  }
}

/// Batches behind a valid checksum can still lie: no store outside the partition, no crash.
TEST(PageEngine, WrongBatchesAreRefused) {
  Memory memory(1 << 20);
  const auto batch = [](u32 data, u32 zeros, std::vector<u64> numbers, std::size_t page_bytes) {
    std::vector<u8> out(8 + 8 * numbers.size() + page_bytes, 0xAA);
    std::memcpy(out.data(), &data, 4);
    std::memcpy(out.data() + 4, &zeros, 4);
    if (!numbers.empty()) std::memcpy(out.data() + 8, numbers.data(), 8 * numbers.size());
    return out;
  };
  const std::vector<u8> wrong[] = {
      {},
      {1, 2, 3},
      batch(1, 0, {0}, 0),
      batch(1, 0, {0}, kFrameSize - 1),
      batch(1, 0, {0}, kFrameSize + 1),
      batch(1, 0, {256}, kFrameSize),
      batch(0, 1, {~u64{0}}, 0),
      batch(0, 1, {u64{1} << 52}, 0),
      batch(0xFFFFFFFF, 1, {}, 0),
      batch(0x80000000, 0x80000000, {}, 0),
      batch(kBatchPages + 1, 0, {}, 0),
  };
  PageReceiver receiver(memory);
  for (const auto& payload : wrong) EXPECT_THROW(receiver.apply(payload), StreamError);
  EXPECT_TRUE(std::all_of(memory.host(0), memory.host(0) + memory.size(), [](u8 byte) { return byte == 0; }));
  receiver.apply(batch(1, 1, {255, 3}, kFrameSize));
  EXPECT_EQ(memory.host(255 * kFrameSize)[0], 0xAA);
  EXPECT_EQ(receiver.missing(), 254u);
}

}  // namespace
}  // namespace baton::migration
