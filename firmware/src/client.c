// SPDX-License-Identifier: Apache-2.0
// The Open Firmware client interface. Whatever the client passes is checked
// against the real mode area before it is touched.
#include "fw.h"

#define FALSE_CELL 0u
#define TRUE_CELL 0xffffffffu
#define NO_HANDLE 0xffffffffu
#define MAX_CELLS 32
#define FIRST_IHANDLE 0x0b000010u
#define IHANDLE_STEP 0x10u
#define MAX_INSTANCES 64
#define CAS_BUFFER 0x40000u

static struct instance {
  uint32_t phandle;
  uint32_t termno;
  bool used, terminal;
} instances[MAX_INSTANCES];
static uint32_t callback;

// ---- what the client points to ----

static void* client_buffer(uint32_t address, uint32_t len) {
  return memory_valid(address, len) ? (void*)address : NULL;
}

static const char* client_string(uint32_t address, uint32_t limit) {
  for (uint32_t n = 0; n < limit && memory_valid(address + n, 1); n++)
    if (*(const char*)(address + n) == 0) return (const char*)address;
  return NULL;
}

// ---- instances ----

static struct instance* instance_of(uint32_t ihandle) {
  uint32_t i = (ihandle - FIRST_IHANDLE) / IHANDLE_STEP;
  if (ihandle < FIRST_IHANDLE || (ihandle - FIRST_IHANDLE) % IHANDLE_STEP || i >= MAX_INSTANCES) return NULL;
  return instances[i].used ? &instances[i] : NULL;
}

static struct node* package_of(uint32_t ihandle) {
  struct instance* in = instance_of(ihandle);
  return in ? tree_by_phandle(in->phandle) : NULL;
}

static uint32_t open_node(struct node* n) {
  // There are drivers for the console; the rest has methods only.
  static const char* const openable[] = {"cpu", "memory", "nvram"};
  struct node *rtas_node = tree_child(tree_root, "rtas"), *packages = tree_child(tree_root, "packages");
  const char *type = prop_string(n, "device_type"), *compatible = prop_string(n, "compatible");
  uint32_t termno = 0;
  bool terminal = compatible && strncmp(compatible, "hvterm", 6) == 0 && prop_u32(n, "reg", &termno);
  bool ok = terminal || n == tree_root || n == rtas_node || (packages && n->parent == packages);
  for (int i = 0; i < 3; i++) ok |= type && strcmp(type, openable[i]) == 0;
  if (!ok) return 0;
  for (uint32_t i = 0; i < MAX_INSTANCES; i++)
    if (!instances[i].used) {
      instances[i] = (struct instance){n->phandle, termno, true, terminal};
      return FIRST_IHANDLE + i * IHANDLE_STEP;
    }
  return 0;
}

// ---- methods of packages ----

static int method_instantiate_rtas(const uint32_t* in, uint32_t* out) {
  uint32_t size = 0, stub = (uint32_t)(rtas_stub_end - rtas_stub);
  prop_u32(tree_child(tree_root, "rtas"), "rtas-size", &size);
  if (size < stub) size = stub;
  if (!memory_valid(in[0], size) || (in[0] & 3) || in[0] < FIRMWARE_END) return -1;
  memcpy((void*)in[0], rtas_stub, stub);
  sync_icache(in[0], stub);
  out[0] = in[0];
  return 0;
}

static int method_cas(const uint32_t* in, uint32_t* out) {
  out[0] = TRUE_CELL;
  if (!memory_valid(in[0], 8)) return 0;
  void* buffer = heap_alloc(CAS_BUFFER);
  if (!buffer) return 0;
  if (client_architecture_support(in[0], buffer, CAS_BUFFER) == 0) {
    const char* wrong = tree_merge(buffer, CAS_BUFFER);
    if (wrong)
      print("The device tree changes of client-architecture-support are unusable: the blob %s.\n", wrong);
    else
      out[0] = 0;
  }
  heap_free(buffer);
  return 0;
}

static const struct method {
  const char *path, *name;
  uint32_t nin, nout;
  int (*run)(const uint32_t* in, uint32_t* out);
} methods[] = {
    {"/rtas", "instantiate-rtas", 1, 1, method_instantiate_rtas},
    {"/", "ibm,client-architecture-support", 1, 1, method_cas},
};

static const struct method* find_method(const struct node* n, const char* name) {
  for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
    if (n == tree_find(methods[i].path) && strcmp(name, methods[i].name) == 0) return &methods[i];
  return NULL;
}

// ---- services: a = argument cells, r = return cells; -1 fails the call ----

static struct node* node_arg(uint32_t phandle) { return tree_by_phandle(phandle); }

