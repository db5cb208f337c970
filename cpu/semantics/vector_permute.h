// SPDX-License-Identifier: Apache-2.0
// VMX instructions that move elements: merge, splat, pack, unpack, permute, select, shifts of the whole
// register (see vector.h).
#pragma once

#include "cpu/semantics/vector_lanes.h"

namespace baton::cpu::sem {

namespace vmx {

BATON_VMX_INLINE __m128i integer(const State& s, u64 number) {
  return std::bit_cast<__m128i>(get<u64>(s, number));
}
/// Two registers through a host instruction that takes VRB's elements as the lower ones.
template <class O, class Op>
BATON_VMX_INLINE Flow join(State& s, O o, Op op) {
  if (!available(s)) return unavailable(s);
  return deliver(s, o.a(), op(integer(s, o.c()), integer(s, o.b())));
}

/// Lane i has the number i.
BATON_VMX_INLINE Lanes<u8> numbers() { return {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}; }
/// Lane i of the result is lane `from[i]` of the value, or 0 if that is 128 or more.
BATON_VMX_INLINE Lanes<u8> shuffle(Lanes<u8> value, Lanes<u8> from) {
  return as<u8>(_mm_shuffle_epi8(std::bit_cast<__m128i>(value), std::bit_cast<__m128i>(from)));
}
/// Whole bytes, 0 to 16, to the more and to the less significant end; zeros come in.
BATON_VMX_INLINE Lanes<u8> octets_left(Lanes<u8> value, u64 count) {
  return shuffle(value, numbers() - static_cast<u8>(count));
}
BATON_VMX_INLINE Lanes<u8> octets_right(Lanes<u8> value, u64 count) {
  return shuffle(value, numbers() + static_cast<u8>(count + 0x70));
}

/// Lane `lane` of VRB everywhere; LaneNumbers makes the byte numbers of one element from that of its first.
template <class T, class O>
BATON_VMX_INLINE Flow splat_element(State& s, O o) {
  if (!available(s)) return unavailable(s);
  constexpr u64 kCount = 16 / sizeof(T);
  constexpr auto kEach = static_cast<T>(0x0101010101010101), kBytes = static_cast<T>(0x03020100);
  const u64 lane = kCount - 1 - (o.b() & (kCount - 1));
  const auto from = static_cast<T>(static_cast<T>(lane * sizeof(T)) * kEach + kBytes);
  return deliver(s, o.a(), shuffle(get<u8>(s, o.c()), as<u8>(splat<T>(from))));
}
template <class T, class O>
BATON_VMX_INLINE Flow splat_immediate(State& s, O o) {
  if (!available(s)) return unavailable(s);
  return deliver(s, o.a(), splat<T>(static_cast<T>(sign_extend(o.b(), 5))));
}

/// What a pack loses of an element of T if it saturates, for elements of half the size: kUnsigned results
/// have to be below 2^n, others are from -2^(n-1) on.
template <class T, bool kUnsigned>
BATON_VMX_INLINE Lanes<T> overflow(Lanes<T> value) {
  constexpr int kHalf = 4 * sizeof(T);
  if constexpr (!kUnsigned) value += static_cast<T>(T{1} << (kHalf - 1));
  return value >> kHalf;
}
template <class T, bool kUnsigned, class O, class Op>
BATON_VMX_INLINE Flow pack(State& s, O o, Op op) {
  if (!available(s)) return unavailable(s);
  const auto a = get<T>(s, o.b()), b = get<T>(s, o.c());
  saturate(s, overflow<T, kUnsigned>(a) | overflow<T, kUnsigned>(b));
  return deliver(s, o.a(), op(std::bit_cast<__m128i>(b), std::bit_cast<__m128i>(a)));
}

/// Eight pixels of 1, 5, 5, 5 bits in words, as unpacking leaves them and packing wants them.
BATON_VMX_INLINE Words pixels(Lanes<i32> halfwords) {
  const Words bits = as<u32>(halfwords);
  return (bits & 0xFF000000) | (bits << 6 & 0x1F0000) | (bits << 3 & 0x1F00) | (bits & 0x1F);
}
BATON_VMX_INLINE __m128i packed_pixels(Words w) {
  return std::bit_cast<__m128i>((w >> 9 & 0xFC00) | (w >> 6 & 0x3E0) | (w >> 3 & 0x1F));
}

/// VRB's more or less significant half, each element of T sign-extended to twice its size.
template <class T, bool kHigh>
BATON_VMX_INLINE __m128i unpacked(__m128i v) {
  // Each element twice, and half of that shifted out.
  if constexpr (sizeof(T) == 1)
    return _mm_srai_epi16(kHigh ? _mm_unpackhi_epi8(v, v) : _mm_unpacklo_epi8(v, v), 8);
  else
    return _mm_srai_epi32(kHigh ? _mm_unpackhi_epi16(v, v) : _mm_unpacklo_epi16(v, v), 16);
}
template <class T, bool kHigh, class O>
BATON_VMX_INLINE Flow unpack(State& s, O o) {
  if (!available(s)) return unavailable(s);
  return deliver(s, o.a(), unpacked<T, kHigh>(integer(s, o.c())));
}
template <bool kHigh, class O>
BATON_VMX_INLINE Flow unpack_pixels(State& s, O o) {
  if (!available(s)) return unavailable(s);
  return deliver(s, o.a(), pixels(as<i32>(unpacked<u16, kHigh>(integer(s, o.c())))));
}

}  // namespace vmx

// Merges
#define BATON_VMX_JOIN(name, host)                                                  \
  BATON_SEMANTICS Flow name(State& s, O o) {                                        \
    return vmx::join(s, o, [](auto b, auto a) BATON_VMX_OP { return host(b, a); }); \
  }
BATON_VMX_JOIN(vmrghb, _mm_unpackhi_epi8)
BATON_VMX_JOIN(vmrghh, _mm_unpackhi_epi16)
BATON_VMX_JOIN(vmrghw, _mm_unpackhi_epi32)
BATON_VMX_JOIN(vmrglb, _mm_unpacklo_epi8)
BATON_VMX_JOIN(vmrglh, _mm_unpacklo_epi16)
BATON_VMX_JOIN(vmrglw, _mm_unpacklo_epi32)
#undef BATON_VMX_JOIN

// Splats
BATON_SEMANTICS Flow vspltb(State& s, O o) { return vmx::splat_element<u8>(s, o); }
BATON_SEMANTICS Flow vsplth(State& s, O o) { return vmx::splat_element<u16>(s, o); }
BATON_SEMANTICS Flow vspltw(State& s, O o) { return vmx::splat_element<u32>(s, o); }
BATON_SEMANTICS Flow vspltisb(State& s, O o) { return vmx::splat_immediate<u8>(s, o); }
BATON_SEMANTICS Flow vspltish(State& s, O o) { return vmx::splat_immediate<u16>(s, o); }
BATON_SEMANTICS Flow vspltisw(State& s, O o) { return vmx::splat_immediate<u32>(s, o); }

// Packs. The host saturates signed elements only: unsigned ones are made small enough first.
BATON_SEMANTICS Flow vpkuhum(State& s, O o) {
  return vmx::join(s, o, [](auto b, auto a) BATON_VMX_OP {
    const auto low = _mm_set1_epi16(0xFF);
    return _mm_packus_epi16(b & low, a & low);
  });
}
BATON_SEMANTICS Flow vpkuwum(State& s, O o) {
  return vmx::join(s, o, [](auto b, auto a) BATON_VMX_OP {
    const auto low = _mm_set1_epi32(0xFFFF);
    return _mm_packus_epi32(b & low, a & low);
  });
}
BATON_SEMANTICS Flow vpkuhus(State& s, O o) {
  return vmx::pack<u16, true>(s, o, [](auto b, auto a) BATON_VMX_OP {
    const auto most = _mm_set1_epi16(0xFF);
    return _mm_packus_epi16(_mm_min_epu16(b, most), _mm_min_epu16(a, most));
  });
}
BATON_SEMANTICS Flow vpkuwus(State& s, O o) {
  return vmx::pack<u32, true>(s, o, [](auto b, auto a) BATON_VMX_OP {
    const auto most = _mm_set1_epi32(0xFFFF);
    return _mm_packus_epi32(_mm_min_epu32(b, most), _mm_min_epu32(a, most));
  });
}
BATON_SEMANTICS Flow vpkshus(State& s, O o) {
  return vmx::pack<u16, true>(s, o, [](auto b, auto a) BATON_VMX_OP { return _mm_packus_epi16(b, a); });
}
BATON_SEMANTICS Flow vpkswus(State& s, O o) {
  return vmx::pack<u32, true>(s, o, [](auto b, auto a) BATON_VMX_OP { return _mm_packus_epi32(b, a); });
}
BATON_SEMANTICS Flow vpkshss(State& s, O o) {
  return vmx::pack<u16, false>(s, o, [](auto b, auto a) BATON_VMX_OP { return _mm_packs_epi16(b, a); });
}
BATON_SEMANTICS Flow vpkswss(State& s, O o) {
  return vmx::pack<u32, false>(s, o, [](auto b, auto a) BATON_VMX_OP { return _mm_packs_epi32(b, a); });
}
BATON_SEMANTICS Flow vpkpx(State& s, O o) {
  return vmx::binary<u32>(s, o, [](auto a, auto b) BATON_VMX_OP {
    return _mm_packus_epi32(vmx::packed_pixels(b), vmx::packed_pixels(a));
  });
}

// Unpacks
BATON_SEMANTICS Flow vupkhsb(State& s, O o) { return vmx::unpack<i8, true>(s, o); }
BATON_SEMANTICS Flow vupkhsh(State& s, O o) { return vmx::unpack<i16, true>(s, o); }
BATON_SEMANTICS Flow vupklsb(State& s, O o) { return vmx::unpack<i8, false>(s, o); }
BATON_SEMANTICS Flow vupklsh(State& s, O o) { return vmx::unpack<i16, false>(s, o); }
BATON_SEMANTICS Flow vupkhpx(State& s, O o) { return vmx::unpack_pixels<true>(s, o); }
BATON_SEMANTICS Flow vupklpx(State& s, O o) { return vmx::unpack_pixels<false>(s, o); }

// Permute and select
/// Element n of VRA and VRB together is lane 15 - n of VRA or lane 31 - n of VRB.
BATON_SEMANTICS Flow vperm(State& s, O o) {
  return vmx::ternary<u8>(s, o, [](auto a, auto b, auto c) BATON_VMX_OP {
    const auto from = ~c & 15;
    // The host chooses by the highest bit of a byte.
    return _mm_blendv_epi8(std::bit_cast<__m128i>(vmx::shuffle(a, from)),
                           std::bit_cast<__m128i>(vmx::shuffle(b, from)),
                           std::bit_cast<__m128i>(vmx::as<u16>(c) << 3));
  });
}
BATON_SEMANTICS Flow vsel(State& s, O o) {
  return vmx::ternary<u64>(s, o, [](auto a, auto b, auto c) BATON_VMX_OP { return (a & ~c) | (b & c); });
}

// Shifts of the whole register
BATON_SEMANTICS Flow vsldoi(State& s, O o) {
  const u64 count = o.d() & 15;
  return vmx::binary<u8>(s, o, [=](auto a, auto b) BATON_VMX_OP {
    return vmx::octets_left(a, count) | vmx::octets_right(b, 16 - count);
  });
}
BATON_SEMANTICS Flow vslo(State& s, O o) {
  return vmx::binary<u8>(s, o,
                         [](auto a, auto b) BATON_VMX_OP { return vmx::octets_left(a, b[0] >> 3 & 15); });
}
BATON_SEMANTICS Flow vsro(State& s, O o) {
  return vmx::binary<u8>(s, o,
                         [](auto a, auto b) BATON_VMX_OP { return vmx::octets_right(a, b[0] >> 3 & 15); });
}
/// By 0 to 7 bits; the count is that of the last byte of VRB.
BATON_SEMANTICS Flow vsl(State& s, O o) {
  return vmx::binary<u8>(s, o, [](auto a, auto b) BATON_VMX_OP {
    return std::bit_cast<vmx::Words>(std::bit_cast<u128>(a) << (b[0] & 7));
  });
}
BATON_SEMANTICS Flow vsr(State& s, O o) {
  return vmx::binary<u8>(s, o, [](auto a, auto b) BATON_VMX_OP {
    return std::bit_cast<vmx::Words>(std::bit_cast<u128>(a) >> (b[0] & 7));
  });
}

}  // namespace baton::cpu::sem
