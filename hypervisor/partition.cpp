// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/partition.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <deque>
#include <fstream>
#include <stdexcept>

#include "hypervisor/compatibility.h"
#include "hypervisor/device_tree.h"
#include "hypervisor/hcall.h"
#include "hypervisor/nvram.h"
#include "hypervisor/outside_events.h"
#include "hypervisor/partition_private.h"
#include "hypervisor/system.h"
#include "hypervisor/virtual_processor.h"

namespace baton::hypervisor {
namespace {

constexpr u64 kLmb = 16 << 20;
constexpr u64 kLeastMemory = 64 << 20;
constexpr u64 kEntry = 0x100, kTreeAddress = 0x200000, kKernelAddress = 0x400000;
/// Linux's boot loader stage allocates from here downwards, and firmware is 32-bit: the RAM disk stays below.
constexpr u64 kHighestInitrdEnd = 0x30000000, kTopReserve = 1 << 20;
constexpr u64 kKernelSlack = 16 << 20;  ///< A kernel in memory is larger than its file.
constexpr std::size_t kMostCodes = 32;

unsigned hpt_log2(u64 memory) {
  // One sixty-fourth of memory (HMC: hpt_ratio=1:64), a power of two.
  return std::clamp(static_cast<unsigned>(std::bit_width((memory / 64) - 1)), 18U, 28U);
}

Profile checked(Profile profile, const SystemIdentity& identity) {
  const auto fail = [&](const std::string& what) {
    throw std::runtime_error(fmt::format("Partition {}: {}", profile.name, what));
  };
  if (profile.memory % kLmb || profile.memory < kLeastMemory)
    fail(fmt::format("memory must be a multiple of 16 MB and at least {} MB, not {} bytes.",
                     kLeastMemory >> 20, profile.memory));
  if (profile.processors < 1 || profile.processors > 64)
    fail(fmt::format("the number of virtual processors must be from 1 to 64, not {}.", profile.processors));
  if (!is_mode_wish(profile.proc_compat_mode))
    fail(fmt::format("there is no processor compatibility mode \"{}\" here; choose one of {}.",
                     profile.proc_compat_mode, mode_wishes()));
  std::vector<u32> slots{0, 1};
  for (const auto& scsi : profile.scsi) slots.push_back(scsi.slot);
  for (auto& ethernet : profile.ethernet) {
    slots.push_back(ethernet.slot);
    if (ethernet.mac != std::array<u8, 6>{}) continue;
    // Locally administered, from what is unique (FNV-1a). It stays with the profile, so a move keeps it.
    u64 hash = 0xCBF29CE484222325;
    for (const char c : fmt::format("{}/{}/{}", identity.serial, profile.id, ethernet.slot))
      hash = (hash ^ static_cast<u8>(c)) * 0x100000001B3;
    ethernet.mac[0] = 0xC2;
    for (unsigned i = 1; i < 6; i++) ethernet.mac[i] = static_cast<u8>(hash >> (8 * i));
  }
  std::ranges::sort(slots);
  if (const auto twice = std::ranges::adjacent_find(slots); twice != slots.end())
    fail(fmt::format("virtual slot {} is used twice (0 and 1 are the terminals).", *twice));
  if (slots.back() > 0xFFFF) fail(fmt::format("virtual slot {} is out of range (2 to 65535).", slots.back()));
  return profile;
}

std::vector<u8> read_file(const std::string& path, const std::string& what, const std::string& remedy) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file)
    throw std::runtime_error(
        fmt::format("The {} {} cannot be opened ({}); {}.", what, path, std::strerror(errno), remedy));
  const auto size = file.tellg();
  std::vector<u8> data(size < 0 ? 0 : static_cast<std::size_t>(size));
  file.seekg(0);
  if (size < 0 || !file.read(reinterpret_cast<char*>(data.data()), size))
    throw std::runtime_error(fmt::format("The {} {} cannot be read; {}.", what, path, remedy));
  if (data.empty()) throw std::runtime_error(fmt::format("The {} {} is empty; {}.", what, path, remedy));
  return data;
}

