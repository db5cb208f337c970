// SPDX-License-Identifier: Apache-2.0
#include "cpu/engine/llvm/regions.h"

#include <linux/membarrier.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <new>

#include "cpu/engine/statistics.h"
#include "cpu/engine/stencil/code_cache.h"
#include "cpu/fpu/fpu.h"
#include "cpu/semantics/branch.h"
#include "cpu/semantics/priority.h"
#include "cpu/semantics/system.h"
#include "cpu/thread.h"

namespace baton::cpu::llvm_engine {

using isa::Id;

// ---- memory

CodeMemory::CodeMemory(u64 bytes) : size_(bytes) {
  file_ = memfd_create("baton-regions", MFD_CLOEXEC);
  if (file_ < 0 || ftruncate(file_, static_cast<off_t>(size_)) != 0) throw std::bad_alloc();
  void* writable = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file_, 0);
  void* executable = mmap(nullptr, size_, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_NORESERVE, file_, 0);
  if (writable == MAP_FAILED || executable == MAP_FAILED) throw std::bad_alloc();
  writable_ = static_cast<u8*>(writable);
  executable_ = static_cast<u8*>(executable);
  frames_ = std::make_unique<CodeFrames>("guest_region", executable_, size_, StateRegister::kR12);
  free_[0] = size_;
  syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
}

CodeMemory::~CodeMemory() {
  munmap(writable_, size_);
  munmap(executable_, size_);
  close(file_);
}

const u8* CodeMemory::put(std::span<const u8> code) {
  const u64 length = (code.size() + 63) & ~u64{63};
  const auto it = std::ranges::find_if(free_, [&](const auto& range) { return range.second >= length; });
  if (it == free_.end()) return nullptr;
  const auto [at, room] = *it;
  free_.erase(it);
  if (room > length) free_[at + length] = room - length;
  used_[at] = length;
  std::ranges::copy(code, writable_ + at);
  // What was executed here must not be executed again out of a pipeline.
  if (reused_) syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
  reused_ = false;
  return executable_ + at;
}

void CodeMemory::free(const u8* code) {
  const auto used = used_.find(static_cast<u64>(code - executable_));
  auto [at, length] = *used;
  used_.erase(used);
  reused_ = true;
  auto next = free_.lower_bound(at);
  if (next != free_.end() && next->first == at + length) {
    length += next->second;
    next = free_.erase(next);
  }
  if (next != free_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second == at) {
      before->second += length;
      return;
    }
  }
  free_[at] = length;
}

// ---- what a region may hold

namespace {

constexpr u64 kMostInstructions = 250;
constexpr u64 kMostEntries = 12;

bool branches(Id id) {
  return id == Id::b || id == Id::bl || id == Id::bc || id == Id::bcl || id == Id::bclr || id == Id::bclrl ||
         id == Id::bcctr || id == Id::bcctrl;
}
bool direct(Id id) { return id == Id::b || id == Id::bl || id == Id::bc || id == Id::bcl; }
bool links(Id id) { return id == Id::bl || id == Id::bcl || id == Id::bclrl || id == Id::bcctrl; }
bool always(Id id, const isa::Operands& o) {
  return id == Id::b || id == Id::bl || (branches(id) && sem::branch_kind(o.a) == sem::BranchKind::kAlways);
}

}  // namespace