struct service;
static const struct service* find_service(const char* name);

static int s_test(uint32_t* a, uint32_t* r) {
  const char* name = client_string(a[0], 64);
  r[0] = name && find_service(name) ? FALSE_CELL : TRUE_CELL;
  return 0;
}

static int s_finddevice(uint32_t* a, uint32_t* r) {
  const char* path = client_string(a[0], 1024);
  struct node* n = path ? tree_find(path) : NULL;
  r[0] = n ? n->phandle : NO_HANDLE;
  return 0;
}

static struct property* prop_arg(uint32_t phandle, uint32_t name_address) {
  struct node* n = node_arg(phandle);
  const char* name = client_string(name_address, 256);
  return n && name ? prop_find(n, name) : NULL;
}

static int s_getproplen(uint32_t* a, uint32_t* r) {
  struct property* p = prop_arg(a[0], a[1]);
  r[0] = p ? p->len : NO_HANDLE;
  return 0;
}

static int s_getprop(uint32_t* a, uint32_t* r) {
  struct property* p = prop_arg(a[0], a[1]);
  r[0] = NO_HANDLE;
  if (!p) return 0;
  uint32_t n = p->len < a[3] ? p->len : a[3];
  void* to = client_buffer(a[2], n);
  if (!to && n) return 0;
  memcpy(to, p->value, n);
  r[0] = p->len;
  return 0;
}

static int s_nextprop(uint32_t* a, uint32_t* r) {
  struct node* n = node_arg(a[0]);
  const char* previous = a[1] ? client_string(a[1], 256) : "";
  r[0] = NO_HANDLE;
  if (!n || !previous) return 0;
  struct property* p = n->properties;
  if (*previous) {
    p = prop_find(n, previous);
    if (!p) return 0;
    p = p->next;
  }
  // Names that PAPR gives are longer than the 31 characters of IEEE 1275; Linux has room for 63.
  while (p && strlen(p->name) > 63) p = p->next;
  const char* name = p ? p->name : "";
  char* to = client_buffer(a[2], (uint32_t)strlen(name) + 1);
  if (!to) return 0;
  memcpy(to, name, strlen(name) + 1);
  r[0] = p ? 1 : 0;
  return 0;
}

static int s_setprop(uint32_t* a, uint32_t* r) {
  struct node* n = node_arg(a[0]);
  const char* name = client_string(a[1], 256);
  r[0] = NO_HANDLE;
  if (!n || !name || !*name || strcmp(name, "name") == 0) return 0;
  const void* value = client_buffer(a[2], a[3]);
  if (!value && a[3]) return 0;
  if (prop_set(n, name, value, a[3])) r[0] = a[3];
  return 0;
}

static uint32_t handle(const struct node* n) { return n ? n->phandle : 0; }

static int s_child(uint32_t* a, uint32_t* r) {
  struct node* n = node_arg(a[0]);
  r[0] = n ? handle(n->child) : 0;
  return 0;
}

static int s_peer(uint32_t* a, uint32_t* r) {
  struct node* n = node_arg(a[0]);
  r[0] = a[0] == 0 ? handle(tree_root) : n ? handle(n->peer) : 0;
  return 0;
}

static int s_parent(uint32_t* a, uint32_t* r) {
  struct node* n = node_arg(a[0]);
  r[0] = n ? handle(n->parent) : 0;
  return 0;
}

static int s_instance_to_package(uint32_t* a, uint32_t* r) {
  struct node* n = package_of(a[0]);
  r[0] = n ? n->phandle : NO_HANDLE;
  return 0;
}

static void path_to(const struct node* n, uint32_t* a, uint32_t* r) {
  char* buf = client_buffer(a[1], a[2]);
  r[0] = NO_HANDLE;
  if (!n || !buf) return;
  uint32_t len = (uint32_t)tree_path(n, buf, a[2]);
  if (len < a[2]) buf[len] = 0;
  r[0] = len;
}

static int s_instance_to_path(uint32_t* a, uint32_t* r) {
  path_to(package_of(a[0]), a, r);
  return 0;
}

static int s_package_to_path(uint32_t* a, uint32_t* r) {
  path_to(node_arg(a[0]), a, r);
  return 0;
}

static int s_open(uint32_t* a, uint32_t* r) {
  const char* path = client_string(a[0], 1024);
  struct node* n = path ? tree_find(path) : NULL;
  r[0] = n ? open_node(n) : 0;
  return 0;
}

static int s_close(uint32_t* a, uint32_t* r) {
  (void)r;
  struct instance* in = instance_of(a[0]);
  if (in) in->used = false;
  return 0;
}

