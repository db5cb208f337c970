/* SPDX-License-Identifier: Apache-2.0 */
/* What the host sends to qemu_runner.c and gets back: all fields in the runner's byte order.
 *
 * The stream is groups: a Group, then `sets` times a Set. The answer is a Set for each. A Set is followed
 * (both ways) by kMemoryBytes of storage contents if the group says so. */
#ifndef BATON_TESTS_CPU_DIFFERENTIAL_PROTOCOL_H
#define BATON_TESTS_CPU_DIFFERENTIAL_PROTOCOL_H

#include <stdint.h>

enum {
  kLowPage = 0x1000, /* all of this is within reach of a displacement from 0 */
  kContext = 0x2000, /* the runner's own */
  kPads = 0x3000,    /* where branches may go: up to kPadsEnd, but not the slots */
  kCode = 0x4000,    /* the words under test */
  kSlots = 4,
  kPadsEnd = 0x5000,
  kMemory = 0x6000, /* storage that instructions under test may touch */
  kMemoryBytes = 256,
  kLowEnd = 0x8000
};

enum { kFellThrough = 0, kTaken = 1, kSigtrap = 2, kSigill = 3, kOtherSignal = 4 };

struct Group {
  uint32_t words[kSlots];
  uint32_t target; /* the one pad that a taken branch must reach; 0: none */
  uint32_t sets;
  uint32_t with_memory;
  uint32_t pad;
};

struct Set {
  uint64_t gpr[32];
  uint64_t lr, ctr;
  uint32_t cr, xer;
  uint64_t outcome; /* answers only */
};

#endif
