// SPDX-License-Identifier: Apache-2.0
// The control API over gRPC, client side. The only client file that sees gRPC's headers.
#include <fcntl.h>
#include <grpcpp/create_channel_posix.h>
#include <grpcpp/grpcpp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "devices/tcp.h"
#include "devices/tls_tunnel.h"
#include "hmc/control.grpc.pb.h"
#include "hmc/control.h"

namespace baton::hmc {
namespace {

using Stream = grpc::ClientReaderWriter<control::TerminalInput, control::TerminalOutput>;

constexpr auto kAnswerTime = std::chrono::seconds(15);
constexpr std::string_view kTlsScheme = "tls://";

[[noreturn]] void fail(const grpc::Status& status, const std::string& address) {
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    throw std::runtime_error("The managed system behind " + address + " does not answer in time.");
  }
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE) {
    throw std::runtime_error("The managed system behind " + address +
                             " does not answer; start it with \"baton system\".");
  }
  throw std::runtime_error(status.error_message());
}

class GrpcTerminal final : public Terminal {
 public:
  GrpcTerminal(control::Control::Stub& stub, const std::string& lpar, bool force, TerminalHandler handler,
               const std::string& address)
      : stream_(stub.Terminal(&context_)) {
    control::TerminalInput first;
    first.set_lpar(lpar);
    first.set_force(force);
    control::TerminalOutput answer;
    // The server's first message (the history, perhaps empty) tells that the terminal is ours.
    if (!stream_->Write(first) || !stream_->Read(&answer)) fail(stream_->Finish(), address);
    reader_ = std::thread([this, handler = std::move(handler), answer]() mutable {
      bool closed = false;
      do {
        handler(answer);
        closed = answer.closed();
      } while (!closed && stream_->Read(&answer));
      finish_writing();
      if (!closed) {
        control::TerminalOutput lost;
        lost.set_closed(true);
        lost.set_reason("The connection to the managed system ended.");
        handler(lost);
      }
    });
  }

  ~GrpcTerminal() override {
    finish_writing();
    context_.TryCancel();
    if (reader_.get_id() == std::this_thread::get_id())
      reader_.detach();
    else
      reader_.join();
    stream_->Finish();
  }

  void input(std::string_view data) override {
    const std::lock_guard hold(lock_);
    if (finished_) return;
    control::TerminalInput message;
    message.set_data(std::string(data));
    stream_->Write(message);
  }

 private:
  void finish_writing() {
    const std::lock_guard hold(lock_);
    if (!finished_) stream_->WritesDone();
    finished_ = true;
  }

  grpc::ClientContext context_;
  std::unique_ptr<Stream> stream_;
  std::mutex lock_;
  bool finished_ = false;
  std::thread reader_;
};

class GrpcControl final : public Control {
 public:
  GrpcControl(const std::string& address, std::shared_ptr<const devices::TlsIdentity> identity)
      : address_(address), identity_(std::move(identity)) {}

  control::Records list(const control::ListRequest& request) override {
    return call<control::Records>(&control::Control::Stub::List, request, true);
  }
  control::Outcome change_state(const control::StateRequest& request) override {
    return call<control::Outcome>(&control::Control::Stub::ChangeState, request);
  }
  std::unique_ptr<Terminal> open_terminal(const std::string& lpar, bool force,
                                          TerminalHandler handler) override {
    return std::make_unique<GrpcTerminal>(*stub(), lpar, force, std::move(handler), address_);
  }
  control::Outcome close_terminal(const std::string& lpar) override {
    control::TerminalRequest request;
    request.set_lpar(lpar);
    return call<control::Outcome>(&control::Control::Stub::CloseTerminal, request);
  }
  control::MigrateOutcome migrate(const control::MigrateRequest& request) override {
    return call<control::MigrateOutcome>(&control::Control::Stub::Migrate, request);
  }
  control::MigrationProgresses progress(const std::string& lpar) override {
    control::ProgressRequest request;
    request.set_lpar(lpar);
    return call<control::MigrationProgresses>(&control::Control::Stub::Progress, request, true);
  }
  control::Outcome vios_command(const control::ViosRequest& request) override {
    return call<control::Outcome>(&control::Control::Stub::ViosCommand, request);
  }
  control::Outcome stop() override {
    return call<control::Outcome>(&control::Control::Stub::Stop, control::Empty{});
  }
  control::Findings validate_incoming(const control::DescriptionRequest& request) override {
    return call<control::Findings>(&control::Control::Stub::ValidateIncoming, request, true);
  }
  control::Shell create_shell(const control::DescriptionRequest& request) override {
    return call<control::Shell>(&control::Control::Stub::CreateShell, request, true);
  }
  void abandon_shell(control::StreamRequest request) override {
    call<control::Empty>(&control::Control::Stub::AbandonShell, request, true);
  }
  control::Outcome settle_move(control::StreamRequest request) override {
    return call<control::Outcome>(&control::Control::Stub::SettleMove, request, true);
  }

