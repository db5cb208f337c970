// SPDX-License-Identifier: Apache-2.0
// What a SCSI command gives back (SAM-5, SPC-4), and where its data are.
#pragma once

#include <span>

#include "cpu/bits.h"

namespace baton::vios {

namespace scsi {
inline constexpr u8 kGood = 0x00, kCheckCondition = 0x02, kReservationConflict = 0x18;
}

/// Sense key, additional sense code and qualifier.
struct Sense {
  u8 key = 0, asc = 0, ascq = 0;
  static constexpr std::size_t kBytes = 18;
  void store(std::span<u8, kBytes> out) const;  ///< Fixed format.
};

struct ScsiResult {
  u8 status = scsi::kGood;
  Sense sense;
};

constexpr ScsiResult check_condition(u8 key, u8 asc, u8 ascq = 0) {
  return {scsi::kCheckCondition, {key, asc, ascq}};
}

namespace scsi {
inline constexpr ScsiResult kLunNotSupported = check_condition(0x05, 0x25);
inline constexpr ScsiResult kInvalidOpcode = check_condition(0x05, 0x20);
inline constexpr ScsiResult kInvalidField = check_condition(0x05, 0x24);
inline constexpr ScsiResult kOutOfRange = check_condition(0x05, 0x21);
inline constexpr ScsiResult kInvalidParameter = check_condition(0x05, 0x26);
inline constexpr ScsiResult kParameterLength = check_condition(0x05, 0x1A);
inline constexpr ScsiResult kSavingNotSupported = check_condition(0x05, 0x39);
inline constexpr ScsiResult kDataPhaseError = check_condition(0x0B, 0x4B);
inline constexpr ScsiResult kAborted = check_condition(0x0B, 0x00, 0x06);
}  // namespace scsi

/// The memory of the initiator that a command's data come from and go to.
class ScsiBuffer {
 public:
  virtual ~ScsiBuffer() = default;
  virtual u64 out_length() const = 0;  ///< Bytes that the initiator offers (data-out).
  virtual u64 in_length() const = 0;   ///< Bytes that it has room for (data-in).
  /// Next bytes of data-out. False: not mapped, beyond the end, or the command is cancelled.
  virtual bool fetch(std::span<u8> out) = 0;
  /// Next bytes of data-in. False as above.
  virtual bool store(std::span<const u8> data) = 0;
};

}  // namespace baton::vios
