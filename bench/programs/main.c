// SPDX-License-Identifier: Apache-2.0
// baton-bench [-r ROUNDS] [NAME...]: runs the programs named (or all) and prints a line for each round:
//   BENCH group name round seconds digest
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "measure.h"

void give_up(const char *what) {
    perror(what);
    exit(1);
}

void *room(size_t bytes) {
    void *place = aligned_alloc(128, (bytes + 127) / 128 * 128);
    if (!place) give_up("memory");
    memset(place, 0, bytes);
    return place;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static bool wanted(const char *name, char **names) {
    if (!*names) return true;
    for (; *names; names++)
        if (!strcmp(name, *names)) return true;
    return false;
}

int main(int count, char **words) {
    int rounds = 4, option;
    while ((option = getopt(count, words, "r:")) != -1) {
        if (option != 'r' || (rounds = atoi(optarg)) < 1) {
            fprintf(stderr, "usage: baton-bench [-r ROUNDS] [NAME...]\n");
            return 2;
        }
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    const struct program *const groups[] = {integer_programs, scalar_programs, vector_programs,
                                            system_programs,  smp_programs,    memory_programs};
    for (size_t g = 0; g < sizeof groups / sizeof *groups; g++)
        for (const struct program *p = groups[g]; p->run; p++)
            for (int round = 0; round < rounds && wanted(p->name, words + optind); round++) {
                double start = now();
                uint64_t digest = p->run();
                printf("BENCH %s %s %d %.6f %016" PRIx64 "\n", p->group, p->name, round, now() - start, digest);
            }
    return 0;
}
