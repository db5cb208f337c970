// SPDX-License-Identifier: Apache-2.0
// The stencil engine against the interpreter: the same programs, the same number of instructions, the same
// state.
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <random>
#include <vector>

#include "cpu/domain.h"
#include "cpu/engine/llvm/regions.h"
#include "cpu/engine/stencil/table.h"
#include "cpu/isa/isa.h"
#include "cpu/semantics/semantics.h"
#include "cpu/thread.h"
#include "tests/cpu/differential/words.h"
#include "tests/cpu/hardware.h"

namespace baton::cpu {
namespace {

TEST(Stencils, EveryInstructionOfTheProblemStateHasOne) {
  static constexpr const char* kNames[] = {
#define INSN(id, ...) #id,
#include "cpu/isa/instructions.def"
  };
  for (const isa::Row& row : isa::table()) {
    if (row.privilege != isa::Privilege::User || row.facility == isa::Facility::DFP) continue;
    EXPECT_TRUE(stencil::find(kNames[static_cast<u64>(row.id)])) << row.mnemonic;
  }
}

TEST(Stencils, FillWhatTheyHave) {
  for (const stencil::Stencil& s : stencil::table()) {
    for (const stencil::Relocation& r : std::span(s.relocations, s.relocation_count)) {
      EXPECT_LE(r.at + 4, s.hot_size + s.cold_size) << s.name;
      if (r.fill == stencil::Fill::kHole) {
        EXPECT_LT(r.index, static_cast<u16>(stencil::Hole::kCount)) << s.name;
      } else if (r.fill == stencil::Fill::kNative) {
        EXPECT_LT(r.index, stencil::natives().size()) << s.name;
      } else if (r.fill == stencil::Fill::kPool) {
        EXPECT_LT(r.index, stencil::pool().size()) << s.name;
      }
    }
  }
}

/// An addition is two loads, a store, and nothing more: no call, no stack, no jump.
TEST(Stencils, AreAsShortAsTheyShouldBe) {
  EXPECT_LE(stencil::find("add")->hot_size, 24);
  EXPECT_LE(stencil::find("addi__li")->hot_size, 23);
  EXPECT_EQ(stencil::find("add")->cold_size, 0);
  EXPECT_GT(stencil::find("lwz")->cold_size, 0);
}

constexpr u64 kMemory = 1 << 20;
constexpr u64 kCode = 0x4000, kCodeBytes = 0x3000, kData = 0x8000, kDataBytes = 0x8000;

struct Side {
  explicit Side(EngineOptions engine) : machine(1, kMemory, 18, engine) {}
  baton::test::Hardware machine;
  Domain& domain = machine.domain();
  Thread& thread = machine.thread();
  State& s = machine.state();
};

/// Everything that a program can see, by name.
std::map<std::string, u64> state_of(const State& s) {
  std::map<std::string, u64> all;
  const auto array = [&](const char* name, const auto& values) {
    unsigned i = 0;
    for (const auto& value : values) all[name + std::to_string(i++)] = static_cast<u64>(value);
  };
  array("r", s.gpr);
  array("f", s.fpr);
  array("cr", s.cr);
  array("sprg", s.sprg);
  unsigned i = 0;
  for (const u128 v : s.vr) {
    all["vr" + std::to_string(i) + " high"] = static_cast<u64>(v >> 64);
    all["vr" + std::to_string(i++) + " low"] = static_cast<u64>(v);
  }
  i = 0;
  for (const SlbEntry& e : s.slb) {
    all["slb" + std::to_string(i) + " esid"] = e.esid;
    all["slb" + std::to_string(i++) + " vsid"] = e.vsid;
  }
  const std::pair<const char*, u64> rest[] = {
      {"nia", s.nia},           {"lr", s.lr},
      {"ctr", s.ctr},           {"msr", s.msr},
      {"xer", sem::get_xer(s)}, {"cfar", s.cfar},
      {"srr0", s.srr0},         {"srr1", s.srr1},
      {"dar", s.dar},           {"dsisr", s.dsisr},
      {"fpscr", s.fpscr},       {"vscr", s.vscr},
      {"vrsave", s.vrsave},     {"instructions", s.instructions.load()},
      {"dscr", s.dscr},         {"amr", s.amr},
      {"reserved", s.reserved}, {"ppr", s.ppr}};
  for (const auto& [name, value] : rest) all[name] = value;
  return all;
}

/// Those that hand their results on, and few registers so that the next one takes them.
constexpr isa::Id kForwarding[] = {
#define RESULT(row, field) isa::Id::row,
#define KEEPS(row) isa::Id::row,
#define FORWARD(...)
#include "cpu/engine/stencil/forwards.def"
};
constexpr u32 kHighRegisters = 0x18u << 21 | 0x18u << 16 | 0x18u << 11;

class Lockstep : public testing::Test {
 protected:
  /// `threads` as in EngineOptions: with one, the first executions of an instruction are the interpreter's.
  void start(u64 seed, u64 cache_bytes, Engine tested = Engine::kStencil, unsigned threads = 0,
             u64 region_bytes = u64{32} << 20) {
    random.seed(seed);
    sides.clear();
    sides.push_back(std::make_unique<Side>(EngineOptions{.engine = Engine::kInterpreter}));
    sides.push_back(std::make_unique<Side>(EngineOptions{.engine = tested,
                                                         .code_cache_bytes = cache_bytes,
                                                         .region_cache_bytes = region_bytes,
                                                         .compile_threads = threads}));
    // Interrupts end a program.
    for (u64 at = 0x100; at < 0x1000; at += 4) store(at, 0x44000022);
    std::vector<const isa::Row*> rows;
    for (const isa::Row& row : isa::table())
      if (row.privilege != isa::Privilege::Hypervisor) rows.push_back(&row);
    for (u64 at = kCode; at < kCode + kCodeBytes; at += 4) {
      const bool forwards = random() % 2;
      const isa::Row& row =
          forwards ? isa::table()[static_cast<u64>(kForwarding[random() % std::size(kForwarding)])]
                   : *rows[random() % rows.size()];
      u32 word = test::random_word(row, random);
      if (forwards) word = (word & ~(kHighRegisters & ~row.mask)) | row.value;
      // Many branches lead into the code, many displacements are small.
      if (row.form == isa::Form::B) word = (word & ~0xFFFCu) | ((random() % 256 - 128) * 4 & 0xFFFC);
      if (row.form == isa::Form::I) word = (word & ~0x3FFFFFCu) | ((random() % 1024 - 512) * 4 & 0x3FFFFFC);
      if (row.form == isa::Form::D && random() % 2) word &= ~0xFFC0u;
      store(at, word);
    }
    // Simple instructions and tight loops are what programs are made of.
    for (unsigned n = 0; n < 150; n++) {
      u64 at = kCode + random() % (kCodeBytes / 4 - 16) * 4;
      const u32 compare = 0x2C000000 | (random() % 8) << 23 | (random() % 32) << 16 | (random() % 256);
      store(at, compare);
      store(at + 4,
            0x40800000 | (random() % 2) << 24 | (random() % 32) << 16 | ((random() % 16 - 4) * 4 & 0xFFFC));
      at = kCode + random() % (kCodeBytes / 4 - 16) * 4;
      store(at, 0x42000000 | ((random() % 8 - 8) * 4 & 0xFFFC));  // bdnz back
    }
  }

