// Copyright The Baton authors. SPDX-License-Identifier: Apache-2.0
// baton-work: the demonstration workload. Five processes share one page of counters:
//   disk     appends numbered, checksummed records to /var/work/records.dat and publishes a number once it is on disk
//   compute  a chain of integer and floating-point steps whose result the host can work out again
//   gap      wakes every millisecond, on each processor in turn; keeps the longest gap and counts clocks going back
//   echo     TCP 7001: checks numbered records and answers them
//   status   TCP 7002: one JSON line every 50 ms, and commands: reset, irqs, stop, start, verify
// Formats: guest/PROTOCOL.md.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"
#include "verify.h"

#define FOLDER "/var/work"
#define RECORDS FOLDER "/records.dat"

enum {
    ECHO_PORT = 7001,
    STATUS_PORT = 7002,
    ECHO_SIZE = 64,
    ECHO_CRC_AT = 60,
    RECORDS_MAX = 24 * 1024 * 1024 / RECORD_SIZE,
    FREE_MIN = 4 * 1024 * 1024,  // bytes left on the file system at which the disk writer ends
    COMPUTE_BLOCK = 100000,
    CPUS = 64,
    STATUS_MS = 50,
    LINE_ROOM = 8192,
};

struct shared {
    _Atomic uint64_t pulse;       // wake-ups of the gap meter
    _Atomic uint64_t disk_ack;    // newest record that fsync has covered
    _Atomic int disk_full, disk_error;
    _Atomic uint64_t compute_lock;  // odd while the pair below changes
    _Atomic uint64_t compute_count, compute_hash;
    _Atomic uint64_t gap_max, gap_at;  // longest gap and the CLOCK_MONOTONIC at its end
    _Atomic uint64_t backward;
    _Atomic uint64_t tcp_records, tcp_errors;
    _Atomic int stop;             // the writers shall rest
    _Atomic int disk_rests, compute_rests;
    _Atomic int irq_check;        // pid of the connection's child that runs an interrupt check
};
static struct shared *shared;

static void rest_ms(long ms) {
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

// ---- disk --------------------------------------------------------------------------------------------------------

static bool write_all(int fd, const uint8_t *p, size_t n, off_t at) {
    while (n) {
        ssize_t k = pwrite(fd, p, n, at);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) return false;
        p += k;
        n -= (size_t)k;
        at += k;
    }
    return true;
}

// Number of the last of the unbroken good records that the file begins with (after a restart the writer goes on there).
static uint64_t last_good(int fd) {
    uint8_t r[RECORD_SIZE];
    uint64_t seq = 0;
    while (seq < RECORDS_MAX && pread(fd, r, sizeof r, (off_t)seq * RECORD_SIZE) == (ssize_t)sizeof r &&
           record_check(r, seq + 1) == RECORD_GOOD)
        seq++;
    return seq;
}

static void disk_process(void) {
    mkdir(FOLDER, 0755);
    int fd = open(RECORDS, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) {
        shared->disk_error = errno;
        shared->disk_rests = 1;
        for (;;) pause();
    }
    uint64_t seq = last_good(fd);
    if (ftruncate(fd, (off_t)seq * RECORD_SIZE) == 0 && fsync(fd) == 0) shared->disk_ack = seq;
    int folder = open(FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0) fsync(folder);
    for (;;) {
        struct statvfs v;
        bool full = seq >= RECORDS_MAX || (fstatvfs(fd, &v) == 0 && (uint64_t)v.f_bavail * v.f_frsize < FREE_MIN);
        if (full) shared->disk_full = 1;
        if (full || shared->stop || shared->disk_error) {
            shared->disk_rests = 1;
            rest_ms(20);
            continue;
        }
        shared->disk_rests = 0;
        uint8_t r[RECORD_SIZE];
        record_make(r, seq + 1, clock_ns(CLOCK_MONOTONIC));
        if (!write_all(fd, r, sizeof r, (off_t)seq * RECORD_SIZE) || fsync(fd) != 0) {
            shared->disk_error = errno;
            continue;
        }
        shared->disk_ack = ++seq;
        rest_ms(5);
    }
}