u64 unix_seconds() {
  return static_cast<u64>(
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
          .count());
}

}  // namespace

const char* to_string(PartitionState state) {
  switch (state) {
    case PartitionState::kNotActivated:
      return "Not Activated";
    case PartitionState::kStarting:
      return "Starting";
    case PartitionState::kOpenFirmware:
      return "Open Firmware";
    case PartitionState::kRunning:
      return "Running";
    case PartitionState::kShuttingDown:
      return "Shutting Down";
    case PartitionState::kError:
      return "Error";
  }
  return "Error";
}

// ---- time

static u64 host_ticks() {
  const u64 ns =
      static_cast<u64>(std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1));
  return ns / 125 * 64 + ns % 125 * 64 / 125;
}

u64 PartitionClock::ticks() const {
  return instructions_ ? instructions_->load(std::memory_order_relaxed) : host_ticks();
}
u64 PartitionClock::time_base() const { return ticks() + offset_.load(std::memory_order_relaxed); }
void PartitionClock::set_time_base(u64 value) { offset_ = value - ticks(); }

i64 Partition::wall_clock() const {
  using namespace std::chrono;
  if (!clock_.counts_instructions())
    return duration_cast<nanoseconds>(system_clock::now().time_since_epoch()).count();
  constexpr sys_days kStart{2026y / January / 1};
  const u64 ticks = clock_.time_base();
  return duration_cast<nanoseconds>(kStart.time_since_epoch()).count() + static_cast<i64>(ticks / 64 * 125);
}

// ---- construction

Partition::Partition(ManagedSystem& system, Profile profile)
    : system_(system),
      profile_(checked(std::move(profile), system.identity())),
      domain_(profile_.memory, hpt_log2(profile_.memory), clock_, system.identity().engine),
      nvram_(fresh_nvram()),
      device_tree_(std::make_unique<DeviceTree>()),
      p_(std::make_unique<Private>()) {
  clock_.set_time_base(0);
  xics_ = std::make_unique<Xics>(profile_.processors, [this](u32 server, bool up) {
    if (server >= processors_.size()) return;
    processors_[server]->thread().set_external(up);
    if (up) processors_[server]->wake();
  });
  for (u32 server = 0; server < profile_.processors; server++)
    processors_.push_back(std::make_unique<VirtualProcessor>(*this, server));
  if (const Determinism& how = system.identity().determinism; how.on) {
    outside_events_ = std::make_unique<OutsideEvents>(*this, how);
    clock_.count(processors_[0]->thread().state().instructions);
  }
  for (const u32 slot : {0U, 1U}) adapters_[slot] = std::make_unique<Vterm>(*this, slot);
  for (const auto& scsi : profile_.scsi)
    adapters_[scsi.slot] = std::make_unique<CrqAdapter>(*this, scsi.slot);
  for (const auto& ethernet : profile_.ethernet)
    adapters_[ethernet.slot] = std::make_unique<LogicalLan>(*this, ethernet.slot, ethernet.mac);
  xics_->add_source(kInternalErrorsIrq);
  xics_->add_source(kEpowIrq);
  for (const auto& [slot, adapter] : adapters_) xics_->add_source(adapter->irq());
  p_->platform.entitled_capacity = profile_.processors * 100;
  domain_.set_level(modes_for(profile_.proc_compat_mode).front()->level);
  *device_tree_ = DeviceTree::build(*this, {});
  p_->warden = std::thread([this] { p_->run(*this); });
}

Partition::~Partition() { close(); }

void Partition::close() {
  p_->end();
  stop_all();
  if (p_->attached && system_.io_server()) system_.io_server()->detach(*this);
  p_->attached = false;
}

const CompatibilityMode& Partition::mode() const { return mode_of(domain_.level()); }

VirtualProcessor* Partition::processor(u32 server) {
  return server < processors_.size() ? processors_[server].get() : nullptr;
}

VirtualAdapter* Partition::adapter(u32 unit) {
  if (unit >> 28 != 3) return nullptr;
  const auto found = adapters_.find(unit & 0x0FFFFFFF);
  return found == adapters_.end() ? nullptr : found->second.get();
}

