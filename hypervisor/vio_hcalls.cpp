// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/vio_hcalls.h"

#include <algorithm>

#include "hypervisor/adapter.h"
#include "hypervisor/partition.h"

namespace baton::hypervisor {
namespace {

constexpr u64 kMostTces = 512;  // Per H_STUFF_TCE and H_PUT_TCE_INDIRECT: one page of entries.
constexpr u64 kPage = 4096;

// -- finding what a call is about

template <typename Adapter>
Adapter* adapter(HcallContext& call) {
  const u64 unit = call.arg(0);
  if (unit >> 32) return nullptr;
  return dynamic_cast<Adapter*>(call.partition().adapter(static_cast<u32>(unit)));
}

TceTable* tce_table(HcallContext& call) {
  const u64 liobn = call.arg(0);
  return liobn >> 32 ? nullptr : call.partition().tce(static_cast<u32>(liobn));
}

/// Terminal number 0 means the console: Linux's earliest debug output uses it before it has the device tree.
Vterm* vterm(HcallContext& call) {
  if (call.arg(0) == 0) return &call.partition().console();
  return adapter<Vterm>(call);
}

// -- TCEs (PAPR 4.2)

i64 get_tce(HcallContext& call) {
  TceTable* table = tce_table(call);
  u64 tce;
  if (!table || !table->get(call.arg(1), tce)) return h::Parameter;
  call.out(0, tce);
  return h::Success;
}

i64 put_tce(HcallContext& call) {
  TceTable* table = tce_table(call);
  return table && table->put(call.arg(1), call.arg(2)) ? h::Success : h::Parameter;
}

bool in_window(const TceTable& table, u64 ioba, u64 count) {
  const u64 first = ioba / kPage, pages = table.window_bytes() / kPage;
  return first < pages && count <= pages - first;
}

i64 stuff_tce(HcallContext& call) {
  TceTable* table = tce_table(call);
  const u64 ioba = call.arg(1), tce = call.arg(2), count = call.arg(3);
  if (!table) return h::Parameter;
  if (count > kMostTces) return h::P4;
  if (!in_window(*table, ioba, count)) return h::Parameter;
  for (u64 i = 0; i < count; i++)
    if (!table->put(ioba + i * kPage, tce)) return h::Parameter;
  return h::Success;
}

i64 put_tce_indirect(HcallContext& call) {
  // A negative LIOBN asks for several tables at once, an option that is not here.
  if (call.arg(0) >> 63) return h::Function;
  TceTable* table = tce_table(call);
  const u64 ioba = call.arg(1), list = call.arg(2), count = call.arg(3);
  if (!table || count > kMostTces || list % kPage || !in_window(*table, ioba, count)) return h::Parameter;
  alignas(8) u8 entries[kMostTces * 8];
  if (!call.partition().memory().read(list, {entries, count * 8})) return h::Parameter;
  for (u64 i = 0; i < count; i++)
    if (!table->put(ioba + i * kPage, load_be<u64>(entries + i * 8))) return h::Parameter;
  return h::Success;
}

// -- terminals (VIO 4.1)

i64 get_term_char(HcallContext& call) {
  Vterm* terminal = vterm(call);
  if (!terminal) return h::Parameter;
  u64 length, high, low;
  const i64 status = terminal->h_get_term_char(length, high, low);
  call.out(0, length);
  call.out(1, high);
  call.out(2, low);
  return status;
}

i64 put_term_char(HcallContext& call) {
  Vterm* terminal = vterm(call);
  return terminal ? terminal->h_put_term_char(call.arg(1), call.arg(2), call.arg(3)) : h::Parameter;
}

// -- CRQ (VIO 1)

i64 reg_crq(HcallContext& call) {
  auto* crq = adapter<CrqAdapter>(call);
  return crq ? crq->h_reg_crq(call.arg(1), call.arg(2)) : h::Parameter;
}

i64 free_crq(HcallContext& call) {
  auto* crq = adapter<CrqAdapter>(call);
  return crq ? crq->h_free_crq() : h::Parameter;
}

i64 send_crq(HcallContext& call) {
  auto* crq = adapter<CrqAdapter>(call);
  return crq ? crq->h_send_crq({call.arg(1), call.arg(2)}) : h::Parameter;
}

i64 enable_crq(HcallContext& call) {
  auto* crq = adapter<CrqAdapter>(call);
  return crq ? crq->h_enable_crq() : h::Parameter;
}

// -- logical LAN (VIO 3.3)

i64 register_logical_lan(HcallContext& call) {
  auto* lan = adapter<LogicalLan>(call);
  return lan ? lan->h_register(call.arg(1), call.arg(2), call.arg(3), call.arg(4)) : h::Parameter;
}

i64 free_logical_lan(HcallContext& call) {
  auto* lan = adapter<LogicalLan>(call);
  return lan ? lan->h_free() : h::Parameter;
}

i64 add_logical_lan_buffer(HcallContext& call) {
  auto* lan = adapter<LogicalLan>(call);
  return lan ? lan->h_add_buffer(call.arg(1)) : h::Parameter;
}

i64 free_logical_lan_buffer(HcallContext& call) {
  auto* lan = adapter<LogicalLan>(call);
  return lan ? lan->h_free_buffer(call.arg(1)) : h::Parameter;
}

i64 send_logical_lan(HcallContext& call) {
  auto* lan = adapter<LogicalLan>(call);
  if (!lan) return h::Parameter;
  u64 descriptors[6];
  for (unsigned i = 0; i < 6; i++) descriptors[i] = call.arg(1 + i);
  return lan->h_send(descriptors, call.arg(7), call.arg(8));
}

i64 multicast_ctrl(HcallContext& call) {
  auto* lan = adapter<LogicalLan>(call);
  if (!lan) return h::Parameter;
  u64 out = 0;
  const i64 status = lan->h_multicast_ctrl(call.arg(1), call.arg(2), out);
  call.out(0, out);
  return status;
}

i64 change_logical_lan_mac(HcallContext& call) {
  auto* lan = adapter<LogicalLan>(call);
  return lan ? lan->h_change_mac(call.arg(1)) : h::Parameter;
}

i64 illan_attributes(HcallContext& call) {
  auto* lan = adapter<LogicalLan>(call);
  if (!lan) return h::Parameter;
  u64 out = 0;
  const i64 status = lan->h_illan_attributes(call.arg(1), call.arg(2), out);
  call.out(0, out);
  return status;
}

// -- any virtual adapter

i64 vio_signal(HcallContext& call) {
  auto* any = adapter<VirtualAdapter>(call);
  const u64 mode = call.arg(1);
  if (!any || mode > 1) return h::Parameter;  // Clients have one interrupt, the one of the lowest bit.
  any->set_signal(mode & 1);
  return h::Success;
}

/// Writes `data` to the buffer of an output descriptor {control 0, length, I/O address}, rest zeroed.
i64 output(VirtualAdapter& any, u64 descriptor, std::span<const u8> data) {
  const u64 length = descriptor >> 32 & 0xFFFFFF, ioba = descriptor & 0xFFFFFFFF;
  TceTable* tce = any.tce();
  if (descriptor >> 56 || !tce || !tce->check(ioba, length, true)) return h::Parameter;
  if (length < data.size()) return h::Constrained;
  const std::vector<u8> zero(std::min<u64>(length - data.size(), 64 << 10));
  if (!tce->write(ioba, data)) return h::Parameter;
  for (u64 done = data.size(); done < length;) {
    const u64 bytes = std::min<u64>(length - done, zero.size());
    if (!tce->write(ioba + done, std::span(zero).first(bytes))) return h::Parameter;
    done += bytes;
  }
  return h::Success;
}

const VirtualEthernetSlot* ethernet_slot(VirtualAdapter& any) {
  for (const auto& slot : any.partition().profile().ethernet)
    if (slot.slot == any.slot()) return &slot;
  return nullptr;
}

/// Subfunctions that say something about a client adapter; the rest are for servers (LoPAR, H_VIOCTL).
i64 vioctl(HcallContext& call) {
  enum : u64 { kVlanCount = 3, kVlanList = 4, kSwitchId = 5, kPartnerInfo = 8 };
  const u64 subfunction = call.arg(1);
  if (subfunction != kPartnerInfo && (subfunction < kVlanCount || subfunction > kSwitchId))
    return h::NotFound;
  auto* any = adapter<VirtualAdapter>(call);
  if (!any || call.arg(3) || call.arg(4)) return h::Parameter;
  std::vector<u8> data;
  if (subfunction == kPartnerInfo) {
    if (!dynamic_cast<CrqAdapter*>(any)) return h::Parameter;
    // Partition, unit address and location of the server end: the VIOS and its slot are the profile's.
    u32 server_slot = any->slot(), server_id = 1;
    for (const auto& scsi : any->partition().profile().scsi) {
      if (scsi.slot != any->slot()) continue;
      server_id = scsi.server_id;
      if (scsi.server_slot) server_slot = scsi.server_slot;
    }
    std::string location = any->loc_code();
    location = location.substr(0, location.rfind("-V")) + "-V" + std::to_string(server_id) + "-C" +
               std::to_string(server_slot);
    data.resize(16);
    store_be<u64>(data.data(), server_id);
    store_be<u64>(data.data() + 8, 0x30000000 | server_slot);
    data.insert(data.end(), location.begin(), location.end());
    data.push_back(0);
    return output(*any, call.arg(2), data);
  }
  const VirtualEthernetSlot* ethernet = ethernet_slot(*any);
  if (!ethernet) return h::Parameter;
  if (subfunction == kVlanCount) {
    if (call.arg(2)) return h::Parameter;
    call.out(0, 1 + ethernet->vlans.size());
    return h::Success;
  }
  if (subfunction == kVlanList) {
    data.resize(2 + 2 * ethernet->vlans.size());
    store_be<u16>(data.data(), ethernet->pvid);
    for (std::size_t i = 0; i < ethernet->vlans.size(); i++)
      store_be<u16>(data.data() + 2 + 2 * i, ethernet->vlans[i]);
  } else {
    constexpr std::string_view kSwitch = "ETHERNET0";  // PowerVM's name of the default virtual switch.
    data.assign(kSwitch.begin(), kSwitch.end());
    data.push_back(0);
  }
  return output(*any, call.arg(2), data);
}

constexpr HcallRow kRows[] = {
    {0x1C, "H_GET_TCE", "hcall-tce", get_tce},
    {0x20, "H_PUT_TCE", "hcall-tce", put_tce},
    {0x54, "H_GET_TERM_CHAR", "hcall-term", get_term_char},
    {0x58, "H_PUT_TERM_CHAR", "hcall-term", put_term_char},
    {0xFC, "H_REG_CRQ", "hcall-crq", reg_crq},
    {0x100, "H_FREE_CRQ", "hcall-crq", free_crq},
    {0x104, "H_VIO_SIGNAL", "hcall-vio", vio_signal},
    {0x108, "H_SEND_CRQ", "hcall-crq", send_crq},
    {0x114, "H_REGISTER_LOGICAL_LAN", "hcall-lLAN", register_logical_lan},
    {0x118, "H_FREE_LOGICAL_LAN", "hcall-lLAN", free_logical_lan},
    {0x11C, "H_ADD_LOGICAL_LAN_BUFFER", "hcall-lLAN", add_logical_lan_buffer},
    {0x120, "H_SEND_LOGICAL_LAN", "hcall-lLAN", send_logical_lan},
    {0x130, "H_MULTICAST_CTRL", "hcall-lLAN", multicast_ctrl},
    {0x138, "H_STUFF_TCE", "hcall-multi-tce", stuff_tce},
    {0x13C, "H_PUT_TCE_INDIRECT", "hcall-multi-tce", put_tce_indirect},
    {0x14C, "H_CHANGE_LOGICAL_LAN_MAC", "hcall-lLAN", change_logical_lan_mac},
    {0x1D4, "H_FREE_LOGICAL_LAN_BUFFER", "hcall-lLAN", free_logical_lan_buffer},
    {0x244, "H_ILLAN_ATTRIBUTES", "hcall-illan-options", illan_attributes},
    {0x2A8, "H_VIOCTL", "hcall-vioctl", vioctl},
    {0x2B0, "H_ENABLE_CRQ", "hcall-suspend", enable_crq},
};

}  // namespace

std::span<const HcallRow> vio_hcalls() { return kRows; }

}  // namespace baton::hypervisor
