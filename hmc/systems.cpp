// SPDX-License-Identifier: Apache-2.0
#include "hmc/systems.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "devices/authority.h"

namespace baton::hmc {

std::string run_directory(const std::string& override_path) {
  std::string path = override_path;
  if (path.empty()) {
    if (const char* from = std::getenv("BATON_RUN_DIR"); from && *from)
      path = from;
    else if (const char* xdg = std::getenv("XDG_RUNTIME_DIR"); xdg && *xdg)
      path = std::string(xdg) + "/baton";
    else
      path = "/tmp/baton-" + std::to_string(getuid());
  }
  path = std::filesystem::absolute(path).lexically_normal();
  if (mkdir(path.c_str(), 0700) && errno != EEXIST) {
    throw std::runtime_error("The run directory " + path + " cannot be made: " + std::strerror(errno) +
                             "; name another one with --run-dir.");
  }
  // In a shared place like /tmp another user could have made it first, to be handed our sockets.
  struct stat info{};
  if (lstat(path.c_str(), &info) || !S_ISDIR(info.st_mode) || info.st_uid != getuid()) {
    throw std::runtime_error("The run directory " + path +
                             " is not a directory of yours; remove it or name another one with --run-dir.");
  }
  if (info.st_mode & 077) {
    throw std::runtime_error("The run directory " + path +
                             " is open to other users; close it with \"chmod 700 " + path + "\".");
  }
  return path;
}

std::string socket_path(const std::string& run_dir, const std::string& system) {
  return run_dir + "/" + system + ".sock";
}

bool socket_answers(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return false;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const bool answers = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return answers;
}

std::vector<std::string> RunDirectory::names() {
  std::vector<std::string> out;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(path_, error)) {
    if (entry.path().extension() == ".sock" && socket_answers(entry.path()))
      out.push_back(entry.path().stem());
  }
  for (const auto& [name, host] : connections()) {
    if (std::find(out.begin(), out.end(), name) == out.end()) out.push_back(name);
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::string RunDirectory::address(const std::string& name) {
  const std::vector<std::string> all = names();
  if (std::find(all.begin(), all.end(), name) == all.end()) {
    std::string known;
    for (const std::string& other : all) known += (known.empty() ? "" : ", ") + other;
    throw std::runtime_error(
        "There is no managed system " + name + " in " + path_ +
        (known.empty() ? "; start one with \"baton system CONFIG.toml\"." : "; there is " + known + "."));
  }
  if (const std::string path = socket_path(path_, name); socket_answers(path)) return "unix:" + path;
  return "tls://" + connections()[name] + "/" + name;
}

std::shared_ptr<Control> RunDirectory::connect(const std::string& name) {
  const std::string where = address(name);
  return connect_control(where, where.starts_with("tls:") ? identity() : nullptr);
}

// -- systems of other hosts

std::string Systems::add(const std::string&) {
  throw std::runtime_error("No other system can be added here.");
}
void Systems::remove(const std::string&) { throw std::runtime_error("No system can be removed here."); }

const std::shared_ptr<const devices::TlsIdentity>& RunDirectory::identity() {
  if (identity_) return identity_;
  devices::TlsFiles own;
  const auto from = [](const char* variable) {
    const char* value = std::getenv(variable);
    return std::string(value ? value : "");
  };
  own = {from("BATON_TLS_AUTHORITY"), from("BATON_TLS_CERTIFICATE"), from("BATON_TLS_KEY")};
  if (own.authority.empty()) own = devices::local_identity(devices::state_directory(), "console");
  return identity_ = std::make_shared<devices::TlsIdentity>(own);
}

std::map<std::string, std::string> RunDirectory::connections() {
  std::map<std::string, std::string> out;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(path_, error)) {
    if (entry.path().extension() != ".connection") continue;
    std::ifstream file(entry.path());
    if (std::string host; file >> host) out[entry.path().stem()] = host;
  }
  return out;
}

std::string RunDirectory::add(const std::string& host) {
  control::ListRequest request;
  request.set_resource("sys");
  const control::Records answer = connect_control("tls://" + host, identity())->list(request);
  std::string name;
  for (const control::Record& record : answer.records()) {
    for (const control::Attribute& a : record.attributes()) {
      if (a.name() == "name") name = a.value();
    }
  }
  const bool plain =
      !name.empty() && name[0] != '.' && name.find('/') == std::string::npos && name.size() < 64;
  if (!plain) throw std::runtime_error("The managed system at " + host + " gives no usable name.");
  const std::vector<std::string> known = names();
  const auto others = connections();
  if (std::find(known.begin(), known.end(), name) != known.end() && !others.contains(name))
    throw std::runtime_error("A managed system named " + name + " runs on this host already.");
  if (!(std::ofstream(path_ + "/" + name + ".connection") << host << "\n"))
    throw std::runtime_error("The run directory " + path_ + " cannot be written.");
  return name;
}

void RunDirectory::remove(const std::string& name) {
  if (!connections().contains(name)) {
    throw std::runtime_error("There is no connection to a managed system " + name +
                             "; lssysconn -r all lists those that there are.");
  }
  std::error_code error;
  std::filesystem::remove(path_ + "/" + name + ".connection", error);
}

}  // namespace baton::hmc
