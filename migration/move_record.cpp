// SPDX-License-Identifier: Apache-2.0
#include "migration/move_record.h"

#include <fmt/format.h>

namespace baton::migration {

std::string MoveRecord::course() const {
  const std::lock_guard hold(lock_);
  std::string text;
  for (std::size_t i = 0; i < progress_.states.size(); ++i)
    text += fmt::format("{}{} {:.1f}", text.empty() ? "" : ", ", progress_.states[i], progress_.state_ms[i]);
  for (const auto& [what, ms] : steps_) text += fmt::format(", {} {:.1f}", what, ms);
  for (const Progress::Round& round : progress_.rounds)
    text += fmt::format(", round {:.1f} + {:.1f} {} pages {} bytes", round.start_ms, round.took_ms,
                        round.pages, round.bytes);
  return text;
}

}  // namespace baton::migration
