// SPDX-License-Identifier: Apache-2.0
// The destination of a move, reached through its control API.
#pragma once

#include <memory>
#include <string>

#include "hmc/control.h"
#include "migration/migration.h"

namespace baton::app {

class ControlRemote final : public migration::RemoteSystem {
 public:
  explicit ControlRemote(std::shared_ptr<hmc::Control> control) : control_(std::move(control)) {}
  std::string name() override;
  std::vector<migration::Finding> validate(const std::string& description) override;
  Shell create_shell(const std::string& description, u64 stream_id) override;
  void abandon_shell(u64 stream_id) override;
  Outcome settle(u64 stream_id) override;
  std::string failure(u64 stream_id) override;

 private:
  std::shared_ptr<hmc::Control> control_;
  std::string name_;
};

}  // namespace baton::app
