// SPDX-License-Identifier: Apache-2.0
// Hypervisor calls: one row each (PAPR 1 to 4).
#pragma once

#include <span>
#include <string_view>

#include "cpu/bits.h"

namespace baton::hypervisor {

class Partition;
class VirtualProcessor;

/// Status codes in r3 (PAPR 2).
namespace h {
inline constexpr i64 Success = 0, Busy = 1, Closed = 2, NotAvailable = 3, Constrained = 4, Partial = 5,
                     InProgress = 14, Continue = 18, LongBusy1ms = 9900, LongBusy10ms = 9901, Hardware = -1,
                     Function = -2, Privilege = -3, Parameter = -4, BadMode = -5, PtegFull = -6,
                     NotFound = -7, ReservedDabr = -8, NoMem = -9, Authority = -10, Permission = -11,
                     Dropped = -12, SourceParm = -13, DestParm = -14, Resource = -16, State = -75,
                     Aborted = -54, P2 = -55, P3 = -56, P4 = -57, Noop = -63, TooBig = -64;
}

/// One call in flight on its virtual processor's host thread. Registers are the guest's own: handlers read
/// inputs with arg(0)=r4.. and write outputs with out(0)=r4...
class HcallContext {
 public:
  explicit HcallContext(VirtualProcessor& processor) : processor_(processor) {}
  VirtualProcessor& processor() { return processor_; }
  Partition& partition();
  u64 arg(unsigned n) const;
  void out(unsigned n, u64 value);

 private:
  VirtualProcessor& processor_;
};

struct HcallRow {
  u32 token;
  std::string_view name;      ///< "H_ENTER"
  std::string_view function;  ///< Set in ibm,hypertas-functions; empty: private or always there.
  i64 (*handler)(HcallContext&);
};

/// The parts of the table, by subject.
std::span<const HcallRow> hpt_hcalls();
std::span<const HcallRow> processor_hcalls();
std::span<const HcallRow> xics_hcalls();
std::span<const HcallRow> platform_hcalls();

/// Every call that exists, ascending by token.
std::span<const HcallRow> hcall_table();
/// Runs the call in r3 of `processor`, with the PR check; sets r3.
void dispatch_hcall(VirtualProcessor& processor);

}  // namespace baton::hypervisor
