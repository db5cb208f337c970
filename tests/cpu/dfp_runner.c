// SPDX-License-Identifier: Apache-2.0
// Executes single decimal floating-point instructions on a 64-bit big-endian PowerPC and reports what they
// did. Runs under qemu-ppc64, or on a real machine. Built at test time; talks big-endian binary through stdin
// and stdout.
//
// In:  struct request, then `count` struct state: the instruction is executed once with each. It may use
//      f2..f7, the CR and FPSCR.
// Out: for each the struct state after it.
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

struct request {
  uint32_t instruction, count;
};
struct state {
  uint64_t fpr[6];  // f2..f7
  uint64_t fpscr, cr;
  uint64_t trapped;  // out: the instruction took a floating-point exception
};

static uint32_t* code;
static struct state current;
static volatile int trapped;

// The instruction trapped: fetch what it left, and go on behind it.
static void on_signal(int number, siginfo_t* info, void* context) {
  ucontext_t* uc = context;
  (void)number;
  (void)info;
  memcpy(current.fpr, &uc->uc_mcontext.fp_regs[2], sizeof current.fpr);
  memcpy(&current.fpscr, &uc->uc_mcontext.fp_regs[32], sizeof current.fpscr);
  current.cr = uc->uc_mcontext.gp_regs[38];
  trapped = 1;
  uc->uc_mcontext.gp_regs[32] += 4;
  memset(&uc->uc_mcontext.fp_regs[32], 0, sizeof current.fpscr);
}

static void execute(void) {
  register struct state* state asm("r14") = &current;
  trapped = 0;
  asm volatile(
      "lfd 0,48(%0)\n"
      "mtfsf 255,0,1,0\n"
      "lfd 2,0(%0)\n lfd 3,8(%0)\n lfd 4,16(%0)\n lfd 5,24(%0)\n lfd 6,32(%0)\n lfd 7,40(%0)\n"
      "ld 0,56(%0)\n mtcr 0\n"
      "mtctr %1\n bctrl\n"
      "lwz 0,0(%2)\n"
      "cmpwi 7,0,0\n"  // CR was saved by the code itself, into r15
      "bne 7,1f\n"
      "stfd 2,0(%0)\n stfd 3,8(%0)\n stfd 4,16(%0)\n stfd 5,24(%0)\n stfd 6,32(%0)\n stfd 7,40(%0)\n"
      "mffs 0\n stfd 0,48(%0)\n"
      "std 15,56(%0)\n"
      "1: lfd 0,0(%3)\n"
      "mtfsf 255,0,1,0\n"
      :
      : "r"(state), "r"(code), "r"(&trapped), "r"(&(const double){0})
      : "r0", "r15", "fr0", "fr2", "fr3", "fr4", "fr5", "fr6", "fr7", "lr", "ctr", "cr0", "cr1", "cr2", "cr3",
        "cr4", "cr5", "cr6", "cr7", "memory");
}

static int transfer(int out, void* data, size_t size) {
  char* at = data;
  while (size) {
    ssize_t n = out ? write(1, at, size) : read(0, at, size);
    if (n <= 0) return 0;
    at += n;
    size -= n;
  }
  return 1;
}

int main(void) {
  struct sigaction action = {0};
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaction(SIGFPE, &action, NULL);
  code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (code == MAP_FAILED) return 1;
  struct request request;
  while (transfer(0, &request, sizeof request)) {
    code[0] = request.instruction;
    code[1] = 0x7DE00026;  // mfcr r15
    code[2] = 0x4E800020;  // blr
    asm volatile("dcbst 0,%0\n sync\n icbi 0,%0\n sync\n isync" ::"r"(code) : "memory");
    struct state* states = malloc(request.count * sizeof *states);
    if (!states || !transfer(0, states, request.count * sizeof *states)) return 1;
    for (uint32_t i = 0; i < request.count; i++) {
      current = states[i];
      execute();
      current.trapped = trapped;
      states[i] = current;
    }
    if (!transfer(1, states, request.count * sizeof *states)) return 1;
    free(states);
  }
  return 0;
}
