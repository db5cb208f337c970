// SPDX-License-Identifier: Apache-2.0
// The commands of the VIOS's padmin user (LPM 3.2).
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <map>
#include <ranges>
#include <span>
#include <sstream>
#include <stdexcept>

#include "vios/private.h"

namespace baton::vios {
namespace {

constexpr const char* kIoslevel =
    "2.1.3.10-FP-23";  // The level of the POWER6 days that this server resembles.
constexpr const char* kNoTarget = "NO VIRTUAL TARGET DEVICE FOUND";

std::string pad(std::string text, std::size_t width) {
  if (text.size() < width) text.resize(width, ' ');
  return text;
}

std::string hex_id(u32 id) {
  char text[16];
  std::snprintf(text, sizeof(text), "0x%08x", id);
  return text;
}

struct Field {
  std::string name, value;
};

/// Lines "Name   value", as lsmap prints them below its table.
std::string block(const std::vector<Field>& fields, std::size_t width) {
  std::string text;
  for (const auto& field : fields) text += pad(field.name, width) + field.value + "\n";
  return text;
}

/// What may follow a command. kPerhaps takes a value if one follows, kMany as many as follow.
enum class Takes : u8 { kNothing, kValue, kPerhaps, kMany };
struct Option {
  std::string_view name;
  Takes takes;
};

/// The words of a command: its options with their values, and those that belong to none.
struct Command {
  std::string name;
  std::map<std::string, std::vector<std::string>> options;
  std::vector<std::string> words;

