// SPDX-License-Identifier: Apache-2.0
// Which partitions are this system's: the record that decides after a process or a host died
// (docs/migration-protocol.md).
#pragma once

#include <sys/types.h>

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "hypervisor/profile.h"

namespace baton::migration {

/// A file of lines "CHECKSUM EVENT STREAM DESCRIPTION REMOTE", the last two in hexadecimal digits. Each line
/// is on the disk before the call that writes it returns; a last line that is not whole does not count.
class Ownership {
 public:
  /// What is known of a partition whose name was in a move.
  enum class Where {
    kHere,       ///< It arrived, or a move of it failed.
    kElsewhere,  ///< It left.
    kInDoubt,    ///< A move of it was under way when the process ended: only the destination knows.
  };
  struct Entry {
    Where where{};
    u64 stream_id = 0;
    hypervisor::Profile profile;
    std::string remote;
  };

  /// An empty path: nothing outlives the process. Throws std::runtime_error for the user.
  explicit Ownership(const std::string& path);
  ~Ownership();
  Ownership(const Ownership&) = delete;
  Ownership& operator=(const Ownership&) = delete;

  // -- source; each throws std::runtime_error when it cannot be written
  void leaving(u64 stream_id, const hypervisor::Profile& profile, const std::string& remote);
  void left(u64 stream_id);
  void stays(u64 stream_id);
  // -- target
  void arrived(u64 stream_id, const hypervisor::Profile& profile, const std::string& remote);
  /// The stream's partition became ours, be it ever so long ago.
  bool arrived(u64 stream_id) const;

  /// By partition name.
  std::map<std::string, Entry> entries() const;
  const std::string& path() const { return path_; }

 private:
  void apply(const std::string& event, const std::string& name, Entry entry);
  void write(const std::string& event, const std::string& name, const Entry& entry);
  bool prepare();
  void decide(const char* event, u64 stream_id);
  const std::string path_;
  mutable std::mutex lock_;
  int file_ = -1;
  off_t size_ = 0;      ///< Of whole lines; zeros follow...
  off_t prepared_ = 0;  ///< ...up to here.
  std::set<u64> arrivals_;
  std::map<std::string, Entry> entries_;
};

}  // namespace baton::migration
