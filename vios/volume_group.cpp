// SPDX-License-Identifier: Apache-2.0
#include "vios/volume_group.h"

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <stdexcept>

#include "devices/file_block.h"

namespace baton::vios {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kIdDigits = 32;

std::string random_id() {
  std::array<u8, kIdDigits / 2> bytes{};
  if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    throw std::runtime_error("the host gives no random numbers");
  std::string id;
  for (const u8 byte : bytes) {
    id += "0123456789abcdef"[byte >> 4];
    id += "0123456789abcdef"[byte & 15];
  }
  return id;
}

std::string megabytes(u64 bytes) { return std::to_string(bytes >> 20) + " MB"; }

}  // namespace

bool VolumeGroup::is_name(const std::string& name) {
  return !name.empty() && name.size() <= 31 && name[0] != '-' &&
         std::ranges::all_of(name, [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '_'; });
}

VolumeGroup::VolumeGroup(std::string name, std::string directory, u64 bytes)
    : name_(std::move(name)), directory_(std::move(directory)), bytes_(bytes) {
  const auto fail = [&](const std::string& why) {
    if (file_ >= 0) close(file_);
    throw std::runtime_error("The volume group " + name_ + " in " + directory_ + " " + why);
  };
  std::error_code error;
  fs::create_directories(directory_, error);
  const std::string path = directory_ + "/.volume_group";  // No name of a volume.
  file_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file_ < 0) fail(std::string("cannot be had: ") + std::strerror(errno) + "; correct its directory.");
  struct flock lock{};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  if (fcntl(file_, F_OFD_SETLK, &lock) != 0)
    fail("is in use by another Virtual I/O Server; give each group a directory of its own.");
  id_.resize(kIdDigits);
  const ssize_t length = pread(file_, id_.data(), kIdDigits, 0);
  if (length == 0) {
    // Every file here is taken for a volume, and can be removed as one.
    const auto others =
        std::ranges::count_if(fs::directory_iterator(directory_, error),
                              [&](const fs::directory_entry& entry) { return entry.path() != path; });
    if (others != 0) {
      unlink(path.c_str());
      fail("cannot be made: there are other files; give it a directory of its own.");
    }
    id_ = random_id();
    const std::string line = id_ + "\n";
    if (pwrite(file_, line.data(), line.size(), 0) != static_cast<ssize_t>(line.size()) || fdatasync(file_))
      fail(std::string("cannot be written: ") + std::strerror(errno) + ".");
  } else if (length != kIdDigits ||
             !std::ranges::all_of(id_, [](unsigned char c) { return std::isxdigit(c); })) {
    fail("is damaged: its .volume_group has no identifier; restore that file.");
  }
}

VolumeGroup::~VolumeGroup() { close(file_); }

std::vector<LogicalVolume> VolumeGroup::list() const {
  std::vector<LogicalVolume> out;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory_, error)) {
    const std::string name = entry.path().filename();
    if (!is_name(name) || !entry.is_regular_file(error)) continue;
    const u64 bytes = entry.file_size(error);
    if (!error)
      out.push_back({.name = name,
                     .group = name_,
                     .bytes = bytes,
                     .path = entry.path(),
                     .unique_id = id_ + "." + name});
  }
  std::ranges::sort(out, {}, &LogicalVolume::name);
  return out;
}

std::vector<LogicalVolume> VolumeGroup::volumes() const {
  const std::lock_guard hold(lock_);
  return list();
}

u64 VolumeGroup::free_bytes() const {
  u64 used = 0;
  for (const LogicalVolume& volume : volumes()) used += volume.bytes;
  return bytes_ - std::min(bytes_, used);
}

std::optional<LogicalVolume> VolumeGroup::find(const std::string& name) const {
  for (const LogicalVolume& volume : volumes())
    if (volume.name == name) return volume;
  return {};
}

LogicalVolume VolumeGroup::create(const std::string& name, u64 bytes) {
  const auto fail = [&](const std::string& why) {
    throw std::runtime_error("the logical volume " + name + " " + why);
  };
  if (!is_name(name)) throw std::runtime_error("the name \"" + name + "\" of a logical volume " + kNameRule);
  const std::lock_guard hold(lock_);
  u64 free = bytes_;
  for (const LogicalVolume& other : list()) {
    if (other.name == name) fail("is there already; remove it with rmlv, or give another name");
    free -= std::min(free, other.bytes);
  }
  if (bytes == 0 || bytes > free)
    fail("cannot have " + megabytes(bytes) + ": the volume group " + name_ + " has " + megabytes(free) +
         " free; choose another size or remove volumes with rmlv");
  bytes = (bytes + kPartition - 1) / kPartition * kPartition;  // The group, too, is whole partitions.
  const std::string path = directory_ + "/" + name;
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) fail(std::string("cannot be made: ") + std::strerror(errno));
  const bool sized = ftruncate(file, static_cast<off_t>(bytes)) == 0;
  const int why = errno;
  close(file);
  if (!sized) {
    unlink(path.c_str());
    fail(std::string("cannot be made: ") + std::strerror(why));
  }
  return {.name = name, .group = name_, .bytes = bytes, .path = path, .unique_id = id_ + "." + name};
}

void VolumeGroup::remove(const std::string& name) {
  const std::lock_guard hold(lock_);
  const std::string path = directory_ + "/" + name;
  const auto device = devices::open_file_block(path, path);
  std::string holder;
  if (device->reserve("rmlv", &holder) != 0)
    throw std::runtime_error("the logical volume " + name + " is in use by " + holder +
                             "; shut that partition down first");
  device->release();
  if (unlink(path.c_str()) != 0)
    throw std::runtime_error("the logical volume " + name + " cannot be removed: " + std::strerror(errno));
}

}  // namespace baton::vios
