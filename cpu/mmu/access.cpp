// SPDX-License-Identifier: Apache-2.0
#include "cpu/mmu/access.h"

#include <utility>

#include "cpu/thread.h"

namespace baton::cpu {
namespace {

constexpr u64 kBlock = 128;  // cache block and reservation granule
constexpr u64 kPageMask = 0xFFF;

/// Host address through the TLB or the slow path; nullptr with a fault recorded. Stays inside one page.
u8* resolve(State& s, u64 ea, u64 size, Access access, u64* ra, Use use = Use::kPlain) {
  const u64 page = ea >> 12;
  const TlbEntry& entry = s.translations[page & (kTlbEntries - 1)];
  const auto& tag = access == Access::kStore ? entry.write_tag : entry.read_tag;
  if (tag.load(std::memory_order_relaxed) == page) {
    *ra = u64{entry.frame} << kFrameShift | (ea & kPageMask);
    return reinterpret_cast<u8*>(ea + entry.addend);
  }
  return s.thread->access_slow(ea, size, access, use, ra);
}

/// Parts of an access that crosses a page. Others may access the same bytes, so that memcpy would be a race.
void copy_part(u8* to, const u8* from, u64 size) {
  for (; size; size--, to++, from++)
    __atomic_store_n(to, __atomic_load_n(from, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
}

/// Whether an instruction that has stored may be executed again.
enum class Again { kMay, kMustNot };

/// True with Stop::kAgain if what follows the instruction may be compiled from bytes that are no longer
/// there. Executed again, the store changes nothing and kills nothing.
bool stale(Thread& thread) {
  if (!thread.code_killed.load(std::memory_order_relaxed) || !thread.code_killed.exchange(false))
    return false;
  thread.state().stop = Stop::kAgain;
  return true;
}

/// Runs `put(host, ra)` on translated storage. Frames that hold code are written under the code lock, so that
/// no thread decodes half of an update (cpu/domain.h).
template <class Put>
bool with_store(State& s, u64 ea, u64 size, Use use, Put&& put, Again again = Again::kMay) {
  Thread& thread = *s.thread;
  Domain& domain = thread.domain();
  u64 ra;
  u8* host = resolve(s, ea, size, Access::kStore, &ra, use);
  if (!host) return false;
  if (!domain.memory().holds_code(ra >> kFrameShift)) {
    put(host, ra);
    return again == Again::kMustNot || !stale(thread);
  }
  thread.leave_guest();
  std::lock_guard lock(domain.code_lock());
  thread.enter_guest();
  if (!thread.still_fetched()) {
    // Nobody waited for us while we waited, not even who took the page of this instruction away.
    s.stop = Stop::kRetry;
    return false;
  }
  host = resolve(s, ea, size, Access::kStore, &ra, use);
  if (!host) return false;
  u8 before[kBlock], after[kBlock];
  copy_part(before, host, size);
  put(host, ra);
  copy_part(after, host, size);
  domain.code_stored(ra, size);
  return again == Again::kMustNot || std::memcmp(before, after, size) == 0 || !stale(thread);
}

bool little_endian(const State& s) { return s.msr & msr::LE; }

/// Between a register's value and storage, either way.
template <std::unsigned_integral T>
T in_order(T value, bool little) {
  return little ? value : byteswap(value);
}

template <class T>
void put_whole(u8* host, const void* value, bool little) {
  T v;
  std::memcpy(&v, value, sizeof v);
  __atomic_store_n(reinterpret_cast<T*>(host), in_order(v, little), __ATOMIC_RELAXED);
}

void put_bytes(u8* host, const void* host_order, u64 size, bool little) {
  switch (size) {
    case 1:
      return put_whole<u8>(host, host_order, little);
    case 2:
      return put_whole<u16>(host, host_order, little);
    case 4:
      return put_whole<u32>(host, host_order, little);
    case 8:
      return put_whole<u64>(host, host_order, little);
    default:
      put_whole<u64>(host + (little ? 8 : 0), static_cast<const u8*>(host_order) + 8, little);
      return put_whole<u64>(host + (little ? 0 : 8), host_order, little);
  }
}

template <class T>
void get_whole(const u8* host, void* out, bool little) {
  const T v = in_order(__atomic_load_n(reinterpret_cast<const T*>(host), __ATOMIC_RELAXED), little);
  std::memcpy(out, &v, sizeof v);
}

void get_bytes(const u8* host, void* host_order, u64 size, bool little) {
  switch (size) {
    case 1:
      return get_whole<u8>(host, host_order, little);
    case 2:
      return get_whole<u16>(host, host_order, little);
    case 4:
      return get_whole<u32>(host, host_order, little);
    case 8:
      return get_whole<u64>(host, host_order, little);
    default:
      get_whole<u64>(host + (little ? 8 : 0), static_cast<u8*>(host_order) + 8, little);
      return get_whole<u64>(host + (little ? 0 : 8), host_order, little);
  }
}

u64 next_page(const State& s, u64 ea) { return ((ea | kPageMask) + 1) & s.ea_mask; }

/// A part of the access at `ea` faulted. An alignment interrupt is about the address that the instruction
/// gave.
bool part_refused(State& s, u64 ea) {
  if (s.stop == Stop::kInterrupt && s.fault.vector == Vector::kAlignment) s.dar = ea;
  return false;
}

}  // namespace

bool load_slow(State& s, u64 ea, u64 size, void* out) {
  u64 ra;
  const u64 head = std::min(size, kPageMask + 1 - (ea & kPageMask));
  if (head == size) {
    const u8* host = resolve(s, ea, size, Access::kLoad, &ra);
    if (host) get_bytes(host, out, size, little_endian(s));
    return host;
  }
  const u8* first = resolve(s, ea, head, Access::kLoad, &ra, Use::kPart);
  if (!first) return false;
  const u8* second = resolve(s, next_page(s, ea), size - head, Access::kLoad, &ra, Use::kPart);
  if (!second) return part_refused(s, ea);
  u8 bytes[8];
  copy_part(bytes, first, head);
  copy_part(bytes + head, second, size - head);
  get_bytes(bytes, out, size, little_endian(s));
  return true;
}

bool store_slow(State& s, u64 ea, u64 size, const void* in) {
  const bool little = little_endian(s);
  const u64 head = std::min(size, kPageMask + 1 - (ea & kPageMask));
  if (head == size)
    return with_store(s, ea, size, Use::kPlain, [&](u8* host, u64) { put_bytes(host, in, size, little); });
  // Both pages must allow the store before the first byte of it is done.
  u64 ra;
  if (!resolve(s, ea, head, Access::kStore, &ra, Use::kPart)) return false;
  if (!resolve(s, next_page(s, ea), size - head, Access::kStore, &ra, Use::kPart)) return part_refused(s, ea);
  u8 bytes[8];
  put_bytes(bytes, in, size, little);
  return with_store(s, ea, head, Use::kPart, [&](u8* host, u64) { copy_part(host, bytes, head); }) &&
         with_store(s, next_page(s, ea), size - head, Use::kPart,
                    [&](u8* host, u64) { copy_part(host, bytes + head, size - head); });
}

bool probe_load(State& s, u64 ea) {
  u64 ra;
  return resolve(s, ea, 1, Access::kLoad, &ra, Use::kTouch) != nullptr;
}

bool zero_block(State& s, u64 ea) {
  const u64 block = ea & ~(kBlock - 1);
  const bool done = with_store(s, block, kBlock, Use::kBlock, [&](u8* host, u64) {
    for (u64 i = 0; i < kBlock; i += 8)
      __atomic_store_n(reinterpret_cast<u64*>(host + i), 0, __ATOMIC_RELAXED);
  });
  return done || part_refused(s, ea);
}

template <std::unsigned_integral T>
bool load_reserve_slow(State& s, u64 ea, T& out) {
  u64 ra;
  const u8* host = resolve(s, ea, sizeof(T), Access::kLoad, &ra, Use::kAtomic);
  if (!host) return false;
  const T raw = __atomic_load_n(reinterpret_cast<const T*>(host), __ATOMIC_ACQUIRE);
  reserve(s, ra, raw);
  out = in_order(raw, little_endian(s));
  return true;
}

template <std::unsigned_integral T>
bool store_conditional_slow(State& s, u64 ea, T value, bool& stored) {
  stored = false;
  const bool done = with_store(
      s, ea, sizeof(T), Use::kAtomic,
      [&](u8* host, u64 ra) {
        stored = store_if_reserved(s, reinterpret_cast<T*>(host), ra, in_order(value, little_endian(s)));
      },
      Again::kMustNot);
  if (!done) return false;
  conditional_store_done(s, stored);
  return true;
}

template bool load_reserve_slow<u32>(State&, u64, u32&);
template bool load_reserve_slow<u64>(State&, u64, u64&);
template bool store_conditional_slow<u32>(State&, u64, u32, bool&);
template bool store_conditional_slow<u64>(State&, u64, u64, bool&);

bool load_quad(State& s, u64 ea, u64& high, u64& low) {
  u64 ra;
  const u8* host = resolve(s, ea, 16, Access::kLoad, &ra, Use::kAtomic);
  if (!host) return false;
  // Memory is private and writable, so that an exchange of nothing reads all 16 bytes at once.
  const u128 raw = __sync_val_compare_and_swap(reinterpret_cast<u128*>(const_cast<u8*>(host)), 0, 0);
  high = byteswap(static_cast<u64>(raw));
  low = byteswap(static_cast<u64>(raw >> 64));
  return true;
}

bool store_quad(State& s, u64 ea, u64 high, u64 low) {
  return with_store(s, ea, 16, Use::kAtomic, [&](u8* host, u64) {
    const u128 raw = u128{byteswap(low)} << 64 | byteswap(high);
    u128* at = reinterpret_cast<u128*>(host);
    u128 seen = __sync_val_compare_and_swap(at, 0, 0);
    for (u128 now; (now = __sync_val_compare_and_swap(at, seen, raw)) != seen;) seen = now;
  });
}

}  // namespace baton::cpu
