// SPDX-License-Identifier: Apache-2.0
// A virtual target device: a SCSI disk on a block device (SBC-3, SPC-4).
#pragma once

#include <memory>

#include "vios/scsi_unit.h"

namespace baton::vios {

/// The write cache is on: a write is durable when a later SYNCHRONIZE CACHE, or the write itself with FUA,
/// has ended with GOOD.
class ScsiDisk final : public ScsiUnit {
 public:
  explicit ScsiDisk(std::shared_ptr<devices::BlockDevice> device);

 private:
  using Range = ScsiCommand::Range;
  std::span<const CommandRow> commands() const override;
  std::span<const u8> pages() const override;
  void add_page(u8 page, std::vector<u8>& data) const override;

  ScsiResult mode_sense(const ScsiCommand& command);
  ScsiResult read_capacity_10(const ScsiCommand& command);
  ScsiResult service_action_in_16(const ScsiCommand& command);
  ScsiResult read(const ScsiCommand& command);
  ScsiResult write(const ScsiCommand& command);
  ScsiResult write_and_verify(const ScsiCommand& command);
  ScsiResult verify(const ScsiCommand& command);
  ScsiResult write_same(const ScsiCommand& command);
  ScsiResult unmap(const ScsiCommand& command);
  ScsiResult synchronize_cache(const ScsiCommand& command);
  ScsiResult write(const ScsiCommand& command, bool durable);
  ScsiResult flush();
  bool contains(Range range) const { return range.count <= blocks_ && range.block <= blocks_ - range.count; }

  std::shared_ptr<devices::BlockDevice> device_;
  u64 blocks_;
};

}  // namespace baton::vios
