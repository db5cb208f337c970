// SPDX-License-Identifier: Apache-2.0
#include "tests/cpu/dfp_harness.h"

#include <algorithm>
#include <iomanip>
#include <memory>
#include <sstream>

#include "cpu/isa/isa.h"
#include "cpu/semantics/decimal.h"

namespace baton::test {
namespace {

using cpu::Flow;
using cpu::State;
namespace isa = cpu::isa;
namespace sem = cpu::sem;

struct O {
  isa::Operands fields;
  u32 a() const { return fields.a; }
  u32 b() const { return fields.b; }
  u32 c() const { return fields.c; }
  u32 d() const { return fields.d; }
  i64 imm() const { return fields.imm; }
};

// The DFP rows of the table, and no others.
#define BATON_ROW_Base(id, semantics)
#define BATON_ROW_FP(id, semantics)
#define BATON_ROW_VMX(id, semantics)
#define BATON_ROW_DFP(id, semantics) \
  case isa::Id::id:                  \
    return semantics(s, o);
Flow dispatch(isa::Id id, State& s, O o) {
  switch (id) {
#define INSN(id, mnemonic, form, mask, value, operands, imm, privilege, facility, semantics) \
  BATON_ROW_##facility(id, semantics)
#include "cpu/isa/instructions.def"
    default:
      break;
  }
  std::abort();
}

const isa::Row& row_of(const std::string& mnemonic) {
  for (const isa::Row& row : isa::table()) {
    if (mnemonic == row.mnemonic) return row;
  }
  std::abort();
}

/// A field of isa::Row::operands.
struct Field {
  std::string kind;
  unsigned first, last;
};
std::vector<Field> fields_of(const isa::Row& row) {
  std::istringstream operands(row.operands);
  std::vector<Field> fields;
  for (std::string token; operands >> token;) {
    const auto open = token.find('['), colon = token.find(':');
    Field f{token.substr(0, open), static_cast<unsigned>(std::stoul(token.substr(open + 1))), 0};
    f.last =
        colon == std::string::npos ? f.first : static_cast<unsigned>(std::stoul(token.substr(colon + 1)));
    fields.push_back(f);
  }
  return fields;
}

constexpr u64 kRegisters = cpu::msr::SF | cpu::msr::FP | cpu::msr::FE0 | cpu::msr::FE1;

}  // namespace

std::ostream& operator<<(std::ostream& out, const DfpState& s) {
  const auto flags = out.flags();
  out << std::hex << std::setfill('0');
  for (u64 f : s.fpr) out << std::setw(16) << f << ' ';
  out << "fpscr " << std::setw(9) << s.fpscr << " cr " << std::setw(8) << s.cr
      << (s.interrupt ? " interrupt" : "");
  out.flags(flags);
  return out;
}

DfpState run_decimal(u32 word, const DfpState& in) {
  static const auto state = std::make_unique<State>();
  State& s = *state;
  s.msr = kRegisters;
  s.stop = cpu::Stop::kNone;
  s.fault = {};
  std::copy(in.fpr.begin(), in.fpr.end(), s.fpr + 2);
  s.fpscr = in.fpscr;
  sem::set_cr(s, in.cr);
  const isa::Row* row = isa::decode(word);
  if (!row) std::abort();
  const Flow flow = dispatch(row->id, s, O{isa::operands(*row, word)});
  DfpState out;
  std::copy_n(s.fpr + 2, out.fpr.size(), out.fpr.begin());
  out.fpscr = s.fpscr;
  out.cr = sem::get_cr(s);
  out.interrupt = flow == Flow::kStop;
  if (out.interrupt && (s.fault.vector != cpu::Vector::kProgram || s.fault.srr1 != cpu::program::kFloat)) {
    std::abort();
  }
  return out;
}

bool unavailable_without_fp(u32 word) {
  const auto state = std::make_unique<State>();
  State& s = *state;
  s.msr = kRegisters & ~cpu::msr::FP;
  for (u64& f : s.fpr) f = 0x7E00000000000001;  // signalling: would set FPSCR
  const isa::Row* row = isa::decode(word);
  if (!row) std::abort();
  const Flow flow = dispatch(row->id, s, O{isa::operands(*row, word)});
  return flow == Flow::kStop && s.fault.vector == cpu::Vector::kFpUnavailable && s.fpscr == 0 &&
         sem::get_cr(s) == 0 && std::ranges::count(s.fpr, 0x7E00000000000001) == 32;
}

u32 dfp_word(const std::string& mnemonic, const std::vector<u32>& immediates) {
  const isa::Row& row = row_of(mnemonic);
  u32 word = row.value;
  auto next = immediates.begin();
  for (const Field& f : fields_of(row)) {
    if (f.kind == "FPR") {
      word |= f.first == 6 ? 2u << 21 : f.first == 11 ? 4u << 16 : 6u << 11;
    } else {
      if (next == immediates.end()) std::abort();
      word |= (*next++ & ((2u << (f.last - f.first)) - 1)) << (31 - f.last);
    }
  }
  return word;
}

std::vector<u32> dfp_immediates(const std::string& mnemonic) {
  std::vector<u32> sizes;
  for (const Field& f : fields_of(row_of(mnemonic))) {
    if (f.kind != "FPR") sizes.push_back(2u << (f.last - f.first));
  }
  return sizes;
}

std::vector<std::string> dfp_mnemonics() {
  std::vector<std::string> names;
  for (const isa::Row& row : isa::table()) {
    if (row.facility == isa::Facility::DFP) names.push_back(row.mnemonic);
  }
  return names;
}

bool is_quad(const std::string& mnemonic) { return mnemonic.ends_with('q') || mnemonic.ends_with("q."); }

namespace {

/// Densely packed decimal from its definition: the letters are the bits of the three digits, the key those
/// that say which are 8 or 9.
u32 declet(u32 d1, u32 d2, u32 d3) {
  static constexpr const char* kPatterns[] = {"bcdfgh0jkm", "bcdfgh100m", "bcdjkh101m", "bcd10h111m",
                                              "jkdfgh110m", "fgd01h111m", "jkd00h111m", "00d11h111m"};
  const char* pattern = kPatterns[(d1 >> 3) * 4 + (d2 >> 3) * 2 + (d3 >> 3)];
  u32 bits = 0;
  for (const char* p = pattern; *p; p++) {
    u32 bit;
    if (*p <= '1') {
      bit = static_cast<u32>(*p - '0');
    } else {
      static constexpr char kNames[] = "abcdefghijkm";
      const auto at = static_cast<u32>(std::find(kNames, kNames + 12, *p) - kNames);
      bit = (at < 4 ? d1 : at < 8 ? d2 : d3) >> (3 - at % 4) & 1;
    }
    bits = bits << 1 | bit;
  }
  return bits;
}

std::array<u32, 1024> declet_values() {
  std::array<u32, 1024> values;
  values.fill(~0u);
  for (u32 i = 0; i < 1000; i++) values[declet(i / 100, i / 10 % 10, i % 10)] = i;
  // The 24 others are those with all digits large; their first two bits do not matter.
  for (u32 i = 0; i < 1024; i++) {
    if (values[i] == ~0u) values[i] = values[i & 0xFF];
  }
  return values;
}

int trailing_bits(const DecimalFormat& f) { return (f.digits - 1) / 3 * 10; }

}  // namespace

u128 encode_decimal(const DecimalFormat& f, const DecimalText& v) {
  const int trailing = trailing_bits(f), continuation = f.exponent_bits - 2;
  std::string digits = v.digits;
  digits.insert(0, static_cast<std::size_t>(f.digits) - digits.size(), '0');
  u128 bits = 0;
  for (std::size_t i = 1; i < digits.size(); i += 3) {
    const auto digit = [&](std::size_t at) { return static_cast<u32>(digits[at] - '0'); };
    bits = bits << 10 | declet(digit(i), digit(i + 1), digit(i + 2));
  }
  u128 combination;
  if (v.kind == DecimalText::kFinite) {
    const u32 biased = static_cast<u32>(v.exponent + f.bias), lead = static_cast<u32>(digits[0] - '0');
    const u32 top = biased >> continuation;
    const u32 first = lead < 8 ? top << 3 | lead : 24 | top << 1 | (lead & 1);
    combination = static_cast<u128>(first) << continuation | (biased & ((1u << continuation) - 1));
  } else {
    const u32 first = v.kind == DecimalText::kInfinity ? 60 : v.kind == DecimalText::kQuiet ? 62 : 63;
    combination = static_cast<u128>(first) << (continuation - 1);
  }
  return bits | combination << trailing | static_cast<u128>(v.negative) << (f.width - 1);
}

DecimalText decode_decimal(const DecimalFormat& f, u128 bits) {
  static const std::array<u32, 1024> kValues = declet_values();
  const int trailing = trailing_bits(f), continuation = f.exponent_bits - 2;
  DecimalText v;
  v.negative = bits >> (f.width - 1) & 1;
  const u32 combination = static_cast<u32>(bits >> trailing) & ((1u << (continuation + 5)) - 1);
  const u32 first = combination >> continuation;
  char lead = '0';
  if (first == 30) {
    v.kind = DecimalText::kInfinity;
  } else if (first == 31) {
    v.kind = combination >> (continuation - 1) & 1 ? DecimalText::kSignalling : DecimalText::kQuiet;
  } else {
    const u32 top = first >= 24 ? first >> 1 & 3 : first >> 3;
    lead = static_cast<char>('0' + (first >= 24 ? 8 + (first & 1) : first & 7));
    v.exponent = static_cast<int>(top << continuation | (combination & ((1u << continuation) - 1))) - f.bias;
  }
  v.digits = lead;
  for (int at = trailing - 10; at >= 0; at -= 10) {
    const std::string three = std::to_string(kValues[static_cast<u32>(bits >> at) & 1023] + 1000);
    v.digits += three.substr(1);
  }
  v.digits.erase(0, std::min(v.digits.find_first_not_of('0'), v.digits.size()));
  return v;
}

std::optional<DecimalText> parse_decimal(const std::string& text) {
  DecimalText v;
  std::string s = text;
  std::ranges::transform(s, s.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  std::size_t at = 0;
  if (s.starts_with('-') || s.starts_with('+')) v.negative = s[at++] == '-';
  s.erase(0, at);
  const auto strip = [&] { v.digits.erase(0, std::min(v.digits.find_first_not_of('0'), v.digits.size())); };
  if (s == "inf" || s == "infinity") {
    v.kind = DecimalText::kInfinity;
    return v;
  }
  for (const char* name : {"nan", "snan"}) {
    if (!s.starts_with(name)) continue;
    v.kind = *name == 's' ? DecimalText::kSignalling : DecimalText::kQuiet;
    v.digits = s.substr(std::string(name).size());
    if (!std::ranges::all_of(v.digits, [](char c) { return c >= '0' && c <= '9'; })) return std::nullopt;
    strip();
    return v;
  }
  std::string number = s;
  if (const auto e = s.find('e'); e != std::string::npos) {
    number = s.substr(0, e);
    std::string exponent = s.substr(e + 1);
    const bool negative = exponent.starts_with('-');
    if (negative || exponent.starts_with('+')) exponent.erase(0, 1);
    if (exponent.empty() || !std::ranges::all_of(exponent, [](char c) { return c >= '0' && c <= '9'; })) {
      return std::nullopt;
    }
    if (exponent.size() > 8) return std::nullopt;
    v.exponent = std::stoi(exponent) * (negative ? -1 : 1);
  }
  bool point = false;
  for (char c : number) {
    if (c == '.' && !point) {
      point = true;
    } else if (c >= '0' && c <= '9') {
      v.digits += c;
      v.exponent -= point;
    } else {
      return std::nullopt;
    }
  }
  if (v.digits.empty()) return std::nullopt;
  strip();
  return v;
}

std::string to_string(const DecimalText& v) {
  std::string s = v.negative ? "-" : "";
  switch (v.kind) {
    case DecimalText::kInfinity:
      return s + "Infinity";
    case DecimalText::kQuiet:
      return s + "NaN" + v.digits;
    case DecimalText::kSignalling:
      return s + "sNaN" + v.digits;
    case DecimalText::kFinite:
      break;
  }
  return s + (v.digits.empty() ? "0" : v.digits) + "E" + std::to_string(v.exponent);
}

std::string DecimalOperands::digits(int count) {
  std::string s;
  const u64 kind = below(6);
  for (int i = 0; i < count; i++) {
    s += static_cast<char>(kind == 0   ? '9'
                           : kind == 1 ? (i == 0 ? '1' : '0')
                           : kind == 2 ? (i == 0     ? '1' + below(9)
                                          : below(6) ? '0'
                                                     : '5')
                                       : '0' + below(10));
  }
  // Ends that rounding depends on.
  if (count > 2 && below(3) == 0) {
    static constexpr const char* kEnds[] = {"5", "50", "49", "51", "0", "00", "1", "05", "95"};
    const std::string end = kEnds[below(std::size(kEnds))];
    s.replace(s.size() - end.size(), end.size(), end);
  }
  s.erase(0, std::min(s.find_first_not_of('0'), s.size()));
  return s;
}

DecimalText DecimalOperands::text(const DecimalFormat& f) {
  DecimalText v;
  v.negative = below(2);
  const u64 kind = below(40);
  if (kind < 3) {
    v.kind = static_cast<DecimalText::Kind>(kind + 1);
    if (kind && below(3)) v.digits = digits(static_cast<int>(below(static_cast<u64>(f.digits))));
    return v;
  }
  if (kind > 4)
    v.digits = digits(1 + static_cast<int>(below(2) ? below(static_cast<u64>(f.digits)) : f.digits - 1));
  switch (below(8)) {
    case 0:
      v.exponent = f.least() + static_cast<int>(below(6));
      break;
    case 1:
      v.exponent = f.greatest() - static_cast<int>(below(6));
      break;
    case 2:
      v.exponent = f.least() + static_cast<int>(below(static_cast<u64>(f.greatest() - f.least() + 1)));
      break;
    case 3:
      v.exponent = f.least() / 2 - 20 + static_cast<int>(below(40));
      break;
    case 4:
      v.exponent = f.greatest() / 2 - 20 + static_cast<int>(below(40));
      break;
    default:
      v.exponent = -f.digits - 4 + static_cast<int>(below(static_cast<u64>(f.digits) + 8));
  }
  return v;
}

u128 DecimalOperands::value(const DecimalFormat& f) {
  if (below(16) == 0) {
    const u128 any = static_cast<u128>(word()) << 64 | word();
    return f.width == 128 ? any : any & ((static_cast<u128>(1) << f.width) - 1);
  }
  return encode_decimal(f, text(f));
}

std::array<u128, 2> DecimalOperands::pair(const DecimalFormat& f) {
  DecimalText a = text(f), b = text(f);
  if (below(16) == 0) return {value(f), value(f)};
  if (a.kind == DecimalText::kFinite && b.kind == DecimalText::kFinite) {
    const auto limit = [&](int exponent) { return std::clamp(exponent, f.least(), f.greatest()); };
    const int length_a = static_cast<int>(a.digits.size()), length_b = static_cast<int>(b.digits.size());
    switch (below(10)) {
      case 0:  // cancels
        b.digits = a.digits;
        b.exponent = limit(a.exponent + static_cast<int>(below(3)) - 1);
        break;
      case 1:  // cancels but for the last digit
        b = a;
        if (!b.digits.empty()) b.digits.back() = static_cast<char>('0' + below(10));
        break;
      case 2:
      case 3:  // the first digit of b is about where the last one of a is after rounding
        b.exponent = limit(a.exponent + length_a - f.digits - length_b + static_cast<int>(below(5)) - 2);
        break;
      case 4:  // a product at the ends of the range
        b.exponent = limit((below(2) ? f.least() : f.greatest()) - a.exponent - length_b +
                           static_cast<int>(below(static_cast<u64>(2 * f.digits))));
        break;
      case 5:  // a quotient there
        b.exponent = limit(a.exponent - (below(2) ? f.least() : f.greatest()) - length_b +
                           static_cast<int>(below(static_cast<u64>(2 * f.digits))));
        break;
      case 6: {  // a quotient that comes out even
        static constexpr const char* kDivisors[] = {"1",  "2",   "4", "5", "8", "16",
                                                    "25", "125", "3", "7", "64"};
        b.digits = kDivisors[below(std::size(kDivisors))];
        if (b.digits.size() > static_cast<std::size_t>(f.digits)) b.digits = "1";
        break;
      }
      case 7:
        b.exponent = a.exponent;
        break;
      default:
        break;
    }
    b.digits.erase(0, std::min(b.digits.find_first_not_of('0'), b.digits.size()));
  }
  return {encode_decimal(f, a), encode_decimal(f, b)};
}

u64 DecimalOperands::fpscr(bool enables) {
  namespace f = cpu::fpscr;
  u64 value = below(8) << 32 | below(4);
  if (below(2)) {
    value |= word() & (f::FX | f::OX | f::UX | f::ZX | f::XX | f::VXSNAN | f::VXISI | f::VXCVI | f::VXVC);
  }
  if (below(2)) value |= word() & (f::FPRF | f::FR | f::FI);
  if (enables && below(2)) value |= word() & (f::VE | f::OE | f::UE | f::ZE | f::XE);
  // No exception is pending.
  if (value & f::VE) value &= ~f::kInvalid;
  value &= ~((value & (f::OE | f::UE | f::ZE | f::XE)) << 22);
  return cpu::fpu::summarise(value);
}

u32 DecimalOperands::word_of(const std::string& mnemonic) {
  std::vector<u32> immediates;
  for (u32 size : dfp_immediates(mnemonic)) immediates.push_back(static_cast<u32>(below(size)));
  return dfp_word(mnemonic, immediates);
}

DfpState DecimalOperands::state(const std::string& mnemonic, bool enables) {
  const std::string base = mnemonic.ends_with('.') ? mnemonic.substr(0, mnemonic.size() - 1) : mnemonic;
  const bool quad = is_quad(mnemonic) && base != "dctqpq";
  const auto starts = [&](const char* with) { return base.starts_with(with); };
  DfpState s;
  for (u64& f : s.fpr) f = word();
  const auto put = [&](unsigned at, u128 v) {
    if (quad)
      s.fpr[at] = static_cast<u64>(v >> 64), s.fpr[at + 1] = static_cast<u64>(v);
    else
      s.fpr[at] = static_cast<u64>(v);
  };
  const auto [a, b] = pair(quad ? kDecimal128 : kDecimal64);
  put(2, a);
  put(4, b);
  if (starts("dqua") && below(2) && base.find('i') == std::string::npos) {
    // A quantum that can be had.
    const DecimalFormat& f = quad ? kDecimal128 : kDecimal64;
    DecimalText q = text(f);
    const DecimalText v = decode_decimal(f, b);
    if (q.kind == DecimalText::kFinite && v.kind == DecimalText::kFinite) {
      q.exponent = std::clamp(v.exponent - f.digits + static_cast<int>(v.digits.size() + below(24)),
                              f.least(), f.greatest());
      put(2, encode_decimal(f, q));
    }
  }
  if (starts("drrnd") || starts("dtstsf")) s.fpr[2] = (word() & ~u64{63}) | below(below(2) ? 40 : 64);
  if (starts("diex")) {
    const u64 range = quad ? 12288 : 768;
    s.fpr[2] = below(4) ? below(range + 4) : below(3) ? u64{0} - below(6) : word();
  }
  if (starts("dcffix")) s.fpr[4] = word() >> below(64) ^ (below(2) ? ~u64{0} : 0);
  if (starts("dctfix") && below(2)) {
    // About what fits.
    DecimalText v = decode_decimal(quad ? kDecimal128 : kDecimal64, b);
    if (v.kind == DecimalText::kFinite) {
      static constexpr const char* kEdges[] = {"9223372036854775807",  "9223372036854775808",
                                               "92233720368547758075", "92233720368547758085",
                                               "92233720368547758074", "9223372036854775"};
      const std::size_t i = below(std::size(kEdges));
      if (quad && below(2)) {
        v.digits = kEdges[i];
        v.exponent = v.digits.size() == 20 ? -1 : 0;
      } else {
        v.exponent = 19 - static_cast<int>(v.digits.size() + below(21));
      }
      put(4, encode_decimal(quad ? kDecimal128 : kDecimal64, v));
    }
  }
  if (starts("dctdp")) {
    s.fpr[4] = (word() & ~u64{0xFFFFFFFF}) | static_cast<u64>(value(kDecimal32));
  }
  if (starts("drsp") || starts("drdpq")) {
    // About the ends of the narrower range.
    const DecimalFormat &f = quad ? kDecimal128 : kDecimal64, &narrow = quad ? kDecimal64 : kDecimal32;
    DecimalText v = decode_decimal(f, b);
    if (v.kind == DecimalText::kFinite && below(3)) {
      const int end = below(2) ? narrow.least() : narrow.greatest();
      v.exponent = end + narrow.digits - static_cast<int>(v.digits.size()) - 10 + static_cast<int>(below(20));
      if (below(4) == 0) v.exponent = -static_cast<int>(below(10));
      put(4, encode_decimal(f, v));
    }
  }
  if (starts("denbcd")) {
    for (unsigned i : {4u, 5u}) {
      u64 bcd = 0;
      for (int n = 0; n < 16; n++) bcd = bcd << 4 | below(10);
      if (below(4) == 0) bcd >>= 4 * below(17) & 63;
      if (below(8) == 0) bcd |= u64{10 + below(6)} << (4 * below(16));
      s.fpr[i] = bcd;
    }
    const unsigned last = quad ? 5 : 4;
    if (below(2)) s.fpr[last] = (s.fpr[last] & ~u64{15}) | (10 + below(6));
  }
  s.fpscr = fpscr(enables);
  s.cr = static_cast<u32>(word());
  return s;
}

}  // namespace baton::test
