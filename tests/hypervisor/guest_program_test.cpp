// SPDX-License-Identifier: Apache-2.0
// Dispatch, suspension and life-cycle with guest code that runs.
#include "guest_program.h"

#include <unistd.h>

#include <condition_variable>
#include <mutex>

#include "hypervisor/device_tree.h"
#include "quiet_operation.h"
#include "support.h"

namespace baton::hypervisor::test {
namespace {

constexpr u32 kCpu1 = 0x2000;    ///< Where processor 1 starts.
constexpr u32 kBuffer = 0x3000;  ///< RTAS argument buffers.
constexpr u32 kResults = 0x6000;
enum Spr : u32 { kDec = 22, kSrr0 = 26, kSrr1 = 27 };

class GuestTest : public testing::Test {
 protected:
  GuestTest() { program.prologue(); }
  ~GuestTest() override {
    if (partition) partition->power_off();
    ::unlink(path.c_str());
  }
  static u32 token(std::string_view name) {
    for (const RtasRow& row : rtas_table())
      if (row.name == name) return row.token;
    return 0;
  }
  void create(u32 processors = 2) {
    Profile profile = small_profile("guest", 5, processors);
    profile.firmware = program.save(path);
    partition = system.create(profile);
  }
  void run(u32 processors = 2) {
    create(processors);
    partition->power_on();
  }
  u32 result(u32 n) { return partition->memory().load<u32>(kResults + 4 * n).value_or(0xBAD); }
  void store_result(u32 r, i32 n) {
    program.load(10, kResults);
    program.stw(r, 4 * n, 10);
  }
  void start_cpu1() { program.rtas(kBuffer, token("start-cpu"), {1, kCpu1, 0x77}); }

