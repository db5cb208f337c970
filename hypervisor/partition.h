// SPDX-License-Identifier: Apache-2.0
// A logical partition: everything that moves hangs off it (DESIGN 1).
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "cpu/domain.h"
#include "cpu/thread.h"
#include "hypervisor/adapter.h"
#include "hypervisor/platform_state.h"
#include "hypervisor/profile.h"
#include "hypervisor/xics.h"

namespace baton::hypervisor {

class ManagedSystem;
class OutsideEvents;
class VirtualProcessor;
class DeviceTree;
struct CompatibilityMode;

/// `lssyscfg -r lpar -F state` (LPM 2.2).
enum class PartitionState { kNotActivated, kStarting, kOpenFirmware, kRunning, kShuttingDown, kError };
enum class VasiState : u32;

const char* to_string(PartitionState state);

/// Time base of a partition: 512 MHz of host CLOCK_MONOTONIC plus an offset that a migration sets. Or, in
/// deterministic mode, a tick for each instruction plus what was skipped while the processor waited.
class PartitionClock final : public cpu::Clock {
 public:
  u64 time_base() const override;
  bool counts_instructions() const override { return instructions_ != nullptr; }
  void set_time_base(u64 value);  ///< Only while no thread runs.
  /// From now on time is this count.
  void count(const std::atomic<u64>& instructions) { instructions_ = &instructions; }

 private:
  u64 ticks() const;
  const std::atomic<u64>* instructions_ = nullptr;
  std::atomic<u64> offset_{0};
};

class Partition {
 public:
  /// Builds memory, page table, processors and adapters from the profile. Throws std::runtime_error with a
  /// sentence for the user when something cannot be had.
  Partition(ManagedSystem& system, Profile profile);
  ~Partition();
  /// Ends all that runs in it; what is left is memory to be freed. Nobody may use it any more.
  void close();

  ManagedSystem& system() { return system_; }
  const Profile& profile() const { return profile_; }
  u32 id() const { return profile_.id; }
  const std::string& name() const { return profile_.name; }

  // -- life (thread-safe; the HMC's verbs)
  /// Loads firmware, kernel, initrd and device tree and starts processor 0. Throws std::runtime_error naming
  /// the file and the remedy.
  void power_on();
  /// Stops every processor at once and resets everything; state Not Activated.
  void power_off();
  /// The same from a virtual processor's own thread (RTAS power-off): asynchronous.
  void request_power_off();
  /// Asks the operating system to shut down, by an EPOW event. Whether it does is up to it.
  void request_shutdown();
  bool shutdown_requested() const;
  /// Asynchronous power_on after power_off, as RTAS system-reboot does.
  void reboot();
  PartitionState state() const;
  void set_error(std::string why);     ///< State Error, reference code and message on the console.
  std::string reference_code() const;  ///< Operator panel, newest.
  std::vector<std::pair<u64, std::string>> reference_codes() const;  ///< (unix seconds, code), newest first.
  void progress(const std::string& code);  ///< Operator panel; "Linux ppc64" when the kernel runs.
  void panel_character(char c);            ///< RTAS display-character.
  /// Open Firmware -> Running: the operating system negotiated its options (CAS) or registered an area.
  void note_running();
  u64 instructions() const;  ///< Sum over processors.
  /// Not nullptr in deterministic mode.
  OutsideEvents* outside_events() { return outside_events_.get(); }
  void stopped();           ///< Deterministic mode: the processor has executed all that it was to.
  void shutdown_arrived();  ///< request_shutdown() at once, also in deterministic mode.
  /// Nanoseconds since 1970: the host's; in deterministic mode those of the partition's own time from 2026
  /// on.
  i64 wall_clock() const;
  /// The processor compatibility mode that it runs in, or would start in; negotiated at each boot.
  const CompatibilityMode& mode() const;

  // -- parts
  cpu::Domain& domain() { return domain_; }
  cpu::Memory& memory() { return domain_.memory(); }
  cpu::HashPageTable& hpt() { return domain_.hpt(); }
  Xics& xics() { return *xics_; }
  PartitionClock& clock() { return clock_; }
  const std::vector<std::unique_ptr<VirtualProcessor>>& processors() const { return processors_; }
  VirtualProcessor* processor(u32 server);  ///< nullptr: no such interrupt server number.
  VirtualAdapter* adapter(u32 unit);        ///< nullptr: none at that unit address.
  TceTable* tce(u32 liobn);                 ///< nullptr: no such LIOBN.
  const std::map<u32, std::unique_ptr<VirtualAdapter>>& adapters() const { return adapters_; }  ///< By slot.
  Vterm& console();                                                                             ///< Slot 0.
  Vterm& agent_channel();                                                                       ///< Slot 1.
  std::vector<u8>& nvram() { return nvram_; }
  std::mutex& nvram_lock() { return nvram_lock_; }
  std::mutex& hpt_lock() { return hpt_lock_; }  ///< Held by the page-table hcalls.
  /// The tree as built at power-on; migration rebuilds it and update-nodes reports the difference.
  DeviceTree& device_tree() { return *device_tree_; }
  std::mutex& tree_lock() { return tree_lock_; }  ///< Held while it is used, once the partition runs.
  PlatformState platform() const;                 ///< A copy.
  void change_platform(const std::function<void(PlatformState&)>& change);  ///< Under its lock.
  /// Device tree as the guest knows it, and PlatformState: one opaque blob of the migration stream.
  std::vector<u8> save_platform() const;
  void restore_platform(std::span<const u8> blob);  ///< Throws std::runtime_error if it is damaged.

  // -- mobility (hypervisor/mobility.cpp; used by the migration room)
  /// The VASI stream by which it moves, whose state is that of the system's VasiService; 0: none.
  void set_stream(u64 stream_id);
  u64 stream_id() const;
  VasiState vasi_state() const;  ///< kInvalid without a stream.
  /// Source, inside VasiOperation::suspended(): disables CRQs, queues FF06, pauses LANs, stops time.
  void quiesce_adapters();
  /// Source after an abort: undo; destination after restore (the queued FF06 came with the memory): LANs run
  /// again, device tree differences armed.
  void resume_adapters();
  /// Destination: after restore of everything (each processor's restore_dispatch() included), starts the
  /// processors; the caller of ibm,suspend-me gets 0.
  void start_restored();
  /// Source after a completed move: ends the processors without touching memory.
  void stop_processors();
  /// ibm,suspend-me on `caller`: its RTAS status. The argument buffer's status word is at `status_address`.
  i32 suspend(VirtualProcessor& caller, u64 status_address);
  std::mutex& join_lock() { return join_lock_; }  ///< Held while it is decided who is the last active thread.
  bool others_active(const VirtualProcessor& self);

 private:
  void load();
  void report(PartitionState state);
  void stop_all();
  void enter_error(const std::string& why);
  ManagedSystem& system_;
  Profile profile_;
  PartitionClock clock_;
  cpu::Domain domain_;
  std::unique_ptr<Xics> xics_;
  std::unique_ptr<OutsideEvents> outside_events_;
  std::vector<std::unique_ptr<VirtualProcessor>> processors_;
  std::map<u32, std::unique_ptr<VirtualAdapter>> adapters_;
  std::vector<u8> nvram_;
  std::mutex nvram_lock_, hpt_lock_, join_lock_, tree_lock_;
  std::unique_ptr<DeviceTree> device_tree_;
  struct Private;
  std::unique_ptr<Private> p_;  ///< Life-cycle, operator panel, mobility: hypervisor/partition.cpp.
};

}  // namespace baton::hypervisor
