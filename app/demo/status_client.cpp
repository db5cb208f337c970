// SPDX-License-Identifier: Apache-2.0
#include "app/demo/status_client.h"

#include <google/protobuf/util/json_util.h>

#include <array>
#include <stdexcept>
#include <system_error>

namespace baton::demo {
namespace {

using namespace std::chrono_literals;
constexpr auto kFirstLine = 3s;

const google::protobuf::Value* find(const Json& json, const std::string& key) {
  const auto found = json.fields().find(key);
  return found == json.fields().end() ? nullptr : &found->second;
}

u64 count(const Json& json, const std::string& key) { return static_cast<u64>(number(json, key)); }

Status status_of(const Json& json) {
  Status out;
  out.mono_ns = number(json, "mono_ns");
  out.pulse = count(json, "pulse");
  out.disk_ack = count(json, "disk_ack");
  out.compute = count(json, "compute");
  out.backward = count(json, "backward");
  out.tcp_records = count(json, "tcp_records");
  out.tcp_errors = count(json, "tcp_errors");
  out.disk_error = static_cast<int>(number(json, "disk_error"));
  out.disk_full = flag(json, "disk_full");
  out.gap_ms = number(json, "gap_ns_max") / 1e6;
  if (const auto* cpu = find(json, "cpu")) {
    for (const auto& busy : cpu->list_value().values())
      out.cpu.push_back(static_cast<int>(busy.number_value()));
  }
  return out;
}

}  // namespace

double number(const Json& json, const std::string& key) {
  const auto* value = find(json, key);
  return value ? value->number_value() : 0;
}
std::string text(const Json& json, const std::string& key) {
  const auto* value = find(json, key);
  return value ? value->string_value() : std::string();
}
bool flag(const Json& json, const std::string& key) {
  const auto* value = find(json, key);
  return value && value->bool_value();
}

StatusClient::StatusClient(u16 port, Clock::time_point until) : port_(port) {
  while (!connect(until)) {
    if (Clock::now() >= until) {
      throw std::runtime_error("The partition's status service (TCP 7002) does not answer on the LAN.");
    }
    std::this_thread::sleep_for(100ms);
  }
  thread_ = std::thread([this] { run(); });
}

StatusClient::~StatusClient() {
  {
    const std::lock_guard hold(lock_);
    stop_ = true;
  }
  thread_.join();
}

bool StatusClient::connect(Clock::time_point until) try {
  Socket attempt(port_);
  u8 byte;
  if (!attempt.wait(std::min(until, Clock::now() + kFirstLine)) || !attempt.receive({&byte, 1})) return false;
  rest_ = static_cast<char>(byte);
  socket_ = std::move(attempt);
  return true;
} catch (const std::runtime_error&) {
  return false;
}

Status StatusClient::latest() const {
  const std::lock_guard hold(lock_);
  return latest_;
}

u64 StatusClient::lines() const {
  const std::lock_guard hold(lock_);
  return lines_;
}

std::string StatusClient::broken() const {
  const std::lock_guard hold(lock_);
  return broken_;
}

void StatusClient::run() try {
  std::array<u8, 4096> piece;
  while (true) {
    {
      const std::lock_guard hold(lock_);
      if (stop_) return;
    }
    if (!socket_.wait(Clock::now() + 100ms)) continue;
    rest_.append(reinterpret_cast<const char*>(piece.data()), socket_.receive(piece));
    std::size_t at = 0;
    for (std::size_t end; (end = rest_.find('\n', at)) != std::string::npos; at = end + 1)
      take(rest_.substr(at, end - at));
    rest_.erase(0, at);
  }
} catch (const std::exception& problem) {
  const auto* system = dynamic_cast<const std::system_error*>(&problem);
  const std::lock_guard hold(lock_);
  broken_ = system ? "the connection broke (" + system->code().message() + ")" : problem.what();
  changed_.notify_all();
}

void StatusClient::take(const std::string& line) {
  Json json;
  if (!google::protobuf::util::JsonStringToMessage(line, &json).ok())
    throw std::runtime_error("the partition sent a line that is not JSON: " + line.substr(0, 80));
  const std::lock_guard hold(lock_);
  if (json.fields().contains("mono_ns")) {
    latest_ = status_of(json);
    ++lines_;
  } else {
    answers_.push_back(std::move(json));
  }
  changed_.notify_all();
}

Json StatusClient::ask(const std::string& command, const std::string& key, Clock::time_point until,
                       const std::function<void(const Json&)>& wanted) {
  {
    const std::lock_guard hold(lock_);
    answers_.clear();
  }
  const std::string line = command + "\n";
  const std::span bytes(reinterpret_cast<const u8*>(line.data()), line.size());
  for (std::size_t sent = 0; sent < bytes.size();) {
    sent += socket_.send(bytes.subspan(sent));
    if (Clock::now() >= until) break;
  }
  std::unique_lock hold(lock_);
  while (true) {
    if (!changed_.wait_until(hold, until, [&] { return !answers_.empty() || !broken_.empty(); }))
      throw std::runtime_error("The partition did not answer the command \"" + command + "\" in time.");
    if (answers_.empty())
      throw std::runtime_error("The status connection to the partition was lost: " + broken_ + ".");
    const Json answer = std::move(answers_.front());
    answers_.pop_front();
    if (answer.fields().contains(key)) return answer;
    if (answer.fields().contains("error"))
      throw std::runtime_error("The partition refused the command \"" + command +
                               "\": " + text(answer, "error") + ".");
    if (wanted) {
      hold.unlock();
      wanted(answer);
      hold.lock();
    }
  }
}

}  // namespace baton::demo
