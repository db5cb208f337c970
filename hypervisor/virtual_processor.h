// SPDX-License-Identifier: Apache-2.0
// A virtual processor: a hardware thread, its host thread, and what PAPR keeps per processor.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "cpu/thread.h"

namespace baton::hypervisor {

class Partition;

/// Where a virtual processor is, for dispatch, H_JOIN and query-cpu-stopped-state.
enum class Dispatch { kStopped, kRunning, kCeded, kJoined, kConferred, kSuspended };

class VirtualProcessor final : public cpu::DecrementerAlarm {
 public:
  VirtualProcessor(Partition& partition, u32 server);
  ~VirtualProcessor() override;

  u32 server() const { return server_; }
  cpu::Thread& thread() { return thread_; }
  Partition& partition() { return partition_; }
  Dispatch dispatch() const { return dispatch_.load(); }

  /// RTAS start-cpu, boot: state stopped -> running at `address` with r3. False: not stopped.
  bool start(u64 address, u64 r3, bool sf);
  /// Starts the host thread on the present state (after a restore).
  void start_restored(Dispatch as);
  void stop();        ///< Any thread but its own: returns when the host thread has ended.
  void wake();        ///< Interrupt line, PROD, or a request arrived.
  void prod();        ///< H_PROD: sets the prod flag and wakes.

  // Called on its own host thread by hcall handlers.
  void cede();                 ///< H_CEDE
  i64 join();                  ///< H_JOIN
  void confer_until_prodded(); ///< H_CONFER to itself

  void arm(u64 deadline) override;

  // Per-processor areas (PAPR 5); logical real addresses, 0 = not registered.
  u64 vpa = 0, slb_shadow = 0, dtl = 0;
  u64 dtl_bytes = 0, dtl_index = 0;
  u32 yield_count = 0;
  std::atomic<bool> prodded{false};

 private:
  void loop();
  bool wait(Dispatch as, bool interrupts_wake);
  Partition& partition_;
  u32 server_;
  cpu::Thread thread_;
  std::thread host_;
  std::mutex lock_;
  std::condition_variable changed_;
  std::atomic<Dispatch> dispatch_{Dispatch::kStopped};
  std::atomic<bool> stop_requested_{false};
};

}  // namespace baton::hypervisor
