// SPDX-License-Identifier: Apache-2.0
#include "migration/target_move.h"

#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <unistd.h>

#include <utility>

#include "cpu/engine/llvm/compiler.h"
#include "hypervisor/virtual_processor.h"
#include "migration/messages.h"
#include "migration/page_engine.h"
#include "migration/snapshot.h"

namespace baton::migration {
namespace {

using hypervisor::VasiRole;
using hypervisor::VasiState;
using hypervisor::VasiStatus;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kStreamTimeout = 30s;
constexpr auto kShellTimeout = 60s;  ///< For the source's mover to come.
constexpr auto kAnnounceTime = 3s;   ///< Announcements after the resumption, one a second (LPM 1.9).
constexpr int kNice = 10;            ///< Of a thread that has nothing more to do that anybody waits for.
constexpr auto kColdTime = 200ms;    ///< Before what is hot there is looked for.
/// As long it is not looked for while pages arrive, which takes what a processor can do.
constexpr auto kLongestColdTime = 3s;
constexpr auto kSettleTime = 1s;        ///< Before its memory is gathered in large pages.
constexpr auto kPause = 2ms;            ///< Before each of those.
constexpr auto kStreamKnownTime = 30s;  ///< The guest may ask for the stream's state this long after the end.

}  // namespace

TargetMove::TargetMove(hypervisor::ManagedSystem& system, vios::VirtualIo& vios,
                       const Description& description, hypervisor::Profile profile, u64 stream_id,
                       Ownership& ownership)
    : system_(system),
      vios_(vios),
      stream_id_(stream_id),
      active_(description.active),
      channels_(description.active ? description.channels : 1),
      ownership_(ownership),
      gate_(channels_) {
  partition_ = system_.create(std::move(profile));
  client_ = std::make_shared<PageClient>(partition_->memory());
  try {
    if (active_) {
      if (partition_->hpt().bytes() != description.hpt_bytes) {
        throw std::runtime_error("The page table of the partition would have another size here.");
      }
      vios_.attach_shell(*partition_);
      memory_.emplace(partition_->memory());
      table_.emplace(partition_->hpt());
      memory_->fresh();
      table_->fresh();
      partition_->memory().set_huge(false);
      for (const auto& processor : partition_->processors()) processor->thread().prepare();
      // What it runs at first is worth no compiling by LLVM, and has the processors for itself.
      if (auto* compiler = partition_->domain().compiler()) compiler->rest();
    }
  } catch (...) {
    vios_.detach(*partition_);
    system_.remove(partition_->id());
    throw;
  }
  record_.change([&](Progress& p) {
    p.stream_id = stream_id_;
    p.partition = partition_->name();
    p.partition_id = partition_->id();
    p.remote_partition_id = description.profile.id;
    p.role = "target";
    p.kind = active_ ? "active" : "inactive";
    p.migration_state = phase::kStarting;
    p.remote_system = description.source_system;
    p.source_mover = description.source_mover;
    p.total_bytes = active_ ? partition_->memory().size() + partition_->hpt().bytes() : 0;
    p.bytes_remaining = p.total_bytes;
  });
  try {
    if (!system_.vasi().expect(stream_id_, VasiRole::kTargetMover, *this))
      throw std::runtime_error("The migration stream has a number that is in use.");
    partition_->set_stream(stream_id_);
    if (!active_) return;  // Movers take part in active moves alone.
    mover_ = vios_.mover(description.wanted_mover);
    if (!mover_) throw std::runtime_error("There is no mover service partition that runs.");
    record_.change([&](Progress& p) { p.target_mover = mover_.load()->config().name; });
    session_ = mover_.load()->mover_service()->open(stream_id_, VasiRole::kTargetMover, {});
  } catch (...) {
    end_stream();
    vios_.detach(*partition_);
    system_.remove(partition_->id());
    throw;
  }
}

TargetMove::~TargetMove() { end_stream(); }

void TargetMove::end_stream() {
  session_.reset();
  if (partition_->stream_id() == stream_id_) partition_->set_stream(0);
  system_.vasi().forget(stream_id_);
}

bool TargetMove::download(std::span<const u8> data) {
  if (state_.size() + data.size() > longest_payload(FrameType::kState)) return false;
  state_.insert(state_.end(), data.begin(), data.end());
  return true;
}

bool TargetMove::take(const Key& key, Channel channel) {
  u8 difference = 0;
  for (std::size_t i = 0; i < key.size(); ++i) difference |= key[i] ^ key_[i];
  const std::lock_guard hold(lock_);
  if (difference || off_ || phase_ == Phase::kUndone) return false;
  if (mover_ && !mover_.load()->running()) {
    // What follows the partition can be received by any mover.
    vios::Vios* other = phase_ == Phase::kOwned ? vios_.mover() : nullptr;
    if (!other) return false;
    mover_ = other;
    record_.change([&](Progress& p) { p.target_mover = other->config().name; });
  }
  if (channel == Channel::kDemand) return true;
  if (channel == Channel::kPages)
    return active_ && (phase_ == Phase::kWaiting || phase_ == Phase::kReceiving) && gate_.enter();
  if (phase_ == Phase::kOwned) return follows_ && !socket_ && !record_.get().finished;
  if (phase_ != Phase::kWaiting) return false;
  phase_ = Phase::kReceiving;
  return true;
}

void TargetMove::serve(std::unique_ptr<Socket> socket) {
  socket->set_timeout(kStreamTimeout);
  bool again;
  {
    const std::lock_guard hold(lock_);
    again = phase_ == Phase::kOwned;
    socket_ = socket.get();
    if (off_ || (mover_ && !mover_.load()->running())) socket->shut_down();
  }
  record_.change([](Progress& p) { p.migration_state = phase::kInProgress; });
  std::string why;
  try {
    receive(*socket, again);
  } catch (const StreamError& problem) {
    // If a channel was lost before, that is why the stream is.
    const std::string lost = gate_.why_closed();
    why = lost.empty() ? problem.what() : lost;
  } catch (const std::exception& problem) {
    why = problem.what();
  }
  client_->shut_down();
  bool owned;
  {
    const std::lock_guard hold(lock_);
    socket_ = nullptr;
    owned = phase_ == Phase::kOwned;
    if (!off_reason_.empty()) why = off_reason_;
  }
  if (!owned) {
    undo(why);
    return;
  }
  if (incomplete()) {
    spdlog::warn("migmover: {} waits for {} pages of {}: {}", partition_->name(),
                 partition_->memory().expected(), record_.get().remote_system, why);
    record_.change([&](Progress& p) {
      p.migration_state = phase::kInDoubt;
      p.error = why;
    });
    return;
  }
  // A connection that was lost after the start changes nothing: no page is missing.
  finish();
}

void TargetMove::finish() {
  {
    const std::lock_guard hold(lock_);
    if (finishing_) return;
    finishing_ = true;
  }
  system_.vasi().enter(stream_id_, VasiState::kCompleted);
  session_.reset();
  const cpu::Memory::Waits waits = partition_->memory().waits();
  const auto milliseconds = [](std::chrono::nanoseconds time) {
    return std::chrono::duration<double, std::milli>(time).count();
  };
  record_.change([&](Progress& p) {
    p.postcopy_faults = waits.count;
    p.postcopy_wait_ms = milliseconds(waits.total);
    p.postcopy_longest_ms = milliseconds(waits.longest);
  });
  record_.finish(true, "");
  spdlog::info("migmover: {} came from {}", partition_->name(), record_.get().remote_system);
  spdlog::info("migmover: {} arrival (ms): {}", partition_->name(), record_.course());
  if (waits.count) {
    spdlog::info(
        "migmover: {} waited {} times for a page: the first {:.3f} ms, all {:.1f} ms, longest {:.3f} ms",
        partition_->name(), waits.count, milliseconds(waits.first), milliseconds(waits.total),
        milliseconds(waits.longest));
  }
}

void TargetMove::settle_memory() {
  cpu::Memory& memory = partition_->memory();
  memory.set_huge(true);
  setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kNice);
  const auto stays = [this] { return partition_->stream_id() == stream_id_ && !leaving_; };
  // The host's kernel copies, and keeps the partition from new pages meanwhile: not while it runs warm, and
  // then with pauses.
  const auto running = [this] {
    const std::lock_guard hold(lock_);
    return Clock::now() - resumed_;
  };
  while (stays() && running() < kSettleTime) std::this_thread::sleep_for(kPause * 10);
  memory.gather([&] {
    std::this_thread::sleep_for(kPause);
    return stays();
  });
}

