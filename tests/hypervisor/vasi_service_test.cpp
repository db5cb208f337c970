// SPDX-License-Identifier: Apache-2.0
// VASI as a mover service partition sees it: messages byte for byte, states in their order.
#include "hypervisor/vasi_service.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <random>

#include "hypervisor/hcall.h"

namespace baton::hypervisor {
namespace {

using Bytes = std::array<u8, 16>;

class Operation final : public VasiOperation {
 public:
  u64 bytes_left() override { return left; }
  bool download(std::span<const u8> data) override {
    downloaded.assign(data.begin(), data.end());
    return sound;
  }
  void signalled(VasiSignal signal, u32 why) override {
    signals.push_back(signal);
    reason = why;
  }
  void entered(VasiState state, u32 why) override { entries.emplace_back(state, why); }
  void uploaded(u64 correlator, VasiStatus status) override { answers.emplace_back(correlator, status); }
  Work donated() override { return work; }
  bool suspended() override { return here; }

  u64 left = 4096;
  bool sound = true;
  std::vector<u8> downloaded;
  std::vector<VasiSignal> signals;
  u32 reason = 0;
  std::vector<std::pair<u64, VasiStatus>> answers;
  std::vector<std::pair<VasiState, u32>> entries;
  Work work = Work::kMore;
  bool here = true;
};

constexpr u64 kStream = 0x1122334455667788;
constexpr u32 kTop = 0xA0B0C0D0;

class Vasi : public testing::Test {
 protected:
  Vasi() {
    for (u64 at = 0; at < memory_.size(); at += 4096) window_.put(at, at | 3);
  }

  void send(const Bytes& m) {
    service_.receive(adapter_, {load_be<u64>(m.data()), load_be<u64>(m.data() + 8)});
  }
  Bytes next() {
    Bytes out{};
    if (queue_.empty()) {
      ADD_FAILURE() << "no message";
      return out;
    }
    store_be<u64>(out.data(), queue_.front().high);
    store_be<u64>(out.data() + 8, queue_.front().low);
    queue_.pop_front();
    return out;
  }
  Bytes ask(const Bytes& m) {
    send(m);
    return next();
  }
  static Bytes message(VasiFormat format, u32 middle = 0, u64 low = 0) {
    Bytes out{0x80, static_cast<u8>(format)};
    store_be<u32>(&out[4], middle);
    store_be<u64>(&out[8], low);
    return out;
  }
  static VasiStatus status(const Bytes& m) { return static_cast<VasiStatus>(m[2]); }
  Bytes open(u64 stream = kStream, u8 role = 1, u32 top = kTop) {
    Bytes m = message(VasiFormat::kOpen, top, stream);
    m[3] = role;
    return ask(m);
  }
  u32 opened(u64 stream = kStream, u8 role = 1, u32 top = kTop) {
    return load_be<u32>(&open(stream, role, top)[4]);
  }
  /// A buffer of the server's with its correlator.
  u64 buffer(u64 at, u32 length) {
    memory_.store<u64>(at, 0xC000000000000000 | at);
    return u64{0x80} << 56 | u64{length} << 32 | at;
  }
  VasiStatus signal(u32 bottom, u16 code, u32 reason = 0) {
    Bytes m = message(VasiFormat::kSignal, bottom);
    store_be<u32>(&m[8], reason);
    store_be<u16>(&m[12], code);
    return status(ask(m));
  }

