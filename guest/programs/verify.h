// Copyright The Baton authors. SPDX-License-Identifier: Apache-2.0
// Re-reads a record file past the page cache and counts what became of the acknowledged records.
#ifndef BATON_GUEST_VERIFY_H
#define BATON_GUEST_VERIFY_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common.h"

struct verify_result {
    uint64_t verified;  // good records, numbered as their place says
    uint64_t lost;      // places that the file does not reach, that are all zero, or that hold another number
    uint64_t bad;       // torn or damaged records
};

// Checks records 1..acknowledged (0: all that the file holds). Returns 0 or an errno value.
static inline int verify_file(const char *path, uint64_t acknowledged, struct verify_result *out) {
    enum { CHUNK = 128 * 1024 };
    memset(out, 0, sizeof *out);
    int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t ignored = write(fd, "1\n", 2);  // best effort: O_DIRECT below is the main means
        (void)ignored;
        close(fd);
    }
    fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
    if (fd < 0) fd = open(path, O_RDONLY | O_CLOEXEC);  // tmpfs has no O_DIRECT
    if (fd < 0) return errno;
    struct stat st;
    if (fstat(fd, &st) != 0) {
        int e = errno;
        close(fd);
        return e;
    }
    if (acknowledged == 0) acknowledged = (uint64_t)st.st_size / RECORD_SIZE;
    void *memory = NULL;
    if (posix_memalign(&memory, 4096, CHUNK) != 0) {
        close(fd);
        return ENOMEM;
    }
    static const uint8_t zero[RECORD_SIZE];
    uint8_t *buffer = memory;
    uint64_t seq = 1;
    int error = 0;
    while (seq <= acknowledged) {
        ssize_t n = pread(fd, buffer, CHUNK, (off_t)(seq - 1) * RECORD_SIZE);
        if (n < 0) {
            if (errno == EINTR) continue;
            error = errno;
            break;
        }
        if (n < RECORD_SIZE) break;
        for (ssize_t at = 0; at + RECORD_SIZE <= n && seq <= acknowledged; at += RECORD_SIZE, seq++) {
            enum record_state s = record_check(buffer + at, seq);
            if (s == RECORD_GOOD) out->verified++;
            else if (s == RECORD_OTHER || memcmp(buffer + at, zero, sizeof zero) == 0) out->lost++;
            else out->bad++;
        }
    }
    if (!error && seq <= acknowledged) out->lost += acknowledged - seq + 1;
    free(memory);
    close(fd);
    return error;
}

#endif
