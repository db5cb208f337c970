// SPDX-License-Identifier: Apache-2.0
#include "vios/scsi_unit.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstdio>

namespace baton::vios {
namespace {

constexpr std::string_view kVendor = "AIX";

/// CDB length by group (SPC-4 4.2.5.1); 0: vendor-specific, or reserved.
constexpr std::size_t cdb_length(u8 opcode) {
  constexpr std::size_t kByGroup[8] = {6, 10, 10, 0, 16, 12, 0, 0};
  return kByGroup[opcode >> 5];
}

u64 hash(std::string_view text) {  // FNV-1a: the same on every system that sees the unit.
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

ScsiCommand::Range ScsiCommand::range() const {
  switch (cdb.size()) {
    case 6:
      return {load_be<u32>(cdb.data()) & 0x1FFFFF, cdb[4] ? cdb[4] : u64{256}};
    case 10:
      return {load_be<u32>(&cdb[2]), load_be<u16>(&cdb[7])};
    case 12:
      return {load_be<u32>(&cdb[2]), load_be<u32>(&cdb[6])};
    default:
      return {load_be<u64>(&cdb[2]), load_be<u32>(&cdb[10])};
  }
}

ScsiUnit::ScsiUnit(Identity identity)
    : identity_(std::move(identity)),
      number_(u64{3} << 60 | hash(identity_.unique_id) >> 4) {}  // NAA 3: locally assigned.

std::span<const ScsiUnit::CommandRow> ScsiUnit::common_commands() {
  static constexpr CommandRow kRows[] = {
      {0x12, on<&ScsiUnit::inquiry>, true},
      {0x03, on<&ScsiUnit::request_sense>, true},
      {0xA0, on<&ScsiUnit::report_luns>},
      // RESERVE and RELEASE: the initiator is the only one at this adapter; other systems are held off by the
      // LUN's own reservation.
      {0x16, on<&ScsiUnit::nothing>},
      {0x17, on<&ScsiUnit::nothing>},
      {0x56, on<&ScsiUnit::nothing>},
      {0x57, on<&ScsiUnit::nothing>},
  };
  return kRows;
}

ScsiResult ScsiUnit::execute(std::span<const u8> cdb, ScsiBuffer& buffer, std::span<u8> scratch) {
  if (cdb.empty()) return scsi::kInvalidOpcode;
  const u8 opcode = cdb[0];
  const std::size_t length = cdb_length(opcode);
  if (length == 0 || length > cdb.size()) return scsi::kInvalidOpcode;
  const CommandRow* row = nullptr;
  for (const auto rows : {commands(), common_commands()}) {
    const auto found = std::ranges::find(rows, opcode, &CommandRow::opcode);
    if (found != rows.end()) row = &*found;
  }
  if (!row || !row->exempt) {
    if (const auto sense = take_attention()) return {scsi::kCheckCondition, *sense};
  }
  if (!row) return scsi::kInvalidOpcode;
  return row->run(*this, {cdb.first(length), buffer, scratch});
}

std::optional<Sense> ScsiUnit::take_attention() {
  for (u8 pending = attentions_; pending;) {
    const u8 first = std::bit_floor(static_cast<u8>(pending & -pending));
    if (!attentions_.compare_exchange_weak(pending, pending & ~first)) continue;
    // Bus device reset function occurred; not ready to ready change, medium may have changed.
    return first == kWasReset ? Sense{0x06, 0x29, 0x03} : Sense{0x06, 0x28, 0x00};
  }
  return {};
}

ScsiResult ScsiUnit::reply(std::span<const u8> data, u64 allocation, ScsiBuffer& buffer) {
  const auto cut = data.first(std::min({u64{data.size()}, allocation, buffer.in_length()}));
  return buffer.store(cut) ? ScsiResult{} : scsi::kDataPhaseError;
}

ScsiResult ScsiUnit::reply_mode(const ScsiCommand& command, u8 device_specific,
                                std::span<const u8> descriptors, std::span<const u8> mode_pages) {
  const bool ten = command.cdb.size() == 10;
  std::vector<u8> data(ten ? 8 : 4);
  data[ten ? 3 : 2] = device_specific;
  data[ten ? 7 : 3] = static_cast<u8>(descriptors.size());
  data.insert(data.end(), descriptors.begin(), descriptors.end());
  data.insert(data.end(), mode_pages.begin(), mode_pages.end());
  if (ten)
    store_be<u16>(data.data(), static_cast<u16>(data.size() - 2));
  else
    data[0] = static_cast<u8>(data.size() - 1);
  return reply(data, ten ? load_be<u16>(&command.cdb[7]) : command.cdb[4], command.buffer);
}

ScsiResult ScsiUnit::request_sense(const ScsiCommand& command) {
  if (command.cdb[1] & 1) return scsi::kInvalidField;  // Descriptor format.
  u8 sense[Sense::kBytes];
  take_attention().value_or(Sense{}).store(sense);
  return reply(sense, command.cdb[4], command.buffer);
}

ScsiResult ScsiUnit::report_luns(const ScsiCommand& command) {
  // Asked of one target: it has LUN 0 and no more.
  u8 list[16] = {};
  store_be<u32>(list, 8);
  if (command.cdb[2] > 2) return scsi::kInvalidField;
  return reply(list, load_be<u32>(&command.cdb[6]), command.buffer);
}

ScsiResult ScsiUnit::inquiry(const ScsiCommand& command) {
  const auto cdb = command.cdb;
  const u64 allocation = load_be<u16>(&cdb[3]);
  if (cdb[1] & 1) return vital_product_data(cdb[2], allocation, command.buffer);
  if (cdb[1] || cdb[2]) return scsi::kInvalidField;
  std::array<u8, 96> data{};
  data[0] = identity_.type;
  data[1] = identity_.removable ? 0x80 : 0;
  data[2] = 0x05;  // SPC-3: from there on clients look for thin provisioning.
  data[3] = 0x12;  // Hierarchical LUNs, response format 2.
  data[4] = data.size() - 5;
  data[7] = 0x02;  // Command queueing.
  put_text(std::span(data).subspan(8, 8), kVendor);
  put_text(std::span(data).subspan(16, 16), identity_.product);
  put_text(std::span(data).subspan(32, 4), "0001");
  return reply(data, allocation, command.buffer);
}

ScsiResult ScsiUnit::vital_product_data(u8 page, u64 allocation, ScsiBuffer& buffer) {
  constexpr u8 kSupported = 0x00, kSerialNumber = 0x80, kIdentification = 0x83;
  std::vector<u8> data(4);
  data[0] = identity_.type;
  const auto more = pages();
  if (page == kSupported) {
    data.insert(data.end(), {kSupported, kSerialNumber, kIdentification});
    data.insert(data.end(), more.begin(), more.end());
  } else if (page == kSerialNumber) {
    char serial[17];
    std::snprintf(serial, sizeof(serial), "%016llX", static_cast<unsigned long long>(number_));
    data.insert(data.end(), serial, serial + 16);
  } else if (page == kIdentification) {
    data.insert(data.end(), {0x01, 0x03, 0x00, 0x08});  // Binary NAA identifier of the logical unit.
    data.resize(data.size() + 8);
    store_be<u64>(&data[data.size() - 8], number_);
    std::array<u8, 24> head{};
    put_text(std::span(head).first(8), kVendor);
    put_text(std::span(head).subspan(8), identity_.product);
    const auto id = std::string_view(identity_.unique_id).substr(0, 0xFF - head.size());
    data.insert(data.end(),
                {0x02, 0x01, 0x00, static_cast<u8>(head.size() + id.size())});  // Vendor and text.
    data.insert(data.end(), head.begin(), head.end());
    data.insert(data.end(), id.begin(), id.end());
  } else if (std::ranges::find(more, page) != more.end()) {
    add_page(page, data);
  } else {
    return scsi::kInvalidField;
  }
  data[1] = page;
  store_be<u16>(&data[2], static_cast<u16>(data.size() - 4));
  return reply(data, allocation, buffer);
}

}  // namespace baton::vios