static int s_read(uint32_t* a, uint32_t* r) {
  struct instance* in = instance_of(a[0]);
  char* buf = client_buffer(a[1], a[2]);
  r[0] = NO_HANDLE;
  if (!in || !in->terminal || !buf) return 0;
  int n = console_read(in->termno, buf, a[2]);
  r[0] = n > 0 || a[2] == 0 ? (uint32_t)n : (uint32_t)-2;
  return 0;
}

static int s_write(uint32_t* a, uint32_t* r) {
  struct instance* in = instance_of(a[0]);
  const char* buf = client_buffer(a[1], a[2]);
  r[0] = NO_HANDLE;
  if (!in || !in->terminal || !buf) return 0;
  console_write(in->termno, buf, a[2]);
  r[0] = a[2];
  return 0;
}

static int s_seek(uint32_t* a, uint32_t* r) {
  (void)a;
  r[0] = NO_HANDLE;  // nothing that can be opened has a position
  return 0;
}

static int s_claim(uint32_t* a, uint32_t* r) {
  uint32_t at = a[2] ? memory_find(a[1], a[2]) : a[0];
  r[0] = NO_HANDLE;
  if ((a[2] && !at) || !memory_claim(at, a[1])) return 0;
  r[0] = at;
  return 0;
}

static int s_release(uint32_t* a, uint32_t* r) {
  (void)r;
  return memory_release(a[0], a[1]) ? 0 : -1;
}

static int s_interpret(uint32_t* a, uint32_t* r) {
  (void)a;
  r[0] = TRUE_CELL;  // there is no Forth: every string ends in an exception
  return -1;
}

static int s_quiesce(uint32_t* a, uint32_t* r) {
  (void)a, (void)r;
  return 0;
}

static int s_exit(uint32_t* a, uint32_t* r) {
  (void)a, (void)r;
  print("\nThe client program has ended; the partition stops.\n");
  power_off();
}

static int s_enter(uint32_t* a, uint32_t* r) {
  (void)a, (void)r;
  prompt();
}

static int s_boot(uint32_t* a, uint32_t* r) {
  (void)r;
  const char* spec = client_string(a[0], 256);
  if (spec && *spec) print("\nRestarting the partition (boot %s).\n", spec);
  reboot();
}

static int s_milliseconds(uint32_t* a, uint32_t* r) {
  (void)a;
  r[0] = milliseconds();
  return 0;
}

static int s_start_cpu(uint32_t* a, uint32_t* r) {
  (void)r;
  struct node* n = node_arg(a[0]);
  uint32_t args[3] = {0, a[1], a[2]};
  if (!n || !prop_u32(n, "reg", &args[0])) return -1;
  return rtas("start-cpu", 3, 1, args, NULL) == 0 ? 0 : -1;
}

static int s_test_method(uint32_t* a, uint32_t* r) {
  struct node* n = node_arg(a[0]);
  const char* name = client_string(a[1], 64);
  r[0] = n && name && find_method(n, name) ? FALSE_CELL : TRUE_CELL;
  return 0;
}

static int s_set_callback(uint32_t* a, uint32_t* r) {
  r[0] = callback;
  callback = a[0];
  return 0;
}

static const struct service {
  const char* name;
  uint32_t nargs, nrets;  // the least that it needs
  int (*run)(uint32_t* a, uint32_t* r);
} services[] = {
    {"test", 1, 1, s_test},
    {"finddevice", 1, 1, s_finddevice},
    {"getproplen", 2, 1, s_getproplen},
    {"getprop", 4, 1, s_getprop},
    {"nextprop", 3, 1, s_nextprop},
    {"setprop", 4, 1, s_setprop},
    {"child", 1, 1, s_child},
    {"peer", 1, 1, s_peer},
    {"parent", 1, 1, s_parent},
    {"instance-to-package", 1, 1, s_instance_to_package},
    {"instance-to-path", 3, 1, s_instance_to_path},
    {"package-to-path", 3, 1, s_package_to_path},
    {"open", 1, 1, s_open},
    {"close", 1, 0, s_close},
    {"read", 3, 1, s_read},
    {"write", 3, 1, s_write},
    {"seek", 3, 1, s_seek},
    {"claim", 3, 1, s_claim},
    {"release", 2, 0, s_release},
    {"call-method", 2, 1, NULL},
    {"interpret", 1, 1, s_interpret},
    {"quiesce", 0, 0, s_quiesce},
    {"exit", 0, 0, s_exit},
    {"enter", 0, 0, s_enter},
    {"boot", 0, 0, s_boot},
    {"milliseconds", 0, 1, s_milliseconds},
    {"start-cpu", 3, 0, s_start_cpu},
    {"test-method", 2, 1, s_test_method},
    {"set-callback", 1, 1, s_set_callback},
};

