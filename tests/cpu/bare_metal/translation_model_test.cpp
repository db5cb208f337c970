// SPDX-License-Identifier: Apache-2.0
// Random histories: SLB and page table are changed, the same few pages are accessed again and again, and
// every outcome is compared with a model that has no caches at all.
#include <map>
#include <random>
#include <set>

#include "tests/cpu/bare_metal/machine.h"

namespace baton::bare_metal {
namespace {

constexpr u64 kReal = msr::SF | msr::ME;
constexpr u64 kReferenced = 0x100, kChanged = 0x80;
constexpr u32 kNoTranslation = 0x40000000, kNoExecute = 0x10000000, kProtected = 0x08000000,
              kStored = 0x02000000, kKeyed = 0x00200000;

/// POWER6's address translation, written down straight from the reference sheet (POWER6-ISA 7).
class Model {
 public:
  struct Outcome {
    Vector vector = Vector::kNone;
    u32 cause = 0;
    u64 ra = 0, ptex = 0;
  };

  explicit Model(u64 groups) : groups_(groups) {}

  std::array<std::pair<u64, u64>, 64> slb{};  ///< RB and RS of slbmte.
  std::map<u64, cpu::Hpte> table;             ///< By PTEX.
  u64 amr = 0;

  Outcome translate(u64 ea, Access access, u64 msr) const {
    const bool fetch = access == Access::kFetch, store = access == Access::kStore;
    const auto segment = std::find_if(slb.begin(), slb.end(), [&](const auto& e) {
      const u64 mask = e.second >> 62 == 1 ? 0xFFFFFF0000000000 : 0xFFFFFFFFF0000000;
      return (e.first & kEsidValid) && (e.first & mask) == (ea & mask);
    });
    if (segment == slb.end()) return {fetch ? Vector::kInstructionSegment : Vector::kDataSegment, 0};
    const auto storage = [&](u32 cause) {
      return Outcome{fetch ? Vector::kInstructionStorage : Vector::kDataStorage,
                     cause | (store ? kStored : 0)};
    };
    const u64 rs = segment->second;
    if (fetch && (rs & 0x200)) return storage(kNoExecute);
    const bool terabyte = rs >> 62 == 1;
    const u64 vsid = (rs & 0x3FFFFFFFFFFFF000) >> (terabyte ? 24 : 12);
    const u64 offset = ea & (terabyte ? 0xFFFFFFFFFF : 0xFFFFFFF);
    const u64 llp = rs & 0x130;
    if (llp != 0x000 && llp != 0x110 && llp != 0x100) return storage(kNoTranslation);
    const unsigned base = llp == 0x000 ? 12 : llp == 0x110 ? 16 : 24;
    u64 hash = vsid ^ offset >> base;
    if (terabyte) hash ^= vsid << 25;
    for (int secondary = 0; secondary < 2; secondary++) {
      const u64 group = (secondary ? ~hash : hash) & (groups_ - 1);
      for (u64 ptex = group * 8; ptex < group * 8 + 8; ptex++) {
        const auto found = table.find(ptex);
        if (found == table.end()) continue;
        const auto [v, r] = found->second;
        if (!(v & 1) || static_cast<int>(v >> 1 & 1) != secondary || v >> 62 != (terabyte ? 1u : 0u))
          continue;
        u64 tag = (v & 0x3FFFFFFFFFFFFF80) >> 7, wanted = vsid << (terabyte ? 17 : 5) | offset >> 23;
        if (base == 24) tag &= ~u64{1}, wanted &= ~u64{1};
        if (tag != (wanted & 0x7FFFFFFFFFFFFF)) continue;
        unsigned shift = 12;
        if (v & 4) {
          if (base == 12 && (r >> 12 & 15) == 7)
            shift = 16;
          else if (base == 16 && (r >> 12 & 15) == 1)
            shift = 16;
          else if (base == 24 && (r >> 12 & 255) == 0)
            shift = 24;
          else
            continue;
        } else if (base != 12) {
          continue;
        }
        if (fetch && (r & 0xC)) return storage(kNoExecute);
        const bool key = rs & (msr & msr::PR ? 0x400 : 0x800);
        const unsigned pp = static_cast<unsigned>(r >> 63 << 2 | (r & 3));
        const bool read = pp == 0 || pp == 6 ? !key : pp < 4;
        const bool write = pp == 0 || pp == 1 ? !key : pp == 2;
        if (store ? !write : !read) return storage(kProtected);
        const unsigned k = static_cast<unsigned>((r >> 60 & 3) << 3 | (r >> 9 & 7));
        if (!fetch && (amr >> (62 - 2 * k) & (store ? 2 : 1))) return storage(kKeyed);
        Outcome outcome{.ptex = ptex};
        outcome.ra = (r & 0x0FFFFFFFFFFFF000) >> shift << shift | (ea & ((u64{1} << shift) - 1));
        return outcome;
      }
    }
    return storage(kNoTranslation);
  }

