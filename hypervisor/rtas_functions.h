// SPDX-License-Identifier: Apache-2.0
// RTAS functions that live outside rtas.cpp, by subject.
#pragma once

#include "cpu/bits.h"

namespace baton::hypervisor {

class RtasContext;

// rtas_platform.cpp
i32 rtas_nvram_fetch(RtasContext& call);
i32 rtas_nvram_store(RtasContext& call);
i32 rtas_get_time_of_day(RtasContext& call);
i32 rtas_set_time_of_day(RtasContext& call);
i32 rtas_event_scan(RtasContext& call);
i32 rtas_check_exception(RtasContext& call);
i32 rtas_last_error(RtasContext& call);
i32 rtas_display_character(RtasContext& call);
i32 rtas_os_term(RtasContext& call);
i32 rtas_nmi_register(RtasContext& call);
i32 rtas_nmi_interlock(RtasContext& call);

// rtas_tree.cpp
i32 rtas_update_nodes(RtasContext& call);
i32 rtas_update_properties(RtasContext& call);
i32 rtas_activate_firmware(RtasContext& call);
i32 rtas_configure_connector(RtasContext& call);

}  // namespace baton::hypervisor