bool can_compile(const isa::Row& row, const isa::Operands& o) {
  if (row.privilege != isa::Privilege::User || row.facility == isa::Facility::DFP) return false;
  switch (row.id) {
    case Id::ba:
    case Id::bla:
    case Id::bca:
    case Id::bcla:
    case Id::sc:
    case Id::mftb:
    case Id::attn:
    case Id::isync:
    case Id::icbi:
    // Registers that are computed.
    case Id::lmw:
    case Id::stmw:
    case Id::lswi:
    case Id::lswx:
    case Id::stswi:
    case Id::stswx:
    case Id::lvebx:
    case Id::lvehx:
    case Id::lvewx:
    case Id::stvebx:
    case Id::stvehx:
    case Id::stvewx:
    case Id::lfdp:
    case Id::lfdpx:
    case Id::stfdp:
    case Id::stfdpx:
    // FPSCR's modes are those that the region was entered with.
    case Id::mcrfs:
    case Id::mtfsf:
    case Id::mtfsfi:
    case Id::mtfsb0:
    case Id::mtfsb1:
      return false;
    case Id::or_op:
      return !sem::is_priority_nop(o.a, o.b, o.c);
    case Id::mfspr:
    case Id::mtspr:
      return o.imm == static_cast<i32>(sem::kSprLr) || o.imm == static_cast<i32>(sem::kSprCtr);
    default:
      return true;
  }
}

namespace {

bool computes(const Region& region) {
  return std::ranges::any_of(region.blocks, [](const Block& block) {
    return std::ranges::any_of(block.instructions, [](const Instruction& instruction) {
      return isa::table()[static_cast<u64>(instruction.row)].facility == isa::Facility::FP;
    });
  });
}

/// Of a loop round its entry, a region keeps what leads back to the entry. The rest is colder.
void keep_loop(Region& region, u64 first_index) {
  const auto ea = [&](const Block& block, u64 index) {
    return region.pages[block.page].distance * static_cast<i64>(kFrameSize) + static_cast<i64>(4 * index);
  };
  std::map<i64, std::size_t> at;
  for (std::size_t i = 0; i < region.blocks.size(); i++) at[ea(region.blocks[i], region.blocks[i].index)] = i;
  const auto first = at.find(static_cast<i64>(4 * first_index));
  if (first == at.end()) return;
  std::vector<std::vector<std::size_t>> from(region.blocks.size());
  std::vector<std::size_t> returns, return_points;
  const auto edge = [&](std::size_t source, i64 target) {
    const auto it = at.find(target);
    if (it != at.end()) from[it->second].push_back(source);
    return it != at.end();
  };
  for (std::size_t i = 0; i < region.blocks.size(); i++) {
    const Block& block = region.blocks[i];
    const Instruction& last = block.instructions.back();
    const i64 end = ea(block, block.index + block.instructions.size());
    bool inside = false;
    if (direct(last.row)) inside = edge(i, end - 4 + last.operands.imm);
    if (last.row == Id::bclr) returns.push_back(i);
    for (const i64 target : block.targets) inside |= edge(i, target);
    // The call of a function that the region has goes on where that returns.
    if (links(last.row) && inside) {
      if (const auto it = at.find(end); it != at.end()) return_points.push_back(it->second);
    } else if (!always(last.row, last.operands) || links(last.row)) {
      edge(i, end);
    }
  }
  for (const std::size_t point : return_points)
    from[point].insert(from[point].end(), returns.begin(), returns.end());
  std::vector<bool> kept(region.blocks.size());
  std::vector<std::size_t> work{first->second};
  bool loops = false;
  while (!work.empty()) {
    const std::size_t block = work.back();
    work.pop_back();
    for (const std::size_t source : from[block]) {
      loops |= source == first->second;
      if (!kept[source]) {
        kept[source] = true;
        work.push_back(source);
      }
    }
  }
  if (!loops) return;
  std::size_t i = 0;
  std::erase_if(region.blocks, [&](const Block&) { return !kept[i++]; });
}

}  // namespace

// ---- the regions of a thread

Regions::Regions(Thread& thread, Compiler& compiler, u64 code_bytes)
    : thread_(thread), compiler_(compiler), memory_(code_bytes) {
  compiler_.watch(&thread_);
}

Regions::~Regions() {
  compiler_.unwatch(&thread_);
  for (const auto& hot : live_)
    if (hot->code) release_code(hot->code);
}

