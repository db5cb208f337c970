// SPDX-License-Identifier: Apache-2.0
// `baton system`: one managed system as a process.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "app/config.h"
#include "app/control_gateway.h"
#include "app/control_service.h"
#include "app/managed_control.h"
#include "hypervisor/system.h"
#include "migration/migration.h"
#include "vios/virtual_io.h"

namespace baton::app {

/// A managed system with its control service; also used in one process by tests and the demonstration.
class RunningSystem {
 public:
  /// Builds everything and listens; `run_dir` holds the socket. Partitions with auto_start are started.
  /// Throws std::runtime_error with a sentence for the user.
  RunningSystem(const Config& config, const std::string& run_dir);
  /// Powers partitions off and removes the socket.
  ~RunningSystem();

  void power_off();  ///< Every partition.

  hypervisor::ManagedSystem& system() { return system_; }
  vios::VirtualIo& vios() { return vios_; }
  migration::Mover& mover() { return mover_; }
  const std::string& address() const { return address_; }
  bool stop_asked() const { return stop_asked_; }

 private:
  std::atomic<bool> stop_asked_{false};
  const migration::TlsIdentity tls_;
  hypervisor::ManagedSystem system_;
  vios::VirtualIo vios_;
  migration::Mover mover_;
  ManagedControl control_;
  std::string address_, socket_, link_;
  std::unique_ptr<ControlService> service_;
  std::unique_ptr<ControlGateway> gateway_;
};

/// What the command line adds to the configuration.
struct SystemOptions {
  std::optional<cpu::Engine> engine;
  std::optional<unsigned> compile_threads;
  std::optional<u64> code_cache, region_cache;  ///< Megabytes.
  bool deterministic = false;
  std::string record, replay;  ///< Either makes it deterministic, as the next two do.
  bool engine_stats = false;   ///< Print what the engines did at the end.
  bool perf_map = false;       ///< Name compiled code for perf.
  std::string symbols;         ///< System.map of what runs, for perf_map and for "baton trace"; empty: none.
  u64 stop_at = 0, digest_every = 0;  ///< Instructions; 0: never. With stop_at every partition is started.
};

/// Runs until SIGINT, SIGTERM, the Stop call or every partition's stop_at; the exit code.
int run_system(const std::string& config_path, const std::string& run_dir, const SystemOptions& options = {});

/// "baton trace".
struct TraceOptions {
  u64 from = 0, count = 100;  ///< Instructions of the partition, counted from its power-on.
  SystemOptions system;
};

/// Prints executed instructions with the registers that they change; the exit code.
int run_trace(const std::string& config_path, const std::string& run_dir, TraceOptions options);

}  // namespace baton::app
