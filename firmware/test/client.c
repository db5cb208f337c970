// SPDX-License-Identifier: Apache-2.0
// A client program that tries every service of the client interface and says
// on the console what went wrong. Run by run-client.sh under QEMU.
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

int gate(void* cells);
int gate_checked(void* cells);
int gate_checked_cr(void* cells);
int call_rtas(void* buffer, uint32_t entry);
void client_main(void);
extern struct {
  uint32_t r3, r4;
  uint64_t msr;
  uint32_t r1;
} started_with;

#define NONE 0xffffffffu
static uint32_t cells[32] __attribute__((aligned(8)));
static uint32_t out;  // ihandle of stdout
static int failures, checks;

static uint32_t length(const char* s) {
  uint32_t n = 0;
  while (s[n]) n++;
  return n;
}

static bool same(const char* a, const char* b) {
  while (*a && *a == *b) a++, b++;
  return *a == *b;
}

static void prepare(const char* service, uint32_t nargs, uint32_t nrets, va_list ap) {
  cells[0] = (uint32_t)service;
  cells[1] = nargs;
  cells[2] = nrets;
  for (uint32_t i = 0; i < nargs; i++) cells[3 + i] = va_arg(ap, uint32_t);
  for (uint32_t i = 0; i < nrets; i++) cells[3 + nargs + i] = 0xdeadbeef;
}

static int status;

// Calls a service with the given cells; the first return cell, status aside.
static uint32_t call(const char* service, uint32_t nargs, uint32_t nrets, ...) {
  va_list ap;
  va_start(ap, nrets);
  prepare(service, nargs, nrets, ap);
  va_end(ap);
  status = gate(cells);
  return cells[3 + nargs];
}
#define S(s) ((uint32_t)(s))

static void say(const char* s) { call("write", 3, 1, out, S(s), length(s)); }

static void say_hex(uint32_t v) {
  char text[9];
  for (int i = 0; i < 8; i++) text[i] = "0123456789abcdef"[v >> (28 - 4 * i) & 15];
  text[8] = 0;
  say(text);
}

