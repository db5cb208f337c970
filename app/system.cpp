// SPDX-License-Identifier: Apache-2.0
#include "app/system.h"

#include <signal.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <mutex>
#include <stdexcept>

#include "app/engine_report.h"
#include "app/tracer.h"
#include "devices/authority.h"
#include "hmc/systems.h"
#include "hypervisor/outside_events.h"

namespace baton::app {
namespace {

namespace fs = std::filesystem;

/// The configured firmware, else BATON_FIRMWARE, else that of the build tree (or installation) of this
/// program.
std::string firmware_of(const Config& config) {
  if (!config.firmware.empty()) return config.firmware;
  if (const char* from = std::getenv("BATON_FIRMWARE"); from && *from) return fs::absolute(from);
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  return (program.parent_path() / "../firmware/firmware.bin").lexically_normal();
}

/// A name that a dead system left behind is cleared; a living one is an error.
void claim_socket(const std::string& path, const std::string& system) {
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    throw std::runtime_error("The socket path " + path +
                             " is longer than a unix socket's may be; use a shorter --run-dir.");
  }
  if (hmc::socket_answers(path)) {
    throw std::runtime_error("A managed system " + system + " runs already (" + path +
                             "); stop it or give this one another name.");
  }
  std::error_code error;
  if (fs::is_socket(fs::symlink_status(path, error)) || fs::is_symlink(fs::symlink_status(path, error))) {
    fs::remove(path, error);
  }
}

/// Who the system is to others; null: it does not encrypt.
migration::TlsIdentity identity_of(const Config& config) {
  if (!config.encryption) return nullptr;
  return std::make_shared<devices::TlsIdentity>(
      config.tls.authority.empty() ? devices::local_identity(devices::state_directory(), config.identity.name)
                                   : config.tls);
}

}  // namespace

RunningSystem::RunningSystem(const Config& config, const std::string& run_dir)
    : tls_(identity_of(config)),
      system_(config.identity, firmware_of(config)),
      vios_(system_, config.servers),
      mover_(system_, vios_, config.mover_address, run_dir + "/" + config.identity.name + ".moves", tls_),
      control_(
          system_, vios_, mover_,
          [this](const std::string& address) -> std::shared_ptr<hmc::Control> {
            return hmc::connect_control(address, tls_);
          },
          [this] { stop_asked_ = true; }) {
  system_.set_io_server(&vios_);
  const std::string& name = config.identity.name;
  const std::string in_run_dir = hmc::socket_path(run_dir, name);
  claim_socket(in_run_dir, name);
  socket_ = config.control.empty() ? in_run_dir : config.control.substr(5);
  if (socket_ != in_run_dir) {
    claim_socket(socket_, name);
    fs::create_symlink(socket_, in_run_dir);  // So that the console finds it.
    link_ = in_run_dir;
  }
  address_ = "unix:" + socket_;
  for (const hypervisor::Profile& profile : mover_.define(config.partitions))
    mover_.agent(system_.create(profile));
  service_ = std::make_unique<ControlService>(control_, address_);
  fs::permissions(socket_, fs::perms::owner_read | fs::perms::owner_write);
  if (!config.control_address.empty()) {
    gateway_ = std::make_unique<ControlGateway>(config.control_address, tls_, socket_);
    control_.set_address(gateway_->address());
    spdlog::info("{}: the control API listens at {}", name, gateway_->address());
  }
  for (const auto& partition : system_.partitions()) {
    if (!partition->profile().auto_start) continue;
    try {
      partition->power_on();
      spdlog::info("{}: partition {} started", name, partition->name());
    } catch (const std::exception& problem) {
      spdlog::error("{}: partition {} did not start: {}", name, partition->name(), problem.what());
    }
  }
}

RunningSystem::~RunningSystem() {
  mover_.shut_down();
  control_.shut_down();
  gateway_.reset();
  service_.reset();
  power_off();
  std::error_code error;
  fs::remove(socket_, error);
  if (!link_.empty()) fs::remove(link_, error);
}

