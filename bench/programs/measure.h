// SPDX-License-Identifier: Apache-2.0
// The benchmark programs of our own: a table of fixed amounts of work, each timed inside the guest.
#ifndef BATON_BENCH_MEASURE_H
#define BATON_BENCH_MEASURE_H

#include <stddef.h>
#include <stdint.h>

// One program. `run` does a fixed amount of work and returns a digest of its result, so that no compiler
// drops it and both emulators can be compared; 0 is returned by those without a result.
struct program {
  const char *group, *name;
  uint64_t (*run)(void);
};

extern const struct program scalar_programs[], vector_programs[], integer_programs[], memory_programs[],
    system_programs[],
    smp_programs[];  // each ends with a row whose run is NULL

// Numbers that are the same everywhere.
static inline uint64_t mix(uint64_t z) {
  z += 0x9E3779B97F4A7C15u;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return z ^ z >> 31;
}

// malloc that cannot fail, touched and aligned to a cache line.
void* room(size_t bytes);
_Noreturn void give_up(const char* what);

#endif
