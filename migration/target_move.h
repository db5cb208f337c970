// SPDX-License-Identifier: Apache-2.0
// The target's side of one move: the shell partition and what fills it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>

#include "migration/description.h"
#include "migration/migration.h"
#include "migration/move_record.h"
#include "migration/socket.h"
#include "migration/stream.h"

namespace baton::migration {

class PageReceiver;

class TargetMove final : public hypervisor::MobilityListener {
 public:
  /// Records that the stream's partition is ours; called before it is started. Throws when it cannot be
  /// recorded.
  using Own = std::function<void(u64 stream_id)>;
  /// Makes the shell. Throws std::runtime_error when it cannot be made; nothing is left then.
  TargetMove(hypervisor::ManagedSystem& system, vios::Vios& vios, const Description& description,
             hypervisor::Profile profile, u64 stream_id, Own own);
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

  /// Takes the connection if the key fits and none came before: the key is good once.
  bool take(const Key& key);
  /// Receives the stream on the caller's thread, until the partition runs here or everything is undone.
  void serve(std::unique_ptr<Socket> socket);
  /// Undoes the shell unless the partition is ours already: true if it is. Returns when that is done.
  bool call_off(const std::string& why);

  /// The Mover's clock, twice a second: announcements, a shell that nobody came for, the end of the VASI
  /// stream.
  void tick();

  // -- hypervisor::MobilityListener: the partition is not to be suspended by this stream again.
  bool suspended() override { return true; }
  void cancelled(u32) override {}

 private:
  enum class Phase { kWaiting, kReceiving, kOwned, kUndone };
  void receive(Socket& socket);
  void start(FrameWriter& writer);
  void undo(const std::string& why);

  hypervisor::ManagedSystem& system_;
  vios::Vios& vios_;
  const u64 stream_id_;
  const bool active_;
  const Own own_;
  const Key key_ = random_key();
  std::shared_ptr<hypervisor::Partition> partition_;
  MoveRecord record_;
  const std::chrono::steady_clock::time_point made_ = std::chrono::steady_clock::now();

  std::mutex lock_;
  std::condition_variable changed_;
  Phase phase_ = Phase::kWaiting;
  bool off_ = false;
  std::string off_reason_;
  Socket* socket_ = nullptr;
  std::chrono::steady_clock::time_point resumed_{}, announced_{};
  bool stream_ended_ = false;
};

}  // namespace baton::migration