  bool has(const std::string& option) const { return options.contains(option); }
  const std::vector<std::string>& values(const std::string& option) const {
    static const std::vector<std::string> none;
    const auto found = options.find(option);
    return found == options.end() ? none : found->second;
  }
  /// The option's value; empty without one.
  std::string value(const std::string& option) const {
    return values(option).empty() ? "" : values(option).front();
  }
  std::string needed(const std::string& option) const {
    if (!has(option)) throw std::runtime_error(name + ": option " + option + " is missing; see help");
    return value(option);
  }
};

/// Throws std::runtime_error with one sentence.
Command parse(const std::vector<std::string>& list, std::span<const Option> options, std::size_t most_words) {
  Command command;
  command.name = list.front();
  const auto is_value = [&](std::size_t i) { return i < list.size() && list[i][0] != '-'; };
  for (std::size_t i = 1; i < list.size(); i++) {
    const std::string& word = list[i];
    if (word[0] != '-') {
      if (command.words.size() == most_words)
        throw std::runtime_error(command.name + ": \"" + word + "\" is one word too many; see help");
      command.words.push_back(word);
      continue;
    }
    const auto option = std::ranges::find(options, word, &Option::name);
    if (option == options.end())
      throw std::runtime_error(command.name + ": unknown option " + word + "; see help");
    auto& values = command.options[word];
    if (option->takes == Takes::kValue) {  // It may begin with anything, as a separator does.
      if (i + 1 == list.size())
        throw std::runtime_error(command.name + ": option " + word + " needs a value");
      values.push_back(list[++i]);
    } else if (option->takes == Takes::kPerhaps) {
      if (is_value(i + 1)) values.push_back(list[++i]);
    } else if (option->takes == Takes::kMany) {
      while (is_value(i + 1)) values.push_back(list[++i]);
      if (values.empty()) throw std::runtime_error(command.name + ": option " + word + " needs a value");
    }
  }
  return command;
}

std::string joined(const std::vector<std::string>& values, const std::string& separator) {
  std::string text;
  for (std::size_t i = 0; i < values.size(); i++) text += (i ? separator : "") + values[i];
  return text;
}

std::string map_value(const Mapping& row, const std::string& field) {
  if (field == "svsa") return row.svsa;
  if (field == "physloc") return row.physloc;
  if (field == "clientid") return hex_id(row.client_id);
  if (field == "vtd") return row.vtd.empty() ? kNoTarget : row.vtd;
  if (field == "status") return row.status;
  if (field == "lun") return row.lun;
  if (field == "backing") return row.backing;
  if (field == "bdphysloc") return row.backing_physloc;
  throw std::runtime_error(
      "lsmap: unknown field " + field +
      "; the fields are svsa, physloc, clientid, vtd, status, lun, backing and bdphysloc");
}

std::string title_of(const std::string& field) {
  if (field == "svsa") return "SVSA";
  if (field == "clientid") return "Client Partition ID";
  if (field == "vtd") return "VTD";
  if (field == "status") return "Status";
  if (field == "lun") return "LUN";
  if (field == "backing") return "Backing device";
  return "Physloc";
}

bool of_adapter(const std::string& field) {
  return field == "svsa" || field == "physloc" || field == "clientid";
}

std::string list_mappings(const std::vector<Mapping>& rows, const Command& command) {
  constexpr std::size_t kNameWidth = 22;
  const std::string separator = command.value("-fmt");
  const auto& asked = command.values("-field");
  std::string text;
  for (std::size_t i = 0; i < rows.size();) {
    std::size_t end = i + 1;
    while (end < rows.size() && rows[end].svsa == rows[i].svsa) end++;
    const std::span adapter(&rows[i], end - i);
    const Mapping& first = adapter.front();
    i = end;
    if (!separator.empty()) {  // One line for an adapter and all its targets.
      static const std::vector<std::string> kAll = {"svsa",   "physloc", "clientid", "vtd",
                                                    "status", "lun",     "backing",  "bdphysloc"};
      const auto& fields = asked.empty() ? kAll : asked;
      std::vector<std::string> values;
      for (const auto& field : fields)
        if (of_adapter(field)) values.push_back(map_value(first, field));
      for (const auto& row : adapter)
        for (const auto& field : fields)
          if (!of_adapter(field) && (!row.vtd.empty() || field == "vtd"))
            values.push_back(map_value(row, field));
      text += joined(values, separator) + "\n";
      continue;
    }
    if (!asked.empty()) {
      for (const auto& row : adapter) {
        for (const auto& field : asked)
          text += pad(title_of(field), kNameWidth) + map_value(row, field) + "\n";
        text += "\n";
      }
      continue;
    }
    text += "SVSA            Physloc                                      Client Partition ID\n";
    text += "--------------- -------------------------------------------- ------------------\n";
    text += pad(first.svsa, 16) + pad(first.physloc, 45) + hex_id(first.client_id) + "\n\n";
    for (const auto& row : adapter) {
      if (row.vtd.empty()) {
        text += pad("VTD", kNameWidth) + kNoTarget + "\n\n";
        continue;
      }
      text += block({{"VTD", row.vtd},
                     {"Status", row.status},
                     {"LUN", row.lun},
                     {"Backing device", row.backing},
                     {"Physloc", row.backing_physloc}},
                    kNameWidth) +
              "\n";
    }
  }
  return text;
}

/// What kinds of virtual target devices there are: to `lsmap -type`, and to lsdev.
struct KindRow {
  Mapping::Kind kind;
  const char *type, *description;
};
constexpr KindRow kKinds[] = {
    {Mapping::Kind::kDisk, "disk", "Virtual Target Device - Disk"},
    {Mapping::Kind::kLogicalVolume, "lv", "Virtual Target Device - Logical Volume"},
    {Mapping::Kind::kOptical, "file_opt", "Virtual Target Device - File-backed Optical"},
};

std::string description_of(Mapping::Kind kind) {
  return std::ranges::find(kKinds, kind, &KindRow::kind)->description;
}

struct Device {
  std::string name, status, description;
  bool is_virtual = false;
};

std::string list_devices(const std::vector<Device>& devices, const Command& command) {
  std::string text;
  const std::string separator = command.value("-fmt");
  if (separator.empty()) text = pad("name", 17) + pad("status", 12) + "description\n";
  for (const auto& device : devices) {
    if (command.has("-virtual") && !device.is_virtual) continue;
    if (separator.empty())
      text += pad(device.name, 17) + pad(device.status, 12) + device.description + "\n";
    else
      text += joined({device.name, device.status, device.description}, separator) + "\n";
  }
  return text;
}

/// A table: each row is as wide as its widest value, the last column as wide as it is.
std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths(rows.front().size());
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size(); i++) widths[i] = std::max(widths[i], row[i].size());
  std::string text;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); i++)
      text += i + 1 < row.size() ? pad(row[i], widths[i] + 2) : row[i];
    text += "\n";
  }
  return text;
}

std::string megabytes(u64 bytes) { return std::to_string((bytes + (1 << 20) - 1) >> 20); }

