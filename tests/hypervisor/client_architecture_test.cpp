// SPDX-License-Identifier: Apache-2.0
// ibm,client-architecture-support and processor compatibility modes.
#include "hypervisor/client_architecture.h"

#include <optional>

#include "hypervisor/compatibility.h"
#include "hypervisor/device_tree.h"
#include "support.h"

namespace baton::hypervisor::test {
namespace {

using cpu::isa::Level;
using Cells = std::vector<u32>;

constexpr u32 kPvr = 0x003E0301;

/// A processor of a client's list; the first whose value has a bit that its mask has not ends it.
struct Entry {
  u32 mask, value;
};
constexpr Entry kRaw{0xFFFF0000, 0x003E0000}, k206{0xFFFFFFFF, 0x0F000003}, k205{0xFFFFFFFF, 0x0F000002},
    kEnd204{0xFFFFFFFE, 0x0F000001}, kEndNothing{0xFFFFFFFE, 0x00000001};
/// As Linux has it: POWER5, POWER6, POWER7 by themselves, then levels of the architecture.
const std::vector<Entry> kLinux{
    {0xFFFE0000, 0x003A0000}, kRaw, {0xFFFF0000, 0x003F0000}, k206, k205, kEnd204};
using Vectors = std::vector<std::vector<u8>>;
/// Option vectors 1 to 5 of Linux, as far as they matter.
const Vectors kLinuxVectors{{0, 0xFF, 0x80}, {0}, {0, 0xE0}, {0, 1}, {0, 0xF2, 0, 0, 0xC0, 0}};

class ClientArchitecture : public testing::Test {
 protected:
  static constexpr u64 kVectors = 0x50000, kOut = 0x60000, kRoom = 0x4000;

  /// A partition whose profile has that wish, and what came of its client's call.
  struct Client {
    std::shared_ptr<Partition> partition;
    bool agreed = false;

    bool call(const std::vector<Entry>& processors, const Vectors& vectors, u64 room = kRoom) {
      cpu::Memory& memory = partition->memory();
      u64 at = kVectors;
      for (const auto& [mask, value] : processors) {
        memory.store<u32>(at, mask);
        memory.store<u32>(at + 4, value);
        at += 8;
      }
      memory.store<u8>(at++, static_cast<u8>(vectors.size() - 1));
      for (const auto& vector : vectors) {
        memory.store<u8>(at++, static_cast<u8>(vector.size() - 1));
        memory.write(at, vector);
        at += vector.size();
      }
      return agreed = client_architecture_support(*partition, kPvr, kVectors, kOut, room);
    }
    std::string_view mode() const { return partition->mode().name; }
    DeviceTree changes() const {
      std::vector<u8> data(kRoom);
      partition->memory().read(kOut, data);
      data.resize(load_be<u32>(data.data() + 4));
      return DeviceTree::parse(data);
    }
    TreeNode& known() const { return *partition->device_tree().find("/cpus/PowerPC,POWER6@0"); }
  };

  Client client(const std::string& wish) {
    auto profile = small_profile("client" + std::to_string(made_), 2 + made_);
    made_++;
    profile.proc_compat_mode = wish;
    return {system_.create(profile)};
  }
  Client client(const std::string& wish, const std::vector<Entry>& processors,
                const Vectors& vectors = kLinuxVectors) {
    Client made = client(wish);
    made.call(processors, vectors);
    return made;
  }
  static Cells cells(const TreeNode& node, std::string_view name) {
    Cells values;
    if (const auto* bytes = node.find(name))
      for (std::size_t at = 0; at + 4 <= bytes->size(); at += 4)
        values.push_back(load_be<u32>(bytes->data() + at));
    return values;
  }

