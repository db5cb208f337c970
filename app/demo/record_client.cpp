// SPDX-License-Identifier: Apache-2.0
#include "app/demo/record_client.h"

#include <algorithm>
#include <deque>
#include <stdexcept>
#include <system_error>
#include <vector>

#include "app/demo/formats.h"

namespace baton::demo {
namespace {

using namespace std::chrono_literals;

constexpr auto kPace = 4ms;  ///< Between records.
constexpr u64 kMostInFlight =
    256;  ///< Then it waits for answers: a stop of the partition is not a flood after it.
constexpr auto kProbeAnswer = 3s;  ///< How long a first record waits before the connection is tried anew.

}  // namespace

RecordClient::RecordClient(u16 port, Clock::time_point until) : port_(port) {
  while (!probe(until)) {
    if (Clock::now() >= until) {
      throw std::runtime_error("The partition's record service (TCP 7001) does not answer on the LAN.");
    }
    std::this_thread::sleep_for(100ms);
  }
  next_ = expected_ = 2;
  totals_.sent = totals_.checked = 1;
  last_answer_ = Clock::now();
  thread_ = std::thread([this] { run(); });
}

RecordClient::~RecordClient() {
  if (thread_.joinable()) finish(Clock::now());
}

/// A connection whose first record is answered. The LAN takes connections before the partition does, so that
/// a refused or silent first one is no error.
bool RecordClient::probe(Clock::time_point until) try {
  Socket attempt(port_);
  attempt.send(echo_request(1));
  EchoRecord answer;
  std::size_t have = 0;
  const auto limit = std::min(until, Clock::now() + kProbeAnswer);
  while (have < answer.size() && attempt.wait(limit))
    have += attempt.receive(std::span(answer).subspan(have));
  if (have < answer.size() || !echo_fault(answer, 1).empty()) return false;
  socket_ = std::move(attempt);
  return true;
} catch (const std::runtime_error&) {
  return false;
}

void RecordClient::mark() {
  const std::lock_guard hold(lock_);
  longest_ = {};
  last_answer_ = Clock::now();
}

double RecordClient::longest_gap_ms() const {
  const std::lock_guard hold(lock_);
  return Milliseconds(std::max(longest_, Clock::now() - last_answer_)).count();
}

RecordClient::Totals RecordClient::totals() const {
  const std::lock_guard hold(lock_);
  return totals_;
}

RecordClient::Totals RecordClient::finish(Clock::time_point until) {
  {
    const std::lock_guard hold(lock_);
    finish_at_ = until;
  }
  finishing_ = true;
  if (thread_.joinable()) thread_.join();
  return totals();
}

void RecordClient::error(const std::string& what) {
  const std::lock_guard hold(lock_);
  if (!totals_.errors++) totals_.first_error = what;
}

void RecordClient::run() try { exchange_records(); } catch (const std::system_error& problem) {
  error("the connection broke (" + problem.code().message() + ")");
} catch (const std::exception& problem) {
  error(problem.what());
}

void RecordClient::exchange_records() {
  std::vector<u8> out;  // What the socket did not take yet.
  std::vector<u8> in(64 * kEchoSize);
  std::size_t have = 0;
  auto due = Clock::now();
  while (true) {
    const auto now = Clock::now();
    if (finishing_) {
      const std::lock_guard hold(lock_);
      if (expected_ == next_) return;
      if (now >= finish_at_) {
        if (!totals_.errors++)
          totals_.first_error = std::to_string(next_ - expected_) + " records were never answered";
        return;
      }
    } else if (now >= due) {
      if (next_ - expected_ < kMostInFlight) {
        const EchoRecord record = echo_request(next_++);
        out.insert(out.end(), record.begin(), record.end());
        const std::lock_guard hold(lock_);
        ++totals_.sent;
      }
      due = std::max(due + kPace, now);
    }
    if (!out.empty()) out.erase(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(socket_.send(out)));
    if (!socket_.wait(finishing_ ? now + 20ms : due, !out.empty())) continue;
    have += socket_.receive(std::span(in).subspan(have));
    std::size_t at = 0;
    for (; at + kEchoSize <= have; at += kEchoSize) {
      const std::string fault = echo_fault(std::span(in).subspan(at).first<kEchoSize>(), expected_++);
      if (!fault.empty()) error(fault);
      const std::lock_guard hold(lock_);
      const auto answered = Clock::now();
      longest_ = std::max(longest_, answered - last_answer_);
      last_answer_ = answered;
      if (fault.empty()) ++totals_.checked;
    }
    std::copy(in.begin() + static_cast<std::ptrdiff_t>(at), in.begin() + static_cast<std::ptrdiff_t>(have),
              in.begin());
    have -= at;
  }
}

}  // namespace baton::demo
