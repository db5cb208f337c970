// SPDX-License-Identifier: Apache-2.0
// The control API of a managed system as C++: over gRPC for the console and for other systems, direct in
// tests.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "devices/tls.h"
#include "hmc/control.pb.h"

namespace baton::hmc {

/// An open virtual terminal; destroying it closes it.
class Terminal {
 public:
  virtual ~Terminal() = default;
  virtual void input(std::string_view data) = 0;
};
/// Told of output on a thread of the terminal's; a message with closed() is the last one.
using TerminalHandler = std::function<void(const control::TerminalOutput&)>;

/// Every call throws std::runtime_error with one sentence for the user.
class Control {
 public:
  virtual ~Control() = default;
  virtual control::Records list(const control::ListRequest& request) = 0;
  virtual control::Outcome change_state(const control::StateRequest& request) = 0;
  /// Throws when another user has the terminal, unless `force`.
  virtual std::unique_ptr<Terminal> open_terminal(const std::string& lpar, bool force,
                                                  TerminalHandler handler) = 0;
  virtual control::Outcome close_terminal(const std::string& lpar) = 0;
  virtual control::MigrateOutcome migrate(const control::MigrateRequest& request) = 0;
  virtual control::MigrationProgresses progress(const std::string& lpar) = 0;
  virtual control::Outcome vios_command(const control::ViosRequest& request) = 0;
  virtual control::Outcome stop() = 0;

  // -- system to system
  virtual control::Findings validate_incoming(const control::DescriptionRequest& request) = 0;
  virtual control::Shell create_shell(const control::DescriptionRequest& request) = 0;
  virtual void abandon_shell(control::StreamRequest request) = 0;
  virtual control::Outcome settle_move(control::StreamRequest request) = 0;
};

/// A client of the service at `address`: "unix:/run/.../POWER6-A.sock", or "tls://HOST:PORT/NAME", where the
/// peer's certificate must bear the name. Connects at the first call.
std::unique_ptr<Control> connect_control(const std::string& address,
                                         std::shared_ptr<const devices::TlsIdentity> identity = nullptr);

}  // namespace baton::hmc
