// SPDX-License-Identifier: Apache-2.0
#include "app/config.h"

#include <netinet/in.h>
#include <toml++/toml.h>

#include <bit>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <sstream>
#include <stdexcept>

#include "devices/tcp.h"
#include "hypervisor/compatibility.h"

namespace baton::app {
namespace {

namespace fs = std::filesystem;
using hypervisor::Profile;

constexpr u64 kMegabyte = 1ull << 20, kLmb = 16 * kMegabyte;

/// One table of the file. Every key that is read is ticked off; done() complains about those that nobody
/// wanted.
class Section {
 public:
  Section(const toml::table& table, std::string name, const std::string& path)
      : table_(table), name_(std::move(name)), path_(path) {}

  [[noreturn]] void fail(const toml::node* node, const std::string& key, const std::string& what) const {
    const toml::source_region& where = node ? node->source() : table_.source();
    throw std::runtime_error(path_ + ", line " + std::to_string(where.begin.line) + ": " +
                             (key.empty() ? "" : "\"" + key + "\" in [" + name_ + "] ") + what);
  }

  const toml::node* take(const std::string& key) {
    known_.insert(key);
    return table_.get(key);
  }

  void text(const std::string& key, std::string& out,
            const std::function<bool(const std::string&)>& accepts = {}, const std::string& remedy = {}) {
    const toml::node* node = take(key);
    if (!node) return;
    const auto value = node->value_exact<std::string>();
    if (!value) fail(node, key, "must be text in quotation marks.");
    if (accepts && !accepts(*value)) fail(node, key, remedy);
    out = *value;
  }

  template <class Number>
  void number(const std::string& key, Number& out, i64 least, i64 most) {
    const toml::node* node = take(key);
    if (!node) return;
    out = static_cast<Number>(number_of(node, key, least, most));
  }

  i64 number_of(const toml::node* node, const std::string& key, i64 least, i64 most) const {
    const auto value = node->value_exact<i64>();
    if (!value || *value < least || *value > most) {
      fail(node, key, "must be a number from " + std::to_string(least) + " to " + std::to_string(most) + ".");
    }
    return *value;
  }

  void flag(const std::string& key, bool& out) {
    const toml::node* node = take(key);
    if (!node) return;
    const auto value = node->value_exact<bool>();
    if (!value) fail(node, key, "must be true or false.");
    out = *value;
  }

  /// Megabytes as a number, or text with a unit: 512, "512 MB", "4 GB". A multiple of 16 MB, the size of a
  /// logical memory block and of a physical partition of a volume group.
  void memory(const std::string& key, u64& out) {
    const toml::node* node = take(key);
    if (!node) return;
    u64 bytes = 0;
    if (const auto megabytes = node->value_exact<i64>();
        megabytes && *megabytes > 0 && *megabytes <= (i64{1} << 24)) {
      bytes = static_cast<u64>(*megabytes) * kMegabyte;
    } else if (const auto words = node->value_exact<std::string>()) {
      u64 amount = 0;
      const char* end = words->data() + words->size();
      const auto [rest, error] = std::from_chars(words->data(), end, amount);
      std::string unit(rest, end);
      std::erase(unit, ' ');
      if (error == std::errc() && amount <= (u64{1} << 24)) {
        bytes = unit == "MB" ? amount * kMegabyte : unit == "GB" ? amount * 1024 * kMegabyte : 0;
      }
    }
    if (bytes == 0 || bytes % kLmb) {
      fail(node, key, "must be megabytes or text like \"4 GB\", a multiple of 16 MB.");
    }
    out = bytes;
  }

  void vlans(const std::string& key, std::vector<u16>& out) {
    const toml::node* node = take(key);
    if (!node) return;
    const toml::array* array = node->as_array();
    if (!array) fail(node, key, "must be a list of VLAN numbers like [1, 10].");
    out.clear();
    for (const toml::node& element : *array)
      out.push_back(static_cast<u16>(number_of(&element, key, 1, 4094)));
  }

