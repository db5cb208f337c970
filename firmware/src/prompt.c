// SPDX-License-Identifier: Apache-2.0
// The "0 >" prompt: what one needs to look around when there is no kernel.
#include "fw.h"

static struct node* here;

static char read_char(void) {
  char c;
  while (console_read(console_termno(), &c, 1) != 1) wait_a_moment();
  return c;
}

static void read_line(char* line, size_t size) {
  size_t n = 0;
  for (;;) {
    char c = read_char();
    if (c == '\r' || c == '\n') break;
    if (c == 3 || c == 21) {
      while (n) print("\b \b"), n--;
    } else if ((c == '\b' || c == 127) && n) {
      print("\b \b");
      n--;
    } else if (c >= ' ' && c < 127 && n + 1 < size) {
      line[n++] = c;
      print("%c", c);
    }
  }
  line[n] = 0;
  print("\n");
}

static void print_path(const struct node* n) {
  char path[256];
  size_t len = tree_path(n, path, sizeof path - 1);
  path[len < sizeof path ? len : sizeof path - 1] = 0;
  print("%s", path);
}

static void list(struct node* top, int depth) {
  for (struct node* c = top->child; c; c = c->peer) {
    print("%08x: ", c->phandle);
    for (int i = 0; i < depth; i++) print("  ");
    print("%s\n", c->name);
    list(c, depth + 1);
  }
}

static bool is_text(const struct property* p) {
  if (p->len < 2 || p->value[p->len - 1] != 0 || p->value[0] == 0) return false;
  for (uint32_t i = 0; i < p->len; i++) {
    uint8_t c = p->value[i];
    if (c ? c < ' ' || c > '~' : i && p->value[i - 1] == 0) return false;
  }
  return true;
}

static void print_value(const struct property* p) {
  enum { MOST = 64 };
  if (is_text(p)) {
    for (uint32_t i = 0; i + 1 < p->len; i++) print("%c", p->value[i] ? p->value[i] : ' ');
  } else {
    uint32_t n = p->len < MOST ? p->len : MOST;
    for (uint32_t i = 0; i < n; i++) print(i && i % 4 == 0 ? " %02x" : "%02x", p->value[i]);
    if (n < p->len) print(" ... (%u bytes)", p->len);
  }
  print("\n");
}

// The word at the front of *line, which is moved behind it.
static char* word(char** line) {
  char* s = *line;
  while (*s == ' ') s++;
  char* start = s;
  while (*s && *s != ' ') s++;
  if (*s) *s++ = 0;
  *line = s;
  return start;
}

static void c_help(char* arg) {
  (void)arg;
  print(
      "dev <path>     go to a node of the device tree (\"..\" goes up)\n"
      "pwd            where am I\n"
      "ls             list the nodes below\n"
      ".properties    show the node's properties\n"
      "boot           load and start the configured kernel\n"
      "reset-all      restart the partition\n"
      "power-off      stop the partition\n");
}

static void c_dev(char* arg) {
  struct node* n = strcmp(arg, "..") == 0 ? here->parent : tree_find(arg);
  if (!n && *arg && *arg != '/') {  // a child of this node
    char path[256];
    size_t len = tree_path(here, path, sizeof path - 1), extra = strlen(arg);
    if (len + extra + 2 < sizeof path) {
      path[len] = '/';
      memcpy(path + len + 1, arg, extra + 1);
      n = tree_find(path);
    }
  }
  if (n)
    here = n;
  else
    print("There is no node \"%s\".\n", arg);
}

static void c_pwd(char* arg) {
  (void)arg;
  print_path(here);
  print("\n");
}

static void c_ls(char* arg) {
  (void)arg;
  list(here, 0);
}

static void c_properties(char* arg) {
  (void)arg;
  for (struct property* p = here->properties; p; p = p->next) {
    print("%s  ", p->name);
    for (size_t i = strlen(p->name); i < 28; i++) print(" ");
    print_value(p);
  }
}

static void c_boot(char* arg) {
  (void)arg;
  if (kernel_configured()) boot_kernel();
  print("No kernel is configured for this partition.\n");
}

static void c_reset(char* arg) {
  (void)arg;
  reboot();
}

static void c_power_off(char* arg) {
  (void)arg;
  power_off();
}

static const struct command {
  const char* name;
  void (*run)(char* arg);
} commands[] = {
    {"help", c_help}, {"dev", c_dev},         {"cd", c_dev},
    {"pwd", c_pwd},   {"ls", c_ls},           {".properties", c_properties},
    {"boot", c_boot}, {"reset-all", c_reset}, {"power-off", c_power_off},
};

void prompt(void) {
  char line[160];
  here = tree_root;
  for (;;) {
    print("0 > ");
    read_line(line, sizeof line);
    char *rest = line, *name = word(&rest), *arg = word(&rest);
    if (!*name) continue;
    const struct command* found = NULL;
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
      if (strcmp(commands[i].name, name) == 0) found = &commands[i];
    if (found)
      found->run(arg);
    else
      print("\"%s\" is unknown; \"help\" lists the commands.\n", name);
  }
}
