// SPDX-License-Identifier: Apache-2.0
// The console against two managed systems in this process; their partition has no guest.
#include "hmc/console.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "app/managed_control.h"

namespace baton::hmc {
namespace {

namespace fs = std::filesystem;

/// A system without sockets: control calls are direct, only the movers connect to each other.
struct Machine {
  Machine(const std::string& name, const std::string& serial, const fs::path& disk, Systems& systems)
      : system(
            {.name = name, .type_model = "9117-MMA", .serial = serial, .memory = 2ull << 30, .processors = 4},
            ""),
        vios(system, {vios_config(serial, disk)}),
        mover(system, vios),
        control(std::make_shared<app::ManagedControl>(
            system, vios, mover, [&systems](const std::string& address) { return systems.connect(address); },
            [] {})) {
    system.set_io_server(&vios);
  }
  ~Machine() { mover.shut_down(); }
  static vios::ViosConfig vios_config(const std::string& serial, const fs::path& disk) {
    vios::ViosConfig config;
    // The same LUN has another name on each system.
    config.disks = {{"hdisk" + serial.substr(6), "file:" + disk.string()}};
    return config;
  }
  hypervisor::ManagedSystem system;
  vios::VirtualIo vios;
  migration::Mover mover;
  std::shared_ptr<app::ManagedControl> control;
};

class InProcess final : public Systems {
 public:
  std::vector<std::string> names() override {
    std::vector<std::string> out;
    for (const auto& [name, machine] : machines) out.push_back(name);
    return out;
  }
  std::shared_ptr<Control> connect(const std::string& name) override {
    const auto found = machines.find(name);
    if (found == machines.end()) throw std::runtime_error("There is no managed system " + name + ".");
    return found->second->control;
  }
  std::string address(const std::string& name) override {
    connect(name);
    return name;
  }
  std::map<std::string, std::unique_ptr<Machine>> machines;
};

class ConsoleTest : public testing::Test {
 protected:
  ConsoleTest() {
    directory_ = fs::temp_directory_path() / ("baton-console-" + std::to_string(::getpid()));
    fs::create_directories(directory_);
    const fs::path disk = directory_ / "lun0";
    std::ofstream(disk).put(0);
    fs::resize_file(disk, 1 << 20);
    systems_.machines["A"] = std::make_unique<Machine>("A", "10BA70A", disk, systems_);
    systems_.machines["B"] = std::make_unique<Machine>("B", "10BA70B", disk, systems_);
    hypervisor::Profile profile;
    profile.name = "lpar1";
    profile.id = 2;
    profile.memory = 64 << 20;
    profile.scsi = {{.slot = 2, .server_slot = 0}};
    profile.disks = {{.slot = 2, .vtd = "", .backing = "hdiskA", .target = 0}};
    hypervisor::VirtualEthernetSlot ethernet;
    ethernet.vlans = {10, 20};
    profile.ethernet = {ethernet};
    systems_.machines["A"]->system.create(profile);
  }
  ~ConsoleTest() override {
    systems_.machines.clear();
    fs::remove_all(directory_);
  }

  int run(const std::string& line) {
    out_.str("");
    error_.str("");
    return console_.execute(line);
  }
  std::string out() const { return out_.str(); }
  std::string error() const { return error_.str(); }