  /// Instructions, more than a page of code has: with fewer left, a thread takes each by itself, by the
  /// interpreter.
  static constexpr u64 kWhole = 4 * kOpsPerPage;

  void store(u64 at, u64 word) {
    for (auto& side : sides) ASSERT_TRUE(side->domain.memory().store<u32>(at, static_cast<u32>(word)));
  }

  /// Registers and an address to go on from, the same on both sides.
  void fresh() {
    std::array<u64, 33> gpr{};
    for (unsigned r = 0; r < 32; r++) {
      switch (random() % 8) {
        case 0:
          gpr[r] = random() >> (random() % 64);
          break;
        case 1:
          gpr[r] = kCode + random() % kCodeBytes;
          break;
        case 2:
          gpr[r] = random() % 64;
          break;
        default:
          gpr[r] = kData + random() % kDataBytes / 8 * 8;
      }
    }
    const u64 nia = kCode + random() % kCodeBytes / 4 * 4, ctr = random() % 20,
              lr = kCode + random() % kCodeBytes;
    const u64 bits = random();
    const u64 more = msr::FP | msr::VEC | (bits & 1 ? msr::EE : 0) | (bits & 14 ? msr::SF : 0);
    for (auto& side : sides) {
      State& s = side->s;
      std::copy(gpr.begin(), gpr.end(), s.gpr);
      s.nia = nia;
      s.ctr = ctr;
      s.lr = lr;
      s.msr = msr::ME | more;
      s.fpscr &= 0xFFFFFF07;  // no enabled exceptions to begin with
      side->thread.state_changed();
    }
  }

