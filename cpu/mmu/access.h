// SPDX-License-Identifier: Apache-2.0
// Guest storage access as semantics see it: a software TLB hit inline, everything else behind one call.
#pragma once

#include "cpu/state.h"

namespace baton::cpu {

// Cold paths, in cpu/mmu/access.cpp. They also serve accesses that cross a page. False: state.fault is set.
bool load_slow(State& s, u64 ea, u64 size, void* host_order_out);
bool store_slow(State& s, u64 ea, u64 size, const void* host_order_in);

/// The entry that an access to `ea` uses, if any.
inline const TlbEntry& look_aside(const State& s, u64 ea) {
  // As a byte offset, which saves an instruction.
  constexpr u64 kMask = (kTlbEntries - 1) * sizeof(TlbEntry);
  static_assert(sizeof(TlbEntry) == 32);
  return *reinterpret_cast<const TlbEntry*>(reinterpret_cast<const char*>(s.dtlb) + (ea >> 7 & kMask));
}
/// The tag of that entry if it allows an access of `size` bytes. An access that crosses into the next page
/// has that page's number here, which no entry of this slot can have.
inline u64 wanted_tag(u64 ea, u64 size) { return (ea + size - 1) >> 12; }

#ifdef BATON_REGION
// In a compiled region (cpu/engine/llvm/translate.cpp) the look-up is a way out of it where the look-aside
// has no answer, so that it always succeeds.
extern "C" u64 baton_read_addend(u64 ea, u64 size);
extern "C" u64 baton_write_addend(u64 ea, u64 size);

inline bool may_read(const State&, u64 ea, u64 size, u64& addend) {
  addend = baton_read_addend(ea, size);
  return true;
}
inline bool may_write(const State&, u64 ea, u64 size, u64& addend) {
  addend = baton_write_addend(ea, size);
  return true;
}
#else
/// Whether the look-aside allows an access of `size` bytes at `ea`: then `addend` makes it a host address.
[[gnu::always_inline]] inline bool may_read(const State& s, u64 ea, u64 size, u64& addend) {
  const TlbEntry& entry = look_aside(s, ea);
  if (__builtin_expect(entry.read_tag.load(std::memory_order_relaxed) != wanted_tag(ea, size), 0))
    return false;
  addend = entry.addend;
  return true;
}
[[gnu::always_inline]] inline bool may_write(const State& s, u64 ea, u64 size, u64& addend) {
  const TlbEntry& entry = look_aside(s, ea);
  if (__builtin_expect(entry.write_tag.load(std::memory_order_relaxed) != wanted_tag(ea, size), 0))
    return false;
  addend = entry.addend;
  return true;
}
#endif

/// Loads a T (8, 16, 32 or 64 bits, any alignment, in the byte order of MSR[LE]) from `ea`, which must
/// already be under s.ea_mask. On false an interrupt is recorded and the instruction must return Flow::kStop
/// without further effect.
template <std::unsigned_integral T>
[[nodiscard, clang::no_sanitize("alignment")]] inline bool load(State& s, u64 ea, T& out) {
  u64 addend;
  if (__builtin_expect(may_read(s, ea, sizeof(T), addend), 1)) {
    out = byteswap(__atomic_load_n(reinterpret_cast<const T*>(ea + addend), __ATOMIC_RELAXED));
    return true;
  }
  if (!load_slow(s, ea, sizeof(T), &s.slow_value)) return false;
  std::memcpy(&out, &s.slow_value, sizeof(T));
  return true;
}

/// Stores a T to `ea` (under s.ea_mask). On false as for load().
template <std::unsigned_integral T>
[[nodiscard, clang::no_sanitize("alignment")]] inline bool store(State& s, u64 ea, T value) {
  u64 addend;
  if (__builtin_expect(may_write(s, ea, sizeof(T), addend), 1)) {
    __atomic_store_n(reinterpret_cast<T*>(ea + addend), byteswap(value), __ATOMIC_RELAXED);
    return true;
  }
  std::memcpy(&s.slow_value, &value, sizeof(T));
  return store_slow(s, ea, sizeof(T), &s.slow_value);
}

/// Sixteen bytes as a register holds them: as a number, the first byte of (big-endian) storage last.
using Quadword = u8 __attribute__((vector_size(16)));
inline Quadword reverse(Quadword q) {
  return __builtin_shufflevector(q, q, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
}

/// Loads 16 bytes from `ea`, a multiple of 16 under s.ea_mask; not as one atomic access. On false as for
/// load().
[[nodiscard, clang::no_sanitize("thread")]] inline bool load_vector(State& s, u64 ea, Quadword& out) {
  u64 addend;
  if (__builtin_expect(may_read(s, ea, sizeof(Quadword), addend), 1)) {
    out = reverse(*reinterpret_cast<const Quadword*>(ea + addend));
    return true;
  }
  return load_slow(s, ea, sizeof(Quadword), &out);
}

/// Stores 16 bytes to `ea`, likewise.
[[nodiscard, clang::no_sanitize("thread")]] inline bool store_vector(State& s, u64 ea, Quadword value) {
  u64 addend;
  if (__builtin_expect(may_write(s, ea, sizeof(Quadword), addend), 1)) {
    *reinterpret_cast<Quadword*>(ea + addend) = reverse(value);
    return true;
  }
  return store_slow(s, ea, sizeof(Quadword), &value);
}

/// Touches `ea` as a load would (dcbst, dcbf, icbi) without reading. False: fault recorded.
[[nodiscard]] bool probe_load(State& s, u64 ea);
/// dcbz: zeroes the 128-byte block that holds `ea`.
[[nodiscard]] bool zero_block(State& s, u64 ea);

// The same where the look-aside has no answer, in cpu/mmu/access.cpp.
template <std::unsigned_integral T>
bool load_reserve_slow(State& s, u64 ea, T& out);
template <std::unsigned_integral T>
bool store_conditional_slow(State& s, u64 ea, T value, bool& stored);

/// Sets the reservation of `ra`, where `raw` lies.
template <std::unsigned_integral T>
inline void reserve(State& s, u64 ra, T raw) {
  s.reserved = true;
  s.reserved_ra = ra;
  s.reserved_size = sizeof(T);
  s.reserved_value = raw;
  happened(s, Event::kReservations);
}

/// lwarx / ldarx: loads and sets the reservation. `ea` aligned to T.
template <std::unsigned_integral T>
[[nodiscard]] inline bool load_reserve(State& s, u64 ea, T& out) {
  const TlbEntry& entry = look_aside(s, ea);
  if (__builtin_expect(entry.read_tag.load(std::memory_order_relaxed) != ea >> 12, 0))
    return load_reserve_slow(s, ea, out);
  const T raw = __atomic_load_n(reinterpret_cast<const T*>(ea + entry.addend), __ATOMIC_ACQUIRE);
  reserve(s, u64{entry.frame} << 12 | (ea & 0xFFF), raw);
  out = byteswap(raw);
  return true;
}

/// The store of store_conditional() to `host`, which is `ra`: true if the reservation holds. `value` as it
/// lies in memory.
template <std::unsigned_integral T>
[[nodiscard]] inline bool store_if_reserved(const State& s, T* host, u64 ra, T value) {
  // POWER6 compares the address of the reservation (STCX_CHECKS_ADDRESS in Linux).
  if (!s.reserved || s.reserved_ra != ra || s.reserved_size != sizeof(T)) return false;
  T expected = static_cast<T>(s.reserved_value);
  return __atomic_compare_exchange_n(host, &expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}
/// Ends the reservation.
inline void conditional_store_done(State& s, bool stored) {
  s.reserved = false;
  happened(s, Event::kConditionalStores);
  if (!stored) happened(s, Event::kConditionalStoresFailed);
}

/// stwcx. / stdcx.: translates as a store, then stores if the reservation holds; `stored` says whether it
/// did.
template <std::unsigned_integral T>
[[nodiscard]] inline bool store_conditional(State& s, u64 ea, T value, bool& stored) {
  const TlbEntry& entry = look_aside(s, ea);
  if (__builtin_expect(entry.write_tag.load(std::memory_order_relaxed) != ea >> 12, 0))
    return store_conditional_slow(s, ea, value, stored);
  stored = store_if_reserved(s, reinterpret_cast<T*>(ea + entry.addend),
                             u64{entry.frame} << 12 | (ea & 0xFFF), byteswap(value));
  conditional_store_done(s, stored);
  return true;
}
/// lq / stq: 16 bytes, aligned, as one atomic access.
[[nodiscard]] bool load_quad(State& s, u64 ea, u64& high, u64& low);
[[nodiscard]] bool store_quad(State& s, u64 ea, u64 high, u64 low);

extern template bool load_reserve_slow<u32>(State&, u64, u32&);
extern template bool load_reserve_slow<u64>(State&, u64, u64&);
extern template bool store_conditional_slow<u32>(State&, u64, u32, bool&);
extern template bool store_conditional_slow<u64>(State&, u64, u64, bool&);

}  // namespace baton::cpu
