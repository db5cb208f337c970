// Copyright The Baton authors. SPDX-License-Identifier: Apache-2.0
// baton-agent [DEVICE]: the partition's end of the management channel (stands where RSCT/RMC and drmgr do on PowerVM).
// Speaks the line protocol of guest/PROTOCOL.md on /dev/hvc1. One process owns the channel and never blocks on it;
// whatever takes time (hooks, the write to /sys/kernel/mobility/migration) runs in a child, which hands its finished
// lines back through a pipe. Reopens the channel when it breaks.
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define HOOKS "/etc/drmgr.d/pmig"
#define TRIGGER "/sys/kernel/mobility/migration"

enum {
    LINE_MAX_IN = 256,       // longer lines are answered with an error and skipped
    TEXT_MAX = 1000,         // bytes of hook output that go into an answer, before encoding
    LINE_MAX_OUT = 3500,     // below PIPE_BUF: lines of several children cannot mix
    BACKLOG_MAX = 64 * 1024, // answers kept while the other side does not read
    HOOK_SECONDS = 60,
};

static int channel = -1;
static int answers[2];       // children write finished lines into [1]
static char mover[24];       // number of the migration under way, or ""
static char backlog[BACKLOG_MAX];
static size_t backlog_size;

// ---- lines to the other side -------------------------------------------------------------------------------------

static void queue_line(const char *line, size_t n) {
    if (n > sizeof backlog - backlog_size) return;  // nobody has read for 64 KB: the newest line is lost, not the agent
    memcpy(backlog + backlog_size, line, n);
    backlog_size += n;
}

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...) {
    char line[LINE_MAX_OUT];
    va_list list;
    va_start(list, format);
    int n = vsnprintf(line, sizeof line, format, list);
    va_end(list);
    if (n > 0 && (size_t)n < sizeof line) queue_line(line, (size_t)n);
}

static void say_hello(void) {
    struct utsname u;
    uname(&u);
    say("hello baton-agent 1 pmig=%s os=%s\n", access(TRIGGER, F_OK) == 0 ? "yes" : "no", u.release);
}

// Percent-encodes all that is not a plain printable character.
static void encode(char *out, size_t room, const char *text) {
    size_t at = 0;
    for (const unsigned char *p = (const unsigned char *)text; *p && at + 4 < room; p++) {
        if (isalnum(*p) || strchr("-._~/:,;=+()", *p)) out[at++] = (char)*p;
        else at += (size_t)sprintf(out + at, "%%%02X", *p);
    }
    out[at] = '\0';
}

// A finished answer, from a child (through the pipe; one write is one line).
static void report(const char *seq, int rc, const char *text) {
    char encoded[3 * TEXT_MAX + 16], line[LINE_MAX_OUT];
    encode(encoded, sizeof encoded, *text ? text : "-");
    int n = snprintf(line, sizeof line, "result %s %d %s\n", seq, rc, encoded);
    if (write(answers[1], line, (size_t)n) != n) _exit(1);
}

// ---- hooks -------------------------------------------------------------------------------------------------------

struct hooks {
    struct dirent **list;
    int count;
};

static int plain_file(const struct dirent *e) { return e->d_name[0] != '.'; }

static struct hooks find_hooks(void) {
    struct hooks h = {0};
    h.count = scandir(HOOKS, &h.list, plain_file, alphasort);
    if (h.count < 0) h.count = 0;
    return h;
}

// Runs one hook with DRC_TYPE=pmig and PHASE set; adds its output to text. Returns its exit code (128+N: signal N).
static int run_hook(const char *name, const char *phase, char *text, size_t room) {
    char path[512];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", HOOKS, name);
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode) || !(st.st_mode & 0111)) return 0;
    int out[2];
    if (pipe2(out, O_CLOEXEC) != 0) return errno;
    pid_t pid = fork();
    if (pid < 0) return errno;
    if (pid == 0) {
        int null = open("/dev/null", O_RDONLY);
        dup2(null, 0);
        dup2(out[1], 1);
        dup2(out[1], 2);
        char phase_is[32];
        snprintf(phase_is, sizeof phase_is, "PHASE=%s", phase);
        char *environment[] = {"DRC_TYPE=pmig", phase_is, "PATH=/bin:/usr/bin:/sbin:/usr/sbin", NULL};
        setpgid(0, 0);
        execle(path, name, phase, (char *)NULL, environment);
        dprintf(2, "%s: %s", path, strerror(errno));
        _exit(126);
    }
    close(out[1]);
    size_t used = strlen(text);
    time_t end = time(NULL) + HOOK_SECONDS;
    for (;;) {
        struct pollfd p = {.fd = out[0], .events = POLLIN};
        int left = (int)(end - time(NULL));
        if (left <= 0 || poll(&p, 1, left * 1000) == 0) {
            kill(-pid, SIGKILL);
            snprintf(text + used, room - used, "%s%s took longer than %d s", used ? " " : "", name, HOOK_SECONDS);
            break;
        }
        char piece[512];
        ssize_t n = read(out[0], piece, sizeof piece);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        for (ssize_t i = 0; i < n && used + 1 < room; i++) text[used++] = piece[i] ? piece[i] : '?';
        text[used] = '\0';
    }
    close(out[0]);
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) return errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void trim(char *text) {
    size_t n = strlen(text);
    while (n && isspace((unsigned char)text[n - 1])) text[--n] = '\0';
}

