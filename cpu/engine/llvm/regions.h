// SPDX-License-Identifier: Apache-2.0
// The hot code of one hardware thread: what is chosen, and the code that was compiled of it.
#pragma once

#include <map>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "cpu/engine/code_frames.h"
#include "cpu/engine/llvm/compiler.h"

namespace baton::cpu::llvm_engine {

/// Memory for code, mapped twice (writable, executable). Of the owner thread.
class CodeMemory {
 public:
  explicit CodeMemory(u64 bytes);
  ~CodeMemory();
  CodeMemory(const CodeMemory&) = delete;
  CodeMemory& operator=(const CodeMemory&) = delete;
  /// A copy of `code` that can be executed, or nullptr if there is no room.
  const u8* put(std::span<const u8> code);
  void free(const u8* code);
  bool holds(u64 address) const { return address - reinterpret_cast<u64>(executable_) < size_; }

 private:
  u64 size_;
  int file_ = -1;
  u8* writable_ = nullptr;
  u8* executable_ = nullptr;
  std::unique_ptr<CodeFrames> frames_;
  std::map<u64, u64> free_;  ///< Offset and length.
  std::unordered_map<u64, u64> used_;
  bool reused_ = false;  ///< Bytes that may have been executed are free.
};

/// True if a region may hold the instruction.
bool can_compile(const isa::Row& row, const isa::Operands& operands);

class Regions {
 public:
  Regions(Thread& thread, Compiler& compiler, u64 code_bytes);
  ~Regions();

  /// Outside guest code, at State::nia: a taken branch led there if `hit`. Installs what is compiled and
  /// chooses what is to be.
  void look(bool hit);
  bool at_once() const { return compiler_.at_once(); }
  bool anything_finished() const { return inbox_->any.load(std::memory_order_relaxed); }
  /// Every region dies. Code lock held.
  void forget_all();

 private:
  void install();
  /// State::nia was reached from State::cfar.
  void note_target();
  u8 deaths_of(const Op& op) const;
  /// Counts a hit.
  bool is_hot(const OpPage& page, u64 index);
  void choose(const Op& op);
  Region grow() const;
  void reclaim();

  Thread& thread_;
  Compiler& compiler_;
  CodeMemory memory_;
  std::shared_ptr<Inbox> inbox_ = std::make_shared<Inbox>();
  std::unordered_map<const Op*, u32> hits_;  ///< By the first of the Ops that are counted together.
  /// How often a region at an Op has died. Each time it has to be twice as hot to be compiled again, so that
  /// code that is rewritten all the time keeps no compile thread busy.
  std::unordered_map<const Op*, u8> deaths_;
  static constexpr u8 kMostDeaths = 7;
  u32 looks_ = 0;
  u32 in_work_ = 0;  ///< Regions that the compiler has.
  /// Where indirect branches were seen to go: how far, and how often.
  struct Target {
    i64 distance;
    u32 times;
  };
  std::unordered_map<const Op*, std::vector<Target>> targets_;
  std::unordered_set<const Op*> asked_;     ///< Chosen, or not worth it.
  std::vector<std::shared_ptr<Hot>> live_;  ///< Oldest first.
};

}  // namespace baton::cpu::llvm_engine
