// SPDX-License-Identifier: Apache-2.0
// Moving a partition between two managed systems (DESIGN 7, LPM.md).
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "devices/tls.h"
#include "hypervisor/system.h"
#include "migration/description.h"
#include "vios/virtual_io.h"

namespace baton::migration {

class GuestAgent;

/// One failed check of a validation, with its message.
struct Finding {
  std::string code;  ///< "HSCLA319"-style, from the message table.
  std::string text;  ///< What is wrong, on which object, and the remedy.
};

/// What `lslparmigr -r lpar` and the demonstration show. A copy at one instant.
struct Progress {
  u64 stream_id = 0;
  std::string partition;            ///< Its name.
  u32 partition_id = 0;             ///< Here.
  u32 remote_partition_id = 0;      ///< There; 0 until known.
  std::string role;                 ///< "source" or "target"
  std::string kind;                 ///< "active" or "inactive"
  std::string migration_state;      ///< "Not Migrating", "Migration Starting", "Migration In Progress", ...
  std::string vasi_state;           ///< "Enabled"...
  std::vector<std::string> states;  ///< Every VASI state passed so far.
  std::vector<double> state_ms;     ///< When each was entered, from the start of the move.
  std::string remote_system;
  /// The mover service partitions; empty: none takes part, or it is not known.
  std::string source_mover, target_mover;
  const std::string& own_mover() const { return role == "source" ? source_mover : target_mover; }
  u64 total_bytes = 0, bytes_transmitted = 0, bytes_remaining = 0;
  u32 round = 0;
  struct Round {
    double start_ms = 0, took_ms = 0;
    u64 pages = 0, bytes = 0;  ///< Pages looked at; bytes sent.
  };
  std::vector<Round> rounds;  ///< Source: the first and the latest ones.
  u64 dirty_pages = 0;
  double bytes_per_second = 0;
  unsigned throttle = 0;  ///< Percent of its time that the partition lost at the end of copying.
  double total_ms = 0, suspended_ms = 0;
  u64 postcopy_pages = 0;   ///< Left to send, or to come, when the partition went on at the target.
  u64 postcopy_faults = 0;  ///< Target: accesses that had to wait for a page, and how long.
  double postcopy_wait_ms = 0, postcopy_longest_ms = 0;
  bool finished = false, ok = false;
  std::string error;
};

/// How the source reaches the destination's control service; implemented over gRPC by app/, by a direct call
/// in tests. Every call throws std::runtime_error with a sentence when the peer cannot be reached.
class RemoteSystem {
 public:
  virtual ~RemoteSystem() = default;
  virtual std::string name() = 0;
  /// Serialized PartitionDescription -> findings.
  virtual std::vector<Finding> validate(const std::string& description) = 0;
  /// Creates the shell partition and a listener for the mover. Returns "host:port" and a one-time key.
  struct Shell {
    std::string mover_address;
    std::string key;
    u32 lpar_id = 0;
    std::string mover;  ///< Name of its mover service partition.
  };
  virtual Shell create_shell(const std::string& description, u64 stream_id) = 0;
  virtual void abandon_shell(u64 stream_id) = 0;
  /// Decides a move whose connection broke after COMMIT: whether the destination owns the partition. Throws
  /// when the peer cannot be reached: the question stays open.
  enum class Outcome {
    kNotOwned,    ///< It does not and never will by this stream.
    kOwned,       ///< It does, and needs nothing more.
    kIncomplete,  ///< It does, and waits for pages.
  };
  virtual Outcome settle(u64 stream_id) = 0;
  /// Why it gave the move up; empty: it did not, or does not know.
  virtual std::string failure(u64 stream_id) { return {}; }
};

/// A validation that failed; what() is the first finding.
class Refused : public std::runtime_error {
 public:
  explicit Refused(std::vector<Finding> findings)
      : std::runtime_error(findings.empty() ? "" : findings.front().text), findings_(std::move(findings)) {}
  const std::vector<Finding>& findings() const { return findings_; }