 private:
  ManagedSystem system_{{"POWER6-A", "9117-MMA", "10BA70A", u64{4} << 30, 64}, ""};
  u32 made_ = 0;
};

TEST_F(ClientArchitecture, EachWishWithLinux) {
  for (const auto& [wish, mode, version] :
       {std::tuple{"default", "POWER6", 0x0F000002U}, std::tuple{"POWER6", "POWER6", 0x0F000002U},
        std::tuple{"POWER6_enhanced", "POWER6_enhanced", kPvr},
        std::tuple{"POWER5+", "POWER5+", 0x0F000001U}}) {
    const Client c = client(wish, kLinux);
    EXPECT_TRUE(c.agreed) << wish;
    EXPECT_EQ(c.mode(), mode) << wish;
    DeviceTree changes = c.changes();
    for (const char* name : {"/cpus/PowerPC,POWER6@0", "/cpus/PowerPC,POWER6@1"}) {
      ASSERT_TRUE(changes.find(name)) << wish;
      EXPECT_EQ(changes.find(name)->cell("cpu-version", 0), version) << wish;
    }
    EXPECT_EQ(c.known().cell("cpu-version", 0), version);
    // The tree was built for that mode: nothing goes.
    EXPECT_FALSE(changes.find("/cpus/PowerPC,POWER6@0")->find("baton,delete-properties")) << wish;
    EXPECT_EQ(c.partition->state(), PartitionState::kNotActivated);
  }
}

TEST_F(ClientArchitecture, PropertiesOfTheModes) {
  const Client raw = client("POWER6_enhanced"), power6 = client("POWER6"), power5 = client("POWER5+");
  for (const Client* c : {&raw, &power6}) {
    EXPECT_EQ(cells(c->known(), "ibm,vmx"), Cells{1});
    EXPECT_EQ(cells(c->known(), "ibm,dfp"), Cells{1});
    EXPECT_EQ(cells(c->known(), "ibm,spurr"), Cells{1});
    EXPECT_EQ(cells(c->known(), "ibm,segment-page-sizes"),
              (Cells{12, 0, 2, 12, 0, 16, 7, 16, 0x110, 1, 16, 1, 24, 0x100, 1, 24, 0}));
  }
  for (const char* name : {"ibm,vmx", "ibm,dfp", "ibm,spurr"})
    EXPECT_FALSE(power5.known().find(name)) << name;
  EXPECT_EQ(cells(power5.known(), "ibm,segment-page-sizes"),
            (Cells{12, 0, 1, 12, 0, 16, 0x110, 1, 16, 1, 24, 0x100, 1, 24, 0}));
  // 2.05's data streams and CFAR.
  const auto &new_features = *power6.known().find("ibm,pa-features"),
             &old_features = *power5.known().find("ibm,pa-features");
  EXPECT_EQ(new_features[4] & 0x40, 0x40);
  EXPECT_EQ(old_features[4] & 0x40, 0);
  EXPECT_EQ(new_features[7] & 0x40, 0x40);
  EXPECT_EQ(old_features[7] & 0xC0, 0);
  for (const Client* c : {&raw, &power6, &power5})
    EXPECT_EQ(cells(c->known(), "ibm,processor-segment-sizes"), (Cells{28, 40, ~0U, ~0U}));
}

TEST_F(ClientArchitecture, ClientThatKnowsLessGetsLess) {
  Client c = client("POWER6_enhanced", {k205, kEnd204});
  EXPECT_EQ(c.mode(), "POWER6");
  // An old one: from a tree with vectors and decimal to one without.
  EXPECT_TRUE(c.call({kEnd204}, kLinuxVectors));
  EXPECT_EQ(c.mode(), "POWER5+");
  EXPECT_EQ(c.partition->domain().level(), Level::k204);
  DeviceTree changes = c.changes();
  const TreeNode& cpu = *changes.find("/cpus/PowerPC,POWER6@0");
  const auto* deleted = cpu.find("baton,delete-properties");
  ASSERT_TRUE(deleted);
  EXPECT_EQ(std::string(deleted->begin(), deleted->end()), std::string("ibm,vmx\0ibm,dfp\0ibm,spurr\0", 26));
  EXPECT_EQ(cells(cpu, "ibm,segment-page-sizes").size(), 15U);
  EXPECT_TRUE(cpu.find("ibm,pa-features"));
  EXPECT_FALSE(cpu.find("slb-size")) << "what stays is not said again";
  // Asked again, it gets them back.
  EXPECT_TRUE(c.call(kLinux, kLinuxVectors));
  EXPECT_EQ(c.mode(), "POWER6_enhanced");
  changes = c.changes();
  EXPECT_EQ(cells(*changes.find("/cpus/PowerPC,POWER6@0"), "ibm,vmx"), Cells{1});
}

TEST_F(ClientArchitecture, WishIsTheMost) {
  EXPECT_EQ(client("POWER5+", {kRaw, k205, kEnd204}).mode(), "POWER5+");
  const Client c = client("POWER5+", {k206, {0xFFFFFFFF, 0x0F000002}, {0xFFFFFFFE, 0x0F000005}});
  EXPECT_FALSE(c.agreed);
  EXPECT_EQ(c.partition->state(), PartitionState::kError);
  EXPECT_NE(c.partition->console().history().find("POWER5+"), std::string::npos);
}

TEST_F(ClientArchitecture, ClientThatKnowsTheProcessorOnly) {
  const Client free = client("default", {kRaw, kEndNothing});
  EXPECT_EQ(free.mode(), "POWER6_enhanced");
  EXPECT_EQ(free.known().cell("cpu-version", 0), kPvr);
  const Client bound = client("POWER6", {kRaw, kEndNothing});
  EXPECT_TRUE(bound.agreed);
  EXPECT_EQ(bound.mode(), "POWER6");
}

TEST_F(ClientArchitecture, NoModeInCommonEndsTheBoot) {
  for (const char* wish : {"default", "POWER6", "POWER6_enhanced", "POWER5+"}) {
    const Client c = client(wish, {k206, {0xFFFFFFFE, 0x0F000005}});
    EXPECT_FALSE(c.agreed);
    EXPECT_EQ(c.partition->state(), PartitionState::kError);
    EXPECT_NE(c.partition->reference_code().find("supports no processor compatibility mode"),
              std::string::npos);
  }
}

TEST_F(ClientArchitecture, Vector1Limits) {
  // 2.00 to 2.04 of the architecture.
  const Vectors old{{0, 0xF8}}, ignored{{0x80, 0xF8}}, none{{0, 0xE0}}, none_stops{{0x40, 0xE0}};
  EXPECT_EQ(client("default", kLinux, old).mode(), "POWER5+");
  EXPECT_EQ(client("default", kLinux, ignored).mode(), "POWER6");
  // More than it supports: benign unless the client would rather stop.
  EXPECT_EQ(client("default", kLinux, none).mode(), "POWER5+");
  const Client c = client("default", kLinux, none_stops);
  EXPECT_FALSE(c.agreed);
  EXPECT_EQ(c.partition->state(), PartitionState::kError);
}

TEST_F(ClientArchitecture, Vector3TakesOptionsOutOfTheTree) {
  const auto without = [&](u8 options) {
    Vectors vectors = kLinuxVectors;
    vectors[2] = {0, options};
    return client("default", kLinux, vectors);
  };
  const Client no_decimal = without(0xC0), neither = without(0x80);
  EXPECT_TRUE(no_decimal.known().find("ibm,vmx"));
  EXPECT_FALSE(no_decimal.known().find("ibm,dfp"));
  EXPECT_FALSE(neither.known().find("ibm,vmx"));
  EXPECT_FALSE(neither.known().find("ibm,dfp"));
  const Client silent = client("default", kLinux, {{0x80}});
  EXPECT_TRUE(silent.known().find("ibm,dfp")) << "a vector that was not sent limits nothing";
}

TEST_F(ClientArchitecture, Vector5) {
  const Client c = client("default", kLinux);
  DeviceTree changes = c.changes();
  const auto* vector = changes.find("/chosen")->find("ibm,architecture-vec-5");
  ASSERT_TRUE(vector);
  EXPECT_EQ((*vector)[2], 0xD0);  // No dynamic-reconfiguration memory, no donation.
  EXPECT_EQ((*vector)[5], 0x80);
}

TEST_F(ClientArchitecture, DamagedVectors) {
  Client c = client("default");
  EXPECT_FALSE(c.call(kLinux, kLinuxVectors, 16));
  Partition& p = *c.partition;
  const u64 end = p.memory().size();
  for (const u64 at : {end - 16, end - 12, ~u64{0} - 3})
    EXPECT_FALSE(client_architecture_support(p, kPvr, at, kOut, kRoom));
  const std::vector<Entry> endless(100, kRaw);
  EXPECT_FALSE(c.call(endless, kLinuxVectors));
  EXPECT_EQ(p.state(), PartitionState::kNotActivated);
}

TEST_F(ClientArchitecture, MoveKeepsTheMode) {
  Client c = client("POWER6_enhanced", {kEnd204});
  ASSERT_EQ(c.mode(), "POWER5+");
  ManagedSystem there({"POWER6-B", "9117-MMA", "10BA70B", 1 << 30, 8}, "");
  auto moved = there.create(c.partition->profile());
  EXPECT_EQ(moved->mode().name, "POWER6_enhanced");
  moved->restore_platform(c.partition->save_platform());
  EXPECT_EQ(moved->mode().name, "POWER5+");
  c.known().cells("cpu-version", {0x0F000003});
  EXPECT_THROW(moved->restore_platform(c.partition->save_platform()), std::runtime_error);
}

TEST(CompatibilityModes, Names) {
  EXPECT_EQ(mode_wishes(), "default,POWER6_enhanced,POWER6,POWER5+");
  for (const char* wish : {"default", "POWER6_enhanced", "POWER6", "POWER5+"})
    EXPECT_TRUE(is_mode_wish(wish));
  for (const char* wish : {"", "POWER7", "power6", "POWER6+"}) EXPECT_FALSE(is_mode_wish(wish));
}

}  // namespace
}  // namespace baton::hypervisor::test
