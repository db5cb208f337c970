// SPDX-License-Identifier: Apache-2.0
// The little of the C library that freestanding code and the compiler need.
#include "fw.h"

void* memmove(void* to, const void* from, size_t n) {
  uint8_t* t = to;
  const uint8_t* f = from;
  if (t == f || n == 0) return to;
  if (t < f || t >= f + n) {
    if (n >= 64 && (((uintptr_t)t ^ (uintptr_t)f) & 7) == 0) {
      while ((uintptr_t)t & 7) *t++ = *f++, n--;
      uint32_t blocks = (uint32_t)(n / 32);
      copy_blocks(t, f, blocks);
      t += blocks * 32, f += blocks * 32, n -= blocks * 32;
    }
    while (n--) *t++ = *f++;
    return to;
  }
  t += n, f += n;
  if ((((uintptr_t)t ^ (uintptr_t)f) & 3) == 0) {
    while (n && ((uintptr_t)t & 3)) *--t = *--f, n--;
    for (; n >= 4; n -= 4) {
      t -= 4, f -= 4;
      *(uint32_t*)(void*)t = *(const uint32_t*)(const void*)f;
    }
  }
  while (n--) *--t = *--f;
  return to;
}

void* memcpy(void* to, const void* from, size_t n) { return memmove(to, from, n); }

void* memset(void* to, int c, size_t n) {
  uint8_t* t = to;
  uint32_t word = (uint8_t)c * 0x01010101u;
  while (n && ((uintptr_t)t & 3)) *t++ = (uint8_t)c, n--;
  for (; n >= 16; n -= 16, t += 16) {
    uint32_t* w = (void*)t;
    w[0] = w[1] = w[2] = w[3] = word;
  }
  while (n--) *t++ = (uint8_t)c;
  return to;
}

int memcmp(const void* a, const void* b, size_t n) {
  const uint8_t *x = a, *y = b;
  for (; n; n--, x++, y++)
    if (*x != *y) return *x - *y;
  return 0;
}

size_t strlen(const char* s) {
  size_t n = 0;
  while (s[n]) n++;
  return n;
}

int strcmp(const char* a, const char* b) {
  while (*a && *a == *b) a++, b++;
  return (uint8_t)*a - (uint8_t)*b;
}

int strncmp(const char* a, const char* b, size_t n) {
  for (; n; n--, a++, b++)
    if (*a != *b || !*a) return (uint8_t)*a - (uint8_t)*b;
  return 0;
}

char* strchr(const char* s, int c) {
  for (;; s++) {
    if (*s == (char)c) return (char*)s;
    if (!*s) return NULL;
  }
}
