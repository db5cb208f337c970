// SPDX-License-Identifier: Apache-2.0
// A virtual target device: a SCSI disk on a block device (SBC-3, SPC-4).
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "devices/block.h"
#include "vios/scsi.h"

namespace baton::vios {

/// Thread-safe: many commands at a time. The write cache is on: a write is durable when a later SYNCHRONIZE
/// CACHE, or the write itself with FUA, has ended with GOOD.
class ScsiDisk {
 public:
  explicit ScsiDisk(std::shared_ptr<devices::BlockDevice> device);

  devices::BlockDevice& device() { return *device_; }
  /// Runs one command. `scratch` is memory for the transfer, at least 64 KB.
  ScsiResult execute(std::span<const u8> cdb, ScsiBuffer& buffer, std::span<u8> scratch);
  /// LOGICAL UNIT RESET was done: the next command ends with a unit attention.
  void reset() { unit_attention_ = true; }

 private:
  struct Range {
    u64 block = 0, count = 0;
  };
  ScsiResult inquiry(std::span<const u8> cdb, ScsiBuffer& buffer);
  ScsiResult vital_product_data(u8 page, u64 allocation, ScsiBuffer& buffer);
  ScsiResult mode_sense(std::span<const u8> cdb, ScsiBuffer& buffer);
  ScsiResult read_capacity_10(std::span<const u8> cdb, ScsiBuffer& buffer);
  ScsiResult read_capacity_16(std::span<const u8> cdb, ScsiBuffer& buffer);
  ScsiResult read(Range range, ScsiBuffer& buffer, std::span<u8> scratch);
  ScsiResult write(Range range, bool durable, ScsiBuffer& buffer, std::span<u8> scratch);
  ScsiResult write_same(std::span<const u8> cdb, Range range, ScsiBuffer& buffer, std::span<u8> scratch);
  ScsiResult unmap(std::span<const u8> cdb, ScsiBuffer& buffer);
  ScsiResult synchronize();
  bool contains(Range range) const { return range.count <= blocks_ && range.block <= blocks_ - range.count; }

  std::shared_ptr<devices::BlockDevice> device_;
  u64 blocks_;
  std::string unique_id_;
  u64 number_;  ///< 64 bits of the unique id: serial number and NAA identifier.
  std::atomic<bool> unit_attention_{false};
};

}  // namespace baton::vios
