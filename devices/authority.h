// SPDX-License-Identifier: Apache-2.0
// The local certificate authority: made on first use in a directory of its owner's, it signs a certificate
// for each managed system and for the console. Who has the directory can have partitions moved.
#pragma once

#include <chrono>
#include <string>

#include "devices/tls.h"

namespace baton::devices {

/// `override`, else BATON_STATE_DIR, else $XDG_STATE_HOME/baton, else ~/.local/state/baton. Made with mode
/// 0700; throws std::runtime_error when somebody else owns it or may enter it.
std::string state_directory(const std::string& override_path = {});

/// The identity that the authority in `directory` gave `name` (a system's name, or "console"): made, or made
/// anew when it expires within a month. Safe to be called by several processes at a time.
TlsFiles local_identity(const std::string& directory, const std::string& name);

/// When a certificate is valid, from now.
struct Validity {
  std::chrono::seconds from{-3600}, until{};
};
/// Has the authority in `directory` sign a certificate for `name` in certificates/NAME.pem and NAME.key.
TlsFiles issue(const std::string& directory, const std::string& name, Validity validity);

}  // namespace baton::devices
