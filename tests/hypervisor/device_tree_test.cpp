// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/device_tree.h"

#include <libfdt.h>

#include <set>

#include "support.h"

namespace baton::hypervisor::test {
namespace {

class DeviceTreeTest : public PartitionFixture {
 protected:
  DeviceTree tree = DeviceTree::build(*partition, {0x400000, 1000, 0x2000000, 0x2000800});
  std::vector<u8> blob = tree.flatten();
  int node(const char* path) {
    const int offset = fdt_path_offset(blob.data(), path);
    EXPECT_GE(offset, 0) << path;
    return offset;
  }
  std::string text(const char* path, const char* name) {
    int length = 0;
    const void* value = fdt_getprop(blob.data(), node(path), name, &length);
    return value ? std::string(static_cast<const char*>(value), length) : "(none)";
  }
  std::vector<u32> cells(const char* path, const char* name) {
    int length = 0;
    const auto* value = static_cast<const u8*>(fdt_getprop(blob.data(), node(path), name, &length));
    std::vector<u32> result;
    for (int i = 0; value && i + 4 <= length; i += 4) result.push_back(load_be<u32>(value + i));
    return result;
  }
};

using Cells = std::vector<u32>;
std::string z(const char* s) { return std::string(s) + '\0'; }

TEST_F(DeviceTreeTest, LibfdtAcceptsIt) { EXPECT_EQ(fdt_check_full(blob.data(), blob.size()), 0); }

TEST_F(DeviceTreeTest, Root) {
  EXPECT_EQ(text("/", "device_type"), z("chrp"));
  EXPECT_EQ(text("/", "model"), z("IBM,9117-MMA"));
  EXPECT_EQ(text("/", "system-id"), z("IBM,0210BA70A"));
  EXPECT_EQ(text("/", "ibm,partition-name"), z("lpar2"));
  EXPECT_EQ(cells("/", "ibm,partition-no"), Cells{2});
  EXPECT_EQ(text("/", "ibm,migratable-partition"), "");
}

TEST_F(DeviceTreeTest, Processors) {
  for (const char* path : {"/cpus/PowerPC,POWER6@0", "/cpus/PowerPC,POWER6@1"}) {
    const u32 n = std::string(path).back() - '0';
    EXPECT_EQ(cells(path, "reg"), Cells{n});
    EXPECT_EQ(cells(path, "cpu-version"), Cells{0x0F000002});
    EXPECT_EQ(cells(path, "ibm,ppc-interrupt-server#s"), Cells{n});
    EXPECT_EQ(cells(path, "timebase-frequency"), Cells{512000000});
    EXPECT_EQ(cells(path, "ibm,pft-size"), (Cells{0, partition->hpt().log2_bytes()}));
    EXPECT_EQ(cells(path, "ibm,segment-page-sizes"),
              (Cells{12, 0, 2, 12, 0, 16, 7, 16, 0x110, 1, 16, 1, 24, 0x100, 1, 24, 0}));
    EXPECT_NE(fdt_getprop(blob.data(), node(path), "ibm,vmx", nullptr), nullptr);
    EXPECT_EQ(cells(path, "ibm,dfp"), Cells{1});
  }
  EXPECT_EQ(cells("/cpus", "ibm,drc-indexes"), (Cells{2, 0x10000000, 0x10000001}));
  EXPECT_EQ(text("/cpus", "ibm,drc-names"), std::string("\0\0\0\2CPU 1\0CPU 2\0", 16));
}

TEST_F(DeviceTreeTest, PageTableIsOneSixtyFourthOfMemory) {
  EXPECT_EQ(partition->hpt().log2_bytes(), 20U);  // 64 MB
  auto larger = small_profile("larger", 3, 1);
  larger.memory = 80 << 20;
  EXPECT_EQ(system.create(larger)->hpt().log2_bytes(), 21U);
}

TEST_F(DeviceTreeTest, MemoryIsAllRealModeArea) {
  EXPECT_EQ(cells("/memory@0", "reg"), (Cells{0, 0, 0, 64 << 20}));
}

TEST_F(DeviceTreeTest, FunctionsAreThoseOfTheTables) {
  std::set<std::string> functions;
  std::string all = text("/rtas", "ibm,hypertas-functions");
  for (std::size_t at = 0; at < all.size(); at = all.find('\0', at) + 1) functions.insert(all.c_str() + at);
  for (const char* name : {"hcall-pft", "hcall-splpar", "SLB-Buffer", "hcall-bulk", "hcall-join",
                           "hcall-vasi", "hcall-interrupt", "hcall-term", "hcall-tce", "hcall-multi-tce",
                           "hcall-crq", "hcall-vio", "hcall-lLAN", "hcall-suspend", "hcall-xdabr"})
    EXPECT_TRUE(functions.contains(name)) << name;
  EXPECT_FALSE(functions.contains(""));
  for (const RtasRow& row : rtas_table())
    EXPECT_EQ(cells("/rtas", std::string(row.name).c_str()), Cells{row.token});
  EXPECT_NE(cells("/rtas", "rtas-size"), Cells{0});
}

TEST_F(DeviceTreeTest, Adapters) {
  EXPECT_EQ(text("/vdevice/vty@30000000", "compatible"), z("hvterm1"));
  EXPECT_EQ(cells("/vdevice/vty@30000001", "reg"), Cells{0x30000001});
  EXPECT_EQ(text("/vdevice/v-scsi@30000002", "compatible"), z("IBM,v-scsi-2") + z("IBM,v-scsi"));
  EXPECT_EQ(cells("/vdevice/v-scsi@30000002", "ibm,my-dma-window"), (Cells{0x10000002, 0, 0, 0, 0x10000000}));
  EXPECT_EQ(cells("/vdevice/v-scsi@30000002", "interrupts"), (Cells{0xA0002, 0}));
  EXPECT_EQ(text("/vdevice/v-scsi@30000002", "ibm,loc-code"), z("U9117.MMA.10BA70A-V2-C2"));
  EXPECT_EQ(text("/vdevice/l-lan@30000003", "local-mac-address").size(), 6U);
  EXPECT_EQ(text("/vdevice/l-lan@30000003", "local-mac-address")[0] & 3, 2);
  EXPECT_EQ(cells("/vdevice/nvram@4002", "#bytes"), Cells{65536});
  EXPECT_EQ(cells("/vdevice", "ibm,drc-indexes"), (Cells{4, 0x30000000, 0x30000001, 0x30000002, 0x30000003}));
}

TEST_F(DeviceTreeTest, Chosen) {
  EXPECT_EQ(text("/chosen", "bootargs"), z("console=hvc0"));
  EXPECT_EQ(cells("/chosen", "baton,boot-kernel"), (Cells{0, 0x400000, 0, 1000}));
  EXPECT_EQ(cells("/chosen", "linux,initrd-start"), (Cells{0, 0x2000000}));
  EXPECT_EQ(cells("/chosen", "linux,initrd-end"), (Cells{0, 0x2000800}));
}

TEST_F(DeviceTreeTest, EveryNodeHasItsOwnHandle) {
  std::set<u32> seen;
  tree.walk([&](TreeNode& n, const std::string& path) {
    EXPECT_TRUE(seen.insert(n.cell("ibm,phandle", 0)).second) << path;
    EXPECT_EQ(n.cell("phandle", 1), n.cell("ibm,phandle", 2)) << path;
  });
  EXPECT_FALSE(seen.contains(0));
}

TEST_F(DeviceTreeTest, ParsesWhatItWrote) {
  DeviceTree again = DeviceTree::parse(blob);
  EXPECT_EQ(again.flatten(), blob);
  EXPECT_EQ(DeviceTree::parse(again.flatten(DeviceTree::Names::kRepeated)).flatten(), blob);
}

TEST_F(DeviceTreeTest, RefusesDamage) {
  EXPECT_THROW(DeviceTree::parse({}), std::runtime_error);
  for (std::size_t at = 0; at < blob.size(); at += 37) {
    std::vector<u8> damaged = blob;
    damaged[at] ^= 0xFF;
    try {
      DeviceTree::parse(damaged);
    } catch (const std::runtime_error&) {
    }
    damaged.resize(at);
    EXPECT_THROW(DeviceTree::parse(damaged), std::runtime_error);
  }
}

TEST_F(DeviceTreeTest, MoveReportsOnlyWhatMayChange) {
  ManagedSystem there({"POWER6-B", "9117-MMA", "10F6A0B", 1 << 30, 8}, "");
  Profile profile = partition->profile();
  profile.id = 7;
  auto moved = there.create(profile);
  moved->restore_platform(partition->save_platform());
  moved->resume_adapters();
  std::set<std::string> changed;
  for (const NodeUpdate& update : moved->device_tree().updates())
    for (const auto& change : update.changes) changed.insert(update.path + ":" + change.name);
  EXPECT_EQ(changed, (std::set<std::string>{
                         "/:system-id", "/:ibm,partition-no", "/vdevice:ibm,drc-names",
                         "/vdevice/vty@30000000:ibm,loc-code", "/vdevice/vty@30000001:ibm,loc-code",
                         "/vdevice/v-scsi@30000002:ibm,loc-code", "/vdevice/l-lan@30000003:ibm,loc-code"}));
  // On the same machine under the same number nothing changes.
  partition->resume_adapters();
  EXPECT_TRUE(partition->device_tree().updates().empty());
}

}  // namespace
}  // namespace baton::hypervisor::test
