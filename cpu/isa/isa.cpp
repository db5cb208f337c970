// SPDX-License-Identifier: Apache-2.0
#include "cpu/isa/isa.h"

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <vector>

namespace baton::cpu::isa {
namespace {

constexpr bool has_ra_or_zero(std::string_view operands) {
  return operands.find("GPR|0[11:15]") != std::string_view::npos;
}

constexpr Row kTable[] = {
#define INSN(id, mnemonic, form, mask, value, operands, imm, privilege, facility, semantics) \
  {Id::id,                                                                                   \
   mnemonic,                                                                                 \
   Form::form,                                                                               \
   mask,                                                                                     \
   value,                                                                                    \
   operands,                                                                                 \
   ImmKind::imm,                                                                             \
   Privilege::privilege,                                                                     \
   Facility::facility,                                                                       \
   has_ra_or_zero(operands)},
#include "cpu/isa/instructions.def"
};
static_assert(std::size(kTable) == kRows);

// Where rows of one primary opcode differ: in some of the low 11 bits (but for mtocrf, dcbzl, dstt... that
// share a list).
constexpr u32 kExtended = 0x7FF;
constexpr u32 primary_of(u32 word) { return word >> 26; }

struct Index {
  /// Of a primary opcode: the bits that tell its rows apart, so that code, of which most is loads, stores and
  /// additions of constants, finds its rows in a few lines of the cache.
  struct Column {
    u16 base = 0, mask = 0;
  };
  std::array<Column, 64> columns{};
  /// Where the candidates of a column's entry begin in `pool`; nullptr ends each list.
  std::vector<u16> first;
  std::vector<const Row*> pool{nullptr};

  Index() {
    for (const Row& row : kTable) columns[primary_of(row.value)].mask |= row.mask & kExtended;
    std::size_t size = 0;
    for (Column& column : columns) {
      column.base = static_cast<u16>(size);
      size += column.mask + 1u;
    }
    std::vector<std::vector<const Row*>> lists(size);
    for (const Row& row : kTable) {
      const Column& column = columns[primary_of(row.value)];
      const u32 free = column.mask & ~row.mask;
      const u32 at = column.base + (row.value & column.mask);
      // Every subset of the free bits, the empty one last.
      u32 subset = free;
      while (true) {
        lists[at + subset].push_back(&row);
        if (subset == 0) break;
        subset = (subset - 1) & free;
      }
    }
    std::map<std::vector<const Row*>, u16> known;
    known.try_emplace({}, u16{0});
    for (const auto& list : lists) {
      auto [it, fresh] = known.try_emplace(list, static_cast<u16>(pool.size()));
      if (fresh) {
        pool.insert(pool.end(), list.begin(), list.end());
        pool.push_back(nullptr);
      }
      first.push_back(it->second);
    }
  }

