// SPDX-License-Identifier: Apache-2.0
// Binary floating point on the host's arithmetic: results rounded to nearest, and by how much they are wrong.
//
// No host flag is read and no host mode is set. The error comes from error-free transformations: TwoSum for
// sums, an FMA residual for products, quotients and roots, ErrFmaNearest of Boldo and Muller for FMA. Each
// function says false where they do not hold, or the result is not a normal number well inside the range;
// these cases, NaNs among them, are for the integer arithmetic of fpu.cpp.
//
// Written so that compiled stencils need no constant pool: constants are integers, signs are flipped by the
// choice of operation. No expression may hold both a product and a sum: the compiler could fuse them.
#pragma once

#include "cpu/bits.h"

namespace baton::cpu::fpu::host {

#define BATON_HOST_FP [[gnu::always_inline]] inline

BATON_HOST_FP double real(u64 bits) { return std::bit_cast<double>(bits); }
BATON_HOST_FP u64 bits(double value) { return std::bit_cast<u64>(value); }
BATON_HOST_FP u32 exponent(u64 value) { return static_cast<u32>(value >> 52) & 0x7FF; }
BATON_HOST_FP bool exponent_in(u64 value, u32 first, u32 last) {
  return __builtin_expect(exponent(value) - first <= last - first, 1);
}

// Biased exponents. Between kLow and kHigh a result is normal, not tiny before rounding either, and its error
// can be computed without overflow; from kExact on, the error of a product or quotient is a double.
inline constexpr u32 kLow = 2, kHigh = 2044, kExact = 64;
// The same for single precision.
inline constexpr u32 kSingleLow = 1023 - 125, kSingleHigh = 1023 + 127;

/// A double rounded to nearest. `error` has the sign of (exact - value); it is +0 or -0 if the value is
/// exact. Without kError nobody asks, which leaves more results to be had.
struct Result {
  u64 value, error;
  bool exact() const { return error << 1 == 0; }
};

BATON_HOST_FP double sum_error(double a, double b, double sum) {
  const double b_part = sum - a;
  const double a_part = sum - b_part;
  return (a - a_part) + (b - b_part);
}
BATON_HOST_FP double difference_error(double a, double b, double difference) {
  const double b_part = difference - a;  // about -b
  const double a_part = difference - b_part;
  return (a - a_part) - (b + b_part);
}

/// a + b or a - b.
template <bool kSubtract, bool kError = true>
BATON_HOST_FP bool add(double a, double b, Result& out) {
  const double sum = kSubtract ? a - b : a + b;
  if (!exponent_in(bits(sum), kLow, kHigh)) return false;
  if constexpr (!kError) return out = {bits(sum), 0}, true;
  out = {bits(sum), bits(kSubtract ? difference_error(a, b, sum) : sum_error(a, b, sum))};
  return true;
}

template <bool kError = true>
BATON_HOST_FP bool multiply(double a, double c, Result& out) {
  const double product = a * c;
  if constexpr (!kError) return out = {bits(product), 0}, exponent_in(bits(product), kLow, kHigh);
  if (!exponent_in(bits(product), kExact, kHigh)) return false;
  out = {bits(product), bits(__builtin_fma(a, c, -product))};
  return true;
}

template <bool kError = true>
BATON_HOST_FP bool divide(double a, double b, Result& out) {
  const double quotient = a / b;
  if constexpr (!kError) return out = {bits(quotient), 0}, exponent_in(bits(quotient), kLow, kHigh);
  if (!exponent_in(bits(quotient), kLow, kHigh) || !exponent_in(bits(a), kExact, 0x7FF)) return false;
  const u64 remainder = bits(__builtin_fma(-quotient, b, a));
  out = {bits(quotient), remainder ^ (bits(b) & u64{1} << 63)};
  return true;
}

BATON_HOST_FP bool root(double b, Result& out) {
  // The upper part of a positive number without its fraction.
  if (__builtin_expect((bits(b) >> 52) - kExact > 0x7FE - kExact, 0)) return false;
  const double result = __builtin_sqrt(b);
  out = {bits(result), bits(__builtin_fma(-result, result, b))};
  return true;
}

/// a*c + b or a*c - b. The operands of a single operation are singles, or the result is undefined: their
/// product is exact, and what remains is a sum.
template <bool kSubtract, bool kSingle, bool kError = true>
BATON_HOST_FP bool multiply_add(double a, double b, double c, Result& out) {
  if constexpr (!kError && !kSingle) {
    const double result = __builtin_fma(a, c, kSubtract ? -b : b);
    return out = {bits(result), 0}, exponent_in(bits(result), kLow, kHigh);
  }
  const double product = a * c;
  const double low = __builtin_fma(a, c, -product);  // product + low is exact
  if (!exponent_in(bits(product), kExact, kHigh)) return false;
  if constexpr (kSingle) {
    return __builtin_expect(bits(low) << 1 == 0, 1) && add<kSubtract>(product, b, out);
  } else {
    const double result = __builtin_fma(a, c, kSubtract ? -b : b);
    if (!exponent_in(bits(result), kLow, kHigh)) return false;
    const double tail = kSubtract ? low - b : low + b;
    const double tail_error = kSubtract ? difference_error(low, b, tail) : sum_error(low, b, tail);
    const double head = product + tail;
    const double head_error = sum_error(product, tail, head);
    out = {bits(result), bits(((head - result) + head_error) + tail_error)};
    return true;
  }
}

/// To single precision, still in double format. False also when the first rounding hit a tie of the second.
BATON_HOST_FP bool to_single(Result& r) {
  const double rounded = static_cast<float>(real(r.value));
  if (!exponent_in(bits(rounded), kSingleLow, kSingleHigh)) return false;
  if (__builtin_expect((r.value & 0x1FFFFFFF) == 0x10000000 && !r.exact(), 0)) return false;
  const u64 error = bits(real(r.value) - rounded);
  r = {bits(rounded), error << 1 ? error : r.error};
  return true;
}

}  // namespace baton::cpu::fpu::host
