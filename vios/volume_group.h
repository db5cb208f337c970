// SPDX-License-Identifier: Apache-2.0
// A volume group of a Virtual I/O Server: local storage of its managed system, of which logical volumes are
// made.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cpu/bits.h"

namespace baton::vios {

struct LogicalVolume {
  std::string name, group;
  u64 bytes = 0;
  std::string path;       ///< The file that it is.
  std::string unique_id;  ///< Of this group's: no other system sees it.
};

/// A directory with a file for each logical volume. Only what was written takes room on the host, but a
/// volume has its size reserved in the group. The group belongs to one managed system at a time. Thread-safe.
class VolumeGroup final {
 public:
  static constexpr u64 kPartition = 16
                                    << 20;  ///< Bytes of a physical partition: what sizes are multiples of.
  static constexpr const char* kNameRule = "must be 1 to 31 letters, digits, '-' or '_', not '-' first";
  static bool is_name(const std::string& name);

  /// Makes the directory if there is none. Throws std::runtime_error with one sentence.
  VolumeGroup(std::string name, std::string directory, u64 bytes);
  ~VolumeGroup();
  VolumeGroup(const VolumeGroup&) = delete;
  VolumeGroup& operator=(const VolumeGroup&) = delete;

  const std::string& name() const { return name_; }
  const std::string& id() const { return id_; }  ///< 32 hexadecimal digits, chosen when it was made.
  u64 bytes() const { return bytes_; }
  u64 free_bytes() const;
  std::vector<LogicalVolume> volumes() const;  ///< By name.
  std::optional<LogicalVolume> find(const std::string& name) const;
  /// `bytes` is rounded up to whole physical partitions. Throws std::runtime_error with one sentence.
  LogicalVolume create(const std::string& name, u64 bytes);
  /// Throws std::runtime_error when it is in use.
  void remove(const std::string& name);

 private:
  std::vector<LogicalVolume> list() const;

  const std::string name_, directory_;
  const u64 bytes_;
  std::string id_;
  int file_ = -1;  ///< Holds the lock that says whose the group is.
  mutable std::mutex lock_;
};

}  // namespace baton::vios
