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

#include "cpu/engine/stencil/table.h"
#include "cpu/semantics/branch.h"
#include "cpu/semantics/priority.h"
#include "cpu/semantics/system.h"

namespace baton::cpu::stencil {

using isa::Id;

namespace {

/// Bytes of hot and cold code of the largest stencil.
u64 largest_stencil() {
  static const u64 largest = [] {
    u64 most = 0;
    for (const Stencil& s : table()) most = std::max<u64>(most, s.hot_size + s.cold_size);
    return most;
  }();
  return largest;
}

struct Variant {
  bool (*applies)(const isa::Operands& o);
  bool within_page;  ///< Only for branches whose target lies in their page.
  const Stencil* stencil;
};
struct Choice {
  const Stencil* general = nullptr;
  std::vector<Variant> variants;
};

/// What there is for each row of the instruction table.
const Choice& choice(Id id) {
  static const std::vector<Choice> choices = [] {
    std::vector<Choice> all(isa::kRows);
    static constexpr const char* kNames[] = {
#define INSN(id, ...) #id,
#include "cpu/isa/instructions.def"
    };
    for (std::size_t i = 0; i < isa::kRows; i++) all[i].general = find(kNames[i]);
    const auto at = [&](Id row) -> Choice& { return all[static_cast<std::size_t>(row)]; };
#define VARIANT(row, suffix, semantics, condition, ...) \
  if (const Stencil* s = find(#row "__" #suffix))       \
    at(Id::row).variants.push_back(                     \
        {[]([[maybe_unused]] const isa::Operands& o) -> bool { return condition; }, false, s});
#define BRANCH(row, suffix, condition, taken, link) \
  if (const Stencil* s = find(#row "__" #suffix))   \
    at(Id::row).variants.push_back(                 \
        {[]([[maybe_unused]] const isa::Operands& o) -> bool { return condition; }, true, s});
#define FUSED(...)
#include "cpu/engine/stencil/variants.def"
    // It leaves the page's translation mode behind before it says where it goes.
    at(Id::sc) = {};
    return all;
  }();
  return choices[static_cast<std::size_t>(id)];
}

/// A compare and the bc behind it.
struct Pair {
  Id compare;
  u8 width_shift, bit;
  sem::BranchKind kind;
  const Stencil* stencil;
};
const Stencil* fused(const Decoded& compare, const Decoded& branch) {
  static const std::vector<Pair> pairs = [] {
    std::vector<Pair> all;
#define VARIANT(...)
#define BRANCH(...)
#define FUSED(row, width, d, bit, value, suffix, truth)                                           \
  all.push_back({Id::row, d, value, truth ? sem::BranchKind::kIfTrue : sem::BranchKind::kIfFalse, \
                 find(#row "__" #width "_" #bit "_" #suffix)});
#include "cpu/engine/stencil/variants.def"
    return all;
  }();
  if (!compare.row || !branch.row || branch.row->id != Id::bc) return nullptr;
  if (branch.operands.c != compare.operands.a) return nullptr;
  for (const Pair& pair : pairs)
    if (pair.compare == compare.row->id && pair.width_shift == compare.operands.d &&
        pair.bit == branch.operands.d && pair.kind == sem::branch_kind(branch.operands.a))
      return pair.stencil;
  return nullptr;
}

bool direct_branch(Id id) { return id == Id::b || id == Id::bl || id == Id::bc || id == Id::bcl; }

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

namespace {

/// The Op that a direct branch at Op `index` goes to, or -1 if it leaves the page.
i32 target_in_page(const Decoded& branch, u64 index) {
  if (!branch.row || !direct_branch(branch.row->id)) return -1;
  const i64 target = static_cast<i64>(index) + branch.operands.imm / 4;
  return target >= 0 && target < static_cast<i64>(kOpsPerPage) ? static_cast<i32>(target) : -1;
}

const Stencil* stencil_for(const Decoded& instruction, bool within_page) {
  if (!instruction.row) return nullptr;
  const Choice& there_is = choice(instruction.row->id);
  for (const Variant& variant : there_is.variants)
    if ((within_page || !variant.within_page) && variant.applies(instruction.operands))
      return variant.stencil;
  return there_is.general;
}

}  // namespace

void CodeCache::compile(OpPage& page, u64 first, std::span<const Decoded> instructions) {
  static const Stencil* const leave = find("go_on");
  u64 run = first;  // where the current one begins
  const auto end_run = [&](u64 next) {
    if (run == next) return;
    place(*leave, {.operands = {}, .index = 0, .target = static_cast<i32>(next)});
    page.code->add_run(run, next - 1);
  };
  const u64 end = first + instructions.size();
  for (u64 index = first; index < end; index++) {
    const Decoded& instruction = instructions[index - first];
    const auto entry = reinterpret_cast<Handler>(mapping_.executable + hot_);
    if (index + 1 < end) {
      const Decoded& following = instructions[index + 1 - first];
      const i32 target = target_in_page(following, index + 1);
      const Stencil* both = target >= 0 ? fused(instruction, following) : nullptr;
      if (both) {
        // Who branches to the second one finds the interpreter's handler there.
        place(*both,
              {.operands = instruction.operands, .index = static_cast<i32>(index + 1), .target = target});
        page.ops[index].fn.store(entry, std::memory_order_relaxed);
        index++;
        continue;
      }
    }
    const i32 target = target_in_page(instruction, index);
    const Stencil* stencil = stencil_for(instruction, target >= 0);
    if (stencil) {
      place(*stencil, {.operands = instruction.operands, .index = static_cast<i32>(index), .target = target});
      page.ops[index].fn.store(entry, std::memory_order_relaxed);
    }
    if (!stencil || synchronises(instruction.row->id)) {
      end_run(stencil ? index + 1 : index);
      run = index + 1;
    }
  }
  end_run(end);
}

}  // namespace baton::cpu::stencil
