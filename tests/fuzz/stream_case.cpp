// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "hypervisor/system.h"
#include "migration/description.h"
#include "migration/page_engine.h"
#include "migration/snapshot.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/stream.h"

namespace baton::fuzz {
namespace {

using migration::Frame;
using migration::FrameReader;
using migration::FrameType;
using migration::FrameWriter;

/// What the first byte says.
enum class What : u8 { kDescription, kStream, kFrames, kState, kInactiveState, kPlatform, kPacked, kCount };

class Bytes final : public migration::ByteStream {
 public:
  Bytes() = default;
  explicit Bytes(std::span<const u8> content) : bytes(content.begin(), content.end()) {}
  void read(std::span<u8> out) override {
    if (out.size() > bytes.size() - at) throw migration::StreamError("end");
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), out.size(), out.begin());
    at += out.size();
  }
  void write(std::span<const std::span<const u8>> parts) override {
    for (const auto& part : parts) bytes.insert(bytes.end(), part.begin(), part.end());
  }
  std::vector<u8> bytes;
  std::size_t at = 0;
};

hypervisor::Profile profile() {
  hypervisor::Profile out;
  out.name = "lpar1";
  out.id = 2;
  out.memory = 64 << 20;
  out.processors = 2;
  out.scsi = {{.slot = 2, .server_slot = 0}};
  out.disks = {{.slot = 2, .vtd = "", .backing = "hdisk0", .target = 0}};
  out.ethernet = {hypervisor::VirtualEthernetSlot{}};
  return out;
}

hypervisor::ManagedSystem& site() {
  static hypervisor::ManagedSystem system({.name = "F", .memory = 1ull << 30, .processors = 8}, "");
  return system;
}

/// The partition that a stream is read into; a new one each time, as for each move.
struct Shell {
  std::shared_ptr<hypervisor::Partition> partition = site().create(profile());
  ~Shell() { site().remove(partition->id()); }
};

std::span<const u8> raw(const std::string& text) {
  return {reinterpret_cast<const u8*>(text.data()), text.size()};
}

/// Frames until the end, as a target takes them.
void take(FrameReader& reader) {
  Shell shell;
  migration::PageReceiver memory(shell.partition->memory()), table(shell.partition->hpt());
  while (true) {
    const Frame frame = reader.read();
    if (frame.type == FrameType::kMemory)
      memory.apply(frame.payload);
    else if (frame.type == FrameType::kTable)
      table.apply(frame.payload);
    else if (frame.type == FrameType::kState)
      migration::restore_state(*shell.partition, frame.payload, true);
  }
}

/// Payloads with sound headers and checksums: {type, u32 length, payload} each, so that what stands behind
/// the checks is reached.
void frame_up(std::span<const u8> bytes, Bytes& out) {
  FrameWriter writer(out);
  while (bytes.size() >= 5) {
    const auto type = static_cast<FrameType>(1 + bytes[0] % migration::kFrameTypes);
    u32 length;
    std::memcpy(&length, bytes.data() + 1, 4);
    bytes = bytes.subspan(5);
    length = static_cast<u32>(std::min<u64>({length, bytes.size(), migration::longest_payload(type)}));
    writer.send(type, bytes.first(length));
    bytes = bytes.subspan(length);
  }
}

std::vector<u8> sample(What what, std::span<const u8> content) {
  std::vector<u8> out{static_cast<u8>(what)};
  out.insert(out.end(), content.begin(), content.end());
  return out;
}