static void run_phase(const char *phase) {
    struct hooks h = find_hooks();
    for (int i = 0; i < h.count; i++) {
        char text[TEXT_MAX] = "";
        run_hook(h.list[i]->d_name, phase, text, sizeof text);
    }
}

// ---- what the children do ----------------------------------------------------------------------------------------

static void child_check(const char *seq) {
    if (access(TRIGGER, W_OK) != 0) {
        report(seq, errno, "this kernel has no " TRIGGER);
        return;
    }
    struct hooks h = find_hooks();
    for (int i = 0; i < h.count; i++) {
        char text[TEXT_MAX] = "", ignored[TEXT_MAX] = "";
        int rc = run_hook(h.list[i]->d_name, "check", text, sizeof text);
        if (rc == 0) continue;
        for (int k = 0; k < i; k++) run_hook(h.list[k]->d_name, "undocheck", ignored, sizeof ignored);
        trim(text);
        if (!*text) snprintf(text, sizeof text, "%s refused with exit code %d", h.list[i]->d_name, rc);
        report(seq, rc, text);
        return;
    }
    report(seq, 0, "ok");
}

static void child_undocheck(const char *seq) {
    run_phase("undocheck");
    report(seq, 0, "ok");
}

static void child_migrate(const char *seq, uint64_t stream) {
    run_phase("pre");
    char number[32];
    int rc = 0;
    int n = snprintf(number, sizeof number, "0x%" PRIx64 "\n", stream);
    int fd = open(TRIGGER, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, number, (size_t)n) != n) rc = errno;  // the write returns when the move is over
    if (fd >= 0) close(fd);
    run_phase("post");
    report(seq, rc, rc ? strerror(rc) : "ok");
}

static void child_power(const char *seq, const char *program) {
    report(seq, 0, "ok");
    usleep(200 * 1000);  // lets the answer out before the agent is ended
    execl(program, program, (char *)NULL);
    report(seq, errno, strerror(errno));
}

// ---- commands ----------------------------------------------------------------------------------------------------

static pid_t spawn(void) {
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGCHLD, SIG_DFL);
        if (channel >= 0) close(channel);
        close(answers[0]);
        setsid();
    }
    return pid;
}

// Starts `work` in a child, or answers why not.
#define IN_CHILD(seq, work)                                                     \
    do {                                                                        \
        pid_t pid_ = spawn();                                                   \
        if (pid_ == 0) {                                                        \
            work;                                                               \
            _exit(0);                                                           \
        }                                                                       \
        if (pid_ < 0) {                                                         \
            say("result %s %d cannot%%20fork\n", seq, errno);                   \
            if (strcmp(mover, seq) == 0) *mover = '\0';                         \
        }                                                                       \
    } while (0)

static bool is_number(const char *s) {
    size_t n = strspn(s, "0123456789");
    return n > 0 && n <= 20 && s[n] == '\0';
}

static void command(char *line) {
    char *rest = line, *word[4] = {0};
    int words = 0;
    for (char *w; words < 4 && (w = strsep(&rest, " \t")) != NULL;)
        if (*w) word[words++] = w;
    if (words == 0) return;
    const char *verb = word[0], *seq = word[1];
    if (words == 1 && strcmp(verb, "hello") == 0) {
        say_hello();
        return;
    }
    if (words < 2 || !is_number(seq)) {
        say("error malformed\n");
        return;
    }
    if (words == 2 && strcmp(verb, "ping") == 0) say("result %s 0 pong\n", seq);
    else if (words == 2 && strcmp(verb, "check") == 0 && *mover) say("result %s %d a%%20move%%20is%%20under%%20way\n", seq, EBUSY);
    else if (words == 2 && strcmp(verb, "check") == 0) IN_CHILD(seq, child_check(seq));
    else if (words == 2 && strcmp(verb, "undocheck") == 0) IN_CHILD(seq, child_undocheck(seq));
    else if (words == 2 && strcmp(verb, "shutdown") == 0) IN_CHILD(seq, child_power(seq, "/sbin/poweroff"));
    else if (words == 2 && strcmp(verb, "reboot") == 0) IN_CHILD(seq, child_power(seq, "/sbin/reboot"));
    else if (words == 3 && strcmp(verb, "migrate") == 0) {
        char *end;
        errno = 0;
        uint64_t stream = strtoull(word[2], &end, 16);
        if (!isxdigit((unsigned char)word[2][0]) || *end || errno) {
            say("result %s %d bad%%20stream%%20id\n", seq, EINVAL);
        } else if (*mover) {
            say("result %s %d a%%20move%%20is%%20under%%20way\n", seq, EBUSY);
        } else {
            say("started %s\n", seq);
            snprintf(mover, sizeof mover, "%s", seq);
            IN_CHILD(seq, child_migrate(seq, stream));
        }
    } else say("result %s %d unknown%%20command\n", seq, ENOSYS);
}

