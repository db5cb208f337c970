// SPDX-License-Identifier: Apache-2.0
// Decimal arithmetic against exact rational numbers (GMP), with everything that FPSCR and CR1 show and with
// exceptions enabled: what the peers do not know.
#include <gmpxx.h>
#include <gtest/gtest.h>

#include <algorithm>

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
  std::optional<u64> integer = std::nullopt;  ///< What dctfix gives instead of a decimal.
};
Expected invalid(u64 cause, const DecimalFormat& format) {
  return {{.kind = DecimalText::kQuiet}, &format, cause};
}

u64 class_of(const DecimalText& v, const DecimalFormat& format) {
  u64 code;
  if (v.kind >= DecimalText::kQuiet)
    code = v.kind == DecimalText::kQuiet ? 0x11000 : 0x1000;
  else if (v.kind == DecimalText::kInfinity)
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

/// The part of a NaN or infinity that a format has room for.
DecimalText shortened(DecimalText v, const DecimalFormat& format) {
  const auto room = static_cast<std::size_t>(format.digits - 1);
  if (v.digits.size() > room) v.digits.erase(0, v.digits.size() - room);
  v.digits.erase(0, std::min(v.digits.find_first_not_of('0'), v.digits.size()));
  return v;
}

/// What an instruction does with an infinity or NaN among its operands.
Expected expect_special(const std::string& base, const DecimalText& a, const DecimalText& b) {
  const bool quad = base.ends_with('q');
  const DecimalFormat& format = quad ? kDecimal128 : kDecimal64;
  const auto is = [&](const char* name) { return base == name || base == name + std::string("q"); };
  const bool a_infinite = a.kind == DecimalText::kInfinity, b_infinite = b.kind == DecimalText::kInfinity;
  const auto infinity = [&](bool negative) {
    return Expected{{.kind = DecimalText::kInfinity, .negative = negative}, &format};
  };
  if (base == "drsp") return Expected{shortened(b, kDecimal32), &kDecimal32};
  if (is("dctfix")) {
    Expected e = invalid(f::VXCVI | (b.kind == DecimalText::kSignalling ? f::VXSNAN : 0), format);
    e.integer = b_infinite && !b.negative ? ~u64{0} >> 1 : u64{1} << 63;
    e.undefined = f::FPRF;
    return e;
  }
  for (const auto kind : {DecimalText::kSignalling, DecimalText::kQuiet}) {
    for (const DecimalText& nan : {a, b}) {
      if (nan.kind != kind) continue;
      const DecimalFormat& target = base == "drdpq" ? kDecimal64 : format;
      Expected e{shortened(nan, target), &target, kind == DecimalText::kSignalling ? f::VXSNAN : 0};
      e.value.kind = DecimalText::kQuiet;
      return e;
    }
  }
  const bool differ = a.negative != b.negative;
  const auto zero = [](const DecimalText& v) { return v.kind == DecimalText::kFinite && v.digits.empty(); };
  if (is("dadd") || is("dsub")) {
    const bool minus = b.negative != is("dsub");
    if (a_infinite && b_infinite && a.negative != minus) return invalid(f::VXISI, format);
    return infinity(a_infinite ? a.negative : minus);
  }
  if (is("dmul")) return zero(a) || zero(b) ? invalid(f::VXIMZ, format) : infinity(differ);
  if (is("ddiv")) {
    if (a_infinite) return b_infinite ? invalid(f::VXIDI, format) : infinity(differ);
    return Expected{{.negative = differ, .exponent = format.least()}, &format};
  }
  if (is("dqua")) return a_infinite && b_infinite ? infinity(b.negative) : invalid(f::VXCVI, format);
  if (is("dquai")) return invalid(f::VXCVI, format);
  Expected e = infinity(b.negative);
  if (base == "drdpq") e.format = &kDecimal64;
  return e;
}

/// What an instruction does with finite operands.
Expected expect(const std::string& base, u32 word, u64 fpscr, const DecimalText& a, const DecimalText& b,
                u32 significance) {
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
    if (x == 0 && y == 0) return invalid(f::VXZDZ, format);
    if (y == 0) return Expected{{.kind = DecimalText::kInfinity, .negative = negative}, &format, f::ZX};
    return deliver(fpscr, x / y, negative, a.exponent - b.exponent, format, format);
  }
  if (base == "drsp") return deliver(fpscr, y, b.negative, b.exponent, kDecimal32, kDecimal64);
  if (base == "drdpq") return deliver(fpscr, y, b.negative, b.exponent, kDecimal64, kDecimal128);
  if (is("dctfix")) {
    const Rounded r = to_integer(y, b.negative, mode);
    mpz_class limit;
    mpz_ui_pow_ui(limit.get_mpz_t(), 2, 63);
    Expected e{{}, &format, r.inexact ? f::XX | f::FI | (r.up ? f::FR : 0) : 0, f::FPRF, r.value.get_ui()};
    if (r.value >= limit + b.negative) {
      e.flags = f::VXCVI;
      e.integer = (u64{1} << 63) - 1;
    }
    if (b.negative) e.integer = r.value > limit ? u64{1} << 63 : 0 - *e.integer;
    return e;
  }
  // The others have a field that says how to round.
  const u32 rmc = word >> 9 & 3;
  static constexpr u32 kFirst[] = {0, 1, 4}, kSecond[] = {2, 3, 6, 5};
  u32 how = rmc == 3 ? mode : kFirst[rmc];
  const auto at_exponent = [&](int exponent) {
    const Rounded r = to_integer(y * power(-exponent), b.negative, how);
    if (exponent > format.greatest() || r.value >= power(format.digits)) return invalid(f::VXCVI, format);
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
    Expected e = at_exponent(std::max(b.exponent, 0));
    if (is("drintn")) e.flags = 0;
    return e;
  }
  // drrnd
  const u32 have = static_cast<u32>(b.digits.size());
  if (significance == 0 || have <= significance) return at_exponent(b.exponent);
  Expected e = at_exponent(b.exponent + static_cast<int>(have - significance));
  if (e.value.digits.size() <= significance) return e;
  e.value.digits.pop_back();
  e.value.exponent++;
  return e.value.exponent > format.greatest() ? invalid(f::VXCVI, format) : e;
}

