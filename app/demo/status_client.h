// SPDX-License-Identifier: Apache-2.0
// The client of the partition's status service: a line of JSON every 50 ms, and commands.
#pragma once

#include <google/protobuf/struct.pb.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "app/demo/socket.h"

namespace baton::demo {

using Json = google::protobuf::Struct;

/// The value of a key; 0, "" or false when it is not there or of another kind.
double number(const Json& json, const std::string& key);
std::string text(const Json& json, const std::string& key);
bool flag(const Json& json, const std::string& key);

/// What the partition says of itself.
struct Status {
  double mono_ns = 0;
  u64 pulse = 0, disk_ack = 0, compute = 0, backward = 0, tcp_records = 0, tcp_errors = 0;
  int disk_error = 0;
  bool disk_full = false;
  double gap_ms = 0;
  std::vector<int> cpu;  ///< Busy percent.
};

class StatusClient {
 public:
  /// Connects; tries again until the first line comes or `until`, then throws std::runtime_error.
  StatusClient(u16 port, Clock::time_point until);
  ~StatusClient();

  Status latest() const;
  /// Status lines so far: a caller that waits for news compares.
  u64 lines() const;
  /// Empty while the connection stands; else why it does not.
  std::string broken() const;

  /// Sends a command and returns the answer that has the key. `wanted` is called, on this thread, for every
  /// {"want":...} before. Throws std::runtime_error on an {"error":...}, a broken connection, or at `until`.
  Json ask(const std::string& command, const std::string& key, Clock::time_point until,
           const std::function<void(const Json&)>& wanted = {});

 private:
  void run();
  void take(const std::string& line);
  bool connect(Clock::time_point until);

  const u16 port_;
  Socket socket_;
  std::string rest_;  ///< The thread's own, after the constructor.
  mutable std::mutex lock_;
  std::condition_variable changed_;
  Status latest_;
  u64 lines_ = 0;
  std::string broken_;
  std::deque<Json> answers_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace baton::demo
