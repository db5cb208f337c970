// SPDX-License-Identifier: Apache-2.0
// The target's side of one move: the shell partition and what fills it.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "migration/description.h"
#include "migration/migration.h"
#include "migration/move_record.h"
#include "migration/ownership.h"
#include "migration/page_engine.h"
#include "migration/post_copy.h"
#include "migration/round_gate.h"
#include "migration/socket.h"
#include "migration/stream.h"
#include "vios/mover_service.h"

namespace baton::migration {

class TargetMove final : public hypervisor::VasiOperation {
 public:
  /// Makes the shell. Throws std::runtime_error when it cannot be made; nothing is left then.
  TargetMove(hypervisor::ManagedSystem& system, vios::VirtualIo& vios, const Description& description,
             hypervisor::Profile profile, u64 stream_id, Ownership& ownership);
  ~TargetMove() override;

  const MoveRecord& record() const { return record_; }
  const std::shared_ptr<hypervisor::Partition>& partition() const { return partition_; }
  u64 stream_id() const { return stream_id_; }
  bool active() const { return active_; }
  const Key& key() const { return key_; }
  /// Nothing more will come of it: the record is all that need be kept.
  bool over();
  /// Its partition has begun to move on: no longer the latest move of it. Guarded by the Mover.
  bool superseded = false;

  /// Takes a connection if the key fits. The stream comes once, and again when it was lost after the
  /// partition had been started without all its pages. Channels for pages come once, as many as the
  /// description said.
  bool take(const Key& key, Channel channel);
  /// Receives the stream on the caller's thread, until the partition is here, everything is undone, or the
  /// connection is lost and must be made again.
  void serve(std::unique_ptr<Socket> socket);
  /// After serve(), if the partition is here with all its pages: memory as the host gives it best. On a
  /// thread that ends after it, and before if the partition leaves.
  void settle_memory();
  /// Receives pages on the caller's thread, until no more come by this channel. If it is lost, so is the
  /// move.
  void serve_pages(Socket& socket);
  /// Serves a demand channel on the caller's thread, until it ends.
  void serve_demand(Socket& socket) {
    client_->serve(socket, [this] { note_received(); });
  }
  /// The partition is ours and lacks pages.
  bool incomplete();
  /// No more pages will come: the partition is stopped, in state Error. False if there is a connection, or
  /// nothing is missing.
  bool lose();
  /// Undoes the shell unless the partition is ours already: true if it is. Returns when that is done.
  bool call_off(const std::string& why);

  /// A Virtual I/O Server was shut down. If it is this move's mover, as call_off(), and its connections end.
  void server_stopped(vios::Vios& server);
  /// The process ends: as call_off(), and no connection goes on.
  void shut_down();

  /// The Mover's clock, twice a second: announcements, a shell that nobody came for, the end of the VASI
  /// stream.
  void tick();

  // -- hypervisor::VasiOperation: the hypervisor's part. The partition is not suspended by this stream again.
  u64 bytes_left() override { return record_.get().bytes_remaining; }
  bool download(std::span<const u8> data) override;
  void signalled(hypervisor::VasiSignal signal, u32 reason) override {}
  void entered(hypervisor::VasiState state, u32 reason) override { record_.note(state); }
  void uploaded(u64 correlator, hypervisor::VasiStatus status) override {}
  Work donated() override { return Work::kBlocked; }  ///< The peer's data is what there is to do.
  bool suspended() override { return true; }

 private:
  enum class Phase { kWaiting, kReceiving, kOwned, kUndone };
  void receive(Socket& socket, bool again);
  void take_pages(const Frame& frame, bool started);
  void end_channels(const std::string& why);
  void start(FrameWriter& writer);
  void tell_when_received(FrameWriter* writer);
  void note_received();
  void finish();
  void undo(const std::string& why);
  void end_stream();

  hypervisor::ManagedSystem& system_;
  vios::VirtualIo& vios_;
  const u64 stream_id_;
  const bool active_;
  const u32 channels_;
  Ownership& ownership_;
  const Key key_ = random_key();
  std::shared_ptr<hypervisor::Partition> partition_;
  std::shared_ptr<PageClient> client_;
  MoveRecord record_;
  std::optional<PageReceiver> memory_, table_;            ///< Of an active move.
  RoundGate gate_;                                        ///< Of its channels for pages, and the stream.
  std::atomic<vios::Vios*> mover_ = nullptr;              ///< Of an active move.
  std::unique_ptr<vios::MoverService::Session> session_;  ///< Of an active move, until it is over.
  std::vector<u8> state_;                                 ///< Of the partition, as far as it came.
  const std::chrono::steady_clock::time_point made_ = std::chrono::steady_clock::now();

  std::mutex lock_;
  std::condition_variable changed_;
  Phase phase_ = Phase::kWaiting;
  bool off_ = false;
  std::string off_reason_;
  Socket* socket_ = nullptr;
  std::vector<Socket*> page_sockets_;  ///< That are being served.
  FrameWriter* untold_ = nullptr;      ///< Where kReceived is to go, until it has.
  bool finishing_ = false;
  bool follows_ = false;  ///< Pages come after the start.
  std::chrono::steady_clock::time_point resumed_{}, announced_{};
  bool stream_ended_ = false;
  std::atomic<bool> leaving_{false};
  bool cold_ = true;  ///< Its compiler rests.
};

}  // namespace baton::migration
