// SPDX-License-Identifier: Apache-2.0
// Executes single floating-point instructions on a 64-bit PowerPC and reports what they did. Runs under
// qemu-ppc64 and qemu-ppc64le. Built at test time; talks binary in its own byte order through stdin and
// stdout.
//
// In:  struct request, then `count` struct state: the instruction is executed once with each. It may use
// f1..f4, the CR,
//      FPSCR, and r4, which holds the address of the two doublewords of `memory`; r5 is 0.
// Out: for each the struct state after it.
#include "differential/freestanding.h"

struct request {
  uint32_t instruction, count;
};
struct state {
  uint64_t fpr[4];  // f1..f4
  uint64_t fpscr, cr, memory[2];
  uint64_t trapped;  // out: the instruction took a floating-point exception
};

// The kernel's ucontext.
struct context {
  uint64_t before[29];
  uint64_t gpr[48];  // 32: address of the instruction, 38: CR
  uint64_t fpr[32], fpscr;
};

static uint32_t* code;
static struct state current;
static volatile int trapped;

// The instruction trapped: fetch what it left, and go on behind it.
static void on_signal(int number, void* info, struct context* context) {
  (void)number;
  (void)info;
  for (int i = 0; i < 4; i++) current.fpr[i] = context->fpr[1 + i];
  current.fpscr = context->fpscr;
  current.cr = context->gpr[38];
  trapped = 1;
  context->gpr[32] += 4;
  context->fpscr = 0;
}

static void execute(void) {
  register uint64_t memory asm("r4") = (uint64_t)current.memory;
  register struct state* state asm("r14") = &current;
  trapped = 0;
  asm volatile(
      "lfd 0,32(%1)\n"
      "mtfsf 255,0,1,0\n"
      "lfd 1,0(%1)\n lfd 2,8(%1)\n lfd 3,16(%1)\n lfd 4,24(%1)\n"
      "ld 0,40(%1)\n mtcr 0\n"
      "li 5,0\n mtctr %2\n bctrl\n"
      "lwz 0,0(%3)\n"
      "cmpwi 7,0,0\n"  // CR was saved by the code itself, into r15
      "bne 7,1f\n"
      "stfd 1,0(%1)\n stfd 2,8(%1)\n stfd 3,16(%1)\n stfd 4,24(%1)\n"
      "mffs 0\n stfd 0,32(%1)\n"
      "std 15,40(%1)\n"
      "1: lfd 0,0(%4)\n"
      "mtfsf 255,0,1,0\n"
      : "+r"(memory)
      : "r"(state), "r"(code), "r"(&trapped), "r"(&(const double){0})
      : "r0", "r5", "r15", "r16", "fr0", "fr1", "fr2", "fr3", "fr4", "fr5", "lr", "ctr", "cr0", "cr1", "cr2",
        "cr3", "cr4", "cr5", "cr6", "cr7", "memory");
}

static int run(void) {
  on_signal_do(8 /* SIGFPE */, on_signal, 4 /* SIGINFO */);
  code = map(0, 4096);
  struct request request;
  while (read_all(&request, sizeof request)) {
    put_code(code, request.instruction);
    put_code(code + 1, 0x7DE00026);  // mfcr r15
    put_code(code + 2, 0x4E800020);  // blr
    const unsigned long size = request.count * sizeof(struct state);
    struct state* states = map(0, size);
    if (!read_all(states, size)) return 1;
    for (uint32_t i = 0; i < request.count; i++) {
      current = states[i];
      execute();
      current.trapped = trapped;
      states[i] = current;
    }
    write_all(states, size);
    unmap(states, size);
  }
  return 0;
}
