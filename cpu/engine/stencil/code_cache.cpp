// SPDX-License-Identifier: Apache-2.0
#include "cpu/engine/stencil/code_cache.h"

#include <linux/membarrier.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <stdexcept>
#include <string>

#include "cpu/engine/stencil/direct.h"
#include "cpu/engine/stencil/table.h"
#include "cpu/semantics/branch.h"
#include "cpu/semantics/priority.h"
#include "cpu/semantics/system.h"

namespace baton::cpu::stencil {

using isa::Id;

namespace {

/// Bytes of hot and cold code of the largest stencil, or of what is written in its place.
u64 largest_stencil() {
  static const u64 largest = [] {
    u64 most = DirectCode::kLargest;
    for (const Stencil& s : table()) most = std::max<u64>(most, s.hot_size + s.cold_size);
    return most;
  }();
  return largest;
}

/// A stencil of an instruction, and that for a branch whose target lies in its run.
struct Stencils {
  explicit Stencils(const std::string& name)
      : usual(find(name.c_str())), inside(find((name + "__inside").c_str())) {}
  const Stencil* usual;
  const Stencil* inside;
};

struct Variant {
  bool (*applies)(const isa::Operands& o);
  bool within_page;  ///< Only for branches whose target lies in their page.
  char from;         ///< The field whose register is forwarded, or 0.
  Stencils stencils;
};

/// What there is for a row of the instruction table.
struct Choice {
  const Stencil* general = nullptr;
  std::vector<Variant> variants;
  char result = 0;     ///< The field that numbers the register written.
  bool keeps = false;  ///< No register is written.
};

const Choice& choice(Id id) {
  static const std::vector<Choice> choices = [] {
    std::vector<Choice> all(isa::kRows);
    static constexpr const char* kNames[] = {
#define INSN(id, ...) #id,
#include "cpu/isa/instructions.def"
    };
    for (std::size_t i = 0; i < isa::kRows; i++) {
      all[i].general = find(kNames[i]);
      all[i].keeps = std::string_view(isa::table()[i].operands).find("GPR") == std::string_view::npos;
    }
    const auto add = [&](Id row, bool (*applies)(const isa::Operands&), bool within_page, char from,
                         const std::string& name) {
      const Stencils stencils(name);
      if (stencils.usual)
        all[static_cast<std::size_t>(row)].variants.push_back({applies, within_page, from, stencils});
    };
#define RESULT(row, field) all[static_cast<std::size_t>(Id::row)].result = #field[0];
#define KEEPS(row) all[static_cast<std::size_t>(Id::row)].keeps = true;
#define FORWARD(row, field, suffix, condition, ...)                                                         \
  add(                                                                                                      \
      Id::row, []([[maybe_unused]] const isa::Operands& o) -> bool { return condition; }, false, #field[0], \
      #row "__" #field #suffix);
#include "cpu/engine/stencil/forwards.def"
#define VARIANT(row, suffix, semantics, condition, ...)                                             \
  add(                                                                                              \
      Id::row, []([[maybe_unused]] const isa::Operands& o) -> bool { return condition; }, false, 0, \
      #row "__" #suffix);
#define BRANCH(row, suffix, condition, taken, link)                                                \
  add(                                                                                             \
      Id::row, []([[maybe_unused]] const isa::Operands& o) -> bool { return condition; }, true, 0, \
      #row "__" #suffix);
#define FUSED(...)
#include "cpu/engine/stencil/variants.def"
    // It leaves the page's translation mode behind before it says where it goes.
    all[static_cast<std::size_t>(Id::sc)] = {};
    return all;
  }();
  return choices[static_cast<std::size_t>(id)];
}

/// A compare and the bc behind it.
struct Pair {
  Id compare;
  u8 width_shift, bit;
  sem::BranchKind kind;
  Stencils usual, from_b;  ///< `from_b`: what field b numbers is forwarded.
};
const Pair* fused(const Decoded& compare, const Decoded& branch) {
  static const std::vector<Pair> pairs = [] {
    std::vector<Pair> all;
#define VARIANT(...)
#define BRANCH(...)
#define FUSED(row, width, d, bit, value, suffix, truth)                                           \
  all.push_back({Id::row, d, value, truth ? sem::BranchKind::kIfTrue : sem::BranchKind::kIfFalse, \
                 Stencils(#row "__" #width "_" #bit "_" #suffix),                                 \
                 Stencils(#row "__" #width "_" #bit "_" #suffix "__b")});
#include "cpu/engine/stencil/variants.def"
    return all;
  }();
  if (!compare.row || !branch.row || branch.row->id != Id::bc) return nullptr;
  if (branch.operands.c != compare.operands.a) return nullptr;
  for (const Pair& pair : pairs)
    if (pair.compare == compare.row->id && pair.width_shift == compare.operands.d &&
        pair.bit == branch.operands.d && pair.kind == sem::branch_kind(branch.operands.a))
      return &pair;
  return nullptr;
}

bool direct_branch(Id id) { return id == Id::b || id == Id::bl || id == Id::bc || id == Id::bcl; }

bool links(Id id) {
  return id == Id::bl || id == Id::bla || id == Id::bcl || id == Id::bcla || id == Id::bclrl ||
         id == Id::bcctrl;
}

/// After these, code that was written before them must be what is executed.
bool synchronises(Id id) { return id == Id::isync || id == Id::icbi; }

}  // namespace

bool ends_run(const Decoded& instruction) {
  if (!instruction.row) return true;
  switch (instruction.row->id) {
    case Id::b:
    case Id::ba:
    case Id::rfid:
      return true;
    case Id::bclr:
    case Id::bcctr:
      return sem::branch_kind(instruction.operands.a) == sem::BranchKind::kAlways;
    default:
      return false;
  }
}

/// What holes.def speaks of.
struct CodeCache::Filling {
  isa::Operands operands;
  i32 index;
  i32 target;
};

CodeRoom& PageCode::room() {
  // Pages are freed up to the very end of the process.
  static CodeRoom& room = *new CodeRoom(sizeof(PageCode));
  return room;
}

CodeCache::Mapping::Mapping(u64 bytes) : size(bytes) {
  const int file = memfd_create("baton-code", MFD_CLOEXEC);
  if (file < 0) throw std::bad_alloc();
  const auto map = [&](int protection) -> u8* {
    void* at = mmap(nullptr, size, protection, MAP_SHARED | MAP_NORESERVE, file, 0);
    return at == MAP_FAILED ? nullptr : static_cast<u8*>(at);
  };
  if (ftruncate(file, static_cast<off_t>(size)) == 0) {
    writable = map(PROT_READ | PROT_WRITE);
    if (writable) executable = map(PROT_READ | PROT_EXEC);
  }
  const int error = errno;
  close(file);
  if (executable) return;
  if (writable) munmap(writable, size);
  if (writable && error != ENOMEM)
    throw std::runtime_error(
        "This host refuses executable memory, which the stencil engine needs; choose the interpreter "
        "(engine = \"interpreter\", or --engine interpreter).");
  throw std::bad_alloc();
}

CodeCache::Mapping::~Mapping() {
  munmap(writable, size);
  munmap(executable, size);
}

bool CodeCache::allowed() {
  try {
    const Mapping trial(4096);
    return true;
  } catch (const std::runtime_error&) {
    return false;
  } catch (const std::bad_alloc&) {
    return true;  // The cache itself says so.
  }
}

CodeCache::CodeCache(u64 bytes) : mapping_(bytes) {
  syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);

  // Thunks: jmp *0(%rip), and the address.
  constexpr u64 kThunk = 16;
  u64 at = 0;
  for (const void* native : natives()) {
    put(at, 0x25FF, 6);
    put(at + 6, reinterpret_cast<u64>(native), 8);
    at += kThunk;
  }
  for (const PoolItem& item : pool()) {
    at = (at + 31) & ~u64{31};
    pool_.push_back(at);
    std::copy_n(item.code.bytes, item.code.hot_size, mapping_.writable + at);
    at += item.code.hot_size;
  }
  for (std::size_t i = 0; i < pool_.size(); i++) {
    const Stencil& code = pool()[i].code;
    for (const Relocation& r : std::span(code.relocations, code.relocation_count)) {
      const u64 target = r.fill == Fill::kNative ? r.index * kThunk
                         : r.fill == Fill::kPool ? pool_[r.index]
                                                 : pool_[i];
      put(pool_[i] + r.at, target + static_cast<u64>(i64{r.addend}) - (pool_[i] + r.at), 4);
    }
  }
  shared_ = DirectCode::share(mapping_.writable, at);
  base_ = (at + 63) & ~u64{63};
  hot_ = base_;
  cold_ = mapping_.size;
  claim_code(Place::kStencils, mapping_.executable, mapping_.size);
}

CodeCache::~CodeCache() { release_code(mapping_.executable); }

void CodeCache::put(u64 at, u64 value, unsigned size) { std::memcpy(mapping_.writable + at, &value, size); }

bool CodeCache::has_room(u64 instructions) const {
  // Each may be followed by a stencil that goes on elsewhere.
  return cold_ - hot_ > 2 * instructions * largest_stencil();
}

void CodeCache::clear() {
  hot_ = base_;
  cold_ = mapping_.size;
  // What was executed here must not be executed again out of a pipeline or a cache of decoded instructions.
  syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
}

void CodeCache::prepare() {
  constexpr u64 kFirst = 512 << 10;  // Of hot parts, and of cold ones, which begin at the end.
  const u64 page = kFrameSize - 1, length = std::min(kFirst, mapping_.size / 2);
  for (const u64 at : {hot_ & ~page, (cold_ - length) & ~page}) {
    madvise(mapping_.writable + at, length, MADV_POPULATE_WRITE);
    madvise(mapping_.executable + at, length, MADV_POPULATE_READ);
  }
}

u64 CodeCache::bytes_used() const { return mapping_.size - (cold_ - hot_); }

void CodeCache::place(const Stencil& stencil, const Filling& in) {
  cold_ -= stencil.cold_size;
  const u64 hot = hot_, cold = cold_;
  std::memcpy(mapping_.writable + hot, stencil.bytes, stencil.hot_size);
  std::memcpy(mapping_.writable + cold, stencil.bytes + stencil.hot_size, stencil.cold_size);
  hot_ += stencil.hot_size;
  const i32 holes[] = {
#define HOLE(name, alignment, value) value,
#include "cpu/engine/stencil/holes.def"
  };
  for (const Relocation& r : std::span(stencil.relocations, stencil.relocation_count)) {
    const u64 place = r.at < stencil.hot_size ? hot + r.at : cold + r.at - stencil.hot_size;
    u64 value = 0;
    switch (r.fill) {
      case Fill::kHole:
        value = static_cast<u64>(i64{holes[r.index]});
        break;
      case Fill::kNext:
        value = hot_ - place;
        break;
      case Fill::kTarget:
        targets_.push_back({place, in.target});
        continue;
      case Fill::kNative:
        value = u64{r.index} * 16 - place;
        break;
      case Fill::kHot:
        value = hot - place;
        break;
      case Fill::kCold:
        value = cold - place;
        break;
      case Fill::kPool:
        value = pool_[r.index] - place;
        break;
    }
    put(place, value + static_cast<u64>(i64{r.addend}), 4);
  }
}

u64 CodeCache::place_entry(u64 to, u8 forwarded) {
  static const Stencil* const enter = find("enter");
  cold_ -= enter->hot_size;
  std::memcpy(mapping_.writable + cold_, enter->bytes, enter->hot_size);
  for (const Relocation& r : std::span(enter->relocations, enter->relocation_count)) {
    const u64 place = cold_ + r.at, value = r.fill == Fill::kTarget ? to - place : u64{8} * forwarded;
    put(place, value + static_cast<u64>(i64{r.addend}), 4);
  }
  return cold_;
}

i32 target_in_page(const Decoded& branch, u64 index) {
  if (!branch.row || !direct_branch(branch.row->id)) return -1;
  const i64 target = static_cast<i64>(index) + branch.operands.imm / 4;
  return target >= 0 && target < static_cast<i64>(kOpsPerPage) ? static_cast<i32>(target) : -1;
}

namespace {

/// The register that a field of an instruction numbers.
u8 reg(const isa::Operands& o, char field) { return field == 'a' ? o.a : field == 'b' ? o.b : o.c; }

constexpr u8 kNone = 0xFF;

/// An `or` that has no result; only its own variant does what it says.
bool is_priority_nop(const Decoded& instruction) {
  const isa::Operands& o = instruction.operands;
  return instruction.row->id == Id::or_op && sem::is_priority_nop(o.a, o.b, o.c);
}

struct Chosen {
  const Stencil* stencil = nullptr;
  bool forwards = false;
};
/// `forwarded`: the register that is at hand, or kNone.
Chosen stencil_for(const Decoded& instruction, bool within_page, bool inside, u8 forwarded) {
  if (!instruction.row) return {};
  const isa::Operands& o = instruction.operands;
  const Choice& there_is = choice(instruction.row->id);
  for (const Variant& variant : there_is.variants) {
    if (variant.within_page && !within_page) continue;
    if (variant.from && (forwarded == kNone || reg(o, variant.from) != forwarded)) continue;
    if (variant.from && is_priority_nop(instruction)) continue;
    if (!variant.applies(o)) continue;
    const Stencils& stencils = variant.stencils;
    return {inside && stencils.inside ? stencils.inside : stencils.usual, variant.from != 0};
  }
  return {there_is.general, false};
}

/// What is at hand behind an instruction.
u8 forwarded_by(const Decoded& instruction, u8 forwarded) {
  const Choice& row = choice(instruction.row->id);
  if (is_priority_nop(instruction)) return kNone;
  if (row.result) return reg(instruction.operands, row.result);
  return row.keeps ? forwarded : kNone;
}

}  // namespace

/// What is known of a block before it is compiled.
struct CodeCache::Block {
  Block(u64 first_op, std::span<const Decoded> all)
      : first(first_op), instructions(all), run(all.size()), leads(all.size()), last_back(all.size()) {
    u32 runs = 0;
    for (std::size_t i = 0; i < all.size(); i++) {
      const Decoded& instruction = all[i];
      const i32 target = target_in_page(instruction, first + i);
      const bool compiled = stencil_for(instruction, target >= 0, false, kNone).stencil;
      if (!compiled) runs++;
      run[i] = runs;
      if (!compiled || synchronises(instruction.row->id)) runs++;
      if (contains(target)) {
        const u64 to = static_cast<u64>(target) - first;
        leads[to] = true;
        if (to <= i) last_back[to] = i + 1;
      }
      if (i + 1 < all.size() && (ends_run(instruction) || links(instruction.row->id))) leads[i + 1] = true;
    }
  }
  bool contains(i32 op) const {
    return op >= static_cast<i64>(first) && static_cast<u64>(op) < first + instructions.size();
  }
  /// True if the branch at `index` goes to an instruction of its own run.
  bool inside(u64 index, i32 target) const {
    return contains(target) && run[index - first] == run[static_cast<u64>(target) - first];
  }

  /// The instruction in front of the i-th goes on there.
  bool falls_into(u64 i) const {
    return i != 0 && !ends_run(instructions[i - 1]) && !links(instructions[i - 1].row->id);
  }
  /// From the i-th instruction on, up to the last that branches back to it.
  std::span<const Decoded> loop(u64 i) const {
    return last_back[i] > i ? instructions.subspan(i, last_back[i] - i) : std::span<const Decoded>();
  }
  /// From the i-th instruction on, those in front of the next that control may come to from elsewhere.
  std::span<const Decoded> straight(u64 i) const {
    const auto next = std::find(leads.begin() + static_cast<std::ptrdiff_t>(i) + 1, leads.end(), true);
    return instructions.subspan(i, static_cast<u64>(next - leads.begin()) - i);
  }

  u64 first;
  std::span<const Decoded> instructions;
  std::vector<u32> run;        ///< Which run each belongs to.
  std::vector<bool> leads;     ///< Control may come to it from elsewhere.
  std::vector<u64> last_back;  ///< Behind the last branch back to it; 0: there is none.
};

void CodeCache::compile(OpPage& page, u64 first, std::span<const Decoded> instructions) {
  static const Stencil* const leave = find("go_on");
  const Block block(first, instructions);
  std::vector<u64> entries(instructions.size());  // Offsets of where copies jump to; 0: none.
  u64 run = first;                                // where the current one begins
  u8 forwarded = kNone;
  // Little-endian code looks for no translation of data.
  DirectCode direct(mapping_.writable, hot_, cold_, shared_, first, instructions.size(), page.narrow);
  const auto end_run = [&](u64 next) {
    direct.settle();
    forwarded = kNone;
    if (run == next) return;
    place(*leave, {.operands = {}, .index = 0, .target = static_cast<i32>(next)});
    page.code->add_run(run, next - 1);
  };
  const auto enter_at = [&](u64 index, u64 offset) {
    page.ops[index].fn.store(reinterpret_cast<Handler>(mapping_.executable + offset),
                             std::memory_order_relaxed);
  };
  targets_.clear();
  const u64 end = first + instructions.size();
  for (u64 index = first; index < end; index++) {
    const u64 i = index - first;
    const Decoded& instruction = instructions[i];
    if (block.leads[i]) {
      direct.arrive(static_cast<i32>(index), block.falls_into(i), block.loop(i));
      forwarded = kNone;
    }
    if (!page.little) {
      const i32 target = target_in_page(instruction, index);
      if (forwarded != kNone) direct.adopt(forwarded);
      const DirectCode::Written written =
          direct.write(block.straight(i), {static_cast<i32>(index), target, block.inside(index, target)});
      if (written.at_all) {
        forwarded = kNone;
        if (written.entry != 0) {
          entries[i] = written.entry;
          enter_at(index, written.entry);
        }
        continue;
      }
      direct.settle();
    }
    const u64 entry = hot_;
    if (index + 1 < end && !block.leads[i + 1]) {
      const i32 target = target_in_page(instructions[i + 1], index + 1);
      const Pair* both = target >= 0 ? fused(instruction, instructions[i + 1]) : nullptr;
      if (both) {
        const bool forwards = forwarded != kNone && instruction.operands.b == forwarded;
        const Stencils& stencils = forwards ? both->from_b : both->usual;
        // Who branches to the second one finds the interpreter's handler there.
        place(block.inside(index, target) ? *stencils.inside : *stencils.usual,
              {.operands = instruction.operands, .index = static_cast<i32>(index + 1), .target = target});
        entries[i] = entry;
        enter_at(index, forwarded != kNone ? place_entry(entry, forwarded) : entry);
        index++;
        continue;
      }
    }
    const i32 target = target_in_page(instruction, index);
    const Chosen chosen = stencil_for(instruction, target >= 0, block.inside(index, target), forwarded);
    if (chosen.stencil) {
      place(*chosen.stencil,
            {.operands = instruction.operands, .index = static_cast<i32>(index), .target = target});
      entries[i] = entry;
      const u8 following = forwarded_by(instruction, forwarded);
      // One that hands on what it found needs it as well as one that takes it.
      const bool needed = forwarded != kNone && (chosen.forwards || following == forwarded);
      enter_at(index, needed ? place_entry(entry, forwarded) : entry);
      forwarded = following;
    }
    if (!chosen.stencil || synchronises(instruction.row->id)) {
      end_run(chosen.stencil ? index + 1 : index);
      run = index + 1;
    }
  }
  end_run(end);
  direct.finish();
  for (const auto& [at, target] : targets_) put(at, entries[static_cast<u64>(target) - first] - at - 4, 4);
}

}  // namespace baton::cpu::stencil