static void check(bool ok, const char* what, uint32_t got) {
  checks++;
  if (ok) return;
  failures++;
  say("FAIL ");
  say(what);
  say(" got ");
  say_hex(got);
  say("\n");
}
#define IS(expr, want)                  \
  do {                                  \
    uint32_t got_ = (expr);             \
    check(got_ == (want), #expr, got_); \
  } while (0)
#define NOT(expr, bad)                 \
  do {                                 \
    uint32_t got_ = (expr);            \
    check(got_ != (bad), #expr, got_); \
  } while (0)

static char buf[256];

static uint32_t find(const char* path) { return call("finddevice", 1, 1, S(path)); }
static uint32_t get(uint32_t node, const char* name) {
  for (int i = 0; i < 256; i++) buf[i] = 0;
  return call("getprop", 4, 1, node, S(name), S(buf), 256);
}

void client_main(void) {
  uint32_t chosen = find("/chosen"), root = find("/"), memory, cpu, rtas, n;
  call("getprop", 4, 1, chosen, S("stdout"), S(&out), 4);

  get(chosen, "bootargs");
  if (same(buf, "return")) return;
  if (same(buf, "trap")) __asm__ volatile(".long 0");

  // state at the start
  IS((uint32_t)(started_with.msr >> 32), 0);
  IS((uint32_t)started_with.msr & 0xc030, 0);        // no EE, PR, IR, DR
  IS((uint32_t)started_with.msr & 0x3000, 0x3000u);  // FP and ME
  IS(started_with.r1 & 15, 0);

  // registers
  cells[0] = S("peer"), cells[1] = 1, cells[2] = 1, cells[3] = 0;
  IS((uint32_t)gate_checked(cells), 0);
  IS((uint32_t)gate_checked_cr(cells), 0);

  // finding
  NOT(root, NONE);
  NOT(chosen, NONE);
  IS(find("/nowhere"), NONE);
  memory = find("/memory");
  NOT(memory, NONE);
  IS(find("/memory@0"), memory);
  IS(find("/memory@00"), memory);
  IS(find("/memory@0:args,1"), memory);
  IS(find("memory@0"), NONE);
  cpu = find("/cpus/@0");
  NOT(cpu, NONE);
  NOT(find("hvterm"), NONE);
  IS(find("/cpus/PowerPC,POWER7@0"), cpu);
  IS(find("/cpus/POWER7@0"), cpu);
  IS(find("/cpus/PowerPC,POWER7@1"), NONE);
  rtas = find("/rtas");

  // properties
  IS(get(root, "name"), 1);
  IS(get(memory, "name"), 7);
  check(same(buf, "memory"), "name of memory", 0);
  IS(get(cpu, "name"), 15);
  IS(call("getproplen", 2, 1, memory, S("device_type")), 7);
  IS(call("getproplen", 2, 1, memory, S("absent")), NONE);
  IS(call("getproplen", 2, 1, 0x77777777, S("name")), NONE);
  IS(call("getprop", 4, 1, memory, S("device_type"), S(buf), 3), 7);
  IS(call("getprop", 4, 1, memory, S("device_type"), 0, 0), 7);
  IS(call("getprop", 4, 1, memory, S("device_type"), 0xfffffff0, 256), NONE);  // beyond the memory
  IS(call("setprop", 4, 1, chosen, S("baton,test"), S("abcdef"), 7), 7);
  IS(get(chosen, "baton,test"), 7);
  check(same(buf, "abcdef"), "setprop value", 0);
  IS(call("setprop", 4, 1, chosen, S("baton,test"), S("xy"), 3), 3);
  IS(get(chosen, "baton,test"), 3);
  IS(call("setprop", 4, 1, chosen, S("baton,empty"), 0, 0), 0);
  IS(call("getproplen", 2, 1, chosen, S("baton,empty")), 0);
  IS(call("setprop", 4, 1, chosen, S("baton,wild"), 0xf0000000, 4096), NONE);

  // all properties of /memory in turn
  char name[32] = "";
  n = 0;
  while (call("nextprop", 3, 1, memory, S(name), S(name)) == 1 && n < 50) n++;
  check(n >= 3 && n < 50 && name[0] == 0, "nextprop count", n);
  IS(call("nextprop", 3, 1, memory, S("absent"), S(name)), NONE);

  // the whole tree by child, peer, parent
  uint32_t node = call("peer", 1, 1, 0), nodes = 0, wrong = 0;
  check(node == root, "peer(0)", node);
  while (node && nodes < 10000) {
    nodes++;
    uint32_t len = call("package-to-path", 3, 1, node, S(buf), 255);
    if (len >= 255 || find((buf[len] = 0, buf)) != node) wrong++;
    uint32_t next = call("child", 1, 1, node);
    while (!next && node) {
      next = call("peer", 1, 1, node);
      if (!next) node = call("parent", 1, 1, node);
      if (node == root) break;
    }
    if (node == root && nodes > 1) break;
    node = next;
  }
  check(nodes > 10 && nodes < 10000, "nodes", nodes);
  IS(wrong, 0);
  IS(call("parent", 1, 1, root), 0);

  // instances
  uint32_t package = call("instance-to-package", 1, 1, out);
  NOT(package, NONE);
  uint32_t len = call("instance-to-path", 3, 1, out, S(buf), 255), len2;
  check(len > 9 && len < 100, "instance-to-path", len);
  len2 = call("package-to-path", 3, 1, package, S(buf), 255);
  check(len == len2 && buf[0] == '/', "paths alike", len2);
  IS(call("package-to-path", 3, 1, package, S(buf), 4), len);
  IS(call("instance-to-package", 1, 1, 0), NONE);
  IS(call("open", 1, 1, S("/nowhere")), 0);
  static const char* const handles[] = {"stdout", "stdin", "memory", "mmu", "cpu"};
  for (int i = 0; i < 5; i++) {
    uint32_t h = 0;
    IS(call("getprop", 4, 1, chosen, S(handles[i]), S(&h), 4), 4);
    NOT(call("instance-to-package", 1, 1, h), NONE);
  }
  uint32_t ih = call("open", 1, 1, S("/"));
  NOT(ih, 0);
  IS(call("instance-to-package", 1, 1, ih), root);
  call("close", 1, 0, ih);
  IS(call("instance-to-package", 1, 1, ih), NONE);
  IS(call("read", 3, 1, out, S(buf), 16), (uint32_t)-2);
  IS(call("write", 3, 1, out, 0xf0000000, 16), NONE);
  IS(call("write", 3, 1, 0x1234, S("x"), 1), NONE);
  IS(call("seek", 3, 1, out, 0, 0), NONE);

  // memory
  IS(call("claim", 3, 1, 0x8000000, 0x10000, 0), 0x8000000);
  IS(call("claim", 3, 1, 0x8000000, 0x10000, 0), NONE);
  IS(call("claim", 3, 1, 0x800f000, 0x10000, 0), NONE);
  IS(call("claim", 3, 1, 0x8010000, 0x10000, 0), 0x8010000);
  call("release", 2, 0, 0x8004000, 0x4000);
  IS((uint32_t)status, 0);
  IS(call("claim", 3, 1, 0x8004000, 0x5000, 0), NONE);
  IS(call("claim", 3, 1, 0x8004000, 0x4000, 0), 0x8004000);
  IS(call("claim", 3, 1, 0, 0x1000, 0), NONE);  // the firmware
  IS(call("claim", 3, 1, 0x100000, 0x1000, 0), NONE);
  IS(call("claim", 3, 1, 0x1000000, 0x1000, 0), NONE);    // this program
  IS(call("claim", 3, 1, 0x1fff0000, 0x20000, 0), NONE);  // over the end of 512 MB
  IS(call("claim", 3, 1, 0xfffff000, 0x2000, 0), NONE);
  n = call("claim", 3, 1, 0, 0x12345, 0x10000);
  check(n != NONE && (n & 0xffff) == 0, "aligned claim", n);
  IS(call("claim", 3, 1, n, 0x1000, 0), NONE);
  IS(call("claim", 3, 1, 0, 0xf0000000, 0x1000), NONE);
  if (started_with.r4) IS(call("claim", 3, 1, started_with.r3, 0x1000, 0), NONE);

  // existence
  IS(call("test", 1, 1, S("claim")), 0);
  IS(call("test", 1, 1, S("call-method")), 0);
  IS(call("test", 1, 1, S("frobnicate")), NONE);
  IS(call("test-method", 2, 1, rtas, S("instantiate-rtas")), 0);
  IS(call("test-method", 2, 1, root, S("ibm,client-architecture-support")), 0);
  IS(call("test-method", 2, 1, root, S("instantiate-rtas")), NONE);
  call("frobnicate", 1, 1, 0);
  IS((uint32_t)status, NONE);
  call("interpret", 1, 1, S("1 2 +"));
  IS((uint32_t)status, NONE);
  IS(call("set-callback", 1, 1, 0x1234), 0);
  IS(call("set-callback", 1, 1, 0), 0x1234);

  // bad arrays
  IS((uint32_t)gate((void*)0xfffffff4), NONE);
  IS((uint32_t)gate((void*)0xe0000000), NONE);
  IS((uint32_t)gate((char*)cells + 1), NONE);
  cells[0] = 0xfffffff0, cells[1] = 1, cells[2] = 1;
  IS((uint32_t)gate(cells), NONE);
  cells[0] = S("peer"), cells[1] = 0x40000000, cells[2] = 0xc0000001;
  IS((uint32_t)gate(cells), NONE);
  call("getprop", 1, 1, root);  // too few arguments
  IS((uint32_t)status, NONE);

  // time
  uint32_t t0 = call("milliseconds", 0, 1), t1 = t0;
  for (int i = 0; i < 100000 && t1 - t0 < 30; i++) t1 = call("milliseconds", 0, 1);
  check(t1 - t0 >= 30 && t1 - t0 < 2000, "milliseconds", t1 - t0);

  // RTAS
  uint32_t size = 0, token = 0;
  call("getprop", 4, 1, rtas, S("rtas-size"), S(&size), 4);
  call("getprop", 4, 1, rtas, S("query-cpu-stopped-state"), S(&token), 4);
  n = call("claim", 3, 1, 0, size, 4096);
  ih = call("open", 1, 1, S("/rtas"));
  IS(call("call-method", 3, 2, S("instantiate-rtas"), ih, n), 0);
  uint32_t entry = cells[7];
  IS(entry, n);
  IS(call("call-method", 3, 2, S("instantiate-rtas"), ih, 0xfffff000), NONE);
  IS(call("call-method", 3, 2, S("no-such-method"), ih, 0), NONE);
  uint32_t args[8] = {token, 1, 2, 0, 0x55, 0x55};
  call_rtas(args, entry);
  IS(args[4], 0);
  IS(args[5], 2);  // this processor is not stopped

  call("quiesce", 0, 0);
  IS((uint32_t)status, 0);

  say("client interface: ");
  say_hex((uint32_t)checks);
  say(failures ? " checks, SOME FAILED\n" : " checks, all passed\n");
  call("exit", 0, 0);
  say("exit returned\n");
}
