// SPDX-License-Identifier: Apache-2.0
// Storage: in order, and where each address depends on the last load.
#include <stdlib.h>
#include <string.h>

#include "measure.h"

static uint64_t sequential(void) {
  enum { N = 1 << 20 };
  uint64_t *v = room(N * sizeof *v), sum = 0;
  for (int pass = 0; pass < 20; pass++)
    for (int i = 0; i < N; i++) sum += v[i] + (uint64_t)i;
  free(v);
  return sum;
}

static uint64_t copy(void) {
  const size_t bytes = 16 << 20;
  uint8_t *from = room(bytes), *to = room(bytes);
  for (int pass = 0; pass < 6; pass++) {
    from[pass] = (uint8_t)(pass + 1);
    memcpy(to, from, bytes);
  }
  const uint64_t digest = to[5];
  free(from);
  free(to);
  return digest;
}

// One cycle through all cache lines of `bytes`, in random order (Sattolo's shuffle).
static uint64_t chase(size_t bytes, unsigned steps) {
  struct line {
    uint32_t next, rest[31];
  };
  const uint32_t n = (uint32_t)(bytes / sizeof(struct line));
  static struct line* lines;
  static size_t made;
  if (made != bytes) {  // The order is part of the data, not of what is measured: made in the first, the
                        // warm-up round.
    free(lines);
    lines = room(bytes);
    for (uint32_t i = 0; i < n; i++) lines[i].next = i;
    for (uint32_t i = n - 1; i > 0; i--) {
      const uint32_t j = (uint32_t)(mix(i) % i), t = lines[i].next;
      lines[i].next = lines[j].next;
      lines[j].next = t;
    }
    made = bytes;
  }
  uint32_t at = 0;
  for (unsigned i = 0; i < steps; i++) at = lines[at].next;
  return at;
}
static uint64_t chase1(void) { return chase(1 << 20, 8000000); }
static uint64_t chase8(void) { return chase(8 << 20, 4000000); }
static uint64_t chase64(void) { return chase(64 << 20, 2000000); }

const struct program memory_programs[] = {
    {"memory", "chase-1MB", chase1},       {"memory", "chase-8MB", chase8}, {"memory", "chase-64MB", chase64},
    {"storage", "sequential", sequential}, {"storage", "memcpy", copy},     {0}};
