// SPDX-License-Identifier: Apache-2.0
// The VIOS as a whole: attachment, reservations, mobility and the padmin commands.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "tests/hypervisor/support.h"
#include "tests/vios/fakes.h"
#include "vios/announcer.h"
#include "vios/virtual_io.h"

namespace baton::vios {
namespace {

namespace fs = std::filesystem;
using testing::failure;
using namespace hypervisor;

class ViosTest : public ::testing::Test {
 protected:
  ViosTest() {
    char name[] = "/tmp/baton-vios-XXXXXX";
    directory_ = mkdtemp(name);
    for (const char* lun : {"lun0.img", "lun1.img"}) {
      std::ofstream(directory_ / lun).close();
      fs::resize_file(directory_ / lun, 4 << 20);
    }
  }
  ~ViosTest() override { fs::remove_all(directory_); }
  ViosConfig config(const std::string& name) {
    ViosConfig config;
    config.name = name;
    config.disks = {{"hdisk0", "file:" + (directory_ / "lun0.img").string()},
                    {"hdisk1", (directory_ / "lun1.img").string()},
                    {"hdisk2", "file:" + (directory_ / "none.img").string()}};
    return config;
  }
  static Profile profile(u32 id, const std::string& name, const std::string& disk = "hdisk0") {
    Profile profile = hypervisor::test::small_profile(name, id, 1);
    profile.disks = {{2, "", disk, 1}};
    return profile;
  }

