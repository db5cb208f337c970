// SPDX-License-Identifier: Apache-2.0
// Virtual adapters of a partition: the client ends. The server ends live in the VIOS.
#pragma once

#include <array>
#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <span>
#include <string>
#include <vector>

#include "cpu/bits.h"
#include "hypervisor/tce.h"
#include "hypervisor/xics.h"

namespace baton::hypervisor {

class Partition;

/// Base of everything under /vdevice. Unit address = 0x30000000 | slot; interrupt source = 0xA0000 | slot;
/// LIOBN = 0x10000000 | slot. Owned by the Partition; hcalls reach it by unit address.
class VirtualAdapter {
 public:
  VirtualAdapter(Partition& partition, u32 slot);
  virtual ~VirtualAdapter() = default;
  VirtualAdapter(const VirtualAdapter&) = delete;
  VirtualAdapter& operator=(const VirtualAdapter&) = delete;

  u32 slot() const { return slot_; }
  u32 unit() const { return 0x30000000 | slot_; }
  u32 irq() const { return 0xA0000 | slot_; }
  /// "U9117.MMA.10BA70A-V2-C3": changes with system and partition number.
  std::string loc_code() const;
  Partition& partition() { return partition_; }

  /// H_VIO_SIGNAL. Interrupts start disabled; a signal while disabled is not remembered.
  void set_signal(bool enabled) { signal_enabled_ = enabled; }
  bool signal_enabled() const { return signal_enabled_; }
  /// Pulses the interrupt source if enabled. Call it after the queue entry is in memory.
  void signal();

  virtual TceTable* tce() { return nullptr; }
  /// Partition reset (power-off, reboot): forget registrations.
  virtual void reset() { signal_enabled_ = false; }

 protected:
  Partition& partition_;
  u32 slot_;
  std::atomic<bool> signal_enabled_{false};
};

/// 16-byte CRQ entry as two host-order doublewords (high carries the header byte).
struct CrqEntry {
  u64 high = 0, low = 0;
};

/// The server end of a CRQ connection, implemented by the VIOS. Calls come from vCPU threads (hcalls) and
/// must not block: queue the work. They are made one at a time for registration and removal, never after
/// connect() has replaced the server, and without the lock that deliver() takes.
class CrqServer {
 public:
  virtual ~CrqServer() = default;
  /// The client's queue was registered, or freed (reset, H_FREE_CRQ, partition end).
  virtual void client_registered() = 0;
  virtual void client_closed() = 0;
  /// A message from the client (header 0x80 or 0xC0). False: the server's queue is full (H_DROPPED).
  virtual bool receive(const CrqEntry& entry) = 0;
  /// Returns when everything that was received has been answered. Deterministic mode alone asks for it, after
  /// each message: the answer is then there when H_SEND_CRQ returns.
  virtual void settle() {}
};

/// CRQ transport of a client adapter (VIO 1): the queue in the partition's memory and its registration.
class CrqAdapter : public VirtualAdapter {
 public:
  CrqAdapter(Partition& partition, u32 slot);
  TceTable* tce() override { return &tce_; }
  void connect(CrqServer* server);  ///< nullptr disconnects: the client gets transport event FF 02.
  void reset() override;

  // hcalls: return the status of PAPR 2.
  i64 h_reg_crq(u64 queue_ioba, u64 length);
  i64 h_free_crq();
  i64 h_send_crq(const CrqEntry& entry);
  i64 h_enable_crq();

  /// Server to client: enqueues and signals. False: not registered, disabled, queue full or unmapped.
  bool deliver(const CrqEntry& entry);
  /// Suspends the transport: H_SEND_CRQ says H_CLOSED until H_ENABLE_CRQ (ibm,suspend-me).
  void disable();
  /// Queues transport event 0xFF `code`; it overwrites the last entry of a full queue.
  void transport_event(u8 code);

  struct Snapshot {
    bool registered = false, disabled = false, signal = false;
    u64 queue = 0, length = 0, offset = 0;
    std::vector<TceRun> tces;
  };
  Snapshot save() const;
  void restore(const Snapshot& snapshot);

