// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/outside_events.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sstream>
#include <stdexcept>

#include "hypervisor/adapter.h"
#include "hypervisor/partition.h"
#include "hypervisor/virtual_processor.h"

namespace baton::hypervisor {
namespace {

constexpr std::string_view kHeading = "baton outside events 1";
/// Files are read as a whole; nothing that a partition takes in at once is longer.
constexpr std::size_t kLongestData = 128 << 10;

struct KindRow {
  OutsideEvents::Kind kind;
  const char* name;
};
constexpr KindRow kKinds[] = {{OutsideEvents::Kind::kTerminal, "terminal"},
                              {OutsideEvents::Kind::kFrame, "frame"},
                              {OutsideEvents::Kind::kShutdown, "shutdown"}};

std::string to_hex(std::span<const u8> data) {
  std::string text;
  for (const u8 byte : data) text += fmt::format("{:02x}", byte);
  return text.empty() ? "-" : text;
}

bool from_hex(std::string_view text, std::vector<u8>& data) {
  if (text == "-") return true;
  if (text.size() % 2 || text.size() / 2 > kLongestData) return false;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    u8 byte = 0;
    for (const char c : text.substr(i, 2)) {
      if (!std::isxdigit(static_cast<unsigned char>(c))) return false;
      byte = static_cast<u8>(byte << 4 | (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10));
    }
    data.push_back(byte);
  }
  return true;
}

}  // namespace

OutsideEvents::OutsideEvents(Partition& partition, const Determinism& how)
    : partition_(partition), how_(how) {
  if (partition.profile().processors != 1)
    throw std::runtime_error(
        fmt::format("Partition {} has {} processors; in deterministic mode it must have one: correct "
                    "processors in its profile.",
                    partition.name(), partition.profile().processors));
  if (!how.replay.empty()) read(how.replay);
  if (how.record.empty()) return;
  log_.open(how.record, std::ios::app);
  if (!log_)
    throw std::runtime_error(
        fmt::format("The log of outside events {} cannot be written ({}); name another file.", how.record,
                    std::strerror(errno)));
  if (log_.tellp() == 0) log_ << kHeading << "\n";
}

void OutsideEvents::read(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!file || !std::getline(file, line) || line != kHeading)
    throw std::runtime_error(
        fmt::format("{} is no log of outside events; name a file that --record has written.", path));
  for (unsigned number = 2; std::getline(file, line); number++) {
    std::istringstream fields(line);
    Event event;
    std::string kind, data;
    u32 partition = 0;
    const bool complete = static_cast<bool>(fields >> partition >> event.instructions >> event.time_base >>
                                            kind >> event.slot >> data);
    const auto* row = std::ranges::find_if(kKinds, [&](const KindRow& known) { return kind == known.name; });
    if (!complete || row == std::end(kKinds) || !from_hex(data, event.data))
      throw std::runtime_error(
          fmt::format("{}, line {}: this is no outside event; record it again.", path, number));
    event.kind = row->kind;
    if (partition == partition_.id()) replay_.push_back(std::move(event));
  }
}

u64 OutsideEvents::now() const { return partition_.instructions(); }

void OutsideEvents::submit(Kind kind, u32 slot, std::span<const u8> data) {
  if (replaying()) return;
  {
    std::lock_guard guard(lock_);
    queue_.push_back({0, 0, kind, slot, {data.begin(), data.end()}});
    waiting_ = true;
  }
  partition_.processor(0)->thread().kick();
  partition_.processor(0)->wake();
}

void OutsideEvents::perform(const Event& event) {
  const auto adapter = partition_.adapters().find(event.slot);
  VirtualAdapter* at = adapter == partition_.adapters().end() ? nullptr : adapter->second.get();
  switch (event.kind) {
    case Kind::kTerminal:
      if (auto* terminal = dynamic_cast<Vterm*>(at)) terminal->arrived(event.data);
      break;
    case Kind::kFrame:
      if (auto* lan = dynamic_cast<LogicalLan*>(at)) lan->arrived(event.data);
      break;
    case Kind::kShutdown:
      partition_.shutdown_arrived();
      break;
  }
}