TceTable* Partition::tce(u32 liobn) {
  if (liobn >> 28 != 1) return nullptr;
  const auto found = adapters_.find(liobn & 0x0FFFFFFF);
  return found == adapters_.end() ? nullptr : found->second->tce();
}

Vterm& Partition::console() { return static_cast<Vterm&>(*adapters_.at(0)); }
Vterm& Partition::agent_channel() { return static_cast<Vterm&>(*adapters_.at(1)); }

u64 Partition::instructions() const {
  u64 sum = 0;
  for (const auto& processor : processors_) sum += processor->thread().instructions();
  return sum;
}

// ---- life

/// Reads every file first, so that a missing one leaves no traces; then fills memory.
void Partition::load() {
  const std::string& firmware_path =
      profile_.firmware.empty() ? system_.default_firmware() : profile_.firmware;
  if (firmware_path.empty())
    throw std::runtime_error(
        fmt::format("Partition {} has no firmware: name an image in its profile or a default in the system's "
                    "configuration.",
                    name()));
  const auto firmware =
      read_file(firmware_path, "partition firmware", "build it or correct the firmware setting");
  if (firmware.size() <= kEntry || firmware.size() > kTreeAddress)
    throw std::runtime_error(
        fmt::format("The partition firmware {} has {} bytes; an image has between {} and {}.", firmware_path,
                    firmware.size(), kEntry + 1, kTreeAddress));
  std::vector<u8> kernel, initrd;
  if (!profile_.kernel.empty())
    kernel = read_file(profile_.kernel, "kernel", "correct the partition's kernel setting");
  if (!profile_.initrd.empty())
    initrd = read_file(profile_.initrd, "initial RAM disk", "correct the partition's initrd setting");

  DeviceTree::Boot boot;
  const u64 kernel_end = kKernelAddress + kernel.size() + (kernel.empty() ? 0 : kKernelSlack);
  if (kernel_end > profile_.memory)
    throw std::runtime_error(
        fmt::format("The kernel {} ({} MB) does not fit in {} MB; give the partition more memory.",
                    profile_.kernel, kernel.size() >> 20, profile_.memory >> 20));
  if (!kernel.empty()) {
    boot.kernel_address = kKernelAddress;
    boot.kernel_bytes = kernel.size();
  }
  if (!initrd.empty()) {
    const u64 end = std::min(profile_.memory, kHighestInitrdEnd) - kTopReserve;
    if (initrd.size() > end || end - initrd.size() < kernel_end)
      throw std::runtime_error(fmt::format(
          "The initial RAM disk {} ({} MB) does not fit beside the kernel in {} MB; give the partition "
          "more memory.",
          profile_.initrd, initrd.size() >> 20, profile_.memory >> 20));
    boot.initrd_start = (end - initrd.size()) & ~(cpu::kFrameSize - 1);
    boot.initrd_end = boot.initrd_start + initrd.size();
  }

  cpu::Memory& memory = domain_.memory();
  p_->used = true;
  domain_.real_mode_limit = memory.size();
  domain_.set_level(modes_for(profile_.proc_compat_mode).front()->level);  // Until the client is asked.
  xics_->reset();
  for (const auto& processor : processors_) {
    processor->vpa = processor->slb_shadow = processor->dtl = 0;
    processor->dtl_bytes = processor->dtl_index = 0;
    processor->yield_count = 0;
    processor->prodded = false;
  }
  change_platform([&](PlatformState& state) {
    // What belongs to the machine stays: clock and settings.
    PlatformState fresh;
    fresh.time_of_day_offset = state.time_of_day_offset;
    fresh.parameters = state.parameters;
    fresh.entitled_capacity = profile_.processors * 100;
    state = fresh;
  });
  p_->shutdown = false;
  {
    std::lock_guard lock(tree_lock_);
    *device_tree_ = DeviceTree::build(*this, boot);
    const std::vector<u8> blob = device_tree_->flatten();
    if (blob.size() > kKernelAddress - kTreeAddress)
      throw std::runtime_error(fmt::format("The device tree of partition {} is too large.", name()));
    memory.write(kTreeAddress, blob);
  }
  memory.write(0, firmware);
  memory.write(kKernelAddress, kernel);
  memory.write(boot.initrd_start, initrd);
}