/// "512M", "2G", or a number of logical partitions.
u64 size_of_volume(const std::string& text) {
  u64 number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  const std::string unit(rest, end);
  const u64 scale = unit.empty()                 ? VolumeGroup::kPartition
                    : unit == "M" || unit == "m" ? u64{1} << 20
                    : unit == "G" || unit == "g" ? u64{1} << 30
                                                 : 0;
  if (error != std::errc() || scale == 0 || number == 0 || number > (u64{1} << 50) / scale)
    throw std::runtime_error("mklv: the size is 512M, 2G or a number of logical partitions of " +
                             megabytes(VolumeGroup::kPartition) + " MB, not \"" + text + "\"");
  return number * scale;
}

}  // namespace

const char* to_string(Mapping::Kind kind) { return std::ranges::find(kKinds, kind, &KindRow::kind)->type; }

std::string location(const hypervisor::SystemIdentity& identity, u32 vios, u32 slot) {
  std::string type_model = identity.type_model;
  std::ranges::replace(type_model, '-', '.');
  return "U" + type_model + "." + identity.serial + "-V" + std::to_string(vios) + "-C" + std::to_string(slot);
}

std::string lun_text(u32 target) {
  char text[24];
  std::snprintf(text, sizeof(text), "0x%04x000000000000", 0x8000 | target << 8);
  return text;
}

std::string disk_location(const Vios& vios, const hypervisor::SystemIdentity& identity,
                          const std::string& hdisk) {
  const auto& disks = vios.config().disks;
  const auto found = std::ranges::find(disks, hdisk, &ViosConfig::Disk::name);
  if (found == disks.end()) return "";
  return "U789D.001." + identity.serial + "-P1-C1-T1-L" + std::to_string(found - disks.begin());
}

/// The commands: each returns its output or throws std::runtime_error with one sentence.
struct Vios::Padmin {
  Vios& vios;
  const hypervisor::SystemIdentity& identity = vios.system_.identity();
  const bool has_sea = !vios.config_.uplink.empty() && !vios.config_.bridged_vlans.empty();
  const std::string sea_location = "U789D.001." + identity.serial + "-P1-C2-T1";

  struct Row {
    std::string_view name;
    std::string (Padmin::*run)(const Command&);
    std::span<const Option> options;
    std::size_t most_words;
    std::string_view help;  ///< Lines "form | what it does".
  };
  static std::span<const Row> rows();

  std::string help(const Command&);
  std::string ioslevel(const Command&) { return std::string(kIoslevel) + "\n"; }
  std::string lsmap(const Command& command);
  std::string list_sea();
  std::string lsdev(const Command& command);
  std::string attributes(const Command& command);
  std::string lsrep(const Command&);
  std::string lsvopt(const Command&);
  std::string loadopt(const Command& command);
  std::string unloadopt(const Command& command);
  std::string lsvg(const Command& command);
  std::string mklv(const Command& command);
  std::string rmlv(const Command& command);
};

std::span<const Vios::Padmin::Row> Vios::Padmin::rows() {
  using enum Takes;
  static constexpr Option kMap[] = {{"-all", kNothing}, {"-net", kNothing}, {"-vadapter", kValue},
                                    {"-fmt", kValue},   {"-field", kMany},  {"-type", kValue}};
  static constexpr Option kDevices[] = {
      {"-virtual", kNothing}, {"-fmt", kValue}, {"-dev", kValue}, {"-attr", kPerhaps}};
  static constexpr Option kLoad[] = {{"-vtd", kValue}, {"-disk", kValue}, {"-release", kNothing}};
  static constexpr Option kUnload[] = {{"-vtd", kValue}, {"-release", kNothing}};
  static constexpr Option kGroup[] = {{"-lv", kNothing}};
  static constexpr Option kVolume[] = {{"-lv", kValue}};
  static constexpr Row kRows[] = {
      {"lsmap", &Padmin::lsmap, kMap, 0,
       "lsmap -all [-type disk|lv|file_opt] [-fmt C] [-field F...] | virtual SCSI server adapters, their "
       "clients and devices\n"
       "lsmap -vadapter vhostN | one of them\n"
       "lsmap -net -all | virtual Ethernet and the Shared Ethernet Adapter\n"},
      {"lsdev", &Padmin::lsdev, kDevices, 0,
       "lsdev [-virtual] [-fmt C] | devices of this server\n"
       "lsdev -dev NAME -attr [ATTRIBUTE] | attributes of a disk, a logical volume or the Shared Ethernet "
       "Adapter\n"},
      {"lsrep", &Padmin::lsrep, {}, 0, "lsrep | media of the repository, and what drives they are in\n"},
      {"lsvopt", &Padmin::lsvopt, {}, 0, "lsvopt | virtual optical devices and their media\n"},
      {"loadopt", &Padmin::loadopt, kLoad, 0,
       "loadopt -vtd NAME -disk MEDIUM [-release] | loads a medium; -release: instead of the one "
       "in it\n"},
      {"unloadopt", &Padmin::unloadopt, kUnload, 0,
       "unloadopt -vtd NAME [-release] | unloads it; -release: even if it is locked in\n"},
      {"lsvg", &Padmin::lsvg, kGroup, 1, "lsvg [-lv] [GROUP] | volume groups; -lv: their logical volumes\n"},
      {"mklv", &Padmin::mklv, kVolume, 2,
       "mklv [-lv NAME] GROUP SIZE | makes a logical volume of 512M, 2G or so many partitions\n"},
      {"rmlv", &Padmin::rmlv, {}, 1, "rmlv NAME | removes a logical volume and what is on it\n"},
      {"ioslevel", &Padmin::ioslevel, {}, 0, "ioslevel | level of this server's software\n"},
      {"help", &Padmin::help, {}, 0, "help | this list\n"},
      {"?", &Padmin::help, {}, 0, ""},
  };
  return kRows;
}

