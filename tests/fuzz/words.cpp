// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/words.h"

#include <vector>

#include "cpu/isa/isa.h"
#include "cpu/spr.h"
#include "cpu/state.h"

namespace baton::fuzz {
namespace {

using cpu::isa::Facility;
using cpu::isa::Form;
using cpu::isa::ImmKind;
using cpu::isa::Privilege;
using cpu::isa::Row;

/// Rows by what they are, so that the rarer kinds come up often enough.
struct Rows {
  std::vector<const Row*> all, privileged, floating, vector, decimal, memory;
  Rows() {
    for (const Row& row : cpu::isa::table()) {
      all.push_back(&row);
      if (row.privilege != Privilege::User) privileged.push_back(&row);
      if (row.facility == Facility::FP) floating.push_back(&row);
      if (row.facility == Facility::VMX) vector.push_back(&row);
      if (row.facility == Facility::DFP) decimal.push_back(&row);
      if (row.ra_or_zero) memory.push_back(&row);
    }
  }
};
const Rows& rows() {
  static const Rows rows;
  return rows;
}

u32 with_operands(Random& random, const Row& row) {
  u32 word = row.value | (static_cast<u32>(random.next()) & ~row.mask);
  switch (row.imm) {
    case ImmKind::LI:
    case ImmKind::BD:
      // Near, so that the program stays in its code.
      if (!random.one_in(16)) {
        const u32 field = row.imm == ImmKind::LI ? 0x03FFFFFC : 0xFFFC;
        word = (word & ~(field | 2)) | (static_cast<u32>(4 * random.below(64) - 128) & field);
      }
      break;
    case ImmKind::SPR:
    case ImmKind::TBR:
      if (!random.one_in(8)) {
        const u32 number = random.pick(cpu::spr_table()).number;
        word = (word & ~0x001FF800u) | (number & 31) << 16 | number >> 5 << 11;
      }
      break;
    case ImmKind::SI:
    case ImmKind::DS:
    case ImmKind::DQ:
      // Mostly a small displacement: the registers hold addresses.
      if (!random.one_in(4)) {
        const u32 field = row.imm == ImmKind::SI ? 0xFFFF : row.imm == ImmKind::DS ? 0xFFFC : 0xFFF0;
        word = (word & ~field) | (static_cast<u32>(random.below(256) - 128) & field);
      }
      break;
    default:
      break;
  }
  return word;
}

constexpr u32 kHypercall = 0x44000022, kSystemCall = 0x44000002;
/// or n,n,n: kOr + n * kSameRegister.
constexpr u32 kOr = 0x7C000378, kSameRegister = 1 << 21 | 1 << 16 | 1 << 11;

}  // namespace

cpu::EngineOptions random_engine(Random& random) {
  cpu::EngineOptions options{
      .code_cache_bytes = 1 << 20, .region_cache_bytes = 1 << 16, .compile_threads = 0};
  options.engine = random.below(2) ? cpu::Engine::kStencil : cpu::Engine::kInterpreter;
  // LLVM takes milliseconds for a region.
  if (random.one_in(8)) options.engine = cpu::Engine::kLlvm;
  return options;
}

u32 random_word(Random& random) {
  const auto of = [&](const std::vector<const Row*>& list) {
    return with_operands(random, *random.pick(list));
  };
  switch (random.below(20)) {
    case 0:
    case 1:
      return static_cast<u32>(random.next());
    case 2:
      return of(rows().privileged);
    case 3:
    case 4:
      return of(rows().floating);
    case 5:
      return of(rows().vector);
    case 6:
      return of(rows().decimal);
    case 7:
    case 8:
    case 9:
      return of(rows().memory);
    case 10:
      switch (random.below(4)) {
        case 0:
          return kOr + static_cast<u32>(random.below(32)) * kSameRegister;
        case 1:
          return kSystemCall;
        default:
          return kHypercall;
      }
    default:
      return of(rows().all);
  }
}

u64 random_msr(Random& random) {
  namespace msr = cpu::msr;
  // Most programs can use everything; what is off is chosen.
  u64 value = msr::SF | msr::ME | msr::FP | msr::VEC | msr::RI | msr::EE | msr::IR | msr::DR;
  // With a floating-point exception enabled and pending, nothing but its interrupt happens.
  if (random.one_in(3)) value |= random.pick({msr::FE0, msr::FE1, msr::FE0 | msr::FE1});
  if (random.one_in(4)) value &= random.next() | msr::ME;
  if (random.one_in(4)) value &= ~(msr::IR | msr::DR);
  if (random.one_in(3)) value |= msr::PR;
  if (random.one_in(8)) value &= ~msr::SF;
  if (random.one_in(8)) value |= random.next() & (msr::SE | msr::BE);
  if (random.one_in(8)) value |= msr::PMM;
  if (random.one_in(16)) value |= msr::LE;
  if (value & msr::PR) value |= msr::EE | msr::IR | msr::DR;
  return value;
}

u64 random_value(Random& random) {
  switch (random.below(10)) {
    case 0:
      return random.next();
    case 1:
      return random.number();
    case 2:
      return u64{0} - random.below(256);
    case 3:
      return random.pick({u64{0}, u64{1}, u64{1} << 31, u64{1} << 63, u64{0x7FFFFFFF}, ~u64{0} >> 1,
                          u64{0xFFFFFFFF}, u64{0x8000000000000000} + 1});
    case 4:  // about the exponents where floating point changes its ways
      return (random.pick({u64{0}, u64{1}, u64{896}, u64{1023}, u64{1150}, u64{2046}, u64{2047}}) << 52) +
             (random.below(2) ? 0 : random.next() & 0xFFFFFFFFFFFFF) + (random.below(2) << 63);
    case 5:
      return random_msr(random);
    default:
      return random.below(4096);
  }
}

}  // namespace baton::fuzz
