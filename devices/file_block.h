// SPDX-License-Identifier: Apache-2.0
// A LUN in a file or on a block device of the host.
#pragma once

#include "devices/block.h"

namespace baton::devices {

/// `uri` is only for messages. Without a `unique_id` the file's own is that of all who see it. Throws
/// std::runtime_error.
std::unique_ptr<BlockDevice> open_file_block(const std::string& uri, const std::string& path,
                                             const std::string& unique_id = "");

/// All of `out` from `offset` on; EIO if the file ends before.
BlockResult read_all(int fd, u64 offset, std::span<u8> out);

}  // namespace baton::devices
