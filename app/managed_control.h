// SPDX-License-Identifier: Apache-2.0
// The control API of a managed system: what each call does. app/control_service puts it on gRPC.
#pragma once

#include <atomic>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "app/attributes.h"
#include "app/remote.h"
#include "app/terminals.h"
#include "hmc/control.h"
#include "hypervisor/system.h"
#include "migration/migration.h"
#include "vios/virtual_io.h"

namespace baton::app {

class ManagedControl final : public hmc::Control {
 public:
  /// How another system is reached, and what Stop does.
  using Connect = std::function<std::shared_ptr<hmc::Control>(const std::string& address)>;
  ManagedControl(hypervisor::ManagedSystem& system, vios::VirtualIo& vios, migration::Mover& mover,
                 Connect connect, std::function<void()> stop);
  ~ManagedControl() override;

  control::Records list(const control::ListRequest& request) override;
  control::Outcome change_state(const control::StateRequest& request) override;
  std::unique_ptr<hmc::Terminal> open_terminal(const std::string& lpar, bool force,
                                               hmc::TerminalHandler handler) override;
  control::Outcome close_terminal(const std::string& lpar) override;
  control::MigrateOutcome migrate(const control::MigrateRequest& request) override;
  control::MigrationProgresses progress(const std::string& lpar) override;
  control::Outcome vios_command(const control::ViosRequest& request) override;
  control::Outcome stop() override;
  control::Findings validate_incoming(const control::DescriptionRequest& request) override;
  control::Shell create_shell(const control::DescriptionRequest& request) override;
  void abandon_shell(control::StreamRequest request) override;
  control::Outcome settle_move(control::StreamRequest request) override;

  /// Where the control API listens for other hosts, "HOST:PORT". Before the first call.
  void set_address(const std::string& address) { address_ = address; }
  /// Closes every terminal, and waits for moves started with wait = false.
  void shut_down();

 private:
  std::shared_ptr<hypervisor::Partition> partition(const std::string& name_or_id);
  control::Outcome resume(const std::string& file);
  control::Outcome change_server(vios::Vios& server, const std::string& operation);
  void add_scsi_adapters(control::Records& out, const control::ListRequest& request, Subject subject);
  void add_of_destination(control::Records& out, const control::ListRequest& request, Subject subject);
  migration::MoveOptions options_of(const control::MigrateRequest& request);
  void operating_system(const std::shared_ptr<hypervisor::Partition>& partition, const std::string& verb);

  hypervisor::ManagedSystem& system_;
  vios::VirtualIo& vios_;
  migration::Mover& mover_;
  Connect connect_;
  std::function<void()> stop_;
  std::string address_;
  Terminals terminals_;
  std::mutex lock_;
  std::map<std::string, std::string> destinations_;  ///< Of the last move of each partition, by name.
  struct Running {
    std::thread thread;
    std::shared_ptr<std::atomic<bool>> done = std::make_shared<std::atomic<bool>>(false);
  };
  std::list<Running> moves_;  ///< Started with wait = false.
};

}  // namespace baton::app
