// SPDX-License-Identifier: Apache-2.0
// A managed system: identity, memory and processors to give away, and its partitions.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "hypervisor/alarm_clock.h"
#include "hypervisor/partition.h"
#include "hypervisor/profile.h"
#include "hypervisor/vasi_service.h"

namespace baton::hypervisor {

/// The Virtual I/O Servers as the hypervisor needs them: the server ends of adapters. Implemented by
/// vios::VirtualIo.
class IoServer {
 public:
  virtual ~IoServer() = default;
  /// Wires every adapter of the partition to its server end and opens its disks for writing (the
  /// reservation). Called at activation. Throws std::runtime_error with a sentence for the user (disk in use,
  /// missing...).
  virtual void attach(Partition& partition) = 0;
  /// Undoes attach: outstanding I/O is finished first, reservations are given up. Idempotent.
  virtual void detach(Partition& partition) = 0;
  /// Name of the Virtual I/O Server that has this partition number; empty: none has.
  virtual std::string server_name(u32 id) const = 0;
};

class ManagedSystem {
 public:
  ManagedSystem(SystemIdentity identity, std::string default_firmware);
  ~ManagedSystem();

  const SystemIdentity& identity() const { return identity_; }
  const std::string& default_firmware() const { return default_firmware_; }  ///< Path of firmware.bin.
  void set_io_server(IoServer* server) { io_server_ = server; }
  IoServer* io_server() { return io_server_; }
  AlarmClock& alarm_clock() { return alarm_clock_; }
  VasiService& vasi() { return vasi_; }

  /// Defines a partition (Not Activated). Throws std::runtime_error: name or id in use, memory or processors
  /// exceed what the system has.
  std::shared_ptr<Partition> create(Profile profile);
  /// Removes a partition that is not running. False: none of that id.
  bool remove(u32 id);
  std::shared_ptr<Partition> find(const std::string& name_or_id) const;
  std::vector<std::shared_ptr<Partition>> partitions() const;
  u64 free_memory() const;
  u32 free_processors() const;
  u32 next_free_id() const;

 private:
  u64 free_memory_locked() const;
  u32 free_processors_locked() const;
  void let_go(Partition* partition);
  void free_partitions();
  SystemIdentity identity_;
  std::string default_firmware_;
  IoServer* io_server_ = nullptr;
  AlarmClock alarm_clock_;  ///< Outlives the partitions, as the next.
  VasiService vasi_;
  mutable std::mutex lock_;
  std::vector<std::shared_ptr<Partition>> partitions_;
  // Partitions that nobody uses any more. To free one's memory takes a processor for a while, which neither
  // who removed it nor a partition that runs has to wait for.
  std::mutex let_go_lock_;
  std::condition_variable let_go_changed_;
  std::deque<std::unique_ptr<Partition>> let_go_;
  bool closing_ = false;
  std::thread freeing_;  ///< From the first on.
};

}  // namespace baton::hypervisor
