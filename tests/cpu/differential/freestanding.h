/* SPDX-License-Identifier: Apache-2.0 */
/* What the programs that run under qemu-user need of an operating system, without a C library: there is none
 * for each byte order. 64-bit programs are of the second ABI, whatever their byte order. */
#ifndef BATON_TESTS_CPU_DIFFERENTIAL_FREESTANDING_H
#define BATON_TESTS_CPU_DIFFERENTIAL_FREESTANDING_H

#include <stddef.h>
#include <stdint.h>

#ifdef __powerpc64__
typedef uint64_t Word;
#else
typedef uint32_t Word;
#endif

enum { kExit = 1, kRead = 3, kWrite = 4, kMmap = 90, kMunmap = 91, kSigaction = 173, kSigaltstack = 185 };

static Word call(Word number, Word a, Word b, Word c, Word d, Word e, Word f) {
  register Word r0 __asm__("r0") = number;
  register Word r3 __asm__("r3") = a;
  register Word r4 __asm__("r4") = b;
  register Word r5 __asm__("r5") = c;
  register Word r6 __asm__("r6") = d;
  register Word r7 __asm__("r7") = e;
  register Word r8 __asm__("r8") = f;
  __asm__ volatile("sc"
                   : "+r"(r0), "+r"(r3), "+r"(r4), "+r"(r5), "+r"(r6), "+r"(r7), "+r"(r8)
                   :
                   : "memory", "cr0", "ctr", "r9", "r10", "r11", "r12");
  return r3;
}

/* 0 at the end of the input. */
static int read_all(void* to, unsigned long size) {
  char* at = to;
  while (size != 0) {
    const long n = (long)call(kRead, 0, (Word)(unsigned long)at, size, 0, 0, 0);
    if (n <= 0) return 0;
    at += n;
    size -= n;
  }
  return 1;
}
static void write_all(const void* from, unsigned long size) {
  const char* at = from;
  while (size != 0) {
    const long n = (long)call(kWrite, 1, (Word)(unsigned long)at, size, 0, 0, 0);
    if (n <= 0) call(kExit, 2, 0, 0, 0, 0, 0);
    at += n;
    size -= n;
  }
}

/* Memory that can be read, written and executed: at an address, or anywhere if that is 0. */
static inline void* map(unsigned long at, unsigned long size) {
  const int flags = 0x22 /* PRIVATE, ANONYMOUS */ | (at != 0 ? 0x10 /* FIXED */ : 0);
  return (void*)(unsigned long)call(kMmap, at, size, 7, flags, (Word)-1, 0);
}
static inline void unmap(void* memory, unsigned long size) {
  call(kMunmap, (Word)(unsigned long)memory, size, 0, 0, 0, 0);
}

static inline void put_code(uint32_t* at, uint32_t word) {
  *(volatile uint32_t*)at = word;
  __asm__ volatile("dcbst 0,%0\n sync\n icbi 0,%0\n sync\n isync" : : "r"(at) : "memory");
}

/* struct sigaction as the kernel has it. */
struct Action {
  void* handler;
  Word flags;
  void* restorer;
  uint64_t mask;
};
static inline void on_signal_do(int signal, void* handler, Word flags) {
  struct Action action = {handler, flags | 0x40000000 /* NODEFER */, 0, 0};
  call(kSigaction, signal, (Word)(unsigned long)&action, 0, 8, 0, 0);
}

/* The compiler calls these. */
void* memcpy(void* to, const void* from, size_t size) {
  for (size_t i = 0; i < size; i++) ((char*)to)[i] = ((const char*)from)[i];
  return to;
}
void* memset(void* to, int value, size_t size) {
  for (size_t i = 0; i < size; i++) ((char*)to)[i] = (char)value;
  return to;
}

/* The program; its result is the exit code. */
static int run(void);
void run_and_exit(void) { call(kExit, run(), 0, 0, 0, 0, 0); }

#ifdef __powerpc64__
__asm__(
    ".text\n.globl _start\n_start:\n  lis 2,.TOC.@ha\n  addi 2,2,.TOC.@l\n"
    "  li 0,0\n  stdu 0,-128(1)\n  bl run_and_exit\n  nop\n");
#else
__asm__(".text\n.globl _start\n_start:\n  li 0,0\n  stwu 0,-64(1)\n  bl run_and_exit\n");
#endif

#endif
