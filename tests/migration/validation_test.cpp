// SPDX-License-Identifier: Apache-2.0
// Every check of a validation is made to fail, alone, and the page for administrators lists them all.
#include "migration/validation.h"

#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <set>
#include <thread>

#include "devices/block.h"
#include "migration/rmc_agent.h"
#include "migration/shell_profile.h"
#include "tests/migration/support.h"

namespace baton::migration {
namespace {

using hypervisor::PartitionState;

/// What a case changes before the systems are made.
struct Scene {
  hypervisor::SystemIdentity source{
      .name = "A", .type_model = "9117-MMA", .serial = "10BA70A", .memory = 1ull << 30, .processors = 4};
  hypervisor::SystemIdentity target{
      .name = "B", .type_model = "9117-MMA", .serial = "10BA70B", .memory = 1ull << 30, .processors = 4};
  vios::ViosConfig source_vios, target_vios;
  std::optional<vios::ViosConfig> second_source, second_target;
  std::vector<std::string> stopped;  ///< Servers that are shut down: "A vios1".
  vios::ServerName source_mover;
  std::vector<ScsiMapping> mappings;
  hypervisor::Profile profile = small_profile("hdisk0");
  std::string medium;  ///< That is loaded into vtopt0.
  u32 source_moves = 0, target_moves = 0;
  /// What the source tells, after it is made and before it is told.
  std::function<void(Description&)> describe;
  /// Another partition of the destination.
  std::optional<hypervisor::Profile> neighbour;
  bool running = false;  ///< The partition is on, its operating system runs.
  std::string hello;     ///< What its agent says of itself; empty: there is none.
  std::string answer;    ///< To "check".
};

/// The guest's end of the agent channel: answers each check.
class Guest {
 public:
  Guest(hypervisor::Partition& partition, const std::string& hello, std::string answer)
      : partition_(partition), answer_(std::move(answer)) {
    put(hello);
    thread_ = std::thread([this] { run(); });
  }
  ~Guest() {
    stop_ = true;
    thread_.join();
  }

