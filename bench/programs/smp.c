// SPDX-License-Identifier: Apache-2.0
// Two processors at once: how much faster than one, and what sharing costs.
#define _GNU_SOURCE
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "measure.h"

// Runs `work(part)` in `parts` processes, each on a processor of its own if there is one.
static void divide(int parts, void (*work)(int part, void* shared), void* shared) {
  const long processors = sysconf(_SC_NPROCESSORS_ONLN);
  for (int part = 0; part < parts; part++) {
    const pid_t child = fork();
    if (child < 0) give_up("fork");
    if (!child) {
      cpu_set_t one;
      CPU_ZERO(&one);
      CPU_SET((size_t)(part % processors), &one);
      sched_setaffinity(0, sizeof one, &one);
      work(part, shared);
      _exit(0);
    }
  }
  while (wait(NULL) > 0) continue;
}

static void hash(int part, void* shared) {
  uint64_t h = (uint64_t)part;
  for (int i = 0; i < 6000000; i++) h = mix(h);
  ((volatile uint64_t*)shared)[part * 16] = h;
}

static void* shared_page(void) {
  void* page = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) give_up("mmap");
  return page;
}

static uint64_t scale(int parts) {
  void* page = shared_page();
  divide(parts, hash, page);
  uint64_t digest = 0;
  for (int part = 0; part < parts; part++) digest ^= ((uint64_t*)page)[part * 16];
  munmap(page, 65536);
  return digest;
}
static uint64_t one(void) { return scale(1); }
static uint64_t two(void) { return scale(2); }

static void add(int part, void* shared) {
  (void)part;
  for (int i = 0; i < 1000000; i++) atomic_fetch_add((_Atomic uint64_t*)shared, 1);
}
static uint64_t atomics(void) {
  void* page = shared_page();
  divide(2, add, page);
  const uint64_t sum = *(uint64_t*)page;
  munmap(page, 65536);
  return sum;
}

const struct program smp_programs[] = {
    {"smp", "one", one}, {"smp", "two", two}, {"smp", "atomics", atomics}, {0}};