void Regions::forget_all() {
  for (const auto& hot : live_)
    if (!hot->dead) hot->die();
  asked_.clear();
  hits_.clear();
  deaths_.clear();
  targets_.clear();
}

void Regions::reclaim() {
  std::erase_if(live_, [&](const std::shared_ptr<Hot>& hot) {
    if (!hot->dead) return false;
    if (hot->code) {
      release_code(hot->code);
      memory_.free(hot->code);
    }
    hot->entries([&](Op& op) {
      asked_.erase(&op);
      u8& deaths = deaths_[&op];
      deaths = std::min<u8>(deaths + 1, kMostDeaths);
    });
    return true;
  });
}

void Regions::install() {
  std::vector<std::shared_ptr<Hot>> finished;
  {
    std::lock_guard lock(inbox_->lock);
    finished.swap(inbox_->finished);
    inbox_->any.store(false, std::memory_order_relaxed);
  }
  std::lock_guard lock(thread_.domain().code_lock());
  in_work_ -= static_cast<u32>(finished.size());
  for (const auto& hot : finished) {
    if (!hot->compiled.error.empty()) hot->die();
    if (hot->dead) continue;
    const u8* code;
    while (!(code = memory_.put(hot->compiled.code))) {
      // The oldest goes.
      const auto oldest =
          std::ranges::find_if(live_, [](const auto& other) { return other->code && !other->dead; });
      if (oldest == live_.end()) break;
      (*oldest)->die();
      reclaim();
    }
    if (!code) continue;
    claim_code(Place::kRegions, code, hot->compiled.code.size());
    if (CodeListener* listener = thread_.domain().engine().listener)
      listener->compiled(code, hot->compiled.code.size(), hot->ea);
    hot->compiled.code = {};
    hot->code = code;
    // Code that was compiled with an entry in its middle would not come by.
    for (const Block& block : hot->region.blocks)
      if (block.entry) thread_.dissolve_runs(*hot->region.pages[block.page].ops, block.index);
    hot->entries([&](Op& op) {
      const Handler before = op.fn.load(std::memory_order_relaxed);
      hot->replaced.push_back(before);
      // What another region has taken stays its own.
      if (!memory_.holds(reinterpret_cast<u64>(before)))
        op.fn.store(reinterpret_cast<Handler>(reinterpret_cast<u64>(code)), std::memory_order_relaxed);
    });
  }
  reclaim();
}

void Regions::look(bool hit) {
  if (anything_finished()) install();
  const State& s = thread_.state();
  if (!hit) return;
  const FetchEntry& entry = s.itlb[s.nia >> 12 & (kFetchEntries - 1)];
  if (entry.tag.load(std::memory_order_relaxed) != s.nia >> 12) return;
  OpPage& page = *entry.page;
  if (!page.code || page.counted || page.little) return;
  note_target();
  const u64 index = s.nia >> 2 & (kOpsPerPage - 1);
  Op& op = page.ops[index];
  if (!is_decoded(op) || asked_.contains(&op)) return;
  if (compiler_.at_once() ? deaths_of(op) == kMostDeaths : !is_hot(page, index)) return;
  choose(op);
  if (anything_finished()) install();
}

void Regions::note_target() {
  constexpr std::size_t kMostTargets = 8, kMostBranches = 16384;
  const State& s = thread_.state();
  const FetchEntry& entry = s.itlb[s.cfar >> 12 & (kFetchEntries - 1)];
  if (entry.tag.load(std::memory_order_relaxed) != s.cfar >> 12) return;
  OpPage& page = *entry.page;
  const u64 index = s.cfar >> 2 & (kOpsPerPage - 1);
  if (!page.code || page.little || !is_decoded(page.ops[index])) return;
  {
    std::lock_guard lock(thread_.domain().code_lock());
    const isa::Row* row = isa::decode(word_at(thread_.domain(), page, index));
    if (!row || !branches(row->id) || direct(row->id)) return;
  }
  if (targets_.size() >= kMostBranches) targets_.clear();
  auto& list = targets_[&page.ops[index]];
  const i64 distance = static_cast<i64>(s.nia - s.cfar);
  const auto known = std::ranges::find(list, distance, &Target::distance);
  if (known != list.end())
    known->times++;
  else if (list.size() < kMostTargets)
    list.push_back({distance, 1});
}