 private:
  u64 groups_;
};

class Histories : public testing::TestWithParam<unsigned> {
 protected:
  Machine m{1, u64{64} << 20, 18};
  Model model{m.hpt().groups()};
  std::mt19937_64 dice{GetParam()};
  cpu::State& s = m.state();
  std::vector<Segment> segments;
  std::map<u64, u64> written;                ///< Doublewords that differ from the first filling, by address.
  std::set<u64> own;                         ///< PTEX of the code's pages.
  std::vector<std::pair<u64, u64>> entered;  ///< PTEX and effective address.
  std::map<Vector, u64> outcomes;

  u64 below(u64 n) { return dice() % n; }

  void SetUp() override {
    // Every doubleword holds its own address, whose upper word is no instruction.
    for (u64 ra = Machine::kData; ra < m.memory().size(); ra += 8) store_be<u64>(m.memory().host(ra), ra);
    m.memory().written(Machine::kData, m.memory().size() - Machine::kData);
    restore_code();
    for (unsigned i = 0; i < 10; i++) {
      Segment g;
      g.terabyte = i % 3 == 2;
      g.ea = g.terabyte ? u64{i + 1} << 40 : u64{i + 8} << 28;  // not where the code is
      g.vsid = 0x1000 + below(8) * 0x111;                       // some share
      g.llp = i % 4 == 1 ? k64K : i == 6 ? k16M : k4K;
      g.protection = (below(2) ? kKs : 0) | (below(2) ? kKp : 0) | (below(5) == 0 ? kSegmentNoExecute : 0);
      segments.push_back(g);
    }
  }
  void restore_code() {
    m.map_code();
    const Segment code{.ea = Machine::kCode, .vsid = 0xC0DE, .index = 63};
    model.slb[63] = {code.rb(), code.rs()};
    for (u64 ra = 0; ra < Machine::kData; ra += 4096) {
      const Page page{.ea = Machine::kCode + ra, .ra = ra, .slot = 7};
      own.insert(m.ptex(code, page));
      model.table[m.ptex(code, page)] = Machine::entry(code, page);
    }
  }

  u64 random_ea() {
    if (!entered.empty() && below(4)) return entered[below(entered.size())].second + below(512) * 8;
    const Segment& g = segments[below(segments.size())];
    // Few pages, some of which meet in look-asides; a page of each size.
    static constexpr u64 kPages[] = {0,       0x1000,    0x2000,    0xF000,     0x10000,
                                     0x1F000, 0x40'0000, 0x40'1000, 0x100'0000, 0x180'0000};
    return g.ea + kPages[below(std::size(kPages))] + below(512) * 8;
  }

  // -- changes

