// SPDX-License-Identifier: Apache-2.0
#include "app/demo/demo.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <thread>

#include "app/demo/child.h"
#include "app/demo/console_log.h"
#include "app/demo/formats.h"
#include "app/demo/lan.h"
#include "app/demo/record_client.h"
#include "app/demo/report.h"
#include "app/demo/screen.h"
#include "app/demo/status_client.h"
#include "hmc/systems.h"

namespace baton::demo {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr const char* kPartition = "lpar1";
constexpr u16 kEchoPort = 7001, kStatusPort = 7002;
// Limits, not expectations: a machine under load is slow, but what takes longer has failed.
constexpr auto kStartLimit = 60s, kBootLimit = 300s, kServiceLimit = 120s, kMoveLimit = 300s,
               kAnswerLimit = 120s, kShutdownLimit = 120s;
constexpr auto kFrame = 50ms;     ///< Between two looks at a move.
constexpr auto kPlainEvery = 1s;  ///< Between two plain lines of a move.

/// A path as TOML text.
std::string toml_text(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

/// A private folder with a short name: unix sockets allow 107 characters.
class SocketFolder {
 public:
  SocketFolder() {
    char name[] = "/tmp/baton-demo-XXXXXX";
    if (!mkdtemp(name))
      throw std::runtime_error("A folder for sockets cannot be made in /tmp; make room there.");
    path_ = name;
  }
  ~SocketFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// Ends everything when the user or the system ends the program.
void watch_signals(std::string sockets) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, signal);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::thread([set, sockets = std::move(sockets)] {
    int signal = 0;
    sigwait(&set, &signal);
    Child::kill_all();
    std::error_code ignored;
    fs::remove_all(sockets, ignored);
    std::cerr << "\nThe demonstration was stopped; its systems have been ended." << std::endl;
    _exit(128 + signal);
  }).detach();
}

struct System {
  std::string name, serial;
  std::string address = {}, config = {};
  std::unique_ptr<Child> process = {};
  std::shared_ptr<hmc::Control> control = {};
};

class Demonstration {
 public:
  Demonstration(DemoOptions options, const std::string& sockets)
      : options_(std::move(options)), sockets_(sockets), screen_(options_.plain) {
    systems_[0] = {.name = "POWER6-A", .serial = "10BA70A"};
    systems_[1] = {.name = "POWER6-B", .serial = "10BA70B"};
  }

  int run() {
    attempt([this] {
      prepare();
      start_lan();
      start_systems();
      boot();
      work(options_.pause);
      for (u32 i = 0; i < options_.moves; ++i) move(i);
    });
    if (console_) {
      if (status_ && status_->broken().empty()) attempt([this] { finish_guest(); });
      attempt([this] { check_host_side(); });
    }
    screen_.line("\n" + to_table(report_) + "\nReport: " + work_path("report.json"));
    std::ofstream(work_path("report.json")) << to_json(report_);
    return report_.ok() ? 0 : 1;
  }

 private:
  template <class Work>
  void attempt(Work what) {
    try {
      what();
    } catch (const std::exception& problem) {
      screen_.settle();
      report_.problems.emplace_back(problem.what());
    }
  }

  std::string work_path(const std::string& name) const { return options_.work + "/" + name; }
  void problem(const std::string& sentence) { report_.problems.push_back(sentence); }
  System& here() { return systems_[at_]; }

  /// Throws if a system has died.
  void check_alive() {
    for (System& system : systems_) {
      if (system.process && !system.process->running()) throw std::runtime_error(system.process->obituary());
    }
  }

  /// Waits, looking after the systems. Throws with `otherwise` when the limit comes first.
  template <class Done>
  void wait_for(Done done, Clock::duration limit, const std::string& otherwise) {
    for (const auto until = Clock::now() + limit; !done(); std::this_thread::sleep_for(20ms)) {
      check_alive();
      if (Clock::now() >= until) throw std::runtime_error(otherwise);
    }
  }

  // ---- before
  // --------------------------------------------------------------------------------------------------

