// SPDX-License-Identifier: Apache-2.0
#include "vios/optical_drive.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "devices/file_block.h"

namespace baton::vios {
namespace {

constexpr u64 kBlock = OpticalMedium::kBlock;
constexpr u64 kMostTransferBlocks = 8192;  // 16 MB, as of the disk.
constexpr u64 kMostBlocks = 0x7FFFFFFF;    // What Linux and READ CAPACITY (10) can say.
constexpr u64 kMostCdBlocks = 360'000;     // 80 minutes at 75 blocks a second: what is larger is a DVD.
constexpr u16 kCdRom = 0x0008, kDvdRom = 0x0010;
constexpr u8 kCdDrive = 0x05;  // Peripheral device type.

constexpr ScsiResult kNoMedium = check_condition(0x02, 0x3A, 0x00);          // Not ready, medium not present.
constexpr ScsiResult kRemovalPrevented = check_condition(0x05, 0x53, 0x02);  // Medium removal prevented.

u16 profile_of(const OpticalMedium* medium) {
  if (!medium) return 0;
  return medium->blocks() > kMostCdBlocks ? kDvdRom : kCdRom;
}

/// A feature that GET CONFIGURATION names (MMC-6 5.3): `data` is what follows its header.
struct Feature {
  u16 code;
  u8 version;
  bool persistent;
  bool current;
  std::vector<u8> data;
};

std::vector<Feature> features_of(const OpticalMedium* medium) {
  const u16 profile = profile_of(medium);
  const bool cd = profile == kCdRom, dvd = profile == kDvdRom;
  return {
      {0x0000, 0, true, true, {0, kDvdRom, dvd, 0, 0, kCdRom, cd, 0}},  // Profiles.
      {0x0001, 2, true, true, {0, 0, 0, 1, 1, 0, 0, 0}},                // Core: on SCSI.
      {0x0003, 1, true, true, {0x29, 0, 0, 0}},  // Removable medium: a tray, ejects, locks.
      {0x0010, 0, false, medium != nullptr, {0, 0, kBlock >> 8, 0, 0, 1, 0, 0}},  // Random readable.
      {0x001E, 2, false, cd, {0, 0, 0, 0}},                                       // CD read.
      {0x001F, 0, false, dvd, {0, 0, 0, 0}},                                      // DVD read.
  };
}

/// A block's address in a table of contents: as it is, or as minutes, seconds and frames from the lead-in.
void put_address(u8* out, u64 block, bool as_time) {
  constexpr u64 kLeadIn = 150, kFrames = 75, kSeconds = 60;
  if (!as_time) return store_be<u32>(out, static_cast<u32>(block));
  const u64 frame = block + kLeadIn;
  out[0] = 0;
  out[1] = static_cast<u8>(std::min<u64>(frame / (kFrames * kSeconds), 0xFF));
  out[2] = static_cast<u8>(frame / kFrames % kSeconds);
  out[3] = static_cast<u8>(frame % kFrames);
}

}  // namespace

// -- the medium

OpticalMedium::OpticalMedium(std::string name, const std::string& path) : name_(std::move(name)) {
  const auto fail = [&](const std::string& why) {
    if (file_ >= 0) close(file_);
    throw std::runtime_error("the medium " + path + " " + why);
  };
  file_ = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file_ < 0)
    fail(errno == ENOENT ? "does not exist; lsrep lists those that do"
                         : std::string("cannot be read: ") + std::strerror(errno));
  struct stat status{};
  if (fstat(file_, &status) != 0 || !S_ISREG(status.st_mode))
    fail("is not a regular file; copy an image there");
  bytes_ = static_cast<u64>(status.st_size);
  if (bytes_ == 0 || blocks() > kMostBlocks)
    fail("has " + std::to_string(bytes_) + " bytes, which is no size of an image; copy it again");
}

OpticalMedium::~OpticalMedium() { close(file_); }

devices::BlockResult OpticalMedium::read(u64 offset, std::span<u8> out) const {
  const u64 within = offset < bytes_ ? std::min<u64>(out.size(), bytes_ - offset) : 0;
  std::ranges::fill(out.subspan(within), u8{0});
  return devices::read_all(file_, offset, out.first(within));
}

// -- the drive

OpticalDrive::OpticalDrive(std::string unique_id)
    : ScsiUnit({.type = kCdDrive, .removable = true, .product = "VOPTA", .unique_id = std::move(unique_id)}) {
}

bool OpticalDrive::load(std::shared_ptr<const OpticalMedium> medium) {
  const std::lock_guard hold(lock_);
  if (medium_) return false;
  medium_ = std::move(medium);
  event_ = kNewMedium;
  raise(kMediumChanged);
  return true;
}