  std::string path = "/tmp/baton-guest-" + std::to_string(::getpid()) + ".bin";
  GuestProgram program;
  ManagedSystem system{{"A", "9117-MMA", "10BA70A", 1 << 30, 8}, ""};
  std::shared_ptr<Partition> partition;
};

TEST_F(GuestTest, EntersFirmwareAsAgreed) {
  program.mfmsr(5);
  program.load(10, kResults);
  program.std(3, 0, 10);
  program.std(5, 8, 10);
  program.spin();
  run();
  ASSERT_TRUE(eventually([&] { return result(3) != 0; }));
  EXPECT_EQ(result(1), 0x200000U);
  EXPECT_EQ(*partition->memory().load<u64>(kResults + 8), cpu::msr::SF | cpu::msr::ME);
  EXPECT_EQ(*partition->memory().load<u32>(0x200000), 0xD00DFEEDU);
  EXPECT_EQ(partition->state(), PartitionState::kStarting);
  EXPECT_EQ(partition->reference_code(), "C20082FF");
  EXPECT_THROW(partition->power_on(), std::runtime_error);
  EXPECT_THROW(system.remove(5), std::runtime_error);
  partition->power_off();
  EXPECT_EQ(partition->state(), PartitionState::kNotActivated);
  EXPECT_EQ(partition->processors()[0]->dispatch(), Dispatch::kStopped);
}

TEST_F(GuestTest, CedeSleepsUntilTheDecrementer) {
  program.load(6, 512000 * 5);  // 5 ms
  program.mfspr(20, 268);
  program.mtspr(kDec, 6);
  program.hcall(0xE0);
  const u32 after = program.here();
  store_result(3, 0);
  program.load(6, 0x7FFFFFFF);
  program.mtspr(kDec, 6);
  const u32 idle = program.here();
  program.hcall(0xE0);
  program.branch(idle);
  program.org(0x900);
  program.mfspr(21, 268);
  program.word(0x7EB4A850);  // subf r21,r20,r21
  program.mfspr(7, kSrr0);
  store_result(7, 1);
  store_result(3, 2);
  store_result(21, 3);
  program.load(6, 0x7FFFFFFF);
  program.mtspr(kDec, 6);
  program.rfid();
  run(1);
  ASSERT_TRUE(eventually([&] { return result(3) != 0; }));
  EXPECT_EQ(result(1), after);
  EXPECT_EQ(result(2), 0U);
  EXPECT_GE(result(3), 512000U * 5);
  VirtualProcessor& cpu = *partition->processors()[0];
  ASSERT_TRUE(eventually([&] { return cpu.dispatch() == Dispatch::kCeded; }));
  const u64 before = partition->instructions();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(partition->instructions(), before);  // An idle partition costs nothing.
}

TEST_F(GuestTest, DecrementerExpiresWhileRunning) {
  program.load(6, 512000);
  program.mtspr(kDec, 6);
  program.mfmsr(5);
  program.word(24u << 26 | 5u << 21 | 5u << 16 | 0x8000);  // ori r5,r5,EE
  program.word(31u << 26 | 5u << 21 | 178u << 1);          // mtmsrd r5
  program.spin();
  program.org(0x900);
  program.prologue();
  program.load(6, 512000);
  program.mtspr(kDec, 6);
  program.load(10, kResults);
  program.lwz(7, 0, 10);
  program.addi(7, 7, 1);
  program.stw(7, 0, 10);
  program.rfid();
  run(1);
  EXPECT_TRUE(eventually([&] { return result(0) >= 20; }));
}

TEST_F(GuestTest, APreemptedProcessorRunsNothingAndCanBeStopped) {
  program.load(10, kResults);
  program.addi(7, 7, 1);
  const u32 again = program.here() - 4;
  program.stw(7, 0, 10);
  program.branch(again);
  run(1);
  VirtualProcessor& cpu = *partition->processors()[0];
  ASSERT_TRUE(eventually([&] { return result(0) != 0; }));
  const auto stands = [&] {
    const u32 before = result(0);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return result(0) == before;
  };
  using Clock = std::chrono::steady_clock;
  cpu.preempt_until(Clock::now() + std::chrono::hours(1));
  ASSERT_TRUE(eventually(stands));
  EXPECT_EQ(cpu.yield_count & 1, 1U);
  const u64 purr = cpu.purr();
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(cpu.purr(), purr) << "stolen time is not its own";
  cpu.preempt_until(Clock::now());
  const u32 before = result(0);
  EXPECT_TRUE(eventually([&] { return result(0) != before; }));
  cpu.preempt_until(Clock::now() + std::chrono::hours(1));
  partition->power_off();  // Without waiting for an hour.
}

TEST_F(GuestTest, InterruptFromAnotherProcessorEndsCede) {
  start_cpu1();
  const u32 wait = program.here();
  program.load(10, kResults);
  program.lwz(7, 0, 10);
  program.cmpwi(7, 1);
  program.bne(wait);
  program.hcall(0x6C, {1, 4});
  program.spin();

  program.org(kCpu1);
  program.prologue();
  store_result(3, 2);
  program.hcall(0x68, {0xFF});
  program.load(7, 1);
  store_result(7, 0);
  program.hcall(0xE0);
  program.spin();
  program.org(0x500);
  program.hcall(0x74);
  store_result(4, 1);
  program.hcall(0x6C, {1, 0xFF});
  program.hcall(0x64, {0xFF000002});
  program.load(7, 2);
  store_result(7, 3);
  program.rfid();
  run();
  ASSERT_TRUE(eventually([&] { return result(3) == 2; }));
  EXPECT_EQ(result(1), 0xFF000002U);
  EXPECT_EQ(result(2), 0x77U);
  EXPECT_EQ(partition->processors()[1]->dispatch(), Dispatch::kRunning);
}

TEST_F(GuestTest, YieldCountIsOddWhileCeded) {
  program.load_high(4, 0x2000);  // Function 1 of H_REGISTER_VPA.
  program.load(5, 0);
  program.load(6, 0x4000);
  program.hcall(0xDC);
  store_result(3, 0);
  program.load(6, 0x7FFFFFFF);
  program.mtspr(kDec, 6);
  program.hcall(0xE0);
  program.spin();
  const u32 end = program.here();
  program.org(0x4004);
  program.word(0x04000000);  // Size 0x400.
  program.org(end);
  run(1);
  VirtualProcessor& cpu = *partition->processors()[0];
  ASSERT_TRUE(eventually([&] { return cpu.dispatch() == Dispatch::kCeded; }));
  ASSERT_TRUE(eventually([&] { return partition->memory().load<u32>(0x4100) == 1U; }));
  EXPECT_EQ(partition->state(), PartitionState::kRunning);
  cpu.prod();
  ASSERT_TRUE(eventually([&] { return partition->memory().load<u32>(0x4100) == 2U; }));
}

TEST_F(GuestTest, StopSelfAndStartAgain) {
  start_cpu1();
  const u32 query = program.here();
  program.rtas(kBuffer + 0x100, token("query-cpu-stopped-state"), {1}, 2);
  program.load(10, kBuffer + 0x100);
  program.lwz(7, 20, 10);
  program.cmpwi(7, 0);
  program.bne(query);
  program.load(10, kResults);
  program.lwz(7, 0, 10);
  program.cmpwi(7, 3);
  program.word(16u << 26 | 4u << 21 | 0u << 16 | 8);  // bge +8
  program.branch(0x104);                              // start again
  program.load(7, 1);
  store_result(7, 1);
  program.spin();
  program.org(kCpu1);
  program.prologue();
  program.load(10, kResults);
  program.lwz(7, 0, 10);
  program.addi(7, 7, 1);
  program.stw(7, 0, 10);
  program.rtas(kBuffer + 0x200, token("stop-self"), {});
  run();
  EXPECT_TRUE(eventually([&] { return result(1) == 1; }));
  EXPECT_EQ(result(0), 3U);
}

TEST_F(GuestTest, LastStopSelfEndsThePartition) {
  program.rtas(kBuffer, token("stop-self"), {});
  run(1);
  EXPECT_TRUE(eventually([&] { return partition->state() == PartitionState::kNotActivated; }));
}

TEST_F(GuestTest, PowerOffFromInside) {
  program.rtas(kBuffer, token("power-off"), {~0U, ~0U});
  store_result(3, 0);
  run();
  EXPECT_TRUE(eventually([&] { return partition->state() == PartitionState::kNotActivated; }));
  EXPECT_EQ(result(0), 0U);  // The call does not return.
}

TEST_F(GuestTest, RebootClearsMemoryAndKeepsNvram) {
  program.rtas(kBuffer, token("nvram-fetch"), {0x8000, 0x5000, 1}, 2);
  program.load(10, 0x5000);
  program.lbz(7, 0, 10);
  program.cmpwi(7, 1);
  const u32 test = program.here();
  program.word(0);
  // First time: leave a mark in memory, set the byte, restart.
  program.load(7, 1);
  program.load(10, 0x700000);
  program.stw(7, 0, 10);
  program.word(38u << 26 | 7u << 21 | 10u << 16 | 0x10);  // stb r7,16(r10)
  program.rtas(kBuffer + 0x100, token("nvram-store"), {0x8000, 0x700010, 1}, 2);
  program.rtas(kBuffer + 0x200, token("system-reboot"), {});
  const u32 second = program.here();
  program.org(test);
  program.beq(second);
  program.org(second);
  program.load(10, 0x700000);
  program.lwz(7, 0, 10);
  program.addi(7, 7, 5);
  store_result(7, 0);
  program.spin();
  run();
  ASSERT_TRUE(eventually([&] { return result(0) != 0; }));
  EXPECT_EQ(result(0), 5U);
  EXPECT_EQ(partition->state(), PartitionState::kStarting);
}

TEST_F(GuestTest, PageTableCallsDoNotWaitForEachOther) {
  // One thread spins in guest code while the other enters and removes; each removal waits for a safepoint.
  start_cpu1();
  program.load(14, 300);
  program.mtspr(9, 14);
  const u32 again = program.here();
  program.load(4, 0);
  program.load(5, 0x100);
  program.load_high(6, 0x12345670);
  program.addi(6, 6, 0x81);
  program.load(7, 0x5012);
  program.hcall(0x08);
  program.word(0x7C852378);  // mr r5,r4
  program.load(4, 0);
  program.load(6, 0);
  program.hcall(0x04);
  program.addi(14, 14, -1);
  program.cmpwi(14, 0);
  program.bne(again);
  program.load(7, 1);
  store_result(7, 0);
  program.spin();
  program.org(kCpu1);
  program.prologue();
  program.load(10, kResults);
  const u32 loop = program.here();
  program.lwz(7, 4, 10);
  program.addi(7, 7, 1);
  program.stw(7, 4, 10);
  program.branch(loop);
  run();
  EXPECT_TRUE(eventually([&] { return result(0) == 1; }));
}

// ---- suspension

class Suspension : public QuietOperation {
 public:
  bool suspended() override {
    std::unique_lock lock(lock_);
    reached_ = true;
    changed_.notify_all();
    changed_.wait(lock, [&] { return answered_; });
    return here_;
  }
  bool wait() {
    std::unique_lock lock(lock_);
    return changed_.wait_for(lock, std::chrono::seconds(5), [&] { return reached_; });
  }
  void answer(bool here) {
    std::lock_guard lock(lock_);
    here_ = here;
    answered_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex lock_;
  std::condition_variable changed_;
  bool reached_ = false, answered_ = false, here_ = false;
};

class SuspendTest : public GuestTest {
 protected:
  static constexpr u64 kStream = 0x0123456789ABCDEF;
  /// Processor 1 joins; processor 0 waits for the word at result 7, joins until it is the last one, suspends,
  /// notes the status and prods processor 1, which notes that it was woken.
  void write_program(bool other_joins) {
    start_cpu1();
    const u32 wait = program.here();
    program.load(10, kResults);
    program.lwz(7, 28, 10);
    program.cmpwi(7, 1);
    program.bne(wait);
    if (other_joins) {
      const u32 join = program.here();
      program.hcall(0x298);
      program.cmpwi(3, 18);
      program.bne(join);
    }
    program.rtas(kBuffer + 0x100, token("ibm,suspend-me"), {});
    program.load(10, kBuffer + 0x100);
    program.lwz(7, 12, 10);
    store_result(7, 1);
    store_result(3, 2);
    program.hcall(0xE8, {1});
    program.load(7, 1);
    store_result(7, 3);
    program.spin();
    program.org(kCpu1);
    program.prologue();
    program.load(7, 1);
    store_result(7, 0);
    if (other_joins)
      program.hcall(0x298);
    else
      program.spin();
    store_result(3, 5);
    program.load(7, 1);
    store_result(7, 4);
    program.spin();
  }
  void go() {
    ASSERT_TRUE(eventually([&] { return result(0) == 1; }));
    vasi().expect(kStream, VasiRole::kSourceMover, suspension);
    partition->set_stream(kStream);
    vasi().enter(kStream, VasiState::kSuspending);
    partition->memory().store<u32>(kResults + 20, 99);
    partition->memory().store<u32>(kResults + 28, 1);
  }
  VasiService& vasi() { return partition->system().vasi(); }
  void end_stream() {
    partition->set_stream(0);
    vasi().forget(kStream);
  }
  Suspension suspension;
};

TEST_F(SuspendTest, AbortedMoveReturns9000) {
  write_program(true);
  run();
  go();
  ASSERT_TRUE(suspension.wait());
  EXPECT_EQ(partition->vasi_state(), VasiState::kSuspended);
  EXPECT_EQ(partition->processors()[0]->dispatch(), Dispatch::kSuspended);
  EXPECT_EQ(partition->processors()[1]->dispatch(), Dispatch::kJoined);
  EXPECT_THROW(partition->power_off(), std::runtime_error);
  partition->processors()[1]->prod();  // Must not wake it now.
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(result(4), 0U);
  vasi().enter(kStream, VasiState::kAborted);
  suspension.answer(true);
  ASSERT_TRUE(eventually([&] { return result(3) == 1 && result(4) == 1; }));
  EXPECT_EQ(static_cast<i32>(result(1)), 9000);
  EXPECT_EQ(result(5), 0U);  // H_JOIN gave H_SUCCESS.
  EXPECT_EQ(partition->vasi_state(), VasiState::kAborted);
  end_stream();
}

TEST_F(SuspendTest, OtherThreadsActive) {
  write_program(false);
  run();
  go();
  ASSERT_TRUE(eventually([&] { return result(3) == 1; }));
  EXPECT_EQ(static_cast<i32>(result(1)), rtas::kThreadsActive);
  end_stream();
}

TEST_F(SuspendTest, MovedPartitionGoesOnElsewhere) {
  write_program(true);
  run();
  go();
  ASSERT_TRUE(suspension.wait());
  partition->quiesce_adapters();
  ManagedSystem there({"B", "9117-MMA", "10F6A0B", 1 << 30, 8}, "");
  Profile profile = partition->profile();
  profile.id = 9;
  auto moved = there.create(profile);
  // What the migration room does, in short.
  std::vector<u8> bytes(partition->memory().size());
  partition->memory().read(0, bytes);
  moved->memory().write(0, bytes);
  moved->clock().set_time_base(partition->clock().time_base());
  for (std::size_t i = 0; i < 2; i++) {
    VirtualProcessor &from = *partition->processors()[i], &to = *moved->processors()[i];
    const cpu::State& a = from.thread().state();
    cpu::State& b = to.thread().state();
    std::copy(std::begin(a.gpr), std::end(a.gpr), b.gpr);
    b.nia = a.nia;
    b.msr = a.msr;
    b.dec_deadline = a.dec_deadline;
    to.yield_count = from.yield_count.load();
    to.restore_dispatch(from.dispatch());
  }
  moved->xics().restore(partition->xics().save());
  moved->restore_platform(partition->save_platform());
  moved->resume_adapters();
  moved->start_restored();
  suspension.answer(false);
  partition->stop_processors();
  end_stream();
  EXPECT_EQ(partition->state(), PartitionState::kNotActivated);
  EXPECT_EQ(result(3), 0U);
  EXPECT_EQ(result(1), 0U);

  const auto there_result = [&](u32 n) { return *moved->memory().load<u32>(kResults + 4 * n); };
  ASSERT_TRUE(eventually([&] { return there_result(3) == 1 && there_result(4) == 1; }));
  EXPECT_EQ(there_result(1), 0U);  // Status: resumed.
  EXPECT_EQ(there_result(2), 0U);  // r3 of the call.
  EXPECT_EQ(there_result(5), 0U);  // r3 of H_JOIN.
  EXPECT_EQ(moved->state(), PartitionState::kRunning);
  EXPECT_FALSE(moved->device_tree().updates().empty());
  moved->power_off();
}

}  // namespace
}  // namespace baton::hypervisor::test
