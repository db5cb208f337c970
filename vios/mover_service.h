// SPDX-License-Identifier: Apache-2.0
// The mover service partition: the VIOS's end of its VASI adapter, vasi0 (LoPAR 17.7, LPM 1.5).
#pragma once

#include <array>
#include <atomic>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "cpu/memory.h"
#include "hypervisor/vasi_service.h"

namespace baton::vios {

/// Thread-safe. It outlives its sessions.
class MoverService {
 public:
  class Session;
  /// Takes a slice of the stream to the peer; may throw. Called on the thread that made it.
  using Ship = std::function<void(std::span<const u8> slice)>;

  explicit MoverService(hypervisor::VasiService& hypervisor);
  ~MoverService();
  MoverService(const MoverService&) = delete;
  MoverService& operator=(const MoverService&) = delete;

  /// Its server is shut down: the hypervisor closes its sessions, of which nothing can be asked any more.
  void stop();
  /// Its server is on (again): sessions can be opened.
  void start() { running_ = true; }
  bool running() const { return running_; }

  /// Exchanges capabilities, opens the stream, asks how much is to be done, and lends a buffer for its
  /// operations. Throws std::runtime_error that says why the hypervisor refused.
  std::unique_ptr<Session> open(u64 stream_id, hypervisor::VasiRole role, Ship ship);

 private:
  using Message = std::array<u8, 16>;
  friend class Session;

  Message ask(const Message& request);
  void deliver(const hypervisor::CrqEntry& entry);
  void operate(const Message& request);

  hypervisor::VasiService& hypervisor_;
  cpu::Memory memory_;
  hypervisor::TceTable window_;
  hypervisor::VasiAdapter adapter_;
  std::atomic<bool> running_{true};
  std::mutex turn_;  ///< One request at a time: a response does not say to which it belongs.
  std::mutex lock_;
  Message answer_{};
  std::map<u32, Session*> sessions_;  ///< By TOP.
};

/// One open stream; closed with it.
class MoverService::Session {
 public:
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  u64 total_bytes() const { return total_bytes_; }  ///< Progress right after the opening.
  static u64 longest_slice();                       ///< Of an Operation: what fits the buffer that is lent.
  u64 progress();                                   ///< Bytes left, or missing.
  i64 donate();                                     ///< H_DONOR_OPERATION.
  hypervisor::VasiStatus signal(hypervisor::VasiSignal signal, u32 reason);
  /// Hands data from the peer to the hypervisor, in as many Downloads as it takes.
  hypervisor::VasiStatus download(std::span<const u8> data);
  /// Throws what Ship threw, if it did.
  void check();
  /// What State messages said.
  std::vector<std::pair<hypervisor::VasiState, u32>> states() const;

 private:
  friend class MoverService;
  Session(MoverService& service, u32 top, Ship ship);
  Message request(hypervisor::VasiFormat format, u64 low = 0) const;
  void lend();

  MoverService& service_;
  const u32 top_;
  const Ship ship_;
  u32 bottom_ = 0;
  u64 total_bytes_ = 0;
  std::exception_ptr failure_;                                 ///< service_.lock_.
  std::vector<std::pair<hypervisor::VasiState, u32>> states_;  ///< The same.
};

}  // namespace baton::vios
