// SPDX-License-Identifier: Apache-2.0
#include "migration/post_copy.h"

#include <bit>
#include <cstring>

#include "migration/page_engine.h"

namespace baton::migration {
namespace {

constexpr u64 kAhead = 15;           ///< Frames that go along with one that is wanted.
constexpr u64 kPushedTogether = 32;  ///< Frames in a write: as long may one that is wanted have to wait.
constexpr u64 kNoteInterval = 512;   ///< Frames.

}  // namespace

std::vector<u8> encode_frames(const cpu::FrameSet& frames) {
  std::vector<u8> payload(frames.words() * 8);
  for (u64 i = 0; i < frames.words(); i++) {
    const u64 word = frames.word(i);
    std::memcpy(payload.data() + i * 8, &word, 8);
  }
  return payload;
}

void decode_frames(std::span<const u8> payload, cpu::FrameSet& frames) {
  if (payload.size() != frames.words() * 8)
    throw StreamError("The migration stream is damaged: a set of pages has the wrong length.");
  for (u64 i = 0; i < frames.words(); i++) {
    u64 word;
    std::memcpy(&word, payload.data() + i * 8, 8);
    const u64 here = frames.frames() - i * 64;
    if (here < 64 && word >> here)
      throw StreamError("The migration stream is damaged: a page lies outside the partition.");
    frames.set_word(i, word);
  }
}

bool PageServer::next(u64& frame) {
  const u64 start = cursor_.load(std::memory_order_relaxed), words = left_.words();
  for (u64 i = 0; i <= words; i++) {
    const u64 index = (start / 64 + i) % words;
    u64 word = left_.word(index);
    if (i == 0) word &= ~u64{0} << (start % 64);
    while (word) {
      frame = index * 64 + static_cast<u64>(std::countr_zero(word));
      if (left_.take(frame)) {
        // Unless something was wanted elsewhere meanwhile.
        u64 expected = start;
        cursor_.compare_exchange_strong(expected, frame + 1 == left_.frames() ? 0 : frame + 1);
        return true;
      }
      word &= word - 1;
    }
  }
  return false;
}

void PageServer::push(FrameWriter& writer, const std::function<void(u64)>& note) {
  PageSender sender(writer, memory_);
  u64 sent = 0;
  for (u64 frame; next(frame);) {
    sender.add(frame);
    if (++sent % kPushedTogether == 0) sender.flush();
    if (sent % kNoteInterval == 0) note(left_.count());
  }
  sender.flush();
  note(0);
}

void PageServer::answer(Socket& demand, Pace& pace) try {
  FrameReader reader(demand);
  FrameWriter writer(demand, &pace);
  PageSender sender(writer, memory_);
  while (true) {
    const Frame frame = reader.read();
    if (frame.type != FrameType::kWant || frame.payload.empty() || frame.payload.size() % 8)
      throw StreamError("The destination asked for pages in an unknown way.");
    u64 wanted[kMostWanted];
    const std::size_t count = frame.payload.size() / 8;
    std::memcpy(wanted, frame.payload.data(), frame.payload.size());
    for (std::size_t i = 0; i < count; i++) {
      if (wanted[i] >= left_.frames())
        throw StreamError("The destination asked for a page outside the partition.");
      // Sent even if it is on its way in the stream: there it stands behind others.
      left_.take(wanted[i]);
      sender.add(wanted[i]);
      for (u64 ahead = wanted[i] + 1; ahead <= wanted[i] + kAhead && ahead < left_.frames(); ahead++)
        if (left_.take(ahead)) sender.add(ahead);
      cursor_.store(std::min(wanted[i] + 1, left_.frames() - 1), std::memory_order_relaxed);
    }
    sender.flush();
  }
} catch (const StreamError&) {
  // Whoever has the stream sees to it.
  demand.shut_down();
}

void PageClient::want(u64 frame) {
  const std::lock_guard hold(lock_);
  if (!writer_) return;  // It comes with the others.
  try {
    writer_->send(FrameType::kWant, {reinterpret_cast<const u8*>(&frame), sizeof frame});
  } catch (const StreamError&) {
    socket_->shut_down();
  }
}

void PageClient::serve(Socket& demand, const std::function<void()>& arrived) {
  FrameWriter writer(demand);
  {
    const std::lock_guard hold(lock_);
    if (socket_) socket_->shut_down();  // Its end has not been noticed yet.
    socket_ = &demand;
    writer_ = &writer;
  }
  for (const u64 frame : memory_.awaited()) want(frame);
  try {
    FrameReader reader(demand);
    PageReceiver receiver(memory_);
    receiver.running();
    while (true) {
      const Frame frame = reader.read();
      if (frame.type != FrameType::kMemory)
        throw StreamError("The migration stream is damaged: a frame is out of turn.");
      receiver.apply(frame.payload);
      arrived();
    }
  } catch (const StreamError&) {
    // The stream ends with it, or the move is over.
  }
  const std::lock_guard hold(lock_);
  if (socket_ != &demand) return;
  socket_ = nullptr;
  writer_ = nullptr;
}

void PageClient::shut_down() {
  const std::lock_guard hold(lock_);
  if (socket_) socket_->shut_down();
}

}  // namespace baton::migration
