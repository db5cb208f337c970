// SPDX-License-Identifier: Apache-2.0
// A disk in memory with faults to order, and a client of the virtual SCSI server that speaks its protocol by
// hand.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "cpu/memory.h"
#include "devices/block.h"
#include "hypervisor/tce.h"
#include "vios/optical_drive.h"
#include "vios/scsi_disk.h"
#include "vios/vscsi_server.h"

namespace baton::vios::testing {

class MemoryDisk final : public devices::BlockDevice {
 public:
  explicit MemoryDisk(u64 bytes, std::string id = "MEMORYDISK0") : data_(bytes), id_(std::move(id)) {}
  u64 size() const override { return data_.size(); }
  std::string unique_id() const override { return id_; }
  devices::BlockResult read(u64 offset, std::span<u8> out) override {
    wait();
    if (const int error = read_error) return error;
    std::lock_guard guard(lock_);
    std::copy_n(data_.begin() + static_cast<long>(offset), out.size(), out.begin());
    return 0;
  }
  devices::BlockResult write(u64 offset, std::span<const u8> data) override {
    wait();
    if (const int error = write_error) return error;
    std::lock_guard guard(lock_);
    std::ranges::copy(data, data_.begin() + static_cast<long>(offset));
    writes++;
    return 0;
  }
  devices::BlockResult flush() override {
    flushes++;
    return flush_error;
  }
  devices::BlockResult discard(u64 offset, u64 length) override {
    if (const int error = write_error) return error;
    std::lock_guard guard(lock_);
    std::fill_n(data_.begin() + static_cast<long>(offset), length, u8{0});
    discarded += length;
    return 0;
  }
  devices::BlockResult reserve(const std::string&, std::string*) override { return 0; }
  void release() override {}

  std::vector<u8> at(u64 offset, u64 length) {
    std::lock_guard guard(lock_);
    return {data_.begin() + static_cast<long>(offset), data_.begin() + static_cast<long>(offset + length)};
  }
  void put(u64 offset, std::span<const u8> data) {
    std::lock_guard guard(lock_);
    std::ranges::copy(data, data_.begin() + static_cast<long>(offset));
  }
  /// While held, reads and writes do not return.
  void hold(bool on) {
    std::lock_guard guard(hold_lock_);
    held_ = on;
    hold_changed_.notify_all();
  }

  std::atomic<int> read_error{0}, write_error{0}, flush_error{0};
  std::atomic<u64> writes{0}, flushes{0}, discarded{0};
  std::atomic<int> waiting{0};

