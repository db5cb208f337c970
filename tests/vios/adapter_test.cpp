// SPDX-License-Identifier: Apache-2.0
// Client adapters through their hcalls, on a partition that does not run.
#include "hypervisor/adapter.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "tests/hypervisor/support.h"

namespace baton::hypervisor::test {
namespace {

constexpr u64 kScsi = 0x30000002, kLan = 0x30000003, kConsole = 0x30000000;
constexpr u64 kScsiLiobn = 0x10000002, kLanLiobn = 0x10000003;
constexpr u64 kRegCrq = 0xFC, kFreeCrq = 0x100, kVioSignal = 0x104, kSendCrq = 0x108, kEnableCrq = 0x2B0;
constexpr u64 kGetTce = 0x1C, kPutTce = 0x20, kStuffTce = 0x138, kPutTceIndirect = 0x13C;
constexpr u64 kRegisterLan = 0x114, kFreeLan = 0x118, kAddBuffer = 0x11C, kSendLan = 0x120,
              kMulticast = 0x130, kChangeMac = 0x14C, kFreeBuffer = 0x1D4, kIllan = 0x244, kVioctl = 0x2A8;
constexpr u64 kGetTerm = 0x54, kPutTerm = 0x58;

struct RecordingServer final : CrqServer {
  void client_registered() override { registered++; }
  void client_closed() override { closed++; }
  bool receive(const CrqEntry& entry) override {
    if (full) return false;
    got.push_back(entry);
    return true;
  }
  int registered = 0, closed = 0;
  bool full = false;
  std::vector<CrqEntry> got;
};

class AdapterTest : public PartitionFixture {
 protected:
  /// Maps I/O pages to the same real pages.
  void map(u64 liobn, u64 address, u64 length, u64 permission = 3) {
    for (u64 page = address; page < address + length; page += 4096)
      ASSERT_EQ(hcall(kPutTce, {liobn, page, page | permission}), h::Success);
  }
  CrqAdapter& crq() { return *dynamic_cast<CrqAdapter*>(partition->adapter(kScsi)); }
  LogicalLan& lan() { return *dynamic_cast<LogicalLan*>(partition->adapter(kLan)); }
  u64 doubleword(u64 at) { return *memory.load<u64>(at); }
  /// True if a pulse of `irq` was latched since it was last asked.
  bool pulsed(u32 irq) {
    const auto before = partition->xics().save();
    const bool is = before.sources.at(irq).pending || before.sources.at(irq).in_service;
    auto after = before;
    after.sources.at(irq).pending = after.sources.at(irq).in_service = false;
    partition->xics().restore(after);
    return is;
  }
};

TEST_F(AdapterTest, TceCalls) {
  EXPECT_EQ(hcall(kPutTce, {0x10000009, 0, 3}), h::Parameter);
  EXPECT_EQ(hcall(kPutTce, {u64{1} << 32 | kScsiLiobn, 0, 3}), h::Parameter);
  EXPECT_EQ(hcall(kPutTce, {kScsiLiobn, 256 << 20, 3}), h::Parameter);
  EXPECT_EQ(hcall(kPutTce, {kScsiLiobn, 0, memory.size() | 3}), h::Parameter);
  EXPECT_EQ(hcall(kPutTce, {kScsiLiobn, 0, memory.size()}),
            h::Success);  // Invalid entries may name anything.
  EXPECT_EQ(hcall(kPutTce, {kScsiLiobn, 0x5000, 0x7003}), h::Success);
  EXPECT_EQ(hcall(kGetTce, {kScsiLiobn, 0x5000}), h::Success);
  EXPECT_EQ(out(0), 0x7003u);
  EXPECT_EQ(hcall(kGetTce, {kScsiLiobn, 256 << 20}), h::Parameter);
  EXPECT_EQ(hcall(kStuffTce, {kScsiLiobn, 0x10000, 0x8001, 512}), h::Success);
  EXPECT_EQ(hcall(kGetTce, {kScsiLiobn, 0x10000 + 511 * 4096}), h::Success);
  EXPECT_EQ(out(0), 0x8001u);
  EXPECT_EQ(hcall(kStuffTce, {kScsiLiobn, 0x10000, 0, 513}), h::P4);
  EXPECT_EQ(hcall(kStuffTce, {kScsiLiobn, (256 << 20) - 4096, 0, 2}), h::Parameter);
  EXPECT_EQ(hcall(kStuffTce, {kScsiLiobn, ~u64{0xFFF}, 0, 2}), h::Parameter);
  for (u64 i = 0; i < 512; i++) memory.store<u64>(0x20000 + i * 8, 0x100000 + i * 4096 + 3);
  EXPECT_EQ(hcall(kPutTceIndirect, {kScsiLiobn, 0x400000, 0x20000, 512}), h::Success);
  EXPECT_EQ(hcall(kGetTce, {kScsiLiobn, 0x400000 + 5 * 4096}), h::Success);
  EXPECT_EQ(out(0), 0x100000u + 5 * 4096 + 3);
  EXPECT_EQ(hcall(kPutTceIndirect, {kScsiLiobn, 0x400000, 0x20008, 1}), h::Parameter);
  EXPECT_EQ(hcall(kPutTceIndirect, {kScsiLiobn, 0x400000, 0x20000, 513}), h::Parameter);
  EXPECT_EQ(hcall(kPutTceIndirect, {kScsiLiobn, 0x400000, memory.size(), 1}), h::Parameter);
  EXPECT_EQ(hcall(kPutTceIndirect, {~u64{0}, 0x400000, 0x20000, 1}), h::Function);
}

/// Frames come when they are wanted, as from a move's source; or never.
struct Source final : cpu::FrameSource {
  explicit Source(cpu::Memory& m) : memory(m) {}
  void want(u64 frame) override {
    wanted.push_back(frame);
    if (gone)
      memory.give_up();
    else
      memory.arrive(frame, nullptr);
  }
  cpu::Memory& memory;
  bool gone = false;
  std::vector<u64> wanted;
};

TEST_F(AdapterTest, EnablingAQueueBringsTheMappedPages) {
  EXPECT_EQ(hcall(kEnableCrq, {kScsi}), h::Closed);
  map(kScsiLiobn, 0x10000, 0x1000);
  ASSERT_NE(hcall(kRegCrq, {kScsi, 0x10000, 0x1000}), h::Parameter);
  for (u64 page = 0; page < 40; page++)
    partition->tce(kScsiLiobn)->put(0x100000 + page * 4096, (0x200 + page) << 12 | 3);
  partition->tce(kScsiLiobn)->put(0x80000, 0x300 << 12);  // Not mapped.
  cpu::FrameSet absent(memory.frames());
  for (u64 frame = 0x200; frame < 0x400; frame++) absent.set(frame);
  const auto source = std::make_shared<Source>(memory);
  memory.expect(absent, source);
  crq().disable();
  EXPECT_EQ(hcall(kEnableCrq, {kScsi}), h::LongBusy10ms);
  EXPECT_EQ(hcall(kSendCrq, {kScsi, u64{0x80} << 56, 0}), h::Closed) << "not yet";
  EXPECT_EQ(hcall(kEnableCrq, {kScsi}), h::Success);
  EXPECT_EQ(source->wanted.size(), 40u) << "the mapped pages, and no others";
  EXPECT_EQ(source->wanted.back(), 0x227u);
  partition->tce(kScsiLiobn)->put(0x80000, 0x300 << 12 | 3);
  source->gone = true;
  EXPECT_EQ(hcall(kEnableCrq, {kScsi}), h::Hardware);
  memory.reset_expected();
}

TEST_F(AdapterTest, TransfersObeyTheTces) {
  TceTable& tce = *partition->tce(kScsiLiobn);
  tce.put(0x1000, 0x9003);
  tce.put(0x2000, 0x5001);
  std::vector<u8> data(0x1800, 0xAB), got(0x1800);
  EXPECT_FALSE(tce.write(0x1000, data));  // Second page is read only; nothing is written.
  EXPECT_EQ(*memory.load<u8>(0x9000), 0);
  EXPECT_TRUE(tce.write(0x1000, std::span(data).first(0x1000)));
  EXPECT_EQ(*memory.load<u8>(0x9FFF), 0xAB);
  EXPECT_TRUE(tce.read(0x1000, got));
  EXPECT_FALSE(tce.read(0x2800, got));
  EXPECT_FALSE(tce.read(~u64{0} - 10, got));
  EXPECT_TRUE(tce.check(0x2FFF, 1, false));
  EXPECT_FALSE(tce.check(0x2FFF, 2, false));
  const auto saved = tce.save();
  tce.clear();
  EXPECT_FALSE(tce.check(0x1000, 1, false));
  tce.restore(saved);
  EXPECT_TRUE(tce.check(0x1000, 1, true));
}

TEST_F(AdapterTest, UnknownUnits) {
  for (const u64 token :
       {kRegCrq, kFreeCrq, kSendCrq, kEnableCrq, kVioSignal, kRegisterLan, kFreeLan, kAddBuffer, kSendLan,
        kMulticast, kChangeMac, kFreeBuffer, kIllan, kGetTerm, kPutTerm}) {
    EXPECT_EQ(hcall(token, {0x30000099, 0x80}), h::Parameter) << token;
    EXPECT_EQ(hcall(token, {u64{1} << 40 | kScsi, 0x80}), h::Parameter) << token;
  }
  EXPECT_EQ(hcall(kRegCrq, {kLan, 0, 4096}), h::Parameter);  // Wrong kind.
  EXPECT_EQ(hcall(kRegisterLan, {kScsi, 0, 0, 0, 0}), h::Parameter);
  EXPECT_EQ(hcall(kPutTerm, {kScsi, 1, 0, 0}), h::Parameter);
}

TEST_F(AdapterTest, CrqRegistration) {
  EXPECT_EQ(hcall(kRegCrq, {kScsi, 0x10000, 4096}), h::Parameter);  // Not mapped.
  map(kScsiLiobn, 0x10000, 8192);
  EXPECT_EQ(hcall(kRegCrq, {kScsi, 0x10010, 4096}), h::Parameter);
  EXPECT_EQ(hcall(kRegCrq, {kScsi, 0x10000, 100}), h::Parameter);
  EXPECT_EQ(hcall(kRegCrq, {kScsi, 0x10000, 0}), h::Parameter);
  EXPECT_EQ(hcall(kRegCrq, {kScsi, 0x10000, ~u64{0xFFF}}), h::Parameter);
  EXPECT_EQ(hcall(kRegCrq, {kScsi, 0x10000, 4096}), h::Closed);  // Nobody at the other end yet.
  EXPECT_EQ(hcall(kRegCrq, {kScsi, 0x10000, 4096}), h::Resource);
  RecordingServer server;
  crq().connect(&server);
  EXPECT_EQ(server.registered, 1);
  EXPECT_EQ(hcall(kFreeCrq, {kScsi}), h::Success);
  EXPECT_EQ(server.closed, 1);
  EXPECT_EQ(hcall(kRegCrq, {kScsi, 0x10000, 4096}), h::Success);
  EXPECT_EQ(server.registered, 2);
  crq().connect(nullptr);
  EXPECT_EQ(doubleword(0x10000), 0xFF02000000000000u);
}

TEST_F(AdapterTest, CrqMessagesFromTheClient) {
  map(kScsiLiobn, 0x10000, 4096);
  EXPECT_EQ(hcall(kSendCrq, {kScsi, 0xC001000000000000, 0}), h::Closed);
  RecordingServer server;
  crq().connect(&server);
  EXPECT_EQ(hcall(kSendCrq, {kScsi, 0xC001000000000000, 0}), h::Closed);
  ASSERT_EQ(hcall(kRegCrq, {kScsi, 0x10000, 4096}), h::Success);
  EXPECT_EQ(hcall(kSendCrq, {kScsi, 0x8001000000000100, 0x1234}), h::Success);
  ASSERT_EQ(server.got.size(), 1u);
  EXPECT_EQ(server.got[0].high, 0x8001000000000100u);
  EXPECT_EQ(server.got[0].low, 0x1234u);
  EXPECT_EQ(hcall(kSendCrq, {kScsi, 0x7F00000000000000, 0}), h::Parameter);
  EXPECT_EQ(hcall(kSendCrq, {kScsi, 0xFF01000000000000, 0}), h::Parameter);
  server.full = true;
  EXPECT_EQ(hcall(kSendCrq, {kScsi, 0x8001000000000000, 0}), h::Dropped);
  server.full = false;
  crq().disable();
  EXPECT_EQ(hcall(kSendCrq, {kScsi, 0x8001000000000000, 0}), h::Closed);
  EXPECT_FALSE(crq().deliver({0x8001000000000000, 1}));
  EXPECT_EQ(hcall(kEnableCrq, {kScsi}), h::Success);
  EXPECT_EQ(hcall(kSendCrq, {kScsi, 0x8001000000000000, 0}), h::Success);
  EXPECT_TRUE(crq().deliver({0x8001000000000000, 1}));
  crq().connect(nullptr);
}

TEST_F(AdapterTest, CrqDeliveryFillsAndWrapsTheQueue) {
  map(kScsiLiobn, 0x10000, 4096);
  RecordingServer server;
  crq().connect(&server);
  ASSERT_EQ(hcall(kRegCrq, {kScsi, 0x10000, 4096}), h::Success);
  for (u64 i = 0; i < 256; i++) EXPECT_TRUE(crq().deliver({u64{0x80} << 56 | i, i}));
  EXPECT_FALSE(crq().deliver({u64{0x80} << 56, 999}));
  EXPECT_EQ(doubleword(0x10000 + 16 * 7), u64{0x80} << 56 | 7);
  EXPECT_EQ(doubleword(0x10000 + 16 * 7 + 8), 7u);
  crq().transport_event(6);  // Takes the place of the last.
  EXPECT_EQ(doubleword(0x10000 + 16 * 255), 0xFF06000000000000u);
  EXPECT_EQ(doubleword(0x10000), u64{0x80} << 56);
  memory.store<u8>(0x10000, 0);  // The client took the first.
  EXPECT_TRUE(crq().deliver({u64{0x80} << 56 | 0x77, 0x77}));
  EXPECT_EQ(doubleword(0x10008), 0x77u);
  EXPECT_FALSE(crq().deliver({u64{0x80} << 56, 999}));
  crq().connect(nullptr);
}

TEST_F(AdapterTest, InterruptsOnlyWhileEnabled) {
  map(kScsiLiobn, 0x10000, 4096);
  RecordingServer server;
  crq().connect(&server);
  ASSERT_EQ(hcall(kRegCrq, {kScsi, 0x10000, 4096}), h::Success);
  const u32 irq = crq().irq();
  partition->xics().set_xive(irq, 0, 5);
  EXPECT_TRUE(crq().deliver({u64{0x80} << 56, 0}));
  EXPECT_FALSE(pulsed(irq));
  EXPECT_EQ(hcall(kVioSignal, {kScsi, 2}), h::Parameter);
  EXPECT_EQ(hcall(kVioSignal, {kScsi, 1}), h::Success);
  EXPECT_FALSE(pulsed(irq));  // What came before is not remembered.
  EXPECT_TRUE(crq().deliver({u64{0x80} << 56, 0}));
  EXPECT_TRUE(pulsed(irq));
  hcall(kFreeCrq, {kScsi});
  EXPECT_FALSE(crq().signal_enabled());
  crq().connect(nullptr);
}

TEST_F(AdapterTest, CrqMoves) {
  map(kScsiLiobn, 0x10000, 4096);
  RecordingServer server;
  crq().connect(&server);
  ASSERT_EQ(hcall(kRegCrq, {kScsi, 0x10000, 4096}), h::Success);
  hcall(kVioSignal, {kScsi, 1});
  for (u64 i = 0; i < 3; i++) crq().deliver({u64{0x80} << 56, i});
  crq().disable();
  crq().transport_event(6);
  const auto snapshot = crq().save();
  auto other = system.create(small_profile("lpar3", 3));
  auto& arrived = *dynamic_cast<CrqAdapter*>(other->adapter(kScsi));
  RecordingServer there;
  arrived.connect(&there);
  std::vector<u8> queue(4096);
  memory.read(0x10000, queue);
  other->memory().write(0x10000, queue);
  arrived.restore(snapshot);
  EXPECT_EQ(there.registered, 1);
  EXPECT_TRUE(arrived.signal_enabled());
  EXPECT_EQ(arrived.h_send_crq({0xC001000000000000, 0}), h::Closed);
  EXPECT_EQ(arrived.h_enable_crq(), h::Success);
  EXPECT_EQ(arrived.h_send_crq({0xC001000000000000, 0}), h::Success);
  EXPECT_TRUE(arrived.deliver({0xC002000000000000, 0}));
  EXPECT_EQ(*other->memory().load<u64>(0x10000 + 16 * 3), 0xFF06000000000000u);
  EXPECT_EQ(*other->memory().load<u64>(0x10000 + 16 * 4), 0xC002000000000000u);
  arrived.connect(nullptr);
  crq().connect(nullptr);
}

TEST_F(AdapterTest, PartnerInfo) {
  map(kScsiLiobn, 0x10000, 4096);
  EXPECT_EQ(hcall(kVioctl, {kScsi, 8, u64{128} << 32 | 0x10000}), h::Success);
  EXPECT_EQ(doubleword(0x10000), 1u);
  std::vector<u8> text(128 - 16);
  memory.read(0x10010, text);
  EXPECT_EQ(std::string(reinterpret_cast<char*>(text.data())).substr(0, 21), "U9117.MMA.10BA70A-V1-");
  EXPECT_EQ(hcall(kVioctl, {kScsi, 8, u64{20} << 32 | 0x10000}), h::Constrained);
  EXPECT_EQ(hcall(kVioctl, {kScsi, 8, u64{128} << 32 | 0x90000}), h::Parameter);
  EXPECT_EQ(hcall(kVioctl, {kScsi, 0x1D, 0}), h::NotFound);
  EXPECT_EQ(hcall(kVioctl, {kLan, 3}), h::Success);
  EXPECT_EQ(out(0), 1u);
}

// -- logical LAN

struct RecordingPort final : EthernetPort {
  void transmit(std::span<const u8> frame) override { got.emplace_back(frame.begin(), frame.end()); }
  std::vector<std::vector<u8>> got;
};

class LanAdapterTest : public AdapterTest {
 protected:
  static constexpr u64 kList = 0x10000, kFilter = 0x11000, kQueue = 0x12000, kBuffers = 0x100000;
  static constexpr u64 kMac = 0x02BA70A00003, kValid = u64{0x80} << 56;
  static constexpr u64 kEntries = 8;
  static constexpr u64 descriptor(u64 at, u64 length) { return kValid | length << 32 | at; }