  void prepare() {
    for (const char* name : {"vmlinux", "initramfs.cpio.gz", "rootfs.ext4"}) {
      if (!fs::is_regular_file(options_.guest + "/" + name)) {
        throw std::runtime_error("The guest's file " + options_.guest + "/" + name +
                                 " is missing; build it with \"./run guest\".");
      }
    }
    fs::create_directories(work_path("san"));
    // The blocks that hold nothing stay holes.
    run_tool({"cp", "--sparse=always", options_.guest + "/rootfs.ext4", work_path("san/lun0.img")}, "cp.log");
    screen_.line("SAN   one LUN, " + work_path("san/lun0.img") + ", seen by both systems");
  }

  /// Runs a program to its end; its exit code must be 0.
  void run_tool(const std::vector<std::string>& words, const std::string& log) {
    std::string command;
    for (const std::string& word : words) {
      command += "'";
      for (const char c : word) command += c == '\'' ? std::string("'\\''") : std::string(1, c);
      command += "' ";
    }
    const int rc = std::system((command + "</dev/null >'" + work_path(log) + "' 2>&1").c_str());
    if (rc != 0) {
      throw std::runtime_error(words[0] + " failed: " + last_line(work_path(log)) + " (all of it is in " +
                               work_path(log) + ").");
    }
  }

  void start_lan() {
    ports_ = {Forward{free_port(), kEchoPort}, Forward{free_port(), kStatusPort}};
    lan_ = std::make_unique<Lan>(sockets_ + "/lan", work_path("lan.log"), ports_);
    screen_.line(fmt::format("LAN   a switch, and outside it 127.0.0.1:{} and :{} lead to the partition ({})",
                             ports_[0].here, ports_[1].here, kPartitionAddress));
  }

  void write_config(System& system, bool with_partition) {
    system.config = work_path(system.name + ".toml");
    std::ofstream file(system.config);
    file << "# Written by the demonstration.\n[system]\nname = \"" << system.name << "\"\nserial = \""
         << system.serial << "\"\nmemory = \"4 GB\"\nprocessors = 8\n\n[vios]\nname = \"vios1\"\nuplink = "
         << toml_text(lan_->locator()) << "\n\n[[vios.disk]]\nname = \"hdisk0\"\nuri = "
         << toml_text("file:" + fs::absolute(work_path("san/lun0.img")).lexically_normal().string()) << "\n";
    if (with_partition) {
      const auto guest_file = [this](const char* name) {
        return toml_text(fs::absolute(options_.guest + "/" + name).lexically_normal());
      };
      file
          << "\n[[partition]]\nname = \"" << kPartition << "\"\nid = 2\nmemory = " << options_.memory_mb
          << "\nprocessors = " << options_.processors << "\nkernel = " << guest_file("vmlinux")
          << "\ninitrd = " << guest_file("initramfs.cpio.gz")
          << "\nbootargs = \"console=hvc0 root=/dev/sda rw "
          << "baton.host=" << kPartition << " baton.ip=" << kPartitionAddress
          << "/24 baton.gw=" << kGatewayAddress
          << " baton.work\"\n\n[[partition.disk]]\nbacking = \"hdisk0\"\nslot = 2\n\n[[partition.ethernet]]\n"
          << "slot = 3\n";
    }
    if (!file.flush())
      throw std::runtime_error("The file " + system.config + " cannot be written; make room there.");
  }

  void start_systems() {
    std::error_code error;
    const std::string program = fs::read_symlink("/proc/self/exe", error);
    const std::string run_dir = options_.run_dir.empty() ? sockets_ : options_.run_dir;
    ::setenv("BATON_STATE_DIR", (run_dir + "/state").c_str(),
             0);  // The systems' certificates go with the rest.
    for (System& system : systems_) {
      write_config(system, &system == &systems_[0]);
      system.process = std::make_unique<Child>(
          "The managed system " + system.name,
          std::vector<std::string>{program, "--run-dir", run_dir, "system", system.config},
          work_path(system.name + ".log"));
      system.address = "unix:" + hmc::socket_path(run_dir, system.name);
      system.control = hmc::connect_control(system.address);
    }
    for (System& system : systems_) {
      wait_for([&] { return hmc::socket_answers(system.address.substr(5)); }, kStartLimit,
               "The managed system " + system.name + " does not open its control socket; see " +
                   work_path(system.name + ".log") + ".");
      screen_.line("      " + system.name + " is operating (log: " + work_path(system.name + ".log") + ")");
    }
    screen_.line("      look in with: " + program + " --run-dir " + run_dir + " hmc\n");
  }

