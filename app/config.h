// SPDX-License-Identifier: Apache-2.0
// The configuration of a managed system: a TOML file (app/example.toml shows every key).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "devices/tls.h"
#include "hypervisor/profile.h"
#include "vios/virtual_io.h"

namespace baton::app {

struct Config {
  hypervisor::SystemIdentity identity;
  std::vector<vios::ViosConfig> servers;  ///< At least one Virtual I/O Server.
  std::vector<hypervisor::Profile> partitions;
  std::string firmware;                     ///< Absolute path; empty: the built-in rule.
  std::string control;                      ///< "unix:/path"; empty: a socket in the run directory.
  std::string mover_address = "127.0.0.1";  ///< IPv4 address, optionally with ":port".
  std::string control_address;  ///< Where the control API listens beside the socket; empty: nowhere.
  bool encryption = true;       ///< Movers speak TLS.
  devices::TlsFiles tls;        ///< Empty: the local authority's.
};

/// Reads a configuration. Relative paths become absolute, from the file's directory. Throws
/// std::runtime_error with one sentence: file, line, key and remedy.
Config load_config(const std::string& path);
/// The same from text; `path` is what messages and relative paths refer to.
Config parse_config(std::string_view text, const std::string& path);

}  // namespace baton::app
