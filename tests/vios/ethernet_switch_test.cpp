// SPDX-License-Identifier: Apache-2.0
#include "vios/ethernet_switch.h"

#include <gtest/gtest.h>

#include <thread>

namespace baton::vios {
namespace {

using Frame = std::vector<u8>;
using Mac = std::array<u8, 6>;
constexpr Mac kBroadcast{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
constexpr Mac station(u8 n) { return {2, 0, 0, 0, 0, n}; }

Frame frame(Mac to, Mac from, u8 mark, int tag = -1) {
  Frame out(to.begin(), to.end());
  out.insert(out.end(), from.begin(), from.end());
  if (tag >= 0) out.insert(out.end(), {0x81, 0x00, static_cast<u8>(tag >> 8), static_cast<u8>(tag)});
  out.insert(out.end(), {0x08, 0x00, mark, 2, 3, 4});
  return out;
}

struct Station {
  std::vector<Frame> got;
  EthernetSwitch::Port* port = nullptr;
  Frame take() {
    if (got.empty()) return {};
    auto first = got.front();
    got.erase(got.begin());
    return first;
  }
};

class SwitchTest : public ::testing::Test {
 protected:
  void plug(Station& station, u16 pvid, std::vector<u16> vlans = {}) {
    station.port = switch_.add({pvid, std::move(vlans)}, [&station](std::span<const u8> frame) {
      station.got.emplace_back(frame.begin(), frame.end());
    });
  }
  EthernetSwitch switch_;
  Station a_, b_, c_, trunk_;
};

TEST_F(SwitchTest, BroadcastStaysInItsVlan) {
  plug(a_, 1);
  plug(b_, 1);
  plug(c_, 20);
  plug(trunk_, 1, {20});
  const auto sent = frame(kBroadcast, station(1), 9);
  a_.port->transmit(sent);
  EXPECT_EQ(b_.take(), sent);
  EXPECT_EQ(trunk_.take(), sent);
  EXPECT_TRUE(c_.got.empty());
  EXPECT_TRUE(a_.got.empty());
  c_.port->transmit(frame(kBroadcast, station(3), 8));
  EXPECT_EQ(trunk_.take(), frame(kBroadcast, station(3), 8, 20));
  EXPECT_TRUE(a_.got.empty());
  EXPECT_TRUE(b_.got.empty());
}

TEST_F(SwitchTest, TagsAreInsertedAndStripped) {
  plug(a_, 1, {20});
  plug(b_, 20);
  plug(c_, 5, {20});
  a_.port->transmit(frame(kBroadcast, station(1), 7, 0xA000 | 20));  // Priority 5.
  EXPECT_EQ(b_.take(), frame(kBroadcast, station(1), 7));
  EXPECT_EQ(c_.take(), frame(kBroadcast, station(1), 7, 0xA000 | 20));
  b_.port->transmit(frame(kBroadcast, station(2), 6));
  EXPECT_EQ(a_.take(), frame(kBroadcast, station(2), 6, 20));
}

TEST_F(SwitchTest, ForeignVlanIsDropped) {
  plug(a_, 1);
  plug(b_, 1, {30});
  a_.port->transmit(frame(kBroadcast, station(1), 7, 30));
  EXPECT_TRUE(b_.got.empty());
  a_.port->transmit(frame(kBroadcast, station(1), 7, 0x6000));  // VLAN 0: only a priority.
  EXPECT_EQ(b_.take(), frame(kBroadcast, station(1), 7));
}

TEST_F(SwitchTest, LearnsStationsAndForgetsPorts) {
  plug(a_, 1);
  plug(b_, 1);
  plug(trunk_, 1);
  b_.port->transmit(frame(station(9), station(2), 1));
  EXPECT_EQ(a_.got.size(), 1u);  // Unknown: everywhere.
  EXPECT_EQ(trunk_.got.size(), 1u);
  a_.got.clear();
  trunk_.got.clear();
  a_.port->transmit(frame(station(2), station(1), 2));
  EXPECT_EQ(b_.got.size(), 1u);
  EXPECT_TRUE(trunk_.got.empty());  // Known: only there.
  switch_.remove(b_.port);
  a_.port->transmit(frame(station(2), station(1), 3));
  EXPECT_EQ(trunk_.got.size(), 1u);  // The partition went away: outside.
}

/// Two ways out: one bridges, the other stands by, and they change.
TEST_F(SwitchTest, PortsChangeTheirVlans) {
  plug(a_, 1, {20});
  plug(trunk_, 1, {20});
  plug(b_, 0);
  b_.port->transmit(frame(kBroadcast, station(9), 1));
  b_.port->transmit(frame(kBroadcast, station(9), 1, 20));
  EXPECT_TRUE(a_.got.empty() && trunk_.got.empty()) << "from one that stands by";
  trunk_.port->transmit(frame(station(1), station(9), 2));
  EXPECT_EQ(a_.got.size(), 1u);
  EXPECT_TRUE(b_.got.empty());
  switch_.change(trunk_.port, {.pvid = 0, .vlans = {20}});
  switch_.change(b_.port, {.pvid = 1, .vlans = {}});
  a_.port->transmit(frame(station(9), station(1), 3));  // What was learned is not believed.
  EXPECT_EQ(b_.take(), frame(station(9), station(1), 3));
  EXPECT_TRUE(trunk_.got.empty());
  a_.port->transmit(frame(station(9), station(1), 4, 20));
  EXPECT_EQ(trunk_.take(), frame(station(9), station(1), 4, 20));
  EXPECT_TRUE(b_.got.empty());
}

TEST_F(SwitchTest, NonsenseIsDropped) {
  plug(a_, 1);
  plug(b_, 1);
  a_.port->transmit({});
  a_.port->transmit(Frame(13));
  a_.port->transmit(Frame(70000, 0xFF));
  auto cut = frame(kBroadcast, station(1), 1, 1);
  cut.resize(15);
  a_.port->transmit(cut);
  a_.port->transmit(frame(kBroadcast, station(1), 1, 0xFFF));
  EXPECT_TRUE(b_.got.empty());
}

TEST_F(SwitchTest, AnnouncementIsAReverseArp) {
  const auto plain = make_announcement(station(4), 0), tagged = make_announcement(station(4), 7);
  EXPECT_EQ(plain.size(), 60u);
  EXPECT_EQ(load_be<u16>(&plain[12]), 0x8035);
  EXPECT_EQ(load_be<u16>(&plain[20]), 3);
  EXPECT_TRUE(std::equal(plain.begin() + 6, plain.begin() + 12, station(4).begin()));
  EXPECT_EQ(load_be<u16>(&tagged[12]), 0x8100);
  EXPECT_EQ(load_be<u16>(&tagged[14]), 7);
  EXPECT_EQ(load_be<u16>(&tagged[16]), 0x8035);
}

TEST_F(SwitchTest, ManyThreadsAndChangingPorts) {
  std::atomic<u64> got{0};
  std::vector<EthernetSwitch::Port*> ports;
  for (int i = 0; i < 3; i++) ports.push_back(switch_.add({1, {}}, [&](std::span<const u8>) { got++; }));
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; i++)
    threads.emplace_back([&, i] {
      for (u8 n = 0; !stop; n++)
        ports[i]->transmit(frame(n % 3 ? station(n % 5) : kBroadcast, station(i), n));
    });
  for (int i = 0; i < 200; i++) {
    auto* port = switch_.add({1, {}}, [&](std::span<const u8>) { got++; });
    port->transmit(frame(kBroadcast, station(50), 0));
    switch_.remove(port);
  }
  stop = true;
  for (auto& thread : threads) thread.join();
  EXPECT_GT(got, 0u);
}

}  // namespace
}  // namespace baton::vios