  // ---- boot
  // ----------------------------------------------------------------------------------------------------

  std::string attribute(System& system, const std::string& name) {
    control::ListRequest request;
    request.set_resource("lpar");
    (*request.mutable_filter())["lpar_names"] = kPartition;
    const auto records = system.control->list(request);
    for (const auto& record : records.records()) {
      for (const auto& a : record.attributes()) {
        if (a.name() == name) return a.value();
      }
    }
    return {};
  }

  void change_state(const std::string& operation) {
    control::StateRequest request;
    request.set_lpar(kPartition);
    request.set_operation(operation);
    const control::Outcome outcome = here().control->change_state(request);
    if (outcome.rc() != 0) throw std::runtime_error(outcome.text());
  }

  void boot() {
    screen_.line(fmt::format("Boot  {} on {}: {} processors, {} MB", kPartition, here().name,
                             options_.processors, options_.memory_mb));
    const auto start = Clock::now();
    const auto seconds = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
    console_ = std::make_unique<ConsoleLog>(kPartition, work_path("console.log"));
    change_state("on");
    console_->open(*here().control);
    double shown = 0;
    wait_for(
        [&] {
          if (const double now = seconds(); now - shown >= (screen_.draws() ? 0.1 : 2.0)) {
            shown = now;
            const std::string last = console_->last_line();
            if (screen_.draws())
              screen_.block({fmt::format("  {:5.1f} s  {}", now, last.substr(0, 66))});
            else
              screen_.line(fmt::format("  {:5.1f} s  {}", now, last));
            if (attribute(here(), "state") == "Error") {
              throw std::runtime_error("The partition stopped with reference code " +
                                       attribute(here(), "refcode") + "; its console is in " +
                                       work_path("console.log") + ".");
            }
          }
          return console_->take("baton: guest is up");
        },
        kBootLimit, "The partition did not come up; its console is in " + work_path("console.log") + ".");
    report_.boot_seconds = seconds();
    report_.boot_instructions = std::strtoull(attribute(here(), "instructions").c_str(), nullptr, 10);
    screen_.block({});
    screen_.line(fmt::format("      up after {:.1f} s", report_.boot_seconds));
    records_ = std::make_unique<RecordClient>(ports_[0].here, Clock::now() + kServiceLimit);
    status_ = std::make_unique<StatusClient>(ports_[1].here, Clock::now() + kServiceLimit);
    screen_.line(
        "Work  disk records with fsync, TCP records from outside, a compute job, a 1 ms clock-gap meter\n");
  }

  // ---- moves
  // ---------------------------------------------------------------------------------------------------

  Json ask(const std::string& command, const std::string& key,
           const std::function<void(const Json&)>& wanted = {}) {
    return status_->ask(command, key, Clock::now() + kAnswerLimit, wanted);
  }

  /// Lets the partition work, watching its pulse.
  void work(double seconds) {
    for (const auto until = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                               std::chrono::duration<double>(seconds));
         Clock::now() < until; std::this_thread::sleep_for(kFrame)) {
      check_alive();
      pulse_.sample(Clock::now(), status_->latest().pulse);
    }
  }

  /// The latest move of the partition as this system knows it.
  static control::MigrationProgress progress_of(System& system, const std::string& role) {
    const auto moves = system.control->progress(kPartition);
    for (const auto& move : moves.moves()) {
      if (move.role() == role) return move;
    }
    return {};
  }

