// SPDX-License-Identifier: Apache-2.0
#include "app/demo/screen.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "app/demo/report.h"

namespace baton::demo {
namespace {

using namespace std::chrono_literals;
constexpr auto kSampleTime = 50ms;
constexpr std::size_t kSamplesKept = 200;
constexpr const char* kStates[] = {"Enabled", "Suspending", "Suspended", "Resumed", "Completed"};

bool can_draw() {
  const char* term = std::getenv("TERM");
  winsize size{};
  return isatty(STDOUT_FILENO) && term && std::strcmp(term, "dumb") != 0 &&
         ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 80;
}

std::string bar(double share, std::size_t width) {
  const auto full = static_cast<std::size_t>(std::clamp(share, 0.0, 1.0) * static_cast<double>(width));
  std::string out;
  for (std::size_t i = 0; i < width; ++i) out += i < full ? "█" : "░";
  return out;
}

double share_sent(const MoveView& v) {
  const double all = static_cast<double>(v.sent + v.remaining);
  return v.state == "Completed" ? 1 : all > 0 ? static_cast<double>(v.sent) / all : 0;
}

std::string busy(const MoveView& v) {
  std::string out;
  for (const int percent : v.cpu) out += fmt::format(" {:3}%", percent);
  return out;
}

}  // namespace

Screen::Screen(bool plain) : draws_(!plain && can_draw()) {}

void Screen::erase_block() {
  if (!block_.empty()) std::printf("\x1b[%zuA\x1b[J", block_.size());
}

void Screen::line(const std::string& text) {
  erase_block();
  std::puts(text.c_str());
  for (const std::string& line : block_) std::puts(line.c_str());
  std::fflush(stdout);
}

void Screen::block(const std::vector<std::string>& lines) {
  if (!draws_) return;
  erase_block();
  block_ = lines;
  for (const std::string& line : block_) std::puts(line.c_str());
  std::fflush(stdout);
}

void Screen::settle() { block_.clear(); }

void Pulse::sample(std::chrono::steady_clock::time_point now, u64 count) {
  if (!samples_.empty() && now - samples_.back().time < kSampleTime) return;
  samples_.push_back({now, count});
  if (samples_.size() > kSamplesKept) samples_.pop_front();
}

std::string Pulse::picture(std::size_t width) const {
  static constexpr const char* kBars[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  std::string out;
  const std::size_t first = samples_.size() > width + 1 ? samples_.size() - width : 1;
  for (std::size_t i = 0; i + samples_.size() < width + first; ++i) out += " ";
  for (std::size_t i = first; i < samples_.size(); ++i) {
    // The guest tells its pulse every 50 ms too: over two samples, so that the two rhythms do not beat.
    const Sample& before = samples_[i >= 2 ? i - 2 : i - 1];
    const double seconds = std::chrono::duration<double>(samples_[i].time - before.time).count();
    const double rate = static_cast<double>(samples_[i].count - before.count) / std::max(seconds, 1e-3);
    out += kBars[std::clamp(static_cast<int>(rate / 1000 * 8 + 0.5), 0, 8)];
  }
  return out;
}

u64 Pulse::rate() const {
  if (samples_.size() < 2) return 0;
  const Sample& last = samples_.back();
  const auto first = std::find_if(samples_.begin(), samples_.end(),
                                  [&](const Sample& s) { return s.time >= last.time - 1s; });
  const double seconds = std::chrono::duration<double>(last.time - first->time).count();
  return seconds > 0 ? static_cast<u64>(static_cast<double>(last.count - first->count) / seconds) : 0;
}

std::vector<std::string> drawn(const MoveView& v) {
  std::string phases;
  for (const char* state : kStates) {
    if (!phases.empty()) phases += " ▸ ";
    phases += v.state == state ? fmt::format("\x1b[1;7m {} \x1b[0m", state) : state;
  }
  return {
      fmt::format("  \x1b[1mMove {} of {}\x1b[0m  {} {} {}  {:5.1f} s", v.number, v.of, v.from,
                  bar(share_sent(v), 24), v.to, v.seconds),
      fmt::format("  phase        {}", phases),
      fmt::format("  memory       {} sent, {} left, {}/s", megabytes(static_cast<double>(v.sent)),
                  megabytes(static_cast<double>(v.remaining)), megabytes(v.bytes_per_second)),
      fmt::format("  dirty pages  {} left in round {}", grouped(v.dirty_pages), v.round),
      fmt::format("  pulse        {} {:4}/s", v.pulse, v.pulse_rate),
      fmt::format("  work         disk {}  TCP {}  compute {} M  processors{}", grouped(v.disk_records),
                  grouped(v.tcp_records), grouped(v.compute_steps / 1000000), busy(v)),
  };
}

std::string told(const MoveView& v) {
  return fmt::format(
      "  {:5.1f} s  {:<10}  round {:<2}  {} sent, {}/s, {} dirty pages left; pulse {}/s, disk {}, TCP {}",
      v.seconds, v.state, v.round, megabytes(static_cast<double>(v.sent)), megabytes(v.bytes_per_second),
      grouped(v.dirty_pages), v.pulse_rate, grouped(v.disk_records), grouped(v.tcp_records));
}

}  // namespace baton::demo