std::vector<std::vector<u8>> make_corpus() {
  std::vector<std::vector<u8>> out;
  migration::Description d;
  d.stream_version = migration::kStreamVersion;
  d.source_system = "A";
  d.active = true;
  d.hpt_bytes = 1 << 20;
  d.time_of_day_ns = 12345;
  d.current_mode = "POWER6";
  d.profile = profile();
  d.profile.ethernet[0].mac = {0x32, 1, 2, 3, 4, 5};
  d.profile.ethernet[0].vlans = {10};
  d.profile.io_slots = {"U789D.001.10BA70A-P1-C3"};
  d.disk_ids = {"id-of-lun"};
  d.bridged_vlans = {1, 10};
  d.wanted_mappings = {{2, {"vios2", 3}, 12}};
  d.wanted_mover = {"vios1", 0};
  d.source_mover = "vios1";
  d.channels = 4;
  out.push_back(sample(What::kDescription, raw(migration::encode(d))));

  Shell shell;
  hypervisor::Partition& p = *shell.partition;
  p.memory().store<u64>(0x5000, 0x123456789ABCDEF0);
  p.console().input(raw("typed"));
  p.adapter(0x30000003)->tce()->put(0x1000, 0x5003);
  const std::string state = migration::save_state(p, true);
  out.push_back(sample(What::kState, raw(state)));
  out.push_back(sample(What::kInactiveState, raw(migration::save_state(p, false))));
  out.push_back(sample(What::kPlatform, p.save_platform()));

  Bytes stream;
  write_preamble(stream, {});
  FrameWriter writer(stream);
  migration::PageSender memory(writer, p.memory()), table(writer, p.hpt());
  for (u64 frame = 0; frame < 16; ++frame) memory.add(frame);
  memory.flush();
  for (u64 frame = 0; frame < 4; ++frame) table.add(frame);
  table.flush();
  writer.send(FrameType::kState, raw(state));
  writer.send(FrameType::kPrepare);
  writer.send_text(FrameType::kRefused, "no");
  out.push_back(sample(What::kStream, stream.bytes));

  Bytes compressed;
  write_preamble(compressed, {});
  FrameWriter small(compressed);
  small.compress();
  migration::PageSender compressible(small, p.memory());
  for (u64 frame = 0; frame < 16; ++frame) compressible.add(frame);
  compressible.flush();
  out.push_back(sample(What::kStream, compressed.bytes));

  Bytes channel;
  write_preamble(channel, {.channel = migration::Channel::kPages});
  FrameWriter part(channel);
  migration::PageSender by_channel(part, p.memory());
  for (u64 frame = 0; frame < 16; ++frame) by_channel.add(frame);
  by_channel.flush();
  part.send(FrameType::kRound);
  part.send(FrameType::kDrained);
  out.push_back(sample(What::kStream, channel.bytes));

  // The same payloads without their headers.
  Bytes again(stream.bytes);
  read_preamble(again);
  FrameReader reader(again);
  std::vector<u8> frames;
  for (int i = 0; i < 5; ++i) {
    const Frame frame = reader.read();
    frames.push_back(static_cast<u8>(static_cast<u32>(frame.type) - 1));
    const auto length = static_cast<u32>(frame.payload.size());
    const auto* at = reinterpret_cast<const u8*>(&length);
    frames.insert(frames.end(), at, at + 4);
    frames.insert(frames.end(), frame.payload.begin(), frame.payload.end());
    if (frame.type != FrameType::kMemory) continue;
    const std::span<const u8> parts[] = {frame.payload};
    migration::Compressor compressor;
    out.push_back(sample(What::kPacked, compressor.compress(parts)));
  }
  out.push_back(sample(What::kFrames, frames));
  return out;
}

}  // namespace

const std::vector<std::vector<u8>>& stream_corpus() {
  static const std::vector<std::vector<u8>> corpus = make_corpus();
  return corpus;
}

void read_stream(std::span<const u8> bytes) try {
  if (bytes.empty()) return;
  const auto what = static_cast<What>(bytes[0] % static_cast<u8>(What::kCount));
  bytes = bytes.subspan(1);
  switch (what) {
    case What::kDescription: {
      const auto description = migration::decode({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
      if (migration::encode(migration::decode(migration::encode(description))) !=
          migration::encode(description))
        throw Finding("a description changes when it is written and read");
      return;
    }
    case What::kStream: {
      Bytes stream(bytes);
      migration::read_preamble(stream);
      FrameReader reader(stream);
      return take(reader);
    }
    case What::kFrames: {
      Bytes stream;
      frame_up(bytes, stream);
      FrameReader reader(stream);
      return take(reader);
    }
    case What::kPacked: {
      migration::Decompressor decompressor;
      Shell shell;
      return migration::PageReceiver(shell.partition->memory())
          .apply(decompressor.decompress(bytes, migration::longest_payload(FrameType::kMemory)));
    }
    case What::kState:
    case What::kInactiveState:
      return migration::restore_state(*Shell().partition, bytes, what == What::kState);
    case What::kPlatform:
      return Shell().partition->restore_platform(bytes);
    case What::kCount:
      return;
  }
} catch (const Finding&) {
  throw;
} catch (const std::runtime_error&) {
  // Refused, in one sentence.
}

/// A sound input with some of its bytes changed, cut out, doubled or taken from another.
void run_stream_case(Random random) {
  std::vector<u8> bytes = stream_corpus()[random.below(stream_corpus().size())];
  const std::vector<u8>& other = stream_corpus()[random.below(stream_corpus().size())];
  for (u64 n = random.below(8); n-- > 0 && bytes.size() > 1;) {
    const u64 at = 1 + random.below(bytes.size() - 1), length = 1 + random.number() % 64;
    const auto from = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    const auto to = from + static_cast<std::ptrdiff_t>(std::min<u64>(length, bytes.size() - at));
    switch (random.below(6)) {
      case 0:
        bytes[at] = static_cast<u8>(random.next());
        break;
      case 1:
        bytes[at] = static_cast<u8>(bytes[at] ^ 1u << random.below(8));
        break;
      case 2:
        bytes.erase(from, to);
        break;
      case 3: {
        const std::vector<u8> piece(from, to);
        bytes.insert(bytes.begin() + 1, piece.begin(), piece.end());
        break;
      }
      case 4:
        std::fill(from, to, static_cast<u8>(random.one_in(2) ? 0xFF : 0));
        break;
      default: {
        const u64 start = random.below(other.size());
        const u64 count = std::min<u64>(length, other.size() - start);
        bytes.insert(from, other.begin() + static_cast<std::ptrdiff_t>(start),
                     other.begin() + static_cast<std::ptrdiff_t>(start + count));
      }
    }
  }
  read_stream(bytes);
}

}  // namespace baton::fuzz
