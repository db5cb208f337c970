// SPDX-License-Identifier: Apache-2.0
#include "migration/snapshot.h"

#include <gtest/gtest.h>

#include <random>
#include <stdexcept>

#include "hypervisor/virtual_processor.h"
#include "tests/migration/support.h"

namespace baton::migration {
namespace {

std::span<const u8> raw(const std::string& text) {
  return {reinterpret_cast<const u8*>(text.data()), text.size()};
}

class Snapshot : public testing::Test {
 protected:
  std::shared_ptr<hypervisor::Partition> make(hypervisor::ManagedSystem& system) {
    return system.create(small_profile());
  }
  hypervisor::ManagedSystem a_{
      {.name = "A", .type_model = "9117-MMA", .serial = "10BA70A", .memory = 1 << 30, .processors = 4}, ""};
  hypervisor::ManagedSystem b_{
      {.name = "B", .type_model = "9117-MMA", .serial = "10BA70B", .memory = 1 << 30, .processors = 4}, ""};
};

TEST_F(Snapshot, EveryRegisterComesBack) {
  const auto from = make(a_), to = make(b_);
  cpu::State& s = from->processors()[1]->thread().state();
  std::mt19937_64 random(7);
  for (int i = 0; i < 32; ++i) {
    s.gpr[i] = random();
    s.fpr[i] = random();
  }
  s.nia = random() & ~u64{3};
  s.lr = random();
  s.ctr = random();
  s.msr = cpu::msr::SF | cpu::msr::EE | cpu::msr::ME | cpu::msr::IR | cpu::msr::DR | cpu::msr::RI;
  for (u8& field : s.cr) field = random() & 15;
  set_so(s, true);
  s.xer_ca = 1;
  s.xer_count = 0x55;
  s.fpscr = random() & 0xFFFFFFFF;
  for (u64* value : {&s.srr0, &s.srr1, &s.dar, &s.cfar, &s.dscr, &s.amr, &s.ppr, &s.dabr, &s.mmcr1, &s.mmcra,
                     &s.siar, &s.sdar})
    *value = random();
  for (u128& value : s.vr) value = u128{random()} << 64 | random();
  s.vscr = 0x00010001;
  s.dsisr = 0x42000000;
  s.vrsave = 0xF00D;
  for (u64& value : s.sprg) value = random();
  for (u32& value : s.pmc) value = static_cast<u32>(random());
  s.slb[5] = {0x12345678000 | 0x08000000, 0x987654000};
  s.reserved = true;
  from->processors()[1]->thread().set_purr(123456789);
  from->processors()[1]->vpa = 0x4000;
  from->processors()[1]->yield_count = 42;
  from->processors()[1]->restore_dispatch(hypervisor::Dispatch::kJoined);
  from->clock().set_time_base(u64{1} << 50);
  const u64 before = from->clock().time_base();
  s.dec_deadline = before + 1000000;
  from->nvram()[17] = 0x5A;
  from->console().input(raw("typed"));
  auto* const lan = dynamic_cast<hypervisor::LogicalLan*>(from->adapter(0x30000003));
  ASSERT_NE(lan, nullptr);
  for (const u64 page : {0x1000, 0x2000, 0x7000}) ASSERT_TRUE(lan->tce()->put(page, 0x5003 + page));
  u64 attributes = 0;
  ASSERT_EQ(lan->h_illan_attributes(0, 0x10006, attributes), 0);
  from->xics().set_xive(lan->irq(), 1, 5);

  restore_state(*to, raw(save_state(*from, true)), true);

  const cpu::State& t = to->processors()[1]->thread().state();
  EXPECT_TRUE(std::equal(s.gpr, s.gpr + 32, t.gpr));
  EXPECT_TRUE(std::equal(s.fpr, s.fpr + 32, t.fpr));
  EXPECT_TRUE(std::equal(s.vr, s.vr + 32, t.vr));
  EXPECT_EQ(t.vscr, 0x00010001u);
  EXPECT_TRUE(std::equal(s.cr, s.cr + 8, t.cr));
  EXPECT_TRUE(std::equal(s.sprg, s.sprg + 4, t.sprg));
  EXPECT_TRUE(std::equal(s.pmc, s.pmc + 6, t.pmc));
#define SAME(field) EXPECT_EQ(s.field, t.field) << #field
  SAME(nia);
  SAME(lr);
  SAME(ctr);
  SAME(msr);
  SAME(xer_so);
  SAME(xer_ov);
  SAME(xer_ca);
  SAME(xer_count);
  SAME(fpscr);
  SAME(srr0);
  SAME(srr1);
  SAME(dar);
  SAME(dsisr);
  SAME(cfar);
  SAME(dscr);
  SAME(amr);
  SAME(ppr);
  SAME(ctrl);
  SAME(dabr);
  SAME(mmcr0);
  SAME(mmcr1);
  SAME(mmcra);
  SAME(siar);
  SAME(sdar);
  SAME(vrsave);
  SAME(dec_deadline);
  SAME(slb[5].esid);
  SAME(slb[5].vsid);
#undef SAME
  EXPECT_FALSE(t.reserved) << "a reservation does not move";
  EXPECT_EQ(to->processors()[1]->thread().purr(), 123456789u);
  EXPECT_EQ(to->processors()[1]->vpa, 0x4000u);
  EXPECT_EQ(to->processors()[1]->yield_count, 42u);
  EXPECT_EQ(to->processors()[1]->dispatch(), hypervisor::Dispatch::kJoined);
  EXPECT_GE(to->clock().time_base(), before);
  EXPECT_LT(to->clock().time_base(), before + 10 * cpu::kTimeBaseHz);
  EXPECT_EQ(to->nvram()[17], 0x5A);
  EXPECT_EQ(to->console().save().pending_input, "typed");
  for (const u64 page : {0x1000, 0x2000, 0x3000, 0x7000}) {
    u64 tce = 0;
    EXPECT_TRUE(to->adapter(0x30000003)->tce()->get(page, tce));
    EXPECT_EQ(tce, page == 0x3000 ? 0 : 0x5003 + page);
  }
  EXPECT_EQ(dynamic_cast<hypervisor::LogicalLan*>(to->adapter(0x30000003))->save().attributes, 0x10006u);
  u32 server = 0;
  u8 priority = 0;
  EXPECT_TRUE(to->xics().get_xive(lan->irq(), server, priority));
  EXPECT_EQ(server, 1u);
  EXPECT_EQ(priority, 5u);
}

TEST_F(Snapshot, AnotherShapeIsRefused) {
  const auto from = make(a_);
  hypervisor::Profile other = small_profile();
  other.processors = 1;
  const auto to = b_.create(other);
  const std::string state = save_state(*from, true);
  EXPECT_THROW(restore_state(*to, raw(state), true), std::runtime_error);
  EXPECT_THROW(restore_state(*to, raw(state), false), std::runtime_error);
}

/// The checksums stand before this; what gets past them must still not harm the host.
TEST_F(Snapshot, DamageNeverCrashes) {
  const auto from = make(a_), to = make(b_);
  ASSERT_TRUE(from->adapter(0x30000003)->tce()->put(0x1000, 0x5003));
  const std::string good = save_state(*from, true);
  std::mt19937_64 random(3);
  const auto attempt = [&](const std::string& bad) {
    try {
      restore_state(*to, raw(bad), true);
    } catch (const std::runtime_error&) {
    }
  };
  // A minute with ThreadSanitizer, which has nothing to say of one thread.
#if __has_feature(thread_sanitizer)
  constexpr int kAttempts = 300;
#else
  constexpr int kAttempts = 3000;
#endif
  // The NVRAM is most of it: what is before and after matters more, and random places in all of it.
  for (int i = 0; i < kAttempts; ++i) {
    std::string bad = good;
    const std::size_t at =
        i % 2 ? random() % good.size() : random() % std::min<std::size_t>(good.size(), 4096);
    bad[at] = static_cast<char>(random());
    attempt(bad);
  }
  for (int i = 0; i < kAttempts / 10; ++i) attempt(good.substr(0, random() % good.size()));
  restore_state(*to, raw(good), true);
}

}  // namespace
}  // namespace baton::migration