u8 Regions::deaths_of(const Op& op) const {
  const auto it = deaths_.find(&op);
  return it == deaths_.end() ? 0 : it->second;
}

bool Regions::is_hot(const OpPage& page, u64 index) {
  // Hits that are near each other are likely to get into one region.
  constexpr u64 kNear = 64;
  constexpr u32 kHot = 2, kHotInside = 64, kMemory = 2048, kMostInWork = 2;
  const Op& op = page.ops[index];
  u32& hits = hits_[&page.ops[index & ~(kNear - 1)]];
  hits++;
  if (++looks_ >= kMemory) {
    looks_ = 0;
    for (auto& of : hits_) of.second /= 2;
    std::erase_if(hits_, [](const auto& of) { return of.second == 0; });
    return false;
  }
  if (in_work_ >= kMostInWork) return false;
  bool inside = false;
  {
    std::lock_guard lock(thread_.domain().code_lock());
    for (const auto& hot : page.hot) {
      if (hot->dead || !hot->overlaps(page, index, index)) continue;
      if (!hot->code) {  // It is being compiled.
        hits = 0;
        return false;
      }
      inside = true;  // It may only have to be entered, at its next loop or call.
    }
  }
  if (hits < (inside ? kHotInside : kHot) << deaths_of(op)) return false;
  hits = 0;
  return true;
}

void Regions::choose(const Op& op) {
  auto hot = std::make_shared<Hot>();
  {
    std::lock_guard lock(thread_.domain().code_lock());
    reclaim();
    constexpr std::size_t kMostAsked = 65536;
    if (asked_.size() > kMostAsked) asked_.clear();
    if (deaths_.size() > kMostAsked) deaths_.clear();
    asked_.insert(&op);
    hot->region = grow();
    hot->ea = thread_.state().nia;
    if (hot->region.blocks.empty()) return;
    for (const Page& of : hot->region.pages) of.ops->hot.push_back(hot);
    live_.push_back(hot);
  }
  in_work_++;
  if (!compiler_.submit(hot, inbox_)) {
    in_work_--;
    std::lock_guard lock(thread_.domain().code_lock());
    hot->die();
    asked_.erase(&op);
  }
}