std::string Vios::Padmin::help(const Command&) {
  std::vector<std::vector<std::string>> lines;
  for (const Row& row : rows()) {
    std::istringstream text{std::string(row.help)};
    for (std::string line; std::getline(text, line);) {
      const std::size_t bar = line.find(" | ");
      lines.push_back({line.substr(0, bar), line.substr(bar + 3)});
    }
  }
  return table(lines);
}

std::string Vios::Padmin::list_sea() {
  constexpr std::size_t kNameWidth = 20;
  std::string output = "SVEA   Physloc\n------ --------------------------------------------\n";
  if (!has_sea) return output + "\nSEA                 NO SHARED ETHERNET ADAPTER FOUND\n";
  output += "ent1   " + location(identity, vios.config_.id, 2) + "-T1\n\n";
  return output + block({{"SEA", "ent2"},
                         {"Backing device", "ent0"},
                         {"Status", "Available"},
                         {"Physloc", sea_location}},
                        kNameWidth);
}

std::string Vios::Padmin::lsmap(const Command& command) {
  const std::string adapter = command.value("-vadapter"), type = command.value("-type");
  if (!command.has("-all") && adapter.empty())
    throw std::runtime_error("lsmap: give -all, or -vadapter and the name of an adapter");
  if (command.has("-net")) return list_sea();
  auto found = vios.mappings();
  if (!adapter.empty()) {
    std::erase_if(found, [&](const Mapping& row) { return row.svsa != adapter; });
    if (found.empty()) throw std::runtime_error("lsmap: there is no virtual SCSI server adapter " + adapter);
  }
  if (!type.empty()) {
    const auto kind = std::ranges::find(kKinds, std::string_view(type), &KindRow::type);
    if (kind == std::end(kKinds))
      throw std::runtime_error("lsmap: unknown type " + type + "; the types are disk, lv and file_opt");
    std::erase_if(found, [&](const Mapping& row) { return row.vtd.empty() || row.kind != kind->kind; });
  }
  for (const auto& field : command.values("-field")) map_value({}, field);  // Complains about an unknown one.
  return list_mappings(found, command);
}