  MoveView view_of(u32 number, const control::MigrationProgress& progress, double seconds) {
    const Status status = status_->latest();
    MoveView view;
    view.number = number + 1;
    view.of = options_.moves;
    view.from = here().name;
    view.to = systems_[1 - at_].name;
    view.state = progress.vasi_state();
    view.seconds = seconds;
    view.sent = progress.bytes_transmitted();
    view.remaining = progress.bytes_remaining();
    view.dirty_pages = progress.dirty_pages();
    view.round = progress.round();
    view.bytes_per_second = progress.bytes_per_second();
    view.pulse = pulse_.picture(48);
    view.pulse_rate = pulse_.rate();
    view.disk_records = status.disk_ack;
    view.tcp_records = records_->totals().checked;
    view.compute_steps = status.compute;
    view.cpu = status.cpu;
    return view;
  }

  void move(u32 number) {
    System& from = here();
    System& to = systems_[1 - at_];
    if (!screen_.draws())
      screen_.line(fmt::format("Move {} of {}  {} -> {}", number + 1, options_.moves, from.name, to.name));
    ask("reset", "reset");
    records_->mark();
    const u64 before = progress_of(from, "source").stream_id();
    control::MigrateRequest request;
    request.set_lpar(kPartition);
    request.set_operation("m");
    request.set_destination(to.address);
    const control::MigrateOutcome outcome = from.control->migrate(request);
    if (outcome.rc() != 0) {
      std::string why;
      for (const std::string& message : outcome.messages()) why += (why.empty() ? "" : " ") + message;
      throw std::runtime_error(why);
    }
    const control::MigrationProgress end = watch(number, from, before);
    if (!end.ok()) throw std::runtime_error("Move " + std::to_string(number + 1) + " failed: " + end.error());
    const control::MigrationProgress other = progress_of(to, "target");
    at_ = 1 - at_;
    console_->open(*to.control);
    work(options_.pause);

    MoveReport& report = report_.moves.emplace_back();
    report.from = from.name;
    report.to = to.name;
    report.total_ms = end.total_ms();
    report.suspended_ms = std::max(end.suspended_ms(), other.suspended_ms());
    report.guest_gap_ms = status_->latest().gap_ms;
    report.tcp_gap_ms = records_->longest_gap_ms();
    report.bytes = end.bytes_transmitted();
    report.rounds = end.round();
    for (const char* state : {"Enabled", "Suspending", "Suspended", "Resumed", "Completed"}) {
      const auto passed = [&](const control::MigrationProgress& p) {
        return std::find(p.states().begin(), p.states().end(), state) != p.states().end();
      };
      if (passed(end) || passed(other)) report.states.emplace_back(state);
    }
    if (report.states.size() != 5)
      problem(fmt::format("Move {} did not pass through every state.", number + 1));
    check_interrupts(report);
    screen_.line(fmt::format(
        "      {} -> {} in {:.1f} s: suspended {:.0f} ms, guest's gap {:.0f} ms, TCP gap {:.0f} ms, "
        "{} in {} rounds\n",
        report.from, report.to, report.total_ms / 1000, report.suspended_ms, report.guest_gap_ms,
        report.tcp_gap_ms, megabytes(static_cast<double>(report.bytes)), report.rounds));
  }

  /// Draws the move until it is over.
  control::MigrationProgress watch(u32 number, System& from, u64 before) {
    const auto start = Clock::now();
    auto next_line = start;
    std::string state;
    control::MigrationProgress progress;
    wait_for(
        [&] {
          progress = progress_of(from, "source");
          if (progress.stream_id() == before) return false;
          const auto now = Clock::now();
          pulse_.sample(now, status_->latest().pulse);
          const MoveView view = view_of(number, progress, std::chrono::duration<double>(now - start).count());
          screen_.block(drawn(view));
          if (!screen_.draws() && (now >= next_line || view.state != state)) {
            screen_.line(told(view));
            next_line = now + kPlainEvery;
            state = view.state;
          }
          return progress.finished();
        },
        kMoveLimit,
        fmt::format("Move {} did not end; see the logs of both systems in {}.", number + 1, options_.work));
    screen_.settle();
    return progress;
  }

