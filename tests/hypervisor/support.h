// SPDX-License-Identifier: Apache-2.0
// Partitions for tests, and a way to make calls on them without guest code.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "hypervisor/hcall.h"
#include "hypervisor/rtas.h"
#include "hypervisor/system.h"
#include "hypervisor/virtual_processor.h"

namespace baton::hypervisor::test {

inline Profile small_profile(const std::string& name = "lpar2", u32 id = 2, u32 processors = 2) {
  Profile profile;
  profile.name = name;
  profile.id = id;
  profile.memory = 64 << 20;
  profile.processors = processors;
  profile.scsi = {{2, 0}};
  profile.ethernet = {{3, {}, 1, {}}};
  profile.bootargs = "console=hvc0";
  return profile;
}

/// Waits until `done` or five seconds are over.
inline bool eventually(const std::function<bool()>& done) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

/// A partition that does not run; calls are made in its processors' names.
class PartitionFixture : public testing::Test {
 protected:
  static SystemIdentity identity() { return {"POWER6-A", "9117-MMA", "10BA70A", 1 << 30, 8}; }

  ManagedSystem system{identity(), ""};
  std::shared_ptr<Partition> partition = system.create(small_profile());
  VirtualProcessor& cpu0 = *partition->processors()[0];
  VirtualProcessor& cpu1 = *partition->processors()[1];
  cpu::Memory& memory = partition->memory();

  static cpu::State& state(VirtualProcessor& processor) { return processor.thread().state(); }

  /// r3 after the call; results are in state(processor).gpr[4..].
  i64 hcall(VirtualProcessor& processor, u64 token, std::initializer_list<u64> arguments = {}) {
    cpu::State& s = state(processor);
    s.gpr[3] = token;
    unsigned n = 4;
    for (const u64 argument : arguments) s.gpr[n++] = argument;
    while (n <= 12) s.gpr[n++] = 0;
    dispatch_hcall(processor);
    return static_cast<i64>(s.gpr[3]);
  }
  i64 hcall(u64 token, std::initializer_list<u64> arguments = {}) { return hcall(cpu0, token, arguments); }
  u64 out(unsigned n, VirtualProcessor* processor = nullptr) {
    return state(processor ? *processor : cpu0).gpr[4 + n];
  }

  static constexpr u64 kCallBuffer = 0x10000;
  static u32 rtas_token(std::string_view name) {
    for (const RtasRow& row : rtas_table())
      if (row.name == name) return row.token;
    ADD_FAILURE() << "no RTAS function " << name;
    return 0;
  }
  /// The status word; further results by ret().
  i32 rtas(std::string_view name, std::initializer_list<u32> arguments = {}, u32 nrets = 8) {
    u64 at = kCallBuffer;
    const auto put = [&](u32 value) {
      memory.store<u32>(at, value);
      at += 4;
    };
    put(rtas_token(name));
    put(static_cast<u32>(arguments.size()));
    put(nrets);
    for (const u32 argument : arguments) put(argument);
    rets_ = at;
    for (u32 i = 0; i < nrets; i++) put(0xDEADBEEF);
    EXPECT_EQ(hcall(0xF000, {kCallBuffer}), h::Success);
    return static_cast<i32>(ret(0));
  }
  u32 ret(u32 n) { return *memory.load<u32>(rets_ + 4 * n); }

 private:
  u64 rets_ = 0;
};

}  // namespace baton::hypervisor::test
