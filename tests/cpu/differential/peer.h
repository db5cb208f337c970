// SPDX-License-Identifier: Apache-2.0
// QEMU's user mode with a runner in it (fp_runner.c, vmx_runner.c), which takes an instruction and states to
// execute it with, and gives back what it left.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

#include "cpu/bits.h"

namespace baton::test {

/// Numbers in storage of either byte order.
template <std::unsigned_integral T>
T load(const u8* from, bool little_endian) {
  const T value = load_be<T>(from);
  return little_endian ? byteswap(value) : value;
}
template <std::unsigned_integral T>
void store(u8* to, T value, bool little_endian) {
  store_be(to, little_endian ? byteswap(value) : value);
}

class Peer {
 public:
  /// Runs `qemu -cpu power7 runner`.
  Peer(const char* qemu, const char* runner, bool little_endian) : little_endian_(little_endian) {
    int to[2], from[2];
    if (pipe(to) != 0 || pipe(from) != 0) std::abort();
    child_ = fork();
    if (child_ == 0) {
      dup2(to[0], 0);
      dup2(from[1], 1);
      for (int fd : {to[0], to[1], from[0], from[1]}) close(fd);
      execl(qemu, qemu, "-cpu", "power7", runner, nullptr);
      _exit(127);
    }
    close(to[0]);
    close(from[1]);
    to_ = to[1];
    from_ = from[0];
  }
  ~Peer() {
    close(to_);
    close(from_);
    waitpid(child_, nullptr, 0);
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  bool little_endian() const { return little_endian_; }

  /// Executes the instruction once with each state and puts in what it left; false when QEMU has gone.
  /// `record`: bytes of a state; put(bytes, state) and get(bytes, state) write and read them.
  template <class State, class Put, class Get>
  bool run(u32 word, std::vector<State>& states, std::size_t record, Put put, Get get) {
    std::vector<u8> buffer(8 + states.size() * record);
    store<u32>(buffer.data(), word, little_endian_);
    store<u32>(buffer.data() + 4, static_cast<u32>(states.size()), little_endian_);
    u8* at = buffer.data() + 8;
    for (const State& s : states) put(at, s), at += record;
    if (!transfer(buffer.data(), buffer.size(), true)) return false;
    if (!transfer(buffer.data(), buffer.size() - 8, false)) return false;
    at = buffer.data();
    for (State& s : states) get(at, s), at += record;
    return true;
  }

 private:
  bool transfer(u8* data, std::size_t size, bool out) {
    while (size) {
      const ssize_t n = out ? write(to_, data, size) : read(from_, data, size);
      if (n <= 0) return false;
      data += n;
      size -= static_cast<std::size_t>(n);
    }
    return true;
  }

  bool little_endian_;
  pid_t child_;
  int to_, from_;
};

}  // namespace baton::test
