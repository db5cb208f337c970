// SPDX-License-Identifier: Apache-2.0
// The only server file that sees gRPC's headers.
#include "app/control_service.h"

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <stdexcept>

#include "hmc/control.grpc.pb.h"

namespace baton::app {
namespace {

using grpc::ServerContext;
using grpc::Status;

/// Runs the call; a sentence for the user travels as the status message.
template <class Call>
Status answer(Call&& call) try {
  call();
  return Status::OK;
} catch (const std::exception& problem) {
  return {grpc::StatusCode::FAILED_PRECONDITION, problem.what()};
}

class Service final : public control::Control::Service {
 public:
  explicit Service(hmc::Control& control) : control_(control) {}

  Status List(ServerContext*, const control::ListRequest* request, control::Records* out) override {
    return answer([&] { *out = control_.list(*request); });
  }
  Status ChangeState(ServerContext*, const control::StateRequest* request, control::Outcome* out) override {
    return answer([&] { *out = control_.change_state(*request); });
  }
  Status CloseTerminal(ServerContext*, const control::TerminalRequest* request,
                       control::Outcome* out) override {
    return answer([&] { *out = control_.close_terminal(request->lpar()); });
  }
  Status Migrate(ServerContext*, const control::MigrateRequest* request,
                 control::MigrateOutcome* out) override {
    return answer([&] { *out = control_.migrate(*request); });
  }
  Status Progress(ServerContext*, const control::ProgressRequest* request,
                  control::MigrationProgresses* out) override {
    return answer([&] { *out = control_.progress(request->lpar()); });
  }
  Status ViosCommand(ServerContext*, const control::ViosRequest* request, control::Outcome* out) override {
    return answer([&] { *out = control_.vios_command(*request); });
  }
  Status Stop(ServerContext*, const control::Empty*, control::Outcome* out) override {
    return answer([&] { *out = control_.stop(); });
  }
  Status ValidateIncoming(ServerContext*, const control::DescriptionRequest* request,
                          control::Findings* out) override {
    return answer([&] { *out = control_.validate_incoming(*request); });
  }
  Status CreateShell(ServerContext*, const control::DescriptionRequest* request,
                     control::Shell* out) override {
    return answer([&] { *out = control_.create_shell(*request); });
  }
  Status AbandonShell(ServerContext*, const control::StreamRequest* request, control::Empty*) override {
    return answer([&] { control_.abandon_shell(*request); });
  }
  Status SettleMove(ServerContext*, const control::StreamRequest* request, control::Outcome* out) override {
    return answer([&] { *out = control_.settle_move(*request); });
  }

  Status Terminal(
      ServerContext*,
      grpc::ServerReaderWriter<control::TerminalOutput, control::TerminalInput>* stream) override {
    return answer([&] {
      control::TerminalInput input;
      if (!stream->Read(&input)) return;
      if (input.slot() != 0)
        throw std::runtime_error("Slot 1 is the management agent's; only the console can be opened.");
      // The terminal's own thread is the only writer.
      const auto terminal =
          control_.open_terminal(input.lpar(), input.force(),
                                 [stream](const control::TerminalOutput& output) { stream->Write(output); });
      if (!input.data().empty()) terminal->input(input.data());
      while (stream->Read(&input)) terminal->input(input.data());
    });
  }

 private:
  hmc::Control& control_;
};

}  // namespace

struct ControlService::Private {
  explicit Private(hmc::Control& control) : service(control) {}
  Service service;
  std::unique_ptr<grpc::Server> server;
};

ControlService::ControlService(hmc::Control& control, const std::string& address)
    : p_(std::make_unique<Private>(control)) {
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address, grpc::InsecureServerCredentials());
  builder.RegisterService(&p_->service);
  builder.SetMaxReceiveMessageSize(4 << 20);
  p_->server = builder.BuildAndStart();
  if (!p_->server) {
    throw std::runtime_error("The control service cannot listen on " + address +
                             "; choose another path with --run-dir or the key \"control\".");
  }
}

ControlService::~ControlService() { stop(); }

void ControlService::stop() {
  if (!p_->server) return;
  p_->server->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(2));
  p_->server->Wait();
  p_->server.reset();
}

}  // namespace baton::app
