// SPDX-License-Identifier: Apache-2.0
#include "tests/cpu/fp_oracle.h"

#include <gmpxx.h>

#include <cmath>

#include "cpu/fpu/fpu.h"

namespace baton::test {
namespace {

namespace f = cpu::fpscr;

constexpr u64 kSign = u64{1} << 63, kDefaultNan = 0x7FF8000000000000, kInfinity = 0x7FF0000000000000;

double real(u64 bits) { return std::bit_cast<double>(bits); }
u64 bits(double value) { return std::bit_cast<u64>(value); }
bool nan(u64 v) { return std::isnan(real(v)); }
bool signalling(u64 v) { return nan(v) && !(v >> 51 & 1); }
bool infinite(u64 v) { return std::isinf(real(v)); }
bool zero(u64 v) { return real(v) == 0; }
bool negative(u64 v) { return v >> 63; }

mpq_class power(int exponent) {
  mpz_class one = 1, p;
  mpz_mul_2exp(p.get_mpz_t(), one.get_mpz_t(), std::abs(exponent));
  return exponent >= 0 ? mpq_class(p) : mpq_class(1, p);
}
mpq_class exact(u64 v) {
  mpq_class q;
  mpq_set_d(q.get_mpq_t(), real(v));
  return q;
}
/// floor(log2(x)), x > 0.
int magnitude(const mpq_class& x) {
  int e = static_cast<int>(mpz_sizeinbase(x.get_num_mpz_t(), 2)) -
          static_cast<int>(mpz_sizeinbase(x.get_den_mpz_t(), 2));
  while (x < power(e)) e--;
  while (x >= power(e + 1)) e++;
  return e;
}

/// A positive real number: x, or the root of x.
struct Positive {
  mpq_class x;
  bool is_root = false;

