// SPDX-License-Identifier: Apache-2.0
// Fixed-width names, big-endian access and IBM bit numbering.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>

namespace baton {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using i8 = std::int8_t;
using i16 = std::int16_t;
using i32 = std::int32_t;
using i64 = std::int64_t;
using u128 = unsigned __int128;
using i128 = __int128;

/// Swaps between host (little-endian x86-64) and guest (big-endian) order.
template <std::unsigned_integral T>
constexpr T byteswap(T value) {
  if constexpr (sizeof(T) == 1)
    return value;
  else if constexpr (sizeof(T) == 2)
    return __builtin_bswap16(value);
  else if constexpr (sizeof(T) == 4)
    return __builtin_bswap32(value);
  else
    return __builtin_bswap64(value);
}

/// Reads a big-endian value at any alignment.
template <std::unsigned_integral T>
inline T load_be(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return byteswap(value);
}

/// Writes a big-endian value at any alignment.
template <std::unsigned_integral T>
inline void store_be(void* to, T value) {
  value = byteswap(value);
  std::memcpy(to, &value, sizeof(T));
}

/// The mask of IBM bit `n` (0 = most significant) of a 64-bit register.
constexpr u64 ibm_bit(unsigned n) { return u64{1} << (63 - n); }

/// Bits first..last (IBM numbering within a 32-bit instruction word), right-justified.
constexpr u32 field(u32 word, unsigned first, unsigned last) {
  return (word >> (31 - last)) & ((u64{1} << (last - first + 1)) - 1);
}

/// Sign-extends the low `bits` of `value`.
constexpr i64 sign_extend(u64 value, unsigned bits) {
  return static_cast<i64>(value << (64 - bits)) >> (64 - bits);
}

}  // namespace baton