  void set_segment() {
    Segment g = segments[below(segments.size())];
    if (below(4) == 0) g.vsid = 0x1000 + below(8) * 0x111;
    g.index = static_cast<unsigned>(below(12));
    u64 rb = g.rb();
    if (below(10) == 0) rb &= ~kEsidValid;
    // Two entries for one address are a machine check on real processors.
    for (unsigned i = 0; i < 63; i++) {
      const u64 mask =
          (model.slb[i].second >> 62 == 1 || g.terabyte) ? 0xFFFFFF0000000000 : 0xFFFFFFFFF0000000;
      if (i != g.index && (model.slb[i].first & kEsidValid) && (model.slb[i].first & mask) == (rb & mask))
        return;
    }
    m.gpr(4) = rb;
    m.gpr(5) = g.rs();
    EXPECT_TRUE(completed(m.run("do_slbmte", kReal)));
    model.slb[g.index] = {rb, g.rs()};
  }
  void drop_segment() {
    const Segment& g = segments[below(segments.size())];
    m.gpr(4) = (g.ea & ~g.size_mask()) | (g.terabyte ? 0x02000000 : 0);
    EXPECT_TRUE(completed(m.run("do_slbie", kReal)));
    for (auto& [rb, rs] : model.slb) {
      const u64 mask = g.terabyte ? 0xFFFFFF0000000000 : 0xFFFFFFFFF0000000;
      if ((rs >> 62 == 1) == g.terabyte && (rb & mask) == (g.ea & mask)) rb &= ~kEsidValid;
    }
  }
  void drop_all_segments() {
    EXPECT_TRUE(completed(m.run("do_slbia", kReal)));
    for (unsigned i = 1; i < 64; i++) model.slb[i].first &= ~kEsidValid;
    restore_code();
  }
  void enter() {
    const Segment& g = segments[below(segments.size())];
    Page page;
    page.ea = random_ea() & g.size_mask();
    page.ea |= g.ea & ~g.size_mask();
    page.shift = g.llp == k4K && below(4) == 0 ? 16 : 0;
    page.ra = g.llp == k16M ? (1 + below(3)) << 24 : Machine::kData + below(64) * 4096 + 0x10'0000;
    page.secondary = below(3) == 0;
    page.slot = static_cast<unsigned>(below(7));
    page.rights = (below(2) ? 2 : below(4)) | (below(8) == 0 ? u64{1} << 63 : 0) | (below(8) == 0 ? 4 : 0) |
                  (below(16) == 0 ? 8 : 0) | (below(6) == 0 ? below(8) << 9 | below(4) << 60 : 0);
    const u64 ptex = m.ptex(g, page);
    if (own.contains(ptex) || (model.table.contains(ptex) && (model.table[ptex].v & 1))) return;
    cpu::Hpte entry = Machine::entry(g, page);
    // Now and then one that fits nowhere.
    if (below(12) == 0) entry.v ^= u64{1} << (7 + below(40));
    if (below(12) == 0) entry.v ^= 4;
    if ((entry.r & 0x0FFFFFFFFFFFF000) >= m.memory().size()) return;
    // Two entries for one virtual page are an error of software.
    const auto primary = [&](u64 at, u64 v) {
      return (v & 2 ? ~(at >> 3) : at >> 3) & (m.hpt().groups() - 1);
    };
    for (const auto& [at, other] : model.table)
      if (!((other.v ^ entry.v) & 0xFFFFFFFFFFFFFF00) && primary(at, other.v) == primary(ptex, entry.v))
        return;
    m.hpt().set(ptex, entry);
    model.table[ptex] = entry;
    entered.emplace_back(ptex, page.ea & ~u64{0xFFF});
  }
  void remove() {
    if (entered.empty()) return;
    const u64 at = below(entered.size()), ptex = entered[at].first;
    entered.erase(entered.begin() + static_cast<long>(at));
    EXPECT_EQ(m.unmap(ptex), model.table[ptex].r);
    model.table.erase(ptex);
  }
  void change() {
    if (entered.empty()) return;
    const u64 ptex = entered[below(entered.size())].first;
    const cpu::Hpte old = m.hpt().get(ptex);
    const u64 clear = below(2) ? kReferenced | kChanged : u64{1} << 63 | 7, set = clear & 7 ? below(4) : 0;
    m.hpt().change_r(ptex, clear, set);
    m.domain().forget_translation(ptex, old);
    model.table[ptex].r = (model.table[ptex].r & ~clear) | set;
  }
  void keys() {
    m.store32(m.at("spr_slot"), 0x7C9D03A6);  // mtspr 29,r4
    m.gpr(4) = model.amr = below(2) ? 0 : dice() & dice();
    EXPECT_TRUE(completed(m.run("spr_slot", kReal)));
  }

