// SPDX-License-Identifier: Apache-2.0
#include "vios/ethernet_switch.h"

#include <algorithm>

namespace baton::vios {
namespace {

constexpr std::size_t kAddresses = 12, kHeader = 14, kTagged = 18, kTag = 4;
constexpr std::size_t kLongestFrame = 65536 + kTagged;
constexpr u16 kVlanType = 0x8100, kVlanMask = 0xFFF, kHighestVlan = 4094;
constexpr std::size_t kMostStations = 8192;  // A guest that invents addresses must not fill our memory.

u64 address(std::span<const u8> frame, std::size_t at) {
  return u64{load_be<u16>(&frame[at])} << 32 | load_be<u32>(&frame[at + 2]);
}

bool is_group(u64 address) { return address >> 40 & 1; }

}  // namespace

EthernetSwitch::Port::Port(EthernetSwitch& owner, PortConfig config, Receive receive)
    : switch_(owner), config_(std::move(config)), receive_(std::move(receive)) {}

bool EthernetSwitch::Port::carries(u16 vlan) const {
  return vlan == config_.pvid || std::ranges::find(config_.vlans, vlan) != config_.vlans.end();
}

EthernetSwitch::Port* EthernetSwitch::add(PortConfig config, Receive receive) {
  auto port = std::make_unique<Port>(*this, std::move(config), std::move(receive));
  std::unique_lock guard(ports_lock_);
  {
    // An address may come back from outside with its partition: what was learned before is not believed.
    std::lock_guard stations_guard(stations_lock_);
    stations_.clear();
  }
  return ports_.emplace_back(std::move(port)).get();
}

void EthernetSwitch::change(Port* port, PortConfig config) {
  std::unique_lock guard(ports_lock_);
  std::lock_guard stations_guard(stations_lock_);
  stations_.clear();  // Addresses outside may be behind another port now.
  port->config_ = std::move(config);
}

void EthernetSwitch::remove(Port* port) {
  std::unique_lock guard(ports_lock_);
  {
    std::lock_guard stations_guard(stations_lock_);
    std::erase_if(stations_, [&](const auto& station) { return station.second == port; });
  }
  std::erase_if(ports_, [&](const auto& other) { return other.get() == port; });
}

void EthernetSwitch::forward(Port& from, std::span<const u8> frame) {
  if (frame.size() < kHeader || frame.size() > kLongestFrame) return;
  std::shared_lock guard(ports_lock_);
  u16 vlan = from.config_.pvid, priority = 0;
  bool tagged = load_be<u16>(&frame[kAddresses]) == kVlanType;
  if (tagged) {
    if (frame.size() < kTagged) return;
    const u16 control = load_be<u16>(&frame[kHeader]);
    priority = control & ~kVlanMask;
    if (control & kVlanMask) vlan = control & kVlanMask;  // VLAN 0 only carries a priority.
  }
  if (vlan == 0 || vlan > kHighestVlan || !from.carries(vlan)) return;

  // The two forms that receivers may want, made at most once.
  std::vector<u8> other;
  const auto form = [&](bool want_tag) -> std::span<const u8> {
    const bool as_is = want_tag == tagged && (!tagged || (load_be<u16>(&frame[kHeader]) & kVlanMask) == vlan);
    if (as_is) return frame;
    if (other.empty()) {
      const auto body = frame.subspan(tagged ? kAddresses + kTag : kAddresses);
      other.reserve(frame.size() + kTag);
      other.assign(frame.begin(), frame.begin() + kAddresses);
      if (want_tag) {
        other.resize(kAddresses + kTag);
        store_be<u16>(&other[kAddresses], kVlanType);
        store_be<u16>(&other[kHeader], priority | vlan);
      }
      other.insert(other.end(), body.begin(), body.end());
    }
    return other;
  };

  const u64 destination = address(frame, 0), source = address(frame, 6), key = u64{vlan} << 48;
  Port* known = nullptr;
  {
    std::lock_guard stations_guard(stations_lock_);
    if (!is_group(source)) {
      if (stations_.size() >= kMostStations) stations_.clear();
      stations_[key | source] = &from;
    }
    if (!is_group(destination))
      if (const auto found = stations_.find(key | destination); found != stations_.end())
        known = found->second;
  }
  if (known) {
    if (known != &from && known->carries(vlan)) known->receive_(form(known->config_.pvid != vlan));
    return;
  }
  // A frame that arrived with priority tag 0 can need both forms changed; two passes keep each made once.
  for (const bool want_tag : {false, true}) {
    other.clear();
    for (const auto& port : ports_)
      if (port.get() != &from && port->carries(vlan) && (port->config_.pvid != vlan) == want_tag)
        port->receive_(form(want_tag));
  }
}

std::vector<u8> make_announcement(const std::array<u8, 6>& mac, u16 vlan) {
  std::vector<u8> frame(6, 0xFF);
  const auto put = [&](u16 value) {
    frame.push_back(static_cast<u8>(value >> 8));
    frame.push_back(static_cast<u8>(value));
  };
  frame.insert(frame.end(), mac.begin(), mac.end());
  if (vlan) {
    put(kVlanType);
    put(vlan);
  }
  put(0x8035);  // Reverse ARP (RFC 903): Ethernet, IPv4, lengths 6 and 4, request reverse.
  put(1);
  put(0x0800);
  put(0x0604);
  put(3);
  for (int i = 0; i < 2; i++) {  // Sender and target: the address itself, protocol address unknown.
    frame.insert(frame.end(), mac.begin(), mac.end());
    frame.insert(frame.end(), 4, u8{0});
  }
  frame.resize(std::max<std::size_t>(frame.size(), 60));
  return frame;
}

}  // namespace baton::vios
