// SPDX-License-Identifier: Apache-2.0
// Moves of a partition without a guest between two systems in this process, with faults at each step of the
// stream.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <optional>
#include <stdexcept>
#include <thread>

#include "devices/authority.h"
#include "migration/description.h"
#include "migration/ownership.h"
#include "migration/socket.h"
#include "tests/migration/support.h"

namespace baton::migration {
namespace {

/// Sits between the movers and cuts the connection before or after a frame of one type.
class Proxy {
 public:
  enum class Cut { kNever, kBefore, kAfter };
  Proxy(std::string target, FrameType type, Cut cut) : target_(std::move(target)), type_(type), cut_(cut) {
    thread_ = std::thread([this] { run(); });
  }
  ~Proxy() {
    listener_.shut_down();
    thread_.join();
  }
  const std::string& address() const { return listener_.address(); }

 private:
  void run() {
    const auto client = listener_.accept();
    if (!client) return;
    const auto server = connect_to(target_, std::chrono::seconds(5));
    try {
      write_preamble(*server, read_preamble(*client));
    } catch (const StreamError&) {
      return;
    }
    std::thread back([&] { pump(*server, *client); });
    pump(*client, *server);
    back.join();
  }
  void pump(Socket& from, Socket& to) {
    try {
      FrameReader reader(from);
      FrameWriter writer(to);
      while (true) {
        const Frame frame = reader.read();
        if (frame.type == type_ && cut_ == Cut::kBefore) break;
        writer.send(frame.type, frame.payload);
        if (frame.type == type_ && cut_ == Cut::kAfter) break;
      }
    } catch (const StreamError&) {
    }
    from.shut_down();
    to.shut_down();
  }
  const std::string target_;
  const FrameType type_;
  const Cut cut_;
  ListeningSocket listener_{"127.0.0.1"};
  std::thread thread_;
};

/// The destination by direct calls, with faults to order.
class Direct final : public RemoteSystem {
 public:
  explicit Direct(Machine& machine) : machine_(machine) {}
  std::string name() override {
    reach();
    return machine_.system.identity().name;
  }
  std::vector<Finding> validate(const std::string& description) override {
    reach();
    return machine_.mover.validate_incoming(description);
  }
  Shell create_shell(const std::string& description, u64 stream_id) override {
    reach();
    Shell shell = machine_.mover.create_shell(description, stream_id);
    if (wrong_key) shell.key = std::string(64, '0');
    if (cut != Proxy::Cut::kNever) {
      proxy = std::make_unique<Proxy>(shell.mover_address, cut_at, cut);
      shell.mover_address = proxy->address();
    }
    return shell;
  }
  void abandon_shell(u64 stream_id) override {
    reach();
    machine_.mover.abandon_shell(stream_id);
  }
  Outcome settle(u64 stream_id) override {
    if (!settle_reachable) throw std::runtime_error("cannot be reached");
    return machine_.mover.settle(stream_id);
  }

  bool reachable = true, settle_reachable = true, wrong_key = false;
  FrameType cut_at{};
  Proxy::Cut cut = Proxy::Cut::kNever;
  std::unique_ptr<Proxy> proxy;

 private:
  void reach() const {
    if (!reachable) throw std::runtime_error("cannot be reached");
  }
  Machine& machine_;
};

class MoverTest : public testing::Test {
 protected:
  MoverTest() { partition_ = a_.system.create(small_profile("hdisk0")); }

  /// The invariant: the partition is defined on exactly one side.
  void expect_only_on(const Machine& owner, const Machine& other) {
    EXPECT_TRUE(owner.system.find("lpar1"));
    EXPECT_FALSE(other.system.find("lpar1"));
    EXPECT_EQ(other.system.partitions().size(), 0u);
  }
  std::string fail_to_move() {
    try {
      a_.mover.migrate(partition_, remote_);
    } catch (const std::runtime_error& problem) {
      return problem.what();
    }
    ADD_FAILURE() << "it moved";
    return "";
  }

