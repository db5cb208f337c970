// SPDX-License-Identifier: Apache-2.0
// Floating point as programs use it is done by the host's arithmetic (DESIGN 3): the integer arithmetic
// behind it is for the cases that the host cannot do, and these are rare. The linker passes its calls through
// this file.
#include <array>
#include <cmath>

#include "cpu/fpu/fpu.h"
#include "tests/cpu/bare_metal/machine.h"

// fpu::arithmetic as the rest of the program calls it (--wrap), and as it is.
#define ARITHMETIC _ZN5baton3cpu3fpu10arithmeticERNS0_5StateENS1_2OpEjmmm
#define JOIN(a, b) a##b
#define NAME(prefix, symbol) JOIN(prefix, symbol)

namespace baton::bare_metal {
namespace {
std::atomic<u64> integer_arithmetic{0};
}

extern "C" cpu::Flow NAME(__real_, ARITHMETIC)(cpu::State& s, cpu::fpu::Op op, u32 frt, u64 a, u64 b, u64 c);
extern "C" cpu::Flow NAME(__wrap_, ARITHMETIC)(cpu::State& s, cpu::fpu::Op op, u32 frt, u64 a, u64 b, u64 c);
extern "C" cpu::Flow NAME(__wrap_, ARITHMETIC)(cpu::State& s, cpu::fpu::Op op, u32 frt, u64 a, u64 b, u64 c) {
  integer_arithmetic++;
  return NAME(__real_, ARITHMETIC)(s, op, frt, a, b, c);
}

namespace {

constexpr u64 kPairs = 10, kArithmeticAPair = 15;  ///< At least, as instructions.

class HostArithmetic : public OneThread {
 protected:
  /// Runs the bodies for so many steps; their energy afterwards.
  double run(u64 steps) {
    // Years, astronomical units and solar masses of which the sun has 4 pi^2; the customary start of this
    // benchmark.
    const double pi = std::acos(-1.0), sun = 4 * pi * pi, days = 365.24;
    const std::array<std::array<double, 7>, 5> bodies{{
        {0, 0, 0, 0, 0, 0, 1},
        {4.84143144246472090e+00, -1.16032004402742839e+00, -1.03622044471123109e-01, 1.66007664274403694e-03,
         7.69901118419740425e-03, -6.90460016972063023e-05, 9.54791938424326609e-04},
        {8.34336671824457987e+00, 4.12479856412430479e+00, -4.03523417114321381e-01, -2.76742510726411899e-03,
         4.99852801234917238e-03, 2.30417297573763929e-05, 2.85885980666130812e-04},
        {1.28943695621391310e+01, -1.51111514016986312e+01, -2.23307578892655734e-01, 2.96460137564761618e-03,
         2.37847173959480950e-03, -2.96589568540237556e-05, 4.36624404335156298e-05},
        {1.53796971148509165e+01, -2.59193146099879641e+01, 1.79258772950371181e-01, 2.68067772490389322e-03,
         1.62824170038242295e-03, -9.51592254519715870e-05, 5.15138902046611451e-05},
    }};
    std::array<double, 3> momentum{};
    for (const auto& b : bodies)
      for (unsigned k = 0; k < 3; k++) momentum[k] += b[3 + k] * days * b[6] * sun;
    u64 at = Machine::kData;
    const auto put = [&](double value) {
      m.store(at, std::bit_cast<u64>(value));
      at += 8;
    };
    m.store(at, steps);
    m.store(at + 8, 0);
    at += 16;
    for (unsigned i = 0; i < 5; i++) {
      for (unsigned k = 0; k < 3; k++) put(bodies[i][k]);
      for (unsigned k = 0; k < 3; k++) put(i ? bodies[i][3 + k] * days : -momentum[k] / sun);
      put(bodies[i][6] * sun);
    }
    m.gpr(1) = Machine::kData + 0x10000;
    m.gpr(3) = Machine::kData;
    m.gpr(12) = m.at("n_body");
    EXPECT_TRUE(completed(m.run("n_body", msr::SF | msr::ME | msr::FP)));
    return std::bit_cast<double>(m.load(Machine::kData + 8));
  }
};

TEST_F(HostArithmetic, BodiesMove) {
  constexpr u64 kSteps = 1000;
  EXPECT_NEAR(run(0), -0.169075164, 1e-9);
  const u64 before = integer_arithmetic;
  EXPECT_NEAR(run(kSteps), -0.169087605, 1e-9);
  const u64 calls = integer_arithmetic - before, least = kSteps * kPairs * kArithmeticAPair;
  EXPECT_LT(calls * 100, least);
  // The count is one: another rounding mode takes the other way.
  s.fpscr = 1;
  const u64 nearest = integer_arithmetic;
  run(1);
  EXPECT_GT(integer_arithmetic - nearest, kPairs);
  std::cout << calls << " of more than " << least << " operations in integer arithmetic\n";
}

}  // namespace
}  // namespace baton::bare_metal