// ---- compute -----------------------------------------------------------------------------------------------------

static void compute_process(void) {
    setpriority(PRIO_PROCESS, 0, 10);
    uint64_t h = 0x4241544F4E000001u, count = 0;
    double f = 0.0;
    for (;;) {
        if (shared->stop) {
            shared->compute_rests = 1;
            rest_ms(20);
            continue;
        }
        shared->compute_rests = 0;
        for (int i = 0; i < COMPUTE_BLOCK; i++) {
            count++;
            h ^= h << 13;
            h ^= h >> 7;
            h ^= h << 17;
            h += count;
            f = f * 0.5 + (double)(int32_t)(h >> 33);
        }
        uint64_t bits;
        memcpy(&bits, &f, sizeof bits);
        h ^= bits;
        shared->compute_lock++;
        shared->compute_count = count;
        shared->compute_hash = h;
        shared->compute_lock++;
    }
}

static void compute_read(uint64_t *count, uint64_t *hash) {
    uint64_t before;
    do {
        before = shared->compute_lock;
        *count = shared->compute_count;
        *hash = shared->compute_hash;
    } while (before & 1 || before != shared->compute_lock);
}

// ---- processors --------------------------------------------------------------------------------------------------

static bool pin(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return sched_setaffinity(0, sizeof set, &set) == 0;
}

static int online_cpus(int list[CPUS]) {
    int n = 0;
    FILE *f = fopen("/sys/devices/system/cpu/online", "re");
    if (f) {
        for (int from, to; fscanf(f, "%d", &from) == 1;) {
            int c = fgetc(f);
            to = from;
            if (c == '-') {
                if (fscanf(f, "%d", &to) != 1) break;
                c = fgetc(f);
            }
            for (; from <= to && n < CPUS; from++) list[n++] = from;
            if (c != ',') break;
        }
        fclose(f);
    }
    if (n == 0) list[n++] = 0;
    return n;
}

// ---- gap meter ---------------------------------------------------------------------------------------------------

static void gap_process(void) {
    struct sched_param p = {.sched_priority = 50};
    sched_setscheduler(0, SCHED_FIFO, &p);
    mlockall(MCL_CURRENT | MCL_FUTURE);
    int cpus[CPUS], n = online_cpus(cpus), at = 0;
    uint64_t before = clock_ns(CLOCK_MONOTONIC), real_before = clock_ns(CLOCK_REALTIME), next = before;
    for (uint64_t wakes = 1;; wakes++) {
        if (wakes % 1024 == 0) n = online_cpus(cpus);
        if (wakes % 64 == 0) pin(cpus[at++ % n]);  // clocks must agree between processors
        next += 1000000;
        if (next < before) next = before + 1000000;  // after a long gap: do not run after lost wake-ups
        struct timespec t = {(time_t)(next / 1000000000u), (long)(next % 1000000000u)};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
        uint64_t now = clock_ns(CLOCK_MONOTONIC), real = clock_ns(CLOCK_REALTIME);
        if (now < before) shared->backward++;
        else if (now - before > shared->gap_max) {
            shared->gap_max = now - before;
            shared->gap_at = now;
        }
        if (real < real_before) shared->backward++;
        before = now;
        real_before = real;
        shared->pulse++;
    }
}

// ---- TCP ---------------------------------------------------------------------------------------------------------

// Accepts for ever; every connection is served by a process of its own.
static void serve(int port, void (*serve_one)(int)) {
    int one = 1, s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (s < 0 || bind(s, (struct sockaddr *)&a, sizeof a) != 0 || listen(s, 16) != 0) {
        fprintf(stderr, "baton-work: port %d: %s\n", port, strerror(errno));
        for (;;) pause();
    }
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int c = accept4(s, NULL, NULL, SOCK_CLOEXEC);
        if (c < 0) {
            rest_ms(10);
            continue;
        }
        if (fork() == 0) {
            close(s);
            signal(SIGCHLD, SIG_DFL);
            setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            setsockopt(c, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
            serve_one(c);
            _exit(0);
        }
        close(c);
    }
}

