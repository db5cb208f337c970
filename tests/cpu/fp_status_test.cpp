// SPDX-License-Identifier: Apache-2.0
// FPSCR and floating-point interrupts, all of it: every combination of exception and enable bits through the
// instructions that write FPSCR, each exception in each FE0/FE1 mode as the interrupt shows it, and the moves
// between registers and storage over all exponents. The model is POWER6-ISA 2.4 and 4.11 bit by bit.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>

#include "cpu/fpu/fpu.h"
#include "cpu/isa/isa.h"
#include "cpu/thread.h"
#include "tests/cpu/coverage.h"
#include "tests/cpu/fp_harness.h"

namespace baton::test {
namespace {

namespace f = cpu::fpscr;
namespace msr = cpu::msr;
namespace fpu = cpu::fpu;

constexpr u64 kSign = u64{1} << 63, kOne = 0x3FF0000000000000, kUntouched = 0x123456789ABCDEF0;

#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr u32 kStride = 97;
#else
constexpr u32 kStride = 1;
#endif

/// IBM bit n of FPSCR's low word.
constexpr u64 bit(unsigned n) { return u64{1} << (31 - n); }

/// Numbers of the bits that are exceptions: OX, UX, ZX, XX, VXSNAN..VXVC, VXSOFT..VXCVI.
constexpr unsigned kExceptionBits[] = {3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 21, 22, 23};
bool is_exception(unsigned n) {
  for (const unsigned e : kExceptionBits)
    if (e == n) return true;
  return false;
}
bool is_invalid(unsigned n) { return is_exception(n) && n >= 7; }

/// FPSCR with FEX (bit 1) and VX (bit 2) worked out.
u64 summed(u64 fpscr) {
  fpscr &= ~(bit(1) | bit(2));
  for (unsigned n = 0; n < 32; n++)
    if (is_invalid(n) && fpscr & bit(n)) fpscr |= bit(2);
  // VE, OE, UE, ZE, XE are bits 24 to 28.
  const bool enabled[] = {(fpscr & bit(2)) && (fpscr & bit(24)), (fpscr & bit(3)) && (fpscr & bit(25)),
                          (fpscr & bit(4)) && (fpscr & bit(26)), (fpscr & bit(5)) && (fpscr & bit(27)),
                          (fpscr & bit(6)) && (fpscr & bit(28))};
  for (const bool e : enabled)
    if (e) fpscr |= bit(1);
  return fpscr;
}

/// A combination of the 13 exceptions, 5 enables and FX.
u64 combination(u32 n) {
  u64 fpscr = 0;
  for (unsigned i = 0; i < 13; i++)
    if (n >> i & 1) fpscr |= bit(kExceptionBits[i]);
  for (unsigned i = 0; i < 5; i++)
    if (n >> (13 + i) & 1) fpscr |= bit(24 + i);
  if (n >> 18 & 1) fpscr |= bit(0);
  return summed(fpscr);
}
constexpr u32 kCombinations = 1 << 19;

/// Bit 20 is reserved; FEX and VX are nobody's to write.
constexpr bool writable(unsigned n) { return n != 1 && n != 2 && n != 20; }

struct Status {
  u64 fpscr = 0;
  u32 cr = 0;
  bool interrupt = false;
  bool operator==(const Status&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Status& s) {
  return out << std::hex << s.fpscr << " CR " << s.cr << (s.interrupt ? " interrupt" : "") << std::dec;
}

/// Executes a word that touches FPSCR and CR only; FE0 and FE1 are on.
class Executor {
 public:
  Executor() { s_.msr = msr::SF | msr::FP | msr::FE0 | msr::FE1; }
  Status operator()(u32 word, u64 fpscr, u64 source = 0) {
    s_.fpscr = fpscr;
    s_.fpr[3] = source;
    for (u8& field : s_.cr) field = 0;
    s_.stop = cpu::Stop::kNone;
    const bool stops = execute_fp(s_, word) == cpu::Flow::kStop;
    Status out{s_.fpscr, 0, stops};
    for (const u8 field : s_.cr) out.cr = out.cr << 4 | field;
    return out;
  }

