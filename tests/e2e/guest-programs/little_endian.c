// SPDX-License-Identifier: Apache-2.0
// A big-endian program that goes through little-endian mode and back by Linux's switch_endian system call
// (363), and checks what loads and stores did there, page faults included.
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

// A word of code in the other byte order.
#define LE(word)                                                                             \
  ".long (((" word ")&0xff)<<24)|(((" word ")&0xff00)<<8)|(((" word ")>>8)&0xff00)|(((" word \
  ")>>24)&0xff)"                                                                             \
  "\n"

struct registers {
  uint64_t word, doubleword, half, reversed, fresh, count;
};

// r4: source, r5: destination, r6: a page that nobody has touched.
static void in_little_endian(const void* source, void* destination, void* fresh, struct registers* out) {
  register const void* r4 __asm__("r4") = source;
  register void* r5 __asm__("r5") = destination;
  register void* r6 __asm__("r6") = fresh;
  register uint64_t word __asm__("r14");
  register uint64_t doubleword __asm__("r15");
  register uint64_t half __asm__("r16");
  register uint64_t reversed __asm__("r17");
  register uint64_t first __asm__("r18");
  register uint64_t count __asm__("r19");
  __asm__ volatile("li 0,363\n sc\n" LE("0x81c40000")  // lwz 14,0(4)
                   LE("0xe9e40008")                    // ld 15,8(4)
                   LE("0xa2040013")                    // lhz 16,19(4), unaligned
                   LE("0x7e20242c")                    // lwbrx 17,0,4
                   LE("0x91c50000")                    // stw 14,0(5)
                   LE("0xf9e50008")                    // std 15,8(5)
                   LE("0xb205001d")                    // sth 16,29(5), unaligned
                   LE("0xea460000")                    // ld 18,0(6): a page fault
                   LE("0xf9e60010")                    // std 15,16(6): and one to write
                   LE("0x3a600000")                    // li 19,0
                   LE("0x38e003e8")                    // li 7,1000
                   LE("0x7ce903a6")                    // mtctr 7
                   LE("0x3a730001")                    // addi 19,19,1
                   LE("0x4200fffc")                    // bdnz .-4
                   LE("0x3800016b")                    // li 0,363
                   LE("0x44000002")                    // sc
                   : "=&r"(word), "=&r"(doubleword), "=&r"(half), "=&r"(reversed), "=&r"(first), "=&r"(count),
                     "+r"(r4), "+r"(r5), "+r"(r6)
                   :
                   : "r0", "r3", "r7", "r8", "r9", "r10", "r11", "r12", "ctr", "cr0", "cr1", "cr5", "cr6",
                     "cr7", "xer", "memory");
  *out = (struct registers){word, doubleword, half, reversed, first, count};
}

static int failures;
static void equal(const char* what, uint64_t is, uint64_t wanted) {
  if (is == wanted) return;
  failures++;
  printf("%s is %llx, not %llx\n", what, (unsigned long long)is, (unsigned long long)wanted);
}

int main(void) {
  enum { kRounds = 200, kPage = 65536 };
  for (int round = 0; round < kRounds; round++) {
    unsigned char source[32] __attribute__((aligned(16))), destination[32] __attribute__((aligned(16)));
    for (int i = 0; i < 32; i++) source[i] = (unsigned char)(i * 7 + round);
    memset(destination, 0, sizeof destination);
    unsigned char* fresh = mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct registers r;
    in_little_endian(source, destination, fresh, &r);
    uint64_t word = 0, doubleword = 0;
    for (int i = 3; i >= 0; i--) word = word << 8 | source[i];
    for (int i = 15; i >= 8; i--) doubleword = doubleword << 8 | source[i];
    equal("lwz", r.word, word);
    equal("ld", r.doubleword, doubleword);
    equal("lhz", r.half, (uint64_t)source[20] << 8 | source[19]);
    equal("lwbrx", r.reversed, __builtin_bswap32((uint32_t)word));
    equal("ld of a fresh page", r.fresh, 0);
    equal("loop", r.count, 1000);
    equal("stw", (uint64_t)memcmp(destination, source, 4), 0);
    equal("std", (uint64_t)memcmp(destination + 8, source + 8, 8), 0);
    equal("sth", (uint64_t)memcmp(destination + 29, source + 19, 2), 0);
    equal("std to a fresh page", (uint64_t)memcmp(fresh + 16, source + 8, 8), 0);
    munmap(fresh, kPage);
    if (failures > 10) break;
  }
  printf("%d rounds, %d failures\n", kRounds, failures);
  return failures != 0;
}
