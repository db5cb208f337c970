// SPDX-License-Identifier: Apache-2.0
#include "cpu/spr.h"

#include <array>

#include "cpu/semantics/priority.h"
#include "cpu/semantics/system.h"
#include "cpu/thread.h"

namespace baton::cpu {
namespace {

constexpr u8 UR = kUserRead, UW = kUserWrite, PR = kPrivilegedRead, PW = kPrivilegedWrite;
constexpr u8 kAll = UR | UW | PR | PW, kSupervisor = PR | PW, kReadOnly = UR | PR;

template <auto kMember>
u64 get(State& s) {
  return s.*kMember;
}
template <auto kMember>
void put(State& s, u64 value) {
  s.*kMember = static_cast<std::remove_reference_t<decltype(s.*kMember)>>(value);
}
template <unsigned n>
u64 get_sprg(State& s) {
  return s.sprg[n];
}
template <unsigned n>
void put_sprg(State& s, u64 value) {
  s.sprg[n] = value;
}
template <unsigned n>
u64 get_pmc(State& s) {
  return s.thread->pmu().counter(n - 1, sem::completed(s, s.cia));
}
template <unsigned n>
void put_pmc(State& s, u64 value) {
  s.thread->pmu().set_counter(n - 1, static_cast<u32>(value), sem::completed(s, s.cia) + 1);
}
u64 zero(State&) { return 0; }
void ignore(State&, u64) {}

void put_ppr(State& s, u64 value) { sem::set_priority(s, value >> sem::kPriorityShift & 7); }
void put_amr(State& s, u64 value) { s.thread->set_amr(value); }

/// The thread, with State::instructions exact if that is the time.
Thread& in_time(State& s) {
  if (s.thread->domain().clock().counts_instructions()) sem::settle_count(s, s.cia);
  return *s.thread;
}
u64 get_dec(State& s) { return in_time(s).dec(); }
void put_dec(State& s, u64 value) {
  in_time(s).set_dec(static_cast<u32>(value));
  // The engine was told to come back for the old deadline.
  if (s.thread->domain().clock().counts_instructions()) s.events.resync = true;
}
u64 get_tb(State& s) { return in_time(s).time_base(); }
u64 get_tbu(State& s) { return in_time(s).time_base() >> 32; }
u64 get_purr(State& s) { return in_time(s).purr(); }
u64 get_ctrl(State& s) { return s.ctrl; }
// The instruction that thaws or freezes counters is itself in the part before.
void put_ctrl(State& s, u64 value) { s.thread->pmu().set_ctrl(value, sem::completed(s, s.cia) + 1); }
void put_mmcr0(State& s, u64 value) {
  s.thread->pmu().set_mmcr0(static_cast<u32>(value), sem::completed(s, s.cia) + 1);
}
void put_mmcr1(State& s, u64 value) { s.thread->pmu().set_mmcr1(value, sem::completed(s, s.cia) + 1); }

constexpr SprRow kRows[] = {
    {1, "XER", kAll, [](State& s) { return sem::get_xer(s); }, [](State& s, u64 v) { sem::set_xer(s, v); }},
    {8, "LR", kAll, get<&State::lr>, put<&State::lr>},
    {9, "CTR", kAll, get<&State::ctr>, put<&State::ctr>},
    {17, "DSCR", kSupervisor, get<&State::dscr>, put<&State::dscr>},
    {18, "DSISR", kSupervisor, get<&State::dsisr>, put<&State::dsisr>},
    {19, "DAR", kSupervisor, get<&State::dar>, put<&State::dar>},
    {22, "DEC", kSupervisor, get_dec, put_dec},
    {25, "SDR1", 0, zero, ignore},
    {26, "SRR0", kSupervisor, get<&State::srr0>, put<&State::srr0>},
    {27, "SRR1", kSupervisor, get<&State::srr1>, put<&State::srr1>},
    {28, "CFAR", kSupervisor, get<&State::cfar>, put<&State::cfar>},
    {29, "AMR", kSupervisor, get<&State::amr>, put_amr},
    {136, "CTRL", kReadOnly, get_ctrl, ignore},
    {152, "CTRL", PW, get_ctrl, put_ctrl},
    {256, "VRSAVE", kAll, get<&State::vrsave>, put<&State::vrsave>},
    {259, "SPRG3", kReadOnly, get_sprg<3>, ignore},
    {268, "TB", kReadOnly, get_tb, ignore},
    {269, "TBU", kReadOnly, get_tbu, ignore},
    {272, "SPRG0", kSupervisor, get_sprg<0>, put_sprg<0>},
    {273, "SPRG1", kSupervisor, get_sprg<1>, put_sprg<1>},
    {274, "SPRG2", kSupervisor, get_sprg<2>, put_sprg<2>},
    {275, "SPRG3", kSupervisor, get_sprg<3>, put_sprg<3>},
    {276, "SCOMC", 0, zero, ignore},
    {277, "SCOMD", 0, zero, ignore},
    {282, "EAR", 0, zero, ignore},
    {284, "TBL", 0, zero, ignore},
    {285, "TBU", 0, zero, ignore},
    {286, "TBU40", 0, zero, ignore},
    {287, "PVR", PR, get<&State::pvr>, ignore},
    {304, "HSPRG0", 0, zero, ignore},
    {305, "HSPRG1", 0, zero, ignore},
    {306, "HDSISR", 0, zero, ignore},
    {307, "HDAR", 0, zero, ignore},
    {308, "SPURR", PR, get_purr, ignore},
    {309, "PURR", PR, get_purr, ignore},
    {310, "HDEC", 0, zero, ignore},
    {312, "RMOR", 0, zero, ignore},
    {313, "HRMOR", 0, zero, ignore},
    {314, "HSRR0", 0, zero, ignore},
    {315, "HSRR1", 0, zero, ignore},
    {316, "MMCRH", 0, zero, ignore},
    {318, "LPCR", 0, zero, ignore},
    {319, "LPIDR", 0, zero, ignore},
    {770, "MMCRA", kReadOnly, get<&State::mmcra>, ignore},
    {771, "PMC1", kReadOnly, get_pmc<1>, ignore},
    {772, "PMC2", kReadOnly, get_pmc<2>, ignore},
    {773, "PMC3", kReadOnly, get_pmc<3>, ignore},
    {774, "PMC4", kReadOnly, get_pmc<4>, ignore},
    {775, "PMC5", kReadOnly, get_pmc<5>, ignore},
    {776, "PMC6", kReadOnly, get_pmc<6>, ignore},
    {779, "MMCR0", kReadOnly, get<&State::mmcr0>, ignore},
    {780, "SIAR", kReadOnly, get<&State::siar>, ignore},
    {781, "SDAR", kReadOnly, get<&State::sdar>, ignore},
    {782, "MMCR1", kReadOnly, get<&State::mmcr1>, ignore},
    {786, "MMCRA", kSupervisor, get<&State::mmcra>, put<&State::mmcra>},
    {787, "PMC1", kSupervisor, get_pmc<1>, put_pmc<1>},
    {788, "PMC2", kSupervisor, get_pmc<2>, put_pmc<2>},
    {789, "PMC3", kSupervisor, get_pmc<3>, put_pmc<3>},
    {790, "PMC4", kSupervisor, get_pmc<4>, put_pmc<4>},
    {791, "PMC5", kSupervisor, get_pmc<5>, put_pmc<5>},
    {792, "PMC6", kSupervisor, get_pmc<6>, put_pmc<6>},
    {795, "MMCR0", kSupervisor, get<&State::mmcr0>, put_mmcr0},
    {796, "SIAR", kSupervisor, get<&State::siar>, put<&State::siar>},
    {797, "SDAR", kSupervisor, get<&State::sdar>, put<&State::sdar>},
    {798, "MMCR1", kSupervisor, get<&State::mmcr1>, put_mmcr1},
    {896, "PPR", kAll, get<&State::ppr>, put_ppr},
    {921, "TSCR", 0, zero, ignore},
    {1008, "HID0", 0, zero, ignore},
    {1009, "HID1", 0, zero, ignore},
    {1012, "HID4", 0, zero, ignore},
    {1013, "DABR", PR, get<&State::dabr>, ignore},
    {1014, "HID5", 0, zero, ignore},
    {1015, "DABRX", PR, get<&State::dabrx>, ignore},
    {1023, "PIR", PR, get<&State::pir>, ignore},
};

/// Row number + 1 by SPR number.
constexpr auto kIndex = [] {
  std::array<u8, 1024> index{};
  for (unsigned i = 0; i < std::size(kRows); i++) index[kRows[i].number] = static_cast<u8>(i + 1);
  return index;
}();

const SprRow* find(State& s, u32 number, u8 user, u8 supervisor) {
  const bool problem = sem::problem_state(s);
  const u8 row = kIndex[number & 1023];
  if (row && kRows[row - 1].access & (problem ? user : supervisor)) return &kRows[row - 1];
  // Numbers with 0x10 set are privileged; others that do not exist are illegal (POWER6-ISA 5).
  const bool privileged = problem ? (number & 0x10) : row != 0;
  if (privileged)
    sem::privileged(s);
  else
    sem::illegal(s);
  return nullptr;
}

}  // namespace

std::span<const SprRow> spr_table() { return kRows; }

bool read_spr(State& s, u32 number, u64& value) {
  const SprRow* row = find(s, number, kUserRead, kPrivilegedRead);
  if (row) value = row->read(s);
  return row;
}

bool write_spr(State& s, u32 number, u64 value) {
  const SprRow* row = find(s, number, kUserWrite, kPrivilegedWrite);
  if (row) row->write(s, value);
  return row;
}

}  // namespace baton::cpu