 private:
  cpu::State s_;
};

TEST(FloatingPointStatus, EverySingleBit) {
  Executor execute;
  u64 cases = 0;
  for (u32 n = 0; n < kCombinations && !HasFailure(); n += kStride) {
    const u64 before = combination(n);
    for (unsigned b = 0; b < 32; b++) {
      u64 set = before, cleared = before;
      if (writable(b)) {
        if (is_exception(b) && !(before & bit(b))) set |= bit(0);
        set |= bit(b);
        cleared &= ~bit(b);
      }
      set = summed(set);
      cleared = summed(cleared);
      const u32 cr1 = static_cast<u32>(set >> 28) << 24;
      EXPECT_EQ(execute(0xFC00004D | b << 21, before), (Status{set, cr1, (set & bit(1)) != 0}))
          << "mtfsb1. " << b;
      EXPECT_EQ(execute(0xFC00008C | b << 21, before), (Status{cleared, 0, false})) << "mtfsb0 " << b;
      cases++;
    }
  }
  coverage::cases("rules", "mtfsb1.", cases);
  coverage::cases("rules", "mtfsb0", cases);
}

TEST(FloatingPointStatus, EveryField) {
  Executor execute;
  u64 cases = 0;
  for (u32 n = 0; n < kCombinations && !HasFailure(); n += kStride) {
    const u64 before = combination(n) | 0x12000;  // some FPRF
    for (unsigned field = 0; field < 8; field++) {
      // mcrfs: the field as it was; its exceptions go.
      u64 after = before;
      for (unsigned b = 4 * field; b < 4 * field + 4; b++)
        if (is_exception(b) || b == 0) after &= ~bit(b);
      const u32 cr = static_cast<u32>(before >> (28 - 4 * field) & 15) << 20;  // CR2
      EXPECT_EQ(execute(0xFC000080 | 2 << 23 | field << 18, before), (Status{summed(after), cr, false}))
          << field;
      // mtfsfi: the field becomes U.
      const u64 u = (n * 7 + field) & 15;
      after = before;
      for (unsigned i = 0; i < 4; i++) {
        const unsigned b = 4 * field + i;
        if (!writable(b)) continue;
        after = u >> (3 - i) & 1 ? after | bit(b) : after & ~bit(b);
      }
      after = summed(after);
      EXPECT_EQ(execute(0xFC00010C | field << 23 | static_cast<u32>(u) << 12, before),
                (Status{after, 0, (after & bit(1)) != 0}))
          << "mtfsfi " << field << ',' << u;
      cases++;
    }
  }
  coverage::cases("rules", "mcrfs", cases);
  coverage::cases("rules", "mtfsfi", cases);
}

TEST(FloatingPointStatus, EveryMask) {
  Executor execute;
  Operands random(7);
  const u32 rounds = 3000 / kStride + 1;
  for (u32 mask = 0; mask < 256 && !HasFailure(); mask++) {
    for (u32 n = 0; n < rounds; n++) {
      const u64 before = combination(static_cast<u32>(random.below(kCombinations))) | random.below(4);
      const u64 source = random.word();
      u64 after = before;
      for (unsigned b = 0; b < 32; b++)
        if (mask >> (7 - b / 4) & 1 && writable(b)) after = (after & ~bit(b)) | (source & bit(b));
      after = summed(after);
      const Status want{after, 0, (after & bit(1)) != 0};
      EXPECT_EQ(execute(0xFC00058E | mask << 17 | 3 << 11, before, source), want) << "mtfsf " << mask;
      // W=1: of the upper word only the rounding mode of decimal arithmetic is there. L=1: everything.
      const u64 high = mask & 1 ? source & f::DRN : 0;
      const Status upper{before | high, 0, (before & bit(1)) != 0};
      EXPECT_EQ(execute(0xFC00058E | mask << 17 | 1 << 16 | 3 << 11, before, source), upper)
          << "mtfsf W " << mask;
    }
  }
  coverage::cases("rules", "mtfsf", u64{256} * rounds);
}

TEST(FloatingPointStatus, NewerFormsOfMffsAreMffs) {
  // mffsce, mffscrn, mffscrni, mffsl...: bits 11:15 were reserved then.
  for (u32 form = 0; form < 32; form++) {
    for (u32 rest : {0u, 3u << 11, 31u << 11}) {
      const u32 word = 0xFC20048E | form << 16 | rest;
      FpState in{.fpr = {kUntouched, 1, 2, 3}, .fpscr = combination(0x25A5A) | f::DRN | 2};
      FpState want = in;
      want.fpr[0] = in.fpscr;
      EXPECT_EQ(run_semantics(word, in), want) << std::hex << word;
    }
  }
}

// ---- FPSCR left open by regions (State::deferred) says in the end what it would have said at once

TEST(FloatingPointStatus, LeftOpenAndSettledIsTheSame) {
  using fpu::Op;
  constexpr Op kOps[] = {Op::kAdd,  Op::kSub,  Op::kMul,   Op::kDiv,  Op::kSqrt,
                         Op::kMadd, Op::kMsub, Op::kNmadd, Op::kNmsub};
  std::mt19937_64 random(6);
  const auto operand = [&](bool single) {
    constexpr double kSpecial[] = {0, -0.0, 1, -1, 2, 0.5, 3, 1e-310, -1e300, 1e-300, 1e38, 1e-38, INFINITY};
    double value =
        std::ldexp(static_cast<double>(static_cast<i64>(random())), static_cast<int>(random() % 40) - 80);
    if (random() % 3 == 0) value = kSpecial[random() % std::size(kSpecial)];
    if (random() % 3 == 0) value = static_cast<double>(static_cast<int>(random() % 9) - 4);
    return std::bit_cast<u64>(single ? static_cast<double>(static_cast<float>(value)) : value);
  };
  cpu::State at_once, later;
  unsigned settled = 0, open = 0, zeros = 0;
  for (u32 n = 0; n < 3'000'000; n += kStride) {
    const bool single = random() & 1;
    const Op op = single ? fpu::single(kOps[random() % std::size(kOps)]) : kOps[random() % std::size(kOps)];
    const u64 a = operand(single), b = random() % 8 ? operand(single) : a, c = operand(single);
    const u64 before = summed(f::XX | (random() & (f::FX | f::OX | f::VXISI | f::FR | f::FI | f::FPRF)));
    at_once.fpscr = later.fpscr = before;
    fpu::arithmetic(at_once, op, 1, a, b, c);
    fpu::arithmetic_deferring(later, op, 1, a, b, c);
    if (later.deferred.op) {
      open++;
      fpu::settle_deferred(later);
    }
    const auto said = [&](const char* what) {
      return testing::Message() << what << " op " << std::hex << static_cast<u32>(op) << " of " << a << " "
                                << b << " " << c << ": " << later.fpscr << " instead of " << at_once.fpscr;
    };
    ASSERT_EQ(later.fpr[1], at_once.fpr[1]) << said("deferring");
    ASSERT_EQ(later.fpscr, at_once.fpscr) << said("deferring");
    // What the host computes and leaves open: a normal number or a zero, and nothing new that is sticky.
    const u64 exponent = at_once.fpr[1] >> 52 & 0x7FF;
    const bool zero = at_once.fpr[1] << 1 == 0;
    if (((at_once.fpscr ^ before) & (f::kExceptions | f::FX)) != 0 || exponent == 0x7FF) continue;
    if (zero ? (at_once.fpscr & f::FI) != 0 : exponent == 0) continue;
    later.fpscr = before;
    later.deferred = {static_cast<u32>(op) + 1, 0, a, b, c};
    fpu::settle_deferred(later);
    ASSERT_EQ(later.fpscr, at_once.fpscr) << said("settling");
    settled++;
    zeros += zero;
  }
  EXPECT_GT(open, 1000u / kStride);
  EXPECT_GT(settled, 100'000u / kStride);
  EXPECT_GT(zeros, 1000u / kStride);
}

// ---- the interrupt

/// A hardware thread at kCode in real mode; the program interrupt's vector stops it.
class FloatingPointInterrupt : public testing::Test {
 protected:
  static constexpr u64 kCode = 0x2000;
  static constexpr u32 kStopWord = 0x44000022;  // sc 1

  struct Clock final : cpu::Clock {
    u64 time_base() const override { return 1000; }
  };

  FloatingPointInterrupt() {
    for (u64 at = 0x100; at < 0x1000; at += 0x20) domain.memory().store<u32>(at, kStopWord);
    s.msr = msr::SF | msr::ME | msr::FP;
    thread.update_mode();
  }
  /// Runs these words with this MSR until something calls; true if that was the program interrupt.
  bool run(std::initializer_list<u32> words, u64 bits) {
    u64 at = kCode;
    for (const u32 word : words) {
      domain.memory().store<u32>(at, word);
      at += 4;
    }
    domain.memory().store<u32>(at, kStopWord);
    s.msr = msr::SF | msr::ME | msr::FP | bits;
    s.nia = kCode;
    s.srr0 = s.srr1 = 0;
    thread.update_mode();
    EXPECT_EQ(thread.run(), cpu::Exit::kHypercall);
    return s.nia == 0x704;
  }

  Clock clock;
  cpu::Domain domain{1 << 20, 18, clock, cpu::EngineOptions::from_environment(cpu::Engine::kInterpreter)};
  cpu::Thread thread{domain, 0, nullptr};
  cpu::State& s = thread.state();
};

constexpr u64 kFeModes[] = {0, msr::FE1, msr::FE0, msr::FE0 | msr::FE1};

struct Exception {
  const char* name;
  u32 word;  ///< f1 from f2, f3, f4; Rc=1.
  u64 a, b, c, enable, raised;
  bool delivers;  ///< The target is written.
};
constexpr u64 kMax = 0x7FEFFFFFFFFFFFFF, kMin = 0x0010000000000000, kInf = 0x7FF0000000000000,
              kThree = 0x4008000000000000;
constexpr Exception kRaised[] = {
    {"VXSNAN", 0xFC22182B, 0x7FF4000000000000, kOne, 0, f::VE, f::VXSNAN, false},  // fadd.
    {"VXISI", 0xFC221829, kInf, kInf, 0, f::VE, f::VXISI, false},                  // fsub.
    {"VXIDI", 0xFC221825, kInf, kInf, 0, f::VE, f::VXIDI, false},                  // fdiv.
    {"VXZDZ", 0xFC221825, 0, 0, 0, f::VE, f::VXZDZ, false},                        // fdiv.
    {"VXIMZ", 0xFC220133, kInf, 0, 0, f::VE, f::VXIMZ, false},                     // fmul.
    {"VXSQRT", 0xFC20182D, 0, kOne | kSign, 0, f::VE, f::VXSQRT, false},           // fsqrt.
    {"VXCVI", 0xFC20181D, 0, kInf, 0, f::VE, f::VXCVI, false},                     // fctiw.
    {"ZX", 0xFC221825, kOne, 0, 0, f::ZE, f::ZX, false},                           // fdiv.
    {"OX", 0xFC220133, kMax, 0, kMax, f::OE, f::OX | f::XX, true},                 // fmul.
    {"UX", 0xFC220133, kMin, 0, kMin, f::UE, f::UX, true},                         // fmul.
    {"XX", 0xFC221825, kOne, kThree, 0, f::XE, f::XX, true},                       // fdiv.
    {"single OX", 0xEC220133, 0x47EFFFFFE0000000, 0, 0x47EFFFFFE0000000, f::OE, f::OX | f::XX,
     true},  // fmuls.
};

TEST_F(FloatingPointInterrupt, EachExceptionInEachMode) {
  for (const Exception& e : kRaised) {
    for (const u64 fe : kFeModes) {
      SCOPED_TRACE(testing::Message() << e.name << " FE " << std::hex << fe);
      s.fpr[1] = kUntouched;
      s.fpr[2] = e.a, s.fpr[3] = e.b, s.fpr[4] = e.c;
      s.fpscr = e.enable;
      s.cr[1] = 0;
      const bool interrupted = run({e.word}, fe);
      EXPECT_EQ(interrupted, fe != 0);
      EXPECT_EQ(s.fpr[1] != kUntouched, e.delivers);
      EXPECT_EQ(s.fpscr & f::kExceptions, e.raised);
      EXPECT_EQ(s.fpscr & (f::FX | f::FEX), f::FX | f::FEX);
      EXPECT_EQ(s.cr[1], s.fpscr >> 28 & 15);
      if (!interrupted) continue;
      EXPECT_EQ(s.srr0, kCode);
      EXPECT_EQ(s.srr1, msr::SF | msr::ME | msr::FP | fe | 0x00100000);
      EXPECT_EQ(s.msr, msr::SF | msr::ME);
      // The same with the exception disabled.
      s.fpr[2] = e.a, s.fpr[3] = e.b, s.fpr[4] = e.c;
      s.fpscr = 0;
      EXPECT_FALSE(run({e.word}, fe));
      EXPECT_FALSE(s.fpscr & f::FEX);
    }
  }
}

TEST_F(FloatingPointInterrupt, ComparisonInterruptsWithItsResult) {
  for (const u64 fe : kFeModes) {
    s.fpr[2] = 0x7FF8000000000000, s.fpr[3] = kOne;
    s.fpscr = f::VE;
    s.cr[5] = 0;
    EXPECT_EQ(run({0xFC000040 | 5 << 23 | 2 << 16 | 3 << 11}, fe), fe != 0);  // fcmpo 5,f2,f3
    EXPECT_EQ(s.cr[5], 1);
    EXPECT_EQ(s.fpscr, f::FX | f::FEX | f::VX | f::VXVC | f::VE | 0x1000);
  }
}

TEST_F(FloatingPointInterrupt, WritesToFpscrAreTheirOwnCause) {
  struct {
    const char* name;
    u32 word;
    u64 before, after;
  } const kWrites[] = {
      {"mtfsb1 XE", 0xFC00004C | 28 << 21, f::XX | f::FX, f::XX | f::FX | f::XE | f::FEX},
      {"mtfsb1 VXSOFT", 0xFC00004C | 21 << 21, f::VE, f::VE | f::VXSOFT | f::VX | f::FX | f::FEX},
      {"mtfsfi", 0xFC00010C | 6 << 23 | 8 << 12, f::VXSNAN | f::VX, f::VXSNAN | f::VX | f::VE | f::FEX},
      {"mtfsf", 0xFC00058E | 255 << 17 | 3 << 11, 0, f::OX | f::OE | f::FEX},
  };
  for (const auto& w : kWrites) {
    for (const u64 fe : kFeModes) {
      SCOPED_TRACE(testing::Message() << w.name << " FE " << std::hex << fe);
      s.fpr[3] = f::OX | f::OE;
      s.fpscr = w.before;
      EXPECT_EQ(run({w.word}, fe), fe != 0);
      EXPECT_EQ(s.fpscr, w.after);
      if (!fe) continue;
      EXPECT_EQ(s.srr0, kCode);
      EXPECT_EQ(s.srr1, msr::SF | msr::ME | msr::FP | fe | 0x00100000);
    }
  }
  // What takes an exception away does not interrupt, even if others stay.
  s.fpscr = f::XX | f::XE | f::FEX | f::UX;
  EXPECT_FALSE(run({0xFC00008C | 4 << 21}, 0));
}

TEST_F(FloatingPointInterrupt, EnabledByMsrIsNotTheCause) {
  constexpr u32 kMtmsr = 0x7CA00124, kMtmsrd = 0x7CA00164, kMtmsrdL1 = 0x7CA10164, kRfid = 0x4C000024;
  const u64 pending = f::XX | f::XE | f::FEX | f::FX;
  for (const u64 fe : kFeModes) {
    const u64 wanted = msr::SF | msr::ME | msr::FP | fe;
    for (const u32 word : {kMtmsr, kMtmsrd}) {
      SCOPED_TRACE(testing::Message() << std::hex << word << " FE " << fe);
      s.fpscr = pending;
      s.gpr[5] = wanted;
      EXPECT_EQ(run({word}, 0), fe != 0);
      if (!fe) continue;
      EXPECT_EQ(s.srr0, kCode + 4);
      EXPECT_EQ(s.srr1, wanted | 0x00110000);
      EXPECT_EQ(s.fpscr, pending);
    }
    // Only EE and RI.
    s.fpscr = pending;
    s.gpr[5] = wanted;
    EXPECT_FALSE(run({kMtmsrdL1}, 0));
    // rfid: at its target. SRR0 and SRR1 come from r6 and r5.
    s.fpscr = pending;
    s.gpr[5] = wanted;
    s.gpr[6] = kCode + 0x40;
    domain.memory().store<u32>(kCode + 0x40, kStopWord);
    EXPECT_EQ(run({0x7CDA03A6, 0x7CBB03A6, kRfid}, 0), fe != 0);
    if (fe) {
      EXPECT_EQ(s.srr0, kCode + 0x40);
      EXPECT_EQ(s.srr1, wanted | 0x00110000);
    }
  }
  // Without an exception nothing happens.
  s.fpscr = f::XE;
  s.gpr[5] = msr::SF | msr::ME | msr::FP | msr::FE0 | msr::FE1;
  EXPECT_FALSE(run({kMtmsrd}, 0));
}

TEST_F(FloatingPointInterrupt, HandlerMayReturnBehindIt) {
  // As Linux does for a signal: the handler clears FE in SRR1, and the program goes on.
  s.fpr[2] = kOne, s.fpr[3] = 0, s.fpr[1] = kUntouched;
  s.fpscr = f::ZE;
  ASSERT_TRUE(run({0xFC221824, 0x38E00007 /* li r7,7 */}, msr::FE0));  // fdiv
  s.nia = s.srr0 + 4;
  s.msr = s.srr1 & ~(u64{0x783F0000} | msr::FE0);
  thread.update_mode();
  EXPECT_EQ(thread.run(), cpu::Exit::kHypercall);
  EXPECT_EQ(s.gpr[7], 7u);
  EXPECT_EQ(s.fpr[1], kUntouched);
}

// ---- storage and moves

/// ISA 4.6.2: a single in storage as a double.
u64 double_of(u32 word) {
  const u64 sign = u64{word >> 31} << 63, exponent = word >> 23 & 0xFF, fraction = word & 0x7FFFFF;
  if (exponent == 0xFF) return sign | u64{0x7FF} << 52 | fraction << 29;
  if (exponent) return sign | (exponent + 896) << 52 | fraction << 29;
  if (!fraction) return sign;
  u64 e = 897, significand = fraction;
  while (!(significand & 0x800000)) significand <<= 1, e--;
  return sign | e << 52 | (significand & 0x7FFFFF) << 29;
}

TEST(FloatingPointStorage, SinglesOverAllExponents) {
  Operands random(9);
  u64 loads = 0, stores = 0;
  const auto fractions = [&](unsigned width) {
    std::vector<u64> values{0, 1, 2, 3};
    for (unsigned i = 0; i < width; i++) {
      values.push_back(u64{1} << i);
      values.push_back((u64{1} << width) - (u64{1} << i));
      values.push_back(random.below(u64{1} << width));
    }
    return values;
  };
  const u32 lfs = fp_word("lfs"), stfs = fp_word("stfs");
  for (u32 top = 0; top < 512; top++) {
    for (const u64 fraction : fractions(23)) {
      const u32 word = top << 23 | static_cast<u32>(fraction & 0x7FFFFF);
      const u64 value = run_semantics(lfs, {.memory = {u64{word} << 32, 0}}).fpr[0];
      ASSERT_EQ(value, double_of(word)) << std::hex << word;
      // And back, whatever it is.
      ASSERT_EQ(run_semantics(stfs, {.fpr = {value, 0, 0, 0}}).memory[0] >> 32, word);
      loads++;
    }
  }
  for (u64 top = 0; top < 4096; top++) {
    const u64 exponent = top & 0x7FF, sign = top >> 11;
    for (const u64 fraction : fractions(52)) {
      const u64 value = top << 52 | (fraction & 0xFFFFFFFFFFFFF);
      u64 want;
      if (exponent > 896 || value << 1 == 0) {
        // Bits 0:1 and 5:34.
        want = (value >> 62) << 30 | (value >> 29 & 0x3FFFFFFF);
      } else if (exponent >= 874) {
        const u64 significand = u64{1} << 52 | (value & 0xFFFFFFFFFFFFF);
        want = sign << 31 | significand >> (897 - exponent) >> 29;
      } else {
        continue;  // undefined
      }
      ASSERT_EQ(run_semantics(stfs, {.fpr = {value, 0, 0, 0}}).memory[0] >> 32, want) << std::hex << value;
      stores++;
    }
  }
  coverage::cases("rules", "lfs", loads);
  coverage::cases("rules", "stfs", stores);
}

TEST(FloatingPointStorage, WordsAsIntegers) {
  const u32 word = fp_word("lfiwax");
  for (const u32 value : {0u, 1u, 0x7FFFFFFFu, 0x80000000u, 0xFFFFFFFFu, 0xDEADBEEFu}) {
    const FpState out = run_semantics(word, {.fpscr = f::XX | f::FI, .memory = {u64{value} << 32, 0}});
    EXPECT_EQ(out.fpr[0], static_cast<u64>(i64{static_cast<i32>(value)}));
    EXPECT_EQ(out.fpscr, f::XX | f::FI);
  }
}

TEST(FloatingPointStorage, SelectAndCopySignOverAllClasses) {
  const u64 classes[] = {
      0, 1, 0x000FFFFFFFFFFFFF, kMin, kOne, kMax, kInf, 0x7FF0000000000001, 0x7FF8000000000000, ~kSign};
  for (const u64 magnitude : classes) {
    for (const u64 sign : {u64{0}, kSign}) {
      const u64 a = magnitude | sign;
      const bool nan = magnitude > kInf;
      for (const u64 b : classes) {
        const FpState in{.fpr = {kUntouched, a, b, kThree}, .fpscr = f::VE | f::FR};
        FpState want = in;
        want.fpr[0] = nan || (sign && magnitude) ? b : kThree;
        EXPECT_EQ(run_semantics(fp_word("fsel"), in), want) << std::hex << a;
        want.fpr[0] = sign | b;
        EXPECT_EQ(run_semantics(fp_word("fcpsgn"), in), want) << std::hex << a << ' ' << b;
      }
    }
  }
}

}  // namespace
}  // namespace baton::test