bool TargetMove::incomplete() {
  const cpu::Memory& memory = partition_->memory();
  const std::lock_guard hold(lock_);
  return phase_ == Phase::kOwned && memory.expected() && !memory.given_up() && !record_.get().finished;
}

bool TargetMove::lose() {
  const bool lacks = incomplete();
  {
    const std::lock_guard hold(lock_);
    if (!lacks || socket_) return false;
    follows_ = false;
  }
  const std::string why = make_finding(Message::kPagesLost, {partition_->name(), record_.get().remote_system,
                                                             std::to_string(partition_->memory().expected())})
                              .text;
  partition_->set_error(why);
  record_.finish(false, why);
  return true;
}

void TargetMove::receive(Socket& socket, bool again) {
  FrameReader reader(socket);
  FrameWriter writer(socket);
  const std::unique_ptr<TargetMove, void (*)(TargetMove*)> untold_at_end(
      this, [](TargetMove* move) { move->tell_when_received(nullptr); });
  bool drained = again, restored = again, ready = again, started = again;
  const auto in_turn = [](bool holds) {
    if (!holds) throw StreamError("The migration stream is damaged: a frame is out of turn.");
  };
  if (again) {
    writer.send(FrameType::kAbsent, encode_frames(partition_->memory().absent()));
    tell_when_received(&writer);
  }
  while (true) {
    const Frame frame = reader.read();
    try {
      switch (frame.type) {
        case FrameType::kMemory:
        case FrameType::kTable:
          in_turn(active_ && (!restored || (started && follows_ && frame.type == FrameType::kMemory)));
          take_pages(frame, started);
          note_received();
          break;
        case FrameType::kRound:
          in_turn(!restored);
          gate_.pass();
          record_.change([](Progress& p) { ++p.round; });
          break;
        case FrameType::kDrained:
          in_turn(active_ && !drained);
          gate_.wait_until_left();
          drained = true;
          break;
        case FrameType::kAbsent: {
          in_turn(active_ && !restored && !follows_);
          cpu::FrameSet absent(partition_->memory().frames());
          decode_frames(frame.payload, absent);
          // Nothing of the partition has been looked at yet.
          partition_->memory().expect(absent, client_);
          memory_->follow(absent);
          follows_ = true;
          record_.change([&](Progress& p) { p.postcopy_pages = absent.count(); });
          break;
        }
        case FrameType::kState:
          in_turn(!restored && state_.empty());
          if (session_ ? session_->download(frame.payload) != VasiStatus::kSuccess
                       : !download(frame.payload)) {
            if (mover_ && !mover_.load()->running())
              throw std::runtime_error(lost_mover(*mover_.load(), system_));
            throw StreamError("The migration stream is damaged: the partition's state is too long.");
          }
          break;
        case FrameType::kPrepare:
          in_turn(!ready && !state_.empty() && (drained || channels_ == 1));
          record_.note_step("all came");
          restore_state(*partition_, state_, active_);
          restored = true;
          record_.note_step("restored");
          if (active_) {
            if (!memory_->complete() || !table_->complete())
              throw StreamError("The migration stream is damaged: pages are missing.");
            memory_->running();
            vios_.resume(*partition_);  // The source gave the disks up before it sent this.
          }
          ready = true;
          record_.note_step("disks taken");
          writer.send(FrameType::kReady);
          break;
        case FrameType::kCommit:
          in_turn(ready && !started);
          record_.note_step("owner");
          start(writer);
          record_.note_step("started");
          started = true;
          if (follows_) tell_when_received(&writer);
          break;
        case FrameType::kCompleted:
          in_turn(started && !incomplete());
          return;
        case FrameType::kAbort:
          throw std::runtime_error(frame.text());
        default:
          in_turn(false);
      }
    } catch (const std::runtime_error& problem) {
      if (frame.type != FrameType::kAbort && !started) {
        try {
          writer.send_text(FrameType::kRefused, problem.what());
        } catch (const StreamError&) {
          // The connection is gone as well.
        }
      }
      throw;
    }
  }
}

