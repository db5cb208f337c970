// SPDX-License-Identifier: Apache-2.0
// Memory through pages of different sizes. One argument says what to try; the last line printed is "ok".
// huge N: N pages of 16 MB from hugetlbfs, filled, copied on write after a fork, verified, given back.
// mixed: 64K kernel: a cache-inhibited page makes its segment one of 4 KB pages; the memory beside it lives
// on. far: memory at 1 TB and above, where Linux uses segments of 1 TB. bolted: the kernel's first SLB entry
// of each processor, from the SLB shadow buffers in memory.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define HUGE (16ul << 20)

static void need(int true_, const char* what) {
  if (true_) return;
  printf("%s: %s\n", what, strerror(errno));
  exit(1);
}

static uint64_t word(uint64_t n) {
  n = (n + 1) * 0x9E3779B97F4A7C15;
  return n ^ n >> 29;
}

static void fill(volatile uint64_t* at, size_t bytes, uint64_t seed) {
  for (size_t i = 0; i < bytes / 8; i++) at[i] = word(i + seed);
}

static void verify(volatile uint64_t* at, size_t bytes, uint64_t seed, const char* who) {
  for (size_t i = 0; i < bytes / 8; i++)
    if (at[i] != word(i + seed)) {
      printf("%s: word %zu is %016llx\n", who, i, (unsigned long long)at[i]);
      exit(1);
    }
}

/// A line of the kernel's account of the mapping at that address, in kB.
static long smaps(void* address, const char* name) {
  FILE* f = fopen("/proc/self/smaps", "r");
  char line[256];
  long value = -1;
  int inside = 0;
  need(f != NULL, "/proc/self/smaps");
  while (fgets(line, sizeof line, f)) {
    unsigned long from, to;
    if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
      inside = from <= (unsigned long)address && (unsigned long)address < to;
    if (inside && strncmp(line, name, strlen(name)) == 0) value = atol(line + strlen(name) + 1);
  }
  fclose(f);
  return value;
}

static void huge(size_t pages) {
  size_t bytes = pages * HUGE;
  void* p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
  need(p != MAP_FAILED, "mmap");
  fill(p, bytes, 1);
  printf("MMUPageSize %ld\n", smaps(p, "MMUPageSize:"));
  fflush(stdout);
  pid_t child = fork();
  need(child >= 0, "fork");
  if (child == 0) {
    verify(p, bytes, 1, "child before");
    fill(p, HUGE, 2);  // One page is copied.
    verify(p, HUGE, 2, "child after");
    verify((void*)((char*)p + HUGE), bytes - HUGE, 1 + HUGE / 8, "child's others");
    exit(0);
  }
  int status = 0;
  need(waitpid(child, &status, 0) == child && status == 0, "child");
  verify(p, bytes, 1, "parent");
  need(mprotect(p, bytes, PROT_READ) == 0, "mprotect");
  verify(p, bytes, 1, "read-only");
  need(munmap(p, bytes) == 0, "munmap");
}

static sigjmp_buf back;
static void bus(int signal) { siglongjmp(back, signal); }

static void mixed(void) {
  const size_t bytes = 4 << 20;
  // One segment of 256 MB for both.
  char* base =
      mmap((void*)0x20000000, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  need(base != MAP_FAILED, "mmap");
  fill((void*)base, bytes / 2, 3);
  printf("before %ld\n", smaps(base, "MMUPageSize:"));
  int fd = open("/dev/mem", O_RDWR | O_SYNC);
  need(fd >= 0, "/dev/mem");
  // No memory is there: the page is cache-inhibited, and the hypervisor refuses it.
  volatile uint32_t* device =
      mmap(base + (64 << 20), 0x10000, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0x10000000000);
  need(device != MAP_FAILED, "mmap of /dev/mem");
  signal(SIGBUS, bus);
  signal(SIGSEGV, bus);
  const int got = sigsetjmp(back, 1);
  if (!got) printf("device %08x\n", *device);
  printf("signal %d\n", got);
  printf("after %ld of %ld\n", smaps(base, "MMUPageSize:"), smaps(base, "KernelPageSize:"));
  verify((void*)base, bytes / 2, 3, "old pages");
  fill((void*)(base + bytes / 2), bytes / 2, 4);
  verify((void*)(base + bytes / 2), bytes / 2, 4, "new pages");
  // Another segment of the same process keeps its pages of 64 KB.
  char* other =
      mmap((void*)0x40000000, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  need(other != MAP_FAILED, "mmap");
  fill((void*)other, bytes, 5);
  printf("other %ld\n", smaps(other, "MMUPageSize:"));
  fflush(stdout);
  pid_t child = fork();
  need(child >= 0, "fork");
  if (child == 0) {
    fill((void*)base, bytes / 2, 6);
    verify((void*)base, bytes / 2, 6, "child");
    exit(0);
  }
  int status = 0;
  need(waitpid(child, &status, 0) == child && status == 0, "child");
  verify((void*)base, bytes / 2, 3, "parent");
  verify((void*)other, bytes, 5, "parent's other segment");
}

static void far(void) {
  // Spread over segments of 1 TB, with the same offsets in each, so that a segment taken for a small one
  // shows.
  const size_t bytes = 0x40000;
  char* at[8];
  for (unsigned i = 0; i < 8; i++) {
    uintptr_t want = (1ul << 40) * (i + 1) + (i & 1 ? 0x30000000ul : 0x8030000000ul);
    at[i] = mmap((void*)want, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    need(at[i] == (void*)want, "mmap");
  }
  for (unsigned round = 0; round < 4; round++) {
    for (unsigned i = 0; i < 8; i++) fill((void*)at[i], bytes, 100 * round + i);
    for (unsigned i = 0; i < 8; i++) verify((void*)at[i], bytes, 100 * round + i, "far");
  }
}

/// Linux's layout: two bolted entries, the length, 8 bytes reserved, then (ESID, VSID) of the first.
static void bolted(void) {
  enum { kBytes = 1 << 20, kLine = 128 };
  static unsigned char buffer[kBytes] __attribute__((aligned(kLine)));
  int fd = open("/dev/mem", O_RDONLY);
  need(fd >= 0, "/dev/mem");
  for (off_t at = 0; pread(fd, buffer, kBytes, at) == kBytes; at += kBytes)
    for (unsigned i = 0; i < kBytes; i += kLine) {
      const uint32_t* words = (const uint32_t*)(buffer + i);
      const uint64_t* entry = (const uint64_t*)(buffer + i + 16);
      if (words[0] == 2 && words[1] >= 48 && words[1] <= 256 && entry[0] == 0xC000000008000000)
        printf("entry %016llx %016llx\n", (unsigned long long)entry[0], (unsigned long long)entry[1]);
    }
  close(fd);
}

int main(int argc, char** argv) {
  const char* what = argc > 1 ? argv[1] : "";
  if (strcmp(what, "huge") == 0 && argc > 2)
    huge(strtoul(argv[2], NULL, 10));
  else if (strcmp(what, "mixed") == 0)
    mixed();
  else if (strcmp(what, "far") == 0)
    far();
  else if (strcmp(what, "bolted") == 0)
    bolted();
  else
    return 2;
  printf("ok\n");
  return 0;
}
