// SPDX-License-Identifier: Apache-2.0
// RTAS: NVRAM, time of day, events, operator panel (PAPR 7.2, 12).
#include <chrono>
#include <string>
#include <vector>

#include "hypervisor/partition.h"
#include "hypervisor/rtas.h"
#include "hypervisor/rtas_functions.h"

namespace baton::hypervisor {
namespace {

using namespace std::chrono;

constexpr u32 kEpowEvents = 0x40000000;

struct Calendar {
  year_month_day date;
  hh_mm_ss<nanoseconds> time;
};

Calendar calendar(Partition& partition) {
  const sys_time<nanoseconds> t{
      nanoseconds(partition.wall_clock() + partition.platform().time_of_day_offset)};
  const auto day = floor<days>(t);
  return {year_month_day(day), hh_mm_ss<nanoseconds>(t - day)};
}

u8 bcd(u64 value) { return static_cast<u8>(value / 10 % 10 << 4 | value % 10); }

void section(std::vector<u8>& log, const char* id, u16 length, u8 version) {
  const std::size_t at = log.size();
  log.resize(at + length);
  log[at] = static_cast<u8>(id[0]);
  log[at + 1] = static_cast<u8>(id[1]);
  store_be<u16>(&log[at + 2], length);
  log[at + 4] = version;
}

/// The event that asks for an orderly shutdown: EPOW, system shutdown, normal (PAPR 12.2).
std::vector<u8> shutdown_event(Partition& partition) {
  const Calendar now = calendar(partition);
  std::vector<u8> log(8 + 16);
  log[0] = 6;                   // Version.
  log[1] = 1 << 5 | 0x04;       // An event, recovered, with an extended part.
  log[2] = 5 << 4;              // From power management.
  log[3] = 0x40;                // EPOW.
  log[8] = 0x80 | 0x04 | 0x02;  // Valid, new, big-endian.
  log[10] = 0x80 | 0x0E;        // Format 14.
  for (int i = 0; i < 3; i++) log[8 + 12 + i] = static_cast<u8>("IBM"[i]);
  const std::size_t header = log.size();
  section(log, "PH", 48, 1);
  const auto year = static_cast<u64>(static_cast<int>(now.date.year()));
  const u8 stamp[] = {bcd(year / 100),
                      bcd(year % 100),
                      bcd(static_cast<unsigned>(now.date.month())),
                      bcd(static_cast<unsigned>(now.date.day())),
                      bcd(static_cast<u64>(now.time.hours().count())),
                      bcd(static_cast<u64>(now.time.minutes().count())),
                      bcd(static_cast<u64>(now.time.seconds().count()))};
  std::copy(std::begin(stamp), std::end(stamp), &log[header + 8]);
  log[header + 0x18] = 'H';
  log[header + 0x1B] = 3;  // Sections.
  section(log, "UH", 24, 1);
  const std::size_t power = log.size();
  section(log, "EP", 20, 2);
  log[power + 8] = 3;   // System shutdown,
  log[power + 9] = 1;   // normal,
  log[power + 10] = 1;  // of this partition.
  store_be<u32>(&log[4], static_cast<u32>(log.size() - 8));
  return log;
}

i32 copy_out(RtasContext& call, u64 buffer, u64 length, std::vector<u8> log) {
  log.resize(std::min<std::size_t>(log.size(), length));
  return call.partition().memory().write(buffer, log) ? rtas::kSuccess : rtas::kHardware;
}

}  // namespace

// ---- NVRAM

i32 rtas_nvram_fetch(RtasContext& call) {
  Partition& partition = call.partition();
  const u64 index = call.arg(0), buffer = call.arg(1), length = call.arg(2);
  call.ret(1, 0);
  std::lock_guard lock(partition.nvram_lock());
  const std::vector<u8>& nvram = partition.nvram();
  if (index + length > nvram.size() ||
      !partition.memory().write(buffer, std::span(nvram).subspan(index, length)))
    return rtas::kParameter;
  call.ret(1, static_cast<u32>(length));
  return rtas::kSuccess;
}

i32 rtas_nvram_store(RtasContext& call) {
  Partition& partition = call.partition();
  const u64 index = call.arg(0), buffer = call.arg(1), length = call.arg(2);
  call.ret(1, 0);
  std::lock_guard lock(partition.nvram_lock());
  std::vector<u8>& nvram = partition.nvram();
  if (index + length > nvram.size() ||
      !partition.memory().read(buffer, std::span(nvram).subspan(index, length)))
    return rtas::kParameter;
  call.ret(1, static_cast<u32>(length));
  return rtas::kSuccess;
}

// ---- time of day

i32 rtas_get_time_of_day(RtasContext& call) {
  const Calendar now = calendar(call.partition());
  call.ret(1, static_cast<u32>(static_cast<int>(now.date.year())));
  call.ret(2, static_cast<unsigned>(now.date.month()));
  call.ret(3, static_cast<unsigned>(now.date.day()));
  call.ret(4, static_cast<u32>(now.time.hours().count()));
  call.ret(5, static_cast<u32>(now.time.minutes().count()));
  call.ret(6, static_cast<u32>(now.time.seconds().count()));
  call.ret(7, static_cast<u32>(now.time.subseconds().count()));
  return rtas::kSuccess;
}

i32 rtas_set_time_of_day(RtasContext& call) {
  // Beyond these years the nanoseconds since 1970 do not fit 64 bits.
  if (call.arg(0) < 1970 || call.arg(0) > 2200) return rtas::kParameter;
  const year_month_day date{year(static_cast<int>(call.arg(0))), month(call.arg(1)), day(call.arg(2))};
  if (call.arg(1) > 12 || call.arg(2) > 31 || !date.ok() || call.arg(3) > 23 || call.arg(4) > 59 ||
      call.arg(5) > 59 || call.arg(6) > 999'999'999)
    return rtas::kParameter;
  const nanoseconds wanted = duration_cast<nanoseconds>(sys_days(date).time_since_epoch()) +
                             hours(call.arg(3)) + minutes(call.arg(4)) + seconds(call.arg(5)) +
                             nanoseconds(call.arg(6));
  const i64 now = call.partition().wall_clock();
  call.partition().change_platform(
      [&](PlatformState& state) { state.time_of_day_offset = wanted.count() - now; });
  return rtas::kSuccess;
}

// ---- events

i32 rtas_event_scan(RtasContext&) { return rtas::kNoData; }

i32 rtas_check_exception(RtasContext& call) {
  Partition& partition = call.partition();
  if (call.arg(1) == kEpowIrq && call.arg(2) & kEpowEvents && partition.shutdown_requested())
    return copy_out(call, call.arg(4), call.arg(5), shutdown_event(partition));
  return rtas::kNoData;
}

i32 rtas_last_error(RtasContext&) { return rtas::kNoData; }

i32 rtas_os_term(RtasContext& call) {
  Partition& partition = call.partition();
  std::string text;
  for (u64 at = call.arg(0); text.size() < 256; at++) {
    const auto c = partition.memory().load<u8>(at);
    if (!c) return rtas::kHardware;
    if (*c == 0) break;
    text += *c >= 0x20 && *c <= 0x7E ? static_cast<char>(*c) : '.';
  }
  partition.change_platform([&](PlatformState& state) { state.termination = text; });
  partition.progress(text);
  return rtas::kSuccess;  // Extended behaviour: it always returns.
}

i32 rtas_display_character(RtasContext& call) {
  call.partition().panel_character(static_cast<char>(call.arg(0)));
  return rtas::kSuccess;
}

// ---- non-maskable interrupts

i32 rtas_nmi_register(RtasContext& call) {
  constexpr u32 kLimit = 32 << 20;
  if (call.arg(0) >= kLimit || call.arg(1) >= kLimit) return rtas::kParameter;
  call.partition().change_platform([&](PlatformState& state) {
    state.nmi_reset = call.arg(0);
    state.nmi_check = call.arg(1);
  });
  return rtas::kSuccess;
}

i32 rtas_nmi_interlock(RtasContext&) { return rtas::kSuccess; }

}  // namespace baton::hypervisor
