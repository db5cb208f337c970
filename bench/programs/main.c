// SPDX-License-Identifier: Apache-2.0
// baton-bench [-r ROUNDS] [NAME...]: runs the programs named (or all) and prints a line for each round:
//   BENCH group name round seconds digest
// baton-bench [-r ROUNDS] -x GROUP NAME COMMAND...: the same for another program, its output thrown away.
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "measure.h"

void give_up(const char* what) {
  perror(what);
  exit(1);
}

void* room(size_t bytes) {
  void* place = aligned_alloc(128, (bytes + 127) / 128 * 128);
  if (!place) give_up("memory");
  memset(place, 0, bytes);
  return place;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static bool wanted(const char* name, char** names) {
  if (!*names) return true;
  for (; *names; names++)
    if (!strcmp(name, *names)) return true;
  return false;
}

static void report(const char* group, const char* name, int round, double seconds, uint64_t digest) {
  printf("BENCH %s %s %d %.6f %016" PRIx64 "\n", group, name, round, seconds, digest);
}

// The digest is the exit status.
static uint64_t run_other(char** command) {
  const pid_t child = fork();
  if (child < 0) give_up("fork");
  if (!child) {
    const int null = open("/dev/null", O_RDWR);
    for (int file = 0; file < 3; file++) dup2(null, file);
    execvp(*command, command);
    _exit(127);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return (uint64_t)status;
}

int main(int count, char** words) {
  int rounds = 4, option;
  bool other = false;
  while ((option = getopt(count, words, "+r:x")) != -1) {
    if (option == 'x') other = true;
    if (option == '?' || (option == 'r' && (rounds = atoi(optarg)) < 1)) {
      fprintf(stderr, "usage: baton-bench [-r ROUNDS] [NAME... | -x GROUP NAME COMMAND...]\n");
      return 2;
    }
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (other && count - optind >= 3) {
    for (int round = 0; round < rounds; round++) {
      const double start = now();
      const uint64_t digest = run_other(words + optind + 2);
      report(words[optind], words[optind + 1], round, now() - start, digest);
    }
    return 0;
  }
  const struct program* const groups[] = {integer_programs, scalar_programs, vector_programs,
                                          system_programs,  smp_programs,    memory_programs};
  for (size_t g = 0; g < sizeof groups / sizeof *groups; g++)
    for (const struct program* p = groups[g]; p->run; p++)
      for (int round = 0; round < rounds && wanted(p->name, words + optind); round++) {
        const double start = now();
        const uint64_t digest = p->run();
        report(p->group, p->name, round, now() - start, digest);
      }
  return 0;
}