  fs::path directory_;
  InProcess systems_;
  std::ostringstream out_, error_;
  Console console_{systems_, out_, error_};
};

TEST_F(ConsoleTest, ListsInTheGrammarOfTheHmc) {
  EXPECT_EQ(run("lssyscfg -r sys -F name:serial_num --header"), 0);
  EXPECT_EQ(out(), "name:serial_num\nA:10BA70A\nB:10BA70B\n");
  EXPECT_EQ(run("lssyscfg -r lpar -m A -F name,lpar_id,lpar_env,state,rmc_state"), 0);
  EXPECT_EQ(out(), "vios1,1,vioserver,Running,active\nlpar1,2,aixlinux,Not Activated,none\n");
  EXPECT_EQ(run("lssyscfg -r lpar -m A --filter lpar_ids=2 -F name"), 0);
  EXPECT_EQ(out(), "lpar1\n");
  EXPECT_EQ(run("lssyscfg -r lpar -m A --filter \"\\\"lpar_names=lpar1,vios1\\\"\" -F lpar_id"), 0);
  EXPECT_EQ(out(), "1\n2\n");
  EXPECT_EQ(run("lssyscfg -r prof -m A --filter lpar_names=lpar1"), 0);
  EXPECT_NE(out().find("virtual_scsi_adapters=2/client/1/vios1/any/1"), std::string::npos) << out();
  EXPECT_EQ(run("lssyscfg -r prof -m A --filter lpar_names=vios1 -F virtual_scsi_adapters"), 0);
  EXPECT_EQ(out(), "11/server/2/lpar1/2/1\n");
  EXPECT_EQ(run("lssyscfg -r prof -m A --filter lpar_names=lpar1"), 0);
  EXPECT_NE(out().find(R"("virtual_eth_adapters=""3/1/1/10,20/0/1""")"), std::string::npos) << out();
  EXPECT_EQ(run("lshwres -r virtualio --rsubtype scsi --level lpar -m A"), 0) << error();
  EXPECT_EQ(
      out(),
      "lpar_name=vios1,lpar_id=1,slot_num=11,state=1,is_required=1,adapter_type=server,remote_lpar_id=2,"
      "remote_lpar_name=lpar1,remote_slot_num=2,backing_devices=0x8000000000000000/disk/hdiskA\n"
      "lpar_name=lpar1,lpar_id=2,slot_num=2,state=0,is_required=1,adapter_type=client,remote_lpar_id=1,"
      "remote_lpar_name=vios1,remote_slot_num=11,backing_devices=0x8000000000000000/disk/hdiskA\n");
  EXPECT_EQ(run("lsrefcode -r lpar -m A -F lpar_name,refcode"), 0);
  EXPECT_EQ(run("lslparmigr -r lpar -m A -F name,migration_state"), 0);
  EXPECT_EQ(out(), "lpar1,Not Migrating\n");
  EXPECT_EQ(
      run("lslparmigr -r sys -m A -F num_active_migrations_supported,num_active_migrations_in_progress"), 0);
  EXPECT_EQ(out(), "4,0\n");
  EXPECT_EQ(run("viosvrcmd -m A -p vios1 -c \"lsmap -all\""), 0);
  EXPECT_NE(out().find("vhost0"), std::string::npos);
}

TEST_F(ConsoleTest, AServerIsShutDownAndStarted) {
  const auto state = [&] {
    EXPECT_EQ(run("lssyscfg -r lpar -m A --filter lpar_names=vios1 -F state,rmc_state"), 0);
    return out();
  };
  EXPECT_EQ(run("chsysstate -r lpar -m A -o shutdown -n vios1"), 0) << error();
  EXPECT_EQ(state(), "Not Activated,none\n");
  EXPECT_EQ(run("lshwres -r virtualio --rsubtype scsi -m A --filter lpar_names=vios1 -F slot_num,state"), 0);
  EXPECT_EQ(out(), "11,0\n");
  for (const char* command :
       {"chsysstate -r lpar -m A -o shutdown --immed -n vios1", "viosvrcmd -m A -p vios1 -c \"lsmap -all\"",
        "chsysstate -r lpar -m A -o shutdown --restart --id 1"}) {
    EXPECT_NE(run(command), 0) << command;
    EXPECT_NE(error().find("vios1 is not running; start it"), std::string::npos) << error();
  }
  EXPECT_EQ(run("lslparmigr -r msp -m A -t B -F source_msp_name,dest_msp_names"), 0);
  EXPECT_EQ(out(), ",vios1\n");
  EXPECT_EQ(run("lslparmigr -r msp -m B -t A -F source_msp_name,dest_msp_names"), 0);
  EXPECT_EQ(out(), "vios1,\n");
  // A destination whose server is down hosts nothing.
  EXPECT_EQ(run("migrlpar -o v -m A -t B -p lpar1"), 0) << error();
  EXPECT_EQ(run("chsysstate -r lpar -m B -o shutdown --immed -n vios1"), 0) << error();
  EXPECT_NE(run("migrlpar -o v -m A -t B -p lpar1"), 0);
  EXPECT_NE(error().find("HSCLA24E"), std::string::npos) << error();
  EXPECT_EQ(run("lslparmigr -r virtualio -m A -t B --filter lpar_names=lpar1"), 0);
  EXPECT_EQ(out(), "possible_virtual_scsi_mappings=none,suggested_virtual_scsi_mappings=none\n");
  EXPECT_EQ(run("chsysstate -r lpar -m A -o on -n vios1"), 0) << error();
  EXPECT_EQ(state(), "Running,active\n");
  EXPECT_EQ(run("chsysstate -r lpar -m A -o reboot --immed -n vios1"), 0) << error();
  EXPECT_EQ(state(), "Running,active\n");
}

TEST_F(ConsoleTest, WrongCommandsCostOneSentence) {
  const std::pair<const char*, const char*> wrong[] = {
      {"lssysconf -r lpar", "\"lssysconf\""},
      {"lssyscfg", "-r"},
      {"lssyscfg -r cage", "\"cage\""},
      {"lssyscfg -r lpar -m A -F name,colour", "\"colour\""},
      {"lssyscfg -r lpar -m A -x", "-x"},
      {"lssyscfg -r lpar -m C", "C"},
      {"lssyscfg -r lpar -m A --filter colour=red", "\"colour\""},
      {"chsysstate -r lpar -m A -o fly -n lpar1", "\"fly\""},
      {"chsysstate -r lpar -m A -o on -n lpar9", "lpar9"},
      {"chsysstate -r lpar -m A -o on", "--id"},
      {"chsysstate -r lpar -m A -o shutdown --immed -n lpar1", "not activated"},
      {"chsysstate -r lpar -m A -o on -n vios1", "vios1"},
      {"migrlpar -o v -m A -p lpar1", "-t"},
      {"migrlpar -o m -m A -t A -p lpar1", "destination is the source"},
      {"migrlpar -o x -m A -t B -p lpar1", "\"x\""},
      {"migrlpar -o s -m A -p lpar1", "nothing to stop"},
      {"migrlpar -o r -m A -p lpar1", "no move"},
      {"rmvterm -m A -p lpar1", "Nobody"},
      {"viosvrcmd -m A -p vios2 -c ls", "vios2"},
      {"help fly", "\"fly\""},
      {"migrlpar -o m -m A -t B -p lpar1 -i source_msp_name=vios7", "BATM032"},
      {"migrlpar -o m -m A -t B -p lpar1 -i dest_msp_id=0", "from 1 to 254"},
      {"migrlpar -o m -m A -t B -p lpar1 -i dest_msp_name=", "must name a Virtual I/O Server"},
      {"migrlpar -o m -m A -t B -p lpar1 -i source_msp_name=vios1,source_msp_id=2", "vios1 (number 2)"},
      {"migrlpar -o m -m A -t B -p lpar1 -i virtual_scsi_mappings=2", "SLOT/VIOS NAME/VIOS ID"},
      {"migrlpar -o m -m A -t B -p lpar1 -i virtual_scsi_mappings=2//", "SLOT/VIOS NAME/VIOS ID"},
      {"migrlpar -o m -m A -t B -p lpar1 -i virtual_scsi_mappings=x/vios1/", "SLOT/VIOS NAME/VIOS ID"},
      {"migrlpar -o m -m A -t B -p lpar1 -i virtual_scsi_mappings=2/vios4/", "no such Virtual I/O Server"},
      {"migrlpar -o m -m A -t B -p lpar1 -i virtual_scsi_mappings=9/vios1/",
       "no virtual SCSI client adapter"},
      {"migrlpar -o m -m A -t B -p lpar1 -i \"\\\"virtual_scsi_mappings=2/vios1/,2/vios1/\\\"\"", "twice"},
      {"migrlpar -o m -m A -t B -p lpar1 --redundantvios 3", "--redundantvios"},
      {"migrlpar -o s -m A -p lpar1 --redundantvios 2", "--redundantvios"},
      {"chsysstate -r lpar -m A -o on -n vios1", "already on"},
      {"lshwres -r mem --rsubtype scsi -m A", "\"mem\""},
      {"lshwres -r virtualio --rsubtype eth -m A", "\"eth\""},
      {"lshwres -r virtualio --rsubtype scsi --level sys -m A", "\"sys\""},
  };
  for (const auto& [line, about] : wrong) {
    EXPECT_NE(run(line), 0) << line;
    const std::string said = error();
    EXPECT_NE(error().find(about), std::string::npos) << line << " -> " << error();
    EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << line << " -> " << error();
  }
}

TEST_F(ConsoleTest, APartitionThatIsOffMovesThereAndBack) {
  EXPECT_EQ(run("migrlpar -o v -m A -t B -p lpar1"), 0) << error();
  EXPECT_EQ(run("migrlpar -o m -m A -t B -p lpar1"), 0) << error();
  EXPECT_EQ(run("lssyscfg -r lpar -m A -F name"), 0);
  EXPECT_EQ(out(), "vios1\n");
  EXPECT_EQ(run("lssyscfg -r lpar -m B --filter lpar_names=lpar1 -F name,lpar_id,state"), 0);
  EXPECT_EQ(out(), "lpar1,2,Not Activated\n");
  EXPECT_EQ(systems_.machines["B"]->system.find("lpar1")->profile().disks.at(0).backing, "hdiskB");
  EXPECT_EQ(run("migrlpar -o m -m B -t A --id 2"), 0) << error();
  EXPECT_EQ(run("lssyscfg -r lpar -m A --filter lpar_names=lpar1 -F name,lpar_id,state"), 0);
  EXPECT_EQ(out(), "lpar1,2,Not Activated\n");
}

TEST_F(ConsoleTest, ValidationNamesEveryObstacle) {
  hypervisor::Profile other;
  other.name = "lpar1";
  other.id = 5;
  other.memory = 2016ull << 20;
  other.scsi = {{.slot = 2, .server_slot = 0}};
  other.disks = {{.slot = 2, .vtd = "", .backing = "hdiskB", .target = 0}};
  systems_.machines["B"]->system.create(other);
  EXPECT_EQ(run("migrlpar -o v -m A -t B -p lpar1"), 1);
  EXPECT_NE(error().find("has a partition named lpar1"), std::string::npos) << error();
  EXPECT_NE(error().find("64 MB of memory"), std::string::npos) << error();
  EXPECT_NE(error().find("mapped to partition number 5"), std::string::npos) << error();
  EXPECT_EQ(run("migrlpar -o m -m A -t B -p lpar1"), 1);
  EXPECT_EQ(run("lslparmigr -r lpar -m A -F migration_state"), 0);
  EXPECT_EQ(out(), "Migration Failed\n");
  EXPECT_EQ(run("migrlpar -o r -m A -p lpar1"), 0) << error();
  EXPECT_EQ(run("lslparmigr -r lpar -m A -F migration_state"), 0);
  EXPECT_EQ(out(), "Not Migrating\n");
}

TEST_F(ConsoleTest, OneUserHasTheTerminal) {
  const auto control = systems_.connect("A");
  std::atomic<bool> closed{false}, history{false};
  const auto first = control->open_terminal("lpar1", false, [&](const control::TerminalOutput& output) {
    if (output.history()) history = true;
    if (output.closed()) closed = true;
  });
  EXPECT_THROW(control->open_terminal("lpar1", false, [](const auto&) {}), std::runtime_error);
  const auto second = control->open_terminal("lpar1", true, [](const auto&) {});
  EXPECT_TRUE(history);
  EXPECT_TRUE(closed);
  EXPECT_EQ(run("rmvterm -m A -p lpar1"), 0) << error();
}

}  // namespace
}  // namespace baton::hmc
