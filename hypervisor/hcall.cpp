// SPDX-License-Identifier: Apache-2.0
// The table of hypervisor calls and the way into it (PAPR 1).
#include "hypervisor/hcall.h"

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "hypervisor/partition.h"
#include "hypervisor/vio_hcalls.h"
#include "hypervisor/virtual_processor.h"

namespace baton::hypervisor {
namespace {

std::vector<HcallRow> assemble() {
  std::vector<HcallRow> table;
  const auto add = [&](std::span<const HcallRow> rows) {
    table.insert(table.end(), rows.begin(), rows.end());
  };
  add(hpt_hcalls());
  add(processor_hcalls());
  add(xics_hcalls());
  add(platform_hcalls());
  add(vio_hcalls());
  std::ranges::sort(table, {}, &HcallRow::token);
  const auto twice = std::ranges::adjacent_find(table, {}, &HcallRow::token);
  if (twice != table.end())
    throw std::logic_error("hypervisor call in two tables: " + std::string(twice->name));
  return table;
}

}  // namespace

Partition& HcallContext::partition() { return processor_.partition(); }
u64 HcallContext::arg(unsigned n) const { return processor_.thread().state().gpr[4 + n]; }
void HcallContext::out(unsigned n, u64 value) { processor_.thread().state().gpr[4 + n] = value; }

std::span<const HcallRow> hcall_table() {
  static const std::vector<HcallRow> table = assemble();
  return table;
}

void dispatch_hcall(VirtualProcessor& processor) {
  cpu::State& s = processor.thread().state();
  if (s.msr & cpu::msr::PR) {
    s.gpr[3] = static_cast<u64>(h::Privilege);
    return;
  }
  // Registers of 32-bit code may hold anything in their upper halves.
  const u64 token = s.gpr[3] & s.ea_mask;
  const auto table = hcall_table();
  const auto row = std::ranges::lower_bound(table, token, {}, &HcallRow::token);
  if (row == table.end() || row->token != token) {
    s.gpr[3] = static_cast<u64>(h::Function);
    return;
  }
  HcallContext context(processor);
  s.gpr[3] = static_cast<u64>(row->handler(context));
}

}  // namespace baton::hypervisor
