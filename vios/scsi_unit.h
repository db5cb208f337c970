// SPDX-License-Identifier: Apache-2.0
// A logical unit of a virtual SCSI server, and what all kinds of them have in common (SAM-5, SPC-4).
#pragma once

#include <algorithm>
#include <atomic>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "devices/block.h"
#include "vios/scsi.h"

namespace baton::vios {

/// What the host said of a block operation, in SCSI's words.
ScsiResult failure(devices::BlockResult error, bool writing);

/// One command as a unit gets it.
struct ScsiCommand {
  std::span<const u8> cdb;  ///< As long as its operation code says: 6, 10, 12 or 16 bytes.
  ScsiBuffer& buffer;
  std::span<u8> scratch;  ///< Memory for the transfer, at least 64 KB.

  u8 opcode() const { return cdb[0]; }
  struct Range {
    u64 block = 0, count = 0;
  };
  /// Address and count, which stand where the length of the CDB says.
  Range range() const;
};

/// Thread-safe: many commands at a time.
class ScsiUnit {
 public:
  virtual ~ScsiUnit() = default;

  /// Runs one command. `scratch` as in ScsiCommand.
  ScsiResult execute(std::span<const u8> cdb, ScsiBuffer& buffer, std::span<u8> scratch);
  /// LOGICAL UNIT RESET was done: the next command ends with a unit attention.
  virtual void reset() { raise(kWasReset); }
  /// A client logs in. What an earlier one had asked of the unit holds no more.
  virtual void logged_in() {}

 protected:
  struct Identity {
    u8 type = 0;  ///< Of a peripheral device.
    bool removable = false;
    std::string_view product;
    std::string unique_id;  ///< World-wide: equal wherever the unit is seen.
  };
  using Run = ScsiResult (*)(ScsiUnit&, const ScsiCommand&);
  struct CommandRow {
    u8 opcode;
    Run run;
    bool exempt = false;  ///< No unit attention stops it (SAM-5 5.14).
  };
  /// A row's entry for a member function.
  template <auto kMember>
  static ScsiResult on(ScsiUnit& unit, const ScsiCommand& command) {
    return call(unit, kMember, command);
  }
  /// Why the next command ends at once. Each is reported once, the first one first.
  enum Attention : u8 { kWasReset = 1, kMediumChanged = 2 };

  explicit ScsiUnit(Identity identity);
  /// The commands that this kind has beside those of all.
  virtual std::span<const CommandRow> commands() const = 0;
  /// Numbers of its vital product data pages beside those of all, in order.
  virtual std::span<const u8> pages() const { return {}; }
  /// Adds such a page to its header.
  virtual void add_page(u8 /*page*/, std::vector<u8>& /*data*/) const {}
  void raise(Attention attention) { attentions_ |= attention; }

  ScsiResult nothing(const ScsiCommand&) { return {}; }
  /// Sends what fits of a parameter list: the initiator's allocation length cuts it, and so does its buffer.
  static ScsiResult reply(std::span<const u8> data, u64 allocation, ScsiBuffer& buffer);
  /// Sends `bytes` of a disk or medium from `offset` on, or as many as the initiator has room for.
  template <class Source>
  static ScsiResult reply_from(Source& source, u64 offset, u64 bytes, const ScsiCommand& command) {
    for (u64 left = std::min(bytes, command.buffer.in_length()); left > 0;) {
      const auto chunk = command.scratch.first(std::min<u64>(left, command.scratch.size()));
      if (const auto error = source.read(offset, chunk)) return failure(error, false);
      if (!command.buffer.store(chunk)) return scsi::kDataPhaseError;
      offset += chunk.size();
      left -= chunk.size();
    }
    return {};
  }
  /// Answers MODE SENSE (6) or (10) with these block descriptors and mode pages.
  static ScsiResult reply_mode(const ScsiCommand& command, u8 device_specific,
                               std::span<const u8> descriptors, std::span<const u8> mode_pages);

 private:
  template <class Unit>
  static ScsiResult call(ScsiUnit& unit, ScsiResult (Unit::*member)(const ScsiCommand&),
                         const ScsiCommand& command) {
    return (static_cast<Unit&>(unit).*member)(command);
  }
  static std::span<const CommandRow> common_commands();
  ScsiResult inquiry(const ScsiCommand& command);
  ScsiResult vital_product_data(u8 page, u64 allocation, ScsiBuffer& buffer);
  ScsiResult report_luns(const ScsiCommand& command);
  ScsiResult request_sense(const ScsiCommand& command);
  std::optional<Sense> take_attention();

  const Identity identity_;
  const u64 number_;  ///< 64 bits of the unique id: serial number and NAA identifier.
  std::atomic<u8> attentions_{0};
};

}  // namespace baton::vios
