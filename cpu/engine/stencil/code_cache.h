// SPDX-License-Identifier: Apache-2.0
// Compiled code of one hardware thread: memory for it, and the block compiler that fills it.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "cpu/engine/code_frames.h"
#include "cpu/engine/interpreter.h"
#include "cpu/isa/isa.h"

namespace baton::cpu::stencil {

struct Stencil;

/// An instruction that the decoder has put into an Op. `row`: nullptr for an illegal one.
struct Decoded {
  const isa::Row* row;
  isa::Operands operands;
};

/// True if control never goes on to the instruction behind.
bool ends_run(const Decoded& instruction);
/// The Op that a direct branch at Op `index` goes to, or -1 if it leaves the page or is none.
i32 target_in_page(const Decoded& branch, u64 index);

/// What the directly written code of a cache (direct.h) has in common, as offsets in the mapping.
struct SharedCode {
  /// Ways out; cpu/engine/interpreter.h.
  u64 stop_at = 0, asked_at = 0, leave_by_branch = 0, interpret_here = 0;
  u64 load = 0, store = 0;  ///< load_slow(), store_slow() of State::slow_value.
};

/// What an OpPage knows about its compiled code. Guarded by the domain's code lock, but for `plain`, which is
/// the owner's.
class PageCode {
 public:
  /// The interpreter's handler of each decoded Op, whatever Op::fn is.
  std::array<Handler, kOpsPerPage + 1> plain{};

  static CodeRoom& room();
  static void* operator new(std::size_t) { return room().take(); }
  static void operator delete(void* place) { room().give_back(place); }

  /// `fn`, for an instruction that has not been executed yet.
  Handler cold(u64 index, Handler fn) {
    executions_[index] = 0;
    return fn;
  }
  /// Counts an execution of an instruction that is not compiled; true if it is time to. The owner's.
  bool executed(u64 index) { return ++executions_[index] >= kExecutionsUntilCompiled; }
  /// False if writes have killed code of the page again and again: then its code is interpreted until
  /// enough of it was executed.
  bool worth_compiling() const { return kills_ < kKillsUntilInterpreted; }
  /// Counts an instruction that is interpreted for that reason; true if it is time to compile again. The
  /// owner's.
  bool interpreted() { return ++interpreted_ >= kInterpretedUntilCompiled; }
  /// It gets another chance.
  void compile_again() { kills_ = interpreted_ = 0; }
  void add_run(u64 first, u64 last) { runs_.push_back({static_cast<u16>(first), static_cast<u16>(last)}); }
  /// Calls `reset(index)` for every Op of each run that has one in [first, last], and forgets those runs.
  /// True if there were any.
  template <class Reset>
  bool kill(u64 first, u64 last, Reset&& reset) {
    const u64 killed = dissolve(first, last, reset);
    kills_ += static_cast<u32>(killed);
    return killed != 0;
  }
  /// The same for another reason than a write, after which code has not become less worth compiling. Returns
  /// how many runs there were.
  template <class Reset>
  u64 dissolve(u64 first, u64 last, Reset&& reset) {
    return std::erase_if(runs_, [&](const Run& run) {
      if (run.last < first || run.first > last) return false;
      for (u64 i = run.first; i <= run.last; i++) reset(i);
      return true;
    });
  }

 private:
  /// Ops first..last compiled together: entering at any of them runs through to the last.
  struct Run {
    u16 first, last;
  };
  static constexpr u32 kKillsUntilInterpreted = 8;
  static constexpr u32 kInterpretedUntilCompiled = 1 << 14;
  /// Compiling costs as much as some sixty executions by the interpreter.
  static constexpr u8 kExecutionsUntilCompiled = 16;
  std::array<u8, kOpsPerPage + 1> executions_{};
  std::vector<Run> runs_;
  u32 kills_ = 0, interpreted_ = 0;
};

/// The bytes are mapped twice, writable and executable; only the owner thread writes and executes.
class CodeCache {
 public:
  /// True if the host lets us write code and execute it.
  static bool allowed();
  /// Throws std::runtime_error if it does not, std::bad_alloc if it has no room.
  explicit CodeCache(u64 bytes);
  ~CodeCache();
  CodeCache(const CodeCache&) = delete;
  CodeCache& operator=(const CodeCache&) = delete;

  /// False if there may not be room for a call of compile(): then forget what was compiled and clear().
  bool has_room(u64 instructions) const;
  void clear();
  /// Has the host give the memory that the first code needs.
  void prepare();
  /// Compiles instructions that lie one behind the other from Op `first` of `page` on, whose code exists, and
  /// makes their Ops enter it. Those that have no stencil are left as they are. Code lock held.
  void compile(OpPage& page, u64 first, std::span<const Decoded> instructions);

  u64 bytes_used() const;
  /// Where the next compiled code begins.
  const u8* next() const { return mapping_.executable + hot_; }
  /// True for the code of this cache.
  bool holds(Handler code) const {
    return reinterpret_cast<u64>(code) - reinterpret_cast<u64>(mapping_.executable) < mapping_.size;
  }

 private:
  struct Filling;
  struct Block;
  void place(const Stencil& stencil, const Filling& in);
  /// Code that loads the register that is forwarded to the hot part at `to`; where it lies.
  u64 place_entry(u64 to, u8 forwarded);
  void put(u64 at, u64 value, unsigned size);

  /// The same bytes twice.
  struct Mapping {
    explicit Mapping(u64 bytes);
    ~Mapping();
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;
    u64 size;
    u8* writable = nullptr;
    u8* executable = nullptr;
  };

  Mapping mapping_;
  CodeFrames frames_{"guest_code", mapping_.executable, mapping_.size, StateRegister::kRbp};
  u64 base_ = 0;  ///< Where code begins, behind thunks and pool.
  u64 hot_ = 0;   ///< Next free byte for hot parts, which grow up.
  u64 cold_ = 0;  ///< First byte used by cold parts, which grow down.
  /// Branches of the block being compiled that go to an Op of their run: where their distance belongs.
  std::vector<std::pair<u64, i32>> targets_;
  std::vector<u64> pool_;  ///< Offsets of the items.
  SharedCode shared_;
};

}  // namespace baton::cpu::stencil
