// SPDX-License-Identifier: Apache-2.0
// Every VMX instruction that computes against a model of its own: integers without limits, element by element
// as the ISA describes it, and MPFR for singles. Nothing of this is shared with the code under test.
#include <gtest/gtest.h>
#include <mpfr.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <iostream>
#include <map>

#include "tests/cpu/coverage.h"
#include "tests/cpu/vmx_harness.h"

namespace baton::test {
namespace {

namespace isa = cpu::isa;

/// What an instruction sees: VRA, VRB, VRC, the immediate in the place of VRA, SHB in that of VRC, VSCR[NJ].
struct Input {
  Quad a, b, c;
  u32 immediate, shift;
  bool flush;
};
struct Output {
  Quad target{};
  bool saturated = false;
};
using Model = std::function<Output(const Input&)>;
using Models = std::map<std::string, Model>;

// ---- integers

using Big = __int128;

/// Elements of a size and kind.
struct Kind {
  unsigned bytes;
  bool is_signed;

  unsigned count() const { return 16 / bytes; }
  unsigned bits() const { return 8 * bytes; }
  Big modulus() const { return Big{1} << bits(); }
  Big least() const { return is_signed ? -(modulus() / 2) : 0; }
  Big greatest() const { return is_signed ? modulus() / 2 - 1 : modulus() - 1; }
  Big get(const Quad& q, unsigned i) const {
    Big v = 0;
    for (unsigned k = 0; k < bytes; k++) v = v * 256 + q[i * bytes + k];
    return is_signed && v > greatest() ? v - modulus() : v;
  }
  void put(Quad& q, unsigned i, Big v) const {
    for (unsigned k = bytes; k-- > 0; v >>= 8) q[i * bytes + k] = static_cast<u8>(v);
  }
  /// Into the range, which may saturate.
  void put_saturated(Output& out, unsigned i, Big v) const {
    out.saturated |= v < least() || v > greatest();
    put(out.target, i, std::min(std::max(v, least()), greatest()));
  }
};
constexpr Kind kUb{1, false}, kUh{2, false}, kUw{4, false}, kSb{1, true}, kSh{2, true}, kSw{4, true};
struct Named {
  const char *letter, *signed_letter;
  Kind kind;
};
constexpr Named kUnsigned[] = {{"b", "ub", kUb}, {"h", "uh", kUh}, {"w", "uw", kUw}};
constexpr Named kAll[] = {{"b", "ub", kUb}, {"h", "uh", kUh}, {"w", "uw", kUw},
                          {"b", "sb", kSb}, {"h", "sh", kSh}, {"w", "sw", kSw}};

using Binary = std::function<Big(Big, Big)>;
Model modular(Kind kind, Binary function) {
  return [=](const Input& in) {
    Output out;
    for (unsigned i = 0; i < kind.count(); i++)
      kind.put(out.target, i, function(kind.get(in.a, i), kind.get(in.b, i)));
    return out;
  };
}
Model saturating(Kind kind, Binary function) {
  return [=](const Input& in) {
    Output out;
    for (unsigned i = 0; i < kind.count(); i++)
      kind.put_saturated(out, i, function(kind.get(in.a, i), kind.get(in.b, i)));
    return out;
  };
}
/// Element i of the target from all of the operands.
Model elements(Kind kind, std::function<Big(const Input&, unsigned)> function) {
  return [=](const Input& in) {
    Output out;
    for (unsigned i = 0; i < kind.count(); i++) kind.put(out.target, i, function(in, i));
    return out;
  };
}
Model saturated_elements(Kind kind, std::function<Big(const Input&, unsigned)> function) {
  return [=](const Input& in) {
    Output out;
    for (unsigned i = 0; i < kind.count(); i++) kind.put_saturated(out, i, function(in, i));
    return out;
  };
}
Big floor_of_half(Big v) { return v >> 1; }

void add_arithmetic(Models& m) {
  const auto plus = [](Big a, Big b) { return a + b; };
  const auto minus = [](Big a, Big b) { return a - b; };
  for (const auto& [letter, name, kind] : kUnsigned) {
    const std::string u = letter;
    const auto bits = static_cast<Big>(kind.bits());
    m["vaddu" + u + "m"] = modular(kind, plus);
    m["vsubu" + u + "m"] = modular(kind, minus);
    m["vsl" + u] = modular(kind, [=](Big a, Big b) { return a << (b % bits); });
    m["vsr" + u] = modular(kind, [=](Big a, Big b) { return a >> (b % bits); });
    m["vrl" + u] = modular(kind, [=](Big a, Big b) { return a << (b % bits) | a >> (bits - b % bits); });
    m["vcmpequ" + u] = modular(kind, [](Big a, Big b) { return a == b ? -1 : 0; });
  }
  for (const auto& [letter, name, kind] : kAll) {
    const std::string n = name;
    const auto bits = static_cast<Big>(kind.bits());
    m["vadd" + n + "s"] = saturating(kind, plus);
    m["vsub" + n + "s"] = saturating(kind, minus);
    m["vavg" + n] = modular(kind, [](Big a, Big b) { return floor_of_half(a + b + 1); });
    m["vmax" + n] = modular(kind, [](Big a, Big b) { return std::max(a, b); });
    m["vmin" + n] = modular(kind, [](Big a, Big b) { return std::min(a, b); });
    m["vcmpgt" + n] = modular(kind, [](Big a, Big b) { return a > b ? -1 : 0; });
    if (kind.is_signed) {
      m[std::string("vsra") + letter] =
          modular(kind, [=](Big a, Big b) { return a >> ((b % bits + bits) % bits); });
    }
    if (kind.bytes < 4) {
      for (unsigned odd = 0; odd < 2; odd++) {
        m[(odd ? "vmulo" : "vmule") + n] =
            elements({2 * kind.bytes, kind.is_signed}, [=](const Input& in, unsigned i) {
              return kind.get(in.a, 2 * i + odd) * kind.get(in.b, 2 * i + odd);
            });
      }
    }
  }
  m["vaddcuw"] = modular(kUw, [](Big a, Big b) { return (a + b) >> 32; });
  m["vsubcuw"] = modular(kUw, [](Big a, Big b) { return a >= b; });
  m["vmhaddshs"] = saturated_elements(kSh, [](const Input& in, unsigned i) {
    return (kSh.get(in.a, i) * kSh.get(in.b, i) >> 15) + kSh.get(in.c, i);
  });
  m["vmhraddshs"] = saturated_elements(kSh, [](const Input& in, unsigned i) {
    return ((kSh.get(in.a, i) * kSh.get(in.b, i) + 0x4000) >> 15) + kSh.get(in.c, i);
  });
  m["vmladduhm"] = elements(kUh, [](const Input& in, unsigned i) {
    return kUh.get(in.a, i) * kUh.get(in.b, i) + kUh.get(in.c, i);
  });
}

void add_sums(Models& m) {
  /// The products of the elements in word i, with those of VRC.
  const auto products = [](Kind a, Kind b, Kind word) {
    return [=](const Input& in, unsigned i) {
      Big sum = word.get(in.c, i);
      for (unsigned k = 0; k < 4 / a.bytes; k++)
        sum += a.get(in.a, 4 / a.bytes * i + k) * b.get(in.b, 4 / a.bytes * i + k);
      return sum;
    };
  };
  m["vmsumubm"] = elements(kUw, products(kUb, kUb, kUw));
  m["vmsummbm"] = elements(kSw, products(kSb, kUb, kSw));
  m["vmsumuhm"] = elements(kUw, products(kUh, kUh, kUw));
  m["vmsumshm"] = elements(kSw, products(kSh, kSh, kSw));
  m["vmsumuhs"] = saturated_elements(kUw, products(kUh, kUh, kUw));
  m["vmsumshs"] = saturated_elements(kSw, products(kSh, kSh, kSw));
  /// The elements of VRA in every group of words, with the last word of it in VRB.
  const auto across = [](Kind kind, Kind word, unsigned group) {
    return saturated_elements(word, [=](const Input& in, unsigned i) {
      if (i % group != group - 1) return Big{0};
      Big sum = word.get(in.b, i);
      const unsigned count = group * 4 / kind.bytes, first = (i + 1) * 4 / kind.bytes - count;
      for (unsigned k = 0; k < count; k++) sum += kind.get(in.a, first + k);
      return sum;
    });
  };
  m["vsum4ubs"] = across(kUb, kUw, 1);
  m["vsum4sbs"] = across(kSb, kSw, 1);
  m["vsum4shs"] = across(kSh, kSw, 1);
  m["vsum2sws"] = across(kSw, kSw, 2);
  m["vsumsws"] = across(kSw, kSw, 4);
}

// ---- bits and places

void add_permutations(Models& m) {
  m["vand"] = modular(kUb, [](Big a, Big b) { return a & b; });
  m["vandc"] = modular(kUb, [](Big a, Big b) { return a & ~b; });
  m["vor"] = modular(kUb, [](Big a, Big b) { return a | b; });
  m["vnor"] = modular(kUb, [](Big a, Big b) { return ~(a | b); });
  m["vxor"] = modular(kUb, [](Big a, Big b) { return a ^ b; });
  m["vsel"] =
      elements(kUb, [](const Input& in, unsigned i) { return (in.a[i] & ~in.c[i]) | (in.b[i] & in.c[i]); });
  /// Byte i of VRA and VRB, one behind the other.
  const auto joined = [](const Input& in, unsigned i) { return Big{i < 16 ? in.a[i] : in.b[i - 16]}; };
  m["vperm"] = elements(kUb, [=](const Input& in, unsigned i) { return joined(in, in.c[i] & 31); });
  m["vsldoi"] = elements(kUb, [=](const Input& in, unsigned i) { return joined(in, i + in.shift); });
  m["vslo"] = elements(kUb, [](const Input& in, unsigned i) {
    const unsigned from = i + (in.b[15] >> 3 & 15);
    return Big{from < 16 ? in.a[from] : 0};
  });
  m["vsro"] = elements(kUb, [](const Input& in, unsigned i) {
    const unsigned by = in.b[15] >> 3 & 15;
    return Big{i >= by ? in.a[i - by] : 0};
  });
  /// Bit n of the register, from the left; zeros around it.
  const auto bit = [](const Quad& q, int n) {
    return n < 0 || n > 127 ? 0 : q[static_cast<unsigned>(n) / 8] >> (7 - n % 8) & 1;
  };
  for (const int direction : {1, -1}) {
    m[direction > 0 ? "vsl" : "vsr"] = elements(kUb, [=](const Input& in, unsigned i) {
      Big byte = 0;
      for (int k = 0; k < 8; k++)
        byte = byte << 1 | bit(in.a, static_cast<int>(8 * i) + k + direction * (in.b[15] & 7));
      return byte;
    });
  }
  for (const auto& [letter, name, kind] : kUnsigned) {
    const std::string n = letter;
    for (const bool low : {false, true}) {
      m[(low ? "vmrgl" : "vmrgh") + n] = elements(kind, [=](const Input& in, unsigned i) {
        return kind.get(i % 2 ? in.b : in.a, i / 2 + (low ? kind.count() / 2 : 0));
      });
    }
    m["vsplt" + n] = elements(
        kind, [=](const Input& in, unsigned) { return kind.get(in.b, in.immediate % kind.count()); });
    m["vspltis" + n] = elements(
        kind, [=](const Input& in, unsigned) { return Big{in.immediate} - (in.immediate > 15 ? 32 : 0); });
  }
}

void add_packs(Models& m) {
  /// Element i of the two registers.
  const auto both = [](Kind from) {
    return [=](const Input& in, unsigned i) {
      return from.get(i < from.count() ? in.a : in.b, i % from.count());
    };
  };
  m["vpkuhum"] = elements(kUb, both(kUh));
  m["vpkuwum"] = elements(kUh, both(kUw));
  m["vpkuhus"] = saturated_elements(kUb, both(kUh));
  m["vpkuwus"] = saturated_elements(kUh, both(kUw));
  m["vpkshus"] = saturated_elements(kUb, both(kSh));
  m["vpkswus"] = saturated_elements(kUh, both(kSw));
  m["vpkshss"] = saturated_elements(kSb, both(kSh));
  m["vpkswss"] = saturated_elements(kSh, both(kSw));
  m["vpkpx"] = elements(kUh, [=](const Input& in, unsigned i) {
    const Big w = both(kUw)(in, i);
    return (w >> 24 & 1) << 15 | (w >> 19 & 31) << 10 | (w >> 11 & 31) << 5 | (w >> 3 & 31);
  });
  for (const bool low : {false, true}) {
    const std::string half = low ? "vupkl" : "vupkh";
    m[half + "sb"] =
        elements(kSh, [=](const Input& in, unsigned i) { return kSb.get(in.b, i + (low ? 8 : 0)); });
    m[half + "sh"] =
        elements(kSw, [=](const Input& in, unsigned i) { return kSh.get(in.b, i + (low ? 4 : 0)); });
    m[half + "px"] = elements(kUw, [=](const Input& in, unsigned i) {
      const Big h = kUh.get(in.b, i + (low ? 4 : 0));
      return (h >> 15 ? Big{255} : 0) << 24 | (h >> 10 & 31) << 16 | (h >> 5 & 31) << 8 | (h & 31);
    });
  }
}

// ---- singles

/// An MPFR number that holds every sum and product of singles exactly.
class Exact {
 public:
  Exact() { mpfr_init2(value_, 1200); }
  explicit Exact(float v) : Exact() { mpfr_set_flt(value_, v, MPFR_RNDN); }
  Exact(const Exact& other) : Exact() { mpfr_set(value_, other.value_, MPFR_RNDN); }
  Exact& operator=(const Exact&) = delete;
  ~Exact() { mpfr_clear(value_); }
  mpfr_ptr get() { return value_; }
  mpfr_srcptr get() const { return value_; }

