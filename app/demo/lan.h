// SPDX-License-Identifier: Apache-2.0
// The demonstration's LAN: a vde_switch, and a gateway at 10.0.2.2 that lets this machine reach the
// partition.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "app/demo/child.h"
#include "cpu/bits.h"
#include "devices/ethernet.h"

namespace baton::demo {

inline constexpr const char* kPartitionAddress = "10.0.2.15";
inline constexpr const char* kGatewayAddress = "10.0.2.2";

/// A TCP port of this machine (127.0.0.1) that leads to one of the partition.
struct Forward {
  u16 here = 0, there = 0;
};

class Lan {
 public:
  /// `folder` gets the switch's sockets, `log` its output. Throws std::runtime_error naming thing and remedy.
  Lan(const std::string& folder, const std::string& log, const std::vector<Forward>& forwards);
  ~Lan();
  /// What a system's uplink is set to.
  const std::string& locator() const { return locator_; }

 private:
  class Gateway;
  std::string locator_;
  Child switch_;
  std::unique_ptr<Gateway> gateway_;
};

}  // namespace baton::demo
