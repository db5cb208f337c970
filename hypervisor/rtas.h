// SPDX-License-Identifier: Apache-2.0
// Run-time abstraction services: one row each (PAPR 7). The entry in the partition only does `sc 1`.
#pragma once

#include <span>
#include <string_view>

#include "cpu/bits.h"

namespace baton::hypervisor {

class Partition;
class VirtualProcessor;

namespace rtas {
/// Status words (PAPR 7.1).
inline constexpr i32 kSuccess = 0, kNoData = 1, kHardware = -1, kBusy = -2, kParameter = -3,
                     kNotAuthorized = -9002, kSystemParameter = -9999, kNoResources = 3, kAborted = 9000,
                     kNotSuspendable = -9004, kThreadsActive = -9005, kUnusable = -9003;
}  // namespace rtas

/// One call: the argument buffer is in the partition's memory, checked by the dispatcher.
class RtasContext {
 public:
  RtasContext(VirtualProcessor& processor, u64 args, u32 nargs, u64 rets, u32 nrets)
      : processor_(processor), args_(args), rets_(rets), nargs_(nargs), nrets_(nrets) {}
  VirtualProcessor& processor() { return processor_; }
  Partition& partition();
  u32 nargs() const { return nargs_; }
  u32 arg(u32 n) const;
  void ret(u32 n, u32 value);  ///< n = 0 is the status; beyond the caller's buffer: dropped.
  u64 status_address() const { return rets_; }

 private:
  VirtualProcessor& processor_;
  u64 args_, rets_;
  u32 nargs_, nrets_;
};

struct RtasRow {
  u32 token;
  std::string_view name;  ///< Property of /rtas.
  u32 nargs, nrets;       ///< The least that a call must have.
  i32 (*handler)(RtasContext&);
};

/// Every function that exists, ascending by token.
std::span<const RtasRow> rtas_table();
/// H_BATON_RTAS: runs the call whose argument buffer is at `address`. Returns the hypervisor call's status:
/// H_Parameter only when the buffer cannot be read, else the RTAS status is in the buffer.
i64 rtas_call(VirtualProcessor& processor, u64 address);

/// <token maxindex> pairs of the indicators and sensors that exist.
std::span<const u32> rtas_indicators();
std::span<const u32> rtas_sensors();

}  // namespace baton::hypervisor