 private:
  mpfr_t value_;
};

constexpr u32 kQuietBit = 0x00400000, kDefaultNan = 0x7FC00000, kSign = 0x80000000;
bool is_nan(u32 w) { return (w & ~kSign) > 0x7F800000; }
float single(u32 w) { return std::bit_cast<float>(w); }
u32 flushed(u32 w, bool flush) { return flush && !(w & 0x7F800000) ? w & kSign : w; }

/// Rounded to the nearest single; `flush` makes zeros of what is smaller than any normal number before that.
u32 delivered(const Exact& exact, bool flush) {
  if (mpfr_nan_p(exact.get())) return kDefaultNan;
  const u32 sign = mpfr_signbit(exact.get()) ? kSign : 0;
  if (flush && mpfr_regular_p(exact.get()) && mpfr_get_exp(exact.get()) <= -126) return sign;  // < 2^-126
  // mpfr_get_flt rounds to denormals and to infinity as well.
  return std::bit_cast<u32>(mpfr_get_flt(exact.get(), MPFR_RNDN));
}

using Words = std::array<u32, 3>;
/// Word by word, of operands with denormals flushed; the first NaN among them is the result, made quiet.
Model floating(unsigned operands, std::function<u32(const Words&, bool)> function) {
  return [=](const Input& in) {
    Output out;
    for (unsigned i = 0; i < 4; i++) {
      const auto at = [&](const Quad& q) { return flushed(element<u32>(q, i), in.flush); };
      Words w = operands == 1 ? Words{at(in.b)} : Words{at(in.a), at(in.b), operands == 3 ? at(in.c) : 0};
      u32 result = 0;
      const auto nan = std::find_if(w.begin(), w.end(), is_nan);
      result = nan != w.end() ? *nan | kQuietBit : function(w, in.flush);
      set_element<u32>(out.target, i, result);
    }
    return out;
  };
}
/// A mask, by comparing operands that may be NaNs.
Model comparing(std::function<u32(float, float)> function) {
  return [=](const Input& in) {
    Output out;
    for (unsigned i = 0; i < 4; i++) {
      const auto at = [&](const Quad& q) { return single(flushed(element<u32>(q, i), in.flush)); };
      set_element<u32>(out.target, i, function(at(in.a), at(in.b)));
    }
    return out;
  };
}

void add_floating(Models& m) {
  const auto sum = [](bool minus) {
    return floating(2, [=](const Words& w, bool flush) {
      const Exact a(single(w[0])), b(single(w[1]));
      Exact r;
      (minus ? mpfr_sub : mpfr_add)(r.get(), a.get(), b.get(), MPFR_RNDN);
      return delivered(r, flush);
    });
  };
  m["vaddfp"] = sum(false);
  m["vsubfp"] = sum(true);
  const auto product = [](bool negative) {
    return floating(3, [=](const Words& w, bool flush) {
      const Exact a(single(w[0])), b(single(w[1])), c(single(w[2]));
      Exact r;
      (negative ? mpfr_fms : mpfr_fma)(r.get(), a.get(), c.get(), b.get(), MPFR_RNDN);
      const u32 result = delivered(r, flush);
      return negative && !is_nan(result) ? result ^ kSign : result;
    });
  };
  m["vmaddfp"] = product(false);
  m["vnmsubfp"] = product(true);
  const auto greater = [](u32 a, u32 b) {
    const int order = mpfr_cmp(Exact(single(a)).get(), Exact(single(b)).get());
    return order ? order > 0 : a < b;  // of zeros the positive one
  };
  m["vmaxfp"] = floating(2, [=](const Words& w, bool) { return greater(w[0], w[1]) ? w[0] : w[1]; });
  m["vminfp"] = floating(2, [=](const Words& w, bool) { return greater(w[0], w[1]) ? w[1] : w[0]; });
  m["vcmpeqfp"] = comparing([](float a, float b) { return a == b ? ~u32{0} : 0; });
  m["vcmpgefp"] = comparing([](float a, float b) { return a >= b ? ~u32{0} : 0; });
  m["vcmpgtfp"] = comparing([](float a, float b) { return a > b ? ~u32{0} : 0; });
  m["vcmpbfp"] =
      comparing([](float a, float b) { return (a <= b ? 0 : kSign) | (a >= -b ? 0 : kSign >> 1); });
  for (const auto& [name, mode] :
       {std::pair{"vrfin", MPFR_RNDN}, {"vrfiz", MPFR_RNDZ}, {"vrfip", MPFR_RNDU}, {"vrfim", MPFR_RNDD}}) {
    m[name] = floating(1, [mode = mode](const Words& w, bool) {
      const Exact b(single(w[0]));
      Exact r;
      mpfr_rint(r.get(), b.get(), mode);
      return std::bit_cast<u32>(mpfr_get_flt(r.get(), MPFR_RNDN)) | (w[0] & kSign);
    });
  }
  for (const Kind word : {kUw, kSw}) {
    m[word.is_signed ? "vctsxs" : "vctuxs"] =
        saturated_elements(word, [=](const Input& in, unsigned i) -> Big {
          const u32 w = flushed(element<u32>(in.b, i), in.flush);
          if (is_nan(w)) return 0;
          Exact r(single(w));
          mpfr_mul_2ui(r.get(), r.get(), in.immediate, MPFR_RNDN);
          if (mpfr_cmp_d(r.get(), 0x1p40) > 0) return Big{1} << 40;
          if (mpfr_cmp_d(r.get(), -0x1p40) < 0) return -(Big{1} << 40);
          return mpfr_get_sj(r.get(), MPFR_RNDZ);
        });
    m[word.is_signed ? "vcfsx" : "vcfux"] = elements(kUw, [=](const Input& in, unsigned i) {
      Exact r;
      mpfr_set_sj(r.get(), static_cast<intmax_t>(word.get(in.b, i)), MPFR_RNDN);
      mpfr_div_2ui(r.get(), r.get(), in.immediate, MPFR_RNDN);
      return Big{delivered(r, false)};
    });
  }
}

const Models& models() {
  static const Models all = [] {
    Models m;
    add_arithmetic(m);
    add_sums(m);
    add_permutations(m);
    add_packs(m);
    add_floating(m);
    return m;
  }();
  return all;
}

// ---- the tests

const Quad& operand(const VmxState& s, u32 number) {
  for (std::size_t i = 0; i < kNumbers.size(); i++) {
    if (kNumbers[i] == number) return s.vr[i];
  }
  return s.vr[0];  // an immediate
}
Input input_of(u32 word, const VmxState& s) {
  return {operand(s, word >> 16 & 31),
          operand(s, word >> 11 & 31),
          operand(s, word >> 6 & 31),
          word >> 16 & 31,
          word >> 6 & 15,
          (s.vscr & 0x10000) != 0};
}

/// Storage, VSCR and estimates have their own rules.
bool elsewhere(const std::string& name) {
  return name.starts_with("lv") || name.starts_with("stv") || name.ends_with("vscr") || name == "vrefp" ||
         name == "vrsqrtefp" || name == "vexptefp" || name == "vlogefp";
}

TEST(VmxModel, EveryComputationIsAsItsModelSays) {
  VmxOperands operands(11);
  u64 compared = 0, rows = 0;
  for (const isa::Row* row : vmx_rows()) {
    const std::string name = row->mnemonic;
    const bool records = name.ends_with('.');
    const auto model = models().find(records ? name.substr(0, name.size() - 1) : name);
    EXPECT_EQ(model == models().end(), elsewhere(name)) << name;
    if (model == models().end()) continue;
    rows++;
    const u64 cases = vmx_case_count(3000);
    int failures = 0;
    for (u64 i = 0; i < cases && failures < 3; i++) {
      const u32 word = operands.instruction(*row);
      const VmxState in = operands.state(word);
      const Output out = model->second(input_of(word, in));
      VmxState want = in;
      const_cast<Quad&>(operand(want, word >> 21 & 31)) = out.target;
      want.vscr |= out.saturated;
      if (records) {
        const bool all = out.target == every<u8>(0xFF), none = out.target == Quad{};
        const u32 cr6 = u32{all && name != "vcmpbfp."} << 3 | u32{none} << 1;
        want.cr = (in.cr & ~0xF0u) | cr6 << 4;
      }
      const VmxState got = run_semantics(word, in);
      if (got == want) continue;
      failures++;
      ADD_FAILURE() << isa::disassemble(0, word) << "\nin  " << in << "\nwant" << want << "\ngot " << got;
    }
    compared += cases;
    coverage::cases(takes_floats(*row) || name.starts_with("vcf") ? "mpfr" : "model", name, cases);
  }
  std::cout << rows << " rows, " << compared << " cases\n";
}

/// How far an estimate may be from the exact value.
struct Bounds {
  double relative, absolute;
};
struct Estimate {
  const char* name;
  int (*function)(mpfr_ptr, mpfr_srcptr, mpfr_rnd_t);
  bool positive_only;
  std::vector<Bounds> bounds;  ///< Each of them holds.
  /// Whether the exact value is one that has to be met.
  bool (*met)(float x);
};
const Estimate kEstimates[] = {
    {"vrefp",
     [](mpfr_ptr r, mpfr_srcptr x, mpfr_rnd_t mode) { return mpfr_ui_div(r, 1, x, mode); },
     false,
     {{1.0 / 4096, 0}},
     [](float) { return false; }},
    {"vrsqrtefp", mpfr_rec_sqrt, true, {{1.0 / 4096, 0}}, [](float) { return false; }},
    {"vexptefp", mpfr_exp2, false, {{1.0 / 16, 0}}, [](float x) { return x == std::trunc(x); }},
    // The AltiVec manual: 1/32, and an eighth of the value; whole results are exact.
    {"vlogefp",
     mpfr_log2,
     true,
     {{0, 1.0 / 32}, {1.0 / 8, 0}},
     [](float x) {
       int exponent;
       return std::frexp(x, &exponent) == 0.5f;
     }},
};

/// Nothing if `got` is a good estimate.
std::string fault_of(const Estimate& e, u32 operand, bool flush, u32 got) {
  const u32 x = flushed(operand, flush);
  if (is_nan(x)) return got == (x | kQuietBit) ? "" : "the operand, quiet";
  const float value = single(x);
  if (e.positive_only && value < 0) return got == kDefaultNan ? "" : "the default NaN";
  const Exact exact_x(value);
  Exact exact;
  e.function(exact.get(), exact_x.get(), MPFR_RNDN);
  // Of minus zero MPFR's 1/sqrt is an infinity without the sign.
  if (std::string(e.name) == "vrsqrtefp" && value == 0)
    mpfr_setsign(exact.get(), exact.get(), x >> 31, MPFR_RNDN);
  const u32 nearest = delivered(exact, flush);
  if (!mpfr_regular_p(exact.get()) || e.met(value))
    return got == nearest ? "" : "exactly " + std::to_string(single(nearest));
  // What cannot be a normal number: the nearest, or where that is one of the ends what an error makes of it.
  const double want = mpfr_get_d(exact.get(), MPFR_RNDN), is = single(got);
  for (const auto& [relative, absolute] : e.bounds) {
    const double error = std::fabs(want) * relative + absolute;
    const double low = std::fabs(want) - error, high = std::fabs(want) + error;
    const bool overflows = high >= 0x1.ffffffp127 && std::isinf(single(got));
    const bool vanishes = flush && low < 0x1p-126 && is == 0;
    if (!overflows && !vanishes && !(std::fabs(is - want) <= error + 0x1p-150))
      return "about " + std::to_string(want);
    if (std::signbit(is) != std::signbit(want) && !(is == 0 && want != 0 && absolute > 0))
      return "another sign";
    if (flush && is != 0 && std::fabs(is) < 0x1p-126) return "no denormal";
  }
  return "";
}

TEST(VmxModel, EstimatesAreWithinTheirBounds) {
  VmxOperands operands(12);
  for (const Estimate& e : kEstimates) {
    const isa::Row& row = row_named(e.name);
    const u32 word = row.value | 1 << 11;
    u64 compared = 0;
    int failures = 0;
    const auto check = [&](const Quad& b, bool flush) {
      VmxState in;
      in.vr[1] = b;
      in.vscr = flush ? 0x10000 : 0;
      const VmxState out = run_semantics(word, in);
      EXPECT_EQ(out.vscr, in.vscr);
      for (unsigned i = 0; i < 4; i++) {
        const u32 x = element<u32>(b, i), got = element<u32>(out.vr[0], i);
        const std::string fault = fault_of(e, x, flush, got);
        compared++;
        if (fault.empty() || failures++ >= 5) continue;
        ADD_FAILURE() << e.name << std::hex << ' ' << x << (flush ? " NJ" : "") << ": " << got << ", want "
                      << fault;
      }
    };
    for (const bool flush : {false, true}) {
      for (u64 i = 0; i < vmx_case_count(6000); i++) check(operand(operands.state(word), 1), flush);
      // Every exponent with the ends and a few between them, both signs, and whole numbers.
      for (u32 exponent = 0; exponent < 256; exponent++) {
        const u32 top = exponent << 23, any = static_cast<u32>(operands.word()) & 0x7FFFFF;
        check(words(top, top | 1, top | 0x7FFFFF, top | any), flush);
        check(words(top | kSign, top | kSign | 1, top | kSign | 0x7FFFFF, top | kSign | any), flush);
        const float whole = static_cast<float>(static_cast<int>(exponent) - 160);
        check(floats(whole, std::nextafter(whole, 200.0f), std::nextafter(whole, -200.0f), whole / 2), flush);
        // About one, where a logarithm vanishes.
        const float step = static_cast<float>(exponent + 1);
        check(floats(1 + step * 0x1p-23f, 1 - step * 0x1p-24f, 1 + step * 0x1p-12f, 1 - step * 0x1p-12f),
              flush);
      }
    }
    std::cout << e.name << ": " << compared << " cases\n";
    coverage::cases("mpfr", e.name, compared);
  }
}

}  // namespace
}  // namespace baton::test
