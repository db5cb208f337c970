// SPDX-License-Identifier: Apache-2.0
// Interrupt presentation (PAPR 6). Lock order: the Xics lock, then that of a virtual processor (the line).
#include "hypervisor/xics.h"

#include <utility>

namespace baton::hypervisor {
namespace {

constexpr u8 kMasked = 0xFF;
constexpr u32 kXisrMask = 0x00FFFFFF;

}  // namespace

Xics::Xics(u32 servers, Line line) : servers_(servers), line_(std::move(line)) {}

void Xics::add_source(u32 irq) {
  std::lock_guard lock(lock_);
  sources_.try_emplace(irq);
}

bool Xics::has_source(u32 irq) const {
  std::lock_guard lock(lock_);
  return sources_.contains(irq);
}

/// Presented and not yet accepted by H_XIRR.
bool Xics::presented(u32 irq) const {
  for (const ServerState& server : servers_)
    if (server.xisr == irq) return true;
  return false;
}

void Xics::pulse(u32 irq) {
  std::lock_guard lock(lock_);
  const auto found = sources_.find(irq);
  if (found == sources_.end()) return;
  SourceState& source = found->second;
  // The handler has not looked at the device yet, so the presentation under way covers this event too.
  if (source.in_service && presented(irq)) return;
  source.pending = true;
  if (!source.in_service) deliver(source);
}

/// Offers a pending source to its server, or to the threads of the global queue in order.
void Xics::deliver(const SourceState& source) {
  if (source.priority == kMasked) return;
  if (source.server != kGlobalServer) return present(source.server);
  for (u32 server = 0; server < servers_.size() && source.pending; server++) present(server);
}

/// Takes back what `server` was presented and has not accepted.
void Xics::reject(u32 server) {
  ServerState& s = servers_[server];
  if (s.xisr != kXicsIpi && s.xisr != 0) {
    SourceState& source = sources_[s.xisr];
    source.in_service = false;
    source.pending = true;
  }
  s.xisr = 0;
  s.pending_priority = 0xFF;
}

/// Presents the most favoured interrupt that `server` may take now.
void Xics::present(u32 server) {
  if (server >= servers_.size()) return;
  ServerState& s = servers_[server];
  u8 best = s.xisr ? s.pending_priority : s.cppr;  // Only what is strictly more favoured is presented.
  u32 candidate = 0;
  if (s.mfrr < best) {
    best = s.mfrr;
    candidate = kXicsIpi;
  }
  for (const auto& [irq, source] : sources_) {
    if (!source.pending || source.in_service || source.priority >= best) continue;
    if (source.server != server && !(source.server == kGlobalServer && s.global)) continue;
    best = source.priority;
    candidate = irq;
  }
  if (candidate) {
    const u32 displaced = s.xisr;
    reject(server);
    s.xisr = candidate;
    s.pending_priority = best;
    if (candidate != kXicsIpi) {
      SourceState& source = sources_[candidate];
      source.pending = false;
      source.in_service = true;
    }
    if (displaced && displaced != kXicsIpi && sources_[displaced].server == kGlobalServer)
      for (u32 other = 0; other < servers_.size() && sources_[displaced].pending; other++)
        if (other != server) present(other);
  }
  line_(server, s.xisr != 0);
}

u32 Xics::accept(u32 server) {
  std::lock_guard lock(lock_);
  if (server >= servers_.size()) return 0;
  ServerState& s = servers_[server];
  const u32 xirr = u32{s.cppr} << 24 | s.xisr;
  if (s.xisr) {
    s.cppr = s.pending_priority;
    s.xisr = 0;
    s.pending_priority = 0xFF;
    line_(server, false);
  }
  return xirr;
}

bool Xics::eoi(u32 server, u32 xirr) {
  std::lock_guard lock(lock_);
  if (server >= servers_.size()) return false;
  const u32 irq = xirr & kXisrMask;
  if (irq != 0 && irq != kXicsIpi) {
    const auto found = sources_.find(irq);
    if (found == sources_.end()) return false;
    // An EOI for an interrupt that nobody has accepted yet must not lose it.
    if (!presented(irq)) found->second.in_service = false;
  }
  take_cppr(server, static_cast<u8>(xirr >> 24));
  if (irq != 0 && irq != kXicsIpi && sources_[irq].pending && !sources_[irq].in_service)
    deliver(sources_[irq]);
  return true;
}

/// Sets CPPR: what no longer qualifies goes back to its source, what now does is presented.
void Xics::take_cppr(u32 server, u8 cppr) {
  ServerState& s = servers_[server];
  s.cppr = cppr;
  if (s.xisr && s.pending_priority >= cppr) {
    const u32 irq = s.xisr;
    reject(server);
    if (irq != kXicsIpi) deliver(sources_[irq]);  // Another thread may take it from the global queue.
  }
  present(server);
}

void Xics::set_cppr(u32 server, u8 cppr) {
  std::lock_guard lock(lock_);
  if (server >= servers_.size()) return;
  take_cppr(server, cppr);
}

bool Xics::ipi(u32 server, u8 mfrr) {
  std::lock_guard lock(lock_);
  if (server >= servers_.size()) return false;
  ServerState& s = servers_[server];
  s.mfrr = mfrr;
  // A request that was withdrawn or made less favoured is no longer what was presented.
  if (s.xisr == kXicsIpi && s.pending_priority != mfrr) reject(server);
  present(server);
  return true;
}

bool Xics::poll(u32 server, u32& xirr, u8& mfrr) {
  std::lock_guard lock(lock_);
  if (server >= servers_.size()) return false;
  xirr = u32{servers_[server].cppr} << 24 | servers_[server].xisr;
  mfrr = servers_[server].mfrr;
  return true;
}

bool Xics::set_xive(u32 irq, u32 server, u8 priority) {
  std::lock_guard lock(lock_);
  const auto found = sources_.find(irq);
  if (found == sources_.end() || (server >= servers_.size() && server != kGlobalServer)) return false;
  SourceState& source = found->second;
  source.server = server;
  source.priority = source.saved_priority = priority;
  if (source.pending && !source.in_service) deliver(source);
  return true;
}

bool Xics::get_xive(u32 irq, u32& server, u8& priority) {
  std::lock_guard lock(lock_);
  const auto found = sources_.find(irq);
  if (found == sources_.end()) return false;
  server = found->second.server;
  priority = found->second.priority;
  return true;
}

bool Xics::int_off(u32 irq) {
  std::lock_guard lock(lock_);
  const auto found = sources_.find(irq);
  if (found == sources_.end()) return false;
  SourceState& source = found->second;
  if (source.priority != kMasked) source.saved_priority = source.priority;
  source.priority = kMasked;
  return true;
}

bool Xics::int_on(u32 irq) {
  std::lock_guard lock(lock_);
  const auto found = sources_.find(irq);
  if (found == sources_.end()) return false;
  SourceState& source = found->second;
  source.priority = source.saved_priority;
  if (source.pending && !source.in_service) deliver(source);
  return true;
}

bool Xics::set_global_queue(u32 server, bool enabled) {
  std::lock_guard lock(lock_);
  if (server >= servers_.size()) return false;
  servers_[server].global = enabled;
  present(server);
  return true;
}

void Xics::reset_server(u32 server) {
  std::lock_guard lock(lock_);
  if (server >= servers_.size()) return;
  const u32 irq = servers_[server].xisr;
  reject(server);
  servers_[server] = {};
  line_(server, false);
  if (irq && irq != kXicsIpi) deliver(sources_[irq]);
}

void Xics::reset() {
  std::lock_guard lock(lock_);
  for (auto& [irq, source] : sources_) source = {};
  for (u32 server = 0; server < servers_.size(); server++) {
    servers_[server] = {};
    line_(server, false);
  }
}

Xics::Snapshot Xics::save() const {
  std::lock_guard lock(lock_);
  return {servers_, sources_};
}

void Xics::restore(const Snapshot& snapshot) {
  std::lock_guard lock(lock_);
  for (u32 server = 0; server < servers_.size(); server++)
    servers_[server] = server < snapshot.servers.size() ? snapshot.servers[server] : ServerState{};
  // Sources are those of this partition's adapters; the stream only fills them in.
  for (auto& [irq, source] : sources_) {
    const auto found = snapshot.sources.find(irq);
    source = found == snapshot.sources.end() ? SourceState{} : found->second;
  }
  for (u32 server = 0; server < servers_.size(); server++) {
    ServerState& s = servers_[server];
    if (s.xisr && s.xisr != kXicsIpi && !sources_.contains(s.xisr)) {
      s.xisr = 0;
      s.pending_priority = 0xFF;
    }
    present(server);
  }
}

}  // namespace baton::hypervisor
