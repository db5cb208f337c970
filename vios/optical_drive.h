// SPDX-License-Identifier: Apache-2.0
// A virtual optical device: a SCSI CD-ROM drive (MMC-6, SPC-4) into which images are loaded.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "vios/scsi_unit.h"

namespace baton::vios {

/// An image in a file, opened for reading. Thread-safe.
class OpticalMedium final {
 public:
  static constexpr u64 kBlock = 2048;
  /// `name` is what administrators call it. Throws std::runtime_error with one sentence naming the file.
  OpticalMedium(std::string name, const std::string& path);
  ~OpticalMedium();
  OpticalMedium(const OpticalMedium&) = delete;
  OpticalMedium& operator=(const OpticalMedium&) = delete;

  const std::string& name() const { return name_; }
  u64 bytes() const { return bytes_; }
  u64 blocks() const { return (bytes_ + kBlock - 1) / kBlock; }
  /// Within blocks(); the rest of the last one is zero.
  devices::BlockResult read(u64 offset, std::span<u8> out) const;

 private:
  const std::string name_;
  int file_ = -1;
  u64 bytes_ = 0;
};

/// A command that has begun ends with the medium that it began with.
class OpticalDrive final : public ScsiUnit {
 public:
  explicit OpticalDrive(std::string unique_id);

  /// False: there is a medium in it.
  bool load(std::shared_ptr<const OpticalMedium> medium);
  /// False: its client uses the medium and has locked it in, unless it is unloaded by `force`. True without a
  /// medium, too.
  bool unload(bool force);
  std::shared_ptr<const OpticalMedium> medium() const;  ///< Null: it is empty.

  void reset() override;
  void logged_in() override;

 private:
  /// Of GET EVENT STATUS NOTIFICATION, media class.
  enum Event : u8 { kNoChange = 0, kNewMedium = 2, kMediumRemoved = 3 };

  std::span<const CommandRow> commands() const override;
  ScsiResult test_unit_ready(const ScsiCommand& command);
  ScsiResult start_stop_unit(const ScsiCommand& command);
  ScsiResult prevent_allow_removal(const ScsiCommand& command);
  ScsiResult read_capacity(const ScsiCommand& command);
  ScsiResult read(const ScsiCommand& command);
  ScsiResult read_toc(const ScsiCommand& command);
  ScsiResult get_configuration(const ScsiCommand& command);
  ScsiResult get_event_status(const ScsiCommand& command);
  ScsiResult mode_sense(const ScsiCommand& command);
  bool take_out(bool force);

  mutable std::mutex lock_;
  std::shared_ptr<const OpticalMedium> medium_;
  bool locked_ = false;  ///< By the client: PREVENT ALLOW MEDIUM REMOVAL.
  Event event_ = kNoChange;
};

}  // namespace baton::vios
