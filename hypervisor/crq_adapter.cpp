// SPDX-License-Identifier: Apache-2.0
// CRQ transport, client end (VIO 1).
#include "hypervisor/adapter.h"
#include "hypervisor/hcall.h"
#include "hypervisor/partition.h"

namespace baton::hypervisor {
namespace {

constexpr u64 kEntryBytes = 16;
constexpr u64 kPage = 4096;
constexpr u64 kLongestQueue = 1 << 20;  // Far above any driver's; bounds the validation below.
constexpr u8 kTransport = 0xFF;
constexpr u8 kPartnerDeregistered = 0x02;

bool put_doubleword(TceTable& tce, u64 ioba, u64 value) {
  alignas(8) u8 bytes[8];  // Aligned, so that memory sees one store and the guest never half a header.
  store_be<u64>(bytes, value);
  return tce.write(ioba, bytes);
}

}  // namespace

CrqAdapter::CrqAdapter(Partition& partition, u32 slot)
    : VirtualAdapter(partition, slot), tce_(0x10000000 | slot, partition.memory()) {}

void CrqAdapter::connect(CrqServer* server) {
  std::unique_lock server_guard(server_lock_);
  if (server == server_) return;
  const bool had_server = server_ != nullptr;
  server_ = server;
  bool registered;
  {
    std::lock_guard guard(lock_);
    registered = registered_;
  }
  if (!registered) return;
  if (server)
    server->client_registered();
  else if (had_server)
    transport_event(kPartnerDeregistered);
}

void CrqAdapter::reset() {
  h_free_crq();
  std::lock_guard guard(lock_);
  tce_.clear();
}

i64 CrqAdapter::h_reg_crq(u64 queue_ioba, u64 length) {
  std::unique_lock server_guard(server_lock_);
  {
    std::lock_guard guard(lock_);
    if (registered_) return h::Resource;
    if (queue_ioba % kPage || length % kPage || length == 0 || length > kLongestQueue) return h::Parameter;
    if (!tce_.check(queue_ioba, length, true) || !tce_.check(queue_ioba, length, false)) return h::Parameter;
    registered_ = true;
    disabled_ = false;
    queue_ = queue_ioba;
    length_ = length;
    offset_ = 0;
    set_signal(false);
  }
  if (!server_) return h::Closed;
  server_->client_registered();
  return h::Success;
}

i64 CrqAdapter::h_free_crq() {
  std::unique_lock server_guard(server_lock_);
  {
    std::lock_guard guard(lock_);
    set_signal(false);
    if (!registered_) return h::Success;
    registered_ = disabled_ = false;
    queue_ = length_ = offset_ = 0;
  }
  if (server_) server_->client_closed();
  return h::Success;
}

i64 CrqAdapter::h_send_crq(const CrqEntry& entry) {
  const u8 header = entry.high >> 56;
  if (!(header & 0x80) || header == kTransport) return h::Parameter;
  std::shared_lock server_guard(server_lock_);
  {
    std::lock_guard guard(lock_);
    if (!registered_ || disabled_) return h::Closed;
  }
  if (!server_) return h::Closed;
  if (!server_->receive(entry)) return h::Dropped;
  if (partition_.outside_events()) server_->settle();
  return h::Success;
}

i64 CrqAdapter::h_enable_crq() {
  {
    std::lock_guard guard(lock_);
    if (!registered_) return h::Closed;
  }
  // What is mapped will be used as soon as the queue is enabled. Some waiting here is short; Linux, which is
  // told to ask again, does so after 100 ms.
  constexpr u32 kAwaited = 32;
  switch (tce_.await_pages(kAwaited)) {
    case TceTable::Pages::kSomeMissing:
      return h::LongBusy10ms;
    case TceTable::Pages::kLost:
      return h::Hardware;
    case TceTable::Pages::kHere:
      break;
  }
  std::lock_guard guard(lock_);
  if (!registered_) return h::Closed;
  disabled_ = false;
  return h::Success;
}

bool CrqAdapter::enqueue(const CrqEntry& entry, bool overwrite_last) {
  u64 at = offset_;
  u8 header = 0;
  if (!tce_.read(queue_ + at, {&header, 1})) return false;
  const bool full = header & 0x80;
  if (full) {
    if (!overwrite_last) return false;
    at = (at + length_ - kEntryBytes) % length_;
  }
  // The consumer takes an entry as soon as its header is there, so the header goes last.
  if (!put_doubleword(tce_, queue_ + at + 8, entry.low)) return false;
  std::atomic_thread_fence(std::memory_order_release);
  if (!put_doubleword(tce_, queue_ + at, entry.high)) return false;
  if (!full) offset_ = (offset_ + kEntryBytes) % length_;
  return true;
}

bool CrqAdapter::deliver(const CrqEntry& entry) {
  std::lock_guard guard(lock_);
  if (!registered_ || disabled_ || !enqueue(entry, false)) return false;
  signal();
  return true;
}

void CrqAdapter::disable() {
  std::lock_guard guard(lock_);
  disabled_ = registered_;
}

void CrqAdapter::transport_event(u8 code) {
  std::lock_guard guard(lock_);
  if (!registered_) return;
  if (enqueue({u64{kTransport} << 56 | u64{code} << 48, 0}, true)) signal();
}

CrqAdapter::Snapshot CrqAdapter::save() const {
  std::lock_guard guard(lock_);
  return {registered_, disabled_, signal_enabled(), queue_, length_, offset_, tce_.save()};
}

void CrqAdapter::restore(const Snapshot& snapshot) {
  std::unique_lock server_guard(server_lock_);
  {
    std::lock_guard guard(lock_);
    tce_.restore(snapshot.tces);
    // A queue that could not have been registered here is not believed: the stream may be damaged.
    const bool sound = snapshot.length > 0 && snapshot.length <= kLongestQueue &&
                       snapshot.length % kPage == 0 && snapshot.queue % kPage == 0 &&
                       snapshot.offset < snapshot.length && snapshot.offset % kEntryBytes == 0;
    registered_ = snapshot.registered && sound;
    disabled_ = registered_ && snapshot.disabled;
    queue_ = registered_ ? snapshot.queue : 0;
    length_ = registered_ ? snapshot.length : 0;
    offset_ = registered_ ? snapshot.offset : 0;
    set_signal(registered_ && snapshot.signal);
    if (!registered_) return;
  }
  if (server_) server_->client_registered();
}

}  // namespace baton::hypervisor
