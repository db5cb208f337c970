// SPDX-License-Identifier: Apache-2.0
// VMX as a program in a partition sees it: arithmetic, and registers that live through context switches,
// signals and a move. Target cpu_vmx_guest builds it; put it into an initramfs (a second cpio archive behind
// the first will do) and run it there: it ends with "VMX RIGHT" after the seconds that it is given, 3 by
// default.
#define _GNU_SOURCE
#include <altivec.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef vector unsigned int words;

#define EACH(op)                                                                                        \
  op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) op(10) op(11) op(12) op(13) op(14) op(15) \
      op(16) op(17) op(18) op(19) op(20) op(21) op(22) op(23) op(24) op(25) op(26) op(27) op(28) op(29) \
          op(30) op(31)
#define LOAD(n) "lvx " #n ",0,9\n addi 9,9,16\n"
#define STORE(n) "stvx " #n ",0,9\n addi 9,9,16\n"
#define CLOBBER                                                                                         \
  "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", \
      "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", \
      "v30", "v31"

static unsigned char in[512] __attribute__((aligned(16))), out[512] __attribute__((aligned(16)));
static unsigned char clobber[512] __attribute__((aligned(16)));

static unsigned vscr(void) {
  union {
    words v;
    unsigned w[4];
  } u;
  asm volatile("mfvscr %0" : "=v"(u.v));
  return u.w[3];
}

static int signals;
static void on_alarm(int s) {
  (void)s;
  register unsigned char* at asm("r9") = clobber;
  asm volatile(EACH(LOAD) "vspltisw 0,-1\n mtvscr 0\n" : "+r"(at) : : CLOBBER, "memory");
  signals++;
}

// Fills all registers, lets time pass, with a system call in it, and looks whether they and VSCR are
// still the same.
static int hold(unsigned seed, double seconds, int interrupted) {
  struct timespec start, now;
  clock_gettime(CLOCK_MONOTONIC, &start);
  long rounds = 0;
  do {
    srand(seed + rounds);
    for (int i = 0; i < 512; i++) in[i] = rand();
    const long loops = 20000 + rand() % 100000;
    register unsigned char* at asm("r9") = in;
    register long n asm("r10") = loops;
    register unsigned char* o asm("r14") = out;
    asm volatile(
        EACH(LOAD)
        "mtctr 10\n1: addi 11,11,1\n bdnz 1b\n"
        "li 0,158\n sc\n"  // sched_yield
        "mr 9,14\n" EACH(STORE)
        : "+r"(at), "+r"(n), "+r"(o) : : "r0", "r3", "r4", "r5", "r6", "r7", "r8", "r11", "r12", "ctr", "cr0", CLOBBER, "memory");
    if (memcmp(in, out, 512)) {
      printf("process %u: registers changed in round %ld\n", seed, rounds);
      for (int i = 0; i < 32; i++)
        if (memcmp(in + 16 * i, out + 16 * i, 16)) printf("  v%d\n", i);
      return 1;
    }
    if (vscr() != 0x00010000) {
      printf("process %u: vscr %08x\n", seed, vscr());
      return 1;
    }
    rounds++;
    clock_gettime(CLOCK_MONOTONIC, &now);
  } while (now.tv_sec - start.tv_sec + (now.tv_nsec - start.tv_nsec) * 1e-9 < seconds);
  printf("process %u: %ld rounds, %d signals\n", seed, rounds, signals);
  return interrupted && signals == 0;
}

static int many(int processes, double seconds) {
  for (int p = 0; p < processes; p++) {
    fflush(stdout);
    if (fork() == 0) {
      memset(clobber, 0xA5 + p, sizeof clobber);
      if (p & 1) {
        signal(SIGALRM, on_alarm);
        struct itimerval t = {{0, 7000}, {0, 7000}};
        setitimer(ITIMER_REAL, &t, NULL);
      }
      int bad = hold(1000 * (p + 1), seconds, p & 1);
      fflush(stdout);
      _exit(bad);
    }
  }
  int failed = 0, status;
  while (wait(&status) > 0) failed |= status;
  return failed;
}

static int arithmetic(void) {
  enum { N = 4096 };
  static float x[N] __attribute__((aligned(16))), y[N] __attribute__((aligned(16))),
      z[N] __attribute__((aligned(16)));
  static short a[N] __attribute__((aligned(16))), b[N] __attribute__((aligned(16)));
  int bad = 0;
  for (int i = 0; i < N; i++) {
    x[i] = i * 0.37f - 700;
    y[i] = 3.0f / (i + 1);
    a[i] = rand();
    b[i] = rand();
  }
  vector float k = {2.5f, 2.5f, 2.5f, 2.5f};
  for (int i = 0; i < N; i += 4) vec_st(vec_madd(k, vec_ld(0, x + i), vec_ld(0, y + i)), 0, z + i);
  for (int i = 0; i < N; i++)
    if (z[i] != fmaf(2.5f, x[i], y[i])) bad++;
  printf("madd: %d of %d wrong\n", bad, N);
  vector signed int sum = {0, 0, 0, 0};
  for (int i = 0; i < N; i += 8) sum = vec_msum(vec_ld(0, a + i), vec_ld(0, b + i), sum);
  int parts[4] __attribute__((aligned(16))), total = 0, want = 0;
  vec_st(sum, 0, parts);
  for (int i = 0; i < 4; i++) total = (int)((unsigned)total + parts[i]);
  for (int i = 0; i < N; i++) want = (int)((unsigned)want + a[i] * b[i]);
  printf("msum: %d, expected %d\n", total, want);
  // An unaligned copy through lvsl and vperm.
  static unsigned char from[4096 + 32] __attribute__((aligned(16))), to[4096] __attribute__((aligned(16)));
  for (unsigned i = 0; i < sizeof from; i++) from[i] = rand();
  int wrong = 0;
  for (int shift = 0; shift < 16; shift++) {
    vector unsigned char control = vec_lvsl(0, from + shift);
    for (int i = 0; i < 4096; i += 16)
      vec_st(vec_perm(vec_ld(i, from + shift), vec_ld(i + 15, from + shift), control), i, to);
    wrong += memcmp(to, from + shift, 4096) != 0;
  }
  printf("perm: %d wrong\n", wrong);
  return bad || total != want || wrong;
}

int main(int argc, char** argv) {
  printf("hwcap altivec: %s, vsx: %s\n", getauxval(AT_HWCAP) & 0x10000000 ? "yes" : "no",
         getauxval(AT_HWCAP) & 0x80 ? "yes" : "no");
  if (!(getauxval(AT_HWCAP) & 0x10000000)) return 2;
  printf("vscr at the start: %08x\n", vscr());
  int bad = vscr() != 0x00010000;
  bad |= arithmetic();
  bad |= many(6, argc > 1 ? atof(argv[1]) : 3);
  printf(bad ? "VMX WRONG\n" : "VMX RIGHT\n");
  return bad;
}