/// Pages, by any channel.
void TargetMove::take_pages(const Frame& frame, bool started) {
  (frame.type == FrameType::kMemory ? memory_ : table_)->apply(frame.payload);
  const u64 missing = started ? partition_->memory().expected() : memory_->missing() + table_->missing();
  record_.change([&](Progress& p) {
    p.bytes_transmitted += frame.bytes;
    p.bytes_remaining = missing * cpu::kFrameSize;
  });
}

void TargetMove::serve_pages(Socket& socket) {
  socket.set_timeout(kStreamTimeout);
  {
    const std::lock_guard hold(lock_);
    if (off_ || !gate_.why_closed().empty()) return;
    page_sockets_.push_back(&socket);
  }
  std::string lost;
  try {
    FrameReader reader(socket);
    for (bool drained = false; !drained;) {
      const Frame frame = reader.read();
      switch (frame.type) {
        case FrameType::kMemory:
        case FrameType::kTable:
          take_pages(frame, false);
          break;
        case FrameType::kRound:
          gate_.pass();
          break;
        case FrameType::kDrained:
          gate_.leave();
          drained = true;
          break;
        default:
          throw StreamError("The migration stream is damaged: a frame is out of turn.");
      }
    }
  } catch (const StreamError& problem) {
    lost = problem.what();
    gate_.close(lost);
  }
  const std::lock_guard hold(lock_);
  std::erase(page_sockets_, &socket);
  if (!lost.empty() && socket_) socket_->shut_down();
  changed_.notify_all();
}