TEST(DecimalArithmetic, IsExact) {
  DecimalOperands operands(6);
  u64 compared = 0, wrapped = 0, special = 0;
  for (const std::string& name : dfp_mnemonics()) {
    const bool rc = name.ends_with('.'), quad = is_quad(name);
    const std::string base = rc ? name.substr(0, name.size() - 1) : name;
    const DecimalFormat& format = quad ? kDecimal128 : kDecimal64;
    static constexpr const char* kRounding[] = {"dadd",  "dsub",  "dmul", "ddiv",  "dqua",
                                                "drrnd", "drint", "drsp", "drdpq", "dctfix"};
    if (std::ranges::none_of(kRounding, [&](const char* with) { return base.starts_with(with); })) continue;
    int failures = 0;
    const u64 before = compared;
    for (u64 i = 0; i < dfp_case_count(1500) && failures < 3; i++) {
      const u32 word = operands.word_of(name);
      const DfpState in = operands.state(name, true);
      const bool has_a = base.starts_with("dadd") || base.starts_with("dsub") || base.starts_with("dmul") ||
                         base.starts_with("ddiv") || base == "dqua" || base == "dquaq";
      const DecimalText a = has_a ? decode_decimal(format, in.operand(2, quad)) : DecimalText{};
      const DecimalText b = decode_decimal(format, in.operand(4, quad));
      const bool finite = a.kind == DecimalText::kFinite && b.kind == DecimalText::kFinite;
      const Expected e =
          finite ? expect(base, word, in.fpscr, a, b, in.fpr[2] & 63) : expect_special(base, a, b);
      DfpState want = in;
      const u64 exceptions = e.flags & f::kExceptions;
      const bool is_invalid = exceptions & f::kInvalid && in.fpscr & f::VE;
      u64 fpscr = (in.fpscr & ~(f::FR | f::FI)) | e.flags;
      if (exceptions & ~in.fpscr) fpscr |= f::FX;
      if (!is_invalid && !(exceptions & f::ZX && in.fpscr & f::ZE)) {
        u128 bits = e.integer ? *e.integer : encode_decimal(*e.format, e.value);
        const bool pair = quad && !e.integer;
        if (base == "drdpq" && e.format == &kDecimal64) bits <<= 64;
        want.fpr[0] = static_cast<u64>(pair ? bits >> 64 : bits);
        if (pair) want.fpr[1] = static_cast<u64>(bits);
        const DecimalFormat& narrow = base == "drsp" ? kDecimal32 : base == "drdpq" ? kDecimal64 : format;
        fpscr = (fpscr & ~f::FPRF) | class_of(e.value, e.format == &format ? format : narrow);
      }
      want.fpscr = cpu::fpu::summarise(fpscr);
      want.interrupt = is_invalid || exceptions >> 22 & in.fpscr & (f::OE | f::UE | f::ZE | f::XE);
      if (rc) want.cr = (in.cr & ~0x0F000000u) | static_cast<u32>(want.fpscr >> 28 & 15) << 24;
      DfpState got = run_decimal(word, in);
      got.fpscr &= ~e.undefined, want.fpscr &= ~e.undefined;
      compared++;
      wrapped += want.interrupt && exceptions & (f::OX | f::UX);
      special += !finite || exceptions & (f::kInvalid | f::ZX);
      if (got == want) continue;
      failures++;
      ADD_FAILURE() << name << std::hex << ' ' << word << ' ' << to_string(a) << ' ' << to_string(b)
                    << "\nin   " << in << "\nwant " << want << "\ngot  " << got << "\nwant "
                    << to_string(e.value);
    }
    if (compared != before) coverage::cases("gmp", name, compared - before);
  }
  std::cout << compared << " cases, " << wrapped << " with an enabled overflow or underflow, " << special
            << " with infinities, NaNs, invalid operations and divisions by zero\n";
  EXPECT_GT(compared, dfp_case_count(1500) * 20);
}

}  // namespace
}  // namespace baton::test
