// SPDX-License-Identifier: Apache-2.0
// Hypervisor calls made by guest code in a partition, and what they do to that code.
#include "tests/cpu/bare_metal/guest_partition.h"

namespace baton::bare_metal {
namespace {

constexpr u64 kEa = 0x9'0000'1000'0000;
constexpr u64 kA = 0x100'0000, kB = 0x110'0000;  // frames for data
constexpr u64 kExact = 0x0000008000000000, kRead4 = 0x0000002000000000, kAvpn = 0x80000000,
              kAndCond = 0x40000000, kZeroPage = 0x8000;
constexpr u64 kReferenced = 0x100, kChanged = 0x80, kAvpnBits = ~u64{0x7F};

/// The monitor sets DEC as far away as it goes, which is 4 s. A machine on which a test takes longer than
/// that tells nothing about it.
#define SKIP_IF_LATE(report) \
  if ((report).vector == Vector::kDecrementer) GTEST_SKIP() << "the decrementer ran out"

class PageTableCalls : public GuestPartition {
 protected:
  static constexpr u64 kDataOn = kReal | msr::DR;
  Segment segment{.ea = kEa, .vsid = 0x123456, .index = 5};

  void SetUp() override {
    GuestPartition::SetUp();
    slb(0, segment);
  }
  void slb(unsigned cpu, const Segment& s) {
    EXPECT_EQ(run(cpu, "do_slbmte", kReal, {0, s.rb(), s.rs()}).vector, Vector::kSystemCall);
  }
  Report enter(u64 flags, u64 ptex, const cpu::Hpte& e) { return hcall(0, kEnter, {flags, ptex, e.v, e.r}); }
  Report load_at(u64 ea, unsigned cpu = 0) { return run(cpu, "do_load", kDataOn, {0, ea}); }
  Report store_at(u64 ea, u64 value, unsigned cpu = 0) {
    return run(cpu, "do_store", kDataOn, {0, ea, value});
  }
};

// ---- H_ENTER

TEST_F(PageTableCalls, EnterMapsAPage) {
  memory().store<u64>(kA + 0x10, 0x1122334455667788);
  Report r = load_at(kEa + 0x10);
  EXPECT_EQ(r.vector, Vector::kDataStorage);
  EXPECT_EQ(r.dsisr, 0x40000000u);
  EXPECT_EQ(r.dar, kEa + 0x10);
  EXPECT_EQ(r.srr0, at("do_load"));
  const u64 where = group(segment, kEa);
  r = enter(0, where, entry(segment, kEa, kA));
  EXPECT_EQ(r.r3(), h::Success);
  EXPECT_EQ(r.r(4), where);
  r = load_at(kEa + 0x10);
  EXPECT_EQ(r.vector, Vector::kSystemCall);
  EXPECT_EQ(r.r(5), 0x1122334455667788u);
}

TEST_F(PageTableCalls, EnterTakesTheFirstFreeSlot) {
  const u64 where = group(segment, kEa);
  // Any PTEX of the group means the group.
  for (unsigned i = 0; i < 8; i++) {
    const Report r = enter(0, where + (i * 3) % 8, entry(segment, kEa, kA));
    EXPECT_EQ(r.r3(), h::Success);
    EXPECT_EQ(r.r(4), where + i);
  }
  EXPECT_EQ(enter(0, where, entry(segment, kEa, kA)).r3(), h::PtegFull);
  EXPECT_EQ(hcall(0, kRemove, {0, where + 3, 0}).r3(), h::Success);
  const Report r = enter(0, where, entry(segment, kEa, kA));
  EXPECT_EQ(r.r3(), h::Success);
  EXPECT_EQ(r.r(4), where + 3);
}

TEST_F(PageTableCalls, EnterExact) {
  const u64 where = group(segment, kEa);
  Report r = enter(kExact, where + 5, entry(segment, kEa, kA));
  EXPECT_EQ(r.r3(), h::Success);
  EXPECT_EQ(r.r(4), where + 5);
  EXPECT_EQ(enter(kExact, where + 5, entry(segment, kEa, kB)).r3(), h::PtegFull);
  r = hcall(0, kRead, {0, where + 5});
  EXPECT_EQ(r.r(5) & 0x0FFFFFFFFFFFF000, kA);
}

TEST_F(PageTableCalls, EnterChecksItsParameters) {
  const u64 where = group(segment, kEa), size = memory().size();
  const cpu::Hpte good = entry(segment, kEa, kA);
  const u64 entries = partition->hpt().entries();
  EXPECT_EQ(enter(0, entries, good).r3(), h::Parameter);
  EXPECT_EQ(enter(0, ~u64{0}, good).r3(), h::Parameter);
  // Beyond memory: at its end, and by a page size that reaches over it.
  EXPECT_EQ(enter(0, where, entry(segment, kEa, size)).r3(), h::Parameter);
  EXPECT_EQ(enter(0, where, entry(segment, kEa, u64{1} << 50)).r3(), h::Parameter);
  EXPECT_EQ(enter(0, where, entry(segment, kEa, size - 4096)).r3(), h::Success);
  // Storage attributes of I/O, write-through, and no coherence.
  for (u64 wimg : {0x00, 0x20, 0x28, 0x30, 0x40, 0x50, 0x18, 0x08})
    EXPECT_EQ(enter(0, where, {good.v, (good.r & ~u64{0x78}) | wimg}).r3(), h::Parameter) << std::hex << wimg;
  // Large pages: a size that does not exist, and an address that is not aligned to it.
  EXPECT_EQ(enter(0, where, {good.v | 4, good.r | 0x5000}).r3(), h::Parameter);
  EXPECT_EQ(enter(0, where, {good.v | 4, (kA + 0x100000) | 0x10 | 2}).r3(), h::Parameter);
  const Segment large{.ea = kEa, .vsid = 7, .llp = k64K};
  EXPECT_EQ(enter(0, group(large, kEa), entry(large, kEa, kA)).r3(), h::Success);
  const Segment huge{.ea = kEa, .vsid = 8, .llp = k16M};
  EXPECT_EQ(enter(0, group(huge, kEa), entry(huge, kEa, 0x100'0000)).r3(), h::Success);
  EXPECT_EQ(enter(kZeroPage, group(huge, kEa), entry(huge, kEa, 0x200'0000)).r3(), h::TooBig);
  EXPECT_EQ(enter(0, group(huge, kEa), entry(huge, kEa, size)).r3(), h::Parameter);
}

TEST_F(PageTableCalls, EnterForcesReservedBitsOff) {
  const cpu::Hpte good = entry(segment, kEa, kA, 2 | kReferenced | kChanged);
  const u64 where = group(segment, kEa);
  const Report r = enter(kExact, where, {good.v | 0x60 | 0x18, good.r});
  EXPECT_EQ(r.r3(), h::Success);
  const Report read = hcall(0, kRead, {0, where});
  EXPECT_EQ(read.r(4), good.v | 0x18);  // software's own bits stay
  EXPECT_EQ(read.r(5), good.r);
}

TEST_F(PageTableCalls, EightStorageKeys) {
  const cpu::Hpte good = entry(segment, kEa, kA, 2 | kReferenced | kChanged);
  const u64 where = group(segment, kEa);
  // The low three bits of the key; the high two are reserved.
  constexpr u64 kKey = 0x0E00, kKeyHigh = 0x3000000000000000;
  ASSERT_EQ(enter(kExact, where, {good.v, good.r | 0x0A00 | kKeyHigh}).r3(), h::Success);
  EXPECT_EQ(hcall(0, kRead, {0, where}).r(5), good.r | 0x0A00);
  EXPECT_EQ(load_at(kEa).vector, Vector::kSystemCall);
  for (u64 key : {u64{0x0400}, u64{0x0E00}, u64{0}}) {
    EXPECT_EQ(hcall(0, kProtect, {key | 0x3000 | 2, where, 0}).r3(), h::Success);
    EXPECT_EQ(hcall(0, kRead, {0, where}).r(5) & (kKey | kKeyHigh), key);
  }
}

TEST_F(PageTableCalls, EnterZeroesThePage) {
  ASSERT_TRUE(memory().fill(kA, 0xFF, 8192));
  EXPECT_EQ(enter(kZeroPage, group(segment, kEa), entry(segment, kEa, kA)).r3(), h::Success);
  for (u64 i = 0; i < 4096; i += 8) ASSERT_EQ(load(kA + i), 0u);
  EXPECT_EQ(load(kA + 4096), ~u64{0});
}

TEST_F(PageTableCalls, LargePages) {
  const Segment s64{.ea = kEa + 0x1000'0000, .vsid = 0x640, .llp = k64K, .index = 6};
  const Segment s16{.ea = kEa + (u64{1} << 41), .vsid = 0x16, .terabyte = true, .llp = k16M, .index = 7};
  slb(0, s64);
  slb(0, s16);
  memory().store<u64>(kA + 0xFFF8, 64);
  memory().store<u64>(0x200'0000 + 0xFF'FFF8, 16);
  EXPECT_EQ(enter(0, group(s64, s64.ea), entry(s64, s64.ea, kA)).r3(), h::Success);
  EXPECT_EQ(load_at(s64.ea + 0xFFF8).r(5), 64u);
  EXPECT_EQ(enter(0, group(s16, s16.ea), entry(s16, s16.ea, 0x200'0000)).r3(), h::Success);
  EXPECT_EQ(load_at(s16.ea + 0xFF'FFF8).r(5), 16u);
  // 64 KB in a segment of 4 KB pages.
  EXPECT_EQ(enter(0, group(segment, kEa + 0xF000), entry(segment, kEa + 0xF000, kA, 2, 16)).r3(), h::Success);
  EXPECT_EQ(load_at(kEa + 0xFFF8).r(5), 64u);
}

// ---- H_REMOVE

TEST_F(PageTableCalls, RemoveReturnsTheEntryWithItsBits) {
  const u64 where = group(segment, kEa);
  const cpu::Hpte e = entry(segment, kEa, kA);
  struct {
    bool load, store;
    u64 bits;
  } const uses[] = {{false, false, 0}, {true, false, kReferenced}, {false, true, kReferenced | kChanged}};
  for (const auto& use : uses) {
    ASSERT_EQ(enter(kExact, where, e).r3(), h::Success);
    if (use.load) EXPECT_EQ(load_at(kEa).vector, Vector::kSystemCall);
    if (use.store) EXPECT_EQ(store_at(kEa, 5).vector, Vector::kSystemCall);
    const Report r = hcall(0, kRemove, {0, where, 0});
    EXPECT_EQ(r.r3(), h::Success);
    EXPECT_EQ(r.r(4), e.v);
    EXPECT_EQ(r.r(5), e.r | use.bits);
    EXPECT_EQ(load_at(kEa).vector, Vector::kDataStorage);
    EXPECT_EQ(store_at(kEa, 6).vector, Vector::kDataStorage);
    EXPECT_EQ(hcall(0, kRemove, {0, where, 0}).r3(), h::NotFound);
  }
  EXPECT_EQ(hcall(0, kRemove, {0, partition->hpt().entries(), 0}).r3(), h::Parameter);
}

TEST_F(PageTableCalls, RemoveOnCondition) {
  const u64 where = group(segment, kEa);
  cpu::Hpte e = entry(segment, kEa, kA);
  ASSERT_EQ(enter(kExact, where, e).r3(), h::Success);
  EXPECT_EQ(hcall(0, kRemove, {kAvpn, where, (e.v & kAvpnBits) ^ 0x80}).r3(), h::NotFound);
  EXPECT_EQ(hcall(0, kRemove, {kAvpn, where, e.v & kAvpnBits}).r3(), h::Success);
  // Linux's bolted entries are not to be removed.
  e.v |= 0x10;
  ASSERT_EQ(enter(kExact, where, e).r3(), h::Success);
  EXPECT_EQ(hcall(0, kRemove, {kAndCond, where, 0x10}).r3(), h::NotFound);
  EXPECT_EQ(load_at(kEa).vector, Vector::kSystemCall);
  EXPECT_EQ(hcall(0, kRemove, {kAndCond, where, 0x08}).r3(), h::Success);
}

// ---- H_READ

TEST_F(PageTableCalls, ReadOneAndFour) {
  const u64 where = group(segment, kEa);
  cpu::Hpte e[8];
  for (unsigned i = 0; i < 8; i += 2) {
    e[i] = entry(segment, kEa, kA + i * 4096);
    ASSERT_EQ(enter(kExact, where + i, e[i]).r3(), h::Success);
  }
  for (unsigned i = 0; i < 8; i++) {
    Report r = hcall(0, kRead, {0, where + i});
    EXPECT_EQ(r.r3(), h::Success);
    EXPECT_EQ(r.r(4), e[i].v);
    EXPECT_EQ(r.r(5), e[i].r);
    r = hcall(0, kRead, {kRead4, where + i});
    EXPECT_EQ(r.r3(), h::Success);
    for (unsigned j = 0; j < 4; j++) {
      EXPECT_EQ(r.r(4 + 2 * j), e[(i & 4) + j].v);
      EXPECT_EQ(r.r(5 + 2 * j), e[(i & 4) + j].r);
    }
  }
  EXPECT_EQ(hcall(0, kRead, {0, partition->hpt().entries()}).r3(), h::Parameter);
}

// ---- H_PROTECT, H_CLEAR_MOD, H_CLEAR_REF

TEST_F(PageTableCalls, Protect) {
  const u64 where = group(segment, kEa);
  const cpu::Hpte e = entry(segment, kEa, kA);
  ASSERT_EQ(enter(kExact, where, e).r3(), h::Success);
  EXPECT_EQ(store_at(kEa, 1).vector, Vector::kSystemCall);
  EXPECT_EQ(hcall(0, kProtect, {kAvpn | 3, where, (e.v & kAvpnBits) ^ 0x80}).r3(), h::NotFound);
  EXPECT_EQ(store_at(kEa, 2).vector, Vector::kSystemCall);
  EXPECT_EQ(hcall(0, kProtect, {kAvpn | 3, where, e.v & kAvpnBits}).r3(), h::Success);
  // C stays, R goes.
  EXPECT_EQ(hcall(0, kRead, {0, where}).r(5), (e.r & ~u64{3}) | 3 | kChanged);
  const Report r = store_at(kEa, 3);
  EXPECT_EQ(r.vector, Vector::kDataStorage);
  EXPECT_EQ(r.dsisr, 0x0A000000u);
  EXPECT_EQ(load(kA), 2u);
  EXPECT_EQ(load_at(kEa).r(5), 2u);
  // PP0, and no-execute.
  EXPECT_EQ(hcall(0, kProtect, {0x100 | 4 | 2, where, 0}).r3(), h::Success);
  EXPECT_EQ(hcall(0, kRead, {0, where}).r(5) & 0x8000000000000007, 0x8000000000000006u);
  EXPECT_EQ(store_at(kEa, 4).vector, Vector::kDataStorage);
  EXPECT_EQ(load_at(kEa).r(5), 2u);
  EXPECT_EQ(hcall(0, kProtect, {2, where, 0}).r3(), h::Success);
  EXPECT_EQ(store_at(kEa, 5).vector, Vector::kSystemCall);
  EXPECT_EQ(hcall(0, kProtect, {2, where + 1, 0}).r3(), h::NotFound);
  EXPECT_EQ(hcall(0, kProtect, {2, partition->hpt().entries(), 0}).r3(), h::Parameter);
}

TEST_F(PageTableCalls, ClearBits) {
  const u64 where = group(segment, kEa);
  ASSERT_EQ(enter(kExact, where, entry(segment, kEa, kA)).r3(), h::Success);
  for (unsigned i = 0; i < 3; i++) {
    EXPECT_EQ(store_at(kEa, 1).vector, Vector::kSystemCall);
    Report r = hcall(0, kClearMod, {0, where});
    EXPECT_EQ(r.r3(), h::Success);
    EXPECT_EQ(r.r(4) & (kReferenced | kChanged), kReferenced | kChanged);
    EXPECT_EQ(hcall(0, kRead, {0, where}).r(5) & (kReferenced | kChanged), kReferenced);
    r = hcall(0, kClearRef, {0, where});
    EXPECT_EQ(r.r3(), h::Success);
    EXPECT_EQ(hcall(0, kRead, {0, where}).r(5) & (kReferenced | kChanged), 0u);
    EXPECT_EQ(load_at(kEa).vector, Vector::kSystemCall);
    EXPECT_EQ(hcall(0, kRead, {0, where}).r(5) & (kReferenced | kChanged), kReferenced);
  }
  EXPECT_EQ(hcall(0, kClearMod, {0, where + 1}).r3(), h::NotFound);
  EXPECT_EQ(hcall(0, kClearRef, {0, partition->hpt().entries()}).r3(), h::Parameter);
}

// ---- H_BULK_REMOVE

TEST_F(PageTableCalls, BulkRemove) {
  constexpr u64 kRequest = u64{0x40} << 56, kResponse = u64{0x80} << 56, kEnd = u64{0xC0} << 56;
  constexpr u64 kIfAvpn = u64{0x02} << 56, kIfAndCond = u64{0x01} << 56, kInvalid = u64{0x03} << 56;
  constexpr u64 kNotFound = u64{0x10} << 56, kBad = u64{0x20} << 56, kR = u64{0x08} << 56,
                kC = u64{0x04} << 56;
  const u64 where = group(segment, kEa);
  const auto fill = [&] {
    for (unsigned i = 0; i < 4; i++) {
      hcall(0, kRemove, {0, where + i, 0});
      // Slot 0 translates kEa; the others are other pages' entries in a strange place.
      ASSERT_EQ(enter(kExact, where + i, entry(segment, kEa + (u64{i} << 24), kA + i * 4096)).r3(),
                h::Success);
    }
    EXPECT_EQ(store_at(kEa, 1).vector, Vector::kSystemCall);
  };
  fill();
  const u64 tag0 = entry(segment, kEa, kA).v & kAvpnBits,
            tag1 = entry(segment, kEa + (1 << 24), kA).v & kAvpnBits;
  // Absolute, matching AVPN, other AVPN, ANDCOND that holds it back.
  Report r = hcall(0, kBulkRemove,
                   {kRequest | where, 0, kRequest | kIfAvpn | (where + 1), tag1,
                    kRequest | kIfAvpn | (where + 2), tag1 ^ 0x80, kRequest | kIfAndCond | (where + 3), 1});
  EXPECT_EQ(r.r3(), h::Success);
  EXPECT_EQ(r.r(4), kResponse | kR | kC | where);
  EXPECT_EQ(r.r(6), kResponse | (where + 1));
  EXPECT_EQ(r.r(8), kResponse | kNotFound | (where + 2));
  EXPECT_EQ(r.r(10), kResponse | kNotFound | (where + 3));
  EXPECT_EQ(load_at(kEa).vector, Vector::kDataStorage);
  for (unsigned i = 0; i < 4; i++) EXPECT_EQ(hcall(0, kRead, {0, where + i}).r(4) & 1, i < 2 ? 0u : 1u);
  // The end stops it, and so does what is not a request.
  fill();
  r = hcall(0, kBulkRemove, {kRequest | where, 0, kEnd, 0, kRequest | (where + 2), 0, kEnd, 0});
  EXPECT_EQ(r.r3(), h::Success);
  EXPECT_EQ(r.r(8), kRequest | (where + 2));
  EXPECT_EQ(hcall(0, kRead, {0, where + 2}).r(4) & 1, 1u);
  fill();
  r = hcall(0, kBulkRemove, {kRequest | where, 0, 0, 0, kRequest | (where + 2), 0, kEnd, 0});
  EXPECT_EQ(r.r3(), h::Parameter);
  EXPECT_EQ(hcall(0, kRead, {0, where}).r(4) & 1, 0u);
  EXPECT_EQ(hcall(0, kRead, {0, where + 2}).r(4) & 1, 1u);
  // A PTEX that does not exist, and a condition that does not.
  r = hcall(0, kBulkRemove, {kRequest | partition->hpt().entries(), 0, kRequest | (where + 2), 0, kEnd, 0});
  EXPECT_EQ(r.r3(), h::Parameter);
  EXPECT_EQ(r.r(4) >> 56 << 56, kResponse | kBad);
  EXPECT_EQ(hcall(0, kRead, {0, where + 2}).r(4) & 1, 1u);
  r = hcall(0, kBulkRemove, {kRequest | kInvalid | (where + 2), 0, kEnd, 0});
  EXPECT_EQ(r.r3(), h::Parameter);
  (void)tag0;
}

// ---- two processors and one page

TEST_F(PageTableCalls, RemovedWhileTheOtherStores) {
  start_second();
  slb(1, segment);
  const u64 where = group(segment, kEa);
  const cpu::Hpte e = entry(segment, kEa, kA);
  const auto newest = [&] { return load(kA); };
  for (Rounds rounds(1000, 2500); rounds.next();) {
    const unsigned round = rounds.round();
    memory().store<u64>(kA, 0);
    ASSERT_EQ(enter(kExact, where, e).r3(), h::Success);
    order(1, "store_for_ever", kReal | msr::DR, {0, kEa, 1});
    // Before, during and after the first store.
    if (round % 4 == 3) ASSERT_TRUE(eventually([&] { return newest() != 0; }));
    const Report removed = hcall(0, kRemove, {0, where, 0});
    ASSERT_EQ(removed.r3(), h::Success);
    const u64 after = newest();
    const Report stopped = report(1);
    EXPECT_EQ(stopped.vector, Vector::kDataStorage);
    EXPECT_EQ(stopped.dsisr, 0x42000000u);
    EXPECT_EQ(stopped.srr0, at("store_for_ever"));
    // The register says how far it came: every store before it landed, none after it.
    EXPECT_EQ(newest(), after) << "round " << round;
    EXPECT_EQ(stopped.r(5), after + 1) << "round " << round;
    if (after)
      EXPECT_EQ(removed.r(5) & (kReferenced | kChanged), kReferenced | kChanged) << "round " << round;
  }
}

TEST_F(PageTableCalls, ProtectedWhileTheOtherStores) {
  start_second();
  slb(1, segment);
  const u64 where = group(segment, kEa);
  const cpu::Hpte e = entry(segment, kEa, kA);
  ASSERT_EQ(enter(kExact, where, e).r3(), h::Success);
  for (Rounds rounds(1000, 2500); rounds.next();) {
    const unsigned round = rounds.round();
    memory().store<u64>(kA, 0);
    order(1, "store_for_ever", kReal | msr::DR, {0, kEa, 1});
    if (round % 2) ASSERT_TRUE(eventually([&] { return load(kA) != 0; }));
    ASSERT_EQ(hcall(0, kProtect, {3, where, 0}).r3(), h::Success);
    const u64 after = load(kA);
    const Report stopped = report(1);
    EXPECT_EQ(stopped.vector, Vector::kDataStorage);
    // Never "no translation": the page was there all the time.
    EXPECT_EQ(stopped.dsisr, 0x0A000000u) << "round " << round;
    EXPECT_EQ(load(kA), after) << "round " << round;
    const u64 r = hcall(0, kRead, {0, where}).r(5);
    if (after) EXPECT_TRUE(r & kChanged) << "round " << round;
    ASSERT_EQ(hcall(0, kClearMod, {0, where}).r3(), h::Success);
    ASSERT_EQ(hcall(0, kProtect, {2, where, 0}).r3(), h::Success);
  }
}

TEST_F(PageTableCalls, NoChangeIsLost) {
  // C of a store that lands while the entry goes: it must be in what H_REMOVE returns, and survive H_PROTECT.
  start_second();
  slb(1, segment);
  const u64 where = group(segment, kEa);
  const cpu::Hpte e = entry(segment, kEa, kA);
  memory().store<u32>(0x300, 0x4C000024);  // rfid: the store is tried again
  order(1, "store_for_ever", kReal | msr::DR, {0, kEa, 1});
  for (const char* routine : {"remove_rounds", "protect_rounds"}) {
    for (Rounds rounds(50, 1500); rounds.next();) {
      const Report r = run(0, routine, kReal, {0, where, e.v, e.r, kA, 5000});
      ASSERT_EQ(r.vector, Vector::kSystemCall);
      EXPECT_EQ(r.r(4), 0u) << routine << ": times that C was lost";
    }
    enter(kExact, where, e);
  }
  partition->processor(1)->thread().system_reset();
  EXPECT_EQ(report(1).vector, Vector::kSystemReset);
}

// ---- calls that reach into the processor

TEST_F(PageTableCalls, WatchedAddress) {
  constexpr u64 kSetDabr = 0x28, kSetXdabr = 0x134;
  ASSERT_EQ(enter(0, group(segment, kEa), entry(segment, kEa, kA)).r3(), h::Success);
  const auto hit = [&](u64 ea) {
    const Report r = load_at(ea);
    if (r.vector == Vector::kSystemCall) return false;
    EXPECT_EQ(r.vector, Vector::kDataStorage);
    EXPECT_EQ(r.dsisr, 0x00400000u);
    EXPECT_EQ(r.dar, ea);
    return true;
  };
  // The page is in use already.
  EXPECT_FALSE(hit(kEa + 0x100));
  EXPECT_EQ(hcall(0, kSetDabr, {(kEa + 0x100) | 4 | 1}).r3(), h::Success);
  EXPECT_TRUE(hit(kEa + 0x100));
  EXPECT_FALSE(hit(kEa + 0x108));
  EXPECT_EQ(store_at(kEa + 0x100, 1).vector, Vector::kSystemCall);
  EXPECT_EQ(hcall(0, kSetXdabr, {(kEa + 0x108) | 4 | 3, 2}).r3(), h::Success);
  EXPECT_FALSE(hit(kEa + 0x100));
  EXPECT_TRUE(hit(kEa + 0x108));
  EXPECT_EQ(store_at(kEa + 0x108, 1).dsisr, 0x02400000u);
  // For problem state only, and none at all.
  EXPECT_EQ(hcall(0, kSetXdabr, {(kEa + 0x108) | 4 | 3, 1}).r3(), h::Success);
  EXPECT_FALSE(hit(kEa + 0x108));
  EXPECT_EQ(hcall(0, kSetDabr, {0}).r3(), h::Success);
  EXPECT_FALSE(hit(kEa + 0x108));
  for (u64 bad : {0, 4, 8, 16, 19}) EXPECT_EQ(hcall(0, kSetXdabr, {kEa | 7, bad}).r3(), h::Parameter) << bad;
}

TEST_F(PageTableCalls, CallsThatWriteCode) {
  constexpr u64 kPageInit = 0x2C, kCacheStore = 0x48, kCopy = 0x4000, kZero = 0x8000;
  const auto code = [&](u64 ra, u32 value) {
    memory().store<u32>(ra, 0x38A00000 | value);  // li 5,value
    memory().store<u32>(ra + 4, 0x44000002);      // sc
  };
  for (u32 i = 1; i < 10; i++) {
    code(kA, i);
    order(0, kA, kReal);
    EXPECT_EQ(report(0).r(5), i);
    code(kB, i + 1000);
    EXPECT_EQ(hcall(0, kPageInit, {kCopy, kA, kB}).r3(), h::Success);
    order(0, kA, kReal);
    EXPECT_EQ(report(0).r(5), i + 1000);
    EXPECT_EQ(hcall(0, kCacheStore, {4, kA, 0x38A00000 | (i + 2000)}).r3(), h::Success);
    order(0, kA, kReal);
    EXPECT_EQ(report(0).r(5), i + 2000);
    EXPECT_EQ(hcall(0, kPageInit, {kZero, kA, 0}).r3(), h::Success);
    order(0, kA, kReal);
    const Report r = report(0);
    EXPECT_EQ(r.vector, Vector::kProgram);
    EXPECT_EQ(r.srr0, kA);
  }
}

// ---- sc 1 from problem state

TEST_F(PageTableCalls, ProblemStateMayNotCall) {
  // The routine's page, mapped for problem state.
  const u64 page = at("call_hypervisor") & ~u64{0xFFF}, routine = kEa + (at("call_hypervisor") & 0xFFF);
  ASSERT_EQ(enter(0, group(segment, kEa), entry(segment, kEa, page)).r3(), h::Success);
  const u64 problem = kReal | msr::PR | msr::EE | msr::IR | msr::DR;
  for (u64 token : {u64{kRead}, u64{kCede}, u64{0x1234}, u64{0}}) {
    order(0, routine, problem, {token, 1, 2, 3});
    const Report r = report(0);
    EXPECT_EQ(r.vector, Vector::kSystemCall);
    EXPECT_EQ(r.srr0, routine + 8);
    EXPECT_EQ(r.srr1, problem);
    EXPECT_EQ(r.r3(), h::Privilege);
    EXPECT_EQ(r.r(4), 1u);
    EXPECT_EQ(r.r(5), 2u);
  }
}

// ---- convention

TEST_F(GuestPartition, EnteredAsAgreed) {
  EXPECT_EQ(boot_msr(0), kReal);
  EXPECT_EQ(memory().load<u32>(boot_r3(0)).value(), 0xD00DFEEDu);  // a device tree
}

TEST_F(GuestPartition, UnknownCalls) {
  for (u64 token : {0x03, 0x7FFFC, 0x1, 0x358, 0x31C}) EXPECT_EQ(hcall(0, token).r3(), h::Function) << token;
}

TEST_F(GuestPartition, CallsFrom32BitCode) {
  // Garbage in the upper halves of registers does not count.
  const Report r = run(0, "call_hypervisor", msr::ME, {u64{0xABCD} << 32 | kRead, 0, 0});
  EXPECT_EQ(r.vector, Vector::kSystemCall);
  EXPECT_EQ(r.r3(), h::Success);
  EXPECT_EQ(r.srr1, msr::ME);
}

// ---- H_CEDE and the decrementer

TEST_F(GuestPartition, CedeEndsWithTheDecrementer) {
  for (u64 ticks : {1000, 100'000, 2'000'000}) {
    const u64 before = partition->clock().time_base();
    const Report r = run(0, "cede_with_dec", kReal | msr::RI, {0, 0, ticks});
    EXPECT_EQ(r.vector, Vector::kDecrementer);
    EXPECT_EQ(r.srr0, at("after_cede"));
    EXPECT_EQ(r.srr1, kReal | msr::RI | msr::EE);
    EXPECT_EQ(r.r3(), h::Success);
    EXPECT_GT(r.time - before, ticks);
  }
  // Negative already: it comes back at once.
  const Report r = run(0, "cede_with_dec", kReal, {0, 0, 0xFFFFFFFF});
  EXPECT_EQ(r.vector, Vector::kDecrementer);
  EXPECT_EQ(r.srr0, at("after_cede"));
}

TEST_F(GuestPartition, DecrementerWhileRunning) {
  for (unsigned i = 0; i < 5; i++) {
    order(0, "spin", kReal | msr::EE);
    // The monitor has set DEC to its largest value: nothing comes.
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    EXPECT_FALSE(done(0));
    partition->processor(0)->thread().system_reset();
    partition->processor(0)->wake();
    const Report r = report(0);
    SKIP_IF_LATE(r);
    EXPECT_EQ(r.vector, Vector::kSystemReset);
    EXPECT_EQ(r.srr0, at("spin"));
    EXPECT_EQ(r.srr1, kReal | msr::EE);
  }
}

// ---- H_PROD, H_CONFER

TEST_F(GuestPartition, ProdEndsCede) {
  start_second();
  const auto ceded = [&] { return partition->processor(1)->dispatch() == hypervisor::Dispatch::kCeded; };
  for (unsigned i = 0; i < 20; i++) {
    order(1, "call_hypervisor", kReal, {kCede});
    ASSERT_TRUE(eventually(ceded));
    EXPECT_FALSE(done(1));
    EXPECT_EQ(hcall(0, kProd, {1}).r3(), h::Success);
    const Report r = report(1);
    SKIP_IF_LATE(r);
    EXPECT_EQ(r.vector, Vector::kSystemCall);
    EXPECT_EQ(r.r3(), h::Success);
    // H_CEDE enables interrupts.
    EXPECT_EQ(r.srr1, kReal | msr::EE);
  }
  // The prod is remembered, once.
  EXPECT_EQ(hcall(0, kProd, {1}).r3(), h::Success);
  EXPECT_EQ(hcall(0, kProd, {1}).r3(), h::Success);
  EXPECT_EQ(run(1, "call_hypervisor", kReal, {kCede}).vector, Vector::kSystemCall);
  order(1, "call_hypervisor", kReal, {kCede});
  ASSERT_TRUE(eventually(ceded));
  EXPECT_FALSE(done(1));
  EXPECT_EQ(hcall(0, kProd, {1}).r3(), h::Success);
  report(1);
  EXPECT_EQ(hcall(0, kProd, {7}).r3(), h::Parameter);
}

TEST_F(GuestPartition, ConferToItselfLastsUntilAProd) {
  start_second();
  order(1, "call_hypervisor", kReal, {kConfer, 1, 0});
  ASSERT_TRUE(
      eventually([&] { return partition->processor(1)->dispatch() == hypervisor::Dispatch::kConferred; }));
  EXPECT_FALSE(done(1));
  EXPECT_EQ(hcall(0, kProd, {1}).r3(), h::Success);
  EXPECT_EQ(report(1).r3(), h::Success);
  // To others it is a hint.
  EXPECT_EQ(hcall(0, kConfer, {1, 0}).r3(), h::Success);
  EXPECT_EQ(hcall(0, kConfer, {1, 1}).r3(), h::Success);
  EXPECT_EQ(hcall(0, kConfer, {~u64{0}, 0}).r3(), h::Success);
  EXPECT_EQ(hcall(0, kConfer, {9, 0}).r3(), h::Parameter);
}

TEST_F(GuestPartition, ConferAndProdChangeOnlyR3) {
  for (u64 token : {u64{kConfer}, u64{kProd}}) {
    const Report r =
        run(0, "call_hypervisor", kReal, {token, ~u64{0} * (token == kConfer), 5, 6, 7, 8, 9, 10, 11, 12});
    for (unsigned n = 5; n <= 12; n++) EXPECT_EQ(r.r(n), n);
  }
}

// ---- start-cpu and interrupts between processors

TEST_F(GuestPartition, StartAndStopAProcessor) {
  EXPECT_EQ(rtas("query-cpu-stopped-state", {1}), 0);
  EXPECT_EQ(rtas_return(1), 0u);
  start_second();
  EXPECT_EQ(boot_r3(1), 0x1234u);
  EXPECT_EQ(boot_msr(1), msr::ME);  // RTAS was instantiated for 32 bits
  EXPECT_EQ(rtas("query-cpu-stopped-state", {1}), 0);
  EXPECT_EQ(rtas_return(1), 2u);
  // Not twice, and not one that is not there.
  EXPECT_NE(rtas("start-cpu", {1, static_cast<u32>(at("secondary")), 5}), 0);
  EXPECT_NE(rtas("start-cpu", {2, static_cast<u32>(at("secondary")), 5}), 0);
  EXPECT_EQ(boots(1), 1u);
  // stop-self, by processor 1: it does not come back.
  for (unsigned i = 2; i < 6; i++) {
    memory().store<u32>(0x19000, 0x200E);
    memory().store<u64>(0x19004, 0);
    order(1, "call_hypervisor", kReal, {kRtas, 0x19000});
    ASSERT_TRUE(eventually([&] { return rtas("query-cpu-stopped-state", {1}) == 0 && rtas_return(1) == 0; }));
    EXPECT_FALSE(done(1));
    memory().store<u64>(0x10000 + 1024, 0);  // the order is forgotten, SPRG2 will be 0
    start_second();
    EXPECT_EQ(boots(1), i);
  }
}

TEST_F(GuestPartition, InterruptFromTheOtherProcessor) {
  start_second();
  for (u64 other : {0, 1}) EXPECT_EQ(hcall(static_cast<unsigned>(other), kCppr, {0xFF}).r3(), h::Success);
  for (unsigned i = 0; i < 20; i++) {
    // Running, with interrupts on, and ceded.
    if (i % 2)
      order(1, "spin", kReal | msr::EE);
    else
      order(1, "call_hypervisor", kReal, {kCede});
    EXPECT_EQ(hcall(0, kIpi, {1, 4}).r3(), h::Success);
    const Report r = report(1);
    SKIP_IF_LATE(r);
    EXPECT_EQ(r.vector, Vector::kExternal);
    EXPECT_EQ(r.srr0, i % 2 ? at("spin") : at("call_hypervisor") + 4);
    EXPECT_EQ(r.srr1, kReal | msr::EE);
    const Report polled = hcall(0, kIpoll, {1});
    EXPECT_EQ(polled.r(5), 4u);
    const Report accepted = hcall(1, kXirr);
    EXPECT_EQ(accepted.r3(), h::Success);
    EXPECT_EQ(accepted.r(4), 0xFF000002u);
    EXPECT_EQ(hcall(1, kXirr).r(4), 0x04000000u);  // nothing more
    EXPECT_EQ(hcall(1, kIpi, {1, 0xFF}).r3(), h::Success);
    EXPECT_EQ(hcall(1, kEoi, {accepted.r(4)}).r3(), h::Success);
    EXPECT_EQ(hcall(1, kXirr).r(4), 0xFF000000u);
  }
  EXPECT_EQ(hcall(0, kIpi, {7, 4}).r3(), h::Parameter);
}

TEST_F(GuestPartition, MaskedByPriority) {
  Report r;
  start_second();
  EXPECT_EQ(hcall(1, kCppr, {4}).r3(), h::Success);
  order(1, "spin", kReal | msr::EE);
  EXPECT_EQ(hcall(0, kIpi, {1, 4}).r3(), h::Success);  // not more favoured than 4
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_FALSE(done(1));
  EXPECT_EQ(hcall(0, kIpi, {1, 3}).r3(), h::Success);
  r = report(1);
  SKIP_IF_LATE(r);
  EXPECT_EQ(r.vector, Vector::kExternal);
  // Away again before anybody accepts it: the line goes down.
  EXPECT_EQ(hcall(0, kIpi, {1, 0xFF}).r3(), h::Success);
  order(1, "spin", kReal | msr::EE);
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_FALSE(done(1));
  EXPECT_EQ(hcall(0, kIpi, {1, 0}).r3(), h::Success);
  r = report(1);
  SKIP_IF_LATE(r);
  EXPECT_EQ(r.vector, Vector::kExternal);
}

TEST_F(GuestPartition, PingPong) {
  start_second();
  constexpr u64 kRounds = 1000;
  const u64 handler = at("ping_handler");
  for (unsigned cpu = 0; cpu < 2; cpu++) EXPECT_EQ(hcall(cpu, kCppr, {0xFF}).r3(), h::Success);
  const u32 own = memory().load<u32>(0x500).value();
  memory().store<u32>(0x500, 0x48000000 | static_cast<u32>(handler - 0x500));
  // r9 rounds, r10 the other, r11 who begins.
  order(1, "ping_pong", kReal, {0, 0, 0, 0, 0, 0, kRounds, 0, 0});
  order(0, "ping_pong", kReal, {0, 0, 0, 0, 0, 0, kRounds, 1, 1});
  for (unsigned cpu : {0u, 1u}) {
    const Report r = report(cpu);
    EXPECT_EQ(r.vector, Vector::kSystemCall);
    EXPECT_EQ(r.r(9), 0u);
  }
  memory().store<u32>(0x500, own);
}

}  // namespace
}  // namespace baton::bare_metal
