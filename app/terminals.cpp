// SPDX-License-Identifier: Apache-2.0
#include "app/terminals.h"

#include <condition_variable>
#include <stdexcept>
#include <thread>

namespace baton::app {

/// A terminal: takes output from vCPU threads without ever waiting for the user, hands it on from its own
/// thread.
class Terminals::Session final : public hypervisor::TerminalSink {
 public:
  Session(std::shared_ptr<hypervisor::Partition> partition, hmc::TerminalHandler handler)
      : partition_(std::move(partition)), handler_(std::move(handler)) {}

  ~Session() override { end({}, false); }

  void start() {
    control::TerminalOutput first;
    first.set_history(true);
    first.set_data(partition_->console().set_sink(this));
    thread_ = std::thread([this, first] { run(first); });
  }

  void output(std::span<const u8> data) override {
    const std::lock_guard hold(lock_);
    waiting_.append(reinterpret_cast<const char*>(data.data()), data.size());
    // A user who does not read loses the oldest; the partition must not wait for him.
    if (waiting_.size() > kMostWaiting) waiting_.erase(0, waiting_.size() - kMostWaiting / 2);
    changed_.notify_one();
  }

  void input(std::string_view data) {
    partition_->console().input({reinterpret_cast<const u8*>(data.data()), data.size()});
  }

  /// Detaches from the partition; the user is told the reason if there is one. Not under the lock of
  /// Terminals.
  void end(const std::string& reason, bool moved) {
    if (mark_ended(reason, moved)) {
      partition_->console().set_sink(nullptr);
      const std::lock_guard hold(lock_);
      detached_ = true;
      changed_.notify_one();
    }
    join();
  }

  const hypervisor::Partition& partition() const { return *partition_; }

 private:
  static constexpr std::size_t kMostWaiting = 1 << 20;

  /// False if somebody else has ended it.
  bool mark_ended(const std::string& reason, bool moved) {
    const std::lock_guard hold(lock_);
    if (std::exchange(ended_, true)) return false;
    reason_ = reason;
    moved_ = moved;
    return true;
  }

  /// Not under lock_: the thread needs it to end.
  void join() {
    const std::lock_guard hold(join_lock_);
    if (!thread_.joinable()) return;
    if (thread_.get_id() == std::this_thread::get_id())
      thread_.detach();
    else
      thread_.join();
  }

  void run(const control::TerminalOutput& first) {
    handler_(first);
    std::unique_lock hold(lock_);
    while (true) {
      changed_.wait(hold, [&] { return !waiting_.empty() || detached_; });
      control::TerminalOutput message;
      message.set_data(std::exchange(waiting_, {}));
      const bool last = detached_;
      if (last && reason_.empty()) return;  // The user closed it himself.
      if (last) {
        message.set_closed(true);
        message.set_reason(reason_);
        message.set_moved(moved_);
      }
      hold.unlock();
      handler_(message);
      if (last) return;
      hold.lock();
    }
  }

  const std::shared_ptr<hypervisor::Partition> partition_;
  const hmc::TerminalHandler handler_;
  std::mutex lock_, join_lock_;
  std::condition_variable changed_;
  std::string waiting_, reason_;
  bool ended_ = false, detached_ = false, moved_ = false;
  std::thread thread_;
};

class Terminals::Handle final : public hmc::Terminal {
 public:
  Handle(Terminals& terminals, std::shared_ptr<Session> session)
      : terminals_(terminals), session_(std::move(session)) {}
  ~Handle() override {
    {
      const std::lock_guard hold(terminals_.lock_);
      const auto found = terminals_.sessions_.find(&session_->partition());
      if (found != terminals_.sessions_.end() && found->second == session_) terminals_.sessions_.erase(found);
    }
    session_->end({}, false);
  }
  void input(std::string_view data) override { session_->input(data); }

 private:
  Terminals& terminals_;
  std::shared_ptr<Session> session_;
};

Terminals::~Terminals() { close_all("The managed system stops."); }

std::unique_ptr<hmc::Terminal> Terminals::open(std::shared_ptr<hypervisor::Partition> partition, bool force,
                                               hmc::TerminalHandler handler) {
  if (force) close(*partition, "Another user took the virtual terminal.", false);
  const std::string name = partition->name();
  const hypervisor::Partition* key = partition.get();
  auto session = std::make_shared<Session>(std::move(partition), std::move(handler));
  const std::lock_guard hold(lock_);
  if (!sessions_.emplace(key, session).second) {
    throw std::runtime_error("The virtual terminal of " + name +
                             " is open already; close it with rmvterm, or take it with mkvterm --force.");
  }
  session->start();
  return std::make_unique<Handle>(*this, std::move(session));
}

bool Terminals::close(const hypervisor::Partition& partition, const std::string& reason, bool moved) {
  std::shared_ptr<Session> session;
  {
    const std::lock_guard hold(lock_);
    const auto found = sessions_.find(&partition);
    if (found == sessions_.end()) return false;
    session = std::move(found->second);
    sessions_.erase(found);
  }
  session->end(reason, moved);
  return true;
}

void Terminals::close_all(const std::string& reason) {
  std::map<const hypervisor::Partition*, std::shared_ptr<Session>> all;
  {
    const std::lock_guard hold(lock_);
    all.swap(sessions_);
  }
  for (auto& [partition, session] : all) session->end(reason, false);
}

}  // namespace baton::app
