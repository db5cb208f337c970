// SPDX-License-Identifier: Apache-2.0
#include "devices/block.h"

#include <algorithm>
#include <stdexcept>
#include <string_view>

#include "devices/file_block.h"

namespace baton::devices {
namespace {

/// The letters before the colon of a URI; empty for a plain path.
std::string scheme_of(const std::string& uri) {
  const auto colon = uri.find(':');
  if (colon == std::string::npos || colon == 0) return "";
  const std::string scheme = uri.substr(0, colon);
  const bool is_scheme = std::ranges::all_of(scheme, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '-';
  });
  return is_scheme ? scheme : "";
}

}  // namespace

std::unique_ptr<BlockDevice> open_block_device(const std::string& uri) {
  const std::string scheme = scheme_of(uri);
  if (scheme.empty()) return open_file_block(uri, uri);
  if (scheme == "file") {
    std::string path = uri.substr(5);
    if (path.starts_with("///")) path.erase(0, 2);  // file:///san/lun0.img
    return open_file_block(uri, path);
  }
  if (scheme.starts_with("nbd") || scheme.starts_with("iscsi"))
    throw std::runtime_error("disk " + uri + ": " + scheme +
                             ": is not supported in this build; use file:PATH, or a plain path");
  throw std::runtime_error("disk " + uri + ": unknown kind of back end \"" + scheme +
                           "\"; use file:PATH, or a plain path");
}

}  // namespace baton::devices
