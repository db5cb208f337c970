// SPDX-License-Identifier: Apache-2.0
#include "app/tracer.h"

#include <fmt/format.h>

#include <algorithm>

#include "cpu/isa/isa.h"
#include "cpu/semantics/system.h"

namespace baton::app {

Tracer::Registers Tracer::registers_of(const cpu::State& s) {
  Registers r{};
  std::copy_n(s.gpr, 32, r.gpr.begin());
  std::copy_n(s.fpr, 32, r.fpr.begin());
  std::copy_n(s.vr, 32, r.vr.begin());
  for (const u8 field : s.cr) r.cr = r.cr << 4 | field;
  r.xer = cpu::sem::get_xer(s);
  r.lr = s.lr;
  r.ctr = s.ctr;
  r.msr = s.msr;
  return r;
}

std::string Tracer::changes(const Registers& now) const {
  std::string text;
  for (unsigned i = 0; i < 32; i++)
    if (now.gpr[i] != before_->gpr[i]) text += fmt::format(" r{}={:x}", i, now.gpr[i]);
  for (unsigned i = 0; i < 32; i++)
    if (now.fpr[i] != before_->fpr[i]) text += fmt::format(" f{}={:016x}", i, now.fpr[i]);
  for (unsigned i = 0; i < 32; i++)
    if (now.vr[i] != before_->vr[i])
      text += fmt::format(" v{}={:016x}{:016x}", i, static_cast<u64>(now.vr[i] >> 64),
                          static_cast<u64>(now.vr[i]));
  const struct {
    const char* name;
    u64 was, is;
  } others[] = {{"cr", before_->cr, now.cr},
                {"xer", before_->xer, now.xer},
                {"lr", before_->lr, now.lr},
                {"ctr", before_->ctr, now.ctr},
                {"msr", before_->msr, now.msr}};
  for (const auto& other : others)
    if (other.was != other.is) text += fmt::format(" {}={:x}", other.name, other.is);
  return text;
}

void Tracer::see(const cpu::State& state) {
  const Registers now = registers_of(state);
  if (before_) out_ << line_ << changes(now) << "\n";
  before_ = now;
  const cpu::Translated at = state.thread->translate(state.nia, cpu::Access::kFetch);
  const u32 stored = at.ok ? state.thread->domain().memory().load<u32>(at.ra).value_or(0) : 0;
  const u32 word = state.msr & cpu::msr::LE ? byteswap(stored) : stored;
  std::string symbol = symbols_.at(state.nia);
  if (!symbol.empty()) symbol = "<" + symbol + "> ";
  line_ = fmt::format("{:>10} {:016x} {}{:08x} {:<28}", state.instructions.load(), state.nia, symbol, word,
                      at.ok ? cpu::isa::disassemble(state.nia, word) : "(not mapped)");
}

}  // namespace baton::app
