// SPDX-License-Identifier: Apache-2.0
// baton-bench [-r ROUNDS] [-w SECONDS] [NAME...]: runs the programs named (or all) and prints a line for each
// round:
//   BENCH group name round seconds digest
// baton-bench [-r ROUNDS] [-w SECONDS] -x GROUP NAME COMMAND...: the same for another program, its output
// thrown away.
// Round 0 is the cold one. Behind it the program runs unreported until it has run for SECONDS, so that the
// other rounds are those of a machine that knows it.
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

// The process that runs a command whose output goes to `out`.
static pid_t start(char** command, int out) {
  const pid_t child = fork();
  if (child < 0) give_up("fork");
  if (child) return child;
  const int null = open("/dev/null", O_RDWR);
  dup2(null, 0);
  dup2(out, 1);
  dup2(null, 2);
  execvp(*command, command);
  _exit(127);
}

static void await(pid_t child, const char* name) {
  int status = 0;
  waitpid(child, &status, 0);
  if (status == 0) return;
  fprintf(stderr, "baton-bench: %s ends with status %d\n", name, status);
  exit(1);
}

static uint64_t digest_of_file(FILE* file, const char* prefix) {
  uint64_t digest = 0;
  char* line = NULL;
  size_t room = 0;
  for (ssize_t size; (size = getline(&line, &room, file)) > 0;) {
    if (prefix && strncmp(line, prefix, strlen(prefix)) != 0) continue;
    for (ssize_t i = 0; i < size; i++) digest = digest * 31 + (unsigned char)line[i];
  }
  free(line);
  return digest;
}

// What a command puts out or, if it makes a file, what is in that; only lines that begin with the prefix, if
// there is one.
static uint64_t output_of(char** command, const char* made, const char* prefix) {
  int ends[2];
  if (pipe(ends) != 0) give_up("pipe");
  const pid_t child = start(command, ends[1]);
  close(ends[1]);
  FILE* file = fdopen(ends[0], "r");
  uint64_t digest = digest_of_file(file, prefix);
  fclose(file);
  await(child, *command);
  if (!made) return digest;
  file = fopen(made, "r");
  if (!file) give_up(made);
  digest = digest_of_file(file, prefix);
  fclose(file);
  return digest;
}

struct plan {
  int rounds;
  double warm_up;  // Seconds, with round 0.
};

static void run_rounds(const struct plan* plan, const char* group, const char* name,
                       uint64_t (*run)(void* work, int round), void* work) {
  const double begin = now();
  for (int round = 0; round < plan->rounds; round++) {
    const double start = now();
    const uint64_t digest = run(work, round);
    report(group, name, round, now() - start, digest);
    while (round == 0 && now() - begin < plan->warm_up) run(work, 1);
  }
}

static uint64_t run_ours(void* work, int round) {
  (void)round;
  return ((const struct program*)work)->run();
}

struct command {
  char** words;
  const char *made, *prefix;
  int null;
  uint64_t digest;
};

// The first round alone may take the time to look at the output.
static uint64_t run_command(void* work, int round) {
  struct command* command = work;
  if (round == 0)
    command->digest = output_of(command->words, command->made, command->prefix);
  else
    await(start(command->words, command->null), *command->words);
  return command->digest;
}

int main(int count, char** words) {
  struct plan plan = {.rounds = 4};
  int option;
  bool other = false;
  struct command command = {0};
  while ((option = getopt(count, words, "+r:w:xf:l:")) != -1) {
    if (option == 'x') other = true;
    if (option == 'f') command.made = optarg;
    if (option == 'l') command.prefix = optarg;
    if (option == 'w') plan.warm_up = atof(optarg);
    if (option == '?' || (option == 'r' && (plan.rounds = atoi(optarg)) < 1)) {
      fprintf(stderr,
              "usage: baton-bench [-r ROUNDS] [-w SECONDS] [NAME... | -x [-f FILE] [-l PREFIX] GROUP NAME "
              "COMMAND...]\n");
      return 2;
    }
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (other && count - optind >= 3) {
    command.words = words + optind + 2;
    command.null = open("/dev/null", O_RDWR);
    run_rounds(&plan, words[optind], words[optind + 1], run_command, &command);
    return 0;
  }
  const struct program* const groups[] = {integer_programs, scalar_programs, vector_programs,
                                          system_programs,  smp_programs,    memory_programs};
  for (size_t g = 0; g < sizeof groups / sizeof *groups; g++)
    for (const struct program* p = groups[g]; p->run; p++)
      if (wanted(p->name, words + optind)) run_rounds(&plan, p->group, p->name, run_ours, (void*)p);
  return 0;
}