  /// Straight-line code of instructions that hand on results, entered at each of its instructions.
  void forwarded(u64 seed) {
    constexpr unsigned kLength = 40;
    start(seed, u64{1} << 20);
    for (unsigned i = 0; i < kLength; i++) {
      const isa::Row& row = isa::table()[static_cast<u64>(kForwarding[random() % std::size(kForwarding)])];
      store(kCode + 4 * i, (test::random_word(row, random) & ~(kHighRegisters & ~row.mask)) | row.value);
    }
    store(kCode + 4 * kLength, 0x44000022);
    for (unsigned i = 0; i < kLength && !HasFailure(); i++) {
      SCOPED_TRACE(testing::Message() << "seed " << seed << " entered at " << i);
      // Once to compile what lies behind the last fault, once from here.
      for (const unsigned from : {0u, i}) {
        fresh();
        for (auto& side : sides) side->s.nia = kCode + 4 * from;
        step(kWhole);
      }
    }
  }

  /// Straight-line integer code of all registers, long enough that not all of them fit into the host's; loads
  /// and stores are around r1 to r7, which nothing else writes, some of them where there is nothing. Entered
  /// at each instruction. `dense`: most of it is loads and stores from two bases near the end of a page, and
  /// writes are tracked. `branches`: ahead and in loops, and LR and CTR are moved about.
  void integer_code(u64 seed, bool dense = false, bool branches = false) {
    constexpr unsigned kLength = 60;
    start(seed, u64{1} << 20);
    const unsigned bases = dense ? 2 : 7;
    for (auto& side : sides) side->domain.memory().set_tracking(dense);
    std::vector<const isa::Row*> rows;
    for (const isa::Row& row : isa::table())
      if (row.privilege == isa::Privilege::User && row.facility == isa::Facility::Base &&
          row.form != isa::Form::XFX && !isa::is_branch(row.value) && !(branches && row.mnemonic[0] == 't') &&
          !std::string_view(row.mnemonic).starts_with("lsw"))
        rows.push_back(&row);
    const auto accesses = [](const isa::Row& row) {
      return row.mnemonic[0] == 'l' || std::string_view(row.mnemonic).starts_with("st");
    };
    // A loop by CTR, and within it others by r15, which go round once.
    const u64 end = 40 + random() % 16;
    std::vector<u64> inner;
    for (u64 at = 8 + random() % 12; branches && at + 3 < end; at += 3 + random() % 20) inner.push_back(at);
    for (unsigned i = 0; i < kLength; i++) {
      using isa::Id;
      constexpr Id kPlain[] = {Id::lbz, Id::lhz, Id::lha, Id::lwz, Id::lwa,
                               Id::ld,  Id::stb, Id::sth, Id::stw, Id::std};
      constexpr Id kUsual[] = {Id::add,   Id::addi,   Id::subf,   Id::and_op, Id::or_op, Id::xor_op,
                               Id::cmp,   Id::cmpi,   Id::cmpl,   Id::cmpli,  Id::extsw, Id::andi_rc,
                               Id::adde,  Id::rlwinm, Id::rldicl, Id::srawi,  Id::lbz,   Id::lwz,
                               Id::lwzux, Id::ld,     Id::stw,    Id::stdu,   Id::add_rc};
      const isa::Row* chosen = rows[random() % rows.size()];
      if (branches && i % 8) chosen = &isa::table()[static_cast<u64>(kUsual[random() % std::size(kUsual)])];
      if (dense && i % 8) chosen = &isa::table()[static_cast<u64>(kPlain[random() % std::size(kPlain)])];
      const isa::Row& row = *chosen;
      u32 word = test::random_word(row, random);
      const bool storage = accesses(row);
      if (storage) {
        const u64 base = 1 + random() % bases;
        // Now and then a base is what is loaded.
        const u64 value = dense && random() % 16 == 0 ? base
                          : branches                  ? 16 + random() % 16
                                                      : 8 + random() % 24;
        word = (word & ~0x03FF0000u) | static_cast<u32>(value << 21 | base << 16);
        if (row.form == isa::Form::X) word &= ~0xF800u;
        if (row.form == isa::Form::D || row.form == isa::Form::DS) word &= dense ? ~0xFF80u : ~0xFC00u;
        word = (word & ~row.mask) | row.value;
      }
      const u32 writes = row.form == isa::Form::D || row.form == isa::Form::XO ? 0x02000000 : 0x00100000;
      if (!storage) word |= writes & ~row.mask;
      // A comparison and who asks for it.
      const u32 asks = random() % 4 ? 0x40800008 : 0x4C800020;
      if (!branches && random() % (dense ? 24 : 6) == 0)
        word = asks | (random() % 2) << 24 | (random() % 32) << 16;
      if (branches && i % 4 == 3) {
        u64 to = i + 1 + random() % (kLength - i);
        for (const u64 at : inner)
          if (to > at && to < at + 3) to = at + 3;  // Not past where it counts.
        const u64 ahead = 4 * (to - i), anything = (16 + random() % 16) << 21;
        const u64 ways[] = {
            0x40800000 | (random() % 2) << 24 | (random() % 32) << 16 | ahead,  // bc
            0x48000000 | ahead | random() % 2,                                  // b, bl
            0x7C0803A6 | anything,                                              // mtlr
            0x7C0802A6 | anything,                                              // mflr
            0x7C0902A6 | anything,                                              // mfctr
        };
        constexpr unsigned kOften[] = {0, 0, 0, 0, 0, 1, 1, 2, 3, 3, 4};
        word = static_cast<u32>(ways[kOften[random() % std::size(kOften)]]);
      }
      store(kCode + 4 * i, word);
    }
    if (branches) store(kCode + 4 * end, 0x42000000 | (-4 * static_cast<i64>(1 + random() % 38) & 0xFFFC));
    for (const u64 at : inner) {
      store(kCode + 4 * at, 0x39EFFFFF);      // addi r15, r15, -1
      store(kCode + 4 * at + 4, 0x2FAF0000);  // cmpdi cr7, r15, 0
      store(kCode + 4 * at + 8, 0x419D0000 | (-4 * static_cast<i64>(2 + random() % 7) & 0xFFFC));
    }
    for (unsigned i = 0; i < 4; i++) store(kCode + 4 * (kLength + i), 0x44000022);
    for (unsigned i = 0; i < kLength && !HasFailure(); i++) {
      SCOPED_TRACE(testing::Message() << "seed " << seed << " entered at " << i);
      for (const unsigned from : {0u, i}) {
        fresh();
        const u64 wild = random() % (branches ? 64 : 8), anywhere = random() | u64{1} << 40;
        const u64 near_end = random() % 160, rounds = 1 + random() % 20;
        const bool takes_marks = dense && random() % 4 == 0;
        for (auto& side : sides) {
          State& s = side->s;
          s.nia = kCode + 4 * from;
          for (unsigned r = 1; r < 8; r++)
            s.gpr[r] = r == wild ? anywhere
                       : dense   ? kData + r * 0x1000 - near_end
                                 : kData + 0x800 + r * 0xF30;
          s.gpr[0] = 8;
          set_so(s, seed & 1);
          if (branches) s.ctr = rounds, s.gpr[15] = rounds * 2;
          if (!takes_marks) continue;
          side->domain.memory().dirty().clear_all();
          side->domain.withhold_writes();
        }
        // With a limit every branch back asks whether it is reached.
        step(branches ? Thread::kNoLimit : kWhole);
        if (dense) compare_dirty();
      }
    }
    compare_memory();
  }

