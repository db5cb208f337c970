// SPDX-License-Identifier: Apache-2.0
// What a debugger uses of the processor, through Linux: watchpoints (ptrace and perf), single steps, and
// steps to the next branch. Says what is wrong; exit code 0 if nothing is.
#include <asm/ptrace.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int failures, checks;
static void check(int ok, const char* what, long detail) {
  checks++;
  if (ok) return;
  failures++;
  printf("wrong: %s (%lx)\n", what, detail);
}

static volatile uint64_t watched[4] __attribute__((aligned(64)));

// The code that is stepped through, and where.
extern const char straight[], straight_end[], branches[], after_untaken[], after_taken[], after_next[];
__asm__(
    ".text\n"
    "straight: nop\n nop\n li 3,1\n addi 3,3,1\n nop\n"
    "straight_end: blr\n"
    "branches: li 3,1\n cmpdi 3,1\n nop\n bne 1f\n"
    "after_untaken: nop\n nop\n beq 1f\n nop\n nop\n"
    "1:\n"
    "after_taken: nop\n b 2f\n"
    "2:\n"
    "after_next: nop\n blr\n");
static void call(const char* at) {
  // Branches to a label, not to a function: there is no descriptor.
  __asm__ volatile("mtctr %0\n bctrl\n" : : "r"(at) : "r3", "ctr", "lr", "cr0", "memory");
}

static uint64_t nip(pid_t child) { return (uint64_t)ptrace(PTRACE_PEEKUSER, child, (void*)(PT_NIP * 8), 0); }
/// Lets the child go on; the signal that stops it, 0 if it has ended.
static int go_on(pid_t child, enum __ptrace_request how) {
  int status;
  ptrace(how, child, 0, 0);
  waitpid(child, &status, 0);
  return WIFSTOPPED(status) ? WSTOPSIG(status) : 0;
}
static pid_t start(void (*body)(void)) {
  const pid_t child = fork();
  if (child == 0) {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    body();
    _exit(0);
  }
  int status;
  waitpid(child, &status, 0);
  return child;
}
static void finish(pid_t child) {
  ptrace(PTRACE_KILL, child, 0, 0);
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
}

static void touch(void) {
  watched[2] = 1;           // A neighbour.
  watched[1] = 0x1234;      // The watched one, to be written,
  watched[0] = watched[1];  // and read.
  raise(SIGUSR1);
}

static uint64_t value_of(pid_t child, const volatile void* at) {
  return (uint64_t)ptrace(PTRACE_PEEKDATA, child, (void*)at, 0);
}

/// Legacy debug registers: the low bits say translated 4, writes 2, reads 1. One hit, before the access.
static void debug_register(int kinds, int hits) {
  const pid_t child = start(touch);
  const uint64_t address = (uint64_t)&watched[1];
  check(ptrace(PTRACE_SET_DEBUGREG, child, 0, (void*)(address | 4 | (unsigned)kinds)) == 0,
        "PTRACE_SET_DEBUGREG", kinds);
  int signal = go_on(child, PTRACE_CONT);
  if (hits) {
    siginfo_t info;
    check(signal == SIGTRAP, "watchpoint", signal);
    ptrace(PTRACE_GETSIGINFO, child, 0, &info);
    check(info.si_code == 4 /* TRAP_HWBKPT */, "its code", info.si_code);
    check(((uint64_t)info.si_addr & ~7ull) == address, "its address", (long)info.si_addr);
    check(value_of(child, &watched[2]) == 1, "the store before it", kinds);
    check(value_of(child, &watched[1]) == (kinds == 1 ? 0x1234 : 0), "the access is not done", kinds);
    signal = go_on(child, PTRACE_CONT);
  }
  check(signal == SIGUSR1, "the end", signal);
  check(value_of(child, &watched[0]) == 0x1234, "the result", kinds);
  finish(child);
}

