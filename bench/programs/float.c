// SPDX-License-Identifier: Apache-2.0
// Floating-point work. Compiled twice: SCALAR without VMX, else for VMX in single precision and vectorised.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"

#ifdef SCALAR
typedef double real;
#else
typedef float real;
#endif

static uint64_t digest_of(const real* v, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += (double)v[i] * (double)(i % 7 + 1);
  uint64_t bits;
  memcpy(&bits, &sum, sizeof bits);
  return bits;
}

static void fill(real* v, size_t n, uint64_t seed) {
  for (size_t i = 0; i < n; i++) v[i] = (real)((double)(mix(seed + i) >> 40) * 0x1p-24 - 0.5);
}

static uint64_t matrix(void) {
  enum { N = 160 };
  real *a = room(N * N * sizeof *a), *b = room(N * N * sizeof *b), *c = room(N * N * sizeof *c);
  fill(a, N * N, 1);
  fill(b, N * N, 2);
  for (int pass = 0; pass < 4; pass++)
    for (int i = 0; i < N; i++)
      for (int k = 0; k < N; k++) {
        const real f = a[i * N + k];
        for (int j = 0; j < N; j++) c[i * N + j] += f * b[k * N + j];
      }
  const uint64_t digest = digest_of(c, N * N);
  free(a);
  free(b);
  free(c);
  return digest;
}

#ifdef SCALAR
// Solar-system-like motion of five bodies.
static uint64_t nbody(void) {
  enum { BODIES = 5, STEPS = 100000 };
  double p[BODIES][3], v[BODIES][3], m[BODIES];
  for (int i = 0; i < BODIES; i++) {
    m[i] = i ? 0.001 * i : 40;
    for (int k = 0; k < 3; k++) {
      p[i][k] = (double)(mix((uint64_t)(i * 3 + k)) >> 11) * 0x1p-53 * 30 * (i > 0);
      v[i][k] = (double)(mix((uint64_t)(100 + i * 3 + k)) >> 11) * 0x1p-53 * (i > 0);
    }
  }
  for (int step = 0; step < STEPS; step++) {
    for (int i = 0; i < BODIES; i++)
      for (int j = i + 1; j < BODIES; j++) {
        const double x = p[i][0] - p[j][0], y = p[i][1] - p[j][1], z = p[i][2] - p[j][2];
        const double square = x * x + y * y + z * z + 0.01, pull = 0.001 / (square * sqrt(square));
        const double by[3] = {x, y, z};
        for (int k = 0; k < 3; k++) {
          v[i][k] -= by[k] * m[j] * pull;
          v[j][k] += by[k] * m[i] * pull;
        }
      }
    for (int i = 0; i < BODIES; i++)
      for (int k = 0; k < 3; k++) p[i][k] += 0.001 * v[i][k];
  }
  return digest_of(&p[0][0], BODIES * 3);
}

// Radix-2 transform of 2^14 complex points, forwards, a few times.
static uint64_t fft(void) {
  enum { LOG = 14, N = 1 << LOG };
  double *re = room(N * sizeof *re), *im = room(N * sizeof *im), *c = room(N * sizeof *c),
         *s = room(N * sizeof *s);
  fill(re, N, 3);
  // By turning step by step: the C library's sine has instructions that QEMU 7.2 does not know.
  const double angle = 2 * M_PI / N, cosine = 1 - angle * angle / 2 + angle * angle * angle * angle / 24,
               sine = angle - angle * angle * angle / 6 + angle * angle * angle * angle * angle / 120;
  c[0] = 1;
  for (int i = 1; i < N; i++) {
    c[i] = c[i - 1] * cosine - s[i - 1] * sine;
    s[i] = s[i - 1] * cosine + c[i - 1] * sine;
  }
  for (int pass = 0; pass < 4; pass++) {
    for (int i = 0, j = 0; i < N; i++) {
      if (i < j) {
        double t = re[i];
        re[i] = re[j];
        re[j] = t;
        t = im[i];
        im[i] = im[j];
        im[j] = t;
      }
      int bit = N >> 1;
      for (; j & bit; bit >>= 1) j ^= bit;
      j |= bit;
    }
    for (int half = 1; half < N; half *= 2)
      for (int at = 0; at < N; at += 2 * half)
        for (int k = 0; k < half; k++) {
          const int t = k * (N / (2 * half)), x = at + k, y = x + half;
          const double wr = re[y] * c[t] + im[y] * s[t], wi = im[y] * c[t] - re[y] * s[t];
          re[y] = (re[x] - wr) * 0.5;
          im[y] = (im[x] - wi) * 0.5;
          re[x] = (re[x] + wr) * 0.5;
          im[x] = (im[x] + wi) * 0.5;
        }
  }
  const uint64_t digest = digest_of(re, N) ^ digest_of(im, N);
  free(re);
  free(im);
  free(c);
  free(s);
  return digest;
}

