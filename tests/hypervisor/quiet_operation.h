// SPDX-License-Identifier: Apache-2.0
// What a stream carries, for tests to which most of it does not matter.
#pragma once

#include "hypervisor/vasi_service.h"

namespace baton::hypervisor::test {

class QuietOperation : public VasiOperation {
 public:
  u64 bytes_left() override { return 0; }
  bool download(std::span<const u8>) override { return true; }
  void signalled(VasiSignal, u32) override {}
  void entered(VasiState, u32) override {}
  void uploaded(u64, VasiStatus) override {}
  Work donated() override { return Work::kMore; }
  bool suspended() override { return true; }
};

}  // namespace baton::hypervisor::test
