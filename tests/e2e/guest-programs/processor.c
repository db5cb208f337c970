// SPDX-License-Identifier: Apache-2.0
// What the kernel tells a program about its processor, and which instructions the processor then has.
// Prints "name value" lines: hwcap, platform, pvr, and for each instruction "there" or "illegal".
#include <elf.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>

static sigjmp_buf back;

static void illegal(int signal) {
  (void)signal;
  siglongjmp(back, 1);
}

static double doubles[4] __attribute__((aligned(16)));

#define INSTRUCTIONS(X)              \
  X(cmpb, "cmpb 0,3,4")              \
  X(prtyd, "prtyd 0,3")              \
  X(addg6s, "addg6s 0,3,4")          \
  X(fcpsgn, "fcpsgn 2,3,4")          \
  X(lfiwax, "lfiwax 2,0,%0")         \
  X(lfdp, "lfdp 2,0(%0)")            \
  X(stfdpx, "stfdpx 2,0,%0")         \
  X(dadd, "dadd 2,4,5")              \
  X(dctfixq, "dctfixq 2,4")          \
  X(vor, "vor 2,2,2")                \
  X(lvx, "lvx 2,0,%0")               \
  X(mftgpr, "mftgpr 0,4")            \
  X(mffgpr, "mffgpr 2,3")            \
  X(frin, "frin 2,4") /* ISA 2.02 */ \
  X(popcntb, "popcntb 0,3")          \
  X(popcntd, "popcntd 0,3") /* ISA 2.06 */

#define TRY(name, instruction)                                                                         \
  static void try_##name(void) {                                                                       \
    asm volatile(".machine push\n\t.machine power6\n\t.machine any\n\t" instruction "\n\t.machine pop" \
                 :                                                                                     \
                 : "b"(doubles)                                                                        \
                 : "r0", "r3", "fr2", "fr3", "fr4", "fr5", "memory", "cr0");                           \
  }
INSTRUCTIONS(TRY)

static const struct {
  const char* name;
  void (*run)(void);
} tries[] = {
#define ROW(name, instruction) {#name, try_##name},
    INSTRUCTIONS(ROW)};

int main(void) {
  printf("hwcap %08lx\n", getauxval(AT_HWCAP));
  printf("platform %s\n", (const char*)getauxval(AT_PLATFORM));
  printf("page %lu\n", getauxval(AT_PAGESZ));
  unsigned long pvr;
  asm("mfspr %0, 287" : "=r"(pvr));  // The kernel answers.
  printf("pvr %08lx\n", pvr);
  signal(SIGILL, illegal);
  for (unsigned i = 0; i < sizeof tries / sizeof tries[0]; i++) {
    const int failed = sigsetjmp(back, 1);
    if (!failed) tries[i].run();
    printf("%s %s\n", tries[i].name, failed ? "illegal" : "there");
  }
  return 0;
}
