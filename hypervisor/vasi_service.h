// SPDX-License-Identifier: Apache-2.0
// The hypervisor's end of a VASI adapter: how a mover service partition pumps a partition's state in and out
// (LoPAR 17.7 "Virtual Asynchronous Services Interface"; LPM 1.5, 1.6).
#pragma once

#include <array>
#include <functional>
#include <map>
#include <mutex>
#include <span>
#include <vector>

#include "hypervisor/adapter.h"
#include "hypervisor/partition.h"
#include "hypervisor/tce.h"

namespace baton::hypervisor {

/// Byte 2 of a response.
enum class VasiStatus : u8 {
  kSuccess,
  kHardware,
  kInvalidStream,
  kStreamAborted,
  kInvalidDescriptor,
  kInvalidLength,
  kEmpty,
  kInvalidDownload,
  kInvalidDownloadData,
  kInvalidCorrelator,
  kInvalidOperation,
  kInvalidService,
  kTooManyOpens,
  kInvalidBottom,
  kInvalidTop,
  kEndOfFile,
  kInvalidFormat,
  kUnknownReserved,
  kInvalidTransition,
  kRaceLost,
  kInvalidSignal,
  kInvalidIndirectDescriptor,
  kInvalidIndirectLength,
  kInvalidControl,
  kInvalidSubControl,
};

/// Byte 1 of a request; a response has bit 0x80 set.
enum class VasiFormat : u8 {
  kCapabilities = 0x01,
  kOpen,
  kClose,
  kAddBuffer,
  kFreeBuffer,
  kDownload,
  kOperation,
  kSignal,
  kState,
  kProgress = 0x10,
  kAddBufferIndirect,
  kMessageUpload,
  kMessageDownload,
};

enum class VasiRole : u8 { kSourceMover = 1, kTargetMover = 2 };
enum class VasiSignal : u16 { kCancel = 1, kAbort, kSuspend, kComplete, kEnable, kFailover };

/// Who caused an abort: the first byte of a reason.
enum class VasiEntity : u8 {
  kOrchestrator = 1,
  kSourceServer,
  kPartitionFirmware,
  kPlatform,
  kTargetServer,
  kPartition
};
constexpr u32 vasi_reason(VasiEntity entity, u32 detail) {
  return static_cast<u32>(entity) << 24 | (detail & 0xFFFFFF);
}

/// Whether a migration stream of that role may go from one state to another (LPM 1.6).
bool vasi_may_follow(VasiRole role, VasiState from, VasiState to);

/// What a stream carries; implemented by whoever moves the partition. Called with no lock of the service's
/// held.
class VasiOperation {
 public:
  virtual ~VasiOperation() = default;
  /// Source: dirty bytes; destination: bytes that are known to be missing.
  virtual u64 bytes_left() = 0;
  /// Data of a Download. False: it makes no sense, the stream is aborted.
  virtual bool download(std::span<const u8> data) = 0;
  /// The server asks for it; valid in the present state.
  virtual void signalled(VasiSignal signal, u32 reason) = 0;
  /// An Operation was answered.
  virtual void uploaded(u64 correlator, VasiStatus status) = 0;
  enum class Work { kMore, kBlocked, kDone };
  /// Some work on the server's processor (H_DONOR_OPERATION).
  virtual Work donated() = 0;
};

class VasiService {
 public:
  static constexpr u32 kBufferPools = 4;  ///< ibm,#buffer-pools
  static constexpr u32 kStreams = 8;      ///< ibm,#vasi-streams
  static constexpr u8 kOpens = 4;         ///< Sessions of one stream.

  /// `window`: the first pane of the adapter's DMA window. `deliver` enqueues a message for the server.
  VasiService(TceTable& window, std::function<bool(const CrqEntry&)> deliver);

  // -- the platform's side
  /// The orchestrator announces a stream: it is Enabled. False: its number is zero, known, or there are too
  /// many.
  bool expect(u64 stream_id, VasiRole role, VasiOperation& operation);
  /// The stream is unknown from here on; its sessions are closed.
  void forget(u64 stream_id);
  /// Goes to a state and tells every session. False, and nothing happens, if that is no transition.
  bool enter(u64 stream_id, VasiState to, u32 reason = 0);
  VasiState state(u64 stream_id) const;  ///< kInvalid: unknown.
  /// Write-sequential Operation: a slice of the stream in a buffer of the server's. Its correlator; 0: there
  /// is no session or no buffer that is large enough.
  u64 upload(u64 stream_id, std::span<const u8> slice);

  // -- the server's side
  void receive(const CrqEntry& message);
  i64 donate(u64 top_bottom);  ///< H_DONOR_OPERATION.
  void reset();                ///< The queue was deregistered: every session is closed.

 private:
  struct Stream {
    VasiRole role;
    VasiOperation* operation;
    VasiState state;
  };
  struct Pool {
    u32 length = 0;
    std::vector<u64> descriptors;
  };
  struct Session {
    u32 top;
    u64 stream_id;
    std::array<Pool, kBufferPools> pools;
  };
  using Message = std::array<u8, 16>;
  using Hold = std::unique_lock<std::mutex>;
  struct Row;
  static const Row kRows[];

  VasiStatus capabilities(const Message& request, Message& response, Hold& hold);
  VasiStatus open(const Message& request, Message& response, Hold& hold);
  VasiStatus close(const Message& request, Message& response, Hold& hold);
  VasiStatus add_buffer(const Message& request, Message& response, Hold& hold);
  VasiStatus add_indirect(const Message& request, Message& response, Hold& hold);
  VasiStatus free_buffer(const Message& request, Message& response, Hold& hold);
  VasiStatus download(const Message& request, Message& response, Hold& hold);
  VasiStatus signal(const Message& request, Message& response, Hold& hold);
  VasiStatus progress(const Message& request, Message& response, Hold& hold);
  void answered(const Message& response);

  Session* session_of(const Message& message, Message& response);
  VasiStatus enqueue(Session& session, u64 descriptor, Pool*& pool);
  bool take_apart(std::span<const u8> specifier, std::vector<u8>& data);
  void send(const Message& message);

  TceTable& window_;
  const std::function<bool(const CrqEntry&)> deliver_;
  mutable std::mutex lock_;
  std::map<u64, Stream> streams_;
  std::map<u32, Session> sessions_;  ///< By BOTTOM.
  std::map<u64, u64> operations_;    ///< Outstanding: correlator, stream.
  u32 next_bottom_ = 1;
  u64 next_correlator_ = 1;
  std::vector<std::function<void()>> after_;  ///< What a message causes once the lock is free.
};

}  // namespace baton::hypervisor