Region Regions::grow() const {
  const State& s = thread_.state();
  struct Found {
    Instruction instruction;
    std::vector<i64> targets;
  };
  std::map<u64, Found> found;  // by EA
  Region region;
  region.ea_mask = s.ea_mask;
  const u64 first = s.nia >> kFrameShift;
  std::map<u64, u32> pages;  // EA >> 12 to number
  const auto page_of = [&](u64 ea) -> OpPage* {
    const u64 number = ea >> kFrameShift;
    if (const auto it = pages.find(number); it != pages.end()) return region.pages[it->second].ops;
    const FetchEntry& entry = s.itlb[number & (kFetchEntries - 1)];
    if (entry.tag.load(std::memory_order_relaxed) != number) return nullptr;
    OpPage& page = *entry.page;
    if (!page.code || page.counted || page.little) return nullptr;
    // A frame that is mapped twice: only at one place.
    for (const Page& other : region.pages)
      if (other.ops == &page) return nullptr;
    pages[number] = static_cast<u32>(region.pages.size());
    region.pages.push_back({&page, static_cast<i64>(number - first)});
    return &page;
  };
  std::deque<u64> starts{s.nia}, calls;
  std::map<u64, bool> leaders{{s.nia, true}};  // and whether it is an entry
  Domain& domain = thread_.domain();
  while (!(starts.empty() && calls.empty()) && found.size() < kMostInstructions) {
    std::deque<u64>& from = starts.empty() ? calls : starts;
    u64 ea = from.front();
    from.pop_front();
    OpPage* page = page_of(ea);
    if (!page) continue;
    for (; found.size() < kMostInstructions && !found.contains(ea); ea += 4) {
      const u64 index = ea >> 2 & (kOpsPerPage - 1);
      if (!is_decoded(page->ops[index])) break;
      const u32 word = word_at(domain, *page, index);
      const isa::Row* row = isa::decode(word);
      if (!row || isa::availability(*row, domain.level()) != isa::Availability::kAlways) break;
      const isa::Operands operands = isa::operands(*row, word);
      if (!can_compile(*row, operands)) break;
      Found& here = found[ea] = {{row->id, operands}, {}};
      if (branches(row->id)) {
        if (direct(row->id)) {
          const u64 target = (ea + static_cast<u64>(i64{operands.imm})) & s.ea_mask;
          leaders.try_emplace(target, false);
          // What is called only if there is room.
          if (links(row->id))
            calls.push_back(target);
          else
            starts.push_back(target);
        } else if (const auto seen = targets_.find(&page->ops[index]); seen != targets_.end()) {
          auto most = seen->second;
          std::ranges::sort(most, std::greater(), &Target::times);
          for (const Target& to : most) {
            const u64 target = (ea + static_cast<u64>(to.distance)) & s.ea_mask;
            leaders.try_emplace(target, false);
            (links(row->id) ? calls : starts).push_back(target);
            here.targets.push_back(static_cast<i64>(target - (first << kFrameShift)));
          }
        }
        // What comes back from elsewhere may come back here.
        leaders.try_emplace(ea + 4, false);
        if (links(row->id)) {
          starts.push_back(ea + 4);
          break;
        }
        if (always(row->id, operands)) break;
      }
      if ((ea >> 2 & (kOpsPerPage - 1)) == kOpsPerPage - 1) break;
    }
  }
  // Loop heads, where whoever asks the thread something has it leave.
  u64 entries = 1;
  const auto enter_at = [&](u64 ea) {
    if (entries >= kMostEntries) return;
    if (!leaders[ea]) entries++;
    leaders[ea] = true;
  };
  for (const auto& [ea, f] : found)
    if (direct(f.instruction.row) && !links(f.instruction.row) && f.instruction.operands.imm <= 0)
      if (const u64 target = (ea + static_cast<u64>(i64{f.instruction.operands.imm})) & s.ea_mask;
          found.contains(target))
        enter_at(target);
  // Returns from calls that the region does not hold.
  for (const auto& [ea, f] : found) {
    if (!links(f.instruction.row) || !found.contains(ea + 4)) continue;
    if (direct(f.instruction.row) &&
        found.contains((ea + static_cast<u64>(i64{f.instruction.operands.imm})) & s.ea_mask))
      continue;
    enter_at(ea + 4);
  }
  u64 expected = ~u64{0};
  for (const auto& [ea, f] : found) {
    const auto leader = leaders.find(ea);
    if (ea != expected || leader != leaders.end() || !(ea & (kFrameSize - 1))) {
      Block block;
      block.page = pages.at(ea >> kFrameShift);
      block.index = static_cast<u32>(ea >> 2 & (kOpsPerPage - 1));
      block.entry = leader != leaders.end() && leader->second;
      region.blocks.push_back(std::move(block));
    }
    region.blocks.back().instructions.push_back(f.instruction);
    region.blocks.back().targets = f.targets;
    expected = branches(f.instruction.row) ? ~u64{0} : ea + 4;
  }
  keep_loop(region, s.nia >> 2 & (kOpsPerPage - 1));
  region.defers = (s.fpscr & fpu::kDeferringMode.mask) == fpu::kDeferringMode.value && computes(region);
  return region;
}

}  // namespace baton::cpu::llvm_engine
