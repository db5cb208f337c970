// SPDX-License-Identifier: Apache-2.0
// The device tree: read from a flattened tree, changed by the client.
// Values are kept as the bytes they came in (big-endian), so that this file
// also runs on a little-endian host under test.
#include "fw.h"

#define HASH_SIZE 256
#define MAX_DEPTH 32
#define FIRST_OWN_PHANDLE 0xfe000001u

enum { FDT_MAGIC = (int)0xd00dfeed, BEGIN_NODE = 1, END_NODE = 2, PROP = 3, NOP = 4, END = 9 };

struct node* tree_root;
static struct node* hash[HASH_SIZE];
static uint32_t next_own_phandle = FIRST_OWN_PHANDLE;

// ---- properties ----

struct property* prop_find(const struct node* n, const char* name) {
  for (struct property* p = n->properties; p; p = p->next)
    if (strcmp(p->name, name) == 0) return p;
  return NULL;
}

bool prop_set(struct node* n, const char* name, const void* value, uint32_t len) {
  struct property* p = prop_find(n, name);
  uint8_t* copy = NULL;
  if (len) {
    if (p && p->len == len) {
      memmove(p->value, value, len);
      return true;
    }
    copy = heap_alloc(len);
    if (!copy) return false;
    memcpy(copy, value, len);
  }
  if (!p) {
    size_t size = strlen(name) + 1;
    p = heap_alloc(sizeof *p + size);
    if (!p) {
      heap_free(copy);
      return false;
    }
    memcpy(p->name, name, size);
    if (n->last_property)
      n->last_property->next = p;
    else
      n->properties = p;
    n->last_property = p;
  }
  heap_free(p->value);
  p->value = copy;
  p->len = len;
  return true;
}

static void prop_remove(struct node* n, const char* name) {
  struct property* before = NULL;
  for (struct property* p = n->properties; p; before = p, p = p->next) {
    if (strcmp(p->name, name) != 0) continue;
    *(before ? &before->next : &n->properties) = p->next;
    if (n->last_property == p) n->last_property = before;
    heap_free(p->value);
    heap_free(p);
    return;
  }
}

// A list of names, each with its NUL; "name" stays.
static void remove_properties(struct node* n, const char* names, uint32_t len) {
  if (len == 0 || names[len - 1] != 0) return;
  for (uint32_t at = 0; at < len; at += (uint32_t)strlen(names + at) + 1)
    if (strcmp(names + at, "name") != 0) prop_remove(n, names + at);
}

bool prop_set_string(struct node* n, const char* name, const char* s) {
  return prop_set(n, name, s, (uint32_t)strlen(s) + 1);
}

bool prop_set_u32(struct node* n, const char* name, uint32_t v) {
  uint8_t b[4];
  be32_store(b, v);
  return prop_set(n, name, b, 4);
}

bool prop_set_u64(struct node* n, const char* name, uint64_t v) {
  uint8_t b[8];
  be32_store(b, (uint32_t)(v >> 32));
  be32_store(b + 4, (uint32_t)v);
  return prop_set(n, name, b, 8);
}

const char* prop_string(const struct node* n, const char* name) {
  struct property* p = n ? prop_find(n, name) : NULL;
  return p && p->len && p->value[p->len - 1] == 0 ? (const char*)p->value : NULL;
}

bool prop_number(const struct node* n, const char* name, uint64_t* v) {
  struct property* p = n ? prop_find(n, name) : NULL;
  if (!p || (p->len != 4 && p->len != 8)) return false;
  *v = p->len == 4 ? be32_load(p->value) : be64_load(p->value);
  return true;
}

bool prop_u32(const struct node* n, const char* name, uint32_t* v) {
  struct property* p = n ? prop_find(n, name) : NULL;
  if (!p || p->len < 4) return false;
  *v = be32_load(p->value);
  return true;
}

// ---- nodes ----

static size_t base_length(const char* name) {
  const char* at = strchr(name, '@');
  return at ? (size_t)(at - name) : strlen(name);
}

static struct node* node_new(struct node* parent, const char* name, size_t len) {
  struct node* n = heap_alloc(sizeof *n + len + 1);
  if (!n) return NULL;
  memcpy(n->name, name, len);
  size_t base = base_length(n->name);
  uint8_t nul = 0;
  bool ok = prop_set(n, "name", base ? (const void*)n->name : &nul, (uint32_t)base + 1);
  if (!ok) {
    heap_free(n);
    return NULL;
  }
  prop_find(n, "name")->value[base] = 0;
  n->parent = parent;
  if (parent) {
    if (parent->last_child)
      parent->last_child->peer = n;
    else
      parent->child = n;
    parent->last_child = n;
  }
  return n;
}

static void node_free(struct node* n) {
  while (n->child) {
    struct node* c = n->child;
    n->child = c->peer;
    node_free(c);
  }
  for (struct node** link = &hash[n->phandle % HASH_SIZE]; *link; link = &(*link)->hash_next)
    if (*link == n) {
      *link = n->hash_next;
      break;
    }
  while (n->properties) {
    struct property* p = n->properties;
    n->properties = p->next;
    heap_free(p->value);
    heap_free(p);
  }
  heap_free(n);
}

