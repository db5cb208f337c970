// SPDX-License-Identifier: Apache-2.0
// TCP addresses and connections (IPv4 numbers).
#pragma once

#include <chrono>
#include <optional>
#include <string>

struct sockaddr_in;

namespace baton::devices {

/// "127.0.0.1" (port 0) or "127.0.0.1:4711".
std::optional<sockaddr_in> parse_address(const std::string& text);
/// Connects; the descriptor is the caller's. Throws std::runtime_error with one sentence.
int connect_tcp(const std::string& address, std::chrono::milliseconds timeout);
/// How long a read or write of the socket may make no progress.
void set_socket_timeout(int fd, std::chrono::milliseconds timeout);

}  // namespace baton::devices
