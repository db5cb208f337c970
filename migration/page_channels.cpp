// SPDX-License-Identifier: Apache-2.0
#include "migration/page_channels.h"

#include <algorithm>
#include <utility>

namespace baton::migration {
namespace {

/// Frames that a lane takes at a time: few, since all that were taken go even if the rest does not; side by
/// side, because the target stores such ones for less.
constexpr u64 kShare = 32;
constexpr u64 kLookInterval = 1024;  ///< Frames.

}  // namespace

PageChannels::PageChannels(const cpu::Memory& memory, const cpu::HashPageTable& table, FrameWriter& stream,
                           std::function<void()> lost)
    : memory_(memory), table_(table), lost_(std::move(lost)) {
  lanes_.emplace_back(stream, memory_, table_);
}

PageChannels::~PageChannels() {
  {
    const std::lock_guard hold(lock_);
    ending_ = true;
    changed_.notify_all();
  }
  for (Lane& lane : lanes_)
    if (lane.thread.joinable()) lane.thread.join();
}

void PageChannels::add(FrameWriter& writer) {
  Lane& lane = lanes_.emplace_back(writer, memory_, table_);
  lane.thread = std::thread([this, &lane] { attend(lane); });
}

void PageChannels::skip_unchanged() {
  sent_.emplace(memory_.frames());
  for (Lane& lane : lanes_) lane.memory.skip_unchanged(*sent_);
}

void PageChannels::skip_written(bool on) {
  for (Lane& lane : lanes_) lane.memory.skip_written(on);
}

void PageChannels::set_untouched(std::optional<cpu::FrameSet> frames) {
  untouched_ = std::move(frames);
  for (Lane& lane : lanes_) lane.memory.set_untouched(untouched_ ? &*untouched_ : nullptr);
}

u64 PageChannels::send(const std::vector<u64>& table_frames, const std::vector<u64>& frames,
                       const std::function<void(u64)>& look, const std::atomic<bool>& cut) {
  {
    const std::lock_guard hold(lock_);
    work_ = {&table_frames, &frames, &cut};
    next_ = 0;
    stopped_ = false;
    working_ = static_cast<u32>(lanes_.size() - 1);
    ++works_;
    changed_.notify_all();
  }
  take_part(lanes_.front(), look);
  std::unique_lock hold(lock_);
  changed_.wait(hold, [this] { return working_ == 0; });
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
  return std::min<u64>(next_, work_.size());
}

void PageChannels::attend(Lane& lane) {
  std::unique_lock hold(lock_);
  for (u64 done = 0;;) {
    changed_.wait(hold, [&] { return ending_ || works_ != done; });
    if (ending_) return;
    done = works_;
    hold.unlock();
    take_part(lane, {});
    hold.lock();
    --working_;
    changed_.notify_all();
  }
}

void PageChannels::take_part(Lane& lane, const std::function<void(u64)>& look) {
  const auto fail = [this] {
    const std::lock_guard hold(lock_);
    if (!failure_) failure_ = std::current_exception();
    stopped_ = true;
  };
  try {
    send_share(lane, look);
  } catch (const StreamError&) {
    fail();
    if (lost_) lost_();
  } catch (...) {
    fail();  // It was called off; what the others have in hand they can send.
  }
}

void PageChannels::send_share(Lane& lane, const std::function<void(u64)>& look) {
  const std::vector<u64>&table_frames = *work_.table_frames, &frames = *work_.frames;
  const u64 all = work_.size();
  u64 looked = 0;
  while (!stopped_.load(std::memory_order_relaxed) && !work_.cut->load(std::memory_order_relaxed)) {
    const u64 from = next_.fetch_add(kShare), to = std::min(from + kShare, all);
    if (from >= all) break;
    for (u64 i = from; i < to; i++) {
      if (i < table_frames.size())
        lane.table.add(table_frames[i]);
      else
        lane.memory.add(frames[i - table_frames.size()]);
    }
    if (!look || to / kLookInterval == looked) continue;
    looked = to / kLookInterval;
    look(all - to);
  }
  lane.table.flush();
  lane.memory.flush();
}

void PageChannels::end_round() {
  for (Lane& lane : lanes_) lane.writer.send(FrameType::kRound);
}

void PageChannels::drain() {
  if (lanes_.size() == 1) return;
  for (Lane& lane : lanes_) lane.writer.send(FrameType::kDrained);
}

u64 PageChannels::bytes() const {
  u64 sum = 0;
  for (const Lane& lane : lanes_) sum += lane.writer.bytes();
  return sum;
}

u64 PageChannels::data_pages() const {
  u64 sum = 0;
  for (const Lane& lane : lanes_) sum += lane.memory.data_pages();
  return sum;
}

u64 PageChannels::looked_at() const {
  u64 sum = 0;
  for (const Lane& lane : lanes_) sum += lane.memory.looked_at();
  return sum;
}

}  // namespace baton::migration
