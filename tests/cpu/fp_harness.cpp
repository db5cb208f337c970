// SPDX-License-Identifier: Apache-2.0
#include "tests/cpu/fp_harness.h"

#include <cmath>
#include <iomanip>
#include <memory>

#include "cpu/isa/isa.h"
#include "tests/cpu/differential/native.h"
#include "tests/cpu/differential/peer.h"

namespace baton::test {
namespace {

using cpu::Flow;
using cpu::State;
using cpu::test::Machine;
namespace isa = cpu::isa;
namespace sem = cpu::sem;

constexpr u64 kEnabled = cpu::msr::FE0 | cpu::msr::FE1;  // MSR[FP] is on anyhow.

void load_state(Machine& m, const FpState& in, bool little_endian) {
  State& s = m.s;
  s.fault = {};
  s.gpr[4] = kMemoryEa;
  std::array<u8, 16> bytes;
  for (int i = 0; i < 2; i++) store(&bytes[8 * i], in.memory[i], little_endian);
  m.memory().write(kMemoryEa, bytes);
  for (int i = 0; i < 4; i++) s.fpr[i + 1] = in.fpr[i];
  s.fpscr = in.fpscr;
  sem::set_cr(s, in.cr);
}

FpState save_state(Machine& m, bool little_endian) {
  const State& s = m.s;
  FpState out;
  for (int i = 0; i < 4; i++) out.fpr[i] = s.fpr[i + 1];
  out.fpscr = s.fpscr;
  out.cr = sem::get_cr(s);
  std::array<u8, 16> bytes;
  m.memory().read(kMemoryEa, bytes);
  for (int i = 0; i < 2; i++) out.memory[i] = load<u64>(&bytes[8 * i], little_endian);
  return out;
}

u64 real_bits(double value) { return std::bit_cast<u64>(value); }
double real(u64 bits) { return std::bit_cast<double>(bits); }

}  // namespace

std::ostream& operator<<(std::ostream& out, const FpState& s) {
  const auto flags = out.flags();
  out << std::hex << std::setfill('0');
  for (u64 f : s.fpr) out << std::setw(16) << f << ' ';
  out << "fpscr " << std::setw(9) << s.fpscr << " cr " << std::setw(8) << s.cr << " memory " << std::setw(16)
      << s.memory[0] << ' ' << std::setw(16) << s.memory[1] << (s.interrupt ? " interrupt" : "");
  out.flags(flags);
  return out;
}

Flow execute_fp(State& s, u32 word) {
  const isa::Row* row = isa::decode(word);
  if (!row) std::abort();
  return cpu::test::native(row->id)(s, {isa::operands(*row, word), 0});
}

FpState run_semantics(u32 word, const FpState& in, bool little_endian) {
  static const auto machines = [] {
    std::array<std::unique_ptr<Machine>, 2> made;
    for (bool le : {false, true}) {
      made[le] = std::make_unique<Machine>(true, le);
      made[le]->s.msr |= kEnabled;
    }
    return made;
  }();
  Machine& m = *machines[little_endian];
  load_state(m, in, little_endian);
  const Flow flow = execute_fp(m.s, word);
  FpState out = save_state(m, little_endian);
  out.interrupt = flow == Flow::kStop;
  if (out.interrupt && (m.s.fault.vector != cpu::Vector::kProgram || m.s.fault.srr1 != cpu::program::kFloat))
    std::abort();
  return out;
}

FpState run_engine(u32 word, const FpState& in, bool little_endian) {
  static std::array<cpu::test::Machines, 2> machines{cpu::test::Machines{true, false, kEnabled},
                                                     cpu::test::Machines{true, true, kEnabled}};
  constexpr u64 kCode = 0x4000;
  Machine& m = machines[little_endian].next();
  load_state(m, in, little_endian);
  const u64 msr = m.s.msr;
  const u64 end = m.run(kCode, std::span(&word, 1));
  FpState out = save_state(m, little_endian);
  out.interrupt = end == static_cast<u64>(cpu::Vector::kProgram);
  if (out.interrupt ? m.s.srr0 != kCode || !(m.s.srr1 & cpu::program::kFloat) : end != kCode + 4)
    std::abort();
  m.s.msr = msr;
  m.thread().state_changed();
  return out;
}

u32 fp_word(const std::string& mnemonic) {
  for (const isa::Row& row : isa::table()) {
    if (mnemonic != row.mnemonic) continue;
    const bool memory = mnemonic.starts_with("lf") || mnemonic.starts_with("stf");
    if (memory) {
      // f1, or the pair f2, f3. RB = r5 is 0 in the harness and set to 0 by the runner.
      const u32 target = mnemonic.find("dp") != std::string::npos ? 2 : 1;
      return row.value | target << 21 | 4 << 16 | (row.form == isa::Form::X ? 5 << 11 : 0);
    }
    if (mnemonic.starts_with("mcrfs") || mnemonic.starts_with("mtfsfi")) return row.value | 3 << 23;
    if (mnemonic.starts_with("fcmp")) return row.value | 2 << 23 | 2 << 16 | 3 << 11;
    u32 word = row.value | 1 << 21;
    const std::string operands = row.operands;
    if (operands.find("FPR[11:15]") != std::string::npos) word |= 2 << 16;
    if (operands.find("FPR[16:20]") != std::string::npos) word |= 3 << 11;
    if (operands.find("FPR[21:25]") != std::string::npos) word |= 4 << 6;
    return word;
  }
  std::abort();
}

std::vector<u32> fp_words(const std::string& mnemonic) {
  const u32 word = fp_word(mnemonic);
  std::vector<u32> words;
  if (mnemonic.starts_with("mtfsb")) {
    for (u32 bit = 0; bit < 32; bit++) words.push_back((word & ~(31u << 21)) | bit << 21);
  } else if (mnemonic.starts_with("mtfsfi")) {
    for (u32 i = 0; i < 256; i++)
      words.push_back((word & ~(7u << 23)) | (i & 7) << 23 | (i >> 3 & 1) << 16 | i >> 4 << 12);
  } else if (mnemonic.starts_with("mtfsf")) {
    for (u32 i = 0; i < 1024; i++)
      words.push_back((word & ~(255u << 17)) | (i & 255) << 17 | (i >> 8 & 1) << 16 | i >> 9 << 25);
  } else if (mnemonic == "mcrfs") {
    for (u32 i = 0; i < 64; i++) words.push_back((word & ~(7u << 23)) | (i & 7) << 23 | i >> 3 << 18);
  } else if (mnemonic.starts_with("fcmp")) {
    for (u32 i = 0; i < 8; i++) words.push_back((word & ~(7u << 23)) | i << 23);
  } else {
    words.push_back(word);
  }
  return words;
}

std::vector<std::string> fp_mnemonics() {
  std::vector<std::string> names;
  for (const isa::Row& row : isa::table()) {
    if (row.facility == isa::Facility::FP && row.id != isa::Id::mffgpr && row.id != isa::Id::mftgpr) {
      names.push_back(row.mnemonic);
    }
  }
  return names;
}

u64 Operands::near(u64 value) { return value + below(5) - 2; }

u64 Operands::value(bool singles) {
  static constexpr u64 kAwkward[] = {
      0x0000000000000000, 0x0000000000000001, 0x0000000000000002,
      0x000FFFFFFFFFFFFF,  // zero, denormals
      0x0010000000000000, 0x0010000000000001, 0x0020000000000000,
      0x7FEFFFFFFFFFFFFF,                                          // least, greatest normal
      0x7FE0000000000000, 0x7FD0000000000000, 0x7FF0000000000000,  // near infinity
      0x7FF8000000000000, 0x7FF8000000000001, 0x7FFFFFFFFFFFFFFF,
      0x7FFC000012345678,  // quiet NaNs
      0x7FF0000000000001, 0x7FF7FFFFFFFFFFFF, 0x7FF4000000000000,
      0x7FF0000020000000,  // signalling NaNs
      0x3FF0000000000000, 0x3FF0000000000001, 0x3FEFFFFFFFFFFFFF,
      0x4000000000000000,  // about 1
      0x3FE0000000000000, 0x3FE0000000000001, 0x3FDFFFFFFFFFFFFF,
      0x3FF8000000000000,  // about a half
      0x3FF0000010000000, 0x3FF0000010000001, 0x3FF000000FFFFFFF,
      0x3FF0000030000000,  // halfway singles
      0x36A0000000000000, 0x3690000000000000, 0x3690000000000001,
      0x380FFFFFC0000000,  // denormal singles
      0x3810000000000000, 0x380FFFFFE0000000, 0x380FFFFFF0000000,
      0x3800000000000000,  // least normal single
      0x47EFFFFFE0000000, 0x47EFFFFFEFFFFFFF, 0x47EFFFFFF0000000,
      0x47F0000000000000,  // greatest single
      0x41DFFFFFFFC00000, 0x41DFFFFFFFE00000, 0x41E0000000000000,
      0x41E0000000100000,  // about 2^31
      0x43DFFFFFFFFFFFFF, 0x43E0000000000000, 0x43E0000000000001,
      0x4340000000000000,  // 2^63, 2^53
      0x4330000000000001, 0x432FFFFFFFFFFFFF, 0x4004000000000000,
      0x400C000000000000,  // 2^52; 2.5, 3.5
      0x3CA0000000000000, 0x3CB0000000000000, 0x3E70000000000000,
      0x3E80000000000000,  // ulps of 1
      0x1FF0000000000000, 0x5FE0000000000000, 0x03E0000000000000,
      0x0340000000000000,  // products at the edges
  };
  const u64 sign = below(2) << 63;
  u64 v;
  switch (below(8)) {
    case 0:
    case 1:
      v = kAwkward[below(std::size(kAwkward))];
      break;
    case 2:
      v = near(kAwkward[below(std::size(kAwkward))]);
      break;
    case 3:
      v = word();
      break;
    case 4:
      v = real_bits(static_cast<double>(static_cast<i64>(word()) >> below(64)) * (below(2) ? 1 : 0.5));
      break;
    default: {
      // An ordinary number, sometimes with few bits.
      const u64 exponent = 1023 - 40 + below(80);
      v = exponent << 52 | (word() & 0xFFFFFFFFFFFFF & (below(2) ? ~u64{0} : ~u64{0} << below(53)));
    }
  }
  v ^= sign;
  if (singles && below(4)) {
    // To a single: of its range, and mostly of its precision.
    const u32 e = v >> 52 & 0x7FF;
    if (e && e != 0x7FF && (e < 1023 - 149 || e > 1023 + 127)) {
      const u64 to = 1023 - 149 + below(277);
      v = (v & ~(u64{0x7FF} << 52)) | to << 52;
    }
    if (below(8)) v = real_bits(static_cast<double>(static_cast<float>(real(v))));
  }
  return v;
}

std::array<u64, 3> Operands::triple(bool singles) {
  u64 a = value(singles), b = value(singles), c = value(singles);
  const u64 sign = below(2) << 63;
  switch (below(11)) {
    case 0:
      b = near(a) ^ sign;
      break;  // a - b cancels
    case 1:
      b = near(real_bits(real(a) * real(c))) ^ sign;
      break;  // a*c - b cancels
    case 2:
      b = real_bits(real(a) * real(c)) ^ sign;
      break;
    case 3:
      a = real_bits(real(b) * real(c));
      break;  // a / b is about c
    case 4:
      b = real_bits(real(c) * real(c));
      break;  // root of b is about c
    case 5: {
      // b is about half an ulp of a, or of a single a.
      const u64 e = a >> 52 & 0x7FF, down = below(2) ? 53 : 24;
      if (e > 60) b = near((e - down) << 52 | (below(2) ? word() & 0xFFFFFFFFFFFFF : 0)) ^ sign;
      break;
    }
    case 6: {
      // The product at the edge of double or single range.
      static constexpr int kEdges[] = {-1022, -1074, 1023, -126, -149, 127, -960};
      const int e = static_cast<int>(a >> 52 & 0x7FF) - 1023;
      const int want = kEdges[below(7)] - e + static_cast<int>(below(5)) - 2;
      if (want > -1023 && want < 1024) c = (c & ~(u64{0x7FF} << 52)) | static_cast<u64>(want + 1023) << 52;
      if (below(2)) b = real_bits(std::ldexp(real(b), -1074));
      break;
    }
    case 7: {
      // The quotient at such an edge.
      static constexpr int kEdges[] = {-1022, -126, -149, 127};
      b = (b & ~(u64{0x7FF} << 52)) | (1023 + 80 + below(800)) << 52;
      a = near(real_bits(std::ldexp(real(b), kEdges[below(4)]))) ^ sign;
      break;
    }
    default:
      break;
  }
  if (singles && below(8)) {
    for (u64* v : {&a, &b, &c}) {
      if (!std::isnan(real(*v))) *v = real_bits(static_cast<double>(static_cast<float>(real(*v))));
    }
  }
  return {a, b, c};
}

u64 Operands::fpscr(u32 rounding) {
  namespace f = cpu::fpscr;
  u64 value = rounding;
  if (below(2))
    value |= word() & (f::FX | f::OX | f::UX | f::ZX | f::XX | f::VXSNAN | f::VXISI | f::VXCVI | f::VXSOFT);
  if (below(2)) value |= f::XX;
  if (below(2)) value |= word() & (f::FPRF | f::FR | f::FI);
  if (below(8) == 0) value |= word() & f::DRN;
  if (below(2)) value |= word() & (f::VE | f::OE | f::UE | f::ZE | f::XE);
  // No exception is pending.
  if (value & f::VE) value &= ~f::kInvalid;
  value &= ~((value & (f::OE | f::UE | f::ZE | f::XE)) << 22);
  return cpu::fpu::summarise(value);
}

}  // namespace baton::test
