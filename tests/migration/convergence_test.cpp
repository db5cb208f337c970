// SPDX-License-Identifier: Apache-2.0
#include "migration/convergence.h"

#include <gtest/gtest.h>

namespace baton::migration {
namespace {

TEST(Convergence, NothingKnownSpeaksForARound) { EXPECT_TRUE(Convergence().round_helps(1000)); }

TEST(Convergence, WhoWritesFasterThanIsSentIsFoundInOneRound) {
  Convergence c;
  c.begin_round();
  EXPECT_FALSE(c.wants_look(9.9));
  EXPECT_TRUE(c.wants_look(10));
  c.look(10, 3000);  // 300 a millisecond, of 32768 in all
  EXPECT_FALSE(c.wants_look(20));
  c.end_round(200, 40000);  // 200 a millisecond
  EXPECT_FALSE(c.round_helps(32768));
  EXPECT_EQ(c.left_after(32768), 32768) << "no more than there are";
}

TEST(Convergence, ASlowWriterGetsARound) {
  Convergence c;
  c.begin_round();
  c.look(10, 250);  // 25 a millisecond
  c.end_round(200, 40000);
  EXPECT_TRUE(c.round_helps(5000));
  EXPECT_DOUBLE_EQ(c.left_after(5000), 625);
}

TEST(Convergence, AShortRoundSaysNothingOfTheLink) {
  Convergence c;
  c.begin_round();
  c.look(10, 1000);
  c.end_round(100, 20000);
  c.begin_round();
  c.end_round(100, 3);  // A pause, not a slow link.
  EXPECT_TRUE(c.round_helps(10000));
}

}  // namespace
}  // namespace baton::migration
