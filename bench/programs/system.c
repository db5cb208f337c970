// SPDX-License-Identifier: Apache-2.0
// What the operating system is asked for.
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "measure.h"

static uint64_t calls(void) {
  long sum = 0;
  for (int i = 0; i < 400000; i++) sum += syscall(SYS_getppid);
  return sum == 0;
}

static uint64_t faults(void) {
  const size_t pages = 4000, size = (size_t)sysconf(_SC_PAGESIZE);
  for (int pass = 0; pass < 4; pass++) {
    uint8_t* v = mmap(NULL, pages * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (v == MAP_FAILED) give_up("mmap");
    for (size_t i = 0; i < pages; i++) v[i * size] = 1;
    munmap(v, pages * size);
  }
  return 0;
}

static uint64_t maps(void) {
  const size_t size = (size_t)sysconf(_SC_PAGESIZE) * 16;
  for (int i = 0; i < 3000; i++) {
    uint8_t* v = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (v == MAP_FAILED) give_up("mmap");
    v[0] = v[size - 1] = 1;
    munmap(v, size);
  }
  return 0;
}

static uint64_t forks(void) {
  for (int i = 0; i < 300; i++) {
    const pid_t child = fork();
    if (child < 0) give_up("fork");
    if (!child) _exit(0);
    waitpid(child, NULL, 0);
  }
  return 0;
}

static uint64_t execs(void) {
  for (int i = 0; i < 150; i++) {
    const pid_t child = vfork();
    if (child < 0) give_up("vfork");
    if (!child) {
      execl("/bin/busybox", "true", (char*)NULL);
      _exit(1);
    }
    waitpid(child, NULL, 0);
  }
  return 0;
}

// Two processes hand a byte to and fro, on one processor: each turn is a context switch.
static uint64_t turns(int count, int processors) {
  int there[2], back[2];
  if (pipe(there) || pipe(back)) give_up("pipe");
  cpu_set_t before, one;
  sched_getaffinity(0, sizeof before, &before);
  CPU_ZERO(&one);
  CPU_SET(0, &one);
  if (processors == 1) sched_setaffinity(0, sizeof one, &one);
  const pid_t child = fork();
  char byte = 'x';
  if (child < 0) give_up("fork");
  if (!child) {
    while (read(there[0], &byte, 1) == 1 && byte != 'q')
      if (write(back[1], &byte, 1) != 1) break;
    _exit(0);
  }
  for (int i = 0; i < count; i++)
    if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1) give_up("pipe");
  byte = 'q';
  if (write(there[1], &byte, 1) != 1) give_up("pipe");
  waitpid(child, NULL, 0);
  sched_setaffinity(0, sizeof before, &before);
  for (int i = 0; i < 2; i++) {
    close(there[i]);
    close(back[i]);
  }
  return 0;
}
static uint64_t switches(void) { return turns(20000, 1); }

static uint64_t pipes(void) {
  int ends[2];
  if (pipe(ends)) give_up("pipe");
  static char block[4096];
  const pid_t child = fork();
  if (child < 0) give_up("fork");
  if (!child) {
    close(ends[1]);
    while (read(ends[0], block, sizeof block) > 0) continue;
    _exit(0);
  }
  close(ends[0]);
  for (int i = 0; i < 8000; i++)
    if (write(ends[1], block, sizeof block) != sizeof block) give_up("pipe");
  close(ends[1]);
  waitpid(child, NULL, 0);
  return 0;
}

static uint64_t files(void) {
  static char block[4096];
  char name[64];
  for (int i = 0; i < 400; i++) {
    snprintf(name, sizeof name, "/tmp/bench-%d", i);
    const int file = open(name, O_CREAT | O_RDWR | O_TRUNC, 0600);
    if (file < 0) give_up(name);
    for (int k = 0; k < 4; k++)
      if (write(file, block, sizeof block) != sizeof block) give_up(name);
    struct stat about;
    if (fstat(file, &about) || lseek(file, 0, SEEK_SET)) give_up(name);
    while (read(file, block, sizeof block) > 0) continue;
    close(file);
  }
  for (int i = 0; i < 400; i++) {
    snprintf(name, sizeof name, "/tmp/bench-%d", i);
    unlink(name);
  }
  return 0;
}

const struct program system_programs[] = {
    {"system", "getppid", calls}, {"system", "page-fault", faults}, {"system", "mmap", maps},
    {"system", "fork", forks},    {"system", "exec", execs},        {"system", "switch", switches},
    {"system", "pipe", pipes},    {"system", "files", files},       {0}};
