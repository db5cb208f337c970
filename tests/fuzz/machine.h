// SPDX-License-Identifier: Apache-2.0
// A random machine: memory, page table and hardware threads, all made from one source of choices.
#pragma once

#include <vector>

#include "tests/cpu/hardware.h"
#include "tests/fuzz/random.h"

namespace baton::fuzz {

class Machine : public test::Hardware {
 public:
  Machine(Random& random, unsigned threads, const cpu::EngineOptions& engine);

  /// What a hypervisor does when a thread calls it: returns from the interrupt, starts it somewhere else, or
  /// changes registers. Only the host thread of thread `i`.
  void resume(Random& random, unsigned i);
  /// An edit from outside: page table, code, interrupt lines. Any host thread, outside guest code.
  void disturb(Random& random);

  /// Throws Finding if a thread, that is outside run(), is in a state that the architecture does not have.
  void check(unsigned i) const;
  /// check() of everything that is cached besides.
  void check_cached(unsigned i);
  /// Throws Finding at the first difference between two machines, which should have done the same.
  static void compare(Machine& one, Machine& other);
  static void compare_page_tables(Machine& one, Machine& other);

 private:
  struct Segment {
    u64 ea, vsid, slb_vsid, slb_esid;
    unsigned base_shift;
    bool terabyte;
  };

  u64 address(Random& random) const;
  u64 code_address(Random& random, bool translated) const;
  void fill_code(Random& random, u64 frame);
  void map(Random& random, const Segment& segment);
  void start(Random& random, unsigned i);
  void fill_registers(Random& random, unsigned i);

  std::vector<u64> code_frames_;
  std::vector<Segment> segments_;
  std::vector<u64> mapped_;       ///< Effective addresses of pages.
  std::vector<u64> mapped_code_;  ///< Those that show code.
};

}  // namespace baton::fuzz
