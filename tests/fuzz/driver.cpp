// SPDX-License-Identifier: Apache-2.0
// baton_fuzz: cases by seed, each in a worker process that may break; every seed that fails is reported.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <map>
#include <new>
#include <string>
#include <thread>

#include "tests/fuzz/fuzz.h"

namespace baton::fuzz {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr Kind kKinds[] = {
    {"processor", run_processor_case, 12}, {"parallel", run_parallel_case, 4}, {"calls", run_calls_case, 3},
    {"partition", run_partition_case, 1},  {"stream", run_stream_case, 6},
};

/// What the worker is at; the parent reads it when the worker dies or stands still.
struct Progress {
  std::atomic<u64> seed;
  std::atomic<u64> kind;
  std::atomic<u64> done;
  std::array<std::atomic<u64>, std::size(kKinds)> cases;
};

struct Options {
  u64 seed = 1, cases = ~u64{0};
  double seconds = 10;
  std::string kind;
  unsigned failures = 10;
};

/// The kind of a case in a mixed run.
u64 kind_of(u64 seed) {
  unsigned shares = 0;
  for (const Kind& kind : kKinds) shares += kind.share;
  u64 left = seed % shares;
  for (u64 i = 0;; i++) {
    if (left < kKinds[i].share) return i;
    left -= kKinds[i].share;
  }
}

/// Runs cases from `seed` on until the time is over; the exit status is 0, or 1 after a finding.
int work(Progress& progress, const Options& options, u64 seed, u64 last, Clock::time_point end) {
  for (; seed != last && Clock::now() < end; seed++) {
    u64 kind = kind_of(seed);
    for (u64 i = 0; i < std::size(kKinds); i++)
      if (options.kind == kKinds[i].name) kind = i;
    progress.seed = seed;
    progress.kind = kind;
    try {
      kKinds[kind].run(Random(seed));
    } catch (const std::exception& problem) {
      fmt::print("baton_fuzz: {}\n", problem.what());
      std::fflush(stdout);
      return 1;
    }
    progress.cases[kind]++;
    progress.done++;
  }
  progress.seed = seed;
  return 0;
}

std::string outcome(int status) {
  if (WIFSIGNALED(status))
    return fmt::format("ended by signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)));
  return fmt::format("failed (status {})", WEXITSTATUS(status));
}

int run(const Options& options) {
  void* shared = mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) {
    std::perror("baton_fuzz: memory for its worker's progress");
    return 2;
  }
  auto& progress = *new (shared) Progress{};
  const auto start = Clock::now();
  const auto end =
      start + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options.seconds));
  const u64 last = options.cases == ~u64{0} ? ~u64{0} : options.seed + options.cases;
  // A worker ends after some time, so that what it may leak stays bounded.
  constexpr auto kWorkerLife = 60s, kCaseLimit = 120s;
  u64 seed = options.seed;
  unsigned failures = 0;
  while (seed != last && Clock::now() < end && failures < options.failures) {
    const auto worker_end = std::min(end, Clock::now() + kWorkerLife);
    const pid_t worker = fork();
    if (worker == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      const int status = work(progress, options, seed, last, worker_end);
      std::fflush(stdout);
      _exit(status);
    }
    u64 done = progress.done;
    auto since = Clock::now();
    int status = 0;
    bool stuck = false;
    while (waitpid(worker, &status, WNOHANG) == 0) {
      std::this_thread::sleep_for(5ms);
      if (done != progress.done) {
        done = progress.done;
        since = Clock::now();
      }
      if (Clock::now() - since > kCaseLimit && !stuck) {
        stuck = true;
        kill(worker, SIGABRT);
        std::this_thread::sleep_for(2s);
        kill(worker, SIGKILL);
      }
    }
    seed = progress.seed;
    if (stuck || status != 0) {
      failures++;
      const char* kind = kKinds[progress.kind].name;
      fmt::print("FAILED: {} case, seed {}: {}. To repeat: baton_fuzz --kind {} --seed {} --cases 1\n", kind,
                 seed, stuck ? "stands still" : outcome(status), kind, seed);
      std::fflush(stdout);
      seed++;
    }
  }
  std::string counts;
  for (u64 i = 0; i < std::size(kKinds); i++)
    counts += fmt::format(", {} {}", progress.cases[i].load(), kKinds[i].name);
  fmt::print("{} cases in {:.0f} s ({}), next seed {}: {} failed\n", progress.done.load(),
             std::chrono::duration<double>(Clock::now() - start).count(), counts.substr(2), seed, failures);
  return failures != 0;
}

}  // namespace

std::span<const Kind> kinds() { return kKinds; }

}  // namespace baton::fuzz

int main(int argc, char** argv) {
  baton::fuzz::Options options;
  CLI::App app("Runs random cases against the processor and the hypervisor (tests/fuzz/README.md).");
  app.add_option("--seconds", options.seconds, "How long (default 10)");
  app.add_option("--seed", options.seed, "The first case; the following ones count up");
  app.add_option("--cases", options.cases, "At most so many cases");
  std::vector<std::string> names;
  for (const auto& kind : baton::fuzz::kinds()) names.emplace_back(kind.name);
  app.add_option("--kind", options.kind, "One kind of cases only")->check(CLI::IsMember(names));
  app.add_option("--failures", options.failures, "Stop after so many failures (default 10)");
  app.add_flag("--trace", baton::fuzz::trace, "Print what a case does (processor cases: every instruction)");
  CLI11_PARSE(app, argc, argv);
  return baton::fuzz::run(options);
}
