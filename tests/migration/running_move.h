// SPDX-License-Identifier: Apache-2.0
// Two systems in this process, a partition that runs a small program, and somebody between their movers.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "migration/socket.h"
#include "tests/hypervisor/guest_program.h"
#include "tests/migration/support.h"

namespace baton::migration {

/// Sits between the movers, on all connections of a move, and sees every frame of either direction.
class Relay {
 public:
  /// Called before a frame is passed on, or after. False: the connection is cut there.
  using Look = std::function<bool(Channel, FrameType)>;
  Relay(std::string target, Look look, bool before)
      : target_(std::move(target)), look_(std::move(look)), before_(before) {
    acceptor_ = std::thread([this] {
      while (auto client = listener_.accept()) {
        const std::lock_guard hold(lock_);
        connections_.emplace_back([this, c = client.release()] { serve(std::unique_ptr<Socket>(c)); });
      }
    });
  }
  ~Relay() {
    listener_.shut_down();
    acceptor_.join();
    for (std::thread& connection : connections_) connection.join();
  }
  const std::string& address() const { return listener_.address(); }

 private:
  void serve(std::unique_ptr<Socket> client) {
    std::unique_ptr<Socket> server;
    Preamble preamble;
    try {
      server = connect_to(target_, std::chrono::seconds(5));
      preamble = read_preamble(*client);
      write_preamble(*server, preamble);
    } catch (const StreamError&) {
      return;
    }
    std::thread back([&] { pump(*server, *client, preamble.channel); });
    pump(*client, *server, preamble.channel);
    back.join();
  }
  void pump(Socket& from, Socket& to, Channel channel) {
    try {
      FrameReader reader(from);
      FrameWriter writer(to);
      while (true) {
        const Frame frame = reader.read();
        if (before_ && !look_(channel, frame.type)) break;
        writer.send(frame.type, frame.payload);
        if (!before_ && !look_(channel, frame.type)) break;
      }
    } catch (const StreamError&) {
    }
    from.shut_down();
    to.shut_down();
  }

  const std::string target_;
  const Look look_;
  const bool before_;
  ListeningSocket listener_{"127.0.0.1"};
  std::mutex lock_;
  std::list<std::thread> connections_;
  std::thread acceptor_;
};

/// The destination by direct calls, its mover behind a Relay if somebody looks.
class Relayed final : public RemoteSystem {
 public:
  explicit Relayed(Machine& machine) : machine_(machine) {}
  std::string name() override { return machine_.system.identity().name; }
  std::vector<Finding> validate(const std::string& description) override {
    return machine_.mover.validate_incoming(description);
  }
  Shell create_shell(const std::string& description, u64 stream_id) override {
    shell = machine_.mover.create_shell(description, stream_id);
    this->stream_id = stream_id;
    Shell out = shell;
    if (!look_) return out;
    relay_ = std::make_unique<Relay>(out.mover_address, look_, before_);
    out.mover_address = relay_->address();
    return out;
  }
  void abandon_shell(u64 stream_id) override { machine_.mover.abandon_shell(stream_id); }
  Outcome settle(u64 stream_id) override { return machine_.mover.settle(stream_id); }
  std::string failure(u64 stream_id) override {
    for (const Progress& p : machine_.mover.progress())
      if (p.stream_id == stream_id && p.finished && !p.ok) return p.error;
    return {};
  }
  /// From the next move on, as Relay does.
  void look(Relay::Look look, bool before = true) {
    look_ = std::move(look);
    before_ = before;
  }
  /// On return nothing passes any more; the next move is not looked at.
  void look_away() {
    relay_.reset();
    look_ = {};
  }
  Shell shell;  ///< The latest one, as the destination gave it.
  u64 stream_id = 0;

 private:
  Machine& machine_;
  Relay::Look look_;
  bool before_ = true;
  std::unique_ptr<Relay> relay_;
};

constexpr u32 kCounter = 0x800000, kMismatch = 0x800008, kPages = 0x1000000, kPageCount = 1024;

/// Writes numbers in order to as many pages again and again; adds up in kMismatch what it finds in a page
/// that is not what it wrote there the last time, and counts in kCounter.
inline std::string restless_program(const Directory& directory) {
  hypervisor::test::GuestProgram program;
  const auto for_each_page = [&](auto&& body) {
    program.load(4, kPages);
    program.load(5, kPageCount);
    program.mtspr(9, 5);  // CTR
    const u32 loop = program.here();
    body();
    program.std(6, 0, 4);
    program.addi(6, 6, 1);
    program.addi(4, 4, 0x1000);
    program.word(16u << 26 | 16u << 21 | ((loop - program.here()) & 0xFFFC));  // bdnz loop
  };
  program.prologue();
  program.load(6, 0);
  program.load(9, 0);
  for_each_page([] {});
  const u32 start = program.here();
  for_each_page([&] {
    program.word(58u << 26 | 7u << 21 | 4u << 16);                         // ld r7,0(r4)
    program.addi(8, 6, -static_cast<i32>(kPageCount));                     // r8: what must be there
    program.word(31u << 26 | 7u << 21 | 7u << 16 | 8u << 11 | 316u << 1);  // xor r7,r7,r8
    program.word(31u << 26 | 9u << 21 | 9u << 16 | 7u << 11 | 444u << 1);  // or r9,r9,r7
  });
  program.load(7, kCounter);
  program.std(6, 0, 7);
  program.std(9, kMismatch - kCounter, 7);
  program.branch(start);
  return program.save(directory.path() / "restless");
}

/// Whether the partition's program goes on there, waiting some seconds for that.
inline bool runs_on(Machine& machine) {
  const auto partition = machine.system.find("lpar1");
  if (!partition) return false;
  const auto count = [&] { return partition->memory().load<u64>(kCounter).value_or(0); };
  const u64 before = count();
  for (int i = 0; i < 2000 && count() == before; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  return count() != before;
}

}  // namespace baton::migration
