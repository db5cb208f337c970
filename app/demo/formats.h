// SPDX-License-Identifier: Apache-2.0
// What the guest's workload writes and says (guest/PROTOCOL.md, section 3), from the outside.
#pragma once

#include <array>
#include <span>
#include <string>

#include "cpu/bits.h"

namespace baton::demo {

inline constexpr std::size_t kEchoSize = 64, kDiskRecordSize = 512;

using EchoRecord = std::array<u8, kEchoSize>;

/// A request of the record echo.
EchoRecord echo_request(u64 seq);
/// Empty if `answer` answers the request `seq`; else what is wrong with it.
std::string echo_fault(std::span<const u8, kEchoSize> answer, u64 seq);

/// Outcome of reading the records 1..acknowledged of a record file.
struct DiskCheck {
  u64 verified = 0;  ///< Whole and of the right number.
  u64 lost = 0;      ///< Missing, damaged, or another record's.
  u64 first_lost = 0;
};
/// Throws std::runtime_error when the file cannot be read.
DiskCheck check_disk_records(const std::string& path, u64 acknowledged);

/// Hash of the compute chain after `steps`, a multiple of 100,000.
u64 compute_hash(u64 steps);

}  // namespace baton::demo
