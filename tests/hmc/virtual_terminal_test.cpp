// SPDX-License-Identifier: Apache-2.0
#include "hmc/virtual_terminal.h"

#include <gtest/gtest.h>

namespace baton::hmc {
namespace {

TEST(EscapeFilter, TildeDotAtLineStartCloses) {
  bool close = false;
  EscapeFilter filter;
  EXPECT_EQ(filter.feed("ls ~.\r", close), "ls ~.\r");
  EXPECT_FALSE(close);
  EXPECT_EQ(filter.feed("~", close), "");
  EXPECT_EQ(filter.feed(".", close), "");
  EXPECT_TRUE(close);
}

TEST(EscapeFilter, OtherTildesGoThrough) {
  bool close = false;
  EscapeFilter filter;
  EXPECT_EQ(filter.feed("~~.", close), "~.");
  EXPECT_EQ(filter.feed("\r~x", close), "\r~x");
  EXPECT_FALSE(close);
}

TEST(Unseen, OnlyTheNewPartOfAHistoryIsShown) {
  EXPECT_EQ(unseen("boot text login: uname\r\nLinux", "text login: uname"), "\r\nLinux");
  EXPECT_EQ(unseen("all new", ""), "all new");
  EXPECT_EQ(unseen("all new", "ZZZZ"), "all new");
  EXPECT_EQ(unseen("same", "same"), "");
}

}  // namespace
}  // namespace baton::hmc
