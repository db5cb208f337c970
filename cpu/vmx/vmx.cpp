// SPDX-License-Identifier: Apache-2.0
#include "cpu/vmx/vmx.h"

namespace baton::cpu::vmx {
namespace {

constexpr u32 kSign = 0x80000000, kInfinity = 0x7F800000, kQuiet = 0x00400000, kLeastNormal = 0x00800000;
constexpr u32 kDefaultNan = 0x7FC00000;
constexpr double kLeastNormalValue = 0x1p-126;

u32 bits(float value) { return std::bit_cast<u32>(value); }
float real(u32 bits) { return std::bit_cast<float>(bits); }
bool is_nan(float value) { return __builtin_isnan(value); }
u32 magnitude(float value) { return bits(value) & ~kSign; }

/// `value` rounded to single.
float to_float(double value, bool denormals) {
  const bool tiny = __builtin_fabs(value) < kLeastNormalValue;
  return tiny && !denormals ? static_cast<float>(__builtin_copysign(0.0, value)) : static_cast<float>(value);
}

/// 2 to the power of `part`, at most a half either way: the exponential series of part * ln 2.
double exp2_of_part(double part) {
  constexpr int kTerms = 14;
  const double x = part * 0x1.62e42fefa39efp-1;
  double sum = 1;
  for (int n = kTerms; n > 0; n--) sum = 1 + sum * x / n;
  return sum;
}

float exp2_of(float b, bool denormals) {
  if (is_nan(b) || bits(b) == kInfinity) return b;
  // Outside of this range nothing but infinity and zero comes out.
  const double clamped = b < -160 ? -160 : b > 160 ? 160 : b;
  const double whole = __builtin_roundeven(clamped);
  const auto exponent = static_cast<u64>(1023 + static_cast<i64>(whole));
  return to_float(exp2_of_part(clamped - whole) * std::bit_cast<double>(exponent << 52), denormals);
}

float log2_of(float b, bool denormals) {
  const u32 size = magnitude(b);
  if (size == 0 || (size < kLeastNormal && !denormals)) return real(kSign | kInfinity);
  if (is_nan(b) || bits(b) == kInfinity) return b;
  if (bits(b) & kSign) return real(kDefaultNan);
  // b = 2^whole * part, with part from sqrt(1/2) to sqrt(2). As a double no operand is denormal.
  u64 part = std::bit_cast<u64>(static_cast<double>(b));
  i64 whole = static_cast<i64>(part >> 52) - 1023;
  part = (part & 0xFFFFFFFFFFFFF) | u64{1023} << 52;
  if (part > 0x3FF6A09E667F3BCD) {
    part -= u64{1} << 52;
    whole++;
  }
  // ln p = 2 artanh((p - 1) / (p + 1)); the quotient is below 0.172.
  const double p = std::bit_cast<double>(part), x = (p - 1) / (p + 1), square = x * x;
  double sum = 0;
  for (int n = 21; n > 0; n -= 2) sum = sum * square + 1.0 / n;
  return static_cast<float>(static_cast<double>(whole) + x * sum * 0x1.71547652b82fep+1);
}

template <class Function>
Floats each(Floats b, Function&& f) {
  Floats result;
  for (int i = 0; i < 4; i++) result[i] = f(b[i]);
  return result;
}

}  // namespace

Floats settle_nans(Floats result, Floats a, Floats b, Floats c) {
  Words words = std::bit_cast<Words>(result);
  for (int i = 0; i < 4; i++) {
    if (is_nan(a[i])) {
      words[i] = std::bit_cast<Words>(a)[i] | kQuiet;
    } else if (is_nan(b[i])) {
      words[i] = std::bit_cast<Words>(b)[i] | kQuiet;
    } else if (is_nan(c[i])) {
      words[i] = std::bit_cast<Words>(c)[i] | kQuiet;
    } else if (is_nan(result[i])) {
      words[i] = kDefaultNan;
    }
  }
  return std::bit_cast<Floats>(words);
}

Floats settle_tiny(Floats result, Floats a, Floats b, Floats c) {
  Words words = std::bit_cast<Words>(result);
  for (int i = 0; i < 4; i++) {
    if ((words[i] & ~kSign) != kLeastNormal) continue;
    // Doubles hold the product, and the sum with its error.
    const double product = static_cast<double>(a[i]) * c[i], addend = b[i], sum = product + addend;
    const double addend_part = sum - product, product_part = sum - addend_part;
    const double error = (product - product_part) + (addend - addend_part);
    const double outward = sum < 0 ? -error : error, size = __builtin_fabs(sum);
    if (size < kLeastNormalValue || (size == kLeastNormalValue && outward < 0)) words[i] &= kSign;
  }
  return std::bit_cast<Floats>(words);
}

Floats exp2_estimate(Floats b, bool denormals) {
  return each(b, [=](float x) { return exp2_of(x, denormals); });
}

Floats log2_estimate(Floats b, bool denormals) {
  return each(b, [=](float x) { return log2_of(x, denormals); });
}

}  // namespace baton::cpu::vmx