 private:
  void put(const std::string& line) {
    const std::string text = line + "\n";
    for (std::size_t at = 0; at < text.size(); at += 16) {
      u8 chunk[16] = {};
      const std::size_t length = std::min<std::size_t>(16, text.size() - at);
      std::memcpy(chunk, text.data() + at, length);
      partition_.agent_channel().h_put_term_char(length, load_be<u64>(chunk), load_be<u64>(chunk + 8));
    }
  }
  void run() {
    std::string line;
    while (!stop_) {
      u64 length = 0, high = 0, low = 0;
      partition_.agent_channel().h_get_term_char(length, high, low);
      u8 chunk[16];
      store_be<u64>(chunk, high);
      store_be<u64>(chunk + 8, low);
      for (u64 i = 0; i < length; ++i) {
        if (chunk[i] != '\n') {
          line += static_cast<char>(chunk[i]);
          continue;
        }
        if (line.starts_with("check ")) put("result " + line.substr(6) + " " + answer_);
        line.clear();
      }
      if (length == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  hypervisor::Partition& partition_;
  const std::string answer_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

class Validation : public testing::Test {
 protected:
  Directory directory_;

  Scene scene() {
    Scene s;
    s.source_vios.disks = {{.name = "hdisk0", .uri = directory_.disk("lun0")}};
    s.source_vios.media = directory_.path();
    s.target_vios.disks = {{.name = "hdisk9", .uri = directory_.disk("lun0")}};
    s.profile.firmware = firmware();
    return s;
  }
  std::string firmware() {
    const std::string path = directory_.path() / "firmware";
    std::ofstream file(path, std::ios::binary);
    for (int i = 0; i < 0x100; ++i) file.write("\x48\0\0\0", 4);  // b .
    return path;
  }

  std::vector<Finding> findings(Scene& s, Kinds kind) {
    hypervisor::ManagedSystem source(s.source, ""), target(s.target, "");
    const auto servers = [](const vios::ViosConfig& first, const std::optional<vios::ViosConfig>& second) {
      std::vector<vios::ViosConfig> all{first};
      if (second) all.push_back(*second);
      return all;
    };
    vios::VirtualIo source_vios(source, servers(s.source_vios, s.second_source)),
        target_vios(target, servers(s.target_vios, s.second_target));
    for (const std::string& server : s.stopped) {
      vios::VirtualIo& io = server.starts_with("A ") ? source_vios : target_vios;
      io.stop(*io.find(server.substr(2)));
    }
    source.set_io_server(&source_vios);
    target.set_io_server(&target_vios);
    const auto partition = source.create(s.profile);
    if (!s.medium.empty()) source_vios.servers().front()->load_medium("vtopt0", s.medium, false);
    if (s.neighbour) target.create(*s.neighbour);
    GuestAgent agent(partition);
    if (s.running) {
      partition->power_on();
      partition->note_running();
    }
    std::optional<Guest> guest;
    if (!s.hello.empty()) guest.emplace(*partition, s.hello, s.answer);

    std::vector<Finding> out;
    SourceSide side{.system = source,
                    .vios = source_vios,
                    .partition = *partition,
                    .agent = agent,
                    .moves_under_way = s.source_moves,
                    .wanted_mover = s.source_mover,
                    .mappings = s.mappings};
    run_checks(source_checks(), kind, side, out);
    Description d;
    d.stream_version = kStreamVersion;
    d.active = kind != kInactive;
    d.time_of_day_ns = time_of_day_ns();
    d.profile = partition->profile();
    for (const auto& disk : d.profile.disks)
      d.disk_ids.push_back(
          disk.optical ? "" : source_vios.server_of(d.profile, disk.slot)->unique_id(disk.backing));
    d.wanted_mappings = s.mappings;
    d.bridged_vlans = {1};
    for (auto& slot : d.profile.ethernet) slot.pvid = 2;  // Not bridged at the source.
    if (s.describe) s.describe(d);
    TargetSide there{target, target_vios, d, s.target_moves};
    run_checks(target_checks(), kind, there, out);
    guest.reset();
    partition->power_off();
    return out;
  }
};

hypervisor::Profile neighbour(const std::string& name) {
  hypervisor::Profile profile;
  profile.name = name;
  profile.id = 7;
  profile.memory = 64 << 20;
  return profile;
}

/// Each system has a second VIOS, which sees the LUN by another name.
void second_servers(Scene& s) {
  s.second_source = s.source_vios;
  s.second_target = s.target_vios;
  for (auto* server : {&*s.second_source, &*s.second_target}) {
    server->name = "vios2";
    server->id = 9;
    for (auto& disk : server->disks) disk.name += "b";
  }
}

/// The partition has the LUN by both.
void two_paths(Scene& s) {
  second_servers(s);
  s.profile.scsi.push_back({.slot = 4, .server_slot = 0, .server_id = 9});
  s.profile.disks.push_back({.slot = 4, .vtd = "", .backing = "hdisk0b", .target = 0});
}

void with_a_drive(Scene& s) {
  s.profile.disks.push_back({.slot = 2, .vtd = "", .backing = "", .target = 5, .optical = true});
}

/// Instead of the LUN. Nobody else has it, but the destination is not asked for it if it is not described.
void on_a_logical_volume(Scene& s, bool alone) {
  s.source_vios.volume_groups = {{"datavg", s.source_vios.media + "/datavg", 64 << 20}};
  s.source_vios.logical_volumes = {{"lv1", "datavg", 16 << 20}};
  s.profile.disks[0].backing = "lv1";
  if (alone) s.describe = [](Description& d) { d.disk_ids[0].clear(); };
}

struct Case {
  const char* check;  ///< The name of the check that fails.
  Message message;
  Kinds kind;
  const char* about;  ///< Some of what the message names.
  void (*change)(Scene&);
};

const Case kCases[] = {
    {"state of the partition", Message::kWrongState, kInactive, "Starting", [](Scene&) {}},
    {"concurrent moves, source", Message::kTooManyMoves, kTransparent, "4",
     [](Scene& s) { s.source_moves = 4; }},
    {"mover that is named, source", Message::kNoSuchServer, kTransparent, "vios7",
     [](Scene& s) { s.source_mover.name = "vios7"; }},
    {"mover runs, source", Message::kMoverDown, kTransparent, "vios2 of the system A",
     [](Scene& s) {
       second_servers(s);
       s.source_mover.name = "vios2";
       s.stopped = {"A vios2"};
     }},
    {"Virtual I/O Servers of the partition run", Message::kServerDown, kTransparent, "slot 4",
     [](Scene& s) {
       two_paths(s);
       s.stopped = {"A vios2"};
     }},
    {"slots of virtual_scsi_mappings", Message::kMapping, kInactive, "slot 9",
     [](Scene& s) { s.mappings = {{9, {"vios1", 0}, 0}}; }},
    {"mover that is named, destination", Message::kNoSuchServer, kTransparent, "number 7",
     [](Scene& s) { s.describe = [](Description& d) { d.wanted_mover.id = 7; }; }},
    {"mover runs, destination", Message::kMoverDown, kTransparent, "vios2 of the system B",
     [](Scene& s) {
       second_servers(s);
       s.stopped = {"B vios2"};
       s.describe = [](Description& d) { d.wanted_mover.name = "vios2"; };
     }},
    {"servers of virtual_scsi_mappings", Message::kMapping, kInactive, "does not see",
     [](Scene& s) {
       second_servers(s);
       s.second_target->disks.clear();
       s.mappings = {{2, {"", 9}, 0}};
     }},
    {"paths stay redundant", Message::kNotRedundant, kInactive, "slots 2 and 4",
     [](Scene& s) {
       two_paths(s);
       s.second_target->disks.clear();
     }},
    {"mover service partition, source", Message::kNoMover, kTransparent, "vios1",
     [](Scene& s) { s.source_vios.msp = false; }},
    {"physical adapters", Message::kPhysicalAdapter, kTransparent, "P1-C3",
     [](Scene& s) { s.profile.io_slots = {"U789D.001.10BA70A-P1-C3"}; }},
    {"huge pages", Message::kHugePages, kTransparent, "2 huge pages",
     [](Scene& s) { s.profile.huge_pages = 2; }},
    {"reserve policy, source", Message::kReservePolicy, kInactive, "single_path",
     [](Scene& s) { s.source_vios.disks[0].reserve_policy = "single_path"; }},
    {"whole LUNs, no logical volumes", Message::kLogicalVolume, kInactive, "lv1",
     [](Scene& s) { on_a_logical_volume(s, true); }},
    {"no optical media", Message::kOptical, kInactive, "lun0 is loaded in vtopt0 of lpar1",
     [](Scene& s) {
       with_a_drive(s);
       s.medium = "lun0";
     }},
    {"virtual SCSI clients can migrate", Message::kClientNotMigratable, kActive, "lpar1",
     [](Scene& s) {
       s.running = true;
       s.hello = "hello baton-agent 1 pmig=yes";
       s.answer = "0";
     }},
    {"management connection", Message::kNoAgent, kActive, "baton-agent",
     [](Scene& s) {
       s.running = true;
       s.profile.scsi.clear();
       s.profile.disks.clear();
     }},
    {"operating system can migrate", Message::kAgentCannot, kActive, "lpar1",
     [](Scene& s) {
       s.running = true;
       s.profile.scsi.clear();
       s.profile.disks.clear();
       s.hello = "hello baton-agent 1 pmig=no";
     }},
    {"partition is ready, hooks agree", Message::kVeto, kActive, "books are being closed",
     [](Scene& s) {
       s.running = true;
       s.profile.scsi.clear();
       s.profile.disks.clear();
       s.hello = "hello baton-agent 1 pmig=yes";
       s.answer = "1 the%20books%20are%20being%20closed";
     }},
    {"version of the stream", Message::kStreamVersion, kInactive, "version 77",
     [](Scene& s) { s.describe = [](Description& d) { d.stream_version = 77; }; }},
    {"concurrent moves, destination", Message::kTooManyMovesThere, kTransparent, "4",
     [](Scene& s) { s.target_moves = 4; }},
    {"mover service partition, destination", Message::kNoMover, kTransparent, "system B",
     [](Scene& s) { s.target_vios.msp = false; }},
    {"clocks", Message::kClock, kTransparent, "60 seconds",
     [](Scene& s) { s.describe = [](Description& d) { d.time_of_day_ns -= 60'500'000'000; }; }},
    {"name of the partition is free", Message::kNameInUse, kInactive, "lpar1",
     [](Scene& s) { s.neighbour = neighbour("lpar1"); }},
    {"wanted number is free", Message::kIdInUse, kInactive, "other",
     [](Scene& s) {
       s.neighbour = neighbour("other");
       s.describe = [](Description& d) { d.wanted_id = 7; };
     }},
    {"size of the logical memory block", Message::kMemoryBlock, kInactive, "64 MB",
     [](Scene& s) { s.target.memory_block = 64 << 20; }},
    {"memory", Message::kMemory, kInactive, "32 MB free", [](Scene& s) { s.target.memory = 32 << 20; }},
    {"processors", Message::kProcessors, kInactive, "2 processors",
     [](Scene& s) { s.target.processors = 1; }},
    {"processor compatibility mode", Message::kCompatMode, kTransparent, "POWER7",
     [](Scene& s) { s.describe = [](Description& d) { d.current_mode = "POWER7"; }; }},
    {"virtual slots of the Virtual I/O Server", Message::kVirtualSlots, kInactive, "max_virtual_slots",
     [](Scene& s) { s.target_vios.max_virtual_slots = 11; }},
    {"LUNs are visible", Message::kNoLun, kInactive, "hdisk0", [](Scene& s) { s.target_vios.disks.clear(); }},
    {"LUNs are not mapped already", Message::kLunInUse, kInactive, "partition number 7",
     [](Scene& s) {
       s.neighbour = neighbour("other");
       s.neighbour->scsi = {{.slot = 2, .server_slot = 0}};
       s.neighbour->disks = {{.slot = 2, .vtd = "", .backing = "hdisk9", .target = 0}};
     }},
    {"reserve policy, destination", Message::kReservePolicy, kInactive, "hdisk9",
     [](Scene& s) { s.target_vios.disks[0].reserve_policy = "single_path"; }},
    {"VLANs are bridged", Message::kVlan, kInactive, "VLAN 1",
     [](Scene& s) { s.describe = [](Description& d) { d.profile.ethernet[0].pvid = 1; }; }},
    {"MAC addresses are free", Message::kMac, kInactive, "c2:00:00:00:00:01",
     [](Scene& s) {
       const std::array<u8, 6> mac{0xC2, 0, 0, 0, 0, 1};
       s.profile.ethernet[0].mac = mac;
       s.neighbour = neighbour("other");
       s.neighbour->ethernet.emplace_back().mac = mac;
     }},
};

TEST_F(Validation, NothingStandsInTheWay) {
  Scene s = scene();
  EXPECT_TRUE(findings(s, kInactive).empty());
  EXPECT_TRUE(findings(s, kTransparent).empty());
  with_a_drive(s);  // It is empty.
  EXPECT_TRUE(findings(s, kTransparent).empty());
  s.running = true;
  s.hello = "hello baton-agent 1 pmig=yes";
  s.answer = "0";
  s.profile.scsi.clear();
  s.profile.disks.clear();
  EXPECT_TRUE(findings(s, kActive).empty());
}

TEST_F(Validation, EveryCheckFailsAlone) {
  std::set<std::string_view> failed;
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.check);
    Scene s = scene();
    c.change(s);
    if (c.message == Message::kWrongState) {
      // It would run if it was asked again after note_running().
      hypervisor::ManagedSystem source(s.source, "");
      vios::VirtualIo server(source, {s.source_vios});
      const auto partition = source.create(s.profile);
      GuestAgent agent(partition);
      partition->power_on();
      SourceSide side{source, server, *partition, agent, 0};
      std::vector<Finding> out;
      run_checks(source_checks(), kInactive, side, out);
      ASSERT_EQ(out.size(), 1u);
      EXPECT_NE(out[0].text.find(c.about), std::string::npos) << out[0].text;
      partition->power_off();
    } else {
      const std::vector<Finding> out = findings(s, c.kind);
      ASSERT_EQ(out.size(), 1u);
      EXPECT_EQ(out[0].code, make_finding(c.message).code);
      EXPECT_NE(out[0].text.find(c.about), std::string::npos) << out[0].text;
    }
    failed.insert(c.check);
  }
  // A disk that is not there cannot be described either, so that it has a test of its own.
  Scene s = scene();
  s.source_vios.disks.clear();
  s.describe = [](Description& d) { d.disk_ids = {""}; };
  hypervisor::ManagedSystem source(s.source, "");
  vios::VirtualIo server(source, {s.source_vios});
  const auto partition = source.create(s.profile);
  GuestAgent agent(partition);
  SourceSide side{source, server, *partition, agent, 0};
  std::vector<Finding> out;
  run_checks(source_checks(), kInactive, side, out);
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].code, make_finding(Message::kDiskUnreadable).code);
  failed.insert("disks can be identified");

  for (const auto& check : source_checks()) EXPECT_TRUE(failed.contains(check.name)) << check.name;
  for (const auto& check : target_checks()) EXPECT_TRUE(failed.contains(check.name)) << check.name;
}

TEST_F(Validation, AllFailuresAreReportedAtOnce) {
  Scene s = scene();
  s.source_vios.msp = false;
  on_a_logical_volume(s, false);
  s.target.memory = 32 << 20;
  s.target.processors = 1;
  s.running = true;
  s.hello = "hello baton-agent 1 pmig=yes";
  s.answer = "1 no";
  std::multiset<std::string> codes;
  for (const Finding& finding : findings(s, kActive)) codes.insert(finding.code);
  std::multiset<std::string> expected;
  for (const Message message : {Message::kNoMover, Message::kLogicalVolume, Message::kClientNotMigratable,
                                Message::kVeto, Message::kNoLun, Message::kMemory, Message::kProcessors})
    expected.insert(make_finding(message).code);
  EXPECT_EQ(codes, expected);
}

TEST_F(Validation, AnInactiveMoveNeedsLess) {
  Scene s = scene();
  s.source_vios.msp = s.target_vios.msp = false;
  s.source_moves = s.target_moves = 4;
  s.profile.io_slots = {"U789D.001.10BA70A-P1-C3"};
  s.profile.huge_pages = 1;
  s.describe = [](Description& d) { d.time_of_day_ns = 0; };
  EXPECT_TRUE(findings(s, kInactive).empty());
}

TEST_F(Validation, VlansMayBeGivenUp) {
  Scene s = scene();
  s.describe = [](Description& d) {
    d.profile.ethernet[0].pvid = 1;
    d.ignore_vlans = true;
  };
  EXPECT_TRUE(findings(s, kInactive).empty());
}

TEST_F(Validation, RedundancyMayBeGivenUp) {
  Scene s = scene();
  two_paths(s);
  EXPECT_TRUE(findings(s, kInactive).empty());
  s.second_target.reset();
  EXPECT_EQ(findings(s, kInactive).size(), 1u);
  s.describe = [](Description& d) { d.ignore_redundancy = true; };
  EXPECT_TRUE(findings(s, kInactive).empty());
}

class Choice : public Validation {
 protected:
  /// Servers of the destination, vios1 with the first LUNs and so on; what is chosen for each slot.
  std::vector<std::string> chosen(const std::vector<std::vector<std::string>>& luns, const Description& d) {
    hypervisor::ManagedSystem target(Scene().target, "");
    std::vector<vios::ViosConfig> configs;
    for (const auto& its : luns) {
      vios::ViosConfig& config = configs.emplace_back();
      config.id = static_cast<u32>(configs.size());
      config.name = "vios" + std::to_string(config.id);
      for (const std::string& lun : its)
        config.disks.push_back({.name = config.name + lun, .uri = directory_.disk(lun)});
    }
    vios::VirtualIo io(target, configs);
    target.set_io_server(&io);
    Description described = d;
    for (auto& id : described.disk_ids) id = devices::open_block_device(directory_.disk(id))->unique_id();
    std::vector<std::string> out;
    for (const ServerChoice& choice : choose_servers(io, described))
      out.push_back(choice.chosen ? choice.chosen->config().name : "none");
    const hypervisor::Profile profile = shell_profile(target, io, described);
    for (std::size_t i = 0; i < profile.disks.size(); ++i) {
      const vios::Vios* server = io.server_of(profile, profile.disks[i].slot);
      if (out[i] != "none") EXPECT_EQ(server->unique_id(profile.disks[i].backing), described.disk_ids[i]);
    }
    return out;
  }
  /// A slot for each (LUN, server at the source).
  static Description described(const std::vector<std::pair<std::string, u32>>& paths) {
    Description d;
    d.profile.name = "lpar1";
    d.profile.id = 2;
    for (const auto& [lun, server] : paths) {
      const u32 slot = 2 + static_cast<u32>(d.profile.scsi.size());
      d.profile.scsi.push_back({.slot = slot, .server_slot = 0, .server_id = server});
      d.profile.disks.push_back({.slot = slot, .vtd = "", .backing = "hdisk0", .target = 0});
      d.disk_ids.push_back(lun);
    }
    return d;
  }
};

TEST_F(Choice, KeepsRedundancy) {
  using Names = std::vector<std::string>;
  Description d = described({{"x", 1}, {"x", 9}});
  EXPECT_EQ(chosen({{"x"}, {"x"}}, d), (Names{"vios1", "vios2"}));
  EXPECT_EQ(chosen({{"x"}}, d), (Names{"vios1", "vios1"}));
  EXPECT_EQ(chosen({{}, {"x"}, {"x"}}, d), (Names{"vios2", "vios3"}));
  EXPECT_EQ(chosen({{"y"}}, d), (Names{"none", "none"}));
  // One path as the administrator wants it: the other goes the other way.
  d.wanted_mappings = {{2, {"vios2", 0}, 0}};
  EXPECT_EQ(chosen({{"x"}, {"x"}}, d), (Names{"vios2", "vios1"}));
  d.wanted_mappings = {{2, {"vios2", 1}, 0}};  // The name of one and the number of another.
  EXPECT_EQ(chosen({{"x"}, {"x"}}, d), (Names{"none", "vios1"}));
  // Different LUNs need no different servers.
  EXPECT_EQ(chosen({{"x", "y"}, {"x"}}, described({{"x", 1}, {"y", 9}})), (Names{"vios1", "vios1"}));
  // Who can choose least comes first.
  EXPECT_EQ(chosen({{"x", "y"}, {"x"}}, described({{"x", 1}, {"x", 9}, {"y", 9}})),
            (Names{"vios1", "vios2", "vios1"}));
}

TEST_F(Choice, ADriveArrivesEmptyWhereItsSlotIsServed) {
  hypervisor::ManagedSystem target(Scene().target, "");
  vios::ViosConfig config;
  config.disks = {{.name = "hdisk4", .uri = directory_.disk("x")}};
  vios::VirtualIo io(target, {config});
  target.set_io_server(&io);
  Description d = described({{"x", 1}});
  d.disk_ids[0] = devices::open_block_device(directory_.disk("x"))->unique_id();
  d.profile.disks.push_back({.slot = 2, .vtd = "vtopt3", .backing = "", .target = 1, .optical = true});
  d.profile.disks.push_back({.slot = 2, .vtd = "installer", .backing = "", .target = 2, .optical = true});
  d.disk_ids.resize(3);
  const hypervisor::Profile profile = shell_profile(target, io, decode(encode(d)));
  ASSERT_EQ(profile.disks.size(), 3u);
  EXPECT_EQ(profile.disks[0].backing, "hdisk4");
  EXPECT_TRUE(profile.disks[1].optical && profile.disks[2].optical);
  EXPECT_EQ(profile.disks[1].vtd, "") << "chosen anew";
  EXPECT_EQ(profile.disks[2].vtd, "installer");
  const auto shell = target.create(profile);
  const auto mappings = io.servers().front()->mappings();
  ASSERT_EQ(mappings.size(), 3u);
  EXPECT_EQ(mappings[1].vtd, "vtopt0");
  EXPECT_TRUE(io.loaded_drives(*shell).empty());
  // One with a backing device makes no sense.
  d.profile.disks[1].backing = "hdisk0";
  EXPECT_THROW(decode(encode(d)), std::runtime_error);
}

/// docs/migration.md has each check with its code, and each code with what it means.
TEST(Documentation, ListsEveryCheckAndEveryCode) {
  std::ifstream file(BATON_SOURCE_DIR "/docs/migration.md");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  ASSERT_FALSE(text.empty());
  const auto listed = [&](std::string_view name, Message message) {
    const std::string row = "| " + std::string(name) + " | " + make_finding(message).code + " |";
    EXPECT_NE(text.find(row), std::string::npos) << "missing: " << row;
  };
  for (const auto& check : source_checks()) listed(check.name, check.message);
  for (const auto& check : target_checks()) listed(check.name, check.message);
  for (const MessageRow& row : message_table())
    EXPECT_NE(text.find("| " + std::string(row.code) + " |"), std::string::npos) << row.code;
}

}  // namespace
}  // namespace baton::migration
