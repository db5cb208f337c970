// SPDX-License-Identifier: Apache-2.0
// Interrupt presentation and source controllers of a partition (PAPR 6).
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <vector>

#include "cpu/bits.h"

namespace baton::hypervisor {

inline constexpr u32 kXicsIpi = 2;  ///< XISR value of an inter-processor interrupt.
/// Event sources of the platform (device tree /event-sources).
inline constexpr u32 kInternalErrorsIrq = 0x90000, kEpowIrq = 0x90001;
/// Server number of the global queue (ibm,ppc-interrupt-gserver#s): any thread that takes part in it.
inline constexpr u32 kGlobalServer = 0xFF;

/// Thread-safe. The line callback (server, up) sets a hardware thread's external interrupt line and wakes it;
/// it is called with the controller's lock held and must not call back.
class Xics {
 public:
  using Line = std::function<void(u32 server, bool up)>;
  Xics(u32 servers, Line line);

  /// Declares source `irq` (edge). Numbers are those of the device tree.
  void add_source(u32 irq);
  /// A device's pulse: latched until EOI; a pulse during service is presented again after EOI.
  void pulse(u32 irq);
  bool has_source(u32 irq) const;

  // hcalls; false = bad server.
  u32 accept(u32 server);                      ///< H_XIRR
  bool eoi(u32 server, u32 xirr);              ///< H_EOI; false also for a number that is no source.
  void set_cppr(u32 server, u8 cppr);          ///< H_CPPR
  bool ipi(u32 server, u8 mfrr);               ///< H_IPI
  bool poll(u32 server, u32& xirr, u8& mfrr);  ///< H_IPOLL

  // RTAS; false = no such source or server.
  bool set_xive(u32 irq, u32 server, u8 priority);
  bool get_xive(u32 irq, u32& server, u8& priority);
  bool int_off(u32 irq);
  bool int_on(u32 irq);

  /// Indicator 9005: whether the thread takes interrupts from the global queue.
  bool set_global_queue(u32 server, bool enabled);

  /// A thread starts: CPPR 0, MFRR 0xFF (PAPR 11). What was presented and not accepted goes back to its
  /// source.
  void reset_server(u32 server);
  void reset();  ///< The whole partition: every source masked and idle.

  struct ServerState {
    u8 cppr = 0, mfrr = 0xFF, pending_priority = 0xFF;
    bool global = true;
    u32 xisr = 0;
  };
  struct SourceState {
    u32 server = 0;
    u8 priority = 0xFF, saved_priority = 0xFF;
    bool pending = false;     ///< Latched, not yet presented.
    bool in_service = false;  ///< Presented or accepted, no EOI yet.
  };
  struct Snapshot {
    std::vector<ServerState> servers;
    std::map<u32, SourceState> sources;
  };
  Snapshot save() const;
  void restore(const Snapshot& snapshot);

 private:
  mutable std::mutex lock_;
  std::vector<ServerState> servers_;
  std::map<u32, SourceState> sources_;
  Line line_;
  void present(u32 server);
  void reject(u32 server);
  void take_cppr(u32 server, u8 cppr);
  bool presented(u32 irq) const;
  void deliver(const SourceState& source);
};

}  // namespace baton::hypervisor
