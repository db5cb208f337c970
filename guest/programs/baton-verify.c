// Copyright The Baton authors. SPDX-License-Identifier: Apache-2.0
// baton-verify FILE [ACKNOWLEDGED]: checks a record file written by baton-work.
// Prints {"verified":N,"lost":N,"bad":N}; exit code 0 when nothing is lost or bad, 1 when something is, 2 on an error.
// Without a count every record that the file holds is checked.
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>

#include "verify.h"

int main(int argc, char **argv) {
    struct verify_result r;
    char *end = NULL;
    uint64_t acknowledged = argc == 3 ? strtoull(argv[2], &end, 10) : 0;
    if (argc < 2 || argc > 3 || (end && (*end || end == argv[2]))) {
        fprintf(stderr, "usage: baton-verify FILE [ACKNOWLEDGED]\n");
        return 2;
    }
    int error = verify_file(argv[1], acknowledged, &r);
    if (error) {
        fprintf(stderr, "baton-verify: %s: %s\n", argv[1], strerror(error));
        return 2;
    }
    printf("{\"verified\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"bad\":%" PRIu64 "}\n", r.verified, r.lost, r.bad);
    return r.lost || r.bad ? 1 : 0;
}
