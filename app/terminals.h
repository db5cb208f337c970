// SPDX-License-Identifier: Apache-2.0
// Who has which partition's console: one user at a time.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "hmc/control.h"
#include "hypervisor/partition.h"

namespace baton::app {

class Terminals {
 public:
  Terminals() = default;
  ~Terminals();

  /// Opens the console; the handler gets its history first. Throws std::runtime_error if somebody has it,
  /// unless `force`, which closes theirs.
  std::unique_ptr<hmc::Terminal> open(std::shared_ptr<hypervisor::Partition> partition, bool force,
                                      hmc::TerminalHandler handler);
  /// False: nobody had it.
  bool close(const hypervisor::Partition& partition, const std::string& reason, bool moved);
  void close_all(const std::string& reason);

 private:
  class Session;
  class Handle;
  std::mutex lock_;
  std::map<const hypervisor::Partition*, std::shared_ptr<Session>> sessions_;
};

}  // namespace baton::app
