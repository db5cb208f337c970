// SPDX-License-Identifier: Apache-2.0
// Scalar binary floating point (POWER6-ISA 4.11).
//
// For the instruction table: every template with an Rc form is `name<O, Rc>`, the others `name<O>`. Operands
// are those of isa::operands(): FRT/FRS = a, FRA or RA = b, FRB or RB = c, FRC = d; compare and mcrfs have BF
// = a >> 2, BFA = b >> 2; mtfsf (ImmKind::FLM) has FLM = imm, W = b, L = d; mtfsfi (ImmKind::U) has BF = a, W
// = b, U = imm; mtfsb0/1 have their bit in a. Invalid forms never come here: the decoder rejects them.
//
// The common case runs on the host's arithmetic (cpu/fpu/host.h), which rounds to nearest: finite operands, a
// normal result well inside the range, FPSCR[RN] = 0 and FPSCR[XE] = 0. Everything else is a call to cpu/fpu.
// Host NaNs never reach a register. As in host.h, nothing here needs a constant pool.
#pragma once

#include "cpu/fpu/fpu.h"
#include "cpu/fpu/host.h"
#include "cpu/semantics/semantics.h"

namespace baton::cpu::sem {

namespace fp {

namespace host = fpu::host;
using host::bits;
using host::real;

#define BATON_FP_INLINE [[gnu::always_inline]] inline

inline constexpr u64 kSign = u64{1} << 63;

/// Operands of an instruction in a compiled region that is entered only with MSR[FP] set, rounding to
/// nearest, XE clear and XX set: sticky bits cannot change in the common case, and the others are left open
/// (State::deferred) for whoever leaves the region.
template <class O>
inline constexpr bool kDefers = false;

BATON_FP_INLINE bool available(const State& s) { return s.msr & msr::FP; }
template <class O>
BATON_FP_INLINE bool available(const State& s, O) {
  return kDefers<O> || available(s);
}
[[gnu::cold]] inline Flow unavailable(State& s) { return raise(s, Vector::kFpUnavailable); }

/// Says what was left open.
template <class O>
BATON_FP_INLINE void settle_deferred(State& s, O) {
  if constexpr (kDefers<O>) fpu::settle_deferred(s);
}

/// CR1 of the Rc forms.
template <bool Rc>
BATON_FP_INLINE Flow record(State& s, Flow flow) {
  if constexpr (Rc) s.cr[1] = s.fpscr >> 28 & 15;
  return flow;
}
template <bool Rc, class O>
BATON_FP_INLINE Flow record(State& s, O o, Flow flow) {
  if constexpr (Rc) settle_deferred(s, o);
  return record<Rc>(s, flow);
}

/// Host arithmetic has the guest's rounding, and an inexact result is nothing to stop for.
template <class O>
BATON_FP_INLINE bool host_modes(const State& s, O) {
  return kDefers<O> || __builtin_expect(!(s.fpscr & (fpscr::XE | fpscr::RN)), 1);
}

/// FPRF of a zero or normal number.
BATON_FP_INLINE u64 fprf(u64 result) {
  const u64 sign = result >> 63;
  return result << 1 ? u64{0x4000} << sign : u64{0x2000} | sign << 16;
}

/// FR, FI, XX, FX from the error of a result (host::Result), of which `result` needs to have the sign only.
/// `also` replaces the bits under `mask`.
BATON_FP_INLINE void settle(State& s, u64 result, u64 error, u64 mask, u64 also) {
  const u64 inexact = error << 1 ? 1 : 0;
  const u64 rounded_up = (error ^ result) >> 63 & inexact;
  const u64 set = also | rounded_up << 18 | inexact << 17 | inexact << 25;
  const u64 old = s.fpscr;
  const u64 fresh = (inexact << 25 & ~old) << 6;  // XX goes from 0 to 1: FX
  s.fpscr = (old & ~(fpscr::FR | fpscr::FI | mask)) | set | fresh;
}

struct Arithmetic;
BATON_FP_INLINE void defer(State& s, const Arithmetic& what);

/// An arithmetic instruction and its operands, as fpu::arithmetic() takes them.
struct Arithmetic {
  fpu::Op op;
  u64 a, b, c;
};

/// Delivers a result of host arithmetic; false when it takes more than this.
template <bool kSingle, bool kNegate, class O>
BATON_FP_INLINE bool deliver(State& s, O o, host::Result r, const Arithmetic& what) {
  if constexpr (kSingle) {
    if (!host::to_single(r)) return false;
  }
  const u64 value = kNegate ? bits(0.0 - real(r.value)) : r.value;
  s.fpr[o.a()] = value;
  if constexpr (kDefers<O>) return defer(s, what), true;
  settle(s, r.value, r.error, fpscr::FPRF, u64{0x4000} << (value >> 63));
  return true;
}

BATON_FP_INLINE void defer(State& s, const Arithmetic& what) {
  s.deferred = {static_cast<u32>(what.op) + 1, 0, what.a, what.b, what.c};
}

/// The same in integer arithmetic.
template <bool Rc, class O>
BATON_FP_INLINE Flow in_software(State& s, O o, const Arithmetic& what) {
  if constexpr (kDefers<O> && !Rc)
    return fpu::arithmetic_deferring(s, what.op, o.a(), what.a, what.b, what.c);
  settle_deferred(s, o);
  return record<Rc>(s, o, fpu::arithmetic(s, what.op, o.a(), what.a, what.b, what.c));
}

/// Whether the host's arithmetic has to say how wrong a result is.
template <class O, bool kSingle>
inline constexpr bool kError = kSingle || !kDefers<O>;

template <bool kSingle>
constexpr fpu::Op as(fpu::Op op) {
  return kSingle ? fpu::single(op) : op;
}

template <bool kSubtract, bool kSingle, bool Rc, class O>
BATON_FP_INLINE Flow add(State& s, O o) {
  if (!available(s, o)) return unavailable(s);
  const u64 a = s.fpr[o.b()], b = s.fpr[o.c()];
  const Arithmetic what{as<kSingle>(kSubtract ? fpu::Op::kSub : fpu::Op::kAdd), a, b, 0};
  host::Result r;
  if (host_modes(s, o) && host::add<kSubtract, kError<O, kSingle>>(real(a), real(b), r) &&
      deliver<kSingle, false>(s, o, r, what)) {
    return record<Rc>(s, o, Flow::kNext);
  }
  return in_software<Rc>(s, o, what);
}

template <bool kSingle, bool Rc, class O>
BATON_FP_INLINE Flow multiply(State& s, O o) {
  if (!available(s, o)) return unavailable(s);
  const u64 a = s.fpr[o.b()], c = s.fpr[o.d()];
  const Arithmetic what{as<kSingle>(fpu::Op::kMul), a, 0, c};
  host::Result r;
  if (host_modes(s, o) && host::multiply<kError<O, kSingle>>(real(a), real(c), r) &&
      deliver<kSingle, false>(s, o, r, what)) {
    return record<Rc>(s, o, Flow::kNext);
  }
  return in_software<Rc>(s, o, what);
}

template <bool kSingle, bool Rc, class O>
BATON_FP_INLINE Flow divide(State& s, O o) {
  if (!available(s, o)) return unavailable(s);
  const u64 a = s.fpr[o.b()], b = s.fpr[o.c()];
  const Arithmetic what{as<kSingle>(fpu::Op::kDiv), a, b, 0};
  host::Result r;
  if (host_modes(s, o) && host::divide<kError<O, kSingle>>(real(a), real(b), r) &&
      deliver<kSingle, false>(s, o, r, what)) {
    return record<Rc>(s, o, Flow::kNext);
  }
  return in_software<Rc>(s, o, what);
}

template <bool kSingle, bool Rc, class O>
BATON_FP_INLINE Flow root(State& s, O o) {
  if (!available(s, o)) return unavailable(s);
  const u64 b = s.fpr[o.c()];
  const Arithmetic what{as<kSingle>(fpu::Op::kSqrt), 0, b, 0};
  host::Result r;
  if (host_modes(s, o) && host::root(real(b), r) && deliver<kSingle, false>(s, o, r, what)) {
    return record<Rc>(s, o, Flow::kNext);
  }
  return in_software<Rc>(s, o, what);
}

template <bool kSubtract, bool kNegate, bool kSingle, bool Rc, class O>
BATON_FP_INLINE Flow multiply_add(State& s, O o) {
  if (!available(s, o)) return unavailable(s);
  const u64 a = s.fpr[o.b()], b = s.fpr[o.c()], c = s.fpr[o.d()];
  constexpr fpu::Op op = as<kSingle>(kNegate     ? kSubtract ? fpu::Op::kNmsub : fpu::Op::kNmadd
                                     : kSubtract ? fpu::Op::kMsub
                                                 : fpu::Op::kMadd);
  const Arithmetic what{op, a, b, c};
  host::Result r;
  if (host_modes(s, o) &&
      host::multiply_add<kSubtract, kSingle, kError<O, kSingle>>(real(a), real(b), real(c), r) &&
      deliver<kSingle, kNegate>(s, o, r, what)) {
    return record<Rc>(s, o, Flow::kNext);
  }
  return in_software<Rc>(s, o, what);
}

template <bool Rc, class O>
BATON_FP_INLINE Flow software(State& s, O o, fpu::Op op) {
  if (!available(s, o)) return unavailable(s);
  return in_software<Rc>(s, o, {op, 0, s.fpr[o.c()], 0});
}

template <bool kWord, bool kTruncate, bool Rc, class O>
BATON_FP_INLINE Flow to_integer(State& s, O o) {
  if (!available(s, o)) return unavailable(s);
  const u64 b = s.fpr[o.c()];
  // Within +-2^63 the conversion cannot go wrong, and the difference below is exact.
  constexpr u32 kLast = kWord ? 1023 + 30 : 1023 + 62;
  if (__builtin_expect(
          !(s.fpscr & (kTruncate ? fpscr::XE : fpscr::XE | fpscr::RN)) && host::exponent(b) <= kLast, 1)) {
    const i64 result = static_cast<i64>(kTruncate ? real(b) : __builtin_roundeven(real(b)));
    if (!kWord || __builtin_expect(result == static_cast<i32>(result), 1)) {
      s.fpr[o.a()] = kWord ? fpu::word_result(static_cast<u32>(result)) : static_cast<u64>(result);
      const u64 error = bits(real(b) - static_cast<double>(result));
      if constexpr (kDefers<O>) {
        const u32 inexact = error << 1 ? 1 : 0;
        const u32 rounded_up = static_cast<u32>((error ^ b) >> 63) & inexact;
        s.deferred.changes = (s.deferred.changes & ~static_cast<u32>(fpscr::FR | fpscr::FI)) |
                             DeferredFpscr::kFrFi | rounded_up << 18 | inexact << 17;
      } else {
        settle(s, b, error, 0, 0);
      }
      return record<Rc>(s, o, Flow::kNext);
    }
  }
  settle_deferred(s, o);
  const fpu::Rounding rounding =
      kTruncate ? fpu::Rounding::kZero : static_cast<fpu::Rounding>(s.fpscr & fpscr::RN);
  return record<Rc>(s, o, fpu::to_integer(s, kWord, rounding, o.a(), b));
}

template <fpu::Rounding kRounding, bool Rc, class O>
BATON_FP_INLINE Flow to_integral(State& s, O o) {
  if (!available(s, o)) return unavailable(s);
  const u64 b = s.fpr[o.c()];
  settle_deferred(s, o);
  if (__builtin_expect(host::exponent(b) == 0x7FF, 0)) {
    return record<Rc>(s, o, fpu::to_integral(s, kRounding, o.a(), b));
  }
  u64 result;
  if constexpr (kRounding == fpu::Rounding::kNearestAway) {
    const u32 e = host::exponent(b);
    if (e >= 1023 + 52) {
      result = b;
    } else if (e < 1022) {
      result = b & kSign;
    } else if (e == 1022) {
      result = (b & kSign) | u64{1023} << 52;
    } else {
      const u64 half = u64{1} << (1023 + 51 - e);
      result = (b + half) & ~(2 * half - 1);
    }
  } else {
    result = bits(kRounding == fpu::Rounding::kZero ? __builtin_trunc(real(b))
                  : kRounding == fpu::Rounding::kUp ? __builtin_ceil(real(b))
                                                    : __builtin_floor(real(b)));
  }
  s.fpr[o.a()] = result;
  s.fpscr = (s.fpscr & ~(fpscr::FR | fpscr::FI | fpscr::FPRF)) | fprf(result);
  return record<Rc>(s, o, Flow::kNext);
}

template <bool kOrdered, class O>
BATON_FP_INLINE Flow compare(State& s, O o) {
  if (!available(s, o)) return unavailable(s);
  const u64 a = s.fpr[o.b()], b = s.fpr[o.c()];
  if (__builtin_expect(__builtin_isunordered(real(a), real(b)), 0)) {
    settle_deferred(s, o);
    return fpu::compare_unordered(s, kOrdered, o.a() >> 2, a, b);
  }
  const u32 result = condition_of(real(a) < real(b), real(a) > real(b));
  s.cr[o.a() >> 2] = result;
  if constexpr (kDefers<O>)
    s.deferred.changes =
        (s.deferred.changes & ~static_cast<u32>(fpscr::FPCC)) | DeferredFpscr::kFpcc | result << 12;
  else
    s.fpscr = (s.fpscr & ~fpscr::FPCC) | result << 12;
  return Flow::kNext;
}

template <bool Rc, class O>
BATON_FP_INLINE Flow move(State& s, O o, u64 value) {
  if (!available(s, o)) return unavailable(s);
  s.fpr[o.a()] = value;
  return record<Rc>(s, o, Flow::kNext);
}

/// A single in storage as a double in a register. Not arithmetic: a signalling NaN stays one.
BATON_FP_INLINE u64 widen(u32 word) {
  const double value = std::bit_cast<float>(word);
  if (__builtin_expect(__builtin_isnan(value), 0)) {
    return u64{word & 0x80000000} << 32 | u64{0x7FF} << 52 | u64{word & 0x7FFFFF} << 29;
  }
  return bits(value);
}

/// The other way round: bits are dropped, not rounded.
BATON_FP_INLINE u32 narrow(u64 value) {
  const u32 e = host::exponent(value);
  if (__builtin_expect(e > 896 || value << 1 == 0, 1)) {
    return static_cast<u32>(value >> 32 & 0xC0000000) | static_cast<u32>(value >> 29 & 0x3FFFFFFF);
  }
  const u64 significand = (value & 0xFFFFFFFFFFFFF) | u64{1} << 52;
  const u32 shift = 897 - e < 32 ? 897 - e : 32;
  return static_cast<u32>(value >> 32 & 0x80000000) | static_cast<u32>(significand >> shift >> 29);
}

template <bool kIndexed, class O>
BATON_FP_INLINE u64 address(const State& s, O o) {
  return ea(s, s.gpr[o.b()] + (kIndexed ? s.gpr[o.c()] : static_cast<u64>(o.imm())));
}

template <bool kSingle, bool kIndexed, bool kUpdate, class O>
BATON_FP_INLINE Flow load(State& s, O o) {
  if (!available(s, o)) return unavailable(s);
  const u64 at = address<kIndexed>(s, o);
  if constexpr (kSingle) {
    u32 word;
    if (!cpu::load(s, at, word)) return Flow::kStop;
    s.fpr[o.a()] = widen(word);
  } else {
    u64 value;
    if (!cpu::load(s, at, value)) return Flow::kStop;
    s.fpr[o.a()] = value;
  }
  if constexpr (kUpdate) s.gpr[o.b()] = at;
  return Flow::kNext;
}

template <bool kSingle, bool kIndexed, bool kUpdate, class O>
BATON_FP_INLINE Flow store(State& s, O o) {
  if (!available(s, o)) return unavailable(s);
  const u64 at = address<kIndexed>(s, o);
  const u64 value = s.fpr[o.a()];
  if constexpr (kSingle) {
    if (!cpu::store(s, at, narrow(value))) return Flow::kStop;
  } else {
    if (!cpu::store(s, at, value)) return Flow::kStop;
  }
  if constexpr (kUpdate) s.gpr[o.b()] = at;
  return Flow::kNext;
}

// Pairs are a quadword whose more significant half is the even register.
template <bool kIndexed, class O>
BATON_FP_INLINE Flow load_pair(State& s, O o) {
  if (!available(s, o)) return unavailable(s);
  const u64 at = address<kIndexed>(s, o);
  u64 even, odd;
  if (!cpu::load(s, at, even) || !cpu::load(s, ea(s, at + 8), odd)) return Flow::kStop;
  if (little_endian(s)) std::swap(even, odd);
  s.fpr[o.a()] = even;
  s.fpr[o.a() + 1] = odd;
  return Flow::kNext;
}

template <bool kIndexed, class O>
BATON_FP_INLINE Flow store_pair(State& s, O o) {
  if (!available(s, o)) return unavailable(s);
  const u64 at = address<kIndexed>(s, o);
  u64 first = s.fpr[o.a()], second = s.fpr[o.a() + 1];
  if (little_endian(s)) std::swap(first, second);
  if (!cpu::store(s, at, first) || !cpu::store(s, ea(s, at + 8), second)) return Flow::kStop;
  return Flow::kNext;
}

}  // namespace fp

#define BATON_FP_RC           \
  template <class O, bool Rc> \
  [[gnu::always_inline]] inline

// Arithmetic
BATON_FP_RC Flow fadd(State& s, O o) { return fp::add<false, false, Rc>(s, o); }
BATON_FP_RC Flow fadds(State& s, O o) { return fp::add<false, true, Rc>(s, o); }
BATON_FP_RC Flow fsub(State& s, O o) { return fp::add<true, false, Rc>(s, o); }
BATON_FP_RC Flow fsubs(State& s, O o) { return fp::add<true, true, Rc>(s, o); }
BATON_FP_RC Flow fmul(State& s, O o) { return fp::multiply<false, Rc>(s, o); }
BATON_FP_RC Flow fmuls(State& s, O o) { return fp::multiply<true, Rc>(s, o); }
BATON_FP_RC Flow fdiv(State& s, O o) { return fp::divide<false, Rc>(s, o); }
BATON_FP_RC Flow fdivs(State& s, O o) { return fp::divide<true, Rc>(s, o); }
BATON_FP_RC Flow fsqrt(State& s, O o) { return fp::root<false, Rc>(s, o); }
BATON_FP_RC Flow fsqrts(State& s, O o) { return fp::root<true, Rc>(s, o); }
BATON_FP_RC Flow fmadd(State& s, O o) { return fp::multiply_add<false, false, false, Rc>(s, o); }
BATON_FP_RC Flow fmadds(State& s, O o) { return fp::multiply_add<false, false, true, Rc>(s, o); }
BATON_FP_RC Flow fmsub(State& s, O o) { return fp::multiply_add<true, false, false, Rc>(s, o); }
BATON_FP_RC Flow fmsubs(State& s, O o) { return fp::multiply_add<true, false, true, Rc>(s, o); }
BATON_FP_RC Flow fnmadd(State& s, O o) { return fp::multiply_add<false, true, false, Rc>(s, o); }
BATON_FP_RC Flow fnmadds(State& s, O o) { return fp::multiply_add<false, true, true, Rc>(s, o); }
BATON_FP_RC Flow fnmsub(State& s, O o) { return fp::multiply_add<true, true, false, Rc>(s, o); }
BATON_FP_RC Flow fnmsubs(State& s, O o) { return fp::multiply_add<true, true, true, Rc>(s, o); }
BATON_FP_RC Flow fre(State& s, O o) { return fp::software<Rc>(s, o, fpu::Op::kReciprocal); }
BATON_FP_RC Flow fres(State& s, O o) { return fp::software<Rc>(s, o, fpu::single(fpu::Op::kReciprocal)); }
BATON_FP_RC Flow frsqrte(State& s, O o) { return fp::software<Rc>(s, o, fpu::Op::kReciprocalRoot); }
BATON_FP_RC Flow frsqrtes(State& s, O o) {
  return fp::software<Rc>(s, o, fpu::single(fpu::Op::kReciprocalRoot));
}
BATON_FP_RC Flow frsp(State& s, O o) {
  if (!fp::available(s, o)) return fp::unavailable(s);
  const u64 b = s.fpr[o.c()];
  const fp::Arithmetic what{fpu::single(fpu::Op::kRound), 0, b, 0};
  if (fp::host_modes(s, o) && fp::deliver<true, false>(s, o, {b, 0}, what))
    return fp::record<Rc>(s, o, Flow::kNext);
  return fp::in_software<Rc>(s, o, what);
}
BATON_FP_RC Flow fcfid(State& s, O o) {
  if (!fp::available(s, o)) return fp::unavailable(s);
  const u64 b = s.fpr[o.c()];
  const u64 result = fp::bits(static_cast<double>(static_cast<i64>(b)));
  const fp::Arithmetic what{fpu::Op::kFromInteger, 0, b, 0};
  if constexpr (fp::kDefers<O>) {
    s.fpr[o.a()] = result;
    fp::defer(s, what);
    return fp::record<Rc>(s, o, Flow::kNext);
  }
  if (__builtin_expect(fp::host::exponent(result) < 1023 + 63, 1)) {
    const u64 error = b - static_cast<u64>(static_cast<i64>(fp::real(result)));
    if (!error || fp::host_modes(s, o)) {
      s.fpr[o.a()] = result;
      fp::settle(s, result, error, fpscr::FPRF, fp::fprf(result));
      return fp::record<Rc>(s, o, Flow::kNext);
    }
  }
  return fp::in_software<Rc>(s, o, what);
}
BATON_FP_RC Flow fctiw(State& s, O o) { return fp::to_integer<true, false, Rc>(s, o); }
BATON_FP_RC Flow fctiwz(State& s, O o) { return fp::to_integer<true, true, Rc>(s, o); }
BATON_FP_RC Flow fctid(State& s, O o) { return fp::to_integer<false, false, Rc>(s, o); }
BATON_FP_RC Flow fctidz(State& s, O o) { return fp::to_integer<false, true, Rc>(s, o); }
BATON_FP_RC Flow frin(State& s, O o) { return fp::to_integral<fpu::Rounding::kNearestAway, Rc>(s, o); }
BATON_FP_RC Flow friz(State& s, O o) { return fp::to_integral<fpu::Rounding::kZero, Rc>(s, o); }
BATON_FP_RC Flow frip(State& s, O o) { return fp::to_integral<fpu::Rounding::kUp, Rc>(s, o); }
BATON_FP_RC Flow frim(State& s, O o) { return fp::to_integral<fpu::Rounding::kDown, Rc>(s, o); }
BATON_SEMANTICS Flow fcmpu(State& s, O o) { return fp::compare<false>(s, o); }
BATON_SEMANTICS Flow fcmpo(State& s, O o) { return fp::compare<true>(s, o); }

// Moves: FPSCR is not touched
BATON_FP_RC Flow fmr(State& s, O o) { return fp::move<Rc>(s, o, s.fpr[o.c()]); }
BATON_FP_RC Flow fneg(State& s, O o) { return fp::move<Rc>(s, o, s.fpr[o.c()] ^ fp::kSign); }
BATON_FP_RC Flow fabs(State& s, O o) { return fp::move<Rc>(s, o, s.fpr[o.c()] & ~fp::kSign); }
BATON_FP_RC Flow fnabs(State& s, O o) { return fp::move<Rc>(s, o, s.fpr[o.c()] | fp::kSign); }
BATON_FP_RC Flow fcpsgn(State& s, O o) {
  return fp::move<Rc>(s, o, (s.fpr[o.b()] & fp::kSign) | (s.fpr[o.c()] & ~fp::kSign));
}
BATON_FP_RC Flow fsel(State& s, O o) {
  return fp::move<Rc>(s, o, fp::real(s.fpr[o.b()]) >= 0 ? s.fpr[o.d()] : s.fpr[o.c()]);
}
BATON_SEMANTICS Flow mffgpr(State& s, O o) {
  if (!fp::available(s, o)) return fp::unavailable(s);
  s.fpr[o.a()] = s.gpr[o.c()];
  return Flow::kNext;
}
BATON_SEMANTICS Flow mftgpr(State& s, O o) {
  if (!fp::available(s, o)) return fp::unavailable(s);
  s.gpr[o.a()] = s.fpr[o.c()];
  return Flow::kNext;
}

// FPSCR
BATON_FP_RC Flow mffs(State& s, O o) {
  fp::settle_deferred(s, o);
  return fp::move<Rc>(s, o, s.fpscr);
}
BATON_FP_RC Flow mtfsf(State& s, O o) {
  if (!fp::available(s, o)) return fp::unavailable(s);
  u64 mask = u64{15} * __builtin_ia32_pdep_si(static_cast<u32>(o.imm()), 0x11111111);
  if (o.b()) mask <<= 32;
  if (o.d()) mask = ~u64{0};
  return fp::record<Rc>(s, o, fpu::write_fpscr(s, mask, s.fpr[o.c()]));
}
BATON_FP_RC Flow mtfsfi(State& s, O o) {
  if (!fp::available(s, o)) return fp::unavailable(s);
  const u32 shift = 28 - 4 * o.a() + (o.b() ? 32 : 0);
  return fp::record<Rc>(s, o, fpu::write_fpscr(s, u64{15} << shift, static_cast<u64>(o.imm()) << shift));
}
BATON_FP_RC Flow mtfsb0(State& s, O o) {
  if (!fp::available(s, o)) return fp::unavailable(s);
  s.fpscr = fpu::summarise(s.fpscr & ~(u64{0x80000000} >> o.a()));
  return fp::record<Rc>(s, o, Flow::kNext);
}
BATON_FP_RC Flow mtfsb1(State& s, O o) {
  if (!fp::available(s, o)) return fp::unavailable(s);
  const u64 bit = u64{0x80000000} >> o.a();
  const u64 fx = bit & fpscr::kExceptions & ~s.fpscr ? fpscr::FX : 0;
  return fp::record<Rc>(s, o, fpu::write_fpscr(s, bit | fx, ~u64{0}));
}
BATON_SEMANTICS Flow mcrfs(State& s, O o) {
  if (!fp::available(s, o)) return fp::unavailable(s);
  const u32 shift = 28 - 4 * (o.b() >> 2);
  s.cr[o.a() >> 2] = s.fpscr >> shift & 15;
  s.fpscr = fpu::summarise(s.fpscr & ~(u64{15} << shift & (fpscr::FX | fpscr::kExceptions)));
  return Flow::kNext;
}

// Loads and stores
BATON_SEMANTICS Flow lfs(State& s, O o) { return fp::load<true, false, false>(s, o); }
BATON_SEMANTICS Flow lfsu(State& s, O o) { return fp::load<true, false, true>(s, o); }
BATON_SEMANTICS Flow lfsx(State& s, O o) { return fp::load<true, true, false>(s, o); }
BATON_SEMANTICS Flow lfsux(State& s, O o) { return fp::load<true, true, true>(s, o); }
BATON_SEMANTICS Flow lfd(State& s, O o) { return fp::load<false, false, false>(s, o); }
BATON_SEMANTICS Flow lfdu(State& s, O o) { return fp::load<false, false, true>(s, o); }
BATON_SEMANTICS Flow lfdx(State& s, O o) { return fp::load<false, true, false>(s, o); }
BATON_SEMANTICS Flow lfdux(State& s, O o) { return fp::load<false, true, true>(s, o); }
BATON_SEMANTICS Flow stfs(State& s, O o) { return fp::store<true, false, false>(s, o); }
BATON_SEMANTICS Flow stfsu(State& s, O o) { return fp::store<true, false, true>(s, o); }
BATON_SEMANTICS Flow stfsx(State& s, O o) { return fp::store<true, true, false>(s, o); }
BATON_SEMANTICS Flow stfsux(State& s, O o) { return fp::store<true, true, true>(s, o); }
BATON_SEMANTICS Flow stfd(State& s, O o) { return fp::store<false, false, false>(s, o); }
BATON_SEMANTICS Flow stfdu(State& s, O o) { return fp::store<false, false, true>(s, o); }
BATON_SEMANTICS Flow stfdx(State& s, O o) { return fp::store<false, true, false>(s, o); }
BATON_SEMANTICS Flow stfdux(State& s, O o) { return fp::store<false, true, true>(s, o); }
BATON_SEMANTICS Flow lfdp(State& s, O o) { return fp::load_pair<false>(s, o); }
BATON_SEMANTICS Flow lfdpx(State& s, O o) { return fp::load_pair<true>(s, o); }
BATON_SEMANTICS Flow stfdp(State& s, O o) { return fp::store_pair<false>(s, o); }
BATON_SEMANTICS Flow stfdpx(State& s, O o) { return fp::store_pair<true>(s, o); }
BATON_SEMANTICS Flow lfiwax(State& s, O o) {
  if (!fp::available(s, o)) return fp::unavailable(s);
  u32 word;
  if (!cpu::load(s, fp::address<true>(s, o), word)) return Flow::kStop;
  s.fpr[o.a()] = static_cast<u64>(sign_extend(word, 32));
  return Flow::kNext;
}
BATON_SEMANTICS Flow stfiwx(State& s, O o) {
  if (!fp::available(s, o)) return fp::unavailable(s);
  if (!cpu::store(s, fp::address<true>(s, o), static_cast<u32>(s.fpr[o.a()]))) return Flow::kStop;
  return Flow::kNext;
}

#undef BATON_FP_RC
#undef BATON_FP_INLINE

}  // namespace baton::cpu::sem
