// SPDX-License-Identifier: Apache-2.0
// The channels by which the pages of a move go side by side (docs/migration-protocol.md).
#pragma once

#include <atomic>
#include <condition_variable>
#include <exception>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "cpu/memory.h"
#include "cpu/mmu/hash_page_table.h"
#include "migration/page_engine.h"
#include "migration/stream.h"

namespace baton::migration {

/// Sends sets of frames: the caller's thread by the stream, a thread for each other channel by that one, and
/// each takes a few frames whenever it is done with some. Used by one thread at a time.
class PageChannels {
 public:
  /// `lost` is called, by any thread, when a channel fails: it ends the connections of the others, so that
  /// nobody waits. Everything must outlive this.
  PageChannels(const cpu::Memory& memory, const cpu::HashPageTable& table, FrameWriter& stream,
               std::function<void()> lost = {});
  ~PageChannels();
  /// One more channel, before anything is sent.
  void add(FrameWriter& writer);

  /// From now on a frame of memory that went with the same bytes is not sent again.
  void skip_unchanged();
  void skip_written(bool on);                               ///< See PageSender.
  void set_untouched(std::optional<cpu::FrameSet> frames);  ///< See PageSender.

  /// Sends frames of the page table and then of memory, all or, once `cut` is true, those up to one of them:
  /// returns how many were dealt with. `look` is called now and then with how many are left, on the caller's
  /// thread, and may throw. Throws StreamError when a channel fails. Nothing is under way on return.
  u64 send(const std::vector<u64>& table_frames, const std::vector<u64>& frames,
           const std::function<void(u64)>& look, const std::atomic<bool>& cut);
  /// Tells the target that a round ended, so that it stores no page of the next one before all of this.
  void end_round();
  /// No more pages go by any channel but, after this, the stream.
  void drain();

  u64 bytes() const;       ///< Written to all channels so far. From any thread.
  u64 data_pages() const;  ///< Sent by all.
  u64 looked_at() const;   ///< See PageSender. From any thread.

 private:
  struct Lane {
    Lane(FrameWriter& frame_writer, const cpu::Memory& of, const cpu::HashPageTable& of_table)
        : writer(frame_writer), memory(frame_writer, of), table(frame_writer, of_table) {}
    FrameWriter& writer;
    PageSender memory, table;
    std::thread thread;  ///< Of all lanes but the first.
  };
  /// What is to be sent, while something is.
  struct Work {
    const std::vector<u64>* table_frames = nullptr;
    const std::vector<u64>* frames = nullptr;
    const std::atomic<bool>* cut = nullptr;
    u64 size() const { return table_frames->size() + frames->size(); }
  };
  void attend(Lane& lane);
  void take_part(Lane& lane, const std::function<void(u64)>& look);
  void send_share(Lane& lane, const std::function<void(u64)>& look);

  const cpu::Memory& memory_;
  const cpu::HashPageTable& table_;
  const std::function<void()> lost_;
  std::list<Lane> lanes_;  ///< The stream's first.
  std::optional<SentPages> sent_;
  std::optional<cpu::FrameSet> untouched_;

  std::atomic<u64> next_{0};          ///< Of the work: all before it are dealt with, or in somebody's hands.
  std::atomic<bool> stopped_{false};  ///< The work is off.
  std::mutex lock_;                   ///< Over the rest, which is written while no other lane works.
  std::condition_variable changed_;
  Work work_;
  u64 works_ = 0;    ///< That were begun.
  u32 working_ = 0;  ///< Lanes with a thread that are not done with it.
  bool ending_ = false;
  std::exception_ptr failure_;
};

}  // namespace baton::migration