  int log2() const {
    const int e = magnitude(x);
    return is_root ? (e >= 0 ? e / 2 : -((1 - e) / 2)) : e;
  }
  mpz_class floor() const {
    mpz_class n;
    mpz_fdiv_q(n.get_mpz_t(), x.get_num_mpz_t(), x.get_den_mpz_t());
    return is_root ? mpz_class(sqrt(n)) : n;
  }
  int compare(const mpq_class& other) const { return is_root ? cmp(x, other * other) : cmp(x, other); }
  Positive scaled(int exponent) const { return {x * power(is_root ? 2 * exponent : exponent), is_root}; }
};

struct Integer {
  mpz_class value;
  bool inexact, up;
};
/// To an integer. mode: RN, or 4 for nearest with ties away from zero.
Integer to_integer(const Positive& p, bool sign, u32 mode) {
  Integer out{p.floor(), false, false};
  out.inexact = p.compare(out.value) != 0;
  const int half = p.compare(mpq_class(2 * out.value + 1, 2));
  switch (mode) {
    case 0:
      out.up = half > 0 || (half == 0 && mpz_odd_p(out.value.get_mpz_t()));
      break;
    case 2:
      out.up = out.inexact && !sign;
      break;
    case 3:
      out.up = out.inexact && sign;
      break;
    case 4:
      out.up = half >= 0;
      break;
    default:
      break;
  }
  if (out.up) out.value += 1;
  return out;
}

u64 fprf(u64 v) {
  u64 code;
  switch (std::fpclassify(real(v))) {
    case FP_NAN:
      code = 0x11;
      break;
    case FP_INFINITE:
      code = negative(v) ? 0x09 : 0x05;
      break;
    case FP_NORMAL:
      code = negative(v) ? 0x08 : 0x04;
      break;
    case FP_SUBNORMAL:
      code = negative(v) ? 0x18 : 0x14;
      break;
    default:
      code = negative(v) ? 0x12 : 0x02;
  }
  return code << 12;
}

/// What the operation gives before it meets the enables.
struct Result {
  u64 value = 0;
  u64 raised = 0;  ///< Exception bits, FI, FR.
  u64 undefined = 0;
  bool whole_undefined = false;
};

Result rounded(Positive p, bool sign, bool single, u64 fpscr) {
  const int precision = single ? 24 : 53, least = single ? -126 : -1022, greatest = single ? 127 : 1023;
  const int adjust = single ? 192 : 1536;
  const u32 mode = fpscr & f::RN;
  Result r;
  int e = p.log2();
  const bool tiny = e < least;
  if (tiny && fpscr & f::UE) {
    r.raised |= f::UX;
    p = p.scaled(adjust);
    e += adjust;
  }
  const int quantum = (tiny && !(fpscr & f::UE) ? least : e) - (precision - 1);
  Integer n = to_integer(p.scaled(-quantum), sign, mode);
  if (tiny && !(fpscr & f::UE) && n.inexact) r.raised |= f::UX;
  int out = quantum;
  if (!tiny && n.value * power(quantum) >= power(greatest + 1)) {
    r.raised |= f::OX;
    if (!(fpscr & f::OE)) {
      const bool to_infinity = mode == 0 || (mode == 2 && !sign) || (mode == 3 && sign);
      r.value = to_infinity ? kInfinity : single ? 0x47EFFFFFE0000000 : 0x7FEFFFFFFFFFFFFF;
      r.value |= sign ? kSign : 0;
      r.raised |= f::XX | f::FI;
      r.undefined = f::FR;
      return r;
    }
    out -= adjust;
  }
  if (n.inexact) r.raised |= f::XX | f::FI;
  if (n.up) r.raised |= f::FR;
  const double value = std::ldexp(n.value.get_d(), out);
  if (mpq_class back;
      !std::isfinite(value) || (mpq_set_d(back.get_mpq_t(), value), back != n.value * power(out))) {
    r.whole_undefined = true;  // a single so far out that even the adjusted exponent does not fit
  }
  r.value = bits(value) | (sign ? kSign : 0);
  return r;
}

Result rounded(const mpq_class& x, bool sign_of_zero, bool single, u64 fpscr) {
  if (x == 0) return {sign_of_zero ? kSign : 0};
  return rounded(Positive{abs(x)}, x < 0, single, fpscr);
}

Result invalid(u64 cause, u64 value = kDefaultNan) { return {value, cause}; }
Result signed_infinity(bool sign, u64 raised = 0) { return {kInfinity | (sign ? kSign : 0), raised}; }

Result sum(u64 a, u64 b, bool single, u64 fpscr) {
  if (infinite(a) && infinite(b) && a != b) return invalid(f::VXISI);
  if (infinite(a) || infinite(b)) return {infinite(a) ? a : b};
  const bool both = negative(a) && negative(b), either = negative(a) || negative(b);
  return rounded(exact(a) + exact(b), (fpscr & f::RN) == 3 ? either : both, single, fpscr);
}

Result fused(u64 a, u64 b, u64 c, bool single, u64 fpscr) {
  const bool sign = negative(a) != negative(c);
  if ((infinite(a) && zero(c)) || (zero(a) && infinite(c))) return invalid(f::VXIMZ);
  if (infinite(a) || infinite(c)) {
    return infinite(b) && negative(b) != sign ? invalid(f::VXISI) : signed_infinity(sign);
  }
  if (infinite(b)) return {b};
  const mpq_class product = exact(a) * exact(c);
  const bool both = sign && negative(b), either = sign || negative(b);
  return rounded(product + exact(b), (fpscr & f::RN) == 3 ? either : both, single, fpscr);
}

Result quotient(u64 a, u64 b, bool single, u64 fpscr) {
  const bool sign = negative(a) != negative(b);
  if (infinite(a) && infinite(b)) return invalid(f::VXIDI);
  if (zero(a) && zero(b)) return invalid(f::VXZDZ);
  if (infinite(a)) return signed_infinity(sign);
  if (zero(b)) return signed_infinity(sign, f::ZX);
  if (infinite(b)) return {sign ? kSign : 0};
  return rounded(exact(a) / exact(b), sign, single, fpscr);
}

/// fctiw... : `limit` is the magnitude of the most negative result.
Result integer(u64 b, const mpz_class& limit, u32 mode) {
  Result r;
  mpz_class n;
  if (nan(b)) {
    r.raised = f::VXCVI | (signalling(b) ? f::VXSNAN : 0);
    n = -limit;
  } else if (infinite(b)) {
    r.raised = f::VXCVI;
    n = negative(b) ? mpz_class(-limit) : mpz_class(limit - 1);
  } else {
    const Integer i = to_integer({abs(exact(b))}, negative(b), mode);
    n = negative(b) ? mpz_class(-i.value) : i.value;
    if (n < -limit || n >= limit) {
      r.raised = f::VXCVI;
      n = negative(b) ? mpz_class(-limit) : mpz_class(limit - 1);
    } else {
      r.raised = (i.inexact ? f::XX | f::FI : 0) | (i.up ? f::FR : 0);
    }
  }
  const mpz_class two64 = mpz_class(power(64).get_num()), wrapped = n < 0 ? mpz_class(n + two64) : n;
  mpz_export(&r.value, nullptr, -1, sizeof r.value, 0, 0, wrapped.get_mpz_t());
  return r;
}

}  // namespace

std::optional<Expected> expect(const std::string& mnemonic, const FpState& in) {
  std::string name = mnemonic;
  const bool rc = name.back() == '.';
  if (rc) name.pop_back();
  const u64 fpscr = in.fpscr;
  u64 a = in.fpr[1], b = in.fpr[2], c = in.fpr[3];
  bool single = false, sets_fprf = true;
  if (name.back() == 's' && name != "fabs" && name != "fnabs") single = true, name.pop_back();
  if (name == "frsp") single = true;
  // Which operands there are; the others do not count.
  const bool three = name == "fmadd" || name == "fmsub" || name == "fnmadd" || name == "fnmsub";
  if (name == "fadd" || name == "fsub" || name == "fdiv")
    c = 0;
  else if (name == "fmul")
    b = 0;
  else if (!three)
    a = c = 0;

  Result r;
  const bool converts = name == "fctiw" || name == "fctiwz" || name == "fctid" || name == "fctidz";
  if (!converts && name != "fcfid" && (nan(a) || nan(b) || nan(c))) {
    if (signalling(a) || signalling(b) || signalling(c)) r.raised |= f::VXSNAN;
    if (three && ((infinite(a) && zero(c)) || (zero(a) && infinite(c)))) r.raised |= f::VXIMZ;
    r.value = nan(a) ? a : nan(b) ? b : c;
    r.value |= u64{1} << 51;
    if (single) r.value &= 0xFFFFFFFFE0000000;
  } else if (name == "fadd") {
    r = sum(a, b, single, fpscr);
  } else if (name == "fsub") {
    r = sum(a, b ^ kSign, single, fpscr);
  } else if (name == "fmul") {
    if ((infinite(a) && zero(c)) || (zero(a) && infinite(c)))
      r = invalid(f::VXIMZ);
    else if (infinite(a) || infinite(c))
      r = signed_infinity(negative(a) != negative(c));
    else
      r = rounded(exact(a) * exact(c), negative(a) != negative(c), single, fpscr);
  } else if (name == "fdiv") {
    r = quotient(a, b, single, fpscr);
  } else if (three) {
    const bool subtract = name.ends_with("sub");
    r = fused(a, subtract ? b ^ kSign : b, c, single, fpscr);
    if (name.starts_with("fn") && !nan(r.value)) r.value ^= kSign;
  } else if (name == "fsqrt") {
    if (zero(b))
      r.value = b;
    else if (negative(b))
      r = invalid(f::VXSQRT);
    else if (infinite(b))
      r.value = b;
    else
      r = rounded(Positive{exact(b), true}, false, single, fpscr);
  } else if (name == "fre") {
    r = quotient(bits(1), b, single, fpscr);
    r.undefined |= f::XX | f::FX | f::FR | f::FI;
    r.raised &= ~(f::XX | f::FR | f::FI);
  } else if (name == "frsp") {
    if (infinite(b))
      r.value = b;
    else
      r = rounded(exact(b), negative(b), true, fpscr);
  } else if (name == "fcfid") {
    r = rounded(mpq_class(mpz_class(std::to_string(static_cast<i64>(b)))), false, false, fpscr);
  } else if (converts) {
    sets_fprf = false;
    r.undefined = f::FPRF;
    const bool word = name.starts_with("fctiw");
    r = integer(b, word ? mpz_class(power(31).get_num()) : mpz_class(power(63).get_num()),
                name.back() == 'z' ? 1 : fpscr & f::RN);
    if (word) r.value = cpu::fpu::word_result(static_cast<u32>(r.value));
  } else if (name == "frin" || name == "friz" || name == "frip" || name == "frim") {
    if (infinite(b) || zero(b)) {
      r.value = b;
    } else {
      const u32 mode = name == "frin" ? 4 : name == "friz" ? 1 : name == "frip" ? 2 : 3;
      const Integer i = to_integer({abs(exact(b))}, negative(b), mode);
      r.value = bits(i.value.get_d()) | (b & kSign);
    }
  } else {
    return std::nullopt;
  }
  if (r.whole_undefined) return std::nullopt;

  Expected out{in, r.undefined};
  FpState& s = out.state;
  const u64 enables = fpscr & (f::VE | f::OE | f::UE | f::ZE | f::XE);
  const bool blocked = (r.raised & f::kInvalid && fpscr & f::VE) || (r.raised & f::ZX && fpscr & f::ZE);
  s.fpscr &= ~(f::FR | f::FI);
  if (!blocked) {
    s.fpr[0] = r.value;
    if (sets_fprf) s.fpscr = (s.fpscr & ~f::FPRF) | fprf(r.value);
  }
  const u64 fresh = r.raised & f::kExceptions & ~fpscr;
  s.fpscr |= r.raised | (fresh ? f::FX : 0);
  s.fpscr = cpu::fpu::summarise(s.fpscr);
  s.interrupt = (r.raised & f::kInvalid && enables & f::VE) || (r.raised & f::OX && enables & f::OE) ||
                (r.raised & f::UX && enables & f::UE) || (r.raised & f::ZX && enables & f::ZE) ||
                (r.raised & f::XX && enables & f::XE);
  if (rc) s.cr = (s.cr & ~0x0F000000u) | static_cast<u32>(s.fpscr >> 28 & 15) << 24;
  return out;
}

}  // namespace baton::test