 private:
  bool enqueue(const CrqEntry& entry, bool overwrite_last);
  /// Order: server_lock_ (held around calls to the server), then lock_, then the Xics lock.
  mutable std::shared_mutex server_lock_;
  mutable std::mutex lock_;
  TceTable tce_;
  CrqServer* server_ = nullptr;
  bool registered_ = false, disabled_ = false;
  u64 queue_ = 0, length_ = 0, offset_ = 0;
};

/// Where a virtual Ethernet adapter is plugged in: a port of the VIOS's switch.
/// Frames are complete Ethernet frames without FCS. Both directions may be called from any thread.
class EthernetPort {
 public:
  virtual ~EthernetPort() = default;
  virtual void transmit(std::span<const u8> frame) = 0;
};

/// Size of the multicast filter table: ibm,mac-address-filters.
inline constexpr u32 kMulticastFilters = 64;

/// Logical LAN client adapter (VIO 3).
class LogicalLan : public VirtualAdapter {
 public:
  LogicalLan(Partition& partition, u32 slot, std::array<u8, 6> mac);
  TceTable* tce() override { return &tce_; }
  void connect(EthernetPort* port);
  void reset() override;
  std::array<u8, 6> mac() const;

  i64 h_register(u64 buffer_list, u64 rx_queue, u64 filter_list, u64 mac);
  i64 h_free();
  i64 h_add_buffer(u64 descriptor);
  i64 h_free_buffer(u64 size);
  i64 h_send(std::span<const u64, 6> descriptors, u64 continue_token, u64 mss = 0);
  i64 h_multicast_ctrl(u64 flags, u64 mac, u64& out);
  i64 h_change_mac(u64 mac);
  i64 h_illan_attributes(u64 reset_mask, u64 set_mask, u64& out);

  /// A frame from the switch (already accepted for this port's VLANs). False: dropped (filter, no buffer,
  /// closed).
  bool receive(std::span<const u8> frame);
  /// The same at once, also in deterministic mode, where receive() only queues.
  bool arrived(std::span<const u8> frame);
  /// While paused (suspension) frames are dropped and the queues do not change.
  void pause(bool paused);

  struct Snapshot {
    bool open = false, signal = false;
    u64 buffer_list = 0, rx_queue = 0, filter_list = 0, rx_offset = 0;
    bool rx_toggle = true;
    std::array<u8, 6> mac{};
    std::vector<u64> buffers;    ///< Descriptors posted and not used.
    bool all_multicast = false;  ///< R: multicast frames are received at all.
    bool filtering = true;       ///< F: of those, only the ones in `multicast`.
    std::vector<u64> multicast;
    u64 dropped = 0;
    u64 attributes = 0;  ///< ILLAN attributes that the guest has set.
    std::vector<TceRun> tces;
  };
  Snapshot save() const;
  void restore(const Snapshot& snapshot);

 private:
  bool post(u64 buffer, u8 flags, u64 length);
  void count_drop();
  bool accepts(std::span<const u8> frame) const;
  void close();
  /// Order: port_lock_ (held around calls to the port), and separately lock_, then the Xics lock.
  mutable std::shared_mutex port_lock_;
  mutable std::mutex lock_;
  TceTable tce_;
  EthernetPort* port_ = nullptr;
  bool paused_ = false;
  Snapshot state_;  ///< Without tces.
};

/// The far end of a virtual terminal: console server, guest agent's peer. Called from any thread.
class TerminalSink {
 public:
  virtual ~TerminalSink() = default;
  virtual void output(std::span<const u8> data) = 0;
};

/// Client vty (VIO 4): slot 0 is the console, slot 1 the management agent's channel.
/// Output goes to the sink and to a ring of the last 64 KB, so that a terminal opened later sees the past.
class Vterm : public VirtualAdapter {
 public:
  Vterm(Partition& partition, u32 slot);
  void reset() override;

  i64 h_put_term_char(u64 length, u64 data_high, u64 data_low);
  i64 h_get_term_char(u64& length, u64& data_high, u64& data_low);

  /// At most one; nullptr detaches. On return the old sink is not called any more. Returns the history up to
  /// the first byte that the new sink will see.
  std::string set_sink(TerminalSink* sink);
  void input(std::span<const u8> data);    ///< Queued (up to 64 KB) for the guest; signals.
  void arrived(std::span<const u8> data);  ///< The same at once, also in deterministic mode.
  std::string history() const;

  struct Snapshot {
    bool signal = false;
    std::string pending_input, history;
  };
  Snapshot save() const;
  void restore(const Snapshot& snapshot);

 private:
  /// Order: sink_lock_ (held around calls to the sink, so that output keeps its order), then lock_.
  /// Recursive: a sink may detach itself.
  mutable std::recursive_mutex sink_lock_;
  mutable std::mutex lock_;
  TerminalSink* sink_ = nullptr;
  std::deque<u8> input_;
  std::string history_;
};

}  // namespace baton::hypervisor
