// SPDX-License-Identifier: Apache-2.0
// Pages of a partition from one memory into a fresh one over TCP on this host, as a move's first round sends
// them. Bytes are pages covered.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <future>
#include <list>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "cpu/memory.h"
#include "devices/authority.h"
#include "migration/compression_choice.h"
#include "migration/page_channels.h"
#include "migration/socket.h"

namespace baton::migration {
namespace {

constexpr u64 kMemory = u64{512} << 20;

enum class Content {
  kFull,  ///< Random, which nothing makes smaller.
  kText,  ///< Half of it repeats.
  kZeros,
};

cpu::Memory& source_of(Content content) {
  const auto make = [](Content what) {
    auto memory = std::make_unique<cpu::Memory>(kMemory);
    for (u64 i = 0; what != Content::kZeros && i < kMemory / 8; i++) {
      u64 value = i * 0x9E3779B97F4A7C15 | 1;
      if (what == Content::kText) value = i % 4 < 2 ? i / 64 % 100 : value >> 40;
      std::memcpy(memory->host(i * 8), &value, 8);
    }
    return memory;
  };
  static const auto full = make(Content::kFull), text = make(Content::kText), zeros = make(Content::kZeros);
  return content == Content::kFull ? *full : content == Content::kText ? *text : *zeros;
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

/// Of the thread that asks, or of all (CLOCK_THREAD_CPUTIME_ID, CLOCK_PROCESS_CPUTIME_ID).
double cpu_seconds(clockid_t of) {
  timespec now;
  clock_gettime(of, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

/// Both ends of a channel.
struct Connection {
  explicit Connection(const TlsIdentity& who) {
    ListeningSocket listener("127.0.0.1", who);
    auto accepted = std::async(std::launch::async, [&] {
      auto socket = listener.accept();
      u8 first;
      socket->read({&first, 1});  // With TLS the handshake is part of it.
      return socket;
    });
    source = connect_to(listener.address(), std::chrono::seconds(10), who);
    const u8 first = 0;
    const std::span<const u8> hello[] = {{&first, 1}};
    source->write(hello);
    target = accepted.get();
    writer.emplace(*source);
  }
  std::unique_ptr<Socket> source, target;
  std::optional<FrameWriter> writer;
};

enum class Compression { kNone, kAll, kWhenItPays };

void first_round(benchmark::State& state, bool tls, Content content, u32 channels,
                 Compression compression = Compression::kNone) {
  cpu::Memory& from = source_of(content);
  const cpu::HashPageTable table(18);
  const TlsIdentity who = tls ? identity() : nullptr;
  std::vector<u64> frames(from.frames());
  std::iota(frames.begin(), frames.end(), u64{0});
  {
    // A virtual host gets memory of its own at the first touch, which is no part of a move.
    cpu::Memory once(kMemory);
    std::memset(once.host(0), 1, kMemory);
  }
  double working = 0, receiving = 0;
  u64 written = 0;
  for (auto _ : state) {
    state.PauseTiming();
    cpu::Memory to(kMemory);
    CompressionChoice choice(channels);
    std::list<Connection> connections;
    for (u32 i = 0; i < channels; i++) {
      FrameWriter& writer = *connections.emplace_back(who).writer;
      if (compression != Compression::kNone)
        writer.compress(compression == Compression::kAll ? nullptr : &choice);
    }
    state.ResumeTiming();

    const double start = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID);
    PageReceiver receiver(to);
    std::vector<std::future<double>> received;
    for (Connection& connection : connections) {
      received.push_back(std::async(std::launch::async, [&] {
        FrameReader reader(*connection.target);
        for (Frame frame = reader.read(); frame.type == FrameType::kMemory; frame = reader.read())
          receiver.apply(frame.payload);
        return cpu_seconds(CLOCK_THREAD_CPUTIME_ID);
      }));
    }
    PageChannels sender(from, table, *connections.front().writer);
    for (auto connection = std::next(connections.begin()); connection != connections.end(); ++connection)
      sender.add(*connection->writer);
    sender.skip_unchanged();
    sender.send({}, frames, [](u64) {}, std::atomic<bool>(false));
    sender.end_round();
    for (std::future<double>& one : received) receiving += one.get();
    working += cpu_seconds(CLOCK_PROCESS_CPUTIME_ID) - start;
    written += sender.bytes();

    state.PauseTiming();
    if (std::memcmp(from.host(0), to.host(0), kMemory) != 0) state.SkipWithError("the memories differ");
    state.ResumeTiming();
  }
  const u64 bytes = state.iterations() * kMemory;
  state.SetBytesProcessed(static_cast<i64>(bytes));
  // What each side could do with a processor of its own: on a busy host this says more than the time.
  state.counters["sender_GB/s"] = static_cast<double>(bytes) / (working - receiving) / 1e9;
  state.counters["receiver_GB/s"] = static_cast<double>(bytes) / receiving / 1e9;
  state.counters["share_sent"] = static_cast<double>(written) / static_cast<double>(bytes);
}

/// By 1, 2, 4 and 8 channels.
void plain(benchmark::State& state) {
  first_round(state, false, Content::kFull, static_cast<u32>(state.range(0)));
}
void tls(benchmark::State& state) {
  first_round(state, true, Content::kFull, static_cast<u32>(state.range(0)));
}
void zeros(benchmark::State& state) {
  first_round(state, false, Content::kZeros, static_cast<u32>(state.range(0)));
}

void text(benchmark::State& state, Compression compression) {
  first_round(state, false, Content::kText, static_cast<u32>(state.range(0)), compression);
}

BENCHMARK(plain)->RangeMultiplier(2)->Range(1, 8)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(tls)->RangeMultiplier(2)->Range(1, 8)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(zeros)->Arg(1)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(text, none, Compression::kNone)->Arg(1)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(text, zstd, Compression::kAll)
    ->Arg(1)
    ->Arg(2)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(text, auto, Compression::kWhenItPays) -> Arg(1) -> UseRealTime()
    -> Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace baton::migration
