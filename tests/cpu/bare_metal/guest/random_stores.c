// SPDX-License-Identifier: Apache-2.0
// Writes random values of random sizes to random places until it is told to stop.
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

struct orders {
  u64 seed;
  u64 base;         // window to write to
  u64 mask;         // its size - 1
  u64 stores_left;  // counts down; 0 ends
};

// Reached with bctr: never returns.
void random_stores(volatile struct orders* orders) {
  u64 x = orders->seed;
  for (u64 left = orders->stores_left; left; left--) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    const u64 at = orders->base + (x >> 24 & orders->mask & ~15ul);
    u64 old;
    switch (x & 7) {
      case 0:
        *(volatile u8*)(at + (x >> 8 & 15)) = (u8)(x >> 16);
        break;
      case 1:
        *(volatile u16*)(at + (x >> 8 & 14)) = (u16)(x >> 16);
        break;
      case 2:
        *(volatile u32*)(at + (x >> 8 & 12)) = (u32)(x >> 16);
        break;
      case 3:
        __asm__ volatile("dcbz 0,%0" : : "r"(at) : "memory");
        break;
      case 4:
        __asm__ volatile("1: ldarx %0,0,%1; stdcx. %2,0,%1; bne- 1b"
                         : "=&r"(old)
                         : "r"(at), "r"(x)
                         : "memory", "cr0");
        break;
      default:
        *(volatile u64*)(at + (x >> 8 & 8)) = x;
        // Some stores lie across two pages.
        if ((x & 0xF00) == 0) *(volatile u64*)((at & ~0xFFFul) + 0xFFB) = x;
        break;
    }
    orders->stores_left = left;
  }
  orders->stores_left = 0;
  for (;;) __asm__ volatile(".long 0x44000022");
}
