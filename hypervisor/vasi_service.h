// SPDX-License-Identifier: Apache-2.0
// The hypervisor's end of a VASI adapter: how a mover service partition pumps a partition's state in and out
// (LoPAR 17.7 "Virtual Asynchronous Services Interface"; LPM 1.5, 1.6).
#pragma once

#include <array>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <span>
#include <vector>

#include "hypervisor/adapter.h"
#include "hypervisor/tce.h"

namespace baton::hypervisor {

/// States of a stream (LPM 1.6), values as H_VASI_STATE returns them.
enum class VasiState : u32 {
  kInvalid = 0,
  kEnabled,
  kAborted,
  kSuspending,
  kSuspended,
  kResumed,
  kCompleted
};
const char* to_string(VasiState state);  ///< "Enabled"...

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
/// held but entered().
class VasiOperation {
 public:
  virtual ~VasiOperation() = default;
  /// Source: dirty bytes; destination: bytes that are known to be missing.
  virtual u64 bytes_left() = 0;
  /// Data of a Download. False: it makes no sense, the stream is aborted.
  virtual bool download(std::span<const u8> data) = 0;
  /// The server, the partition or the orchestrator asks for it; valid in the present state.
  virtual void signalled(VasiSignal signal, u32 reason) = 0;
  /// The stream is in a state, kEnabled to begin with; calls come in the order of states. Must not call back.
  virtual void entered(VasiState state, u32 reason) = 0;
  /// An Operation was answered.
  virtual void uploaded(u64 correlator, VasiStatus status) = 0;
  enum class Work { kMore, kBlocked, kDone, kFailed };
  /// Some work on the server's processor (H_DONOR_OPERATION).
  virtual Work donated() = 0;
  /// Source: the partition called ibm,suspend-me on its last thread; every other thread is in H_JOIN, all are
  /// outside guest code, and the state is Suspended. Blocks until the outcome is known: true: it goes on here
  /// after an abort (status 9000); false: it runs elsewhere, and this thread must end.
  virtual bool suspended() = 0;
};

/// A server's VASI adapter as the hypervisor sees it.
struct VasiAdapter {
  TceTable& window;                              ///< First pane of its DMA window.
  std::function<void(const CrqEntry&)> deliver;  ///< Enqueues a message for the server.
};

/// The one owner of the states of a managed system's streams.
class VasiService {
 public:
  static constexpr u32 kBufferPools = 4;  ///< ibm,#buffer-pools
  static constexpr u32 kStreams = 8;      ///< ibm,#vasi-streams: those that are open at a time.
  static constexpr u8 kOpens = 4;         ///< Sessions of one stream.

  // -- the platform's side
  /// The orchestrator announces a stream: it is Enabled. False: its number is zero, or known.
  bool expect(u64 stream_id, VasiRole role, VasiOperation& operation);
  /// The stream is unknown from here on; its sessions are closed. Waits for the end of calls of its
  /// operation, from which it must not be called.
  void forget(u64 stream_id);
  /// Goes to a state and tells every session. False, and nothing happens, if that is no transition.
  bool enter(u64 stream_id, VasiState to, u32 reason = 0);
  VasiState state(u64 stream_id) const;  ///< kInvalid: unknown.
  /// A signal without a session: H_VASI_SIGNAL, and the orchestrator. kInvalidStream, kInvalidSignal or
  /// kInvalidTransition: nothing happened.
  VasiStatus signal(u64 stream_id, VasiSignal signal, u32 reason);
  /// See VasiOperation::suspended().
  bool suspended(u64 stream_id);
  /// Write-sequential Operation: a slice of the stream in a buffer of the server's. Its correlator; 0: there
  /// is no session or no buffer that is large enough.
  u64 upload(u64 stream_id, std::span<const u8> slice);
  /// The longest slice that fits a buffer of so many bytes.
  static u64 longest_slice(u64 buffer_bytes);

  // -- the server's side
  void receive(VasiAdapter& adapter, const CrqEntry& message);
  i64 donate(const VasiAdapter& adapter, u64 top_bottom);  ///< H_DONOR_OPERATION.
  /// The queue was deregistered: its sessions are closed.
  void reset(const VasiAdapter& adapter);

 private:
  struct Stream {
    VasiRole role;
    VasiOperation* operation;
    VasiState state;
    u32 calls = 0;  ///< Of the operation, under way.
  };
  struct Pool {
    u32 length = 0;
    std::vector<u64> descriptors;
  };
  struct Session {
    VasiAdapter* adapter;
    u32 top;
    u64 stream_id;
    std::array<Pool, kBufferPools> pools;
  };
  using Message = std::array<u8, 16>;
  using Hold = std::unique_lock<std::mutex>;
  class Call;
  struct Row;
  static const Row kRows[];

  /// A request on its way to its response.
  struct Exchange {
    VasiAdapter& adapter;
    const Message& request;
    Message& response;
    Hold& hold;
    std::function<void()> after;  ///< What it causes, once the response is sent and the lock is free.
    u32 word(std::size_t at) const { return load_be<u32>(&request[at]); }
    u64 low() const { return load_be<u64>(&request[8]); }
  };
  VasiStatus capabilities(Exchange& exchange);
  VasiStatus open(Exchange& exchange);
  VasiStatus close(Exchange& exchange);
  VasiStatus add_buffer(Exchange& exchange);
  VasiStatus add_indirect(Exchange& exchange);
  VasiStatus free_buffer(Exchange& exchange);
  VasiStatus download(Exchange& exchange);
  VasiStatus signal(Exchange& exchange);
  VasiStatus progress(Exchange& exchange);
  void answered(const Message& response);

  Session* session_of(Exchange& exchange);
  static VasiStatus enqueue(Session& session, u64 descriptor, Pool*& pool);
  static bool take_apart(const TceTable& window, std::span<const u8> specifier, std::vector<u8>& data);
  static VasiStatus may_signal(const Stream& stream, VasiSignal signal);
  bool fill(Session& session, u32 bottom, u64 at, std::span<const u8> slice, Message& message);
  static void send(const VasiAdapter& adapter, const Message& message);

  std::mutex order_;  ///< Of state changes and their notices; then lock_.
  mutable std::mutex lock_;
  std::condition_variable idle_;
  std::map<u64, Stream> streams_;
  std::map<u32, Session> sessions_;  ///< By BOTTOM.
  std::map<u64, u64> operations_;    ///< Outstanding: correlator, stream.
  u32 next_bottom_ = 1;
  u64 next_correlator_ = 1;
};

}  // namespace baton::hypervisor