void Partition::power_on() {
  std::lock_guard life(p_->life);
  if (p_->state != PartitionState::kNotActivated && p_->state != PartitionState::kError)
    throw std::runtime_error(fmt::format("Partition {} is already active ({}).", name(), to_string(state())));
  p_->power_down(*this);
  p_->power_up(*this);
}

void Partition::power_off() {
  std::lock_guard life(p_->life);
  if (vasi_state() == VasiState::kSuspended)
    throw std::runtime_error(fmt::format(
        "Partition {} is suspended by a migration; wait for its end or recover it first.", name()));
  p_->power_down(*this);
}

void Partition::request_power_off() { p_->request(Private::Request::kPowerOff); }
void Partition::reboot() { p_->request(Private::Request::kReboot); }

void Partition::request_shutdown() {
  if (outside_events_)
    outside_events_->submit(OutsideEvents::Kind::kShutdown, 0, {});
  else
    shutdown_arrived();
}

void Partition::stopped() {
  const Determinism& how = system_.identity().determinism;
  if (how.stopped && state() != PartitionState::kError) how.stopped(*this);
}

void Partition::shutdown_arrived() {
  p_->shutdown = true;
  xics_->pulse(kEpowIrq);
}

bool Partition::shutdown_requested() const { return p_->shutdown; }

void Partition::stop_all() {
  for (const auto& processor : processors_) processor->request_stop();
  memory().give_up();  // One that waits for a frame of a move that is not over would not stop.
  // A processor may have started another one before it stopped.
  for (bool all = false; !all;) {
    for (const auto& processor : processors_) processor->stop();
    all = std::ranges::all_of(processors_, [](const auto& p) { return p->dispatch() == Dispatch::kStopped; });
  }
}

/// Memory and page table as at the first power-on; the frames go back to the host.
void Partition::Private::wipe(Partition& partition) {
  if (!used) return;
  cpu::Memory& memory = partition.memory();
  cpu::HashPageTable& hpt = partition.hpt();
  memory.reset_expected();
  if (madvise(memory.host(0), memory.size(), MADV_DONTNEED) != 0) memory.fill(0, 0, memory.size());
  memory.written(0, memory.size());
  for (u64 ptex = 0; ptex < hpt.entries(); ptex++)
    if (const cpu::Hpte entry = hpt.get(ptex); entry.v | entry.r) hpt.set(ptex, {0, 0});
  partition.domain().forget_all_translations();
  used = false;
}

void Partition::Private::power_up(Partition& partition) {
  state = PartitionState::kStarting;
  partition.progress("C2001100");
  try {
    partition.load();
    partition.progress("C20011FF");
    partition.progress("C2002500");
    if (IoServer* server = partition.system_.io_server()) {
      server->attach(partition);
      attached = true;
    }
    partition.progress("C20025FF");
    partition.progress("C20082FF");
  } catch (...) {
    wipe(partition);
    state = PartitionState::kNotActivated;
    throw;
  }
  if (partition.outside_events_) partition.clock_.set_time_base(0);
  partition.processors_[0]->start(kEntry, kTreeAddress, true);
}

void Partition::Private::power_down(Partition& partition) {
  if (state == PartitionState::kNotActivated) return;
  state = PartitionState::kShuttingDown;
  partition.system_.vasi().signal(partition.stream_id(), VasiSignal::kCancel,
                                  vasi_reason(VasiEntity::kPlatform, 0));
  partition.stop_all();
  for (const auto& [slot, adapter] : partition.adapters_) adapter->reset();
  if (attached && partition.system_.io_server()) partition.system_.io_server()->detach(partition);
  attached = false;
  partition.xics_->reset();
  wipe(partition);
  state = PartitionState::kNotActivated;
}

void Partition::Private::request(Request what) {
  {
    std::lock_guard lock(request_lock);
    requests.push_back(what);
  }
  requested.notify_one();
}