  void open() {
    map(kLanLiobn, kList, 0x3000);
    map(kLanLiobn, kBuffers, 0x100000);
    ASSERT_EQ(hcall(kRegisterLan, {kLan, kList, descriptor(kQueue, kEntries * 16), kFilter, kMac}),
              h::Success);
    lan().connect(&port_);
  }
  void TearDown() override { lan().connect(nullptr); }
  std::vector<u8> frame(u64 to, std::size_t length = 60) {
    std::vector<u8> out(length);
    std::iota(out.begin(), out.end(), u8{1});
    for (int i = 5; i >= 0; i--, to >>= 8) out[i] = static_cast<u8>(to);
    return out;
  }
  void post(u64 at, u64 length, u64 correlator) {
    memory.store<u64>(at, correlator);
    ASSERT_EQ(hcall(kAddBuffer, {kLan, descriptor(at, length)}), h::Success);
  }
  RecordingPort port_;
};

TEST_F(LanAdapterTest, Registration) {
  const u64 queue = descriptor(kQueue, 128);
  EXPECT_EQ(hcall(kRegisterLan, {kLan, kList, queue, kFilter, kMac}), h::Parameter);  // Not mapped.
  EXPECT_EQ(hcall(kAddBuffer, {kLan, descriptor(kBuffers, 2048)}), h::Parameter);
  map(kLanLiobn, kList, 0x3000);
  EXPECT_EQ(hcall(kRegisterLan, {kLan, kList + 8, queue, kFilter, kMac}), h::Parameter);
  EXPECT_EQ(hcall(kRegisterLan, {kLan, kList, queue & ~kValid, kFilter, kMac}), h::Parameter);
  EXPECT_EQ(hcall(kRegisterLan, {kLan, kList, descriptor(kQueue, 100), kFilter, kMac}), h::Parameter);
  EXPECT_EQ(hcall(kRegisterLan, {kLan, kList, descriptor(kQueue, 0), kFilter, kMac}), h::Parameter);
  memory.store<u64>(kList + 4088, 77);
  EXPECT_EQ(hcall(kRegisterLan, {kLan, kList, queue, kFilter, kMac}), h::Success);
  EXPECT_EQ(doubleword(kList), queue);
  EXPECT_EQ(doubleword(kList + 4088), 0u);
  EXPECT_EQ(lan().mac(), (std::array<u8, 6>{0x02, 0xBA, 0x70, 0xA0, 0x00, 0x03}));
  EXPECT_EQ(hcall(kRegisterLan, {kLan, kList, queue, kFilter, kMac}), h::Resource);
  EXPECT_EQ(hcall(kFreeLan, {kLan}), h::Success);
  EXPECT_EQ(hcall(kRegisterLan, {kLan, kList, queue, kFilter, kMac}), h::Success);
}

TEST_F(LanAdapterTest, ReceivesIntoTheSmallestBuffer) {
  open();
  post(kBuffers, 16384, 0xAAAA);
  post(kBuffers + 0x8000, 128, 0xBBBB);
  post(kBuffers + 0x9000, 2048, 0xCCCC);
  ASSERT_TRUE(lan().receive(frame(kMac, 100)));
  EXPECT_EQ(doubleword(kQueue), u64{0xC0} << 56 | u64{8} << 32 | 100);
  EXPECT_EQ(doubleword(kQueue + 8), 0xBBBBu);
  std::vector<u8> got(100);
  memory.read(kBuffers + 0x8008, got);
  EXPECT_EQ(got, frame(kMac, 100));
  ASSERT_TRUE(lan().receive(frame(kMac, 100)));
  EXPECT_EQ(doubleword(kQueue + 24), 0xCCCCu);
  ASSERT_TRUE(lan().receive(frame(kMac, 16384 - 8)));
  EXPECT_EQ(doubleword(kQueue + 40), 0xAAAAu);
  EXPECT_FALSE(lan().receive(frame(kMac, 60)));
  EXPECT_EQ(doubleword(kList + 4088), 1u);
}

TEST_F(LanAdapterTest, ToggleTurnsAtEachWrap) {
  open();
  for (u64 i = 0; i < 3 * kEntries; i++) {
    post(kBuffers, 2048, i);
    ASSERT_TRUE(lan().receive(frame(kMac)));
    const u64 entry = kQueue + i % kEntries * 16;
    EXPECT_EQ(doubleword(entry) >> 56, i / kEntries % 2 ? 0x40u : 0xC0u) << i;
    EXPECT_EQ(doubleword(entry + 8), i);
    const bool toggled = (i + 1) / kEntries % 2;
    EXPECT_EQ(doubleword(kList) >> 56, toggled ? 0xC0u : 0x80u) << i;
  }
}

TEST_F(LanAdapterTest, Filters) {
  open();
  const auto fed = [&](u64 to) {
    post(kBuffers, 2048, 1);
    const bool got = lan().receive(frame(to));
    if (!got) hcall(kFreeBuffer, {kLan, 2048});
    return got;
  };
  constexpr u64 kGroup = 0x01005E000001, kOther = 0x01005E000002;
  EXPECT_TRUE(fed(kMac));
  EXPECT_TRUE(fed(0xFFFFFFFFFFFF));
  EXPECT_FALSE(fed(kMac + 1));
  EXPECT_FALSE(fed(kGroup));
  // As Linux does it: reception on, filtering off, table cleared; then addresses; then filtering on.
  EXPECT_EQ(hcall(kMulticast, {kLan, 0x80000 | 0x20000 | 0x40000 | 3, 0}), h::Success);
  EXPECT_EQ(out(0), 0x20000u);
  EXPECT_TRUE(fed(kOther));
  EXPECT_EQ(hcall(kMulticast, {kLan, 1, kGroup}), h::Success);
  EXPECT_EQ(hcall(kMulticast, {kLan, 1, kGroup}), h::Success);
  EXPECT_EQ(out(0), 0x20001u);
  EXPECT_EQ(hcall(kMulticast, {kLan, 0x40000 | 0x10000, 0}), h::Success);
  EXPECT_EQ(out(0), 0x30001u);
  EXPECT_TRUE(fed(kGroup));
  EXPECT_FALSE(fed(kOther));
  EXPECT_EQ(hcall(kMulticast, {kLan, 2, kOther}), h::NotFound);
  EXPECT_EQ(hcall(kMulticast, {kLan, 2, kGroup}), h::Success);
  EXPECT_FALSE(fed(kGroup));
  for (u64 i = 0; i < kMulticastFilters; i++)
    EXPECT_EQ(hcall(kMulticast, {kLan, 1, 0x010000000000 | i}), h::Success);
  EXPECT_EQ(hcall(kMulticast, {kLan, 1, 0x010000001000}), h::Constrained);
  EXPECT_EQ(hcall(kChangeMac, {kLan, kMac + 1}), h::Success);
  EXPECT_TRUE(fed(kMac + 1));
  EXPECT_FALSE(fed(kMac));
}

TEST_F(LanAdapterTest, FreedBufferComesBackWithoutAMessage) {
  open();
  post(kBuffers, 2048, 0x1234);
  EXPECT_EQ(hcall(kFreeBuffer, {kLan, 512}), h::NotFound);
  EXPECT_EQ(hcall(kFreeBuffer, {kLan, 2048}), h::Success);
  EXPECT_EQ(doubleword(kQueue) >> 56, 0x80u);
  EXPECT_EQ(doubleword(kQueue + 8), 0x1234u);
  EXPECT_EQ(hcall(kFreeBuffer, {kLan, 2048}), h::NotFound);
}

TEST_F(LanAdapterTest, SendsGatheredFrames) {
  open();
  std::vector<u8> data(200);
  std::iota(data.begin(), data.end(), u8{0});
  memory.write(kBuffers + 0x101, std::span(data).first(70));
  memory.write(kBuffers + 0x4003, std::span(data).subspan(70));
  EXPECT_EQ(hcall(kSendLan,
                  {kLan, descriptor(kBuffers + 0x101, 70), descriptor(kBuffers + 0x4003, 130), 0, 0, 0, 0}),
            h::Success);
  ASSERT_EQ(port_.got.size(), 1u);
  EXPECT_EQ(port_.got[0], data);
  EXPECT_EQ(hcall(kSendLan, {kLan, descriptor(0x900000, 70)}), h::Parameter);  // Not mapped.
  EXPECT_EQ(hcall(kSendLan, {kLan, descriptor(kBuffers, 70) | u64{2} << 56}), h::Parameter);
  EXPECT_EQ(hcall(kSendLan, {kLan, descriptor(kBuffers, 70) | u64{0x10} << 56}), h::Parameter);
  EXPECT_EQ(hcall(kSendLan, {kLan, descriptor(kBuffers, 0xFFFFFF)}), h::Parameter);
  EXPECT_EQ(hcall(kSendLan, {kLan, 0}), h::Success);
  EXPECT_EQ(hcall(kSendLan, {kLan, descriptor(kBuffers, 5)}), h::Dropped);
  lan().pause(true);
  EXPECT_EQ(hcall(kSendLan, {kLan, descriptor(kBuffers, 70)}), h::Dropped);
  EXPECT_EQ(port_.got.size(), 1u);
  lan().pause(false);
  lan().connect(nullptr);
  EXPECT_EQ(hcall(kSendLan, {kLan, descriptor(kBuffers, 70)}), h::Dropped);
}

/// A TCP frame with a wrong checksum, to the adapter's own address.
std::vector<u8> tcp_frame(bool v6, std::size_t payload, u8 flags, bool tag = false) {
  std::vector<u8> frame = {0x02, 0xBA, 0x70, 0xA0, 0x00, 0x03, 2, 0, 0, 0, 0, 9};
  if (tag) frame.insert(frame.end(), {0x81, 0x00, 0x00, 0x05});
  frame.insert(frame.end(), {static_cast<u8>(v6 ? 0x86 : 0x08), static_cast<u8>(v6 ? 0xDD : 0x00)});
  const std::size_t ip = frame.size(), header = v6 ? 40 : 24, tcp = ip + header;
  frame.resize(tcp + 32 + payload);
  if (v6) {
    frame[ip] = 0x60;
    store_be<u16>(&frame[ip + 4], static_cast<u16>(32 + payload));
    frame[ip + 6] = 6;
    for (int i = 8; i < 40; i++) frame[ip + i] = static_cast<u8>(i * 11);
  } else {
    frame[ip] = 0x46;  // With an option word.
    store_be<u16>(&frame[ip + 2], static_cast<u16>(header + 32 + payload));
    store_be<u16>(&frame[ip + 4], 0xFFFE);
    frame[ip + 9] = 6;
    for (int i = 12; i < 20; i++) frame[ip + i] = static_cast<u8>(i * 13);
    frame[ip + 20] = 1;
  }
  store_be<u32>(&frame[tcp + 4], 0xFFFFFF00);
  frame[tcp + 12] = 0x80;
  frame[tcp + 13] = flags;
  for (std::size_t i = 0; i < payload; i++) frame[tcp + 32 + i] = static_cast<u8>(i * 31 + i / 256);
  return frame;
}

/// The checksum's own definition: sixteen bits at a time.
bool sums_up(std::span<const u8> data, u32 sum) {
  for (std::size_t i = 0; i < data.size(); i++) sum += i % 2 ? data[i] : u32{data[i]} << 8;
  while (sum >> 16) sum = (sum & 0xFFFF) + (sum >> 16);
  return sum == 0xFFFF;
}

bool checksums_good(std::span<const u8> frame, bool v6, std::size_t ip = 14) {
  const std::size_t tcp = ip + (v6 ? 40 : 24);
  const auto addresses = v6 ? frame.subspan(ip + 8, 32) : frame.subspan(ip + 12, 8);
  u32 sum = 6 + static_cast<u32>(frame.size() - tcp);
  for (std::size_t i = 0; i < addresses.size(); i += 2) sum += load_be<u16>(&addresses[i]);
  return sums_up(frame.subspan(tcp), sum);
}

TEST_F(LanAdapterTest, AttributesChangeOnlyWhileClosed) {
  EXPECT_EQ(hcall(kIllan, {kLan, 0, 0}), h::Success);
  EXPECT_EQ(out(0), 0xA000u);
  EXPECT_EQ(hcall(kIllan, {kLan, 0, 0x10006}), h::Success);
  EXPECT_EQ(out(0), 0x1A006u);
  open();
  EXPECT_EQ(hcall(kIllan, {kLan, 4, 0}), h::Constrained);
  EXPECT_EQ(hcall(kIllan, {kLan, 0, 2}), h::Success);  // As it is already.
  EXPECT_EQ(out(0), 0x1A006u);
  hcall(kFreeLan, {kLan});
  EXPECT_EQ(hcall(kIllan, {kLan, 4, 0x40000}), h::Success);
  EXPECT_EQ(out(0), 0x1A002u);
  lan().reset();
  EXPECT_EQ(hcall(kIllan, {kLan, 0, 0}), h::Success);
  EXPECT_EQ(out(0), 0xA000u);
}

TEST_F(LanAdapterTest, FillsInChecksums) {
  open();
  for (const bool v6 : {false, true}) {
    for (const std::size_t payload : {0, 1, 2, 3, 700, 1401}) {
      const auto sent = tcp_frame(v6, payload, 0x18);
      memory.write(kBuffers, sent);
      port_.got.clear();
      EXPECT_EQ(hcall(kSendLan, {kLan, descriptor(kBuffers, sent.size()) | u64{3} << 56}), h::Success);
      ASSERT_EQ(port_.got.size(), 1u);
      EXPECT_EQ(port_.got[0].size(), sent.size());
      EXPECT_TRUE(checksums_good(port_.got[0], v6)) << v6 << payload;
    }
  }
  const auto tagged = tcp_frame(false, 100, 0x18, true);
  memory.write(kBuffers, tagged);
  EXPECT_EQ(hcall(kSendLan, {kLan, descriptor(kBuffers, tagged.size()) | u64{3} << 56}), h::Success);
  EXPECT_TRUE(checksums_good(port_.got.back(), false, 18));
  EXPECT_EQ(hcall(kSendLan, {kLan, descriptor(kBuffers + 0x8000, 60) | u64{3} << 56}),
            h::Parameter);  // Not TCP.
}

TEST_F(LanAdapterTest, CutsLargeSends) {
  open();
  for (const bool v6 : {false, true}) {
    const auto sent = tcp_frame(v6, 60001, 0x99);  // CWR, ACK, PSH, FIN.
    memory.write(kBuffers, sent);
    port_.got.clear();
    EXPECT_EQ(
        hcall(kSendLan, {kLan, descriptor(kBuffers, sent.size()) | u64{7} << 56, 0, 0, 0, 0, 0, 0, 1448}),
        h::Success);
    const std::size_t tcp = 14 + (v6 ? 40 : 24), header = tcp + 32;
    ASSERT_EQ(port_.got.size(), (60001u + 1447) / 1448);
    std::vector<u8> payload;
    for (std::size_t i = 0; i < port_.got.size(); i++) {
      const auto& piece = port_.got[i];
      const bool last = i + 1 == port_.got.size();
      EXPECT_TRUE(checksums_good(piece, v6)) << i;
      EXPECT_EQ(load_be<u32>(&piece[tcp + 4]), 0xFFFFFF00 + static_cast<u32>(payload.size()));
      EXPECT_EQ(piece[tcp + 13], (last ? 0x19 : 0x10) | (i ? 0 : 0x80));
      if (v6) {
        EXPECT_EQ(load_be<u16>(&piece[14 + 4]) + 54u, piece.size());
      } else {
        EXPECT_EQ(load_be<u16>(&piece[14 + 2]) + 14u, piece.size());
        EXPECT_EQ(load_be<u16>(&piece[14 + 4]), static_cast<u16>(0xFFFE + i));
        EXPECT_TRUE(sums_up(std::span(piece).subspan(14, 24), 0));
      }
      payload.insert(payload.end(), piece.begin() + static_cast<long>(header), piece.end());
    }
    EXPECT_TRUE(
        std::equal(payload.begin(), payload.end(), sent.begin() + static_cast<long>(header), sent.end()));
  }
  EXPECT_EQ(hcall(kSendLan, {kLan, descriptor(kBuffers, 2000) | u64{7} << 56, 0, 0, 0, 0, 0, 0, 1}),
            h::Parameter);
}

TEST_F(LanAdapterTest, SaysWhichChecksumsAreGood) {
  hcall(kIllan, {kLan, 0, 2});
  open();
  auto frame = tcp_frame(false, 100, 0x10);
  memory.write(kBuffers, frame);
  hcall(kSendLan, {kLan, descriptor(kBuffers, frame.size()) | u64{3} << 56});
  auto good = port_.got.back();
  const auto control = [&](const std::vector<u8>& what, u64 entry) {
    post(kBuffers + 0x8000, 2048, 1);
    EXPECT_TRUE(lan().receive(what));
    return doubleword(kQueue + entry * 16) >> 56;
  };
  EXPECT_EQ(control(good, 0), 0xC1u);
  good.push_back(0);  // Padding is not part of it.
  EXPECT_EQ(control(good, 1), 0xC1u);
  good[80] ^= 1;
  EXPECT_EQ(control(good, 2), 0xC0u);
  EXPECT_EQ(control(this->frame(kMac), 3), 0xC0u);
  frame = tcp_frame(true, 100, 0x10);
  memory.write(kBuffers, frame);
  hcall(kSendLan, {kLan, descriptor(kBuffers, frame.size()) | u64{3} << 56});
  EXPECT_EQ(control(port_.got.back(), 4), 0xC0u);  // Only IPv4 was asked for.
}

TEST_F(LanAdapterTest, TakenMappingLosesOnlyTheFrame) {
  open();
  post(kBuffers, 8192, 5);
  hcall(kPutTce, {kLanLiobn, kBuffers + 0x1000, 0});
  EXPECT_FALSE(lan().receive(frame(kMac, 6000)));
  EXPECT_EQ(doubleword(kQueue) >> 56, 0x80u);  // The buffer comes back, without a message.
  EXPECT_EQ(doubleword(kQueue + 8), 5u);
}

TEST_F(LanAdapterTest, Moves) {
  open();
  for (u64 i = 0; i < kEntries + 3; i++) {
    post(kBuffers + i * 2048, 2048, i);
    ASSERT_TRUE(lan().receive(frame(kMac)));
  }
  post(kBuffers + 0x40000, 2048, 0xF00D);
  hcall(kMulticast, {kLan, 0x80000 | 0x20000 | 1, 0x01005E000001});
  hcall(kVioSignal, {kLan, 1});
  lan().pause(true);
  EXPECT_FALSE(lan().receive(frame(kMac)));
  const auto snapshot = lan().save();
  auto other = system.create(small_profile("lpar3", 3));
  std::vector<u8> all(0x200000);
  memory.read(0, all);
  other->memory().write(0, all);
  auto& arrived = *dynamic_cast<LogicalLan*>(other->adapter(kLan));
  arrived.restore(snapshot);
  EXPECT_EQ(arrived.mac(), lan().mac());
  EXPECT_TRUE(arrived.signal_enabled());
  EXPECT_TRUE(arrived.receive(frame(0x01005E000001)));
  EXPECT_EQ(*other->memory().load<u64>(kQueue + 3 * 16 + 8), 0xF00Du);
  EXPECT_EQ(*other->memory().load<u8>(kQueue + 3 * 16), 0x40);  // Second pass.
}

TEST_F(LanAdapterTest, RandomCallsDoNotHurt) {
  open();
  std::mt19937_64 random(7);
  const auto near = [&](u64 value) {
    return random() % 3 ? value : random() % 2 ? random() : value ^ random() % 64;
  };
  for (int i = 0; i < 20000; i++) {
    const u64 at = kBuffers + random() % 0x100000;
    const u64 one =
        random() % 4 ? descriptor(at, random() % 4 ? random() % 3000 : random() % 0x1000000) : random();
    switch (random() % 9) {
      case 0:
        hcall(kFreeLan, {kLan});
        hcall(kRegisterLan, {kLan, near(kList), near(descriptor(kQueue, 128)), near(kFilter), random()});
        break;
      case 1:
      case 2:
        hcall(kAddBuffer, {kLan, one});
        break;
      case 3:
        if (random() % 2) memory.write(at & ~u64{0xFFF}, tcp_frame(random() % 2, random() % 1000, 0x18));
        hcall(kSendLan,
              {kLan, one | (random() % 8) << 56, one, random(), random(), one, one, 0, random() % 2000});
        break;
      case 4:
        hcall(kMulticast, {kLan, random() % 2 ? random() % 4 : random(), random()});
        break;
      case 5:
        hcall(kFreeBuffer, {kLan, random() % 3000});
        break;
      case 6:
        hcall(kChangeMac, {kLan, random() % 2 ? kMac : random()});
        break;
      case 7:
        hcall(kPutTce, {kLanLiobn, at, random() % 4 ? at | 3 : random()});
        break;
      default:
        lan().receive(frame(random() % 2 ? 0xFFFFFFFFFFFF : kMac, 14 + random() % 9000));
    }
    port_.got.clear();
  }
  SUCCEED();
}

// -- terminals

struct RecordingSink final : TerminalSink {
  void output(std::span<const u8> data) override { text.append(data.begin(), data.end()); }
  std::string text;
};

TEST_F(AdapterTest, TerminalOutputAndHistory) {
  const auto put = [&](std::string_view text, u64 unit = kConsole) {
    u8 data[16] = {};
    std::copy(text.begin(), text.end(), data);
    return hcall(kPutTerm, {unit, text.size(), load_be<u64>(data), load_be<u64>(data + 8)});
  };
  EXPECT_EQ(put("before"), h::Success);
  RecordingSink sink;
  EXPECT_EQ(partition->console().set_sink(&sink), "before");
  EXPECT_EQ(put("0123456789abcdef"), h::Success);
  EXPECT_EQ(put("!", 0), h::Success);  // Terminal 0 is the console.
  EXPECT_EQ(sink.text, "0123456789abcdef!");
  EXPECT_EQ(hcall(kPutTerm, {kConsole, 17, 0, 0}), h::Parameter);
  EXPECT_EQ(hcall(kPutTerm, {kConsole, 0, 0, 0}), h::Success);
  partition->console().set_sink(nullptr);
  for (int i = 0; i < 20000; i++) put("0123456789abcdef");
  EXPECT_EQ(sink.text.size(), 17u);
  EXPECT_EQ(partition->console().history().size(), 64u << 10);
  EXPECT_EQ(put("agent", 0x30000001), h::Success);
  EXPECT_EQ(partition->agent_channel().history(), "agent");
}

TEST_F(AdapterTest, TerminalInput) {
  Vterm& console = partition->console();
  partition->xics().set_xive(console.irq(), 0, 5);
  EXPECT_EQ(hcall(kGetTerm, {kConsole}), h::Success);
  EXPECT_EQ(out(0), 0u);
  const std::string text = "root\r and more than sixteen";
  console.input({reinterpret_cast<const u8*>(text.data()), text.size()});
  EXPECT_TRUE(pulsed(console.irq()));  // Though Linux never enables it.
  std::string got;
  for (;;) {
    EXPECT_EQ(hcall(kGetTerm, {kConsole}), h::Success);
    if (out(0) == 0) break;
    u8 data[16];
    store_be<u64>(data, out(1));
    store_be<u64>(data + 8, out(2));
    got.append(reinterpret_cast<char*>(data), out(0));
  }
  EXPECT_EQ(got, text);
  console.input({reinterpret_cast<const u8*>(text.data()), 4});
  const auto snapshot = console.save();
  EXPECT_EQ(snapshot.pending_input, "root");
  console.reset();
  console.restore(snapshot);
  EXPECT_EQ(hcall(kGetTerm, {kConsole}), h::Success);
  EXPECT_EQ(out(0), 4u);
  console.input(std::vector<u8>(200 << 10, 'x'));
  EXPECT_EQ(console.save().pending_input.size(), 64u << 10);
}

}  // namespace
}  // namespace baton::hypervisor::test