u64 OutsideEvents::apply() {
  const u64 instructions = now(), time_base = partition_.clock().time_base();
  u64 budget = how_.stop_at ? how_.stop_at - std::min(how_.stop_at, instructions) : cpu::Thread::kNoLimit;
  if (how_.digest_every) {
    if (instructions && instructions % how_.digest_every == 0 && instructions != digested_)
      how_.digested(partition_);
    digested_ = instructions;
    budget = std::min(budget, how_.digest_every - instructions % how_.digest_every);
  }
  if (replaying()) {
    while (!replay_.empty() && replay_.front().instructions == instructions &&
           replay_.front().time_base == time_base) {
      perform(replay_.front());
      replay_.pop_front();
    }
    if (replay_.empty()) return budget;
    if (replay_.front().instructions <= instructions) {
      // It was recorded in a wait that this run has not had.
      partition_.set_error(fmt::format("B2000D01 replay diverged at instruction {}", instructions));
      return 0;
    }
    return std::min(budget, replay_.front().instructions - instructions);
  }
  if (!waiting_) return budget;
  // A replay could not tell this place from the one before the interrupt, which has the same number.
  if (!partition_.processor(0)->thread().instructions_tell()) return 1;
  std::deque<Event> events;
  {
    std::lock_guard guard(lock_);
    events.swap(queue_);
    waiting_ = false;
  }
  for (Event& event : events) {
    event.instructions = instructions;
    event.time_base = time_base;
    perform(event);
    if (!log_.is_open()) continue;
    const auto* row = std::ranges::find(kKinds, event.kind, &KindRow::kind);
    log_ << fmt::format("{} {} {} {} {} {}\n", partition_.id(), event.instructions, event.time_base,
                        row->name, event.slot, to_hex(event.data))
         << std::flush;
  }
  return budget;
}

std::optional<u64> OutsideEvents::next_in_wait() const {
  if (replay_.empty() || replay_.front().instructions != now()) return {};
  return replay_.front().time_base;
}

cpu::Exit OutsideEvents::run(cpu::Thread& thread, u64 budget) {
  const u64 first = how_.trace_from, end = first + how_.trace_count;
  const u64 done = thread.instructions();
  if (!how_.traced || done >= end) return thread.run(budget);
  if (done < first) return thread.run(std::min(budget, first - done));
  thread.take_interrupts();  // First, so that the address is that of what is executed.
  how_.traced(thread.state());
  const cpu::Exit exit = thread.run(1);
  if (thread.instructions() >= end) how_.traced(thread.state());
  return exit;
}

// ---- digest

namespace {

class Hash {
 public:
  Hash() : state_(XXH3_createState()) { XXH3_64bits_reset(state_); }
  ~Hash() { XXH3_freeState(state_); }
  Hash(const Hash&) = delete;
  Hash& operator=(const Hash&) = delete;
  void add(const void* data, std::size_t size) { XXH3_64bits_update(state_, data, size); }
  template <class... Values>
  void values(const Values&... all) {
    (add(&all, sizeof all), ...);
  }
  u64 result() const { return XXH3_64bits_digest(state_); }

 private:
  XXH3_state_t* state_;
};

u64 hash_of(const cpu::State& s) {
  Hash hash;
  hash.values(s.gpr, s.fpr, s.vr, s.cr, s.xer_so, s.xer_ov, s.xer_ca, s.xer_count, s.lr, s.ctr, s.msr, s.nia,
              s.fpscr, s.vscr, s.srr0, s.srr1, s.dar, s.dsisr, s.sprg, s.cfar, s.dscr, s.amr, s.ppr, s.ctrl,
              s.vrsave, s.dabr, s.dabrx, s.dec_deadline, s.reserved);
  for (const cpu::SlbEntry& entry : s.slb) hash.values(entry.esid, entry.vsid);
  return hash.result();
}

}  // namespace

std::string digest(Partition& partition) {
  Hash memory, table;
  for (u64 ra = 0; ra < partition.memory().size(); ra += cpu::kFrameSize) {
    const u8* frame = partition.memory().host(ra);
    if (frame[0] == 0 && std::memcmp(frame, frame + 1, cpu::kFrameSize - 1) == 0) continue;
    memory.values(ra);
    memory.add(frame, cpu::kFrameSize);
  }
  for (u64 ptex = 0; ptex < partition.hpt().entries(); ptex++) {
    const cpu::Hpte entry = partition.hpt().get(ptex);
    if (entry.v | entry.r) table.values(ptex, entry.v, entry.r);
  }
  const cpu::State& state = partition.processor(0)->thread().state();
  return fmt::format(
      "instructions {} time {} address {:x} registers {:016x} memory {:016x} page table {:016x}",
      partition.instructions(), partition.clock().time_base(), state.nia, hash_of(state), memory.result(),
      table.result());
}

}  // namespace baton::hypervisor