void Partition::Private::end() {
  {
    std::lock_guard lock(request_lock);
    ending = true;
  }
  requested.notify_one();
  if (warden.joinable()) warden.join();
}

void Partition::Private::run(Partition& partition) {
  std::unique_lock lock(request_lock);
  while (true) {
    requested.wait(lock, [&] { return ending || !requests.empty(); });
    if (ending) return;
    const Request what = requests.front();
    requests.pop_front();
    lock.unlock();
    try {
      std::lock_guard guard(life);
      switch (what) {
        case Request::kPowerOff:
          power_down(partition);
          break;
        case Request::kReboot:
          power_down(partition);
          power_up(partition);
          break;
        case Request::kHalt:
          partition.stop_all();
          break;
      }
    } catch (const std::exception& problem) {
      partition.set_error(problem.what());
    }
    lock.lock();
  }
}

PartitionState Partition::state() const { return p_->state; }

void Partition::set_error(std::string why) {
  p_->state = PartitionState::kError;
  progress(why);
  const std::string text = "\r\n" + why + "\r\n";
  for (std::size_t at = 0; at < text.size(); at += 16) {
    u8 chunk[16] = {};
    const std::size_t length = std::min<std::size_t>(16, text.size() - at);
    std::copy_n(text.data() + at, length, chunk);
    console().h_put_term_char(length, load_be<u64>(chunk), load_be<u64>(chunk + 8));
  }
  p_->request(Private::Request::kHalt);
}

void Partition::note_running() {
  for (PartitionState from : {PartitionState::kStarting, PartitionState::kOpenFirmware})
    p_->state.compare_exchange_strong(from, PartitionState::kRunning);
}

// ---- operator panel: the reference code is its first line

void Partition::Private::publish(const std::string& code) {
  if (code.empty() || (!codes.empty() && codes.front().second == code)) return;
  codes.emplace_front(unix_seconds(), code);
  if (codes.size() > kMostCodes) codes.pop_back();
}

void Partition::progress(const std::string& code) {
  {
    std::lock_guard lock(p_->panel_lock);
    p_->lines[0] = code;
    p_->lines[1].clear();
    p_->row = p_->column = 0;
    p_->publish(code);
  }
  if (code.starts_with("CA")) {
    PartitionState from = PartitionState::kStarting;
    p_->state.compare_exchange_strong(from, PartitionState::kOpenFirmware);
  }
}

void Partition::panel_character(char c) {
  constexpr std::size_t kLongest = 80;
  std::lock_guard lock(p_->panel_lock);
  auto& lines = p_->lines;
  auto &row = p_->row, &column = p_->column;
  switch (c) {
    case '\f':
      p_->publish(lines[0]);
      lines[0].clear();
      lines[1].clear();
      row = column = 0;
      break;
    case '\r':
      if (row == 0) p_->publish(lines[0]);
      column = 0;
      break;
    case '\n':
      column = 0;
      if (row == 0) {
        p_->publish(lines[0]);
        row = 1;
        lines[1].clear();
      } else {
        lines[0] = std::exchange(lines[1], {});
      }
      break;
    default:
      if (c < 0x20 || c > 0x7E) return;
      if (column == 0) lines[row].clear();
      if (column < kLongest) lines[row] += c;
      column++;
  }
}

std::vector<std::pair<u64, std::string>> Partition::reference_codes() const {
  std::lock_guard lock(p_->panel_lock);
  // Software leaves its last message on the panel without ending the line.
  p_->publish(p_->lines[0]);
  return {p_->codes.begin(), p_->codes.end()};
}

std::string Partition::reference_code() const {
  const auto codes = reference_codes();
  return codes.empty() ? "" : codes.front().second;
}

// ---- platform state

PlatformState Partition::platform() const {
  std::lock_guard lock(p_->platform_lock);
  return p_->platform;
}

void Partition::change_platform(const std::function<void(PlatformState&)>& change) {
  std::lock_guard lock(p_->platform_lock);
  change(p_->platform);
}

}  // namespace baton::hypervisor
