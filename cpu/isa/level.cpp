// SPDX-License-Identifier: Apache-2.0
#include "cpu/isa/level.h"

#include <array>

namespace baton::cpu::isa {
namespace {

/// New in ISA 2.05 beside the whole of DFP. The decimal-assist three are in no book before 2.06, but POWER6
/// has them and POWER5+ has not.
constexpr Id kNewIn205[] = {
    Id::cmpb,  Id::prtyw, Id::prtyd,  Id::fcpsgn,    Id::fcpsgn_rc, Id::lfiwax, Id::lfdp,
    Id::lfdpx, Id::stfdp, Id::stfdpx, Id::slbfee_rc, Id::addg6s,    Id::cbcdtd, Id::cdtbcd,
};
constexpr Id kPower6Alone[] = {Id::mftgpr, Id::mffgpr};

constexpr auto kLevels = [] {
  std::array<Level, kRows> levels{};
  std::size_t at = 0;
#define INSN(id, mnemonic, form, mask, value, operands, imm, privilege, facility, semantics)              \
  levels[at++] = Facility::facility == Facility::VMX || Facility::facility == Facility::DFP ? Level::k205 \
                                                                                            : Level::k204;
#include "cpu/isa/instructions.def"
  for (const Id id : kNewIn205) levels[static_cast<std::size_t>(id)] = Level::k205;
  for (const Id id : kPower6Alone) levels[static_cast<std::size_t>(id)] = Level::kPower6;
  return levels;
}();

}  // namespace

Level level_of(const Row& row) { return kLevels[static_cast<std::size_t>(row.id)]; }

Availability availability(const Row& row, Level level) {
  const Level first = level_of(row);
  if (first <= level) return Availability::kAlways;
  // As the PCR of later processors has it: facilities of a later level than the partition's are taken from
  // problem state. What belongs to no level of the architecture is switched on or off as a whole.
  return first == Level::kPower6 ? Availability::kNever : Availability::kSupervisor;
}

}  // namespace baton::cpu::isa
