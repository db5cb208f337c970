// SPDX-License-Identifier: Apache-2.0
// A virtual processor: a hardware thread, its host thread, and what PAPR keeps per processor.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "cpu/thread.h"
#include "hypervisor/alarm_clock.h"

namespace baton::hypervisor {

class OutsideEvents;
class Partition;

/// Where a virtual processor is, for dispatch, H_JOIN and query-cpu-stopped-state.
enum class Dispatch { kStopped, kRunning, kCeded, kJoined, kConferred, kSuspended };

class VirtualProcessor final : public cpu::Alarm, public AlarmClock::Sleeper {
 public:
  VirtualProcessor(Partition& partition, u32 server);
  ~VirtualProcessor() override;

  u32 server() const { return server_; }
  cpu::Thread& thread() { return thread_; }
  Partition& partition() { return partition_; }
  Dispatch dispatch() const { return dispatch_.load(); }

  /// RTAS start-cpu, boot: state stopped -> running at `address` with r3. False: not stopped.
  bool start(u64 address, u64 r3, bool sf);
  /// Starts the host thread on the present state (after a restore). kSuspended is the caller of
  /// ibm,suspend-me, which goes on; kStopped starts nothing.
  void start_restored(Dispatch as);
  /// After a restore: what dispatch() said when the state was saved; Partition::start_restored() acts on it.
  void restore_dispatch(Dispatch as) { dispatch_ = as; }
  /// After a stop from outside: where it was and goes on from by start_restored().
  Dispatch stopped_as() const { return stopped_as_; }
  void request_stop();  ///< Asks without waiting.
  void stop();          ///< Any thread but its own: returns when the host thread has ended.
  /// Gives its host processor to others until then, wherever its program is: stolen time. Any thread; not in
  /// deterministic mode, whose time does not pass meanwhile.
  void preempt_until(std::chrono::steady_clock::time_point until);
  void wake();  ///< Interrupt line, PROD, or a request arrived.
  void prod();  ///< H_PROD: sets the prod flag and wakes.

  // Called on its own host thread by hcall handlers.
  void cede();                  ///< H_CEDE
  i64 join();                   ///< H_JOIN
  void confer_until_prodded();  ///< H_CONFER to itself
  void halt();  ///< The host thread ends instead of returning to the guest (stop-self, power-off).
  bool halted() const { return halted_; }
  void enter_suspension();  ///< ibm,suspend-me: not dispatched...
  void leave_suspension();  ///< ...and dispatched again.

  /// True if it cannot run guest code until somebody starts or prods it.
  bool at_rest();
  /// As at_rest(), and stays so until release() whatever arrives (ibm,suspend-me).
  bool hold();
  void release();

  void arm(u64 deadline) override;
  void alarm() override;

  // Per-processor areas (PAPR 5); logical real addresses, 0 = not registered.
  u64 vpa = 0, slb_shadow = 0, dtl = 0;
  u64 dtl_bytes = 0, dtl_index = 0;
  std::atomic<u32> yield_count{0};  ///< Even while dispatched.
  std::atomic<bool> prodded{false};
  /// PURR up to now; any thread.
  u64 purr() const;
  void set_purr(u64 value);  ///< Not while dispatched.

 private:
  void loop(Dispatch as);
  void rest_if_preempted();
  bool wait(Dispatch as, bool interrupts_wake);
  bool may_wake(bool interrupts_wake) const;
  void pass_time(OutsideEvents& events, std::unique_lock<std::mutex>& guard, bool interrupts_wake);
  void launch(Dispatch as);
  void begin_dispatch();
  void end_dispatch();
  void count_dispatch(bool running);
  void log_dispatch(u8 dispatch_reason, u8 preempt_reason, u64 waited);

  Partition& partition_;
  u32 server_;
  cpu::Thread thread_;
  std::mutex start_lock_;  ///< One start or stop at a time; taken before lock_.
  std::thread host_;
  std::mutex lock_;
  std::condition_variable changed_;
  std::atomic<Dispatch> dispatch_{Dispatch::kStopped};
  std::atomic<bool> stop_requested_{false}, halted_{false};
  std::atomic<std::chrono::steady_clock::time_point> preempted_until_{};
  /// For purr(): PURR while undispatched; with the top bit, what PURR is ahead of the time base.
  std::atomic<u64> account_{0};
  Dispatch stopped_as_ = Dispatch::kStopped;  ///< Written by the host thread, read after its end.
  bool parked_ = false;                       ///< Waits, and has written its yield count.
  bool held_ = false;
};

}  // namespace baton::hypervisor
