// SPDX-License-Identifier: Apache-2.0
// Decimal instructions against the functions of Intel's library in the five rounding modes that it has,
// called with its own conversions from packed digits: what we put around the library changes neither results
// nor flags.
#include <bid_conf.h>
#include <bid_functions.h>
#include <gtest/gtest.h>

#include <functional>

#include "cpu/fpu/fpu.h"
#include "tests/cpu/coverage.h"
#include "tests/cpu/dfp_harness.h"

namespace baton::test {
namespace {

namespace f = cpu::fpscr;

/// FPSCR[DRN] 0..4 in Intel's numbering.
constexpr unsigned kModes[] = {BID_ROUNDING_TO_NEAREST, BID_ROUNDING_TO_ZERO, BID_ROUNDING_UP,
                               BID_ROUNDING_DOWN, BID_ROUNDING_TIES_AWAY};

BID_UINT128 wide(u128 bits) { return {{static_cast<BID_UINT64>(bits), static_cast<BID_UINT64>(bits >> 64)}}; }
u128 narrow(BID_UINT128 v) { return static_cast<u128>(v.w[1]) << 64 | v.w[0]; }
BID_UINT128 bid128(u128 dpd) { return bid_dpd_to_bid128(wide(dpd)); }
BID_UINT64 bid64(u128 dpd) { return bid_dpd_to_bid64(static_cast<u64>(dpd)); }
u128 dpd(BID_UINT128 v) { return narrow(bid_to_dpd128(v)); }
u128 dpd(BID_UINT64 v) { return bid_to_dpd64(v); }
u128 dpd(BID_UINT32 v) { return bid_to_dpd32(v); }

/// From encoded operands to an encoded result.
using Function = std::function<u128(u128 a, u128 b, unsigned mode, unsigned* flags)>;

template <class R, class X>
u128 integer(R (*by_mode[])(X, unsigned*), X x, unsigned drn, unsigned* flags) {
  return static_cast<u64>(by_mode[drn](x, flags));
}
unsigned drn_of(unsigned mode) {
  return static_cast<unsigned>(std::find(std::begin(kModes), std::end(kModes), mode) - std::begin(kModes));
}

struct Peer {
  const char* mnemonic;
  std::vector<u32> immediates;
  const DecimalFormat* result;  ///< nullptr: an integer
  Function function;
};

#define BOTH(mnemonic, immediates, call)                                                          \
  {#mnemonic, immediates, &kDecimal64,                                                            \
   [](u128 a, u128 b, unsigned mode, unsigned* flags) {                                           \
     return dpd(bid64_##call(bid64(a), bid64(b), mode, flags));                                   \
   }},                                                                                            \
  {                                                                                               \
    #mnemonic "q", immediates, &kDecimal128, [](u128 a, u128 b, unsigned mode, unsigned* flags) { \
      return dpd(bid128_##call(bid128(a), bid128(b), mode, flags));                               \
    }                                                                                             \
  }
const std::vector<u32> kNone, kCurrentMode = {3}, kFirstCurrentMode = {0, 3};
const Peer kPeers[] = {
    BOTH(dadd, kNone, add),
    BOTH(dsub, kNone, sub),
    BOTH(dmul, kNone, mul),
    BOTH(ddiv, kNone, div),
    {"dqua", kCurrentMode, &kDecimal64,
     [](u128 a, u128 b, unsigned mode, unsigned* flags) {
       return dpd(bid64_quantize(bid64(b), bid64(a), mode, flags));
     }},
    {"dquaq", kCurrentMode, &kDecimal128,
     [](u128 a, u128 b, unsigned mode, unsigned* flags) {
       return dpd(bid128_quantize(bid128(b), bid128(a), mode, flags));
     }},
    {"drintx", kFirstCurrentMode, &kDecimal64,
     [](u128, u128 b, unsigned mode, unsigned* flags) {
       return dpd(bid64_round_integral_exact(bid64(b), mode, flags));
     }},
    {"drintxq", kFirstCurrentMode, &kDecimal128,
     [](u128, u128 b, unsigned mode, unsigned* flags) {
       return dpd(bid128_round_integral_exact(bid128(b), mode, flags));
     }},
    {"drsp", kNone, &kDecimal32,
     [](u128, u128 b, unsigned mode, unsigned* flags) { return dpd(bid64_to_bid32(bid64(b), mode, flags)); }},
    {"drdpq", kNone, &kDecimal64,
     [](u128, u128 b, unsigned mode, unsigned* flags) {
       return dpd(bid128_to_bid64(bid128(b), mode, flags));
     }},
    {"dctqpq", kNone, &kDecimal128,
     [](u128, u128 b, unsigned, unsigned* flags) { return dpd(bid64_to_bid128(bid64(b), flags)); }},
    {"dcffixq", kNone, &kDecimal128,
     [](u128, u128 b, unsigned, unsigned*) { return dpd(bid128_from_int64(static_cast<BID_SINT64>(b))); }},
    {"dctfix", kNone, nullptr,
     [](u128, u128 b, unsigned mode, unsigned* flags) {
       static BID_SINT64 (*kByMode[])(BID_UINT64, unsigned*) = {bid64_to_int64_xrnint, bid64_to_int64_xint,
                                                                bid64_to_int64_xceil, bid64_to_int64_xfloor,
                                                                bid64_to_int64_xrninta};
       return integer(kByMode, bid64(b), drn_of(mode), flags);
     }},
    {"dctfixq", kNone, nullptr,
     [](u128, u128 b, unsigned mode, unsigned* flags) {
       static BID_SINT64 (*kByMode[])(BID_UINT128, unsigned*) = {
           bid128_to_int64_xrnint, bid128_to_int64_xint, bid128_to_int64_xceil, bid128_to_int64_xfloor,
           bid128_to_int64_xrninta};
       return integer(kByMode, bid128(b), drn_of(mode), flags);
     }},
};
#undef BOTH

u64 status_of(unsigned flags) {
  return (flags & BID_INVALID_EXCEPTION ? f::VX : 0) | (flags & BID_ZERO_DIVIDE_EXCEPTION ? f::ZX : 0) |
         (flags & BID_OVERFLOW_EXCEPTION ? f::OX : 0) | (flags & BID_UNDERFLOW_EXCEPTION ? f::UX : 0) |
         (flags & BID_INEXACT_EXCEPTION ? f::XX : 0);
}

/// Whether the library can be asked: its conversions from densely packed digits make some quiet NaNs
/// signalling ones, and infinities lose digits that they should not have.
bool common(const DecimalFormat& format, u128 bits) {
  const DecimalText v = decode_decimal(format, bits);
  return v.kind == DecimalText::kFinite || (v.kind == DecimalText::kInfinity && v.digits.empty());
}

TEST(DecimalPeer, AgreesWithIntel) {
  DecimalOperands operands(4);
  u64 compared = 0;
  for (const Peer& peer : kPeers) {
    const std::string name = peer.mnemonic;
    const bool quad = is_quad(name) && name != "dctqpq" && name != "dcffixq";
    const u32 word = dfp_word(name, peer.immediates);
    int failures = 0;
    const u64 before = compared;
    for (u64 i = 0; i < dfp_case_count(40000) && failures < 3; i++) {
      DfpState in = operands.state(name, false);
      const u64 drn = i % 5;
      in.fpscr = drn << 32;
      const u128 a = in.operand(2, quad), b = in.operand(4, quad);
      const DecimalFormat& format = quad ? kDecimal128 : kDecimal64;
      if (name != "dcffixq" && (!common(format, a) || !common(format, b))) continue;
      unsigned flags = 0;
      const u128 want = peer.function(a, b, kModes[drn], &flags);
      const DfpState out = run_decimal(word, in);
      const bool wide_result = peer.result == &kDecimal128;
      const u128 got = out.operand(0, wide_result);
      constexpr u64 kAll = f::VX | f::OX | f::UX | f::ZX | f::XX;
      bool same = (out.fpscr & kAll) == status_of(flags);
      if (peer.result && decode_decimal(*peer.result, want).kind >= DecimalText::kQuiet) {
        // The result of an invalid operation: any NaN.
        same &= decode_decimal(*peer.result, got).kind >= DecimalText::kQuiet;
      } else if (!peer.result && flags & BID_INVALID_EXCEPTION) {
        // What does not fit is not the same number there.
      } else {
        same &= got == want;
      }
      compared++;
      if (same) continue;
      failures++;
      const auto text = [&](u128 v) {
        return peer.result ? to_string(decode_decimal(*peer.result, v)) : std::to_string(static_cast<i64>(v));
      };
      ADD_FAILURE() << name << " DRN " << drn << ' ' << to_string(decode_decimal(format, a)) << ' '
                    << to_string(decode_decimal(format, b)) << "\nwant " << text(want) << std::hex << ' '
                    << status_of(flags) << "\ngot  " << text(got) << ' ' << (out.fpscr & kAll);
    }
    coverage::cases("intel", name, compared - before);
  }
  std::cout << compared << " cases\n";
}

TEST(DecimalPeer, ComparesLikeIntel) {
  DecimalOperands operands(5);
  for (const char* name : {"dcmpu", "dcmpuq", "dcmpo", "dcmpoq"}) {
    const bool quad = is_quad(name), ordered = std::string(name).starts_with("dcmpo");
    const u32 word = dfp_word(name, {0});
    u64 compared = 0;
    for (u64 i = 0; i < dfp_case_count(40000); i++) {
      DfpState in = operands.state(name, false);
      in.fpscr = 0;
      const u128 a = in.operand(2, quad), b = in.operand(4, quad);
      const DecimalFormat& format = quad ? kDecimal128 : kDecimal64;
      if (!common(format, a) || !common(format, b)) continue;
      unsigned flags = 0;
      const auto ask = [&](int (*narrow_function)(BID_UINT64, BID_UINT64, unsigned*),
                           int (*wide_function)(BID_UINT128, BID_UINT128, unsigned*)) {
        return quad ? wide_function(bid128(a), bid128(b), &flags)
                    : narrow_function(bid64(a), bid64(b), &flags);
      };
      const u32 want = ask(bid64_quiet_less, bid128_quiet_less)         ? 8
                       : ask(bid64_quiet_greater, bid128_quiet_greater) ? 4
                       : ask(bid64_quiet_equal, bid128_quiet_equal)     ? 2
                                                                        : 1;
      const DfpState out = run_decimal(word, in);
      const bool invalid = ordered ? want == 1 : (flags & BID_INVALID_EXCEPTION) != 0;
      ASSERT_EQ(out.cr >> 28, want) << name << ' ' << in;
      ASSERT_EQ((out.fpscr & f::VX) != 0, invalid) << name << ' ' << in;
      compared++;
    }
    coverage::cases("intel", name, compared);
  }
}

}  // namespace
}  // namespace baton::test