 private:
  void wait() {
    std::unique_lock guard(hold_lock_);
    waiting++;
    hold_changed_.wait(guard, [&] { return !held_; });
    waiting--;
  }
  std::vector<u8> data_;
  std::string id_;
  std::mutex lock_, hold_lock_;
  std::condition_variable hold_changed_;
  bool held_ = false;
};

/// What std::runtime_error says that `what` throws; empty: it throws none.
inline std::string failure(const std::function<void()>& what) {
  try {
    what();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

/// Memory of an initiator, all of it mapped.
class PlainBuffer final : public ScsiBuffer {
 public:
  explicit PlainBuffer(u64 room, std::vector<u8> out = {}) : out_(std::move(out)), room_(room) {}
  u64 out_length() const override { return out_.size(); }
  u64 in_length() const override { return room_; }
  bool fetch(std::span<u8> to) override {
    if (to.size() > out_.size() - at_) return false;
    std::copy_n(out_.begin() + static_cast<long>(at_), to.size(), to.begin());
    at_ += to.size();
    return true;
  }
  bool store(std::span<const u8> data) override {
    if (data.size() > room_ - in.size()) return false;
    in.insert(in.end(), data.begin(), data.end());
    return true;
  }
  std::vector<u8> in;

 private:
  std::vector<u8> out_;
  u64 at_ = 0, room_;
};

struct Response {
  u8 format = 0, status = 0;
  u16 length = 0;
  u64 tag = 0;
  std::vector<u8> iu;
  u8 scsi_status() const { return iu.at(19); }
  u8 flags() const { return iu.at(18); }
  u8 code() const { return iu.at(39); }
  u8 key() const { return iu.at(36 + 2); }
  u8 asc() const { return iu.at(36 + 12); }
  u8 ascq() const { return iu.at(36 + 13); }
};

/// Partition memory, its DMA window (identity mapped) and a disk at target 1.
class VscsiBench {
 public:
  static constexpr u64 kMemory = 16 << 20, kDisk = 8 << 20;
  static constexpr u64 kIus = 0x10000, kData = 0x100000, kTable = 0x80000;

  VscsiBench()
      : memory(kMemory),
        tce(0x10000002, memory, kMemory),
        disk(std::make_shared<MemoryDisk>(kDisk)),
        server(std::in_place, VscsiServer::Client{tce, [this](const auto& entry) { return deliver(entry); }},
               "vios1") {
    for (u64 page = 0; page < kMemory; page += 4096) tce.put(page, page | 3);
    server->map(1, std::make_shared<ScsiDisk>(disk));
  }
  ~VscsiBench() {
    disk->hold(false);
    server.reset();
  }

  bool deliver(const hypervisor::CrqEntry& entry) {
    std::lock_guard guard(lock_);
    if (refuse) return false;
    arrived_.push_back(entry);
    changed_.notify_all();
    return true;
  }
  std::optional<hypervisor::CrqEntry> next(int ms = 5000) {
    std::unique_lock guard(lock_);
    if (!changed_.wait_for(guard, std::chrono::milliseconds(ms), [&] { return !arrived_.empty(); }))
      return {};
    const auto entry = arrived_.front();
    arrived_.pop_front();
    return entry;
  }
  void send(u8 header, u8 format, u16 length, u64 low) {
    server->receive({u64{header} << 56 | u64{format} << 48 | length, low});
  }
  u64 put_iu(std::span<const u8> iu) {
    const u64 at = kIus + (next_iu_++ % 200) * 256;
    memory.write(at, iu);
    return at;
  }
  std::optional<Response> response(int ms = 5000) {
    const auto entry = next(ms);
    if (!entry) return {};
    Response answer;
    answer.format = entry->high >> 48;
    answer.status = entry->high >> 32;
    answer.length = static_cast<u16>(entry->high);
    answer.tag = entry->low;
    const auto found = sent_.find(answer.tag);
    if (found != sent_.end()) {
      answer.iu.resize(256);
      memory.read(found->second, answer.iu);
    }
    return answer;
  }
  u64 send_iu(u8 format, std::vector<u8> iu, u64 tag) {
    const u64 at = put_iu(iu);
    sent_[tag] = at;
    send(0x80, format, static_cast<u16>(iu.size()), at);
    return tag;
  }

  void connect() {
    server->client_registered();
    send(0xC0, 1, 0, 0);
    (void)next();
  }
  std::optional<Response> login(u32 iu_length = 256, u16 formats = 6) {
    std::vector<u8> iu(64);
    store_be<u64>(&iu[8], ++tag_);
    store_be<u32>(&iu[16], iu_length);
    store_be<u16>(&iu[24], formats);
    send_iu(1, iu, tag_);
    return response();
  }
  void start() {
    connect();
    (void)login();
  }

  struct Transfer {
    u64 ioba = 0;
    u32 length = 0;
    bool out = false;
  };
  static constexpr u64 kTarget1 = u64{0x8100} << 48;
  u64 submit(std::vector<u8> cdb, std::optional<Transfer> transfer = {}, u64 lun = kTarget1,
             u8 attribute = 0) {
    std::vector<u8> iu(48);
    iu[0] = 2;
    store_be<u64>(&iu[8], ++tag_);
    store_be<u64>(&iu[20], lun);
    iu[29] = attribute;
    cdb.resize(16);
    std::ranges::copy(cdb, iu.begin() + 32);
    if (transfer) {
      iu[5] = transfer->out ? 0x10 : 0x01;
      iu.resize(64);
      store_be<u64>(&iu[48], transfer->ioba);
      store_be<u32>(&iu[60], transfer->length);
    }
    return send_iu(1, iu, tag_);
  }
  Response command(std::vector<u8> cdb, std::optional<Transfer> transfer = {}, u64 lun = kTarget1) {
    submit(std::move(cdb), transfer, lun);
    return response().value();
  }
  std::vector<u8> data(u64 at, u64 length) {
    std::vector<u8> out(length);
    memory.read(at, out);
    return out;
  }

  cpu::Memory memory;
  hypervisor::TceTable tce;
  std::shared_ptr<MemoryDisk> disk;
  std::atomic<bool> refuse{false};
  u64 tag_ = 0x1000;

 private:
  std::mutex lock_;
  std::condition_variable changed_;
  std::deque<hypervisor::CrqEntry> arrived_;
  std::map<u64, u64> sent_;
  u64 next_iu_ = 0;

 public:
  std::optional<VscsiServer> server;
};

inline std::vector<u8> read10(u32 block, u16 count) {
  std::vector<u8> cdb(10);
  cdb[0] = 0x28;
  store_be<u32>(&cdb[2], block);
  store_be<u16>(&cdb[7], count);
  return cdb;
}
inline std::vector<u8> write10(u32 block, u16 count, bool fua = false) {
  auto cdb = read10(block, count);
  cdb[0] = 0x2A;
  cdb[1] = fua ? 0x08 : 0;
  return cdb;
}
inline std::vector<u8> pattern(std::size_t bytes, u8 seed) {
  std::vector<u8> data(bytes);
  for (std::size_t i = 0; i < bytes; i++) data[i] = static_cast<u8>(seed + i * 7 + i / 512);
  return data;
}

}  // namespace baton::vios::testing