bool OpticalDrive::unload(bool force) {
  const std::lock_guard hold(lock_);
  return take_out(force);
}

/// With the lock held.
bool OpticalDrive::take_out(bool force) {
  if (!medium_) return true;
  if (locked_ && !force) return false;
  medium_ = nullptr;
  locked_ = false;
  event_ = kMediumRemoved;
  return true;
}

std::shared_ptr<const OpticalMedium> OpticalDrive::medium() const {
  const std::lock_guard hold(lock_);
  return medium_;
}

void OpticalDrive::reset() {
  logged_in();
  ScsiUnit::reset();
}

void OpticalDrive::logged_in() {
  const std::lock_guard hold(lock_);
  locked_ = false;
}

std::span<const ScsiUnit::CommandRow> OpticalDrive::commands() const {
  static constexpr CommandRow kRows[] = {
      {0x28, on<&OpticalDrive::read>},  // READ 10, 6, 12
      {0x08, on<&OpticalDrive::read>},
      {0xA8, on<&OpticalDrive::read>},
      {0x00, on<&OpticalDrive::test_unit_ready>},
      {0x4A, on<&OpticalDrive::get_event_status>, true},
      {0x46, on<&OpticalDrive::get_configuration>, true},
      {0x25, on<&OpticalDrive::read_capacity>},
      {0x43, on<&OpticalDrive::read_toc>},
      {0x1A, on<&OpticalDrive::mode_sense>},  // 6, 10
      {0x5A, on<&OpticalDrive::mode_sense>},
      {0x1B, on<&OpticalDrive::start_stop_unit>},
      {0x1E, on<&OpticalDrive::prevent_allow_removal>},
  };
  return kRows;
}

ScsiResult OpticalDrive::test_unit_ready(const ScsiCommand&) { return medium() ? ScsiResult{} : kNoMedium; }

ScsiResult OpticalDrive::start_stop_unit(const ScsiCommand& command) {
  const u8 how = command.cdb[4];
  const bool start = how & 0x01, load_or_eject = how & 0x02, power = how & 0xF0;
  if (power) return {};  // It has one power condition.
  if (!load_or_eject) return start && !medium() ? kNoMedium : ScsiResult{};
  if (start) return {};  // The tray is closed as it is; media are the administrator's to load.
  const std::lock_guard hold(lock_);
  return take_out(false) ? ScsiResult{} : kRemovalPrevented;
}

ScsiResult OpticalDrive::prevent_allow_removal(const ScsiCommand& command) {
  if (command.cdb[4] & 0x02) return scsi::kInvalidField;  // Persistent prevention.
  const std::lock_guard hold(lock_);
  locked_ = command.cdb[4] & 0x01;
  return {};
}

ScsiResult OpticalDrive::read_capacity(const ScsiCommand& command) {
  const auto medium = this->medium();
  if (!medium) return kNoMedium;
  if (load_be<u32>(&command.cdb[2]) || (command.cdb[8] & 1)) return scsi::kInvalidField;
  u8 data[8];
  store_be<u32>(data, static_cast<u32>(medium->blocks() - 1));
  store_be<u32>(data + 4, kBlock);
  return reply(data, sizeof(data), command.buffer);
}

ScsiResult OpticalDrive::read(const ScsiCommand& command) {
  const auto medium = this->medium();
  if (!medium) return kNoMedium;
  const auto range = command.range();
  if (range.count > kMostTransferBlocks) return scsi::kInvalidField;
  if (range.count > medium->blocks() || range.block > medium->blocks() - range.count)
    return scsi::kOutOfRange;
  return reply_from(*medium, range.block * kBlock, range.count * kBlock, command);
}

/// One session of one track of data.
ScsiResult OpticalDrive::read_toc(const ScsiCommand& command) {
  constexpr u8 kTracks = 0, kSessions = 1, kDataTrack = 0x14, kLeadOut = 0xAA;
  const auto medium = this->medium();
  if (!medium) return kNoMedium;
  const auto cdb = command.cdb;
  // Drivers of the days before MMC, Linux among them, have the format in the last byte.
  const u8 format = cdb[2] & 0x0F ? cdb[2] & 0x0F : cdb[9] >> 6;
  const u8 first = cdb[6];
  const bool as_time = cdb[1] & 0x02;
  std::vector<u8> data{0, 0, 1, 1};  // First and last track or session.
  const auto add = [&](u8 track, u64 block) {
    data.insert(data.end(), {0, kDataTrack, track, 0, 0, 0, 0, 0});
    put_address(&data[data.size() - 4], block, as_time);
  };
  if (format == kTracks) {
    if (first > 1 && first != kLeadOut) return scsi::kInvalidField;
    if (first <= 1) add(1, 0);
    add(kLeadOut, medium->blocks());
  } else if (format == kSessions) {
    add(1, 0);
  } else {
    return scsi::kInvalidField;
  }
  store_be<u16>(data.data(), static_cast<u16>(data.size() - 2));
  return reply(data, load_be<u16>(&cdb[7]), command.buffer);
}

