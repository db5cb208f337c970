// SPDX-License-Identifier: Apache-2.0
// The server end of a virtual SCSI adapter: a `vhost` (VIO 2; LoPAR app_virtual_scsi).
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "hypervisor/adapter.h"
#include "vios/scsi_unit.h"

namespace baton::vios {

/// Nothing that the client sends is trusted: lengths, addresses and counts are bounded before they are used.
///
/// One thread takes the client's messages in order and answers logins, management datagrams and task
/// management; the other threads run SCSI commands. No lock of the server is held while it calls the client.
class VscsiServer final : public hypervisor::CrqServer {
 public:
  /// What the server needs of the client adapter.
  struct Client {
    hypervisor::TceTable& tce;
    std::function<bool(const hypervisor::CrqEntry&)> deliver;
  };
  /// `server_name` and `server_partition` are what adapter info tells the client.
  VscsiServer(Client client, std::string server_name, u32 server_partition = 1, unsigned io_threads = 4);
  ~VscsiServer() override;

  /// Maps a unit to a target id, 0..63. Only before the client can send.
  void map(u32 target, std::shared_ptr<ScsiUnit> unit);

  void client_registered() override;
  void client_closed() override;
  bool receive(const hypervisor::CrqEntry& entry) override;
  void settle() override;

  /// Finishes what is in flight and drops the rest without an answer. On return there is no transfer to or
  /// from the client's memory and no write to a disk, until resume().
  void quiesce();
  void resume();

  /// The client announced the migration capability (MAD type 5).
  bool migratable() const { return migratable_; }
  std::string client_name() const;

 private:
  struct Request;
  class Buffer;
  static constexpr std::size_t kMostIu = 256;

  void take_messages();
  void run_commands();
  void handle(const hypervisor::CrqEntry& entry);
  void handshake(u8 format);
  void datagram(u64 ioba, u64 length);
  u16 adapter_info(u64 buffer, u64 length);
  u16 capabilities(u64 buffer, u64 length);
  void information_unit(u64 ioba, u64 length);
  void login(const Request& request);
  void manage_task(const Request& request);
  void command(Request& request, std::span<u8> scratch);
  ScsiResult run(Request& request, Buffer& buffer, std::span<u8> scratch);
  ScsiResult without_unit(std::span<const u8> cdb, u64 lun, Buffer& buffer);
  ScsiUnit* unit_at(u64 lun) const;
  std::vector<std::shared_ptr<Request>> cancel(const std::function<bool(const Request&)>& which);
  void wait_until_gone(const std::vector<std::shared_ptr<Request>>& requests);

  /// Writes the response over the request and tells the client.
  void respond(const Request& request, std::span<const u8> iu);
  void respond_code(const Request& request, u8 code);
  void notify(u8 format, u8 status, u64 length, u64 tag, u64 epoch);
  bool current(u64 epoch) const { return epoch_ == epoch; }

  Client client_;
  std::string server_name_;
  u32 server_partition_;
  std::map<u32, std::shared_ptr<ScsiUnit>> units_;

  mutable std::mutex lock_;
  std::condition_variable messages_changed_, commands_changed_, idle_;
  std::deque<hypervisor::CrqEntry> messages_;
  std::deque<std::shared_ptr<Request>> commands_;
  std::list<std::shared_ptr<Request>> running_;
  bool taking_ = false;  ///< A message is being handled.
  bool quiesced_ = false, stop_ = false;
  std::string client_name_;
  std::atomic<bool> logged_in_{false};
  std::atomic<bool> migratable_{false};
  /// Counts the client's connections: whatever belongs to an earlier one neither transfers nor answers.
  std::atomic<u64> epoch_{0};
  std::vector<std::thread> threads_;
};

}  // namespace baton::vios