static bool send_all(int fd, const void *data, size_t n) {
    for (const char *p = data; n;) {
        ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) return false;
        p += k;
        n -= (size_t)k;
    }
    return true;
}

// ---- echo --------------------------------------------------------------------------------------------------------

enum echo_fault { FAULT_MAGIC = 1, FAULT_CRC = 2, FAULT_ORDER = 3, FAULT_PAYLOAD = 4 };

static void echo_connection(int fd) {
    uint8_t in[64 * ECHO_SIZE], out[64 * ECHO_SIZE];
    size_t have = 0;
    uint64_t expected = 0;  // 0: the first record sets the count
    for (;;) {
        ssize_t n = recv(fd, in + have, sizeof in - have, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return;
        have += (size_t)n;
        size_t at = 0;
        bool broken = false;
        for (; at + ECHO_SIZE <= have && !broken; at += ECHO_SIZE) {
            const uint8_t *r = in + at;
            uint8_t *o = out + at, payload[48];
            uint64_t seq = get64(r + 4);
            payload_fill(payload, sizeof payload, seq);
            int fault = 0;
            if (memcmp(r, "BTN1", 4) != 0) fault = FAULT_MAGIC;
            else if (get32(r + ECHO_CRC_AT) != crc32(r, ECHO_CRC_AT)) fault = FAULT_CRC;
            else if (memcmp(r + 12, payload, sizeof payload) != 0) fault = FAULT_PAYLOAD;
            else if (expected && seq != expected) fault = FAULT_ORDER;
            if (fault) {
                shared->tcp_errors++;
                memset(o, 0, ECHO_SIZE);
                memcpy(o, "BTNE", 4);
                put64(o + 4, expected);
                put64(o + 12, seq);
                put32(o + 20, (uint32_t)fault);
                broken = fault != FAULT_ORDER;  // bytes can no longer be trusted: answer and close
            } else {
                shared->tcp_records++;
                memcpy(o, r, ECHO_SIZE);
                memcpy(o, "BTN2", 4);
            }
            if (!broken) expected = seq + 1;
            put32(o + ECHO_CRC_AT, crc32(o, ECHO_CRC_AT));
        }
        if (!send_all(fd, out, at) || broken) return;
        memmove(in, in + at, have -= at);
    }
}

// ---- interrupt check ---------------------------------------------------------------------------------------------

enum { KINDS = 3 };
static const char *const kind_names[KINDS] = {"console", "disk", "network"};

struct irq_set {         // the interrupts that one device kind has in /proc/interrupts
    int count, irq[8];
    char old_affinity[8][64];
};

static bool read_text(const char *path, char *text, size_t room) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    size_t used = 0;
    for (ssize_t n; used < room - 1 && (n = read(fd, text + used, room - 1 - used)) > 0;) used += (size_t)n;
    text[used] = '\0';
    close(fd);
    return used > 0;
}

static bool write_text(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return false;
    bool done = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    close(fd);
    return done;
}

// Hardware interrupt number of the first virtual terminal (hvc0) from the device tree, or 0.
static unsigned console_hardware_irq(void) {
    unsigned best = 0;
    unsigned long lowest = ~0ul;
    DIR *d = opendir("/proc/device-tree/vdevice");
    if (!d) return 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char path[400];
        uint8_t cells[8];
        if (strncmp(e->d_name, "vty@", 4) != 0 || strtoul(e->d_name + 4, NULL, 16) >= lowest) continue;
        snprintf(path, sizeof path, "/proc/device-tree/vdevice/%.200s/interrupts", e->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) continue;
        if (read(fd, cells, 8) >= 4) {
            best = get32(cells);
            lowest = strtoul(e->d_name + 4, NULL, 16);
        }
        close(fd);
    }
    closedir(d);
    return best;
}