// ---- the channel -------------------------------------------------------------------------------------------------

static int open_channel(const char *device) {
    int fd = open(device, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return -1;
    struct termios t;
    if (tcgetattr(fd, &t) == 0) {
        cfmakeraw(&t);
        t.c_cflag |= CLOCAL | CREAD;
        tcsetattr(fd, TCSANOW, &t);
        tcflush(fd, TCIFLUSH);
    }
    return fd;
}

static void close_channel(void) {
    close(channel);
    channel = -1;
}

// Collects bytes into lines; anything overlong is skipped to its end and answered with an error.
static void take_input(const char *bytes, ssize_t n) {
    static char line[LINE_MAX_IN + 1];
    static size_t used;
    static bool skipping;
    for (ssize_t i = 0; i < n; i++) {
        char c = bytes[i];
        if (c == '\n' || c == '\r') {
            line[used] = '\0';
            if (skipping) say("error overlong\n");
            else if (used) command(line);
            used = 0;
            skipping = false;
        } else if (skipping || used == LINE_MAX_IN) {
            skipping = true;
        } else {
            line[used++] = c >= ' ' && c < 127 ? c : '?';
        }
    }
}

// Whole lines from the children's pipe go to the back of the queue; the mover's only line ends the move.
static void take_answers(void) {
    static char pending[2 * LINE_MAX_OUT];
    static size_t used;
    ssize_t n = read(answers[0], pending + used, sizeof pending - used);
    if (n <= 0) return;
    used += (size_t)n;
    for (char *end; (end = memchr(pending, '\n', used)) != NULL;) {
        size_t size = (size_t)(end - pending) + 1;
        queue_line(pending, size);
        size_t digits = strlen(mover);
        if (digits && size > 8 + digits && memcmp(pending + 7, mover, digits) == 0 && pending[7 + digits] == ' ') *mover = '\0';
        memmove(pending, end + 1, used -= size);
    }
    if (used == sizeof pending) used = 0;
}

int main(int argc, char **argv) {
    const char *device = argc > 1 ? argv[1] : "/dev/hvc1";
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    // Management, hooks included, goes before the work of busy processors: a move waits for it.
    setpriority(PRIO_PROCESS, 0, -15);
    if (pipe2(answers, O_CLOEXEC) != 0) {
        perror("baton-agent: pipe");
        return 1;
    }
    for (;;) {
        while (waitpid(-1, NULL, WNOHANG) > 0) {}
        if (channel < 0 && (channel = open_channel(device)) >= 0) say_hello();
        struct pollfd p[2] = {
            {.fd = answers[0], .events = POLLIN},
            {.fd = channel, .events = (short)(POLLIN | (backlog_size ? POLLOUT : 0))},  // a negative fd is skipped
        };
        if (poll(p, 2, channel < 0 ? 1000 : 5000) < 0 && errno != EINTR) usleep(100 * 1000);
        if (p[0].revents) take_answers();
        if (channel < 0) continue;
        if (p[1].revents & (POLLERR | POLLHUP | POLLNVAL)) {
            close_channel();
            usleep(500 * 1000);
            continue;
        }
        if (p[1].revents & POLLIN) {
            char bytes[256];
            ssize_t n = read(channel, bytes, sizeof bytes);
            if (n > 0) take_input(bytes, n);
            else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
                close_channel();
                usleep(500 * 1000);
                continue;
            }
        }
        if (backlog_size) {
            ssize_t n = write(channel, backlog, backlog_size);
            if (n > 0) memmove(backlog, backlog + n, backlog_size -= (size_t)n);
            else if (n < 0 && errno != EAGAIN && errno != EINTR) close_channel();
        }
    }
}
