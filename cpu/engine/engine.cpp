// SPDX-License-Identifier: Apache-2.0
#include "cpu/engine/engine.h"

#include <cstdlib>
#include <stdexcept>
#include <string>

namespace baton::cpu {

std::optional<Engine> engine_named(std::string_view name) {
  if (name == "interpreter") return Engine::kInterpreter;
  if (name == "stencil") return Engine::kStencil;
  return std::nullopt;
}

EngineOptions EngineOptions::from_environment() {
  EngineOptions options;
  const char* name = std::getenv("BATON_ENGINE");
  if (!name) return options;
  const auto engine = engine_named(name);
  if (!engine)
    throw std::runtime_error("BATON_ENGINE is \"" + std::string(name) +
                             "\"; set it to interpreter or stencil.");
  options.engine = *engine;
  return options;
}

}  // namespace baton::cpu