  Directory directory_;
  Machine a_{"A", "10BA70A", {{"hdisk0", directory_.disk("lun0")}}, directory_.path() / "A.moves"};
  Machine b_{"B",
             "10BA70B",
             {{"hdisk0", directory_.disk("other")}, {"hdisk9", directory_.disk("lun0")}},
             directory_.path() / "B.moves"};
  Direct remote_{b_};
  std::shared_ptr<hypervisor::Partition> partition_;
};

TEST_F(MoverTest, ProfileDiskAndNvramMove) {
  partition_->nvram()[100] = 0x77;
  const auto* lan = dynamic_cast<hypervisor::LogicalLan*>(partition_->adapter(0x30000003));
  ASSERT_NE(lan, nullptr);
  const auto mac = lan->mac();
  EXPECT_TRUE(a_.mover.validate(*partition_, remote_).empty());
  a_.mover.migrate(partition_, remote_);
  expect_only_on(b_, a_);
  const auto moved = b_.system.find("lpar1");
  EXPECT_EQ(moved->profile().disks.at(0).backing, "hdisk9") << "the same LUN, whatever its name";
  EXPECT_EQ(moved->nvram()[100], 0x77);
  EXPECT_EQ(dynamic_cast<hypervisor::LogicalLan*>(moved->adapter(0x30000003))->mac(), mac)
      << "an address stays";
  EXPECT_EQ(moved->state(), hypervisor::PartitionState::kNotActivated);
  const Progress p = a_.mover.progress_of("lpar1");
  EXPECT_TRUE(p.finished && p.ok);
  EXPECT_EQ(p.states, (std::vector<std::string>{"Enabled", "Completed"}));
  EXPECT_EQ(p.migration_state, "Migration Complete");
}

TEST_F(MoverTest, ANumberInUseIsChanged) {
  hypervisor::Profile other = small_profile();
  other.name = "other";
  other.ethernet.clear();
  b_.system.create(other);
  a_.mover.migrate(partition_, remote_);
  ASSERT_TRUE(b_.system.find("lpar1"));
  EXPECT_NE(b_.system.find("lpar1")->id(), 2u);
}

TEST_F(MoverTest, ValidationFindsWhatStandsInTheWay) {
  Machine bare("C", "10BA70C", {});
  Direct remote(bare);
  const std::vector<Finding> findings = a_.mover.validate(*partition_, remote);
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].code, "HSCLA24E");
  EXPECT_NE(findings[0].text.find("hdisk0"), std::string::npos);
  EXPECT_THROW(a_.mover.migrate(partition_, remote), Refused);
  expect_only_on(a_, bare);
  remote_.reachable = false;
  EXPECT_EQ(a_.mover.validate(*partition_, remote_).at(0).code, "HSCLA318");
}

TEST_F(MoverTest, AWrongKeyOpensNothing) {
  remote_.wrong_key = true;
  EXPECT_NE(fail_to_move(), "");
  expect_only_on(a_, b_);
}

struct Fault {
  FrameType type;
  Proxy::Cut cut;
  /// Where the partition is in the end; nothing: either, depending on whether the commit or the question
  /// comes first.
  std::optional<bool> moves;
};

class FaultTest : public MoverTest, public testing::WithParamInterface<Fault> {};

TEST_P(FaultTest, OneOwnerWhateverBreaks) {
  remote_.cut_at = GetParam().type;
  remote_.cut = GetParam().cut;
  if (!GetParam().moves) {
    try {
      a_.mover.migrate(partition_, remote_);
      expect_only_on(b_, a_);
    } catch (const std::runtime_error&) {
      expect_only_on(a_, b_);
    }
  } else if (*GetParam().moves) {
    a_.mover.migrate(partition_, remote_);
    expect_only_on(b_, a_);
  } else {
    EXPECT_NE(fail_to_move().find("rolled back"), std::string::npos);
    expect_only_on(a_, b_);
    // Nothing is left that would hinder another attempt.
    remote_.cut = Proxy::Cut::kNever;
    a_.mover.migrate(partition_, remote_);
    expect_only_on(b_, a_);
  }
}

INSTANTIATE_TEST_SUITE_P(Mover, FaultTest,
                         testing::Values(Fault{FrameType::kState, Proxy::Cut::kBefore, false},
                                         Fault{FrameType::kState, Proxy::Cut::kAfter, false},
                                         Fault{FrameType::kPrepare, Proxy::Cut::kBefore, false},
                                         Fault{FrameType::kReady, Proxy::Cut::kBefore, false},
                                         Fault{FrameType::kCommit, Proxy::Cut::kBefore, false},
                                         Fault{FrameType::kCommit, Proxy::Cut::kAfter, std::nullopt},
                                         Fault{FrameType::kResumed, Proxy::Cut::kBefore, true},
                                         Fault{FrameType::kResumed, Proxy::Cut::kAfter, true},
                                         Fault{FrameType::kCompleted, Proxy::Cut::kBefore, true}));

TEST_F(MoverTest, AMoveInDoubtWaitsForItsDestination) {
  remote_.cut_at = FrameType::kResumed;
  remote_.cut = Proxy::Cut::kBefore;
  remote_.settle_reachable = false;
  EXPECT_NE(fail_to_move().find("not known"), std::string::npos);
  EXPECT_EQ(a_.mover.progress_of("lpar1").migration_state, "Migration Recovery Required");
  EXPECT_TRUE(a_.system.find("lpar1"));
  EXPECT_THROW(a_.mover.migrate(partition_, remote_), Refused) << "it may run there";
  EXPECT_THROW(a_.mover.recover("lpar1"), std::runtime_error) << "nobody to ask";
  remote_.settle_reachable = true;
  EXPECT_NE(a_.mover.recover("lpar1", &remote_).find("removed here"), std::string::npos);
  expect_only_on(b_, a_);
}