  const Row* const* candidates(u32 word) const {
    const Column& column = columns[primary_of(word)];
    return &pool[first[column.base + (word & column.mask)]];
  }
};

const Index& index() {
  static const auto built = std::make_unique<const Index>();
  return *built;
}

// Invalid forms that POWER6-ISA 4.1 and 4.5 tell to treat as illegal. Found here, so that semantics need not
// look.
bool valid_form(Id id, u32 word) {
  const u32 rt = field(word, 6, 10), ra = field(word, 11, 15);
  switch (id) {
    case Id::lbzu:
    case Id::lbzux:
    case Id::lhzu:
    case Id::lhzux:
    case Id::lhau:
    case Id::lhaux:
    case Id::lwzu:
    case Id::lwzux:
    case Id::lwaux:
    case Id::ldu:
    case Id::ldux:
      return ra != 0 && ra != rt;
    case Id::stbu:
    case Id::stbux:
    case Id::sthu:
    case Id::sthux:
    case Id::stwu:
    case Id::stwux:
    case Id::stdu:
    case Id::stdux:
    case Id::lfsu:
    case Id::lfsux:
    case Id::lfdu:
    case Id::lfdux:
    case Id::stfsu:
    case Id::stfsux:
    case Id::stfdu:
    case Id::stfdux:
      return ra != 0;
    case Id::lq:
      return ra != rt;
    case Id::bcctr:
    case Id::bcctrl:
      return word & 0x00800000;
    default:
      return true;
  }
}

}  // namespace

std::span<const Row> table() { return kTable; }

const Row* decode(u32 word) {
  for (const Row* const* at = index().candidates(word); *at; at++)
    if ((word & (*at)->mask) == (*at)->value) return valid_form((*at)->id, word) ? *at : nullptr;
  return nullptr;
}

Operands operands(const Row& row, u32 word) {
  Operands o;
  o.a = static_cast<u8>(field(word, 6, 10));
  o.b = static_cast<u8>(field(word, 11, 15));
  o.c = static_cast<u8>(field(word, 16, 20));
  o.d = static_cast<u8>(field(word, 21, 25));
  if (row.ra_or_zero && o.b == 0) o.b = 32;
  const auto compare = [&] {
    o.d = word & 0x00200000 ? 0 : 32;
    o.a >>= 2;
  };
  const auto condition = [&] {
    o.c = o.b >> 2;
    o.d = static_cast<u8>(8 >> (o.b & 3));
  };
  switch (row.imm) {
    case ImmKind::None:
      break;
    case ImmKind::CmpSI:
      compare();
      [[fallthrough]];
    case ImmKind::SI:
      o.imm = static_cast<i16>(word);
      break;
    case ImmKind::CmpUI:
      compare();
      [[fallthrough]];
    case ImmKind::UI:
      o.imm = static_cast<u16>(word);
      break;
    case ImmKind::SIShifted:
    case ImmKind::UIShifted:
      o.imm = static_cast<i32>(word << 16);
      break;
    case ImmKind::Cmp:
      compare();
      break;
    case ImmKind::DS:
      o.imm = static_cast<i16>(word & 0xFFFC);
      break;
    case ImmKind::DQ:
      o.imm = static_cast<i16>(word & 0xFFF0);
      break;
    case ImmKind::LI:
      o.imm = static_cast<i32>(sign_extend(word & 0x03FFFFFC, 26));
      break;
    case ImmKind::BD:
      o.imm = static_cast<i16>(word & 0xFFFC);
      [[fallthrough]];
    case ImmKind::BI:
      condition();
      break;
    case ImmKind::SPR:
    case ImmKind::TBR:
      o.imm = static_cast<i32>(field(word, 16, 20) << 5 | field(word, 11, 15));
      break;
    case ImmKind::Mask: {
      const unsigned mb = field(word, 21, 25), me = field(word, 26, 30);
      o.imm = static_cast<i32>(mask32(mb, me));
      o.d = mb > me;
      break;
    }
    case ImmKind::SH6:
      o.imm = static_cast<i32>(field(word, 30, 30) << 5 | field(word, 16, 20));
      o.d = static_cast<u8>(field(word, 26, 26) << 5 | field(word, 21, 25));
      break;
    case ImmKind::FXM:
      o.imm = static_cast<i32>(field(word, 12, 19));
      break;
    case ImmKind::FLM:
      o.imm = static_cast<i32>(field(word, 7, 14));
      o.d = static_cast<u8>(field(word, 6, 6));
      o.b = static_cast<u8>(field(word, 15, 15));
      break;
    case ImmKind::U:
      o.imm = static_cast<i32>(field(word, 16, 19));
      o.a >>= 2;
      o.b = static_cast<u8>(field(word, 15, 15));
      break;
    case ImmKind::LEV:
      o.imm = static_cast<i32>(field(word, 20, 26));
      break;
  }
  return o;
}

bool is_branch(u32 word) {
  const Row* row = decode(word);
  if (!row) return false;
  return row->form == Form::I || row->form == Form::B || row->id == Id::bclr || row->id == Id::bclrl ||
         row->id == Id::bcctr || row->id == Id::bcctrl;
}

u32 alignment_dsisr(u32 word) {
  const Row* row = decode(word);
  if (!row) return 0;
  const u32 registers = field(word, 6, 15);
  if (row->form == Form::X)
    return field(word, 29, 30) << 15 | field(word, 25, 25) << 14 | field(word, 21, 24) << 10 | registers;
  const u32 kind = row->form == Form::DS ? field(word, 30, 31) : 0;
  return kind << 18 | field(word, 5, 5) << 14 | field(word, 1, 4) << 10 | registers;
}

}  // namespace baton::cpu::isa
