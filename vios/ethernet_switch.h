// SPDX-License-Identifier: Apache-2.0
// The virtual Ethernet switch of a managed system: VLANs, learning, and the trunk to the outside (VIO 3.4).
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "hypervisor/adapter.h"

namespace baton::vios {

/// Thread-safe. A frame is delivered on the sender's thread, so receivers must not block: a logical LAN drops
/// what it has no buffer for, and a LanConnection queues.
class EthernetSwitch {
 public:
  using Receive = std::function<void(std::span<const u8>)>;

  /// Frames without a tag belong to `pvid`, and leave it without a tag; those of `vlans` carry 802.1Q tags.
  /// With `pvid` 0 there are none without a tag.
  struct PortConfig {
    u16 pvid = 1;
    std::vector<u16> vlans;
  };

  class Port final : public hypervisor::EthernetPort {
   public:
    Port(EthernetSwitch& owner, PortConfig config, Receive receive);
    void transmit(std::span<const u8> frame) override { switch_.forward(*this, frame); }
    bool carries(u16 vlan) const;

   private:
    friend class EthernetSwitch;
    EthernetSwitch& switch_;
    PortConfig config_;
    Receive receive_;
  };

  /// The switch owns the port.
  Port* add(PortConfig config, Receive receive);
  /// From now on the port has these VLANs.
  void change(Port* port, PortConfig config);
  /// On return the port's receiver is not called any more. Nobody may transmit on it by then.
  void remove(Port* port);

 private:
  void forward(Port& from, std::span<const u8> frame);

  std::shared_mutex ports_lock_;
  std::vector<std::unique_ptr<Port>> ports_;
  std::mutex stations_lock_;
  std::unordered_map<u64, Port*> stations_;  ///< By VLAN << 48 | address.
};

/// The reverse ARP request by which switches learn where an address has gone (LPM 1.9), without a VLAN tag if
/// `vlan` is 0.
std::vector<u8> make_announcement(const std::array<u8, 6>& mac, u16 vlan);

}  // namespace baton::vios
