// SPDX-License-Identifier: Apache-2.0
// Binary floating point in integers: exact for every operand, mode and exception (POWER6-ISA 2.4, 4.11).
#include "cpu/fpu/fpu.h"

#include <bit>
#include <cmath>

#include "cpu/fpu/host.h"
#include "cpu/semantics/floating_point.h"

namespace baton::cpu::fpu {
namespace {

constexpr u64 kSign = u64{1} << 63, kInfinity = u64{0x7FF} << 52, kQuiet = u64{1} << 51,
              kFraction = (u64{1} << 52) - 1, kDefaultNan = u64{0x7FF8} << 48;

constexpr bool is_nan(u64 v) { return (v & ~kSign) > kInfinity; }
constexpr bool is_signalling(u64 v) { return is_nan(v) && !(v & kQuiet); }
constexpr bool is_infinite(u64 v) { return (v & ~kSign) == kInfinity; }
constexpr bool is_zero(u64 v) { return v << 1 == 0; }

constexpr bool is_single(Op op) { return static_cast<u32>(op) & static_cast<u32>(Op::kSingle); }
constexpr Op to_double(Op op) {
  return static_cast<Op>(static_cast<u32>(op) & ~static_cast<u32>(Op::kSingle));
}
constexpr bool negates(Op op) { return op == Op::kNmadd || op == Op::kNmsub; }

/// A finite number: (-1)^sign * significand * 2^(exponent - 63). The significand has its top bit set; for
/// zero it is 0. A lowest bit that stands for "and something non-zero below" is enough for every rounding.
struct Number {
  bool sign;
  int exponent;
  u64 significand;
};

Number unpack(u64 v) {
  const bool sign = v >> 63;
  const int biased = static_cast<int>(v >> 52 & 0x7FF);
  const u64 fraction = (v & kFraction) << 11;
  if (biased) return {sign, biased - 1023, kSign | fraction};
  if (!fraction) return {sign, 0, 0};
  const int zeros = std::countl_zero(fraction);
  return {sign, -1022 - zeros, fraction << zeros};
}

/// (significand, exponent of its top bit) to a Number; `wide` is not zero.
Number normalise(bool sign, int exponent, u128 wide) {
  const u64 high = static_cast<u64>(wide >> 64);
  const int zeros = high ? std::countl_zero(high) : 64 + std::countl_zero(static_cast<u64>(wide));
  wide <<= zeros;
  return {sign, exponent - zeros, static_cast<u64>(wide >> 64) | (static_cast<u64>(wide) != 0)};
}

/// Shift right, keeping in the lowest bit whether ones were lost.
u128 shift_sticky(u128 value, int count) {
  if (count == 0) return value;
  if (count > 127) return value != 0;
  return value >> count | ((value << (128 - count)) != 0);
}

/// FPRF of a result.
u64 classify(u64 v) {
  const bool sign = v >> 63;
  const u64 magnitude = v & ~kSign;
  u64 code;
  if (magnitude > kInfinity)
    code = 0x11;
  else if (magnitude == kInfinity)
    code = sign ? 0x09 : 0x05;
  else if (magnitude > kFraction)
    code = sign ? 0x08 : 0x04;
  else if (magnitude)
    code = sign ? 0x18 : 0x14;
  else
    code = sign ? 0x12 : 0x02;
  return code << 12;
}

/// What an instruction is about to do to the target and FPSCR.
struct Outcome {
  u64 value = 0;
  u64 flags = 0;  ///< Exception bits, FR and FI.
};

/// Records the outcome. An enabled invalid operation or division by zero leaves the target as it was.
Flow complete(State& s, u32 frt, Outcome outcome, bool set_fprf) {
  const u64 exceptions = outcome.flags & fpscr::kExceptions;
  u64 f = s.fpscr & ~(fpscr::FR | fpscr::FI);
  if (exceptions & ~f) f |= fpscr::FX;
  f |= outcome.flags;
  const bool suppressed =
      (exceptions & fpscr::kInvalid && f & fpscr::VE) || (exceptions & fpscr::ZX && f & fpscr::ZE);
  if (!suppressed) {
    s.fpr[frt] = outcome.value;
    if (set_fprf) f = (f & ~fpscr::FPRF) | classify(outcome.value);
  }
  s.fpscr = summarise(f);
  // Only what this instruction did counts for the interrupt, not what was pending before.
  const bool enabled =
      summarise(exceptions | (f & (fpscr::VE | fpscr::OE | fpscr::UE | fpscr::ZE | fpscr::XE))) & fpscr::FEX;
  if (enabled && interrupt_due(s)) return sem::raise(s, Vector::kProgram, program::kFloat);
  return Flow::kNext;
}

bool round_up(Rounding rounding, bool sign, bool odd, bool half, bool below_half) {
  switch (rounding) {
    case Rounding::kNearest:
      return half && (odd || below_half);
    case Rounding::kNearestAway:
      return half;
    case Rounding::kZero:
      return false;
    case Rounding::kUp:
      return !sign && (half || below_half);
    case Rounding::kDown:
      return sign && (half || below_half);
  }
  return false;
}

/// A rounded-off integer: value >> drop, and what became of the bits that fell off.
struct Dropped {
  u64 kept;
  bool inexact, incremented;
};
Dropped drop_bits(u64 value, int drop, Rounding rounding, bool sign) {
  if (drop <= 0) return {value << -drop, false, false};
  if (drop > 64) {
    drop = 64;
    value = 1;  // less than a half
  }
  const u64 kept = drop == 64 ? 0 : value >> drop;
  const bool half = value >> (drop - 1) & 1;
  const bool below = (value & ((u64{1} << (drop - 1)) - 1)) != 0;
  const bool up = round_up(rounding, sign, kept & 1, half, below);
  return {kept + up, half || below, up};
}

/// integer * 2^exponent, exactly, as a double. Only results that the architecture leaves undefined do not
/// fit.
u64 pack(bool sign, u64 integer, int exponent) {
  const u64 s = sign ? kSign : 0;
  if (!integer) return s;
  const int zeros = std::countl_zero(integer), top = 63 - zeros + exponent;
  if (top > 1023) return s | kInfinity;
  if (top >= -1022) return s | static_cast<u64>(top + 1023) << 52 | ((integer << zeros) >> 11 & kFraction);
  const int shift = exponent + 1074;
  return shift < 0 ? s : s | integer << shift;
}

/// Rounds to the precision, with overflow and underflow.
Outcome round(const State& s, Number n, bool to_single) {
  const auto rounding = static_cast<Rounding>(s.fpscr & fpscr::RN);
  const int precision = to_single ? 24 : 53, least = to_single ? -126 : -1022,
            greatest = to_single ? 127 : 1023;
  const int adjust = to_single ? 192 : 1536;
  Outcome outcome;
  int drop = 64 - precision;
  const bool tiny = n.exponent < least;
  if (tiny) {
    if (s.fpscr & fpscr::UE) {
      outcome.flags |= fpscr::UX;
      n.exponent += adjust;
    } else {
      drop += least - n.exponent;
    }
  }
  Dropped rounded = drop_bits(n.significand, drop, rounding, n.sign);
  if (!tiny && n.exponent + (rounded.kept >> precision != 0) > greatest) {
    outcome.flags |= fpscr::OX;
    if (!(s.fpscr & fpscr::OE)) {
      const bool infinite =
          rounding == Rounding::kNearest || rounding == (n.sign ? Rounding::kDown : Rounding::kUp);
      const u64 magnitude = infinite ? kInfinity : to_single ? 0x47EFFFFFE0000000 : kInfinity - 1;
      outcome.value = (n.sign ? kSign : 0) | magnitude;
      // FR is undefined here.
      outcome.flags |= fpscr::XX | fpscr::FI | (infinite ? fpscr::FR : 0);
      return outcome;
    }
    n.exponent -= adjust;
  }
  if (rounded.inexact) {
    outcome.flags |= fpscr::XX | fpscr::FI;
    if (tiny) outcome.flags |= fpscr::UX;
  }
  if (rounded.incremented) outcome.flags |= fpscr::FR;
  outcome.value = pack(n.sign, rounded.kept, n.exponent - 63 + drop);
  return outcome;
}

Outcome invalid(u64 cause) { return {kDefaultNan, cause}; }
Outcome infinity(bool sign, u64 flags = 0) { return {(sign ? kSign : 0) | kInfinity, flags}; }
Outcome zero(bool sign) { return {sign ? kSign : 0, 0}; }
/// The sign of an exact zero sum of numbers that are not both zeros of that sign.
bool cancelled_sign(const State& s) { return static_cast<Rounding>(s.fpscr & fpscr::RN) == Rounding::kDown; }

/// Sum of two numbers, given as (sign, exponent of bit 126, significand with its top at bit 126 or zero).
struct Wide {
  bool sign;
  int exponent;
  u128 significand;
};
Outcome sum(const State& s, Wide x, Wide y, bool to_single) {
  if (!x.significand && !y.significand) return zero(x.sign == y.sign ? x.sign : cancelled_sign(s));
  if (!x.significand || (y.significand && y.exponent > x.exponent)) std::swap(x, y);
  const u128 shifted = y.significand ? shift_sticky(y.significand, x.exponent - y.exponent) : 0;
  if (x.sign == y.sign)
    return round(s, normalise(x.sign, x.exponent + 1, x.significand + shifted), to_single);
  if (x.significand == shifted) return zero(cancelled_sign(s));
  const bool swap = x.significand < shifted;
  const u128 difference = swap ? shifted - x.significand : x.significand - shifted;
  return round(s, normalise(x.sign != swap, x.exponent + 1, difference), to_single);
}
Wide widen(Number n) { return {n.sign, n.exponent, static_cast<u128>(n.significand) << 63}; }

Outcome add(const State& s, u64 a, u64 b, bool to_single) {
  if (is_infinite(a)) {
    return is_infinite(b) && (a ^ b) & kSign ? invalid(fpscr::VXISI) : infinity(a >> 63);
  }
  if (is_infinite(b)) return infinity(b >> 63);
  return sum(s, widen(unpack(a)), widen(unpack(b)), to_single);
}

Wide product(u64 a, u64 c) {
  const Number x = unpack(a), y = unpack(c);
  const u128 wide = static_cast<u128>(x.significand) * y.significand;
  const bool sign = x.sign != y.sign;
  // 53 by 53 bits: the low ones are zero, nothing is lost.
  if (wide >> 127) return {sign, x.exponent + y.exponent + 1, wide >> 1};
  return {sign, x.exponent + y.exponent, wide};
}

Outcome multiply(const State& s, u64 a, u64 c, bool to_single) {
  if (is_infinite(a) || is_infinite(c)) {
    return is_zero(a) || is_zero(c) ? invalid(fpscr::VXIMZ) : infinity((a ^ c) >> 63);
  }
  const Wide p = product(a, c);
  if (!p.significand) return zero(p.sign);
  return round(s, normalise(p.sign, p.exponent + 1, p.significand), to_single);
}

Outcome multiply_add(const State& s, u64 a, u64 b, u64 c, bool to_single) {
  if (is_infinite(a) || is_infinite(c)) {
    const bool sign = (a ^ c) >> 63;
    if (is_zero(a) || is_zero(c)) return invalid(fpscr::VXIMZ);
    return is_infinite(b) && sign != (b >> 63) ? invalid(fpscr::VXISI) : infinity(sign);
  }
  if (is_infinite(b)) return infinity(b >> 63);
  return sum(s, product(a, c), widen(unpack(b)), to_single);
}

Outcome divide(const State& s, u64 a, u64 b, bool to_single) {
  const bool sign = (a ^ b) >> 63;
  if (is_infinite(a)) return is_infinite(b) ? invalid(fpscr::VXIDI) : infinity(sign);
  if (is_infinite(b)) return zero(sign);
  if (is_zero(b)) return is_zero(a) ? invalid(fpscr::VXZDZ) : infinity(sign, fpscr::ZX);
  if (is_zero(a)) return zero(sign);
  const Number x = unpack(a), y = unpack(b);
  const bool less = x.significand < y.significand;
  const u128 dividend = static_cast<u128>(x.significand) << (less ? 64 : 63);
  // What unpack() gives of a number that is not zero has its top bit set.
  // NOLINTNEXTLINE(clang-analyzer-core.DivideZero)
  const u64 quotient = static_cast<u64>(dividend / y.significand);
  const bool rest = dividend % y.significand != 0;
  return round(s, {sign, x.exponent - y.exponent - less, quotient | rest}, to_single);
}

/// The integer part of the root, bit by bit, and whether there was a rest.
u64 integer_root(u128 value, bool* rest) {
  u64 root = 0;
  for (u64 bit = kSign; bit; bit >>= 1) {
    const u64 trial = root | bit;
    if (static_cast<u128>(trial) * trial <= value) root = trial;
  }
  *rest = static_cast<u128>(root) * root != value;
  return root;
}

Outcome root(const State& s, u64 b, bool to_single) {
  if (is_zero(b)) return zero(b >> 63);
  if (b >> 63) return invalid(fpscr::VXSQRT);
  if (is_infinite(b)) return infinity(false);
  const Number n = unpack(b);
  bool rest;
  const u64 result = integer_root(static_cast<u128>(n.significand) << (63 + (n.exponent & 1)), &rest);
  return round(s, {false, n.exponent >> 1, result | rest}, to_single);
}

/// FR, FI and XX of an estimate are undefined: 0, 0, and not set.
Outcome estimate(Outcome outcome) {
  outcome.flags &= ~(fpscr::FR | fpscr::FI | fpscr::XX);
  return outcome;
}

Outcome reciprocal_root(const State& s, u64 b, bool to_single) {
  if (is_zero(b)) return infinity(b >> 63, fpscr::ZX);
  if (b >> 63) return invalid(fpscr::VXSQRT);
  if (is_infinite(b)) return zero(false);
  return round(s, unpack(std::bit_cast<u64>(1.0 / std::sqrt(std::bit_cast<double>(b)))), to_single);
}

Outcome from_integer(const State& s, u64 b) {
  if (!b) return zero(false);
  const bool sign = b >> 63;
  const u64 magnitude = sign ? 0 - b : b;
  const int zeros = std::countl_zero(magnitude);
  return round(s, {sign, 63 - zeros, magnitude << zeros}, false);
}

/// A result of the host rounded again to the guest's mode and precision; false when that takes more.
bool rounded_again(const State& s, host::Result r, bool to_single, Outcome& outcome) {
  const auto rounding = static_cast<Rounding>(s.fpscr & fpscr::RN);
  if (to_single && !host::to_single(r)) return false;
  outcome = {r.value, 0};
  if (r.exact()) return true;
  const bool sign = r.value >> 63;
  const bool above = (r.error ^ r.value) >> 63;  // its magnitude is
  const bool up =
      rounding == Rounding::kNearest ? above : rounding == (sign ? Rounding::kDown : Rounding::kUp);
  // To the neighbour on the other side of the exact result.
  if (up != above) outcome.value += (to_single ? u64{1} << 29 : 1) * (up ? 1 : ~u64{0});
  outcome.flags = fpscr::XX | fpscr::FI | (up ? fpscr::FR : 0);
  return !to_single || host::exponent(outcome.value) <= host::kSingleHigh;
}

/// A normal result of the host, as cpu/fpu/host.h has it: to a double, to nearest.
bool host_result(Op op, bool to_single, u64 a_bits, u64 b_bits, u64 c_bits, host::Result& r) {
  const double a = host::real(a_bits), b = host::real(b_bits), c = host::real(c_bits);
  switch (op) {
    case Op::kAdd:
      return host::add<false>(a, b, r);
    case Op::kSub:
      return host::add<true>(a, b, r);
    case Op::kMul:
      return host::multiply(a, c, r);
    case Op::kDiv:
      return host::divide(a, b, r);
    case Op::kSqrt:
      return host::root(b, r);
    case Op::kMadd:
    case Op::kNmadd:
      return to_single ? host::multiply_add<false, true>(a, b, c, r)
                       : host::multiply_add<false, false>(a, b, c, r);
    case Op::kMsub:
    case Op::kNmsub:
      return to_single ? host::multiply_add<true, true>(a, b, c, r)
                       : host::multiply_add<true, false>(a, b, c, r);
    case Op::kRound:
      r = {b_bits, 0};
      return true;
    default:
      return false;
  }
}

/// Whether host arithmetic gives the outcome: normal results in any mode, and what is exact because of a
/// zero.
bool on_host(const State& s, Op op, bool to_single, u64 a_bits, u64 b_bits, u64 c_bits, Outcome& outcome) {
  const double a = host::real(a_bits), b = host::real(b_bits), c = host::real(c_bits);
  const bool down = static_cast<Rounding>(s.fpscr & fpscr::RN) == Rounding::kDown;
  host::Result r;
  bool found = host_result(op, to_single, a_bits, b_bits, c_bits, r), exact = false;
  double value = 0;  // if exact
  switch (op) {
    case Op::kAdd:
      value = a + b;
      exact = value == 0 && !down;
      break;
    case Op::kSub:
      value = a - b;
      exact = value == 0 && !down;
      break;
    case Op::kMul:
      value = a * c;
      exact = a == 0 || c == 0;
      break;
    case Op::kDiv:
      value = a / b;
      exact = a == 0;
      break;
    case Op::kSqrt:
      value = b;
      exact = b == 0;
      break;
    case Op::kMadd:
    case Op::kNmadd:
      value = a * c;
      exact = value == 0 && (a == 0 || c == 0) && !down;
      value += b;
      break;
    case Op::kMsub:
    case Op::kNmsub:
      value = a * c;
      exact = value == 0 && (a == 0 || c == 0) && !down;
      value -= b;
      break;
    case Op::kRound:
      value = b;
      exact = b == 0;
      break;
    default:
      return false;
  }
  if (exact && value == 0) {
    outcome = {host::bits(value), 0};
    return true;
  }
  if (exact && !found) {
    r = {host::bits(value), 0};
    found = host::exponent_in(r.value, host::kLow, host::kHigh);
  }
  return found && rounded_again(s, r, to_single, outcome);
}

Outcome compute(const State& s, Op op, bool to_single, u64 a, u64 b, u64 c) {
  switch (op) {
    case Op::kAdd:
      return add(s, a, b, to_single);
    case Op::kSub:
      return add(s, a, b ^ kSign, to_single);
    case Op::kMul:
      return multiply(s, a, c, to_single);
    case Op::kDiv:
      return divide(s, a, b, to_single);
    case Op::kSqrt:
      return root(s, b, to_single);
    case Op::kMadd:
    case Op::kNmadd:
      return multiply_add(s, a, b, c, to_single);
    case Op::kMsub:
    case Op::kNmsub:
      return multiply_add(s, a, b ^ kSign, c, to_single);
    case Op::kRound:
      if (is_infinite(b)) return infinity(b >> 63);
      return is_zero(b) ? zero(b >> 63) : round(s, unpack(b), to_single);
    case Op::kReciprocal: {
      Outcome outcome;
      constexpr u64 kOne = std::bit_cast<u64>(1.0);
      if (on_host(s, Op::kDiv, to_single, kOne, b, 0, outcome)) return estimate(outcome);
      return estimate(divide(s, kOne, b, to_single));
    }
    case Op::kReciprocalRoot:
      return estimate(reciprocal_root(s, b, to_single));
    case Op::kFromInteger:
      return from_integer(s, b);
    case Op::kSingle:
      break;
  }
  __builtin_unreachable();
}

/// Any operands but NaNs.
Outcome numbers(const State& s, Op op, bool to_single, u64 a, u64 b, u64 c) {
  Outcome outcome;
  if (!on_host(s, op, to_single, a, b, c, outcome)) outcome = compute(s, op, to_single, a, b, c);
  if (negates(op) && !is_nan(outcome.value)) outcome.value ^= kSign;
  return outcome;
}

/// Some operand is a NaN. For single precision its payload is cut to that of a single, for operands that are
/// no singles as well: undefined, but what processors do.
Outcome nans(Op op, bool to_single, u64 a, u64 b, u64 c) {
  Outcome outcome;
  if (is_signalling(a) || is_signalling(b) || is_signalling(c)) outcome.flags |= fpscr::VXSNAN;
  const bool fused = op == Op::kMadd || op == Op::kMsub || op == Op::kNmadd || op == Op::kNmsub;
  if (fused && ((is_infinite(a) && is_zero(c)) || (is_zero(a) && is_infinite(c))))
    outcome.flags |= fpscr::VXIMZ;
  outcome.value = (is_nan(a) ? a : is_nan(b) ? b : c) | kQuiet;
  if (to_single) outcome.value &= ~u64{0x1FFFFFFF};
  return outcome;
}

}  // namespace

[[gnu::noinline]] Flow arithmetic(State& s, Op operation, u32 frt, u64 a, u64 b, u64 c) {
  const bool to_single = is_single(operation);
  const Op op = to_double(operation);
  const bool unordered = op != Op::kFromInteger && (is_nan(a) || is_nan(b) || is_nan(c));
  return complete(s, frt, unordered ? nans(op, to_single, a, b, c) : numbers(s, op, to_single, a, b, c),
                  true);
}

[[gnu::noinline]] Flow arithmetic_deferring(State& s, Op operation, u32 frt, u64 a, u64 b, u64 c) {
  const Op op = to_double(operation);
  Outcome outcome;
  if (!on_host(s, op, is_single(operation), a, b, c, outcome)) {
    settle_deferred(s);
    return arithmetic(s, operation, frt, a, b, c);
  }
  s.fpr[frt] = negates(op) ? outcome.value ^ kSign : outcome.value;
  s.deferred = {static_cast<u32>(operation) + 1, 0, a, b, c};
  return Flow::kNext;
}

void settle_deferred(State& s) {
  const DeferredFpscr open = s.deferred;
  if (open.op) {
    const Op operation = static_cast<Op>(open.op - 1), op = to_double(operation);
    const bool to_single = is_single(operation);
    host::Result r;
    if (host_result(op, to_single, open.a, open.b, open.c, r) && (!to_single || host::to_single(r))) {
      const u64 value = negates(op) ? r.value ^ kSign : r.value;
      sem::fp::settle(s, r.value, r.error, fpscr::FPRF, sem::fp::fprf(value));
    } else {
      const u64 kept = s.fpr[0];
      arithmetic(s, operation, 0, open.a, open.b, open.c);
      s.fpr[0] = kept;
    }
  }
  const u64 changed = (open.changes & DeferredFpscr::kFpcc ? fpscr::FPCC : 0) |
                      (open.changes & DeferredFpscr::kFrFi ? fpscr::FR | fpscr::FI : 0);
  s.fpscr = (s.fpscr & ~changed) | (open.changes & changed);
  s.deferred.op = s.deferred.changes = 0;
}

[[gnu::noinline]] Flow to_integer(State& s, bool word, Rounding rounding, u32 frt, u64 b) {
  const bool negative = b >> 63;
  const u64 limit = word ? u64{1} << 31 : kSign;  // magnitude of the most negative result
  Outcome outcome;
  u64 result;
  if (is_nan(b)) {
    outcome.flags = fpscr::VXCVI | (is_signalling(b) ? fpscr::VXSNAN : 0);
    result = 0 - limit;
  } else {
    const Number n = unpack(b);
    bool fits = !is_infinite(b) && n.exponent < 64;
    if (fits) {
      // A zero has significand 0: any exponent does.
      const Dropped integer = drop_bits(n.significand, 63 - n.exponent, rounding, n.sign);
      fits = integer.kept < limit + negative;
      result = negative ? 0 - integer.kept : integer.kept;
      if (integer.inexact) outcome.flags = fpscr::XX | fpscr::FI | (integer.incremented ? fpscr::FR : 0);
    }
    if (!fits) {
      outcome.flags = fpscr::VXCVI;
      result = negative ? 0 - limit : limit - 1;
    }
  }
  outcome.value = word ? word_result(static_cast<u32>(result)) : result;
  return complete(s, frt, outcome, false);
}

[[gnu::noinline]] Flow to_integral(State& s, Rounding rounding, u32 frt, u64 b) {
  Outcome outcome{b, 0};
  if (is_nan(b)) {
    outcome.value |= kQuiet;
    if (is_signalling(b)) outcome.flags = fpscr::VXSNAN;
  } else if (!is_infinite(b) && !is_zero(b)) {
    const Number n = unpack(b);
    if (n.exponent < 52)
      outcome.value = pack(n.sign, drop_bits(n.significand, 63 - n.exponent, rounding, n.sign).kept, 0);
  }
  return complete(s, frt, outcome, true);
}

[[gnu::noinline]] Flow compare_unordered(State& s, bool ordered, u32 crf, u64 a, u64 b) {
  u64 causes = 0;
  if (is_signalling(a) || is_signalling(b)) {
    causes = fpscr::VXSNAN;
    if (ordered && !(s.fpscr & fpscr::VE)) causes |= fpscr::VXVC;
  } else if (ordered) {
    causes = fpscr::VXVC;
  }
  u64 f = (s.fpscr & ~fpscr::FPCC) | 0x1000 | causes;
  if (causes & ~s.fpscr) f |= fpscr::FX;
  s.cr[crf] = 1;
  s.fpscr = summarise(f);
  if (causes && s.fpscr & fpscr::VE && interrupt_due(s))
    return sem::raise(s, Vector::kProgram, program::kFloat);
  return Flow::kNext;
}

[[gnu::noinline]] Flow write_fpscr(State& s, u64 mask, u64 value) {
  mask &= fpscr::kWritable;
  s.fpscr = summarise((s.fpscr & ~mask) | (value & mask));
  if (interrupt_due(s)) return sem::raise(s, Vector::kProgram, program::kFloat);
  return Flow::kNext;
}

}  // namespace baton::cpu::fpu
