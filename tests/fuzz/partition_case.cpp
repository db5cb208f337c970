// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <chrono>
#include <thread>
#include <vector>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/site.h"
#include "tests/fuzz/words.h"

namespace baton::fuzz {
namespace {

constexpr u64 kImage = 0x20000, kCode = 0x4000;
constexpr u64 kLastVector = 0xF20, kEntry = 0x100;
constexpr u32 kHypercall = 0x44000022;

/// A program: everywhere random instructions and now and then a call with its arguments loaded. Each
/// interrupt goes on somewhere else in it.
std::vector<u8> random_program(Random& random) {
  std::vector<u8> image(kImage);
  u64 at = kCode;
  const auto put = [&](u32 word) {
    if (at + 4 > kImage) return;
    store_be<u32>(&image[at], word);
    at += 4;
  };
  const auto branch_into_code = [&] {
    const u64 to = kCode + random.below((kImage - kCode) / 4) * 4;
    put(0x48000000 | (static_cast<u32>(to - at) & 0x03FFFFFC));
  };
  // In 32 bits, by way of addis and ori.
  const auto load = [&](u32 r, u64 value) {
    put(15u << 26 | r << 21 | (value >> 16 & 0xFFFF));
    put(24u << 26 | r << 21 | r << 16 | (value & 0xFFFF));
    if (value >> 32 == 0) return;
    put(0x780007C6 | r << 21 | r << 16);  // sldi r,r,32
    put(25u << 26 | r << 21 | r << 16 | static_cast<u32>(value >> 16 & 0xFFFF));
  };
  while (at < kImage) {
    if (!random.one_in(12)) {
      put(random_word(random));
      continue;
    }
    const u64 token = random_call(random);
    load(3, token);
    if (token == 0xF000) {
      load(4, 0x8000 + random.below(16) * 128);
    } else {
      for (u32 r = 4; r <= 9; r++) load(r, random_argument(random));
    }
    put(kHypercall);
  }
  for (at = kEntry; at <= kLastVector + 0x20;) {
    const u64 next = at + 0x20;
    if (random.below(2)) put(0x7C0004AC);  // sync
    branch_into_code();
    at = next;
  }
  return image;
}

}  // namespace

void run_partition_case(Random random) {
  const auto processors = 1 + static_cast<u32>(random.below(3));
  const cpu::EngineOptions engine = random_engine(random);
  Site site(processors, random_program(random), engine);
  hypervisor::Partition& partition = site.partition();
  const auto power = [&](bool on) {
    try {
      if (on)
        partition.power_on();
      else
        partition.power_off();
    } catch (const std::runtime_error&) {
      // It powered itself on or off meanwhile.
    }
  };
  power(true);
  cpu::Memory& memory = partition.memory();
  for (u64 n = 0; n < 4 + random.below(20); n++) {
    switch (random.below(8)) {
      case 0:
        partition.console().input(std::array<u8, 2>{'a', '\r'});
        break;
      case 1:
        partition.processors()[random.below(partition.processors().size())]->prod();
        break;
      case 2:
        partition.domain().withhold_writes();
        break;
      case 3:
        partition.request_shutdown();
        break;
      case 4:
        (void)partition.reference_code();
        (void)partition.console().history();
        break;
      case 5:
        power(false);
        power(true);
        break;
      default:
        put_rtas_buffer(random, memory, 0x8000 + random.below(16) * 128, false);
        fill_arena(random, memory);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  // Reboots that were asked for may still be coming.
  for (int n = 0; n < 3; n++) power(false);
  if (partition.state() == hypervisor::PartitionState::kNotActivated) return;
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  power(false);
}

}  // namespace baton::fuzz
