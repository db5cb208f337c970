// SPDX-License-Identifier: Apache-2.0
#include "cpu/engine/engine.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "cpu/engine/llvm/compiler.h"
#include "cpu/engine/stencil/code_cache.h"

namespace baton::cpu {

namespace {
/// In the order of Engine.
constexpr std::array<std::string_view, 4> kNames = {"auto", "interpreter", "stencil", "llvm"};
}  // namespace

std::optional<Engine> engine_named(std::string_view name) {
  const auto it = std::ranges::find(kNames, name);
  if (it == kNames.end()) return std::nullopt;
  return static_cast<Engine>(it - kNames.begin());
}

std::string_view name_of(Engine engine) { return kNames[static_cast<std::size_t>(engine)]; }

EngineOptions EngineOptions::from_environment(Engine otherwise) {
  EngineOptions options{.engine = otherwise};
  const char* name = std::getenv("BATON_ENGINE");
  if (!name) return options;
  const auto engine = engine_named(name);
  if (!engine)
    throw std::runtime_error("BATON_ENGINE is \"" + std::string(name) +
                             "\"; set it to auto, interpreter, stencil or llvm.");
  options.engine = *engine;
  if (const char* threads = std::getenv("BATON_COMPILE_THREADS"))
    options.compile_threads = static_cast<unsigned>(std::strtoul(threads, nullptr, 10));
  return options;
}

EngineOptions EngineOptions::resolved() const {
  EngineOptions options = *this;
  if (engine != Engine::kAuto) return options;
  static const bool compiles = [] {
    const bool allowed = stencil::CodeCache::allowed();
    if (!allowed)
      std::fputs("baton: This host refuses executable memory, so guest code is interpreted, slowly.\n",
                 stderr);
    return allowed;
  }();
  options.engine = !compiles                     ? Engine::kInterpreter
                   : llvm_engine::module_there() ? Engine::kLlvm
                                                 : Engine::kStencil;
  return options;
}

}  // namespace baton::cpu