// Solves a dense system with partial pivoting.
static uint64_t linpack(void) {
  enum { N = 220 };
  double *a = room(N * N * sizeof *a), *b = room(N * sizeof *b);
  fill(a, N * N, 4);
  fill(b, N, 5);
  for (int k = 0; k < N; k++) {
    int best = k;
    for (int i = k + 1; i < N; i++)
      if (fabs(a[i * N + k]) > fabs(a[best * N + k])) best = i;
    for (int j = 0; j < N; j++) {
      const double t = a[k * N + j];
      a[k * N + j] = a[best * N + j];
      a[best * N + j] = t;
    }
    const double t = b[k];
    b[k] = b[best];
    b[best] = t;
    for (int i = k + 1; i < N; i++) {
      const double f = a[i * N + k] / a[k * N + k];
      for (int j = k; j < N; j++) a[i * N + j] -= f * a[k * N + j];
      b[i] -= f * b[k];
    }
  }
  for (int i = N - 1; i >= 0; i--) {
    for (int j = i + 1; j < N; j++) b[i] -= a[i * N + j] * b[j];
    b[i] /= a[i * N + i];
  }
  const uint64_t digest = digest_of(b, N);
  free(a);
  free(b);
  return digest;
}

// How long points of the plane take to escape.
static uint64_t mandelbrot(void) {
  enum { N = 160, MOST = 200 };
  uint64_t steps = 0;
  for (int row = 0; row < N; row++)
    for (int column = 0; column < N; column++) {
      const double cx = column * (3.0 / N) - 2.1, cy = row * (2.4 / N) - 1.2;
      double x = 0, y = 0;
      for (int i = 0; i < MOST && x * x + y * y < 4; i++, steps++) {
        const double t = x * x - y * y + cx;
        y = 2 * x * y + cy;
        x = t;
      }
    }
  return steps;
}

const struct program scalar_programs[] = {
    {"fp", "nbody", nbody},     {"fp", "matrix", matrix},         {"fp", "fft", fft},
    {"fp", "linpack", linpack}, {"fp", "mandelbrot", mandelbrot}, {0}};
#else
static uint64_t saxpy(void) {
  enum { N = 1 << 14 };
  float *x = room(N * sizeof *x), *y = room(N * sizeof *y);
  fill(x, N, 6);
  fill(y, N, 7);
  for (int pass = 0; pass < 300; pass++) {
    const float f = 1.0f / (float)(pass + 1);
    for (int i = 0; i < N; i++) y[i] = f * x[i] + y[i];
  }
  const uint64_t digest = digest_of(y, N);
  free(x);
  free(y);
  return digest;
}

// Mean of three images, and their difference with saturation: bytes and halfwords.
static uint64_t pixels(void) {
  enum { N = 1 << 16 };
  uint8_t *a = room(N), *b = room(N), *c = room(N);
  for (int i = 0; i < N; i++) {
    a[i] = (uint8_t)mix((uint64_t)i);
    b[i] = (uint8_t)(mix((uint64_t)i) >> 8);
  }
  for (int pass = 0; pass < 100; pass++)
    for (int i = 0; i < N; i++) {
      const int sum = c[i] + (a[i] > b[i] ? a[i] - b[i] : b[i] - a[i]);
      c[i] = (uint8_t)(sum > 255 ? 255 - (sum & 63) : sum);
    }
  uint64_t digest = 0;
  for (int i = 0; i < N; i++) digest = digest * 31 + c[i];
  free(a);
  free(b);
  free(c);
  return digest;
}

const struct program vector_programs[] = {
    {"vmx", "matrix4", matrix}, {"vmx", "saxpy", saxpy}, {"vmx", "pixels", pixels}, {0}};
#endif
