// SPDX-License-Identifier: Apache-2.0
#include "app/demo/report.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include "app/demo/demo.h"
#include "app/demo/screen.h"
#include "app/demo/status_client.h"

namespace baton::demo {
namespace {

using testing::HasSubstr;

Report good() {
  Report r;
  r.boot_seconds = 4.25;
  r.boot_instructions = 237000000;
  r.moves.push_back({.from = "POWER6-A",
                     .to = "POWER6-B",
                     .total_ms = 3210,
                     .suspended_ms = 41.5,
                     .guest_gap_ms = 52,
                     .tcp_gap_ms = 61,
                     .bytes = 600 << 20,
                     .rounds = 4,
                     .states = {"Enabled", "Suspending", "Suspended", "Resumed", "Completed"},
                     .interrupts = {{0, true, true, true, true}, {1, true, true, true, true}}});
  r.disk_acknowledged = r.disk_verified = 1234567;
  r.tcp_records = 9000;
  r.compute_steps = 31000000;
  r.compute_right = r.file_system_clean = true;
  return r;
}

TEST(Report, JsonHasEveryKey) {
  Json json;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(to_json(good()), &json).ok());
  EXPECT_TRUE(flag(json, "ok"));
  EXPECT_EQ(number(json.fields().at("boot").struct_value(), "instructions"), 237000000);
  const Json move = json.fields().at("moves").list_value().values(0).struct_value();
  EXPECT_EQ(text(move, "from"), "POWER6-A");
  EXPECT_EQ(number(move, "suspended_ms"), 41.5);
  EXPECT_EQ(move.fields().at("states").list_value().values_size(), 5);
  EXPECT_EQ(number(json.fields().at("disk").struct_value(), "verified"), 1234567);
  EXPECT_EQ(number(json.fields().at("tcp").struct_value(), "errors"), 0);
  EXPECT_EQ(number(json.fields().at("clock").struct_value(), "backward_steps"), 0);
}

TEST(Report, ProblemsMakeItWrong) {
  Report r = good();
  r.problems.emplace_back("A \"quoted\" line\nand another.");
  Json json;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(to_json(r), &json).ok());
  EXPECT_FALSE(flag(json, "ok"));
  EXPECT_EQ(json.fields().at("problems").list_value().values(0).string_value(), r.problems[0]);
  EXPECT_THAT(to_table(r), HasSubstr("WRONG: A \"quoted\" line"));
}

TEST(Report, TableNamesMissingInterrupts) {
  Report r = good();
  EXPECT_THAT(to_table(r), HasSubstr("all, on 2 processors"));
  EXPECT_THAT(to_table(r), HasSubstr("1,234,567 records acknowledged"));
  r.moves[0].interrupts[1].disk = false;
  EXPECT_THAT(to_table(r), HasSubstr("missing cpu1: disk"));
}

TEST(Pulse, ShowsBeatsAndTheirAbsence) {
  using namespace std::chrono_literals;
  Pulse pulse;
  const auto start = std::chrono::steady_clock::now();
  u64 count = 0;
  for (int i = 0; i < 20; ++i) pulse.sample(start + i * 50ms, count += i < 12 ? 50 : 0);
  EXPECT_THAT(pulse.picture(10), HasSubstr("█"));
  EXPECT_TRUE(pulse.picture(10).ends_with("     "));
  EXPECT_EQ(pulse.rate(), 11u * 50 * 1000 / 950);
}

TEST(Options, WrongOnesAreExplained) {
  EXPECT_EQ(parse_demo_options("/run", {"--moves", "5", "--plain"}).moves, 5u);
  EXPECT_THROW(parse_demo_options("", {"--moves"}), std::runtime_error);
  EXPECT_THROW(parse_demo_options("", {"--moves", "x"}), std::runtime_error);
  EXPECT_THROW(parse_demo_options("", {"--fast"}), std::runtime_error);
}

}  // namespace
}  // namespace baton::demo