TEST_F(MoverTest, AnArrivalIsRememberedAcrossARestart) {
  a_.mover.migrate(partition_, remote_);
  const u64 stream = a_.mover.progress_of("lpar1").stream_id;
  Machine again("B", "10BA70B", {}, directory_.path() / "B.moves");
  EXPECT_EQ(again.mover.settle(stream), RemoteSystem::Outcome::kOwned);
  EXPECT_EQ(again.mover.settle(stream + 1), RemoteSystem::Outcome::kNotOwned);
}

TEST_F(MoverTest, ASystemStartedAnewDefinesWhatIsItsOwn) {
  a_.mover.migrate(partition_, remote_);
  const hypervisor::Profile configured = small_profile("hdisk0");
  {
    Machine again("A", "10BA70A", {}, directory_.path() / "A.moves");
    EXPECT_TRUE(again.mover.define({configured}).empty()) << "it left";
    EXPECT_THROW(again.mover.recover("lpar2"), std::runtime_error);
  }
  Machine again("B", "10BA70B", {}, directory_.path() / "B.moves");
  const auto here = again.mover.define({});
  ASSERT_EQ(here.size(), 1u) << "it came";
  EXPECT_EQ(here[0].name, "lpar1");
  EXPECT_EQ(here[0].disks.at(0).backing, "hdisk9");
}

TEST_F(MoverTest, AMoveInDoubtAfterARestartIsSettled) {
  for (const bool moved : {false, true}) {
    const std::string path = directory_.path() / (moved ? "C.moves" : "D.moves");
    u64 stream = 42;
    if (moved) {
      a_.mover.migrate(partition_, remote_);
      stream = a_.mover.progress_of("lpar1").stream_id;
    }
    Ownership(path).leaving(stream, small_profile(), "B");  // And then it died.
    Machine again("A", "10BA70A", {}, path);
    EXPECT_TRUE(again.mover.define({small_profile()}).empty());
    EXPECT_THROW(again.mover.recover("lpar1"), std::runtime_error) << "nobody to ask";
    EXPECT_NE(again.mover.recover("lpar1", &remote_), "");
    EXPECT_EQ(again.system.find("lpar1") != nullptr, !moved);
    EXPECT_EQ(again.mover.define({small_profile()}).empty(), moved);
  }
}

TEST_F(MoverTest, MoversOfOneAuthorityMoveOverTls) {
  const std::string state = devices::state_directory(directory_.path() / "state");
  const auto who = [&](const std::string& name) {
    return std::make_shared<devices::TlsIdentity>(devices::local_identity(state, name));
  };
  Machine source("S", "10BA70S", {{"hdisk0", directory_.disk("lun0")}}, {}, who("S")),
      target("T", "10BA70T", {{"hdisk0", directory_.disk("lun0")}}, {}, who("T"));
  Direct remote(target);
  const auto partition = source.system.create(small_profile("hdisk0"));
  source.mover.migrate(partition, remote);
  expect_only_on(target, source);

  // Neither side speaks to one without a certificate, or of another authority.
  Direct back(a_);
  EXPECT_THROW(target.mover.migrate(target.system.find("lpar1"), back), std::runtime_error);
  EXPECT_TRUE(target.system.find("lpar1"));
  partition_ = nullptr;
  a_.system.remove(2);
  const std::string foreign = devices::state_directory(directory_.path() / "foreign");
  Machine stranger("X", "10BA70X", {{"hdisk0", directory_.disk("lun0")}}, {},
                   std::make_shared<devices::TlsIdentity>(devices::local_identity(foreign, "X")));
  Direct strange(stranger);
  EXPECT_THROW(target.mover.migrate(target.system.find("lpar1"), strange), std::runtime_error);
  EXPECT_TRUE(target.system.find("lpar1"));
  EXPECT_TRUE(stranger.system.partitions().empty());
  EXPECT_THROW(connect_to(target.mover.address(), std::chrono::seconds(5), who("S"), "not T"), StreamError);
}

TEST_F(MoverTest, GarbageAtTheMoverHarmsNothing) {
  const RemoteSystem::Shell shell = [&] {
    Description d;
    d.stream_version = kStreamVersion;
    d.profile = small_profile();
    return b_.mover.create_shell(encode(d), 42);
  }();
  for (int i = 0; i < 3; ++i) {
    const auto socket = connect_to(shell.mover_address, std::chrono::seconds(5));
    const std::vector<u8> noise(200, static_cast<u8>(i));
    const std::span<const u8> parts[] = {noise};
    socket->write(parts);
  }
  EXPECT_TRUE(b_.system.find("lpar1"));
  b_.mover.abandon_shell(42);
  EXPECT_FALSE(b_.system.find("lpar1"));
  a_.mover.migrate(partition_, remote_);
  expect_only_on(b_, a_);
}

}  // namespace
}  // namespace baton::migration
