// SPDX-License-Identifier: Apache-2.0
#include "app/demo/formats.h"

#include <zlib.h>

#include <algorithm>
#include <fstream>
#include <stdexcept>
#include <vector>

namespace baton::demo {
namespace {

constexpr std::size_t kEchoPayload = 12, kEchoCrc = 60, kDiskPayload = 24, kDiskCrc = 508;

u32 crc(std::span<const u8> data) {
  return static_cast<u32>(crc32(0, data.data(), static_cast<uInt>(data.size())));
}

u64 payload_word(u64 seq, u64 j) {
  u64 z = (seq * 64 + j + 1) * 0x9E3779B97F4A7C15;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

bool payload_matches(std::span<const u8> payload, u64 seq) {
  for (std::size_t at = 0; at < payload.size(); at += 8) {
    u8 word[8];
    store_be(word, payload_word(seq, at / 8));
    if (!std::equal(word, word + std::min<std::size_t>(8, payload.size() - at), payload.data() + at))
      return false;
  }
  return true;
}

EchoRecord echo_record(const char* magic, u64 seq) {
  EchoRecord record{};
  std::copy_n(magic, 4, record.begin());
  store_be(&record[4], seq);
  for (std::size_t at = kEchoPayload; at < kEchoCrc; at += 8)
    store_be(&record[at], payload_word(seq, (at - kEchoPayload) / 8));
  store_be(&record[kEchoCrc], crc({record.data(), kEchoCrc}));
  return record;
}

bool disk_record_good(std::span<const u8> record, u64 seq) {
  return std::equal(record.begin(), record.begin() + 8, "BTNDISK1") && load_be<u64>(&record[8]) == seq &&
         load_be<u32>(&record[kDiskCrc]) == crc(record.first(kDiskCrc)) &&
         payload_matches(record.subspan(kDiskPayload, kDiskCrc - kDiskPayload), seq);
}

}  // namespace

EchoRecord echo_request(u64 seq) { return echo_record("BTN1", seq); }

std::string echo_fault(std::span<const u8, kEchoSize> answer, u64 seq) {
  if (std::ranges::equal(answer, echo_record("BTN2", seq))) return {};
  const std::string number = "record " + std::to_string(seq);
  if (load_be<u32>(&answer[kEchoCrc]) != crc(answer.first<kEchoCrc>()))
    return "the answer to " + number + " is damaged";
  if (std::equal(answer.begin(), answer.begin() + 4, "BTNE")) {
    static constexpr const char* kFaults[] = {"an unknown fault", "a wrong magic", "a wrong checksum",
                                              "a wrong order", "a wrong payload"};
    const u32 code = load_be<u32>(&answer[20]);
    return "the partition found " + std::string(kFaults[code < std::size(kFaults) ? code : 0]) + " in " +
           number + "; it expected number " + std::to_string(load_be<u64>(&answer[4]));
  }
  return "the answer to " + number + " is that to record " + std::to_string(load_be<u64>(&answer[4]));
}

DiskCheck check_disk_records(const std::string& path, u64 acknowledged) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("The record file " + path + " cannot be read.");
  DiskCheck out;
  std::vector<u8> record(kDiskRecordSize);
  for (u64 seq = 1; seq <= acknowledged; ++seq) {
    if (file.read(reinterpret_cast<char*>(record.data()), kDiskRecordSize) && disk_record_good(record, seq)) {
      ++out.verified;
    } else {
      if (!out.lost++) out.first_lost = seq;
    }
  }
  return out;
}

u64 compute_hash(u64 steps) {
  constexpr u64 kBlock = 100000;
  u64 h = 0x4241544F4E000001;
  double f = 0;
  for (u64 count = 1; count <= steps; ++count) {
    h ^= h << 13;
    h ^= h >> 7;
    h ^= h << 17;
    h += count;
    // A half is exact, so that a fused operation would round no differently.
    f = f * 0.5 + static_cast<double>(static_cast<i32>(h >> 33));
    if (count % kBlock == 0) h ^= std::bit_cast<u64>(f);
  }
  return h;
}

}  // namespace baton::demo