  void check_interrupts(MoveReport& move) {
    const Json answer = ask("irqs", "irqs", [this](const Json&) { console_->type("\n"); });
    for (const auto& value : answer.fields().at("irqs").list_value().values()) {
      const Json& row = value.struct_value();
      ProcessorCheck& check = move.interrupts.emplace_back();
      check.cpu = static_cast<int>(number(row, "cpu"));
      check.timer = flag(row, "timer");
      check.console = flag(row, "console");
      check.disk = flag(row, "disk");
      check.network = flag(row, "network");
      if (!check.ok())
        problem(fmt::format("After the move {} -> {} interrupts are missing on processor {}.", move.from,
                            move.to, check.cpu));
    }
    if (move.interrupts.size() != options_.processors)
      problem(fmt::format("After the move {} -> {} the partition has {} processors instead of {}.", move.from,
                          move.to, move.interrupts.size(), options_.processors));
  }

  // ---- after
  // ---------------------------------------------------------------------------------------------------

  /// Stops the work and asks the partition what it knows; then shuts it down.
  void finish_guest() {
    screen_.line("Check the work is stopped; what was acknowledged is read again inside and outside");
    const RecordClient::Totals tcp = records_->finish(Clock::now() + kAnswerLimit);
    report_.tcp_records = tcp.checked;
    report_.tcp_errors = tcp.errors;
    if (tcp.errors) problem("TCP: " + tcp.first_error + ".");
    const Json stopped = ask("stop", "stopped");
    if (!flag(stopped, "stopped")) problem("The partition's work did not come to rest.");
    report_.disk_acknowledged = static_cast<u64>(number(stopped, "disk_ack"));
    report_.compute_steps = static_cast<u64>(number(stopped, "compute"));
    compute_hash_ = text(stopped, "compute_hash");
    const Json verified = ask("verify", "verified");
    report_.disk_lost = static_cast<u64>(number(verified, "lost") + number(verified, "bad"));
    if (report_.disk_lost)
      problem(fmt::format("The partition itself misses {} acknowledged records.", report_.disk_lost));
    const u64 lines = status_->lines();
    wait_for([&] { return status_->lines() > lines || !status_->broken().empty(); }, kAnswerLimit,
             "The partition's status stream has stopped.");
    const Status last = status_->latest();
    if (!status_->broken().empty()) problem("The status connection was lost: " + status_->broken() + ".");
    if (last.disk_error)
      problem(fmt::format("A write or fsync failed in the partition (errno {}).", last.disk_error));
    if (last.tcp_errors) problem(fmt::format("The partition saw {} faulty TCP records.", last.tcp_errors));
    report_.clock_backward_steps = last.backward;
    if (last.backward) problem(fmt::format("The partition's clock went back {} times.", last.backward));
    work_stopped_ = true;
    status_.reset();
    change_state("osshutdown");
    wait_for([&] { return attribute(here(), "state") == "Not Activated"; }, kShutdownLimit,
             "The partition did not shut down; its console is in " + work_path("console.log") + ".");
    down_ = true;
    if (!console_->take("baton: guest is down"))
      problem("The partition did not leave its file systems clean.");
  }

