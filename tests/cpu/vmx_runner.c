// SPDX-License-Identifier: Apache-2.0
// Executes single VMX instructions on a 64-bit PowerPC and reports what they did. Runs under qemu-ppc64 and
// qemu-ppc64le. Built at test time; talks binary in its own byte order through stdin and stdout.
//
// In:  struct request, then `count` struct state: the instruction is executed once with each. It may use the
// eight vector
//      registers below, VSCR, the CR, r4 and r5.
// Out: for each the struct state after it.
#include "differential/freestanding.h"

struct request {
  uint32_t instruction, count;
};
struct state {
  uint8_t vr[8][16];  // v0, v1, v2, v3, v15, v16, v30, v31: lvx of these
  uint8_t vscr[16];   // as mfvscr leaves it
  uint64_t delta;     // in: r4 is the address of `memory` and this
  uint64_t index;     // in: r5
  uint64_t cr, pad;
  uint8_t memory[64];
} __attribute__((aligned(64)));

static uint32_t* code;
static struct state current;

#define AT(offset) "li 16," #offset "\n"
#define LOAD(number, offset) AT(offset) "lvx " #number ",14,16\n"
#define STORE(number, offset) AT(offset) "stvx " #number ",14,16\n"
#define EACH(op) op(0, 0) op(1, 16) op(2, 32) op(3, 48) op(15, 64) op(16, 80) op(30, 96) op(31, 112)

static void execute(void) {
  register struct state* state asm("r14") = &current;
  register uint64_t r4 asm("r4") = (uint64_t)current.memory + current.delta;
  register uint64_t r5 asm("r5") = current.index;
  asm volatile(LOAD(0, 128) "mtvscr 0\n" EACH(LOAD) "ld 0,160(14)\n mtcr 0\n mtctr %3\n bctrl\n" EACH(
                   STORE) "mfvscr 0\n" STORE(0, 128) "std 15,160(14)\n"
               : "+r"(r4), "+r"(r5)
               : "r"(state), "r"(code)
               : "r0", "r15", "r16", "lr", "ctr", "cr0", "cr1", "cr2", "cr3", "cr4", "cr5", "cr6", "cr7",
                 "memory");
}

_Static_assert(__builtin_offsetof(struct state, cr) == 160, "as the code above has it");

static int run(void) {
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
      states[i] = current;
    }
    write_all(states, size);
    unmap(states, size);
  }
  return 0;
}
