// SPDX-License-Identifier: Apache-2.0
// What the VMX tests share: running one instruction, and operands that hurt.
#pragma once

#include <array>
#include <cstdlib>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "cpu/isa/isa.h"

namespace baton::test {

/// A vector register as storage would hold it: byte 0 is the leftmost element of the ISA.
using Quad = std::array<u8, 16>;

/// The registers that the tests use.
inline constexpr std::array<u32, 8> kNumbers = {0, 1, 2, 3, 15, 16, 30, 31};
inline constexpr u64 kMemoryEa = 0x6000;

/// The state that one VMX instruction sees and leaves.
struct VmxState {
  std::array<Quad, 8> vr{};  ///< Those of kNumbers.
  u32 vscr = 0;
  u32 cr = 0;
  u64 delta = 0, index = 0;  ///< r4 is the address of `memory` plus delta; r5 is index.
  std::array<u8, 64> memory{};
  bool operator==(const VmxState&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Quad& quad);
std::ostream& operator<<(std::ostream& out, const VmxState& state);

/// Elements by number, big-endian.
template <class T>
T element(const Quad& quad, unsigned number) {
  return load_be<T>(quad.data() + sizeof(T) * number);
}
template <class T>
void set_element(Quad& quad, unsigned number, T value) {
  store_be<T>(quad.data() + sizeof(T) * number, value);
}
template <class T>
Quad quad_of(const std::array<T, 16 / sizeof(T)>& elements) {
  Quad quad;
  for (unsigned i = 0; i < elements.size(); i++) set_element<T>(quad, i, elements[i]);
  return quad;
}
Quad words(u32 a, u32 b, u32 c, u32 d);
Quad floats(float a, float b, float c, float d);
/// The same element everywhere.
template <class T>
Quad every(T value) {
  std::array<T, 16 / sizeof(T)> elements;
  elements.fill(value);
  return quad_of<T>(elements);
}

/// Executes an instruction word with the semantics under test, or as a program by the engine. It must not be
/// interrupted.
VmxState run_semantics(u32 word, const VmxState& in, bool little_endian = false);
VmxState run_engine(u32 word, const VmxState& in, bool little_endian = false);

/// The VMX rows of the table.
std::vector<const cpu::isa::Row*> vmx_rows();
const cpu::isa::Row& row_named(const std::string& mnemonic);
/// Whether the instruction takes its operands as singles.
bool takes_floats(const cpu::isa::Row& row);

/// Pseudo-random operands, chosen so that special cases meet often.
class VmxOperands {
 public:
  explicit VmxOperands(u64 seed) : random_(seed) {}
  /// A word of the row: registers from kNumbers; r4 + r5 or r4 as the address.
  u32 instruction(const cpu::isa::Row& row);
  /// A state for it.
  VmxState state(u32 instruction);
  u64 word() { return random_(); }
  u64 below(u64 n) { return random_() % n; }

 private:
  Quad integers();
  u32 single();
  template <class T>
  T integer();
  std::mt19937_64 random_;
};

/// Cases for each instruction; BATON_VMX_CASES overrides it.
inline u64 vmx_case_count(u64 normal) {
  const char* asked = std::getenv("BATON_VMX_CASES");
  return asked ? std::strtoull(asked, nullptr, 0) : normal;
}

}  // namespace baton::test
