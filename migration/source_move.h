// SPDX-License-Identifier: Apache-2.0
// The source's side of one move.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "migration/compression_choice.h"
#include "migration/description.h"
#include "migration/migration.h"
#include "migration/move_record.h"
#include "migration/ownership.h"
#include "migration/page_channels.h"
#include "migration/post_copy.h"
#include "migration/pre_copy.h"
#include "migration/rmc_agent.h"
#include "migration/socket.h"
#include "migration/stream.h"
#include "migration/validation.h"
#include "vios/mover_service.h"

namespace baton::migration {

/// Who owns the partition is decided here: until kCommit is sent it is ours; from then on it is the target's,
/// unless the target says that it did not start it. Pages that are still here then are sent until it has all.
class SourceMove final : public hypervisor::VasiOperation {
 public:
  /// Called once, when the partition has left and before it is removed.
  using Departure = std::function<void(hypervisor::Partition&, const std::string& remote)>;
  SourceMove(hypervisor::ManagedSystem& system, vios::VirtualIo& vios, TlsIdentity tls, Ownership& ownership,
             std::shared_ptr<hypervisor::Partition> partition, std::shared_ptr<GuestAgent> agent, bool active,
             const std::string& remote_name, const MoveOptions& options, Departure departure);
  ~SourceMove() override;

  const MoveRecord& record() const { return record_; }
  hypervisor::Partition& partition() { return *partition_; }
  bool active() const { return active_; }
  u64 stream_id() const { return stream_id_; }

  /// Blocks until the partition has left; throws std::runtime_error after the rollback, or with the sentence
  /// that the outcome is not known (then in_doubt()).
  /// `readiness` is what the guest was asked, if it was; a guest that refuses ends the move by Refused.
  void run(RemoteSystem& remote, const Description& description, std::optional<Readiness> readiness);
  /// The move did not begin: validation failed.
  void give_up(const std::string& why);
  /// Administrator's stop. Throws when it is too late.
  void stop();
  bool in_doubt() const;
  /// The destination has the partition, and cannot be reached for the pages that it lacks.
  bool serving_in_vain() const;
  /// The administrator gives the pages up that serving_in_vain() is about.
  void drop();
  /// Settles a move in doubt by asking. Returns what was found; throws when the target cannot be asked.
  std::string settle(RemoteSystem& remote);
  /// The process ends: nobody waits for an outcome any more.
  void shut_down();
  /// A Virtual I/O Server was shut down. If it is this move's mover: before the hand-over the move is called
  /// off, afterwards its connections are lost.
  void server_stopped(vios::Vios& server);

  // -- hypervisor::VasiOperation: the hypervisor's part
  u64 bytes_left() override { return record_.get().bytes_remaining; }
  bool download(std::span<const u8> data) override { return false; }
  void signalled(hypervisor::VasiSignal signal, u32 reason) override;
  void entered(hypervisor::VasiState state, u32 reason) override { record_.note(state); }
  void uploaded(u64 correlator, hypervisor::VasiStatus status) override {}
  Work donated() override;
  bool suspended() override;

 private:
  void move(RemoteSystem& remote, const Description& description);
  void open_stream();
  void end_stream();
  void copy_while_running();
  bool guest_agrees();
  void wait_for_guest();
  void begin_suspension();
  void stop_where_it_is();
  void attend_agent();
  void suspend_and_commit(FrameWriter& writer, RemoteSystem& remote);
  void send_last_pages(FrameWriter& writer);
  void set_compression(FrameWriter& writer);
  void send_state(FrameWriter& writer);
  void serve_pages(FrameReader& reader, RemoteSystem& remote);
  bool serve_again(RemoteSystem& remote, const std::string& problem);
  void connect(std::unique_ptr<Socket>& socket, Channel channel);
  void open_page_channels();
  void cut_page_channels();
  void need_mover() const;
  void take_other_mover();
  std::string reason_for(const std::exception& problem, RemoteSystem* remote);
  void write_to_stream();
  void answer_demand();
  void close_demand();
  void wait_for(FrameReader& reader, FrameType type);
  void check_cancelled();
  std::string cancel_reason() const;
  u32 abort_reason() const;
  [[noreturn]] void fail(hypervisor::VasiEntity because_of, const std::string& why);
  void decide(bool resume_here);
  void roll_back(RemoteSystem& remote, const std::string& why);
  void leave();

  hypervisor::ManagedSystem& system_;
  vios::VirtualIo& vios_;
  const TlsIdentity tls_;
  Ownership& ownership_;
  const std::shared_ptr<hypervisor::Partition> partition_;
  const std::shared_ptr<GuestAgent> agent_;
  const bool active_;
  const std::string remote_name_;
  const MoveOptions options_;
  const Departure departure_;
  const u64 stream_id_;
  MoveRecord record_;

  Pace pace_;
  std::string mover_address_;
  Key key_{};
  std::mutex sockets_lock_;  ///< Of which they are, not of their use.
  std::unique_ptr<Socket> socket_;
  std::optional<FrameWriter> writer_;
  struct PageChannel {
    std::unique_ptr<Socket> socket;
    std::optional<FrameWriter> writer;
  };
  std::vector<PageChannel> more_channels_;    ///< Beside the stream; as many from the start to the end.
  CompressionChoice choice_;                  ///< Of compression=auto.
  std::atomic<vios::Vios*> mover_ = nullptr;  ///< Of an active move.
  std::unique_ptr<vios::MoverService::Session> session_;  ///< Of an active move.
  std::optional<PageChannels>
      channels_;  ///< Of an active move; idle once the last pages before the start went.
  std::optional<PreCopy> copy_;
  std::vector<u8> state_;               ///< Of the partition, as far as it went through the mover.
  std::exception_ptr failure_;          ///< Of donated().
  std::unique_ptr<PageServer> server_;  ///< Not null once the partition may start without all its pages.
  std::unique_ptr<Socket> demand_;
  std::thread demand_thread_;
  std::optional<Readiness> readiness_;
  std::optional<u32> agent_sequence_;
  std::optional<std::chrono::steady_clock::time_point> suspending_since_;
  bool shell_made_ = false, quiesced_ = false, frozen_ = false;

  mutable std::mutex lock_;
  std::condition_variable changed_;
  std::string cancel_reason_;
  /// What the state Aborted will say (LPM 1.5).
  u32 abort_reason_ = hypervisor::vasi_reason(hypervisor::VasiEntity::kSourceServer, 0);
  bool suspended_ = false, in_doubt_ = false, closing_ = false, dropped_ = false;
  std::optional<bool> outcome_;  ///< What suspended() returns.
  std::chrono::steady_clock::time_point suspended_at_{};
};

}  // namespace baton::migration
