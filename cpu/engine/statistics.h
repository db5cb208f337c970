// SPDX-License-Identifier: Apache-2.0
// What the engines do and where the host's time goes (baton system --engine-stats).
#pragma once

#include <array>
#include <atomic>
#include <ctime>

#include "cpu/bits.h"

namespace baton::cpu {

/// Whose code the host executes.
enum class Place : u8 { kInterpreter, kStencils, kRegions, kRest };
inline constexpr std::size_t kPlaces = 4, kStops = 8;

/// Of one hardware thread. Written by the thread that runs it, read when it has stopped.
struct EngineStatistics {
  std::array<u64, kStops> stops{};  ///< How often an engine returned, by Stop.
  u64 decoded = 0;                  ///< Instructions.
  u64 compiled = 0;                 ///< Instructions, by the stencil engine.
  u64 compile_ns = 0;
  u64 cache_full = 0;                  ///< How often all compiled code was given up.
  u64 cpu_ns = 0;                      ///< Host processor time, with a Sampler,
  std::array<u64, kPlaces> samples{};  ///< and where it was seen.
};

/// While it lives, looks where the host thread that made it is: a thousand times in a second of its processor
/// time, or as often as the host's tick allows. At most one for each host thread.
class Sampler {
 public:
  explicit Sampler(EngineStatistics& into);
  ~Sampler();
  Sampler(const Sampler&) = delete;
  Sampler& operator=(const Sampler&) = delete;

 private:
  timer_t timer_{};
};

/// Tells samplers whose code lies in [begin, begin + size), until release_code(begin). From any thread.
void claim_code(Place place, const void* begin, u64 size);
void release_code(const void* begin);

/// Is told of compiled code, on the thread that will execute it.
class CodeListener {
 public:
  virtual ~CodeListener() = default;
  /// `bytes` at `code` execute instructions from effective address `ea` on.
  virtual void compiled(const void* code, u64 bytes, u64 ea) = 0;
};

}  // namespace baton::cpu
