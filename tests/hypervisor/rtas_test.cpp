// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/rtas.h"

#include <ctime>

#include "hypervisor/device_tree.h"
#include "support.h"

namespace baton::hypervisor::test {
namespace {

class RtasTest : public PartitionFixture {
 protected:
  static constexpr u32 kData = 0x20000, kArea = 0x30000;
  std::string string_at(u64 at) {
    std::string text;
    while (const u8 c = memory.load<u8>(at++).value_or(0)) text += static_cast<char>(c);
    return text;
  }
};

TEST_F(RtasTest, BufferErrors) {
  EXPECT_EQ(hcall(0xF000, {memory.size() - 8}), h::Parameter);
  EXPECT_EQ(hcall(0xF000, {~u64{0} - 4}), h::Parameter);
  memory.store<u32>(kCallBuffer, rtas_token("event-scan"));
  memory.store<u32>(kCallBuffer + 4, 17);
  memory.store<u32>(kCallBuffer + 8, 1);
  EXPECT_EQ(hcall(0xF000, {kCallBuffer}), h::Parameter);
  const u64 edge = memory.size() - 16;  // Room for one of two result words.
  memory.store<u32>(edge, rtas_token("rtas-last-error"));
  memory.store<u32>(edge + 4, 0);
  memory.store<u32>(edge + 8, 2);
  EXPECT_EQ(hcall(0xF000, {edge}), h::Parameter);
}

TEST_F(RtasTest, UnknownTokenAndShortCall) {
  memory.store<u32>(kCallBuffer, 0x1FFF);
  memory.store<u32>(kCallBuffer + 4, 0);
  memory.store<u32>(kCallBuffer + 8, 1);
  EXPECT_EQ(hcall(0xF000, {kCallBuffer}), h::Success);
  EXPECT_EQ(static_cast<i32>(*memory.load<u32>(kCallBuffer + 12)), rtas::kParameter);
  EXPECT_EQ(rtas("nvram-fetch", {0, kData}), rtas::kParameter);
}

TEST_F(RtasTest, Nvram) {
  EXPECT_EQ(rtas("nvram-fetch", {0, kData, 16}), 0);
  EXPECT_EQ(ret(1), 16U);
  EXPECT_EQ(*memory.load<u8>(kData), 0x70);
  u8 header[16];
  memory.read(kData, header);
  const u32 next = load_be<u16>(header + 2) * 16U;
  EXPECT_EQ(rtas("nvram-fetch", {next, kData, 16}), 0);
  memory.read(kData, header);
  EXPECT_EQ(header[0], 0x7F);
  EXPECT_EQ(next + load_be<u16>(header + 2) * 16U, 65536U);
  unsigned sum = header[0];
  for (int i = 2; i < 16; i++) sum += header[i];
  while (sum > 255) sum = (sum & 255) + (sum >> 8);
  EXPECT_EQ(sum, header[1]);
  memory.store<u32>(kData, 0x12345678);
  EXPECT_EQ(rtas("nvram-store", {0x8000, kData, 4}), 0);
  memory.store<u32>(kData, 0);
  EXPECT_EQ(rtas("nvram-fetch", {0x8000, kData, 4}), 0);
  EXPECT_EQ(*memory.load<u32>(kData), 0x12345678U);
  EXPECT_EQ(rtas("nvram-store", {65533, kData, 4}), rtas::kParameter);
  EXPECT_EQ(rtas("nvram-store", {0xFFFFFFFF, kData, 4}), rtas::kParameter);
  EXPECT_EQ(rtas("nvram-fetch", {0, static_cast<u32>(memory.size()) - 2, 4}), rtas::kParameter);
  EXPECT_EQ(ret(1), 0U);
}

TEST_F(RtasTest, TimeOfDay) {
  const std::time_t now = std::time(nullptr);
  EXPECT_EQ(rtas("get-time-of-day"), 0);
  std::tm given{};
  given.tm_year = static_cast<int>(ret(1)) - 1900;
  given.tm_mon = static_cast<int>(ret(2)) - 1;
  given.tm_mday = static_cast<int>(ret(3));
  given.tm_hour = static_cast<int>(ret(4));
  given.tm_min = static_cast<int>(ret(5));
  given.tm_sec = static_cast<int>(ret(6));
  EXPECT_NEAR(static_cast<double>(timegm(&given)), static_cast<double>(now), 2);
  EXPECT_EQ(rtas("set-time-of-day", {2008, 2, 29, 23, 59, 58, 0}), 0);
  EXPECT_EQ(rtas("get-time-of-day"), 0);
  EXPECT_EQ(ret(1), 2008U);
  EXPECT_EQ(ret(2), 2U);
  EXPECT_EQ(ret(3), 29U);
  EXPECT_EQ(rtas("set-time-of-day", {2007, 2, 29, 0, 0, 0, 0}), rtas::kParameter);
  EXPECT_EQ(rtas("set-time-of-day", {2007, 257, 1, 0, 0, 0, 0}), rtas::kParameter);
  EXPECT_EQ(rtas("set-time-of-day", {2007, 1, 1, 24, 0, 0, 0}), rtas::kParameter);
  EXPECT_EQ(rtas("set-time-of-day", {1, 1, 1, 0, 0, 0, 0}), rtas::kParameter);
}

TEST_F(RtasTest, SystemParameters) {
  EXPECT_EQ(rtas("ibm,get-system-parameter", {20, kData, 4000}), 0);
  const std::string text = string_at(kData + 2);
  EXPECT_EQ(*memory.load<u16>(kData), text.size() + 1);
  for (const char* key : {"DesEntCap=200", "DesMem=64", "DesProcs=2", "MinEntCapPerVP=10", "MaxPlatProcs=8"})
    EXPECT_NE(text.find(key), std::string::npos) << key;
  EXPECT_EQ(rtas("ibm,get-system-parameter", {55, kData, 100}), 0);
  EXPECT_EQ(string_at(kData + 2), "lpar2");
  EXPECT_EQ(rtas("ibm,get-system-parameter", {55, kData, 0}), 0);
  memory.store<u64>(kData, 0);
  EXPECT_EQ(rtas("ibm,get-system-parameter", {55, kData, 4}), 0);  // Cut.
  EXPECT_EQ(*memory.load<u64>(kData), 0x00066C7000000000U);
  EXPECT_EQ(rtas("ibm,get-system-parameter", {44, kData, 100}), rtas::kParameter);
  EXPECT_EQ(rtas("ibm,get-system-parameter", {20, 0xFFFFF000, 4000}), rtas::kSystemParameter);
  EXPECT_EQ(rtas("ibm,set-system-parameter", {20, kData}), rtas::kNotAuthorized);
  EXPECT_EQ(rtas("ibm,set-system-parameter", {3, kData}), rtas::kNotAuthorized);
  EXPECT_EQ(rtas("ibm,set-system-parameter", {44, kData}), rtas::kParameter);
  memory.store<u16>(kData, 1);
  memory.store<u8>(kData + 2, 1);
  EXPECT_EQ(rtas("ibm,set-system-parameter", {21, kData}), 0);
  EXPECT_EQ(rtas("ibm,get-system-parameter", {21, kArea, 16}), 0);
  EXPECT_EQ(*memory.load<u8>(kArea + 2), 1U);
}

TEST_F(RtasTest, InterruptSources) {
  EXPECT_EQ(rtas("ibm,set-xive", {0xA0002, 1, 5}), 0);
  EXPECT_EQ(rtas("ibm,get-xive", {0xA0002}), 0);
  EXPECT_EQ(ret(1), 1U);
  EXPECT_EQ(ret(2), 5U);
  EXPECT_EQ(rtas("ibm,int-off", {0xA0002}), 0);
  EXPECT_EQ(rtas("ibm,int-on", {0xA0002}), 0);
  EXPECT_EQ(rtas("ibm,set-xive", {0xA0099, 1, 5}), rtas::kParameter);
  EXPECT_EQ(rtas("ibm,set-xive", {0xA0002, 2, 5}), rtas::kParameter);
  EXPECT_EQ(rtas("ibm,set-xive", {0xA0002, 0, 0x105}), rtas::kParameter);
  EXPECT_EQ(rtas("ibm,get-xive", {1}), rtas::kParameter);
}

TEST_F(RtasTest, Processors) {
  EXPECT_EQ(rtas("query-cpu-stopped-state", {1}), 0);
  EXPECT_EQ(ret(1), 0U);
  EXPECT_EQ(rtas("query-cpu-stopped-state", {2}), rtas::kParameter);
  EXPECT_EQ(rtas("start-cpu", {2, 0x100, 0}), rtas::kParameter);
  EXPECT_EQ(rtas("start-cpu", {1, 0xFFFFFFFC, 0}), rtas::kParameter);
}

TEST_F(RtasTest, IndicatorsAndSensors) {
  EXPECT_EQ(rtas("get-sensor-state", {9, 0}), 0);
  EXPECT_EQ(ret(1), 0U);
  EXPECT_EQ(rtas("get-sensor-state", {3, 0}), rtas::kParameter);
  EXPECT_EQ(rtas("set-indicator", {9005, 0, 1}), 0);
  EXPECT_EQ(rtas("set-indicator", {9005, 1, 1}), rtas::kParameter);
  EXPECT_EQ(rtas("set-indicator", {2, 0, 101}), rtas::kParameter);
  EXPECT_EQ(rtas("set-indicator", {4711, 0, 0}), rtas::kParameter);
  EXPECT_EQ(rtas("get-sensor-state", {9003, 0x30000002}), 0);
  EXPECT_EQ(ret(1), 1U);
  EXPECT_EQ(rtas("get-sensor-state", {9003, 0x30000099}), rtas::kParameter);
  EXPECT_EQ(rtas("set-indicator", {9001, 0x30000002, 0}), 0);
  EXPECT_EQ(rtas("set-indicator", {9003, 0x30000002, 0}), 0);
  EXPECT_EQ(rtas("get-sensor-state", {9003, 0x30000002}), 0);
  EXPECT_EQ(ret(1), 2U);
  memory.store<u64>(kArea, u64{0x30000002} << 32);
  EXPECT_EQ(rtas("ibm,configure-connector", {kArea, 0}), rtas::kUnusable);
  EXPECT_EQ(rtas("set-indicator", {9003, 0x30000002, 1}), 0);
  EXPECT_EQ(rtas("set-indicator", {9001, 0x30000002, 1}), 0);
}

TEST_F(RtasTest, ConfigureConnectorTellsTheNode) {
  memory.store<u64>(kArea, u64{0x30000002} << 32);
  EXPECT_EQ(rtas("ibm,configure-connector", {kArea, 0}), 2);
  EXPECT_EQ(string_at(kArea + *memory.load<u32>(kArea + 8)), "v-scsi@30000002");
  std::map<std::string, u32> lengths;
  i32 status;
  while ((status = rtas("ibm,configure-connector", {kArea, 0})) == 3)
    lengths[string_at(kArea + *memory.load<u32>(kArea + 8))] = *memory.load<u32>(kArea + 12);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(lengths.at("ibm,my-dma-window"), 20U);
  EXPECT_EQ(lengths.at("reg"), 4U);
  memory.store<u32>(kArea + 4, 0xFFFFFFF0);
  EXPECT_EQ(rtas("ibm,configure-connector", {kArea, 0}), 0);
  EXPECT_EQ(rtas("ibm,configure-connector", {kArea + 8, 0}), rtas::kHardware);
}

TEST_F(RtasTest, OperatorPanel) {
  const auto show = [&](const std::string& text) {
    for (const char c : text) EXPECT_EQ(rtas("display-character", {static_cast<u32>(c)}), 0);
  };
  show("\fLinux ppc64");
  EXPECT_EQ(partition->reference_code(), "Linux ppc64");
  show("\r\n#1 SMP");
  EXPECT_EQ(partition->reference_code(), "Linux ppc64");
  show("\fReboot...");
  EXPECT_EQ(partition->reference_code(), "Reboot...");
  ASSERT_GE(partition->reference_codes().size(), 2U);
  EXPECT_EQ(partition->reference_codes()[1].second, "Linux ppc64");
}

TEST_F(RtasTest, EventsAndTermination) {
  EXPECT_EQ(rtas("event-scan", {0xF0000000, 0, kData, 2048}), rtas::kNoData);
  EXPECT_EQ(rtas("rtas-last-error", {kData, 2048}), rtas::kNoData);
  EXPECT_EQ(rtas("check-exception", {0x500, 0x90001, 0x40000000, 0, kData, 2048}), rtas::kNoData);
  partition->request_shutdown();
  EXPECT_EQ(rtas("get-sensor-state", {9, 0}), 0);
  EXPECT_EQ(ret(1), 3U);
  EXPECT_EQ(rtas("check-exception", {0x500, 0x90001, 0x40000000, 0, kData, 2048}), 0);
  EXPECT_EQ(*memory.load<u8>(kData), 6U);
  EXPECT_EQ(*memory.load<u8>(kData + 3), 0x40U);
  std::vector<u8> log(8 + *memory.load<u32>(kData + 4));
  memory.read(kData, log);
  EXPECT_EQ(std::string(log.begin() + 20, log.begin() + 23), "IBM");
  std::size_t at = 24;  // Sections, as Linux walks them.
  while (at < log.size() && !(log[at] == 'E' && log[at + 1] == 'P')) at += load_be<u16>(&log[at + 2]);
  ASSERT_LT(at, log.size());
  EXPECT_EQ(log[at + 8] & 15, 3);
  EXPECT_EQ(log[at + 9], 1);
  memory.write(kData, std::vector<u8>{'o', 'o', 'p', 's', 0});
  EXPECT_EQ(rtas("ibm,os-term", {kData}), 0);
  EXPECT_EQ(partition->reference_code(), "oops");
  EXPECT_EQ(rtas("ibm,nmi-register", {0x100, 0x2000000}), rtas::kParameter);
  EXPECT_EQ(rtas("ibm,nmi-register", {0x8000, 0x8100}), 0);
  EXPECT_EQ(rtas("ibm,nmi-interlock"), 0);
}

TEST_F(RtasTest, SuspendNeedsAMigration) { EXPECT_EQ(rtas("ibm,suspend-me"), rtas::kNotSuspendable); }

/// The partition after a move to another machine.
class MovedTest : public RtasTest {
 protected:
  MovedTest() {
    ManagedSystem origin({"POWER6-B", "9117-MMA", "10F6A0B", 1 << 30, 8}, "");
    Profile profile = small_profile();
    profile.id = 9;
    auto source = origin.create(profile);
    partition->restore_platform(source->save_platform());
    partition->resume_adapters();
  }
  u32 phandle(const char* path) { return partition->device_tree().find(path)->cell("ibm,phandle", 0); }
  void area(u32 first, u32 second = 0) {
    memory.fill(kArea, 0, 4096);
    memory.store<u32>(kArea, first);
    memory.store<u32>(kArea + 4, second);
  }
};

TEST_F(MovedTest, UpdateNodes) {
  area(0);
  EXPECT_EQ(rtas("ibm,update-nodes", {kArea, 1}), 0);
  EXPECT_EQ(*memory.load<u32>(kArea + 16), 0x02000006U);
  std::vector<u32> nodes;
  for (u32 i = 0; i < 6; i++) nodes.push_back(*memory.load<u32>(kArea + 20 + 4 * i));
  EXPECT_EQ(nodes[0], phandle("/"));
  EXPECT_NE(std::find(nodes.begin(), nodes.end(), phandle("/vdevice/v-scsi@30000002")), nodes.end());
  EXPECT_EQ(*memory.load<u32>(kArea + 20 + 24), 0U);
  area(0);
  EXPECT_EQ(rtas("ibm,update-nodes", {kArea, 2}), 0);
  EXPECT_EQ(*memory.load<u32>(kArea + 16), 0U);
  EXPECT_EQ(rtas("ibm,update-nodes", {kArea, 0}), rtas::kParameter);
  EXPECT_EQ(rtas("ibm,update-nodes", {kArea, 4}), rtas::kParameter);
  EXPECT_EQ(rtas("ibm,update-nodes", {kArea + 4, 1}), rtas::kParameter);
  EXPECT_EQ(rtas("ibm,update-nodes", {0xFFFFF000, 1}), rtas::kParameter);
  area(1000);
  EXPECT_EQ(rtas("ibm,update-nodes", {kArea, 1}), rtas::kParameter);
}

/// Everything that a guest is told after a move to another system and another partition number, and nothing
/// else.
TEST_F(MovedTest, ExactlyWhatAMoveChanges) {
  area(0);
  ASSERT_EQ(rtas("ibm,update-nodes", {kArea, 1}), 0);
  const u32 list = *memory.load<u32>(kArea + 16);
  ASSERT_EQ(list >> 24, 2u) << "updates; no node comes or goes";
  std::vector<u32> nodes(list & 0xFFFFFF);
  for (u32 i = 0; i < nodes.size(); i++) nodes[i] = *memory.load<u32>(kArea + 20 + 4 * i);
  EXPECT_EQ(*memory.load<u32>(kArea + 20 + 4 * nodes.size()), 0u);
  std::map<std::string, std::vector<std::string>> changes;
  for (const u32 node : nodes) {
    area(node);
    ASSERT_EQ(rtas("ibm,update-properties", {kArea, 1}), 0);
    u64 at = kArea + 20;
    std::vector<std::string> names;
    std::string path;
    for (u32 count = *memory.load<u32>(kArea + 16); count; count--) {
      const std::string name = string_at(at);
      at += name.size() + 1;
      const u32 length = *memory.load<u32>(at);
      if (name.empty())
        path = string_at(at + 4);
      else
        names.push_back(name);
      at += 4 + length;
    }
    changes[path] = names;
  }
  const std::map<std::string, std::vector<std::string>> expected = {
      {"/", {"system-id", "ibm,partition-no"}},      {"/vdevice/vty@30000000", {"ibm,loc-code"}},
      {"/vdevice/vty@30000001", {"ibm,loc-code"}},   {"/vdevice/v-scsi@30000002", {"ibm,loc-code"}},
      {"/vdevice/l-lan@30000003", {"ibm,loc-code"}}, {"/vdevice", {"ibm,drc-names"}},
  };
  EXPECT_EQ(changes, expected);
}

TEST_F(MovedTest, UpdatePropertiesAsLinuxReadsThem) {
  area(phandle("/"));
  EXPECT_EQ(rtas("ibm,update-properties", {kArea, 1}), 0);
  const u32 count = *memory.load<u32>(kArea + 16);
  EXPECT_EQ(count, 3U);
  u64 at = kArea + 20;
  std::map<std::string, std::string> values;
  for (u32 i = 0; i < count; i++) {
    const std::string name = string_at(at);
    at += name.size() + 1;
    const u32 length = *memory.load<u32>(at);
    std::vector<u8> value(length);
    ASSERT_TRUE(memory.read(at + 4, value));
    at += 4 + length;
    values[name] = std::string(value.begin(), value.end());
  }
  EXPECT_EQ(values.at(""), std::string("/\0", 2));
  EXPECT_EQ(values.at("system-id"), std::string("IBM,0210BA70A") + '\0');
  EXPECT_EQ(values.at("ibm,partition-no"), std::string("\0\0\0\2", 4));
  // The guest knows it now; a further move is measured against that. The updates stay readable.
  EXPECT_EQ(partition->device_tree().root().cell("ibm,partition-no", 0), 2U);
  area(phandle("/"));
  EXPECT_EQ(rtas("ibm,update-properties", {kArea, 1}), 0);
  EXPECT_EQ(*memory.load<u32>(kArea + 16), 3U);
}

TEST_F(MovedTest, UpdatePropertiesOfUnchangedAndUnknownNodes) {
  area(phandle("/chosen"));
  EXPECT_EQ(rtas("ibm,update-properties", {kArea, 1}), 0);
  EXPECT_EQ(*memory.load<u32>(kArea + 16), 1U);  // The path alone.
  area(0x7777);
  EXPECT_EQ(rtas("ibm,update-properties", {kArea, 1}), rtas::kParameter);
  area(phandle("/"), 77);
  EXPECT_EQ(rtas("ibm,update-properties", {kArea, 1}), rtas::kParameter);
  area(phandle("/"), 1);
  memory.store<u32>(kArea + 8, 5000);
  EXPECT_EQ(rtas("ibm,update-properties", {kArea, 1}), rtas::kParameter);
}

TEST(UpdateStream, LongValuesComeInPieces) {
  ManagedSystem system({"A", "9117-MMA", "10BA70A", 1 << 30, 8}, "");
  Profile profile = small_profile();
  for (u32 slot = 10; slot < 200; slot++) profile.scsi.push_back({slot, 0});  // ibm,drc-names of some 4.5 KB.
  auto partition = system.create(profile);
  ManagedSystem origin({"B", "9117-MMA", "10F6A0B", 1 << 30, 8}, "");
  partition->restore_platform(origin.create(profile)->save_platform());
  partition->resume_adapters();
  cpu::Memory& memory = partition->memory();
  constexpr u32 kArea = 0x30000, kCall = 0x10000;
  u32 token = 0;
  for (const RtasRow& row : rtas_table())
    if (row.name == "ibm,update-properties") token = row.token;
  memory.store<u32>(kArea, partition->device_tree().find("/vdevice")->cell("ibm,phandle", 0));
  std::vector<u8> value;
  i32 status = 1;
  int calls = 0;
  for (; status == 1 && calls < 10; calls++) {
    const u32 cells[] = {token, 2, 1, kArea, 1, 0};
    for (u32 i = 0; i < 6; i++) memory.store<u32>(kCall + 4 * i, cells[i]);
    ASSERT_EQ(rtas_call(*partition->processors()[0], kCall), 0);
    status = static_cast<i32>(*memory.load<u32>(kCall + 20));
    u64 at = kArea + 20;
    for (u32 n = *memory.load<u32>(kArea + 16); n; n--) {
      std::string name;
      while (const u8 c = *memory.load<u8>(at++)) name += static_cast<char>(c);
      i32 length = static_cast<i32>(*memory.load<u32>(at));
      EXPECT_EQ(length < 0, status == 1 && !name.empty());
      length = std::abs(length);
      std::vector<u8> piece(static_cast<std::size_t>(length));
      ASSERT_TRUE(memory.read(at + 4, piece));
      at += 4 + piece.size();
      EXPECT_LE(at, kArea + 4096);
      if (name == "ibm,drc-names") value.insert(value.end(), piece.begin(), piece.end());
    }
  }
  EXPECT_EQ(status, 0);
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(value, *partition->device_tree().find("/vdevice")->find("ibm,drc-names"));
}

}  // namespace
}  // namespace baton::hypervisor::test
