// SPDX-License-Identifier: Apache-2.0
// Orders of states as a guest sees them, which looks now and then, by what Linux's move does with them.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "quiet_operation.h"
#include "support.h"

namespace baton::hypervisor::test {
namespace {

constexpr u64 kStream = 0x00C0FFEE00C0FFEE;
constexpr u64 kState = 0x2A4, kSignal = 0x2A0;

/// What the platform does between two looks of the guest.
enum class Step { kNothing, kSuspending, kSuspended, kResumed, kCompleted, kAborted, kForget, kMoved };
/// How a write to /sys/kernel/mobility/migration ends.
enum class End {
  kDone,          ///< Moved, and the memory is there.
  kNeverStarted,  ///< Not asked to suspend itself: an error.
  kCancelled,     ///< It suspended itself in vain, called the move off and saw the end of it.
  kOdd,           ///< Moved, but the rest of the move looked wrong: a message in the log.
};

class OrdersTest : public PartitionFixture {
 protected:
  class Cancellable final : public QuietOperation {
   public:
    void signalled(VasiSignal signal, u32 why) override {
      if (signal == VasiSignal::kCancel) reason = why;
    }
    std::optional<u32> reason;
  };

  OrdersTest() { expect(VasiRole::kSourceMover); }
  ~OrdersTest() override { forget(); }
  void expect(VasiRole role) {
    system.vasi().expect(kStream, role, operation_);
    partition->set_stream(kStream);
  }
  void forget() {
    partition->set_stream(0);
    system.vasi().forget(kStream);
  }
  void act(Step step) {
    constexpr std::pair<Step, VasiState> kStates[] = {{Step::kSuspending, VasiState::kSuspending},
                                                      {Step::kSuspended, VasiState::kSuspended},
                                                      {Step::kResumed, VasiState::kResumed},
                                                      {Step::kCompleted, VasiState::kCompleted},
                                                      {Step::kAborted, VasiState::kAborted}};
    if (step == Step::kForget) return forget();
    if (step == Step::kMoved) {  // From here on it asks the destination's platform.
      forget();
      expect(VasiRole::kTargetMover);
      step = Step::kResumed;
    }
    for (const auto& [what, state] : kStates)
      if (what == step) EXPECT_TRUE(system.vasi().enter(kStream, state)) << to_string(state);
  }
  /// One look, after the next step. Nothing: H_Parameter.
  std::optional<VasiState> look() {
    act(next_ < steps_.size() ? steps_[next_++] : Step::kNothing);
    if (hcall(kState, {kStream}) != h::Success) return std::nullopt;
    return static_cast<VasiState>(out(0));
  }
  bool over() const { return next_ >= steps_.size(); }

  /// The guest: waits for Suspending, suspends itself (whether that works is the script's), and waits for
  /// the end.
  End move(std::vector<Step> before, bool suspends, std::vector<Step> after) {
    steps_ = std::move(before);
    next_ = 0;
    for (;;) {
      const auto state = look();
      if (state == VasiState::kSuspending) break;
      if (state != VasiState::kEnabled) return End::kNeverStarted;
      if (over()) return ADD_FAILURE() << "waits for ever", End::kOdd;
    }
    EXPECT_TRUE(over()) << "steps before the suspension are left";
    steps_ = std::move(after);
    next_ = 0;
    if (!suspends) {
      const i64 status = hcall(kSignal, {kStream, 1, 0x06000010});
      EXPECT_TRUE(status == h::Success || status == h::Noop) << status;
      for (;;) {
        const auto state = look();
        if (!state || state == VasiState::kAborted) return End::kCancelled;
        if (over()) return ADD_FAILURE() << "waits for ever", End::kOdd;
      }
    }
    for (;;) {
      const auto state = look();
      if (!state || state == VasiState::kCompleted) return End::kDone;
      if (state != VasiState::kResumed) return End::kOdd;
      if (over()) return ADD_FAILURE() << "waits for ever", End::kOdd;
    }
  }

