// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "cpu/fpu/fpu.h"
#include "cpu/spr.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/words.h"

namespace baton::fuzz {
namespace {

namespace msr = cpu::msr;
namespace pte = cpu::pte;

constexpr u64 kTerabyte = u64{1} << 62, kEsidValid = 0x08000000;
constexpr u32 kHypercall = 0x44000022;
constexpr u64 kLastVector = 0xF20;

/// What most interrupts run, so that programs get far; the others stop by `sc 1`.
using cpu::Vector;
constexpr u32 kSaveR0 = 0x7C1043A6, kRestoreR0 = 0x7C1042A6, kReturn = 0x4C000024;
constexpr u32 kSkip[] = {kSaveR0,
                         0x7C1A02A6 /* mfsrr0 r0 */,
                         0x30000004 /* addic r0,r0,4 */,
                         0x7C1A03A6 /* mtsrr0 r0 */,
                         kRestoreR0,
                         kReturn};
constexpr u32 kGoOn[] = {kReturn};
constexpr u32 kLater[] = {kSaveR0, 0x3C007FFF /* lis r0,0x7FFF */, 0x7C1603A6 /* mtdec r0 */, kRestoreR0,
                          kReturn};
struct Handler {
  Vector vector;
  std::span<const u32> code;
};
constexpr Handler kHandlers[] = {
    {Vector::kSystemReset, kGoOn},        {Vector::kDataStorage, kSkip},    {Vector::kDataSegment, kSkip},
    {Vector::kAlignment, kSkip},          {Vector::kProgram, kSkip},        {Vector::kFpUnavailable, kSkip},
    {Vector::kDecrementer, kLater},       {Vector::kSystemCall, kGoOn},     {Vector::kTrace, kGoOn},
    {Vector::kPerformanceMonitor, kGoOn}, {Vector::kVmxUnavailable, kSkip},
};
constexpr unsigned kHptLog2 = 18;
/// Code lies from frame 1 on; four of them are different.
constexpr u64 kCodeFrames = 64;

u64 memory_size(Random& random) {
  return random.one_in(16) ? (u64{17} << 20) + (random.below(64) << 16) : u64{1} << 20;
}

struct PageForm {
  unsigned base_shift;
  u64 llp;
};
constexpr PageForm kForms[] = {{12, 0x000}, {16, 0x110}, {24, 0x100}};

/// Every MSR bit that can be seen in a partition.
constexpr u64 kMsrBits = msr::SF | msr::VEC | msr::EE | msr::PR | msr::FP | msr::ME | msr::FE0 | msr::SE |
                         msr::BE | msr::FE1 | msr::IR | msr::DR | msr::PMM | msr::RI | msr::LE;

}  // namespace

Machine::Machine(Random& random, unsigned threads, const cpu::EngineOptions& engine)
    : Hardware(threads, memory_size(random), kHptLog2, engine) {
  cpu::Memory& memory = this->memory();
  if (random.one_in(4)) memory.set_tracking(true);
  if (random.one_in(4)) domain().real_mode_limit = memory.size() / 2;
  for (u64 at = 0x100; at <= kLastVector; at += 0x20) memory.store<u32>(at, kHypercall);
  for (const Handler& handler : kHandlers) {
    if (random.one_in(4)) continue;
    u64 at = static_cast<u64>(handler.vector);
    for (const u32 word : handler.code) {
      memory.store<u32>(at, word);
      at += 4;
    }
  }
  for (u64 frame = 1; frame <= kCodeFrames; frame++) {
    if (frame <= 4)
      fill_code(random, frame);
    else
      std::memcpy(memory.host(frame << cpu::kFrameShift), memory.host((frame - 4) << cpu::kFrameShift),
                  cpu::kFrameSize);
    code_frames_.push_back(frame);
  }
  for (int i = 0; i < 3; i++) {
    const u64 frame = kCodeFrames + 1 + random.below(16);
    for (u64 at = 0; at < cpu::kFrameSize; at += 8)
      memory.store<u64>(frame << cpu::kFrameShift | at, random_value(random));
  }
  for (unsigned i = 0; i < 4; i++) {
    const PageForm form = kForms[random.one_in(4) ? 2 : random.below(2)];
    Segment segment;
    segment.terabyte = random.one_in(3);
    segment.base_shift = form.base_shift;
    segment.ea = random.pick({u64{0}, random.below(8) << 28, u64{0xC} << 60, random.next(),
                              u64{0xFFFFFFFFF0000000}, u64{0xFFFFFF0000000000}}) &
                 (segment.terabyte ? ~u64{0xFFFFFFFFFF} : ~u64{0x0FFFFFFF});
    segment.vsid = random.number() & (segment.terabyte ? 0x3FFFFFF : 0x3FFFFFFFFF);
    segment.slb_vsid = (segment.terabyte ? kTerabyte | segment.vsid << 24 : segment.vsid << 12) | form.llp;
    if (random.one_in(4)) segment.slb_vsid |= random.next() & 0xE00;
    segment.slb_esid = segment.ea | kEsidValid | random.below(64);
    segments_.push_back(segment);
    for (int page = 0; page < 12; page++) map(random, segment);
  }
  // A place where code can be executed, whatever else there is.
  const Segment home{u64{0x7} << 28, 0x77777, u64{0x77777} << 12, u64{0x7} << 28 | kEsidValid | 62, 12,
                     false};
  segments_.push_back(home);
  for (u64 frame = 1; frame <= kCodeFrames; frame++) {
    hpt().set(((home.vsid ^ frame) & (hpt().groups() - 1)) * 8,
              {home.vsid << 12 | pte::kValid, frame << cpu::kFrameShift | pte::kCoherent | 2});
    mapped_code_.push_back(home.ea | frame << cpu::kFrameShift);
  }
  for (unsigned i = 0; i < threads; i++) {
    fill_registers(random, i);
    for (const Segment& segment : segments_)
      if (!random.one_in(8)) thread(i).slbmte(segment.slb_vsid, segment.slb_esid);
    start(random, i);
  }
}

void Machine::fill_code(Random& random, u64 frame) {
  for (u64 at = 0; at < cpu::kFrameSize; at += 4)
    memory().store<u32>(frame << cpu::kFrameShift | at, random_word(random));
}

void Machine::map(Random& random, const Segment& segment) {
  const u64 page = random.one_in(8) ? random.next() : random.below(24);
  const u64 offset = page << segment.base_shift & (segment.terabyte ? 0xFFFFFFFFFF : 0x0FFFFFFF);
  const u64 ea = segment.ea | offset;
  const bool code = random.below(2);
  u64 frame = code ? random.pick(code_frames_) : random.below(memory().frames() + 4);
  unsigned shift = segment.base_shift;
  if (shift == 12 && random.one_in(8)) shift = 16;
  const u64 size_mask = (u64{1} << shift) - 1;
  u64 hash = segment.vsid ^ offset >> segment.base_shift;
  if (segment.terabyte) hash ^= segment.vsid << 25;
  const bool secondary = random.one_in(4);
  if (secondary) hash = ~hash;

  cpu::Hpte entry;
  entry.v = pte::kValid | (secondary ? pte::kSecondary : 0);
  if (segment.terabyte)
    entry.v |= kTerabyte | (segment.vsid << 17 | offset >> 23) << 7;
  else
    entry.v |= (segment.vsid << 5 | offset >> 23) << 7;
  entry.r = (frame << cpu::kFrameShift & ~size_mask) | pte::kCoherent | (code ? 2 : random.below(4));
  if (shift != 12) {
    entry.v |= pte::kLarge;
    entry.r |= u64{shift == 24 ? 0U : segment.base_shift == 12 ? 7U : 1U} << 12;
    if (shift == 24) entry.v &= ~u64{0x80};
  }
  if (random.one_in(4))
    entry.r |= random.next() & (pte::kPp0 | pte::kKeyHigh | pte::kKeyLow | pte::kReferenced | pte::kChanged |
                                pte::kWriteThrough | pte::kInhibited | pte::kGuarded | pte::kNoExecute);
  hpt().set((hash & (hpt().groups() - 1)) * 8 + random.below(8), entry);
  mapped_.push_back(ea);
  if (code) mapped_code_.push_back(ea | (frame << cpu::kFrameShift & size_mask & ~u64{0xFFF}));
}

u64 Machine::address(Random& random) const {
  const u64 offset =
      random.one_in(3) ? cpu::kFrameSize - random.below(24) : random.below(cpu::kFrameSize) & ~u64{7};
  switch (random.below(8)) {
    case 0:
      return random.below(domain().real_mode_limit == ~u64{0} ? u64{1} << 20 : u64{1} << 19) + offset;
    case 1:
      return random.next();
    case 2:
      return random.pick(mapped_) + (random.number() & 0xFFFFFF);
    case 3:
      return random.pick(code_frames_) << cpu::kFrameShift | (offset & 0xFFF);
    default:
      return random.pick(mapped_) + offset;
  }
}

u64 Machine::code_address(Random& random, bool translated) const {
  const u64 offset = random.one_in(8) ? 0xFE0 : random.below(cpu::kFrameSize) & ~u64{3};
  if (random.one_in(32)) return address(random) & ~u64{3};
  return translated ? random.pick(mapped_code_) | offset
                    : random.pick(code_frames_) << cpu::kFrameShift | offset;
}

void Machine::start(Random& random, unsigned i) {
  cpu::State& s = thread(i).state();
  s.msr = random_msr(random);
  s.nia = code_address(random, s.msr & msr::IR) & (s.msr & msr::SF ? ~u64{3} : 0xFFFFFFFC);
  thread(i).update_mode();
}

void Machine::fill_registers(Random& random, unsigned i) {
  cpu::State& s = thread(i).state();
  for (unsigned r = 0; r < 32; r++) {
    s.gpr[r] = random.below(3) ? address(random) : random_value(random);
    s.fpr[r] = random_value(random);
    s.vr[r] = u128{random_value(random)} << 64 | random_value(random);
  }
  for (u8& field : s.cr) field = static_cast<u8>(random.below(16));
  set_so(s, random.below(2));
  s.xer_ov = random.below(2);
  s.xer_ca = random.below(2);
  s.xer_count = static_cast<u8>(random.below(128));
  s.lr = code_address(random, random.below(2));
  s.ctr = random.below(2) ? random.below(8) : code_address(random, random.below(2));
  s.fpscr = cpu::fpu::summarise(random.next() & cpu::fpscr::kWritable & ~(random.below(4) ? 0xF8 : 0));
  s.vscr = static_cast<u32>(random.next()) & 0x00010001;
  // What the supervisor can set it sets itself, so that nothing depends on how it is kept.
  const u64 old = s.msr;
  s.msr = msr::SF | msr::ME;
  for (const cpu::SprRow& row : cpu::spr_table())
    if (row.access & cpu::kPrivilegedWrite && row.number != 1 && !random.one_in(3))
      cpu::write_spr(s, row.number, random.one_in(4) ? address(random) : random_value(random));
  if (random.below(8)) cpu::write_spr(s, 29, 0);  // AMR
  if (random.one_in(8)) {
    s.dabr = address(random);
    s.dabrx = random.below(16);
  }
  s.msr = old;
}

void Machine::resume(Random& random, unsigned i) {
  cpu::Thread& thread = this->thread(i);
  cpu::State& s = thread.state();
  thread.set_external(false);
  if (random.below(4)) thread.set_dec(0x7FFFFFFF);
  if (s.nia - 4 > kLastVector && random.below(4)) {
    // A call that the program makes.
    s.gpr[3] = random_value(random);
    return;
  }
  switch (random.below(8)) {
    case 0:
      start(random, i);
      break;
    case 1:
      for (int n = 0; n < 8; n++) s.gpr[random.below(32)] = address(random);
      start(random, i);
      break;
    case 2: {
      const Segment& segment = segments_[random.below(segments_.size())];
      if (random.below(2))
        thread.slbie(segment.ea | (segment.terabyte ? 0x02000000 : 0));
      else
        thread.slbmte(segment.slb_vsid ^ (random.one_in(4) ? random.next() & 0xE00 : 0),
                      segment.ea | kEsidValid | random.below(64));
      start(random, i);
      break;
    }
    default: {
      // From an interrupt back to the instruction behind.
      u64 to = s.srr1 & kMsrBits & ~(msr::SE | msr::BE | msr::LE);
      if (to & msr::PR) to |= msr::EE | msr::IR | msr::DR;
      s.msr = to | msr::ME | (s.msr & msr::LE);
      s.nia = (s.srr0 + 4) & (to & msr::SF ? ~u64{3} : 0xFFFFFFFC);
      thread.update_mode();
    }
  }
}

void Machine::disturb(Random& random) {
  cpu::Memory& memory = this->memory();
  cpu::HashPageTable& hpt = this->hpt();
  switch (random.below(8)) {
    case 0:
      memory.store<u32>(random.pick(code_frames_) << cpu::kFrameShift | random.below(1024) * 4,
                        random_word(random));
      break;
    case 1: {
      // The page of some segment: every entry of the group that it is in goes.
      const Segment& segment = segments_[random.below(segments_.size())];
      if (const auto found = hpt.search(random.pick(mapped_), segment.slb_vsid)) {
        hpt.invalidate(found->ptex);
        domain().forget_translation(found->ptex, found->entry);
      }
      break;
    }
    case 2: {
      const Segment& segment = segments_[random.below(segments_.size())];
      if (const auto found = hpt.search(random.pick(mapped_), segment.slb_vsid)) {
        hpt.change_r(found->ptex, pte::kPp | pte::kReferenced | pte::kChanged, random.below(4));
        domain().forget_translation(found->ptex, found->entry);
      }
      break;
    }
    case 3:
      domain().withhold_writes();
      break;
    case 4:
      thread(static_cast<unsigned>(random.below(threads()))).set_external(random.below(2));
      break;
    case 5:
      if (random.one_in(8)) thread(static_cast<unsigned>(random.below(threads()))).system_reset();
      break;
    case 6:
      memory.fill(random.pick(code_frames_) << cpu::kFrameShift, 0x60, random.below(64));
      break;
    default:
      advance(random.number() & 0xFFFFFFF);
  }
}

void Machine::check(unsigned i) const {
  const cpu::State& s = thread(i).state();
  const auto fail = [&](const char* what, u64 value) {
    throw Finding(fmt::format("thread {} at 0x{:x}, MSR 0x{:x}: {} 0x{:x}", i, s.nia, s.msr, what, value));
  };
  if (s.msr & ~kMsrBits || !(s.msr & msr::ME)) fail("MSR", s.msr);
  if (s.msr & msr::PR && (s.msr & (msr::EE | msr::IR | msr::DR)) != (msr::EE | msr::IR | msr::DR))
    fail("problem state without translation", s.msr);
  if (s.ea_mask != (s.msr & msr::SF ? ~u64{0} : 0xFFFFFFFF)) fail("address mask", s.ea_mask);
  if (s.nia & 3 || s.nia & ~s.ea_mask) fail("NIA", s.nia);
  if (s.gpr[32]) fail("the zero register", s.gpr[32]);
  for (const u8 field : s.cr)
    if (field > 15) fail("CR field", field);
  if (s.xer_so > 1 || s.xer_ov > 1 || s.xer_ca > 1 || s.xer_count > 127) fail("XER", s.xer_count);
  if (s.fpscr != cpu::fpu::summarise(s.fpscr) ||
      s.fpscr & ~(cpu::fpscr::kWritable | cpu::fpscr::FEX | cpu::fpscr::VX))
    fail("FPSCR", s.fpscr);
  if (s.vscr & ~u32{0x00010001}) fail("VSCR", s.vscr);
  if (s.ppr & ~(u64{7} << 50) || s.ppr >> 50 == 0 || s.ppr >> 50 == 7) fail("PPR", s.ppr);
  for (const cpu::SlbEntry& entry : s.slb)
    if (entry.esid & 0x07FFFFFF) fail("SLB entry", entry.esid);
  if (s.fault.vector != cpu::Vector::kNone) fail("interrupt not delivered", static_cast<u64>(s.fault.vector));
}

void Machine::check_cached(unsigned i) {
  const cpu::State& s = thread(i).state();
  cpu::Memory& memory = this->memory();
  for (u64 n = 0; n < cpu::kTlbEntries; n++) {
    const cpu::TlbEntry& entry = s.dtlb[n];
    const u64 read = entry.read_tag, write = entry.write_tag;
    for (const u64 tag : {read, write}) {
      if (tag == cpu::TlbEntry::kNoTag) continue;
      const u64 host = (tag << 12) + entry.addend, base = reinterpret_cast<u64>(memory.host(0));
      if (host - base >= memory.size() || (host - base) >> cpu::kFrameShift != entry.frame)
        throw Finding(
            fmt::format("thread {}: TLB entry of 0x{:x} leads to 0x{:x}", i, tag << 12, host - base));
    }
  }
}

void Machine::compare(Machine& one, Machine& other) {
  for (unsigned i = 0; i < one.threads(); i++) {
    const cpu::State &a = one.thread(i).state(), &b = other.thread(i).state();
    std::string different;
    const auto field = [&](const char* name, const auto& x, const auto& y) {
      if (std::memcmp(&x, &y, sizeof x) == 0) return;
      u64 first = 0;
      while (reinterpret_cast<const u8*>(&x)[first] == reinterpret_cast<const u8*>(&y)[first]) first++;
      different += fmt::format("{}{}[{}]", different.empty() ? "" : ", ", name, first);
    };
    const u64 completed[2] = {one.thread(i).instructions(), other.thread(i).instructions()};
    field("NIA", a.nia, b.nia);
    field("instruction count", completed[0], completed[1]);
    field("MSR", a.msr, b.msr);
    field("GPR", a.gpr, b.gpr);
    field("LR", a.lr, b.lr);
    field("CTR", a.ctr, b.ctr);
    field("CR", a.cr, b.cr);
    field("XER", a.xer_so, b.xer_so);
    field("XER", a.xer_ov, b.xer_ov);
    field("XER", a.xer_ca, b.xer_ca);
    field("XER", a.xer_count, b.xer_count);
    field("FPR", a.fpr, b.fpr);
    field("FPSCR", a.fpscr, b.fpscr);
    field("VR", a.vr, b.vr);
    field("VSCR", a.vscr, b.vscr);
    field("SRR0", a.srr0, b.srr0);
    field("SRR1", a.srr1, b.srr1);
    field("DAR", a.dar, b.dar);
    field("DSISR", a.dsisr, b.dsisr);
    field("SPRG", a.sprg, b.sprg);
    field("CFAR", a.cfar, b.cfar);
    field("AMR", a.amr, b.amr);
    field("PPR", a.ppr, b.ppr);
    field("DSCR", a.dscr, b.dscr);
    field("CTRL", a.ctrl, b.ctrl);
    field("MMCR0", a.mmcr0, b.mmcr0);
    field("MMCR1", a.mmcr1, b.mmcr1);
    field("MMCRA", a.mmcra, b.mmcra);
    field("VRSAVE", a.vrsave, b.vrsave);
    field("SLB", a.slb, b.slb);
    field("DEC", a.dec_deadline, b.dec_deadline);
    if (!different.empty())
      throw Finding(fmt::format(
          "thread {}: two runs of the same differ in {} (by byte), at 0x{:x} and 0x{:x} after {} and {} "
          "instructions; the "
          "other engine is the {}",
          i, different, a.nia, b.nia, one.thread(i).instructions(), other.thread(i).instructions(),
          cpu::name_of(other.domain().engine().engine)));
  }
  const u64 size = one.memory().size();
  const u8 *x = one.memory().host(0), *y = other.memory().host(0);
  if (std::memcmp(x, y, size) != 0) {
    const u64 at = static_cast<u64>(std::mismatch(x, x + size, y).first - x);
    throw Finding(fmt::format("memory at 0x{:x}: two runs of the same differ", at));
  }
}

void Machine::compare_page_tables(Machine& one, Machine& other) {
  for (u64 ptex = 0; ptex < one.hpt().entries(); ptex++) {
    const cpu::Hpte a = one.hpt().get(ptex), b = other.hpt().get(ptex);
    if (a.v != b.v || a.r != b.r)
      throw Finding(fmt::format("page table entry {}: two runs of the same differ (R and C: 0x{:x}, 0x{:x})",
                                ptex, a.r, b.r));
  }
}

}  // namespace baton::fuzz
