// SPDX-License-Identifier: Apache-2.0
#include "migration/rmc_agent.h"

#include <charconv>
#include <random>
#include <sstream>
#include <stdexcept>

namespace baton::migration {
namespace {

constexpr std::size_t kLongestLine = 16 << 10;
constexpr std::size_t kMostReplies = 64;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// A guest's text goes to the administrator's terminal: no control sequences.
std::string printable(std::string text) {
  for (char& c : text) {
    if (c != '\n' && (c < 0x20 || c > 0x7E)) c = '?';
  }
  return text;
}

template <class Number>
bool parse_number(const std::string& text, Number& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

std::string percent_decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      const int high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
      if (high >= 0 && low >= 0) {
        out += static_cast<char>(high * 16 + low);
        i += 2;
        continue;
      }
    }
    out += text[i];
  }
  return out;
}

std::string percent_encode(std::string_view text) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > 0x20 && byte < 0x7F && c != '%') {
      out += c;
    } else {
      out += '%';
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
    }
  }
  return out;
}

// The first number is random so that an answer to a question of an earlier system (before a move) is not
// taken for an answer to ours.
GuestAgent::GuestAgent(std::shared_ptr<hypervisor::Partition> partition)
    : partition_(std::move(partition)), next_sequence_(std::random_device{}() & 0x3FFFFFFF) {
  partition_->agent_channel().set_sink(this);
}

GuestAgent::~GuestAgent() { partition_->agent_channel().set_sink(nullptr); }

bool GuestAgent::active() const {
  {
    const std::lock_guard hold(lock_);
    if (!hello_) return false;
  }
  const hypervisor::PartitionState state = partition_->state();
  return state != hypervisor::PartitionState::kNotActivated && state != hypervisor::PartitionState::kError;
}

bool GuestAgent::can_migrate() const {
  const std::lock_guard hold(lock_);
  return pmig_;
}

std::string GuestAgent::os() const {
  const std::lock_guard hold(lock_);
  return hello_ ? os_ : std::string();
}

void GuestAgent::hello() {
  static constexpr std::string_view kHello = "hello\n";
  partition_->agent_channel().input({reinterpret_cast<const u8*>(kHello.data()), kHello.size()});
}

void GuestAgent::forget() {
  const std::lock_guard hold(lock_);
  hello_ = pmig_ = false;
  os_.clear();
  partial_.clear();
  replies_.clear();
  changed_.notify_all();
}

u32 GuestAgent::send(const std::string& verb, const std::string& argument) {
  if (!active()) {
    throw std::runtime_error("The management agent of " + partition_->name() +
                             " does not answer; start baton-agent in the partition.");
  }
  u32 sequence;
  {
    const std::lock_guard hold(lock_);
    sequence = ++next_sequence_;
    while (replies_.size() >= kMostReplies) replies_.erase(replies_.begin());
    replies_[sequence];
  }
  const std::string text =
      verb + " " + std::to_string(sequence) + (argument.empty() ? "" : " " + argument) + "\n";
  partition_->agent_channel().input({reinterpret_cast<const u8*>(text.data()), text.size()});
  return sequence;
}

template <class Done>
AgentReply GuestAgent::wait(u32 sequence, std::chrono::milliseconds timeout, Done done) {
  std::unique_lock hold(lock_);
  changed_.wait_for(hold, timeout, [&] {
    const auto found = replies_.find(sequence);
    return found == replies_.end() || done(found->second);
  });
  const auto found = replies_.find(sequence);
  return found == replies_.end() ? AgentReply{} : found->second;
}

AgentReply GuestAgent::wait_result(u32 sequence, std::chrono::milliseconds timeout) {
  return wait(sequence, timeout, [](const AgentReply& reply) { return reply.rc.has_value(); });
}

AgentReply GuestAgent::wait_started(u32 sequence, std::chrono::milliseconds timeout) {
  return wait(sequence, timeout, [](const AgentReply& reply) { return reply.started || reply.rc; });
}

AgentReply GuestAgent::peek(u32 sequence) const {
  const std::lock_guard hold(lock_);
  const auto found = replies_.find(sequence);
  return found == replies_.end() ? AgentReply{} : found->second;
}

void GuestAgent::output(std::span<const u8> data) {
  const std::lock_guard hold(lock_);
  for (const u8 byte : data) {
    if (byte == '\r') continue;
    if (byte != '\n') {
      if (partial_.size() < kLongestLine)
        partial_ += static_cast<char>(byte);
      else
        overlong_ = true;
      continue;
    }
    if (!overlong_) line(partial_);
    overlong_ = false;
    partial_.clear();
  }
}

/// Called with the lock held. Anything that is not the protocol (a login prompt, an echo) is passed over.
void GuestAgent::line(const std::string& text) {
  std::istringstream words(text);
  std::string verb, second;
  words >> verb >> second;
  if (verb == "hello" && second == "baton-agent") {
    // A new agent does not know of questions to an earlier one.
    hello_ = true;
    pmig_ = false;
    os_.clear();
    for (std::string word; words >> word;) {
      if (word == "pmig=yes") pmig_ = true;
      if (word.starts_with("os=")) os_ = printable(percent_decode(std::string_view(word).substr(3)));
    }
  } else if (verb == "started" || verb == "result" || verb == "pong") {
    u32 sequence = 0;
    if (!parse_number(second, sequence)) return;
    const auto found = replies_.find(sequence);
    if (found == replies_.end()) return;
    if (verb == "started") {
      found->second.started = true;
    } else {
      int rc = 0;
      std::string number, encoded;
      words >> number >> encoded;
      if (verb == "result" && !parse_number(number, rc)) return;
      found->second.rc = rc;
      found->second.text = printable(percent_decode(encoded));
    }
  } else {
    return;
  }
  changed_.notify_all();
}

}  // namespace baton::migration