  /// Ends the systems and looks at the disk and the results without their help.
  void check_host_side() {
    records_.reset();
    status_.reset();
    console_->close();
    for (System& system : systems_) {
      if (!system.process) continue;
      if (!system.process->running()) {
        problem(system.process->obituary());
      } else {
        system.control->stop();
        if (!system.process->wait(kStartLimit))
          problem("The managed system " + system.name + " does not stop.");
      }
      system.process.reset();
    }
    if (!work_stopped_) return;
    const std::string lun = work_path("san/lun0.img");
    if (down_) {
      attempt([&] {
        run_tool({"e2fsck", "-fn", lun}, "e2fsck.log");
        report_.file_system_clean = true;
      });
    }
    fs::remove(work_path("records.dat"));
    run_tool({"debugfs", "-R", "dump /var/work/records.dat " + work_path("records.dat"), lun}, "debugfs.log");
    const DiskCheck disk = check_disk_records(work_path("records.dat"), report_.disk_acknowledged);
    report_.disk_verified = disk.verified;
    report_.disk_lost = std::max(report_.disk_lost, disk.lost);
    if (disk.lost)
      problem(fmt::format("{} acknowledged records are not on the LUN; the first is {}.", disk.lost,
                          disk.first_lost));
    if (report_.disk_acknowledged == 0) problem("The partition acknowledged no disk record.");
    const std::string expected = fmt::format("{:016x}", compute_hash(report_.compute_steps));
    report_.compute_right = report_.compute_steps > 0 && expected == compute_hash_;
    if (!report_.compute_right)
      problem(fmt::format("The compute job's result after {} steps is {}, but {} is right.",
                          report_.compute_steps, compute_hash_, expected));
  }

  const DemoOptions options_;
  const std::string sockets_;
  Screen screen_;
  Report report_;
  std::vector<Forward> ports_;
  std::unique_ptr<Lan> lan_;
  System systems_[2];
  std::size_t at_ = 0;  ///< Where the partition is.
  std::unique_ptr<ConsoleLog> console_;
  std::unique_ptr<RecordClient> records_;
  std::unique_ptr<StatusClient> status_;
  Pulse pulse_;
  std::string compute_hash_;
  bool work_stopped_ = false, down_ = false;
};

constexpr const char* kHelp =
    R"(baton demo: a running partition moves between two systems, and nothing is lost.

  --guest FOLDER     the guest's files (build/guest)
  --work FOLDER      for report.json, disk and logs (build/demo)
  --moves N          how many moves (3)
  --processors N     of the partition (2)
  --memory MB        of the partition (512)
  --pause SECONDS    of work between moves (2)
  --plain            lines instead of a drawing
)";

}  // namespace

DemoOptions parse_demo_options(const std::string& run_dir, const std::vector<std::string>& words) {
  DemoOptions options;
  options.run_dir = run_dir;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--help" || word == "-h") {
      std::cout << kHelp;
      options.moves = 0;
      return options;
    }
    if (word == "--plain") {
      options.plain = true;
      continue;
    }
    const auto value = [&]() -> const std::string& {
      if (++i == words.size()) throw std::runtime_error("The option " + word + " needs a value; see --help.");
      return words[i];
    };
    const auto count = [&](u32 least, u32 most) {
      const std::string& digits = value();
      u32 out = 0;
      const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
      if (error != std::errc() || end != digits.data() + digits.size() || out < least || out > most) {
        throw std::runtime_error(fmt::format("The option {} takes a number from {} to {}, not \"{}\".", word,
                                             least, most, digits));
      }
      return out;
    };
    if (word == "--guest")
      options.guest = value();
    else if (word == "--work")
      options.work = value();
    else if (word == "--moves")
      options.moves = count(1, 1000);
    else if (word == "--processors")
      options.processors = count(1, 8);
    else if (word == "--memory")
      options.memory_mb = count(256, 2048) & ~15u;
    else if (word == "--pause")
      options.pause = count(0, 3600);
    else
      throw std::runtime_error("There is no option " + word + "; see --help.");
  }
  return options;
}

int demo_main(DemoOptions options) {
  if (options.moves == 0) return 0;
  // e2fsck and debugfs live where a user's PATH does not lead.
  const char* path = std::getenv("PATH");
  setenv("PATH", (std::string(path ? path : "/usr/bin:/bin") + ":/usr/sbin:/sbin").c_str(), 1);
  const SocketFolder sockets;
  watch_signals(sockets.path());
  try {
    fs::create_directories(options.work);
  } catch (const fs::filesystem_error& problem) {
    throw std::runtime_error("The folder " + options.work + " cannot be made (" + problem.code().message() +
                             "); name another one with --work.");
  }
  return Demonstration(std::move(options), sockets.path()).run();
}

}  // namespace baton::demo
