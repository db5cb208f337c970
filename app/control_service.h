// SPDX-License-Identifier: Apache-2.0
// The control API on gRPC: serves any hmc::Control.
#pragma once

#include <memory>
#include <string>

#include "hmc/control.h"

namespace baton::app {

class ControlService {
 public:
  /// Listens on "unix:PATH" until destroyed. Throws std::runtime_error when the address cannot be had.
  ControlService(hmc::Control& control, const std::string& address);
  ~ControlService();
  /// Ends every call within two seconds; no more are taken.
  void stop();

 private:
  struct Private;
  std::unique_ptr<Private> p_;
};

}  // namespace baton::app