// One row of /proc/interrupts: the processors' counts in columns[], the rest of the line in *tail.
static int split_row(char *row, uint64_t *columns, int cpus, char **tail) {
    char *p = strchr(row, ':');
    if (!p) return 0;
    p++;
    int n = 0;
    for (char *end; n < cpus; n++, p = end) {
        columns[n] = strtoull(p, &end, 10);
        if (end == p) break;
    }
    *tail = p;
    return n;
}

static void find_irqs(struct irq_set sets[KINDS], int cpus) {
    unsigned console = console_hardware_irq();
    FILE *f = fopen("/proc/interrupts", "re");
    char row[2048], path[64];
    memset(sets, 0, sizeof(struct irq_set) * KINDS);
    while (f && fgets(row, sizeof row, f)) {
        uint64_t columns[CPUS];
        char *tail;
        int irq = atoi(row), kind = -1;
        if (split_row(row, columns, cpus, &tail) != cpus) continue;
        unsigned hardware = 0;
        sscanf(tail, " %*s %u", &hardware);
        if (strstr(tail, "hvc_console")) kind = !console || hardware == console ? 0 : -1;
        else if (strstr(tail, "ibmvscsi")) kind = 1;
        else if (strstr(tail, "eth0")) kind = 2;
        if (kind < 0 || sets[kind].count == 8) continue;
        struct irq_set *s = &sets[kind];
        s->irq[s->count] = irq;
        snprintf(path, sizeof path, "/proc/irq/%d/smp_affinity_list", irq);
        if (!read_text(path, s->old_affinity[s->count], sizeof s->old_affinity[0])) s->old_affinity[s->count][0] = '\0';
        s->count++;
    }
    if (f) fclose(f);
}

static bool steer(const struct irq_set *s, const char *to) {
    bool done = s->count > 0;
    for (int i = 0; i < s->count; i++) {
        char path[64];
        const char *list = to ? to : s->old_affinity[i];
        snprintf(path, sizeof path, "/proc/irq/%d/smp_affinity_list", s->irq[i]);
        if (*list && !write_text(path, list)) done = false;
    }
    return done;
}

// Counts on the processor in column `column`: of the timer, and of each kind of device.
static void count_irqs(const struct irq_set sets[KINDS], int cpus, int column, uint64_t *timer, uint64_t counts[KINDS]) {
    FILE *f = fopen("/proc/interrupts", "re");
    char row[2048];
    *timer = 0;
    memset(counts, 0, sizeof(uint64_t) * KINDS);
    while (f && fgets(row, sizeof row, f)) {
        uint64_t columns[CPUS];
        char *tail, *name = row + strspn(row, " ");
        int irq = atoi(row);
        bool local = strncmp(name, "LOC:", 4) == 0;
        if (split_row(row, columns, cpus, &tail) != cpus) continue;
        if (local) *timer += columns[column];
        for (int k = 0; k < KINDS; k++)
            for (int i = 0; i < sets[k].count; i++)
                if (!local && sets[k].irq[i] == irq && *name >= '0' && *name <= '9') counts[k] += columns[column];
    }
    if (f) fclose(f);
}

// The default gateway as text, or false.
static bool find_gateway(char out[16]) {
    FILE *f = fopen("/proc/net/route", "re");
    char row[256], device[32];
    unsigned to, via;
    bool found = false;
    while (f && !found && fgets(row, sizeof row, f))
        if (sscanf(row, "%31s %x %x", device, &to, &via) == 3 && to == 0 && via != 0) {
            const uint8_t *b = (const uint8_t *)&via;  // the file shows the address in memory order
            snprintf(out, 16, "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
            found = true;
        }
    if (f) fclose(f);
    return found;
}

static void provoke_disk(void) {
    static _Alignas(4096) uint8_t block[4096];
    static off_t at;
    int fd = open("/dev/sda", O_RDONLY | O_DIRECT | O_CLOEXEC);
    if (fd < 0) return;
    ssize_t n = pread(fd, block, sizeof block, at);
    at = n == (ssize_t)sizeof block ? at + 4096 : 0;
    close(fd);
}

static void provoke_network(const char *gateway) {
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);
        for (int i = 0; i < 3; i++) dup2(null, i);
        execl("/bin/ping", "ping", "-c", "1", "-W", "1", gateway, (char *)NULL);
        _exit(127);
    }
    if (pid > 0) waitpid(pid, NULL, 0);
}

