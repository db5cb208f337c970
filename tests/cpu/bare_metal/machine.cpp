// SPDX-License-Identifier: Apache-2.0
#include "tests/cpu/bare_metal/machine.h"

#include <iomanip>
#include <sstream>
#include <utility>

namespace baton::bare_metal {
namespace {

constexpr u32 kScOne = 0x44000022;
constexpr u64 kVectorEnd = 0x3000;
constexpr Segment kCodeSegment{.ea = Machine::kCode, .vsid = 0xC0DE, .index = 63};

u64 hash(const Segment& segment, u64 ea) {
  const u64 page = (ea & segment.size_mask()) >> segment.base_shift();
  u64 h = segment.vsid ^ page;
  if (segment.terabyte) h ^= segment.vsid << 25;
  return h & 0x7F'FFFF'FFFF;
}

std::string hex(u64 value) {
  std::ostringstream out;
  out << "0x" << std::hex << value;
  return out.str();
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const Stop& stop) {
  if (stop.exit == Exit::kKicked) return out << "kicked";
  if (stop.exit == Exit::kBudget) return out << "out of budget";
  if (stop.vector != Vector::kNone) return out << "interrupt " << hex(static_cast<u64>(stop.vector));
  return out << "sc 1 at " << hex(stop.at);
}

Machine::Machine(unsigned threads, u64 memory, unsigned hpt_log2)
    : Hardware(threads, memory, hpt_log2), image_(Image::get("machine")), starts_(threads) {
  EXPECT_LT(image_.bytes().size(), kScratch);
  EXPECT_TRUE(this->memory().write(0, image_.bytes()));
}

void Machine::hook(Vector vector, const std::string& symbol) {
  const u64 from = static_cast<u64>(vector);
  store32(from, 0x48000000 | static_cast<u32>((at(symbol) - from) & 0x03FFFFFC));
}
void Machine::assemble(const std::vector<u32>& words, bool little_endian) {
  u64 ra = kScratch;
  const auto put = [&](u32 word) {
    store32(std::exchange(ra, ra + 4), little_endian ? byteswap(word) : word);
  };
  for (u32 word : words) put(word);
  put(kScOne);
}
void Machine::unhook(Vector vector) { store32(static_cast<u64>(vector), kScOne); }

cpu::Hpte Machine::entry(const Segment& segment, const Page& page) {
  const unsigned shift = page.shift ? page.shift : segment.base_shift();
  const u64 offset = page.ea & segment.size_mask();
  const u64 size = u64{1} << shift;
  cpu::Hpte entry;
  entry.v = pte::kValid | (page.secondary ? 2 : 0);
  if (segment.terabyte)
    entry.v |= u64{1} << 62 | (segment.vsid << 17 | offset >> 23) << 7;
  else
    entry.v |= (segment.vsid << 5 | offset >> 23) << 7;
  entry.r = (page.ra & ~(size - 1)) | 0x10 | page.rights;
  if (shift != 12) {
    entry.v |= 4;
    // Code of the page size in its segment, in the low bits of the page number.
    const u64 code = shift == 34 ? 3 : shift == 24 ? 0 : segment.base_shift() == 12 ? 7 : 1;
    entry.r |= code << 12;
    // Address bits within the page are not part of the name.
    if (shift > 23) entry.v &= ~(((u64{1} << (shift - 23)) - 1) << 7);
  }
  return entry;
}

u64 Machine::ptex(const Segment& segment, const Page& page) {
  u64 h = hash(segment, page.ea);
  if (page.secondary) h = ~h;
  const u64 groups = u64{1} << (hpt().log2_bytes() - 7);
  return (h & (groups - 1)) * 8 + page.slot;
}

u64 Machine::map(const Segment& segment, const Page& page) {
  const u64 where = ptex(segment, page);
  hpt().set(where, entry(segment, page));
  return where;
}

u64 Machine::unmap(u64 ptex) {
  const cpu::Hpte old = hpt().get(ptex);
  hpt().invalidate(ptex);
  domain().forget_translation(ptex, old);
  return hpt().get(ptex).r;
}

void Machine::map_code(unsigned i) {
  slb(kCodeSegment, i);
  for (u64 ra = 0; ra < kData; ra += 4096) map(kCodeSegment, {.ea = kCode + ra, .ra = ra, .slot = 7});
}

void Machine::go(const std::string& symbol, u64 msr, unsigned i) {
  go(at(symbol) + (msr & msr::IR ? kCode : 0), msr, i);
}

void Machine::go(u64 nia, u64 msr, unsigned i) {
  cpu::State& s = state(i);
  starts_[i] = {msr, nia};
  s.nia = nia;
  s.msr = msr;
  thread(i).update_mode();
}

static Stop describe(Exit exit, const cpu::State& s) {
  Stop stop{.exit = exit};
  if (exit == Exit::kHypercall) {
    stop.at = s.nia - 4;
    if (stop.at < kVectorEnd && !(s.msr & msr::IR)) stop.vector = static_cast<Vector>(stop.at);
  }
  return stop;
}

Stop Machine::run(unsigned i, u64 budget) { return describe(thread(i).run(budget), state(i)); }

testing::AssertionResult completed(const Stop& stop) {
  if (stop.exit == Exit::kHypercall && stop.vector == Vector::kNone) return testing::AssertionSuccess();
  return testing::AssertionFailure() << stop;
}

testing::AssertionResult interrupted(Machine& machine, const Stop& stop, Vector vector, const Left& left,
                                     unsigned i) {
  if (stop.exit != Exit::kHypercall || stop.vector != vector)
    return testing::AssertionFailure() << stop << " instead of interrupt " << hex(static_cast<u64>(vector));
  const cpu::State& s = machine.state(i);
  const u64 old = left.msr.value_or(machine.start_msr(i));
  auto wrong = testing::AssertionFailure();
  bool ok = true;
  const auto check = [&](const char* what, u64 is, u64 wanted) {
    if (is == wanted) return;
    ok = false;
    wrong << what << " " << hex(is) << ", not " << hex(wanted) << "; ";
  };
  check("SRR0", s.srr0, left.srr0);
  check("SRR1", s.srr1, (old & ~u64{0x783F0000}) | left.cause);
  check("MSR", s.msr, (old & msr::ME) | msr::SF);
  if (left.dar) check("DAR", s.dar, *left.dar);
  if (left.dsisr) check("DSISR", s.dsisr, *left.dsisr);
  return ok ? testing::AssertionSuccess() : wrong;
}

Runner::Runner(Machine& machine, unsigned i, AtStop at_stop) : thread_(machine.thread(i)) {
  host_ = std::thread([this, at_stop = std::move(at_stop)] {
    while (!stopping_) {
      const Exit exit = thread_.run();
      if (exit == Exit::kHypercall && !(at_stop && at_stop(describe(exit, thread_.state()), stopping_)))
        break;
    }
    ended_ = true;
  });
}

Runner::~Runner() {
  if (host_.joinable()) stop();
}

void Runner::stop() {
  stopping_ = true;
  thread_.kick();
  host_.join();
}

void Runner::join() { host_.join(); }

}  // namespace baton::bare_metal
