// SPDX-License-Identifier: Apache-2.0
// The demonstration: `baton demo`.
#pragma once

#include <string>
#include <vector>

namespace baton::app {

/// Runs the demonstration with the words that followed the verb; the program's exit code.
int run_demo(const std::string& run_dir, const std::vector<std::string>& words);

}  // namespace baton::app