  cpu::Memory memory_{1 << 20};
  TceTable window_{0x10000001, memory_, 1 << 21};
  std::deque<CrqEntry> queue_;
  VasiAdapter adapter_{window_, [this](const CrqEntry& entry) { queue_.push_back(entry); }};
  VasiService service_;
  Operation operation_;
};

TEST_F(Vasi, CapabilitiesAreCutToWhatThereIs) {
  Bytes m = message(VasiFormat::kCapabilities);
  m[3] = 1;
  std::fill(m.begin() + 4, m.end(), u8{0xFF});
  const Bytes answer = ask(m);
  EXPECT_EQ(answer[1], 0x81);
  EXPECT_EQ(status(answer), VasiStatus::kSuccess);
  EXPECT_EQ(answer[13] & 0x80, 0) << "no failover of movers on POWER6";
  EXPECT_EQ(answer[13] & 0x07, 0x07);
  EXPECT_EQ(answer[14], 0x08);
  EXPECT_EQ(answer[15], VasiService::kOpens);
}

TEST_F(Vasi, OpenNegotiatesHandles) {
  EXPECT_EQ(status(open()), VasiStatus::kInvalidStream);
  ASSERT_TRUE(service_.expect(kStream, VasiRole::kSourceMover, operation_));
  EXPECT_FALSE(service_.expect(kStream, VasiRole::kSourceMover, operation_)) << "one stream of a number";
  EXPECT_EQ(status(open(kStream, 2)), VasiStatus::kInvalidService);
  EXPECT_EQ(status(open(kStream, 9)), VasiStatus::kInvalidService);
  std::vector<u32> bottoms;
  for (int i = 0; i < VasiService::kOpens; ++i) bottoms.push_back(opened());
  std::ranges::sort(bottoms);
  EXPECT_EQ(std::ranges::adjacent_find(bottoms), bottoms.end());
  EXPECT_EQ(status(open()), VasiStatus::kTooManyOpens);
  const Bytes closed = ask(message(VasiFormat::kClose, bottoms[0]));
  EXPECT_EQ(closed[1], 0x83);
  EXPECT_EQ(status(closed), VasiStatus::kSuccess);
  EXPECT_EQ(load_be<u32>(&closed[4]), kTop);
  EXPECT_EQ(status(ask(message(VasiFormat::kClose, bottoms[0]))), VasiStatus::kInvalidBottom);
  EXPECT_EQ(status(open()), VasiStatus::kSuccess);
  service_.reset(adapter_);
  EXPECT_EQ(status(ask(message(VasiFormat::kClose, bottoms[1]))), VasiStatus::kInvalidBottom);
}

TEST_F(Vasi, BuffersAreKeptInPoolsOfOneLength) {
  service_.expect(kStream, VasiRole::kSourceMover, operation_);
  const u32 bottom = opened();
  const auto add = [&](u64 descriptor) { return ask(message(VasiFormat::kAddBuffer, bottom, descriptor)); };
  Bytes answer = add(buffer(0x1000, 4096));
  EXPECT_EQ(status(answer), VasiStatus::kSuccess);
  EXPECT_EQ(load_be<u64>(&answer[8]), u64{1} << 24 | 4096) << "one free buffer of 4096 bytes";
  answer = add(buffer(0x2000, 4096));
  EXPECT_EQ(load_be<u64>(&answer[8]), u64{2} << 24 | 4096);
  EXPECT_EQ(status(add(buffer(0x3000, 512))), VasiStatus::kSuccess);
  EXPECT_EQ(status(add(buffer(0x3000, 513))), VasiStatus::kSuccess);
  EXPECT_EQ(status(add(buffer(0x3000, 514))), VasiStatus::kSuccess);
  answer = add(buffer(0x3000, 515));
  EXPECT_EQ(status(answer), VasiStatus::kInvalidLength) << "there are four pools";
  EXPECT_EQ(load_be<u64>(&answer[8]), 0xC000000000003000) << "its correlator comes back";
  EXPECT_EQ(status(add(buffer(0x3000, 8))), VasiStatus::kInvalidLength);
  EXPECT_EQ(status(add(buffer(0x3000, 4096) & ~(u64{1} << 63))), VasiStatus::kInvalidDescriptor);
  EXPECT_EQ(status(add(u64{0x80} << 56 | u64{4096} << 32 | 0x180000)), VasiStatus::kInvalidDescriptor)
      << "not mapped";
  EXPECT_EQ(status(ask(message(VasiFormat::kAddBuffer, bottom + 7, buffer(0x1000, 4096)))),
            VasiStatus::kInvalidBottom);

  const auto take = [&](u32 length) { return ask(message(VasiFormat::kFreeBuffer, bottom, length)); };
  answer = take(4096);
  EXPECT_EQ(answer[1], 0x85);
  EXPECT_EQ(load_be<u64>(&answer[8]), 0xC000000000002000);
  EXPECT_EQ(status(take(4096)), VasiStatus::kSuccess);
  EXPECT_EQ(status(take(4096)), VasiStatus::kEmpty);
  EXPECT_EQ(status(take(77)), VasiStatus::kInvalidLength);
}

TEST_F(Vasi, ManyBuffersByOneMessage) {
  service_.expect(kStream, VasiRole::kSourceMover, operation_);
  const u32 bottom = opened();
  memory_.store<u64>(0x8000, 0xABCD);
  for (u64 i = 0; i < 3; ++i) memory_.store<u64>(0x8008 + 8 * i, buffer(0x1000 * (i + 1), 4096));
  const auto add = [&](u8 count, u32 length) {
    Bytes m = message(VasiFormat::kAddBufferIndirect, bottom, u64{0x80} << 56 | u64{length} << 32 | 0x8000);
    m[3] = count;
    return ask(m);
  };
  Bytes answer = add(3, 32);
  EXPECT_EQ(status(answer), VasiStatus::kSuccess);
  EXPECT_EQ(answer[3], 3);
  EXPECT_EQ(load_be<u64>(&answer[8]), 0xABCDu);
  EXPECT_EQ(status(add(3, 31)), VasiStatus::kInvalidIndirectLength);
  memory_.store<u64>(0x8010, 0);
  answer = add(3, 32);
  EXPECT_EQ(status(answer), VasiStatus::kInvalidDescriptor);
  EXPECT_EQ(answer[3], 1) << "what came before it was taken";
}

TEST_F(Vasi, ASliceIsUploadedInABufferAndAnswered) {
  service_.expect(kStream, VasiRole::kSourceMover, operation_);
  const u32 bottom = opened();
  const std::vector<u8> slice{1, 2, 3, 4, 5};
  EXPECT_EQ(service_.upload(kStream, slice), 0u) << "no buffer";
  ask(message(VasiFormat::kAddBuffer, bottom, buffer(0x1000, 4096)));
  const u64 correlator = service_.upload(kStream, slice);
  ASSERT_NE(correlator, 0u);
  const Bytes request = next();
  EXPECT_EQ(request[1], 0x07);
  EXPECT_EQ(load_be<u64>(&request[8]), 0xC000000000001000) << "the buffer's correlator";
  EXPECT_EQ(*memory_.load<u64>(0x1000), 0xC000000000001000) << "which is not touched";
  EXPECT_EQ(*memory_.load<u32>(0x1008), kTop);
  EXPECT_EQ(*memory_.load<u32>(0x100C), bottom);
  EXPECT_EQ(*memory_.load<u64>(0x1010), 0x8000000000000000) << "write, sequential";
  EXPECT_EQ(*memory_.load<u64>(0x1018), correlator);
  EXPECT_EQ(*memory_.load<u32>(0x1020), 5u) << "five immediate bytes";
  EXPECT_EQ(*memory_.load<u8>(0x1028), 5);
  EXPECT_EQ(*memory_.load<u32>(0x1029), 0u) << "the end";
  EXPECT_EQ(service_.upload(kStream, slice), 0u) << "the buffer is the server's again";
  Bytes answer = message(VasiFormat::kOperation, 0, correlator);
  answer[1] |= 0x80;
  send(answer);
  send(answer);  // Nobody waits for the second one.
  EXPECT_TRUE(queue_.empty());
  ASSERT_EQ(operation_.answers.size(), 1u);
  EXPECT_EQ(operation_.answers[0], std::pair(correlator, VasiStatus::kSuccess));
  EXPECT_EQ(service_.upload(kStream, std::vector<u8>(4096)), 0u) << "larger than any buffer";
}

TEST_F(Vasi, DownloadsInBothForms) {
  service_.expect(kStream, VasiRole::kTargetMover, operation_);
  const u32 bottom = opened(kStream, 2);
  const u64 descriptor = buffer(0x1000, 64);
  memory_.store<u32>(0x1008, 4);  // Immediate.
  memory_.store<u32>(0x100C, 0x01020304);
  memory_.store<u32>(0x1010, 0x80000002);  // Indirect: length, then the address.
  memory_.store<u32>(0x1014, 0x5000);
  memory_.store<u16>(0x5000, 0x0506);
  memory_.store<u32>(0x1018, 0);
  const Bytes answer = ask(message(VasiFormat::kDownload, bottom, descriptor));
  EXPECT_EQ(status(answer), VasiStatus::kSuccess);
  EXPECT_EQ(load_be<u64>(&answer[8]), 0xC000000000001000);
  EXPECT_EQ(operation_.downloaded, (std::vector<u8>{1, 2, 3, 4, 5, 6}));
  memory_.store<u32>(0x1018, 0x01000001);  // A control byte that there is not.
  EXPECT_EQ(status(ask(message(VasiFormat::kDownload, bottom, descriptor))), VasiStatus::kInvalidDownload);
  memory_.store<u32>(0x1018, 0x00FFFFFF);  // Longer than its buffer.
  EXPECT_EQ(status(ask(message(VasiFormat::kDownload, bottom, descriptor))), VasiStatus::kInvalidDownload);
  EXPECT_EQ(status(ask(message(VasiFormat::kDownload, bottom, 0x1000))), VasiStatus::kInvalidDescriptor);
  EXPECT_EQ(service_.state(kStream), VasiState::kEnabled);

  memory_.store<u32>(0x1018, 0);
  operation_.sound = false;
  EXPECT_EQ(status(ask(message(VasiFormat::kDownload, bottom, descriptor))),
            VasiStatus::kInvalidDownloadData);
  EXPECT_EQ(service_.state(kStream), VasiState::kAborted) << "an error that cannot be mended ends the stream";
  const Bytes told = next();
  EXPECT_EQ(told[1], 0x09);
  EXPECT_EQ(load_be<u32>(&told[4]), kTop);
  EXPECT_EQ(told[8], 4) << "platform firmware";
  EXPECT_EQ(load_be<u16>(&told[12]), 2);
  EXPECT_EQ(status(ask(message(VasiFormat::kDownload, bottom, descriptor))), VasiStatus::kSuccess)
      << "what comes later is flushed";
  EXPECT_EQ(status(open(kStream, 2)), VasiStatus::kStreamAborted);
  EXPECT_EQ(service_.donate(adapter_, u64{kTop} << 32 | bottom), h::Aborted);
}

TEST_F(Vasi, EveryOrderOfStates) {
  const std::vector<std::vector<VasiState>> source = {
      {VasiState::kSuspending, VasiState::kSuspended, VasiState::kResumed, VasiState::kCompleted},
      {VasiState::kCompleted},  // Inactive.
      {VasiState::kAborted},
      {VasiState::kSuspending, VasiState::kAborted},
      {VasiState::kSuspending, VasiState::kSuspended, VasiState::kAborted},
  };
  const std::vector<std::vector<VasiState>> target = {
      {VasiState::kResumed, VasiState::kCompleted}, {VasiState::kCompleted}, {VasiState::kAborted}};
  constexpr VasiState kAll[] = {VasiState::kInvalid,    VasiState::kEnabled,   VasiState::kAborted,
                                VasiState::kSuspending, VasiState::kSuspended, VasiState::kResumed,
                                VasiState::kCompleted};
  for (const VasiRole role : {VasiRole::kSourceMover, VasiRole::kTargetMover}) {
    const auto& sequences = role == VasiRole::kSourceMover ? source : target;
    for (const auto& sequence : sequences) {
      ASSERT_TRUE(service_.expect(kStream, role, operation_));
      const u32 bottom = opened(kStream, static_cast<u8>(role));
      EXPECT_NE(bottom, 0u);
      VasiState at = VasiState::kEnabled;
      for (const VasiState next_state : sequence) {
        // Whatever is not a continuation of some sequence is refused and told to nobody.
        for (const VasiState other : kAll) {
          if (!vasi_may_follow(role, at, other))
            EXPECT_FALSE(service_.enter(kStream, other)) << to_string(other);
        }
        EXPECT_TRUE(queue_.empty());
        ASSERT_TRUE(service_.enter(kStream, next_state, 0x06000004)) << to_string(next_state);
        const Bytes told = next();
        EXPECT_EQ(told[1], 0x09);
        EXPECT_EQ(load_be<u32>(&told[8]), 0x06000004u);
        EXPECT_EQ(load_be<u16>(&told[12]), static_cast<u16>(next_state));
        at = next_state;
      }
      for (const VasiState other : kAll)
        EXPECT_FALSE(vasi_may_follow(role, at, other)) << "the end is the end";
      service_.forget(kStream);
      EXPECT_EQ(service_.state(kStream), VasiState::kInvalid);
    }
  }
}

TEST_F(Vasi, SignalsByRoleAndState) {
  service_.expect(kStream, VasiRole::kSourceMover, operation_);
  const u32 bottom = opened();
  for (const u16 code : {0, 4, 5, 6, 7, 0xFFFF})
    EXPECT_EQ(signal(bottom, code), VasiStatus::kInvalidSignal) << code;
  EXPECT_EQ(signal(bottom, 3, 0x02000001), VasiStatus::kSuccess);
  EXPECT_EQ(operation_.signals, std::vector{VasiSignal::kSuspend});
  EXPECT_EQ(operation_.reason, 0x02000001u);
  service_.enter(kStream, VasiState::kSuspending);
  next();
  EXPECT_EQ(signal(bottom, 3), VasiStatus::kInvalidTransition) << "it suspends already";
  EXPECT_EQ(signal(bottom, 1), VasiStatus::kSuccess);
  service_.enter(kStream, VasiState::kSuspended);
  next();
  EXPECT_EQ(signal(bottom, 1), VasiStatus::kInvalidTransition) << "past the point of no return";
  EXPECT_EQ(signal(bottom, 2), VasiStatus::kInvalidTransition);
  service_.forget(kStream);
  service_.expect(kStream, VasiRole::kTargetMover, operation_);
  EXPECT_EQ(signal(opened(kStream, 2), 3), VasiStatus::kInvalidSignal) << "only the source suspends";
}

TEST_F(Vasi, ProgressAndDonatedCycles) {
  service_.expect(kStream, VasiRole::kSourceMover, operation_);
  const u32 bottom = opened();
  operation_.left = 0x123456789;
  const Bytes answer = ask(message(VasiFormat::kProgress, bottom));
  EXPECT_EQ(answer[1], 0x90);
  EXPECT_EQ(load_be<u64>(&answer[8]), 0x123456789u);
  const u64 handle = u64{kTop} << 32 | bottom;
  EXPECT_EQ(service_.donate(adapter_, handle), h::InProgress);
  operation_.work = VasiOperation::Work::kBlocked;
  EXPECT_EQ(service_.donate(adapter_, handle), h::LongBusy1ms);
  operation_.work = VasiOperation::Work::kDone;
  EXPECT_EQ(service_.donate(adapter_, handle), h::Success);
  EXPECT_EQ(service_.donate(adapter_, handle + 1), h::Parameter);
  EXPECT_EQ(service_.donate(adapter_, handle ^ u64{1} << 40), h::Parameter) << "another TOP";
}

TEST_F(Vasi, WrongFormatsAndReservedBytes) {
  for (const u8 format : {0x00, 0x07, 0x09, 0x0A, 0x12, 0x14, 0x7F, 0x81, 0x86, 0xFF}) {
    Bytes m{0x80, format, 0, 5};
    m[15] = 0x77;
    const Bytes answer = ask(m);
    EXPECT_EQ(answer[1], format | 0x80);
    EXPECT_EQ(status(answer), VasiStatus::kInvalidFormat) << int{format};
    EXPECT_EQ(answer[15], 0x77) << "the rest is copied";
  }
  service_.expect(kStream, VasiRole::kSourceMover, operation_);
  const u32 bottom = opened();
  Bytes m = message(VasiFormat::kClose, bottom);
  m[9] = 1;
  EXPECT_EQ(status(ask(m)), VasiStatus::kUnknownReserved);
  EXPECT_EQ(status(ask(message(VasiFormat::kClose, bottom))), VasiStatus::kSuccess);
}

TEST_F(Vasi, RandomMessagesHarmNothing) {
  service_.expect(kStream, VasiRole::kSourceMover, operation_);
  service_.expect(kStream + 1, VasiRole::kTargetMover, operation_);
  std::mt19937_64 random(5);
  for (int i = 0; i < 200000; ++i) {
    Bytes m;
    for (u8& byte : m) byte = static_cast<u8>(random());
    m[0] = random() % 8 ? 0x80 : m[0];
    m[1] = random() % 8 ? static_cast<u8>(random() % 0x14) : m[1];
    if (random() % 2) m[2] = 0;
    if (random() % 2) m[3] = random() % 3;
    if (random() % 2) store_be<u32>(&m[4], random() % 16);
    if (random() % 2)
      store_be<u64>(&m[8], u64{0x80} << 56 | (random() % 3 * 4096) << 32 | random() % (1 << 21));
    if (random() % 4 == 0) store_be<u64>(&m[8], kStream + random() % 2);
    send(m);
    if (random() % 64 == 0) service_.upload(kStream, std::vector<u8>(random() % 5000));
    if (random() % 64 == 0) service_.donate(adapter_, random() % 16);
    queue_.clear();
  }
}

}  // namespace
}  // namespace baton::hypervisor
