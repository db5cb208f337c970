// SPDX-License-Identifier: Apache-2.0
// Whether another round of copying would help.
#pragma once

#include <algorithm>

#include "cpu/bits.h"

namespace baton::migration {

/// How fast a partition writes and pages are sent. Times are milliseconds from the begin of a round.
class Convergence {
 public:
  static constexpr double kShorter = 0.7;  ///< A round helps if it has at most this share of the last pages.
  static constexpr double kLookAfterMs = 10;
  static constexpr u64 kFewestSent = 1024;  ///< Pages; less says nothing of the speed of the link.

  void begin_round() { looked_ = false; }
  bool wants_look(double ms) const { return !looked_ && ms >= kLookAfterMs; }
  /// So many different pages were written since the begin. Early, because later most writes hit pages that
  /// are marked already.
  void look(double ms, u64 written) {
    looked_ = true;
    written_per_ms_ = static_cast<double>(written) / ms;
  }
  void end_round(double ms, u64 pages_sent) {
    if (pages_sent >= kFewestSent) sent_per_ms_ = static_cast<double>(pages_sent) / ms;
  }
  /// Pages that will have been written when these have been sent.
  double left_after(u64 pages) const {
    const auto all = static_cast<double>(pages);
    return sent_per_ms_ > 0 ? std::min(all, written_per_ms_ * all / sent_per_ms_) : 0;
  }
  bool round_helps(u64 pages) const { return left_after(pages) <= kShorter * static_cast<double>(pages); }

 private:
  bool looked_ = false;
  double written_per_ms_ = 0, sent_per_ms_ = 0;
};

}  // namespace baton::migration