static void new_interface(void) {
  const pid_t child = start(touch);
  struct ppc_debug_info info;
  memset(&info, 0, sizeof info);
  check(ptrace(PPC_PTRACE_GETHWDBGINFO, child, 0, &info) == 0, "PPC_PTRACE_GETHWDBGINFO", 0);
  check(info.num_data_bps == 1, "number of watchpoints", info.num_data_bps);
  struct ppc_hw_breakpoint point;
  memset(&point, 0, sizeof point);
  point.version = 1;
  point.trigger_type = PPC_BREAKPOINT_TRIGGER_READ;
  point.addr_mode = PPC_BREAKPOINT_MODE_EXACT;
  point.condition_mode = PPC_BREAKPOINT_CONDITION_NONE;
  point.addr = (uint64_t)&watched[1];
  const long handle = ptrace(PPC_PTRACE_SETHWDEBUG, child, 0, &point);
  check(handle > 0, "PPC_PTRACE_SETHWDEBUG", handle);
  check(go_on(child, PTRACE_CONT) == SIGTRAP, "watchpoint for reads", 0);
  check(value_of(child, &watched[1]) == 0x1234, "the write was none", 0);
  check(value_of(child, &watched[0]) == 0, "the read is not done", 0);
  finish(child);
}

/// perf counts accesses: Linux steps over each.
static void counted(int type, uint64_t expected) {
  struct perf_event_attr attr;
  memset(&attr, 0, sizeof attr);
  attr.type = PERF_TYPE_BREAKPOINT;
  attr.size = sizeof attr;
  attr.bp_type = (unsigned)type;
  attr.bp_addr = (uint64_t)&watched[3];
  attr.bp_len = HW_BREAKPOINT_LEN_8;
  attr.exclude_kernel = 1;
  attr.exclude_hv = 1;
  const int fd = (int)syscall(__NR_perf_event_open, &attr, 0, -1, -1, 0);
  check(fd >= 0, "perf_event_open", type);
  if (fd < 0) return;
  uint64_t sum = 0, count = 0;
  for (int i = 0; i < 10; i++) {
    watched[3] = (uint64_t)i;
    watched[2] = 7;
    sum += watched[3];
    sum += watched[3];
  }
  ioctl(fd, PERF_EVENT_IOC_DISABLE, 0);
  check(read(fd, &count, sizeof count) == sizeof count, "read", 0);
  check(count == expected, "accesses counted", (long)count);
  check(sum == 90, "their values", (long)sum);
  close(fd);
}

static void walk(void) { call(straight); }
static void jump(void) { call(branches); }

/// Steps until `from`; false if it never comes.
static int step_to(pid_t child, const char* from) {
  for (int i = 0; i < 100000; i++) {
    if (nip(child) == (uint64_t)from) return 1;
    if (go_on(child, PTRACE_SINGLESTEP) != SIGTRAP) return 0;
  }
  return 0;
}

static void single_steps(void) {
  const pid_t child = start(walk);
  check(step_to(child, straight), "steps into a routine", 0);
  for (const char* at = straight; at < straight_end; at += 4) {
    check(nip(child) == (uint64_t)at, "place", (long)nip(child));
    check(go_on(child, PTRACE_SINGLESTEP) == SIGTRAP, "step", 0);
  }
  check(nip(child) == (uint64_t)straight_end, "end of the routine", (long)nip(child));
  check(go_on(child, PTRACE_CONT) == 0, "goes on", 0);
}

static void branch_steps(void) {
  const pid_t child = start(jump);
  check(step_to(child, branches), "steps into a routine", 0);
  // A branch that is not taken ends a block, too.
  const char* const stops[] = {after_untaken, after_taken, after_next};
  for (int i = 0; i < 3; i++) {
    check(go_on(child, (enum __ptrace_request)PTRACE_SINGLEBLOCK) == SIGTRAP, "block step", i);
    check(nip(child) == (uint64_t)stops[i], "place after a block", (long)(nip(child) - (uint64_t)branches));
  }
  finish(child);
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  debug_register(2, 1);
  debug_register(1, 1);
  debug_register(3, 1);
  new_interface();
  counted(HW_BREAKPOINT_W, 10);
  counted(HW_BREAKPOINT_R, 20);
  counted(HW_BREAKPOINT_RW, 30);
  single_steps();
  branch_steps();
  printf("%d checks, %d failures\n", checks, failures);
  return failures != 0;
}
