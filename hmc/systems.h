// SPDX-License-Identifier: Apache-2.0
// Which managed systems there are: the sockets of the run directory.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "hmc/control.h"

namespace baton::hmc {

/// What the console needs to find systems.
class Systems {
 public:
  virtual ~Systems() = default;
  virtual std::vector<std::string> names() = 0;
  /// Throws std::runtime_error naming the system and those that exist.
  virtual std::shared_ptr<Control> connect(const std::string& name) = 0;
  /// Control address of the system, for other systems to call.
  virtual std::string address(const std::string& name) = 0;
};

/// `override`, else BATON_RUN_DIR, else $XDG_RUNTIME_DIR/baton, else /tmp/baton-UID. Created with mode 0700;
/// throws std::runtime_error if somebody else owns it or may enter it.
std::string run_directory(const std::string& override_path);
/// The socket of a system in the run directory.
std::string socket_path(const std::string& run_dir, const std::string& system);

/// Lists RUN_DIR/*.sock; sockets that nobody listens on are left out.
class RunDirectory final : public Systems {
 public:
  explicit RunDirectory(std::string path) : path_(std::move(path)) {}
  std::vector<std::string> names() override;
  std::shared_ptr<Control> connect(const std::string& name) override;
  std::string address(const std::string& name) override;

 private:
  std::string path_;
};

/// True if somebody accepts connections on the unix socket.
bool socket_answers(const std::string& path);

}  // namespace baton::hmc