  fs::path directory_;
  ManagedSystem a_{{"POWER6-A", "9117-MMA", "10BA70A", 1 << 30, 8}, ""};
  ManagedSystem b_{{"POWER6-B", "9117-MMA", "10BA70B", 1 << 30, 8}, ""};
};

TEST_F(ViosTest, OneSystemWritesADisk) {
  VirtualIo here(a_, {config("vios1")}), there(b_, {config("vios1")});
  auto one = a_.create(profile(2, "mobile")), two = b_.create(profile(2, "mobile"));
  here.attach(*one);
  const auto text = failure([&] { there.attach(*two); });
  EXPECT_NE(text.find("hdisk0"), std::string::npos) << text;
  EXPECT_NE(text.find("system POWER6-A, partition mobile"), std::string::npos) << text;
  // A move: the shell is connected, the source lets go, the destination takes over.
  there.attach_shell(*two);
  EXPECT_NE(failure([&] { there.resume(*two); }), "");
  here.quiesce(*one);
  there.resume(*two);
  EXPECT_NE(failure([&] { here.resume(*one); }), "");
  there.detach(*two);
  here.resume(*one);  // The move was undone.
  here.detach(*one);
  here.detach(*one);
}

TEST_F(ViosTest, ErrorsNameThePartitionAndTheThing) {
  VirtualIo vios(a_, {config("vios1")});
  auto one = a_.create(profile(2, "one", "hdisk9"));
  EXPECT_NE(failure([&] { vios.attach(*one); }).find("hdisk9"), std::string::npos);
  auto two = a_.create(profile(3, "two", "hdisk2"));
  EXPECT_NE(failure([&] { vios.attach(*two); }).find("none.img"), std::string::npos);
  auto wrong = profile(4, "three");
  wrong.disks.push_back({2, "", "hdisk1", 1});
  auto three = a_.create(wrong);
  EXPECT_NE(failure([&] { vios.attach(*three); }).find("used twice"), std::string::npos);
}

TEST_F(ViosTest, TwoPartitionsOneDisk) {
  VirtualIo vios(a_, {config("vios1")});
  auto one = a_.create(profile(2, "one")), two = a_.create(profile(3, "two")),
       three = a_.create(profile(4, "three", "hdisk1"));
  vios.attach(*one);
  EXPECT_NE(failure([&] { vios.attach(*two); }).find("partition one"), std::string::npos);
  vios.attach(*three);
  vios.detach(*one);
  vios.attach(*two);
  vios.detach(*two);
  vios.detach(*three);
}

TEST_F(ViosTest, LunsAreRecognisedAcrossSystems) {
  VirtualIo here(a_, {config("vios1")});
  auto other = config("vios2");
  std::swap(other.disks[0].name, other.disks[1].name);
  VirtualIo there(b_, {other});
  EXPECT_EQ(there.servers().front()->backing_by_unique_id(here.servers().front()->unique_id("hdisk0")),
            "hdisk1");
  EXPECT_EQ(there.servers().front()->backing_by_unique_id("nothing"), "");
  EXPECT_NE(failure([&] { (void)here.servers().front()->unique_id("hdisk2"); }), "");
  EXPECT_FALSE(here.bridges_vlan(1));
}

TEST_F(ViosTest, PartitionsTalkThroughTheSwitch) {
  VirtualIo vios(a_, {config("vios1")});
  auto one = a_.create(profile(2, "one")), two = a_.create(profile(3, "two", "hdisk1"));
  vios.attach(*one);
  vios.attach(*two);
  const auto lan_of = [](Partition& p) { return dynamic_cast<LogicalLan*>(p.adapter(0x30000003)); };
  for (auto& partition : {one, two}) {
    auto& lan = *lan_of(*partition);
    for (u64 page = 0x10000; page < 0x20000; page += 4096) lan.tce()->put(page, page | 3);
    u64 mac = 0;
    for (const u8 byte : lan.mac()) mac = mac << 8 | byte;
    ASSERT_EQ(lan.h_register(0x10000, u64{0x80} << 56 | u64{128} << 32 | 0x12000, 0x11000, mac), h::Success);
    ASSERT_EQ(lan.h_add_buffer(u64{0x80} << 56 | u64{2048} << 32 | 0x14000), h::Success);
  }
  std::vector<u8> frame(60, 0x11);
  std::ranges::copy(lan_of(*two)->mac(), frame.begin());
  std::ranges::copy(lan_of(*one)->mac(), frame.begin() + 6);
  one->memory().write(0x18000, frame);
  const std::array<u64, 6> descriptors{u64{0x80} << 56 | u64{60} << 32 | 0x18000};
  EXPECT_EQ(lan_of(*one)->h_send(descriptors, 0), h::Success);
  std::vector<u8> got(60);
  two->memory().read(0x14008, got);
  EXPECT_EQ(got, frame);
  EXPECT_TRUE(vios.mac_in_use(lan_of(*one)->mac()));
  EXPECT_FALSE(vios.mac_in_use({2, 9, 9, 9, 9, 9}));
  vios.detach(*one);
  vios.detach(*two);
}

/// Two partitions send to each other, one registers and frees its queues, the VIOS takes adapters away and
/// gives them back: nothing waits for ever, and nothing is used after it is gone.
TEST_F(ViosTest, EverythingAtOnce) {
  VirtualIo vios(a_, {config("vios1")});
  std::array<std::shared_ptr<Partition>, 2> partitions = {a_.create(profile(2, "one")),
                                                          a_.create(profile(3, "two", "hdisk1"))};
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (auto& partition : partitions) {
    vios.attach(*partition);
    partition->memory().fill(0x18000, 0xFF, 6);
    auto* lan = dynamic_cast<LogicalLan*>(partition->adapter(0x30000003));
    auto* crq = dynamic_cast<CrqAdapter*>(partition->adapter(0x30000002));
    for (auto* tce : {lan->tce(), crq->tce()})
      for (u64 page = 0; page < 0x100000; page += 4096) tce->put(page, page | 3);
    u64 mac = 0;
    for (const u8 byte : lan->mac()) mac = mac << 8 | byte;
    threads.emplace_back([&stop, lan] {
      const std::array<u64, 6> broadcast{u64{0x80} << 56 | u64{60} << 32 | 0x18000};
      while (!stop) lan->h_send(broadcast, 0);
    });
    threads.emplace_back([&stop, lan, mac] {
      for (u64 n = 0; !stop; n++) {
        if (n % 64 == 0) {
          lan->h_free();
          lan->h_register(0x10000, u64{0x80} << 56 | u64{128} << 32 | 0x12000, 0x11000, mac);
        }
        lan->h_add_buffer(u64{0x80} << 56 | u64{2048} << 32 | 0x14000);
        if (n % 100 == 0) lan->pause(n % 200 == 0);
      }
    });
    threads.emplace_back([&stop, crq, memory = &partition->memory()] {
      for (u64 n = 0; !stop; n++) {
        if (n % 50 == 0) {
          crq->h_free_crq();
          crq->h_reg_crq(0x20000, 4096);
          crq->h_send_crq({0xC001000000000000, 0});
        }
        if (n % 70 == 0) crq->disable();
        if (n % 70 == 5) crq->h_enable_crq();
        crq->h_send_crq({0x8001000000000040, 0x30000});  // Zeros: a login that is too short.
        for (u64 entry = 0x20000; entry < 0x21000; entry += 16) memory->store<u8>(entry, 0);
      }
    });
  }
  for (int i = 0; i < 40; i++) {
    auto& partition = *partitions[i % 2];
    std::string text;
    vios.servers().front()->padmin("lsmap -all", text);
    if (i % 8 == 7) {
      vios.stop(*vios.servers().front());
      vios.start(*vios.servers().front());
    } else if (i % 3 == 0) {
      vios.quiesce(partition);
      vios.resume(partition);
    } else {
      vios.detach(partition);
      vios.attach(partition);
    }
  }
  stop = true;
  for (auto& thread : threads) thread.join();
  for (auto& partition : partitions) vios.detach(*partition);
}

/// Two servers of a system; a partition with one LUN by both.
class TwoServers : public ViosTest {
 protected:
  static constexpr u64 kQueue = 0x20000;
  std::vector<ViosConfig> configs() {
    ViosConfig one = config("vios1"), two = config("vios2");
    two.id = 9;
    for (auto& disk : two.disks) disk.name += "b";
    return {one, two};
  }
  static Profile two_paths(u32 id, const std::string& name) {
    Profile profile = ViosTest::profile(id, name);
    profile.scsi.push_back({.slot = 4, .server_slot = 0, .server_id = 9});
    profile.disks.push_back({4, "", "hdisk0b", 1});
    return profile;
  }
  static CrqAdapter& crq(Partition& partition, u32 slot) {
    return *dynamic_cast<CrqAdapter*>(partition.adapter(0x30000000 | slot));
  }
  /// The header and format of each message in the client's queue, which is then empty.
  static std::vector<u16> messages(Partition& partition) {
    std::vector<u16> out;
    for (u64 at = kQueue; at < kQueue + 4096; at += 16) {
      const u16 head = partition.memory().load<u16>(at).value_or(0);
      if (!head) continue;  // One may come right now.
      out.push_back(head);
      partition.memory().store<u16>(at, 0);
    }
    return out;
  }
};

TEST_F(TwoServers, OneShutDownAlone) {
  VirtualIo io(a_, configs()), other(b_, {config("vios1")});
  a_.set_io_server(&io);
  auto one = a_.create(two_paths(2, "one"));
  auto two = b_.create(profile(2, "two"));
  io.attach(*one);
  auto& adapter = crq(*one, 4);
  for (u64 page = 0; page < 0x100000; page += 4096) adapter.tce()->put(page, page | 3);
  ASSERT_EQ(adapter.h_reg_crq(kQueue, 4096), h::Success);
  EXPECT_EQ(adapter.h_send_crq({0xC001000000000000, 0}), h::Success);
  EXPECT_TRUE(hypervisor::test::eventually([&] { return messages(*one) == std::vector<u16>{0xC002}; }));

  Vios& server = *io.find("vios2");
  EXPECT_EQ(io.find("9"), &server);
  io.stop(server);
  io.stop(server);  // Nothing more to do.
  EXPECT_FALSE(server.running());
  EXPECT_EQ(messages(*one), std::vector<u16>{0xFF02});
  EXPECT_EQ(adapter.h_send_crq({0xC001000000000000, 0}), h::Closed);
  EXPECT_NE(crq(*one, 2).h_reg_crq(kQueue, 4096), h::Closed);
  // What Linux does then: it registers its queue anew, and hears that there is nobody yet.
  adapter.h_free_crq();
  EXPECT_EQ(adapter.h_reg_crq(kQueue, 4096), h::Closed);
  EXPECT_NE(failure([&] { other.attach(*two); }).find("partition one"), std::string::npos);

  io.start(server);
  EXPECT_TRUE(server.running());
  EXPECT_EQ(messages(*one), std::vector<u16>{0xC001});
  EXPECT_EQ(adapter.h_send_crq({0xC002000000000000, 0}), h::Success);

  // With none of them on the LUN is still the partition's, until it is switched off.
  for (const auto& each : io.servers()) io.stop(*each);
  EXPECT_NE(failure([&] { other.attach(*two); }).find("partition one"), std::string::npos);
  io.detach(*one);
  other.attach(*two);
  // It can be activated with no server on, but not write to a disk that another partition got meanwhile.
  io.attach(*one);
  io.start(server);
  EXPECT_EQ(adapter.h_send_crq({0xC001000000000000, 0}), h::Closed);
  other.detach(*two);
  io.detach(*one);
}

TEST_F(TwoServers, StoppedWhileAPartitionIsSuspended) {
  VirtualIo io(a_, configs());
  auto one = a_.create(two_paths(2, "one"));
  io.attach(*one);
  auto& adapter = crq(*one, 4);
  for (u64 page = 0; page < 0x100000; page += 4096) adapter.tce()->put(page, page | 3);
  ASSERT_EQ(adapter.h_reg_crq(kQueue, 4096), h::Success);
  io.quiesce(*one);
  io.stop(*io.find(9));
  io.start(*io.find(9));
  (void)messages(*one);
  EXPECT_EQ(adapter.h_send_crq({0xC001000000000000, 0}), h::Success);
  EXPECT_TRUE(messages(*one).empty()) << "it is quiet until the partition goes on";
  io.resume(*one);
  EXPECT_EQ(adapter.h_send_crq({0xC001000000000000, 0}), h::Success);
  EXPECT_TRUE(hypervisor::test::eventually([&] { return messages(*one) == std::vector<u16>{0xC002}; }));
  io.detach(*one);
}

TEST_F(TwoServers, ASinglePathIsOne) {
  auto both = configs();
  both[1].disks[0].reserve_policy = "single_path";
  VirtualIo io(a_, both);
  auto one = a_.create(two_paths(2, "one"));
  const auto text = failure([&] { io.attach(*one); });
  for (const char* about : {"hdisk0 of vios1", "hdisk0b of vios2", "no_reserve"})
    EXPECT_NE(text.find(about), std::string::npos) << text;
  // Two slots of one server are no second server.
  auto same = two_paths(3, "two");
  same.scsi[0].server_id = 9;
  same.disks[0].backing = "hdisk0b";
  auto two = a_.create(same);
  io.attach(*two);
  io.detach(*two);
}

TEST_F(TwoServers, NamesAndNumbers) {
  VirtualIo io(a_, configs());
  a_.set_io_server(&io);
  EXPECT_EQ(io.names(), "vios1, vios2");
  EXPECT_EQ(io.find(ServerName{"vios2", 9}), io.find(9));
  EXPECT_EQ(io.find(ServerName{"vios1", 9}), nullptr);
  EXPECT_EQ(io.find(ServerName{}), nullptr);
  EXPECT_EQ(io.mover(), io.find(1));
  EXPECT_EQ(io.mover({"", 9}), io.find(9));
  io.stop(*io.find(1));
  EXPECT_EQ(io.mover(), io.find(9));
  EXPECT_EQ(io.mover({"vios1", 0}), nullptr);
  EXPECT_NE(failure([&] { a_.create(profile(9, "one")); }).find("vios2"), std::string::npos);
  // Each server shows its own adapters.
  auto one = a_.create(two_paths(2, "one"));
  std::string text;
  EXPECT_EQ(io.find(9)->padmin("lsmap -all -fmt : -field svsa physloc backing", text), 0);
  EXPECT_EQ(text, "vhost0:U9117.MMA.10BA70A-V9-C11:hdisk0b\n");
  auto wrong = two_paths(3, "two");
  wrong.scsi[1].server_id = 2;
  auto two = a_.create(wrong);
  EXPECT_NE(failure([&] { io.attach(*two); }).find("no Virtual I/O Server"), std::string::npos);
}

TEST_F(ViosTest, Lsmap) {
  VirtualIo vios(a_, {config("vios1")});
  auto with = profile(2, "one");
  with.disks.push_back({2, "data", "hdisk2", 2});
  auto one = a_.create(with);
  auto without = hypervisor::test::small_profile("two", 3, 1);
  auto two = a_.create(without);
  std::string text;
  EXPECT_EQ(vios.servers().front()->padmin("lsmap -all", text), 0);
  EXPECT_EQ(text,
            "SVSA            Physloc                                      Client Partition ID\n"
            "--------------- -------------------------------------------- ------------------\n"
            "vhost0          U9117.MMA.10BA70A-V1-C11                     0x00000002\n"
            "\n"
            "VTD                   vtscsi0\n"
            "Status                Available\n"
            "LUN                   0x8100000000000000\n"
            "Backing device        hdisk0\n"
            "Physloc               U789D.001.10BA70A-P1-C1-T1-L0\n"
            "\n"
            "VTD                   data\n"
            "Status                Defined\n"
            "LUN                   0x8200000000000000\n"
            "Backing device        hdisk2\n"
            "Physloc               U789D.001.10BA70A-P1-C1-T1-L2\n"
            "\n"
            "SVSA            Physloc                                      Client Partition ID\n"
            "--------------- -------------------------------------------- ------------------\n"
            "vhost1          U9117.MMA.10BA70A-V1-C12                     0x00000003\n"
            "\n"
            "VTD                   NO VIRTUAL TARGET DEVICE FOUND\n"
            "\n");
  EXPECT_EQ(vios.servers().front()->padmin("lsmap -all -fmt : -field svsa clientid vtd backing", text), 0);
  EXPECT_EQ(text,
            "vhost0:0x00000002:vtscsi0:hdisk0:data:hdisk2\n"
            "vhost1:0x00000003:NO VIRTUAL TARGET DEVICE FOUND\n");
  EXPECT_EQ(vios.servers().front()->padmin("lsmap -vadapter vhost1", text), 0);
  EXPECT_EQ(text.find("vhost0"), std::string::npos);
  EXPECT_EQ(vios.servers().front()->padmin("lsmap -net -all", text), 0);
  EXPECT_EQ(vios.servers().front()->mappings().size(), 3u);
}

TEST_F(ViosTest, OtherCommands) {
  VirtualIo vios(a_, {config("vios1")});
  auto one = a_.create(profile(2, "one"));
  std::string text;
  EXPECT_EQ(vios.servers().front()->padmin("ioslevel", text), 0);
  EXPECT_EQ(vios.servers().front()->padmin("help", text), 0);
  EXPECT_NE(text.find("lsmap"), std::string::npos);
  EXPECT_EQ(vios.servers().front()->padmin("lsdev -virtual", text), 0);
  EXPECT_NE(text.find("vasi0            Available   Virtual Asynchronous Services Interface (VASI)\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("vhost0 "), std::string::npos);
  EXPECT_NE(text.find("vtscsi0 "), std::string::npos);
  EXPECT_EQ(text.find("hdisk"), std::string::npos);
  EXPECT_EQ(vios.servers().front()->padmin("lsdev", text), 0);
  EXPECT_NE(text.find("hdisk2           Defined"), std::string::npos) << text;
  EXPECT_EQ(vios.servers().front()->padmin("lsdev -dev hdisk0 -attr", text), 0);
  EXPECT_NE(text.find("reserve_policy  no_reserve"), std::string::npos) << text;
  EXPECT_NE(text.find(vios.servers().front()->unique_id("hdisk0")), std::string::npos);
  EXPECT_EQ(vios.servers().front()->padmin("lsdev -dev hdisk0 -attr size_in_mb", text), 0);
  EXPECT_EQ(text, "value\n\n4\n");
  for (const char* wrong :
       {"", "frobnicate", "lsmap", "lsmap -wrong", "lsmap -all -fmt", "lsmap -all -field nothing",
        "lsmap -vadapter vhost7", "lsdev -dev hdisk7 -attr", "lsdev -dev hdisk2 -attr"}) {
    EXPECT_NE(vios.servers().front()->padmin(wrong, text), 0) << wrong;
    EXPECT_EQ(std::ranges::count(text, '\n'), 1) << wrong << ": " << text;
  }
}

class BackingTest : public ViosTest {
 protected:
  ViosConfig config(const std::string& name) {
    ViosConfig config = ViosTest::config(name);
    config.volume_groups = {{name + "vg", directory_ / (name + "vg"), 64 << 20}};
    config.logical_volumes = {{"lv_data", name + "vg", 32 << 20}};
    config.media = directory_ / "media";
    fs::create_directory(directory_ / "media");
    for (const char* medium : {"a.iso", "b.iso"}) std::ofstream(directory_ / "media" / medium) << "an image";
    return config;
  }
  /// A disk, a logical volume and two drives.
  static Profile profile(u32 id, const std::string& name) {
    Profile profile = ViosTest::profile(id, name);
    profile.disks.push_back({2, "", "lv_data", 2});
    for (const u32 target : {3u, 4u}) profile.disks.push_back({2, "", "", target, true});
    return profile;
  }
  /// What a command says; it must go well.
  static std::string good(Vios& server, const std::string& command) {
    std::string text;
    EXPECT_EQ(server.padmin(command, text), 0) << command << ": " << text;
    return text;
  }
  /// The same of one that must not: one sentence.
  static std::string bad(Vios& server, const std::string& command) {
    std::string text;
    EXPECT_NE(server.padmin(command, text), 0) << command;
    EXPECT_EQ(std::ranges::count(text, '\n'), 1) << command << ": " << text;
    return text;
  }
};

TEST_F(BackingTest, LogicalVolumes) {
  auto io = std::make_unique<VirtualIo>(a_, std::vector{config("vios1")});
  VirtualIo elsewhere(b_, {config("vios2")});
  Vios* server = io->servers().front().get();
  auto one = a_.create(profile(2, "one"));
  io->attach(*one);
  EXPECT_EQ(good(*server, "lsmap -all -type lv -fmt : -field vtd status lun backing bdphysloc"),
            "vtscsi1:Available:0x8200000000000000:lv_data:\n");
  EXPECT_EQ(good(*server, "lsmap -all -type file_opt -fmt : -field vtd backing"), "vtopt0::vtopt1:\n");
  EXPECT_NE(good(*server, "lsdev -virtual").find("Virtual Target Device - Logical Volume"),
            std::string::npos);
  EXPECT_EQ(good(*server, "lsvg"), "vios1vg\n");
  EXPECT_NE(good(*server, "lsvg vios1vg").find("FREE PPs        2\n"), std::string::npos)
      << good(*server, "lsvg vios1vg");
  EXPECT_EQ(good(*server, "mklv -lv scratch vios1vg 16M"), "scratch\n");
  EXPECT_EQ(good(*server, "mklv vios1vg 1"), "lv00\n");
  EXPECT_EQ(good(*server, "lsvg -lv"),
            "vios1vg:\nLV NAME  LPs  SIZE(mb)  VTD\nlv00     1    16        N/A\nlv_data  2    32        "
            "vtscsi1\nscratch  1    16        N/A\n");
  EXPECT_NE(good(*server, "lsdev -dev scratch -attr").find("volume_group    vios1vg"), std::string::npos);
  for (const char* wrong :
       {"mklv", "mklv vios1vg", "mklv vios1vg 1 2", "mklv nothing 1", "mklv vios1vg 1", "mklv vios1vg 0",
        "mklv vios1vg 1X", "mklv vios1vg 99999999999999999999", "mklv -lv lv_data vios1vg 1",
        "mklv -lv hdisk0 vios1vg 1", "mklv -lv ../x vios1vg 1", "rmlv", "rmlv nothing", "rmlv hdisk0",
        "rmlv lv_data", "lsvg nothing", "lsmap -all -type tape"})
    bad(*server, wrong);
  EXPECT_NE(bad(*server, "rmlv lv_data").find("vtscsi1"), std::string::npos);
  good(*server, "rmlv scratch");
  good(*server, "rmlv lv00");
  // Its identity is of this system alone, and found there.
  const std::string id = server->unique_id("lv_data");
  EXPECT_EQ(server->backing_by_unique_id(id), "lv_data");
  EXPECT_EQ(elsewhere.servers().front()->backing_by_unique_id(id), "");
  EXPECT_TRUE(elsewhere.servers().front()->usable("lv_data")) << "that is another one";
  // It stays when the system is started again.
  io->detach(*one);
  io.reset();
  io = std::make_unique<VirtualIo>(a_, std::vector{config("vios1")});
  EXPECT_EQ(io->servers().front()->unique_id("lv_data"), id);
  io.reset();
  auto larger = config("vios1");
  larger.logical_volumes[0].bytes = 48 << 20;
  const auto text = failure([&] { VirtualIo again(a_, {larger}); });
  EXPECT_NE(text.find("32 MB already"), std::string::npos) << text;
}

TEST_F(BackingTest, OpticalMedia) {
  VirtualIo io(a_, {config("vios1")});
  Vios& server = *io.servers().front();
  auto one = a_.create(profile(2, "one"));
  EXPECT_EQ(good(server, "lsvopt"),
            "VTD     Media     Size(mb)\nvtopt0  No Media  n/a\nvtopt1  No Media  n/a\n");
  EXPECT_TRUE(io.loaded_drives(*one).empty());
  good(server, "loadopt -vtd vtopt0 -disk a.iso");  // The partition need not be on.
  good(server, "loadopt -vtd vtopt1 -disk a.iso");
  io.attach(*one);
  EXPECT_EQ(good(server, "lsvopt"), "VTD     Media  Size(mb)\nvtopt0  a.iso  1\nvtopt1  a.iso  1\n");
  EXPECT_EQ(
      good(server, "lsrep"),
      "Name   Size(mb)  Optical        Access\na.iso  1         vtopt0,vtopt1  ro\nb.iso  1         None  "
      "         ro\n");
  EXPECT_NE(bad(server, "loadopt -vtd vtopt0 -disk b.iso").find("a.iso"), std::string::npos);
  good(server, "loadopt -vtd vtopt0 -disk b.iso -release");
  good(server, "unloadopt -vtd vtopt1");
  // It stays in the drive, whoever is shut down.
  io.detach(*one);
  io.stop(server);
  io.start(server);
  io.attach(*one);
  ASSERT_EQ(io.loaded_drives(*one).size(), 1u);
  EXPECT_EQ(io.loaded_drives(*one)[0].backing, "b.iso");
  EXPECT_EQ(io.loaded_drives(*one)[0].vtd, "vtopt0");
  for (const char* wrong :
       {"loadopt", "loadopt -vtd vtopt1", "loadopt -disk a.iso", "loadopt -vtd vtopt9 -disk a.iso",
        "loadopt -vtd vtscsi0 -disk a.iso", "loadopt -vtd vtopt1 -disk none.iso",
        "loadopt -vtd vtopt1 -disk ../lun0.img", "loadopt -vtd vtopt1 -disk .hidden", "unloadopt",
        "unloadopt -vtd vtopt1", "unloadopt -vtd vtopt9", "loadopt -vtd vtopt1 -disk a.iso more"})
    bad(server, wrong);
  good(server, "unloadopt -vtd vtopt0");
  io.detach(*one);
  // Whoever moves partitions can forbid it.
  io.before_media_change(
      [](const Partition& partition) { throw std::runtime_error(partition.name() + " moves"); });
  EXPECT_EQ(bad(server, "loadopt -vtd vtopt1 -disk a.iso"), "one moves\n");
  io.before_media_change({});
  // It goes with its partition.
  good(server, "loadopt -vtd vtopt0 -disk a.iso");
  a_.remove(2);
  EXPECT_EQ(good(server, "lsvopt"), "NO VIRTUAL OPTICAL DEVICE FOUND\n");
  one = a_.create(profile(2, "one"));
  EXPECT_TRUE(io.loaded_drives(*one).empty());
}

TEST_F(BackingTest, NoMediumIsChangedInDeterministicMode) {
  SystemIdentity identity{"POWER6-D", "9117-MMA", "10BA70D", 1 << 30, 8};
  identity.determinism.on = true;
  ManagedSystem system{identity, ""};
  VirtualIo io(system, {config("vios1")});
  system.set_io_server(&io);
  std::ofstream firmware(directory_ / "firmware", std::ios::binary);
  for (int i = 0; i < 0x100; ++i) firmware.write("\x48\0\0\0", 4);  // b .
  firmware.close();
  Profile profile = BackingTest::profile(2, "one");
  profile.firmware = directory_ / "firmware";
  auto one = system.create(profile);
  Vios& server = *io.servers().front();
  good(server, "loadopt -vtd vtopt0 -disk a.iso");
  one->power_on();
  EXPECT_NE(bad(server, "unloadopt -vtd vtopt0").find("deterministic"), std::string::npos);
  one->power_off();
  good(server, "unloadopt -vtd vtopt0");
}

TEST_F(BackingTest, WithoutARepository) {
  auto without = config("vios1");
  without.media.clear();
  VirtualIo io(a_, {without});
  auto one = a_.create(profile(2, "one"));
  for (const char* command : {"lsrep", "loadopt -vtd vtopt0 -disk a.iso"})
    EXPECT_NE(bad(*io.servers().front(), command).find("media = "), std::string::npos);
  without = config("vios1");
  without.volume_groups[0].directory = directory_ / "vg2";
  without.media = directory_ / "nothing";
  VirtualIo other(b_, {without});
  EXPECT_NE(bad(*other.servers().front(), "lsrep").find("nothing"), std::string::npos);
}

TEST(Announcer, RepeatsAndStops) {
  std::mutex lock;
  int sent = 0;
  Announcer announcer([&](std::span<const u8>) {
    std::lock_guard guard(lock);
    sent++;
  });
  const auto count = [&] {
    std::lock_guard guard(lock);
    return sent;
  };
  announcer.start(2, {{1, 2, 3}});
  EXPECT_EQ(count(), 1);
  EXPECT_TRUE(hypervisor::test::eventually([&] { return count() >= 2; }));
  announcer.cancel(2);
  const int after = count();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_EQ(count(), after);
}

}  // namespace
}  // namespace baton::vios
