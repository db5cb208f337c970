// SPDX-License-Identifier: Apache-2.0
#include "migration/description.h"

#include <algorithm>
#include <ctime>
#include <set>
#include <stdexcept>

#include "migration/state.pb.h"
#include "migration/stream.h"

namespace baton::migration {
namespace {

void check(bool holds, const char* what) {
  if (!holds) throw std::runtime_error(std::string("its ") + what + " makes no sense.");
}

bool is_path_or_empty(const std::string& path) {
  return path.size() <= 4096 && path.find('\0') == std::string::npos;
}

void write(const vios::ServerName& server, state::ServerName& out) {
  out.set_name(server.name);
  out.set_id(server.id);
}

vios::ServerName read(const state::ServerName& in) {
  check(in.name().size() <= 64 && in.id() <= 65535, "choice of servers");
  return {in.name(), in.id()};
}

}  // namespace

i64 time_of_day_ns() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return i64{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

std::string encode(const Description& d) {
  state::Description out;
  out.set_stream_version(d.stream_version);
  out.set_source_system(d.source_system);
  out.set_source_type_model(d.source_type_model);
  out.set_source_serial(d.source_serial);
  out.set_active(d.active);
  out.set_hpt_bytes(d.hpt_bytes);
  out.set_lmb_bytes(d.lmb_bytes);
  out.set_time_of_day_ns(d.time_of_day_ns);
  out.set_current_mode(d.current_mode);
  out.set_wanted_id(d.wanted_id);
  out.set_ignore_vlans(d.ignore_vlans);
  for (const u16 vlan : d.bridged_vlans) out.add_bridged_vlans(vlan);
  for (const ScsiMapping& mapping : d.wanted_mappings) {
    state::ScsiMapping* m = out.add_wanted_mappings();
    m->set_slot(mapping.slot);
    write(mapping.server, *m->mutable_server());
    m->set_server_slot(mapping.server_slot);
  }
  if (d.wanted_mover.given()) write(d.wanted_mover, *out.mutable_wanted_mover());
  out.set_ignore_redundancy(d.ignore_redundancy);
  out.set_channels(d.channels);
  out.set_source_mover(d.source_mover);
  state::Profile* p = out.mutable_profile();
  p->set_name(d.profile.name);
  p->set_id(d.profile.id);
  p->set_profile_name(d.profile.profile_name);
  p->set_memory(d.profile.memory);
  p->set_processors(d.profile.processors);
  p->set_proc_compat_mode(d.profile.proc_compat_mode);
  p->set_firmware(d.profile.firmware);
  p->set_kernel(d.profile.kernel);
  p->set_initrd(d.profile.initrd);
  p->set_bootargs(d.profile.bootargs);
  p->set_auto_start(d.profile.auto_start);
  p->set_huge_pages(d.profile.huge_pages);
  for (const std::string& slot : d.profile.io_slots) p->add_io_slots(slot);
  for (const auto& slot : d.profile.scsi) {
    state::ScsiSlot* s = p->add_scsi();
    s->set_slot(slot.slot);
    s->set_server_slot(slot.server_slot);
    s->set_server_id(slot.server_id);
  }
  for (const auto& slot : d.profile.ethernet) {
    state::EthernetSlot* s = p->add_ethernet();
    s->set_slot(slot.slot);
    s->set_mac(slot.mac.data(), slot.mac.size());
    s->set_pvid(slot.pvid);
    for (const u16 vlan : slot.vlans) s->add_vlans(vlan);
  }
  for (std::size_t i = 0; i < d.profile.disks.size(); ++i) {
    const auto& disk = d.profile.disks[i];
    state::Disk* s = p->add_disks();
    s->set_slot(disk.slot);
    s->set_vtd(disk.vtd);
    s->set_target(disk.target);
    s->set_unique_id(i < d.disk_ids.size() ? d.disk_ids[i] : "");
    s->set_source_backing(disk.backing);
    s->set_optical(disk.optical);
  }
  return out.SerializeAsString();
}

Description decode(const std::string& bytes) {
  state::Description in;
  if (bytes.size() > (1 << 20) || !in.ParseFromString(bytes))
    throw std::runtime_error("it is not a description of a partition.");
  const state::Profile& p = in.profile();
  Description d;
  d.stream_version = in.stream_version();
  d.source_system = in.source_system();
  d.source_type_model = in.source_type_model();
  d.source_serial = in.source_serial();
  d.active = in.active();
  d.hpt_bytes = in.hpt_bytes();
  d.lmb_bytes = in.lmb_bytes();
  d.time_of_day_ns = in.time_of_day_ns();
  check(d.source_system.size() <= 64 && d.source_type_model.size() <= 64 && d.source_serial.size() <= 64,
        "source");
  check(d.lmb_bytes >= (1 << 20) && d.lmb_bytes <= (u64{1} << 40), "memory block size");
  d.current_mode = in.current_mode();
  d.wanted_id = in.wanted_id();
  d.ignore_vlans = in.ignore_vlans();
  check(in.wanted_mappings_size() <= 64, "choice of servers");
  for (const state::ScsiMapping& m : in.wanted_mappings()) {
    check(m.slot() < 0x10000 && m.server_slot() < 0x10000, "choice of servers");
    d.wanted_mappings.push_back({m.slot(), read(m.server()), m.server_slot()});
  }
  d.wanted_mover = read(in.wanted_mover());
  d.ignore_redundancy = in.ignore_redundancy();
  check(in.channels() <= kMostChannels, "number of channels");
  d.channels = std::max(in.channels(), 1u);
  d.source_mover = in.source_mover();
  check(d.source_mover.size() <= 64, "source");
  check(d.current_mode.size() <= 64, "processor compatibility mode");
  check(d.wanted_id != 1 && d.wanted_id <= 65535, "wanted partition number");
  check(in.bridged_vlans_size() <= 4094, "list of VLANs");
  for (const u32 vlan : in.bridged_vlans()) d.bridged_vlans.push_back(static_cast<u16>(vlan));
  d.profile.name = p.name();
  d.profile.id = p.id();
  d.profile.profile_name = p.profile_name();
  d.profile.memory = p.memory();
  d.profile.processors = p.processors();
  d.profile.proc_compat_mode = p.proc_compat_mode();
  d.profile.firmware = p.firmware();
  d.profile.kernel = p.kernel();
  d.profile.initrd = p.initrd();
  d.profile.bootargs = p.bootargs();
  d.profile.auto_start = p.auto_start();
  d.profile.huge_pages = p.huge_pages();
  check(p.io_slots_size() <= 64, "list of physical adapters");
  for (const std::string& slot : p.io_slots()) {
    check(slot.size() <= 80, "list of physical adapters");
    d.profile.io_slots.push_back(slot);
  }
  check(!p.name().empty() && p.name().size() <= 64 && p.profile_name().size() <= 64, "name");
  check(p.id() >= 2 && p.id() <= 65535, "partition number");
  check(p.memory() > 0 && p.memory() % (16 << 20) == 0 && p.memory() <= (u64{1} << 42), "memory size");
  check(p.processors() >= 1 && p.processors() <= 64, "number of processors");
  check(is_path_or_empty(p.firmware()) && is_path_or_empty(p.kernel()) && is_path_or_empty(p.initrd()),
        "file name");
  check(p.bootargs().size() <= 4096 && p.proc_compat_mode().size() <= 64, "boot arguments");
  check(p.scsi_size() <= 64 && p.ethernet_size() <= 64 && p.disks_size() <= 256, "number of adapters");
  std::set<u32> slots;
  for (const state::ScsiSlot& s : p.scsi()) {
    check(s.slot() >= 2 && s.slot() < 0x10000 && s.server_slot() < 0x10000 && slots.insert(s.slot()).second,
          "virtual SCSI slot");
    check(s.server_id() < 0x10000, "virtual SCSI slot");
    d.profile.scsi.push_back(
        {.slot = s.slot(), .server_slot = s.server_slot(), .server_id = s.server_id() ? s.server_id() : 1});
  }
  for (const state::EthernetSlot& s : p.ethernet()) {
    check(s.slot() >= 2 && s.slot() < 0x10000 && slots.insert(s.slot()).second && s.mac().size() == 6 &&
              s.pvid() >= 1 && s.pvid() <= 4094 && s.vlans_size() <= 64,
          "virtual Ethernet slot");
    hypervisor::VirtualEthernetSlot slot;
    slot.slot = s.slot();
    std::copy(s.mac().begin(), s.mac().end(), slot.mac.begin());
    slot.pvid = static_cast<u16>(s.pvid());
    for (const u32 vlan : s.vlans()) {
      check(vlan >= 1 && vlan <= 4094, "VLAN");
      slot.vlans.push_back(static_cast<u16>(vlan));
    }
    d.profile.ethernet.push_back(slot);
  }
  for (const state::Disk& s : p.disks()) {
    check(s.target() < 64 && s.vtd().size() <= 64 && s.unique_id().size() <= 1024 &&
              s.source_backing().size() <= 64,
          "disk");
    check(!s.optical() || (s.unique_id().empty() && s.source_backing().empty()), "optical drive");
    d.profile.disks.push_back({.slot = s.slot(),
                               .vtd = s.vtd(),
                               .backing = s.source_backing(),
                               .target = s.target(),
                               .optical = s.optical()});
    d.disk_ids.push_back(s.unique_id());
  }
  return d;
}

}  // namespace baton::migration
