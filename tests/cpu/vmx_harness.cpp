// SPDX-License-Identifier: Apache-2.0
#include "tests/cpu/vmx_harness.h"

#include <cmath>
#include <iomanip>
#include <memory>
#include <string_view>

#include "tests/cpu/differential/native.h"
#include "tests/cpu/differential/words.h"

namespace baton::test {

namespace isa = cpu::isa;
using cpu::State;
using cpu::test::Machine;

namespace {

Machine& machine(bool little_endian) {
  static const auto made = [] {
    std::array<std::unique_ptr<Machine>, 2> machines;
    for (bool le : {false, true}) {
      machines[le] = std::make_unique<Machine>(true, le);
      machines[le]->s.msr |= cpu::msr::VEC;
    }
    return machines;
  }();
  return *made[little_endian];
}

void load_state(Machine& m, const VmxState& in) {
  State& s = m.s;
  // What is not in the state must not matter.
  for (u128& r : s.vr) r = u128{0xDEADBEEFDEADBEEF} << 64 | 0xDEADBEEFDEADBEEF;
  for (std::size_t i = 0; i < kNumbers.size(); i++)
    s.vr[kNumbers[i]] = u128{load_be<u64>(in.vr[i].data())} << 64 | load_be<u64>(in.vr[i].data() + 8);
  s.vscr = in.vscr;
  cpu::sem::set_cr(s, in.cr);
  s.gpr[4] = kMemoryEa + in.delta;
  s.gpr[5] = in.index;
  s.fault = {};
  m.memory().write(kMemoryEa, in.memory);
}

VmxState save_state(Machine& m, const VmxState& in) {
  const State& s = m.s;
  VmxState out = in;
  for (std::size_t i = 0; i < kNumbers.size(); i++) {
    store_be(out.vr[i].data(), static_cast<u64>(s.vr[kNumbers[i]] >> 64));
    store_be(out.vr[i].data() + 8, static_cast<u64>(s.vr[kNumbers[i]]));
  }
  out.vscr = s.vscr;
  out.cr = cpu::sem::get_cr(s);
  m.memory().read(kMemoryEa, out.memory);
  return out;
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const Quad& quad) {
  const auto flags = out.flags();
  out << std::hex << std::setfill('0');
  for (unsigned i = 0; i < 4; i++) out << (i ? "_" : "") << std::setw(8) << element<u32>(quad, i);
  out.flags(flags);
  return out;
}

std::ostream& operator<<(std::ostream& out, const VmxState& s) {
  const auto flags = out.flags();
  for (std::size_t i = 0; i < kNumbers.size(); i++)
    out << " v" << std::dec << kNumbers[i] << ' ' << s.vr[i] << (i == 3 ? "\n    " : "");
  out << std::hex << "\n     vscr " << s.vscr << " cr " << s.cr << " address " << ((s.delta + s.index) & 63)
      << " memory ";
  for (u8 byte : s.memory) out << std::setfill('0') << std::setw(2) << u32{byte};
  out.flags(flags);
  return out;
}

Quad words(u32 a, u32 b, u32 c, u32 d) { return quad_of<u32>({a, b, c, d}); }
Quad floats(float a, float b, float c, float d) {
  return words(std::bit_cast<u32>(a), std::bit_cast<u32>(b), std::bit_cast<u32>(c), std::bit_cast<u32>(d));
}

VmxState run_semantics(u32 word, const VmxState& in, bool little_endian) {
  Machine& m = machine(little_endian);
  load_state(m, in);
  if (m.execute(word).flow != cpu::Flow::kNext) std::abort();
  return save_state(m, in);
}

VmxState run_engine(u32 word, const VmxState& in, bool little_endian) {
  static std::array<cpu::test::Machines, 2> machines{cpu::test::Machines{true, false, cpu::msr::VEC},
                                                     cpu::test::Machines{true, true, cpu::msr::VEC}};
  constexpr u64 kCode = 0x4000;
  Machine& m = machines[little_endian].next();
  load_state(m, in);
  if (m.run(kCode, std::span(&word, 1)) != kCode + 4) std::abort();
  return save_state(m, in);
}

std::vector<const isa::Row*> vmx_rows() {
  std::vector<const isa::Row*> rows;
  for (const isa::Row& row : isa::table())
    if (row.facility == isa::Facility::VMX) rows.push_back(&row);
  return rows;
}

const isa::Row& row_named(const std::string& mnemonic) {
  for (const isa::Row& row : isa::table())
    if (mnemonic == row.mnemonic) return row;
  std::abort();
}

bool takes_floats(const isa::Row& row) {
  const std::string_view name = row.mnemonic;
  return name.find("fp") != name.npos || name.starts_with("vrfi") || name.starts_with("vct");
}

u32 VmxOperands::instruction(const isa::Row& row) {
  u32 word = cpu::test::random_word(row, random_);
  const std::string_view operands = row.operands;
  const auto fill = [&](const char* field, unsigned shift) {
    if (operands.find(field) == operands.npos) return;
    word = (word & ~(31u << shift)) | kNumbers[below(kNumbers.size())] << shift;
  };
  fill("VR[6:10]", 21);
  fill("VR[11:15]", 16);
  fill("VR[16:20]", 11);
  fill("VR[21:25]", 6);
  if (operands.find("GPR") != operands.npos) {
    const u32 registers = below(4) ? 4 << 16 | 5 << 11 : 0 << 16 | 4 << 11;
    word = (word & ~0x001FF800u) | registers;
  }
  return word;
}

template <class T>
T VmxOperands::integer() {
  constexpr int kBits = 8 * sizeof(T);
  const u64 edge = u64{1} << (below(2) ? kBits - 1 : below(kBits));
  switch (below(6)) {
    case 0:
    case 1:
      return static_cast<T>(word());
    case 2:
      return static_cast<T>(edge + below(3) - 1);
    case 3:
      return static_cast<T>(~(edge + below(3) - 1));
    case 4:
      return static_cast<T>(below(5) - 2);
    default:
      return static_cast<T>(sign_extend(word(), kBits) >> below(kBits));
  }
}

Quad VmxOperands::integers() {
  Quad quad;
  const bool repeat = below(8) == 0;
  const auto fill = [&]<class T>(T) {
    for (unsigned i = 0; i < 16 / sizeof(T); i++)
      set_element<T>(quad, i, repeat && i > 0 ? element<T>(quad, 0) : integer<T>());
  };
  switch (below(3)) {
    case 0:
      fill(u8{});
      break;
    case 1:
      fill(u16{});
      break;
    default:
      fill(u32{});
  }
  return quad;
}

u32 VmxOperands::single() {
  static constexpr u32 kAwkward[] = {
      0x00000000, 0x00000001, 0x00000002, 0x00400000, 0x007FFFFF,              // zero, denormals
      0x00800000, 0x00800001, 0x00FFFFFF, 0x01000000, 0x7F7FFFFF, 0x7F000000,  // least, greatest normal
      0x7F800000, 0x7FC00000, 0x7FC00001, 0x7FFFFFFF, 0x7FD23456,              // infinity, quiet NaNs
      0x7F800001, 0x7FBFFFFF, 0x7FA00000,                                      // signalling NaNs
      0x3F800000, 0x3F7FFFFF, 0x3F800001, 0x40000000,                          // about 1
      0x3F000000, 0x3EFFFFFF, 0x3F000001, 0x3FC00000, 0x40200000, 0x40600000,  // halves
      0x4A7FFFFF, 0x4B000000, 0x4AFFFFFF, 0x4B000001, 0x4B7FFFFF, 0x4B800000,  // about 2^23
      0x4EFFFFFF, 0x4F000000, 0x4F000001, 0x4F7FFFFF, 0x4F800000, 0x4F800001,  // about 2^31, 2^32
      0x3F7FFFFE, 0x33800000, 0x34000000, 0x33000000,                          // ulps of 1
      0x7E800000, 0x7F000001, 0x7EFFFFFF, 0x1F800000, 0x20000000, 0x1F7FFFFF,  // reciprocals, products
      0x42FE0000, 0x43000000, 0x42FFFFFF, 0xC2FC0000, 0xC3150000, 0x43160000,  // powers at the edges
  };
  const u32 sign = static_cast<u32>(below(2)) << 31;
  switch (below(8)) {
    case 0:
    case 1:
      return kAwkward[below(std::size(kAwkward))] ^ sign;
    case 2:
      return static_cast<u32>(kAwkward[below(std::size(kAwkward))] + below(5) - 2) ^ sign;
    case 3:
      return static_cast<u32>(word());
    case 4:
      return std::bit_cast<u32>(static_cast<float>(static_cast<i32>(word()) >> below(32)) *
                                (below(2) ? 1.0f : 0.5f));
    default: {
      const u64 exponent = 127 - 35 + below(70);
      const u64 fraction = word() & 0x7FFFFF & (below(2) ? ~u64{0} : ~u64{0} << below(24));
      return static_cast<u32>(exponent << 23 | fraction) ^ sign;
    }
  }
}

VmxState VmxOperands::state(u32 instruction) {
  VmxState s;
  const isa::Row& row = *isa::decode(instruction);
  const bool as_floats = takes_floats(row) ? below(16) != 0 : below(16) == 0;
  for (Quad& quad : s.vr) {
    quad = integers();
    if (as_floats)
      for (unsigned i = 0; i < 4; i++) set_element<u32>(quad, i, single());
  }
  const auto at = [&](unsigned first) -> Quad& {
    const u32 number = field(instruction, first, first + 4);
    for (std::size_t i = 0; i < kNumbers.size(); i++)
      if (kNumbers[i] == number) return s.vr[i];
    return s.vr[0];
  };
  Quad &a = at(11), &b = at(16), &c = at(21);
  if (as_floats) {
    for (unsigned i = 0; i < 4; i++) {
      const auto get = [i](const Quad& q) { return std::bit_cast<float>(element<u32>(q, i)); };
      const auto set = [i](Quad& q, float value, u32 change) {
        set_element<u32>(q, i, std::bit_cast<u32>(value) + change);
      };
      const auto change = static_cast<u32>(below(5) - 2), sign = static_cast<u32>(below(2)) << 31;
      switch (below(8)) {
        case 0:
          set(b, get(a), change ^ sign);  // a - b cancels
          break;
        case 1:
          set(b, get(a) * get(c), change ^ sign);  // a*c - b cancels
          break;
        case 2: {
          // The product, or the sum, at the lower edge of the range.
          static constexpr int kEdges[] = {-126, -127, -149, -150, -125};
          const float x = get(a);
          if (x == 0 || !std::isfinite(x)) break;
          const int exponent = kEdges[below(5)] - std::ilogb(x);
          set(c, std::ldexp(1.0f + static_cast<float>(word() & 0x7FFFFF) * 0x1p-23f, exponent), sign);
          // Products that round up to the least normal number are rare without help.
          if (below(2)) set(c, static_cast<float>(std::ldexp(1.0, -126) / x), change ^ sign);
          static constexpr float kAddends[] = {0.0f, -0.0f, 0x1p-149f, -0x1p-149f, 0x1p-126f, -0x1p-126f};
          if (below(2)) set(b, kAddends[below(6)], 0);
          break;
        }
        default:
          break;
      }
    }
  } else {
    switch (below(8)) {
      case 0:
        b = a;
        break;
      case 1:
        b = a;
        b[below(16)] = static_cast<u8>(word());
        break;
      case 2:
        for (u8& byte : b) byte = static_cast<u8>(~a[static_cast<std::size_t>(&byte - b.data())]);
        break;
      case 3:
        // Shift counts of the whole register are the same in every byte.
        b.fill(static_cast<u8>(word()));
        break;
      case 4:
        // Sums of products at the edges.
        for (unsigned i = 0; i < 4; i++) {
          set_element<u32>(a, i, below(2) ? 0x80008000 : 0xFFFFFFFF);
          set_element<u32>(b, i, below(2) ? 0x80008000 : 0xFFFFFFFF);
          set_element<u32>(c, i, static_cast<u32>((below(2) ? 0x80000000 : 0) + below(5) - 2));
        }
        break;
      default:
        break;
    }
  }
  const std::string_view name = row.mnemonic;
  if (name == "vsl" || name == "vsr")
    if (below(8)) b.fill(b[15]);
  s.vscr = (below(2) ? 0x00010000u : 0) | (below(4) == 0 ? 1u : 0);
  s.cr = static_cast<u32>(word());
  s.index = instruction >> 16 & 31 ? (below(2) ? word() : below(64)) : 0;
  s.delta = below(64) - s.index;
  for (u8& byte : s.memory) byte = static_cast<u8>(word());
  return s;
}

}  // namespace baton::test
