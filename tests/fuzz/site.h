// SPDX-License-Identifier: Apache-2.0
// A managed system with a VIOS and one partition with a disk and a LAN adapter, and arguments that calls on
// it find meaningful.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "hypervisor/system.h"
#include "hypervisor/virtual_processor.h"
#include "tests/fuzz/random.h"
#include "vios/virtual_io.h"

namespace baton::fuzz {

class Site {
 public:
  /// `firmware` is the image that power_on() loads, `engine` what executes it.
  explicit Site(u32 processors, std::span<const u8> firmware = {},
                const cpu::EngineOptions& engine = {.engine = cpu::Engine::kInterpreter});
  ~Site();
  Site(const Site&) = delete;
  Site& operator=(const Site&) = delete;

  hypervisor::Partition& partition() { return *partition_; }
  vios::VirtualIo& vios() { return *vios_; }
  const std::filesystem::path& directory() const { return directory_; }

 private:
  std::filesystem::path directory_;
  hypervisor::ManagedSystem system_;
  std::unique_ptr<vios::VirtualIo> vios_;
  std::shared_ptr<hypervisor::Partition> partition_;
};

/// Size of the memory that calls work with, from address 0 and I/O bus address 0 on.
inline constexpr u64 kArena = 1 << 20;

/// A call's argument: unit, LIOBN, page, buffer descriptor, queue, small number, anything.
u64 random_argument(Random& random);
/// A call's token: mostly one that exists.
u64 random_call(Random& random);
/// What a client may leave in its memory: RTAS buffers, information units, datagrams, processor areas.
void fill_arena(Random& random, cpu::Memory& memory);
/// Puts an RTAS argument buffer at `address`; only functions that return if `returning`.
void put_rtas_buffer(Random& random, cpu::Memory& memory, u64 address, bool returning);

}  // namespace baton::fuzz
