// SPDX-License-Identifier: Apache-2.0
#include "migration/snapshot.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <stdexcept>

#include "hypervisor/virtual_processor.h"
#include "migration/description.h"
#include "migration/state.pb.h"

namespace baton::migration {
namespace {

using hypervisor::CrqAdapter;
using hypervisor::LogicalLan;
using hypervisor::Partition;
using hypervisor::VirtualProcessor;
using hypervisor::Vterm;
using hypervisor::Xics;

constexpr u64 kMostTces = hypervisor::kTceWindowBytes >> 12;

[[noreturn]] void damaged(const std::string& what) {
  throw std::runtime_error("The partition's state is damaged: " + what + " makes no sense.");
}
void check(bool holds, const char* what) {
  if (!holds) damaged(what);
}

void save_processor(VirtualProcessor& processor, state::Processor& out) {
  const cpu::State& s = processor.thread().state();
  out.set_server(processor.server());
  out.set_dispatch(static_cast<u32>(processor.dispatch()));
  out.set_prodded(processor.prodded);
  for (int i = 0; i < 32; ++i) {
    out.add_gpr(s.gpr[i]);
    out.add_fpr(s.fpr[i]);
  }
  out.set_nia(s.nia);
  out.set_lr(s.lr);
  out.set_ctr(s.ctr);
  out.set_msr(s.msr);
  u32 cr = 0;
  for (const u8 field : s.cr) cr = cr << 4 | (field & 15);
  out.set_cr(cr);
  out.set_xer(u64{s.xer_so} << 31 | u64{s.xer_ov} << 30 | u64{s.xer_ca} << 29 | s.xer_count);
  out.set_fpscr(s.fpscr);
  out.set_vr(s.vr, sizeof s.vr);
  out.set_vscr(s.vscr);
  out.set_vrsave(s.vrsave);
  out.set_srr0(s.srr0);
  out.set_srr1(s.srr1);
  out.set_dar(s.dar);
  out.set_dsisr(s.dsisr);
  for (const u64 value : s.sprg) out.add_sprg(value);
  out.set_cfar(s.cfar);
  out.set_dscr(s.dscr);
  out.set_amr(s.amr);
  out.set_ppr(s.ppr);
  out.set_ctrl(s.ctrl);
  out.set_dabr(s.dabr);
  out.set_dabrx(s.dabrx);
  out.set_mmcr0(s.mmcr0);
  out.set_mmcr1(s.mmcr1);
  out.set_mmcra(s.mmcra);
  out.set_siar(s.siar);
  out.set_sdar(s.sdar);
  for (const u32 value : s.pmc) out.add_pmc(value);
  out.set_dec_deadline(s.dec_deadline);
  for (u32 i = 0; i < std::size(s.slb); ++i) {
    if (s.slb[i].esid == 0 && s.slb[i].vsid == 0) continue;
    state::Slb* entry = out.add_slb();
    entry->set_index(i);
    entry->set_esid(s.slb[i].esid);
    entry->set_vsid(s.slb[i].vsid);
  }
  out.set_pvr(s.pvr);
  out.set_lines(s.lines.load() & (cpu::line::kSystemReset | cpu::line::kPerformanceMonitor));
  out.set_purr(processor.thread().purr());
  out.set_instructions(s.instructions);
  out.set_vpa(processor.vpa);
  out.set_slb_shadow(processor.slb_shadow);
  out.set_dtl(processor.dtl);
  out.set_dtl_bytes(processor.dtl_bytes);
  out.set_dtl_index(processor.dtl_index);
  out.set_yield_count(processor.yield_count);
}

void restore_processor(Partition& partition, VirtualProcessor& processor, const state::Processor& in) {
  check(in.gpr_size() == 32 && in.fpr_size() == 32 && in.sprg_size() == 4 && in.pmc_size() == 6 &&
            in.slb_size() <= 64,
        "a processor's register set");
  check(in.dispatch() <= static_cast<u32>(hypervisor::Dispatch::kSuspended), "a processor's dispatch state");
  cpu::Thread& thread = processor.thread();
  cpu::State& s = thread.state();
  thread.reset(in.nia(), 0, true);
  for (int i = 0; i < 32; ++i) {
    s.gpr[i] = in.gpr(i);
    s.fpr[i] = in.fpr(i);
  }
  s.nia = in.nia();
  s.lr = in.lr();
  s.ctr = in.ctr();
  // HV never belongs to a partition.
  s.msr = in.msr() & ~cpu::msr::HV;
  for (int i = 0; i < 8; ++i) s.cr[i] = in.cr() >> (28 - 4 * i) & 15;
  set_so(s, in.xer() >> 31 & 1);
  s.xer_ov = in.xer() >> 30 & 1;
  s.xer_ca = in.xer() >> 29 & 1;
  s.xer_count = in.xer() & 0x7F;
  s.fpscr = in.fpscr();
  check(in.vr().size() == sizeof s.vr, "a vector register");
  std::memcpy(s.vr, in.vr().data(), sizeof s.vr);
  s.vscr = in.vscr();
  s.vrsave = in.vrsave();
  s.srr0 = in.srr0();
  s.srr1 = in.srr1();
  s.dar = in.dar();
  s.dsisr = in.dsisr();
  for (int i = 0; i < 4; ++i) s.sprg[i] = in.sprg(i);
  s.cfar = in.cfar();
  s.dscr = in.dscr();
  s.amr = in.amr();
  s.ppr = in.ppr();
  s.ctrl = in.ctrl();
  s.dabr = in.dabr();
  s.dabrx = in.dabrx();
  s.mmcr0 = in.mmcr0();
  s.mmcr1 = in.mmcr1();
  s.mmcra = in.mmcra();
  s.siar = in.siar();
  s.sdar = in.sdar();
  for (int i = 0; i < 6; ++i) s.pmc[i] = in.pmc(i);
  std::fill(std::begin(s.slb), std::end(s.slb), cpu::SlbEntry{});
  for (const state::Slb& entry : in.slb()) {
    check(entry.index() < std::size(s.slb), "an SLB entry");
    s.slb[entry.index()] = {entry.esid(), entry.vsid()};
  }
  s.pvr = in.pvr();
  s.reserved = false;  // A reservation does not survive: stwcx. fails and is tried again.
  s.instructions = in.instructions();
  s.dec_deadline = in.dec_deadline();
  s.lines = in.lines() & (cpu::line::kSystemReset | cpu::line::kPerformanceMonitor);
  processor.set_purr(in.purr());
  thread.state_changed();
  processor.prodded = in.prodded();
  const auto area = [&](u64 at, u64 length) {
    check(at == 0 || partition.memory().contains(at, length), "a virtual processor area");
    return at;
  };
  processor.vpa = area(in.vpa(), 640);
  processor.slb_shadow = area(in.slb_shadow(), 16);
  processor.dtl = area(in.dtl(), in.dtl_bytes());
  processor.dtl_bytes = in.dtl_bytes();
  processor.dtl_index = in.dtl_index();
  processor.yield_count = in.yield_count();
  processor.restore_dispatch(static_cast<hypervisor::Dispatch>(in.dispatch()));
}

void save_xics(const Xics::Snapshot& xics, state::Partition& out) {
  for (const Xics::ServerState& server : xics.servers) {
    state::XicsServer* s = out.add_xics_servers();
    s->set_cppr(server.cppr);
    s->set_mfrr(server.mfrr);
    s->set_pending_priority(server.pending_priority);
    s->set_xisr(server.xisr);
    s->set_global(server.global);
  }
  for (const auto& [irq, source] : xics.sources) {
    state::XicsSource* s = out.add_xics_sources();
    s->set_irq(irq);
    s->set_server(source.server);
    s->set_priority(source.priority);
    s->set_saved_priority(source.saved_priority);
    s->set_pending(source.pending);
    s->set_in_service(source.in_service);
  }
}

void restore_xics(Partition& partition, const state::Partition& in) {
  Xics::Snapshot xics = partition.xics().save();
  check(static_cast<std::size_t>(in.xics_servers_size()) == xics.servers.size(),
        "the number of interrupt servers");
  for (int i = 0; i < in.xics_servers_size(); ++i) {
    const state::XicsServer& s = in.xics_servers(i);
    check(s.cppr() <= 0xFF && s.mfrr() <= 0xFF && s.pending_priority() <= 0xFF && s.xisr() <= 0xFFFFFF,
          "an interrupt server");
    Xics::ServerState& server = xics.servers[static_cast<std::size_t>(i)];
    server.cppr = static_cast<u8>(s.cppr());
    server.mfrr = static_cast<u8>(s.mfrr());
    server.pending_priority = static_cast<u8>(s.pending_priority());
    server.xisr = s.xisr();
    server.global = s.global();
  }
  for (const state::XicsSource& s : in.xics_sources()) {
    const auto found = xics.sources.find(s.irq());
    check(found != xics.sources.end(), "an interrupt source");
    check(s.priority() <= 0xFF && s.saved_priority() <= 0xFF &&
              (s.server() < xics.servers.size() || s.server() == hypervisor::kGlobalServer),
          "an interrupt source");
    found->second.server = s.server();
    found->second.priority = static_cast<u8>(s.priority());
    found->second.saved_priority = static_cast<u8>(s.saved_priority());
    found->second.pending = s.pending();
    found->second.in_service = s.in_service();
  }
  partition.xics().restore(xics);
}

void save_adapter(hypervisor::VirtualAdapter& adapter, state::Adapter& out) {
  out.set_slot(adapter.slot());
  const auto add_tces = [&out](const std::vector<hypervisor::TceRun>& tces) {
    for (const hypervisor::TceRun& run : tces) {
      state::TceRun* to = out.add_tces();
      to->set_first(static_cast<u32>(run.first));
      to->mutable_entries()->Assign(run.entries.begin(), run.entries.end());
    }
  };
  if (auto* crq = dynamic_cast<CrqAdapter*>(&adapter)) {
    const CrqAdapter::Snapshot snapshot = crq->save();
    state::Crq* to = out.mutable_crq();
    to->set_registered(snapshot.registered);
    to->set_disabled(snapshot.disabled);
    to->set_signal(snapshot.signal);
    to->set_queue(snapshot.queue);
    to->set_length(snapshot.length);
    to->set_offset(snapshot.offset);
    add_tces(snapshot.tces);
  } else if (auto* lan = dynamic_cast<LogicalLan*>(&adapter)) {
    const LogicalLan::Snapshot snapshot = lan->save();
    state::Lan* to = out.mutable_lan();
    to->set_open(snapshot.open);
    to->set_signal(snapshot.signal);
    to->set_buffer_list(snapshot.buffer_list);
    to->set_rx_queue(snapshot.rx_queue);
    to->set_filter_list(snapshot.filter_list);
    to->set_rx_offset(snapshot.rx_offset);
    to->set_rx_toggle(snapshot.rx_toggle);
    to->set_mac(snapshot.mac.data(), snapshot.mac.size());
    to->mutable_buffers()->Assign(snapshot.buffers.begin(), snapshot.buffers.end());
    to->set_all_multicast(snapshot.all_multicast);
    to->set_filtering(snapshot.filtering);
    to->mutable_multicast()->Assign(snapshot.multicast.begin(), snapshot.multicast.end());
    to->set_dropped(snapshot.dropped);
    to->set_attributes(snapshot.attributes);
    add_tces(snapshot.tces);
  } else if (auto* vty = dynamic_cast<Vterm*>(&adapter)) {
    const Vterm::Snapshot snapshot = vty->save();
    state::Vty* to = out.mutable_vty();
    to->set_signal(snapshot.signal);
    to->set_pending_input(snapshot.pending_input);
    to->set_history(snapshot.history);
  }
}

void restore_adapter(hypervisor::VirtualAdapter& adapter, const state::Adapter& in) {
  std::vector<hypervisor::TceRun> tces;
  const auto take_tces = [&](u64 first, const auto& entries) {
    check(first < kMostTces && static_cast<u64>(entries.size()) <= kMostTces - first, "a DMA window");
    tces.push_back({first, {entries.begin(), entries.end()}});
  };
  take_tces(0, in.first_tces());
  for (const state::TceRun& run : in.tces()) take_tces(run.first(), run.entries());
  if (auto* crq = dynamic_cast<CrqAdapter*>(&adapter)) {
    check(in.has_crq(), "an adapter's kind");
    const state::Crq& from = in.crq();
    // Whole 4 KB pages of 16-byte entries, as H_REG_CRQ demands.
    check(from.length() <= (1 << 20) && from.length() % 4096 == 0 && from.queue() % 4096 == 0 &&
              (!from.registered() || from.length() > 0) &&
              (from.length() == 0 || from.offset() < from.length()) && from.offset() % 16 == 0 &&
              from.queue() < hypervisor::kTceWindowBytes,
          "a command queue");
    crq->restore({.registered = from.registered(),
                  .disabled = from.disabled(),
                  .signal = from.signal(),
                  .queue = from.queue(),
                  .length = from.length(),
                  .offset = from.offset(),
                  .tces = tces});
  } else if (auto* lan = dynamic_cast<LogicalLan*>(&adapter)) {
    check(in.has_lan(), "an adapter's kind");
    const state::Lan& from = in.lan();
    check(from.mac().size() == 6 && from.buffers_size() <= 65536 && from.multicast_size() <= 4096,
          "a LAN adapter");
    LogicalLan::Snapshot snapshot;
    snapshot.open = from.open();
    snapshot.signal = from.signal();
    snapshot.buffer_list = from.buffer_list();
    snapshot.rx_queue = from.rx_queue();
    snapshot.filter_list = from.filter_list();
    snapshot.rx_offset = from.rx_offset();
    snapshot.rx_toggle = from.rx_toggle();
    std::copy(from.mac().begin(), from.mac().end(), snapshot.mac.begin());
    snapshot.buffers.assign(from.buffers().begin(), from.buffers().end());
    snapshot.all_multicast = from.all_multicast();
    snapshot.filtering = from.filtering();
    snapshot.multicast.assign(from.multicast().begin(), from.multicast().end());
    snapshot.dropped = from.dropped();
    snapshot.attributes = from.attributes();
    snapshot.tces = tces;
    lan->restore(snapshot);
  } else if (auto* vty = dynamic_cast<Vterm*>(&adapter)) {
    check(in.has_vty(), "an adapter's kind");
    check(in.vty().pending_input().size() <= (1 << 20) && in.vty().history().size() <= (1 << 20),
          "a terminal");
    vty->restore({.signal = in.vty().signal(),
                  .pending_input = in.vty().pending_input(),
                  .history = in.vty().history()});
  }
}

}  // namespace

std::string save_state(Partition& partition, bool active) {
  state::Partition out;
  out.set_active(active);
  out.set_time_of_day_ns(time_of_day_ns());
  out.set_time_base(partition.clock().time_base());
  {
    const std::lock_guard hold(partition.nvram_lock());
    out.set_nvram(partition.nvram().data(), partition.nvram().size());
  }
  auto codes = partition.reference_codes();
  std::reverse(codes.begin(), codes.end());
  for (const auto& [time, code] : codes) {
    state::Code* c = out.add_codes();
    c->set_time(time);
    c->set_code(code);
  }
  if (active) {
    out.set_real_mode_limit(partition.domain().real_mode_limit);
    for (const auto& processor : partition.processors()) save_processor(*processor, *out.add_processors());
    save_xics(partition.xics().save(), out);
    for (const auto& [slot, adapter] : partition.adapters()) save_adapter(*adapter, *out.add_adapters());
    const std::vector<u8> platform = partition.save_platform();
    out.set_platform(platform.data(), platform.size());
  }
  return out.SerializeAsString();
}

void restore_state(Partition& partition, std::span<const u8> bytes, bool active) {
  state::Partition in;
  if (bytes.size() > (64 << 20) || !in.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    damaged("the section");
  check(in.active() == active, "the kind of move");
  check(in.nvram().size() == partition.nvram().size(), "the NVRAM");
  check(in.codes_size() <= 4096, "the operator panel");
  {
    const std::lock_guard hold(partition.nvram_lock());
    std::copy(in.nvram().begin(), in.nvram().end(), partition.nvram().begin());
  }
  if (!active) return;

  check(static_cast<std::size_t>(in.processors_size()) == partition.processors().size(),
        "the number of processors");
  partition.domain().real_mode_limit = in.real_mode_limit();
  partition.restore_platform({reinterpret_cast<const u8*>(in.platform().data()), in.platform().size()});
  // The time base goes on by the time that the move took, never back (LPM 1.10).
  const i64 elapsed = std::max<i64>(0, time_of_day_ns() - in.time_of_day_ns());
  const auto ticks = static_cast<u64>(static_cast<u128>(elapsed) * cpu::kTimeBaseHz / 1'000'000'000);
  partition.clock().set_time_base(in.time_base() + ticks);
  std::set<u32> servers;
  for (const state::Processor& p : in.processors()) {
    VirtualProcessor* processor = partition.processor(p.server());
    check(processor && servers.insert(p.server()).second, "a processor's number");
    restore_processor(partition, *processor, p);
  }
  std::set<u32> slots;
  for (const state::Adapter& a : in.adapters()) {
    const auto found = partition.adapters().find(a.slot());
    check(found != partition.adapters().end() && slots.insert(a.slot()).second, "an adapter's slot");
    restore_adapter(*found->second, a);
  }
  check(slots.size() == partition.adapters().size(), "the number of adapters");
  // Last: it raises the interrupt lines of the processors.
  restore_xics(partition, in);
  for (const state::Code& code : in.codes()) {
    check(code.code().size() <= 256, "a reference code");
    partition.progress(code.code());
  }
}

}  // namespace baton::migration
