// SPDX-License-Identifier: Apache-2.0
// Logical LAN client adapter (VIO 3; LoPAR ch_virtual_io, Interpartition Logical LAN).
#include <algorithm>

#include "hypervisor/adapter.h"
#include "hypervisor/hcall.h"
#include "hypervisor/lan_offload.h"
#include "hypervisor/outside_events.h"
#include "hypervisor/partition.h"

namespace baton::hypervisor {
namespace {

// Buffer descriptor (VIO 3.2): control byte, 24-bit length, 32-bit I/O address.
constexpr u64 kValid = u64{0x80} << 56, kToggle = u64{0x40} << 56;
constexpr u64 kOtherControl = u64{0x7F} << 56;
// Of a frame to be sent, in its first descriptor.
constexpr u64 kLargeSend = u64{4} << 56, kNoChecksum = u64{2} << 56, kChecksumGood = u64{1} << 56;
constexpr u64 length_of(u64 descriptor) { return descriptor >> 32 & 0xFFFFFF; }
constexpr u64 address_of(u64 descriptor) { return descriptor & 0xFFFFFFFF; }

// Receive queue entry: control byte.
constexpr u8 kEntryToggle = 0x80, kEntryValid = 0x40, kEntryChecksumGood = 0x01;

// ILLAN attributes (VIO 3.3): what there is, and what the guest may switch on.
constexpr u64 kLargeSendSupported = 0x8000, kPaddedChecksum = 0x2000,
              kOffered = kLargeSendSupported | kPaddedChecksum;
constexpr u64 kLargeEnabled = 0x10000, kChecksum6 = 0x4, kChecksum4 = 0x2;
constexpr u64 kChangeable = kLargeEnabled | kChecksum6 | kChecksum4;
constexpr u64 kShortestMss = 64;  // Bounds the frames that one call can make.

constexpr u64 kPage = 4096;
constexpr u64 kDroppedCounter = 4088;  // In the buffer list.
constexpr u64 kEntryBytes = 16;
constexpr u64 kCorrelatorBytes = 8;
constexpr u64 kMacMask = 0xFFFF'FFFF'FFFF;
constexpr std::size_t kMostBuffers = 8192;
constexpr std::size_t kShortestBuffer = 16;
constexpr std::size_t kHeader = 14, kLongestFrame = 65536 + 18;

// H_MULTICAST_CTRL (VIO 3.3).
constexpr u64 kModifyReception = 0x80000, kModifyFiltering = 0x40000, kReception = 0x20000,
              kFiltering = 0x10000;
constexpr u64 kTableBits = 3, kAddFilter = 1, kRemoveFilter = 2, kClearTable = 3;

u64 to_number(const std::array<u8, 6>& mac) {
  u64 value = 0;
  for (const u8 byte : mac) value = value << 8 | byte;
  return value;
}

std::array<u8, 6> to_mac(u64 value) {
  std::array<u8, 6> mac;
  for (int i = 5; i >= 0; i--, value >>= 8) mac[i] = static_cast<u8>(value);
  return mac;
}

bool put_doubleword(TceTable& tce, u64 ioba, u64 value) {
  alignas(8) u8 bytes[8];  // Aligned, so that memory sees one store.
  store_be<u64>(bytes, value);
  return tce.write(ioba, bytes);
}

}  // namespace

LogicalLan::LogicalLan(Partition& partition, u32 slot, std::array<u8, 6> mac)
    : VirtualAdapter(partition, slot), tce_(0x10000000 | slot, partition.memory()) {
  state_.mac = mac;
}

void LogicalLan::connect(EthernetPort* port) {
  std::unique_lock guard(port_lock_);
  port_ = port;
}

void LogicalLan::close() {
  set_signal(false);
  const auto mac = state_.mac;
  const u64 attributes = state_.attributes;
  state_ = {};
  state_.mac = mac;
  state_.attributes = attributes;
}

void LogicalLan::reset() {
  std::lock_guard guard(lock_);
  close();
  state_.attributes = 0;
  paused_ = false;
  tce_.clear();
}

std::array<u8, 6> LogicalLan::mac() const {
  std::lock_guard guard(lock_);
  return state_.mac;
}

i64 LogicalLan::h_register(u64 buffer_list, u64 rx_queue, u64 filter_list, u64 mac) {
  std::lock_guard guard(lock_);
  if (state_.open) return h::Resource;
  const auto mapped = [&](u64 ioba, u64 length) {
    return tce_.check(ioba, length, true) && tce_.check(ioba, length, false);
  };
  if (buffer_list % kPage || !mapped(buffer_list, kPage) || filter_list % kPage ||
      !mapped(filter_list, kPage))
    return h::Parameter;
  const u64 queue = address_of(rx_queue), length = length_of(rx_queue);
  if (!(rx_queue & kValid) || (rx_queue & kOtherControl) || length < kEntryBytes || length % kEntryBytes ||
      queue % kEntryBytes || !mapped(queue, length))
    return h::Parameter;
  close();
  state_.buffer_list = buffer_list;
  state_.rx_queue = rx_queue;
  state_.filter_list = filter_list;
  state_.mac = to_mac(mac & kMacMask);
  const std::vector<u8> zero(kPage);
  if (!tce_.write(buffer_list, zero) || !put_doubleword(tce_, buffer_list, rx_queue) ||
      !put_doubleword(tce_, buffer_list + 8, kValid | kPage << 32 | filter_list))
    return h::Parameter;
  state_.open = true;
  return h::Success;
}

i64 LogicalLan::h_free() {
  std::lock_guard guard(lock_);
  close();
  return h::Success;
}

i64 LogicalLan::h_add_buffer(u64 descriptor) {
  std::lock_guard guard(lock_);
  if (!(descriptor & kValid) || (descriptor & kOtherControl) || length_of(descriptor) < kShortestBuffer ||
      !tce_.check(address_of(descriptor), length_of(descriptor), true))
    return h::Parameter;
  if (!state_.open || state_.buffers.size() >= kMostBuffers) return h::Resource;
  state_.buffers.push_back(descriptor);
  return h::Success;
}

i64 LogicalLan::h_free_buffer(u64 size) {
  std::lock_guard guard(lock_);
  if (!state_.open) return h::NotFound;
  auto& buffers = state_.buffers;
  const auto found = std::ranges::find(buffers, size, length_of);
  if (found == buffers.end()) return h::NotFound;
  const u64 buffer = *found;
  *found = buffers.back();
  buffers.pop_back();
  return post(buffer, 0, 0) ? h::Success : h::Hardware;
}

/// Writes the next receive queue entry for `buffer` and signals.
bool LogicalLan::post(u64 buffer, u8 flags, u64 length) {
  alignas(8) u8 correlator[kCorrelatorBytes];
  const u64 entry = address_of(state_.rx_queue) + state_.rx_offset;
  if (!tce_.read(address_of(buffer), correlator) || !tce_.write(entry + 8, correlator)) return false;
  std::atomic_thread_fence(std::memory_order_release);
  const u64 control = flags | (state_.rx_toggle ? kEntryToggle : 0);
  // Control, reserved, offset and length in one store: the consumer polls the control byte.
  if (!put_doubleword(tce_, entry, control << 56 | kCorrelatorBytes << 32 | length)) return false;
  state_.rx_offset += kEntryBytes;
  if (state_.rx_offset >= length_of(state_.rx_queue)) {
    state_.rx_offset = 0;
    state_.rx_toggle = !state_.rx_toggle;
    state_.rx_queue ^= kToggle;
    put_doubleword(tce_, state_.buffer_list, state_.rx_queue);
  }
  signal();
  return true;
}

void LogicalLan::count_drop() {
  state_.dropped++;
  put_doubleword(tce_, state_.buffer_list + kDroppedCounter, state_.dropped);
}

bool LogicalLan::accepts(std::span<const u8> frame) const {
  if (frame[0] & 1) {
    if (std::ranges::all_of(frame.first(6), [](u8 byte) { return byte == 0xFF; })) return true;
    if (!state_.all_multicast) return false;
    if (!state_.filtering) return true;
    std::array<u8, 6> group;
    std::copy_n(frame.begin(), 6, group.begin());
    return std::ranges::find(state_.multicast, to_number(group)) != state_.multicast.end();
  }
  return std::ranges::equal(frame.first(6), state_.mac);
}

bool LogicalLan::receive(std::span<const u8> frame) {
  OutsideEvents* events = partition_.outside_events();
  if (!events) return arrived(frame);
  events->submit(OutsideEvents::Kind::kFrame, slot(), frame);
  return true;
}

bool LogicalLan::arrived(std::span<const u8> frame) {
  if (frame.size() < kHeader || frame.size() > kLongestFrame) return false;
  std::lock_guard guard(lock_);
  if (!state_.open || paused_ || !accepts(frame)) return false;
  auto& buffers = state_.buffers;
  auto best = buffers.end();
  for (auto it = buffers.begin(); it != buffers.end(); ++it)
    if (length_of(*it) >= frame.size() + kCorrelatorBytes &&
        (best == buffers.end() || length_of(*it) < length_of(*best)))
      best = it;
  if (best == buffers.end()) {
    count_drop();
    return false;
  }
  const u64 buffer = *best;
  *best = buffers.back();
  buffers.pop_back();
  if (!tce_.write(address_of(buffer) + kCorrelatorBytes, frame)) {
    // The guest took the mapping away under a posted buffer. It gets the buffer back, marked as without
    // message.
    post(buffer, 0, 0);
    count_drop();
    return false;
  }
  u8 flags = kEntryValid;
  if (state_.attributes & (kChecksum4 | kChecksum6)) {
    const auto tcp = parse_tcp(frame);
    if (tcp && (state_.attributes & (tcp->v6 ? kChecksum6 : kChecksum4)) && tcp_checksum_good(frame, *tcp))
      flags |= kEntryChecksumGood;
  }
  return post(buffer, flags, frame.size());
}

void LogicalLan::pause(bool paused) {
  std::lock_guard guard(lock_);
  paused_ = paused;
}

i64 LogicalLan::h_send(std::span<const u64, 6> descriptors, u64 continue_token, u64 mss) {
  thread_local std::vector<u8> storage(kLongestFrame + 8);
  // Memory copies aligned doublewords fastest: the frame gets the alignment that it has in the partition.
  const std::span<u8> room(storage.data() + address_of(descriptors[0]) % 8, kLongestFrame);
  u64 length = 0;
  {
    std::lock_guard guard(lock_);
    if (!state_.open || paused_) return h::Dropped;
    for (const u64 descriptor : descriptors) {
      if (!(descriptor & kValid)) break;
      const u64 bytes = length_of(descriptor);
      if ((descriptor & kOtherControl & ~(kLargeSend | kNoChecksum | kChecksumGood)) ||
          length + bytes > room.size())
        return h::Parameter;
      if (!tce_.read(address_of(descriptor), room.subspan(length, bytes))) return h::Parameter;
      length += bytes;
    }
  }
  if (length == 0) return h::Success;
  if (length < kHeader) return h::Dropped;
  const auto frame = room.first(length);

  // What the sender leaves to us is done here, so that everything on the switch is a plain frame. It is not
  // asked whether the attribute is on: a partition that came from a system that did not tell must go on
  // talking.
  const bool fill = descriptors[0] & kNoChecksum, large = (descriptors[0] & kLargeSend) && mss;
  if (fill && !(descriptors[0] & kChecksumGood)) return h::Parameter;
  std::optional<TcpFrame> tcp;
  if (fill || large) {
    tcp = parse_tcp(frame);
    if (!tcp || (large && mss < kShortestMss)) return h::Parameter;
  }
  std::shared_lock guard(port_lock_);
  if (!port_) return h::Dropped;
  if (large && tcp->end - tcp->payload > mss) {
    segment_tcp(frame, *tcp, mss, [&](std::span<const u8> piece) { port_->transmit(piece); });
    return h::Success;
  }
  if (fill) fill_tcp_checksum(frame, *tcp);
  port_->transmit(frame);
  return h::Success;
}

i64 LogicalLan::h_multicast_ctrl(u64 flags, u64 mac, u64& out) {
  std::lock_guard guard(lock_);
  if (!state_.open || (flags & ~(kModifyReception | kModifyFiltering | kReception | kFiltering | kTableBits)))
    return h::Parameter;
  mac &= kMacMask;
  i64 status = h::Success;
  auto& table = state_.multicast;
  const auto found = std::ranges::find(table, mac);
  switch (flags & kTableBits) {
    case kAddFilter:
      if (!(mac >> 40 & 1))
        status = h::Parameter;
      else if (found != table.end())
        break;
      else if (table.size() >= kMulticastFilters)
        status = h::Constrained;
      else
        table.push_back(mac);
      break;
    case kRemoveFilter:
      if (found == table.end())
        status = h::NotFound;
      else
        table.erase(found);
      break;
    case kClearTable:
      table.clear();
      break;
    default:
      break;
  }
  if (status == h::Success) {
    if (flags & kModifyReception) state_.all_multicast = flags & kReception;
    if (flags & kModifyFiltering) state_.filtering = flags & kFiltering;
  }
  out = (state_.all_multicast ? kReception : 0) | (state_.filtering ? kFiltering : 0) | table.size();
  return status;
}

i64 LogicalLan::h_change_mac(u64 mac) {
  if (mac >> 40 & 1) return h::Parameter;  // A group address is nobody's own.
  std::lock_guard guard(lock_);
  state_.mac = to_mac(mac & kMacMask);
  return h::Success;
}

i64 LogicalLan::h_illan_attributes(u64 reset_mask, u64 set_mask, u64& out) {
  std::lock_guard guard(lock_);
  // Masks of bits that are not here are ignored; the others change only while the adapter is closed.
  const u64 wanted = ((state_.attributes & ~reset_mask) | set_mask) & kChangeable;
  const bool refused = state_.open && wanted != state_.attributes;
  if (!refused) state_.attributes = wanted;
  out = state_.attributes | kOffered;
  return refused ? h::Constrained : h::Success;
}

LogicalLan::Snapshot LogicalLan::save() const {
  std::lock_guard guard(lock_);
  Snapshot snapshot = state_;
  snapshot.signal = signal_enabled();
  snapshot.tces = tce_.save();
  return snapshot;
}

void LogicalLan::restore(const Snapshot& snapshot) {
  std::lock_guard guard(lock_);
  tce_.restore(snapshot.tces);
  state_ = snapshot;
  state_.tces.clear();
  // Damaged streams are not believed: these two bound every later access.
  if (length_of(state_.rx_queue) % kEntryBytes || state_.rx_offset % kEntryBytes ||
      state_.rx_offset >= length_of(state_.rx_queue))
    state_.open = false;
  state_.attributes &= kChangeable;
  if (state_.buffers.size() > kMostBuffers) state_.buffers.resize(kMostBuffers);
  if (state_.multicast.size() > kMulticastFilters) state_.multicast.resize(kMulticastFilters);
  set_signal(state_.open && snapshot.signal);
}

}  // namespace baton::hypervisor
