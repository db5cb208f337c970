// SPDX-License-Identifier: Apache-2.0
// Decimal arithmetic against exact rational numbers (GMP), with everything that FPSCR and CR1 show and with
// exceptions enabled: what the peers do not know.
#include <gmpxx.h>
#include <gtest/gtest.h>

#include "cpu/fpu/fpu.h"
#include "tests/cpu/coverage.h"
#include "tests/cpu/dfp_harness.h"

namespace baton::test {
namespace {

namespace f = cpu::fpscr;

mpq_class power(int exponent) {
  mpz_class p;
  mpz_ui_pow_ui(p.get_mpz_t(), 10, static_cast<unsigned>(std::abs(exponent)));
  return exponent >= 0 ? mpq_class(p) : mpq_class(1, p);
}
mpq_class magnitude(const DecimalText& v) {
  return mpq_class(mpz_class(v.digits.empty() ? "0" : v.digits)) * power(v.exponent);
}
/// Exponent of the first digit of x > 0.
int first_digit(const mpq_class& x) {
  int e = static_cast<int>(mpz_sizeinbase(x.get_num_mpz_t(), 10)) -
          static_cast<int>(mpz_sizeinbase(x.get_den_mpz_t(), 10));
  while (x < power(e)) e--;
  while (x >= power(e + 1)) e++;
  return e;
}

struct Rounded {
  mpz_class value;
  bool inexact = false, up = false;
};
/// x >= 0 to an integer; `mode` is DRN.
Rounded to_integer(const mpq_class& x, bool negative, u32 mode) {
  Rounded r;
  mpz_fdiv_q(r.value.get_mpz_t(), x.get_num_mpz_t(), x.get_den_mpz_t());
  r.inexact = x != r.value;
  if (!r.inexact) return r;
  const int half = cmp(x, mpq_class(2 * r.value + 1, 2));
  const bool at[] = {half > 0 || (half == 0 && mpz_odd_p(r.value.get_mpz_t())),
                     false,
                     !negative,
                     negative,
                     half >= 0,
                     half > 0,
                     true,
                     mpz_divisible_ui_p(r.value.get_mpz_t(), 5) != 0};
  r.up = at[mode];
  r.value += r.up;
  return r;
}

struct Expected {
  DecimalText value;
  const DecimalFormat* format;  ///< Of the register.
  u64 flags = 0;                ///< Exceptions, FR, FI.
  u64 undefined = 0;
};

u64 class_of(const DecimalText& v, const DecimalFormat& format) {
  u64 code;
  if (v.kind == DecimalText::kInfinity)
    code = v.negative ? 0x9000 : 0x5000;
  else if (v.digits.empty())
    code = v.negative ? 0x12000 : 0x2000;
  else if (v.exponent + static_cast<int>(v.digits.size()) < format.least() + format.digits)
    code = v.negative ? 0x18000 : 0x14000;
  else
    code = v.negative ? 0x8000 : 0x4000;
  return code;
}

/// x rounded to the format. `source` is that of the operand.
Expected deliver(u64 fpscr, mpq_class x, bool negative, int ideal, const DecimalFormat& format,
                 const DecimalFormat& source) {
  const u32 mode = fpscr >> 32 & 7;
  Expected e{{.negative = negative}, &format};
  if (x == 0) {
    e.value.exponent = std::clamp(ideal, format.least(), format.greatest());
    return e;
  }
  const int last_first_digit = format.greatest() + format.digits - 1;
  const int adjustment =
      &source == &format ? (format.width == 64 ? 576 : 9216) : (format.width == 32 ? 192 : 3072);
  int wrap = 0, first = first_digit(x);
  const bool tiny = first < format.least() + format.digits - 1;
  if (tiny && fpscr & f::UE) {
    wrap = adjustment;
    e.flags |= f::UX;
  }
  const auto scaled = [&] {
    int quantum = first_digit(x) - format.digits + 1;
    if (!wrap) quantum = std::max(quantum, format.least());
    return std::pair{quantum, to_integer(x * power(-quantum), negative, mode)};
  };
  auto [quantum, rounded] = scaled();
  if (!tiny && mpq_class(rounded.value) * power(quantum) >= power(last_first_digit + 1)) {
    e.flags |= f::OX;
    if (!(fpscr & f::OE)) {
      const bool greatest = mode == 1 || mode == 7 || mode == (negative ? 2u : 3u);
      if (greatest) {
        e.value.digits = std::string(static_cast<std::size_t>(format.digits), '9');
        e.value.exponent = format.greatest();
      } else {
        e.value.kind = DecimalText::kInfinity;
      }
      e.flags |= f::XX | f::FI;
      e.undefined = f::FR;
      return e;
    }
    wrap = -adjustment;
  }
  if (wrap && &source != &format) e.format = &source;
  if (rounded.inexact) {
    e.flags |= f::XX | f::FI | (rounded.up ? f::FR : 0) | (tiny ? f::UX : 0);
    if (rounded.value == power(format.digits)) {
      rounded.value /= 10;
      quantum++;
    }
  } else {
    // The representation whose exponent is nearest to the ideal one.
    const mpq_class exact = mpq_class(rounded.value) * power(quantum);
    std::optional<int> best;
    for (int at = first_digit(exact) - format.digits + 1; at <= first_digit(exact); at++) {
      if ((!wrap && (at < format.least() || at > format.greatest())) ||
          mpq_class(exact * power(-at)).get_den() != 1)
        continue;
      if (!best || std::abs(at - ideal) < std::abs(*best - ideal)) best = at;
    }
    rounded.value = mpz_class(exact * power(-*best));
    quantum = *best;
  }
  e.value.digits = rounded.value == 0 ? "" : rounded.value.get_str();
  e.value.exponent = quantum + wrap;
  return e;
}

/// What an instruction does with finite operands; nothing where that is an invalid operation.
std::optional<Expected> expect(const std::string& base, u32 word, u64 fpscr, const DecimalText& a,
                               const DecimalText& b, u32 significance) {
  const bool quad = base.ends_with('q');
  const DecimalFormat& format = quad ? kDecimal128 : kDecimal64;
  const mpq_class x = magnitude(a), y = magnitude(b);
  const auto is = [&](const char* name) { return base == name || base == name + std::string("q"); };
  const u32 mode = fpscr >> 32 & 7;
  if (is("dadd") || is("dsub")) {
    const bool minus = b.negative != is("dsub");
    const mpq_class sum = mpq_class(a.negative ? -x : x) + mpq_class(minus ? -y : y);
    const bool negative = sum == 0 ? (a.negative == minus ? minus : mode == 3) : sum < 0;
    return deliver(fpscr, abs(sum), negative, std::min(a.exponent, b.exponent), format, format);
  }
  const bool negative = a.negative != b.negative;
  if (is("dmul")) return deliver(fpscr, x * y, negative, a.exponent + b.exponent, format, format);
  if (is("ddiv")) {
    if (y == 0) return std::nullopt;
    return deliver(fpscr, x / y, negative, a.exponent - b.exponent, format, format);
  }
  if (base == "drsp") return deliver(fpscr, y, b.negative, b.exponent, kDecimal32, kDecimal64);
  if (base == "drdpq") return deliver(fpscr, y, b.negative, b.exponent, kDecimal64, kDecimal128);
  // The others have a field that says how to round.
  const u32 rmc = word >> 9 & 3;
  static constexpr u32 kFirst[] = {0, 1, 4}, kSecond[] = {2, 3, 6, 5};
  u32 how = rmc == 3 ? mode : kFirst[rmc];
  const auto at_exponent = [&](int exponent) -> std::optional<Expected> {
    const Rounded r = to_integer(y * power(-exponent), b.negative, how);
    if (exponent > format.greatest() || r.value >= power(format.digits)) return std::nullopt;
    Expected e{
        {.negative = b.negative, .digits = r.value == 0 ? "" : r.value.get_str(), .exponent = exponent},
        &format};
    if (r.inexact) e.flags = f::XX | f::FI | (r.up ? f::FR : 0);
    return e;
  };
  if (is("dqua")) return at_exponent(a.exponent);
  if (is("dquai")) {
    const int field = word >> 16 & 31;
    return at_exponent(field > 15 ? field - 32 : field);
  }
  if (is("drintx") || is("drintn")) {
    if (word >> 16 & 1) how = kSecond[rmc];
    auto e = at_exponent(std::max(b.exponent, 0));
    if (is("drintn")) e->flags = 0;
    return e;
  }
  if (is("drrnd")) {
    const u32 have = static_cast<u32>(b.digits.size());
    if (significance == 0 || have <= significance) return at_exponent(b.exponent);
    const int exponent = b.exponent + static_cast<int>(have - significance);
    auto e = at_exponent(exponent);
    if (!e || e->value.digits.size() <= significance) return e;
    e->value.digits.pop_back();
    e->value.exponent++;
    return e->value.exponent > format.greatest() ? std::nullopt : e;
  }
  return std::nullopt;
}

TEST(DecimalArithmetic, IsExact) {
  DecimalOperands operands(6);
  u64 compared = 0, wrapped = 0;
  for (const std::string& name : dfp_mnemonics()) {
    const bool rc = name.ends_with('.'), quad = is_quad(name);
    const std::string base = rc ? name.substr(0, name.size() - 1) : name;
    const DecimalFormat& format = quad ? kDecimal128 : kDecimal64;
    int failures = 0;
    const u64 before = compared;
    for (u64 i = 0; i < dfp_case_count(1500) && failures < 3; i++) {
      const u32 word = operands.word_of(name);
      const DfpState in = operands.state(name, true);
      const bool no_a = base == "drsp" || base == "drdpq" || base.starts_with("drrnd");
      const DecimalText a = no_a ? DecimalText{} : decode_decimal(format, in.operand(2, quad));
      const DecimalText b = decode_decimal(format, in.operand(4, quad));
      if (a.kind != DecimalText::kFinite || b.kind != DecimalText::kFinite) continue;
      const auto e = expect(base, word, in.fpscr, a, b, in.fpr[2] & 63);
      if (!e) continue;
      DfpState want = in;
      u128 bits = encode_decimal(*e->format, e->value);
      if (base == "drdpq" && e->format == &kDecimal64) bits <<= 64;
      if (quad)
        want.fpr[0] = static_cast<u64>(bits >> 64), want.fpr[1] = static_cast<u64>(bits);
      else
        want.fpr[0] = static_cast<u64>(bits);
      const u64 exceptions = e->flags & f::kExceptions;
      u64 fpscr = (in.fpscr & ~(f::FR | f::FI | f::FPRF)) | e->flags;
      const DecimalFormat& narrow = base == "drsp" ? kDecimal32 : base == "drdpq" ? kDecimal64 : format;
      fpscr |= class_of(e->value, e->format == &format ? format : narrow);
      if (exceptions & ~in.fpscr) fpscr |= f::FX;
      want.fpscr = cpu::fpu::summarise(fpscr);
      want.interrupt = exceptions >> 22 & in.fpscr & (f::OE | f::UE | f::XE);
      if (rc) want.cr = (in.cr & ~0x0F000000u) | static_cast<u32>(want.fpscr >> 28 & 15) << 24;
      DfpState got = run_decimal(word, in);
      got.fpscr &= ~e->undefined, want.fpscr &= ~e->undefined;
      compared++;
      wrapped += want.interrupt && exceptions & (f::OX | f::UX);
      if (got == want) continue;
      failures++;
      ADD_FAILURE() << name << std::hex << ' ' << word << ' ' << to_string(a) << ' ' << to_string(b)
                    << "\nin   " << in << "\nwant " << want << "\ngot  " << got << "\nwant "
                    << to_string(e->value);
    }
    if (compared != before) coverage::cases("gmp", name, compared - before);
  }
  std::cout << compared << " cases, " << wrapped << " with an enabled overflow or underflow\n";
  EXPECT_GT(compared, dfp_case_count(1500) * 20);
}

}  // namespace
}  // namespace baton::test