  void texts(const std::string& key, std::vector<std::string>& out) {
    const toml::node* node = take(key);
    if (!node) return;
    const toml::array* array = node->as_array();
    for (std::size_t i = 0; array && i < array->size(); ++i) {
      const auto value = array->get(i)->value_exact<std::string>();
      if (!value || value->empty() || value->size() > 80)
        array = nullptr;
      else
        out.push_back(*value);
    }
    if (!array) fail(node, key, "must be a list of short texts in quotation marks.");
  }

  /// A path; relative ones are relative to the file.
  void path(const std::string& key, std::string& out) {
    std::string value;
    text(
        key, value, [](const std::string& s) { return !s.empty(); }, "must not be empty; leave the key out.");
    if (!value.empty()) out = absolute(value);
  }

  std::string absolute(const std::string& relative) const {
    return (fs::absolute(path_).parent_path() / relative).lexically_normal();
  }

  Section table(const std::string& key) {
    static const toml::table none;
    const toml::node* node = take(key);
    if (!node) return {none, key, path_};
    if (!node->is_table()) fail(node, key, "must be a table, written [" + key + "].");
    return {*node->as_table(), key, path_};
  }

  std::vector<Section> tables(const std::string& key, const std::string& full_name) {
    std::vector<Section> out;
    const toml::node* node = take(key);
    if (!node) return out;
    const toml::array* array = node->as_array();
    for (std::size_t i = 0; array && i < array->size(); ++i) {
      const toml::table* row = array->get(i)->as_table();
      if (!row)
        array = nullptr;
      else
        out.emplace_back(*row, full_name, path_);
    }
    if (!array) fail(node, key, "must be a list of tables, written [[" + full_name + "]].");
    return out;
  }

  void need(const std::string& key) const {
    if (!table_.contains(key)) fail(nullptr, key, "is missing; add it.");
  }

  /// Every key must have been asked for.
  void done() const {
    for (const auto& [key, node] : table_) {
      const std::string name(key.str());
      if (known_.contains(name)) continue;
      std::string list;
      for (const std::string& other : known_) list += (list.empty() ? "" : ", ") + other;
      fail(&node, name, "is not a key of ours; there are " + list + ".");
    }
  }

  const toml::table& raw() const { return table_; }

