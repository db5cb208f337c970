// SPDX-License-Identifier: Apache-2.0
// RTAS: table, dispatch, and the functions about processors, interrupts, sensors and parameters. Time and
// memory of the platform, and the device tree functions, are in rtas_platform.cpp and rtas_tree.cpp.
#include "hypervisor/rtas.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>

#include "hypervisor/device_tree.h"
#include "hypervisor/hcall.h"
#include "hypervisor/partition.h"
#include "hypervisor/rtas_functions.h"
#include "hypervisor/system.h"
#include "hypervisor/virtual_processor.h"

namespace baton::hypervisor {

Partition& RtasContext::partition() { return processor_.partition(); }

u32 RtasContext::arg(u32 n) const {
  if (n >= nargs_) return 0;
  return processor_.partition().memory().load<u32>(args_ + 4 * u64{n}).value_or(0);
}

void RtasContext::ret(u32 n, u32 value) {
  if (n < nrets_) processor_.partition().memory().store<u32>(rets_ + 4 * u64{n}, value);
}

namespace {

// ---- processors

VirtualProcessor* named(RtasContext& call, u32 argument) {
  return call.partition().processor(call.arg(argument));
}

i32 query_cpu_stopped_state(RtasContext& call) {
  constexpr u32 kStopped = 0, kNotStopped = 2;
  const VirtualProcessor* target = named(call, 0);
  if (!target) return rtas::kParameter;
  call.ret(1, target->dispatch() == Dispatch::kStopped ? kStopped : kNotStopped);
  return rtas::kSuccess;
}

i32 start_cpu(RtasContext& call) {
  VirtualProcessor* target = named(call, 0);
  if (!target) return rtas::kParameter;
  const PartitionState state = call.partition().state();
  if (state == PartitionState::kShuttingDown || state == PartitionState::kError) return rtas::kHardware;
  if (!call.partition().memory().contains(call.arg(1), 4)) return rtas::kParameter;
  // RTAS was instantiated in 32-bit mode, so SF = 0 (LoPAR start-cpu).
  return target->start(call.arg(1), call.arg(2), false) ? rtas::kSuccess : rtas::kHardware;
}

i32 stop_self(RtasContext& call) {
  call.processor().halt();
  // The last thread's resources go back to the platform (LoPAR stop-self R1-4).
  bool others = false;
  for (const auto& processor : call.partition().processors())
    others = others || (processor.get() != &call.processor() && processor->dispatch() != Dispatch::kStopped);
  if (!others) call.partition().request_power_off();
  return rtas::kSuccess;
}

i32 power_off(RtasContext& call) {
  call.processor().halt();
  call.partition().request_power_off();
  return rtas::kSuccess;
}

i32 system_reboot(RtasContext& call) {
  call.processor().halt();
  call.partition().reboot();
  return rtas::kSuccess;
}

// ---- interrupts

i32 set_xive(RtasContext& call) {
  if (call.arg(2) > 0xFF) return rtas::kParameter;
  return call.partition().xics().set_xive(call.arg(0), call.arg(1), static_cast<u8>(call.arg(2)))
             ? rtas::kSuccess
             : rtas::kParameter;
}

i32 get_xive(RtasContext& call) {
  u32 server = 0;
  u8 priority = 0;
  if (!call.partition().xics().get_xive(call.arg(0), server, priority)) return rtas::kParameter;
  call.ret(1, server);
  call.ret(2, priority);
  return rtas::kSuccess;
}

i32 int_off(RtasContext& call) {
  return call.partition().xics().int_off(call.arg(0)) ? rtas::kSuccess : rtas::kParameter;
}

i32 int_on(RtasContext& call) {
  return call.partition().xics().int_on(call.arg(0)) ? rtas::kSuccess : rtas::kParameter;
}

// ---- indicators and sensors

enum Indicator : u32 {
  kToneFrequency = 1,
  kToneVolume = 2,
  kSurveillance = 9000,
  kIsolation = 9001,
  kDrIndicator = 9002,
  kAllocation = 9003,
  kGlobalQueue = 9005,
  kFault = 9006,
  kIdentify = 9007,
};
enum Sensor : u32 { kKeySwitch = 1, kEpow = 9, kDrEntitySense = 9003 };
constexpr u32 kIndicatorList[] = {kToneFrequency, 0, kToneVolume, 0, kGlobalQueue, 0,
                                  kFault,         0, kIdentify,   0};
constexpr u32 kSensorList[] = {kKeySwitch, 0, kEpow, 0, kGlobalQueue, 0, kFault, 0, kIdentify, 0};

/// Index of the global queue: 2^interrupt-server#-size - 1 - gserver#.
constexpr u32 kGlobalQueueIndex = 0xFF - kGlobalServer;

bool connector_exists(Partition& partition, u32 index) {
  std::lock_guard lock(partition.tree_lock());
  return partition.device_tree().by_drc_index(index);
}

i32 set_connector(Partition& partition, u32 token, u32 index, u32 value) {
  if (!connector_exists(partition, index) || value > 1) return rtas::kParameter;
  i32 status = rtas::kSuccess;
  partition.change_platform([&](PlatformState& state) {
    Connector& connector = state.connectors[index];
    if (token == kAllocation)
      connector.usable = value;
    else if (!connector.usable)
      status = rtas::kParameter;
    else
      connector.isolated = value == 0;
  });
  return status;
}

i32 set_indicator(RtasContext& call) {
  Partition& partition = call.partition();
  const u32 token = call.arg(0), index = call.arg(1), value = call.arg(2);
  u32 most = 1;
  switch (token) {
    case kIsolation:
    case kAllocation:
      return set_connector(partition, token, index, value);
    case kToneFrequency:
      most = ~u32{0};
      break;
    case kToneVolume:
      most = 100;
      break;
    case kGlobalQueue:
      if (index != kGlobalQueueIndex || value > 1) return rtas::kParameter;
      partition.xics().set_global_queue(call.processor().server(), value);
      break;
    case kFault:
    case kIdentify:
      break;
    default:
      return rtas::kParameter;
  }
  if (index != 0 || value > most) return rtas::kParameter;
  partition.change_platform([&](PlatformState& state) { state.indicators[{token, index}] = value; });
  return rtas::kSuccess;
}

i32 get_sensor_state(RtasContext& call) {
  Partition& partition = call.partition();
  const u32 token = call.arg(0), index = call.arg(1);
  const PlatformState state = partition.platform();
  u32 value = 0;
  switch (token) {
    case kKeySwitch:
      value = 1;
      break;  // Normal.
    case kEpow:
      value = partition.shutdown_requested() ? 3 : 0;
      break;
    case kDrEntitySense: {
      if (!connector_exists(partition, index)) return rtas::kParameter;
      const auto found = state.connectors.find(index);
      call.ret(1, found == state.connectors.end() || found->second.usable ? 1 : 2);
      return rtas::kSuccess;
    }
    case kGlobalQueue:
    case kFault:
    case kIdentify: {
      const auto found = state.indicators.find({token, index});
      value = found != state.indicators.end() ? found->second : token == kGlobalQueue;
      break;
    }
    default:
      return rtas::kParameter;
  }
  if (index != 0) return rtas::kParameter;
  call.ret(1, value);
  return rtas::kSuccess;
}

// ---- system parameters

enum Parameter : u32 {
  kSplparCharacteristics = 20,
  kPartitionAutoRestart = 21,
  kPlatformAutoPowerRestart = 22,
  kProcessorModules = 43,
  kPartitionName = 55,
};

std::string splpar_characteristics(Partition& partition) {
  const u64 processors = partition.processors().size(), memory = partition.memory().size() >> 20;
  const PlatformState state = partition.platform();
  // The wheel turns in 10 ms. Capacity in hundredths of a processor, memory in MB.
  return fmt::format(
      "MinEntCap={},MinEntCapPerVP=10,MinMem=128,MinProcs=1,MaxEntCap={},MaxPlatProcs={},DesEntCap={},DesMem="
      "{},"
      "DesProcs={},DesVarCapWt={},CapInc=1,DisWheRotPer={},BoundThrds=0,DedDonMode=0",
      processors * 10, processors * 100, partition.system().identity().processors, state.entitled_capacity,
      memory, processors, state.capacity_weight, cpu::kTimeBaseHz / 100);
}

/// Value of a parameter that exists; strings with their NUL.
bool parameter(Partition& partition, u32 token, std::string& value) {
  const auto text = [&](std::string string) { value = std::move(string) + '\0'; };
  const PlatformState state = partition.platform();
  switch (token) {
    case kSplparCharacteristics:
      text(splpar_characteristics(partition));
      return true;
    case kPartitionName:
      text(partition.name());
      return true;
    case kPartitionAutoRestart:
    case kPlatformAutoPowerRestart: {
      const auto found = state.parameters.find(token);
      value = found == state.parameters.end() ? std::string(1, '\0') : found->second;
      return true;
    }
    case kProcessorModules: {
      // One type of module: one chip of two cores in a socket.
      u8 record[8];
      store_be<u16>(record, 1);
      store_be<u16>(record + 2, static_cast<u16>((partition.system().identity().processors + 1) / 2));
      store_be<u16>(record + 4, 1);
      store_be<u16>(record + 6, 2);
      value.assign(std::begin(record), std::end(record));
      return true;
    }
    default:
      return false;
  }
}

i32 get_system_parameter(RtasContext& call) {
  cpu::Memory& memory = call.partition().memory();
  const u64 buffer = call.arg(1), length = call.arg(2);
  std::string value;
  if (!parameter(call.partition(), call.arg(0), value)) return rtas::kParameter;
  if (length == 0) return rtas::kSuccess;  // A question whether it exists.
  if (!memory.contains(buffer, length)) return rtas::kSystemParameter;
  std::vector<u8> data(2 + value.size());
  store_be<u16>(data.data(), static_cast<u16>(value.size()));
  std::ranges::copy(value, data.begin() + 2);
  data.resize(std::min<std::size_t>(data.size(), length));
  memory.write(buffer, data);
  return rtas::kSuccess;
}

i32 set_system_parameter(RtasContext& call) {
  Partition& partition = call.partition();
  const u32 token = call.arg(0);
  std::string value;
  if (token < 16) return rtas::kNotAuthorized;
  if (!parameter(partition, token, value)) return rtas::kParameter;
  if (token != kPartitionAutoRestart && token != kPlatformAutoPowerRestart) return rtas::kNotAuthorized;
  const auto length = partition.memory().load<u16>(call.arg(1));
  if (!length) return rtas::kSystemParameter;
  if (*length == 0) return rtas::kSuccess;
  const auto byte = partition.memory().load<u8>(u64{call.arg(1)} + 2);
  if (*length != 1 || !byte || *byte > 1) return rtas::kSystemParameter;
  partition.change_platform(
      [&](PlatformState& state) { state.parameters[token] = std::string(1, static_cast<char>(*byte)); });
  return rtas::kSuccess;
}

i32 suspend_me(RtasContext& call) {
  return call.partition().suspend(call.processor(), call.status_address());
}

// Tokens follow the order of the list: any numbers would do, as the device tree gives them (PAPR 7.1).
constexpr RtasRow kRows[] = {
    {0x2000, "nvram-fetch", 3, 2, rtas_nvram_fetch},
    {0x2001, "nvram-store", 3, 2, rtas_nvram_store},
    {0x2002, "get-time-of-day", 0, 8, rtas_get_time_of_day},
    {0x2003, "set-time-of-day", 7, 1, rtas_set_time_of_day},
    {0x2004, "event-scan", 4, 1, rtas_event_scan},
    {0x2005, "check-exception", 6, 1, rtas_check_exception},
    {0x2006, "rtas-last-error", 2, 1, rtas_last_error},
    {0x2007, "display-character", 1, 1, rtas_display_character},
    {0x2008, "set-indicator", 3, 1, set_indicator},
    {0x2009, "get-sensor-state", 2, 2, get_sensor_state},
    {0x200A, "power-off", 2, 1, power_off},
    {0x200B, "system-reboot", 0, 1, system_reboot},
    {0x200C, "query-cpu-stopped-state", 1, 2, query_cpu_stopped_state},
    {0x200D, "start-cpu", 3, 1, start_cpu},
    {0x200E, "stop-self", 0, 0, stop_self},
    {0x200F, "ibm,get-xive", 1, 3, get_xive},
    {0x2010, "ibm,set-xive", 3, 1, set_xive},
    {0x2011, "ibm,int-on", 1, 1, int_on},
    {0x2012, "ibm,int-off", 1, 1, int_off},
    {0x2013, "ibm,get-system-parameter", 3, 1, get_system_parameter},
    {0x2014, "ibm,set-system-parameter", 2, 1, set_system_parameter},
    {0x2015, "ibm,os-term", 1, 1, rtas_os_term},
    {0x2016, "ibm,suspend-me", 0, 1, suspend_me},
    {0x2017, "ibm,update-nodes", 2, 1, rtas_update_nodes},
    {0x2018, "ibm,update-properties", 2, 1, rtas_update_properties},
    {0x2019, "ibm,activate-firmware", 0, 1, rtas_activate_firmware},
    {0x201A, "ibm,configure-connector", 2, 1, rtas_configure_connector},
    {0x201B, "ibm,nmi-register", 2, 1, rtas_nmi_register},
    {0x201C, "ibm,nmi-interlock", 0, 1, rtas_nmi_interlock},
};

}  // namespace

std::span<const RtasRow> rtas_table() { return kRows; }
std::span<const u32> rtas_indicators() { return kIndicatorList; }
std::span<const u32> rtas_sensors() { return kSensorList; }

i64 rtas_call(VirtualProcessor& processor, u64 address) {
  constexpr u32 kMostCells = 16;
  const cpu::Memory& memory = processor.partition().memory();
  const auto token = memory.load<u32>(address), nargs = memory.load<u32>(address + 4),
             nrets = memory.load<u32>(address + 8);
  if (!token || !nargs || !nrets || *nargs > kMostCells || *nrets > kMostCells) return h::Parameter;
  const u64 args = address + 12, rets = args + 4 * u64{*nargs};
  if (!memory.contains(address, 12 + 4 * (u64{*nargs} + *nrets))) return h::Parameter;
  RtasContext call(processor, args, *nargs, rets, *nrets);
  const auto row = std::ranges::lower_bound(kRows, *token, {}, &RtasRow::token);
  const bool known = row != std::end(kRows) && row->token == *token;
  const i32 status =
      known && *nargs >= row->nargs && *nrets >= row->nrets ? row->handler(call) : rtas::kParameter;
  // A call that does not return must not write: the memory may belong to another system by now.
  if (!processor.halted()) call.ret(0, static_cast<u32>(status));
  return h::Success;
}

}  // namespace baton::hypervisor
