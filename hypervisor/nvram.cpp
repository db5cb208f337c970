// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/nvram.h"

#include <algorithm>
#include <string_view>

namespace baton::hypervisor {
namespace {

constexpr std::size_t kBlock = 16, kNameAt = 4, kNameBytes = 12;
constexpr u8 kSystem = 0x70, kFree = 0x7F;
constexpr std::size_t kCommonBytes = 4 << 10;

void header(u8* at, u8 signature, std::size_t bytes, std::string_view name) {
  std::ranges::copy(name.substr(0, kNameBytes), at + kNameAt);
  at[0] = signature;
  store_be<u16>(at + 2, static_cast<u16>(bytes / kBlock));
  // End-around-carry sum of the other fifteen bytes.
  unsigned sum = at[0];
  for (std::size_t i = 2; i < kBlock; i++) sum += at[i];
  while (sum > 0xFF) sum = (sum & 0xFF) + (sum >> 8);
  at[1] = static_cast<u8>(sum);
}

}  // namespace

std::vector<u8> fresh_nvram() {
  std::vector<u8> nvram(kNvramBytes);
  header(nvram.data(), kSystem, kCommonBytes, "common");
  header(nvram.data() + kCommonBytes, kFree, kNvramBytes - kCommonBytes, "wwwwwwwwwwww");  // 12 times 0x77
  return nvram;
}

}  // namespace baton::hypervisor