ScsiResult OpticalDrive::get_configuration(const ScsiCommand& command) {
  constexpr u8 kCurrentOnly = 1, kOneOnly = 2;
  const auto cdb = command.cdb;
  const u8 wanted = cdb[1] & 3;
  const u16 from = load_be<u16>(&cdb[2]);
  if (wanted > kOneOnly) return scsi::kInvalidField;
  const auto medium = this->medium();
  std::vector<u8> data(8);
  store_be<u16>(&data[6], profile_of(medium.get()));
  for (const Feature& feature : features_of(medium.get())) {
    if (wanted == kOneOnly ? feature.code != from : feature.code < from) continue;
    if (wanted == kCurrentOnly && !feature.current) continue;
    data.insert(data.end(), {static_cast<u8>(feature.code >> 8), static_cast<u8>(feature.code),
                             static_cast<u8>(feature.version << 2 | (feature.persistent ? 2 : 0) |
                                             (feature.current ? 1 : 0)),
                             static_cast<u8>(feature.data.size())});
    data.insert(data.end(), feature.data.begin(), feature.data.end());
  }
  store_be<u32>(data.data(), static_cast<u32>(data.size() - 4));
  return reply(data, load_be<u16>(&cdb[7]), command.buffer);
}

ScsiResult OpticalDrive::get_event_status(const ScsiCommand& command) {
  constexpr u8 kMedia = 4, kMediaBit = 1 << kMedia, kNone = 0x80, kPresent = 0x02;
  const auto cdb = command.cdb;
  if (!(cdb[1] & 1)) return scsi::kInvalidField;  // Only polled.
  std::array<u8, 8> data{0, 0, kNone, kMediaBit};
  if (!(cdb[4] & kMediaBit)) return reply(std::span(data).first(4), load_be<u16>(&cdb[7]), command.buffer);
  store_be<u16>(data.data(), 4);
  data[2] = kMedia;
  {
    const std::lock_guard hold(lock_);
    data[4] = event_;
    data[5] = medium_ ? kPresent : 0;
    // Told once, if there was room to tell it.
    if (load_be<u16>(&cdb[7]) >= 5 && command.buffer.in_length() >= 5) event_ = kNoChange;
  }
  return reply(data, load_be<u16>(&cdb[7]), command.buffer);
}

ScsiResult OpticalDrive::mode_sense(const ScsiCommand& command) {
  constexpr u8 kErrorRecovery = 0x01, kCapabilities = 0x2A, kAll = 0x3F;
  const auto cdb = command.cdb;
  const u8 control = cdb[2] >> 6, page = cdb[2] & 0x3F, subpage = cdb[3];
  if (control == 3) return scsi::kSavingNotSupported;
  if (subpage != 0 && subpage != 0xFF) return scsi::kInvalidField;
  const bool changeable = control == 1;  // Nothing is.

  std::vector<u8> mode_pages;
  if (page == kErrorRecovery || page == kAll) {
    const std::array<u8, 12> recovery{kErrorRecovery, 10};
    mode_pages.insert(mode_pages.end(), recovery.begin(), recovery.end());
  }
  if (page == kCapabilities || page == kAll) {  // CD/DVD capabilities and mechanical status (MMC-3 5.5.10).
    constexpr u16 kSpeed = 176 * 40;            // Kilobytes a second.
    std::array<u8, 20> capabilities{kCapabilities, 18};
    if (!changeable) {
      const std::lock_guard hold(lock_);
      capabilities[2] = 0x0B;  // Reads CD-R, CD-RW, DVD-ROM.
      capabilities[4] = 0x70;  // Reads mode 2, forms 1 and 2, and several sessions.
      capabilities[6] = static_cast<u8>(0x29 | (locked_ ? 0x02 : 0));  // Has a tray, ejects, locks.
      store_be<u16>(&capabilities[8], kSpeed);
      store_be<u16>(&capabilities[14], kSpeed);
    }
    mode_pages.insert(mode_pages.end(), capabilities.begin(), capabilities.end());
  }
  if (mode_pages.empty()) return scsi::kInvalidField;
  return reply_mode(command, 0, {}, mode_pages);
}

}  // namespace baton::vios