/// Nothing of the move is received any more, on return by nobody.
void TargetMove::end_channels(const std::string& why) {
  gate_.close(why);
  std::unique_lock hold(lock_);
  for (Socket* socket : page_sockets_) socket->shut_down();
  changed_.wait(hold, [this] { return page_sockets_.empty(); });
}

/// From now on the writer, unless it is null, is for note_received() alone.
void TargetMove::tell_when_received(FrameWriter* writer) {
  {
    const std::lock_guard hold(lock_);
    untold_ = writer;
  }
  note_received();
}

/// The last page may have come by the stream as well as on the demand channel.
void TargetMove::note_received() {
  const cpu::Memory& memory = partition_->memory();
  const std::lock_guard hold(lock_);
  if (!untold_ || (memory.expected() && !memory.given_up())) return;
  std::exchange(untold_, nullptr)->send(FrameType::kReceived);
}

/// kCommit came: the partition is ours from the line that says so; throws before it only.
void TargetMove::start(FrameWriter& writer) {
  if (active_) {
    partition_->resume_adapters();
  }
  {
    const std::lock_guard hold(lock_);
    if (off_) throw std::runtime_error(off_reason_);
    ownership_.arrived(stream_id_, partition_->profile(), record_.get().remote_system);
    record_.note_step("recorded");
    phase_ = Phase::kOwned;
    resumed_ = announced_ = Clock::now();
  }
  if (active_) {
    system_.vasi().enter(stream_id_, VasiState::kResumed);
    try {
      partition_->start_restored();
    } catch (const std::exception& problem) {
      // Too late to refuse: some of it may have run. It is ours, and broken.
      partition_->set_error(problem.what());
    }
  } else {
    system_.vasi().enter(stream_id_, VasiState::kCompleted);
  }
  try {
    writer.send(FrameType::kResumed);
  } catch (const StreamError&) {
    // The source will ask; call_off() tells it.
  }
  if (active_) vios_.announce(*partition_);
}

