// SPDX-License-Identifier: Apache-2.0
// Which engine executes guest code (DESIGN 3).
#pragma once

#include <optional>
#include <string_view>

#include "cpu/engine/statistics.h"

namespace baton::cpu {

enum class Engine : u8 {
  kAuto,
  kInterpreter,
  kStencil,
  kLlvm,  ///< The stencil engine, and LLVM in the background for what is hot.
};

struct EngineOptions {
  Engine engine = Engine::kAuto;
  bool statistics = false;                 ///< Sample where time goes (cpu/engine/statistics.h).
  CodeListener* listener = nullptr;        ///< Is told of compiled code; outlives the threads.
  u64 code_cache_bytes = u64{64} << 20;    ///< Bound on the compiled code of each hardware thread.
  u64 region_cache_bytes = u64{32} << 20;  ///< The same for what LLVM compiles.
  /// Threads that compile regions, of each partition. 0: whatever is looked at is compiled at once (tests).
  unsigned compile_threads = 1;

  /// What the environment variable BATON_ENGINE says, so that any test runs under any engine; else
  /// `otherwise`. Throws std::runtime_error when it names none.
  static EngineOptions from_environment(Engine otherwise = Engine::kAuto);
  /// The same with kAuto replaced by the fastest engine that the host allows. The first time that this is the
  /// interpreter, a warning on standard error says why.
  EngineOptions resolved() const;
};

/// "auto", "interpreter", "stencil" or "llvm".
std::optional<Engine> engine_named(std::string_view name);
std::string_view name_of(Engine engine);

}  // namespace baton::cpu
