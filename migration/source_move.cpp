// SPDX-License-Identifier: Apache-2.0
#include "migration/source_move.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <thread>

#include "cpu/engine/llvm/compiler.h"
#include "hypervisor/hcall.h"
#include "migration/messages.h"
#include "migration/page_engine.h"
#include "migration/snapshot.h"
#include "migration/suspend_file.h"

namespace baton::migration {
namespace {

using hypervisor::Partition;
using hypervisor::vasi_reason;
using hypervisor::VasiEntity;
using hypervisor::VasiSignal;
using hypervisor::VasiState;
using hypervisor::VasiStatus;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kStreamTimeout = 30s;
constexpr auto kSuspendedTimeout = 10s;
constexpr auto kStartTimeout = 15s;    ///< For the agent to take up the move.
constexpr auto kSuspendTimeout = 60s;  ///< For the guest to suspend itself: five attempts take about 10 s.
constexpr auto kCloseTimeout = 2s;     ///< For the destination to end the stream.
constexpr auto kSettleTime = 10s;      ///< For asking a target that was lost sight of.
constexpr auto kRoundPause =
    10ms;  ///< Least time from round to round: each makes the guest fault its writes in again.
constexpr double kWhileSuspendedMs = 2;  ///< Pages that take longer follow the partition.
constexpr int kFollowingBuffer =
    256 << 10;                       ///< Bytes; more would stand in front of pages that are waited for.
constexpr auto kPushPause = 5ms;     ///< The first pages that are waited for come alone.
constexpr auto kRetryPause = 200ms;  ///< From one attempt to connect again to the next.

std::string hex(u64 value) {
  char text[24];
  std::snprintf(text, sizeof text, "%llx", static_cast<unsigned long long>(value));
  return text;
}

}  // namespace

SourceMove::SourceMove(hypervisor::ManagedSystem& system, vios::VirtualIo& vios, TlsIdentity tls,
                       Ownership& ownership, std::shared_ptr<Partition> partition,
                       std::shared_ptr<GuestAgent> agent, bool active, const std::string& remote_name,
                       const MoveOptions& options, Departure departure)
    : system_(system),
      vios_(vios),
      tls_(std::move(tls)),
      ownership_(ownership),
      partition_(std::move(partition)),
      agent_(std::move(agent)),
      active_(active),
      remote_name_(remote_name),
      options_(options),
      departure_(std::move(departure)),
      stream_id_(random_stream_id()),
      pace_(options.bytes_per_second),
      more_channels_(active ? options.channels - 1 : 0),
      choice_(options.channels) {
  record_.change([&](Progress& p) {
    p.stream_id = stream_id_;
    p.partition = partition_->name();
    p.partition_id = partition_->id();
    p.role = "source";
    p.kind = active_ ? "active" : "inactive";
    p.migration_state = phase::kStarting;
    p.remote_system = remote_name_;
    p.total_bytes = active_ ? partition_->memory().size() + partition_->hpt().bytes() : 0;
    p.bytes_remaining = p.total_bytes;
  });
}

SourceMove::~SourceMove() {
  close_demand();
  end_stream();
}

void SourceMove::give_up(const std::string& why) { record_.finish(false, why); }

void SourceMove::run(RemoteSystem& remote, const Description& description,
                     std::optional<Readiness> readiness) {
  readiness_ = std::move(readiness);
  std::string why;
  try {
    move(remote, description);
    return;
  } catch (const Refused& refused) {
    roll_back(remote, refused.what());
    record_.finish(false, refused.what());
    throw;
  } catch (const StreamError& problem) {
    why = in_doubt() ? problem.what() : reason_for(problem, &remote);
  } catch (const std::exception& problem) {
    why = in_doubt() ? problem.what() : reason_for(problem, nullptr);
  }
  if (in_doubt()) {
    record_.change([&](Progress& p) {
      p.migration_state = phase::kInDoubt;
      p.error = why;
    });
    throw std::runtime_error(why);
  }
  roll_back(remote, why);
  const std::string text = make_finding(Message::kFailed, {partition_->name(), why}).text;
  record_.finish(false, text);
  throw std::runtime_error(text);
}

void SourceMove::move(RemoteSystem& remote, const Description& description) {
  check_cancelled();
  Description now = description;
  now.time_of_day_ns = time_of_day_ns();  // The guest's check took its time.
  open_stream();
  now.source_mover = record_.get().source_mover;
  const RemoteSystem::Shell shell = remote.create_shell(encode(now), stream_id_);
  shell_made_ = true;
  record_.change([&](Progress& p) {
    p.migration_state = phase::kInProgress;
    p.remote_partition_id = shell.lpar_id;
    p.target_mover = shell.mover;
  });
  if (!key_from_hex(shell.key, key_)) throw std::runtime_error("The destination gave no usable key.");
  mover_address_ = shell.mover_address;
  ownership_.leaving(stream_id_, partition_->profile(), remote_name_);
  connect(socket_, Channel::kStream);
  write_to_stream();
  FrameWriter& writer = *writer_;
  if (active_) open_page_channels();
  // Now, and not while the partition is suspended.
  if (active_ && options_.post_copy != MoveOptions::PostCopy::kNever) connect(demand_, Channel::kDemand);

  if (active_) copy_while_running();
  suspend_and_commit(writer, remote);
  leave();
}

/// Enabled here before it is at the destination (LPM 1.2). Movers take part in active moves alone.
void SourceMove::open_stream() {
  if (!system_.vasi().expect(stream_id_, hypervisor::VasiRole::kSourceMover, *this))
    throw std::runtime_error("The migration stream has a number that is in use.");
  partition_->set_stream(stream_id_);
  if (!active_) return;
  mover_ = vios_.mover(options_.source_mover);
  if (!mover_) throw std::runtime_error("There is no mover service partition that runs.");
  record_.change([&](Progress& p) { p.source_mover = mover_.load()->config().name; });
  session_ = mover_.load()->mover_service()->open(
      stream_id_, hypervisor::VasiRole::kSourceMover,
      [this](std::span<const u8> slice) { state_.insert(state_.end(), slice.begin(), slice.end()); });
  record_.change([&](Progress& p) { p.total_bytes = session_->total_bytes(); });
}

void SourceMove::end_stream() {
  session_.reset();
  if (partition_->stream_id() == stream_id_) partition_->set_stream(0);
  system_.vasi().forget(stream_id_);
}

void SourceMove::connect(std::unique_ptr<Socket>& socket, Channel channel) {
  need_mover();
  auto made = connect_to(mover_address_, kStreamTimeout, tls_, remote_name_);
  write_preamble(*made, {.channel = channel, .stream_id = stream_id_, .key = key_});
  {
    const std::lock_guard hold(sockets_lock_);
    socket = std::move(made);
  }
  need_mover();  // Again: it may have been shut down before this socket could be.
}

/// The connections of an active move are those of its mover.
void SourceMove::need_mover() const {
  const vios::Vios* mover = mover_;
  if (!mover || mover->running()) return;
  throw std::runtime_error(lost_mover(*mover, system_));
}

/// The partition is at the destination: what is left, its pages, can be sent by any mover.
void SourceMove::take_other_mover() {
  vios::Vios* other = mover_.load() && !mover_.load()->running() ? vios_.mover() : nullptr;
  if (!other) return;
  mover_ = other;
  record_.change([&](Progress& p) { p.source_mover = other->config().name; });
}

void SourceMove::server_stopped(vios::Vios& server) {
  if (mover_ != &server) return;
  {
    const std::lock_guard hold(lock_);
    if (!outcome_ && cancel_reason_.empty()) cancel_reason_ = lost_mover(server, system_);
    changed_.notify_all();
  }
  cut_page_channels();
  const std::lock_guard hold(sockets_lock_);
  if (socket_) socket_->shut_down();
  if (demand_) demand_->shut_down();
}

/// What is behind a problem. A connection that broke (`remote` is not null): the destination may have had its
/// reasons.
std::string SourceMove::reason_for(const std::exception& problem, RemoteSystem* remote) {
  // Whatever fails of a mover that is gone, it is that.
  if (const vios::Vios* mover = mover_; mover && !mover->running()) return lost_mover(*mover, system_);
  if (const std::string reason = cancel_reason(); !reason.empty()) return reason;
  if (!remote || !shell_made_) return problem.what();
  try {
    remote->abandon_shell(stream_id_);
    const std::string reason = remote->failure(stream_id_);
    if (!reason.empty() && reason != kCalledOff) return "The destination called it off: " + reason;
  } catch (const std::runtime_error&) {
    // It cannot be asked.
  }
  return problem.what();
}

void SourceMove::write_to_stream() {
  writer_.emplace(*socket_, &pace_);
  set_compression(*writer_);
}

void SourceMove::set_compression(FrameWriter& writer) {
  using enum MoveOptions::Compression;
  if (options_.compression != kNone)
    writer.compress(options_.compression == kWhenItPays ? &choice_ : nullptr);
}

void SourceMove::open_page_channels() {
  channels_.emplace(partition_->memory(), partition_->hpt(), *writer_, [this] { cut_page_channels(); });
  for (PageChannel& channel : more_channels_) {
    connect(channel.socket, Channel::kPages);
    set_compression(channel.writer.emplace(*channel.socket, &pace_));
    channels_->add(*channel.writer);
  }
}

/// Nobody waits for them any more; the stream can still say why.
void SourceMove::cut_page_channels() {
  const std::lock_guard hold(sockets_lock_);
  for (const PageChannel& channel : more_channels_)
    if (channel.socket) channel.socket->shut_down();
}

/// The channel on which the destination asks for pages; all of them are answered from a thread of its own.
void SourceMove::answer_demand() {
  if (!demand_) connect(demand_, Channel::kDemand);
  demand_->set_timeout(0ms);
  demand_thread_ = std::thread([this] { server_->answer(*demand_, pace_); });
}

void SourceMove::close_demand() {
  if (demand_) demand_->shut_down();
  if (demand_thread_.joinable()) demand_thread_.join();
  const std::lock_guard hold(sockets_lock_);
  demand_.reset();
}

/// The mover gives cycles to the hypervisor's rounds, and the word when the partition is to be suspended.
void SourceMove::copy_while_running() {
  // What it would make now is of use only here.
  if (auto* compiler = partition_->domain().compiler()) compiler->rest();
  copy_.emplace(*partition_, *channels_, record_, options_, [this] {
    check_cancelled();
    // In the middle of a round: its rest, and more, goes while the partition gets ready.
    if (!suspending_since_ && !options_.transparent && guest_agrees() && copy_->nearly_over())
      begin_suspension();
  });
  const struct AtEnd {
    PreCopy& copy;
    ~AtEnd() { copy.end(); }
  } at_end{*copy_};
  while (true) {
    if (copy_->enough()) {
      wait_for_guest();
      const bool hopeless = copy_->may_follow() && !copy_->small();
      if (hopeless || options_.transparent) copy_->put_back(hopeless);
      if (!suspending_since_) begin_suspension();
      if (options_.transparent) return stop_where_it_is();
    }
    const i64 status = session_->donate();
    if (failure_) std::rethrow_exception(failure_);
    // Blocked: the partition is suspended. Not to be asked of suspended_: pages may be due for another round.
    if (status == hypervisor::h::LongBusy1ms) return;
    if (status != hypervisor::h::InProgress)
      throw std::runtime_error("The hypervisor does not go on with the move.");
    attend_agent();
  }
}

/// Its own check went on while pages did; false: it still does.
bool SourceMove::guest_agrees() {
  if (!readiness_) return true;
  if (!readiness_->answered()) return false;
  if (const auto refusal = readiness_->refusal()) throw Refused({*refusal});
  return true;
}

void SourceMove::wait_for_guest() {
  for (auto alive = Clock::now(); !guest_agrees(); std::this_thread::sleep_for(1ms)) {
    check_cancelled();
    if (Clock::now() < alive + 1s) continue;
    channels_->end_round();  // Else the destination thinks that we are gone.
    alive = Clock::now();
  }
}

/// One round.
SourceMove::Work SourceMove::donated() try {
  const auto start = Clock::now();
  copy_->round();
  {
    // The guest looks once a second whether it is to suspend; until it does, copying goes on, so that what
    // is left then is what it wrote in the last milliseconds.
    std::unique_lock hold(lock_);
    changed_.wait_until(hold, start + kRoundPause, [&] { return suspended_ || !cancel_reason_.empty(); });
    // A stop that was accepted is kept, even if the guest suspended itself meanwhile.
    if (suspended_ && cancel_reason_.empty()) return Work::kBlocked;
  }
  check_cancelled();
  copy_->next();
  return Work::kMore;
} catch (...) {
  failure_ = std::current_exception();
  return Work::kFailed;
}

void SourceMove::begin_suspension() {
  suspending_since_ = Clock::now();
  const auto status = session_->signal(VasiSignal::kSuspend, vasi_reason(VasiEntity::kSourceServer, 0));
  if (status != VasiStatus::kSuccess) fail(VasiEntity::kPlatform, "The hypervisor does not suspend it.");
  // Only now: a kernel that finds the state Enabled looks again a second later.
  if (!options_.transparent) agent_sequence_ = agent_->send("migrate", hex(stream_id_));
}

void SourceMove::attend_agent() {
  if (!suspending_since_) return;
  const auto waiting = Clock::now() - *suspending_since_;
  const AgentReply reply = agent_->peek(*agent_sequence_);
  if (reply.rc && !reply.started)
    fail(VasiEntity::kPartition, "The partition's agent refused: " + reply.text);
  if (reply.rc)
    fail(VasiEntity::kPartition,
         "The partition gave up with code " + std::to_string(*reply.rc) + ": " + reply.text);
  if (!reply.started && waiting > kStartTimeout)
    fail(VasiEntity::kPartition, "The partition's agent did not take up the move.");
  if (waiting > kSuspendTimeout) {
    fail(VasiEntity::kPartition, "The partition did not suspend itself in " +
                                     std::to_string(std::chrono::seconds(kSuspendTimeout).count()) +
                                     " seconds.");
  }
}

/// A transparent move: what suspended() is for one whose software takes part.
void SourceMove::stop_where_it_is() {
  {
    const std::lock_guard hold(lock_);
    if (!cancel_reason_.empty()) throw std::runtime_error(cancel_reason_);
    suspended_at_ = Clock::now();
    suspended_ = true;
  }
  system_.vasi().enter(stream_id_, VasiState::kSuspended);
  freeze(*partition_);
  frozen_ = true;
}

void SourceMove::wait_for(FrameReader& reader, FrameType type) {
  const Frame frame = reader.read();
  if (frame.type == FrameType::kRefused)
    fail(VasiEntity::kTargetServer, "The destination refused: " + frame.text());
  if (frame.type != type) throw StreamError("The destination answered out of turn.");
}

/// The page table always goes before the partition; memory does if that does not take long.
void SourceMove::send_last_pages(FrameWriter& writer) {
  cpu::Memory& memory = partition_->memory();
  std::vector<u64> frames, table_frames;
  partition_->hpt().dirty().harvest(table_frames);
  const auto bytes = static_cast<double>(memory.dirty().count() * cpu::kFrameSize);
  if (options_.post_copy == MoveOptions::PostCopy::kAlways ||
      (options_.post_copy != MoveOptions::PostCopy::kNever && bytes > copy_->rate() * kWhileSuspendedMs)) {
    server_ = std::make_unique<PageServer>(memory);
    for (u64 i = 0; i < memory.dirty().words(); i++) server_->left().set_word(i, memory.dirty().word(i));
    // The marks stay: if the move fails, nothing was taken away.
    record_.change([&](Progress& p) { p.postcopy_pages = server_->left().count(); });
    writer.send(FrameType::kAbsent, encode_frames(server_->left()));
    answer_demand();
  } else {
    memory.dirty().harvest(frames);
  }
  channels_->skip_written(false);  // There is no next round.
  send_pages(
      *channels_, table_frames, frames, record_, [this] { check_cancelled(); }, std::atomic<bool>(false));
  channels_->drain();
}

/// Through the mover's buffers, slice by slice.
void SourceMove::send_state(FrameWriter& writer) {
  const std::string state = save_state(*partition_, active_);
  std::span<const u8> left{reinterpret_cast<const u8*>(state.data()), state.size()};
  if (!session_) return writer.send(FrameType::kState, left);
  while (!left.empty()) {
    const auto slice = left.first(std::min<u64>(left.size(), session_->longest_slice()));
    if (!system_.vasi().upload(stream_id_, slice))
      throw std::runtime_error("The mover lends the hypervisor no buffer.");
    session_->check();
    left = left.subspan(slice.size());
  }
  writer.send(FrameType::kState, state_);
}

/// The partition runs at the destination. Pages go there until it has all; a connection that is lost is made
/// anew.
void SourceMove::serve_pages(FrameReader& first_reader, RemoteSystem& remote) {
  const auto serve = [&](FrameReader& reader) {
    std::this_thread::sleep_for(kPushPause);
    server_->push(*writer_, [&](u64 left) {
      record_.change([&](Progress& p) {
        p.bytes_transmitted = channels_->bytes();
        p.dirty_pages = left;
        p.bytes_remaining = left * cpu::kFrameSize;
      });
    });
    wait_for(reader, FrameType::kReceived);
  };
  std::string problem;
  try {
    serve(first_reader);
    return;
  } catch (const std::runtime_error& lost) {
    problem = lost.what();
  }
  spdlog::warn("migmover: {} runs at {} and lacks pages: {} Connecting again.", partition_->name(),
               remote_name_, problem);
  const auto since = Clock::now();
  while (serve_again(remote, problem)) {
    try {
      close_demand();
      take_other_mover();
      connect(socket_, Channel::kStream);
      socket_->set_timeout(kSuspendedTimeout);
      socket_->set_send_buffer(kFollowingBuffer);
      write_to_stream();
      FrameReader reader(*socket_);
      const Frame frame = reader.read();
      if (frame.type != FrameType::kAbsent) throw StreamError("The destination answered out of turn.");
      decode_frames(frame.payload, server_->left());
      answer_demand();
      record_.change([](Progress& p) { p.migration_state = phase::kInProgress; });
      serve(reader);
      return;
    } catch (const std::runtime_error& lost) {
      problem = lost.what();
    }
    if (Clock::now() - since > kSettleTime) {
      record_.change([&](Progress& p) {
        p.migration_state = phase::kInDoubt;
        p.error = make_finding(Message::kPagesUndelivered, {partition_->name(), remote_name_, problem}).text;
      });
    }
    std::unique_lock hold(lock_);
    changed_.wait_for(hold, kRetryPause, [&] { return closing_ || dropped_; });
  }
}

/// Whether there is somebody to serve. Throws when the process ends with pages undelivered.
bool SourceMove::serve_again(RemoteSystem& remote, const std::string& problem) {
  try {
    if (remote.settle(stream_id_) != RemoteSystem::Outcome::kIncomplete) return false;
  } catch (const std::runtime_error&) {
    // It cannot be asked.
  }
  const std::lock_guard hold(lock_);
  if (closing_) {
    in_doubt_ = true;
    outcome_ = false;
    changed_.notify_all();
    throw std::runtime_error(
        make_finding(Message::kPagesUndelivered, {partition_->name(), remote_name_, problem}).text);
  }
  return !dropped_;
}

void SourceMove::suspend_and_commit(FrameWriter& writer, RemoteSystem& remote) {
  // Nobody runs the partition until this is over.
  socket_->set_timeout(kSuspendedTimeout);
  for (const PageChannel& channel : more_channels_) channel.socket->set_timeout(kSuspendedTimeout);
  if (active_) {
    quiesced_ = true;
    partition_->quiesce_adapters();
    vios_.quiesce(*partition_);  // From here on nothing of the partition writes: its last pages can be read.
    record_.note_step("quiet");
    send_last_pages(writer);
    record_.note_step("pages sent");
  }
  send_state(writer);
  writer.send(FrameType::kPrepare);
  record_.note_step("state sent");
  FrameReader reader(*socket_);
  wait_for(reader, FrameType::kReady);
  record_.note_step("ready there");

  try {
    writer.send(FrameType::kCommit);
    const Frame frame = reader.read();
    if (frame.type == FrameType::kRefused)
      fail(VasiEntity::kTargetServer, "The destination refused: " + frame.text());
    if (frame.type != FrameType::kResumed) throw StreamError("The destination answered out of turn.");
  } catch (const StreamError& problem) {
    // The commit may or may not have arrived: only the destination knows who owns the partition.
    spdlog::warn("migmover: {}: {} Asking {} what became of it.", partition_->name(), problem.what(),
                 remote_name_);
    const auto until = Clock::now() + kSettleTime;
    while (true) {
      try {
        if (remote.settle(stream_id_) == RemoteSystem::Outcome::kNotOwned) throw StreamError(problem.what());
        break;
      } catch (const StreamError&) {
        throw;
      } catch (const std::runtime_error&) {
        const std::lock_guard hold(lock_);
        if (Clock::now() > until || closing_) {
          in_doubt_ = true;
          throw std::runtime_error(
              make_finding(Message::kInDoubt, {partition_->name(), remote_name_, problem.what()}).text);
        }
      }
      std::this_thread::sleep_for(200ms);
    }
  }
  record_.change([&](Progress& p) {
    if (active_) p.suspended_ms = milliseconds_since(suspended_at_);
    p.bytes_transmitted = active_ ? channels_->bytes() : writer.bytes();
  });
  if (active_) system_.vasi().enter(stream_id_, VasiState::kResumed);
  if (server_) {
    socket_->set_send_buffer(kFollowingBuffer);
    serve_pages(reader, remote);
  }
  system_.vasi().enter(stream_id_, VasiState::kCompleted);  // Before it is at the destination (LPM 1.6).
  try {
    writer_->send(FrameType::kCompleted);
    // The destination closes when its side is complete too: who asks after the move sees it so on both.
    socket_->set_timeout(kCloseTimeout);
    FrameReader(*socket_).read();
  } catch (const StreamError&) {
    // It is the destination's now; what it makes of a lost connection is its own affair.
  }
}

/// The partition is the destination's: nothing of it stays here.
void SourceMove::leave() {
  close_demand();
  try {
    ownership_.left(stream_id_);
  } catch (const std::runtime_error& problem) {
    // It stays in doubt there, and the destination knows the answer.
    spdlog::error("migmover: {}", problem.what());
  }
  system_.vasi().enter(stream_id_, VasiState::kCompleted);  // Unless it is already.
  decide(false);
  partition_->stop_processors();
  vios_.detach(*partition_);
  partition_->memory().set_tracking(false);
  end_stream();
  system_.remove(partition_->id());
  // Last: whoever is told looks for it elsewhere at once, and must not find it here.
  if (departure_) departure_(*partition_, remote_name_);
  record_.finish(true, "");
  const Progress p = record_.get();
  spdlog::info(
      "migmover: {} moved to {}: {:.0f} ms, {:.1f} MB, {} rounds, {} pages followed, suspended {:.1f} ms, "
      "slowed down by {} %",
      p.partition, p.remote_system, p.total_ms, static_cast<double>(p.bytes_transmitted) / 1e6, p.round,
      p.postcopy_pages, p.suspended_ms, p.throttle);
  if (options_.compression == MoveOptions::Compression::kWhenItPays) {
    spdlog::info("migmover: {} was compressed {}, after {} changes", p.partition,
                 choice_.on() ? "in the end" : "no more in the end", choice_.changes());
  }
  spdlog::info("migmover: {} course (ms): {}", p.partition, record_.course());
}

void SourceMove::decide(bool resume_here) {
  const std::lock_guard hold(lock_);
  if (!outcome_) outcome_ = resume_here;
  changed_.notify_all();
}

/// Everything as it was before; the guest learns that the move was aborted.
void SourceMove::roll_back(RemoteSystem& remote, const std::string& why) {
  spdlog::warn("migmover: the move of {} to {} is rolled back: {}", partition_->name(), remote_name_, why);
  close_demand();
  if (socket_) {
    try {
      if (writer_) writer_->send_text(FrameType::kAbort, why);
    } catch (const StreamError&) {
      // The connection may be what failed.
    }
    socket_->shut_down();
    cut_page_channels();
  }
  if (shell_made_) {
    try {
      remote.abandon_shell(stream_id_);
    } catch (const std::runtime_error& problem) {
      spdlog::warn("migmover: the shell of {} at {} is left over: {}", partition_->name(), remote_name_,
                   problem.what());
    }
  }
  partition_->memory().set_tracking(false);
  if (auto* compiler = partition_->domain().compiler()) compiler->resume();
  if (quiesced_) {
    // The destination gives the disks back when it notices; until then ours are held off.
    for (const auto until = Clock::now() + kSettleTime;;) {
      try {
        vios_.resume(*partition_);
        break;
      } catch (const std::runtime_error& problem) {
        if (Clock::now() > until) {
          spdlog::error("migmover: {} goes on without its disks: {}", partition_->name(), problem.what());
          break;
        }
      }
      std::this_thread::sleep_for(50ms);
    }
    partition_->resume_adapters();
  }
  if (frozen_) thaw(*partition_);
  try {
    ownership_.stays(stream_id_);
  } catch (const std::runtime_error& problem) {
    spdlog::error("migmover: {}", problem.what());
  }
  const bool enabled = system_.vasi().enter(stream_id_, VasiState::kAborted, abort_reason());
  decide(true);
  // The state stays visible until the guest has seen it: its agent then reports the end of its attempt.
  if (enabled && agent_sequence_)
    agent_->wait_result(*agent_sequence_, 10s);
  else if (readiness_)
    readiness_->undo();
  end_stream();
}

void SourceMove::fail(VasiEntity because_of, const std::string& why) {
  const std::lock_guard hold(lock_);
  abort_reason_ = vasi_reason(because_of, 0);
  throw std::runtime_error(why);
}

u32 SourceMove::abort_reason() const {
  const std::lock_guard hold(lock_);
  return abort_reason_;
}

void SourceMove::check_cancelled() {
  if (const std::string reason = cancel_reason(); !reason.empty()) throw std::runtime_error(reason);
}

std::string SourceMove::cancel_reason() const {
  const std::lock_guard hold(lock_);
  return cancel_reason_;
}

void SourceMove::stop() {
  {
    const std::lock_guard hold(lock_);
    const bool late = suspended_ || in_doubt_ || outcome_ || record_.get().finished;
    if (late) throw std::runtime_error(make_finding(Message::kPastSuspend, {partition_->name()}).text);
  }
  const u32 reason = vasi_reason(VasiEntity::kOrchestrator, 0);
  const VasiStatus status = system_.vasi().signal(stream_id_, VasiSignal::kCancel, reason);
  if (status == VasiStatus::kInvalidStream) return signalled(VasiSignal::kCancel, reason);  // Not yet begun.
  if (status != VasiStatus::kSuccess)
    throw std::runtime_error(make_finding(Message::kPastSuspend, {partition_->name()}).text);
}

bool SourceMove::serving_in_vain() const {
  return server_ && record_.get().migration_state == phase::kInDoubt;
}

void SourceMove::drop() {
  const std::lock_guard hold(lock_);
  dropped_ = true;
  changed_.notify_all();
}

bool SourceMove::in_doubt() const {
  const std::lock_guard hold(lock_);
  return in_doubt_;
}

std::string SourceMove::settle(RemoteSystem& remote) {
  const bool theirs = remote.settle(stream_id_) != RemoteSystem::Outcome::kNotOwned;
  {
    const std::lock_guard hold(lock_);
    in_doubt_ = false;
  }
  if (theirs) {
    if (active_) system_.vasi().enter(stream_id_, VasiState::kResumed);  // Unless it is known already.
    if (server_) {
      FrameReader lost(*socket_);
      serve_pages(lost, remote);
    }
    leave();
    return "The partition " + partition_->name() + " had been started on " + remote_name_ +
           "; it was removed here.";
  }
  roll_back(remote, "the destination did not start the partition");
  record_.finish(false, "The move was recovered: the partition goes on at the source.");
  return "The partition " + partition_->name() + " had not been started on " + remote_name_ +
         "; it goes on here.";
}

void SourceMove::shut_down() {
  {
    const std::lock_guard hold(lock_);
    closing_ = true;
    if (cancel_reason_.empty()) cancel_reason_ = "The managed system stops.";
    changed_.notify_all();
    if (!in_doubt_) return;
  }
  decide(false);
}

bool SourceMove::suspended() {
  std::unique_lock hold(lock_);
  if (outcome_) return *outcome_;
  suspended_at_ = Clock::now();
  suspended_ = true;
  copy_->cut();
  changed_.notify_all();
  changed_.wait(hold, [&] { return outcome_.has_value(); });
  return *outcome_;
}

void SourceMove::signalled(VasiSignal signal, u32 reason) {
  if (signal == VasiSignal::kSuspend) {
    system_.vasi().enter(stream_id_, VasiState::kSuspending, reason);
    return;
  }
  const auto entity = static_cast<VasiEntity>(reason >> 24);
  const std::lock_guard hold(lock_);
  if (suspended_) return;
  abort_reason_ = reason;
  if (entity == VasiEntity::kOrchestrator) {
    cancel_reason_ = make_finding(Message::kStopped).text;
  } else {
    // Our own firmware does when the partition is powered off.
    const char* who =
        entity == VasiEntity::kPartition ? "The partition's operating system" : "The partition's firmware";
    cancel_reason_ = std::string(who) + " called the move off (reason 0x" + hex(reason) + ").";
  }
  changed_.notify_all();
}

}  // namespace baton::migration