 private:
  /// `limited`: a question that is answered at once, or the peer is stuck.
  template <class Answer, class Request, class Method>
  Answer call(Method method, const Request& request, bool limited = false) {
    grpc::ClientContext context;
    if (limited) context.set_deadline(std::chrono::system_clock::now() + kAnswerTime);
    Answer answer;
    const std::shared_ptr<control::Control::Stub> stub = this->stub();
    const grpc::Status status = ((*stub).*method)(&context, request, &answer);
    if (!status.ok()) fail(status, address_);
    return answer;
  }

  /// Connects, or connects anew when a tunnel broke; a unix socket's channel does so by itself.
  std::shared_ptr<control::Control::Stub> stub() {
    const std::lock_guard hold(lock_);
    if (stub_ && !(tunnel_ && tunnel_->over())) return stub_;
    stub_ = nullptr;
    tunnel_ = nullptr;
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(16 << 20);
    // Systems come and go at the same address: a cached dead connection must not be shared between clients.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    std::shared_ptr<grpc::Channel> channel;
    if (address_.starts_with(kTlsScheme)) {
      channel = grpc::CreateCustomInsecureChannelFromFd(address_, open_tunnel(), arguments);
    } else {
      channel = grpc::CreateCustomChannel(address_, grpc::InsecureChannelCredentials(), arguments);
    }
    stub_ = control::Control::NewStub(channel);
    return stub_;
  }

  /// Our end of a tunnel to "tls://HOST:PORT/NAME"; without a name to whoever the authority knows.
  int open_tunnel() {
    const std::size_t slash = address_.find('/', kTlsScheme.size());
    const std::string host = address_.substr(kTlsScheme.size(), slash - kTlsScheme.size());
    const std::string name = slash == std::string::npos ? "" : address_.substr(slash + 1);
    if (!identity_)
      throw std::runtime_error("The managed system at " + host +
                               " needs a certificate, and there is none here.");
    const int fd = devices::connect_tcp(host, kAnswerTime);
    int ends[2] = {-1, -1};
    try {
      auto tls =
          std::make_unique<devices::TlsChannel>(identity_, fd, devices::TlsChannel::Role::kClient, name);
      tls->handshake();
      devices::set_socket_timeout(fd, std::chrono::milliseconds(0));
      if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)) throw std::runtime_error("no sockets");
      fcntl(ends[0], F_SETFL, O_NONBLOCK);
      tunnel_ = std::make_unique<devices::TlsTunnel>(std::move(tls), fd, ends[1]);
    } catch (const std::exception& problem) {
      ::close(fd);
      throw std::runtime_error("The managed system at " + host + " was not connected: " + problem.what());
    }
    return ends[0];
  }

  const std::string address_;
  const std::shared_ptr<const devices::TlsIdentity> identity_;
  std::mutex lock_;
  std::unique_ptr<devices::TlsTunnel> tunnel_;
  std::shared_ptr<control::Control::Stub> stub_;
};

}  // namespace

std::unique_ptr<Control> connect_control(const std::string& address,
                                         std::shared_ptr<const devices::TlsIdentity> identity) {
  return std::make_unique<GrpcControl>(address, std::move(identity));
}

}  // namespace baton::hmc
