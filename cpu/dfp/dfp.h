// SPDX-License-Identifier: Apache-2.0
// Decimal floating point: what the instructions do once MSR[FP] is known to be on (POWER6-ISA 4.12).
//
// Registers are given by number; with kQuad a number stands for the pair that begins there, except where the
// instruction takes a single register. CR1 of the Rc forms is the caller's.
#pragma once

#include "cpu/state.h"

namespace baton::cpu::dfp {

enum class Op : u32 { kAdd, kSubtract, kMultiply, kDivide };

template <bool kQuad, Op kOp>
Flow arithmetic(State& s, u32 frt, u32 fra, u32 frb);
template <bool kQuad>
Flow compare(State& s, bool ordered, u32 crf, u32 fra, u32 frb);

// Tests: they set a CR field and FPCC.
template <bool kQuad>
void test_class(State& s, u32 crf, u32 fra, u32 classes);
template <bool kQuad>
void test_group(State& s, u32 crf, u32 fra, u32 groups);
template <bool kQuad>
void test_exponent(State& s, u32 crf, u32 fra, u32 frb);
template <bool kQuad>
void test_significance(State& s, u32 crf, u32 fra, u32 frb);

// Quantum adjustment; `rmc` is the instruction's field.
template <bool kQuad>
Flow quantize(State& s, u32 frt, u32 fra, u32 frb, u32 rmc);
template <bool kQuad>
Flow quantize_immediate(State& s, u32 frt, int exponent, u32 frb, u32 rmc);
template <bool kQuad>
Flow reround(State& s, u32 frt, u32 fra, u32 frb, u32 rmc);
/// drintx, or drintn if not `exact`; `r` selects the second set of rounding modes.
template <bool kQuad>
Flow to_integral(State& s, bool exact, u32 frt, u32 frb, bool r, u32 rmc);

// Conversions
Flow short_to_long(State& s, u32 frt, u32 frb);
Flow long_to_extended(State& s, u32 frt, u32 frb);
Flow long_to_short(State& s, u32 frt, u32 frb);
Flow extended_to_long(State& s, u32 frt, u32 frb);
Flow extended_from_integer(State& s, u32 frt, u32 frb);
template <bool kQuad>
Flow to_integer(State& s, u32 frt, u32 frb);

// Formats
template <bool kQuad>
void to_bcd(State& s, u32 frt, u32 frb, u32 sp);
template <bool kQuad>
Flow from_bcd(State& s, u32 frt, u32 frb, bool with_sign);
template <bool kQuad>
void extract_exponent(State& s, u32 frt, u32 frb);
template <bool kQuad>
void insert_exponent(State& s, u32 frt, u32 fra, u32 frb);
/// By `count` digits, to the left if it is positive.
template <bool kQuad>
void shift(State& s, u32 frt, u32 fra, int count);

}  // namespace baton::cpu::dfp
