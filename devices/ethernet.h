// SPDX-License-Identifier: Apache-2.0
// The outside LAN, behind a libvdeplug locator: vde://, tap://, slirp://, udp://...
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "cpu/bits.h"

namespace baton::devices {

/// A connection to a LAN. Frames are complete Ethernet frames without FCS.
class LanConnection {
 public:
  virtual ~LanConnection() = default;
  /// Thread-safe; drops when the LAN does not take the frame.
  virtual void send(std::span<const u8> frame) = 0;
};

/// Opens the locator and calls `receive` from a thread of its own for each frame until destroyed. Reconnects
/// by itself when the LAN goes away and comes back. Throws std::runtime_error naming the locator and the
/// remedy.
std::unique_ptr<LanConnection> open_lan(const std::string& locator,
                                        std::function<void(std::span<const u8>)> receive);

}  // namespace baton::devices
