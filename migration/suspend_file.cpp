// SPDX-License-Identifier: Apache-2.0
#include "migration/suspend_file.h"

#include <spdlog/spdlog.h>
#include <unistd.h>
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "hypervisor/virtual_processor.h"
#include "migration/page_engine.h"
#include "migration/snapshot.h"

namespace baton::migration {
namespace {

namespace fs = std::filesystem;
using hypervisor::Dispatch;
using hypervisor::Partition;

constexpr char kMagic[8] = {'B', 'A', 'T', 'O', 'N', 'S', 'U', 'S'};
constexpr u32 kFileVersion = 1;
constexpr u32 kLongestDescription = 1 << 20;

struct FileHeader {
  char magic[8];
  u32 version, length;
  u64 checksum;
};

/// The stream's bytes in a file.
class File final : public ByteStream {
 public:
  File(const std::string& path, const char* mode) : path_(path), file_(std::fopen(path.c_str(), mode)) {
    if (!file_) fail("be opened");
  }
  ~File() override {
    if (file_) std::fclose(file_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  void read(std::span<u8> out) override {
    if (std::fread(out.data(), 1, out.size(), file_) != out.size())
      throw StreamError("The file " + path_ + " ends too early.");
  }
  void write(std::span<const std::span<const u8>> parts) override {
    for (const std::span<const u8>& part : parts) {
      if (std::fwrite(part.data(), 1, part.size(), file_) != part.size()) fail("be written");
      bytes_ += part.size();
    }
  }
  /// Everything is on the medium when it returns.
  void finish() {
    if (std::fflush(file_) || fsync(fileno(file_))) fail("be written");
  }
  u64 bytes() const { return bytes_; }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw StreamError("The file " + path_ + " cannot " + what + ": " + std::strerror(errno) + ".");
  }
  const std::string path_;
  std::FILE* file_;
  u64 bytes_ = 0;
};

void write_pages(PageSender&& sender, u64 frames) {
  for (u64 frame = 0; frame < frames; ++frame) sender.add(frame);
  sender.flush();
}

std::string read_description(File& file, const std::string& path) {
  FileHeader header;
  file.read({reinterpret_cast<u8*>(&header), sizeof header});
  if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0)
    throw StreamError("The file " + path + " holds no suspended partition.");
  if (header.version != kFileVersion)
    throw StreamError("The file " + path + " has version " + std::to_string(header.version) +
                      ", we read version " + std::to_string(kFileVersion) + ".");
  if (header.length > kLongestDescription) throw StreamError("The file " + path + " is damaged.");
  std::string description(header.length, 0);
  file.read({reinterpret_cast<u8*>(description.data()), description.size()});
  if (XXH3_64bits(description.data(), description.size()) != header.checksum)
    throw StreamError("The file " + path + " is damaged.");
  return description;
}

void write_all(Partition& partition, const Description& description, File& file) {
  const std::string bytes = encode(description);
  FileHeader header{
      {}, kFileVersion, static_cast<u32>(bytes.size()), XXH3_64bits(bytes.data(), bytes.size())};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  const std::span<const u8> parts[] = {{reinterpret_cast<const u8*>(&header), sizeof header},
                                       {reinterpret_cast<const u8*>(bytes.data()), bytes.size()}};
  file.write(parts);
  Preamble preamble;
  preamble.stream_id = random_stream_id();
  write_preamble(file, preamble);
  FrameWriter writer(file);
  write_pages(PageSender(writer, partition.memory()), partition.memory().frames());
  write_pages(PageSender(writer, partition.hpt()), partition.hpt().bytes() / cpu::kFrameSize);
  const std::string state = save_state(partition, true);
  writer.send(FrameType::kState, {reinterpret_cast<const u8*>(state.data()), state.size()});
  writer.send(FrameType::kCompleted);
  file.finish();
}

void read_all(Partition& partition, File& file) {
  read_preamble(file);
  FrameReader reader(file);
  PageReceiver memory(partition.memory()), table(partition.hpt());
  for (bool restored = false;;) {
    const Frame frame = reader.read();
    if (frame.type == FrameType::kMemory && !restored) {
      memory.apply(frame.payload);
    } else if (frame.type == FrameType::kTable && !restored) {
      table.apply(frame.payload);
    } else if (frame.type == FrameType::kState && !restored && memory.complete() && table.complete()) {
      restore_state(partition, frame.payload, true);
      restored = true;
    } else if (frame.type == FrameType::kCompleted && restored) {
      return;
    } else {
      throw StreamError("The file is damaged: a part of it is out of turn.");
    }
  }
}

}  // namespace

void freeze(Partition& partition) {
  const auto& processors = partition.processors();
  for (const auto& processor : processors) processor->request_stop();
  // A processor may have started another one before it stopped.
  for (bool all = false; !all;) {
    for (const auto& processor : processors) processor->stop();
    all = std::ranges::all_of(processors, [](const auto& p) { return p->dispatch() == Dispatch::kStopped; });
  }
  for (const auto& processor : processors) processor->restore_dispatch(processor->stopped_as());
}

void thaw(Partition& partition) {
  for (const auto& processor : partition.processors()) processor->start_restored(processor->dispatch());
}

u64 suspend_to_file(hypervisor::ManagedSystem& system, vios::VirtualIo& vios,
                    const std::shared_ptr<Partition>& partition, const Description& description,
                    const std::string& path) {
  if (fs::exists(path))
    throw std::runtime_error("The file " + path + " is there already; name another one or remove it.");
  const std::string temporary = path + ".new";
  File file(temporary, "wb");
  u64 bytes = 0;
  freeze(*partition);
  partition->quiesce_adapters();
  vios.quiesce(*partition);
  try {
    write_all(*partition, description, file);
    bytes = file.bytes();
    fs::rename(temporary, path);  // From here on the file is the partition.
  } catch (const std::exception& problem) {
    std::error_code error;
    fs::remove(temporary, error);
    std::string why = problem.what();
    try {
      vios.resume(*partition);
    } catch (const std::runtime_error& lost) {
      why += " And it goes on without its disks: " + std::string(lost.what());
    }
    partition->resume_adapters();
    thaw(*partition);
    throw std::runtime_error("The partition " + partition->name() + " was not suspended and goes on: " + why);
  }
  partition->stop_processors();
  vios.detach(*partition);
  system.remove(partition->id());
  spdlog::info("{} was suspended to {}: {:.1f} MB", partition->name(), path,
               static_cast<double>(bytes) / 1e6);
  return bytes;
}

std::string description_in(const std::string& path) {
  File file(path, "rb");
  return read_description(file, path);
}

std::shared_ptr<Partition> resume_from_file(hypervisor::ManagedSystem& system, vios::VirtualIo& vios,
                                            const hypervisor::Profile& profile, const std::string& path) {
  // Whoever renames it has it: two resumptions of one file cannot both begin.
  const std::string claimed = path + ".resuming";
  std::error_code error;
  fs::rename(path, claimed, error);
  if (error) throw std::runtime_error("The file " + path + " cannot be taken: " + error.message() + ".");
  std::shared_ptr<Partition> partition;
  try {
    File file(claimed, "rb");
    const Description description = decode(read_description(file, path));
    partition = system.create(profile);
    if (partition->hpt().bytes() != description.hpt_bytes)
      throw std::runtime_error("The page table of the partition would have another size here.");
    vios.attach_shell(*partition);
    read_all(*partition, file);
    vios.resume(*partition);
  } catch (...) {
    if (partition) {
      vios.detach(*partition);
      system.remove(partition->id());
    }
    fs::rename(claimed, path, error);
    throw;
  }
  partition->resume_adapters();
  fs::remove(claimed, error);  // Before the first instruction: it can never run from this file again.
  partition->start_restored();
  vios.announce(*partition);
  spdlog::info("{} was resumed from {}", partition->name(), path);
  return partition;
}

}  // namespace baton::migration
