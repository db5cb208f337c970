// SPDX-License-Identifier: Apache-2.0
#include "hmc/console.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <ostream>
#include <set>
#include <span>
#include <stdexcept>

#include "hmc/command_line.h"
#include "hmc/line_editor.h"
#include "hmc/records.h"
#include "hmc/virtual_terminal.h"

namespace baton::hmc {
namespace {

/// The partition that -n/-p or --id names, as the control API takes it.
std::string partition_of(const Arguments& arguments, std::string_view name_option, std::string_view command) {
  const std::string name = arguments.get(name_option), id = arguments.get("--id");
  if (name.empty() == id.empty()) {
    throw std::runtime_error(std::string(command) + " needs the partition: either " +
                             std::string(name_option) + " NAME or --id NUMBER.");
  }
  return name.empty() ? id : name;
}

int show(Console& console, const control::Outcome& outcome) {
  const std::string& text = outcome.text();
  if (!text.empty()) {
    (outcome.rc() ? console.error() : console.out()) << text << (text.ends_with('\n') ? "" : "\n");
  }
  return outcome.rc();
}

// -- lists

struct Listing {
  std::string_view command, option_value, resource;
};
/// What `-r` of each listing command may say and the resource of the control API behind it.
constexpr Listing kListings[] = {
    {"lssyscfg", "sys", "sys"},
    {"lssyscfg", "lpar", "lpar"},
    {"lssyscfg", "prof", "prof"},
    {"lshwres", "virtualio", "scsi"},
    {"lsrefcode", "lpar", "refcode"},
    {"lslparmigr", "lpar", "migr-lpar"},
    {"lslparmigr", "sys", "migr-sys"},
    {"lslparmigr", "msp", "migr-msp"},
    {"lslparmigr", "virtualio", "migr-virtualio"},
    {"lslparmigr", "procpool", "migr-procpool"},
};

std::string joined(const std::vector<std::string>& parts) {
  std::string out;
  for (const std::string& part : parts) out += (out.empty() ? "" : ", ") + part;
  return out;
}

std::string_view resource_of(std::string_view command, const std::string& value) {
  std::vector<std::string> known;
  for (const Listing& listing : kListings) {
    if (listing.command != command) continue;
    if (listing.option_value == value) return listing.resource;
    known.emplace_back(listing.option_value);
  }
  throw std::runtime_error(std::string(command) + " does not list \"" + value + "\"; -r can be " +
                           joined(known) + ".");
}

void add_filter(control::ListRequest& request, const std::string& text) {
  for (const auto& [name, value] : parse_record(text)) {
    if (name != "lpar_names" && name != "lpar_ids") {
      throw std::runtime_error("--filter does not know \"" + name + "\"; use lpar_names or lpar_ids.");
    }
    (*request.mutable_filter())[name] = value;
  }
}

int list(Console& console, std::string_view command, const Arguments& arguments) {
  const std::string_view resource = resource_of(command, arguments.get("-r"));
  control::ListRequest request;
  request.set_resource(std::string(resource));
  if (arguments.has("-t")) request.set_destination(console.systems().address(arguments.get("-t")));
  add_filter(request, arguments.get("--filter"));
  if (const std::string n = arguments.get("-n"); !n.empty()) {
    unsigned count = 0;
    const auto [end, error] = std::from_chars(n.data(), n.data() + n.size(), count);
    if (error != std::errc() || end != n.data() + n.size() || count == 0) {
      throw std::runtime_error("-n needs a number of reference codes, not \"" + n + "\".");
    }
    (*request.mutable_filter())["count"] = n;
  }

  FieldList fields;
  if (arguments.has("-F"))
    fields = parse_fields(arguments.get("-F"));
  else if (arguments.has("--header"))
    throw std::runtime_error("--header needs -F with the attributes to show.");

  const std::vector<std::string> systems =
      arguments.has("-m") ? std::vector{arguments.get("-m")} : console.systems().names();
  const bool one_system = arguments.has("-m");
  bool header_due = arguments.has("--header");
  std::size_t shown = 0;
  for (const std::string& system : systems) {
    const std::shared_ptr<Control> control = console.systems().connect(system);
    if (!fields.names.empty()) {
      control::ListRequest ask;
      ask.set_resource("attributes");
      (*ask.mutable_filter())["resource"] = std::string(resource);
      std::set<std::string> known;
      std::vector<std::string> in_order;
      const control::Records answer = control->list(ask);
      for (const control::Record& record : answer.records()) {
        for (const control::Attribute& attribute : record.attributes()) {
          known.insert(attribute.name());
          in_order.push_back(attribute.name());
        }
      }
      for (const std::string& name : fields.names) {
        if (!known.contains(name)) {
          throw std::runtime_error("-r " + arguments.get("-r") + " has no attribute \"" + name +
                                   "\"; it has " + joined(in_order) + ".");
        }
      }
    }
    if (header_due) {
      console.out() << format_values(fields.names, fields.delimiter) << "\n";
      header_due = false;
    }
    const control::Records answer = control->list(request);
    for (const control::Record& record : answer.records()) {
      ++shown;
      if (fields.names.empty()) {
        Record out;
        for (const control::Attribute& a : record.attributes()) out.emplace_back(a.name(), a.value());
        console.out() << format_record(out) << "\n";
        continue;
      }
      std::vector<std::string> values;
      for (const std::string& name : fields.names) {
        std::string value;
        for (const control::Attribute& a : record.attributes()) {
          if (a.name() == name) value = a.value();
        }
        values.push_back(value);
      }
      console.out() << format_values(values, fields.delimiter) << "\n";
    }
  }
  if (shown == 0) {
    console.out() << "No results were found.\n";
    // A filter that names a partition of a named system which does not exist is a mistake, not an empty list.
    if (one_system && arguments.has("--filter")) return 1;
  }
  return 0;
}

int list_hardware(Console& console, std::string_view command, const Arguments& arguments) {
  resource_of(command, arguments.get("-r"));  // Complains about another one.
  if (const std::string kind = arguments.get("--rsubtype"); kind != "scsi")
    throw std::runtime_error("lshwres -r virtualio does not list \"" + kind + "\"; --rsubtype can be scsi.");
  if (const std::string level = arguments.get("--level", "lpar"); level != "lpar")
    throw std::runtime_error("lshwres lists virtual adapters of partitions: --level can be lpar, not \"" +
                             level + "\".");
  return list(console, command, arguments);
}

/// `lslparmigr -r manager`: about this console. It manages every system itself and speaks to no other
/// console.
int list_manager(Console& console, const Arguments& arguments) {
  constexpr std::string_view kName = "remote_lpar_mobility_capable";
  if (!arguments.has("-F")) {
    console.out() << kName << "=0\n";
    return 0;
  }
  for (const std::string& name : parse_fields(arguments.get("-F")).names) {
    if (name != kName)
      throw std::runtime_error("-r manager has no attribute \"" + name + "\"; it has " + std::string(kName) +
                               ".");
  }
  if (arguments.has("--header")) console.out() << kName << "\n";
  console.out() << "0\n";
  return 0;
}

int list_moves(Console& console, std::string_view command, const Arguments& arguments) {
  const std::string what = arguments.get("-r");
  if (what == "manager") return list_manager(console, arguments);
  const std::string_view resource = resource_of(command, what);
  const bool of_destination = resource != "migr-lpar" && resource != "migr-sys";
  if (of_destination && (!arguments.has("-m") || !arguments.has("-t")))
    throw std::runtime_error("lslparmigr -r " + what +
                             " needs -m with the source and -t with the destination.");
  if (!of_destination && arguments.has("-t"))
    throw std::runtime_error("-t goes with -r msp, virtualio or procpool, not with -r " + what + ".");
  return list(console, command, arguments);
}

// -- the other commands

int change_state(Console& console, std::string_view, const Arguments& arguments) {
  if (arguments.get("-r") != "lpar") {
    throw std::runtime_error("chsysstate changes partitions only: use -r lpar, not \"" + arguments.get("-r") +
                             "\".");
  }
  const std::string asked = arguments.get("-o");
  const bool immed = arguments.has("--immed"), restart = arguments.has("--restart");
  std::string operation;
  if (asked == "on") {
    if (immed || restart)
      throw std::runtime_error("--immed and --restart go with shutdown or osshutdown, not with on.");
    operation = "on";
  } else if (asked == "shutdown") {
    operation = restart ? (immed ? "reboot" : "osreboot") : (immed ? "immed" : "shutdown");
  } else if (asked == "osshutdown") {
    operation = restart ? "osreboot" : "osshutdown";
  } else if (asked == "reboot") {
    operation = immed ? "reboot" : "osreboot";
  } else {
    throw std::runtime_error("chsysstate -r lpar does not know the operation \"" + asked +
                             "\"; -o can be on, shutdown, osshutdown or reboot.");
  }
  control::StateRequest request;
  request.set_lpar(partition_of(arguments, "-n", "chsysstate"));
  request.set_operation(operation);
  request.set_profile(arguments.get("-f"));
  return show(console, console.systems().connect(arguments.get("-m"))->change_state(request));
}

int change_lpar_state(Console& console, std::string_view, const Arguments& arguments) {
  const std::string operation = arguments.get("-o");
  control::StateRequest request;
  if (operation == "suspend") {
    request.set_lpar(partition_of(arguments, "-p", "chlparstate"));
  } else if (operation != "resume") {
    throw std::runtime_error("chlparstate does not know the operation \"" + operation +
                             "\"; -o can be suspend or resume.");
  } else if (arguments.has("-p") || arguments.has("--id")) {
    throw std::runtime_error(
        "chlparstate -o resume takes the partition from the file: leave -p and --id out.");
  }
  request.set_operation(operation);
  request.set_file(std::filesystem::absolute(arguments.get("--file")).lexically_normal());
  return show(console, console.systems().connect(arguments.get("-m"))->change_state(request));
}

int make_terminal(Console& console, std::string_view, const Arguments& arguments) {
  console.out().flush();
  return run_virtual_terminal(console.systems(), arguments.get("-m"),
                              partition_of(arguments, "-p", "mkvterm"), arguments.has("--force"));
}

int remove_terminal(Console& console, std::string_view, const Arguments& arguments) {
  return show(console, console.systems()
                           .connect(arguments.get("-m"))
                           ->close_terminal(partition_of(arguments, "-p", "rmvterm")));
}

/// Where `source` finds `target`: a system of another host cannot use a socket of this one.
std::string address_for(Console& console, const std::string& source, const std::string& target) {
  const std::string address = console.systems().address(target);
  if (address.starts_with("tls:") || !console.systems().address(source).starts_with("tls:")) return address;
  control::ListRequest request;
  request.set_resource("sys");
  const control::Records answer = console.systems().connect(target)->list(request);
  for (const control::Attribute& a : answer.records(0).attributes()) {
    if (a.name() == "ipaddr" && !a.value().empty()) return "tls://" + a.value() + "/" + target;
  }
  throw std::runtime_error("The managed system " + source + " cannot reach " + target +
                           ", which listens on this host only; give it a control_address.");
}

int migrate(Console& console, std::string_view, const Arguments& arguments) {
  const std::string operation = arguments.get("-o"), source = arguments.get("-m"),
                    target = arguments.get("-t");
  if (operation != "v" && operation != "m" && operation != "s" && operation != "r") {
    throw std::runtime_error("migrlpar does not know the operation \"" + operation +
                             "\"; -o can be v (validate), m (migrate), s (stop) or r (recover).");
  }
  const bool moves = operation == "v" || operation == "m";
  if (moves && target.empty())
    throw std::runtime_error("migrlpar -o " + operation + " needs -t with the destination.");
  if (moves && target == source) {
    throw std::runtime_error("The destination is the source: -t must name another managed system than -m.");
  }
  control::MigrateRequest request;
  request.set_lpar(partition_of(arguments, "-p", "migrlpar"));
  request.set_operation(operation);
  if (!target.empty()) request.set_destination(address_for(console, source, target));
  request.set_wait(!arguments.has("--async"));
  if (moves) {
    for (const auto& [name, value] : parse_record(arguments.get("-i")))
      (*request.mutable_attributes())[name] = value;
    const std::string bridge = arguments.get("--vlanbridge", "1");
    if (bridge != "1" && bridge != "2")
      throw std::runtime_error(
          "--vlanbridge can be 1 (the destination must bridge the VLANs) or 2 (it need not).");
    request.set_ignore_vlans(bridge == "2");
    const std::string redundant = arguments.get("--redundantvios", "1");
    if (redundant != "0" && redundant != "1" && redundant != "2")
      throw std::runtime_error(
          "--redundantvios can be 1 (paths by several Virtual I/O Servers stay so), 2 (if that can be) or 0 "
          "(they "
          "need not).");
    request.set_ignore_redundancy(redundant != "1");
  } else if (arguments.has("-i") || arguments.has("--vlanbridge") || arguments.has("--redundantvios")) {
    throw std::runtime_error("-i, --vlanbridge and --redundantvios go with -o v and -o m only.");
  }
  const control::MigrateOutcome outcome = console.systems().connect(source)->migrate(request);
  for (const std::string& message : outcome.messages())
    (outcome.rc() ? console.error() : console.out()) << message << "\n";
  return outcome.rc();
}

int vios_command(Console& console, std::string_view, const Arguments& arguments) {
  control::ViosRequest request;
  request.set_vios(partition_of(arguments, "-p", "viosvrcmd"));
  request.set_command(arguments.get("-c"));
  return show(console, console.systems().connect(arguments.get("-m"))->vios_command(request));
}

int make_connection(Console& console, std::string_view, const Arguments& arguments) {
  console.out() << console.systems().add(arguments.get("--ip")) << "\n";
  return 0;
}

int remove_connection(Console& console, std::string_view, const Arguments& arguments) {
  console.systems().remove(arguments.get("-m"));
  return 0;
}

int list_connections(Console& console, std::string_view, const Arguments& arguments) {
  if (arguments.get("-r") != "all")
    throw std::runtime_error("lssysconn does not list \"" + arguments.get("-r") + "\"; -r can be all.");
  const auto connections = console.systems().connections();
  if (connections.empty()) console.out() << "No results were found.\n";
  for (const auto& [name, host] : connections)
    console.out() << format_record({{"resource_type", "sys"}, {"name", name}, {"ipaddr", host}}) << "\n";
  return 0;
}

struct Command {
  std::string_view name, form, about;
  std::span<const OptionSpec> options;
  int (*run)(Console&, std::string_view, const Arguments&);
};

constexpr OptionSpec kListOptions[] = {
    {"-r", true, true}, {"-m", true}, {"-F", true}, {"--header", false}, {"--filter", true}};
constexpr OptionSpec kHardwareOptions[] = {
    {"-r", true, true}, {"--rsubtype", true, true}, {"--level", true}, {"-m", true, true},
    {"-F", true},       {"--header", false},        {"--filter", true}};
constexpr OptionSpec kMoveListOptions[] = {{"-r", true, true}, {"-m", true},        {"-t", true},
                                           {"-F", true},       {"--header", false}, {"--filter", true}};
constexpr OptionSpec kRefcodeOptions[] = {{"-r", true, true},  {"-m", true},       {"-F", true},
                                          {"--header", false}, {"--filter", true}, {"-n", true}};
constexpr OptionSpec kStateOptions[] = {{"-r", true, true}, {"-m", true, true},  {"-o", true, true},
                                        {"-n", true},       {"--id", true},      {"-f", true},
                                        {"--immed", false}, {"--restart", false}};
constexpr OptionSpec kLparStateOptions[] = {
    {"-m", true, true}, {"-o", true, true}, {"-p", true}, {"--id", true}, {"--file", true, true}};
constexpr OptionSpec kTerminalOptions[] = {
    {"-m", true, true}, {"-p", true}, {"--id", true}, {"--force", false}};
constexpr OptionSpec kMigrateOptions[] = {
    {"-o", true, true}, {"-m", true, true},     {"-t", true},
    {"-p", true},       {"--id", true},         {"--async", false},
    {"-i", true},       {"--vlanbridge", true}, {"--redundantvios", true}};
constexpr OptionSpec kViosOptions[] = {{"-m", true, true}, {"-p", true}, {"--id", true}, {"-c", true, true}};

constexpr OptionSpec kConnectOptions[] = {{"--ip", true, true}};
constexpr OptionSpec kDisconnectOptions[] = {{"-m", true, true}};
constexpr OptionSpec kConnectionsOptions[] = {{"-r", true, true}};

constexpr Command kCommands[] = {
    {"lssyscfg", "lssyscfg -r sys|lpar|prof [-m SYSTEM] [-F name,...] [--header] [--filter lpar_names=NAME]",
     "lists managed systems, partitions or profiles", kListOptions, list},
    {"lshwres",
     "lshwres -r virtualio --rsubtype scsi [--level lpar] -m SYSTEM [-F slot_num,state] [--header] [--filter "
     "lpar_names=NAME]",
     "lists virtual SCSI adapters of partitions and of Virtual I/O Servers", kHardwareOptions, list_hardware},
    {"lsrefcode",
     "lsrefcode -r lpar [-m SYSTEM] [-F refcode,time_stamp] [--filter lpar_names=NAME] [-n COUNT]",
     "lists reference codes of partitions", kRefcodeOptions, list},
    {"lslparmigr",
     "lslparmigr -r manager|lpar|sys [-m SYSTEM] [-F name,migration_state] [--filter lpar_names=NAME]\n"
     "lslparmigr -r msp|virtualio|procpool -m SYSTEM -t DESTINATION [--filter lpar_names=NAME]",
     "shows moves of partitions, how many a system can do, and what a destination offers", kMoveListOptions,
     list_moves},
    {"chsysstate",
     "chsysstate -r lpar -m SYSTEM -o on|shutdown|osshutdown|reboot -n NAME [--immed] [--restart]",
     "starts and stops a partition or a Virtual I/O Server", kStateOptions, change_state},
    {"chlparstate",
     "chlparstate -o suspend -m SYSTEM -p NAME --file FILE\nchlparstate -o resume -m SYSTEM --file FILE",
     "suspends a running partition to a file and resumes it, on any system", kLparStateOptions,
     change_lpar_state},
    {"mkvterm", "mkvterm -m SYSTEM -p NAME [--force]",
     "opens the partition's console; ~. at the start of a line closes it", kTerminalOptions, make_terminal},
    {"rmvterm", "rmvterm -m SYSTEM -p NAME", "closes the partition's console, whoever has it",
     kTerminalOptions, remove_terminal},
    {"migrlpar",
     "migrlpar -o v|m|s|r -m SYSTEM [-t DESTINATION] -p NAME [-i \"dest_lpar_id=NUMBER\"] [--vlanbridge 1|2] "
     "[--redundantvios 0|1|2] [--async]",
     "validates, starts, stops or recovers the move of a partition", kMigrateOptions, migrate},
    {"viosvrcmd", "viosvrcmd -m SYSTEM -p VIOS -c \"COMMAND\"",
     "runs a command on a Virtual I/O Server; its own help lists what there is", kViosOptions, vios_command},
    {"mksysconn", "mksysconn --ip HOST:PORT", "connects to a managed system of another host", kConnectOptions,
     make_connection},
    {"rmsysconn", "rmsysconn -m SYSTEM", "forgets a managed system of another host", kDisconnectOptions,
     remove_connection},
    {"lssysconn", "lssysconn -r all", "lists connections to managed systems of other hosts",
     kConnectionsOptions, list_connections},
};

void help(std::ostream& out, const std::string& about) {
  for (const Command& command : kCommands) {
    if (about.empty()) {
      out << "  " << command.name << std::string(12 - command.name.size(), ' ') << command.about << "\n";
    } else if (command.name == about) {
      out << command.form << "\n  " << command.about << "\n";
      return;
    }
  }
  if (about.empty())
    out << "  help        help COMMAND shows the form of a command\n  exit        leaves the console\n";
  else
    throw std::runtime_error("There is no command \"" + about + "\"; \"help\" lists them.");
}

}  // namespace

int Console::execute(const std::string& line) try {
  const std::vector<std::string> words = split_words(line);
  if (words.empty() || words[0].starts_with('#')) return 0;
  if (words[0] == "exit" || words[0] == "quit") {
    leave_ = true;
    return 0;
  }
  if (words[0] == "help" || words[0] == "?") {
    help(out_, words.size() > 1 ? words[1] : "");
    return 0;
  }
  const auto command = std::find_if(std::begin(kCommands), std::end(kCommands),
                                    [&](const Command& c) { return c.name == words[0]; });
  if (command == std::end(kCommands)) {
    throw std::runtime_error("There is no command \"" + words[0] + "\"; \"help\" lists them.");
  }
  if (words.size() == 2 && words[1] == "--help") {
    help(out_, words[0]);
    return 0;
  }
  const Arguments arguments(command->name, std::span(words).subspan(1), command->options);
  const int rc = command->run(*this, command->name, arguments);
  out_.flush();
  return rc;
} catch (const std::exception& problem) {
  out_.flush();
  error_ << problem.what() << std::endl;
  return 1;
}

int Console::interactive() {
  LineEditor editor;
  int rc = 0;
  while (!leave_) {
    const std::optional<std::string> line = editor.read("hmc> ");
    if (!line) break;
    rc = execute(*line);
  }
  return rc;
}

}  // namespace baton::hmc
