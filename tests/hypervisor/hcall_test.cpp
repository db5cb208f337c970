// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/device_tree.h"
#include "quiet_operation.h"
#include "support.h"

namespace baton::hypervisor::test {
namespace {

namespace pte = cpu::pte;

using HcallTest = PartitionFixture;

constexpr u64 kExact = 0x0000008000000000, kRead4 = 0x0000002000000000, kAvpn = 0x80000000,
              kAndCond = 0x40000000;
constexpr u64 kPteh = 0x1234567000000080 | pte::kValid;
constexpr u64 kPtel = 0x5000 | pte::kReferenced | pte::kChanged | pte::kCoherent | 2;

TEST_F(HcallTest, TableIsAscendingAndHasEveryPart) {
  u32 last = 0;
  for (const HcallRow& row : hcall_table()) {
    EXPECT_GT(row.token, last);
    EXPECT_EQ(row.token % 4, 0U);
    last = row.token;
  }
}

TEST_F(HcallTest, UnknownAndPrivileged) {
  EXPECT_EQ(hcall(0x31C), h::Function);
  EXPECT_EQ(hcall(0x2), h::Function);
  EXPECT_EQ(hcall(0xFFFFFFFFFFFFFFFF), h::Function);
  state(cpu0).msr |= cpu::msr::PR;
  EXPECT_EQ(hcall(0x04, {0, 0, 0}), h::Privilege);
}

TEST_F(HcallTest, NoFlushAgainstSpeculationPays) {
  constexpr u64 kFavourSecurity = u64{1} << 63, kFlushOnTheWayOut = u64{1} << 62,
                kNoFlushOnEntry = u64{1} << 56, kNoFlushOnUserAccess = u64{1} << 55;
  ASSERT_EQ(hcall(0x1C8), h::Success);
  EXPECT_EQ(out(1) & (kFavourSecurity | kFlushOnTheWayOut | kNoFlushOnEntry | kNoFlushOnUserAccess),
            kFavourSecurity | kNoFlushOnEntry | kNoFlushOnUserAccess);
}

TEST_F(HcallTest, EnterChoosesTheFirstFreeSlot) {
  EXPECT_EQ(hcall(0x08, {0, 0x105, kPteh, kPtel}), h::Success);
  EXPECT_EQ(out(0), 0x100U);
  EXPECT_EQ(hcall(0x08, {0, 0x100, kPteh, kPtel}), h::Success);
  EXPECT_EQ(out(0), 0x101U);
  for (int i = 2; i < 8; i++) EXPECT_EQ(hcall(0x08, {0, 0x100, kPteh, kPtel}), h::Success);
  EXPECT_EQ(hcall(0x08, {0, 0x100, kPteh, kPtel}), h::PtegFull);
}

TEST_F(HcallTest, EnterExact) {
  EXPECT_EQ(hcall(0x08, {kExact, 0x105, kPteh, kPtel}), h::Success);
  EXPECT_EQ(out(0), 0x105U);
  EXPECT_EQ(hcall(0x08, {kExact, 0x105, kPteh, kPtel}), h::PtegFull);
}

TEST_F(HcallTest, EnterChecksItsArguments) {
  const u64 entries = partition->hpt().entries();
  EXPECT_EQ(hcall(0x08, {0, entries, kPteh, kPtel}), h::Parameter);
  EXPECT_EQ(hcall(0x08, {0, 0, kPteh, memory.size() | pte::kCoherent}), h::Parameter);
  EXPECT_EQ(hcall(0x08, {0, 0, kPteh, 0x5000 | pte::kCoherent | pte::kInhibited}), h::Parameter);
  EXPECT_EQ(hcall(0x08, {0, 0, kPteh, 0x5000}), h::Parameter);  // M = 0
  EXPECT_EQ(hcall(0x08, {0, 0, kPteh & ~pte::kValid, kPtel}), h::Parameter);
  const u64 large = kPteh | pte::kLarge;
  EXPECT_EQ(hcall(0x08, {0, 0, large, 0x2003000 | pte::kCoherent}),
            h::Parameter);                                                            // no such LP code
  EXPECT_EQ(hcall(0x08, {0, 8, large, 0x1000000 | pte::kCoherent}), h::Success);      // 16M at 16M
  EXPECT_EQ(hcall(0x08, {0, 8, large, 0x0800000 | pte::kCoherent}), h::Parameter);    // 16M at 8M
  EXPECT_EQ(hcall(0x08, {0x8000, 8, large, 0x1000000 | pte::kCoherent}), h::TooBig);  // zero page
  EXPECT_EQ(hcall(0x08, {0, 16, large, 0x0011000 | pte::kCoherent}), h::Success);     // 64K at 64K
  EXPECT_EQ(hcall(0x08, {0, 16, large, 0x4000000 | pte::kCoherent}), h::Parameter);   // 16M beyond the end
}

TEST_F(HcallTest, EnterForcesReservedBitsOffAndZeroes) {
  memory.fill(0x5000, 0xAA, 4096);
  EXPECT_EQ(hcall(0x08, {kExact | 0x8000, 7, kPteh | 0x60, kPtel | 0x3000000000000E00 | 0x4000000000000000}),
            h::Success);
  const auto entry = partition->hpt().get(7);
  EXPECT_EQ(entry.v, kPteh);
  EXPECT_EQ(entry.r, kPtel | 0xE00);  // Eight storage keys: of their five bits the low three.
  EXPECT_EQ(*memory.load<u64>(0x5FF8), 0U);
}

TEST_F(HcallTest, RemoveByConditionAndReturnsTheEntry) {
  hcall(0x08, {kExact, 9, kPteh | pte::kBolted, kPtel});
  const u64 avpn = kPteh & ~u64{0x7F};
  EXPECT_EQ(hcall(0x04, {kAvpn, 9, avpn ^ 0x80}), h::NotFound);
  EXPECT_EQ(hcall(0x04, {kAndCond, 9, pte::kBolted}), h::NotFound);
  EXPECT_EQ(hcall(0x04, {kAvpn, 9, avpn}), h::Success);
  EXPECT_EQ(out(0), kPteh | pte::kBolted);
  EXPECT_EQ(out(1), kPtel);
  EXPECT_EQ(hcall(0x04, {0, 9, 0}), h::NotFound);
  EXPECT_EQ(hcall(0x04, {0, partition->hpt().entries(), 0}), h::Parameter);
}

TEST_F(HcallTest, ReadOneAndFour) {
  hcall(0x08, {kExact, 0x21, kPteh, kPtel});
  EXPECT_EQ(hcall(0x0C, {0, 0x21}), h::Success);
  EXPECT_EQ(out(0), kPteh);
  EXPECT_EQ(out(1), kPtel);
  EXPECT_EQ(hcall(0x0C, {kRead4, 0x23}), h::Success);
  EXPECT_EQ(out(0), 0U);
  EXPECT_EQ(out(2), kPteh);
  EXPECT_EQ(out(3), kPtel);
}

TEST_F(HcallTest, ClearAndProtect) {
  hcall(0x08, {kExact, 3, kPteh, kPtel});
  EXPECT_EQ(hcall(0x10, {0, 3}), h::Success);
  EXPECT_EQ(out(0), kPtel);
  EXPECT_FALSE(partition->hpt().get(3).r & pte::kChanged);
  EXPECT_EQ(hcall(0x14, {0, 3}), h::Success);
  EXPECT_FALSE(partition->hpt().get(3).r & pte::kReferenced);
  EXPECT_EQ(hcall(0x18, {kAvpn | 0x107, 3, kPteh & ~u64{0x7F}}), h::Success);
  EXPECT_EQ(partition->hpt().get(3).r & (pte::kPp0 | 7), pte::kPp0 | 7);
  EXPECT_EQ(hcall(0x18, {kAvpn, 3, 0x80}), h::NotFound);
  EXPECT_EQ(hcall(0x10, {0, 4}), h::NotFound);
  EXPECT_EQ(hcall(0x14, {0, ~u64{0}}), h::Parameter);
}

TEST_F(HcallTest, BulkRemove) {
  hcall(0x08, {kExact, 1, kPteh, kPtel});
  hcall(0x08, {kExact, 2, kPteh, kPtel & ~pte::kChanged});
  const u64 avpn = kPteh & ~u64{0x7F};
  EXPECT_EQ(hcall(0x124, {u64{0x42} << 56 | 1, avpn, u64{0x42} << 56 | 5, avpn, u64{0x40} << 56 | 2, 0,
                          u64{0xC0} << 56, 0}),
            h::Success);
  EXPECT_EQ(out(0) >> 56, 0x8CU);
  EXPECT_EQ(out(2) >> 56, 0x90U);
  EXPECT_EQ(out(4) >> 56, 0x88U);
  EXPECT_EQ(out(6), u64{0xC0} << 56);
  EXPECT_EQ(hcall(0x124, {u64{0x43} << 56 | 1, 0}), h::Parameter);
  EXPECT_EQ(out(0) >> 56, 0xA0U);
  EXPECT_EQ(hcall(0x124, {1, 0}), h::Parameter);
}

TEST_F(HcallTest, RegisterAreasInTheRightOrder) {
  const u64 function[] = {0, u64{1} << 45, u64{2} << 45, u64{3} << 45,
                          0, u64{5} << 45, u64{6} << 45, u64{7} << 45};
  constexpr u64 kVpa = 0x20000, kDtl = 0x30000, kShadow = 0x40000;
  memory.store<u16>(kVpa + 4, 0x400);
  memory.store<u32>(kDtl + 4, 4096);
  memory.store<u32>(kShadow + 4, 64);
  memory.store<u32>(kVpa + 0x100, 77);
  EXPECT_EQ(hcall(0xDC, {function[2], 0, kDtl}), h::Resource);
  EXPECT_EQ(hcall(0xDC, {function[3], 0, kShadow}), h::Resource);
  EXPECT_EQ(hcall(0xDC, {function[1], 0, kVpa + 8}), h::Parameter);
  EXPECT_EQ(hcall(0xDC, {function[1], 2, kVpa}), h::Parameter);
  EXPECT_EQ(hcall(0xDC, {function[1], 0, memory.size()}), h::Parameter);
  EXPECT_EQ(hcall(0xDC, {function[1], 0, 0xFFFFFFFFFFFFFF80}), h::Parameter);
  memory.store<u16>(kVpa + 0xF00 + 4, 0x400);
  EXPECT_EQ(hcall(0xDC, {function[1], 0, kVpa + 0xF00}), h::Parameter);  // Crosses a page.
  EXPECT_EQ(hcall(0xDC, {u64{4} << 45, 0, kVpa}), h::Function);
  EXPECT_EQ(hcall(0xDC, {function[1], 0, kVpa}), h::Success);
  EXPECT_EQ(*memory.load<u32>(kVpa + 0x100), 0U);
  EXPECT_EQ(*memory.load<u8>(kVpa + 9), 2U);
  EXPECT_EQ(hcall(0xDC, {function[2], 0, kDtl}), h::Success);
  EXPECT_EQ(hcall(0xDC, {function[3], 0, kShadow}), h::Success);
  EXPECT_EQ(hcall(0xDC, {function[5], 0, 0}), h::Resource);
  EXPECT_EQ(hcall(0xDC, {function[6], 0, 0}), h::Success);
  EXPECT_EQ(hcall(0xDC, {function[7], 0, 0}), h::Success);
  EXPECT_EQ(hcall(0xDC, {function[5], 0, 0}), h::Success);
  EXPECT_EQ(cpu0.vpa, 0U);
}

TEST_F(HcallTest, CedeReturnsAtOnceWhenProdded) {
  EXPECT_EQ(hcall(0xE8, {0}), h::Success);
  EXPECT_EQ(hcall(0xE0), h::Success);
  EXPECT_TRUE(state(cpu0).msr & cpu::msr::EE);
  EXPECT_FALSE(cpu0.prodded);
  EXPECT_EQ(hcall(0xE8, {2}), h::Parameter);
  EXPECT_EQ(hcall(0xE8, {u64{1} << 32}), h::Parameter);
}

TEST_F(HcallTest, JoinRules) {
  state(cpu0).msr |= cpu::msr::EE;
  EXPECT_EQ(hcall(0x298), h::BadMode);
  state(cpu0).msr &= ~cpu::msr::EE;
  EXPECT_EQ(hcall(0x298), h::Continue);  // The other one is stopped.
}

TEST_F(HcallTest, ConferChecksTheTarget) {
  EXPECT_EQ(hcall(0xE4, {1, 0}), h::Success);
  EXPECT_EQ(hcall(0xE4, {~u64{0}, 0}), h::Success);
  EXPECT_EQ(hcall(0xE4, {2, 0}), h::Parameter);
}

TEST_F(HcallTest, Capacity) {
  EXPECT_EQ(hcall(0xEC), h::Success);
  EXPECT_EQ(out(0), 200U);
  EXPECT_EQ(out(1), 600U);
  EXPECT_EQ(out(3) >> 40 & 0xFF, 128U);
  EXPECT_EQ(hcall(0xF0, {150, 64}), h::Success);
  EXPECT_EQ(hcall(0xF0, {300, 64}), h::Constrained);
  EXPECT_EQ(hcall(0xF0, {150, 256}), h::Parameter);
  EXPECT_EQ(hcall(0xEC), h::Success);
  EXPECT_EQ(out(0), 200U);
  EXPECT_EQ(out(3) >> 40 & 0xFF, 64U);
}

TEST_F(HcallTest, RegistersPagesAndDebugAccess) {
  EXPECT_EQ(hcall(0x24, {0x1234}), h::Success);
  EXPECT_EQ(state(cpu0).sprg[0], 0x1234U);
  EXPECT_EQ(hcall(0x134, {0x1000, 4}), h::Parameter);
  EXPECT_EQ(hcall(0x134, {0x1000, 8}), h::Parameter);
  EXPECT_EQ(hcall(0x134, {0x1003, 0xB}), h::Success);
  EXPECT_EQ(state(cpu0).dabrx, 0xBU);
  EXPECT_EQ(hcall(0x28, {0x2003}), h::Success);
  EXPECT_EQ(state(cpu0).dabrx, 3U);
  memory.fill(0x6000, 0x55, 4096);
  EXPECT_EQ(hcall(0x2C, {0x4000, 0x7000, 0x6000}), h::Success);
  EXPECT_EQ(*memory.load<u64>(0x7FF8), 0x5555555555555555U);
  EXPECT_EQ(hcall(0x2C, {0x8000, 0x7000, 1}), h::Success);
  EXPECT_EQ(*memory.load<u64>(0x7FF8), 0U);
  EXPECT_EQ(hcall(0x2C, {0x8000, 0x7001, 0}), h::Parameter);
  EXPECT_EQ(hcall(0x2C, {0x8000, memory.size(), 0}), h::Parameter);
  EXPECT_EQ(hcall(0x40, {4, 0x9000, 0xCAFEF00D}), h::Success);
  EXPECT_EQ(hcall(0x3C, {2, 0x9002}), h::Success);
  EXPECT_EQ(out(0), 0xF00DU);
  EXPECT_EQ(hcall(0x3C, {3, 0x9000}), h::Parameter);
  EXPECT_EQ(hcall(0x3C, {8, 0x9004}), h::Parameter);
  EXPECT_EQ(hcall(0x3C, {8, ~u64{7}}), h::Parameter);
  EXPECT_EQ(hcall(0x7C, {u64{1} << 63, 0}), h::Success);
  EXPECT_EQ(hcall(0x7C, {1, 0}), h::Parameter);
}

TEST_F(HcallTest, InterruptCalls) {
  EXPECT_EQ(hcall(0x68, {0xFF}), h::Success);
  EXPECT_EQ(hcall(0x6C, {0, 4}), h::Success);
  EXPECT_TRUE(cpu0.thread().interrupt_pending());
  EXPECT_EQ(hcall(0x70, {0}), h::Success);
  EXPECT_EQ(out(0), 0xFF000002U);
  EXPECT_EQ(out(1), 4U);
  EXPECT_EQ(hcall(0x74), h::Success);
  EXPECT_EQ(out(0), 0xFF000002U);
  EXPECT_FALSE(cpu0.thread().interrupt_pending());
  EXPECT_EQ(hcall(0x6C, {0, 0xFF}), h::Success);
  EXPECT_EQ(hcall(0x64, {0xFF000002}), h::Success);
  EXPECT_EQ(hcall(0x64, {0xFF001234}), h::Parameter);
  EXPECT_EQ(hcall(0x6C, {2, 4}), h::Parameter);
  EXPECT_EQ(hcall(0x70, {u64{1} << 32}), h::Parameter);
}

class Cancelled : public QuietOperation {
 public:
  void signalled(VasiSignal, u32 why) override { reason = why; }
  u32 reason = 0;
};

TEST_F(HcallTest, VasiStateAndSignal) {
  EXPECT_EQ(hcall(0x2A4, {0}), h::Parameter);
  Cancelled operation;
  VasiService& vasi = partition->system().vasi();
  vasi.expect(0x1122334455667788, VasiRole::kSourceMover, operation);
  EXPECT_EQ(hcall(0x2A4, {0x1122334455667788}), h::Parameter) << "not this partition's";
  partition->set_stream(0x1122334455667788);
  EXPECT_EQ(hcall(0x2A4, {0x1122334455667788}), h::Success);
  EXPECT_EQ(out(0), 1U);
  EXPECT_EQ(hcall(0x2A4, {1}), h::Parameter);
  EXPECT_EQ(hcall(0x2A0, {1, 1, 0}), h::Parameter);
  EXPECT_EQ(hcall(0x2A0, {0x1122334455667788, 3, 0}), h::P2);
  EXPECT_EQ(hcall(0x2A0, {0x1122334455667788, 1, 0x06000010}), h::Success);
  EXPECT_EQ(operation.reason, 0x06000010U);
  vasi.enter(0x1122334455667788, VasiState::kSuspending);
  vasi.enter(0x1122334455667788, VasiState::kSuspended);
  EXPECT_EQ(hcall(0x2A0, {0x1122334455667788, 1, 0}), h::Noop);
  partition->set_stream(0);
  vasi.forget(0x1122334455667788);
  EXPECT_EQ(hcall(0x2A4, {0x1122334455667788}), h::Parameter);
}

TEST_F(HcallTest, FirmwareProgressAndFatal) {
  u64 code = 0;
  for (const char c : std::string("CA00E101")) code = code << 8 | static_cast<u8>(c);
  EXPECT_EQ(hcall(0xF008, {code}), h::Success);
  EXPECT_EQ(partition->reference_code(), "CA00E101");
  EXPECT_EQ(hcall(0xF008, {0}), h::Parameter);
  EXPECT_EQ(hcall(0xF00C, {memory.size()}), h::Parameter);
  const std::string text = "no kernel";
  memory.write(0x9000, {reinterpret_cast<const u8*>(text.c_str()), text.size() + 1});
  EXPECT_EQ(hcall(0xF00C, {0x9000}), h::Success);
  EXPECT_EQ(partition->state(), PartitionState::kError);
  EXPECT_NE(partition->console().history().find("no kernel"), std::string::npos);
}

}  // namespace
}  // namespace baton::hypervisor::test
