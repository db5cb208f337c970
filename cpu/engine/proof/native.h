// SPDX-License-Identifier: Apache-2.0
// The first way: native functions over predecoded operands, as the interpreter has them.
#pragma once

#include "cpu/engine/interpreter.h"

namespace baton::cpu::proof {

using NativeFunction = Flow (*)(State&, const Op*);
struct NativeSample {
  const char* name;
  NativeFunction function;
};
/// Every sample, ending with a null name.
extern const NativeSample kNativeSamples[];

}  // namespace baton::cpu::proof
