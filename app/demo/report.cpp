// SPDX-License-Identifier: Apache-2.0
#include "app/demo/report.h"

#include <fmt/format.h>

namespace baton::demo {
namespace {

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\')
      out += {'\\', c};
    else if (static_cast<unsigned char>(c) < ' ')
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    else
      out += c;
  }
  return out + "\"";
}

template <class List, class Form>
std::string list(const List& items, Form form) {
  std::string out = "[";
  for (const auto& item : items) out += (out.size() > 1 ? "," : "") + form(item);
  return out + "]";
}

std::string json_of(const ProcessorCheck& c) {
  return fmt::format(R"({{"cpu":{},"timer":{},"console":{},"disk":{},"network":{}}})", c.cpu, c.timer,
                     c.console, c.disk, c.network);
}

std::string json_of(const MoveReport& m) {
  return fmt::format(R"({{"from":{},"to":{},"total_ms":{:.1f},"suspended_ms":{:.1f},"guest_gap_ms":{:.1f},)"
                     R"("tcp_gap_ms":{:.1f},"bytes":{},"rounds":{},"states":{},"interrupts":{}}})",
                     quoted(m.from), quoted(m.to), m.total_ms, m.suspended_ms, m.guest_gap_ms, m.tcp_gap_ms,
                     m.bytes, m.rounds, list(m.states, quoted),
                     list(m.interrupts, [](const ProcessorCheck& c) { return json_of(c); }));
}

/// "cpu0 cpu1" of those whose interrupts all arrived, and what is missing of the others.
std::string interrupts_of(const MoveReport& m) {
  std::string missing;
  for (const ProcessorCheck& c : m.interrupts) {
    if (c.ok()) continue;
    missing += fmt::format(" cpu{}:{}{}{}{}", c.cpu, c.timer ? "" : " timer", c.console ? "" : " console",
                           c.disk ? "" : " disk", c.network ? "" : " network");
  }
  if (m.interrupts.empty()) return "not checked";
  return missing.empty() ? fmt::format("all, on {} processors", m.interrupts.size()) : "missing" + missing;
}

}  // namespace

std::string grouped(u64 number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, ",");
  return digits;
}

std::string megabytes(double bytes) { return fmt::format("{:.1f} MB", bytes / (1 << 20)); }

std::string to_json(const Report& r) {
  return fmt::format(
      R"({{"ok":{},"boot":{{"seconds":{:.2f},"instructions":{}}},)"
      "\n"
      R"("moves":{},)"
      "\n"
      R"("disk":{{"acknowledged":{},"verified":{},"lost":{}}},"tcp":{{"records":{},"errors":{}}},)"
      R"("clock":{{"backward_steps":{}}},)"
      "\n"
      R"("compute":{{"steps":{},"right":{}}},"file_system":{{"clean":{}}},"problems":{}}})"
      "\n",
      r.ok(), r.boot_seconds, r.boot_instructions,
      list(r.moves, [](const MoveReport& m) { return json_of(m); }), r.disk_acknowledged, r.disk_verified,
      r.disk_lost, r.tcp_records, r.tcp_errors, r.clock_backward_steps, r.compute_steps, r.compute_right,
      r.file_system_clean, list(r.problems, quoted));
}

namespace {

std::string boot_line(const Report& r) {
  std::string out = fmt::format("Boot            {:.1f} s", r.boot_seconds);
  if (r.boot_instructions) {
    out += fmt::format(", {} million instructions ({:.0f} MIPS)", grouped(r.boot_instructions / 1000000),
                       static_cast<double>(r.boot_instructions) / 1e6 / r.boot_seconds);
  }
  return out + "\n\n";
}

std::string move_lines(const Report& r) {
  std::string out = fmt::format("{:<22} {:>9} {:>10} {:>10} {:>9} {:>10} {:>6}  {}\n", "Move", "total",
                                "suspended", "guest gap", "TCP gap", "memory", "rounds", "interrupts");
  bool target_met = true;
  for (const MoveReport& m : r.moves) {
    out += fmt::format("{:<22} {:>6.0f} ms {:>7.0f} ms {:>7.0f} ms {:>6.0f} ms {:>10} {:>6}  {}\n",
                       m.from + " -> " + m.to, m.total_ms, m.suspended_ms, m.guest_gap_ms, m.tcp_gap_ms,
                       megabytes(static_cast<double>(m.bytes)), m.rounds, interrupts_of(m));
    target_met = target_met && m.suspended_ms < kTargetSuspendedMs;
  }
  return out + fmt::format("Suspended under {:.0f} ms in every move: {}\n\n", kTargetSuspendedMs,
                           target_met ? "yes" : "no");
}

std::string total_lines(const Report& r) {
  return fmt::format(
      "Disk            {} records acknowledged, {} verified, {} lost; file system {}\n"
      "TCP             {} records checked, {} errors\n"
      "Compute         {} million steps, result {}\n"
      "Clock           {} steps back\n\n",
      grouped(r.disk_acknowledged), grouped(r.disk_verified), grouped(r.disk_lost),
      r.file_system_clean ? "clean" : "NOT clean", grouped(r.tcp_records), grouped(r.tcp_errors),
      grouped(r.compute_steps / 1000000), r.compute_right ? "right" : "WRONG",
      grouped(r.clock_backward_steps));
}

}  // namespace

std::string to_table(const Report& r) {
  std::string out;
  if (r.boot_seconds > 0) out += boot_line(r);
  if (!r.moves.empty()) out += move_lines(r);
  if (r.disk_acknowledged > 0) out += total_lines(r);
  if (r.ok()) out += "Everything is right.\n";
  for (const std::string& problem : r.problems) out += "WRONG: " + problem + "\n";
  return out;
}

}  // namespace baton::demo