// Runs in a child; writes JSON lines to `out`.
static void check_irqs(int out) {
    int none = 0, mine = (int)getpid();
    if (!atomic_compare_exchange_strong(&shared->irq_check, &none, mine)) {
        if (kill(none, 0) == 0 || !atomic_compare_exchange_strong(&shared->irq_check, &none, mine)) {
            dprintf(out, "{\"error\":\"an interrupt check is under way\"}\n");
            return;
        }
    }
    int cpus[CPUS], n = online_cpus(cpus);
    struct irq_set sets[KINDS];
    char answer[LINE_ROOM], gateway[16];
    size_t used = (size_t)snprintf(answer, sizeof answer, "{\"irqs\":[");
    bool has_gateway = find_gateway(gateway);
    find_irqs(sets, n);
    for (int c = 0; c < n && used < sizeof answer - 512; c++) {
        char list[16];
        uint64_t ticks_before, ticks, unused, first[KINDS], now[KINDS];
        bool steered[KINDS];
        snprintf(list, sizeof list, "%d", cpus[c]);
        bool pinned = pin(cpus[c]);
        for (int k = 0; k < KINDS; k++) steered[k] = steer(&sets[k], list);
        count_irqs(sets, n, c, &ticks_before, first);
        rest_ms(50);
        count_irqs(sets, n, c, &ticks, now);
        for (int i = 0; i < 20 && sets[1].count; i++) {
            provoke_disk();
            count_irqs(sets, n, c, &unused, now);
            if (now[1] > first[1]) break;
            rest_ms(20);
        }
        for (int i = 0; i < 20 && sets[2].count; i++) {
            if (has_gateway && i % 5 == 0) provoke_network(gateway);
            count_irqs(sets, n, c, &unused, now);
            if (now[2] > first[2]) break;
            rest_ms(50);  // the status stream's own acknowledgements count as well
        }
        if (sets[0].count) {
            // What the console took before is not an answer: count from here.
            count_irqs(sets, n, c, &unused, now);
            first[0] = now[0];
            dprintf(out, "{\"want\":\"console-input\",\"cpu\":%d}\n", cpus[c]);
            for (int i = 0; i < 150 && now[0] == first[0]; i++) {
                rest_ms(20);
                count_irqs(sets, n, c, &unused, now);
            }
        }
        used += (size_t)snprintf(answer + used, sizeof answer - used, "%s{\"cpu\":%d,\"pinned\":%s,\"timer\":%s", c ? "," : "",
                                 cpus[c], pinned ? "true" : "false", ticks > ticks_before ? "true" : "false");
        for (int k = 0; k < KINDS; k++)
            used += (size_t)snprintf(answer + used, sizeof answer - used, ",\"%s\":%s", kind_names[k],
                                     !sets[k].count ? "null" : now[k] > first[k] ? "true" : "false");
        used += (size_t)snprintf(answer + used, sizeof answer - used, ",\"counts\":{\"timer\":%" PRIu64, ticks - ticks_before);
        for (int k = 0; k < KINDS; k++)
            used += (size_t)snprintf(answer + used, sizeof answer - used, ",\"%s\":%" PRIu64, kind_names[k],
                                     now[k] - first[k]);
        used += (size_t)snprintf(answer + used, sizeof answer - used, "},\"steered\":{");
        for (int k = 0; k < KINDS; k++)
            used += (size_t)snprintf(answer + used, sizeof answer - used, "%s\"%s\":%s", k ? "," : "", kind_names[k],
                                     steered[k] ? "true" : "false");
        used += (size_t)snprintf(answer + used, sizeof answer - used, "}}");
    }
    for (int k = 0; k < KINDS; k++) steer(&sets[k], NULL);
    shared->irq_check = 0;
    dprintf(out, "%s]}\n", answer);
}

// ---- status ------------------------------------------------------------------------------------------------------