  // -- accesses

  void access() {
    const u64 ea = random_ea();
    const auto kind = static_cast<Access>(below(3));
    const bool problem = below(2);
    const u64 msr = kReal | msr::IR | msr::DR | (problem ? msr::PR | msr::EE : 0);
    const char* snippet = kind == Access::kLoad ? "do_ld" : kind == Access::kStore ? "do_std" : "do_branch";
    const u64 value = dice() & 0xFFFFFFFF;
    m.gpr(4) = ea;
    m.gpr(5) = value;
    const Stop stop = m.run(snippet, msr);
    const Model::Outcome expected = model.translate(ea, kind, msr);
    outcomes[expected.vector]++;
    SCOPED_TRACE(testing::Message() << snippet << " " << std::hex << ea
                                    << (problem ? " problem" : " supervisor"));
    if (expected.vector != Vector::kNone) {
      if (kind == Access::kFetch)
        EXPECT_TRUE(interrupted(m, stop, expected.vector, {.srr0 = ea, .cause = expected.cause}));
      else
        EXPECT_TRUE(
            interrupted(m, stop, expected.vector,
                        {.srr0 = m.at(snippet) + Machine::kCode, .dar = ea, .dsisr = expected.cause}));
      return;
    }
    cpu::Hpte& entry = model.table[expected.ptex];
    entry.r |= kReferenced | (kind == Access::kStore ? kChanged : 0);
    EXPECT_EQ(m.hpt().get(expected.ptex).r, entry.r);
    if (kind == Access::kFetch) {
      EXPECT_TRUE(interrupted(m, stop, Vector::kProgram, {.srr0 = ea, .cause = 0x00080000}));
      return;
    }
    EXPECT_TRUE(completed(stop));
    if (kind == Access::kStore) {
      written[expected.ra] = value;
      EXPECT_EQ(m.load(expected.ra), value);
    } else {
      const auto found = written.find(expected.ra);
      EXPECT_EQ(m.gpr(5), found == written.end() ? expected.ra : found->second);
    }
  }
};

TEST_P(Histories, AgreeWithTheModel) {
  for (Rounds rounds(100'000, 2500); rounds.next();) {
    switch (below(24)) {
      case 0:
        set_segment();
        break;
      case 1:
        if (below(3) == 0) drop_segment();
        break;
      case 2:
        if (below(20) == 0) drop_all_segments();
        break;
      case 3:
      case 4:
        enter();
        break;
      case 5:
        remove();
        break;
      case 6:
        change();
        break;
      case 7:
        if (below(8) == 0) keys();
        break;
      case 8:
        if (below(4) == 0) set_segment();
        break;
      default:
        access();
    }
  }
  // Worth something only if there were some of each kind.
  for (Vector kind : {Vector::kNone, Vector::kDataStorage, Vector::kDataSegment, Vector::kInstructionStorage,
                      Vector::kInstructionSegment})
    EXPECT_GT(outcomes[kind], 500u) << static_cast<u32>(kind);
}

INSTANTIATE_TEST_SUITE_P(Seeds, Histories, testing::Range(1u, 7u));

}  // namespace
}  // namespace baton::bare_metal
