// SPDX-License-Identifier: Apache-2.0
// baton-load 0 -1 computes, in steps of equal length. baton-load MB RATE: writes a page after another of MB
// megabytes, RATE megabytes of pages a second (0: as fast as it can), and checks that each page holds what
// the pass before wrote. Watches the clock between pages. Makes /tmp/load.ready when it has begun.
//   SIGTERM: end, with its memory zeros again, so that it is not in the way of what is measured next.
//   SIGUSR1: forget what was seen.
//   SIGUSR2: a line to /tmp/load: largest step of the clock in ms, pages written or steps computed, pages
//   that were wrong, seconds since SIGUSR1 (the second and the last only as long as it keeps its rate).
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES_A_LOOK = 16, STEP = 20000 };

static volatile sig_atomic_t forget, report, end;

static void on_signal(int number) {
  if (number == SIGUSR1)
    forget = 1;
  else if (number == SIGTERM)
    end = 1;
  else
    report = 1;
}

static void compute(void) {
  static volatile uint64_t result;
  uint64_t value = result;
  for (int i = 0; i < STEP; i++) value = value * 0x5851F42D4C957F2Du + 0x14057B7EF767814Fu;
  result = value;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int main(int count, char** words) {
  if (count != 3) return 2;
  signal(SIGUSR1, on_signal);
  signal(SIGUSR2, on_signal);
  signal(SIGTERM, on_signal);
  const size_t pages = (size_t)atol(words[1]) * (1 << 20) / PAGE;
  const double rate = atof(words[2]) * (1 << 20) / PAGE;
  // With nothing to write it only looks at the clock.
  volatile uint64_t* memory = pages ? aligned_alloc(PAGE, pages * PAGE) : NULL;
  if (pages && !memory) return 1;
  // No page is all zeros, and no two are the same.
  for (size_t i = 0; i < pages * PAGE / 8; i++) memory[i] = i * 0x9E3779B97F4A7C15u | 1;
  for (size_t i = 0; i < pages; i++) memory[i * PAGE / 8] = 0;
  FILE* ready = fopen("/tmp/load.ready", "w");
  if (!ready) return 1;
  fclose(ready);
  uint64_t written = 0, wrong = 0, pass = 0;
  size_t at = 0;
  double start = now(), last = start, gap = 0;
  while (1) {
    for (int i = 0; i < PAGES_A_LOOK && pages; i++) {
      volatile uint64_t* page = memory + at * (PAGE / 8);
      if (*page != pass) wrong++;
      *page = pass + 1;
      written++;
      if (++at == pages) {
        at = 0;
        pass++;
      }
    }
    if (rate < 0) {
      compute();
      written++;
    }
    const double t = now();
    if (t - last > gap) gap = t - last;
    last = t;
    if ((!pages && rate >= 0) || (rate > 0 && (double)written > rate * (t - start))) usleep(1000);
    if (rate > 0 && (double)written < rate * (t - start - 1)) {
      start = t;  // It cannot write as fast as it should: no catching up after a halt.
      written = 0;
    }
    if (forget) {
      forget = 0;
      gap = 0;
      written = 0;
      start = last = now();
    }
    if (end) {
      for (size_t i = 0; i < pages * PAGE / 8; i++) memory[i] = 0;
      return 0;
    }
    if (report) {
      report = 0;
      FILE* out = fopen("/tmp/load.new", "w");
      if (!out) return 1;
      fprintf(out, "%.3f %llu %llu %.6f\n", gap * 1000, (unsigned long long)written,
              (unsigned long long)wrong, now() - start);
      fclose(out);
      rename("/tmp/load.new", "/tmp/load");
    }
  }
}
