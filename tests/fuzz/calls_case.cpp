// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "hypervisor/hcall.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/site.h"

namespace baton::fuzz {
namespace {

using namespace hypervisor;

constexpr u64 kRtas = 0xF000, kFatal = 0xF00C, kRtasBuffer = 0x8000;
constexpr unsigned kCalls = 1500;

bool is_status(i64 status) {
  constexpr i64 kKnown[] = {h::Success,      h::Busy,       h::Closed,    h::NotAvailable, h::Constrained,
                            h::Partial,      h::InProgress, h::Continue,  h::Hardware,     h::Function,
                            h::Privilege,    h::Parameter,  h::BadMode,   h::PtegFull,     h::NotFound,
                            h::ReservedDabr, h::NoMem,      h::Authority, h::Permission,   h::Dropped,
                            h::SourceParm,   h::DestParm,   h::Resource,  h::State,        h::Aborted,
                            h::P2,           h::P3,         h::P4,        h::Noop,         h::TooBig};
  return std::ranges::find(kKnown, status) != std::end(kKnown) || (status >= 9900 && status <= 9905);
}

}  // namespace

void run_calls_case(Random random) {
  Site site(2);
  Partition& partition = site.partition();
  site.vios().attach(partition);
  cpu::Memory& memory = partition.memory();
  // A client's usual beginning, so that what follows finds queues and buffers; or none of it.
  if (random.below(4)) {
    for (u32 liobn : {0x10000002U, 0x10000003U})
      for (u64 page = 0; page < kArena; page += 4096) partition.tce(liobn)->put(page, page | 3);
  }
  auto& crq = dynamic_cast<CrqAdapter&>(*partition.adapter(0x30000002));
  if (random.below(2)) {
    crq.h_reg_crq(0x4000, 4096);
    crq.h_send_crq({u64{0xC001} << 48, 0});
    crq.h_send_crq({u64{0xC002} << 48, 0});
  }
  fill_arena(random, memory);
  for (unsigned n = 0; n < kCalls; n++) {
    VirtualProcessor& processor = *partition.processors()[random.below(2)];
    cpu::State& s = processor.thread().state();
    s.msr = cpu::msr::SF | cpu::msr::ME | (random.below(2) ? cpu::msr::EE : 0) |
            (random.one_in(32) ? cpu::msr::PR | cpu::msr::EE | cpu::msr::IR | cpu::msr::DR : 0);
    if (random.one_in(16)) s.msr &= ~cpu::msr::SF;
    processor.thread().update_mode();
    do {
      s.gpr[3] = random_call(random);
    } while ((s.gpr[3] & s.ea_mask) == kFatal);
    const u64 token = s.gpr[3];
    for (unsigned r = 4; r <= 12; r++) s.gpr[r] = random_argument(random);
    if (random.one_in(4)) s.gpr[4] = 0x30000002;
    if (random.one_in(4)) s.gpr[4] = 0x30000003;
    if ((token & s.ea_mask) == kRtas) {
      s.gpr[4] = random.one_in(8) ? memory.size() - random.below(128) : kRtasBuffer;
      put_rtas_buffer(random, memory, s.gpr[4], true);
    }
    // Whoever waits has been prodded already.
    processor.prod();
    const u64 msr = s.msr;
    dispatch_hcall(processor);
    if (!is_status(static_cast<i64>(s.gpr[3])))
      throw Finding(fmt::format("call 0x{:x} (number {}) returns {}", token, n, static_cast<i64>(s.gpr[3])));
    if ((s.msr & ~cpu::msr::EE) != (msr & ~cpu::msr::EE))
      throw Finding(
          fmt::format("call 0x{:x} (number {}) changes MSR from 0x{:x} to 0x{:x}", token, n, msr, s.msr));
    if (random.one_in(64)) fill_arena(random, memory);
    if (random.one_in(64)) partition.console().input(std::array<u8, 3>{'x', 3, '\r'});
    if (random.one_in(256)) crq.h_reg_crq(random.below(kArena) & ~u64{0xFFF}, 4096);
  }
  // What the adapters and the platform save they can restore.
  if (random.below(2)) partition.restore_platform(partition.save_platform());
}

}  // namespace baton::fuzz
