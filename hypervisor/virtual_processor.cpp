// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/virtual_processor.h"

#include <fmt/format.h>
#include <pthread.h>

#include "hypervisor/hcall.h"
#include "hypervisor/outside_events.h"
#include "hypervisor/partition.h"
#include "hypervisor/system.h"

namespace baton::hypervisor {
namespace {

/// Offsets in the virtual processor area and in a trace log entry (PAPR 5.1, 5.3).
constexpr u64 kVpaDtlEnable = 0xB8, kVpaYieldCount = 0x100, kVpaDtlIndex = 0x218;
constexpr u64 kDtlEntry = 48;
constexpr u8 kDtlVoluntary = 1;
constexpr u64 kDispatched = u64{1} << 63;
enum DispatchReason : u8 { kByExternal = 0, kByProd = 2, kByDecrementer = 3, kByReset = 4 };
enum PreemptReason : u8 { kCededCycles = 2, kConferredCycles = 3 };

/// 512 MHz: 125 ns are 64 ticks. Rounded up, so that no alarm comes early; DEC has only 31 bits.
std::chrono::nanoseconds ticks_to_ns(u64 ticks) {
  return std::chrono::nanoseconds(ticks ? std::min(ticks, u64{1} << 32) * 125 / 64 + 1 : 0);
}
u64 ns_to_ticks(std::chrono::nanoseconds ns) { return static_cast<u64>(ns.count()) / 125 * 64; }

}  // namespace

VirtualProcessor::VirtualProcessor(Partition& partition, u32 server)
    : partition_(partition), server_(server), thread_(partition.domain(), server, this) {
  partition.system().alarm_clock().enroll(*this);
}

VirtualProcessor::~VirtualProcessor() {
  stop();
  partition_.system().alarm_clock().withdraw(*this);
}

bool VirtualProcessor::start(u64 address, u64 r3, bool sf) {
  std::lock_guard start_guard(start_lock_);
  if (dispatch_ != Dispatch::kStopped) return false;
  if (host_.joinable()) host_.join();  // A host thread that is stopped has at most its last statement left.
  partition_.xics().reset_server(server_);
  thread_.reset(address, r3, sf);
  prodded = false;
  launch(Dispatch::kRunning);
  return true;
}

void VirtualProcessor::start_restored(Dispatch as) {
  std::lock_guard start_guard(start_lock_);
  if (host_.joinable()) return;
  if (as == Dispatch::kStopped) return;
  thread_.state_changed();
  thread_.arm_decrementer();  // DEC went on counting while the partition was away.
  launch(as == Dispatch::kSuspended ? Dispatch::kRunning : as);
}

/// start_lock_ held.
void VirtualProcessor::launch(Dispatch as) {
  stop_requested_ = halted_ = false;
  {
    std::lock_guard guard(lock_);
    held_ = false;
    dispatch_ = as;
  }
  stopped_as_ = Dispatch::kRunning;
  host_ = std::thread([this, as] { loop(as); });
}

void VirtualProcessor::request_stop() {
  stop_requested_ = true;
  thread_.kick();
  wake();
}

void VirtualProcessor::stop() {
  std::lock_guard start_guard(start_lock_);
  request_stop();
  if (host_.joinable()) host_.join();
  dispatch_ = Dispatch::kStopped;
}

void VirtualProcessor::preempt_until(std::chrono::steady_clock::time_point until) {
  preempted_until_ = until;
  thread_.kick();
  wake();
}

void VirtualProcessor::rest_if_preempted() {
  const auto over = [this] {
    return stop_requested_ || std::chrono::steady_clock::now() >= preempted_until_.load();
  };
  if (over()) return;
  end_dispatch();
  for (std::unique_lock guard(lock_); !over();) changed_.wait_until(guard, preempted_until_.load());
  begin_dispatch();
}

void VirtualProcessor::wake() {
  // The waiter tests its condition under the lock; passing through it here rules out a lost wake-up.
  {
    std::lock_guard guard(lock_);
  }
  changed_.notify_all();
}

void VirtualProcessor::prod() {
  prodded = true;
  wake();
}

void VirtualProcessor::halt() { halted_ = true; }

void VirtualProcessor::loop(Dispatch as) {
  pthread_setname_np(pthread_self(), fmt::format("{:.9}:{}", partition_.name(), server_).c_str());
  std::optional<cpu::Sampler> sampler;
  if (partition_.domain().engine().statistics) sampler.emplace(thread_.statistics());
  if (as == Dispatch::kRunning)
    begin_dispatch();
  else
    wait(as, as == Dispatch::kCeded || (thread_.state().msr & cpu::msr::EE));
  OutsideEvents* events = partition_.outside_events();
  while (!stop_requested_ && !halted_) {
    cpu::Exit exit;
    if (!events) {
      exit = thread_.run();
    } else if (const u64 budget = events->apply()) {
      exit = events->run(thread_, budget);
    } else {
      partition_.stopped();
      break;
    }
    if (exit == cpu::Exit::kHypercall)
      dispatch_hcall(*this);
    else if (!events && !stop_requested_)
      rest_if_preempted();
  }
  if (halted_) stopped_as_ = Dispatch::kStopped;
  // A partition that was stopped from outside may live elsewhere by now: its memory is left alone.
  if (stop_requested_)
    thread_.undispatched();
  else
    end_dispatch();
  std::lock_guard guard(lock_);
  if (dispatch_ != Dispatch::kSuspended) dispatch_ = Dispatch::kStopped;
}

bool VirtualProcessor::may_wake(bool interrupts_wake) const {
  if (stop_requested_) return true;
  if (held_) return false;
  const u32 lines = thread_.state().lines.load(std::memory_order_seq_cst);
  return prodded || (lines & cpu::line::kSystemReset) || (interrupts_wake && lines);
}

/// Waits in deterministic mode: for as long as the host's time takes until the decrementer expires, unless
/// something comes from outside or is read from a log. lock_ is held, but not while anything is applied.
void VirtualProcessor::pass_time(OutsideEvents& events, std::unique_lock<std::mutex>& guard,
                                 bool interrupts_wake) {
  PartitionClock& clock = partition_.clock();
  while (!may_wake(interrupts_wake)) {
    const u64 now = clock.time_base();
    const u64 deadline = interrupts_wake ? std::max(now, thread_.state().dec_deadline) : ~u64{0};
    u64 reached = deadline;
    if (events.replaying()) {
      const auto next = events.next_in_wait();
      if (next) reached = std::clamp(*next, now, deadline);
      if (!next && !interrupts_wake)
        return changed_.wait(guard, [&] { return stop_requested_.load(); });  // The log has nothing more.
    } else {
      const auto began = std::chrono::steady_clock::now();
      const auto something = [&] { return events.waiting() || may_wake(interrupts_wake); };
      if (interrupts_wake)
        changed_.wait_until(guard, began + ticks_to_ns(deadline - now), something);
      else
        changed_.wait(guard, something);
      if (stop_requested_) return;
      if (events.waiting()) {
        const auto passed = std::chrono::steady_clock::now() - began;
        reached = std::min(deadline, now + ns_to_ticks(passed));
      } else if (may_wake(interrupts_wake)) {
        return;
      }
    }
    clock.set_time_base(reached);
    guard.unlock();
    if (reached == deadline) thread_.decrementer_expired();
    events.apply();
    guard.lock();
  }
}

/// Leaves the host processor until something wakes the virtual one. The prod flag is consumed by the
/// dispatch. False: a stop was requested.
bool VirtualProcessor::wait(Dispatch as, bool interrupts_wake) {
  thread_.settle_decrementer();
  std::unique_lock guard(lock_);
  if (!may_wake(interrupts_wake)) {
    dispatch_ = as;
    guard.unlock();
    const u64 since = thread_.time_base();
    end_dispatch();
    guard.lock();
    parked_ = true;
    changed_.notify_all();
    if (OutsideEvents* events = partition_.outside_events())
      pass_time(*events, guard, interrupts_wake);
    else
      changed_.wait(guard, [&] { return may_wake(interrupts_wake); });
    parked_ = false;
    if (stop_requested_) {
      stopped_as_ = as;  // What would have woken it stays for the next time.
      dispatch_ = Dispatch::kRunning;
      return false;
    }
    const bool by_prod = prodded.exchange(false);
    dispatch_ = Dispatch::kRunning;
    guard.unlock();
    begin_dispatch();
    const u32 lines = thread_.state().lines.load();
    const u8 reason = by_prod                           ? kByProd
                      : lines & cpu::line::kSystemReset ? kByReset
                      : lines & cpu::line::kDecrementer ? kByDecrementer
                                                        : kByExternal;
    log_dispatch(reason, as == Dispatch::kCeded ? kCededCycles : kConferredCycles,
                 thread_.time_base() - since);
    return true;
  }
  dispatch_ = Dispatch::kRunning;
  if (stop_requested_) {
    stopped_as_ = as;
    return false;
  }
  prodded = false;
  return true;
}

void VirtualProcessor::begin_dispatch() {
  thread_.dispatched();
  account_ = kDispatched | (thread_.purr() - thread_.time_base());
  count_dispatch(true);
}

void VirtualProcessor::end_dispatch() {
  thread_.undispatched();
  account_ = thread_.purr();
  count_dispatch(false);
}

u64 VirtualProcessor::purr() const {
  const u64 account = account_;
  return account & kDispatched ? (account + thread_.time_base()) & ~kDispatched : account;
}

void VirtualProcessor::set_purr(u64 value) {
  thread_.set_purr(value);
  account_ = value;
}

void VirtualProcessor::count_dispatch(bool running) {
  if (((yield_count & 1) == 0) == running) return;
  yield_count++;
  if (vpa) partition_.memory().store<u32>(vpa + kVpaYieldCount, yield_count);
}

void VirtualProcessor::log_dispatch(u8 dispatch_reason, u8 preempt_reason, u64 waited) {
  const u64 entries = dtl_bytes / kDtlEntry;
  if (!dtl || !vpa || !entries) return;
  cpu::Memory& memory = partition_.memory();
  if (!(memory.load<u8>(vpa + kVpaDtlEnable).value_or(0) & kDtlVoluntary)) return;
  u8 entry[kDtlEntry] = {dispatch_reason, preempt_reason};
  store_be<u16>(entry + 2, static_cast<u16>(server_));
  store_be<u32>(entry + 12, static_cast<u32>(std::min<u64>(waited, ~u32{0})));
  store_be<u64>(entry + 16, thread_.time_base());
  store_be<u64>(entry + 32, thread_.state().nia);
  store_be<u64>(entry + 40, thread_.state().msr);
  memory.write(dtl + dtl_index % entries * kDtlEntry, entry);
  dtl_index++;
  memory.store<u64>(vpa + kVpaDtlIndex, dtl_index);
}

void VirtualProcessor::cede() {
  // The waking interrupt is taken by run() before the instruction after the call (PAPR 4.6).
  thread_.state().msr |= cpu::msr::EE;
  thread_.state().gpr[3] = 0;
  wait(Dispatch::kCeded, true);
}

void VirtualProcessor::confer_until_prodded() {
  thread_.state().gpr[3] = 0;
  wait(Dispatch::kConferred, thread_.state().msr & cpu::msr::EE);
}

i64 VirtualProcessor::join() {
  if (thread_.state().msr & cpu::msr::EE) return h::BadMode;
  {
    // Two last threads must not both find the other one active.
    std::lock_guard join_guard(partition_.join_lock());
    if (!partition_.others_active(*this)) return h::Continue;
    std::lock_guard guard(lock_);
    dispatch_ = Dispatch::kJoined;
  }
  thread_.state().gpr[3] = 0;  // A restored thread finds it when it is prodded.
  wait(Dispatch::kJoined, false);
  return h::Success;
}

void VirtualProcessor::enter_suspension() {
  {
    std::lock_guard guard(lock_);
    dispatch_ = Dispatch::kSuspended;
  }
  end_dispatch();
}

void VirtualProcessor::leave_suspension() {
  {
    std::lock_guard guard(lock_);
    dispatch_ = Dispatch::kRunning;
  }
  begin_dispatch();
}

bool VirtualProcessor::at_rest() {
  std::lock_guard guard(lock_);
  if (dispatch_ == Dispatch::kStopped) return true;
  return dispatch_ == Dispatch::kJoined && !may_wake(false);
}

bool VirtualProcessor::hold() {
  std::unique_lock guard(lock_);
  // One that has just joined still writes to its processor area.
  changed_.wait(guard, [&] { return dispatch_ != Dispatch::kJoined || parked_ || may_wake(false); });
  if (dispatch_ != Dispatch::kStopped && !(dispatch_ == Dispatch::kJoined && !may_wake(false))) return false;
  held_ = true;
  return true;
}

void VirtualProcessor::release() {
  {
    std::lock_guard guard(lock_);
    held_ = false;
  }
  changed_.notify_all();
}

void VirtualProcessor::arm(u64 deadline) {
  if (partition_.outside_events()) return;  // Thread::run sees to it.
  const u64 now = partition_.clock().time_base();
  partition_.system().alarm_clock().arm(
      *this, std::chrono::steady_clock::now() + ticks_to_ns(deadline - std::min(now, deadline)));
}

void VirtualProcessor::alarm() {
  thread_.alarm_expired();
  wake();
}

}  // namespace baton::hypervisor
