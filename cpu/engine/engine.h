// SPDX-License-Identifier: Apache-2.0
// Which engine executes guest code (DESIGN 3).
#pragma once

#include <optional>
#include <string_view>

#include "cpu/bits.h"

namespace baton::cpu {

enum class Engine : u8 { kInterpreter, kStencil };

struct EngineOptions {
  Engine engine = Engine::kInterpreter;
  u64 code_cache_bytes = u64{64} << 20;  ///< Bound on the compiled code of each hardware thread.

  /// What the environment variable BATON_ENGINE says, so that any test runs under any engine; else the
  /// interpreter. Throws std::runtime_error when it names none.
  static EngineOptions from_environment();
};

/// "interpreter" or "stencil".
std::optional<Engine> engine_named(std::string_view name);

}  // namespace baton::cpu
