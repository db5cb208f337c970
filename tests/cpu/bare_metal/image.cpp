// SPDX-License-Identifier: Apache-2.0
#include "tests/cpu/bare_metal/image.h"

#include <fstream>
#include <iterator>
#include <memory>
#include <mutex>
#include <sstream>
#include <stdexcept>

namespace baton::bare_metal {

const Image& Image::get(const std::string& name) {
  static std::mutex lock;
  static std::map<std::string, std::unique_ptr<Image>> images;
  std::lock_guard guard(lock);
  auto& slot = images[name];
  if (!slot) slot.reset(new Image(name));
  return *slot;
}

Image::Image(const std::string& name) : path_(BATON_GUEST_DIR "/" + name + ".bin") {
  std::ifstream file(path_, std::ios::binary);
  if (!file) throw std::runtime_error("no guest image " + path_);
  bytes_.assign(std::istreambuf_iterator<char>(file), {});
  std::ifstream list(BATON_GUEST_DIR "/" + name + ".sym");
  for (std::string line; std::getline(list, line);) {
    std::istringstream fields(line);
    std::string symbol, kind, value;
    if (fields >> symbol >> kind >> value) symbols_[symbol] = std::stoull(value, nullptr, 16);
  }
}

u64 Image::at(const std::string& symbol) const {
  const auto it = symbols_.find(symbol);
  if (it == symbols_.end()) throw std::out_of_range("no symbol " + symbol + " in " + path_);
  return it->second;
}

}  // namespace baton::bare_metal
