// SPDX-License-Identifier: Apache-2.0
// The demonstration: two systems on one SAN and one LAN, a partition with work, and its moves
// (docs/demonstration.md).
#pragma once

#include <string>
#include <vector>

#include "cpu/bits.h"

namespace baton::demo {

struct DemoOptions {
  std::string guest = "build/guest";  ///< Folder with vmlinux, initramfs.cpio.gz and rootfs.ext4.
  std::string work = "build/demo";    ///< Folder for the report, the disk and the logs.
  std::string run_dir;                ///< Folder for the systems' sockets; empty: one of its own.
  u32 moves = 3, processors = 2, memory_mb = 512;
  double pause = 2;    ///< Seconds of work before the first move and after each.
  bool plain = false;  ///< No drawing.
};

/// Options from the words after `baton demo`. Throws std::runtime_error with a sentence; "--help" prints and
/// gives moves = 0.
DemoOptions parse_demo_options(const std::string& run_dir, const std::vector<std::string>& words);

/// Runs the demonstration; 0 only if everything was right.
int demo_main(DemoOptions options);

}  // namespace baton::demo
