// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/site.h"

#include <stdlib.h>

#include <array>
#include <fstream>
#include <stdexcept>

#include "hypervisor/hcall.h"
#include "hypervisor/rtas.h"
#include "tests/fuzz/words.h"

namespace baton::fuzz {
namespace {

namespace fs = std::filesystem;
using namespace hypervisor;

fs::path make_directory() {
  std::string name = (fs::temp_directory_path() / "baton-fuzz-XXXXXX").string();
  if (!mkdtemp(name.data())) throw std::runtime_error("no temporary directory " + name);
  return name;
}

SystemIdentity identity(const cpu::EngineOptions& engine) {
  return {.memory = u64{1} << 30, .engine = engine};
}

}  // namespace

Site::Site(u32 processors, std::span<const u8> firmware, const cpu::EngineOptions& engine)
    : directory_(make_directory()), system_(identity(engine), "") {
  const fs::path disk = directory_ / "lun0.img", image = directory_ / "firmware.bin";
  std::ofstream(disk).close();
  fs::resize_file(disk, 1 << 20);
  std::ofstream(image, std::ios::binary)
      .write(reinterpret_cast<const char*>(firmware.data()), static_cast<std::streamsize>(firmware.size()));
  vios::ViosConfig config;
  config.disks = {{"hdisk0", "file:" + disk.string()}};
  config.media = directory_.string();
  vios_ = std::make_unique<vios::VirtualIo>(system_, std::vector{config});
  system_.set_io_server(vios_.get());
  Profile profile;
  profile.name = "lpar2";
  profile.id = 2;
  profile.memory = 64 << 20;
  profile.processors = processors;
  profile.firmware = image.string();
  profile.scsi = {{2, 0}};
  profile.ethernet = {{3, {}, 1, {}}};
  profile.disks = {{2, "", "hdisk0", 1}, {2, "", "", 2, true}};
  partition_ = system_.create(profile);
  vios_->servers().front()->load_medium("vtopt0", "lun0.img", false);
}

Site::~Site() {
  vios_->detach(*partition_);
  system_.remove(2);
  partition_.reset();
  system_.set_io_server(nullptr);
  vios_.reset();
  fs::remove_all(directory_);
}

u64 random_argument(Random& random) {
  const u64 page = random.below(kArena >> 12) << 12;
  switch (random.below(16)) {
    case 0:
      return 0x30000000 | random.below(5);  // unit
    case 1:
      return 0x10000000 | random.below(5);  // LIOBN
    case 2:
      return random.pick({u64{0xA0000} | random.below(5), u64{0x40000}, u64{2}, u64{0x00FF0000}, u64{0xFF}});
    case 3:
      return page;
    case 4:
      return page | 3;  // TCE
    case 5:
      return page | random.below(4096);
    case 6:  // buffer descriptor
      return random.pick({u64{0x80}, u64{0xC0}, u64{0x81}}) << 56 |
             random.pick({u64{60}, u64{128}, u64{1514}, u64{2048}, u64{4096}, random.below(1 << 24)}) << 32 |
             (random.below(2) ? page : page | random.below(4096));
    case 7:  // CRQ message: an information unit or datagram in the arena
      return u64{random.pick({0x80U, 0xC0U, 0xFFU})} << 56 | u64{random.pick({1U, 2U, 3U, 6U})} << 48 |
             random.pick({u64{48}, u64{52}, u64{24}, u64{64}, random.below(512)});
    case 8:
      return random.below(32) << 45;  // function of H_REGISTER_VPA
    case 9:                           // flags of the page-table calls
      return random.pick({u64{0x8000000000}, u64{0x2000000000}, u64{0x80000000}, u64{0x40000000}, u64{0x8000},
                          u64{0x100}}) |
             random.below(8);
    case 10:
      return random.below(1 << 14);  // page-table entry
    case 11:
      return u64{random.below(4)} << 62 | random.below(1 << 20) << 12 | 0x5;
    case 12:
      return random.next();
    default:
      return random.below(2) ? random.below(20) : random_value(random);
  }
}

u64 random_call(Random& random) {
  if (random.one_in(16)) return random.below(2) ? random.below(0x400) & ~u64{3} : random_value(random);
  return random.pick(hcall_table()).token;
}

void put_rtas_buffer(Random& random, cpu::Memory& memory, u64 address, bool returning) {
  const RtasRow* row;
  do {
    row = &rtas_table()[random.below(rtas_table().size())];
  } while (returning && (row->name == "power-off" || row->name == "system-reboot" ||
                         row->name == "stop-self" || row->name == "ibm,os-term" || row->name == "start-cpu"));
  const bool exact = !random.one_in(4);
  const u32 nargs = exact ? row->nargs : static_cast<u32>(random.below(18));
  const u32 nrets = exact ? std::max(row->nrets, 1U) : static_cast<u32>(random.below(18));
  memory.store<u32>(address, random.one_in(32) ? static_cast<u32>(random.next()) : row->token);
  memory.store<u32>(address + 4, nargs);
  memory.store<u32>(address + 8, nrets);
  for (u32 i = 0; i < nargs + nrets; i++)
    memory.store<u32>(address + 12 + 4 * i, static_cast<u32>(random_argument(random)));
}

void fill_arena(Random& random, cpu::Memory& memory) {
  for (int i = 0; i < 24; i++) {
    const u64 at = random.below(kArena >> 12) << 12 | (random.below(2) ? 0 : random.below(32) * 128);
    std::array<u8, 128> data{};
    switch (random.below(5)) {
      case 0: {  // SRP: login, task management, command
        for (u8& byte : data) byte = random.below(3) ? 0 : static_cast<u8>(random.next());
        data[0] = random.pick({u8{0}, u8{0}, u8{1}, u8{2}, u8{2}, u8{2}, u8{3}});
        if (data[0] == 0) {
          store_be<u32>(&data[16], static_cast<u32>(random.below(300)));
          store_be<u16>(&data[24], static_cast<u16>(random.below(8)));
        } else {
          data[5] = random.pick({u8{0x10}, u8{0x01}, u8{0x20}, u8{0x02}, u8{0}});
          store_be<u64>(&data[20], random.pick({u64{0x8100000000000000}, u64{0x8200000000000000},
                                                u64{0x8000000000000000}, random.next()}));
          data[32] =
              random.pick({u8{0x28}, u8{0x2A}, u8{0x12}, u8{0x00}, u8{0x25}, u8{0xA0}, u8{0x1A}, u8{0x5A},
                           u8{0x88}, u8{0x8A}, u8{0x35}, u8{0x9E}, u8{0x03}, u8{0x42}, u8{0x5F}, u8{0x41},
                           u8{0x43}, u8{0x46}, u8{0x4A}, u8{0x1B}, u8{0x1E}, u8{0xA8}});
          for (int b = 33; b < 48; b++) data[b] = random.below(2) ? 0 : static_cast<u8>(random.below(16));
          store_be<u64>(&data[48], random.below(kArena));
          store_be<u32>(&data[60], static_cast<u32>(random.below(1 << 16)));
        }
        break;
      }
      case 1:  // datagram
        store_be<u32>(&data[0], static_cast<u32>(random.below(10)));
        store_be<u16>(&data[6], static_cast<u16>(random.below(256)));
        store_be<u64>(&data[8], random.next());
        store_be<u64>(&data[16], random.below(kArena));
        break;
      case 2:  // processor area
        store_be<u16>(&data[4], static_cast<u16>(random.pick({640U, 1024U, 4096U, 0U})));
        break;
      case 3:  // frame or trace log
        store_be<u32>(&data[4], static_cast<u32>(random.number()));
        break;
      default:
        for (u64 b = 0; b < data.size(); b += 8) store_be<u64>(&data[b], random_argument(random));
    }
    memory.write(at, data);
  }
}

}  // namespace baton::fuzz