static void node_remove(struct node* n) {
  struct node *parent = n->parent, *before = NULL;
  for (struct node* c = parent->child; c != n; c = c->peer) before = c;
  if (before)
    before->peer = n->peer;
  else
    parent->child = n->peer;
  if (parent->last_child == n) parent->last_child = before;
  node_free(n);
}

static struct node* child_named(struct node* parent, const char* name, size_t len) {
  for (struct node* c = parent->child; c; c = c->peer)
    if (strncmp(c->name, name, len) == 0 && c->name[len] == 0) return c;
  return NULL;
}

struct node* tree_child(struct node* parent, const char* name) {
  return child_named(parent, name, strlen(name));
}

struct node* tree_make(const char* path) {
  struct node* n = tree_root;
  while (n && *path) {
    while (*path == '/') path++;
    const char* end = strchr(path, '/');
    size_t len = end ? (size_t)(end - path) : strlen(path);
    if (!len) break;
    struct node* c = child_named(n, path, len);
    n = c ? c : node_new(n, path, len);
    path += len;
  }
  tree_assign_phandles();
  return n;
}

struct node* tree_next(struct node* n, struct node* top) {
  if (n->child) return n->child;
  while (n != top && !n->peer) n = n->parent;
  return n == top ? NULL : n->peer;
}

struct node* tree_find_type(const char* type) {
  for (struct node* n = tree_root; n; n = tree_next(n, tree_root)) {
    const char* t = prop_string(n, "device_type");
    if (t && strcmp(t, type) == 0) return n;
  }
  return NULL;
}

size_t tree_path(const struct node* n, char* buf, size_t size) {
  const struct node* chain[MAX_DEPTH + 2];
  int depth = 0;
  size_t len = 0;
  for (; n->parent && depth < MAX_DEPTH + 1; n = n->parent) chain[depth++] = n;
#define EMIT(c) (len < size ? (void)(buf[len] = (c)) : (void)0, len++)
  if (depth == 0) EMIT('/');
  while (depth--) {
    EMIT('/');
    for (const char* s = chain[depth]->name; *s; s++) EMIT(*s);
  }
#undef EMIT
  return len;
}

// ---- handles ----

struct node* tree_by_phandle(uint32_t phandle) {
  for (struct node* n = hash[phandle % HASH_SIZE]; n; n = n->hash_next)
    if (n->phandle == phandle) return n;
  return NULL;
}

static void enter(struct node* n, uint32_t phandle) {
  n->phandle = phandle;
  n->hash_next = hash[phandle % HASH_SIZE];
  hash[phandle % HASH_SIZE] = n;
}

void tree_assign_phandles(void) {
  static const char* const sources[] = {"ibm,phandle", "phandle", "linux,phandle"};
  for (struct node* n = tree_root; n; n = tree_next(n, tree_root)) {
    uint32_t h;
    for (int i = 0; i < 3 && !n->phandle; i++)
      if (prop_u32(n, sources[i], &h) && h != 0 && h != 0xffffffffu && !tree_by_phandle(h)) enter(n, h);
  }
  for (struct node* n = tree_root; n; n = tree_next(n, tree_root))
    if (!n->phandle) {
      while (tree_by_phandle(next_own_phandle)) next_own_phandle++;
      enter(n, next_own_phandle++);
    }
}

void tree_reset(void) {
  tree_root = NULL;
  memset(hash, 0, sizeof hash);
  next_own_phandle = FIRST_OWN_PHANDLE;
}

// ---- the flattened tree ----

