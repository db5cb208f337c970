// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "hypervisor/system.h"
#include "migration/migration.h"
#include "migration/stream.h"
#include "vios/virtual_io.h"

namespace baton::migration {

/// A stream in memory: what is written can be read; it ends where the bytes end.
class Buffer final : public ByteStream {
 public:
  std::vector<u8> bytes;
  std::size_t at = 0;
  void read(std::span<u8> out) override {
    if (out.size() > bytes.size() - at) throw StreamError("end");
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), out.size(), out.begin());
    at += out.size();
  }
  void write(std::span<const std::span<const u8>> parts) override {
    for (const auto& part : parts) bytes.insert(bytes.end(), part.begin(), part.end());
  }
  bool authenticated() const override { return tls; }
  bool tls = false;  ///< Says that it is.
};

/// A directory that goes with the test.
class Directory {
 public:
  Directory() {
    std::string name = (std::filesystem::temp_directory_path() / "baton-test-XXXXXX").string();
    if (!mkdtemp(name.data())) throw std::runtime_error("no directory");
    path_ = name;
  }
  ~Directory() { std::filesystem::remove_all(path_); }
  std::string disk(const std::string& name) const {
    const auto path = path_ / name;
    if (!std::filesystem::exists(path)) {
      std::ofstream(path).put(0);
      std::filesystem::resize_file(path, 1 << 20);
    }
    return "file:" + path.string();
  }
  std::filesystem::path path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// A managed system without control service.
struct Machine {
  Machine(const std::string& name, const std::string& serial, std::vector<vios::ViosConfig::Disk> disks,
          const std::string& ownership = {}, std::shared_ptr<const devices::TlsIdentity> tls = nullptr)
      : system(
            {.name = name, .type_model = "9117-MMA", .serial = serial, .memory = 1ull << 30, .processors = 4},
            ""),
        vios(system, {config(std::move(disks))}),
        mover(system, vios, "127.0.0.1", ownership, std::move(tls)) {
    system.set_io_server(&vios);
  }
  ~Machine() { mover.shut_down(); }
  static vios::ViosConfig config(std::vector<vios::ViosConfig::Disk> disks) {
    vios::ViosConfig config;
    config.disks = std::move(disks);
    return config;
  }
  hypervisor::ManagedSystem system;
  vios::VirtualIo vios;
  Mover mover;
};

inline hypervisor::Profile small_profile(const std::string& disk = {}) {
  hypervisor::Profile profile;
  profile.name = "lpar1";
  profile.id = 2;
  profile.memory = 64 << 20;
  profile.processors = 2;
  if (!disk.empty()) {
    profile.scsi = {{.slot = 2, .server_slot = 0}};
    profile.disks = {{.slot = 2, .vtd = "", .backing = disk, .target = 0}};
  }
  profile.ethernet = {hypervisor::VirtualEthernetSlot{}};
  return profile;
}

}  // namespace baton::migration
