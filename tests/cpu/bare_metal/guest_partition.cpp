// SPDX-License-Identifier: Apache-2.0
#include "tests/cpu/bare_metal/guest_partition.h"

namespace baton::bare_metal {
namespace {

constexpr u64 kOrder = 0, kNia = 8, kMsr = 16, kIn = 24, kDone = 128, kVector = 136, kSrr0 = 144, kSrr1 = 152,
              kDar = 160, kDsisr = 168, kOut = 176, kTime = 280;
constexpr u64 kRtasBuffer = 0x18000;

}  // namespace

void GuestPartition::SetUp() {
  hypervisor::Profile profile;
  profile.name = "bare";
  profile.id = 2;
  profile.memory = 64 << 20;
  profile.processors = kProcessors;
  profile.firmware = image_.path();
  partition = system.create(profile);
  partition->power_on();
  ASSERT_TRUE(eventually([&] { return boots(0) == 1; }));
}

void GuestPartition::TearDown() {
  if (partition) partition->power_off();
}

void GuestPartition::order(unsigned cpu, u64 nia, u64 msr, const std::vector<u64>& r3_on) {
  const u64 box = mailbox(cpu);
  cpu::Memory& m = memory();
  u64 at = box + kIn;
  for (u64 value : r3_on) m.store<u64>(at, value), at += 8;
  for (; at < box + kIn + 80; at += 8) m.store<u64>(at, 0);
  m.store<u64>(box + kNia, nia);
  m.store<u64>(box + kMsr, msr);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  m.store<u64>(box + kOrder, load(box + kOrder) + 1);
}

bool GuestPartition::done(unsigned cpu) {
  const u64 box = mailbox(cpu);
  const bool over = load(box + kDone) == load(box + kOrder);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return over;
}

Report GuestPartition::report(unsigned cpu) {
  Report r;
  if (!eventually([&] { return done(cpu); })) {
    ADD_FAILURE() << "processor " << cpu << " does not come back";
    return r;
  }
  const u64 box = mailbox(cpu);
  r.vector = static_cast<Vector>(load(box + kVector));
  r.srr0 = load(box + kSrr0);
  r.srr1 = load(box + kSrr1);
  r.dar = load(box + kDar);
  r.dsisr = load(box + kDsisr);
  r.time = load(box + kTime);
  for (unsigned i = 0; i < r.out.size(); i++) r.out[i] = load(box + kOut + 8 * i);
  return r;
}

Report GuestPartition::hcall(unsigned cpu, u64 token, const std::vector<u64>& r4_on) {
  std::vector<u64> registers{token};
  registers.insert(registers.end(), r4_on.begin(), r4_on.end());
  const Report r = run(cpu, "call_hypervisor", kReal, registers);
  EXPECT_EQ(r.vector, Vector::kSystemCall);
  EXPECT_EQ(r.srr0, at("call_hypervisor") + 8);
  EXPECT_EQ(r.srr1, kReal);
  return r;
}

i32 GuestPartition::rtas(std::string_view name, const std::vector<u32>& arguments, unsigned cpu) {
  constexpr u32 kReturns = 8;
  u32 token = 0;
  for (const hypervisor::RtasRow& row : hypervisor::rtas_table())
    if (row.name == name) token = row.token;
  u64 at = kRtasBuffer;
  const auto put = [&](u32 value) {
    memory().store<u32>(at, value);
    at += 4;
  };
  put(token);
  put(static_cast<u32>(arguments.size()));
  put(kReturns);
  for (const u32 argument : arguments) put(argument);
  rets_ = at;
  EXPECT_EQ(hcall(cpu, kRtas, {kRtasBuffer}).r3(), h::Success);
  return static_cast<i32>(rtas_return(0));
}

void GuestPartition::start_second() {
  const u64 before = boots(1);
  ASSERT_EQ(rtas("start-cpu", {1, static_cast<u32>(at("secondary")), 0x1234}), 0);
  ASSERT_TRUE(eventually([&] { return boots(1) == before + 1; }));
  ASSERT_TRUE(eventually([&] { return done(1); }));
}

u64 GuestPartition::group(const Segment& segment, u64 ea) const {
  const u64 offset = ea & segment.size_mask();
  u64 hash = segment.vsid ^ offset >> segment.base_shift();
  if (segment.terabyte) hash ^= segment.vsid << 25;
  return (hash & (partition->hpt().groups() - 1)) * 8;
}

}  // namespace baton::bare_metal
