// SPDX-License-Identifier: Apache-2.0
// What the two files of VasiService share.
#pragma once

#include "hypervisor/vasi_service.h"

namespace baton::hypervisor {

namespace vasi {
inline constexpr u8 kHeader = 0x80;  ///< Of every message but transport events.
}

/// A call of a stream's operation, which is made without the lock; the stream is not forgotten meanwhile.
class VasiService::Call {
 public:
  Call(VasiService& service, Hold& hold, Stream& stream);
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

 private:
  VasiService& service_;
  Hold& hold_;
  Stream& stream_;
};

}  // namespace baton::hypervisor
