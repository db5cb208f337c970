// SPDX-License-Identifier: Apache-2.0
#include "cpu/engine/llvm/compiler.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>

#include "cpu/thread.h"

namespace baton::cpu::llvm_engine {
namespace {

/// Where the module lies: beside the program, or where it was built.
std::array<std::filesystem::path, 2> places() {
  std::error_code none;
  return {std::filesystem::read_symlink("/proc/self/exe", none).parent_path() / "baton_llvm.so",
          BATON_LLVM_MODULE};
}

/// The module, loaded when it is first asked for; nullptr, and a line on stderr, if it cannot be.
Compile compile_function() {
  static const Compile function = []() -> Compile {
    void* module = nullptr;
    for (const auto& place : places())
      if (!module) module = dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!module) {
      std::fprintf(stderr, "baton: hot code is not compiled: %s; build the target baton_llvm.\n", dlerror());
      return nullptr;
    }
    return reinterpret_cast<Compile>(dlsym(module, kCompileSymbol));
  }();
  return function;
}

constexpr int kNice = 5, kRestingNice = 19;

/// Of the calling thread, in ns.
u64 cpu_now() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<u64>(now.tv_sec) * 1'000'000'000 + static_cast<u64>(now.tv_nsec);
}

}  // namespace

bool module_there() {
  return std::ranges::any_of(places(), [](const auto& place) { return access(place.c_str(), R_OK) == 0; });
}

bool Hot::overlaps(const OpPage& page, u64 first, u64 last) const {
  return std::ranges::any_of(region.blocks, [&](const Block& block) {
    return region.pages[block.page].ops == &page && block.index <= last &&
           block.index + block.instructions.size() > first;
  });
}

void Hot::die() {
  dead = true;
  if (replaced.empty()) return;
  std::size_t i = 0;
  const auto own = reinterpret_cast<Handler>(reinterpret_cast<u64>(code));
  entries([&](Op& op) {
    const Handler before = replaced[i++];
    const Handler now = op.fn.load(std::memory_order_relaxed);
    if (now == own) op.fn.store(before, std::memory_order_relaxed);
    if (now == return_at) forget_op(op);  // interpret_one() would put it back
  });
  replaced.clear();
}

Compiler::Compiler(unsigned threads) : thread_count_(threads) {}

Compiler::~Compiler() {
  {
    std::scoped_lock both(lock_, watch_lock_);
    stopping_ = watch_stopping_ = true;
  }
  wake_.notify_all();
  watch_wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
  if (sampler_.joinable()) sampler_.join();
}

void Compiler::compile(const Job& job) {
  const u64 start = cpu_now();
  Compiled& result = job.hot->compiled;
  if (const Compile function = compile_function())
    function(job.hot->region, natives(), result);
  else
    result.error = "no compiler";
  statistics_.nanoseconds += cpu_now() - start;
  u64 instructions = 0;
  for (const Block& block : job.hot->region.blocks) instructions += block.instructions.size();
  if (result.error.empty()) {
    statistics_.regions++;
    statistics_.instructions += instructions;
    statistics_.code_bytes += result.code.size();
  } else {
    statistics_.failed++;
  }
  std::lock_guard lock(job.inbox->lock);
  job.inbox->finished.push_back(job.hot);
  job.inbox->any.store(true, std::memory_order_release);
}

bool Compiler::submit(std::shared_ptr<Hot> hot, std::shared_ptr<Inbox> inbox) {
  if (at_once()) {
    compile({std::move(hot), std::move(inbox)});
    return true;
  }
  std::lock_guard lock(lock_);
  if (queue_.size() >= kQueue) {
    statistics_.dropped++;
    return false;
  }
  queue_.push_back({std::move(hot), std::move(inbox)});
  if (!resting_) start_workers();
  wake_.notify_one();
  return true;
}

void Compiler::rest() {
  std::lock_guard lock(lock_);
  resting_ = true;
  generation_++;
  // A thread's priority can be lowered by anybody and raised by few: workers that were slowed down end.
  for (const int task : tasks_) setpriority(PRIO_PROCESS, static_cast<id_t>(task), kRestingNice);
  tasks_.clear();
  wake_.notify_all();
}

void Compiler::resume() {
  std::lock_guard lock(lock_);
  resting_ = false;
  if (!queue_.empty()) start_workers();
}

void Compiler::start_workers() {
  if (started_ == generation_) return;
  started_ = generation_;
  for (unsigned i = 0; i < thread_count_; i++)
    workers_.emplace_back([this, generation = generation_] { work(generation); });
}

void Compiler::work(unsigned generation) {
  setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kNice);
  pthread_setname_np(pthread_self(), "regions");  // Else that of the processor that asked first.
  std::unique_lock lock(lock_);
  if (generation == generation_) tasks_.push_back(gettid());
  for (;;) {
    wake_.wait(lock, [&] { return stopping_ || generation != generation_ || !queue_.empty(); });
    if (stopping_ || generation != generation_) return;
    const Job job = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    compile(job);
    lock.lock();
  }
}

void Compiler::watch(Thread* thread) {
  std::lock_guard lock(watch_lock_);
  watched_.push_back(thread);
  if (!at_once() && !sampler_.joinable()) sampler_ = std::thread([this] { sample(); });
}

void Compiler::unwatch(Thread* thread) {
  std::lock_guard lock(watch_lock_);
  std::erase(watched_, thread);
}

void Compiler::sample() {
  using namespace std::chrono_literals;
  constexpr auto kOften = 1ms, kRarely = 20ms;
  std::unique_lock lock(watch_lock_);
  while (!watch_stopping_) {
    bool running = false;
    for (Thread* thread : watched_) {
      if (!(thread->run_sequence.load(std::memory_order_relaxed) & 1)) continue;
      running = true;
      thread->state().pending.fetch_or(pending::kSample, std::memory_order_relaxed);
    }
    watch_wake_.wait_for(lock, running ? kOften : kRarely);
  }
}

}  // namespace baton::cpu::llvm_engine
