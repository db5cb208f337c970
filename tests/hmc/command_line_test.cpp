// SPDX-License-Identifier: Apache-2.0
#include "hmc/command_line.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace baton::hmc {
namespace {

using Words = std::vector<std::string>;

TEST(CommandLine, SplitsAsAShell) {
  EXPECT_EQ(split_words("  a  b\t c "), (Words{"a", "b", "c"}));
  EXPECT_EQ(split_words(R"(-c "lsmap -all" 'x "y"' a\ b "q\"r" "")"),
            (Words{"-c", "lsmap -all", "x \"y\"", "a b", "q\"r", ""}));
  EXPECT_TRUE(split_words(" ").empty());
  EXPECT_THROW(split_words("a 'b"), std::runtime_error);
}

constexpr OptionSpec kSpecs[] = {{"-r", true, true}, {"--filter", true}, {"--header", false}};

TEST(CommandLine, TakesOptions) {
  const Arguments arguments("x", Words{"-r", "lpar", "--filter=a=b", "--header"}, kSpecs);
  EXPECT_EQ(arguments.get("-r"), "lpar");
  EXPECT_EQ(arguments.get("--filter"), "a=b");
  EXPECT_TRUE(arguments.has("--header"));
  EXPECT_EQ(arguments.get("-q", "none"), "none");
}

TEST(CommandLine, NamesWhatIsWrong) {
  for (const Words& words :
       {Words{"-r", "a", "-z"}, Words{"-r"}, Words{"--header"}, Words{"-r", "a", "-r", "b"},
        Words{"-r", "a", "b"}, Words{"-r", "a", "--header=1"}}) {
    EXPECT_THROW(Arguments("x", words, kSpecs), std::runtime_error);
  }
}

}  // namespace
}  // namespace baton::hmc
