// SPDX-License-Identifier: Apache-2.0
// Executes single VMX instructions on a 64-bit big-endian PowerPC and reports what they did. Runs under
// qemu-ppc64, or on a real machine. Built at test time; talks big-endian binary through stdin and stdout.
//
// In:  struct request, then `count` struct state: the instruction is executed once with each. It may use the
// eight
//      vector registers below, VSCR, the CR, r4 and r5.
// Out: for each the struct state after it.
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct request {
  uint32_t instruction, count;
};
struct state {
  uint8_t vr[8][16];  // v0, v1, v2, v3, v15, v16, v30, v31
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
               : "r0", "r15", "r16", "v0", "v1", "v2", "v3", "v15", "v16", "v30", "v31", "lr", "ctr", "cr0",
                 "cr1", "cr2", "cr3", "cr4", "cr5", "cr6", "cr7", "memory");
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
  _Static_assert(__builtin_offsetof(struct state, cr) == 160, "as the code above has it");
  code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (code == MAP_FAILED) return 1;
  struct request request;
  while (transfer(0, &request, sizeof request)) {
    code[0] = request.instruction;
    code[1] = 0x7DE00026;  // mfcr r15
    code[2] = 0x4E800020;  // blr
    asm volatile("dcbst 0,%0\n sync\n icbi 0,%0\n sync\n isync" ::"r"(code) : "memory");
    struct state* states = aligned_alloc(64, request.count * sizeof *states);
    if (!states || !transfer(0, states, request.count * sizeof *states)) return 1;
    for (uint32_t i = 0; i < request.count; i++) {
      current = states[i];
      execute();
      states[i] = current;
    }
    if (!transfer(1, states, request.count * sizeof *states)) return 1;
    free(states);
  }
  return 0;
}
