// SPDX-License-Identifier: Apache-2.0
#include "vios/scsi_disk.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>

namespace baton::vios {
namespace {

constexpr u64 kBlock = 512;
constexpr u64 kMostTransferBlocks = 32768;  // 16 MB: Block Limits, and enforced.
constexpr u64 kMostUnmapBlocks = 1 << 21;   // 1 GB: bounds the time of one command on a host without holes.
constexpr u64 kMostUnmapDescriptors = 255;
constexpr u8 kPhysicalBlockExponent = 3;  // 4 KB: the host's page.

enum Opcode : u8 {
  kTestUnitReady = 0x00,
  kRequestSense = 0x03,
  kRead6 = 0x08,
  kWrite6 = 0x0A,
  kInquiry = 0x12,
  kReserve6 = 0x16,
  kRelease6 = 0x17,
  kModeSense6 = 0x1A,
  kStartStopUnit = 0x1B,
  kReadCapacity10 = 0x25,
  kRead10 = 0x28,
  kWrite10 = 0x2A,
  kWriteVerify10 = 0x2E,
  kVerify10 = 0x2F,
  kSynchronizeCache10 = 0x35,
  kWriteSame10 = 0x41,
  kUnmap = 0x42,
  kReserve10 = 0x56,
  kRelease10 = 0x57,
  kModeSense10 = 0x5A,
  kRead16 = 0x88,
  kWrite16 = 0x8A,
  kVerify16 = 0x8F,
  kSynchronizeCache16 = 0x91,
  kWriteSame16 = 0x93,
  kServiceActionIn16 = 0x9E,
  kReportLuns = 0xA0,
  kRead12 = 0xA8,
  kWrite12 = 0xAA,
  kVerify12 = 0xAF,
};

constexpr u8 kReadCapacity16Action = 0x10;
constexpr u8 kFua = 0x08;  // READ and WRITE 10, 12, 16, byte 1.

/// CDB length by group (SPC-4 4.2.5.1); 0: vendor-specific, or reserved.
constexpr std::size_t cdb_length(u8 opcode) {
  constexpr std::size_t kByGroup[8] = {6, 10, 10, 0, 16, 12, 0, 0};
  return kByGroup[opcode >> 5];
}

/// What the host said, in SCSI's words.
ScsiResult failure(devices::BlockResult error, bool writing) {
  switch (error) {
    case 0:
      return {};
    case EROFS:  // Another system has the LUN.
      return {scsi::kReservationConflict, {}};
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return check_condition(0x07, 0x27,
                             0x07);  // Data protect: space allocation failed, write protect (SBC-3 4.7).
    case EINVAL:
      return scsi::kOutOfRange;
    case ENODEV:
    case ENXIO:
      return check_condition(0x02, 0x04, 0x03);  // Not ready, manual intervention required.
    default:
      return writing ? check_condition(0x03, 0x0C)
                     : check_condition(0x03, 0x11);  // Write, unrecovered read error.
  }
}

/// Sends what fits of a parameter list: the initiator's allocation length cuts it, and so does its buffer.
ScsiResult reply(std::span<const u8> data, u64 allocation, ScsiBuffer& buffer) {
  const auto cut = data.first(std::min({u64{data.size()}, allocation, buffer.in_length()}));
  return buffer.store(cut) ? ScsiResult{} : scsi::kDataPhaseError;
}

u64 hash(std::string_view text) {  // FNV-1a: the same on every system that sees the LUN.
  u64 value = 0xCBF29CE484222325;
  for (const char c : text) value = (value ^ static_cast<u8>(c)) * 0x100000001B3;
  return value;
}

void put_text(std::span<u8> field, std::string_view text) {
  std::ranges::fill(field, u8{' '});
  std::ranges::copy(text.substr(0, field.size()), field.begin());
}

}  // namespace

void Sense::store(std::span<u8, kBytes> out) const {
  std::ranges::fill(out, u8{0});
  out[0] = 0x70;
  out[2] = key;
  out[7] = kBytes - 8;
  out[12] = asc;
  out[13] = ascq;
}

ScsiDisk::ScsiDisk(std::shared_ptr<devices::BlockDevice> device)
    : device_(std::move(device)),
      blocks_(device_->size() / kBlock),
      unique_id_(device_->unique_id()),
      number_(u64{3} << 60 | hash(unique_id_) >> 4) {}  // NAA 3: locally assigned.

ScsiResult ScsiDisk::execute(std::span<const u8> cdb, ScsiBuffer& buffer, std::span<u8> scratch) {
  if (cdb.empty()) return scsi::kInvalidOpcode;
  const u8 opcode = cdb[0];
  const std::size_t length = cdb_length(opcode);
  if (length == 0 || length > cdb.size()) return scsi::kInvalidOpcode;
  cdb = cdb.first(length);

  // INQUIRY and REQUEST SENSE are exempt (SAM-5 5.14).
  if (opcode != kInquiry && opcode != kRequestSense && unit_attention_.exchange(false))
    return check_condition(0x06, 0x29, 0x03);  // Bus device reset function occurred.

  // The address and the count stand where the length of the CDB says.
  Range range;
  if (length == 6) {
    range = {load_be<u32>(cdb.data()) & 0x1FFFFF, cdb[4]};
    if (range.count == 0) range.count = 256;
  } else if (length == 10) {
    range = {load_be<u32>(&cdb[2]), load_be<u16>(&cdb[7])};
  } else if (length == 12) {
    range = {load_be<u32>(&cdb[2]), load_be<u32>(&cdb[6])};
  } else {
    range = {load_be<u64>(&cdb[2]), load_be<u32>(&cdb[10])};
  }

  switch (opcode) {
    case kTestUnitReady:
    case kStartStopUnit:
    case kReserve6:  // The initiator is the only one at this adapter; other systems are held off by the LUN's
    case kRelease6:  // own reservation.
    case kReserve10:
    case kRelease10:
      return {};
    case kRequestSense: {
      u8 sense[Sense::kBytes];
      Sense pending;
      if (unit_attention_.exchange(false)) pending = {0x06, 0x29, 0x03};
      pending.store(sense);
      if (cdb[1] & 1) return scsi::kInvalidField;  // Descriptor format.
      return reply(sense, cdb[4], buffer);
    }
    case kInquiry:
      return inquiry(cdb, buffer);
    case kModeSense6:
    case kModeSense10:
      return mode_sense(cdb, buffer);
    case kReadCapacity10:
      return read_capacity_10(cdb, buffer);
    case kServiceActionIn16:
      if ((cdb[1] & 0x1F) != kReadCapacity16Action) return scsi::kInvalidField;
      return read_capacity_16(cdb, buffer);
    case kReportLuns: {
      // Asked of one target: it has LUN 0 and no more.
      u8 list[16] = {};
      store_be<u32>(list, 8);
      if (cdb[2] > 2) return scsi::kInvalidField;
      return reply(list, load_be<u32>(&cdb[6]), buffer);
    }
    case kRead6:
    case kRead10:
    case kRead12:
    case kRead16:
      if (length > 6 && cdb[1] >> 5) return scsi::kInvalidField;  // Protection information.
      return read(range, buffer, scratch);
    case kWrite6:
    case kWrite10:
    case kWrite12:
    case kWrite16:
      if (length > 6 && cdb[1] >> 5) return scsi::kInvalidField;
      return write(range, length > 6 && (cdb[1] & kFua), buffer, scratch);
    case kWriteVerify10:
      if (cdb[1] & 0xE6) return scsi::kInvalidField;  // With a comparison.
      return write(range, true, buffer, scratch);
    case kVerify10:
    case kVerify12:
    case kVerify16:
      if (cdb[1] & 0xE6) return scsi::kInvalidField;
      return contains(range) ? ScsiResult{} : scsi::kOutOfRange;
    case kSynchronizeCache10:
    case kSynchronizeCache16:
      if (!contains(range)) return scsi::kOutOfRange;
      return synchronize();
    case kWriteSame10:
    case kWriteSame16:
      return write_same(cdb, range, buffer, scratch);
    case kUnmap:
      return unmap(cdb, buffer);
    default:
      return scsi::kInvalidOpcode;
  }
}

ScsiResult ScsiDisk::inquiry(std::span<const u8> cdb, ScsiBuffer& buffer) {
  const u64 allocation = load_be<u16>(&cdb[3]);
  if (cdb[1] & 1) return vital_product_data(cdb[2], allocation, buffer);
  if (cdb[1] || cdb[2]) return scsi::kInvalidField;
  std::array<u8, 96> data{};
  data[2] = 0x05;  // SPC-3: from there on clients look for thin provisioning.
  data[3] = 0x12;  // Hierarchical LUNs, response format 2.
  data[4] = data.size() - 5;
  data[7] = 0x02;  // Command queueing.
  put_text(std::span(data).subspan(8, 8), "AIX");
  put_text(std::span(data).subspan(16, 16), "VDASD");
  put_text(std::span(data).subspan(32, 4), "0001");
  return reply(data, allocation, buffer);
}

ScsiResult ScsiDisk::vital_product_data(u8 page, u64 allocation, ScsiBuffer& buffer) {
  std::vector<u8> data(4);
  const auto text = [&](std::string_view what) { data.insert(data.end(), what.begin(), what.end()); };
  char serial[17];
  std::snprintf(serial, sizeof(serial), "%016llX", static_cast<unsigned long long>(number_));
  switch (page) {
    case 0x00:
      data.insert(data.end(), {0x00, 0x80, 0x83, 0xB0, 0xB1, 0xB2});
      break;
    case 0x80:
      text(serial);
      break;
    case 0x83: {
      data.insert(data.end(), {0x01, 0x03, 0x00, 0x08});  // Binary NAA identifier of the logical unit.
      data.resize(data.size() + 8);
      store_be<u64>(&data[data.size() - 8], number_);
      const std::string t10 = "AIX     VDASD           " + unique_id_;
      data.insert(data.end(), {0x02, 0x01, 0x00, static_cast<u8>(t10.size())});
      text(t10);
      break;
    }
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
    case 0xB2:  // Logical block provisioning (SBC-3 6.5.4).
      data.resize(8);
      data[5] = 0x80 | 0x40 | 0x20 |
                0x04;  // UNMAP, WRITE SAME (16) and (10) with UNMAP; unmapped blocks read as zero.
      data[6] = 0x02;  // Thin.
      break;
    default:
      return scsi::kInvalidField;
  }
  data[1] = page;
  store_be<u16>(&data[2], static_cast<u16>(data.size() - 4));
  return reply(data, allocation, buffer);
}

ScsiResult ScsiDisk::mode_sense(std::span<const u8> cdb, ScsiBuffer& buffer) {
  const bool ten = cdb[0] == kModeSense10;
  const u8 control = cdb[2] >> 6, page = cdb[2] & 0x3F, subpage = cdb[3];
  if (control == 3) return scsi::kSavingNotSupported;
  if (subpage != 0 && subpage != 0xFF) return scsi::kInvalidField;
  const bool changeable = control == 1;

  std::vector<u8> pages;
  if (page == 0x08 || page == 0x3F) {  // Caching.
    std::array<u8, 20> caching{0x08, 18};
    if (!changeable) caching[2] = 0x04;  // WCE: durable at SYNCHRONIZE CACHE.
    pages.insert(pages.end(), caching.begin(), caching.end());
  }
  if (page == 0x0A || page == 0x3F) {  // Control.
    std::array<u8, 12> mode{0x0A, 10};
    if (!changeable) mode[3] = 0x10;  // Commands may be reordered.
    pages.insert(pages.end(), mode.begin(), mode.end());
  }
  if (pages.empty()) return scsi::kInvalidField;

  std::vector<u8> data(ten ? 8 : 4);
  constexpr u8 kDpoFua = 0x10;
  data[ten ? 3 : 2] = kDpoFua;
  if (!(cdb[1] & 0x08)) {  // Block descriptor.
    std::array<u8, 8> descriptor{};
    store_be<u32>(descriptor.data(), static_cast<u32>(std::min<u64>(blocks_, 0xFFFFFFFF)));
    store_be<u32>(&descriptor[4], kBlock);
    data[ten ? 7 : 3] = descriptor.size();
    data.insert(data.end(), descriptor.begin(), descriptor.end());
  }
  data.insert(data.end(), pages.begin(), pages.end());
  if (ten)
    store_be<u16>(data.data(), static_cast<u16>(data.size() - 2));
  else
    data[0] = static_cast<u8>(data.size() - 1);
  return reply(data, ten ? load_be<u16>(&cdb[7]) : cdb[4], buffer);
}

ScsiResult ScsiDisk::read_capacity_10(std::span<const u8> cdb, ScsiBuffer& buffer) {
  if (load_be<u32>(&cdb[2]) || (cdb[8] & 1)) return scsi::kInvalidField;
  u8 data[8];
  store_be<u32>(data, static_cast<u32>(std::min<u64>(blocks_ - 1, 0xFFFFFFFF)));
  store_be<u32>(data + 4, kBlock);
  return reply(data, sizeof(data), buffer);
}

ScsiResult ScsiDisk::read_capacity_16(std::span<const u8> cdb, ScsiBuffer& buffer) {
  u8 data[32] = {};
  store_be<u64>(data, blocks_ - 1);
  store_be<u32>(data + 8, kBlock);
  data[13] = kPhysicalBlockExponent;
  data[14] = 0x80 | 0x40;  // Thin provisioning; unmapped blocks read as zero.
  return reply(data, load_be<u32>(&cdb[10]), buffer);
}

ScsiResult ScsiDisk::read(Range range, ScsiBuffer& buffer, std::span<u8> scratch) {
  if (range.count > kMostTransferBlocks) return scsi::kInvalidField;
  if (!contains(range)) return scsi::kOutOfRange;
  u64 offset = range.block * kBlock;
  for (u64 left = std::min(range.count * kBlock, buffer.in_length()); left > 0;) {
    const auto chunk = scratch.first(std::min<u64>(left, scratch.size()));
    if (const auto error = device_->read(offset, chunk)) return failure(error, false);
    if (!buffer.store(chunk)) return scsi::kDataPhaseError;
    offset += chunk.size();
    left -= chunk.size();
  }
  return {};
}

ScsiResult ScsiDisk::write(Range range, bool durable, ScsiBuffer& buffer, std::span<u8> scratch) {
  if (range.count > kMostTransferBlocks) return scsi::kInvalidField;
  if (!contains(range)) return scsi::kOutOfRange;
  u64 left = range.count * kBlock;
  // Never write what the initiator did not send.
  if (buffer.out_length() < left) return scsi::kDataPhaseError;
  for (u64 offset = range.block * kBlock; left > 0;) {
    const auto chunk = scratch.first(std::min<u64>(left, scratch.size()));
    if (!buffer.fetch(chunk)) return scsi::kDataPhaseError;
    if (const auto error = device_->write(offset, chunk)) return failure(error, true);
    offset += chunk.size();
    left -= chunk.size();
  }
  return durable ? synchronize() : ScsiResult{};
}

ScsiResult ScsiDisk::synchronize() { return failure(device_->flush(), true); }

ScsiResult ScsiDisk::write_same(std::span<const u8> cdb, Range range, ScsiBuffer& buffer,
                                std::span<u8> scratch) {
  const bool unmap = cdb[1] & 0x08, no_data = cdb.size() == 16 && (cdb[1] & 0x01);
  if (cdb[1] & 0xF6) return scsi::kInvalidField;  // Protection, anchor, old address patterns.
  if (range.count == 0) range.count = blocks_ - std::min(blocks_, range.block);  // To the end of the disk.
  if (!contains(range)) return scsi::kOutOfRange;
  if (range.count > kMostUnmapBlocks) return scsi::kInvalidField;
  u8 pattern[kBlock] = {};
  if (!no_data && (buffer.out_length() < kBlock || !buffer.fetch(pattern))) return scsi::kDataPhaseError;
  const u64 offset = range.block * kBlock, length = range.count * kBlock;
  const bool zero = std::ranges::all_of(pattern, [](u8 byte) { return byte == 0; });
  // UNMAP permits deallocation only where that reads back as the pattern.
  if (unmap && zero) return failure(device_->discard(offset, length), true);
  const auto fill = scratch.first(std::min<u64>(scratch.size() / kBlock * kBlock, length));
  for (u64 i = 0; i < fill.size(); i += kBlock)
    std::ranges::copy(pattern, fill.begin() + static_cast<long>(i));
  for (u64 done = 0; done < length;) {
    const auto chunk = fill.first(std::min<u64>(length - done, fill.size()));
    if (const auto error = device_->write(offset + done, chunk)) return failure(error, true);
    done += chunk.size();
  }
  return {};
}

ScsiResult ScsiDisk::unmap(std::span<const u8> cdb, ScsiBuffer& buffer) {
  if (cdb[1] & 1) return scsi::kInvalidField;  // Anchor.
  const u64 length = load_be<u16>(&cdb[7]);
  if (length == 0) return {};
  if (length < 8) return scsi::kParameterLength;
  std::vector<u8> list(length);
  if (buffer.out_length() < length || !buffer.fetch(list)) return scsi::kDataPhaseError;
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
