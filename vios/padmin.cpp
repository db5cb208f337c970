// SPDX-License-Identifier: Apache-2.0
// The commands of the VIOS's padmin user (LPM 3.2).
#include <algorithm>
#include <cstdio>
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

struct Command {
  std::string name;
  bool all = false, net = false, is_virtual = false, attributes = false;
  std::string format, adapter, device, attribute;
  std::vector<std::string> fields;
};

/// Reads the words of a command; throws std::runtime_error with one sentence.
Command parse(const std::string& line) {
  std::istringstream words(line);
  std::vector<std::string> list;
  for (std::string word; words >> word;) list.push_back(word);
  Command command;
  if (list.empty()) return command;
  command.name = list.front();
  const auto value = [&](std::size_t& i) {
    if (i + 1 >= list.size())
      throw std::runtime_error(command.name + ": option " + list[i] + " needs a value");
    return list[++i];
  };
  for (std::size_t i = 1; i < list.size(); i++) {
    const std::string& word = list[i];
    if (word == "-all")
      command.all = true;
    else if (word == "-net")
      command.net = true;
    else if (word == "-virtual")
      command.is_virtual = true;
    else if (word == "-fmt")
      command.format = value(i);
    else if (word == "-vadapter")
      command.adapter = value(i);
    else if (word == "-dev")
      command.device = value(i);
    else if (word == "-attr") {
      command.attributes = true;
      if (i + 1 < list.size() && list[i + 1][0] != '-') command.attribute = list[++i];
    } else if (word == "-field") {
      while (i + 1 < list.size() && list[i + 1][0] != '-') command.fields.push_back(list[++i]);
      if (command.fields.empty()) throw std::runtime_error(command.name + ": option -field needs a value");
    } else {
      throw std::runtime_error(command.name + ": unknown option " + word + "; see help");
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
  std::string text;
  for (std::size_t i = 0; i < rows.size();) {
    std::size_t end = i + 1;
    while (end < rows.size() && rows[end].svsa == rows[i].svsa) end++;
    const std::span adapter(&rows[i], end - i);
    const Mapping& first = adapter.front();
    i = end;
    if (!command.format.empty()) {  // One line for an adapter and all its targets.
      static const std::vector<std::string> kAll = {"svsa",   "physloc", "clientid", "vtd",
                                                    "status", "lun",     "backing",  "bdphysloc"};
      const auto& fields = command.fields.empty() ? kAll : command.fields;
      std::vector<std::string> values;
      for (const auto& field : fields)
        if (of_adapter(field)) values.push_back(map_value(first, field));
      for (const auto& row : adapter)
        for (const auto& field : fields)
          if (!of_adapter(field) && (!row.vtd.empty() || field == "vtd"))
            values.push_back(map_value(row, field));
      text += joined(values, command.format) + "\n";
      continue;
    }
    if (!command.fields.empty()) {
      for (const auto& row : adapter) {
        for (const auto& field : command.fields)
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

struct Device {
  std::string name, status, description;
  bool is_virtual = false;
};

std::string list_devices(const std::vector<Device>& devices, const Command& command) {
  std::string text;
  if (command.format.empty()) text = pad("name", 17) + pad("status", 12) + "description\n";
  for (const auto& device : devices) {
    if (command.is_virtual && !device.is_virtual) continue;
    if (command.format.empty())
      text += pad(device.name, 17) + pad(device.status, 12) + device.description + "\n";
    else
      text += joined({device.name, device.status, device.description}, command.format) + "\n";
  }
  return text;
}

}  // namespace

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

int Vios::padmin(const std::string& line, std::string& output) {
  output.clear();
  try {
    const Command command = parse(line);
    const auto& identity = system_.identity();
    const bool has_sea = !config_.uplink.empty() && !config_.bridged_vlans.empty();
    const std::string sea_location = "U789D.001." + identity.serial + "-P1-C2-T1";

    if (command.name == "help" || command.name == "?") {
      output =
          "lsmap -all [-fmt C] [-field F...]   virtual SCSI server adapters, their clients and disks\n"
          "lsmap -vadapter vhostN              one of them\n"
          "lsmap -net -all                     virtual Ethernet and the Shared Ethernet Adapter\n"
          "lsdev [-virtual] [-fmt C]           devices of this server\n"
          "lsdev -dev NAME -attr [ATTRIBUTE]   attributes of a disk or of the Shared Ethernet Adapter\n"
          "ioslevel                            level of this server's software\n"
          "help                                this list\n";
      return 0;
    }
    if (command.name == "ioslevel") {
      output = std::string(kIoslevel) + "\n";
      return 0;
    }
    if (command.name == "lsmap") {
      if (!command.all && command.adapter.empty())
        throw std::runtime_error("lsmap: give -all, or -vadapter and the name of an adapter");
      if (command.net) {
        constexpr std::size_t kNameWidth = 20;
        output = "SVEA   Physloc\n------ --------------------------------------------\n";
        if (!has_sea) {
          output += "\nSEA                 NO SHARED ETHERNET ADAPTER FOUND\n";
          return 0;
        }
        output += "ent1   " + location(identity, config_.id, 2) + "-T1\n\n";
        output += block(
            {{"SEA", "ent2"}, {"Backing device", "ent0"}, {"Status", "Available"}, {"Physloc", sea_location}},
            kNameWidth);
        return 0;
      }
      auto rows = mappings();
      if (!command.adapter.empty()) {
        std::erase_if(rows, [&](const Mapping& row) { return row.svsa != command.adapter; });
        if (rows.empty())
          throw std::runtime_error("lsmap: there is no virtual SCSI server adapter " + command.adapter);
      }
      for (const auto& field : command.fields) map_value({}, field);  // Complains about an unknown one.
      output = list_mappings(rows, command);
      return 0;
    }
    if (command.name == "lsdev") {
      if (!command.device.empty() && command.attributes) {
        std::vector<std::vector<std::string>> rows;
        if (command.device == "ent2" && has_sea) {
          std::vector<std::string> vlans;
          for (const u16 vlan : config_.bridged_vlans) vlans.push_back(std::to_string(vlan));
          rows = {
              {"pvid", std::to_string(config_.bridged_vlans.front()), "PVID to use for the SEA device",
               "True"},
              {"pvid_adapter", "ent1", "Default virtual adapter to use for non-VLAN-tagged packets", "True"},
              {"real_adapter", "ent0", "Physical adapter associated with the SEA", "True"},
              {"uplink", config_.uplink, "LAN that the physical adapter is plugged into", "False"},
              {"vlans", joined(vlans, ","), "VLANs that the SEA bridges", "False"}};
        } else {
          const auto* disk = Private::find(config_, command.device);
          if (!disk)
            throw std::runtime_error("lsdev: there is no device " + command.device + " with attributes");
          const auto device = devices::open_block_device(disk->uri);
          rows = {{"backing", disk->uri, "Back end on the SAN", "False"},
                  {"queue_depth", "128", "Queue DEPTH", "False"},
                  {"reserve_policy", disk->reserve_policy, "Reserve Policy", "True"},
                  {"size_in_mb", std::to_string(device->size() >> 20), "Size in Megabytes", "False"},
                  {"unique_id", device->unique_id(), "Unique device identifier", "False"}};
        }
        if (!command.attribute.empty()) {
          std::erase_if(rows, [&](const auto& row) { return row[0] != command.attribute; });
          if (rows.empty())
            throw std::runtime_error("lsdev: " + command.device + " has no attribute " + command.attribute);
          output = "value\n\n" + rows.front()[1] + "\n";
          return 0;
        }
        std::size_t widest = 16;
        for (const auto& row : rows) widest = std::max(widest, row[1].size());
        output =
            pad("attribute", 16) + pad("value", widest + 1) + pad("description", 60) + "user_settable\n\n";
        for (const auto& row : rows)
          output += pad(row[0], 16) + pad(row[1], widest + 1) + pad(row[2], 60) + row[3] + "\n";
        return 0;
      }
      std::vector<Device> list;
      if (has_sea) {
        list.push_back({"ent0", "Available", "Host LAN (" + config_.uplink + ")"});
        list.push_back({"ent1", "Available", "Virtual I/O Ethernet Adapter (l-lan)", true});
        list.push_back({"ent2", "Available", "Shared Ethernet Adapter", true});
      }
      for (const auto& disk : config_.disks)
        list.push_back(
            {disk.name, hdisk_usable(disk.name) ? "Available" : "Defined", "Disk (" + disk.uri + ")"});
      list.push_back({"vasi0", "Available", "Virtual Asynchronous Services Interface (VASI)", true});
      list.push_back({"vbsd0", "Available", "Virtual Block Storage Device (VBSD)", true});
      const auto rows = mappings();
      std::string last;
      for (const auto& row : rows)
        if (row.svsa != last) {
          last = row.svsa;
          list.push_back({row.svsa, "Available", "Virtual SCSI Server Adapter", true});
        }
      list.push_back({"vsa0", "Available", "LPAR Virtual Serial Adapter", true});
      for (const auto& row : rows)
        if (!row.vtd.empty()) list.push_back({row.vtd, row.status, "Virtual Target Device - Disk", true});
      if (!command.device.empty()) {
        std::erase_if(list, [&](const Device& device) { return device.name != command.device; });
        if (list.empty()) throw std::runtime_error("lsdev: there is no device " + command.device);
      }
      output = list_devices(list, command);
      return 0;
    }
    if (command.name.empty()) throw std::runtime_error("no command was given; see help");
    throw std::runtime_error("command " + command.name + " is not known here; see help");
  } catch (const std::runtime_error& error) {
    output = std::string(error.what()) + "\n";
    return 1;
  }
}

}  // namespace baton::vios
