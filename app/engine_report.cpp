// SPDX-License-Identifier: Apache-2.0
#include "app/engine_report.h"

#include <fmt/format.h>
#include <unistd.h>

#include <numeric>
#include <stdexcept>

#include "cpu/engine/llvm/compiler.h"
#include "hypervisor/virtual_processor.h"

namespace baton::app {
namespace {

constexpr const char* kPlaceNames[cpu::kPlaces] = {"interpreter", "stencils", "regions",
                                                   "rest of Baton and host"};
/// By cpu::Stop; empty: never seen from outside an engine.
constexpr const char* kStopNames[cpu::kStops] = {
    "", "interrupt of an instruction", "hypervisor call", "rfid", "asked to", "again", "", ""};
struct Miss {
  cpu::Event event;
  const char* name;
};
constexpr Miss kMisses[] = {{cpu::Event::kDataLookasideMisses, "data look-aside"},
                            {cpu::Event::kFetchLookasideMisses, "fetch look-aside"},
                            {cpu::Event::kTableReloads, "read from the page table"},
                            {cpu::Event::kSlbMisses, "SLB"}};

std::string percent(u64 part, u64 whole) {
  return fmt::format("{:.1f} %", whole ? 100.0 * part / whole : 0.0);
}

std::string report(hypervisor::VirtualProcessor& processor) {
  const cpu::EngineStatistics& s = processor.thread().statistics();
  const u64 samples = std::accumulate(s.samples.begin(), s.samples.end(), u64{0});
  std::string text =
      fmt::format("  processor {}: {} instructions, {:.2f} s of host processor time\n", processor.server(),
                  processor.thread().instructions(), static_cast<double>(s.cpu_ns) / 1e9);
  text += "    time:    ";
  for (std::size_t i = 0; i < cpu::kPlaces; i++)
    text += fmt::format("{}{} {}", i ? ", " : "", kPlaceNames[i], percent(s.samples[i], samples));
  text += fmt::format(
      "\n    code:    {} instructions decoded, {} compiled in {:.1f} ms ({:.2f} us each), cache full {} "
      "times\n",
      s.decoded, s.compiled, s.compile_ns / 1e6, s.compiled ? s.compile_ns / 1e3 / s.compiled : 0.0,
      s.cache_full);
  text += "    left:    ";
  const char* separator = "";
  for (std::size_t i = 0; i < cpu::kStops; i++) {
    if (!*kStopNames[i]) continue;
    text += fmt::format("{}{} {}", separator, kStopNames[i], s.stops[i]);
    separator = ", ";
  }
  text += "\n    misses:  ";
  separator = "";
  for (const Miss& miss : kMisses) {
    text += fmt::format("{}{} {}", separator, miss.name,
                        processor.thread().state().events.totals[static_cast<unsigned>(miss.event)]);
    separator = ", ";
  }
  return text + "\n";
}

std::string report(const cpu::llvm_engine::Statistics& s) {
  const u64 instructions = s.instructions;
  return fmt::format(
      "  regions: {} compiled, {} instructions to {} kB in {:.1f} ms ({:.0f} us each), {} not compiled, "
      "{} dropped\n",
      s.regions.load(), instructions, s.code_bytes.load() >> 10, s.nanoseconds / 1e6,
      instructions ? s.nanoseconds / 1e3 / instructions : 0.0, s.failed.load(), s.dropped.load());
}

}  // namespace

std::string engine_report(hypervisor::ManagedSystem& system) {
  std::string text;
  for (const auto& partition : system.partitions()) {
    text += fmt::format("partition {}\n", partition->name());
    for (const auto& processor : partition->processors()) text += report(*processor);
    if (partition->processors().empty()) continue;
    if (auto* compiler = partition->processors().front()->thread().domain().compiler())
      text += report(compiler->statistics());
  }
  return text;
}

PerfMap::PerfMap(Symbols symbols) : symbols_(std::move(symbols)) {
  const std::string path = fmt::format("/tmp/perf-{}.map", ::getpid());
  file_.open(path);
  if (!file_)
    throw std::runtime_error(path + " cannot be written; make room in /tmp or leave out --perf-map.");
}

void PerfMap::compiled(const void* code, u64 bytes, u64 ea) {
  if (!bytes) return;
  const std::string name = symbols_.at(ea);
  const std::string line = fmt::format("{:x} {:x} [guest] {}\n", reinterpret_cast<u64>(code), bytes,
                                       name.empty() ? fmt::format("{:x}", ea) : name);
  std::lock_guard guard(lock_);
  file_ << line << std::flush;
}

}  // namespace baton::app
