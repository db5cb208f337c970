// Copyright The Baton authors. SPDX-License-Identifier: Apache-2.0
// What the guest programs share: byte order, checksums, the payload function and the disk record.
// Every format in here is written down for the host's side in guest/PROTOCOL.md.
#ifndef BATON_GUEST_COMMON_H
#define BATON_GUEST_COMMON_H

#include <stdint.h>
#include <string.h>
#include <time.h>

enum { RECORD_SIZE = 512, RECORD_PAYLOAD = 484, RECORD_CRC_AT = 508 };
#define RECORD_MAGIC "BTNDISK1"

static inline void put32(uint8_t *p, uint32_t v) {
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> (24 - 8 * i));
}
static inline void put64(uint8_t *p, uint64_t v) {
    for (int i = 0; i < 8; i++) p[i] = (uint8_t)(v >> (56 - 8 * i));
}
static inline uint32_t get32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
static inline uint64_t get64(const uint8_t *p) {
    return (uint64_t)get32(p) << 32 | get32(p + 4);
}

// CRC-32 as in Ethernet and zlib (reflected 0xEDB88320, start and final XOR all ones).
static inline uint32_t crc32(const void *data, size_t n) {
    static uint32_t table[256];
    if (!table[1])
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t c = i;
            for (int k = 0; k < 8; k++) c = c & 1 ? 0xEDB88320u ^ c >> 1 : c >> 1;
            table[i] = c;
        }
    uint32_t c = 0xFFFFFFFFu;
    for (const uint8_t *p = data; n--; p++) c = table[(c ^ *p) & 0xFF] ^ c >> 8;
    return ~c;
}

// 64-bit mixer (the splitmix64 finaliser): word j of the payload that belongs to seq.
static inline uint64_t payload_word(uint64_t seq, unsigned j) {
    uint64_t z = (seq * 64 + j + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

// Fills n payload bytes (big-endian words; a last partial word gives its high bytes).
static inline void payload_fill(uint8_t *p, size_t n, uint64_t seq) {
    for (unsigned j = 0; n > 0; j++) {
        uint8_t w[8];
        size_t k = n < 8 ? n : 8;
        put64(w, payload_word(seq, j));
        memcpy(p, w, k);
        p += k;
        n -= k;
    }
}

static inline void record_make(uint8_t r[RECORD_SIZE], uint64_t seq, uint64_t ns) {
    memcpy(r, RECORD_MAGIC, 8);
    put64(r + 8, seq);
    put64(r + 16, ns);
    payload_fill(r + 24, RECORD_PAYLOAD, seq);
    put32(r + RECORD_CRC_AT, crc32(r, RECORD_CRC_AT));
}

enum record_state { RECORD_GOOD, RECORD_BAD, RECORD_OTHER };

// GOOD: whole and of that number. OTHER: whole, but of another number. BAD: torn or damaged.
static inline enum record_state record_check(const uint8_t r[RECORD_SIZE], uint64_t seq) {
    uint8_t want[RECORD_PAYLOAD];
    uint64_t has = get64(r + 8);
    if (memcmp(r, RECORD_MAGIC, 8) != 0 || get32(r + RECORD_CRC_AT) != crc32(r, RECORD_CRC_AT)) return RECORD_BAD;
    payload_fill(want, sizeof want, has);
    if (memcmp(r + 24, want, sizeof want) != 0) return RECORD_BAD;
    return has == seq ? RECORD_GOOD : RECORD_OTHER;
}

static inline uint64_t clock_ns(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

#endif
