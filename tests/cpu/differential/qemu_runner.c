/* SPDX-License-Identifier: Apache-2.0 */
/* Runs instruction words on given registers under qemu-user and reports what they did (see protocol.h).
 * 64-bit in both byte orders, and 32-bit to see how a processor in 32-bit mode counts carries. Everything
 * that the trampoline needs lies below 0x8000, so that it can save and load all 32 registers without a base
 * register. */
#include "freestanding.h"
#include "protocol.h"

#ifdef __powerpc64__
#define LOAD "ld"
#define STORE "std"
#define WIDTH 8
#else
#define LOAD "lwz"
#define STORE "stw"
#define WIDTH 4
#endif

/* kContext, in registers of our own width. */
struct Context {
  Word gpr[32]; /* 0 */
  Word lr, ctr; /* 32, 33 */
  Word cr, xer; /* 34, 35 */
  Word outcome; /* 36 */
  Word own[40]; /* 40: the runner's registers, LR and CR */
};
#define CONTEXT ((volatile struct Context*)kContext)

/* Indices of struct Context as displacements from 0. */
#define STRING2(x) #x
#define STRING(x) STRING2(x)
#define AT(index) STRING(0x2000 + WIDTH * (index)) "(0)"
#define EACH(op)                                                                                        \
  op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) op(10) op(11) op(12) op(13) op(14) op(15) \
      op(16) op(17) op(18) op(19) op(20) op(21) op(22) op(23) op(24) op(25) op(26) op(27) op(28) op(29) \
          op(30)
#define SAVE_OWN(n) STORE " " #n "," AT(41 + n) "\n"
#define LOAD_OWN(n) LOAD " " #n "," AT(41 + n) "\n"
#define SAVE_GUEST(n) STORE " " #n "," AT(n) "\n"
#define LOAD_GUEST(n) LOAD " " #n "," AT(n) "\n"

void trampoline(void);
void after(void);
__asm__(
    ".text\n"
    ".globl run_slots, fell, taken, restore\n"
    "run_slots:\n" EACH(SAVE_OWN) SAVE_OWN(31)
    "  mflr 0\n  " STORE " 0," AT(40) "\n"
    "  " LOAD " 0," AT(32) "\n  mtlr 0\n"
    "  " LOAD " 0," AT(33) "\n  mtctr 0\n"
    "  " LOAD " 0," AT(34) "\n  mtcr 0\n"
    "  " LOAD " 0," AT(35) "\n  mtxer 0\n" EACH(LOAD_GUEST) LOAD_GUEST(31)
    "  ba 0x4000\n"
    "fell:\n" SAVE_GUEST(31) "  li 31,0\n  b common\n"
    "taken:\n" SAVE_GUEST(31) "  li 31,1\n"
    "common:\n  " STORE " 31," AT(36) "\n" EACH(SAVE_GUEST)
    "  mflr 0\n  " STORE " 0," AT(32) "\n"
    "  mfctr 0\n  " STORE " 0," AT(33) "\n"
    "  mfcr 0\n  " STORE " 0," AT(34) "\n"
    "  mfxer 0\n  " STORE " 0," AT(35) "\n"
    "restore:\n"
    "  " LOAD " 0," AT(40) "\n  mtlr 0\n" EACH(LOAD_OWN) LOAD_OWN(31) "  blr\n");

extern const char fell[], taken[];

static uint32_t branch_to(const char* target) {
  return 0x48000002 | ((uint32_t)(unsigned long)target & 0x03FFFFFC);
}
enum { kTrapWord = 0x7FE00008 };

static void on_signal(int signal) {
  CONTEXT->outcome = signal == 5 ? kSigtrap : signal == 4 ? kSigill : kOtherSignal;
  __asm__ volatile("b restore");
}

static char signal_stack[65536] __attribute__((aligned(16)));

static void catch_signals(void) {
  struct {
    void* sp;
    int flags;
    Word size;
  } stack = {signal_stack, 0, sizeof signal_stack};
  call(kSigaltstack, (Word)(unsigned long)&stack, 0, 0, 0, 0, 0);
  static const int signals[] = {4, 5, 7, 11};
  for (unsigned i = 0; i < 4; i++) on_signal_do(signals[i], on_signal, 0x08000000 /* ONSTACK */);
}

static void run_once(void) {
  /* All registers change under the compiler's feet except that run_slots puts them back. */
  __asm__ volatile("bl run_slots\n nop"
                   :
                   :
                   : "memory", "lr", "ctr", "cr0", "cr1", "cr2", "cr3", "cr4", "cr5", "cr6", "cr7", "xer");
}

static int run(void) {
  map(kLowPage, kLowEnd - kLowPage);
  for (uint32_t at = kPads; at < kPadsEnd; at += 4) *(volatile uint32_t*)(unsigned long)at = kTrapWord;
  uint32_t* const code = (uint32_t*)kCode;
  put_code(code + kSlots, branch_to(fell));
  catch_signals();
  struct Group group;
  while (read_all(&group, sizeof group)) {
    uint32_t* const pad = (uint32_t*)(unsigned long)group.target;
    for (unsigned i = 0; i < kSlots; i++) put_code(code + i, group.words[i]);
    if (group.target != 0) put_code(pad, branch_to(taken));
    for (uint32_t n = 0; n < group.sets; n++) {
      struct Set set;
      if (!read_all(&set, sizeof set)) return 1;
      if (group.with_memory && !read_all((void*)kMemory, kMemoryBytes)) return 1;
      for (unsigned i = 0; i < 32; i++) CONTEXT->gpr[i] = set.gpr[i];
      CONTEXT->lr = set.lr;
      CONTEXT->ctr = set.ctr;
      CONTEXT->cr = set.cr;
      CONTEXT->xer = set.xer;
      run_once();
      for (unsigned i = 0; i < 32; i++) set.gpr[i] = CONTEXT->gpr[i];
      set.lr = CONTEXT->lr;
      set.ctr = CONTEXT->ctr;
      set.cr = CONTEXT->cr;
      set.xer = CONTEXT->xer;
      set.outcome = CONTEXT->outcome;
      write_all(&set, sizeof set);
      if (group.with_memory) write_all((void*)kMemory, kMemoryBytes);
    }
    if (group.target != 0) put_code(pad, kTrapWord);
  }
  return 0;
}
