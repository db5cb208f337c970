// SPDX-License-Identifier: Apache-2.0
#include "cpu/engine/statistics.h"

#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <mutex>
#include <stdexcept>
#include <string>

// Where cpu/engine/interpreter.cpp puts its handlers; named by the linker.
extern "C" const char __start_baton_interpreter[], __stop_baton_interpreter[];

namespace baton::cpu {
namespace {

constexpr long kPeriodNs = 1'000'000;

/// Read by signal handlers, so without a lock: `end` is 0 while the row is not in use.
struct Range {
  std::atomic<u64> begin{0}, end{0};
  std::atomic<Place> place{Place::kRest};
};
/// A row for each code cache; whoever finds none is counted with the rest.
std::array<Range, 256> ranges;
std::mutex ranges_lock;  ///< Between those who write.

thread_local EngineStatistics* sampled = nullptr;

Place place_of(u64 address) {
  if (address >= reinterpret_cast<u64>(__start_baton_interpreter) &&
      address < reinterpret_cast<u64>(__stop_baton_interpreter))
    return Place::kInterpreter;
  for (const Range& range : ranges)
    if (address < range.end.load(std::memory_order_acquire) && address >= range.begin.load())
      return range.place.load();
  return Place::kRest;
}

void sample(int, siginfo_t*, void* context) {
  EngineStatistics* into = sampled;
  if (!into) return;
  const auto address = static_cast<u64>(static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP]);
  into->samples[static_cast<std::size_t>(place_of(address))]++;
}

}  // namespace

Sampler::Sampler(EngineStatistics& into) {
  static const bool installed = [] {
    struct sigaction action{};
    action.sa_sigaction = sample;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    return sigaction(SIGPROF, &action, nullptr) == 0;
  }();
  sampled = &into;
  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = SIGPROF;
  event._sigev_un._tid = static_cast<pid_t>(syscall(SYS_gettid));
  const itimerspec period{{0, kPeriodNs}, {0, kPeriodNs}};
  if (!installed || timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer_) != 0)
    throw std::runtime_error(std::string("The host has no timer for --engine-stats (") +
                             std::strerror(errno) + "); run without it.");
  timer_settime(timer_, 0, &period, nullptr);
}

Sampler::~Sampler() {
  timer_delete(timer_);
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  sampled->cpu_ns += static_cast<u64>(now.tv_sec) * 1'000'000'000 + static_cast<u64>(now.tv_nsec);
  sampled = nullptr;
}

void claim_code(Place place, const void* begin, u64 size) {
  std::lock_guard guard(ranges_lock);
  for (Range& range : ranges) {
    if (range.end.load() != 0) continue;
    range.begin = reinterpret_cast<u64>(begin);
    range.place = place;
    range.end.store(reinterpret_cast<u64>(begin) + size, std::memory_order_release);
    return;
  }
}

void release_code(const void* begin) {
  std::lock_guard guard(ranges_lock);
  for (Range& range : ranges)
    if (range.end.load() != 0 && range.begin.load() == reinterpret_cast<u64>(begin)) range.end = 0;
}

}  // namespace baton::cpu
