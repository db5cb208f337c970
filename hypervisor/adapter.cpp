// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/adapter.h"

#include <algorithm>
#include <string>

#include "hypervisor/partition.h"
#include "hypervisor/system.h"

namespace baton::hypervisor {

VirtualAdapter::VirtualAdapter(Partition& partition, u32 slot) : partition_(partition), slot_(slot) {}

std::string VirtualAdapter::loc_code() const {
  const SystemIdentity& identity = partition_.system().identity();
  std::string type_model = identity.type_model;
  std::ranges::replace(type_model, '-', '.');
  return "U" + type_model + "." + identity.serial + "-V" + std::to_string(partition_.id()) + "-C" +
         std::to_string(slot_);
}

void VirtualAdapter::signal() {
  // The guest enables and then looks at its queue; we fill the queue and then look at the enable. One of the
  // two must see the other, so a store-load fence stands between on both sides (here and in set_signal's
  // exchange).
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (signal_enabled_) partition_.xics().pulse(irq());
}

}  // namespace baton::hypervisor
