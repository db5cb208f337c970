// SPDX-License-Identifier: Apache-2.0
// Integer work of our own; the larger programs of this group come from Debian's sources.
#include <stdlib.h>
#include <string.h>

#include "measure.h"

static __attribute__((noinline)) unsigned fib(unsigned n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
static uint64_t recursion(void) { return fib(32); }

static int ascending(const void* a, const void* b) {
  uint32_t x = *(const uint32_t*)a, y = *(const uint32_t*)b;
  return (x > y) - (x < y);
}
static uint64_t sort(void) {
  enum { N = 300000 };
  uint32_t* v = room(N * sizeof *v);
  for (uint32_t i = 0; i < N; i++) v[i] = (uint32_t)mix(i);
  qsort(v, N, sizeof *v, ascending);
  uint64_t digest = 0;
  for (uint32_t i = 0; i < N; i++) digest = digest * 31 + v[i];
  free(v);
  return digest;
}

static inline uint32_t turn(uint32_t x, int by) { return x >> by | x << (32 - by); }

// SHA-256 of 8 MB (FIPS 180-4); its constants are made, not listed: fractions of the roots of the first
// primes.
static uint32_t root_fraction(unsigned prime, int power) {
  // The largest r with r^power <= prime * 2^(32 power); its low 32 bits are the fraction.
  const unsigned __int128 bound = (unsigned __int128)prime << 32 * power;
  uint64_t low = 0, high = (uint64_t)1 << 37;
  while (high - low > 1) {
    const uint64_t r = low + (high - low) / 2;
    unsigned __int128 p = r;
    for (int i = 1; i < power; i++) p *= r;
    if (p > bound)
      high = r;
    else
      low = r;
  }
  return (uint32_t)low;
}
static uint64_t sha256(void) {
  static uint32_t k[64], first[8];
  static uint8_t data[1 << 20];
  if (!k[0]) {
    unsigned n = 0;
    for (unsigned prime = 2; n < 64; prime++) {
      unsigned d = 2;
      while (d * d <= prime && prime % d) d++;
      if (d * d <= prime) continue;
      if (n < 8) first[n] = root_fraction(prime, 2);
      k[n++] = root_fraction(prime, 3);
    }
    for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)mix(i);
  }
  uint32_t h[8];
  memcpy(h, first, sizeof h);
  for (int pass = 0; pass < 8; pass++)
    for (size_t at = 0; at < sizeof data; at += 64) {
      uint32_t w[64], s[8];
      for (int i = 0; i < 16; i++) {
        const uint8_t* b = data + at + 4 * i;
        w[i] = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
      }
      for (int i = 16; i < 64; i++)
        w[i] = w[i - 16] + w[i - 7] + (turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ w[i - 15] >> 3) +
               (turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ w[i - 2] >> 10);
      memcpy(s, h, sizeof s);
      for (int i = 0; i < 64; i++) {
        uint32_t one = s[7] + (turn(s[4], 6) ^ turn(s[4], 11) ^ turn(s[4], 25)) +
                       ((s[4] & s[5]) ^ (~s[4] & s[6])) + k[i] + w[i];
        uint32_t two = (turn(s[0], 2) ^ turn(s[0], 13) ^ turn(s[0], 22)) +
                       ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        memmove(s + 1, s, 7 * sizeof *s);
        s[4] += one;
        s[0] = one + two;
      }
      for (int i = 0; i < 8; i++) h[i] += s[i];
    }
  return (uint64_t)h[0] << 32 | h[1];
}

static uint64_t sieve(void) {
  enum { N = 4000000 };
  uint8_t* composite = room(N);
  uint64_t primes = 0;
  for (uint32_t i = 2; i < N; i++) {
    if (composite[i]) continue;
    primes++;
    for (uint64_t j = (uint64_t)i * i; j < N; j += i) composite[j] = 1;
  }
  free(composite);
  return primes;
}

const struct program integer_programs[] = {{"integer", "fib", recursion},
                                           {"integer", "quicksort", sort},
                                           {"integer", "sha256", sha256},
                                           {"integer", "sieve", sieve},
                                           {0}};
