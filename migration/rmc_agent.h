// SPDX-License-Identifier: Apache-2.0
// The management agent of a partition's operating system, over its second virtual terminal. It stands in for
// RMC (LPM 0.5); guest/PROTOCOL.md is the protocol.
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "hypervisor/partition.h"

namespace baton::migration {

/// One request's life: `started` when the agent took it up, `rc` when it is done.
struct AgentReply {
  bool started = false;
  std::optional<int> rc;
  std::string text;  ///< What the agent, or a hook of the guest, said.
};

/// Our end of one partition's agent channel. Thread-safe. Detaches from the channel when it is destroyed.
class GuestAgent final : public hypervisor::TerminalSink {
 public:
  explicit GuestAgent(std::shared_ptr<hypervisor::Partition> partition);
  ~GuestAgent() override;

  hypervisor::Partition& partition() { return *partition_; }
  /// The agent announced itself and the partition has been up since.
  bool active() const;
  bool can_migrate() const;  ///< It said pmig=yes.
  std::string os() const;    ///< "Linux/ppc64 6.1..." or empty.

  /// Asks the agent to announce itself (after a move; a booting agent does so by itself).
  void hello();
  /// Forgets the agent: the partition was stopped or booted again.
  void forget();

  /// Sends "VERB SEQ [ARGUMENT]"; the number to wait with. Throws std::runtime_error when there is no agent.
  u32 send(const std::string& verb, const std::string& argument = {});
  /// Waits for the result. Without one the reply has no rc.
  AgentReply wait_result(u32 sequence, std::chrono::milliseconds timeout);
  /// Waits until it has started or is done.
  AgentReply wait_started(u32 sequence, std::chrono::milliseconds timeout);
  AgentReply peek(u32 sequence) const;

  void output(std::span<const u8> data) override;

 private:
  void line(const std::string& text);
  template <class Done>
  AgentReply wait(u32 sequence, std::chrono::milliseconds timeout, Done done);

  const std::shared_ptr<hypervisor::Partition> partition_;
  mutable std::mutex lock_;
  std::condition_variable changed_;
  std::string partial_;
  bool overlong_ = false;
  bool hello_ = false, pmig_ = false;
  std::string os_;
  u32 next_sequence_;
  std::map<u32, AgentReply> replies_;
};

/// Percent-encoding of the protocol's free text.
std::string percent_decode(std::string_view text);
std::string percent_encode(std::string_view text);

}  // namespace baton::migration