 private:
  std::vector<Finding> findings_;
};

/// What an administrator may ask of a move (migrlpar -i and other options).
struct MoveOptions {
  u32 dest_lpar_id = 0;  ///< 0: the same number if it is free there, else another one.
  /// Whether the partition may go on at the destination before all its pages are there.
  enum class PostCopy {
    kWhenItHelps,  ///< If sending the last pages would suspend the partition for long.
    kNever,
    kAlways,  ///< After the first round.
  };
  PostCopy post_copy = PostCopy::kWhenItHelps;  ///< post_copy=auto, never, always.
  u64 bytes_per_second = 0;  ///< Most that is sent; 0: as much as goes (bandwidth=MEGABITS).
  /// Most of its time that a partition may lose while it is copied, percent, if it has to wait for its pages
  /// and writes faster than they are sent (throttle=PERCENT; 0: none).
  unsigned throttle = 80;
  /// Whether pages go compressed (compression=none, zstd, auto).
  enum class Compression { kNone, kZstd, kWhenItPays } compression = Compression::kNone;
  u32 channels = 1;  ///< By which pages go side by side before the hand-over, 1 to 8 (channels=NUMBER).
  /// The partition's software does not take part: it is stopped wherever it is, and goes on there
  /// (transparent=yes). Firmware at its prompt, programs without an agent, a kernel that hangs.
  bool transparent = false;
  bool ignore_vlans = false;  ///< Move even if the destination does not bridge a VLAN (--vlanbridge 2).
  /// Move even if paths through several servers become paths through one (--redundantvios 2).
  bool ignore_redundancy = false;
  /// Movers; not given: any (source_msp_name, source_msp_id, dest_msp_name, dest_msp_id).
  vios::ServerName source_mover, target_mover;
  std::vector<ScsiMapping> mappings;  ///< virtual_scsi_mappings.
};

/// The migration room of one managed system: source and target movers, validation, state of moves.
class Mover {
 public:
  /// `listen_address`: where movers of other systems connect, "127.0.0.1" or "127.0.0.1:4711".
  /// `moves_file`: the record of what came and left, which outlives the process (ownership.h); empty: none.
  /// `tls`: who this system is to other movers; null: connections are not encrypted. Throws
  /// std::runtime_error when the address cannot be had.
  Mover(hypervisor::ManagedSystem& system, vios::VirtualIo& vios,
        const std::string& listen_address = "127.0.0.1", const std::string& moves_file = {},
        std::shared_ptr<const devices::TlsIdentity> tls = nullptr);
  ~Mover();
  /// Rolls back the moves that can still be, and takes no more. Call it before the partitions are stopped.
  void shut_down();

  /// Of the partitions that this system is configured with, those that are here by the record of moves; and
  /// those that came here before it was started anew. To be defined at its start.
  std::vector<hypervisor::Profile> define(std::vector<hypervisor::Profile> configured) const;

  /// Called when a partition has left for another system and is no longer listed here.
  void on_departure(std::function<void(hypervisor::Partition&, const std::string& remote_system)> callback);
  /// The partition's management agent; made at the first call (a booting agent announces itself once).
  std::shared_ptr<GuestAgent> agent(const std::shared_ptr<hypervisor::Partition>& partition);

  // -- source side
  /// Every check of both sides (validation.h); all that failed.
  std::vector<Finding> validate(hypervisor::Partition& partition, RemoteSystem& remote,
                                const MoveOptions& options = {});
  /// Of the partition's virtual SCSI clients, the slots of those whose disks the destination can host; on
  /// this of its servers alone, if one is named.
  std::vector<u32> hostable_slots(hypervisor::Partition& partition, RemoteSystem& remote,
                                  const vios::ServerName& server = {});
  /// Moves the partition, active or inactive by its state; blocks until Completed, or throws
  /// std::runtime_error after everything was rolled back. `progress` may be polled meanwhile.
  void migrate(const std::shared_ptr<hypervisor::Partition>& partition, RemoteSystem& remote,
               const MoveOptions& options = {});
  /// migrlpar -o s. Throws when there is nothing to stop or it is past Suspended.
  void stop(hypervisor::Partition& partition);
  /// migrlpar -o r: clears what a failed move left on this side, and settles one whose outcome is not known
  /// by asking `remote` if it is given. Returns what it did.
  std::string recover(const std::string& partition_name, RemoteSystem* remote = nullptr);

  // -- into a file and out of it (suspend_file.h)
  /// Writes the running partition to a new file and takes it out of the system; bytes. Its software does not
  /// take part. Throws std::runtime_error; the partition goes on then.
  u64 suspend(const std::shared_ptr<hypervisor::Partition>& partition, const std::string& path);
  /// Makes the partition from the file and starts it; the file is gone then. Throws Refused or
  /// std::runtime_error.
  std::shared_ptr<hypervisor::Partition> resume(const std::string& path, const MoveOptions& options = {});

  // -- target side, called by the control service
  std::vector<Finding> validate_incoming(const std::string& description);
  RemoteSystem::Shell create_shell(const std::string& description, u64 stream_id);
  void abandon_shell(u64 stream_id);
  RemoteSystem::Outcome settle(u64 stream_id);  ///< See RemoteSystem::settle.

  // -- both
  std::vector<Progress> progress() const;  ///< Moves under way and the last one of each partition.
  /// The latest move of the partition; migration_state "Not Migrating" if there is none.
  Progress progress_of(const std::string& partition_name) const;
  std::string address() const;  ///< Where the mover listens, with the port.
  u32 active_limit() const;     ///< Active moves at a time, as source and target together.

 private:
  struct Private;
  std::unique_ptr<Private> p_;
};

}  // namespace baton::migration
