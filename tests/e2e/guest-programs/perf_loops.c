// SPDX-License-Identifier: Apache-2.0
// The processor's counters through Linux: a loop with known counts under perf_event_open, as perf stat and
// perf record do.
//
//   perf_loops stat [CPU]      each event, of user code only, against what the loop does
//   perf_loops record [CPU]    samples of cycles and of instructions: where they lie
//   perf_loops until FILE      runs the loop, for perf to look at, until the file is there; says how many
//   rounds
#define _GNU_SOURCE
#include <linux/perf_event.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

// n rounds of four instructions: a load, a store, a branch.
void hot(uint64_t n, uint64_t* data);
extern char hot_code[], hot_end[];
__asm__(
    ".text\n.globl hot_code, hot_end\n.pushsection .opd,\"aw\"\n.globl hot\nhot: .quad hot_code, "
    ".TOC.@tocbase, 0\n.popsection\n"
    ".type hot, @function\n.size hot, hot_end - hot_code\n"
    "hot_code: mtctr 3\n1: ld 5,0(4)\n addi 5,5,1\n std 5,0(4)\n bdnz 1b\n blr\nhot_end:\n");

static uint64_t data;

static int event(uint32_t type, uint64_t config, uint64_t period) {
  struct perf_event_attr attr;
  memset(&attr, 0, sizeof attr);
  attr.size = sizeof attr;
  attr.type = type;
  attr.config = config;
  attr.disabled = attr.exclude_kernel = attr.exclude_hv = 1;
  attr.sample_period = period;
  attr.sample_type = PERF_SAMPLE_IP;
  const int fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
  if (fd < 0) perror("perf_event_open");
  return fd;
}

static uint64_t count(uint32_t type, uint64_t config, uint64_t rounds) {
  const int fd = event(type, config, 0);
  uint64_t value = 0;
  if (fd < 0) exit(2);
  ioctl(fd, PERF_EVENT_IOC_ENABLE, 0);
  hot(rounds, &data);
  ioctl(fd, PERF_EVENT_IOC_DISABLE, 0);
  if (read(fd, &value, sizeof value) != sizeof value) exit(2);
  close(fd);
  return value;
}

static int stat(void) {
  enum { kRounds = 1000000, kAround = 200 };
  const struct {
    const char* name;
    uint32_t type;
    uint64_t config, exact;
  } events[] = {
      {"instructions", PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS, 4},
      {"branches", PERF_TYPE_HARDWARE, PERF_COUNT_HW_BRANCH_INSTRUCTIONS, 1},
      {"L1-dcache-loads", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CACHE_REFERENCES, 1},
      {"L1-dcache-stores r180032", PERF_TYPE_RAW, 0x180032, 1},
      {"r80082", PERF_TYPE_RAW, 0x80082, 1},
      {"r10000a run cycles", PERF_TYPE_RAW, 0x10000A, 0},
      {"r2000fe not counted", PERF_TYPE_RAW, 0x2000FE, 0},
      {"cycles", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES, 0},
  };
  int wrong = 0;
  for (unsigned i = 0; i < sizeof events / sizeof *events; i++) {
    const uint64_t got = count(events[i].type, events[i].config, kRounds), want = events[i].exact * kRounds;
    int good = got >= want && got <= want + kAround;
    if (strstr(events[i].name, "cycles")) good = got > kRounds / 100;
    printf("%s: %llu, expected %llu%s\n", events[i].name, (unsigned long long)got, (unsigned long long)want,
           good ? "" : " WRONG");
    wrong += !good;
  }
  return wrong != 0;
}

static int record(uint32_t type, uint64_t config, uint64_t period, uint64_t rounds, uint64_t least) {
  enum { kPages = 64 };
  const long page = sysconf(_SC_PAGESIZE);
  const int fd = event(type, config, period);
  if (fd < 0) return 2;
  struct perf_event_mmap_page* head =
      mmap(NULL, (size_t)(1 + kPages) * (size_t)page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (head == MAP_FAILED) return perror("mmap"), 2;
  ioctl(fd, PERF_EVENT_IOC_ENABLE, 0);
  hot(rounds, &data);
  ioctl(fd, PERF_EVENT_IOC_DISABLE, 0);
  uint64_t samples = 0, inside = 0;
  const char* base = (const char*)head + page;
  for (uint64_t at = 0; at < head->data_head;) {
    const struct perf_event_header* h = (const void*)(base + at % ((uint64_t)kPages * (uint64_t)page));
    if (h->type == PERF_RECORD_SAMPLE) {
      const uint64_t ip = *(const uint64_t*)(h + 1);
      samples++;
      inside += ip >= (uint64_t)hot_code && ip < (uint64_t)hot_end;
    }
    if (!h->size) break;
    at += h->size;
  }
  uint64_t value = 0;
  if (read(fd, &value, sizeof value) != sizeof value) return 2;
  printf("event %llu: %llu samples, %llu in the loop, count %llu\n", (unsigned long long)config,
         (unsigned long long)samples, (unsigned long long)inside, (unsigned long long)value);
  close(fd);
  return samples < least || inside * 10 < samples * 9;
}

static int until(const char* file) {
  enum { kChunk = 1000000 };
  uint64_t rounds = 0;
  while (access(file, F_OK)) {
    hot(kChunk, &data);
    rounds += kChunk;
  }
  printf("%llu\n", (unsigned long long)rounds);
  return 0;
}

int main(int argc, char** argv) {
  if (argc > 2 && !strcmp(argv[1], "until")) return until(argv[2]);
  if (argc > 2) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(atoi(argv[2]), &set);
    if (sched_setaffinity(0, sizeof set, &set)) return perror("sched_setaffinity"), 2;
  }
  if (argc > 1 && !strcmp(argv[1], "stat")) return stat();
  if (argc > 1 && !strcmp(argv[1], "record"))
    return record(PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS, 100000, 5000000, 195) |
           record(PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES, 10000000, 100000000, 10);
  return 2;
}
