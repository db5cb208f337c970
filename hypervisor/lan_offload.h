// SPDX-License-Identifier: Apache-2.0
// TCP checksums and segmentation that a logical LAN does for its partition (VIO 3.3, ILLAN attributes).
#pragma once

#include <functional>
#include <optional>
#include <span>

#include "cpu/bits.h"

namespace baton::hypervisor {

/// Where the parts of an Ethernet frame are that carries a whole TCP segment.
struct TcpFrame {
  std::size_t ip = 0, tcp = 0, payload = 0,
              end = 0;  ///< Offsets in the frame; behind `end` there is padding.
  bool v6 = false;
};

/// nothing: not TCP over IPv4 or IPv6 (without extension headers), a fragment, or lengths that disagree.
std::optional<TcpFrame> parse_tcp(std::span<const u8> frame);

bool tcp_checksum_good(std::span<const u8> frame, const TcpFrame& at);
void fill_tcp_checksum(std::span<u8> frame, const TcpFrame& at);

/// Cuts a frame into frames of at most `mss` bytes of payload and sends each, complete with checksums.
void segment_tcp(std::span<const u8> frame, const TcpFrame& at, std::size_t mss,
                 const std::function<void(std::span<const u8>)>& send);

}  // namespace baton::hypervisor
