// SPDX-License-Identifier: Apache-2.0
// The kinds of cases (README.md). A case is made of its seed alone; what it finds wrong it throws as Finding,
// what it breaks ends the process.
#pragma once

#include <span>
#include <stdexcept>

#include "tests/fuzz/random.h"

namespace baton::fuzz {

class Finding : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Cases say what they do, step by step.
inline bool trace = false;

/// Hardware threads on random memory, page table and registers; one engine run against another.
void run_processor_case(Random random);
/// The same, each on a host thread of its own, while page table, code and interrupts change.
void run_parallel_case(Random random);
/// Hypervisor calls and RTAS with random arguments on a partition with a VIOS.
void run_calls_case(Random random);
/// A partition that is powered on with a program of random words and calls.
void run_partition_case(Random random);
/// What another system may send, with damage (stream.h).
void run_stream_case(Random random);

struct Kind {
  const char* name;
  void (*run)(Random random);
  unsigned share;  ///< Of a mixed run's cases.
};
std::span<const Kind> kinds();

}  // namespace baton::fuzz
