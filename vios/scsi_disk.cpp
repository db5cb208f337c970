// SPDX-License-Identifier: Apache-2.0
#include "vios/scsi_disk.h"

#include <algorithm>
#include <array>

namespace baton::vios {
namespace {

constexpr u64 kBlock = 512;
constexpr u64 kMostTransferBlocks = 32768;  // 16 MB: Block Limits, and enforced.
constexpr u64 kMostUnmapBlocks = 1 << 21;   // 1 GB: bounds the time of one command on a host without holes.
constexpr u64 kMostUnmapDescriptors = 255;
constexpr u8 kPhysicalBlockExponent = 3;  // 4 KB: the host's page.

constexpr u8 kReadCapacity16Action = 0x10;
constexpr u8 kFua = 0x08;             // READ and WRITE 10, 12, 16, byte 1.
constexpr u8 kWithProtection = 0xE0;  // The same: there is no protection information here.
constexpr u8 kWithComparison = 0xE6;  // VERIFY: that, and what would have to be compared.

}  // namespace

ScsiDisk::ScsiDisk(std::shared_ptr<devices::BlockDevice> device)
    : ScsiUnit({.product = "VDASD", .unique_id = device->unique_id()}),
      device_(std::move(device)),
      blocks_(device_->size() / kBlock) {}

std::span<const ScsiUnit::CommandRow> ScsiDisk::commands() const {
  constexpr auto kWrite = static_cast<ScsiResult (ScsiDisk::*)(const ScsiCommand&)>(&ScsiDisk::write);
  static constexpr CommandRow kRows[] = {
      {0x28, on<&ScsiDisk::read>},  // READ, WRITE 10
      {0x2A, on<kWrite>},
      {0x88, on<&ScsiDisk::read>},  // 16
      {0x8A, on<kWrite>},
      {0xA8, on<&ScsiDisk::read>},  // 12
      {0xAA, on<kWrite>},
      {0x08, on<&ScsiDisk::read>},  // 6
      {0x0A, on<kWrite>},
      {0x35, on<&ScsiDisk::synchronize_cache>},  // 10, 16
      {0x91, on<&ScsiDisk::synchronize_cache>},
      {0x42, on<&ScsiDisk::unmap>},
      {0x41, on<&ScsiDisk::write_same>},  // 10, 16
      {0x93, on<&ScsiDisk::write_same>},
      {0x2E, on<&ScsiDisk::write_and_verify>},
      {0x2F, on<&ScsiDisk::verify>},  // 10, 12, 16
      {0xAF, on<&ScsiDisk::verify>},
      {0x8F, on<&ScsiDisk::verify>},
      {0x00, on<&ScsiDisk::nothing>},  // TEST UNIT READY
      {0x1B, on<&ScsiDisk::nothing>},  // START STOP UNIT
      {0x25, on<&ScsiDisk::read_capacity_10>},
      {0x9E, on<&ScsiDisk::service_action_in_16>},
      {0x1A, on<&ScsiDisk::mode_sense>},  // 6, 10
      {0x5A, on<&ScsiDisk::mode_sense>},
  };
  return kRows;
}

std::span<const u8> ScsiDisk::pages() const {
  static constexpr u8 kPages[] = {0xB0, 0xB1, 0xB2};
  return kPages;
}

void ScsiDisk::add_page(u8 page, std::vector<u8>& data) const {
  switch (page) {
    case 0xB0:  // Block limits (SBC-3 6.5.3).
      data.resize(64);
      store_be<u16>(&data[6], 1 << kPhysicalBlockExponent);
      store_be<u32>(&data[8], kMostTransferBlocks);
      store_be<u32>(&data[20], kMostUnmapBlocks);
      store_be<u32>(&data[24], kMostUnmapDescriptors);
      store_be<u32>(&data[28], 1 << kPhysicalBlockExponent);
      data[32] = 0x80;                             // Unmap granularity alignment valid: 0.
      store_be<u64>(&data[36], kMostUnmapBlocks);  // WRITE SAME.
      break;
    case 0xB1:  // Block device characteristics.
      data.resize(64);
      store_be<u16>(&data[4], 1);  // Not rotating.
      break;
    default:  // 0xB2: logical block provisioning (SBC-3 6.5.4).
      data.resize(8);
      data[5] = 0x80 | 0x40 | 0x20 |
                0x04;  // UNMAP, WRITE SAME (16) and (10) with UNMAP; unmapped blocks read as zero.
      data[6] = 0x02;  // Thin.
      break;
  }
}

ScsiResult ScsiDisk::mode_sense(const ScsiCommand& command) {
  const auto cdb = command.cdb;
  const u8 control = cdb[2] >> 6, page = cdb[2] & 0x3F, subpage = cdb[3];
  if (control == 3) return scsi::kSavingNotSupported;
  if (subpage != 0 && subpage != 0xFF) return scsi::kInvalidField;
  const bool changeable = control == 1;

  std::vector<u8> mode_pages;
  if (page == 0x08 || page == 0x3F) {  // Caching.
    std::array<u8, 20> caching{0x08, 18};
    if (!changeable) caching[2] = 0x04;  // WCE: durable at SYNCHRONIZE CACHE.
    mode_pages.insert(mode_pages.end(), caching.begin(), caching.end());
  }
  if (page == 0x0A || page == 0x3F) {  // Control.
    std::array<u8, 12> mode{0x0A, 10};
    if (!changeable) mode[3] = 0x10;  // Commands may be reordered.
    mode_pages.insert(mode_pages.end(), mode.begin(), mode.end());
  }
  if (mode_pages.empty()) return scsi::kInvalidField;

  constexpr u8 kDpoFua = 0x10;
  std::array<u8, 8> descriptor{};
  store_be<u32>(descriptor.data(), static_cast<u32>(std::min<u64>(blocks_, 0xFFFFFFFF)));
  store_be<u32>(&descriptor[4], kBlock);
  const bool without_descriptors = cdb[1] & 0x08;
  return reply_mode(command, kDpoFua, std::span(descriptor).first(without_descriptors ? 0 : 8), mode_pages);
}

ScsiResult ScsiDisk::read_capacity_10(const ScsiCommand& command) {
  if (load_be<u32>(&command.cdb[2]) || (command.cdb[8] & 1)) return scsi::kInvalidField;
  u8 data[8];
  store_be<u32>(data, static_cast<u32>(std::min<u64>(blocks_ - 1, 0xFFFFFFFF)));
  store_be<u32>(data + 4, kBlock);
  return reply(data, sizeof(data), command.buffer);
}

ScsiResult ScsiDisk::service_action_in_16(const ScsiCommand& command) {
  if ((command.cdb[1] & 0x1F) != kReadCapacity16Action) return scsi::kInvalidField;
  u8 data[32] = {};
  store_be<u64>(data, blocks_ - 1);
  store_be<u32>(data + 8, kBlock);
  data[13] = kPhysicalBlockExponent;
  data[14] = 0x80 | 0x40;  // Thin provisioning; unmapped blocks read as zero.
  return reply(data, load_be<u32>(&command.cdb[10]), command.buffer);
}

ScsiResult ScsiDisk::read(const ScsiCommand& command) {
  const Range range = command.range();
  if (command.cdb.size() > 6 && command.cdb[1] & kWithProtection) return scsi::kInvalidField;
  if (range.count > kMostTransferBlocks) return scsi::kInvalidField;
  if (!contains(range)) return scsi::kOutOfRange;
  return reply_from(*device_, range.block * kBlock, range.count * kBlock, command);
}

ScsiResult ScsiDisk::write(const ScsiCommand& command) {
  const bool six = command.cdb.size() == 6;
  if (!six && command.cdb[1] & kWithProtection) return scsi::kInvalidField;
  return write(command, !six && command.cdb[1] & kFua);
}

ScsiResult ScsiDisk::write_and_verify(const ScsiCommand& command) {
  if (command.cdb[1] & kWithComparison) return scsi::kInvalidField;
  return write(command, true);
}

ScsiResult ScsiDisk::write(const ScsiCommand& command, bool durable) {
  const Range range = command.range();
  if (range.count > kMostTransferBlocks) return scsi::kInvalidField;
  if (!contains(range)) return scsi::kOutOfRange;
  u64 left = range.count * kBlock;
  // Never write what the initiator did not send.
  if (command.buffer.out_length() < left) return scsi::kDataPhaseError;
  for (u64 offset = range.block * kBlock; left > 0;) {
    const auto chunk = command.scratch.first(std::min<u64>(left, command.scratch.size()));
    if (!command.buffer.fetch(chunk)) return scsi::kDataPhaseError;
    if (const auto error = device_->write(offset, chunk)) return failure(error, true);
    offset += chunk.size();
    left -= chunk.size();
  }
  return durable ? flush() : ScsiResult{};
}

ScsiResult ScsiDisk::verify(const ScsiCommand& command) {
  if (command.cdb[1] & kWithComparison) return scsi::kInvalidField;
  return contains(command.range()) ? ScsiResult{} : scsi::kOutOfRange;
}

ScsiResult ScsiDisk::synchronize_cache(const ScsiCommand& command) {
  return contains(command.range()) ? flush() : scsi::kOutOfRange;
}

ScsiResult ScsiDisk::flush() { return failure(device_->flush(), true); }

ScsiResult ScsiDisk::write_same(const ScsiCommand& command) {
  const auto cdb = command.cdb;
  Range range = command.range();
  const bool unmap = cdb[1] & 0x08, no_data = cdb.size() == 16 && (cdb[1] & 0x01);
  if (cdb[1] & 0xF6) return scsi::kInvalidField;  // Protection, anchor, old address patterns.
  if (range.count == 0) range.count = blocks_ - std::min(blocks_, range.block);  // To the end of the disk.
  if (!contains(range)) return scsi::kOutOfRange;
  if (range.count > kMostUnmapBlocks) return scsi::kInvalidField;
  u8 pattern[kBlock] = {};
  if (!no_data && (command.buffer.out_length() < kBlock || !command.buffer.fetch(pattern)))
    return scsi::kDataPhaseError;
  const u64 offset = range.block * kBlock, length = range.count * kBlock;
  const bool zero = std::ranges::all_of(pattern, [](u8 byte) { return byte == 0; });
  // UNMAP permits deallocation only where that reads back as the pattern.
  if (unmap && zero) return failure(device_->discard(offset, length), true);
  const auto fill = command.scratch.first(std::min<u64>(command.scratch.size() / kBlock * kBlock, length));
  for (u64 i = 0; i < fill.size(); i += kBlock)
    std::ranges::copy(pattern, fill.begin() + static_cast<long>(i));
  for (u64 done = 0; done < length;) {
    const auto chunk = fill.first(std::min<u64>(length - done, fill.size()));
    if (const auto error = device_->write(offset + done, chunk)) return failure(error, true);
    done += chunk.size();
  }
  return {};
}

ScsiResult ScsiDisk::unmap(const ScsiCommand& command) {
  const auto cdb = command.cdb;
  if (cdb[1] & 1) return scsi::kInvalidField;  // Anchor.
  const u64 length = load_be<u16>(&cdb[7]);
  if (length == 0) return {};
  if (length < 8) return scsi::kParameterLength;
  std::vector<u8> list(length);
  if (command.buffer.out_length() < length || !command.buffer.fetch(list)) return scsi::kDataPhaseError;
  const u64 descriptors = load_be<u16>(&list[2]) / 16;
  if (8 + descriptors * 16 > length) return scsi::kParameterLength;
  if (descriptors > kMostUnmapDescriptors) return scsi::kInvalidParameter;
  // Everything is checked before anything is unmapped.
  std::vector<Range> ranges;
  u64 total = 0;
  for (u64 i = 0; i < descriptors; i++) {
    const Range range{load_be<u64>(&list[8 + i * 16]), load_be<u32>(&list[16 + i * 16])};
    if (!contains(range)) return scsi::kOutOfRange;
    total += range.count;
    ranges.push_back(range);
  }
  if (total > kMostUnmapBlocks) return scsi::kInvalidParameter;
  for (const Range& range : ranges)
    if (const auto error = device_->discard(range.block * kBlock, range.count * kBlock))
      return failure(error, true);
  return {};
}

}  // namespace baton::vios