std::string Vios::Padmin::attributes(const Command& command) {
  const std::string device = command.value("-dev"), attribute = command.value("-attr");
  const ViosConfig& config = vios.config_;
  std::vector<std::vector<std::string>> rows;
  if (device == "ent2" && has_sea) {
    std::vector<std::string> vlans;
    for (const u16 vlan : config.bridged_vlans) vlans.push_back(std::to_string(vlan));
    rows = {{"pvid", std::to_string(config.bridged_vlans.front()), "PVID to use for the SEA device", "True"},
            {"pvid_adapter", "ent1", "Default virtual adapter to use for non-VLAN-tagged packets", "True"},
            {"real_adapter", "ent0", "Physical adapter associated with the SEA", "True"},
            {"uplink", config.uplink, "LAN that the physical adapter is plugged into", "False"},
            {"vlans", joined(vlans, ","), "VLANs that the SEA bridges", "False"}};
  } else if (const auto* disk = vios.disk(device)) {
    const auto opened = vios.open(device);
    rows = {{"backing", disk->uri, "Back end on the SAN", "False"},
            {"queue_depth", "128", "Queue DEPTH", "False"},
            {"reserve_policy", disk->reserve_policy, "Reserve Policy", "True"},
            {"size_in_mb", std::to_string(opened->size() >> 20), "Size in Megabytes", "False"},
            {"unique_id", opened->unique_id(), "Unique device identifier", "False"}};
  } else if (const auto volume = vios.logical_volume(device)) {
    rows = {{"backing", volume->path, "File on this host", "False"},
            {"size_in_mb", std::to_string(volume->bytes >> 20), "Size in Megabytes", "False"},
            {"unique_id", volume->unique_id, "Unique device identifier", "False"},
            {"volume_group", volume->group, "Volume group", "False"}};
  } else {
    throw std::runtime_error("lsdev: there is no device " + device + " with attributes");
  }
  if (!attribute.empty()) {
    std::erase_if(rows, [&](const auto& row) { return row[0] != attribute; });
    if (rows.empty()) throw std::runtime_error("lsdev: " + device + " has no attribute " + attribute);
    return "value\n\n" + rows.front()[1] + "\n";
  }
  std::size_t widest = 16;
  for (const auto& row : rows) widest = std::max(widest, row[1].size());
  std::string output =
      pad("attribute", 16) + pad("value", widest + 1) + pad("description", 60) + "user_settable\n\n";
  for (const auto& row : rows)
    output += pad(row[0], 16) + pad(row[1], widest + 1) + pad(row[2], 60) + row[3] + "\n";
  return output;
}

std::string Vios::Padmin::lsdev(const Command& command) {
  const std::string device = command.value("-dev");
  if (!device.empty() && command.has("-attr")) return attributes(command);
  std::vector<Device> list;
  if (has_sea) {
    list.push_back({"ent0", "Available", "Host LAN (" + vios.config_.uplink + ")"});
    list.push_back({"ent1", "Available", "Virtual I/O Ethernet Adapter (l-lan)", true});
    list.push_back({"ent2", "Available", "Shared Ethernet Adapter", true});
  }
  for (const auto& disk : vios.config_.disks)
    list.push_back({disk.name, vios.usable(disk.name) ? "Available" : "Defined", "Disk (" + disk.uri + ")"});
  list.push_back({"vasi0", "Available", "Virtual Asynchronous Services Interface (VASI)", true});
  list.push_back({"vbsd0", "Available", "Virtual Block Storage Device (VBSD)", true});
  const auto found = vios.mappings();
  std::string last;
  for (const auto& row : found)
    if (row.svsa != last) {
      last = row.svsa;
      list.push_back({row.svsa, "Available", "Virtual SCSI Server Adapter", true});
    }
  list.push_back({"vsa0", "Available", "LPAR Virtual Serial Adapter", true});
  for (const auto& row : found)
    if (!row.vtd.empty()) list.push_back({row.vtd, row.status, description_of(row.kind), true});
  if (!device.empty()) {
    std::erase_if(list, [&](const Device& each) { return each.name != device; });
    if (list.empty()) throw std::runtime_error("lsdev: there is no device " + device);
  }
  return list_devices(list, command);
}

// -- optical media

std::string Vios::Padmin::lsrep(const Command&) {
  std::map<std::string, std::string> drives;  // By medium.
  for (const Mapping& row : vios.mappings())
    if (row.kind == Mapping::Kind::kOptical && !row.backing.empty())
      drives[row.backing] += (drives[row.backing].empty() ? "" : ",") + row.vtd;
  std::vector<std::vector<std::string>> lines;
  std::error_code error;
  const std::string& repository = vios.media_repository();
  for (const auto& entry : std::filesystem::directory_iterator(repository, error)) {
    const std::string name = entry.path().filename();
    if (name[0] == '.' || !entry.is_regular_file()) continue;
    lines.push_back(
        {name, megabytes(entry.file_size(error)), drives[name].empty() ? "None" : drives[name], "ro"});
  }
  if (error)
    throw std::runtime_error("lsrep: the media repository " + repository + " cannot be read: " +
                             error.message() + "; make that directory and put images there");
  std::ranges::sort(lines);
  lines.insert(lines.begin(), {"Name", "Size(mb)", "Optical", "Access"});
  return table(lines);
}