static void stop_writers(int out) {
    uint64_t count, hash;
    shared->stop = 1;
    shared->disk_rests = shared->compute_rests = 0;
    for (int i = 0; i < 3000 && !(shared->disk_rests && shared->compute_rests); i++) rest_ms(10);
    bool stopped = shared->disk_rests && shared->compute_rests;
    sync();
    compute_read(&count, &hash);
    dprintf(out, "{\"stopped\":%s,\"disk_ack\":%" PRIu64 ",\"compute\":%" PRIu64 ",\"compute_hash\":\"%016" PRIx64 "\"}\n",
            stopped ? "true" : "false", shared->disk_ack, count, hash);
}

static void start_writers(int out) {
    shared->stop = 0;
    dprintf(out, "{\"started\":true}\n");
}

static void verify_records(int out) {
    struct verify_result r;
    uint64_t acknowledged = shared->disk_ack;
    int error = acknowledged ? verify_file(RECORDS, acknowledged, &r) : (memset(&r, 0, sizeof r), 0);
    if (error) dprintf(out, "{\"error\":\"verify: %s\"}\n", strerror(error));
    else dprintf(out, "{\"verified\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"bad\":%" PRIu64 "}\n", r.verified, r.lost, r.bad);
}

static void reset_gap(int out) {
    shared->gap_max = 0;
    shared->gap_at = 0;
    dprintf(out, "{\"reset\":true}\n");
}

static const struct {
    const char *name;
    void (*run)(int out);
} commands[] = {
    {"reset", reset_gap}, {"irqs", check_irqs}, {"stop", stop_writers}, {"start", start_writers}, {"verify", verify_records},
};

// Busy percent of each online processor since the last call, as a JSON list.
static void busy_list(char *out, size_t room) {
    static uint64_t old_busy[CPUS], old_all[CPUS];
    FILE *f = fopen("/proc/stat", "re");
    char row[512];
    size_t used = 0;
    while (f && fgets(row, sizeof row, f)) {
        int cpu;
        uint64_t v[8] = {0}, all = 0;
        if (row[0] != 'c' || row[3] < '0' || row[3] > '9') continue;  // the first row is the sum of all
        if (sscanf(row, "cpu%d %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, &cpu,
                   &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]) < 5 || cpu < 0 || cpu >= CPUS) continue;
        for (int i = 0; i < 8; i++) all += v[i];
        uint64_t busy = all - v[3] - v[4], d = all - old_all[cpu], b = busy - old_busy[cpu];
        used += (size_t)snprintf(out + used, room - used, "%s%d", used ? "," : "", d && b <= d ? (int)(100 * b / d) : 0);
        old_all[cpu] = all;
        old_busy[cpu] = busy;
        if (used > room - 8) break;
    }
    if (f) fclose(f);
    if (!used) *out = '\0';
}

static bool send_status(int fd, const char *busy) {
    char line[1024];
    uint64_t count, hash;
    compute_read(&count, &hash);
    int n = snprintf(line, sizeof line,
                     "{\"mono_ns\":%" PRIu64 ",\"real_ns\":%" PRIu64 ",\"pulse\":%" PRIu64 ",\"disk_ack\":%" PRIu64
                     ",\"disk_full\":%s,\"disk_error\":%d,\"compute\":%" PRIu64 ",\"compute_hash\":\"%016" PRIx64
                     "\",\"gap_ns_max\":%" PRIu64 ",\"gap_at_ns\":%" PRIu64 ",\"backward\":%" PRIu64 ",\"tcp_records\":%" PRIu64
                     ",\"tcp_errors\":%" PRIu64 ",\"cpu\":[%s]}\n",
                     clock_ns(CLOCK_MONOTONIC), clock_ns(CLOCK_REALTIME), shared->pulse, shared->disk_ack,
                     shared->disk_full ? "true" : "false", shared->disk_error, count, hash, shared->gap_max, shared->gap_at,
                     shared->backward, shared->tcp_records, shared->tcp_errors, busy);
    return send_all(fd, line, (size_t)n);
}

