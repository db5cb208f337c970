// SPDX-License-Identifier: Apache-2.0
// The sun and the four great planets under their gravitation: floating point as programs use it.
typedef unsigned long u64;

struct body {
  double position[3], velocity[3], mass;
};

struct orders {
  u64 steps;
  double energy;  // out
  struct body bodies[5];
};

static double root(double x) {
  double r;
  __asm__("fsqrt %0,%1" : "=d"(r) : "d"(x));
  return r;
}

// Reached with bctr: never returns.
void n_body(struct orders* orders) {
  struct body* const b = orders->bodies;
  const double dt = 0.01;
  for (u64 step = 0; step < orders->steps; step++) {
    for (int i = 0; i < 5; i++) {
      for (int j = i + 1; j < 5; j++) {
        double d[3], square = 0;
        for (int k = 0; k < 3; k++) {
          d[k] = b[i].position[k] - b[j].position[k];
          square += d[k] * d[k];
        }
        const double magnitude = dt / (square * root(square));
        for (int k = 0; k < 3; k++) {
          b[i].velocity[k] -= d[k] * b[j].mass * magnitude;
          b[j].velocity[k] += d[k] * b[i].mass * magnitude;
        }
      }
    }
    for (int i = 0; i < 5; i++)
      for (int k = 0; k < 3; k++) b[i].position[k] += dt * b[i].velocity[k];
  }
  double energy = 0;
  for (int i = 0; i < 5; i++) {
    double square = 0;
    for (int k = 0; k < 3; k++) square += b[i].velocity[k] * b[i].velocity[k];
    energy += 0.5 * b[i].mass * square;
    for (int j = i + 1; j < 5; j++) {
      square = 0;
      for (int k = 0; k < 3; k++) {
        const double d = b[i].position[k] - b[j].position[k];
        square += d * d;
      }
      energy -= b[i].mass * b[j].mass / root(square);
    }
  }
  orders->energy = energy;
  for (;;) __asm__ volatile(".long 0x44000022");
}
