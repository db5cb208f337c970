// SPDX-License-Identifier: Apache-2.0
// Memory for what engines keep of each page of code.
#pragma once

#include <mutex>
#include <set>

#include "cpu/bits.h"

namespace baton::cpu {

/// Places of one size, out of huge pages of the host's: code that is executed for the first time, all that
/// there is after a move, would otherwise wait for the host at every 4 KB. Thread-safe.
class CodeRoom {
 public:
  explicit CodeRoom(u64 bytes);  ///< A place, at most some tens of kilobytes.
  /// Throws std::bad_alloc.
  void* take();
  void give_back(void* place);
  /// Sees to it that the next takers of so many places find memory that the host has given already.
  void reserve(u64 places);

 private:
  struct Chunk;
  Chunk* add();

  const u64 bytes_;
  std::mutex lock_;
  std::set<Chunk*> open_;  ///< With free places; by address, so that the others become free as a whole.
  u64 free_ = 0;           ///< Places.
};

}  // namespace baton::cpu