static const struct service* find_service(const char* name) {
  for (size_t i = 0; i < sizeof services / sizeof services[0]; i++)
    if (strcmp(services[i].name, name) == 0) return &services[i];
  return NULL;
}

// call-method: method, ihandle, stack top, next... -> catch result, top, next...
static int call_method(uint32_t* a, uint32_t nargs, uint32_t* r, uint32_t nrets) {
  const char* name = client_string(a[0], 64);
  struct node* n = package_of(a[1]);
  const struct method* m = n && name ? find_method(n, name) : NULL;
  uint32_t out[1] = {0};
  if (!m || nargs - 2 < m->nin || nrets - 1 < m->nout) {
    r[0] = TRUE_CELL;
    return -1;
  }
  r[0] = m->run(a + 2, out) == 0 ? 0 : TRUE_CELL;
  for (uint32_t i = 0; i < m->nout; i++) r[1 + i] = out[i];
  return r[0] == 0 ? 0 : -1;
}

int client_interface(uint32_t address);
int client_interface(uint32_t address) {
  if ((address & 3) || !memory_valid(address, 12)) return -1;
  uint32_t* cells = (uint32_t*)address;
  uint32_t nargs = cells[1], nrets = cells[2];
  if (nargs > MAX_CELLS || nrets > MAX_CELLS || !memory_valid(address, 4 * (3 + nargs + nrets))) return -1;
  const char* name = client_string(cells[0], 64);
  const struct service* s = name ? find_service(name) : NULL;
  if (!s || nargs < s->nargs || nrets < s->nrets) return -1;
  uint32_t *a = cells + 3, *r = a + nargs;
  if (!s->run) return call_method(a, nargs, r, nrets);
  // The services work on copies, so that a short call cannot be overrun.
  uint32_t in[MAX_CELLS] = {0}, out[1] = {0};
  memcpy(in, a, 4 * nargs);
  int rc = s->run(in, out);
  if (nrets) r[0] = out[0];
  return rc;
}

// ---- before the client starts ----

static struct node* boot_cpu(uint32_t server) {
  struct node *cpus = tree_child(tree_root, "cpus"), *first = NULL;
  for (struct node* c = cpus ? cpus->child : NULL; c; c = c->peer) {
    const char *type = prop_string(c, "device_type"), *status = prop_string(c, "status");
    if (!type || strcmp(type, "cpu") != 0 || (status && strcmp(status, "okay") != 0)) continue;
    struct property* servers = prop_find(c, "ibm,ppc-interrupt-server#s");
    if (!servers) servers = prop_find(c, "reg");
    for (uint32_t i = 0; servers && i + 4 <= servers->len; i += 4)
      if (be32_load(servers->value + i) == server) return c;
    if (!first) first = c;
  }
  return first;
}

static void set_ihandle(const char* name, struct node* n) {
  uint32_t ihandle = n ? open_node(n) : 0;
  if (ihandle) prop_set_u32(tree_make("/chosen"), name, ihandle);
}

void client_init(uint32_t boot_server) {
  struct node *chosen = tree_make("/chosen"), *aliases = tree_make("/aliases");
  struct node *options = tree_make("/options"), *openprom = tree_make("/openprom");
  tree_make("/packages");
  if (!prop_find(openprom, "model")) prop_set_string(openprom, "model", "IBM," FIRMWARE_VERSION);
  if (!prop_find(options, "real-mode?")) prop_set_string(options, "real-mode?", "true");

  char path[128];
  struct node* terminal = NULL;
  static const char* const wishes[] = {"stdout-path", "linux,stdout-path"};
  for (int i = 0; i < 2 && !terminal; i++) {
    const char* wish = prop_string(chosen, wishes[i]);
    if (wish) terminal = tree_find(wish);
  }
  if (!terminal) terminal = tree_find("/vdevice/vty");
  if (terminal) {
    size_t len = tree_path(terminal, path, sizeof path - 1);
    if (len < sizeof path) {
      path[len] = 0;
      if (!prop_find(aliases, "hvterm")) prop_set_string(aliases, "hvterm", path);
    }
    set_ihandle("stdout", terminal);
    set_ihandle("stdin", terminal);
  }
  struct node* cpu = boot_cpu(boot_server);
  set_ihandle("memory", tree_find("/memory"));
  set_ihandle("cpu", cpu);
  set_ihandle("mmu", cpu);
  set_ihandle("nvram", tree_find_type("nvram"));
}