  void step(u64 budget) {
    Exit exits[2];
    for (int i = 0; i < 2; i++) exits[i] = sides[i]->thread.run(budget);
    ASSERT_EQ(exits[0], exits[1]);
    const auto one = state_of(sides[0]->s), other = state_of(sides[1]->s);
    if (one != other) {
      for (const auto& [name, value] : one)
        if (other.at(name) != value)
          ADD_FAILURE() << name << std::hex << ": interpreter " << value << ", stencil " << other.at(name);
      const u64 at = sides[0]->s.cfar & (kMemory - 4);
      ADD_FAILURE() << "last branch " << std::hex << at << ": "
                    << isa::disassemble(at, sides[0]->domain.memory().load<u32>(at).value_or(0));
      FAIL();
    }
    ended = exits[0] == Exit::kHypercall;
    if (ended) fresh();
  }

  void compare_dirty() {
    for (u64 frame = 0; frame < kMemory >> kFrameShift; frame++) {
      const bool one = sides[0]->domain.memory().dirty().test(frame),
                 other = sides[1]->domain.memory().dirty().test(frame);
      ASSERT_EQ(one, other) << "frame " << frame;
    }
  }

  void compare_memory() {
    std::vector<u8> bytes[2] = {std::vector<u8>(kMemory), std::vector<u8>(kMemory)};
    for (int i = 0; i < 2; i++) ASSERT_TRUE(sides[i]->domain.memory().read(0, bytes[i]));
    ASSERT_TRUE(bytes[0] == bytes[1]);
  }