  Cancellable operation_;
  std::vector<Step> steps_;
  std::size_t next_ = 0;
};

struct Order {
  const char* name;
  std::vector<Step> before;
  bool suspends;
  std::vector<Step> after;
  End end;
};

class Orders : public OrdersTest, public testing::WithParamInterface<Order> {};

TEST_P(Orders, EndAsInLinux) {
  const Order& order = GetParam();
  EXPECT_EQ(move(order.before, order.suspends, order.after), order.end);
  EXPECT_EQ(operation_.reason.has_value(), !order.suspends && order.end == End::kCancelled);
}

using enum Step;
INSTANTIATE_TEST_SUITE_P(
    Vasi, Orders,
    testing::Values(
        Order{"Plain", {kNothing, kSuspending}, true, {kMoved, kNothing, kCompleted}, End::kDone},
        Order{"SuspendingAtTheFirstLook", {kSuspending}, true, {kMoved, kCompleted}, End::kDone},
        Order{"LongEnabled",
              {kNothing, kNothing, kNothing, kNothing, kSuspending},
              true,
              {kMoved, kCompleted},
              End::kDone},
        Order{"ForgottenWhileResumed", {kSuspending}, true, {kMoved, kForget}, End::kDone},
        Order{"AbortedBeforeItBegins", {kAborted}, true, {}, End::kNeverStarted},
        Order{"AbortedWhileEnabled", {kNothing, kAborted}, true, {}, End::kNeverStarted},
        Order{"UnknownFromTheStart", {kForget}, true, {}, End::kNeverStarted},
        Order{"ForgottenWhileEnabled", {kNothing, kForget}, true, {}, End::kNeverStarted},
        Order{"MovedAsASingleUnit", {kCompleted}, true, {}, End::kNeverStarted},
        Order{"FailsAndIsAborted", {kSuspending}, false, {kNothing, kAborted}, End::kCancelled},
        Order{"FailsAndIsAbortedAtOnce", {kNothing, kSuspending}, false, {kAborted}, End::kCancelled},
        Order{"FailsAndIsForgotten", {kSuspending}, false, {kNothing, kForget}, End::kCancelled}),
    [](const auto& param) { return std::string(param.param.name); });

/// No other order can come, since everything else is no transition.
TEST_F(OrdersTest, WhatLinuxRefusesCannotCome) {
  constexpr VasiState kAll[] = {VasiState::kInvalid,    VasiState::kEnabled,   VasiState::kAborted,
                                VasiState::kSuspending, VasiState::kSuspended, VasiState::kResumed,
                                VasiState::kCompleted};
  using enum VasiState;
  const std::vector<std::pair<VasiState, std::vector<VasiState>>> source = {
      {kEnabled, {kAborted, kSuspending, kCompleted}},
      {kSuspending, {kAborted, kSuspended}},
      {kSuspended, {kAborted, kResumed}},
      {kResumed, {kCompleted}},
      {kAborted, {}},
      {kCompleted, {}},
      {kInvalid, {}}};
  const std::vector<std::pair<VasiState, std::vector<VasiState>>> target = {
      {kEnabled, {kAborted, kResumed, kCompleted}},
      {kResumed, {kCompleted}},
      {kSuspending, {}},
      {kSuspended, {}},
      {kAborted, {}},
      {kCompleted, {}},
      {kInvalid, {}}};
  for (const auto& [role, rows] :
       {std::pair{VasiRole::kSourceMover, source}, {VasiRole::kTargetMover, target}})
    for (const auto& [from, next] : rows)
      for (const VasiState to : kAll)
        EXPECT_EQ(vasi_may_follow(role, from, to), std::ranges::find(next, to) != next.end())
            << static_cast<int>(role) << ' ' << to_string(from) << " -> " << to_string(to);
}

/// H_VASI_SIGNAL in each state: accepted until the partition is suspended.
TEST_F(OrdersTest, CancelByState) {
  const auto cancel = [&] { return hcall(kSignal, {kStream, 1, 0x06000005}); };
  EXPECT_EQ(cancel(), h::Success);
  act(kSuspending);
  EXPECT_EQ(cancel(), h::Success);
  EXPECT_EQ(*operation_.reason, 0x06000005u);
  act(kSuspended);
  EXPECT_EQ(cancel(), h::Noop);
  act(kResumed);
  EXPECT_EQ(cancel(), h::Noop);
  act(kCompleted);
  EXPECT_EQ(cancel(), h::Noop);
  act(kForget);
  EXPECT_EQ(cancel(), h::Parameter);
}

/// A suspension that comes while the move is called off is refused, or ends in the state Aborted.
TEST_F(OrdersTest, SuspensionAgainstAbort) {
  act(kSuspending);
  act(kAborted);
  EXPECT_FALSE(system.vasi().enter(kStream, VasiState::kSuspended));
  act(kForget);
  EXPECT_TRUE(system.vasi().suspended(kStream)) << "an unknown stream moves nobody";
}

}  // namespace
}  // namespace baton::hypervisor::test
