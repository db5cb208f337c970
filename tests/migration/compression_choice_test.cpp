// SPDX-License-Identifier: Apache-2.0
#include "migration/compression_choice.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace baton::migration {
namespace {

using std::chrono::nanoseconds;

constexpr u64 kBatch = 256 << 10;

/// A sender, its link and the buffer between them, by the clock that its work makes.
struct Link {
  double link_ns = 1;    ///< Of a byte on the link.
  double copy_ns = 0.3;  ///< Of giving one to it.
  double compress_ns = 2.5;
  double share = 0.3;  ///< Of a page that is left of it.
  double now = 0, free = 0;
  u64 plain = 0, packed = 0;  ///< Bytes of pages that went either way.

  static constexpr double kBuffer = 1 << 20;

  void send(CompressionChoice& choice) {
    const bool wanted = choice.compress_next();
    const double start = now, bytes = kBatch * (wanted ? share : 1);
    if (wanted) now += compress_ns * kBatch;
    const double begin = now;
    now += copy_ns * bytes;
    free = std::max(free, now) + link_ns * bytes;
    now = std::max(now, free - kBuffer * link_ns);  // The rest has room.
    (wanted ? packed : plain) += kBatch;
    choice.note({.tried = wanted,
                 .plain = kBatch,
                 .written = static_cast<u64>(bytes),
                 .compressing = nanoseconds(static_cast<i64>(begin - start)),
                 .sending = nanoseconds(static_cast<i64>(now - begin))});
    now += 0.5 * kBatch;  // Looking for the next pages.
  }
  void send(CompressionChoice& choice, u64 megabytes) {
    plain = packed = 0;
    for (u64 i = 0; i < megabytes * 4; i++) send(choice);
  }
};

constexpr double kGigabit = 8, kTenGigabit = 0.8;  // ns a byte

TEST(CompressionChoice, ASlowLinkGetsItSoonAndKeepsIt) {
  CompressionChoice choice(1);
  Link link{.link_ns = kGigabit};
  link.send(choice, 8);
  EXPECT_TRUE(choice.on());
  link.send(choice, 1000);
  EXPECT_TRUE(choice.on());
  EXPECT_LT(link.plain, link.packed / 10) << "trials are few";
}

TEST(CompressionChoice, AVerySlowLinkNeedsOnlyWhatATenthOfASecondCarries) {
  CompressionChoice choice(1);
  Link link{.link_ns = 1000};
  link.send(choice, 3);
  EXPECT_TRUE(choice.on());
}

TEST(CompressionChoice, AFastLinkDoesNotGetIt) {
  CompressionChoice choice(1);
  Link link{.link_ns = kTenGigabit};
  link.send(choice, 1000);
  EXPECT_FALSE(choice.on());
  EXPECT_EQ(choice.changes(), 0u);
  EXPECT_LT(link.packed, link.plain / 100) << "samples are few";
}

TEST(CompressionChoice, WhatDoesNotBecomeSmallerIsLeftAsItIs) {
  CompressionChoice choice(1);
  Link link{.link_ns = kGigabit, .share = 1};
  link.send(choice, 500);
  EXPECT_FALSE(choice.on());
  EXPECT_EQ(choice.changes(), 0u);
}

TEST(CompressionChoice, FollowsALinkThatChanges) {
  CompressionChoice choice(1);
  Link link{.link_ns = kTenGigabit};
  link.send(choice, 1000);
  ASSERT_FALSE(choice.on());
  link.link_ns = kGigabit;
  link.send(choice, 20);
  EXPECT_TRUE(choice.on());
  link.link_ns = kTenGigabit;
  link.send(choice, 100);
  EXPECT_FALSE(choice.on());
  EXPECT_EQ(choice.changes(), 2u);
}

TEST(CompressionChoice, FollowsPagesThatChange) {
  CompressionChoice choice(1);
  Link link{.link_ns = kGigabit};
  link.send(choice, 100);
  ASSERT_TRUE(choice.on());
  link.share = 1;
  link.send(choice, 100);
  EXPECT_FALSE(choice.on());
  link.share = 0.3;
  link.send(choice, 600);
  EXPECT_TRUE(choice.on());
}

/// Something else had the processor in the middle of a write.
TEST(CompressionChoice, ASingleDelayDecidesNothing) {
  CompressionChoice choice(1);
  Link link{.link_ns = kTenGigabit};
  for (int i = 0; i < 100; i++) {
    link.send(choice, 13);
    choice.note(
        {.tried = false, .plain = kBatch, .written = kBatch, .sending = std::chrono::milliseconds(40)});
  }
  EXPECT_EQ(choice.changes(), 0u);
}

/// What a sample promises is not all: the destination may be what is slow.
TEST(CompressionChoice, IsTurnedOffIfItCostsMoreThanItSaves) {
  CompressionChoice choice(1);
  for (int i = 0; i < 4000; i++) {
    const bool wanted = choice.compress_next();
    choice.note({.tried = wanted,
                 .plain = kBatch,
                 .written = wanted ? kBatch / 4 : kBatch,
                 .compressing = nanoseconds(wanted ? 2 * kBatch : 0),
                 .sending = nanoseconds(8 * kBatch)});  // Of the pages, not of the bytes.
  }
  EXPECT_FALSE(choice.on());
  EXPECT_LE(choice.changes(), 20u) << "and is tried more and more rarely";
}

TEST(CompressionChoice, ManyChannelsHaveManyBuffers) {
  CompressionChoice choice(8);
  Link link{.link_ns = kGigabit};
  link.send(choice, 24);
  EXPECT_TRUE(choice.on());
}

}  // namespace
}  // namespace baton::migration