void RunningSystem::power_off() {
  for (const auto& partition : system_.partitions()) {
    try {
      partition->power_off();
    } catch (const std::exception& problem) {
      spdlog::error("partition {}: {}", partition->name(), problem.what());
    }
  }
}

namespace {

/// The lines that deterministic mode prints; each partition stops once.
void print_digest(hypervisor::Partition& partition, const char* what) {
  static std::mutex one_line_at_a_time;
  std::lock_guard guard(one_line_at_a_time);
  std::cout << "partition " << partition.name() << " " << what << ": " << hypervisor::digest(partition)
            << std::endl;
}

int run(Config& config, const std::string& run_dir, const SystemOptions& options) {
  spdlog::set_default_logger(
      std::make_shared<spdlog::logger>("", std::make_shared<spdlog::sinks::stderr_sink_mt>()));
  spdlog::set_pattern("%Y-%m-%d %H:%M:%S.%e %^%l%$ %v");
  if (options.engine) config.identity.engine.engine = *options.engine;
  cpu::EngineOptions& engine = config.identity.engine;
  engine.compile_threads = options.compile_threads.value_or(engine.compile_threads);
  if (options.code_cache) engine.code_cache_bytes = *options.code_cache << 20;
  if (options.region_cache) engine.region_cache_bytes = *options.region_cache << 20;
  config.identity.engine.statistics = options.engine_stats;
  std::optional<PerfMap> perf_map;
  if (options.perf_map) config.identity.engine.listener = &perf_map.emplace(Symbols(options.symbols));
  hypervisor::Determinism& how = config.identity.determinism;
  how.on |= options.deterministic || !options.record.empty() || !options.replay.empty() || options.stop_at ||
            options.digest_every;
  how.record = options.record;
  how.replay = options.replay;
  how.stop_at = options.stop_at;
  how.digest_every = options.digest_every;
  how.digested = [](hypervisor::Partition& partition) { print_digest(partition, "reached"); };
  std::atomic<std::size_t> left = config.partitions.size();
  how.stopped = [&](hypervisor::Partition& partition) {
    print_digest(partition, "stopped");
    left--;
  };
  if (options.stop_at)
    for (hypervisor::Profile& profile : config.partitions) profile.auto_start = true;

  // Blocked before any thread exists, so that all inherit it and sigtimedwait below is the only taker.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, number);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);

  RunningSystem running(config, hmc::run_directory(run_dir));
  spdlog::info("managed system {} ({} serial {}) is ready at {}", config.identity.name,
               config.identity.type_model, config.identity.serial, running.address());
  const timespec tick{0, 200'000'000};
  int number = 0;
  // A system without partitions, such as the destination of a move, has none that could be left.
  const auto over = [&] { return options.stop_at && !left; };
  while (!running.stop_asked() && !over() && (number = sigtimedwait(&signals, nullptr, &tick)) < 0) {
  }
  spdlog::info("managed system {} stops", config.identity.name);
  if (options.engine_stats) {
    running.power_off();
    std::cout << engine_report(running.system()) << std::flush;
  }
  return 0;
}

}  // namespace

int run_system(const std::string& config_path, const std::string& run_dir, const SystemOptions& options) {
  Config config = load_config(config_path);
  return run(config, run_dir, options);
}

int run_trace(const std::string& config_path, const std::string& run_dir, TraceOptions options) {
  Config config = load_config(config_path);
  if (config.partitions.size() != 1)
    throw std::runtime_error(config_path + " has " + std::to_string(config.partitions.size()) +
                             " partitions; to trace one, leave only that one in.");
  Tracer tracer(Symbols(options.system.symbols), std::cout);
  hypervisor::Determinism& how = config.identity.determinism;
  how.trace_from = options.from;
  how.trace_count = options.count;
  how.traced = [&](const cpu::State& state) { tracer.see(state); };
  options.system.stop_at = options.from + options.count;
  return run(config, run_dir, options.system);
}

}  // namespace baton::app
