// SPDX-License-Identifier: Apache-2.0
// A partition whose firmware is the monitor of guest/partition.S, and orders to its processors.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "hypervisor/hcall.h"
#include "hypervisor/partition.h"
#include "hypervisor/rtas.h"
#include "hypervisor/system.h"
#include "hypervisor/virtual_processor.h"
#include "tests/cpu/bare_metal/machine.h"

namespace baton::bare_metal {

namespace h = hypervisor::h;

/// What an order left: the interrupt that ended it, and the registers.
struct Report {
  Vector vector = Vector::kNone;
  u64 srr0 = 0, srr1 = 0, dar = 0, dsisr = 0, time = 0;
  std::array<u64, 10> out{};  ///< r3..r12
  i64 r3() const { return static_cast<i64>(out[0]); }
  u64 r(unsigned n) const { return out[n - 3]; }
};

class GuestPartition : public testing::Test {
 protected:
  static constexpr u64 kReal = msr::SF | msr::ME;
  static constexpr unsigned kProcessors = 2;
  enum Token : u64 {
    kRemove = 0x04,
    kEnter = 0x08,
    kRead = 0x0C,
    kClearMod = 0x10,
    kClearRef = 0x14,
    kProtect = 0x18,
    kEoi = 0x64,
    kCppr = 0x68,
    kIpi = 0x6C,
    kIpoll = 0x70,
    kXirr = 0x74,
    kCede = 0xE0,
    kConfer = 0xE4,
    kProd = 0xE8,
    kBulkRemove = 0x124,
    kRtas = 0xF000,
  };

  void SetUp() override;
  void TearDown() override;

  u64 at(const std::string& symbol) const { return image_.at(symbol); }
  cpu::Memory& memory() { return partition->memory(); }
  u64 load(u64 ra) { return memory().load<u64>(ra).value(); }

  /// Gives processor `cpu` an order; `report` waits for its end.
  void order(unsigned cpu, u64 nia, u64 msr, const std::vector<u64>& r3_on = {});
  void order(unsigned cpu, const std::string& routine, u64 msr, const std::vector<u64>& r3_on = {}) {
    order(cpu, at(routine), msr, r3_on);
  }
  bool done(unsigned cpu);
  Report report(unsigned cpu);
  Report run(unsigned cpu, const std::string& routine, u64 msr, const std::vector<u64>& r3_on = {}) {
    order(cpu, routine, msr, r3_on);
    return report(cpu);
  }
  /// A hypervisor call of processor `cpu`; must end with the `sc` behind it.
  Report hcall(unsigned cpu, u64 token, const std::vector<u64>& r4_on = {});
  /// An RTAS call; its first return word.
  i32 rtas(std::string_view name, const std::vector<u32>& arguments, unsigned cpu = 0);
  u32 rtas_return(unsigned n) { return memory().load<u32>(rets_ + 4 * n).value(); }
  /// Starts processor 1 through RTAS.
  void start_second();
  u64 boots(unsigned cpu) { return load(mailbox(cpu) + 272); }
  u64 boot_msr(unsigned cpu) { return load(mailbox(cpu) + 264); }
  u64 boot_r3(unsigned cpu) { return load(mailbox(cpu) + 256); }

  /// The entry that maps a page of 4 KB, and where it goes.
  static cpu::Hpte entry(const Segment& segment, u64 ea, u64 ra, u64 rights = 2, u8 shift = 0) {
    return Machine::entry(segment, {.ea = ea, .ra = ra, .rights = rights, .shift = shift});
  }
  u64 group(const Segment& segment, u64 ea) const;

  hypervisor::ManagedSystem system{{"POWER6-A", "9117-MMA", "10BA70A", u64{1} << 30, 8}, ""};
  std::shared_ptr<hypervisor::Partition> partition;

 private:
  static u64 mailbox(unsigned cpu) { return 0x10000 + u64{cpu} * 1024; }
  const Image& image_ = Image::get("partition");
  u64 rets_ = 0;
};

}  // namespace baton::bare_metal