// One job at a time: a child whose lines come through `pipe_in` and are sent between status lines.
struct job {
    pid_t pid;
    int pipe_in;
    size_t used;
    char text[LINE_ROOM];
};

static bool start_job(struct job *j, const char *name) {
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        int p[2];
        if (strcmp(name, commands[i].name) != 0) continue;
        if (pipe2(p, O_CLOEXEC) != 0) return false;
        j->used = 0;
        j->pid = fork();
        if (j->pid == 0) {
            commands[i].run(p[1]);
            _exit(0);
        }
        close(p[1]);
        j->pipe_in = p[0];
        return j->pid > 0;
    }
    return false;
}

static bool pass_job_lines(struct job *j, int fd) {
    ssize_t n = read(j->pipe_in, j->text + j->used, sizeof j->text - j->used);
    if (n <= 0) {
        close(j->pipe_in);
        waitpid(j->pid, NULL, 0);
        j->pid = 0;
        j->pipe_in = -1;
        return true;
    }
    j->used += (size_t)n;
    for (char *end; (end = memchr(j->text, '\n', j->used)) != NULL;) {
        size_t size = (size_t)(end - j->text) + 1;
        if (!send_all(fd, j->text, size)) return false;
        memmove(j->text, end + 1, j->used -= size);
    }
    return j->used < sizeof j->text;
}

static void status_connection(int fd) {
    struct job job = {.pipe_in = -1};
    char input[256], busy[CPUS * 4 + 16] = "";
    size_t have = 0;
    uint64_t next = clock_ns(CLOCK_MONOTONIC), lines = 0;
    for (;;) {
        uint64_t now = clock_ns(CLOCK_MONOTONIC);
        if (now >= next) {
            if (lines++ % 10 == 0) busy_list(busy, sizeof busy);
            if (!send_status(fd, busy)) break;
            next += STATUS_MS * 1000000u;
            if (next < now) next = now + STATUS_MS * 1000000u;
            continue;
        }
        // While a job runs further commands wait in the socket.
        struct pollfd p[2] = {{.fd = job.pid ? -1 : fd, .events = POLLIN}, {.fd = job.pipe_in, .events = POLLIN}};
        poll(p, 2, (int)((next - now) / 1000000u) + 1);
        if (p[1].revents && !pass_job_lines(&job, fd)) break;
        if (p[0].revents) {
            ssize_t n = recv(fd, input + have, sizeof input - have, 0);
            if (n == 0 || (n < 0 && errno != EINTR)) break;
            if (n > 0) have += (size_t)n;
        }
        char *end;
        while (!job.pid && (end = memchr(input, '\n', have)) != NULL) {
            size_t size = (size_t)(end - input) + 1;
            *end = '\0';
            if (end > input && end[-1] == '\r') end[-1] = '\0';
            bool known = start_job(&job, input);
            memmove(input, input + size, have -= size);
            static const char unknown[] = "{\"error\":\"unknown command\"}\n";
            if (!known && !send_all(fd, unknown, sizeof unknown - 1)) goto out;
        }
        if (have == sizeof input) have = 0;
    }
out:
    if (job.pid) waitpid(job.pid, NULL, 0);
}

// ---- all together ------------------------------------------------------------------------------------------------

static void echo_process(void) { serve(ECHO_PORT, echo_connection); }
static void status_process(void) { serve(STATUS_PORT, status_connection); }

static pid_t start(void (*run)(void), const char *name) {
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_NAME, name);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        run();
        _exit(1);
    }
    return pid;
}

int main(void) {
    static void (*const runs[])(void) = {disk_process, compute_process, gap_process, echo_process, status_process};
    static const char *const names[] = {"work-disk", "work-compute", "work-gap", "work-echo", "work-status"};
    signal(SIGPIPE, SIG_IGN);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        perror("baton-work: mmap");
        return 1;
    }
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++)
        if (start(runs[i], names[i]) < 0) {
            perror("baton-work: fork");
            return 1;
        }
    int status;
    for (pid_t pid; (pid = wait(&status)) > 0;) fprintf(stderr, "baton-work: process %d ended with status %x\n", pid, status);
    return 1;
}
