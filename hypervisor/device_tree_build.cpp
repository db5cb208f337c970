// SPDX-License-Identifier: Apache-2.0
// What the device tree of a 9117-MMA partition says (PAPR 8, VIO 0).
#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <bit>
#include <iterator>
#include <random>

#include "hypervisor/compatibility.h"
#include "hypervisor/device_tree.h"
#include "hypervisor/hcall.h"
#include "hypervisor/partition.h"
#include "hypervisor/rtas.h"
#include "hypervisor/system.h"
#include "hypervisor/virtual_processor.h"

namespace baton::hypervisor {
namespace {

constexpr u32 kClockHz = 4'208'000'000, kBusHz = 1'052'000'000;
constexpr u32 kProcessorConnector = 0x10000000, kSlotConnector = 0x30000000;
constexpr u32 kNoPowerDomain = ~u32{0};
constexpr u32 kLmbBytes = 16 << 20;

/// A counted list of strings: LoPAR ibm,drc-names and ibm,drc-types.
std::vector<u8> counted(const std::vector<std::string>& strings) {
  std::vector<u8> value(4);
  store_be<u32>(value.data(), static_cast<u32>(strings.size()));
  for (const std::string& text : strings) {
    value.insert(value.end(), text.begin(), text.end());
    value.push_back(0);
  }
  return value;
}

struct Connectors {
  std::vector<u32> indexes;
  std::vector<std::string> names;
};

void add_connectors(TreeNode& node, const Connectors& connectors, const std::string& type) {
  std::vector<u32> indexes{static_cast<u32>(connectors.indexes.size())}, domains = indexes;
  indexes.insert(indexes.end(), connectors.indexes.begin(), connectors.indexes.end());
  domains.resize(indexes.size(), kNoPowerDomain);
  node.cells("ibm,drc-indexes", indexes);
  node.bytes("ibm,drc-names", counted(connectors.names));
  node.bytes("ibm,drc-types", counted(std::vector(connectors.names.size(), type)));
  node.cells("ibm,drc-power-domains", domains);
}

void add_root(TreeNode& root, Partition& partition) {
  const SystemIdentity& identity = partition.system().identity();
  root.cells("#address-cells", {2});
  root.cells("#size-cells", {2});
  root.string("device_type", "chrp");
  root.string("model", "IBM," + identity.type_model);
  root.string("compatible", "IBM," + identity.type_model);
  root.string("system-id", "IBM,02" + identity.serial);
  root.cells("clock-frequency", {kBusHz});
  root.flag("ibm,lpar-capable");
  root.cells("ibm,partition-no", {partition.id()});
  root.string("ibm,partition-name", partition.name());
  root.flag("ibm,migratable-partition");
  root.flag("ibm,converged-loc-codes");
  root.flag("ibm,extended-address");
  root.string("ibm,model-class", "F5");
  root.cells("ibm,partition-performance-parameters-level", {1});
  std::vector<u8> notification(4);
  store_be<u32>(notification.data(), 1);
  std::ranges::copy(std::string("PowerPC,POWER6_003e0301"), std::back_inserter(notification));
  notification.push_back(0);
  root.bytes("ibm,platform-hardware-notification", notification);
}

void add_processors(TreeNode& root, Partition& partition) {
  TreeNode& cpus = root.add("cpus");
  cpus.cells("#address-cells", {1});
  cpus.cells("#size-cells", {0});
  Connectors connectors;
  for (u32 n = 0; n < partition.processors().size(); n++) {
    connectors.indexes.push_back(kProcessorConnector | n);
    connectors.names.push_back(fmt::format("CPU {}", n + 1));
  }
  add_connectors(cpus, connectors, "CPU");
  const u32 pft = partition.hpt().log2_bytes();
  for (u32 n = 0; n < partition.processors().size(); n++) {
    TreeNode& cpu = cpus.add(fmt::format("PowerPC,POWER6@{:x}", n));
    cpu.string("device_type", "cpu");
    cpu.string("status", "okay");
    cpu.cells("reg", {n});
    describe_mode(cpu, partition.mode(), partition.processors()[n]->thread().state().pvr);
    cpu.cells("ibm,ppc-interrupt-server#s", {n});
    cpu.cells("ibm,ppc-interrupt-gserver#s", {n, kGlobalServer});
    cpu.cells("timebase-frequency", {cpu::kTimeBaseHz});
    cpu.cells("ibm,nominal-tbf", {cpu::kTimeBaseHz});
    cpu.number("ibm,tbu40-offset", 0);
    cpu.cells("clock-frequency", {kClockHz});
    cpu.number("ibm,extended-clock-frequency", kClockHz);
    cpu.cells("bus-frequency", {kBusHz});
    cpu.number("ibm,extended-bus-frequency", kBusHz);
    for (const char* name : {"64-bit", "32-64-bridge", "general-purpose", "graphics"}) cpu.flag(name);
    cpu.cells("slb-size", {64});
    cpu.cells("ibm,slb-size", {64});
    cpu.cells("ibm,pft-size", {0, pft});
    cpu.cells("ibm,processor-page-sizes", {12, 16, 24});
    cpu.cells("ibm,processor-segment-sizes", {28, 40, ~u32{0}, ~u32{0}});
    cpu.cells("ibm,processor-vadd-size", {65});
    cpu.cells("ibm,processor-storage-keys", {8, 0});
    cpu.cells("ibm,purr", {1});
    cpu.bytes("ibm,pi-features", std::array<u8, 3>{1, 0, 0});
    cpu.bytes("ibm,pa-optimizations", std::array<u8, 3>{1, 0, 0});
    cpu.cells("performance-monitor", {0, 1});
    cpu.cells("reservation-granule-size", {128});
    for (const char side : {'d', 'i'}) {
      cpu.cells(fmt::format("{}-cache-size", side), {0x10000});
      cpu.cells(fmt::format("{}-cache-line-size", side), {0x80});
      cpu.cells(fmt::format("{}-cache-block-size", side), {0x80});
      cpu.cells(fmt::format("{}-cache-sets", side), {side == 'd' ? 0x40U : 0x80U});
    }
    cpu.cells("tlb-size", {2048});
    cpu.cells("tlb-sets", {512});
    cpu.cells("ibm,associativity", {5, 0, 0, 0, 0, n});
    cpu.cells("ibm,my-drc-index", {kProcessorConnector | n});
  }
}

void add_memory(TreeNode& root, Partition& partition) {
  const u64 size = partition.memory().size();
  TreeNode& memory = root.add("memory@0");
  memory.string("device_type", "memory");
  memory.cells("reg", {0, 0, static_cast<u32>(size >> 32), static_cast<u32>(size)});  // All of it is the RMA.
  memory.cells("ibm,associativity", {4, 0, 0, 0, 0});
}

void add_rtas(TreeNode& root, Partition& partition) {
  TreeNode& rtas = root.add("rtas");
  for (const RtasRow& row : rtas_table()) rtas.cells(row.name, {row.token});
  rtas.flag("ibm,extended-os-term");
  rtas.cells("rtas-size", {0x1000});
  rtas.cells("rtas-version", {1});
  rtas.cells("rtas-event-scan-rate", {1});
  rtas.cells("rtas-error-log-max", {2048});
  rtas.cells("ibm,display-line-length", {16});
  rtas.cells("ibm,display-number-of-lines", {2});
  rtas.cells("ibm,display-truncation-length", {16, 80});
  rtas.cells("ibm,form-feed", {0x0C});
  rtas.cells("rtas-indicators", rtas_indicators());
  rtas.cells("rtas-sensors", rtas_sensors());
  std::vector<std::string> functions;
  for (const HcallRow& row : hcall_table()) {
    std::string_view rest = row.function;
    while (!rest.empty()) {
      const auto end = std::min(rest.find(' '), rest.size());
      const std::string name(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
      if (std::ranges::find(functions, name) == functions.end()) functions.push_back(name);
    }
  }
  rtas.strings("ibm,hypertas-functions", functions);
  const u64 memory = partition.memory().size();
  rtas.cells("ibm,lrdr-capacity", {static_cast<u32>(memory >> 32), static_cast<u32>(memory), 0, kLmbBytes,
                                   static_cast<u32>(partition.processors().size())});
  rtas.cells("ibm,associativity-reference-points", {4, 4});
  rtas.cells("ibm,max-associativity-domains",
             {5, 0, 0, 0, 0, static_cast<u32>(partition.processors().size())});
  rtas.cells("ibm,termno", {0x30000000, 2});
  rtas.cells("ibm,flash-block-version", {1});
  rtas.cells("power-on-max-latency", {10});
}

void add_interrupts(TreeNode& root, Partition& partition) {
  TreeNode& controller = root.add("interrupt-controller@0");
  controller.string("device_type", "PowerPC-External-Interrupt-Presentation");
  controller.strings("compatible", std::array<std::string, 2>{"IBM,ppc-xicp", "ibm,ppc-xicp"});
  controller.string("model", "IBM, Logical PowerPC-PIC, 00");
  controller.cells("reg", {0, 0, 0, 0});
  controller.flag("interrupt-controller");
  controller.cells("#interrupt-cells", {2});
  controller.cells("#address-cells", {0});
  controller.cells("ibm,interrupt-server-ranges", {0, static_cast<u32>(partition.processors().size())});
  controller.cells("ibm,interrupt-server#-size", {8});
  controller.cells("ibm,interrupt-buid-size", {9});

  TreeNode& events = root.add("event-sources");
  events.flag("interrupt-controller");
  events.cells("#interrupt-cells", {2});
  events.cells("interrupt-ranges", {kInternalErrorsIrq, 2});
  events.add("internal-errors").cells("interrupts", {kInternalErrorsIrq, 0});
  events.add("epow-events").cells("interrupts", {kEpowIrq, 0});
}

void add_window(TreeNode& node, const VirtualAdapter& adapter) {
  node.cells("ibm,my-dma-window", {0x10000000 | adapter.slot(), 0, 0, static_cast<u32>(kTceWindowBytes >> 32),
                                   static_cast<u32>(kTceWindowBytes)});
  node.cells("ibm,#dma-address-cells", {2});
  node.cells("ibm,#dma-size-cells", {2});
}

void add_adapter(TreeNode& vdevice, VirtualAdapter& adapter) {
  const auto make = [&](const char* name) -> TreeNode& {
    TreeNode& node = vdevice.add(fmt::format("{}@{:x}", name, adapter.unit()));
    node.cells("reg", {adapter.unit()});
    node.cells("interrupts", {adapter.irq(), 0});
    node.string("ibm,loc-code", adapter.loc_code());
    node.cells("ibm,my-drc-index", {kSlotConnector | adapter.slot()});
    return node;
  };
  if (dynamic_cast<Vterm*>(&adapter)) {
    TreeNode& node = make("vty");
    node.string("device_type", "serial");
    node.string("compatible", "hvterm1");
  } else if (dynamic_cast<CrqAdapter*>(&adapter)) {
    TreeNode& node = make("v-scsi");
    node.string("device_type", "vscsi");
    node.strings("compatible", std::array<std::string, 2>{"IBM,v-scsi-2", "IBM,v-scsi"});
    node.cells("#address-cells", {2});
    node.cells("#size-cells", {0});
    add_window(node, adapter);
  } else if (auto* lan = dynamic_cast<LogicalLan*>(&adapter)) {
    TreeNode& node = make("l-lan");
    const auto mac = lan->mac();
    node.string("device_type", "network");
    node.string("compatible", "IBM,l-lan");
    // Old kernels tell the two forms apart by the first byte (VIO 3.1).
    if ((mac[0] & 3) == 2) {
      node.bytes("local-mac-address", mac);
    } else {
      std::array<u8, 8> padded{};
      std::ranges::copy(mac, padded.begin() + 2);
      node.bytes("local-mac-address", padded);
    }
    node.cells("ibm,mac-address-filters", {kMulticastFilters});
    node.flag("ibm,illan-options");
    node.cells("max-frame-size", {65535});
    node.cells("address-bits", {48});
    add_window(node, adapter);
  }
}

void add_devices(TreeNode& root, Partition& partition) {
  TreeNode& vdevice = root.add("vdevice");
  vdevice.string("device_type", "vdevice");
  vdevice.string("compatible", "IBM,vdevice");
  vdevice.cells("#address-cells", {1});
  vdevice.cells("#size-cells", {0});
  vdevice.cells("#interrupt-cells", {2});
  vdevice.flag("interrupt-controller");
  vdevice.cells("ibm,max-virtual-dma-size", {0x40000});
  Connectors connectors;
  std::vector<u32> ranges;
  for (const auto& [slot, adapter] : partition.adapters()) {
    connectors.indexes.push_back(kSlotConnector | slot);
    connectors.names.push_back(adapter->loc_code());
    ranges.insert(ranges.end(), {adapter->irq(), 1});
  }
  vdevice.cells("interrupt-ranges", ranges);
  add_connectors(vdevice, connectors, "SLOT");
  for (const auto& [slot, adapter] : partition.adapters()) add_adapter(vdevice, *adapter);
  TreeNode& nvram = vdevice.add("nvram@4002");
  nvram.string("device_type", "nvram");
  nvram.string("compatible", "IBM,nvram");
  nvram.cells("reg", {0x4002});
  nvram.cells("#bytes", {static_cast<u32>(partition.nvram().size())});
}

void add_chosen(TreeNode& root, Partition& partition, const DeviceTree::Boot& boot) {
  const Profile& profile = partition.profile();
  TreeNode& chosen = root.add("chosen");
  chosen.string("bootargs", profile.bootargs);
  chosen.string("stdout-path", "/vdevice/vty@30000000");
  chosen.string("linux,stdout-path", "/vdevice/vty@30000000");
  if (boot.kernel_bytes) {
    chosen.cells("baton,boot-kernel",
                 {static_cast<u32>(boot.kernel_address >> 32), static_cast<u32>(boot.kernel_address),
                  static_cast<u32>(boot.kernel_bytes >> 32), static_cast<u32>(boot.kernel_bytes)});
  }
  if (boot.initrd_end > boot.initrd_start) {
    chosen.number("linux,initrd-start", boot.initrd_start);
    chosen.number("linux,initrd-end", boot.initrd_end);
  }
  // Nothing in a partition is unpredictable by itself; kernels take this as their first entropy.
  std::array<u8, 32> seed{};
  if (const Determinism& how = partition.system().identity().determinism; how.on) {
    std::seed_seq numbers{how.seed, partition.id()};
    numbers.generate(seed.begin(), seed.end());
  } else if (getrandom(seed.data(), seed.size(), 0) != static_cast<ssize_t>(seed.size())) {
    return;
  }
  chosen.bytes("rng-seed", seed);
}

void number_nodes(DeviceTree& tree) {
  // Every node, so that update-nodes can name any (PAPR 8); the order of building makes them repeatable.
  u32 next = 0x1000;
  tree.walk([&](TreeNode& node, const std::string&) {
    node.cells("phandle", {next});
    node.cells("linux,phandle", {next});
    node.cells("ibm,phandle", {next});
    next++;
  });
}

}  // namespace

DeviceTree DeviceTree::build(Partition& partition, const Boot& boot) {
  DeviceTree tree;
  TreeNode& root = tree.root();
  add_root(root, partition);
  add_processors(root, partition);
  add_memory(root, partition);
  add_rtas(root, partition);
  add_interrupts(root, partition);
  add_devices(root, partition);
  TreeNode& options = root.add("options");
  options.string("boot-device", "");
  root.add("openprom");  // Partition firmware writes its level there.
  root.add("aliases").string("hvterm", "/vdevice/vty@30000000");
  root.add("packages");
  add_chosen(root, partition, boot);
  number_nodes(tree);
  return tree;
}

}  // namespace baton::hypervisor
