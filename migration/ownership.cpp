// SPDX-License-Identifier: Apache-2.0
#include "migration/ownership.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <utility>
#include <vector>

#include "migration/description.h"

namespace baton::migration {
namespace {

constexpr const char *kLeaving = "leaving", *kLeft = "left", *kStays = "stays", *kArrived = "arrived";

constexpr std::size_t kRoom = 256 << 10;

std::string to_hex(const std::string& bytes) {
  std::string out;
  for (const char c : bytes) out += fmt::format("{:02x}", static_cast<u8>(c));
  return out.empty() ? "-" : out;
}

std::string from_hex(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2)
    out += static_cast<char>(std::stoi(text.substr(i, 2), nullptr, 16));
  return out;
}

u64 checksum(const std::string& text) { return XXH3_64bits(text.data(), text.size()); }

/// A profile as a description keeps it.
std::string encode_profile(const hypervisor::Profile& profile) {
  Description d;
  d.profile = profile;
  d.disk_ids.resize(profile.disks.size());
  return encode(d);
}

}  // namespace

Ownership::Ownership(const std::string& path) : path_(path) {
  if (path.empty()) return;
  std::string known;
  {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream all;
    all << file.rdbuf();
    known = all.str();
  }
  known.resize(std::min(known.size(), known.find('\0')));
  std::size_t whole = 0;
  for (std::size_t end; (end = known.find('\n', whole)) != std::string::npos; whole = end + 1) {
    const std::string line = known.substr(whole, end - whole);
    const std::size_t space = line.find(' ');
    if (space == std::string::npos ||
        line.substr(0, space) != fmt::format("{:016x}", checksum(line.substr(space + 1))))
      throw std::runtime_error("The record of moves " + path + " is damaged in the line that begins with \"" +
                               line.substr(0, 40) + "\"; it says which partitions are this system's.");
    std::istringstream words(line.substr(space + 1));
    std::string event, stream, description, remote;
    words >> event >> stream >> description >> remote;
    Entry entry;
    entry.stream_id = std::stoull(stream, nullptr, 16);
    entry.remote = from_hex(remote);
    entry.profile = decode(from_hex(description)).profile;
    apply(event, entry.profile.name, entry);
  }
  file_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  const std::string folder = std::filesystem::path(path).parent_path().string();
  const int directory = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  size_ = static_cast<off_t>(whole);
  const bool made = file_ >= 0 && prepare() && directory >= 0 && ::fsync(directory) == 0;
  const std::string why = std::strerror(errno);
  if (directory >= 0) ::close(directory);
  if (!made) throw std::runtime_error("The record of moves " + path + " cannot be written: " + why + ".");
}

/// Room for lines to come, as blocks that are on the disk: to write a line there takes no new block and no
/// new length, so that its synchronisation need not wait for what others write to the file system.
bool Ownership::prepare() {
  const std::vector<char> zeros(kRoom);
  if (::pwrite(file_, zeros.data(), zeros.size(), size_) != static_cast<ssize_t>(kRoom) ||
      ::fsync(file_) != 0)
    return false;
  prepared_ = size_ + static_cast<off_t>(kRoom);
  return true;
}

Ownership::~Ownership() {
  if (file_ >= 0) ::close(file_);
}

void Ownership::apply(const std::string& event, const std::string& name, Entry entry) {
  entry.where = event == kLeaving ? Where::kInDoubt : event == kLeft ? Where::kElsewhere : Where::kHere;
  if (event == kArrived) arrivals_.insert(entry.stream_id);
  entries_[name] = std::move(entry);
}

void Ownership::write(const std::string& event, const std::string& name, const Entry& entry) {
  const std::string text = fmt::format("{} {:016x} {} {}", event, entry.stream_id,
                                       to_hex(encode_profile(entry.profile)), to_hex(entry.remote));
  const std::string line = fmt::format("{:016x} {}\n", checksum(text), text);
  if (!path_.empty()) {
    const auto length = static_cast<off_t>(line.size());
    const bool room = size_ + length < prepared_ || prepare();
    if (!room || ::pwrite(file_, line.data(), line.size(), size_) != length || ::fdatasync(file_) != 0) {
      const std::string why = std::strerror(errno);
      // What is not known to be on the disk must not be found there later.
      if (::ftruncate(file_, size_) != 0) ::close(std::exchange(file_, -1));
      prepared_ = size_;
      throw std::runtime_error("The record of moves " + path_ + " cannot be written: " + why + ".");
    }
    size_ += length;
  }
  apply(event, name, entry);
}

void Ownership::leaving(u64 stream_id, const hypervisor::Profile& profile, const std::string& remote) {
  const std::lock_guard hold(lock_);
  write(kLeaving, profile.name, {.stream_id = stream_id, .profile = profile, .remote = remote});
}

void Ownership::decide(const char* event, u64 stream_id) {
  const std::lock_guard hold(lock_);
  for (const auto& [name, entry] : entries_) {
    if (entry.stream_id != stream_id || entry.where != Where::kInDoubt) continue;
    write(event, std::string(name), Entry(entry));
    return;
  }
}

void Ownership::left(u64 stream_id) { decide(kLeft, stream_id); }
void Ownership::stays(u64 stream_id) { decide(kStays, stream_id); }

void Ownership::arrived(u64 stream_id, const hypervisor::Profile& profile, const std::string& remote) {
  const std::lock_guard hold(lock_);
  write(kArrived, profile.name, {.stream_id = stream_id, .profile = profile, .remote = remote});
}

bool Ownership::arrived(u64 stream_id) const {
  const std::lock_guard hold(lock_);
  return arrivals_.contains(stream_id);
}

std::map<std::string, Ownership::Entry> Ownership::entries() const {
  const std::lock_guard hold(lock_);
  return entries_;
}

}  // namespace baton::migration
