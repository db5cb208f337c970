// SPDX-License-Identifier: Apache-2.0
#include "migration/pre_copy.h"

#include <algorithm>
#include <numeric>

namespace baton::migration {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr double kSmallEnoughMs = 20;  ///< A residue that is sent in this time is worth a suspension.
constexpr u32 kMostRounds = 20;  ///< A partition that writes faster than we send is suspended all the same.
constexpr u32 kFewestRounds =
    2;  ///< Before rounds that do not become shorter are believed, if speeds say else.
constexpr double kSuspendsItselfMs = 70;  ///< Few partitions' hooks and kernel take less.
constexpr unsigned kThrottleStep = 20;    ///< Percent.
constexpr u64 kMeasurable = 4 << 20;      ///< Bytes in a round that say how fast it goes.

}  // namespace

u64 send_pages(PageChannels& channels, const std::vector<u64>& table_frames, const std::vector<u64>& frames,
               MoveRecord& record, const std::function<void()>& check, const std::atomic<bool>& cut) {
  const u64 all = frames.size() + table_frames.size();
  const auto note = [&](u64 left) {
    record.change([&](Progress& p) {
      p.bytes_transmitted = channels.bytes();
      p.dirty_pages = left;
      p.bytes_remaining = left * cpu::kFrameSize;
    });
  };
  const auto look = [&](u64 left) {
    note(left);
    check();
  };
  const u64 went = channels.send(table_frames, frames, look, cut);
  note(all - went);
  return went;
}

PreCopy::PreCopy(hypervisor::Partition& partition, PageChannels& channels, MoveRecord& record,
                 const MoveOptions& options, std::function<void()> check)
    : partition_(partition),
      channels_(channels),
      record_(record),
      options_(options),
      check_(std::move(check)),
      frames_(partition.memory().frames()),
      table_frames_(partition.hpt().bytes() / cpu::kFrameSize),
      throttle_(partition) {
  channels_.skip_unchanged();
  channels_.skip_written(true);
  std::iota(table_frames_.begin(), table_frames_.end(), u64{0});
  partition_.memory().set_tracking(true);
  partition_.memory().dirty().clear_all();
  partition_.hpt().dirty().clear_all();
  partition_.domain().withhold_writes();
  // Not before: a write from now on marks its page again.
  cpu::FrameSet untouched = partition_.memory().untouched();
  touched_ = frames_.size() - untouched.count();
  // First, as numbers alone: those that are left when the partition is suspended in this round have to follow
  // it.
  u64 at = 0;
  for (const bool first : {true, false})
    for (u64 frame = 0; frame < frames_.size(); frame++)
      if (untouched.test(frame) == first) frames_[at++] = frame;
  channels_.set_untouched(std::move(untouched));
}

bool PreCopy::nearly_over() const {
  const u64 done = channels_.looked_at(), left = touched_ - std::min(touched_, done);
  if (round_ > 1 || !may_follow() || done < Convergence::kFewestSent) return false;
  const double took = milliseconds_since(first_start_);
  return took * static_cast<double>(left) < kSuspendsItselfMs * static_cast<double>(done);
}

/// If it may not run without its pages, and rounds do not become shorter.
void PreCopy::slow_down() {
  if (may_follow() || round_ < kFewestRounds || small()) return;
  if (static_cast<double>(due()) <= Convergence::kShorter * static_cast<double>(last_pages_)) return;
  const unsigned percent = std::min(throttle_.percent() + kThrottleStep, options_.throttle);
  throttle_.take(percent);
  record_.change([&](Progress& p) { p.throttle = percent; });
}

bool PreCopy::small() const { return static_cast<double>(due() * cpu::kFrameSize) < rate_ * kSmallEnoughMs; }

bool PreCopy::enough() const {
  if (rate_ == 0) return false;
  const bool shorter = static_cast<double>(due()) <= Convergence::kShorter * static_cast<double>(last_pages_);
  return small() || round_ > kMostRounds ||
         (may_follow() && ((round_ > kFewestRounds && !shorter) || !convergence_.round_helps(due()))) ||
         options_.post_copy == MoveOptions::PostCopy::kAlways;
}

void PreCopy::put_back(bool for_good) {
  if (resting_) return;
  mark(0);
  resting_ = for_good;
}

void PreCopy::mark(u64 from) {
  for (u64 i = from; i < table_frames_.size(); i++) partition_.hpt().dirty().set(table_frames_[i]);
  for (u64 i = std::max<u64>(from, table_frames_.size()); i < due(); i++)
    partition_.memory().dirty().set(frames_[i - table_frames_.size()]);
}

void PreCopy::round() {
  const auto start = Clock::now();
  const u64 pages = due(), bytes_before = channels_.bytes(), data_before = channels_.data_pages();
  if (round_ == 1) first_start_ = start;
  record_.change([&](Progress& p) {
    p.round = round_;
    p.dirty_pages = pages;
  });
  last_pages_ = pages;
  convergence_.begin_round();
  const auto look = [&] {
    if (const double ms = milliseconds_since(start); convergence_.wants_look(ms))
      convergence_.look(ms, partition_.memory().dirty().count());
  };
  if (!resting_) {
    const auto looks = [&] {
      look();
      check_();
    };
    static const std::atomic<bool> kWhole{false};
    const u64 went =
        send_pages(channels_, table_frames_, frames_, record_, looks, may_follow() ? cut_ : kWhole);
    look();
    if (went < pages) mark(went);
  }
  if ((pages && !resting_) || Clock::now() - alive_ > 1s) {
    channels_.end_round();
    alive_ = Clock::now();
  }
  const double took = std::max(milliseconds_since(start), 0.001);
  const u64 sent = channels_.bytes() - bytes_before;
  convergence_.end_round(took, sent / cpu::kFrameSize);
  if (pages && !resting_) record_.note_round(took, pages, sent);
  if (round_ > 1 && sent <= kMeasurable) return;
  // Pages of zeros and unchanged ones cost less than others: they count only if there is nothing else.
  const u64 data = channels_.data_pages() - data_before;
  rate_ = static_cast<double>((sent > kMeasurable ? data : pages) * cpu::kFrameSize) / took;
  record_.change([&](Progress& p) { p.bytes_per_second = static_cast<double>(sent) / took * 1000; });
}

void PreCopy::next() {
  if (resting_) return;  // The marks stay.
  channels_.set_untouched({});
  frames_.clear();
  table_frames_.clear();
  partition_.memory().dirty().harvest(frames_);
  partition_.hpt().dirty().harvest(table_frames_);
  partition_.domain().withhold_writes();
  ++round_;
  slow_down();
}

}  // namespace baton::migration
