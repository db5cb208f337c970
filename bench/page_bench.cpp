// SPDX-License-Identifier: Apache-2.0
// Pages of a partition from one memory into a fresh one over TCP on this host, as a move's first round sends
// them. Bytes are pages covered.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <future>
#include <memory>
#include <string>

#include "cpu/memory.h"
#include "devices/authority.h"
#include "migration/page_engine.h"
#include "migration/socket.h"

namespace baton::migration {
namespace {

constexpr u64 kMemory = u64{512} << 20;

enum class Content { kFull, kZeros };

cpu::Memory& source_of(Content content) {
  const auto make = [](bool full) {
    auto memory = std::make_unique<cpu::Memory>(kMemory);
    for (u64 i = 0; full && i < kMemory / 8; i++) {
      const u64 value = i * 0x9E3779B97F4A7C15 | 1;
      std::memcpy(memory->host(i * 8), &value, 8);
    }
    return memory;
  };
  static const auto full = make(true), zeros = make(false);
  return content == Content::kFull ? *full : *zeros;
}

TlsIdentity identity() {
  static const auto made = [] {
    std::string name = (std::filesystem::temp_directory_path() / "baton-page-bench-XXXXXX").string();
    if (!mkdtemp(name.data())) std::abort();
    const std::filesystem::path directory = name;
    std::filesystem::permissions(directory, std::filesystem::perms::owner_all);
    auto out = std::make_shared<devices::TlsIdentity>(devices::local_identity(name, "bench"));
    std::filesystem::remove_all(directory);
    return out;
  }();
  return made;
}

/// Of the thread that asks.
double cpu_seconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

void first_round(benchmark::State& state, bool tls, Content content) {
  cpu::Memory& from = source_of(content);
  const TlsIdentity who = tls ? identity() : nullptr;
  {
    // A virtual host gets memory of its own at the first touch, which is no part of a move.
    cpu::Memory once(kMemory);
    std::memset(once.host(0), 1, kMemory);
  }
  double sending = 0, receiving = 0;
  for (auto _ : state) {
    state.PauseTiming();
    cpu::Memory to(kMemory);
    ListeningSocket listener("127.0.0.1", who);
    auto accepted = std::async(std::launch::async, [&] {
      auto socket = listener.accept();
      u8 first;
      socket->read({&first, 1});  // With TLS the handshake is part of it.
      return socket;
    });
    const auto socket = connect_to(listener.address(), std::chrono::seconds(10), who);
    const u8 first = 0;
    const std::span<const u8> hello[] = {{&first, 1}};
    socket->write(hello);
    const auto peer = accepted.get();
    state.ResumeTiming();

    auto received = std::async(std::launch::async, [&] {
      const double start = cpu_seconds();
      FrameReader reader(*peer);
      PageReceiver receiver(to);
      while (!receiver.complete()) receiver.apply(reader.read().payload);
      receiving += cpu_seconds() - start;
    });
    const double start = cpu_seconds();
    FrameWriter writer(*socket);
    PageSender sender(writer, from);
    SentPages sent(from.frames());
    sender.skip_unchanged(sent);
    for (u64 frame = 0; frame < from.frames(); frame++) sender.add(frame);
    sender.flush();
    sending += cpu_seconds() - start;
    received.get();

    state.PauseTiming();
    if (std::memcmp(from.host(0), to.host(0), kMemory) != 0) state.SkipWithError("the memories differ");
    state.ResumeTiming();
  }
  const u64 bytes = state.iterations() * kMemory;
  state.SetBytesProcessed(static_cast<i64>(bytes));
  // What each side could do with a processor of its own: on a busy host this says more than the time.
  state.counters["sender_GB/s"] = static_cast<double>(bytes) / sending / 1e9;
  state.counters["receiver_GB/s"] = static_cast<double>(bytes) / receiving / 1e9;
}

BENCHMARK_CAPTURE(first_round, plain, false, Content::kFull)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(first_round, tls, true, Content::kFull)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(first_round, zeros, false, Content::kZeros)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace baton::migration
