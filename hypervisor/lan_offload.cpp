// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/lan_offload.h"

#include <algorithm>
#include <vector>

namespace baton::hypervisor {
namespace {

constexpr std::size_t kAddresses = 12, kHeader = 14, kTag = 4;
constexpr u16 kVlan = 0x8100, kIpv4 = 0x0800, kIpv6 = 0x86DD;
constexpr u8 kTcp = 6;
constexpr std::size_t kIpv6Header = 40, kShortestTcp = 20;
constexpr std::size_t kTcpSequence = 4, kTcpFlags = 13, kTcpChecksum = 16;
constexpr u8 kFin = 0x01, kPush = 0x08, kCongestionReduced = 0x80;

/// Internet checksum (RFC 1071), not folded: sums may be added up.
u64 sum(std::span<const u8> data) {
  u64 total = 0;
  while (data.size() >= 4) {
    total += load_be<u32>(data.data());
    data = data.subspan(4);
  }
  if (data.size() >= 2) {
    total += load_be<u16>(data.data());
    data = data.subspan(2);
  }
  if (!data.empty()) total += u64{data[0]} << 8;
  return total;
}

u16 fold(u64 total) {
  while (total >> 16) total = (total >> 16) + (total & 0xFFFF);
  return static_cast<u16>(total);
}

/// The segment with its pseudo header.
u64 tcp_sum(std::span<const u8> frame, const TcpFrame& at) {
  const auto addresses = at.v6 ? frame.subspan(at.ip + 8, 32) : frame.subspan(at.ip + 12, 8);
  return sum(addresses) + kTcp + (at.end - at.tcp) + sum(frame.subspan(at.tcp, at.end - at.tcp));
}

void fill_ipv4_checksum(std::span<u8> frame, const TcpFrame& at) {
  store_be<u16>(&frame[at.ip + 10], 0);
  store_be<u16>(&frame[at.ip + 10], static_cast<u16>(~fold(sum(frame.subspan(at.ip, at.tcp - at.ip)))));
}

}  // namespace

std::optional<TcpFrame> parse_tcp(std::span<const u8> frame) {
  if (frame.size() < kHeader) return {};
  TcpFrame at;
  at.ip = kHeader;
  u16 type = load_be<u16>(&frame[kAddresses]);
  if (type == kVlan) {
    if (frame.size() < kHeader + kTag) return {};
    type = load_be<u16>(&frame[kAddresses + kTag]);
    at.ip += kTag;
  }
  const auto ip = frame.subspan(at.ip);
  if (type == kIpv4) {
    if (ip.size() < 20 || ip[0] >> 4 != 4 || ip[9] != kTcp) return {};
    if (load_be<u16>(&ip[6]) & 0x3FFF) return {};  // More fragments, or not the first.
    const std::size_t header = (ip[0] & 15) * std::size_t{4}, total = load_be<u16>(&ip[2]);
    if (header < 20 || total > ip.size() || header > total) return {};
    at.tcp = at.ip + header;
    at.end = at.ip + total;
  } else if (type == kIpv6) {
    if (ip.size() < kIpv6Header || ip[0] >> 4 != 6 || ip[6] != kTcp) return {};
    const std::size_t total = kIpv6Header + load_be<u16>(&ip[4]);
    if (total > ip.size()) return {};
    at.v6 = true;
    at.tcp = at.ip + kIpv6Header;
    at.end = at.ip + total;
  } else {
    return {};
  }
  if (at.end - at.tcp < kShortestTcp) return {};
  const std::size_t header = (frame[at.tcp + 12] >> 4) * std::size_t{4};
  if (header < kShortestTcp || header > at.end - at.tcp) return {};
  at.payload = at.tcp + header;
  return at;
}

bool tcp_checksum_good(std::span<const u8> frame, const TcpFrame& at) {
  return fold(tcp_sum(frame, at)) == 0xFFFF;
}

void fill_tcp_checksum(std::span<u8> frame, const TcpFrame& at) {
  store_be<u16>(&frame[at.tcp + kTcpChecksum], 0);
  store_be<u16>(&frame[at.tcp + kTcpChecksum], static_cast<u16>(~fold(tcp_sum(frame, at))));
}

void segment_tcp(std::span<const u8> frame, const TcpFrame& at, std::size_t mss,
                 const std::function<void(std::span<const u8>)>& send) {
  const std::size_t payload = at.end - at.payload;
  std::vector<u8> piece(at.payload + std::min(mss, payload));
  const u32 sequence = load_be<u32>(&frame[at.tcp + kTcpSequence]);
  const u16 identification = at.v6 ? 0 : load_be<u16>(&frame[at.ip + 4]);
  const u8 flags = frame[at.tcp + kTcpFlags];
  u16 number = 0;
  for (std::size_t done = 0; done < payload; number++) {
    const std::size_t bytes = std::min(mss, payload - done);
    const bool last = done + bytes == payload;
    std::ranges::copy(frame.first(at.payload), piece.begin());
    std::ranges::copy(frame.subspan(at.payload + done, bytes), piece.begin() + static_cast<long>(at.payload));
    TcpFrame here = at;
    here.end = at.payload + bytes;
    const auto out = std::span(piece).first(here.end);
    const std::size_t length = here.end - at.ip;
    if (at.v6) {
      store_be<u16>(&out[at.ip + 4], static_cast<u16>(length - kIpv6Header));
    } else {
      store_be<u16>(&out[at.ip + 2], static_cast<u16>(length));
      store_be<u16>(&out[at.ip + 4], static_cast<u16>(identification + number));
      fill_ipv4_checksum(out, here);
    }
    store_be<u32>(&out[at.tcp + kTcpSequence], sequence + static_cast<u32>(done));
    u8 here_flags = flags;
    if (!last) here_flags &= ~(kFin | kPush);
    if (number) here_flags &= ~kCongestionReduced;  // RFC 3168 6.1.2: only in the first.
    out[at.tcp + kTcpFlags] = here_flags;
    fill_tcp_checksum(out, here);
    send(out);
    done += bytes;
  }
}

}  // namespace baton::hypervisor