void TargetMove::undo(const std::string& why) {
  end_channels(why);
  partition_->memory().give_up();
  system_.vasi().enter(stream_id_, VasiState::kAborted,
                       hypervisor::vasi_reason(hypervisor::VasiEntity::kTargetServer, 0));
  end_stream();
  vios_.detach(*partition_);
  system_.remove(partition_->id());
  record_.finish(false, why);
  spdlog::info("migmover: the shell of {} was removed: {}", partition_->name(), why);
  const std::lock_guard hold(lock_);
  phase_ = Phase::kUndone;
  changed_.notify_all();
}

bool TargetMove::call_off(const std::string& why) {
  std::unique_lock hold(lock_);
  if (phase_ == Phase::kOwned) return true;
  const bool first = !off_;
  off_ = true;
  // The source may notice that the mover is gone before we are told.
  const vios::Vios* mover = mover_;
  if (first) off_reason_ = mover && !mover->running() ? lost_mover(*mover, system_) : why;
  partition_->memory().give_up();  // Whoever waits for a page of it waits in vain.
  gate_.close(off_reason_);
  if (socket_) socket_->shut_down();
  if (phase_ == Phase::kWaiting && first) {
    const std::string reason = off_reason_;
    hold.unlock();
    undo(reason);
    return false;
  }
  // A thread receives: it undoes the shell when it sees the end of the stream.
  changed_.wait(hold, [&] { return phase_ == Phase::kUndone || phase_ == Phase::kOwned; });
  return phase_ == Phase::kOwned;
}

void TargetMove::server_stopped(vios::Vios& server) {
  if (mover_ != &server) return;
  const bool owned = call_off(lost_mover(server, system_));
  if (!owned) return;
  client_->shut_down();
  const std::lock_guard hold(lock_);
  if (socket_) socket_->shut_down();
}

void TargetMove::shut_down() {
  leaving_ = true;
  call_off("The destination system stops.");
  client_->shut_down();
  const std::lock_guard hold(lock_);
  if (socket_) socket_->shut_down();
}

bool TargetMove::over() {
  const std::lock_guard hold(lock_);
  if (!record_.get().finished) return false;
  // The partition may have moved on before its stream was forgotten.
  return phase_ == Phase::kUndone || !active_ || stream_ended_ || partition_->stream_id() != stream_id_;
}

void TargetMove::tick() {
  const auto now = Clock::now();
  bool announce = false, end = false, late = false, stopped = false;
  {
    const std::lock_guard hold(lock_);
    if (phase_ == Phase::kOwned && active_) {
      announce = now - resumed_ < kAnnounceTime + 500ms && now - announced_ >= 1s;
      if (announce) announced_ = now;
      end = !stream_ended_ && now - resumed_ > kStreamKnownTime && record_.get().finished;
      if (end) stream_ended_ = true;
    }
    const bool busy = !record_.get().finished && now - resumed_ < kLongestColdTime;
    if (phase_ == Phase::kOwned && active_ && cold_ && now - resumed_ > kColdTime && !busy) {
      cold_ = false;
      if (auto* compiler = partition_->domain().compiler()) compiler->resume();
    }
    // Powered off while it lacked pages that nobody brings.
    stopped = phase_ == Phase::kOwned && follows_ && !socket_ && !record_.get().finished;
    late = phase_ == Phase::kWaiting && !off_ && now - made_ > kShellTimeout;
  }
  if (stopped && !incomplete()) finish();
  if (announce) vios_.announce(*partition_);
  if (end) end_stream();
  if (late) call_off("The source's mover did not come in a minute.");
}

}  // namespace baton::migration
