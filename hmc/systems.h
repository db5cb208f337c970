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

  // -- systems of other hosts (mksysconn, rmsysconn, lssysconn)
  /// Connects to the system that listens at "HOST:PORT" and remembers it: its name.
  virtual std::string add(const std::string& host);
  virtual void remove(const std::string& name);
  /// Name and "HOST:PORT" of each.
  virtual std::map<std::string, std::string> connections() { return {}; }
};

/// `override`, else BATON_RUN_DIR, else $XDG_RUNTIME_DIR/baton, else /tmp/baton-UID. Created with mode 0700;
/// throws std::runtime_error if somebody else owns it or may enter it.
std::string run_directory(const std::string& override_path);
/// The socket of a system in the run directory.
std::string socket_path(const std::string& run_dir, const std::string& system);

/// Lists RUN_DIR/*.sock, sockets that nobody listens on left out, and the systems of other hosts, which
/// RUN_DIR/NAME.connection remembers.
class RunDirectory final : public Systems {
 public:
  explicit RunDirectory(std::string path) : path_(std::move(path)) {}
  std::vector<std::string> names() override;
  std::shared_ptr<Control> connect(const std::string& name) override;
  std::string address(const std::string& name) override;
  std::string add(const std::string& host) override;
  void remove(const std::string& name) override;
  std::map<std::string, std::string> connections() override;

 private:
  const std::shared_ptr<const devices::TlsIdentity>& identity();
  std::shared_ptr<const devices::TlsIdentity> identity_;  ///< Made when it is needed.
  std::string path_;
};

/// True if somebody accepts connections on the unix socket.
bool socket_answers(const std::string& path);

}  // namespace baton::hmc