std::string Vios::Padmin::lsvopt(const Command&) {
  std::vector<std::vector<std::string>> lines{{"VTD", "Media", "Size(mb)"}};
  for (const Mapping& row : vios.mappings()) {
    if (row.vtd.empty() || row.kind != Mapping::Kind::kOptical) continue;
    std::error_code error;
    const auto bytes = std::filesystem::file_size(vios.config_.media + "/" + row.backing, error);
    if (row.backing.empty())
      lines.push_back({row.vtd, "No Media", "n/a"});
    else
      lines.push_back({row.vtd, row.backing, error ? "n/a" : megabytes(bytes)});
  }
  return lines.size() == 1 ? "NO VIRTUAL OPTICAL DEVICE FOUND\n" : table(lines);
}

std::string Vios::Padmin::loadopt(const Command& command) {
  vios.media_repository();
  vios.load_medium(command.needed("-vtd"), command.needed("-disk"), command.has("-release"));
  return "";
}

std::string Vios::Padmin::unloadopt(const Command& command) {
  vios.unload_medium(command.needed("-vtd"), command.has("-release"));
  return "";
}

// -- logical volumes

std::string Vios::Padmin::lsvg(const Command& command) {
  const auto& groups = vios.groups_;
  const std::string name = command.words.empty() ? "" : command.words.front();
  const auto named = [&](const auto& group) { return name.empty() || group->name() == name; };
  if (!name.empty() && std::ranges::none_of(groups, named))
    throw std::runtime_error("lsvg: there is no volume group " + name);
  constexpr u64 kPartition = VolumeGroup::kPartition;
  std::string output;
  std::map<std::string, std::string> devices;  // By logical volume.
  if (command.has("-lv"))
    for (const Mapping& row : vios.mappings())
      if (row.kind == Mapping::Kind::kLogicalVolume) devices[row.backing] = row.vtd;
  for (const auto& group : groups | std::views::filter(named)) {
    if (command.has("-lv")) {
      std::vector<std::vector<std::string>> lines{{"LV NAME", "LPs", "SIZE(mb)", "VTD"}};
      for (const LogicalVolume& volume : group->volumes()) {
        const std::string& device = devices[volume.name];
        lines.push_back({volume.name, std::to_string(volume.bytes / kPartition), megabytes(volume.bytes),
                         device.empty() ? "N/A" : device});
      }
      output += group->name() + ":\n" + table(lines);
    } else if (name.empty()) {
      output += group->name() + "\n";
    } else {
      const u64 total = group->bytes() / kPartition, free = group->free_bytes() / kPartition;
      output += block({{"VOLUME GROUP", group->name()},
                       {"VG IDENTIFIER", group->id()},
                       {"PP SIZE", megabytes(kPartition) + " megabyte(s)"},
                       {"TOTAL PPs", std::to_string(total)},
                       {"FREE PPs", std::to_string(free)},
                       {"USED PPs", std::to_string(total - free)},
                       {"LVs", std::to_string(group->volumes().size())}},
                      16);
    }
  }
  return output;
}

std::string Vios::Padmin::mklv(const Command& command) {
  if (command.words.size() != 2)
    throw std::runtime_error("mklv: give the volume group and the size; see help");
  std::string name = command.value("-lv");
  for (u32 number = 0; name.empty(); number++) {
    const std::string next = (number < 10 ? "lv0" : "lv") + std::to_string(number);
    if (!vios.logical_volume(next) && !vios.disk(next)) name = next;
  }
  return vios.make_logical_volume(name, command.words[0], size_of_volume(command.words[1])).name + "\n";
}

std::string Vios::Padmin::rmlv(const Command& command) {
  if (command.words.empty()) throw std::runtime_error("rmlv: give the logical volume; see help");
  vios.remove_logical_volume(command.words.front());
  return "rmlv: Logical volume " + command.words.front() + " is removed.\n";
}

int Vios::padmin(const std::string& line, std::string& output) {
  output.clear();
  std::istringstream words(line);
  std::vector<std::string> list;
  for (std::string word; words >> word;) list.push_back(word);
  try {
    if (list.empty()) throw std::runtime_error("no command was given; see help");
    const auto rows = Padmin::rows();
    const auto row = std::ranges::find(rows, list.front(), &Padmin::Row::name);
    if (row == rows.end())
      throw std::runtime_error("command " + list.front() + " is not known here; see help");
    Padmin padmin{*this};
    output = (padmin.*row->run)(parse(list, row->options, row->most_words));
    return 0;
  } catch (const std::runtime_error& error) {
    output = std::string(error.what()) + "\n";
    return 1;
  }
}

}  // namespace baton::vios