  void programs(u64 seed, u64 cache_bytes, Engine tested = Engine::kStencil, unsigned threads = 0) {
    start(seed, cache_bytes, tested, threads);
    fresh();
    for (unsigned n = 0; n < 2000 && !HasFailure(); n++) {
      SCOPED_TRACE(testing::Message() << "seed " << seed << " step " << n);
      step(random() % 16 ? 1100 + random() % 3000 : random() % 50);
      if (random() % 32 == 0) {
        const bool up = random() % 2;
        for (auto& side : sides) side->thread.set_external(up);
      }
      if (random() % 64 == 0) {
        // A device writes code.
        const isa::Row& row = isa::table()[random() % isa::kRows];
        store(kCode + random() % kCodeBytes / 4 * 4, test::random_word(row, random));
      }
      if (n % 100 == 0) compare_memory();
    }
    compare_memory();
  }

  std::mt19937_64 random;
  std::vector<std::unique_ptr<Side>> sides;
  bool ended = false;  ///< The last step() by `sc 1`.
};

TEST_F(Lockstep, RandomProgramsWithFaultsInterruptsAndStoresToCode) {
  for (u64 seed = 1; seed <= 12 && !HasFailure(); seed++) programs(seed, u64{16} << 20);
}

/// Loops of what LLVM compiles: calls, returns and branches between them.
class Regions : public Lockstep {
 protected:
  /// Any instruction that regions hold; loads and stores are around r3 to r10, which nothing else writes.
  u32 body_word() {
    for (;;) {
      const isa::Row& row = isa::table()[random() % isa::kRows];
      const std::string_view mnemonic = row.mnemonic;
      if (row.form == isa::Form::B || row.form == isa::Form::I || row.form == isa::Form::SC) continue;
      if (mnemonic.starts_with("bc") || mnemonic.starts_with("tw") || mnemonic.starts_with("td")) continue;
      u32 word = test::random_word(row, random);
      const bool storage =
          mnemonic.starts_with("l") || mnemonic.starts_with("st") || mnemonic.starts_with("dc");
      if (mnemonic.starts_with("mt") && row.imm != isa::ImmKind::None && mnemonic != "mtcrf") continue;
      if (storage) {
        word = (word & ~0x001F0000u) | (3 + random() % 8) << 16 | 0x02000000;
        word = row.form == isa::Form::X ? (word & ~0xF800u) | (11 + random() % 2) << 11 : word & ~0xFE00u;
      } else {
        word |= 0x02108000;
      }
      const isa::Row* decoded = isa::decode(word);
      if (!decoded || !llvm_engine::can_compile(*decoded, isa::operands(*decoded, word))) continue;
      return word;
    }
  }
  void write_program(u64 at) {
    const u64 length = 4 + random() % 24, callee = at + 0x200;
    for (u64 i = 0; i < length; i++) store(at + 4 * i, body_word());
    if (random() % 2) {  // a call out of the middle
      const u64 from = at + 4 * (random() % (length - 1));
      store(from, 0x48000001 | ((callee - from) & 0x3FFFFFC));
    }
    if (random() % 2) {  // a branch over one instruction
      const u64 from = at + 4 * (random() % (length - 1));
      store(from, 0x40800008 | (random() % 2) << 24 | (random() % 32) << 16);
    }
    store(at + 4 * length, 0x42000000 | (-4 * static_cast<i64>(length) & 0xFFFC));
    store(at + 4 * length + 4, 0x44000022);
    for (u64 i = 0; i < 3; i++) store(callee + 4 * i, body_word());
    store(callee + 12, 0x4E800020);
  }
  void ready(u64 at) {
    fresh();
    const u64 count = 1 + random() % 60;
    for (auto& side : sides) {
      State& s = side->s;
      for (unsigned r = 3; r <= 10; r++) s.gpr[r] = kData + 0x800 + r * 0x700;
      s.gpr[11] = 24;
      s.gpr[12] = 160;
      s.nia = at;
      s.ctr = count;
      s.lr = kCode;
    }
  }
  void run_to_end() {
    for (unsigned n = 0; n < 20 && !HasFailure(); n++) {
      const u64 before = sides[0]->s.instructions;
      step(1500 + random() % 1000);
      if (ended) return;
      ASSERT_NE(before, sides[0]->s.instructions);
    }
  }
  /// Runs so many programs, each first as stencils, then compiled.
  void loops(unsigned programs) {
    for (unsigned n = 0; n < programs && !HasFailure(); n++) {
      const u64 at = kCode + random() % 2 * 0xE80 + random() % 8 * 4;
      SCOPED_TRACE(testing::Message() << "program " << n);
      write_program(at);
      for (unsigned times = 0; times < 4 && !HasFailure(); times++) {
        ready(at);
        run_to_end();
      }
      if (n % 16 == 0) compare_memory();
    }
    compare_memory();
  }
};

TEST_F(Regions, OfRandomPrograms) { programs(201, u64{16} << 20, Engine::kLlvm); }

TEST_F(Regions, LoopsCallsAndBranches) {
  start(300, u64{16} << 20, Engine::kLlvm);
  loops(40);
}

TEST_F(Regions, ACacheThatIsAlwaysFull) {
  constexpr u64 kBytes = 16 << 10;
  start(301, u64{16} << 20, Engine::kLlvm, 0, kBytes);
  loops(5);
  EXPECT_GT(sides[1]->domain.compiler()->statistics().code_bytes, 2 * kBytes) << "so that the oldest went";
}

TEST_F(Lockstep, ResultsThatAreHandedOnAndEntriesBetween) {
  for (u64 seed = 201; seed <= 260 && !HasFailure(); seed++) forwarded(seed);
}

TEST_F(Lockstep, IntegerCodeInRegistersOfTheHost) {
  for (u64 seed = 1001; seed <= 1040 && !HasFailure(); seed++) integer_code(seed);
}

TEST_F(Lockstep, AccessesFromOneBase) {
  for (u64 seed = 1101; seed <= 1140 && !HasFailure(); seed++) integer_code(seed, true);
}

TEST_F(Lockstep, LoopsAndJoinsInRegistersOfTheHost) {
  for (u64 seed = 1201; seed <= 1260 && !HasFailure(); seed++) integer_code(seed, seed % 4 == 0, true);
}

TEST_F(Lockstep, ACallAfterLrWasInARegister) {
  start(1, u64{1} << 20);
  const u32 code[] = {
      0x7E0803A6,  // mtlr r16
      0x4800000D,  // bl to the last mflr, which nothing else reaches
      0x60000000,  // nop
      0x48000008,  // b to the end
      0x7E2802A6,  // mflr r17
      0x44000022,
  };
  for (std::size_t i = 0; i < std::size(code); i++) store(kCode + 4 * i, code[i]);
  fresh();
  for (auto& side : sides) side->s.nia = kCode;
  step(Thread::kNoLimit);
  EXPECT_TRUE(ended);
}

TEST_F(Lockstep, CodeThatBecomesWarm) {
  programs(500, u64{16} << 20, Engine::kStencil, 1);
  EXPECT_GT(sides[1]->thread.statistics().compiled, 0u);
  EXPECT_GT(sides[1]->thread.statistics().decoded, sides[1]->thread.statistics().compiled);
}

TEST_F(Lockstep, ACodeCacheThatIsAlwaysFull) {
  for (u64 seed = 101; seed <= 104 && !HasFailure(); seed++) programs(seed, u64{1} << 20);
}

/// From here on the process gets no executable memory.
void refuse_executable_memory() {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[2])),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{std::size(program), program};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) std::_Exit(2);
}

TEST(WithoutExecutableMemory, AutoInterpretsAndSaysSoOnce) {
  const auto twice = [] {
    refuse_executable_memory();
    const Side one(EngineOptions{}), other(EngineOptions{});
    std::_Exit(one.domain.engine().engine == Engine::kInterpreter ? 0 : 1);
  };
  EXPECT_EXIT(twice(), testing::ExitedWithCode(0), "^baton: This host refuses executable memory[^\n]*\n$");
}

TEST(WithoutExecutableMemory, TheStencilEngineSaysWhatToDo) {
  const auto once = [] {
    refuse_executable_memory();
    try {
      const Side side(EngineOptions{.engine = Engine::kStencil});
    } catch (const std::runtime_error& e) {
      std::fputs(e.what(), stderr);
      std::_Exit(0);
    }
    std::_Exit(1);
  };
  EXPECT_EXIT(once(), testing::ExitedWithCode(0), "choose the interpreter");
}

}  // namespace
}  // namespace baton::cpu