 private:
  const toml::table& table_;
  std::string name_;
  const std::string& path_;
  std::set<std::string> known_;
};

bool is_name(const std::string& name) {
  if (name.empty() || name.size() > 31 || name[0] == '.' || name[0] == '-') return false;
  for (const char c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_' && c != '.') return false;
  }
  return true;
}
constexpr const char* kNameRule =
    "must be 1 to 31 letters, digits, '-', '_' or '.'; it names files and answers commands.";

/// An address of this host: loopback, or one that others can connect to as well.
bool is_address(const std::string& text) {
  const auto address = devices::parse_address(text);
  return address && address->sin_addr.s_addr != INADDR_ANY;
}

bool is_loopback(const std::string& text) {
  const auto address = devices::parse_address(text);
  return address && (ntohl(address->sin_addr.s_addr) >> 24) == 127;
}

bool parse_mac(const std::string& text, std::array<u8, 6>& mac) {
  unsigned b[6];
  char rest;
  if (std::sscanf(text.c_str(), "%2x:%2x:%2x:%2x:%2x:%2x%c", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5],
                  &rest) != 6) {
    return false;
  }
  for (int i = 0; i < 6; ++i) mac[i] = static_cast<u8>(b[i]);
  // A station address is not a group address, and all zero means "derive one".
  return !(mac[0] & 1) && mac != std::array<u8, 6>{};
}

/// file: URIs and libvdeplug locators carry paths too.
std::string absolute_uri(const Section& section, const std::string& uri) {
  for (const std::string_view scheme : {"file://", "file:"}) {
    if (uri.starts_with(scheme)) return "file:" + section.absolute(uri.substr(scheme.size()));
  }
  if (uri.starts_with("vde://") && uri.size() > 6 && uri[6] != '/')
    return "vde://" + section.absolute(uri.substr(6));
  return uri;
}

constexpr u32 kFirstServer = 1;  ///< Partition number of the first VIOS, unless it has another.

/// Its id is 0 if it has none.
vios::ViosConfig server_of(Section& section) {
  vios::ViosConfig server;
  server.id = 0;
  section.text("name", server.name, is_name, kNameRule);
  section.number("id", server.id, 1, 254);
  section.text("uplink", server.uplink);
  server.uplink = absolute_uri(section, server.uplink);
  section.vlans("bridged_vlans", server.bridged_vlans);
  section.flag("msp", server.msp);
  section.number("max_virtual_slots", server.max_virtual_slots, 12, 65535);
  std::set<std::string> disks;
  const auto take_disk_name = [&](const Section& row, const std::string& name) {
    if (!disks.insert(name).second)
      row.fail(row.raw().get("name"), "name", "is used twice; name each disk and logical volume once.");
  };
  for (Section row : section.tables("disk", "vios.disk")) {
    vios::ViosConfig::Disk disk;
    row.need("name");
    row.need("uri");
    row.text("name", disk.name, is_name, kNameRule);
    row.text(
        "uri", disk.uri, [](const std::string& s) { return s.find(':') != std::string::npos; },
        "must be a URI like \"file:disk.img\".");
    disk.uri = absolute_uri(row, disk.uri);
    row.text(
        "reserve_policy", disk.reserve_policy,
        [](const std::string& s) { return s == "no_reserve" || s == "single_path"; },
        "must be \"no_reserve\" or \"single_path\".");
    row.done();
    take_disk_name(row, disk.name);
    server.disks.push_back(disk);
  }
  std::set<std::string> groups;
  for (Section row : section.tables("volume_group", "vios.volume_group")) {
    vios::ViosConfig::VolumeGroup group;
    for (const char* key : {"name", "directory", "size"}) row.need(key);
    row.text("name", group.name, is_name, kNameRule);
    row.path("directory", group.directory);
    row.memory("size", group.bytes);
    row.done();
    if (!groups.insert(group.name).second)
      row.fail(row.raw().get("name"), "name", "is used twice; name each volume group once.");
    server.volume_groups.push_back(group);
  }
  for (Section row : section.tables("logical_volume", "vios.logical_volume")) {
    vios::ViosConfig::LogicalVolume volume;
    for (const char* key : {"name", "volume_group", "size"}) row.need(key);
    row.text("name", volume.name, vios::VolumeGroup::is_name,
             vios::VolumeGroup::kNameRule + std::string("."));
    row.text(
        "volume_group", volume.group, [&](const std::string& s) { return groups.contains(s); },
        "must name a [[vios.volume_group]] of this server; add it there.");
    row.memory("size", volume.bytes);
    row.done();
    take_disk_name(row, volume.name);
    server.logical_volumes.push_back(volume);
  }
  section.path("media", server.media);
  section.done();
  return server;
}

/// The "vios" of an adapter or a disk: a name or, if there is none, the first server's number.
const vios::ViosConfig& take_server(Section& row, const std::vector<vios::ViosConfig>& servers) {
  std::string name, known;
  for (const vios::ViosConfig& server : servers) known += (known.empty() ? "" : ", ") + server.name;
  const auto named = [&](const std::string& s) {
    return std::ranges::find(servers, s, &vios::ViosConfig::name);
  };
  row.text(
      "vios", name, [&](const std::string& s) { return named(s) != servers.end(); },
      "must name a Virtual I/O Server of this system: " + known + ".");
  return name.empty() ? servers.front() : *named(name);
}

bool has_disk(const vios::ViosConfig& server, const std::string& name) {
  using vios::ViosConfig;
  const auto named = [&](const auto& list, auto member) {
    return std::ranges::find(list, name, member) != list.end();
  };
  return named(server.disks, &ViosConfig::Disk::name) ||
         named(server.logical_volumes, &ViosConfig::LogicalVolume::name) ||
         !server.volume_groups.empty();  // It may have been made with mklv: known when it is activated.
}

/// A disk or an optical drive of a partition. It brings its adapter with it, so that a simple file needs no
/// [[partition.scsi]].
hypervisor::DiskMapping mapping_of(Section& row, bool optical, Profile& profile,
                                   const std::vector<vios::ViosConfig>& servers,
                                   const std::function<void(const Section&, u32)>& take_slot) {
  hypervisor::DiskMapping disk;
  disk.optical = optical;
  if (!optical) {
    row.need("backing");
    row.text("backing", disk.backing, is_name, "must name a disk of [[vios.disk]] or a logical volume.");
  }
  row.number("slot", disk.slot, 2, 199);
  row.text("vtd", disk.vtd, is_name, kNameRule);
  disk.target = static_cast<u32>(profile.disks.size());
  row.number("target", disk.target, 0, 63);
  const vios::ViosConfig* server = &take_server(row, servers);
  row.done();
  const auto slot = std::ranges::find(profile.scsi, disk.slot, &hypervisor::VirtualScsiSlot::slot);
  if (slot == profile.scsi.end()) {
    take_slot(row, disk.slot);
    profile.scsi.push_back({.slot = disk.slot, .server_slot = 0, .server_id = server->id});
  } else {
    const vios::ViosConfig* its = &*std::ranges::find(servers, slot->server_id, &vios::ViosConfig::id);
    if (its != server && row.raw().contains("vios"))
      row.fail(row.raw().get("vios"), "vios",
               "is " + server->name + ", but slot " + std::to_string(disk.slot) + " is served by " +
                   its->name + "; give it a slot of its own.");
    server = its;
  }
  if (!optical && !has_disk(*server, disk.backing))
    row.fail(
        row.raw().get("backing"), "backing",
        "is " + disk.backing + ", which no [[vios.disk]] of " + server->name + " defines; add it there.");
  for (const auto& other : profile.disks) {
    if (other.slot == disk.slot && other.target == disk.target) {
      row.fail(row.raw().get("target"), "target",
               "is taken by another device of the slot; give another number.");
    }
  }
  return disk;
}

Profile partition_of(Section& section, const std::vector<vios::ViosConfig>& servers) {
  Profile profile;
  section.need("name");
  section.text("name", profile.name, is_name, kNameRule);
  section.number("id", profile.id, 2, 254);
  section.text("profile_name", profile.profile_name, is_name, kNameRule);
  section.memory("memory", profile.memory);
  section.number("processors", profile.processors, 1, 64);
  section.text("proc_compat_mode", profile.proc_compat_mode, hypervisor::is_mode_wish,
               "must be one of " + hypervisor::mode_wishes() + ".");
  section.path("firmware", profile.firmware);
  section.path("kernel", profile.kernel);
  section.path("initrd", profile.initrd);
  section.text("bootargs", profile.bootargs);
  section.flag("auto_start", profile.auto_start);
  section.number("huge_pages", profile.huge_pages, 0, 1024);
  section.texts("io_slots", profile.io_slots);

  std::set<u32> slots;
  const auto take_slot = [&](const Section& row, u32 slot) {
    if (!slots.insert(slot).second) {
      row.fail(
          row.raw().get("slot"), "slot",
          "is " + std::to_string(slot) + ", which another adapter has; give each adapter a slot of its own.");
    }
  };
  for (Section row : section.tables("scsi", "partition.scsi")) {
    hypervisor::VirtualScsiSlot slot;
    row.number("slot", slot.slot, 2, 199);
    row.number("server_slot", slot.server_slot, 2, 999);
    slot.server_id = take_server(row, servers).id;
    row.done();
    take_slot(row, slot.slot);
    profile.scsi.push_back(slot);
  }
  for (Section row : section.tables("disk", "partition.disk"))
    profile.disks.push_back(mapping_of(row, false, profile, servers, take_slot));
  for (Section row : section.tables("optical", "partition.optical"))
    profile.disks.push_back(mapping_of(row, true, profile, servers, take_slot));
  for (Section row : section.tables("ethernet", "partition.ethernet")) {
    hypervisor::VirtualEthernetSlot slot;
    slot.slot = 3 + static_cast<u32>(profile.ethernet.size());
    row.number("slot", slot.slot, 2, 199);
    std::string mac;
    row.text(
        "mac", mac, [&](const std::string& text) { return parse_mac(text, slot.mac); },
        "must be a station address like \"32:43:ee:20:00:02\".");
    row.number("pvid", slot.pvid, 1, 4094);
    row.vlans("vlans", slot.vlans);
    row.done();
    take_slot(row, slot.slot);
    profile.ethernet.push_back(slot);
  }
  section.done();
  return profile;
}

Config config_of(const toml::table& file, const std::string& path) {
  Config config;
  Section top(file, "the file", path);
  Section system = top.table("system");
  system.need("name");
  system.text("name", config.identity.name, is_name, kNameRule);
  system.text(
      "type_model", config.identity.type_model,
      [](const std::string& s) { return s.size() == 8 && s[4] == '-'; },
      "must be a machine type and model like \"9117-MMA\".");
  system.text(
      "serial", config.identity.serial,
      [](const std::string& s) {
        return s.size() == 7 &&
               std::all_of(s.begin(), s.end(), [](unsigned char c) { return std::isalnum(c); });
      },
      "must be seven letters and digits like \"10BA70A\".");
  system.memory("memory", config.identity.memory);
  system.number("processors", config.identity.processors, 1, 64);
  system.memory("memory_block", config.identity.memory_block);
  if (const u64 block = config.identity.memory_block;
      !std::has_single_bit(block) || block > 256 * kMegabyte) {
    system.fail(system.raw().get("memory_block"), "memory_block", "must be 16, 32, 64, 128 or 256 MB.");
  }
  system.path("firmware", config.firmware);
  cpu::EngineOptions& engine = config.identity.engine;
  std::string engine_name;
  system.text(
      "engine", engine_name,
      [&](const std::string& s) {
        const auto named = cpu::engine_named(s);
        engine.engine = named.value_or(engine.engine);
        return named.has_value();
      },
      "must be \"auto\", \"interpreter\", \"stencil\" or \"llvm\".");
  hypervisor::Determinism& determinism = config.identity.determinism;
  system.flag("deterministic", determinism.on);
  system.number("seed", determinism.seed, 0, 0xFFFFFFFF);
  u64 code_cache = engine.code_cache_bytes / kMegabyte;
  system.number("code_cache", code_cache, 4, 1024);
  engine.code_cache_bytes = code_cache * kMegabyte;
  u64 region_cache = engine.region_cache_bytes / kMegabyte;
  system.number("region_cache", region_cache, 4, 1024);
  engine.region_cache_bytes = region_cache * kMegabyte;
  system.number("compile_threads", engine.compile_threads, 1, 16);
  system.text(
      "control", config.control, [](const std::string& s) { return s.starts_with("unix:") && s.size() > 5; },
      "must be \"unix:PATH\": the control service has no other protection than the socket's file mode.");
  if (!config.control.empty()) config.control = "unix:" + system.absolute(config.control.substr(5));
  system.flag("encryption", config.encryption);
  const auto reachable = [&](const std::string& text) {
    return config.encryption ? is_address(text) : is_loopback(text);
  };
  const std::string address_rule =
      std::string("must be an address of this host like \"127.0.0.1\" or \"192.0.2.7:4711\"") +
      (config.encryption ? "." : ", and a loopback address as long as encryption = false.");
  system.text("mover_address", config.mover_address, reachable, address_rule);
  system.text(
      "control_address", config.control_address,
      [&](const std::string& s) { return config.encryption && is_address(s); },
      config.encryption ? address_rule : "cannot be had with encryption = false.");
  for (const auto& [key, file] :
       {std::pair{"tls_authority", &config.tls.authority},
        std::pair{"tls_certificate", &config.tls.certificate}, std::pair{"tls_key", &config.tls.key}}) {
    system.path(key, *file);
  }
  const int given = !config.tls.authority.empty() + !config.tls.certificate.empty() + !config.tls.key.empty();
  if (given != 0 && given != 3)
    system.fail(nullptr, "tls_authority", "goes with tls_certificate and tls_key: give all three or none.");
  system.done();

  const toml::node* vios = file.get("vios");
  if (vios && vios->is_array()) {
    for (Section& row : top.tables("vios", "vios")) config.servers.push_back(server_of(row));
  } else {
    Section only = top.table("vios");
    config.servers.push_back(server_of(only));
  }
  if (config.servers.empty()) top.fail(vios, "vios", "must not be empty; add a [vios].");
  std::set<std::string> names;
  std::set<u32> ids;
  const bool first_has_none = config.servers.front().id == 0;
  if (first_has_none) config.servers.front().id = kFirstServer;
  for (const vios::ViosConfig& server : config.servers) {
    if (!names.insert(server.name).second)
      top.fail(vios, "vios", "has two servers named " + server.name + "; give each a name of its own.");
    if (server.id && !ids.insert(server.id).second)
      top.fail(vios, "vios", "has two servers with the id " + std::to_string(server.id) + "; leave it out.");
  }
  std::vector<Section> rows = top.tables("partition", "partition");
  for (const Section& row : rows) {
    // The servers come first, but not to a number that a partition was given.
    if (const auto id = row.raw()["id"].value_exact<i64>(); id && *id > 0 && *id < 255)
      for (vios::ViosConfig& server : config.servers)
        if (server.id == 0) ids.insert(static_cast<u32>(*id));
  }
  for (vios::ViosConfig& server : config.servers)
    for (u32 id = 2; server.id == 0; ++id)
      if (ids.insert(id).second) server.id = id;
  ids.clear();
  for (const vios::ViosConfig& server : config.servers) ids.insert(server.id);
  for (Section& row : rows) {
    Profile profile = partition_of(row, config.servers);
    if (!names.insert(profile.name).second)
      row.fail(row.raw().get("name"), "name", "is used twice; name each partition once.");
    if (profile.id && !ids.insert(profile.id).second)
      row.fail(row.raw().get("id"), "id", "is used twice; leave it out to get a free one.");
    if (profile.memory % config.identity.memory_block) {
      row.fail(row.raw().get("memory"), "memory",
               "must be a multiple of the system's memory_block, " +
                   std::to_string(config.identity.memory_block / kMegabyte) + " MB.");
    }
    config.partitions.push_back(std::move(profile));
  }
  // After the given numbers are known, the others get the lowest free ones.
  for (Profile& profile : config.partitions) {
    for (u32 id = 2; profile.id == 0; ++id) {
      if (ids.insert(id).second) profile.id = id;
    }
  }
  top.done();
  return config;
}

}  // namespace

Config parse_config(std::string_view text, const std::string& path) try {
  return config_of(toml::parse(text, path), path);
} catch (const toml::parse_error& problem) {
  throw std::runtime_error(path + ", line " + std::to_string(problem.source().begin.line) +
                           ": this is not TOML: " + std::string(problem.description()) + ".");
}

Config load_config(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  if (!(file && text << file.rdbuf())) {
    throw std::runtime_error("The configuration " + path +
                             " cannot be read; app/example.toml is one to start from.");
  }
  return parse_config(text.str(), path);
}

}  // namespace baton::app
