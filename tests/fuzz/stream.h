// SPDX-License-Identifier: Apache-2.0
// What another system or a file may send: descriptions, streams of frames, state, platform state.
#pragma once

#include <span>
#include <vector>

#include "cpu/bits.h"

namespace baton::fuzz {

/// Reads `bytes` as the destination would; the first byte chooses what they are. Only std::runtime_error may
/// come of it, and it is caught; whatever else breaks ends the process.
void read_stream(std::span<const u8> bytes);
/// Sound inputs of read_stream(), made by our own writers: what a corpus begins with.
const std::vector<std::vector<u8>>& stream_corpus();

}  // namespace baton::fuzz