const char* tree_merge(const void* fdt, size_t room) {
  const uint8_t* blob = fdt;
  if (room < 40) return "is too short";
  if (be32_load(blob) != (uint32_t)FDT_MAGIC) return "has no flattened device tree magic";
  uint32_t total = be32_load(blob + 4), off_struct = be32_load(blob + 8), off_strings = be32_load(blob + 12);
  uint32_t version = be32_load(blob + 20), compatible = be32_load(blob + 24);
  if (total > room || total < 40) return "is longer than its room";
  if (version < 16 || compatible > 17) return "has an unknown version";
  if (off_struct > total || (off_struct & 3) || off_strings > total) return "has offsets outside itself";
  uint32_t strings_size = total - off_strings;

  const char* name;
  struct node* at = NULL;
  int depth = 0;
  bool done = false;
  uint32_t pos = off_struct;
  while (!done) {
    if (total - pos < 4) return "ends inside its structure";
    uint32_t tag = be32_load(blob + pos);
    pos += 4;
    switch (tag) {
      case BEGIN_NODE: {
        name = (const char*)blob + pos;
        size_t len = 0;
        while (pos + len < total && name[len]) len++;
        if (pos + len >= total) return "has a node name without an end";
        if (depth >= MAX_DEPTH) return "is nested too deeply";
        if (depth == 0) {
          if (at) return "has two roots";
          if (!tree_root) tree_root = node_new(NULL, "", 0);
          at = tree_root;
        } else {
          if (len == 0) return "has a node without a name";
          struct node* c = child_named(at, name, len);
          at = c ? c : node_new(at, name, len);
        }
        if (!at) return "does not fit in the firmware's memory";
        depth++;
        pos += ((uint32_t)len + 4) & ~3u;
        break;
      }
      case END_NODE: {
        if (depth == 0) return "closes a node that is not open";
        struct node* up = at->parent;
        if (at->doomed && up) node_remove(at);
        if (--depth) at = up;
        break;
      }
      case PROP: {
        if (depth == 0) return "has a property outside a node";
        if (total - pos < 8) return "ends inside a property";
        uint32_t len = be32_load(blob + pos), off = be32_load(blob + pos + 4);
        pos += 8;
        if (len > total - pos) return "has a property that reaches beyond its end";
        name = (const char*)blob + off_strings + off;
        uint32_t left = off < strings_size ? strings_size - off : 0, n = 0;
        while (n < left && name[n]) n++;
        if (n == left) return "has a property name without an end";
        if (strcmp(name, DELETE_MARK) == 0)
          at->doomed = true;
        else if (strcmp(name, DELETE_PROPERTIES) == 0)
          remove_properties(at, (const char*)blob + pos, len);
        else if (strcmp(name, "name") != 0 && !prop_set(at, name, blob + pos, len))
          return "does not fit in the firmware's memory";
        pos += (len + 3) & ~3u;
        break;
      }
      case NOP:
        break;
      case END:
        done = true;
        break;
      default:
        return "has an unknown token in its structure";
    }
    if (pos > total) return "ends inside its structure";
  }
  if (depth || !tree_root) return "ends with open nodes";
  tree_assign_phandles();
  return NULL;
}

// ---- device specifiers ----

static bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}
static char lower(char c) { return c >= 'A' && c <= 'F' ? (char)(c - 'A' + 'a') : c; }

// Unit addresses: hexadecimal numbers between commas, leading zeros without meaning.
static bool same_unit(const char* a, size_t alen, const char* b, size_t blen) {
  size_t i = 0, j = 0;
  for (;;) {
    while (i + 1 < alen && a[i] == '0' && is_hex(a[i + 1])) i++;
    while (j + 1 < blen && b[j] == '0' && is_hex(b[j + 1])) j++;
    while (i < alen && j < blen && a[i] != ',' && b[j] != ',') {
      if (lower(a[i]) != lower(b[j])) return false;
      i++, j++;
    }
    bool a_ends = i == alen, b_ends = j == blen;
    if (a_ends || b_ends) return a_ends && b_ends;
    if (a[i] != ',' || b[j] != ',') return false;
    i++, j++;
  }
}

static bool same_name(const char* have, size_t hlen, const char* want, size_t wlen) {
  if (wlen == hlen && strncmp(have, want, wlen) == 0) return true;
  // the manufacturer's prefix may be left out
  for (size_t i = 0; i < hlen; i++)
    if (have[i] == ',') return hlen - i - 1 == wlen && wlen && strncmp(have + i + 1, want, wlen) == 0;
  return false;
}

static struct node* match_child(struct node* parent, const char* want, size_t len) {
  struct node* exact = child_named(parent, want, len);
  if (exact) return exact;
  size_t wbase = 0;
  while (wbase < len && want[wbase] != '@') wbase++;
  for (struct node* c = parent->child; c; c = c->peer) {
    size_t cbase = base_length(c->name);
    if (wbase && !same_name(c->name, cbase, want, wbase)) continue;
    if (wbase == len) return c;
    if (!c->name[cbase]) continue;
    const char* unit = c->name + cbase + 1;
    if (same_unit(unit, strlen(unit), want + wbase + 1, len - wbase - 1)) return c;
  }
  return NULL;
}

static struct node* walk(struct node* n, const char* path) {
  while (n && *path && *path != ':') {
    if (*path == '/') {
      path++;
      continue;
    }
    size_t len = 0;
    while (path[len] && path[len] != '/' && path[len] != ':') len++;
    n = match_child(n, path, len);
    path += len;
  }
  return n;
}

struct node* tree_find(const char* path) {
  if (*path == '/') return walk(tree_root, path);
  char alias[64];
  size_t len = 0;
  while (path[len] && path[len] != '/' && path[len] != ':') len++;
  struct node* aliases = tree_child(tree_root, "aliases");
  if (len == 0 || len >= sizeof alias || !aliases) return NULL;
  memcpy(alias, path, len);
  alias[len] = 0;
  const char* target = prop_string(aliases, alias);
  if (!target || *target != '/') return NULL;
  struct node* n = walk(tree_root, target);
  return n && path[len] == '/' ? walk(n, path + len) : n;
}
