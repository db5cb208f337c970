// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/system.h"

#include <fmt/format.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>

namespace baton::hypervisor {
namespace {

constexpr u32 kFirstPartition = 2;  ///< 1 is the Virtual I/O Server.
constexpr u32 kLastPartition = 254;
constexpr int kNice = 10;  ///< Of the thread that frees partitions.

}  // namespace

ManagedSystem::ManagedSystem(SystemIdentity identity, std::string default_firmware)
    : identity_(std::move(identity)), default_firmware_(std::move(default_firmware)) {}

ManagedSystem::~ManagedSystem() {
  partitions_.clear();
  {
    const std::lock_guard lock(let_go_lock_);
    closing_ = true;
  }
  let_go_changed_.notify_all();
  if (freeing_.joinable()) freeing_.join();
}

/// The last who used it lets go of it.
void ManagedSystem::let_go(Partition* partition) {
  std::unique_ptr<Partition> owned(partition);
  owned->close();
  const std::lock_guard lock(let_go_lock_);
  let_go_.push_back(std::move(owned));
  if (!freeing_.joinable()) freeing_ = std::thread([this] { free_partitions(); });
  let_go_changed_.notify_all();
}

void ManagedSystem::free_partitions() {
  pthread_setname_np(pthread_self(), "freeing");
  setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kNice);
  std::unique_lock lock(let_go_lock_);
  while (true) {
    let_go_changed_.wait(lock, [this] { return closing_ || !let_go_.empty(); });
    if (let_go_.empty()) return;
    // Who moved away has just been resumed, perhaps on this host: it has the processors for itself.
    constexpr std::chrono::seconds kPatience{1};
    let_go_changed_.wait_for(lock, kPatience, [this] { return closing_; });
    std::unique_ptr<Partition> partition = std::move(let_go_.front());
    let_go_.pop_front();
    lock.unlock();
    partition.reset();
    lock.lock();
  }
}

std::shared_ptr<Partition> ManagedSystem::create(Profile profile) {
  std::lock_guard lock(lock_);
  for (const auto& partition : partitions_) {
    if (partition->name() == profile.name)
      throw std::runtime_error(
          fmt::format("System {} already has a partition named {}.", identity_.name, profile.name));
    if (partition->id() == profile.id)
      throw std::runtime_error(fmt::format("Partition number {} on system {} belongs to {}.", profile.id,
                                           identity_.name, partition->name()));
  }
  if (profile.name.empty() || profile.name.size() > 31)
    throw std::runtime_error("A partition's name has 1 to 31 characters.");
  if (profile.id < kFirstPartition || profile.id > kLastPartition)
    throw std::runtime_error(
        fmt::format("Partition number {} is out of range ({} to {}; 1 is the Virtual I/O Server).",
                    profile.id, kFirstPartition, kLastPartition));
  if (const std::string server = io_server_ ? io_server_->server_name(profile.id) : ""; !server.empty())
    throw std::runtime_error(
        fmt::format("Partition number {} on system {} belongs to {}.", profile.id, identity_.name, server));
  if (profile.memory > free_memory_locked())
    throw std::runtime_error(fmt::format("Partition {} wants {} MB; system {} has {} MB left.", profile.name,
                                         profile.memory >> 20, identity_.name, free_memory_locked() >> 20));
  if (profile.processors > free_processors_locked())
    throw std::runtime_error(fmt::format("Partition {} wants {} processors; system {} has {} left.",
                                         profile.name, profile.processors, identity_.name,
                                         free_processors_locked()));
  std::shared_ptr<Partition> partition;
  try {
    partition = {new Partition(*this, std::move(profile)), [this](Partition* p) { let_go(p); }};
  } catch (const std::bad_alloc&) {
    throw std::runtime_error("The host has no room for the partition's memory; lower memory in its profile.");
  }
  partitions_.push_back(partition);
  return partition;
}

bool ManagedSystem::remove(u32 id) {
  std::shared_ptr<Partition> removed;  // Destroyed outside the lock.
  std::lock_guard lock(lock_);
  const auto found = std::ranges::find(partitions_, id, [](const auto& p) { return p->id(); });
  if (found == partitions_.end()) return false;
  const PartitionState state = (*found)->state();
  if (state != PartitionState::kNotActivated && state != PartitionState::kError)
    throw std::runtime_error(
        fmt::format("Partition {} is active ({}); shut it down first.", (*found)->name(), to_string(state)));
  removed = std::move(*found);
  partitions_.erase(found);
  return true;
}

std::shared_ptr<Partition> ManagedSystem::find(const std::string& name_or_id) const {
  std::lock_guard lock(lock_);
  for (const auto& partition : partitions_)
    if (partition->name() == name_or_id) return partition;
  for (const auto& partition : partitions_)
    if (std::to_string(partition->id()) == name_or_id) return partition;
  return nullptr;
}

std::vector<std::shared_ptr<Partition>> ManagedSystem::partitions() const {
  std::lock_guard lock(lock_);
  return partitions_;
}

u64 ManagedSystem::free_memory_locked() const {
  u64 used = 0;
  for (const auto& partition : partitions_) used += partition->profile().memory;
  return identity_.memory - std::min(identity_.memory, used);
}

u32 ManagedSystem::free_processors_locked() const {
  u32 used = 0;
  for (const auto& partition : partitions_) used += partition->profile().processors;
  return identity_.processors - std::min(identity_.processors, used);
}

u64 ManagedSystem::free_memory() const {
  std::lock_guard lock(lock_);
  return free_memory_locked();
}

u32 ManagedSystem::free_processors() const {
  std::lock_guard lock(lock_);
  return free_processors_locked();
}

u32 ManagedSystem::next_free_id() const {
  std::lock_guard lock(lock_);
  for (u32 id = kFirstPartition; id <= kLastPartition; id++)
    if (std::ranges::none_of(partitions_, [&](const auto& p) { return p->id() == id; }) &&
        !(io_server_ && !io_server_->server_name(id).empty()))
      return id;
  return 0;
}

}  // namespace baton::hypervisor
